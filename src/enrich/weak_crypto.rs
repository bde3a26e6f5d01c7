//! Weak keys and signatures: hygiene, and no sign of an attack by itself.

use super::{Effect, Finding, Findings, Group, Subject};
use crate::knowledge::signatures::Severity;

/// The id of the check and of its findings.
pub(super) const ID: &str = "weak_crypto";
/// What would be benign, for a person who looks at the finding.
pub(super) const BENIGN: &str = "an old device, or a CA that has not been renewed for long";

pub(super) fn check<'a>(subject: &Subject<'a>, findings: &mut Findings<'a>) {
    let Some(analysis) = subject.analysis else {
        return findings.not_evaluated("weak_crypto:no_certificate");
    };
    let Some(weakness) = &analysis.oddities().weakness else { return };
    findings.push_kept(
        Finding {
            id: ID,
            group: Group::Context,
            severity: Severity::Info,
            weight: 0.0,
            technique: &[],
            field: "key".into(),
            observed: weakness.into(),
            expected: "RSA of 2048 bits, a curve of 224, and SHA-256, or more".into(),
            evidence: "NIST SP 800-131A".into(),
            note: format!("the certificate is weak: {weakness}").into(),
        },
        Effect::Explains,
        &analysis.json().weakness,
    );
}
