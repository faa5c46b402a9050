//! Model-specific registers in a map, of which one may have to be waited for.

/// Makes a platform of a machine with the fields `msrs`, `later` (the register that answers with a retry) and `later_on_write` (only
/// when it is written).
macro_rules! platform_of_msrs {
    ($machine:ty) => {
        impl encore86::Platform for $machine {
            fn read_msr(&mut self, index: u32) -> Result<u64, encore86::Stop> {
                if self.later == Some(index) && !self.later_on_write {
                    return Err(encore86::Stop::Retry);
                }
                self.msrs.get(&index).copied().ok_or(encore86::Event::gp0("no such register").into())
            }

            fn write_msr(&mut self, index: u32, value: u64) -> Result<(), encore86::Stop> {
                if self.later == Some(index) {
                    return Err(encore86::Stop::Retry);
                }
                self.msrs.insert(index, value);
                Ok(())
            }
        }
    };
}

pub(crate) use platform_of_msrs;
