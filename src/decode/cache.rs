//! Certificates that were read before: what is logged of a certificate is taken apart once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::{Certificate, CertificateSource, Id128, SharedNames};

/// Certificates by a hash of what was logged of them, shared by the workers.
///
/// Bounded in entries and in bytes: a shard that is full starts again, which costs time and never changes a result.
#[derive(Debug)]
pub struct CertificateCache {
    shards: [Mutex<Shard>; SHARDS],
    /// Names of their issuers.
    pub(super) issuers: SharedNames,
}

#[derive(Debug, Default)]
struct Shard {
    entries: HashMap<Id128, Option<Arc<Certificate>>>,
    bytes: usize,
}

const SHARDS: usize = 16;
/// Entries a shard holds; 16,384 in all.
const MAX_PER_SHARD: usize = 1024;
/// Bytes that the certificates of a shard take, about; 32 MiB in all. Usual ones take 1 kB, so that entries fill it
/// first; certificates with thousands of names do so before.
const MAX_BYTES_PER_SHARD: usize = 2 * 1024 * 1024;

impl CertificateCache {
    /// The certificate of this key, read by `read` unless it is known. What could not be read is remembered too.
    pub(super) fn get_or_read(
        &self,
        key: Id128,
        read: impl FnOnce() -> Option<Certificate>,
    ) -> Option<Arc<Certificate>> {
        let shard = &self.shards[usize::from(key.0[0]) % SHARDS];
        if let Some(known) = shard.lock().unwrap_or_else(PoisonError::into_inner).entries.get(&key) {
            return known.clone();
        }
        // Read outside the lock: two workers may do it twice, with one result.
        let certificate = read().map(|mut certificate| {
            // Its text does not say what a certificate holds that is there itself, so that its issuer was read as well.
            if certificate.source == CertificateSource::Der {
                certificate.issuer = certificate.issuer.map(|name| self.issuers.share(name));
            }
            Arc::new(certificate)
        });
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if shard.entries.len() >= MAX_PER_SHARD || shard.bytes >= MAX_BYTES_PER_SHARD {
            *shard = Shard::default();
        }
        if let Some(known) = shard.entries.get(&key) {
            return known.clone();
        }
        shard.bytes += certificate.as_deref().map_or(0, Certificate::bytes);
        shard.entries.insert(key, certificate.clone());
        certificate
    }
}

impl Default for CertificateCache {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()), issuers: SharedNames::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::DistinguishedName;

    #[test]
    fn huge_certificates_do_not_fill_memory_and_are_read_again() {
        let cache = CertificateCache::default();
        let mut huge = Certificate::unknown(CertificateSource::LogStrings);
        huge.subject = Some(DistinguishedName::from_rfc2253(&format!("CN={}", "x".repeat(1 << 16))));
        for number in 0..3000_usize {
            let key = Id128::of(&number.to_be_bytes());
            assert!(cache.get_or_read(key, || Some(huge.clone())).is_some());
        }
        let held: usize = cache.shards.iter().map(|shard| shard.lock().unwrap().bytes).sum();
        assert!(held <= SHARDS * (MAX_BYTES_PER_SHARD + (1 << 18)), "{held}");
    }
}
