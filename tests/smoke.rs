//! smoke
use encore86::*;
struct Vm(Vec<u8>);
impl Bus for Vm {
    fn fetch(&mut self, l: u64, b: &mut [u8; 15], _: &Access) -> Result<usize, Stop> {
        b.copy_from_slice(&self.0[l as usize..l as usize + 15]);
        Ok(15)
    }
    fn read(&mut self, l: u64, b: &mut [u8], _: &Access) -> Result<(), Stop> {
        b.copy_from_slice(&self.0[l as usize..][..b.len()]);
        Ok(())
    }
    fn write(&mut self, l: u64, b: &[u8], _: &Access) -> Result<(), Stop> {
        self.0[l as usize..][..b.len()].copy_from_slice(b);
        Ok(())
    }
    fn probe(&mut self, _: u64, _: usize, _: &Access) -> Result<(), Stop> {
        Ok(())
    }
}
impl Platform for Vm {}
#[test]
fn runs() {
    for (code, text) in [
        (&[0x89, 0x03][..], "mov dword ptr [rbx], eax"),
        (&[0x01, 0x0b], "add dword ptr [rbx], ecx"),
        (&[0xf0, 0x0f, 0xc1, 0x03], "lock xadd dword ptr [rbx], eax"),
        (&[0x66, 0x0f, 0xfe, 0x0b], "paddd xmm1, xmmword ptr [rbx]"),
        (&[0xf3, 0x0f, 0x7f, 0x03], "movdqu xmmword ptr [rbx], xmm0"),
        (&[0xc5, 0xfd, 0xfe, 0x0b], "vpaddd ymm1, ymm0, ymmword ptr [rbx]"),
        (&[0xdd, 0x03], "fld qword ptr [rbx]"),
        (&[0xdd, 0x1b], "fstp qword ptr [rbx]"),
        (&[0xc5, 0xfc, 0x58, 0x0b], "vaddps ymm1, ymm0, ymmword ptr [rbx]"),
    ] {
        let mut vm = Vm(vec![0; 0x4000]);
        vm.0[0x1000..0x1000 + code.len()].copy_from_slice(code);
        let mut cpu = Cpu::new();
        cpu.rip = 0x1000;
        cpu.gpr[3] = 0x2000;
        cpu.gpr[0] = 0x11223344;
        cpu.gpr[1] = 5;
        let mut e = Engine::new(Profile::host()).unwrap();
        let o = e.step(&mut cpu, &mut vm);
        println!("{:?} {} {:x?}", o, e.last().map(|i| i.to_string()).unwrap_or_default(), &vm.0[0x2000..0x2010]);
        assert_eq!(e.last().map(|i| i.to_string()).as_deref(), Some(text));
        assert!(matches!(o, Outcome::Completed(_)));
    }
}
