//! `certsift run` as its operators see it: `/metrics`, `/healthz`, the log.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on fails, and says so")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::server::free_port;
use support::sidecar::{PATIENCE, World, ssl, x509};
use support::small_disk::{SmallDisk, may_mount};
use support::{certsift, repository};

/// A sidecar that answers on a port of its own.
struct Observed {
    world: World,
    address: SocketAddr,
}

impl Observed {
    fn start(settings: &str) -> Self {
        Self::start_in(World::new(), settings)
    }

    fn start_in(mut world: World, settings: &str) -> Self {
        let mut config = std::fs::read_to_string(world.path("certsift.toml")).unwrap();
        config.push_str("[observe]\nlisten = \"127.0.0.1:0\"\n");
        config.push_str(settings);
        std::fs::write(world.path("certsift.toml"), config).unwrap();
        world.start();
        let started = Instant::now();
        let address = loop {
            let said = world.said();
            let found = said.lines().find(|line| line.contains("answering /metrics")).and_then(|line| {
                let (_, rest) = line.split_once("127.0.0.1:")?;
                rest.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u16>().ok()
            });
            if let Some(port) = found {
                break SocketAddr::from(([127, 0, 0, 1], port));
            }
            assert!(started.elapsed() < PATIENCE, "{said}");
            std::thread::sleep(Duration::from_millis(20));
        };
        Self { world, address }
    }

