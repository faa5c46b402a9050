# Tiles of general-purpose instructions: moves, strings, stack, exchanges, read-modify-write.
#
# C is the canvas, P the picture. "Back" marks what is read from the device again.

# To the next row: RSI down the canvas, RDI down the framebuffer.
.macro g_next_row
    add rsi, G_ROW
    add rdi, G_PITCH
.endm

# 1: C above; below it its mirror image with the channels turned (B, G, R become G, R, B), byte by byte.
g_mov8:
    mov rsi, r13
    mov rdi, r12
    mov ebp, G_N / 2
2:  xor ecx, ecx
3:  mov eax, [rsi + rcx]
    mov byte ptr [rdi + rcx], al
    mov byte ptr [rdi + rcx + 1], ah
    shr eax, 16
    mov r8d, eax
    mov byte ptr [rdi + rcx + 2], r8b
    mov byte ptr [rdi + rcx + 3], 0
    add ecx, 4
    cmp ecx, G_ROW
    jne 3b
    g_next_row
    dec ebp
    jne 2b
    lea rsi, [rdi - G_PITCH]
    mov ebp, G_N / 2
4:  xor ecx, ecx
5:  movzx eax, byte ptr [rsi + rcx]   # back
    mov bh, byte ptr [rsi + rcx + 1]
    mov r10b, byte ptr [rsi + rcx + 2]
    mov byte ptr [rdi + rcx], bh
    mov byte ptr [rdi + rcx + 1], r10b
    mov byte ptr [rdi + rcx + 2], al
    mov byte ptr [rdi + rcx + 3], 0
    add ecx, 4
    cmp ecx, G_ROW
    jne 5b
    sub rsi, G_PITCH
    add rdi, G_PITCH
    dec ebp
    jne 4b
    ret

# 2: C at the left; at the right its mirror image, inverted.
g_mov16:
    mov rsi, r13
    mov rdi, r12
    mov ebp, G_N
2:  xor ecx, ecx
    mov edx, G_ROW - 4
3:  mov eax, [rsi + rcx]
    mov word ptr [rdi + rcx], ax
    shr eax, 16
    mov word ptr [rdi + rcx + 2], ax
    mov r8w, word ptr [rdi + rcx]     # back
    movzx r9d, word ptr [rdi + rcx + 2]
    xor r8d, 0xffff
    xor r9d, 0x00ff
    mov word ptr [rdi + rdx], r8w
    mov word ptr [rdi + rdx + 2], r9w
    sub edx, 4
    add ecx, 4
    cmp ecx, G_ROW / 2
    jne 3b
    g_next_row
    dec ebp
    jne 2b
    ret

# 3: a kaleidoscope: C in the first quarter, mirrored into the second, both mirrored below with the channels turned.
g_mov32:
    mov rsi, r13
    mov rdi, r12
    mov ebp, G_N / 2
2:  xor ecx, ecx
    mov edx, G_ROW - 4
3:  mov eax, [rsi + rcx]
    mov dword ptr [rdi + rcx], eax
    mov r8d, dword ptr [rdi + rcx]    # back
    mov dword ptr [rdi + rdx], r8d
    sub edx, 4
    add ecx, 4
    cmp ecx, G_ROW / 2
    jne 3b
    g_next_row
    dec ebp
    jne 2b
    lea rsi, [rdi - G_PITCH]
    mov ebp, G_N / 2
4:  xor ecx, ecx
5:  mov eax, dword ptr [rsi + rcx]    # back
    mov edx, eax
    shl eax, 8
    shr edx, 16
    or eax, edx
    and eax, 0xffffff
    mov dword ptr [rdi + rcx], eax
    add ecx, 4
    cmp ecx, G_ROW
    jne 5b
    sub rsi, G_PITCH
    add rdi, G_PITCH
    dec ebp
    jne 4b
    mov dword ptr [r12 + 55 * G_PITCH + 55 * 4], G_WHITE
    mov dword ptr [r12 + 55 * G_PITCH + 56 * 4], G_WHITE
    mov dword ptr [r12 + 56 * G_PITCH + 55 * 4], G_WHITE
    mov dword ptr [r12 + 56 * G_PITCH + 56 * 4], G_WHITE
    ret

# RDI: where bytes of the row at R12 cross the screen's right edge, and with it a page, after \half bytes.
.macro g_edge half
    mov rdi, r12
    and rdi, -G_PITCH
    add rdi, G_PITCH - \half
