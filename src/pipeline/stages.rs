//! The parts that every pipeline has: workers, tickets, the way from judged records to the sink.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, SendTimeoutError, Sender, bounded};

use super::ledger::Ledger;
use super::recovery::OutputChanged;
use crate::correlate::Judged;
use crate::decode::{DecodeContext, RawBatch, decode};
use crate::encode::{Counts, EncodeSettings, Encoded, encode};
use crate::history::Alerts;
use crate::knowledge::Knowledge;
use crate::model::{Batch, Body, SourceInfo, Spare};
use crate::observe::Metrics;
use crate::rdap::{self, Queue};
use crate::sink::{Output, SinkError};
use crate::state::{JournalError, StateChanges, StateError, StateStore, Step};

/// Why a pipeline stopped.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The output cannot be written.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The state cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The output is not what the state says.
    #[error(transparent)]
    Output(#[from] OutputChanged),
    /// The output takes nothing, and certsift was told to stop.
    #[error(
        "not everything could be written within {} s of the signal to stop; the rest is written at the next start, but \
         for what came over sockets or standard input and is in no journal: {why}",
        .patience.as_secs()
    )]
    Unfinished {
        /// How long it was waited for.
        patience: Duration,
        /// What is in the way.
        why: String,
    },
    /// Live files cannot be followed.
    #[error(transparent)]
    Tail(#[from] crate::source::tail::TailError),
    /// A socket cannot be listened on.
    #[error(transparent)]
    Stream(#[from] crate::source::streams::StreamError),
    /// The worker threads cannot be started.
    #[error("cannot start worker threads: {0}")]
    Workers(#[from] rayon::ThreadPoolBuildError),
    /// A thread cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    /// A worker failed, which is a fault of certsift.
    #[error("a worker failed; please report this with the input that caused it")]
    Worker,
}

/// The promise of a value that a worker makes.
pub(super) struct Ticket<T>(Receiver<T>);

/// The worker threads, and what they share.
#[derive(Clone)]
pub(super) struct Workers {
    pool: Arc<rayon::ThreadPool>,
    decode: Arc<DecodeContext>,
    knowledge: Arc<Knowledge>,
    encode: EncodeSettings,
    /// Where domains go that nobody knows.
    unregistered: Option<Arc<Queue>>,
    rooms: Arc<Rooms>,
}

/// Memory for what travels to the sink.
#[derive(Default)]
struct Rooms {
    judged: Spare<Judged>,
    lines: Spare<u8>,
}

/// Collects judged records and sends them through the workers to the sink.
pub(super) struct Encoder {
    workers: Workers,
    sink: Sender<Message>,
    judged: Vec<Judged>,
    bytes: usize,
}

/// The thread that owns the output and the state.
pub(super) struct SinkThread {
    thread: JoinHandle<Result<Finished, PipelineError>>,
    progress: Arc<Progress>,
}

/// How far the sink and its commits have come.
#[derive(Default)]
pub(super) struct Progress {
    /// The number of the last commit that is done.
    pub(super) committed: AtomicU64,
    /// Bytes of journal since the last commit began.
    journal_length: AtomicU64,
    /// A commit failed.
    pub(super) failed: AtomicBool,
    /// What is counted.
    pub(super) metrics: Arc<Metrics>,
}

/// What the sink says at the end.
pub(super) struct Finished {
    pub(super) counts: Counts,
    pub(super) dead_letter_path: Option<std::path::PathBuf>,
    /// Alerts forgotten to stay within bounds.
    pub(super) evicted: u64,
}

enum Message {
    Chunk(Ticket<Encoded>, Option<Box<Step>>),
    Commit(Box<StateChanges>, bool),
}

/// What the sink writes to.
pub(super) enum Sink {
    /// An output that begins anew, the alerts that were raised before, and a state where there is one.
    Plain(Output, Box<Alerts>, Option<Arc<StateStore>>),
    /// An output that goes on, with everything that it takes to write each line once.
    Ledger(Box<Ledger>),
}

/// Records that travel together to the sink, at the most, and their text.
const MAX_CHUNK_RECORDS: usize = 1024;
const MAX_CHUNK_BYTES: usize = 256 * 1024;
/// Chunks that are under way to the sink.
const CHUNKS_IN_FLIGHT: usize = 8;
/// How long a sink that is behind is waited for until something else gets its turn.
const SEND_PAUSE: Duration = Duration::from_millis(100);

impl Progress {
    /// Nothing has happened yet; what will is counted in `metrics`.
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, ..Self::default() }
    }

    fn journal_length(&self) -> u64 {
        self.journal_length.load(Ordering::Relaxed)
    }
}

