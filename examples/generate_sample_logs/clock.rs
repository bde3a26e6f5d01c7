//! Time as the sensors write it: one instant in microseconds, five spellings. No wall clock anywhere.

use anyhow::{Context, Result, ensure};

/// Microseconds since 1970-01-01T00:00:00Z. Reaches year 9999, which some certificates claim to live to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Time(i64);

/// A day, in seconds.
pub(crate) const DAY: i64 = 86_400;

impl Time {
    /// Reads `2026-03-02 08:15:00` or `2026-03-02` (midnight), always UTC.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut numbers = text.split(['-', ' ', ':']).map(|part| part.parse::<i64>());
        let mut next = |default: Option<i64>| match numbers.next() {
            Some(number) => number.with_context(|| format!("not a time: {text}")),
            None => default.with_context(|| format!("a time without a date: {text}")),
        };
        let (year, month, day) = (next(None)?, next(None)?, next(None)?);
        let (hour, minute, second) = (next(Some(0))?, next(Some(0))?, next(Some(0))?);
        ensure!((1..=12).contains(&month) && (1..=31).contains(&day), "not a date: {text}");
        let seconds = days_from_civil(year, month, day) * DAY + hour * 3600 + minute * 60 + second;
        Ok(Self(seconds * 1_000_000))
    }

    /// This instant and so many microseconds.
    pub(crate) fn plus_micros(self, micros: i64) -> Self {
        Self(self.0 + micros)
    }

    /// This instant and so many seconds.
    pub(crate) fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0 + seconds * 1_000_000)
    }

    /// Whole seconds since 1970.
    pub(crate) fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Zeek TSV. Up to 8.1 Zeek writes what lies after 2038-01-19 with an exponent, and so does this.
    pub(crate) fn zeek(self) -> String {
        let (seconds, micros) = (self.seconds(), self.0.rem_euclid(1_000_000));
        if seconds <= i64::from(i32::MAX) {
            return format!("{seconds}.{micros:06}");
        }
        let shortest = format!("{seconds:e}");
        match shortest.split_once('e') {
            Some((digits, exponent)) => format!("{digits}e+{exponent:0>2}"),
            None => shortest,
        }
    }

    /// Zeek JSON with `JSON::TS_ISO8601`.
    pub(crate) fn iso(self) -> String {
        format!("{}.{:06}Z", self.validity(), self.0.rem_euclid(1_000_000))
    }

    /// The `timestamp` of an EVE record: an offset without a colon.
    pub(crate) fn eve(self) -> String {
        format!("{}.{:06}+0000", self.validity(), self.0.rem_euclid(1_000_000))
    }

    /// `notbefore` and `notafter` of EVE: no zone, no fraction.
    pub(crate) fn validity(self) -> String {
        let ((year, month, day), clock) = self.civil();
        format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}", clock / 3600, clock / 60 % 60, clock % 60)
    }

    /// `#open` and `#close` of a Zeek TSV file.
    pub(crate) fn zeek_header(self) -> String {
        self.validity().replace(['T', ':'], "-")
    }

    /// The day, as in `2026-03-02`.
    pub(crate) fn date(self) -> String {
        let ((year, month, day), _) = self.civil();
        format!("{year:04}-{month:02}-{day:02}")
    }

    /// Year, month, day, and the second within the day.
    pub(crate) fn civil(self) -> ((i64, i64, i64), i64) {
        let seconds = self.seconds();
        (civil_from_days(seconds.div_euclid(DAY)), seconds.rem_euclid(DAY))
    }
}

/// Days since 1970-01-01 of a date of the Gregorian calendar; years begin in March, so leap days come last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, in_era) = (year.div_euclid(400), year.rem_euclid(400));
    let in_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719_468
}

/// The date that lies so many days after 1970-01-01; the way back of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, in_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (in_era - in_era / 1460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year + year / 4 - year / 100);
    let month = (5 * in_year + 2) / 153;
    let day = in_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}