.endm

# 4: C above, turned by half a turn below. Then the edges of the screen beside this row of tiles: a store of 8 bytes
# each, one pixel before the page's end and one behind it.
g_mov64:
    mov rsi, r13
    mov rdi, r12
    mov ebp, G_N / 2
2:  xor ecx, ecx
3:  mov rax, [rsi + rcx]
    mov qword ptr [rdi + rcx], rax
    add ecx, 8
    cmp ecx, G_ROW
    jne 3b
    g_next_row
    dec ebp
    jne 2b
    lea rsi, [rdi - G_PITCH]
    mov ebp, G_N / 2
4:  mov ecx, G_ROW - 8
    xor edx, edx
5:  mov rax, qword ptr [rsi + rcx]    # back
    rol rax, 32
    mov qword ptr [rdi + rdx], rax
    add edx, 8
    sub ecx, 8
    jae 5b
    sub rsi, G_PITCH
    add rdi, G_PITCH
    dec ebp
    jne 4b
    mov rsi, r13
    g_edge 4
    mov ebp, G_N
6:  mov rax, [rsi]
    mov qword ptr [rdi], rax
    cmp qword ptr [rdi], rax          # back, across the page
    jne g_fail
    g_next_row
    dec ebp
    jne 6b
    ret

# 5: C at the left, inverted and mirrored at the right. A row uses RAX, the next EAX, AX, AL. The address of these
# forms is an immediate, so the loop writes it into the code.
.macro g_moffs name, reg
g_moffs_store_\name:
    movabs [0x1122334455667788], \reg
g_moffs_store_\name\()_end:
    ret
g_moffs_load_\name:
    movabs \reg, [0x1122334455667788]
g_moffs_load_\name\()_end:
    ret
.endm
    g_moffs 8, al
    g_moffs 16, ax
    g_moffs 32, eax
    g_moffs 64, rax

.macro g_moffs_row name, reg, flip, step
    movabs rdx, 0x00ffffff00ffffff    # all but the unused byte, turned to the unit at hand
    xor ecx, ecx
2:  mov \reg, [rsi + rcx]
    lea r8, [rdi + rcx]
    mov [rip + g_moffs_store_\name\()_end - 8], r8
    call g_moffs_store_\name
    xor eax, eax
    mov [rip + g_moffs_load_\name\()_end - 8], r8
    call g_moffs_load_\name           # back
    xor \reg, \flip
    .if \step == 8
    rol rax, 32
    mov r8d, G_ROW - 8
    sub r8d, ecx
    .else
    ror rdx, 8 * \step
    mov r8d, G_ROW - 4                # the mirrored pixel, the same part of it
    mov r9d, ecx
    and r9d, -4
    sub r8d, r9d
    mov r9d, ecx
    and r9d, 3
    add r8d, r9d
    .endif
    add r8, rdi
    mov [rip + g_moffs_store_\name\()_end - 8], r8
    call g_moffs_store_\name
    add ecx, \step
    cmp ecx, G_ROW / 2
    jne 2b
    g_next_row
.endm

g_moffs:
    mov rsi, r13
    mov rdi, r12
    mov ebp, G_N / 4
3:  g_moffs_row 64, rax, rdx, 8
    g_moffs_row 32, eax, edx, 4
    g_moffs_row 16, ax, dx, 2
    g_moffs_row 8, al, dl, 1
    dec ebp
    jne 3b
    ret

# 6: each run of 7 pixels in the colour of its first. Odd rows from right to left with DF set.
g_rep_stosd:
    mov rsi, r13
    mov r8, r12
    mov ebp, G_N / 2
2:  xor ebx, ebx
3:  lea rdi, [r8 + rbx]
    mov eax, [rsi + rbx]
    mov ecx, 7
    rep stosd
    add ebx, 28
    cmp ebx, G_ROW
    jne 3b
    xor ecx, ecx
    rep stosd                         # nothing
    add rsi, G_ROW
    add r8, G_PITCH
    mov ebx, G_ROW - 28
    std
4:  lea rdi, [r8 + rbx + 24]
    mov eax, [rsi + rbx]
    mov ecx, 7
    rep stosd
    sub ebx, 28
    jae 4b
    cld
    add rsi, G_ROW
    add r8, G_PITCH
    dec ebp
    jne 2b
    ret

