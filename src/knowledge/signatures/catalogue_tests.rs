//! The built-in catalogue as a whole: through the decoders that it is fed by, and over real logs.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::sync::{Arc, LazyLock};

use serde_json::{Value, json};

use super::*;
use crate::decode::{DecodeContext, Format, RawBatch, decode};
use crate::knowledge::{PublicCas, test_corpus};
use crate::model::{Body, DistinguishedName, Log, SourceInfo, StreamKey};

static SIGNATURES: LazyLock<Signatures> = LazyLock::new(|| Signatures::builtin().unwrap());

/// What a signature needs that Suricata's default `tls` event does not have: SHA-256, key and signature algorithm.
const NOT_PROVABLE_WITH_SURICATA: [&str; 7] = [
    "asyncrat-generator-profile",
    "asyncrat-published-sample",
    "dcrat-generator-profile",
    "dcrat-published-sample",
    "icedid-ten-letters",
    "pikabot-locality-late",
    "sliver-invented-company",
];

/// Malicious, dual-use and greyware hits on the certificates of the Suricata corpus: signature and subject.
///
/// The one that there is belongs to a capture of an Emotet infection of April 2022; its server shows the tutorial's name.
const SURICATA_CORPUS_HITS: [(&str, &str); 1] =
    [("trickbot-global-security", "C=GB, ST=London, L=London, O=Global Security, OU=IT Department, CN=example.com")];

/// A certificate as one line of a log tells it.
fn decoded(format: Format, line: &Value) -> Arc<Certificate> {
    let source = Arc::new(SourceInfo { stream: StreamKey([0; 32]), path: "x".into(), sensor: None, time_zone: None });
    let bytes = format!("{line}\n").into_bytes();
    let batch = decode(&DecodeContext::default(), &source, RawBatch { bytes, offset: 0, format, oversize: None });
    match &batch.records[0].body {
        Body::Certificate(record) => Arc::clone(&record.certificate),
        Body::Session(session) => Arc::clone(session.leaf.as_ref().unwrap()),
        other => panic!("{line} became {other:?}"),
    }
}

/// As Zeek logs it: names in RFC 2253, one fingerprint.
fn through_zeek(certificate: &Certificate) -> Arc<Certificate> {
    let mut row = json!({"ts": 1_700_000_000.0, "certificate.version": 3});
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            row[key] = value;
        }
    };
    let name = |name: &Option<DistinguishedName>| name.as_ref().map(|name| name.text().into());
    let sha256 = certificate.sha256.map(|digest| digest.to_string());
    set("fingerprint", sha256.or(certificate.sha1.map(|digest| digest.to_string())).map(Value::from));
    set("certificate.serial", certificate.serial.as_ref().map(|serial| serial.to_string().into()));
    set("certificate.subject", name(&certificate.subject));
    set("certificate.issuer", name(&certificate.issuer));
    set("certificate.not_valid_before", certificate.not_before.map(|time| time.to_string().into()));
    set("certificate.not_valid_after", certificate.not_after.map(|time| time.to_string().into()));
    set("certificate.sig_alg", certificate.signature_algorithm.as_ref().map(|name| name.to_string().into()));
    set("certificate.key_type", certificate.key.as_ref().map(|_| "rsa".into()));
    set("certificate.key_length", certificate.key.as_ref().and_then(|key| key.bits).map(Value::from));
    decoded(Format::ZeekJson(Log::ZeekX509), &row)
}

