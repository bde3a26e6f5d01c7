//! One open file: reading whole lines from where the last ones ended, and noticing when it is no longer the same file.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::ReadError;
use super::identity::{Head, Likeness, Mark, Node, Stamp, WINDOW, header_len, read_span, window_len};
use super::item::FileId;
use crate::model::{Sha256Digest, StreamKey};

/// A file that is followed through an open descriptor, under whatever name it has.
#[derive(Debug)]
pub(super) struct Followed {
    pub(super) id: FileId,
    pub(super) path: Arc<Path>,
    /// Where the file really is, if a symbolic link led to it.
    pub(super) real_directory: Option<Arc<Path>>,
    pub(super) node: Node,
    pub(super) stamp: Stamp,
    pub(super) presence: Presence,
    /// None until the first data line is complete.
    pub(super) stream: Option<StreamKey>,
    pub(super) header: Option<Arc<[u8]>>,
    /// The bytes before the next one to hand out.
    pub(super) mark: Mark,
    /// Another followed file has the same content; this one continues it when that one ends.
    pub(super) copy: bool,
    /// Something was handed out, or the caller knows the file from before the restart.
    pub(super) told: bool,
    pub(super) error: Option<ReadError>,
    file: File,
    head: Head,
    /// How many bytes from 0 on the stream's key covers.
    key_len: usize,
    /// From the mark up to here there is no `\n`.
    scanned: u64,
    /// The content has to be compared before it is believed, and what is new be read.
    check: bool,
    /// The stamp was old enough when the content was last compared.
    settled: bool,
    /// The last line before the mark is a TSV `#close`.
    closed: bool,
    /// When it last grew.
    grew: Instant,
    /// Its size when it last grew.
    seen: u64,
    /// Its size when its content was last compared.
    compared: u64,
}

/// Where the file was at the last sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// Under its name.
    Here,
    /// Under another name that is among the patterns, since then.
    Rotated(Instant),
    /// Nowhere among the patterns, since then.
    Gone(Instant),
}

/// What reading a file came to.
#[derive(Debug)]
pub(super) enum Step {
    /// There is nothing to hand out.
    Nothing,
    /// So many bytes of a long line were looked at.
    Scanned(u64),
    /// Whole lines, or at the end a rest without `\n`.
    Lines { offset: u64, bytes: Vec<u8> },
    /// A line that is too long.
    Oversize { offset: u64, length: u64 },
    /// The bytes before the offset are not what they were. So many behind it had been seen.
    Truncated { unread: u64 },
}

impl Followed {
    /// Opens a file in order to follow it.
    pub(super) fn open(id: FileId, path: Arc<Path>, now: Instant) -> Result<Self, ReadError> {
        let (file, metadata) = File::open(&path)
            .and_then(|file| file.metadata().map(|metadata| (file, metadata)))
            .map_err(|source| ReadError::open(&path, source))?;
        // The sweep saw a regular file here; in the meantime it may have become something that cannot be followed.
        if !metadata.is_file() {
            return Err(ReadError::NotAFile { path: path.to_path_buf() });
        }
        Ok(Self::at_start(id, path, file, Node::of(&metadata), Stamp::of(&metadata), now))
    }

    /// What follows once the file was truncated: the same descriptor, from the beginning.
    pub(super) fn next_generation(&self, id: FileId, now: Instant) -> Result<Self, ReadError> {
        let file = self.file.try_clone().map_err(|source| ReadError::open(&self.path, source))?;
        let mut next = Self::at_start(id, Arc::clone(&self.path), file, self.node, self.stamp, now);
        next.presence = self.presence;
        next.real_directory.clone_from(&self.real_directory);
        Ok(next)
    }

    /// Takes note of what `stat` says through the descriptor, which no renaming can mislead.
    pub(super) fn look(&mut self, now: Instant) {
        match self.file.metadata() {
            Ok(metadata) => {
                let stamp = Stamp::of(&metadata);
                if stamp.size > self.stamp.size {
                    self.grew = now;
                    self.seen = stamp.size;
                }
                if stamp != self.stamp || !self.settled || self.error.is_some() {
                    self.check = true;
                }
                self.stamp = stamp;
            }
            Err(source) => self.fail(source),
        }
    }

    /// Opens the file again after an error: a network file system may have come back with other handles.
    pub(super) fn reopen(&mut self) {
        let reopened = File::open(&self.path).and_then(|file| Ok((Node::of(&file.metadata()?), file)));
        if let Ok((node, file)) = reopened
            && node == self.node
        {
            self.file = file;
        }
    }

    /// The first 64 KiB.
    pub(super) fn read_head(&mut self) -> io::Result<Vec<u8>> {
        self.settled = self.stamp.is_settled();
        self.check = false;
        read_span(&self.file, 0, StreamKey::MAX_HEAD)
    }

    /// Compares the file, whose first 64 KiB are `head`, with what is known of a stream with the same key.
    pub(super) fn compare(&self, head: &[u8], mark: &Mark) -> io::Result<Likeness> {
        mark.compare(&self.file, head, self.stamp.size)
    }

