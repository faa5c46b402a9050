//! What Knights Landing and Knights Mill have of AVX-512 alone: approximations to 23 and 28 bits, prefetches by vectors of
//! indices, and products with blocks of four registers.

use super::*;

const ONE_SOURCE: &[Spec] = &[W(Vx), R(Wx)];

/// An approximation. How it reports overflow and underflow, no other processor shows.
const fn er(name: &'static str, opcode: u8, ops: &[Spec]) -> Row {
    evex(name, P0F38, P66, opcode, ops).cpuid(Avx512er).kz().sae().fp().attr(attr::MASKED_EXTREMES)
}

const fn er_ps(name: &'static str, opcode: u8) -> Row {
    er(name, opcode, ONE_SOURCE).only512().w0().tuple(Full, 4).bcst()
}

const fn er_pd(name: &'static str, opcode: u8) -> Row {
    er(name, opcode, ONE_SOURCE).only512().w1().tuple(Full, 8).bcst()
}

const fn er_ss(name: &'static str, opcode: u8) -> Row {
    er(name, opcode, &[W(Vdq), R(Hdq), R(Wd)]).lig().w0().tuple(Scalar, 4)
}

const fn er_sd(name: &'static str, opcode: u8) -> Row {
    er(name, opcode, &[W(Vdq), R(Hdq), R(Wq)]).lig().w1().tuple(Scalar, 8)
}

/// A prefetch of what a gather or scatter will touch.
const fn prefetch(name: &'static str, opcode: u8, digit: u32, mem: Spec) -> Row {
    let r = evex(name, P0F38, P66, opcode, &[N(mem)]).digit(digit).l2().cpuid(Avx512pf).k_operand();
    let r = if matches!(mem.width, Width::D) { r.w0().tuple(Scalar, 4) } else { r.w1().tuple(Scalar, 8) };
    r.exec(Exec::Replay(Shape::Prefetch))
}

/// The register in vvvv stands for four, and each has an element in memory.
const fn block(name: &'static str, opcode: u8) -> Row {
    evex(name, P0F38, F2, opcode, &[RW(Vx), R(Hx), R(Mdq)]).l2().w0().tuple(M128, 4).kz().attr(attr::BLOCK)
}

const fn block_scalar(name: &'static str, opcode: u8) -> Row {
    let r = evex(name, P0F38, F2, opcode, &[RW(Vdq), R(Hdq), R(Mdq)]).lig().w0().tuple(M128, 4).kz().attr(attr::BLOCK);
    r.cpuid(Avx5124fmaps).fp()
}

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const M0F38: &[Row] = &[
    block("vp4dpwssd", 0x52).cpuid(Avx5124vnniw), block("vp4dpwssds", 0x53).cpuid(Avx5124vnniw),
    block("v4fmaddps", 0x9a).cpuid(Avx5124fmaps).fp(), block_scalar("v4fmaddss", 0x9b),
    block("v4fnmaddps", 0xaa).cpuid(Avx5124fmaps).fp(), block_scalar("v4fnmaddss", 0xab),
    prefetch("vgatherpf0dps", 0xc6, 1, VMd), prefetch("vgatherpf0dpd", 0xc6, 1, VMq),
    prefetch("vgatherpf1dps", 0xc6, 2, VMd), prefetch("vgatherpf1dpd", 0xc6, 2, VMq),
    prefetch("vscatterpf0dps", 0xc6, 5, VMd), prefetch("vscatterpf0dpd", 0xc6, 5, VMq),
    prefetch("vscatterpf1dps", 0xc6, 6, VMd), prefetch("vscatterpf1dpd", 0xc6, 6, VMq),
    prefetch("vgatherpf0qps", 0xc7, 1, VMd), prefetch("vgatherpf0qpd", 0xc7, 1, VMq),
    prefetch("vgatherpf1qps", 0xc7, 2, VMd), prefetch("vgatherpf1qpd", 0xc7, 2, VMq),
    prefetch("vscatterpf0qps", 0xc7, 5, VMd), prefetch("vscatterpf0qpd", 0xc7, 5, VMq),
    prefetch("vscatterpf1qps", 0xc7, 6, VMd), prefetch("vscatterpf1qpd", 0xc7, 6, VMq),
    er_ps("vexp2ps", 0xc8), er_pd("vexp2pd", 0xc8), er_ps("vrcp28ps", 0xca), er_pd("vrcp28pd", 0xca),
    er_ss("vrcp28ss", 0xcb), er_sd("vrcp28sd", 0xcb), er_ps("vrsqrt28ps", 0xcc), er_pd("vrsqrt28pd", 0xcc),
    er_ss("vrsqrt28ss", 0xcd), er_sd("vrsqrt28sd", 0xcd),
];
