//! Knowledge that changes while lines flow: its files are watched and read again beside the pipeline, which swaps the
//! whole between two chunks.
//!
//! Promise: a record is judged by one snapshot; a file is read once it has stood still for a moment; and what cannot be
//! used is said and leaves the last good in force.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};

use super::stages::PipelineError;
use crate::config::Config;
use crate::knowledge::{Knowledge, KnowledgeFiles};
use crate::source::tail::{Waker, Watch};

/// Reads settings and knowledge again, given those in force; `None`, said, where they cannot be used.
pub type ReadAgain = Box<dyn Fn(Why, &Config, &Knowledge) -> Option<(Config, Knowledge)> + Send>;

/// Why something is read again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// The user asked for it: the configuration is read as well.
    Asked,
    /// Files that knowledge comes from have changed.
    FilesChanged,
}

/// What was read.
pub(super) struct Reloaded {
    pub(super) config: Config,
    pub(super) knowledge: Arc<Knowledge>,
    pub(super) why: Why,
}

/// The thread that watches and reads.
pub(super) struct Reloader {
    shared: Arc<Shared>,
    waker: Waker,
    loaded: Receiver<Reloaded>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    asked: AtomicBool,
    ended: AtomicBool,
}

/// Between two looks that no event asked for.
const SWEEP: Duration = Duration::from_secs(5);
/// Between two looks at the most: in a folder in which much happens, every event wakes.
const MIN_PAUSE: Duration = Duration::from_millis(200);
/// How long files have to stand still before they are read.
const SETTLED: Duration = Duration::from_millis(500);
/// The same for a text whose last line has no end: as a rule somebody is still writing it.
const SETTLED_UNFINISHED: Duration = Duration::from_secs(10);

impl Reloader {
    /// Starts the thread; `files` are those that the knowledge in force was read from.
    pub(super) fn start(
        config: Config,
        knowledge: Arc<Knowledge>,
        files: KnowledgeFiles,
        read_again: ReadAgain,
    ) -> Result<Self, PipelineError> {
        let shared = Arc::new(Shared::default());
        let watch = Watch::new(true);
        let waker = watch.waker();
        let (sender, loaded) = bounded(1);
        let mut work = Work { shared: Arc::clone(&shared), watch, config, knowledge, files };
        let run = move || {
            while let Some(why) = work.wait() {
                let Some((config, knowledge)) = read_again(why, &work.config, &work.knowledge) else { continue };
                (work.config, work.knowledge) = (config.clone(), Arc::new(knowledge));
                // The pipeline takes one at a time, and has ended when it takes none.
                if sender.send(Reloaded { config, knowledge: Arc::clone(&work.knowledge), why }).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("reload".to_owned()).spawn(run).map_err(PipelineError::Thread)?;
        Ok(Self { shared, waker, loaded, thread: Some(thread) })
    }

    /// Lets everything be read again.
    pub(super) fn ask(&self) {
        self.shared.asked.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// What was read since the last time.
    pub(super) fn take(&self) -> Option<Reloaded> {
        self.loaded.try_recv().ok()
    }
}

impl Drop for Reloader {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
        self.waker.wake();
        // It may wait to hand over what nobody wants any more.
        while self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) && self.loaded.try_recv().is_ok() {}
        // A feed that is just being read must not keep the process: nothing is lost with it.
        drop(self.thread.take());
    }
}

/// What the thread works with.
struct Work {
    shared: Arc<Shared>,
    watch: Watch,
    config: Config,
    knowledge: Arc<Knowledge>,
    files: KnowledgeFiles,
}

impl Work {
    /// Waits until something is to be read; `None` at the end.
    fn wait(&mut self) -> Option<Why> {
        loop {
            let patterns = self.config.knowledge.patterns();
            self.watch.refresh(&KnowledgeFiles::folders(&patterns));
            if self.has_ended() {
                return None;
            }
            let asked = self.shared.asked.swap(false, Ordering::AcqRel);
            let now = KnowledgeFiles::look(&patterns);
            if asked || now != self.files {
                self.files = self.settle(now, &patterns)?;
                return Some(if asked { Why::Asked } else { Why::FilesChanged });
            }
            self.watch.wait(SWEEP);
            self.watch.take();
            std::thread::sleep(MIN_PAUSE);
        }
    }

    /// Waits until the files stand still.
    fn settle(&self, mut files: KnowledgeFiles, patterns: &[String]) -> Option<KnowledgeFiles> {
        let mut since = Instant::now();
        loop {
            let unfinished = files.is_unfinished_since(&self.files);
            if files == self.files || since.elapsed() >= if unfinished { SETTLED_UNFINISHED } else { SETTLED } {
                return Some(files);
            }
            std::thread::sleep(MIN_PAUSE);
            if self.has_ended() {
                return None;
            }
            let now = KnowledgeFiles::look(patterns);
            if now != files {
                (files, since) = (now, Instant::now());
            }
        }
    }

    fn has_ended(&self) -> bool {
        self.shared.ended.load(Ordering::Acquire)
    }
}