    /// Begins to hand out the file from `mark` on, which was compared. `head` is the file's first 64 KiB, `key_len` of
    /// which make the stream's key.
    pub(super) fn begin(&mut self, (stream, key_len): (StreamKey, usize), head: &[u8], mark: Mark) -> io::Result<()> {
        let window = read_span(&self.file, mark.offset - u64::from(mark.window_len), mark.window_len as usize)?;
        let header = header_len(head);
        self.header = (header > 0).then(|| Arc::from(&head[..header]));
        self.closed = self.header.is_some() && ends_with_close(&window);
        self.head = Head::of(head, mark.offset);
        self.mark = mark;
        self.scanned = mark.offset;
        self.stream = Some(stream);
        self.key_len = key_len;
        self.copy = false;
        self.check = true;
        Ok(())
    }

    /// Asks for the content to be compared again although nothing was written.
    pub(super) fn check_again(&mut self) {
        self.check = true;
    }

    /// Whether reading may bring something.
    pub(super) fn is_ready(&self) -> bool {
        // After an error only the next look makes it worth trying again.
        self.check || (self.stream.is_some() && self.error.is_none() && self.end() < self.stamp.size)
    }

    /// Whether everything was handed out but for a last line without `\n`.
    pub(super) fn is_at_end(&self) -> bool {
        self.end() >= self.stamp.size
    }

    /// Whether everything was handed out, the last line being `#close`.
    pub(super) fn is_closed(&self) -> bool {
        self.closed && self.mark.offset >= self.stamp.size
    }

    /// Whether the grace after a rotation has passed, in which a writer may still append to the old file.
    pub(super) fn is_over(&self, now: Instant, grace: Duration) -> bool {
        match self.presence {
            Presence::Here => false,
            Presence::Rotated(since) | Presence::Gone(since) => now >= since.max(self.grew) + grace,
        }
    }

    /// When the file last grew.
    pub(super) fn grew(&self) -> Instant {
        self.grew
    }

    /// Whether the descriptor may be closed without risk: all is read and the stamp would show what comes.
    pub(super) fn is_idle(&self) -> bool {
        let told = self.stream.is_some() && self.presence == Presence::Here && self.error.is_none();
        told && self.settled && !self.check && self.mark.offset == self.stamp.size
    }

    /// Whether the content was compared when its stamp was old enough to be relied on.
    pub(super) fn is_settled(&self) -> bool {
        self.settled
    }

    /// Hands out whole lines, at most about `budget` bytes of them; a single line of up to [`MAX_LINE`] is handed out
    /// whatever the budget.
    pub(super) fn read(&mut self, budget: usize) -> Result<Step, ReadError> {
        self.read_lines(budget).inspect(|_| self.error = None).map_err(|source| self.read_error(source))
    }

    /// Hands out the last line without `\n`, when nothing will follow.
    pub(super) fn read_rest(&mut self) -> Result<Step, ReadError> {
        let end = self.end();
        let step = if end == self.mark.offset {
            Ok(Step::Nothing)
        } else if end - self.mark.offset > MAX_LINE {
            self.pass_over(end)
        } else {
            self.hand_out(end)
        };
        step.map_err(|source| self.read_error(source))
    }

    /// Keeps an error until the next time that reading works. Returns whether it is a new one.
    pub(super) fn note_error(&mut self, error: ReadError) -> bool {
        let new = self.error.as_ref().map(ToString::to_string) != Some(error.to_string());
        self.error = Some(error);
        self.check = false;
        new
    }

    fn at_start(id: FileId, path: Arc<Path>, file: File, node: Node, stamp: Stamp, now: Instant) -> Self {
        Self {
            id,
            path,
            real_directory: None,
            node,
            stamp,
            presence: Presence::Here,
            stream: None,
            header: None,
            mark: Mark::start(),
            copy: false,
            told: false,
            error: None,
            file,
            head: Head::new(),
            key_len: 0,
            scanned: 0,
            check: true,
            settled: false,
            closed: false,
            grew: now,
            seen: stamp.size,
            compared: 0,
        }
    }

    fn read_lines(&mut self, budget: usize) -> io::Result<Step> {
        let offset = self.mark.offset;
        self.settled = self.stamp.is_settled();
        if self.stamp.size < offset {
            return Ok(self.truncated());
        }
        // The file may have been cut within the line that is not complete yet, and have gone on differently.
        if self.scanned > self.stamp.size {
            self.scanned = offset;
        }
        let wanted = budget.clamp(1, MAX_CHUNK).min(usize::try_from(self.stamp.size - offset).unwrap_or(MAX_CHUNK));
        let Some(mut bytes) = self.read_checked(wanted)? else { return Ok(self.truncated()) };
        self.check = false;
        self.compared = self.stamp.size;
        let window = bytes.len() - self.read_of(&bytes);
        match memchr::memrchr(b'\n', &bytes[window..]) {
            Some(last) => {
                bytes.truncate(window + last + 1);
                Ok(self.advance(bytes, window))
            }
            None => {
                self.scanned = self.scanned.max(offset + (bytes.len() - window) as u64);
                self.scan(budget)
            }
        }
    }

