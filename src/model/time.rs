//! Event time, in every spelling that the sensors write.

use std::cell::Cell;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::ShortText;

/// Nanoseconds in a second.
pub const SECOND_NANOS: i64 = 1_000_000_000;
/// Nanoseconds in an hour.
pub const HOUR_NANOS: i64 = 3600 * SECOND_NANOS;
/// Nanoseconds in a day.
pub const DAY_NANOS: i64 = 24 * HOUR_NANOS;

/// A point in event time: nanoseconds since 1970-01-01T00:00:00Z, from 1677 to 2262; what lies beyond is clamped.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct EventTime(pub i64);

/// Reads the times of lines that follow one another: most are in the minute of the one before.
#[derive(Debug, Default)]
pub struct EventTimes {
    /// `2018-03-24T17:15`, and when it began.
    minute: Option<([u8; 16], i64)>,
}

/// A bound of a certificate's validity: seconds since 1970-01-01T00:00:00Z, of any year.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct ValidityTime(pub i64);

/// A sensor's time zone, for validity times written by Zeek before 8.0 in the sensor's own zone.
#[derive(Clone, PartialEq, Debug)]
pub struct TimeZone {
    name: Box<str>,
    zone: jiff::tz::TimeZone,
}

impl EventTime {
    /// Reads seconds since the epoch as decimal text, with a fraction or an exponent, exactly and not through a float.
    ///
    /// Zeek up to 8.1 writes times after 2038-01-19 as `2.385616957e+09`.
    pub fn parse_epoch(text: &str) -> Option<Self> {
        decimal_nanos(text.as_bytes()).map(Self::clamped)
    }

    /// Reads milliseconds since the epoch; values above `i64::MAX` are negative times that old Zeek wrapped.
    pub fn parse_millis(text: &str) -> Option<Self> {
        millis_nanos(text).map(Self::clamped)
    }

    /// Reads ISO 8601 with a zone, `2018-03-24T17:15:20.624556Z` or Suricata's `…+0000`; without one it is UTC.
    ///
    /// Zeek's placeholder for a time that it could not format, `2000-01-01T00:00:00.000000` without a zone, is refused.
    pub fn parse_iso8601(text: &str) -> Option<Self> {
        iso8601_nanos(text).map(Self::clamped)
    }

    /// The given second since the epoch.
    pub fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(SECOND_NANOS))
    }

    /// Whole seconds since the epoch, rounded down.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(SECOND_NANOS)
    }

    /// Days since the epoch, rounded down: the grain of history.
    pub fn day(self) -> i32 {
        self.0.div_euclid(DAY_NANOS) as i32
    }

    /// The beginning of a day, clamped.
    pub fn from_day(day: i32) -> Self {
        Self(i64::from(day).saturating_mul(DAY_NANOS))
    }

    /// This time plus a number of nanoseconds, clamped.
    pub fn plus(self, nanos: i64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// Nanoseconds from `earlier` to this time; negative when `earlier` is later.
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The date of a day number, as `2026-11-20`.
    pub fn date_text(day: i32) -> String {
        let (year, month, day) = civil_from_days(i64::from(day));
        format!("{year:04}-{month:02}-{day:02}")
    }

    /// Reads a date, `2026-11-20`, as a day number; anything behind the date must be a time.
    pub fn parse_date(text: &str) -> Option<i32> {
        let bytes = text.as_bytes();
        let [year, month, day] = [digits(bytes, 0, 4)?, digits(bytes, 5, 2)?, digits(bytes, 8, 2)?];
        let shape = bytes[4] == b'-' && bytes[7] == b'-' && matches!(bytes.get(10), None | Some(b'T' | b' '));
        let in_range = (1..=12).contains(&month) && (1..=days_in_month(year, month)).contains(&day);
        (shape && in_range).then(|| days_from_civil(year, month, day) as i32)
    }

    /// RFC 3339 in UTC with `Z`; a fraction only where there is one, of three, six or nine digits.
    pub fn text(self) -> ShortText {
        let nanos = self.0.rem_euclid(SECOND_NANOS) as u32;
        let digits = match nanos {
            0 => 0,
            nanos if nanos % 1_000_000 == 0 => 3,
            nanos if nanos % 1_000 == 0 => 6,
            _ => 9,
        };
        date_time(self.seconds(), nanos, digits)
    }

    fn clamped(nanos: i128) -> Self {
        Self(nanos.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64)
    }
}

