//! What the stages count, in one place.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::Waiting;
use crate::encode::Counts;
use crate::model::EventTime;
use crate::rdap::AskedCounts;
use crate::sink::network::NetworkCounts;
use crate::source::tail::{FileState, TailCounts};

/// Numbers that stages tell and others ask for. It is locked for as long as a few numbers take to copy.
#[derive(Debug)]
pub struct Metrics {
    started: Instant,
    numbers: Mutex<Numbers>,
    waiting: Arc<Waiting>,
    /// Of an output that is a server.
    network: OnceLock<Arc<NetworkCounts>>,
    phase: AtomicU8,
    /// Milliseconds since the start: when the reading last came round.
    round: AtomicU64,
    /// Since when the sink is busy with one chunk or commit; 0 while it is not.
    sink_busy: AtomicU64,
    /// Since when a commit is under way; 0 while there is none.
    commit_busy: AtomicU64,
    /// Milliseconds between two commits.
    commit_interval: AtomicU64,
}

/// How far a run has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Knowledge, the state and the output are being opened.
    Starting = 0,
    /// Lines flow.
    Running = 1,
    /// It was told to stop, and ends in order.
    Stopping = 2,
}

/// Everything that is counted, as it is at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers {
    pub(super) counts: Counts,
    /// Bytes of lines that went to the output.
    pub(super) written_bytes: u64,
    /// Alerts forgotten to stay within bounds.
    pub(super) alerts_evicted: u64,
    pub(super) journal_bytes: u64,
    pub(super) reading: Reading,
    pub(super) commits: Commits,
    pub(super) feeds: Vec<FeedNumbers>,
    pub(super) asked: Option<AskedCounts>,
}

/// What the reading side tells, once a second.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Inputs in the order of their names, [`Reading::MAX_INPUTS`] and one for all others.
    pub inputs: Vec<InputNumbers>,
    /// Files by what they are to the tail.
    pub files: BTreeMap<FileState, u64>,
    /// What the tail counted.
    pub tail: TailCounts,
    /// Connections to sockets, and standard input, that are open.
    pub connections: u64,
    /// What cannot be read, in words, the first few of it.
    pub unreadable: Vec<String>,
    /// Sessions that wait for their certificate.
    pub held: u64,
    /// Entries of history and certificates forgotten to stay within bounds.
    pub evicted: u64,
    /// Chunks and commits that the sink has not taken yet.
    pub queued: u64,
}

/// How far certsift is with one input.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InputNumbers {
    /// Its path, at most [`InputNumbers::MAX_NAME`] bytes of it.
    pub input: String,
    /// Bytes that are there and not judged yet, where that can be known.
    pub lag_bytes: Option<u64>,
    /// The largest time of its records.
    pub newest: Option<EventTime>,
}

/// A file of knowledge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FeedNumbers {
    /// Its name.
    pub feed: String,
    /// Rows that are in force.
    pub rows: u64,
    /// When the file was changed last.
    pub modified: Option<EventTime>,
    /// It cannot be used as it is: nothing of it is in force, or what was before.
    pub failed: bool,
}

/// How long commits took.
#[derive(Clone, Debug, Default)]
pub(super) struct Commits {
    /// By bucket, each with what fits into it and into no smaller one.
    pub(super) buckets: [u64; COMMIT_BUCKETS.len()],
    pub(super) count: u64,
    pub(super) sum: Duration,
    pub(super) last: Option<SystemTime>,
}

/// Upper bounds of the buckets, in seconds.
pub(super) const COMMIT_BUCKETS: [f64; 9] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

impl Reading {
    /// Inputs that are told apart.
    pub const MAX_INPUTS: usize = 64;
    /// What the others are called together.
    pub const OTHERS: &str = "other";
    /// Inputs of which is said why they cannot be read.
    pub const MAX_UNREADABLE: usize = 3;

    /// Takes the numbers of inputs, of which several may have one name: what was renamed is read to its end under the
    /// name that it had.
    pub fn set_inputs(&mut self, inputs: impl IntoIterator<Item = InputNumbers>) {
        let mut by_name: BTreeMap<String, InputNumbers> = BTreeMap::new();
        for mut input in inputs {
            input.input = InputNumbers::shortened(input.input);
            match by_name.get_mut(&input.input) {
                Some(known) => known.add(&input),
                None => drop(by_name.insert(input.input.clone(), input)),
            }
        }
        let mut inputs: Vec<_> = by_name.into_values().collect();
        if inputs.len() > Self::MAX_INPUTS {
            let mut others = InputNumbers { input: Self::OTHERS.to_owned(), lag_bytes: None, newest: None };
            inputs.drain(Self::MAX_INPUTS..).for_each(|input| others.add(&input));
            inputs.push(others);
        }
        self.inputs = inputs;
    }
}

impl InputNumbers {
    /// Bytes of a name; of a longer one the end is kept, which tells files apart.
    pub const MAX_NAME: usize = 256;

