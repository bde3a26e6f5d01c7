//! History against a model that keeps every observation: the same counts, first and last sights, for any way of cutting
//! the records into pieces; merged, it is what one history of all records would be; and a flood does not wash it away.
//!
//! The long forms run with `CERTSIFT_FULL_TESTS=1`; `CERTSIFT_SEED` gives a failing stream again.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on fails, and says so")]

#[path = "history_model/model.rs"]
mod model;
#[path = "history_model/stream.rs"]
mod stream;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use certsift::history::{
    BadRow, Caller, Entry, History, HistorySettings, HistoryTable, LearningThresholds, Observation, Recency, Seen,
    Table, Weighted, merge,
};
use certsift::model::Id128;
use model::{Kind, Known, Model, certificate};
use proptest::prelude::*;
use serde_json::{Value, json};
use stream::Stream;
use support::history_logs::{self, Session, issuer_of};
use support::random::{Random, seed};
use support::{full_tests, records};

const SETTINGS: HistorySettings = HistorySettings {
    window_days: 10,
    learning: LearningThresholds { days: 3, certificates: 100, clients: 20 },
    memory: 512 << 20,
};

fn observe(history: &mut History, observation: &Observation) -> Seen {
    history.observe(observation, &mut |of| Some(format!("{of:?}").into()))
}

