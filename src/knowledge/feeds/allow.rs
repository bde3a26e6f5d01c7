//! The user's own exceptions, `kind,value,reason,expires`: what is known to be harmless here. They make evidence weigh
//! less and never hide it, and the reason is said on the record.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use super::address::{Network, NetworkTable};
use super::columns::split;
use super::index::Entry;
use super::indicator::{name, name_key};
use super::report::{FeedReport, Tally};
use super::{UTF16, is_utf16, when, written_name};
use crate::knowledge::suffix::{controlling_domain, registrable_domain};
use crate::model::{Address, Certificate, EventTime, Id128, Sha1Digest, Sha256Digest};

/// Exceptions, by what they except.
#[derive(Default)]
pub struct AllowList {
    entries: Vec<AllowEntry>,
    by_key: HashMap<Key, Vec<u32>>,
    networks: NetworkTable,
}

/// One exception.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AllowEntry {
    /// What it is an exception for.
    pub kind: AllowKind,
    /// As it is written.
    pub value: Box<str>,
    /// Why.
    pub reason: Box<str>,
    /// From when it no longer holds.
    pub expires: Option<EventTime>,
    /// Its line.
    pub row: u32,
}

/// What an exception may be for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AllowKind {
    /// A certificate, by its SHA-256.
    Sha256,
    /// A certificate, by its SHA-1.
    Sha1,
    /// Certificates of an issuer.
    Issuer,
    /// A name and everything below it.
    Domain,
    /// A server's address or network.
    Address,
    /// A signature, by its id.
    Signature,
    /// A check, by the id of its findings.
    Finding,
}

#[derive(PartialEq, Eq, Hash)]
enum Key {
    Sha256(Sha256Digest),
    Sha1(Sha1Digest),
    Issuer(Id128),
    Name(u64),
    Signature(Box<str>),
    Finding(Box<str>),
}

/// Exceptions that are kept; later ones are bad rows.
const MAX_ENTRIES: usize = 100_000;
/// Largest file that is read.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// Longest reason that is kept, in characters.
const MAX_REASON: usize = 256;

impl AllowList {
    /// Reads a file of exceptions.
    pub fn load(path: &Path, now: EventTime) -> (Self, FeedReport) {
        let mut report = FeedReport::new(path, &super::names::feed_name(path));
        report.format = Some("allow list");
        let mut bytes = Vec::new();
        let read = crate::source::open(path, Arc::default())
            .map_err(|error| error.source)
            .and_then(|reader| reader.take(MAX_BYTES + 1).read_to_end(&mut bytes));
        match read {
            Err(error) => report.error = Some(format!("cannot be read: {error}")),
            Ok(length) if length as u64 > MAX_BYTES => report.error = Some("larger than 64 MiB".to_owned()),
            Ok(_) if is_utf16(&bytes) => report.error = Some(UTF16.to_owned()),
            Ok(_) => {}
        }
        report.version = Some(Id128::of(&bytes));
        let text = String::from_utf8_lossy(if report.error.is_none() { &bytes[..] } else { &[] });
        let (list, tally, taken) = Self::parse(&text, now);
        report.set_tally(tally);
        report.context = taken;
        if taken == 0 && report.bad > 0 && report.error.is_none() {
            report.error = Some("no row can be read; rows are kind,value,reason,expires".to_owned());
        }
        (list, report)
    }

