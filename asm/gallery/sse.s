# Tiles of SSE instructions.

# Sixteen bytes each, read with MOVDQU.
g_inverter: .long G_WHITE, G_WHITE, G_WHITE, G_WHITE
            .long G_WHITE, G_WHITE, G_WHITE, G_WHITE

# 19: C above, by stores at 4 bytes past a multiple of 16; below it C turned by half a turn, read and written the same
# way. Then the edges, 16 bytes across the page.
g_movdqu:
    mov rsi, r13
    mov rdi, r12
    mov ebp, G_N / 2
2:  movdqu xmm0, xmmword ptr [rsi]
    movdqu xmmword ptr [rdi], xmm0
    mov ecx, 4
3:  movdqu xmm1, xmmword ptr [rsi + rcx]
    movdqu xmmword ptr [rdi + rcx], xmm1
    add ecx, 16
    cmp ecx, G_ROW - 12
    jne 3b
    movdqu xmm15, xmmword ptr [rsi + G_ROW - 16]
    movdqu xmmword ptr [rdi + G_ROW - 16], xmm15
    g_next_row
    dec ebp
    jne 2b
    lea rsi, [rdi - G_PITCH]
    mov ebp, G_N / 2
4:  mov ecx, G_ROW - 16
    xor edx, edx
5:  movdqu xmm2, xmmword ptr [rsi + rcx] # back
    pshufd xmm2, xmm2, 0x1b
    movdqu xmmword ptr [rdi + rdx], xmm2
    add edx, 16
    sub ecx, 16
    jae 5b
    sub rsi, G_PITCH
    add rdi, G_PITCH
    dec ebp
    jne 4b
    mov rsi, r13
    g_edge 8
    mov ebp, G_N
6:  movdqu xmm8, xmmword ptr [rsi]
    movdqu xmmword ptr [rdi], xmm8
    g_next_row
    dec ebp
    jne 6b
    ret

# 20: C at the left, mirrored at the right.
g_movups:
    mov rsi, r13
    mov rdi, r12
    mov ebp, G_N
2:  xor ecx, ecx
    mov edx, G_ROW - 16
3:  movdqu xmm0, xmmword ptr [rsi + rcx]
    movups xmmword ptr [rdi + rcx], xmm0
    movups xmm9, xmmword ptr [rdi + rcx] # back
    pshufd xmm3, xmm9, 0x1b
    movups xmmword ptr [rdi + rdx], xmm3
    sub edx, 16
    add ecx, 16
    cmp ecx, G_ROW / 2
    jne 3b
    g_next_row
    dec ebp
    jne 2b
    ret

# 21: C in the first quarter, mirrored into the second; both reflected below and inverted.
g_movaps:
    movdqu xmm7, xmmword ptr [rip + g_inverter]
    mov rsi, r13
    mov rdi, r12
    mov ebp, G_N / 2
2:  xor ecx, ecx
    mov edx, G_ROW - 16
3:  movdqu xmm0, xmmword ptr [rsi + rcx]
    movaps xmmword ptr [rdi + rcx], xmm0
    movaps xmm1, xmmword ptr [rdi + rcx] # back
    pshufd xmm1, xmm1, 0x1b
    movaps xmmword ptr [rdi + rdx], xmm1
    sub edx, 16
    add ecx, 16
    cmp ecx, G_ROW / 2
    jne 3b
    g_next_row
    dec ebp
    jne 2b
    lea rsi, [rdi - G_PITCH]
    mov ebp, G_N / 2
4:  xor ecx, ecx
5:  movaps xmm10, xmmword ptr [rsi + rcx] # back
    pxor xmm10, xmm7
    movaps xmmword ptr [rdi + rcx], xmm10
    add ecx, 16
    cmp ecx, G_ROW
    jne 5b
    sub rsi, G_PITCH
    add rdi, G_PITCH
    dec ebp
    jne 4b
    ret

# 22: C, inverted in every other square of 16 by 16 pixels.
g_movntdq:
    movdqu xmm7, xmmword ptr [rip + g_inverter]
    mov rsi, r13
    mov rdi, r12
    xor ebp, ebp                      # y
2:  xor ecx, ecx
3:  movdqu xmm0, xmmword ptr [rsi + rcx]
    mov eax, ecx
    shr eax, 2
    xor eax, ebp
    test eax, 16
    je 4f
    pxor xmm0, xmm7
4:  movntdq xmmword ptr [rdi + rcx], xmm0
    add ecx, 16
    cmp ecx, G_ROW
    jne 3b
    g_next_row
    inc ebp
    cmp ebp, G_N
    jne 2b
    ret

# 23: C behind ribbed glass: each four pixels mirrored.
g_movntps:
    mov rsi, r13
    mov rdi, r12
    mov ebp, G_N
