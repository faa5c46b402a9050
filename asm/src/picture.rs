//! The picture that the guest `gallery` paints, computed from what each tile is meant to show.
//!
//! Nothing here comes from the guest but the glyphs of the captions and the list of tiles: patterns, palettes and
//! arrangements are written down a second time, pixel by pixel, so that the two can disagree.

use crate::gallery::{HEIGHT, SIDE, TILES, Tile, WIDTH, font};

/// Around the tiles.
const GROUND: u32 = 0x14171c;
/// The caption of a painted tile.
const LIGHT: u32 = 0xd8dee8;
/// The caption of a hatched tile.
const DIM: u32 = 0x606874;
/// A hatched tile.
const HATCHING: [u32; 2] = [0x383d46, 0x202429];
const WHITE: u32 = 0xffffff;
const LAST: usize = SIDE - 1;
const HALF: usize = SIDE / 2;

/// The picture: [`HEIGHT`] rows of [`WIDTH`] pixels, 0x00RRGGBB, for a guest that finds the `features` (by their names in
/// `/proc/cpuinfo`; the registers they need are enabled).
pub fn expected(features: &dyn Fn(&str) -> bool) -> Vec<u32> {
    let mut picture = Picture(vec![GROUND; WIDTH * HEIGHT]);
    for (tile, sketch) in TILES.iter().zip(&SKETCHES) {
        if tile.needs.iter().all(|name| features(name)) {
            picture.paint(tile, sketch);
            picture.caption(tile, LIGHT);
        } else {
            picture.hatch(tile);
            picture.caption(tile, DIM);
        }
    }
    picture.0
}

struct Picture(Vec<u32>);

impl Picture {
    fn set(&mut self, x: usize, y: usize, colour: u32) {
        self.0[y * WIDTH + x] = colour;
    }

    fn fill(&mut self, tile: &Tile, colour: impl Fn(usize, usize) -> u32) {
        let at = tile.rect();
        for y in 0..SIDE {
            for x in 0..SIDE {
                self.set(at.x + x, at.y + y, colour(x, y));
            }
        }
    }

    fn hatch(&mut self, tile: &Tile) {
        self.fill(tile, |x, y| HATCHING[usize::from((x + y) % 8 >= 2)]);
    }

    fn paint(&mut self, tile: &Tile, sketch: &Sketch) {
        let palette = palette(sketch.colours);
        let canvas = |x: usize, y: usize| {
            let index = sketch.pattern.index(x as i32, y as i32, sketch.parameter);
            palette[index.rem_euclid(256) as usize]
        };
        self.fill(tile, |x, y| arrange(tile.name, &canvas, x, y));
        let (reach, shown) = match tile.name {
            "mov 64-bit" | "push/pop [mem]" | "fild/fistp" => (1, 0..2),
            "movdqu" => (2, 0..4),
            "vmovdqu ymm" => (4, 0..8),
            "vmovdqu32 k" => (8, 1..15),
            _ => return,
        };
        // The edges of the screen: accesses that end a row and begin the next.
        for y in 0..SIDE {
            for i in shown.clone() {
                let place = (tile.rect().y + y + 1) * WIDTH - reach + i;
                self.0[place] = canvas(i, y);
            }
        }
    }

    fn caption(&mut self, tile: &Tile, colour: u32) {
        let at = tile.rect();
        for (i, c) in tile.name.to_ascii_uppercase().bytes().enumerate() {
            for (y, row) in font()[usize::from(c - b' ')].iter().enumerate() {
                for x in (0..5).filter(|x| row & (0x10 >> x) != 0) {
                    self.set(at.x + 6 * i + x, at.y + SIDE + 3 + y, colour);
                }
            }
        }
    }
}

