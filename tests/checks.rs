//! Which checks run: one that is off finds nothing, and the others find what they always find.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails, and says so")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use certsift::enrich::checks;
use certsift::model::Sha256Digest;
use serde_json::{Value, json};
use support::sidecar::{PATIENCE, World as Sidecar, ssl, x509};
use support::{assert_valid, certsift, records, repository};

/// They speak beside others, and have none beside them when they run alone.
const BESIDE_OTHERS: [&str; 3] = ["free_ca", "unusual_port", "client_fingerprint"];
/// What everything below finds something with.
const FOUND: [&str; 23] = [
    "signature",
    "feed",
    "client_certificate",
    "own_certificate",
    "forged_ca",
    "lookalike",
    "new_domain",
    "fresh_certificate",
    "free_ca",
    "rare_issuer",
    "origin_ca",
    "untrusted_chain",
    "out_of_validity",
    "vendor_mimic",
    "self_signed",
    "name_mismatch",
    "address_name",
    "random_name",
    "validity",
    "missing_san",
    "odd_text",
    "weak_crypto",
    "unusual_port",
];

const DIGICERT: &str = "CN=DigiCert TLS RSA SHA256 2020 CA1,O=DigiCert Inc,C=US";
const CLOUDFLARE_ORIGIN: &str =
    "OU=CloudFlare Origin SSL Certificate Authority,O=CloudFlare\\, Inc.,L=San Francisco,ST=California,C=US";
const DAY: i64 = 86_400;
/// 2026-03-09.
const NOW: i64 = 1_773_014_400;

