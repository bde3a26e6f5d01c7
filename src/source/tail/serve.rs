//! Handing out: which file's turn it is, and what becomes of a file that ends.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::error::ReadError;
use super::file::{Followed, Presence, Step};
use super::identity::{Likeness, Mark, is_compressed, key_len, stream_key};
use super::item::{Chunk, EndCause, EndOfFile, Item, Oversize};
use super::{DoneKind, Tail};
use crate::model::StreamKey;

/// What a file's turn came to.
enum Turn {
    /// Nothing to do.
    Idle,
    /// So many bytes were handed out or looked at.
    Served(u64),
    /// The same, and the file is no longer followed.
    Ended(u64),
}

/// What is to be done with a file whose content was compared.
enum Identity {
    /// It is an archive.
    Compressed,
    /// Its first data line is not complete, or it may be a copy that is still being written.
    Undecided,
    /// It has the content of another followed file.
    Copy,
    /// It is to be read from here on. A stored point was under this path.
    From((StreamKey, usize), Mark, Option<PathBuf>),
}

impl Tail {
    /// Lets the files take turns until so much was handed out or all are idle.
    pub(super) fn serve_all(&mut self, max_bytes: usize, now: Instant) -> Vec<Item> {
        let mut items = Vec::new();
        let mut left = max_bytes as u64;
        // A small rest would be handed out in crumbs.
        let enough = left / 8;
        let mut idle = 0;
        while left > enough && idle < self.files.len() && !self.trails.are_full() {
            if self.turn >= self.files.len() {
                self.turn = 0;
            }
            match self.serve(self.turn, left, now, &mut items) {
                Turn::Idle => {
                    idle += 1;
                    self.turn += 1;
                }
                Turn::Served(bytes) => {
                    idle = 0;
                    self.turn += 1;
                    left = left.saturating_sub(bytes);
                }
                // The next file is in its place now.
                Turn::Ended(bytes) => {
                    idle = 0;
                    left = left.saturating_sub(bytes);
                }
            }
        }
        items
    }

    /// Finds out what all new files are, so that it is known which points have none.
    pub(super) fn identify_all(&mut self, now: Instant) {
        let mut index = 0;
        while index < self.files.len() {
            match self.identify_one(index, now) {
                Turn::Ended(_) => {}
                _ => index += 1,
            }
        }
    }

    fn serve(&mut self, index: usize, budget: u64, now: Instant, items: &mut Vec<Item>) -> Turn {
        let grace = self.config.rotate_wait;
        let Some(file) = self.files.get_mut(index) else { return Turn::Idle };
        if file.stream.is_none() {
            return self.identify_one(index, now);
        }
        let over = file.is_over(now, grace) && file.is_at_end();
        if over {
            // What was appended since the last look comes first.
            file.look(now);
        }
        let step =
            if file.is_ready() { file.read(usize::try_from(budget).unwrap_or(usize::MAX)) } else { Ok(Step::Nothing) };
        if over && file.is_at_end() && file.error.is_none() && matches!(step, Ok(Step::Nothing)) {
            return self.finish(index, now, items);
        }
        let turn = self.hand_out(index, step, now, items);
        match self.files.get_mut(index) {
            // `#close` is the last thing that its writer writes; only look whether there is more after all.
            Some(file) if file.is_closed() && !matches!(turn, Turn::Ended(_)) => {
                file.look(now);
                if file.is_closed() { self.close(index, turn, items) } else { turn }
            }
            _ => turn,
        }
    }

    /// Turns a step into an item.
    fn hand_out(&mut self, index: usize, step: Result<Step, ReadError>, now: Instant, items: &mut Vec<Item>) -> Turn {
        let Some(file) = self.files.get_mut(index) else { return Turn::Idle };
        let Some(stream) = file.stream else { return Turn::Idle };
        match step {
            Ok(Step::Nothing) => Turn::Idle,
            Ok(Step::Scanned(bytes)) => Turn::Served(bytes),
            Ok(Step::Lines { offset, bytes }) => {
                file.told = true;
                self.trails.push(file.id, file.mark);
                let length = bytes.len() as u64;
                items.push(Item::Chunk(chunk(file, stream, offset, bytes, None)));
                Turn::Served(length)
            }
            Ok(Step::Oversize { offset, length }) => {
                file.told = true;
                self.trails.push(file.id, file.mark);
                self.counts.oversize_lines += 1;
                tracing::warn!(path = %file.path.display(), offset, length, "line is too long");
                let path = Arc::clone(&file.path);
                items.push(Item::Oversize(Oversize {
                    file: file.id,
                    stream,
                    path,
                    offset,
                    length,
                    beginning: Vec::new(),
                }));
                Turn::Served(1)
            }
            Ok(Step::Truncated { unread }) => self.truncated(index, unread, now, items),
            Err(error) => self.failed(index, error),
        }
    }

