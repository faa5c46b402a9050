//! Which instruction made a store that the kernel has emulated.
//!
//! On such an exit the kernel has moved RIP past the instruction already (not for repetitions), so it has to be found by
//! looking back. Only the table of who ran what depends on it.

use crate::boot::machine::{Machine, code};
use encore86::decode::SlotKind;
use encore86::isa::row::Use;
use encore86::paging::Paging;
use encore86::{Insn, Mode, Profile, decode};
use kvm_bindings::kvm_regs;
use rustc_hash::FxHashMap;

/// The longest instruction.
const LIMIT: u64 = 15;

/// Instructions found so far, by where they end and how many bytes they stored.
#[derive(Debug, Default)]
pub struct Writers {
    found: FxHashMap<(u64, usize), Option<(u64, Insn)>>,
}

impl Writers {
    /// The instruction that stored `data` at `at` and left `regs`, and where it begins.
    pub fn find(
        &mut self,
        regs: &kvm_regs,
        at: u64,
        data: &[u8],
        profile: &Profile,
        memory: &mut Paging<Machine>,
    ) -> Option<(u64, Insn)> {
        let mut look = Look { memory, profile };
        let len = data.len();
        // A repetition has more to do: RIP is at it, and rDI one element further or back.
        if at.abs_diff(regs.rdi) == len as u64
            && let Some(insn) = look.forward(regs.rip)
            && insn.repeat().is_some()
            && insn.slots().iter().any(|slot| slot.kind == SlotKind::StringDst && slot.size as usize == len)
        {
            return Some((regs.rip, insn));
        }
        if at == regs.rsp {
            // CALL went elsewhere, and left where it ends on the stack.
            if let Ok(bytes) = data.try_into()
                && let Some(call) = look.back(u64::from_le_bytes(bytes), |insn| insn.row().mnemonic == "call")
            {
                return Some(call);
            }
            if let Some(push) = look.back(regs.rip, |insn| insn.row().mnemonic.starts_with("push")) {
                return Some(push);
            }
        }
        let crosses = at.is_multiple_of(4096) || (at + len as u64).is_multiple_of(4096);
        let fits = |size: usize| size == len || size > 8 && len == 8 || crosses && size > len;
        let stores = |insn: &Insn| {
            let string = insn.slots().iter().any(|slot| slot.kind == SlotKind::StringDst && fits(slot.size.into()));
            // One that reads too would have been seen to read.
            let memory = insn.memory().is_some_and(|(slot, uses)| fits(slot.size.into()) && uses == Use::Write);
            string || memory
        };
        *self.found.entry((regs.rip, len)).or_insert_with(|| look.back(regs.rip, stores))
    }
}

struct Look<'a> {
    memory: &'a mut Paging<Machine>,
    profile: &'a Profile,
}

impl Look<'_> {
    fn forward(&mut self, rip: u64) -> Option<Insn> {
        let (bytes, count) = code(self.memory, rip);
        decode(&bytes[..count], Mode::Long64, self.profile).ok()
    }

    /// The longest instruction that ends at `end` and is `wanted`: a shorter one is the same without its prefixes.
    fn back(&mut self, end: u64, wanted: impl Fn(&Insn) -> bool) -> Option<(u64, Insn)> {
        (1..=LIMIT).rev().find_map(|length| {
            let start = end.checked_sub(length)?;
            let insn = self.forward(start)?;
            (insn.length() as u64 == length && wanted(&insn)).then_some((start, insn))
        })
    }
}
