//! Which rows a certificate or a session meets.

use std::cell::LazyCell;
use std::sync::Arc;

use super::indicator::name_key;
use super::rows::{
    ISSUER, JA3, NO_TEXT, Note, PatternTest, SERIAL, SERIAL_ISSUER, SHA1, SHA256, SPKI, SUBJECT, ja3_key,
    serial_issuer_key, serial_key, sha1_key, sha256_key,
};
use super::suricata_rules::RuleHit;
use super::{FeedMatch, Feeds, MatchKind, Standing};
use crate::knowledge::suffix::controlling_domain;
use crate::model::{Address, AttributeKind, Certificate, Ja3, host_name};

/// What of a session is looked up.
#[derive(Clone, Copy, Debug)]
pub struct SessionNames<'a> {
    /// The name that the client asked for.
    pub name: Option<&'a str>,
    /// Whether a row may [list](Feeds::list_name) it: those are not looked for where it is known that none does.
    pub may_be_listed: bool,
    /// The server's address.
    pub server: Option<Address>,
    /// The certificate, for rules that look at the name as well.
    pub certificate: Option<&'a Certificate>,
}

/// A row that is met, before it is made into a [`FeedMatch`].
struct Hit {
    kind: MatchKind,
    note: u32,
    row: u32,
    port: Option<u16>,
    /// What the row lists; what the note says counts before it.
    indicator: String,
    field: &'static str,
    observed: String,
}

/// Rows that one lookup gives. Which of them hold, for the port and at the time, is seen later.
const MAX_MATCHES: usize = 4096;
/// Names of one certificate that are looked up.
const MAX_NAMES: usize = 256;
/// Domains above a name that are looked up.
const MAX_PARENTS: usize = 8;

impl Feeds {
    /// The rows that a certificate by itself meets, the most telling first: hashes, serial number, names in it, rules.
    pub fn of_certificate(&self, certificate: &Certificate) -> Vec<FeedMatch> {
        let mut hits = Vec::new();
        if let Some(sha256) = &certificate.sha256 {
            self.keyed(SHA256, sha256_key(sha256), MatchKind::Sha256, "sha256", || sha256.to_string(), &mut hits);
        }
        if let Some(sha1) = &certificate.sha1 {
            self.keyed(SHA1, sha1_key(sha1), MatchKind::Sha1, "sha1", || sha1.to_string(), &mut hits);
        }
        if let Some(spki) = &certificate.spki_sha256 {
            self.keyed(SPKI, sha256_key(spki), MatchKind::SpkiSha256, "spki_sha256", || spki.to_string(), &mut hits);
        }
        if let Some(serial) = &certificate.serial {
            let text = || serial.to_string();
            self.keyed(SERIAL, serial_key(serial), MatchKind::Serial, "serial", text, &mut hits);
            if let Some(issuer) = &certificate.issuer
                && !self.certificates[SERIAL_ISSUER].is_empty()
            {
                let key = serial_issuer_key(serial, issuer);
                self.keyed(SERIAL_ISSUER, key, MatchKind::SerialIssuer, "serial", text, &mut hits);
            }
        }
        if let Some(subject) = certificate.subject.as_ref().filter(|subject| !subject.is_empty()) {
            let key = u128::from_be_bytes(subject.key().0);
            self.keyed(SUBJECT, key, MatchKind::Subject, "subject", || subject.text().to_owned(), &mut hits);
        }
        if let Some(issuer) = certificate.issuer.as_ref().filter(|issuer| !issuer.is_empty()) {
            let key = u128::from_be_bytes(issuer.key().0);
            self.keyed(ISSUER, key, MatchKind::Issuer, "issuer", || issuer.text().to_owned(), &mut hits);
        }
        if !self.names.is_empty() {
            self.certified_names(certificate, &mut hits);
        }
        let mut matches = self.matches(hits);
        matches.extend(self.rules.of_certificate(certificate).into_iter().map(|hit| self.rule_match(hit)));
        finished(matches)
    }

