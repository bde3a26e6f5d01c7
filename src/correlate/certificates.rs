//! The certificates that sessions may refer to: a bounded cache in front of the store on disk.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use crate::enrich::{CertificateAnalysis, TellingBytes};
use crate::history::{ObservedCertificate, Table, Weighted};
use crate::model::{
    Certificate, CertificateId, CertificateSource, DistinguishedName, Id128, Sha1Digest, Sha256Digest, SharedNames,
};
use crate::state::{CertificateReader, CertificateSpill};

/// A certificate with what follows from it and from knowledge alone, worked out once.
#[derive(Debug)]
pub struct KnownCertificate {
    /// Its facts.
    pub certificate: Arc<Certificate>,
    /// Whether it came first in a certificate message, as far as a sensor said so.
    pub host: Option<bool>,
    /// As history is told of it when it is presented. It follows from the facts, which lie far apart in memory.
    pub observed: ObservedCertificate,
    /// When it is valid from at the earliest, in seconds, as far as the sensor's time zone is known.
    pub valid_from: Option<i64>,
    /// Whether a public CA issued it, once somebody has asked.
    pub is_public: OnceLock<bool>,
    /// Filled by the first worker that needs it.
    pub analysis: OnceLock<CertificateAnalysis>,
    /// Where what is to be told of it is counted.
    pub telling: TellingBytes,
    /// Bytes of memory that all of this takes, roughly; but for what is to be told of it.
    weight: u32,
}

impl KnownCertificate {
    pub(super) fn new(certificate: Arc<Certificate>, host: Option<bool>, telling: TellingBytes) -> Self {
        let observed = observed(&certificate);
        let valid_from = certificate.not_before.map(|start| start.0.saturating_sub(certificate.validity_slack()));
        let weight = u32::try_from(size_of::<Self>() + certificate.bytes() + analysis_bytes(&certificate));
        let weight = weight.unwrap_or(u32::MAX);
        Self {
            certificate,
            host,
            observed,
            valid_from,
            is_public: OnceLock::new(),
            analysis: OnceLock::new(),
            telling,
            weight,
        }
    }
}

/// What the state keeps of a certificate.
#[derive(Clone, Debug)]
pub struct StoredCertificate {
    /// Its facts.
    pub certificate: Arc<Certificate>,
    /// Whether it came first in a certificate message.
    pub host: Option<bool>,
}

/// What came later stands behind the facts, so that a certificate that was stored without it is read as well.
impl serde::Serialize for StoredCertificate {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.certificate, self.host, self.certificate.logged_at, self.certificate.der.as_deref())
            .serialize(serializer)
    }
}

impl<'a> serde::Deserialize<'a> for StoredCertificate {
    fn deserialize<D: serde::Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parts;
        impl<'a> serde::de::Visitor<'a> for Parts {
            type Value = StoredCertificate;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a stored certificate")
            }

            fn visit_seq<A: serde::de::SeqAccess<'a>>(self, mut parts: A) -> Result<StoredCertificate, A::Error> {
                let missing = |part| serde::de::Error::invalid_length(part, &self);
                let mut certificate: Certificate = parts.next_element()?.ok_or_else(|| missing(0))?;
                let host = parts.next_element()?.ok_or_else(|| missing(1))?;
                certificate.logged_at = parts.next_element().unwrap_or_default().flatten();
                let der: Option<Option<Vec<u8>>> = parts.next_element().unwrap_or_default();
                certificate.der = der.flatten().map(Into::into);
                Ok(StoredCertificate { certificate: Arc::new(certificate), host })
            }
        }
        deserializer.deserialize_tuple(4, Parts)
    }
}

impl StoredCertificate {
    /// What is to be kept of a certificate.
    pub fn new(certificate: Arc<Certificate>, host: Option<bool>) -> Self {
        Self { certificate, host }
    }

