//! In: root certificates, certificates of CAs, and what a server showed. Out: whether its certificate leads to a root.
//! Promise: judged at the record's time and never by the wall clock; worked out once for each chain, until
//! one of its certificates begins or ends; what cannot be
//! judged is `unverifiable`, and nobody is accused of it.
//!
//! The roots that are compiled in are Mozilla's (crate `webpki-root-certs`); the user may name others, and CCADB's
//! certificates of CAs, which stand in for those that a server left out.

mod sensor;
mod verify;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use rustls_pki_types::{CertificateDer, TrustAnchor};
use schemars::JsonSchema;
use serde::Serialize;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::pem::{self, PemReport};
use crate::model::{Certificate, CertificateSource, Id128, PresentedChain};

pub use sensor::of_sensor;

/// Roots and CAs, and what was found of chains.
pub struct TrustStore {
    anchors: Vec<TrustAnchor<'static>>,
    /// Certificates of CAs by their subject as encoded.
    authorities: HashMap<Box<[u8]>, Vec<Authority>>,
    known: [Mutex<HashMap<Key, Known>>; SHARDS],
}

/// A certificate of a CA.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Authority {
    der: Vec<u8>,
    /// Its validity, in seconds since 1970.
    not_before: i64,
    not_after: i64,
    /// Its issuer as encoded.
    issuer: Box<[u8]>,
}

/// Whether a certificate leads to a root.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Chain {
    /// Whether it does.
    pub status: ChainStatus,
    /// Why it does not, or why that cannot be said.
    pub reason: Option<ChainReason>,
    /// Who says so.
    pub by: ChainJudge,
}

/// Whether a certificate leads to a root, at the record's time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChainStatus {
    /// It does.
    Trusted,
    /// It does not.
    Untrusted,
    /// It, or a certificate above it, has expired.
    Expired,
    /// Its validity, or that of a certificate above it, has not begun.
    NotYetValid,
    /// It does, and is not for the name that was asked for.
    NameMismatch,
    /// It cannot be said.
    Unverifiable,
}

/// Why a certificate does not lead to a root, or why that cannot be said.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChainReason {
    /// It vouches for itself.
    SelfSigned,
    /// The last CA is neither a root nor known.
    UnknownIssuer,
    /// A public CA's certificate is missing between it and a root, or its root is no longer one.
    MissingIssuer,
    /// A signature does not fit the key of the CA that is named.
    BadSignature,
    /// A certificate above it is not valid at that time.
    IssuerValidity,
    /// A rule of a CA above it forbids it: names, length of the path, or that it is no CA.
    Constraint,
    /// It was revoked.
    Revoked,
    /// An algorithm or a key that is not checked, such as SHA-1.
    Algorithm,
    /// Its key usage is not that of a server.
    Usage,
    /// Its encoding cannot be read.
    Encoding,
    /// The sensor says something else.
    Other,
}

/// Who judged a chain.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChainJudge {
    /// certsift, from DER.
    Der,
    /// The sensor, in Zeek's `validation_status`.
    Sensor,
}

/// A certificate, and what came with it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    leaf: Id128,
    presented: Id128,
}

/// What was found of a chain, and when it holds.
#[derive(Clone, Copy)]
struct Known {
    chain: Chain,
    span: Span,
}

/// The seconds, first and last, in which the same certificates are valid: a chain leads to the same end in all of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Span {
    first: i64,
    last: i64,
}

const SHARDS: usize = 16;
/// Chains that a shard remembers; 16,384 in all. One that is full starts again.
const MAX_PER_SHARD: usize = 1024;
/// Certificates of CAs that are kept, three times what CCADB lists.
const MAX_AUTHORITIES: usize = 32_768;
/// Roots that are kept.
const MAX_ROOTS: usize = 4096;

impl TrustStore {
    /// The roots that are compiled in.
    pub fn builtin() -> Self {
        Self::new(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().filter_map(anchor).collect(), HashMap::new())
    }

    /// Roots from the user's files, or those compiled in where none is named, and certificates of CAs.
    pub fn load(roots: &[PathBuf], intermediates: &[PathBuf]) -> (Self, Vec<PemReport>) {
        let mut anchors = Vec::new();
        let mut reports: Vec<PemReport> = roots
            .iter()
            .map(|path| {
                pem::read(path, |der| {
                    let found = anchor(&CertificateDer::from(der)).filter(|_| anchors.len() < MAX_ROOTS);
                    let is_root = found.is_some();
                    anchors.extend(found);
                    is_root
                })
            })
            .collect();
        if roots.is_empty() {
            anchors = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().filter_map(anchor).collect();
        }
        let (mut authorities, mut kept) = (HashMap::<Box<[u8]>, Vec<Authority>>::new(), 0);
        reports.extend(intermediates.iter().map(|path| {
            pem::read(path, |der| {
                let Some((subject, authority)) = authority(der).filter(|_| kept < MAX_AUTHORITIES) else {
                    return false;
                };
                kept += 1;
                authorities.entry(subject).or_default().push(authority);
                true
            })
        }));
        // The order of files decides nothing.
        for same in authorities.values_mut() {
            same.sort_unstable();
            same.dedup();
        }
        (Self::new(anchors, authorities), reports)
    }

