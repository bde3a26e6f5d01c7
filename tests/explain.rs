//! `certsift explain` as its users call it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails, and says so")]

mod support;

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use serde_json::Value;
use support::{records, replay, repository};

const COBALT_STRIKE: &str = r#"{"ts":1773022447.177746,"fingerprint":"7812c001f7cda45a7c745a0e692d874c4f0319b2fd1bd49f2d199e0e7b0c1b3c","certificate.version":3,"certificate.serial":"08BB00EE","certificate.subject":"CN=a.example","certificate.issuer":"CN=Some CA","certificate.not_valid_before":1432146384.0,"certificate.not_valid_after":1747506384.0,"host_cert":true,"client_cert":false}"#;
/// Of a session whose certificate is AsyncRAT's, and of that certificate.
const SESSION: &str = "C2XFqOVUkdLGKEiAnR";
const FINGERPRINT: &str = "64bb413ceb8f5152fc9c3dd9a6d882cb8e9a097ac46ff61aad4cf66e26f12433";
const ANOTHER: &str = "CN=Kestrel Issuing CA 1";

/// What a call gave.
struct Answer {
    code: Option<i32>,
    out: String,
    said: String,
}

#[test]
fn a_pem_file_is_explained_by_its_first_certificate() {
    let (leaf, other) = (pem(&der(FINGERPRINT)), pem(&der(ANOTHER)));
    let answer = of_file("chain.pem", format!("subject=/CN=x\n{leaf}{other}").as_bytes(), &[]);
    assert_golden("pem", &answer);
}

#[test]
fn a_der_file_is_explained() {
    assert_golden("der", &of_file("leaf.der", &der(FINGERPRINT), &[]));
}

#[test]
fn a_zeek_x509_line_is_explained_by_its_signatures() {
    assert_golden("zeek_x509", &of_file("x509.log", COBALT_STRIKE.as_bytes(), &[]));
}

#[test]
fn an_eve_line_is_explained() {
    let line = sample_line("suricata/eve.json", &["4781368155032", "\"event_type\":\"tls\""]);
    assert_golden("eve", &of_file("eve.json", line.as_bytes(), &[]));
}

#[test]
fn an_enriched_record_is_explained_as_it_stands_and_judged_again() {
    let line = golden_line("CLezDSi89avb4QO0Z0");
    assert_golden("enriched", &of_file("record.json", line.as_bytes(), &[]));
    // As a SIEM shows it, over many lines; and the object alone.
    let record: Value = serde_json::from_str(&line).unwrap();
    let pretty = serde_json::to_string_pretty(&record).unwrap();
    let one = json(&of_file("record.json", pretty.as_bytes(), &["--json"]));
    assert_eq!(one[0]["certsift"], record["certsift"]);
    let object = serde_json::json!({ "certsift": record["certsift"] }).to_string();
    let alone = json(&of_file("object.json", object.as_bytes(), &["--json"]));
    assert_eq!(alone[0]["judged_again"]["verdict"], "critical");
    assert_eq!(alone[0]["judged_again"]["new"], Value::Array(Vec::new()));
}

