//! Vector and x87 state is fetched when it is needed, and host registers are announced around each stub.

mod support;

use encore86::cpu::registers::component;
use encore86::{Access, Bus, Cpu, Engine, Mode, Outcome, Platform, Profile, Stop};
use support::encode;
use support::machine::{self, code_address};
use support::vm::Vm as Memory;

const CODE: usize = 0x1000;
const DATA: usize = 0x2000;

/// What the monitor heard, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    Load(u64),
    Begin,
    End,
    Memory,
}

struct Vm {
    bytes: Vec<u8>,
    heard: Vec<Heard>,
    /// Answers of `load_state`, the last one first; then it loads.
    refusals: Vec<Stop>,
}

impl Bus for Vm {
    fn fetch(&mut self, linear: u64, buf: &mut [u8; 15], _: &Access) -> Result<usize, Stop> {
        buf.copy_from_slice(&self.bytes[linear as usize..][..15]);
        Ok(15)
    }
    fn read(&mut self, linear: u64, buf: &mut [u8], _: &Access) -> Result<(), Stop> {
        self.heard.push(Heard::Memory);
        buf.copy_from_slice(&self.bytes[linear as usize..][..buf.len()]);
        Ok(())
    }
    fn write(&mut self, linear: u64, buf: &[u8], _: &Access) -> Result<(), Stop> {
        self.heard.push(Heard::Memory);
        self.bytes[linear as usize..][..buf.len()].copy_from_slice(buf);
        Ok(())
    }
    fn probe(&mut self, _: u64, _: usize, _: &Access) -> Result<(), Stop> {
        Ok(())
    }
}

impl Platform for Vm {
    fn load_state(&mut self, cpu: &mut Cpu, components: u64) -> Result<(), Stop> {
        self.heard.push(Heard::Load(components));
        if let Some(stop) = self.refusals.pop() {
            return Err(stop);
        }
        if components == component::APX {
            cpu.gpr[16] = 0x1617;
            return Ok(());
        }
        cpu.vector.zmm[0].0[..16].fill(0xab);
        cpu.vector.mxcsr = 0x1fa0;
        cpu.x87.fcw = 0x27f;
        // ST(0) is 1.0.
        cpu.x87.regs[0] = [0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x3f];
        cpu.x87.ftw = 1;
        Ok(())
    }
    fn host_fpu_begin(&mut self) {
        self.heard.push(Heard::Begin);
    }
    fn host_fpu_end(&mut self) {
        self.heard.push(Heard::End);
    }
}

/// x87, SSE, AVX, opmask, ZMM_Hi256, Hi16_ZMM.
const STATE: u64 = 0xe7;

fn machine(code: &[u8], refusals: Vec<Stop>) -> (Vm, Cpu, Engine) {
    let mut vm = Vm { bytes: vec![0; 0x4000], heard: Vec::new(), refusals };
    vm.bytes[CODE..CODE + code.len()].copy_from_slice(code);
    let mut cpu = Cpu::new();
    cpu.rip = CODE as u64;
    cpu.gpr[3] = DATA as u64;
    cpu.valid = 0;
    (vm, cpu, Engine::new(Profile::host()).expect("the host grants executable memory"))
}

