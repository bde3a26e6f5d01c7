//! The files of monitors: CertStream messages, one on each line, and lists of crt.sh.

use std::borrow::Cow;
use std::collections::HashSet;
use std::io::{self, BufRead as _, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{MAX_ENTRIES, Transparency, certificate_key};
use crate::decode::{certificate_from_der, registrable};
use crate::knowledge::feeds::{FeedFile, for_each, text_of};
use crate::knowledge::registrations::ListReport;
use crate::model::{Attribute, AttributeKind, DistinguishedName, EventTime, Id128, Serial};

/// Longest line that is read; an entry holds a chain of certificates at the most.
const MAX_LINE: u64 = 1024 * 1024;
/// Largest document that is read: it is in memory as a whole.
const MAX_DOCUMENT: u64 = 256 * 1024 * 1024;
/// Bytes by which entries on lines are told from such over many lines.
const HEAD: u64 = 4096;
/// Shorter lines hold no entry.
const MIN_LINE: usize = 16;
/// Names of one certificate that are looked at.
const MAX_NAMES: usize = 100;
/// The byte order mark.
const MARK: &[u8] = b"\xef\xbb\xbf";
const BAD_JSON: &str = "not an entry of a transparency log";
const TOO_MANY: &str = "more entries than are kept";
const CERTSTREAM: &str = "CertStream";
const CRT_SH: &str = "crt.sh";

/// A message of CertStream, as far as it is looked at. Servers differ in what they leave out.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    message_type: Cow<'a, str>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Update<'a> {
    #[serde(borrow)]
    leaf_cert: Leaf<'a>,
    #[serde(borrow)]
    seen: Option<&'a RawValue>,
    #[serde(borrow)]
    submission_timestamp: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Leaf<'a> {
    #[serde(borrow)]
    issuer: Option<Issuer<'a>>,
    #[serde(borrow)]
    serial_number: Option<Cow<'a, str>>,
    #[serde(borrow)]
    all_domains: Option<Vec<Cow<'a, str>>>,
    #[serde(borrow)]
    as_der: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
struct Issuer<'a> {
    #[serde(borrow)]
    c: Option<Cow<'a, str>>,
    #[serde(borrow)]
    st: Option<Cow<'a, str>>,
    #[serde(borrow)]
    l: Option<Cow<'a, str>>,
    #[serde(borrow)]
    o: Option<Cow<'a, str>>,
    #[serde(borrow)]
    ou: Option<Cow<'a, str>>,
    #[serde(borrow)]
    cn: Option<Cow<'a, str>>,
}

/// An entry of crt.sh.
#[derive(Deserialize)]
struct CrtSh<'a> {
    #[serde(borrow)]
    issuer_name: Cow<'a, str>,
    #[serde(borrow)]
    entry_timestamp: Option<Cow<'a, str>>,
    #[serde(borrow)]
    serial_number: Option<Cow<'a, str>>,
    #[serde(borrow)]
    name_value: Option<Cow<'a, str>>,
    #[serde(borrow)]
    common_name: Option<Cow<'a, str>>,
}

/// What an entry says, whoever wrote it.
struct Entry<'a> {
    logged: EventTime,
    certificate: Option<Id128>,
    names: Vec<Cow<'a, str>>,
}

/// What is collected before it is in order.
#[derive(Default)]
struct Collector {
    certificates: Vec<(Id128, EventTime)>,
    names: Vec<(Id128, EventTime)>,
    /// With the certificate, so that one that is in several logs counts once.
    domains: Vec<(Id128, Id128, EventTime)>,
}

pub(super) fn recognise(head: &[u8]) -> bool {
    let text = String::from_utf8_lossy(head);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let line = text.lines().next().unwrap_or_default();
    // What is written over many lines does not say in its first one what it is.
    let start = if line.len() < MIN_LINE { text } else { line };
    let has = |key: &str| start.contains(key);
    let is_message = has("\"message_type\"") && (has("\"data\"") || has("\"timestamp\""));
    text.starts_with(['[', '{']) && (is_message || has("\"issuer_name\"") && has("\"name_value\""))
}

pub(super) fn load(paths: &[PathBuf]) -> (Transparency, Vec<ListReport>) {
    let mut collector = Collector::default();
    let reports = paths.iter().map(|path| collector.file(path)).collect();
    (collector.finish(), reports)
}