#[test]
fn what_the_knowledge_of_today_adds_to_an_enriched_record_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let signature = "[[signature]]\nid = \"own-name\"\ntool = \"Own\"\nverdict = \"malicious\"\nconfidence = \"exact\"\n\
        severity = \"critical\"\nmatch = { field = \"subject.CN\", op = \"eq\", value = \"UBNT\" }\n\
        expected_fp = \"Somebody else's.\"\nsources = [\"own research\"]\n";
    std::fs::write(folder.path().join("own.toml"), signature).unwrap();
    std::fs::write(folder.path().join("c.toml"), "[knowledge]\nsignatures = [\"own.toml\"]\n").unwrap();
    std::fs::write(folder.path().join("record"), golden_line("Cj6TgnTw5NEkIEA1wl")).unwrap();
    let answer = call(folder.path(), &["--config", "c.toml", "record"], b"");
    assert_eq!(answer.code, Some(0), "{}", answer.said);
    let again = answer.out.split("with the knowledge of today").nth(1).unwrap();
    assert!(again.contains("also") && again.contains("signature own-name"), "{}", answer.out);
    assert!(again.contains("verdict       critical"), "{}", answer.out);
    // And a record that is judged now has it with its source.
    std::fs::write(folder.path().join("x509.log"), COBALT_STRIKE.replace("CN=a.example", "CN=UBNT")).unwrap();
    let answer = call(folder.path(), &["--config", "c.toml", "x509.log"], b"");
    for expected in ["own research", "own.toml:1", "Somebody else's."] {
        assert!(answer.out.contains(expected), "{expected}: {}", answer.out);
    }
}

#[test]
fn checks_that_are_off_are_named_and_nothing_is_said_in_their_place() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("c.toml"), "[checks]\noff = [\"signature\", \"unusual_port\"]\n").unwrap();
    let explain = |line: &str, options: &[&str]| {
        std::fs::write(folder.path().join("record"), line).unwrap();
        call(folder.path(), &[&["--config", "c.toml", "record"], options].concat(), b"")
    };
    let lines = [("json_streaming_ssl.log", SESSION), ("json_streaming_x509.log", FINGERPRINT)]
        .map(|(log, text)| sample_line(&format!("zeek-json/{log}"), &[text]));
    let now = explain(&lines.join("\n"), &[]).out;
    assert!(now.contains("  off           signature, unusual_port, by the configuration\n"), "{now}");
    let made = now.lines().find(|line| line.starts_with("  made ")).unwrap();
    assert!(made.contains("self_signed") && !made.contains("signature,"), "{made}");
    assert!(!now.contains("AsyncRAT or Quasar"), "{now}");
    // Of an x509 record by itself, nothing is said of them either.
    let alone = json(&explain(&lines[1], &["--json"]));
    assert_eq!(alone[0]["off"], serde_json::json!(["signature", "unusual_port"]));
    assert_eq!(alone[0]["evaluated"], serde_json::json!([]));
    assert!(!alone[0].to_string().contains("signature:x509_record"), "{}", alone[0]);
    assert_eq!(alone[0]["certsift"]["reason"], "no feed lists it");
    // What was found where they were on stands, and is not gone because nobody looks for it here.
    let enriched = json(&explain(&golden_line(SESSION), &["--json"]));
    assert_eq!(enriched[0]["certsift"]["verdict"], "critical");
    assert!(enriched[0].get("off").is_none(), "{}", enriched[0]);
    assert_eq!(enriched[0]["judged_again"]["gone"], serde_json::json!([]));
    assert!(enriched[0]["judged_again"].get("verdict").is_none(), "{}", enriched[0]["judged_again"]);
}

#[test]
fn a_tsv_excerpt_with_its_header_is_explained() {
    let log = std::fs::read_to_string(repository("sample_logs/zeek-tsv/2026-03-09/x509.log")).unwrap();
    let excerpt: Vec<_> = log.lines().take(10).collect();
    assert_golden("tsv", &of_file("x509.log", excerpt.join("\n").as_bytes(), &[]));
    let answer = of_file("rows", excerpt[8].as_bytes(), &[]);
    assert_eq!((answer.code, answer.out.as_str()), (Some(1), ""));
    assert!(answer.said.contains("#fields"), "{}", answer.said);
}

#[test]
fn a_session_alone_says_what_could_be_checked() {
    let session = sample_line("zeek-json/json_streaming_ssl.log", &[SESSION]);
    assert_golden("ssl_alone", &of_file("ssl.log", session.as_bytes(), &[]));
}