impl EventTimes {
    /// The same as [`EventTime::parse_iso8601`] or [`EventTime::parse_epoch`]; `None` for what is seldom written, which is
    /// left to these.
    pub fn parse_usual(&self, text: &str) -> Option<EventTime> {
        let text = text.as_bytes();
        if let Some(nanos) = usual_decimal_nanos(text) {
            return Some(EventTime::clamped(nanos.into()));
        }
        let ((minute, start), (head, rest)) = (self.minute?, text.split_first_chunk()?);
        if *head == minute {
            let micros = match *rest {
                [b':', s @ b'0'..=b'5', t, b'.', a, b, c, d, e, f, b'Z'] => eight_digits([s, t, a, b, c, d, e, f])?,
                [b':', s @ b'0'..=b'5', t, b'.', a, b, c, d, e, f, b'+', b'0', b'0', b'0', b'0'] => {
                    eight_digits([s, t, a, b, c, d, e, f])?
                }
                _ => return None,
            };
            return Some(EventTime(start.checked_add(1000 * micros as i64)?));
        }
        None
    }

    /// Remembers the minute of a time as ISO 8601, with the `T` that tells such times from others.
    pub fn remember(&mut self, text: &str) {
        let Some(minute) = text.as_bytes().first_chunk::<16>().filter(|minute| minute[10] == b'T') else { return };
        let whole = [minute.as_slice(), b":00Z"].concat();
        let start = std::str::from_utf8(&whole).ok().and_then(EventTime::parse_iso8601);
        // What was clamped is no beginning.
        let start = start.filter(|start| start.0 != i64::MIN && start.0 != i64::MAX);
        self.minute = start.map(|start| (*minute, start.0));
    }
}

impl fmt::Display for EventTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text().as_str())
    }
}

impl ValidityTime {
    /// The last second of the year 9999, which is as far as the output goes.
    const MAX_PRINTED: i64 = 253_402_300_799;
    /// The first second of the year 0, likewise.
    const MIN_PRINTED: i64 = -62_167_219_200;

    /// Reads seconds since the epoch as decimal text; see [`EventTime::parse_epoch`].
    pub fn parse_epoch(text: &str) -> Option<Self> {
        decimal_nanos(text.as_bytes()).map(Self::from_nanos)
    }

    /// Reads milliseconds since the epoch; see [`EventTime::parse_millis`].
    pub fn parse_millis(text: &str) -> Option<Self> {
        millis_nanos(text).map(Self::from_nanos)
    }

    /// Reads ISO 8601; see [`EventTime::parse_iso8601`]. Years after 9999 have five digits.
    pub fn parse_iso8601(text: &str) -> Option<Self> {
        // The calendar repeats every 400 years.
        const YEARS: i64 = 10_000;
        const DAYS: i64 = YEARS / 400 * 146_097;
        match text.as_bytes() {
            [b'1', b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', b'-', ..] => {
                let nanos = iso8601_nanos(&text[1..])?;
                Some(Self(Self::from_nanos(nanos).0.saturating_add(DAYS * 86_400)))
            }
            _ => iso8601_nanos(text).map(Self::from_nanos),
        }
    }

    /// Whether the text of this time is not the time itself, since it lies beyond the years 0 to 9999.
    pub fn is_clamped(self) -> bool {
        !(Self::MIN_PRINTED..=Self::MAX_PRINTED).contains(&self.0)
    }

