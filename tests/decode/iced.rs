//! iced-x86's reading of the same bytes: length, mnemonic, operands, how they are used, flags, text.

use super::rules::Difference;
use encore86::cpu::segment::Seg;
use encore86::decode::{Slot, SlotKind, StaticRounding};
use encore86::isa::row::{Loc, Use, attr, flag};
use encore86::{Insn, Mode};
use iced_x86::{
    Decoder, DecoderOptions, Formatter, Instruction, InstructionInfoFactory, IntelFormatter, MemorySizeOptions,
    OpAccess, OpKind, Register, RflagsBits, RoundingControl,
};

/// iced and what it needs.
pub struct Iced {
    factory: InstructionInfoFactory,
    formatter: IntelFormatter,
    options: u32,
}

impl Iced {
    pub fn new() -> Iced {
        let mut formatter = IntelFormatter::new();
        let options = formatter.options_mut();
        options.set_hex_prefix("0x");
        options.set_hex_suffix("");
        options.set_uppercase_hex(false);
        options.set_small_hex_numbers_in_decimal(false);
        options.set_space_after_operand_separator(true);
        options.set_memory_size_options(MemorySizeOptions::Always);
        options.set_branch_leading_zeros(false);
        options.set_show_branch_size(false);
        options.set_use_pseudo_ops(false);
        options.set_rip_relative_addresses(true);
        Iced { factory: InstructionInfoFactory::new(), formatter, options: DecoderOptions::MPX }
    }

    /// Whose processors' ways it takes: AMD's or Intel's.
    pub fn follow_amd(&mut self, amd: bool) {
        self.options = DecoderOptions::MPX | if amd { DecoderOptions::AMD } else { 0 };
    }

    /// The instruction at address 0.
    pub fn decode(&self, bytes: &[u8], mode: Mode) -> Instruction {
        Decoder::with_ip(u32::from(mode.bits()), bytes, 0, self.options).decode()
    }

    /// What is different.
    pub fn compare(&mut self, insn: &Insn, other: &Instruction) -> Vec<Difference> {
        let mut out = Vec::new();
        if other.len() != insn.length() {
            out.push(("length", format!("{} against {}", insn.length(), other.len())));
            return out;
        }
        let (ours, theirs) = (insn.mnemonic().to_string(), format!("{:?}", other.mnemonic()).to_lowercase());
        if ours != theirs {
            out.push(("mnemonic", format!("{ours} against {theirs}")));
        }
        let mut note = |kind, result: Result<(), String>| {
            if let Err(what) = result {
                out.push((kind, what));
            }
        };
        let info = self.factory.info(other);
        note("operands", operands(insn, other));
        note("access", access(insn, other, info));
        note("implicit", implicit(insn, info));
        note("mask", mask(insn, other));
        note("prefixes", prefixes(insn, other));
        for what in flags(insn, other) {
            note("flags", Err(what));
        }
        let mut theirs = String::new();
        self.formatter.format(other, &mut theirs);
        let (mut ours, theirs) = (insn.to_string(), normal(theirs, insn, other));
        if insn.row().is(attr::REP) {
            // iced leaves out the segment that a string destination always has.
            ours = ours.replace("es:", "");
        }
        if ours != theirs {
            out.push(("text", format!("{ours} against {theirs}")));
        }
        out
    }
}

/// What stands before a mnemonic in iced's text and not in ours.
const PREFIXES: [&str; 17] = [
    "bnd",
    "xacquire",
    "xrelease",
    "data16",
    "data32",
    "rex.w",
    "addr16",
    "addr32",
    "hint-taken",
    "hint-not-taken",
    "cs",
    "ds",
    "es",
    "fs",
    "gs",
    "ss",
    "notrack",
];

