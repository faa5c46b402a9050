//! AMX by hand, from the pseudocode of the SDM: configuration, rows of loads and stores with restart, products of bytes.

use encore86::bus::{Access, Bus, Platform};
use encore86::cpu::registers::component;
use encore86::cpu::tile::Tiles;
use encore86::{Cpu, Engine, Event, Outcome, Profile, Stop, Unsupported};

const CONFIG: u64 = 0x2000;
const DATA: u64 = 0x4000;
const SIZE: usize = 0x8000;

/// Memory whose bytes from `end` on are not there.
struct Memory {
    bytes: Vec<u8>,
    end: u64,
    late: u32,
}

impl Memory {
    fn at(&self, linear: u64, len: usize) -> Result<usize, Stop> {
        if linear + len as u64 > self.end {
            Err(Event::pf(4, linear.max(self.end), "the end").into())
        } else {
            Ok(linear as usize)
        }
    }
}

impl Bus for Memory {
    fn fetch(&mut self, linear: u64, buf: &mut [u8; 15], _: &Access) -> Result<usize, Stop> {
        buf.copy_from_slice(&self.bytes[linear as usize..][..15]);
        Ok(15)
    }

    fn read(&mut self, linear: u64, buf: &mut [u8], _: &Access) -> Result<(), Stop> {
        let at = self.at(linear, buf.len())?;
        if self.late != 0 {
            self.late -= 1;
            if self.late == 0 {
                return Err(Stop::Retry);
            }
        }
        buf.copy_from_slice(&self.bytes[at..at + buf.len()]);
        Ok(())
    }

    fn write(&mut self, linear: u64, buf: &[u8], _: &Access) -> Result<(), Stop> {
        let at = self.at(linear, buf.len())?;
        self.bytes[at..at + buf.len()].copy_from_slice(buf);
        Ok(())
    }

    fn probe(&mut self, linear: u64, len: usize, _: &Access) -> Result<(), Stop> {
        self.at(linear, len).map(drop)
    }
}

impl Platform for Memory {}

struct Rig {
    engine: Engine,
    cpu: Cpu,
    memory: Memory,
}

// The second operand is the memory of tile loads: base RBX, index RCX; CONFIG is at RSI.
const LDTILECFG: &[u8] = &[0xc4, 0xe2, 0x78, 0x49, 0x06];
const STTILECFG: &[u8] = &[0xc4, 0xe2, 0x79, 0x49, 0x06];
const TILERELEASE: &[u8] = &[0xc4, 0xe2, 0x78, 0x49, 0xc0];
const TILEZERO_2: &[u8] = &[0xc4, 0xe2, 0x7b, 0x49, 0xd0];
const TILELOADD_1: &[u8] = &[0xc4, 0xe2, 0x7b, 0x4b, 0x0c, 0x0b];
const TILELOADD_2: &[u8] = &[0xc4, 0xe2, 0x7b, 0x4b, 0x14, 0x0b];
const TILESTORED_1: &[u8] = &[0xc4, 0xe2, 0x7a, 0x4b, 0x0c, 0x0b];
/// tdpb··d tmm0, tmm1, tmm2: both unsigned, the second signed, the first signed, both signed.
const PRODUCTS: [[u8; 5]; 4] = [
    [0xc4, 0xe2, 0x68, 0x5e, 0xc1],
    [0xc4, 0xe2, 0x69, 0x5e, 0xc1],
    [0xc4, 0xe2, 0x6a, 0x5e, 0xc1],
    [0xc4, 0xe2, 0x6b, 0x5e, 0xc1],
];

impl Rig {
    fn new() -> Rig {
        let mut cpu = Cpu::new();
        cpu.update(|s| s.xcr0 |= component::TILECFG | component::TILEDATA);
        (cpu.gpr[3], cpu.gpr[1], cpu.gpr[6]) = (DATA, 0x50, CONFIG);
        let engine = Engine::integer_only(Profile::all());
        Rig { engine, cpu, memory: Memory { bytes: vec![0; SIZE], end: SIZE as u64, late: 0 } }
    }

    fn step(&mut self, code: &[u8]) -> Outcome {
        self.cpu.rip = 0x100;
        self.memory.bytes[0x100..0x100 + code.len()].copy_from_slice(code);
        self.engine.step(&mut self.cpu, &mut self.memory)
    }

