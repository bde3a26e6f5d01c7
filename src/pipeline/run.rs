//! Live files as they are written: the order is arrival, and the output is its journal.
//!
//! One thread polls the tail, lets workers decode, correlates what is ready in the order in which it was read, and sends
//! it to the sink, chunk by chunk, each with what it did to the state and how far inputs were read for it. Every few
//! seconds a commit follows through the same queue. While the sink is behind, the tail goes on looking for files, so that
//! what is rotated and deleted meanwhile is held open.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::archives::Looks;
use super::gauges::Gauges;
use super::ledger::{Destination, Known, Ledger, Positions};
use super::peek::{Sensors, file_name, is_one_log};
use super::reload::{ReadAgain, Reloaded, Reloader, Why};
use super::stages::{Encoder, PipelineError, Progress, Sink, SinkThread, Stopped, Ticket, Workers};
use super::stopping::Stopping;
use crate::config::{Config, InputConfig};
use crate::correlate::{Backing, CertificateStore, Correlator, KeyTracker};
use crate::decode::{Detected, detect};
use crate::encode::{Counts, EncodeSettings};
use crate::history::History;
use crate::knowledge::{Answers, Knowledge, KnowledgeFiles};
use crate::model::{Batch, Log, SourceInfo, StreamKey};
use crate::observe::Metrics;
use crate::rdap::{AskedCounts, Asking, Servers};
use crate::sink::network::Prepared;
use crate::sink::{is_rotated_name, is_same_file};
use crate::source::streams::{Bounds, Socket, Streams, is_stream};
use crate::source::tail::{Chunk, FileId, Item, Tail, TailConfig};
use crate::source::{Lines, Splitter, is_named_like_a_log};
use crate::state::{InputPosition, Newest, StateChanges, StateStore, Step};

/// A sidecar, ready to go.
pub struct Run {
    /// Settings.
    pub config: Config,
    /// Knowledge.
    pub knowledge: Arc<Knowledge>,
    /// The files that it was read from, as they were then.
    pub knowledge_files: KnowledgeFiles,
    /// Worker threads; 0 stands for one per core.
    pub threads: usize,
    /// The state.
    pub state: Arc<StateStore>,
    /// The server that records go to, where it is one.
    pub server: Option<Prepared>,
    /// Where dead letters go.
    pub dead_letters: PathBuf,
    /// Set when it is to end: what was written by then is read, written and committed.
    pub stop: Arc<AtomicBool>,
    /// Set when the output is to be opened by its name again, and the configuration to be read again.
    pub reload: Arc<AtomicBool>,
    /// Reads configuration and knowledge again.
    pub read_again: ReadAgain,
    /// Servers of registries, where they are to be asked.
    pub rdap: Option<Servers>,
    /// Where it is told how things go.
    pub metrics: Arc<Metrics>,
}

/// What a run did.
#[derive(Debug)]
pub struct RunOutcome {
    /// What records were.
    pub counts: Counts,
    /// Where dead letters are, if there were any.
    pub dead_letter_path: Option<PathBuf>,
    /// Entries forgotten to stay within bounds.
    pub evicted: u64,
    /// What registries were asked for, where they were.
    pub asked: Option<AskedCounts>,
}

/// Bytes that one poll reads.
const POLL_BYTES: usize = 1024 * 1024;
/// Items that are read and not correlated yet, at the most.
const MAX_UNDERWAY: usize = 8;
/// And this many bytes of them, which only very long lines reach, or one item.
const MAX_UNDERWAY_BYTES: usize = 16 * 1024 * 1024;
/// A journal of this many bytes is a reason to commit.
const MAX_JOURNAL: u64 = 64 * 1024 * 1024;
/// One of this many is a reason to wait for the commit before.
const FULL_JOURNAL: u64 = 256 * 1024 * 1024;
/// Longest sleep when nothing happens: how late a stop is noticed.
const IDLE_WAIT: Duration = Duration::from_millis(100);
/// The same while records wait for the sink to have a hand free.
const BUSY_WAIT: Duration = Duration::from_millis(5);
/// Between two looks into the archives, unless a look takes long: then so many times as long.
const ARCHIVE_INTERVAL: Duration = Duration::from_secs(5);
const ARCHIVE_SHARE: u32 = 100;

/// How long a session waits by the wall clock, at the most, while inputs are behind.
const PATIENCE_MILLIS: u64 = 60_000;
/// Streams that are remembered although no file is open for them.
const MAX_ENDED: usize = 4096;

