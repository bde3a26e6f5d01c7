//! `alert_key` and `repeat`: what analysts alert on, said once.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails, and says so")]

mod support;

use std::path::Path;

use serde_json::{Value, json};
use support::sidecar::World;
use support::{assert_valid, certsift, records};

const BEGINNING: i64 = 1_760_000_000;
const HOUR: i64 = 3600;
/// The serial number of what Cobalt Strike comes with, and a subject that AsyncRAT comes with.
const STRIKE: (&str, &str) = ("08:BB:00:EE", "CN=www.fine.example");
const ASYNC_RAT: (&str, &str) = ("01", "CN=AsyncRAT Server");
const FINE: (&str, &str) = ("01", "CN=www.fine.example");

/// An event that is so many seconds after the beginning.
fn event(kind: &str, at: i64, flow: u64, client: &str, (serial, subject): (&str, &str)) -> Value {
    let time = jiff::Timestamp::from_second(BEGINNING + at).unwrap();
    json!({
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S.000000+0000").to_string(), "event_type": kind, "flow_id": flow,
        "src_ip": client, "src_port": 50000, "dest_ip": "192.0.2.1", "dest_port": 443,
        "tls": {"subject": subject, "issuerdn": "CN=Some CA", "serial": serial, "version": "TLS 1.2"}
    })
}

fn session(at: i64, what: (&str, &str)) -> Value {
    event("tls", at, at as u64, "10.0.0.1", what)
}

/// Another port of the server.
fn at_port(mut event: Value, port: u16) -> Value {
    event["dest_port"] = port.into();
    event
}

fn write(folder: &Path, name: &str, events: &[Value]) {
    let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
    std::fs::write(folder.join(name), lines).unwrap();
}

fn replay(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = certsift(folder, &[&["replay"], arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Key and repeat of every record, of events that are replayed at once.
fn alerts_of(events: &[Value]) -> Vec<(String, bool)> {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "eve.json", events);
    let output = records(&replay(folder.path(), &["eve.json"]));
    assert_valid(&output);
    output.iter().map(alert_of).collect()
}

fn alert_of(record: &Value) -> (String, bool) {
    let object = &record["certsift"];
    let key = object["alert_key"].as_str().unwrap_or_else(|| panic!("no alert: {record}"));
    assert!(key.len() == 32 && key.bytes().all(|byte| byte.is_ascii_hexdigit()), "{key}");
    (key.to_owned(), object["repeat"].as_bool().unwrap())
}

fn repeats(alerts: &[(String, bool)]) -> Vec<bool> {
    alerts.iter().map(|(_, repeat)| *repeat).collect()
}

#[test]
fn an_alert_repeats_until_it_has_paused_for_a_day_of_event_time() {
    let times = [0, 60, 20 * HOUR, 44 * HOUR, 44 * HOUR + 1, 69 * HOUR, 69 * HOUR + 5];
    let alerts = alerts_of(&times.map(|at| session(at, STRIKE)));
    assert_eq!(repeats(&alerts), [false, true, true, true, true, false, true]);
    assert!(alerts.iter().all(|(key, _)| *key == alerts[0].0));
}

#[test]
fn another_client_port_or_tool_is_another_alert() {
    let others = [
        session(0, STRIKE),
        event("tls", 1, 1, "10.0.0.2", STRIKE),
        at_port(session(2, STRIKE), 8443),
        session(3, ASYNC_RAT),
        // The same certificate but for the tool that its name is known for.
        session(4, ("08:BB:00:EE", "CN=AsyncRAT Server")),
    ];
    let alerts = alerts_of(&others);
    assert_eq!(repeats(&alerts), [false; 5]);
    let mut keys: Vec<_> = alerts.iter().map(|(key, _)| key).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 5);
}

#[test]
fn a_finding_that_comes_is_another_alert_and_one_that_goes_is_the_first_again() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bad.csv"), "# feed of addresses\n192.0.2.1\n").unwrap();
    std::fs::write(folder.path().join("with.toml"), "[knowledge]\nfeeds = [\"bad.csv\"]\n").unwrap();
    std::fs::write(folder.path().join("without.toml"), "").unwrap();
    let mut found = Vec::new();
    for (number, config) in ["without.toml", "with.toml", "without.toml", "with.toml"].iter().enumerate() {
        write(folder.path(), "eve.json", &[session(number as i64 * 60, STRIKE)]);
        let output = replay(folder.path(), &["--state", "state", "--config", config, "eve.json"]);
        found.push(alert_of(&records(&output)[0]));
    }
    assert_eq!(repeats(&found), [false, false, true, true]);
    assert!(found[0].0 == found[2].0 && found[1].0 == found[3].0 && found[0].0 != found[1].0, "{found:?}");
}

