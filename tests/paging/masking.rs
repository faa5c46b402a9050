//! LAM and UAI: addresses with metadata, through the engine.

use encore86::{Access, Bus, Cpu, Engine, Outcome, Platform, Profile, Stop};

/// Code at RIP 0; the address of the last data access.
struct Noted {
    code: Vec<u8>,
    at: Option<u64>,
}

impl Bus for Noted {
    fn fetch(&mut self, _: u64, buf: &mut [u8; 15], _: &Access) -> Result<usize, Stop> {
        buf[..self.code.len()].copy_from_slice(&self.code);
        Ok(15)
    }
    fn read(&mut self, linear: u64, _: &mut [u8], _: &Access) -> Result<(), Stop> {
        self.at = Some(linear);
        Ok(())
    }
    fn write(&mut self, linear: u64, _: &[u8], _: &Access) -> Result<(), Stop> {
        self.at = Some(linear);
        Ok(())
    }
    fn probe(&mut self, _: u64, _: usize, _: &Access) -> Result<(), Stop> {
        Ok(())
    }
    fn takes_blocks(&mut self, _: u64, _: usize, _: &Access) -> bool {
        true
    }
}
impl Platform for Noted {}
const LAM_U57: u64 = 1 << 61;
const LAM_U48: u64 = 1 << 62;
const LA57: u64 = 1 << 12;
const LAM_SUP: u64 = 1 << 28;
const UAIE: u64 = 1 << 20;

/// What is in force, the address in RBX, and the linear address of the access; `None` for #GP(0).
type Row = (u64, u64, u64, u64, Option<u64>);

#[rustfmt::skip] // one case a line
const CASES: &[Row] = &[
    // CR3            CR4               EFER  RBX                    linear
    (0,               0,                0,    0x0000_7fff_ffff_f000, Some(0x0000_7fff_ffff_f000)),
    (0,               0,                0,    0x0100_7fff_ffff_f000, None),
    // LAM48 for user pointers: bits 62:48 are metadata, bit 47 has to be clear.
    (LAM_U48,         0,                0,    0x7abc_0000_0000_1000, Some(0x1000)),
    (LAM_U48,         0,                0,    0x7abc_8000_0000_1000, None),
    (LAM_U48,         0,                0,    0x0000_8000_0000_1000, None),
    (LAM_U48,         0,                0,    0xfabc_8000_0000_1000, None),
    (LAM_U48,         0,                0,    0xffff_8000_0000_1000, Some(0xffff_8000_0000_1000)),
    // LAM57: bits 62:57; with 4 levels, bits 56:47 have to be equal.
    (LAM_U57,         0,                0,    0x7e00_0000_0000_1000, Some(0x1000)),
    (LAM_U57,         0,                0,    0x7e00_7fff_ffff_f000, Some(0x0000_7fff_ffff_f000)),
    (LAM_U57,         0,                0,    0x7e00_8000_0000_1000, None),
    (LAM_U57,         0,                0,    0x7f00_0000_0000_1000, None),
    (LAM_U57,         0,                0,    0x0001_0000_0000_1000, None),
    (LAM_U57,         LA57,             0,    0x7e01_0000_0000_1000, Some(0x0001_0000_0000_1000)),
    (LAM_U57,         LA57,             0,    0x7f00_0000_0000_1000, None),
    // LAM_U57 counts before LAM_U48.
    (LAM_U57|LAM_U48, LA57,             0,    0x0040_0000_0000_1000, Some(0x0040_0000_0000_1000)),
    // LAM48 under 5-level paging masks bits of an address that is canonical.
    (LAM_U48,         LA57,             0,    0x0040_0000_0000_1000, Some(0x1000)),
    (LAM_U48,         LA57,             0,    0x0040_8000_0000_1000, None),
    (LAM_U48,         LA57,             0,    0xff80_0000_0000_1000, Some(0xff80_0000_0000_1000)),
    // Supervisor pointers: 48 or 57 by the paging mode.
    (0,               LAM_SUP,          0,    0x8123_8000_0000_1000, Some(0xffff_8000_0000_1000)),
    (0,               LAM_SUP,          0,    0x8123_0000_0000_1000, None),
    (0,               LAM_SUP,          0,    0x0123_0000_0000_1000, None),
    (0,               LAM_SUP | LA57,   0,    0x81ff_8000_0000_1000, Some(0xffff_8000_0000_1000)),
    (0,               LAM_SUP | LA57,   0,    0x80ff_8000_0000_1000, None),
    // Metadata does not hide that the last byte is beyond the end.
    (LAM_U48,         0,                0,    0x7abc_7fff_ffff_fffc, Some(0x0000_7fff_ffff_fffc)),
    (LAM_U48,         0,                0,    0x7abc_7fff_ffff_fffd, None),
    // UAI: bits 63:57 do not count at all.
    (0,               0,                UAIE, 0xfe00_0000_0000_1000, Some(0x1000)),
    (0,               0,                UAIE, 0x01ff_8000_0000_1000, Some(0xffff_8000_0000_1000)),
    (0,               0,                UAIE, 0x0100_0000_0000_1000, None),
    (0,               LA57,             UAIE, 0xfe01_0000_0000_1000, Some(0x0001_0000_0000_1000)),
    (0,               LA57,             UAIE, 0x0100_0000_0000_1000, Some(0xff00_0000_0000_1000)),
];

