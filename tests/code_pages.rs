//! `Engine::run` on a bus that grants pages of code: what it reads there is what is there, and what may change the page is seen.

use encore86::cpu::registers::rflags;
use encore86::host::{CodePage, HostRam};
use encore86::paging::{Limits, Paging};
use encore86::{Access, Bus, Cpu, Engine, Outcome, Platform, Profile, Retired, Stop};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

const SIZE: u64 = 0x10000;
/// A store there exchanges the pages at 0x1000 and 0x2000.
const BANK: u64 = 0xf000;

/// 64 KiB of RAM that grants its pages.
struct Ram {
    words: Vec<AtomicU64>,
    generation: u64,
    exchanged: bool,
    /// Without grants.
    plain: bool,
    fetches: u64,
    /// The count of the last [`Platform::progress`].
    progress: u64,
    /// A port was written.
    raised: bool,
    interruptible: bool,
}

impl Ram {
    fn new(code: &[(u64, &[u8])]) -> Ram {
        let mut ram = Ram {
            words: (0..SIZE / 8).map(|_| AtomicU64::new(0)).collect(),
            generation: 0,
            exchanged: false,
            plain: false,
            fetches: 0,
            progress: 0,
            raised: false,
            interruptible: false,
        };
        for &(at, bytes) in code {
            ram.put(at, bytes);
        }
        ram
    }

    fn put(&mut self, at: u64, bytes: &[u8]) {
        self.grant(at, bytes.len()).expect("in RAM").store(bytes);
    }

    fn place(&self, at: u64) -> u64 {
        if self.exchanged && (0x1000..0x3000).contains(&at) { at ^ 0x3000 } else { at }
    }

    fn grant(&mut self, at: u64, len: usize) -> Option<HostRam<'_>> {
        let at = self.place(at);
        if at + len as u64 > SIZE {
            return None;
        }
        let start = NonNull::from(&self.words[0]).cast::<u8>();
        // SAFETY: inside the words, which are atomic and as long-lived as `self`.
        Some(unsafe { HostRam::new(start.add(at as usize), len) })
    }
}

impl Bus for Ram {
    fn fetch(&mut self, at: u64, buf: &mut [u8; 15], _: &Access) -> Result<usize, Stop> {
        self.fetches += 1;
        let count = (SIZE - at).min(15) as usize;
        self.grant(at, count).unwrap().load(&mut buf[..count]);
        Ok(count)
    }

    fn read(&mut self, at: u64, buf: &mut [u8], _: &Access) -> Result<(), Stop> {
        self.grant(at, buf.len()).unwrap().load(buf);
        Ok(())
    }

    fn write(&mut self, at: u64, buf: &[u8], _: &Access) -> Result<(), Stop> {
        if at == BANK {
            self.exchanged = !self.exchanged;
            self.generation += 1;
            return Ok(());
        }
        self.grant(at, buf.len()).unwrap().store(buf);
        Ok(())
    }

    fn probe(&mut self, _: u64, _: usize, _: &Access) -> Result<(), Stop> {
        Ok(())
    }

    fn ram(&mut self, at: u64, len: usize, _: &Access) -> Result<Option<HostRam<'_>>, Stop> {
        Ok(if at == BANK { None } else { self.grant(at, len) })
    }

    fn code(&mut self, at: u64, _: &Access) -> Result<Option<CodePage>, Stop> {
        let page = self.place(at) & !0xfff;
        if self.plain || page >= SIZE {
            return Ok(None);
        }
        let start = NonNull::from(&self.words[0]).cast::<u8>();
        // SAFETY: the page is inside the words, which are atomic, and stay as long as the bus does.
        Ok(Some(unsafe { CodePage::new(start.add(page as usize)) }))
    }

    fn generation(&self) -> u64 {
        self.generation
    }

    fn follow(&mut self, cpu: &Cpu) -> Result<(), Stop> {
        self.interruptible = cpu.rflags() & rflags::IF != 0;
        Ok(())
    }
}

