//! The serial port: rust-vmm's 16550, with its output in a buffer and its interrupt on a line.

use super::line::Line;
use vm_superio::serial::NoEvents;

/// The serial port.
#[derive(Debug)]
pub struct Serial {
    port: vm_superio::Serial<Line, NoEvents, Vec<u8>>,
    line: Line,
}

impl Default for Serial {
    fn default() -> Serial {
        let line = Line::default();
        Serial { port: vm_superio::Serial::new(line.clone(), Vec::new()), line }
    }
}

impl Serial {
    /// A read of one of its eight registers.
    pub fn read(&mut self, register: u8) -> u8 {
        self.port.read(register)
    }

    /// A write to one of them.
    pub fn write(&mut self, register: u8, value: u8) {
        // Its output is a vector and its interrupt a flag: neither fails.
        let _ = self.port.write(register, value);
    }

    /// Has its interrupt been raised since this was asked last?
    pub fn has_risen(&mut self) -> bool {
        self.line.take()
    }

    /// How many bytes it can be given.
    pub fn room(&self) -> usize {
        self.port.fifo_capacity()
    }

    /// Input for the guest, not more than there is room for.
    pub fn receive(&mut self, bytes: &[u8]) {
        let _ = self.port.enqueue_raw_bytes(bytes);
    }

    /// What the guest has sent; to be taken away by who shows it.
    pub fn sent(&mut self) -> &mut Vec<u8> {
        self.port.writer_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_and_received() {
        let mut serial = Serial::default();
        serial.write(0, b'a');
        assert!(!serial.has_risen(), "no interrupt is enabled");
        serial.write(1, 3);
        assert!(serial.has_risen(), "the transmitter is empty");
        serial.write(0, b'b');
        assert_eq!(serial.sent(), b"ab");
        serial.read(2);
        assert_eq!(serial.room(), 64);
        serial.receive(b"xy");
        assert!(serial.has_risen());
        assert_eq!((serial.read(5) & 1, serial.read(0), serial.read(0), serial.read(5) & 1), (1, b'x', b'y', 0));
    }
}
