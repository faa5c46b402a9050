//! An interrupt line of rust-vmm's devices.

use std::cell::Cell;
use std::convert::Infallible;
use std::rc::Rc;
use vm_superio::Trigger;

/// Remembers that it was raised. Clones are ends of the same line.
#[derive(Clone, Debug, Default)]
pub struct Line(Rc<Cell<bool>>);

impl Line {
    /// Was it raised since this was asked last?
    pub fn take(&self) -> bool {
        self.0.take()
    }
}

impl Trigger for Line {
    type E = Infallible;

    fn trigger(&self) -> Result<(), Infallible> {
        self.0.set(true);
        Ok(())
    }
}
