//! Servers that records are sent to, and that fail in every way: each record is there in the end, and once by its id.
//!
//! The servers are small ones of this test. A plain run sends some thousand records through three kills,
//! `CERTSIFT_FULL_TESTS=1` a hundred thousand.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails, and says so")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::{Read, Write as _};
use std::os::unix::net::UnixListener;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::random::{Random, seed};
use support::server::{Action, Request, Service, certificate, free_port, listen, serve, serve_on, serve_tls};
use support::sidecar::{PATIENCE, World};
use support::traffic::{Traffic, numbers};

/// What a test never wants to read again.
const SECRET: &str = "Geheim-7f3a";

/// A server of Elasticsearch.
struct Elastic {
    /// Lines by their ids, and how often each was offered.
    documents: Mutex<BTreeMap<String, (String, usize)>>,
    requests: AtomicUsize,
    mood: Box<dyn Fn(&Bulk) -> Mood + Send + Sync>,
    /// One request in so many is broken off.
    resets: usize,
    random: Mutex<Random>,
}

/// A request to `_bulk`.
struct Bulk {
    target: String,
    login: Option<String>,
    /// Ids and lines.
    lines: Vec<(String, String)>,
}

/// Why a line is not taken: status and type.
type Refusal = Option<(u16, &'static str)>;

/// Says why by the number of a line and the line.
type Refuses = dyn Fn(usize, &str) -> Refusal;

/// What an Elasticsearch does with a request.
enum Mood {
    Take,
    /// What stands here is done, and nothing taken.
    Refuse(Action),
    /// It is taken, and then this is done in place of the answer.
    TakeAndThen(Action),
    /// Each line that is not taken has this status and type.
    Each(Box<Refuses>),
}

impl Elastic {
    fn new(mood: impl Fn(&Bulk) -> Mood + Send + Sync + 'static) -> Self {
        let random = Mutex::new(Random::from_seed(seed()));
        let (documents, requests) = (Mutex::default(), AtomicUsize::new(0));
        Self { documents, requests, mood: Box::new(mood), resets: 0, random }
    }

    fn lines(&self) -> Vec<u8> {
        let documents = self.documents.lock().unwrap();
        documents.values().map(|(line, _)| format!("{line}\n")).collect::<String>().into_bytes()
    }

    fn count(&self) -> usize {
        self.documents.lock().unwrap().len()
    }

    /// The reply for each line, of which some are not taken.
    fn take(&self, bulk: &Bulk, refuses: impl Fn(usize, &str) -> Refusal) -> String {
        let mut documents = self.documents.lock().unwrap();
        let mut errors = false;
        let items = bulk.lines.iter().enumerate().map(|(number, (id, line))| {
            let (status, kind) = match (refuses(number, line), documents.get_mut(id)) {
                (Some(refused), _) => refused,
                (None, Some((_, offered))) => {
                    *offered += 1;
                    (409, "version_conflict_engine_exception")
                }
                (None, None) => {
                    documents.insert(id.clone(), (line.clone(), 1));
                    (201, "")
                }
            };
            errors |= status != 201;
            match status {
                201 => json!({ "create": { "status": status } }),
                _ => {
                    json!({ "create": { "status": status, "error": { "type": kind, "reason": "as the test wants" } } })
                }
            }
        });
        let items: Vec<_> = items.collect();
        json!({ "errors": errors, "items": items }).to_string()
    }
}

impl Service for Elastic {
    fn answer(&self, request: &Request) -> Action {
        let body = std::str::from_utf8(&request.body).unwrap();
        let lines: Vec<_> = body.lines().collect();
        let (pairs, []) = lines.as_chunks::<2>() else { panic!("half a line: {body}") };
        let lines = pairs.iter().map(|[action, line]| {
            let action: Value = serde_json::from_str(action).unwrap();
            (action["create"]["_id"].as_str().unwrap().to_owned(), (*line).to_owned())
        });
        self.requests.fetch_add(1, Ordering::Relaxed);
        let login = request.headers.get("authorization").cloned();
        let bulk = Bulk { target: request.target.clone(), login, lines: lines.collect() };
        match (self.mood)(&bulk) {
            Mood::Take => Action::Reply(200, self.take(&bulk, |_, _| None)),
            Mood::Refuse(action) => action,
            Mood::TakeAndThen(action) => {
                self.take(&bulk, |_, _| None);
                action
            }
            Mood::Each(refuses) => Action::Reply(200, self.take(&bulk, refuses)),
        }
    }

    fn reset_within(&self) -> Option<usize> {
        let mut random = self.random.lock().unwrap();
        (self.resets > 0 && random.one_in(self.resets)).then(|| random.below(100_000))
    }
}

/// Small requests, so that there are many.
fn request_size() -> String {
    format!("request_size = \"{}KiB\"\n", if support::full_tests() { 512 } else { 64 })
}

/// Does one thing or another, about every second time something that is wrong.
fn anything(random: &mut Random) -> Mood {
    let garbage = ["", "{", "<html>502</html>", "{\"errors\":false,\"items\":[]}", "[[[[[[", "\u{0}\u{1}"];
    match random.below(24) {
        0 => Mood::Refuse(Action::Reply(429, "{\"error\":\"too much\"}".to_owned())),
        1 => Mood::Refuse(Action::ReplyWith(429, "Retry-After: 0\r\n", String::new())),
        2 => Mood::Refuse(Action::Reply(503, "unavailable".to_owned())),
        3 => Mood::Refuse(Action::Reply(500, String::new())),
        4 => Mood::Refuse(Action::Reply(200, garbage[random.below(garbage.len())].to_owned())),
        5 => Mood::TakeAndThen(Action::Raw(Vec::new())),
        6 => Mood::TakeAndThen(Action::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"errors\":fal".to_vec())),
        7 => Mood::TakeAndThen(Action::Raw(b"HTTP/9 nonsense\r\n\r\n".to_vec())),
        8 => Mood::TakeAndThen(Action::Endless),
        9 => Mood::TakeAndThen(Action::Reply(502, String::new())),
        10 => Mood::Refuse(Action::Hang(Duration::from_millis(1200))),
        11..=13 => {
            let share = random.below(3) + 2;
            Mood::Each(Box::new(move |number, _| {
                (number % share == 0)
                    .then_some([(429, "es_rejected_execution_exception"), (503, "unavailable")][number % 2])
            }))
        }
        _ => Mood::Take,
    }
}

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

