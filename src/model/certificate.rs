//! What is known of one certificate, from log strings or from DER.

use serde::{Deserialize, Serialize};

use super::hash::{CertificateId, Id128, Sha1Digest, Sha256Digest};
use super::name::{AttributeKind, DistinguishedName};
use super::serial::Serial;
use super::time::{EventTime, ValidityTime};

/// The facts of one certificate; a field that the sensor did not log is `None`, which is unknown and not empty.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Certificate {
    /// What certsift knows it by.
    pub id: CertificateId,
    /// Where the facts come from.
    pub source: CertificateSource,
    /// SHA-256 of the DER.
    pub sha256: Option<Sha256Digest>,
    /// SHA-1 of the DER.
    pub sha1: Option<Sha1Digest>,
    /// SHA-256 of the SubjectPublicKeyInfo.
    pub spki_sha256: Option<Sha256Digest>,
    /// X.509 version, 1 to 3.
    pub version: Option<u8>,
    /// Serial number.
    pub serial: Option<Serial>,
    /// Subject name.
    pub subject: Option<DistinguishedName>,
    /// Issuer name.
    pub issuer: Option<DistinguishedName>,
    /// Start of the validity.
    pub not_before: Option<ValidityTime>,
    /// End of the validity.
    pub not_after: Option<ValidityTime>,
    /// Public key.
    pub key: Option<Key>,
    /// Signature algorithm, by the name that OpenSSL prints.
    pub signature_algorithm: Option<Box<str>>,
    /// Subject alternative names; `None` when the sensor does not log them, empty when there are none.
    pub san: Option<SubjectAltNames>,
    /// Basic constraints: whether it is a CA; `None` when the extension is absent or not logged.
    pub ca: Option<bool>,
    /// Whether it signed itself; `None` when subject or issuer are unknown.
    pub self_signed: Option<SelfSigned>,
    /// Identity of the issuer's organisation.
    pub issuer_organization: Option<Id128>,
    /// When a Certificate Transparency log first promised to hold it (RFC 6962 §3.3), from DER. Not checked: who makes a
    /// certificate of his own can write anything there.
    #[serde(skip)]
    pub logged_at: Option<EventTime>,
    /// Key identifier of the issuer (RFC 5280 §4.2.1.1), from DER.
    pub authority_key_id: Option<Box<[u8]>>,
}

/// Where the facts of a certificate come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum CertificateSource {
    /// Strings in the log.
    LogStrings,
    /// The DER encoding.
    Der,
}

/// A public key's algorithm and size.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Key {
    /// `rsa`, `ecdsa`, `dsa`, or another name in lower case.
    pub algorithm: Box<str>,
    /// Size in bits.
    pub bits: Option<u32>,
    /// Named curve.
    pub curve: Option<Box<str>>,
}

/// Names beside the subject, bounded; `count` is the true number of entries.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SubjectAltNames {
    /// DNS names as logged.
    pub dns: Vec<Box<str>>,
    /// IP addresses as text.
    pub ip: Vec<Box<str>>,
    /// URIs.
    pub uri: Vec<Box<str>>,
    /// E-mail addresses.
    pub email: Vec<Box<str>>,
    /// How many entries the extension has, of all kinds.
    pub count: u32,
}

/// How sure it is that a certificate signed itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SelfSigned {
    /// The signature was checked with the certificate's own key.
    Verified,
    /// Subject and issuer are equal; the signature could not be checked.
    SameName,
    /// Another issuer, or a signature that its own key did not make.
    No,
}

impl SubjectAltNames {
    /// Entries of one kind that are kept. The largest list seen in public data has several thousand.
    pub const MAX_KEPT: usize = 256;

    /// Adds a DNS name.
    pub fn push_dns(&mut self, name: &str) {
        push_bounded(&mut self.dns, &mut self.count, name);
    }

    /// Adds an IP address.
    pub fn push_ip(&mut self, address: &str) {
        push_bounded(&mut self.ip, &mut self.count, address);
    }

    /// Adds a URI.
    pub fn push_uri(&mut self, uri: &str) {
        push_bounded(&mut self.uri, &mut self.count, uri);
    }