# 7: C, each row in pieces of 5, 437 and 6 bytes; the lower half backward with DF set. Then each row comes back into
# RAM and is compared.
g_rep_movsb:
    mov r9, r13
    mov r8, r12
    mov ebp, G_N
2:  cmp ebp, G_N / 2
    jbe 3f
    mov rsi, r9
    mov rdi, r8
    mov ecx, 5
    rep movsb
    mov ecx, 437
    rep movsb
    mov ecx, 6
    rep movsb
    jmp 4f
3:  lea rsi, [r9 + G_ROW - 1]
    lea rdi, [r8 + G_ROW - 1]
    std
    mov ecx, 5
    rep movsb
    mov ecx, 437
    rep movsb
    mov ecx, 6
    rep movsb
    cld
4:  mov rsi, r8
    mov edi, G_ROWBUF
    mov ecx, G_ROW
    rep movsb                         # back
    xor ecx, ecx
5:  mov eax, [r9 + rcx]
    cmp eax, dword ptr [G_ROWBUF + rcx]
    jne g_fail
    add ecx, 4
    cmp ecx, G_ROW
    jne 5b
    add r9, G_ROW
    add r8, G_PITCH
    dec ebp
    jne 2b
    ret

# 8: C above, from RAM to the scratch registers and from there, device to device; below it its reflection with left and
# right halves exchanged, from framebuffer to framebuffer, the one half forward, the other backward.
g_rep_movsq:
    mov r9, r13
    mov r8, r12
    mov ebp, G_N / 2
2:  mov rsi, r9
    mov rdi, r14
    mov ecx, G_ROW / 8
    rep movsq
    mov rsi, r14
    mov rdi, r8
    mov ecx, G_ROW / 8
    rep movsq
    add r9, G_ROW
    add r8, G_PITCH
    dec ebp
    jne 2b
    lea r9, [r8 - G_PITCH]
    mov ebp, G_N / 2
3:  mov rsi, r9
    lea rdi, [r8 + G_ROW / 2]
    mov ecx, G_ROW / 16
    rep movsq
    lea rsi, [r9 + G_ROW - 8]
    lea rdi, [r8 + G_ROW / 2 - 8]
    mov ecx, G_ROW / 16
    std
    rep movsq
    cld
    sub r9, G_PITCH
    add r8, G_PITCH
    dec ebp
    jne 3b
    ret

# 9: C, even rows by 8 bytes, odd rows by 4 and from the right.
g_movnti:
    mov rsi, r13
    mov rdi, r12
    mov ebp, G_N / 2
2:  xor ecx, ecx
3:  mov rax, [rsi + rcx]
    movnti qword ptr [rdi + rcx], rax
    add ecx, 8
    cmp ecx, G_ROW
    jne 3b
    g_next_row
    mov ecx, G_ROW - 4
4:  mov eax, [rsi + rcx]
    movnti dword ptr [rdi + rcx], eax
    sub ecx, 4
    jae 4b
    g_next_row
    dec ebp
    jne 2b
    ret

# 10: what was pushed last is popped first: the even rows of the upper half are C with its pairs of pixels from right to
# left, the odd rows are C (in words, popped downward). The lower half is the upper one, reflected, pushed from the
# device and popped into it. Then the edges, popped across the page.
g_push_pop:
    mov rsi, r13
    mov rdi, r12
    mov ebp, G_N / 4
2:  xor ecx, ecx
3:  push qword ptr [rsi + rcx]
    add ecx, 8
    cmp ecx, G_ROW
    jne 3b
    xor ecx, ecx
4:  pop qword ptr [rdi + rcx]
    add ecx, 8
    cmp ecx, G_ROW
    jne 4b
    g_next_row
    xor ecx, ecx
5:  push word ptr [rsi + rcx]
    add ecx, 2
    cmp ecx, G_ROW
    jne 5b
    mov ecx, G_ROW - 2
6:  pop word ptr [rdi + rcx]
    sub ecx, 2
    jae 6b
    g_next_row
    dec ebp
    jne 2b
    lea rsi, [rdi - G_PITCH]
    mov ebp, G_N / 2
7:  xor ecx, ecx
8:  push qword ptr [rsi + rcx]        # back
    pop qword ptr [rdi + rcx]
    add ecx, 8
    cmp ecx, G_ROW
    jne 8b
    sub rsi, G_PITCH
    add rdi, G_PITCH
    dec ebp
    jne 7b
    mov rsi, r13
    g_edge 4
    mov ebp, G_N
