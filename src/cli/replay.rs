//! `certsift replay`: archives, in event time.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};

use super::summary;
use super::{Common, ExitCode, printable, start_logging};
use crate::config::Config;
use crate::encode::{Detail, Format};
use crate::model::TimeZone;
use crate::pipeline::{PipelineError, Replay};
use crate::sink::{OpenMode, Output, Patience, default_dead_letter_path, default_rejected_path, is_same_file};
use crate::source::{Discovered, discover};
use crate::state::StateStore;

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// Files, folders and patterns; plain, gzip or zstd; `-` is standard input
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<String>,
    /// Write to a file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// File for lines that cannot leave as records; an older one is removed [default: the output's name with
    /// `.dead.ndjson`; `certsift.dead.ndjson` in the state or working directory for standard output]
    #[arg(long, value_name = "FILE")]
    dead_letter: Option<PathBuf>,
    /// In which schema records leave
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// How much to say of records on which nothing was found
    #[arg(long, value_enum)]
    detail: Option<Detail>,
    /// State to start from and to keep; without it the history begins empty and is forgotten
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Archives to learn from first, of which nothing is written; may be given several times
    #[arg(long, value_name = "PATH")]
    baseline: Vec<String>,
    /// Judge every record by the whole input, which is read twice: for one capture of an incident
    #[arg(long)]
    whole: bool,
    /// Name of the sensor, instead of what the configuration or the records say
    #[arg(long, value_name = "NAME")]
    sensor: Option<String>,
    /// The sensor's time zone, instead of the configured one; for Zeek before 8.0, such as America/New_York
    #[arg(long, value_name = "ZONE", value_parser = TimeZone::named)]
    time_zone: Option<TimeZone>,
    #[command(flatten)]
    common: Common,
}

pub(super) fn replay(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    start_logging(arguments.common.verbose);
    let started = Instant::now();
    let mut config = match &arguments.common.config {
        Some(path) => Config::load(path)?,
        None => Config::default(),
    };
    if let Some(format) = arguments.format {
        config.output.format = format;
    }
    if let Some(detail) = arguments.detail {
        config.output.detail = detail;
    }
    if arguments.whole && !config.join.history {
        anyhow::bail!("--whole judges by the history of the whole input, and checks.history = false keeps none");
    }
    let (knowledge, reports) = config.load_knowledge(summary::now())?;
    summary::report_knowledge(&reports);
    // Who names a file, or standard output, does not want the server.
    let network = config.output.network.clone().filter(|_| arguments.output.is_none());
    let output_path = arguments.output.as_deref().filter(|path| path.as_os_str() != "-");
    let dead_letter = arguments
        .dead_letter
        .clone()
        .unwrap_or_else(|| default_dead_letter_path(output_path, arguments.state.as_deref()));
    let (files, mut unreadable) = inputs(&arguments.paths, output_path, &dead_letter)?;
    let (baseline, unreadable_baseline) = inputs(&arguments.baseline, output_path, &dead_letter)?;
    unreadable.extend(unreadable_baseline);
    if let Some(once) = files.iter().find(|file| arguments.whole && !file.path.is_file()) {
        anyhow::bail!("{}: --whole reads its inputs twice, and this one can be read only once", once.path.display());
    }
    let state = arguments.state.as_deref().map(StateStore::open).transpose()?.map(Arc::new);
    let (mode, patience) = (OpenMode::Replace, Patience::none());
    let (output, counts) = match &network {
        Some(settings) => {
            let rejected = config.output.rejected.clone();
            let rejected = rejected.unwrap_or_else(|| default_rejected_path(arguments.state.as_deref()));
            let server = summary::prepare_network(settings, config.output.format, rejected)?;
            let counts = (server.counts(), server.rejected().to_owned());
            (Output::send(server.start(patience.clone())?, dead_letter, mode, patience)?, Some(counts))
        }
        None => (Output::open(output_path, dead_letter, mode, patience)?, None),
    };
    let bar = progress_bar(&files, output_path.is_none() && network.is_none());
    let replay = Replay {
        config: &config,
        knowledge: Arc::new(knowledge),
        baseline,
        files,
        whole: arguments.whole,
        unreadable,
        sensor: arguments.sensor.as_deref(),
        time_zone: arguments.time_zone.as_ref(),
        threads: arguments.common.threads,
        state,
        progress: &|bytes| bar.set_position(bytes),
    };
    let outcome = replay.run(output);
    bar.finish_and_clear();
    let outcome = match outcome {
        Ok(outcome) => outcome,
        // The reader of the pipe has what it wanted.
        Err(PipelineError::Sink(error)) if error.is_broken_pipe() => return Ok(ExitCode::Success),
        Err(error) => return Err(error.into()),
    };
    summary::report_replay(&outcome, &config.encode_settings().enrich, arguments.whole, started.elapsed());
    let rejected = counts.map_or(0, |(counts, path)| summary::report_network(&counts, &path));
    Ok(if outcome.failed.is_empty() && rejected == 0 { ExitCode::Success } else { ExitCode::Incomplete })
}

/// The files to be read, without those that are about to be written, and what cannot be looked at.
fn inputs(
    paths: &[String],
    output: Option<&std::path::Path>,
    dead_letter: &std::path::Path,
) -> anyhow::Result<(Vec<Discovered>, Vec<String>)> {
    let (mut files, unreadable) = discover(paths)?;
    for written in output.into_iter().chain([dead_letter]) {
        if let Some(file) = files.iter().find(|file| file.named && is_same_file(&file.path, written)) {
            anyhow::bail!("{}: is an input and would be overwritten; name another output", file.path.display());
        }
        files.retain(|file| !is_same_file(&file.path, written));
    }
    Ok((files, unreadable.iter().map(ToString::to_string).collect()))
}

fn progress_bar(files: &[Discovered], to_stdout: bool) -> ProgressBar {
    let total: u64 = files.iter().filter_map(|file| file.path.metadata().ok()).map(|metadata| metadata.len()).sum();
    // On a terminal that shows the records themselves, a bar would be torn by them.
    if !std::io::stderr().is_terminal() || (to_stdout && std::io::stdout().is_terminal()) || total == 0 {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(total);
    let style = ProgressStyle::with_template("{bar:32} {bytes}/{total_bytes} {bytes_per_sec} {eta}")
        .context("progress bar")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.with_style(style)
}

/// What the user is told of one file.
pub(super) fn shown(path: &std::path::Path) -> String {
    printable(&path.to_string_lossy())
}