    fn done(&mut self, code: &[u8]) {
        let outcome = self.step(code);
        assert!(matches!(outcome, Outcome::Completed(_)), "{code:02x?}: {outcome:?}");
    }

    fn fault(&mut self, code: &[u8]) -> Event {
        match self.step(code) {
            Outcome::Exception(event) => event,
            outcome => panic!("{code:02x?}: {outcome:?}"),
        }
    }

    /// Loads a configuration of tiles with these rows and bytes a row.
    fn configure(&mut self, tiles: &[(u8, u8)]) {
        let mut config = [0; 64];
        config[0] = 1;
        for (i, &(rows, bytes)) in tiles.iter().enumerate() {
            (config[16 + 2 * i], config[48 + i]) = (bytes, rows);
        }
        self.memory.bytes[CONFIG as usize..][..64].copy_from_slice(&config);
        self.done(LDTILECFG);
    }

    fn tiles(&self) -> &Tiles {
        self.cpu.tiles.as_deref().expect("tiles")
    }
}

#[test]
fn configurations() {
    let mut rig = Rig::new();
    assert_eq!(rig.fault(TILEZERO_2).vector, 6, "no tiles are configured");
    rig.memory.bytes[CONFIG as usize..][..64].fill(0xff);
    rig.done(STTILECFG);
    assert_eq!(rig.memory.bytes[CONFIG as usize..][..64], [0; 64]);
    rig.configure(&[(16, 64), (3, 8), (0, 0)]);
    assert_eq!((rig.tiles().rows(0), rig.tiles().row_bytes(0), rig.tiles().palette()), (16, 64, 1));
    let config = rig.tiles().config;
    rig.memory.bytes[CONFIG as usize..][..64].fill(0xff);
    rig.done(STTILECFG);
    assert_eq!(rig.memory.bytes[CONFIG as usize..][..64], config);
    for (at, byte) in
        [(0, 2), (2, 1), (15, 1), (16, 65), (17, 1), (48, 17), (48, 0), (52, 1), (32, 1), (56, 1), (63, 1)]
    {
        let mut bad = config;
        bad[at] = byte;
        rig.memory.bytes[CONFIG as usize..][..64].copy_from_slice(&bad);
        let event = rig.fault(LDTILECFG);
        assert_eq!((event.vector, event.error_code), (13, Some(0)), "byte {at}");
        assert_eq!(rig.tiles().config, config, "byte {at}");
    }
    rig.cpu.tiles_mut().data[5][5][5] = 5;
    rig.done(TILERELEASE);
    assert_eq!(rig.tiles(), &Tiles::default());
    assert_eq!(rig.cpu.dirty & 0x6_0000, 0x6_0000);
}

#[test]
fn rows_are_loaded_and_stored_and_restart() {
    let mut rig = Rig::new();
    rig.configure(&[(1, 4), (4, 12)]);
    for (i, byte) in rig.memory.bytes[DATA as usize..].iter_mut().enumerate() {
        *byte = (i % 251) as u8;
    }
    rig.cpu.tiles_mut().data[1] = [[0xee; 64]; 16];
    // The page ends within the third row.
    rig.memory.end = DATA + 2 * 0x50 + 5;
    let event = rig.fault(TILELOADD_1);
    assert_eq!((event.vector, event.cr2), (14, Some(DATA + 2 * 0x50 + 5)));
    assert_eq!(rig.tiles().start_row(), 2);
    assert_eq!(rig.tiles().data[1][1][..12], rig.memory.bytes[DATA as usize + 0x50..][..12]);
    assert_eq!(rig.tiles().data[1][2], [0xee; 64], "it is not loaded yet");
    rig.memory.end = SIZE as u64;
    // It goes on at row 2: row 0 is not read again.
    rig.memory.bytes[DATA as usize] = 0x77;
    rig.done(TILELOADD_1);
    let data = rig.tiles().data[1];
    assert_eq!((data[0][0], rig.tiles().start_row()), (0, 0));
    for (row, data) in data.iter().enumerate().take(4).skip(1) {
        assert_eq!(data[..12], rig.memory.bytes[DATA as usize + 0x50 * row..][..12], "row {row}");
        assert_eq!(data[12..], [0; 52], "row {row}");
    }
    assert_eq!(data[4..], [[0; 64]; 12], "rows that the tile has not");

    rig.cpu.gpr[1] = 0x20;
    rig.memory.bytes[DATA as usize..].fill(0);
    rig.memory.end = DATA + 0x20 + 4;
    assert_eq!(rig.fault(TILESTORED_1).vector, 14);
    assert_eq!(rig.tiles().start_row(), 1);
    assert_eq!(rig.memory.bytes[DATA as usize..][..12], data[0][..12]);
    rig.memory.end = SIZE as u64;
    rig.done(TILESTORED_1);
    for (row, data) in data.iter().enumerate().take(4) {
        assert_eq!(rig.memory.bytes[DATA as usize + 0x20 * row..][..12], data[..12], "row {row}");
        assert_eq!(rig.memory.bytes[DATA as usize + 0x20 * row + 12], 0, "row {row}");
    }
    rig.cpu.tiles_mut().set_start_row(4);
    assert_eq!(rig.fault(TILESTORED_1).vector, 6, "it starts behind the last row");
    rig.cpu.tiles_mut().set_start_row(0);
    assert_eq!(rig.fault(TILELOADD_2).vector, 6, "the tile has no rows");
}

