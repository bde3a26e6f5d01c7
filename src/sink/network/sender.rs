//! One connection: what waits goes out on it, again and again until the server has taken it.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::batch::Batch;
use super::fault::{Fault, FaultKind};
use super::queue::{Queue, Work};

/// What brings lines to one kind of server.
pub(super) trait Courier: Send {
    /// Sends lines once.
    fn send(&mut self, batch: &Batch, queue: &Queue) -> Outcome;

    /// Keeps lines that the server has, until it says under this number that they are safe.
    fn hold(&mut self, _number: u64, batch: Batch, queue: &Queue) {
        queue.again(batch);
    }

    /// Asks for what is held, if it is time to; says when it is the next time, where something is held.
    fn tend(&mut self, _queue: &Queue) -> Option<Duration> {
        None
    }

    /// Whether so much is held that nothing can be sent.
    fn is_full(&self) -> bool {
        false
    }

    /// Reads secrets again; says whether there are others now.
    fn refresh(&mut self) -> bool {
        false
    }
}

/// What became of lines that were sent.
pub(super) enum Outcome {
    /// The server has taken all of them.
    Taken,
    /// The server has them, and will say under this number when they are safe.
    Held(u64),
    /// Each has a fate of its own, and if there is one that is to be sent again, this is why.
    Each(Vec<Fate>, Option<Fault>),
    /// The request is too large.
    TooLarge(String),
    /// One line spoils the others: that of this number, if the server says which.
    Spoilt(Option<usize>, String),
    /// None was taken, or nobody knows.
    Failed(Fault),
}

/// What became of one line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    Taken,
    Again,
    /// The server will never take it.
    Rejected(String),
}

/// The time until the next attempt, longer with each.
#[derive(Default)]
pub(super) struct Backoff {
    failures: u32,
}

/// Pauses between attempts.
const MIN_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// Longest that a server is let alone because it says so.
const MAX_ASKED_PAUSE: Duration = Duration::from_secs(300);
/// While a person has to mend something. Attempts in vain may lock an account.
const REFUSED_PAUSE: Duration = Duration::from_secs(30);
/// Between two looks at secrets meanwhile.
const SECRET_INTERVAL: Duration = Duration::from_secs(1);
/// So often a request is broken until it is tried in smaller ones: a server may end the connection on what is too large.
const BROKEN_BEFORE_HALVES: u32 = 3;
/// Not in smaller ones than this.
const MIN_HALVED: usize = 64 * 1024;

impl Backoff {
    /// How long to wait after one more failure.
    pub(super) fn next(&mut self, asked: Option<Duration>) -> Duration {
        let pause = MIN_PAUSE.saturating_mul(1 << self.failures.min(7)).min(MAX_PAUSE);
        self.failures += 1;
        // Connections that failed together shall not all come back together.
        let share = RandomState::new().hash_one(self.failures) % 512 + 512;
        let pause = pause * share as u32 / 1024;
        asked.map_or(pause, |asked| asked.min(MAX_ASKED_PAUSE).max(pause))
    }

    fn reset(&mut self) {
        self.failures = 0;
    }
}

/// Sends until the end.
pub(super) fn run(queue: &Arc<Queue>, mut courier: Box<dyn Courier>) {
    let _guard = Guard(queue);
    loop {
        let next = courier.tend(queue);
        if courier.is_full() {
            if !queue.pause(next.unwrap_or(MIN_PAUSE)) {
                return;
            }
            continue;
        }
        match queue.take(next) {
            Work::Batch(batch) => {
                if deliver(queue, courier.as_mut(), batch).is_none() {
                    return;
                }
            }
            Work::Nothing => {}
            Work::End => return,
        }
    }
}

/// Without one of its threads the rest would wait for ever.
struct Guard<'a>(&'a Queue);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail("a thread that sends has failed; please report this".to_owned());
        }
    }
}

