//! What is known of one certificate, from log strings or from DER.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::hash::{CertificateId, Id128, Sha1Digest, Sha256Digest};
use super::host_name::host_name;
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
    /// The certificate itself, where it is logged; it is stored apart.
    #[serde(skip)]
    pub der: Option<Arc<[u8]>>,
}

impl Certificate {
    /// Bytes of memory that it takes, as they follow from its content: roughly.
    pub fn bytes(&self) -> usize {
        /// What the allocator takes for itself, and the pointer to it.
        const EACH: usize = 32;
        let names = [&self.subject, &self.issuer].into_iter().flatten().map(DistinguishedName::bytes);
        let lists = self.san.iter().flat_map(|san| [&san.dns, &san.ip, &san.uri, &san.email]);
        let lists = lists.flatten().map(|name| name.len() + EACH);
        let der = self.der.as_ref().map_or(0, |der| der.len() + EACH);
        let key = self.key.iter().flat_map(|key| [Some(&key.algorithm), key.curve.as_ref()]);
        let words = key.chain([self.signature_algorithm.as_ref()]).flatten().map(|word| word.len());
        let words =
            words.chain(self.serial.as_ref().map(|serial| serial.digits().len())).map(|length| length + EACH / 2);
        let parts = names.sum::<usize>() + lists.sum::<usize>() + words.sum::<usize>();
        size_of::<Self>() + EACH + parts + der
    }
}

/// What a server sent with its certificate.
#[derive(Debug)]
pub struct PresentedChain {
    /// A hash of what was logged.
    pub id: Id128,
    /// The certificates in their order, the server's own among them.
    pub certificates: Vec<Box<[u8]>>,
}

impl PresentedChain {
    /// Longest certificate that is kept for checking, in bytes; the longest seen in public data has 8 kB.
    pub const MAX_DER: usize = 16 * 1024;
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
    /// How far both ends of the validity may lie from what is logged, in seconds: Zeek before 8.0 writes them in the
    /// sensor's zone, which lies up to 14 hours from UTC; and clocks of sensors and of CAs differ a little.
    pub fn validity_slack(&self) -> i64 {
        match self.source {
            CertificateSource::Der => 300,
            CertificateSource::LogStrings => 14 * 3600,
        }
    }

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
            der: None,
        }
    }

    /// Fixes what follows from the facts, and the id from the best identity that is known: SHA-256, else SHA-1, else the facts themselves.
    pub fn with_id(mut self) -> Self {
        self.issuer_organization = self.issuer.as_ref().and_then(organization_id);
        if let Some(san) = &mut self.san {
            // Most have one or two, and a list has room for four at the least.
            [&mut san.dns, &mut san.ip, &mut san.uri, &mut san.email].into_iter().for_each(Vec::shrink_to_fit);
        }
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

    /// Whether it is for a name (RFC 9525): an address by its alternative addresses alone, a host name by its alternative
    /// names, where `*.` stands for one label and no less than two follow it. By the common name where alternative names are
    /// unknown or there are none (RFC 6125). `None` when that cannot be said: neither is logged, or there are more names
    /// than are kept.
    pub fn covers(&self, name: &str) -> Option<bool> {
        let name = name.strip_suffix('.').unwrap_or(name);
        let address = address_of(name);
        // Clients ask for names in ASCII, and some certificates have them in their own letters. Whoever asks for an ordinary
        // name is told without a look at that.
        let asked = host_name(name);
        let is_international = || asked.split('.').any(|label| label.starts_with("xn--"));
        let is_same = |one: &str, other: &str| {
            one.eq_ignore_ascii_case(other) || !other.is_ascii() && is_international() && one == host_name(other)
        };
        // What a wildcard may stand before.
        let rest = asked.split_once('.').filter(|(label, rest)| !label.is_empty() && rest.contains('.'));
        let stands_for = |pattern: &str| match (address, pattern.strip_prefix("*.")) {
            (Some(address), _) => address_of(pattern) == Some(address),
            (None, Some(parent)) => rest.is_some_and(|(_, rest)| is_same(rest, parent)),
            (None, None) => is_same(&asked, pattern.strip_suffix('.').unwrap_or(pattern)),
        };
        match &self.san {
            Some(san) if !(san.dns.is_empty() && san.ip.is_empty()) => {
                // What a sensor printed among the names may be an address.
                let found = match address {
                    Some(_) => san.ip.iter().chain(&san.dns).any(|known| stands_for(known)),
                    None => san.dns.iter().any(|pattern| stands_for(pattern)),
                };
                (found || san.count as usize <= SubjectAltNames::MAX_KEPT).then_some(found)
            }
            san => {
                let found = self.subject.as_ref()?.values(&AttributeKind::CommonName).any(stands_for);
                (found || san.is_some()).then_some(found)
            }
        }
    }

    /// Whether one of its names is this very one.
    pub fn names_exactly(&self, name: &str) -> bool {
        let without_dot = |name: &str| name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        self.names().any(|own| without_dot(own) == without_dot(name))
    }

    /// The names that it is for: its alternative names and addresses, else its common names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let san = self.san.iter().flat_map(|san| san.dns.iter().chain(&san.ip)).map(|name| &**name);
        let has_san = self.san.as_ref().is_some_and(|san| !(san.dns.is_empty() && san.ip.is_empty()));
        let common = self.subject.iter().filter(move |_| !has_san);
        san.chain(common.flat_map(|subject| subject.values(&AttributeKind::CommonName)))
    }

    /// Its SHA-256 as text, else its SHA-1.
    pub fn hash_text(&self) -> Option<String> {
        self.sha256.map(|hash| hash.to_string()).or_else(|| self.sha1.map(|hash| hash.to_string()))
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

/// The address that a text is, with or without brackets.
fn address_of(text: &str) -> Option<std::net::IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    // One ends in a digit, or has colons: nearly every name is told from it without being read.
    let may_be_one = bare.as_bytes().last().is_some_and(u8::is_ascii_digit) || bare.contains(':');
    if may_be_one { bare.parse().ok() } else { None }
}

