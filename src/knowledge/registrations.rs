//! In: the user's lists of domains and the days they were registered on. Out: the registration that holds at a day.
//! Promise: a bad row is counted with its line and costs itself only; the order of the files does not matter.
//!
//! A list is text, plain or gzip: `domain,date[,source]`, the date as `2026-11-20` or RFC 3339. A header line, lines
//! that begin with `#`, blank lines, quotes, a byte order mark and CR LF are understood. A name below its registrable
//! domain stands for that domain, `*.example.com` and `www.example.com` for `example.com`.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::feeds::FeedFile;
use super::suffix::registrable_domain;
use crate::model::{EventTime, Id128};

/// Registrations of many lists, in 24 bytes each. A domain may have been registered, dropped and registered again; all
/// its days are kept, so that a replay gets the one that held then.
#[derive(Default, Debug)]
pub struct Registrations {
    /// Sorted by domain, then day; each pair once.
    entries: Vec<Entry>,
    /// Sorted by name.
    sources: Vec<Box<str>>,
}

/// When a domain was registered, and who says so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Registration<'a> {
    /// Days since 1970-01-01.
    pub day: i32,
    /// What the row says in its third column, else the name of the file.
    pub source: &'a str,
}

/// What became of one list.
#[derive(Clone, Debug)]
pub struct ListReport {
    /// The list.
    pub path: PathBuf,
    /// Rows that were taken.
    pub rows: u64,
    /// Rows that could not be read.
    pub bad_rows: u64,
    /// The first of them, at most [`ListReport::MAX_KEPT`].
    pub first_bad_rows: Vec<BadRow>,
    /// Which version of the content it was: a hash of it, decompressed.
    pub version: Option<Id128>,
    /// Why the list cannot be used; nothing of it is.
    pub error: Option<String>,
}

/// A row that could not be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadRow {
    /// Its line, counted from 1.
    pub line: u64,
    /// What is wrong with it.
    pub problem: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Entry {
    domain: Id128,
    day: i32,
    source: u32,
}

/// What is collected before sources and entries are in order.
#[derive(Default)]
struct Collector {
    entries: Vec<Entry>,
    sources: HashMap<Box<str>, u32>,
}

