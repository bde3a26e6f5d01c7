//! Certificate serial numbers, in every spelling of the sensors and feeds.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::hash::hex_value;

/// A serial number as the integer that it is (RFC 5280 §4.1.2.2): a sign and hexadecimal digits without leading zeros.
///
/// Zeek prints `08BB00EE` and `-5B62…` for a negative number, Suricata the raw octets `08:BB:00:EE` with a sign octet
/// `00` where DER has one, feeds either, with or without zeros and in both cases. All of them compare equal here.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Serial {
    negative: bool,
    /// Upper-case digits without leading zeros; empty for zero.
    digits: Box<str>,
}

/// Longest serial number that is read, in hexadecimal digits. RFC 5280 allows 40; some issuers write more.
const MAX_DIGITS: usize = 256;

impl Serial {
    /// Reads digits as Zeek, feeds and people write them: separators, case, `0x` and leading zeros do not matter.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let text = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
        let mut digits = String::with_capacity(text.len());
        let mut seen = false;
        // OpenSSL breaks numbers of more than 35 octets with a backslash and a line feed; Zeek logs that as it is.
        for byte in text.bytes().filter(|byte| !matches!(byte, b':' | b' ' | b'\\' | b'\n' | b'\r')) {
            hex_value(byte)?;
            seen = true;
            if !(digits.is_empty() && byte == b'0') {
                digits.push(char::from(byte.to_ascii_uppercase()));
            }
            if digits.len() > MAX_DIGITS {
                return None;
            }
        }
        seen.then(|| Self { negative: negative && !digits.is_empty(), digits: digits.into() })
    }

    /// Reads the content octets of a DER INTEGER, two's complement (X.690 §8.3).
    pub fn from_der_octets(octets: &[u8]) -> Self {
        let negative = octets.first().is_some_and(|first| first & 0x80 != 0);
        let mut magnitude = octets.iter().take(MAX_DIGITS / 2).copied().collect::<Vec<_>>();
        if negative {
            let mut carry = true;
            for byte in magnitude.iter_mut().rev() {
                let (value, overflow) = (!*byte).overflowing_add(u8::from(carry));
                *byte = value;
                carry = overflow;
            }
        }
        let digits: String = magnitude.iter().map(|byte| format!("{byte:02X}")).collect();
        Self { negative, digits: digits.trim_start_matches('0').into() }
    }

    /// Reads Suricata's spelling, the raw octets of the DER INTEGER in hexadecimal, joined by colons.
    pub fn parse_octets(text: &str) -> Option<Self> {
        let mut octets = Vec::with_capacity(text.len() / 3 + 1);
        for part in text.split(':') {
            match part.as_bytes() {
                [high, low] => octets.push(hex_value(*high)? << 4 | hex_value(*low)?),
                _ => return Self::parse(text),
            }
        }
        Some(Self::from_der_octets(&octets))
    }

    /// The digits without sign and leading zeros, upper case; empty for zero.
    pub fn digits(&self) -> &str {
        &self.digits
    }
}

/// Whole octets in upper case with a minus sign where the number is negative, as Zeek prints it; zero is `00`.
impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.negative {
            f.write_str("-")?;
        }
        if self.digits.is_empty() {
            return f.write_str("00");
        }
        if self.digits.len() % 2 == 1 {
            f.write_str("0")?;
        }
        f.write_str(&self.digits)
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_number_has_one_value_in_every_spelling() {
        let spellings = ["8BB00EE", "08BB00EE", "08:BB:00:EE", "0x08bb00ee", "00:08:BB:00:EE", " 8bb00ee "];
        for spelling in spellings {
            assert_eq!(Serial::parse(spelling).unwrap().to_string(), "08BB00EE", "{spelling}");
        }
        assert_eq!(Serial::parse_octets("00:CF:1D:44").unwrap().to_string(), "CF1D44");
    }

    #[test]
    fn a_negative_number_reads_the_same_from_zeek_and_from_octets() {
        assert_eq!(Serial::parse("-5B629BB1"), Serial::parse_octets("A4:9D:64:4F"));
        assert_eq!(Serial::parse("-00").unwrap().to_string(), "00");
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", "-", "+", "xyz", "0x", "12 34 g"] {
            assert_eq!(Serial::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn printing_and_reading_is_the_identity(octets in prop::collection::vec(any::<u8>(), 1..40)) {
            let serial = Serial::from_der_octets(&octets);
            prop_assert_eq!(Serial::parse(&serial.to_string()), Some(serial));
        }

        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in ".{0,80}") {
            let _ = Serial::parse(&text);
            let _ = Serial::parse_octets(&text);
        }
    }
}
