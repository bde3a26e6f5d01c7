//! When a registration was, as lists write it, and how exactly they know.

use super::Precision;
use crate::model::{EventTime, SECOND_NANOS};

/// The day before which nobody had registered a domain: 1985-01-01. Zero and other placeholders lie before it.
const FIRST_DAY: i32 = 5479;
/// The last day that an index can hold: 2149-06-06.
pub(super) const LAST_DAY: i32 = u16::MAX as i32;
const DATE: usize = "2026-11-20".len();
const COMPACT_DATE: usize = "20261120".len();
/// Since 1985 seconds have nine digits, and ten since 2001-09-09.
const SECONDS: std::ops::RangeInclusive<usize> = "473385600".len()..="1763596800".len();
const MILLIS: std::ops::RangeInclusive<usize> = "473385600000".len()..="1763596800000".len();

/// A date, or the UTC day of a time: ISO 8601 with `T` or a blank, `20261120`, seconds or milliseconds since the epoch.
/// A time at midnight exactly is what a date becomes on its way through a database.
pub(super) fn parse(text: &str) -> Option<(i32, Precision)> {
    let text = text.trim().trim_end_matches("UTC").trim_end();
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let time = match (text.len(), is_number) {
        (DATE, false) => return in_range(EventTime::parse_date(text)?, Precision::Day),
        (COMPACT_DATE, true) => return in_range(compact_date(text)?, Precision::Day),
        (length, true) if SECONDS.contains(&length) => EventTime::parse_epoch(text),
        (length, true) if MILLIS.contains(&length) => EventTime::parse_millis(text),
        _ => EventTime::parse_iso8601(text),
    }?;
    const MIDNIGHT: i64 = 86_400 * SECOND_NANOS;
    let precision = if time.0.rem_euclid(MIDNIGHT) == 0 { Precision::Day } else { Precision::Exact };
    in_range(time.day(), precision)
}

/// A day as people write it in a name or a comment.
pub(super) fn parse_day(text: &str) -> Option<i32> {
    parse(text).map(|(day, _)| day)
}

fn compact_date(text: &str) -> Option<i32> {
    let (year, rest) = text.split_at_checked(4)?;
    let (month, day) = rest.split_at_checked(2)?;
    EventTime::parse_date(&format!("{year}-{month}-{day}"))
}

fn in_range(day: i32, precision: Precision) -> Option<(i32, Precision)> {
    (FIRST_DAY..=LAST_DAY).contains(&day).then_some((day, precision))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_day_is_read_in_every_spelling() {
        let day = EventTime::parse_date("2026-11-20").unwrap();
        for text in ["2026-11-20", "20261120", "2026-11-20T00:00:00Z", "2026-11-20 00:00:00 UTC"] {
            assert_eq!(parse(text), Some((day, Precision::Day)), "{text}");
        }
        for text in [
            "2026-11-20T07:44:36Z",
            "2026-11-20 07:44:36",
            "2026-11-20T07:44:36.125Z",
            "2026-11-19T23:30:00-05:00",
            "1795160676",
            "1795160676000",
        ] {
            assert_eq!(parse(text), Some((day, Precision::Exact)), "{text}");
        }
    }

    #[test]
    fn times_before_the_tenth_digit_are_read() {
        for (text, day, precision) in [
            ("999999999", "2001-09-09", Precision::Exact),
            ("1000000000", "2001-09-09", Precision::Exact),
            ("808358400", "1995-08-14", Precision::Day),
            ("808358401000", "1995-08-14", Precision::Exact),
            ("473385600", "1985-01-01", Precision::Day),
        ] {
            assert_eq!(parse(text), Some((EventTime::parse_date(day).unwrap(), precision)), "{text}");
        }
        assert_eq!(parse("473385599"), None);
    }

    #[test]
    fn placeholders_are_no_days() {
        for text in ["", "-", "0", "1970-01-01", "0001-01-01T00:00:00Z", "9999-12-31", "20/11/2026", "2026", "soon"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse_day("1985-01-01"), Some(FIRST_DAY));
        assert_eq!(parse_day("2149-06-06"), Some(LAST_DAY));
    }
}