/// A followed file.
pub(super) struct Followed {
    pub(super) source: Arc<SourceInfo>,
    splitter: Splitter,
    pub(super) keys: KeyTracker,
    /// No line has shown a format yet.
    undecided: bool,
    /// Records before this byte are done with.
    applied: u64,
    /// Where the last item ended that is wholly done with, and which a point for resuming is known of.
    pub(super) completed: u64,
}

/// Lines of one item while workers decode them.
struct Underway {
    file: FileId,
    end_offset: u64,
    bytes: usize,
    batches: VecDeque<Ticket<Batch>>,
    ended: bool,
}

pub(super) struct Running {
    pub(super) config: Config,
    written: Vec<PathBuf>,
    pub(super) workers: Workers,
    pub(super) tail: Tail,
    /// Sockets and standard input.
    streams: Streams,
    followed: HashMap<FileId, Followed>,
    /// How far every stream was read that is known, this process's and those before.
    pub(super) positions: Positions,
    underway: VecDeque<Underway>,
    pub(super) correlator: Correlator,
    pub(super) encoder: Encoder,
    sink: SinkThread,
    /// Files of which something was correlated since the last step.
    touched: BTreeMap<FileId, bool>,
    /// The position of an archive that is being read, if that changed since the last step.
    pub(super) archive: Option<InputPosition>,
    /// Streams that no open file holds, oldest first: a file that is found again is known by them.
    pub(super) ended: VecDeque<StreamKey>,
    /// Streams that the next step forgets.
    gone: Vec<StreamKey>,
    pub(super) newest: Newest,
    /// They changed since the last step.
    newest_changed: bool,
    pub(super) looks: Looks,
    registries: Registries,
    commits: Commits,
    started: Instant,
    stopping: Stopping,
    gauges: Gauges,
}

/// What registries answered, and the thread that asks them.
struct Registries {
    /// What is known without them.
    knowledge: Arc<Knowledge>,
    answers: Arc<Answers>,
    /// Answers that a commit is making durable: its number, how many they are, and what is known with them.
    stored: Option<(u64, usize, Arc<Answers>)>,
    asking: Option<Asking>,
}

/// Commits that are on their way.
struct Commits {
    number: u64,
    last: Instant,
    in_flight: VecDeque<(u64, HashMap<FileId, u64>)>,
    /// How far files are done with since the last commit.
    done: HashMap<FileId, u64>,
    /// Something was sent since the last commit.
    any: bool,
    /// Streams whose position changed since the last commit.
    streams: HashSet<StreamKey>,
    forgotten: Vec<StreamKey>,
}