    /// Seconds since the epoch of the time that its text says.
    pub fn printed_seconds(self) -> i64 {
        self.0.clamp(Self::MIN_PRINTED, Self::MAX_PRINTED)
    }

    /// RFC 3339 in UTC; beyond the years 0 to 9999 the nearest second of them.
    pub fn text(self) -> ShortText {
        date_time(self.printed_seconds(), 0, 0)
    }

    /// The time a sensor meant that took the fields of a UTC time for local time of `zone` (Zeek before 8.0).
    pub fn undo_local(self, zone: &TimeZone) -> Self {
        // Beyond what the calendar library knows, the zone's last rule holds.
        let known = self.0.clamp(jiff::Timestamp::MIN.as_second() + 1, jiff::Timestamp::MAX.as_second() - 1);
        let Ok(timestamp) = jiff::Timestamp::from_second(known) else { return self };
        Self(self.0.saturating_add(i64::from(zone.zone.to_offset(timestamp).seconds())))
    }

    fn from_nanos(nanos: i128) -> Self {
        let seconds = nanos.div_euclid(i128::from(SECOND_NANOS));
        Self(seconds.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64)
    }
}

impl fmt::Display for ValidityTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text().as_str())
    }
}

impl TimeZone {
    /// A zone by its IANA name, such as `America/New_York`.
    pub fn named(name: &str) -> Result<Self, String> {
        let zone = jiff::tz::TimeZone::get(name).map_err(|error| error.to_string())?;
        Ok(Self { name: name.into(), zone })
    }

    /// The name it was asked for by.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// ISO 8601 text in nanoseconds since the epoch.
fn iso8601_nanos(text: &str) -> Option<i128> {
    const ZEEK_PLACEHOLDER: &str = "2000-01-01T00:00:00.000000";
    if text == ZEEK_PLACEHOLDER {
        return None;
    }
    let bytes = text.as_bytes();
    let [year, month, day] = [digits(bytes, 0, 4)?, digits(bytes, 5, 2)?, digits(bytes, 8, 2)?];
    let [hour, minute, second] = [digits(bytes, 11, 2)?, digits(bytes, 14, 2)?, digits(bytes, 17, 2)?];
    let separators = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if separators.iter().any(|&(at, byte)| bytes[at] != byte) || !matches!(bytes[10], b'T' | b't' | b' ') {
        return None;
    }
    let in_range = (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour <= 23
        && minute <= 59
        && second <= 60;
    if !in_range {
        return None;
    }
    let mut rest = &bytes[19..];
    let mut nanos = 0;
    if rest.first() == Some(&b'.') {
        let length = rest[1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if length == 0 {
            return None;
        }
        for index in 0..9 {
            let digit = if index < length { rest[1 + index] - b'0' } else { 0 };
            nanos = nanos * 10 + i64::from(digit);
        }
        rest = &rest[1 + length..];
    }
    let offset = zone_offset_seconds(rest)?;
    let days = days_from_civil(year, month, day);
    // A leap second is the last moment of its minute.
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second.min(59) - offset;
    Some(i128::from(seconds) * i128::from(SECOND_NANOS) + i128::from(nanos))
}

/// Milliseconds since the epoch in nanoseconds; what exceeds `i64::MAX` is a negative number that was wrapped.
fn millis_nanos(text: &str) -> Option<i128> {
    let millis = match text.parse::<i128>().ok()? {
        wrapped if wrapped > i128::from(i64::MAX) && wrapped <= i128::from(u64::MAX) => wrapped - (1 << 64),
        millis => millis,
    };
    millis.checked_mul(1_000_000)
}

/// Reads decimal seconds, with a fraction or an exponent, as nanoseconds; digits beyond those are cut.
fn decimal_nanos(text: &[u8]) -> Option<i128> {
    plain_decimal_nanos(text).map(i128::from).or_else(|| any_decimal_nanos(text))
}

fn any_decimal_nanos(text: &[u8]) -> Option<i128> {
    const SCALE: i32 = 9;
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let (mantissa, exponent) = match text.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (&text[..at], std::str::from_utf8(&text[at + 1..]).ok()?.parse::<i32>().ok()?),
        None => (text, 0),
    };
    if exponent.unsigned_abs() > 64 {
        return None;
    }
    let mut value: i128 = 0;
    let mut power = exponent + SCALE;
    let mut seen_digit = false;
    let mut seen_point = false;
    for &byte in mantissa {
        match byte {
            b'0'..=b'9' => {
                seen_digit = true;
                // Beyond 38 digits the value is clamped anyway; what matters is not to overflow on the way.
                if value < i128::MAX / 1_000 {
                    value = value * 10 + i128::from(byte - b'0');
                    power -= i32::from(seen_point);
                } else {
                    power += i32::from(!seen_point);
                }
            }
            b'.' if !seen_point => seen_point = true,
            _ => return None,
        }
    }
    if !seen_digit {
        return None;
    }
    while power > 0 && value != 0 && value < i128::MAX / 10 {
        value *= 10;
        power -= 1;
    }
    while power < 0 && value != 0 {
        value /= 10;
        power += 1;
    }
    Some(if negative { -value } else { value })
}

/// The same for what most logs write: a few digits, and perhaps a point and some more; `None` for anything else.
fn plain_decimal_nanos(text: &[u8]) -> Option<u64> {
    if let Some(nanos) = usual_decimal_nanos(text) {
        return Some(nanos);
    }
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0, |value, byte| byte.is_ascii_digit().then(|| value * 10 + u64::from(byte - b'0')))
    };
    let point = text.iter().take(11).position(|&byte| byte == b'.');
    let (whole, fraction) = text.split_at(point.unwrap_or(text.len()));
    let fraction = fraction.strip_prefix(b".").unwrap_or(fraction);
    // Ten digits before the point and nine behind it fit.
    if whole.is_empty() || whole.len() > 10 || fraction.len() > 9 {
        return None;
    }
    let nanos = number(fraction)? * 10_u64.pow(9 - fraction.len() as u32);
    Some(number(whole)? * 1_000_000_000 + nanos)
}

