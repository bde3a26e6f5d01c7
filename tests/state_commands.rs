//! `certsift state`, and replays that learn before they judge.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails, and says so")]

mod support;

use std::path::Path;
use std::process::Output;

use serde_json::Value;
use support::history_logs::{self, Session, fingerprint};
use support::sidecar::World;
use support::{certsift, records};

const DAY: u64 = 86_400;
const BEGINNING: u64 = 1_760_000_000;
/// Learns as soon as it has seen a session.
const EAGER: &str = "[history]\nlearning = { days = 0, certificates = 1, clients = 1 }\n";

fn session(time: u64, client: u32, certificate: u32) -> Session {
    Session { time, client, server: certificate, name: certificate, certificate }
}

/// A folder with logs, and a state that has read them.
fn state_of(folder: &Path, name: &str, sessions: &[Session]) {
    history_logs::write(&folder.join(format!("logs-{name}")), sessions, 1);
    std::fs::write(folder.join("certsift.toml"), EAGER).unwrap();
    let (logs, state) = (format!("logs-{name}"), name.to_owned());
    done(certsift(folder, &["replay", "--config", "certsift.toml", "--state", &state, &logs]));
}

fn done(output: Output) -> String {
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn state(folder: &Path, arguments: &[&str]) -> Output {
    certsift(folder, &[&["state"], arguments].concat())
}

fn show(folder: &Path, arguments: &[&str]) -> Vec<Value> {
    let arguments = [&["show"], arguments, &["--json", "--config", "certsift.toml"]].concat();
    records(done(state(folder, &arguments)).as_bytes())
}

/// Three clients at certificate 1, one at certificate 2 later. No pause is so long that it would not move the clock.
fn usual() -> Vec<Session> {
    let mut sessions: Vec<_> = (0..3).map(|client| session(BEGINNING + u64::from(client), client, 1)).collect();
    sessions.extend([3, 6].map(|days| session(BEGINNING + days * DAY, 0, 1)));
    sessions.push(session(BEGINNING + 10 * DAY, 9, 2));
    sessions
}

#[test]
fn issuers_certificates_names_and_servers_are_shown_few_clients_first() {
    let folder = tempfile::tempdir().unwrap();
    state_of(folder.path(), "state", &usual());
    let issuers = show(folder.path(), &["issuers", "--state", "state"]);
    let of = |by: &str, label: &str| {
        issuers
            .iter()
            .find(|issuer| issuer["by"] == by && issuer["label"] == label)
            .unwrap_or_else(|| panic!("{issuers:?}"))
    };
    assert_eq!(issuers.len(), 4);
    assert_eq!(of("name", "CN=CA 1,O=Organisation 1")["counts"]["clients"], 3);
    assert_eq!(of("organization", "Organisation 1")["counts"]["domains"], 1);
    assert_eq!(of("name", "CN=CA 2,O=Organisation 2")["rare"], true);
    assert_eq!(of("name", "CN=CA 1,O=Organisation 1")["rare"], false);
    assert_eq!(issuers[0]["counts"]["clients"], 1);
    let rare = show(folder.path(), &["issuers", "--rare", "--state", "state"]);
    assert_eq!(rare.iter().map(|issuer| &issuer["label"]).collect::<Vec<_>>(), ["CN=CA 2,O=Organisation 2"]);

    let certificates = show(folder.path(), &["certificates", "--state", "state"]);
    assert_eq!(certificates[0]["sha256"], fingerprint(2));
    assert_eq!(
        (&certificates[0]["subject"], &certificates[0]["issuer"]),
        (&"CN=c2.example".into(), &"CN=CA 2,O=Organisation 2".into())
    );
    assert_eq!(certificates[1]["counts"]["clients"], 3);
    let names = show(folder.path(), &["names", "--state", "state", "--limit", "1"]);
    assert_eq!((names.len(), &names[0]["label"]), (1, &"name2.example".into()));
    let servers = show(folder.path(), &["servers", "--state", "state"]);
    assert_eq!(servers[0]["label"], history_logs::server(2).as_str());

    let table = done(state(folder.path(), &["show", "issuers", "--state", "state", "--config", "certsift.toml"]));
    let first = table.lines().nth(1).unwrap();
    assert!(table.starts_with("clients  domains"), "{table}");
    assert!(first.starts_with('1') && table.contains("CN=CA 2,O=Organisation 2") && table.contains("rare"), "{table}");
}

#[test]
fn an_issuer_is_shown_as_rare_by_the_public_cas_in_force() {
    let folder = tempfile::tempdir().unwrap();
    state_of(folder.path(), "state", &usual());
    let rare = || {
        let issuers = show(folder.path(), &["issuers", "--state", "state"]);
        let issuer = issuers.iter().find(|issuer| issuer["label"] == "CN=CA 2,O=Organisation 2").unwrap();
        issuer["rare"].clone()
    };
    assert_eq!(rare(), true);
    let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "CA 2");
    params.distinguished_name.push(rcgen::DnType::OrganizationName, "Organisation 2");
    let pem = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem();
    std::fs::write(folder.path().join("cas.pem"), pem).unwrap();
    std::fs::write(folder.path().join("certsift.toml"), format!("{EAGER}[trust]\npublic_cas = [\"cas.pem\"]\n"))
        .unwrap();
    assert_eq!(rare(), Value::Null, "of a public CA nobody can say that");
}

