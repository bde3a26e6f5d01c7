//! Follows live plain files and hands out their whole lines with their offsets, losing and doubling nothing.
//!
//! In: patterns, and the points at which reading stopped before. Out: [`Item`]s in the order of each file. Promise: every
//! line that a writer completed, and that was not destroyed before it could be read, is handed out once between two
//! commits, whatever is renamed, copied, truncated, deleted or recreated meanwhile.
//!
//! - A file is what its *content* says: the checksum of its head and that of the bytes before the offset. Device, inode and
//!   path only find it again.
//! - Notifications are hints. A periodic sweep, which looks at names through the patterns and at content through open
//!   descriptors, is the truth.
//! - A renamed or deleted file is read to its end through its descriptor, and followed for a grace, since its writer may
//!   still append. `#close` is an end at once.
//! - A copy of a followed file (copytruncate makes one) is not read while the original is followed; when the original
//!   ends, the copy is read on from where the original stood.
//! - So two files with the same content are one stream, and the second is not read: their records would have the same ids.
//! - Nothing is read ahead: what [`Tail::poll`] does not return stays in the file.

mod discover;
mod error;
mod file;
mod identity;
mod item;
mod resume;
mod serve;
mod status;
mod sweep;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub use error::{ReadError, TailError};
pub use file::MAX_LINE;
pub use identity::{header_len, is_compressed, stream_key};
pub use item::{Chunk, EndCause, EndOfFile, FileId, Item, Oversize};
pub use resume::ResumePoint;
pub use status::{FileState, FileStatus, TailCounts};
pub use watch::Waker;
pub(crate) use watch::{FileEvent, Watch};

use crate::model::StreamKey;
use discover::Patterns;
use file::Followed;
use identity::{Mark, Node, Stamp};
use resume::{Known, Trails};
use watch::Hint;

/// What to follow, and how.
#[derive(Debug, Clone)]
pub struct TailConfig {
    /// Files, folders (the files directly in them, hidden ones left out) and globs.
    pub patterns: Vec<String>,
    /// The grace: how long a file is followed after it was renamed or deleted, or after it last grew if that is later.
    pub rotate_wait: Duration,
    /// At most so many files are open. Beyond it the one that was idle longest is closed, and opened again when it grows;
    /// if none is idle, new files have to wait, which is reported.
    pub max_files: usize,
    /// Whether to ask the system for notifications; without, the sweep does alone.
    pub watch: bool,
}

/// Follows files. See the module's description.
pub struct Tail {
    config: TailConfig,
    patterns: Patterns,
    watch: Watch,
    /// In the order in which their turn comes.
    files: Vec<Followed>,
    turn: usize,
    trails: Trails,
    known: Known,
    /// Files that are there and are not to be read (again).
    done: HashMap<Node, Done>,
    /// What the last sweep found.
    present: HashSet<Node>,
    problems: BTreeMap<PathBuf, Problem>,
    counts: TailCounts,
    next_id: u64,
    interval: Duration,
    next_sweep: Instant,
    /// Something was handed out since the last sweep.
    busy: bool,
    crowded: bool,
}

/// A file that was finished with while its name is still there.
#[derive(Debug)]
struct Done {
    kind: DoneKind,
    /// What was read of it; nothing of an archive.
    read: Option<(StreamKey, Mark)>,
    path: PathBuf,
    stamp: Stamp,
    /// The stamp was old enough when the content was last compared.
    settled: bool,
}

/// What stands in the way of an input.
#[derive(Debug)]
struct Problem {
    text: String,
    is_missing: bool,
}

/// Why a file is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DoneKind {
    /// It was read to its end.
    Finished,
    /// It was closed to save descriptors; all of it was read.
    Parked,
    /// The caller does not want it.
    Ignored,
    /// It is a gzip or zstd archive.
    Compressed,
}

/// The files that patterns mean now, and what stands in the way: what a [`Tail`] would follow, without following it.
///
/// # Errors
/// A pattern cannot be understood.
pub fn files_of(patterns: &[String]) -> Result<(Vec<PathBuf>, Vec<ReadError>), TailError> {
    let discovery = Patterns::new(patterns)?.expand();
    let files = discovery.files.iter().filter_map(|found| Some(found.paths.first()?.to_path_buf()));
    Ok((files.collect(), discovery.problems))
}

impl Tail {
    /// Finds the files and, by their content, where reading stopped.
    ///
    /// A file that no point fits is read from its beginning. Fails only on a pattern that cannot be understood; inputs that
    /// cannot be read are reported by [`Tail::status`] and retried.
    pub fn new(config: TailConfig, resume: Vec<ResumePoint>) -> Result<Self, TailError> {
        Self::new_at(config, resume, Instant::now())
    }

