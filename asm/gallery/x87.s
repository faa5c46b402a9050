# Tiles of x87 instructions. Every value is exact in the register, so each store gives back the bits that were loaded.

# 30: C above, row by row as integers of 2, 4, 8 and 4 bytes; reflected below, read back. Then the edges, 8 bytes across
# the page.
.macro g_fild_row size, step, next:vararg
    xor ecx, ecx
2:  fild \size ptr [rsi + rcx]
    fistp \size ptr [rdi + rcx]
    add ecx, \step
    cmp ecx, G_ROW
    jne 2b
    \next
.endm
.macro g_fild_up
    sub rsi, G_PITCH
    add rdi, G_PITCH
.endm
g_fild:
    fninit
    mov rsi, r13
    mov rdi, r12
    mov ebp, G_N / 8
3:  g_fild_row word, 2, g_next_row
    g_fild_row dword, 4, g_next_row
    g_fild_row qword, 8, g_next_row
    g_fild_row dword, 4, g_next_row
    dec ebp
    jne 3b
    lea rsi, [rdi - G_PITCH]
    mov ebp, G_N / 8
4:  g_fild_row word, 2, g_fild_up     # back
    g_fild_row dword, 4, g_fild_up    # back
    g_fild_row qword, 8, g_fild_up    # back
    g_fild_row dword, 4, g_fild_up    # back
    dec ebp
    jne 4b
    mov rsi, r13
    g_edge 4
    mov ebp, G_N
5:  fild qword ptr [rsi]
    fistp qword ptr [rdi]
    g_next_row
    dec ebp
    jne 5b
    ret

# 31: four bands of 28 rows. C as floats of 4, 8 and 10 bytes; then the first band again, reflected, eight pixels loaded
# from the device and stored from the top of the stack, so that each eight are mirrored.
.macro g_fld_band load, step, end
    mov ebp, G_N / 4
2:  xor ecx, ecx
3:  fld \load ptr [rsi + rcx]
    fstp \load ptr [rdi + rcx]
    add ecx, \step
    cmp ecx, \end
    jne 3b
    .if \end != G_ROW
    fld qword ptr [rsi + \end]
    fstp qword ptr [rdi + \end]
    .endif
    g_next_row
    dec ebp
    jne 2b
.endm
g_fld:
    fninit
    mov rsi, r13
    mov rdi, r12
    g_fld_band dword, 4, G_ROW
    g_fld_band qword, 8, G_ROW
    g_fld_band tbyte, 10, 440
    lea rsi, [r12 + (G_N / 4 - 1) * G_PITCH]
    mov ebp, G_N / 4
4:  xor ecx, ecx
5:  .irp n, 0, 4, 8, 12, 16, 20, 24, 28
    fld dword ptr [rsi + rcx + \n]    # back
    .endr
    .irp n, 0, 4, 8, 12, 16, 20, 24, 28
    fstp dword ptr [rdi + rcx + \n]
    .endr
    add ecx, 32
    cmp ecx, G_ROW
    jne 5b
    sub rsi, G_PITCH
    add rdi, G_PITCH
    dec ebp
    jne 4b
    ret
