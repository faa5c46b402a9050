//! The clock of a PC with its memory (MC146818), behind ports 0x70 and 0x71. It raises no interrupts.

/// The clock.
#[derive(Debug)]
pub struct Cmos {
    /// Seconds since 1970-01-01 when the guest's time was 0.
    started: u64,
    index: u8,
    memory: [u8; 128],
}

/// Registers of the clock.
mod register {
    pub const SECONDS: u8 = 0x00;
    pub const MINUTES: u8 = 0x02;
    pub const HOURS: u8 = 0x04;
    pub const WEEKDAY: u8 = 0x06;
    pub const DAY: u8 = 0x07;
    pub const MONTH: u8 = 0x08;
    pub const YEAR: u8 = 0x09;
    pub const A: u8 = 0x0a;
    pub const B: u8 = 0x0b;
    pub const C: u8 = 0x0c;
    pub const D: u8 = 0x0d;
    pub const CENTURY: u8 = 0x32;
}

/// 24 hours; decimal digits.
const B_24_HOURS: u8 = 2;
/// Binary numbers.
const B_BINARY: u8 = 4;

/// Year, month and day of a day since 1970-01-01.
fn date(days: u64) -> (u64, u64, u64) {
    // Years that begin in March have their leap day at the end; 400 of them have 146,097 days.
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let of_month = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, of_month)
}

impl Cmos {
    /// A clock that shows `started`, in seconds since 1970, at the guest's time 0.
    pub fn new(started: u64) -> Cmos {
        let mut memory = [0; 128];
        memory[usize::from(register::A)] = 0x26;
        memory[usize::from(register::B)] = B_24_HOURS;
        Cmos { started, index: 0, memory }
    }

    /// A read of port 0x70 or 0x71, at the guest's time in nanoseconds.
    pub fn read(&self, port: u16, now: u64) -> u8 {
        if port & 1 == 0 {
            return 0xff;
        }
        let seconds = self.started + now / 1_000_000_000;
        let (days, time) = (seconds / 86_400, seconds % 86_400);
        let (year, month, day) = date(days);
        let number = match self.index {
            register::SECONDS => time % 60,
            register::MINUTES => time / 60 % 60,
            register::HOURS => time / 3600,
            // 1970-01-01 was a Thursday, day 5.
            register::WEEKDAY => (days + 4) % 7 + 1,
            register::DAY => day,
            register::MONTH => month,
            register::YEAR => year % 100,
            register::CENTURY => year / 100,
            register::C => return 0,
            // The battery is good.
            register::D => return 0x80,
            index => return self.memory[usize::from(index)],
        };
        if self.memory[usize::from(register::B)] & B_BINARY != 0 {
            return number as u8;
        }
        ((number / 10) << 4 | (number % 10)) as u8
    }

    /// A write to one of them. The clock itself cannot be set.
    pub fn write(&mut self, port: u16, value: u8) {
        if port & 1 == 0 {
            self.index = value & 0x7f;
        } else if !matches!(self.index, register::A | register::C | register::D) {
            self.memory[usize::from(self.index)] = value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_dates() {
        assert_eq!(date(0), (1970, 1, 1));
        assert_eq!(date(59), (1970, 3, 1));
        assert_eq!(date(11_016), (2000, 2, 29));
        assert_eq!(date(11_017), (2000, 3, 1));
        assert_eq!(date(20_453), (2025, 12, 31));
        assert_eq!(date(20_454), (2026, 1, 1));
    }

    #[test]
    fn the_time_in_decimal_digits_and_in_binary() {
        // 2026-11-27 13:45:56, a Friday.
        let mut cmos = Cmos::new(1_795_787_156);
        let mut read = |index, now| {
            cmos.write(0x70, index | 0x80_u8);
            cmos.read(0x71, now)
        };
        let shown: Vec<u8> = [0, 2, 4, 6, 7, 8, 9, 0x32].map(|index| read(index, 0)).to_vec();
        assert_eq!(shown, [0x56, 0x45, 0x13, 0x06, 0x27, 0x11, 0x26, 0x20]);
        assert_eq!(read(0, 4_000_000_000), 0x00, "four seconds later");
        cmos.write(0x70, 0x0b);
        cmos.write(0x71, B_24_HOURS | B_BINARY);
        cmos.write(0x70, 0);
        assert_eq!(cmos.read(0x71, 0), 56);
    }
}
