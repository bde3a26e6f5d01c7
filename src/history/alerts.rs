//! Alerts that were raised lately, so that a record says whether it repeats one.
//!
//! The table is asked in the order of the output. It is told of every alert, repeats included: what goes on is one alert
//! for as long as it does not pause for a day.

use serde::{Deserialize, Serialize};

use super::table::{Outcome, Table, Weighted};
use crate::model::{EventTime, HOUR_NANOS, Id128};

/// What an alert is known by, and when it was raised.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Alert {
    /// Alerts with the same key are the same.
    pub key: Id128,
    /// The clock at the judgement.
    pub clock: EventTime,
}

/// When alerts were last raised.
#[derive(Debug)]
pub struct Alerts {
    last: Table<EventTime>,
}

/// Alerts that are remembered.
const CAPACITY: u64 = 131_072;
/// How long an alert is the same.
const SPAN: i64 = 24 * HOUR_NANOS;

impl Weighted for EventTime {}

impl Alerts {
    /// No alerts. `tracking` says whether changes are to be stored.
    pub fn new(tracking: bool) -> Self {
        Self { last: Table::new(CAPACITY, tracking) }
    }

    /// Takes note of an alert; says whether it was raised within the 24 hours before.
    pub fn note(&mut self, alert: Alert) -> bool {
        let noted = self.last.update(
            alert.key,
            || Some(alert.clock),
            |last, new| {
                // A clock that had jumped by years may have come back: what was raised then is not before.
                let is_near = alert.clock.since(*last).abs() <= SPAN;
                *last = if is_near { alert.clock.max(*last) } else { alert.clock };
                let repeats = !new && is_near;
                (Outcome { established: repeats, resized: false }, repeats)
            },
        );
        noted.unwrap_or_default()
    }

    /// The table, to be stored or restored.
    pub fn table_mut(&mut self) -> &mut Table<EventTime> {
        &mut self.last
    }

    /// Alerts forgotten so far to stay within bounds.
    pub fn evicted(&self) -> u64 {
        self.last.evicted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(key: u32, hours: i64) -> Alert {
        Alert { key: Id128::of(&key.to_be_bytes()), clock: EventTime(hours * HOUR_NANOS) }
    }

    #[test]
    fn an_alert_repeats_until_it_has_paused_for_a_day() {
        let mut alerts = Alerts::new(false);
        let said = [0, 1, 25, 26, 51, 52].map(|hours| alerts.note(alert(1, hours)));
        assert_eq!(said, [false, true, true, true, false, true]);
        assert!(!alerts.note(alert(2, 52)));
        let said = [1_000_000, 60, 61, 90].map(|hours| alerts.note(alert(1, hours)));
        assert_eq!(said, [false, false, true, false], "a clock that came back from another century");
    }

    #[test]
    fn a_flood_of_alerts_stays_within_bounds_and_leaves_those_that_go_on() {
        let mut alerts = Alerts::new(false);
        assert!(!alerts.note(alert(0, 0)) && alerts.note(alert(0, 0)));
        for key in 1..=2 * CAPACITY as u32 {
            assert!(!alerts.note(alert(key, 1)));
        }
        assert!(alerts.note(alert(0, 2)));
        assert!(alerts.last.len() as u64 <= CAPACITY && alerts.evicted() >= CAPACITY);
    }
}
