//! The thread that makes durable what was written, while the sink goes on writing.
//!
//! In: one commit at a time, in their order. Out: files that are synced, the state with what it was at the commit, and
//! then the end of what was needed only until now: older journals, and the room that rotated outputs take.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::stages::{PipelineError, Progress};
use crate::crash;
use crate::observe::Waiting;
use crate::sink::{Compressor, Patience, Unsynced, is_full, sync_folder_of};
use crate::state::{StateChanges, StateError, StateStore, Written, remove_journals};

/// The thread, and the commit that is under way.
pub(super) struct Committer {
    commits: Option<Sender<Commit>>,
    done: Receiver<()>,
    /// Where it is said that the sink waits.
    waiting: Arc<Waiting>,
    under_way: bool,
    thread: Option<JoinHandle<Result<(), PipelineError>>>,
}

/// What a commit makes durable.
pub(super) struct Commit {
    pub(super) changes: Box<StateChanges>,
    /// Where the files stood when the next journal began.
    pub(super) written: Written,
    /// The files up to then.
    pub(super) unsynced: Unsynced,
    /// The output up to then, if it was moved away.
    pub(super) rotated: Option<std::path::PathBuf>,
}

/// What the thread works with.
struct Work {
    state: Arc<StateStore>,
    patience: Patience,
    compressor: Compressor,
}

impl Committer {
    pub(super) fn start(
        state: Arc<StateStore>,
        patience: Patience,
        compressor: Compressor,
        progress: Arc<Progress>,
    ) -> Result<Self, PipelineError> {
        let (sender, commits) = bounded::<Commit>(1);
        let (say, done) = bounded(1);
        let waiting = Arc::clone(progress.metrics.waiting());
        let work = Work { state, patience, compressor };
        let run = move || {
            for commit in commits {
                let number = commit.changes.number;
                let began = Instant::now();
                progress.metrics.commit_begins();
                if let Err(error) = work.commit(commit) {
                    // The sink may have nothing to do with the committer for long.
                    progress.failed.store(true, Ordering::Release);
                    return Err(error);
                }
                progress.metrics.committed(began.elapsed());
                progress.committed.store(number, Ordering::Release);
                // At the end nobody listens.
                let _ = say.send(());
            }
            Ok(())
        };
        let thread = std::thread::Builder::new().name("commit".to_owned()).spawn(run).map_err(PipelineError::Thread)?;
        Ok(Self { commits: Some(sender), done, waiting, under_way: false, thread: Some(thread) })
    }

    /// Begins a commit, once the one before is done.
    pub(super) fn send(&mut self, commit: Commit) -> Result<(), PipelineError> {
        self.wait()?;
        if self.commits.as_ref().is_none_or(|commits| commits.send(commit).is_err()) {
            return self.end();
        }
        self.under_way = true;
        Ok(())
    }

    /// Waits for the commit that is under way.
    pub(super) fn wait(&mut self) -> Result<(), PipelineError> {
        if !std::mem::take(&mut self.under_way) {
            return Ok(());
        }
        // Whether it is the commit that hangs is judged by the commit.
        let held_up = self.waiting.held_up();
        let outcome = self.done.recv();
        drop(held_up);
        if outcome.is_err() { self.end() } else { Ok(()) }
    }

    /// Ends the thread, and says why if it ended by itself.
    fn end(&mut self) -> Result<(), PipelineError> {
        self.commits = None;
        match self.thread.take() {
            Some(thread) => thread.join().map_err(|_| PipelineError::Worker)?,
            None => Err(PipelineError::Worker),
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        // The state is closed only once the thread has let go of it.
        self.commits = None;
        if let Some(thread) = self.thread.take() {
            // What it failed of was said by `wait`.
            let _ = thread.join();
        }
    }
}

impl Work {
    fn commit(&self, commit: Commit) -> Result<(), PipelineError> {
        let Commit { changes, written, unsynced, rotated } = commit;
        unsynced.sync()?;
        if let Some(path) = &rotated
            && let Err(error) = sync_folder_of(path)
        {
            tracing::warn!(%error, "cannot sync the folder of the output");
        }
        store(&self.state, &self.patience, &changes, &written)?;
        remove_journals(self.state.directory(), |number| number < written.journal);
        crash::point("journal-removed");
        if let Some(path) = rotated {
            self.compressor.compress(path);
        }
        Ok(())
    }
}

/// Writes the state. A store that could not be written has to be opened again before the next attempt.
pub(super) fn store(
    state: &StateStore,
    patience: &Patience,
    changes: &StateChanges,
    written: &Written,
) -> Result<(), PipelineError> {
    let attempt = || {
        state.commit(changes, Some(written)).inspect_err(|error| {
            if is_store_full(error)
                && let Err(error) = state.reopen()
            {
                tracing::warn!(%error, "cannot open the state again yet");
            }
        })
    };
    Ok(patience.retry(state.directory(), is_store_full, attempt)?)
}

/// Whether the store has no room; after a write that failed for it, everything else fails until it is opened again.
fn is_store_full(error: &StateError) -> bool {
    match error {
        StateError::Store { source, .. } => match &**source {
            redb::Error::Io(error) => is_full(error),
            redb::Error::PreviousIo => true,
            _ => false,
        },
        _ => false,
    }
}
