# The guest `fault_matrix`: makes one access after the other, and says of each which page fault it raised.
#
# A multiboot image for M_LOAD. What it walks is not part of it: whoever runs it appends page tables and a list of cases,
# and writes where they are into its header. The tables have to map, for the guest's own use, with key 0:
#
# - linear 0 to 0x400000 to itself, for the supervisor alone;
# - M_USER to the page of user code, readable and executable by the user;
# - M_USER + 0x1000 to M_USER_STACK, writable by the user.
#
# For each case it loads EFER, CR4, CR0, PKRU and IA32_PKRS, flushes the TLB, and makes the access at CPL 0 or 3. Then it
# sends one byte to the serial port: the error code of the fault, 0x80 for none, 0x81 for one whose CR2 is wrong, 0xee for
# any other exception, which is the end. After the last case it writes 0x10 to port 0xf4.
#
# R15 is the case, R14D counts, R13 is the linear address. All names begin with m_ or M_.

.set M_LOAD,       0x100000
.set M_STACK,      0x70000
.set M_IDT,        0x8000
.set M_TSS,        0x9000
.set M_USER_STACK, 0xa000
.set M_USER,       0x40000000
# Selectors.
.set M_CODE,       0x08
.set M_DATA,       0x10
.set M_USER_DATA,  0x1b
.set M_USER_CODE,  0x23
.set M_TR,         0x28
# A case.
.set M_LINEAR,     0
.set M_CR0,        8
.set M_CR4,        12
.set M_EFER,       16
.set M_FLAGS,      20
.set M_PKRU,       24
.set M_KIND,       28                 # 0 read, 1 write, 2 fetch
.set M_IS_USER,    30
.set M_PKRS,       32
.set M_CASE,       40

.section .rodata.encore86_fault_matrix, "a", @progbits
.p2align 12
.globl encore86_fault_matrix_start
.globl encore86_fault_matrix_end
.hidden encore86_fault_matrix_start
.hidden encore86_fault_matrix_end
encore86_fault_matrix_start:
m_image:

# --- header -------------------------------------------------------------------------------------------------------
    .long 0x1badb002                  # multiboot
    .long 0x00010000                  # the addresses are here
    .long -(0x1badb002 + 0x00010000)
    .long M_LOAD                      # this header
    .long M_LOAD                      # the first byte
    .long 0, 0                        # to the end of the file, and nothing behind it
    .long M_LOAD + (m_start - m_image)
# Written by whoever runs it: CR3, the number of cases, the first of them.
.org m_image + 0x20
    .long 0, 0, 0

# Places that 32-bit code reaches without a name.
.set M_GDTR, 0x30
.set M_LONG, 0x400
.org m_image + M_GDTR
    .word m_gdt_end - m_gdt - 1
    .quad M_LOAD + (m_gdt - m_image)
m_idtr:
    .word 256 * 16 - 1
    .quad M_IDT
.p2align 4
m_gdt:
    .quad 0
    .quad 0x00209b0000000000          # code, 64 bits
    .quad 0x00cf93000000ffff          # data
    .quad 0x00cff3000000ffff          # the user's data
    .quad 0x0020fb0000000000          # the user's code
    .quad 0x0000890000000067 + (M_TSS << 16), 0
m_gdt_end:

# --- from the loader's 32-bit mode to 64-bit mode -------------------------------------------------------------------
.code32
m_start:
    cli
    cld
    mov ebx, M_LOAD
    mov esp, M_STACK
    lgdt [ebx + M_GDTR]
    mov eax, 0x20                     # PAE
    mov cr4, eax
    mov eax, [ebx + 0x20]
    mov cr3, eax
    mov ecx, 0xc0000080               # EFER.LME
    mov eax, 0x100
    xor edx, edx
    wrmsr
    mov eax, 0x80000033               # PG, ET, MP, PE, NE
    mov cr0, eax
    push M_CODE
    lea eax, [ebx + M_LONG]
    push eax
    retf
.code64
.org m_image + M_LONG
    mov eax, M_DATA
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov ebx, M_LOAD
    mov esp, M_STACK

    # The IDT: one handler for all vectors but two.
    xor ecx, ecx