/// As Suricata logs it by default: names forward and without escapes, SHA-1, no key and no algorithms.
fn through_suricata(certificate: &Certificate) -> Arc<Certificate> {
    let mut tls = json!({"version": "TLS 1.2"});
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            tls[key] = value;
        }
    };
    let name = |name: &Option<DistinguishedName>| name.as_ref().map(|name| name.forward().into());
    let octets = |hex: &str| hex.as_bytes().chunks(2).map(String::from_utf8_lossy).collect::<Vec<_>>().join(":");
    // DER puts a zero octet before a number whose first bit is set.
    let serial = certificate.serial.as_ref().map(|serial| {
        let hex = serial.to_string();
        octets(&if hex.as_bytes()[0] >= b'8' { format!("00{hex}") } else { hex })
    });
    set("subject", name(&certificate.subject));
    set("issuerdn", name(&certificate.issuer));
    set("serial", serial.map(Value::from));
    // Every event of a certificate has this hash, and an example may have nothing else that the decoder looks for.
    let sha1 = certificate.sha1.map_or_else(|| "0".repeat(40), |digest| digest.to_string());
    set("fingerprint", Some(octets(&sha1).into()));
    set("notbefore", certificate.not_before.map(|time| time.to_string().trim_end_matches('Z').into()));
    set("notafter", certificate.not_after.map(|time| time.to_string().trim_end_matches('Z').into()));
    let event = json!({
        "timestamp": "2026-11-20T10:00:00.000000+0000", "event_type": "tls", "src_ip": "10.0.0.1", "src_port": 50000,
        "dest_ip": "192.0.2.1", "dest_port": 443, "proto": "TCP", "tls": tls,
    });
    decoded(Format::Eve, &event)
}

fn ids(certificate: &Certificate, issuer_is_public_ca: Option<bool>) -> Vec<&'static str> {
    SIGNATURES.evaluate(certificate, issuer_is_public_ca).iter().map(|hit| hit.signature.id()).collect()
}

/// A row of Zeek's with these fields.
fn zeek_row(row: &Value) -> Arc<Certificate> {
    decoded(Format::ZeekJson(Log::ZeekX509), row)
}

#[test]
fn every_example_comes_out_the_same_through_both_decoders() {
    let (mut by_zeek, mut by_suricata, mut neither) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for signature in SIGNATURES.iter() {
        for (index, example) in signature.examples.iter().enumerate() {
            let public = example.issuer_is_public_ca();
            let hits = |certificate: &Certificate| ids(certificate, public).contains(&signature.id());
            let zeek = hits(&through_zeek(example.certificate()));
            let suricata = hits(&through_suricata(example.certificate()));
            if !example.fires() {
                assert!(!zeek && !suricata, "{}: example {} fires in a log", signature.id(), index + 1);
                continue;
            }
            if zeek {
                by_zeek.insert(signature.id());
            }
            if suricata {
                by_suricata.insert(signature.id());
            }
            if !zeek || !suricata && !NOT_PROVABLE_WITH_SURICATA.contains(&signature.id()) {
                // A hash of one kind shows only where the sensor logs that kind.
                let only_sha256 = zeek && example.certificate().sha256.is_some();
                if !only_sha256 {
                    neither.push((signature.id(), index + 1, zeek, suricata));
                }
            }
        }
    }
    assert_eq!(neither, []);
    let all: BTreeSet<_> = SIGNATURES.iter().map(Signature::id).collect();
    assert_eq!(by_zeek, all);
    let missing: Vec<_> = all.difference(&by_suricata).copied().collect();
    assert_eq!(missing, NOT_PROVABLE_WITH_SURICATA);
    assert_eq!((by_zeek.len(), by_suricata.len()), (all.len(), all.len() - NOT_PROVABLE_WITH_SURICATA.len()));
}

#[test]
fn every_builtin_file_would_be_taken_from_a_user_too() {
    // Their expressions are compiled when they are first needed; a user's are at once, and so here.
    for (file, text) in builtin::FILES {
        if let Err(error) = Signatures::parse(file, text) {
            panic!("{error}");
        }
    }
}

#[test]
fn every_signature_says_why_and_where_from() {
    for signature in SIGNATURES.iter() {
        let id = signature.id();
        assert!(signature.sources().next().is_some(), "{id}");
        assert!(signature.sources().all(|source| !source.contains("unnamed") && source.len() > 12), "{id}");
        assert!(!signature.note().is_empty() && !signature.expected_fp().is_empty(), "{id}");
        let [fires, silent] =
            [true, false].map(|fires| signature.examples.iter().any(|example| example.fires() == fires));
        assert!(fires && silent, "{id} needs an example of both kinds");
    }
}