/// A server of Splunk: what it has taken is in its index a while later, and only then acknowledged, once.
struct Splunk {
    taken: Mutex<Taken>,
    mood: Box<dyn Fn(&Events) -> HecMood + Send + Sync>,
    resets: usize,
    random: Mutex<Random>,
}

#[derive(Default)]
struct Taken {
    indexed: Vec<Event>,
    /// The ids of these.
    ids: BTreeSet<String>,
    /// By their channels and numbers, and when they are indexed; `None` is never.
    queued: BTreeMap<(String, u64), (Vec<Event>, Option<Instant>)>,
    /// The next number of each channel.
    next: BTreeMap<String, u64>,
    requests: usize,
}

impl Taken {
    fn index(&mut self, events: Vec<Event>) {
        self.ids.extend(events.iter().map(|event| event.id.clone()));
        self.indexed.extend(events);
    }
}

#[derive(Clone)]
struct Event {
    whole: Value,
    id: String,
}

/// A request with events, or a question for acknowledgements.
struct Events {
    is_question: bool,
    channel: String,
    texts: Vec<String>,
}

/// What a Splunk does with a request.
enum HecMood {
    /// It is indexed after so long.
    Take(Duration),
    /// It is lost after it was taken.
    Lose,
    /// It is indexed at once, and never acknowledged.
    TakeInSilence,
    Refuse(Action),
    /// It is done, and then this in place of the answer.
    TakeAndThen(Action),
    /// It begins to count anew, and whatever was not indexed is lost.
    Forget,
}

impl Splunk {
    fn new(mood: impl Fn(&Events) -> HecMood + Send + Sync + 'static) -> Self {
        Self { taken: Mutex::default(), mood: Box::new(mood), resets: 0, random: Mutex::new(Random::from_seed(seed())) }
    }

    fn distinct(&self) -> usize {
        self.taken.lock().unwrap().ids.len()
    }

    /// Numbers of sessions, each as often as an id of it is there.
    fn numbers(&self) -> Vec<u32> {
        let taken = self.taken.lock().unwrap();
        let by_id: BTreeMap<_, _> = taken.indexed.iter().map(|event| (&*event.id, &event.whole["event"])).collect();
        let number = |event: &&Value| event["uid"].as_str().unwrap()[1..].parse().unwrap();
        by_id.values().map(number).collect()
    }