#[test]
fn what_attackers_write_does_not_move_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    history_logs::write(&logs, &usual(), 1);
    let x509 = std::fs::read_to_string(logs.join("x509.log")).unwrap();
    std::fs::write(
        logs.join("x509.log"),
        x509.replace("CA 2", "\\u001b[31mred\\u202e").replace("c2", "\\u001b[31mred"),
    )
    .unwrap();
    done(certsift(folder.path(), &["replay", "--state", "state", "logs"]));
    for arguments in [&["show", "issuers"][..], &["show", "issuers", "--json"], &["show", "certificates"], &["export"]]
    {
        let text = done(state(folder.path(), &[arguments, &["--state", "state"]].concat()));
        assert!(text.contains("red") && !text.contains(['\u{1b}', '\u{202e}']), "{text}");
    }
}

#[test]
fn an_export_is_the_same_each_time_and_holds_everything() {
    let folder = tempfile::tempdir().unwrap();
    state_of(folder.path(), "state", &usual());
    let export = || done(state(folder.path(), &["export", "--json", "--state", "state", "--config", "certsift.toml"]));
    let text = export();
    assert_eq!(text, export());
    let lines = records(text.as_bytes());
    let kinds = |kind: &str| lines.iter().filter(|line| line["kind"] == kind).count();
    assert_eq!(["state", "issuer", "certificate", "name", "server", "client"].map(kinds), [1, 4, 2, 2, 2, 4]);
    let certificate = lines.iter().find(|line| line["sha256"] == fingerprint(1).as_str()).unwrap();
    let clients: Vec<_> =
        certificate["observers"]["clients"].as_array().unwrap().iter().map(|pair| pair[0].as_str().unwrap()).collect();
    let mut expected = [0, 1, 2].map(history_logs::client);
    expected.sort();
    assert_eq!(clients, expected);
}