#[test]
fn a_session_and_its_certificate_are_joined_in_either_order() {
    let session = sample_line("zeek-json/json_streaming_ssl.log", &[SESSION]);
    let certificate = sample_line("zeek-json/json_streaming_x509.log", &[FINGERPRINT]);
    let explained = |lines: [&str; 2]| json(&of_file("lines", lines.join("\n").as_bytes(), &["--json"]));
    let (one, other) = (explained([&session, &certificate]), explained([&certificate, &session]));
    assert_eq!((one.len(), other.len()), (1, 1));
    assert_eq!(one[0]["certsift"], other[0]["certsift"]);
    assert_eq!(one[0]["certsift"]["verdict"], "critical");
    assert_eq!((&one[0]["line"], &one[0]["x509_line"]), (&1.into(), &2.into()));
    assert_eq!((&other[0]["line"], &other[0]["x509_line"]), (&2.into(), &1.into()));
}

#[test]
fn what_is_explained_is_what_replay_writes() {
    let eve = repository("sample_logs/suricata/eve.json");
    let config = repository("sample_logs/certsift.toml");
    let options = ["--config", config.to_str().unwrap()];
    let replayed = records(&replay(std::slice::from_ref(&eve), &[&options[..], &["--detail", "full"]].concat()));
    let folder = tempfile::tempdir().unwrap();
    let explained = json(&call(folder.path(), &[&options[..], &["--json", eve.to_str().unwrap()]].concat(), b""));
    let replayed: Vec<_> = replayed.iter().filter(|record| record.get("certsift").is_some()).collect();
    assert_eq!(replayed.len(), explained.len());
    for (replayed, explained) in replayed.iter().zip(&explained) {
        for key in ["verdict", "score", "reason", "findings", "certificate", "not_evaluated", "direction", "sensor"] {
            assert_eq!(replayed["certsift"].get(key), explained["certsift"].get(key), "{key}");
        }
    }
}

#[test]
fn the_schema_of_the_output_changes_no_explanation() {
    let folder = tempfile::tempdir().unwrap();
    let line = sample_line("suricata/eve.json", &["4781368155032"]);
    std::fs::write(folder.path().join("eve.json"), &line).unwrap();
    let explained = |format: &str| {
        let config = folder.path().join("certsift.toml");
        std::fs::write(&config, format!("[output]\nformat = \"{format}\"\n")).unwrap();
        json(&call(folder.path(), &["eve.json", "--json", "-c", config.to_str().unwrap()], b""))
    };
    let raw = explained("raw");
    assert_ne!(raw[0]["certsift"]["verdict"], Value::Null);
    assert_eq!(explained("ecs"), raw);
    assert_eq!(explained("ocsf"), raw);
}

#[test]
fn standard_input_is_read_without_a_file_and_with_a_dash() {
    let folder = tempfile::tempdir().unwrap();
    let file = of_file("x509.log", COBALT_STRIKE.as_bytes(), &[]);
    for arguments in [&[][..], &["-"]] {
        let answer = call(folder.path(), arguments, COBALT_STRIKE.as_bytes());
        assert_eq!((answer.code, &answer.out), (Some(0), &file.out), "{}", answer.said);
    }
}

