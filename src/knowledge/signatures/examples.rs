//! Examples in signature files: partial certificates, and whether the signature fires on them.

use serde::Deserialize;
use toml::Spanned;

use crate::model::{
    Certificate, CertificateSource, DistinguishedName, Key, SelfSigned, Serial, Sha1Digest, Sha256Digest,
    SubjectAltNames, ValidityTime,
};

use super::Signature;
use super::evaluate::Truth;
use super::field::Facts;
use super::format::{Complaint, complaint, read_time};

/// An example that did not come out as its file says.
#[derive(Debug)]
pub struct FailedExample<'a> {
    /// The signature.
    pub signature: &'a Signature,
    /// Which of its examples, counted from 1.
    pub number: usize,
    /// Whether it should fire.
    pub should_fire: bool,
}

/// A partial certificate and whether a signature fires on it.
#[derive(Debug)]
pub(super) struct Example {
    fires: bool,
    certificate: Box<Certificate>,
    issuer_is_public_ca: Option<bool>,
}

/// An example as typed; what is left out is unknown.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawExample {
    fires: bool,
    sha1: Option<String>,
    sha256: Option<String>,
    spki_sha256: Option<String>,
    serial: Option<String>,
    /// RFC 2253, as Zeek prints it: last attribute first.
    subject: Option<String>,
    /// Likewise; left out beside `self_signed = true` it is the subject.
    issuer: Option<String>,
    not_before: Option<String>,
    not_after: Option<String>,
    /// Left out it follows from subject and issuer.
    self_signed: Option<bool>,
    issuer_is_public_ca: Option<bool>,
    ca: Option<bool>,
    key_bits: Option<u32>,
    signature_algorithm: Option<String>,
    san_dns: Option<Vec<String>>,
}

/// The examples of a signature that do not come out as they should.
pub(super) fn failed<'a>(signature: &'a Signature, examples: &'a [Example]) -> impl Iterator<Item = FailedExample<'a>> {
    examples.iter().enumerate().filter_map(move |(index, example)| {
        let facts = Facts::new(&example.certificate, example.issuer_is_public_ca);
        let fires = signature.matcher.evaluate(&facts) == Truth::True;
        (fires != example.fires).then_some(FailedExample { signature, number: index + 1, should_fire: example.fires })
    })
}

impl Example {
    /// Whether the signature should fire.
    #[cfg(test)]
    pub(super) fn fires(&self) -> bool {
        self.fires
    }

    /// The partial certificate.
    #[cfg(test)]
    pub(super) fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// What is known of the issuer.
    #[cfg(test)]
    pub(super) fn issuer_is_public_ca(&self) -> Option<bool> {
        self.issuer_is_public_ca
    }

    /// Reads an example; what cannot be read is a mistake in the file.
    pub(super) fn read(raw: Spanned<RawExample>) -> Result<Self, Complaint> {
        let at = raw.span().start;
        let raw = raw.into_inner();
        let subject = raw.subject.as_deref().map(DistinguishedName::from_rfc2253);
        let issuer = match (&raw.issuer, raw.self_signed) {
            (None, Some(true)) => subject.clone(),
            (issuer, _) => issuer.as_deref().map(DistinguishedName::from_rfc2253),
        };
        let same_name = subject.as_ref().zip(issuer.as_ref()).map(|(subject, issuer)| subject.key() == issuer.key());
        let self_signed = raw.self_signed.or(same_name);
        let san = raw.san_dns.map(|names| {
            let mut san = SubjectAltNames::default();
            names.iter().for_each(|name| san.push_dns(name));
            san
        });
        let time = |text: &str| read_time(text).map(ValidityTime);
        let certificate = Certificate {
            sha1: read(at, "sha1", &raw.sha1, Sha1Digest::parse)?,
            sha256: read(at, "sha256", &raw.sha256, Sha256Digest::parse)?,
            spki_sha256: read(at, "spki_sha256", &raw.spki_sha256, Sha256Digest::parse)?,
            serial: read(at, "serial", &raw.serial, Serial::parse)?,
            subject,
            issuer,
            not_before: read(at, "not_before", &raw.not_before, time)?,
            not_after: read(at, "not_after", &raw.not_after, time)?,
            key: raw.key_bits.map(|bits| Key { algorithm: "rsa".into(), bits: Some(bits), curve: None }),
            signature_algorithm: raw.signature_algorithm.map(Into::into),
            san,
            ca: raw.ca,
            self_signed: self_signed.map(|same| if same { SelfSigned::SameName } else { SelfSigned::No }),
            ..Certificate::unknown(CertificateSource::LogStrings)
        };
        Ok(Self {
            fires: raw.fires,
            certificate: Box::new(certificate.with_id()),
            issuer_is_public_ca: raw.issuer_is_public_ca,
        })
    }
}

fn read<T>(
    at: usize,
    key: &str,
    text: &Option<String>,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Complaint> {
    let Some(text) = text else { return Ok(None) };
    let unreadable = || complaint(at, format!("`{text}` cannot be read as `{key}` of an example"));
    parse(text).map(Some).ok_or_else(unreadable)
}
