//! What a restart finds: an output that is not what it was, a state that is newer, an end in a hurry.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails, and says so")]

mod support;

use std::fs::OpenOptions;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use support::process::end_within;
use support::sidecar::{PATIENCE, World, ssl, uids, x509};
use support::traffic::{BEGINNING, Traffic, lines, numbers};

/// How soon a start that cannot be has ended.
const REFUSES_WITHIN: Duration = Duration::from_secs(10);

#[test]
fn an_output_that_was_shortened_is_an_error_that_says_what_to_do() {
    let mut world = after_two_records();
    let output = OpenOptions::new().write(true).open(world.path("out.ndjson")).unwrap();
    let length = output.metadata().unwrap().len();
    output.set_len(length - 100).unwrap();
    world.start();
    let status = end_within(world.child.as_mut().unwrap(), REFUSES_WITHIN).map(|status| status.code());
    let said = world.said();
    assert_eq!(status, Some(Some(1)), "{said}");
    let last = said.lines().skip_while(|line| !line.starts_with("certsift: ")).collect::<Vec<_>>().join(" ");
    for word in ["out.ndjson", &length.to_string(), &(length - 100).to_string()] {
        assert!(last.contains(word), "`{word}` is not in: {last}");
    }
    // Advice, in whatever words.
    assert!(["move", "remove", "restore", "delete"].iter().any(|word| last.contains(word)), "{last}");
    assert_eq!(output.metadata().unwrap().len(), length - 100, "it was touched");
}

#[test]
fn an_output_that_is_gone_is_begun_anew_and_that_is_said() {
    let mut world = after_two_records();
    std::fs::remove_file(world.path("out.ndjson")).unwrap();
    let before = world.said().len();
    world.start();
    world.append("logs/ssl.log", &[ssl(BEGINNING + 1, 1)]);
    let records = world.wait_for(1);
    world.stop();
    assert_eq!(uids(&records), [format!("C{}", BEGINNING + 1)]);
    assert_eq!(world.output().len(), 1, "what was written before is not written again");
    let said = &world.said()[before..];
    let words = ["new", "anew", "gone", "missing", "not there", "no longer"];
    assert!(
        said.lines().any(|line| line.contains("out.ndjson") && words.iter().any(|word| line.contains(word))),
        "{said}"
    );
}

#[test]
fn a_store_that_a_kill_left_half_made_is_made_anew() {
    let mut world = World::new();
    std::fs::create_dir(world.path("state")).unwrap();
    std::fs::write(world.path("state/certsift.unfinished"), [0; 4096]).unwrap();
    world.append("logs/ssl.log", &[ssl(BEGINNING, 1)]);
    world.start();
    world.wait_for(1);
    world.stop();
    assert!(!world.path("state/certsift.unfinished").exists());
}

#[test]
fn a_state_of_a_newer_version_is_refused_and_not_touched() {
    let mut world = after_two_records();
    let version = || redb::TableDefinition::<&str, &[u8]>::new("meta");
    let path = world.path("state/certsift.redb");
    let database = redb::Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(version()).unwrap().insert("version", &u32::MAX.to_be_bytes()[..]).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let output = std::fs::read(world.path("out.ndjson")).unwrap();
    world.append("logs/ssl.log", &[ssl(BEGINNING + 1, 1)]);
    world.start();
    let status = end_within(world.child.as_mut().unwrap(), REFUSES_WITHIN).map(|status| status.code());
    assert_eq!(status, Some(Some(1)), "{}", world.said());
    assert!(world.said().contains("newer"), "{}", world.said());
    assert_eq!(std::fs::read(world.path("out.ndjson")).unwrap(), output);
}

/// Sessions that take seconds, also where the machine is fast.
const BACKLOG: u32 = 600_000;

#[test]
fn a_second_sigterm_ends_at_once_and_a_restart_neither_loses_nor_doubles() {
    let mut world = World::new();
    let (mut traffic, log) = (Traffic::default(), log_of(&world));
    world.append("logs/x509.log", &[x509(BEGINNING, 1)]);
    traffic.append(&log, 50);
    world.start();
    world.wait_for(51);
    // Seconds of work, which the first signal wants done.
    traffic.append(&log, BACKLOG);
    world.signal("-TERM");
    std::thread::sleep(Duration::from_millis(100));
    world.signal("-TERM");
    let status = end_within(world.child.as_mut().unwrap(), Duration::from_secs(2));
    assert_eq!(status.and_then(|status| status.code()), Some(143), "{status:?}; {}", world.said());
    assert!(lines(&world.path("out.ndjson")) < BACKLOG as usize, "the backlog was too small for this test");
    world.start();
    let started = Instant::now();
    while lines(&world.path("out.ndjson")) <= traffic.sessions as usize {
        assert!(started.elapsed() < 2 * PATIENCE, "{}", world.said());
        std::thread::sleep(Duration::from_millis(200));
    }
    world.stop();
    traffic.assert_once(numbers(&std::fs::read(world.path("out.ndjson")).unwrap()), &world.said());
}

fn log_of(world: &World) -> PathBuf {
    world.path("logs/ssl.log")
}

/// A certificate and a session were written, and certsift has ended in order.
fn after_two_records() -> World {
    let mut world = World::new();
    world.append("logs/x509.log", &[x509(BEGINNING, 1)]);
    world.append("logs/ssl.log", &[ssl(BEGINNING, 1)]);
    world.start();
    world.wait_for(2);
    world.stop();
    world
}
