//! Suricata's datasets: one value on a line, without header and comments, and with a reputation behind a comma in the
//! files of `datarep`. Values of type `string` are base64 of the text that a rule compares: a fingerprint with colons, a
//! serial number, a name. Hexadecimal hashes and addresses may stand beside them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::format::{Head, LineFormat, Lines};
use super::indicator::{self, Reading};
use super::rows::{Indicator, Row, Rows};
use crate::model::Serial;

pub(super) const FORMAT: LineFormat = LineFormat {
    name: "Suricata dataset",
    says_so: false,
    recognise: |head: &Head<'_>| {
        let is_row = |line: &str| {
            let (value, reputation) = parts(line);
            match reputation {
                None => matches!(read(value), Some(Reading::Row(_))),
                Some(reputation) => reputation.parse::<u16>().is_ok() && read_any(value).is_some(),
            }
        };
        // A list of hashes or names by itself is read in the same way by the format for plain lists.
        head.most_rows(is_row).then(|| Box::new(Values) as Box<dyn Lines>)
    },
};

struct Values;

impl Lines for Values {
    fn read(&self, number: u32, line: &str, rows: &mut Rows) {
        add(number, parts(line).0, "", rows);
    }
}

/// Adds a value of a dataset.
pub(super) fn add(number: u32, value: &str, label: &str, rows: &mut Rows) {
    match read_any(value) {
        Some(Reading::Row(found)) => {
            let written = match &found {
                Indicator::Serial(serial) => serial.to_string(),
                _ => String::new(),
            };
            rows.add(number, Row { label, written: &written, ..Row::of(found) });
        }
        Some(Reading::Unsupported(what)) => rows.unsupported(number, what),
        Some(Reading::Bad(_)) => rows.unsupported(number, "a text that is no hash, serial number or name"),
        None => rows.bad(number, "it is neither base64 nor a hash, an address or a name"),
    }
}

fn parts(line: &str) -> (&str, Option<&str>) {
    match line.split_once(',') {
        Some((value, reputation)) => (value.trim(), Some(reputation.trim())),
        None => (line, None),
    }
}

fn read_any(value: &str) -> Option<Reading> {
    match indicator::read(value) {
        Reading::Bad(_) => read(value),
        reading => Some(reading),
    }
}

/// Reads base64 of a text; `None` where it is none.
fn read(value: &str) -> Option<Reading> {
    let bytes = STANDARD.decode(value).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    if text.is_empty() || text.chars().any(char::is_control) {
        return None;
    }
    Some(match indicator::read(&text) {
        Reading::Bad(problem) => match Serial::parse_octets(&text).filter(|_| is_serial(&text)) {
            Some(serial) => Reading::Row(Indicator::Serial(serial)),
            None => Reading::Bad(problem),
        },
        reading => reading,
    })
}

/// Octets with colons between them, as Suricata prints serial numbers.
fn is_serial(text: &str) -> bool {
    text.contains(':') && text.split(':').all(|octet| octet.len() == 2)
}

/// Adds a value that is said to be a serial number.
pub(super) fn add_serial(number: u32, value: &str, label: &str, rows: &mut Rows) {
    match Serial::parse_octets(value) {
        Some(serial) => rows.add(number, Row { label, written: value, ..Row::of(Indicator::Serial(serial)) }),
        None => rows.bad(number, "the serial number is not one"),
    }
}