impl<T> Ticket<T> {
    /// The value, once the worker has made it.
    pub(super) fn redeem(self) -> Result<T, PipelineError> {
        self.0.recv().map_err(|_| PipelineError::Worker)
    }

    /// The value if it is there already, else the ticket back.
    pub(super) fn is_ready(&self) -> bool {
        !self.0.is_empty()
    }
}

impl Workers {
    /// Starts `threads` workers; 0 stands for one per core.
    pub(super) fn start(
        threads: usize,
        knowledge: Arc<Knowledge>,
        encode: EncodeSettings,
    ) -> Result<Self, PipelineError> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|number| format!("worker-{number}"))
            .build()?;
        Ok(Self {
            pool: Arc::new(pool),
            decode: Arc::default(),
            knowledge,
            encode,
            unregistered: None,
            rooms: Arc::default(),
        })
    }

    /// Lets a worker decode lines.
    pub(super) fn decode(&self, source: &Arc<SourceInfo>, raw: RawBatch) -> Ticket<Batch> {
        let (context, source) = (Arc::clone(&self.decode), Arc::clone(source));
        self.spawn(move || decode(&context, &source, raw))
    }

    /// Runs something on all workers and waits for it.
    pub(super) fn install<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.pool.install(work)
    }

    /// Lets registries be asked for domains that nobody knows.
    pub(super) fn ask(&mut self, queue: &Arc<Queue>) {
        self.unregistered = Some(Arc::clone(queue));
    }

    /// Uses other knowledge and settings from now on.
    pub(super) fn renew(&mut self, knowledge: Arc<Knowledge>, encode: EncodeSettings) {
        (self.knowledge, self.encode) = (knowledge, encode);
    }

    /// Uses other knowledge from now on.
    pub(super) fn know(&mut self, knowledge: Arc<Knowledge>) {
        self.knowledge = knowledge;
    }

    /// What decoding shares.
    pub(super) fn decode_context(&self) -> &DecodeContext {
        &self.decode
    }

    fn encode(&self, judged: Vec<Judged>) -> Ticket<Encoded> {
        let (knowledge, mut settings) = (Arc::clone(&self.knowledge), self.encode);
        let (queue, rooms) = (self.unregistered.clone(), Arc::clone(&self.rooms));
        let decode = Arc::clone(&self.decode);
        settings.ask_at = queue.is_some().then(rdap::now);
        self.spawn(move || {
            let encoded = encode(&judged, &knowledge, &settings, rooms.lines.take());
            let batches = batches_of(&judged);
            rooms.judged.give_back(judged);
            // Who has the last record of a batch gives its memory back.
            batches.into_iter().filter_map(Arc::into_inner).for_each(|batch| decode.rooms.give_back(batch));
            if let Some(queue) = queue {
                queue.put(&encoded.unregistered);
            }
            encoded
        })
    }

    fn spawn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Ticket<T> {
        let (sender, receiver) = bounded(1);
        self.pool.spawn_fifo(move || {
            // Nobody waits any more when the pipeline has stopped.
            let _ = sender.send(work());
        });
        Ticket(receiver)
    }
}

impl Encoder {
    /// Takes the next record; the sink gets it with those before and after it.
    ///
    /// # Errors
    /// The sink has stopped; its thread says why.
    pub(super) fn push(&mut self, judged: Judged) -> Result<(), Stopped> {
        self.collect(judged);
        if self.is_full() { self.flush() } else { Ok(()) }
    }

