//! A name that has been known for long and comes with another issuer.
//!
//! Who takes over a name gets a certificate for it from another CA, while the owner's is still good, and shows it on a
//! server of his own (Sea Turtle). Names change their CA for honest reasons as well: at a renewal, among CAs that give
//! certificates to programs, with an owner who uses several, or with a move that stays. Those are recognised, and weigh
//! little or nothing.

use super::rare_issuer::{IssuerClass, class};
use super::score::severity_of;
use super::{Effect, Finding, Findings, Group, Subject};
use crate::correlate::{LATELY, Leaf};
use crate::history::{ESTABLISHED_AFTER, ESTABLISHED_CLIENTS, IssuerChange, NameSeen, ObservedCertificate};
use crate::knowledge::rotation::{Kinship, Rotation};
use crate::knowledge::signatures::Severity;
use crate::model::{DAY_NANOS, Id128};

/// The id of the check and of its findings.
pub(super) const ID: &str = "issuer_change";
/// What would be benign, for a person who looks at the finding.
pub(super) const BENIGN: &str = "the owner moved the name to another hoster or CA before the old certificate ended; ask him, and see whether it stays";
/// All signs together: another issuer, another network, and the former certificate still good for long.
const WEIGHT: f64 = 0.35;
/// The same for a name that the user watches over.
const WEIGHT_WATCHED: f64 = 0.7;
/// One of the signs is missing, or both CAs give certificates to programs.
const WEIGHT_PART: f64 = 0.2;
/// A renewal, or a move that has stayed.
const WEIGHT_PLANNED: f64 = 0.1;
/// A certificate that is good for no longer is due for renewal.
const RENEWAL: i64 = 30 * 86_400;

const PERHAPS_NEW: &str =
    "the former certificate is for any name of the domain, so that this one may be new and never have had it";

