//! MISP's CSV export of attributes: `uuid,event_id,category,type,value,comment,to_ids,date,…`.

use std::borrow::Cow;

use super::columns::split;
use super::document::Loose;
use super::format::{Head, LineFormat, Lines, RowEnd};
use super::misp::{self, Attribute};
use super::rows::Rows;

pub(super) const FORMAT: LineFormat = LineFormat {
    name: "MISP attributes",
    says_so: true,
    recognise: |head: &Head<'_>| {
        let header = head
            .headers()
            .find(|header| ["type", "value", "toids"].iter().all(|name| header.column(&[name]).is_some()))?;
        let lines = Attributes {
            kind: header.column(&["type"])?,
            value: header.column(&["value"])?,
            to_ids: header.column(&["toids"])?,
            comment: header.column(&["comment"]),
            date: header.column(&["date", "timestamp"]),
            header: header.line,
        };
        Some(Box::new(lines))
    },
};

struct Attributes {
    kind: usize,
    value: usize,
    to_ids: usize,
    comment: Option<usize>,
    date: Option<usize>,
    header: Option<u32>,
}

impl Lines for Attributes {
    fn read(&self, number: u32, line: &str, rows: &mut Rows) {
        let columns = split(line);
        let column = |at: Option<usize>| at.and_then(|at| columns.get(at)).map_or("", |column| &**column);
        if columns.len() <= self.kind.max(self.value).max(self.to_ids) {
            return rows.bad(number, "there are too few columns");
        }
        let loose = |at: Option<usize>| Some(Loose(Cow::Borrowed(column(at))));
        let attribute = Attribute {
            kind: Cow::Borrowed(column(Some(self.kind))),
            value: Loose(Cow::Borrowed(column(Some(self.value)))),
            to_ids: loose(Some(self.to_ids)),
            comment: loose(self.comment),
            timestamp: loose(self.date),
            object_relation: None,
            deleted: None,
        };
        misp::add(number, &attribute, "", rows);
    }

    fn row_end(&self) -> RowEnd {
        // Comments are free text.
        RowEnd::Unquoted
    }

    fn header_line(&self) -> Option<u32> {
        self.header
    }
}