9:  push qword ptr [rsi]
    pop qword ptr [rdi]
    g_next_row
    dec ebp
    jne 9b
    ret

# 11: the stack itself lies in the framebuffer. The upper half is C, pushed from right to left; each pair of pixels is
# fetched by a call whose return address lands where they go. The lower half is the upper one with each pair in the
# place of the one across, popped and pushed.
g_stack:
    mov rbx, rsp
    mov rsi, r13
    mov rdi, r12
    mov ebp, G_N / 2
2:  lea rsp, [rdi + G_ROW]
    mov ecx, G_ROW - 8
3:  call g_stack_pair
    push rax
    sub ecx, 8
    jae 3b
    cmp rsp, rdi
    jne 8f
    g_next_row
    dec ebp
    jne 2b
    lea rsi, [rdi - G_PITCH]
    mov ebp, G_N / 2
4:  mov r8, rsi                       # popping upward from here
    lea r9, [rdi + G_ROW]             # pushing downward from here
5:  mov rsp, r8
    pop rax                           # back
    pop r10
    pop rcx
    pop rdx
    mov r8, rsp
    mov rsp, r9
    push rax
    push r10
    push rcx
    push rdx
    mov r9, rsp
    cmp r9, rdi
    jne 5b
    sub rsi, G_PITCH
    add rdi, G_PITCH
    dec ebp
    jne 4b
    mov rsp, rbx
    ret
8:  mov rsp, rbx
    jmp g_fail

g_stack_pair:
    mov rax, [rsi + rcx]
    ret

# 12: C by XCHG of 8, 4, 2, 1 bytes, row by row, each returning the ground. Then rows 28 to 83 are mirrored by
# exchanging pixels.
.macro g_xchg_row acc, ground, step
    xor ecx, ecx
2:  mov \acc, [rsi + rcx]
    xchg [rdi + rcx], \acc
    cmp \acc, \ground                 # back
    jne g_fail
    ror rdx, (8 * \step) % 64
    add ecx, \step
    cmp ecx, G_ROW
    jne 2b
    g_next_row
.endm
g_xchg:
    movabs rdx, G_GROUNDS             # turned to the unit at hand
    mov rsi, r13
    mov rdi, r12
    mov ebp, G_N / 4
3:  g_xchg_row rax, rdx, 8
    g_xchg_row eax, edx, 4
    g_xchg_row ax, dx, 2
    g_xchg_row al, dl, 1
    dec ebp
    jne 3b
    lea rdi, [r12 + 28 * G_PITCH]
    mov ebp, 56
4:  xor ecx, ecx
    mov edx, G_ROW - 4
5:  xor eax, eax
    xchg dword ptr [rdi + rcx], eax
    xchg dword ptr [rdi + rdx], eax
    xchg dword ptr [rdi + rcx], eax
    test eax, eax                     # the zero comes back
    jne g_fail
    sub edx, 4
    add ecx, 4
    cmp ecx, G_ROW / 2
    jne 5b
    add rdi, G_PITCH
    dec ebp
    jne 4b
    ret

# 13: the ground, raised to C by LOCK XADD of C - ground in 8, 4, 2, 1 bytes, row by row. The lower half reads the upper
# one by adding nothing and is its reflection.
.macro g_xadd_row acc, ground, step
    xor ecx, ecx
2:  mov \acc, [rsi + rcx]
    sub \acc, \ground
    lock xadd [rdi + rcx], \acc
    cmp \acc, \ground
    jne g_fail
    ror rdx, (8 * \step) % 64
    add ecx, \step
    cmp ecx, G_ROW
    jne 2b
    g_next_row
.endm
.macro g_xadd_reflect acc, ground, step
    xor ecx, ecx
2:  xor eax, eax
    lock xadd [rsi + rcx], \acc       # back
    sub \acc, \ground
    lock xadd [rdi + rcx], \acc
    cmp \acc, \ground
    jne g_fail
    ror rdx, (8 * \step) % 64
    add ecx, \step
    cmp ecx, G_ROW
    jne 2b
    sub rsi, G_PITCH
    add rdi, G_PITCH
.endm
g_xadd:
    movabs rdx, G_GROUNDS
    mov rsi, r13
    mov rdi, r12
    mov ebp, G_N / 8
