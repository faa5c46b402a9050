//! The forms of a row, worked out from what the row says, and which of them the decoder takes.

use encore86::isa::row::{Map, Rounding, Row, Space, Width, attr, sel};
use encore86::isa::{Feature, FeatureSet};
use encore86::{Mode, Profile, Vendor, decode};

/// One form of a row: what its encodings have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// ModRM names memory.
    pub memory: bool,
    /// VEX.L, or EVEX.L'L.
    pub length: u8,
    /// EVEX.b in register form: rounding control, or SAE.
    pub rounding: bool,
    /// The 16-bit operand size of an EVEX row, which the manual lists apart.
    pub short: bool,
    /// W, where it chooses between 32 and 64 bits and the manual lists these apart.
    pub wide: bool,
    /// EVEX.NF.
    pub nf: bool,
    /// The condition of a row that has one.
    pub condition: u8,
}

const BOTH: [bool; 2] = [false, true];

/// Does W choose the size of an operand, and no other row?
fn by_w(row: &Row) -> bool {
    let sized = row.is(attr::W_GPR) || row.specs().iter().any(|spec| spec.width == Width::Y);
    sized && row.select.mask & sel::W == 0
}

/// The forms of a row. Opmask, broadcast, operand and address size choose none, as in the manual's tables; each condition
/// is an instruction of its own there.
pub fn forms(row: &Row) -> Vec<Form> {
    let selects = |bit| (row.select.mask & bit != 0).then_some(row.select.value & bit != 0);
    let places: &[bool] = match selects(sel::REGISTER) {
        _ if !row.is(attr::MODRM) || row.is(attr::ANY_MOD) => &[false],
        Some(true) => &[false],
        Some(false) => &[true],
        None => &BOTH,
    };
    let fixed = [(row.select.value >> sel::L_SHIFT & 3) as u8];
    let vector = |width| matches!(width, Width::X | Width::Xh | Width::Xq | Width::Xe | Width::Xdup);
    let any_length = row.specs().iter().any(|spec| vector(spec.width));
    let lengths: &[u8] = match row.space {
        _ if row.select.mask & sel::L != 0 => &fixed,
        Space::Legacy => &[0],
        _ if row.is(attr::LIG) || row.is(attr::L0) || !any_length => &[0],
        Space::Vex | Space::Xop if row.is(attr::NO_128) => &[1],
        Space::Vex | Space::Xop => &[0, 1],
        Space::Evex if row.is(attr::ONLY_512) => &[2],
        Space::Evex if row.is(attr::NO_128) => &[1, 2],
        Space::Evex => &[0, 1, 2],
    };
    let apx = row.space == Space::Evex && row.map == Map::M4;
    let sized = row.specs().iter().any(|spec| matches!(spec.width, Width::V | Width::Z));
    let shorts = if apx && sized && row.select.mask & sel::P66 == 0 { &BOTH[..] } else { &[false] };
    let wides = if by_w(row) { &BOTH[..] } else { &[false] };
    let nfs = if row.is(attr::NF) && row.select.mask & sel::NF == 0 { &BOTH[..] } else { &[false] };
    let conditions = if row.is(attr::CONDITION) || row.is(attr::SCC) { 0..16 } else { 0..1 };
    let mut out = Vec::new();
    for &memory in places {
        // Rounding control takes the place of the length.
        let rounds = !memory && row.rounding != Rounding::None && selects(sel::B).is_none();
        let plain = lengths.iter().map(|&length| (length, false));
        for (length, rounding) in plain.chain(rounds.then_some((if any_length { 2 } else { 0 }, true))) {
            let plain = Form { memory, length, rounding, short: false, wide: false, nf: false, condition: 0 };
            let all = shorts.iter().map(|&short| Form { short, ..plain });
            let all = all.flat_map(|form| wides.iter().map(move |&wide| Form { wide, ..form }));
            let all = all.flat_map(|form| nfs.iter().map(move |&nf| Form { nf, ..form }));
            out.extend(all.flat_map(|form| conditions.clone().map(move |condition| Form { condition, ..form })));
        }
    }
    out
}

/// The processors that decode a row: all features, and the row's alone (some rows are what an opcode is without a newer
/// feature), each of both vendors.
fn profiles(row: &Row) -> [Profile; 4] {
    let mut few = FeatureSet::base();
    for feature in row.features.into_iter().chain([Feature::Avx2, Feature::Avx512vl]) {
        few.insert(feature);
    }
    let just = |vendor| Profile::from_features(vendor, few);
    let all = Profile::all();
    [all.clone().with_vendor(Vendor::Intel), all.with_vendor(Vendor::Amd), just(Vendor::Intel), just(Vendor::Amd)]
}

/// How many of a row's forms have an encoding that decodes to it.
pub fn decoded(row: &'static Row) -> usize {
    let profiles = profiles(row);
    forms(row).iter().filter(|form| decodes(row, form, &profiles)).count()
}

const MODES: [Mode; 4] = [Mode::Long64, Mode::Prot32, Mode::Prot16, Mode::Real16];

/// Fields that a form leaves open, of which some values may be another row's.
#[derive(Clone, Copy, Default)]
struct Fields {
    p66: bool,
    p67: bool,
    w: bool,
    rep: u8,
    reg: u8,
    rm: u8,
}