/// Pixel (x, y) of the tile `name`, made of the pixels of its canvas `c`.
fn arrange(name: &str, c: &dyn Fn(usize, usize) -> u32, x: usize, y: usize) -> u32 {
    let (across, down) = (LAST - x, LAST - y);
    let (left, upper) = (x < HALF, y < HALF);
    // The nearer of each pair of mirrored columns and rows.
    let (folded_x, folded_y) = (x.min(across), y.min(down));
    let pairs_across = SIDE - 2 - x / 2 * 2 + x % 2;
    let again = |x, y| arrange(name, c, x, y);
    match name {
        "mov 8-bit" if upper => c(x, y),
        "mov 8-bit" => {
            let [b, g, r, _] = c(x, down).to_le_bytes();
            u32::from_le_bytes([g, r, b, 0])
        }
        "mov 16-bit" | "mov moffs" => invert(!left, c(folded_x, y)),
        "mov 32-bit" if folded_x == HALF - 1 && folded_y == HALF - 1 => WHITE,
        "mov 32-bit" if upper => c(folded_x, y),
        "mov 32-bit" => {
            let [b, g, r, _] = c(folded_x, down).to_le_bytes();
            u32::from_le_bytes([r, b, g, 0])
        }
        "mov 64-bit" | "lock cmpxchg8b" | "lock cmpxchg16b" | "movdqu" => match upper {
            true => c(x, y),
            false => c(across, down),
        },
        "rep stosd" => c(x / 7 * 7, y),
        "rep movsb" | "movnti" | "lock cmpxchg" | "add sub inc neg" => c(x, y),
        "rep movsq" => match upper {
            true => c(x, y),
            false => c((x + HALF) % SIDE, down),
        },
        "push/pop [mem]" => match folded_y % 2 {
            0 => c(pairs_across, folded_y),
            _ => c(x, folded_y),
        },
        "push/pop stack" => match upper {
            true => c(x, y),
            false => c(pairs_across, down),
        },
        "xchg" => match (28..84).contains(&y) {
            true => c(across, y),
            false => c(x, y),
        },
        "lock xadd" | "fild/fistp" => c(x, folded_y),
        "and or xor not" => invert(x + y >= SIDE, c(x, y)),
        "movups" => c(folded_x, y),
        "movaps" | "movq" => invert(!upper, c(folded_x, folded_y)),
        "movntdq" => invert(x / 16 % 2 != y / 16 % 2, c(x, y)),
        "movntps" => c(x / 4 * 4 + 3 - x % 4, y),
        "movd" => c(x.max(y), x.min(y)),
        "movhps/movlpd" => match (upper, left) {
            (true, true) => c(x / 2 * 4 + x % 2, y),
            (true, false) => c(pairs_across / 2 * 4 + 2 + x % 2, y),
            (false, _) => again(pairs_across, down),
        },
        "pextrd" => c(x % 28 * 4 + x / 28, y % 28 * 4 + y / 28),
        "maskmovdqu" => match y / 8 % 5 {
            channel @ 0..3 => c(x, y) ^ (0xff << (8 * channel)),
            3 => invert(x.is_multiple_of(2), c(x, y)),
            _ => c(x, y),
        },
        "paddd/pxor" => invert(y / 8 % 2 == 1, halve(c(x, y)) + halve(c(across, y))),
        "fld/fstp" => match y {
            0..84 => c(x, y),
            _ => c(x / 8 * 8 + 7 - x % 8, down),
        },
        "fxsave" => match x {
            24..88 => c(x, y),
            _ => GROUND,
        },
        "vmovdqu ymm" | "vmovdqu64 zmm" => invert(!upper, c(x, folded_y)),
        "vmovntdq ymm" => invert(x / 8 % 2 != y / 8 % 2, c(x, y)),
        "vextractf128" => match left {
            true => c(x / 4 * 8 + x % 4, y),
            false => c((x - HALF) / 4 * 8 + 4 + x % 4, y),
        },
        "vpaddd ymm" => invert(x / 8 % 2 == 1, halve(c(x, y)) + halve(c(x, down))),
        "vmaskmovps" | "vpmaskmovd" => {
            let (u, v) = (centred(x), centred(y));
            let selected = match name {
                "vmaskmovps" => (x + y) / 8 % 2 == 1,
                _ => (u * u + v * v) / 1024 % 2 == 1,
            };
            match (upper, selected) {
                (true, _) => invert(!selected, c(x, y)),
                (false, true) => again(x, down),
                (false, false) => 0,
            }
        }
        "vpgatherdd" if (x + y).is_multiple_of(16) => WHITE,
        "vpgatherdd" => c(28 + x / 2, 28 + y / 2),
        "vmovntdq zmm" => invert(y / 16 % 2 == 1, c(x, y)),
        "vmovdqu32 k" => {
            let selected = (x + SIDE - y) % 16 < 8;
            match (upper, selected) {
                (true, _) => invert(!selected, c(x, y)),
                (false, true) => again(x, down),
                (false, false) => [0, 0x203040][y % 2],
            }
        }
        "vmovdqu8 k" => {
            let selected = match y / 8 % 4 {
                channel @ 0..3 => 0xff << (8 * channel),
                _ => [0, WHITE][x / 2 % 2],
            };
            match upper {
                true => c(x, y) ^ selected,
                false => again(x, down) & selected,
            }
        }
        "vpaddd zmm 1to16" if x.is_multiple_of(16) => halve(c(x, y)),
        "vpaddd zmm 1to16" => {
            let tint = y as u32 / 2 % 16;
            halve(c(x, y)) + ((7 * tint) << 16) + 7 * (15 - tint)
        }
        "vpcompressd" => {
            let run = [1, 2, 4][y / 8 % 3];
            let (block, place) = (x % HALF / 8, x % 8);
            let lane = place / run * 2 * run + place % run + if left { 0 } else { run };
            c(16 * block + lane, y)
        }
        "vpexpandd" => {
            let place = match y / 16 % 2 {
                0 => x % 16 / 2,
                _ => x % 8,
            };
            c(28 + x / 16 * 8 + place, y)
        }
        "vpscatterdd" if y == 0 => c(14, x),
        "vpscatterdd" => c(y, x),
        "vpmovdb" => {
            let selected = match (y / 8 % 4, x % 4) {
                (channel @ 0..3, _) => 0xff << (8 * channel),
                (_, 0) => WHITE,
                (_, 1) => 0x00ffff,
                _ => 0,
            };
            c(x, y) ^ selected
        }
        _ => unreachable!("no tile is named {name}"),
    }
}

