//! AMX on our own state: configuration, loads and stores of tiles, and products (SDM volume 2, chapter 4, and volume 1, 18). A load or store that faults after some rows keeps them, and TILECFG.start_row says where it goes on.

use crate::access::{Halt, Mem};
use crate::address::{self, Intent, linear};
use crate::alu::fused::{self, from_half};
use crate::bus::{Access, AccessKind, Vmm};
use crate::cpu::registers::component;
use crate::cpu::tile::{ROW_BYTES, ROWS, TILES};
use crate::cpu::{Cpu, Tiles};
use crate::decode::{Insn, NO_REG};
use crate::event::{Event, Stop};

/// LDTILECFG.
///
/// # Errors
/// #GP(0) for what no palette has.
pub(super) fn load_config(cpu: &mut Cpu, insn: &Insn, mem: &mut Mem<'_, dyn Vmm + '_>) -> Result<(), Halt> {
    let mut config = [0; 64];
    let at = linear(cpu, insn.segment(), address::effective(cpu, insn), 64, Intent::Read)?;
    mem.read_last(at, &mut config, &mem.access(AccessKind::Read, 64))?;
    if !Tiles::is_valid(&config) {
        return Err(Event::gp0("the tile configuration is not that of a palette").into());
    }
    release(cpu);
    if config[0] != 0 {
        cpu.tiles_mut().config = config;
    }
    Ok(())
}

/// STTILECFG: zeros while no tiles are configured.
pub(super) fn store_config(cpu: &Cpu, insn: &Insn, mem: &mut Mem<'_, dyn Vmm + '_>) -> Result<(), Halt> {
    let config = cpu.tiles.as_ref().map_or([0; 64], |tiles| tiles.config);
    let at = linear(cpu, insn.segment(), address::effective(cpu, insn), 64, Intent::Write)?;
    mem.write_last(at, &config, &mem.access(AccessKind::Write, 64))
}

/// TILERELEASE: the initial state.
pub(super) fn release(cpu: &mut Cpu) {
    if cpu.tiles.is_some() {
        *cpu.tiles_mut() = Tiles::default();
    }
    cpu.dirty |= component::TILECFG | component::TILEDATA;
}

/// The number of the tile in operand `i`.
fn tile(insn: &Insn, i: usize) -> usize {
    usize::from(insn.slot(i).reg) & (TILES - 1)
}

fn configured(cpu: &mut Cpu) -> Result<&mut Tiles, Event> {
    match &mut cpu.tiles {
        Some(tiles) if tiles.palette() != 0 => Ok(tiles),
        _ => Err(Event::ud("no tiles are configured")),
    }
}

/// Rows and bytes of a row of a tile that is worked on.
fn shape(tiles: &Tiles, tile: usize) -> Result<(usize, usize), Event> {
    let (rows, bytes) = (tiles.rows(tile), tiles.row_bytes(tile));
    if rows == 0 || rows > ROWS || bytes > ROW_BYTES || !bytes.is_multiple_of(4) {
        return Err(Event::ud("the tile is not configured for whole doublewords"));
    }
    Ok((rows, bytes))
}

/// TILEZERO.
pub(super) fn zero(cpu: &mut Cpu, insn: &Insn) -> Result<(), Halt> {
    let tile = tile(insn, 0);
    let tiles = configured(cpu)?;
    tiles.data[tile] = [[0; ROW_BYTES]; ROWS];
    tiles.set_start_row(0);
    cpu.dirty |= component::TILECFG | component::TILEDATA;
    Ok(())
}

/// The first row to be moved, and of how many; where row 0 is, and the distance between rows.
struct Rows {
    start: usize,
    rows: usize,
    bytes: usize,
    first: u64,
    stride: u64,
}

impl Rows {
    fn of(cpu: &mut Cpu, insn: &Insn, tile: usize) -> Result<Rows, Halt> {
        let tiles = configured(cpu)?;
        let (rows, bytes) = shape(tiles, tile)?;
        let start = usize::from(tiles.start_row());
        if start >= rows {
            return Err(Event::ud("TILECFG.start_row lies behind the tile's rows").into());
        }
        // The index is the distance between rows, and no part of the first one's address.
        let stride = if insn.index() == NO_REG { 0 } else { cpu.gpr[usize::from(insn.index()) & 31] << insn.scale() };
        let first = address::effective(cpu, insn).wrapping_sub(stride);
        Ok(Rows { start, rows, bytes, first, stride })
    }

