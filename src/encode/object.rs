//! The `certsift` object, as `schemas/enriched.schema.json` publishes it.
//!
//! Absent means absent: a key without a value is left out. Keys are fixed; what attackers choose is only ever a value.

use std::borrow::Cow;
use std::fmt::{self, Display};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};

use crate::correlate::{AbsentReason, Judged, Leaf};
use crate::enrich::{
    Assessment, CertificateAnalysis, CertificateText, DomainRegistration, Finding, IssuerClass, SignatureMatch,
    Subject, Verdict, age_days, issuer_class, issuer_is_rare,
};
use crate::history::{LearningReason, Seen};
use crate::knowledge::signatures::{Confidence, Verdict as SignatureVerdict};
use crate::model::{
    AttributeKind, Certificate, Direction, DistinguishedName, EventTime, Record, RecordId, SECOND_NANOS, SelfSigned,
    SubjectAltNames,
};

/// A line of output: the record as it came, with the `certsift` object added where certsift has something to say.
#[derive(JsonSchema)]
pub struct EnrichedRecord {
    /// What certsift says of the record; left out on records that pass through.
    #[schemars(skip_serializing_if = "Option::is_none")]
    #[allow(dead_code, reason = "the type exists for its schema")]
    certsift: Option<CertsiftObject<'static>>,
}

/// What certsift says of a record.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertsiftObject<'a> {
    /// Version of this object: 1.
    schema: u8,
    /// Identity of the record, from the content of its file and its offset there: 32 hexadecimal digits.
    id: Text<RecordId>,
    /// `zeek.ssl`, `zeek.x509`, `suricata.tls`, `suricata.quic` or `suricata.alert`.
    log: &'a str,
    /// The sensor, by the configuration or by the record.
    #[serde(skip_serializing_if = "Option::is_none")]
    sensor: Option<Cow<'a, str>>,
    /// Who connected to whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    direction: Option<Direction>,
    /// What to make of it.
    verdict: Verdict,
    /// 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    score: Option<u8>,
    /// The verdict in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    /// Ids of the findings, for searching.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    finding_ids: Vec<&'a str>,
    /// MITRE ATT&CK techniques of the findings, for searching.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    techniques: Vec<&'a str>,
    /// Tools and products that signatures name, for searching.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<&'a str>,
    /// What was found.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    findings: Cow<'a, [Finding]>,
    /// The leaf that the server presented; of an x509 record, the certificate itself.
    #[serde(skip_serializing_if = "CertificateObject::is_empty")]
    certificate: CertificateObject<'a>,
    /// The client's certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_certificate: Option<CertificateObject<'a>>,
    /// How usual the issuer is here.
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer_history: Option<IssuerHistory>,
    /// How usual certificate and name are here.
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<HistoryObject>,
    /// When the domains of the session were registered.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    registration: Cow<'a, [DomainRegistration]>,
    /// Signatures that match the certificate.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    signatures: Vec<SignatureObject<'a>>,
    /// Fields that could not be read, as `field:problem`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    faults: Vec<String>,
    /// Checks that could not decide, as `check:why`.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    not_evaluated: Cow<'a, [Cow<'static, str>]>,
}

/// A certificate, as far as it is known.
#[derive(Serialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub struct CertificateObject<'a> {
    /// Whether the session showed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<StateName>,
    /// When it was presented; only where it was recalled.
    #[serde(skip_serializing_if = "Option::is_none")]
    presented_at: Option<Text<EventTime>>,
    /// Seconds since it was presented; only where it was recalled.
    #[serde(skip_serializing_if = "Option::is_none")]
    recalled_age_s: Option<u64>,
    /// Why it cannot be known.
    #[serde(skip_serializing_if = "Option::is_none")]
    absent_reason: Option<AbsentReason>,
    /// SHA-256 of the DER, lower case.
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<&'a str>,
    /// SHA-1 of the DER, lower case.
    #[serde(skip_serializing_if = "Option::is_none")]
    sha1: Option<&'a str>,
    /// SHA-256 of the SubjectPublicKeyInfo, lower case.
    #[serde(skip_serializing_if = "Option::is_none")]
    spki_sha256: Option<&'a str>,
    /// Serial number: whole octets, upper case, without leading zeros, a minus sign where it is negative.
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<&'a str>,
    /// Subject name.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<NameObject<'a>>,
    /// Issuer name.
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<NameObject<'a>>,
    /// Start of the validity.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_before: Option<&'a str>,
    /// End of the validity.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_after: Option<&'a str>,
    /// A date beyond the year 9999 was printed as the last second of it.
    #[serde(skip_serializing_if = "is_false")]
    date_clamped: bool,
    /// Length of the validity in whole days.
    #[serde(skip_serializing_if = "Option::is_none")]
    validity_days: Option<i64>,
    /// Days from the start of the validity to the record's time; negative before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    age_days: Option<f64>,
    /// Whether it signed itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    self_signed: Option<SelfSigned>,
    /// Whether its basic constraints say that it is a CA.
    #[serde(skip_serializing_if = "Option::is_none")]
    ca: Option<bool>,
    /// Its public key.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<KeyObject<'a>>,
    /// The algorithm that it was signed with, by the name that OpenSSL prints.
    #[serde(skip_serializing_if = "Option::is_none")]
    signature_algorithm: Option<&'a str>,
    /// Subject alternative names.
    #[serde(skip_serializing_if = "Option::is_none")]
    san: Option<SanObject<'a>>,
}

