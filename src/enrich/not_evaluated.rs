//! Why a check could not decide, and why a session shows no certificate, in words.
//!
//! Records carry codes, which are short and can be searched; `certsift explain` gives the sentence and what can be done.
//! A check that emits another code puts it into this table, and a test says so when it does not.

/// A code, what it means, and what can be done about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reason {
    /// The code as it stands in records: `check:why` in `not_evaluated`, a word in `absent_reason`.
    pub code: &'static str,
    /// What it means.
    pub sentence: &'static str,
    /// What can be done about it.
    pub remedy: &'static str,
}

/// Codes of `not_evaluated`, by check.
pub const NOT_EVALUATED: [Reason; 58] = [
    reason("signature:no_certificate", NO_CERTIFICATE, ABSENT_REMEDY),
    reason("feed:no_feeds", "no threat feed is loaded", "name feeds in knowledge.feeds"),
    reason("feed:no_certificate", NO_CERTIFICATE, ABSENT_REMEDY),
    reason(
        "feed:no_sha1",
        "feeds list certificates by SHA-1, and only the SHA-256 of this one is logged",
        "with Zeek, set `redef X509::hash_function = sha1_hash;`, or `redef X509::log_x509_in_files_log = T;` and let \
         certsift read files.log, whose rows pair both hashes",
    ),
    reason(
        "feed:no_sha256",
        "feeds list certificates by SHA-256, and only the SHA-1 of this one is logged",
        "with Suricata, log the certificate itself: `custom: [certificate, …]` under tls in suricata.yaml",
    ),
    reason(
        "feed:no_spki",
        "feeds list certificates by the SHA-256 of their key, and that of this one is not known",
        LOG_DER,
    ),
    reason(
        "feed:no_serial",
        "feeds list certificates by serial number and issuer, and one of them is not logged",
        LOG_DER,
    ),
    reason(
        "own_certificate:no_list",
        "no list says which certificates are your own",
        "name one in knowledge.own_certificates",
    ),
    reason(
        "client_certificate:not_found",
        "the client showed a certificate whose record has not come",
        "give certsift the x509.log of the same time",
    ),
    reason("own_certificate:no_certificate", NO_CERTIFICATE, ABSENT_REMEDY),
    reason(
        "own_certificate:no_sha256",
        "neither the SHA-256 of the certificate nor that of its key is logged",
        LOG_DER,
    ),
    reason("own_certificate:no_server", "the server's address is not logged", "log it"),
    reason("issuer_change:no_certificate", NO_CERTIFICATE, ABSENT_REMEDY),
    reason("issuer_change:not_logged", "the issuer is not logged", LOG_DER),
    reason("moved_certificate:no_certificate", NO_CERTIFICATE, ABSENT_REMEDY),
    reason(
        "moved_certificate:not_logged",
        "the certificate has come to another network, and whether it is for the name asked for cannot be said",
        "log alternative names, or the certificate itself; without a name asked for there is nothing to compare",
    ),
    reason("shared_certificate:no_certificate", NO_CERTIFICATE, ABSENT_REMEDY),
    reason("shared_certificate:not_logged", "the issuer is not logged", LOG_DER),
    reason(
        "lookalike:no_watch_names",
        "there are no names to compare with",
        "put your own domains and brands into knowledge.watch_names",
    ),
    reason(
        "lookalike:no_name",
        "the client asked for no name, and no certificate is known",
        "nothing: there is nothing to compare",
    ),
    reason("forged_ca:no_certificate", NO_CERTIFICATE, ABSENT_REMEDY),
    reason("forged_ca:not_logged", "the issuer is not logged", LOG_DER),
    reason(
        "forged_ca:table_too_old",
        "something of the issuer is not in the table of public CAs, which is older than the certificate",
        "name CCADB's report of today in [trust] public_cas",
    ),
    reason("free_ca:no_certificate", NO_CERTIFICATE, ABSENT_REMEDY),
    reason("origin_ca:no_certificate", NO_CERTIFICATE, ABSENT_REMEDY),
    reason("origin_ca:not_logged", "the issuer is not logged", LOG_DER),
    reason("untrusted_chain:no_certificate", NO_CERTIFICATE, ABSENT_REMEDY),
    reason(
        "untrusted_chain:not_logged",
        "neither the certificate itself nor the sensor's own verdict on the chain is logged",
        "log the certificate itself, or with Zeek load policy/protocols/ssl/validate-certs",
    ),
    reason(
        "untrusted_chain:unverifiable",
        "whether the certificate leads to a root cannot be said",
        "chain.reason says why; for a missing issuer, name CCADB's certificates in [trust] intermediates",
    ),
    reason("out_of_validity:no_certificate", NO_CERTIFICATE, ABSENT_REMEDY),
    reason("out_of_validity:not_logged", "the validity is not logged", LOG_DER),
    reason("out_of_validity:sensor_clock", SENSOR_CLOCK, SENSOR_CLOCK_REMEDY),
    reason("name_mismatch:no_certificate", NO_CERTIFICATE, ABSENT_REMEDY),
    reason("name_mismatch:no_name", "the client asked for no name", "nothing: there is nothing to compare"),
    reason(
        "name_mismatch:not_logged",
        "the names of the certificate are not logged, or are more than are kept",
        "with Suricata 8, log subjectaltname; or log the certificate itself",
    ),
    reason("address_name:no_certificate", NO_CERTIFICATE, ABSENT_REMEDY),
    reason("random_name:no_certificate", NO_CERTIFICATE, ABSENT_REMEDY),
    reason("validity:no_certificate", NO_CERTIFICATE, ABSENT_REMEDY),
    reason("validity:not_logged", "the validity is not logged", LOG_DER),
    reason("missing_san:no_certificate", NO_CERTIFICATE, ABSENT_REMEDY),
    reason("missing_san:not_logged", "alternative names are not logged", LOG_DER),
    reason("odd_text:no_certificate", NO_CERTIFICATE, ABSENT_REMEDY),
    reason("weak_crypto:no_certificate", NO_CERTIFICATE, ABSENT_REMEDY),
    reason(
        "new_domain:no_list",
        "no list of registrations is loaded",
        "name lists of newly registered domains in knowledge.registered, or let `run` ask registries with [rdap]",
    ),
    reason(
        "new_domain:no_name",
        "the client asked for no name, and the certificate has none that can be registered",
        "nothing: there is no domain to look up",
    ),
    reason("new_domain:sensor_clock", SENSOR_CLOCK, SENSOR_CLOCK_REMEDY),
    reason("fresh_certificate:no_certificate", NO_CERTIFICATE, ABSENT_REMEDY),
    reason("fresh_certificate:not_logged", "the start of the validity is not logged", LOG_DER),
    reason("fresh_certificate:sensor_clock", SENSOR_CLOCK, SENSOR_CLOCK_REMEDY),
    reason("rare_issuer:no_certificate", NO_CERTIFICATE, ABSENT_REMEDY),
    reason("rare_issuer:not_logged", "the issuer is not logged", LOG_DER),
    reason(
        "rare_issuer:learning",
        "the history is too short to say what is usual here",
        "let `run` learn, or replay more logs with --state; [history] learning sets how much is needed",
    ),
    reason(
        "rare_issuer:not_outbound",
        "the client is not one of the local networks, and what is usual here is asked of those that are",
        "the right networks in network.local, where the client is one of yours",
    ),
    reason(
        "rare_issuer:shared_client",
        "the client is a shared address, behind which any number of clients may be",
        "logs of a sensor that sees the clients themselves, before the proxy or the NAT",
    ),
    reason(
        "changing_server:learning",
        "the server shows many certificates, and the history is too short to say what is usual here",
        "let `run` learn, or replay more logs with --state; [history] learning sets how much is needed",
    ),
    reason(
        "client_fingerprint:not_logged",
        "a feed lists JA3 fingerprints, and that of the client is not logged",
        "load Zeek's package ja3, or set `ja3-fingerprints: yes` in suricata.yaml",
    ),
    reason("self_signed:no_certificate", NO_CERTIFICATE, ABSENT_REMEDY),
    reason("self_signed:not_logged", "subject or issuer are not logged", LOG_DER),
];

