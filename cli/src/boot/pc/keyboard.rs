//! The keyboard controller: rust-vmm's i8042, which knows no keys and can reset the machine.

use super::line::Line;
use vm_superio::I8042Device;

/// The controller.
#[derive(Debug)]
pub struct Keyboard {
    controller: I8042Device<Line>,
    reset: Line,
}

impl Default for Keyboard {
    fn default() -> Keyboard {
        let reset = Line::default();
        Keyboard { controller: I8042Device::new(reset.clone()), reset }
    }
}

impl Keyboard {
    /// A read of port 0x60 or 0x64.
    pub fn read(&mut self, port: u16) -> u8 {
        self.controller.read((port & 7) as u8)
    }

    /// A write to one of them.
    pub fn write(&mut self, port: u16, value: u8) {
        match self.controller.write((port & 7) as u8, value) {
            Ok(()) => {}
        }
    }

    /// Has the guest asked for a reset?
    pub fn is_reset(&self) -> bool {
        self.reset.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_command_resets() {
        let mut keyboard = Keyboard::default();
        keyboard.write(0x60, 0xfe);
        keyboard.write(0x64, 0xd1);
        assert!(!keyboard.is_reset());
        keyboard.write(0x64, 0xfe);
        assert!(keyboard.is_reset());
        assert_eq!(keyboard.read(0x64), 0, "ready for commands, with nothing to be read");
    }
}
