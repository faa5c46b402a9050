//! Model-specific registers that the engine leaves to the monitor: those that system calls use, and the few that Linux asks for
//! whatever CPUID says. All others are #GP(0), as on a processor that has them not.

use encore86::Event;

/// IA32_TIME_STAMP_COUNTER.
pub const TSC: u32 = 0x10;

/// Kept, and read by the engine itself for SYSENTER, SYSCALL and RDTSCP.
const KEPT: [u32; 21] = [
    0x1b,        // IA32_APIC_BASE
    0x3b,        // IA32_TSC_ADJUST
    0x8b,        // IA32_BIOS_SIGN_ID
    0xfe,        // IA32_MTRRCAP
    0x174,       // IA32_SYSENTER_CS
    0x175,       // IA32_SYSENTER_ESP
    0x176,       // IA32_SYSENTER_EIP
    0x1a0,       // IA32_MISC_ENABLE
    0x1d9,       // IA32_DEBUGCTL
    0x277,       // IA32_PAT
    0x2ff,       // IA32_MTRR_DEF_TYPE
    0xc000_0081, // IA32_STAR
    0xc000_0082, // IA32_LSTAR
    0xc000_0083, // IA32_CSTAR
    0xc000_0084, // IA32_FMASK
    0xc000_0103, // IA32_TSC_AUX
    0xc001_0010, // SYSCFG
    0xc001_0015, // HWCR
    0xc001_001f, // NB_CFG
    0xc001_0140, // OSVW_ID_LENGTH
    0xc001_0141, // OSVW_STATUS
];

/// What is not 0 after reset: PAT (SDM volume 3, "Programming the PAT"), and HWCR's promise that the TSC has the frequency of P0.
const RESET: [(u32, u64); 2] = [(0x277, 0x0007_0406_0007_0406), (0xc001_0015, 1 << 24)];

/// The registers.
#[derive(Debug)]
pub struct Msrs {
    values: [u64; KEPT.len()],
}

impl Default for Msrs {
    fn default() -> Msrs {
        let mut values = [0; KEPT.len()];
        for (value, index) in values.iter_mut().zip(KEPT) {
            *value = RESET.iter().find(|(at, _)| *at == index).map_or(0, |(_, reset)| *reset);
        }
        Msrs { values }
    }
}

impl Msrs {
    fn at(&self, index: u32) -> Result<usize, Event> {
        let unknown = Event::gp0("a model-specific register that this machine has not");
        KEPT.iter().position(|&kept| kept == index).ok_or(unknown)
    }

    /// RDMSR.
    ///
    /// # Errors
    /// #GP(0).
    pub fn read(&self, index: u32) -> Result<u64, Event> {
        self.at(index).map(|at| self.values[at])
    }

    /// WRMSR.
    ///
    /// # Errors
    /// #GP(0).
    pub fn write(&mut self, index: u32, value: u64) -> Result<(), Event> {
        let at = self.at(index)?;
        self.values[at] = value;
        Ok(())
    }
}
