//! Suricata's datasets as JSON (since 8.0): objects, one on a line or in one list, of which one value is compared. Which
//! key holds it is said in the rule only, so the first value that can be looked up is taken; a host or a URL only where
//! there is nothing else, since it may be who met the rest or where that is reported.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::document::{Loose, Shape, for_each};
use super::format::{DocumentFormat, Head, LineFormat, Lines};
use super::indicator::{self, Reading};
use super::rows::Rows;
use super::suricata_dataset;

pub(super) const LINES: LineFormat = LineFormat {
    name: "Suricata dataset, JSON in lines",
    says_so: true,
    recognise: |head: &Head<'_>| {
        let is_row = |line: &str| line.starts_with('{') && Shape::of(line).is_ok_and(|shape| has_value_key(&shape));
        head.most_rows(is_row).then(|| Box::new(JsonLines) as Box<dyn Lines>)
    },
};

pub(super) const DOCUMENT: DocumentFormat = DocumentFormat {
    name: "Suricata dataset, JSON",
    recognise: |shape: &Shape| shape.is_list && has_value_key(shape),
    read: |text: &str, rows: &mut Rows| for_each(text, |number, object| read_object(number, object.get(), rows)),
};

/// Keys that may describe what stands under another one, the less likely first.
const DESCRIBING: [&str; 3] = ["hostname", "host", "url"];
/// Keys under which values stand.
const VALUES: [&str; 14] = [
    "domain",
    "sni",
    "hostname",
    "host",
    "fingerprint",
    "sha1",
    "sha256",
    "serial",
    "ip",
    "dest_ip",
    "indicator",
    "ioc",
    "value",
    "url",
];
/// Keys that say what it is.
const LABELS: [&str; 6] = ["label", "malware", "threat", "description", "family", "comment"];

struct JsonLines;

/// One object.
struct Object<'a> {
    number: u32,
    rows: &'a mut Rows,
}

impl Lines for JsonLines {
    fn read(&self, number: u32, line: &str, rows: &mut Rows) {
        read_object(number, line, rows);
    }
}

fn read_object(number: u32, text: &str, rows: &mut Rows) {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let object = Object { number, rows: &mut *rows };
    if object.deserialize(&mut deserializer).is_err() {
        rows.bad(number, "it is no JSON object");
    }
}

fn has_value_key(shape: &Shape) -> bool {
    // Of MISP and of STIX.
    let is_other = ["Event", "to_ids", "spec_version"].iter().any(|key| shape.has(key));
    !is_other && VALUES.iter().any(|key| shape.has(key))
}

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (mut found, mut label) = (None::<(usize, Cow<'_, str>, bool)>, Cow::Borrowed(""));
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            if LABELS.contains(&&*key) {
                label = map.next_value::<Loose<'de>>()?.0;
            } else if VALUES.contains(&&*key) {
                let value = map.next_value::<Loose<'de>>()?.0;
                let serial = key == "serial";
                let rank = DESCRIBING.iter().position(|other| *other == key).map_or(0, |at| at + 1);
                let is_better = found.as_ref().is_none_or(|(known, ..)| rank < *known);
                if is_better && (serial || !matches!(indicator::read(&value), Reading::Bad(_))) {
                    found = Some((rank, value, serial));
                }
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        match found {
            Some((_, value, true)) => suricata_dataset::add_serial(self.number, &value, &label, self.rows),
            Some((_, value, false)) => suricata_dataset::add(self.number, &value, &label, self.rows),
            None => self.rows.bad(self.number, "none of its values can be looked up"),
        }
        Ok(())
    }
}