/// One line of a list.
enum Row<'a> {
    Nothing,
    Registration { domain: String, day: i32, source: Option<&'a str> },
    Bad(&'static str),
}

/// Rows that are kept over all lists: 480 MB of memory. Later rows count as bad.
const MAX_ENTRIES: usize = 20_000_000;
/// Distinct sources that are kept; rows of further ones name their file, or the last that was kept.
const MAX_SOURCES: usize = 65_536;
/// How names of lists begin that say what they are.
const NAMES: [&str; 5] = ["nrd", "newly", "domain-names", "registr", "whois"];
/// Longest line that is read; a longer one is a bad row.
const MAX_LINE: usize = 4096;
/// Longest source that is kept, in characters.
const MAX_SOURCE: usize = 128;
/// Lists have the grain of a day and no time zone: a domain that is used in the first hours of its life may be listed
/// under the day after.
const SLACK_DAYS: i32 = 1;

impl Registrations {
    /// Reads lists; what is wrong with them is in the reports, one per path and in their order.
    pub fn load(paths: &[PathBuf]) -> (Self, Vec<ListReport>) {
        let mut collector = Collector::default();
        let reports = paths.iter().map(|path| collector.read_file(path)).collect();
        (collector.finish(), reports)
    }

    /// The latest registration of a domain that is not after `as_of_day`, with one day of slack.
    ///
    /// `domain` is [`Registrations::key`] of its registrable domain; days count from 1970-01-01.
    pub fn find(&self, domain: Id128, as_of_day: i32) -> Option<Registration<'_>> {
        let last = as_of_day.saturating_add(SLACK_DAYS);
        let end = self.entries.partition_point(|entry| (entry.domain, entry.day) <= (domain, last));
        let entry = self.entries[..end].last().filter(|entry| entry.domain == domain)?;
        Some(Registration { day: entry.day, source: self.sources.get(entry.source as usize)? })
    }

    /// The key of a registrable domain in lower case.
    pub fn key(registrable_domain: &str) -> Id128 {
        Id128::of(registrable_domain.as_bytes())
    }

    /// How many pairs of domain and day are known.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl ListReport {
    /// How many bad rows are kept for messages.
    pub const MAX_KEPT: usize = 5;

    /// The list's name: that of its file.
    pub fn name(&self) -> String {
        self.path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    fn bad(&mut self, line: u64, problem: &'static str) {
        self.bad_rows += 1;
        if self.first_bad_rows.len() < Self::MAX_KEPT {
            self.first_bad_rows.push(BadRow { line, problem });
        }
    }
}

/// Whether the head of a file, decompressed, is that of a list of registrations: nine in ten of its lines are `domain,date`,
/// and a header says that the date is when the domain was registered, or else the file's name does. Beside a domain a date
/// by itself is as a rule the day on which it was listed for something. `is_whole` says that nothing follows.
pub fn looks_like_registration_list(name: &str, head: &[u8], is_whole: bool) -> bool {
    let name = name.to_lowercase();
    let mut says_so = NAMES.iter().any(|start| name.starts_with(start));
    let (mut good, mut bad) = (0_usize, 0_usize);
    for (index, line) in head.split_inclusive(|&byte| byte == b'\n').enumerate() {
        match parse_row(line, index == 0, good + bad == 0) {
            Row::Nothing => says_so |= good + bad == 0 && names_registration(line),
            Row::Registration { .. } => good += 1,
            // A head ends anywhere: the last line may be half a row.
            Row::Bad(_) => bad += usize::from(is_whole || line.ends_with(b"\n")),
        }
    }
    says_so && good > 0 && bad * 9 <= good
}

impl Collector {
    fn read_file(&mut self, path: &Path) -> ListReport {
        let mut report = ListReport {
            path: path.to_owned(),
            rows: 0,
            bad_rows: 0,
            first_bad_rows: Vec::new(),
            version: None,
            error: None,
        };
        // Never the whole path: output must not depend on where a list lies.
        let name = report.name();
        let first = self.entries.len();
        let read = FeedFile::open(path).and_then(|mut file| {
            let mut reader = BufReader::with_capacity(64 * 1024, &mut file);
            self.read(&mut reader, &name, &mut report)?;
            report.version = Some(file.version());
            Ok(())
        });
        if let Err(error) = read {
            // Half a list would look like a whole one.
            self.entries.truncate(first);
            report.rows = 0;
            report.error = Some(error.to_string());
        }
        report
    }

    fn read(&mut self, reader: &mut dyn BufRead, name: &str, report: &mut ListReport) -> io::Result<()> {
        let own_source = self.intern(name);
        let mut line = Vec::new();
        let mut number = 0;
        while let Some(is_whole) = read_line(reader, &mut line)? {
            number += 1;
            let row = match is_whole {
                true => parse_row(&line, number == 1, report.rows + report.bad_rows == 0),
                false => Row::Bad("the line is too long"),
            };
            match row {
                Row::Nothing => {}
                Row::Bad(problem) => report.bad(number, problem),
                Row::Registration { .. } if self.entries.len() >= MAX_ENTRIES => {
                    report.bad(number, "more rows than are kept");
                }
                Row::Registration { domain, day, source } => {
                    let source = source.map_or(own_source, |source| self.intern(source));
                    self.entries.push(Entry { domain: Registrations::key(&domain), day, source });
                    report.rows += 1;
                }
            }
        }
        Ok(())
    }

    fn intern(&mut self, source: &str) -> u32 {
        let source: String = source.chars().take(MAX_SOURCE).collect();
        if let Some(&index) = self.sources.get(&*source) {
            return index;
        }
        let index = self.sources.len() as u32;
        if self.sources.len() >= MAX_SOURCES {
            return index - 1;
        }
        self.sources.insert(source.into(), index);
        index
    }

    /// Numbers the sources by their names, so that of two that list one pair the same wins in any order of files.
    fn finish(mut self) -> Registrations {
        let mut sources: Vec<_> = self.sources.into_iter().collect();
        sources.sort_unstable();
        let mut ranks = vec![0; sources.len()];
        for (rank, &(_, index)) in (0_u32..).zip(&sources) {
            ranks[index as usize] = rank;
        }
        for entry in &mut self.entries {
            entry.source = ranks[entry.source as usize];
        }
        self.entries.sort_unstable();
        self.entries.dedup_by_key(|entry| (entry.domain, entry.day));
        self.entries.shrink_to_fit();
        Registrations { entries: self.entries, sources: sources.into_iter().map(|(source, _)| source).collect() }
    }
}

/// Reads one line without its end; `None` at the end of the file, `false` for a line whose rest was skipped.
fn read_line(reader: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<Option<bool>> {
    line.clear();
    if Read::take(&mut *reader, MAX_LINE as u64).read_until(b'\n', line)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
        return Ok(Some(true));
    }
    if line.len() < MAX_LINE {
        return Ok(Some(true));
    }
    loop {
        let buffer = reader.fill_buf()?;
        let Some(end) = buffer.iter().position(|&byte| byte == b'\n') else {
            let length = buffer.len();
            reader.consume(length);
            if length == 0 {
                return Ok(Some(false));
            }
            continue;
        };
        reader.consume(end + 1);
        return Ok(Some(false));
    }
}

fn parse_row(line: &[u8], is_first_line: bool, may_be_header: bool) -> Row<'_> {
    let line = if is_first_line { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) } else { line };
    let Ok(line) = std::str::from_utf8(line) else { return Row::Bad("the line is not UTF-8") };
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Row::Nothing;
    }
    let mut columns = line.split(',').map(|column| column.trim().trim_matches('"').trim());
    let name = columns.next().unwrap_or_default();
    let Some(date) = columns.next() else { return Row::Bad("there is no date beside the domain") };
    let Some(day) = parse_day(date) else {
        return if may_be_header && is_header(name) { Row::Nothing } else { Row::Bad("the date is not one") };
    };
    let lower = name.strip_prefix("*.").unwrap_or(name).trim_end_matches('.').to_lowercase();
    match registrable_domain(&lower) {
        Some(domain) => {
            Row::Registration { domain: domain.to_owned(), day, source: columns.next().filter(|text| !text.is_empty()) }
        }
        None => Row::Bad("the domain is not one that can be registered"),
    }
}

