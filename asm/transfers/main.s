# The guest `transfers`: runs a list of cases, each of which ends in an exception or interrupt, and prints what that left behind.
#
# It is firmware: 64 KiB that the processor starts in at reset, mirrored below 1 MiB. It copies itself to T_BASE and runs there, in
# protected mode without paging (the runner). For each case it
#
# - builds page tables, clears the work area, and writes there what the world of the case has in common (descriptor tables, task
#   states, code) and then the case's own patches, which may go anywhere;
# - goes to the case's world (real mode; protected mode with paging, virtual-8086 mode as part of it; IA-32e mode), loads its
#   registers, and returns into it by IRET.
#
# Whatever the case does, it ends at a vector. The stub there saves the registers (capture), and goes back to the runner, which
# prints a line: case, vector, registers, and every doubleword of the work area that is not what it was. All to port 0xe9, as text.
#
# The header's places are written by whoever makes the image. In the runner, EBP is T_BASE. All names begin with t_ or T_.

.set T_BASE,     0x10000
.set T_WORK,     0x20000
.set T_SIZE,     0x8000               # of the work area
.set T_SNAP,     0x28000              # what it was before the case ran
.set T_TABLES,   0x40000              # page tables
.set T_STACK,    0x50000              # the runner's
.set T_REC,      0x51000              # registers saved
.set T_LAST,     0x50                 # vectors that have stubs
# In the work area, as every world has them.
.set T_GDT,      T_WORK
.set T_IDT,      T_WORK + 0x1000
.set T_DATA,     T_WORK + 0x5000
.set T_TARGET,   T_WORK + 0x6800
.set T_TR,       0x50
.set T_LDTR,     0x60
# A case.
.set T_KIND,     0                    # 0 real mode, 1 protected mode, 2 IA-32e mode
.set T_PATCHES,  4
.set T_RIP,      8
.set T_RSP,      16
.set T_FLAGS,    24
.set T_CS,       28
.set T_SS,       30
.set T_DS,       32                   # ES, FS and GS behind it
.set T_RAX,      40                   # RCX, RDX, RBX behind it
.set T_CR0,      72
.set T_CR4,      76
.set T_DR0,      80
.set T_DR1,      84
.set T_DR7,      88
.set T_CASE,     96
# Registers saved: quadwords RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, RFLAGS, CR2, then doublewords.
.set T_R_FLAGS,  64
.set T_R_CR2,    72
.set T_R_CR0,    80
.set T_R_DR6,    84
.set T_R_DR7,    88
.set T_R_VECTOR, 92
.set T_R_SEG,    96                   # CS, SS, DS, ES, FS, GS, TR, LDTR: words
.set T_R_BELOW,  112                  # linear address and bytes of what the stub pushed
.set T_R_BYTES,  116

.section .rodata.encore86_transfers, "a", @progbits
.p2align 12
.globl encore86_transfers_start
.globl encore86_transfers_end
.hidden encore86_transfers_start
.hidden encore86_transfers_end
encore86_transfers_start:
t_image:

# --- header -------------------------------------------------------------------------------------------------------
# Written by whoever makes the image: cases and the first of them; patches of the three worlds and the first of each.
.set T_CASES, T_BASE
.set T_WORLDS, T_BASE + 8
    .long 0, 0, 0, 0, 0, 0, 0, 0
# Where the stubs are, for the makers of interrupt tables: 32-bit, 64-bit, 16-bit ones; trap logs of 32 and of 64 bits.
    .long t_stubs32 - t_image, t_stubs64 - t_image, t_stubs16 - t_image, t_log32 - t_image, t_log64 - t_image
# Places that are reached without a name.
.org t_image + 0x40
.set T_GDTR, 0x40
    .word 0x37
    .long T_BASE + 0x60
.org t_image + 0x48
.set T_CASE_GDTR, 0x48
    .word 0x3ff
    .long T_GDT