/// The same for what Zeek writes until the year 2286: ten digits, a point and six more.
fn usual_decimal_nanos(text: &[u8]) -> Option<u64> {
    let &[a, b, c, d, e, f, g, h, i, j, b'.', k, l, m, n, o, p] = text else { return None };
    let [high, low] = [[a, b, c, d, e, f, g, h], [i, j, k, l, m, n, o, p]].map(eight_digits);
    Some((high? * 100_000_000 + low?) * 1000)
}

/// The number that eight decimal digits are, worked out for all of them at once.
fn eight_digits(text: [u8; 8]) -> Option<u64> {
    const ZEROS: u64 = u64::from_le_bytes([b'0'; 8]);
    const HIGH: u64 = u64::from_le_bytes([0xf0; 8]);
    let text = u64::from_le_bytes(text);
    // Digits are `0x30` to `0x39`: the upper half of each says so, and also of each with six added, which carries into the
    // next byte only where there is something else.
    if text & HIGH != ZEROS || text.wrapping_add(u64::from_le_bytes([6; 8])) & HIGH != ZEROS {
        return None;
    }
    // The first digit is the lowest byte. Neighbours are joined: to four numbers of two digits, to two, to one.
    let digits = text ^ ZEROS;
    let pairs = (digits.wrapping_mul(1 + (10 << 8)) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(1 + (100 << 16)) >> 16) & 0x0000_ffff_0000_ffff;
    Some(fours.wrapping_mul(1 + (10_000 << 32)) >> 32)
}

