//! What follows from a certificate and from knowledge alone: worked out once per certificate.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::oddities::Oddities;
use super::{CheckSet, Finding, Part, signature};
use crate::knowledge::Knowledge;
use crate::knowledge::feeds::FeedMatch;
use crate::knowledge::names::Imitation;
use crate::knowledge::signatures::{Confidence, Severity, Verdict};
use crate::knowledge::suffix::registrable_domain;
use crate::model::{AttributeKind, Certificate, EventTime, Id128, host_name};

/// The outcome of everything that does not depend on the session.
#[derive(Debug)]
pub struct CertificateAnalysis {
    issuer_is_public: Option<bool>,
    is_plain: bool,
    /// Of nearly all certificates nothing is to be told: then this takes no room, of hundreds of bytes for each.
    told: Option<Box<Told>>,
    domains: Box<[(Id128, Box<str>)]>,
    json: CertificateJson,
}

/// What is to be told of a certificate by itself.
#[derive(Debug)]
struct Told {
    signatures: Vec<SignatureMatch>,
    feeds: Vec<FeedMatch>,
    oddities: Oddities,
}

static NOTHING: Told = Told { signatures: Vec::new(), feeds: Vec::new(), oddities: Oddities::NONE };

/// What is left of an analysis that has nothing to tell, so that it need not be made again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Silence {
    issuer_is_public: Option<bool>,
    is_plain: bool,
    has_domains: bool,
}

/// Bytes of what is to be told of certificates and of full texts of them. Few have any, and it is not known which when
/// they are weighed.
#[derive(Clone, Debug, Default)]
pub struct TellingBytes(Arc<AtomicU64>);

impl TellingBytes {
    /// How many there are now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A signature that fires on the certificate.
#[derive(Debug)]
pub struct SignatureMatch {
    /// The signature's id.
    pub id: Box<str>,
    /// The tool or product.
    pub tool: Box<str>,
    /// Its ATT&CK software id.
    pub attack_id: Option<Box<str>>,
    /// What kind of thing it is.
    pub verdict: Verdict,
    /// How sure it is.
    pub confidence: Confidence,
    /// How bad it is.
    pub severity: Severity,
    /// The field that shows it.
    pub field: Box<str>,
    /// What the certificate has there.
    pub observed: Box<str>,
    /// What the signature looks for.
    pub expected: Box<str>,
    /// The signature's own words.
    pub note: Box<str>,
    /// What is said of it.
    pub(super) sentence: Box<str>,
    /// The finding as it stands in records.
    pub(super) finding: FindingJson,
    /// The signature as it stands in records, made when the first record asks.
    json: OnceLock<Box<str>>,
}

/// The certificate's fields as they stand in records, made when the first record asks.
#[derive(Debug, Default)]
pub struct CertificateJson {
    brief: OnceLock<Box<str>>,
    full: OnceLock<Box<[Box<str>; 2]>>,
    /// That it is self-signed, and that it is weak.
    pub(super) self_signed: FindingJson,
    pub(super) weakness: FindingJson,
    /// Where the bytes of an analysis are counted, and how many of them are those of what is to be told.
    counted: TellingBytes,
    told: u32,
}

/// A finding as it stands in records, made when the first record asks. Its weight depends on the direction: the text is
/// that with the first one, and most certificates are shown in one direction only.
#[derive(Debug, Default)]
pub struct FindingJson(OnceLock<Box<(f64, Severity, Box<str>)>>);

/// Registrable domains of a certificate that are looked at.
const MAX_DOMAINS: usize = 20;

impl CertificateAnalysis {
    /// Works out what follows from a certificate, as far as these checks look at it.
    pub fn of(certificate: &Certificate, knowledge: &Knowledge, checks: CheckSet) -> Self {
        let issuer_is_public = certificate
            .issuer
            .as_ref()
            .filter(|issuer| !issuer.is_empty())
            .map(|issuer| !certificate.is_self_issued() && knowledge.public_cas.contains(issuer));
        let hits = match checks.look_at(Part::Signatures) {
            true => knowledge.signatures.evaluate(certificate, issuer_is_public),
            false => Vec::new(),
        };
        let signatures: Vec<_> = hits
            .into_iter()
            .map(|hit| SignatureMatch {
                sentence: signature::sentence(&hit).into(),
                id: hit.signature.id().into(),
                tool: hit.signature.tool().into(),
                attack_id: hit.signature.attack_id().map(Into::into),
                verdict: hit.signature.verdict(),
                confidence: hit.signature.confidence(),
                severity: hit.signature.severity(),
                field: hit.field.into(),
                observed: hit.observed.into(),
                expected: hit.expected.into(),
                note: hit.signature.note().into(),
                finding: FindingJson::default(),
                json: OnceLock::new(),
            })
            .collect();
        let feeds = match checks.look_at(Part::Feeds) {
            true => knowledge.feeds.of_certificate(certificate),
            false => Vec::new(),
        };
        let oddities = Oddities::of(certificate, issuer_is_public, knowledge, checks);
        // How many there are says how much a row of a feed on one of them means.
        let domains = match checks.look_at(Part::Registrations) || !feeds.is_empty() {
            true => domains_of(certificate),
            false => Vec::new(),
        };
        let is_nothing = signatures.is_empty() && feeds.is_empty() && oddities.is_none();
        Self {
            issuer_is_public,
            is_plain: signatures.is_empty() && oddities.are_none(certificate),
            told: (!is_nothing).then(|| Box::new(Told { signatures, feeds, oddities })),
            domains: domains.into(),
            json: CertificateJson::default(),
        }
    }

