//! Domains that were registered shortly before they were used.

use super::score::severity_of;
use super::{Effect, Finding, Findings, Group, Precision, Subject};

/// The id of the check and of its findings.
pub(super) const ID: &str = "new_domain";
/// What would be benign, for a person who looks at the finding.
pub(super) const BENIGN: &str = "a known owner has begun something: a campaign, an event, another name";
/// Domains younger than this weigh more.
const VERY_NEW_DAYS: i64 = 7;
const WEIGHT_VERY_NEW: f64 = 0.25;
const WEIGHT_NEW: f64 = 0.2;

pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    if !subject.knowledge.knows_registrations() {
        return findings.not_evaluated("new_domain:no_list");
    }
    let certified = subject.analysis.is_some_and(|analysis| !analysis.domains().is_empty());
    if subject.server_name.is_none() && !certified {
        return findings.not_evaluated("new_domain:no_name");
    }
    if subject.context.sensor_clock_is_wrong {
        return findings.not_evaluated("new_domain:sensor_clock");
    }
    let recent = subject.registrations.iter().filter(|it| it.is_recent(subject.settings.recent_domain_days));
    let Some(newest) = recent.min_by_key(|registration| registration.age_days) else { return };
    let weight = if newest.age_days < VERY_NEW_DAYS { WEIGHT_VERY_NEW } else { WEIGHT_NEW };
    let when = match (newest.precision, newest.age_days) {
        (_, 0) => "on the day it was used".to_owned(),
        (_, 1) => "1 day before it was used".to_owned(),
        (Precision::Window, days) => format!("at most {days} days before it was used"),
        (_, days) => format!("{days} days before it was used"),
    };
    findings.push(
        Finding {
            id: ID,
            group: Group::Age,
            severity: severity_of(weight),
            weight,
            technique: &["T1583.001", "T1588.004"],
            field: if subject.server_name.is_some() { "server_name" } else { "san.dns" }.into(),
            observed: format!("{} registered {}", newest.domain, newest.days()).into(),
            expected: format!("registered {} days ago or more", subject.settings.recent_domain_days).into(),
            evidence: newest.source.clone().into(),
            note: format!("{} was registered {when}", newest.domain).into(),
        },
        Effect::Weighs,
    );
}
