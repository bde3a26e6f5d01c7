//! Servers that records are sent to, and that fail in every way: each record is there in the end, and once by its id.
//!
//! The servers are small ones of this test. A plain run sends some thousand records through three kills,
//! `CERTSIFT_FULL_TESTS=1` a hundred thousand.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails, and says so")]

#[path = "network/elastic.rs"]
mod elastic;
#[path = "network/socket.rs"]
mod socket;
#[path = "network/splunk.rs"]
mod splunk;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::{Read, Write as _};
use std::os::unix::net::UnixListener;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use elastic::{Elastic, Mood, anything, request_size};
use serde_json::{Value, json};
use support::random::{Random, seed};
use support::server::{Action, Request, Service, certificate, free_port, listen, serve, serve_on, serve_tls};
use support::sidecar::{PATIENCE, World};
use support::traffic::{Traffic, numbers};

/// What a test never wants to read again.
const SECRET: &str = "Geheim-7f3a";

/// A sensor, certsift, and a server.
struct Sending {
    world: World,
    traffic: Traffic,
}

impl Sending {
    /// `output` are the sections of the output.
    fn new(output: &str) -> Self {
        let world = World::new();
        let config = format!(
            "{output}\n[[input]]\npaths = [\"logs/*.log\"]\n[state]\ndir = \"state\"\ncommit_interval = \"50ms\"\n\
             [join]\nwait = \"50ms\"\n"
        );
        std::fs::write(world.path("certsift.toml"), config).unwrap();
        Self { world, traffic: Traffic::default() }
    }

    fn elastic(port: u16, more: &str) -> Self {
        let url = format!("[output]\nformat = \"raw\"\n[output.elasticsearch]\nurl = \"http://127.0.0.1:{port}\"\n");
        Self::new(&format!("{url}index = \"certsift\"\ntimeout = \"1s\"\n{more}"))
    }

    fn start(&mut self) {
        let log = OpenOptions::new().create(true).append(true).open(self.world.path("stderr.txt")).unwrap();
        self.world.child = Some(without_proxy(self.world.command().arg("-vvv")).stderr(log).spawn().unwrap());
    }

    fn append(&mut self, sessions: u32) {
        self.traffic.append(&self.world.path("logs/ssl.log"), sessions);
    }

    fn wait_until(&self, what: &str, holds: impl Fn() -> bool) {
        let started = Instant::now();
        while !holds() {
            let said = self.world.said();
            let patience = if support::full_tests() { 40 * PATIENCE } else { 4 * PATIENCE };
            assert!(started.elapsed() < patience, "{what}: {}", &said[said.len().saturating_sub(3000)..]);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn wait_until_said(&self, what: &str) {
        self.wait_until(what, || self.world.said().contains(what));
    }

    /// Lets certsift write, and kills it, and so on; then all has to arrive.
    fn live_through_kills(&mut self, arrived: impl Fn() -> usize, is_calm: &AtomicBool) {
        let (steps, sessions) = if support::full_tests() { (100, 1000) } else { (25, 200) };
        let mut random = Random::from_seed(seed());
        self.start();
        for step in 0..steps {
            let before = arrived();
            self.append(sessions);
            if step % (steps / 4) == steps / 4 - 1 && step < steps * 7 / 8 {
                self.wait_until("something arrives", || arrived() > before);
                random.pause(Duration::from_millis(60));
                self.world.kill();
                self.start();
            }
            random.pause(Duration::from_millis(20));
        }
        let all = self.traffic.sessions as usize;
        self.wait_until("all arrives", || arrived() >= all);
        // What arrived may not be acknowledged yet, and an end is not waited for for ever.
        is_calm.store(true, Ordering::Relaxed);
        self.world.stop();
    }

    /// Runs until the process ends at this point.
    fn run_into(&mut self, point: &str) {
        let log = OpenOptions::new().create(true).append(true).open(self.world.path("stderr.txt")).unwrap();
        let mut command = self.world.command();
        let mut child = without_proxy(command.env("CERTSIFT_CRASH_AT", point)).stderr(log).spawn().unwrap();
        let ended = support::process::end_within(&mut child, PATIENCE);
        child.kill().unwrap_or_default();
        assert!(ended.is_some_and(|status| status.code().is_none()), "never came to {point}: {}", self.world.said());
    }

    fn journal_bytes(&self) -> u64 {
        let entries = std::fs::read_dir(self.world.path("state")).unwrap().flatten();
        let journals = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("journal-"));
        // One that is just removed counts for nothing.
        journals.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum()
    }

    fn rejected(&self) -> Vec<Value> {
        support::records(&std::fs::read(self.world.path("state/certsift.rejected.ndjson")).unwrap_or_default())
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_certsift"));
        without_proxy(command.args(arguments).current_dir(self.world.folder.path())).output().unwrap()
    }

    /// Fails when the secret is in anything that certsift has written or says.
    fn assert_secret_is_kept(&self) {
        let check = self.run(&["check", "--config", "certsift.toml"]);
        for (what, text) in [("check", check.stdout), ("check", check.stderr), ("log", self.world.said().into_bytes())]
        {
            let text = String::from_utf8_lossy(&text).into_owned();
            let (user, key) = ("aHVnbzpHZWhlaW0tN2Yz", "R2VoZWltLTdm");
            assert!(!text.contains(SECRET) && !text.contains(user) && !text.contains(key), "{what}: {text}");
        }
        for entry in std::fs::read_dir(self.world.path("state")).unwrap() {
            let content = std::fs::read(entry.unwrap().path()).unwrap();
            assert!(memchr_find(&content, SECRET.as_bytes()).is_none());
        }
    }
}

fn memchr_find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|part| part == wanted)
}

