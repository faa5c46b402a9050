# Tiles of AVX and AVX2 instructions.

# 33: C above, inverted and reflected below, read back. Then the edges, 32 bytes across the page.
g_vmovdqu:
    vmovdqu ymm7, ymmword ptr [rip + g_inverter]
    mov rsi, r13
    mov rdi, r12
    mov ebp, G_N / 2
2:  xor ecx, ecx
3:  vmovdqu ymm0, ymmword ptr [rsi + rcx]
    vmovdqu ymmword ptr [rdi + rcx], ymm0
    add ecx, 32
    cmp ecx, G_ROW
    jne 3b
    g_next_row
    dec ebp
    jne 2b
    lea rsi, [rdi - G_PITCH]
    mov ebp, G_N / 2
4:  xor ecx, ecx
5:  vmovdqu ymm9, ymmword ptr [rsi + rcx] # back
    vxorps ymm10, ymm9, ymm7
    vmovdqu ymmword ptr [rdi + rcx], ymm10
    add ecx, 32
    cmp ecx, G_ROW
    jne 5b
    sub rsi, G_PITCH
    add rdi, G_PITCH
    dec ebp
    jne 4b
    mov rsi, r13
    g_edge 16
    mov ebp, G_N
6:  vmovdqu ymm15, ymmword ptr [rsi]
    vmovdqu ymmword ptr [rdi], ymm15
    g_next_row
    dec ebp
    jne 6b
    vzeroupper
    ret

# 34: C, inverted in every other square of 8 by 8 pixels.
g_vmovntdq:
    vmovdqu ymm7, ymmword ptr [rip + g_inverter]
    mov rsi, r13
    mov rdi, r12
    xor ebp, ebp                      # y
2:  xor ecx, ecx
3:  vmovdqu ymm8, ymmword ptr [rsi + rcx]
    mov eax, ecx
    shr eax, 2
    xor eax, ebp
    test eax, 8
    je 4f
    vxorps ymm8, ymm8, ymm7
4:  vmovntdq ymmword ptr [rdi + rcx], ymm8
    add ecx, 32
    cmp ecx, G_ROW
    jne 3b
    g_next_row
    inc ebp
    cmp ebp, G_N
    jne 2b
    vzeroupper
    ret

# 35: C twice at half width: the low halves of the registers at the left, the high ones at the right.
g_vextractf128:
    mov rsi, r13
    mov rdi, r12
    mov ebp, G_N
2:  xor ecx, ecx
3:  vmovdqu ymm11, ymmword ptr [rsi + rcx * 2]
    vextractf128 xmmword ptr [rdi + rcx], ymm11, 0
    vextractf128 xmmword ptr [rdi + rcx + G_ROW / 2], ymm11, 1
    add ecx, 16
    cmp ecx, G_ROW / 2
    jne 3b
    g_next_row
    dec ebp
    jne 2b
    vzeroupper
    ret

# 36: half of C plus half of its reflection, which VMOVDQU put into the scratch registers at an odd address; inverted by
# VPXOR in every other 8 columns' worth of pixels.
g_vpaddd:
    call g_halve_canvas
    vmovdqu ymm7, ymmword ptr [rip + g_inverter]
    vmovdqu ymmword ptr [r14 + 512], ymm7
    mov rsi, r13
    lea rbx, [r13 + (G_N - 1) * G_ROW]
    mov rdi, r12
    mov ebp, G_N
2:  xor ecx, ecx
3:  vmovdqu ymm0, ymmword ptr [rbx + rcx]
    vmovdqu ymmword ptr [r14 + rcx + 1], ymm0
    add ecx, 32
    cmp ecx, G_ROW
    jne 3b
    xor ecx, ecx
4:  vmovdqu ymm1, ymmword ptr [rsi + rcx]
    vpaddd ymm12, ymm1, ymmword ptr [r14 + rcx + 1] # back
    test ecx, 32
    je 5f
    vpxor ymm12, ymm12, ymmword ptr [r14 + 512] # back
5:  vmovdqu ymmword ptr [rdi + rcx], ymm12
    add ecx, 32
    cmp ecx, G_ROW
    jne 4b
    sub rbx, G_ROW
    g_next_row
    dec ebp
    jne 2b
    vzeroupper
    ret

# Masked moves: the row's mask, a doubleword a pixel, all ones or zero, at G_ROWBUF, from y in EBP.
g_mask_stripes:                       # (x + y) / 8 odd
    xor ecx, ecx
2:  lea eax, [rcx + rbp]
    shr eax, 3
    and eax, 1
    neg eax
    mov dword ptr [G_ROWBUF + rcx * 4], eax
    inc ecx
    cmp ecx, G_N
    jne 2b
    ret
g_mask_rings:                         # (u² + v²) / 1024 odd
    lea edx, [rbp + rbp - (G_N - 1)]
    imul edx, edx
    xor ecx, ecx
