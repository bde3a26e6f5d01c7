//! When history is long enough to judge by.

use serde::{Deserialize, Serialize};

use crate::model::{DAY_NANOS, EventTime};

/// What has to have been seen before rarity means anything.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LearningThresholds {
    /// Days of event time since the first session.
    pub days: i32,
    /// Distinct certificates.
    pub certificates: u64,
    /// Distinct clients.
    pub clients: u64,
}

/// Why history is not ready to judge.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LearningReason {
    /// Too few days of event time.
    FewDays,
    /// Too few distinct certificates.
    FewCertificates,
    /// Too few distinct clients. A site that never has enough goes without rarity.
    FewClients,
}

/// How far learning has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Learning {
    /// The clock at the first session, or at the first after a pause of more than a week: what lies between says nothing.
    started: Option<EventTime>,
    /// The clock at the last session.
    last: Option<EventTime>,
    /// Certificates that were new.
    certificates: u64,
    /// Clients that were new.
    clients: u64,
    /// Whether it has ended; it does not begin again.
    ended: bool,
}

/// A longer pause begins learning's days anew.
const MAX_PAUSE: i64 = 7 * DAY_NANOS;

impl Learning {
    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// The clock at the last session while it lasted.
    pub fn last(&self) -> Option<EventTime> {
        self.last
    }

    /// Why history is not ready to judge at a time of the clock; `None` when it is.
    pub fn reason(&self, thresholds: LearningThresholds, clock: EventTime) -> Option<LearningReason> {
        if self.ended { None } else { self.missing(thresholds, clock) }
    }

    /// What two histories have learnt together: from the earlier start to the later end, by whichever number is larger,
    /// those that each has counted or `certificates` and `clients`, which the merged tables hold. It has ended when it had
    /// for one of them, or when what they have learnt together is enough. A pause of one sensor is not known to the
    /// other, so that days without a session of either count as learnt.
    pub(super) fn merge(self, other: Self, thresholds: LearningThresholds, certificates: u64, clients: u64) -> Self {
        let mut merged = Self {
            started: self.started.into_iter().chain(other.started).min(),
            last: self.last.max(other.last),
            certificates: self.certificates.max(other.certificates).max(certificates),
            clients: self.clients.max(other.clients).max(clients),
            ended: self.ended || other.ended,
        };
        if let Some(last) = merged.last {
            merged.end(thresholds, last);
        }
        merged
    }

    pub(super) fn note_time(&mut self, clock: EventTime) {
        if self.ended {
            return;
        }
        let pause = self.last.map_or(0, |last| clock.since(last).abs());
        if pause > MAX_PAUSE || self.started.is_none() {
            self.started = Some(clock);
        }
        self.last = Some(clock);
    }

    pub(super) fn note_certificate(&mut self) {
        self.certificates += 1;
    }

    pub(super) fn note_client(&mut self) {
        self.clients += 1;
    }

    /// Ends when enough has been seen; otherwise says why not.
    pub(super) fn end(&mut self, thresholds: LearningThresholds, clock: EventTime) -> Option<LearningReason> {
        let missing = self.reason(thresholds, clock);
        self.ended = missing.is_none();
        missing
    }

    fn missing(&self, thresholds: LearningThresholds, clock: EventTime) -> Option<LearningReason> {
        let days = self.started.map_or(0, |started| clock.since(started) / DAY_NANOS);
        if days < i64::from(thresholds.days) {
            Some(LearningReason::FewDays)
        } else if self.certificates < thresholds.certificates {
            Some(LearningReason::FewCertificates)
        } else if self.clients < thresholds.clients {
            Some(LearningReason::FewClients)
        } else {
            None
        }
    }
}
