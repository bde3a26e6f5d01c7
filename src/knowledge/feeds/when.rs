//! Dates of rows.

use crate::model::EventTime;

/// Reads a date or time as feeds write them: ISO 8601 with `T` or a blank, a date alone, `12/22/2023 6:58` as
/// spreadsheets in the US make of it, seconds or milliseconds since the epoch. Without a zone it is UTC.
pub(super) fn parse(text: &str) -> Option<EventTime> {
    let text = text.trim().trim_end_matches("UTC").trim_end();
    if text.len() < MIN_LENGTH || text.len() > MAX_LENGTH || !text.is_ascii() {
        return None;
    }
    if text.contains('/') {
        return parse_american(text);
    }
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return match text.len() {
            13 if !text.contains('.') => EventTime::parse_millis(text),
            10.. => EventTime::parse_epoch(text),
            _ => None,
        };
    }
    match text.len() {
        DATE => EventTime::parse_date(text).map(|day| EventTime::from_seconds(i64::from(day) * 86_400)),
        _ => EventTime::parse_iso8601(text),
    }
}

const DATE: usize = "2026-11-20".len();
const MIN_LENGTH: usize = "1/1/2023".len();
const MAX_LENGTH: usize = 40;

fn parse_american(text: &str) -> Option<EventTime> {
    let (date, time) = text.split_once(' ').unwrap_or((text, "0:00"));
    let mut date = date.split('/').map(|part| part.parse::<u32>().ok());
    let (month, day, year) = (date.next()??, date.next()??, date.next()??);
    let mut time = time.split(':').map(|part| part.parse::<u32>().ok());
    let (hour, minute) = (time.next()??, time.next()??);
    let second = time.next().flatten().unwrap_or(0);
    EventTime::parse_iso8601(&format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"))
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
        for text in ["", "-", "22/12/2023 6:58", "yesterday", "2023", "12/22", "99999999/1/1"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