    /// Sends bytes and gives everything that comes back.
    fn send(&self, question: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(question).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Status and body.
    fn get(&self, path: &str) -> (u16, String) {
        let answer = self.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    fn metrics(&self) -> Exposition {
        let (status, text) = self.get("/metrics");
        assert_eq!(status, 200);
        Exposition::parse(&text)
    }

    /// Asks until something holds.
    fn wait_until(&self, what: &str, holds: impl Fn(&Exposition) -> bool) -> Exposition {
        let started = Instant::now();
        loop {
            let metrics = self.metrics();
            if holds(&metrics) {
                return metrics;
            }
            assert!(started.elapsed() < PATIENCE, "{what}: {:?}; {}", metrics.samples, self.world.said());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn wait_for_health(&self, status: u16) -> String {
        let started = Instant::now();
        loop {
            let (found, body) = self.get("/healthz");
            if found == status {
                return body;
            }
            assert!(started.elapsed() < PATIENCE, "{found} {body}; {}", self.world.said());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Text of Prometheus, read strictly by what its documentation says of format 0.0.4.
#[derive(Default)]
struct Exposition {
    kinds: BTreeMap<String, String>,
    /// By name and labels as they stand.
    samples: BTreeMap<(String, Vec<(String, String)>), f64>,
}

impl Exposition {
    fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line has no end");
        let mut found = Self::default();
        let (mut helped, mut closed, mut family) = (BTreeSet::new(), BTreeSet::new(), String::new());
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                assert!(!help.is_empty() && helped.insert(name.to_owned()), "{line}");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert!(helped.contains(name), "no HELP before {line}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                assert!(found.kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "{line}");
                assert!(closed.insert(name.to_owned()), "a family in two places: {name}");
                family = name.to_owned();
            } else {
                let (name, labels, value) = sample(line);
                let kind = &found.kinds[&family];
                let of_family = match name.strip_prefix(family.as_str()) {
                    Some("") => kind != "histogram",
                    Some("_bucket" | "_sum" | "_count") => kind == "histogram",
                    _ => false,
                };
                assert!(of_family, "{line} stands in the family {family}");
                assert!(found.samples.insert((name, labels), value).is_none(), "twice: {line}");
            }
        }
        found
    }

    fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let labels: Vec<_> = labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let key = (name.to_owned(), labels);
        *self.samples.get(&key).unwrap_or_else(|| panic!("no {key:?} in {:?}", self.samples.keys()))
    }

    /// The one input whose name ends so.
    fn of_input(&self, name: &str, ending: &str) -> Option<f64> {
        let of_name = self.samples.iter().filter(|((found, _), _)| found == name);
        let mut found = of_name.filter(|((_, labels), _)| labels[0].1.ends_with(ending)).map(|(_, value)| *value);
        let value = found.next();
        assert!(found.next().is_none(), "several inputs {ending}");
        value
    }
}

fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn sample(line: &str) -> (String, Vec<(String, String)>, f64) {
    let end = line.find(['{', ' ']).unwrap();
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_once("=\"").unwrap();
            assert!(is_name(label), "{line}");
            let mut value = String::new();
            let mut characters = after.chars();
            loop {
                match characters.next().unwrap() {
                    '"' => break,
                    '\\' => value.push(match characters.next().unwrap() {
                        'n' => '\n',
                        escaped @ ('\\' | '"') => escaped,
                        other => panic!("\\{other} in {line}"),
                    }),
                    other => value.push(other),
                }
            }
            labels.push((label.to_owned(), value));
            match characters.next().unwrap() {
                ',' => rest = characters.as_str(),
                '}' => {
                    rest = characters.as_str();
                    break;
                }
                other => panic!("{other} in {line}"),
            }
        }
    }
    let value = rest.strip_prefix(' ').unwrap();
    assert!(!value.contains(' '), "{line}");
    (name.to_owned(), labels, value.parse().unwrap())
}

#[test]
fn what_was_done_is_counted() {
    let observed = Observed::start("");
    let world = &observed.world;
    // A session whose certificate comes, one whose certificate never does, and a line that cannot leave.
    world.append("logs/x509.log", &[x509(1_760_000_000, 1)]);
    world.append("logs/ssl.log", &[ssl(1_760_000_001, 1), ssl(1_760_000_002, 2), "{\"ts\":1,".to_owned()]);
    let metrics = observed.wait_until("a dead letter, and both sessions committed", |metrics| {
        metrics.value("certsift_dead_letters_total", &[]) == 1.0
            && metrics.value("certsift_records_written_total", &[("log", "zeek.ssl")]) == 2.0
            && metrics.value("certsift_last_commit_timestamp_seconds", &[]) > 0.0
            && metrics.of_input("certsift_input_lag_bytes", "ssl.log") == Some(0.0)
    });
    assert_eq!(metrics.value("certsift_records_written_total", &[("log", "zeek.x509")]), 1.0);
    assert_eq!(metrics.value("certsift_sessions_total", &[("certificate", "presented")]), 1.0);
    assert_eq!(metrics.value("certsift_sessions_total", &[("certificate", "absent")]), 1.0);
    assert_eq!(metrics.value("certsift_join_misses_total", &[]), 1.0);
    assert_eq!(metrics.value("certsift_sessions_absent_total", &[("reason", "not_found")]), 1.0);
    let verdicts = metrics.samples.iter().filter(|((name, _), _)| name == "certsift_verdicts_total");
    assert_eq!(verdicts.map(|(_, value)| value).sum::<f64>(), 2.0);
    assert_eq!(metrics.value("certsift_files", &[("state", "live")]), 2.0);
    assert_eq!(metrics.of_input("certsift_input_lag_seconds", "ssl.log"), Some(0.0));
    let newest = metrics.of_input("certsift_input_newest_record_timestamp_seconds", "ssl.log");
    assert_eq!(newest, Some(1_760_000_002.0));
    let written = std::fs::metadata(world.path("out.ndjson")).unwrap().len();
    assert_eq!(metrics.value("certsift_written_bytes_total", &[]), written as f64);
    let commits = metrics.value("certsift_commit_duration_seconds_count", &[]);
    assert_eq!(metrics.value("certsift_commit_duration_seconds_bucket", &[("le", "+Inf")]), commits);
    assert!(commits >= 1.0 && metrics.value("certsift_commit_duration_seconds_sum", &[]) > 0.0);
    assert_eq!(observed.get("/healthz"), (200, "ok\n".to_owned()));
    assert_eq!(metrics.value("certsift_healthy", &[]), 1.0);
}

#[test]
fn connections_are_counted_while_they_last() {
    let observed = Observed::start("[[input]]\nsocket = \"unix-stream:eve.sock\"\n");
    let connections = |metrics: &Exposition| metrics.value("certsift_connections", &[]);
    let path = observed.world.path("eve.sock");
    observed.wait_until("a socket", |metrics| path.exists() && connections(metrics) == 0.0);
    let open = [(); 3].map(|()| std::os::unix::net::UnixStream::connect(&path).unwrap());
    observed.wait_until("three connections", |metrics| connections(metrics) == 3.0);
    drop(open);
    observed.wait_until("no connection", |metrics| connections(metrics) == 0.0);
}

#[test]
fn a_rotated_file_keeps_its_name_until_its_end() {
    let observed = Observed::start("");
    let world = &observed.world;
    world.append("logs/ssl.log", &[ssl(1_760_000_001, 1)]);
    observed.wait_until("the file", |metrics| metrics.of_input("certsift_input_lag_bytes", "ssl.log").is_some());
    std::fs::rename(world.path("logs/ssl.log"), world.path("logs/ssl.old.log")).unwrap();
    world.append("logs/ssl.log", &[ssl(1_760_000_002, 1)]);
    let metrics = observed.wait_until("both files", |metrics| {
        metrics.value("certsift_files", &[("state", "live")]) == 1.0
            && metrics.value("certsift_files", &[("state", "rotated")]) == 1.0
            && metrics.of_input("certsift_input_newest_record_timestamp_seconds", "/ssl.log") == Some(1_760_000_002.0)
    });
    assert_eq!(metrics.of_input("certsift_input_lag_bytes", "ssl.old.log"), None);
}

#[test]
fn every_metric_is_in_the_readme_and_what_dashboards_and_alerts_name_exists() {
    let observed = Observed::start("");
    let metrics = observed.metrics();
    let readme = std::fs::read_to_string(repository("README.md")).unwrap();
    let missing: Vec<_> = metrics.kinds.keys().filter(|name| !readme.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "the table of metrics lacks {missing:?}");
    let words = |text: &str| {
        let names = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        names
            .filter(|word| word.strip_prefix("certsift_").is_some_and(|rest| !rest.is_empty()))
            .map(str::to_owned)
            .collect::<BTreeSet<_>>()
    };
    let exists = |word: &str| {
        let histogram = ["_bucket", "_sum", "_count"].iter().find_map(|part| word.strip_suffix(part));
        metrics.kinds.contains_key(word) || histogram.is_some_and(|name| metrics.kinds.contains_key(name))
    };
    for file in ["README.md", "packaging/grafana/certsift.json", "packaging/prometheus/certsift.rules.yml"] {
        let named = words(&std::fs::read_to_string(repository(file)).unwrap());
        assert!(named.len() > 10, "{file} names only {named:?}");
        let unknown: Vec<_> = named.into_iter().filter(|word| !exists(word)).collect();
        assert!(unknown.is_empty(), "{file} names {unknown:?}");
    }
    // All that is counted can be seen.
    let dashboard = std::fs::read_to_string(repository("packaging/grafana/certsift.json")).unwrap();
    assert!(
        serde_json::from_str::<serde_json::Value>(&dashboard).is_ok_and(|dashboard| dashboard["panels"].is_array())
    );
    let dashboard = words(&dashboard);
    let shown = |name: &String| dashboard.iter().any(|word| word.starts_with(name.as_str()));
    let ours = metrics.kinds.keys().filter(|name| name.starts_with("certsift_"));
    let missing: Vec<_> = ours.filter(|name| !shown(name)).collect();
    assert!(missing.is_empty(), "the dashboard lacks {missing:?}");
}

#[test]
fn only_questions_are_answered() {
    let observed = Observed::start("");
    let too_long = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(9000));
    let with_body = format!("POST /metrics HTTP/1.1\r\nContent-Length: 5000\r\n\r\n{}", "x".repeat(5000));
    for (question, status) in [
        ("GET /metrics HTTP/1.0\n\n", "200 "),
        ("GET /metrics?name=x HTTP/1.1\r\n\r\n", "200 "),
        ("GET / HTTP/1.1\r\n\r\n", "404 "),
        ("GET /metrics/../healthz HTTP/1.1\r\n\r\n", "404 "),
        ("HEAD /metrics HTTP/1.1\r\n\r\n", "405 "),
        ("DELETE /healthz HTTP/1.1\r\n\r\n", "405 "),
        (&with_body, "405 "),
        ("GET /metrics\r\n\r\n", "400 "),
        ("\x16\x03\x01\x02\x00\n\n", "400 "),
        ("GET /metrics HTTP/2.0\r\n\r\n", "400 "),
        (&too_long, "431 "),
    ] {
        let answer = observed.send(question.as_bytes());
        let found = answer.strip_prefix("HTTP/1.1 ").unwrap_or_default();
        assert!(found.starts_with(status), "{question:.40}: {answer:.60}");
        assert_eq!(found.starts_with("405"), answer.contains("\r\nAllow: GET\r\n"), "{question:.40}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{question:.40}");
    }
}

#[test]
fn slow_clients_are_let_go_and_others_answered_meanwhile() {
    let observed = Observed::start("");
    // More than there are places for, each with half a question, and one byte more now and then.
    let mut slow: Vec<_> = (0..200)
        .map(|_| {
            let mut stream = TcpStream::connect(observed.address).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(b"GET /metrics HTTP/1.1\r\nX-Slow: ").unwrap();
            stream
        })
        .collect();
    for _ in 0..5 {
        for stream in &mut slow {
            // Those that have lost their place are told so.
            let _ = stream.write_all(b"x");
        }
        assert_eq!(observed.get("/metrics").0, 200, "a client that asks at once is answered");
    }
    // In the end none of them has got anything, and all are let go.
    for stream in &mut slow {
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
    }
    let held = std::fs::read_dir(format!("/proc/{}/fd", observed.world.child.as_ref().unwrap().id())).unwrap().count();
    assert!(held < 100, "{held} descriptors are open");
    assert_eq!(observed.get("/metrics").0, 200);
}

#[test]
fn health_is_bad_with_the_reason_while_an_input_cannot_be_read() {
    let observed = Observed::start("[[input]]\npaths = [\"pipe\"]\n");
    assert_eq!(observed.wait_for_health(200), "ok\n");
    let pipe = observed.world.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let said = observed.wait_for_health(503);
    assert!(said.contains("pipe is not a regular file"), "{said}");
    let metrics = observed.metrics();
    assert_eq!(metrics.value("certsift_healthy", &[]), 0.0);
    assert_eq!(metrics.value("certsift_files", &[("state", "unreadable")]), 1.0);
    std::fs::remove_file(pipe).unwrap();
    assert_eq!(observed.wait_for_health(200), "ok\n");
}

#[test]
fn health_is_bad_with_the_reason_while_the_disk_is_full() {
    if !may_mount("health_is_bad_with_the_reason_while_the_disk_is_full") {
        return;
    }
    let world = World::new();
    let disk = SmallDisk::mount(world.path("disk"));
    let config = std::fs::read_to_string(world.path("certsift.toml")).unwrap();
    std::fs::write(world.path("certsift.toml"), config.replace("out.ndjson", "disk/out.ndjson")).unwrap();
    let observed = Observed::start_in(world, "");
    observed.world.append("logs/ssl.log", &[ssl(1_760_000_001, 1)]);
    observed.wait_until("a commit", |metrics| metrics.value("certsift_last_commit_timestamp_seconds", &[]) > 0.0);
    disk.fill();
    observed.world.append("logs/ssl.log", &(2..2000).map(|time| ssl(1_760_000_000 + time, 1)).collect::<Vec<_>>());
    let said = observed.wait_for_health(503);
    assert!(said.contains("disk/out.ndjson has taken nothing for") && said.contains("No space left"), "{said}");
    let metrics = observed.metrics();
    assert_eq!(metrics.value("certsift_outputs_waiting", &[]), 1.0);
    assert!(metrics.value("certsift_sink_retries_total", &[("sink", "file")]) >= 1.0);
    disk.free();
    assert_eq!(observed.wait_for_health(200), "ok\n");
    observed.wait_until("what waited", |metrics| {
        metrics.value("certsift_records_written_total", &[("log", "zeek.ssl")]) == 1999.0
    });
    // The disk goes once nobody writes to it any more.
    drop(observed);
}

#[test]
fn a_server_that_cannot_be_reached_is_said_by_health_and_counted() {
    let world = World::new();
    let config = std::fs::read_to_string(world.path("certsift.toml")).unwrap();
    let url = format!("[output.elasticsearch]\nurl = \"http://127.0.0.1:{}\"\n", free_port());
    std::fs::write(world.path("certsift.toml"), config.replace("path = \"out.ndjson\"\n", &url)).unwrap();
    let observed = Observed::start_in(world, "");
    assert_eq!(observed.wait_for_health(200), "ok\n");
    observed.world.append("logs/ssl.log", &[ssl(1_760_000_001, 1)]);
    let said = observed.wait_for_health(503);
    assert!(said.starts_with("http://127.0.0.1:") && said.contains("has taken nothing for"), "{said}");
    let metrics = observed.metrics();
    assert!(metrics.value("certsift_sink_retries_total", &[("sink", "network")]) >= 1.0);
    assert_eq!(metrics.value("certsift_network_lines_in_flight", &[]), 1.0);
    assert_eq!(metrics.value("certsift_network_lines_taken_total", &[]), 0.0);
    assert_eq!(metrics.value("certsift_outputs_waiting", &[]), 1.0);
}

#[test]
fn a_reader_of_a_socket_that_does_not_read_is_said_by_health_until_it_does() {
    let world = World::new();
    let listener = UnixListener::bind(world.path("reader")).unwrap();
    let config = std::fs::read_to_string(world.path("certsift.toml")).unwrap();
    let address = format!("socket.address = \"unix:{}\"\n", world.path("reader").display());
    std::fs::write(world.path("certsift.toml"), config.replace("path = \"out.ndjson\"\n", &address)).unwrap();
    let observed = Observed::start_in(world, "");
    assert_eq!(observed.wait_for_health(200), "ok\n");
    let lines: Vec<_> = (0..5000).map(|number| x509(1_760_000_000, number)).collect();
    observed.world.append("logs/x509.log", &lines);
    let said = observed.wait_for_health(503);
    assert!(said.starts_with("unix:") && said.contains("its reader does not read"), "{said}");
    assert_eq!(observed.metrics().value("certsift_outputs_waiting", &[]), 1.0);
    let (mut reader, _) = listener.accept().unwrap();
    std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
    assert_eq!(observed.wait_for_health(200), "ok\n");
    assert_eq!(observed.metrics().value("certsift_outputs_waiting", &[]), 0.0);
}

#[test]
fn a_socket_is_an_input_whose_newest_record_is_known_also_when_its_sender_has_gone() {
    let observed = Observed::start("[[input]]\nsocket = \"unix-stream:s\"\n");
    let path = observed.world.path("s");
    let started = Instant::now();
    let mut sender = loop {
        match UnixStream::connect(&path) {
            Ok(sender) => break sender,
            Err(error) => assert!(started.elapsed() < PATIENCE, "{error}: {}", observed.world.said()),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    writeln!(sender, "{}", ssl(1_760_000_001, 1)).unwrap();
    let newest = |metrics: &Exposition| metrics.of_input("certsift_input_newest_record_timestamp_seconds", "s");
    observed.wait_until("the record", |metrics| newest(metrics) == Some(1_760_000_001.0));
    drop(sender);
    let metrics = observed.wait_until("the commit", |metrics| {
        metrics.value("certsift_records_written_total", &[("log", "zeek.ssl")]) == 1.0
    });
    assert_eq!(newest(&metrics), Some(1_760_000_001.0));
    assert_eq!(metrics.of_input("certsift_input_lag_bytes", "s"), None, "nobody knows");
}

#[test]
fn a_pattern_that_finds_nothing_yet_is_no_illness() {
    let observed = Observed::start("");
    let metrics = observed.wait_until("the look at the inputs", |metrics| {
        metrics.value("certsift_files", &[("state", "missing")]) == 1.0
    });
    assert_eq!(metrics.value("certsift_healthy", &[]), 1.0);
}

#[test]
fn the_log_is_json_where_that_is_wanted() {
    let lines = |world: &World| -> Vec<serde_json::Value> {
        let said = world.said();
        let lines: Vec<serde_json::Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(lines.iter().all(|line| line["level"].is_string() && line["message"].is_string()), "{said}");
        lines
    };
    let says = |lines: &[serde_json::Value], level: &str, text: &str| {
        lines.iter().any(|line| line["level"] == level && line["message"].as_str().unwrap().contains(text))
    };
    // What is said of a feed for people as well.
    let world = World::new();
    std::fs::write(world.path("empty.csv"), "").unwrap();
    let feeds = "log_format = \"json\"\n[knowledge]\nfeeds = [\"empty.csv\"]\n";
    let mut observed = Observed::start_in(world, feeds);
    observed.wait_for_health(200);
    observed.world.stop();
    let said = lines(&observed.world);
    assert!(says(&said, "WARN", "empty.csv: the file is empty") && says(&said, "INFO", "drained"), "{said:?}");
    // And why it ends, when a feed that is named is not there.
    std::fs::remove_file(observed.world.path("empty.csv")).unwrap();
    observed.world.start();
    assert!(!observed.world.child.as_mut().unwrap().wait().unwrap().success());
    assert!(says(&lines(&observed.world), "ERROR", "empty.csv"), "{}", observed.world.said());
}

#[test]
fn status_asks_the_process_and_else_looks_at_the_state() {
    let mut observed = Observed::start("");
    observed.world.append("logs/ssl.log", &[ssl(1_760_000_001, 1)]);
    observed.wait_until("a commit", |metrics| {
        metrics.value("certsift_last_commit_timestamp_seconds", &[]) > 0.0
            && metrics.value("certsift_records_written_total", &[("log", "zeek.ssl")]) == 1.0
            && metrics.of_input("certsift_input_lag_bytes", "ssl.log") == Some(0.0)
    });
    let status = |folder: &std::path::Path, more: &[&str]| {
        let output = certsift(folder, &[&["status", "--config", "asked.toml"], more].concat());
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    // The port was chosen by the system.
    let config = std::fs::read_to_string(observed.world.path("certsift.toml")).unwrap();
    std::fs::write(observed.world.path("asked.toml"), config.replace("127.0.0.1:0", &observed.address.to_string()))
        .unwrap();
    let folder = observed.world.folder.path().to_owned();
    let (code, text) = status(&folder, &[]);
    assert_eq!(code, 0, "{text}");
    assert!(text.starts_with("certsift 0.1.0 runs, and is well\n"), "{text}");
    let line = text.lines().find(|line| line.contains("logs/ssl.log")).unwrap();
    assert!(line.contains("0 bytes") && line.ends_with("2025-10-09T08:53:21Z"), "{text}");
    assert!(!text.contains("server "), "there is none: {text}");
    assert!(text.contains("records       zeek.ssl 1\n") && text.contains("absent        not_found 1\n"), "{text}");
    let (_, json) = status(&folder, &["--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["healthy"], &json["inputs"][0]["lag_bytes"]), (&true.into(), &0.into()), "{json}");
    // Without an address the lock of the state tells.
    std::fs::write(observed.world.path("asked.toml"), config.replace("listen = \"127.0.0.1:0\"\n", "")).unwrap();
    let (code, text) = status(&folder, &[]);
    assert!(code == 1 && text.starts_with("certsift runs\n") && text.contains("cannot be looked at"), "{text}");
    observed.world.stop();
    std::fs::write(observed.world.path("asked.toml"), config.replace("127.0.0.1:0", &observed.address.to_string()))
        .unwrap();
    let (code, text) = status(&folder, &[]);
    assert!(code == 1 && text.starts_with("certsift does not run\n") && text.contains("nobody answers"), "{text}");
    let line = text.lines().find(|line| line.contains("logs/ssl.log")).unwrap();
    assert!(line.contains("byte ") && line.ends_with("2025-10-09T08:53:21Z"), "{text}");
    // Somebody else who has the port now, and is well.
    let other = TcpListener::bind(observed.address).unwrap();
    let answering = std::thread::spawn(move || {
        for _ in 0..2 {
            let (mut asked, _) = other.accept().unwrap();
            assert!(asked.read(&mut [0; 512]).unwrap() > 0);
            asked.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n").unwrap();
        }
    });
    let (code, text) = status(&folder, &[]);
    answering.join().unwrap();
    assert!(code == 1 && text.starts_with("certsift does not run\n") && text.contains("is no certsift"), "{text}");
    let (code, json) = status(&folder, &["--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, &json["running"], &json["healthy"]), (1, &false.into(), &serde_json::Value::Null), "{json}");
}

#[test]
fn systemd_is_told_of_the_start_the_life_and_the_end() {
    let mut world = World::new();
    let socket = UnixDatagram::bind(world.path("notify")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let child = world.command().env("NOTIFY_SOCKET", world.path("notify")).env("WATCHDOG_USEC", "200000").spawn();
    world.child = Some(child.unwrap());
    let hear = || {
        let mut buffer = [0; 512];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    assert_eq!(hear(), "READY=1");
    let mut heard: Vec<String> = (0..6).map(|_| hear()).collect();
    assert!(heard.iter().filter(|word| *word == "WATCHDOG=1").count() >= 4, "{heard:?}");
    assert!(heard.iter().any(|word| word.starts_with("STATUS=following")), "{heard:?}");
    world.signal("-TERM");
    while heard.last().is_none_or(|word| word != "STOPPING=1") {
        heard.push(hear());
    }
    assert!(world.child.take().unwrap().wait().unwrap().success());
}

#[test]
fn the_watchdog_spares_who_waits_for_a_server() {
    // One that is not there, and one that never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for port in [free_port(), silent.local_addr().unwrap().port()] {
        let mut world = World::new();
        let config = std::fs::read_to_string(world.path("certsift.toml")).unwrap();
        let url = format!("[output.elasticsearch]\nurl = \"http://127.0.0.1:{port}\"\n");
        let config = config.replace("path = \"out.ndjson\"\n", &url);
        let config = config.replace("[state]\n", "[state]\ncommit_interval = \"50ms\"\n");
        std::fs::write(world.path("certsift.toml"), config).unwrap();
        let socket = UnixDatagram::bind(world.path("notify")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let child = world.command().env("NOTIFY_SOCKET", world.path("notify")).env("WATCHDOG_USEC", "200000").spawn();
        world.child = Some(child.unwrap());
        let mut alive = 0;
        let mut is_asked = false;
        for time in 0.. {
            world.append("logs/x509.log", &[x509(1_760_000_000 + time, time)]);
            let mut buffer = [0; 512];
            let length = socket.recv(&mut buffer).unwrap();
            alive += u32::from(&buffer[..length] == b"WATCHDOG=1");
            match alive {
                // Another commit, for which the sink waits until the first is done.
                10 if !is_asked => {
                    world.signal("-HUP");
                    is_asked = true;
                }
                40 => break,
                _ => {}
            }
        }
    }
}

#[test]
fn the_watchdog_spares_who_waits_for_a_reader_that_does_not_read() {
    let mut world = World::new();
    let _silent = UnixListener::bind(world.path("reader")).unwrap();
    let config = std::fs::read_to_string(world.path("certsift.toml")).unwrap();
    let address = format!("socket.address = \"unix:{}\"\n", world.path("reader").display());
    let config = config.replace("path = \"out.ndjson\"\n", &address);
    // No commit waits for the reader: the sink does.
    let config = config.replace("[state]\n", "[state]\ncommit_interval = \"1h\"\n");
    std::fs::write(world.path("certsift.toml"), config).unwrap();
    let socket = UnixDatagram::bind(world.path("notify")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let lines: Vec<_> = (0..20_000).map(|number| x509(1_760_000_000, number)).collect();
    world.append("logs/x509.log", &lines);
    let child = world.command().env("NOTIFY_SOCKET", world.path("notify")).env("WATCHDOG_USEC", "200000").spawn();
    world.child = Some(child.unwrap());
    let mut alive = 0;
    while alive < 60 {
        let mut buffer = [0; 512];
        let length = socket.recv(&mut buffer).unwrap();
        alive += u32::from(&buffer[..length] == b"WATCHDOG=1");
    }
}

#[test]
fn promtool_finds_nothing_to_complain_of() {
    let observed = Observed::start("");
    observed.world.append("logs/x509.log", &[x509(1_760_000_000, 1)]);
    observed.wait_until("a commit", |metrics| metrics.value("certsift_commit_duration_seconds_count", &[]) > 0.0);
    let (_, text) = observed.get("/metrics");
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut promtool) = promtool.spawn() else {
        eprintln!("SKIPPED: promtool_finds_nothing_to_complain_of: there is no promtool; install Prometheus");
        return;
    };
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
    let rules = repository("packaging/prometheus/certsift.rules.yml");
    let output = Command::new("promtool").args(["check", "rules"]).arg(rules).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tests = repository("packaging/prometheus/certsift.rules.test.yml");
    let output = Command::new("promtool").args(["test", "rules"]).arg(tests).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