impl Platform for Ram {
    fn port_out(&mut self, _: u16, _: &[u8]) -> Result<(), Stop> {
        self.raised = true;
        Ok(())
    }

    fn time(&mut self) -> Result<u64, Stop> {
        Ok(self.progress)
    }

    fn progress(&mut self, completed: u64) {
        self.progress = completed;
    }

    fn interrupt_pending(&mut self) -> bool {
        self.raised && self.interruptible
    }
}

fn engine() -> Engine {
    Engine::integer_only(Profile::all())
}

fn cpu(rip: u64) -> Cpu {
    let mut cpu = Cpu::new();
    cpu.rip = rip;
    cpu.gpr[4] = 0x8000;
    cpu
}

fn halted() -> Outcome {
    Outcome::Completed(Retired { hlt: true, ..Retired::default() })
}

/// 0x1000: mov byte [rip + 8], cl (the operand of `mov al`); mov al, 0; add ebx, eax; dec ecx; jnz to the first; hlt
const CHANGES_ITSELF: &[u8] =
    &[0x88, 0x0d, 0x01, 0x00, 0x00, 0x00, 0xb0, 0x00, 0x01, 0xc3, 0xff, 0xc9, 0x75, 0xf2, 0xf4];

#[test]
fn code_that_changes_itself_is_seen() {
    for plain in [false, true] {
        let mut ram = Ram { plain, ..Ram::new(&[(0x1000, CHANGES_ITSELF)]) };
        let (mut engine, mut cpu) = (engine(), cpu(0x1000));
        cpu.gpr[1] = 100;
        let run = engine.run(&mut cpu, &mut ram, 10_000);
        assert_eq!((run.outcome, run.completed), (halted(), 501));
        assert_eq!(cpu.gpr[3], 5050, "each value of CL was read as an operand");
        if plain {
            assert_eq!(ram.fetches, 501, "one fetch an instruction");
        }
    }
}

#[test]
fn granted_code_is_not_fetched_again() {
    // dec ecx; jnz; hlt
    let mut ram = Ram::new(&[(0x1000, &[0xff, 0xc9, 0x75, 0xfc, 0xf4])]);
    let (mut engine, mut cpu) = (engine(), cpu(0x1000));
    cpu.gpr[1] = 1000;
    assert_eq!(engine.run(&mut cpu, &mut ram, 10_000).completed, 2001);
    assert!(ram.fetches <= 4, "{} fetches: only where the decode cache misses", ram.fetches);
}

#[test]
fn another_page_in_its_place_is_seen_by_the_generation() {
    // mov [BANK], eax; mov ecx, n; hlt
    let code = |n: u8| [0x89, 0x04, 0x25, 0x00, 0xf0, 0x00, 0x00, 0xb9, n, 0, 0, 0, 0xf4];
    let mut ram = Ram::new(&[(0x1000, &code(1)), (0x2000, &code(2))]);
    let mut engine = engine();
    for expected in [2, 1, 2] {
        let mut cpu = cpu(0x1000);
        assert_eq!(engine.run(&mut cpu, &mut ram, 100).outcome, halted());
        assert_eq!(cpu.gpr[1], expected);
    }
}

#[test]
fn code_runs_over_the_end_of_a_page_and_into_the_next() {
    // inc eax, twelve times; hlt
    let mut code = [0xff, 0xc0].repeat(12);
    code.push(0xf4);
    let mut ram = Ram::new(&[(0x1ff1, &code)]);
    let mut cpu = cpu(0x1ff1);
    assert_eq!(engine().run(&mut cpu, &mut ram, 100).completed, 13);
    assert_eq!(cpu.gpr[0], 12);
}

