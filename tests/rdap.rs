//! Registries that are asked while lines flow: whatever a server does, records leave, and what it says judges later ones.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails, and says so")]

mod support;

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use support::certsift;
use support::sidecar::{PATIENCE, World};

/// What the server does about one question.
enum Action {
    /// Status, further headers, body.
    Reply(u16, &'static str, String),
    /// Nothing at all, for as long as the test lasts.
    Hang,
    /// The end of the connection.
    Die,
}

/// A server of a registry.
struct Registry {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Registry {
    /// `act` is given the domain and how often it was asked for before.
    fn start(act: impl Fn(&str, usize) -> Action + Send + Sync + 'static) -> Self {
        Self::listen(TcpListener::bind("127.0.0.1:0").unwrap(), act)
    }

    fn listen(listener: TcpListener, act: impl Fn(&str, usize) -> Action + Send + Sync + 'static) -> Self {
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (shared, act) = (Arc::clone(&asked), Arc::new(act));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (asked, act) = (Arc::clone(&shared), Arc::clone(&act));
                // The other side may go away at any time.
                std::thread::spawn(move || drop(serve(stream.unwrap(), &asked, &*act)));
            }
        });
        Self { port, asked }
    }

    fn asked(&self, domain: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| *asked == domain).count()
    }

    fn all_asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

fn serve(
    mut stream: TcpStream,
    asked: &Mutex<Vec<String>>,
    act: &dyn Fn(&str, usize) -> Action,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut request = String::new();
    while !request.ends_with("\r\n\r\n") {
        if reader.read_line(&mut request)? == 0 {
            return Ok(());
        }
    }
    let domain = request.split(' ').nth(1).unwrap().strip_prefix("/v1/domain/").unwrap().to_owned();
    let before = {
        let mut asked = asked.lock().unwrap();
        asked.push(domain.clone());
        asked.iter().filter(|other| **other == domain).count() - 1
    };
    match act(&domain, before) {
        Action::Reply(status, headers, body) => {
            let length = body.len();
            write!(
                stream,
                "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}"
            )
        }
        Action::Hang => {
            std::thread::sleep(PATIENCE * 4);
            Ok(())
        }
        Action::Die => Ok(()),
    }
}

