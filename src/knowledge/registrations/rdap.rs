//! Answers of RDAP servers (RFC 9083): one object on each line, one object, or a list of them.
//!
//! What counts are the events `registration` and `reregistration`; `last update of RDAP database` is the day of the data.
//! Names may be in upper case, dates without a zone or with a fraction, and registries of countries often say nothing.

use std::borrow::Cow;

use serde::Deserialize;

use super::Precision;
use super::list::Head;
use super::read::{Found, ListFormat, Reading, Row};
use super::when;

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
