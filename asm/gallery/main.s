# The guest `gallery`: header, page tables, start, the loop over the tiles.
#
# A flat image for G_LOAD, entered at G_ENTRY in 64-bit mode with the page tables at G_TABLES. It uses no
# privileged instruction, no port and no interrupt, so it runs at any CPL. All names begin with g_ or G_, since all
# guests of this crate share one assembler name space.
#
# A constant stands above its first use: the assembler takes an unknown name for a memory operand.
#
# Registers that a tile may rely on and must keep: R12 its top left pixel in the framebuffer, R13 the canvas (its
# pattern, in RAM), R14 scratch device memory, R15D its number. DF is clear. RSP is restored; all else is free.

.set G_LOAD,    0x100000
.set G_TABLES,  G_LOAD + 0x1000
.set G_ENTRY,   G_LOAD + 0x8000
.set G_STACK,   0x200000
# Working memory.
.set G_CANVAS,  0x200000              # 112 rows of 112 pixels, no gaps
.set G_PALETTE, 0x210000              # 256 colours
.set G_SINE,    0x210400              # 256 bytes
.set G_ROWBUF,  0x210800              # one row for the tiles' own use
.set G_FOUND,   0x210c00              # features found, u32
.set G_HATCHES, 0x210c04              # tiles hatched, u32
# Devices.
.set G_DEVICE,  0xd0000000
.set G_SCRATCH, G_DEVICE + 0x400
.set G_SERIAL,  0xd0001000 + 0x3f8
.set G_EXIT,    0xd0002000 + 0xf4
.set G_FB,      0xe0000000
.set G_FB_END,  0xe0300000
# Device registers.
.set G_TILE,    0
.set G_HATCHED, 4
.set G_FAILED,  8
# Geometry.
.set G_PITCH,   4096
.set G_N,       112                   # a tile's width and height in pixels
.set G_ROW,     448                   # and its width in bytes
.set G_TOP,     4                     # its place in its cell of 128 by 128 pixels
.set G_LEFT,    8
.set G_CAPTION, 119
# Colours.
.set G_GROUND,  0x0014171c
.set G_GROUNDS, G_GROUND << 32 | G_GROUND
.set G_LIGHT,   0x00d8dee8
.set G_DIM,     0x00606874
.set G_HATCH,   0x00383d46
.set G_UNHATCH, 0x00202429
.set G_WHITE,   0x00ffffff
# A tile's record: code, features needed, pattern and its parameter, four colours of the palette, caption.
.set G_CODE,    0
.set G_NEEDS,   8
.set G_PATTERN, 12
.set G_PARAM,   14
.set G_COLOURS, 16
.set G_TEXT,    32
.set G_RECORD,  56
# Features.
.set G_CX16,     1
.set G_SSE41,    2
.set G_AVX,      4
.set G_AVX2,     8
.set G_AVX512F,  16
.set G_AVX512BW, 32

.section .rodata.encore86_gallery, "a", @progbits
.p2align 12
.globl encore86_gallery_start
.globl encore86_gallery_end
.hidden encore86_gallery_start
.hidden encore86_gallery_end
encore86_gallery_start:
g_image:

# --- header -------------------------------------------------------------------------------------------------------
    .ascii "ENC86GAL"
    .quad G_LOAD
    .quad G_ENTRY
    .quad G_TABLES
    .quad G_STACK
    .long g_end - g_image
    .long (g_tiles_end - g_tiles) / G_RECORD
    .quad G_LOAD + (g_font - g_image)

# --- page tables: identity, all user and writable --------------------------------------------------------------------
.set G_RAM_PAGE, 0x87                 # present, writable, user, 2 MiB
.set G_POINTER,  0x07                 # present, writable, user
.set G_IO_PAGE,  0x17                 # present, writable, user, cache disabled
.macro g_table label
    .quad G_LOAD + (\label - g_image) + G_POINTER
.endm
.org g_image + 0x1000                 # level 4
    g_table g_level3
.org g_image + 0x2000
g_level3:
    g_table g_level2_ram
    .quad 0, 0
    g_table g_level2_devices
