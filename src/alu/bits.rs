//! Bit gathering and scattering, and CRC32C.

/// PEXT: the bits of `value` under `mask`, packed to the low end.
pub(crate) fn extract(value: u64, mut mask: u64) -> u64 {
    let (mut out, mut place) = (0, 0);
    while mask != 0 {
        out |= (value >> mask.trailing_zeros() & 1) << place;
        place += 1;
        mask &= mask - 1;
    }
    out
}

/// PDEP: the low bits of `value`, spread to the places under `mask`.
pub(crate) fn deposit(mut value: u64, mut mask: u64) -> u64 {
    let mut out = 0;
    while mask != 0 {
        out |= (value & 1) << mask.trailing_zeros();
        value >>= 1;
        mask &= mask - 1;
    }
    out
}

/// The polynomial 11EDC6F41h of CRC32, its bits reflected.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// What each byte adds to a checksum.
const STEPS: [u32; 256] = {
    let mut steps = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut crc, mut bit) = (byte as u32, 0);
        while bit < 8 {
            crc = crc >> 1 ^ if crc & 1 != 0 { POLYNOMIAL } else { 0 };
            bit += 1;
        }
        steps[byte] = crc;
        byte += 1;
    }
    steps
};

/// CRC32: the checksum `crc`, gone on with the `size` low bytes of `data`.
pub(crate) fn crc32(crc: u32, data: u64, size: u16) -> u32 {
    let bytes = data.to_le_bytes();
    bytes[..usize::from(size).min(8)].iter().fold(crc, |crc, byte| crc >> 8 ^ STEPS[usize::from(crc as u8 ^ byte)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_move_as_in_the_manual() {
        assert_eq!(extract(0b1011_0110, 0b1010_1010), 0b1101);
        assert_eq!(deposit(0b1101, 0b1010_1010), 0b1010_0010);
        assert_eq!(extract(u64::MAX, 1 << 63 | 1), 3);
        assert_eq!(deposit(3, 1 << 63 | 1), 1 << 63 | 1);
        assert_eq!((extract(0x1234, u64::MAX), deposit(0x1234, u64::MAX)), (0x1234, 0x1234));
        assert_eq!((extract(u64::MAX, 0), deposit(u64::MAX, 0)), (0, 0));
    }

    #[test]
    fn the_check_value_of_crc32c() {
        let sum = b"123456789".iter().fold(u32::MAX, |crc, &byte| crc32(crc, u64::from(byte), 1));
        assert_eq!(!sum, 0xe306_9283);
        let sum = crc32(crc32(u32::MAX, u64::from_le_bytes(*b"12345678"), 8), u64::from(b'9'), 1);
        assert_eq!(!sum, 0xe306_9283);
    }
}
