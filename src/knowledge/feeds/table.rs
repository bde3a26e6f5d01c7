//! Any CSV whose header, in a comment or in the first row, names its columns: C2IntelFeeds' `#domain,ioc` and
//! `#ip,ioc`, and lists of one's own, such as `serial,issuer,label` or `sha1;sha256;domain`. Which columns are used is told
//! by `choice`; between columns stands a comma, a semicolon or a tab. A cell may hold several indicators of one kind.

use super::Standing;
use super::choice::{self, Choice};
use super::columns::{self, SEPARATORS, split_at};
use super::format::{self, Head, Header, LineFormat, Lines};
use super::indicator::{self, Reading};
use super::report::UnusedColumn;
use super::rows::{Indicator, Row, Rows};
use super::threatfox::MIN_CONFIDENCE;
use super::{when, written_name};
use crate::model::{EventTime, Serial};

pub(super) const FORMAT: LineFormat = LineFormat {
    name: "CSV with named columns",
    says_so: true,
    recognise: |head: &Head<'_>| {
        SEPARATORS.iter().find_map(|&separator| {
            let header = head.headers_with(separator).find(is_header)?;
            Some(Box::new(Table::of(&header, head, separator)) as Box<dyn Lines>)
        })
    },
};

/// The same with a header that has one name that is known, or none: it is one by what stands in it and below it.
pub(super) const WITH_OTHER_NAMES: LineFormat = LineFormat {
    name: "CSV with other names of columns",
    says_so: false,
    recognise: |head: &Head<'_>| {
        SEPARATORS.iter().find_map(|&separator| {
            let header = head.headers_with(separator).find(|header| is_likely_header(header, head, separator))?;
            Some(Box::new(Table::of(&header, head, separator)) as Box<dyn Lines>)
        })
    },
};

const SPKI: [&str; 8] =
    ["spkisha256", "spki", "spkihash", "pin", "pinsha256", "spkipin", "pubkeysha256", "publickeysha256"];
const SERIAL: [&str; 2] = ["serial", "serialnumber"];
const SUBJECT: [&str; 2] = ["subject", "subjectdn"];
const ISSUER: [&str; 2] = ["issuer", "issuerdn"];
const LABEL: [&str; 12] = [
    "label",
    "ioc",
    "malware",
    "family",
    "threat",
    "description",
    "reason",
    "comment",
    "name",
    "tool",
    "actor",
    "tags",
];
const DATE: [&str; 8] =
    ["listed", "firstseen", "date", "added", "dateadded", "firstseenutc", "listingdate", "lastseen"];
const PORT: [&str; 2] = ["port", "dstport"];
const EXPIRES: [&str; 3] = ["expires", "validuntil", "expirationdate"];
const CONFIDENCE: [&str; 2] = ["confidence", "confidencelevel"];

/// Longest cell of a header that is told by what stands in it, in bytes and in words.
const MAX_HEADER_CELL: usize = 40;
const MAX_HEADER_WORDS: usize = 4;

/// Which column is what.
#[derive(Default)]
pub(super) struct Table {
    pub(super) separator: char,
    /// Columns that list hashes, names, addresses or URLs.
    pub(super) any: Vec<usize>,
    /// Columns that do so in rows where nothing stands in those.
    pub(super) instead: Vec<usize>,
    /// Of the former an address that counts only in rows with a port.
    pub(super) with_port: Option<usize>,
    /// Columns that hold the like and are not used.
    pub(super) unused: Vec<UnusedColumn>,
    pub(super) spki: Option<usize>,
    pub(super) serial: Option<usize>,
    pub(super) subject: Option<usize>,
    pub(super) issuer: Option<usize>,
    pub(super) port: Option<usize>,
    pub(super) label: Option<usize>,
    pub(super) date: Option<usize>,
    pub(super) expires: Option<usize>,
    pub(super) confidence: Option<usize>,
    pub(super) header: Option<u32>,
}

/// Labels that may as well be what is listed, where nothing else is.
const AMBIGUOUS: [&str; 3] = ["ioc", "name", "threat"];

/// What one row lists.
#[derive(Default)]
struct Listed {
    /// With how it is written, where that has to be kept.
    found: Vec<(Indicator, String)>,
    unsupported: Vec<&'static str>,
    bad: Vec<&'static str>,
}

/// How many columns of a header list something.
pub(super) fn indicators(header: &Header) -> usize {
    choice::named(header).len()
        + [&SPKI[..], &SERIAL, &SUBJECT].iter().filter(|names| header.column(names).is_some()).count()
}

