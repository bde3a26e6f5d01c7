//! An issuer that stands in for those of many names: TLS is inspected.
//!
//! That is one event and not a change of each name: from then on the issuer is of a class of its own, its names have not
//! changed theirs, and for a day the records say so.

use super::rare_issuer::{IssuerClass, class, intercepts_since};
use super::score::severity_of;
use super::{Effect, Finding, Findings, Group, Subject};
use crate::model::DAY_NANOS;

/// The id of the check and of its findings.
pub(super) const ID: &str = "interception";
/// What would be benign, for a person who looks at the finding.
pub(super) const BENIGN: &str = "a gateway or a virus scanner of your own that inspects TLS";

pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    if class(subject) != IssuerClass::Interception {
        return;
    }
    let Some(since) = intercepts_since(subject).filter(|since| subject.context.clock.since(*since) < DAY_NANOS) else {
        return;
    };
    let issuer = subject.certificate.and_then(|certificate| certificate.issuer.as_ref());
    let issuer = issuer.map(|issuer| issuer.text()).unwrap_or_default();
    findings.push(
        Finding {
            id: ID,
            group: Group::Context,
            severity: severity_of(0.0),
            weight: 0.0,
            technique: &["T1557"],
            field: "issuer".into(),
            observed: issuer.to_owned().into(),
            expected: "an issuer for each name".into(),
            evidence: format!("history: since {since}").into(),
            note: format!("TLS is inspected: since {since} {issuer} stands in for the issuers of many names").into(),
        },
        Effect::Explains,
    );
}