    /// What two states know of one certificate: the facts that say more, or the same ones wherever they came from.
    pub fn merge(&self, other: &Self) -> Self {
        let place = |stored: &Self| {
            let text = postcard::to_allocvec(&stored.certificate).unwrap_or_default();
            (worth(&stored.certificate), std::cmp::Reverse(text))
        };
        let better = if place(other) > place(self) { other } else { self };
        // Known to come first, else known not to, else unknown.
        Self::new(Arc::clone(&better.certificate), self.host.max(other.host))
    }
}

/// Certificates by identity, and the other names that logs have for them.
pub struct CertificateStore {
    cache: Table<Arc<KnownCertificate>>,
    /// What a session calls a certificate (a file id, a SHA-1), where that is not its identity.
    links: Table<CertificateId>,
    /// SHA-1 of certificates of which only a SHA-256 was logged, from `files.log`.
    pairs: Table<Sha1Digest>,
    /// New since the last commit; what a commit has taken and may not have written yet is kept beside it.
    pending: HashMap<CertificateId, StoredCertificate>,
    in_flight: Vec<(u64, Arc<HashMap<CertificateId, StoredCertificate>>)>,
    /// What happened since it was taken last, where that is wanted.
    effects: Option<CertificateEffects>,
    backing: Backing,
    /// Names of issuers of those that were read back.
    issuers: SharedNames,
    telling: TellingBytes,
    /// Bytes that certificates may take in memory.
    memory: u64,
}

/// What happened to the certificates, so that it can be done again.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct CertificateEffects {
    learnt: Vec<(CertificateId, StoredCertificate)>,
    links: Vec<(CertificateId, CertificateId)>,
    pairs: Vec<(CertificateId, Sha1Digest)>,
}

impl CertificateEffects {
    pub(super) fn is_empty(&self) -> bool {
        self.learnt.is_empty() && self.links.is_empty() && self.pairs.is_empty()
    }
}

/// Where certificates are that are not in memory.
pub enum Backing {
    /// In the state, which commits write to: every certificate goes there.
    State(Box<dyn CertificateReader>),
    /// In a file of this process: only what memory has no room for goes there.
    Spill(CertificateSpill),
}

impl Weighted for Sha1Digest {}

impl Weighted for Arc<KnownCertificate> {
    fn weight(&self) -> u32 {
        self.weight
    }
}

/// Bytes of certificates in memory, unless configured otherwise: some fifty thousand of them.
pub const CERTIFICATE_MEMORY: u64 = 96 << 20;
/// Other names in memory. File ids are good for one connection only.
const LINK_CAPACITY: u64 = 262_144;
/// Hash pairs in memory.
const PAIR_CAPACITY: u64 = 65_536;

impl CertificateStore {
    /// An empty store in front of `backing`.
    pub fn new(backing: Backing) -> Self {
        let tracking = matches!(backing, Backing::State(_));
        Self {
            cache: Table::new(CERTIFICATE_MEMORY, false),
            links: Table::new(LINK_CAPACITY, tracking),
            pairs: Table::new(PAIR_CAPACITY, tracking),
            pending: HashMap::new(),
            in_flight: Vec::new(),
            effects: None,
            backing,
            issuers: SharedNames::default(),
            telling: TellingBytes::default(),
            memory: CERTIFICATE_MEMORY,
        }
    }

    /// The same, which keeps so many bytes of certificates in memory.
    pub fn within(self, memory: u64) -> Self {
        Self { cache: Table::new(memory, false), memory, ..self }
    }

    /// Notes from now on what happens.
    pub(super) fn note_effects(&mut self) {
        self.effects = Some(CertificateEffects::default());
    }

