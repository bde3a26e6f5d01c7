//! Sensors whose clock is wrong, found by what they show: certificates of public CAs are not dated ahead, so that many of
//! them which are not valid *yet* tell of a clock that is behind, or of times that are relative.

use std::collections::BTreeMap;

use crate::correlate::SessionContext;
use crate::model::CertificateSource;

/// Sessions of each sensor with a certificate of a public CA, and those whose certificate was not valid yet.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Postdated(BTreeMap<String, Sessions>);

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Sessions {
    public: u64,
    not_yet_valid: u64,
}

/// Sensors that are told apart.
const MAX_SENSORS: usize = 256;
/// So many sessions, and one in so many of all, are no accident.
const MIN_SESSIONS: u64 = 20;
const ONE_IN: u64 = 10;
/// As for the check of validity: zones lie up to 14 hours from UTC.
const SLACK_STRINGS: i64 = 14 * 3600;
const SLACK_DER: i64 = 300;

impl Postdated {
    /// Counts a session; one without a certificate of a public CA does not count.
    pub(super) fn count(&mut self, sensor: &str, context: &SessionContext) {
        let Some(known) = context.leaf.known() else { return };
        let is_public = known.analysis.get().and_then(|analysis| analysis.issuer_is_public()) == Some(true);
        let Some(not_before) = known.certificate.not_before.filter(|_| is_public) else { return };
        let slack = match known.certificate.source {
            CertificateSource::Der => SLACK_DER,
            CertificateSource::LogStrings => SLACK_STRINGS,
        };
        let not_yet_valid = context.at.seconds() < not_before.0.saturating_sub(slack);
        self.add_sessions(sensor, Sessions { public: 1, not_yet_valid: u64::from(not_yet_valid) });
    }

    /// Adds another count.
    pub(super) fn add(&mut self, other: &Self) {
        other.0.iter().for_each(|(sensor, sessions)| self.add_sessions(sensor, *sessions));
    }

    /// The sensors whose clock must be wrong; an empty name is that of inputs without one.
    pub fn sensors(&self) -> impl Iterator<Item = &str> {
        let is_wrong = |sessions: &Sessions| {
            sessions.not_yet_valid >= MIN_SESSIONS && sessions.not_yet_valid.saturating_mul(ONE_IN) >= sessions.public
        };
        self.0.iter().filter(move |(_, sessions)| is_wrong(sessions)).map(|(sensor, _)| &**sensor)
    }

    fn add_sessions(&mut self, sensor: &str, more: Sessions) {
        if let Some(sessions) = self.0.get_mut(sensor) {
            sessions.public += more.public;
            sessions.not_yet_valid += more.not_yet_valid;
        } else if self.0.len() < MAX_SENSORS {
            self.0.insert(sensor.to_owned(), more);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_certificates_ahead_of_time_are_no_clock() {
        let mut all = Postdated::default();
        for (sensor, public, not_yet_valid) in [("behind", 100, 60), ("few", 30, 19), ("rare", 1000, 25)] {
            let mut one = Postdated::default();
            one.add_sessions(sensor, Sessions { public, not_yet_valid });
            all.add(&one);
        }
        assert_eq!(all.sensors().collect::<Vec<_>>(), ["behind"]);
    }
}
