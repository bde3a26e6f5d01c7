//! What history costs: nanoseconds of the serial step, bytes of memory, and how long a large state takes to open.
//!
//! `cargo bench --bench history` measures everything; `-- --certificates 100000 --sessions 200000` is a short form. The
//! table goes to standard output.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark's output is its table, and it ends at a fault"
)]

#[path = "history/serial.rs"]
mod serial;
#[path = "history/size.rs"]
mod size;
#[path = "process/thread.rs"]
mod thread;

use clap::Parser as _;

/// Measures history.
#[derive(clap::Parser, Debug)]
struct Arguments {
    /// Sessions that the serial step is measured with
    #[arg(long, value_name = "N", default_value_t = 2_000_000)]
    sessions: usize,
    /// Certificates of the large state; a tenth of it are issuers
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    certificates: u64,
    /// Measure one part only, in this process: what others leave of their memory says nothing about it
    #[arg(long, value_name = "PART")]
    part: Option<Part>,
    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    Serial,
    Size,
    Flood,
}

fn main() {
    let arguments = Arguments::parse();
    match arguments.part {
        Some(Part::Serial) => [1_000, 30_000].iter().for_each(|&number| serial::measure(arguments.sessions, number)),
        Some(Part::Size) => size::measure(arguments.certificates),
        Some(Part::Flood) => size::flood(arguments.certificates),
        None => {
            for part in ["serial", "size", "flood"] {
                let mut command = std::process::Command::new(std::env::current_exe().unwrap());
                let status = command.args(std::env::args_os().skip(1)).args(["--part", part]).status();
                assert!(status.unwrap().success(), "{part}");
            }
        }
    }
}
