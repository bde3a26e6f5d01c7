//! When domains were registered, as a user sees it: lists, an index, another list of public suffixes, and a replay of old
//! logs that gives the ages of then.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails, and says so")]

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use support::sidecar::{PATIENCE, World, ssl, x509};
use support::{assert_valid, certsift, records};

/// A QUIC session of Suricata: the name is all there is.
fn quic(day: &str, name: &str) -> String {
    format!(
        "{{\"timestamp\":\"{day}T12:00:00.000000+0000\",\"flow_id\":1,\"event_type\":\"quic\",\"src_ip\":\"10.0.0.7\",\
         \"src_port\":40000,\"dest_ip\":\"198.51.100.9\",\"dest_port\":443,\"proto\":\"UDP\",\"quic\":{{\"version\":\"1\",\
         \"sni\":\"{name}\"}}}}\n"
    )
}

/// What is said of sessions, by a configuration of knowledge.
fn judge(folder: &Path, knowledge: &str, lines: &str) -> Vec<Value> {
    std::fs::write(folder.join("certsift.toml"), format!("[knowledge]\n{knowledge}\n")).unwrap();
    std::fs::write(folder.join("eve.json"), lines).unwrap();
    let output = certsift(folder, &["replay", "-c", "certsift.toml", "--detail", "full", "eve.json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let records = records(&output.stdout);
    assert_valid(&records);
    records.into_iter().map(|mut record| record["certsift"].take()).collect()
}

fn finding<'a>(object: &'a Value, id: &str) -> Option<&'a Value> {
    object["findings"].as_array()?.iter().find(|finding| finding["id"] == id)
}

/// Builds the index that a sidecar is configured with.
fn build_index(world: &World, date: &str) {
    std::fs::write(world.path("list.csv"), format!("host1.example,{date}\n")).unwrap();
    let output = certsift(&world.path(""), &["feeds", "build", "all.index", "list.csv"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_replay_of_the_same_records_a_year_apart_gives_the_ages_of_then() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("created.csv"), "domain,created\nevil.example,2025-06-01\n").unwrap();
    let lines: String =
        ["2025-05-01", "2025-06-04", "2025-06-21", "2026-06-04"].map(|day| quic(day, "www.evil.example")).concat();
    let objects = judge(folder.path(), "registered = [\"created.csv\"]", &lines);
    assert_eq!(objects[0]["registration"], Value::Null, "nobody had registered it yet");
    for (object, age, weight) in [(&objects[1], 3, Some(0.25)), (&objects[2], 20, Some(0.2)), (&objects[3], 368, None)]
    {
        let expected = json!([{"domain": "evil.example", "registered": "2025-06-01", "age_days": age, "precision": "day", "source": "created.csv"}]);
        assert_eq!(object["registration"], expected);
        assert_eq!(
            finding(object, "new_domain").map(|finding| finding["weight"].as_f64().unwrap()),
            weight,
            "{object}"
        );
    }
}

#[test]
fn a_domain_is_known_in_its_own_letters_and_in_punycode() {
    let folder = tempfile::tempdir().unwrap();
    let spellings = ["\u{434}\u{43e}\u{43c}\u{435}\u{43d}.\u{440}\u{444}", "xn--d1acufc.xn--p1ai"];
    let lines = spellings.map(|name| quic("2026-11-21", &format!("www.{name}"))).concat();
    for listed in spellings {
        std::fs::write(folder.path().join("created.csv"), format!("domain,created\n{listed},2026-11-20\n")).unwrap();
        for object in judge(folder.path(), "registered = [\"created.csv\"]", &lines) {
            assert_eq!(object["registration"][0]["domain"], spellings[1], "{listed}");
            assert!(finding(&object, "new_domain").is_some(), "{listed}");
        }
    }
}

#[test]
fn a_window_is_new_as_far_as_it_can_be_said() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("nrd-30d-2026-11-20.txt"), "evil.example\n").unwrap();
    let lines: String =
        ["2026-11-19", "2026-11-21", "2026-12-20", "2027-11-20"].map(|day| quic(day, "evil.example")).concat();
    // Found by its name among feeds as well.
    for knowledge in ["registered = [\"nrd-30d-2026-11-20.txt\"]", "feeds = [\"nrd-*\"]"] {
        let objects = judge(folder.path(), knowledge, &lines);
        let registration = &objects[1]["registration"][0];
        assert_eq!(
            (
                &registration["registered"],
                &registration["as_of"],
                &registration["precision"],
                &registration["age_days"]
            ),
            (&json!("2026-10-22"), &json!("2026-11-20"), &json!("window"), &json!(30))
        );
        let found = finding(&objects[1], "new_domain").unwrap();
        assert_eq!(found["observed"], "evil.example registered between 2026-10-22 and 2026-11-20");
        assert_eq!(found["weight"], 0.2);
        assert!(finding(&objects[0], "new_domain").is_some());
        assert!(finding(&objects[2], "new_domain").is_none(), "59 days at the most: {:#}", objects[2]);
        assert!(finding(&objects[3], "new_domain").is_none());
    }
}

