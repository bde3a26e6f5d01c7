//! `certsift feeds`: what is made of lists once, so that it need not be read at every start.

use std::path::PathBuf;
use std::time::Instant;

use clap::Subcommand;

use super::terminal::write_stdout;
use super::{ExitCode, start_logging, summary};
use crate::config::{expand, parse_day};
use crate::knowledge::RegistrationList;
use crate::knowledge::registrations::index;
use crate::knowledge::suffix::replace_list;
use crate::knowledge::suffix_list::SuffixList;

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Make one index of lists of registrations: for tens of millions of domains, open at once
    Build(Build),
}

#[derive(clap::Args, Debug)]
struct Build {
    /// The index; an older one is replaced once the new one is whole
    #[arg(value_name = "INDEX")]
    out: PathBuf,
    /// Lists of registrations, of any shape; files and patterns
    #[arg(value_name = "LIST", required = true)]
    lists: Vec<String>,
    /// Days that lists without dates look back, where neither their name nor a comment says so
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=400))]
    window_days: Option<u16>,
    /// Day of the data, or without a window of the registrations; such as 2026-11-20
    #[arg(long, value_name = "DATE", value_parser = parse_day)]
    date: Option<i32>,
    /// List of public suffixes to use in place of the one that is compiled in; `run` and `replay` must use the same
    #[arg(long, value_name = "FILE")]
    public_suffix_list: Option<PathBuf>,
}

pub(super) fn feeds(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    start_logging(0);
    match &arguments.command {
        Command::Build(arguments) => build(arguments),
    }
}

fn build(arguments: &Build) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    if let Some(path) = &arguments.public_suffix_list {
        let list = SuffixList::load(path).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
        replace_list(list);
    }
    let (window_days, day) = (arguments.window_days, arguments.date);
    let lists: Vec<_> = expand("feeds build", &arguments.lists)?
        .into_iter()
        .map(|path| RegistrationList { path, window_days, day })
        .collect();
    let built = index::build(&arguments.out, &lists)?;
    summary::report_lists(built.reports.iter());
    let rows: u64 = built.reports.iter().map(|report| report.rows).sum();
    let bad: u64 = built.reports.iter().map(|report| report.bad_rows).sum();
    let took = started.elapsed();
    let look_up = index::look_up_time(&arguments.out).map_err(|error| anyhow::anyhow!("{error}"))?;
    let text = format!(
        "lists    {}\nrows     {rows}, left out {bad}\nindex    {} registrations, {} bytes\nlook-up  {:.2} µs\ntime     {:.1} s\n",
        lists.len(),
        built.entries,
        built.bytes,
        look_up.as_secs_f64() * 1e6,
        took.as_secs_f64(),
    );
    write_stdout(&text)?;
    Ok(ExitCode::Success)
}
