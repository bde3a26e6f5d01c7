//! Inputs that cannot be read for now: said once, tried again, and read when they can be.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails, and says so")]

mod support;

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;
use std::time::{Duration, Instant};

use support::sidecar::{PATIENCE, World, ssl, uids, x509};
use support::traffic::BEGINNING;

#[test]
fn what_is_no_file_is_said_once_and_read_when_it_is_one() {
    let mut world =
        following(&["logs/*.log", "other/loop.log", "other/link.log", "other/pipe.log", "other/folder.log"]);
    symlink("loop.log", world.path("other/loop.log")).unwrap();
    symlink("nowhere.log", world.path("other/link.log")).unwrap();
    assert!(Command::new("mkfifo").arg(world.path("other/pipe.log")).status().unwrap().success());
    std::fs::create_dir(world.path("other/folder.log")).unwrap();
    world.append("logs/x509.log", &[x509(BEGINNING, 1)]);
    world.append("logs/ssl.log", &[ssl(BEGINNING, 1)]);
    world.start();
    world.wait_for(2);
    // Several sweeps.
    std::thread::sleep(Duration::from_secs(if support::full_tests() { 30 } else { 5 }));
    // A folder may be empty.
    for name in ["loop.log", "link.log", "pipe.log"] {
        assert_eq!(times_said(&world, name), 1, "{name}: {}", world.said());
    }
    std::fs::remove_file(world.path("other/loop.log")).unwrap();
    std::fs::remove_file(world.path("other/pipe.log")).unwrap();
    std::fs::remove_dir(world.path("other/folder.log")).unwrap();
    let names = ["other/loop.log", "other/nowhere.log", "other/pipe.log", "other/folder.log"];
    for (time, name) in (BEGINNING + 1..).zip(names) {
        world.append(name, &[ssl(time, 1)]);
    }
    assert_sessions_once(&mut world, 5);
}

#[test]
fn a_folder_that_vanishes_and_comes_back_is_read_on() {
    let mut world = following(&["logs/*.log", "other/ssl.log"]);
    world.append("logs/x509.log", &[x509(BEGINNING, 1)]);
    world.append("other/ssl.log", &[ssl(BEGINNING, 1), ssl(BEGINNING + 1, 1)]);
    world.start();
    world.wait_for(3);
    // As when a disk is taken off: the same files, elsewhere or nowhere.
    std::fs::rename(world.path("other"), world.path("unmounted")).unwrap();
    let started = Instant::now();
    while times_said(&world, "other/ssl.log") == 0 {
        assert!(started.elapsed() < PATIENCE, "not said: {}", world.said());
        std::thread::sleep(Duration::from_millis(50));
    }
    // Beyond the grace, in which a file without a name is still followed.
    std::thread::sleep(Duration::from_secs(if support::full_tests() { 20 } else { 7 }));
    assert_eq!(times_said(&world, "other/ssl.log"), 1, "{}", world.said());
    world.append("unmounted/ssl.log", &[ssl(BEGINNING + 2, 1)]);
    std::fs::rename(world.path("unmounted"), world.path("other")).unwrap();
    world.wait_for(4);
    // And as when somebody cleans up, and the sensor makes everything anew.
    std::fs::remove_dir_all(world.path("other")).unwrap();
    std::thread::sleep(Duration::from_secs(1));
    std::fs::create_dir(world.path("other")).unwrap();
    world.append("other/ssl.log", &[ssl(BEGINNING + 3, 1), ssl(BEGINNING + 4, 1)]);
    assert_sessions_once(&mut world, 5);
}

#[test]
fn a_file_without_permission_is_said_once_and_read_when_it_is_given() {
    let mut world = following(&["logs/*.log", "other/ssl.log"]);
    world.append("logs/x509.log", &[x509(BEGINNING, 1)]);
    world.append("logs/ssl.log", &[ssl(BEGINNING, 1)]);
    world.append("other/ssl.log", &[ssl(BEGINNING + 1, 1)]);
    let closed = world.path("other/ssl.log");
    std::fs::set_permissions(&closed, Permissions::from_mode(0o000)).unwrap();
    if std::fs::File::open(&closed).is_ok() {
        // Not `eprintln`, which the test harness keeps to itself.
        let _ = writeln!(std::io::stderr(), "SKIPPED: this user may read everything");
        return;
    }
    world.start();
    world.wait_for(2);
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(times_said(&world, "other/ssl.log"), 1, "{}", world.said());
    std::fs::set_permissions(&closed, Permissions::from_mode(0o644)).unwrap();
    assert_sessions_once(&mut world, 2);
}

/// A world with these inputs, and a folder `other`.
fn following(paths: &[&str]) -> World {
    let world = World::new();
    std::fs::create_dir(world.path("other")).unwrap();
    let config = format!("[[input]]\npaths = {paths:?}\n[output]\npath = \"out.ndjson\"\n[state]\ndir = \"state\"\n");
    std::fs::write(world.path("certsift.toml"), config).unwrap();
    world
}

/// Lines on standard error with these words.
fn times_said(world: &World, words: &str) -> usize {
    world.said().lines().filter(|line| line.contains(words)).count()
}

/// So many sessions, and the certificate, come out once each.
fn assert_sessions_once(world: &mut World, sessions: u32) {
    world.wait_for(sessions as usize + 1);
    world.stop();
    let mut found = uids(&world.output());
    found.sort();
    let expected: Vec<_> = (0..sessions).map(|number| format!("C{}", BEGINNING + number)).collect();
    assert_eq!(found, expected, "{}", world.said());
}
