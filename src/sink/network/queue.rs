//! What waits to be sent, what is on its way, and what is done.
//!
//! The sink hands over chunks of lines, and waits while too much waits already. A connection that is idle takes what is
//! there at once, up to the size of a request: so requests are small while little comes and large while much does. Every
//! line belongs to a chunk, and a chunk is done when each of its lines was taken by the server or written down as rejected.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::batch::Batch;
use super::fault::{Fault, FaultKind};
use super::rejected::Rejected;
use crate::observe::Writing;
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
    /// The server has not said in time that what it took is safe, and nothing was done with since.
    is_unacknowledged: bool,
}

/// A request is not made smaller than this because the server finds it too large.
const MIN_REQUEST: usize = 64 * 1024;
/// How late it is noticed that patience has ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// What goes on is said this often.
const SAY_INTERVAL: Duration = Duration::from_secs(60);
const UNACKNOWLEDGED: &str = "it does not acknowledge what it was sent";

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

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn rejected(&self) -> &Rejected {
        &self.rejected
    }

    /// Hands lines over; waits while too many wait.
    ///
    /// # Errors
    /// They can never be sent, or patience has ended.
    pub(super) fn put(&self, lines: &[u8]) -> Result<(), SinkError> {
        // A server that neither takes nor refuses is waited for here although no commit waits for it yet.
        let _held_up = self.patience.waiting().held_up();
        let mut rest = lines;
        while !rest.is_empty() {
            let mut state = self.lock();
            let (text, others) = loop {
                let room = self.capacity.saturating_sub(state.waiting_bytes);
                let end = if rest.len() <= room { rest.len() } else { end_of_lines(rest, room) };
                match rest.split_at(end) {
                    // A line that is longer than that is taken as soon as none waits.
                    ([], _) if state.waiting_bytes == 0 => break rest.split_at(end_of_first(rest)),
                    ([], _) => state = self.look(state)?,
                    parts => break parts,
                }
            };
            self.check(&state)?;
            let (number, count) = (state.chunks, lines_of(text).count());
            state.chunks += 1;
            state.waiting_bytes += text.len();
            state.waiting.push_back(Chunk { number, text: text.to_vec(), at: 0 });
            state.undone.insert(number, count);
            drop(state);
            self.counts.in_flight.fetch_add(count as u64, Ordering::Relaxed);
            self.work.notify_one();
            rest = others;
        }
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
        let _sending = self.patience.waiting().sending();
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
        let mut trouble = self.lock_trouble();
        if std::mem::take(&mut trouble.is_unacknowledged) && trouble.since.is_none() {
            self.patience.waiting().over(Path::new(&self.name));
        }
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
        let mut trouble = self.lock_trouble();
        self.patience.waiting().refused(Path::new(&self.name), || fault.to_string());
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

    /// Notes that the server does not say that what it took is safe, until something is done with.
    pub(super) fn note_unacknowledged(&self) {
        let mut trouble = self.lock_trouble();
        trouble.is_unacknowledged = true;
        if trouble.since.is_none() {
            self.patience.waiting().refused(Path::new(&self.name), || UNACKNOWLEDGED.to_owned());
        }
    }

    /// Notes that a write begins to what may read it as slowly as it likes.
    pub(super) fn writing(&self) -> Writing<'_> {
        self.patience.writing(Path::new(&self.name))
    }

    /// Something was taken.
    pub(super) fn say_well(&self) {
        let mut trouble = self.lock_trouble();
        let Some(since) = trouble.since.take() else { return };
        match trouble.is_unacknowledged {
            true => self.patience.waiting().refused(Path::new(&self.name), || UNACKNOWLEDGED.to_owned()),
            false => self.patience.waiting().over(Path::new(&self.name)),
        }
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

    fn lock_trouble(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
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

/// Where the last line ends that does so within so many bytes.
fn end_of_lines(text: &[u8], bytes: usize) -> usize {
    memchr::memrchr(b'\n', &text[..bytes]).map_or(0, |end| end + 1)
}

fn end_of_first(text: &[u8]) -> usize {
    memchr::memchr(b'\n', text).map_or(text.len(), |end| end + 1)
}

fn lines_of(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(request_size: usize, rejected: PathBuf) -> Arc<Queue> {
        let (name, patience) = ("server".to_owned(), Patience::none());
        Arc::new(Queue::new(name, request_size, 1, rejected, Arc::default(), patience))
    }

    fn batch(queue: &Queue) -> String {
        let Work::Batch(batch) = queue.take(Some(Duration::ZERO)) else { return String::new() };
        queue.taken(&batch);
        String::from_utf8(batch.text().to_vec()).unwrap()
    }

    #[test]
    fn requests_hold_whole_lines_up_to_their_size_and_one_at_least() {
        let queue = queue(10, PathBuf::new());
        queue.put(b"one\ntwo\n").unwrap();
        assert_eq!(batch(&queue), "one\ntwo\n");
        let shared = Arc::clone(&queue);
        let putting = std::thread::spawn(move || {
            shared.put(b"a line that is longer than a request\n").unwrap();
            shared.put(b"three\nfour\nfive\n").unwrap();
            shared.put(b"six\n").unwrap();
        });
        let mut sent: Vec<String> = Vec::new();
        while sent.concat().len() < 57 {
            sent.extend(Some(batch(&queue)).filter(|text| !text.is_empty()));
        }
        putting.join().unwrap();
        assert_eq!(sent.concat(), "a line that is longer than a request\nthree\nfour\nfive\nsix\n");
        assert!(sent[1..].iter().all(|text| text.len() <= 10), "{sent:?}");
        queue.wait_for(queue.handed_over()).unwrap();
    }

    #[test]
    fn everything_before_a_moment_is_done_when_each_line_is() {
        let folder = tempfile::tempdir().unwrap();
        let queue = queue(100, folder.path().join("rejected"));
        queue.put(b"one\ntwo\n").unwrap();
        let moment = queue.handed_over();
        queue.put(b"three\n").unwrap();
        let Work::Batch(all) = queue.take(None) else { panic!("nothing") };
        assert_eq!(all.len(), 3);
        queue.taken(&all.pick(|number| number == 0));
        queue.reject(&all.pick(|number| number == 1), "why");
        // The third is still on its way.
        queue.wait_for(moment).unwrap();
        assert_eq!(queue.counts().in_flight.load(Ordering::Relaxed), 1);
        queue.again(all.pick(|number| number == 2));
        assert_eq!(batch(&queue), "three\n");
        queue.wait_for(queue.handed_over()).unwrap();
        let rejected = std::fs::read_to_string(folder.path().join("rejected")).unwrap();
        assert_eq!(rejected, "{\"reason\":\"why\",\"text\":\"two\"}\n");
    }

    #[test]
    fn what_cannot_go_on_says_so_to_whoever_waits() {
        let queue = queue(10, PathBuf::new());
        queue.put(b"one\n").unwrap();
        let waiting = {
            let queue = Arc::clone(&queue);
            std::thread::spawn(move || queue.wait_for(1).unwrap_err().to_string())
        };
        queue.say_trouble(&Fault::new(FaultKind::Refused, "status 401"));
        assert_eq!(waiting.join().unwrap(), "server: cannot write: status 401");
        assert!(queue.put(b"two\n").is_err());
        assert!(matches!(queue.take(None), Work::End));
    }
}
