//! What was worked out from a text before, for texts that come again and again: names of hosts, fingerprints, the
//! certificates that servers show.
//!
//! One worker holds one of these while it reads a batch, so that nothing is locked. A text has one place, found by a
//! quick hash; whatever is there is compared as a whole and replaced when it is another. So no text, however chosen, can
//! cost more than its being worked out anew, and nothing here can change a result.

use std::sync::{Arc, Mutex, PoisonError};

use super::ending::Ending;
use super::names::name_ids;
use super::scan::Layout;
use super::zeek_fields::ZeekKey;
use crate::model::{Address, Certificate, CertificateId, EventTimes, Faults, Id128, NameIds, PresentedChain, Session};

/// What one worker remembers.
#[derive(Debug, Default)]
pub(super) struct Memos {
    names: Names<Option<NameIds>>,
    references: Names<CertificateId>,
    ja4: Names<Option<Id128>>,
    services: Names<Id128>,
    certificates: Certificates<(Option<Arc<Certificate>>, Faults)>,
    endings: Certificates<Ending>,
    chains: Chains<Option<Arc<PresentedChain>>>,
    /// Room for a text that is made of several.
    joined: Vec<u8>,
    pub(super) zeek_keys: Layout<ZeekKey>,
    pub(super) times: EventTimes,
    addresses: Addresses,
}

/// Those that no worker holds: at most as many as there were ever workers at once.
#[derive(Debug, Default)]
pub(super) struct MemoPool(Mutex<Vec<Memos>>);

impl MemoPool {
    pub(super) fn take(&self) -> Memos {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    pub(super) fn give_back(&self, memos: Memos) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(memos);
    }
}

impl Memos {
    /// The identities of a server name.
    pub(super) fn name_ids(&mut self, name: &str) -> Option<NameIds> {
        *self.names.get(name.as_bytes(), || name_ids(name))
    }

    /// The address that is written so.
    pub(super) fn address(&mut self, text: &str) -> Option<Address> {
        self.addresses.get(text)
    }

    /// What a session calls a certificate, read by `read`.
    pub(super) fn reference(&mut self, text: &str, read: impl FnOnce(&str) -> CertificateId) -> CertificateId {
        *self.references.get(text.as_bytes(), || read(text))
    }

    /// The identity of a JA4, read by `read`.
    pub(super) fn ja4(&mut self, text: &str, read: impl FnOnce(&str) -> Option<Id128>) -> Option<Id128> {
        *self.ja4.get(text.as_bytes(), || read(text))
    }

    /// The certificate of which these texts were logged, and what of them could not be read; found by `read`.
    pub(super) fn certificate(
        &mut self,
        parts: &[&str],
        read: impl FnOnce() -> (Option<Arc<Certificate>>, Faults),
    ) -> (Option<Arc<Certificate>>, Faults) {
        self.joined.clear();
        // What is too long is not kept, here neither.
        if parts.iter().map(|part| part.len()).sum::<usize>() > MAX_CERTIFICATE {
            return read();
        }
        for part in parts {
            self.joined.extend_from_slice(&part.len().to_le_bytes());
            self.joined.extend_from_slice(part.as_bytes());
        }
        self.certificates.get(&self.joined, read).clone()
    }

    /// What was noted of the lines of certificates that end so.
    pub(super) fn ending(&self, text: &str) -> Option<&Ending> {
        self.endings.known(text.as_bytes())
    }

    /// Notes what lines say that end so, unless that takes more than a text that is kept may.
    pub(super) fn note_ending(&mut self, text: &str, ending: Ending) {
        if ending.json().len() <= MAX_CERTIFICATE {
            self.endings.note(text.as_bytes(), ending);
        }
    }

    /// The chain that is logged as this text, read by `read`.
    pub(super) fn chain(
        &mut self,
        raw: &str,
        read: impl FnOnce() -> Option<Arc<PresentedChain>>,
    ) -> Option<Arc<PresentedChain>> {
        self.chains.get(raw.as_bytes(), read).clone()
    }

    /// The identity of a service, worked out anew unless it is remembered.
    pub(super) fn service(&mut self, server: Address, port: u16, name: Option<NameIds>) -> Id128 {
        let mut key = [0; 34];
        key[..16].copy_from_slice(&server.server_id().0);
        key[16..18].copy_from_slice(&port.to_be_bytes());
        key[18..].copy_from_slice(&name.map_or([0; 16], |name| name.name.0));
        *self.services.get(&key, || Session::service_id(server, port, name))
    }
}

/// Addresses by their text, where that has a length that most have: it is compared as two words.
#[derive(Debug, Default)]
struct Addresses(Vec<AddressPlace>);

#[derive(Clone, Copy, Debug, Default)]
struct AddressPlace {
    /// The first eight bytes of the text, the last eight, which may be the same, and their number.
    key: (u64, u64, usize),
    address: Option<Address>,
}

impl Addresses {
    const PLACES: usize = 1024;

    fn get(&mut self, text: &str) -> Option<Address> {
        let bytes = text.as_bytes();
        let (Some(first), Some(last), ..=16) = (bytes.first_chunk(), bytes.last_chunk(), bytes.len()) else {
            return Address::parse(text);
        };
        if self.0.is_empty() {
            self.0.resize(Self::PLACES, AddressPlace::default());
        }
        let key = (u64::from_le_bytes(*first), u64::from_le_bytes(*last), bytes.len());
        let place = &mut self.0[(mix(key.0, key.1) as usize) % Self::PLACES];
        if place.key != key {
            *place = AddressPlace { key, address: Address::parse(text) };
        }
        place.address
    }
}

