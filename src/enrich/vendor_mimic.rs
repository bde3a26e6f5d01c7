//! Defaults of products on servers outside: devices of that kind stand inside, and intruders copy their certificates to
//! look like one (ArcaneDoor). A hint: others do have such devices on the Internet.

use super::rare_issuer::{IssuerClass, class};
use super::score::severity_of;
use super::{Effect, Finding, Findings, Group, Subject};
use crate::knowledge::signatures::Verdict;
use crate::model::Direction;

/// The id of the check and of its findings.
pub(super) const ID: &str = "vendor_mimic";
/// What would be benign, for a person who looks at the finding.
pub(super) const BENIGN: &str = "the gateway of a partner, or a hoster's panel, that was left as it came";
/// It is of the group of self-signed leaves: one command makes both.
const WEIGHT: f64 = 0.25;

pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    if subject.context.direction != Some(Direction::Outbound) || class(subject) == IssuerClass::Public {
        return;
    }
    let signatures = subject.analysis.map(|analysis| analysis.signatures()).unwrap_or_default();
    let Some(product) = signatures.iter().find(|signature| signature.verdict == Verdict::Benign) else { return };
    let server = subject.session.server.map(|server| server.ip().to_string()).unwrap_or_default();
    findings.push(
        Finding {
            id: ID,
            group: Group::Trust,
            severity: severity_of(WEIGHT),
            weight: WEIGHT,
            technique: &["T1036"],
            field: product.field.to_string().into(),
            observed: product.observed.to_string().into(),
            expected: "a device inside".into(),
            evidence: product.id.to_string().into(),
            note: format!("{server} outside shows the default certificate of {}", product.tool).into(),
        },
        Effect::Weighs,
    );
}