/// Whether a session showed its certificate.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StateName {
    /// It was seen in this session.
    Presented,
    /// It was seen in an earlier session with the same server.
    Recalled,
    /// It cannot be known.
    Absent,
}

/// A distinguished name.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NameObject<'a> {
    /// The name as the sensor printed it.
    dn: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cn: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    o: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ou: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    c: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    st: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    l: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dc: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    email: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    serial_number: Vec<&'a str>,
    /// Attributes of other types, as `type=value`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    other: Vec<String>,
}

/// A public key.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyObject<'a> {
    /// `rsa`, `ecdsa`, `dsa`, or another name in lower case.
    #[serde(rename = "type")]
    algorithm: &'a str,
    /// Size in bits.
    #[serde(skip_serializing_if = "Option::is_none")]
    bits: Option<u32>,
    /// Named curve.
    #[serde(skip_serializing_if = "Option::is_none")]
    curve: Option<&'a str>,
}

/// Subject alternative names, 20 of each kind at the most.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SanObject<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dns: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ip: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    uri: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    email: Vec<&'a str>,
    /// How many entries there are, of all kinds.
    count: u32,
}

/// How usual an issuer is here, as of the record's time.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IssuerHistory {
    /// What kind of issuer it is.
    class: IssuerClass,
    /// Whether it is rare here; left out where that cannot be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    rare: Option<bool>,
    /// Whether history is still too short to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    learning: Option<bool>,
    /// Why it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    learning_reason: Option<LearningReason>,
    /// Distinct clients within the window; 32 stands for 32 or more, here and below.
    #[serde(skip_serializing_if = "Option::is_none")]
    clients: Option<u32>,
    /// Distinct registrable domains.
    #[serde(skip_serializing_if = "Option::is_none")]
    domains: Option<u32>,
    /// Distinct servers.
    #[serde(skip_serializing_if = "Option::is_none")]
    servers: Option<u32>,
    /// Distinct certificates.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificates: Option<u32>,
    /// When it was first seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_seen: Option<Text<EventTime>>,
    /// When it was last seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_seen: Option<Text<EventTime>>,
}

/// How usual certificate and name are here, as of the record's time.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HistoryObject {
    /// When the certificate was first seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_first_seen: Option<Text<EventTime>>,
    /// Distinct clients of the certificate within the window; 32 stands for 32 or more.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_clients: Option<u32>,
    /// When the registrable domain of the name was first seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    name_first_seen: Option<Text<EventTime>>,
}

/// A signature that matches.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignatureObject<'a> {
    /// The signature's id.
    id: &'a str,
    /// The tool or product.
    tool: &'a str,
    /// Its id in MITRE ATT&CK.
    #[serde(skip_serializing_if = "Option::is_none")]
    attack_id: Option<&'a str>,
    /// What kind of thing it is.
    verdict: SignatureVerdict,
    /// How sure it is.
    confidence: Confidence,
}

/// A value that is written as its text.
pub(super) struct Text<T>(T);

/// What every object begins with.
pub(super) struct ObjectHead<'a> {
    id: RecordId,
    log: &'static str,
    sensor: Option<Cow<'a, str>>,
    direction: Option<Direction>,
    pub(super) faults: Vec<String>,
}

/// Whether and when a certificate was presented.
#[derive(Default)]
pub(super) struct CertificateState {
    state: Option<StateName>,
    presented_at: Option<EventTime>,
    recalled_age_s: Option<u64>,
    absent_reason: Option<AbsentReason>,
}

/// Entries of a list that are written.
const MAX_ENTRIES: usize = 20;

impl<'a> ObjectHead<'a> {
    pub(super) fn new(judged: &'a Judged, record: &'a Record, direction: Option<Direction>) -> Self {
        let source = &judged.batch.source;
        let named = record.sensor.map(|span| Cow::Borrowed(span.of(&judged.batch.text)));
        Self {
            id: source.stream.record_id(record.offset),
            log: record.log.name(),
            sensor: source.sensor.as_deref().map(Cow::Borrowed).or(named),
            direction,
            faults: record.faults.iter().map(ToString::to_string).collect(),
        }
    }
}

