//! The end of a run: in order, and not waiting for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::stages::{Finished, PipelineError, SinkThread};
use crate::observe::Waiting;
use crate::sink::Patience;

/// The end of patience with an output that takes nothing.
pub(super) struct Stopping {
    stop: Arc<AtomicBool>,
    since: Option<Instant>,
    abandoned: Arc<AtomicBool>,
}

/// How long the output may take nothing after a signal to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// For the sink to say itself that it has given up.
const GRACE: Duration = Duration::from_secs(2);
const FINISH_PAUSE: Duration = Duration::from_millis(2);

impl Stopping {
    /// `stop` is set when it is to end.
    pub(super) fn new(stop: Arc<AtomicBool>) -> Self {
        Self { stop, since: None, abandoned: Arc::default() }
    }

    /// How long a full disk is waited for: until patience has ended. What is waited for is said to `waiting`.
    pub(super) fn patience(&self, waiting: &Arc<Waiting>) -> Patience {
        Patience::until(Arc::clone(&self.abandoned), Arc::clone(waiting))
    }

    /// Whether it is to end; notes when that was first seen, and gives up on an output that takes nothing.
    pub(super) fn look(&mut self) -> bool {
        let stop = self.stop.load(Ordering::Relaxed);
        if stop && self.since.get_or_insert_with(Instant::now).elapsed() > STOP_PATIENCE {
            self.abandoned.store(true, Ordering::Relaxed);
        }
        stop
    }

    /// Waits for the sink, and not for ever: a reader that does not read must not keep the process.
    pub(super) fn finish(mut self, sink: SinkThread) -> Result<Finished, PipelineError> {
        while !sink.has_ended() {
            self.look();
            let abandoned = self.abandoned.load(Ordering::Relaxed);
            if abandoned && self.since.is_some_and(|since| since.elapsed() > STOP_PATIENCE + GRACE) {
                return Err(unfinished("the output takes nothing".to_owned()));
            }
            std::thread::sleep(FINISH_PAUSE);
        }
        let finished = sink.finish();
        // Whatever the sink failed of then, it had long been failing.
        let abandoned = self.abandoned.load(Ordering::Relaxed);
        finished.map_err(|error| if abandoned { unfinished(error.to_string()) } else { error })
    }
}

fn unfinished(why: String) -> PipelineError {
    PipelineError::Unfinished { patience: STOP_PATIENCE, why }
}
