//! Names of public CAs on certificates that those CAs did not make.
//!
//! The table tells a forged name only where it is complete: of certificates that were issued before it was made. A CA
//! that was disclosed later may have another key under an old name, and another name that differs in a number, a
//! blank or a hyphen. None takes a name that only looks like that of another CA, and hardly any one that is a letter away:
//! of all that were ever disclosed two did, the last in 2014.

use std::collections::HashMap;

use x509_parser::prelude::{FromDer as _, ParsedExtension, X509Certificate};

use super::{PublicCa, PublicCas};
use crate::knowledge::names::skeleton;
use crate::model::{AttributeKind, Certificate, DistinguishedName, PresentedChain};

/// Why an issuer is not the public CA whose name it bears or imitates.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Forgery {
    /// No certificate of that name was valid on the day of issue. First and last day of the certificates, since 1970.
    OutsideValidity {
        /// The first day on which one was valid.
        first: i32,
        /// The last.
        last: i32,
    },
    /// The authority key identifier is of no certificate of that name.
    ForeignKey,
    /// It is nearly the name of a public CA.
    NearName(Box<str>),
}

/// A certificate was issued after the table was made, and something of it is not in the table: perhaps the CA has other
/// certificates by now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TableTooOld;

/// The public CAs by what their common names look like.
#[derive(Debug, Default)]
pub(super) struct NearNames {
    /// Common name and organisation, in lower case, of each.
    names: Vec<(Box<str>, Box<str>)>,
    /// Numbers by each form of the name in which one word is left out, and by what it looks like.
    forms: HashMap<Box<str>, Vec<u32>>,
}

const SECONDS_PER_DAY: i64 = 86_400;
/// Days are counted in UTC, and Zeek before 8.0 logs validity in the sensor's zone.
const SLACK_DAYS: i32 = 1;
/// A word has to be this long to be recognised in another that is one edit away: shorter ones tell siblings apart.
const MIN_WORD: usize = 6;
/// Certificates of a chain among which the issuer is looked for.
const MAX_SHOWN: usize = 16;
/// Names of one form that are compared.
const MAX_COMPARED: usize = 32;

impl PublicCas {
    /// Why the issuer of a certificate is not the public CA whose name it bears or imitates; `None` where nothing speaks
    /// against it, or where its start is not known.
    ///
    /// # Errors
    /// Something does, and the table is older than the certificate.
    pub fn forgery(&self, certificate: &Certificate) -> Result<Option<Forgery>, TableTooOld> {
        let issuer = certificate.issuer.as_ref().filter(|_| !certificate.is_self_issued());
        let (Some(issuer), Some(not_before)) = (issuer, certificate.not_before) else { return Ok(None) };
        let day = not_before.0.div_euclid(SECONDS_PER_DAY);
        let Ok(day) = i32::try_from(day) else { return Ok(None) };
        let forgery = match self.find(issuer) {
            Some(ca) => forged(&ca, day, certificate.authority_key_id.as_deref()),
            None => self.near_names().near(issuer, Near::Punctuation).map(Forgery::NearName),
        };
        match forgery {
            Some(Forgery::NearName(_)) if day > self.newest_day() => {
                let nobodys = self.near_names().near(issuer, Near::Edit).ok_or(TableTooOld)?;
                Ok(Some(Forgery::NearName(nobodys)))
            }
            Some(_) if day > self.newest_day() => Err(TableTooOld),
            known => Ok(known),
        }
    }

