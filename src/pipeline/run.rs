//! Live files as they are written: the order is arrival, and the output is its journal.
//!
//! One thread polls the tail, lets workers decode, correlates what is ready in the order in which it was read, and sends
//! it to the sink. Every few seconds a commit follows the records through the same queue: the sink makes the output
//! durable and then writes, in one transaction, how far inputs were read and everything that history learnt from it.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use super::peek::{Sensors, file_name, is_one_log};
use super::stages::{Encoder, PipelineError, SinkThread, Stopped, Ticket, Workers};
use crate::config::Config;
use crate::correlate::{Backing, CertificateStore, Correlator, KeyTracker};
use crate::decode::{Detected, Format, detect};
use crate::encode::Counts;
use crate::history::History;
use crate::knowledge::Knowledge;
use crate::model::{Batch, Body, EventTime, Log, SourceInfo, StreamKey};
use crate::sink::{Output, is_same_file};
use crate::source::tail::{Chunk, FileId, Item, ResumePoint, Tail, TailConfig, stream_key};
use crate::source::{LineReader, Lines, Splitter, discover, is_named_like_a_log, open};
use crate::state::{InputPosition, StateChanges, StateStore};

/// A sidecar, ready to go.
pub struct Run<'a> {
    /// Settings.
    pub config: &'a Config,
    /// Knowledge.
    pub knowledge: Arc<Knowledge>,
    /// Worker threads; 0 stands for one per core.
    pub threads: usize,
    /// The state.
    pub state: Arc<StateStore>,
    /// Files that are written, which are never read as inputs.
    pub written: Vec<PathBuf>,
    /// Set when it is to end: what was written by then is read, written and committed.
    pub stop: Arc<AtomicBool>,
    /// Set when the output is to be opened by its name again.
    pub reopen: Arc<AtomicBool>,
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
}

/// Bytes that one poll reads.
const POLL_BYTES: usize = 1024 * 1024;
/// Bytes of an archive that one step reads.
const ARCHIVE_BYTES: usize = 512 * 1024;
/// Items that are read and not correlated yet, at the most.
const MAX_UNDERWAY: usize = 8;
/// Longest sleep when nothing happens: how late a stop is noticed.
const IDLE_WAIT: Duration = Duration::from_millis(100);
/// How long a finished archive may have been written before a first start to be of use: Zeek logs a certificate about
/// once a day.
const BACKFILL: Duration = Duration::from_secs(48 * 3600);

/// How long a session waits by the wall clock, at the most, while inputs are behind.
const PATIENCE_MILLIS: u64 = 60_000;
/// Streams that were read to their end and are remembered.
const MAX_ENDED: usize = 1024;

/// A followed file.
struct Followed {
    source: Arc<SourceInfo>,
    splitter: Splitter,
    keys: KeyTracker,
    /// No line has shown a format yet.
    undecided: bool,
}

/// Lines of one item while workers decode them.
struct Underway {
    file: FileId,
    end_offset: u64,
    batches: VecDeque<Ticket<Batch>>,
    ended: bool,
}

struct Running<'a> {
    config: &'a Config,
    written: &'a [PathBuf],
    workers: Workers,
    tail: Tail,
    followed: HashMap<FileId, Followed>,
    /// Keys of streams from before the restart, or of a file that another continues.
    keys: HashMap<StreamKey, EventTime>,
    underway: VecDeque<Underway>,
    correlator: Correlator,
    encoder: Encoder,
    sink: SinkThread,
    /// How far files are correlated, and whether that is their end.
    done: HashMap<FileId, (u64, bool)>,
    /// Streams that were read to their end, oldest first: a file that is found again is known by them.
    ended: VecDeque<StreamKey>,
    /// Streams that the next commit forgets.
    gone: Vec<StreamKey>,
    commits: Commits,
    started: Instant,
}

/// Commits that are on their way.
struct Commits {
    number: u64,
    last: Instant,
    in_flight: VecDeque<(u64, Vec<(FileId, u64)>)>,
}

