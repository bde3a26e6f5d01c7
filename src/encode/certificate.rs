//! A certificate in the `certsift` object: whether the session showed it, and what is known of it.

use schemars::JsonSchema;
use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

use super::json;
use super::object::Text;
use crate::correlate::{AbsentReason, Leaf};
use crate::enrich::{CertificateJson, age_days};
use crate::model::{
    AttributeKind, Certificate, DistinguishedName, EventTime, SECOND_NANOS, SelfSigned, Serial, Sha1Digest,
    Sha256Digest, SubjectAltNames, ValidityTime,
};

// It is written in parts, by `WrittenCertificate`.
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
    sha256: Option<Text<Sha256Digest>>,
    /// SHA-1 of the DER, lower case.
    #[serde(skip_serializing_if = "Option::is_none")]
    sha1: Option<Text<Sha1Digest>>,
    /// SHA-256 of the SubjectPublicKeyInfo, lower case.
    #[serde(skip_serializing_if = "Option::is_none")]
    spki_sha256: Option<Text<Sha256Digest>>,
    /// Serial number: whole octets, upper case, without leading zeros, a minus sign where it is negative.
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<Text<&'a Serial>>,
    /// Subject name.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<NameObject<'a>>,
    /// Issuer name.
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<NameObject<'a>>,
    /// Start of the validity.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_before: Option<Text<ValidityTime>>,
    /// End of the validity.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_after: Option<Text<ValidityTime>>,
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
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, JsonSchema)]
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
#[derive(Clone, Debug, Default)]
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
            Leaf::Absent(reason) => Self::absent(*reason),
        }
    }

    pub(super) fn absent(reason: AbsentReason) -> Self {
        Self { state: Some(StateName::Absent), absent_reason: Some(reason), ..Self::default() }
    }
}

/// A certificate on its way into a record: what does not depend on the record is text that was made once.
#[derive(Default)]
pub(super) struct WrittenCertificate<'a> {
    state: CertificateState,
    /// Whether anything is known by which somebody would look for it.
    is_known: bool,
    /// The fields before and behind its age.
    fields: [&'a str; 2],
    age_days: Option<f64>,
}

impl<'a> WrittenCertificate<'a> {
    pub(super) fn brief(state: CertificateState, certificate: Option<(&'a Certificate, &'a CertificateJson)>) -> Self {
        let Some((certificate, json)) = certificate else { return Self { state, ..Self::default() } };
        let fields = json.brief(|| fields_of(&CertificateObject::brief(certificate)));
        Self { state, is_known: is_known(certificate), fields: [fields, ""], age_days: None }
    }

    pub(super) fn full(
        state: CertificateState,
        certificate: Option<(&'a Certificate, &'a CertificateJson)>,
        at: EventTime,
    ) -> Self {
        let Some((certificate, json)) = certificate else { return Self { state, ..Self::default() } };
        let fields = json.full(|| {
            [CertificateObject::before_age(certificate), CertificateObject::behind_age(certificate)]
                .map(|part| fields_of(&part))
        });
        Self { state, is_known: is_known(certificate), fields, age_days: age_days(certificate, at) }
    }

    /// Why there is none, where it says so.
    pub(super) fn absent_reason(&self) -> Option<AbsentReason> {
        self.state.absent_reason
    }

    pub(super) fn is_empty(&self) -> bool {
        // Nothing at all is known: of a record that failed.
        self.state.state.is_none() && !self.is_known
    }
}

/// As [`CertificateObject`] would be written.
impl Serialize for WrittenCertificate<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let CertificateState { state, presented_at, recalled_age_s, absent_reason } = &self.state;
        let [before, behind] = self.fields;
        let mut fields = serializer.serialize_struct("CertificateObject", 7)?;
        if let Some(state) = state {
            fields.serialize_field("state", state)?;
        }
        if let Some(presented_at) = presented_at {
            fields.serialize_field("presented_at", &Text(*presented_at))?;
        }
        if let Some(recalled_age_s) = recalled_age_s {
            fields.serialize_field("recalled_age_s", recalled_age_s)?;
        }
        if let Some(absent_reason) = absent_reason {
            fields.serialize_field("absent_reason", absent_reason)?;
        }
        fields.serialize_field(json::WRITTEN, before)?;
        if let Some(age_days) = self.age_days {
            fields.serialize_field("age_days", &age_days)?;
        }
        fields.serialize_field(json::WRITTEN, behind)?;
        fields.end()
    }
}

