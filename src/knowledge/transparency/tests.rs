use super::*;
use crate::model::CertificateSource;
use proptest::prelude::*;
use std::path::Path;

/// As the servers of CertStream write it: the first without issuer and serial, the second with, the third a precertificate
/// of the second in another log.
const CERTSTREAM: &str = r#"{"message_type":"certificate_update","data":{"update_type":"X509LogEntry","leaf_cert":{"subject":{"aggregated":"/CN=e.example","C":null,"CN":"e.example"},"extensions":{"subjectAltName":"DNS:e.example, DNS:www.e.example"},"not_before":1763550000.0,"not_after":1771326000.0,"as_der":"","all_domains":["e.example","www.e.example"]},"chain":[],"cert_index":19587936,"seen":1763596800.86,"source":{"url":"ct.example.org","name":"A log"}}}
{"message_type":"heartbeat","timestamp":1763596801.0}
{"message_type":"certificate_update","data":{"update_type":"X509LogEntry","leaf_cert":{"subject":{"aggregated":"/CN=*.evil.example","CN":"*.evil.example"},"issuer":{"C":"US","CN":"R11","O":"Let's Encrypt","aggregated":"/C=US/CN=R11/O=Let's Encrypt"},"serial_number":"3BC0FFEE","sha256":"AB","all_domains":["*.evil.example","evil.example"]},"seen":1763700000.5}}
{"message_type":"certificate_update","data":{"update_type":"PrecertLogEntry","leaf_cert":{"issuer":{"C":"US","O":"Let's Encrypt","CN":"R11"},"serial_number":"03bc0ffee","all_domains":["*.evil.example","evil.example"]},"seen":1763690000}}
{"message_type":"dns_entries","data":["a.example","*.b.example"]}
{"message_type":"certificate_update","data":{"leaf_cert":7}}
not json
"#;

const CRT_SH: &str = r#"[{"issuer_ca_id":295815,"issuer_name":"C=US, O=Let's Encrypt, CN=R11","common_name":"evil.example","name_value":"evil.example\nmail.evil.example","id":1,"entry_timestamp":"2025-11-19T10:00:00.123","not_before":"2025-11-19T09:00:00","not_after":"2026-02-17T09:00:00","serial_number":"04aa"},
{"issuer_name":"C=US, O=X, CN=Y","name_value":"x.example","entry_timestamp":"soon"}]"#;

fn load(folder: &Path, files: &[(&str, &[u8])]) -> (Transparency, Vec<ListReport>) {
    let paths: Vec<_> = files.iter().map(|(name, _)| folder.join(name)).collect();
    for (path, (_, bytes)) in paths.iter().zip(files) {
        std::fs::write(path, bytes).unwrap();
    }
    Transparency::load(&paths)
}

fn at(text: &str) -> EventTime {
    EventTime::parse_iso8601(text).unwrap()
}

fn domain(name: &str) -> Id128 {
    crate::decode::registrable(name).unwrap().0
}

fn served(serial: &str) -> Certificate {
    let mut certificate = Certificate::unknown(CertificateSource::LogStrings);
    certificate.issuer = Some(DistinguishedName::from_rfc2253("CN=R11,O=Let's Encrypt,C=US"));
    certificate.serial = Serial::parse(serial);
    certificate
}

#[test]
fn the_first_time_counts_whichever_log_and_monitor_tells_it() {
    let folder = tempfile::tempdir().unwrap();
    let worn = format!("\u{feff}{}", CERTSTREAM.replace('\n', "\r\n\r\n"));
    let packed = zstd::encode_all(worn.as_bytes(), 1).unwrap();
    for bytes in [CERTSTREAM.as_bytes(), worn.as_bytes(), &packed] {
        let (logs, reports) = load(folder.path(), &[("certstream.ndjson", bytes), ("crt.sh.json", CRT_SH.as_bytes())]);
        let count = |report: &ListReport| (report.rows, report.without_date, report.bad_rows, report.error.is_some());
        assert_eq!((count(&reports[0]), count(&reports[1])), ((3, 2, 2, false), (1, 0, 1, false)), "{reports:?}");
        let now = at("2026-11-24T00:00:00Z");
        assert_eq!(logs.name_logged("WWW.e.example.", now), Some(at("2025-11-20T00:00:00.86Z")));
        assert_eq!(logs.name_logged("a.evil.example", now), EventTime::parse_epoch("1763690000"), "by the wildcard");
        assert_eq!(logs.name_logged("mail.evil.example", now), Some(at("2025-11-19T10:00:00.123Z")));
        assert_eq!(logs.name_logged("b.a.evil.example", now), None);
        assert_eq!(logs.certificate_logged(&served("3B:C0:FF:EE"), now), EventTime::parse_epoch("1763690000"));
        assert_eq!(logs.certificate_logged(&served("04AA"), now), Some(at("2025-11-19T10:00:00.123Z")));
        assert_eq!(logs.certificate_logged(&served("05"), now), None);
    }
}

#[test]
fn what_was_logged_later_does_not_count_yet() {
    let folder = tempfile::tempdir().unwrap();
    let (logs, _) = load(folder.path(), &[("a", CERTSTREAM.as_bytes()), ("b", CRT_SH.as_bytes())]);
    let lately = |time: &str| logs.certificates_lately(domain("evil.example"), at(time));
    assert_eq!(lately("2025-11-19T09:59:00Z"), 0);
    assert_eq!(lately("2025-11-19T10:00:01Z"), 1);
    assert_eq!(lately("2025-11-22T00:00:00Z"), 2, "the precertificate is the same one");
    assert_eq!(lately("2025-12-20T00:00:00Z"), 1);
    assert_eq!(lately("2026-11-24T00:00:00Z"), 0);
    assert_eq!(logs.name_logged("evil.example", at("2025-11-19T00:00:00Z")), None);
    assert_eq!(logs.certificate_logged(&served("3BC0FFEE"), at("2025-11-20T00:00:00Z")), None);
}

#[test]
fn files_of_monitors_are_known_by_their_first_line() {
    assert!(Transparency::recognise(CERTSTREAM.as_bytes()) && Transparency::recognise(CRT_SH.as_bytes()));
    for head in ["", "{}", "[]", r#"{"type":"bundle","objects":[]}"#, r#"{"ldhName":"a.com"}"#, "evil.example\n"] {
        assert!(!Transparency::recognise(head.as_bytes()), "{head}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0..1500_usize) {
        let folder = tempfile::tempdir().unwrap();
        let text = CERTSTREAM.as_bytes();
        load(folder.path(), &[("bytes", &bytes), ("cut", &text[..cut.min(text.len())])]);
    }
}