    /// The same of this certificate, whose bytes are counted. To be called once, before anything is made of it.
    pub fn counted(mut self, certificate: &Certificate, bytes: &TellingBytes) -> Self {
        /// Texts of findings that need nothing odd: that a certificate is self-signed, with the issuer's name.
        const KEPT: usize = 512;
        debug_assert!(self.json.full.get().is_none() && self.json.told == 0, "its bytes are counted once");
        let issuer = certificate.issuer.as_ref().map_or(0, |issuer| json_length(issuer.text()));
        let kept = if self.is_plain { 0 } else { KEPT + issuer };
        let told = self.told.as_ref().map_or(0, |told| told.bytes());
        self.json.counted = bytes.clone();
        self.json.told = u32::try_from(told + kept).unwrap_or(u32::MAX);
        bytes.0.fetch_add(u64::from(self.json.told), Ordering::Relaxed);
        self
    }

    /// What is enough to have it again, where it has nothing to tell.
    pub fn silence(&self) -> Option<Silence> {
        let Self { issuer_is_public, is_plain, told, domains, .. } = self;
        let has_domains = !domains.is_empty();
        let silence = Silence { issuer_is_public: *issuer_is_public, is_plain: *is_plain, has_domains };
        told.is_none().then_some(silence)
    }

    /// An analysis of this certificate that had nothing to tell.
    pub fn of_silence(certificate: &Certificate, silence: Silence) -> Self {
        let Silence { issuer_is_public, is_plain, has_domains } = silence;
        let domains = if has_domains { domains_of(certificate) } else { Vec::new() };
        Self { issuer_is_public, is_plain, told: None, domains: domains.into(), json: CertificateJson::default() }
    }

    /// The signatures that fire, the gravest first.
    pub fn signatures(&self) -> &[SignatureMatch] {
        &self.told().signatures
    }

    /// The rows of feeds that the certificate meets, whenever they hold.
    pub fn feeds(&self) -> &[FeedMatch] {
        &self.told().feeds
    }

    /// Whether the issuer is named as a public CA; `None` when it is not known.
    pub fn issuer_is_public(&self) -> Option<bool> {
        self.issuer_is_public
    }

    /// What is odd in the certificate by itself.
    pub fn oddities(&self) -> &Oddities {
        &self.told().oddities
    }

    /// Whether there is nothing to find for checks that look at [what stands out in it](Part::Oddities).
    pub(super) fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// The first of its names that imitates another, as it reads, and whom.
    pub(super) fn imitates(&self) -> Option<(&str, &Imitation)> {
        self.oddities().imitates.as_ref().map(|(name, imitation)| (&**name, imitation))
    }

    /// The registrable domains that the certificate is for.
    pub fn domains(&self) -> &[(Id128, Box<str>)] {
        &self.domains
    }