.org g_image + 0x3000
g_level2_ram:                         # 16 MiB of RAM at 0
    .set g_page, 0
    .rept 8
    .quad g_page + G_RAM_PAGE
    .set g_page, g_page + 0x200000
    .endr
.org g_image + 0x4000
g_level2_devices:                     # 0xC0000000 and up
    .org g_level2_devices + 8 * 128
    g_table g_level1_devices
    .org g_level2_devices + 8 * 256
    g_table g_level1_framebuffer
    g_table (g_level1_framebuffer+0x1000)
.org g_image + 0x5000
g_level1_devices:                     # registers, serial, exit
    .quad 0xd0000000 + G_IO_PAGE
    .quad 0xd0001000 + G_IO_PAGE
    .quad 0xd0002000 + G_IO_PAGE
.org g_image + 0x6000
g_level1_framebuffer:
    .set g_page, G_FB
    .rept 768
    .quad g_page + G_IO_PAGE
    .set g_page, g_page + 0x1000
    .endr

# --- start --------------------------------------------------------------------------------------------------------
.org g_image + 0x8000
g_start:
    cld
    mov esp, G_STACK
    mov r13d, G_CANVAS
    mov r14d, G_SCRATCH
    xor r15d, r15d
    call g_find_features
    call g_make_sine
    call g_paint_ground

    lea rbp, [rip + g_tiles]
2:  inc r15d
    # The cell: row (n - 1) / 8, column (n - 1) % 8.
    lea eax, [r15 - 1]
    mov ecx, eax
    shr eax, 3
    and ecx, 7
    imul eax, eax, 128 * G_PITCH
    shl ecx, 9
    mov r12d, G_FB + G_TOP * G_PITCH + G_LEFT * 4
    add r12, rax
    add r12, rcx

    push rbp
    mov eax, [rbp + G_NEEDS]
    mov ecx, eax
    and ecx, dword ptr [G_FOUND]
    cmp eax, ecx
    jne 3f
    call g_make_palette
    call g_make_canvas
    mov eax, G_DEVICE
    mov dword ptr [rax + G_TILE], r15d
    mov rax, [rbp + G_CODE]
    call rax
    mov eax, G_DEVICE
    mov dword ptr [rax + G_TILE], 0
    mov edx, G_LIGHT
    jmp 4f
3:  inc dword ptr [G_HATCHES]
    mov eax, G_DEVICE
    mov dword ptr [rax + G_HATCHED], r15d
    call g_paint_hatching
    mov edx, G_DIM
4:  pop rbp
    call g_paint_caption
    add rbp, G_RECORD
    lea rax, [rip + g_tiles_end]
    cmp rbp, rax
    jne 2b

    lea rsi, [rip + g_said]
    call g_print
    mov eax, r15d
    sub eax, dword ptr [G_HATCHES]
    call g_print_number
    lea rsi, [rip + g_said_painted]
    call g_print
    mov eax, dword ptr [G_HATCHES]
    call g_print_number
    lea rsi, [rip + g_said_hatched]
    call g_print
    xor eax, eax
    jmp g_exit

# A tile read back something that it should not: its number is the exit code.
g_fail:
    mov edx, G_DEVICE
    mov dword ptr [rdx + G_FAILED], r15d
    mov eax, r15d
# Ends with code EAX.
g_exit:
    mov edx, G_EXIT
    mov dword ptr [rdx], eax
2:  jmp 2b

g_said:         .asciz "gallery: "
g_said_painted: .asciz " tiles painted, "
g_said_hatched: .asciz " hatched\n"

# Prints the string at RSI up to its zero byte.
g_print:
    mov edx, G_SERIAL
2:  movzx eax, byte ptr [rsi]
    test eax, eax
    je 3f
    mov byte ptr [rdx], al
    inc rsi
    jmp 2b
3:  ret

# Prints EAX, below 100, in decimal.
g_print_number:
    mov edx, G_SERIAL
    imul ecx, eax, 205                # a tenth, exact below 100
    shr ecx, 11
    je 2f
    lea esi, [rcx + '0']
    mov byte ptr [rdx], sil
2:  imul ecx, ecx, 10
    sub eax, ecx
    add eax, '0'
    mov byte ptr [rdx], al
    ret