2:  xor ecx, ecx
3:  movdqu xmm0, xmmword ptr [rsi + rcx]
    pshufd xmm12, xmm0, 0x1b
    movntps xmmword ptr [rdi + rcx], xmm12
    add ecx, 16
    cmp ecx, G_ROW
    jne 3b
    g_next_row
    dec ebp
    jne 2b
    ret

# 24: C on and above the diagonal, mirrored at it below.
g_movd:
    mov rsi, r13
    mov rdi, r12
    xor ebp, ebp                      # y
2:  mov ecx, ebp
3:  mov eax, [rsi + rcx * 4]
    movd xmm8, eax
    movd dword ptr [rdi + rcx * 4], xmm8
    inc ecx
    cmp ecx, G_N
    jne 3b
    g_next_row
    inc ebp
    cmp ebp, G_N
    jne 2b
    mov rdi, r12
    xor ebp, ebp                      # y
4:  lea rsi, [r12 + rbp * 4]          # down the column of the same number
    xor ecx, ecx
5:  cmp ecx, ebp
    jae 6f
    movd xmm1, dword ptr [rsi]        # back
    movd dword ptr [rdi + rcx * 4], xmm1
    add rsi, G_PITCH
    inc ecx
    jmp 5b
6:  add rdi, G_PITCH
    inc ebp
    cmp ebp, G_N
    jne 4b
    ret

# 25: C in the first quarter, mirrored into the second; both reflected and inverted below. The row's last pair is stored
# by the other encoding, 66 REX.W 0F 7E.
g_movq:
    movdqu xmm7, xmmword ptr [rip + g_inverter]
    mov rsi, r13
    mov rdi, r12
    mov ebp, G_N / 2
2:  xor ecx, ecx
    mov edx, G_ROW - 8
3:  mov rax, [rsi + rcx]
    movq xmm0, rax
    movq qword ptr [rdi + rcx], xmm0
    movq xmm9, qword ptr [rdi + rcx]  # back
    pshufd xmm9, xmm9, 0xe1
    movq qword ptr [rdi + rdx], xmm9
    sub edx, 8
    add ecx, 8
    cmp ecx, G_ROW / 2
    jne 3b
    g_next_row
    dec ebp
    jne 2b
    lea rsi, [rdi - G_PITCH]
    mov ebp, G_N / 2
4:  xor ecx, ecx
5:  .byte 0x66, 0x48, 0x0f, 0x6e, 0x04, 0x0e # movq xmm0, [rsi + rcx], back
    pxor xmm0, xmm7
    .byte 0x66, 0x48, 0x0f, 0x7e, 0x04, 0x0f # movq [rdi + rcx], xmm0
    add ecx, 8
    cmp ecx, G_ROW
    jne 5b
    sub rsi, G_PITCH
    add rdi, G_PITCH
    dec ebp
    jne 4b
    ret

# 26: of each four pixels the low pair goes to the left half from left to right, the high pair to the right half from
# right to left. The lower half is the upper one reflected, with the pairs exchanged across.
g_movhps:
    mov rsi, r13
    mov rdi, r12
    mov ebp, G_N / 2
2:  xor ecx, ecx
    mov edx, G_ROW - 8
3:  movdqu xmm0, xmmword ptr [rsi + rcx * 2]
    movlpd qword ptr [rdi + rcx], xmm0
    movhps qword ptr [rdi + rdx], xmm0
    sub edx, 8
    add ecx, 8
    cmp ecx, G_ROW / 2
    jne 3b
    g_next_row
    dec ebp
    jne 2b
    lea rsi, [rdi - G_PITCH]
    mov ebp, G_N / 2
4:  xor ecx, ecx
    mov edx, G_ROW - 8
5:  movlpd xmm11, qword ptr [rsi + rcx] # back
    movhps xmm11, qword ptr [rsi + rdx] # back
    movhps qword ptr [rdi + rcx], xmm11
    movlpd qword ptr [rdi + rdx], xmm11
    sub edx, 8
    add ecx, 8
    cmp ecx, G_ROW / 2
    jne 5b
    sub rsi, G_PITCH
    add rdi, G_PITCH
    dec ebp
    jne 4b
    ret

# 27: C sixteen times in small: column 4i + j goes to 28j + i, and rows likewise.
g_pextrd:
    mov rsi, r13
    xor ebp, ebp                      # y
2:  mov eax, ebp
    mov edi, ebp
    and eax, 3
    shr edi, 2
    imul eax, eax, 28
    add edi, eax
    imul edi, edi, G_PITCH
    add rdi, r12
    xor ecx, ecx