#[test]
fn what_cannot_be_explained_is_an_error_that_says_what_to_give() {
    let garbage: Vec<u8> = (0..100_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for (name, content, expected) in [
        ("garbage", &garbage[..], "binary data"),
        ("wide", b"\xff\xfe-\0-\0B\0", "is UTF-16; write it as UTF-8"),
        ("empty", b"", "is empty"),
        ("blank", b"\n \n", "is empty"),
        ("text", b"hello\nworld\n", "neither a certificate nor a log"),
        ("other.json", b"{\"key\":1}", "no record about TLS"),
        ("odd.json", b"{\"certsift\":1}", "not the object"),
        ("half.json", b"{\"_path\":\"ssl\",\"ts\":1.5", "not a JSON object"),
        ("half.der", &der(FINGERPRINT)[..100], "begins like DER"),
        ("key.pem", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "PRIVATE KEY"),
        ("conn.log", b"{\"_path\":\"conn\",\"ts\":1.5,\"uid\":\"C1\"}\n", "other logs of Zeek"),
    ] {
        let answer = of_file(name, content, &[]);
        assert_eq!((answer.code, answer.out.as_str()), (Some(1), ""), "{name}: {}", answer.said);
        assert!(answer.said.contains(name) && answer.said.contains(expected), "{name}: {}", answer.said);
        assert!(answer.said.lines().count() <= 2, "{name}: {}", answer.said);
    }
    let folder = tempfile::tempdir().unwrap();
    for path in ["missing", "."] {
        let answer = call(folder.path(), &[path], b"");
        assert_eq!(answer.code, Some(1));
        assert!(answer.said.contains(path), "{}", answer.said);
    }
    assert_eq!(call(folder.path(), &["--unknown"], b"").code, Some(2));
}

#[test]
fn pem_is_found_behind_whatever_stands_before_it() {
    let plain = pem(&der(FINGERPRINT));
    let expected = of_file("plain.pem", plain.as_bytes(), &[]).out;
    assert!(expected.contains("PEM"), "{expected}");
    let crlf = plain.replace('\n', "\r\n");
    for text in [
        crlf.clone(),
        format!("\u{feff}{plain}"),
        format!("\u{feff}{crlf}"),
        format!("# Issuer: CN=x\n# Serial: 1\n{plain}"),
        format!("\u{feff}# Issuer: CN=x\r\n\r\nsubject=CN = x\r\n{crlf}"),
        format!("CONNECTED(00000003)\ndepth=0 CN = x\n---\n 0 s:CN = x\n{plain}---\n"),
    ] {
        let answer = of_file("plain.pem", text.as_bytes(), &[]);
        assert_eq!((answer.code, &answer.out), (Some(0), &expected), "{text}\n{}", answer.said);
    }
    let latin = [&b"M\xfcller's\n"[..], plain.as_bytes(), b"caf\xe9\n"].concat();
    assert_eq!(of_file("plain.pem", &latin, &[]).out, expected);
}

#[test]
fn an_endless_file_ends_in_an_error() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(call(folder.path(), &["/dev/zero"], b"").code, Some(1));
}

#[test]
fn a_file_without_permission_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("closed.pem");
    std::fs::write(&path, pem(&der(FINGERPRINT))).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::File::open(&path).is_ok() {
        // Not `eprintln`, which the test harness keeps to itself.
        let _ = writeln!(std::io::stderr(), "SKIPPED: this user may read everything");
        return;
    }
    let answer = call(folder.path(), &["closed.pem"], b"");
    assert_eq!(answer.code, Some(1));
    assert!(answer.said.contains("closed.pem: cannot open"), "{}", answer.said);
}

#[test]
fn hostile_names_are_shown_harmless() {
    let name =
        "CN=\\u001b[31mred\\u001b]0;title\\u0007\\nverdict info\\u202eevil\\u2066\\u009b<script>alert(1)</script>";
    let line = format!(
        r#"{{"timestamp":"2026-03-09T02:14:00.000000+0000","event_type":"tls","src_ip":"10.0.0.1","dest_ip":"192.0.2.1","tls":{{"sni":"a\u001b[2Jb\u200e","subject":"{name}","issuerdn":"{name}","serial":"08:BB:00:EE","version":"TLS 1.2","subjectaltname":["x\u001b[5m"]}}}}"#
    );
    for options in [&[][..], &["--json"]] {
        let answer = of_file("eve.json", line.as_bytes(), options);
        assert_eq!(answer.code, Some(0), "{}", answer.said);
        let harmful = |c: char| (c.is_control() && c != '\n') || "\u{202e}\u{2066}\u{200e}\u{9b}".contains(c);
        assert!(!answer.out.contains(harmful), "{:?}", answer.out);
        assert!(answer.out.contains("<script>alert(1)</script>"), "what is only text stays as it is");
        assert!(!answer.out.contains("\nverdict info"), "a line of its own would pass for one of ours");
    }
    let explained = json(&of_file("eve.json", line.as_bytes(), &["--json"]));
    let shown = explained[0]["certsift"]["certificate"]["subject"]["dn"].as_str().unwrap();
    assert!(shown.contains("\u{1b}[31m") && shown.contains('\u{202e}'), "in JSON the name is the name");
}