    /// The rows that list what a client offers.
    pub fn of_fingerprint(&self, ja3: Ja3) -> Vec<FeedMatch> {
        let mut hits = Vec::new();
        self.keyed(JA3, ja3_key(ja3), MatchKind::Ja3, "ja3", || ja3.to_string(), &mut hits);
        hits.truncate(MAX_MATCHES);
        self.matches(hits)
    }

    /// Whether a row lists a name or one above it. The name is in lower case and without a final dot.
    pub fn list_name(&self, name: &str) -> bool {
        let mut hits = Vec::new();
        if !self.names.is_empty() && !name.is_empty() {
            self.name(name, name_key(name), "server_name", &mut hits);
        }
        !hits.is_empty()
    }

    /// The rows that the name and the server of a session meet, the most telling first.
    pub fn of_session(&self, session: &SessionNames<'_>) -> Vec<FeedMatch> {
        let mut hits = Vec::new();
        let mut rules = Vec::new();
        // Of nearly all names it is known that no row lists them: those are not read.
        let name = LazyCell::new(|| session.name.map(host_name).filter(|name| !name.is_empty()));
        if session.may_be_listed
            && !self.names.is_empty()
            && let Some(name) = name.as_deref()
        {
            self.name(name, name_key(name), "server_name", &mut hits);
        }
        if self.rules.look_at_sessions()
            && let Some(name) = name.as_deref()
        {
            rules = self.rules.of_session(name, session.certificate);
        }
        if let Some(server) = session.server.filter(|_| !self.networks.is_empty()) {
            self.networks.find(server, |network, port, entry| {
                hits.push(Hit {
                    kind: network.kind(),
                    note: entry.note,
                    row: entry.row,
                    port,
                    indicator: network.text(),
                    field: "server",
                    observed: server.ip().to_string(),
                });
            });
        }
        if hits.is_empty() && rules.is_empty() {
            return Vec::new();
        }
        let accuses = |hit: &Hit| self.note(hit.note).is_some_and(|note| !note.standing.is_remark());
        if hits.iter().any(accuses)
            && let Some(name) = name.as_deref()
        {
            self.patterns_in(name, &mut hits);
        }
        let mut matches = self.matches(hits);
        matches.extend(rules.into_iter().map(|hit| self.rule_match(hit)));
        finished(matches)
    }

    fn keyed(
        &self,
        table: usize,
        key: u128,
        kind: MatchKind,
        field: &'static str,
        observed: impl Fn() -> String,
        hits: &mut Vec<Hit>,
    ) {
        hits.extend(self.certificates[table].find(key).iter().map(|entry| Hit {
            kind,
            note: entry.note,
            row: entry.row,
            port: None,
            indicator: observed(),
            field,
            observed: observed(),
        }));
    }

    fn certified_names(&self, certificate: &Certificate, hits: &mut Vec<Hit>) {
        let san = certificate.san.iter().flat_map(|san| san.dns.iter()).map(|name| (&**name, "san.dns"));
        let subject = certificate.subject.iter();
        let common =
            subject.flat_map(|subject| subject.values(&AttributeKind::CommonName)).map(|name| (name, "subject.cn"));
        let mut seen: Vec<u64> = Vec::new();
        for (name, field) in san.chain(common).take(MAX_NAMES) {
            let (name, is_wildcard) = name.strip_prefix("*.").map_or((name, false), |name| (name, true));
            let name = host_name(name).into_owned();
            // The certificate of a hosting provider is not that of what a listed suffix means.
            if is_wildcard && controlling_domain(&name).is_none() {
                continue;
            }
            // A common name may be anything: only what looks like a host name is one.
            if !name.contains('.') || name.contains([' ', '/', '@']) {
                continue;
            }
            let key = name_key(&name);
            if !seen.contains(&key) {
                seen.push(key);
                self.name(&name, key, field, hits);
            }
        }
    }

