//! `certsift replay` as its users call it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails, and says so")]

mod support;

use std::path::Path;

use serde_json::Value;
use support::{certsift, records};

const FINGERPRINT: &str = "7812c001f7cda45a7c745a0e692d874c4f0319b2fd1bd49f2d199e0e7b0c1b3c";

fn x509(path: &str, time: u32) -> String {
    format!(
        r#"{{{path}"ts":{time}.5,"fingerprint":"{FINGERPRINT}","certificate.serial":"01","certificate.subject":"CN=a.example","certificate.issuer":"CN=Some CA","certificate.not_valid_before":1700000000.0,"certificate.not_valid_after":1800000000.0,"host_cert":true,"client_cert":false}}"#
    )
}

fn ssl(path: &str, time: u32) -> String {
    format!(
        r#"{{{path}"ts":{time}.0,"uid":"C{time}","id.orig_h":"10.0.0.1","id.resp_h":"192.0.2.1","id.resp_p":443,"version":"TLSv12","server_name":"a.example","resumed":false,"established":true,"cert_chain_fps":["{FINGERPRINT}"],"sni_matches_cert":true}}"#
    )
}

/// Replays in `folder` and gives the exit code, the output and what was said.
fn replay(folder: &Path, arguments: &[&str]) -> (Option<i32>, Vec<Value>, String) {
    let output = certsift(folder, &[&["replay"], arguments].concat());
    (output.status.code(), records(&output.stdout), String::from_utf8(output.stderr).unwrap())
}

fn state(record: &Value) -> &str {
    record["certsift"]["certificate"]["state"].as_str().unwrap()
}

#[test]
fn a_state_remembers_a_certificate_from_an_earlier_replay() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x509.log"), x509("", 1_760_000_000) + "\n").unwrap();
    std::fs::write(folder.path().join("ssl.log"), ssl("", 1_760_050_000) + "\n").unwrap();
    assert_eq!(replay(folder.path(), &["--state", "state", "x509.log"]).1.len(), 1);
    let (_, with, _) = replay(folder.path(), &["--state", "state", "ssl.log"]);
    let (_, without, _) = replay(folder.path(), &["ssl.log"]);
    assert_eq!((state(&with[0]), state(&without[0])), ("presented", "absent"));
}

#[test]
fn logs_in_one_stream_are_told_apart_whatever_comes_first() {
    let folder = tempfile::tempdir().unwrap();
    let conn = r#"{"_path":"conn","ts":1759999999.0,"uid":"C1","id.orig_h":"10.0.0.1"}"#;
    let (x509_path, ssl_path) = (r#""_path":"x509","#, r#""_path":"ssl","#);
    let named = [conn.to_owned(), x509(x509_path, 1_760_000_000), ssl(ssl_path, 1_760_000_001)].join("\n");
    let unnamed = [x509("", 1_760_000_000), ssl("", 1_760_000_001)].join("\n");
    let reverse = [ssl("", 1_760_000_001), x509("", 1_760_000_000)].join("\n");
    for content in [named, unnamed, reverse] {
        std::fs::write(folder.path().join("mixed"), content + "\n").unwrap();
        let (_, output, said) = replay(folder.path(), &["mixed"]);
        let session = output.iter().find(|record| record.get("uid").is_some()).expect(&said);
        assert_eq!((output.len(), state(session)), (2, "presented"), "{said}");
    }
}

#[test]
fn files_with_a_header_without_a_mark_have_ids_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let header = "ts\tuid\tid.orig_h\tid.resp_h\tid.resp_p\tversion\tresumed\testablished\n";
    for (name, uid) in [("ssl.1.log", "C1"), ("ssl.2.log", "C2")] {
        let row = format!("1760000000.0\t{uid}\t10.0.0.1\t192.0.2.1\t443\tTLSv12\tF\tT\n");
        std::fs::write(folder.path().join(name), format!("{header}{row}{header}{row}")).unwrap();
    }
    let (_, output, said) = replay(folder.path(), &["ssl.1.log", "ssl.2.log"]);
    let mut ids: Vec<_> = output.iter().map(|record| record["certsift"]["id"].to_string()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!((output.len(), ids.len()), (4, 4), "{said}");
}

#[test]
fn an_alert_repeats_the_verdict_of_its_flow() {
    let folder = tempfile::tempdir().unwrap();
    let head = r#""flow_id":7,"src_ip":"10.0.0.1","src_port":1,"dest_ip":"192.0.2.1","dest_port":443"#;
    let tls = format!(
        r#"{{"timestamp":"2026-03-09T02:14:00.000000+0000","event_type":"tls",{head},"tls":{{"subject":"CN=a","issuerdn":"CN=b","serial":"08:BB:00:EE","version":"TLS 1.2"}}}}"#
    );
    let alert = format!(
        r#"{{"timestamp":"2026-03-09T02:14:01.000000+0000","event_type":"alert",{head},"tls":{{"version":"TLS 1.2"}}}}"#
    );
    std::fs::write(folder.path().join("eve.json"), format!("{tls}\n{alert}\n")).unwrap();
    let (_, output, _) = replay(folder.path(), &["eve.json"]);
    assert_eq!(output.iter().map(|record| &record["certsift"]["verdict"]).collect::<Vec<_>>(), ["critical"; 2]);
}

#[test]
fn nothing_of_the_user_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let line = ssl("", 1_760_000_000) + "\n";
    std::fs::write(folder.path().join("ssl.log"), &line).unwrap();
    std::fs::write(folder.path().join("keep.txt"), "mine").unwrap();
    std::fs::hard_link(folder.path().join("ssl.log"), folder.path().join("link.log")).unwrap();
    for arguments in [
        &["ssl.log", "--dead-letter", "keep.txt"][..],
        &["ssl.log", "-o", "ssl.log"],
        &["ssl.log", "-o", "link.log"],
        &["ssl.log", "-o", "same", "--dead-letter", "same"],
    ] {
        let (code, _, said) = replay(folder.path(), arguments);
        assert_eq!(code, Some(1), "{arguments:?}: {said}");
    }
    assert_eq!(std::fs::read_to_string(folder.path().join("ssl.log")).unwrap(), line);
    assert_eq!(std::fs::read_to_string(folder.path().join("keep.txt")).unwrap(), "mine");
}

#[test]
fn a_folder_that_is_read_again_does_not_read_its_own_output() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ssl.log"), ssl("", 1_760_000_000) + "\n").unwrap();
    for _ in 0..2 {
        let (code, _, said) = replay(folder.path(), &[".", "-o", "ssl-enriched.ndjson"]);
        assert_eq!(code, Some(0), "{said}");
    }
    assert_eq!(records(&std::fs::read(folder.path().join("ssl-enriched.ndjson")).unwrap()).len(), 1);
}