fn without_proxy(command: &mut Command) -> &mut Command {
    for name in ["ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "http_proxy", "https_proxy"] {
        command.env_remove(name);
    }
    command
}

#[test]
fn each_id_is_there_once_through_kills_and_whatever_elasticsearch_does() {
    let random = Mutex::new(Random::from_seed(seed()));
    let is_calm = Arc::new(AtomicBool::new(false));
    let shared = Arc::clone(&is_calm);
    let elastic = Arc::new(Elastic {
        resets: 15,
        ..Elastic::new(move |_| match shared.load(Ordering::Relaxed) {
            true => Mood::Take,
            false => anything(&mut random.lock().unwrap()),
        })
    });
    let mut sending = Sending::elastic(serve(Arc::clone(&elastic)), &request_size());
    sending.live_through_kills(|| elastic.count(), &is_calm);
    // As many ids as sessions, and each session once.
    assert_eq!(elastic.count(), sending.traffic.sessions as usize);
    sending.traffic.assert_once(numbers(&elastic.lines()), &sending.world.said());
    assert!(sending.rejected().is_empty(), "{:?}", sending.rejected());
    for (id, (line, _)) in &*elastic.documents.lock().unwrap() {
        let record: Value = serde_json::from_str(line).unwrap();
        assert_eq!(record["certsift"]["id"], **id);
    }
    let said = sending.world.said();
    assert!(said.contains("went through the journal"), "no kill came while something was on its way");
    assert!(!said.contains("panicked") && !said.contains("fault of certsift"));
}

#[test]
fn nothing_is_sent_twice_where_nothing_fails() {
    let elastic = Arc::new(Elastic::new(|_| Mood::Take));
    let mut sending = Sending::elastic(serve(Arc::clone(&elastic)), "");
    sending.start();
    for _ in 0..5 {
        let before = elastic.count();
        sending.append(500);
        sending.wait_until("all arrives", || elastic.count() == before + 500);
        sending.world.stop();
        sending.start();
    }
    sending.world.stop();
    let documents = elastic.documents.lock().unwrap();
    assert!(documents.values().all(|(_, offered)| *offered == 1));
    assert_eq!(documents.len(), 2500);
}

