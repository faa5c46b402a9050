//! `encore86 boot --kernel`: a PC whose processor is the engine alone, for an unmodified Linux kernel.

mod clock;
mod cmos;
mod error;
mod keyboard;
mod line;
mod load;
mod machine;
mod msr;
mod pic;
mod pit;
mod run;
mod serial;
mod terminal;

use super::args::Args;
use super::error::Error;
use clock::Clock;
use encore86::Profile;
use encore86::isa::Feature;
use encore86::paging::{Limits, Paging};
pub use error::LoadError;
use load::Linux;
use machine::Pc;
use run::Guest;
pub use run::{End, Trace};
use rustix::time::{ClockId, clock_gettime};
use std::path::Path;
use std::time::Duration;
use terminal::Terminal;

/// What this machine has not, whatever the profile says: a local APIC, performance counters, virtualization, waits for memory.
const ABSENT: [Feature; 6] =
    [Feature::Apic, Feature::X2apic, Feature::Monitor, Feature::Monitorx, Feature::Vmx, Feature::Svm];

/// Instructions that the engine remembers: a kernel with its programs runs in some thousands at a time.
const DECODE_CACHE: usize = 1 << 14;

/// Boots the kernel.
///
/// # Errors
/// If it can't be loaded, or ends in another way than by switching itself off.
pub fn boot(args: &Args, kernel: &Path) -> Result<(), Error> {
    let profile = ABSENT.iter().fold(args.profile(), |profile: Profile, &feature| profile.without(feature));
    let memory = args.pc_memory()?;
    let pc = Pc::new(memory, Clock::new(args.icount)).map_err(|error| Error::HostMemory(memory, error))?;
    let linux = Linux { kernel, initrd: args.initrd.as_deref(), command_line: &args.cmdline };
    let cpu = load::load(&linux, &pc.ram).map_err(Error::Kernel)?;
    let memory = Paging::new(pc, Limits::new(&profile));
    let mut engine = super::engine(profile);
    engine.set_decode_cache(DECODE_CACHE);
    let mut guest = Guest { engine, cpu, memory, instructions: 0, trace: args.kernel_trace()? };

    let begun = process_time();
    let end = {
        let mut terminal = Terminal::new().map_err(Error::Console)?;
        guest.run(&mut terminal, args.max_steps.unwrap_or(u64::MAX))?
    };
    let busy = process_time().saturating_sub(begun).as_secs_f64();
    let speed = guest.instructions as f64 / busy / 1e6;
    eprintln!(
        "{} instructions in {busy:.2} s of processor time: {speed:.1} million instructions a second",
        guest.instructions
    );
    if let Some(trace) = guest.trace {
        trace.file.finish().map_err(|error| Error::Output(trace.path, error))?;
    }
    match end {
        End::Halt | End::Left => Ok(()),
        end => Err(Error::Linux(end, guest.cpu.rip)),
    }
}

/// What this process has had of the processor.
fn process_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
