//! One chain at one time, by rustls-webpki.

use std::time::Duration;

use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, Error, KeyUsage};
use x509_parser::prelude::{FromDer as _, ParsedExtension, X509Certificate, X509Error};

use super::{Chain, ChainJudge, ChainReason, ChainStatus, Known, Span, TrustStore};
use crate::decode::is_checkable_by;
use crate::model::{Certificate, PresentedChain, SelfSigned};

/// Certificates that are tried between a leaf and a root.
const MAX_CANDIDATES: usize = 32;
/// Certificates of one name that a server may show: a CA's own and one by another CA. Of more, each of which may be by each,
/// there are hundreds of thousands of ways that lead nowhere, and a session that shows them would take a second.
const MAX_OF_ONE_NAME: usize = 2;
/// How far above the leaf CAs that the server left out are looked for.
const MAX_HEIGHT: usize = 6;

/// A time within the validity of a certificate.
pub(super) struct Within {
    /// The record's time, or the nearest at which the certificate is valid.
    pub(super) seconds: i64,
    /// What is wrong with the record's time.
    pub(super) status: Option<ChainStatus>,
}

pub(super) fn within_validity(certificate: &Certificate, seconds: i64) -> Within {
    let from = certificate.not_before.map_or(i64::MIN, |time| time.0);
    let to = certificate.not_after.map_or(i64::MAX, |time| time.0);
    let status = match seconds {
        _ if seconds < from => Some(ChainStatus::NotYetValid),
        _ if seconds > to => Some(ChainStatus::Expired),
        _ => None,
    };
    Within { seconds: seconds.min(to).max(from).max(0), status }
}

impl TrustStore {
    pub(super) fn verify(
        &self,
        der: &[u8],
        certificate: &Certificate,
        presented: Option<&PresentedChain>,
        seconds: i64,
    ) -> Known {
        let presented = presented.map(|chain| &*chain.certificates).unwrap_or_default();
        let shown = shown(der, presented);
        let mut span = Span::ALWAYS;
        for certificate in shown.iter().chain([&CertificateDer::from(der)]) {
            match X509Certificate::from_der(certificate) {
                Ok((_, certificate)) => {
                    let validity = certificate.validity();
                    span.narrow(seconds, validity.not_before.timestamp(), validity.not_after.timestamp());
                }
                // The library may read what is not read here, and then minds a validity that is not known.
                Err(_) if EndEntityCert::try_from(certificate).is_ok() => span.narrow(seconds, seconds, seconds),
                Err(_) => {}
            }
        }
        let (status, reason) = match self.path(der, &shown, seconds) {
            Ok(()) => (ChainStatus::Trusted, None),
            Err(error) => {
                // CAs that the server did not show can only help it: a cross-certificate of the same name that is
                // constrained, or for another use, says nothing of a chain that was never meant to lead there. But a
                // signature that is not by the very key that the certificate names is broken whoever shows the key, and
                // whether or not a root is above it.
                let known = self.with_known(der, &shown, seconds, &mut span);
                if known.len() > shown.len() && self.path(der, &known, seconds).is_ok() {
                    (ChainStatus::Trusted, None)
                } else if is_not_by_named_key(der, &known) {
                    (ChainStatus::Untrusted, Some(ChainReason::BadSignature))
                } else {
                    judged(&error, certificate)
                }
            }
        };
        Known { chain: Chain { status, reason, by: ChainJudge::Der }, span }
    }