    /// The certificate's fields as they stand in records.
    pub fn json(&self) -> &CertificateJson {
        &self.json
    }

    fn told(&self) -> &Told {
        self.told.as_deref().unwrap_or(&NOTHING)
    }
}

impl SignatureMatch {
    /// The signature as it stands in records.
    pub fn json(&self, write: impl FnOnce() -> Box<str>) -> &str {
        self.json.get_or_init(write)
    }
}

impl CertificateJson {
    /// The fields of a brief object.
    pub fn brief(&self, write: impl FnOnce() -> Box<str>) -> &str {
        self.brief.get_or_init(write)
    }

    /// The fields of a full one: those before and those behind what depends on the record.
    pub fn full(&self, write: impl FnOnce() -> [Box<str>; 2]) -> [&str; 2] {
        let fields = self.full.get_or_init(|| {
            let fields = Box::new(write());
            self.counted.0.fetch_add(bytes_of(&fields), Ordering::Relaxed);
            fields
        });
        fields.each_ref().map(|fields| &**fields)
    }
}

impl Drop for CertificateJson {
    fn drop(&mut self) {
        let full = self.full.get().map_or(0, |fields| bytes_of(fields));
        self.counted.0.fetch_sub(u64::from(self.told) + full, Ordering::Relaxed);
    }
}

fn bytes_of(fields: &[Box<str>; 2]) -> u64 {
    /// What the allocator takes for itself, and what points to them.
    const EACH: usize = 32;
    fields.iter().map(|fields| (fields.len() + EACH) as u64).sum()
}

impl Told {
    /// About so many bytes of memory.
    fn bytes(&self) -> usize {
        /// Texts of an entry, and those of what is odd.
        const TEXTS: usize = 512;
        // A signature has its own texts, a sentence, a finding and itself as they stand in records: with what was observed
        // twice as it is and three times as JSON.
        let of_signature = |it: &SignatureMatch| {
            size_of::<SignatureMatch>() + 3 * TEXTS + 2 * it.observed.len() + 3 * json_length(&it.observed)
        };
        let signatures = self.signatures.iter().map(of_signature).sum::<usize>();
        let feeds = self.feeds.len() * (size_of::<FeedMatch>() + TEXTS);
        size_of::<Self>() + TEXTS + signatures + feeds
    }
}

/// Bytes of a text in JSON, where a control character takes six.
fn json_length(text: &str) -> usize {
    text.len() + 5 * text.bytes().filter(u8::is_ascii_control).count()
}

impl FindingJson {
    /// The text of a finding, if it is the one whose text is kept.
    pub fn of(&self, finding: &Finding<'_>, write: impl FnOnce() -> Box<str>) -> Option<&str> {
        let (weight, severity, text) = &**self.0.get_or_init(|| Box::new((finding.weight, finding.severity, write())));
        (weight.to_bits() == finding.weight.to_bits() && *severity == finding.severity).then_some(text)
    }
}

/// Days from the start of a certificate's validity to a time, to a tenth; negative before it.
pub(crate) fn age_days(certificate: &Certificate, at: EventTime) -> Option<f64> {
    Some(days(at.seconds().saturating_sub(certificate.not_before?.0)))
}

/// Seconds as days, to a tenth.
pub(crate) fn days(seconds: i64) -> f64 {
    // Adding zero turns a negative zero into zero.
    (seconds as f64 / 8640.0).round() / 10.0 + 0.0
}

fn domains_of(certificate: &Certificate) -> Vec<(Id128, Box<str>)> {
    let san = certificate.san.iter().flat_map(|san| san.dns.iter()).map(|name| &**name);
    let common_names = certificate.subject.iter().flat_map(|subject| subject.values(&AttributeKind::CommonName));
    let mut domains: Vec<(Id128, Box<str>)> = Vec::new();
    for name in san.chain(common_names) {
        let name = name.strip_prefix("*.").unwrap_or(name);
        // A common name may be anything: only what looks like a host name is one.
        if !name.contains('.') || name.contains([' ', '/', '@']) {
            continue;
        }
        // Most names of a certificate are of few domains, whose texts are compared sooner than their identities are made.
        let name = host_name(name);
        if let Some(domain) = registrable_domain(&name)
            && !domains.iter().any(|(_, known)| **known == *domain)
        {
            domains.push((Id128::of(domain.as_bytes()), domain.into()));
            if domains.len() == MAX_DOMAINS {
                break;
            }
        }
    }
    domains
}

#[cfg(test)]
mod tests {
    use super::super::Group;
    use super::*;
    use crate::model::{CertificateSource, DistinguishedName, SelfSigned};