/// iced's text as ours is written. Its Intel style is XED's.
fn normal(mut text: String, insn: &Insn, other: &Instruction) -> String {
    // Rounding is an operand of its own, as assemblers read it.
    const ROUNDING: [(&str, &str); 5] = [
        ("{rne-sae}", "{rn-sae}"),
        ("{rd-sae}", "{rd-sae}"),
        ("{ru-sae}", "{ru-sae}"),
        ("{rz-sae}", "{rz-sae}"),
        ("{sae}", "{sae}"),
    ];
    if insn.static_rounding().is_some() {
        for (theirs, ours) in ROUNDING {
            if let Some((before, behind)) = text.split_once(theirs) {
                text = format!("{before}{behind}, {ours}");
            }
        }
    }
    // The opmask of a gather stands with the operand that it masks.
    if other.is_vsib()
        && let Some(k) = insn.opmask()
    {
        text = text.replacen(&format!(", k{k}"), &format!("{{k{k}}}"), 1);
    }
    // ST(0) has its number, and is not shown where the mnemonic implies it.
    if text.starts_with('f') {
        let operands = text.split_once(' ').map_or(vec![], |(_, o)| o.split(", ").collect());
        let shown = (0..insn.slots().len()).filter(|&i| !insn.implicit(i)).count();
        let kept: Vec<&str> = match operands.len() > shown {
            true => operands.into_iter().filter(|o| *o != "st").collect(),
            false => operands.into_iter().map(|o| if o == "st" { "st(0)" } else { o }).collect(),
        };
        let name = text.split(' ').next().unwrap_or("");
        text = format!("{name} {}", kept.join(", ")).trim_end().to_string();
    }
    // The count of a shift by one is no immediate.
    if insn.slots().iter().any(|s| s.kind == SlotKind::One)
        && let Some(before) = text.strip_suffix("0x1")
    {
        text = format!("{before}1");
    }
    // Prefixes that change nothing, or whose effect shows in the operands.
    while let Some((first, rest)) = text.split_once(' ')
        && (PREFIXES.contains(&first) || first.starts_with("rep") && !insn.row().is(attr::REP))
    {
        text = rest.to_string();
    }
    if insn.row().is(attr::REP) {
        text = text.replace("es:", "").replace(", dx", "").replace("dx, ", "");
        if !insn.row().is(attr::REPCC) {
            text = text.replacen("repne ", "rep ", 1);
        }
        // String operands are shown where the segment or the address size is not the mode's own.
        if !insn.to_string().contains('[') {
            let words = if text.starts_with("rep") { 2 } else { 1 };
            text = text.split(' ').take(words).collect::<Vec<_>>().join(" ");
        }
    }
    text
}

/// The shown operands as iced counts them; where it shows what our rows hide, all.
fn shown(insn: &Insn, other: &Instruction) -> Vec<usize> {
    let explicit: Vec<usize> = (0..insn.slots().len()).filter(|&i| !insn.implicit(i)).collect();
    if explicit.len() == other.op_count() as usize { explicit } else { (0..insn.slots().len()).collect() }
}

fn operands(insn: &Insn, other: &Instruction) -> Result<(), String> {
    let shown = shown(insn, other);
    if shown.len() != other.op_count() as usize {
        return Err(format!("{} operands against {}", shown.len(), other.op_count()));
    }
    for (n, i) in shown.into_iter().enumerate() {
        operand(insn, i, other, n as u32).map_err(|why| format!("operand {n}: {why}"))?;
    }
    Ok(())
}

