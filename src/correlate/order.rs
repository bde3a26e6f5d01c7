//! The order of records in event time.

use serde::{Deserialize, Serialize};

use crate::model::{DAY_NANOS, EventTime};

/// A jump of more than this needs to be confirmed by the records that follow.
const MAX_JUMP: i64 = 7 * DAY_NANOS;
/// Consecutive records beyond the jump that confirm it.
const CONFIRMATIONS: u8 = 3;
/// A jump of more than this, and a first time that nothing came before, may still be wild although it is confirmed: a
/// few broken records in a row must not hold the clock in another century.
const MAX_CONFIRMED_JUMP: i64 = 366 * DAY_NANOS;
/// Consecutive records before such a jump that take it back. Logs are out of order by minutes; this many records in a
/// row are the log itself.
const RETRACTIONS: u8 = 64;

/// The key of one file's records: its times as a running maximum, which one wild time does not move.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct KeyTracker(GuardedMaximum);

impl KeyTracker {
    /// Starts at a file's first key, or at the key of the record before.
    pub fn starting_at(first: Option<EventTime>) -> Self {
        Self(GuardedMaximum::starting_at(first))
    }

    /// The key of the next record; `None` until a file has shown its first time.
    pub fn next(&mut self, time: Option<EventTime>) -> Option<EventTime> {
        if let Some(time) = time {
            self.0.advance(time);
        }
        self.0.now
    }

    /// The key of the record before, if there was one with a time.
    pub fn current(&self) -> Option<EventTime> {
        self.0.now
    }
}

/// The first key of a file: the smallest of its first three times, unless it lies more than a week before the one in the
/// middle and so is the wild one.
pub fn first_key(times: impl Iterator<Item = EventTime>) -> Option<EventTime> {
    let mut first: Vec<_> = times.take(usize::from(CONFIRMATIONS)).collect();
    first.sort_unstable();
    match first[..] {
        [smallest, middle, _] if middle.since(smallest) > MAX_JUMP => Some(middle),
        _ => first.first().copied(),
    }
}

/// The largest key processed so far, which never moves back once it is established. The keys of files go through the same
/// guard here: a file may hold nothing but one wild time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Clock(GuardedMaximum);

impl Clock {
    /// Moves the clock on to a key.
    pub fn advance(&mut self, key: EventTime) {
        self.0.advance(key);
    }

    /// The time; `None` before the first record.
    pub fn now(&self) -> Option<EventTime> {
        self.0.now
    }

    /// A record's own time as far as it can be believed: within a week of the clock, else the clock.
    pub fn believable(&self, time: Option<EventTime>) -> EventTime {
        let now = self.0.now.unwrap_or(EventTime(0));
        match time {
            Some(time) if time <= now && now.since(time) <= MAX_JUMP => time,
            _ => now,
        }
    }
}

/// A running maximum that one wild time does not move.
///
/// A jump of more than a week forward counts from the third consecutive time beyond it. While fewer than three times
/// support the maximum, it may itself be the wild one: three consecutive times more than a week before it take it back.
/// One that was reached by a jump of more than a year, or that a file began with, is taken back by 64 of them, unless as
/// many have supported it before.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
struct GuardedMaximum {
    now: Option<EventTime>,
    /// Times within a week of the maximum, up to three; [`DOUBTFUL`] and more where it may be wild all the same.
    support: u8,
    beyond: u8,
    smallest_beyond: Option<EventTime>,
    behind: u8,
    largest_behind: Option<EventTime>,
}

/// The support of a maximum that may still be taken back; it grows with every time within a week.
const DOUBTFUL: u8 = CONFIRMATIONS + 1;
/// With so much support it is no longer in doubt.
const ENOUGH: u8 = DOUBTFUL + RETRACTIONS;

impl GuardedMaximum {
    fn starting_at(now: Option<EventTime>) -> Self {
        Self { now, support: if now.is_some() { DOUBTFUL } else { 0 }, ..Self::default() }
    }

    /// A maximum that three times have confirmed.
    fn confirmed(now: EventTime, is_doubtful: bool) -> Self {
        Self { now: Some(now), support: if is_doubtful { DOUBTFUL } else { CONFIRMATIONS }, ..Self::default() }
    }

    fn advance(&mut self, time: EventTime) {
        let Some(now) = self.now else {
            *self = Self { now: Some(time), support: 1, ..Self::default() };
            return;
        };
        if time.since(now) > MAX_JUMP {
            self.beyond += 1;
            let smallest = self.smallest_beyond.map_or(time, |smallest| smallest.min(time));
            self.smallest_beyond = Some(smallest);
            if self.beyond == CONFIRMATIONS {
                *self = Self::confirmed(smallest, smallest.since(now) > MAX_CONFIRMED_JUMP);
            }
        } else if now.since(time) > MAX_JUMP {
            (self.beyond, self.smallest_beyond) = (0, None);
            let needed = match self.support {
                CONFIRMATIONS => return,
                DOUBTFUL.. => RETRACTIONS,
                _ => CONFIRMATIONS,
            };
            self.behind += 1;
            let largest = self.largest_behind.map_or(time, |largest| largest.max(time));
            self.largest_behind = Some(largest);
            if self.behind >= needed {
                *self = Self::confirmed(largest, false);
            }
        } else {
            let support = match self.support + 1 {
                ENOUGH.. => CONFIRMATIONS,
                support @ DOUBTFUL..ENOUGH if self.support >= DOUBTFUL => support,
                support => support.min(CONFIRMATIONS),
            };
            *self = Self { now: Some(now.max(time)), support, ..Self::default() };
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
        assert_eq!(first_key([0, 20_000, 20_001].map(day).into_iter()), Some(day(20_000)));
    }

    #[test]
    fn a_wild_start_is_taken_back_and_an_established_time_is_not() {
        let mut keys = KeyTracker::default();
        for (time, key) in
            [(40_000, 40_000), (10, 40_000), (11, 40_000), (11, 11), (12, 12), (13, 13), (1, 13), (2, 13), (3, 13)]
        {
            assert_eq!(keys.next(Some(day(time))), Some(day(key)), "{time}");
        }
        let mut keys = KeyTracker::starting_at(Some(day(40_000)));
        let found: Vec<_> = (0..66).map(|_| keys.next(Some(day(20_000))).unwrap().day()).collect();
        assert_eq!((found[62], found[63], found[65]), (40_000, 20_000, 20_000));
        let mut clock = Clock::default();
        for key in [100, 100, 100, 40_000, 40_000, 101] {
            clock.advance(day(key));
        }
        assert_eq!(clock.now(), Some(day(101)));
    }

    #[test]
    fn a_jump_of_years_is_taken_back_by_many_records_in_a_row_and_one_of_weeks_never() {
        for (jump, back) in [(40_000, 104), (130, 130)] {
            let mut clock = Clock::default();
            let times = [100, 101, 102, jump, jump, jump].into_iter();
            for key in times.chain(std::iter::repeat_n(103, 40)).chain([jump]).chain(std::iter::repeat_n(104, 64)) {
                clock.advance(day(key));
            }
            assert_eq!(clock.now(), Some(day(back)));
        }
        // What has been the time for long is not taken back for a backlog.
        let mut keys = KeyTracker::starting_at(Some(day(100)));
        for time in std::iter::repeat_n(101, 64).chain(std::iter::repeat_n(50, 200)) {
            keys.next(Some(day(time)));
        }
        assert_eq!(keys.current(), Some(day(101)));
    }
}
