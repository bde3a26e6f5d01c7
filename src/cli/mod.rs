//! The commands. Data goes to standard output, everything else to standard error.
#![allow(clippy::print_stderr, reason = "a command line talks to its user")]

mod check;
mod config;
mod exit;
mod explain;
mod feeds;
mod manual;
mod replay;
mod run;
mod setup;
mod state;
mod status;
mod summary;
mod terminal;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Parser, Subcommand};

use crate::config::LogFormat;
pub use exit::ExitCode;
use terminal::printable;

/// Says which certificate every TLS session in Zeek and Suricata logs presented, what is known about it, and how unusual
/// it is here.
#[derive(Parser, Debug)]
#[command(name = "certsift", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Enrich archived logs, in event time
    Replay(replay::Arguments),
    /// Follow live logs, as a sidecar of a sensor
    Run(run::Arguments),
    /// Say in words what certsift makes of a certificate or of log lines
    Explain(explain::Arguments),
    /// Look at what is remembered, move it, and forget what is old
    State(state::Arguments),
    /// Say what a configuration would read, match and write, without doing it
    Check(check::Arguments),
    /// Explain every key of a configuration
    Config(config::Arguments),
    /// Say how a sidecar is doing
    Status(status::Arguments),
    /// Make indexes of long lists
    Feeds(feeds::Arguments),
    /// Print what SIEMs need to take the output: templates, mappings, rules
    Setup(setup::Arguments),
    /// Print the script that completes commands and options in a shell
    Completions(manual::CompletionsArguments),
    /// Print the manual page
    Man(manual::ManArguments),
}

/// Options that `replay` and `run` have.
#[derive(clap::Args, Debug)]
struct Common {
    /// Configuration file; without one every setting has its default
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Worker threads [default: one per core]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, value_parser = threads)]
    threads: usize,
    /// Say more on standard error: what is done, and twice for details
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

/// Runs the command that the process was called with.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are answers, and go where clap sends them.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::Usage } else { ExitCode::Success };
        }
    };
    let outcome = match arguments.command {
        Command::Replay(arguments) => replay::replay(&arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::Explain(arguments) => explain::explain(&arguments),
        Command::State(arguments) => state::state(&arguments),
        Command::Check(arguments) => check::check(&arguments),
        Command::Feeds(arguments) => feeds::feeds(&arguments),
        Command::Setup(arguments) => setup::setup(&arguments),
        Command::Config(arguments) => config::config(&arguments),
        Command::Status(arguments) => status::status(&arguments),
        Command::Completions(arguments) => manual::completions(&arguments),
        Command::Man(arguments) => manual::man(&arguments),
    };
    outcome.unwrap_or_else(|error| {
        let error = error.to_string();
        if STRUCTURED.load(Ordering::Relaxed) {
            tracing::error!("{error}");
        } else {
            eprintln!("certsift: {}", printable(&error));
        }
        ExitCode::Failure
    })
}

/// A number of threads that a machine can have.
fn threads(text: &str) -> Result<usize, String> {
    const MAX: usize = 1024;
    match text.parse() {
        Ok(threads) if threads <= MAX => Ok(threads),
        _ => Err(format!("a number from 1 to {MAX}, or 0 for one per core")),
    }
}

/// Whether standard error takes objects only.
static STRUCTURED: AtomicBool = AtomicBool::new(false);

/// Says something that is safe to show, in the form of the log where that has one.
fn say(message: &str) {
    if STRUCTURED.load(Ordering::Relaxed) {
        tracing::warn!("{message}");
    } else {
        eprintln!("certsift: {message}");
    }
}

/// Starts logging to standard error.
fn start_logging(verbose: u8) {
    start_logging_as(verbose, LogFormat::Text);
}

/// The same, in a form.
fn start_logging_as(verbose: u8, format: LogFormat) {
    let level = ["warn", "info", "debug", "trace"][usize::from(verbose.min(3))];
    let filter = tracing_subscriber::EnvFilter::try_from_env("CERTSIFT_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).with_current_span(false).with_span_list(false).init(),
    }
    STRUCTURED.store(format == LogFormat::Json, Ordering::Relaxed);
    log_panics();
}

/// A panic is caught where it costs one record only; what is left of it is a line in the log.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let payload = panic.payload();
        let message = payload.downcast_ref::<&str>().copied();
        let message = message.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or_default();
        tracing::error!(%place, message, "a fault of certsift, please report it");
    }));
}

/// A file's name without its folder.
fn file_name(path: &std::path::Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
