//! certsift beside the minimal program, which appends as many bytes: one that only finds the fields, and one that parses
//! them.

use std::path::PathBuf;

use super::measure;
use super::rounds::rounds;
use super::samples::Form;
use super::traffic::{self, Traffic};
use super::{Setting, cores, feed, speed};

/// Who works, on how many cores, and where to.
struct Way {
    who: Who,
    cores: usize,
    is_file: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Who {
    Certsift,
    Finding,
    Parsing,
}

const ALL: [Who; 3] = [Who::Certsift, Who::Finding, Who::Parsing];

pub(super) fn measure(setting: &Setting<'_>) -> anyhow::Result<()> {
    let all = traffic::make(&setting.target, setting.arguments.records, |name| setting.is_chosen(name))?;
    println!(
        "the limit: a program that finds the fields, or parses them too, looks two up and appends constant bytes; shares \
         are certsift's speed"
    );
    println!(
        "{:<10} {:>9} {:>11} {:<9} {:>5} {:<8} {:>10} {:>9} {:>10} {:>9}",
        "set", "records", "appended, B", "into", "cores", "who", "records/s", "share", "/CPU-s", "share"
    );
    // Rows of TSV leave as JSON: there is no minimal program for that.
    all.iter().filter(|traffic| traffic.form != Form::Tsv).try_for_each(|traffic| beside(setting, traffic))
}

fn beside(setting: &Setting<'_>, traffic: &Traffic) -> anyhow::Result<()> {
    let extended = &traffic.extended;
    super::warm(&extended.folder)?;
    let config = setting.all_checks("limit.toml", &[&traffic.table])?;
    let feed = feed::make(&setting.target.join("feeds"), super::FEED_ROWS)?;
    let file = setting.scratch.join("limit.ndjson");
    // How much there is to append is known once certsift has written.
    setting.replay(&extended.folder, extended.records, &file, &config, None)?;
    let records = extended.records as f64;
    let append = (std::fs::metadata(&file)?.len() as f64 - extended.bytes() as f64) / records;
    std::fs::remove_file(&file)?;
    let mut ways = Vec::new();
    for is_file in [false, true] {
        for cores in [1, 2] {
            ways.extend(ALL.map(|who| Way { who, cores, is_file }));
        }
    }
    let figures = rounds(setting.arguments.runs, &ways, |way, _| {
        let cores = if way.cores == 1 { cores()?.swap_remove(0) } else { speed::two_cores()? };
        let output = if way.is_file { file.clone() } else { PathBuf::from("/dev/null") };
        let took = if way.who == Who::Certsift {
            setting.replay(&extended.folder, extended.records, &output, &config, Some(&cores))?
        } else {
            let mut command = measure::pinned(std::env::current_exe()?, Some(&cores));
            command.arg("minimal").arg("--output").arg(&output);
            for input in super::files(&extended.folder)? {
                command.arg("--input").arg(input);
            }
            command.arg("--table").arg(&traffic.table).arg("--table").arg(&feed);
            command.args(["--append", &format!("{append:.0}"), "--threads", &way.cores.to_string()]);
            if way.who == Who::Parsing {
                command.arg("--parse");
            }
            measure::processes(vec![command], None)?
        };
        if way.is_file {
            std::fs::remove_file(&file)?;
        }
        Ok(took)
    })?;
    for (ways, figures) in ways.chunks(ALL.len()).zip(figures.chunks(ALL.len())) {
        let certsift = figures[0];
        for (way, took) in ways.iter().zip(figures) {
            let who = match way.who {
                Who::Certsift => "certsift",
                Who::Finding => "finding",
                Who::Parsing => "parsing",
            };
            println!(
                "{:<10} {:>9} {append:>11.0} {:<9} {:>5} {who:<8} {:>10.0} {:>9.2} {:>10.0} {:>9.2}",
                traffic.name,
                extended.records,
                if way.is_file { "file" } else { "/dev/null" },
                way.cores,
                records / took.wall,
                took.wall / certsift.wall,
                records / took.cpu,
                took.cpu / certsift.cpu
            );
        }
    }
    Ok(())
}
