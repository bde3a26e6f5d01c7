//! What a command says on standard error when it is done.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::replay::shown;
use super::say;
use crate::config::KnowledgeReports;
use crate::encode::Format;
use crate::enrich::{CheckSet, EnrichSettings, Verdict};
use crate::history::LearningReason;
use crate::knowledge::feeds::FeedReport;
use crate::knowledge::names::RankReport;
use crate::knowledge::pem::PemReport;
use crate::knowledge::registrations::ListReport;
use crate::model::EventTime;
use crate::pipeline::{ReplayOutcome, SkipReason};
use crate::sink::network::{NetworkCounts, NetworkError, NetworkSettings, Prepared};

/// Files of one kind that are named before the rest is only counted.
const MAX_NAMED: usize = 10;

/// The wall clock, which says which rows of feeds have expired.
pub(super) fn now() -> EventTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    EventTime::from_seconds(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// Says what was wrong in the user's files.
pub(super) fn report_knowledge(reports: &KnowledgeReports) {
    report_lists(reports.lists.iter().chain(&reports.transparency));
    reports.all_feeds().for_each(report_feed);
    reports.popular.iter().for_each(report_ranks);
    reports.certificates.iter().for_each(report_certificates);
}

/// Says what was wrong in those of the user's files that were read again.
pub(super) fn report_changes(before: &KnowledgeReports, now: &KnowledgeReports) {
    let is_new = |report: &&FeedReport| {
        let same = |known: &&FeedReport| {
            (&known.path, known.version, known.modified) == (&report.path, report.version, report.modified)
        };
        report.kept.is_none() && before.all_feeds().find(same).is_none()
    };
    now.all_feeds().filter(is_new).for_each(report_feed);
    let is_new = |report: &&ListReport| {
        let mut known = before.lists.iter().chain(&before.transparency);
        !known.any(|known| (&known.path, known.version) == (&report.path, report.version))
    };
    report_lists(now.lists.iter().chain(&now.transparency).filter(is_new));
    let is_new = |report: &&RankReport| {
        !before.popular.iter().any(|known| (&known.path, known.version) == (&report.path, report.version))
    };
    now.popular.iter().filter(is_new).for_each(report_ranks);
    let is_new = |report: &&PemReport| {
        !before.certificates.iter().any(|known| (&known.path, known.version) == (&report.path, report.version))
    };
    now.certificates.iter().filter(is_new).for_each(report_certificates);
}

fn report_ranks(report: &RankReport) {
    if report.bad_rows > 0 {
        let first = report.first_bad_rows.iter().map(|(line, problem)| format!("line {line}: {problem}"));
        let first = first.collect::<Vec<_>>().join("; ");
        say(&format!("{}: {} rows are left out: {first}", shown(&report.path), report.bad_rows));
    }
}

fn report_certificates(report: &PemReport) {
    if report.bad > 0 {
        let path = shown(&report.path);
        say(&format!("{path}: {} blocks are no certificate that can be used", report.bad));
    }
}

fn report_feed(report: &FeedReport) {
    let path = shown(&report.path);
    if let Some(error) = &report.error {
        say(&format!("{path}: {}", super::printable(error)));
    }
    if report.is_empty() {
        say(&format!("{path}: the file is empty"));
    }
    if report.unsupported > 0 {
        let reasons = report.unsupported_by_reason.iter().take(MAX_NAMED);
        let reasons: Vec<_> = reasons.map(|(reason, count)| format!("{reason} {count}")).collect();
        let reasons = super::printable(&reasons.join(", "));
        say(&format!("{path}: {} rows ask for what is not looked at: {reasons}", report.unsupported));
    }
    if report.bad > 0 {
        let first = report.first_bad.iter().map(|row| format!("{} {}: {}", report.unit, row.row, row.problem));
        let first = first.collect::<Vec<_>>().join("; ");
        say(&format!("{path}: {} rows are left out: {first}", report.bad));
    }
    if let Some(unused) = report.unused_words() {
        say(&format!("{path}: {unused}"));
    }
    tracing::info!(
        feed = report.feed,
        format = report.format,
        used = report.used_total(),
        context = report.context,
        expired = report.expired,
        "read a feed"
    );
}

/// Says what was wrong in lists.
pub(super) fn report_lists<'a>(reports: impl Iterator<Item = &'a ListReport>) {
    for report in reports {
        if let Some(error) = &report.error {
            say(&format!("{}: cannot be used: {error}", shown(&report.path)));
        }
        if let Some(differ) = report.suffixes_differ() {
            say(&format!("{}: {}", shown(&report.path), super::printable(&differ)));
        }
        if report.rows + report.without_date == 0 && report.error.is_none() {
            say(&format!("{}: holds no entry that can be used", shown(&report.path)));
        }
        if report.bad_rows > 0 {
            let first =
                report.first_bad_rows.iter().map(|row| format!("{} {}: {}", report.unit, row.line, row.problem));
            let first = first.collect::<Vec<_>>().join("; ");
            say(&format!("{}: {} rows are left out: {first}", shown(&report.path), report.bad_rows));
        }
    }
}