    fn name(&self, name: &str, key: u64, field: &'static str, hits: &mut Vec<Hit>) {
        let mut push = |kind: MatchKind, note: u32, row: u32, indicator: String| {
            hits.push(Hit { kind, note, row, port: None, indicator, field, observed: name.to_owned() });
        };
        for entry in self.names.find(key) {
            push(MatchKind::Domain, entry.note, entry.row, name.to_owned());
        }
        let parents = std::iter::successors(above(name), |parent| above(parent));
        // The last label alone is never listed as a name.
        for parent in parents.take_while(|parent| parent.contains('.')).take(MAX_PARENTS) {
            for entry in self.names.find(name_key(parent)) {
                let Some(note) = self.note(entry.note) else { continue };
                // Below a hosting provider's suffix are other people's names, of which none is popular with it.
                match (note.below, controlling_domain(parent).is_some()) {
                    (true, false) if note.standing == Standing::WellKnown => {}
                    (true, true) => push(MatchKind::Domain, entry.note, entry.row, format!("*.{parent}")),
                    (true, false) => push(MatchKind::ParentDomain, entry.note, entry.row, format!("*.{parent}")),
                    (false, true) => push(MatchKind::ParentDomain, entry.note, entry.row, parent.to_owned()),
                    (false, false) => {}
                }
            }
        }
    }

    fn patterns_in(&self, name: &str, hits: &mut Vec<Hit>) {
        for pattern in &self.patterns {
            let indicator = match &pattern.test {
                PatternTest::Contains(part) if name.contains(&**part) => part.to_string(),
                PatternTest::Matches(regex) if regex.is_match(name) => regex.as_str().to_owned(),
                _ => continue,
            };
            hits.push(Hit {
                kind: MatchKind::Domain,
                note: pattern.note,
                row: pattern.row,
                port: None,
                indicator,
                field: "server_name",
                observed: name.to_owned(),
            });
        }
    }

    /// Rows as they are shown.
    fn matches(&self, hits: Vec<Hit>) -> Vec<FeedMatch> {
        hits.into_iter().filter_map(|hit| self.feed_match(hit)).collect()
    }

    fn feed_match(&self, hit: Hit) -> Option<FeedMatch> {
        let note = self.note(hit.note)?;
        let written = self.text(note.written);
        let indicator = written.map_or_else(|| hit.indicator.into(), |text| (*text).into());
        Some(FeedMatch {
            feed: Arc::clone(&self.files.get(note.feed as usize)?.name),
            row: hit.row,
            label: self.text(note.label),
            indicator,
            kind: hit.kind,
            standing: note.standing,
            listed: note.listed,
            expires: note.expires,
            port: hit.port,
            confidence: note.confidence,
            field: hit.field,
            observed: hit.observed.into(),
        })
    }

    fn rule_match(&self, hit: RuleHit<'_>) -> FeedMatch {
        let rule = hit.rule;
        FeedMatch {
            feed: self.files.get(rule.feed as usize).map_or_else(|| "".into(), |file| Arc::clone(&file.name)),
            row: rule.row,
            label: Some(Arc::clone(&rule.label)).filter(|label| !label.is_empty()),
            indicator: rule.indicator().into(),
            kind: rule.kind,
            standing: rule.standing,
            listed: rule.listed,
            expires: None,
            port: rule.port,
            confidence: None,
            field: hit.field,
            observed: hit.observed.into(),
        }
    }

    fn note(&self, index: u32) -> Option<&Note> {
        self.notes.get(index as usize)
    }

    fn text(&self, index: u32) -> Option<Arc<str>> {
        (index != NO_TEXT).then(|| self.texts.get(index as usize)).flatten().map(Arc::clone)
    }
}

/// What lies above a name.
fn above(name: &str) -> Option<&str> {
    name.split_once('.').map(|(_, rest)| rest)
}

/// The most telling first, then by feed and row; nothing where all that is met are remarks.
fn finished(mut matches: Vec<FeedMatch>) -> Vec<FeedMatch> {
    if matches.iter().all(|found| found.standing.is_remark()) {
        return Vec::new();
    }
    matches.sort_by(|a, b| order(a).cmp(&order(b)));
    matches.truncate(MAX_MATCHES);
    matches
}

fn order(found: &FeedMatch) -> (Standing, MatchKind, &str, u32, &str) {
    (found.standing, found.kind, &found.feed, found.row, &found.indicator)
}