#[test]
fn names_without_a_day_need_one_and_may_be_told_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("names.txt"), "evil.example\n").unwrap();
    let line = quic("2026-11-21", "evil.example");
    let objects = judge(folder.path(), "registered = [\"names.txt\"]", &line);
    assert_eq!((&objects[0]["registration"], &objects[0]["verdict"]), (&Value::Null, &json!("unknown")));
    let output = certsift(folder.path(), &["check", "-c", "certsift.toml"]);
    let said = String::from_utf8_lossy(&output.stdout).replace('\n', " ");
    assert!(said.contains("names.txt: cannot be used: names without dates"), "{said}");
    let objects = judge(folder.path(), "registered = [{ path = \"names.txt\", date = \"2026-11-20\" }]", &line);
    assert_eq!(objects[0]["registration"][0]["registered"], "2026-11-20");
}

#[test]
fn an_index_is_built_named_and_looked_into() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("created.csv"), "evil.example,2026-11-18\nold.example,1999-01-01\nbad row\n")
        .unwrap();
    std::fs::write(folder.path().join("nrd-2026-11-19.txt"), "new.example\n").unwrap();
    let build = |lists: &[&str]| certsift(folder.path(), &[&["feeds", "build", "all.index"], lists].concat());
    let output = build(&["created.csv", "nrd-*.txt"]);
    let (out, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    assert!(out.contains("3 registrations") && out.contains("rows     3, left out 1"), "{out}");
    assert!(said.contains("created.csv: 1 rows are left out: line 3"), "{said}");
    let lines =
        ["evil.example", "new.example", "old.example", "none.example"].map(|name| quic("2026-11-20", name)).concat();
    let objects = judge(folder.path(), "registered = [\"*.index\"]", &lines);
    let ages: Vec<_> = objects.iter().map(|object| object["registration"][0]["age_days"].as_i64()).collect();
    assert_eq!(ages, [Some(2), Some(1), Some(10_185), None]);
    let output = certsift(folder.path(), &["check", "-c", "certsift.toml"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("all.index: index: 3 rows; ") && said.contains("errors 0, warnings 0"), "{said}");
    assert_eq!(build(&["created.csv", "all.index"]).status.code(), Some(1));
    assert_eq!(build(&["no-such-list"]).status.code(), Some(1));
}

#[test]
fn an_index_that_is_built_anew_is_read_while_lines_flow() {
    const FIRST: u32 = 1_760_000_000;
    let mut world = World::new();
    let config = std::fs::read_to_string(world.path("certsift.toml")).unwrap();
    std::fs::write(world.path("certsift.toml"), format!("{config}[knowledge]\nregistered = [\"all.index\"]\n"))
        .unwrap();
    build_index(&world, "2025-10-01");
    world.append("logs/x509.log", &[x509(FIRST, 1)]);
    let mut sessions = 0;
    let mut registered = |world: &World| {
        sessions += 1;
        world.append("logs/ssl.log", &[ssl(FIRST + sessions, 1)]);
        world.wait_for(sessions as usize + 1).last().unwrap()["certsift"]["registration"][0]["registered"].clone()
    };
    world.start();
    assert_eq!(registered(&world), "2025-10-01");
    build_index(&world, "2025-10-05");
    let started = Instant::now();
    while registered(&world) != "2025-10-05" {
        assert!(started.elapsed() < PATIENCE, "{}", world.said());
        std::thread::sleep(Duration::from_millis(50));
    }
    world.stop();
}

#[test]
fn another_list_of_public_suffixes_decides_what_was_registered() {
    let folder = tempfile::tempdir().unwrap();
    let list =
        "// VERSION: tomorrow\n// ===BEGIN ICANN DOMAINS===\nexample\nshop.example\n// ===END ICANN DOMAINS===\n";
    std::fs::write(folder.path().join("public_suffix_list.dat"), list).unwrap();
    std::fs::write(folder.path().join("created.csv"), "evil.shop.example,2026-11-18\n").unwrap();
    let line = quic("2026-11-20", "www.evil.shop.example");
    let own = "registered = [\"created.csv\"]\npublic_suffix_list = \"public_suffix_list.dat\"";
    let objects = judge(folder.path(), own, &line);
    assert_eq!(objects[0]["registration"][0]["domain"], "evil.shop.example");
    let output = certsift(folder.path(), &["check", "-c", "certsift.toml"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("edition tomorrow, from knowledge.public_suffix_list"));
    // By the list that is compiled in, it lies below `shop.example` and says nothing.
    let built_in = judge(folder.path(), "registered = [\"created.csv\"]", &line);
    assert_eq!(built_in[0]["registration"], Value::Null);
    assert_ne!(built_in[0]["knowledge"], objects[0]["knowledge"]);
    std::fs::write(folder.path().join("public_suffix_list.dat"), "<html>").unwrap();
    std::fs::write(folder.path().join("certsift.toml"), format!("[knowledge]\n{own}\n")).unwrap();
    let output = certsift(folder.path(), &["replay", "-c", "certsift.toml", "eve.json"]);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn an_index_and_a_sensor_with_other_public_suffixes_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let list =
        "// VERSION: tomorrow\n// ===BEGIN ICANN DOMAINS===\nexample\nshop.example\n// ===END ICANN DOMAINS===\n";
    std::fs::write(folder.path().join("suffixes.dat"), list).unwrap();
    std::fs::write(folder.path().join("list.csv"), "evil.shop.example,2026-11-18\nevil.example,2026-11-18\n").unwrap();
    let build = |more: &[&str]| {
        let output = certsift(folder.path(), &[&["feeds", "build", "all.index", "list.csv"], more].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let lines = quic("2026-11-20", "www.evil.shop.example") + &quic("2026-11-20", "www.evil.example");
    let said_by = |command: &[&str]| {
        let output = certsift(folder.path(), &[command, &["-c", "certsift.toml"]].concat());
        assert!(output.status.success());
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat())
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    const DIFFER: &str = "all.index: built by edition tomorrow of the public suffix list, and ";
    build(&["--public-suffix-list", "suffixes.dat"]);
    let objects = judge(folder.path(), "registered = [\"all.index\"]", &lines);
    assert_eq!(objects[0]["registration"], Value::Null, "asked for as shop.example");
    assert_eq!(objects[1]["registration"][0]["registered"], "2026-11-18", "what both lists agree on is found");
    for command in [&["replay", "eve.json"][..], &["check"]] {
        assert!(said_by(command).contains(DIFFER), "{command:?}");
    }
    let own = "registered = [\"all.index\"]\npublic_suffix_list = \"suffixes.dat\"";
    assert_eq!(judge(folder.path(), own, &lines)[0]["registration"][0]["domain"], "evil.shop.example");
    for command in [&["replay", "eve.json"][..], &["check"]] {
        assert!(!said_by(command).contains("public suffix list, and"), "{command:?}");
    }
    build(&[]);
    let said = said_by(&["check"]);
    assert!(said.contains("public suffix list, and tomorrow is in use"), "{said}");
}

#[test]
fn a_list_of_public_suffixes_that_is_cut_off_while_lines_flow_changes_nothing() {
    const FIRST: u32 = 1_760_000_000;
    const CUT: &str = "// ===BEGIN ICANN DOMAINS===\nexample\n";
    let mut world = World::new();
    let config = std::fs::read_to_string(world.path("certsift.toml")).unwrap();
    let own = "[knowledge]\nregistered = [\"list.csv\"]\npublic_suffix_list = \"suffixes.dat\"\n";
    std::fs::write(world.path("certsift.toml"), format!("{config}{own}")).unwrap();
    std::fs::write(world.path("list.csv"), "host1.example,2025-10-01\n").unwrap();
    std::fs::write(world.path("suffixes.dat"), format!("{CUT}// ===END ICANN DOMAINS===\n")).unwrap();
    world.append("logs/x509.log", &[x509(FIRST, 1)]);
    world.start();
    for session in 1..3 {
        world.append("logs/ssl.log", &[ssl(FIRST + session, 1)]);
        let records = world.wait_for(session as usize + 1);
        assert_eq!(records.last().unwrap()["certsift"]["registration"][0]["registered"], "2025-10-01");
        std::fs::write(world.path("suffixes.dat"), CUT).unwrap();
        world.signal("-HUP");
        let started = Instant::now();
        while !world.said().contains("suffixes.dat: a public suffix list that is cut off") {
            assert!(started.elapsed() < PATIENCE, "{}", world.said());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    world.stop();
}

#[test]
fn transparency_logs_tell_what_they_knew_at_the_time_of_the_record() {
    let folder = tempfile::tempdir().unwrap();
    let entry = |serial: &str, seen: u32| {
        format!(
            "{{\"message_type\":\"certificate_update\",\"data\":{{\"update_type\":\"PrecertLogEntry\",\"leaf_cert\":{{\"issuer\":\
             {{\"C\":\"US\",\"O\":\"Let's Encrypt\",\"CN\":\"R11\"}},\"serial_number\":\"{serial}\",\"all_domains\":\
             [\"*.evil.example\"]}},\"seen\":{seen}.5}}}}\n"
        )
    };
    // 2026-11-18 and 2026-11-25, noon.
    let log = entry("0A", 1_795_003_200) + &entry("0B", 1_795_608_000);
    std::fs::write(folder.path().join("certstream.ndjson"), log).unwrap();
    let tls = |day: &str, before: &str| {
        format!(
            "{{\"timestamp\":\"{day}T12:00:01.000000+0000\",\"flow_id\":2,\"event_type\":\"tls\",\"src_ip\":\"10.0.0.7\",\
             \"src_port\":40000,\"dest_ip\":\"198.51.100.9\",\"dest_port\":443,\"proto\":\"TCP\",\"tls\":{{\"version\":\
             \"TLS 1.2\",\"sni\":\"www.evil.example\",\"subject\":\"CN=*.evil.example\",\"issuerdn\":\"C=US, O=Let's Encrypt, \
             CN=R11\",\"serial\":\"0A\",\"fingerprint\":\"aa:bb\",\"notbefore\":\"{before}T00:00:00\",\"notafter\":\
             \"2027-02-01T00:00:00\"}}}}\n"
        )
    };
    let lines = tls("2026-11-17", "2026-11-10") + &tls("2026-11-19", "2026-11-10") + &tls("2026-11-26", "2026-11-10");
    std::fs::write(folder.path().join("created.csv"), "domain,created\nevil.example,2026-11-16\n").unwrap();
    let knowledge = "feeds = [\"certstream.ndjson\"]\nregistered = [\"created.csv\"]";
    let objects = judge(folder.path(), knowledge, &lines);
    assert_eq!(objects[0]["transparency"], Value::Null, "nothing was logged yet");
    let logged = json!({"certificate_logged": "2026-11-18T12:00:00.500Z", "name_logged": "2026-11-18T12:00:00.500Z", "domain_certificates": 1});
    assert_eq!(objects[1]["transparency"], logged);
    assert_eq!(objects[2]["transparency"]["domain_certificates"], 2);
    // The validity was set back by eight days: the log knows that the certificate is one day old.
    let found = finding(&objects[1], "fresh_certificate").unwrap();
    assert_eq!((&found["field"], &found["weight"]), (&json!("transparency.certificate_logged"), &json!(0.1)));
    assert!(finding(&objects[2], "fresh_certificate").is_none(), "{:#}", objects[2]);
    let output = certsift(folder.path(), &["check", "-c", "certsift.toml"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("certstream.ndjson: CertStream: 2 rows"), "{said}");
}