#[test]
fn state_is_loaded_once_and_before_it_is_touched() {
    use Heard::{Begin, End, Load, Memory};
    // Instruction, its bytes, what the monitor hears, memory afterwards.
    type Case = (&'static str, &'static [u8], &'static [Heard], &'static [u8]);
    let cases: &[Case] = &[
        ("movdqu [rbx],xmm0", &[0xf3, 0x0f, 0x7f, 0x03], &[Load(STATE), Begin, End, Memory], &[0xab; 16]),
        ("paddd xmm0,[rbx]", &[0x66, 0x0f, 0xfe, 0x03], &[Load(STATE), Memory, Begin, End], &[0; 4]),
        ("stmxcsr [rbx]", &[0x0f, 0xae, 0x1b], &[Load(STATE), Memory], &[0xa0, 0x1f, 0, 0]),
        ("fnstcw [rbx]", &[0xd9, 0x3b], &[Load(STATE), Memory], &[0x7f, 0x02]),
        ("fstp m64", &[0xdd, 0x1b], &[Load(STATE), Begin, End, Memory], &[0, 0, 0, 0, 0, 0, 0xf0, 0x3f]),
        ("mov [rbx],eax", &[0x89, 0x03], &[Memory], &[0; 4]),
    ];
    for (name, code, heard, memory) in cases {
        let (mut vm, mut cpu, mut engine) = machine(code, Vec::new());
        let outcome = engine.step(&mut cpu, &mut vm);
        assert!(matches!(outcome, Outcome::Completed(_)), "{name}: {outcome:?}");
        assert_eq!(vm.heard, *heard, "{name}");
        assert_eq!(&vm.bytes[DATA..][..memory.len()], *memory, "{name}");
        vm.heard.clear();
        cpu.rip = CODE as u64;
        cpu.x87.ftw |= 1;
        cpu.x87.fsw = 0;
        let outcome = engine.step(&mut cpu, &mut vm);
        assert!(matches!(outcome, Outcome::Completed(_)), "{name} again: {outcome:?}");
        assert!(!vm.heard.iter().any(|h| matches!(h, Load(_))), "{name}: loaded once");
    }
}

#[test]
fn an_image_is_written_from_loaded_state() {
    let (mut vm, mut cpu, mut engine) = machine(&[0x0f, 0xae, 0x03], Vec::new());
    let outcome = engine.step(&mut cpu, &mut vm);
    assert!(matches!(outcome, Outcome::Completed(_)), "{outcome:?}");
    assert_eq!(vm.heard[0], Heard::Load(STATE));
    assert_eq!(vm.bytes[DATA..][..2], [0x7f, 0x02], "FCW");
    assert_eq!(vm.bytes[DATA + 160..][..16], [0xab; 16], "XMM0");
}

#[test]
fn a_load_that_waits_or_is_missing_changes_nothing() {
    let (mut vm, mut cpu, mut engine) =
        machine(&[0xd9, 0x3b], vec![Stop::NotProvided("lazily loaded state"), Stop::Retry]);
    assert_eq!(engine.step(&mut cpu, &mut vm), Outcome::Retry);
    let outcome = engine.step(&mut cpu, &mut vm);
    assert!(matches!(outcome, Outcome::Unsupported(_)), "{outcome:?}");
    assert_eq!((cpu.valid, cpu.rip), (0, CODE as u64));
    assert!(!vm.heard.contains(&Heard::Memory));
}

/// Components that differ between two states; MXCSR counts as SSE.
fn changed(a: &Cpu, b: &Cpu) -> u64 {
    let mut bits = 0;
    let mut set = |condition: bool, bit: u64| bits |= if condition { bit } else { 0 };
    set(a.x87 != b.x87, component::X87);
    set(a.vector.mxcsr != b.vector.mxcsr, component::SSE);
    set(a.vector.k != b.vector.k, component::OPMASK);
    for (i, (a, b)) in a.vector.zmm.iter().zip(&b.vector.zmm).enumerate() {
        set(i >= 16 && a != b, component::HI16_ZMM);
        set(i < 16 && a.0[..16] != b.0[..16], component::SSE);
        set(i < 16 && a.0[16..32] != b.0[16..32], component::AVX);
        set(i < 16 && a.0[32..] != b.0[32..], component::ZMM_HI256);
    }
    bits
}