3:  g_xadd_row rax, rdx, 8
    g_xadd_row eax, edx, 4
    g_xadd_row ax, dx, 2
    g_xadd_row al, dl, 1
    dec ebp
    jne 3b
    lea rsi, [rdi - G_PITCH]
    mov ebp, G_N / 8
4:  g_xadd_reflect rax, rdx, 8
    g_xadd_reflect eax, edx, 4
    g_xadd_reflect ax, dx, 2
    g_xadd_reflect al, dl, 1
    dec ebp
    jne 4b
    ret

# 14: C by LOCK CMPXCHG of 8, 4, 2, 1 bytes, row by row: first against a wrong value, which must fail and bring back the
# ground, then against that.
.macro g_cmpxchg_row acc, ground, new, step
    xor ecx, ecx
2:  mov \new, [rsi + rcx]
    mov \acc, \ground
    not \acc
    lock cmpxchg [rdi + rcx], \new
    je g_fail
    cmp \acc, \ground                 # back
    jne g_fail
    lock cmpxchg [rdi + rcx], \new
    jne g_fail
    ror rdx, (8 * \step) % 64
    add ecx, \step
    cmp ecx, G_ROW
    jne 2b
    g_next_row
.endm
g_cmpxchg:
    movabs rdx, G_GROUNDS
    mov rsi, r13
    mov rdi, r12
    mov ebp, G_N / 4
3:  g_cmpxchg_row rax, rdx, rbx, 8
    g_cmpxchg_row eax, edx, ebx, 4
    g_cmpxchg_row ax, dx, bx, 2
    g_cmpxchg_row al, dl, bl, 1
    dec ebp
    jne 3b
    ret

# 15: C above, by a failing and a succeeding LOCK CMPXCHG8B; below it C turned by half a turn, read from the device by a
# compare with zero that fails.
g_cmpxchg8b:
    mov rsi, r13
    mov rdi, r12
    mov r8d, G_N / 2
2:  xor ebp, ebp
3:  mov eax, ~G_GROUND
    mov edx, G_GROUND
    xor ebx, ebx
    xor ecx, ecx
    lock cmpxchg8b qword ptr [rdi + rbp]
    je g_fail
    cmp eax, G_GROUND                 # back
    jne g_fail
    cmp edx, G_GROUND
    jne g_fail
    mov ebx, [rsi + rbp]
    mov ecx, [rsi + rbp + 4]
    lock cmpxchg8b qword ptr [rdi + rbp]
    jne g_fail
    add ebp, 8
    cmp ebp, G_ROW
    jne 3b
    g_next_row
    dec r8d
    jne 2b
    lea rsi, [rdi - G_PITCH]
    mov r8d, G_N / 2
4:  xor ebp, ebp
    mov r9d, G_ROW - 8
5:  xor eax, eax
    xor edx, edx
    xor ebx, ebx
    xor ecx, ecx
    lock cmpxchg8b qword ptr [rsi + r9] # back
    mov ebx, edx
    mov ecx, eax
    mov eax, G_GROUND
    mov edx, G_GROUND
    lock cmpxchg8b qword ptr [rdi + rbp]
    jne g_fail
    sub r9d, 8
    add ebp, 8
    cmp ebp, G_ROW
    jne 5b
    sub rsi, G_PITCH
    add rdi, G_PITCH
    dec r8d
    jne 4b
    ret

# 16: the same with LOCK CMPXCHG16B.
g_cmpxchg16b:
    mov rsi, r13
    mov rdi, r12
    movabs r10, G_GROUNDS
    mov r8d, G_N / 2
2:  xor ebp, ebp
3:  mov rax, r10
    mov rdx, r10
    not rdx
    xor ebx, ebx
    xor ecx, ecx
    lock cmpxchg16b xmmword ptr [rdi + rbp]
    je g_fail
    cmp rax, r10                      # back
    jne g_fail
    cmp rdx, r10
    jne g_fail
    mov rbx, [rsi + rbp]
    mov rcx, [rsi + rbp + 8]
    lock cmpxchg16b xmmword ptr [rdi + rbp]
    jne g_fail
    add ebp, 16
    cmp ebp, G_ROW
    jne 3b
    g_next_row
    dec r8d
    jne 2b
    lea rsi, [rdi - G_PITCH]
    mov r8d, G_N / 2