/// A time of the years 0 to 9999 with nanoseconds, of which the first so many digits are written.
fn date_time(seconds: i64, fraction: u32, digits: usize) -> ShortText {
    thread_local! {
        /// The day that was written last and its text: most times are of the same day as the one before.
        static LAST: Cell<(i64, [u8; 10])> = const { Cell::new((0, *b"1970-01-01")) };
    }
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400) as u32);
    let mut text = [b'0'; ShortText::MAX];
    text[..20].copy_from_slice(b"0000-00-00T00:00:00.");
    let (last, date) = LAST.get();
    let date = if last == days { date } else { date_of(days) };
    LAST.set((days, date));
    text[..10].copy_from_slice(&date);
    put_pair(&mut text, 11, of_day / 3600);
    put_pair(&mut text, 14, of_day / 60 % 60);
    put_pair(&mut text, 17, of_day % 60);
    let mut end = 19;
    if digits > 0 {
        put_pair(&mut text, 20, fraction / 10_000_000);
        put_pair(&mut text, 22, fraction / 100_000 % 100);
        put_pair(&mut text, 24, fraction / 1000 % 100);
        put_pair(&mut text, 26, fraction / 10 % 100);
        text[28] = b'0' + (fraction % 10) as u8;
        end = 20 + digits.min(9);
    }
    text[end] = b'Z';
    ShortText::ascii(text, end + 1)
}

/// The date of a day of the years 0 to 9999.
fn date_of(days: i64) -> [u8; 10] {
    let (year, month, day) = civil_from_days(days);
    let mut text = *b"0000-00-00";
    put_pair(&mut text, 0, year as u32 / 100);
    put_pair(&mut text, 2, year as u32 % 100);
    put_pair(&mut text, 5, month as u32);
    put_pair(&mut text, 8, day as u32);
    text
}

/// The two decimal digits of every number below 100: a look at them is less than two divisions.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};

/// Writes the two digits of a number below 100. Where they stand is known where this is called.
#[inline]
fn put_pair<const N: usize>(text: &mut [u8; N], at: usize, number: u32) {
    let [tens, ones] = PAIRS.get(number as usize).copied().unwrap_or_default();
    text[at] = tens;
    text[at + 1] = ones;
}

