//! A machine that is mostly RAM.

/// Makes a bus of a machine with its RAM in the field `ram`, from address 0 on: its method `allows` answers a probe, for all accesses.
macro_rules! bus_over_ram {
    ($machine:ty) => {
        impl $machine {
            fn put(&mut self, at: u64, value: u64) {
                self.ram[at as usize..at as usize + 8].copy_from_slice(&value.to_le_bytes());
            }

            fn get(&self, at: u64) -> u64 {
                u64::from_le_bytes(*self.ram[at as usize..].first_chunk().unwrap())
            }
        }

        impl encore86::Bus for $machine {
            fn fetch(
                &mut self,
                at: u64,
                buf: &mut [u8; 15],
                access: &encore86::Access,
            ) -> Result<usize, encore86::Stop> {
                self.read(at, buf, access).map(|()| 15)
            }

            fn read(&mut self, at: u64, buf: &mut [u8], access: &encore86::Access) -> Result<(), encore86::Stop> {
                self.probe(at, buf.len(), access)?;
                buf.copy_from_slice(&self.ram[at as usize..at as usize + buf.len()]);
                Ok(())
            }

            fn write(&mut self, at: u64, buf: &[u8], access: &encore86::Access) -> Result<(), encore86::Stop> {
                self.probe(at, buf.len(), access)?;
                self.ram[at as usize..at as usize + buf.len()].copy_from_slice(buf);
                Ok(())
            }

            fn probe(&mut self, at: u64, len: usize, access: &encore86::Access) -> Result<(), encore86::Stop> {
                match at.checked_add(len as u64) {
                    Some(end) if end <= self.ram.len() as u64 => self.allows(at, access),
                    _ => Err(encore86::Event::pf(0, at, "no memory").into()),
                }
            }
        }
    };
}

pub(crate) use bus_over_ram;
