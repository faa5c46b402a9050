//! AMX: the tile configuration and the tile registers (SDM volume 1, 18.1).

/// Tile registers.
pub const TILES: usize = 8;
/// Rows of a tile in palette 1.
pub const ROWS: usize = 16;
/// Bytes of a row in palette 1.
pub const ROW_BYTES: usize = 64;

/// TILECFG and TILEDATA. 8 KiB, and so out of line in [`Cpu`](super::Cpu), which has none while they have their initial state.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Tiles {
    /// TILECFG, as LDTILECFG has it: palette, start row, bytes of a row and rows by tile. All zeros: no tiles.
    pub config: [u8; 64],
    /// TMM0 to TMM7: 16 rows of 64 bytes.
    pub data: [[[u8; ROW_BYTES]; ROWS]; TILES],
}

/// Where a processor keeps its tiles: on the heap, where there is one.
#[cfg(feature = "std")]
pub type TileRoom = Box<Tiles>;
/// Where a processor keeps its tiles: in itself.
#[cfg(not(feature = "std"))]
pub type TileRoom = Tiles;

impl Default for Tiles {
    fn default() -> Tiles {
        Tiles { config: [0; 64], data: [[[0; ROW_BYTES]; ROWS]; TILES] }
    }
}

impl Tiles {
    const START_ROW: usize = 1;
    const COLUMNS: usize = 16;
    const ROW_COUNTS: usize = 48;

    /// The palette; 0 while no tiles are configured.
    pub fn palette(&self) -> u8 {
        self.config[0]
    }

    /// The row from which a load or store that was interrupted goes on.
    pub fn start_row(&self) -> u8 {
        self.config[Self::START_ROW]
    }

    /// Sets it.
    pub fn set_start_row(&mut self, row: u8) {
        self.config[Self::START_ROW] = row;
    }

    /// Bytes of each row of a tile.
    pub fn row_bytes(&self, tile: usize) -> usize {
        let at = Self::COLUMNS + 2 * (tile & 7);
        usize::from(u16::from_le_bytes([self.config[at], self.config[at + 1]]))
    }

    /// Rows of a tile.
    pub fn rows(&self, tile: usize) -> usize {
        usize::from(self.config[Self::ROW_COUNTS + (tile & 7)])
    }

    /// May LDTILECFG load it? Palette 0, or palette 1 with tiles of at most 16 rows of 64 bytes, no tile with one of both alone,
    /// and nothing else set (SDM volume 2, LDTILECFG).
    pub fn is_valid(config: &[u8; 64]) -> bool {
        if config[0] == 0 {
            return true;
        }
        let tiles = Tiles { config: *config, ..Tiles::default() };
        let fits = |t: usize| {
            let (rows, bytes) = (tiles.rows(t), tiles.row_bytes(t));
            rows <= ROWS && bytes <= ROW_BYTES && (rows == 0) == (bytes == 0)
        };
        let reserved = [2..16, Self::COLUMNS + 2 * TILES..Self::ROW_COUNTS, Self::ROW_COUNTS + TILES..64];
        let clear = reserved.into_iter().all(|range| config[range].iter().all(|&byte| byte == 0));
        config[0] == 1 && clear && (0..TILES).all(fits)
    }

    /// Do all tiles hold zeros?
    pub fn is_zero(&self) -> bool {
        self.data.iter().flatten().all(|row| *row == [0; ROW_BYTES])
    }

    /// TILEDATA as XSAVE has it, tile by tile.
    pub(crate) fn bytes(&self, tile: usize) -> &[u8] {
        self.data[tile & 7].as_flattened()
    }

    pub(crate) fn bytes_mut(&mut self, tile: usize) -> &mut [u8] {
        self.data[tile & 7].as_flattened_mut()
    }
}
