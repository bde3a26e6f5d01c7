//! abuse.ch URLhaus: URLs of malware, of which the host is taken. Hosts that serve the files of everybody are left out.

use super::columns::split;
use super::format::{Head, LineFormat, Lines};
use super::indicator::{self, Reading};
use super::rows::{Row, Rows};
use super::{table, when};

pub(super) const FORMAT: LineFormat = LineFormat {
    name: "URLhaus",
    says_so: true,
    recognise: |head: &Head<'_>| {
        let header = head.headers().find(|header| {
            let has_both = header.column(&["url"]).is_some() && header.column(&["dateadded"]).is_some();
            has_both && table::indicators(header) == 1
        })?;
        let lines = UrlHaus {
            url: header.column(&["url"])?,
            date: header.column(&["dateadded"])?,
            threat: header.column(&["threat"]),
            tags: header.column(&["tags"]),
            header: header.line,
        };
        Some(Box::new(lines))
    },
};

struct UrlHaus {
    url: usize,
    date: usize,
    threat: Option<usize>,
    tags: Option<usize>,
    header: Option<u32>,
}

impl Lines for UrlHaus {
    fn read(&self, number: u32, line: &str, rows: &mut Rows) {
        let columns = split(line);
        let column = |at: Option<usize>| at.and_then(|at| columns.get(at)).map_or("", |column| &**column);
        let found = match indicator::url(column(Some(self.url))) {
            Reading::Row(found) => found,
            Reading::Unsupported(what) => return rows.unsupported(number, what),
            Reading::Bad(problem) => return rows.bad(number, problem),
        };
        let label = match (column(self.threat), column(self.tags)) {
            (threat, "" | "None") => threat.to_owned(),
            (threat, tags) => format!("{threat} ({tags})"),
        };
        let listed = when::parse(column(Some(self.date)));
        rows.add(number, Row { label: &label, listed, ..Row::of(found) });
    }

    fn header_line(&self) -> Option<u32> {
        self.header
    }
}
