//! Archives in event time: many files become one sequence of records that their content defines.
//!
//! The order is that of keys: the record's time as a running maximum within its file, then the rank of its log, then the
//! stream, then the offset. A file is looked at once for its first key and opened when the merge reaches it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};

use super::peek::{Peeked, PeekedInput, Sensors, SkipReason, Skipped, file_name, peek};
use super::stages::{Encoder, PipelineError, Sink, SinkThread, Stopped, Ticket, Workers};
use crate::config::Config;
use crate::correlate::{Backing, CertificateStore, Correlator, KeyTracker};
use crate::encode::Counts;
use crate::history::{Alerts, History, LearningReason};
use crate::knowledge::Knowledge;
use crate::model::{Batch, EventTime, SourceInfo, StreamKey, TimeZone};
use crate::sink::Output;
use crate::source::{Discovered, LineReader, Reader, Splitter, open};
use crate::state::{CertificateSpill, StateChanges, StateStore};

/// A replay, ready to go.
pub struct Replay<'a> {
    /// Settings.
    pub config: &'a Config,
    /// Knowledge.
    pub knowledge: Arc<Knowledge>,
    /// Files to learn from first, of which nothing is written.
    pub baseline: Vec<Discovered>,
    /// The files.
    pub files: Vec<Discovered>,
    /// Whether records are judged by all of the files, which are read twice for that, and not by what came before.
    pub whole: bool,
    /// What could not even be looked at, for the outcome.
    pub unreadable: Vec<String>,
    /// A name for the sensor of all files.
    pub sensor: Option<&'a str>,
    /// A zone for the sensor of all files.
    pub time_zone: Option<&'a TimeZone>,
    /// Worker threads; 0 stands for one per core.
    pub threads: usize,
    /// The state to start from and to keep; without, the replay begins with an empty history.
    pub state: Option<Arc<StateStore>>,
    /// Called now and then with the bytes read of the files, compressed as they are.
    pub progress: &'a dyn Fn(u64),
}

/// What a replay did.
#[derive(Debug)]
pub struct ReplayOutcome {
    /// What records were.
    pub counts: Counts,
    /// Entries forgotten to stay within bounds.
    pub evicted: u64,
    /// Why history was not ready to judge in the end, if it was not.
    pub learning: Option<LearningReason>,
    /// Where dead letters are, if there were any.
    pub dead_letter_path: Option<PathBuf>,
    /// Files without a record.
    pub empty: u64,
    /// Files that were left alone: how many, and the first of them, by reason and by the log they are named for.
    pub skipped: BTreeMap<(SkipReason, String), (u64, PathBuf)>,
    /// Files that could not be read to their end: what is wrong.
    pub failed: Vec<String>,
}

/// Bytes of one batch, less where many files are open at once.
const BATCH_BYTES: usize = 512 * 1024;
/// Bytes that all readers together read ahead.
const READ_AHEAD_BYTES: usize = 32 * 1024 * 1024;
/// Batches that one reader reads ahead.
const BATCHES_AHEAD: usize = 3;
const MIN_BATCH_BYTES: usize = 16 * 1024;
/// Records between two looks at the clock on the wall.
const RECORDS_PER_LOOK: u32 = 1 << 15;
/// Wall time between two commits.
const COMMIT_INTERVAL: Duration = Duration::from_secs(5);

/// Where a record stands in the sequence.
type Place = (Option<EventTime>, u8, StreamKey, u64, usize);

/// A file that the merge has reached.
struct OpenInput {
    messages: Receiver<ReaderMessage>,
    batch: Arc<Batch>,
    index: u32,
    keys: KeyTracker,
    path: PathBuf,
}

enum ReaderMessage {
    Batch(Ticket<Batch>),
    Failed { offset: u64, error: std::io::Error },
}

/// What becomes of records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Pass {
    /// Only certificates are learnt, of every batch at once.
    Certificates,
    /// They are counted, and not written.
    Learn,
    /// They are judged and written.
    Write,
}

/// Where records go, and when the state is written.
struct Way<'a> {
    correlator: &'a mut Correlator,
    encoder: &'a mut Encoder,
    sink: &'a SinkThread,
    /// There is a state.
    tracking: bool,
    commits: u64,
    last_commit: Instant,
}

/// The state of a merge.
struct Merge<'a> {
    workers: Workers,
    pending: VecDeque<(Place, PeekedInput)>,
    open: Vec<Option<OpenInput>>,
    heads: BinaryHeap<Reverse<Place>>,
    read: Arc<AtomicU64>,
    failed: Vec<String>,
    progress: &'a dyn Fn(u64),
}