    fn accept(&self, events: Events, indexed_in: Option<Duration>) -> String {
        let mut taken = self.taken.lock().unwrap();
        let next = taken.next.entry(events.channel.clone()).or_default();
        let number = *next;
        *next += 1;
        let parse = |text: &String| {
            let whole: Value = serde_json::from_str(text).unwrap();
            Event { id: whole["event"]["certsift"]["id"].as_str().unwrap().to_owned(), whole }
        };
        let (channel, events) = (events.channel, events.texts.iter().map(parse).collect());
        taken.queued.insert((channel, number), (events, indexed_in.map(|time| Instant::now() + time)));
        json!({ "text": "Success", "code": 0, "ackId": number }).to_string()
    }

    fn acknowledge(&self, events: &Events) -> String {
        let question: Value = serde_json::from_str(&events.texts[0]).unwrap();
        let mut taken = self.taken.lock().unwrap();
        let mut answer = serde_json::Map::new();
        for number in question["acks"].as_array().unwrap() {
            let number = number.as_u64().unwrap();
            let is_indexed = |(_, at): &(_, Option<Instant>)| at.is_some_and(|at| at <= Instant::now());
            let place = (events.channel.clone(), number);
            let is_indexed = taken.queued.get(&place).is_some_and(is_indexed);
            if is_indexed {
                let (events, _) = taken.queued.remove(&place).unwrap();
                taken.index(events);
            }
            answer.insert(number.to_string(), is_indexed.into());
        }
        json!({ "acks": answer }).to_string()
    }
}

impl Service for Splunk {
    fn answer(&self, request: &Request) -> Action {
        assert_eq!(request.headers["authorization"], format!("Splunk {SECRET}"));
        let channel = &request.headers["x-splunk-request-channel"];
        assert_eq!(channel.len(), 36);
        let is_question = request.target == format!("/services/collector/ack?channel={channel}");
        assert!(is_question || request.target == "/services/collector/event", "{}", request.target);
        let text = std::str::from_utf8(&request.body).unwrap();
        let channel = channel.clone();
        let events = Events { is_question, channel, texts: text.lines().map(str::to_owned).collect() };
        self.taken.lock().unwrap().requests += usize::from(!is_question);
        let mood = (self.mood)(&events);
        if is_question {
            return match mood {
                HecMood::Refuse(action) => action,
                HecMood::TakeAndThen(action) => {
                    self.acknowledge(&events);
                    action
                }
                _ => Action::Reply(200, self.acknowledge(&events)),
            };
        }
        match mood {
            HecMood::Take(time) => Action::Reply(200, self.accept(events, Some(time))),
            HecMood::Lose => Action::Reply(200, self.accept(events, None)),
            HecMood::TakeInSilence => {
                let channel = events.channel.clone();
                let reply = self.accept(events, None);
                let mut taken = self.taken.lock().unwrap();
                let number = taken.next[&channel] - 1;
                let (events, _) = taken.queued.remove(&(channel, number)).unwrap();
                taken.index(events);
                Action::Reply(200, reply)
            }
            HecMood::Refuse(action) => action,
            HecMood::TakeAndThen(action) => {
                self.accept(events, Some(Duration::ZERO));
                action
            }
            HecMood::Forget => {
                let mut taken = self.taken.lock().unwrap();
                (taken.next, taken.queued) = (BTreeMap::new(), BTreeMap::new());
                Action::Reply(503, "{\"text\":\"Server is shutting down\",\"code\":23}".to_owned())
            }
        }
    }

    fn reset_within(&self) -> Option<usize> {
        let mut random = self.random.lock().unwrap();
        (self.resets > 0 && random.one_in(self.resets)).then(|| random.below(100_000))
    }
}

