//! CSV without a header: which column is what is told by what stands in most of its rows. C2IntelFeeds without its first
//! line, `evil.example,2026-11-20,label`, `192.0.2.1;8443;label` and the like. A date is when the row was listed: a list of
//! when domains were registered says so in a header or by its name. Of several columns that hold indicators only the first
//! is taken for what is listed, with further hashes beside a hash and the port behind an address.

use super::choice::{self, Choice};
use super::columns::SEPARATORS;
use super::format::{self, Head, LineFormat, Lines};
use super::indicator::{self, Reading};
use super::rows::Indicator;
use super::table::{self, Table};
use super::{plain, when};

pub(super) const FORMAT: LineFormat = LineFormat {
    name: NAME,
    says_so: false,
    recognise: |head: &Head<'_>| {
        let table = SEPARATORS.iter().find_map(|&separator| table(head, separator))?;
        Some(Box::new(table) as Box<dyn Lines>)
    },
};

/// The format's name.
pub(super) const NAME: &str = "CSV without a header";

/// Rows with more columns are of something else.
const MAX_COLUMNS: usize = 16;

fn table(head: &Head<'_>, separator: char) -> Option<Table> {
    // A list in JSON, an element on each line.
    if head
        .rows
        .first()
        .is_some_and(|(_, line)| line.starts_with('{') || matches!(line.as_bytes(), [b'['] | [b'[', b'{' | b'"', ..]))
    {
        return None;
    }
    let rows = head.cells(separator, None);
    // Rules that are spoilt: their keywords look like names. And a hosts file with tabs.
    if head.most_rows(|line| line.contains("(msg:")) {
        return None;
    }
    if format::are_most(rows.iter().map(|row| row.first().is_some_and(|first| plain::SINKS.contains(&&**first)))) {
        return None;
    }
    let width = rows.iter().map(Vec::len).max().filter(|width| (2..=MAX_COLUMNS).contains(width))?;
    // Two in three rows, as for other formats.
    let most = |at: usize, test: &dyn Fn(&str) -> bool| {
        rows.iter().filter(|row| row.get(at).is_some_and(|column| test(column))).count() * 3 >= rows.len() * 2
    };
    let columns = |test: &dyn Fn(&str) -> bool| (0..width).filter(|&at| most(at, test)).collect::<Vec<_>>();
    let Choice { used: any, unused, .. } = choice::by_content(&rows, width);
    let address = |text: &str| matches!(indicator::read(text), Reading::Row(Indicator::Network(_, None)));
    let is_free = |at: &usize| !any.contains(at) && unused.iter().all(|column| column.number != at + 1);
    let port = any.iter().find(|&&at| most(at, &address)).map(|at| at + 1);
    // Some rows may have none.
    let is_port = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at)).filter(|cell| !choice::is_unset(cell));
        format::are_most(cells.map(|cell| table::port(cell).is_some()))
    };
    let port = port.filter(is_free).filter(|at| is_port(*at));
    let date = columns(&|text| when::parse(text).is_some()).into_iter().find(is_free);
    let is_text = |text: &str| text.bytes().any(|byte| byte.is_ascii_alphabetic());
    let label = columns(&is_text).into_iter().filter(is_free).find(|at| Some(*at) != date);
    // A comma alone makes no table.
    let says_more = any.len() + unused.len() > 1 || port.is_some() || date.is_some() || label.is_some();
    // With nothing that can be used it says of each column why.
    (any.len() + unused.len() > 0 && says_more).then(|| Table {
        separator,
        any,
        unused,
        port,
        date,
        label,
        ..Table::default()
    })
}
