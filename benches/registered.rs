//! How long an index of twenty million registered domains takes to build and to open, its size, and what a look-up costs.
//!
//! `cargo bench --bench registered` prints the figures; `-- --domains 100000` is the short form. The lists and the index
//! are made in cargo's folder for temporary files. Nothing is asserted: machines differ.

#![allow(clippy::print_stdout, reason = "a benchmark's output is its table")]

use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use certsift::knowledge::registrations::index::build;
use certsift::knowledge::{RegistrationList, Registrations};
use certsift::model::{EventTime, Id128};
use clap::Parser as _;

/// Measures an index of registrations.
#[derive(clap::Parser, Debug)]
struct Arguments {
    /// Domains in the lists
    #[arg(long, value_name = "N", default_value_t = 20_000_000)]
    domains: u32,
    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// Lists that the domains are spread over.
const LISTS: u32 = 20;
const LOOKUPS: u32 = 4_000_000;
/// One look-up in so many finds something.
const ONE_IN: u32 = 20;

fn main() -> anyhow::Result<()> {
    let domains = Arguments::parse().domains;
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("registered");
    std::fs::create_dir_all(&folder)?;
    let lists = (0..LISTS).map(|list| write_list(&folder, list, domains)).collect::<std::io::Result<Vec<_>>>()?;
    let path = folder.join(format!("{domains}.index"));
    let started = Instant::now();
    let built = build(&path, &lists)?;
    println!("build     {:.1} s, {} registrations", started.elapsed().as_secs_f64(), built.entries);
    println!("memory    {} MiB at the peak", peak_memory());
    println!("size      {} MB", built.bytes / 1_000_000);
    let started = Instant::now();
    let (registrations, reports) = Registrations::load(&[RegistrationList::from(path)]);
    println!("open      {:.2} ms, {:?}", started.elapsed().as_secs_f64() * 1000.0, reports[0].error);
    let keys: Vec<Id128> = (0..LOOKUPS).map(|number| Registrations::key(&asked(number, domains))).collect();
    let day = EventTime::parse_date("2026-11-24").unwrap_or_default();
    let round = || keys.iter().filter(|key| black_box(registrations.find(**key, day)).is_some()).count();
    // The first round brings the file into memory.
    round();
    let started = Instant::now();
    let found = round();
    let seconds = started.elapsed().as_secs_f64();
    let missed = f64::from(LOOKUPS - found as u32) / f64::from(LOOKUPS) * 100.0;
    println!("look-ups  {:.2} million/s on one core, {missed:.1} % find nothing", f64::from(LOOKUPS) / seconds / 1e6);
    Ok(())
}

/// A name of which one in some is listed.
fn asked(number: u32, domains: u32) -> String {
    let mixed = number.wrapping_mul(2_654_435_761) % domains.max(1);
    if number.is_multiple_of(ONE_IN) { name_of(mixed) } else { format!("not-{mixed}.example") }
}

fn name_of(number: u32) -> String {
    format!("{:x}-listed.com", u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// A part of the domains as a list: of every other one the dates are known.
fn write_list(folder: &Path, list: u32, domains: u32) -> std::io::Result<RegistrationList> {
    let is_dated = list.is_multiple_of(2);
    let name =
        if is_dated { format!("created-{domains}-{list}.csv") } else { format!("nrd-2026-10-{list:02}-{domains}.txt") };
    let path = folder.join(name);
    if !path.exists() {
        let mut file = std::io::BufWriter::new(std::fs::File::create(&path)?);
        for number in (list..domains).step_by(LISTS as usize) {
            match is_dated {
                true => {
                    writeln!(file, "{},{}", name_of(number), EventTime::date_text((8000 + number % 12_000) as i32))?
                }
                false => writeln!(file, "{}", name_of(number))?,
            }
        }
        file.flush()?;
    }
    Ok(RegistrationList::from(path))
}

/// The most memory that the process has had, in MiB; 0 where that is not known.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}