/// Does one thing or another, about every second time something that is wrong.
fn anything_of_splunk(random: &mut Random) -> HecMood {
    let busy = || Action::Reply(503, "{\"text\":\"Server is busy\",\"code\":9}".to_owned());
    match random.below(28) {
        0 => HecMood::Refuse(busy()),
        1 => HecMood::Refuse(Action::ReplyWith(429, "Retry-After: 0\r\n", String::new())),
        2 => HecMood::Refuse(Action::Reply(500, "{\"text\":\"Internal server error\",\"code\":8}".to_owned())),
        3 => HecMood::Refuse(Action::Reply(200, "{\"text\":\"Success\"".to_owned())),
        4 => HecMood::Refuse(Action::Raw(Vec::new())),
        5 => HecMood::TakeAndThen(Action::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"tex".to_vec())),
        6 => HecMood::TakeAndThen(Action::Raw(Vec::new())),
        7 => HecMood::TakeAndThen(Action::Endless),
        8 => HecMood::TakeInSilence,
        9 | 10 => HecMood::Lose,
        11 => HecMood::Forget,
        12 => HecMood::Refuse(Action::Hang(Duration::from_millis(1200))),
        _ => HecMood::Take(Duration::from_millis(random.below(300) as u64)),
    }
}

impl Sending {
    fn splunk(port: u16, more: &str) -> Self {
        let sending = Self::new(&format!(
            "[output.splunk]\nurl = \"http://127.0.0.1:{port}\"\ntoken_file = \"token\"\ntimeout = \"1s\"\n{more}"
        ));
        std::fs::write(sending.world.path("token"), format!(" {SECRET}\n")).unwrap();
        sending
    }
}

#[test]
fn each_id_is_there_through_kills_and_whatever_splunk_does() {
    let random = Mutex::new(Random::from_seed(seed()));
    let is_calm = Arc::new(AtomicBool::new(false));
    let shared = Arc::clone(&is_calm);
    let splunk = Arc::new(Splunk {
        resets: 15,
        ..Splunk::new(move |_| match shared.load(Ordering::Relaxed) {
            true => HecMood::Take(Duration::ZERO),
            false => anything_of_splunk(&mut random.lock().unwrap()),
        })
    });
    let more = format!("{}acknowledge_timeout = \"2s\"\n", request_size());
    let mut sending = Sending::splunk(serve(Arc::clone(&splunk)), &more);
    sending.live_through_kills(|| splunk.distinct(), &is_calm);
    // As many ids as sessions, and each session by one id.
    sending.traffic.assert_once(splunk.numbers(), &sending.world.said());
    assert!(sending.rejected().is_empty(), "{:?}", sending.rejected());
    let said = sending.world.said();
    assert!(said.contains("went through the journal"), "no kill came while something was on its way");
    assert!(said.contains("not acknowledged in time; sent again") && !said.contains("panicked"));
    sending.assert_secret_is_kept();
}

#[test]
fn splunk_gets_nothing_twice_where_nothing_fails() {
    let random = Mutex::new(Random::from_seed(seed()));
    let take = move |_: &Events| HecMood::Take(Duration::from_millis(random.lock().unwrap().below(400) as u64));
    let splunk = Arc::new(Splunk::new(take));
    let more = "index = \"tls\"\nsource = \"certsift\"\nhost = \"sensor-1\"\n";
    let mut sending = Sending::splunk(serve(Arc::clone(&splunk)), more);
    for _ in 0..4 {
        sending.start();
        for _ in 0..5 {
            sending.append(100);
            std::thread::sleep(Duration::from_millis(50));
        }
        sending.wait_until("all is read", || sending.world.said().contains("following"));
        sending.world.stop();
        // What was not acknowledged by then would have kept it from ending in order.
        assert_eq!(splunk.taken.lock().unwrap().indexed.len(), sending.traffic.sessions as usize);
    }
    let taken = splunk.taken.lock().unwrap();
    assert!(taken.queued.is_empty());
    for event in &taken.indexed {
        let Value::Object(whole) = &event.whole else { panic!("no object") };
        let keys: Vec<_> = whole.keys().map(String::as_str).collect();
        assert_eq!(keys, ["event", "host", "index", "source", "sourcetype", "time"]);
        assert_eq!((&whole["sourcetype"], &whole["host"]), (&json!("certsift:raw"), &json!("sensor-1")));
        assert_eq!(whole["time"], whole["event"]["ts"]);
    }
    drop(taken);
    sending.traffic.assert_once(splunk.numbers(), &sending.world.said());
}