/// What speaks for a change that was planned.
enum Reading {
    /// All signs of a name that was taken over.
    TakenOver,
    /// All signs, but the name may be a new one that came with the issuer: the former certificate was for any.
    PerhapsNew,
    /// Some are missing: why, in words.
    Part(&'static str),
    /// A renewal or a move: why, in words.
    Planned(&'static str),
    /// Another name of the same domain, or an owner who uses several CAs.
    Usual,
}

pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let context = subject.context;
    let Some(certificate) = context.observed() else {
        return findings.not_evaluated("issuer_change:no_certificate");
    };
    let Some(issuer) = certificate.issuer_of_name() else {
        return findings.not_evaluated("issuer_change:not_logged");
    };
    let Some(name) = &context.seen.name else { return };
    let Some(change) = &name.issuer_change else { return };
    // What is recalled tells nothing of what the server would present today.
    if !matches!(context.leaf, Leaf::Presented(_)) || context.clock.since(change.at) > LATELY {
        return;
    }
    let is_watched = is_watched(subject);
    let is_established = change.at.since(name.first.at) >= ESTABLISHED_AFTER && name.clients >= ESTABLISHED_CLIENTS;
    if !(is_watched || is_established) || class(subject) == IssuerClass::Interception {
        return;
    }
    if issuer == change.to {
        report_change(subject, name, change, is_watched, findings);
    } else if issuer == change.from && change.new_network && context.at > change.at {
        report_return(subject, change, findings);
    }
}

/// Whether the name that was asked for is one that the user watches over.
pub(super) fn is_watched(subject: &Subject<'_>) -> bool {
    subject.name.is_some_and(|name| name.is_watched)
}

fn report_change(
    subject: &Subject<'_>,
    name: &NameSeen,
    change: &IssuerChange,
    is_watched: bool,
    findings: &mut Findings<'_>,
) {
    let (weight, floor, why) = match read(subject, name, change) {
        Reading::Usual => return,
        Reading::Planned(why) => (WEIGHT_PLANNED, None, why),
        Reading::Part(why) => (WEIGHT_PART, None, why),
        Reading::TakenOver if !subject.is_outbound() || subject.context.shared_server => {
            (WEIGHT_PART, None, "the server is not one that was reached from inside by its own address")
        }
        Reading::PerhapsNew if is_watched && subject.is_outbound() && !subject.context.shared_server => {
            (WEIGHT, Some(Severity::Medium), PERHAPS_NEW)
        }
        Reading::PerhapsNew => (WEIGHT_PART, None, PERHAPS_NEW),
        Reading::TakenOver if is_watched => (
            WEIGHT_WATCHED,
            Some(Severity::High),
            "the name is watched, the server is in another network, and the former certificate is still good",
        ),
        Reading::TakenOver => (
            WEIGHT,
            Some(Severity::Medium),
            "the server is in another network, and the former certificate is still good",
        ),
    };
    let (from, to) = (called(change.from, &change.from_label), called(change.to, &change.to_label));
    findings.push(
        Finding {
            id: ID,
            group: Group::Drift,
            severity: floor.unwrap_or(severity_of(weight)),
            weight,
            technique: &["T1588.004", "T1557"],
            field: "issuer".into(),
            observed: to.to_owned().into(),
            expected: from.to_owned().into(),
            evidence: format!("history: since {}", change.at).into(),
            note: format!(
                "{} has been issued by {from} and is now by {to}; {why}",
                subject.server_name.unwrap_or("the name")
            )
            .into(),
        },
        floor.map_or(Effect::Weighs, Effect::Floor),
    );
}

/// The name is back with its former issuer: what lay between was short, as a stolen name is.
fn report_return(subject: &Subject<'_>, change: &IssuerChange, findings: &mut Findings<'_>) {
    let (from, to) = (called(change.from, &change.from_label), called(change.to, &change.to_label));
    if kinship(change).is_some() || change.from == ObservedCertificate::OWN_ISSUER || owner_rotates(subject) {
        return;
    }
    findings.push(
        Finding {
            id: ID,
            group: Group::Context,
            severity: Severity::Info,
            weight: 0.0,
            technique: &[],
            field: "issuer".into(),
            observed: from.to_owned().into(),
            expected: to.to_owned().into(),
            evidence: format!("history: change at {}", change.at).into(),
            note: format!(
                "{} is issued by {from} as before {}, when it came with {to}",
                subject.server_name.unwrap_or("the name"),
                change.at
            )
            .into(),
        },
        Effect::Explains,
    );
}

fn read(subject: &Subject<'_>, name: &NameSeen, change: &IssuerChange) -> Reading {
    let context = subject.context;
    let kinship = kinship(change).filter(|_| class(subject) == IssuerClass::Public);
    // Who vouched for himself and now has somebody who does has gained by it.
    if change.from == ObservedCertificate::OWN_ISSUER || kinship == Some(Kinship::Same) || owner_rotates(subject) {
        return Reading::Usual;
    }
    let Some(former) = context.former.as_ref().map(|known| &known.certificate) else {
        return Reading::Part("what the former certificate was is not known");
    };
    if subject.server_name.is_some_and(|name| former.covers(name) == Some(false)) {
        return Reading::Usual;
    }
    if former.not_after.is_some_and(|end| end.0.saturating_sub(context.at.seconds()) <= RENEWAL) {
        return Reading::Planned("the former certificate was due for renewal");
    }
    if has_stayed(name, change, subject) {
        return Reading::Planned("the former issuer has not been seen since, which is how a move looks");
    }
    if kinship == Some(Kinship::Automated) {
        return match change.new_network {
            true => Reading::Part("both give certificates to programs, which change among such"),
            false => Reading::Planned("both give certificates to programs, which change among such"),
        };
    }
    let is_named = subject.server_name.is_none_or(|name| former.names_exactly(name));
    match change.new_network {
        true if is_named => Reading::TakenOver,
        true => Reading::PerhapsNew,
        false => Reading::Part("the network is one where the name was before"),
    }
}

/// Whether the name has moved: for a day and more several clients have got the new certificate, and nobody the old one.
fn has_stayed(name: &NameSeen, change: &IssuerChange, subject: &Subject<'_>) -> bool {
    let clients = subject.context.seen.certificate.as_ref().map_or(0, |certificate| certificate.clients);
    subject.context.clock.since(change.at) >= DAY_NANOS
        && name.former_issuer_day.is_none_or(|day| day <= change.at.day())
        && clients >= ESTABLISHED_CLIENTS
}

/// Whether the name, or whoever delivers it, is served under certificates of several CAs by turns.
fn owner_rotates(subject: &Subject<'_>) -> bool {
    let rotation = Rotation::builtin();
    let domain = subject.server_name.and_then(crate::decode::registrable);
    let system = subject.session.server.and_then(|server| subject.knowledge.prefixes.owner(server));
    domain.is_some_and(|(_, domain)| rotation.owner_of_domain(&domain).is_some())
        || system.is_some_and(|owner| rotation.owner_of_system(owner.asn).is_some())
}

fn kinship(change: &IssuerChange) -> Option<Kinship> {
    Rotation::builtin().kinship(change.from_label.as_deref()?, change.to_label.as_deref()?)
}

/// How an issuer is called.
pub(crate) fn called(issuer: Id128, label: &Option<Box<str>>) -> &str {
    match label.as_deref() {
        Some(label) => label,
        None if issuer == ObservedCertificate::OWN_ISSUER => "the certificate itself",
        None => "an issuer without a name",
    }
}
