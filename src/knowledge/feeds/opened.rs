//! Reading a file of knowledge once: what is parsed is what is hashed, and no archive unpacks to more than is sensible.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::knowledge::files::require_file;
use crate::model::Id128;
use crate::source::Reader;

/// Decompressed bytes of one file that are read: twenty million rows of 200 bytes, or the end of an archive that was made
/// to unpack without end.
const MAX_BYTES: u64 = 4 << 30;

/// What is said of a file that spreadsheets and consoles of Windows write.
pub(crate) const UTF16: &str = "it is UTF-16; write it as UTF-8";

/// Whether the beginning of a file is UTF-16: by its mark, or by every other byte being zero.
pub(crate) fn is_utf16(head: &[u8]) -> bool {
    /// Bytes that are looked at, and that are enough.
    const LOOKED_AT: usize = 64;
    const ENOUGH: usize = 8;
    let head = head.get(..LOOKED_AT).unwrap_or(head);
    let alternates = |zero: usize| (0..).zip(head).all(|(at, byte): (usize, &u8)| (at % 2 == zero) == (*byte == 0));
    head.starts_with(b"\xff\xfe")
        || head.starts_with(b"\xfe\xff")
        || head.len() >= ENOUGH && (alternates(0) || alternates(1))
}

/// The decompressed bytes of a file, hashed as they are read.
pub(in crate::knowledge) struct FeedFile {
    reader: Reader,
    hasher: Sha256,
    bytes: u64,
    limit: u64,
}

impl FeedFile {
    /// Opens a file, plain or compressed.
    ///
    /// # Errors
    /// It is no regular file, or cannot be opened.
    pub(in crate::knowledge) fn open(path: &Path) -> io::Result<Self> {
        require_file(path)?;
        let reader = crate::source::open(path, Arc::default()).map_err(|error| error.source)?;
        Ok(Self::of(reader, MAX_BYTES))
    }

    fn of(reader: Reader, limit: u64) -> Self {
        Self { reader, hasher: Sha256::new(), bytes: 0, limit }
    }

    /// How many bytes were read.
    pub(in crate::knowledge) fn length(&self) -> u64 {
        self.bytes
    }

    /// Which content it was.
    pub(in crate::knowledge) fn version(self) -> Id128 {
        Id128::first_half(&self.hasher.finalize().into())
    }
}

impl Read for FeedFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.bytes = self.bytes.saturating_add(read as u64);
        if self.bytes > self.limit {
            return Err(io::Error::other(format!("it unpacks to more than {} MiB", self.limit >> 20)));
        }
        self.hasher.update(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_to_its_limit_and_no_further() {
        let read = |limit: u64| {
            let mut hashing = FeedFile::of(Box::new(io::repeat(b'\n').take(3 << 20)), limit);
            let mut out = Vec::new();
            (hashing.read_to_end(&mut out).map_err(|error| error.to_string()), hashing.length())
        };
        assert_eq!(read(3 << 20), (Ok(3 << 20), 3 << 20));
        assert_eq!(read(2 << 20).0, Err("it unpacks to more than 2 MiB".to_owned()));
    }

    #[test]
    fn utf_16_is_told_with_and_without_its_mark() {
        let units = |text: &str| text.encode_utf16().collect::<Vec<_>>();
        let little = |text: &str| units(text).iter().flat_map(|unit| unit.to_le_bytes()).collect::<Vec<u8>>();
        let big = |text: &str| units(text).iter().flat_map(|unit| unit.to_be_bytes()).collect::<Vec<u8>>();
        for text in ["\u{feff}evil.example\r\n", "evil.example\r\n", "\u{feff}"] {
            assert!(is_utf16(&little(text)) && is_utf16(&big(text)), "{text}");
        }
        for text in ["", "a", "evil.example\n", "\u{feff}evil.example\n", "a\0b\0\0c\0d", "\0\0\0\0\0\0\0\0\0"] {
            assert!(!is_utf16(text.as_bytes()), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_file_is_refused_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let said = |path: &Path| FeedFile::open(path).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(said(folder.path()).contains("folder"));
        assert!(said(Path::new("/dev/null")).contains("no file"));
        assert!(said(&folder.path().join("gone")).contains("No such file"));
    }
}