.org t_image + 0x50
.set T_CASE_IDTR, 0x50
    .word 0xfff
    .long T_IDT
.org t_image + 0x58
.set T_REAL_IDTR, 0x58
    .word 0x3ff
    .long 0
.org t_image + 0x60
t_gdt:
    .quad 0
    .quad 0x00cf9b000000ffff          # 08: code
    .quad 0x00cf93000000ffff          # 10: data
    .quad 0x00009b000000ffff + (T_BASE << 16) # 18: the image as code of 16 bits
    .quad 0x000093000000ffff          # 20: data of 16 bits
    .quad 0x00af9b000000ffff          # 28: code of 64 bits
.set T_TASK, 0x90
    .quad 0x0000890510800067 # 30: a task state, without which IA-32e mode is not entered
.org t_image + 0x98
.set T_REAL, 0x98                     # address of the launch of real mode
    .long t_launch16 - t_image
    .word 0x18
.org t_image + 0xa0
.set T_LONG, 0xa0
    .long T_BASE + (t_launch64 - t_image)
    .word 0x28
.org t_image + 0xa8
.set T_COMPAT, 0xa8
    .long T_BASE + (t_captured64 - t_image)
    .word 0x08

.org t_image + 0xb0
.set T_LISTS, 0xb0
    .long T_BASE + (t_msrs - t_image), T_BASE + (t_shutdown - t_image)

# --- from reset ---------------------------------------------------------------------------------------------------
.org t_image + 0x100
.code16
t_boot:
    cli
    cld
    mov ax, 0xf000
    mov ds, ax
    mov ax, 0x1000
    mov es, ax
    xor si, si
    xor di, di
    mov cx, 0x8000
    rep movsw
    .byte 0xea                        # to the copy
    .word t_copied - t_image, 0x1000
t_copied:
    mov al, 0xff                      # no interrupts from outside
    out 0x21, al
    out 0xa1, al
    mov ax, 0x1000
    mov ds, ax
    .byte 0x66
    lgdt [T_GDTR]
    mov eax, 0x11
    mov cr0, eax
    .byte 0x66, 0xea
    .long T_BASE + (t_runner - t_image)
    .word 0x08

# --- the runner ---------------------------------------------------------------------------------------------------
.code32
t_runner:
    mov eax, 0x10
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov esp, T_STACK
    mov ebp, T_BASE
    # Registers of system calls.
    mov esi, [ebp + T_LISTS]
2:  mov ecx, [esi]
    jecxz 3f
    mov eax, [esi + 4]
    mov edx, [esi + 8]
    wrmsr
    add esi, 12
    jmp 2b
3:  mov ebx, [T_CASES + 4]
    xor edi, edi
t_next:
    cmp edi, [T_CASES]
    jae t_end
    push edi
    push ebx
    call t_prepare
    mov ebx, [esp]
    cmp dword ptr [ebx + T_KIND], 1
    jb t_real
    je t_protected
    jmp t_long
t_captured:                           # the stubs come back here, on the runner's stack as it was
    mov eax, 0x10
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov esp, T_STACK - 8
    mov ebp, T_BASE
    push 2
    popfd
    and byte ptr [ebp + T_TASK + 5], 0xfd # no case's task state
    mov eax, 0x30
    ltr ax
    call t_unpush
    mov eax, [esp + 4]
    mov ecx, 3
    call t_print
    call t_report
    pop ebx
    pop edi
    inc edi
    # The next case lies behind this one's patches.
    mov ecx, [ebx + T_PATCHES]
    lea esi, [ebx + T_CASE]
    jecxz 3f
2:  mov eax, [esi + 4]
    add eax, 11
    and eax, -4
    add esi, eax
    loop 2b
3:  mov ebx, esi
    jmp t_next

t_end:
    mov al, 'e'
    out 0xe9, al
    mov al, 10
    out 0xe9, al
    mov eax, 0x10                     # ends qemu and the library's machine
    out 0xf4, eax
    mov esi, [ebp + T_LISTS + 4]
    mov dx, 0x8900                    # ends bochs
    mov ecx, 8
    rep outsb