fn invert(really: bool, colour: u32) -> u32 {
    if really { colour ^ WHITE } else { colour }
}

fn halve(colour: u32) -> u32 {
    u32::from_le_bytes(colour.to_le_bytes().map(|channel| channel / 2))
}

fn centred(x: usize) -> i32 {
    2 * x as i32 - LAST as i32
}

/// 256 colours: from each to the next, and from the last to the first, in 64 steps.
fn palette(colours: [u32; 4]) -> Vec<u32> {
    let mix = |from: u8, to: u8, step: i32| {
        let (from, to) = (i32::from(from), i32::from(to));
        (from + ((to - from) * step).div_euclid(64)) as u8
    };
    (0..256)
        .map(|i| {
            let from = colours[i / 64].to_le_bytes();
            let to = colours[(i / 64 + 1) % 4].to_le_bytes();
            u32::from_le_bytes(core::array::from_fn(|channel| mix(from[channel], to[channel], (i % 64) as i32)))
        })
        .collect()
}

/// A wave of period 256 around 128, made of two parabolas.
fn sine(x: i32) -> i32 {
    let x = x.rem_euclid(256);
    let t = x % 128;
    let height = t * (128 - t) * 31 / 1024;
    if x < 128 { 128 + height } else { 128 - height }
}

#[derive(Clone, Copy)]
enum Pattern {
    Rings,
    Plasma,
    Petals,
    Scales,
    Xor,
    Waves,
    Moire,
    Lattice,
    Saddle,
    Diamond,
    Squares,
    Alias,
    Ripple,
    And,
    Weave,
    Hyperbola,
}

use Pattern::*;

