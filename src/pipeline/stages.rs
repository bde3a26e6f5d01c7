//! The parts that every pipeline has: workers, tickets, the way from judged records to the sink.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::correlate::Judged;
use crate::decode::{DecodeContext, RawBatch, decode};
use crate::encode::{Counts, EncodeSettings, Encoded, encode};
use crate::knowledge::Knowledge;
use crate::model::{Batch, Body, SourceInfo};
use crate::sink::{Output, SinkError};
use crate::state::{StateChanges, StateError, StateStore};

/// Why a pipeline stopped.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The output cannot be written.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The state cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// Live files cannot be followed.
    #[error(transparent)]
    Tail(#[from] crate::source::tail::TailError),
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
    committed: Arc<AtomicU64>,
}

/// What the sink says at the end.
pub(super) struct Finished {
    pub(super) counts: Counts,
    pub(super) dead_letter_path: Option<std::path::PathBuf>,
}

enum Message {
    Chunk(Ticket<Encoded>),
    Commit(Box<StateChanges>),
    Reopen,
}

/// Records that travel together to the sink, at the most, and their text.
const MAX_CHUNK_RECORDS: usize = 4096;
const MAX_CHUNK_BYTES: usize = 512 * 1024;
/// Chunks that are under way to the sink.
const CHUNKS_IN_FLIGHT: usize = 8;

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
        Ok(Self { pool: Arc::new(pool), decode: Arc::default(), knowledge, encode })
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

    /// What decoding shares.
    pub(super) fn decode_context(&self) -> &DecodeContext {
        &self.decode
    }

    fn encode(&self, judged: Vec<Judged>) -> Ticket<Encoded> {
        let (knowledge, settings) = (Arc::clone(&self.knowledge), self.encode);
        self.spawn(move || encode(&judged, &knowledge, &settings))
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
        // A batch lives as long as one of its records: each counts for its share, of blank lines as well.
        let share = judged.batch.text.len() / judged.batch.records.len().max(1);
        let letter = match judged.batch.records.get(judged.index as usize).map(|record| &record.body) {
            Some(Body::DeadLetter(letter)) => letter.bytes.len(),
            _ => 0,
        };
        self.bytes += share + letter;
        self.judged.push(judged);
        if self.judged.len() >= MAX_CHUNK_RECORDS || self.bytes >= MAX_CHUNK_BYTES {
            return self.flush();
        }
        Ok(())
    }

    /// Sends what was collected.
    pub(super) fn flush(&mut self) -> Result<(), Stopped> {
        if self.judged.is_empty() {
            return Ok(());
        }
        self.bytes = 0;
        let next = Vec::with_capacity(self.judged.len());
        let chunk = self.workers.encode(std::mem::replace(&mut self.judged, next));
        self.sink.send(Message::Chunk(chunk)).map_err(|_| Stopped)
    }

    /// Lets the sink commit, once everything before it is written.
    pub(super) fn commit(&mut self, changes: StateChanges) -> Result<(), Stopped> {
        self.flush()?;
        self.sink.send(Message::Commit(Box::new(changes))).map_err(|_| Stopped)
    }

    /// Lets the sink open its files anew, once everything before is written.
    pub(super) fn reopen(&mut self) -> Result<(), Stopped> {
        self.flush()?;
        self.sink.send(Message::Reopen).map_err(|_| Stopped)
    }

    /// Chunks and commits that the sink has not taken yet.
    pub(super) fn backlog(&self) -> usize {
        self.sink.len()
    }
}

/// The sink has stopped.
#[derive(Debug)]
pub(super) struct Stopped;

impl SinkThread {
    /// Starts the thread; everything that the encoder takes ends up in `output`.
    pub(super) fn start(
        workers: &Workers,
        output: Output,
        state: Option<Arc<StateStore>>,
    ) -> Result<(Self, Encoder), PipelineError> {
        let (sender, receiver) = bounded(CHUNKS_IN_FLIGHT);
        let committed = Arc::new(AtomicU64::new(0));
        let progress = Arc::clone(&committed);
        let thread = std::thread::Builder::new()
            .name("sink".to_owned())
            .spawn(move || write_all(&receiver, output, state.as_deref(), &progress))
            .map_err(PipelineError::Thread)?;
        let encoder = Encoder { workers: workers.clone(), sink: sender, judged: Vec::new(), bytes: 0 };
        Ok((Self { thread, committed }, encoder))
    }

    /// The number of the last commit that is done.
    pub(super) fn committed(&self) -> u64 {
        self.committed.load(Ordering::Acquire)
    }

    /// Whether the thread has stopped by itself.
    pub(super) fn has_stopped(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for the end, once the encoder is gone.
    pub(super) fn finish(self) -> Result<Finished, PipelineError> {
        self.thread.join().map_err(|_| PipelineError::Worker)?
    }
}

fn write_all(
    messages: &Receiver<Message>,
    mut output: Output,
    state: Option<&StateStore>,
    committed: &AtomicU64,
) -> Result<Finished, PipelineError> {
    let mut counts = Counts::default();
    for message in messages {
        match message {
            Message::Chunk(ticket) => {
                let encoded = ticket.redeem()?;
                output.write(&encoded.lines, &encoded.dead_letters)?;
                counts.add(&encoded.counts);
            }
            Message::Commit(changes) => {
                output.sync()?;
                if let Some(state) = state {
                    state.commit(&changes)?;
                }
                committed.store(changes.number, Ordering::Release);
            }
            // What cannot be opened anew goes on as it was: the old file still takes lines.
            Message::Reopen => match output.reopen() {
                Ok(()) => tracing::info!("opened the output anew"),
                Err(error) => tracing::error!(%error, "cannot open the output anew; going on with the old file"),
            },
        }
    }
    Ok(Finished { counts, dead_letter_path: output.dead_letter_path().map(Into::into) })
}
