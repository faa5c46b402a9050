//! The devices of the reference machine.

use encore86_asm::gallery;

/// What a device does when the guest reaches for it, through memory or through a port. Offsets count from the
/// device's first byte; an access lies inside the device, but may be of any width and alignment.
pub trait Device {
    /// What it is called in messages and in the trace.
    fn name(&self) -> &'static str;
    /// Fills `data` with the bytes from `offset` on.
    fn read(&mut self, offset: u64, data: &mut [u8]);
    /// Takes the bytes from `offset` on.
    fn write(&mut self, offset: u64, data: &[u8]);
}

/// A serial port with the registers of a 16550 that is always ready and never has input.
#[derive(Debug, Default)]
pub struct Serial {
    sent: Vec<u8>,
}

impl Serial {
    /// Bytes of its registers.
    pub const SIZE: u64 = 8;
    const TRANSMIT: u64 = 0;
    const LINE_STATUS: u64 = 5;
    /// Both transmit registers are empty.
    const READY: u8 = 0x60;

    /// What the guest has sent and nobody has taken.
    pub fn sent(&self) -> &[u8] {
        &self.sent
    }

    /// Forgets what was sent.
    pub fn clear(&mut self) {
        self.sent.clear();
    }
}

impl Device for Serial {
    fn name(&self) -> &'static str {
        "serial"
    }

    fn read(&mut self, offset: u64, data: &mut [u8]) {
        for (at, byte) in (offset..).zip(data) {
            *byte = if at == Self::LINE_STATUS { Self::READY } else { 0 };
        }
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        for (at, &byte) in (offset..).zip(data) {
            if at == Self::TRANSMIT {
                self.sent.push(byte);
            }
        }
    }
}

/// The exit port: what is written to it ends the boot.
#[derive(Debug, Default)]
pub struct Exit {
    code: Option<u32>,
}

impl Exit {
    /// Bytes of its register.
    pub const SIZE: u64 = 4;

    /// What the guest has written.
    pub fn code(&self) -> Option<u32> {
        self.code
    }
}

impl Device for Exit {
    fn name(&self) -> &'static str {
        "exit"
    }

    fn read(&mut self, _offset: u64, data: &mut [u8]) {
        data.fill(0);
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        let mut register = [0; Self::SIZE as usize];
        for (at, &byte) in (offset as usize..).zip(data) {
            register[at] = byte;
        }
        self.code = Some(u32::from_le_bytes(register));
    }
}

/// A page of registers that keep what is written to them. The first few tell the monitor how the painting goes.
#[derive(Debug)]
pub struct Registers {
    page: [u8; Self::SIZE as usize],
    tile: u32,
    hatched: u64,
}

impl Default for Registers {
    fn default() -> Self {
        Registers { page: [0; Self::SIZE as usize], tile: 0, hatched: 0 }
    }
}

impl Registers {
    /// Bytes of the page.
    pub const SIZE: u64 = 0x1000;

    fn word(&self, address: u64) -> u32 {
        let at = (address - gallery::REGISTERS) as usize;
        self.page[at..].first_chunk().map_or(0, |&bytes| u32::from_le_bytes(bytes))
    }

    /// The tile that was begun last, from 1; 0 before the first.
    pub fn tile(&self) -> u32 {
        self.tile
    }

    /// Has the guest said that it hatches tile `number`?
    pub fn is_hatched(&self, number: u8) -> bool {
        self.hatched.checked_shr(number.into()).is_some_and(|bits| bits & 1 != 0)
    }

    /// The tile that read back something wrong; 0 if none did.
    pub fn failed(&self) -> u32 {
        self.word(gallery::FAILED)
    }
}

impl Device for Registers {
    fn name(&self) -> &'static str {
        "registers"
    }

    fn read(&mut self, offset: u64, data: &mut [u8]) {
        let at = offset as usize;
        data.copy_from_slice(&self.page[at..at + data.len()]);
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        let at = offset as usize;
        self.page[at..at + data.len()].copy_from_slice(data);
        let (begun, hatched) = (self.word(gallery::TILE), self.word(gallery::HATCHED));
        match offset {
            0..4 if begun != 0 => self.tile = begun,
            4..8 if hatched != 0 => {
                self.tile = hatched;
                self.hatched |= 1u64.checked_shl(hatched).unwrap_or(0);
            }
            _ => {}
        }
    }
}

/// The framebuffer: rows of XRGB pixels, little-endian.
#[derive(Debug)]
pub struct Framebuffer {
    bytes: Vec<u8>,
}

impl Default for Framebuffer {
    fn default() -> Self {
        Framebuffer { bytes: vec![0; gallery::FRAMEBUFFER_SIZE as usize] }
    }
}

impl Framebuffer {
    /// The rows of the picture, each of `WIDTH` pixels, 0x00RRGGBB.
    pub fn rows(&self) -> impl Iterator<Item = impl Iterator<Item = u32>> {
        self.bytes.chunks_exact(gallery::PITCH).map(|row| {
            let (pixels, _) = row.as_chunks();
            pixels.iter().take(gallery::WIDTH).map(|&pixel| u32::from_le_bytes(pixel) & 0xff_ffff)
        })
    }
}

impl Device for Framebuffer {
    fn name(&self) -> &'static str {
        "framebuffer"
    }

    fn read(&mut self, offset: u64, data: &mut [u8]) {
        let at = offset as usize;
        data.copy_from_slice(&self.bytes[at..at + data.len()]);
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        let at = offset as usize;
        self.bytes[at..at + data.len()].copy_from_slice(data);
    }
}
