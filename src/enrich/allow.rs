//! The user's exceptions: evidence weighs less, nothing is hidden, and the reason is said.
//!
//! An exception for a certificate, an issuer, a name or an address leaves a tenth of the weight of heuristics. Rows of
//! feeds that accuse just what is excepted, and signatures that are excepted by their id, only explain. Other signatures
//! and feeds keep their weight: that somebody trusts an issuer says nothing of a certificate that is known to be bad.
//! Exceptions for the client's certificate hold for what is found on it, and for nothing else.

use super::score::severity_of;
use super::{Effect, Finding, Findings, Found, Group};
use crate::knowledge::feeds::{AllowEntry, AllowKind, AllowList};
use crate::knowledge::signatures::Severity;
use crate::model::{Address, Certificate, EventTime};

/// The id of the findings that say that something is excepted.
pub const ID: &str = "allow";
/// What is left of a heuristic's weight.
const FACTOR: f64 = 0.1;
/// Exceptions that are said on one record.
const MAX_SAID: usize = 4;

/// What exceptions are looked up for.
pub(super) struct Excepted<'a> {
    pub(super) certificate: Option<&'a Certificate>,
    /// The client's.
    pub(super) client: Option<&'a Certificate>,
    pub(super) server_name: Option<&'a str>,
    pub(super) server: Option<Address>,
    pub(super) at: Option<EventTime>,
}

/// What an exception has to name instead of a check whose findings it cannot lighten as a whole; `None` for other checks.
pub fn instead_of_check(id: &str) -> Option<&'static str> {
    match id {
        super::feed::ID => Some("except what is listed, by `sha256`, `sha1`, `issuer`, `domain` or `address`"),
        super::signature::ID => Some("except signatures by their own ids, with `signature`"),
        _ => None,
    }
}

/// Takes exceptions into account, after all checks.
pub(super) fn apply(allow: &AllowList, subject: &Excepted<'_>, findings: &mut Findings<'_>) {
    if allow.is_empty() || findings.found.is_empty() {
        return;
    }
    let at = subject.at;
    let mut general: Vec<&AllowEntry> = Vec::new();
    if let Some(certificate) = subject.certificate {
        general.extend(allow.of_certificate(certificate, at));
    }
    if let Some(name) = subject.server_name {
        general.extend(allow.of_name(&name.trim_end_matches('.').to_lowercase(), at));
    }
    if let Some(server) = subject.server {
        general.extend(allow.of_address(server, at));
    }
    let of_client = subject.client.map(|certificate| allow.of_certificate(certificate, at)).unwrap_or_default();
    // What is odd about a client may be known of the server that it goes to as well.
    let of_client_or_general = [&of_client[..], &general[..]].concat();
    let mut said: Vec<&AllowEntry> = Vec::new();
    for found in &mut findings.found {
        let is_clients = found.finding.id == super::client_certificate::ID;
        let by = match found.finding.group {
            Group::Signature if found.listed && is_clients => explained_feed(allow, &of_client, found, at),
            Group::Signature if found.listed => explained_feed(allow, &general, found, at),
            Group::Signature => allow.of_signature(&found.finding.evidence, at).first().copied(),
            _ if is_clients => lightened(allow, &of_client_or_general, found, at),
            _ => lightened(allow, &general, found, at),
        };
        let Some(by) = by else { continue };
        if found.finding.group == Group::Signature {
            found.effect = Effect::Explains;
            found.finding.weight = 0.0;
            found.finding.severity = Severity::Info;
        }
        if !said.contains(&by) {
            said.push(by);
        }
    }
    said.into_iter().take(MAX_SAID).for_each(|entry| findings.push(finding(entry), Effect::Explains));
}

/// Leaves a tenth of a heuristic's weight, where something excepts it.
fn lightened<'a>(
    allow: &'a AllowList,
    general: &[&'a AllowEntry],
    found: &mut Found<'_>,
    at: Option<EventTime>,
) -> Option<&'a AllowEntry> {
    let by = general.first().copied().or_else(|| allow.of_finding(found.finding.id, at).first().copied())?;
    if found.effect == Effect::Explains {
        return None;
    }
    found.finding.weight *= FACTOR;
    found.finding.severity = severity_of(found.finding.weight);
    if matches!(found.effect, Effect::Floor(_)) {
        found.effect = Effect::Weighs;
    }
    Some(by)
}

/// The exception for just what a row of a feed accuses.
fn explained_feed<'a>(
    allow: &'a AllowList,
    general: &[&'a AllowEntry],
    found: &Found<'_>,
    at: Option<EventTime>,
) -> Option<&'a AllowEntry> {
    if found.effect == Effect::Explains {
        return None;
    }
    let of = |kinds: &[AllowKind]| general.iter().find(|entry| kinds.contains(&entry.kind)).copied();
    match found.finding.field.strip_prefix(super::client_certificate::FIELD).unwrap_or(&found.finding.field) {
        "server_name" | "san.dns" | "subject.cn" => allow.of_name(&found.finding.observed, at).first().copied(),
        "server" => of(&[AllowKind::Address]),
        "issuer" => of(&[AllowKind::Issuer, AllowKind::Sha256, AllowKind::Sha1]),
        _ => of(&[AllowKind::Sha256, AllowKind::Sha1]),
    }
}

fn finding(entry: &AllowEntry) -> Finding<'static> {
    let why = if entry.reason.is_empty() { "no reason is given" } else { &entry.reason };
    Finding {
        id: ID,
        group: Group::Context,
        severity: Severity::Info,
        weight: 0.0,
        technique: &[],
        field: entry.kind.name().into(),
        observed: entry.value.to_string().into(),
        expected: "".into(),
        evidence: format!("allow, line {}", entry.row).into(),
        note: format!("{} {} is excepted: {why}", entry.kind.name(), entry.value).into(),
    }
}
