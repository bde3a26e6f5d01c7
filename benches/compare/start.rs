//! How long it takes to the first line.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::Context as _;

use super::Setting;

/// Starts for each way.
const STARTS: usize = 21;

pub(super) fn measure(setting: &Setting<'_>) -> anyhow::Result<()> {
    println!("from the start of `replay sample_logs` to the first byte of its output, {STARTS} times");
    println!("{:<34} {:>9} {:>9} {:>9}", "configuration", "least ms", "median ms", "most ms");
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("sample_logs");
    let with_feed = setting.all_checks("start.toml", &[])?;
    let ways = [
        ("none", None),
        ("that of the samples", Some(samples.join("certsift.toml"))),
        ("a feed of 100,000 rows", Some(with_feed)),
    ];
    for (name, config) in ways {
        let mut times = (0..STARTS)
            .map(|_| first_output(&samples, config.as_deref(), &setting.scratch))
            .collect::<anyhow::Result<Vec<f64>>>()?;
        times.sort_by(f64::total_cmp);
        println!("{name:<34} {:>9.1} {:>9.1} {:>9.1}", times[0], times[STARTS / 2], times[STARTS - 1]);
    }
    Ok(())
}

/// Milliseconds.
fn first_output(samples: &Path, config: Option<&Path>, scratch: &Path) -> anyhow::Result<f64> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_certsift"));
    command.arg("replay").arg(samples).arg("--dead-letter").arg(scratch.join("dead.ndjson"));
    if let Some(config) = config {
        command.arg("--config").arg(config);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let started = Instant::now();
    let mut child = command.spawn().context("cannot start certsift")?;
    let mut output = child.stdout.take().context("no output")?;
    let mut first = [0];
    output.read_exact(&mut first).context("certsift wrote nothing")?;
    let elapsed = started.elapsed();
    std::io::copy(&mut output, &mut std::io::sink())?;
    anyhow::ensure!(child.wait()?.success(), "certsift failed");
    Ok(elapsed.as_secs_f64() * 1000.0)
}
