//! A certificate's facts from its DER encoding.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::bounds::{MAX_DN, MAX_VALUE, bounded};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::{AttributeTypeAndValue, SubjectPublicKeyInfo, X509Name};

use crate::model::{
    Address, Attribute, AttributeKind, Certificate, CertificateSource, DistinguishedName, EventTime, Key,
    PresentedChain, SelfSigned, Serial, Sha1Digest, Sha256Digest, SubjectAltNames, ValidityTime,
};

/// Reads a certificate. `subject` and `issuer` are the names as the sensor printed them, where it did.
///
/// `None` when it is no certificate. The parser is fed what attackers chose, so a panic in it costs the certificate and
/// not the process.
pub fn certificate_from_der(der: &[u8], subject: Option<&str>, issuer: Option<&str>) -> Option<Certificate> {
    catch_unwind(AssertUnwindSafe(|| read(der, subject, issuer))).ok().flatten()
}

/// Longest key identifier that is kept, in bytes; a SHA-512 has 64, and what is longer names no key.
const MAX_KEY_ID: usize = 64;

/// The attributes of a name in the order of its encoding.
pub fn attributes_of(name: &X509Name<'_>) -> Vec<Attribute> {
    const MAX_ATTRIBUTES: usize = 256;
    name.iter_attributes()
        .take(MAX_ATTRIBUTES)
        .map(|attribute| Attribute {
            kind: AttributeKind::from_printed(&attribute.attr_type().to_id_string()),
            value: bounded(&attribute_value(attribute), MAX_VALUE).into(),
        })
        .collect()
}

fn read(der: &[u8], subject: Option<&str>, issuer: Option<&str>) -> Option<Certificate> {
    let (rest, parsed) = X509Certificate::from_der(der).ok()?;
    let whole = &der[..der.len() - rest.len()];
    let mut certificate = Certificate::unknown(CertificateSource::Der);
    certificate.sha256 = Some(Sha256Digest::of(whole));
    certificate.sha1 = Some(Sha1Digest::of(whole));
    certificate.spki_sha256 = Some(Sha256Digest::of(parsed.public_key().raw));
    certificate.version = u8::try_from(parsed.version().0.saturating_add(1)).ok();
    certificate.serial = Some(Serial::from_der_octets(parsed.raw_serial()));
    certificate.subject = Some(DistinguishedName::from_attributes(
        subject.map(|name| bounded(name, MAX_DN)),
        attributes_of(parsed.subject()),
    ));
    certificate.issuer = Some(DistinguishedName::from_attributes(
        issuer.map(|name| bounded(name, MAX_DN)),
        attributes_of(parsed.issuer()),
    ));
    certificate.not_before = Some(ValidityTime(parsed.validity().not_before.timestamp()));
    certificate.not_after = Some(ValidityTime(parsed.validity().not_after.timestamp()));
    certificate.key = Some(key_of(parsed.public_key()));
    let algorithm = parsed.signature_algorithm.algorithm.to_id_string();
    certificate.signature_algorithm = Some(signature_algorithm_name(&algorithm).into());
    let mut san = SubjectAltNames::default();
    for extension in parsed.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::BasicConstraints(constraints) => certificate.ca = Some(constraints.ca),
            ParsedExtension::SubjectAlternativeName(names) => {
                names.general_names.iter().for_each(|name| push_name(&mut san, name));
            }
            ParsedExtension::SCT(promises) => {
                let first = promises.iter().map(|promise| promise.timestamp).min();
                certificate.logged_at = first.and_then(|millis| EventTime::parse_millis(&millis.to_string()));
            }
            ParsedExtension::AuthorityKeyIdentifier(identifier) => {
                certificate.authority_key_id = identifier
                    .key_identifier
                    .as_ref()
                    .map(|id| id.0)
                    .filter(|id| id.len() <= MAX_KEY_ID)
                    .map(Into::into);
            }
            _ => {}
        }
    }
    certificate.san = Some(san);
    certificate.der = Some(whole).filter(|der| der.len() <= PresentedChain::MAX_DER).map(Into::into);
    certificate.self_signed = Some(self_signed(&parsed));
    Some(certificate.with_id())
}

