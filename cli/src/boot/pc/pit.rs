//! An 8254 timer: channel 0 drives interrupt input 0, channel 2 the speaker, whose gate and output are at port 0x61.
//!
//! It has no clock of its own: it is told the time, in nanoseconds, and works out what its counters would be.

/// The frequency that its channels count at, in hertz.
const FREQUENCY: u128 = 1_193_182;
const NANOSECONDS: u128 = 1_000_000_000;

/// The timer.
#[derive(Debug)]
pub struct Pit {
    channels: [Channel; 3],
    /// The speaker's data bit, which is only kept.
    speaker: bool,
    /// Edges of channel 0's output that have been taken.
    taken: u64,
}

#[derive(Debug)]
struct Channel {
    mode: u8,
    /// Which bytes an access moves: 1 the low one, 2 the high one, 3 both.
    bytes: u8,
    decimal: bool,
    /// 1 to 0x10000.
    reload: u32,
    /// When counting began; not while a new count is incomplete or the gate is low.
    began: Option<u64>,
    low: Option<u8>,
    latched: Option<u16>,
    status: Option<u8>,
    /// The high byte is read next.
    high: bool,
    gate: bool,
}

impl Channel {
    fn new(gate: bool) -> Channel {
        Channel {
            mode: 0,
            bytes: 3,
            decimal: false,
            reload: 0x1_0000,
            began: None,
            low: None,
            latched: None,
            status: None,
            high: false,
            gate,
        }
    }

    /// Does it begin again by itself?
    fn is_periodic(&self) -> bool {
        matches!(self.mode, 2 | 3)
    }

    fn ticks(&self, now: u64) -> u64 {
        self.began.map_or(0, |began| (u128::from(now.saturating_sub(began)) * FREQUENCY / NANOSECONDS) as u64)
    }

    fn count(&self, now: u64) -> u16 {
        let (ticks, reload) = (self.ticks(now), u64::from(self.reload));
        let count = match self.mode {
            2 => reload - ticks % reload,
            3 => reload - ticks * 2 % reload,
            _ => reload.wrapping_sub(ticks),
        } as u16;
        if !self.decimal {
            return count;
        }
        (0..4).fold(0, |bcd, digit| bcd | (count / 10u16.pow(digit) % 10) << (4 * digit))
    }

    fn output(&self, now: u64) -> bool {
        if self.began.is_none() {
            return self.mode != 0;
        }
        let (ticks, reload) = (self.ticks(now), u64::from(self.reload));
        match self.mode {
            2 => ticks % reload != reload - 1,
            3 => ticks * 2 % (reload * 2) < reload,
            4 | 5 => ticks != reload,
            _ => ticks >= reload,
        }
    }

    /// Rising edges of the output since counting began.
    fn edges(&self, now: u64) -> u64 {
        let done = self.ticks(now) / u64::from(self.reload);
        if self.is_periodic() { done } else { done.min(1) }
    }

    /// When the edge of this number comes.
    fn edge(&self, number: u64) -> Option<u64> {
        let began = self.began?;
        if number == 0 || number > 1 && !self.is_periodic() {
            return None;
        }
        let ticks = u128::from(number) * u128::from(self.reload);
        Some(began + (ticks * NANOSECONDS).div_ceil(FREQUENCY) as u64)
    }

    fn write(&mut self, value: u8, now: u64) {
        let count = match (self.bytes, self.low) {
            (1, _) => u16::from(value),
            (2, _) => u16::from(value) << 8,
            (_, None) => {
                self.low = Some(value);
                // A counter of mode 0 stands while its new count is incomplete.
                if self.mode == 0 {
                    self.began = None;
                }
                return;
            }
            (_, Some(low)) => u16::from_le_bytes([low, value]),
        };
        self.low = None;
        let binary = if self.decimal {
            (0..4).map(|digit| u32::from(count >> (4 * digit) & 0xf) * 10u32.pow(digit)).sum()
        } else {
            u32::from(count)
        };
        let limit = if self.decimal { 10_000 } else { 0x1_0000 };
        self.reload = if binary == 0 { limit } else { binary };
        self.began = self.gate.then_some(now);
    }

    fn read(&mut self, now: u64) -> u8 {
        if let Some(status) = self.status.take() {
            return status;
        }
        let count = self.latched.unwrap_or_else(|| self.count(now));
        let [low, high] = count.to_le_bytes();
        let both = self.bytes == 3;
        let value = if self.bytes == 2 || both && self.high { high } else { low };
        if !both || self.high {
            self.latched = None;
        }
        self.high = both && !self.high;
        value
    }

    fn latch(&mut self, now: u64) {
        if self.latched.is_none() {
            self.latched = Some(self.count(now));
        }
    }

    fn set_gate(&mut self, gate: bool, now: u64) {
        if gate != self.gate {
            self.gate = gate;
            self.began = gate.then_some(now);
        }
    }
}

impl Default for Pit {
    fn default() -> Pit {
        Pit { channels: [Channel::new(true), Channel::new(true), Channel::new(false)], speaker: false, taken: 0 }
    }
}

impl Pit {
    /// Has channel 0's output risen since this was asked last?
    pub fn has_risen(&mut self, now: u64) -> bool {
        let edges = self.channels[0].edges(now);
        let risen = edges > self.taken;
        self.taken = edges;
        risen
    }