2:  lea eax, [rcx + rcx - (G_N - 1)]
    imul eax, eax
    add eax, edx
    shr eax, 10
    and eax, 1
    neg eax
    mov dword ptr [G_ROWBUF + rcx * 4], eax
    inc ecx
    cmp ecx, G_N
    jne 2b
    ret

# 37, 38: above, C under the mask and its inverse under the inverse mask. Below, the reflection of that, loaded under
# the mask (what is masked off is black), stored under one of ones. At the last four pixels of the framebuffer, the
# masked half of a load and of a store lies on a page that does not exist.
.macro g_masked_tile move, mask
    vmovdqu ymm7, ymmword ptr [rip + g_inverter]
    vmovdqu xmm6, xmmword ptr [rip + g_all_bytes]
    mov rsi, r13
    mov rdi, r12
    xor ebp, ebp                      # y
2:  call \mask
    xor ecx, ecx
3:  vmovdqu ymm8, ymmword ptr [G_ROWBUF + rcx]
    vmovdqu ymm0, ymmword ptr [rsi + rcx]
    \move ymmword ptr [rdi + rcx], ymm8, ymm0
    vinsertf128 ymm1, ymm6, xmm6, 1
    vxorps ymm8, ymm8, ymm1
    vxorps ymm0, ymm0, ymm7
    \move ymmword ptr [rdi + rcx], ymm8, ymm0
    add ecx, 32
    cmp ecx, G_ROW
    jne 3b
    g_next_row
    inc ebp
    cmp ebp, G_N / 2
    jne 2b
    lea rsi, [rdi - G_PITCH]
4:  call \mask
    xor ecx, ecx
    vinsertf128 ymm9, ymm6, xmm6, 1
5:  vmovdqu ymm8, ymmword ptr [G_ROWBUF + rcx]
    \move ymm10, ymm8, ymmword ptr [rsi + rcx] # back
    \move ymmword ptr [rdi + rcx], ymm9, ymm10
    add ecx, 32
    cmp ecx, G_ROW
    jne 5b
    sub rsi, G_PITCH
    add rdi, G_PITCH
    inc ebp
    cmp ebp, G_N
    jne 4b
    mov edi, G_FB_END - 16
    \move ymm10, ymm6, ymmword ptr [rdi] # back
    \move ymmword ptr [rdi], ymm6, ymm10
    vmovdqu ymmword ptr [G_ROWBUF], ymm10
    vzeroupper
    xor ecx, ecx
6:  mov eax, G_GROUND
    cmp ecx, 16
    jb 7f
    xor eax, eax
7:  cmp dword ptr [G_ROWBUF + rcx], eax
    jne g_fail
    add ecx, 4
    cmp ecx, 32
    jne 6b
    ret
.endm
g_vmaskmovps:
    g_masked_tile vmaskmovps, g_mask_stripes
g_vpmaskmovd:
    g_masked_tile vpmaskmovd, g_mask_rings

# 39: the middle of C, twice as large, gathered from the scratch registers, which VMOVDQU fills with one row of C. On
# every sixteenth diagonal the lanes are masked off and stay white. Indices are negative, from the row's end.
g_vpgatherdd:
    vmovdqu ymm7, ymmword ptr [rip + g_inverter]
    lea rsi, [r13 + 28 * G_ROW]
    mov rdi, r12
    lea rbx, [r14 + G_ROW]
    xor ebp, ebp                      # y
2:  xor ecx, ecx
3:  vmovdqu ymm0, ymmword ptr [rsi + rcx]
    vmovdqu ymmword ptr [r14 + rcx], ymm0
    add ecx, 32
    cmp ecx, G_ROW
    jne 3b
    xor edx, edx                      # x
4:  xor ecx, ecx                      # lane
5:  lea eax, [rdx + rcx]
    shr eax, 1
    sub eax, G_N - 28
    mov dword ptr [G_ROWBUF + rcx * 4], eax
    lea eax, [rdx + rcx]
    add eax, ebp
    and eax, 15
    neg eax
    sar eax, 31
    mov dword ptr [G_ROWBUF + 32 + rcx * 4], eax
    inc ecx
    cmp ecx, 8
    jne 5b
    vmovdqu ymm13, ymmword ptr [G_ROWBUF]
    vmovdqu ymm2, ymmword ptr [G_ROWBUF + 32]
    vmovdqu ymm3, ymm7
    vpgatherdd ymm3, dword ptr [rbx + ymm13 * 4], ymm2 # back
    vmovdqu ymmword ptr [rdi + rdx * 4], ymm3
    add edx, 8
    cmp edx, G_N
    jne 4b
    add rdi, G_PITCH
    inc ebp
    test ebp, 1
    jne 2b
    add rsi, G_ROW
    cmp ebp, G_N
    jne 2b
    vzeroupper
    ret