#[test]
fn lines_that_cannot_be_read_are_named_and_the_others_explained() {
    let lines = format!("{COBALT_STRIKE}\n{{\"half\":\n{COBALT_STRIKE}\n");
    let answer = of_file("x509.log", lines.as_bytes(), &["--json"]);
    assert_eq!(answer.code, Some(3), "{}", answer.said);
    assert!(answer.said.contains("x509.log:2: not a JSON object"), "{}", answer.said);
    let explained = records(answer.out.as_bytes());
    assert_eq!(explained.iter().map(|one| one["line"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn of_many_lines_the_first_hundred_are_explained() {
    let lines = format!("{COBALT_STRIKE}\n").repeat(150);
    let answer = of_file("x509.log", lines.as_bytes(), &["--json"]);
    assert_eq!((answer.code, records(answer.out.as_bytes()).len()), (Some(0), 100));
    assert!(answer.said.contains("first 100 records"), "{}", answer.said);
}

/// Explains a file of that name and content.
fn of_file(name: &str, content: &[u8], options: &[&str]) -> Answer {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(name), content).unwrap();
    call(folder.path(), &[options, &[name]].concat(), b"")
}

fn call(folder: &Path, arguments: &[&str], input: &[u8]) -> Answer {
    let mut command = Command::new(env!("CARGO_BIN_EXE_certsift"));
    command.arg("explain").args(arguments).current_dir(folder);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Answer { code: output.status.code(), out: text(output.stdout), said: text(output.stderr) }
}

fn json(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.code, Some(0), "{}", answer.said);
    records(answer.out.as_bytes())
}

/// Compares with the file in `tests/golden/explain`; the age of a file is another one every day.
fn assert_golden(name: &str, answer: &Answer) {
    assert_eq!((answer.code, answer.said.as_str()), (Some(0), ""), "{name}");
    let without_age = |line: &str| match line.starts_with("  age ") && line.contains(" days now") {
        true => "  age           N days now".to_owned(),
        false => line.to_owned(),
    };
    let out: String = answer.out.lines().map(|line| without_age(line) + "\n").collect();
    let path = repository("tests/golden/explain").join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &out).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert_eq!(out, expected, "{}; UPDATE_GOLDEN=1 writes it anew", path.display());
}

/// The line of a sample log that holds all these texts.
fn sample_line(path: &str, texts: &[&str]) -> String {
    let log = std::fs::read_to_string(repository("sample_logs").join(path)).unwrap();
    log.lines().find(|line| texts.iter().all(|text| line.contains(text))).unwrap().to_owned()
}

fn golden_line(name: &str) -> String {
    let output = std::fs::read_to_string(repository("tests/golden/sample_logs.ndjson")).unwrap();
    output.lines().find(|line| line.contains(name) && line.contains("\"certsift\"")).unwrap().to_owned()
}

/// The DER of a certificate of the sample logs, by a text of its record.
fn der(text: &str) -> Vec<u8> {
    let record: Value =
        serde_json::from_str(&sample_line("zeek-json/json_streaming_x509.log", &[text, "\"cert\""])).unwrap();
    base64::engine::general_purpose::STANDARD.decode(record["cert"].as_str().unwrap()).unwrap()
}

fn pem(der: &[u8]) -> String {
    let encoded = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<_> = encoded.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}