    /// The exceptions in a text, what was wrong with it, and how many rows were taken.
    fn parse(text: &str, now: EventTime) -> (Self, Tally, u64) {
        let (mut list, mut tally, mut networks) = (Self::default(), Tally::default(), Vec::new());
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (row, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') || is_header(line) {
                continue;
            }
            if list.entries.len() >= MAX_ENTRIES {
                tally.bad(row, "more rows than are kept");
                continue;
            }
            let entry = match AllowEntry::parse(row, line) {
                Ok(entry) => entry,
                Err(problem) => {
                    tally.bad(row, problem);
                    continue;
                }
            };
            let index = list.entries.len() as u32;
            match entry.key() {
                Ok(Some(key)) => list.by_key.entry(key).or_default().push(index),
                Ok(None) => match Network::parse(&entry.value) {
                    Some(network) => networks.push((network, None, Entry { key: (), note: index, row })),
                    None => {
                        tally.bad(row, "the value is no address or network");
                        continue;
                    }
                },
                Err(problem) => {
                    tally.bad(row, problem);
                    continue;
                }
            }
            tally.expired += u64::from(entry.expires.is_some_and(|expires| expires <= now));
            list.entries.push(entry);
        }
        list.networks = NetworkTable::new(networks);
        let taken = list.entries.len() as u64;
        (list, tally, taken)
    }

    /// Whether nothing is excepted.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All exceptions, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &AllowEntry> {
        self.entries.iter()
    }

    /// How many exceptions there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Exceptions for a certificate and its issuer.
    pub fn of_certificate(&self, certificate: &Certificate, at: Option<EventTime>) -> Vec<&AllowEntry> {
        let keys = [
            certificate.sha256.map(Key::Sha256),
            certificate.sha1.map(Key::Sha1),
            certificate.issuer.as_ref().map(|issuer| Key::Issuer(issuer.key())),
        ];
        keys.iter().flatten().flat_map(|key| self.of_key(key, at)).collect()
    }

    /// Exceptions for a name, in lower case, or a name above it.
    pub fn of_name(&self, name: &str, at: Option<EventTime>) -> Vec<&AllowEntry> {
        let names = std::iter::successors(Some(name), |name| name.split_once('.').map(|(_, rest)| rest));
        let keys = names.filter(|name| name.contains('.')).map(|name| Key::Name(name_key(name)));
        keys.flat_map(|key| self.of_key(&key, at)).collect()
    }

    /// Exceptions for a server's address.
    pub fn of_address(&self, address: Address, at: Option<EventTime>) -> Vec<&AllowEntry> {
        let mut found = Vec::new();
        self.networks.find(address, |_, _, entry| found.extend(self.entries.get(entry.note as usize)));
        found.retain(|entry| entry.holds_at(at));
        found
    }

    /// Exceptions for a signature.
    pub fn of_signature(&self, id: &str, at: Option<EventTime>) -> Vec<&AllowEntry> {
        self.of_key(&Key::Signature(id.into()), at).collect()
    }

    /// Exceptions for a check.
    pub fn of_finding(&self, id: &str, at: Option<EventTime>) -> Vec<&AllowEntry> {
        self.of_key(&Key::Finding(id.into()), at).collect()
    }

    fn of_key<'a>(&'a self, key: &Key, at: Option<EventTime>) -> impl Iterator<Item = &'a AllowEntry> + use<'a> {
        let indexes = self.by_key.get(key).into_iter().flatten();
        let entries = indexes.filter_map(|&index| self.entries.get(index as usize));
        entries.filter(move |entry| entry.holds_at(at))
    }
}

impl AllowEntry {
    fn parse(row: u32, line: &str) -> Result<Self, &'static str> {
        let columns = split(line);
        let column = |at: usize| columns.get(at).map_or("", |column| &**column);
        let kind = AllowKind::parse(column(0)).ok_or("the kind is not one")?;
        if column(1).is_empty() {
            return Err("there is no value");
        }
        let expires = match column(3) {
            "" => None,
            text => Some(when::parse(text).ok_or("the date of expiry is not one")?),
        };
        let reason: String = column(2).chars().take(MAX_REASON).collect();
        Ok(Self { kind, value: column(1).into(), reason: reason.into(), expires, row })
    }

    /// What it is found by; `None` for addresses.
    fn key(&self) -> Result<Option<Key>, &'static str> {
        let value = &*self.value;
        Ok(Some(match self.kind {
            AllowKind::Sha256 => Key::Sha256(Sha256Digest::parse(value).ok_or("the value is no SHA-256")?),
            AllowKind::Sha1 => Key::Sha1(Sha1Digest::parse(value).ok_or("the value is no SHA-1")?),
            AllowKind::Issuer => Key::Issuer(written_name::parse(value).ok_or("the value is no issuer")?.key()),
            AllowKind::Domain => {
                let key = name(value)?.key;
                if domain_of(value).is_some_and(|domain| registrable_domain(&domain).is_none()) {
                    return Err("the value is a public suffix: below it are everybody's names");
                }
                Key::Name(key)
            }
            AllowKind::Signature => Key::Signature(value.into()),
            AllowKind::Finding => Key::Finding(value.into()),
            AllowKind::Address => return Ok(None),
        }))
    }

    /// Whether it is for a suffix below which everybody can have a name, such as that of a hosting provider.
    pub fn is_for_everybody(&self) -> bool {
        let is_suffix = |domain: Cow<'_, str>| controlling_domain(&domain).is_none();
        self.kind == AllowKind::Domain && domain_of(&self.value).is_some_and(is_suffix)
    }

    fn holds_at(&self, at: Option<EventTime>) -> bool {
        match (self.expires, at) {
            (Some(expires), Some(at)) => at < expires,
            (expires, None) => expires.is_none(),
            (None, Some(_)) => true,
        }
    }
}