    /// Adds an e-mail address.
    pub fn push_email(&mut self, address: &str) {
        push_bounded(&mut self.email, &mut self.count, address);
    }

    /// Counts an entry of another kind.
    pub fn push_other(&mut self) {
        self.count = self.count.saturating_add(1);
    }
}

fn push_bounded(list: &mut Vec<Box<str>>, count: &mut u32, value: &str) {
    *count = count.saturating_add(1);
    if list.len() < SubjectAltNames::MAX_KEPT {
        list.push(value.into());
    }
}

impl Certificate {
    /// A certificate of which nothing is known yet.
    pub fn unknown(source: CertificateSource) -> Self {
        Self {
            id: Id128([0; 16]),
            source,
            sha256: None,
            sha1: None,
            spki_sha256: None,
            version: None,
            serial: None,
            subject: None,
            issuer: None,
            not_before: None,
            not_after: None,
            key: None,
            signature_algorithm: None,
            san: None,
            ca: None,
            self_signed: None,
            issuer_organization: None,
            logged_at: None,
            authority_key_id: None,
        }
    }

    /// Fixes what follows from the facts, and the id from the best identity that is known: SHA-256, else SHA-1, else the facts themselves.
    pub fn with_id(mut self) -> Self {
        self.issuer_organization = self.issuer.as_ref().and_then(organization_id);
        self.id = match (&self.sha256, &self.sha1) {
            (Some(sha256), _) => Id128::of(&sha256.0),
            (None, Some(sha1)) => Id128::of_parts(&[b"sha1", &sha1.0]),
            (None, None) => self.id_of_facts(),
        };
        self
    }

    /// Length of the validity in days, rounded down; negative when it ends before it begins.
    pub fn validity_days(&self) -> Option<i64> {
        let (not_before, not_after) = (self.not_before?, self.not_after?);
        Some(not_after.0.saturating_sub(not_before.0).div_euclid(86_400))
    }

    /// Whether it is for a name, which may be a wildcard's first label: by its alternative names, and by the common name
    /// where those are unknown or there are none. `None` when that cannot be said: neither is logged, or there are more
    /// names than are kept.
    pub fn covers(&self, name: &str) -> Option<bool> {
        let name = name.strip_suffix('.').unwrap_or(name);
        let stands_for = |pattern: &str| match pattern.strip_prefix("*.") {
            Some(parent) => name.split_once('.').is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(parent)),
            None => pattern.eq_ignore_ascii_case(name),
        };
        match &self.san {
            Some(san) if !san.dns.is_empty() => {
                let found = san.dns.iter().chain(&san.ip).any(|pattern| stands_for(pattern));
                (found || san.count as usize <= SubjectAltNames::MAX_KEPT).then_some(found)
            }
            san => {
                let found = self.subject.as_ref()?.values(&AttributeKind::CommonName).any(stands_for);
                (found || san.is_some()).then_some(found)
            }
        }
    }

    /// Whether subject and issuer are the same name.
    pub fn is_self_issued(&self) -> bool {
        matches!(self.self_signed, Some(SelfSigned::Verified | SelfSigned::SameName))
    }

    fn id_of_facts(&self) -> CertificateId {
        let serial = self.serial.as_ref().map(ToString::to_string).unwrap_or_default();
        let subject = self.subject.as_ref().map_or("", DistinguishedName::text);
        let issuer = self.issuer.as_ref().map_or("", DistinguishedName::text);
        let time = |time: Option<ValidityTime>| time.map_or(i64::MIN, |time| time.0).to_be_bytes();
        Id128::of_parts(&[
            b"facts",
            serial.as_bytes(),
            subject.as_bytes(),
            issuer.as_bytes(),
            &time(self.not_before),
            &time(self.not_after),
            &self.key.as_ref().and_then(|key| key.bits).unwrap_or_default().to_be_bytes(),
        ])
    }
}

/// The organisation of a name, as an identity.
pub(crate) fn organization_id(name: &DistinguishedName) -> Option<Id128> {
    let organization = name.first(&AttributeKind::Organization)?;
    let folded = organization.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    Some(Id128::of_parts(&[b"organization", folded.as_bytes()]))
}