/// Why all checks but signatures and feeds stay out of an x509 record; it carries no codes for them.
pub const X509_RECORD: Reason = reason(
    "x509_record",
    "an x509 record has no client and no server, and may be of any part of a chain",
    "give the line of ssl.log together with that of x509.log",
);

/// Values of `certificate.absent_reason`.
const ABSENT: [Reason; 7] = [
    reason(
        "tls13",
        "TLS 1.3 encrypts the certificate, and none was remembered for this server and name",
        "nothing; checks that need only the name still run",
    ),
    reason(
        "resumed",
        "the session was resumed, and no certificate of this server is remembered",
        "for `replay`, read earlier logs too, or keep a --state",
    ),
    reason("quic", "QUIC encrypts the certificate", "nothing; checks that need only the name still run"),
    reason(
        "incomplete",
        "the handshake did not get that far, or nothing shows that the server answered",
        "nothing; with Suricata log ja3s or server_handshake, which show it",
    ),
    reason(
        "unparsed",
        "the sensor could not parse the certificate",
        "look into Zeek's weird.log, or Suricata's anomaly events",
    ),
    reason(
        "not_logged",
        "the record of a complete session holds no certificate",
        "Zeek: see whether a script disables certificate events; Suricata: log the fields of the certificate in eve.json",
    ),
    reason(
        "not_found",
        "the session refers to an x509 record that was not read",
        "give the line of x509.log as well; Zeek logs a certificate about once a day",
    ),
];