impl CertificateState {
    pub(super) fn of(leaf: &Leaf, at: EventTime) -> Self {
        match leaf {
            Leaf::Presented(_) => Self { state: Some(StateName::Presented), ..Self::default() },
            Leaf::Recalled { presented_at, .. } => Self {
                state: Some(StateName::Recalled),
                presented_at: Some(*presented_at),
                recalled_age_s: Some((at.since(*presented_at).max(0) / SECOND_NANOS) as u64),
                absent_reason: None,
            },
            Leaf::Absent(reason) => {
                Self { state: Some(StateName::Absent), absent_reason: Some(*reason), ..Self::default() }
            }
        }
    }
}

impl<'a> CertsiftObject<'a> {
    /// Which certificate it is and who issued it, and no more.
    pub(super) fn brief(
        head: ObjectHead<'a>,
        verdict: Verdict,
        certificate: CertificateObject<'a>,
        issuer_history: Option<IssuerHistory>,
    ) -> Self {
        Self {
            schema: 1,
            id: Text(head.id),
            log: head.log,
            sensor: head.sensor,
            direction: head.direction,
            verdict,
            score: None,
            reason: None,
            finding_ids: Vec::new(),
            techniques: Vec::new(),
            tools: Vec::new(),
            findings: Cow::Borrowed(&[]),
            certificate,
            client_certificate: None,
            issuer_history,
            history: None,
            registration: Cow::Borrowed(&[]),
            signatures: Vec::new(),
            faults: head.faults,
            not_evaluated: Cow::Borrowed(&[]),
        }
    }

    /// Everything.
    #[allow(clippy::too_many_arguments, reason = "one argument for each part of the object")]
    pub(super) fn full(
        head: ObjectHead<'a>,
        assessment: &'a Assessment,
        certificate: CertificateObject<'a>,
        client_certificate: Option<CertificateObject<'a>>,
        issuer_history: Option<IssuerHistory>,
        history: Option<HistoryObject>,
        registration: &'a [DomainRegistration],
        signatures: &'a [SignatureMatch],
    ) -> Self {
        let brief = Self::brief(head, assessment.verdict, certificate, None);
        Self {
            score: assessment.score,
            reason: Some(&assessment.reason),
            finding_ids: distinct(assessment.findings.iter().map(|finding| finding.id)),
            techniques: distinct(assessment.findings.iter().flat_map(|finding| finding.technique.iter().copied())),
            tools: distinct(signatures.iter().map(|signature| &*signature.tool)),
            findings: Cow::Borrowed(&assessment.findings),
            client_certificate,
            issuer_history: issuer_history.filter(|_| brief.certificate.state != Some(StateName::Absent)),
            history: history.filter(|history| !history.is_empty()),
            registration: Cow::Borrowed(registration),
            signatures: signatures.iter().map(SignatureObject::of).collect(),
            not_evaluated: Cow::Borrowed(&assessment.not_evaluated),
            ..brief
        }
    }
}

impl<'a> CertificateObject<'a> {
    pub(super) fn brief(
        state: CertificateState,
        certificate: Option<(&'a Certificate, &'a CertificateAnalysis)>,
    ) -> Self {
        let object = Self {
            state: state.state,
            presented_at: state.presented_at.map(Text),
            recalled_age_s: state.recalled_age_s,
            absent_reason: state.absent_reason,
            ..Self::default()
        };
        let Some((certificate, analysis)) = certificate else { return object };
        let CertificateText { sha256, sha1, not_before, not_after, .. } = analysis.text();
        Self {
            sha256: sha256.as_deref(),
            sha1: sha1.as_deref(),
            subject: certificate.subject.as_ref().map(NameObject::brief),
            issuer: certificate.issuer.as_ref().map(NameObject::brief),
            not_before: not_before.as_deref(),
            not_after: not_after.as_deref(),
            date_clamped: [certificate.not_before, certificate.not_after]
                .iter()
                .flatten()
                .any(|time| time.is_clamped()),
            ..object
        }
    }

    pub(super) fn full(
        state: CertificateState,
        certificate: Option<(&'a Certificate, &'a CertificateAnalysis)>,
        at: EventTime,
    ) -> Self {
        let brief = Self::brief(state, certificate);
        let Some((certificate, analysis)) = certificate else { return brief };
        Self {
            spki_sha256: analysis.text().spki_sha256.as_deref(),
            serial: analysis.text().serial.as_deref(),
            subject: certificate.subject.as_ref().map(NameObject::full),
            issuer: certificate.issuer.as_ref().map(NameObject::full),
            validity_days: certificate.validity_days(),
            age_days: age_days(certificate, at),
            self_signed: certificate.self_signed,
            ca: certificate.ca,
            key: certificate.key.as_ref().map(|key| KeyObject {
                algorithm: &key.algorithm,
                bits: key.bits,
                curve: key.curve.as_deref(),
            }),
            signature_algorithm: certificate.signature_algorithm.as_deref(),
            san: certificate.san.as_ref().map(SanObject::of),
            ..brief
        }
    }

