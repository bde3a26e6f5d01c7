//! Leaves that vouch for themselves.

use super::score::severity_of;
use super::{Effect, Finding, Findings, Group, Subject};
use crate::model::SelfSigned;

/// The id of the check and of its findings.
pub(super) const ID: &str = "self_signed";
/// What would be benign, for a person who looks at the finding.
pub(super) const BENIGN: &str = "a printer, camera, storage box or test system, above all inside the own network";
/// One in fifteen certificates of ordinary traffic is self-signed: alone this stays below low.
const WEIGHT: f64 = 0.15;

pub(super) fn check<'a>(subject: &Subject<'a>, findings: &mut Findings<'a>) {
    let Some((certificate, analysis)) = subject.certificate.zip(subject.analysis) else {
        return findings.not_evaluated("self_signed:no_certificate");
    };
    let evidence = match certificate.self_signed {
        None => return findings.not_evaluated("self_signed:not_logged"),
        Some(SelfSigned::No) => return,
        Some(SelfSigned::Verified) => "signature checked with the certificate's own key",
        Some(SelfSigned::SameName) => "subject and issuer are the same name",
    };
    let issuer = certificate.issuer.as_ref().map(|issuer| issuer.text()).unwrap_or_default();
    findings.push_kept(
        Finding {
            id: ID,
            group: Group::Trust,
            severity: severity_of(WEIGHT),
            weight: WEIGHT,
            technique: &["T1587.003"],
            field: "issuer".into(),
            observed: issuer.into(),
            expected: "a certificate authority".into(),
            evidence: evidence.into(),
            note: "the certificate is self-signed".into(),
        },
        Effect::Weighs,
        &analysis.json().self_signed,
    );
}