4:  xor ebp, ebp
    mov r9d, G_ROW - 16
5:  xor eax, eax
    xor edx, edx
    xor ebx, ebx
    xor ecx, ecx
    lock cmpxchg16b xmmword ptr [rsi + r9] # back
    mov rbx, rdx
    mov rcx, rax
    rol rbx, 32
    rol rcx, 32
    mov rax, r10
    mov rdx, r10
    lock cmpxchg16b xmmword ptr [rdi + rbp]
    jne g_fail
    sub r9d, 16
    add ebp, 16
    cmp ebp, G_ROW
    jne 5b
    sub rsi, G_PITCH
    add rdi, G_PITCH
    dec r8d
    jne 4b
    ret

# Each of the next two has a body for one row; the unit's offset is in RCX, its size \step, the data at RSI.
.macro g_units step, first:vararg
    xor ecx, ecx
2:  \first
.endm
.macro g_units_end step
    add ecx, \step
    cmp ecx, G_ROW
    jne 2b
    g_next_row
.endm

# 17: the ground becomes C by arithmetic in place, eight ways by turns of the row.
g_arithmetic:
    mov rsi, r13
    mov rdi, r12
    mov ebx, G_GROUND
    movabs rdx, G_GROUNDS
    mov ebp, G_N / 8
3:
    g_units 4, mov eax, [rsi + rcx]
    sub eax, ebx
    add dword ptr [rdi + rcx], eax
    g_units_end 4
    g_units 8, mov rax, [rsi + rcx]
    sub rax, rdx
    lock add qword ptr [rdi + rcx], rax
    g_units_end 8
    g_units 4, mov eax, ebx
    sub eax, [rsi + rcx]
    sub dword ptr [rdi + rcx], eax
    g_units_end 4
    g_units 1, mov al, byte ptr [rsi + rcx]
    sub al, dl
    add byte ptr [rdi + rcx], al
    ror rdx, 8
    g_units_end 1
    g_units 2, mov ax, word ptr [rsi + rcx]
    sub ax, dx
    lock add word ptr [rdi + rcx], ax
    ror rdx, 16
    g_units_end 2
    g_units 4, mov eax, [rsi + rcx]   # one too few, then one more
    sub eax, ebx
    dec eax
    add dword ptr [rdi + rcx], eax
    inc dword ptr [rdi + rcx]
    g_units_end 4
    g_units 8, mov rax, [rsi + rcx]   # one too many, then one less
    sub rax, rdx
    inc rax
    add qword ptr [rdi + rcx], rax
    lock dec qword ptr [rdi + rcx]
    g_units_end 8
    g_units 4, mov eax, [rsi + rcx]   # -C, then its negative
    neg eax
    sub eax, ebx
    add dword ptr [rdi + rcx], eax
    neg dword ptr [rdi + rcx]
    g_units_end 4
    dec ebp
    jne 3b
    ret

# 18: the ground becomes C by logic in place, four ways by turns of the row; then NOT and XOR invert the pixels beyond the
# diagonal from the lower left to the upper right.
g_logic:
    mov rsi, r13
    mov rdi, r12
    movabs rdx, G_GROUNDS
    mov ebp, G_N / 4
3:
    g_units 4, mov eax, [rsi + rcx]
    and dword ptr [rdi + rcx], 0
    or dword ptr [rdi + rcx], eax
    g_units_end 4
    g_units 8, mov rax, [rsi + rcx]
    xor rax, rdx
    lock xor qword ptr [rdi + rcx], rax
    g_units_end 8
    g_units 2, mov ax, word ptr [rsi + rcx]
    xor ax, dx
    not ax
    not word ptr [rdi + rcx]
    xor word ptr [rdi + rcx], ax
    ror rdx, 16
    g_units_end 2
    g_units 1, mov al, byte ptr [rsi + rcx]
    lock and byte ptr [rdi + rcx], 0
    lock or byte ptr [rdi + rcx], al
    g_units_end 1
    dec ebp
    jne 3b
    mov rdi, r12
    mov ebx, G_N                      # first pixel beyond, and rows left
4:  mov ecx, ebx
5:  cmp ecx, G_N
    jae 6f
    not dword ptr [rdi + rcx * 4]
    xor dword ptr [rdi + rcx * 4], 0xff000000
    inc ecx
    jmp 5b
6:  add rdi, G_PITCH
    dec ebx
    jne 4b
    ret