2:  hlt
    jmp 2b
t_shutdown:
    .ascii "Shutdown"
t_msrs:
    .long 0x174, 0x08, 0              # SYSENTER_CS
    .long 0x175, T_WORK + 0x3000, 0   # SYSENTER_ESP
    .long 0x176, T_TARGET, 0          # SYSENTER_EIP
    .long 0xc0000081, T_TARGET, 0x00300028 # STAR
    .long 0xc0000082, T_TARGET, 0     # LSTAR
    .long 0xc0000083, T_TARGET, 0     # CSTAR
    .long 0xc0000084, 0x47700, 0      # FMASK
    .long 0

# Memory as the case in EBX wants it.
t_prepare:
    xor eax, eax
    mov edi, T_WORK
    mov ecx, T_SIZE / 4
    rep stosd
    # Page tables map the lowest 2 MiB to themselves, for everyone: one table of 32-bit entries in a directory, or four levels.
    mov edi, T_TABLES
    mov ecx, 0x4000 / 4
    rep stosd
    mov eax, 7
    cmp dword ptr [ebx + T_KIND], 2
    mov edi, T_TABLES + 0x3000
    mov edx, 8
    mov dword ptr [T_TABLES], T_TABLES + 0x1007
    mov dword ptr [T_TABLES + 0x1000], T_TABLES + 0x2007
    mov dword ptr [T_TABLES + 0x2000], T_TABLES + 0x3007
    je 2f
    mov dword ptr [T_TABLES], T_TABLES + 0x3007
    mov edx, 4
2:  mov [edi], eax
    add edi, edx
    add eax, 0x1000
    cmp eax, 0x200007
    jb 2b
    # What the world has, then what the case has.
    mov eax, [ebx + T_KIND]
    mov ecx, [T_WORLDS + eax * 8]
    mov esi, [T_WORLDS + eax * 8 + 4]
    call t_patch
    mov ecx, [ebx + T_PATCHES]
    lea esi, [ebx + T_CASE]
    call t_patch
    mov eax, 0xffff0ff0
    mov dr6, eax
    mov eax, [ebx + T_DR0]
    mov dr0, eax
    mov eax, [ebx + T_DR1]
    mov dr1, eax
    ret

# Writes ECX patches from ESI on.
t_patch:
    jecxz 3f
2:  push ecx
    mov edi, [esi]
    mov ecx, [esi + 4]
    add esi, 8
    rep movsb
    add esi, 3
    and esi, -4
    pop ecx
    loop 2b
3:  ret

# Remembers the work area.
t_snapshot:
    push esi
    push edi
    push ecx
    mov esi, T_WORK
    mov edi, T_SNAP
    mov ecx, T_SIZE / 4
    rep movsd
    pop ecx
    pop edi
    pop esi
    ret

# Takes back what the stub pushed.
t_unpush:
    mov edi, [T_REC + T_R_BELOW]
    mov ecx, [T_REC + T_R_BYTES]
    cmp edi, T_WORK
    jb 3f
    lea eax, [edi + ecx]
    cmp eax, T_WORK + T_SIZE
    ja 3f
    lea esi, [edi + (T_SNAP - T_WORK)]
    rep movsb
3:  ret

# --- the report ---------------------------------------------------------------------------------------------------
# Prints ECX digits of EAX and a space.
t_print:
    push edx
    mov edx, eax
    shl ecx, 2
2:  sub ecx, 4
    mov eax, edx
    shr eax, cl
    and eax, 15
    add al, '0'
    cmp al, '9'
    jbe 3f
    add al, 'a' - '0' - 10
3:  out 0xe9, al
    test ecx, ecx
    jnz 2b
    mov al, ' '
    out 0xe9, al
    pop edx
    ret

