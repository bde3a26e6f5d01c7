//! Certificates without a CA whose common name is an address, on servers outside.

use super::rare_issuer::{IssuerClass, class};
use super::score::severity_of;
use super::{Effect, Finding, Findings, Group, Subject};
use crate::model::Direction;

/// The id of the check and of its findings.
pub(super) const ID: &str = "address_name";
/// What would be benign, for a person who looks at the finding.
pub(super) const BENIGN: &str = "a device or an appliance that was given no name";
const WEIGHT: f64 = 0.1;

pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let Some(analysis) = subject.analysis else {
        return findings.not_evaluated("address_name:no_certificate");
    };
    let Some(address) = analysis.oddities().address_name.as_deref() else { return };
    // Public CAs give certificates for addresses to whoever holds them.
    let unvouched = matches!(class(subject), IssuerClass::OwnIssuer | IssuerClass::Private);
    if !unvouched || subject.context.direction != Some(Direction::Outbound) {
        return;
    }
    findings.push(
        Finding {
            id: ID,
            group: subject.group(Group::Name),
            severity: severity_of(WEIGHT),
            weight: WEIGHT,
            technique: &["T1587.003"],
            field: "subject.CN".into(),
            observed: address.to_owned().into(),
            expected: "a name".into(),
            evidence: "certificate".into(),
            note: format!("the certificate of a server outside is for the address {address}").into(),
        },
        Effect::Weighs,
    );
}