    fn shortened(name: String) -> String {
        if name.len() <= Self::MAX_NAME {
            return name;
        }
        let mut from = name.len() - (Self::MAX_NAME - '…'.len_utf8());
        while !name.is_char_boundary(from) {
            from += 1;
        }
        format!("…{}", &name[from..])
    }

    fn add(&mut self, other: &Self) {
        self.lag_bytes = match (self.lag_bytes, other.lag_bytes) {
            (Some(one), Some(other)) => Some(one + other),
            (one, other) => one.or(other),
        };
        self.newest = self.newest.max(other.newest);
    }

    /// Seconds between a moment and the newest record that was read, while something is there that was not; else 0.
    pub(super) fn lag_seconds(&self, now: EventTime) -> Option<f64> {
        let newest = self.newest.filter(|_| self.lag_bytes != Some(0));
        self.lag_bytes.map(|_| newest.map_or(0.0, |newest| seconds_between(newest, now)))
    }
}

/// Seconds from one time to another; none where the first is the later one.
pub(super) fn seconds_between(from: EventTime, to: EventTime) -> f64 {
    to.0.saturating_sub(from.0).max(0) as f64 / 1e9
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            numbers: Mutex::default(),
            waiting: Arc::default(),
            network: OnceLock::new(),
            phase: AtomicU8::new(Phase::Starting as u8),
            round: AtomicU64::new(0),
            sink_busy: AtomicU64::new(0),
            commit_busy: AtomicU64::new(0),
            commit_interval: AtomicU64::new(0),
        }
    }
}

impl Metrics {
    /// Feeds that are told apart.
    pub const MAX_FEEDS: usize = 128;

    /// What became of everything that was written.
    pub fn counts(&self) -> Counts {
        self.lock().counts.clone()
    }