#[test]
fn a_line_that_is_never_taken_is_written_down_and_the_others_are_there() {
    let elastic = Arc::new(Elastic::new(|bulk| {
        assert!(bulk.target.starts_with("/certsift/_bulk?"), "{}", bulk.target);
        Mood::Each(Box::new(|_, line| line.contains("\"uid\":\"C7\"").then_some((400, "document_parsing_exception"))))
    }));
    let mut sending = Sending::elastic(serve(Arc::clone(&elastic)), "");
    sending.append(50);
    sending.start();
    sending.wait_until("all but one arrive", || elastic.count() == 49);
    sending.world.stop();
    let rejected = sending.rejected();
    assert_eq!(rejected.len(), 1);
    let reason = "status 400: document_parsing_exception: as the test wants";
    assert_eq!(rejected[0]["reason"], reason);
    let line: Value = serde_json::from_str(rejected[0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(line["uid"], "C7");
    let said = sending.world.said();
    assert!(said.contains("a line was rejected") && said.contains("rejected=1"), "{said}");
}

#[test]
fn a_request_that_is_too_large_is_sent_in_parts() {
    let elastic = Arc::new(Elastic::new(|bulk| match bulk.lines.len() {
        0..=3 if bulk.lines.iter().all(|(_, line)| !line.contains("\"uid\":\"C9\"")) => Mood::Take,
        1 => Mood::Refuse(Action::Reply(413, String::new())),
        // Some that do not say so end the connection.
        len if len > 100 => Mood::Refuse(Action::Raw(Vec::new())),
        _ => Mood::Refuse(Action::Reply(413, String::new())),
    }));
    let mut sending = Sending::elastic(serve(Arc::clone(&elastic)), "connections = 1\n");
    sending.append(400);
    sending.start();
    sending.wait_until("all but one arrive", || elastic.count() == 399);
    sending.world.stop();
    assert_eq!(sending.rejected().len(), 1);
    sending.traffic.sessions -= 1;
    let mut numbers = numbers(&elastic.lines());
    numbers.iter_mut().filter(|number| **number > 9).for_each(|number| *number -= 1);
    sending.traffic.assert_once(numbers, "");
}

#[test]
fn one_line_that_spoils_a_request_is_found() {
    let elastic =
        Arc::new(Elastic::new(|bulk| match bulk.lines.iter().any(|(_, line)| line.contains("\"uid\":\"C33\"")) {
            true => Mood::Refuse(Action::Reply(400, "{\"error\":\"malformed\"}".to_owned())),
            false => Mood::Take,
        }));
    let mut sending = Sending::elastic(serve(Arc::clone(&elastic)), "");
    sending.append(100);
    sending.start();
    sending.wait_until("all but one arrive", || elastic.count() == 99);
    sending.world.stop();
    let rejected = sending.rejected();
    assert_eq!(rejected.len(), 1);
    assert!(rejected[0]["reason"].as_str().unwrap().contains("malformed"), "{}", rejected[0]);
}

#[test]
fn a_secret_that_is_refused_is_said_and_another_one_is_used_once_it_is_there() {
    let elastic = Arc::new(Elastic::new(|bulk| {
        // hugo and the secret, in base64.
        let expected = "Basic aHVnbzpHZWhlaW0tN2YzYQ==";
        match bulk.login.as_deref() == Some(expected) {
            true => Mood::Take,
            // Some repeat what they were told.
            false => Mood::Refuse(Action::Reply(401, format!("who is {:?}, {SECRET}-old?", bulk.login))),
        }
    }));
    let login = "username = \"hugo\"\npassword_file = \"password\"\n";
    let mut sending = Sending::elastic(serve(Arc::clone(&elastic)), login);
    std::fs::write(sending.world.path("password"), format!("{SECRET}-old\n")).unwrap();
    sending.append(20);
    sending.start();
    sending.wait_until_said("nothing is taken until this is mended");
    std::fs::write(sending.world.path("password"), format!("{SECRET}\n")).unwrap();
    sending.wait_until("all arrives", || elastic.count() == 20);
    sending.wait_until_said("delivering again");
    let said = sending.world.said();
    assert_eq!(said.matches("nothing is taken until this is mended").count(), 1, "{said}");
    assert!(said.contains("status 401: who is "), "{said}");
    // What a restart does not find is said, and not what it is.
    sending.world.stop();
    sending.assert_secret_is_kept();
    std::fs::write(sending.world.path("password"), format!("{SECRET}\nand another line")).unwrap();
    let output = sending.run(&["run", "--config", "certsift.toml"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("password") && !said.contains(SECRET), "{said}");
    std::fs::remove_file(sending.world.path("password")).unwrap();
    let output = sending.run(&["check", "--config", "certsift.toml"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success() && said.contains("password"), "{said}");
}

#[test]
fn an_api_key_may_come_from_the_environment() {
    let key = "ApiKey R2VoZWltLTdmM2E6eHl6";
    let elastic = Arc::new(Elastic::new(move |bulk| {
        assert_eq!(bulk.login.as_deref(), Some(key));
        Mood::Take
    }));
    let mut sending = Sending::elastic(serve(Arc::clone(&elastic)), "api_key_env = \"CERTSIFT_TEST_KEY\"\n");
    sending.append(20);
    let log = OpenOptions::new().create(true).append(true).open(sending.world.path("stderr.txt")).unwrap();
    let mut command = sending.world.command();
    let command = without_proxy(command.arg("-vvv")).env("CERTSIFT_TEST_KEY", format!("{SECRET}:xyz"));
    sending.world.child = Some(command.stderr(log).spawn().unwrap());
    sending.wait_until("all arrives", || elastic.count() == 20);
    sending.world.stop();
    sending.assert_secret_is_kept();
}

#[test]
fn a_server_that_is_asked_too_much_is_let_alone_as_long_as_it_says() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&asked);
    let elastic = Arc::new(Elastic::new(move |_| {
        let mut asked = shared.lock().unwrap();
        asked.push(Instant::now());
        match asked.len() {
            1 => Mood::Refuse(Action::ReplyWith(429, "Retry-After: 2\r\n", String::new())),
            _ => Mood::Take,
        }
    }));
    let mut sending = Sending::elastic(serve(Arc::clone(&elastic)), "connections = 1\n");
    sending.append(20);
    sending.start();
    sending.wait_until("all arrives", || elastic.count() == 20);
    sending.world.stop();
    let asked = asked.lock().unwrap();
    assert!(asked[1] - asked[0] >= Duration::from_secs(2), "{:?}", asked[1] - asked[0]);
}

#[test]
fn nobody_is_believed_whom_nobody_vouches_for() {
    let (pem, config) = certificate("127.0.0.1");
    let elastic = Arc::new(Elastic::new(|_| Mood::Take));
    let port = serve_tls(Arc::clone(&elastic), config);
    let mut sending = Sending::elastic(port, "");
    let plain = std::fs::read_to_string(sending.world.path("certsift.toml")).unwrap().replace("http://", "https://");
    let with = |line: &str| plain.replace("index = ", &format!("{line}\nindex = "));
    let other = certificate("127.0.0.1").0;
    let elsewhere = certificate("elsewhere.example").0;
    std::fs::write(sending.world.path("good.pem"), pem).unwrap();
    std::fs::write(sending.world.path("other.pem"), format!("{other}{elsewhere}")).unwrap();
    sending.append(20);
    for config in [plain.clone(), with("ca_file = \"other.pem\"")] {
        std::fs::write(sending.world.path("certsift.toml"), config).unwrap();
        std::fs::remove_file(sending.world.path("stderr.txt")).unwrap_or_default();
        sending.start();
        sending.wait_until_said("the server's certificate is not trusted");
        sending.world.kill();
    }
    assert_eq!(elastic.requests.load(Ordering::Relaxed), 0, "who is not trusted is told nothing");
    std::fs::write(sending.world.path("certsift.toml"), with("ca_file = \"good.pem\"")).unwrap();
    sending.start();
    sending.wait_until("all arrives", || elastic.count() == 20);
    sending.world.stop();
    // Whoever wants to believe everybody can.
    std::fs::write(sending.world.path("certsift.toml"), with("verify = false")).unwrap();
    sending.append(20);
    sending.start();
    sending.wait_until("all arrives", || elastic.count() == 40);
    sending.world.stop();
    assert!(sending.world.said().contains("verify = false: whoever answers is believed"));
    let check = sending.run(&["check", "--config", "certsift.toml"]);
    assert!(String::from_utf8_lossy(&check.stdout).contains("warning: verify = false"));
    std::fs::write(sending.world.path("broken.pem"), "-----BEGIN CERTIFICATE-----\n!\n").unwrap();
    for file in ["broken.pem", "none.pem", "certsift.toml"] {
        std::fs::write(sending.world.path("certsift.toml"), with(&format!("ca_file = \"{file}\""))).unwrap();
        let check = sending.run(&["check", "--config", "certsift.toml"]);
        assert!(!check.status.success() && String::from_utf8_lossy(&check.stdout).contains(file));
    }
}

#[test]
fn a_server_that_takes_nothing_keeps_no_end_waiting_and_gets_the_rest_later() {
    let is_deaf = Arc::new(AtomicBool::new(true));
    let shared = Arc::clone(&is_deaf);
    let elastic = Arc::new(Elastic::new(move |_| match shared.load(Ordering::Relaxed) {
        true => Mood::Refuse(Action::Hang(Duration::from_secs(600))),
        false => Mood::Take,
    }));
    let mut sending = Sending::elastic(serve(Arc::clone(&elastic)), "request_size = \"64KiB\"\n");
    let config = std::fs::read_to_string(sending.world.path("certsift.toml")).unwrap();
    std::fs::write(sending.world.path("certsift.toml"), config.replace("timeout = \"1s\"", "timeout = \"10m\""))
        .unwrap();
    sending.append(3000);
    // The second time it begins with what it could not send the first time, and more than waits at once.
    for _ in 0..2 {
        sending.start();
        sending.wait_until_said("following");
        sending.wait_until("a request comes", || elastic.requests.load(Ordering::Relaxed) > 0);
        sending.world.signal("-TERM");
        let status = support::process::end_within(sending.world.child.as_mut().unwrap(), PATIENCE).unwrap();
        sending.world.child = None;
        assert_eq!(status.code(), Some(1), "{}", sending.world.said());
        assert!(sending.world.said().contains("came over sockets or standard input and is in no journal"));
        elastic.requests.store(0, Ordering::Relaxed);
    }
    is_deaf.store(false, Ordering::Relaxed);
    sending.append(100);
    sending.start();
    sending.wait_until("all arrives", || elastic.count() == 3100);
    sending.world.stop();
    sending.traffic.assert_once(numbers(&elastic.lines()), &sending.world.said());
}

#[test]
fn what_a_server_has_not_taken_goes_to_the_file_that_takes_its_place_once() {
    let elastic = Arc::new(Elastic::new(|_| Mood::Refuse(Action::Hang(Duration::from_secs(600)))));
    let mut sending = Sending::elastic(serve(Arc::clone(&elastic)), "request_size = \"64KiB\"\n");
    sending.append(3000);
    sending.start();
    sending.wait_until("a request comes", || elastic.requests.load(Ordering::Relaxed) > 0);
    sending.world.kill();
    let config = std::fs::read_to_string(sending.world.path("certsift.toml")).unwrap();
    let server = config.find("[output]").unwrap();
    let section = config.find("[output.elasticsearch]").unwrap();
    let after = config[section..].find("\n[").map_or(config.len(), |end| section + end + 1);
    let file = "[output]\npath = \"out.ndjson\"\n";
    std::fs::write(sending.world.path("certsift.toml"), [&config[..server], file, &config[after..]].concat()).unwrap();
    // Ended there, it finds in the file what it has written already.
    sending.run_into("undelivered-written");
    sending.append(100);
    sending.start();
    let lines = || std::fs::read(sending.world.path("out.ndjson")).unwrap_or_default();
    sending.wait_until("all arrives", || lines().iter().filter(|byte| **byte == b'\n').count() == 3100);
    let written = numbers(&lines());
    sending.world.stop();
    sending.traffic.assert_once(written, &sending.world.said());
    assert!(sending.world.said().contains("had not taken goes to the new output"));
}

#[test]
fn a_server_that_comes_later_and_one_of_several_that_is_there_get_everything() {
    let elastic = Arc::new(Elastic::new(|_| Mood::Take));
    let (nobody, later) = (free_port(), free_port());
    let urls = format!("[\"http://127.0.0.1:{nobody}\", \"http://127.0.0.1:{later}\"]");
    let mut sending = Sending::elastic(later, "");
    let config = std::fs::read_to_string(sending.world.path("certsift.toml")).unwrap();
    let config = config.replace(&format!("\"http://127.0.0.1:{later}\""), &urls);
    std::fs::write(sending.world.path("certsift.toml"), config).unwrap();
    sending.append(50);
    sending.start();
    sending.wait_until_said("cannot deliver; trying again");
    serve_on(listen(later), Arc::clone(&elastic), None);
    sending.wait_until("all arrives", || elastic.count() == 50);
    sending.world.stop();
}

#[test]
fn what_passes_through_has_an_id_of_its_content() {
    let elastic = Arc::new(Elastic::new(|_| Mood::Take));
    let mut sending = Sending::elastic(serve(Arc::clone(&elastic)), "");
    let event = |number: u32| {
        format!(
            r#"{{"timestamp":"2026-03-09T02:00:00.000001+0000","event_type":"dns","src_ip":"10.0.0.1","dns":{{"id":{number}}}}}"#
        )
    };
    sending.world.append("logs/eve.log", &[event(1), event(2)]);
    sending.start();
    sending.wait_until("both arrive", || elastic.count() == 2);
    sending.world.stop();
    let documents = elastic.documents.lock().unwrap();
    for (id, (line, _)) in &*documents {
        assert_eq!(*id, certsift::model::Id128::of(line.as_bytes()).to_string());
    }
}

#[test]
fn a_replay_sends_everything_and_ends_at_what_only_a_person_can_mend() {
    let random = Mutex::new(Random::from_seed(seed()));
    let is_closed = Arc::new(AtomicBool::new(false));
    let shared = Arc::clone(&is_closed);
    let elastic = Arc::new(Elastic::new(move |_| match shared.load(Ordering::Relaxed) {
        true => Mood::Refuse(Action::Reply(403, "{}".to_owned())),
        false => anything(&mut random.lock().unwrap()),
    }));
    let mut sending = Sending::elastic(serve(Arc::clone(&elastic)), "request_size = \"64KiB\"\n");
    sending.append(1000);
    let replay = ["replay", "--config", "certsift.toml", "logs/ssl.log"];
    let output = sending.run(&replay);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && output.stdout.is_empty() && said.contains("sent      1000"), "{said}");
    sending.traffic.assert_once(numbers(&elastic.lines()), &said);
    is_closed.store(true, Ordering::Relaxed);
    let output = sending.run(&replay);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("status 403") && said.contains("http://127.0.0.1"), "{said}");
    assert!(!sending.world.path("certsift.rejected.ndjson").exists());
    // Who names another output gets that.
    let before = elastic.requests.load(Ordering::Relaxed);
    let output = sending.run(&[&replay[..], &["-o", "-"]].concat());
    assert_eq!(numbers(&output.stdout).len(), 1000);
    assert_eq!(elastic.requests.load(Ordering::Relaxed), before);
}

