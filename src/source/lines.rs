//! Whole lines from a stream of bytes, in bounded memory.

use std::io::{self, Read};

use crate::decode::{MAX_LINE, MAX_OVERSIZE_KEPT};

/// Reads whole lines.
pub struct LineReader<R> {
    reader: R,
    /// What was read and not handed out, and behind it whatever was there before: memory that has been written once is
    /// read into as it is.
    buffer: Vec<u8>,
    /// How much of the buffer was read.
    filled: usize,
    /// Where the buffer begins, in decompressed bytes.
    offset: u64,
    /// The reader has no more, or has failed.
    ended: bool,
    error: Option<io::Error>,
    /// Memory for what is read next.
    room: Vec<u8>,
}

/// Whole lines, or the beginning of one that is too long.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lines {
    /// The lines; the last of an input may lack its line end.
    pub bytes: Vec<u8>,
    /// Where the first begins.
    pub offset: u64,
    /// The whole length of a line of which `bytes` is only the beginning.
    pub oversize: Option<u64>,
}

const READ_STEP: usize = 128 * 1024;

impl<R: Read> LineReader<R> {
    /// Reads lines from the start of a stream.
    pub fn new(reader: R) -> Self {
        Self { reader, buffer: Vec::new(), filled: 0, offset: 0, ended: false, error: None, room: Vec::new() }
    }

    /// The beginning of the stream: at least `least` bytes or all there are, and at least one whole line unless it is
    /// longer than a line may be. To be called before [`next`](Self::next); nothing is consumed.
    pub fn head(&mut self, least: usize) -> &[u8] {
        let mut searched = 0;
        let mut seen_line = false;
        while !self.ended && self.filled <= MAX_LINE {
            seen_line = seen_line || memchr::memchr(b'\n', &self.read()[searched..]).is_some();
            if seen_line && self.filled >= least {
                break;
            }
            searched = self.filled;
            self.fill(self.step_within_line(READ_STEP));
        }
        self.read()
    }

    /// Why the head is all that can be read, if reading failed.
    pub fn head_error(&mut self) -> Option<io::Error> {
        self.error.take()
    }

    /// Whether the head is everything there is.
    pub fn head_is_all(&self) -> bool {
        self.ended
    }

    /// The next lines, about `target` bytes of them; `None` at the end.
    ///
    /// # Errors
    /// The stream failed. Everything that was read before has been handed out; reading again does not help.
    pub fn next(&mut self, target: usize) -> io::Result<Option<Lines>> {
        if !self.ended {
            self.buffer.reserve(target.saturating_sub(self.buffer.len()));
        }
        while !self.ended && self.filled < target {
            self.fill(READ_STEP.min(target - self.filled).max(4096));
        }
        let mut searched = 0;
        loop {
            if let Some(last) = memchr::memrchr(b'\n', &self.read()[searched..]) {
                return Ok(Some(self.take(searched + last + 1)));
            }
            if self.ended {
                break;
            }
            if self.filled > MAX_LINE {
                return self.pass_over().map(Some);
            }
            searched = self.filled;
            self.fill(self.step_within_line(READ_STEP.max(searched / 2)));
        }
        if self.filled > MAX_LINE {
            return self.pass_over().map(Some);
        }
        if self.filled > 0 {
            return Ok(Some(self.take(self.filled)));
        }
        match self.error.take() {
            Some(error) => Err(error),
            None => Ok(None),
        }
    }

    /// Gives it a vector whose memory it reads into from the next lines on; what is in it does not matter.
    pub fn reuse(&mut self, room: Vec<u8>) {
        self.room = room;
    }

    /// Where the next lines begin, in decompressed bytes.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// As much of `step` as a line may still grow by, and one byte more that tells that it is too long: what counts as
    /// too long must not depend on how the reading was cut.
    fn step_within_line(&self, step: usize) -> usize {
        step.min((MAX_LINE + 1).saturating_sub(self.filled)).max(1)
    }

    fn take(&mut self, end: usize) -> Lines {
        let rest = &self.buffer[end..self.filled];
        let mut room = std::mem::take(&mut self.room);
        match room.get_mut(..rest.len()) {
            Some(start) => start.copy_from_slice(rest),
            None => rest.clone_into(&mut room),
        }
        self.filled = rest.len();
        let mut bytes = std::mem::replace(&mut self.buffer, room);
        bytes.truncate(end);
        let offset = self.offset;
        self.offset += bytes.len() as u64;
        Lines { bytes, offset, oversize: None }
    }