fn register(slot: Slot) -> Option<Register> {
    use Register::*;
    let (first, count) = match (slot.kind, slot.size) {
        (SlotKind::Gpr, 1) if slot.reg < 4 => (AL, 4),
        (SlotKind::Gpr, 1) => return (slot.reg < 16).then(|| SPL + (u32::from(slot.reg) - 4)),
        (SlotKind::Gpr, 2) => (AX, 16),
        (SlotKind::Gpr, 4) => (EAX, 16),
        (SlotKind::Gpr, _) => (RAX, 16),
        (SlotKind::GprHigh, _) => (AH, 4),
        (SlotKind::Vector, 0..=16) => (XMM0, 32),
        (SlotKind::Vector, 17..=32) => (YMM0, 32),
        (SlotKind::Vector, _) => (ZMM0, 32),
        (SlotKind::Mask, _) => (K0, 8),
        (SlotKind::Mmx, _) => (MM0, 8),
        (SlotKind::St, _) => (ST0, 8),
        (SlotKind::Segment, _) => (ES, 6),
        (SlotKind::Control, _) => (CR0, 16),
        (SlotKind::Debug, _) => (DR0, 16),
        (SlotKind::Tile, _) => (TMM0, 8),
        (SlotKind::Bound, _) => (BND0, 4),
        _ => return Option::None,
    };
    (slot.reg < count).then(|| first + u32::from(slot.reg))
}

fn operand(insn: &Insn, i: usize, other: &Instruction, n: u32) -> Result<(), String> {
    use OpKind::*;
    let (slot, kind) = (insn.slots()[i], other.op_kind(n));
    let differs = || Err(format!("{slot:?} against {kind:?}"));
    match kind {
        OpKind::Register => match register(slot) {
            Some(r) if r == other.op_register(n) => Ok(()),
            Some(r) if r.full_register() == other.op_register(n).full_register() => {
                Err(format!("width of {r:?} against {:?}", other.op_register(n)).to_lowercase())
            }
            _ => Err(format!("{} against {:?}", slot.register_name(), other.op_register(n)).to_lowercase()),
        },
        Memory if matches!(slot.kind, SlotKind::Memory | SlotKind::Vsib) => memory(insn, slot, i, other),
        MemorySegSI | MemorySegESI | MemorySegRSI if slot.kind == SlotKind::StringSrc => string(insn, slot, other),
        MemoryESDI | MemoryESEDI | MemoryESRDI if slot.kind == SlotKind::StringDst => size(slot, other),
        NearBranch16 | NearBranch32 | NearBranch64 if slot.kind == SlotKind::Rel => {
            let (ours, theirs) = (insn.branch_target(0), other.near_branch_target());
            if ours == theirs { Ok(()) } else { Err(format!("{ours:#x} against {theirs:#x}")) }
        }
        FarBranch16 | FarBranch32 if insn.row().operands[i].loc == Loc::FarPointer => {
            let offset = if kind == FarBranch16 { other.far_branch16().into() } else { other.far_branch32() };
            let theirs = u64::from(other.far_branch_selector()) << 32 | u64::from(offset);
            if insn.immediate() == theirs { Ok(()) } else { differs() }
        }
        Immediate8 if slot.kind == SlotKind::One && other.immediate8() == 1 => Ok(()),
        _ if slot.kind == SlotKind::Imm => {
            let bytes = match kind {
                Immediate8 | Immediate8_2nd => 1,
                Immediate8to16 | Immediate16 => 2,
                Immediate8to32 | Immediate32 => 4,
                Immediate8to64 | Immediate32to64 | Immediate64 => 8,
                _ => return differs(),
            };
            let cut = |v: u64, size: u16| if size >= 8 { v } else { v & ((1 << (size * 8)) - 1) };
            let mut ours = cut(insn.immediate() >> (slot.reg * 8), slot.size);
            if insn.row().operands[i].loc == Loc::ImmIs4 {
                // The register above it is an operand of its own.
                ours &= 15;
            }
            let theirs = cut(other.immediate(n), bytes);
            if (ours, slot.size) == (theirs, bytes) {
                Ok(())
            } else {
                Err(format!("immediate {ours:#x} of {} against {theirs:#x} of {bytes}", slot.size))
            }
        }
        _ => differs(),
    }
}

fn size(slot: Slot, other: &Instruction) -> Result<(), String> {
    let size = other.memory_size().size();
    if usize::from(slot.size) == size { Ok(()) } else { Err(format!("{} bytes against {size}", slot.size)) }
}

