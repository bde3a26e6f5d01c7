//! A certificate in the `certsift` object: whether the session showed it, and what is known of it.

use schemars::JsonSchema;
use serde::Serialize;

use super::object::Text;
use crate::correlate::{AbsentReason, Leaf};
use crate::enrich::{CertificateAnalysis, CertificateText, age_days};
use crate::model::{
    AttributeKind, Certificate, DistinguishedName, EventTime, SECOND_NANOS, SelfSigned, SubjectAltNames,
};

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

/// Whether and when a certificate was presented.
#[derive(Default)]
pub(super) struct CertificateState {
    state: Option<StateName>,
    presented_at: Option<EventTime>,
    recalled_age_s: Option<u64>,
    absent_reason: Option<AbsentReason>,
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

    /// Whether it says that there is none.
    pub(super) fn is_absent(&self) -> bool {
        self.state == Some(StateName::Absent)
    }

    pub(super) fn is_empty(&self) -> bool {
        // Nothing at all is known: of a record that failed.
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

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_false(value: &bool) -> bool {
    !value
}

/// Entries of a list that are written.
const MAX_ENTRIES: usize = 20;