    /// Takes the next record, which stays here until the next flush.
    pub(super) fn collect(&mut self, judged: Judged) {
        // A batch lives as long as one of its records: each counts for its share, of blank lines as well.
        let share = judged.batch.text.len() / judged.batch.records.len().max(1);
        let letter = match judged.batch.records.get(judged.index as usize).map(|record| &record.body) {
            Some(Body::DeadLetter(letter)) => letter.bytes.len(),
            _ => 0,
        };
        self.bytes += share + letter;
        self.judged.push(judged);
    }

    /// Whether a chunk is full.
    pub(super) fn is_full(&self) -> bool {
        self.judged.len() >= MAX_CHUNK_RECORDS || self.bytes >= MAX_CHUNK_BYTES
    }

    /// Whether nothing is collected.
    pub(super) fn is_empty(&self) -> bool {
        self.judged.is_empty()
    }

    /// Sends what was collected.
    pub(super) fn flush(&mut self) -> Result<(), Stopped> {
        if self.judged.is_empty() {
            return Ok(());
        }
        let chunk = self.take();
        self.sink.send(Message::Chunk(chunk, None)).map_err(|_| Stopped)
    }

    /// Sends what was collected with what it did to the state; calls `meanwhile` now and then while the sink is behind.
    pub(super) fn flush_step(&mut self, step: Step, meanwhile: impl FnMut()) -> Result<(), Stopped> {
        let chunk = self.take();
        self.send(Message::Chunk(chunk, Some(Box::new(step))), meanwhile)
    }

    /// Lets the sink commit, once everything before it is written, and open its files by their names again if wanted.
    pub(super) fn commit(
        &mut self,
        changes: StateChanges,
        reopen: bool,
        meanwhile: impl FnMut(),
    ) -> Result<(), Stopped> {
        self.flush()?;
        self.send(Message::Commit(Box::new(changes), reopen), meanwhile)
    }

    /// Chunks and commits that the sink has not taken yet.
    pub(super) fn backlog(&self) -> usize {
        self.sink.len()
    }

    /// Uses other knowledge and settings from now on.
    pub(super) fn renew(&mut self, workers: &Workers) {
        self.workers = workers.clone();
    }

    fn take(&mut self) -> Ticket<Encoded> {
        self.bytes = 0;
        let next = self.workers.rooms.judged.take();
        self.workers.encode(std::mem::replace(&mut self.judged, next))
    }

    fn send(&self, mut message: Message, mut meanwhile: impl FnMut()) -> Result<(), Stopped> {
        loop {
            match self.sink.send_timeout(message, SEND_PAUSE) {
                Ok(()) => return Ok(()),
                Err(SendTimeoutError::Disconnected(_)) => return Err(Stopped),
                Err(SendTimeoutError::Timeout(again)) => message = again,
            }
            meanwhile();
        }
    }
}

/// The batches that records lie in, each once or a few times; of those that hold little text, the memory is not worth it.
fn batches_of(judged: &[Judged]) -> Vec<Arc<Batch>> {
    const WORTH_IT: usize = 32 * 1024;
    /// Files take turns in a merge.
    const LATELY: usize = 4;
    let mut batches: Vec<Arc<Batch>> = Vec::new();
    for Judged { batch, .. } in judged.iter().filter(|judged| judged.batch.text.len() >= WORTH_IT) {
        if !batches.iter().rev().take(LATELY).any(|known| Arc::ptr_eq(known, batch)) {
            batches.push(Arc::clone(batch));
        }
    }
    batches
}

/// The sink has stopped.
#[derive(Debug)]
pub(super) struct Stopped;

impl SinkThread {
    /// Starts the thread; everything that the encoder takes ends up in the sink.
    pub(super) fn start(
        workers: &Workers,
        sink: Sink,
        progress: Arc<Progress>,
    ) -> Result<(Self, Encoder), PipelineError> {
        let (sender, receiver) = bounded(CHUNKS_IN_FLIGHT);
        let (shared, rooms) = (Arc::clone(&progress), Arc::clone(&workers.rooms));
        let thread = std::thread::Builder::new()
            .name("sink".to_owned())
            .spawn(move || sink.write_all(&receiver, &shared, &rooms.lines))
            .map_err(PipelineError::Thread)?;
        let encoder = Encoder { workers: workers.clone(), sink: sender, judged: Vec::new(), bytes: 0 };
        Ok((Self { thread, progress }, encoder))
    }