fn digits(bytes: &[u8], at: usize, count: usize) -> Option<i64> {
    let text = bytes.get(at..at + count)?;
    text.iter().try_fold(0, |value, byte| byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0')))
}

/// Seconds east of UTC of `Z`, `+hhmm`, `+hh:mm`, `+hh` or nothing.
fn zone_offset_seconds(text: &[u8]) -> Option<i64> {
    let (sign, rest) = match text {
        [] | [b'Z' | b'z'] => return Some(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let minutes_at = match rest.len() {
        2 => return Some(sign * digits(rest, 0, 2)? * 3600),
        4 => 2,
        5 if rest[2] == b':' => 3,
        _ => return None,
    };
    Some(sign * (digits(rest, 0, 2)? * 3600 + digits(rest, minutes_at, 2)? * 60))
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a date in the proleptic Gregorian calendar (Hinnant's algorithm on 400-year eras).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    // Within an era it fits into 32 bits, whose divisions by constants are the cheapest.
    let day_of_era = days.rem_euclid(146_097) as u32;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (i64::from(year_of_era) + era * 400 + i64::from(month <= 2), i64::from(month), i64::from(day))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn epoch_text_is_read_exactly() {
        let cases = [
            ("1521911720.624556", 1_521_911_720_624_556_000),
            ("1575413156.0", 1_575_413_156_000_000_000),
            ("2.385616957e+09", 2_385_616_957_000_000_000),
            ("2.385642e+09", 2_385_642_000_000_000_000),
            ("-1.5", -1_500_000_000),
            ("0.000000", 0),
            ("1521911720.6245561234567", 1_521_911_720_624_556_123),
        ];
        for (text, nanos) in cases {
            assert_eq!(EventTime::parse_epoch(text), Some(EventTime(nanos)), "{text}");
        }
        for text in ["", "-", "XXXXXXXXXX.XXXXXX", "1.2.3", "1e999", "0x10", "nan", "1e", "e5"] {
            assert_eq!(EventTime::parse_epoch(text), None, "{text}");
        }
        assert_eq!(EventTime::parse_epoch("9e60"), Some(EventTime(i64::MAX)));
    }

    proptest! {
        #[test]
        fn eight_digits_are_a_number(text in "[0-9]{8}|[0-9/:@ -é]{8}") {
            if let Ok(bytes) = <[u8; 8]>::try_from(text.as_bytes()) {
                let is_number = bytes.iter().all(u8::is_ascii_digit);
                prop_assert_eq!(eight_digits(bytes), is_number.then(|| text.parse().unwrap()));
            }
        }

        #[test]
        fn a_byte_that_is_no_digit_is_found(at in 0usize..8, byte in any::<u8>()) {
            let mut bytes = *b"98765432";
            bytes[at] = byte;
            prop_assert_eq!(eight_digits(bytes).is_some(), byte.is_ascii_digit());
        }

        #[test]
        fn times_of_one_minute_are_those_of_any(
            first in "(2018-03-24|1677-09-21|2262-04-11|2018-13-24)[T ](17:15|00:12|23:47)(:[0-9]{2}([.][0-9]{6})?Z?)?",
            rest in ":[0-6][0-9:][.][0-9]{5,7}(Z|[+]0000|[+]0100|)",
        ) {
            let mut times = EventTimes::default();
            times.remember(&first);
            let same = first[..16].to_owned() + &rest;
            for text in [&same, &first] {
                if let Some(time) = times.parse_usual(text) {
                    prop_assert_eq!(EventTime::parse_iso8601(text), Some(time));
                }
            }
        }

        #[test]
        fn plain_decimals_are_read_as_any_others(text in "[0-9]{0,12}([.][0-9]{0,11})?[.ex-]?") {
            if let Some(nanos) = plain_decimal_nanos(text.as_bytes()) {
                prop_assert_eq!(any_decimal_nanos(text.as_bytes()), Some(i128::from(nanos)));
            }
        }
    }

    #[test]
    fn a_usual_time_is_read_once_its_minute_is_known() {
        let mut times = EventTimes::default();
        assert_eq!(times.parse_usual("2018-03-24T17:15:20.624556Z"), None);
        assert_eq!(times.parse_usual("1521911724.634765"), EventTime::parse_epoch("1521911724.634765"));
        assert_eq!(times.parse_usual("9999999999.999999"), Some(EventTime(i64::MAX)));
        times.remember("2018-03-24T17:15:20.624556Z");
        for text in ["2018-03-24T17:15:59.999999Z", "2018-03-24T17:15:00.000001+0000"] {
            assert!(times.parse_usual(text).is_some());
            assert_eq!(times.parse_usual(text), EventTime::parse_iso8601(text));
        }
        for text in ["2018-03-24T17:16:59.999999Z", "2018-03-24T17:15:60.000000Z", "2018-03-24T17:15:00Z"] {
            assert_eq!(times.parse_usual(text), None);
        }
    }

    #[test]
    fn the_largest_plain_decimal_fits() {
        assert_eq!(plain_decimal_nanos(b"9999999999.999999"), Some(9_999_999_999_999_999_000));
        assert_eq!(plain_decimal_nanos(b"9999999999.999999999"), Some(9_999_999_999_999_999_999));
        assert_eq!(EventTime::parse_epoch("9999999999.999999999"), Some(EventTime(i64::MAX)));
    }

    #[test]
    fn iso_text_of_zeek_and_suricata_is_read() {
        let expected = EventTime(1_521_911_720_624_556_000);
        for text in [
            "2018-03-24T17:15:20.624556Z",
            "2018-03-24T17:15:20.624556+0000",
            "2018-03-24T12:15:20.624556-0500",
            "2018-03-24T19:15:20.624556+02:00",
            "2018-03-24T17:15:20.624556",
        ] {
            assert_eq!(EventTime::parse_iso8601(text), Some(expected), "{text}");
        }
        for text in ["ts-error", "2000-01-01T00:00:00.000000", "2018-02-30T00:00:00Z", "2018-03-24T17:15:20.Z", ""] {
            assert_eq!(EventTime::parse_iso8601(text), None, "{text}");
        }
    }

    #[test]
    fn wrapped_milliseconds_are_negative_times() {
        assert_eq!(EventTime::parse_millis("18446744073709551615"), Some(EventTime(-1_000_000)));
        assert_eq!(EventTime::parse_millis("1521911720624"), Some(EventTime(1_521_911_720_624_000_000)));
    }

    #[test]
    fn a_validity_time_written_in_the_sensor_zone_is_mended() {
        let zone = TimeZone::named("America/Los_Angeles").unwrap();
        // The same certificate through Zeek 3.0 on a Pacific sensor and 6.2 on a UTC one.
        assert_eq!(ValidityTime(1_315_682_102).undo_local(&zone), ValidityTime(1_315_656_902));
        assert_eq!(ValidityTime(1_519_371_378).undo_local(&zone), ValidityTime(1_519_342_578));
    }

    #[test]
    fn validity_beyond_the_year_9999_is_clamped_and_says_so() {
        let last = ValidityTime::parse_iso8601("9999-12-31T23:59:59.000000Z").unwrap();
        assert!(!last.is_clamped());
        let beyond = ValidityTime::parse_iso8601("10000-01-01T07:59:59.000000Z").unwrap();
        assert!(beyond.is_clamped());
        assert_eq!(ValidityTime::parse_epoch("2.53402300E+11").unwrap().to_string(), "9999-12-31T23:46:40Z");
        assert_eq!(beyond.to_string(), last.to_string());
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(nanos in any::<i64>()) {
            let time = EventTime(nanos);
            prop_assert_eq!(EventTime::parse_iso8601(&time.to_string()), Some(time));
            prop_assert_eq!(EventTime::parse_date(&EventTime::date_text(time.day())), Some(time.day()));
        }

        #[test]
        fn dates_agree_with_the_calendar_library(seconds in -9_000_000_000i64..9_000_000_000) {
            let theirs = jiff::Timestamp::from_second(seconds).unwrap().to_string();
            prop_assert_eq!(EventTime::from_seconds(seconds).to_string(), theirs);
        }

        #[test]
        fn validity_agrees_with_the_calendar_library(seconds in ValidityTime::MIN_PRINTED..=ValidityTime::MAX_PRINTED) {
            let theirs = jiff::Timestamp::from_second(seconds).map(|time| time.to_string());
            prop_assert_eq!(ValidityTime(seconds).to_string(), theirs.unwrap());
        }

        #[test]
        fn a_fraction_has_three_digits_or_six_or_nine(
            seconds in -9_000_000_000i64..9_000_000_000,
            nanos in 1..1_000_000_000i64,
        ) {
            let whole = EventTime::from_seconds(seconds).to_string();
            let whole = whole.trim_end_matches('Z');
            for (unit, digits) in [(1_000_000, 3), (1000, 6), (1, 9)] {
                let fraction = nanos / unit;
                // What ends in three zeros has fewer digits.
                if fraction % 1000 != 0 {
                    let text = EventTime::from_seconds(seconds).plus(fraction * unit).to_string();
                    prop_assert_eq!(text, format!("{whole}.{fraction:0digits$}Z"));
                }
            }
        }

        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in ".{0,60}") {
            let _ = EventTime::parse_epoch(&text);
            let _ = EventTime::parse_iso8601(&text);
            let _ = EventTime::parse_millis(&text);
            let _ = EventTime::parse_date(&text);
        }
    }
}