# Prints the quadword at ESI, its upper half if that is not 0, and moves ESI behind it.
t_quad:
    mov eax, [esi + 4]
    mov ecx, 8
    test eax, eax
    jz 2f
    call t_print
    mov ecx, 8
2:  mov eax, [esi]
    add esi, 8
    jmp t_print

t_report:
    mov eax, [T_REC + T_R_VECTOR]
    mov ecx, 2
    call t_print
    mov esi, T_REC + T_R_SEG
    mov edi, 8
2:  movzx eax, word ptr [esi]
    mov ecx, 4
    call t_print
    add esi, 2
    dec edi
    jnz 2b
    mov esi, T_REC
    mov edi, 10
2:  call t_quad
    dec edi
    jnz 2b
    mov edi, 3
2:  mov eax, [esi]
    mov ecx, 8
    call t_print
    add esi, 4
    dec edi
    jnz 2b
    # The work area.
    mov esi, T_WORK
2:  mov eax, [esi]
    cmp eax, [esi + (T_SNAP - T_WORK)]
    je 3f
    mov eax, esi
    mov ecx, 5
    call t_print
    mov eax, [esi]
    mov ecx, 8
    call t_print
3:  add esi, 4
    cmp esi, T_WORK + T_SIZE
    jb 2b
    mov al, 10
    out 0xe9, al
    ret

# --- protected mode -----------------------------------------------------------------------------------------------
t_protected:
    lgdt [ebp + T_CASE_GDTR]
    lidt [ebp + T_CASE_IDTR]
    mov eax, T_TR
    ltr ax
    mov eax, T_LDTR
    lldt ax
    # A frame of five or, to virtual-8086 mode, nine entries on the runner's stack; one of three on the case's, if it stays at CPL 0.
    test dword ptr [ebx + T_FLAGS], 0x20000
    jz 2f
    movzx eax, word ptr [ebx + T_DS + 6]
    push eax
    movzx eax, word ptr [ebx + T_DS + 4]
    push eax
    movzx eax, word ptr [ebx + T_DS]
    push eax
    movzx eax, word ptr [ebx + T_DS + 2]
    push eax
    jmp 3f
2:  test word ptr [ebx + T_CS], 3
    jnz 3f
    mov esi, [ebx + T_RSP]
    sub esi, 12
    mov eax, [ebx + T_RIP]
    mov [esi], eax
    movzx eax, word ptr [ebx + T_CS]
    mov [esi + 4], eax
    mov eax, [ebx + T_FLAGS]
    mov [esi + 8], eax
    call t_snapshot
    call t_paging
    movzx eax, word ptr [ebx + T_SS]
    mov ss, eax
    mov esp, esi
    jmp 4f
3:  movzx eax, word ptr [ebx + T_SS]
    push eax
    push dword ptr [ebx + T_RSP]
    push dword ptr [ebx + T_FLAGS]
    movzx eax, word ptr [ebx + T_CS]
    push eax
    push dword ptr [ebx + T_RIP]
    call t_snapshot
    call t_paging
4:  test dword ptr [ebx + T_FLAGS], 0x20000
    jnz 5f
    mov es, word ptr [ebx + T_DS + 2]
    mov fs, word ptr [ebx + T_DS + 4]
    mov gs, word ptr [ebx + T_DS + 6]
5:  mov eax, [ebx + T_RAX]
    mov ecx, [ebx + T_RAX + 8]
    mov edx, [ebx + T_RAX + 16]
    mov esi, T_DATA
    mov edi, T_DATA + 0x100
    mov ebp, 0xb0b0
    test dword ptr [ebx + T_FLAGS], 0x20000
    jnz 6f
    mov ds, word ptr [ebx + T_DS]
6:  mov ebx, cs:[ebx + T_RAX + 24]
    iretd