/// Reads what it takes to send, and says what is odd about it.
pub(super) fn prepare_network(
    settings: &NetworkSettings,
    format: Format,
    rejected: std::path::PathBuf,
) -> Result<Prepared, NetworkError> {
    let output = settings.name();
    for warning in settings.warnings() {
        tracing::warn!(output, "{warning}");
    }
    let prepared = settings.prepare(format, rejected)?;
    tracing::info!(output, "records are sent");
    Ok(prepared)
}

/// Says what was sent; how many lines the server rejected.
pub(super) fn report_network(counts: &NetworkCounts, path: &std::path::Path) -> u64 {
    let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let (rejected, retries) = (of(&counts.rejected), of(&counts.retries));
    let place = if rejected > 0 { format!(" in {}", shown(path)) } else { String::new() };
    eprintln!("sent      {}, rejected {rejected}{place}, retries {retries}", of(&counts.taken));
    rejected
}

/// Says what a replay did.
pub(super) fn report_replay(outcome: &ReplayOutcome, settings: &EnrichSettings, whole: bool, elapsed: Duration) {
    for failed in &outcome.failed {
        eprintln!("certsift: {}", super::printable(failed));
    }
    for (number, ((why, kind), (count, path))) in outcome.skipped.iter().enumerate() {
        if number == MAX_NAMED {
            eprintln!("skipped: and {} more kinds of files", outcome.skipped.len() - MAX_NAMED);
            break;
        }
        let why = match why {
            SkipReason::OtherZeekLog => "another log of Zeek",
            SkipReason::NotALog => "no log that certsift reads",
        };
        let more = if *count > 1 { format!(" and {} more", count - 1) } else { String::new() };
        eprintln!("skipped: {}{more}: {why} ({})", shown(path), super::printable(kind));
    }
    let counts = &outcome.counts;
    let total = counts.total_written();
    let by_log: Vec<_> = counts.written.iter().map(|(log, count)| format!("{log} {count}")).collect();
    eprintln!("records   {total}{}", in_parentheses(by_log.into_iter()));
    let sessions: u64 = counts.verdicts.values().sum();
    let absent: u64 = counts.absent.values().sum();
    eprintln!(
        "sessions  {sessions}: {} presented, {} recalled, {absent} absent{}",
        counts.presented,
        counts.recalled,
        in_parentheses(counts.absent.iter().map(|(reason, count)| format!("{} {count}", reason.name())))
    );
    let verdicts = Verdict::ALL
        .iter()
        .filter_map(|verdict| counts.verdicts.get(verdict).map(|count| format!("{} {count}", verdict.name())));
    let verdicts: Vec<_> = verdicts.collect();
    eprintln!("verdicts  {}", if verdicts.is_empty() { "none".to_owned() } else { verdicts.join(", ") });
    let by = if whole { "; by the whole input" } else { "" };
    if settings.running() != CheckSet::ALL {
        eprintln!("checks    {}", settings.running());
    }
    match outcome.learning {
        _ if !settings.history => eprintln!("history   off: nothing was counted"),
        None => eprintln!("history   ready{by}"),
        Some(reason) => {
            let why = match reason {
                LearningReason::FewDays => "too few days",
                LearningReason::FewCertificates => "too few certificates",
                LearningReason::FewClients => "too few clients",
            };
            eprintln!("history   not ready ({why}): nothing was called rare or new{by}");
        }
    }
    let dead_letters = match &outcome.dead_letter_path {
        Some(path) => format!("{} in {}", counts.dead_letters, shown(path)),
        None => counts.dead_letters.to_string(),
    };
    let others = [
        ("with faults", counts.faulty),
        ("already enriched", counts.already_enriched),
        ("read and not written", counts.not_written),
        ("entries forgotten", outcome.evicted),
        ("empty files", outcome.empty),
    ];
    let others: Vec<_> =
        others.iter().filter(|(_, count)| *count > 0).map(|(what, count)| format!(", {count} {what}")).collect();
    eprintln!("dead      {dead_letters}{}", others.concat());
    let without_sha1: u64 = counts.without_sha1.values().sum();
    if without_sha1 > 0 {
        eprintln!("feeds     {without_sha1} sessions could not be compared with lists of SHA-1");
    }
    let seconds = elapsed.as_secs_f64();
    eprintln!("time      {seconds:.2} s, {:.0} records/s", total as f64 / seconds.max(1e-6));
}

fn in_parentheses(parts: impl Iterator<Item = String>) -> String {
    let parts: Vec<_> = parts.collect();
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
}
