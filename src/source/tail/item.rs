//! What the tail hands out.

use std::path::Path;
use std::sync::Arc;

use crate::model::StreamKey;

/// One generation of one followed file, unique within the process.
///
/// A file that is truncated, or that was closed because too many were open and later grew, gets a new number; what is
/// stored across restarts is stored by [`StreamKey`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub u64);

/// What [`Tail::poll`](super::Tail::poll) returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// Whole lines.
    Chunk(Chunk),
    /// A line that is too long to be handed out.
    Oversize(Oversize),
}

/// Whole lines of one file, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// The file.
    pub file: FileId,
    /// What its records are identified by.
    pub stream: StreamKey,
    /// Where the file is now; it may have been elsewhere for the chunk before.
    pub path: Arc<Path>,
    /// The place of the first byte in the file.
    pub offset: u64,
    /// Lines that end in `\n`, save the last one if `end` says so. Empty when there is only an end to tell.
    pub bytes: Vec<u8>,
    /// The lines starting with `#` at the head of the file, when there are any (at most 64 KiB of them). The first chunk
    /// of a file read from its beginning holds them in `bytes` as well.
    pub header: Option<Arc<[u8]>>,
    /// Nothing of this file follows.
    pub end: Option<EndOfFile>,
}

/// A line longer than [`MAX_LINE`](super::MAX_LINE), which was passed over in bounded memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oversize {
    /// The file.
    pub file: FileId,
    /// What its records are identified by.
    pub stream: StreamKey,
    /// Where the file is now.
    pub path: Arc<Path>,
    /// The place of the line's first byte.
    pub offset: u64,
    /// Its bytes, with the `\n` if it has one.
    pub length: u64,
    /// Its first bytes, where they cannot be read again.
    pub beginning: Vec<u8>,
}

/// How a file ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndOfFile {
    /// Why nothing follows.
    pub cause: EndCause,
    /// The last line had no `\n`; it was handed out all the same.
    pub unterminated: bool,
    /// Bytes that were seen in the file's size and were gone before they could be read; only after a truncation. A copy
    /// that somebody made of the file before, and that is among the patterns, still yields them.
    pub lost: u64,
}

/// Why nothing of a file follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndCause {
    /// The writer wrote `#close`.
    Closed,
    /// It was renamed, and nothing was appended for the grace after that.
    Rotated,
    /// It was deleted, or renamed to where no pattern looks, and nothing was appended for the grace after that.
    Gone,
    /// Its content was replaced; the new content is another file.
    Truncated,
}

impl Item {
    /// The file it is from.
    pub fn file(&self) -> FileId {
        match self {
            Self::Chunk(chunk) => chunk.file,
            Self::Oversize(line) => line.file,
        }
    }

    /// The stream it belongs to.
    pub fn stream(&self) -> StreamKey {
        match self {
            Self::Chunk(chunk) => chunk.stream,
            Self::Oversize(line) => line.stream,
        }
    }

    /// The offset up to which the file is done once this item is: what to pass to
    /// [`Tail::resume_point`](super::Tail::resume_point) and [`Tail::committed`](super::Tail::committed).
    pub fn end_offset(&self) -> u64 {
        match self {
            Self::Chunk(chunk) => chunk.offset + chunk.bytes.len() as u64,
            Self::Oversize(line) => line.offset + line.length,
        }
    }
}
