//! Answers of RDAP servers (RFC 9083): one object on each line, one object, or a list of them.
//!
//! What counts are the events `registration` and `reregistration`; `last update of RDAP database` is the day of the data.
//! Names may be in upper case, dates without a zone or with a fraction, and registries of countries often say nothing.

use std::borrow::Cow;

use serde::Deserialize;

use super::list::Head;
use super::read::{Found, ListFormat, Reading, Row};
use super::when;
use super::{Precision, Registered};

pub(super) const FORMAT: ListFormat = ListFormat {
    name: "RDAP",
    recognise: |head: &Head<'_>| {
        let is_json = head.rows.first().is_some_and(|row| row.starts_with(['{', '[']));
        let found = is_json && head.rows.iter().any(|row| row.contains("\"ldhName\""));
        Ok(found.then(|| Box::new(Rdap) as Box<dyn Reading>))
    },
};

struct Rdap;

/// What an answer says of one domain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Answer<'a> {
    /// The domain, as the server spells it.
    pub(super) name: Cow<'a, str>,
    /// When it was registered, each time.
    pub(super) registered: Vec<(i32, Precision)>,
    /// The day of the data.
    pub(super) as_of: Option<i32>,
}

/// Events of one answer that are looked at.
const MAX_EVENTS: usize = 64;

#[derive(Deserialize)]
struct Object<'a> {
    #[serde(borrow, rename = "ldhName")]
    ldh_name: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "unicodeName")]
    unicode_name: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "objectClassName")]
    class: Option<Cow<'a, str>>,
    #[serde(borrow)]
    events: Option<Vec<Option<Event<'a>>>>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "eventAction")]
    action: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "eventDate")]
    date: Option<Cow<'a, str>>,
}

impl<'a> Answer<'a> {
    /// Reads one object.
    ///
    /// # Errors
    /// It is no JSON, no domain, or has a date of registration that is none.
    pub(super) fn parse(text: &'a str) -> Result<Self, &'static str> {
        let object: Object<'a> = serde_json::from_str(text).map_err(|_| "not an RDAP object")?;
        if object.class.is_some_and(|class| !class.eq_ignore_ascii_case("domain")) {
            return Err("an RDAP object, but not of a domain");
        }
        let name = object.ldh_name.or(object.unicode_name).ok_or("an RDAP object without a name")?;
        let mut answer = Self { name, registered: Vec::new(), as_of: None };
        for event in object.events.iter().flatten().flatten().take(MAX_EVENTS) {
            let (Some(action), Some(date)) = (event.action.as_deref(), event.date.as_deref()) else { continue };
            match action.trim() {
                "registration" | "reregistration" => {
                    answer.registered.push(when::parse(date).ok_or("the date of registration is not one")?);
                }
                "last update of RDAP database" => answer.as_of = when::parse_day(date),
                _ => {}
            }
        }
        Ok(answer)
    }
}

/// What an answer to the question for one domain says of it, on the day on which it was asked; nothing where the registry
/// does not tell.
///
/// # Errors
/// It is no answer to that question, or says what cannot be.
pub(crate) fn registered(text: &str, asked: &str, today: i32) -> Result<Option<Registered>, &'static str> {
    let answer = Answer::parse(text)?;
    let name = answer.name.trim_end_matches('.');
    let ascii = if name.is_ascii() { None } else { idna::domain_to_ascii(name).ok() };
    if !ascii.as_deref().unwrap_or(name).eq_ignore_ascii_case(asked) {
        return Err("the answer is for another domain");
    }
    // A registry's day may have begun before that of the wall clock.
    if answer.registered.iter().any(|(day, _)| *day > today.saturating_add(1)) {
        return Err("the registration is in the future");
    }
    let latest = answer.registered.into_iter().max();
    Ok(latest.map(|(day, precision)| {
        // Data of a day to come is of today, and nobody knows of a registration before it happens.
        Registered { day, precision, as_of: answer.as_of.map_or(today, |as_of| as_of.min(today)).max(day) }
    }))
}