/// Whether a certificate signed itself: equal names as encoded, and a signature that its own key made.
fn self_signed(parsed: &X509Certificate<'_>) -> SelfSigned {
    if parsed.subject().as_raw() != parsed.issuer().as_raw() {
        return SelfSigned::No;
    }
    match parsed.verify_signature(None) {
        Ok(()) => SelfSigned::Verified,
        // Keys and algorithms outside what can be checked prove nothing either way.
        Err(_) if !is_checkable(parsed) => SelfSigned::SameName,
        Err(_) => SelfSigned::No,
    }
}

/// Whether the signature library accepts this pair of key and algorithm at all.
fn is_checkable(parsed: &X509Certificate<'_>) -> bool {
    is_checkable_by(parsed, parsed.public_key())
}

/// Whether the signature library accepts a certificate's signature algorithm together with a key. Of any other pair a good
/// signature seems wrong.
pub(crate) fn is_checkable_by(parsed: &X509Certificate<'_>, key: &SubjectPublicKeyInfo<'_>) -> bool {
    /// Larger exponents are refused.
    const EXPONENTS: std::ops::Range<u64> = 3..1 << 33;
    const UNCOMPRESSED: u8 = 4;
    let algorithm = parsed.signature_algorithm.algorithm.to_id_string();
    let name = signature_algorithm_name(&algorithm);
    match key.parsed() {
        Ok(PublicKey::RSA(key)) => {
            let least = if name == "sha1WithRSAEncryption" { 1024 } else { 2048 };
            let rsa = ["sha1WithRSAEncryption", "sha256WithRSAEncryption", "sha384WithRSAEncryption"].contains(&name)
                || name == "sha512WithRSAEncryption";
            let has_exponent = key.try_exponent().is_ok_and(|exponent| EXPONENTS.contains(&exponent));
            rsa && has_exponent && (least..=8192).contains(&key.key_size())
        }
        Ok(PublicKey::EC(point)) => {
            ["ecdsa-with-SHA256", "ecdsa-with-SHA384"].contains(&name)
                && point.data().first() == Some(&UNCOMPRESSED)
                && matches!(point.key_size(), 256 | 384)
        }
        _ => name == "ED25519",
    }
}