    fn is_empty(&self) -> bool {
        self.state.is_none()
            && self.sha256.is_none()
            && self.sha1.is_none()
            && self.subject.is_none()
            && self.issuer.is_none()
            && self.not_after.is_none()
    }
}

impl<'a> NameObject<'a> {
    fn brief(name: &'a DistinguishedName) -> Self {
        Self {
            dn: name.text(),
            cn: Vec::new(),
            o: Vec::new(),
            ou: Vec::new(),
            c: Vec::new(),
            st: Vec::new(),
            l: Vec::new(),
            dc: Vec::new(),
            email: Vec::new(),
            serial_number: Vec::new(),
            other: Vec::new(),
        }
    }

    fn full(name: &'a DistinguishedName) -> Self {
        let mut object = Self::brief(name);
        for attribute in name.attributes() {
            let list = match &attribute.kind {
                AttributeKind::CommonName => &mut object.cn,
                AttributeKind::Organization => &mut object.o,
                AttributeKind::OrganizationalUnit => &mut object.ou,
                AttributeKind::Country => &mut object.c,
                AttributeKind::StateOrProvince => &mut object.st,
                AttributeKind::Locality => &mut object.l,
                AttributeKind::DomainComponent => &mut object.dc,
                AttributeKind::Email => &mut object.email,
                AttributeKind::SerialNumber => &mut object.serial_number,
                AttributeKind::Other(printed) => {
                    if object.other.len() < MAX_ENTRIES {
                        object.other.push(format!("{printed}={}", attribute.value));
                    }
                    continue;
                }
            };
            if list.len() < MAX_ENTRIES {
                list.push(&attribute.value);
            }
        }
        object
    }
}

impl<'a> SanObject<'a> {
    fn of(san: &'a SubjectAltNames) -> Self {
        let list = |list: &'a [Box<str>]| list.iter().take(MAX_ENTRIES).map(|entry| &**entry).collect();
        Self { dns: list(&san.dns), ip: list(&san.ip), uri: list(&san.uri), email: list(&san.email), count: san.count }
    }
}

impl IssuerHistory {
    pub(super) fn brief(subject: &Subject<'_>) -> Self {
        Self {
            class: issuer_class(subject),
            rare: None,
            learning: None,
            learning_reason: None,
            clients: None,
            domains: None,
            servers: None,
            certificates: None,
            first_seen: subject.context.seen.issuer.map(|issuer| Text(issuer.first.at)),
            last_seen: None,
        }
    }

    pub(super) fn full(subject: &Subject<'_>) -> Self {
        let seen = &subject.context.seen;
        let class = issuer_class(subject);
        let judged = class == IssuerClass::Private && seen.learning.is_none();
        Self {
            rare: judged.then(|| issuer_is_rare(subject)),
            learning: Some(seen.learning.is_some()),
            learning_reason: seen.learning,
            clients: seen.issuer.map(|issuer| issuer.clients),
            domains: seen.issuer.map(|issuer| issuer.domains),
            servers: seen.issuer.map(|issuer| issuer.servers),
            certificates: seen.issuer.map(|issuer| issuer.certificates),
            last_seen: seen.issuer.map(|issuer| Text(issuer.last_seen)),
            ..Self::brief(subject)
        }
    }
}

impl HistoryObject {
    pub(super) fn of(seen: &Seen) -> Self {
        Self {
            certificate_first_seen: seen.certificate.map(|certificate| Text(certificate.first.at)),
            certificate_clients: seen.certificate.map(|certificate| certificate.clients),
            name_first_seen: seen.name.map(|first| Text(first.at)),
        }
    }

    fn is_empty(&self) -> bool {
        self.certificate_first_seen.is_none() && self.name_first_seen.is_none()
    }
}

impl<'a> SignatureObject<'a> {
    fn of(signature: &'a SignatureMatch) -> Self {
        Self {
            id: &signature.id,
            tool: &signature.tool,
            attack_id: signature.attack_id.as_deref(),
            verdict: signature.verdict,
            confidence: signature.confidence,
        }
    }
}

impl<T: Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<T> JsonSchema for Text<T> {
    fn schema_name() -> Cow<'static, str> {
        String::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }

    fn inline_schema() -> bool {
        true
    }
}

impl<T: Display> fmt::Debug for Text<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The distinct values in their order of appearance.
fn distinct<'a>(values: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut found: Vec<&str> = Vec::new();
    for value in values {
        if !found.contains(&value) {
            found.push(value);
        }
    }
    found
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_false(value: &bool) -> bool {
    !value
}