#[test]
fn the_default_serial_of_cobalt_strike_is_one_hit_in_every_spelling() {
    let suricata = json!({
        "timestamp": "2026-11-20T10:00:00.000000+0000", "event_type": "tls", "src_ip": "10.0.0.1", "src_port": 50000,
        "dest_ip": "192.0.2.1", "dest_port": 443, "proto": "TCP",
        "tls": {"subject": "CN=x", "issuerdn": "CN=x", "serial": "08:BB:00:EE", "version": "TLS 1.2"},
    });
    let zeek = |serial: &str| zeek_row(&json!({"certificate.serial": serial, "certificate.subject": "CN=x"}));
    for certificate in
        [zeek("8BB00EE"), zeek("08BB00EE"), zeek("08bb00ee"), zeek("-08BB00EE"), decoded(Format::Eve, &suricata)]
    {
        assert_eq!(ids(&certificate, Some(false)), ["cobalt-strike-default-serial"]);
    }
    for other in ["8BB00EF", "8BB00EE0", "BB00EE"] {
        assert_eq!(ids(&zeek(other), Some(false)), [""; 0]);
    }
}

#[test]
fn a_builder_is_known_by_its_profile_when_the_name_is_changed() {
    let row = |subject: &str, issuer: &str, not_after: &str, algorithm: &str| {
        zeek_row(&json!({
            "certificate.serial": "0A6B1F", "certificate.subject": subject, "certificate.issuer": issuer,
            "certificate.not_valid_before": "2021-03-04T10:00:00.000000Z", "certificate.not_valid_after": not_after,
            "certificate.sig_alg": algorithm, "certificate.key_type": "rsa", "certificate.key_length": 4096,
        }))
    };
    let last_day = "9999-12-31T23:59:59.000000Z";
    let sha512 = "sha512WithRSAEncryption";
    // AsyncRAT and Quasar: a name of one attribute, signed by itself, until the end of time.
    for name in ["CN=Contoso", "CN=Update Service", "CN=mail.example.org"] {
        assert_eq!(ids(&row(name, name, last_day, sha512), Some(false)), ["asyncrat-generator-profile"]);
    }
    // DcRat: 3,935 days, whatever its two names are.
    let dcrat = row("CN=Contoso", "CN=Contoso Root,O=Contoso", "2031-12-12T10:00:00.000000Z", sha512);
    assert_eq!(ids(&dcrat, Some(false)), ["dcrat-generator-profile"]);
    // Near misses: another algorithm, a second attribute, another day, a public issuer, and an issuer of which that is
    // not known.
    for (certificate, public) in [
        (row("CN=Contoso", "CN=Contoso", last_day, "sha256WithRSAEncryption"), Some(false)),
        (row("CN=Contoso,O=Contoso", "CN=Contoso,O=Contoso", last_day, sha512), Some(false)),
        (row("CN=Contoso", "CN=Contoso", "9998-12-31T23:59:59.000000Z", sha512), Some(false)),
        (row("CN=Contoso", "CN=Contoso Root", "2031-12-13T10:00:00.000000Z", sha512), Some(false)),
        (Arc::clone(&dcrat), Some(true)),
        (dcrat, None),
    ] {
        assert_eq!(ids(&certificate, public), [""; 0], "{certificate:?}");
    }
}

#[test]
fn a_radio_of_ubiquiti_is_no_trojan() {
    let name = "CN=UBNT,OU=Technical Support,O=Ubiquiti Networks Inc.,L=San Jose,ST=CA,C=US";
    let row = json!({"certificate.subject": name, "certificate.issuer": name, "certificate.serial": "A6FCA55F"});
    let certificate = zeek_row(&row);
    let hits = SIGNATURES.evaluate(&certificate, Some(false));
    assert_eq!(hits.iter().map(|hit| hit.signature.id()).collect::<Vec<_>>(), ["ubiquiti-default"]);
    assert_eq!((hits[0].signature.verdict(), hits[0].signature.severity()), (Verdict::Benign, Severity::Info));
}

