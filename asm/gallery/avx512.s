# Tiles of AVX-512 instructions (F; VMOVDQU8 needs BW).

# All sixteen doublewords of \zmm = \colour.
.macro g_broadcast zmm, colour
    mov eax, \colour
    vpbroadcastd \zmm, eax
.endm

# 40: C above, inverted and reflected below, read back.
g_vmovdqu64:
    g_broadcast zmm23, G_WHITE
    mov rsi, r13
    mov rdi, r12
    mov ebp, G_N / 2
2:  xor ecx, ecx
3:  vmovdqu64 zmm16, zmmword ptr [rsi + rcx]
    vmovdqu64 zmmword ptr [rdi + rcx], zmm16
    add ecx, 64
    cmp ecx, G_ROW
    jne 3b
    g_next_row
    dec ebp
    jne 2b
    lea rsi, [rdi - G_PITCH]
    mov ebp, G_N / 2
4:  xor ecx, ecx
5:  vmovdqu64 zmm1, zmmword ptr [rsi + rcx] # back
    vpxord zmm31, zmm1, zmm23
    vmovdqu64 zmmword ptr [rdi + rcx], zmm31
    add ecx, 64
    cmp ecx, G_ROW
    jne 5b
    sub rsi, G_PITCH
    add rdi, G_PITCH
    dec ebp
    jne 4b
    vzeroupper
    ret

# 41: C, inverted in every other 16 rows. A tile begins 32 bytes past a multiple of 64, so its first and last 8 pixels go
# by 32 bytes, those between by 64.
g_vmovntdq_zmm:
    g_broadcast zmm23, G_WHITE
    vpxord zmm24, zmm24, zmm24
    mov rsi, r13
    mov rdi, r12
    xor ebp, ebp                      # y
2:  vmovdqa64 zmm2, zmm24
    test ebp, 16
    je 3f
    vmovdqa64 zmm2, zmm23
3:  vmovdqu64 zmm0, zmmword ptr [rsi]
    vpxord zmm0, zmm0, zmm2
    vmovntdq ymmword ptr [rdi], ymm0
    mov ecx, 32
4:  vmovdqu64 zmm17, zmmword ptr [rsi + rcx]
    vpxord zmm17, zmm17, zmm2
    vmovntdq zmmword ptr [rdi + rcx], zmm17
    add ecx, 64
    cmp ecx, G_ROW - 32
    jne 4b
    vmovdqu ymm3, ymmword ptr [rsi + rcx]
    vpxord zmm3, zmm3, zmm2
    vmovntdq ymmword ptr [rdi + rcx], ymm3
    g_next_row
    inc ebp
    cmp ebp, G_N
    jne 2b
    vzeroupper
    ret

# 42: above, C in diagonal stripes of 8 pixels under K1, its inverse between them under K2. Below, the reflection of that,
# loaded under K1: even rows with zeros for what is masked off, odd rows merged into a dark blue. Then the edges, 64
# bytes across the page, without the first and the last pixel; and at the framebuffer's end a load and a store whose
# masked lanes lie on a page that does not exist.
g_vmovdqu32:
    g_broadcast zmm23, G_WHITE
    g_broadcast zmm24, 0x00203040
    mov rsi, r13
    mov rdi, r12
    mov ebx, 0x00ff00ff               # the mask twice, turned by one each row
    mov ebp, G_N / 2
2:  kmovw k1, ebx
    knotw k2, k1
    xor ecx, ecx
3:  vmovdqu32 zmm0, zmmword ptr [rsi + rcx]
    vmovdqu32 zmmword ptr [rdi + rcx]{k1}, zmm0
    vpxord zmm18, zmm0, zmm23
    vmovdqu32 zmmword ptr [rdi + rcx]{k2}, zmm18
    add ecx, 64
    cmp ecx, G_ROW
    jne 3b
    rol ebx, 1
    g_next_row
    dec ebp
    jne 2b
    lea rsi, [rdi - G_PITCH]
    mov ebp, G_N / 4
4:  kmovw k3, ebx
    xor ecx, ecx
5:  vmovdqu32 zmm19{k3}{z}, zmmword ptr [rsi + rcx] # back
    vmovdqu32 zmmword ptr [rdi + rcx], zmm19
    add ecx, 64
    cmp ecx, G_ROW
    jne 5b
    rol ebx, 1
    sub rsi, G_PITCH
    add rdi, G_PITCH
    kmovw k3, ebx
    xor ecx, ecx
6:  vmovdqa64 zmm4, zmm24
    vmovdqu32 zmm4{k3}, zmmword ptr [rsi + rcx] # back
    vmovdqu32 zmmword ptr [rdi + rcx], zmm4
    add ecx, 64
    cmp ecx, G_ROW
    jne 6b
    rol ebx, 1
    sub rsi, G_PITCH
    add rdi, G_PITCH
    dec ebp
    jne 4b
    mov eax, 0x7ffe
    kmovw k7, eax
    mov rsi, r13
    g_edge 32
    mov ebp, G_N
