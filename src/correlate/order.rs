//! The order of records in event time.

use crate::model::{DAY_NANOS, EventTime};

/// A jump of more than this needs to be confirmed by the records that follow.
const MAX_JUMP: i64 = 7 * DAY_NANOS;
/// Consecutive records beyond the jump that confirm it.
const CONFIRMATIONS: u8 = 3;

/// The key of one file's records: its times as a running maximum, which one wild time does not move.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyTracker {
    key: Option<EventTime>,
    beyond: u8,
    smallest_beyond: Option<EventTime>,
}

impl KeyTracker {
    /// Starts at a file's first key, the smallest of its first three times.
    pub fn starting_at(first: Option<EventTime>) -> Self {
        Self { key: first, beyond: 0, smallest_beyond: None }
    }

    /// The key of the next record; `None` until a file has shown its first time.
    pub fn next(&mut self, time: Option<EventTime>) -> Option<EventTime> {
        let Some(time) = time else { return self.key };
        match self.key {
            None => self.key = Some(time),
            Some(key) if time.since(key) <= MAX_JUMP => {
                self.key = Some(key.max(time));
                (self.beyond, self.smallest_beyond) = (0, None);
            }
            Some(_) => {
                self.beyond += 1;
                let smallest = self.smallest_beyond.map_or(time, |smallest| smallest.min(time));
                self.smallest_beyond = Some(smallest);
                if self.beyond == CONFIRMATIONS {
                    self.key = Some(smallest);
                    (self.beyond, self.smallest_beyond) = (0, None);
                }
            }
        }
        self.key
    }

    /// The key of the record before, if there was one with a time.
    pub fn current(&self) -> Option<EventTime> {
        self.key
    }
}

/// The first key of a file: the smallest of its first three times.
pub fn first_key(times: impl Iterator<Item = EventTime>) -> Option<EventTime> {
    times.take(usize::from(CONFIRMATIONS)).min()
}

/// The largest key processed so far, which never moves back.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    now: Option<EventTime>,
}

impl Clock {
    /// A clock that continues from a stored time.
    pub fn starting_at(now: Option<EventTime>) -> Self {
        Self { now }
    }

    /// Moves the clock on to a key.
    pub fn advance(&mut self, key: EventTime) {
        self.now = Some(self.now.map_or(key, |now| now.max(key)));
    }

    /// The time; `None` before the first record.
    pub fn now(&self) -> Option<EventTime> {
        self.now
    }

    /// A record's own time as far as it can be believed: within a week of the clock, else the clock.
    pub fn believable(&self, time: Option<EventTime>) -> EventTime {
        let now = self.now.unwrap_or(EventTime(0));
        match time {
            Some(time) if time <= now && now.since(time) <= MAX_JUMP => time,
            _ => now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(day: i64) -> EventTime {
        EventTime(day * DAY_NANOS)
    }

    #[test]
    fn keys_follow_the_latest_time() {
        let mut keys = KeyTracker::default();
        let times = [10, 12, 11, 15, 9];
        let found: Vec<_> = times.iter().map(|time| keys.next(Some(day(*time))).unwrap().day()).collect();
        assert_eq!(found, [10, 12, 12, 15, 15]);
        assert_eq!(keys.next(None), Some(day(15)));
    }

    #[test]
    fn one_wild_time_does_not_move_the_key_and_three_do() {
        let mut keys = KeyTracker::starting_at(Some(day(10)));
        assert_eq!(keys.next(Some(day(40_000))), Some(day(10)));
        assert_eq!(keys.next(Some(day(11))), Some(day(11)));
        for (time, key) in [(40_000, 11), (30, 11), (31, 30), (32, 32)] {
            assert_eq!(keys.next(Some(day(time))), Some(day(key)), "{time}");
        }
    }

    #[test]
    fn a_wild_first_time_does_not_start_the_file() {
        assert_eq!(first_key([40_000, 10, 11, 1].map(day).into_iter()), Some(day(10)));
    }
}
