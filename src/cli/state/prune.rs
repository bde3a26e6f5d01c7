//! `certsift state prune`: forgetting what was last seen long ago.

use std::time::Duration;

use super::{ExitCode, Place};
use crate::config::parse_interval;
use crate::state::{StateError, StateStore, StateView};

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// Forget what was last seen longer ago than this, by the state's own clock: 90d, 720h
    #[arg(long, value_name = "TIME", value_parser = parse_interval)]
    older_than: Duration,
    #[command(flatten)]
    place: Place,
}

pub(super) fn prune(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (directory, config) = arguments.place.find()?;
    // A mistyped directory must not become a state.
    match StateView::open(&directory) {
        Ok(view) => drop(view),
        // To be opened for writing repairs it.
        Err(StateError::NotClosed { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let store = StateStore::open(&directory)?;
    if store.has_open_journal()? {
        return Err(StateError::NotClosed { path: directory }.into());
    }
    let Some(now) = store.clock()?.and_then(|clock| clock.now()) else {
        eprintln!("nothing to forget: this state has not seen a record yet");
        return Ok(ExitCode::Success);
    };
    let age = i64::try_from(arguments.older_than.as_nanos()).unwrap_or(i64::MAX);
    let before = now.plus(age.saturating_neg());
    let pruned = store.prune(config.history, before)?;
    eprintln!(
        "forgot {} entries of the history last seen before {before}, and {} certificates; {} more entries have fewer \
         observers now",
        pruned.entries, pruned.certificates, pruned.shortened
    );
    Ok(ExitCode::Success)
}