#[test]
fn merged_states_are_the_state_of_all_records_whichever_comes_first() {
    let folder = tempfile::tempdir().unwrap();
    let all = usual();
    let (one, other): (Vec<_>, Vec<_>) = all.iter().copied().enumerate().partition(|(number, _)| number % 2 == 0);
    let of = |part: Vec<(usize, Session)>| part.into_iter().map(|(_, session)| session).collect::<Vec<_>>();
    state_of(folder.path(), "all", &all);
    state_of(folder.path(), "one", &of(one));
    state_of(folder.path(), "other", &of(other));
    let merge = |one: &str, other: &str, into: &str| {
        done(state(folder.path(), &["merge", one, other, "--into", into, "--config", "certsift.toml"]));
    };
    merge("one", "other", "ab");
    merge("other", "one", "ba");
    merge("ab", "ab", "twice");
    merge("ab", "one", "again");
    let export = |name: &str| done(state(folder.path(), &["export", "--state", name, "--config", "certsift.toml"]));
    // What each sensor had learnt by then is its own.
    let without_learning =
        |text: &str| text.replace("\"after_learning\":true,", "").replace("\"after_learning\":false,", "");
    assert_eq!(without_learning(&export("ab")), without_learning(&export("all")));
    for name in ["ba", "twice", "again"] {
        assert_eq!(export(name), export("ab"), "{name}");
    }
    let output = state(folder.path(), &["merge", "one", "other", "--into", "ab"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("there already"), "{}", said(&output));
    // The new state is one to go on with.
    done(certsift(folder.path(), &["replay", "--state", "ab", "logs-all"]));
}

#[test]
fn pruning_forgets_what_is_old_by_the_clock_of_the_state() {
    let folder = tempfile::tempdir().unwrap();
    state_of(folder.path(), "state", &usual());
    let output = state(folder.path(), &["prune", "--older-than", "3d", "--state", "state"]);
    assert!(output.status.success() && said(&output).contains("1 certificates"), "{}", said(&output));
    let labels = |what: &str| -> Vec<String> {
        show(folder.path(), &[what, "--state", "state"]).iter().map(|it| it["label"].to_string()).collect()
    };
    assert_eq!(labels("names"), ["\"name2.example\""]);
    assert_eq!(labels("issuers").len(), 2);
    assert_eq!(show(folder.path(), &["certificates", "--state", "state"])[0]["sha256"], fingerprint(2).as_str());
    let again = state(folder.path(), &["prune", "--older-than", "3d", "--state", "state"]);
    assert!(said(&again).contains("forgot 0 entries"), "{}", said(&again));
    for wrong in [&["prune", "--state", "state"][..], &["prune", "--older-than", "5 parsecs", "--state", "state"]] {
        assert_eq!(state(folder.path(), wrong).status.code(), Some(2));
    }
}

#[test]
fn a_state_is_only_looked_at_unless_pruning_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    state_of(folder.path(), "state", &usual());
    let bytes = || std::fs::read(folder.path().join("state/certsift.redb")).unwrap();
    let before = bytes();
    for arguments in [&["show", "issuers"][..], &["show", "names"], &["export"]] {
        done(state(folder.path(), &[arguments, &["--state", "state"]].concat()));
    }
    done(state(folder.path(), &["merge", "state", "state", "--into", "new"]));
    done(certsift(folder.path(), &["replay", "logs-state"]));
    assert!(bytes() == before);
    for arguments in [&["show", "issuers"][..], &["export"], &["prune", "--older-than", "1d"]] {
        let output = state(folder.path(), &[arguments, &["--state", "nowhere"]].concat());
        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output).contains("there is no state here"), "{}", said(&output));
        assert!(!folder.path().join("nowhere").exists());
        assert!(said(&state(folder.path(), arguments)).contains("which state?"));
    }
}

#[test]
fn a_running_certsift_keeps_its_state_to_itself_and_that_is_said() {
    let mut world = World::new();
    world.append("logs/ssl.log", &[history_logs::ssl(0, &session(BEGINNING, 1, 1))]);
    world.start();
    world.wait_for(1);
    for arguments in [&["show", "issuers"][..], &["export"], &["prune", "--older-than", "1d"]] {
        let output = state(world.folder.path(), &[arguments, &["--config", "certsift.toml"]].concat());
        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output).contains("another certsift is using this state"), "{}", said(&output));
    }
    world.stop();
    let names =
        records(done(state(world.folder.path(), &["show", "names", "--json", "--config", "certsift.toml"])).as_bytes());
    assert_eq!(names[0]["label"], "name1.example");
}

