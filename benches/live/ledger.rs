//! What was written when, for the reader to compare with.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What is measured apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// Before anything is measured.
    Start,
    Idle,
    Load,
}

/// When something was written, and in which phase.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp {
    pub(super) at: Instant,
    pub(super) phase: Phase,
}

/// Shared by the writer and the reader. A few bytes for each write, not for each line.
#[derive(Default)]
pub(super) struct Ledger(Mutex<Pages>);

/// What the ledger says.
#[derive(Default)]
pub(super) struct Pages {
    /// The number of the first session of a write. Sessions are numbered in their order.
    sessions: Vec<(u64, Stamp)>,
    next_session: u64,
    /// By their numbers, which are not their order: some certificates are written late.
    certificates: Vec<Option<Stamp>>,
    written_certificates: u64,
}

impl Ledger {
    /// Notes a write, before it happens: nobody may read a line that has no stamp.
    pub(super) fn note(&self, stamp: Stamp, sessions: u64, certificates: &[u64]) {
        let mut pages = self.pages();
        if sessions > 0 {
            let first = pages.next_session;
            pages.sessions.push((first, stamp));
            pages.next_session += sessions;
        }
        for &number in certificates {
            let number = number as usize;
            if number >= pages.certificates.len() {
                pages.certificates.resize(number + 1, None);
            }
            pages.certificates[number] = Some(stamp);
            pages.written_certificates += 1;
        }
    }

    /// Records that were written.
    pub(super) fn records(&self) -> u64 {
        let pages = self.pages();
        pages.next_session + pages.written_certificates
    }

    /// To look up several.
    pub(super) fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    pub(super) fn session(&self, number: u64) -> Option<Stamp> {
        let after = self.sessions.partition_point(|(first, _)| *first <= number);
        let (_, stamp) = self.sessions.get(after.checked_sub(1)?)?;
        (number < self.next_session).then_some(*stamp)
    }

    pub(super) fn certificate(&self, number: u64) -> Option<Stamp> {
        self.certificates.get(usize::try_from(number).ok()?).copied().flatten()
    }
}