    /// Whether certificates lead from a leaf to a root.
    fn path(&self, leaf: &[u8], candidates: &[CertificateDer<'_>], seconds: i64) -> Result<(), Error> {
        let leaf = CertificateDer::from(leaf);
        let time = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(seconds).unwrap_or_default()));
        let (algorithms, usage) = (webpki::ALL_VERIFICATION_ALGS, KeyUsage::server_auth());
        let leaf = EndEntityCert::try_from(&leaf)?;
        leaf.verify_for_usage(algorithms, &self.anchors, candidates, time, usage, None, None).map(|_| ())
    }

    /// What the server showed, and known CAs of the names that are asked for.
    fn with_known<'a>(
        &'a self,
        leaf: &[u8],
        shown: &[CertificateDer<'a>],
        seconds: i64,
        span: &mut Span,
    ) -> Vec<CertificateDer<'a>> {
        let mut candidates = shown.to_vec();
        let mut wanted: Vec<Box<[u8]>> = issuer_of(leaf).into_iter().collect();
        wanted.extend(candidates.iter().filter_map(|candidate| issuer_of(candidate)));
        for _ in 0..MAX_HEIGHT {
            let mut above = Vec::new();
            for name in std::mem::take(&mut wanted) {
                for authority in self.authorities.get(&name).into_iter().flatten() {
                    span.narrow(seconds, authority.not_before, authority.not_after);
                    let is_valid = (authority.not_before..=authority.not_after).contains(&seconds);
                    let is_new = !candidates.iter().any(|known| **known == *authority.der);
                    if is_valid && is_new && candidates.len() < MAX_CANDIDATES {
                        candidates.push(CertificateDer::from(&*authority.der));
                        above.push(authority.issuer.clone());
                    }
                }
            }
            if above.is_empty() {
                break;
            }
            wanted = above;
        }
        candidates
    }
}

/// What an error amounts to: what certsift or the library cannot check accuses nobody.
fn judged(error: &Error, certificate: &Certificate) -> (ChainStatus, Option<ChainReason>) {
    let (status, reason) = match error {
        // Another CA of the same name may be the one that signed.
        Error::UnknownIssuer | Error::InvalidSignatureForPublicKey => return unknown_issuer(certificate),
        Error::CertExpired { .. } => (ChainStatus::Expired, ChainReason::IssuerValidity),
        Error::CertNotValidYet { .. } => (ChainStatus::NotYetValid, ChainReason::IssuerValidity),
        Error::NameConstraintViolation | Error::PathLenConstraintViolated | Error::EndEntityUsedAsCa => {
            (ChainStatus::Untrusted, ChainReason::Constraint)
        }
        // Self-made certificates say of themselves that they are CAs.
        Error::CaUsedAsEndEntity if certificate.is_self_issued() => (ChainStatus::Untrusted, ChainReason::SelfSigned),
        Error::CaUsedAsEndEntity => (ChainStatus::Unverifiable, ChainReason::Constraint),
        Error::RequiredEkuNotFoundContext(_) => (ChainStatus::Unverifiable, ChainReason::Usage),
        Error::UnsupportedSignatureAlgorithmContext(_)
        | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_)
        | Error::MaximumSignatureChecksExceeded
        | Error::MaximumPathBuildCallsExceeded
        | Error::MaximumPathDepthExceeded
        | Error::MaximumNameConstraintComparisonsExceeded => (ChainStatus::Unverifiable, ChainReason::Algorithm),
        _ => (ChainStatus::Unverifiable, ChainReason::Encoding),
    };
    // What cannot be read or checked may still say that nobody else vouches for it.
    if status == ChainStatus::Unverifiable && certificate.self_signed == Some(SelfSigned::Verified) {
        return (ChainStatus::Untrusted, Some(ChainReason::SelfSigned));
    }
    (status, Some(reason))
}

fn unknown_issuer(certificate: &Certificate) -> (ChainStatus, Option<ChainReason>) {
    match certificate.is_self_issued() {
        true => (ChainStatus::Untrusted, Some(ChainReason::SelfSigned)),
        false => (ChainStatus::Untrusted, Some(ChainReason::UnknownIssuer)),
    }
}

/// Whether a certificate names its issuer's key, candidates have that key, and its signature is by none of theirs.
fn is_not_by_named_key(der: &[u8], candidates: &[CertificateDer<'_>]) -> bool {
    let Ok((_, leaf)) = X509Certificate::from_der(der) else { return false };
    let wanted = leaf.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref().map(|id| id.0),
        _ => None,
    });
    let Some(wanted) = wanted else { return false };
    let mut is_known = false;
    // One that is its own issuer names its own key.
    for candidate in candidates.iter().map(|candidate| &**candidate).chain([der]) {
        let Ok((_, candidate)) = X509Certificate::from_der(candidate) else { continue };
        let has_key = candidate.subject().as_raw() == leaf.issuer().as_raw()
            && candidate.extensions().iter().any(|extension| match extension.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(id) => id.0 == wanted,
                _ => false,
            });
        if has_key {
            match leaf.verify_signature(Some(candidate.public_key())) {
                Err(X509Error::SignatureVerificationError) if is_checkable_by(&leaf, candidate.public_key()) => {
                    is_known = true;
                }
                _ => return false,
            }
        }
    }
    is_known
}

