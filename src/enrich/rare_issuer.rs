//! Issuers that hardly anybody here has seen.
//!
//! It is asked of clients within that go out. Of sessions that stay within it is said apart, and weighs nothing: every
//! device has its own CA. What comes from outside says nothing of what is usual here, nor does a proxy, behind which
//! any number of clients may be.

use schemars::JsonSchema;
use serde::Serialize;

use super::score::severity_of;
use super::{Effect, Finding, Findings, Group, Subject};
use crate::history::Rarity;
use crate::knowledge::signatures::Severity;
use crate::model::Direction;

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

pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
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
    match subject.context.direction {
        None | Some(Direction::Outbound) if subject.context.shared_client => {
            return findings.not_evaluated("rare_issuer:shared_client");
        }
        None | Some(Direction::Outbound) => {}
        Some(Direction::Internal) => return report_inside(subject, findings),
        Some(Direction::Inbound | Direction::Transit) => {
            return findings.not_evaluated("rare_issuer:not_outbound");
        }
    }
    let Some(issuer) = seen.issuer.filter(|_| is_rare(subject) == Some(true)) else { return };
    findings.push(
        Finding {
            id: ID,
            group: Group::Rarity,
            severity: severity_of(WEIGHT),
            weight: WEIGHT,
            technique: &["T1588.004"],
            field: "issuer".into(),
            observed: issuer_text(subject).into(),
            expected: match rarity(subject).most_clients() {
                1 => "an issuer seen by more than one client".into(),
                most => format!("an issuer seen by more than {most} clients").into(),
            },
            evidence: format!("history: first seen {}", issuer.first.at).into(),
            note: format!(
                "the issuer was first seen here {} and by {} of {} active clients",
                issuer.first.at, issuer.clients, seen.active_clients
            )
            .into(),
        },
        Effect::Weighs,
    );
}

/// Says that an issuer is rare within.
fn report_inside(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let Some(issuer) = subject.context.seen.issuer.filter(|issuer| rarity(subject).is_rare_inside(issuer)) else {
        return;
    };
    findings.push(
        Finding {
            id: ID,
            group: Group::Context,
            severity: Severity::Info,
            weight: 0.0,
            technique: &[],
            field: "issuer".into(),
            observed: issuer_text(subject).into(),
            expected: "an issuer seen by more than one client".into(),
            evidence: format!("history: first seen {}", issuer.first.at).into(),
            note: format!("inside, the issuer was first seen {} and by this client only", issuer.first.at).into(),
        },
        Effect::Explains,
    );
}

fn issuer_text(subject: &Subject<'_>) -> String {
    let name = subject.certificate.and_then(|certificate| certificate.issuer.as_ref());
    name.map(|name| name.text().to_owned()).unwrap_or_default()
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

/// Whether the issuer is rare: by its name, and by its organisation where it names one. `None` where that is not asked.
pub(crate) fn is_rare(subject: &Subject<'_>) -> Option<bool> {
    let seen = &subject.context.seen;
    let is_asked = seen.learning.is_none()
        && class(subject) == IssuerClass::Private
        && subject.is_outbound()
        && !subject.context.shared_client;
    let rarity = rarity(subject);
    is_asked.then(|| {
        seen.issuer.as_ref().is_some_and(|issuer| rarity.is_rare(issuer))
            && seen.organization.as_ref().is_none_or(|organization| rarity.is_rare(organization))
    })
}

fn rarity(subject: &Subject<'_>) -> Rarity {
    Rarity {
        clock: subject.context.clock,
        active_clients: subject.context.seen.active_clients,
        new_days: subject.settings.new_days,
        whole_since: subject.context.seen.whole_since,
    }
}