7:  vmovdqu32 zmm0, zmmword ptr [rsi]
    vmovdqu32 zmmword ptr [rdi]{k7}, zmm0
    g_next_row
    dec ebp
    jne 7b
    mov eax, 0x000f
    kmovw k4, eax
    mov edi, G_FB_END - 16
    vmovdqu32 zmm20{k4}{z}, zmmword ptr [rdi] # back
    vmovdqu32 zmmword ptr [rdi]{k4}, zmm20
    vmovdqu32 zmmword ptr [G_ROWBUF], zmm20
    vzeroupper
    xor ecx, ecx
8:  mov eax, G_GROUND
    cmp ecx, 16
    jb 9f
    xor eax, eax
9:  cmp dword ptr [G_ROWBUF + rcx], eax
    jne g_fail
    add ecx, 4
    cmp ecx, 64
    jne 8b
    ret

# 43: above, C under a mask of ones, over it its inverse in blue, green, red, or all of every other pair of pixels, by
# turns every 8 rows. Below, the reflection of that, loaded under the same masks by row.
.balign 8
g_quad_masks:
    .quad 0x1111111111111111, 0x2222222222222222, 0x4444444444444444, 0x7700770077007700
g_vmovdqu8:
    g_broadcast zmm23, G_WHITE
    mov rax, -1
    kmovq k1, rax
    lea rbx, [rip + g_quad_masks]
    mov rsi, r13
    mov rdi, r12
    xor ebp, ebp                      # y
2:  mov eax, ebp
    shr eax, 3
    and eax, 3
    mov rax, [rbx + rax * 8]
    kmovq k5, rax
    xor ecx, ecx
3:  vmovdqu8 zmm0, zmmword ptr [rsi + rcx]
    vmovdqu8 zmmword ptr [rdi + rcx]{k1}, zmm0
    vpxord zmm21, zmm0, zmm23
    vmovdqu8 zmmword ptr [rdi + rcx]{k5}, zmm21
    add ecx, 64
    cmp ecx, G_ROW
    jne 3b
    g_next_row
    inc ebp
    cmp ebp, G_N / 2
    jne 2b
    lea rsi, [rdi - G_PITCH]
4:  mov eax, ebp
    shr eax, 3
    and eax, 3
    mov rax, [rbx + rax * 8]
    kmovq k6, rax
    xor ecx, ecx
5:  vmovdqu8 zmm22{k6}{z}, zmmword ptr [rsi + rcx] # back
    vmovdqu8 zmmword ptr [rdi + rcx], zmm22
    add ecx, 64
    cmp ecx, G_ROW
    jne 5b
    sub rsi, G_PITCH
    add rdi, G_PITCH
    inc ebp
    cmp ebp, G_N
    jne 4b
    vzeroupper
    ret

# 44: half of C plus one of sixteen tints, which VMOVDQU64 put into the scratch registers; a tint for two rows. The first
# pixel of each sixteen is masked off and stays half of C.
g_vpaddd_bcst:
    call g_halve_canvas
    xor ecx, ecx
2:  mov edx, 15
    sub edx, ecx
    imul eax, ecx, 0x070000
    imul edx, edx, 7
    add eax, edx
    mov dword ptr [G_ROWBUF + rcx * 4], eax
    inc ecx
    cmp ecx, 16
    jne 2b
    vmovdqu64 zmm0, zmmword ptr [G_ROWBUF]
    vmovdqu64 zmmword ptr [r14], zmm0
    mov eax, 0xfffe
    kmovw k1, eax
    mov rsi, r13
    mov rdi, r12
    xor ebp, ebp                      # y
3:  mov ebx, ebp
    shr ebx, 1
    and ebx, 15
    xor ecx, ecx
4:  vmovdqu64 zmm1, zmmword ptr [rsi + rcx]
    vmovdqa64 zmm25, zmm1
    vpaddd zmm25{k1}, zmm1, dword ptr [r14 + rbx * 4]{1to16} # back
    vmovdqu64 zmmword ptr [rdi + rcx], zmm25
    add ecx, 64
    cmp ecx, G_ROW
    jne 4b
    g_next_row
    inc ebp
    cmp ebp, G_N
    jne 3b
    vzeroupper
    ret

# 45: C twice at half width: the pixels of a mask at the left, the others at the right. The mask takes every other pixel,
# pair, or four, by turns every 8 rows.
g_half_masks:
    .short 0x5555, 0x3333, 0x0f0f
