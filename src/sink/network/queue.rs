//! What waits to be sent, what is on its way, and what is done.
//!
//! The sink hands over chunks of lines, and waits while too much waits already. A connection that is idle takes what is
//! there at once, up to the size of a request: so requests are small while little comes and large while much does. Every
//! line belongs to a chunk, and a chunk is done when each of its lines was taken by the server or written down as rejected.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::batch::Batch;
use super::fault::{Fault, FaultKind};
use super::rejected::Rejected;
use crate::sink::{Patience, SinkError};

/// What a network output has done so far.
#[derive(Debug, Default)]
pub struct NetworkCounts {
    /// Requests that were sent, again and again where that was needed.
    pub requests: AtomicU64,
    /// Bytes of their bodies.
    pub bytes: AtomicU64,
    /// Requests, or parts of them, that had to be sent again.
    pub retries: AtomicU64,
    /// Lines that the server has taken.
    pub taken: AtomicU64,
    /// Lines that it will never take, which are in the file of rejected ones.
    pub rejected: AtomicU64,
    /// Lines that were handed over and are neither.
    pub in_flight: AtomicU64,
}

/// Shared by the sink and the threads that send.
pub(super) struct Queue {
    state: Mutex<State>,
    /// There is something to send, or it is the end.
    work: Condvar,
    /// Something was done, or has failed.
    progress: Condvar,
    /// A pause is over before its time.
    wake: Condvar,
    /// Where lines go, for messages.
    name: String,
    patience: Patience,
    /// Bytes that may wait.
    capacity: usize,
    /// Bytes of one request, which a server may ask to be fewer.
    request_size: AtomicUsize,
    rejected: Rejected,
    counts: Arc<NetworkCounts>,
    trouble: Mutex<Trouble>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Chunk>,
    waiting_bytes: usize,
    /// What was sent before, and has to be sent again.
    again: VecDeque<Batch>,
    /// For each chunk the lines that are not done.
    undone: BTreeMap<u64, usize>,
    chunks: u64,
    /// How often pauses were ended.
    wakes: u64,
    closing: bool,
    failed: Option<String>,
}

/// What a connection has to do.
pub(super) enum Work {
    Batch(Batch),
    /// Nothing came.
    Nothing,
    /// Nothing more will come.
    End,
}

/// Lines as the sink handed them over.
struct Chunk {
    number: u64,
    text: Vec<u8>,
    /// What of them was taken.
    at: usize,
}

/// What was said of the server, so that it is not said again and again.
#[derive(Default)]
struct Trouble {
    since: Option<Instant>,
    said: HashMap<FaultKind, Instant>,
    is_said: bool,
}

/// A request is not made smaller than this because the server finds it too large.
const MIN_REQUEST: usize = 64 * 1024;
/// How late it is noticed that patience has ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// What goes on is said this often.
const SAY_INTERVAL: Duration = Duration::from_secs(60);

impl NetworkCounts {
    /// Says what was done.
    pub fn say(&self) {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        tracing::info!(
            requests = of(&self.requests),
            bytes = of(&self.bytes),
            taken = of(&self.taken),
            retries = of(&self.retries),
            rejected = of(&self.rejected),
            "what was sent"
        );
    }
}

impl Queue {
    pub(super) fn new(
        name: String,
        request_size: usize,
        connections: usize,
        rejected: PathBuf,
        counts: Arc<NetworkCounts>,
        patience: Patience,
    ) -> Self {
        Self {
            state: Mutex::default(),
            work: Condvar::new(),
            progress: Condvar::new(),
            wake: Condvar::new(),
            name,
            patience,
            capacity: request_size.saturating_mul(connections),
            request_size: AtomicUsize::new(request_size),
            rejected: Rejected::new(rejected),
            counts,
            trouble: Mutex::default(),
        }
    }

    pub(super) fn counts(&self) -> &NetworkCounts {
        &self.counts
    }

    pub(super) fn rejected(&self) -> &Rejected {
        &self.rejected
    }

    /// Hands lines over; waits while too many wait.
    ///
    /// # Errors
    /// They can never be sent, or patience has ended.
    pub(super) fn put(&self, lines: &[u8]) -> Result<(), SinkError> {
        let count = lines_of(lines).count();
        let mut state = self.lock();
        while state.waiting_bytes > 0 && state.waiting_bytes.saturating_add(lines.len()) > self.capacity {
            state = self.look(state)?;
        }
        self.check(&state)?;
        let number = state.chunks;
        state.chunks += 1;
        state.waiting_bytes += lines.len();
        state.waiting.push_back(Chunk { number, text: lines.to_vec(), at: 0 });
        state.undone.insert(number, count);
        drop(state);
        self.counts.in_flight.fetch_add(count as u64, Ordering::Relaxed);
        self.work.notify_one();
        Ok(())
    }

    /// The number of the next chunk: those before it were handed over.
    pub(super) fn handed_over(&self) -> u64 {
        self.lock().chunks
    }

    /// Waits until every chunk before this one is done.
    ///
    /// # Errors
    /// That will never be, or patience has ended.
    pub(super) fn wait_for(&self, chunk: u64) -> Result<(), SinkError> {
        let mut state = self.lock();
        while state.undone.first_key_value().is_some_and(|(first, _)| *first < chunk) {
            state = self.look(state)?;
        }
        self.check(&state)?;
        drop(state);
        self.rejected.sync()
    }

