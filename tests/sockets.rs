//! What comes over Unix sockets and standard input: as Suricata sends it, and as nobody should.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails, and says so")]

mod support;

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::process::end_within;
use support::sidecar::{PATIENCE, World};

/// A session as Suricata logs it.
fn event(number: usize) -> String {
    format!(
        r#"{{"timestamp":"2026-03-08T19:32:16.975543+0000","flow_id":{number},"event_type":"tls","src_ip":"10.0.0.1","src_port":5000,"dest_ip":"192.0.2.1","dest_port":443,"proto":"TCP","tls":{{"sni":"host{number}.example","version":"TLS 1.2","subject":"CN=host{number}.example","issuerdn":"CN=Some CA","serial":"01"}}}}"#
    ) + "\n"
}

fn events(numbers: std::ops::Range<usize>) -> String {
    numbers.map(event).collect()
}

fn numbers(records: &[Value]) -> Vec<u64> {
    let mut found: Vec<u64> = records.iter().map(|record| record["flow_id"].as_u64().unwrap()).collect();
    found.sort_unstable();
    found
}

fn world(input: &str) -> World {
    let world = World::new();
    let config = format!("[[input]]\n{input}\n[output]\npath = \"out.ndjson\"\n[state]\ndir = \"state\"\n");
    std::fs::write(world.path("certsift.toml"), config).unwrap();
    world
}

fn listening(input: &str) -> World {
    let mut world = world(input);
    world.start();
    world
}