/// The organisation of a name, as an identity.
pub(crate) fn organization_id(name: &DistinguishedName) -> Option<Id128> {
    let organization = name.first(&AttributeKind::Organization)?;
    let folded = organization.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    Some(Id128::of_parts(&[b"organization", folded.as_bytes()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(common_name: &str, san: Option<&[&str]>) -> Certificate {
        let mut certificate = Certificate::unknown(CertificateSource::LogStrings);
        certificate.subject = Some(DistinguishedName::from_rfc2253(&format!("CN={common_name}")));
        certificate.san = san.map(|names| {
            let mut san = SubjectAltNames::default();
            for name in names {
                if address_of(name).is_some() { san.push_ip(name) } else { san.push_dns(name) }
            }
            san
        });
        certificate
    }

    #[test]
    fn a_wildcard_stands_for_one_label_and_not_for_less_or_more() {
        let shop = certificate("ignored.example", Some(&["*.shop.example", "shop.example", "*.example"]));
        for (name, covered) in [
            ("www.shop.example", true),
            ("WWW.Shop.Example.", true),
            ("shop.example", true),
            ("a.www.shop.example", false),
            (".shop.example", false),
            ("other.example", false),
            // The common name counts only where there is no alternative name.
            ("ignored.example", false),
        ] {
            assert_eq!(shop.covers(name), Some(covered), "{name}");
        }
    }

    #[test]
    fn a_name_is_covered_in_its_own_letters_and_in_ascii() {
        let own = certificate("x.example", Some(&["b\u{fc}cher.com", "*.B\u{fc}cher.com"]));
        let ascii = certificate("x.example", Some(&["xn--bcher-kva.com", "*.XN--bcher-kva.com"]));
        for certificate in [own, ascii] {
            for (name, covered) in [
                ("xn--bcher-kva.com", true),
                ("b\u{fc}cher.com", true),
                ("B\u{dc}CHER.com.", true),
                ("www.xn--bcher-kva.com", true),
                ("www.b\u{fc}cher.com", true),
                ("a.www.xn--bcher-kva.com", false),
                ("xn--bcher-kva.net", false),
                ("bucher.com", false),
            ] {
                assert_eq!(certificate.covers(name), Some(covered), "{name}");
            }
        }
    }

    #[test]
    fn an_address_is_covered_by_addresses_alone() {
        let host = certificate("192.0.2.9", Some(&["host.example", "192.0.2.7", "2001:db8::1", "*.0.2.8"]));
        for (name, covered) in [
            ("192.0.2.7", true),
            ("[2001:db8::1]", true),
            ("2001:0db8:0::1", true),
            ("192.0.2.8", false),
            ("192.0.2.9", false),
        ] {
            assert_eq!(host.covers(name), Some(covered), "{name}");
        }
        assert_eq!(certificate("192.0.2.9", Some(&[])).covers("192.0.2.9"), Some(true));
    }

    #[test]
    fn what_is_not_logged_is_neither() {
        assert_eq!(certificate("host.example", None).covers("host.example"), Some(true));
        assert_eq!(certificate("host.example", None).covers("other.example"), None);
        assert_eq!(certificate("host.example", Some(&[])).covers("other.example"), Some(false));
        let many: Vec<String> = (0..300).map(|number| format!("n{number}.example")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(certificate("host.example", Some(&many)).covers("other.example"), None);
    }
}
