//! What a format is, the list of them, and the head of a file by which they are told apart.

use std::borrow::Cow;

use super::columns;
use super::document::Shape;
use super::report::UnusedColumn;
use super::rows::Rows;
use super::{
    bare_table, misp, misp_csv, misp_warninglist, plain, popularity, sslbl, sslbl_ip, sslbl_ja3, stix,
    suricata_dataset, suricata_dataset_json, suricata_rules, table, threatfox, urlhaus, zeek_intel,
};

/// A format of lines, one row in each.
pub(super) struct LineFormat {
    /// The format's name, for people.
    pub(super) name: &'static str,
    /// Whether it is known by something that says so, such as a header; else by what the rows look like.
    pub(super) says_so: bool,
    /// What reads the lines, if the head is of this format.
    pub(super) recognise: fn(&Head<'_>) -> Option<Box<dyn Lines>>,
}

/// A format of one JSON document.
pub(super) struct DocumentFormat {
    /// The format's name, for people.
    pub(super) name: &'static str,
    /// Whether a document of that shape is of this format.
    pub(super) recognise: fn(&Shape) -> bool,
    /// Reads the whole document.
    pub(super) read: fn(&str, &mut Rows) -> Result<(), serde_json::Error>,
}

/// Reads lines of one format. Blank lines and those that begin with `#` do not come here.
pub(super) trait Lines: Send + Sync {
    /// Reads one line, or a row of several, without its end; `number` is that of the first, counted from 1.
    fn read(&self, number: u32, line: &str, rows: &mut Rows);

    /// Whether a row may go on over several lines.
    fn row_end(&self) -> RowEnd {
        RowEnd::Line
    }

    /// Looks at all rows of the file together, after the last.
    fn finish(&self, _rows: &mut Rows) {}

    /// Whether tabs stand between columns, so that one at the beginning of a line is behind an empty column.
    fn is_tabbed(&self) -> bool {
        false
    }

    /// The line that holds the header, where it is not in a comment.
    fn header_line(&self) -> Option<u32> {
        None
    }

    /// Columns that hold indicators and are not used.
    fn unused_columns(&self) -> &[UnusedColumn] {
        &[]
    }
}

/// Where a row ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum RowEnd {
    /// With its line.
    Line,
    /// With a line, and not within a quoted column.
    Unquoted,
    /// With a line that has no `\` at its end. A comment ends with its line in any case.
    Uncontinued,
}

/// The formats of lines, in the order in which they are tried: what says so before what only looks so.
pub(super) const LINES: [&LineFormat; 17] = [
    &zeek_intel::FORMAT,
    &threatfox::FORMAT,
    &urlhaus::FORMAT,
    &sslbl::FORMAT,
    &sslbl_ja3::FORMAT,
    &sslbl_ip::FORMAT,
    &misp_csv::FORMAT,
    &table::FORMAT,
    &suricata_rules::FORMAT,
    &suricata_dataset_json::LINES,
    &threatfox::WITHOUT_HEADER,
    &sslbl::WITHOUT_HEADER,
    &popularity::FORMAT,
    &table::WITH_OTHER_NAMES,
    &suricata_dataset::FORMAT,
    &bare_table::FORMAT,
    &plain::FORMAT,
];

/// The formats of documents, in the order in which they are tried.
pub(super) const DOCUMENTS: [&DocumentFormat; 5] =
    [&stix::FORMAT, &misp_warninglist::FORMAT, &misp::FORMAT, &misp::MANIFEST, &suricata_dataset_json::DOCUMENT];

/// The first lines of a file.
pub(super) struct Head<'a> {
    /// The feed's name, for lists that say nothing of themselves.
    pub(super) name: &'a str,
    /// Comments, without `#` and the blanks around them.
    pub(super) comments: Vec<&'a str>,
    /// Other lines with something on them, and their numbers.
    pub(super) rows: Vec<(u32, &'a str)>,
}

/// A header: the names of columns, as [`columns::folded`] makes them.
pub(super) struct Header {
    /// The names.
    pub(super) names: Vec<String>,
    /// As it is written.
    pub(super) text: String,
    /// Its line, where it is not in a comment.
    pub(super) line: Option<u32>,
}

/// Lines of a head that are looked at, comments and rows each.
const MAX_LINES: usize = 400;

impl<'a> Head<'a> {
    /// Takes the head of a file apart; `is_whole` when nothing follows, else its last line may be cut.
    pub(super) fn new(name: &'a str, text: &'a str, is_whole: bool) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let text = if is_whole { text } else { text.rfind('\n').map_or(text, |end| &text[..end]) };
        let mut head = Self { name, comments: Vec::new(), rows: Vec::new() };
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            match line.strip_prefix('#') {
                Some(comment) if head.comments.len() < MAX_LINES => {
                    head.comments.push(comment.trim_matches(['#', ' ', '\t']));
                }
                None if !line.is_empty() && head.rows.len() < MAX_LINES => head.rows.push((number, line)),
                _ => {}
            }
        }
        head
    }

    /// Lines that may be a header: the last comment first, then the other comments, then the first row.
    pub(super) fn headers(&self) -> impl Iterator<Item = Header> {
        self.headers_with(',')
    }

    /// The same with another separator between the names.
    pub(super) fn headers_with(&self, separator: char) -> impl Iterator<Item = Header> {
        let header = move |line: Option<u32>, text: &str| Header {
            names: columns::split_at(text, separator).iter().map(|name| columns::folded(name)).collect(),
            text: text.to_owned(),
            line,
        };
        let comments = self.comments.iter().rev().map(move |text| header(None, text));
        // The keys of JSON on a line are quoted as columns may be.
        let first = self.rows.first().filter(|(_, text)| !text.starts_with(['{', '[']));
        comments.chain(first.map(|&(number, text)| header(Some(number), text)))
    }

    /// The rows without the one that is the header, taken apart.
    pub(super) fn cells(&self, separator: char, header: Option<u32>) -> Vec<Vec<Cow<'a, str>>> {
        let rows = self.rows.iter().filter(|(number, _)| Some(*number) != header);
        rows.map(|(_, line)| columns::split_at(line, separator)).collect()
    }

    /// Whether there are rows and two in three of them satisfy `test`.
    pub(super) fn most_rows(&self, test: impl Fn(&str) -> bool) -> bool {
        are_most(self.rows.iter().map(|(_, line)| test(line)))
    }
}

/// Whether there are rows and two in three of them are good.
pub(super) fn are_most(rows: impl Iterator<Item = bool>) -> bool {
    let (good, all) = rows.fold((0_usize, 0_usize), |(good, all), is_good| (good + usize::from(is_good), all + 1));
    good > 0 && (all - good) * 2 <= good
}

impl Header {
    /// Where one of these columns stands; the first name that is there counts.
    pub(super) fn column(&self, names: &[&str]) -> Option<usize> {
        names.iter().find_map(|wanted| self.names.iter().position(|name| name == wanted))
    }
}