# Finds what CPUID and XCR0 promise.
g_find_features:
    mov dword ptr [G_HATCHES], 0
    xor eax, eax
    xor ecx, ecx
    cpuid
    mov r8d, eax                      # greatest leaf
    xor r9d, r9d                      # found
    xor r10d, r10d                    # leaf 7 EBX
    xor r11d, r11d                    # XCR0
    cmp eax, 7
    jb 2f
    mov eax, 7
    xor ecx, ecx
    cpuid
    mov r10d, ebx
2:  mov eax, 1
    xor ecx, ecx
    cpuid
    mov r8d, ecx                      # leaf 1 ECX
    test r8d, 1 << 13
    je 2f
    or r9d, G_CX16
2:  test r8d, 1 << 19
    je 2f
    or r9d, G_SSE41
2:  test r8d, 1 << 27                 # OSXSAVE: XGETBV may be used
    je 2f
    xor ecx, ecx
    xgetbv
    mov r11d, eax
2:  mov eax, r11d
    and eax, 0x06                     # XMM and YMM state
    cmp eax, 0x06
    jne 3f
    test r8d, 1 << 28
    je 3f
    or r9d, G_AVX
    test r10d, 1 << 5
    je 2f
    or r9d, G_AVX2
2:  and r11d, 0xe6                    # and opmask and ZMM state
    cmp r11d, 0xe6
    jne 3f
    test r10d, 1 << 16
    je 3f
    or r9d, G_AVX512F
    test r10d, 1 << 30
    je 3f
    or r9d, G_AVX512BW
3:  mov dword ptr [G_FOUND], r9d
    ret

# --- plain mov: ground, hatching, captions ------------------------------------------------------------------------------
g_paint_ground:
    mov edi, G_FB
    mov ecx, G_FB_END
    movabs rax, G_GROUNDS
2:  mov [rdi], rax
    mov [rdi + 8], rax
    mov [rdi + 16], rax
    mov [rdi + 24], rax
    add rdi, 32
    cmp rdi, rcx
    jne 2b
    ret

g_paint_hatching:
    mov rdi, r12
    xor ebx, ebx                      # y
2:  xor ecx, ecx                      # x
3:  lea edx, [rcx + rbx]
    mov eax, G_UNHATCH
    and edx, 7
    cmp edx, 2
    jae 4f
    mov eax, G_HATCH
4:  mov [rdi + rcx * 4], eax
    inc ecx
    cmp ecx, G_N
    jne 3b
    add rdi, G_PITCH
    inc ebx
    cmp ebx, G_N
    jne 2b
    ret

# The caption of the tile at RBP in colour EDX: glyphs of 5 by 7 pixels, 6 apart.
g_paint_caption:
    lea rdi, [r12 + (G_CAPTION - G_TOP) * G_PITCH]
    lea rsi, [rbp + G_TEXT]
    lea r10, [rip + g_font]
2:  movzx eax, byte ptr [rsi]
    test eax, eax
    je 6f
    lea r11, [rax - ' ']
    imul r11d, r11d, 7
    add r11, r10
    mov r9, rdi
    mov r8d, 7
3:  movzx eax, byte ptr [r11]
    xor ecx, ecx
4:  test eax, 0x10
    je 5f
    mov [r9 + rcx * 4], edx
5:  add eax, eax
    inc ecx
    cmp ecx, 5
    jne 4b
    inc r11
    add r9, G_PITCH
    dec r8d
    jne 3b
    add rdi, 24
    inc rsi
    jmp 2b
6:  ret

# --- the tiles, in the order of the grid --------------------------------------------------------------------------------
.macro g_tile code, needs, pattern, param, colour0, colour1, colour2, colour3, caption
    .quad G_LOAD + (\code - g_image)
    .long \needs
    .short \pattern - g_image - 0x8000
    .short \param
    .long \colour0, \colour1, \colour2, \colour3
.Lg_text_\@:
    .asciz "\caption"
    .org .Lg_text_\@ + G_RECORD - G_TEXT
.endm