impl Run {
    /// Follows the configured inputs until it is told to stop.
    ///
    /// # Errors
    /// The output or the state cannot be written, or a pattern cannot be understood.
    pub fn run(self) -> Result<RunOutcome, PipelineError> {
        let asked = Registries::start(&self.config, self.rdap, &self.state, &self.knowledge)?;
        let mut workers = Workers::start(self.threads, asked.knowledge(), self.config.encode_settings())?;
        if let Some(asking) = &asked.asking {
            workers.ask(asking.queue());
        }
        let history = History::new(self.config.history, true);
        let certificates =
            CertificateStore::new(Backing::State(self.state.certificates())).within(self.config.certificate_memory);
        let mut correlator = Correlator::new(self.config.join.clone(), certificates, history, true);
        correlator.set_knowledge(&self.knowledge);
        let mut stopping = Stopping::new(Arc::clone(&self.stop));
        let patience = stopping.patience(self.metrics.waiting());
        let output = self.config.output.path.clone();
        let rejected = self.server.as_ref().map(|server| server.rejected().to_owned());
        let written = output.into_iter().chain(rejected).chain([self.dead_letters.clone()]).collect();
        let progress = Arc::new(Progress::new(Arc::clone(&self.metrics)));
        let (ledger, Known { positions, newest }) = Ledger::open(
            &self.config.output,
            Destination { dead_letters: self.dead_letters, server: self.server },
            self.state,
            patience,
            Arc::clone(&progress),
            &mut correlator,
        )?;
        correlator.release_history();
        correlator.note_effects();
        let first_start = correlator.parts_mut().clock.now().is_none();
        let mut ended: Vec<_> = positions.values().filter(|position| position.ended).collect();
        ended.sort_by_key(|position| (position.keys.current(), position.stream.0));
        let ended = ended.into_iter().map(|position| position.stream).collect();
        let resume = positions.values().filter_map(|position| position.resume.clone()).collect();
        let tail = Tail::new(TailConfig { patterns: patterns_of(&self.config), ..TailConfig::default() }, resume)?;
        let streams =
            Streams::start(&sockets_of(&self.config), is_stdin(&self.config), &tail.waker(), Bounds::default())?;
        let (sink, encoder) = SinkThread::start(&workers, Sink::Ledger(Box::new(ledger)), progress)?;
        let reloader = Reloader::start(self.config.clone(), self.knowledge, self.knowledge_files, self.read_again)?;
        stopping.look();
        let mut running = Running {
            config: self.config,
            written,
            workers,
            tail,
            streams,
            followed: HashMap::new(),
            positions,
            underway: VecDeque::new(),
            correlator,
            encoder,
            sink,
            touched: BTreeMap::new(),
            archive: None,
            ended,
            gone: Vec::new(),
            newest,
            newest_changed: false,
            looks: Looks::default(),
            registries: asked,
            commits: Commits {
                number: 0,
                last: Instant::now(),
                in_flight: VecDeque::new(),
                done: HashMap::new(),
                any: false,
                streams: HashSet::new(),
                forgotten: Vec::new(),
            },
            started: Instant::now(),
            stopping,
            gauges: Gauges::new(self.metrics),
        };
        running.correlator.set_patient(true);
        running.gauges.metrics().set_commit_interval(running.config.commit_interval);
        running.gauges.ready();
        running.breathe();
        let caught_up = if first_start { running.backfill() } else { running.catch_up(true) };
        let followed = caught_up.and_then(|()| running.follow(&self.reload, &reloader));
        running.gauges.stopping();
        let Running { encoder, sink, correlator, stopping, registries, .. } = running;
        drop(encoder);
        let asked = registries.asking.as_ref().map(|asking| asking.queue().counts());
        // A sink that has stopped says why here.
        let finished = stopping.finish(sink)?;
        // Without a word of its own from the sink, a stop of the pipeline is a fault.
        followed.map_err(|Stopped| PipelineError::Worker)?;
        Ok(RunOutcome {
            counts: finished.counts,
            dead_letter_path: finished.dead_letter_path,
            evicted: correlator.evicted() + finished.evicted,
            asked,
        })
    }
}

impl Running {
    fn follow(&mut self, reload: &AtomicBool, reloader: &Reloader) -> Result<(), Stopped> {
        let mut next_look = Instant::now() + ARCHIVE_INTERVAL;
        loop {
            // Nothing comes from a pipeline that has ended, where that is all there is.
            let stopping = self.stopping.look() || (self.streams.has_run_out() && patterns_of(&self.config).is_empty());
            if stopping {
                self.streams.stop();
                self.gauges.stopping();
            }
            if reload.swap(false, Ordering::Relaxed) {
                // The output is opened by its name again.
                self.commit(true)?;
                reloader.ask();
            }
            if let Some(reloaded) = reloader.take() {
                self.adopt(reloaded)?;
            }
            let mut items = self.tail.poll(POLL_BYTES);
            items.extend(self.streams.take(POLL_BYTES));
            let idle = items.is_empty() && self.underway.is_empty() && !self.is_behind();
            // What one poll brings was written side by side: until all of it is correlated, the clock of one input says
            // nothing about what another still holds.
            self.correlator.set_patient(true);
            for item in items {
                self.begin(item);
                self.correlate_ready(MAX_UNDERWAY)?;
            }
            // Only where there is more to read do workers go on with what is under way.
            self.correlate_ready(if self.is_behind() { MAX_UNDERWAY } else { 0 })?;
            self.release_held()?;
            if self.sink.has_stopped() {
                return Err(Stopped);
            }
            // What is ready leaves now; only a sink that is behind makes chunks grow.
            if self.encoder.backlog() == 0 {
                self.flush()?;
            }
            self.note_committed();
            self.commit_when_due()?;
            self.say_how_it_goes();
            if stopping && idle && self.streams.is_done() {
                return self.finish();
            }
            let look = Instant::now();
            if self.underway.is_empty() && !self.is_behind() && look >= next_look {
                self.catch_up(false)?;
                next_look = Instant::now() + ARCHIVE_INTERVAL.max(look.elapsed() * ARCHIVE_SHARE);
            }
            if idle {
                self.tail.wait(if self.encoder.is_empty() { IDLE_WAIT } else { BUSY_WAIT });
            }
        }
    }