    /// When it rises next.
    pub fn next(&self) -> Option<u64> {
        self.channels[0].edge(self.taken + 1)
    }

    /// A read of port 0x40 to 0x43.
    pub fn read(&mut self, port: u16, now: u64) -> u8 {
        self.channels.get_mut(usize::from(port & 3)).map_or(0xff, |channel| channel.read(now))
    }

    /// A write to one of them.
    pub fn write(&mut self, port: u16, value: u8, now: u64) {
        if let Some(channel) = self.channels.get_mut(usize::from(port & 3)) {
            channel.write(value, now);
        } else if value >> 6 == 3 {
            self.read_back(value, now);
            return;
        } else {
            let channel = &mut self.channels[usize::from(value >> 6)];
            match value >> 4 & 3 {
                0 => channel.latch(now),
                bytes => {
                    // 6 and 7 are 2 and 3.
                    let mode = if value >> 1 & 7 > 5 { value >> 1 & 3 } else { value >> 1 & 7 };
                    *channel = Channel { mode, bytes, decimal: value & 1 != 0, ..Channel::new(channel.gate) };
                }
            }
        }
        if port & 3 == 0 || port & 3 == 3 && value >> 6 == 0 && value >> 4 & 3 != 0 {
            self.taken = 0;
        }
    }

    fn read_back(&mut self, value: u8, now: u64) {
        for (i, channel) in self.channels.iter_mut().enumerate().filter(|(i, _)| value >> (i + 1) & 1 != 0) {
            debug_assert!(i < 3);
            if value & 0x20 == 0 {
                channel.latch(now);
            }
            if value & 0x10 == 0 {
                let flags = u8::from(channel.output(now)) << 7 | u8::from(channel.began.is_none()) << 6;
                channel.status = Some(flags | channel.bytes << 4 | channel.mode << 1 | u8::from(channel.decimal));
            }
        }
    }

    /// A read of port 0x61.
    pub fn read_speaker(&self, now: u64) -> u8 {
        let channel = &self.channels[2];
        // Bit 4 toggles as the refresh of a PC's memory did, every 15 microseconds.
        let refresh = (now / 15_085) & 1;
        u8::from(channel.gate) | u8::from(self.speaker) << 1 | (refresh as u8) << 4 | u8::from(channel.output(now)) << 5
    }

    /// A write to port 0x61.
    pub fn write_speaker(&mut self, value: u8, now: u64) {
        self.speaker = value & 2 != 0;
        self.channels[2].set_gate(value & 1 != 0, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_generator_rises_once_a_period() {
        let mut pit = Pit::default();
        assert_eq!(pit.next(), None, "nothing is programmed");
        pit.write(0x43, 0x34, 0);
        pit.write(0x40, 0xa9, 0);
        pit.write(0x40, 0x12, 1000);
        // 0x12A9 = 4777 ticks, 4,003,580 ns and a bit.
        let first = pit.next().unwrap();
        assert_eq!(first, 1000 + 4_003_581);
        assert!(!pit.has_risen(first - 1));
        assert!(pit.has_risen(first));
        assert!(!pit.has_risen(first), "it is told of once");
        assert_eq!(pit.next(), Some(1000 + 8_007_161));
        assert!(pit.has_risen(1000 + 20_017_904), "several periods later it has risen, once");
        assert!(!pit.has_risen(1000 + 20_017_904));
    }

    #[test]
    fn a_count_down_rises_once() {
        let mut pit = Pit::default();
        pit.write(0x43, 0x38, 0);
        pit.write(0x40, 0x00, 0);
        pit.write(0x40, 0x10, 0);
        assert_eq!(pit.next(), Some(3_432_838));
        assert!(pit.has_risen(4_000_000));
        assert_eq!(pit.next(), None);
        pit.write(0x40, 0x00, 5_000_000);
        pit.write(0x40, 0x10, 5_000_000);
        assert_eq!(pit.next(), Some(8_432_838), "a new count begins anew");
    }

    #[test]
    fn counts_are_read_latched_and_by_bytes() {
        let mut pit = Pit::default();
        pit.write(0x43, 0x34, 0);
        pit.write(0x40, 0, 0);
        pit.write(0x40, 0, 0);
        // 1000 ticks.
        let now = 838_096;
        pit.write(0x43, 0x00, now);
        let later = now + 500_000;
        let read = |pit: &mut Pit, at| u16::from_le_bytes([pit.read(0x40, at), pit.read(0x40, at)]);
        assert_eq!(read(&mut pit, later), 0u16.wrapping_sub(1000), "as it was when it was latched");
        assert_eq!(read(&mut pit, later), 0u16.wrapping_sub(1596), "as it is");
        pit.write(0x43, 0xe2, later);
        assert_eq!(pit.read(0x40, later), 0xb4, "the status: output high, both bytes, mode 2");
    }

    #[test]
    fn the_speaker_s_channel_has_a_gate_and_an_output() {
        let mut pit = Pit::default();
        pit.write_speaker(1, 0);
        pit.write(0x43, 0xb0, 0);
        pit.write(0x42, 0x00, 0);
        pit.write(0x42, 0x01, 0);
        assert_eq!(pit.read_speaker(0) & 0x21, 1, "256 ticks to go");
        assert_eq!(pit.read_speaker(214_552) & 0x21, 0x21, "they are over");
        pit.write_speaker(0, 300_000);
        assert_eq!(pit.read_speaker(300_000) & 1, 0);
    }
}
