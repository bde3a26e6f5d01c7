//! What knowledge costs `replay`: without any, with the catalogue, and with the catalogue and a feed of a million rows,
//! side by side in one process.
//!
//! `cargo bench --bench knowledge` prints the figures; `-- --records 200000 --rounds 1` is the short form. Logs are those of
//! the replay benchmark. Nothing is asserted: machines differ, ratios of one run less so.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark's output is its table")]

#[path = "replay/corpus.rs"]
mod corpus;
#[path = "process/cpu.rs"]
mod cpu;
#[path = "replay/extend.rs"]
mod extend;
#[path = "replay/feed.rs"]
mod feed;
#[path = "replay/samples.rs"]
mod samples;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use certsift::config::Config;
use certsift::knowledge::{Feeds, Knowledge, Signatures};
use certsift::model::EventTime;
use certsift::pipeline::Replay;
use certsift::sink::{OpenMode, Output, Patience};
use certsift::source::discover;
use clap::Parser as _;

use corpus::Corpus;

/// Measures what knowledge costs.
#[derive(clap::Parser, Debug)]
struct Arguments {
    /// Sessions in a set of Zeek logs
    #[arg(long, value_name = "N", default_value_t = 2_000_000)]
    records: u64,
    /// Rounds, in each of which every knowledge gets its turn
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Only sets whose name holds this; may be given several times
    #[arg(long = "set", value_name = "NAME", default_values_t = ["zeek-6.2-json".to_owned(), "suricata-8.0".to_owned()])]
    sets: Vec<String>,
    /// Rows of the feed
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    rows: u32,
    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// One kind of knowledge, and what replays with it took.
struct Candidate {
    name: &'static str,
    knowledge: Arc<Knowledge>,
    runs: Vec<Run>,
}

#[derive(Clone, Copy)]
struct Run {
    wall: Duration,
    cpu: f64,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let corpus = Corpus::find(arguments.records);
    let feed = feed::make(&target.join("feeds"), arguments.rows)?;
    println!(
        "{:<14} {:<20} {:>11} {:>13} {:>7} {:>8}",
        "set", "knowledge", "records/s", "records/CPU-s", "GB/s", "CPU"
    );
    for set in corpus.sets.iter().filter(|set| arguments.sets.iter().any(|name| set.name.contains(name.as_str()))) {
        let extended =
            extend::make(set, &target.join("replay")).with_context(|| format!("cannot make {}", set.name))?;
        let mut candidates = candidates(&feed)?;
        for candidate in &candidates {
            replay(&extended.folder, target, candidate, extended.records)?;
        }
        for _ in 0..arguments.rounds {
            for candidate in &mut candidates {
                let run = replay(&extended.folder, target, candidate, extended.records)?;
                candidate.runs.push(run);
            }
        }
        let mut without = None;
        for candidate in &candidates {
            let (wall, cpu) = candidate.medians();
            let records = extended.records as f64;
            let ratio = cpu / *without.get_or_insert(cpu);
            println!(
                "{:<14} {:<20} {:>11.0} {:>13.0} {:>7.3} {:>8}",
                set.name,
                candidate.name,
                records / wall,
                records / cpu,
                extended.bytes() as f64 / wall / 1e9,
                format!("{ratio:.3} x")
            );
        }
    }
    Ok(())
}

fn candidates(feed: &Path) -> anyhow::Result<Vec<Candidate>> {
    let none = || -> anyhow::Result<Knowledge> {
        Ok(Knowledge { signatures: Arc::new(Signatures::parse("none", "")?), ..Knowledge::builtin()? })
    };
    let (feeds, reports) = Feeds::load(&[feed.to_owned()], EventTime(0));
    for report in &reports {
        ensure!(report.error.is_none() && report.bad == 0, "the feed cannot be used: {report:?}");
        eprintln!("bench: a feed of {} rows", report.used_total());
    }
    let candidate = |name, knowledge| Candidate { name, knowledge: Arc::new(knowledge), runs: Vec::new() };
    Ok(vec![
        candidate("none", none()?),
        candidate("catalogue", Knowledge::builtin()?),
        candidate("catalogue and feed", Knowledge { feeds: Arc::new(feeds), ..Knowledge::builtin()? }),
    ])
}

fn replay(folder: &Path, target: &Path, candidate: &Candidate, records: u64) -> anyhow::Result<Run> {
    let (files, _) = discover(&[folder.to_string_lossy()])?;
    let output =
        Output::open(Some(Path::new("/dev/null")), target.join("dead.ndjson"), OpenMode::Replace, Patience::none())?;
    let config = Config::default();
    let replay = Replay {
        config: &config,
        knowledge: Arc::clone(&candidate.knowledge),
        files,
        unreadable: Vec::new(),
        sensor: None,
        time_zone: None,
        threads: 0,
        state: None,
        baseline: Vec::new(),
        whole: false,
        progress: &|_| {},
    };
    let (started, before) = (Instant::now(), cpu::seconds());
    let outcome = replay.run(output)?;
    let run = Run { wall: started.elapsed(), cpu: cpu::seconds() - before };
    ensure!(outcome.counts.total_written() == records, "{} of {records} records", outcome.counts.total_written());
    Ok(run)
}

impl Candidate {
    /// Of wall and processor seconds.
    fn medians(&self) -> (f64, f64) {
        let median = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let wall = median(self.runs.iter().map(|run| run.wall.as_secs_f64()).collect());
        (wall, median(self.runs.iter().map(|run| run.cpu).collect()))
    }
}