/// What history says, in the model's form.
fn said(seen: &Seen) -> [Option<Known>; 7] {
    let known = |first, last, counts: &[(&'static str, u8)]| Known {
        first,
        last,
        counts: counts.iter().map(|(of, count)| (*of, *count as usize)).collect(),
    };
    let issuer = |issuer: &certsift::history::IssuerSeen| {
        let counts = [
            ("clients", issuer.clients),
            ("internal_clients", issuer.internal_clients),
            ("domains", issuer.domains),
            ("servers", issuer.servers),
            ("certificates", issuer.certificates),
        ];
        known(issuer.first.at, issuer.last_seen, &counts)
    };
    [
        seen.issuer.as_ref().map(issuer),
        seen.organization.as_ref().map(issuer),
        seen.certificate.as_ref().map(|it| {
            let counts =
                [("clients", it.clients), ("servers", it.servers), ("networks", it.networks), ("names", it.names)];
            known(it.first.at, it.last_seen, &counts)
        }),
        seen.key.map(|it| {
            let counts = [("servers", it.servers), ("networks", it.networks), ("certificates", it.certificates)];
            known(it.first.at, it.last_seen, &counts)
        }),
        seen.name.as_ref().map(|it| {
            let counts = [
                ("clients", it.clients),
                ("issuers", it.issuers),
                ("certificates", it.certificates),
                ("servers", it.servers),
                ("networks", it.networks),
            ];
            known(it.first.at, it.last_seen, &counts)
        }),
        seen.server.map(|it| {
            let counts = [("certificates", it.certificates), ("names", it.names), ("clients", it.clients)];
            known(it.first.at, it.last_seen, &counts)
        }),
        seen.fingerprint.map(|it| {
            let counts =
                [("clients", it.clients), ("certificates", it.certificates), ("hidden_servers", it.hidden_servers)];
            known(it.first.at, it.last_seen, &counts)
        }),
    ]
}

/// What the model says.
fn expected(model: &Model, observation: &Observation) -> [Option<Known>; 7] {
    let from_day = observation.clock.day() - SETTINGS.window_days + 1;
    let it = certificate(observation);
    [
        model.known(Kind::Issuer, it.and_then(|it| it.issuer), from_day),
        model.known(Kind::Issuer, it.and_then(|it| it.organization), from_day),
        model.known(Kind::Certificate, it.map(|it| it.id), from_day),
        model.known(Kind::Key, it.and_then(|it| it.key), from_day),
        model.known(Kind::Name, observation.domain, from_day),
        model.known(Kind::Server, observation.server, from_day),
        model.known(Kind::Fingerprint, observation.fingerprint, from_day),
    ]
}

/// Counts of observers that history does not know are none.
fn assert_same(mut said: [Option<Known>; 7], mut expected: [Option<Known>; 7], what: &str) {
    for known in said.iter_mut().chain(&mut expected).flatten() {
        known.counts.retain(|_, count| *count > 0);
    }
    assert_eq!(said, expected, "{what}");
}

/// History after a stop and a start: what a state keeps of it, put into a new one.
fn restarted(history: &mut History, rows: &mut Rows) -> History {
    store(history, rows);
    let mut next = History::new(SETTINGS, true);
    next.restore_learning(history.learning());
    for table in HistoryTable::ALL {
        let rows = rows.iter().filter(|((of, _), _)| *of == table);
        let rows = rows.map(|((_, key), (recency, value))| Ok::<_, BadRow>((*key, *recency, value)));
        next.restore(table, rows, |bad| bad).unwrap();
    }
    next
}

type Rows = BTreeMap<(HistoryTable, Id128), (Recency, Vec<u8>)>;

fn store(history: &mut History, rows: &mut Rows) {
    history.take_changes(|table, key, recency, value| match value {
        Some(value) => drop(rows.insert((table, key), (recency, value))),
        None => drop(rows.remove(&(table, key))),
    });
}

fn rows(history: &History) -> Rows {
    let mut rows = Rows::new();
    history.rows(|table, key, recency, value| drop(rows.insert((table, key), (recency, value))));
    rows
}

#[test]
fn history_says_what_the_model_says_across_restarts_at_any_point() {
    let seed = seed();
    let sessions = if full_tests() { 200_000 } else { 4000 };
    eprintln!("CERTSIFT_SEED={seed}");
    let mut random = Random::from_seed(seed);
    let (mut history, mut model, mut stored) = (History::new(SETTINGS, true), Model::default(), Rows::new());
    // The model looks at everything every time: the long form asks it now and then.
    let ask = if full_tests() { 40 } else { 1 };
    for (number, observation) in Stream::new(seed, sessions, 45).take(sessions).enumerate() {
        let seen = observe(&mut history, &observation);
        model.observe(&observation);
        let what = format!("session {number} of seed {seed}: {observation:?}");
        let from_day = observation.clock.day() - SETTINGS.window_days + 1;
        // That it begins is said to the session that began it.
        let known = Seen { interception_begins: false, ..seen.clone() };
        assert_eq!(known, history.look_up(&observation), "{what}");
        if number % ask == 0 {
            assert_same(said(&seen), expected(&model, &observation), &what);
            assert_eq!(seen.active_clients as usize, model.active_clients(from_day), "{what}");
        }
        if random.one_in(sessions / 40) {
            history = restarted(&mut history, &mut stored);
        }
    }
    assert_eq!(history.evicted(), 0);
    assert!(history.learning().has_ended());
}

#[test]
fn with_little_room_a_restart_changes_nothing_either() {
    let seed = seed();
    let settings = HistorySettings { memory: 600_000, ..SETTINGS };
    let (mut whole, mut parts) = (History::new(settings, false), History::new(settings, true));
    let mut stored = Rows::new();
    let mut random = Random::from_seed(seed ^ 1);
    for observation in Stream::new(seed, 6000, 30).take(6000) {
        assert_eq!(observe(&mut whole, &observation), observe(&mut parts, &observation), "CERTSIFT_SEED={seed}");
        if random.one_in(500) {
            let evicted = parts.evicted();
            let mut next = History::new(settings, true);
            store(&mut parts, &mut stored);
            next.restore_learning(parts.learning());
            for table in HistoryTable::ALL {
                let rows = stored.iter().filter(|((of, _), _)| *of == table);
                let rows = rows.map(|((_, key), (recency, value))| Ok::<_, BadRow>((*key, *recency, value)));
                next.restore(table, rows, |bad| bad).unwrap();
            }
            assert_eq!((next.evicted(), evicted > 0 || whole.evicted() == 0), (0, true), "what was kept fits");
            parts = next;
        }
        for (one, other) in whole.usage().iter().zip(parts.usage()) {
            assert_eq!((one.entries, one.weight), (other.entries, other.weight), "CERTSIFT_SEED={seed}");
            assert!(one.weight <= one.capacity, "{one:?}");
        }
    }
    assert!(whole.evicted() > 1000);
    assert_eq!(rows(&whole), rows(&parts), "CERTSIFT_SEED={seed}");
}

/// Content without the order of recency, which merging makes anew, and without what depends on learning.
fn content(history: &History) -> BTreeMap<(HistoryTable, Id128), String> {
    fn of<E: Entry + Weighted + std::fmt::Debug>(
        table: HistoryTable,
        entries: &Table<E>,
        all: &mut BTreeMap<(HistoryTable, Id128), String>,
    ) {
        for (key, recency, entry) in entries.iter() {
            let times = entry.times();
            let sets: Vec<_> = entry.sets().collect();
            let (first, last, established) = (times.first.at, times.last_seen, recency.established);
            all.insert((table, key), format!("{first:?} {last:?} {established} {:?} {sets:?}", entry.label()));
        }
    }
    let mut all = BTreeMap::new();
    of(HistoryTable::Issuers, history.issuers(), &mut all);
    of(HistoryTable::Certificates, history.certificates(), &mut all);
    of(HistoryTable::Keys, history.keys(), &mut all);
    of(HistoryTable::Names, history.names(), &mut all);
    of(HistoryTable::Servers, history.servers(), &mut all);
    of(HistoryTable::Fingerprints, history.fingerprints(), &mut all);
    for (client, _, day) in history.clients().iter() {
        all.insert((HistoryTable::Clients, client), day.to_string());
    }
    all
}

fn history_of<'a>(observations: impl Iterator<Item = &'a Observation>) -> History {
    let mut history = History::new(SETTINGS, false);
    observations.for_each(|observation| drop(observe(&mut history, observation)));
    history
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn histories_of_sensors_merge_into_that_of_all_records(
        seed in any::<u64>(),
        sensors in prop::collection::vec(0usize..3, 1500),
    ) {
        // What is recalled was presented to the same sensor before: without the session before it is no first sight.
        let observations: Vec<_> = Stream::new(seed, 1500, 20)
            .take(sensors.len())
            .map(|mut observation| {
                if let Some(certificate) = &mut observation.certificate { certificate.recalled = false; }
                observation
            })
            .collect();
        let of = |sensor: usize| {
            let records = observations.iter().zip(&sensors).filter(|(_, of)| **of == sensor);
            history_of(records.map(|(observation, _)| observation))
        };
        let [a, b, c] = [of(0), of(1), of(2)];
        let whole = history_of(observations.iter());
        let merged = merge(&merge(&a, &b), &c);
        let (found, expected) = (without_keys(&content(&merged)), without_keys(&content(&whole)));
        for (place, content) in &expected {
            prop_assert_eq!(found.get(place), Some(content), "{:?}", place);
        }
        prop_assert_eq!(found.len(), expected.len());
        // In every byte, learning and the order of recency included.
        prop_assert_eq!(rows(&merged), rows(&merge(&a, &merge(&b, &c))));
        prop_assert_eq!(rows(&merge(&a, &b)), rows(&merge(&b, &a)));
        prop_assert_eq!(rows(&merge(&merged, &merged)), rows(&merged));
        prop_assert_eq!(rows(&merge(&merged, &a)), rows(&merged), "merging a part again changes nothing");
        prop_assert_eq!(merged.learning(), merge(&c, &merge(&b, &a)).learning());
        prop_assert_eq!(merge(&merged, &b).learning(), merged.learning());
    }
}

