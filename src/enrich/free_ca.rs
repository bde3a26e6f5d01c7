//! CAs that give certificates to whoever holds a name, for nothing: said only beside a name that is new or imitates
//! another, since a third of all names have one.

use super::{Effect, Finding, Findings, Group, Subject};
use crate::knowledge::rotation::Rotation;
use crate::knowledge::signatures::Severity;
use crate::model::AttributeKind;

/// The id of the check and of its findings.
pub(super) const ID: &str = "free_ca";
/// What would be benign, for a person who looks at the finding.
pub(super) const BENIGN: &str = "nearly everything: it says only that nobody had to show who he is";

pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let Some(analysis) = subject.analysis else {
        return findings.not_evaluated("free_ca:no_certificate");
    };
    if analysis.issuer_is_public() != Some(true)
        || !(findings.has(super::lookalike::ID) || findings.has_group(Group::Age))
    {
        return;
    }
    let issuer = subject.certificate.and_then(|certificate| certificate.issuer.as_ref());
    let organization = issuer.and_then(|issuer| issuer.first(&AttributeKind::Organization));
    let Some(organization) = organization.filter(|name| Rotation::builtin().is_automated(name)) else { return };
    findings.push(
        Finding {
            id: ID,
            group: Group::Context,
            severity: Severity::Info,
            weight: 0.0,
            technique: &["T1588.004"],
            field: "issuer.O".into(),
            observed: organization.to_owned().into(),
            expected: "a CA that asks who the holder is".into(),
            evidence: "table of automated CAs".into(),
            note: format!("{organization} gives certificates to programs and asks only for control of the name").into(),
        },
        Effect::Explains,
    );
}
