//! Certificates as files: PEM, with or without text around it, and DER.

use x509_parser::pem::Pem;

use crate::decode::certificate_from_der;
use crate::model::Certificate;

/// The certificates of a file.
pub(super) struct Found {
    /// How they are written.
    pub(super) form: &'static str,
    /// The first of them.
    pub(super) leaf: Certificate,
    /// The others, in their order.
    pub(super) others: Vec<Certificate>,
}

/// Certificates that are read of one file.
const MAX_CERTIFICATES: usize = 100;
/// First byte of DER: a sequence.
const SEQUENCE: u8 = 0x30;

/// Whether the head of a file is meant to be a certificate and not a log.
pub(super) fn is_certificate(head: &[u8]) -> bool {
    is_der(head) || is_pem(head)
}

/// Reads certificates; what is wrong is said in words.
pub(super) fn read(head: &[u8], whole: bool) -> Result<Found, String> {
    if !whole {
        return Err("is larger than 1 MiB, which no certificate is".to_owned());
    }
    if is_der(head) {
        let leaf = certificate_from_der(head, None, None);
        let leaf = leaf.ok_or("begins like DER, but no certificate can be read from it")?;
        return Ok(Found { form: "DER", leaf, others: Vec::new() });
    }
    let (mut found, mut foreign) = (Vec::new(), Vec::new());
    let text = only_blocks(head);
    for (index, block) in Pem::iter_from_buffer(&text).take(MAX_CERTIFICATES).enumerate() {
        let number = index + 1;
        let block = block.map_err(|error| format!("block {number} of the PEM cannot be read: {error}"))?;
        if !is_certificate_label(&block.label) {
            foreign.push(block.label);
            continue;
        }
        let certificate = certificate_from_der(&block.contents, None, None);
        found.push(
            certificate.ok_or_else(|| format!("block {number} of the PEM holds no certificate that can be read"))?,
        );
    }
    let mut found = found.into_iter();
    match found.next() {
        Some(leaf) => Ok(Found { form: "PEM", leaf, others: found.collect() }),
        None if foreign.is_empty() => Err("a PEM block begins and does not end".to_owned()),
        None => Err(format!("holds no certificate, but PEM of another kind ({})", foreign.join(", "))),
    }
}

fn is_der(head: &[u8]) -> bool {
    // `0` begins text as well; the second byte of a certificate says that its length takes more than one byte.
    matches!(head, [SEQUENCE, 0x80..=0x84, ..])
}

fn is_pem(head: &[u8]) -> bool {
    // A log line may hold PEM; what begins like a log is one. Bundles of certificates begin with remarks.
    let begins = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let is_log = [&b"{"[..], b"#separator", b"#fields", b"#path"].iter().any(|start| begins.starts_with(start));
    !is_log && memchr::memmem::find(head, b"-----BEGIN ").is_some()
}

/// The lines of PEM by themselves: it is often indented, in configuration files and mails, and what stands between need
/// not even be text.
fn only_blocks(text: &[u8]) -> Vec<u8> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut is_within = false;
    let lines = text.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| {
        let (begins, ends) = (line.starts_with(b"-----BEGIN "), line.starts_with(b"-----END "));
        is_within = (is_within || begins) && !ends;
        is_within || ends
    });
    lines.collect::<Vec<_>>().join(&b'\n')
}

fn is_certificate_label(label: &str) -> bool {
    ["CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"].contains(&label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        assert!(is_certificate(text.as_bytes()), "{text}");
        read(text.as_bytes(), true).err().unwrap()
    }

    #[test]
    fn what_is_no_certificate_is_said() {
        assert!(problem("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").contains("(PRIVATE KEY)"));
        assert!(problem("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").contains("block 1"));
        assert!(!problem("-----BEGIN CERTIFICATE-----\nAAAA\n").is_empty());
        assert!(!is_certificate(b"{\"pem\":\"-----BEGIN CERTIFICATE-----\"}"));
        assert!(!is_certificate(b"0123"));
    }
}
