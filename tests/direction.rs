//! Whom history asks: clients inside that go out. Those that stay inside are counted apart, and nobody from outside
//! decides what is usual here.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails, and says so")]

mod support;

use std::path::Path;

use serde_json::Value;
use support::history_logs::{self, Session};
use support::{certsift, records};

const DAY: u64 = 86_400;
const BEGINNING: u64 = 1_760_000_000;
const PROXY: &str = "10.0.9.1";
const INSIDE: &str = "10.200.0.1";

fn session(time: u64, client: u32, certificate: u32) -> Session {
    Session { time: BEGINNING + time, client, server: certificate, name: certificate, certificate }
}

/// What `ssl.log` says, with an address in the place of another.
fn with(line: String, field: &str, address: &str) -> String {
    let mut row: Value = serde_json::from_str(&line).unwrap();
    row[field] = address.into();
    row.to_string()
}

/// Replays sessions, with what is to be changed of each, and gives the objects in their order.
fn replay(folder: &Path, learning: &str, sessions: &[(Session, &[(&str, &str)])]) -> Vec<Value> {
    let config = format!("[history]\nlearning = {learning}\n[network]\nshared = [\"{PROXY}\"]\n");
    std::fs::write(folder.join("certsift.toml"), config).unwrap();
    let all: Vec<_> = sessions.iter().map(|(session, _)| *session).collect();
    history_logs::write(&folder.join("logs"), &all, 1);
    let lines: Vec<_> = (0..)
        .zip(sessions)
        .map(|(number, (session, changes))| {
            changes.iter().fold(history_logs::ssl(number, session), |line, (field, address)| with(line, field, address))
        })
        .collect();
    std::fs::write(folder.join("logs/ssl-0.log"), lines.join("\n") + "\n").unwrap();
    let output = certsift(folder, &["replay", "--config", "certsift.toml", "--detail", "full", "logs"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let records = records(&output.stdout);
    support::assert_valid(&records);
    let mut sessions: Vec<_> = records.into_iter().filter(|record| record["certsift"]["log"] == "zeek.ssl").collect();
    sessions.sort_by_key(|record| record["uid"].as_str().unwrap()[1..].parse::<u32>().unwrap());
    sessions.into_iter().map(|mut record| record["certsift"].take()).collect()
}

/// The weight of the finding of a rare issuer.
fn rare(object: &Value) -> Option<f64> {
    let found = object["findings"].as_array().into_iter().flatten().find(|finding| finding["id"] == "rare_issuer");
    found.map(|finding| finding["weight"].as_f64().unwrap())
}

fn lacks(object: &Value, code: &str) -> bool {
    object["not_evaluated"].as_array().unwrap().iter().any(|it| it == code)
}

#[test]
fn who_comes_from_outside_neither_ends_learning_nor_makes_anything_usual() {
    let folder = tempfile::tempdir().unwrap();
    let outsiders: Vec<_> = (0..60).map(|number| format!("203.0.113.{number}")).collect();
    let changes: Vec<_> =
        outsiders.iter().map(|address| [("id.orig_h", address.as_str()), ("id.resp_h", INSIDE)]).collect();
    let mut sessions: Vec<(Session, &[(&str, &str)])> =
        (0_u64..).zip(&changes).map(|(number, changes)| (session(number * 3600, 0, 3), &changes[..])).collect();
    sessions.extend([(session(3 * DAY, 1, 4), &[][..]), (session(3 * DAY + 1, 1, 3), &[][..])]);
    let objects = replay(folder.path(), "{ days = 1, certificates = 1, clients = 3 }", &sessions);
    assert_eq!((&objects[59]["direction"], lacks(&objects[59], "rare_issuer:learning")), (&"inbound".into(), true));
    let issuer = &objects[61]["issuer_history"];
    assert_eq!((&issuer["learning_reason"], &issuer["clients"]), (&"few_clients".into(), &1.into()));
    // Nor is a name known because somebody asked for it, while a certificate is.
    assert_eq!(objects[61]["history"]["name_first_seen"], "2025-10-12T08:53:21Z");
    assert_eq!(objects[61]["history"]["certificate_first_seen"], "2025-10-09T08:53:20Z");
    assert!(objects[59]["history"].get("name_first_seen").is_none());
}

#[test]
fn rarity_is_asked_of_those_that_go_out_and_said_of_those_inside_apart() {
    let folder = tempfile::tempdir().unwrap();
    let inside: &[(&str, &str)] = &[("id.resp_h", INSIDE)];
    let usual = (0_u32..12).map(|number| (session(u64::from(number) * DAY / 4, number % 4, number % 2), &[][..]));
    let mut sessions: Vec<(Session, &[(&str, &str)])> = usual.collect();
    let now = 4 * DAY;
    sessions.extend([
        (session(now, 1, 10), &[("id.orig_h", PROXY)][..]),
        (session(now + 1, 1, 11), &[("id.orig_h", "203.0.113.1"), ("id.resp_h", INSIDE)][..]),
        (session(now + 2, 1, 12), inside),
        (session(now + 3, 2, 12), inside),
        (session(now + 4, 1, 13), inside),
        (session(now + 5, 3, 13), &[][..]),
        (session(now + 6, 2, 13), inside),
    ]);
    let objects = replay(folder.path(), "{ days = 1, certificates = 2, clients = 3 }", &sessions);
    let [proxy, inbound, first, second, before, outgoing, after] = &objects[12..] else { panic!("{}", objects.len()) };
    assert_eq!((rare(proxy), lacks(proxy, "rare_issuer:shared_client")), (None, true));
    assert_eq!((rare(inbound), lacks(inbound, "rare_issuer:not_outbound")), (None, true));
    let internal =
        |object: &Value| (object["direction"] == "internal", object["issuer_history"]["internal_clients"].as_u64());
    assert_eq!((rare(first), internal(first)), (Some(0.0), (true, Some(1))));
    assert_eq!((rare(second), internal(second)), (None, (true, Some(2))));
    // Whoever met it inside does not make it usual outside.
    assert_eq!((rare(before), rare(outgoing)), (Some(0.0), Some(0.15)));
    assert_eq!(
        (&outgoing["issuer_history"]["clients"], &outgoing["issuer_history"]["rare"]),
        (&1.into(), &true.into())
    );
    assert!(outgoing["issuer_history"].get("internal_clients").is_none());
    assert_eq!((rare(after), internal(after)), (None, (true, Some(2))));
    assert!(after["issuer_history"].get("rare").is_none());
}
