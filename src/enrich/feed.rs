//! What others published about the certificate, the name and the server.
//!
//! A listed certificate is critical, a listed name high; a name below a listed domain and a listed address are hints. An
//! address counts only with the port that is listed, and not where the name is popular: such servers are shared. What a
//! feed does not mean for detection explains and weighs nothing. The group is that of signatures, so that a certificate
//! that is both known and listed does not count twice; both say what they call it.

use std::cmp::Reverse;
use std::fmt::Write as _;

use super::analysis::CertificateAnalysis;
use super::score::severity_of;
use super::{Effect, Finding, Findings, Group, Subject};
use crate::knowledge::feeds::{FeedMatch, MatchKind, SessionNames, Standing};
use crate::knowledge::signatures::Severity;
use crate::knowledge::{Feeds, Knowledge};
use crate::model::{Certificate, EventTime, Session};

/// The id of the check and of its findings.
pub(super) const ID: &str = "feed";
/// What would be benign.
pub(super) const BENIGN: &str =
    "a listing that is old, was taken back, or names a server that many share; an authorised test";
/// The weight of a certificate that is listed itself.
const WEIGHT_CERTIFICATE: f64 = 0.95;
/// The weight of a name that is listed itself, of a rule, and of a whole subject.
const WEIGHT_NAME: f64 = 0.75;
/// The weight of a name below a listed one, of an address, and of an issuer.
const WEIGHT_HINT: f64 = 0.4;
/// Registrable domains from which on a certificate is one that many share.
const SHARED_DOMAINS: usize = 5;
/// Rows of one kind that are named as evidence.
const MAX_NAMED: usize = 3;
/// Rows that are kept for one record.
const MAX_MATCHES: usize = 32;

pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let feeds = &subject.knowledge.feeds;
    match subject.certificate {
        Some(certificate) => name_unknown_fields(feeds, certificate, findings),
        None if feeds.is_empty() => findings.not_evaluated("feed:no_feeds"),
        None if feeds.ask_for_certificates() => findings.not_evaluated("feed:no_certificate"),
        None => {}
    }
    report(subject.feeds, subject.analysis, findings);
}

/// Names the fields by which feeds list certificates and that are not known of this one.
pub(super) fn name_unknown_fields(feeds: &Feeds, certificate: &Certificate, findings: &mut Findings<'_>) {
    if feeds.is_empty() {
        return findings.not_evaluated("feed:no_feeds");
    }
    let listed = feeds.listed_fields();
    if listed.sha1 && certificate.sha1.is_none() {
        findings.not_evaluated("feed:no_sha1");
    }
    if listed.sha256 && certificate.sha256.is_none() {
        findings.not_evaluated("feed:no_sha256");
    }
    if listed.spki && certificate.spki_sha256.is_none() {
        findings.not_evaluated("feed:no_spki");
    }
    if listed.serial_issuer && (certificate.serial.is_none() || certificate.issuer.is_none()) {
        findings.not_evaluated("feed:no_serial");
    }
}

/// Reports what is listed: one finding for each thing that is, with the rows that list it.
pub(super) fn report(matches: &[FeedMatch], analysis: Option<&CertificateAnalysis>, findings: &mut Findings<'_>) {
    if matches.is_empty() {
        return;
    }
    let is_shared = analysis.is_some_and(|analysis| analysis.domains().len() >= SHARED_DOMAINS);
    let is_popular = matches.iter().any(|found| found.standing == Standing::WellKnown && found.field == "server_name");
    let mut groups: Vec<Vec<&FeedMatch>> = Vec::new();
    for found in matches {
        // Networks around an address say the same of it, the more exactly the smaller they are.
        let kind = |found: &FeedMatch| if found.kind == MatchKind::Network { MatchKind::Address } else { found.kind };
        let is_same = |group: &&mut Vec<&FeedMatch>| {
            kind(group[0]) == kind(found) && group[0].observed == found.observed && group[0].standing == found.standing
        };
        match groups.iter_mut().find(is_same) {
            Some(group) => group.push(found),
            None => groups.push(vec![found]),
        }
    }
    for mut group in groups {
        group.sort_by_key(|found| Reverse(prefix_length(found)));
        let (weight, effect) = weigh(group[0], is_shared, is_popular);
        findings.push(finding(&group, weight, effect), effect);
    }
}

/// How much of an address a row on networks names; rows of one other kind are all alike.
fn prefix_length(found: &FeedMatch) -> u8 {
    match found.kind {
        MatchKind::Network => found.indicator.rsplit_once('/').and_then(|(_, length)| length.parse().ok()).unwrap_or(0),
        _ => u8::MAX,
    }
}

/// The rows that a session meets and that hold at its time. Beside the name stands whether any row may list it.
pub fn feeds_of(
    knowledge: &Knowledge,
    session: &Session,
    (server_name, may_be_listed): (Option<&str>, bool),
    certificate: Option<(&Certificate, &CertificateAnalysis)>,
    at: EventTime,
) -> Vec<FeedMatch> {
    if knowledge.feeds.is_empty() {
        return Vec::new();
    }
    let names = SessionNames {
        name: server_name,
        may_be_listed,
        server: session.server,
        certificate: certificate.map(|(certificate, _)| certificate),
    };
    let of_certificate = certificate.map(|(_, analysis)| analysis.feeds()).unwrap_or_default();
    let mut matches = knowledge.feeds.of_session(&names);
    // Nearly no session meets any.
    if matches.is_empty() && of_certificate.is_empty() {
        return matches;
    }
    matches.extend(of_certificate.iter().cloned());
    matches.retain(|found| found.holds_at(Some(at)) && found.port.is_none_or(|port| session.server_port == Some(port)));
    finished(matches)
}