    /// What is to be sent next, up to the size of a request; waits for it, and for so long at the most.
    pub(super) fn take(&self, most: Option<Duration>) -> Work {
        let (until, mut state) = (most.map(|most| Instant::now() + most), self.lock());
        loop {
            if state.closing || state.failed.is_some() {
                return Work::End;
            }
            if let Some(batch) = state.again.pop_front() {
                return Work::Batch(batch);
            }
            if !state.waiting.is_empty() {
                let batch = state.cut(self.request_size.load(Ordering::Relaxed));
                drop(state);
                self.progress.notify_all();
                return Work::Batch(batch);
            }
            state = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                None => self.work.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => return Work::Nothing,
                Some(left) => self.work.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }

    /// Lines are done with: taken or rejected.
    pub(super) fn done(&self, batch: &Batch) {
        let mut state = self.lock();
        for chunk in batch.chunks() {
            if let Some(left) = state.undone.get_mut(&chunk) {
                *left -= 1;
                if *left == 0 {
                    state.undone.remove(&chunk);
                }
            }
        }
        drop(state);
        self.counts.in_flight.fetch_sub(batch.len() as u64, Ordering::Relaxed);
        self.progress.notify_all();
    }

    /// The server has taken lines.
    pub(super) fn taken(&self, batch: &Batch) {
        self.counts.taken.fetch_add(batch.len() as u64, Ordering::Relaxed);
        self.done(batch);
    }

    /// The server will never take these lines, which is written down.
    pub(super) fn reject(&self, batch: &Batch, reason: &str) {
        for line in batch.lines() {
            if let Err(error) = self.rejected.write(line, reason, &self.patience) {
                return self.fail(error.to_string());
            }
        }
        let before = self.counts.rejected.fetch_add(batch.len() as u64, Ordering::Relaxed);
        if before == 0 {
            tracing::error!(
                output = self.name,
                reason,
                path = %self.rejected.path().display(),
                "a line was rejected; this one and all others that are go into this file"
            );
        }
        self.done(batch);
    }

    /// Lines that the server may have got are to be sent again.
    pub(super) fn again(&self, batch: Batch) {
        self.counts.retries.fetch_add(1, Ordering::Relaxed);
        self.lock().again.push_back(batch);
        self.work.notify_one();
    }

    /// The server finds a request of this size too large.
    pub(super) fn shrink(&self, too_large: usize) {
        self.request_size.fetch_min((too_large / 2).max(MIN_REQUEST), Ordering::Relaxed);
    }

    /// Waits, unless somebody wakes whoever waits, or it is the end; says whether to go on.
    pub(super) fn pause(&self, time: Duration) -> bool {
        let (until, mut state) = (Instant::now() + time, self.lock());
        let wakes = state.wakes;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if state.closing || state.failed.is_some() {
                return false;
            }
            if left.is_zero() || state.wakes > wakes {
                return true;
            }
            state = self.wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Ends all pauses: something may have been mended.
    pub(super) fn wake(&self) {
        self.lock().wakes += 1;
        self.wake.notify_all();
    }

    /// How often pauses were ended.
    pub(super) fn wakes(&self) -> u64 {
        self.lock().wakes
    }

    /// Nothing more is to be sent.
    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.notify();
    }

    /// It cannot go on.
    pub(super) fn fail(&self, why: String) {
        self.lock().failed.get_or_insert(why);
        self.notify();
    }

    /// Says what keeps lines from being taken, unless that was just said. Where nobody waits, what only a person can mend
    /// is the end.
    pub(super) fn say_trouble(&self, fault: &Fault) {
        if fault.kind.needs_a_person() && !self.patience.waits() {
            return self.fail(fault.to_string());
        }
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.since.get_or_insert_with(Instant::now);
        if trouble.said.get(&fault.kind).is_some_and(|said| said.elapsed() < SAY_INTERVAL) {
            return;
        }
        trouble.said.insert(fault.kind, Instant::now());
        trouble.is_said = true;
        drop(trouble);
        let (output, why) = (&self.name, fault.to_string());
        if fault.kind.needs_a_person() {
            tracing::error!(output, why, "nothing is taken until this is mended; what comes waits");
        } else {
            tracing::warn!(output, why, "cannot deliver; trying again, and what comes waits");
        }
    }

    /// Something was taken.
    pub(super) fn say_well(&self) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(since) = trouble.since.take() else { return };
        if std::mem::take(&mut trouble.is_said) {
            tracing::info!(output = self.name, seconds = since.elapsed().as_secs(), "delivering again");
        }
    }

    fn notify(&self) {
        self.work.notify_all();
        self.progress.notify_all();
        self.wake.notify_all();
    }

    /// Waits a little for something to be done.
    fn look<'a>(&self, state: MutexGuard<'a, State>) -> Result<MutexGuard<'a, State>, SinkError> {
        self.check(&state)?;
        if self.patience.has_ended() {
            return Err(self.error(io::Error::new(io::ErrorKind::TimedOut, "not everything was taken in time")));
        }
        Ok(self.progress.wait_timeout(state, LOOK_INTERVAL).unwrap_or_else(PoisonError::into_inner).0)
    }

    fn check(&self, state: &State) -> Result<(), SinkError> {
        state.failed.as_ref().map_or(Ok(()), |why| Err(self.error(io::Error::other(why.clone()))))
    }

    fn error(&self, source: io::Error) -> SinkError {
        SinkError { path: PathBuf::from(&self.name), source }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes lines from the front, one at least.
    fn cut(&mut self, size: usize) -> Batch {
        let mut batch = Batch::default();
        while let Some(chunk) = self.waiting.front_mut() {
            for line in lines_of(&chunk.text[chunk.at..]) {
                if !batch.is_empty() && batch.text().len() + line.len() > size {
                    return batch;
                }
                batch.push(line, chunk.number);
                chunk.at += line.len();
                self.waiting_bytes -= line.len();
            }
            self.waiting.pop_front();
        }
        batch
    }
}

fn lines_of(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n')
}
