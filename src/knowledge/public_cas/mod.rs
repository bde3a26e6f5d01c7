//! In: the compiled-in table of every CA certificate disclosed in the Common CA Database, or the user's own copy of CCADB's
//! report. Out: whether a name is one of a public CA's, when it was valid, with which keys, and whether somebody forged it.
//! Promise: loading the table costs a hash per name and no parsing.
//!
//! The table is made by `examples/generate_public_cas.rs` with the [`TableBuilder`]. It holds one line per name, in the normal form of
//! [`DistinguishedName::normalised`], sorted: the name, a tab, and its certificates as
//! `first day-last day:key identifier`, joined by commas. Days count from 1970-01-01; of the subject key identifier the
//! first 16 hexadecimal digits are kept, and nothing where the certificate has none.

mod forgery;
mod table;

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::OnceLock;

pub use forgery::{Forgery, TableTooOld};
pub use table::TableBuilder;

use super::pem::{self, PemReport};
use crate::model::{DistinguishedName, Id128};
use forgery::NearNames;

/// The table of public CAs; lines are found by their name's key and read when they are asked for.
pub struct PublicCas {
    table: Cow<'static, str>,
    /// Key of the name and offset of its line, sorted by key.
    index: Vec<(Id128, u32)>,
    /// The last day on which the validity of one of the certificates began.
    newest_day: OnceLock<i32>,
    near_names: OnceLock<NearNames>,
}

/// One name under which a public CA issues.
#[derive(Clone, Copy, Debug)]
pub struct PublicCa<'a> {
    name: &'a str,
    windows: &'a str,
}

/// The validity of one CA certificate, and its key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CaWindow<'a> {
    /// First day of the validity, since 1970-01-01.
    pub not_before_day: i32,
    /// Last day of the validity, since 1970-01-01.
    pub not_after_day: i32,
    /// The first 16 hexadecimal digits of the subject key identifier, lower case; empty when it has none.
    pub key_id: &'a str,
}

impl PublicCas {
    /// The table that is compiled in.
    pub fn builtin() -> Self {
        Self::index(Cow::Borrowed(include_str!("public_cas.tsv")))
    }

    /// The public CAs of CCADB's report of all certificates, which files hold together, instead of those compiled in.
    /// Without a certificate in any of them the table that is compiled in stays.
    pub fn load(paths: &[PathBuf]) -> (Self, Vec<PemReport>) {
        let mut table = TableBuilder::default();
        let reports = paths.iter().map(|path| pem::read(path, |der| table.add(&der).is_ok())).collect();
        match table.names() {
            0 => (Self::builtin(), reports),
            _ => (Self::index(Cow::Owned(table.lines())), reports),
        }
    }

    /// The public CA of that name, whatever the order, case and spelling of its attributes.
    pub fn find(&self, name: &DistinguishedName) -> Option<PublicCa<'_>> {
        let line = self.table.get(self.index[self.place_of(name)?].1 as usize..)?.lines().next()?;
        let (name, windows) = line.split_once('\t')?;
        Some(PublicCa { name, windows })
    }

    /// Whether there is a public CA of that name.
    pub fn contains(&self, name: &DistinguishedName) -> bool {
        self.place_of(name).is_some()
    }

    /// How many names the table holds.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether the table holds no name.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The names and certificates, in the order of the table.
    fn all(&self) -> impl Iterator<Item = PublicCa<'_>> {
        let lines = self.table.lines().filter(|line| !line.starts_with('#'));
        lines.filter_map(|line| line.split_once('\t')).map(|(name, windows)| PublicCa { name, windows })
    }

    /// The last day on which the validity of a CA's certificate began: the table knows nothing of later days.
    pub fn newest_day(&self) -> i32 {
        *self.newest_day.get_or_init(|| {
            let days = self.all().flat_map(|ca| ca.windows().map(|window| window.not_before_day));
            days.max().unwrap_or(i32::MIN)
        })
    }

    fn near_names(&self) -> &NearNames {
        self.near_names.get_or_init(|| NearNames::new(self.all().map(|ca| ca.name)))
    }

    fn place_of(&self, name: &DistinguishedName) -> Option<usize> {
        self.index.binary_search_by_key(&name.key(), |&(key, _)| key).ok()
    }

    fn index(table: Cow<'static, str>) -> Self {
        let mut index = Vec::with_capacity(8192);
        let mut offset = 0_u32;
        for line in table.split_inclusive('\n') {
            if let Some((name, _)) = line.split_once('\t').filter(|_| !line.starts_with('#')) {
                index.push((Id128::of(name.as_bytes()), offset));
            }
            offset += line.len() as u32;
        }
        index.sort_unstable();
        Self { table, index, newest_day: OnceLock::new(), near_names: OnceLock::new() }
    }
}

