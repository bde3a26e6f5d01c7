//! The tables.

use std::time::Duration;

use super::figures::{Histogram, Trend};
use super::follow::Arrived;

/// What a run came to.
pub(super) struct Load<'a> {
    pub(super) arrived: &'a Arrived,
    pub(super) written: u64,
    /// The longest that one write took.
    pub(super) late: Duration,
    /// How long the load lasted.
    pub(super) wall: Duration,
    pub(super) cpu_idle: Duration,
    pub(super) cpu_load: Duration,
    /// Seconds of load that `memory` leaves out.
    pub(super) skipped: f64,
    pub(super) memory: Option<Trend>,
    /// The second half of the load.
    pub(super) memory_later: Option<Trend>,
}

pub(super) fn print(load: &Load<'_>) {
    let arrived = load.arrived;
    println!(
        "{:<34} {:>9} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "milliseconds to the output", "lines", "p50", "p90", "p99", "p99.9", "max"
    );
    for (phase, times) in [("idle", &arrived.idle), ("load", &arrived.load)] {
        row(&format!("{phase}, since the line"), &times.direct);
        row(&format!("{phase}, held, since the session"), &times.held);
        row(&format!("{phase}, held, since its certificate"), &times.released);
    }
    let direct = &arrived.load;
    let lines = direct.direct.count() + direct.held.count();
    println!();
    println!(
        "load        {:.1} s, {:.0} lines/s, {:.0} bytes a line out; the longest write took {:.1} ms",
        load.wall.as_secs_f64(),
        lines as f64 / load.wall.as_secs_f64().max(1e-9),
        arrived.bytes as f64 / (arrived.distinct + arrived.duplicates).max(1) as f64,
        millis(load.late)
    );
    println!(
        "records     {} in, {} out, {} missing, {} doubled, {} strange; {} sessions without their certificate",
        load.written,
        arrived.distinct + arrived.duplicates,
        load.written - arrived.distinct,
        arrived.duplicates,
        arrived.strange,
        arrived.without_certificate
    );
    let spans =
        [(format!("after {:.0} s", load.skipped), &load.memory), ("second half".to_owned(), &load.memory_later)];
    for (span, trend) in spans {
        let Some(trend) = trend else { continue };
        println!(
            "memory      {span}: {:.1} MiB median, {:.1} MiB at the most, {:+.2} MiB a minute (anonymous)",
            trend.median, trend.most, trend.slope_per_minute
        );
    }
    println!("processor   {:.1} s idle, {:.1} s under load", load.cpu_idle.as_secs_f64(), load.cpu_load.as_secs_f64());
}

fn row(name: &str, times: &Histogram) {
    let of = |share| millis(times.quantile(share));
    println!(
        "{name:<34} {:>9} {:>8.1} {:>8.1} {:>8.1} {:>8.1} {:>8.1}",
        times.count(),
        of(0.5),
        of(0.9),
        of(0.99),
        of(0.999),
        millis(times.longest())
    );
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