#[test]
fn a_row_that_moves_within_its_feed_is_no_other_alert() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("certsift.toml"), "[knowledge]\nfeeds = [\"bad.csv\"]\n").unwrap();
    let mut found = Vec::new();
    for (number, rows) in ["192.0.2.1\n198.51.100.7\n", "198.51.100.8\n192.0.2.1\n"].iter().enumerate() {
        std::fs::write(folder.path().join("bad.csv"), rows).unwrap();
        write(folder.path(), "eve.json", &[session(number as i64 * 60, STRIKE)]);
        let output = replay(folder.path(), &["--state", "state", "--config", "certsift.toml", "eve.json"]);
        let record = records(&output).remove(0);
        assert_eq!(record["certsift"]["feeds"][0]["row"], number + 1);
        found.push(alert_of(&record));
    }
    assert_eq!(repeats(&found), [false, true]);
}

#[test]
fn what_nobody_alerts_on_has_no_key() {
    let folder = tempfile::tempdir().unwrap();
    let x509 = r#"{"ts":1760000000.5,"fingerprint":"7812c001f7cda45a7c745a0e692d874c4f0319b2fd1bd49f2d199e0e7b0c1b3c","certificate.serial":"08BB00EE","certificate.subject":"CN=a","certificate.issuer":"CN=b","host_cert":true}"#;
    std::fs::write(folder.path().join("x509.log"), format!("{x509}\n")).unwrap();
    write(folder.path(), "eve.json", &[session(0, FINE)]);
    let output = records(&replay(folder.path(), &["--detail", "full", "x509.log", "eve.json"]));
    let verdicts: Vec<_> = output.iter().map(|record| record["certsift"]["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["info", "critical"]);
    for record in &output {
        assert!(
            record["certsift"].get("alert_key").is_none() && record["certsift"].get("repeat").is_none(),
            "{record}"
        );
    }
}

#[test]
fn an_alert_of_suricata_repeats_its_flow_whether_it_shows_the_certificate_or_not() {
    let mut silent = event("alert", 1, 7, "10.0.0.1", STRIKE);
    silent["tls"] = json!({"version": "TLS 1.2"});
    let shows = event("alert", 2, 7, "10.0.0.1", STRIKE);
    let alerts = alerts_of(&[event("tls", 0, 7, "10.0.0.1", STRIKE), silent, shows.clone()]);
    assert_eq!(repeats(&alerts), [false, true, true]);
    // The rule fires before the handshake is done: then the session repeats the alert.
    let alerts = alerts_of(&[shows, event("tls", 3, 7, "10.0.0.1", STRIKE)]);
    assert_eq!(repeats(&alerts), [false, true]);
    assert_eq!(alerts[0].0, alerts[1].0);
}

#[test]
fn a_state_that_is_cut_at_any_record_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let events: Vec<_> = (0..12)
        .map(|number| {
            let client = format!("10.0.0.{}", number % 2);
            // Two at a time, twice, and then more than a day of nothing.
            event(
                "tls",
                (number + 27 * (number / 4)) * HOUR,
                number as u64,
                &client,
                if number % 2 == 0 { STRIKE } else { ASYNC_RAT },
            )
        })
        .collect();
    write(folder.path(), "eve.json", &events);
    let whole = replay(folder.path(), &["eve.json"]);
    let said: Vec<_> = records(&whole).iter().map(alert_of).collect();
    assert!(repeats(&said).contains(&true) && repeats(&said)[3..].contains(&false), "{said:?}");
    for cut in [1, 5, 6, 11] {
        let state = format!("state-{cut}");
        let mut found = Vec::new();
        for (name, events) in [("first.json", &events[..cut]), ("second.json", &events[cut..])] {
            write(folder.path(), name, events);
            let output = replay(folder.path(), &["--state", &state, name]);
            found.extend(records(&output).iter().map(alert_of));
        }
        assert_eq!(found, said, "cut at {cut}");
    }
}

#[test]
fn many_alerts_give_the_same_bytes_with_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let events: Vec<_> = (0..20_000)
        .map(|number| {
            let client = format!("10.0.{}.{}", number % 7, number % 250);
            let what = [STRIKE, FINE, ASYNC_RAT][number as usize % 3];
            event("tls", number * 5, number as u64, &client, what)
        })
        .collect();
    write(folder.path(), "eve.json", &events);
    let expected = replay(folder.path(), &["--threads", "1", "eve.json"]);
    let said = records(&expected);
    let repeated = said.iter().filter(|record| record["certsift"]["repeat"] == true).count();
    assert!(repeated > 5000 && repeated < 20_000, "{repeated}");
    support::oracle::assert_repeats(&said);
    for threads in ["2", "4"] {
        // Not `assert_eq`: megabytes in a message help nobody.
        assert!(replay(folder.path(), &["--threads", threads, "eve.json"]) == expected, "{threads} threads");
    }
}

