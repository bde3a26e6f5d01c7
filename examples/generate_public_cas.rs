//! Makes `src/knowledge/public_cas.tsv` from CCADB's report of all CA certificates.
//!
//! `cargo run --example generate_public_cas -- AllCertificatePEMs.csv[.gz] > src/knowledge/public_cas.tsv`, where the
//! report is "All Certificate Information (PEM)" of <https://www.ccadb.org/resources>, plain or compressed. Certificates
//! that cannot be read are named on standard error and left out.

#![allow(clippy::print_stderr)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use certsift::model::{Attribute, AttributeKind, DistinguishedName, Sha256Digest};
use x509_parser::asn1_rs::{Any, Tag};
use x509_parser::prelude::*;

const SECONDS_PER_DAY: i64 = 86_400;
/// Hexadecimal digits of a key identifier that are kept: 64 bits tell 10,000 keys apart.
const KEY_ID_DIGITS: usize = 16;

/// First day, last day and key identifier of one certificate.
type Window = (i64, i64, String);

fn main() -> Result<()> {
    let path = std::env::args_os().nth(1).context("usage: generate_public_cas AllCertificatePEMs.csv[.gz]")?;
    let text = read_text(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut names: BTreeMap<String, BTreeSet<Window>> = BTreeMap::new();
    // The report joins several lists and repeats some certificates.
    let mut certificates = BTreeSet::new();
    for (number, der) in pem_blocks(&text).enumerate() {
        match der.and_then(|der| Ok((name_and_window(&der)?, Sha256Digest::of(&der)))) {
            Ok(((name, window), digest)) => {
                names.entry(name).or_default().insert(window);
                certificates.insert(digest);
            }
            Err(error) => eprintln!("certificate {}: left out: {error:#}", number + 1),
        }
    }
    ensure!(!names.is_empty(), "no certificate found in {}", path.display());
    write_table(&names, certificates.len()).context("cannot write the table")
}

fn read_text(path: &std::ffi::OsStr) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.read_to_end(&mut bytes)?;
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut text = String::new();
        flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_string(&mut text)?;
        return Ok(text);
    }
    String::from_utf8(bytes).map_err(io::Error::other)
}

/// The DER of every PEM block, wherever it stands; the columns around it do not matter.
fn pem_blocks(text: &str) -> impl Iterator<Item = Result<Vec<u8>>> {
    text.split("-----BEGIN CERTIFICATE-----").skip(1).map(|block| {
        let body = block.split("-----END CERTIFICATE-----").next().unwrap_or_default();
        let digits: String = body.split_whitespace().collect();
        base64::engine::general_purpose::STANDARD.decode(digits).context("not base64")
    })
}

fn name_and_window(der: &[u8]) -> Result<(String, Window)> {
    let (_, certificate) = X509Certificate::from_der(der).context("not a certificate")?;
    let name = DistinguishedName::from_attributes(None, name_from_x509(certificate.subject())).normalised();
    if name.is_empty() || name.contains(['\t', '\n']) || name.starts_with('#') {
        bail!("its name cannot be a line of the table: {name:?}");
    }
    let validity = certificate.validity();
    let not_before = validity.not_before.timestamp().div_euclid(SECONDS_PER_DAY);
    let not_after = validity.not_after.timestamp().div_euclid(SECONDS_PER_DAY);
    ensure!(not_before >= 0 && not_after >= 0, "valid before 1970: {name}");
    Ok((name, (not_before, not_after, subject_key_id(&certificate))))
}

/// The attributes in the order of the encoding, with their values as text.
fn name_from_x509(name: &X509Name<'_>) -> Vec<Attribute> {
    name.iter_attributes()
        .map(|attribute| {
            let kind = AttributeKind::from_printed(&attribute.attr_type().to_id_string());
            Attribute::new(kind, &value_text(attribute.attr_value()))
        })
        .collect()
}

/// UTF-8, printable, IA5 and numeric strings as they are; BMP strings are UTF-16, T61 strings in practice Latin-1.
fn value_text(value: &Any<'_>) -> String {
    match value.tag() {
        Tag::BmpString => {
            let units: Vec<u16> =
                value.data.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
            String::from_utf16_lossy(&units)
        }
        Tag::T61String => match std::str::from_utf8(value.data) {
            Ok(text) => text.to_owned(),
            Err(_) => value.data.iter().copied().map(char::from).collect(),
        },
        _ => String::from_utf8_lossy(value.data).into_owned(),
    }
}

fn subject_key_id(certificate: &X509Certificate<'_>) -> String {
    let key_id = certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(KeyIdentifier(bytes)) => Some(*bytes),
        _ => None,
    });
    key_id.unwrap_or_default().iter().take(KEY_ID_DIGITS / 2).map(|byte| format!("{byte:02x}")).collect()
}

fn write_table(names: &BTreeMap<String, BTreeSet<Window>>, certificates: usize) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    writeln!(out, "# Names of public certificate authorities, made by examples/generate_public_cas.rs; do not edit.")?;
    writeln!(
        out,
        "# Source: CCADB, All Certificate PEMs, https://www.ccadb.org/resources; licence: CDLA-Permissive-2.0."
    )?;
    writeln!(out, "# {} names of {certificates} distinct certificates.", names.len())?;
    for (name, windows) in names {
        let windows: Vec<_> = windows.iter().map(|(from, to, key_id)| format!("{from}-{to}:{key_id}")).collect();
        writeln!(out, "{name}\t{}", windows.join(","))?;
    }
    out.flush()
}