impl Reading for Rdap {
    fn read<'a>(&self, line: &'a str, take: &mut dyn FnMut(Row<'a>)) -> Result<Found, &'static str> {
        let answer = Answer::parse(line)?;
        if answer.registered.is_empty() {
            return Ok(Found::WithoutDate);
        }
        for (day, precision) in answer.registered {
            take(Row { name: answer.name.clone(), day, precision, as_of: answer.as_of, source: None });
        }
        Ok(Found::Row)
    }

    fn is_json(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_in_the_spellings_of_registries() {
        let text = r#"{"objectClassName":"domain","handle":"2336799_DOMAIN_COM-VRSN","ldhName":"EXAMPLE.COM","events":[
            {"eventAction":"registration","eventDate":"1995-08-14T04:00:00"},
            {"eventAction":"expiration","eventDate":"2030-08-13T04:00:00.0Z"},
            {"eventAction":"last changed"},{"eventActor":"x"},
            {"eventAction":"last update of RDAP database","eventDate":"2026-11-23T10:00:00+02:00"}]}"#;
        let answer = Answer::parse(text).unwrap();
        let day = |text| when::parse_day(text).unwrap();
        assert_eq!(answer.name, "EXAMPLE.COM");
        assert_eq!(answer.registered, [(day("1995-08-14"), Precision::Exact)]);
        assert_eq!(answer.as_of, Some(day("2026-11-23")));
    }

    #[test]
    fn an_answer_is_of_the_domain_that_was_asked_for_and_not_of_the_future() {
        let day = |text| when::parse_day(text).unwrap();
        let today = day("2026-11-30");
        let say = |name: &str, date: &str| {
            let events = format!(r#"[{{"eventAction":"registration","eventDate":"{date}"}}]"#);
            registered(&format!(r#"{{{name},"events":{events}}}"#), "evil.com", today)
                .map(|found| found.map(|it| it.day))
        };
        let named = r#""ldhName":"EVIL.com.""#;
        assert_eq!(say(named, "2026-11-20T08:00:00Z"), Ok(Some(day("2026-11-20"))));
        assert_eq!(say(named, "2026-12-01T08:00:00Z"), Ok(Some(today + 1)));
        for (name, date) in [
            (r#""ldhName":"good.com""#, "2026-11-20T08:00:00Z"),
            (r#""ldhName":"evil.com.evil.net""#, "2026-11-20T08:00:00Z"),
            (r#""handle":"evil.com""#, "2026-11-20T08:00:00Z"),
            (named, "2026-12-02T08:00:00Z"),
            (named, "9999-12-31T23:59:59Z"),
            (named, "soon"),
        ] {
            assert!(say(name, date).is_err(), "{name} {date}");
        }
        assert_eq!(registered(r#"{"ldhName":"evil.com"}"#, "evil.com", today), Ok(None));
        let punycode =
            r#"{"unicodeName":"bücher.com","events":[{"eventAction":"registration","eventDate":"2020-01-01"}]}"#;
        assert!(registered(punycode, "xn--bcher-kva.com", today).unwrap().is_some());
    }

    #[test]
    fn the_last_of_several_registrations_counts_and_its_data_are_never_of_tomorrow() {
        let day = |text| when::parse_day(text).unwrap();
        let text = r#"{"ldhName":"a.com","events":[{"eventAction":"registration","eventDate":"2001-02-03T00:00:01Z"},
            {"eventAction":"reregistration","eventDate":"2026-11-20T08:00:00Z"},
            {"eventAction":"last update of RDAP database","eventDate":"2040-01-01T00:00:01Z"}]}"#;
        let found = registered(text, "a.com", day("2026-11-30")).unwrap().unwrap();
        assert_eq!((found.day, found.as_of), (day("2026-11-20"), day("2026-11-30")));
    }

    #[test]
    fn what_does_not_say_is_neutral_and_what_lies_is_refused() {
        assert_eq!(Answer::parse(r#"{"ldhName":"a.de","events":[]}"#).unwrap().registered, []);
        assert_eq!(Answer::parse(r#"{"ldhName":"a.de"}"#).unwrap().registered, []);
        assert_eq!(Answer::parse(r#"{"ldhName":"a.de","events":null}"#).unwrap().registered, []);
        assert_eq!(Answer::parse(r#"{"ldhName":"a.de","events":[null,{"eventAction":null}]}"#).unwrap().registered, []);
        for text in [
            "",
            "[]",
            "{}",
            r#"{"objectClassName":"nameserver","ldhName":"ns.a.de"}"#,
            r#"{"ldhName":"a.com","events":[{"eventAction":"registration","eventDate":"0001-01-01T00:00:00Z"}]}"#,
            r#"{"ldhName":"a.com","events":[{"eventAction":"registration","eventDate":"soon"}]}"#,
        ] {
            assert!(Answer::parse(text).is_err(), "{text}");
        }
    }
}