    /// Ends a file that was read to `#close`.
    fn close(&mut self, index: usize, turn: Turn, items: &mut Vec<Item>) -> Turn {
        let bytes = match turn {
            Turn::Idle => 0,
            Turn::Served(bytes) | Turn::Ended(bytes) => bytes,
        };
        self.end(index, EndCause::Closed, false, items);
        Turn::Ended(bytes)
    }

    /// Ends a file that was renamed or deleted, with its last line.
    fn finish(&mut self, index: usize, now: Instant, items: &mut Vec<Item>) -> Turn {
        let Some(file) = self.files.get_mut(index) else { return Turn::Idle };
        let cause = if matches!(file.presence, Presence::Gone(_)) { EndCause::Gone } else { EndCause::Rotated };
        let before = file.mark.offset;
        let step = file.read_rest();
        let truncated_or_failed = matches!(step, Ok(Step::Truncated { .. }) | Err(_));
        let turn = self.hand_out(index, step, now, items);
        if truncated_or_failed {
            return turn;
        }
        let unterminated = self.files.get(index).is_some_and(|file| file.mark.offset > before);
        self.end(index, cause, unterminated, items);
        Turn::Ended(match turn {
            Turn::Served(bytes) => bytes,
            _ => 0,
        })
    }

    /// Says that nothing of a file follows and stops following it.
    fn end(&mut self, index: usize, cause: EndCause, unterminated: bool, items: &mut Vec<Item>) {
        let Some(file) = self.files.get(index) else { return };
        tracing::debug!(path = %file.path.display(), offset = file.mark.offset, ?cause, "file has ended");
        if let Some(stream) = file.stream.filter(|_| file.told) {
            say_end(file, stream, EndOfFile { cause, unterminated, lost: 0 }, items);
        }
        self.counts.files_ended += 1;
        self.retire(index, DoneKind::Finished);
    }

    /// Ends a file whose content was replaced and follows the new content, which is another file.
    fn truncated(&mut self, index: usize, lost: u64, now: Instant, items: &mut Vec<Item>) -> Turn {
        let id = self.new_id();
        let Some(file) = self.files.get_mut(index) else { return Turn::Idle };
        let next = match file.next_generation(id, now) {
            Ok(next) => next,
            Err(error) => return self.failed(index, error),
        };
        let file = std::mem::replace(file, next);
        tracing::warn!(path = %file.path.display(), offset = file.mark.offset, lost, "file was truncated; reading from its start");
        self.counts.truncations += 1;
        self.counts.lost_bytes += lost;
        if let Some(stream) = file.stream {
            self.known.ended(stream, file.mark);
            if !file.told {
                self.trails.remove(file.id);
            } else {
                self.trails.end(file.id, file.mark.offset);
                let end = EndOfFile { cause: EndCause::Truncated, unterminated: false, lost };
                say_end(&file, stream, end, items);
            }
        }
        Turn::Served(1)
    }

    fn failed(&mut self, index: usize, error: ReadError) -> Turn {
        let Some(file) = self.files.get_mut(index) else { return Turn::Idle };
        let text = error.to_string();
        if file.note_error(error) {
            tracing::warn!(path = %file.path.display(), error = text, "file cannot be read; trying again");
        }
        Turn::Idle
    }

