//! Outputs that take nothing just now.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What is being waited for, by its name, and how often writing was tried again.
#[derive(Debug, Default)]
pub struct Waiting {
    retries: AtomicU64,
    waits: Mutex<Waits>,
}

#[derive(Debug, Default)]
struct Waits {
    /// What takes nothing, since when, and why.
    refused: BTreeMap<PathBuf, (Instant, String)>,
    /// Writes that have begun, to what, and since when.
    begun: BTreeMap<u64, (PathBuf, Instant)>,
    /// Commits that wait for a server to have taken what it was sent.
    sending: usize,
    /// Waits of the sink for a queue to have room, or for a commit.
    held_up: usize,
    numbers: u64,
}

/// A write that may take as long as its reader likes; it is over when this is dropped.
pub(crate) struct Writing<'a> {
    waiting: &'a Waiting,
    number: u64,
}

/// A wait of a commit until a server has taken everything, which takes as long as there is much to take; likewise.
pub(crate) struct Sending<'a>(&'a Waiting);

/// A wait of the sink for others; likewise.
pub(crate) struct HeldUp<'a>(&'a Waiting);

/// What takes nothing for so long is said. What comes right sooner was no trouble.
const GRACE: Duration = Duration::from_secs(5);

impl Waiting {
    /// Notes that something could not be written and is tried again.
    pub(crate) fn again(&self, path: &Path, why: impl FnOnce() -> String) {
        self.retries.fetch_add(1, Ordering::Relaxed);
        self.refused(path, why);
    }

    /// Notes that an output takes nothing.
    pub(crate) fn refused(&self, path: &Path, why: impl FnOnce() -> String) {
        let mut waits = self.lock();
        match waits.refused.get_mut(path) {
            Some((_, known)) => *known = why(),
            None => drop(waits.refused.insert(path.to_owned(), (Instant::now(), why()))),
        }
    }

    /// Notes that it takes something again, or was given up.
    pub(crate) fn over(&self, path: &Path) {
        self.lock().refused.remove(path);
    }

    /// Notes that a write begins to something that has a reader.
    pub(crate) fn writing(&self, path: &Path) -> Writing<'_> {
        let mut waits = self.lock();
        waits.numbers += 1;
        let number = waits.numbers;
        waits.begun.insert(number, (path.to_owned(), Instant::now()));
        Writing { waiting: self, number }
    }

    /// Notes that a commit waits for a server to have taken everything.
    pub(crate) fn sending(&self) -> Sending<'_> {
        self.lock().sending += 1;
        Sending(self)
    }

    /// Notes that the sink waits for a server to take something, or for a commit.
    pub(crate) fn held_up(&self) -> HeldUp<'_> {
        self.lock().held_up += 1;
        HeldUp(self)
    }

    /// How often writing was tried again.
    pub fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// Whether an output takes nothing, or has begun to take something and is not done with it.
    pub(super) fn any(&self) -> bool {
        let waits = self.lock();
        !waits.refused.is_empty() || !waits.begun.is_empty()
    }

    /// Whether a commit waits for a server. Nearly always one does, so that this says nothing of the sink.
    pub(super) fn is_sending(&self) -> bool {
        self.lock().sending > 0
    }

    /// Whether the sink waits for others.
    pub(super) fn is_held_up(&self) -> bool {
        self.lock().held_up > 0
    }

    /// What has taken nothing for a while, in words.
    pub(super) fn reasons(&self) -> Vec<String> {
        self.reasons_after(GRACE)
    }

    fn reasons_after(&self, grace: Duration) -> Vec<String> {
        let waits = self.lock();
        let refused = waits.refused.iter().map(|(path, (since, why))| (path, since, why.as_str()));
        let begun = waits.begun.values().map(|(path, since)| (path, since, "its reader does not read"));
        let long = refused.chain(begun).filter(|(_, since, _)| since.elapsed() >= grace);
        let words = long.map(|(path, since, why)| {
            format!("{} has taken nothing for {} s: {why}", path.display(), since.elapsed().as_secs())
        });
        words.collect()
    }

    fn lock(&self) -> MutexGuard<'_, Waits> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.waiting.lock().begun.remove(&self.number);
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.0.lock().sending -= 1;
    }
}

impl Drop for HeldUp<'_> {
    fn drop(&mut self) {
        self.0.lock().held_up -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_nothing_is_said_after_a_while_and_until_it_is_over() {
        let (waiting, path) = (Waiting::default(), Path::new("/full/out"));
        for _ in 0..3 {
            waiting.again(path, || "no space".to_owned());
        }
        waiting.refused(Path::new("https://siem"), || "status 503".to_owned());
        assert!(waiting.reasons().is_empty(), "it has just begun");
        let said = waiting.reasons_after(Duration::ZERO);
        let expected =
            ["/full/out has taken nothing for 0 s: no space", "https://siem has taken nothing for 0 s: status 503"];
        assert_eq!(said, expected);
        waiting.over(path);
        waiting.over(Path::new("https://siem"));
        assert!(!waiting.any() && waiting.reasons_after(Duration::ZERO).is_empty());
        assert_eq!(waiting.retries(), 3, "of files");
    }

    #[test]
    fn each_write_ends_by_itself() {
        let (waiting, path) = (Waiting::default(), Path::new("/pipe"));
        let (one, other) = (waiting.writing(path), waiting.writing(path));
        drop(one);
        assert_eq!(
            waiting.reasons_after(Duration::ZERO),
            ["/pipe has taken nothing for 0 s: its reader does not read"]
        );
        drop(other);
        let (sending, held_up) = (waiting.sending(), waiting.held_up());
        assert!(waiting.is_sending() && waiting.is_held_up());
        assert!(!waiting.any() && waiting.reasons_after(Duration::ZERO).is_empty(), "much to send is no trouble");
        drop((sending, held_up));
        assert!(!waiting.is_sending() && !waiting.is_held_up());
    }
}
