//! Dates of rows.

use crate::model::EventTime;

/// Reads a date or time as feeds write them: ISO 8601 with `T` or a blank, a date alone, `2023/12/22`, `22.12.2023`,
/// `Dec 22 2023`, `12/22/2023 6:58` as spreadsheets in the US make of it, seconds or milliseconds since the epoch. Without a
/// zone it is UTC.
pub(super) fn parse(text: &str) -> Option<EventTime> {
    let text = bare(text)?;
    if is_iso8601(text) {
        return match text.len() {
            DATE => EventTime::parse_date(text).map(|day| EventTime::from_seconds(i64::from(day) * 86_400)),
            _ => EventTime::parse_iso8601(text).or_else(|| without_seconds(text)),
        };
    }
    if text.bytes().filter(|byte| *byte == b'.').count() < 2
        && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
    {
        return match text.len() {
            13 if !text.contains('.') => EventTime::parse_millis(text),
            10.. => EventTime::parse_epoch(text),
            _ => None,
        };
    }
    let (time, date): (Vec<_>, Vec<_>) = text.split([' ', ',']).filter(|word| !word.is_empty()).partition(is_time);
    let (year, month, day) = civil(&date)?;
    let (hour, minute, second) = match time[..] {
        [] => (0, 0, 0),
        [time] => time_of_day(time)?,
        _ => return None,
    };
    EventTime::parse_iso8601(&format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"))
}

/// The same without a date whose day and month may be the other way round: when a row ends must not be guessed.
pub(super) fn parse_unambiguous(text: &str) -> Option<EventTime> {
    let date = bare(text)?.split(' ').next()?;
    let numbers: Vec<_> = date.split('/').map(|part| number(part, 2)).collect();
    match numbers[..] {
        [Some(month), Some(day), _] if day <= 12 && day != month => None,
        _ => parse(text),
    }
}

const DATE: usize = "2026-11-20".len();
const MIN_LENGTH: usize = "1/1/2023".len();
const MAX_LENGTH: usize = 40;
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// A text that may be a time, without a zone that is UTC.
fn bare(text: &str) -> Option<&str> {
    let text = text.trim();
    let text = text.strip_suffix("UTC").or_else(|| text.strip_suffix("GMT")).unwrap_or(text).trim_end();
    ((MIN_LENGTH..=MAX_LENGTH).contains(&text.len()) && text.is_ascii()).then_some(text)
}

fn is_iso8601(text: &str) -> bool {
    let year_and_dash = text.as_bytes().first_chunk::<5>();
    year_and_dash.is_some_and(|[year @ .., dash]| year.iter().all(u8::is_ascii_digit) && *dash == b'-')
}

/// `2023-12-22 06:58`, as spreadsheets and forms write it.
fn without_seconds(text: &str) -> Option<EventTime> {
    let (date, time) = text.split_once([' ', 'T'])?;
    let (hour, minute) = time.strip_suffix('Z').unwrap_or(time).split_once(':')?;
    let (hour, minute) = (number(hour, 2)?, number(minute, 2)?);
    EventTime::parse_iso8601(&format!("{date}T{hour:02}:{minute:02}:00Z"))
}

fn is_time(word: &&str) -> bool {
    word.contains(':')
}

/// Year, month and day of a date in one word or in three.
fn civil(words: &[&str]) -> Option<(u32, u32, u32)> {
    let (separator, parts): (char, Vec<&str>) = match *words {
        [date] => {
            let separator = ['/', '.', '-'].into_iter().find(|separator| date.contains(*separator))?;
            (separator, date.split(separator).collect())
        }
        _ => (' ', words.to_vec()),
    };
    let [first, second, third] = parts[..] else { return None };
    if let Some(month) = month(first) {
        return Some((year(third)?, month, number(second, 2)?));
    }
    if let Some(month) = month(second) {
        return Some((year(third)?, month, number(first, 2)?));
    }
    match separator {
        '/' if first.len() == 4 => Some((year(first)?, number(second, 2)?, number(third, 2)?)),
        '/' => Some((year(third)?, number(first, 2)?, number(second, 2)?)),
        '.' => Some((year(third)?, number(second, 2)?, number(first, 2)?)),
        _ => None,
    }
}

fn time_of_day(text: &str) -> Option<(u32, u32, u32)> {
    let parts: Vec<_> = text.split(':').collect();
    match parts[..] {
        [hour, minute] => Some((number(hour, 2)?, number(minute, 2)?, 0)),
        [hour, minute, second] => {
            let whole = second.split_once('.').map_or(second, |(whole, _)| whole);
            Some((number(hour, 2)?, number(minute, 2)?, number(whole, 2)?))
        }
        _ => None,
    }
}

/// A month in English, or its first letters.
fn month(text: &str) -> Option<u32> {
    let text = text.to_ascii_lowercase();
    let is_it = |(_, month): &(u32, &&str)| text.len() >= 3 && month.starts_with(&text);
    (1..).zip(&MONTHS).find(is_it).map(|(number, _)| number)
}

fn year(text: &str) -> Option<u32> {
    number(text, 4).filter(|_| text.len() == 4)
}

fn number(text: &str, most_digits: usize) -> Option<u32> {
    let is_one = text.len() <= most_digits && text.bytes().all(|byte| byte.is_ascii_digit());
    is_one.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_time_is_read_in_every_spelling() {
        let expected = EventTime::parse_iso8601("2023-12-22T06:58:00Z");
        for text in ["2023-12-22 06:58:00", "12/22/2023 6:58", "2023-12-22T06:58:00Z", "1703228280", "1703228280000"] {
            assert_eq!(parse(text), expected, "{text}");
        }
        assert_eq!(parse("2023-12-22 06:58:00 UTC"), expected);
        assert_eq!(parse("2023-12-22"), parse("12/22/2023"));
        for text in [
            "2023/12/22",
            "2023/12/22 00:00:00",
            "22.12.2023",
            "Dec 22 2023",
            "22 Dec 2023",
            "December 22, 2023",
            "22-DEC-2023",
            "Dec 22 00:00:00 2023 GMT",
        ] {
            assert_eq!(parse(text), parse("2023-12-22"), "{text}");
            assert_eq!(parse_unambiguous(text), parse("2023-12-22"), "{text}");
        }
        for text in ["2023-12-22 06:58", "2023-12-22 6:58", "2023-12-22T06:58", "2023-12-22T06:58Z", "22.12.2023 6:58"]
        {
            assert_eq!(parse(text), expected, "{text}");
        }
        assert_eq!(parse("Dec 22 06:58:00 2023 GMT"), expected);
        for text in [
            "",
            "-",
            "22/12/2023 6:58",
            "yesterday",
            "2023",
            "12/22",
            "99999999/1/1",
            "12/22/23 6:58",
            "31.02.2023",
            "12.22.2023",
            "22.12.2023.1",
            "2023-12-22 6",
            "2023-12-22 24:61",
            "2023-12-22T06:58:xx",
            "De 22 2023",
            "Dec 22",
            "Dec 22 2023 6:58 7:58",
            "Dec 22 2023 6:58 PM",
            "192.0.2.1",
            "+1/+1/2023",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_date_that_may_be_of_two_days_is_none_where_it_decides() {
        for text in ["12/22/2023 6:58", "5/5/2023", "2023-12-22 06:58:00", "2023/01/02", "1703228280"] {
            assert!(parse_unambiguous(text).is_some(), "{text}");
            assert_eq!(parse_unambiguous(text), parse(text), "{text}");
        }
        for text in ["6/7/2023", "06/07/2023 10:00", "12/11/2023"] {
            assert!(parse(text).is_some(), "{text}");
            assert_eq!(parse_unambiguous(text), None, "{text}");
        }
    }
}
