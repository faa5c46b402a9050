# The guest `legacy_paging`: a 32-bit system with page tables of two levels, and then of PAE.
#
# A flat image for P_LOAD, entered in protected mode with flat segments and no paging. In each format it maps pages, and looks at
# aliases, A and D bits, INVLPG, a page that is not there until it is touched, CR0.WP, the user's rights, a large page and a store
# over two pages; with PAE also at XD and at the PDPTE registers. Each check has a number. It says which format has passed at the
# serial port, and writes 0 to port 0xf4, or the number of the check that failed, with 0x100 added in PAE.
#
# EBX is P_LOAD, EBP the number. All names begin with p_ or P_.

.set P_LOAD,       0x100000
# Places in RAM.
.set P_VARS,       0x6000
.set P_IDT,        0x8000
.set P_TSS,        0x9000
.set P_TABLES,     0x10000            # eight pages
.set P_A,          0x30000            # pages that are mapped
.set P_B,          0x31000
.set P_STACK,      0x70000
.set P_TSS_STACK,  0x78000
# Variables.
.set P_COUNT,      P_VARS             # page faults so far
.set P_CODE,       P_VARS + 4         # error code of the last
.set P_CR2,        P_VARS + 8
.set P_RESUME,     P_VARS + 12        # where to go on behind it; 0: map the page, and try again
.set P_PAE,        P_VARS + 16        # 1 in PAE
.set P_BACK,       P_VARS + 20        # where INT 0x30 goes
# Linear addresses.
.set P_T,          0x40000000         # small pages
.set P_LARGE,      0x80000000         # a large page, of physical address 0
.set P_USER,       P_T + 0x8000
# Selectors.
.set P_CODE_SEL,   0x08
.set P_DATA_SEL,   0x10
.set P_USER_DATA,  0x1b
.set P_USER_CODE,  0x23
.set P_TR,         0x28
# Bits of an entry.
.set P_P,  1
.set P_RW, 2
.set P_US, 4
.set P_AC, 0x20
.set P_D,  0x40
.set P_PS, 0x80

.macro P_IS number
    mov ebp, \number
.endm
# Fails unless the flags say equal.
.macro P_EQUAL
    jne p_failed
.endm
# Maps P_T + offset to a physical page with flags.
.macro P_MAP offset, entry
    mov eax, \offset
    mov edx, \entry
    call p_map
.endm
# The last fault: how many there were, its code, its address.
.macro P_FAULTED count, code, address
    cmp dword ptr [P_COUNT], \count
    P_EQUAL
    cmp dword ptr [P_CODE], \code
    P_EQUAL
    cmp dword ptr [P_CR2], \address
    P_EQUAL
.endm

.section .rodata.encore86_legacy_paging, "a", @progbits
.p2align 12
.globl encore86_legacy_paging_start
.globl encore86_legacy_paging_end
.hidden encore86_legacy_paging_start
.hidden encore86_legacy_paging_end
encore86_legacy_paging_start:
.code32
p_image:
    jmp p_start

.org p_image + 0x20
    .word 6 * 8 - 1
    .long P_LOAD + 0x40
.org p_image + 0x30
    .word 256 * 8 - 1
    .long P_IDT
.org p_image + 0x40
    .quad 0
    .quad 0x00cf9b000000ffff          # code
    .quad 0x00cf93000000ffff          # data
    .quad 0x00cff3000000ffff          # the user's data
    .quad 0x00cffb000000ffff          # the user's code
    .quad 0x0000890000000067 + (P_TSS << 16)
.org p_image + 0x80
    .asciz "2-level paging\n"
.org p_image + 0xa0
    .asciz "PAE paging\n"

# --- exceptions ---------------------------------------------------------------------------------------------------------
# Any but #PF and INT 0x30: check 0xee.
.org p_image + 0x100
    P_IS 0xee
    jmp p_failed
# #PF.
.org p_image + 0x120
    pushad
    inc dword ptr [P_COUNT]
    mov eax, [esp + 32]
    mov [P_CODE], eax
    mov eax, cr2
    mov [P_CR2], eax
    mov eax, [P_RESUME]
    test eax, eax
    jz 2f
    mov [esp + 36], eax
    jmp 3f