fn is_known(certificate: &Certificate) -> bool {
    certificate.sha256.is_some()
        || certificate.sha1.is_some()
        || certificate.subject.is_some()
        || certificate.issuer.is_some()
        || certificate.not_after.is_some()
}

/// The fields of an object, each behind a comma.
fn fields_of(object: &CertificateObject<'_>) -> Box<str> {
    let text = json::text_of(object);
    match text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
        None | Some("") => Box::default(),
        Some(fields) => format!(",{fields}").into(),
    }
}

impl<'a> CertificateObject<'a> {
    fn brief(certificate: &'a Certificate) -> Self {
        Self {
            sha256: certificate.sha256.map(Text),
            sha1: certificate.sha1.map(Text),
            subject: certificate.subject.as_ref().map(NameObject::brief),
            issuer: certificate.issuer.as_ref().map(NameObject::brief),
            not_before: certificate.not_before.map(Text),
            not_after: certificate.not_after.map(Text),
            date_clamped: [certificate.not_before, certificate.not_after]
                .iter()
                .flatten()
                .any(|time| time.is_clamped()),
            ..Self::default()
        }
    }

    /// Everything that stands before its age and does not depend on the record.
    fn before_age(certificate: &'a Certificate) -> Self {
        Self {
            spki_sha256: certificate.spki_sha256.map(Text),
            serial: certificate.serial.as_ref().map(Text),
            subject: certificate.subject.as_ref().map(NameObject::full),
            issuer: certificate.issuer.as_ref().map(NameObject::full),
            validity_days: certificate.validity_days(),
            ..Self::brief(certificate)
        }
    }