#[test]
fn a_replay_of_which_a_line_is_rejected_says_so_and_is_not_complete() {
    let elastic = Arc::new(Elastic::new(|_| {
        Mood::Each(Box::new(|_, line| line.contains("\"uid\":\"C7\"").then_some((400, "document_parsing_exception"))))
    }));
    let mut sending = Sending::elastic(serve(Arc::clone(&elastic)), "");
    sending.append(50);
    let output = sending.run(&["replay", "--config", "certsift.toml", "logs/ssl.log"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), elastic.count()), (Some(3), 49), "{said}");
    assert!(said.contains("sent      49, rejected 1 in certsift.rejected.ndjson, retries 0"), "{said}");
    let rejected = support::records(&std::fs::read(sending.world.path("certsift.rejected.ndjson")).unwrap());
    assert_eq!(rejected.len(), 1);
}

#[test]
fn what_is_rejected_needs_a_place_of_its_own_that_can_be_written() {
    let elastic = Arc::new(Elastic::new(|_| Mood::Take));
    let mut sending = Sending::elastic(serve(Arc::clone(&elastic)), "");
    sending.append(1);
    let plain = std::fs::read_to_string(sending.world.path("certsift.toml")).unwrap();
    let run = ["run", "--config", "certsift.toml"];
    let check = ["check", "--config", "certsift.toml"];
    let replay = ["replay", "--config", "certsift.toml", "logs/ssl.log", "--dead-letter", "lost"];
    for (lines, expected) in [
        ("rejected = \"lost\"\ndead_letter = \"state/../lost\"", "is the file of rejected lines"),
        ("rejected = \"none/lost\"", "none"),
        ("rejected = \"logs\"", "logs"),
    ] {
        let config = plain.replace("format = ", &format!("{lines}\nformat = "));
        std::fs::write(sending.world.path("certsift.toml"), config).unwrap();
        for arguments in [&run[..], &check, &replay] {
            let output = sending.run(arguments);
            let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
            assert!(output.status.code() == Some(1) && said.contains(expected), "{arguments:?}: {said}");
        }
        assert!(!sending.world.path("lost").exists());
    }
    assert_eq!(elastic.count(), 0);
}