impl<'a> PublicCa<'a> {
    /// The name in normal form.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// The validity and key of each certificate that bears the name.
    pub fn windows(&self) -> impl Iterator<Item = CaWindow<'a>> + use<'a> {
        self.windows.split(',').filter_map(CaWindow::parse)
    }

    /// Whether a certificate of that name was valid on a day.
    pub fn covers(&self, day: i32) -> bool {
        self.windows().any(|window| (window.not_before_day..=window.not_after_day).contains(&day))
    }

    /// Whether the key is one of the CA's; `None` when a certificate of that name has no key identifier to compare with.
    ///
    /// `key_id` is the authority key identifier of a certificate that claims to be issued by this CA.
    pub fn has_key_id(&self, key_id: &[u8]) -> Option<bool> {
        let wanted: String = key_id.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let mut all_are_known = true;
        for window in self.windows() {
            if window.key_id == wanted && !wanted.is_empty() {
                return Some(true);
            }
            all_are_known &= !window.key_id.is_empty();
        }
        (all_are_known && !wanted.is_empty()).then_some(false)
    }
}

impl<'a> CaWindow<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (days, key_id) = text.split_once(':')?;
        let (not_before, not_after) = days.split_once('-')?;
        Some(Self { not_before_day: not_before.parse().ok()?, not_after_day: not_after.parse().ok()?, key_id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knowledge::test_corpus;
    use crate::model::EventTime;

    fn find<'a>(cas: &'a PublicCas, name: &str) -> PublicCa<'a> {
        cas.find(&DistinguishedName::from_rfc2253(name)).unwrap()
    }

    #[test]
    fn the_table_is_whole_and_sorted() {
        let table = include_str!("public_cas.tsv");
        let lines: Vec<_> = table.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(lines.is_sorted());
        for line in &lines {
            let (name, windows) = line.split_once('\t').unwrap();
            let ca = PublicCa { name, windows };
            assert_eq!(ca.windows().count(), windows.split(',').count(), "{line}");
        }
        let header: String = table.lines().take_while(|line| line.starts_with('#')).collect();
        assert!(header.contains(&format!("{} names", lines.len())), "{header}");
        assert_eq!(PublicCas::builtin().len(), lines.len());
        assert!(PublicCas::builtin().index.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn a_public_ca_is_found_by_the_name_that_either_sensor_prints() {
        let cas = PublicCas::builtin();
        let zeek = DistinguishedName::from_rfc2253("CN=DigiCert SHA2 Secure Server CA,O=DigiCert Inc,C=US");
        let suricata = DistinguishedName::from_suricata("C=US, O=DigiCert Inc, CN=DigiCert SHA2 Secure Server CA");
        assert_eq!(cas.find(&zeek).unwrap().name(), cas.find(&suricata).unwrap().name());
        assert!(cas.find(&DistinguishedName::from_rfc2253("CN=Major Cobalt Strike")).is_none());
        assert!(cas.find(&DistinguishedName::from_rfc2253("")).is_none());
    }

    #[test]
    fn windows_and_keys_tell_a_forged_name() {
        let cas = PublicCas::builtin();
        let ca = find(&cas, "CN=R3,O=Let's Encrypt,C=US");
        let day = |text| EventTime::parse_date(text).unwrap();
        assert!(ca.covers(day("2022-01-01")));
        assert!(!ca.covers(day("2019-01-01")));
        let r3 = [0x14, 0x2e, 0xb3, 0x17, 0xb7, 0x58, 0x56, 0xcb, 0xae, 0x50, 0x09, 0x40, 0xe6, 0x1f, 0xaf, 0x9d];
        assert_eq!(ca.has_key_id(&r3), Some(true));
        assert_eq!(ca.has_key_id(&[0; 20]), Some(false));
        assert_eq!(ca.has_key_id(&[]), None);
    }

    #[test]
    fn of_348_real_certificates_314_are_publicly_issued() {
        let Some(certificates) = test_corpus::zeek_certificates("zeek-6.2-json/x509.log.gz") else { return };
        let cas = PublicCas::builtin();
        let (mut public, mut own, mut neither) = (0, 0, Vec::new());
        for certificate in &certificates {
            let issuer = certificate.issuer.as_ref().unwrap();
            match (certificate.is_self_issued(), cas.find(issuer)) {
                (true, _) => own += 1,
                (false, Some(_)) => public += 1,
                (false, None) => neither.push(issuer.text()),
            }
        }
        assert_eq!((public, own, neither.len()), (314, 23, 11), "{neither:#?}");
    }
}