    /// Whether there is more to read than was read.
    fn is_behind(&self) -> bool {
        self.tail.is_behind() || self.streams.is_behind()
    }

    /// Uses what was read anew, from the next chunk on.
    fn adopt(&mut self, Reloaded { config, knowledge, why }: Reloaded) -> Result<(), Stopped> {
        self.commit(false)?;
        // One output is in one schema, and of what was not counted nothing is known.
        let mut settings = EncodeSettings { format: self.config.output.format, ..config.encode_settings() };
        settings.enrich.history = self.config.join.history;
        if settings.enrich.running().is_empty() {
            tracing::error!(
                "cannot use the configuration: none of its checks runs without history, which is kept after a restart \
                 only; going on with the one before"
            );
            return Ok(());
        }
        if let Err(error) = self.tail.set_patterns(&patterns_of(&config)) {
            tracing::error!(%error, "cannot use the inputs of the configuration; going on with those before");
            return Ok(());
        }
        self.registries.knowledge = knowledge;
        let knowledge = self.registries.knowledge();
        let version = knowledge.version;
        self.correlator.set_knowledge(&knowledge);
        self.workers.renew(knowledge, settings);
        self.encoder.renew(&self.workers);
        self.correlator.knowledge_changed();
        // What needs a restart stays as it is: the output, sockets, the join and the history.
        if sockets_of(&self.config) != sockets_of(&config) || is_stdin(&self.config) != is_stdin(&config) {
            tracing::warn!("other sockets, or standard input, are used after a restart only");
        }
        if self.config.join.history != config.join.history {
            tracing::warn!("whether history is kept changes after a restart only");
        }
        self.config.inputs = config.inputs;
        self.config.commit_interval = config.commit_interval;
        self.gauges.metrics().set_commit_interval(config.commit_interval);
        match why {
            Why::Asked => tracing::info!(
                %version,
                checks = %settings.enrich.running(),
                "read inputs, knowledge, checks, detail and commit interval anew; other settings need a restart"
            ),
            Why::FilesChanged => tracing::info!(%version, "files of knowledge have changed; using it as it is now"),
        }
        Ok(())
    }

    /// Everything that waits is judged, and everything is committed.
    fn finish(&mut self) -> Result<(), Stopped> {
        let encoder = &mut self.encoder;
        self.correlator.finish(&mut |judged| encoder.collect(judged));
        self.commit(false)
    }

    /// Sends an item's lines to the workers.
    fn begin(&mut self, item: Item) {
        let (file, end_offset) = (item.file(), item.end_offset());
        let mut ended = false;
        let lines = match item {
            Item::Chunk(chunk) => {
                if !self.meet(&chunk) {
                    return;
                }
                ended = chunk.end.is_some();
                Lines { bytes: chunk.bytes, offset: chunk.offset, oversize: None }
            }
            Item::Oversize(line) => Lines { bytes: line.beginning, offset: line.offset, oversize: Some(line.length) },
        };
        let (bytes, mut batches) = (lines.bytes.len(), VecDeque::new());
        if let Some(followed) = self.followed.get_mut(&file) {
            let source = Arc::clone(&followed.source);
            let workers = &self.workers;
            followed.splitter.split(lines, &mut |raw| batches.push_back(workers.decode(&source, raw)));
            followed.undecided &= followed.splitter.format().is_none();
        }
        self.underway.push_back(Underway { file, end_offset, bytes, batches, ended });
    }