impl Pattern {
    /// The place in the palette, modulo 256, of the pixel (x, y).
    fn index(self, x: i32, y: i32, p: i32) -> i32 {
        // Twice the distance from the centre.
        let (u, v) = (2 * x - LAST as i32, 2 * y - LAST as i32);
        let square = u * u + v * v;
        match self {
            Xor => (x ^ y) * p / 4,
            And => (x & y) * p / 4 + y,
            Rings => square * p / 256,
            Alias => square * p / 16,
            Saddle => ((u * u - v * v) * p).div_euclid(256),
            Hyperbola => (u * v * p).div_euclid(256),
            Diamond => (u.abs() + v.abs()) * p / 4,
            Squares => u.abs().max(v.abs()) * p / 4,
            Petals => ((u * v).abs() * p / 64) ^ (square / 64),
            Moire => 2 * ((((u - p).pow(2) + v * v) / 64) ^ (((u + p).pow(2) + v * v) / 64)),
            Plasma => (sine(2 * x + p) + sine(3 * y + 2 * p) + sine(2 * (x + y))) / 2,
            Lattice => sine(p * x) * sine(p * y) / 128,
            Scales => sine(p * x + sine(4 * y) / 2) + y,
            Waves => y * p / 4 + sine(4 * x) / 2,
            Ripple => square * p / 256 + (sine(4 * x) + sine(4 * y)) / 2,
            Weave => {
                let (through, along) = if (x / 16 + y / 16) % 2 == 1 { (x, y) } else { (y, x) };
                let t = through % 16;
                t * (16 - t) / 2 + along * p / 4
            }
        }
    }
}

/// What a tile's canvas shows.
struct Sketch {
    pattern: Pattern,
    parameter: i32,
    colours: [u32; 4],
}

const fn sketch(pattern: Pattern, parameter: i32, colours: [u32; 4]) -> Sketch {
    Sketch { pattern, parameter, colours }
}

