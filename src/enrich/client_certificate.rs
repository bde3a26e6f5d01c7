//! What the client's certificate shows: it may be known as a server's may, and it may be odd for a client.
//!
//! Signatures and feeds weigh as for servers; names in the certificate are not looked up, since they say nothing of where
//! the client connects to. What is odd weighs little: calls between browsers (WebRTC) show self-signed certificates on both
//! sides, and old certificates of clients are mostly those of devices.

use super::score::severity_of;
use super::{Effect, Finding, Findings, Group, Subject, feed, signature};
use crate::model::{AttributeKind, Certificate, Direction};

/// The id of the check and of its findings.
pub(super) const ID: &str = "client_certificate";
/// What the fields of its findings begin with.
pub(super) const FIELD: &str = "client_certificate.";
/// What would be benign, for a person who looks at the finding.
pub(super) const BENIGN: &str =
    "a call between browsers, a VPN or devices of one maker, which make their own certificates; an authorised test";
/// Calls between browsers look like this: alone it stays below low.
const WEIGHT_SELF_SIGNED: f64 = 0.15;
/// Whoever shows the server's certificate has its key.
const WEIGHT_SAME: f64 = 0.3;
/// The roles' names are words, which others may use.
const WEIGHT_ROLE: f64 = 0.25;
/// Names of roles in the certificates of command-and-control servers and their operators.
const ROLES: [&str; 2] = ["operators", "multiplayer"];
/// A certificate that expired longer ago is worth a word.
const EXPIRED_DAYS: i64 = 1000;

pub(super) fn check<'a>(subject: &Subject<'a>, findings: &mut Findings<'a>) {
    let Some((certificate, analysis)) = subject.client else {
        if !subject.session.client_chain.is_empty() {
            findings.not_evaluated("client_certificate:not_found");
        }
        return;
    };
    known(subject, findings);
    if same_as_server(certificate, subject.certificate) {
        let observed = certificate.id.to_string();
        let note = "client and server show the same certificate".to_owned();
        let server = "another certificate than the server's";
        findings.push(
            finding("sha256", certificate.hash_text().unwrap_or(observed), server, WEIGHT_SAME, note),
            Effect::Weighs,
        );
    } else if certificate.is_self_issued() && subject.context.direction == Some(Direction::Outbound) {
        let observed = certificate.issuer.as_ref().map(|issuer| issuer.text().to_owned()).unwrap_or_default();
        let note = "a host inside shows a self-signed certificate to a server outside".to_owned();
        findings.push(finding("issuer", observed, "a certificate authority", WEIGHT_SELF_SIGNED, note), Effect::Weighs);
    }
    // Where a signature says whose role it is, that is enough.
    if analysis.signatures().is_empty()
        && let Some((field, role)) = role(certificate)
    {
        let note = format!("the client's certificate has the name of a role, {role}");
        findings.push(finding(field, role.to_owned(), "the name of a client", WEIGHT_ROLE, note), Effect::Weighs);
    }
    if let Some(not_after) = certificate.not_after.filter(|_| !subject.context.sensor_clock_is_wrong) {
        let days = subject.context.at.seconds().saturating_sub(not_after.0).div_euclid(86_400);
        if days > EXPIRED_DAYS {
            let note = format!("the client's certificate expired {days} days ago");
            let expected = format!("expired at most {EXPIRED_DAYS} days ago");
            findings.push(finding("not_after", not_after.to_string(), &expected, 0.0, note), Effect::Explains);
        }
    }
}

/// Signatures and feeds that know the certificate, with the side in the field.
fn known<'a>(subject: &Subject<'a>, findings: &mut Findings<'a>) {
    let Some((_, analysis)) = subject.client else { return };
    let mut own = Findings::default();
    signature::report(analysis, &mut own);
    feed::report(subject.client_feeds, None, &mut own);
    for mut found in own.found {
        found.finding.id = ID;
        // The text that is kept is that of a server's.
        found.kept = None;
        found.finding.field = format!("{FIELD}{}", found.finding.field).into();
        found.finding.note = format!("of the client's certificate, {}", found.finding.note).into();
        findings.found.push(found);
    }
}

fn same_as_server(client: &Certificate, server: Option<&Certificate>) -> bool {
    let Some(server) = server else { return false };
    client.id == server.id || client.sha1.is_some() && client.sha1 == server.sha1
}

/// A common name that is that of a role: the client's own, or its issuer's.
fn role(certificate: &Certificate) -> Option<(&'static str, &'static str)> {
    [("subject.CN", &certificate.subject), ("issuer.CN", &certificate.issuer)].into_iter().find_map(|(field, name)| {
        let mut values = name.as_ref()?.values(&AttributeKind::CommonName);
        let role = values.find_map(|value| ROLES.into_iter().find(|role| value.eq_ignore_ascii_case(role)))?;
        Some((field, role))
    })
}

fn finding(field: &str, observed: String, expected: &str, weight: f64, note: String) -> Finding<'static> {
    Finding {
        id: ID,
        group: Group::Trust,
        severity: severity_of(weight),
        weight,
        technique: if weight > 0.0 { &["T1587.003"] } else { &[] },
        field: format!("{FIELD}{field}").into(),
        observed: observed.into(),
        expected: expected.to_owned().into(),
        evidence: "the certificate itself".into(),
        note: note.into(),
    }
}
