//! Certificates that are not for the name that the client asked for (RFC 9525).
//!
//! Hosters show a default certificate for names they do not know, so that this says little alone; that a popular name
//! comes with a certificate that no CA made says more.

use super::rare_issuer::{IssuerClass, class};
use super::score::severity_of;
use super::{Effect, Finding, Findings, Group, Subject};

/// The id of the check and of its findings.
pub(super) const ID: &str = "name_mismatch";
/// What would be benign, for a person who looks at the finding.
pub(super) const BENIGN: &str = "a server that shows its default certificate for names that it does not know";
/// In one public capture most sessions that are odd at all are odd in this way and untrusted: both together stay below low.
const WEIGHT: f64 = 0.08;
const WEIGHT_POPULAR: f64 = 0.25;
/// Names of the certificate that are said.
const MAX_NAMES: usize = 3;

pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let Some(certificate) = subject.certificate else {
        return findings.not_evaluated("name_mismatch:no_certificate");
    };
    let Some(name) = subject.server_name else {
        return findings.not_evaluated("name_mismatch:no_name");
    };
    match (subject.covers)() {
        None => return findings.not_evaluated("name_mismatch:not_logged"),
        Some(true) => return,
        Some(false) => {}
    }
    let unvouched = matches!(class(subject), IssuerClass::OwnIssuer | IssuerClass::Private);
    let popular = subject.name.and_then(|name| name.rank).filter(|_| unvouched);
    let weight = if popular.is_some() { WEIGHT_POPULAR } else { WEIGHT };
    let names = certificate.names().take(MAX_NAMES).collect::<Vec<_>>().join(", ");
    let names = if names.is_empty() { "no name".to_owned() } else { names };
    findings.push(
        Finding {
            id: ID,
            group: subject.group(Group::Name),
            severity: severity_of(weight),
            weight,
            technique: &["T1587.003"],
            field: "server_name".into(),
            observed: name.to_owned().into(),
            expected: names.clone().into(),
            evidence: popular
                .map_or("certificate".into(), |rank| format!("certificate; popular names, rank {rank}").into()),
            note: format!("the client asked for {name}, and the certificate is for {names}").into(),
        },
        Effect::Weighs,
    );
}
