//! What makes a file the same file: its content, never its name.
//!
//! Device and inode say where to look first. Inodes are reused and names are rotated, so it is the checksum of the head
//! and that of the bytes before the offset that decide.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::time::{Duration, SystemTime};

use sha2::Digest as _;

use crate::decode::TsvHeader;
use crate::model::{Sha256Digest, StreamKey};

/// The key of the stream whose file begins with `head`, once it is certain.
///
/// `head` is the file from byte 0, of which the first 64 KiB matter. The key covers everything up to and including the
/// `\n` of the first line behind the header, or all 64 KiB when that line does not end within them. `whole`
/// says that the file will not grow, so that a line without `\n` is complete. None while the line is not complete, and
/// for a file that holds only a header.
pub fn stream_key(head: &[u8], whole: bool) -> Option<StreamKey> {
    Some(StreamKey(Sha256Digest::of(&head[..key_len(head, whole)?]).0))
}

/// How many bytes of `head` make the stream's key; None while that is not certain.
pub(super) fn key_len(head: &[u8], whole: bool) -> Option<usize> {
    let head = &head[..head.len().min(StreamKey::MAX_HEAD)];
    let header = header_len(head);
    match memchr::memchr(b'\n', &head[header..]) {
        Some(end) => Some(header + end + 1),
        None if head.len() == StreamKey::MAX_HEAD => Some(head.len()),
        None if whole && head.get(header).is_some_and(|&first| first != b'#') => Some(head.len()),
        None => None,
    }
}

/// The length of the complete header lines at the start of `head`: those that start with `#`, or the one line of names
/// that Zeek's `tsv` option writes instead.
pub fn header_len(head: &[u8]) -> usize {
    if head.first().is_some_and(|&first| first != b'#' && first != b'{')
        && let Some(end) = memchr::memchr(b'\n', head)
        && TsvHeader::is_bare_header(&head[..end])
    {
        return end + 1;
    }
    let mut end = 0;
    while head.get(end) == Some(&b'#') {
        match memchr::memchr(b'\n', &head[end..]) {
            Some(length) => end += length + 1,
            None => break,
        }
    }
    end
}

/// Whether a file that begins with `head` is a gzip or zstd archive, which the tail leaves to others.
pub fn is_compressed(head: &[u8]) -> bool {
    const GZIP: &[u8] = &[0x1f, 0x8b, 0x08];
    const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
    head.starts_with(GZIP) || head.starts_with(ZSTD)
}

/// The place of a file on its file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Node {
    pub(super) dev: u64,
    pub(super) inode: u64,
}

/// What `stat` says about a file's content: equal stamps mean that nothing was written, if they are old enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// The bytes before an offset, by their checksums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) offset: u64,
    /// How many bytes from 0 on the head's checksum covers: the offset, at most 64 KiB.
    pub(super) head_len: u32,
    pub(super) head: Sha256Digest,
    /// How many bytes before the offset the window's checksum covers: the offset, at most 4 KiB.
    pub(super) window_len: u32,
    pub(super) window: Sha256Digest,
}

/// How a file compares with what is known of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Likeness {
    /// The bytes before the mark are the same.
    Same,
    /// The file ends before the mark; it may be a copy that is still being written.
    TooShort,
    /// Another content.
    Different,
}

/// The checksum of a file's head, which grows with the offset up to 64 KiB.
#[derive(Debug, Clone)]
pub(super) struct Head {
    hasher: sha2::Sha256,
    len: usize,
}

impl Node {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self { dev: metadata.dev(), inode: metadata.ino() }
    }
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// When the content last changed, for ordering files by age.
    pub(super) fn modified(&self) -> (i64, i64) {
        self.modified
    }

    /// Whether a later write is certain to give another stamp.
    ///
    /// File systems count time in ticks of up to 2 s. A write in the same tick as the last one, of the same length, does
    /// not show, so a young stamp proves nothing. The wall clock decides only whether to look again.
    pub(super) fn is_settled(&self) -> bool {
        let last = self.modified.0.max(self.changed.0);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        i64::try_from(now.as_secs()).is_ok_and(|now| now.saturating_sub(last) > STAMP_TICK_SECONDS)
    }
}

impl Mark {
    /// The beginning of any file.
    pub(super) fn start() -> Self {
        let nothing = Sha256Digest::of(b"");
        Self { offset: 0, head_len: 0, head: nothing, window_len: 0, window: nothing }
    }

