//! Two 8259A interrupt controllers, the second on the first one's input 2, as a PC has them.

/// Input of the first controller that the second one's output drives.
const CASCADE: u8 = 2;

/// Both controllers.
#[derive(Debug, Default)]
pub struct Pic {
    first: Chip,
    second: Chip,
}

/// One controller: eight inputs, of which 0 has the highest priority.
#[derive(Debug, Default)]
struct Chip {
    /// Edges that wait.
    requests: u8,
    masked: u8,
    in_service: u8,
    /// Vector of input 0.
    base: u8,
    /// The initialization word that is due: 2, 3 or 4; 0 when none is.
    due: u8,
    /// The fourth one comes too.
    fourth: bool,
    automatic_end: bool,
    /// What a read of the command port gives: the inputs in service, or the requests.
    shows_service: bool,
}

impl Chip {
    /// The input that is to be served next.
    fn next(&self) -> Option<u8> {
        let ready = self.requests & !self.masked;
        if ready == 0 {
            return None;
        }
        let input = ready.trailing_zeros() as u8;
        let serving = self.in_service.trailing_zeros() as u8;
        (input < serving).then_some(input)
    }

    fn accept(&mut self, input: u8) -> u8 {
        self.requests &= !(1 << input);
        if !self.automatic_end {
            self.in_service |= 1 << input;
        }
        self.base + input
    }

    fn read(&self, data: bool) -> u8 {
        match (data, self.shows_service) {
            (true, _) => self.masked,
            (false, true) => self.in_service,
            (false, false) => self.requests,
        }
    }

    fn write(&mut self, data: bool, value: u8) {
        match (data, self.due) {
            (false, _) if value & 0x10 != 0 => {
                *self = Chip { due: 2, fourth: value & 1 != 0, ..Chip::default() };
            }
            (false, _) if value & 0x08 != 0 => {
                if value & 2 != 0 {
                    self.shows_service = value & 1 != 0;
                }
            }
            (false, _) => match value >> 5 {
                // The end of the interrupt in service that has the highest priority.
                1 | 5 => self.in_service &= self.in_service.wrapping_sub(1),
                // Of the one that is named.
                3 | 7 => self.in_service &= !(1 << (value & 7)),
                _ => {}
            },
            (true, 2) => {
                self.base = value & 0xf8;
                self.due = 3;
            }
            (true, 3) => self.due = if self.fourth { 4 } else { 0 },
            (true, 4) => {
                self.automatic_end = value & 2 != 0;
                self.due = 0;
            }
            (true, _) => self.masked = value,
        }
    }
}

impl Pic {
    /// A rising edge on one of the sixteen inputs.
    pub fn raise(&mut self, line: u8) {
        if line < 8 {
            self.first.requests |= 1 << line;
        } else {
            self.second.requests |= 1 << (line - 8);
        }
        self.cascade();
    }

    /// The second controller's output is an input of the first.
    fn cascade(&mut self) {
        match self.second.next() {
            Some(_) => self.first.requests |= 1 << CASCADE,
            None => self.first.requests &= !(1 << CASCADE),
        }
    }

    /// Is the processor asked to take an interrupt?
    pub fn is_pending(&self) -> bool {
        self.first.next().is_some()
    }

    /// The processor takes it: its vector.
    pub fn acknowledge(&mut self) -> u8 {
        // An input that went away meanwhile is input 7.
        let Some(input) = self.first.next() else { return self.first.base + 7 };
        let vector = self.first.accept(input);
        if input != CASCADE {
            return vector;
        }
        let vector = match self.second.next() {
            Some(input) => self.second.accept(input),
            None => self.second.base + 7,
        };
        self.cascade();
        vector
    }

    /// A read of port 0x20, 0x21, 0xA0 or 0xA1.
    pub fn read(&self, port: u16) -> u8 {
        let chip = if port < 0xa0 { &self.first } else { &self.second };
        chip.read(port & 1 != 0)
    }

    /// A write to one of them.
    pub fn write(&mut self, port: u16, value: u8) {
        let chip = if port < 0xa0 { &mut self.first } else { &mut self.second };
        chip.write(port & 1 != 0, value);
        self.cascade();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both initialized as Linux does it: vectors 0x30 to 0x3F.
    fn initialized() -> Pic {
        let mut pic = Pic::default();
        for (port, words) in [(0x20, [0x11, 0x30, 0x04, 0x01]), (0xa0, [0x11, 0x38, 0x02, 0x01])] {
            pic.write(port, words[0]);
            for word in &words[1..] {
                pic.write(port + 1, *word);
            }
        }
        pic
    }

    #[test]
    fn priorities_masks_and_ends() {
        let mut pic = initialized();
        pic.write(0x21, 0x10);
        pic.raise(4);
        assert!(!pic.is_pending(), "masked");
        pic.write(0x21, 0);
        assert!(pic.is_pending(), "an edge waits for its mask to go");
        pic.raise(0);
        assert_eq!(pic.acknowledge(), 0x30, "input 0 comes first");
        assert!(!pic.is_pending(), "input 4 is behind the one in service");
        pic.write(0x20, 0x20);
        assert_eq!(pic.acknowledge(), 0x34);
        pic.raise(0);
        assert!(pic.is_pending(), "input 0 interrupts the handler of input 4");
        pic.write(0x20, 0x64);
        pic.write(0x20, 0x0b);
        assert_eq!(pic.read(0x20), 0, "nothing is in service");
        pic.write(0x20, 0x0a);
        assert_eq!(pic.read(0x20), 1, "input 0 is asked for");
    }

    #[test]
    fn the_second_controller_comes_through_the_first() {
        let mut pic = initialized();
        pic.raise(8);
        pic.raise(12);
        assert_eq!(pic.acknowledge(), 0x38);
        pic.write(0xa0, 0x20);
        pic.write(0x20, 0x20);
        assert_eq!(pic.acknowledge(), 0x3c);
        pic.write(0xa0, 0x20);
        pic.write(0x20, 0x20);
        assert!(!pic.is_pending());
        assert_eq!(pic.acknowledge(), 0x37, "a spurious interrupt");
    }
}
