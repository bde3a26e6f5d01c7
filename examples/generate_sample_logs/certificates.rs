//! Certificates. Those of private CAs and the self-signed ones are really made and signed; those of public CAs cannot be,
//! so they exist only as the strings that a sensor without DER would log, with fingerprints of a fixed text.

use std::{collections::BTreeMap, fs, net::IpAddr, path::Path, time::Duration};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_RSA_SHA256, PKCS_RSA_SHA512, SanType, SerialNumber, date_time_ymd,
};

use crate::{
    clock::Time,
    digest,
    names::{self, Name},
};

/// Everything a sensor may say about one certificate.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    /// Subject, in DER order.
    pub(crate) subject: Name,
    /// Issuer, in DER order.
    pub(crate) issuer: Name,
    /// The serial's octets without a sign octet.
    pub(crate) serial: Vec<u8>,
    /// Start of validity.
    pub(crate) not_before: Time,
    /// End of validity.
    pub(crate) not_after: Time,
    /// The public key.
    pub(crate) key: Key,
    /// Signature algorithm, with OpenSSL's long name.
    pub(crate) signature: &'static str,
    /// DNS names of the SAN.
    pub(crate) dns: Vec<&'static str>,
    /// Addresses of the SAN.
    pub(crate) ip: Vec<IpAddr>,
    /// Basic constraints, when the extension is there.
    pub(crate) ca: Option<bool>,
    /// The certificate itself, unless a public CA would have had to sign it.
    pub(crate) der: Option<Vec<u8>>,
    /// SHA-256, lower-case hex.
    pub(crate) sha256: String,
    /// SHA-1, lower-case hex with colons.
    pub(crate) sha1: String,
    /// What its servers send behind it.
    pub(crate) above: Vec<Above>,
    /// What OpenSSL says of the chain.
    pub(crate) status: &'static str,
}

/// A CA certificate that a server sends behind its own. Never in x509.log, as `log-hostcerts-only` is loaded.
#[derive(Clone, Debug)]
pub(crate) struct Above {
    /// SHA-256, lower-case hex.
    pub(crate) sha256: String,
    /// The certificate, when it is one that the samples made.
    pub(crate) der: Option<Vec<u8>>,
}

/// Kinds of public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// RSA with 2048 bits and exponent 65537.
    Rsa2048,
    /// An EC key on P-256.
    P256,
}

/// A certificate to be printed only: issued by a public CA.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Printed {
    /// The word by which the cast refers to it.
    pub(crate) word: &'static str,
    /// Subject, in DER order.
    pub(crate) subject: Name,
    /// Issuer, in DER order; also what the one intermediate is called.
    pub(crate) issuer: Name,
    /// First second of its validity.
    pub(crate) from: &'static str,
    /// Days it is valid, less one second.
    pub(crate) days: i64,
    /// Its key.
    pub(crate) key: Key,
    /// Names in its SAN.
    pub(crate) dns: &'static [&'static str],
}

/// A certificate to be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recipe {
    /// The word by which the cast refers to it, and the name of its key file.
    pub(crate) word: &'static str,
    /// Subject, in DER order.
    pub(crate) subject: Name,
    /// The word of the certificate that signs it; empty when it signs itself.
    pub(crate) signer: &'static str,
    /// Serial in hex, or nothing for one that follows from the word.
    pub(crate) serial: &'static str,
    /// First second of its validity.
    pub(crate) from: &'static str,
    /// Last second of its validity.
    pub(crate) to: &'static str,
    /// Names in its SAN.
    pub(crate) dns: &'static [&'static str],
    /// Addresses in its SAN.
    pub(crate) ip: &'static [&'static str],
    /// Basic constraints, if the extension is to be there.
    pub(crate) ca: Option<bool>,
    /// Whether SHA-512 signs it, as .NET tools like to.
    pub(crate) sha512: bool,
    /// Words of what its servers send behind it.
    pub(crate) above: &'static [&'static str],
}

/// All certificates by word: first the recipes, signers before what they sign, then the printed ones.
pub(crate) fn make(
    recipes: &[Recipe],
    printed: &[Printed],
    keys: &Path,
) -> Result<BTreeMap<&'static str, Certificate>> {
    let mut made = BTreeMap::new();
    for recipe in recipes {
        let certificate = bake(recipe, recipes, &made, keys).with_context(|| format!("certificate {}", recipe.word))?;
        made.insert(recipe.word, certificate);
    }
    for print in printed {
        made.insert(print.word, write_down(print)?);
    }
    Ok(made)
}