    /// Looks for the end of a line that is longer than the budget.
    fn scan(&mut self, budget: usize) -> io::Result<Step> {
        let from = self.scanned;
        let until = from.saturating_add(budget.max(MAX_CHUNK) as u64).min(self.stamp.size);
        while self.scanned < until {
            let bytes = read_span(&self.file, self.scanned, SCAN_PIECE.min((until - self.scanned) as usize))?;
            if bytes.is_empty() {
                break;
            }
            if let Some(end) = memchr::memchr(b'\n', &bytes) {
                let end = self.scanned + end as u64 + 1;
                return if end - self.mark.offset > MAX_LINE { self.pass_over(end) } else { self.hand_out(end) };
            }
            self.scanned += bytes.len() as u64;
        }
        Ok(if self.scanned == from { Step::Nothing } else { Step::Scanned(self.scanned - from) })
    }

    /// Hands out what is before `end`.
    fn hand_out(&mut self, end: u64) -> io::Result<Step> {
        let length = (end - self.mark.offset) as usize;
        let Some(bytes) = self.read_checked(length)? else { return Ok(self.truncated()) };
        if self.read_of(&bytes) < length {
            // Cut while it was read; the next look says how far.
            self.scanned = self.mark.offset;
            return Ok(Step::Nothing);
        }
        let window = bytes.len() - length;
        Ok(self.advance(bytes, window))
    }

    /// Moves beyond a line that is too long to be handed out.
    fn pass_over(&mut self, end: u64) -> io::Result<Step> {
        if self.read_checked(0)?.is_none() {
            return Ok(self.truncated());
        }
        let offset = self.mark.offset;
        self.head.extend_from(&self.file, end)?;
        let window = read_span(&self.file, end - window_len(end) as u64, window_len(end))?;
        self.mark = Mark::new(end, &self.head, &window);
        self.scanned = end;
        self.closed = false;
        Ok(Step::Oversize { offset, length: end - offset })
    }

    /// Moves beyond the bytes after the window and hands them out.
    fn advance(&mut self, mut bytes: Vec<u8>, window: usize) -> Step {
        let offset = self.mark.offset;
        let end = offset + (bytes.len() - window) as u64;
        self.head.extend(&bytes[window..]);
        self.mark = Mark::new(end, &self.head, &bytes[bytes.len() - window_len(end)..]);
        self.scanned = end;
        bytes.drain(..window);
        self.closed = self.header.is_some() && ends_with_close(&bytes);
        Step::Lines { offset, bytes }
    }

    /// The window before the mark and up to `wanted` bytes behind it, read in one go so that nothing can come between
    /// the comparison and the reading; None if the window is not what it was. At the beginning, where there is no window,
    /// the bytes that made the stream's key are compared.
    fn read_checked(&self, wanted: usize) -> io::Result<Option<Vec<u8>>> {
        let window = self.mark.window_len as usize;
        if self.mark.offset == 0 {
            let mut bytes = read_span(&self.file, 0, wanted.max(self.key_len))?;
            let key = bytes.get(..self.key_len).map(|bytes| StreamKey(Sha256Digest::of(bytes).0));
            bytes.truncate(wanted);
            return Ok((key == self.stream).then_some(bytes));
        }
        let bytes = read_span(&self.file, self.mark.offset - window as u64, window + wanted)?;
        Ok(bytes.get(..window).is_some_and(|before| self.mark.fits(before)).then_some(bytes))
    }

    /// How many of the bytes that `read_checked` returned are behind the mark.
    fn read_of(&self, bytes: &[u8]) -> usize {
        bytes.len() - self.mark.window_len as usize
    }

    fn truncated(&self) -> Step {
        // When it has grown again beyond the offset, what was seen last may already be the new content.
        let size = if self.stamp.size < self.mark.offset { self.seen } else { self.compared };
        Step::Truncated { unread: size.saturating_sub(self.mark.offset) }
    }

    fn end(&self) -> u64 {
        self.mark.offset.max(self.scanned)
    }

    fn read_error(&self, source: io::Error) -> ReadError {
        ReadError::Read { path: self.path.to_path_buf(), offset: self.mark.offset, source }
    }

    fn fail(&mut self, source: io::Error) {
        let error = self.read_error(source);
        self.note_error(error);
    }
}

/// Whether the last line of `bytes` is the one that Zeek writes when it closes a TSV log.
fn ends_with_close(bytes: &[u8]) -> bool {
    let Some(lines) = bytes.strip_suffix(b"\n") else { return false };
    let start = memchr::memrchr(b'\n', lines).map_or(0, |end| end + 1);
    let line = &lines[start..];
    // A window may begin within a line.
    (start > 0 || bytes.len() < WINDOW) && line.starts_with(b"#close")
}

/// The longest line that is handed out, with its `\n`: 32 MiB.
pub const MAX_LINE: u64 = 32 * 1024 * 1024;

/// At most this much of one file is read before it is the next file's turn.
const MAX_CHUNK: usize = 256 * 1024;

/// The pieces in which the end of a long line is looked for.
const SCAN_PIECE: usize = 64 * 1024;