fn segment(insn: &Insn, ours: Seg, theirs: Register) -> Result<(), String> {
    let theirs = format!("{theirs:?}").to_lowercase();
    // In 64-bit mode only FS and GS have a base; which of the others is meant shows in #SS against #GP only.
    let based = |name: &str| insn.mode() != Mode::Long64 || matches!(name, "fs" | "gs");
    if ours.name() == theirs || !based(ours.name()) && !based(&theirs) {
        return Ok(());
    }
    Err(format!("segment {} against {theirs}", ours.name()))
}

fn string(insn: &Insn, slot: Slot, other: &Instruction) -> Result<(), String> {
    size(slot, other)?;
    segment(insn, insn.segment(), other.memory_segment())
}

fn memory(insn: &Insn, slot: Slot, i: usize, other: &Instruction) -> Result<(), String> {
    if insn.row().operands[i].uses != Use::None {
        size(slot, other)?;
    }
    if insn.broadcast().is_some() != other.is_broadcast() {
        return Err("broadcast or none".into());
    }
    let ours = insn.memory_operand().ok_or("no memory operand")?;
    let number = |r: Register| (r != Register::None && !r.is_ip()).then(|| r.number() as u8);
    let width = u64::MAX >> (64 - u32::from(ours.address_size) * 8);
    let mut disp = other.memory_displacement64();
    if ours.rip_relative {
        disp = disp.wrapping_sub(insn.length() as u64);
    }
    let mine = (ours.rip_relative, ours.base, ours.index, ours.disp as u64 & width);
    let its = (other.memory_base().is_ip(), number(other.memory_base()), number(other.memory_index()), disp & width);
    if mine != its || ours.index.is_some() && u32::from(ours.scale) != other.memory_index_scale() {
        return Err(format!("address {mine:x?} against {its:x?}"));
    }
    // Where there is a base or index register, its width is the address size.
    let bytes = [other.memory_base(), other.memory_index()].iter().find(|r| r.is_gpr()).map(|r| r.size() as u8);
    if bytes.is_some_and(|bytes| bytes != ours.address_size) {
        return Err(format!("address size {} against {bytes:?}", ours.address_size));
    }
    let index = other.memory_index();
    if index.is_vector_register() && index.size() != usize::from(ours.vector_index) {
        return Err(format!("an index of {} bytes against {}", ours.vector_index, index.size()));
    }
    segment(insn, ours.seg, other.memory_segment())
}

fn access(insn: &Insn, other: &Instruction, info: &iced_x86::InstructionInfo) -> Result<(), String> {
    let shown = shown(insn, other);
    if shown.len() != other.op_count() as usize {
        return Ok(());
    }
    for (n, i) in shown.into_iter().enumerate() {
        let theirs = match info.op_access(n as u32) {
            OpAccess::None | OpAccess::NoMemAccess => Use::None,
            OpAccess::Read | OpAccess::CondRead => Use::Read,
            OpAccess::Write => Use::Write,
            OpAccess::CondWrite => Use::CondWrite,
            OpAccess::ReadWrite => Use::ReadWrite,
            OpAccess::ReadCondWrite => Use::ReadCondWrite,
        };
        // iced counts a merging opmask as a condition, and so REP's count.
        let same = match insn.uses(i) {
            Use::ReadWrite if insn.merges() || other.is_vsib() => matches!(theirs, Use::ReadWrite | Use::ReadCondWrite),
            Use::Write if insn.repeat().is_some() => matches!(theirs, Use::Write | Use::CondWrite),
            ours => ours == theirs,
        };
        if !same {
            return Err(format!("operand {n}: {} against {theirs}", insn.uses(i)));
        }
    }
    Ok(())
}

