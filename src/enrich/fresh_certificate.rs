//! Certificates that are younger than their name's stay here.
//!
//! With automated renewal a few in a hundred first sights of honest certificates are days old, so that age weighs only
//! where the name is new as well: first seen here within a week and after learning, or registered within a month.

use super::analysis::days;
use super::score::severity_of;
use super::{Effect, Finding, Findings, Group, Subject};
use crate::model::{DAY_NANOS, EventTime};

/// The id of the check and of its findings.
pub(super) const ID: &str = "fresh_certificate";
/// What would be benign, for a person who looks at the finding.
pub(super) const BENIGN: &str = "a new service of a known owner, for which nobody here had asked before";
const FRESH_DAYS: f64 = 7.0;
const VERY_FRESH_DAYS: f64 = 1.0;
const WEIGHT_VERY_FRESH: f64 = 0.2;
const WEIGHT_FRESH: f64 = 0.1;

pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let Some(certificate) = subject.certificate else {
        return findings.not_evaluated("fresh_certificate:no_certificate");
    };
    let Some(not_before) = certificate.not_before else {
        return findings.not_evaluated("fresh_certificate:not_logged");
    };
    if subject.context.sensor_clock_is_wrong {
        return findings.not_evaluated("fresh_certificate:sensor_clock");
    }
    // CAs set the start of the validity back; when it was logged is nearer to when it was made.
    let logged = subject.transparency.certificate_logged.filter(|logged| logged.seconds() > not_before.0);
    let made = logged.map_or(not_before.0, EventTime::seconds);
    // Beyond the start of its validity lies a clock or a time zone, not freshness.
    let seconds = subject.context.at.seconds().saturating_sub(made);
    let age = days(seconds);
    if !(0..FRESH_DAYS as i64 * 86_400).contains(&seconds) || !name_is_new(subject) {
        return;
    }
    let weight = if age < VERY_FRESH_DAYS { WEIGHT_VERY_FRESH } else { WEIGHT_FRESH };
    findings.push(
        Finding {
            id: ID,
            group: Group::Age,
            severity: severity_of(weight),
            weight,
            technique: &["T1588.004"],
            field: if logged.is_some() { "transparency.certificate_logged" } else { "not_before" }.into(),
            observed: logged.map_or_else(|| not_before.to_string(), |logged| logged.to_string()).into(),
            expected: format!("{FRESH_DAYS} days old or more, or a name known for longer").into(),
            evidence: "certificate, history".into(),
            note: match age {
                1.0 => "the certificate is one day old and its name is new".into(),
                age => format!("the certificate is {age} days old and its name is new").into(),
            },
        },
        Effect::Weighs,
    );
}

fn name_is_new(subject: &Subject<'_>) -> bool {
    let new_here = subject.context.seen.name.as_ref().is_some_and(|name| {
        name.first.after_learning
            && subject.context.seen.learning.is_none()
            && subject.context.clock.since(name.first.at) < subject.settings.new_days * DAY_NANOS
    });
    let recent = |registration: &super::DomainRegistration| registration.is_recent(subject.settings.recent_domain_days);
    new_here || subject.registrations.iter().any(recent)
}