/// Two columns at least, all with a name: a line of prose with a comma has other words than these.
fn is_header(header: &Header) -> bool {
    let is_known = |name: &String| {
        let name = &name.as_str();
        let is_indicator =
            choice::class_of(name).is_some() || [&SPKI[..], &SERIAL, &SUBJECT, &ISSUER].concat().contains(name);
        (is_indicator, is_indicator || LABEL.contains(name) || DATE.contains(name))
    };
    let indicators = header.names.iter().filter(|name| is_known(name).0).count();
    let known = header.names.iter().filter(|name| is_known(name).1).count();
    let named = header.names.iter().all(|name| !name.is_empty());
    header.names.len() > 1 && named && indicators > 0 && known > 1 && known * 2 >= header.names.len()
}

/// A row of a few words each, without a value, above rows of as many columns that hold indicators. A comment is one only
/// with a name that is known: most of them are prose.
fn is_likely_header(header: &Header, head: &Head<'_>, separator: char) -> bool {
    let width = header.names.len();
    let rows = head.cells(separator, header.line);
    if width < 2 || !format::are_most(rows.iter().map(|row| row.len() == width)) {
        return false;
    }
    let is_name = |cell: &str| {
        cell.len() <= MAX_HEADER_CELL && cell.split_whitespace().count() <= MAX_HEADER_WORDS && !choice::is_value(cell)
    };
    let says_something = match header.line {
        None => {
            header.names.iter().any(|name| is_known(name) || choice::class_of(name).is_some() || choice::is_other(name))
        }
        Some(_) => header.names.iter().any(|name| !name.is_empty()),
    };
    says_something
        && columns::split_at(&header.text, separator).iter().all(|cell| is_name(cell))
        && (0..width).any(|at| choice::content(&rows, at).is_some())
}

/// Whether a name means something that is no hash, name, address or URL.
fn is_known(name: &str) -> bool {
    let label = LABEL.contains(&name) && !AMBIGUOUS.contains(&name);
    label || [&SPKI[..], &SERIAL, &SUBJECT, &ISSUER, &DATE, &PORT, &EXPIRES, &CONFIDENCE].concat().contains(&name)
}

/// A port, with or without its protocol: `443`, `443/tcp`, `udp/443`.
pub(super) fn port(text: &str) -> Option<u16> {
    let is_protocol = |text: &str| text.eq_ignore_ascii_case("tcp") || text.eq_ignore_ascii_case("udp");
    let digits = match text.split_once('/') {
        Some((digits, protocol)) if is_protocol(protocol) => digits,
        Some((protocol, digits)) if is_protocol(protocol) => digits,
        Some(_) => return None,
        None => text,
    };
    digits.parse().ok().filter(|port| *port > 0)
}

/// When a row ends, and that it does not. `None` for what cannot be read: such a row must not hold for ever.
fn expiry(text: &str) -> Option<Option<EventTime>> {
    if text.is_empty() || text.eq_ignore_ascii_case("never") {
        return Some(None);
    }
    when::parse_unambiguous(text).map(Some)
}

impl Table {
    fn of(header: &Header, head: &Head<'_>, separator: char) -> Self {
        let column = |names: &[&str]| header.column(names);
        let port = column(&PORT);
        let lists_more = column(&SPKI).is_some() || column(&SERIAL).is_some();
        let rows = head.cells(separator, header.line);
        let Choice { used: any, instead, with_port, unused } =
            choice::by_names(header, &rows, port.is_some(), lists_more, is_known);
        Self {
            separator,
            instead,
            with_port,
            unused,
            spki: column(&SPKI),
            serial: column(&SERIAL),
            subject: column(&SUBJECT),
            issuer: column(&ISSUER),
            port,
            label: LABEL.iter().filter_map(|name| column(&[name])).find(|at| !any.contains(at)),
            date: column(&DATE),
            expires: column(&EXPIRES),
            confidence: column(&CONFIDENCE),
            header: header.line,
            any,
        }
    }

