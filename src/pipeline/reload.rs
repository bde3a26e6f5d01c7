//! Knowledge that changes while lines flow: its files are watched and read again beside the pipeline, which swaps the
//! whole between two chunks.
//!
//! Promise: a record is judged by one snapshot; a file is read once nobody writes it any more; and what cannot be used is
//! said and leaves the last good in force.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, bounded};

use super::settling::{Arrival, Arrivals, Settling};
use super::stages::PipelineError;
use crate::config::Config;
use crate::knowledge::{FileChanges, Knowledge, KnowledgeFiles};
use crate::source::tail::{FileEvent, Waker, Watch};

/// Reads settings, and what has changed of knowledge, given those in force; `None` where there is nothing new, or, said,
/// where the settings cannot be used.
pub type ReadAgain = Box<dyn Fn(Why, &FileChanges, &Config, &Knowledge) -> Option<(Config, Knowledge)> + Send>;

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
/// Files of which is remembered how they arrived; others have to stand still for longer.
const MAX_ARRIVALS: usize = 10_000;

impl Reloader {
    /// Starts the thread; `files` are those that the knowledge in force was read from.
    pub(super) fn start(
        config: Config,
        knowledge: Arc<Knowledge>,
        files: KnowledgeFiles,
        read_again: ReadAgain,
    ) -> Result<Self, PipelineError> {
        let shared = Arc::new(Shared::default());
        let arrivals = Arc::default();
        let watch = Watch::with_listener(listener(Arc::clone(&arrivals)));
        let waker = watch.waker();
        let (sender, loaded) = bounded(1);
        let settling = Settling::new(files);
        let mut work = Work { shared: Arc::clone(&shared), watch, arrivals, config, knowledge, settling };
        let run = move || {
            while let Some((why, changes)) = work.wait() {
                let read = read_again(why, &changes, &work.config, &work.knowledge);
                let Some((config, knowledge)) = read else { continue };
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

/// Remembers how files came to be as they are.
fn listener(arrivals: Arc<Mutex<Arrivals>>) -> impl Fn(PathBuf, FileEvent) + Send + 'static {
    move |path, event| {
        let mut arrivals = arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        let arrival = match event {
            FileEvent::Moved => Arrival::Moved,
            FileEvent::Closed => Arrival::Closed,
            FileEvent::Written => Arrival::Written,
            // What is linked to its place is not written: nothing says whether more comes.
            FileEvent::Made => {
                arrivals.remove(&path);
                return;
            }
        };
        if arrivals.len() < MAX_ARRIVALS || arrivals.contains_key(&path) {
            arrivals.insert(path, arrival);
        }
    }
}

/// What the thread works with.
struct Work {
    shared: Arc<Shared>,
    watch: Watch,
    arrivals: Arc<Mutex<Arrivals>>,
    config: Config,
    knowledge: Arc<Knowledge>,
    settling: Settling,
}

impl Work {
    /// Waits until something is to be read; `None` at the end.
    fn wait(&mut self) -> Option<(Why, FileChanges)> {
        loop {
            let patterns = self.config.knowledge.patterns();
            self.watch.refresh(&KnowledgeFiles::folders(&patterns));
            if self.has_ended() {
                return None;
            }
            let asked = self.shared.asked.swap(false, Ordering::AcqRel);
            let now = KnowledgeFiles::look(&patterns);
            let arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let clocks = (Instant::now(), SystemTime::now());
            if let Some(changes) = self.settling.look(&now, asked, clocks, &arrivals) {
                return Some((if asked { Why::Asked } else { Why::FilesChanged }, changes));
            }
            if !self.settling.is_waiting() {
                // What came of them is known: they were read.
                self.arrivals.lock().unwrap_or_else(PoisonError::into_inner).clear();
                self.watch.wait(SWEEP);
            }
            self.watch.take();
            std::thread::sleep(MIN_PAUSE);
        }
    }

    fn has_ended(&self) -> bool {
        self.shared.ended.load(Ordering::Acquire)
    }
}
