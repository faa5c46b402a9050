//! Encodings of the table's rows: an encoder of its own, with the decoder as judge of what it made.

use encore86::isa::row::{Loc, Masking, Space, attr, sel};
use encore86::isa::{Row, tables};
use encore86::{Insn, Mode, Profile, decode};

/// One encoding of a row.
#[derive(Clone, Debug)]
pub struct Form {
    pub row: &'static Row,
    pub mode: Mode,
    pub bytes: Vec<u8>,
    pub insn: Insn,
}

/// What an encoding is made from.
#[derive(Clone, Copy, Debug)]
struct Pick {
    p66: bool,
    rep: u32,
    w: bool,
    l: u8,
    memory: bool,
    lock: bool,
    aaa: u8,
    z: bool,
    b: bool,
}

/// The ModRM.reg operand, VEX.vvvv, and the register in ModRM.rm.
const REG: u8 = 1;
const VVVV: u8 = 4;
const RM: u8 = 3;
/// The vector index of VSIB forms; the base is rBX as everywhere.
const INDEX: u8 = 2;

fn is_memory(loc: Loc) -> bool {
    use Loc::*;
    matches!(loc, GprOrMem | Mem | VecOrMem | MaskOrMem | MmxOrMem | Vsib | SibMem)
}

fn field(row: &Row, mask: u32, shift: u32) -> Option<u32> {
    (row.select.mask & mask != 0).then_some((row.select.value & mask) >> shift)
}

/// Values to try for a bit that the row may fix.
fn choices(fixed: Option<u32>, free: &[u32]) -> Vec<u32> {
    fixed.map_or_else(|| free.to_vec(), |v| vec![v])
}

/// `tail` is what stands behind the opcode and ModRM: an immediate or an address, longer than needed.
fn encode(row: &Row, mode: Mode, pick: Pick, opcode: u8, tail: [u8; 10]) -> Vec<u8> {
    let mut out = Vec::new();
    let vsib = row.operands.iter().any(|s| matches!(s.loc, Loc::Vsib | Loc::SibMem));
    let vvvv = if row.is(attr::VVVV) { VVVV } else { 0 };
    if pick.lock {
        out.push(0xf0);
    }
    let map = row.map.number();
    let pp = match (pick.rep, pick.p66) {
        (0, false) => 0,
        (0, true) => 1,
        (1, _) => 2,
        _ => 3,
    };
    let w = u8::from(pick.w) << 7;
    match row.space {
        Space::Legacy => {
            if pick.p66 {
                out.push(0x66);
            }
            match pick.rep {
                1 => out.push(0xf3),
                2 => out.push(0xf2),
                _ => {}
            }
            if pick.w {
                out.push(0x48);
            }
            match map {
                1 => out.push(0x0f),
                2 => out.extend([0x0f, 0x38]),
                3 => out.extend([0x0f, 0x3a]),
                _ => {}
            }
        }
        Space::Evex => {
            let z = u8::from(pick.z) << 7;
            let b = u8::from(pick.b) << 4;
            out.extend([0x62, 0xf0 | map, w | (!vvvv & 0xf) << 3 | 4 | pp, z | pick.l << 5 | b | 8 | pick.aaa]);
        }
        Space::Vex | Space::Xop => out.extend([
            if row.space == Space::Xop { 0x8f } else { 0xc4 },
            0xe0 | map,
            w | (!vvvv & 0xf) << 3 | pick.l << 2 | pp,
        ]),
    }
    out.push(opcode);
    if row.is(attr::MODRM) {
        let reg = field(row, sel::REG, sel::REG_SHIFT).map_or(REG, |v| v as u8);
        let rm = field(row, sel::RM, sel::RM_SHIFT).map_or(RM, |v| v as u8);
        match (pick.memory, vsib, mode.bits()) {
            (false, ..) => out.push(0xc0 | reg << 3 | rm),
            (true, true, _) => out.extend([reg << 3 | 4, INDEX << 3 | 3]),
            (true, false, 16) => out.push(reg << 3 | 7),
            (true, false, _) => out.push(reg << 3 | 3),
        }
    }
    out.extend(tail);
    out
}

/// All encodings of one row that differ in what the decoder makes of them.
pub fn encodings(row: &'static Row, mode: Mode, profile: &Profile, moffs: u64) -> Vec<Form> {
    let mut tail = [5, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    if row.operands.iter().any(|s| s.loc == Loc::Moffs) {
        tail[..8].copy_from_slice(&moffs.to_le_bytes());
    }
    let legacy = row.space == Space::Legacy;
    let evex = row.space == Space::Evex;
    let bit = |mask: u32| field(row, mask, mask.trailing_zeros());
    let opcodes: Vec<u8> = if row.is(attr::CONDITION) {
        (0..16).map(|i| row.opcode + i).collect()
    } else if row.is(attr::PLUS_R) {
        vec![row.opcode + REG, row.opcode + 3]
    } else {
        vec![row.opcode]
    };
    let can_be_memory = row.operands.iter().any(|s| is_memory(s.loc));
    let memory = match bit(sel::REGISTER) {
        Some(v) => vec![v ^ 1],
        None if can_be_memory => vec![0, 1],
        None => vec![0],
    };
    let rep_free: &[u32] = if row.is(attr::REP) { &[0, 1, 2] } else { &[0] };
    let both: &[u32] = &[0, 1];
    let none: &[u32] = &[0];
    let lengths: &[u32] = if legacy { none } else { &[0, 1, 2] };
    let masks: &[u32] = if !evex || row.masking == Masking::None { none } else { &[0, 1] };
    let mut forms: Vec<Form> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for &opcode in &opcodes {
        for p66 in choices(bit(sel::P66), if legacy { both } else { none }) {
            for rep in choices(field(row, sel::REP, sel::REP_SHIFT), rep_free) {
                for w in choices(bit(sel::W), if legacy && mode != Mode::Long64 { none } else { both }) {
                    for l in choices(field(row, sel::L, sel::L_SHIFT), lengths) {
                        for &m in &memory {
                            for more in 0..16 {
                                let on = |i: u32| more >> i & 1 != 0;
                                let (lock, aaa, z, b) = (on(0), u8::from(on(1)), on(2), on(3));
                                if lock && !row.is(attr::LOCK) || !evex && more > 1 || aaa == 1 && masks.len() < 2 {
                                    continue;
                                }
                                let pick =
                                    Pick { p66: p66 == 1, rep, w: w == 1, l: l as u8, memory: m == 1, lock, aaa, z, b };
                                let mut bytes = encode(row, mode, pick, opcode, tail);
                                bytes.resize(15, 0);
                                let Ok(insn) = decode(&bytes, mode, profile) else { continue };
                                let key = (format!("{insn}"), insn.slots().to_vec().len(), rep);
                                if !std::ptr::eq(insn.row(), row) || !seen.insert(key) {
                                    continue;
                                }
                                bytes.truncate(insn.length());
                                forms.push(Form { row, mode, bytes, insn });
                            }
                        }
                    }
                }
            }
        }
    }
    forms
}

/// Encodings of all rows in `mode`. Memory operands are at `[rBX]`; `moffs` is the address of forms that hold one.
pub fn all(mode: Mode, profile: &Profile, moffs: u64) -> Vec<Form> {
    tables::rows().flat_map(|row| encodings(row, mode, profile, moffs)).collect()
}
