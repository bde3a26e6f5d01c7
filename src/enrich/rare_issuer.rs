//! Issuers that hardly anybody here has seen.

use schemars::JsonSchema;
use serde::Serialize;

use super::score::severity_of;
use super::{Effect, Finding, Findings, Group, Subject};
use crate::history::Rarity;

/// The id of the check and of its findings.
pub(super) const ID: &str = "rare_issuer";
/// What would be benign, for a person who looks at the finding.
pub(super) const BENIGN: &str =
    "the private CA of a partner, a gateway or a device, which one person has reason to use";
/// Two issuers of five are seen once in ordinary traffic: alone this stays below low.
const WEIGHT: f64 = 0.15;

/// What kind of issuer a certificate has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum IssuerClass {
    /// A certificate authority disclosed in the Common CA Database, by name.
    Public,
    /// Any other issuer.
    Private,
    /// One that stands in for the issuers of many names: it inspects TLS.
    Interception,
    /// The certificate itself.
    #[serde(rename = "self")]
    OwnIssuer,
    /// Not logged.
    Unknown,
}

pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings) {
    if subject.certificate.is_none() {
        return findings.not_evaluated("rare_issuer:no_certificate");
    }
    match class(subject) {
        IssuerClass::Unknown => return findings.not_evaluated("rare_issuer:not_logged"),
        IssuerClass::Public | IssuerClass::OwnIssuer | IssuerClass::Interception => return,
        IssuerClass::Private => {}
    }
    let seen = &subject.context.seen;
    if seen.learning.is_some() {
        return findings.not_evaluated("rare_issuer:learning");
    }
    let Some(issuer) = seen.issuer.filter(|_| is_rare(subject)) else { return };
    let name = subject.certificate.and_then(|certificate| certificate.issuer.as_ref());
    findings.push(
        Finding {
            id: ID,
            group: Group::Rarity,
            severity: severity_of(WEIGHT),
            weight: WEIGHT,
            technique: vec!["T1588.004"],
            field: "issuer".into(),
            observed: name.map(|name| name.text().to_owned()).unwrap_or_default(),
            expected: match rarity(subject).most_clients() {
                1 => "an issuer seen by more than one client".to_owned(),
                most => format!("an issuer seen by more than {most} clients"),
            },
            evidence: format!("history: first seen {}", issuer.first.at),
            note: format!(
                "the issuer was first seen here {} and by {} of {} active clients",
                issuer.first.at, issuer.clients, seen.active_clients
            ),
        },
        Effect::Weighs,
    );
}

/// What kind of issuer the session's certificate has.
pub(crate) fn class(subject: &Subject<'_>) -> IssuerClass {
    let Some(certificate) = subject.certificate else { return IssuerClass::Unknown };
    if certificate.is_self_issued() {
        return IssuerClass::OwnIssuer;
    }
    match subject.analysis.and_then(|analysis| analysis.issuer_is_public()) {
        Some(true) => IssuerClass::Public,
        Some(false) if intercepts_since(subject).is_some() => IssuerClass::Interception,
        Some(false) => IssuerClass::Private,
        None => IssuerClass::Unknown,
    }
}

/// Since when the issuer is known to inspect TLS.
pub(super) fn intercepts_since(subject: &Subject<'_>) -> Option<crate::model::EventTime> {
    subject.context.seen.issuer.and_then(|issuer| issuer.intercepts_since)
}

/// Whether the issuer is rare: by its name, and by its organisation where it names one.
pub(crate) fn is_rare(subject: &Subject<'_>) -> bool {
    let seen = &subject.context.seen;
    let rarity = rarity(subject);
    seen.learning.is_none()
        && class(subject) == IssuerClass::Private
        && seen.issuer.as_ref().is_some_and(|issuer| rarity.is_rare(issuer))
        && seen.organization.as_ref().is_none_or(|organization| rarity.is_rare(organization))
}

fn rarity(subject: &Subject<'_>) -> Rarity {
    Rarity {
        clock: subject.context.clock,
        active_clients: subject.context.seen.active_clients,
        new_days: subject.settings.new_days,
    }
}
