//! Whether certsift reads and commits as it should.

use std::time::Duration;

use super::metrics::{Metrics, Phase};

/// What there is to complain of.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Health {
    /// Each reason in words; none when all is well.
    pub reasons: Vec<String>,
}

/// A reading, a chunk or a commit that takes longer than this stands still.
const STILL: Duration = Duration::from_secs(30);
/// A commit is late after so many intervals, if that is longer.
const LATE_INTERVALS: u32 = 10;

impl Health {
    /// Whether all is well.
    pub fn is_good(&self) -> bool {
        self.reasons.is_empty()
    }
}

impl Metrics {
    /// Whether certsift reads and commits.
    pub fn health(&self) -> Health {
        let mut reasons = self.waiting().reasons();
        let is_said = !reasons.is_empty();
        match self.phase() {
            Phase::Starting => reasons.push("starting: knowledge, state and output are being opened".to_owned()),
            Phase::Stopping => reasons.push("stopping: what was read is being written".to_owned()),
            Phase::Running if self.since_round() > STILL => {
                reasons.push(format!("nothing has been read for {} s", self.since_round().as_secs()));
            }
            Phase::Running => {}
        }
        // A sink that waits for what takes nothing has said so above.
        if let Some(busy) = self.sink_busy().filter(|busy| *busy > STILL && !is_said) {
            reasons.push(format!("the sink has been busy with one chunk for {} s", busy.as_secs()));
        }
        let late = STILL.max(self.commit_interval().saturating_mul(LATE_INTERVALS));
        if let Some(busy) = self.commit_busy().filter(|busy| *busy > late) {
            reasons.push(format!("a commit has been under way for {} s", busy.as_secs()));
        }
        reasons.extend(self.numbers().reading.unreadable);
        Health { reasons }
    }

    /// Whether everything moves that can: what waits for others, such as a full disk, is not stuck, and to end it would
    /// only lose what it holds.
    pub(super) fn is_moving(&self, patience: Duration) -> bool {
        let stuck = |busy: Option<Duration>| busy.is_some_and(|busy| busy > patience);
        let waiting = self.waiting();
        let is_sink_stuck = !waiting.is_held_up() && stuck(self.sink_busy());
        let is_commit_stuck = !waiting.is_sending() && stuck(self.commit_busy());
        waiting.any() || !(is_sink_stuck || is_commit_stuck)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::observe::Reading;

    #[test]
    fn health_says_why_it_is_bad() {
        let metrics = Metrics::default();
        assert!(metrics.health().reasons.iter().any(|reason| reason.starts_with("starting")));
        metrics.set_phase(Phase::Running);
        assert!(metrics.health().is_good(), "{:?}", metrics.health());
        let unreadable = vec!["cannot open /logs/ssl.log: denied".to_owned()];
        metrics.set_reading(Reading { unreadable: unreadable.clone(), ..Reading::default() }, None);
        let said = metrics.health().reasons;
        assert_eq!(said, unreadable);
        metrics.set_reading(Reading::default(), None);
        assert!(metrics.health().is_good());
        metrics.set_phase(Phase::Stopping);
        assert!(!metrics.health().is_good());
    }

    #[test]
    fn who_waits_for_a_full_disk_is_not_stuck() {
        let metrics = Metrics::default();
        assert!(metrics.is_moving(Duration::ZERO));
        metrics.sink_begins();
        std::thread::sleep(Duration::from_millis(5));
        assert!(metrics.is_moving(Duration::from_secs(3600)));
        assert!(!metrics.is_moving(Duration::ZERO));
        metrics.waiting().again(Path::new("/out"), || "no space".to_owned());
        assert!(metrics.is_moving(Duration::ZERO));
    }

    #[test]
    fn a_commit_that_waits_for_a_server_does_not_excuse_the_sink_nor_the_sink_the_commit() {
        let metrics = Metrics::default();
        let is_moving = || metrics.is_moving(Duration::ZERO);
        metrics.sink_begins();
        std::thread::sleep(Duration::from_millis(5));
        let sending = metrics.waiting().sending();
        assert!(!is_moving(), "the sink hangs");
        let held_up = metrics.waiting().held_up();
        assert!(is_moving(), "the sink waits for room");
        metrics.commit_begins();
        std::thread::sleep(Duration::from_millis(5));
        assert!(is_moving(), "and the commit for the server");
        drop(sending);
        assert!(!is_moving(), "the commit hangs");
        drop(held_up);
        metrics.committed(Duration::ZERO);
        assert!(!is_moving(), "the sink hangs again");
    }
}