# Turns on paging as the case wants it, and its breakpoints.
t_paging:
    mov eax, T_TABLES
    mov cr3, eax
    mov eax, [ebx + T_CR4]
    mov cr4, eax
    mov eax, [ebx + T_CR0]
    or eax, 0x80000031                # PG, NE, ET, PE
    mov cr0, eax
    mov eax, [ebx + T_DR7]
    mov dr7, eax
    ret

t_common32:                           # vector, and the frame above it
    pushfd
    push eax
    mov eax, cs
    test al, 3
    jz 2f
    pop eax                           # a handler without privilege: by another way
    popfd
    int 0x42
2:  .byte 0x1e                        # push ds, of 32 bits
    mov eax, 0x10
    mov ds, eax
    pop eax
    mov [T_REC + T_R_SEG + 4], ax
    pop eax
    mov [T_REC], eax
    pop eax
    mov [T_REC + T_R_FLAGS], eax
    pop eax
    mov [T_REC + T_R_VECTOR], eax
    mov [T_REC + 8], ecx
    mov [T_REC + 16], edx
    mov [T_REC + 24], ebx
    mov [T_REC + 32], esp
    mov [T_REC + 40], ebp
    mov [T_REC + 48], esi
    mov [T_REC + 56], edi
    xor eax, eax
    mov ecx, 10
2:  mov [T_REC + ecx * 8 - 4], eax
    loop 2b
    lea eax, [esp - 16]
    mov dword ptr [T_REC + T_R_BYTES], 16
t_capture:                            # also of 64-bit mode, when that has gone to compatibility mode
    mov [T_REC + T_R_BELOW], eax
    mov eax, cr0
    mov [T_REC + T_R_CR0], eax
    mov eax, dr7
    mov [T_REC + T_R_DR7], eax
    mov eax, 0x400
    mov dr7, eax
    mov eax, dr6
    mov [T_REC + T_R_DR6], eax
    mov eax, cr2
    mov [T_REC + T_R_CR2], eax
    mov [T_REC + T_R_SEG], cs
    mov [T_REC + T_R_SEG + 2], ss
t_segments:
    mov [T_REC + T_R_SEG + 6], es
    mov [T_REC + T_R_SEG + 8], fs
    mov [T_REC + T_R_SEG + 10], gs
    str [T_REC + T_R_SEG + 12]
    sldt [T_REC + T_R_SEG + 14]
t_leave:
    mov esi, T_BASE                   # not EBP: SS can be anything
    mov eax, cr4
    and eax, 0xff7fffff               # CET, which WP goes with
    mov cr4, eax
    lgdt [esi + T_GDTR]
    mov eax, 0x11
    mov cr0, eax
    xor eax, eax
    mov cr2, eax
    mov cr4, eax
    .byte 0xea
    .long T_BASE + (t_captured - t_image)
    .word 0x08

# A handler that notes where a trap came and returns: EIP, flags and DR6 go to a list in the work area.
t_log32:
    push eax
    push ebx
    mov ebx, cs:[T_WORK + 0x7000]
    mov eax, [esp + 8]
    mov ss:[ebx], eax
    mov eax, [esp + 16]
    mov ss:[ebx + 4], eax
    mov eax, dr6
    mov ss:[ebx + 8], eax
    mov eax, 0xffff0ff0
    mov dr6, eax
    add ebx, 12
    mov ss:[T_WORK + 0x7000], ebx
    pop ebx
    pop eax
    iretd

.set T_N, 0
.p2align 4
t_stubs32:
.rept T_LAST
    .byte 0xf3, 0x0f, 0x1e, 0xfb           # ENDBR32
    .byte 0x6a, T_N
    jmp t_common32
.p2align 4
.set T_N, T_N + 1
.endr

# --- real mode ----------------------------------------------------------------------------------------------------
t_real:
    lidt [ebp + T_REAL_IDTR]
    # A frame on the case's stack.
    movzx esi, word ptr [ebx + T_SS]
    shl esi, 4
    add esi, [ebx + T_RSP]
    mov eax, [ebx + T_RIP]
    mov [esi - 6], ax
    mov ax, [ebx + T_CS]
    mov [esi - 4], ax
    mov eax, [ebx + T_FLAGS]
    mov [esi - 2], ax
    call t_snapshot
    mov eax, [ebx + T_DR7]
    mov dr7, eax
    jmp fword ptr [ebp + T_REAL]
