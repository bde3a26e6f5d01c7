//! abuse.ch SSLBL JA3: hashes of what clients offer. The list is frozen since 2021 and meets honest software too, so
//! that its rows only explain.

use super::columns::split;
use super::format::{Head, LineFormat, Lines};
use super::rows::{Indicator, Row, Rows};
use super::{Standing, table, when};
use crate::model::Ja3;

pub(super) const FORMAT: LineFormat = LineFormat {
    name: "SSLBL JA3 fingerprints",
    says_so: true,
    recognise: |head: &Head<'_>| {
        let header = head
            .headers()
            .find(|header| header.column(&["ja3md5", "ja3hash", "ja3"]).is_some() && table::indicators(header) == 0)?;
        let lines = Fingerprints {
            hash: header.column(&["ja3md5", "ja3hash", "ja3"])?,
            date: header.column(&["firstseen", "firstseenutc"]),
            label: header.column(&["listingreason", "malware", "reason"]),
            header: header.line,
        };
        Some(Box::new(lines))
    },
};

struct Fingerprints {
    hash: usize,
    date: Option<usize>,
    label: Option<usize>,
    header: Option<u32>,
}

impl Lines for Fingerprints {
    fn read(&self, number: u32, line: &str, rows: &mut Rows) {
        let columns = split(line);
        let column = |at: Option<usize>| at.and_then(|at| columns.get(at)).map_or("", |column| &**column);
        let Some(ja3) = Ja3::parse(column(Some(self.hash))) else {
            return rows.bad(number, "there is no MD5 in its column");
        };
        let (label, listed) = (column(self.label), when::parse(column(self.date)));
        rows.add(number, Row { label, listed, standing: Standing::Informative, ..Row::of(Indicator::Ja3(ja3)) });
    }

    fn header_line(&self) -> Option<u32> {
        self.header
    }
}
