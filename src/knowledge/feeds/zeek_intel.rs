//! Zeek's intelligence framework: columns with tabs between them, named in any order by a `#fields` line; `-` is unset.
//!
//! `Intel::CERT_HASH` is documented as SHA-1, but Zeek logs SHA-256 by default, and people list either: both are read.

use super::format::{Head, LineFormat, Lines};
use super::indicator::{self, Reading};
use super::rows::{Indicator, Row, Rows};
use super::when;

pub(super) const FORMAT: LineFormat = LineFormat {
    name: "Zeek intelligence",
    says_so: true,
    recognise: |head: &Head<'_>| {
        let fields = head.comments.iter().find_map(|comment| comment.strip_prefix("fields"))?;
        let names: Vec<&str> = fields.split('\t').map(str::trim).filter(|name| !name.is_empty()).collect();
        let place = |wanted: &str| names.iter().position(|name| *name == wanted);
        let lines = Intel {
            indicator: place("indicator")?,
            kind: place("indicator_type")?,
            // What it is, else who says so.
            label: ["meta.desc", "meta.source"].map(place),
            date: ["meta.first_seen", "meta.date", "meta.created"].iter().find_map(|name| place(name)),
            confidence: place("meta.confidence"),
        };
        Some(Box::new(lines))
    },
};

struct Intel {
    indicator: usize,
    kind: usize,
    label: [Option<usize>; 2],
    date: Option<usize>,
    confidence: Option<usize>,
}

impl Lines for Intel {
    fn is_tabbed(&self) -> bool {
        true
    }

    fn read(&self, number: u32, line: &str, rows: &mut Rows) {
        let columns: Vec<&str> = line.split('\t').collect();
        let column = |at: Option<usize>| match at.and_then(|at| columns.get(at)).map(|column| column.trim()) {
            None | Some("-" | "(empty)") => "",
            Some(column) => column,
        };
        let (text, kind) = (column(Some(self.indicator)), column(Some(self.kind)));
        if text.is_empty() || kind.is_empty() {
            return rows.bad(number, "there is no indicator or no type");
        }
        let reading = match kind.strip_prefix("Intel::").unwrap_or(kind) {
            "CERT_HASH" => {
                expect(indicator::read(text), |found| matches!(found, Indicator::Sha1(_) | Indicator::Sha256(_)))
            }
            "DOMAIN" => expect(indicator::read(text), |found| matches!(found, Indicator::Name(_))),
            "ADDR" | "SUBNET" => expect(indicator::read(text), |found| matches!(found, Indicator::Network(..))),
            "URL" => indicator::url(text),
            other => return rows.unsupported(number, other),
        };
        let row = match reading {
            Reading::Row(found) => Row {
                label: self.label.iter().map(|&at| column(at)).find(|label| !label.is_empty()).unwrap_or_default(),
                listed: when::parse(column(self.date)),
                confidence: column(self.confidence).parse().ok(),
                ..Row::of(found)
            },
            Reading::Unsupported(what) => return rows.unsupported(number, what),
            Reading::Bad(problem) => return rows.bad(number, problem),
        };
        rows.add(number, row);
    }
}

fn expect(reading: Reading, is_wanted: fn(&Indicator) -> bool) -> Reading {
    match reading {
        Reading::Row(found) if !is_wanted(&found) => Reading::Bad("the indicator is not of its type"),
        reading => reading,
    }
}