    #[test]
    fn the_text_of_a_finding_is_kept_for_the_first_weight_only() {
        let finding = |weight: f64, severity| Finding {
            id: "test",
            group: Group::Trust,
            severity,
            weight,
            technique: &[],
            field: "f".into(),
            observed: "o".into(),
            expected: "e".into(),
            evidence: "v".into(),
            note: "n".into(),
        };
        let json = FindingJson::default();
        let text = |finding: Finding<'_>, text: &str| json.of(&finding, || text.into()).map(str::to_owned);
        assert_eq!(text(finding(0.15, Severity::Info), "first").as_deref(), Some("first"));
        assert_eq!(text(finding(0.15, Severity::Info), "again").as_deref(), Some("first"));
        assert_eq!(text(finding(0.03, Severity::Info), "other weight"), None);
        assert_eq!(text(finding(0.15, Severity::Low), "other severity"), None);
        assert_eq!(text(finding(0.15, Severity::Info), "again").as_deref(), Some("first"));
    }

    fn analysis(subject: &str) -> (Certificate, CertificateAnalysis) {
        let mut certificate = Certificate::unknown(CertificateSource::LogStrings);
        certificate.subject = Some(DistinguishedName::from_rfc2253(subject));
        let certificate = certificate.with_id();
        let analysis = CertificateAnalysis::of(&certificate, &Knowledge::builtin().unwrap(), CheckSet::ALL);
        (certificate, analysis)
    }

    #[test]
    fn what_had_nothing_to_tell_is_the_same_again() {
        let (certificate, analysis) = analysis("CN=www.shop.example");
        let again = CertificateAnalysis::of_silence(&certificate, analysis.silence().expect("nothing is odd"));
        assert_eq!(again.domains(), analysis.domains());
        assert_eq!(again.issuer_is_public(), analysis.issuer_is_public());
        assert!(again.oddities().is_none() && again.signatures().is_empty() && again.feeds().is_empty());
        assert!(analysis.is_plain() && again.is_plain());
        // That it vouches for itself is no oddity, and yet stands out.
        let own = Certificate { self_signed: Some(SelfSigned::SameName), ..certificate };
        let analysis = CertificateAnalysis::of(&own, &Knowledge::builtin().unwrap(), CheckSet::ALL);
        let again = CertificateAnalysis::of_silence(&own, analysis.silence().expect("nothing is odd"));
        assert!(!analysis.is_plain() && !again.is_plain());
    }

    #[test]
    fn what_is_told_is_counted_as_long_as_it_is_there() {
        let bytes = TellingBytes::default();
        let (certificate, quiet) = analysis("CN=www.shop.example");
        let quiet = quiet.counted(&certificate, &bytes);
        assert_eq!(bytes.get(), 0);
        let (certificate, odd) = analysis("CN=<script>alert(1)</script>");
        assert_eq!(odd.silence(), None);
        let odd = odd.counted(&certificate, &bytes);
        let told = bytes.get();
        assert!(told >= size_of::<Told>() as u64);
        quiet.json().full(|| ["x".repeat(500).into(), Box::default()]);
        assert!(bytes.get() >= told + 500);
        drop(quiet);
        assert_eq!(bytes.get(), told);
        drop(odd);
        assert_eq!(bytes.get(), 0);
        // Of who vouches for himself the name is kept as JSON.
        let issuer = Some(DistinguishedName::from_rfc2253(&format!("CN={}", "\u{1}".repeat(1000))));
        let own = Certificate { self_signed: Some(SelfSigned::SameName), issuer, ..certificate };
        let analysis = CertificateAnalysis::of(&own, &Knowledge::builtin().unwrap(), CheckSet::NONE);
        let _analysis = analysis.counted(&own, &bytes);
        assert!(bytes.get() > 6000);
    }
}