.balign 8
g_tiles:
    g_tile g_mov8,         0,          g_rings,     6,   0x0b1d51, 0x2f6fde, 0x8fe3ff, 0x3a2a8c, "MOV 8-BIT"
    g_tile g_mov16,        0,          g_plasma,    20,  0x2b0a3d, 0xc2185b, 0xffb74d, 0x7b1fa2, "MOV 16-BIT"
    g_tile g_mov32,        0,          g_petals,    5,   0x06283d, 0x1363df, 0x47b5ff, 0xdff6ff, "MOV 32-BIT"
    g_tile g_mov64,        0,          g_scales,    5,   0x1a1a2e, 0xe94560, 0xf6c065, 0x533483, "MOV 64-BIT"
    g_tile g_moffs,        0,          g_xor,       8,   0x0d3b2e, 0x2a9d8f, 0xe9f5c9, 0x264653, "MOV MOFFS"
    g_tile g_rep_stosd,    0,          g_diamond,   11,  0x3d0c11, 0xd62828, 0xf9c74f, 0x6a040f, "REP STOSD"
    g_tile g_rep_movsb,    0,          g_moire,     24,  0x10002b, 0x5a189a, 0xe0aaff, 0x240046, "REP MOVSB"
    g_tile g_rep_movsq,    0,          g_lattice,   5,   0x012a4a, 0x2c7da0, 0xa9d6e5, 0x01497c, "REP MOVSQ"

    g_tile g_movnti,       0,          g_saddle,    6,   0x14213d, 0xfca311, 0xfff1d0, 0x7f4f24, "MOVNTI"
    g_tile g_push_pop,     0,          g_plasma,    90,  0x081c15, 0x40916c, 0xd8f3dc, 0x1b4332, "PUSH/POP [MEM]"
    g_tile g_stack,        0,          g_hyperbola, 7,   0x3c096c, 0xff6d00, 0xffd166, 0x7b2cbf, "PUSH/POP STACK"
    g_tile g_xchg,         0,          g_scales,    8,   0x001219, 0x0a9396, 0xe9d8a6, 0x005f73, "XCHG"
    g_tile g_xadd,         0,          g_ripple,    3,   0x370617, 0xdc2f02, 0xffba08, 0x9d0208, "LOCK XADD"
    g_tile g_cmpxchg,      0,          g_diamond,   7,   0x03071e, 0x3f88c5, 0xf4d58d, 0x136f63, "LOCK CMPXCHG"
    g_tile g_cmpxchg8b,    0,          g_and,       9,   0x2d00f7, 0x8900f2, 0xf20089, 0x1a0033, "LOCK CMPXCHG8B"
    g_tile g_cmpxchg16b,   G_CX16,     g_weave,     7,   0x22223b, 0x9a8c98, 0xf2e9e4, 0x4a4e69, "LOCK CMPXCHG16B"

    g_tile g_arithmetic,   0,          g_squares,   7,   0x072227, 0x35858b, 0xaefeff, 0x4fbdba, "ADD SUB INC NEG"
    g_tile g_logic,        0,          g_xor,       5,   0x1b1b2f, 0xe43f5a, 0xffd6e0, 0x1f4068, "AND OR XOR NOT"
    g_tile g_movdqu,       0,          g_lattice,   3,   0x0b090a, 0xba181b, 0xf5f3f4, 0x660708, "MOVDQU"
    g_tile g_movups,       0,          g_and,       6,   0x004b23, 0x38b000, 0xccff33, 0x007200, "MOVUPS"
    g_tile g_movaps,       0,          g_ripple,    5,   0x1d3557, 0xa8dadc, 0xf1faee, 0xe63946, "MOVAPS"
    g_tile g_movntdq,      0,          g_rings,     11,  0x231942, 0xbe95c4, 0xe0b1cb, 0x5e548e, "MOVNTDQ"
    g_tile g_movntps,      0,          g_plasma,    150, 0x0f2027, 0x2c9364, 0xf8ffae, 0x203a43, "MOVNTPS"
    g_tile g_movd,         0,          g_petals,    8,   0x311847, 0xff2e63, 0xffe3a9, 0x252a34, "MOVD"

    g_tile g_movq,         0,          g_waves,     14,  0x03045e, 0x00b4d8, 0xcaf0f8, 0x0077b6, "MOVQ"
    g_tile g_movhps,       0,          g_scales,    3,   0x2f3e46, 0x84a98c, 0xf4f1de, 0x52796f, "MOVHPS/MOVLPD"
    g_tile g_pextrd,       G_SSE41,    g_saddle,    9,   0x10451d, 0xf4a261, 0xfefae0, 0xbc4749, "PEXTRD"
    g_tile g_maskmovdqu,   0,          g_squares,   5,   0x0a0908, 0x49b6a6, 0xeae0d5, 0x22333b, "MASKMOVDQU"
    g_tile g_paddd,        0,          g_plasma,    210, 0x1b0033, 0xff4d8d, 0xffd9a0, 0x5522aa, "PADDD/PXOR"
    g_tile g_fild,         0,          g_waves,     9,   0x001427, 0x708d81, 0xf4d58d, 0xbf0603, "FILD/FISTP"
    g_tile g_fld,          0,          g_alias,     5,   0x2a0845, 0x6441a5, 0xd9c8ff, 0x3a1c71, "FLD/FSTP"
    g_tile g_fxsave,       0,          g_hyperbola, 10,  0x000814, 0x0077b6, 0xffd60a, 0x003566, "FXSAVE"

    g_tile g_vmovdqu,      G_AVX,      g_petals,    4,   0x1f0318, 0xf71735, 0xffe1e9, 0x571f4e, "VMOVDQU YMM"
    g_tile g_vmovntdq,     G_AVX,      g_alias,     3,   0x0c1618, 0x00a676, 0xf7f9bf, 0x004643, "VMOVNTDQ YMM"
    g_tile g_vextractf128, G_AVX,      g_ripple,    8,   0x161a1d, 0xe5383b, 0xf5cac3, 0x660708, "VEXTRACTF128"
    g_tile g_vpaddd,       G_AVX2,     g_xor,       11,  0x02111b, 0x5d9cec, 0xfcf6b1, 0x30638e, "VPADDD YMM"
    g_tile g_vmaskmovps,   G_AVX,      g_lattice,   4,   0x240b36, 0xf0a202, 0xffe6b8, 0xc31432, "VMASKMOVPS"
    g_tile g_vpmaskmovd,   G_AVX2,     g_saddle,    5,   0x0d1b2a, 0x778da9, 0xf3f7fb, 0x415a77, "VPMASKMOVD"
    g_tile g_vpgatherdd,   G_AVX2,     g_moire,     15,  0x14110f, 0xd9822b, 0xfff1c1, 0x7e3f12, "VPGATHERDD"
    g_tile g_vmovdqu64,    G_AVX512F,  g_rings,     4,   0x10002b, 0xff0a54, 0xfbb1bd, 0x3c096c, "VMOVDQU64 ZMM"

    g_tile g_vmovntdq_zmm, G_AVX512F,  g_alias,     7,   0x04151f, 0x18a999, 0xe4fde1, 0x183a37, "VMOVNTDQ ZMM"
    g_tile g_vmovdqu32,    G_AVX512F,  g_diamond,   5,   0x2e1f27, 0xf4c95d, 0xfff6da, 0x854d27, "VMOVDQU32 K"
    g_tile g_vmovdqu8,     G_AVX512BW, g_waves,     6,   0x050a30, 0x7ec8e3, 0xe8f6ff, 0x000c66, "VMOVDQU8 K"
    g_tile g_vpaddd_bcst,  G_AVX512F,  g_weave,     4,   0x1a1423, 0xb75d69, 0xeacdc2, 0x372549, "VPADDD ZMM 1TO16"
    g_tile g_vpcompressd,  G_AVX512F,  g_hyperbola, 5,   0x0b132b, 0x5bc0be, 0xe2fcef, 0x3a506b, "VPCOMPRESSD"
    g_tile g_vpexpandd,    G_AVX512F,  g_squares,   9,   0x12100e, 0x2a9d8f, 0xf1e3a4, 0x264653, "VPEXPANDD"
    g_tile g_vpscatterdd,  G_AVX512F,  g_moire,     37,  0x330c2f, 0x7b9acc, 0xfcf6f5, 0x5d2e8c, "VPSCATTERDD"
    g_tile g_vpmovdb,      G_AVX512F,  g_weave,     10,  0x001f1f, 0xff7d00, 0xffecd1, 0x15616d, "VPMOVDB"
g_tiles_end:
