//! Certificates under a public CA's name without any alternative name: no public CA has issued such a one for years
//! (Baseline Requirements §7.1.2.7.12).

use super::score::severity_of;
use super::{Effect, Finding, Findings, Group, Subject};

/// The id of the check and of its findings.
pub(super) const ID: &str = "missing_san";
/// What would be benign, for a person who looks at the finding.
pub(super) const BENIGN: &str = "a certificate for another use than a server's, such as a person's or a device's";
const WEIGHT: f64 = 0.15;
/// Seconds since 1970 of 2016-01-01: by then what was issued without had expired.
const SINCE: i64 = 1_451_606_400;

pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let Some((certificate, analysis)) = subject.certificate.zip(subject.analysis) else {
        return findings.not_evaluated("missing_san:no_certificate");
    };
    if certificate.san.is_none() {
        return findings.not_evaluated("missing_san:not_logged");
    }
    let is_late = certificate.not_before.is_some_and(|from| from.0 >= SINCE);
    if !analysis.oddities().lacks_san || !is_late {
        return;
    }
    let issuer = certificate.issuer.as_ref().map(|issuer| issuer.text()).unwrap_or_default();
    findings.push(
        Finding {
            id: ID,
            group: subject.group(Group::Structure),
            severity: severity_of(WEIGHT),
            weight: WEIGHT,
            technique: &["T1587.003"],
            field: "san".into(),
            observed: "none".to_owned().into(),
            expected: "alternative names, as public CAs write them".into(),
            evidence: format!("issuer {issuer}").into(),
            note: "the issuer bears a public CA's name, and the certificate has no alternative name".into(),
        },
        Effect::Weighs,
    );
}
