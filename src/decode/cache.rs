//! Certificates that were read before: what is logged of a certificate is taken apart once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::{Certificate, Id128};

/// Certificates by a hash of what was logged of them, shared by the workers.
///
/// Bounded: a shard that is full starts again, which costs time and never changes a result.
#[derive(Debug)]
pub struct CertificateCache {
    shards: [Mutex<HashMap<Id128, Option<Arc<Certificate>>>>; SHARDS],
}

const SHARDS: usize = 16;
/// Entries a shard holds; 16,384 in all.
const MAX_PER_SHARD: usize = 1024;

impl CertificateCache {
    /// The certificate of this key, read by `read` unless it is known. What could not be read is remembered too.
    pub(super) fn get_or_read(
        &self,
        key: Id128,
        read: impl FnOnce() -> Option<Certificate>,
    ) -> Option<Arc<Certificate>> {
        let shard = &self.shards[usize::from(key.0[0]) % SHARDS];
        if let Some(known) = shard.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return known.clone();
        }
        // Read outside the lock: two workers may do it twice, with one result.
        let certificate = read().map(Arc::new);
        let mut entries = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= MAX_PER_SHARD {
            entries.clear();
        }
        entries.entry(key).or_insert(certificate).clone()
    }
}

impl Default for CertificateCache {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::new(HashMap::new())) }
    }
}
