//! The wiring: who hands what to whom, in which order, and how it ends.
//!
//! In: inputs. Out: everything that follows from them, in the output. Promise: every queue is bounded, so that a slow
//! output slows the reading; order is that of tickets and never of threads; no worker waits for another.

mod archives;
mod catch_up;
mod committer;
mod gauges;
mod ledger;
mod peek;
mod recovery;
mod reload;
mod replay;
mod run;
mod settling;
mod stages;
mod stopping;

pub use peek::SkipReason;
pub use recovery::OutputChanged;
pub use reload::{ReadAgain, Why};
pub use replay::{Replay, ReplayOutcome};
pub use run::{Run, RunOutcome};
pub use stages::PipelineError;