fn today() -> i64 {
    now() / 86_400
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

/// The answer for a domain that was registered so many days ago.
fn answer(domain: &str, days_ago: i64) -> String {
    // Midnight itself would be a day without a time.
    let at = jiff::Timestamp::from_second((today() - days_ago) * 86_400 + 1).unwrap();
    json!({
        "objectClassName": "domain",
        "ldhName": domain.to_uppercase(),
        "events": [{ "eventAction": "registration", "eventDate": at.to_string() }],
    })
    .to_string()
}

fn good(domain: &str) -> Action {
    Action::Reply(200, "Content-Type: application/rdap+json\r\n", answer(domain, 3))
}

/// A sidecar that asks a server for names below `com`.
struct Asking {
    world: World,
    sessions: usize,
}

impl Asking {
    fn start(port: u16, more: &str) -> Self {
        let world = World::new();
        let config = std::fs::read_to_string(world.path("certsift.toml")).unwrap();
        let config = config.replace("dir = \"state\"\n", "dir = \"state\"\ncommit_interval = \"100ms\"\n");
        let rdap = format!(
            "[rdap]\nenabled = true\nrate = \"50/s\"\nservers = {{ com = \"http://127.0.0.1:{port}/v1\" }}\n{more}"
        );
        std::fs::write(world.path("certsift.toml"), format!("{config}{rdap}")).unwrap();
        let mut asking = Self { world, sessions: 0 };
        asking.go_on();
        asking
    }

    fn go_on(&mut self) {
        let log = OpenOptions::new().create(true).append(true).open(self.world.path("stderr.txt")).unwrap();
        let mut command = self.world.command();
        for name in ["ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "http_proxy", "https_proxy"] {
            command.env_remove(name);
        }
        self.world.child = Some(command.stderr(log).spawn().unwrap());
    }

    /// Writes sessions to these names and waits for them.
    fn write<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) -> Vec<Value> {
        self.write_to("192.0.2.1", names)
    }

    fn write_to<'a>(&mut self, server: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<Value> {
        let before = self.sessions;
        let lines: Vec<_> = names
            .into_iter()
            .map(|name| {
                self.sessions += 1;
                json!({
                    "ts": now() as f64, "uid": format!("C{}", self.sessions), "id.orig_h": "10.0.0.1",
                    "id.orig_p": 5000, "id.resp_h": server, "id.resp_p": 443, "version": "TLSv13",
                    "server_name": name, "resumed": false, "established": true,
                })
                .to_string()
            })
            .collect();
        self.world.append("logs/ssl.log", &lines);
        self.world.wait_for(self.sessions).split_off(before)
    }

    /// Writes sessions to a name until its registration is known.
    fn write_until_known(&mut self, name: &str) -> Value {
        let started = Instant::now();
        loop {
            let record = self.write([name]).pop().unwrap();
            if !registration(&record).is_null() {
                return record;
            }
            assert!(started.elapsed() < PATIENCE, "{}", self.world.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn wait_until(&self, what: &str, holds: impl Fn() -> bool) {
        let started = Instant::now();
        while !holds() {
            assert!(started.elapsed() < PATIENCE, "{what}: {}", self.world.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What was said at the end of what became of questions.
    fn counts(&mut self) -> String {
        self.world.stop();
        let said = self.world.said();
        said.lines().rfind(|line| line.contains("what registries were asked for")).unwrap().to_owned()
    }
}

fn registration(record: &Value) -> &Value {
    &record["certsift"]["registration"][0]
}

#[test]
fn a_server_that_never_answers_keeps_no_record_and_no_end_waiting() {
    let registry = Registry::start(|_, _| Action::Hang);
    let mut asking = Asking::start(registry.port, "timeout = \"10m\"\n");
    let names: Vec<_> = (0..2000).map(|number| format!("www.host{number}.com")).collect();
    asking.write(["first.com"]);
    asking.wait_until("asked", || registry.all_asked() == 1);
    let records = asking.write(names.iter().map(String::as_str));
    assert_eq!(records.len(), names.len());
    assert!(records.iter().all(|record| registration(record).is_null()));
    assert_eq!(registry.all_asked(), 1, "one question at a time");
    let counts = asking.counts();
    assert!(counts.contains("asked=1 ") && counts.contains("dated=0 "), "{counts}");
    let turned_away: usize = counts.split("turned_away=").nth(1).unwrap().parse().unwrap();
    assert!(turned_away > 0, "what waits is bounded: {counts}");
}

#[test]
fn an_answer_judges_later_records_and_is_asked_for_once_over_restarts_too() {
    let registry = Registry::start(|domain, _| {
        std::thread::sleep(Duration::from_millis(300));
        good(domain)
    });
    let mut asking = Asking::start(registry.port, "except = [\"mine.com\"]\n");
    let first = asking.write(["www.evil.com"]).pop().unwrap();
    assert!(registration(&first).is_null(), "nobody waits for an answer: {first}");
    let known = asking.write_until_known("login.evil.com");
    let found = registration(&known);
    let day = jiff::Timestamp::from_second(now()).unwrap().to_string()[..10].to_owned();
    assert_eq!(found["domain"], "evil.com");
    assert_eq!((&found["age_days"], &found["precision"]), (&json!(3), &json!("exact")));
    assert_eq!(found["source"], format!("rdap:127.0.0.1:{day}"));
    assert_eq!(known["certsift"]["finding_ids"], json!(["new_domain"]));
    // What is read anew takes no answer away.
    asking.world.signal("-HUP");
    asking.wait_until("read anew", || asking.world.said().contains("read inputs, knowledge"));
    let after = asking.write(["evil.com"]).pop().unwrap();
    assert_eq!((registration(&after), &after["certsift"]["knowledge"]), (found, &known["certsift"]["knowledge"]));
    // What nobody is to be told of.
    asking.write(["printer.local", "a.test", "www.mine.com", "evil.de", "192.0.2.7", "db"]);
    asking.write_to("10.0.0.7", ["intranet-name.com"]);
    asking.world.stop();
    asking.go_on();
    let records = asking.write(["evil.com"; 50]);
    assert!(records.iter().all(|record| registration(record) == found), "{}", records[0]);
    asking.write_until_known("last.com");
    let counts = asking.counts();
    assert_eq!((registry.asked("evil.com"), registry.asked("last.com")), (1, 1));
    assert_eq!(registry.all_asked(), 2, "{:?}", registry.asked.lock());
    assert!(counts.contains("asked=1 ") && counts.contains("dated=1 "), "{counts}");
    assert!(asking.world.said().contains("RDAP is on"));
    // A replay asks nobody, and knows what its state does.
    let replay = |more: &[&str]| {
        let arguments = [&["replay", "logs/ssl.log", "-o", "-"], more].concat();
        support::records(&certsift(asking.world.folder.path(), &arguments).stdout)
    };
    assert!(replay(&["--config", "certsift.toml"]).iter().all(|record| registration(record).is_null()));
    let dated = replay(&["--config", "certsift.toml", "--state", "state"]);
    assert_eq!(registration(&dated[0]), found, "{}", dated[0]);
    let merge = ["state", "merge", "state", "state", "--into", "merged", "--config", "certsift.toml"];
    assert!(certsift(asking.world.folder.path(), &merge).status.success());
    let dated = replay(&["--config", "certsift.toml", "--state", "merged"]);
    assert_eq!(registration(&dated[0]), found, "{}", dated[0]);
    assert_eq!(registry.all_asked(), 2);
    let check = certsift(asking.world.folder.path(), &["check", "--config", "certsift.toml"]);
    let said = String::from_utf8(check.stdout).unwrap();
    assert!(said.contains("tells domains") && said.contains("1 servers, for 1 suffixes"), "{said}");
}

#[test]
fn what_has_judged_a_record_is_known_after_a_kill() {
    let registry = Registry::start(|domain, _| good(domain));
    let mut asking = Asking::start(registry.port, "");
    for name in ["one.com", "two.com", "three.com"] {
        let known = asking.write_until_known(name);
        asking.world.kill();
        asking.go_on();
        let next = asking.write([name]).pop().unwrap();
        assert_eq!(registration(&next), registration(&known));
        assert_eq!(registry.asked(name), 1);
    }
    asking.world.stop();
    let uids = support::sidecar::uids(&asking.world.output());
    assert_eq!(uids, (1..=asking.sessions).map(|number| format!("C{number}")).collect::<Vec<_>>());
}

#[test]
fn a_server_that_is_asked_too_much_is_asked_again_when_it_says() {
    let registry = Registry::start(|domain, before| match before {
        0 if domain == "first.com" => Action::Reply(429, "Retry-After: 2\r\n", String::new()),
        _ => good(domain),
    });
    let mut asking = Asking::start(registry.port, "");
    asking.write(["first.com"]);
    asking.wait_until("asked", || registry.all_asked() == 1);
    asking.write(["second.com"]);
    asking.write_until_known("first.com");
    asking.write_until_known("second.com");
    let order = registry.asked.lock().unwrap().clone();
    assert_eq!(order, ["first.com", "first.com", "second.com"]);
    let counts = asking.counts();
    assert!(counts.contains("limited=1 ") && counts.contains("dated=2 "), "{counts}");
}

#[test]
fn lies_leave_a_domain_unknown_and_are_not_asked_for_again() {
    let registry = Registry::start(|domain, _| match domain {
        "other.com" => Action::Reply(200, "", answer("elsewhere.com", 3)),
        "garbage.com" => Action::Reply(200, "", "\u{0}<html>{".to_owned()),
        "future.com" => Action::Reply(200, "", answer(domain, -5)),
        "huge.com" => Action::Reply(200, "", format!("{}{}", answer(domain, 3), " ".repeat(1 << 20))),
        "moved.com" => Action::Reply(302, "Location: /v1/domain/moved.com\r\n", String::new()),
        "nobody.com" => Action::Reply(404, "", "{}".to_owned()),
        _ => good(domain),
    });
    let mut asking = Asking::start(registry.port, "");
    let lies = ["other.com", "garbage.com", "future.com", "huge.com", "moved.com", "nobody.com"];
    asking.write(lies);
    asking.wait_until("asked", || registry.all_asked() == lies.len());
    // By then what was said before is in force.
    asking.write_until_known("honest.com");
    let records = asking.write(lies);
    for record in &records {
        assert!(registration(record).is_null(), "{record}");
        assert_eq!(record["certsift"]["verdict"], "unknown", "{record}");
    }
    asking.write_until_known("end.com");
    let counts = asking.counts();
    assert_eq!(registry.all_asked(), lies.len() + 2, "{:?}", registry.asked.lock());
    assert!(counts.contains("refused=5 ") && counts.contains("unknown=1 "), "{counts}");
    assert!(asking.world.said().matches("gives no answers").count() == 1, "{}", asking.world.said());
}

#[test]
fn a_server_that_dies_costs_the_domain_its_answer_and_nothing_else() {
    let registry = Registry::start(|domain, _| match domain {
        "deadly.com" => Action::Die,
        "broken.com" => Action::Reply(500, "", String::new()),
        _ => good(domain),
    });
    let mut asking = Asking::start(registry.port, "");
    asking.write(["deadly.com"]);
    asking.wait_until("asked", || registry.asked("deadly.com") > 0);
    asking.write(["broken.com"]);
    asking.wait_until("asked", || registry.asked("broken.com") > 0);
    asking.write_until_known("honest.com");
    let records = asking.write(["deadly.com", "broken.com"]);
    assert!(records.iter().all(|record| registration(record).is_null()), "{records:?}");
    let counts = asking.counts();
    assert_eq!((registry.asked("deadly.com"), registry.asked("broken.com")), (1, 1));
    assert!(counts.contains("failed=2 ") && counts.contains("dated=1 "), "{counts}");
}

#[test]
fn a_server_that_cannot_show_who_it_is_is_told_nothing() {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (met, told) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(Vec::new())));
    let (shared_met, shared_told) = (Arc::clone(&met), Arc::clone(&told));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut request = [0; 512];
            // The other side breaks off, and that is an error.
            let read = rustls::Stream::new(&mut connection, &mut stream).read(&mut request).unwrap_or(0);
            shared_told.lock().unwrap().extend_from_slice(&request[..read]);
            *shared_met.lock().unwrap() += 1;
        }
    });
    let mut asking = Asking::start(port, "");
    let config = std::fs::read_to_string(asking.world.path("certsift.toml")).unwrap();
    asking.world.stop();
    std::fs::write(asking.world.path("certsift.toml"), config.replace("http://", "https://")).unwrap();
    asking.go_on();
    let before = *met.lock().unwrap();
    let records = asking.write(["www.evil.com", "www.other.com"]);
    assert!(records.iter().all(|record| registration(record).is_null()));
    // The second time it is known what came of the first.
    asking.wait_until("met", || *met.lock().unwrap() > before + 1);
    let counts = asking.counts();
    assert!(counts.contains("dated=0 ") && !counts.contains("failed=0 "), "{counts}");
    assert_eq!(String::from_utf8_lossy(&told.lock().unwrap()), "");
}

