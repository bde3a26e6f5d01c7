//! `certsift check`.

use std::path::PathBuf;

use super::ExitCode;

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// Configuration file; without one every setting has its default
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn check(_arguments: &Arguments) -> anyhow::Result<ExitCode> {
    Ok(ExitCode::Success)
}
