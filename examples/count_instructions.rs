//! Counts the instructions that certsift takes for a fixed input, and compares them with those of the baseline that is
//! committed: unlike times, they are the same on a busy machine.
//!
//! `cargo run --example count_instructions` fails if any input takes more than 5 % more. After a change that is meant to
//! cost something, `cargo run --example count_instructions -- --update` writes the baseline anew. Both need valgrind, and
//! build certsift by the profile `count` first.
//!
//! Inputs are the sample logs, repeated. A count depends on the compiler, the C library and what the processor can do:
//! where these are not those of the baseline, that is said and nothing is compared. valgrind knows no instructions for
//! SHA-256, which therefore weighs more here than it does.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a report is what this is for")]

#[path = "../benches/replay/extend.rs"]
mod extend;
#[path = "../benches/replay/samples.rs"]
mod samples;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use serde::{Deserialize, Serialize};

use extend::Extended;

/// What is committed.
#[derive(Serialize, Deserialize)]
struct Baseline {
    made_with: Surroundings,
    /// Millions of instructions, by input.
    instructions: BTreeMap<String, f64>,
}

/// What a count depends on beside certsift.
#[derive(Serialize, Deserialize, PartialEq, Eq, Debug)]
struct Surroundings {
    rustc: String,
    libc: String,
    valgrind: String,
    processor: String,
}

const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.json");
/// Sessions of each input.
const SESSIONS: u64 = 10_000;
/// How much worse is worse.
const TOLERANCE: f64 = 0.05;

fn main() -> anyhow::Result<()> {
    let is_update = match std::env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => false,
        [argument] if argument == "--update" => true,
        _ => bail!("the only argument is --update"),
    };
    let surroundings = Surroundings::now()?;
    let known: Option<Baseline> = match fs::read(BASELINE) {
        Ok(text) => Some(serde_json::from_slice(&text).context(BASELINE)?),
        Err(_) => None,
    };
    if let Some(known) = known.as_ref().filter(|known| !is_update && known.made_with != surroundings) {
        println!("WARNING: INSTRUCTIONS ARE NOT COMPARED, since the baseline was made elsewhere");
        println!("WARNING: the baseline: {:?}", known.made_with);
        println!("WARNING: here:         {surroundings:?}");
        return Ok(());
    }
    let target = target_folder()?;
    let certsift = build(&target)?;
    let mut instructions = BTreeMap::new();
    for mut set in samples::sets(SESSIONS) {
        // Of EVE there would be fewer, which hide behind what it takes to start.
        set.wanted = SESSIONS;
        let extended = extend::make(&set, &target.join("instructions"))?;
        let counted = count(&certsift, &extended, &target)?;
        println!(
            "{:<18} {:>6} records of {:>4} bytes: {:>8.1} million instructions, {:.0} a record",
            set.name,
            extended.records,
            extended.bytes() / extended.records.max(1),
            counted,
            counted * 1e6 / extended.records as f64
        );
        instructions.insert(set.name, counted);
    }
    if is_update {
        let baseline = Baseline { made_with: surroundings, instructions };
        fs::write(BASELINE, serde_json::to_string_pretty(&baseline)? + "\n")?;
        println!("{BASELINE} is written");
        return Ok(());
    }
    compare(&instructions, &known.context("there is no baseline; write one with --update")?.instructions)
}

fn compare(now: &BTreeMap<String, f64>, then: &BTreeMap<String, f64>) -> anyhow::Result<()> {
    ensure!(now.keys().eq(then.keys()), "the baseline is of other inputs; write it anew with --update");
    let mut worse = Vec::new();
    for ((name, now), then) in now.iter().zip(then.values()) {
        let change = now / then - 1.0;
        println!("{name:<18} {:+.1} % against the baseline", change * 100.0);
        if change > TOLERANCE {
            worse.push(name.as_str());
        } else if change < -TOLERANCE {
            println!("{name:<18} is so much better that --update is worth it: what is gained is then kept");
        }
    }
    ensure!(
        worse.is_empty(),
        "more than {:.0} % worse: {}; if that is meant, write the baseline anew with --update",
        TOLERANCE * 100.0,
        worse.join(", ")
    );
    Ok(())
}

impl Surroundings {
    fn now() -> anyhow::Result<Self> {
        Ok(Self {
            rustc: said("rustc", &["--version"])?,
            libc: said("getconf", &["GNU_LIBC_VERSION"])?,
            valgrind: said("valgrind", &["--version"])?,
            processor: processor(),
        })
    }
}

/// What libraries ask the processor for before they choose their code.
#[cfg(target_arch = "x86_64")]
fn processor() -> String {
    let avx2 = if is_x86_feature_detected!("avx2") { "with" } else { "without" };
    format!("x86_64 {avx2} AVX2")
}

#[cfg(not(target_arch = "x86_64"))]
fn processor() -> String {
    std::env::consts::ARCH.to_owned()
}

fn said(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program).args(arguments).output().with_context(|| format!("cannot run {program}"))?;
    ensure!(output.status.success(), "{program} fails");
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The folder that this program is two folders below.
fn target_folder() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?;
    Ok(program.ancestors().nth(3).context("this program is in no target folder")?.to_owned())
}

fn build(target: &Path) -> anyhow::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--profile", "count", "--bin", "certsift", "--manifest-path"]);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).arg("--target-dir").arg(target);
    ensure!(command.status().context("cannot run cargo")?.success(), "certsift cannot be built");
    Ok(target.join("count/certsift"))
}

/// Millions of instructions of one replay. A single worker leaves little to chance.
fn count(certsift: &Path, extended: &Extended, target: &Path) -> anyhow::Result<f64> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(certsift).arg("replay");
    command.arg(&extended.folder).args(["-o", "/dev/null", "--threads", "1", "--dead-letter"]);
    command.arg(target.join("instructions/dead.ndjson"));
    let output = command.output().context("cannot run valgrind")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "certsift failed under valgrind: {said}");
    let collected =
        said.lines().find_map(|line| line.split_once("Collected : ")).context("valgrind counted nothing")?;
    let instructions: u64 = collected.1.trim().parse().with_context(|| format!("no number: {}", collected.1))?;
    // Enough digits to see a change, few enough that none means something it does not.
    Ok((instructions as f64 / 1e5).round() / 10.0)
}
