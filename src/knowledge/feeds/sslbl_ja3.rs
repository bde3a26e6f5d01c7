//! abuse.ch SSLBL JA3: hashes of what clients offer. The list is frozen since 2021 and meets honest software too, so
//! that it could only explain; and records are not looked at for JA3. Rows are counted, and nothing else.

use super::columns::split;
use super::format::{Head, LineFormat, Lines};
use super::rows::Rows;
use super::table;
use crate::model::hex_value;

pub(super) const FORMAT: LineFormat = LineFormat {
    name: "SSLBL JA3 fingerprints",
    says_so: true,
    recognise: |head: &Head<'_>| {
        let header = head
            .headers()
            .find(|header| header.column(&["ja3md5", "ja3hash", "ja3"]).is_some() && table::indicators(header) == 0)?;
        let hash = header.column(&["ja3md5", "ja3hash", "ja3"])?;
        Some(Box::new(Fingerprints { hash, header: header.line }))
    },
};

struct Fingerprints {
    hash: usize,
    header: Option<u32>,
}

impl Lines for Fingerprints {
    fn read(&self, number: u32, line: &str, rows: &mut Rows) {
        const MD5: usize = 32;
        let columns = split(line);
        let hash = columns.get(self.hash).map_or("", |hash| &**hash);
        match hash.len() == MD5 && hash.bytes().all(|byte| hex_value(byte).is_some()) {
            true => rows.context(),
            false => rows.bad(number, "there is no MD5 in its column"),
        }
    }

    fn header_line(&self) -> Option<u32> {
        self.header
    }
}
