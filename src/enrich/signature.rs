//! Certificates that a known tool or product makes.

use super::analysis::CertificateAnalysis;
use super::{Effect, Finding, Findings, Group, Subject};
use crate::knowledge::signatures::{Confidence, Severity, SignatureHit, Verdict};

/// The id of the check and of its findings.
pub(super) const ID: &str = "signature";
/// What would be benign, for a person who looks at the finding.
pub(super) const BENIGN: &str = "an authorised test, or what the signature itself says is benign";

pub(super) fn check<'a>(subject: &Subject<'a>, findings: &mut Findings<'a>) {
    match subject.analysis {
        Some(analysis) => report(analysis, findings),
        None => findings.not_evaluated("signature:no_certificate"),
    }
}

/// Reports every signature that fires on a certificate.
pub(super) fn report<'a>(analysis: &'a CertificateAnalysis, findings: &mut Findings<'a>) {
    for hit in analysis.signatures() {
        let weight = match (hit.verdict, hit.confidence) {
            (Verdict::Benign, _) => 0.0,
            (_, Confidence::Exact) => 0.95,
            (_, Confidence::Strong) => 0.75,
            (_, Confidence::Medium) => 0.4,
            (_, Confidence::Weak) => 0.1,
        };
        let effect = match (hit.verdict, hit.confidence) {
            (Verdict::Malicious, Confidence::Exact) => Effect::Floor(Severity::Critical),
            (Verdict::Malicious, Confidence::Strong) => Effect::Floor(Severity::High),
            (Verdict::Malicious, _) => Effect::Weighs,
            (Verdict::DualUse | Verdict::Greyware, _) => Effect::CappedAt(hit.severity),
            (Verdict::Benign, _) => Effect::Explains,
        };
        let technique: &[_] = if hit.verdict == Verdict::Benign { &[] } else { &["T1588.004"] };
        findings.push_kept(
            Finding {
                id: ID,
                group: Group::Signature,
                severity: if hit.verdict == Verdict::Benign { Severity::Info } else { hit.severity },
                weight,
                technique,
                field: (&*hit.field).into(),
                observed: (&*hit.observed).into(),
                expected: (&*hit.expected).into(),
                evidence: (&*hit.id).into(),
                note: (&*hit.sentence).into(),
            },
            effect,
            &hit.finding,
        );
    }
}

/// A hit in words.
pub(super) fn sentence(hit: &SignatureHit<'_>) -> String {
    let kind = match (hit.signature.verdict(), hit.signature.confidence()) {
        (Verdict::Benign, _) => "a known default of",
        (_, Confidence::Exact) => "the default of",
        (_, Confidence::Strong) => "typical of",
        _ => "sometimes seen with",
    };
    format!("{} {} is {kind} {}", hit.field, hit.observed, hit.signature.tool())
}
