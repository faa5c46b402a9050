# What the tiles carry to the device: a palette, and patterns drawn with it on the canvas in RAM.

# SINE[i]: one period of a parabola wave around 128, in integers.
g_make_sine:
    xor ecx, ecx
2:  mov eax, 128
    sub eax, ecx
    imul eax, ecx
    imul eax, eax, 31
    shr eax, 10
    lea edx, [rax + 128]
    mov byte ptr [G_SINE + rcx], dl
    mov edx, 128
    sub edx, eax
    mov byte ptr [G_SINE + 128 + rcx], dl
    inc ecx
    cmp ecx, 128
    jne 2b
    ret

# PALETTE: from each of the record's four colours to the next (the fourth to the first) in 64 steps.
g_make_palette:
    mov edi, G_PALETTE
    xor ebx, ebx                      # segment
2:  mov r8d, [rbp + G_COLOURS + rbx * 4]
    inc ebx
    mov eax, ebx
    and eax, 3
    mov r9d, [rbp + G_COLOURS + rax * 4]
    xor ecx, ecx                      # step
3:  xor r10d, r10d                    # the mixed colour, from the top channel down
    mov edx, 16
4:  mov esi, ecx
    mov ecx, edx
    mov eax, r9d
    shr eax, cl
    and eax, 0xff
    mov r11d, r8d
    shr r11d, cl
    and r11d, 0xff
    mov ecx, esi
    sub eax, r11d                     # from + (to - from) * step / 64
    imul eax, ecx
    sar eax, 6
    add eax, r11d
    shl r10d, 8
    or r10d, eax
    sub edx, 8
    jae 4b
    mov dword ptr [rdi], r10d
    add rdi, 4
    inc ecx
    cmp ecx, 64
    jne 3b
    cmp ebx, 4
    jne 2b
    ret

# CANVAS: the record's pattern. A pattern gets x, y in R8D, R9D, the centred 2x - 111, 2y - 111 in R10D, R11D and its
# parameter in ESI. It returns a palette index in AL; EAX, ECX and EDX are its own.
g_make_canvas:
    movzx ebx, word ptr [rbp + G_PATTERN]
    lea rax, [rip + g_start]
    add rbx, rax
    movzx esi, word ptr [rbp + G_PARAM]
    mov rdi, r13
    xor r9d, r9d
2:  lea r11d, [r9 + r9 - (G_N - 1)]
    xor r8d, r8d
3:  lea r10d, [r8 + r8 - (G_N - 1)]
    call rbx
    movzx eax, al
    mov eax, dword ptr [G_PALETTE + rax * 4]
    mov dword ptr [rdi], eax
    add rdi, 4
    inc r8d
    cmp r8d, G_N
    jne 3b
    inc r9d
    cmp r9d, G_N
    jne 2b
    ret

g_xor:                                # ((x ^ y) * p) / 4
    mov eax, r8d
    xor eax, r9d
    imul eax, esi
    shr eax, 2
    ret

g_and:                                # ((x & y) * p) / 4 + y
    mov eax, r8d
    and eax, r9d
    imul eax, esi
    shr eax, 2
    add eax, r9d
    ret

g_rings:                              # (u² + v²) * p / 256
    mov eax, r10d
    imul eax, eax
    mov ecx, r11d
    imul ecx, ecx
    add eax, ecx
    imul eax, esi
    shr eax, 8
    ret

g_saddle:                             # (u² - v²) * p / 256
    mov eax, r10d
    imul eax, eax
    mov ecx, r11d
    imul ecx, ecx
    sub eax, ecx
    imul eax, esi
    sar eax, 8
    ret

g_hyperbola:                          # u * v * p / 256
    mov eax, r10d
    imul eax, r11d
    imul eax, esi
    sar eax, 8
    ret

g_alias:                              # (u² + v²) * p / 16: rings too fine for the pixels
    mov eax, r10d
    imul eax, eax
    mov ecx, r11d
    imul ecx, ecx
    add eax, ecx
    imul eax, esi
    shr eax, 4
    ret

g_moire:                              # two sets of rings, around u = p and u = -p, mixed by XOR
    mov edx, r11d
    imul edx, edx
    mov eax, r10d
    sub eax, esi
    imul eax, eax
    add eax, edx
    shr eax, 6
    mov ecx, r10d
    add ecx, esi
    imul ecx, ecx
    add ecx, edx
    shr ecx, 6
    xor eax, ecx
    add eax, eax
    ret