const SENSOR_CLOCK: &str = "many certificates of public CAs are not valid yet at this sensor's times, so that its clock is wrong and no age can be told";
const SENSOR_CLOCK_REMEDY: &str = "set the sensor's clock, or have it log absolute times";
const NO_CERTIFICATE: &str = "no certificate was seen, nor could one be recalled";
const ABSENT_REMEDY: &str = "see what is said of the certificate";
const LOG_DER: &str = "log the certificate itself: Zeek's log-certs-base64, Suricata's `certificate`";

/// The meaning of a code of `not_evaluated`; `None` for one that this version does not know.
pub fn not_evaluated(code: &str) -> Option<&'static Reason> {
    NOT_EVALUATED.iter().find(|reason| reason.code == code)
}

/// The meaning of an `absent_reason`; `None` for one that this version does not know.
pub fn absent(reason: &str) -> Option<&'static Reason> {
    ABSENT.iter().find(|known| known.code == reason)
}

const fn reason(code: &'static str, sentence: &'static str, remedy: &'static str) -> Reason {
    Reason { code, sentence, remedy }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every code in the sources of the checks, so that a new one is found without a record that brings it out.
    fn emitted() -> BTreeSet<String> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/enrich");
        let call = regex::Regex::new(r#"not_evaluated\(\s*"([a-z0-9_]+:[a-z0-9_]+)""#).unwrap();
        let mut codes = BTreeSet::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() && !path.ends_with("not_evaluated.rs") {
                let source = std::fs::read_to_string(path).unwrap();
                codes.extend(call.captures_iter(&source).map(|found| found[1].to_owned()));
            }
        }
        codes
    }

    #[test]
    fn every_code_that_checks_emit_is_explained_and_no_other() {
        let explained: BTreeSet<String> = NOT_EVALUATED.iter().map(|reason| reason.code.to_owned()).collect();
        assert_eq!(emitted(), explained);
        assert_eq!(explained.len(), NOT_EVALUATED.len());
    }

    #[test]
    fn a_code_begins_with_the_check_that_emits_it() {
        for reason in NOT_EVALUATED {
            let (check, _) = reason.code.split_once(':').unwrap();
            assert!(super::super::checks().iter().any(|known| known.id == check), "{}", reason.code);
        }
    }

    #[test]
    fn every_reason_for_an_absent_certificate_is_explained() {
        use crate::correlate::AbsentReason::{Incomplete, NotFound, NotLogged, Quic, Resumed, Tls13, Unparsed};
        for absent_reason in [Tls13, Resumed, Quic, Incomplete, Unparsed, NotLogged, NotFound] {
            let name = serde_json::to_value(absent_reason).unwrap();
            assert!(absent(name.as_str().unwrap()).is_some(), "{name}");
        }
    }
}