    fn linear(&self, cpu: &Cpu, insn: &Insn, row: usize, intent: Intent) -> Result<u64, Event> {
        let offset = self.first.wrapping_add(self.stride.wrapping_mul(row as u64));
        linear(cpu, insn.segment(), address::truncate(offset, insn.asize()), self.bytes as u64, intent)
    }

    fn access(&self, mem: &Mem<'_, dyn Vmm + '_>, kind: AccessKind, row: usize) -> Access {
        Access { offset: (row * self.bytes) as u16, ..mem.access(kind, self.bytes as u16) }
    }
}

/// Notes how far a load or store came. A fault keeps the rows before it; after `Retry` the journal has them.
fn progress(cpu: &mut Cpu, row: usize, halt: &Halt) {
    if matches!(halt, Halt::Stop(Stop::Fault(_))) {
        cpu.tiles_mut().set_start_row(row as u8);
        cpu.dirty |= component::TILECFG | component::TILEDATA;
    }
}

/// TILELOADD and its kin.
pub(super) fn load(cpu: &mut Cpu, insn: &Insn, mem: &mut Mem<'_, dyn Vmm + '_>) -> Result<(), Halt> {
    let tile = tile(insn, 0);
    let rows = Rows::of(cpu, insn, tile)?;
    let before = cpu.tiles_mut().data[tile];
    for row in rows.start..rows.rows {
        let mut buffer = [0; ROW_BYTES];
        let read = rows.linear(cpu, insn, row, Intent::Read).map_err(Halt::from).and_then(|at| {
            let access = rows.access(mem, AccessKind::Read, row);
            mem.read(at, &mut buffer[..rows.bytes], &access)
        });
        if let Err(halt) = read {
            match halt {
                Halt::Stop(Stop::Fault(_)) => progress(cpu, row, &halt),
                _ => cpu.tiles_mut().data[tile] = before,
            }
            return Err(halt);
        }
        cpu.tiles_mut().data[tile][row] = buffer;
    }
    let tiles = cpu.tiles_mut();
    tiles.data[tile][rows.rows..].fill([0; ROW_BYTES]);
    tiles.set_start_row(0);
    cpu.dirty |= component::TILECFG | component::TILEDATA;
    Ok(())
}

/// TILESTORED.
pub(super) fn store(cpu: &mut Cpu, insn: &Insn, mem: &mut Mem<'_, dyn Vmm + '_>) -> Result<(), Halt> {
    let tile = tile(insn, 1);
    let rows = Rows::of(cpu, insn, tile)?;
    for row in rows.start..rows.rows {
        let data = cpu.tiles_mut().data[tile][row];
        let written = rows.linear(cpu, insn, row, Intent::Write).map_err(Halt::from).and_then(|at| {
            let access = rows.access(mem, AccessKind::Write, row);
            mem.write(at, &data[..rows.bytes], &access)
        });
        if let Err(halt) = written {
            progress(cpu, row, &halt);
            return Err(halt);
        }
    }
    cpu.tiles_mut().set_start_row(0);
    cpu.dirty |= component::TILECFG;
    Ok(())
}

