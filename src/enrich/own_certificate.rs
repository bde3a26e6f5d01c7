//! The user's own certificate on a server where it does not belong: its key was taken, or the device (UNC3886).

use super::{Effect, Finding, Findings, Group, Subject};
use crate::knowledge::signatures::Severity;

/// The id of the check and of its findings.
pub(super) const ID: &str = "own_certificate";
/// What would be benign, for a person who looks at the finding.
pub(super) const BENIGN: &str = "a new place of your own that knowledge.own_certificates does not name yet";
const WEIGHT: f64 = 0.7;

pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let own = &subject.knowledge.own_certificates;
    if own.is_empty() {
        return findings.not_evaluated("own_certificate:no_list");
    }
    let Some(certificate) = subject.certificate else {
        return findings.not_evaluated("own_certificate:no_certificate");
    };
    if certificate.sha256.is_none() && certificate.spki_sha256.is_none() {
        return findings.not_evaluated("own_certificate:no_sha256");
    }
    let Some(server) = subject.session.server else {
        return findings.not_evaluated("own_certificate:no_server");
    };
    let Some(outside) = own.outside(certificate, server) else { return };
    let what = if outside.field == "sha256" { "certificate" } else { "key" };
    findings.push(
        Finding {
            id: ID,
            group: Group::Share,
            severity: Severity::High,
            weight: WEIGHT,
            technique: &["T1588.004", "T1552.004"],
            field: "server".into(),
            observed: server.ip().to_string().into(),
            expected: outside.ranges.to_owned().into(),
            evidence: format!("own_certificates, line {}", outside.line).into(),
            note: format!("your own {what} is on {}, outside the ranges where it belongs", server.ip()).into(),
        },
        Effect::Floor(Severity::High),
    );
}
