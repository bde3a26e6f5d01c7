//! certsift beside what a user would take instead, and beside what the machine can do at the most.
//!
//! `cargo bench --bench compare -- --python VENV/bin/python` prints everything; `benches/compare/README.md` says how the
//! others are installed, and what each part measures. Every figure is of whole processes, and of one run of this program:
//! machines differ, ratios less so. Tables go to standard output, notes to standard error.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark's output is its table")]

#[path = "compare/answers.rs"]
mod answers;
#[path = "replay/corpus.rs"]
mod corpus;
#[path = "replay/extend.rs"]
mod extend;
#[path = "replay/feed.rs"]
mod feed;
#[path = "compare/flat.rs"]
mod flat;
#[path = "compare/limits.rs"]
mod limits;
#[path = "replay/measure.rs"]
mod measure;
#[path = "limit/minimal.rs"]
mod minimal;
#[path = "compare/peers.rs"]
mod peers;
#[path = "compare/rounds.rs"]
mod rounds;
#[path = "replay/samples.rs"]
mod samples;
#[path = "compare/side_by_side.rs"]
mod side_by_side;
#[path = "compare/speed.rs"]
mod speed;
#[path = "compare/start.rs"]
mod start;
#[path = "compare/traffic.rs"]
mod traffic;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use clap::Parser as _;

use measure::{Job, Took};

/// Measures certsift beside others.
#[derive(clap::Parser, Debug)]
struct Arguments {
    /// Parts to measure; without, all
    #[arg(long = "part", value_name = "PART", value_delimiter = ',')]
    parts: Vec<Part>,
    /// Sessions in a set of Zeek logs; there are a fifth as many certificates, and three tenths as many events of EVE
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    records: u64,
    /// The most sessions of the part `flat` are this power of ten; of certificates, a tenth as many
    #[arg(long, value_name = "N", default_value_t = 7)]
    most: u32,
    /// Rounds, in each of which everybody gets a turn; tables show medians
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Only sets whose name holds this; may be given several times
    #[arg(long = "set", value_name = "NAME")]
    sets: Vec<String>,
    /// Only peers whose name holds this, whatever its case; may be given several times
    #[arg(long = "peer", value_name = "NAME")]
    peers: Vec<String>,
    /// The Python that has the peers of PyPI; programs are looked for in its folder too
    #[arg(long, value_name = "FILE", default_value = "python3")]
    python: PathBuf,
    /// Where outputs go, each for as long as it is looked at; in memory, so that no disk is measured
    #[arg(long, value_name = "DIR", default_value = "/dev/shm")]
    scratch: PathBuf,
    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
    /// Do what the minimal program does, as a process of its own
    #[command(subcommand)]
    minimal: Option<Minimal>,
}

#[derive(clap::Subcommand, Debug)]
enum Minimal {
    #[command(hide = true)]
    Minimal(minimal::Work),
}

#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    /// The same job as others
    Peers,
    /// All checks, into /dev/null and into a file
    Speed,
    /// The minimal program
    Limit,
    /// One core and two
    Cores,
    /// Cost by the number of records, and of certificates
    Flat,
    /// Time to the first output
    Start,
}

/// What is asked of everybody.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Task {
    /// Every record's own issuer is looked up.
    Lookup,
    /// A session is joined with its certificate first.
    Join,
}

/// What all parts share.
struct Setting<'a> {
    arguments: &'a Arguments,
    /// Of the corpora.
    target: PathBuf,
    /// A folder of this process alone.
    scratch: PathBuf,
}

/// Rows of the feed that is loaded where all checks are on.
const FEED_ROWS: u32 = 100_000;

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if let Some(Minimal::Minimal(work)) = &arguments.minimal {
        minimal::run(work)?;
        return Ok(());
    }
    let scratch = arguments.scratch.join(format!("certsift-compare-{}", std::process::id()));
    std::fs::create_dir_all(&scratch).with_context(|| scratch.display().to_string())?;
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let setting = Setting { arguments: &arguments, target, scratch };
    let measured = setting.measure();
    std::fs::remove_dir_all(&setting.scratch)?;
    measured
}

impl Setting<'_> {
    fn measure(&self) -> anyhow::Result<()> {
        let parts = &self.arguments.parts;
        let wants = |part| parts.is_empty() || parts.contains(&part);
        eprintln!("bench: {} rounds on the processors {}", self.arguments.runs, cores()?.join(","));
        if wants(Part::Peers) {
            side_by_side::measure(self)?;
        }
        if wants(Part::Speed) {
            speed::measure(self)?;
        }
        if wants(Part::Limit) {
            limits::measure(self)?;
        }
        if wants(Part::Cores) {
            speed::measure_cores(self)?;
        }
        if wants(Part::Flat) {
            flat::measure(self)?;
        }
        if wants(Part::Start) {
            start::measure(self)?;
        }
        Ok(())
    }

    fn is_chosen(&self, set: &str) -> bool {
        self.arguments.sets.is_empty() || self.arguments.sets.iter().any(|name| set.contains(name.as_str()))
    }

    /// A configuration with these feeds, and what else is given.
    fn config(&self, name: &str, feeds: &[&Path], more: &str) -> anyhow::Result<PathBuf> {
        let path = self.scratch.join(name);
        std::fs::write(&path, format!("[knowledge]\nfeeds = {feeds:?}\n{more}"))?;
        Ok(path)
    }

    /// A configuration with everything on: the catalogue, which is compiled in, and a long feed.
    fn all_checks(&self, name: &str, more: &[&Path]) -> anyhow::Result<PathBuf> {
        let feed = feed::make(&self.target.join("feeds"), FEED_ROWS)?;
        let feeds: Vec<&Path> = std::iter::once(feed.as_path()).chain(more.iter().copied()).collect();
        self.config(name, &feeds, "")
    }

    /// What a replay takes, which has to write all records.
    fn replay(
        &self,
        folder: &Path,
        records: u64,
        output: &Path,
        config: &Path,
        cores: Option<&str>,
    ) -> anyhow::Result<Took> {
        let dead_letters = self.scratch.join("dead.ndjson");
        let job = Job {
            folder,
            output,
            config: Some(config),
            detail: "auto",
            threads: 0,
            dead_letters: &dead_letters,
            cores,
        };
        let run = measure::run(&job)?;
        ensure!(
            run.written == records && run.dead_letters == 0,
            "{records} records in, {} out and {} dead letters",
            run.written,
            run.dead_letters
        );
        Ok(run.took)
    }
}

/// The logs of a folder.
fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}

/// Reads all logs of a folder once, so that they are in memory.
fn warm(folder: &Path) -> anyhow::Result<()> {
    for file in files(folder)? {
        std::io::copy(&mut std::fs::File::open(file)?, &mut std::io::sink())?;
    }
    Ok(())
}

/// The processors that this process may use.
fn cores() -> anyhow::Result<Vec<String>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let list =
        status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).context("no list of processors")?;
    let mut cores = Vec::new();
    for range in list.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        cores.extend((first.parse::<u32>()?..=last.parse()?).map(|core| core.to_string()));
    }
    Ok(cores)
}