g_half_masks_end:
g_vpcompressd:
    lea rbx, [rip + g_half_masks]
    mov r8, rbx
    lea r9, [rip + g_half_masks_end]
    mov rsi, r13
    mov rdi, r12
    mov ebp, G_N
2:  movzx eax, word ptr [r8]
    kmovw k1, eax
    knotw k2, k1
    xor ecx, ecx
3:  vmovdqu32 zmm26, zmmword ptr [rsi + rcx * 2]
    vpcompressd zmmword ptr [rdi + rcx]{k1}, zmm26
    vpcompressd zmmword ptr [rdi + rcx + G_ROW / 2]{k2}, zmm26
    add ecx, 32
    cmp ecx, G_ROW / 2
    jne 3b
    g_next_row
    dec ebp
    je 4f
    test ebp, 7
    jne 2b
    add r8, 2
    cmp r8, r9
    jne 2b
    mov r8, rbx
    jmp 2b
4:  vzeroupper
    ret

# 46: the middle half of C's columns, expanded from the scratch registers, which VMOVDQU32 fills with one row: by turns
# every 16 rows each pixel twice, or each eight twice.
g_vpexpandd:
    mov rsi, r13
    mov rdi, r12
    xor ebp, ebp                      # y
2:  xor ecx, ecx
3:  vmovdqu32 zmm0, zmmword ptr [rsi + rcx]
    vmovdqu32 zmmword ptr [r14 + rcx], zmm0
    add ecx, 64
    cmp ecx, G_ROW
    jne 3b
    mov eax, 0x5555
    test ebp, 16
    je 4f
    mov eax, 0x00ff
4:  kmovw k1, eax
    knotw k2, k1
    xor ecx, ecx
5:  vpexpandd zmm27{k1}{z}, zmmword ptr [r14 + rcx + 28 * 4] # back
    vpexpandd zmm27{k2}, zmmword ptr [r14 + rcx + 28 * 4] # back
    vmovdqu32 zmmword ptr [rdi + rcx * 2], zmm27
    add ecx, 32
    cmp ecx, G_ROW / 2
    jne 5b
    g_next_row
    inc ebp
    cmp ebp, G_N
    jne 2b
    vzeroupper
    ret

# 47: C with rows and columns exchanged: a row of C goes down a column, even lanes first, then odd ones. Last, lanes 0 to
# 14 all go to the column's top, where the highest of them, lane 14, stays.
.balign 4
g_down:
    .set g_lane, 0
    .rept 16
    .long g_lane * G_PITCH / 4
    .set g_lane, g_lane + 1
    .endr
g_vpscatterdd:
    vmovdqu32 zmm12, zmmword ptr [rip + g_down]
    vpxord zmm13, zmm13, zmm13
    mov rsi, r13
    mov rbx, r12
    mov ebp, G_N
2:  xor ecx, ecx
    mov rdi, rbx
3:  vmovdqu32 zmm0, zmmword ptr [rsi + rcx]
    mov eax, 0x5555
    kmovw k1, eax
    knotw k2, k1
    vpscatterdd dword ptr [rdi + zmm12 * 4]{k1}, zmm0
    vpscatterdd dword ptr [rdi + zmm12 * 4]{k2}, zmm0
    add rdi, 16 * G_PITCH
    add ecx, 64
    cmp ecx, G_ROW
    jne 3b
    mov eax, 0x7fff
    kmovw k3, eax
    vmovdqu32 zmm30, zmmword ptr [rsi]
    vpscatterdd dword ptr [rbx + zmm13 * 4]{k3}, zmm30
    add rsi, G_ROW
    add rbx, 4
    dec ebp
    jne 2b
    vzeroupper
    ret

# 48: C from doublewords that each hold one byte of it under rubbish; over it the inverse in blue, green, red, or the first
# pixel and half the second, by turns every 8 rows.
g_short_masks:
    .short 0x1111, 0x2222, 0x4444, 0x0037
g_vpmovdb:
    g_broadcast zmm23, 0xa5a5a500
    g_broadcast zmm24, 0xff
    mov rsi, r13
    mov rdi, r12
    lea rbx, [rip + g_short_masks]
    xor ebp, ebp                      # y
2:  mov eax, ebp
    shr eax, 3
    and eax, 3
    movzx eax, word ptr [rbx + rax * 2]
    kmovw k1, eax
    xor ecx, ecx
3:  vpmovzxbd zmm5, xmmword ptr [rsi + rcx]
    vpord zmm5, zmm5, zmm23
    vpmovdb xmmword ptr [rdi + rcx], zmm5
    vpxord zmm16, zmm5, zmm24
    vpmovdb xmmword ptr [rdi + rcx]{k1}, zmm16
    add ecx, 16
    cmp ecx, G_ROW
    jne 3b
    g_next_row
    inc ebp
    cmp ebp, G_N
    jne 2b
    vzeroupper
    ret