/// The rows that a certificate meets by itself and that hold at a time.
pub fn feeds_of_certificate(analysis: &CertificateAnalysis, at: Option<EventTime>) -> Vec<FeedMatch> {
    let holds = |found: &&FeedMatch| found.holds_at(at) && found.port.is_none();
    finished(analysis.feeds().iter().filter(holds).cloned().collect())
}

/// The rows that a client's certificate meets and that hold at a time. Names in it say nothing of where the client goes.
pub fn feeds_of_client(analysis: &CertificateAnalysis, at: EventTime) -> Vec<FeedMatch> {
    let of_itself = |found: &&FeedMatch| !matches!(found.kind, MatchKind::Domain | MatchKind::ParentDomain);
    let holds = |found: &&FeedMatch| found.holds_at(Some(at)) && found.port.is_none();
    finished(analysis.feeds().iter().filter(of_itself).filter(holds).cloned().collect())
}

/// The gravest first; remarks are said beside other rows only.
fn finished(mut matches: Vec<FeedMatch>) -> Vec<FeedMatch> {
    if matches.iter().all(|found| found.standing.is_remark()) {
        return Vec::new();
    }
    matches.sort_by(|a, b| {
        let order = |found: &FeedMatch| (found.standing, found.kind);
        order(a).cmp(&order(b)).then_with(|| (&a.feed, a.row).cmp(&(&b.feed, b.row)))
    });
    matches.truncate(MAX_MATCHES);
    matches
}

fn weigh(found: &FeedMatch, is_shared: bool, is_popular: bool) -> (f64, Effect) {
    if found.standing != Standing::Malicious {
        return (0.0, Effect::Explains);
    }
    match found.kind {
        MatchKind::Sha256
        | MatchKind::Sha1
        | MatchKind::SpkiSha256
        | MatchKind::SerialIssuer
        // A serial number alone accuses only where a rule means it so.
        | MatchKind::Serial => (WEIGHT_CERTIFICATE, Effect::Floor(Severity::Critical)),
        MatchKind::Domain if is_shared && found.field != "server_name" => (WEIGHT_HINT, Effect::Weighs),
        MatchKind::Domain | MatchKind::Rule => (WEIGHT_NAME, Effect::Floor(Severity::High)),
        MatchKind::Subject => (WEIGHT_NAME, Effect::Weighs),
        MatchKind::Address | MatchKind::Network if is_popular => (0.0, Effect::Explains),
        // Said elsewhere, beside other findings.
        MatchKind::Ja3 => (0.0, Effect::Explains),
        MatchKind::ParentDomain | MatchKind::Address | MatchKind::Network | MatchKind::Issuer => {
            (WEIGHT_HINT, Effect::Weighs)
        }
    }
}

fn finding(group: &[&FeedMatch], weight: f64, effect: Effect) -> Finding<'static> {
    let first = group[0];
    let severity = match effect {
        Effect::Floor(floor) => floor,
        Effect::Explains => Severity::Info,
        // Without a floor nothing exceeds medium.
        Effect::Weighs | Effect::CappedAt(_) => severity_of(weight).max(Severity::Medium),
    };
    // The name that is asked for and that of the certificate may both meet one row.
    let mut rows: Vec<(&str, u32)> = Vec::new();
    for row in group.iter().map(|found| (&*found.feed, found.row)) {
        if !rows.contains(&row) {
            rows.push(row);
        }
    }
    let named: Vec<_> = rows.iter().take(MAX_NAMED).map(|(feed, row)| format!("{feed} row {row}")).collect();
    let mut evidence = named.join(", ");
    if rows.len() > MAX_NAMED {
        let _ = write!(evidence, " and {} more", rows.len() - MAX_NAMED);
    }
    Finding {
        id: ID,
        group: Group::Signature,
        severity,
        weight,
        technique: if first.standing == Standing::Malicious { &["T1588.004"] } else { &[] },
        field: first.field.into(),
        observed: first.observed.to_string().into(),
        expected: first.indicator.to_string().into(),
        evidence: evidence.into(),
        note: sentence(first, effect).into(),
    }
}

fn sentence(found: &FeedMatch, effect: Effect) -> String {
    let mut text = match found.kind {
        MatchKind::Rule => format!("{} of {} matches {} {}", found.indicator, found.feed, found.field, found.observed),
        MatchKind::ParentDomain => format!("{} is below {}, listed in {}", found.observed, found.indicator, found.feed),
        kind => format!("{} {} is listed in {}", kind.words(), found.observed, found.feed),
    };
    if let Some(label) = &found.label {
        let _ = write!(text, " as {label}");
    }
    let why = match found.standing {
        Standing::Malicious if effect == Effect::Explains => "; the name is popular, and such servers are shared",
        Standing::Malicious => "",
        Standing::Informative => "; the feed does not mean it for detection",
        Standing::Compromised => "; the host was taken over and may be clean by now",
        Standing::Doubtful => "; the feed is less than half sure",
        Standing::SerialAlone => "; other issuers may use the same serial",
        Standing::WellKnown => "; the name is popular",
        Standing::Category => ", which accuses nobody",
    };
    text.push_str(why);
    text
}
