//! `certsift run` beside a sensor: the real binary, real files, real signals.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails, and says so")]

mod support;

use std::process::Stdio;
use std::time::{Duration, Instant};

use support::sidecar::{PATIENCE, World, compress, ssl, states, uids, x509};

#[test]
fn a_session_waits_for_its_certificate_and_not_longer() {
    let mut world = World::new();
    world.append("logs/ssl.log", &[ssl(1_760_000_000, 1), ssl(1_760_000_001, 2)]);
    world.start();
    world.append("logs/x509.log", &[x509(1_760_000_000, 1)]);
    let records = world.wait_for(3);
    let of = |uid: &str| records.iter().find(|record| record["uid"] == uid).unwrap()["certsift"].clone();
    assert_eq!(of("C1760000000")["certificate"]["state"], "presented");
    assert_eq!(of("C1760000000")["sensor"], "dmz-1");
    // No other record moves the event clock on: the clock on the wall ends the wait.
    assert_eq!(of("C1760000001")["certificate"]["absent_reason"], "not_found", "{}", of("C1760000001"));
    world.stop();
}

#[test]
fn a_restart_reads_on_and_remembers_every_certificate() {
    let mut world = World::new();
    world.start();
    world.append("logs/x509.log", &[x509(1_760_000_000, 1)]);
    world.append("logs/ssl.log", &[ssl(1_760_000_001, 1)]);
    world.wait_for(2);
    world.stop();
    world.append("logs/ssl.log", &[ssl(1_760_000_002, 1)]);
    world.start();
    world.append("logs/ssl.log", &[ssl(1_760_000_003, 1)]);
    world.wait_for(4);
    world.stop();
    let records = world.output();
    assert_eq!(uids(&records), ["C1760000001", "C1760000002", "C1760000003"]);
    assert_eq!(states(&records), ["presented"; 3]);
    // History counted each session once.
    let last = &records.last().unwrap()["certsift"];
    assert_eq!(last["issuer_history"]["first_seen"], "2025-10-09T08:53:21Z");
}

#[test]
fn rotation_by_rename_neither_loses_nor_doubles() {
    let mut world = World::new();
    world.start();
    world.append("logs/x509.log", &[x509(1_760_000_000, 1)]);
    let mut time = 1_760_000_001;
    let mut expected = Vec::new();
    for rotation in 0..4 {
        for _ in 0..3 {
            let batch: Vec<u32> = (time..time + 50).collect();
            time += 50;
            world.append("logs/ssl.log", &batch.iter().map(|time| ssl(*time, 1)).collect::<Vec<_>>());
            expected.extend(batch.iter().map(|time| format!("C{time}")));
            std::thread::sleep(Duration::from_millis(30));
        }
        std::fs::rename(world.path("logs/ssl.log"), world.path(&format!("logs/ssl.{rotation}.log"))).unwrap();
    }
    let mut seen = uids(&world.wait_for(expected.len() + 1));
    world.stop();
    seen.sort();
    assert_eq!(seen, expected);
}

#[test]
fn what_was_rotated_and_compressed_while_down_is_read_on_in_the_archive() {
    let mut world = World::new();
    world.start();
    world.append("logs/x509.log", &[x509(1_760_000_000, 1)]);
    world.append("logs/ssl.log", &[ssl(1_760_000_001, 1), ssl(1_760_000_002, 1)]);
    world.wait_for(3);
    world.stop();
    world.append("logs/ssl.log", &[ssl(1_760_000_003, 1), ssl(1_760_000_004, 1)]);
    compress(&world.path("logs/ssl.log"), &world.path("archive/ssl.00-01.log.gz"));
    world.append("logs/ssl.log", &[ssl(1_760_003_600, 1)]);
    world.start();
    world.wait_for(6);
    world.stop();
    let uids = uids(&world.output());
    assert_eq!(uids, ["C1760000001", "C1760000002", "C1760000003", "C1760000004", "C1760003600"]);
}

