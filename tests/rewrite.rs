//! Every replayed instruction is rewritten to the same one with local operands, whether the host has it or not.
//!
//! Encodings of each row, in 64-, 32- and 16-bit mode, are read by iced-x86 as the guest wrote them and as they are
//! replayed, and everything but the memory operand must be the same: iced says what both are, our decoder only which rows
//! to ask about. What iced does not know our own decoder reads, and such rows are counted apart.

#[allow(dead_code)] // what its other user asks for
#[path = "decode/encoder.rs"]
mod encoder;
#[path = "support/mod.rs"]
mod support;

use encore86::decode::SlotKind;
use encore86::isa::row::{Exec, Shape};
use encore86::isa::{Feature, Row, tables};
use encore86::replay::{Rewritten, rewritten};
use encore86::{Insn, Mode, Profile, Vendor, decode};
use iced_x86::{Decoder, DecoderOptions, Instruction, OpKind, Register};
use std::collections::BTreeMap;
use support::newer;

const MODES: [Mode; 3] = [Mode::Long64, Mode::Prot32, Mode::Prot16];

/// A non-temporal move is replayed as its temporal form.
const TEMPORAL: [(&str, &str); 10] = [
    ("movntps", "movaps"),
    ("movntpd", "movapd"),
    ("movntss", "movss"),
    ("movntsd", "movsd"),
    ("movntdq", "movdqa"),
    ("movntq", "movq"),
    ("vmovntps", "vmovaps"),
    ("vmovntpd", "vmovapd"),
    ("vmovntdq", "vmovdqa"),
    // EVEX names the elements, of which an opmask would leave some.
    ("vmovntdq", "vmovdqa32"),
];

/// Is it the mnemonic that is replayed?
fn name(guest: &str, host: &str) -> Result<(), String> {
    let same = guest == host || TEMPORAL.contains(&(guest, host));
    if same { Ok(()) } else { Err(format!("{guest} became {host}")) }
}

fn read(bytes: &[u8], mode: Mode, amd: bool) -> Instruction {
    let options = if amd { DecoderOptions::AMD } else { DecoderOptions::NONE };
    Decoder::with_ip(u32::from(mode.bits()), bytes, 0, options).decode()
}

/// What differs between the guest's instruction and the one that is replayed.
fn compare(guest: &Instruction, host: &Instruction, rewritten: &Rewritten) -> Result<(), String> {
    let mnemonic = |i: &Instruction| format!("{:?}", i.mnemonic()).to_lowercase();
    name(&mnemonic(guest), &mnemonic(host))?;
    if guest.op_count() != host.op_count() {
        return Err(format!("{} operands became {}", guest.op_count(), host.op_count()));
    }
    for n in 0..guest.op_count() {
        operand(guest, host, n, rewritten).map_err(|why| format!("operand {n}: {why}"))?;
    }
    let extras = |i: &Instruction| {
        (
            (i.op_mask(), i.zeroing_masking(), i.is_broadcast()),
            (i.rounding_control(), i.suppress_all_exceptions()),
            (i.has_rep_prefix(), i.has_repne_prefix(), i.has_lock_prefix()),
        )
    };
    // A prefix of the guest's that means nothing to a SIMD instruction is gone.
    let (mut before, after) = (extras(guest), extras(host));
    before.2 = (false, false, false);
    if before != after {
        return Err(format!("{before:?} became {after:?}"));
    }
    Ok(())
}

fn operand(guest: &Instruction, host: &Instruction, n: u32, rewritten: &Rewritten) -> Result<(), String> {
    let (before, after) = (guest.op_kind(n), host.op_kind(n));
    if before != after {
        return Err(format!("{before:?} became {after:?}"));
    }
    if after == OpKind::Memory {
        let address = (host.memory_base(), host.memory_index(), host.memory_displacement64());
        if address != (Register::RSI, Register::None, 0) || host.segment_prefix() != Register::None {
            return Err(format!("the address is {address:?}"));
        }
        let sizes = (guest.memory_size(), host.memory_size());
        // A temporal move names its elements otherwise.
        return if sizes.0.size() == sizes.1.size() { Ok(()) } else { Err(format!("{sizes:?}")) };
    }
    if after != OpKind::Register {
        let (before, after) = (guest.immediate(n), host.immediate(n));
        return if before == after { Ok(()) } else { Err(format!("{before:#x} became {after:#x}")) };
    }
    let (before, after) = (guest.op_register(n), host.op_register(n));
    if !before.is_gpr() {
        return if before == after { Ok(()) } else { Err(format!("{before:?} became {after:?}")) };
    }
    let stands_for = rewritten.guests().get(after.number()).copied().flatten();
    let same = before.size() == after.size() && stands_for == Some(before.number() as u8);
    if same { Ok(()) } else { Err(format!("{before:?} became {after:?}, which stands for {stands_for:?}")) }
}