/// Whether a key is established depends on the certificate that it came with last, so on the order.
fn without_keys(content: &BTreeMap<(HistoryTable, Id128), String>) -> BTreeMap<(HistoryTable, Id128), String> {
    let keys = |text: &str| text.replace(" true ", " ").replace(" false ", " ");
    content
        .iter()
        .map(|((table, id), text)| {
            let text = if *table == HistoryTable::Keys { keys(text) } else { text.clone() };
            ((*table, *id), text)
        })
        .collect()
}

#[test]
fn one_hostile_client_cannot_make_what_is_established_new_again() {
    const ESTABLISHED: u64 = 200;
    let (flood, memory) = if full_tests() { (1_000_000_u64, 128 << 20) } else { (50_000, 4 << 20) };
    let settings = HistorySettings { memory, ..SETTINGS };
    let mut history = History::new(settings, true);
    let id = |kind: &str, number: u64| Id128::of_parts(&[kind.as_bytes(), &number.to_be_bytes()]);
    let clock = certsift::model::EventTime(20_000 * certsift::model::DAY_NANOS);
    let session = |client: u64, kind: &str, number: u64| Observation {
        at: clock.plus(number as i64),
        clock: clock.plus(number as i64),
        client: Caller::Outgoing(id("client", client)),
        server: Some(id(kind, number)),
        network: Some(id("network", number % 100)),
        domain: Some(id(kind, number)),
        certificate: Some(certsift::history::ObservedCertificate {
            id: id(kind, number),
            key: Some(id(kind, number)),
            issuer: Some(id(kind, number)),
            organization: Some(id(&format!("organization {kind}"), number)),
            own_issuer: false,
            recalled: false,
        }),
        fingerprint: None,
    };
    for client in 0..3 {
        for number in 0..ESTABLISHED {
            observe(&mut history, &session(client, "established", number));
        }
    }
    let started = Instant::now();
    for number in 0..flood {
        observe(&mut history, &session(99, "flood", number));
        for table in history.usage() {
            assert!(table.weight <= table.capacity, "{table:?}");
        }
        // What a commit would take, so that changes do not pile up.
        if number % 10_000 == 0 {
            history.take_changes(|_, _, _, _| {});
        }
    }
    let taken = started.elapsed();
    for number in 0..ESTABLISHED {
        let seen = history.look_up(&session(0, "established", number));
        let issuer = seen.issuer.unwrap();
        assert_eq!((issuer.clients, issuer.first.at), (3, clock.plus(number as i64)));
        assert_eq!(seen.organization.unwrap().clients, 3);
        assert_eq!(seen.certificate.unwrap().clients, 3);
        assert_eq!(seen.name.unwrap().clients, 3);
        assert_eq!(seen.server.unwrap().clients, 3);
        assert!(seen.key.is_some());
    }
    assert!(history.evicted() > 0);
    let accounted: u64 =
        history.usage().iter().filter(|it| it.table != HistoryTable::Clients).map(|it| it.weight).sum();
    assert!(accounted <= memory);
    eprintln!(
        "flood: {flood} issuers and certificates, {accounted} of {memory} bytes accounted, {} entries evicted, \
         {:.0} sessions/s",
        history.evicted(),
        flood as f64 / taken.as_secs_f64()
    );
}