#[test]
fn no_proxy_stands_between_certsift_and_its_own_machine() {
    let elastic = Arc::new(Elastic::new(|_| Mood::Take));
    let mut sending = Sending::elastic(serve(Arc::clone(&elastic)), "");
    sending.append(5);
    let mut command = Command::new(env!("CARGO_BIN_EXE_certsift"));
    command.args(["replay", "--config", "certsift.toml", "logs/ssl.log"]).current_dir(sending.world.folder.path());
    let proxy = format!("http://127.0.0.1:{}", free_port());
    let command = without_proxy(&mut command).env_remove("NO_PROXY").env_remove("no_proxy");
    // A reply of nobody would be waited for.
    let mut child = command.env("HTTP_PROXY", &proxy).env("ALL_PROXY", &proxy).stderr(Stdio::null()).spawn().unwrap();
    let ended = support::process::end_within(&mut child, PATIENCE);
    child.kill().unwrap_or_default();
    assert!(ended.is_some_and(|status| status.success()) && elastic.count() == 5);
}

#[test]
fn records_go_where_their_schema_has_a_data_stream() {
    let targets = Arc::new(Mutex::new(BTreeSet::new()));
    let shared = Arc::clone(&targets);
    let elastic = Arc::new(Elastic::new(move |bulk| {
        shared.lock().unwrap().insert(bulk.target.split('?').next().unwrap().to_owned());
        Mood::Take
    }));
    let mut sending = Sending::new(&format!("[output.elasticsearch]\nurl = \"http://127.0.0.1:{}\"", serve(elastic)));
    sending.append(1);
    let replay = ["replay", "--config", "certsift.toml", "logs/ssl.log"];
    for (format, expected) in [("ecs", "/logs-certsift-default/_bulk"), ("raw", "/logs-certsift.raw-default/_bulk")] {
        let output = sending.run(&[&replay[..], &["--format", format]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(std::mem::take(&mut *targets.lock().unwrap()), BTreeSet::from([expected.to_owned()]));
    }
    let output = sending.run(&[&replay[..], &["--format", "ocsf"]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("index has to be named for `ocsf`"), "{said}");
    assert!(targets.lock().unwrap().is_empty());
}

#[test]
fn check_says_where_records_would_go_and_asks_nobody() {
    let elastic = Arc::new(Elastic::new(|_| Mood::Take));
    let port = serve(Arc::clone(&elastic));
    let sending = Sending::elastic(port, "username = \"hugo\"\npassword_file = \"password\"\n");
    std::fs::write(sending.world.path("password"), SECRET).unwrap();
    let output = sending.run(&["check", "--config", "certsift.toml"]);
    let said = String::from_utf8_lossy(&output.stdout);
    let expected = format!("http://127.0.0.1:{port}, index certsift, as raw; each once by its id");
    assert!(said.contains(&expected) && said.contains("user hugo, secret from password"), "{said}");
    assert!(said.contains("state/certsift.rejected.ndjson") && !said.contains(SECRET), "{said}");
    assert_eq!(elastic.requests.load(Ordering::Relaxed), 0);
}

/// An Elasticsearch that takes nothing while this is not set.
fn opens() -> (Arc<AtomicBool>, Arc<Elastic>) {
    let is_open = Arc::new(AtomicBool::new(false));
    let shared = Arc::clone(&is_open);
    let elastic = Elastic::new(move |_| match shared.load(Ordering::Relaxed) {
        true => Mood::Take,
        false => Mood::Refuse(Action::Reply(503, String::new())),
    });
    (is_open, Arc::new(elastic))
}

#[test]
fn wherever_a_restart_or_a_commit_ends_nothing_is_lost_and_no_journal_grows() {
    let (is_open, elastic) = opens();
    let mut sending = Sending::elastic(serve(Arc::clone(&elastic)), "");
    sending.append(100);
    sending.start();
    sending.wait_until("something is sent", || elastic.requests.load(Ordering::Relaxed) > 0);
    sending.world.kill();
    let before = sending.journal_bytes();
    for _ in 0..4 {
        sending.run_into("journal-repeated");
    }
    // One beside the one that it repeats.
    assert!(sending.journal_bytes() < 3 * before, "{} after {before}", sending.journal_bytes());
    for point in ["redone", "journal-repeated", "store-written", "store-committed", "journal-written", "output-written"]
    {
        sending.append(20);
        sending.run_into(point);
    }
    is_open.store(true, Ordering::Relaxed);
    // The first passage is that of the start.
    for point in ["output-synced@2", "journal-begun", "store-written@2", "store-committed@2", "journal-removed"] {
        sending.append(20);
        sending.run_into(point);
    }
    sending.start();
    let all = sending.traffic.sessions as usize;
    sending.wait_until("all arrives", || elastic.count() == all);
    sending.world.stop();
    sending.traffic.assert_once(numbers(&elastic.lines()), &sending.world.said());
}

#[test]
fn what_waits_for_a_server_is_bounded_and_then_reading_waits() {
    let (is_open, elastic) = opens();
    let mut sending = Sending::elastic(serve(Arc::clone(&elastic)), "request_size = \"64KiB\"\n");
    sending.append(30_000);
    // Sessions that wait for no certificate.
    let log = sending.world.path("logs/ssl.log");
    let text = std::fs::read_to_string(&log).unwrap();
    let chain = format!("\"cert_chain_fps\":[\"{}\"],", support::sidecar::fingerprint(1));
    std::fs::write(&log, text.replace(&chain, "").replace("TLSv12", "TLSv13")).unwrap();
    sending.start();
    sending.wait_until("something is sent", || elastic.requests.load(Ordering::Relaxed) > 0);
    let (mut bytes, mut same) = (0, 0);
    while same < 20 {
        std::thread::sleep(Duration::from_millis(50));
        let now = sending.journal_bytes();
        (bytes, same) = (now, if now == bytes { same + 1 } else { 0 });
    }
    assert!(bytes < 4 << 20, "{bytes} bytes of journal");
    is_open.store(true, Ordering::Relaxed);
    sending.wait_until("all arrives", || elastic.count() == 30_000);
    sending.world.stop();
    sending.traffic.assert_once(numbers(&elastic.lines()), &sending.world.said());
    let written: usize = elastic.lines().len();
    assert!(written > 8 << 20, "too little to be kept waiting: {written}");
}