/// Sends lines until each is done; `None` at the end.
fn deliver(queue: &Queue, courier: &mut dyn Courier, batch: Batch) -> Option<()> {
    let (mut pieces, mut backoff, mut broken) = (vec![batch], Backoff::default(), 0);
    while let Some(piece) = pieces.pop() {
        let fault = match courier.send(&piece, queue) {
            Outcome::Taken => {
                queue.taken(&piece);
                None
            }
            Outcome::Held(number) => {
                courier.hold(number, piece, queue);
                None
            }
            Outcome::Each(fates, fault) => {
                let with = |wanted: &dyn Fn(&Fate) -> bool| piece.pick(|number| fates.get(number).is_some_and(wanted));
                let taken = with(&|fate| *fate == Fate::Taken);
                if !taken.is_empty() {
                    queue.taken(&taken);
                    backoff.reset();
                }
                for (number, fate) in fates.iter().enumerate() {
                    if let Fate::Rejected(reason) = fate {
                        queue.reject(&piece.one(number), reason);
                    }
                }
                let again = with(&|fate| *fate == Fate::Again);
                if !again.is_empty() {
                    pieces.push(again);
                }
                fault
            }
            Outcome::TooLarge(reason) | Outcome::Spoilt(_, reason) if piece.len() == 1 => {
                queue.reject(&piece, &reason);
                None
            }
            Outcome::TooLarge(_) => {
                queue.shrink(piece.text().len());
                halve(&piece, &mut pieces);
                continue;
            }
            Outcome::Spoilt(Some(number), _) if number < piece.len() => {
                // By itself it shows whether it is the one.
                pieces.push(piece.one(number));
                let others = [piece.pick(|other| other > number), piece.pick(|other| other < number)];
                pieces.extend(others.into_iter().filter(|others| !others.is_empty()));
                continue;
            }
            Outcome::Spoilt(..) => {
                halve(&piece, &mut pieces);
                continue;
            }
            Outcome::Failed(fault) => {
                broken += u32::from(fault.kind == FaultKind::Broken);
                if broken % BROKEN_BEFORE_HALVES == 0
                    && broken > 0
                    && piece.text().len() > MIN_HALVED
                    && piece.len() > 1
                {
                    halve(&piece, &mut pieces);
                } else {
                    pieces.push(piece);
                }
                Some(fault)
            }
        };
        let Some(fault) = fault else {
            queue.say_well();
            backoff.reset();
            continue;
        };
        queue.counts().retries.fetch_add(1, Ordering::Relaxed);
        queue.say_trouble(&fault);
        if fault.kind.needs_a_person() {
            wait_for_a_person(queue, courier)?;
        } else if !queue.pause(backoff.next(fault.retry_after)) {
            return None;
        }
    }
    Some(())
}

/// Two requests of one.
fn halve(piece: &Batch, pieces: &mut Vec<Batch>) {
    let middle = piece.len() / 2;
    pieces.push(piece.pick(|number| number >= middle));
    pieces.push(piece.pick(|number| number < middle));
}

/// Waits, at the longest until there are other secrets.
fn wait_for_a_person(queue: &Queue, courier: &mut dyn Courier) -> Option<()> {
    let until = Instant::now() + REFUSED_PAUSE;
    while Instant::now() < until {
        if courier.refresh() {
            return Some(());
        }
        let wakes = queue.wakes();
        if !queue.pause(SECRET_INTERVAL) {
            return None;
        }
        if queue.wakes() != wakes {
            courier.refresh();
            return Some(());
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_have_an_end() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..40).map(|_| backoff.next(None)).collect();
        assert!(pauses[0] <= MIN_PAUSE && pauses[0] >= MIN_PAUSE / 2, "{pauses:?}");
        assert!(pauses.iter().all(|pause| *pause <= MAX_PAUSE) && pauses[39] >= MAX_PAUSE / 2, "{pauses:?}");
        assert_eq!(backoff.next(Some(Duration::from_secs(20))), Duration::from_secs(20));
        assert_eq!(backoff.next(Some(Duration::from_secs(86_400))), MAX_ASKED_PAUSE);
        backoff.reset();
        assert!(backoff.next(Some(Duration::ZERO)) <= MIN_PAUSE);
    }
}