2:  mov eax, cr2
    sub eax, P_T
    mov edx, P_B + P_P + P_RW
    call p_map
3:  popad
    add esp, 4
    iretd
# INT 0x30: from the user.
.org p_image + 0x180
    mov esp, P_STACK - 4
    mov eax, P_DATA_SEL
    mov ds, eax
    mov es, eax
    jmp dword ptr [P_BACK]

# --- the beginning ------------------------------------------------------------------------------------------------------
p_start:
    cli
    cld
    mov ebx, P_LOAD
    mov esp, P_STACK
    lgdt [ebx + 0x20]
    push P_CODE_SEL
    lea eax, [ebx + 0x400]
    push eax
    retf
.org p_image + 0x400
    mov eax, P_DATA_SEL
    mov ds, eax
    mov es, eax
    mov ss, eax
    xor ecx, ecx
2:  lea eax, [ebx + 0x100]
    mov dx, 0x8e00
    call p_set_gate
    inc ecx
    cmp ecx, 256
    jb 2b
    mov ecx, 14
    lea eax, [ebx + 0x120]
    call p_set_gate
    mov ecx, 0x30
    lea eax, [ebx + 0x180]
    mov dx, 0xee00
    call p_set_gate
    lidt [ebx + 0x30]
    mov dword ptr [P_TSS + 4], P_TSS_STACK
    mov dword ptr [P_TSS + 8], P_DATA_SEL
    mov word ptr [P_TSS + 0x66], 0x68
    mov eax, P_TR
    ltr ax

    # Two levels: a directory with a large page for what is below 4 MiB, one at P_LARGE, and a table for P_T.
    mov dword ptr [P_PAE], 0
    call p_clear_tables
    mov dword ptr [P_TABLES], P_P + P_RW + P_PS
    mov dword ptr [P_TABLES + 4 * (P_LARGE >> 22)], P_P + P_RW + P_PS
    mov dword ptr [P_TABLES + 4 * (P_T >> 22)], P_TABLES + 0x1000 + P_P + P_RW + P_US
    mov eax, 0x10                     # PSE
    mov cr4, eax
    mov eax, P_TABLES
    mov cr3, eax
    mov eax, 0x80000033               # PG, ET, MP, PE, NE; no WP
    mov cr0, eax
    call p_checks
    lea esi, [ebx + 0x80]
    call p_say

    # PAE: four pointers, of which 0, 1 and 2 lead to directories; a table for P_T.
    mov eax, 0x33
    mov cr0, eax
    mov dword ptr [P_PAE], 1
    call p_clear_tables
    mov dword ptr [P_TABLES], P_TABLES + 0x2000 + P_P
    mov dword ptr [P_TABLES + 8], P_TABLES + 0x3000 + P_P
    mov dword ptr [P_TABLES + 16], P_TABLES + 0x4000 + P_P
    mov dword ptr [P_TABLES + 0x2000], P_P + P_RW + P_PS
    mov dword ptr [P_TABLES + 0x3000], P_TABLES + 0x1000 + P_P + P_RW + P_US
    mov dword ptr [P_TABLES + 0x4000], P_P + P_RW + P_PS
    mov ecx, 0xc0000080               # EFER.NXE
    mov eax, 0x800
    xor edx, edx
    wrmsr
    mov eax, 0x20                     # PAE
    mov cr4, eax
    mov eax, P_TABLES
    mov cr3, eax
    mov eax, 0x80000033
    mov cr0, eax
    call p_checks
    call p_checks_of_pae
    lea esi, [ebx + 0xa0]
    call p_say
    xor ebp, ebp
p_end:
    mov eax, ebp
    out 0xf4, eax
2:  hlt
    jmp 2b
p_failed:
    mov eax, [P_PAE]
    shl eax, 8
    or ebp, eax
    jmp p_end

