//! `certsift config`: every key of a configuration, for people and for editors.

use std::path::PathBuf;

use clap::Subcommand;

use super::ExitCode;
use super::terminal::{printable, write_stdout};
use crate::config::{schema, shown};

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Print a configuration with every key, its default or its value, and what it means
    Show(Show),
    /// Print the JSON Schema of a configuration
    Schema,
}

#[derive(clap::Args, Debug)]
struct Show {
    /// Configuration file whose values are shown in place of the defaults
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn config(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let text = match &arguments.command {
        Command::Show(Show { config: None }) => shown("").map_err(|error| anyhow::anyhow!(error))?,
        Command::Show(Show { config: Some(path) }) => {
            let read = std::fs::read_to_string(path);
            let text = read.map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
            shown(&text).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?
        }
        Command::Schema => serde_json::to_string_pretty(&schema())? + "\n",
    };
    write_stdout(&printable(&text))?;
    Ok(ExitCode::Success)
}