    /// Skips a line that is too long, keeping its beginning.
    fn pass_over(&mut self) -> io::Result<Lines> {
        let offset = self.offset;
        let mut length = self.filled as u64;
        let mut kept = std::mem::take(&mut self.buffer);
        kept.truncate(self.filled.min(MAX_OVERSIZE_KEPT));
        self.filled = 0;
        kept.shrink_to_fit();
        while !self.ended {
            self.fill(READ_STEP);
            if let Some(end) = memchr::memchr(b'\n', self.read()) {
                length += end as u64 + 1;
                self.buffer.copy_within(end + 1..self.filled, 0);
                self.filled -= end + 1;
                break;
            }
            length += self.filled as u64;
            self.filled = 0;
        }
        self.offset += length;
        Ok(Lines { bytes: kept, offset, oversize: Some(length) })
    }

    /// What was read and not handed out.
    fn read(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }

    fn fill(&mut self, step: usize) {
        let end = self.filled + step;
        if self.buffer.len() < end {
            self.buffer.resize(end, 0);
        }
        let read = loop {
            match self.reader.read(&mut self.buffer[self.filled..end]) {
                Ok(read) => break read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.error = Some(error);
                    break 0;
                }
            }
        };
        self.filled += read;
        self.ended = read == 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Gives a few bytes at a time.
    struct Dribble<'a>(&'a [u8], usize);

    impl Read for Dribble<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let step = self.1.min(self.0.len()).min(buffer.len());
            buffer[..step].copy_from_slice(&self.0[..step]);
            self.0 = &self.0[step..];
            Ok(step)
        }
    }

    proptest! {
        #[test]
        fn every_byte_is_handed_out_once_and_lines_stay_whole(
            text in prop::collection::vec(prop::sample::select(b"ab\n".to_vec()), 0..300),
            step in 1usize..40,
            target in 1usize..100,
            used in 0usize..5000,
        ) {
            let mut reader = LineReader::new(Dribble(&text, step));
            let head = reader.head(10).to_vec();
            prop_assert!(text.starts_with(&head));
            let mut seen = Vec::new();
            while let Some(lines) = reader.next(target).unwrap() {
                prop_assert_eq!(lines.offset, seen.len() as u64);
                seen.extend_from_slice(&lines.bytes);
                prop_assert!(seen.ends_with(b"\n") || seen.len() == text.len());
                // Memory that is used again holds what was read into it before.
                let mut room = lines.bytes;
                room.resize(used, b'\n');
                reader.reuse(room);
            }
            prop_assert_eq!(seen, text);
        }
    }

    #[test]
    fn the_bound_is_exact_however_the_reading_is_cut() {
        let line = |length: usize| [vec![b'x'; length], b"\n".to_vec()].concat();
        for (length, too_long) in [(MAX_LINE, false), (MAX_LINE + 1, true), (MAX_LINE + READ_STEP / 2, true)] {
            let text = [line(length), b"last\n".to_vec()].concat();
            for looked_at_first in [false, true] {
                let mut reader = LineReader::new(&text[..]);
                if looked_at_first {
                    reader.head(10);
                }
                let first = reader.next(6).unwrap().unwrap();
                assert_eq!(first.oversize.is_some(), too_long, "{length} {looked_at_first}");
                let mut offset = reader.offset();
                while let Some(lines) = reader.next(6).unwrap() {
                    assert_eq!(lines.oversize, None);
                    offset = reader.offset();
                }
                assert_eq!(offset, text.len() as u64);
            }
            let mut unfinished = LineReader::new(&text[..length]);
            assert_eq!(unfinished.next(6).unwrap().unwrap().oversize.is_some(), too_long, "{length} without an end");
        }
    }

    #[test]
    fn a_line_beyond_the_bound_is_passed_over_in_bounded_memory() {
        let long = vec![b'x'; MAX_LINE + 3 * READ_STEP];
        let text = [b"first\n".as_slice(), &long, b"\nlast\n"].concat();
        let mut reader = LineReader::new(&text[..]);
        assert_eq!(reader.next(6).unwrap().unwrap().bytes, b"first\n");
        let oversize = reader.next(6).unwrap().unwrap();
        assert_eq!((oversize.offset, oversize.oversize), (6, Some(long.len() as u64 + 1)));
        assert_eq!(oversize.bytes.len(), MAX_OVERSIZE_KEPT);
        let last = reader.next(6).unwrap().unwrap();
        assert_eq!((last.offset, &last.bytes[..]), (7 + long.len() as u64, b"last\n".as_slice()));
        assert_eq!(reader.next(6).unwrap(), None);
    }
}