impl Replay<'_> {
    /// Reads everything and writes everything.
    ///
    /// # Errors
    /// The output or the state cannot be written. Inputs that cannot be read are part of the outcome.
    pub fn run(self, output: Output) -> Result<ReplayOutcome, PipelineError> {
        let knowledge = match &self.state {
            // What registries told a live certsift; nobody is asked now.
            Some(state) => Arc::new(self.knowledge.with_answers(Arc::new(state.answers()?))),
            None => Arc::clone(&self.knowledge),
        };
        let workers = Workers::start(self.threads, knowledge, self.config.encode_settings())?;
        let tracking = self.state.is_some();
        let backing = match &self.state {
            Some(state) => Backing::State(state.certificates()),
            None => Backing::Spill(CertificateSpill::default()),
        };
        let history = History::new(self.config.history, tracking);
        let certificates = CertificateStore::new(backing).within(self.config.certificate_memory);
        let mut correlator = Correlator::new(self.config.join.clone(), certificates, history, tracking);
        correlator.set_knowledge(&self.knowledge);
        let mut alerts = Alerts::new(false);
        if let Some(state) = &self.state {
            state.restore(&mut correlator)?;
            correlator.release_history();
            alerts = state.alerts()?;
        }
        let sink = Sink::Plain(output, Box::new(alerts), self.state.clone());
        let (sink, mut encoder) = SinkThread::start(&workers, sink, Arc::default())?;
        let (commits, last_commit) = (0, Instant::now());
        let (to, from) = (&mut correlator, &mut encoder);
        let mut way = Way { correlator: to, encoder: from, sink: &sink, tracking, commits, last_commit };
        // A sink that has stopped says why when it is joined.
        let passed = self.pass(&workers, &mut way);
        drop(encoder);
        let finished = sink.finish()?;
        let looked = passed?;
        let parts = correlator.parts_mut();
        let learning = parts.clock.now().and_then(|now| parts.history.learning_reason(now));
        Ok(ReplayOutcome {
            counts: finished.counts,
            evicted: correlator.evicted() + finished.evicted,
            learning,
            dead_letter_path: finished.dead_letter_path,
            empty: looked.empty,
            skipped: looked.skipped,
            failed: looked.failed,
        })
    }

    /// Goes through all files, as often as that is needed.
    fn pass(&self, workers: &Workers, way: &mut Way<'_>) -> Result<Looked, PipelineError> {
        let mut said = Looked { failed: self.unreadable.clone(), ..Looked::default() };
        if !self.baseline.is_empty() {
            // What waits in the state is for the files to answer.
            let waiting = way.correlator.set_aside_waiting();
            let baseline = self.look(workers, &self.baseline);
            self.merge(workers, baseline, &mut said, way, Pass::Learn)?;
            way.correlator.take_back_waiting(waiting);
        }
        if self.whole {
            let beginning = way.correlator.beginning();
            // All certificates come first, so that both readings find the same ones. What is amiss is said the last time.
            let mut facts = self.look(workers, &self.files);
            facts.inputs.retain(|input| input.holds_certificates);
            self.merge(workers, facts, &mut Looked::default(), way, Pass::Certificates)?;
            let first = self.look(workers, &self.files);
            self.merge(workers, first, &mut Looked::default(), way, Pass::Learn)?;
            way.correlator.begin_again(beginning);
        }
        let looked = self.look(workers, &self.files);
        self.merge(workers, looked, &mut said, way, Pass::Write)?;
        Ok(said)
    }

    fn merge(
        &self,
        workers: &Workers,
        looked: Looked,
        said: &mut Looked,
        way: &mut Way<'_>,
        pass: Pass,
    ) -> Result<(), PipelineError> {
        let Looked { inputs, empty, skipped, failed } = looked;
        said.empty += empty;
        said.failed.extend(failed);
        for (kind, (count, path)) in skipped {
            said.skipped.entry(kind).or_insert((0, path)).0 += count;
        }
        let mut merge = Merge::new(workers.clone(), inputs, std::mem::take(&mut said.failed), self.progress);
        let merged = merge.run(way, pass);
        said.failed = merge.failed;
        merged
    }

    fn look(&self, workers: &Workers, files: &[Discovered]) -> Looked {
        let sensors = Sensors { inputs: &self.config.inputs, sensor: self.sensor, time_zone: self.time_zone };
        let context = workers.decode_context();
        let peeked: Vec<Peeked> =
            workers.install(|| files.par_iter().map(|file| peek(file, context, &sensors)).collect());
        let mut looked = Looked::default();
        for peeked in peeked {
            match peeked {
                Peeked::Records(input) => looked.inputs.push(*input),
                Peeked::Empty => looked.empty += 1,
                Peeked::Skipped(Skipped { path, why }) => {
                    let name = file_name(&path);
                    let stem = name.split('.').next().unwrap_or_default().to_owned();
                    let kind = if why == SkipReason::OtherZeekLog { stem } else { name };
                    looked.skipped.entry((why, kind)).or_insert((0, path)).0 += 1;
                }
                Peeked::Failed(error) => looked.failed.push(error.to_string()),
            }
        }
        looked
    }
}

