//! Names that many certificates have: those of issuers. Each is read once and kept in memory once.

use std::hash::BuildHasher as _;
use std::sync::{Mutex, PoisonError};

use foldhash::quality::RandomState;
use hashbrown::HashTable;

use super::name::DistinguishedName;

/// Names by their text, for several threads.
///
/// Bounded in bytes: when it is full it starts again, which costs memory and never changes a name.
#[derive(Debug, Default)]
pub struct SharedNames(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    names: HashTable<(Option<Printed>, DistinguishedName)>,
    /// Texts are what attackers write, so that where they go depends on a random key.
    hasher: RandomState,
    bytes: usize,
}

/// Who printed a name, which says how it is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Printed {
    /// Zeek, as RFC 2253 has it.
    Rfc2253,
    /// Suricata.
    Suricata,
}

/// Bytes that the names take: some ten thousand.
const MAX_BYTES: usize = 4 << 20;
/// Longest text that is kept.
const MAX_TEXT: usize = 1024;

impl SharedNames {
    /// The name that is printed so.
    pub fn read(&self, printed: Printed, text: &str) -> DistinguishedName {
        if let Some(known) = self.find(text, |form, _| *form == Some(printed)) {
            return known;
        }
        // Read without the lock: two threads may do it, and the names are the same.
        let name = match printed {
            Printed::Rfc2253 => DistinguishedName::from_rfc2253(text),
            Printed::Suricata => DistinguishedName::from_suricata(text),
        };
        self.keep(Some(printed), &name);
        name
    }

    /// The same name, in memory that others like it have already.
    pub fn share(&self, name: DistinguishedName) -> DistinguishedName {
        match self.find(name.text(), |_, known| *known == name) {
            Some(known) => known,
            None => {
                self.keep(None, &name);
                name
            }
        }
    }

    fn find(
        &self,
        text: &str,
        is_it: impl Fn(&Option<Printed>, &DistinguishedName) -> bool,
    ) -> Option<DistinguishedName> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found =
            kept.names.find(kept.hasher.hash_one(text), |(form, name)| name.text() == text && is_it(form, name));
        found.map(|(_, name)| name.clone())
    }

    fn keep(&self, printed: Option<Printed>, name: &DistinguishedName) {
        if name.text().len() > MAX_TEXT {
            return;
        }
        let bytes = name.bytes();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.bytes + bytes > MAX_BYTES {
            kept.names = HashTable::new();
            kept.bytes = 0;
        }
        let Kept { names, hasher, bytes: taken } = &mut *kept;
        *taken += bytes;
        let entry = (printed, name.clone());
        names.insert_unique(hasher.hash_one(name.text()), entry, |(_, name)| hasher.hash_one(name.text()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_its_sensor_prints_it_and_kept_once() {
        let names = SharedNames::default();
        let text = "CN=a, O=b";
        for _ in 0..2 {
            assert_eq!(names.read(Printed::Rfc2253, text), DistinguishedName::from_rfc2253(text));
            assert_eq!(names.read(Printed::Suricata, text), DistinguishedName::from_suricata(text));
        }
        let of_der = DistinguishedName::from_attributes(Some(text), Vec::new());
        assert_eq!(names.share(of_der.clone()), of_der);
        assert_eq!(names.share(DistinguishedName::from_suricata(text)), DistinguishedName::from_suricata(text));
        assert_eq!(names.0.lock().unwrap().names.len(), 3);
    }

    #[test]
    fn many_and_long_names_do_not_fill_memory() {
        let names = SharedNames::default();
        for number in 0..20_000 {
            let text = format!("CN={number},O={}", "x".repeat(500));
            assert_eq!(names.read(Printed::Rfc2253, &text).text(), text);
        }
        let (kept, count) = {
            let kept = names.0.lock().unwrap();
            (kept.bytes, kept.names.len())
        };
        assert!(kept <= MAX_BYTES && count > 100, "{kept} {count}");
        let long = format!("CN={}", "x".repeat(MAX_TEXT));
        assert_eq!(names.read(Printed::Rfc2253, &long).text(), long);
        assert_eq!(names.0.lock().unwrap().names.len(), count);
    }
}