    pub(super) fn take_effects(&mut self) -> CertificateEffects {
        self.effects.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Does again what happened.
    pub(super) fn apply(&mut self, effects: CertificateEffects) {
        for (id, stored) in effects.learnt {
            self.put(id, stored.certificate, stored.host);
        }
        for (name, id) in effects.links {
            self.links.insert(name, id);
        }
        for (id, sha1) in effects.pairs {
            self.pairs.insert(id, sha1);
        }
    }

    /// Forgets what followed from knowledge, which has changed.
    pub(super) fn forget_analyses(&mut self) {
        self.cache = Table::new(self.memory, false);
        if let Backing::Spill(spill) = &mut self.backing {
            spill.forget_silences();
        }
    }

    /// Learns a certificate; better facts replace poorer ones of the same certificate.
    pub fn learn(
        &mut self,
        certificate: &Arc<Certificate>,
        reference: Option<CertificateId>,
        host: Option<bool>,
    ) -> Arc<KnownCertificate> {
        let sha1_name = certificate.sha1.map(|sha1| Id128::of_parts(&[b"sha1", &sha1.0]));
        // A certificate known by SHA-1 alone may be known in full under its SHA-256.
        let id = match sha1_name.and_then(|name| self.links.peek(name)) {
            Some(&full) if certificate.sha256.is_none() => full,
            _ => certificate.id,
        };
        if let Some(name) = sha1_name.filter(|name| *name != id) {
            self.link(name, id);
        }
        if let Some(reference) = reference.filter(|reference| *reference != id) {
            self.link(reference, id);
        }
        let known = self.known(id);
        let known_host = known.as_ref().and_then(|known| known.host);
        // The same certificate may be logged first in one message and later in another.
        let host = if known_host == Some(true) { known_host } else { host.or(known_host) };
        match known {
            Some(known) if !is_better(certificate, &known.certificate) && known.host == host => known,
            Some(known) if !is_better(certificate, &known.certificate) => {
                self.put(id, Arc::clone(&known.certificate), host)
            }
            _ => {
                let certificate = self.with_known_sha1(certificate);
                self.put(id, certificate, host)
            }
        }
    }

    /// Learns that two hashes are of one certificate.
    pub fn learn_pair(&mut self, sha1: Sha1Digest, sha256: Sha256Digest) {
        let id = Id128::of(&sha256.0);
        self.link(Id128::of_parts(&[b"sha1", &sha1.0]), id);
        self.pairs.insert(id, sha1);
        if let Some(effects) = &mut self.effects {
            effects.pairs.push((id, sha1));
        }
        if let Some(known) = self.known(id).filter(|known| known.certificate.sha1.is_none()) {
            let certificate = self.with_known_sha1(&known.certificate);
            self.put(id, certificate, known.host);
        }
    }

    /// The certificate that a session refers to.
    pub fn find(&mut self, reference: CertificateId) -> Option<Arc<KnownCertificate>> {
        let id = match self.links.get(reference) {
            Some(&mut id) => {
                self.note_link(reference, id);
                id
            }
            None => reference,
        };
        self.known(id)
    }

    /// What is to be stored with commit number `commit`; it stays readable here until that is done.
    pub fn take_pending(&mut self, commit: u64) -> Arc<HashMap<CertificateId, StoredCertificate>> {
        let taken = Arc::new(std::mem::take(&mut self.pending));
        if !taken.is_empty() {
            self.in_flight.push((commit, Arc::clone(&taken)));
        }
        taken
    }

    /// Forgets what commits up to `commit` have written.
    pub fn committed(&mut self, commit: u64) {
        self.in_flight.retain(|(number, _)| *number > commit);
    }

    /// Names of certificates that are not their identity, to be stored.
    pub fn links_mut(&mut self) -> &mut Table<CertificateId> {
        &mut self.links
    }

    /// Hash pairs, to be stored.
    pub fn pairs_mut(&mut self) -> &mut Table<Sha1Digest> {
        &mut self.pairs
    }

    /// Certificates that were forgotten and cannot be read back.
    pub fn forgotten(&self) -> u64 {
        match &self.backing {
            Backing::State(_) => 0,
            Backing::Spill(spill) => spill.forgotten(),
        }
    }

    fn link(&mut self, name: CertificateId, id: CertificateId) {
        // What is there already counts as used, which is an effect as well.
        if self.links.get(name).map(|known| *known) != Some(id) {
            self.links.insert(name, id);
        }
        self.note_link(name, id);
    }

    fn note_link(&mut self, name: CertificateId, id: CertificateId) {
        if let Some(effects) = &mut self.effects {
            effects.links.push((name, id));
        }
    }

    fn known(&mut self, id: CertificateId) -> Option<Arc<KnownCertificate>> {
        if let Some(known) = self.cache.get(id) {
            return Some(Arc::clone(known));
        }
        let in_flight = || self.in_flight.iter().rev().find_map(|(_, taken)| taken.get(&id)).cloned();
        let stored = self.pending.get(&id).cloned().or_else(in_flight);
        let mut silence = None;
        let stored = stored.or_else(|| match &mut self.backing {
            Backing::State(state) => state.read(id),
            Backing::Spill(spill) => {
                let (stored, known) = spill.read(id)?;
                silence = known;
                Some(stored)
            }
        })?;
        let StoredCertificate { mut certificate, host } = stored;
        if let Some(certificate) = Arc::get_mut(&mut certificate) {
            certificate.issuer = certificate.issuer.take().map(|name| self.issuers.share(name));
        }
        let known = KnownCertificate::new(certificate, host, self.telling.clone());
        if let Some(silence) = silence {
            let analysis =
                CertificateAnalysis::of_silence(&known.certificate, silence).counted(&known.certificate, &self.telling);
            known.analysis.get_or_init(|| analysis);
        }
        let known = Arc::new(known);
        self.remember(id, &known);
        Some(known)
    }

    fn put(&mut self, id: CertificateId, certificate: Arc<Certificate>, host: Option<bool>) -> Arc<KnownCertificate> {
        if matches!(self.backing, Backing::State(_)) {
            let stored = StoredCertificate::new(Arc::clone(&certificate), host);
            if let Some(effects) = &mut self.effects {
                effects.learnt.push((id, stored.clone()));
            }
            self.pending.insert(id, stored);
        }
        if let Backing::Spill(spill) = &mut self.backing {
            spill.forget(id);
        }
        let known = Arc::new(KnownCertificate::new(certificate, host, self.telling.clone()));
        self.remember(id, &known);
        known
    }

    /// Keeps a certificate in memory; what has to make room for it goes to the spill file.
    fn remember(&mut self, id: CertificateId, known: &Arc<KnownCertificate>) {
        let backing = &mut self.backing;
        // However much there is to be told, a quarter of the memory is for the certificates themselves.
        self.cache.set_capacity(self.memory - self.telling.get().min(self.memory / 4 * 3));
        self.cache.insert_instead(id, Arc::clone(known), |id, known| {
            if let Backing::Spill(spill) = backing {
                let silence = known.analysis.get().and_then(CertificateAnalysis::silence);
                spill.write(id, silence, || StoredCertificate::new(Arc::clone(&known.certificate), known.host));
            }
        });
    }

    fn with_known_sha1(&self, certificate: &Arc<Certificate>) -> Arc<Certificate> {
        match (certificate.sha1, certificate.sha256.and_then(|sha256| self.pairs.peek(Id128::of(&sha256.0)))) {
            (None, Some(&sha1)) => Arc::new(Certificate { sha1: Some(sha1), ..(**certificate).clone() }),
            _ => Arc::clone(certificate),
        }
    }
}

/// A certificate as history is told of it.
fn observed(certificate: &Certificate) -> ObservedCertificate {
    let issuer = certificate.issuer.as_ref().filter(|issuer| !issuer.is_empty());
    let issued = issuer.filter(|_| !certificate.is_self_issued());
    ObservedCertificate {
        id: certificate.id,
        key: certificate.spki_sha256.as_ref().map(|spki| Id128::first_half(&spki.0)),
        issuer: issued.map(DistinguishedName::key),
        organization: issued.and(certificate.issuer_organization),
        own_issuer: certificate.is_self_issued(),
        recalled: false,
    }
}

/// Bytes of what workers make of a certificate that nothing is to be told of: its fields as they stand in records, and
/// its domains; and of its place in the table.
fn analysis_bytes(certificate: &Certificate) -> usize {
    /// Times and the names of all fields.
    const FIELDS: usize = 144;
    const SHA1: usize = 56;
    const SHA256: usize = 80;
    /// A domain is kept with its identity.
    const DOMAIN: usize = 64;
    const MOST_DOMAINS: usize = 20;
    const PLACE: usize = 96;
    let names = certificate.san.as_ref().map_or(0, |san| san.dns.len());
    let texts = [&certificate.subject, &certificate.issuer].into_iter().flatten().map(|name| name.text().len());
    let hashes = certificate.sha1.map_or(0, |_| SHA1) + certificate.sha256.map_or(0, |_| SHA256);
    FIELDS + hashes + texts.sum::<usize>() + names.clamp(1, MOST_DOMAINS) * DOMAIN + PLACE
}

/// Whether new facts say more: DER over strings, and strings over fewer strings.
fn is_better(new: &Certificate, known: &Certificate) -> bool {
    worth(new) > worth(known)
}

fn worth(certificate: &Certificate) -> (bool, u8) {
    let strings = u8::from(certificate.serial.is_some())
        + u8::from(certificate.not_after.is_some())
        + u8::from(certificate.subject.is_some())
        + u8::from(certificate.san.is_some());
    (certificate.source == CertificateSource::Der, strings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enrich::CheckSet;
    use crate::model::SubjectAltNames;

    #[test]
    fn what_is_to_be_told_of_certificates_leaves_room_for_fewer() {
        const MEMORY: u64 = 1 << 20;
        let knowledge = crate::knowledge::Knowledge::builtin().unwrap();
        let mut store = CertificateStore::new(Backing::Spill(CertificateSpill::default())).within(MEMORY);
        for number in 0..2000 {
            let mut certificate = Certificate::unknown(CertificateSource::LogStrings);
            certificate.subject = Some(DistinguishedName::from_rfc2253(&format!("CN=<script>{number}</script>")));
            let known = store.learn(&Arc::new(certificate.with_id()), None, Some(true));
            known.analysis.get_or_init(|| {
                CertificateAnalysis::of(&known.certificate, &knowledge, CheckSet::ALL)
                    .counted(&known.certificate, &known.telling)
            });
            let all = store.cache.weight() + store.telling.get();
            // The newest stays, whatever it weighs, and what is to be told of it is known only then.
            assert!(all <= MEMORY + 16 * 1024, "{all}");
        }
        assert!(store.telling.get() > MEMORY / 8 && store.cache.len() > 100);
    }

    #[test]
    fn large_certificates_leave_room_for_fewer_and_all_of_them_are_found() {
        const MEMORY: u64 = 1 << 20;
        let mut store = CertificateStore::new(Backing::Spill(CertificateSpill::default())).within(MEMORY);
        let id = |number: u32| Id128::of(&number.to_be_bytes());
        for number in 0..200 {
            let mut san = SubjectAltNames::default();
            for name in 0..SubjectAltNames::MAX_KEPT {
                san.push_dns(&format!("{name}.{}.example", "x".repeat(200)));
            }
            let unknown = Certificate::unknown(CertificateSource::LogStrings);
            let certificate = Certificate { id: id(number), san: Some(san), ..unknown };
            store.learn(&Arc::new(certificate), None, Some(true));
            assert!(store.cache.weight() <= MEMORY, "{}", store.cache.weight());
        }
        assert!(store.cache.len() < 20);
        for number in (0..200).chain(0..200) {
            let found = store.find(id(number)).expect("it was put away");
            assert_eq!(found.certificate.san.as_ref().map(|san| san.count), Some(SubjectAltNames::MAX_KEPT as u32));
        }
        assert_eq!(store.forgotten(), 0);
    }
}
