//! How long ten million names and a hundred thousand hashes take to load, how much memory, and what a lookup costs.
//!
//! `cargo bench --bench feeds` prints the figures; `-- --names 100000` is the short form. The feeds are generated in
//! cargo's folder for temporary files. Nothing is asserted: machines differ.

#![allow(clippy::print_stdout, reason = "a benchmark's output is its table")]

#[path = "process/cpu.rs"]
mod cpu;

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Instant;

use certsift::knowledge::Feeds;
use certsift::knowledge::feeds::SessionNames;
use certsift::model::{Address, Certificate, CertificateSource, EventTime, Sha1Digest};
use clap::Parser as _;

/// Measures loading of feeds and lookups in them.
#[derive(clap::Parser, Debug)]
struct Arguments {
    /// Names in the list of names
    #[arg(long, value_name = "N", default_value_t = 10_000_000)]
    names: u32,
    /// Hashes in the list of certificates
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    hashes: u32,
    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// Lookups of each kind.
const LOOKUPS: u32 = 1_000_000;

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("feeds");
    std::fs::create_dir_all(&folder)?;
    let paths = [names(&folder, arguments.names)?, hashes(&folder, arguments.hashes)?];
    let (before, busy_before) = (memory("VmRSS"), cpu::seconds());
    let started = Instant::now();
    let (feeds, reports) = Feeds::load(&paths, EventTime(0));
    let elapsed = started.elapsed();
    for report in &reports {
        println!("{}: {} rows, {} bad, {:?}", report.feed, report.used_total(), report.bad, report.error);
    }
    let busy = cpu::seconds() - busy_before;
    let threads = rayon::current_num_threads();
    println!("load      {:.2} s on {threads} threads, {busy:.2} s of processor time", elapsed.as_secs_f64());
    println!("memory    {before} MiB before, {} MiB now, {} MiB at the peak", memory("VmRSS"), memory("VmHWM"));
    lookups("name, listed", |number| {
        let name = name_of(number % arguments.names.max(1));
        look(&feeds, &name)
    });
    lookups("name, not listed", |number| look(&feeds, &format!("www.other{number}.example.com")));
    lookups("certificate, not listed", |number| {
        let mut certificate = Certificate::unknown(CertificateSource::LogStrings);
        certificate.sha1 = Some(Sha1Digest::of(&number.to_be_bytes()[1..]));
        feeds.of_certificate(&certificate).len()
    });
    Ok(())
}

fn look(feeds: &Feeds, name: &str) -> usize {
    let session =
        SessionNames { name: Some(name), may_be_listed: true, server: Address::parse("192.0.2.1"), certificate: None };
    feeds.of_session(&session).len()
}

fn lookups(what: &str, mut one: impl FnMut(u32) -> usize) {
    let started = Instant::now();
    let found: usize = (0..LOOKUPS).map(|number| black_box(one(number.wrapping_mul(2_654_435_761)))).sum();
    let nanos = started.elapsed().as_nanos() / u128::from(LOOKUPS);
    println!("lookup    {nanos} ns, {what}, {found} found, the making of the question included");
}

fn names(folder: &Path, count: u32) -> std::io::Result<PathBuf> {
    let path = folder.join(format!("names-{count}.txt"));
    if !path.exists() {
        let mut text = String::new();
        for number in 0..count {
            let _ = writeln!(text, "{}", name_of(number));
        }
        std::fs::write(&path, text)?;
    }
    Ok(path)
}

fn name_of(number: u32) -> String {
    format!("h{:x}.listed{}.example", number.wrapping_mul(2_654_435_761), number % 1000)
}

fn hashes(folder: &Path, count: u32) -> std::io::Result<PathBuf> {
    let path = folder.join(format!("hashes-{count}.csv"));
    if !path.exists() {
        let mut text = "# Listingdate,SHA1,Listingreason\n".to_owned();
        for number in 0..count {
            let digest = Sha1Digest::of(&number.to_be_bytes());
            let (hour, minute) = (number / 60 % 24, number % 60);
            let _ = writeln!(text, "2024-09-02 {hour:02}:{minute:02}:00,{digest},Family{} C&C", number % 50);
        }
        std::fs::write(&path, text)?;
    }
    Ok(path)
}

/// A figure of `/proc/self/status` in MiB; 0 where there is none.
fn memory(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or(0) / 1024
}
