//! What the reading side tells of itself, once a second, and that it is alive.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ledger::Positions;
use super::run::Followed;
use crate::correlate::Correlator;
use crate::model::EventTime;
use crate::observe::{InputNumbers, Metrics, Notifier, Phase, Reading};
use crate::rdap::AskedCounts;
use crate::source::streams::{Streams, is_stream};
use crate::source::tail::{FileId, FileState, FileStatus, Tail};

/// The numbers of the reading side, and systemd's ear.
pub(super) struct Gauges {
    metrics: Arc<Metrics>,
    notifier: Notifier,
    next: Instant,
    is_stopping: bool,
    held: u64,
    evicted: u64,
    queued: u64,
    asked: Option<AskedCounts>,
    /// The largest time that came over each socket: a sender may go, and its silence is to be seen.
    sockets: BTreeMap<String, EventTime>,
}

/// Between two looks at all inputs.
const INTERVAL: Duration = Duration::from_secs(1);

impl Gauges {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        let notifier = Notifier::from_environment();
        Self {
            metrics,
            notifier,
            next: Instant::now(),
            is_stopping: false,
            held: 0,
            evicted: 0,
            queued: 0,
            asked: None,
            sockets: BTreeMap::new(),
        }
    }

    /// Everything is open, and lines flow from now on.
    pub(super) fn ready(&mut self) {
        self.metrics.set_phase(Phase::Running);
        self.notifier.ready();
    }

    /// The end has begun.
    pub(super) fn stopping(&mut self) {
        if !std::mem::replace(&mut self.is_stopping, true) {
            self.metrics.set_phase(Phase::Stopping);
            self.notifier.stopping();
        }
    }

    /// Says that reading goes on, and once a second how far it is.
    pub(super) fn look(
        &mut self,
        tail: &Tail,
        streams: &Streams,
        followed: &HashMap<FileId, Followed>,
        positions: &Positions,
    ) {
        self.metrics.come_round();
        self.notifier.alive(&self.metrics);
        let now = Instant::now();
        if now < self.next {
            return;
        }
        self.next = now + INTERVAL;
        let status = tail.status();
        let mut reading = Reading { tail: tail.counts(), held: self.held, evicted: self.evicted, ..Reading::default() };
        reading.queued = self.queued;
        reading.connections = streams.connections();
        for file in &status {
            *reading.files.entry(file.state).or_default() += 1;
        }
        let unreadable = status.iter().filter(|file| file.state == FileState::Unreadable);
        let unreadable = unreadable.filter_map(|file| file.error.clone());
        reading.unreadable = unreadable.take(Reading::MAX_UNREADABLE).collect();
        self.note_sockets(followed);
        let sockets = self.sockets.iter().map(|(input, newest)| InputNumbers {
            input: input.clone(),
            lag_bytes: None,
            newest: Some(*newest),
        });
        let files = status.iter().filter_map(|file| input_of(file, followed, positions));
        reading.set_inputs(files.chain(sockets));
        if self.notifier.is_heard() {
            let behind: u64 = reading.inputs.iter().filter_map(|input| input.lag_bytes).sum();
            let files = status.iter().filter(|file| file.file.is_some()).count();
            self.notifier.status(format!("following {files} files, {behind} bytes behind"));
        }
        self.metrics.set_reading(reading, self.asked);
    }

    /// Takes what the look that comes next is to tell.
    pub(super) fn count(
        &mut self,
        correlator: &Correlator,
        queued: usize,
        asked: impl FnOnce() -> Option<AskedCounts>,
    ) {
        if Instant::now() < self.next {
            return;
        }
        (self.held, self.evicted) = (correlator.held() as u64, correlator.evicted());
        (self.queued, self.asked) = (queued as u64, asked());
    }

    /// Of sockets and standard input it is not known how much there is to read.
    fn note_sockets(&mut self, followed: &HashMap<FileId, Followed>) {
        for (_, known) in followed.iter().filter(|(file, _)| is_stream(**file)) {
            let Some(newest) = known.keys.current() else { continue };
            let before = self.sockets.entry(known.source.path.to_string()).or_insert(newest);
            *before = newest.max(*before);
        }
    }

    /// What is told is told to this.
    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}

/// The numbers of a file that is followed. It keeps the name under which it was met: what was renamed and is read to its
/// end is not another input.
fn input_of(file: &FileStatus, followed: &HashMap<FileId, Followed>, positions: &Positions) -> Option<InputNumbers> {
    let known = followed.get(&file.file?);
    let lag_bytes = match known {
        // What was handed out and not judged yet is behind as well.
        Some(known) if file.state != FileState::Copy => file.size.saturating_sub(known.completed),
        _ => file.lag,
    };
    let input = known.map_or_else(|| file.path.to_string_lossy().into_owned(), |known| known.source.path.to_string());
    let before = || positions.get(&file.stream?)?.keys.current();
    let newest = known.and_then(|known| known.keys.current()).or_else(before);
    Some(InputNumbers { input, lag_bytes: Some(lag_bytes), newest })
}