#[test]
fn what_splunk_took_and_lost_is_sent_again_after_a_kill_too() {
    let is_lossy = Arc::new(AtomicBool::new(true));
    let shared = Arc::clone(&is_lossy);
    let splunk = Arc::new(Splunk::new(move |_| match shared.load(Ordering::Relaxed) {
        true => HecMood::Lose,
        false => HecMood::Take(Duration::ZERO),
    }));
    let mut sending = Sending::splunk(serve(Arc::clone(&splunk)), "");
    sending.start();
    let taken = |splunk: &Splunk| splunk.taken.lock().unwrap().queued.values().map(|it| it.0.len()).sum::<usize>();
    for _ in 0..2 {
        sending.append(300);
        let all = sending.traffic.sessions as usize;
        // All that was lost before is taken again, and lost again.
        sending.wait_until("all is taken", || taken(&splunk) >= all);
        sending.world.kill();
        splunk.taken.lock().unwrap().queued.clear();
        sending.start();
    }
    is_lossy.store(false, Ordering::Relaxed);
    sending.world.kill();
    sending.start();
    sending.wait_until("all arrives", || splunk.distinct() == 600);
    sending.world.stop();
    sending.traffic.assert_once(splunk.numbers(), &sending.world.said());
}

#[test]
fn a_splunk_that_acknowledges_nothing_is_said_by_health_until_it_does() {
    let is_silent = Arc::new(AtomicBool::new(true));
    let shared = Arc::clone(&is_silent);
    let splunk = Arc::new(Splunk::new(move |_| match shared.load(Ordering::Relaxed) {
        true => HecMood::Lose,
        false => HecMood::Take(Duration::ZERO),
    }));
    let port = support::server::free_port();
    let more = format!("acknowledge_timeout = \"1s\"\n[observe]\nlisten = \"127.0.0.1:{port}\"\n");
    let mut sending = Sending::splunk(serve(Arc::clone(&splunk)), &more);
    sending.append(10);
    sending.start();
    let health = || {
        let mut answer = String::new();
        if let Ok(mut connection) = std::net::TcpStream::connect(("127.0.0.1", port)) {
            connection.write_all(b"GET /healthz HTTP/1.1\r\nHost: certsift\r\n\r\n").unwrap();
            connection.read_to_string(&mut answer).unwrap();
        }
        answer
    };
    // It answers every question, and says each time that nothing is safe.
    sending.wait_until("health is bad", || health().contains("it does not acknowledge what it was sent"));
    is_silent.store(false, Ordering::Relaxed);
    sending.wait_until("health is good again", || health().starts_with("HTTP/1.1 200"));
    assert_eq!(splunk.distinct(), 10);
    sending.world.stop();
}

#[test]
fn without_acknowledgements_nothing_is_sent_unless_that_is_wanted() {
    let splunk = Arc::new(Splunk::new(|events| match events.is_question {
        true => HecMood::Refuse(Action::Reply(400, "{\"text\":\"ACK is disabled\",\"code\":14}".to_owned())),
        false => HecMood::TakeInSilence,
    }));
    let mut sending = Sending::splunk(serve(Arc::clone(&splunk)), "");
    sending.append(50);
    sending.start();
    sending.wait_until_said("acknowledgement is switched off for this token");
    sending.world.kill();
    assert_eq!(splunk.taken.lock().unwrap().requests, 0);
    let config = std::fs::read_to_string(sending.world.path("certsift.toml")).unwrap();
    let config = config.replace("timeout = \"1s\"", "acknowledge = false");
    std::fs::write(sending.world.path("certsift.toml"), config).unwrap();
    sending.start();
    sending.wait_until("all arrives", || splunk.distinct() == 50);
    sending.world.stop();
    assert_eq!(splunk.taken.lock().unwrap().indexed.len(), 50);
}

#[test]
fn an_event_that_spoils_a_request_is_found_and_a_wrong_index_waits_for_a_person() {
    let is_mended = Arc::new(AtomicBool::new(false));
    let shared = Arc::clone(&is_mended);
    let splunk = Arc::new(Splunk::new(move |events| {
        let spoilt = events.texts.iter().position(|text| text.contains("\"uid\":\"C33\""));
        let reply = |text: &str, code: u32, number: usize| {
            let reply = json!({ "text": text, "code": code, "invalid-event-number": number });
            HecMood::Refuse(Action::Reply(400, reply.to_string()))
        };
        match spoilt {
            _ if events.is_question => HecMood::Take(Duration::ZERO),
            _ if !shared.load(Ordering::Relaxed) => reply("Incorrect index", 7, 0),
            Some(number) => reply("Invalid data format", 6, number),
            None => HecMood::Take(Duration::ZERO),
        }
    }));
    let mut sending = Sending::splunk(serve(Arc::clone(&splunk)), "");
    sending.append(100);
    sending.start();
    sending.wait_until_said("Incorrect index");
    is_mended.store(true, Ordering::Relaxed);
    // So that it need not wait.
    sending.world.signal("-HUP");
    sending.wait_until("all but one arrive", || splunk.distinct() == 99);
    sending.world.stop();
    let rejected = sending.rejected();
    assert_eq!(rejected.len(), 1);
    assert!(rejected[0]["reason"].as_str().unwrap().contains("Invalid data format"), "{}", rejected[0]);
    assert!(rejected[0]["text"].as_str().unwrap().contains("\"uid\":\"C33\""), "{}", rejected[0]);
}

