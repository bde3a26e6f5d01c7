//! The one place of `unsafe`: a file as memory that is only read.
//!
//! Mapping is unsafe because whoever changes the file changes the memory. It is sound here as far as it can be: only a
//! file with the header of an index is mapped, and certsift replaces an index by renaming another over it, so that what
//! is mapped stays as it is; the mapping is private to this process and read-only; and what the bytes say is checked
//! wherever they are used, so that other bytes give another answer and nothing worse. An index that somebody truncates in
//! place while certsift runs ends the process when it looks there: build it by `certsift feeds build`, or move another
//! over it.
#![allow(unsafe_code, reason = "an index of tens of millions of domains is to be open at once")]

use std::fs::File;
use std::io;
use std::ops::Deref;

/// A file as memory.
#[derive(Debug)]
pub(super) struct ReadOnlyMap(memmap2::Mmap);

impl ReadOnlyMap {
    /// Maps a whole file that is known to be an index.
    pub(super) fn of(file: &File) -> io::Result<Self> {
        // SAFETY: the memory is read as bytes only, for which every value is valid, and the file is replaced by renaming
        // and never written in place, as the top of this file says.
        unsafe { memmap2::Mmap::map(file) }.map(Self)
    }
}

impl Deref for ReadOnlyMap {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