    /// Everything that stands behind its age.
    fn behind_age(certificate: &'a Certificate) -> Self {
        Self {
            self_signed: certificate.self_signed,
            ca: certificate.ca,
            key: certificate.key.as_ref().map(|key| KeyObject {
                algorithm: &key.algorithm,
                bits: key.bits,
                curve: key.curve.as_deref(),
            }),
            signature_algorithm: certificate.signature_algorithm.as_deref(),
            san: certificate.san.as_ref().map(SanObject::of),
            ..Self::default()
        }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{CertificateSource, Key};

    fn names() -> impl Strategy<Value = Option<DistinguishedName>> {
        let name = prop_oneof!["[ -~]{0,60}", "CN=\\PC{0,9},O=[a-z\"]{0,9},2\\.5\\.4\\.9=[a-z]{1,5},L=.{0,5}"];
        prop::option::of(name.prop_map(|name| DistinguishedName::from_rfc2253(&name)))
    }

    fn san() -> impl Strategy<Value = Option<SubjectAltNames>> {
        prop::option::of((prop::collection::vec(".{0,12}", 0..30), any::<u32>()).prop_map(|(dns, count)| {
            let dns = dns.into_iter().map(Into::into).collect();
            SubjectAltNames { dns, uri: vec!["urn:\u{7}".into()], count, ..SubjectAltNames::default() }
        }))
    }

    prop_compose! {
        fn certificates()(
            sha256 in prop::option::of(any::<[u8; 32]>()),
            sha1 in prop::option::of(any::<[u8; 20]>()),
            serial in prop::option::of("-?[0-9A-F]{0,20}"),
            (subject, issuer) in (names(), names()),
            validity in prop::option::of((any::<i64>(), -99_999_999_999_i64..99_999_999_999)),
            self_signed in prop::option::of(prop_oneof![Just(SelfSigned::SameName), Just(SelfSigned::No)]),
            ca in prop::option::of(any::<bool>()),
            (key, algorithm) in (prop::option::of((".{0,9}", any::<u32>())), prop::option::of(".{0,9}")),
            san in san(),
        ) -> Certificate {
            Certificate {
                sha256: sha256.map(Sha256Digest),
                sha1: sha1.map(Sha1Digest),
                spki_sha256: sha256.filter(|digest| digest[0] > 99).map(Sha256Digest),
                serial: serial.and_then(|serial| Serial::parse(&serial)),
                subject,
                issuer,
                not_before: validity.map(|(start, _)| ValidityTime(start)),
                not_after: validity.map(|(_, end)| ValidityTime(end)),
                self_signed,
                ca,
                key: key.map(|(algorithm, bits)| Key { algorithm: algorithm.into(), bits: Some(bits), curve: None }),
                signature_algorithm: algorithm.map(Into::into),
                san,
                ..Certificate::unknown(CertificateSource::LogStrings)
            }
        }
    }

    fn states() -> impl Strategy<Value = CertificateState> {
        prop_oneof![
            Just(CertificateState::default()),
            Just(CertificateState { state: Some(StateName::Presented), ..CertificateState::default() }),
            (any::<i64>(), any::<u64>()).prop_map(|(at, age)| CertificateState {
                state: Some(StateName::Recalled),
                presented_at: Some(EventTime(at)),
                recalled_age_s: Some(age),
                absent_reason: Some(AbsentReason::Tls13),
            }),
        ]
    }

    /// The object with everything in its place, as `serde_json` writes it.
    fn expected(state: &CertificateState, object: CertificateObject<'_>) -> String {
        let object = CertificateObject {
            state: state.state,
            presented_at: state.presented_at.map(Text),
            recalled_age_s: state.recalled_age_s,
            absent_reason: state.absent_reason,
            ..object
        };
        serde_json::to_string(&object).unwrap()
    }

    fn written(certificate: &WrittenCertificate<'_>) -> String {
        let mut text = Vec::new();
        json::write(&mut text, certificate).unwrap();
        String::from_utf8(text).unwrap()
    }

    proptest! {
        #[test]
        fn a_certificate_in_parts_is_the_object_that_the_schema_tells(
            certificate in certificates(),
            (state, seconds) in (states(), any::<i64>()),
        ) {
            let cache = CertificateJson::default();
            let known = Some((&certificate, &cache));
            let at = EventTime::from_seconds(seconds);
            let brief = expected(&state, CertificateObject::brief(&certificate));
            let behind = CertificateObject::behind_age(&certificate);
            let full = expected(&state, CertificateObject {
                age_days: age_days(&certificate, at),
                self_signed: behind.self_signed,
                ca: behind.ca,
                key: behind.key,
                signature_algorithm: behind.signature_algorithm,
                san: behind.san,
                ..CertificateObject::before_age(&certificate)
            });
            // What was made once is given again.
            for _ in 0..2 {
                prop_assert_eq!(&written(&WrittenCertificate::full(state.clone(), known, at)), &full);
                prop_assert_eq!(&written(&WrittenCertificate::brief(state.clone(), known)), &brief);
            }
        }
    }

    #[test]
    fn nothing_is_written_of_a_certificate_that_nobody_would_find() {
        let unknown = Certificate::unknown(CertificateSource::LogStrings);
        let of_serial = Certificate { serial: Serial::parse("1F"), ..unknown.clone() };
        let of_issuer = Certificate { issuer: Some(DistinguishedName::from_rfc2253("CN=a")), ..unknown.clone() };
        for (certificate, is_empty) in [(&unknown, true), (&of_serial, true), (&of_issuer, false)] {
            let cache = CertificateJson::default();
            let brief = WrittenCertificate::brief(CertificateState::default(), Some((certificate, &cache)));
            assert_eq!(brief.is_empty(), is_empty);
        }
        let absent = CertificateState { state: Some(StateName::Absent), ..CertificateState::default() };
        assert!(!WrittenCertificate::brief(absent, None).is_empty());
    }
}