#[test]
fn a_repeat_is_known_after_a_kill_and_after_a_stop() {
    let mut world = World::new();
    let mut written = 0;
    for end in [World::kill as fn(&mut World), World::kill, World::stop, World::kill] {
        world.start();
        for _ in 0..3 {
            written += 1;
            world.append("logs/eve.json.log", &[session(written, STRIKE).to_string()]);
            world.wait_for(written as usize);
        }
        end(&mut world);
    }
    let said: Vec<_> = world.output().iter().map(alert_of).collect();
    assert_eq!(repeats(&said).iter().filter(|repeat| !**repeat).count(), 1, "{said:?}");
    assert!(!said[0].1);
}

/// Runs until the process ends itself at a point, as a kill would.
fn run_into(world: &World, point: &str) {
    let said = std::fs::File::create(world.path("crash.txt")).unwrap();
    let mut child = world.command().env("CERTSIFT_CRASH_AT", point).stderr(said).spawn().unwrap();
    let ended = support::process::end_within(&mut child, support::sidecar::PATIENCE);
    let Some(status) = ended else {
        child.kill().unwrap();
        panic!("never came to {point}");
    };
    assert!(!status.success(), "{point}");
}

#[test]
fn what_a_kill_keeps_from_its_commit_is_noted_from_the_journal_once() {
    for point in ["journal-written", "output-written"] {
        let mut world = World::new();
        let append = |world: &World, events: &[Value]| {
            let lines: Vec<_> = events.iter().map(Value::to_string).collect();
            world.append("logs/eve.json.log", &lines);
        };
        append(&world, &[session(0, STRIKE), session(HOUR, STRIKE), session(HOUR + 1, ASYNC_RAT)]);
        run_into(&world, point);
        // And once more while that is mended.
        run_into(&world, "redone");
        world.start();
        world.wait_for(3);
        // More than a day after the first, and less than one after the second: a repeat if both were noted.
        append(&world, &[session(24 * HOUR + 1800, STRIKE)]);
        world.wait_for(4);
        world.kill();
        world.start();
        // More than a day after the last of each.
        append(&world, &[session(49 * HOUR, STRIKE), session(50 * HOUR, ASYNC_RAT)]);
        world.wait_for(6);
        world.stop();
        let records = world.output();
        let flows: Vec<_> = records.iter().map(|record| record["flow_id"].as_i64().unwrap()).collect();
        assert_eq!(flows, [0, HOUR, HOUR + 1, 24 * HOUR + 1800, 49 * HOUR, 50 * HOUR], "{point}");
        let said: Vec<_> = records.iter().map(alert_of).collect();
        assert_eq!(repeats(&said), [false, true, false, true, false, false], "{point}");
        // What history calls what it saw first came through as well.
        let shown = certsift(world.folder.path(), &["state", "show", "issuers", "--json", "--state", "state"]);
        let issuers = labels_of(&shown.stdout);
        assert_eq!(issuers, ["CN=Some CA"], "{point}: {}", String::from_utf8_lossy(&shown.stderr));
    }
}

/// The labels of what `state show --json` shows.
fn labels_of(shown: &[u8]) -> Vec<String> {
    let label = |object: &Value| object["label"].as_str().unwrap_or("none").to_owned();
    records(shown).iter().map(label).collect()
}