    /// Whether an issuer that was shown together with a certificate bears a public CA's name and has a key that is none of
    /// that CA's. For certificates that do not say themselves by which key they were made. Where the table does not hold the
    /// key of every certificate of that name, nobody is accused.
    ///
    /// # Errors
    /// It has, and the table is older than the certificate.
    pub fn shows_foreign_key(&self, certificate: &Certificate, shown: &PresentedChain) -> Result<bool, TableTooOld> {
        let names_key = certificate.authority_key_id.is_some() || certificate.is_self_issued();
        let issuer = certificate.issuer.as_ref().filter(|_| !names_key);
        let (Some(issuer), Some(not_before), Some(der)) = (issuer, certificate.not_before, &certificate.der) else {
            return Ok(false);
        };
        let (Some(ca), Ok((_, leaf))) = (self.find(issuer), X509Certificate::from_der(der)) else { return Ok(false) };
        let mut is_foreign = false;
        for other in shown.certificates.iter().take(MAX_SHOWN).filter(|other| ***other != **der) {
            let Ok((_, other)) = X509Certificate::from_der(other) else { continue };
            if other.subject().as_raw() != leaf.issuer().as_raw() {
                continue;
            }
            let key_id = other.extensions().iter().find_map(|extension| match extension.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0),
                _ => None,
            });
            match key_id.and_then(|key_id| ca.has_key_id(key_id)) {
                Some(false) => is_foreign = true,
                _ => return Ok(false),
            }
        }
        match is_foreign && not_before.0.div_euclid(SECONDS_PER_DAY) > i64::from(self.newest_day()) {
            true => Err(TableTooOld),
            false => Ok(is_foreign),
        }
    }
}

fn forged(ca: &PublicCa<'_>, day: i32, key_id: Option<&[u8]>) -> Option<Forgery> {
    let covered = (day - SLACK_DAYS..=day + SLACK_DAYS).any(|day| ca.covers(day));
    if !covered {
        let first = ca.windows().map(|window| window.not_before_day).min()?;
        let last = ca.windows().map(|window| window.not_after_day).max()?;
        return Some(Forgery::OutsideValidity { first, last });
    }
    (ca.has_key_id(key_id?) == Some(false)).then_some(Forgery::ForeignKey)
}

impl NearNames {
    pub(super) fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut near = Self::default();
        for name in names {
            let (Some(common), Some(organization)) = (attribute(name, "CN="), attribute(name, "O=")) else { continue };
            let number = near.names.len() as u32;
            for form in forms(common) {
                let numbers = near.forms.entry(form.into()).or_default();
                if numbers.len() < MAX_COMPARED && numbers.last() != Some(&number) {
                    numbers.push(number);
                }
            }
            near.names.push((common.into(), organization.into()));
        }
        near
    }

    /// The public CA that a name nearly is: common name or organisation differ in one long word, at the most by as much as
    /// is said, and the other is the same or differs likewise.
    fn near(&self, issuer: &DistinguishedName, most: Near) -> Option<Box<str>> {
        let folded = |kind| issuer.first(kind).map(fold);
        let common = folded(&AttributeKind::CommonName)?;
        let organization = folded(&AttributeKind::Organization)?;
        let candidates = forms(&common).filter_map(|form| self.forms.get(&*form)).flatten();
        let is_near = |number: &&u32| {
            self.names.get(**number as usize).is_some_and(|(known_common, known_organization)| {
                let of_common = likeness(&common, known_common);
                let of_organization = likeness(&organization, known_organization);
                let furthest = of_common.max(of_organization);
                (Likeness::Near(Near::Looks)..=Likeness::Near(most)).contains(&furthest)
            })
        };
        let number = candidates.filter(is_near).min()?;
        let (common, organization) = self.names.get(*number as usize)?;
        Some(format!("CN={common}, O={organization}").into())
    }
}

/// From alike to unlike.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Likeness {
    Same,
    Near(Near),
    Other,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Near {
    /// One word looks the same.
    Looks,
    /// One word is one edit away.
    Edit,
    /// Blanks and punctuation differ.
    Punctuation,
}

/// How two texts in lower case are alike, word by word.
fn likeness(one: &str, other: &str) -> Likeness {
    if one == other {
        return Likeness::Same;
    }
    let (mut left, mut right) = (words(one), words(other));
    let mut differing = None;
    loop {
        match (left.next(), right.next()) {
            // What differs in blanks and punctuation alone reads the same.
            (None, None) => return Likeness::Near(differing.unwrap_or(Near::Punctuation)),
            (Some(a), Some(b)) if a == b => {}
            (Some(a), Some(b)) => match near_word(a, b).filter(|_| differing.is_none()) {
                Some(near) => differing = Some(near),
                None => return Likeness::Other,
            },
            _ => return Likeness::Other,
        }
    }
}