#[test]
fn a_server_that_is_not_there_is_found_when_it_comes() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut asking = Asking::start(address.port(), "");
    let names: Vec<_> = (0..100).map(|number| format!("host{number}.com")).collect();
    let records = asking.write(names.iter().map(String::as_str));
    assert!(records.iter().all(|record| registration(record).is_null()));
    // Long enough that it has been asked in vain.
    std::thread::sleep(Duration::from_millis(500));
    let registry = Registry::listen(TcpListener::bind(address).unwrap(), |domain, _| good(domain));
    asking.write_until_known("host7.com");
    assert_eq!(registry.asked("host7.com"), 1);
    asking.world.stop();
}

#[test]
fn nobody_is_asked_unless_that_is_switched_on_and_without_servers_it_cannot_be() {
    let registry = Registry::start(|domain, _| good(domain));
    let mut asking = Asking::start(registry.port, "");
    asking.write_until_known("evil.com");
    asking.world.stop();
    let asked = registry.all_asked();
    let config = std::fs::read_to_string(asking.world.path("certsift.toml")).unwrap();
    std::fs::write(asking.world.path("certsift.toml"), config.replace("enabled = true", "enabled = false")).unwrap();
    asking.go_on();
    let records = asking.write(["other.com", "evil.com"]);
    assert!(registration(&records[0]).is_null() && !registration(&records[1]).is_null(), "what is known stays known");
    asking.world.stop();
    assert_eq!(registry.all_asked(), asked);
    let (before, _) = config.split_once("servers").unwrap();
    std::fs::write(asking.world.path("certsift.toml"), before).unwrap();
    let output = certsift(asking.world.folder.path(), &["run", "--config", "certsift.toml"]);
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("rdap.bootstrap"));
}
