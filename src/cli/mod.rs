//! The commands. Data goes to standard output, everything else to standard error.
#![allow(clippy::print_stderr, reason = "a command line talks to its user")]

mod check;
mod exit;
mod explain;
mod feeds;
mod replay;
mod run;
mod setup;
mod state;
mod summary;
mod terminal;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

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
    /// Make indexes of long lists
    Feeds(feeds::Arguments),
    /// Print what SIEMs need to take the output: templates, mappings, rules
    Setup(setup::Arguments),
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
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("certsift: {}", printable(&error.to_string()));
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

/// Starts logging to standard error.
fn start_logging(verbose: u8) {
    let level = ["warn", "info", "debug", "trace"][usize::from(verbose.min(3))];
    let filter = tracing_subscriber::EnvFilter::try_from_env("CERTSIFT_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
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