impl Collector {
    fn file(&mut self, path: &Path) -> ListReport {
        let mut report = ListReport::new(path.to_owned());
        let first = [self.certificates.len(), self.names.len(), self.domains.len()];
        let read = FeedFile::open(path).and_then(|mut file| {
            self.read(&mut file, &mut report)?;
            Ok(file.version())
        });
        match read {
            Ok(version) => report.version = Some(version),
            Err(error) => {
                // Half a file would look like a whole one.
                self.certificates.truncate(first[0]);
                self.names.truncate(first[1]);
                self.domains.truncate(first[2]);
                report.rows = 0;
                report.error = Some(error.to_string());
            }
        }
        report
    }

    fn read(&mut self, reader: &mut dyn Read, report: &mut ListReport) -> io::Result<()> {
        let mut head = Vec::new();
        Read::take(&mut *reader, HEAD).read_to_end(&mut head)?;
        let start = head.strip_prefix(MARK).unwrap_or(&head).trim_ascii_start();
        let first = start.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii();
        let is_document = first.starts_with(b"[") || first.starts_with(b"{") && first.len() < MIN_LINE;
        let mut reader = BufReader::with_capacity(256 * 1024, Cursor::new(head).chain(reader));
        if is_document {
            return self.document(&mut reader, report);
        }
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            if Read::take(&mut reader, MAX_LINE).read_until(b'\n', &mut line)? == 0 {
                break;
            }
            if line.last() != Some(&b'\n') && line.len() as u64 == MAX_LINE {
                report.bad(number, "the line is too long");
                reader.skip_until(b'\n')?;
                continue;
            }
            let bytes = line.strip_prefix(MARK).unwrap_or(&line).trim_ascii();
            match std::str::from_utf8(bytes) {
                Ok("") => {}
                Ok(text) => self.entry(number, text, report),
                Err(_) => report.bad(number, "the line is not UTF-8"),
            }
        }
        Ok(())
    }

    /// Reads a list of entries, or entries that are written over many lines each, one after the other.
    fn document(&mut self, reader: &mut dyn Read, report: &mut ListReport) -> io::Result<()> {
        report.unit = "element";
        let mut bytes = Vec::new();
        if Read::take(reader, MAX_DOCUMENT + 1).read_to_end(&mut bytes)? as u64 > MAX_DOCUMENT {
            return Err(io::Error::other("a document of more than 256 MiB; write one entry on each line"));
        }
        let text = text_of(bytes).map_err(io::Error::other)?;
        let text = text.trim_start_matches('\u{feff}').trim_start();
        if text.starts_with('[') {
            for_each(text, |number, element| self.entry(number.into(), element.get(), report))?;
            return Ok(());
        }
        for (number, element) in (1..).zip(serde_json::Deserializer::from_str(text).into_iter::<&RawValue>()) {
            self.entry(number, element?.get(), report);
        }
        Ok(())
    }

    fn entry(&mut self, number: u64, text: &str, report: &mut ListReport) {
        let entry = match Entry::parse(text) {
            Ok(Some((entry, shape))) => {
                report.shape.get_or_insert(shape);
                entry
            }
            Ok(None) => return report.without_date += 1,
            Err(problem) => return report.bad(number, problem),
        };
        if self.certificates.len().max(self.names.len()).max(self.domains.len()) >= MAX_ENTRIES {
            return report.bad(number, TOO_MANY);
        }
        report.rows += 1;
        self.certificates.extend(entry.certificate.map(|key| (key, entry.logged)));
        let mut domains = HashSet::new();
        for name in entry.names.iter().take(MAX_NAMES) {
            let name = name.trim().trim_end_matches('.').to_ascii_lowercase();
            if !name.contains('.') || name.contains([' ', '@', '/']) {
                continue;
            }
            self.names.push((Id128::of(name.as_bytes()), entry.logged));
            domains.extend(registrable(name.strip_prefix("*.").unwrap_or(&name)).map(|(id, _)| id));
        }
        let anonymous = || Id128::of_parts(&[&number.to_be_bytes(), text.as_bytes()]);
        let certificate = entry.certificate.unwrap_or_else(anonymous);
        self.domains.extend(domains.into_iter().map(|domain| (domain, certificate, entry.logged)));
    }

    fn finish(mut self) -> Transparency {
        // The first time of each counts, and of one certificate in several logs only the first.
        self.domains.sort_unstable();
        self.domains.dedup_by_key(|(domain, certificate, _)| (*domain, *certificate));
        let mut domains: Vec<_> = self.domains.into_iter().map(|(domain, _, logged)| (domain, logged)).collect();
        domains.sort_unstable();
        let firsts = |mut entries: Vec<(Id128, EventTime)>| {
            entries.sort_unstable();
            entries.dedup_by_key(|(key, _)| *key);
            entries.shrink_to_fit();
            entries
        };
        Transparency { certificates: firsts(self.certificates), names: firsts(self.names), domains }
    }
}