/// The sample world, and beside it certificates each of which is odd in another way.
struct World {
    folder: tempfile::TempDir,
    config: String,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let odd = [
            ("CN=host.example", "CN=Own CA", "other.example", json!({"certificate.key_length": 1024})),
            ("CN=203.0.113.5", "CN=Own CA", "", json!({})),
            ("CN=qxzjvkwpfh,O=zxqwvjkhptqz", "CN=Own CA", "", json!({})),
            ("CN=long.example", DIGICERT, "long.example", json!({"certificate.not_valid_after": NOW + 900 * DAY})),
            ("CN=bare.example", DIGICERT, "bare.example", json!({"san.dns": []})),
            ("CN=old.example", DIGICERT, "old.example", json!({"certificate.not_valid_before": NOW - 9000 * DAY})),
            ("CN=<script>alert(1)</script>", "CN=Own CA", "", json!({})),
            ("CN=origin.example", CLOUDFLARE_ORIGIN, "origin.example", json!({})),
            ("CN=localhost,O=Internet Widgits Pty Ltd", "CN=localhost,O=Internet Widgits Pty Ltd", "", json!({})),
            ("CN=FortiGate,O=Fortinet", "CN=FortiGate,O=Fortinet", "", json!({"certificate.serial": "0A"})),
            ("CN=AsyncRAT Server", "CN=AsyncRAT Server", "", json!({})),
        ];
        let (mut ssl, mut x509) = (String::new(), String::new());
        let fingerprint = |number: usize| Sha256Digest::of(&[number as u8]).to_string();
        let last = fingerprint(odd.len() - 1);
        for (number, (subject, issuer, name, more)) in odd.into_iter().enumerate() {
            let mut row = json!({
                "ts": NOW, "fingerprint": fingerprint(number), "certificate.serial": "0B", "host_cert": true,
                "certificate.subject": subject, "certificate.issuer": issuer, "san.dns": ["host.example"],
                "certificate.not_valid_before": NOW - 40 * DAY, "certificate.not_valid_after": NOW + 40 * DAY,
                "certificate.key_type": "rsa", "certificate.key_length": 2048, "client_cert": false,
            });
            row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            x509.push_str(&format!("{row}\n"));
            let mut row = json!({
                "ts": NOW, "uid": format!("Codd{number}"), "id.orig_h": "10.0.0.1", "id.orig_p": 40_000,
                "id.resp_h": "203.0.113.66", "id.resp_p": 8443, "version": "TLSv12", "resumed": false,
                "established": true, "cert_chain_fps": [fingerprint(number)], "client_cert_chain_fps": [last],
                "validation_status": "unable to get local issuer certificate",
            });
            if !name.is_empty() {
                row["server_name"] = json!(name);
            }
            ssl.push_str(&format!("{row}\n"));
        }
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("ssl.log", &ssl);
        write("x509.log", &x509);
        write("listed.csv", &format!("#indicator,label\n{},a\nlong.example,b\n{last},c\n", fingerprint(2)));
        write("own.csv", &format!("sha256,ranges\n{},10.0.0.0/8\n", fingerprint(1)));
        let sample = std::fs::read_to_string(repository("sample_logs/certsift.toml")).unwrap();
        for name in ["registrations.csv", "popular.csv"] {
            std::fs::copy(repository("sample_logs").join(name), folder.path().join(name)).unwrap();
        }
        let own = "[knowledge]\nfeeds = [\"listed.csv\"]\nown_certificates = \"own.csv\"";
        let config = sample.replace("[knowledge]", own);
        Self { folder, config }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Replays everything; the summary, and the records.
    fn replay(&self, checks: &str, options: &[&str]) -> (String, Vec<Value>) {
        // Several may run at the same time.
        let config = tempfile::Builder::new().suffix(".toml").tempfile_in(self.folder.path()).unwrap();
        std::fs::write(config.path(), format!("{}\n[checks]\n{checks}\n", self.config)).unwrap();
        let sample = repository("sample_logs");
        let inputs = [sample.to_str().unwrap(), "ssl.log", "x509.log"];
        let arguments = [&["replay", "--config", config.path().to_str().unwrap()], options, &inputs].concat();
        let output = certsift(self.folder.path(), &arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        let records = records(&output.stdout);
        assert_valid(&records);
        (said, records)
    }

    fn records(&self, checks: &str) -> Vec<Value> {
        self.replay(checks, &[]).1
    }
}

/// The findings of each record that are wanted.
fn findings(records: &[Value], wanted: impl Fn(&str) -> bool) -> BTreeMap<String, Vec<Value>> {
    let of = |record: &Value| {
        let all = record["certsift"]["findings"].as_array().cloned().unwrap_or_default();
        all.into_iter().filter(|finding| wanted(finding["id"].as_str().unwrap())).collect::<Vec<_>>()
    };
    let enriched = records.iter().filter(|record| record.get("certsift").is_some());
    enriched.map(|record| (record["certsift"]["id"].as_str().unwrap().to_owned(), of(record))).collect()
}

fn objects(records: &[Value]) -> impl Iterator<Item = &serde_json::Map<String, Value>> {
    records.iter().filter_map(|record| record["certsift"].as_object())
}

/// Checks that the codes of an object name.
fn not_evaluated(object: &serde_json::Map<String, Value>) -> BTreeSet<&str> {
    let codes = object.get("not_evaluated").and_then(Value::as_array).into_iter().flatten();
    codes.map(|code| code.as_str().unwrap().split(':').next().unwrap()).collect()
}

#[test]
fn a_check_alone_finds_what_it_finds_among_all() {
    let world = World::new();
    let all = world.records("");
    let found: BTreeSet<_> = findings(&all, |_| true).into_values().flatten().map(|it| it["id"].to_string()).collect();
    let missing: Vec<_> = FOUND.iter().filter(|id| !found.contains(&format!("\"{id}\""))).collect();
    assert!(missing.is_empty(), "the world shows nothing for {missing:?}");
    for check in checks().iter().filter(|check| !BESIDE_OTHERS.contains(&check.id)) {
        let alone = world.records(&format!("only = [\"{}\"]", check.id));
        assert_eq!(alone.len(), all.len(), "{}", check.id);
        assert_eq!(findings(&alone, |_| true), findings(&all, |id| id == check.id), "{}", check.id);
        for object in objects(&alone) {
            assert!(not_evaluated(object).iter().all(|id| *id == check.id), "{}: {object:?}", check.id);
        }
    }
}

#[test]
fn what_a_check_needs_that_is_off_is_left_out() {
    let world = World::new();
    let keys = |checks: &str| -> BTreeSet<String> {
        let (_, records) = world.replay(checks, &["--detail", "full"]);
        objects(&records).flat_map(|object| object.keys().cloned()).collect()
    };
    let all = keys("");
    let told = [
        ("chain", vec!["forged_ca", "untrusted_chain"]),
        ("registration", vec!["new_domain", "fresh_certificate"]),
        ("name", vec!["lookalike", "name_mismatch", "random_name", "issuer_change", "moved_certificate"]),
        ("signatures", vec!["signature", "client_certificate"]),
        ("feeds", vec!["feed", "client_certificate"]),
    ];
    for (key, by) in &told {
        assert!(all.contains(*key), "{key}: {all:?}");
        let list = by.iter().map(|id| format!("\"{id}\"")).collect::<Vec<_>>().join(", ");
        let without = keys(&format!("off = [{list}]"));
        let others = told.iter().map(|(other, _)| *other).filter(|other| other != key);
        assert!(!without.contains(*key), "{key}: {without:?}");
        assert!(others.into_iter().all(|other| without.contains(other)), "{key}: {without:?}");
        for id in by {
            assert!(keys(&format!("only = [\"{id}\"]")).contains(*key), "{id} looks at {key}");
        }
    }
}

#[test]
fn a_check_that_is_off_is_gone_and_the_others_stay() {
    let world = World::new();
    let off = ["signature", "client_certificate", "new_domain", "self_signed"];
    let (all, without) = (world.records(""), world.records(&format!("off = {off:?}")));
    assert!(findings(&without, |id| off.contains(&id)).into_values().all(|found| found.is_empty()));
    // What stands beside others has fewer beside it.
    let stays = |id: &str| !off.contains(&id) && !BESIDE_OTHERS.contains(&id);
    assert_eq!(findings(&without, stays), findings(&all, stays));
    assert!(objects(&without).all(|object| not_evaluated(object).iter().all(|id| !off.contains(id))));
    assert!(objects(&without).all(|object| !object.contains_key("tools")));
    let verdicts = |records: &[Value]| objects(records).filter(|object| object["verdict"] == "critical").count();
    assert!(verdicts(&without) < verdicts(&all));
}

#[test]
fn without_history_nothing_is_counted_and_the_others_find_what_they_find() {
    let world = World::new();
    let all = world.records("");
    let (said, without) = world.replay("history = false", &["--detail", "full"]);
    assert!(said.contains("history   off: nothing was counted\n"), "{said}");
    let asking: Vec<_> = checks().iter().filter(|check| check.asks_history()).map(|check| check.id).collect();
    assert!(said.contains(&format!("checks    all but {}\n", asking.join(", "))), "{said}");
    assert!(findings(&without, |id| asking.contains(&id)).into_values().all(|found| found.is_empty()));
    // History knows which private CAs are everyday.
    let stays = |id: &str| !asking.contains(&id) && !BESIDE_OTHERS.contains(&id) && id != "untrusted_chain";
    assert_eq!(findings(&without, stays), findings(&all, stays));
    for object in objects(&without) {
        assert!(!object.contains_key("history"), "{object:?}");
        assert!(not_evaluated(object).iter().all(|id| !asking.contains(id)), "{object:?}");
        if let Some(issuer) = object.get("issuer_history").and_then(Value::as_object) {
            assert_eq!(issuer.keys().collect::<Vec<_>>(), ["class"], "{object:?}");
        }
    }
    let recalled =
        |records: &[Value]| objects(records).filter(|object| object["certificate"]["state"] == "recalled").count();
    assert!(recalled(&without) > 0);
    assert_eq!(recalled(&without), recalled(&all));
    // A record is an alert's first or repeats it, whatever is counted.
    assert!(objects(&without).any(|object| object.get("repeat") == Some(&Value::Bool(true))));
}

#[test]
fn a_history_that_is_not_kept_stays_in_the_state_as_it_is() {
    let world = World::new();
    let export = || {
        let output = certsift(world.folder.path(), &["state", "export", "--state", "state"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    world.replay("", &["--state", "state"]);
    let before = export();
    assert!(before.lines().count() > 50, "{before}");
    world.replay("history = false", &["--state", "state"]);
    assert_eq!(export(), before);
    assert!(world.path("state").is_dir());
    let config = "[checks]\nhistory = false\n";
    std::fs::write(world.path("off.toml"), config).unwrap();
    let shown = certsift(world.folder.path(), &["state", "show", "issuers", "--state", "state", "-c", "off.toml"]);
    let said = String::from_utf8(shown.stderr).unwrap();
    assert!(shown.status.success() && !said.contains("learning"), "{said}");
}

#[test]
fn the_whole_cannot_be_judged_by_without_history() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("c.toml"), "[checks]\nhistory = false\n").unwrap();
    let logs = repository("sample_logs/zeek-json");
    let output = certsift(folder.path(), &["replay", "--whole", "-c", "c.toml", logs.to_str().unwrap()]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("checks.history = false"), "{said}");
}

/// Adds to the configuration of a sidecar.
#[test]
fn where_nothing_was_found_the_least_detail_leaves_out_which_certificate_it_was() {
    let world = World::new();
    let (_, usual) = world.replay("", &["--detail", "auto"]);
    let (_, least) = world.replay("", &["--detail", "found"]);
    assert_eq!(least.len(), usual.len());
    let mut shorter = 0;
    for (mut usual, least) in usual.into_iter().zip(least) {
        let object = usual.get_mut("certsift").and_then(Value::as_object_mut);
        if let Some(object) = object.filter(|object| !object.contains_key("findings")) {
            shorter += usize::from(object.remove("certificate").is_some());
            object.remove("issuer_history");
        }
        assert_eq!(least, usual);
    }
    assert!(shorter > 0);
}

fn configure(world: &Sidecar, before: &str, more: &str) {
    std::fs::write(world.path("certsift.toml"), format!("{before}{more}")).unwrap();
}

fn wait_until_said(world: &Sidecar, what: &str) {
    let started = Instant::now();
    while !world.said().contains(what) {
        assert!(started.elapsed() < PATIENCE, "{what}: {}", world.said());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A sidecar with a feed that lists what it will see, and its configuration so far.
fn with_feed() -> (Sidecar, String) {
    let world = Sidecar::new();
    std::fs::write(world.path("listed.csv"), "#domain,label\nhost1.example,a\n").unwrap();
    let before = std::fs::read_to_string(world.path("certsift.toml")).unwrap();
    (world, before + "[knowledge]\nfeeds = [\"listed.csv\"]\n")
}

#[test]
fn run_takes_other_checks_at_a_sighup_and_says_that_history_waits() {
    const FIRST: u32 = 1_760_000_000;
    let (mut world, before) = with_feed();
    configure(&world, &before, "");
    world.append("logs/x509.log", &[x509(FIRST, 1)]);
    world.append("logs/ssl.log", &[ssl(FIRST + 1, 1)]);
    world.start();
    let all = world.wait_for(2);
    assert_eq!(all[1]["certsift"]["finding_ids"][0], "feed", "{}", all[1]);
    configure(&world, &before, "[checks]\noff = [\"feed\"]\nhistory = false\n");
    world.signal("-HUP");
    wait_until_said(&world, "whether history is kept changes after a restart only");
    wait_until_said(&world, "checks=all but feed");
    world.append("logs/ssl.log", &[ssl(FIRST + 2, 1)]);
    let without = world.wait_for(3);
    assert_eq!(without[2]["certsift"]["verdict"], "info", "{}", without[2]);
    assert!(without[2]["certsift"]["issuer_history"].get("first_seen").is_some(), "{}", without[2]);
    // A mistake changes nothing.
    configure(&world, &before, "[checks]\noff = [\"feeds\"]\n");
    world.signal("-HUP");
    wait_until_said(&world, "cannot use the configuration");
    configure(&world, &before, "[checks]\nonly = [\"feed\"]\n");
    world.signal("-HUP");
    wait_until_said(&world, "checks=only feed");
    world.append("logs/ssl.log", &[ssl(FIRST + 3, 1)]);
    let only = world.wait_for(4);
    assert_eq!(only[3]["certsift"]["finding_ids"], json!(["feed"]), "{}", only[3]);
    world.stop();
}

#[test]
fn run_goes_on_as_before_where_no_check_would_run_without_the_history_that_it_does_not_keep() {
    const FIRST: u32 = 1_760_000_000;
    let (mut world, before) = with_feed();
    configure(&world, &before, "[checks]\nonly = [\"feed\"]\nhistory = false\n");
    world.append("logs/x509.log", &[x509(FIRST, 1)]);
    world.start();
    world.wait_for(1);
    configure(&world, &before, "[checks]\nonly = [\"rare_issuer\"]\n");
    world.signal("-HUP");
    wait_until_said(&world, "none of its checks runs without history");
    world.append("logs/ssl.log", &[ssl(FIRST + 1, 1)]);
    let records = world.wait_for(2);
    assert_eq!(records[1]["certsift"]["finding_ids"], json!(["feed"]), "{}", records[1]);
    world.stop();
}

#[test]
fn what_was_counted_before_a_kill_is_in_the_state_although_history_is_not_kept_any_more() {
    const FIRST: u32 = 1_760_000_000;
    let mut world = Sidecar::new();
    // Until the kill everything stands in the journal only.
    let before = std::fs::read_to_string(world.path("certsift.toml")).unwrap();
    let before = before.replace("[state]\n", "[state]\ncommit_interval = \"1h\"\n");
    configure(&world, &before, "");
    world.start();
    world.append("logs/x509.log", &[x509(FIRST, 1), x509(FIRST, 2)]);
    world.append("logs/ssl.log", &[ssl(FIRST + 1, 1)]);
    world.wait_for(3);
    world.kill();
    configure(&world, &before, "[checks]\nhistory = false\n");
    world.start();
    world.append("logs/ssl.log", &[ssl(FIRST + 2, 2)]);
    let records = world.wait_for(4);
    world.stop();
    assert_eq!(records[3]["certsift"]["issuer_history"], json!({"class": "private"}), "{}", records[3]);
    let exported = certsift(world.folder.path(), &["state", "export", "--state", "state"]);
    let exported = String::from_utf8(exported.stdout).unwrap();
    assert!(exported.contains("host1.example") && !exported.contains("host2.example"), "{exported}");
}
