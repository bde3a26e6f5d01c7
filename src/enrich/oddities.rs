//! What is odd in a certificate by itself, whoever shows it and whenever: worked out once for each.

use super::{CheckSet, origin_ca, validity};
use crate::knowledge::Knowledge;
use crate::knowledge::names::{Imitation, looks_random};
use crate::knowledge::public_cas::{Forgery, TableTooOld};
use crate::model::{AttributeKind, Certificate, DistinguishedName, SelfSigned};

/// What is odd in a certificate by itself.
#[derive(Debug)]
pub struct Oddities {
    /// Why its issuer is not the public CA whose name it bears or imitates, or why that cannot be said.
    pub forgery: Result<Option<Forgery>, TableTooOld>,
    /// Its length, and the most that public CAs gave on the day of issue.
    pub too_long: Option<validity::TooLong>,
    /// The issuer is public, and there is no alternative name.
    pub lacks_san: bool,
    /// An attribute that no CA writes: its type, its value, and what is odd about it.
    pub text: Option<OddText>,
    /// Words of the subject that look as if drawn by lot.
    pub random_words: Vec<Box<str>>,
    /// A common name that is an address.
    pub address_name: Option<Box<str>>,
    /// What its issuer is for, where that is no CA for the open network.
    pub origin_ca: Option<origin_ca::Use>,
    /// What is weak about its key or signature.
    pub weakness: Option<String>,
    /// The first of its names that imitates another, as it reads, and whom.
    pub imitates: Option<(Box<str>, Imitation)>,
}

/// An attribute that no CA writes.
#[derive(Debug)]
pub struct OddText {
    /// The field, such as `subject.O`.
    pub field: Box<str>,
    /// Its value.
    pub value: Box<str>,
    /// What is odd about it.
    pub why: &'static str,
}

/// Names of a certificate that are compared with watched and popular ones.
const MAX_NAMES: usize = 20;
/// Random words that are kept.
const MAX_RANDOM: usize = 4;
/// Fewer bits can be broken by whoever has enough machines (NIST SP 800-131A).
const MIN_RSA_BITS: u32 = 2048;
const MIN_EC_BITS: u32 = 224;
/// Characters of an odd value that are shown.
const MAX_SHOWN: usize = 80;

impl Oddities {
    /// Nothing odd.
    pub(super) const NONE: Self = Self {
        forgery: Ok(None),
        too_long: None,
        lacks_san: false,
        text: None,
        random_words: Vec::new(),
        address_name: None,
        origin_ca: None,
        weakness: None,
        imitates: None,
    };

    /// Whether nothing is odd, and nothing was left open.
    pub(super) fn is_none(&self) -> bool {
        let Self { forgery, too_long, lacks_san, text, random_words, address_name, origin_ca, weakness, imitates } =
            self;
        *forgery == Ok(None)
            && too_long.is_none()
            && !lacks_san
            && text.is_none()
            && random_words.is_empty()
            && address_name.is_none()
            && origin_ca.is_none()
            && weakness.is_none()
            && imitates.is_none()
    }

    /// Looks at a certificate, for these checks. `is_public` says whether its issuer is named as a public CA.
    pub(super) fn of(
        certificate: &Certificate,
        is_public: Option<bool>,
        knowledge: &Knowledge,
        checks: CheckSet,
    ) -> Self {
        let is_public = is_public == Some(true);
        /// The certificate, where the check of that name runs.
        macro_rules! for_check {
            ($check:ident) => {
                checks.meets(const { CheckSet::one(super::$check::ID) }).then_some(certificate)
            };
        }
        let lacks_san = |certificate: &Certificate| certificate.san.as_ref().is_some_and(|san| san.count == 0);
        Self {
            forgery: for_check!(forged_ca).map_or(Ok(None), |certificate| knowledge.public_cas.forgery(certificate)),
            too_long: for_check!(validity).filter(|_| is_public).and_then(validity::too_long),
            lacks_san: for_check!(missing_san).is_some_and(|certificate| is_public && lacks_san(certificate)),
            text: for_check!(odd_text).and_then(odd_text),
            random_words: for_check!(random_name).map(random_words).unwrap_or_default(),
            address_name: for_check!(address_name).and_then(address_name),
            origin_ca: for_check!(origin_ca).and_then(|certificate| origin_ca::purpose(certificate.issuer.as_ref()?)),
            weakness: for_check!(weak_crypto).and_then(weakness),
            imitates: for_check!(lookalike).and_then(|certificate| imitates(certificate, knowledge)),
        }
    }

