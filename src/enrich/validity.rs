//! Certificates under a public CA's name that last longer than public CAs were allowed to give on the day of issue, and
//! those that end before they begin.
//!
//! The most that a certificate for servers may last is set by the CA/Browser Forum (Baseline Requirements §6.3.2, ballots 193
//! and SC-081v3) and, for 398 days, by the browsers: a public CA does not issue what browsers refuse.

use super::score::severity_of;
use super::{Effect, Finding, Findings, Group, Subject};
use crate::model::{Certificate, EventTime};

/// The id of the check and of its findings.
pub(super) const ID: &str = "validity";
/// What would be benign, for a person who looks at the finding.
pub(super) const BENIGN: &str =
    "a CA that is disclosed for other uses than servers on the Internet, such as a company's own";
const WEIGHT: f64 = 0.25;

/// First day of issue, and the most days from then on; the last first.
const CAPS: [(&str, i64); 5] =
    [("2029-03-15", 47), ("2027-03-15", 100), ("2026-03-15", 200), ("2020-09-01", 398), ("2018-03-01", 825)];
const SECONDS_PER_DAY: i64 = 86_400;
/// Before 8.0 Zeek reads both ends in the sensor's zone, so that daylight saving moves one of them by an hour; and a cap
/// that begins on a day begins somewhere else a day later.
const SLACK_SECONDS: i64 = SECONDS_PER_DAY;

/// A certificate that lasts too long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooLong {
    /// How many days it lasts, rounded.
    pub days: i64,
    /// How many it may.
    pub cap: i64,
}

pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let Some((certificate, analysis)) = subject.certificate.zip(subject.analysis) else {
        return findings.not_evaluated("validity:no_certificate");
    };
    let (Some(not_before), Some(not_after)) = (certificate.not_before, certificate.not_after) else {
        return findings.not_evaluated("validity:not_logged");
    };
    let finding = |weight: f64, expected: String, note: String| Finding {
        id: ID,
        group: subject.group(Group::Structure),
        severity: severity_of(weight),
        weight,
        technique: if weight > 0.0 { &["T1587.003"] } else { &[] },
        field: "not_after".into(),
        observed: format!("{not_before} to {not_after}").into(),
        expected: expected.into(),
        evidence: "CA/Browser Forum Baseline Requirements".into(),
        note: note.into(),
    };
    if let Some(TooLong { days, cap }) = analysis.oddities().too_long {
        let note =
            format!("the certificate lasts {days} days, and on the day of issue a public CA gave {cap} at the most");
        findings.push(finding(WEIGHT, format!("{cap} days or less"), note), Effect::Weighs);
    } else if not_after < not_before {
        let note = "the certificate ends before it begins".to_owned();
        findings.push(finding(0.0, "an end after the beginning".to_owned(), note), Effect::Explains);
    }
}

/// Whether a certificate lasts longer than a public CA gave on the day of issue; the issuer is not looked at.
pub(super) fn too_long(certificate: &Certificate) -> Option<TooLong> {
    let (not_before, not_after) = (certificate.not_before?.0, certificate.not_after?.0);
    let days = not_after.saturating_sub(not_before).saturating_add(SECONDS_PER_DAY / 2).div_euclid(SECONDS_PER_DAY);
    let first_second = |day: &str| Some(i64::from(EventTime::parse_date(day)?) * SECONDS_PER_DAY);
    let cap = CAPS
        .iter()
        .find(|(day, _)| first_second(day).is_some_and(|first| not_before.saturating_sub(SLACK_SECONDS) >= first));
    let &(_, cap) = cap?;
    // Caps count a day that is begun as a whole one.
    (days > cap + 1).then_some(TooLong { days, cap })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CertificateSource, ValidityTime};

    fn lasting(from: &str, days: i64, seconds: i64) -> Option<TooLong> {
        let mut certificate = Certificate::unknown(CertificateSource::LogStrings);
        let from = ValidityTime::parse_iso8601(from).unwrap();
        certificate.not_before = Some(from);
        certificate.not_after = Some(ValidityTime(from.0 + days * SECONDS_PER_DAY + seconds));
        too_long(&certificate)
    }

    #[test]
    fn the_cap_is_that_of_the_day_of_issue() {
        for (from, days, cap) in [
            ("2017-06-01T00:00:00Z", 1100, None),
            ("2018-06-01T00:00:00Z", 825, None),
            ("2018-06-01T00:00:00Z", 900, Some(825)),
            ("2020-08-30T00:00:00Z", 825, None),
            ("2020-10-01T00:00:00Z", 825, Some(398)),
            ("2026-03-10T00:00:00Z", 398, None),
            ("2026-04-01T00:00:00Z", 398, Some(200)),
            ("2027-04-01T00:00:00Z", 101, None),
            ("2027-04-01T00:00:00Z", 200, Some(100)),
            ("2029-04-01T00:00:00Z", 90, Some(47)),
            ("2029-04-01T00:00:00Z", 47, None),
        ] {
            assert_eq!(lasting(from, days, 0).map(|long| long.cap), cap, "{from} {days}");
        }
    }

    #[test]
    fn an_hour_more_or_less_is_daylight_saving() {
        assert_eq!(lasting("2021-01-01T00:00:00Z", 398, 3600), None);
        assert_eq!(lasting("2021-01-01T00:00:00Z", 825, -3600).map(|long| long.days), Some(825));
    }
}
