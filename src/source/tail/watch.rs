//! Hints that something happened. They only make the next look come sooner; none is ever relied on.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use notify::event::{AccessKind, AccessMode, ModifyKind, RenameMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::identity::Node;

/// The watched folders and the hints that came from them.
pub(crate) struct Watch {
    watcher: Option<RecommendedWatcher>,
    /// By what they were when the watch was set: a folder that was replaced has to be watched anew.
    directories: HashMap<PathBuf, Node>,
    hints: Hints,
    wake: Receiver<()>,
    complained: bool,
}

/// Ends a [`Tail::wait`](super::Tail::wait) from another thread.
#[derive(Debug, Clone)]
pub struct Waker(Sender<()>);

/// What is worth looking at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hint {
    Nothing,
    /// Something was written to a file.
    Data,
    /// Something was created, renamed or removed, or events were lost.
    Names,
}

/// What was seen to happen to one file; a hint as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileEvent {
    /// It was moved into its place.
    Moved,
    /// Somebody who could write it closed it.
    Closed,
    /// It was made.
    Made,
    /// It was written.
    Written,
}

/// The hints since they were last taken. Bounded by construction, however many events there are.
#[derive(Clone)]
struct Hints {
    level: Arc<AtomicU8>,
    wake: Sender<()>,
}

impl Watch {
    /// Watches nothing yet; `enabled` false never does.
    pub(crate) fn new(enabled: bool) -> Self {
        Self::of(enabled, |_| {})
    }

    /// The same, which also tells of single files, by their absolute paths.
    pub(crate) fn with_listener(listener: impl Fn(PathBuf, FileEvent) + Send + 'static) -> Self {
        Self::of(true, move |event| {
            if let Some(seen) = FileEvent::of(event.kind) {
                // Of a renaming that names both paths the last is the new one.
                event.paths.last().into_iter().for_each(|path| listener(path.clone(), seen));
            }
        })
    }

    fn of(enabled: bool, listener: impl Fn(&notify::Event) + Send + 'static) -> Self {
        let (sender, wake) = crossbeam_channel::bounded(1);
        let hints = Hints { level: Arc::default(), wake: sender };
        let mut watch =
            Self { watcher: None, directories: HashMap::new(), hints: hints.clone(), wake, complained: false };
        if enabled {
            let note = move |event: notify::Result<notify::Event>| {
                event.iter().for_each(&listener);
                hints.note(event);
            };
            match notify::recommended_watcher(note) {
                Ok(watcher) => watch.watcher = Some(watcher),
                Err(error) => watch.complain(None, &error),
            }
        }
        watch
    }

    /// Watches these folders and no others.
    pub(crate) fn refresh(&mut self, wanted: &BTreeSet<PathBuf>) {
        let Some(mut watcher) = self.watcher.take() else { return };
        self.directories.retain(|directory, node| {
            let keep = wanted.contains(directory) && node_of(directory) == Some(*node);
            if !keep {
                // It fails when the folder is gone, which removed the watch already.
                watcher.unwatch(directory).ok();
            }
            keep
        });
        for directory in wanted {
            if self.directories.len() >= MAX_DIRECTORIES || self.directories.contains_key(directory) {
                continue;
            }
            let Some(node) = node_of(directory) else { continue };
            match watcher.watch(directory, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.directories.insert(directory.clone(), node);
                    // What happened before the watch was set gave no event.
                    self.hints.raise(Hint::Names);
                }
                Err(error) => self.complain(Some(directory), &error),
            }
        }
        self.watcher = Some(watcher);
    }

    /// Takes the hints since the last time.
    pub(crate) fn take(&self) -> Hint {
        while self.wake.try_recv().is_ok() {}
        match self.hints.level.swap(0, Ordering::AcqRel) {
            0 => Hint::Nothing,
            1 => Hint::Data,
            _ => Hint::Names,
        }
    }

    /// Blocks until there is a hint, or a waker woke it, or the time is over.
    pub(crate) fn wait(&self, timeout: Duration) {
        // A time-out and a wake-up are the same to the caller, who looks in either case.
        self.wake.recv_timeout(timeout).ok();
    }

    pub(crate) fn waker(&self) -> Waker {
        Waker(self.hints.wake.clone())
    }

    /// Says once that the sweep has to do alone.
    fn complain(&mut self, directory: Option<&Path>, error: &notify::Error) {
        if std::mem::replace(&mut self.complained, true) {
            return;
        }
        let directory = directory.unwrap_or(Path::new(""));
        tracing::warn!(directory = %directory.display(), %error, "cannot watch for changes; looking periodically instead");
    }
}

impl Waker {
    /// Wakes the waiting thread, or lets its next wait return at once.
    pub fn wake(&self) {
        // Full means that it is being woken already.
        self.0.try_send(()).ok();
    }
}

impl FileEvent {
    fn of(kind: EventKind) -> Option<Self> {
        match kind {
            EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Both)) => Some(Self::Moved),
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(Self::Closed),
            EventKind::Create(_) => Some(Self::Made),
            EventKind::Modify(ModifyKind::Data(_)) => Some(Self::Written),
            _ => None,
        }
    }
}

impl Hints {
    fn note(&self, event: notify::Result<notify::Event>) {
        let hint = match event {
            Ok(event) if event.need_rescan() => Hint::Names,
            Ok(event) => match event.kind {
                // Our own reading makes these.
                EventKind::Access(_) => return,
                EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Metadata(_)) => Hint::Data,
                _ => Hint::Names,
            },
            Err(_) => Hint::Names,
        };
        self.raise(hint);
    }

    fn raise(&self, hint: Hint) {
        self.level.fetch_max(hint as u8, Ordering::AcqRel);
        self.wake.try_send(()).ok();
    }
}

fn node_of(directory: &Path) -> Option<Node> {
    fs::metadata(directory).ok().filter(fs::Metadata::is_dir).map(|metadata| Node::of(&metadata))
}

/// At most this many folders are watched; what happens in others is found by the sweep.
const MAX_DIRECTORIES: usize = 1024;