/// Sessions in the order of their times, a second apart at least.
fn sessions(seed: u64, count: usize) -> Vec<Session> {
    let mut random = Random::from_seed(seed);
    let mut time = 1_760_000_000;
    let mut pick = |few: usize, many: usize| if random.one_in(3) { random.below(many) } else { random.below(few) };
    let mut session = || {
        time += 1 + pick(60, 40 * 86_400 * 2 / count.max(1)) as u64;
        let server = pick(20, 2000) as u32;
        Session {
            time,
            client: pick(40, 300) as u32,
            server,
            name: if pick(3, 3) == 0 { pick(40, 1000) as u32 } else { server },
            certificate: if pick(8, 8) == 0 { pick(10, 3000) as u32 } else { server },
        }
    };
    (0..count).map(|_| session()).collect()
}

/// What the program has to say of each session, by its uid: told from all sessions before, the naive way.
fn expected_objects(sessions: &[Session], window: i64) -> Vec<Value> {
    let mut expected = Vec::new();
    let micros = |time: u64| time as i64 * 1_000_000;
    for (number, it) in sessions.iter().enumerate() {
        let seen = &sessions[..=number];
        let from_day = it.time as i64 / 86_400 - window + 1;
        let issuer = issuer_of(it.certificate);
        let by_issuer: Vec<_> = seen.iter().filter(|other| issuer_of(other.certificate) == issuer).collect();
        let by_certificate: Vec<_> = seen.iter().filter(|other| other.certificate == it.certificate).collect();
        let count = |of: &[&Session], what: fn(&Session) -> u32| {
            let inside = of.iter().filter(|other| other.time as i64 / 86_400 >= from_day);
            inside.map(|other| what(other)).collect::<BTreeSet<_>>().len().min(32)
        };
        expected.push(json!({
            "clients": count(&by_issuer, |it| it.client),
            "internal_clients": null,
            "domains": count(&by_issuer, |it| it.name),
            "servers": count(&by_issuer, |it| it.server),
            "certificates": count(&by_issuer, |it| it.certificate),
            "first_seen": by_issuer.iter().map(|other| micros(other.time)).min(),
            "last_seen": by_issuer.iter().map(|other| micros(other.time)).max(),
            "certificate_first_seen": by_certificate.iter().map(|other| micros(other.time)).min(),
            "certificate_clients": count(&by_certificate, |it| it.client),
            "name_first_seen": seen.iter().filter(|other| other.name == it.name).map(|other| micros(other.time)).min(),
        }));
    }
    expected
}

fn assert_objects(records: &[Value], first: usize, expected: &[Value], what: &str) {
    let sessions: Vec<_> = records.iter().filter(|record| record["certsift"]["log"] == "zeek.ssl").collect();
    assert_eq!(sessions.len(), expected.len() - first, "{what}");
    for record in sessions {
        let number: usize = record["uid"].as_str().unwrap()[1..].parse().unwrap();
        let stated = support::oracle::stated(&record["certsift"]);
        assert_eq!(stated, expected[number], "{what}: {record}");
    }
}

