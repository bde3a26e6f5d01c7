//! What is fuzzed, and what must hold. Shared by the fuzz targets and, in the main crate, by `tests/fuzz_corpus.rs`.
#![allow(dead_code, unreachable_pub, reason = "each fuzz target uses one of them")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a target fails where it cannot go on")]

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use certsift::config::Config;
use certsift::correlate::{Backing, CertificateStore, Correlator, KeyTracker};
use certsift::decode::{DecodeContext, Detected, Format, RawBatch, certificate_from_der, decode, detect, walk_object};
use certsift::encode::encode;
use certsift::history::History;
use certsift::knowledge::feeds::SessionNames;
use certsift::knowledge::{AllowList, Feeds, Knowledge, Registrations, Signatures};
use certsift::model::{Address, DistinguishedName, EventTime, SourceInfo, StreamKey};
use certsift::source::{Lines, Splitter};
use certsift::state::CertificateSpill;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

static KNOWLEDGE: LazyLock<Knowledge> =
    LazyLock::new(|| Knowledge::builtin().expect("the built-in catalogue is sound"));

/// A whole log, header and rows.
pub fn zeek_tsv(data: &[u8]) {
    let format = match detect(data, "ssl.log") {
        Detected::Format(format @ Format::ZeekTsv(_)) => format,
        _ => return,
    };
    through(data, "ssl.log", format, true);
}