fn near_word(one: &str, other: &str) -> Option<Near> {
    // Numbers tell siblings apart; what looks like a letter is none.
    if one.chars().count().min(other.chars().count()) < MIN_WORD || digits(one) == one || digits(other) == other {
        return None;
    }
    if skeleton(one) == skeleton(other) {
        return Some(Near::Looks);
    }
    let limit = rapidfuzz::distance::osa::Args::default().score_cutoff(1);
    let is_one_edit = rapidfuzz::distance::osa::distance_with_args(one.chars(), other.chars(), &limit).is_some();
    (is_one_edit && digits(one) == digits(other)).then_some(Near::Edit)
}

fn digits(word: &str) -> String {
    word.chars().filter(char::is_ascii_digit).collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty())
}

/// The forms under which a common name is kept: its words, and its words but for one long one.
fn forms(common: &str) -> impl Iterator<Item = String> {
    const MAX_WORDS: usize = 16;
    let all: Vec<String> = words(common).take(MAX_WORDS).map(str::to_owned).collect();
    let whole = std::iter::once(all.join(" "));
    let without: Vec<String> = all
        .iter()
        .enumerate()
        // An edit may make a word one shorter.
        .filter(|(_, word)| word.chars().count() + 1 >= MIN_WORD)
        .map(|(left_out, _)| {
            let rest = all.iter().enumerate().map(|(at, word)| if at == left_out { "*" } else { word });
            rest.collect::<Vec<_>>().join(" ")
        })
        .collect();
    whole.chain(without)
}

/// The value of an attribute in a normal form; values with a comma are cut there, which makes them like no other.
fn attribute<'a>(name: &'a str, kind: &str) -> Option<&'a str> {
    let starts = std::iter::once(0).chain(name.match_indices(',').map(|(at, _)| at + 1));
    let value = starts.filter_map(|at| name.get(at..)?.strip_prefix(kind)).next()?;
    // A comma ends the value only where another attribute follows.
    let end = value.match_indices(',').map(|(at, _)| at).find(|at| {
        let rest = value.get(at + 1..).unwrap_or_default();
        rest.split_once('=').is_some_and(|(kind, _)| {
            !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
        })
    });
    Some(value.get(..end.unwrap_or(value.len())).unwrap_or(value))
}

