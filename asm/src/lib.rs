//! encore86-asm
