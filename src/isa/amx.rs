//! AMX: tile registers. Products of tiles, and what moves rows of them to vectors.

use super::feature::Feature::*;
use super::notation::*;
use super::row::*;
use Map::{M0f3a as P0F3A, M0f38 as P0F38, M5 as P5};

const fn amx(name: &'static str, map: Map, pp: Pp, opcode: u8, ops: &[Spec]) -> Row {
    let r = vex(name, map, pp, opcode, ops).l0().w0().only64();
    r.cpuid(AmxTile).gate(Gate::TileData).class(Class::None).exec(Exec::Missing)
}

/// A product of two tiles is added to a third one.
const fn product(name: &'static str, pp: Pp, opcode: u8, feature: super::Feature) -> Row {
    amx(name, P0F38, pp, opcode, &[RW(TG), R(TR), R(TH)]).and(feature)
}

/// The same, of map 5.
const fn product8(name: &'static str, pp: Pp) -> Row {
    amx(name, P5, pp, 0xfd, &[RW(TG), R(TR), R(TH)]).and(AmxFp8)
}

#[rustfmt::skip] // one form a line: the columns are the point. LDTILECFG and TILERELEASE only initialise tile data.
pub(super) const VEX_M0F38: [Row; 18] = [
    amx("tilerelease", P0F38, NP, 0x49, &[]).digit(0).rm(0).gate(Gate::Tile).system(SysOp::TileRelease).implies(Implied::ReleaseTiles),
    amx("ldtilecfg", P0F38, NP, 0x49, &[R(Moq)]).digit(0).gate(Gate::Tile).system(SysOp::LoadTileConfig).implies(Implied::LoadTiles),
    amx("sttilecfg", P0F38, P66, 0x49, &[W(Moq)]).digit(0).gate(Gate::Tile).system(SysOp::StoreTileConfig).implies(Implied::StoreTiles),
    super::ace::BSRINIT,
    amx("tilezero", P0F38, F2, 0x49, &[W(TG)]).rm(0).system(SysOp::TileZero),
    amx("tileloaddrst1", P0F38, P66, 0x4a, &[W(TG), R(MS)]).and(AmxMovrs).system(SysOp::TileLoad).implies(Implied::TileMemory),
    amx("tileloaddrs", P0F38, F2, 0x4a, &[W(TG), R(MS)]).and(AmxMovrs).system(SysOp::TileLoad).implies(Implied::TileMemory),
    amx("tileloaddt1", P0F38, P66, 0x4b, &[W(TG), R(MS)]).system(SysOp::TileLoad).implies(Implied::TileMemory),
    amx("tilestored", P0F38, F3, 0x4b, &[W(MS), R(TG)]).system(SysOp::TileStore).implies(Implied::TileMemory),
    amx("tileloadd", P0F38, F2, 0x4b, &[W(TG), R(MS)]).system(SysOp::TileLoad).implies(Implied::TileMemory),
    product("tdpbf16ps", F3, 0x5c, AmxBf16).system(SysOp::TileBf16), product("tdpfp16ps", F2, 0x5c, AmxFp16).system(SysOp::TileFp16),
    product("tdpbuud", NP, 0x5e, AmxInt8).system(SysOp::TileUnsigned),
    product("tdpbusd", P66, 0x5e, AmxInt8).system(SysOp::TileUnsignedSigned),
    product("tdpbsud", F3, 0x5e, AmxInt8).system(SysOp::TileSignedUnsigned),
    product("tdpbssd", F2, 0x5e, AmxInt8).system(SysOp::TileSigned),
    product("tcmmrlfp16ps", NP, 0x6c, AmxComplex).system(SysOp::TileReal),
    product("tcmmimfp16ps", P66, 0x6c, AmxComplex).system(SysOp::TileImaginary),
];

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) static VEX_M5: &[Row] = rows![[
    product8("tdpbf8ps", NP), product8("tdphf8ps", P66), product8("tdphbf8ps", F3), product8("tdpbhf8ps", F2),
]];

/// A row of a tile, chosen by a register or an immediate, to a vector.
const fn row_of(name: &'static str, map: Map, pp: Pp, opcode: u8) -> Row {
    let r = match map {
        P0F38 => evex(name, map, pp, opcode, &[W(Vx), R(TR), R(Bd)]),
        _ => evex(name, map, pp, opcode, &[W(Vx), R(TR), R(Ib)]),
    };
    r.w0().l2().only64().cpuid(AmxAvx512).gate(Gate::TileAvx512).exec(Exec::Missing)
}

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const EVEX_M0F38: [Row; 6] = [
    row_of("tilemovrow", P0F38, P66, 0x4a), row_of("tcvtrowd2ps", P0F38, F3, 0x4a),
    row_of("tcvtrowps2phh", P0F38, NP, 0x6d), row_of("tcvtrowps2phl", P0F38, P66, 0x6d),
    row_of("tcvtrowps2bf16l", P0F38, F3, 0x6d), row_of("tcvtrowps2bf16h", P0F38, F2, 0x6d),
];

#[rustfmt::skip] // one form a line: the columns are the point
pub(super) const EVEX_M0F3A: [Row; 6] = [
    row_of("tcvtrowps2phh", P0F3A, NP, 0x07), row_of("tilemovrow", P0F3A, P66, 0x07),
    row_of("tcvtrowd2ps", P0F3A, F3, 0x07), row_of("tcvtrowps2bf16h", P0F3A, F2, 0x07),
    row_of("tcvtrowps2bf16l", P0F3A, F3, 0x77), row_of("tcvtrowps2phl", P0F3A, F2, 0x77),
];
