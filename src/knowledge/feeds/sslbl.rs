//! abuse.ch SSLBL: SHA-1 of certificates, with a date and `<family> C&C` beside it.
//!
//! The header is in a comment, `# Listingdate,SHA1,Listingreason`; copies order the columns otherwise, name them
//! otherwise, or have no header at all. The hash is where 40 hexadecimal digits are.

use super::columns::split;
use super::format::{Head, LineFormat, Lines};
use super::rows::{Indicator, Row, Rows};
use super::{table, when};
use crate::model::Sha1Digest;

pub(super) const FORMAT: LineFormat = LineFormat {
    name: "SSLBL certificates",
    says_so: true,
    recognise: |head: &Head<'_>| {
        let header = head.headers().find(|header| {
            let has_all =
                header.column(&HASH).is_some() && header.column(&REASON).is_some() && header.column(&DATE).is_some();
            // What lists more than the hash is a table.
            has_all && table::indicators(header) == 1
        })?;
        let lines = Certificates {
            hash: header.column(&HASH)?,
            reason: header.column(&REASON)?,
            date: header.column(&DATE)?,
            header: header.line,
        };
        Some(Box::new(lines))
    },
};

/// The same without a header.
pub(super) const WITHOUT_HEADER: LineFormat = LineFormat {
    name: "SSLBL certificates without a header",
    says_so: false,
    recognise: |head: &Head<'_>| {
        let is_row = |line: &str| {
            let columns = split(line);
            columns.len() == 3 && columns.iter().filter(|column| Sha1Digest::parse(column).is_some()).count() == 1
        };
        if !head.most_rows(is_row) {
            return None;
        }
        let (_, line) = head.rows.iter().find(|(_, line)| is_row(line))?;
        let columns = split(line);
        let hash = columns.iter().position(|column| Sha1Digest::parse(column).is_some())?;
        let date = columns.iter().position(|column| when::parse(column).is_some())?;
        let reason = (0..columns.len()).find(|&at| at != hash && at != date)?;
        Some(Box::new(Certificates { hash, reason, date, header: None }))
    },
};

const HASH: [&str; 3] = ["sha1", "sslhash", "hash"];
const REASON: [&str; 3] = ["listingreason", "metadatadescription", "reason"];
const DATE: [&str; 3] = ["listingdate", "metadatadate", "date"];

struct Certificates {
    hash: usize,
    reason: usize,
    date: usize,
    header: Option<u32>,
}

impl Lines for Certificates {
    fn read(&self, number: u32, line: &str, rows: &mut Rows) {
        let columns = split(line);
        let column = |at: usize| columns.get(at).map_or("", |column| &**column);
        let Some(digest) = Sha1Digest::parse(column(self.hash)) else {
            return rows.bad(number, "there is no SHA-1 in its column");
        };
        // A date that cannot be read costs the date: it only explains.
        let listed = when::parse(column(self.date));
        rows.add(number, Row { label: column(self.reason), listed, ..Row::of(Indicator::Sha1(digest)) });
    }

    fn header_line(&self) -> Option<u32> {
        self.header
    }
}
