//! `certsift status`: how a sidecar is doing, for people, and for scripts.
//!
//! In: a configuration. Out: what the process says of itself at `observe.listen`; where nobody answers, what the state
//! says of the last commit. Promise: nothing is changed, and a running certsift is not held up.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::ExitCode;
use super::state::table::TextTable;
use super::terminal::{json_line, one_line, write_stdout};
use crate::config::Config;
use crate::model::EventTime;
use crate::observe::client::{Sample, ask, samples};
use crate::state::{StateError, StateView};

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// Configuration file of the certsift that is asked for
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// State directory, instead of the configured one
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// How it is.
#[derive(Debug, Serialize)]
struct Status {
    /// Whether it runs; nothing where that cannot be found out.
    running: Option<bool>,
    /// Whether it reads and commits as it should; nothing where nobody answers.
    healthy: Option<bool>,
    /// Why it does not, or what is in the way of knowing.
    reasons: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    inputs: Vec<Input>,
    /// What was counted since its start, by group and kind.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    counts: BTreeMap<&'static str, BTreeMap<String, u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_commit_seconds_ago: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    feeds: Vec<Feed>,
}

#[derive(Debug, Default, Serialize)]
struct Input {
    input: String,
    /// The byte up to which it was read, of an input that nobody follows now.
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lag_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lag_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    newest: Option<String>,
}

#[derive(Debug, Default, Serialize)]
struct Feed {
    feed: String,
    rows: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    age_seconds: Option<f64>,
    failed: bool,
}

/// Counts that are shown: the group, the metric, and the label that tells its kinds apart.
const COUNTERS: [(&str, &str, &str); 12] = [
    ("records", "certsift_records_written_total", "log"),
    ("sessions", "certsift_sessions_total", "certificate"),
    ("absent", "certsift_sessions_absent_total", "reason"),
    ("verdicts", "certsift_verdicts_total", "verdict"),
    ("troubles", "certsift_dead_letters_total", "dead_letters"),
    ("troubles", "certsift_faulty_records_total", "faulty_records"),
    ("troubles", "certsift_lost_bytes_total", "lost_bytes"),
    ("troubles", "certsift_sink_retries_total", "sink_retries"),
    ("troubles", "certsift_network_lines_rejected_total", "rejected_lines"),
    ("server", "certsift_network_lines_taken_total", "taken"),
    ("server", "certsift_network_lines_in_flight", "in_flight"),
    ("evictions", "certsift_evictions_total", "table"),
];

pub(super) fn status(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    super::start_logging(0);
    let config = Config::load(&arguments.config)?;
    let state = arguments.state.clone().or_else(|| config.state_dir.clone());
    let status = match config.observe.listen.map(|address| (address, of_process(address))) {
        Some((_, Ok(status))) => status,
        Some((address, Err(error))) => {
            let mut status = of_state(state.as_deref());
            status.reasons.insert(0, format!("nobody answers at {address}: {error}"));
            status
        }
        None => {
            let mut status = of_state(state.as_deref());
            status.reasons.push("a running certsift says more where observe.listen is set".to_owned());
            status
        }
    };
    let text =
        if arguments.json { json_line(&serde_json::to_string(&status)?).into_owned() + "\n" } else { status.text() };
    write_stdout(&text)?;
    Ok(if status.healthy == Some(true) { ExitCode::Success } else { ExitCode::Failure })
}

/// Asks the process itself.
fn of_process(address: SocketAddr) -> std::io::Result<Status> {
    let (code, said) = ask(address, "/healthz")?;
    let (_, exposition) = ask(address, "/metrics")?;
    let samples = samples(&exposition);
    let version = samples.iter().find(|sample| sample.name == "certsift_build_info");
    if version.is_none() {
        // Whoever else has this port may be well, too.
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "who answers is no certsift"));
    }
    let healthy = code == 200;
    let reasons = if healthy { Vec::new() } else { said.lines().map(str::to_owned).collect() };
    let mut counts: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for (group, metric, label) in COUNTERS {
        // What a run has nothing to do with has no sample, and no group.
        for sample in samples.iter().filter(|sample| sample.name == metric) {
            let kind = label_of(sample, label).unwrap_or(label).to_owned();
            let group = counts.entry(group).or_default();
            *group.entry(kind).or_default() += sample.value as u64;
        }
    }
    let last = samples.iter().find(|sample| sample.name == "certsift_last_commit_timestamp_seconds");
    let last = last.map(|sample| sample.value).filter(|last| *last > 0.0);
    Ok(Status {
        running: Some(true),
        healthy: Some(healthy),
        reasons,
        version: version.and_then(|sample| label_of(sample, "version")).map(str::to_owned),
        inputs: inputs_of(&samples),
        counts,
        last_commit_seconds_ago: last.map(|last| (unix_now() - last).max(0.0)),
        feeds: feeds_of(&samples),
    })
}

fn inputs_of(samples: &[Sample]) -> Vec<Input> {
    let mut inputs: BTreeMap<&str, Input> = BTreeMap::new();
    for sample in samples {
        let Some(name) = label_of(sample, "input") else { continue };
        let input = inputs.entry(name).or_insert_with(|| Input { input: name.to_owned(), ..Input::default() });
        match sample.name.as_str() {
            "certsift_input_lag_bytes" => input.lag_bytes = Some(sample.value as u64),
            "certsift_input_lag_seconds" => input.lag_seconds = Some(sample.value),
            "certsift_input_newest_record_timestamp_seconds" => {
                input.newest = Some(EventTime((sample.value * 1e9) as i64).to_string());
            }
            _ => {}
        }
    }
    inputs.into_values().collect()
}