    /// Prepares for a file's chunk; `false` when the file is not wanted.
    fn meet(&mut self, chunk: &Chunk) -> bool {
        let name = file_name(&chunk.path);
        if !self.followed.contains_key(&chunk.file) {
            if !is_stream(chunk.file) && self.is_own(&chunk.path) {
                tracing::warn!(path = %chunk.path.display(), "skipped: certsift itself writes this file");
                self.tail.ignore(chunk.file);
                return false;
            }
            let sensors = Sensors { inputs: &self.config.inputs, sensor: None, time_zone: None };
            let source = Arc::new(sensors.source(&chunk.path, chunk.stream));
            let mut splitter = Splitter::new(&name, None);
            if let Some(header) = &chunk.header {
                splitter.set_header(header);
            }
            let position = self.positions.get(&chunk.stream);
            // Other content with the same beginning starts at 0, whatever was read of the first.
            let continues = position.filter(|position| {
                position.resume.as_ref().is_none_or(|point| point.offset == 0 || chunk.offset >= point.offset)
            });
            let keys = position.map(|position| position.keys).unwrap_or_default();
            let applied = continues.map_or(0, |position| position.applied);
            let followed = Followed { source, splitter, keys, undecided: true, applied, completed: chunk.offset };
            self.followed.insert(chunk.file, followed);
        }
        let undecided = self.followed.get(&chunk.file).is_some_and(|followed| followed.undecided);
        // What somebody sends here is meant for it.
        if !undecided || is_stream(chunk.file) {
            return true;
        }
        let unwanted = match detect(&chunk.bytes, &name) {
            Detected::Format(format) => (format.log() == Log::ZeekOther && is_one_log(&chunk.bytes, &name))
                .then_some("another log of Zeek, which is not read"),
            Detected::NotALog if chunk.header.is_some() || is_named_like_a_log(&name) => None,
            Detected::NotALog => Some("no log that certsift knows"),
            Detected::Undecided => None,
        };
        let Some(why) = unwanted else { return true };
        tracing::info!(path = %chunk.path.display(), "skipped: {why}");
        self.followed.remove(&chunk.file);
        self.tail.ignore(chunk.file);
        false
    }

    /// Looks for files, which are held open from then on, while something else takes its time.
    pub(super) fn breathe(&mut self) {
        self.tail.poll(0);
        self.stopping.look();
        self.note_committed();
        self.say_how_it_goes();
    }

    /// Tells whoever asks how it goes, and systemd that it goes on.
    pub(super) fn say_how_it_goes(&mut self) {
        let asking = self.registries.asking.as_ref();
        let asked = || asking.map(|asking| asking.queue().counts());
        self.gauges.count(&self.correlator, self.encoder.backlog(), asked);
        self.gauges.look(&self.tail, &self.streams, &self.followed, &self.positions);
    }

    /// Commits when that is due; says whether it is time to stop.
    pub(super) fn is_stopping_after_commit(&mut self) -> Result<bool, Stopped> {
        self.breathe();
        self.commit_when_due()?;
        Ok(self.stopping.look())
    }

    fn commit_when_due(&mut self) -> Result<(), Stopped> {
        // An old output is rotated although nothing was written, and answers are to judge what comes next.
        let wanted = self.commits.any || self.config.output.rotation.interval.is_some() || self.registries.is_ready();
        let due = wanted && self.commits.last.elapsed() >= self.config.commit_interval;
        let journal = self.sink.journal_length();
        let wanted = match self.commits.in_flight.len() {
            0 => due || journal > MAX_JOURNAL,
            1 => journal > FULL_JOURNAL,
            _ => false,
        };
        if wanted { self.commit(false) } else { Ok(()) }
    }

    /// Whether certsift itself writes a file, or did before it was rotated.
    pub(super) fn is_own(&self, path: &std::path::Path) -> bool {
        self.written.iter().any(|written| is_same_file(written, path) || is_rotated_name(path, written))
    }

    /// Correlates what workers have finished, in order; waits for them while more than `most` items are under way, or too
    /// many bytes.
    fn correlate_ready(&mut self, most: usize) -> Result<(), Stopped> {
        while let Some(first) = self.underway.front_mut() {
            let (file, end_offset, ended) = (first.file, first.end_offset, first.ended);
            if let Some(ticket) = first.batches.front() {
                let is_ready = ticket.is_ready();
                let bytes: usize = self.underway.iter().map(|item| item.bytes).sum();
                if !is_ready && self.underway.len() <= most && bytes <= MAX_UNDERWAY_BYTES {
                    return Ok(());
                }
                let Some(ticket) = self.underway.front_mut().and_then(|first| first.batches.pop_front()) else {
                    return Ok(());
                };
                let batch = ticket.redeem().map_err(|_| Stopped)?;
                self.correlate_file(file, batch)?;
                continue;
            }
            self.underway.pop_front();
            if let Some(followed) = self.followed.get_mut(&file) {
                followed.completed = end_offset;
                followed.applied = followed.applied.max(end_offset);
                self.touched.insert(file, ended);
                if ended {
                    // Another file may go on with the same stream.
                    self.flush()?;
                    self.followed.remove(&file);
                }
            }
        }
        Ok(())
    }

