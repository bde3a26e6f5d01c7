//! Names in certificates that hold what no CA writes: control characters, markup.

use super::score::severity_of;
use super::{Effect, Finding, Findings, Group, Subject};

/// The id of the check and of its findings.
pub(super) const ID: &str = "odd_text";
/// What would be benign, for a person who looks at the finding.
pub(super) const BENIGN: &str = "a scanner or a test that tries what programs make of such text";
const WEIGHT: f64 = 0.15;

pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let Some(analysis) = subject.analysis else {
        return findings.not_evaluated("odd_text:no_certificate");
    };
    let Some(odd) = &analysis.oddities().text else { return };
    findings.push(
        Finding {
            id: ID,
            group: subject.group(Group::Structure),
            severity: severity_of(WEIGHT),
            weight: WEIGHT,
            technique: &["T1587.003"],
            field: odd.field.to_string().into(),
            observed: odd.value.to_string().into(),
            expected: "text".into(),
            evidence: "certificate".into(),
            note: format!("{} is what no CA writes: {}", odd.field, odd.why).into(),
        },
        Effect::Weighs,
    );
}