/// What the server showed beside the leaf.
fn shown<'a>(leaf: &[u8], presented: &'a [Box<[u8]>]) -> Vec<CertificateDer<'a>> {
    let (mut shown, mut names) = (Vec::<CertificateDer<'a>>::new(), Vec::new());
    for der in presented.iter().take(MAX_CANDIDATES).map(|der| &**der) {
        let name = subject_of(der);
        let of_that_name = names.iter().filter(|other| name.is_some() && **other == name).count();
        if der != leaf && of_that_name < MAX_OF_ONE_NAME && shown.iter().all(|known| **known != *der) {
            shown.push(CertificateDer::from(der));
            names.push(name);
        }
    }
    shown
}

/// The subject of a certificate, as encoded.
fn subject_of(der: &[u8]) -> Option<Box<[u8]>> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some(certificate.subject().as_raw().into())
}

/// The issuer of a certificate, as encoded.
fn issuer_of(der: &[u8]) -> Option<Box<[u8]>> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some(certificate.issuer().as_raw().into())
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair,
        NameConstraints, SanType, date_time_ymd,
    };

    use super::*;
    use crate::decode::certificate_from_der;
    use crate::model::Id128;

    /// 2026-06-01 and 2031-06-01, noon.
    const DURING: i64 = 1_780_315_200;
    const AFTER: i64 = 1_938_081_600;
    const SECONDS_PER_DAY: i64 = 86_400;

    struct Ca {
        issuer: Issuer<'static, KeyPair>,
        der: Vec<u8>,
    }

    fn params(name: &str, years: [i32; 2]) -> CertificateParams {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(years[0], 1, 1);
        params.not_after = date_time_ymd(years[1], 1, 1);
        params.use_authority_key_identifier_extension = true;
        params
    }

    fn ca(name: &str, years: [i32; 2], above: Option<&Ca>) -> Ca {
        let mut params = params(name, years);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let der = match above {
            Some(above) => params.signed_by(&key, &above.issuer).unwrap().der().to_vec(),
            None => params.self_signed(&key).unwrap().der().to_vec(),
        };
        Ca { issuer: Issuer::new(params, key), der }
    }

    fn leaf(years: [i32; 2], above: &Ca) -> Vec<u8> {
        let mut params = params("host.example", years);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.signed_by(&KeyPair::generate().unwrap(), &above.issuer).unwrap().der().to_vec()
    }

    /// A store with these roots and CAs.
    fn store(roots: &[&Ca], cas: &[&Ca]) -> TrustStore {
        let anchors = roots.iter().filter_map(|ca| super::super::anchor(&CertificateDer::from(ca.der.clone())));
        let mut authorities = std::collections::HashMap::<_, Vec<_>>::new();
        for ca in cas {
            let (subject, authority) = super::super::authority(ca.der.clone()).unwrap();
            authorities.entry(subject).or_default().push(authority);
        }
        TrustStore::new(anchors.collect(), authorities)
    }

    fn status(
        store: &TrustStore,
        leaf: &[u8],
        presented: &[&[u8]],
        seconds: i64,
    ) -> (ChainStatus, Option<ChainReason>) {
        let certificates = presented.iter().map(|der| Box::from(*der)).collect();
        let presented = PresentedChain { id: Id128::of_parts(presented), certificates };
        let certificate = certificate_from_der(leaf, None, None).unwrap();
        let chain = store.chain(&certificate, Some(&presented), seconds, false).unwrap();
        (chain.status, chain.reason)
    }

    #[test]
    fn a_chain_is_judged_at_the_time_of_the_record() {
        let root = ca("Root", [2020, 2040], None);
        let middle = ca("Middle", [2020, 2030], Some(&root));
        let leaf = leaf([2026, 2035], &middle);
        let store = store(&[&root], &[]);
        assert_eq!(status(&store, &leaf, &[&middle.der], DURING), (ChainStatus::Trusted, None));
        let before = DURING - 365 * SECONDS_PER_DAY;
        assert_eq!(status(&store, &leaf, &[&middle.der], before), (ChainStatus::NotYetValid, None));
        let expired = (ChainStatus::Expired, Some(ChainReason::IssuerValidity));
        assert_eq!(status(&store, &leaf, &[&middle.der], AFTER), expired);
        let long_after = AFTER + 10 * 365 * SECONDS_PER_DAY;
        assert_eq!(status(&store, &leaf, &[&middle.der], long_after).0, ChainStatus::Expired);
    }

    #[test]
    fn a_known_ca_stands_in_for_one_that_the_server_left_out() {
        let root = ca("Root", [2020, 2040], None);
        let middle = ca("Middle", [2020, 2030], Some(&root));
        let later = ca("Middle", [2028, 2040], Some(&root));
        let leaf = leaf([2026, 2027], &middle);
        let unknown = (ChainStatus::Untrusted, Some(ChainReason::UnknownIssuer));
        assert_eq!(status(&store(&[&root], &[]), &leaf, &[], DURING), unknown);
        let full = store(&[&root], &[&later, &middle]);
        assert_eq!(status(&full, &leaf, &[], DURING), (ChainStatus::Trusted, None));
        // Of a public CA's certificate, nothing is said.
        let certificate = certificate_from_der(&leaf, None, None).unwrap();
        let chain = store(&[&root], &[]).chain(&certificate, None, DURING, true).unwrap();
        assert_eq!((chain.status, chain.reason), (ChainStatus::Unverifiable, Some(ChainReason::MissingIssuer)));
    }

    #[test]
    fn a_known_ca_that_does_not_fit_accuses_nobody() {
        let root = ca("Root", [2020, 2040], None);
        let other_root = ca("Other Root", [2020, 2040], None);
        let middle = ca("Middle", [2020, 2030], Some(&root));
        // The same CA, cross-certified for other names only, and for clients only.
        let crossed = |constrain: &dyn Fn(&mut CertificateParams)| {
            let mut params = params("Middle", [2020, 2030]);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            constrain(&mut params);
            let der = params.signed_by(middle.issuer.key(), &other_root.issuer).unwrap().der().to_vec();
            Ca { issuer: Issuer::new(params, KeyPair::generate().unwrap()), der }
        };
        let of_names = crossed(&|params| {
            let permitted_subtrees = vec![GeneralSubtree::DnsName("other.example".to_owned())];
            params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
        });
        let of_clients = crossed(&|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
        let mut params = params("host.example", [2026, 2027]);
        params.subject_alt_names = vec![SanType::DnsName("host.example".try_into().unwrap())];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let leaf = params.signed_by(&KeyPair::generate().unwrap(), &middle.issuer).unwrap().der().to_vec();
        let unknown = (ChainStatus::Untrusted, Some(ChainReason::UnknownIssuer));
        for crossed in [&of_names, &of_clients] {
            let without_root = store(&[&other_root], &[crossed]);
            assert_eq!(status(&without_root, &leaf, &[], DURING), unknown);
            // What the server itself shows is its own affair.
            assert_ne!(status(&without_root, &leaf, &[&crossed.der], DURING), unknown);
            let both = store(&[&root, &other_root], &[crossed, &middle]);
            assert_eq!(status(&both, &leaf, &[], DURING), (ChainStatus::Trusted, None));
            let certificate = certificate_from_der(&leaf, None, None).unwrap();
            let chain = without_root.chain(&certificate, None, DURING, true).unwrap();
            assert_eq!((chain.status, chain.reason), (ChainStatus::Unverifiable, Some(ChainReason::MissingIssuer)));
        }
    }

    #[test]
    fn a_signature_that_does_not_fit_the_named_key_is_broken() {
        let root = ca("Root", [2020, 2040], None);
        let mut forged = leaf([2026, 2027], &root);
        *forged.last_mut().unwrap() ^= 1;
        let store = store(&[&root], &[&root]);
        let broken = (ChainStatus::Untrusted, Some(ChainReason::BadSignature));
        assert_eq!(status(&store, &forged, &[], DURING), broken);
        // One that names its own key.
        let mut own = ca("host.example", [2026, 2027], None).der;
        *own.last_mut().unwrap() ^= 1;
        assert_eq!(status(&store, &own, &[], DURING), broken);
        // A CA of the same name and another key.
        let other = leaf([2026, 2027], &ca("Root", [2020, 2040], None));
        assert_eq!(status(&store, &other, &[], DURING).1, Some(ChainReason::UnknownIssuer));
    }

    #[test]
    fn a_broken_signature_is_broken_whatever_else_is_wrong() {
        let root = ca("Root", [2020, 2040], None);
        let middle = ca("Middle", [2020, 2030], Some(&root));
        let broken = (ChainStatus::Untrusted, Some(ChainReason::BadSignature));
        let unknown = (ChainStatus::Untrusted, Some(ChainReason::UnknownIssuer));
        let good = leaf([2026, 2027], &middle);
        let mut forged = good.clone();
        *forged.last_mut().unwrap() ^= 1;
        // The root is no longer one, and the CA is shown or known.
        let (rootless, knowing) = (store(&[], &[]), store(&[], &[&middle]));
        assert_eq!(status(&rootless, &good, &[&middle.der], DURING), unknown);
        assert_eq!(status(&rootless, &forged, &[&middle.der], DURING), broken);
        assert_eq!(status(&knowing, &forged, &[], DURING), broken);
        // Nobody shows the key.
        assert_eq!(status(&rootless, &forged, &[], DURING), unknown);
        // It has expired as well.
        assert_eq!(status(&store(&[&root], &[]), &forged, &[&middle.der], AFTER), broken);
        assert_eq!(status(&store(&[&root], &[]), &good, &[&middle.der], AFTER).0, ChainStatus::Expired);
    }

    #[test]
    fn certificates_that_may_each_be_by_each_are_not_followed_in_every_order() {
        let root = ca("Root", [2020, 2040], None);
        let middle = ca("Middle", [2020, 2030], Some(&root));
        // Each names as its issuer what all others are called.
        let others: Vec<Ca> = (0..15).map(|_| ca("Middle", [2020, 2030], Some(&middle))).collect();
        let mut shown: Vec<&[u8]> = others.iter().map(|other| &*other.der).collect();
        let (store, leaf) = (store(&[&root], &[]), leaf([2026, 2027], &middle));
        let unknown = (ChainStatus::Untrusted, Some(ChainReason::UnknownIssuer));
        assert_eq!(status(&store, &leaf, &shown, DURING), unknown);
        // One that is shown again takes no other's place, and two are enough for a CA that another has certified.
        shown.truncate(1);
        shown.extend([&*others[0].der, &*others[0].der, &*middle.der]);
        assert_eq!(status(&store, &leaf, &shown, DURING), (ChainStatus::Trusted, None));
    }

    #[test]
    fn a_ca_is_valid_to_its_last_second_and_from_its_first_whatever_was_asked_before() {
        let root = ca("Root", [2020, 2040], None);
        let (first, second) = (ca("Middle", [2020, 2027], Some(&root)), ca("Other", [2027, 2040], Some(&root)));
        // 2027-01-01, where one ends and the other begins.
        let turn = 1_798_761_600;
        let (of_first, of_second) = (leaf([2026, 2030], &first), leaf([2026, 2030], &second));
        let expired = (ChainStatus::Expired, Some(ChainReason::IssuerValidity));
        let not_yet = (ChainStatus::NotYetValid, Some(ChainReason::IssuerValidity));
        let trusted = (ChainStatus::Trusted, None);
        let (alone, knowing) = (store(&[&root], &[]), store(&[&root], &[&first, &second]));
        for seconds in [turn - 1, turn, turn + 1, turn - 1, turn + 40_000, turn - 40_000] {
            let (is_over, is_begun) = (seconds > turn, seconds >= turn);
            let expected = [if is_over { expired } else { trusted }, if is_begun { trusted } else { not_yet }];
            for (leaf, ca, expected) in [(&of_first, &first, expected[0]), (&of_second, &second, expected[1])] {
                assert_eq!(status(&alone, leaf, &[&ca.der], seconds), expected, "{seconds}");
                let is_known = status(&knowing, leaf, &[], seconds) == trusted;
                assert_eq!(is_known, expected == trusted, "{seconds}");
            }
        }
    }

    #[test]
    fn what_vouches_for_itself_leads_nowhere() {
        let own = ca("host.example", [2020, 2040], None);
        let found = status(&store(&[], &[]), &own.der, &[], DURING);
        assert_eq!(found, (ChainStatus::Untrusted, Some(ChainReason::SelfSigned)));
        let root = store(&[&own], &[]);
        assert_eq!(root.roots(), 1);
    }
}
