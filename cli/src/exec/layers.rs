//! What lies between the machine of a case and its processor: page tables, and adaptors where they are asked for.

use encore86::introspect::{Discard, Overlay};
use encore86::paging::Paging;
use encore86::{Bus, Cpu, Platform, Stop, Vmm};

/// A bus that hears of the processor's registers before each step.
pub trait Layer: Vmm {
    /// Takes what it needs of them.
    ///
    /// # Errors
    /// As for [`Paging::load`].
    fn prepare(&mut self, cpu: &Cpu) -> Result<(), Stop>;
}

impl<B: Bus + Platform> Layer for Paging<B> {
    fn prepare(&mut self, cpu: &Cpu) -> Result<(), Stop> {
        self.load(cpu)
    }
}

impl<L: Layer> Layer for Discard<L> {
    fn prepare(&mut self, cpu: &Cpu) -> Result<(), Stop> {
        self.inner().prepare(cpu)
    }
}

impl<L: Layer> Layer for Overlay<L> {
    fn prepare(&mut self, cpu: &Cpu) -> Result<(), Stop> {
        self.inner().prepare(cpu)
    }
}

impl Layer for &mut dyn Layer {
    fn prepare(&mut self, cpu: &Cpu) -> Result<(), Stop> {
        (**self).prepare(cpu)
    }
}