    /// Finds out what a new file is and begins to read it.
    fn identify_one(&mut self, index: usize, now: Instant) -> Turn {
        let grace = self.config.rotate_wait;
        let Some(file) = self.files.get_mut(index) else { return Turn::Idle };
        let over = file.is_over(now, grace);
        // A copy is looked at again on each sweep, as long as it is there.
        if file.stream.is_some() || !(file.is_ready() || (over && !file.copy)) {
            return Turn::Idle;
        }
        if over {
            file.look(now);
        }
        let identified = file.read_head().and_then(|head| {
            let identity = self.identify(index, &head, now)?;
            Ok((head, identity))
        });
        let Some(file) = self.files.get_mut(index) else { return Turn::Idle };
        let (head, identity) = match identified {
            Ok(identified) => identified,
            Err(source) => return self.failed_open(index, source),
        };
        file.error = None;
        match identity {
            Identity::Compressed => {
                tracing::debug!(path = %file.path.display(), "an archive is not followed");
                self.retire(index, DoneKind::Compressed);
                Turn::Ended(1)
            }
            Identity::Copy => {
                file.copy = true;
                if over && matches!(file.presence, Presence::Gone(_)) {
                    self.retire(index, DoneKind::Finished);
                    return Turn::Ended(1);
                }
                Turn::Idle
            }
            Identity::Undecided if over => {
                self.retire(index, DoneKind::Finished);
                Turn::Ended(1)
            }
            Identity::Undecided => {
                file.copy = false;
                Turn::Idle
            }
            Identity::From((stream, key_len), mark, stored) => {
                if let Err(source) = file.begin((stream, key_len), &head, mark) {
                    return self.failed_open(index, source);
                }
                file.told = stored.is_some();
                // Renamed while we were down is renamed.
                if stored.is_some_and(|path| *path != *file.path) && file.presence == Presence::Here {
                    file.presence = Presence::Rotated(now);
                }
                tracing::debug!(path = %file.path.display(), offset = mark.offset, %stream, "following file");
                self.trails.begin(file.id, stream, file.node, Arc::clone(&file.path), mark);
                self.known.taken(stream, mark.offset);
                Turn::Served(1)
            }
        }
    }

    fn failed_open(&mut self, index: usize, source: io::Error) -> Turn {
        let Some(file) = self.files.get(index) else { return Turn::Idle };
        let error = ReadError::Read { path: file.path.to_path_buf(), offset: 0, source };
        self.failed(index, error)
    }

    fn identify(&self, index: usize, head: &[u8], now: Instant) -> io::Result<Identity> {
        let grace = self.config.rotate_wait;
        let Some(file) = self.files.get(index) else { return Ok(Identity::Undecided) };
        if is_compressed(head) {
            return Ok(Identity::Compressed);
        }
        let whole = file.is_over(now, grace);
        let (Some(stream), Some(key_len)) = (stream_key(head, whole), key_len(head, whole)) else {
            return Ok(Identity::Undecided);
        };
        let key = (stream, key_len);
        let mut growing = false;
        for other in self.files.iter().filter(|other| other.stream == Some(stream)) {
            match file.compare(head, &other.mark)? {
                Likeness::Same => return Ok(Identity::Copy),
                Likeness::TooShort => growing = true,
                Likeness::Different => {}
            }
        }
        let mut best: Option<(Mark, Option<&Path>)> = None;
        for (mark, stored) in self.known.of(stream) {
            match file.compare(head, &mark)? {
                Likeness::Same if best.is_none_or(|(best, _)| best.offset < mark.offset) => best = Some((mark, stored)),
                Likeness::TooShort => growing = true,
                _ => {}
            }
        }
        Ok(match best {
            Some((mark, stored)) => Identity::From(key, mark, stored.map(Path::to_path_buf)),
            // A copy that is being written is shorter than what it is a copy of, until it stops growing.
            None if growing && now < file.grew() + grace => Identity::Undecided,
            None => Identity::From(key, Mark::start(), None),
        })
    }
}

fn say_end(file: &Followed, stream: StreamKey, end: EndOfFile, items: &mut Vec<Item>) {
    // The end of a last line without `\n` belongs to that line.
    if let Some(Item::Chunk(last)) = items.last_mut()
        && last.file == file.id
    {
        last.end = Some(end);
        return;
    }
    items.push(Item::Chunk(chunk(file, stream, file.mark.offset, Vec::new(), Some(end))));
}

fn chunk(file: &Followed, stream: StreamKey, offset: u64, bytes: Vec<u8>, end: Option<EndOfFile>) -> Chunk {
    let path = Arc::clone(&file.path);
    Chunk { file: file.id, stream, path, offset, bytes, header: file.header.clone(), end }
}