impl Run<'_> {
    /// Follows the configured inputs until it is told to stop.
    ///
    /// # Errors
    /// The output or the state cannot be written, or a pattern cannot be understood.
    pub fn run(self, output: Output) -> Result<RunOutcome, PipelineError> {
        let workers = Workers::start(self.threads, Arc::clone(&self.knowledge), self.config.encode_settings())?;
        let history = History::new(self.config.history, true);
        let certificates = CertificateStore::new(Backing::State(self.state.certificates()));
        let mut correlator = Correlator::new(self.config.join.clone(), certificates, history, true);
        self.state.restore(&mut correlator)?;
        let first_start = correlator.parts_mut().clock.now().is_none();
        let positions = self.state.input_positions()?;
        let keys = positions.iter().filter_map(|position| Some((position.stream, position.key?))).collect();
        let ended: VecDeque<_> =
            positions.iter().filter(|position| position.ended).map(|position| position.stream).collect();
        let patterns = self.config.inputs.iter().flat_map(|input| input.paths.iter().cloned()).collect();
        let resume = positions.into_iter().map(|position| position.resume).collect();
        let tail = Tail::new(TailConfig { patterns, ..TailConfig::default() }, resume)?;
        let (sink, encoder) = SinkThread::start(&workers, output, Some(Arc::clone(&self.state)))?;
        let mut running = Running {
            config: self.config,
            written: &self.written,
            workers,
            tail,
            followed: HashMap::new(),
            keys,
            underway: VecDeque::new(),
            correlator,
            encoder,
            sink,
            done: HashMap::new(),
            ended,
            gone: Vec::new(),
            commits: Commits { number: 0, last: Instant::now(), in_flight: VecDeque::new() },
            started: Instant::now(),
        };
        if first_start {
            running.backfill();
        }
        running.correlator.set_patient(true);
        let followed = running.catch_up().and_then(|()| running.follow(&self.stop, &self.reopen));
        let Running { encoder, sink, correlator, .. } = running;
        drop(encoder);
        // A sink that has stopped says why here.
        let finished = sink.finish()?;
        // Without a word of its own from the sink, a stop of the pipeline is a fault.
        followed.map_err(|Stopped| PipelineError::Worker)?;
        Ok(RunOutcome {
            counts: finished.counts,
            dead_letter_path: finished.dead_letter_path,
            evicted: correlator.evicted(),
        })
    }
}