    fn correlate_file(&mut self, file: FileId, batch: Batch) -> Result<(), Stopped> {
        let Some(followed) = self.followed.get(&file) else { return Ok(()) };
        let (mut keys, mut applied) = (followed.keys, followed.applied);
        let batch = Arc::new(batch);
        for index in 0..batch.records.len() as u32 {
            if !self.correlate_record(&batch, index, &mut keys, &mut applied) {
                continue;
            }
            if let Some(followed) = self.followed.get_mut(&file) {
                (followed.keys, followed.applied) = (keys, applied);
            }
            self.touched.entry(file).or_insert(false);
            if self.encoder.is_full() {
                self.flush()?;
            }
        }
        self.note_newest(&batch, &keys);
        Ok(())
    }

    /// Correlates one record, unless that was done before; says whether it was correlated.
    pub(super) fn correlate_record(
        &mut self,
        batch: &Arc<Batch>,
        index: u32,
        keys: &mut KeyTracker,
        applied: &mut u64,
    ) -> bool {
        let record = &batch.records[index as usize];
        if record.offset < *applied {
            return false;
        }
        let key = keys.next(record.time);
        let encoder = &mut self.encoder;
        self.correlator.process(batch, index, key, &mut |judged| encoder.collect(judged));
        *applied = record.offset + 1;
        true
    }

    /// Notes how far a kind of log has come.
    pub(super) fn note_newest(&mut self, batch: &Batch, keys: &KeyTracker) {
        let (Some(record), Some(key)) = (batch.records.first(), keys.current()) else { return };
        let sensor = batch.source.sensor.as_deref().unwrap_or_default().to_owned();
        let newest = self.newest.entry((sensor, record.log.rank())).or_insert(key);
        *newest = (*newest).max(key);
        self.newest_changed = true;
    }

    /// Releases sessions that have waited for as long by the wall clock as they may by the event clock.
    fn release_held(&mut self) -> Result<(), Stopped> {
        let tick = self.started.elapsed().as_millis() as u64;
        self.correlator.set_tick(tick);
        // While an input is behind, the certificates that sessions wait for may be waiting there.
        let behind = self.is_behind() || !self.underway.is_empty();
        self.correlator.set_patient(behind);
        let wait = (self.config.join.wait.max(0) / 1_000_000) as u64;
        let wait = if behind { wait.max(PATIENCE_MILLIS) } else { wait };
        let encoder = &mut self.encoder;
        self.correlator.release_overdue(&mut |judged| encoder.collect(judged));
        self.correlator.release_held_before(tick.saturating_sub(wait), &mut |judged| encoder.collect(judged));
        if self.encoder.is_full() { self.flush() } else { Ok(()) }
    }

    /// Sends what was correlated since the last time, with what it did to the state.
    pub(super) fn flush(&mut self) -> Result<(), Stopped> {
        let step = self.step();
        if self.encoder.is_empty() && step.effects.is_empty() && step.inputs.is_empty() && step.forgotten.is_empty() {
            return Ok(());
        }
        self.commits.any = true;
        let (tail, stopping, gauges) = (&mut self.tail, &mut self.stopping, &mut self.gauges);
        self.encoder.flush_step(step, || {
            // Nothing is read, but what is there is found and held open.
            tail.poll(0);
            stopping.look();
            gauges.look(tail, &self.streams, &self.followed, &self.positions);
        })
    }

    fn step(&mut self) -> Step {
        let effects = self.correlator.take_effects();
        let mut inputs = Vec::new();
        for (file, ended) in std::mem::take(&mut self.touched) {
            let Some(followed) = self.followed.get(&file).filter(|_| !is_stream(file)) else { continue };
            let resume = self.tail.resume_point(file, followed.completed);
            let stream = followed.source.stream;
            self.commits.done.insert(file, followed.completed);
            inputs.push(InputPosition { stream, resume, keys: followed.keys, applied: followed.applied, ended });
        }
        inputs.extend(self.archive.take());
        for position in &inputs {
            self.commits.streams.insert(position.stream);
            let place = self.ended.iter().position(|stream| *stream == position.stream);
            match place {
                None if position.ended => self.ended.push_back(position.stream),
                Some(place) if !position.ended => drop(self.ended.remove(place)),
                _ => {}
            }
            self.positions.insert(position.stream, position.clone());
        }
        while self.ended.len() > MAX_ENDED {
            self.gone.extend(self.ended.pop_front());
        }
        let forgotten = std::mem::take(&mut self.gone);
        for stream in &forgotten {
            self.positions.remove(stream);
            self.commits.forgotten.push(*stream);
        }
        let newest = std::mem::take(&mut self.newest_changed).then(|| self.newest.clone());
        Step { effects, inputs, forgotten, newest, alerts: Vec::new() }
    }