/// Lines of Zeek's JSON.
pub fn zeek_json(data: &[u8]) {
    for (name, example) in [("ssl.log", r#"{"_path":"ssl"}"#), ("x509.log", r#"{"_path":"x509"}"#)] {
        through(data, name, format_of(example, name), false);
    }
}

/// EVE lines.
pub fn eve(data: &[u8]) {
    through(data, "eve.json", format_of(r#"{"timestamp":"","event_type":""}"#, "eve.json"), false);
}

/// The top level of an object: what the JSON library takes is taken, and nothing else; keys and values are the same.
pub fn json_object(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut found = Vec::new();
    let keys = walk_object(text, |key, raw| found.push((key.to_owned(), raw.to_owned())));
    let value = serde_json::from_str::<IgnoredAny>(text).is_ok();
    let is_object = value && text.trim_start_matches([' ', '\t', '\r', '\n']).starts_with('{');
    assert_eq!(keys.is_some(), is_object, "{text}");
    if is_object {
        assert_eq!(keys, Some(found.len()));
        // Keys with half a surrogate pair are valid, and no strings of Rust's.
        if let Ok(map) = serde_json::from_str::<BTreeMap<String, &RawValue>>(text) {
            // Of a repeated key the last value counts.
            let found: BTreeMap<_, _> = found.into_iter().collect();
            let theirs = map.into_iter().map(|(key, raw)| (key, raw.get().to_owned())).collect();
            assert_eq!(found, theirs);
        }
    }
}

/// A certificate.
pub fn der(data: &[u8]) {
    let Some(certificate) = certificate_from_der(data, None, None) else { return };
    // The same bytes are the same certificate, whatever follows them.
    let followed = [data, b"more"].concat();
    let again = certificate_from_der(&followed, None, None).expect("what follows a certificate does not matter");
    assert_eq!(certificate, again);
    let named = certificate_from_der(data, Some("CN=printed"), Some("CN=printed")).expect("names are only shown");
    assert_eq!(certificate.id, named.id);
    certificate.validity_days();
}

/// A name as each sensor prints it.
pub fn distinguished_name(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for name in [DistinguishedName::from_rfc2253(&text), DistinguishedName::from_suricata(&text)] {
        assert_eq!(name.text(), text);
        let again = DistinguishedName::from_attributes(Some(name.text()), name.attributes().to_vec());
        assert_eq!(again.attributes(), name.attributes());
        assert_eq!(again.key(), name.key());
        let _ = (name.forward(), name.normalised());
    }
}

/// A signature file.
pub fn signatures_toml(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(signatures) = Signatures::parse("fuzz.toml", &text) {
        let _ = signatures.failed_examples();
        for signature in signatures.iter() {
            assert!(signatures.get(signature.id()).is_some());
        }
    }
}

/// A list of domains and days.
pub fn registrations(data: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("list.csv");
    std::fs::write(&path, data).expect("a file");
    let (registrations, reports) = Registrations::load(&[path.into()]);
    let report = &reports[0];
    assert!(registrations.len() <= report.rows);
    assert!(report.rows == 0 || report.shape.is_some());
}

/// A threat feed of any format, and a list of exceptions.
pub fn feeds(data: &[u8]) {
    let _ = Feeds::recognise(data);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("feed");
    std::fs::write(&path, data).expect("a file");
    let (feeds, reports) = Feeds::load(std::slice::from_ref(&path), EventTime(0));
    let report = &reports[0];
    // A row of lines is one line; a document has none.
    let is_packed = data.starts_with(&[0x1f, 0x8b]) || data.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]);
    let is_document = String::from_utf8_lossy(data).trim_start_matches('\u{feff}').trim_start().starts_with(['{', '[']);
    if !is_packed && !is_document && report.format.is_some_and(|format| !format.starts_with("STIX")) {
        let lines = data.split(|&byte| byte == b'\n').count() as u64;
        assert!(report.context + report.unsupported + report.bad <= lines, "{report:?}");
        // A row of a table may list as many indicators as it has cells.
        let cells = lines + data.iter().filter(|byte| b",;\t".contains(byte)).count() as u64;
        assert!(report.used_total() <= cells, "{report:?}");
    }
    let name = "www.evil.example";
    let session =
        SessionNames { name: Some(name), may_be_listed: true, server: Address::parse("192.0.2.1"), certificate: None };
    assert!(feeds.of_session(&session).len() <= 32);
    let certificate = certificate_from_der(data, Some("CN=www.evil.example"), Some("CN=Evil"));
    assert!(certificate.is_none_or(|certificate| feeds.of_certificate(&certificate).len() <= 32));
    let (allow, _) = AllowList::load(&path, EventTime(0));
    let _ = allow.of_name(name, None);
}

fn format_of(example: &str, name: &str) -> Format {
    match detect(example.as_bytes(), name) {
        Detected::Format(format) => format,
        other => panic!("{example}: {other:?}"),
    }
}

/// The whole way of an input: each line leaves once, as JSON or as a dead letter.
fn through(data: &[u8], name: &str, format: Format, headers: bool) {
    let config = Config::default();
    let source = Arc::new(SourceInfo { stream: StreamKey([0; 32]), path: "-".into(), sensor: None, time_zone: None });
    let context = DecodeContext::default();
    let history = History::new(config.history, false);
    let mut correlator = Correlator::new(
        config.join.clone(),
        CertificateStore::new(Backing::Spill(CertificateSpill::default())),
        history,
        false,
    );
    let mut raw: Vec<RawBatch> = Vec::new();
    Splitter::new(name, Some(format.clone())).split(
        Lines { bytes: data.to_vec(), offset: 0, oversize: None },
        &mut |part| {
            raw.push(part);
        },
    );
    let (mut keys, mut judged, mut records) = (KeyTracker::default(), Vec::new(), 0);
    for part in raw {
        let batch = Arc::new(decode(&context, &source, part));
        for (index, record) in batch.records.iter().enumerate() {
            records += 1;
            correlator.process(&batch, index as u32, keys.next(record.time), &mut |record| judged.push(record));
        }
    }
    correlator.finish(&mut |record| judged.push(record));
    let encoded = encode(&judged, &KNOWLEDGE, &config.encode_settings(), Vec::new());
    let written = lines_of_json(&encoded.lines);
    let dead = lines_of_json(&encoded.dead_letters);
    assert_eq!(written + dead + encoded.counts.not_written, records);
    assert!(!contains(&encoded.lines, b"record:failed") && !contains(&encoded.dead_letters, b"certsift failed"));
    // A bare header has no mark that would tell it from a row.
    let bare = matches!(&format, Format::ZeekTsv(header) if header.is_bare());
    if !bare {
        assert_eq!(records, lines_that_count(data, headers));
    }
}

fn lines_of_json(lines: &[u8]) -> u64 {
    let mut count = 0;
    for line in lines.split_inclusive(|&byte| byte == b'\n') {
        assert!(serde_json::from_slice::<IgnoredAny>(line).is_ok(), "{}", String::from_utf8_lossy(line));
        count += 1;
    }
    count
}

fn lines_that_count(data: &[u8], headers: bool) -> u64 {
    let blank = |line: &[u8]| std::str::from_utf8(line).is_ok_and(|line| line.trim().is_empty());
    let data = match data.strip_prefix(b"\xef\xbb\xbf".as_slice()) {
        Some(rest) if headers && rest.starts_with(b"#") => rest,
        _ => data,
    };
    let lines = data.split(|&byte| byte == b'\n');
    lines.filter(|line| !(blank(line) || headers && line.starts_with(b"#"))).count() as u64
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