#[test]
fn of_two_orders_of_one_name_one_is_icedid() {
    let zeek = |name: &str| zeek_row(&json!({"certificate.subject": name, "certificate.issuer": name}));
    let suricata = |name: &str| {
        let event = json!({
            "timestamp": "2026-11-20T10:00:00.000000+0000", "event_type": "tls", "src_ip": "10.0.0.1",
            "src_port": 50000, "dest_ip": "192.0.2.1", "dest_port": 443, "proto": "TCP",
            "tls": {"subject": name, "issuerdn": name, "version": "TLS 1.2"},
        });
        decoded(Format::Eve, &event)
    };
    for certificate in [
        zeek("O=Internet Widgits Pty Ltd,ST=Some-State,C=AU,CN=localhost"),
        suricata("CN=localhost, C=AU, ST=Some-State, O=Internet Widgits Pty Ltd"),
    ] {
        assert_eq!(ids(&certificate, Some(false)), ["icedid-name-order", "openssl-default-name"]);
    }
    for certificate in [
        zeek("CN=localhost,O=Internet Widgits Pty Ltd,ST=Some-State,C=AU"),
        suricata("C=AU, ST=Some-State, O=Internet Widgits Pty Ltd, CN=localhost"),
    ] {
        assert_eq!(ids(&certificate, Some(false)), ["openssl-default-name"]);
    }
}

#[test]
fn over_the_suricata_corpus_the_grave_hits_are_those_that_somebody_has_looked_at() {
    const FILES: [&str; 6] = [
        "eve-all-fields.json.gz",
        "eve-default.json.gz",
        "eve-extended.json.gz",
        "eve-mixed.json.gz",
        "threaded.eve.1.json.gz",
        "threaded.eve.2.json.gz",
    ];
    let cas = PublicCas::builtin();
    let (mut certificates, mut grave, mut benign) = (0, BTreeSet::new(), BTreeMap::new());
    for file in FILES {
        let Some(path) = test_corpus::path(&format!("suricata-8.0/{file}")) else { return };
        let mut text = String::new();
        flate2::read::MultiGzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
        for line in text.lines() {
            let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
            if event["event_type"] != "tls" || event["tls"]["issuerdn"].is_null() {
                continue;
            }
            let certificate = decoded(Format::Eve, &event);
            let public =
                certificate.issuer.as_ref().map(|issuer| !certificate.is_self_issued() && cas.find(issuer).is_some());
            certificates += 1;
            let subject = certificate.subject.as_ref().map_or("", |subject| subject.text()).to_owned();
            for hit in SIGNATURES.evaluate(&certificate, public) {
                match hit.signature.verdict() {
                    Verdict::Benign => *benign.entry(hit.signature.id()).or_insert(0) += 1,
                    _ => drop(grave.insert((hit.signature.id(), subject.clone()))),
                }
            }
        }
    }
    assert_eq!(certificates, 4 * 536 + 6);
    let grave: Vec<_> = grave.iter().map(|(id, subject)| (*id, subject.as_str())).collect();
    assert_eq!(grave, SURICATA_CORPUS_HITS, "{benign:#?}");
}

#[test]
fn the_summary_counts_what_is_compiled_in_and_the_readme_says_it() {
    let summary = SIGNATURES.summary();
    assert_eq!(summary.signatures, SIGNATURES.len());
    assert_eq!(summary.by_verdict.iter().map(|(_, count)| count).sum::<usize>(), summary.signatures);
    let of = |verdict| summary.by_verdict.iter().find(|(known, _)| *known == verdict).map_or(0, |(_, count)| *count);
    let [malicious, dual_use, greyware, benign] =
        [Verdict::Malicious, Verdict::DualUse, Verdict::Greyware, Verdict::Benign].map(of);
    let sentence = format!(
        "{} are compiled in ({malicious} malicious, {dual_use} dual-use, {greyware} greyware, {benign} benign)",
        summary.signatures
    );
    let readme = include_str!("../../../README.md").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(readme.contains(&sentence), "the README does not say: {sentence}");
    assert!(summary.tools > 200 && summary.attack_ids > 30, "{summary:?}");
    let always: Vec<_> =
        SIGNATURES.unanchored.iter().map(|&index| SIGNATURES.signatures[index as usize].id()).collect();
    assert!(summary.tried_always <= 30, "{always:?}");
}

#[test]
fn tools_without_a_certificate_of_their_own_are_said_to_be_so() {
    let tools = Signatures::without_default().unwrap();
    assert_eq!(tools.len(), 8);
    assert_eq!((tools[0].tool(), tools[0].attack_id()), ("Brute Ratel C4", Some("S1063")));
    for tool in &tools {
        assert!(!tool.why().is_empty() && tool.sources().next().is_some(), "{}", tool.tool());
    }
}