/// Adds products to a tile, row by row: `row_of_sums` gets a row of the left factor, the right one, and the row of sums.
fn add_products(
    cpu: &mut Cpu,
    insn: &Insn,
    mut row_of_sums: impl FnMut(&[u8], &[[u8; ROW_BYTES]; ROWS], &mut [u8]),
) -> Result<(), Halt> {
    let [target, left, right] = [0, 1, 2].map(|i| tile(insn, i));
    let tiles = configured(cpu)?;
    let [(rows, bytes), (left_rows, left_bytes), (right_rows, right_bytes)] =
        [shape(tiles, target)?, shape(tiles, left)?, shape(tiles, right)?];
    if rows != left_rows || bytes != right_bytes || left_bytes / 4 != right_rows {
        return Err(Event::ud("the tiles' shapes do not go together").into());
    }
    let (a, b) = (tiles.data[left], tiles.data[right]);
    let sums = &mut tiles.data[target];
    for (sums, a) in sums[..rows].iter_mut().zip(&a) {
        row_of_sums(&a[..left_bytes], &b, &mut sums[..bytes]);
        sums[bytes..].fill(0);
    }
    sums[rows..].fill([0; ROW_BYTES]);
    tiles.set_start_row(0);
    cpu.dirty |= component::TILECFG | component::TILEDATA;
    Ok(())
}

/// TDPBSSD and its kin: each doubleword of the first operand, plus products of the four bytes of doublewords of the others.
/// Sums wrap.
pub(super) fn multiply(cpu: &mut Cpu, insn: &Insn, first_signed: bool, second_signed: bool) -> Result<(), Halt> {
    let widen = |byte: u8, signed: bool| if signed { i32::from(byte as i8) } else { i32::from(byte) };
    add_products(cpu, insn, |left, right, sums| {
        for (a, right) in left.chunks_exact(4).zip(right) {
            for (sum, b) in sums.chunks_exact_mut(4).zip(right.chunks_exact(4)) {
                let products = a.iter().zip(b).map(|(&a, &b)| widen(a, first_signed) * widen(b, second_signed));
                let before = i32::from_le_bytes([sum[0], sum[1], sum[2], sum[3]]);
                sum.copy_from_slice(&products.fold(before, i32::wrapping_add).to_le_bytes());
            }
        }
    })
}

/// Factors of the two products of a pair of 16-bit numbers with another, as singles.
pub(super) type Pairs = fn([u16; 2], [u16; 2]) -> [[u32; 2]; 2];

/// TDPBF16PS.
pub(super) fn bf16(a: [u16; 2], b: [u16; 2]) -> [[u32; 2]; 2] {
    let single = |x: u16| u32::from(x) << 16;
    [[single(a[0]), single(b[0])], [single(a[1]), single(b[1])]]
}

/// TDPFP16PS. Denormal halves are numbers.
pub(super) fn halves(a: [u16; 2], b: [u16; 2]) -> [[u32; 2]; 2] {
    [[from_half(a[0]), from_half(b[0])], [from_half(a[1]), from_half(b[1])]]
}

/// TCMMRLFP16PS: a product of complex numbers has the real part ac - bd.
pub(super) fn real_part(a: [u16; 2], b: [u16; 2]) -> [[u32; 2]; 2] {
    halves([a[0], a[1] ^ 0x8000], b)
}

/// TCMMIMFP16PS: ad + bc.
pub(super) fn imaginary_part(a: [u16; 2], b: [u16; 2]) -> [[u32; 2]; 2] {
    halves(a, [b[1], b[0]])
}

/// Products of pairs of 16-bit numbers. Those of even elements are summed by themselves, those of odd ones too, from zero; then
/// both, and at last what the tile has. MXCSR has no part in it.
pub(super) fn multiply_floats(cpu: &mut Cpu, insn: &Insn, pairs: Pairs) -> Result<(), Halt> {
    let pair = |bytes: &[u8]| [u16::from_le_bytes([bytes[0], bytes[1]]), u16::from_le_bytes([bytes[2], bytes[3]])];
    add_products(cpu, insn, |left, right, sums| {
        for (n, sum) in sums.chunks_exact_mut(4).enumerate() {
            let mut partial = [0; 2];
            for (a, right) in left.chunks_exact(4).zip(right) {
                let factors = pairs(pair(a), pair(&right[4 * n..4 * n + 4]));
                for (partial, [a, b]) in partial.iter_mut().zip(factors) {
                    *partial = fused::multiply_add(a, b, *partial);
                }
            }
            let before = u32::from_le_bytes([sum[0], sum[1], sum[2], sum[3]]);
            sum.copy_from_slice(&fused::add(before, fused::add(partial[0], partial[1])).to_le_bytes());
        }
    })
}