impl AllowKind {
    /// The kind as files spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha1 => "sha1",
            Self::Issuer => "issuer",
            Self::Domain => "domain",
            Self::Address => "address",
            Self::Signature => "signature",
            Self::Finding => "finding",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        const ALL: [AllowKind; 7] = [
            AllowKind::Sha256,
            AllowKind::Sha1,
            AllowKind::Issuer,
            AllowKind::Domain,
            AllowKind::Address,
            AllowKind::Signature,
            AllowKind::Finding,
        ];
        ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(text))
    }
}

/// The domain of an exception, as suffixes are spelled.
fn domain_of(value: &str) -> Option<Cow<'_, str>> {
    let domain = value.trim_start_matches("*.").trim_start_matches('.');
    if domain.is_ascii() { Some(domain.into()) } else { idna::domain_to_ascii(domain).ok().map(Cow::Owned) }
}

fn is_header(line: &str) -> bool {
    let columns = split(line);
    let is = |at: usize, words: &[&str]| columns.get(at).is_some_and(|column| words.contains(&&*column.to_lowercase()));
    is(0, &["kind", "type"]) && is(1, &["value"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn exceptions_are_found_by_what_they_except_until_they_expire() {
        let text = "kind,value,reason,expires\r\n\
            domain,Example.org,our own,\n# a comment\n\
            issuer,\"C=DE, O=Our CA, CN=Root\",private CA,2027-01-01\n\
            address,192.0.2.0/24,lab\n\
            sha1,6e:ce:5e:ce:41:92:68:3d:2d:84:e2:5b:0b:a7:e0:4f:9c:b7:eb:7c,red team,\n\
            finding,self_signed,noise,\nsignature,some-id,ours,\n\
            planet,mars,x,\ndomain,co.uk,x,\ndomain,,x,\naddress,nowhere,x,\nsha1,abc,x,\ndomain,example.com,x,tomorrow\n";
        let day = |text: &str| when::parse(text);
        let (list, mut tally, taken) = AllowList::parse(text, day("2026-01-01").unwrap());
        assert_eq!((taken, list.len()), (6, 6));
        let mut report = FeedReport::new(Path::new("allow.csv"), "allow");
        report.set_tally(std::mem::take(&mut tally));
        assert_eq!(report.bad, 6, "{report:?}");
        assert_eq!(list.of_name("www.example.org", None)[0].row, 2);
        assert!(list.of_name("notexample.org", None).is_empty());
        assert_eq!(list.of_address(Address::parse("192.0.2.77").unwrap(), None).len(), 1);
        assert_eq!(list.of_finding("self_signed", None)[0].reason, "noise".into());
        assert_eq!(list.of_signature("some-id", None).len(), 1);
        let mut certificate = Certificate::unknown(crate::model::CertificateSource::LogStrings);
        certificate.issuer = written_name::parse("CN=Root,O=Our CA,C=DE");
        assert_eq!(list.of_certificate(&certificate, day("2026-12-31")).len(), 1);
        assert!(list.of_certificate(&certificate, day("2027-01-01")).is_empty());
    }

    #[test]
    fn a_domain_that_is_none_is_not_called_a_public_suffix() {
        let problem = |value: &str| {
            let (list, tally, _) = AllowList::parse(&format!("domain,{value},x,\n"), EventTime(0));
            let mut report = FeedReport::new(Path::new("allow.csv"), "allow");
            report.set_tally(tally);
            assert_eq!((list.len(), report.bad), (0, 1), "{value}");
            report.first_bad[0].problem
        };
        for value in ["https://evil5.example/", "192.0.2.1", "evil example"] {
            assert!(!problem(value).contains("public suffix"), "{value}: {}", problem(value));
        }
        for value in ["co.uk", "*.co.uk", "公司.cn"] {
            assert!(problem(value).contains("public suffix"), "{value}");
        }
    }

    #[test]
    fn an_exception_for_a_provider_s_suffix_is_one_for_everybody() {
        let text =
            "domain,github.io,x,\ndomain,*.Duckdns.org,x,\ndomain,example.github.io,x,\nfinding,self_signed,x,\n";
        let (list, _, _) = AllowList::parse(text, EventTime(0));
        assert_eq!(list.iter().map(AllowEntry::is_for_everybody).collect::<Vec<_>>(), [true, true, false, false]);
        assert_eq!(list.of_name("somebody.github.io", None).len(), 1);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "(domain|address|sha1|issuer|x)?,\\PC{0,20},\\PC{0,9},[0-9-]{0,10}\n?|\\PC{0,60}") {
            let _ = AllowList::parse(&text, EventTime(0));
        }
    }
}
