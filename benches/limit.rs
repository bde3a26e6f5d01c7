//! The least that a program could do for the same output, by itself: what `cargo bench --bench compare` prints beside
//! certsift.
//!
//! `cargo bench --bench limit -- --input ssl.log --output /dev/null --append 400` says records per second of one thread.

#![allow(clippy::print_stdout, reason = "a benchmark's output is its table")]

#[path = "limit/minimal.rs"]
mod minimal;

use std::time::Instant;

use clap::Parser as _;

/// Does the least that could be done.
#[derive(clap::Parser, Debug)]
struct Arguments {
    #[command(flatten)]
    work: minimal::Work,
    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let work = Arguments::parse().work;
    let started = Instant::now();
    let found = minimal::run(&work)?;
    println!("{:.3} s, {found} found, {} threads", started.elapsed().as_secs_f64(), work.threads);
    Ok(())
}