#[rustfmt::skip] // one tile per line: the columns are the point
static SKETCHES: [Sketch; 48] = [
    sketch(Rings,        6, [0x0b1d51, 0x2f6fde, 0x8fe3ff, 0x3a2a8c]), // mov 8-bit
    sketch(Plasma,      20, [0x2b0a3d, 0xc2185b, 0xffb74d, 0x7b1fa2]), // mov 16-bit
    sketch(Petals,       5, [0x06283d, 0x1363df, 0x47b5ff, 0xdff6ff]), // mov 32-bit
    sketch(Scales,       5, [0x1a1a2e, 0xe94560, 0xf6c065, 0x533483]), // mov 64-bit
    sketch(Xor,          8, [0x0d3b2e, 0x2a9d8f, 0xe9f5c9, 0x264653]), // mov moffs
    sketch(Diamond,     11, [0x3d0c11, 0xd62828, 0xf9c74f, 0x6a040f]), // rep stosd
    sketch(Moire,       24, [0x10002b, 0x5a189a, 0xe0aaff, 0x240046]), // rep movsb
    sketch(Lattice,      5, [0x012a4a, 0x2c7da0, 0xa9d6e5, 0x01497c]), // rep movsq
    sketch(Saddle,       6, [0x14213d, 0xfca311, 0xfff1d0, 0x7f4f24]), // movnti
    sketch(Plasma,      90, [0x081c15, 0x40916c, 0xd8f3dc, 0x1b4332]), // push/pop [mem]
    sketch(Hyperbola,    7, [0x3c096c, 0xff6d00, 0xffd166, 0x7b2cbf]), // push/pop stack
    sketch(Scales,       8, [0x001219, 0x0a9396, 0xe9d8a6, 0x005f73]), // xchg
    sketch(Ripple,       3, [0x370617, 0xdc2f02, 0xffba08, 0x9d0208]), // lock xadd
    sketch(Diamond,      7, [0x03071e, 0x3f88c5, 0xf4d58d, 0x136f63]), // lock cmpxchg
    sketch(And,          9, [0x2d00f7, 0x8900f2, 0xf20089, 0x1a0033]), // lock cmpxchg8b
    sketch(Weave,        7, [0x22223b, 0x9a8c98, 0xf2e9e4, 0x4a4e69]), // lock cmpxchg16b
    sketch(Squares,      7, [0x072227, 0x35858b, 0xaefeff, 0x4fbdba]), // add sub inc neg
    sketch(Xor,          5, [0x1b1b2f, 0xe43f5a, 0xffd6e0, 0x1f4068]), // and or xor not
    sketch(Lattice,      3, [0x0b090a, 0xba181b, 0xf5f3f4, 0x660708]), // movdqu
    sketch(And,          6, [0x004b23, 0x38b000, 0xccff33, 0x007200]), // movups
    sketch(Ripple,       5, [0x1d3557, 0xa8dadc, 0xf1faee, 0xe63946]), // movaps
    sketch(Rings,       11, [0x231942, 0xbe95c4, 0xe0b1cb, 0x5e548e]), // movntdq
    sketch(Plasma,     150, [0x0f2027, 0x2c9364, 0xf8ffae, 0x203a43]), // movntps
    sketch(Petals,       8, [0x311847, 0xff2e63, 0xffe3a9, 0x252a34]), // movd
    sketch(Waves,       14, [0x03045e, 0x00b4d8, 0xcaf0f8, 0x0077b6]), // movq
    sketch(Scales,       3, [0x2f3e46, 0x84a98c, 0xf4f1de, 0x52796f]), // movhps/movlpd
    sketch(Saddle,       9, [0x10451d, 0xf4a261, 0xfefae0, 0xbc4749]), // pextrd
    sketch(Squares,      5, [0x0a0908, 0x49b6a6, 0xeae0d5, 0x22333b]), // maskmovdqu
    sketch(Plasma,     210, [0x1b0033, 0xff4d8d, 0xffd9a0, 0x5522aa]), // paddd/pxor
    sketch(Waves,        9, [0x001427, 0x708d81, 0xf4d58d, 0xbf0603]), // fild/fistp
    sketch(Alias,        5, [0x2a0845, 0x6441a5, 0xd9c8ff, 0x3a1c71]), // fld/fstp
    sketch(Hyperbola,   10, [0x000814, 0x0077b6, 0xffd60a, 0x003566]), // fxsave
    sketch(Petals,       4, [0x1f0318, 0xf71735, 0xffe1e9, 0x571f4e]), // vmovdqu ymm
    sketch(Alias,        3, [0x0c1618, 0x00a676, 0xf7f9bf, 0x004643]), // vmovntdq ymm
    sketch(Ripple,       8, [0x161a1d, 0xe5383b, 0xf5cac3, 0x660708]), // vextractf128
    sketch(Xor,         11, [0x02111b, 0x5d9cec, 0xfcf6b1, 0x30638e]), // vpaddd ymm
    sketch(Lattice,      4, [0x240b36, 0xf0a202, 0xffe6b8, 0xc31432]), // vmaskmovps
    sketch(Saddle,       5, [0x0d1b2a, 0x778da9, 0xf3f7fb, 0x415a77]), // vpmaskmovd
    sketch(Moire,       15, [0x14110f, 0xd9822b, 0xfff1c1, 0x7e3f12]), // vpgatherdd
    sketch(Rings,        4, [0x10002b, 0xff0a54, 0xfbb1bd, 0x3c096c]), // vmovdqu64 zmm
    sketch(Alias,        7, [0x04151f, 0x18a999, 0xe4fde1, 0x183a37]), // vmovntdq zmm
    sketch(Diamond,      5, [0x2e1f27, 0xf4c95d, 0xfff6da, 0x854d27]), // vmovdqu32 k
    sketch(Waves,        6, [0x050a30, 0x7ec8e3, 0xe8f6ff, 0x000c66]), // vmovdqu8 k
    sketch(Weave,        4, [0x1a1423, 0xb75d69, 0xeacdc2, 0x372549]), // vpaddd zmm 1to16
    sketch(Hyperbola,    5, [0x0b132b, 0x5bc0be, 0xe2fcef, 0x3a506b]), // vpcompressd
    sketch(Squares,      9, [0x12100e, 0x2a9d8f, 0xf1e3a4, 0x264653]), // vpexpandd
    sketch(Moire,       37, [0x330c2f, 0x7b9acc, 0xfcf6f5, 0x5d2e8c]), // vpscatterdd
    sketch(Weave,       10, [0x001f1f, 0xff7d00, 0xffecd1, 0x15616d]), // vpmovdb
];