    /// Whether a certificate leads to a root at a time; `None` where its DER is not logged. `presented` is what came with it;
    /// `is_public` says whether its issuer is named as a public CA: then what is missing is the server's fault, or the root is
    /// one no longer.
    pub fn chain(
        &self,
        certificate: &Certificate,
        presented: Option<&PresentedChain>,
        seconds: i64,
        is_public: bool,
    ) -> Option<Chain> {
        let Some(der) = certificate.der.as_deref() else {
            // One that was too long to be kept was logged, and cannot be judged.
            let unread =
                Chain { status: ChainStatus::Unverifiable, reason: Some(ChainReason::Encoding), by: ChainJudge::Der };
            return (certificate.source == CertificateSource::Der).then_some(unread);
        };
        let within = verify::within_validity(certificate, seconds);
        let presented_id = presented.map_or(Id128([0; 16]), |presented| presented.id);
        let key = Key { leaf: certificate.id, presented: presented_id };
        let mut chain = self.known(key, within.seconds, || self.verify(der, certificate, presented, within.seconds));
        if is_public && chain.reason == Some(ChainReason::UnknownIssuer) {
            (chain.status, chain.reason) = (ChainStatus::Unverifiable, Some(ChainReason::MissingIssuer));
        }
        // What is wrong with the chain itself is graver than a date.
        match (within.status, chain.status) {
            (Some(status), ChainStatus::Trusted | ChainStatus::Unverifiable) => {
                Some(Chain { status, reason: None, by: ChainJudge::Der })
            }
            _ => Some(chain),
        }
    }

    /// How many roots there are.
    pub fn roots(&self) -> usize {
        self.anchors.len()
    }

    /// How many certificates of CAs there are beside what servers show.
    pub fn authorities(&self) -> usize {
        self.authorities.values().map(Vec::len).sum()
    }

    fn new(anchors: Vec<TrustAnchor<'static>>, authorities: HashMap<Box<[u8]>, Vec<Authority>>) -> Self {
        Self { anchors, authorities, known: std::array::from_fn(|_| Mutex::default()) }
    }

    fn known(&self, key: Key, seconds: i64, verify: impl FnOnce() -> Known) -> Chain {
        let Some(shard) = self.known.get(usize::from(key.leaf.0[0]) % SHARDS) else { return verify().chain };
        let known = shard.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
        if let Some(known) = known.filter(|known| known.span.holds(seconds)) {
            return known.chain;
        }
        // Outside the lock: two workers may do it twice, with one result.
        let found = verify();
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if shard.len() >= MAX_PER_SHARD && !shard.contains_key(&key) {
            shard.clear();
        }
        shard.insert(key, found);
        found.chain
    }
}

impl Span {
    /// All of time.
    const ALWAYS: Self = Self { first: i64::MIN, last: i64::MAX };

    fn holds(self, seconds: i64) -> bool {
        (self.first..=self.last).contains(&seconds)
    }

    /// Leaves what lies on the same side of both ends of a validity as a time does.
    fn narrow(&mut self, seconds: i64, not_before: i64, not_after: i64) {
        let (first, last) = match seconds {
            _ if seconds < not_before => (i64::MIN, not_before.saturating_sub(1)),
            _ if seconds > not_after => (not_after.saturating_add(1), i64::MAX),
            _ => (not_before, not_after),
        };
        *self = Self { first: self.first.max(first), last: self.last.min(last) };
    }
}

impl ChainStatus {
    /// Its name as it stands in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trusted => "trusted",
            Self::Untrusted => "untrusted",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::NameMismatch => "name_mismatch",
            Self::Unverifiable => "unverifiable",
        }
    }
}

impl ChainReason {
    /// The reason in words.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::SelfSigned => "it vouches for itself",
            Self::UnknownIssuer => "its CA is neither a root nor known",
            Self::MissingIssuer => "a public CA's certificate is missing, or its root is no longer one",
            Self::BadSignature => "a signature does not fit the key of the CA that is named",
            Self::IssuerValidity => "a certificate above it is not valid at that time",
            Self::Constraint => "a CA above it forbids it",
            Self::Revoked => "it was revoked",
            Self::Algorithm => "an algorithm or a key that is not checked",
            Self::Usage => "its key usage is not that of a server",
            Self::Encoding => "its encoding cannot be read",
            Self::Other => "the sensor says something else",
        }
    }
}

fn anchor(der: &CertificateDer<'_>) -> Option<TrustAnchor<'static>> {
    webpki::anchor_from_trusted_cert(der).ok().map(|anchor| anchor.to_owned())
}

/// A certificate of a CA, and its subject as encoded.
fn authority(der: Vec<u8>) -> Option<(Box<[u8]>, Authority)> {
    let (subject, issuer, not_before, not_after) = {
        let (_, certificate) = X509Certificate::from_der(&der).ok()?;
        let validity = certificate.validity();
        let (not_before, not_after) = (validity.not_before.timestamp(), validity.not_after.timestamp());
        (certificate.subject().as_raw().into(), certificate.issuer().as_raw().into(), not_before, not_after)
    };
    Some((subject, Authority { der, not_before, not_after, issuer }))
}
