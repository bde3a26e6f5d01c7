//! A certificate that has been known for long in its networks and turns up in another one.
//!
//! Whoever stole it has its key, so that nothing else about it changes (Sea Turtle, BlackTech). Services move, too. What
//! tells is that the name asked for is not the certificate's, or that the user watches over the name.

use super::issuer_change::is_watched;
use super::rare_issuer::{IssuerClass, class};
use super::score::severity_of;
use super::{Effect, Finding, Findings, Group, Subject};
use crate::correlate::{LATELY, Leaf};
use crate::history::ESTABLISHED_CLIENTS;
use crate::knowledge::signatures::{Severity, Verdict};

/// The id of the check and of its findings.
pub(super) const ID: &str = "moved_certificate";
/// What would be benign, for a person who looks at the finding.
pub(super) const BENIGN: &str =
    "the owner has a new hoster, or a server that shows the certificate to whoever asks for a name it does not have";
const WEIGHT: f64 = 0.25;
/// The name is the certificate's: services move to other networks.
const WEIGHT_SAME_NAME: f64 = 0.2;
/// The same where networks are only guessed from addresses.
const WEIGHT_GUESSED: f64 = 0.1;
/// What was in more networks is at home everywhere.
const MAX_NETWORKS: u32 = 3;

pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let context = subject.context;
    let Some(seen) = &context.seen.certificate else {
        return findings.not_evaluated("moved_certificate:no_certificate");
    };
    let Some(moved) = &seen.moved else { return };
    let is_here = context.network == Some(moved.to) && context.clock.since(moved.at) <= LATELY;
    let is_known = moved.networks <= MAX_NETWORKS && seen.clients > ESTABLISHED_CLIENTS;
    let is_presented = matches!(context.leaf, Leaf::Presented(_));
    if !(is_here && is_known && is_presented) || class(subject) == IssuerClass::Interception || context.shared_server {
        return;
    }
    let signatures = subject.analysis.map(|analysis| analysis.signatures()).unwrap_or_default();
    // Devices that share their factory's certificate are in many places.
    if signatures.iter().any(|signature| signature.verdict == Verdict::Benign) {
        return;
    }
    let Some(covers) = (subject.covers)() else { return findings.not_evaluated("moved_certificate:not_logged") };
    let (weight, floor, why) = match covers {
        false => (WEIGHT, true, ", and the name asked for is not its own"),
        true if is_watched(subject) => (WEIGHT, true, ", and the name is watched"),
        true if !subject.knowledge.prefixes.is_empty() => (WEIGHT_SAME_NAME, false, ""),
        true => (WEIGHT_GUESSED, false, ""),
    };
    let floor = floor && subject.is_outbound();
    let owner = subject.session.server.and_then(|server| subject.knowledge.prefixes.owner(server));
    let network = owner.map(|owner| format!(" (AS{} {})", owner.asn, owner.name)).unwrap_or_default();
    findings.push(
        Finding {
            id: ID,
            group: Group::Share,
            severity: if floor { Severity::Medium } else { severity_of(weight) },
            weight,
            technique: &["T1588.004", "T1608.003"],
            field: "server".into(),
            observed: subject.session.server.map(|server| server.ip().to_string()).unwrap_or_default().into(),
            expected: "a server in a network where the certificate was before".into(),
            evidence: format!("history: known since {}, there since {}", seen.first.at, moved.at).into(),
            note: format!(
                "a certificate known since {} is on a server in another network{network}{why}",
                seen.first.at
            )
            .into(),
        },
        if floor { Effect::Floor(Severity::Medium) } else { Effect::Weighs },
    );
}
