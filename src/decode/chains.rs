//! Chains that were read before: the certificates that a server sent with its own are decoded once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::scan::walk_array;
use crate::model::{Id128, PresentedChain};

/// Chains by a hash of what was logged of them, shared by the workers; bounded in entries and in bytes.
#[derive(Debug, Default)]
pub struct ChainCache(Mutex<Chains>);

#[derive(Debug, Default)]
struct Chains {
    known: HashMap<Id128, Arc<PresentedChain>>,
    bytes: usize,
}

/// Chains that are remembered.
const MAX_CHAINS: usize = 8192;
/// Bytes that they take; what is full starts again.
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// Certificates of one chain that are looked at.
const MAX_CERTIFICATES: usize = 16;

impl ChainCache {
    /// The chain that a JSON array of base64 holds; `None` where no certificate stands beside the server's own.
    pub(super) fn read(&self, raw: &str, decode: impl Fn(&str) -> Option<Vec<u8>>) -> Option<Arc<PresentedChain>> {
        // One that ends after its first certificate tells nothing new.
        if !raw.contains("\",") && !raw.contains("\" ,") {
            return None;
        }
        let id = Id128::of(raw.as_bytes());
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).known.get(&id) {
            return Some(Arc::clone(known));
        }
        let mut certificates: Vec<Box<[u8]>> = Vec::new();
        walk_array(raw, |element| {
            if certificates.len() < MAX_CERTIFICATES {
                let der = element.string().and_then(|text| decode(&text));
                certificates.extend(der.filter(|der| der.len() <= PresentedChain::MAX_DER).map(Into::into));
            }
        });
        let chain = Arc::new(PresentedChain { id, certificates });
        let mut chains = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if chains.known.len() >= MAX_CHAINS || chains.bytes >= MAX_BYTES {
            *chains = Chains::default();
        }
        chains.bytes += chain.certificates.iter().map(|der| der.len()).sum::<usize>();
        chains.known.insert(id, Arc::clone(&chain));
        Some(chain)
    }
}
