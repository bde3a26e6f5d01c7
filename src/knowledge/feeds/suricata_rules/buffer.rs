//! The texts that rules look at, as Suricata has them, whichever sensor logged the certificate.

use crate::model::{Certificate, Serial, hex_value};

/// A text of a session.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Buffer {
    /// SHA-1 of the certificate, lower case, colons between the octets.
    Fingerprint,
    /// The octets of the serial number, upper case, colons between them.
    Serial,
    /// The subject, `C=US, O=x, CN=y` in the order of the encoding.
    Subject,
    /// The issuer, likewise.
    Issuer,
    /// The name that the client asked for.
    ServerName,
}

/// The texts of one session or certificate, as far as they are known.
#[derive(Default)]
pub(super) struct Buffers {
    texts: [Option<String>; 5],
}

impl Buffers {
    /// What is known of a certificate.
    pub(super) fn of_certificate(certificate: &Certificate) -> Self {
        Self {
            texts: [
                certificate.sha1.map(|digest| with_colons(&digest.to_string())),
                certificate.serial.as_ref().map(octets),
                certificate.subject.as_ref().map(|name| name.forward()),
                certificate.issuer.as_ref().map(|name| name.forward()),
                None,
            ],
        }
    }

    /// These and the name that the client asked for.
    pub(super) fn with_server_name(mut self, name: Option<&str>) -> Self {
        self.texts[Buffer::ServerName as usize] = name.map(str::to_owned);
        self
    }

    /// One text.
    pub(super) fn get(&self, buffer: Buffer) -> Option<&str> {
        self.texts[buffer as usize].as_deref()
    }
}

impl Buffer {
    /// The sticky buffers and the older keywords that take a value at once.
    pub(super) fn of_keyword(keyword: &str) -> Option<Self> {
        Some(match keyword {
            "tls.cert_fingerprint" | "tls_cert_fingerprint" | "tls.fingerprint" => Self::Fingerprint,
            "tls.cert_serial" | "tls_cert_serial" => Self::Serial,
            "tls.cert_subject" | "tls_cert_subject" | "tls.subject" => Self::Subject,
            "tls.cert_issuer" | "tls_cert_issuer" | "tls.issuerdn" => Self::Issuer,
            "tls.sni" | "tls_sni" => Self::ServerName,
            _ => return None,
        })
    }

    /// The field of records that holds it.
    pub(super) fn field(self) -> &'static str {
        match self {
            Self::Fingerprint => "sha1",
            Self::Serial => "serial",
            Self::Subject => "subject",
            Self::Issuer => "issuer",
            Self::ServerName => "server_name",
        }
    }
}

fn with_colons(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() * 3 / 2);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && index % 2 == 0 {
            text.push(':');
        }
        text.push(digit);
    }
    text
}

/// The octets of the DER INTEGER (X.690 §8.3), which has one more of zero where the first bit would read as a sign.
fn octets(serial: &Serial) -> String {
    let text = serial.to_string();
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, &*text),
    };
    let value = |byte: u8| hex_value(byte).unwrap_or_default();
    let mut octets: Vec<u8> =
        digits.as_bytes().chunks_exact(2).map(|pair| value(pair[0]) << 4 | value(pair[1])).collect();
    if is_negative {
        let mut carry = true;
        for octet in octets.iter_mut().rev() {
            (*octet, carry) = (!*octet).overflowing_add(u8::from(carry));
        }
    }
    let has_sign_bit = octets.first().is_some_and(|first| first & 0x80 != 0);
    if has_sign_bit != is_negative {
        octets.insert(0, if is_negative { 0xff } else { 0 });
    }
    let octets: Vec<String> = octets.iter().map(|octet| format!("{octet:02X}")).collect();
    octets.join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_has_the_octets_of_its_encoding() {
        for text in ["08:BB:00:EE", "00:CF:1D:44", "A4:9D:64:4F", "00", "7F", "FF:7F"] {
            assert_eq!(octets(&Serial::parse_octets(text).unwrap()), text);
        }
        assert_eq!(octets(&Serial::parse("8BB00EE").unwrap()), "08:BB:00:EE");
    }
}
