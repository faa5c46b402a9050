//! Room for what is too large to be moved about: on the heap where there is one.

use core::ops::{Deref, DerefMut};

/// A value in a place of its own.
#[derive(Clone, Debug)]
pub(crate) struct Room<T>(#[cfg(feature = "std")] Box<T>, #[cfg(not(feature = "std"))] T);

impl<T> Room<T> {
    pub(crate) fn new(value: T) -> Room<T> {
        #[cfg(feature = "std")]
        return Room(Box::new(value));
        #[cfg(not(feature = "std"))]
        Room(value)
    }
}

impl<T> Deref for Room<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Room<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}