#[test]
fn a_late_row_changes_nothing() {
    let mut rig = Rig::new();
    rig.configure(&[(1, 4), (4, 12)]);
    rig.memory.bytes[DATA as usize..].fill(9);
    let before = rig.tiles().clone();
    rig.memory.late = 3;
    assert_eq!(rig.step(TILELOADD_1), Outcome::Retry);
    assert_eq!(rig.tiles(), &before);
    rig.done(TILELOADD_1);
    assert_eq!(rig.tiles().data[1][3][..12], [9; 12]);
}

#[test]
fn products_of_bytes() {
    let mut rig = Rig::new();
    // 2 rows of 1 sum; 2 rows of 2 quadruples; 2 rows of 1 quadruple.
    rig.configure(&[(2, 4), (2, 8), (2, 4)]);
    let (left, right) = ([0xff, 2, 3, 4, 5, 6, 7, 0x80], [[0xfe, 1, 1, 1], [1, 0x81, 1, 2]]);
    // By the pseudocode: 255 or -1 by 254 or -2, and so on, from 10.
    let expected = [
        10 + 255 * 254 + 2 + 3 + 4 + 5 + 6 * 129 + 7 + 128 * 2,
        10 - 255 * 2 + 2 + 3 + 4 + 5 - 6 * 127 + 7 + 128 * 2,
        10 - 254 + 2 + 3 + 4 + 5 + 6 * 129 + 7 - 128 * 2,
        10 + 2 + 2 + 3 + 4 + 5 - 6 * 127 + 7 - 128 * 2,
    ];
    for (code, expected) in PRODUCTS.into_iter().zip(expected) {
        let tiles = rig.cpu.tiles_mut();
        tiles.data = [[[0; 64]; 16]; 8];
        tiles.data[0][0][..4].copy_from_slice(&10i32.to_le_bytes());
        tiles.data[0][5] = [1; 64];
        tiles.data[1][0][..8].copy_from_slice(&left);
        tiles.data[2][0][..4].copy_from_slice(&right[0]);
        tiles.data[2][1][..4].copy_from_slice(&right[1]);
        rig.done(&code);
        let sums = rig.tiles().data[0];
        assert_eq!(i32::from_le_bytes(*sums[0].first_chunk().unwrap()), expected, "{code:02x?}");
        assert_eq!((sums[1], sums[5]), ([0; 64], [0; 64]), "{code:02x?}");
    }
    rig.configure(&[(2, 4), (2, 8), (1, 4)]);
    assert_eq!(rig.fault(&PRODUCTS[0]).vector, 6, "the shapes do not go together");
}

/// tdpbf16ps, tdpfp16ps, tcmmrlfp16ps, tcmmimfp16ps tmm0, tmm1, tmm2.
const FLOATS: [[u8; 5]; 4] = [
    [0xc4, 0xe2, 0x6a, 0x5c, 0xc1],
    [0xc4, 0xe2, 0x6b, 0x5c, 0xc1],
    [0xc4, 0xe2, 0x68, 0x6c, 0xc1],
    [0xc4, 0xe2, 0x69, 0x6c, 0xc1],
];

