//! What certsift does with all its checks on two cores, and what one core does.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::corpus::Corpus;
use super::extend::{self, Extended};
use super::rounds::rounds;
use super::{Setting, cores};

/// Where lines go, and on which processors.
struct Way {
    output: PathBuf,
    cores: String,
}

pub(super) fn measure(setting: &Setting<'_>) -> anyhow::Result<()> {
    println!("all checks, catalogue and a feed of {} rows, default budgets, on two cores", super::FEED_ROWS);
    println!(
        "{:<14} {:>9} {:<9} {:>9} {:>6} {:>13} {:>7} {:>12} {:>9}",
        "set", "records", "into", "records/s", "MB/s", "records/CPU-s", "in, B", "out - in, B", "anon MiB"
    );
    let config = setting.all_checks("speed.toml", &[])?;
    let cores = two_cores()?;
    let file = setting.scratch.join("speed.ndjson");
    let ways = [PathBuf::from("/dev/null"), file.clone()].map(|output| Way { output, cores: cores.clone() });
    for (name, extended) in sets(setting)? {
        let mut written = 0;
        let records = extended.records as f64;
        let figures = rounds(setting.arguments.runs, &ways, |way, _| {
            let took = setting.replay(&extended.folder, extended.records, &way.output, &config, Some(&way.cores))?;
            if way.output == file {
                written = std::fs::metadata(&file)?.len();
                std::fs::remove_file(&file)?;
            }
            Ok(took)
        })?;
        for (way, figures) in ways.iter().zip(&figures) {
            println!(
                "{name:<14} {:>9} {:<9} {:>9.0} {:>6.0} {:>13.0} {:>7.0} {:>12.0} {:>9.1}",
                extended.records,
                if way.output == file { "file" } else { "/dev/null" },
                records / figures.wall,
                extended.bytes() as f64 / figures.wall / 1e6,
                records / figures.cpu,
                extended.bytes() as f64 / records,
                (written as f64 - extended.bytes() as f64) / records,
                figures.peak
            );
        }
    }
    Ok(())
}

pub(super) fn measure_cores(setting: &Setting<'_>) -> anyhow::Result<()> {
    println!("one core and two, all checks, into /dev/null");
    println!("{:<14} {:>9} {:>16} {:>17} {:>8}", "set", "records", "1 core, records/s", "2 cores, records/s", "ratio");
    let config = setting.all_checks("cores.toml", &[])?;
    let one = cores()?.swap_remove(0);
    let ways = [one, two_cores()?].map(|cores| Way { output: Path::new("/dev/null").to_owned(), cores });
    for (name, extended) in sets(setting)? {
        let figures = rounds(setting.arguments.runs, &ways, |way, _| {
            setting.replay(&extended.folder, extended.records, &way.output, &config, Some(&way.cores))
        })?;
        let rate = |way: usize| extended.records as f64 / figures[way].wall;
        println!(
            "{name:<14} {:>9} {:>16.0} {:>17.0} {:>8}",
            extended.records,
            rate(0),
            rate(1),
            format!("{:.2} x", rate(1) / rate(0))
        );
    }
    Ok(())
}

/// The sets of the replay benchmark, extended and in memory.
fn sets(setting: &Setting<'_>) -> anyhow::Result<Vec<(String, Extended)>> {
    let corpus = Corpus::find(setting.arguments.records);
    let mut sets = Vec::new();
    for set in corpus.sets.iter().filter(|set| setting.is_chosen(&set.name)) {
        let extended =
            extend::make(set, &setting.target.join("replay")).with_context(|| format!("cannot make {}", set.name))?;
        super::warm(&extended.folder)?;
        sets.push((set.name.clone(), extended));
    }
    Ok(sets)
}

/// Two processors, as `taskset` takes them.
pub(super) fn two_cores() -> anyhow::Result<String> {
    let mut cores = cores()?;
    anyhow::ensure!(cores.len() >= 2, "there are not two processors");
    cores.truncate(2);
    Ok(cores.join(","))
}
