//! Certificates that are not valid at the record's time.
//!
//! Zeek before 8.0 writes validity in the sensor's zone, so that without DER a date counts only when it is off by more
//! than any zone is. One of a public CA's that is not valid *yet* tells of the sensor's clock, and weighs nothing; where many
//! of them do, no age is told of that sensor's records.

use super::rare_issuer::{IssuerClass, class};
use super::score::severity_of;
use super::{Effect, Finding, Findings, Group, Subject};

/// The id of the check and of its findings.
pub(super) const ID: &str = "out_of_validity";
/// What would be benign, for a person who looks at the finding.
pub(super) const BENIGN: &str = "a renewal that was forgotten; a device without a clock";
/// One in ten certificates on the Internet has expired.
const WEIGHT: f64 = 0.05;

pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let Some(certificate) = subject.certificate else {
        return findings.not_evaluated("out_of_validity:no_certificate");
    };
    let (Some(not_before), Some(not_after)) = (certificate.not_before, certificate.not_after) else {
        return findings.not_evaluated("out_of_validity:not_logged");
    };
    if subject.context.sensor_clock_is_wrong {
        return findings.not_evaluated("out_of_validity:sensor_clock");
    }
    let slack = certificate.validity_slack();
    let at = subject.context.at.seconds();
    let days = |seconds: i64| match seconds.div_euclid(86_400) {
        0 => "hours".to_owned(),
        1 => "a day".to_owned(),
        days => format!("{days} days"),
    };
    let is_public = class(subject) == IssuerClass::Public;
    let (field, observed, note) = if at > not_after.0.saturating_add(slack) {
        let since = days(at.saturating_sub(not_after.0));
        ("not_after", not_after, format!("the certificate had expired {since} before"))
    } else if at < not_before.0.saturating_sub(slack) {
        let until = days(not_before.0.saturating_sub(at));
        ("not_before", not_before, format!("the certificate was valid only {until} later"))
    } else {
        return;
    };
    // No public CA dates ahead: that is a clock, and the sensor's own rather than the CA's.
    let (weight, effect) = match field == "not_before" && is_public {
        true => (0.0, Effect::Explains),
        false => (WEIGHT, Effect::Weighs),
    };
    findings.push(
        Finding {
            id: ID,
            group: Group::Trust,
            severity: severity_of(weight),
            weight,
            technique: &[],
            field: field.into(),
            observed: observed.to_string().into(),
            expected: "valid at the record's time".into(),
            evidence: "certificate".into(),
            note: note.into(),
        },
        effect,
    );
}
