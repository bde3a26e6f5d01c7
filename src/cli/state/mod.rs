//! `certsift state`: what is remembered, for people to see, move and forget.
//!
//! `show` and `export` read a state and leave it as it is; `merge` makes a new one of two; only `prune` changes the one that
//! it is given. A state that a running certsift holds is not looked at: its own commits would be in the way.

mod entry;
mod export;
mod merge;
mod prune;
mod show;
pub(super) mod table;

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::{ExitCode, start_logging};
use crate::config::Config;
use crate::history::HistorySettings;

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Show issuers, certificates, names or servers, those that few have met first
    Show(show::Arguments),
    /// Write everything that history knows, one object per line, in an order that stays the same
    Export(export::Arguments),
    /// Make a new state of what two states know together
    Merge(merge::Arguments),
    /// Forget what was last seen long ago
    Prune(prune::Arguments),
}

/// Which state is meant, and by which settings it is read.
#[derive(clap::Args, Debug)]
struct Place {
    /// State directory, instead of the configured one
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Configuration file; without one every setting has its default
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn state(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    start_logging(0);
    match &arguments.command {
        Command::Show(arguments) => show::show(arguments),
        Command::Export(arguments) => export::export(arguments),
        Command::Merge(arguments) => merge::merge(arguments),
        Command::Prune(arguments) => prune::prune(arguments),
    }
}

/// The settings of a configuration file, or the defaults.
fn config_of(path: Option<&Path>) -> anyhow::Result<Config> {
    Ok(path.map(Config::load).transpose()?.unwrap_or_default())
}

/// Settings with room for all that is stored: how much memory there is to work with is for `run` and `replay` to keep to.
fn with_room_for_all(settings: HistorySettings) -> HistorySettings {
    HistorySettings { memory: u64::MAX, ..settings }
}

impl Place {
    /// The directory, and the settings.
    fn find(&self) -> anyhow::Result<(PathBuf, Config)> {
        let config = config_of(self.config.as_deref())?;
        match self.state.clone().or_else(|| config.state_dir.clone()) {
            Some(directory) => Ok((directory, config)),
            None => anyhow::bail!("which state? Give --state DIR, or --config FILE with dir = \"…\" under [state]"),
        }
    }
}