    /// Whether nothing stands out for the checks that look at nothing else. What a certificate is to others, an imitation
    /// or a forgery, is looked at beside the session.
    pub(super) fn are_none(&self, certificate: &Certificate) -> bool {
        let Self {
            forgery: _,
            too_long,
            lacks_san,
            text,
            random_words,
            address_name,
            origin_ca,
            weakness,
            imitates: _,
        } = self;
        let ends_early = certificate.not_after < certificate.not_before;
        let vouches_for_itself = !matches!(certificate.self_signed, None | Some(SelfSigned::No));
        !(too_long.is_some()
            || ends_early
            || *lacks_san
            || text.is_some()
            || !random_words.is_empty()
            || address_name.is_some()
            || origin_ca.is_some()
            || weakness.is_some()
            || vouches_for_itself)
    }
}

/// The first of a certificate's names that imitates another.
fn imitates(certificate: &Certificate, knowledge: &Knowledge) -> Option<(Box<str>, Imitation)> {
    certificate.names().take(MAX_NAMES).find_map(|name| {
        let name = name.strip_prefix("*.").unwrap_or(name);
        let analysis = knowledge.names.of(name);
        let shown = analysis.unicode.unwrap_or_else(|| name.into());
        analysis.imitates.map(|imitation| (shown, imitation))
    })
}

fn common_name(certificate: &Certificate) -> Option<&str> {
    certificate.subject.as_ref()?.first(&AttributeKind::CommonName)
}

fn address_name(certificate: &Certificate) -> Option<Box<str>> {
    let name = common_name(certificate)?;
    name.parse::<std::net::IpAddr>().is_ok().then(|| name.into())
}

/// The words of a subject that look as if drawn by lot, each once; of a host name, the label that somebody chose.
fn random_words(certificate: &Certificate) -> Vec<Box<str>> {
    let mut words: Vec<Box<str>> = Vec::new();
    for attribute in certificate.subject.iter().flat_map(DistinguishedName::attributes) {
        let word = match &attribute.kind {
            AttributeKind::CommonName => {
                let domain = crate::knowledge::suffix::registrable_domain(&attribute.value);
                domain.and_then(|domain| domain.split('.').next()).unwrap_or(&attribute.value)
            }
            AttributeKind::Organization
            | AttributeKind::OrganizationalUnit
            | AttributeKind::Locality
            | AttributeKind::StateOrProvince => &attribute.value,
            _ => continue,
        };
        if words.len() < MAX_RANDOM && looks_random(word) && !words.iter().any(|known| **known == *word) {
            words.push(word.into());
        }
    }
    words
}

/// The first attribute that no CA writes: control characters, markup, an empty value.
fn odd_text(certificate: &Certificate) -> Option<OddText> {
    let names = [("subject", &certificate.subject), ("issuer", &certificate.issuer)];
    for (side, name) in names.into_iter().filter_map(|(side, name)| Some((side, name.as_ref()?))) {
        for attribute in name.attributes() {
            let value = &*attribute.value;
            let why = if value.chars().any(char::is_control) {
                "it holds control characters"
            } else if value.contains("<script") || value.contains("</") {
                "it holds markup"
            } else {
                continue;
            };
            let shown: String = value.chars().take(MAX_SHOWN).flat_map(char::escape_debug).collect();
            let field = format!("{side}.{}", attribute.kind.short_name());
            return Some(OddText { field: field.into(), value: shown.into(), why });
        }
    }
    None
}