#[test]
fn the_count_is_exact_where_time_is_asked_for() {
    // nop; nop; rdtsc; mov ebx, eax; nop; rdtsc; hlt
    let code = [0x90, 0x90, 0x0f, 0x31, 0x89, 0xc3, 0x90, 0x0f, 0x31, 0xf4];
    for plain in [false, true] {
        let mut ram = Ram { plain, ..Ram::new(&[(0x1000, &code)]) };
        let (mut engine, mut cpu) = (engine(), cpu(0x1000));
        assert_eq!(engine.run(&mut cpu, &mut ram, 100).outcome, halted());
        assert_eq!((cpu.gpr[3], cpu.gpr[0]), (2, 5));
    }
}

#[test]
fn an_interrupt_comes_behind_what_raises_it_and_what_lets_it_in() {
    // out 0x10, al; nop
    let mut ram = Ram::new(&[(0x1000, &[0xe6, 0x10, 0x90, 0x90])]);
    let (mut engine, mut one) = (engine(), cpu(0x1000));
    one.set_rflags(one.rflags() | rflags::IF);
    assert_eq!(engine.run(&mut one, &mut ram, 100).completed, 1);
    // push 0x202; popf; nop, with the interrupt waiting
    let mut ram = Ram { raised: true, ..Ram::new(&[(0x1000, &[0x68, 0x02, 0x02, 0, 0, 0x9d, 0x90, 0x90])]) };
    let mut two = cpu(0x1000);
    assert_eq!(engine.run(&mut two, &mut ram, 100).completed, 2);
}

#[test]
fn mov_to_cr3_flushes_whatever_its_value() {
    // At 0x1000, under page tables: the page at 0x5000 is mapped to 0x6000, read, mapped to 0x7000, read again as it was, CR3 is
    // loaded with what it has, read a third time. The entry is at 0xc028.
    #[rustfmt::skip]
    let code = [
        0x8b, 0x04, 0x25, 0x00, 0x50, 0x00, 0x00,                               // mov eax, [0x5000]
        0xc7, 0x04, 0x25, 0x28, 0xc0, 0x00, 0x00, 0x63, 0x70, 0x00, 0x00,       // mov dword [0xc028], 0x7063
        0x8b, 0x1c, 0x25, 0x00, 0x50, 0x00, 0x00,                               // mov ebx, [0x5000]
        0x0f, 0x20, 0xdf,                                                       // mov rdi, cr3
        0x0f, 0x22, 0xdf,                                                       // mov cr3, rdi
        0x8b, 0x0c, 0x25, 0x00, 0x50, 0x00, 0x00,                               // mov ecx, [0x5000]
        0xf4,
    ];
    let mut ram = Ram::new(&[(0x1000, &code), (0x6000, &[6]), (0x7000, &[7])]);
    for (at, value) in [(0x9000, 0xa063u64), (0xa000, 0xb063), (0xb000, 0xc063)] {
        ram.put(at, &value.to_le_bytes());
    }
    for page in 0..16u64 {
        let to = if page == 5 { 6 } else { page };
        ram.put(0xc000 + 8 * page, &(to << 12 | 0x63).to_le_bytes());
    }
    let profile = Profile::all();
    let mut paging = Paging::new(ram, Limits::new(&profile));
    let (mut engine, mut cpu) = (engine(), cpu(0x1000));
    cpu.update(|s| {
        s.cr0 |= 1 << 31;
        s.cr3 = 0x9000;
    });
    assert_eq!(engine.run(&mut cpu, &mut paging, 100).outcome, halted());
    assert_eq!((cpu.gpr[0], cpu.gpr[3], cpu.gpr[1]), (6, 6, 7), "the TLB keeps it until CR3 is loaded");
}

#[test]
fn a_larger_decode_cache_gives_the_same() {
    for entries in [1, 2, 1000, 1 << 14] {
        let mut ram = Ram::new(&[(0x1000, CHANGES_ITSELF)]);
        let (mut engine, mut cpu) = (engine(), cpu(0x1000));
        engine.set_decode_cache(entries);
        cpu.gpr[1] = 100;
        assert_eq!(engine.run(&mut cpu, &mut ram, 10_000).completed, 501);
        assert_eq!(cpu.gpr[3], 5050);
    }
}
