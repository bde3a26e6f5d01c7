//! Fingerprints of what a client offers, which packages of Zeek and Suricata log.

use super::output::Output;
use crate::model::{ClientFingerprints, Id128, Ja3};

/// What a record says of its client; what is empty or has another form than it should is not known.
pub(super) fn client_fingerprints(output: &mut Output<'_>, ja3: Option<&str>, ja4: Option<&str>) -> ClientFingerprints {
    let identity = |text: &str| is_ja4(text).then(|| Id128::of_parts(&[b"ja4", text.as_bytes()]));
    let ja4 = ja4.and_then(|text| Some((text, output.memos.ja4(text, identity)?)));
    ClientFingerprints { ja3: ja3.and_then(Ja3::parse), ja4: ja4.map(|(text, id)| (output.span(text), id)) }
}

/// Whether text is a JA4: ten characters and two hashes of twelve digits, of which not both stand for nothing (Suricata 8
/// writes one for a client that it has not seen).
fn is_ja4(text: &str) -> bool {
    const NOTHING: &str = "000000000000";
    let mut parts = text.split('_');
    let (Some(head), Some(ciphers), Some(extensions), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let is_hash =
        |part: &str| part.len() == NOTHING.len() && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    head.len() == 10
        && head.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && is_hash(ciphers)
        && is_hash(extensions)
        && (ciphers, extensions) != (NOTHING, NOTHING)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ja4_has_three_parts_and_says_something() {
        assert!(is_ja4("t13d1516h2_8daaf6152771_b186095e22b6"));
        assert!(is_ja4("q13i0310h3_55b375c5d22e_000000000000"));
        for text in [
            "",
            "t13d1516h2",
            "t13d1516h2_8daaf6152771_",
            "t13d1516h2__b186095e22b6",
            "t13d1516h2_8daaf6152771_b186095e22b6_x",
            "dt13d1516h2_8daaf6152771_b186095e22b6",
            "t13d1516\"2_8daaf6152771_b186095e22b6",
            "t13d1516h2_8DAAF6152771_b186095e22b6",
            "t00i000000_000000000000_000000000000",
        ] {
            assert!(!is_ja4(text), "{text}");
        }
    }
}