/// Connects as soon as somebody listens.
fn connect(path: &Path) -> UnixStream {
    let started = Instant::now();
    loop {
        match UnixStream::connect(path) {
            Ok(stream) => return stream,
            Err(error) => assert!(started.elapsed() < PATIENCE, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn datagrams(path: &Path) -> UnixDatagram {
    let socket = UnixDatagram::unbound().unwrap();
    let started = Instant::now();
    while socket.connect(path).is_err() {
        assert!(started.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(10));
    }
    socket
}

fn dead_letters(world: &World) -> Vec<Value> {
    support::records(&std::fs::read(world.path("out.ndjson.dead.ndjson")).unwrap_or_default())
}

const STREAM: &str = "socket = \"unix-stream:eve.sock\"\nsensor = \"uplink\"";
const DATAGRAM: &str = "socket = \"unix-dgram:eve.sock\"\nsensor = \"uplink\"";

#[test]
fn records_of_a_stream_arrive_once_over_connections_and_restarts() {
    let mut world = listening(STREAM);
    let path = world.path("eve.sock");
    let mut sender = connect(&path);
    let text = events(0..200);
    for part in text.as_bytes().chunks(97) {
        sender.write_all(part).unwrap();
    }
    world.wait_for(200);
    drop(sender);
    // Another connection may hold the same bytes.
    connect(&path).write_all(text.as_bytes()).unwrap();
    world.wait_for(400);
    world.stop();
    assert!(!path.exists());
    world.start();
    connect(&path).write_all(text.as_bytes()).unwrap();
    let output = world.wait_for(600);
    world.stop();
    let expected: Vec<u64> = (0..200).flat_map(|number| [number; 3]).collect();
    assert_eq!(numbers(&output), expected);
    let ids: BTreeSet<&str> = output.iter().map(|record| record["certsift"]["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 600);
    assert!(output.iter().all(|record| record["certsift"]["sensor"] == "uplink"));
    assert_eq!(dead_letters(&world), Vec::<Value>::new());
}

#[test]
fn what_was_sent_before_the_stop_is_written() {
    let mut world = listening(STREAM);
    let path = world.path("eve.sock");
    let (mut one, mut other) = (connect(&path), connect(&path));
    one.write_all(events(0..3000).as_bytes()).unwrap();
    other.write_all(events(3000..6000).as_bytes()).unwrap();
    world.stop();
    assert_eq!(numbers(&world.output()), (0..6000).collect::<Vec<u64>>());
    // And over datagrams.
    let mut world = listening(DATAGRAM);
    let sender = datagrams(&world.path("eve.sock"));
    for number in 0..2000 {
        sender.send(event(number).as_bytes()).unwrap();
    }
    world.stop();
    assert_eq!(numbers(&world.output()), (0..2000).collect::<Vec<u64>>());
}

#[test]
fn a_sender_that_never_ceases_does_not_keep_the_process() {
    let mut world = listening(STREAM);
    let mut sender = connect(&world.path("eve.sock"));
    let sending = std::thread::spawn(move || {
        let mut sent = 0;
        while sender.write_all(event(sent).as_bytes()).is_ok() {
            sent += 1;
        }
        sent
    });
    world.wait_for(100);
    world.stop();
    let sent = sending.join().unwrap();
    let written = numbers(&world.output());
    assert!(written.len() <= sent);
    assert_eq!(written, (0..written.len() as u64).collect::<Vec<u64>>());
}

#[test]
fn a_datagram_is_a_line_or_several() {
    let mut world = listening(DATAGRAM);
    let sender = datagrams(&world.path("eve.sock"));
    for text in
        [event(0), event(1).trim_end().to_owned(), event(2) + event(3).trim_end(), String::new(), "\n".to_owned()]
    {
        sender.send(text.as_bytes()).unwrap();
    }
    // As long as the kernel takes it by default.
    let padding = "x".repeat(150_000);
    let long = event(4).replace(r#""proto""#, &format!(r#""padding":"{padding}","proto""#));
    sender.send(long.as_bytes()).unwrap();
    sender.send(b"no record").unwrap();
    sender.send(event(5).as_bytes()).unwrap();
    let output = world.wait_for(6);
    world.stop();
    assert_eq!(numbers(&output), [0, 1, 2, 3, 4, 5]);
    let letters = dead_letters(&world);
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0]["text"], "no record");
    assert!(letters[0]["file"].as_str().unwrap().ends_with("eve.sock"));
}

#[test]
fn a_line_that_is_cut_or_too_long_costs_itself_only() {
    let mut world = listening(STREAM);
    let path = world.path("eve.sock");
    // A sender that dies within a line.
    let mut sender = connect(&path);
    sender.write_all((event(0) + &event(1)[..50]).as_bytes()).unwrap();
    drop(sender);
    // And one whose line has no end in sight.
    let mut sender = connect(&path);
    let long = vec![b'x'; 33 * 1024 * 1024];
    sender.write_all(&long).unwrap();
    sender.write_all(("\n".to_owned() + &event(2)).as_bytes()).unwrap();
    let mut output = world.wait_for(2);
    world.stop();
    output.sort_by_key(|record| record["flow_id"].as_u64());
    assert_eq!(numbers(&output), [0, 2]);
    let mut letters = dead_letters(&world);
    letters.sort_by_key(|letter| letter["reason"].to_string());
    assert_eq!(letters.len(), 2, "{letters:?}");
    assert_eq!(letters[0]["reason"], "longer than 32 MiB; only its beginning is kept here");
    assert_eq!(letters[0]["text"].as_str().map(str::len), Some(64 * 1024));
    assert_eq!(letters[1]["text"], &event(1)[..50]);
}

#[test]
fn more_senders_than_are_served_at_once_wait_for_their_turn() {
    let mut world = listening(STREAM);
    let path = world.path("eve.sock");
    let mut senders: Vec<UnixStream> = (0..40).map(|_| connect(&path)).collect();
    for (number, sender) in senders.iter_mut().enumerate() {
        sender.write_all(event(number).as_bytes()).unwrap();
    }
    assert_eq!(numbers(&world.wait_for(16)).len(), 16);
    drop(senders);
    assert_eq!(numbers(&world.wait_for(40)), (0..40).collect::<Vec<u64>>());
    world.stop();
    assert!(world.said().contains("16 senders are connected"), "{}", world.said());
}

/// An output that nobody reads holds senders back, and nothing that they could send is lost.
#[test]
fn a_slow_output_holds_senders_back() {
    let mut world = world(STREAM);
    let fifo = world.path("out.ndjson");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    world.start();
    let reader = std::thread::spawn({
        let fifo = fifo.clone();
        move || std::fs::File::open(fifo).unwrap()
    });
    let mut sender = connect(&world.path("eve.sock"));
    let mut reader = reader.join().unwrap();
    sender.set_nonblocking(true).unwrap();
    let (mut sent, mut bytes, mut blocked) = (0, 0, Instant::now());
    let mut rest = event(0).into_bytes();
    while blocked.elapsed() < Duration::from_secs(2) {
        match sender.write(&rest) {
            Ok(written) => {
                bytes += written;
                rest.drain(..written);
                if rest.is_empty() {
                    sent += 1;
                    rest = event(sent).into_bytes();
                }
                blocked = Instant::now();
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(Duration::from_millis(5)),
            Err(error) => panic!("{error}"),
        }
        assert!(bytes < 512 << 20, "nothing holds the sender back");
    }
    let reading = std::thread::spawn(move || {
        let mut text = Vec::new();
        reader.read_to_end(&mut text).unwrap();
        text
    });
    sender.set_nonblocking(false).unwrap();
    sender.write_all(&rest).unwrap();
    drop(sender);
    world.stop();
    let output = numbers(&support::records(&reading.join().unwrap()));
    assert_eq!(output, (0..=sent as u64).collect::<Vec<u64>>());
}

#[test]
fn a_socket_that_a_killed_process_left_is_made_anew() {
    for input in [STREAM, DATAGRAM] {
        let mut world = listening(&format!("{input}\nsocket_mode = \"0620\""));
        let path = world.path("eve.sock");
        let wait = |world: &World| {
            let started = Instant::now();
            while !world.said().contains("listening") {
                assert!(started.elapsed() < PATIENCE, "{}", world.said());
                std::thread::sleep(Duration::from_millis(10));
            }
        };
        wait(&world);
        let metadata = std::fs::metadata(&path).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o620);
        world.kill();
        assert!(path.exists());
        std::fs::remove_file(world.path("stderr.txt")).unwrap();
        world.start();
        wait(&world);
        // Two on one socket are one too many.
        let state = ["--state", "other"];
        let second = world.command().args(state).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8_lossy(&second.stderr).into_owned();
        assert!(!second.status.success() && said.contains("another process listens"), "{said}");
        if input == STREAM {
            connect(&path).write_all(event(1).as_bytes()).unwrap();
        } else {
            datagrams(&path).send(event(1).as_bytes()).unwrap();
        }
        assert_eq!(numbers(&world.wait_for(1)), [1]);
        world.stop();
    }
}

#[test]
fn a_kill_loses_what_was_under_way_and_doubles_nothing() {
    let mut world = listening(STREAM);
    let path = world.path("eve.sock");
    let mut sent = 0;
    for round in 1..=3 {
        let mut sender = connect(&path);
        let sending = std::thread::spawn(move || {
            let mut number = sent;
            while sender.write_all(event(number).as_bytes()).is_ok() {
                number += 1;
            }
            number
        });
        world.wait_for(500 * round);
        world.kill();
        sent = sending.join().unwrap();
        world.start();
    }
    connect(&path).write_all(event(sent).as_bytes()).unwrap();
    world.wait_for(1501);
    world.stop();
    let written: Vec<u64> = world.output().iter().map(|record| record["flow_id"].as_u64().unwrap()).collect();
    assert!(written.windows(2).all(|pair| pair[0] < pair[1]), "out of order, or twice");
    assert_eq!(written.last(), Some(&(sent as u64)));
    // What each connection loses is its end: it was sent and not written when the process died.
    let gaps = written.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
    assert!(gaps <= 3, "{gaps}");
}

/// Listening goes on as it was, and that is said.
#[test]
fn other_sockets_need_a_restart() {
    let mut world = listening(STREAM);
    let path = world.path("eve.sock");
    let mut sender = connect(&path);
    sender.write_all(event(0).as_bytes()).unwrap();
    world.wait_for(1);
    let config = std::fs::read_to_string(world.path("certsift.toml")).unwrap();
    std::fs::write(world.path("certsift.toml"), config.replace("eve.sock", "other.sock")).unwrap();
    world.signal("-HUP");
    let started = Instant::now();
    while !world.said().contains("after a restart only") {
        assert!(started.elapsed() < PATIENCE, "{}", world.said());
        std::thread::sleep(Duration::from_millis(10));
    }
    sender.write_all(event(1).as_bytes()).unwrap();
    assert_eq!(numbers(&world.wait_for(2)), [0, 1]);
    world.stop();
    assert!(!world.path("other.sock").exists());
}

#[test]
fn what_is_no_socket_of_ours_is_not_touched() {
    let world = world(STREAM);
    let path = world.path("eve.sock");
    std::fs::write(&path, "precious").unwrap();
    let run = |expected: &str| {
        let output = world.command().stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && said.contains(expected), "{said}");
    };
    run("is no socket");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    std::fs::remove_file(&path).unwrap();
    let listener = UnixListener::bind(&path).unwrap();
    run("another process listens");
    assert!(std::fs::metadata(&path).unwrap().file_type().is_socket());
    drop(listener);
    // `check` says the first of it beforehand.
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "precious").unwrap();
    let check = support::certsift(world.folder.path(), &["check", "--config", "certsift.toml"]);
    let said = String::from_utf8(check.stdout).unwrap();
    assert!(said.contains("unix-stream:") && said.contains("which is no socket"), "{said}");
}

#[test]
fn a_pipeline_ends_with_its_standard_input() {
    let world = world("paths = [\"-\"]\nsensor = \"pipe\"");
    let mut child = world.command().stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(events(0..500).as_bytes()).unwrap();
    // Lines leave as they come, and not only at the end.
    assert_eq!(world.wait_for(500).len(), 500);
    stdin.write_all(event(500).trim_end().as_bytes()).unwrap();
    drop(stdin);
    assert!(end_within(&mut child, PATIENCE).unwrap().success());
    let output = world.output();
    assert_eq!(numbers(&output), (0..=500).collect::<Vec<u64>>());
    assert!(output.iter().all(|record| record["certsift"]["sensor"] == "pipe"));
}

#[test]
fn files_are_followed_beside_a_silent_standard_input() {
    let mut world = world("paths = [\"-\", \"logs/*.json\"]");
    let mut child = world.command().stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::fs::write(world.path("logs/eve.json"), events(0..3)).unwrap();
    world.wait_for(3);
    stdin.write_all(event(3).as_bytes()).unwrap();
    world.wait_for(4);
    // It stays for the files, and stops although standard input is open.
    world.child = Some(child);
    world.stop();
    drop(stdin);
    assert_eq!(numbers(&world.output()), [0, 1, 2, 3]);
}