3:  movdqu xmm13, xmmword ptr [rsi + rcx * 4]
    pextrd dword ptr [rdi + rcx], xmm13, 0
    pextrd dword ptr [rdi + rcx + 28 * 4], xmm13, 1
    pextrd dword ptr [rdi + rcx + 56 * 4], xmm13, 2
    pextrd dword ptr [rdi + rcx + 84 * 4], xmm13, 3
    add ecx, 4
    cmp ecx, 28 * 4
    jne 3b
    add rsi, G_ROW
    inc ebp
    cmp ebp, G_N
    jne 2b
    ret

# 28: C with all bytes selected, over it the inverse of C under a mask: blue, green, red, pixels 0 and 2, or nothing, by
# turns every 8 rows.
.balign 16
g_byte_masks:
    .rept 4
    .long 0x00000080
    .endr
    .rept 4
    .long 0x00008000
    .endr
    .rept 4
    .long 0x00ff0000
    .endr
    .long 0x00ffffff, 0x007f7f7f, 0x00808080, 0
    .long 0, 0x007f7f7f, 0x01010101, 0
g_byte_masks_end:
.balign 16
g_all_bytes: .long -1, -1, -1, -1

g_maskmovdqu:
    movdqu xmm6, xmmword ptr [rip + g_all_bytes]
    movdqu xmm7, xmmword ptr [rip + g_inverter]
    mov rsi, r13
    mov rbx, r12
    lea r8, [rip + g_byte_masks]
    lea r9, [rip + g_byte_masks_end]
    mov ebp, G_N
2:  movdqu xmm5, xmmword ptr [r8]
    xor ecx, ecx
3:  lea rdi, [rbx + rcx]
    movdqu xmm0, xmmword ptr [rsi + rcx]
    maskmovdqu xmm0, xmm6
    pxor xmm0, xmm7
    maskmovdqu xmm0, xmm5
    add ecx, 16
    cmp ecx, G_ROW
    jne 3b
    add rsi, G_ROW
    add rbx, G_PITCH
    dec ebp
    je 4f
    test ebp, 7
    jne 2b
    add r8, 16
    cmp r8, r9
    jne 2b
    lea r8, [rip + g_byte_masks]
    jmp 2b
4:  ret

# Halves every channel of the canvas, so that two pixels may be added.
g_halve_canvas:
    xor ecx, ecx
2:  mov eax, [r13 + rcx]
    shr eax, 1
    and eax, 0x7f7f7f
    mov [r13 + rcx], eax
    add ecx, 4
    cmp ecx, G_N * G_ROW
    jne 2b
    ret

# 29: half of C plus half of its mirror image, inverted in every other 8 rows. The half row and the inverter are put into
# the scratch registers by MOVDQU; PADDD and PXOR read them there; MOVDQU stores the sum.
g_paddd:
    call g_halve_canvas
    movdqu xmm7, xmmword ptr [rip + g_inverter]
    movdqu xmmword ptr [r14 + G_ROW], xmm7
    mov rsi, r13
    mov rdi, r12
    xor ebp, ebp                      # y
2:  xor ecx, ecx
3:  movdqu xmm0, xmmword ptr [rsi + rcx]
    movdqu xmmword ptr [r14 + rcx], xmm0
    add ecx, 16
    cmp ecx, G_ROW
    jne 3b
    xor ecx, ecx
    mov edx, G_ROW - 16
4:  movdqu xmm14, xmmword ptr [rsi + rdx]
    pshufd xmm14, xmm14, 0x1b
    paddd xmm14, xmmword ptr [r14 + rcx] # back
    test ebp, 8
    je 5f
    pxor xmm14, xmmword ptr [r14 + G_ROW] # back
5:  movdqu xmmword ptr [rdi + rcx], xmm14
    add ecx, 16
    sub edx, 16
    jae 4b
    g_next_row
    inc ebp
    cmp ebp, G_N
    jne 2b
    ret

# 32: columns 24 to 87 of C, as the sixteen XMM registers in the 512 bytes of FXSAVE. What it stores around them
# differs between processors, so the ground is painted over it.
g_fxsave:
    fninit
    mov rsi, r13
    mov rdi, r12
    mov eax, G_GROUND
    mov ebp, G_N
2:  .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    movdqu xmm\n, xmmword ptr [rsi + 24 * 4 + 16 * \n]
    .endr
    fxsave [rdi + 24 * 4 - 160]
    mov rcx, -64
3:  mov dword ptr [rdi + rcx], eax
    add rcx, 4
    cmp rcx, 24 * 4
    jne 3b
    mov ecx, 88 * 4
4:  mov dword ptr [rdi + rcx], eax
    add ecx, 4
    cmp ecx, G_ROW
    jne 4b
    g_next_row
    dec ebp
    jne 2b
    ret
