//! The same job for everybody: look up each record's issuer, add the result, write NDJSON.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use super::answers::{self, Answer};
use super::measure;
use super::peers::{Peer, Peers};
use super::rounds::rounds;
use super::samples::Form;
use super::traffic::{self, Traffic};
use super::{Setting, Task};

enum Contestant<'a> {
    /// certsift, with a name for it, its configuration, and what is right, which is that of a join in any case.
    Certsift(&'static str, PathBuf, Answer),
    Peer(&'a Peer),
}

/// No more than others do: one look-up, and what it found.
const TABLE_ALONE: &str = "[output]\ndetail = \"found\"\n[checks]\nonly = [\"feed\"]\nhistory = false\n";

pub(super) fn measure(setting: &Setting<'_>) -> anyhow::Result<()> {
    let arguments = setting.arguments;
    let is_chosen = |name: &str| {
        let name = name.to_lowercase();
        arguments.peers.is_empty() || arguments.peers.iter().any(|peer| name.contains(&peer.to_lowercase()))
    };
    let peers = Peers::find(&arguments.python, &setting.scratch, is_chosen)?;
    let all = traffic::make(&setting.target, arguments.records, |name| setting.is_chosen(name))?;
    println!(
        "the job of others: a table of issuers, into a file; ratios are certsift's records per CPU-second to theirs"
    );
    println!(
        "{:<10} {:<7} {:<22} {:>9} {:>8} {:>13} {:>8} {:>8} {:>9} {:>10} {:>11}",
        "set",
        "job",
        "who",
        "records",
        "hits",
        "records/CPU-s",
        "CPU s",
        "wall s",
        "anon MiB",
        "all checks",
        "table alone"
    );
    let mut wrong = Vec::new();
    for traffic in &all {
        let tasks: &[Task] = match traffic.form {
            Form::Eve => &[Task::Lookup],
            // Later versions of Zeek name no issuer in a session: there is nothing to look up without a join.
            _ if !traffic.keys.issuer => &[Task::Join],
            _ => &[Task::Lookup, Task::Join],
        };
        for &task in tasks {
            compare(setting, &peers, traffic, task, &mut wrong)?;
        }
    }
    ensure!(wrong.is_empty(), "answers differ:\n{}", wrong.join("\n"));
    Ok(())
}

fn compare(
    setting: &Setting<'_>,
    peers: &Peers,
    traffic: &Traffic,
    task: Task,
    wrong: &mut Vec<String>,
) -> anyhow::Result<()> {
    let out = setting.scratch.join("out");
    let mut contestants = vec![
        Contestant::Certsift(
            "certsift, all checks",
            setting.all_checks("all.toml", &[&traffic.table])?,
            answers::right(traffic, Task::Join, true)?,
        ),
        Contestant::Certsift(
            "certsift, table alone",
            setting.config("table.toml", &[&traffic.table], TABLE_ALONE)?,
            answers::right(traffic, Task::Join, false)?,
        ),
    ];
    contestants.extend(peers.all.iter().filter(|peer| Peers::does(peer, task)).map(Contestant::Peer));
    for peer in &peers.all {
        peers.prepare(peer, traffic)?;
    }
    let right = answers::right(traffic, task, false)?;
    let mut given = Vec::new();
    let figures = rounds(setting.arguments.runs, &contestants, |contestant, is_first| {
        emptied(&out)?;
        let took = match contestant {
            Contestant::Certsift(_, config, _) => setting.replay(
                &traffic.extended.folder,
                traffic.extended.records,
                &out.join("out.ndjson"),
                config,
                None,
            ),
            Contestant::Peer(peer) => {
                let commands = peers.commands(peer, traffic, task, &out)?;
                measure::processes(commands, peers.beside(peer)).with_context(|| peer.name)
            }
        }?;
        if is_first {
            given.push(answers::given(&out)?);
        }
        Ok(took)
    })?;
    fs::remove_dir_all(&out)?;
    let set = traffic.name;
    let job = if task == Task::Join { "join" } else { "look up" };
    let records = traffic.extended.records as f64;
    let (all_checks, table_alone) = (figures[0].cpu, figures[1].cpu);
    for ((contestant, figures), answer) in contestants.iter().zip(&figures).zip(given) {
        let (name, right) = match contestant {
            Contestant::Certsift(name, _, right) => (*name, *right),
            Contestant::Peer(peer) => (peer.name, right),
        };
        if answer != right {
            wrong.push(format!("{set}, {job}, {name}: {}", difference(answer, right)));
        }
        println!(
            "{set:<10} {job:<7} {name:<22} {:>9} {:>8} {:>13.0} {:>8.2} {:>8.2} {:>9.1} {:>10} {:>11}",
            answer.records,
            answer.hits,
            records / figures.cpu,
            figures.cpu,
            figures.wall,
            figures.peak,
            format!("{:.2} x", figures.cpu / all_checks),
            format!("{:.2} x", figures.cpu / table_alone),
        );
    }
    Ok(())
}

fn difference(answer: Answer, right: Answer) -> String {
    format!("{} records and {} hits instead of {} and {}", answer.records, answer.hits, right.records, right.hits)
}

fn emptied(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    Ok(fs::create_dir_all(folder)?)
}
