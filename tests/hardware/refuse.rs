//! Changes to an encoding that make it invalid, too long or incomplete.

use crate::encode::Encoding;
use encore86::isa::row::{Space, attr};
use encore86_oracle::{CODE_LEN, Mode, Setup};

/// Changed bytes, where they lie, and how many of them can be fetched.
pub fn variants(encoding: &Encoding) -> Vec<(Setup, Vec<u8>, usize)> {
    let bytes = &encoding.bytes;
    let plain = Setup { mode: encoding.mode, step: encoding.row.is(attr::BRANCH), ..Setup::default() };
    let mut out = Vec::new();
    let mut add = |bytes: Vec<u8>| out.push((plain, bytes, 16));
    // LOCK where nothing can be locked.
    if !encoding.lock {
        add([&[0xf0], bytes.as_slice()].concat());
    }
    if encoding.row.space != Space::Legacy {
        for prefix in [0x66, 0xf2, 0xf3] {
            add([&[prefix], bytes.as_slice()].concat());
        }
        if encoding.mode == Mode::Long64 {
            add([&[0x48], bytes.as_slice()].concat());
        }
        let vex = bytes.iter().position(|b| matches!(b, 0xc4 | 0xc5)).expect("a VEX encoding has its prefix");
        let last = if bytes[vex] == 0xc5 { vex + 1 } else { vex + 2 };
        // vvvv, vector length and W.
        for bit in [0x08, 0x40, 0x04, 0x80] {
            if bit == 0x80 && bytes[vex] == 0xc5 || bit == 0x40 && encoding.mode != Mode::Long64 {
                continue;
            }
            let mut changed = bytes.clone();
            changed[last] ^= bit;
            add(changed);
        }
        // Reserved opcode maps.
        if bytes[vex] == 0xc4 {
            for map in [0, 8, 0x1f] {
                let mut changed = bytes.clone();
                changed[vex + 1] = changed[vex + 1] & 0xe0 | map;
                add(changed);
            }
        }
    }
    // Sixteen bytes, by a segment override that changes nothing.
    let mut long = vec![0x3e; 16 - bytes.len()];
    long.extend(bytes);
    add(long);
    // Cut off by an unmapped page.
    for len in 1..bytes.len() {
        let setup = Setup { offset: CODE_LEN - len, ..plain };
        out.push((setup, bytes[..len].to_vec(), len));
    }
    out
}