fn decodes(row: &'static Row, form: &Form, profiles: &[Profile]) -> bool {
    let (mask, value) = (row.select.mask, row.select.value);
    let free = |bit: u32| if mask & bit != 0 { vec![value & bit != 0] } else { BOTH.to_vec() };
    let digit = |bits: u32, shift: u32, otherwise: &[u8]| {
        if mask & bits != 0 { vec![(value >> shift & 7) as u8] } else { otherwise.to_vec() }
    };
    let ws = if by_w(row) { vec![form.wide] } else { free(sel::W) };
    let p66s = if row.space == Space::Evex && mask & sel::P66 == 0 { vec![form.short] } else { free(sel::P66) };
    let reps = if mask & sel::REP != 0 { vec![(value >> sel::REP_SHIFT & 3) as u8] } else { vec![0, 1] };
    let (regs, rms) =
        (digit(sel::REG, sel::REG_SHIFT, &[0, 1, 2, 3, 4, 5, 6, 7]), digit(sel::RM, sel::RM_SHIFT, &[0, 1, 4]));
    let mut all = vec![Fields::default()];
    let mut each = |set: &dyn Fn(Fields) -> Vec<Fields>| all = all.iter().flat_map(|&fields| set(fields)).collect();
    each(&|f| ws.iter().map(|&w| Fields { w, ..f }).collect());
    each(&|f| p66s.iter().map(|&p66| Fields { p66, ..f }).collect());
    each(&|f| BOTH.iter().map(|&p67| Fields { p67, ..f }).collect());
    each(&|f| reps.iter().map(|&rep| Fields { rep, ..f }).collect());
    each(&|f| regs.iter().map(|&reg| Fields { reg, ..f }).collect());
    each(&|f| rms.iter().map(|&rm| Fields { rm, ..f }).collect());
    let is =
        |bytes: &[u8], mode, profile| decode(bytes, mode, profile).is_ok_and(|insn| core::ptr::eq(insn.row(), row));
    all.into_iter().any(|fields| {
        let bytes = bytes(row, form, fields);
        MODES.iter().any(|&mode| profiles.iter().any(|profile| is(&bytes, mode, profile)))
    })
}

/// An encoding, with enough behind ModRM for any displacement and immediate.
fn bytes(row: &Row, form: &Form, f: Fields) -> Vec<u8> {
    let (mask, value) = (row.select.mask, row.select.value);
    let w = u8::from(f.w);
    let pp = match (f.rep, f.p66) {
        (0, p66) => u8::from(p66),
        (1, _) => 2,
        _ => 3,
    };
    // Register 6, inverted.
    let vvvv = if row.is(attr::VVVV) { 0x9 } else { 0xf };
    let number = row.map.number();
    let opcode = row.opcode | if row.is(attr::CONDITION) { form.condition } else { 0 };
    // Of 90 only the register 0 is NOP, and not XCHG.
    let low = if row.is(attr::PLUS_R) { f.rm } else { 0 };
    let mut out = Vec::with_capacity(16);
    if f.p67 {
        out.push(0x67);
    }
    match row.space {
        Space::Legacy => {
            if f.p66 {
                out.push(0x66);
            }
            if f.rep != 0 {
                out.push(if f.rep == 1 { 0xf3 } else { 0xf2 });
            }
            if value & sel::REX2 != 0 {
                out.extend([0xd5, u8::from(number == 1) << 7 | w << 3]);
            } else if f.w {
                out.push(0x48);
            }
            let escape: &[u8] = match row.map {
                Map::M0f38 => &[0x0f, 0x38],
                Map::M0f3a => &[0x0f, 0x3a],
                Map::M0f | Map::M0f0f if value & sel::REX2 == 0 => &[0x0f],
                _ => &[],
            };
            out.extend(escape);
        }
        Space::Vex => out.extend([0xc4, 0xe0 | number, w << 7 | vvvv << 3 | form.length << 2 | pp]),
        Space::Xop => out.extend([0x8f, 0xe0 | number, w << 7 | vvvv << 3 | form.length << 2 | pp]),
        Space::Evex => {
            let b = if mask & sel::B != 0 { value & sel::B != 0 } else { form.rounding };
            let nf = form.nf || mask & sel::NF != 0 && value & sel::NF != 0;
            let required = row.masking == encore86::isa::row::Masking::Required;
            let aaa = if row.is(attr::SCC) { form.condition & 7 } else { u8::from(nf) << 2 | u8::from(required) };
            let high = !row.is(attr::SCC) || form.condition & 8 != 0;
            let vvvv = if row.is(attr::SCC) { 2 } else { vvvv };
            let last = form.length << 5 | u8::from(b) << 4 | u8::from(high) << 3 | aaa;
            out.extend([0x62, 0xf0 | number, w << 7 | vvvv << 3 | 4 | pp, last]);
        }
    }
    let modrm = if form.memory { 0x40 } else { 0xc0 } | f.reg << 3 | f.rm;
    if row.map == Map::M0f0f {
        out.extend([0x0f, modrm]);
        // 3DNow!'s opcode stands behind SIB and displacement.
        out.extend(match (form.memory, f.rm) {
            (false, _) => &[][..],
            (true, 4) => &[0x2a, 2],
            (true, _) => &[2],
        });
        out.push(opcode);
        return out;
    }
    out.push(opcode | low);
    if row.is(attr::MODRM) || row.is(attr::LATE_MODRM) {
        // SIB with index 5 and base 2, or a displacement.
        out.extend([modrm, 0x2a]);
    }
    out.resize(15, 0x40);
    out
}