    /// Whether something stands in a column that may list it and is not used.
    fn has_unused<'a>(&self, column: impl Fn(Option<usize>) -> &'a str) -> bool {
        let mut doubtful = self.unused.iter().filter(|unused| !unused.is_meant);
        doubtful.any(|unused| !column(unused.number.checked_sub(1)).is_empty())
            || (column(self.port).is_empty() && !column(self.with_port).is_empty())
    }

    /// The same where others are used: in a table in which each row has a column of its own, that is no mistake of the row.
    fn lists_in_unused<'a>(&self, column: impl Fn(Option<usize>) -> &'a str) -> bool {
        !self.any.is_empty() && self.has_unused(column)
    }

    /// What a row lists.
    fn listed<'a>(&self, column: impl Fn(Option<usize>) -> &'a str) -> Listed {
        let mut listed = Listed::default();
        for &at in &self.any {
            let text = column(Some(at));
            if text.is_empty() || (self.with_port == Some(at) && column(self.port).is_empty()) {
                continue;
            }
            match indicator::several(text) {
                Some(all) => all.into_iter().for_each(|found| listed.take(Reading::Row(found), String::new())),
                None => listed.take(indicator::read_one(text), String::new()),
            }
        }
        if listed.is_empty()
            && let Some(text) = self.instead.iter().map(|at| column(Some(*at))).find(|text| !text.is_empty())
        {
            listed.take(indicator::read_one(text), String::new());
        }
        listed.set_port(column(self.port));
        let spki = column(self.spki);
        if !spki.is_empty() {
            let digest = indicator::spki(spki).map(Indicator::Spki);
            listed.take(digest.map_or(Reading::Bad("the hash of the key is not one"), Reading::Row), String::new());
        }
        let (serial, issuer, subject) = (column(self.serial), column(self.issuer), column(self.subject));
        let of = |indicator: Option<Indicator>, problem| indicator.map_or(Reading::Bad(problem), Reading::Row);
        if !serial.is_empty() && !issuer.is_empty() {
            let both = Serial::parse(serial).zip(written_name::parse(issuer));
            let both = both.map(|(number, name)| Indicator::SerialIssuer(number, name));
            listed.take(of(both, "the serial number or the issuer is not one"), format!("{serial} of {issuer}"));
        } else if !serial.is_empty() {
            let alone = Serial::parse(serial).map(Indicator::Serial);
            listed.take(of(alone, "the serial number is not one"), serial.to_owned());
        } else if !listed.is_empty() || self.has_unused(&column) {
            // Beside something else names of the certificate only describe it.
        } else if !subject.is_empty() {
            let name = written_name::parse(subject).map(Indicator::Subject);
            listed.take(of(name, "the subject is not one"), subject.to_owned());
        } else if !issuer.is_empty() {
            let name = written_name::parse(issuer).map(Indicator::Issuer);
            listed.take(of(name, "the issuer is not one"), issuer.to_owned());
        }
        listed
    }
}

impl Listed {
    fn take(&mut self, reading: Reading, written: String) {
        match reading {
            // A URL beside its host says the same twice.
            Reading::Row(found) if self.found.iter().any(|(known, _)| *known == found) => {}
            Reading::Row(found) => self.found.push((found, written)),
            Reading::Unsupported(what) => self.unsupported.push(what),
            Reading::Bad(problem) => self.bad.push(problem),
        }
    }

    /// Narrows addresses to a port that stands in a column of its own. One that cannot be read costs them: without it they
    /// would list more than the row says.
    fn set_port(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        let read = port(text);
        let before = self.found.len();
        self.found.retain_mut(|(found, _)| match found {
            Indicator::Network(_, known @ None) => {
                *known = read;
                read.is_some()
            }
            _ => true,
        });
        if self.found.len() < before {
            self.bad.push("the port is not one");
        }
    }

    fn is_empty(&self) -> bool {
        self.found.is_empty() && self.unsupported.is_empty() && self.bad.is_empty()
    }
}

impl Lines for Table {
    fn read(&self, number: u32, line: &str, rows: &mut Rows) {
        let columns = split_at(line, self.separator);
        let column = |at: Option<usize>| {
            let text = at.and_then(|at| columns.get(at)).map_or("", |column| &**column);
            if choice::is_unset(text) { "" } else { text }
        };
        let Listed { found, unsupported, bad } = self.listed(column);
        match (found.is_empty(), unsupported.first(), bad.first()) {
            (true, Some(what), _) => return rows.unsupported(number, what),
            (true, None, None) if self.lists_in_unused(column) => {
                return rows.unsupported(number, "nothing but what stands in columns that are not used");
            }
            (true, None, problem) => return rows.bad(number, problem.unwrap_or(&"there is no indicator")),
            // A column that cannot be used costs itself only.
            (false, _, _) => {
                unsupported.iter().for_each(|what| rows.unsupported(number, what));
                bad.iter().for_each(|_| rows.unsupported(number, "a value that is no indicator, beside one that is"));
            }
        }
        let Some(expires) = expiry(column(self.expires)) else { return rows.bad(number, "the expiry is not a date") };
        let confidence: Option<u8> = column(self.confidence).parse().ok();
        let is_doubtful = confidence.is_some_and(|percent| percent < MIN_CONFIDENCE);
        for (found, written) in found {
            let row = Row {
                label: column(self.label),
                written: &written,
                listed: when::parse(column(self.date)),
                expires,
                confidence,
                standing: if is_doubtful { Standing::Doubtful } else { Standing::Malicious },
                ..Row::of(found)
            };
            rows.add(number, row);
        }
    }

    fn is_tabbed(&self) -> bool {
        self.separator == '\t'
    }

    fn header_line(&self) -> Option<u32> {
        self.header
    }

    fn unused_columns(&self) -> &[UnusedColumn] {
        &self.unused
    }
}