/// Reads from connections, one after the other: of the first ones a part only.
fn read_some(mut accept: impl FnMut() -> Box<dyn Read>, read: &Mutex<Vec<u8>>, parts: &[usize]) {
    let mut parts = parts.iter();
    loop {
        let (mut stream, mut left) = (accept(), parts.next().copied().unwrap_or(usize::MAX));
        let mut part = [0; 4096];
        while left > 0 {
            let Ok(bytes @ 1..) = stream.read(&mut part[..left.min(4096)]) else { break };
            left -= bytes;
            read.lock().unwrap().extend_from_slice(&part[..bytes]);
        }
        // What was begun is torn.
        read.lock().unwrap().push(b'\n');
    }
}

fn sessions_of(read: &Mutex<Vec<u8>>) -> usize {
    numbers(&read.lock().unwrap()).into_iter().collect::<BTreeSet<_>>().len()
}

#[test]
fn a_socket_whose_reader_goes_away_gets_everything_at_least_once() {
    // What the system had taken before a kill nobody has any more: then the reader must not go away as well.
    const GOES_AWAY: &[usize] = &[1, 70_000, 0, 300_000, 12_345];
    for (kind, parts, is_killed) in
        [("unix", GOES_AWAY, false), ("tcp", GOES_AWAY, false), ("unix", &[], true), ("tcp", &[], true)]
    {
        let port = free_port();
        let address = if kind == "unix" { "unix:lines.sock".to_owned() } else { format!("tcp://127.0.0.1:{port}") };
        let mut sending = Sending::new(&format!("[output.socket]\naddress = \"{address}\"\n"));
        let path = sending.world.path("lines.sock");
        sending.append(500);
        sending.start();
        sending.wait_until_said("cannot deliver; trying again");
        let read = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&read);
        std::thread::spawn(move || match kind {
            "unix" => {
                let listener = UnixListener::bind(path).unwrap();
                read_some(|| Box::new(listener.accept().unwrap().0), &shared, parts);
            }
            _ => {
                let listener = listen(port);
                read_some(|| Box::new(listener.accept().unwrap().0), &shared, parts);
            }
        });
        for step in 0..10 {
            sending.append(200);
            std::thread::sleep(Duration::from_millis(30));
            if step == 5 && is_killed {
                sending.world.kill();
                sending.start();
            }
        }
        sending.wait_until("all arrives", || sessions_of(&read) == 2500);
        sending.world.stop();
        sending.traffic.assert_at_least_once(numbers(&read.lock().unwrap()), &sending.world.said());
    }
}

#[test]
fn a_socket_gets_each_line_once_and_whole_where_nothing_fails() {
    let mut sending = Sending::new("[output]\nformat = \"ecs\"\n[output.socket]\naddress = \"unix:lines.sock\"\n");
    let listener = UnixListener::bind(sending.world.path("lines.sock")).unwrap();
    let read = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&read);
    std::thread::spawn(move || read_some(|| Box::new(listener.accept().unwrap().0), &shared, &[]));
    sending.append(3000);
    sending.start();
    let lines = || read.lock().unwrap().iter().filter(|byte| **byte == b'\n').count();
    sending.wait_until("all arrives", || lines() >= 3000);
    sending.world.stop();
    sending.wait_until("the end is seen", || lines() > 3000);
    let records = support::records(&read.lock().unwrap());
    let ids: BTreeSet<_> = records.iter().map(|record| record["event"]["id"].as_str().unwrap()).collect();
    assert_eq!((records.len(), ids.len()), (3000, 3000));
}