# --- in both formats ----------------------------------------------------------------------------------------------------
p_checks:
    mov dword ptr [P_COUNT], 0
    mov dword ptr [P_RESUME], 0
    mov dword ptr [P_A], 0
    mov dword ptr [P_B], 0x0b0b0b0b

    P_IS 1                            # two pages that are one
    P_MAP 0x0000, P_A + P_P + P_RW
    P_MAP 0x1000, P_A + P_P + P_RW
    mov dword ptr [P_T], 0x12345678
    cmp dword ptr [P_T + 0x1000], 0x12345678
    P_EQUAL
    cmp dword ptr [P_A], 0x12345678
    P_EQUAL

    P_IS 2                            # A and D of each
    mov eax, 0x0000
    call p_entry
    and eax, P_AC + P_D
    cmp eax, P_AC + P_D
    P_EQUAL
    mov eax, 0x1000
    call p_entry
    and eax, P_AC + P_D
    cmp eax, P_AC
    P_EQUAL

    P_IS 3                            # another page, behind INVLPG
    P_MAP 0x0000, P_B + P_P + P_RW
    cmp dword ptr [P_T], 0x0b0b0b0b
    P_EQUAL

    P_IS 4                            # a page that comes when it is touched
    mov dword ptr [P_T + 0x2004], 0x44444444
    P_FAULTED 1, 2, P_T + 0x2004
    cmp dword ptr [P_B + 4], 0x44444444
    P_EQUAL

    P_IS 5                            # a page that is read-only where CR0.WP says so
    P_MAP 0x3000, P_A + P_P
    mov dword ptr [P_T + 0x3008], 5
    cmp dword ptr [P_COUNT], 1
    P_EQUAL
    mov eax, cr0
    or eax, 0x10000
    mov cr0, eax
    lea eax, [ebx + P_AT_5]
    mov [P_RESUME], eax
    mov dword ptr [P_T + 0x3008], 55
    jmp p_failed
p_5:
.set P_AT_5, p_5 - p_image
    P_FAULTED 2, 3, P_T + 0x3008
    cmp dword ptr [P_A + 8], 5
    P_EQUAL
    mov eax, cr0
    and eax, 0xfffeffff
    mov cr0, eax

    P_IS 6                            # the user reads what is the supervisor's, and writes what is read-only
    P_MAP 0x4000, P_A + P_P + P_US
    P_MAP 0x8000, P_LOAD + 0x2000 + P_P + P_US
    P_MAP 0x9000, P_B + P_P + P_RW + P_US
    mov dword ptr [P_RESUME], P_USER + 0x20
    lea eax, [ebx + P_AT_6]
    mov ecx, P_USER
    jmp p_to_user
p_6:
.set P_AT_6, p_6 - p_image
    P_FAULTED 3, 5, P_T
    mov dword ptr [P_RESUME], P_USER + 0x60
    lea eax, [ebx + P_AT_7]
    mov ecx, P_USER + 0x40
    jmp p_to_user
p_7:
.set P_AT_7, p_7 - p_image
    P_FAULTED 4, 7, P_T + 0x4000
    P_IS 7                            # and reads what it may
    lea eax, [ebx + P_AT_8]
    mov ecx, P_USER + 0x80
    jmp p_to_user
p_8:
.set P_AT_8, p_8 - p_image
    cmp dword ptr [P_COUNT], 4
    P_EQUAL
    cmp dword ptr [P_B + 0xff8], 0x12345678
    P_EQUAL

    P_IS 8                            # a large page
    mov eax, [P_LARGE + P_A]
    cmp eax, [P_A]
    P_EQUAL
    mov dword ptr [P_LARGE + P_A + 16], 8
    cmp dword ptr [P_A + 16], 8
    P_EQUAL

    P_IS 9                            # a store over two pages that do not lie side by side
    P_MAP 0x0000, P_B + P_P + P_RW
    P_MAP 0x1000, P_A + P_P + P_RW
    mov dword ptr [P_T + 0xffe], 0xddccbbaa
    cmp word ptr [P_B + 0xffe], 0xbbaa
    P_EQUAL
    cmp word ptr [P_A], 0xddcc
    P_EQUAL
    P_IS 10                           # and of which the second is not there: nothing is stored
    P_MAP 0x1000, 0
    lea eax, [ebx + P_AT_10]
    mov [P_RESUME], eax
    mov dword ptr [P_T + 0xffe], 0x11111111
    jmp p_failed