/// Lower case, with single blanks.
fn fold(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CertificateSource, EventTime, SelfSigned, ValidityTime};

    fn issued(issuer: &str, day: &str) -> Certificate {
        let mut certificate = Certificate::unknown(CertificateSource::LogStrings);
        certificate.subject = Some(DistinguishedName::from_rfc2253("CN=host.example"));
        certificate.issuer = Some(DistinguishedName::from_rfc2253(issuer));
        certificate.self_signed = Some(SelfSigned::No);
        let day = EventTime::parse_date(day).unwrap();
        certificate.not_before = Some(ValidityTime(i64::from(day) * SECONDS_PER_DAY));
        certificate.with_id()
    }

    const MICROSOFT: &str =
        "CN=Microsoft IT TLS CA 5,OU=Microsoft IT,O=Microsoft Corporation,L=Redmond,ST=Washington,C=US";

    #[test]
    fn a_name_whose_certificates_had_expired_is_forged() {
        let cas = PublicCas::builtin();
        assert!(matches!(cas.forgery(&issued(MICROSOFT, "2025-06-01")), Ok(Some(Forgery::OutsideValidity { .. }))));
        assert_eq!(cas.forgery(&issued(MICROSOFT, "2019-06-01")), Ok(None));
    }

    #[test]
    fn what_was_issued_after_the_table_was_made_is_not_accused_by_it() {
        let cas = PublicCas::builtin();
        let day = |days: i32| EventTime::date_text(cas.newest_day() + days);
        assert!(matches!(cas.forgery(&issued(MICROSOFT, &day(0))), Ok(Some(Forgery::OutsideValidity { .. }))));
        assert_eq!(cas.forgery(&issued(MICROSOFT, &day(1))), Err(TableTooOld));
        let nearly = "CN=DigiCert SHA2-Secure Server CA,O=DigiCert Inc,C=US";
        assert!(matches!(cas.forgery(&issued(nearly, &day(0))), Ok(Some(Forgery::NearName(_)))));
        assert_eq!(cas.forgery(&issued(nearly, &day(1))), Err(TableTooOld));
        // What looks like another CA's name, or is a letter away, is nobody's, whatever was disclosed since.
        for nobodys in [
            "CN=DigiCert SHA2 Secuer Server CA,O=DigiCert Inc,C=US",
            "CN=DigiCert SHA2 Secure Server CA,O=DigiCerts Inc,C=US",
            "CN=DigiCert SHA2 Secure Server CA,O=D1giCert Inc,C=US",
            "CN=DigiCert SHA2 S\u{435}cure Server CA,O=DigiCert Inc,C=US",
        ] {
            for days in [0, 1, 5000] {
                let found = cas.forgery(&issued(nobodys, &day(days)));
                assert!(matches!(found, Ok(Some(Forgery::NearName(_)))), "{nobodys} {days} {found:?}");
            }
        }
        // A key that it does not know may be that of a new certificate; one that it knows is as good as ever.
        let root = "CN=ISRG Root X1,O=Internet Security Research Group,C=US";
        let mut certificate = issued(root, &day(1));
        assert_eq!(cas.forgery(&certificate), Ok(None));
        certificate.authority_key_id = Some([0xab; 20].into());
        assert_eq!(cas.forgery(&certificate), Err(TableTooOld));
        assert_eq!(cas.forgery(&issued("CN=Kestrel Issuing CA 1,O=Kestrel,C=GB", &day(1))), Ok(None));
    }

    #[test]
    fn hardly_any_ca_has_taken_a_name_that_is_a_letter_away_from_an_earlier_one() {
        let cas = PublicCas::builtin();
        let began = |ca: &PublicCa<'_>| ca.windows().map(|window| window.not_before_day).min();
        let all: Vec<_> = cas.all().map(|ca| (began(&ca), ca.name)).collect();
        let is_taken = |(day, name): &&(Option<i32>, &str)| {
            let issuer = DistinguishedName::from_rfc2253(name);
            let near = |names: &NearNames| names.near(&issuer, Near::Edit).is_some();
            let earlier = all.iter().filter(|(other, _)| other < day).map(|(_, name)| *name);
            near(cas.near_names()) && near(&NearNames::new(earlier))
        };
        let taken = all.iter().filter(is_taken).count();
        assert!(taken * 2000 < all.len(), "{taken} of {}", all.len());
    }

    #[test]
    fn a_key_that_is_none_of_the_cas_is_forged() {
        let cas = PublicCas::builtin();
        let mut certificate = issued("CN=R3,O=Let's Encrypt,C=US", "2022-01-01");
        certificate.authority_key_id = Some([0xab; 20].into());
        assert_eq!(cas.forgery(&certificate), Ok(Some(Forgery::ForeignKey)));
        let r3 = [0x14, 0x2e, 0xb3, 0x17, 0xb7, 0x58, 0x56, 0xcb, 0xae, 0x50, 0x09, 0x40, 0xe6, 0x1f, 0xaf, 0x9d];
        certificate.authority_key_id = Some(r3.into());
        assert_eq!(cas.forgery(&certificate), Ok(None));
    }

    #[test]
    fn an_issuer_that_is_shown_with_another_key_is_forged() {
        use crate::decode::certificate_from_der;
        use crate::model::Id128;
        use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyIdMethod, KeyPair, date_time_ymd};
        let r3 = [0x14, 0x2e, 0xb3, 0x17, 0xb7, 0x58, 0x56, 0xcb, 0xae, 0x50, 0x09, 0x40, 0xe6, 0x1f, 0xaf, 0x9d];
        let cas = PublicCas::builtin();
        let found = |common: &str, key: KeyIdMethod, [year, names_key, is_shown]: [i32; 3]| {
            let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_identifier_method = key;
            for (kind, value) in
                [(DnType::CountryName, "US"), (DnType::OrganizationName, "Let's Encrypt"), (DnType::CommonName, common)]
            {
                params.distinguished_name.push(kind, value);
            }
            let ca_key = KeyPair::generate().unwrap();
            let ca = params.self_signed(&ca_key).unwrap().der().to_vec();
            let issuer = Issuer::new(params, ca_key);
            let mut params = CertificateParams::new(vec!["host.example".to_owned()]).unwrap();
            params.not_before = date_time_ymd(year, 1, 1);
            params.use_authority_key_identifier_extension = names_key == 1;
            let leaf = params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().der().to_vec();
            let certificate = certificate_from_der(&leaf, None, None).unwrap();
            let mut certificates = vec![Box::from(&*leaf)];
            certificates.extend((is_shown == 1).then(|| Box::from(&*ca)));
            cas.shows_foreign_key(&certificate, &PresentedChain { id: Id128([0; 16]), certificates })
        };
        assert_eq!(found("R3", KeyIdMethod::Sha256, [2022, 0, 1]), Ok(true));
        // The true key, none that is shown, one that the certificate names itself, and a CA that nobody knows.
        assert_eq!(found("R3", KeyIdMethod::PreSpecified(r3.to_vec()), [2022, 0, 1]), Ok(false));
        assert_eq!(found("R3", KeyIdMethod::Sha256, [2022, 0, 0]), Ok(false));
        assert_eq!(found("R3", KeyIdMethod::Sha256, [2022, 1, 1]), Ok(false));
        assert_eq!(found("Kestrel", KeyIdMethod::Sha256, [2022, 0, 1]), Ok(false));
        assert_eq!(found("R3", KeyIdMethod::Sha256, [2100, 0, 1]), Err(TableTooOld));
    }

    #[test]
    fn nearly_a_public_name_is_forged_and_a_sibling_is_not() {
        let cas = PublicCas::builtin();
        for (issuer, forged) in [
            ("CN=DigiCert SHA2 Secure Server CA,O=DigiCert Inc,C=US", false),
            ("CN=DigiCert SHA2 Secure Server CA,O=DigiCret Inc,C=US", true),
            ("CN=DigiCert SHA2 Secuer Server CA,O=DigiCert Inc,C=US", true),
            ("CN=DigiCert SHA2 Secure Server CA,O=D1giCert Inc,C=US", true),
            // Siblings, known or to come.
            ("CN=DigiCert SHA9 Secure Server CA,O=DigiCert Inc,C=US", false),
            ("CN=DigiCert TLS RSA SHA256 2020 CA9,O=DigiCert Inc,C=US", false),
            ("CN=R99,O=Let's Encrypt,C=US", false),
            ("CN=Kestrel Issuing CA 1,O=Kestrel,C=GB", false),
            ("CN=Internal CA,O=DigiCert Inc,C=US", false),
        ] {
            let found = cas.forgery(&issued(issuer, "2018-06-01"));
            assert_eq!(matches!(found, Ok(Some(Forgery::NearName(_)))), forged, "{issuer}: {found:?}");
        }
    }

    #[test]
    fn no_certificate_of_the_corpus_is_forged() {
        use crate::knowledge::test_corpus;
        let cas = PublicCas::builtin();
        let Some(certificates) = test_corpus::zeek_certificates("zeek-6.2-json/x509.log.gz") else { return };
        let forged: Vec<_> = certificates
            .iter()
            .filter_map(|certificate| Some((certificate.issuer.as_ref()?.text(), cas.forgery(certificate).ok()??)))
            .collect();
        assert!(forged.is_empty(), "{forged:#?}");
    }
}
