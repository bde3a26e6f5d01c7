//! One connection, whose bytes become whole lines, and where they are put.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

use crossbeam_channel::Sender;

use super::READ;
use super::room::{Closed, Room};
use crate::decode::{MAX_LINE, MAX_OVERSIZE_KEPT};
use crate::model::{Sha256Digest, StreamKey};
use crate::source::tail::{Chunk, EndCause, EndOfFile, FileId, Item, Oversize, Waker};

/// What a connection may hold of a line however much the others do, so that only long lines have to wait.
pub(super) const ALWAYS_HELD: usize = 2 * READ;
/// A line that is longer gets memory of its own for as long as a line may be, more than an allocator keeps for another
/// use: so it goes back to the system with the line.
const LONG: usize = 1024 * 1024;

/// Where threads put what they have read.
#[derive(Clone)]
pub(super) struct Outlet {
    pub(super) items: Sender<Item>,
    pub(super) room: Arc<Room>,
    pub(super) waker: Waker,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) numbers: Arc<AtomicU64>,
    /// Connections that are open now.
    pub(super) open: Arc<AtomicU64>,
}

impl Outlet {
    fn send(&self, item: Item) -> Result<(), Closed> {
        self.room.queue(held_by(&item))?;
        self.items.send(item).map_err(|_| Closed)?;
        self.waker.wake();
        Ok(())
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Bytes that an item holds.
pub(super) fn held_by(item: &Item) -> usize {
    match item {
        Item::Chunk(chunk) => chunk.bytes.len(),
        Item::Oversize(line) => line.beginning.len(),
    }
}

/// One connection: its bytes become whole lines.
pub(super) struct Connection {
    outlet: Outlet,
    file: FileId,
    stream: StreamKey,
    path: Arc<Path>,
    /// Where the next line begins.
    offset: u64,
    /// The beginning of a line; of one that is too long, as much as is kept.
    pending: Vec<u8>,
    /// Bytes of a line that is too long.
    passed_over: u64,
    /// What it has room for beyond what it may always hold.
    room: usize,
}

impl Connection {
    pub(super) fn open(outlet: Outlet, path: &Path) -> Result<Self, Closed> {
        let file = FileId(outlet.numbers.fetch_add(1, Ordering::Relaxed));
        let connection = Self {
            outlet,
            file,
            stream: stream_key(path, file),
            path: path.into(),
            offset: 0,
            pending: Vec::new(),
            passed_over: 0,
            room: 0,
        };
        connection.outlet.open.fetch_add(1, Ordering::Relaxed);
        // Whoever takes it learns of the connection before anything that it holds.
        connection.outlet.send(connection.chunk(Vec::new(), None))?;
        Ok(connection)
    }

    /// Where it is put.
    pub(super) fn outlet(&self) -> &Outlet {
        &self.outlet
    }

    /// Waits until so much more may be held.
    pub(super) fn make_room(&mut self, more: usize) -> Result<(), Closed> {
        let wanted = (self.pending.len() + more).saturating_sub(ALWAYS_HELD);
        if let Some(bytes) = wanted.checked_sub(self.room).filter(|bytes| *bytes > 0) {
            self.outlet.room.grow(self.file, bytes)?;
            self.room = wanted;
        }
        Ok(())
    }

    /// Gives back what is not needed for what is held.
    fn give_back(&mut self) {
        let needed = self.pending.len().saturating_sub(ALWAYS_HELD);
        if let Some(bytes) = self.room.checked_sub(needed).filter(|bytes| *bytes > 0) {
            self.outlet.room.shrink(self.file, bytes);
            self.room = needed;
        }
    }

    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(), Closed> {
        self.take_lines(bytes)?;
        // Only now: what waited for room in the queue was still held here.
        self.give_back();
        Ok(())
    }

    fn take_lines(&mut self, mut bytes: &[u8]) -> Result<(), Closed> {
        let Some(last) = memchr::memrchr(b'\n', bytes) else {
            self.keep(bytes);
            return Ok(());
        };
        let first = memchr::memchr(b'\n', bytes).unwrap_or(last);
        let before = if self.passed_over > 0 { self.passed_over } else { self.pending.len() as u64 };
        let length = before + first as u64;
        if length > MAX_LINE as u64 {
            self.pass_over(length + 1)?;
            bytes = &bytes[first + 1..];
        }
        let end = memchr::memrchr(b'\n', bytes).map_or(0, |last| last + 1);
        let mut lines = std::mem::take(&mut self.pending);
        lines.extend_from_slice(&bytes[..end]);
        if !lines.is_empty() {
            let length = lines.len() as u64;
            self.outlet.send(self.chunk(lines, None))?;
            self.offset += length;
        }
        self.keep(&bytes[end..]);
        Ok(())
    }

    /// Keeps the beginning of a line, or counts it where it is too long.
    pub(super) fn keep(&mut self, bytes: &[u8]) {
        if self.passed_over > 0 {
            self.passed_over += bytes.len() as u64;
        } else if self.pending.len() + bytes.len() > MAX_LINE {
            self.passed_over = (self.pending.len() + bytes.len()) as u64;
            self.pending.truncate(MAX_OVERSIZE_KEPT);
            self.pending.shrink_to_fit();
        } else {
            if self.pending.len() + bytes.len() > LONG {
                self.pending.reserve_exact(MAX_LINE + READ - self.pending.len());
            }
            self.pending.extend_from_slice(bytes);
        }
    }

    pub(super) fn pass_over(&mut self, length: u64) -> Result<(), Closed> {
        self.passed_over = 0;
        let mut beginning = std::mem::take(&mut self.pending);
        beginning.truncate(MAX_OVERSIZE_KEPT);
        let line = Oversize {
            file: self.file,
            stream: self.stream,
            path: Arc::clone(&self.path),
            offset: self.offset,
            length,
            beginning,
        };
        self.offset += length;
        self.outlet.send(Item::Oversize(line))
    }

    pub(super) fn end(mut self) {
        let passed_over = self.passed_over;
        if passed_over > 0 && self.pass_over(passed_over).is_err() {
            return;
        }
        let rest = std::mem::take(&mut self.pending);
        let end = EndOfFile { cause: EndCause::Closed, unterminated: !rest.is_empty(), lost: 0 };
        // Nobody who takes items is nobody who misses its end.
        let _ = self.outlet.send(self.chunk(rest, Some(end)));
    }

    fn chunk(&self, bytes: Vec<u8>, end: Option<EndOfFile>) -> Item {
        Item::Chunk(Chunk {
            file: self.file,
            stream: self.stream,
            path: Arc::clone(&self.path),
            offset: self.offset,
            bytes,
            header: None,
            end,
        })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.outlet.open.fetch_sub(1, Ordering::Relaxed);
        self.outlet.room.shrink(self.file, self.room);
    }
}

/// A key that no other connection has, of this process or of another.
fn stream_key(path: &Path, file: FileId) -> StreamKey {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
    let text = format!("connection {} of {} at {now} to {}", file.0, std::process::id(), path.display());
    StreamKey(Sha256Digest::of(text.as_bytes()).0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::streams::{Bounds, FIRST_ID, Socket, SocketKind, Streams, is_stream};
    use crate::source::tail::{Tail, TailConfig};
    use crossbeam_channel::Receiver;
    use proptest::prelude::*;
    use std::os::unix::net::UnixStream;
    use std::time::{Duration, Instant};

    fn connection() -> (Connection, Receiver<Item>) {
        let (sender, items) = crossbeam_channel::unbounded();
        let waker = Tail::new(TailConfig { watch: false, ..TailConfig::default() }, Vec::new()).unwrap().waker();
        let outlet = Outlet {
            items: sender,
            room: Arc::new(Room::new(Bounds { queued: usize::MAX, pending: usize::MAX })),
            waker,
            stop: Arc::default(),
            numbers: Arc::new(FIRST_ID.into()),
            open: Arc::default(),
        };
        (Connection::open(outlet, "eve.sock".as_ref()).ok().unwrap(), items)
    }

    /// Offsets and lengths of what was handed out, and the bytes; `None` for what was too long.
    fn handed_out(items: &Receiver<Item>) -> Vec<(u64, u64, Option<Vec<u8>>)> {
        items
            .try_iter()
            .map(|item| {
                let length = item.end_offset();
                match item {
                    Item::Chunk(chunk) => (chunk.offset, length - chunk.offset, Some(chunk.bytes)),
                    Item::Oversize(line) => (line.offset, line.length, None),
                }
            })
            .collect()
    }

    proptest! {
        #[test]
        fn every_byte_is_handed_out_once_in_whole_lines(
            parts in prop::collection::vec(prop::collection::vec(prop::sample::select(b"ab\n".to_vec()), 0..20), 0..20),
        ) {
            let (mut connection, items) = connection();
            for part in &parts {
                prop_assert!(connection.take(part).is_ok());
            }
            connection.end();
            let found = handed_out(&items);
            let mut seen = Vec::new();
            for (index, (offset, _, bytes)) in found.iter().enumerate() {
                let bytes = bytes.as_ref().unwrap();
                prop_assert_eq!(*offset, seen.len() as u64);
                prop_assert!(bytes.is_empty() || bytes.ends_with(b"\n") || index + 1 == found.len());
                seen.extend_from_slice(bytes);
            }
            prop_assert_eq!(seen, parts.concat());
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_counted_and_not_kept() {
        for (length, too_long) in [(MAX_LINE, false), (MAX_LINE + 1, true), (MAX_LINE + 3 * READ, true)] {
            let (mut connection, items) = connection();
            let text = [b"first\n".as_slice(), &vec![b'x'; length], b"\nlast\nrest"].concat();
            for part in text.chunks(READ) {
                assert!(connection.take(part).is_ok());
                assert!(connection.pending.len() <= MAX_LINE);
                assert!(connection.passed_over == 0 || connection.pending.len() <= MAX_OVERSIZE_KEPT);
            }
            connection.end();
            let found = handed_out(&items);
            let total: u64 = found.iter().map(|(_, length, _)| length).sum();
            assert_eq!(total, text.len() as u64);
            let over: Vec<_> = found.iter().filter(|(_, _, bytes)| bytes.is_none()).collect();
            assert_eq!(over.len(), usize::from(too_long), "{length}");
            assert!(over.iter().all(|(offset, long, _)| (*offset, *long) == (6, length as u64 + 1)));
            assert_eq!(found.last().unwrap().2.as_deref(), Some(&b"rest"[..]));
        }
        // One that never ends.
        let (mut connection, items) = connection();
        for _ in 0..MAX_LINE / READ + 2 {
            assert!(connection.take(&vec![b'x'; READ]).is_ok());
        }
        connection.end();
        assert!(matches!(handed_out(&items)[1], (0, length, None) if length > MAX_LINE as u64));
    }

    #[test]
    fn all_connections_together_hold_as_much_as_they_may_and_all_come_to_their_ends() {
        const LINE: usize = 2 * LONG;
        let folder = tempfile::tempdir().unwrap();
        let waker = Tail::new(TailConfig { watch: false, ..TailConfig::default() }, Vec::new()).unwrap().waker();
        let sockets =
            ["one", "two"].map(|name| Socket { kind: SocketKind::Stream, path: folder.path().join(name), mode: None });
        let bounds = Bounds { queued: READ, pending: 3 * LONG };
        let mut streams = Streams::start(&sockets, false, &waker, bounds).unwrap();
        let senders: Vec<_> = (0..12)
            .map(|number| {
                let mut sender = UnixStream::connect(&sockets[number % 2].path).unwrap();
                std::thread::spawn(move || {
                    for letter in [b'a', b'b'] {
                        let line = [vec![letter; LINE - 1], vec![b'\n']].concat();
                        std::io::Write::write_all(&mut sender, &line).unwrap();
                    }
                })
            })
            .collect();
        let room = Arc::clone(&streams.room);
        // Nothing is taken yet, so that they fill the room; unless the first to have a whole line has it before the others
        // have begun, which then wait for that to be taken.
        let patience = Instant::now() + Duration::from_secs(2);
        while room.pending() <= bounds.pending - LONG && Instant::now() < patience {
            std::thread::yield_now();
        }
        let (mut lines, mut most) = (0, 0);
        while lines < 24 {
            most = most.max(room.pending());
            for item in streams.take(1) {
                let Item::Chunk(chunk) = item else { panic!("no line is too long") };
                lines += memchr::memchr_iter(b'\n', &chunk.bytes).count();
            }
        }
        assert!(most <= bounds.pending + LINE + READ, "{most}");
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        streams.stop();
        while !streams.is_done() {
            streams.take(1);
        }
        assert_eq!(room.pending(), 0);
    }

    #[test]
    fn no_two_connections_have_one_key() {
        let path = Path::new("eve.sock");
        assert_ne!(stream_key(path, FileId(1)), stream_key(path, FileId(2)));
        assert!(is_stream(FileId(FIRST_ID)) && !is_stream(FileId(FIRST_ID - 1)));
    }
}
