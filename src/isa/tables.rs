//! The tables by encoding space and opcode map, with the index of each opcode's rows.

use super::notation::{LINES_GROUP, LINES_MODRM, Lines, index};
use super::row::{Map, Row, Space};

/// The rows of one opcode map in one encoding space.
#[derive(Debug)]
pub struct Table {
    rows: &'static [Row],
    index: [Lines; 256],
}

/// The rows of one opcode.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    rows: &'static [Row],
    at: Lines,
}

impl Line {
    /// Does a ModRM byte follow the opcode?
    #[inline(always)]
    pub const fn has_modrm(self) -> bool {
        self.at.flags & LINES_MODRM != 0
    }

    /// The rows that this ModRM byte leaves, in the order in which they are tried.
    #[inline(always)]
    pub const fn candidates(self, modrm: u8) -> &'static [Row] {
        let (first, count) = (self.at.first as usize, self.at.count as usize);
        // Of a group there is one row for each value of ModRM.reg.
        let group = self.at.flags & LINES_GROUP != 0;
        let (first, count) = if group { (first + (modrm >> 3 & 7) as usize, 1) } else { (first, count) };
        match self.rows.split_at_checked(first) {
            Some((_, rest)) => match rest.split_at_checked(count) {
                Some((candidates, _)) => candidates,
                None => &[],
            },
            None => &[],
        }
    }

    /// All rows of the opcode.
    pub const fn all(self) -> &'static [Row] {
        self.rows.split_at(self.at.first as usize).1.split_at(self.at.count as usize).0
    }
}

impl Table {
    const fn new(rows: &'static [Row]) -> Table {
        Table { rows, index: index(rows) }
    }

    /// The rows of an opcode.
    #[inline(always)]
    pub const fn line(&self, opcode: u8) -> Line {
        Line { rows: self.rows, at: self.index[opcode as usize] }
    }

    /// All rows of the table.
    pub fn rows(&self) -> &'static [Row] {
        self.rows
    }
}

static EMPTY: Table = Table { rows: &[], index: [Lines::NONE; 256] };
static PRIMARY: Table = Table::new(super::legacy::PRIMARY);
static M0F: Table = Table::new(super::legacy::M0F);
static M0F38: Table = Table::new(super::legacy::M0F38);
static M0F3A: Table = Table::new(super::sse::M0F3A);
static VEX_M0F: Table = Table::new(super::vex::M0F);
static VEX_M0F38: Table = Table::new(super::vex::M0F38);
static VEX_M0F3A: Table = Table::new(super::vex::M0F3A);
static EVEX_M0F: Table = Table::new(super::evex::M0F);
static EVEX_M0F38: Table = Table::new(super::evex::M0F38);
static EVEX_M0F3A: Table = Table::new(super::evex::M0F3A);
static M0F0F: Table = Table::new(super::now3d::M0F0F);
static VEX_M5: Table = Table::new(super::amx::VEX_M5);
static VEX_M7: Table = Table::new(super::vex::M7);
static EVEX_M4: Table = Table::new(super::apx::M4);
static EVEX_M5: Table = Table::new(super::evex::M5);
static EVEX_M6: Table = Table::new(super::evex::M6);
static EVEX_M7: Table = Table::new(super::apx::EVEX_M7);
static XOP_M8: Table = Table::new(super::xop::M8);
static XOP_M9: Table = Table::new(super::xop::M9);
static XOP_M10: Table = Table::new(super::xop::M10);

/// x87 escapes (D8 to DF), apart from the other one-byte opcodes because their ModRM byte selects the line.
pub static X87: Table = Table::new(super::x87::ESCAPES);

/// Tables of maps that the short way of VEX and EVEX covers, by the number that the prefix has for them.
pub(crate) static VEX: [&Table; 8] = [&EMPTY, &VEX_M0F, &VEX_M0F38, &VEX_M0F3A, &EMPTY, &EMPTY, &EMPTY, &EMPTY];
pub(crate) static EVEX: [&Table; 8] = [&EMPTY, &EVEX_M0F, &EVEX_M0F38, &EVEX_M0F3A, &EMPTY, &EVEX_M5, &EVEX_M6, &EMPTY];

/// Tables by encoding space and map.
static BY_SPACE: [[&Table; 12]; 4] = {
    let e = &EMPTY;
    [
        [&PRIMARY, &M0F, &M0F38, &M0F3A, e, e, e, e, e, e, e, &M0F0F],
        [e, &VEX_M0F, &VEX_M0F38, &VEX_M0F3A, e, &VEX_M5, e, &VEX_M7, e, e, e, e],
        [e, &EVEX_M0F, &EVEX_M0F38, &EVEX_M0F3A, &EVEX_M4, &EVEX_M5, &EVEX_M6, &EVEX_M7, e, e, e, e],
        [e, e, e, e, e, e, e, e, &XOP_M8, &XOP_M9, &XOP_M10, e],
    ]
};

/// The table of an opcode in its map and encoding space.
#[inline(always)]
pub fn table(space: Space, map: Map, opcode: u8) -> &'static Table {
    if (space as u8 | map as u8) == 0 && opcode & 0xf8 == 0xd8 {
        return &X87;
    }
    BY_SPACE[space as usize][map as usize]
}

/// The rows of an opcode in its map and encoding space.
pub(crate) const fn line(space: Space, map: Map, opcode: u8) -> Line {
    BY_SPACE[space as usize][map as usize].line(opcode)
}

/// All tables, for those who count or check rows.
pub static ALL: &[&Table] = &[
    &PRIMARY,
    &M0F,
    &M0F38,
    &M0F3A,
    &M0F0F,
    &X87,
    &VEX_M0F,
    &VEX_M0F38,
    &VEX_M0F3A,
    &VEX_M5,
    &VEX_M7,
    &EVEX_M0F,
    &EVEX_M0F38,
    &EVEX_M0F3A,
    &EVEX_M4,
    &EVEX_M5,
    &EVEX_M6,
    &EVEX_M7,
    &XOP_M8,
    &XOP_M9,
    &XOP_M10,
];

/// Every row of the instruction set.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    ALL.iter().flat_map(|t| t.rows.iter())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a row costs counts three thousand times.
    #[test]
    fn the_tables_are_small() {
        let size = rows().count() * size_of::<Row>() + ALL.len() * size_of::<Table>();
        println!("rows and indexes: {size} bytes, {} a row", size_of::<Row>());
        assert!(size + crate::decode::QUICK_SIZE <= 512 << 10, "{size} and {}", crate::decode::QUICK_SIZE);
    }
}