impl<'a> Entry<'a> {
    /// Reads an entry, and says which monitor wrote it; `None` for one that tells no time, such as a list of names alone,
    /// or that is no entry, such as a heartbeat.
    fn parse(text: &'a str) -> Result<Option<(Self, &'static str)>, &'static str> {
        let Ok(message) = serde_json::from_str::<Message<'a>>(text) else {
            let entry: CrtSh<'a> = serde_json::from_str(text).map_err(|_| BAD_JSON)?;
            return Ok(Self::of_crt_sh(entry)?.map(|entry| (entry, CRT_SH)));
        };
        if message.message_type != "certificate_update" {
            return Ok(None);
        }
        let data = message.data.ok_or(BAD_JSON)?;
        let update: Update<'a> = serde_json::from_str(data.get()).map_err(|_| BAD_JSON)?;
        Ok(Self::of_update(update)?.map(|entry| (entry, CERTSTREAM)))
    }

    fn of_update(update: Update<'a>) -> Result<Option<Self>, &'static str> {
        let time =
            |value: Option<&RawValue>| value.and_then(|value| EventTime::parse_epoch(value.get().trim_matches('"')));
        // The log's own time, where the server passes it on, comes before that of the monitor; milliseconds as a rule.
        let submitted =
            update.submission_timestamp.and_then(|value| EventTime::parse_millis(value.get().trim_matches('"')));
        let Some(logged) = submitted.into_iter().chain(time(update.seen)).filter(is_sound).min() else {
            return Ok(None);
        };
        let leaf = update.leaf_cert;
        let der = leaf.as_der.as_deref().and_then(|text| base64::engine::general_purpose::STANDARD.decode(text).ok());
        let parsed = der.and_then(|der| certificate_from_der(&der, None, None));
        let certificate = match &parsed {
            Some(parsed) => parsed
                .issuer
                .as_ref()
                .zip(parsed.serial.as_ref())
                .map(|(issuer, serial)| certificate_key(issuer, serial)),
            None => leaf
                .issuer
                .zip(leaf.serial_number.as_deref().and_then(Serial::parse))
                .map(|(issuer, serial)| certificate_key(&issuer.name(), &serial)),
        };
        let certified = || parsed.iter().flat_map(|it| it.san.iter()).flat_map(|san| san.dns.iter());
        let names = match leaf.all_domains.filter(|names| !names.is_empty()) {
            Some(names) => names,
            None => certified().map(|name| Cow::Owned(name.to_string())).collect(),
        };
        Ok(Some(Self { logged, certificate, names }))
    }

    fn of_crt_sh(entry: CrtSh<'a>) -> Result<Option<Self>, &'static str> {
        let Some(time) = entry.entry_timestamp else { return Ok(None) };
        let logged = EventTime::parse_iso8601(&time).filter(is_sound).ok_or("the time of the entry is not one")?;
        let issuer = DistinguishedName::from_suricata(&entry.issuer_name);
        let serial = entry.serial_number.as_deref().and_then(Serial::parse);
        let names = entry.name_value.as_deref().unwrap_or_default().lines().map(str::to_owned);
        let names = names.chain(entry.common_name.map(Cow::into_owned)).map(Cow::Owned);
        Ok(Some(Self {
            logged,
            certificate: serial.map(|serial| certificate_key(&issuer, &serial)),
            names: names.collect(),
        }))
    }
}

impl Issuer<'_> {
    fn name(&self) -> DistinguishedName {
        let parts = [
            (AttributeKind::Country, &self.c),
            (AttributeKind::StateOrProvince, &self.st),
            (AttributeKind::Locality, &self.l),
            (AttributeKind::Organization, &self.o),
            (AttributeKind::OrganizationalUnit, &self.ou),
            (AttributeKind::CommonName, &self.cn),
        ];
        let attributes = parts.into_iter().filter_map(|(kind, value)| Some(Attribute::new(kind, value.as_deref()?)));
        DistinguishedName::from_attributes(None, attributes.collect())
    }
}

/// No log is older than 2013.
fn is_sound(time: &EventTime) -> bool {
    const FIRST: i64 = 1_356_998_400;
    time.seconds() >= FIRST
}