#[test]
fn the_program_says_what_the_naive_way_says_for_any_batches_threads_and_restarts() {
    let seed = seed();
    let count = if full_tests() { 20_000 } else { 2000 };
    let all = sessions(seed, count);
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("certsift.toml");
    std::fs::write(&config, "[history]\nwindow = \"10d\"\n").unwrap();
    let options = |extra: &[&str]| {
        let config = ["--config", config.to_str().unwrap(), "--detail", "full"];
        config.iter().chain(extra).map(|&option| option.to_owned()).collect::<Vec<_>>()
    };
    let replay = |path: &std::path::Path, extra: &[&str]| {
        let options = options(extra);
        records(&support::replay(&[path.to_owned()], &options.iter().map(String::as_str).collect::<Vec<_>>()))
    };
    let expected = expected_objects(&all, 10);
    // More files at once are read in smaller batches.
    for (files, threads) in [(1, "1"), (1, "4"), (7, "2"), (60, "3")] {
        let logs = folder.path().join(format!("logs-{files}"));
        history_logs::write(&logs, &all, files);
        let what = format!("CERTSIFT_SEED={seed}, {files} files, {threads} threads");
        assert_objects(&replay(&logs, &["--threads", threads]), 0, &expected, &what);
    }
    let mut random = Random::from_seed(seed ^ 7);
    for turn in 0..3 {
        let cut = 1 + random.below(count - 1);
        let state = folder.path().join(format!("state-{turn}"));
        for (part, range) in [(0, 0..cut), (1, cut..count)] {
            let logs = folder.path().join(format!("cut-{turn}-{part}"));
            // All sessions are numbered from the beginning.
            let lines: Vec<_> = range.clone().map(|number| history_logs::ssl(number, &all[number])).collect();
            std::fs::create_dir(&logs).unwrap();
            std::fs::write(logs.join("ssl.log"), lines.join("\n") + "\n").unwrap();
            if part == 0 {
                let x509 = std::fs::read(folder.path().join("logs-1/x509.log")).unwrap();
                std::fs::write(logs.join("x509.log"), x509).unwrap();
            }
            let records = replay(&logs, &["--state", state.to_str().unwrap()]);
            let what = format!("CERTSIFT_SEED={seed}, cut at {cut}, part {part}");
            assert_objects(&records, if part == 0 { count - cut } else { cut }, &expected, &what);
        }
    }
}

#[test]
fn zeek_and_suricata_count_the_same_client_once_and_alerts_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let session = Session { time: 1_760_000_000, client: 7, server: 1, name: 1, certificate: 1 };
    history_logs::write(&folder.path().join("logs"), &[session], 1);
    let (client, server) = (history_logs::client(7), history_logs::server(1));
    let colons = |text: &str| {
        let pairs: Vec<_> = text.as_bytes().chunks(2).map(|pair| String::from_utf8_lossy(pair).into_owned()).collect();
        pairs.join(":")
    };
    // SHA-1 is what Suricata logs; the facts are the same.
    let tls = format!(
        r#""tls":{{"subject":"CN=c1.example","issuerdn":"O=Organisation 1, CN=CA 1","serial":"01","fingerprint":"{}","sni":"www.name1.example","version":"TLS 1.2","notbefore":"2023-11-14T22:13:20","notafter":"2030-03-17T17:46:40"}}"#,
        colons(&"a".repeat(40))
    );
    let event = |kind: &str, second: u32, flow: u32, client: &str| {
        format!(
            r#"{{"timestamp":"2025-10-09T08:53:{second:02}.000000+0000","flow_id":{flow},"event_type":"{kind}","src_ip":"{client}","src_port":5000,"dest_ip":"{server}","dest_port":443,"proto":"TCP",{tls}}}"#
        )
    };
    let events = [
        event("tls", 21, 1, &client),
        event("alert", 22, 1, &client),
        // An alert on a flow of another client, which has no record.
        event("alert", 23, 2, "10.9.9.9"),
        event("tls", 24, 3, &client),
    ];
    std::fs::write(folder.path().join("logs/eve.json"), events.join("\n") + "\n").unwrap();
    let records = records(&support::replay(&[folder.path().join("logs")], &["--detail", "full"]));
    let last = records.iter().find(|record| record["flow_id"] == 3).unwrap();
    let history = &last["certsift"]["issuer_history"];
    assert_eq!(
        (&history["clients"], &history["servers"], &history["domains"]),
        (&json!(1), &json!(1), &json!(1)),
        "{last}"
    );
}