    pub(super) fn commit(&mut self, reopen: bool) -> Result<(), Stopped> {
        self.flush()?;
        self.commits.number += 1;
        (self.commits.last, self.commits.any) = (Instant::now(), false);
        let mut changes = StateChanges::take(self.commits.number, &mut self.correlator);
        let streams = std::mem::take(&mut self.commits.streams);
        changes.inputs = streams.iter().filter_map(|stream| self.positions.get(stream).cloned()).collect();
        changes.forgotten = std::mem::take(&mut self.commits.forgotten);
        changes.newest = Some(self.newest.clone());
        self.registries.store(&mut changes);
        let done = std::mem::take(&mut self.commits.done);
        self.commits.in_flight.push_back((self.commits.number, done));
        let (tail, stopping, gauges) = (&mut self.tail, &mut self.stopping, &mut self.gauges);
        self.encoder.commit(changes, reopen, || {
            tail.poll(0);
            stopping.look();
            gauges.look(tail, &self.streams, &self.followed, &self.positions);
        })
    }

    /// Lets the tail forget what commits have made durable, and what comes next be judged by answers that are.
    fn note_committed(&mut self) {
        let committed = self.sink.committed();
        if let Some(knowledge) = self.registries.adopt(committed) {
            self.workers.know(knowledge);
            self.encoder.renew(&self.workers);
        }
        self.correlator.parts_mut().certificates.committed(committed);
        while self.commits.in_flight.front().is_some_and(|(number, _)| *number <= committed) {
            for (file, offset) in self.commits.in_flight.pop_front().into_iter().flat_map(|(_, done)| done) {
                self.tail.committed(file, offset);
            }
        }
    }
}

impl Registries {
    /// Begins with what the state knows, and with asking, where that is wanted.
    fn start(
        config: &Config,
        servers: Option<Servers>,
        state: &StateStore,
        knowledge: &Arc<Knowledge>,
    ) -> Result<Self, PipelineError> {
        let answers = state.answers()?;
        let answers = Arc::new(if servers.is_some() { answers.that_ask() } else { answers });
        let start = |servers| Asking::start(config.rdap.clone(), servers, Arc::clone(&answers));
        let asking = servers.map(start).transpose().map_err(PipelineError::Thread)?;
        Ok(Self { knowledge: Arc::clone(knowledge), answers, stored: None, asking })
    }

    /// What is known with their answers.
    fn knowledge(&self) -> Arc<Knowledge> {
        Arc::new(self.knowledge.with_answers(Arc::clone(&self.answers)))
    }

    /// Whether there are answers that are in no commit yet.
    fn is_ready(&self) -> bool {
        self.stored.is_none() && self.asking.as_ref().is_some_and(|asking| asking.queue().is_ready())
    }

    /// Lets a commit hold the answers that are not in force, those of a commit that is under way among them.
    fn store(&mut self, changes: &mut StateChanges) {
        let Some(asking) = &self.asking else { return };
        let answered = asking.queue().ready();
        if answered.is_empty() {
            return;
        }
        let (answers, forgotten) = self.answers.with(&answered);
        changes.add_answers(&answered, &forgotten);
        self.stored = Some((changes.number, answered.len(), Arc::new(answers)));
    }

    /// Uses answers from now on that are durable, so that a restart knows all that records were judged by; the knowledge
    /// with them, if there are any.
    fn adopt(&mut self, committed: u64) -> Option<Arc<Knowledge>> {
        let (_, count, answers) = self.stored.take_if(|(number, ..)| *number <= committed)?;
        self.answers = answers;
        let queue = self.asking.as_ref()?.queue();
        queue.adopt(count, Arc::clone(&self.answers));
        Some(self.knowledge())
    }
}

fn patterns_of(config: &Config) -> Vec<String> {
    config.inputs.iter().flat_map(|input| input.files().cloned()).collect()
}

fn sockets_of(config: &Config) -> Vec<Socket> {
    config.inputs.iter().filter_map(|input| input.socket.clone()).collect()
}

fn is_stdin(config: &Config) -> bool {
    config.inputs.iter().any(InputConfig::is_stdin)
}