/// The same by our own decoder: for what iced does not know.
fn compare_alone(guest: &Insn, host: &Insn, rewritten: &Rewritten) -> Result<(), String> {
    name(&guest.mnemonic().to_string(), &host.mnemonic().to_string())?;
    let read = |i: &Insn| (i.opmask(), i.zeroing(), i.broadcast(), i.static_rounding(), i.slots().len());
    if read(guest) != read(host) {
        return Err(format!("{:?} became {:?}", read(guest), read(host)));
    }
    let immediate = guest.slots().iter().any(|slot| slot.kind == SlotKind::Imm);
    if immediate && guest.immediate() != host.immediate() {
        return Err(format!("{:#x} became {:#x}", guest.immediate(), host.immediate()));
    }
    for (i, (before, after)) in guest.slots().iter().zip(host.slots().iter()).enumerate() {
        let register = guest.implicit(i) || before.kind != SlotKind::Gpr;
        let same = match register {
            true => before == after,
            false => {
                let stands_for = rewritten.guests().get(after.reg as usize).copied().flatten();
                (before.kind, before.size, Some(before.reg)) == (after.kind, after.size, stands_for)
            }
        };
        if !same {
            return Err(format!("operand {i}: {before:?} became {after:?}"));
        }
    }
    let address = host.memory_operand().map(|m| (m.base, m.index, m.disp, m.rip_relative, m.address_size));
    let expected = guest.memory_operand().map(|_| (Some(6), None, 0, false, 8));
    if address == expected { Ok(()) } else { Err(format!("the address is {address:x?}")) }
}

/// What became of a row.
#[derive(Clone, Copy, Default)]
struct Seen {
    by_iced: u64,
    alone: u64,
}

/// Why no instruction is made for the row's stub.
fn without_stub(row: &Row) -> Option<&'static str> {
    match row.exec {
        Exec::Replay(Shape::Gather | Shape::Scatter) => Some("a gather or scatter is a sequence of element accesses"),
        Exec::Replay(Shape::Prefetch) => Some("a prefetch is the platform's"),
        Exec::Replay(Shape::ByteMask) => Some("MASKMOVDQU and MASKMOVQ are sequences of byte accesses"),
        _ => None,
    }
}

#[test]
fn every_replayed_row_stays_itself() {
    let intel = Profile::all();
    let profiles = [intel.clone(), intel.with_vendor(Vendor::Amd)];
    let (mut covered, mut reasons) = (BTreeMap::<usize, Seen>::new(), BTreeMap::<&str, usize>::new());
    let mut failures = Vec::new();
    let rows: Vec<_> = tables::rows().filter(|row| matches!(row.exec, Exec::Replay(_))).collect();
    for (number, row) in rows.iter().enumerate() {
        if let Some(reason) = without_stub(row) {
            *reasons.entry(reason).or_default() += 1;
            continue;
        }
        let mut failed = 0;
        for (mode, encoding) in MODES.iter().flat_map(|&m| encoder::encodings(row, m).into_iter().map(move |e| (m, e)))
        {
            for (profile, amd) in profiles.iter().zip([false, true]) {
                let Ok(guest) = decode(&encoding.bytes, mode, profile) else { continue };
                if !std::ptr::eq(guest.row(), *row) {
                    continue;
                }
                let bytes = &encoding.bytes[..guest.length()];
                let difference = match rewritten(&guest) {
                    Err(why) => Err(format!("{why:?}")),
                    Ok(None) => Err("it is not rewritten".into()),
                    Ok(Some(new)) => {
                        let seen = covered.entry(number).or_default();
                        check(&guest, bytes, amd, &new, seen)
                            .map_err(|why| format!("{why}; it became {:02x?}", new.as_slice()))
                    }
                };
                if let Err(why) = difference {
                    failed += 1;
                    if failed <= 2 {
                        failures.push(format!("{}: {guest} ({bytes:02x?}, {mode:?}): {why}", row.form()));
                    }
                }
            }
        }
    }
    for (reason, count) in &reasons {
        println!("{count} rows have no rewritten instruction: {reason}");
    }
    let encodings: (u64, u64) = covered.values().fold((0, 0), |sum, s| (sum.0 + s.by_iced, sum.1 + s.alone));
    let alone: Vec<_> = covered.iter().filter(|(_, seen)| seen.by_iced == 0).map(|(&n, _)| rows[n]).collect();
    println!(
        "{} rows, {} encodings read by iced-x86; {} rows that it does not know by our own decoder, {} encodings",
        covered.len() - alone.len(),
        encodings.0,
        alone.len(),
        encodings.1
    );
    let known = |row: &Row| !newer::is_newer(row) && !row.features.contains(&Feature::Movrs);
    failures.extend(alone.iter().filter(|row| known(row)).map(|row| format!("{}: iced-x86 reads none", row.form())));
    for failure in &failures {
        println!("{failure}");
    }
    assert!(failures.is_empty(), "{} kinds of failure, see above", failures.len());
    let missing: Vec<_> = (0..rows.len())
        .filter(|n| !covered.contains_key(n) && without_stub(rows[*n]).is_none())
        .map(|n| rows[n].form().to_string())
        .collect();
    assert!(missing.is_empty(), "rows of which nothing was rewritten: {missing:?}");
}

fn check(guest: &Insn, bytes: &[u8], amd: bool, new: &Rewritten, seen: &mut Seen) -> Result<(), String> {
    let (before, after) = (read(bytes, guest.mode(), amd), read(new.as_slice(), Mode::Long64, amd));
    if before.is_invalid() || before.len() != bytes.len() {
        // Not known to iced, or an addition of APX.
        seen.alone += 1;
        let host = decode(new.as_slice(), Mode::Long64, &Profile::all()).map_err(|why| why.to_string())?;
        return compare_alone(guest, &host, new);
    }
    seen.by_iced += 1;
    if after.is_invalid() || after.len() != new.as_slice().len() {
        return Err("iced-x86 does not take what is replayed".into());
    }
    compare(&before, &after, new)
}
