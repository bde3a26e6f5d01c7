//! The memory that may be taken by what comes over connections.
//!
//! In: who wants to hold how much. Out: nothing, but whoever wants too much waits. Promise: what is read and not taken is
//! bounded, and so are the lines that have begun, of all connections together; one of them may always go on beyond that to
//! its end, so that not all wait for each other.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::source::tail::FileId;

/// How much may be held.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes that are read and not taken yet; or one item.
    pub queued: usize,
    /// Bytes of lines that have begun, beyond what each connection may always hold, and beyond one line.
    pub pending: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { queued: 8 * 1024 * 1024, pending: 64 * 1024 * 1024 }
    }
}

/// Nobody takes items any more.
pub(super) struct Closed;

pub(super) struct Room {
    bounds: Bounds,
    held: Mutex<Held>,
    changed: Condvar,
}

#[derive(Default)]
struct Held {
    queued: usize,
    pending: usize,
    /// Who goes on beyond the bound.
    beyond: Option<FileId>,
    closed: bool,
}

impl Room {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { bounds, held: Mutex::default(), changed: Condvar::new() }
    }

    /// Waits until there is room in the queue.
    pub(super) fn queue(&self, bytes: usize) -> Result<(), Closed> {
        self.wait_for(|held| held.queue(bytes, self.bounds.queued))
    }

    /// Something was taken from the queue.
    pub(super) fn taken(&self, bytes: usize) {
        let mut held = self.lock();
        held.queued = held.queued.saturating_sub(bytes);
        drop(held);
        self.changed.notify_all();
    }

    /// Waits until a connection may hold more.
    pub(super) fn grow(&self, who: FileId, bytes: usize) -> Result<(), Closed> {
        self.wait_for(|held| held.grow(who, bytes, self.bounds.pending))
    }

    /// A connection holds less.
    pub(super) fn shrink(&self, who: FileId, bytes: usize) {
        self.lock().shrink(who, bytes, self.bounds.pending);
        self.changed.notify_all();
    }

    /// Nobody waits any more.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    #[cfg(test)]
    pub(super) fn pending(&self) -> usize {
        self.lock().pending
    }

    fn wait_for(&self, is_there: impl Fn(&mut Held) -> bool) -> Result<(), Closed> {
        let mut held = self.lock();
        loop {
            if held.closed {
                return Err(Closed);
            }
            if is_there(&mut held) {
                return Ok(());
            }
            held = self.changed.wait(held).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn queue(&mut self, bytes: usize, bound: usize) -> bool {
        let is_room = self.queued == 0 || self.queued + bytes <= bound;
        self.queued += if is_room { bytes } else { 0 };
        is_room
    }

    fn grow(&mut self, who: FileId, bytes: usize, bound: usize) -> bool {
        if self.pending + bytes > bound && *self.beyond.get_or_insert(who) != who {
            return false;
        }
        self.pending += bytes;
        true
    }

    fn shrink(&mut self, who: FileId, bytes: usize, bound: usize) {
        self.pending = self.pending.saturating_sub(bytes);
        // Not before: what the next one holds beyond the bound would come on top of it.
        if self.beyond == Some(who) && self.pending <= bound {
            self.beyond = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_takes_what_fits_or_one_item() {
        let mut held = Held::default();
        assert!(held.queue(25, 10), "it is empty");
        assert!(!held.queue(1, 10));
        held.queued = 0;
        assert!(held.queue(4, 10) && held.queue(6, 10) && !held.queue(1, 10));
        assert_eq!(held.queued, 10);
    }

    #[test]
    fn one_connection_goes_on_beyond_the_bound_and_then_the_next() {
        let (mut held, [one, two, three]) = (Held::default(), [1, 2, 3].map(FileId));
        assert!(held.grow(one, 6, 10) && held.grow(two, 4, 10));
        assert!(held.grow(two, 1, 10), "nobody is beyond it");
        assert!(!held.grow(one, 1, 10) && !held.grow(three, 1, 10));
        assert!(held.grow(two, 50, 10), "to its end");
        assert_eq!(held.pending, 61);
        // Its line is whole.
        held.shrink(two, 55, 10);
        assert!(held.grow(three, 4, 10) && held.grow(one, 1, 10), "now another one is");
        assert!(!held.grow(two, 1, 10));
        // One that the others make room for is no longer beyond it.
        held.shrink(three, 4, 10);
        held.shrink(one, 2, 10);
        assert_eq!((held.pending, held.beyond), (5, None));
    }

    #[test]
    fn nobody_waits_once_nobody_takes() {
        let room = std::sync::Arc::new(Room::new(Bounds { queued: 1, pending: 1 }));
        assert!(room.queue(5).is_ok() && room.grow(FileId(1), 5).is_ok());
        let (one, other) = (std::sync::Arc::clone(&room), std::sync::Arc::clone(&room));
        let waiting = [
            std::thread::spawn(move || one.queue(1).is_err()),
            std::thread::spawn(move || other.grow(FileId(2), 1).is_err()),
        ];
        room.close();
        assert!(waiting.into_iter().all(|thread| thread.join().unwrap()));
    }
}