.code16
t_launch16:
    mov ax, 0x20
    mov ds, ax
    mov es, ax
    mov fs, ax
    mov gs, ax
    mov ss, ax
    mov eax, 0x10
    mov cr0, eax
    .byte 0xea
    .word t_real16 - t_image, 0x1000
t_real16:
    sub ebx, T_BASE                   # the case lies in the image
    mov ax, 0x1000
    mov ds, ax
    mov es, [bx + T_DS + 2]
    mov fs, [bx + T_DS + 4]
    mov gs, [bx + T_DS + 6]
    mov ss, [bx + T_SS]
    mov esp, [bx + T_RSP]
    sub sp, 6
    mov eax, [bx + T_RAX]
    mov ecx, [bx + T_RAX + 8]
    mov edx, [bx + T_RAX + 16]
    mov esi, 0x5000
    mov edi, 0x5100
    mov ebp, 0xb0b0
    mov ds, [bx + T_DS]
    mov ebx, cs:[bx + T_RAX + 24]
    iret

t_common16:
    pushf
    push eax
    push ds
    mov ax, T_REC >> 4
    mov ds, ax
    pop ax
    mov [T_R_SEG + 4], ax
    xor eax, eax
    mov [T_R_CR2], eax
    mov [T_R_SEG + 12], eax
    pop eax
    mov [0], eax
    xor eax, eax
    pop ax
    mov [T_R_FLAGS], eax
    pop ax
    mov [T_R_VECTOR], eax
    mov [8], ecx
    mov [16], edx
    mov [24], ebx
    mov [32], esp
    mov [40], ebp
    mov [48], esi
    mov [56], edi
    xor eax, eax
    mov si, 80
2:  sub si, 8
    mov [si + 4], eax
    jnz 2b
    mov [T_R_SEG], cs
    mov [T_R_SEG + 2], ss
    mov [T_R_SEG + 6], es
    mov [T_R_SEG + 8], fs
    mov [T_R_SEG + 10], gs
    mov ax, ss
    shl eax, 4
    movzx ecx, sp
    lea eax, [eax + ecx - 10]
    mov [T_R_BELOW], eax
    mov dword ptr [T_R_BYTES], 10
    mov eax, cr0
    mov [T_R_CR0], eax
    mov eax, dr7
    mov [T_R_DR7], eax
    mov eax, 0x400
    mov dr7, eax
    mov eax, dr6
    mov [T_R_DR6], eax
    mov ax, 0x1000
    mov ds, ax
    .byte 0x66
    lgdt [T_GDTR]
    mov eax, 0x11
    mov cr0, eax
    .byte 0x66, 0xea
    .long T_BASE + (t_captured - t_image)
    .word 0x08

.set T_N, 0
.p2align 3
t_stubs16:
.rept T_LAST
    .byte 0x6a, T_N
    jmp t_common16
.p2align 3
.set T_N, T_N + 1
.endr

# --- IA-32e mode --------------------------------------------------------------------------------------------------
.code32
t_long:
    lgdt [ebp + T_CASE_GDTR]
    lidt [ebp + T_CASE_IDTR]
    mov eax, T_TR                     # a task state of 32 bits here, of 64 bits there
    ltr ax
    mov eax, T_LDTR
    lldt ax
    call t_snapshot
    or dword ptr [ebx + T_CR4], 0x20  # PAE
    mov ecx, 0xc0000080
    mov eax, 0x101                    # LME, SCE
    xor edx, edx
    wrmsr
    call t_paging
    jmp fword ptr [ebp + T_LONG]