g_plasma:                             # sine(2x + p) + sine(3y + 2p) + sine(2x + 2y), halved
    lea eax, [r8 + r8]
    add eax, esi
    movzx eax, al
    movzx eax, byte ptr [G_SINE + rax]
    lea ecx, [r9 + r9 * 2]
    lea ecx, [rcx + rsi * 2]
    movzx ecx, cl
    movzx ecx, byte ptr [G_SINE + rcx]
    add eax, ecx
    lea ecx, [r8 + r9]
    add ecx, ecx
    movzx ecx, cl
    movzx ecx, byte ptr [G_SINE + rcx]
    add eax, ecx
    shr eax, 1
    ret

.macro g_absolute reg, tmp            # REG = |REG|
    mov \tmp, \reg
    sar \tmp, 31
    xor \reg, \tmp
    sub \reg, \tmp
.endm

g_diamond:                            # (|u| + |v|) * p / 4
    mov eax, r10d
    g_absolute eax, edx
    mov ecx, r11d
    g_absolute ecx, edx
    add eax, ecx
    imul eax, esi
    shr eax, 2
    ret

g_squares:                            # max(|u|, |v|) * p / 4
    mov eax, r10d
    g_absolute eax, edx
    mov ecx, r11d
    g_absolute ecx, edx
    cmp eax, ecx
    jae 2f
    mov eax, ecx
2:  imul eax, esi
    shr eax, 2
    ret

g_petals:                             # |u * v| * p / 64 XOR (u² + v²) / 64
    mov eax, r10d
    imul eax, r11d
    g_absolute eax, edx
    imul eax, esi
    shr eax, 6
    mov ecx, r10d
    imul ecx, ecx
    mov edx, r11d
    imul edx, edx
    add ecx, edx
    shr ecx, 6
    xor eax, ecx
    ret

g_weave:                              # blocks of 16, running by turns down and across, shaded across the run
    mov eax, r8d
    mov ecx, r9d
    mov edx, eax
    xor edx, ecx
    test edx, 16
    jne 2f
    mov edx, eax
    mov eax, ecx
    mov ecx, edx
2:  and eax, 15                       # across the run: a hump of (16 - t) * t
    mov edx, 16
    sub edx, eax
    imul eax, edx
    shr eax, 1
    imul ecx, esi
    shr ecx, 2
    add eax, ecx
    ret

g_waves:                              # y * p / 4 + sine(4x) / 2
    mov eax, r9d
    imul eax, esi
    shr eax, 2
    lea ecx, [r8 * 4]
    movzx ecx, cl
    movzx ecx, byte ptr [G_SINE + rcx]
    shr ecx, 1
    add eax, ecx
    ret

g_ripple:                             # (u² + v²) * p / 256 + sine(4x) / 2 + sine(4y) / 2
    mov eax, r10d
    imul eax, eax
    mov ecx, r11d
    imul ecx, ecx
    add eax, ecx
    imul eax, esi
    shr eax, 8
    lea ecx, [r8 * 4]
    movzx ecx, cl
    movzx ecx, byte ptr [G_SINE + rcx]
    lea edx, [r9 * 4]
    movzx edx, dl
    movzx edx, byte ptr [G_SINE + rdx]
    add ecx, edx
    shr ecx, 1
    add eax, ecx
    ret

g_lattice:                            # sine(p * x) * sine(p * y) / 128
    mov eax, r8d
    imul eax, esi
    movzx eax, al
    movzx eax, byte ptr [G_SINE + rax]
    mov ecx, r9d
    imul ecx, esi
    movzx ecx, cl
    movzx ecx, byte ptr [G_SINE + rcx]
    imul eax, ecx
    shr eax, 7
    ret

g_scales:                             # sine(p * x + sine(4y) / 2) + y
    lea ecx, [r9 * 4]
    movzx ecx, cl
    movzx ecx, byte ptr [G_SINE + rcx]
    shr ecx, 1
    mov eax, r8d
    imul eax, esi
    add eax, ecx
    movzx eax, al
    movzx eax, byte ptr [G_SINE + rax]
    add eax, r9d
    ret