#[test]
fn what_an_instruction_changes_is_marked() {
    let profile = Profile::host();
    let mut engine = Engine::new(profile.clone()).expect("the host grants executable memory");
    let (mut marked, mut wrong) = (0, Vec::new());
    for form in encode::all(Mode::Long64, &profile, machine::DATA + 0x1000) {
        let mut cpu = machine::cpu(Mode::Long64);
        for (i, zmm) in cpu.vector.zmm.iter_mut().enumerate() {
            for (j, byte) in zmm.0.iter_mut().enumerate() {
                *byte = (i * 7 + j * 3) as u8 | 1;
            }
        }
        // Indices stay small.
        cpu.vector.zmm[2].0 = core::array::from_fn(|j| if j % 4 == 0 { j as u8 } else { 0 });
        cpu.vector.k = core::array::from_fn(|i| 0x5a5a_5a5a_5a5a_5a5a << i);
        cpu.x87.ftw = 0x0f;
        cpu.dirty = 0;
        let mut memory = Memory::with_code(code_address(&cpu), &form.bytes);
        let before = cpu.clone();
        let outcome = engine.step(&mut cpu, &mut memory);
        let missing = changed(&before, &cpu) & !cpu.dirty;
        marked += u32::from(cpu.dirty != 0);
        if missing != 0 {
            wrong.push(format!("{} {:02x?}: {missing:#x} is not marked ({outcome:?})", form.insn, form.bytes));
        }
    }
    assert!(wrong.is_empty(), "{} forms:\n{}", wrong.len(), wrong.join("\n"));
    assert!(marked > 100, "only {marked} forms changed anything");
}

/// R16 to R31 are a component of their own, which only an instruction that names one asks for.
#[test]
fn registers_above_r15_are_loaded_before_they_are_touched() {
    use Heard::{Load, Memory};
    // Bytes, what the monitor hears, memory afterwards, components that are changed.
    type Case = (&'static str, &'static [u8], &'static [Heard], &'static [u8], u64);
    let cases: &[Case] = &[
        ("mov [rbx],r16", &[0xd5, 0x48, 0x89, 0x03], &[Load(component::APX), Memory], &[0x17, 0x16], 0),
        ("mov r16,[rbx]", &[0xd5, 0x48, 0x8b, 0x03], &[Load(component::APX), Memory], &[0], component::APX),
        ("push r16", &[0xd5, 0x10, 0x50], &[Load(component::APX), Memory], &[0], 0),
        ("inc r16", &[0xd5, 0x18, 0xff, 0xc0], &[Load(component::APX)], &[0], component::APX),
        ("mov [rbx],rax", &[0x48, 0x89, 0x03], &[Memory], &[0], 0),
    ];
    for (name, code, heard, memory, dirty) in cases {
        let (mut vm, mut cpu, _) = machine(code, Vec::new());
        let mut engine = Engine::integer_only(Profile::all());
        cpu.update(|s| s.xcr0 |= component::APX);
        cpu.gpr[4] = DATA as u64 + 0x100;
        let outcome = engine.step(&mut cpu, &mut vm);
        assert!(matches!(outcome, Outcome::Completed(_)), "{name}: {outcome:?}");
        assert_eq!((&vm.heard[..], cpu.dirty), (*heard, *dirty), "{name}");
        assert_eq!(&vm.bytes[DATA..][..memory.len()], *memory, "{name}");
        vm.heard.clear();
        cpu.rip = CODE as u64;
        let outcome = engine.step(&mut cpu, &mut vm);
        assert!(matches!(outcome, Outcome::Completed(_)), "{name} again: {outcome:?}");
        assert!(!vm.heard.iter().any(|h| matches!(h, Load(_))), "{name}: loaded once");
    }
    // A monitor that cannot load them: nothing is done.
    let (mut vm, mut cpu, _) = machine(&[0xd5, 0x18, 0xff, 0xc0], vec![Stop::Retry]);
    let mut engine = Engine::integer_only(Profile::all());
    cpu.update(|s| s.xcr0 |= component::APX);
    let before = cpu.gpr;
    assert_eq!(engine.step(&mut cpu, &mut vm), Outcome::Retry);
    assert_eq!((cpu.gpr, cpu.rip), (before, CODE as u64));
    assert!(matches!(engine.step(&mut cpu, &mut vm), Outcome::Completed(_)));
    assert_eq!(cpu.gpr[16], 0x1618);
}