/// Sums of 1 row of 1 sum, 1 row of 2 pairs and 2 rows of 1 pair, from `before`.
fn float_product(code: &[u8; 5], left: [u16; 4], right: [u16; 4], before: u32) -> u32 {
    let mut rig = Rig::new();
    rig.configure(&[(1, 4), (1, 8), (2, 4)]);
    let tiles = rig.cpu.tiles_mut();
    tiles.data[0][0][..4].copy_from_slice(&before.to_le_bytes());
    tiles.data[0][5] = [1; 64];
    for (i, (a, b)) in left.into_iter().zip(right).enumerate() {
        tiles.data[1][0][2 * i..2 * i + 2].copy_from_slice(&a.to_le_bytes());
        tiles.data[2][i / 2][i % 2 * 2..][..2].copy_from_slice(&b.to_le_bytes());
    }
    rig.cpu.vector.mxcsr = 0x7f80;
    rig.done(code);
    let sums = rig.tiles().data[0];
    assert_eq!((&sums[0][4..], &sums[5]), (&[0; 60][..], &[0; 64]), "{code:02x?}: the rest is zero");
    assert_eq!(rig.cpu.vector.mxcsr, 0x7f80, "MXCSR has no part in it");
    u32::from_le_bytes(*sums[0].first_chunk().unwrap())
}

#[test]
fn products_of_floats() {
    // 1, 2, 3, 4 and 5, 6, 7, -8 as halves, and as bfloat16.
    let (left, right) = ([0x3c00, 0x4000, 0x4200, 0x4400], [0x4500, 0x4600, 0x4700, 0xc800]);
    let (left_bf16, right_bf16) = ([0x3f80, 0x4000, 0x4040, 0x4080], [0x40a0, 0x40c0, 0x40e0, 0xc100]);
    let [bf16, halves, real, imaginary] = &FLOATS;
    let half = 0.5f32.to_bits();
    // (1*5 + 3*7) + (2*6 - 4*8), and with complex numbers (1 + 2i)(5 + 6i) + (3 + 4i)(7 - 8i).
    assert_eq!(float_product(bf16, left_bf16, right_bf16, half), 6.5f32.to_bits());
    assert_eq!(float_product(halves, left, right, half), 6.5f32.to_bits());
    assert_eq!(float_product(real, left, right, half), 46.5f32.to_bits(), "5 - 12 + 21 + 32");
    assert_eq!(float_product(imaginary, left, right, half), 20.5f32.to_bits(), "6 + 10 - 24 + 28");
    // Denormals: those of bfloat16 and singles are zeros, those of halves are not.
    assert_eq!(float_product(bf16, [1, 0, 0, 0], [0x7f00, 0, 0, 0], 1), 0);
    assert_eq!(float_product(halves, [1, 0, 0, 0], [0x3c00, 0, 0, 0], 0), 0x3380_0000, "2^-24");
    // Even and odd elements are summed apart: 2^24 + 1 - 2^24 with all of it in one sum, or 1 in the other one.
    let (big, one, minus) = (0x4b80, 0x3f80, 0xcb80);
    assert_eq!(float_product(bf16, [one; 4], [big, 0, one, minus], 0), 0, "2^24 + 1 is 2^24");
    assert_eq!(float_product(bf16, [one; 4], [big, one, minus, 0], 0), 1.0f32.to_bits());
    assert_eq!(float_product(bf16, [0x7f80, 0, 0, 0], [0, 0, 0, 0], 0), 0xffc0_0000, "infinity times zero");
    let mut rig = Rig::new();
    rig.configure(&[(1, 4), (1, 8), (1, 4)]);
    assert_eq!(rig.fault(bf16).vector, 6, "the shapes do not go together");
}

/// tdpbf8ps would need the host's, which is named.
#[test]
fn products_of_bytes_as_floats_name_the_feature() {
    let mut rig = Rig::new();
    rig.configure(&[(2, 4), (2, 4), (1, 4)]);
    match rig.step(&[0xc4, 0xe5, 0x68, 0xfd, 0xc1]) {
        Outcome::Unsupported(Unsupported::HostLacks(name)) => assert!(name.starts_with("amx"), "{name}"),
        Outcome::Unsupported(Unsupported::Instruction(name)) => assert_eq!(name, "tdpbf8ps"),
        outcome => panic!("{outcome:?}"),
    }
}
