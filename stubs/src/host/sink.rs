//! Where the assembler's bytes go: straight into the writable alias.

use super::encode::Encoded;
use crate::Body;
use core::marker::PhantomData;
use dynasmrt::{AssemblyOffset, DynasmApi};

/// A place of fixed size for code. Bytes past its end are counted and dropped.
pub(crate) struct Sink<'a> {
    start: *mut u8,
    capacity: usize,
    /// Bytes pushed so far, kept or dropped.
    len: usize,
    place: PhantomData<&'a mut [u8]>,
}

impl<'a> Sink<'a> {
    /// A sink that fills `start` to `start + capacity`.
    ///
    /// # Safety
    /// For `'a` these bytes are writable and only this sink writes them.
    pub(crate) unsafe fn new(start: *mut u8, capacity: usize) -> Self {
        Self { start, capacity, len: 0, place: PhantomData }
    }

    /// Bytes pushed so far; more than the capacity if some were dropped.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Pushes all of `bytes`, or drops all.
    #[inline(always)]
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        if end <= self.capacity {
            // SAFETY: `len..end` lies within the place that `new` was promised, and `bytes` cannot overlap it.
            unsafe { self.start.add(self.len).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        }
        self.len = end;
    }

    /// Pushes the low `len` bytes of `bytes`, at most all, or drops them. Where there is room they are one store.
    #[inline(always)]
    pub(crate) fn word(&mut self, bytes: u64, len: usize) {
        let len = len.min(8);
        if self.len + 8 <= self.capacity {
            // SAFETY: eight bytes from `self.len` on lie within the place that `new` was promised. What is too much is overwritten
            // by what is pushed next.
            unsafe { self.start.add(self.len).cast::<u64>().write_unaligned(bytes.to_le()) };
        } else if self.len + len <= self.capacity {
            // SAFETY: `len` bytes from `self.len` on lie within that place.
            unsafe { at_the_end(self.start.add(self.len), bytes, len) };
        }
        self.len += len;
    }

    /// Pushes a move.
    #[inline(always)]
    pub(crate) fn encoded(&mut self, code: Encoded) {
        self.word(code.head, code.head_len);
        self.word(code.displacement, code.displacement_len);
    }

    /// Pushes an instruction.
    #[inline(always)]
    pub(crate) fn body(&mut self, body: &Body) {
        let (bytes, len) = (body.as_slice(), body.as_slice().len());
        match body.as_word() {
            Some(word) => self.word(word, len),
            None => self.bytes(bytes),
        }
    }

    /// Pushes `byte` until `len` bytes are pushed, at most to the end of the place.
    #[inline(always)]
    pub(crate) fn fill(&mut self, len: usize, byte: u8) {
        if len > self.capacity {
            return;
        }
        while self.len + 32 <= len {
            // SAFETY: 32 bytes from `self.len` on end at `len` at the latest, and lie within the place that `new` was promised.
            unsafe { self.start.add(self.len).cast::<[u8; 32]>().write_unaligned([byte; 32]) };
            self.len += 32;
        }
        let word = u64::from_le_bytes([byte; 8]);
        while self.len < len {
            self.word(word, (len - self.len).min(8));
        }
    }

    /// Pushes a JNZ to a place that [`land`](Self::land) decides.
    #[inline(always)]
    pub(crate) fn jnz(&mut self) -> Jump {
        self.bytes(&[0x0f, 0x85, 0, 0, 0, 0]);
        Jump(self.len)
    }

    /// Lets `jump` lead to the next byte pushed.
    #[inline(always)]
    pub(crate) fn land(&mut self, jump: Jump) {
        if jump.0 <= self.capacity {
            let distance = ((self.len - jump.0) as u32).to_le_bytes();
            // SAFETY: the jump was kept whole, so that its last four bytes lie within the place that `new` was promised.
            unsafe { self.start.add(jump.0 - 4).copy_from_nonoverlapping(distance.as_ptr(), 4) };
        }
    }
}

/// Writes the low `len` bytes of `bytes`.
///
/// # Safety
/// `len` is at most 8, and so many bytes at `place` are writable.
#[cold]
unsafe fn at_the_end(place: *mut u8, bytes: u64, len: usize) {
    // SAFETY: the caller's promise.
    unsafe { place.copy_from_nonoverlapping(bytes.to_le_bytes().as_ptr(), len) };
}

/// A jump forward that has not landed yet: where it ends.
#[must_use]
pub(crate) struct Jump(usize);

impl DynasmApi for Sink<'_> {
    #[inline(always)]
    fn offset(&self) -> AssemblyOffset {
        AssemblyOffset(self.len)
    }

    #[inline(always)]
    fn push(&mut self, byte: u8) {
        self.bytes(&[byte]);
    }

    fn align(&mut self, alignment: usize, with: u8) {
        while !self.len.is_multiple_of(alignment) {
            self.push(with);
        }
    }

    #[inline(always)]
    fn push_i32(&mut self, value: i32) {
        self.bytes(&value.to_le_bytes());
    }
}

impl Extend<u8> for Sink<'_> {
    #[inline(always)]
    fn extend<T: IntoIterator<Item = u8>>(&mut self, bytes: T) {
        bytes.into_iter().for_each(|byte| self.push(byte));
    }
}

impl<'b> Extend<&'b u8> for Sink<'_> {
    /// The assembler's constant runs come this way. Room for all is looked for once.
    #[inline(always)]
    fn extend<T: IntoIterator<Item = &'b u8>>(&mut self, bytes: T) {
        let mut bytes = bytes.into_iter();
        let sure = bytes.size_hint().0;
        if sure <= self.capacity.saturating_sub(self.len) {
            for byte in bytes.by_ref().take(sure) {
                // SAFETY: at most `sure` bytes are written, which lie within the place that `new` was promised.
                unsafe { self.start.add(self.len).write(*byte) };
                self.len += 1;
            }
        }
        bytes.for_each(|byte| self.push(*byte));
    }
}
