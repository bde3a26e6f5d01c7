//! Certificates that were read before: what is logged of a certificate is taken apart once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::{Attribute, Certificate, Id128};

/// Certificates by a hash of what was logged of them, shared by the workers.
///
/// Bounded in entries and in bytes: a shard that is full starts again, which costs time and never changes a result.
#[derive(Debug)]
pub struct CertificateCache {
    shards: [Mutex<Shard>; SHARDS],
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
        let certificate = read().map(Arc::new);
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if shard.entries.len() >= MAX_PER_SHARD || shard.bytes >= MAX_BYTES_PER_SHARD {
            *shard = Shard::default();
        }
        if let Some(known) = shard.entries.get(&key) {
            return known.clone();
        }
        shard.bytes += certificate.as_deref().map_or(0, size_of_texts) + size_of::<Certificate>();
        shard.entries.insert(key, certificate.clone());
        certificate
    }
}

/// What the texts of a certificate take.
fn size_of_texts(certificate: &Certificate) -> usize {
    let text = |text: &str| text.len() + size_of::<Box<str>>();
    let names = [&certificate.subject, &certificate.issuer].into_iter().flatten().map(|name| {
        let attributes = name.attributes().iter().map(|attribute| text(&attribute.value) + size_of::<Attribute>());
        text(name.text()) + attributes.sum::<usize>()
    });
    let san = certificate.san.iter().flat_map(|san| [&san.dns, &san.ip, &san.uri, &san.email]).flatten();
    let der = certificate.der.as_ref().map_or(0, |der| der.len());
    names.sum::<usize>() + san.map(|name| text(name)).sum::<usize>() + der
}

impl Default for CertificateCache {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CertificateSource, DistinguishedName};

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
