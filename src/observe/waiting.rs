//! Outputs that take nothing just now.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What is being waited for, by its path, and how often writing was tried again.
#[derive(Debug, Default)]
pub struct Waiting {
    retries: AtomicU64,
    waits: Mutex<BTreeMap<PathBuf, Wait>>,
}

#[derive(Debug)]
struct Wait {
    since: Instant,
    /// Why; nothing while a write has begun that may be done at once.
    why: Option<String>,
}

/// A write that may take as long as its reader likes; it is over when this is dropped.
pub(crate) struct Writing<'a> {
    waiting: &'a Waiting,
    path: &'a Path,
}

/// A write that takes longer than this waits for its reader.
const SLOW: Duration = Duration::from_secs(10);

impl Waiting {
    /// Notes that something could not be written and is tried again.
    pub(crate) fn again(&self, path: &Path, why: impl FnOnce() -> String) {
        self.retries.fetch_add(1, Ordering::Relaxed);
        let mut waits = self.lock();
        match waits.get_mut(path) {
            Some(wait) if wait.why.is_some() => {}
            Some(wait) => wait.why = Some(why()),
            None => drop(waits.insert(path.to_owned(), Wait { since: Instant::now(), why: Some(why()) })),
        }
    }

    /// Notes that it was written, or given up.
    pub(crate) fn over(&self, path: &Path) {
        self.lock().remove(path);
    }

    /// Notes that a write begins to something that has a reader.
    pub(crate) fn writing<'a>(&'a self, path: &'a Path) -> Writing<'a> {
        self.lock().insert(path.to_owned(), Wait { since: Instant::now(), why: None });
        Writing { waiting: self, path }
    }

    /// How often writing was tried again.
    pub fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// Whether anything is being waited for, or written to a reader.
    pub(super) fn any(&self) -> bool {
        !self.lock().is_empty()
    }

    /// What is being waited for, in words.
    pub(super) fn reasons(&self) -> Vec<String> {
        let waits = self.lock();
        let slow = waits.iter().filter(|(_, wait)| wait.why.is_some() || wait.since.elapsed() > SLOW);
        let words = slow.map(|(path, wait)| {
            let why = wait.why.as_deref().unwrap_or("its reader does not read");
            format!("{} has taken nothing for {} s: {why}", path.display(), wait.since.elapsed().as_secs())
        });
        words.collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Wait>> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.waiting.over(self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_tried_again_is_said_until_it_is_over() {
        let (waiting, path) = (Waiting::default(), Path::new("/full/out"));
        for _ in 0..3 {
            waiting.again(path, || "no space".to_owned());
        }
        let writing = waiting.writing(Path::new("/pipe"));
        assert!(waiting.any());
        assert_eq!(waiting.reasons(), ["/full/out has taken nothing for 0 s: no space"], "a write has just begun");
        drop(writing);
        waiting.over(path);
        assert!(!waiting.any() && waiting.reasons().is_empty());
        assert_eq!(waiting.retries(), 3);
    }
}
