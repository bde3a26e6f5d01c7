//! How fast `certsift replay` is, and how much memory it takes, on the corpus extended to millions of records.
//!
//! `cargo bench --bench replay` measures everything; `cargo bench --bench replay -- --records 200000 --runs 1` is the
//! short form. The corpus is found by `CERTSIFT_CORPUS`, else beside the repository; without it the sample logs have to
//! do. The extended logs are made once, in cargo's folder for temporary files. The table goes to standard output,
//! notes to standard error.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark's output is its table")]

#[path = "replay/corpus.rs"]
mod corpus;
#[path = "replay/extend.rs"]
mod extend;
#[path = "replay/measure.rs"]
mod measure;
#[path = "replay/samples.rs"]
mod samples;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Parser as _;

use corpus::Corpus;
use extend::Extended;
use measure::{Job, Run};

/// Measures `certsift replay` on extended logs.
#[derive(clap::Parser, Debug)]
struct Arguments {
    /// Sessions in a set of Zeek logs; EVE gets three twentieths of it, since its lines are longer
    #[arg(long, value_name = "N", default_value_t = 2_000_000)]
    records: u64,
    /// Runs of each job; the table shows their median
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Only sets whose name holds this; may be given several times
    #[arg(long = "set", value_name = "NAME")]
    sets: Vec<String>,
    /// Values of `--detail` to measure
    #[arg(long, value_name = "DETAIL", value_delimiter = ',', default_value = "auto,full")]
    detail: Vec<String>,
    /// Values of `--threads` to measure; 0 stands for the default
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "0,1")]
    threads: Vec<usize>,
    /// Make the extended logs, say where they are, and measure nothing
    #[arg(long)]
    make_only: bool,
    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let corpus = Corpus::find(arguments.records);
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("replay");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    eprintln!("bench: {cores} cores, {} runs of each job after one to warm up", arguments.runs);
    let chosen = |name: &str| arguments.sets.is_empty() || arguments.sets.iter().any(|set| name.contains(set.as_str()));
    let sets: Vec<_> = corpus.sets.iter().filter(|set| chosen(&set.name)).collect();
    ensure!(!sets.is_empty(), "no set has such a name");
    if !arguments.make_only {
        println!("{}", heading());
    }
    for set in sets {
        let extended = extend::make(set, &target).with_context(|| format!("cannot make {}", set.name))?;
        if arguments.make_only {
            println!("{}", extended.folder.display());
            continue;
        }
        measure_set(&set.name, &extended, &target.join("dead.ndjson"), &arguments)?;
    }
    Ok(())
}

fn measure_set(name: &str, extended: &Extended, dead_letters: &Path, arguments: &Arguments) -> anyhow::Result<()> {
    let mut warm = false;
    for detail in &arguments.detail {
        for &threads in &arguments.threads {
            let job = Job {
                folder: &extended.folder,
                output: Path::new("/dev/null"),
                config: None,
                detail,
                threads,
                dead_letters,
                cores: None,
            };
            if !warm {
                // Pages of the input are in memory from here on; the first run would pay for them alone.
                measure::run(&job)?;
                warm = true;
            }
            let runs = (0..arguments.runs).map(|_| measure::run(&job)).collect::<anyhow::Result<Vec<_>>>()?;
            for run in &runs {
                ensure!(
                    run.written == extended.records && run.dead_letters == 0,
                    "{name}: {} records in, {} out and {} dead letters",
                    extended.records,
                    run.written,
                    run.dead_letters
                );
            }
            println!("{}", row(name, &job, extended, &runs));
        }
    }
    Ok(())
}

fn heading() -> String {
    format!(
        "{:<14} {:<6} {:>7} {:>9} {:>9} {:>11} {:>19} {:>9} {:>6} {:>13} {:>8}",
        "set",
        "detail",
        "threads",
        "sessions",
        "records",
        "sessions/s",
        "min..max",
        "records/s",
        "GB/s",
        "records/CPU-s",
        "anon MiB"
    )
}

/// A line of the table. Rates are of the median run by wall time; memory is the most that any run took.
fn row(name: &str, job: &Job<'_>, extended: &Extended, runs: &[Run]) -> String {
    let mut by_wall: Vec<&Run> = runs.iter().collect();
    by_wall.sort_by_key(|run| run.took.wall);
    let rate = |count: u64, wall: Duration| count as f64 / wall.as_secs_f64().max(1e-9);
    let sessions = |run: Option<&&Run>| run.map_or(0.0, |run| rate(extended.sessions, run.took.wall));
    let median = by_wall.get(by_wall.len() / 2);
    let wall = median.map_or(Duration::ZERO, |run| run.took.wall);
    let cpu = median.map_or(Duration::ZERO, |run| run.took.cpu);
    let range = format!("{:.0}..{:.0}", sessions(by_wall.last()), sessions(by_wall.first()));
    let peak = runs.iter().map(|run| run.took.peak_anon).max().unwrap_or_default();
    let threads = if job.threads == 0 { "default".to_owned() } else { job.threads.to_string() };
    format!(
        "{name:<14} {:<6} {threads:>7} {:>9} {:>9} {:>11.0} {range:>19} {:>9.0} {:>6.3} {:>13.0} {:>8.1}",
        job.detail,
        extended.sessions,
        extended.records,
        sessions(median),
        rate(extended.records, wall),
        rate(extended.bytes(), wall) / 1e9,
        rate(extended.records, cpu),
        peak as f64 / (1024.0 * 1024.0)
    )
}