fn weakness(certificate: &Certificate) -> Option<String> {
    let key = certificate.key.as_ref().and_then(|key| Some((&*key.algorithm, key.bits?)));
    let weak_key = key.and_then(|(algorithm, bits)| match algorithm {
        "rsa" | "dsa" if bits < MIN_RSA_BITS => Some(format!("its {algorithm} key has {bits} bits")),
        "ecdsa" if bits < MIN_EC_BITS => Some(format!("its {algorithm} key has {bits} bits")),
        _ => None,
    });
    let algorithm = certificate.signature_algorithm.as_deref().unwrap_or_default();
    let lower = algorithm.to_ascii_lowercase();
    let is_weak = ["md2", "md4", "md5", "sha1"].iter().any(|hash| lower.contains(hash));
    // What signs itself proves nothing by it.
    let weak_signature = (is_weak && !certificate.is_self_issued()).then(|| format!("it is signed with {algorithm}"));
    match (weak_key, weak_signature) {
        (Some(key), Some(signature)) => Some(format!("{key}, and {signature}")),
        (key, signature) => key.or(signature),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CertificateSource, Key, ValidityTime};

    fn named(subject: &str) -> Certificate {
        let mut certificate = Certificate::unknown(CertificateSource::LogStrings);
        certificate.subject = Some(DistinguishedName::from_rfc2253(subject));
        certificate.with_id()
    }

    #[test]
    fn control_characters_and_markup_are_odd_and_commas_are_not() {
        for (subject, why) in [
            ("O=line\\0D\\0Aend", Some("it holds control characters")),
            ("CN=<script>alert(1)</script>", Some("it holds markup")),
            ("O=GoDaddy.com\\, Inc.,C=US", None),
            ("CN=a < b", None),
        ] {
            assert_eq!(odd_text(&named(subject)).map(|odd| odd.why), why, "{subject}");
        }
    }

    #[test]
    fn words_drawn_by_lot_are_counted_once() {
        let words = random_words(&named("CN=www.xkqzvwpjtd.example,O=qwx7zk2vjq9h,L=qwx7zk2vjq9h,C=US"));
        assert_eq!(words.iter().map(|word| &**word).collect::<Vec<_>>(), ["qwx7zk2vjq9h", "xkqzvwpjtd"]);
        assert!(random_words(&named("CN=www.riverton-library.example,O=Riverton Library")).is_empty());
    }

    #[test]
    fn weak_keys_and_signatures_are_said() {
        let mut certificate = named("CN=host.example");
        certificate.key = Some(Key { algorithm: "rsa".into(), bits: Some(1024), curve: None });
        certificate.signature_algorithm = Some("sha1WithRSAEncryption".into());
        let expected = "its rsa key has 1024 bits, and it is signed with sha1WithRSAEncryption";
        assert_eq!(weakness(&certificate).as_deref(), Some(expected));
        certificate.key = Some(Key { algorithm: "ecdsa".into(), bits: Some(256), curve: None });
        certificate.signature_algorithm = Some("sha256WithRSAEncryption".into());
        assert_eq!(weakness(&certificate), None);
    }

    #[test]
    fn a_certificate_is_plain_until_something_stands_out() {
        let knowledge = Knowledge::builtin().unwrap();
        let is_plain = |change: fn(&mut Certificate)| {
            let mut certificate = named("CN=host.example,O=Riverton Library");
            certificate.self_signed = Some(SelfSigned::No);
            (certificate.not_before, certificate.not_after) = (Some(ValidityTime(0)), Some(ValidityTime(86_400)));
            change(&mut certificate);
            Oddities::of(&certificate, Some(true), &knowledge, CheckSet::ALL).are_none(&certificate)
        };
        assert!(is_plain(|_| {}));
        let odd: [fn(&mut Certificate); 9] = [
            |it| it.self_signed = Some(SelfSigned::SameName),
            |it| it.not_after = Some(ValidityTime(-1)),
            |it| (it.not_before, it.not_after) = (Some(ValidityTime(1_600_000_000)), Some(ValidityTime(1_700_000_000))),
            |it| it.san = Some(crate::model::SubjectAltNames::default()),
            |it| it.key = Some(Key { algorithm: "rsa".into(), bits: Some(1024), curve: None }),
            |it| it.subject = Some(DistinguishedName::from_rfc2253("CN=192.0.2.1")),
            |it| it.subject = Some(DistinguishedName::from_rfc2253("O=qwx7zk2vjq9h")),
            |it| it.subject = Some(DistinguishedName::from_rfc2253("CN=<script>")),
            |it| it.issuer = Some(DistinguishedName::from_rfc2253("CN=Fake LE Intermediate X1")),
        ];
        for (number, change) in odd.into_iter().enumerate() {
            assert!(!is_plain(change), "{number}");
        }
    }
}