    /// [`Tail::new`] with the time given.
    pub fn new_at(config: TailConfig, resume: Vec<ResumePoint>, now: Instant) -> Result<Self, TailError> {
        let mut tail = Self {
            patterns: Patterns::new(&config.patterns)?,
            watch: Watch::new(config.watch),
            config,
            files: Vec::new(),
            turn: 0,
            trails: Trails::default(),
            known: Known::new(resume),
            done: HashMap::new(),
            present: HashSet::new(),
            problems: BTreeMap::new(),
            counts: TailCounts::default(),
            next_id: 0,
            interval: SWEEP_MIN,
            next_sweep: now,
            busy: false,
            crowded: false,
        };
        tail.sweep(now);
        tail.identify_all(now);
        Ok(tail)
    }

    /// Reads what is there: about `max_bytes`, or one line if that is longer; nothing when there is nothing.
    ///
    /// The items of a stream are in order, and have to be committed in order: a stream may go on in another file, when that
    /// is a copy of the first. Files take turns of at most 256 KiB. Nothing is read while 262,144 items are not [committed](Tail::committed).
    pub fn poll(&mut self, max_bytes: usize) -> Vec<Item> {
        self.poll_at(max_bytes, Instant::now())
    }

    /// [`Tail::poll`] with the time given, which decides on sweeps and graces.
    pub fn poll_at(&mut self, max_bytes: usize, now: Instant) -> Vec<Item> {
        match self.watch.take() {
            Hint::Names => self.sweep(now),
            _ if now >= self.next_sweep => self.sweep(now),
            Hint::Data => self.look(now),
            Hint::Nothing => {}
        }
        let items = self.serve_all(max_bytes, now);
        self.busy |= !items.is_empty();
        items
    }

    /// Whether there was more at the last look than was handed out, so that another [`Tail::poll`] brings it. It may take
    /// several of them until the end of a long line is found.
    pub fn is_behind(&self) -> bool {
        !self.trails.are_full() && self.files.iter().any(Followed::is_ready)
    }

    /// Blocks until something may have happened, at most for `timeout`; returns at once when there is more to read.
    pub fn wait(&self, timeout: Duration) {
        if self.is_behind() {
            return;
        }
        let sweep = self.next_sweep.saturating_duration_since(Instant::now());
        self.watch.wait(timeout.min(sweep));
    }

    /// Ends a [`Tail::wait`] from another thread.
    pub fn waker(&self) -> Waker {
        self.watch.waker()
    }

    /// What to store once everything before `offset` of this file is committed.
    ///
    /// There is a point where an item ended ([`Item::end_offset`]) and where reading began, unless something later was
    /// committed. None for other offsets, and for an ended file whose end is committed.
    pub fn resume_point(&self, file: FileId, offset: u64) -> Option<ResumePoint> {
        self.trails.point(file, offset)
    }

    /// Everything before `offset` is committed and its points are stored: earlier points are no longer needed.
    pub fn committed(&mut self, file: FileId, offset: u64) {
        self.trails.commit(file, offset);
    }

    /// The points whose files were not found among the patterns; they may be in an archive.
    ///
    /// Known from the first on; it can only get shorter, when a file becomes readable later.
    pub fn unresolved(&self) -> &[ResumePoint] {
        self.known.unresolved()
    }

    /// Gives up looking for a stream, because it was found elsewhere or will not come back.
    pub fn resolve(&mut self, stream: StreamKey) {
        self.known.resolve(stream);
    }

    /// Whether a stream is among the followed files.
    pub fn is_following(&self, stream: StreamKey) -> bool {
        self.files.iter().any(|file| file.stream == Some(stream))
    }

    /// Looks for files now, and not only when a hint or the time says so: what is among the patterns by then is followed.
    pub fn find(&mut self) {
        let now = Instant::now();
        self.sweep(now);
        self.identify_all(now);
    }

    /// Whether a file is the tail's own affair: it is followed, or was and is finished with. Archives are not.
    pub fn handles(&self, metadata: &std::fs::Metadata) -> bool {
        let node = Node::of(metadata);
        let done = self.done.get(&node).is_some_and(|done| done.kind != DoneKind::Compressed);
        done || self.files.iter().any(|file| file.node == node)
    }

    /// Follows other files from the next poll on. What is followed and no longer wanted is read to its end.
    ///
    /// # Errors
    /// A pattern cannot be understood; then nothing changes.
    pub fn set_patterns(&mut self, patterns: &[String]) -> Result<(), TailError> {
        self.patterns = Patterns::new(patterns)?;
        self.next_sweep = Instant::now();
        Ok(())
    }

    /// Reads no more of a file that turned out not to be wanted, as long as it is there.
    pub fn ignore(&mut self, file: FileId) {
        if let Some(index) = self.files.iter().position(|followed| followed.id == file) {
            self.trails.remove(file);
            self.retire(index, DoneKind::Ignored);
        }
    }
}

impl Default for TailConfig {
    fn default() -> Self {
        Self { patterns: Vec::new(), rotate_wait: Duration::from_secs(5), max_files: 4096, watch: true }
    }
}

/// The time between two sweeps while something happens.
const SWEEP_MIN: Duration = Duration::from_millis(250);

/// The time between two sweeps when nothing does.
const SWEEP_MAX: Duration = Duration::from_secs(2);