fn attribute_value(attribute: &AttributeTypeAndValue<'_>) -> String {
    if let Ok(text) = attribute.as_str() {
        return text.to_owned();
    }
    let data = attribute.attr_value().data;
    match attribute.attr_value().tag().0 {
        // BMPString: UTF-16, big-endian.
        30 => {
            let units = data.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        // T61String is read as Latin-1, as everybody does.
        20 => data.iter().map(|&byte| char::from(byte)).collect(),
        _ => match std::str::from_utf8(data) {
            Ok(text) => text.to_owned(),
            Err(_) => data.iter().map(|byte| format!("{byte:02X}")).collect(),
        },
    }
}

fn push_name(san: &mut SubjectAltNames, name: &GeneralName<'_>) {
    match name {
        GeneralName::DNSName(name) => san.push_dns(bounded(name, MAX_VALUE)),
        GeneralName::URI(uri) => san.push_uri(bounded(uri, MAX_VALUE)),
        GeneralName::RFC822Name(address) => san.push_email(bounded(address, MAX_VALUE)),
        GeneralName::IPAddress(octets) => match ip_text(octets) {
            Some(text) => san.push_ip(&text),
            None => san.push_other(),
        },
        _ => san.push_other(),
    }
}

fn ip_text(octets: &[u8]) -> Option<String> {
    let ip: std::net::IpAddr = match octets.len() {
        4 => <[u8; 4]>::try_from(octets).ok()?.into(),
        16 => <[u8; 16]>::try_from(octets).ok()?.into(),
        _ => return None,
    };
    Some(Address::from(ip).ip().to_string())
}

fn key_of(info: &SubjectPublicKeyInfo<'_>) -> Key {
    let oid = info.algorithm.algorithm.to_id_string();
    match info.parsed() {
        Ok(PublicKey::RSA(key)) => Key { algorithm: "rsa".into(), bits: bit_length(key.modulus), curve: None },
        Ok(PublicKey::EC(point)) => {
            let curve = info.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
            let curve = curve.map(|oid| curve_name(&oid.to_id_string()).into());
            // 521-bit coordinates take 66 octets.
            let bits = match point.key_size() {
                528 => 521,
                bits => bits,
            };
            Key { algorithm: "ecdsa".into(), bits: u32::try_from(bits).ok(), curve }
        }
        Ok(PublicKey::DSA(y)) => Key { algorithm: "dsa".into(), bits: bit_length(y), curve: None },
        _ => Key { algorithm: key_algorithm_name(&oid).into(), bits: None, curve: None },
    }
}

/// Bits of a big-endian number without its leading zeros.
fn bit_length(octets: &[u8]) -> Option<u32> {
    let zeros = octets.iter().take_while(|octet| **octet == 0).count();
    let first = octets.get(zeros)?;
    let octets = u32::try_from(octets.len() - zeros).ok()?;
    Some(octets * 8 - first.leading_zeros())
}

/// The name that OpenSSL, and so Zeek, prints for a signature algorithm; the dotted number where it is not in the list.
fn signature_algorithm_name(oid: &str) -> &str {
    match oid {
        "1.2.840.113549.1.1.2" => "md2WithRSAEncryption",
        "1.2.840.113549.1.1.4" => "md5WithRSAEncryption",
        "1.2.840.113549.1.1.5" => "sha1WithRSAEncryption",
        "1.2.840.113549.1.1.10" => "rsassaPss",
        "1.2.840.113549.1.1.11" => "sha256WithRSAEncryption",
        "1.2.840.113549.1.1.12" => "sha384WithRSAEncryption",
        "1.2.840.113549.1.1.13" => "sha512WithRSAEncryption",
        "1.3.14.3.2.29" => "sha1WithRSA",
        "1.2.840.10040.4.3" => "dsaWithSHA1",
        "2.16.840.1.101.3.4.3.2" => "dsa_with_SHA256",
        "1.2.840.10045.4.1" => "ecdsa-with-SHA1",
        "1.2.840.10045.4.3.1" => "ecdsa-with-SHA224",
        "1.2.840.10045.4.3.2" => "ecdsa-with-SHA256",
        "1.2.840.10045.4.3.3" => "ecdsa-with-SHA384",
        "1.2.840.10045.4.3.4" => "ecdsa-with-SHA512",
        "1.3.101.112" => "ED25519",
        "1.3.101.113" => "ED448",
        "2.16.840.1.101.3.4.3.17" => "ML-DSA-44",
        "2.16.840.1.101.3.4.3.18" => "ML-DSA-65",
        "2.16.840.1.101.3.4.3.19" => "ML-DSA-87",
        other => other,
    }
}

fn key_algorithm_name(oid: &str) -> &str {
    match oid {
        "1.2.840.113549.1.1.1" | "1.2.840.113549.1.1.10" => "rsa",
        "1.2.840.10045.2.1" => "ecdsa",
        "1.2.840.10040.4.1" => "dsa",
        "1.3.101.112" => "ed25519",
        "1.3.101.113" => "ed448",
        "2.16.840.1.101.3.4.3.17" => "ml-dsa-44",
        "2.16.840.1.101.3.4.3.18" => "ml-dsa-65",
        "2.16.840.1.101.3.4.3.19" => "ml-dsa-87",
        other => other,
    }
}

fn curve_name(oid: &str) -> &str {
    match oid {
        "1.2.840.10045.3.1.7" => "prime256v1",
        "1.3.132.0.34" => "secp384r1",
        "1.3.132.0.35" => "secp521r1",
        "1.3.132.0.10" => "secp256k1",
        "1.3.36.3.3.2.8.1.1.7" => "brainpoolP256r1",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair};
    use std::collections::BTreeMap;

    fn self_signed_der() -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["host.example".to_owned(), "192.0.2.7".to_owned()]).unwrap();
        params.serial_number = Some(rcgen::SerialNumber::from(0x08BB_00EE_u64));
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn facts_are_read_and_the_self_signature_is_checked() {
        let certificate = certificate_from_der(&self_signed_der(), None, None).unwrap();
        assert_eq!(certificate.serial.as_ref().unwrap().to_string(), "08BB00EE");
        assert_eq!(certificate.self_signed, Some(SelfSigned::Verified));
        let san = certificate.san.unwrap();
        assert_eq!((san.count, &*san.dns[0], &*san.ip[0]), (2, "host.example", "192.0.2.7"));
        let key = certificate.key.unwrap();
        assert_eq!((&*key.algorithm, key.bits, key.curve.as_deref()), ("ecdsa", Some(256), Some("prime256v1")));
        assert_eq!(certificate.signature_algorithm.as_deref(), Some("ecdsa-with-SHA256"));
    }

    /// Self-signed by OpenSSL, whose verdict on both is `OK`: RSA with the exponent 2⁴⁰ + 15, and a compressed point of P-256.
    const UNCHECKED: [&str; 2] = [
        "MIICojCCAYoCFHZkkclaMH5JcTSVI25yCfrS/0dwMA0GCSqGSIb3DQEBCwUAMAwxCjAIBgNVBAMMAWgwHhcNMjYxMTMwMTU1NjU4WhcN\
        MzYxMTI3MTU1NjU4WjAMMQowCAYDVQQDDAFoMIIBJTANBgkqhkiG9w0BAQEFAAOCARIAMIIBDQKCAQEA1f6G2bxgU7kGBwlg9UZizl23\
        cnOkAm6fpIWdu9Dvq5e/z+uoV58jqpS8IwgLSB9m7WtQhRC1b7n+ujhFUhP2coaPDBG1PmAhoahqOcrW8xXBCtx3Vrj8YyuLMXch3SIS\
        ylvIwmSn0jEY8aLvnr4pwHEIF+jQ/3E2eKuW6KKVsFl8Uju4EkadlHy8dbIkW64sB/upMbdA/V6wocu2Gh9dsQDxDj9bLGqV/yRySQAG\
        kjrySvg34wejZWVjD6DfumNGWu6etSddEiKavNtVdAN0uJZ8XnEgPoNcjNp4nHYGCTHSyVZEuKCS42xH7wqXChe5TtoE72fxS1uCpJ1d\
        Ht4kowIGAQAAAAAPMA0GCSqGSIb3DQEBCwUAA4IBAQBcolWAvCORNXuvZp1Ci6O1u3E63YDFbC1MePwZSZz72HmHmy5N8xzQCxA5l727\
        pQtc7rCKOSopdXaYuB9xsnzI+B+7npCVdA/DhIAQ8XQq31EDbTXjhdN8ri/jwXMinzWP1+F+jfNj51VJpP9/crlCzkkAYzy8VBhamBY0\
        Ps6BM0JeCBe0/dIwmXezq8ZcOXQ23lYMVgR5wo8FPLsd/+CCuLYW9Dwl4uJPZLGisDqtU71ajMP5sCux6YrGFu+/OAdovnaoDyDAjRiU\
        8XpiobPvuml81lz/ywkTgdiFG4jh1pQohUemVp31EVF8cFlntZb4mGhvgKCjs6N1brta2eIR",
        "MIIBCDCBrwIUa24ntjskJa1kNFxmut6nAsQ1/n0wCgYIKoZIzj0EAwIwFzEVMBMGA1UEAwwMaG9zdC5leGFtcGxlMB4XDTI2MTEzMDE1\
        NTgxN1oXDTM2MTEyNzE1NTgxN1owFzEVMBMGA1UEAwwMaG9zdC5leGFtcGxlMDkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDIgACsY7pX4yl\
        WBhtIQ1Eqsw4RwPFInrZA7AVGlxth9Cde0IwCgYIKoZIzj0EAwIDSAAwRQIhAM8Otq2eaE0HdO3J72apzYVXvpb+PeJXXC4yp1Mt8FM2\
        AiAB346ku+KQ9NNA4OfJyVR6zeql4PZwkyMJIa5dIh8ARQ==",
    ];

    #[test]
    fn a_self_signature_that_cannot_be_checked_is_not_taken_for_somebody_elses() {
        for text in UNCHECKED {
            let der = base64::engine::general_purpose::STANDARD.decode(text).unwrap();
            assert_eq!(certificate_from_der(&der, None, None).unwrap().self_signed, Some(SelfSigned::SameName));
        }
        let mut broken = self_signed_der();
        *broken.last_mut().unwrap() ^= 1;
        assert_eq!(certificate_from_der(&broken, None, None).unwrap().self_signed, Some(SelfSigned::No));
    }

    /// The promises of three logs in a public CA's certificate for viglink.com of 2023-02-14, of which OpenSSL prints the
    /// times 05:27:25.055, 05:27:25.079 and 05:27:25.034.
    const PROMISES: &str = "BIIBagFoAHYArfe++nz/EMiLnT2cHj4YarRnKV3PsQwkyoWGNOvcgooAAAGGTmRafwAABAMARzBFAiEAtJtpJnEHSaC8R+baitpF\
        rBEYlBHNbyw0+ZL1kjVChBQCIHQ5htzfzLkRETG3Gwbmo+x/9appfq3WAB8Td4CAR4PAAHcAs3N3B+GEUPhjhtYFqdwRCUp5LbFn\
        DAuH3PADDnk2pZoAAAGGTmRalwAABAMASDBGAiEAoDVApvqXGRCcfax3yEjWRD5b/mcEQjWxkYW8FaOknPkCIQDccR/LRxwCcuf6\
        6hjzsgmHJWjZAQWxKXME0ZdRo7UgCwB1ALc++yTfnE26dfI5xbpY9Gxd/ELPep81xJ4dCYEl7bSZAAABhk5kWmoAAAQDAEYwRAIg\
        Xi/Uwn0eIX8aDIC+r0g6v9CGDFEbHyTAhj1Z7k6YTtECIBvKlILsOkVPvW0n713M4gEoWzCSsCWBuT2kWNSgm9BY";

    #[test]
    fn when_a_certificate_was_logged_first_is_told_by_the_promises_in_it() {
        let promises = base64::engine::general_purpose::STANDARD.decode(PROMISES).unwrap();
        let with = |content: &[u8]| {
            let mut params = CertificateParams::new(vec!["host.example".to_owned()]).unwrap();
            let oid = [1, 3, 6, 1, 4, 1, 11_129, 2, 4, 2];
            params.custom_extensions = vec![rcgen::CustomExtension::from_oid_content(&oid, content.to_vec())];
            let der = params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec();
            certificate_from_der(&der, None, None).unwrap().logged_at
        };
        assert_eq!(with(&promises), EventTime::parse_iso8601("2023-02-14T05:27:25.034Z"));
        // Cut off, empty, and something else: nothing is known, and the certificate is read.
        for content in [&promises[..200], &[4, 2, 0, 0], &[5, 0], &[]] {
            assert_eq!(with(content), None, "{content:02x?}");
        }
    }

    #[test]
    fn real_certificates_say_when_they_were_logged() {
        use std::io::Read as _;
        let Some(path) = crate::knowledge::test_corpus::path("suricata-8.0/eve-all-fields.json.gz") else { return };
        let mut text = String::new();
        flate2::read::MultiGzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
        // As `openssl x509 -text` prints the earliest of each.
        let mut known = BTreeMap::from([
            ("95da6ea73f3e0ea516be71ce9edc408a51237e54893ac64601e8efb26bad92fa", "2023-02-14T05:27:25.034Z"),
            ("29e2c1b050b87a16986f70c3e557ed539bf215aed691dfce95c7162eb835e83f", "2017-04-26T20:52:40.957Z"),
            ("d25d74b6e9af00715a4e5db82670492a0a6b910dc2febaf6bfa860c71437548f", "2017-03-23T22:19:01.508Z"),
        ]);
        for line in text.lines() {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            let Some(der) = row["tls"]["certificate"].as_str() else { continue };
            let der = base64::engine::general_purpose::STANDARD.decode(der).unwrap();
            let certificate = certificate_from_der(&der, None, None).unwrap();
            let sha256 = certificate.sha256.unwrap().to_string();
            if let Some(time) = known.remove(&*sha256) {
                assert_eq!(certificate.logged_at, EventTime::parse_iso8601(time), "{sha256}");
            }
        }
        assert!(known.is_empty(), "{known:?}");
    }

    #[test]
    fn equal_names_with_a_foreign_signature_are_not_self_signed() {
        let mut der = self_signed_der();
        // The last byte belongs to the signature.
        *der.last_mut().unwrap() ^= 1;
        assert_eq!(certificate_from_der(&der, None, None).unwrap().self_signed, Some(SelfSigned::No));
    }

    proptest! {
        #[test]
        fn damaged_der_is_read_or_refused_without_a_panic(at in 0usize..400, value in any::<u8>(), cut in 0usize..400) {
            let mut der = self_signed_der();
            let at = at % der.len();
            der[at] = value;
            let _ = certificate_from_der(&der, None, None);
            der.truncate(cut);
            let _ = certificate_from_der(&der, None, None);
        }
    }
}