/// Registers that our rows have as operands without showing them.
fn implicit(insn: &Insn, info: &iced_x86::InstructionInfo) -> Result<(), String> {
    for (i, slot) in insn.slots().iter().enumerate().filter(|&(i, _)| insn.implicit(i)) {
        let Some(register) = register(*slot) else { continue };
        let whole = register.full_register();
        let (mut reads, mut writes) = (false, false);
        for used in info.used_registers().iter().filter(|u| u.register().full_register() == whole) {
            let access = used.access();
            reads |=
                matches!(access, OpAccess::Read | OpAccess::CondRead | OpAccess::ReadWrite | OpAccess::ReadCondWrite);
            writes |=
                matches!(access, OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite);
        }
        let uses = insn.uses(i);
        if (uses.reads(), uses.writes()) != (reads, writes) {
            let what = format!("{register:?}").to_lowercase();
            return Err(format!("{what}: {uses} against r {reads}, w {writes}"));
        }
    }
    Ok(())
}

fn mask(insn: &Insn, other: &Instruction) -> Result<(), String> {
    let k = other.op_mask();
    let theirs = (k != Register::None).then(|| k.number() as u8);
    if insn.opmask() != theirs {
        return Err(format!("opmask {:?} against {theirs:?}", insn.opmask()));
    }
    if theirs.is_some() && insn.zeroing() != other.zeroing_masking() {
        return Err(format!("zeroing {} against {}", insn.zeroing(), other.zeroing_masking()));
    }
    let theirs = match other.rounding_control() {
        RoundingControl::None if other.suppress_all_exceptions() => Some(StaticRounding::Sae),
        RoundingControl::None => None,
        RoundingControl::RoundToNearest => Some(StaticRounding::Nearest),
        RoundingControl::RoundDown => Some(StaticRounding::Down),
        RoundingControl::RoundUp => Some(StaticRounding::Up),
        RoundingControl::RoundTowardZero => Some(StaticRounding::Zero),
    };
    if insn.static_rounding() != theirs {
        return Err(format!("rounding {:?} against {theirs:?}", insn.static_rounding()));
    }
    Ok(())
}

fn prefixes(insn: &Insn, other: &Instruction) -> Result<(), String> {
    if insn.locked() != other.has_lock_prefix() {
        return Err(format!("lock {} against {}", insn.locked(), other.has_lock_prefix()));
    }
    let repeats = other.has_rep_prefix() || other.has_repne_prefix();
    if other.is_string_instruction() && insn.repeat().is_some() != repeats {
        return Err(format!("{:?} against {repeats}", insn.repeat()));
    }
    Ok(())
}

fn flags(insn: &Insn, other: &Instruction) -> Vec<String> {
    const PAIRS: [(u16, u32, &str); 9] = [
        (flag::CF, RflagsBits::CF, "CF"),
        (flag::PF, RflagsBits::PF, "PF"),
        (flag::AF, RflagsBits::AF, "AF"),
        (flag::ZF, RflagsBits::ZF, "ZF"),
        (flag::SF, RflagsBits::SF, "SF"),
        (flag::OF, RflagsBits::OF, "OF"),
        (flag::DF, RflagsBits::DF, "DF"),
        (flag::IF, RflagsBits::IF, "IF"),
        (flag::AC, RflagsBits::AC, "AC"),
    ];
    let ours = insn.row().flags;
    let sets = [
        ("read", ours.read, other.rflags_read()),
        ("written", ours.written, other.rflags_modified()),
        ("undefined", ours.undefined, other.rflags_undefined()),
        ("cleared", ours.cleared, other.rflags_cleared()),
        ("set", ours.set, other.rflags_set()),
    ];
    let names = |has: &dyn Fn(&(u16, u32, &str)) -> bool| -> String {
        PAIRS.iter().filter(|p| has(p)).map(|p| p.2).collect::<Vec<_>>().join("+")
    };
    let mut out = Vec::new();
    for (name, ours, theirs) in sets {
        if PAIRS.iter().any(|p| (ours & p.0 != 0) != (theirs & p.1 != 0)) {
            let (mine, its) = (names(&|p| ours & p.0 != 0), names(&|p| theirs & p.1 != 0));
            out.push(format!("{name} {mine} against {its}"));
        }
    }
    out
}
