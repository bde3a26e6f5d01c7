//! Rows of a domain and the day it was registered on: CSV whose header names the columns in any order, such as exports
//! of domain databases and of domain_stats, or `domain,date[,source]` without a header.

use super::list::Head;
use super::read::{Found, ListFormat, Reading, Row};
use super::when;

pub(super) const FORMAT: ListFormat = ListFormat {
    name: "CSV with named columns",
    recognise: |head: &Head<'_>| {
        let headers = head.comments.iter().rev().chain(head.rows.first());
        let columns = headers.copied().find_map(Columns::of);
        Ok(columns.map(|columns| Box::new(columns) as Box<dyn Reading>))
    },
};

pub(super) const WITHOUT_HEADER: ListFormat = ListFormat {
    name: "domain,date",
    recognise: |head: &Head<'_>| {
        let columns = Columns { delimiter: ',', domain: 0, created: 1, source: Some(2), header: None };
        let is_row = |line: &str| {
            let mut columns = split(line, ',');
            columns.next().is_some_and(|name| name.contains('.'))
                && columns.next().is_some_and(|date| when::parse(date).is_some())
        };
        Ok(head.most_rows(is_row).then(|| Box::new(columns) as Box<dyn Reading>))
    },
};

/// Where the columns stand.
struct Columns {
    delimiter: char,
    domain: usize,
    created: usize,
    source: Option<usize>,
    /// The header, which is no row where it is not in a comment.
    header: Option<Box<str>>,
}

/// Names of columns, as [`folded`] makes them; the first that is there counts.
const DOMAIN: [&str; 5] = ["domain", "domainname", "ldhname", "registereddomain", "name"];
const CREATED: [&str; 19] = [
    "created",
    "creationdate",
    "createddate",
    "createdat",
    "createdon",
    "createdate",
    "domaincreated",
    "domaincreationdate",
    "registered",
    "registrationdate",
    "registeredon",
    "regdate",
    "registereddate",
    "registeredat",
    "registration",
    "datecreated",
    "dateregistered",
    "bornon",
    "seenbyweb",
];
const DELIMITERS: [char; 3] = [',', ';', '\t'];
const SOURCE: [&str; 1] = ["source"];

impl Columns {
    fn of(header: &str) -> Option<Self> {
        let delimiter = DELIMITERS.into_iter().max_by_key(|sign| header.matches(*sign).count())?;
        let names: Vec<String> = split(header, delimiter).map(folded).collect();
        let column = |wanted: &[&str]| wanted.iter().find_map(|wanted| names.iter().position(|name| name == wanted));
        Some(Self {
            delimiter,
            domain: column(&DOMAIN)?,
            created: column(&CREATED)?,
            source: column(&SOURCE),
            header: Some(header.into()),
        })
    }
}

impl Reading for Columns {
    fn read<'a>(&self, line: &'a str, take: &mut dyn FnMut(Row<'a>)) -> Result<Found, &'static str> {
        if self.header.as_deref() == Some(line) {
            return Ok(Found::Nothing);
        }
        let column = |at: usize| split(line, self.delimiter).nth(at).unwrap_or_default();
        let date = column(self.created);
        // Registries that do not say leave it empty.
        if matches!(date, "" | "-" | "NULL" | "null" | "None" | "N/A") && !column(self.domain).is_empty() {
            return if line.contains(self.delimiter) { Ok(Found::WithoutDate) } else { Err(NO_DATE) };
        }
        let (day, precision) = when::parse(date).ok_or("the date is not one")?;
        let source = self.source.map(column).filter(|text| !text.is_empty());
        take(Row { name: column(self.domain).into(), day, precision, as_of: None, source });
        Ok(Found::Row)
    }
}

const NO_DATE: &str = "there is no date beside the domain";

/// Columns; those that are looked at hold neither delimiters nor quotes, and what stands in others only has to be passed
/// over.
fn split(line: &str, delimiter: char) -> impl Iterator<Item = &str> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let text = rest?.trim_start_matches(' ');
        let quoted = text.strip_prefix('"').and_then(|inner| {
            let end = inner.find('"')?;
            Some((&inner[..end], inner[end + 1..].split_once(delimiter).map(|(_, next)| next)))
        });
        let (column, next) = quoted.unwrap_or_else(|| match text.split_once(delimiter) {
            Some((column, next)) => (column, Some(next)),
            None => (text, None),
        });
        rest = next;
        Some(column.trim().trim_matches('"').trim())
    })
}

/// A column's name in lower case and without anything but letters and digits.
fn folded(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}