fn feeds_of(samples: &[Sample]) -> Vec<Feed> {
    let mut feeds: BTreeMap<&str, Feed> = BTreeMap::new();
    for sample in samples {
        let Some(name) = label_of(sample, "feed") else { continue };
        let feed = feeds.entry(name).or_insert_with(|| Feed { feed: name.to_owned(), ..Feed::default() });
        match sample.name.as_str() {
            "certsift_feed_rows" => feed.rows = sample.value as u64,
            "certsift_feed_age_seconds" => feed.age_seconds = Some(sample.value),
            "certsift_feed_failed" => feed.failed = sample.value > 0.0,
            _ => {}
        }
    }
    feeds.into_values().collect()
}

fn label_of<'a>(sample: &'a Sample, label: &str) -> Option<&'a str> {
    sample.labels.iter().find(|(name, _)| name == label).map(|(_, value)| value.as_str())
}

/// What the state says, where nobody answers.
fn of_state(directory: Option<&Path>) -> Status {
    let nothing = |running, reason: String| Status {
        running,
        healthy: None,
        reasons: vec![reason],
        version: None,
        inputs: Vec::new(),
        counts: BTreeMap::new(),
        last_commit_seconds_ago: None,
        feeds: Vec::new(),
    };
    let Some(directory) = directory else {
        return nothing(None, "no state directory is configured, and none is given with --state".to_owned());
    };
    let shown = directory.display();
    let view = match StateView::open(directory) {
        Ok(view) => view,
        Err(StateError::InUse { .. }) => {
            return nothing(Some(true), format!("{shown} is held by a certsift that runs, and cannot be looked at"));
        }
        Err(StateError::NotClosed { .. }) => {
            return nothing(Some(false), format!("{shown} was not closed in order; the next start repairs it"));
        }
        Err(error @ StateError::None { .. }) => return nothing(Some(false), error.to_string()),
        // Who may not look at it cannot know.
        Err(error) => return nothing(None, error.to_string()),
    };
    let mut status = nothing(Some(false), format!("no certsift uses {shown}; this is its last commit"));
    match view.input_positions() {
        Ok(positions) => {
            // Most streams have ended long ago.
            let open = positions.into_iter().filter(|position| !position.ended);
            let inputs = open.filter_map(|position| {
                let resume = position.resume?;
                let newest = position.keys.current().map(|newest| newest.to_string());
                let input = resume.path.to_string_lossy().into_owned();
                Some(Input { input, offset: Some(resume.offset), newest, ..Input::default() })
            });
            status.inputs = inputs.collect();
            status.inputs.sort_by(|a, b| a.input.cmp(&b.input));
        }
        Err(error) => status.reasons.push(error.to_string()),
    }
    status
}

impl Status {
    fn text(&self) -> String {
        let state = match (self.running, self.healthy) {
            (_, Some(true)) => "runs, and is well",
            (_, Some(false)) => "runs, and is not well",
            (Some(true), None) => "runs",
            (Some(false), None) => "does not run",
            (None, None) => "is not known to run",
        };
        let version = self.version.as_deref().map(|version| format!(" {version}")).unwrap_or_default();
        let mut text = format!("certsift{} {state}\n", one_line(&version));
        for reason in &self.reasons {
            text.push_str(&format!("  {}\n", one_line(reason)));
        }
        if !self.inputs.is_empty() {
            let mut table = TextTable::new(&["", "input", "read to", "behind", "newest record"]);
            for input in &self.inputs {
                let behind = match (input.lag_bytes, input.lag_seconds) {
                    (Some(0), _) => "0 bytes".to_owned(),
                    (Some(bytes), Some(seconds)) => format!("{bytes} bytes, {}", length_of(seconds)),
                    (Some(bytes), None) => format!("{bytes} bytes"),
                    (None, _) => String::new(),
                };
                let offset = input.offset.map(|offset| format!("byte {offset}")).unwrap_or_default();
                let newest = input.newest.clone().unwrap_or_default();
                table.push(vec![String::new(), input.input.clone(), offset, behind, newest]);
            }
            text.push_str(&format!("\ninputs\n{}", table.text()));
        }
        if !self.counts.is_empty() {
            text.push_str("\nsince its start\n");
        }
        for (group, kinds) in &self.counts {
            let known: Vec<_> =
                kinds.iter().filter(|(_, count)| **count > 0).map(|(kind, count)| format!("{kind} {count}")).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            text.push_str(&format!("  {group:<13} {}\n", one_line(&known)));
        }
        if let Some(seconds) = self.last_commit_seconds_ago {
            text.push_str(&format!("  {:<13} {} ago\n", "last commit", length_of(seconds)));
        }
        if !self.feeds.is_empty() {
            let mut table = TextTable::new(&["", "feed", "rows", "age", ""]);
            for feed in &self.feeds {
                let age = feed.age_seconds.map(length_of).unwrap_or_default();
                let failed = if feed.failed { "cannot be used as it is" } else { "" };
                table.push(vec![String::new(), feed.feed.clone(), feed.rows.to_string(), age, failed.to_owned()]);
            }
            text.push_str(&format!("\nfeeds\n{}", table.text()));
        }
        text
    }
}

/// A length of time in the largest unit of which there are two.
fn length_of(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 120.0 => format!("{seconds:.0} s"),
        seconds if seconds < 7200.0 => format!("{:.0} min", seconds / 60.0),
        seconds if seconds < 172_800.0 => format!("{:.0} h", seconds / 3600.0),
        seconds => format!("{:.0} days", seconds / 86_400.0),
    }
}

fn unix_now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
