//! What the client offers: a JA3 that a feed lists, or a JA4 or JA3 that here goes with this certificate only. Said beside
//! other findings, and of no weight.
//!
//! Programs that use one library offer the same, honest ones and others, and the public list has not been kept since 2021.
//! A program of its own kind that talks to one server only tells which sessions belong together; most such are updaters.

use super::{Effect, Finding, Findings, Group, Subject, has_company};
use crate::history::FirstSeen;
use crate::knowledge::signatures::Severity;
use crate::model::DAY_NANOS;

/// The id of the check and of its findings.
pub(super) const ID: &str = "client_fingerprint";
/// What would be benign, for a person who looks at the finding.
pub(super) const BENIGN: &str =
    "any program that uses the same library as a listed one; an updater or an agent that talks to its own server only";
/// What has been seen for less says nothing by having met one certificate only.
const KNOWN_AFTER: i64 = DAY_NANOS;

pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    if !has_company(findings) {
        return;
    }
    report_listed(subject, findings);
    report_alone(subject, findings);
}

fn report_listed(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let feeds = &subject.knowledge.feeds;
    if !feeds.list_fingerprints() {
        return;
    }
    let Some(ja3) = subject.session.client_fingerprints.ja3 else {
        return findings.not_evaluated("client_fingerprint:not_logged");
    };
    let listed = feeds.of_fingerprint(ja3).into_iter().find(|row| row.holds_at(Some(subject.context.at)));
    let Some(row) = listed else { return };
    let label = row.label.as_deref().map(|label| format!(" as {label}")).unwrap_or_default();
    let finding = finding(
        "ja3",
        row.observed.to_string(),
        "a fingerprint that no feed lists",
        format!("{} row {}", row.feed, row.row),
        format!("the client's JA3 is listed in {}{label}, and others may have the same", row.feed),
    );
    findings.push(finding, Effect::Explains);
}

fn report_alone(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let context = subject.context;
    let (Some(seen), Some(certificate)) = (context.seen.fingerprint, context.observed()) else { return };
    let FirstSeen { at: since, .. } = seen.first;
    let is_known = context.seen.learning.is_none() && context.clock.since(since) >= KNOWN_AFTER;
    // What a session went with whose certificate was hidden is not known.
    if !is_known || seen.only_certificate != Some(certificate.id) || seen.hidden_servers > 0 {
        return;
    }
    let (field, observed) = match (subject.ja4, subject.session.client_fingerprints.ja3) {
        (Some(ja4), _) => ("ja4", ja4.to_owned()),
        (None, Some(ja3)) => ("ja3", ja3.to_string()),
        (None, None) => return,
    };
    let clients = match seen.clients {
        0 | 1 => "one client".to_owned(),
        clients => format!("{clients} clients"),
    };
    let note = format!(
        "the client's {} has been seen here since {since}, of {clients}, and with this certificate only",
        field.to_uppercase()
    );
    let finding = finding(field, observed, "a client that talks to others too", "history".to_owned(), note);
    findings.push(finding, Effect::Explains);
}

fn finding(field: &'static str, observed: String, expected: &str, evidence: String, note: String) -> Finding<'static> {
    Finding {
        id: ID,
        group: Group::Context,
        severity: Severity::Info,
        weight: 0.0,
        technique: &[],
        field: field.into(),
        observed: observed.into(),
        expected: expected.to_owned().into(),
        evidence: evidence.into(),
        note: note.into(),
    }
}
