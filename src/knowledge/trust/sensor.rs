//! What Zeek says of a chain, in its own words: `validation_status` is the text of an OpenSSL error, which changed its
//! spelling between versions 1 and 3.

use std::borrow::Cow;

use super::{Chain, ChainJudge, ChainReason, ChainStatus};

/// What the sensor's text amounts to; `None` where it is empty. `is_public` says whether the issuer is named as a public
/// CA: then a missing certificate says only that the server left one out.
pub fn of_sensor(text: &str, is_public: Option<bool>) -> Option<Chain> {
    let text = in_one_spelling(text.trim());
    if text.is_empty() {
        return None;
    }
    let missing = match is_public {
        Some(false) => (ChainStatus::Untrusted, Some(ChainReason::UnknownIssuer)),
        _ => (ChainStatus::Unverifiable, Some(ChainReason::MissingIssuer)),
    };
    let (status, reason) = match &*text {
        "ok" => (ChainStatus::Trusted, None),
        "self signed certificate" => (ChainStatus::Untrusted, Some(ChainReason::SelfSigned)),
        "self signed certificate in certificate chain" => (ChainStatus::Untrusted, Some(ChainReason::UnknownIssuer)),
        "unable to get local issuer certificate"
        | "unable to get issuer certificate"
        | "unable to verify the first certificate"
        | "certificate chain too long" => missing,
        "certificate has expired" => (ChainStatus::Expired, None),
        "certificate is not yet valid" => (ChainStatus::NotYetValid, None),
        "certificate signature failure" | "authority and subject key identifier mismatch" => {
            (ChainStatus::Untrusted, Some(ChainReason::BadSignature))
        }
        "certificate revoked" => (ChainStatus::Untrusted, Some(ChainReason::Revoked)),
        "hostname mismatch" | "ip address mismatch" => (ChainStatus::NameMismatch, None),
        "certificate not trusted" | "certificate rejected" => (ChainStatus::Untrusted, Some(ChainReason::Other)),
        "invalid ca certificate"
        | "invalid non ca certificate (has ca markings)"
        | "path length constraint exceeded"
        | "permitted subtree violation"
        | "excluded subtree violation" => (ChainStatus::Untrusted, Some(ChainReason::Constraint)),
        "unsupported certificate purpose" | "unsuitable certificate purpose" => {
            (ChainStatus::Unverifiable, Some(ChainReason::Usage))
        }
        "ee certificate key too weak" | "ca certificate key too weak" | "ca signature digest algorithm too weak" => {
            (ChainStatus::Unverifiable, Some(ChainReason::Algorithm))
        }
        _ => (ChainStatus::Unverifiable, Some(ChainReason::Other)),
    };
    Some(Chain { status, reason, by: ChainJudge::Sensor })
}

/// In lower case and with spaces for hyphens, as most of what is logged stands already.
fn in_one_spelling(text: &str) -> Cow<'_, str> {
    // Without a way out inside, a text is looked at by a few vector instructions.
    let is_other = |byte: u8| byte.is_ascii_uppercase() | (byte == b'-');
    if text.bytes().fold(false, |found, byte| found | is_other(byte)) {
        return Cow::Owned(text.to_ascii_lowercase().replace('-', " "));
    }
    Cow::Borrowed(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_openssl_say_the_same() {
        for (old, new) in [
            ("self signed certificate", "self-signed certificate"),
            ("self signed certificate in certificate chain", "self-signed certificate in certificate chain"),
        ] {
            assert_eq!(of_sensor(old, None), of_sensor(new, None));
            assert_eq!(of_sensor(new, None).unwrap().status, ChainStatus::Untrusted);
        }
    }

    #[test]
    fn a_missing_certificate_accuses_private_cas_only() {
        let status = |public| of_sensor("unable to get local issuer certificate", public).unwrap().status;
        assert_eq!(status(Some(true)), ChainStatus::Unverifiable);
        assert_eq!(status(None), ChainStatus::Unverifiable);
        assert_eq!(status(Some(false)), ChainStatus::Untrusted);
    }

    #[test]
    fn what_is_not_known_is_unverifiable_and_nothing_is_nothing() {
        assert_eq!(of_sensor("something new", Some(false)).unwrap().status, ChainStatus::Unverifiable);
        assert_eq!(of_sensor(" ", None), None);
        assert_eq!(of_sensor("ok", None).unwrap().status, ChainStatus::Trusted);
    }
}