/// Values by the text that they were worked out from, which has at most `MAX` bytes: a longer one is not kept.
#[derive(Debug)]
struct Memo<V, const PLACES: usize, const MAX: usize> {
    places: Vec<Place<V>>,
    /// Where the value of a text goes that is too long.
    passing: Option<V>,
}

#[derive(Debug)]
struct Place<V> {
    text: Vec<u8>,
    value: Option<V>,
}

/// Names of hosts have 253 bytes at the most, fingerprints 64 digits.
type Names<V> = Memo<V, 4096, 256>;
const MAX_CERTIFICATE: usize = 8 * 1024;
/// Certificates in base64 mostly have 1 to 2 kB. What a server sends with its own are two or three more.
type Certificates<V> = Memo<V, 1024, MAX_CERTIFICATE>;
type Chains<V> = Memo<V, 512, { 16 * 1024 }>;

impl<V, const PLACES: usize, const MAX: usize> Default for Memo<V, PLACES, MAX> {
    fn default() -> Self {
        Self { places: Vec::new(), passing: None }
    }
}

impl<V, const PLACES: usize, const MAX: usize> Memo<V, PLACES, MAX> {
    /// The value of a text, worked out by `read` unless it is remembered.
    fn get(&mut self, text: &[u8], read: impl FnOnce() -> V) -> &V {
        if text.len() > MAX {
            return self.passing.insert(read());
        }
        self.place(text).value.get_or_insert_with(read)
    }

    /// The value of a text, if it is remembered.
    fn known(&self, text: &[u8]) -> Option<&V> {
        let place = self.places.get(hash(text) as usize % PLACES)?;
        if place.text == text { place.value.as_ref() } else { None }
    }

    /// Remembers the value of a text, unless that is too long.
    fn note(&mut self, text: &[u8], value: V) {
        if text.len() <= MAX {
            self.place(text).value = Some(value);
        }
    }

    /// The place of a text that is not too long, with no value of another.
    fn place(&mut self, text: &[u8]) -> &mut Place<V> {
        if self.places.is_empty() {
            self.places.resize_with(PLACES, || Place { text: Vec::new(), value: None });
        }
        let place = &mut self.places[hash(text) as usize % PLACES];
        if place.text != text {
            // Should reading panic, no value stands beside another text.
            place.value = None;
            place.text.clear();
            place.text.extend_from_slice(text);
        }
        place
    }
}

/// A quick hash of a text, of a long one of its ends; that many texts may be found for one value does no harm here.
fn hash(text: &[u8]) -> u64 {
    const END: usize = 128;
    let length = text.len() as u64;
    if text.len() <= 2 * END {
        return mix_all(length, text);
    }
    mix_all(mix_all(length, &text[..END]), &text[text.len() - END..])
}

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(state: u64, word: u64) -> u64 {
    let product = u128::from(state ^ word).wrapping_mul(u128::from(MULTIPLIER));
    (product >> 64) as u64 ^ product as u64
}

fn mix_all(state: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let state = words.iter().fold(state, |state, &word| mix(state, u64::from_le_bytes(word)));
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    mix(mix(state, u64::from_le_bytes(last)), MULTIPLIER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::CertificateSource;
    use proptest::prelude::*;

    #[test]
    fn a_text_that_comes_again_is_not_worked_out_again() {
        let mut memo = Names::default();
        let mut times = 0;
        for _ in 0..3 {
            let value = *memo.get(b"www.example.com", || {
                times += 1;
                times
            });
            assert_eq!(value, 1);
        }
    }

    #[test]
    fn what_is_too_long_is_not_kept() {
        let mut memo = Names::default();
        let long = [b'x'; 257];
        assert_eq!(*memo.get(&long, || 1), 1);
        assert_eq!(*memo.get(&long, || 2), 2);
        assert!(memo.places.iter().all(|place| place.text.capacity() <= 256));
    }

    #[test]
    fn parts_of_a_certificate_do_not_run_together() {
        let mut memos = Memos::default();
        let certificate = || (Some(Arc::new(Certificate::unknown(CertificateSource::LogStrings))), Faults::default());
        let none = || (None, Faults::default());
        assert!(memos.certificate(&["ab", "c"], certificate).0.is_some());
        assert!(memos.certificate(&["a", "bc"], none).0.is_none());
        assert!(memos.certificate(&["ab", "c"], none).0.is_some());
        let long = "x".repeat(MAX_CERTIFICATE + 1);
        assert!(memos.certificate(&[&long], certificate).0.is_some());
        assert!(memos.certificate(&[&long], none).0.is_none());
    }

    #[test]
    fn a_panic_leaves_no_wrong_value() {
        let mut memo = Names::default();
        let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            memo.get(b"text", || -> u32 { panic!("reading failed") });
        }));
        assert!(failed.is_err());
        assert_eq!(*memo.get(b"text", || 7), 7);
    }

    proptest! {
        #[test]
        fn every_address_is_that_of_its_text(texts in prop::collection::vec("10[.]0[.]0[.][0-9]{1,3}|[0-9.:]{0,18}|fe80::[0-9a-f:]{1,12}", 0..300)) {
            let mut addresses = Addresses::default();
            for text in texts.iter().chain(&texts) {
                prop_assert_eq!(addresses.get(text), Address::parse(text));
            }
        }

        #[test]
        fn every_text_has_its_own_value(texts in prop::collection::vec("[ab]{0,20}|[a]{130}[ab]{1,3}[b]{130}", 0..200)) {
            let mut memo = Memo::<String, 16, 264>::default();
            for text in texts {
                prop_assert_eq!(memo.get(text.as_bytes(), || text.clone()), &text);
            }
        }
    }
}