#[derive(Default)]
struct Looked {
    inputs: Vec<PeekedInput>,
    empty: u64,
    skipped: BTreeMap<(SkipReason, String), (u64, PathBuf)>,
    failed: Vec<String>,
}

impl<'a> Merge<'a> {
    fn new(workers: Workers, mut inputs: Vec<PeekedInput>, failed: Vec<String>, progress: &'a dyn Fn(u64)) -> Self {
        inputs.sort_by(|a, b| a.place(0).cmp(&b.place(0)).then_with(|| a.path.cmp(&b.path)));
        let count = inputs.len();
        let pending = inputs.into_iter().enumerate().map(|(number, input)| (input.place(number), input)).collect();
        Self {
            workers,
            pending,
            open: (0..count).map(|_| None).collect(),
            heads: BinaryHeap::new(),
            read: Arc::default(),
            failed,
            progress,
        }
    }

    fn run(&mut self, way: &mut Way<'_>, pass: Pass) -> Result<(), PipelineError> {
        let mut until_look = RECORDS_PER_LOOK;
        loop {
            self.open_due()?;
            let Some(Reverse(mut place)) = self.heads.pop() else { break };
            let number = place.4;
            // As long as no other file comes before, one file's records follow each other without the heap.
            while let Some(input) = self.open[number].as_mut() {
                if way.take(&input.batch, input.index, place.0, pass).is_err() {
                    return Ok(());
                }
                until_look -= 1;
                if until_look == 0 {
                    until_look = RECORDS_PER_LOOK;
                    (self.progress)(self.read.load(Ordering::Relaxed));
                    if way.commit_certificates_when_due().is_err() {
                        return Ok(());
                    }
                }
                match self.advance(number)? {
                    Some(next) => place = next,
                    None => break,
                }
                let earlier_open = self.heads.peek().is_some_and(|Reverse(head)| *head < place);
                let earlier_pending = self.pending.front().is_some_and(|(pending, _)| *pending <= place);
                if earlier_open || earlier_pending {
                    self.heads.push(Reverse(place));
                    break;
                }
            }
        }
        // A sink that has stopped says why when it is joined.
        let _ = way.finish(pass);
        (self.progress)(self.read.load(Ordering::Relaxed));
        Ok(())
    }

    /// Opens every file that may hold the next record.
    fn open_due(&mut self) -> Result<(), PipelineError> {
        loop {
            let head = self.heads.peek().map(|Reverse(place)| *place);
            let due = match (self.pending.front(), head) {
                (Some((pending, _)), Some(head)) => *pending <= head,
                (Some(_), None) => true,
                (None, _) => false,
            };
            if !due {
                return Ok(());
            }
            let Some((place, input)) = self.pending.pop_front() else { return Ok(()) };
            self.open_input(place.4, input)?;
        }
    }

    fn open_input(&mut self, number: usize, input: PeekedInput) -> Result<(), PipelineError> {
        let path = input.path.clone();
        let reader = match input.reader {
            Some(reader) => reader,
            None => match open(&path, Arc::clone(&self.read)) {
                Ok(reader) => LineReader::new(reader),
                Err(error) => {
                    self.failed.push(error.to_string());
                    return Ok(());
                }
            },
        };
        let open_now = 1 + self.open.iter().flatten().count();
        let batch_bytes = (READ_AHEAD_BYTES / (open_now * BATCHES_AHEAD)).clamp(MIN_BATCH_BYTES, BATCH_BYTES);
        let (sender, messages) = bounded(BATCHES_AHEAD);
        let workers = self.workers.clone();
        let splitter = Splitter::new(&file_name(&path), Some(input.format));
        let source = input.source;
        std::thread::Builder::new()
            .name("reader".to_owned())
            .spawn(move || read_all(reader, splitter, &source, &workers, batch_bytes, &sender))
            .map_err(PipelineError::Thread)?;
        let keys = KeyTracker::starting_at(input.first_key);
        let Some(batch) = next_batch(&messages, &path, &mut self.failed)? else { return Ok(()) };
        self.open[number] = Some(OpenInput { messages, batch, index: 0, keys, path });
        if let Some(place) = self.place_of(number) {
            self.heads.push(Reverse(place));
        }
        Ok(())
    }

