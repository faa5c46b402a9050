//! Hosts that run no stubs: nothing can be constructed.

use crate::{CodeMemory, Exit, Key, MapError, Recipe, Scratch, StubError};

/// Two mappings of one memory file. There are none on this host.
#[derive(Debug)]
pub enum DualMap {}

impl DualMap {
    /// The least length of stub memory, in bytes.
    pub const MIN_LEN: usize = 4096;
    /// The greatest length of stub memory, in bytes.
    pub const MAX_LEN: usize = 1 << 22;

    /// Makes no memory.
    ///
    /// # Errors
    /// Always [`MapError::NotSupported`].
    pub fn new(_len: usize) -> Result<Self, MapError> {
        Err(MapError::NotSupported)
    }
}

/// Assembles nothing.
///
/// # Errors
/// Always [`StubError::BadRecipe`].
pub fn code(_recipe: &Recipe) -> Result<Vec<u8>, StubError> {
    Err(StubError::BadRecipe("this host runs no stubs"))
}

/// Names an installed stub. There are none on this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StubRef(StubCache);

/// A stub that can be called. There are none on this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready<'a>(&'a StubCache);

impl Ready<'_> {
    /// Never called: there is no stub.
    ///
    /// # Safety
    /// None.
    pub unsafe fn call(self, _state: *mut u8, _operand: *mut u8, _scratch: *mut Scratch) -> Exit {
        match *self.0 {}
    }
}

/// The right to run stubs whose instruction raises SIGFPE. Nobody has it on this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FloatSignals {}

impl FloatSignals {
    /// Installs no handler.
    ///
    /// # Errors
    /// Always [`MapError::NotSupported`].
    pub fn install() -> Result<Self, MapError> {
        Err(MapError::NotSupported)
    }
}

/// A cache of stubs. There are none on this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StubCache {}

impl StubCache {
    /// Makes no cache.
    ///
    /// # Errors
    /// Always [`MapError::NotSupported`].
    pub fn new(_memory: Box<dyn CodeMemory>) -> Result<Self, MapError> {
        Err(MapError::NotSupported)
    }

    /// Makes no cache.
    ///
    /// # Errors
    /// Always [`MapError::NotSupported`].
    pub fn with_len(_len: usize) -> Result<Self, MapError> {
        Err(MapError::NotSupported)
    }

    /// Never called: there is no cache.
    ///
    /// # Errors
    /// None.
    pub fn get<E: From<StubError>>(
        &mut self,
        _key: Key,
        _make: impl FnOnce() -> Result<Recipe, E>,
    ) -> Result<StubRef, E> {
        match *self {}
    }

    /// Never called: there is no cache.
    pub fn lookup(&self, _key: Key) -> Option<StubRef> {
        match *self {}
    }

    /// Never called: there is no cache.
    ///
    /// # Errors
    /// None.
    pub fn install(&mut self, _key: Key, _recipe: &Recipe) -> Result<StubRef, StubError> {
        match *self {}
    }

    /// Never called: there is no cache.
    pub fn is_current(&self, _stub: StubRef) -> bool {
        match *self {}
    }

    /// Never called: there is no cache.
    ///
    /// # Errors
    /// None.
    ///
    /// # Safety
    /// None.
    pub unsafe fn call(
        &self,
        _stub: StubRef,
        _state: *mut u8,
        _operand: *mut u8,
        _scratch: *mut Scratch,
    ) -> Result<Exit, StubError> {
        match *self {}
    }

    /// Never called: there is no cache.
    pub fn why_not(&self) -> StubError {
        match *self {}
    }

    /// Never called: there is no cache.
    pub fn ready(&self, _stub: StubRef) -> Option<Ready<'_>> {
        match *self {}
    }

    /// Never called: there is no cache.
    ///
    /// # Errors
    /// None.
    ///
    /// # Safety
    /// None.
    pub unsafe fn call_unmasked(
        &self,
        _signals: FloatSignals,
        _stub: StubRef,
        _body: usize,
        _state_operand_scratch: (*mut u8, *mut u8, *mut Scratch),
    ) -> Result<Exit, StubError> {
        match *self {}
    }
}
