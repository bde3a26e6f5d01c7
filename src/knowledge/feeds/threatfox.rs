//! abuse.ch ThreatFox: quoted columns with a blank behind each comma, the header in a comment. Older files lack some of
//! the columns, so that all are found by their names. Hashes are those of files, not of certificates.

use super::Standing;
use super::columns::split;
use super::format::{Head, LineFormat, Lines};
use super::indicator::{self, Reading};
use super::rows::{Row, Rows};
use super::when;

pub(super) const FORMAT: LineFormat = LineFormat {
    name: "ThreatFox",
    says_so: true,
    recognise: |head: &Head<'_>| {
        let header = head
            .headers()
            .find(|header| header.column(&["iocvalue"]).is_some() && header.column(&["ioctype"]).is_some())?;
        let lines = ThreatFox {
            value: header.column(&["iocvalue"])?,
            kind: header.column(&["ioctype"])?,
            label: header.column(&["malwareprintable", "fkmalware"]),
            first_seen: header.column(&["firstseenutc", "firstseen"]),
            confidence: header.column(&["confidencelevel"]),
            compromised: header.column(&["iscompromised"]),
            header: header.line,
        };
        Some(Box::new(lines))
    },
};

/// The same without a header: as it is published, in its older form of 14 columns or its newer one of 15.
pub(super) const WITHOUT_HEADER: LineFormat = LineFormat {
    name: "ThreatFox without a header",
    says_so: false,
    recognise: |head: &Head<'_>| {
        const TYPES: [&str; 6] = ["domain", "ip:port", "url", "md5_hash", "sha1_hash", "sha256_hash"];
        let width = |line: &str| {
            let columns = split(line);
            let is_row =
                (14..=15).contains(&columns.len()) && columns.get(3).is_some_and(|kind| TYPES.contains(&&**kind));
            is_row.then_some(columns.len())
        };
        if !head.most_rows(|line| width(line).is_some()) {
            return None;
        }
        let width = head.rows.iter().find_map(|(_, line)| width(line))?;
        let lines = ThreatFox {
            value: 2,
            kind: 3,
            label: Some(7),
            first_seen: Some(0),
            confidence: Some(9),
            compromised: (width == 15).then_some(10),
            header: None,
        };
        Some(Box::new(lines))
    },
};

/// Below this many percent a row is context.
pub(super) const MIN_CONFIDENCE: u8 = 50;

struct ThreatFox {
    value: usize,
    kind: usize,
    label: Option<usize>,
    first_seen: Option<usize>,
    confidence: Option<usize>,
    compromised: Option<usize>,
    header: Option<u32>,
}

impl Lines for ThreatFox {
    fn read(&self, number: u32, line: &str, rows: &mut Rows) {
        let columns = split(line);
        let column = |at: Option<usize>| at.and_then(|at| columns.get(at)).map_or("", |column| &**column);
        let value = column(Some(self.value));
        let reading = match column(Some(self.kind)) {
            "domain" | "ip:port" | "url" => indicator::read(value),
            "" => return rows.bad(number, "there is no type of indicator"),
            other => return rows.unsupported(number, other),
        };
        let found = match reading {
            Reading::Row(found) => found,
            Reading::Unsupported(what) => return rows.unsupported(number, what),
            Reading::Bad(problem) => return rows.bad(number, problem),
        };
        let confidence: Option<u8> = column(self.confidence).parse().ok();
        let standing = if column(self.compromised).eq_ignore_ascii_case("true") {
            Standing::Compromised
        } else if confidence.is_some_and(|percent| percent < MIN_CONFIDENCE) {
            Standing::Doubtful
        } else {
            Standing::Malicious
        };
        let row = Row {
            label: column(self.label),
            listed: when::parse(column(self.first_seen)),
            confidence,
            standing,
            ..Row::of(found)
        };
        rows.add(number, row);
    }

    fn header_line(&self) -> Option<u32> {
        self.header
    }
}