.code64
t_launch64:
    mov ebx, ebx
    mov esp, esp
    movzx eax, word ptr [rbx + T_SS]
    push rax
    push qword ptr [rbx + T_RSP]
    mov eax, [rbx + T_FLAGS]
    push rax
    movzx eax, word ptr [rbx + T_CS]
    push rax
    push qword ptr [rbx + T_RIP]
    mov ds, word ptr [rbx + T_DS]
    mov es, word ptr [rbx + T_DS + 2]
    mov fs, word ptr [rbx + T_DS + 4]
    mov gs, word ptr [rbx + T_DS + 6]
    mov rax, [rbx + T_RAX]
    mov rcx, [rbx + T_RAX + 8]
    mov rdx, [rbx + T_RAX + 16]
    mov esi, T_DATA
    mov edi, T_DATA + 0x100
    mov ebp, 0xb0b0
    mov rbx, [rbx + T_RAX + 24]
    iretq

t_common64:
    pushfq
    push rax
    mov eax, cs
    test al, 3
    jz 2f
    pop rax
    popfq
    int 0x42
2:  pop rax
    mov [T_REC], rax
    pop rax
    mov [T_REC + T_R_FLAGS], rax
    pop rax
    mov [T_REC + T_R_VECTOR], eax
    mov [T_REC + 8], rcx
    mov [T_REC + 16], rdx
    mov [T_REC + 24], rbx
    mov [T_REC + 32], rsp
    mov [T_REC + 40], rbp
    mov [T_REC + 48], rsi
    mov [T_REC + 56], rdi
    mov rax, cr2
    mov [T_REC + T_R_CR2], rax
    mov [T_REC + T_R_SEG], cs
    mov [T_REC + T_R_SEG + 2], ss
    mov [T_REC + T_R_SEG + 4], ds
    mov rax, cr0
    mov [T_REC + T_R_CR0], eax
    mov rax, dr7
    mov [T_REC + T_R_DR7], eax
    mov eax, 0x400
    mov dr7, rax
    mov rax, dr6
    mov [T_REC + T_R_DR6], eax
    lea rax, [rsp - 24]
    mov [T_REC + T_R_BELOW], eax
    mov rax, cr4
    and eax, 0xff7fffff               # CET, before the far jump
    mov cr4, rax
    mov dword ptr [T_REC + T_R_BYTES], 24
    mov ebp, T_BASE
    mov eax, 0x10
    mov ss, eax
    mov esp, T_STACK - 8
    jmp fword ptr [rbp + T_COMPAT]
.code32
t_captured64:
    mov eax, 0x10
    mov ds, eax
    mov [T_REC + T_R_SEG + 6], es
    mov [T_REC + T_R_SEG + 8], fs
    mov [T_REC + T_R_SEG + 10], gs
    str [T_REC + T_R_SEG + 12]
    sldt [T_REC + T_R_SEG + 14]
    lgdt [ebp + T_GDTR]
    mov eax, 0x11
    mov cr0, eax
    mov ecx, 0xc0000080
    xor eax, eax
    xor edx, edx
    wrmsr
    jmp t_leave

.code64
t_log64:
    push rax
    push rbx
    mov rbx, [T_WORK + 0x7000]
    mov rax, [rsp + 16]
    mov [rbx], eax
    mov rax, [rsp + 32]
    mov [rbx + 4], eax
    mov rax, dr6
    mov [rbx + 8], eax
    mov eax, 0xffff0ff0
    mov dr6, rax
    add rbx, 12
    mov [T_WORK + 0x7000], rbx
    pop rbx
    pop rax
    iretq

.set T_N, 0
.p2align 4
t_stubs64:
.rept T_LAST
    .byte 0xf3, 0x0f, 0x1e, 0xfa           # ENDBR64
    .byte 0x6a, T_N
    jmp t_common64
.p2align 4
.set T_N, T_N + 1
.endr
t_code_end:

# What is appended goes here; the reset vector is at the end of 64 KiB.
encore86_transfers_end:
.code64
