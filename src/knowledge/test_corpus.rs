//! Real certificates for tests: the folder that `CERTSIFT_CORPUS` names, or `../shared/corpus` beside the crate.

use std::io::Read as _;
use std::path::PathBuf;

use crate::model::{
    Certificate, CertificateSource, DistinguishedName, Key, SelfSigned, Serial, Sha256Digest, SubjectAltNames,
    ValidityTime,
};

/// The path of a file of the corpus, or `None`, said aloud, where there is no corpus.
#[allow(clippy::print_stderr)]
pub(crate) fn path(relative: &str) -> Option<PathBuf> {
    let root = std::env::var_os("CERTSIFT_CORPUS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"), PathBuf::from);
    let path = root.join(relative);
    if path.is_file() {
        return Some(path);
    }
    eprintln!("SKIPPED: no {} (set CERTSIFT_CORPUS to the folder of real logs)", path.display());
    None
}

/// The certificates of a Zeek `x509.log` in JSON with ISO 8601 times.
pub(crate) fn zeek_certificates(relative: &str) -> Option<Vec<Certificate>> {
    let file = std::fs::File::open(path(relative)?).unwrap();
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text).unwrap();
    Some(text.lines().map(|line| zeek_certificate(&serde_json::from_str(line).unwrap())).collect())
}

/// The labels that somebody chose of the names that the Zeek logs ask for, each once.
pub(crate) fn asked_labels() -> Option<std::collections::BTreeSet<String>> {
    let names = asked_names()?;
    let domains = names.iter().filter_map(|name| super::suffix::registrable_domain(name));
    Some(domains.filter_map(|domain| domain.split('.').next().map(str::to_owned)).collect())
}

/// The names that the Zeek logs ask for, in lower case, each once.
pub(crate) fn asked_names() -> Option<std::collections::BTreeSet<String>> {
    let mut names = std::collections::BTreeSet::new();
    for set in ["zeek-6.2-json/ssl.log.gz", "zeek-3.0-json/ssl.log.gz"] {
        let mut text = String::new();
        flate2::read::MultiGzDecoder::new(std::fs::File::open(path(set)?).unwrap()).read_to_string(&mut text).unwrap();
        for line in text.lines() {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            names.extend(row.get("server_name").and_then(serde_json::Value::as_str).map(str::to_lowercase));
        }
    }
    Some(names)
}

fn zeek_certificate(row: &serde_json::Value) -> Certificate {
    let text = |key: &str| row.get(key).and_then(serde_json::Value::as_str);
    let subject = text("certificate.subject").map(DistinguishedName::from_rfc2253);
    let issuer = text("certificate.issuer").map(DistinguishedName::from_rfc2253);
    let mut san = SubjectAltNames::default();
    for name in row.get("san.dns").and_then(serde_json::Value::as_array).into_iter().flatten() {
        san.push_dns(name.as_str().unwrap());
    }
    let same = subject.as_ref().zip(issuer.as_ref()).map(|(subject, issuer)| subject.key() == issuer.key());
    Certificate {
        sha256: text("fingerprint").and_then(Sha256Digest::parse),
        serial: text("certificate.serial").and_then(Serial::parse),
        subject,
        issuer,
        not_before: text("certificate.not_valid_before").and_then(ValidityTime::parse_iso8601),
        not_after: text("certificate.not_valid_after").and_then(ValidityTime::parse_iso8601),
        key: Some(Key {
            algorithm: text("certificate.key_type").unwrap_or_default().into(),
            bits: row.get("certificate.key_length").and_then(serde_json::Value::as_u64).map(|bits| bits as u32),
            curve: None,
        }),
        signature_algorithm: text("certificate.sig_alg").map(Into::into),
        san: Some(san),
        self_signed: same.map(|same| if same { SelfSigned::SameName } else { SelfSigned::No }),
        ..Certificate::unknown(CertificateSource::LogStrings)
    }
    .with_id()
}
