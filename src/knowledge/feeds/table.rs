//! Any CSV whose header, in a comment or in the first row, names its columns: C2IntelFeeds' `#domain,ioc` and
//! `#ip,ioc`, and lists of one's own, such as `serial,issuer,label` or `subject,label`.

use super::Standing;
use super::columns::split;
use super::format::{Head, Header, LineFormat, Lines};
use super::indicator::{self, Reading};
use super::rows::{Indicator, Row, Rows};
use super::threatfox::MIN_CONFIDENCE;
use super::when;
use crate::model::{Serial, Sha256Digest};

pub(super) const FORMAT: LineFormat = LineFormat {
    name: "CSV with named columns",
    says_so: true,
    recognise: |head: &Head<'_>| {
        let header = head.headers().find(is_header)?;
        let column = |names: &[&str]| header.column(names);
        let lines = Table {
            any: column(&ANY),
            spki: column(&SPKI),
            serial: column(&SERIAL),
            subject: column(&SUBJECT),
            issuer: column(&ISSUER),
            port: column(&["port", "dstport"]),
            label: column(&LABEL),
            date: column(&DATE),
            expires: column(&["expires", "validuntil", "expirationdate"]),
            confidence: column(&["confidence", "confidencelevel"]),
            header: header.line,
        };
        Some(Box::new(lines))
    },
};

/// Columns that hold a hash, a name, an address or a URL.
const ANY: [&str; 13] = [
    "sha256",
    "sha1",
    "hash",
    "fingerprint",
    "domain",
    "hostname",
    "host",
    "ip",
    "ipaddress",
    "cidr",
    "indicator",
    "ioc",
    "url",
];
const SPKI: [&str; 3] = ["spkisha256", "spki", "pubkeysha256"];
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
const DATE: [&str; 7] = ["listed", "firstseen", "date", "added", "dateadded", "firstseenutc", "lastseen"];

struct Table {
    any: Option<usize>,
    spki: Option<usize>,
    serial: Option<usize>,
    subject: Option<usize>,
    issuer: Option<usize>,
    port: Option<usize>,
    label: Option<usize>,
    date: Option<usize>,
    expires: Option<usize>,
    confidence: Option<usize>,
    header: Option<u32>,
}

/// Two columns at least, all with a name: a line of prose with a comma has other words than these. A list of domains
/// and the day they were registered on is no feed.
fn is_header(header: &Header) -> bool {
    let is_known = |name: &String| {
        let name = &name.as_str();
        let indicators = [&ANY[..], &SPKI, &SERIAL, &SUBJECT, &ISSUER].concat();
        (indicators.contains(name), indicators.contains(name) || LABEL.contains(name) || DATE.contains(name))
    };
    let indicators = header.names.iter().filter(|name| is_known(name).0).count();
    let known = header.names.iter().filter(|name| is_known(name).1).count();
    let named = header.names.iter().all(|name| !name.is_empty());
    let says_what =
        indicators > 1 || header.column(&LABEL).is_some() || header.column(&ANY) != header.column(&["domain"]);
    header.names.len() > 1 && named && indicators > 0 && known > 1 && known * 2 >= header.names.len() && says_what
}

impl Lines for Table {
    fn read(&self, number: u32, line: &str, rows: &mut Rows) {
        let columns = split(line);
        let column = |at: Option<usize>| at.and_then(|at| columns.get(at)).map_or("", |column| &**column);
        let (reading, written) = self.indicator(column);
        let found = match reading {
            Reading::Row(found) => found,
            Reading::Unsupported(what) => return rows.unsupported(number, what),
            Reading::Bad(problem) => return rows.bad(number, problem),
        };
        let found = match found {
            Indicator::Network(network, None) => Indicator::Network(network, column(self.port).parse().ok()),
            found => found,
        };
        let label = self.label.filter(|label| Some(*label) != self.any);
        let confidence: Option<u8> = column(self.confidence).parse().ok();
        let is_doubtful = confidence.is_some_and(|percent| percent < MIN_CONFIDENCE);
        let row = Row {
            label: column(label),
            written: &written,
            listed: when::parse(column(self.date)),
            expires: when::parse(column(self.expires)),
            confidence,
            standing: if is_doubtful { Standing::Doubtful } else { Standing::Malicious },
            ..Row::of(found)
        };
        rows.add(number, row);
    }

    fn header_line(&self) -> Option<u32> {
        self.header
    }
}

impl Table {
    /// What a row lists, the most telling of it, and how it is written where that has to be kept.
    fn indicator<'a>(&self, column: impl Fn(Option<usize>) -> &'a str) -> (Reading, String) {
        let bad = |problem| (Reading::Bad(problem), String::new());
        if !column(self.any).is_empty() {
            return (indicator::read(column(self.any)), String::new());
        }
        if !column(self.spki).is_empty() {
            let digest = Sha256Digest::parse(column(self.spki));
            return match digest {
                Some(digest) => (Reading::Row(Indicator::Spki(digest)), String::new()),
                None => bad("the hash of the key is not one"),
            };
        }
        let (serial, issuer, subject) = (column(self.serial), column(self.issuer), column(self.subject));
        let name = indicator::distinguished_name;
        match (serial.is_empty(), issuer.is_empty(), subject.is_empty()) {
            (false, true, _) => match Serial::parse(serial) {
                Some(number) => (Reading::Row(Indicator::Serial(number)), serial.to_owned()),
                None => bad("the serial number is not one"),
            },
            (false, false, _) => match (Serial::parse(serial), name(issuer)) {
                (Some(number), Some(name)) => {
                    (Reading::Row(Indicator::SerialIssuer(number, name)), format!("{serial} of {issuer}"))
                }
                _ => bad("the serial number or the issuer is not one"),
            },
            (true, _, false) => match name(subject) {
                Some(name) => (Reading::Row(Indicator::Subject(name)), subject.to_owned()),
                None => bad("the subject is not one"),
            },
            (true, false, true) => match name(issuer) {
                Some(name) => (Reading::Row(Indicator::Issuer(name)), issuer.to_owned()),
                None => bad("the issuer is not one"),
            },
            (true, true, true) => bad("there is no indicator"),
        }
    }
}
