//! Certificates whose holders mean harm: the record leaves, and what stands in the certificate stays text.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails where it cannot go on")]

mod common;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::*;
use rcgen::{CertificateParams, DnType, KeyPair};

fn der(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
    let mut params = CertificateParams::new(vec!["host.example".to_owned()]).unwrap();
    change(&mut params);
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
}

fn event_of(der: &[u8]) -> String {
    eve(&format!(r#"{{"subject":"CN=logged","issuerdn":"CN=logged","certificate":"{}"}}"#, STANDARD.encode(der)))
}

#[test]
fn der_that_is_cut_random_or_empty_costs_the_certificate_and_not_the_record() {
    let good = der(|_| {});
    let mut events: Vec<String> = (0..good.len()).step_by(7).map(|cut| event_of(&good[..cut])).collect();
    events.extend((0..=255).map(|byte| event_of(&[byte; 64])));
    // Lengths that promise more than there is, up to what a machine can address.
    events.extend((1..=8).map(|length| event_of(&[&[0x30, 0x80 | length][..], &[0xff; 8]].concat())));
    let outcome = World::replay_file("eve.json", events.join("\n"));
    outcome.assert_counts(0, events.len(), 0);
    for (line, event) in events.iter().enumerate() {
        outcome.assert_spliced(line, event);
        assert_eq!(outcome.faults(line), ["der:unreadable"], "{event:.600}");
        assert_eq!(outcome.object(line)["certificate"]["subject"]["dn"], "CN=logged");
    }
}

#[test]
fn every_damaged_byte_of_a_certificate_leaves_the_record_whole() {
    let good = der(|_| {});
    let events: Vec<String> = (0..good.len())
        .map(|at| {
            let mut bad = good.clone();
            bad[at] ^= 0x55;
            event_of(&bad)
        })
        .collect();
    let outcome = World::replay_file("eve.json", events.join("\n"));
    outcome.assert_counts(0, events.len(), 0);
    events.iter().enumerate().for_each(|(line, event)| outcome.assert_spliced(line, event));
}

#[test]
fn nested_der_does_not_exhaust_the_stack() {
    let mut nested = vec![0x05, 0x00];
    for _ in 0..20_000 {
        let length = u32::try_from(nested.len()).unwrap().to_be_bytes();
        nested = [&[0x30, 0x84], &length[..], &nested].concat();
    }
    let event = event_of(&nested);
    let outcome = World::replay_file("eve.json", &event);
    outcome.assert_counts(0, 1, 0).assert_spliced(0, &event);
}

#[test]
fn base64_garbage_is_tagged() {
    for garbage in ["", "=", "!!!!", "MII", "MIIDpDCCAoygAwIBAgIQ====", "\\u0000", "🙂", "MIID\\nMIID"] {
        let event = eve(&format!(r#"{{"certificate":"{garbage}"}}"#));
        let zeek =
            format!(r#"{{"_path":"x509","ts":1773022447.1,"fingerprint":"{}","cert":"{garbage}"}}"#, "ab".repeat(32));
        for (name, line) in [("eve.json", event), ("x509.log", zeek)] {
            let outcome = World::replay_file(name, &line);
            outcome.assert_counts(0, 1, 0).assert_spliced(0, &line);
            assert!(outcome.faults(0).contains(&"der:unreadable".to_owned()), "{}", outcome.lines[0]);
        }
    }
}

#[test]
fn a_huge_certificate_is_read_whole_and_kept_in_part() {
    let huge = der(|params| {
        params.subject_alt_names = (0..20_000)
            .map(|number| rcgen::SanType::DnsName(format!("n{number}.example").try_into().unwrap()))
            .collect();
        params.distinguished_name.push(DnType::CommonName, "x".repeat(500_000));
    });
    let event = event_of(&huge);
    let outcome = World::replay_file_with("eve.json", &event, &["--detail", "full"]);
    outcome.assert_counts(0, 1, 0).assert_spliced(0, &event);
    let certificate = &outcome.object(0)["certificate"];
    assert_eq!(certificate["san"]["count"], 20_000);
    assert!(outcome.lines[0].len() < event.len() + 64 * 1024, "{}", outcome.lines[0].len() - event.len());
}

#[test]
fn names_of_attackers_stay_text_in_every_form() {
    let values = [
        "<script>alert(1)</script>",
        "a\nb",
        "a\r\nb",
        "a\u{0}b",
        "a\tb",
        "a,b",
        "a\\,CN=b",
        "\u{202e}gnp",
        "\"},{\"x\":\"",
        "\u{7f}\u{9b}",
    ];
    for value in values {
        let from_der = event_of(&der(|params| params.distinguished_name.push(DnType::CommonName, value)));
        let quoted = serde_json::to_string(&format!("CN={value}")).unwrap();
        let from_text = eve(&format!(r#"{{"subject":{quoted},"issuerdn":{quoted},"sni":{quoted}}}"#));
        let outcome = World::replay_file_with("eve.json", format!("{from_der}\n{from_text}\n"), &["--detail", "full"]);
        outcome.assert_counts(0, 2, 0);
        outcome.assert_spliced(0, &from_der);
        outcome.assert_spliced(1, &from_text);
        let name = &outcome.object(0)["certificate"]["subject"];
        assert!(name["cn"].as_array().unwrap().iter().any(|cn| cn == value), "{value:?}: {name}");
        // Keys never come from a certificate.
        let known = ["dn", "cn", "o", "ou", "c", "st", "l", "dc", "email", "serial_number", "other"];
        for line in 0..2 {
            let object = outcome.object(line);
            let keys = object["certificate"]["subject"].as_object().unwrap().keys();
            assert!(keys.into_iter().all(|key| known.contains(&key.as_str())), "{object}");
        }
    }
}

#[test]
fn escapes_of_zeek_rows_become_what_zeek_json_would_say() {
    let names = ["ts", "fingerprint", "certificate.subject", "certificate.issuer", "san.dns"];
    let head = header("x509", &names, &["time", "string", "string", "string", "vector[string]"]);
    let row = |subject: &str, san: &str| format!("1773022447.1\t{}\t{subject}\tCN=x\t{san}\n", "ab".repeat(32));
    let cases = [
        (r"O=VMware\\, Inc", "-", r"O=VMware\, Inc", None),
        (r"CN=a\x09b\x0ac\x00d", "-", r"CN=a\x09b\x0ac\x00d", None),
        ("CN=<script>", r"a\x2cb,c", "CN=<script>", Some(vec!["a,b", "c"])),
        (r"CN=K\xc3\xb8benhavn", "(empty)", "CN=København", Some(vec![])),
        ("(empty)", r"\x2d", "", Some(vec!["-"])),
        (r"CN=end\", "-", r"CN=end\", None),
    ];
    let content: String = cases.iter().map(|(subject, san, ..)| row(subject, san)).collect();
    let outcome = World::replay_file("x509.log", head + &content);
    outcome.assert_counts(0, cases.len(), 0);
    for (line, (.., subject, san)) in cases.iter().enumerate() {
        let value = outcome.value(line);
        assert_eq!(value["certificate.subject"], *subject);
        assert_eq!(value.get("san.dns"), san.as_ref().map(|san| serde_json::json!(san)).as_ref());
    }
}

/// Two hundred thousand pieces took minutes when each piece moved all before it.
#[test]
fn names_of_many_pieces_take_linear_time() {
    let started = std::time::Instant::now();
    let pieces = "a, ".repeat(200_000);
    let _ = certsift::model::DistinguishedName::from_suricata(&pieces);
    let _ = certsift::model::DistinguishedName::from_rfc2253(&format!("CN=x,{pieces}"));
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
}

#[test]
fn names_of_many_pieces_cost_a_record_next_to_nothing() {
    let pieces = "a, ".repeat(300_000);
    let started = std::time::Instant::now();
    let event = eve(&format!(r#"{{"subject":"{pieces}","issuerdn":"CN=x, {pieces}"}}"#));
    World::replay_file("eve.json", &event).assert_counts(0, 1, 0).assert_spliced(0, &event);
    let zeek = format!(
        r#"{{"_path":"x509","ts":1773022447.1,"certificate.subject":"CN=x,{pieces}","certificate.issuer":"CN=x,{pieces}"}}"#
    );
    World::replay_file("x509.log", &zeek).assert_counts(0, 1, 0).assert_spliced(0, &zeek);
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}