/// Whether a header, in a comment or not, names a column for when domains were registered.
fn names_registration(line: &[u8]) -> bool {
    const COLUMNS: [&str; 14] = [
        "created",
        "createdate",
        "createddate",
        "createdat",
        "creationdate",
        "datecreated",
        "registered",
        "registereddate",
        "registeredat",
        "registeredon",
        "registrationdate",
        "registration",
        "dateregistered",
        "bornon",
    ];
    let line = String::from_utf8_lossy(line);
    let folded = |column: &str| column.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    line.split(',').any(|column| COLUMNS.contains(&&*folded(column)))
}

fn is_header(first_column: &str) -> bool {
    !first_column.contains('.') && first_column.to_lowercase().contains("domain")
}

/// A date, or the UTC day of a time.
fn parse_day(text: &str) -> Option<i32> {
    const DATE: usize = "2026-11-20".len();
    match text.len() {
        DATE => EventTime::parse_date(text),
        _ => EventTime::parse_iso8601(text).map(EventTime::day),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write as _;

    fn load(files: &[(&str, &[u8])]) -> (Registrations, Vec<ListReport>) {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<_> = files.iter().map(|(name, _)| folder.path().join(name)).collect();
        for (path, (_, bytes)) in paths.iter().zip(files) {
            std::fs::write(path, bytes).unwrap();
        }
        Registrations::load(&paths)
    }

    fn day(text: &str) -> i32 {
        EventTime::parse_date(text).unwrap()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn every_spelling_of_a_list_is_read() {
        let text = b"\xef\xbb\xbfDomain,Created,Registrar\r\n# a comment\r\n\r\nEvil.Example.,2026-11-20\r\n\
            *.shop.co.uk , 2026-11-19T23:30:00-05:00 , whois\r\n\"www.quoted.com\",\"2026-11-18 10:00:00\"\r\n\
            xn--mnchen-3ya.de,2026-11-17";
        for bytes in [text.to_vec(), gzip(text)] {
            let (registrations, reports) = load(&[("nrd.csv", &bytes)]);
            assert_eq!((reports[0].rows, reports[0].bad_rows), (4, 0), "{:?}", reports[0]);
            let today = day("2026-11-24");
            let find = |domain: &str| registrations.find(Registrations::key(domain), today);
            assert_eq!(find("evil.example"), Some(Registration { day: day("2026-11-20"), source: "nrd.csv" }));
            assert_eq!(find("shop.co.uk"), Some(Registration { day: day("2026-11-20"), source: "whois" }));
            assert_eq!(find("quoted.com").unwrap().day, day("2026-11-18"));
            assert_eq!(find("xn--mnchen-3ya.de").unwrap().day, day("2026-11-17"));
            assert_eq!(find("other.com"), None);
        }
    }

    #[test]
    fn bad_rows_are_counted_with_their_line_and_cost_themselves_only() {
        let long = "x".repeat(MAX_LINE * 3);
        let text = format!(
            "good.com,2026-01-01\nbad\n192.0.2.1,2026-01-01\ngood.org,yesterday\n{long}\nfine.net,2026-01-02\n"
        );
        let (registrations, reports) = load(&[("list", text.as_bytes())]);
        assert_eq!(registrations.len(), 2);
        assert_eq!((reports[0].rows, reports[0].bad_rows), (2, 4));
        assert_eq!(reports[0].first_bad_rows.iter().map(|bad| bad.line).collect::<Vec<_>>(), [2, 3, 4, 5]);
        let (_, reports) = Registrations::load(&[PathBuf::from("no-such-list")]);
        assert_eq!(reports[0].error.as_deref(), Some("No such file or directory (os error 2)"));
    }

    #[test]
    fn a_replay_gets_the_registration_that_held_then() {
        let (registrations, _) = load(&[
            ("b", b"again.com,2020-05-05\nagain.com,2026-11-20\n"),
            ("a", b"again.com,2026-11-20\nwww.again.com,2023-03-03\n"),
        ]);
        let find = |text: &str| registrations.find(Registrations::key("again.com"), day(text));
        assert_eq!(registrations.len(), 3);
        assert_eq!(find("2020-05-03"), None);
        assert_eq!(find("2020-05-04").unwrap().day, day("2020-05-05"), "one day of slack");
        assert_eq!(find("2022-01-01").unwrap().day, day("2020-05-05"));
        assert_eq!(find("2024-01-01"), Some(Registration { day: day("2023-03-03"), source: "a" }));
        assert_eq!(find("2030-01-01"), Some(Registration { day: day("2026-11-20"), source: "a" }));
    }

    #[test]
    fn a_list_is_known_by_its_content() {
        for head in ["evil.example,2026-11-20\n", "domain,created\nevil.example,2026-11-20T00:00:00Z"] {
            assert!(looks_like_registration_list("nrd-1.csv", head.as_bytes(), true), "{head}");
            assert_eq!(
                looks_like_registration_list("list.csv", head.as_bytes(), true),
                head.contains("created"),
                "{head}"
            );
        }
        assert!(looks_like_registration_list("NRD", b"# x\n\na.com,2026-01-01\nb.c", false), "it goes on");
        let in_comment = b"# Domain, Registration Date\na.com,2026-01-01\n";
        assert!(looks_like_registration_list("list.csv", in_comment, true));
        for head in [
            "",
            "# only a comment\n",
            "evil.example\n",
            "evil.example",
            "1,google.com\n2,youtube.com\n",
            "2023-11-14 06:52:51,4da14224452c1fe61f46b1112c43ecfd9f322c82,Rhadamanthys C&C\n",
            "domain,ioc\nevil.example,Possible Cobaltstrike C2 Domain\n",
            "domain,first_seen\nevil.example,2026-11-20\n",
            "domain,date\nevil.example,2026-11-20\n",
            "evil.example,2026-11-20,Lumma\n",
        ] {
            assert!(!looks_like_registration_list("list.csv", head.as_bytes(), true), "{head}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = looks_like_registration_list("nrd", &bytes, true);
            let (registrations, reports) = load(&[("list", &bytes)]);
            prop_assert!(registrations.len() as u64 <= reports[0].rows || reports[0].error.is_some());
        }

        #[test]
        fn the_answer_is_that_of_a_plain_search(
            rows in prop::collection::vec((0..4_usize, 0..60_i32, 0..3_usize), 0..40),
            asked in (0..4_usize, -3..63_i32),
        ) {
            let name = |index: usize| format!("domain{index}.com");
            let mut texts = [String::new(), String::new(), String::new()];
            for &(domain, day, file) in &rows {
                texts[file] += &format!("{},{}\n", name(domain), EventTime::date_text(day));
            }
            let named = [("a", texts[0].as_bytes()), ("b", texts[1].as_bytes()), ("c", texts[2].as_bytes())];
            let expected = rows.iter().filter(|row| row.0 == asked.0 && row.1 <= asked.1 + 1)
                .max_by_key(|row| (row.1, std::cmp::Reverse(row.2)));
            let expected = expected.map(|&(_, day, file)| Registration { day, source: ["a", "b", "c"][file] });
            let mut reversed = named;
            reversed.reverse();
            for files in [named, reversed] {
                let (registrations, _) = load(&files);
                prop_assert_eq!(registrations.find(Registrations::key(&name(asked.0)), asked.1), expected);
            }
        }
    }
}