#[test]
fn a_first_start_learns_certificates_from_archives_and_writes_none_of_them() {
    let mut world = World::new();
    world.append("logs/old.log", &[x509(1_760_000_000, 7)]);
    compress(&world.path("logs/old.log"), &world.path("archive/x509.00-01.log.gz"));
    world.append("logs/ssl.log", &[ssl(1_760_003_600, 7)]);
    world.start();
    let records = world.wait_for(1);
    world.stop();
    assert_eq!(world.output().len(), 1);
    assert_eq!(states(&records), ["presented"]);
}

#[test]
fn a_session_that_waits_survives_a_kill() {
    let mut world = World::with_wait("60s");
    world.append("logs/ssl.log", &[ssl(1_760_000_000, 1)]);
    world.start();
    // Two commits: the session has been read, and waits.
    std::thread::sleep(Duration::from_secs(5));
    world.kill();
    assert_eq!(world.output().len(), 0);
    world.start();
    world.append("logs/x509.log", &[x509(1_760_000_001, 1)]);
    let records = world.wait_for(2);
    world.stop();
    assert_eq!(uids(&records), ["C1760000000"]);
    assert_eq!(states(&records), ["presented"]);
    assert_eq!(world.output().len(), 2);
}

#[test]
fn a_line_that_a_kill_tore_is_cut_and_written_again() {
    let mut world = World::new();
    world.append("logs/x509.log", &[x509(1_760_000_000, 1)]);
    world.append("logs/ssl.log", &(1..=20).map(|time| ssl(1_760_000_000 + time, 1)).collect::<Vec<_>>());
    world.start();
    world.wait_for(21);
    world.kill();
    // As if the kill had come before the first commit: everything is read again, with the same ids.
    std::fs::remove_dir_all(world.path("state")).unwrap();
    let whole = std::fs::read(world.path("out.ndjson")).unwrap();
    std::fs::write(world.path("out.ndjson"), &whole[..whole.len() - 7]).unwrap();
    world.start();
    world.wait_for(41);
    world.stop();
    let mut ids: Vec<String> =
        world.output().iter().map(|record| record["certsift"]["id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 21);
}

#[test]
fn sighup_opens_the_output_by_its_name_again() {
    let mut world = World::new();
    world.append("logs/x509.log", &[x509(1_760_000_000, 1)]);
    world.start();
    world.wait_for(1);
    std::fs::rename(world.path("out.ndjson"), world.path("out.1")).unwrap();
    world.signal("-HUP");
    let started = Instant::now();
    while !world.path("out.ndjson").exists() {
        assert!(started.elapsed() < PATIENCE, "{}", world.said());
        std::thread::sleep(Duration::from_millis(20));
    }
    world.append("logs/ssl.log", &[ssl(1_760_000_001, 1)]);
    world.wait_for(1);
    world.stop();
    assert_eq!(uids(&world.output()), ["C1760000001"]);
    assert_eq!(support::records(&std::fs::read(world.path("out.1")).unwrap()).len(), 1);
}

#[test]
fn a_backlog_finds_its_certificates_however_its_files_are_read() {
    let mut world = World::new();
    world.append("logs/x509.log", &[x509(1_760_000_000, 1)]);
    world.append("logs/ssl.log", &[ssl(1_760_000_000, 1)]);
    world.start();
    world.wait_for(2);
    world.stop();
    let numbers = 2..3000;
    world
        .append("logs/ssl.log", &numbers.clone().map(|number| ssl(1_760_000_000 + number, number)).collect::<Vec<_>>());
    world.append("logs/x509.log", &numbers.map(|number| x509(1_760_000_000 + number, number)).collect::<Vec<_>>());
    world.start();
    let records = world.wait_for(2 * 2999);
    world.stop();
    assert_eq!(states(&records).iter().filter(|state| **state != "presented").count(), 0);
}

#[test]
fn a_file_with_one_wild_time_does_not_move_the_clock() {
    let mut world = World::new();
    world.append("logs/x509.log", &[x509(1_760_000_000, 1)]);
    world.append("logs/ssl.log", &(0..5).map(|time| ssl(1_760_000_000 + time, 1)).collect::<Vec<_>>());
    world.start();
    world.wait_for(6);
    world.append("logs/ssl2.log", &[ssl(4_102_444_800, 2)]);
    world.wait_for(7);
    world.append("logs/x509.log", &[x509(1_760_000_010, 3)]);
    world.append("logs/ssl.log", &[ssl(1_760_000_011, 3)]);
    let records = world.wait_for(9);
    world.stop();
    let of = |uid: &str| records.iter().find(|record| record["uid"] == uid).unwrap()["certsift"].clone();
    assert_eq!(of("C1760000011")["issuer_history"]["first_seen"], "2025-10-09T08:53:20Z");
}

#[test]
fn what_certsift_writes_is_never_its_input() {
    let mut world = World::new();
    let config = "[[input]]\npaths = [\"logs\"]\n[output]\npath = \"logs/ssl-out.log\"\n[state]\ndir = \"state\"\n";
    std::fs::write(world.path("certsift.toml"), config).unwrap();
    world.append("logs/ssl.log", &[ssl(1_760_000_000, 1)]);
    world.start();
    std::thread::sleep(Duration::from_secs(4));
    world.append("logs/ssl.log", &[ssl(1_760_000_001, 1)]);
    std::thread::sleep(Duration::from_secs(2));
    world.stop();
    assert_eq!(support::records(&std::fs::read(world.path("logs/ssl-out.log")).unwrap()).len(), 2);
}

#[test]
fn a_second_process_on_one_state_is_refused() {
    let mut world = World::new();
    world.append("logs/ssl.log", &[ssl(1_760_000_000, 1)]);
    world.start();
    world.wait_for(1);
    let second = world.command().stderr(Stdio::piped()).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("another certsift is using this state"));
    world.stop();
}

#[test]
fn sighup_follows_the_inputs_of_the_new_configuration_and_keeps_the_old_one_where_that_is_wrong() {
    let mut world = World::new();
    world.append("logs/x509.log", &[x509(1_760_000_000, 1)]);
    std::fs::create_dir(world.path("more")).unwrap();
    world.append("more/ssl.log", &[ssl(1_760_000_001, 1)]);
    world.start();
    world.wait_for(1);
    let config = std::fs::read_to_string(world.path("certsift.toml")).unwrap();
    let more = config.replace("\"logs/*.log\"", "\"logs/*.log\", \"more/*.log\"");
    let more = more.replace("path = \"out.ndjson\"", "path = \"out.ndjson\"\ndetail = \"full\"");
    std::fs::write(world.path("certsift.toml"), more).unwrap();
    world.signal("-HUP");
    assert!(world.wait_for(2)[1]["certsift"]["issuer_history"]["clients"].is_number(), "detail is full now");
    std::fs::write(world.path("certsift.toml"), "[[input]]\nmistake = 1\n").unwrap();
    world.signal("-HUP");
    let started = Instant::now();
    while !world.said().contains("going on with the one before") {
        assert!(started.elapsed() < PATIENCE, "{}", world.said());
        std::thread::sleep(Duration::from_millis(20));
    }
    world.append("more/ssl.log", &[ssl(1_760_000_002, 1)]);
    world.wait_for(3);
    world.stop();
    assert_eq!(uids(&world.output()), ["C1760000001", "C1760000002"]);
}

#[test]
fn what_stands_still_commits_nothing() {
    let mut world = World::new();
    let config = std::fs::read_to_string(world.path("certsift.toml")).unwrap();
    let config = config.replace("dir = \"state\"", "dir = \"state\"\ncommit_interval = \"20ms\"");
    std::fs::write(world.path("certsift.toml"), config).unwrap();
    world.append("logs/x509.log", &[x509(1_760_000_000, 1)]);
    world.start();
    world.wait_for(1);
    let journals = || {
        let entries = std::fs::read_dir(world.path("state")).unwrap().flatten();
        entries.map(|entry| entry.file_name()).filter(|name| name.to_string_lossy().contains("journal")).max()
    };
    std::thread::sleep(Duration::from_secs(1));
    let before = journals();
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(journals(), before);
    world.stop();
}