p_10:
.set P_AT_10, p_10 - p_image
    P_FAULTED 5, 2, P_T + 0x1000
    cmp word ptr [P_B + 0xffe], 0xbbaa
    P_EQUAL
    ret

# --- in PAE -------------------------------------------------------------------------------------------------------------
p_checks_of_pae:
    P_IS 11                           # a page of data is no code
    P_MAP 0x5000, P_LOAD + 0x3000 + P_P + P_RW
    mov dword ptr [P_TABLES + 0x1000 + 8 * 5 + 4], 0x80000000
    invlpg [P_T + 0x5000]
    lea eax, [ebx + P_AT_11]
    mov [P_RESUME], eax
    mov eax, P_T + 0x5000
    jmp eax
p_11:
.set P_AT_11, p_11 - p_image
    P_FAULTED 6, 0x11, P_T + 0x5000
    P_IS 12                           # the same page, without XD
    mov dword ptr [P_TABLES + 0x1000 + 8 * 5 + 4], 0
    invlpg [P_T + 0x5000]
    mov eax, P_T + 0x5000
    call eax
    cmp dword ptr [P_COUNT], 6
    P_EQUAL

    P_IS 13                           # PDPTEs are registers, which MOV to CR3 loads, with whatever value
    mov dword ptr [P_TABLES + 8], 0
    invlpg [P_T]
    mov eax, [P_T]
    cmp dword ptr [P_COUNT], 6
    P_EQUAL
    mov eax, cr3
    mov cr3, eax
    lea eax, [ebx + P_AT_13]
    mov [P_RESUME], eax
    mov eax, [P_T]
    jmp p_failed
p_13:
.set P_AT_13, p_13 - p_image
    P_FAULTED 7, 0, P_T
    ret

# --- what they use ------------------------------------------------------------------------------------------------------
# To the user's code at ECX; INT 0x30 goes to EAX.
p_to_user:
    mov [P_BACK], eax
    # The return address stays on the stack: INT 0x30 comes back to it.
    push P_USER_DATA
    push P_T + 0xa000
    push 2
    push P_USER_CODE
    push ecx
    mov eax, P_USER_DATA
    mov ds, eax
    mov es, eax
    iretd

# The table's entry for P_T + EAX: its address in EDI.
p_place:
    mov edi, eax
    shr edi, 12
    mov ecx, [P_PAE]
    add ecx, 2
    shl edi, cl
    add edi, P_TABLES + 0x1000
    ret
# The entry's low half, in EAX.
p_entry:
    call p_place
    mov eax, [edi]
    ret
# Writes EDX to it.
p_map:
    call p_place
    mov [edi], edx
    add eax, P_T
    invlpg [eax]
    ret

p_clear_tables:
    mov edi, P_TABLES
    mov ecx, 0x8000 / 4
    xor eax, eax
    rep stosd
    ret

# A gate for vector ECX at EAX, of the kind DX.
p_set_gate:
    mov [P_IDT + 8 * ecx], ax
    mov word ptr [P_IDT + 8 * ecx + 2], P_CODE_SEL
    mov [P_IDT + 8 * ecx + 4], dx
    shr eax, 16
    mov [P_IDT + 8 * ecx + 6], ax
    ret

# The text at ESI.
p_say:
    mov dx, 0x3f8
2:  lodsb
    test al, al
    jz 3f
    out dx, al
    jmp 2b
3:  ret

# --- user code, at P_USER -----------------------------------------------------------------------------------------------
.org p_image + 0x2000
    mov eax, [P_T]
    int 0x31
.org p_image + 0x2020
    int 0x30
.org p_image + 0x2040
    mov dword ptr [P_T + 0x4000], 6
    int 0x31
.org p_image + 0x2060
    int 0x30
.org p_image + 0x2080
    mov eax, [P_T + 0x4000]
    mov [P_T + 0x9ff8], eax
    int 0x30

# --- a page that is code or data ------------------------------------------------------------------------------------------
.org p_image + 0x3000
    .fill 0x1000, 1, 0xc3
encore86_legacy_paging_end:
.code64
.text