fn replay(folder: &Path, arguments: &[&str]) -> (Vec<Value>, String) {
    let fixed = ["replay", "--config", "certsift.toml", "--detail", "full"];
    let output = certsift(folder, &[&fixed, arguments].concat());
    assert!(output.status.success(), "{}", said(&output));
    let sessions = records(&output.stdout).into_iter().filter(|record| record["uid"].is_string());
    (sessions.collect(), said(&output))
}

#[test]
fn a_baseline_is_learnt_from_and_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let learning = "[history]\nlearning = { days = 1, certificates = 1, clients = 3 }\n";
    std::fs::write(folder.path().join("certsift.toml"), learning).unwrap();
    let (before, now) = usual().into_iter().partition::<Vec<_>, _>(|session| session.time < BEGINNING + DAY);
    history_logs::write(&folder.path().join("before"), &[before, vec![session(BEGINNING + 2 * DAY, 1, 1)]].concat(), 1);
    history_logs::write(&folder.path().join("now"), &[now, vec![session(BEGINNING + 11 * DAY, 0, 1)]].concat(), 1);
    let (alone, said) = replay(folder.path(), &["now"]);
    assert_eq!((alone.len(), &alone[0]["certsift"]["issuer_history"]["learning"]), (4, &true.into()));
    assert!(said.contains("not ready"), "{said}");
    let (records, said) = replay(folder.path(), &["--baseline", "before", "now"]);
    assert!(said.contains("history   ready"), "{said}");
    let issuer = |number: usize| &records[number]["certsift"]["issuer_history"];
    assert_eq!((records.len(), &issuer(2)["rare"], &issuer(3)["rare"]), (4, &true.into(), &false.into()));
    assert_eq!((&issuer(3)["clients"], &issuer(3)["first_seen"]), (&3.into(), &"2025-10-09T08:53:20Z".into()));
}

#[test]
fn judged_by_the_whole_every_record_has_the_counts_of_all() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("certsift.toml"), EAGER).unwrap();
    let mut all = usual();
    // A certificate that comes later than its session can wait.
    all.insert(0, session(BEGINNING - 60, 5, 2));
    history_logs::write(&folder.path().join("logs"), &all, 1);
    let x509 = folder.path().join("logs/x509.log");
    let late = std::fs::read_to_string(&x509).unwrap().replace("1759999939.0", "1760000000.0");
    std::fs::write(&x509, late).unwrap();
    let (plain, _) = replay(folder.path(), &["logs"]);
    assert_eq!(plain[0]["certsift"]["certificate"]["state"], "absent");
    assert_eq!(plain[1]["certsift"]["issuer_history"]["clients"], 1);
    let (whole, said) = replay(folder.path(), &["--whole", "logs"]);
    assert!(said.contains("by the whole input"), "{said}");
    assert_eq!((whole.len(), &whole[0]["certsift"]["certificate"]["state"]), (7, &"presented".into()));
    for record in &whole {
        let object = &record["certsift"];
        let clients = if record["server_name"] == "www.name1.example" { 3 } else { 2 };
        assert_eq!(object["issuer_history"]["clients"], clients, "{record}");
        assert_eq!(object["history"]["whole"], true, "{record}");
    }
    support::assert_valid(&whole);
    assert!(plain.iter().all(|record| record["certsift"]["history"].get("whole").is_none()));
    // Counted once: what a state keeps is what one reading of it would be.
    for (name, options) in [("plain", &[][..]), ("whole", &["--whole"])] {
        replay(folder.path(), &[options, &["--state", name, "logs"]].concat());
    }
    let servers = |name: &str| {
        let mut servers = show(folder.path(), &["servers", "--state", name]);
        // Learning ended earlier where the first session showed its certificate.
        servers.iter_mut().for_each(|server| drop(server.as_object_mut().unwrap().remove("after_learning")));
        servers
    };
    assert_eq!(servers("plain"), servers("whole"));
}

#[test]
fn what_can_be_read_only_once_cannot_be_judged_by_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let output = certsift(folder.path(), &["replay", "--whole", "-"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("only once"), "{}", said(&output));
}
