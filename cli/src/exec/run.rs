//! Steps a case to its end.

use super::layers::Layer;
use super::machine::Machine;
use super::report::{AccessReport, Exception, Registers, Report, State, retire};
use super::setup::Setup;
use encore86::cpu::registers::{cr4, efer};
use encore86::introspect::{Clock, Discard, Overlay, Record};
use encore86::{Cpu, DecodeError, Engine, Event, Outcome, Profile, Retired, Stop, decode};
use std::cell::Cell;

/// How a case ended.
struct End {
    outcome: &'static str,
    exception: Option<Event>,
    reason: Option<String>,
}

impl End {
    fn plain(outcome: &'static str) -> End {
        End { outcome, exception: None, reason: None }
    }

    fn exception(event: Event) -> End {
        End { outcome: "exception", exception: Some(event), reason: Some(event.to_string()) }
    }

    fn unsupported(reason: String) -> End {
        End { outcome: "unsupported", exception: None, reason: Some(reason) }
    }
}

/// Runs a case.
pub fn run(setup: Setup) -> Report {
    let mut engine = new_engine(&setup);
    let mut cpu = setup.cpu.clone();
    let fetch_bit = Cell::new(false);
    let clock = Clock::default();
    let mut machine = Machine {
        memory: setup.memory,
        paging: setup.paging.is_some(),
        walks: Vec::new(),
        clock: clock.clone(),
        ports: setup.ports,
        msr: setup.msr.clone(),
        fetch_bit: &fetch_bit,
        seed: setup.seed,
        time: 0,
    };

    // Each adaptor only where it is asked for; the record on top sees what the instruction sees.
    let (mut paging, mut discard, mut overlay);
    let mut vmm: &mut dyn Layer = match setup.paging {
        None => &mut machine,
        Some(tables) => {
            paging = tables.paging(&mut machine, &cpu).expect("the setup has loaded the same");
            &mut paging
        }
    };
    if setup.discard_writes {
        discard = Discard::new(vmm);
        vmm = &mut discard;
    }
    if !setup.overlay.is_empty() {
        overlay = Overlay::new(vmm, setup.overlay);
        vmm = &mut overlay;
    }
    let mut record = Record::new(vmm).fetches(setup.fetches).clock(clock);

    let mut steps = 0;
    let mut retries = 0;
    let mut retired = Retired::default();
    // An event is delivered before the next instruction. The case's own is none of its steps.
    let (mut due, mut counts) = (setup.event, false);
    let end = loop {
        if let Some(event) = due {
            fetch_bit.set(false);
            let outcome = match record.inner().prepare(&cpu) {
                Ok(()) => engine.deliver(&mut cpu, &mut record, event),
                Err(stop) => break End::unsupported(format!("the PDPTEs cannot be read: {stop:?}")),
            };
            record.settle(&outcome, None);
            match outcome {
                Outcome::Completed(now) => {
                    due = now.debug();
                    cpu.update(|s| s.dr[6] |= now.dr6());
                    if std::mem::replace(&mut counts, setup.deliver) {
                        steps += 1;
                        retired = now;
                        if setup.until == Some(cpu.rip) {
                            break End::plain("retired");
                        }
                    }
                }
                Outcome::Retry if retries < setup.max_retries => retries += 1,
                Outcome::Retry => break End::plain("retry"),
                Outcome::Shutdown => break End::plain("shutdown"),
                Outcome::Unsupported(why) => break End::unsupported(why.to_string()),
                other => break End::unsupported(format!("exec does not know the outcome {other:?}")),
            }
            continue;
        }
        counts = setup.deliver;
        if steps >= setup.max_steps {
            break End::plain("retired");
        }
        fetch_bit.set(tells_fetches(&cpu));
        let mode = cpu.mode();
        let outcome = match (record.inner().prepare(&cpu), &setup.insn) {
            (Ok(()), Some(bytes)) => engine.step_bytes(&mut cpu, &mut record, bytes),
            (Ok(()), None) => engine.step(&mut cpu, &mut record),
            (Err(Stop::Retry), _) => Outcome::Retry,
            (Err(Stop::Fault(event)), _) => Outcome::Exception(event),
            (Err(stop), _) => break End::unsupported(format!("the PDPTEs cannot be read: {stop:?}")),
        };
        let length = match decode(record.fetched(), mode, &setup.profile) {
            Ok(insn) => Some(insn.length()),
            Err(DecodeError::Truncated) => Some(0),
            Err(_) => None,
        };
        record.settle(&outcome, length);
        match outcome {
            Outcome::Completed(now) if now.rep_unfinished && now.debug().is_none() => {}
            Outcome::Completed(now) => {
                steps += u64::from(!now.rep_unfinished);
                retired = now;
                if now.hlt {
                    break End::plain("hlt");
                }
                if setup.until == Some(cpu.rip) && !now.rep_unfinished {
                    break End::plain("retired");
                }
                if let Some(event) = now.debug()
                    && steps < setup.max_steps
                {
                    if !setup.deliver {
                        break End::exception(event);
                    }
                    cpu.update(|s| s.dr[6] |= now.dr6());
                    due = Some(event);
                }
            }
            Outcome::Retry if retries < setup.max_retries => retries += 1,
            Outcome::Retry => break End::plain("retry"),
            Outcome::Exception(event) if setup.deliver => due = Some(event),
            Outcome::Exception(event) => break End::exception(event),
            Outcome::Shutdown => break End::plain("shutdown"),
            Outcome::Unsupported(why) => break End::unsupported(why.to_string()),
            Outcome::Stopped(Record::<()>::FULL) => {
                break End::unsupported(format!("more than {} accesses are not listed", Record::<()>::LIMIT));
            }
            other => break End::unsupported(format!("exec does not know the outcome {other:?}")),
        }
    };

    let mut accesses = record.take();
    accesses.append(&mut machine.walks);
    accesses.sort_by_key(|access| access.order);
    let accesses = accesses.into_iter().map(AccessReport::from).collect();
    let before = Registers { cpu: &setup.cpu, msr: &setup.msr };
    let after = Registers { cpu: &cpu, msr: &machine.msr };
    Report {
        id: setup.id,
        outcome: end.outcome,
        exception: end.exception.as_ref().map(Exception::from),
        reason: end.reason,
        steps,
        length: engine.last().map(|insn| insn.length()),
        form: engine.last().map(|insn| insn.row().form().to_string()),
        accesses,
        state: State::new(before, after, &setup.tiles, setup.full),
        mem: if setup.full { machine.memory.contents() } else { machine.memory.changes() },
        retire: retire(&retired),
    }
}

/// An engine of its own for each case: nothing is left of the one before. A host that denies executable memory still
/// runs integer instructions.
fn new_engine(setup: &Setup) -> Engine {
    let profile: Profile = setup.profile.clone();
    let mut engine = Engine::new(profile.clone()).unwrap_or_else(|_| Engine::integer_only(profile));
    engine.set_split_lock(setup.split_lock);
    engine
}

/// Would a page walk's fault tell a fetch from a read?
fn tells_fetches(cpu: &Cpu) -> bool {
    let s = cpu.system();
    s.cr4 & cr4::PAE != 0 && s.efer & efer::NXE != 0 || s.cr4 & cr4::SMEP != 0
}