    /// The mark at `offset`, where `before` ends with at least the window before it.
    pub(super) fn new(offset: u64, head: &Head, before: &[u8]) -> Self {
        let window = &before[before.len() - window_len(offset).min(before.len())..];
        Self {
            offset,
            head_len: head.len as u32,
            head: head.sum(),
            window_len: window.len() as u32,
            window: Sha256Digest::of(window),
        }
    }

    /// Whether `before` is the window before this mark.
    pub(super) fn fits(&self, before: &[u8]) -> bool {
        before.len() == self.window_len as usize && Sha256Digest::of(before) == self.window
    }

    /// Compares with a file whose first 64 KiB are `head`. The caller has compared the stream keys.
    pub(super) fn compare(&self, file: &File, head: &[u8], size: u64) -> io::Result<Likeness> {
        // A mark may come from a state that somebody else wrote.
        if self.window_len as usize > WINDOW || u64::from(self.window_len) > self.offset {
            return Ok(Likeness::Different);
        }
        if size < self.offset {
            return Ok(Likeness::TooShort);
        }
        let Some(covered) = head.get(..self.head_len as usize) else { return Ok(Likeness::Different) };
        if Sha256Digest::of(covered) != self.head {
            return Ok(Likeness::Different);
        }
        let window = read_span(file, self.offset - u64::from(self.window_len), self.window_len as usize)?;
        Ok(if self.fits(&window) { Likeness::Same } else { Likeness::Different })
    }
}

impl Head {
    pub(super) fn new() -> Self {
        Self { hasher: sha2::Sha256::new(), len: 0 }
    }

    /// The head of a file that begins with `bytes` and is read up to `offset`.
    pub(super) fn of(bytes: &[u8], offset: u64) -> Self {
        let mut head = Self::new();
        head.extend(&bytes[..usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len())]);
        head
    }

    /// Adds the bytes that follow the ones covered; what is beyond 64 KiB is left out.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        let taken = &bytes[..bytes.len().min(StreamKey::MAX_HEAD - self.len)];
        self.hasher.update(taken);
        self.len += taken.len();
    }

    /// Adds bytes that were passed over without keeping them, up to `offset`.
    pub(super) fn extend_from(&mut self, file: &File, offset: u64) -> io::Result<()> {
        let end = offset.min(StreamKey::MAX_HEAD as u64) as usize;
        if self.len < end {
            let bytes = read_span(file, self.len as u64, end - self.len)?;
            self.extend(&bytes);
        }
        Ok(())
    }

    fn sum(&self) -> Sha256Digest {
        Sha256Digest(self.hasher.clone().finalize().into())
    }
}

/// The length of the window before `offset`.
pub(super) fn window_len(offset: u64) -> usize {
    offset.min(WINDOW as u64) as usize
}

/// The file's bytes from `offset` on, `length` of them or up to the end of the file.
pub(super) fn read_span(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// The bytes before an offset that are compared before anything after it is believed.
pub(super) const WINDOW: usize = 4096;

/// The coarsest time stamps of the file systems that logs are on (FAT, some network file systems).
const STAMP_TICK_SECONDS: i64 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_known_once_its_first_data_line_is_complete() {
        assert_eq!(stream_key(b"", true), None);
        assert_eq!(stream_key(b"#separator \\x09\n#fields\tts\n", true), None);
        assert_eq!(stream_key(b"#fields\tts\n1", false), None);
        let key = stream_key(b"#fields\tts\n1\n", false);
        assert_eq!(key, Some(StreamKey(Sha256Digest::of(b"#fields\tts\n1\n").0)));
        assert_eq!(stream_key(b"#fields\tts\n1\n2\n#close\n", false), key, "what follows does not change it");
        assert_ne!(stream_key(b"#fields\tts\n1", true), key);
        assert_eq!(stream_key(b"#fields\tts\n#clo", true), None, "a cut header line is no data line");
    }

    #[test]
    fn a_stream_whose_first_line_is_long_is_known_by_64_kib() {
        let mut head = vec![b'x'; StreamKey::MAX_HEAD];
        assert_eq!(stream_key(&head[1..], false), None);
        let key = stream_key(&head, false);
        assert!(key.is_some());
        head.extend_from_slice(b"yyy\n");
        assert_eq!(stream_key(&head, false), key);
    }

    #[test]
    fn the_header_ends_with_its_last_complete_line() {
        assert_eq!(header_len(b"#a\n#b\nc\n#d\n"), 6);
        assert_eq!(header_len(b"#a\n#b"), 3);
        assert_eq!(header_len(b"{}\n"), 0);
    }
}