    /// Says how far the run has come.
    pub fn set_phase(&self, phase: Phase) {
        self.come_round();
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Says how often commits are to follow each other.
    pub fn set_commit_interval(&self, interval: Duration) {
        let millis = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        self.commit_interval.store(millis, Ordering::Relaxed);
    }

    /// Takes what is known of files of knowledge. Of several with one name the oldest counts, and the rows of all.
    pub fn set_feeds(&self, feeds: impl IntoIterator<Item = FeedNumbers>) {
        let mut by_name: BTreeMap<String, FeedNumbers> = BTreeMap::new();
        for mut feed in feeds {
            feed.feed = InputNumbers::shortened(feed.feed);
            let is_full = by_name.len() >= Self::MAX_FEEDS;
            match by_name.get_mut(&feed.feed) {
                Some(known) => {
                    known.rows += feed.rows;
                    known.failed |= feed.failed;
                    known.modified = [known.modified, feed.modified].into_iter().flatten().min();
                }
                None if is_full => {}
                None => drop(by_name.insert(feed.feed.clone(), feed)),
            }
        }
        self.lock().feeds = by_name.into_values().collect();
    }

    /// Says where a network output counts what it sends.
    pub fn set_network(&self, counts: Arc<NetworkCounts>) {
        // There is one, from the start to the end.
        let _ = self.network.set(counts);
    }

    /// Takes what the reading side tells.
    pub fn set_reading(&self, reading: Reading, asked: Option<AskedCounts>) {
        let mut numbers = self.lock();
        (numbers.reading, numbers.asked) = (reading, asked);
    }

    /// The reading has come round once more.
    pub fn come_round(&self) {
        self.round.store(self.clock(), Ordering::Relaxed);
    }

    /// The sink begins with a chunk or a commit.
    pub(crate) fn sink_begins(&self) {
        self.sink_busy.store(self.clock(), Ordering::Relaxed);
    }

    /// The sink has written a chunk.
    pub(crate) fn sink_wrote(&self, counts: &Counts, bytes: usize, alerts_evicted: u64, journal_bytes: u64) {
        self.sink_busy.store(0, Ordering::Relaxed);
        let mut numbers = self.lock();
        numbers.counts.add(counts);
        numbers.written_bytes += bytes as u64;
        (numbers.alerts_evicted, numbers.journal_bytes) = (alerts_evicted, journal_bytes);
    }

    /// The sink has handed over a commit.
    pub(crate) fn sink_handed_over(&self) {
        self.sink_busy.store(0, Ordering::Relaxed);
        self.lock().journal_bytes = 0;
    }

    /// A commit begins.
    pub(crate) fn commit_begins(&self) {
        self.commit_busy.store(self.clock(), Ordering::Relaxed);
    }

    /// A commit is done.
    pub(crate) fn committed(&self, took: Duration) {
        self.commit_busy.store(0, Ordering::Relaxed);
        let commits = &mut self.lock().commits;
        if let Some(bucket) = COMMIT_BUCKETS.iter().position(|bound| took.as_secs_f64() <= *bound) {
            commits.buckets[bucket] += 1;
        }
        commits.count += 1;
        commits.sum += took;
        commits.last = Some(SystemTime::now());
    }

    /// Where outputs say that they take nothing.
    pub(crate) fn waiting(&self) -> &Arc<Waiting> {
        &self.waiting
    }

    pub(super) fn network(&self) -> Option<&NetworkCounts> {
        self.network.get().map(Arc::as_ref)
    }

    pub(super) fn numbers(&self) -> Numbers {
        self.lock().clone()
    }

    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Starting,
            1 => Phase::Running,
            _ => Phase::Stopping,
        }
    }

    pub(super) fn commit_interval(&self) -> Duration {
        Duration::from_millis(self.commit_interval.load(Ordering::Relaxed))
    }

    /// How long ago the reading came round.
    pub(super) fn since_round(&self) -> Duration {
        self.since(self.round.load(Ordering::Relaxed))
    }

    /// How long the sink has been busy with one thing, if it is.
    pub(super) fn sink_busy(&self) -> Option<Duration> {
        self.busy(&self.sink_busy)
    }

    /// How long a commit has been under way, if one is.
    pub(super) fn commit_busy(&self) -> Option<Duration> {
        self.busy(&self.commit_busy)
    }

    fn busy(&self, since: &AtomicU64) -> Option<Duration> {
        match since.load(Ordering::Relaxed) {
            0 => None,
            millis => Some(self.since(millis)),
        }
    }

    fn since(&self, millis: u64) -> Duration {
        self.started.elapsed().saturating_sub(Duration::from_millis(millis))
    }

    /// Milliseconds since the start, from 1.
    fn clock(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }

    fn lock(&self) -> MutexGuard<'_, Numbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(name: &str, lag_bytes: u64, newest: Option<i64>) -> InputNumbers {
        InputNumbers { input: name.to_owned(), lag_bytes: Some(lag_bytes), newest: newest.map(EventTime::from_seconds) }
    }

    #[test]
    fn inputs_of_one_name_are_one_and_what_is_too_many_is_summed() {
        let mut reading = Reading::default();
        reading.set_inputs([input("b", 5, Some(7)), input("a", 1, None), input("b", 6, Some(3))]);
        assert_eq!(reading.inputs, [input("a", 1, None), input("b", 11, Some(7))]);
        reading.set_inputs((0..200).map(|number| input(&format!("{number:03}"), 1, Some(number))));
        assert_eq!(reading.inputs.len(), Reading::MAX_INPUTS + 1);
        assert_eq!(reading.inputs.last(), Some(&input(Reading::OTHERS, 136, Some(199))));
    }

    #[test]
    fn a_long_name_keeps_its_end() {
        let mut reading = Reading::default();
        let long = format!("/{}/ssl.log", "ü".repeat(4000));
        reading.set_inputs([input(&long, 1, None), input(&format!("x{long}"), 1, None)]);
        let [found] = reading.inputs.as_slice() else { panic!("{}", reading.inputs.len()) };
        assert!(found.input.starts_with('…') && found.input.ends_with("ü/ssl.log"), "{}", found.input);
        assert!(found.input.len() <= InputNumbers::MAX_NAME);
    }

    #[test]
    fn an_input_that_is_read_to_its_end_has_no_lag_however_old_its_records_are() {
        let now = EventTime::from_seconds(1000);
        assert_eq!(input("a", 0, Some(1)).lag_seconds(now), Some(0.0));
        assert_eq!(input("a", 1, Some(990)).lag_seconds(now), Some(10.0));
        assert_eq!(input("a", 1, Some(2000)).lag_seconds(now), Some(0.0), "a clock that is ahead");
        assert_eq!(InputNumbers { lag_bytes: None, ..input("a", 1, Some(990)) }.lag_seconds(now), None);
    }

    #[test]
    fn commits_fall_into_buckets() {
        let metrics = Metrics::default();
        for millis in [1, 5, 300, 60_000] {
            metrics.commit_begins();
            assert!(metrics.commit_busy().is_some());
            metrics.committed(Duration::from_millis(millis));
        }
        let commits = metrics.numbers().commits;
        assert_eq!(commits.buckets, [2, 0, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!((commits.count, commits.sum), (4, Duration::from_millis(60_306)));
        assert!(metrics.commit_busy().is_none() && commits.last.is_some());
    }

    #[test]
    fn feeds_of_one_name_count_together_by_the_oldest() {
        let metrics = Metrics::default();
        let feed = |rows, modified, failed| FeedNumbers {
            feed: "f".to_owned(),
            rows,
            modified: Some(EventTime::from_seconds(modified)),
            failed,
        };
        metrics.set_feeds([feed(3, 20, false), feed(4, 10, true)]);
        assert_eq!(metrics.numbers().feeds, [feed(7, 10, true)]);
        metrics.set_feeds((0..1000).map(|number| FeedNumbers { feed: number.to_string(), ..feed(1, 1, false) }));
        assert_eq!(metrics.numbers().feeds.len(), Metrics::MAX_FEEDS);
    }
}