    /// Goes on to the next record of a file; `None` at its end.
    fn advance(&mut self, number: usize) -> Result<Option<Place>, PipelineError> {
        let Some(input) = self.open[number].as_mut() else { return Ok(None) };
        input.index += 1;
        if input.index as usize == input.batch.records.len() {
            match next_batch(&input.messages, &input.path, &mut self.failed)? {
                Some(batch) => {
                    input.batch = batch;
                    input.index = 0;
                }
                None => {
                    self.open[number] = None;
                    return Ok(None);
                }
            }
        }
        Ok(self.place_of(number))
    }

    /// The place of a file's next record, which counts as its key's next step.
    fn place_of(&mut self, number: usize) -> Option<Place> {
        let input = self.open[number].as_mut()?;
        let record = input.batch.records.get(input.index as usize)?;
        let key = input.keys.next(record.time);
        Some((key, record.log.rank(), input.batch.source.stream, record.offset, number))
    }
}

impl Way<'_> {
    fn take(&mut self, batch: &Arc<Batch>, index: u32, key: Option<EventTime>, pass: Pass) -> Result<(), Stopped> {
        let mut stopped = Ok(());
        match pass {
            Pass::Certificates if index == 0 => self.correlator.learn_certificates(batch),
            Pass::Certificates => {}
            Pass::Learn => self.correlator.process(batch, index, key, &mut drop),
            Pass::Write => self.correlator.process(batch, index, key, &mut |judged| {
                if stopped.is_ok() {
                    stopped = self.encoder.push(judged);
                }
            }),
        }
        stopped
    }

    /// Counters wait for the end: a replay that is killed has counted nothing.
    fn commit_certificates_when_due(&mut self) -> Result<(), Stopped> {
        if !self.tracking || self.last_commit.elapsed() < COMMIT_INTERVAL {
            return Ok(());
        }
        self.commits += 1;
        self.correlator.parts_mut().certificates.committed(self.sink.committed());
        let changes = StateChanges::take_certificates(self.commits, self.correlator);
        self.encoder.commit(changes, false, || {})?;
        self.last_commit = Instant::now();
        Ok(())
    }

    /// What still waits is judged; after the last pass everything is committed.
    fn finish(&mut self, pass: Pass) -> Result<(), Stopped> {
        match pass {
            Pass::Certificates => return Ok(()),
            Pass::Learn => {
                self.correlator.finish(&mut drop);
                return Ok(());
            }
            Pass::Write => {}
        }
        let mut stopped = Ok(());
        self.correlator.finish(&mut |judged| {
            if stopped.is_ok() {
                stopped = self.encoder.push(judged);
            }
        });
        stopped?;
        self.encoder.flush()?;
        if self.tracking {
            self.encoder.commit(StateChanges::take(self.commits + 1, self.correlator), false, || {})?;
        }
        Ok(())
    }
}

impl PeekedInput {
    fn place(&self, number: usize) -> Place {
        (self.first_key, self.rank, self.source.stream, 0, number)
    }
}

/// The next batch that holds a record; `None` at the end of the input.
fn next_batch(
    messages: &Receiver<ReaderMessage>,
    path: &std::path::Path,
    failed: &mut Vec<String>,
) -> Result<Option<Arc<Batch>>, PipelineError> {
    for message in messages {
        match message {
            ReaderMessage::Batch(ticket) => {
                let batch = ticket.redeem()?;
                if !batch.records.is_empty() {
                    return Ok(Some(Arc::new(batch)));
                }
            }
            ReaderMessage::Failed { offset, error } => {
                failed.push(format!("{}: cannot read on at byte {offset} of its content: {error}", path.display()));
            }
        }
    }
    Ok(None)
}

/// Reads an input to its end, a few batches ahead of the merge.
fn read_all(
    mut reader: LineReader<Reader>,
    mut splitter: Splitter,
    source: &Arc<SourceInfo>,
    workers: &Workers,
    batch_bytes: usize,
    messages: &Sender<ReaderMessage>,
) {
    loop {
        let lines = match reader.next(batch_bytes) {
            Ok(Some(lines)) => lines,
            Ok(None) => return,
            Err(error) => {
                // Nobody listens any more when the pipeline has stopped.
                let _ = messages.send(ReaderMessage::Failed { offset: reader.offset(), error });
                return;
            }
        };
        let mut stopped = false;
        splitter.split(lines, &mut |raw| {
            if !stopped {
                stopped = messages.send(ReaderMessage::Batch(workers.decode(source, raw))).is_err();
            }
        });
        if stopped {
            return;
        }
    }
}
