//! Certificates on the open network that are meant for the way between a server and its own delivery network, or for
//! tests: no browser trusts them. RedDelta's servers were reached so, past the delivery network.

use super::{Effect, Finding, Findings, Group, Subject};
use crate::knowledge::signatures::Severity;
use crate::model::{AttributeKind, Direction, DistinguishedName};

/// The id of the check and of its findings.
pub(super) const ID: &str = "origin_ca";
/// What would be benign, for a person who looks at the finding.
pub(super) const BENIGN: &str =
    "an owner who looks at his own server past the delivery network, or tests a client for certificates";
const WEIGHT: f64 = 0.3;

/// What such a CA is for.
#[derive(Clone, Copy, Debug)]
pub enum Use {
    /// Between a server and the delivery network of this owner.
    Origin(&'static str),
    /// Tests.
    Staging,
}

pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let Some((certificate, analysis)) = subject.certificate.zip(subject.analysis) else {
        return findings.not_evaluated("origin_ca:no_certificate");
    };
    let Some(issuer) = &certificate.issuer else { return findings.not_evaluated("origin_ca:not_logged") };
    let Some(purpose) = analysis.oddities().origin_ca else { return };
    let owner = subject.session.server.and_then(|server| subject.knowledge.prefixes.owner(server));
    let note = match purpose {
        // The delivery network itself shows what its customer put there.
        Use::Origin(network) if owner.is_some_and(|owner| owner.name.to_lowercase().contains(network)) => return,
        Use::Origin(_) => "a certificate for the way to a delivery network is shown outside of it",
        Use::Staging => "a certificate of a CA for tests is shown in the open",
    };
    let is_open = subject.context.direction == Some(Direction::Outbound);
    findings.push(
        Finding {
            id: ID,
            group: Group::Trust,
            severity: super::score::severity_of(WEIGHT),
            weight: WEIGHT,
            technique: &["T1588.004"],
            field: "issuer".into(),
            observed: issuer.text().to_owned().into(),
            expected: "a CA that browsers trust".into(),
            evidence: "names of such CAs".into(),
            note: note.into(),
        },
        if is_open { Effect::Floor(Severity::Medium) } else { Effect::Weighs },
    );
}

/// What an issuer is for, if it is such a CA.
pub(super) fn purpose(issuer: &DistinguishedName) -> Option<Use> {
    let has = |kind: &AttributeKind, part: &str| issuer.values(kind).any(|value| value.to_lowercase().contains(part));
    let cloudflare = has(&AttributeKind::Organization, "cloudflare")
        && (has(&AttributeKind::OrganizationalUnit, "cloudflare origin")
            || has(&AttributeKind::CommonName, "cloudflare origin"));
    if cloudflare {
        return Some(Use::Origin("cloudflare"));
    }
    let staging = issuer.values(&AttributeKind::CommonName).any(|name| name.starts_with("(STAGING) "))
        || issuer.values(&AttributeKind::Organization).any(|name| name.starts_with("(STAGING) "))
        || issuer.values(&AttributeKind::CommonName).any(|name| name.starts_with("Fake LE "));
    staging.then_some(Use::Staging)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn such_cas_are_known_by_name() {
        for (issuer, found) in [
            (
                "OU=CloudFlare Origin SSL Certificate Authority,O=CloudFlare\\, Inc.,L=San Francisco,ST=California,C=US",
                true,
            ),
            ("CN=(STAGING) Artificial Apricot R3,O=(STAGING) Let's Encrypt,C=US", true),
            ("CN=Fake LE Intermediate X1", true),
            ("CN=Cloudflare Inc ECC CA-3,O=Cloudflare\\, Inc.,C=US", false),
            ("CN=R3,O=Let's Encrypt,C=US", false),
        ] {
            assert_eq!(purpose(&DistinguishedName::from_rfc2253(issuer)).is_some(), found, "{issuer}");
        }
    }
}