impl Running<'_> {
    fn follow(&mut self, stop: &AtomicBool, reopen: &AtomicBool) -> Result<(), Stopped> {
        loop {
            let stopping = stop.load(Ordering::Relaxed);
            if reopen.swap(false, Ordering::Relaxed) {
                self.encoder.reopen()?;
            }
            let items = self.tail.poll(POLL_BYTES);
            let idle = items.is_empty() && self.underway.is_empty() && !self.tail.is_behind();
            // What one poll brings was written side by side: until all of it is correlated, the clock of one input says
            // nothing about what another still holds.
            self.correlator.set_patient(true);
            for item in items {
                self.begin(item);
                self.correlate_ready(MAX_UNDERWAY)?;
            }
            // Only where there is more to read do workers go on with what is under way.
            self.correlate_ready(if self.tail.is_behind() { MAX_UNDERWAY } else { 0 })?;
            self.release_held()?;
            if self.sink.has_stopped() {
                return Err(Stopped);
            }
            // What is ready leaves now; only a sink that is behind makes chunks grow.
            if self.encoder.backlog() == 0 {
                self.encoder.flush()?;
            }
            self.note_committed();
            if self.commits.last.elapsed() >= self.config.commit_interval {
                self.commit()?;
            }
            if stopping && idle {
                return self.finish();
            }
            if idle {
                self.tail.wait(IDLE_WAIT);
            }
        }
    }

    /// Everything that waits is judged, and everything is committed.
    fn finish(&mut self) -> Result<(), Stopped> {
        let mut stopped = Ok(());
        let encoder = &mut self.encoder;
        self.correlator.finish(&mut |judged| {
            if stopped.is_ok() {
                stopped = encoder.push(judged);
            }
        });
        stopped?;
        self.commit()
    }

    /// Sends an item's lines to the workers.
    fn begin(&mut self, item: Item) {
        let (file, end_offset) = (item.file(), item.end_offset());
        let mut ended = false;
        let lines = match &item {
            Item::Chunk(chunk) => {
                if !self.meet(chunk) {
                    return;
                }
                ended = chunk.end.is_some();
                Lines { bytes: chunk.bytes.clone(), offset: chunk.offset, oversize: None }
            }
            Item::Oversize(line) => Lines { bytes: Vec::new(), offset: line.offset, oversize: Some(line.length) },
        };
        let mut batches = VecDeque::new();
        if let Some(followed) = self.followed.get_mut(&file) {
            let source = Arc::clone(&followed.source);
            let workers = &self.workers;
            followed.splitter.split(lines, &mut |raw| batches.push_back(workers.decode(&source, raw)));
            followed.undecided &= followed.splitter.format().is_none();
        }
        self.underway.push_back(Underway { file, end_offset, batches, ended });
    }

    /// Prepares for a file's chunk; `false` when the file is not wanted.
    fn meet(&mut self, chunk: &Chunk) -> bool {
        let name = file_name(&chunk.path);
        if !self.followed.contains_key(&chunk.file) {
            if self.written.iter().any(|written| is_same_file(written, &chunk.path)) {
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
            let keys = KeyTracker::starting_at(self.keys.get(&chunk.stream).copied());
            self.followed.insert(chunk.file, Followed { source, splitter, keys, undecided: true });
        }
        let undecided = self.followed.get(&chunk.file).is_some_and(|followed| followed.undecided);
        if !undecided {
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

    /// Correlates what workers have finished, in order; waits for them while more than `most` items are under way.
    fn correlate_ready(&mut self, most: usize) -> Result<(), Stopped> {
        while let Some(first) = self.underway.front_mut() {
            let (file, end_offset, ended) = (first.file, first.end_offset, first.ended);
            if let Some(ticket) = first.batches.front() {
                if !ticket.is_ready() && self.underway.len() <= most {
                    return Ok(());
                }
                let Some(ticket) = self.underway.front_mut().and_then(|first| first.batches.pop_front()) else {
                    return Ok(());
                };
                let batch = ticket.redeem().map_err(|_| Stopped)?;
                self.correlate(file, batch)?;
                continue;
            }
            self.underway.pop_front();
            self.done.insert(file, (end_offset, ended));
            if ended && let Some(followed) = self.followed.remove(&file) {
                // Another file may go on with the same stream.
                self.keys.extend(followed.keys.current().map(|key| (followed.source.stream, key)));
            }
        }
        Ok(())
    }

    fn correlate(&mut self, file: FileId, batch: Batch) -> Result<(), Stopped> {
        let Some(followed) = self.followed.get_mut(&file) else { return Ok(()) };
        let mut keys = followed.keys;
        let outcome = correlate(&mut self.correlator, &mut self.encoder, &mut keys, batch);
        followed.keys = keys;
        outcome
    }

    /// Releases sessions that have waited for as long by the wall clock as they may by the event clock.
    fn release_held(&mut self) -> Result<(), Stopped> {
        let tick = self.started.elapsed().as_millis() as u64;
        self.correlator.set_tick(tick);
        // While an input is behind, the certificates that sessions wait for may be waiting there.
        let behind = self.tail.is_behind() || !self.underway.is_empty();
        self.correlator.set_patient(behind);
        let wait = (self.config.join.wait.max(0) / 1_000_000) as u64;
        let wait = if behind { wait.max(PATIENCE_MILLIS) } else { wait };
        let mut stopped = Ok(());
        let encoder = &mut self.encoder;
        let mut push = |judged| {
            if stopped.is_ok() {
                stopped = encoder.push(judged);
            }
        };
        self.correlator.release_overdue(&mut push);
        self.correlator.release_held_before(tick.saturating_sub(wait), &mut push);
        stopped
    }

    fn commit(&mut self) -> Result<(), Stopped> {
        self.commits.number += 1;
        self.commits.last = Instant::now();
        let mut changes = StateChanges::take(self.commits.number, &mut self.correlator);
        changes.finished_inputs.append(&mut self.gone);
        let done: Vec<_> = self.done.drain().collect();
        for &(file, (offset, ended)) in &done {
            let Some(resume) = self.tail.resume_point(file, offset) else { continue };
            let key = self.followed.get(&file).and_then(|followed| followed.keys.current());
            let key = key.or_else(|| self.keys.get(&resume.stream).copied());
            if ended {
                self.ended.push_back(resume.stream);
            }
            changes.inputs.push(InputPosition { stream: resume.stream, resume, key, ended });
        }
        while self.ended.len() > MAX_ENDED {
            changes.finished_inputs.extend(self.ended.pop_front());
        }
        let done = done.into_iter().map(|(file, (offset, _))| (file, offset)).collect();
        self.commits.in_flight.push_back((self.commits.number, done));
        self.encoder.commit(changes)
    }

    /// Lets the tail forget what commits have made durable.
    fn note_committed(&mut self) {
        let committed = self.sink.committed();
        self.correlator.parts_mut().certificates.committed(committed);
        while self.commits.in_flight.front().is_some_and(|(number, _)| *number <= committed) {
            for (file, offset) in self.commits.in_flight.pop_front().into_iter().flat_map(|(_, done)| done) {
                self.tail.committed(file, offset);
            }
        }
    }

    /// Learns certificates from recent archives, so that the sessions to come find what was logged before the start.
    fn backfill(&mut self) {
        for path in self.archives(SystemTime::now().checked_sub(BACKFILL)) {
            if let Err(error) = self.learn_archive(&path) {
                tracing::warn!(path = %path.display(), %error, "cannot read certificates from an archive");
            }
        }
    }

    fn learn_archive(&mut self, path: &Path) -> Result<(), std::io::Error> {
        let mut archive = Archive::open(path, self.config)?;
        if !matches!(archive.log, Log::ZeekX509 | Log::ZeekFiles | Log::SuricataOther) {
            return Ok(());
        }
        let mut learnt = 0;
        while let Some(batches) = archive.next(&self.workers)? {
            for ticket in batches {
                let Ok(batch) = ticket.redeem() else { return Ok(()) };
                learnt += batch.records.iter().filter(|record| matches!(record.body, Body::Certificate(_))).count();
                self.correlator.learn_certificates(&batch);
            }
        }
        tracing::info!(path = %path.display(), certificates = learnt, "learnt certificates from an archive");
        Ok(())
    }

    /// Reads on in archives what was rotated and compressed while certsift was down.
    fn catch_up(&mut self) -> Result<(), Stopped> {
        if self.tail.unresolved().is_empty() {
            return Ok(());
        }
        // What was read to its end and is gone needs no continuation.
        for stream in self.ended.clone() {
            if self.tail.unresolved().iter().any(|point| point.stream == stream) {
                self.tail.resolve(stream);
                self.gone.push(stream);
            }
        }
        self.ended.retain(|stream| !self.gone.contains(stream));
        let points: HashMap<StreamKey, ResumePoint> =
            self.tail.unresolved().iter().map(|point| (point.stream, point.clone())).collect();
        let mut archives: Vec<_> = self
            .archives(None)
            .into_iter()
            .filter_map(|path| Some((Archive::open(&path, self.config).ok()?, path)))
            .filter(|(archive, _)| archive.source.as_ref().is_some_and(|source| points.contains_key(&source.stream)))
            .collect();
        // What others refer to comes first.
        archives.sort_by_key(|(archive, _)| archive.log.rank());
        for (mut archive, path) in archives {
            let Some(point) = archive.source.as_ref().and_then(|source| points.get(&source.stream)) else { continue };
            if self.tail.unresolved().iter().all(|unresolved| unresolved.stream != point.stream) {
                continue;
            }
            archive.skip = point.offset;
            let mut keys = KeyTracker::starting_at(self.keys.get(&point.stream).copied());
            loop {
                match archive.next(&self.workers) {
                    Ok(Some(batches)) => {
                        for ticket in batches {
                            let batch = ticket.redeem().map_err(|_| Stopped)?;
                            correlate(&mut self.correlator, &mut self.encoder, &mut keys, batch)?;
                        }
                    }
                    Ok(None) => break,
                    Err(error) => {
                        tracing::warn!(path = %path.display(), %error, "cannot read an archive to its end");
                        break;
                    }
                }
            }
            tracing::info!(path = %path.display(), offset = point.offset, "read on in an archive");
            // The commit says how far the stream is read, so that it is not read on again.
            self.commits.number += 1;
            let mut changes = StateChanges::take(self.commits.number, &mut self.correlator);
            changes.finished_inputs.push(point.stream);
            self.encoder.commit(changes)?;
            self.tail.resolve(point.stream);
        }
        let lost: Vec<ResumePoint> = self.tail.unresolved().to_vec();
        for point in lost {
            self.gone.push(point.stream);
            self.tail.resolve(point.stream);
            tracing::warn!(
                path = %point.path.display(),
                offset = point.offset,
                "this input is gone, and no archive continues it; what was written to it later is not read"
            );
        }
        Ok(())
    }

    /// Files in the configured archives, by their time of change, that changed since a time.
    fn archives(&self, since: Option<SystemTime>) -> Vec<PathBuf> {
        let patterns: Vec<&String> = self.config.inputs.iter().flat_map(|input| &input.archives).collect();
        let mut files: Vec<(SystemTime, PathBuf)> = Vec::new();
        for pattern in patterns {
            match discover(&[pattern]) {
                Ok((found, _)) => files.extend(found.into_iter().filter_map(|file| {
                    let changed = file.path.metadata().ok()?.modified().ok()?;
                    (since.is_none_or(|since| changed >= since)).then_some((changed, file.path))
                })),
                Err(error) => tracing::warn!(%error, "cannot look into archives"),
            }
        }
        files.sort();
        files.dedup();
        files.into_iter().map(|(_, path)| path).collect()
    }
}

/// A finished file in an archive.
struct Archive {
    reader: LineReader<crate::source::Reader>,
    splitter: Splitter,
    source: Option<Arc<SourceInfo>>,
    log: Log,
    /// Where the wanted lines begin.
    skip: u64,
}

impl Archive {
    fn open(path: &Path, config: &Config) -> Result<Self, std::io::Error> {
        let reader = open(path, Arc::default()).map_err(|error| error.source)?;
        let mut reader = LineReader::new(reader);
        let head = reader.head(StreamKey::MAX_HEAD).to_vec();
        let name = file_name(path);
        let format = match detect(&head, &name) {
            Detected::Format(format) => Some(format),
            _ => None,
        };
        let sensors = Sensors { inputs: &config.inputs, sensor: None, time_zone: None };
        let source = stream_key(&head, reader.head_is_all()).map(|stream| Arc::new(sensors.source(path, stream)));
        let log = format.as_ref().map_or(Log::Unknown, Format::log);
        Ok(Self { reader, splitter: Splitter::new(&name, format), source, log, skip: 0 })
    }

    /// The next lines, on their way through the workers; `None` at the end.
    fn next(&mut self, workers: &Workers) -> Result<Option<Vec<Ticket<Batch>>>, std::io::Error> {
        let Some(source) = &self.source else { return Ok(None) };
        let Some(mut lines) = self.reader.next(ARCHIVE_BYTES)? else { return Ok(None) };
        let end = lines.offset + lines.oversize.unwrap_or(lines.bytes.len() as u64);
        let mut batches = Vec::new();
        if end <= self.skip {
            // Headers are needed even where the rows are not.
            self.splitter.split(lines, &mut |_| {});
            return Ok(Some(batches));
        }
        if lines.offset < self.skip && lines.oversize.is_none() {
            let cut = (self.skip - lines.offset) as usize;
            let before = lines.bytes.drain(..cut).collect();
            self.splitter.split(Lines { bytes: before, offset: lines.offset, oversize: None }, &mut |_| {});
            lines.offset = self.skip;
        }
        self.splitter.split(lines, &mut |raw| batches.push(workers.decode(source, raw)));
        Ok(Some(batches))
    }
}

fn correlate(
    correlator: &mut Correlator,
    encoder: &mut Encoder,
    keys: &mut KeyTracker,
    batch: Batch,
) -> Result<(), Stopped> {
    let batch = Arc::new(batch);
    let mut stopped = Ok(());
    for index in 0..batch.records.len() as u32 {
        let key = keys.next(batch.records[index as usize].time);
        correlator.process(&batch, index, key, &mut |judged| {
            if stopped.is_ok() {
                stopped = encoder.push(judged);
            }
        });
    }
    stopped
}