2:  lea rax, [rip + m_other]
    call m_set_gate
    inc ecx
    cmp ecx, 256
    jb 2b
    mov ecx, 14
    lea rax, [rip + m_fault]
    call m_set_gate
    mov ecx, 0x81
    lea rax, [rip + m_back]
    call m_set_gate
    lidt [rip + m_idtr]

    # The TSS, for its RSP0.
    mov edi, M_TSS
    mov ecx, 0x68 / 4
    xor eax, eax
    rep stosd
    mov edi, M_TSS
    mov dword ptr [rdi + 4], M_STACK
    mov word ptr [rdi + 0x66], 0x68
    mov eax, M_TR
    ltr ax

    mov r14d, [rbx + 0x24]
    mov r15d, [rbx + 0x28]

# --- a case -------------------------------------------------------------------------------------------------------
m_case:
    test r14d, r14d
    jz m_done
    mov ecx, 0xc0000080
    mov eax, [r15 + M_EFER]
    xor edx, edx
    wrmsr
    mov eax, [r15 + M_CR4]
    mov cr4, rax
    mov eax, [r15 + M_CR0]
    mov cr0, rax
    test dword ptr [r15 + M_CR4], 1 << 22
    jz 2f
    mov eax, [r15 + M_PKRU]
    xor ecx, ecx
    xor edx, edx
    wrpkru
2:  test dword ptr [r15 + M_CR4], 1 << 24
    jz 2f
    mov ecx, 0x6e1
    mov eax, [r15 + M_PKRS]
    xor edx, edx
    wrmsr
2:  mov rax, cr3
    mov cr3, rax
    mov r13, [r15 + M_LINEAR]
    movzx ecx, word ptr [r15 + M_KIND]
    mov eax, [r15 + M_FLAGS]
    or eax, 2
    cmp word ptr [r15 + M_IS_USER], 0
    jne m_user
    push rax
    popfq
    cmp ecx, 1
    ja 3f
    je 2f
    mov al, [r13]
    jmp m_none
2:  mov byte ptr [r13], 0xc3
    jmp m_none
3:  call r13
    jmp m_none
m_user:
    push M_USER_DATA
    mov edx, M_USER + 0x2000
    push rdx
    push rax
    push M_USER_CODE
    shl ecx, 4
    lea rax, [rcx + M_USER]
    push rax
    iretq

# INT 0x81: back from the user, without a fault.
m_back:
m_none:
    mov al, 0x80
    jmp m_say
# #PF.
m_fault:
    pop rax
    mov rcx, cr2
    cmp rcx, r13
    je m_say
    mov al, 0x81
# Says AL, and goes on.
m_say:
    mov esp, M_STACK
    push 2
    popfq
    mov dx, 0x3f8
    out dx, al
    add r15, M_CASE
    dec r14d
    jmp m_case

# --- the end ------------------------------------------------------------------------------------------------------
m_other:
    mov al, 0xee
    mov dx, 0x3f8
    out dx, al
m_done:
    mov eax, 0x10
    mov dx, 0xf4
    out dx, eax
2:  hlt
    jmp 2b

# An interrupt gate for vector ECX at RAX, which the user may call.
m_set_gate:
    mov edi, ecx
    shl edi, 4
    add edi, M_IDT
    mov [rdi], ax
    mov word ptr [rdi + 2], M_CODE
    mov word ptr [rdi + 4], 0xee00
    shr rax, 16
    mov [rdi + 6], ax
    shr rax, 16
    mov [rdi + 8], rax
    ret

# --- user code: 16 bytes a kind -----------------------------------------------------------------------------------------
.org m_image + 0x2000
    mov al, [r13]
    int 0x81
.p2align 4
    mov byte ptr [r13], 0xc3
    int 0x81
.p2align 4
    call r13
    int 0x81

# --- the page that all accesses go to: RET ------------------------------------------------------------------------------
.org m_image + 0x3000
    .fill 0x1000, 1, 0xc3
encore86_fault_matrix_end:
.text