    /// The number of the last commit that is done.
    pub(super) fn committed(&self) -> u64 {
        self.progress.committed.load(Ordering::Acquire)
    }

    /// Bytes of journal since the last commit began.
    pub(super) fn journal_length(&self) -> u64 {
        self.progress.journal_length()
    }

    /// Whether it has stopped by itself, or cannot go on.
    pub(super) fn has_stopped(&self) -> bool {
        self.has_ended() || self.progress.failed.load(Ordering::Acquire)
    }

    /// Whether the thread has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for the end, once the encoder is gone.
    pub(super) fn finish(self) -> Result<Finished, PipelineError> {
        self.thread.join().map_err(|_| PipelineError::Worker)?
    }
}

impl Sink {
    fn write_all(
        mut self,
        messages: &Receiver<Message>,
        progress: &Progress,
        rooms: &Spare<u8>,
    ) -> Result<Finished, PipelineError> {
        let metrics = &progress.metrics;
        // Sensors of which was said that they cannot be compared with lists of SHA-1.
        let mut told = BTreeSet::new();
        if let Self::Ledger(ledger) = &mut self {
            ledger.send_again()?;
        }
        for message in messages {
            metrics.sink_begins();
            match message {
                Message::Chunk(ticket, step) => {
                    let mut encoded = ticket.redeem()?;
                    match &mut self {
                        Self::Plain(output, alerts, _) => {
                            encoded.settle(|alert| alerts.note(alert));
                            output.write(&encoded.lines, &encoded.dead_letters)?;
                        }
                        Self::Ledger(ledger) => {
                            ledger.step(&mut encoded, step.map(|step| *step).unwrap_or_default())?;
                            progress.journal_length.store(ledger.journal_length(), Ordering::Relaxed);
                        }
                    }
                    for sensor in encoded.counts.without_sha1.keys() {
                        if !told.contains(sensor) && told.len() < Counts::MAX_SOURCES {
                            warn_of_sha1(sensor);
                            told.insert(sensor.clone());
                        }
                    }
                    metrics.sink_wrote(&encoded.counts, encoded.lines.len(), self.evicted(), progress.journal_length());
                    rooms.give_back(encoded.lines);
                }
                Message::Commit(mut changes, reopen) => {
                    match &mut self {
                        Self::Plain(output, alerts, state) => {
                            output.sync()?;
                            if changes.is_whole() {
                                changes.add_alerts(alerts);
                            }
                            if let Some(state) = state {
                                state.commit(&changes, None)?;
                            }
                            progress.committed.store(changes.number, Ordering::Release);
                        }
                        Self::Ledger(ledger) => ledger.commit(changes, reopen)?,
                    }
                    progress.journal_length.store(0, Ordering::Relaxed);
                    metrics.sink_handed_over();
                }
            }
        }
        match &mut self {
            Self::Ledger(ledger) => ledger.finish()?,
            Self::Plain(output, ..) => output.finish()?,
        }
        let dead_letter_path = match &self {
            Self::Plain(output, ..) => output.dead_letter_path(),
            Self::Ledger(ledger) => ledger.dead_letter_path(),
        };
        let dead_letter_path = dead_letter_path.map(Into::into);
        Ok(Finished { counts: metrics.counts(), dead_letter_path, evicted: self.evicted() })
    }

    /// Alerts forgotten so far to stay within bounds.
    fn evicted(&self) -> u64 {
        match self {
            Self::Plain(_, alerts, _) => alerts.evicted(),
            Self::Ledger(ledger) => ledger.evicted(),
        }
    }
}

/// Says once for each sensor what keeps most certificate feeds from being of use.
fn warn_of_sha1(sensor: &str) {
    tracing::warn!(
        sensor,
        "feeds list certificates by SHA-1, and this sensor logs only SHA-256: they cannot be compared; with Zeek set \
         `redef X509::hash_function = sha1_hash;`, or `redef X509::log_x509_in_files_log = T;` and give certsift \
         files.log, whose rows pair both hashes"
    );
}
