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
fn entries_may_be_written_over_many_lines_and_in_any_order() {
    let folder = tempfile::tempdir().unwrap();
    let entries: Vec<serde_json::Value> =
        CERTSTREAM.lines().filter_map(|line| serde_json::from_str(line).ok()).rev().collect();
    let pretty = |value: &serde_json::Value| serde_json::to_string_pretty(value).unwrap();
    let list = pretty(&serde_json::Value::from(entries.clone()));
    let sequence: String = entries.iter().map(|entry| pretty(entry) + "\n").collect();
    let lines: String = entries.iter().map(|entry| entry.to_string() + "\n").collect();
    for text in [&list, &sequence, &lines] {
        for text in [text.clone(), format!("\u{feff}\r\n{}", text.replace('\n', "\r\n"))] {
            assert!(Transparency::recognise(text.as_bytes()), "{}", &text[..40]);
            let (logs, reports) = load(folder.path(), &[("a.json", text.as_bytes())]);
            assert_eq!((reports[0].rows, reports[0].without_date, reports[0].bad_rows), (3, 2, 1), "{reports:?}");
            assert_eq!(
                logs.name_logged("evil.example", at("2026-11-24T00:00:00Z")),
                EventTime::parse_epoch("1763690000")
            );
        }
    }
    let crt_sh: serde_json::Value = serde_json::from_str(CRT_SH).unwrap();
    let crt_sh = format!("\u{feff}{}", pretty(&crt_sh));
    assert!(Transparency::recognise(crt_sh.as_bytes()));
    let (logs, reports) = load(folder.path(), &[("crt.sh.json", crt_sh.as_bytes())]);
    assert_eq!((reports[0].rows, reports[0].bad_rows, &reports[0].error), (1, 1, &None));
    assert!(logs.name_logged("mail.evil.example", at("2026-11-24T00:00:00Z")).is_some());
    // One that is cut off says nothing at all.
    let (logs, reports) = load(folder.path(), &[("cut.json", &list.as_bytes()[..list.len() - 5])]);
    assert!(reports[0].error.is_some() && logs.is_empty());
}

#[test]
fn more_than_two_bytes_can_count_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let entries: String = (0..70_000_u32)
        .map(|number| {
            let (seen, names) = (1_763_600_000 + number, [format!("a{number}.evil.example"), format!("d{number}.example")]);
            let leaf = serde_json::json!({"issuer": {"CN": "R11"}, "serial_number": format!("{number:06x}"), "all_domains": names});
            let data = serde_json::json!({"leaf_cert": leaf, "seen": seen, "source": {"name": format!("log {number}")}});
            serde_json::json!({"message_type": "certificate_update", "data": data}).to_string() + "\n"
        })
        .collect();
    let (logs, reports) = load(folder.path(), &[("a", entries.as_bytes())]);
    assert_eq!((reports[0].rows, reports[0].bad_rows), (70_000, 0));
    let now = at("2025-11-25T00:00:00Z");
    assert_eq!(logs.certificates_lately(domain("evil.example"), now), 70_000);
    assert_eq!(logs.name_logged("d69999.example", now), EventTime::parse_epoch("1763669999"));
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