fn cpu(row: &Row) -> Cpu {
    let mut cpu = Cpu::new();
    cpu.update(|s| {
        s.cr3 |= row.0;
        s.cr4 |= row.1;
        s.efer |= row.2;
    });
    cpu
}

fn step(cpu: &mut Cpu, code: &[u8]) -> Result<Option<u64>, (u8, Option<u32>)> {
    let mut vmm = Noted { code: code.to_vec(), at: None };
    let mut engine = Engine::integer_only(Profile::all());
    match engine.step(cpu, &mut vmm) {
        Outcome::Completed(_) => Ok(vmm.at),
        Outcome::Exception(event) => Err((event.vector, event.error_code)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn metadata_is_masked_in_addresses_of_data() {
    for row in CASES {
        // MOV [RBX], EAX, by the short line; MOVZX EAX, WORD [RBX + 2] by the general one; PUSH by the stack.
        let expected = row.4.map(Some).ok_or((13, Some(0)));
        let mut processor = cpu(row);
        processor.gpr[3] = row.3;
        assert_eq!(step(&mut processor, &[0x89, 0x03]), expected, "store: {row:x?}");
        processor = cpu(row);
        processor.gpr[3] = row.3;
        let behind = row.4.map(|at| Some(at + 2)).ok_or((13, Some(0)));
        assert_eq!(step(&mut processor, &[0x0f, 0xb7, 0x43, 0x02]), behind, "load: {row:x?}");
        processor = cpu(row);
        processor.gpr[4] = row.3.wrapping_add(8);
        if row.3 & 0xf == 0 {
            let stack = row.4.map(Some).ok_or((12, Some(0)));
            assert_eq!(step(&mut processor, &[0x50]), stack, "push: {row:x?}");
        }
    }
}

#[test]
fn string_operations_are_masked() {
    // REP STOSD of one element and of a block.
    for (count, cr4) in [(1, 0), (16, 0), (16, LA57)] {
        let mut processor = cpu(&(LAM_U48, cr4, 0, 0, None));
        processor.gpr[7] = 0x0040_0000_0000_1000;
        processor.gpr[1] = count;
        let first = step(&mut processor, &[0xf3, 0xab]);
        assert_eq!(first, Ok(Some(0x1000)), "CR4 {cr4:#x}");
        assert_eq!(processor.gpr[7], 0x0040_0000_0000_1000 + 4 * count, "the register keeps its metadata");
    }
}

#[test]
fn the_base_of_gs_is_added_before_masking() {
    let mut processor = cpu(&(LAM_U48, 0, 0, 0, None));
    processor.update(|s| s.seg[5].base = 0x2000);
    processor.gpr[3] = 0x7abc_0000_0000_1000;
    assert_eq!(step(&mut processor, &[0x65, 0x89, 0x03]), Ok(Some(0x3000)));
    processor.gpr[3] = 0x1000;
    processor.update(|s| s.seg[5].base = 0xffff_8000_0000_0000);
    processor.rip = 0;
    assert_eq!(step(&mut processor, &[0x65, 0x89, 0x03]), Ok(Some(0xffff_8000_0000_1000)));
}

#[test]
fn fetches_and_branch_targets_are_not_masked() {
    for row in [(LAM_U48, 0, 0, 0, None), (LAM_U57, 0, 0, 0, None), (0, 0, UAIE, 0, None)] {
        let mut processor = cpu(&row);
        processor.gpr[0] = 0x7e00_0000_0000_1000;
        assert_eq!(step(&mut processor, &[0xff, 0xe0]), Err((13, Some(0))), "JMP RAX");
        processor.rip = 0x7e00_0000_0000_1000;
        assert_eq!(step(&mut processor, &[0x90]), Err((13, Some(0))));
    }
}

#[test]
fn other_modes_have_no_metadata() {
    let mut processor = cpu(&(LAM_U48, LAM_SUP, UAIE, 0, None));
    processor.update(|s| {
        s.seg[1].attr = 0xc09b;
        s.seg[3].base = 0xf000_0000;
    });
    processor.gpr[3] = 0x1000_1000;
    assert_eq!(step(&mut processor, &[0x89, 0x03]), Ok(Some(0x1000)), "bases wrap at 4 GiB");
}