fn bake(
    recipe: &Recipe,
    recipes: &[Recipe],
    made: &BTreeMap<&'static str, Certificate>,
    keys: &Path,
) -> Result<Certificate> {
    let own = key_pair(recipe, keys)?;
    let params = params(recipe)?;
    let self_signed = recipe.signer.is_empty();
    let (issuer, der) = if self_signed {
        (recipe.subject, params.self_signed(&own)?)
    } else {
        let signer = recipes.iter().find(|other| other.word == recipe.signer).context("no such signer")?;
        let issuer = Issuer::new(self::params(signer)?, key_pair(signer, keys)?);
        (signer.subject, params.signed_by(&own, &issuer)?)
    };
    let der = der.der().to_vec();
    let above = recipe.above.iter().map(|word| {
        let ca = made.get(word).with_context(|| format!("{word} must be made first"))?;
        Ok(Above { sha256: ca.sha256.clone(), der: ca.der.clone() })
    });
    let above = above.collect::<Result<Vec<_>>>()?;
    let ends_in_root = recipe.above.iter().any(|word| made.get(word).is_some_and(|ca| ca.subject == ca.issuer));
    Ok(Certificate {
        subject: recipe.subject,
        issuer,
        serial: serial(recipe.word, recipe.serial)?,
        not_before: Time::parse(recipe.from)?,
        not_after: Time::parse(recipe.to)?,
        key: Key::Rsa2048,
        signature: if recipe.sha512 { "sha512WithRSAEncryption" } else { "sha256WithRSAEncryption" },
        dns: recipe.dns.to_vec(),
        ip: recipe.ip.iter().map(|text| Ok(text.parse()?)).collect::<Result<_>>()?,
        ca: recipe.ca,
        sha256: digest::sha256(&der),
        sha1: digest::sha1_colons(&der),
        der: Some(der),
        above,
        status: match (self_signed, ends_in_root) {
            (true, _) => "self-signed certificate",
            (false, true) => "self-signed certificate in certificate chain",
            (false, false) => "unable to get local issuer certificate",
        },
    })
}

fn params(recipe: &Recipe) -> Result<CertificateParams> {
    let mut params = CertificateParams::default();
    params.distinguished_name = names::rcgen(recipe.subject)?;
    params.serial_number = Some(SerialNumber::from_slice(&serial(recipe.word, recipe.serial)?));
    let ((year, month, day), clock) = moment(Time::parse(recipe.from)?)?;
    params.not_before = date_time_ymd(year, month, day) + clock;
    let ((year, month, day), clock) = moment(Time::parse(recipe.to)?)?;
    params.not_after = date_time_ymd(year, month, day) + clock;
    for name in recipe.dns {
        params.subject_alt_names.push(SanType::DnsName((*name).try_into()?));
    }
    for address in recipe.ip {
        params.subject_alt_names.push(SanType::IpAddress(address.parse()?));
    }
    match recipe.ca {
        Some(true) => {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        }
        Some(false) => {
            params.is_ca = IsCa::ExplicitNoCa;
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        }
        None => {}
    }
    params.use_authority_key_identifier_extension = !recipe.signer.is_empty();
    Ok(params)
}

fn key_pair(recipe: &Recipe, keys: &Path) -> Result<KeyPair> {
    let path = keys.join(format!("{}.pem", recipe.word));
    let pem = fs::read_to_string(&path).with_context(|| format!("key {}.pem", recipe.word))?;
    let algorithm = if recipe.sha512 { &PKCS_RSA_SHA512 } else { &PKCS_RSA_SHA256 };
    Ok(KeyPair::from_pem_and_sign_algo(&pem, algorithm)?)
}

/// Date and time of day, as rcgen's own helper takes them.
fn moment(time: Time) -> Result<((i32, u8, u8), Duration)> {
    let ((year, month, day), clock) = time.civil();
    let date = (i32::try_from(year)?, u8::try_from(month)?, u8::try_from(day)?);
    Ok((date, Duration::from_secs(u64::try_from(clock)?)))
}

fn write_down(print: &Printed) -> Result<Certificate> {
    let stands_for = format!("sample certificate {} of {}", print.word, print.from);
    let intermediate = format!("sample intermediate {}", names::zeek(print.issuer));
    let not_before = Time::parse(print.from)?;
    Ok(Certificate {
        subject: print.subject,
        issuer: print.issuer,
        serial: serial(&stands_for, "")?,
        not_before,
        not_after: not_before.plus_seconds(print.days * crate::clock::DAY - 1),
        key: print.key,
        signature: "sha256WithRSAEncryption",
        dns: print.dns.to_vec(),
        ip: Vec::new(),
        ca: Some(false),
        der: None,
        sha256: digest::sha256(stands_for.as_bytes()),
        sha1: digest::sha1_colons(stands_for.as_bytes()),
        above: vec![Above { sha256: digest::sha256(intermediate.as_bytes()), der: None }],
        status: "ok",
    })
}

/// The octets of a serial: as given, or sixteen that follow from the word, the first not zero.
fn serial(word: &str, given: &str) -> Result<Vec<u8>> {
    let text = if given.is_empty() { digest::sha256(format!("serial {word}").as_bytes()) } else { given.to_owned() };
    let mut octets = Vec::new();
    for at in (0..text.len().min(32)).step_by(2) {
        octets.push(u8::from_str_radix(text.get(at..at + 2).context("a serial of half an octet")?, 16)?);
    }
    if let Some(first) = octets.first_mut().filter(|first| **first == 0) {
        *first = 0x2b;
    }
    Ok(octets)
}
