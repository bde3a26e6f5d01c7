//! Attacks that names, age and trust decide, told in logs, and their honest twins: the real program reads them and says
//! what it finds.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails, and says so")]

mod support;

use certsift::model::{EventTime, Sha256Digest};
use serde_json::{Value, json};

use support::{assert_valid, certsift, records};

const DAY: i64 = 86_400;
const DIGICERT: &str = "CN=DigiCert TLS RSA SHA256 2020 CA1,O=DigiCert Inc,C=US";
const LETS_ENCRYPT: &str = "CN=R11,O=Let's Encrypt,C=US";
const MICROSOFT: &str = "CN=Microsoft IT TLS CA 5,OU=Microsoft IT,O=Microsoft Corporation,L=Redmond,ST=Washington,C=US";
const CLOUDFLARE_ORIGIN: &str =
    "OU=CloudFlare Origin SSL Certificate Authority,O=CloudFlare\\, Inc.,L=San Francisco,ST=California,C=US";
const SERVER: &str = "203.0.113.66";

/// One session with a certificate.
#[derive(Clone)]
struct Session {
    /// The day on which it happens.
    day: &'static str,
    server: &'static str,
    name: &'static str,
    subject: String,
    issuer: &'static str,
    /// Days before the session on which the validity begins, and its length.
    age: i64,
    days: i64,
    names: Vec<String>,
    status: Option<&'static str>,
    /// Hours that the validity lies earlier.
    hours: i64,
}

/// What certsift knows beside.
#[derive(Clone, Default)]
struct Knowledge {
    watch: &'static str,
    registered: String,
    popular: &'static str,
    prefixes: &'static str,
}

/// What was found on a session.
#[derive(Debug)]
struct Found {
    verdict: String,
    ids: Vec<String>,
    object: Value,
}

impl Session {
    fn new(day: &'static str, name: &'static str, issuer: &'static str, age: i64, days: i64) -> Self {
        let names = vec![name.to_owned()];
        Self {
            day,
            server: SERVER,
            name,
            subject: format!("CN={name}"),
            issuer,
            age,
            days,
            names,
            status: None,
            hours: 0,
        }
    }
}

impl Knowledge {
    fn of_domain(domain: &str, registered: &str) -> Self {
        Self { registered: format!("domain,registered\n{domain},{registered}\n"), ..Self::default() }
    }

    fn watching(self, watch: &'static str) -> Self {
        Self { watch, ..self }
    }
}

/// What certsift says of sessions, of the last one.
fn judge(sessions: &[Session], knowledge: &Knowledge) -> Found {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let (mut ssl, mut x509) = (String::new(), String::new());
    for (number, session) in sessions.iter().enumerate() {
        let at = i64::from(EventTime::parse_date(session.day).unwrap()) * DAY + DAY / 2 + number as i64;
        let from = at - session.age * DAY - session.hours * 3600;
        let facts = format!("{} {} {from} {}", session.subject, session.issuer, session.days);
        let sha256 = Sha256Digest::of(facts.as_bytes()).to_string();
        let mut row = json!({
            "ts": at, "fingerprint": sha256, "certificate.serial": "0A", "certificate.subject": session.subject,
            "certificate.issuer": session.issuer, "certificate.not_valid_before": from,
            "certificate.not_valid_after": from + session.days * DAY, "host_cert": true, "client_cert": false,
        });
        if !session.names.is_empty() {
            row["san.dns"] = json!(session.names);
        }
        x509.push_str(&(row.to_string() + "\n"));
        let mut row = json!({
            "ts": at, "uid": format!("C{number}"), "id.orig_h": "10.0.0.1", "id.orig_p": 40_000,
            "id.resp_h": session.server, "id.resp_p": 443, "version": "TLSv12", "resumed": false, "established": true,
            "cert_chain_fps": [sha256],
        });
        if !session.name.is_empty() {
            row["server_name"] = json!(session.name);
        }
        if let Some(status) = session.status {
            row["validation_status"] = json!(status);
        }
        ssl.push_str(&(row.to_string() + "\n"));
    }
    write("ssl.log", &ssl);
    write("x509.log", &x509);
    let mut config = "[knowledge]\n".to_owned();
    let lists = [("feeds", "registered.csv", &*knowledge.registered), ("popular", "popular.csv", knowledge.popular)];
    for (key, name, text) in lists.into_iter().filter(|(.., text)| !text.is_empty()) {
        write(name, text);
        config.push_str(&format!("{key} = [\"{name}\"]\n"));
    }
    if !knowledge.watch.is_empty() {
        config.push_str(&format!("watch_names = [\"{}\"]\n", knowledge.watch));
    }
    if !knowledge.prefixes.is_empty() {
        write("prefixes.csv", knowledge.prefixes);
        config.push_str("prefixes = \"prefixes.csv\"\n");
    }
    config.push_str("[history]\nlearning = { days = 0, certificates = 0, clients = 0 }\n");
    write("certsift.toml", &config);
    let output =
        certsift(folder.path(), &["replay", "--config", "certsift.toml", "--detail", "full", "ssl.log", "x509.log"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let records = records(&output.stdout);
    assert_valid(&records);
    let last = format!("C{}", sessions.len() - 1);
    let object = records.iter().find(|record| record["uid"] == last.as_str()).unwrap()["certsift"].clone();
    let ids = object["finding_ids"].as_array().into_iter().flatten();
    Found {
        verdict: object["verdict"].as_str().unwrap().to_owned(),
        ids: ids.map(|id| id.as_str().unwrap().to_owned()).collect(),
        object,
    }
}

impl Found {
    fn has(&self, id: &str) -> bool {
        self.ids.iter().any(|known| known == id)
    }

    #[track_caller]
    fn is(&self, verdict: &str, ids: &[&str]) {
        let right = self.verdict == verdict && ids.iter().all(|id| self.has(id));
        assert!(right, "{verdict} by {ids:?}, but {:#}", self.object);
    }

    #[track_caller]
    fn is_info(&self, without: &[&str]) {
        let right = self.verdict == "info" && !without.iter().any(|id| self.has(id));
        assert!(right, "info without {without:?}, but {:#}", self.object);
    }
}

const LIBRARY: &str = "library.college.edu";

#[test]
fn silent_librarian_a_library_in_front_of_a_domain_of_yesterday() {
    let phish = || Session::new("2026-03-10", "library.college.edu.cvrr.me", LETS_ENCRYPT, 2, 90);
    let fresh = Knowledge::of_domain("cvrr.me", "2026-03-07");
    let found = judge(&[phish()], &fresh.clone().watching(LIBRARY));
    found.is("high", &["lookalike", "new_domain", "fresh_certificate", "free_ca"]);
    let reason = found.object["reason"].as_str().unwrap();
    assert!(reason.contains("college.edu") || reason.contains(LIBRARY), "{reason}");
    assert_eq!(found.object["registration"][0]["domain"], "cvrr.me");
    // A university that nobody here watches.
    judge(&[phish()], &fresh).is("medium", &["lookalike", "new_domain"]);
    // The library itself, renewed by the same CA, and known for years.
    let own = Session::new("2026-03-10", LIBRARY, LETS_ENCRYPT, 2, 90);
    let years = vec![Session::new("2025-03-10", LIBRARY, LETS_ENCRYPT, 30, 90), own];
    let old = Knowledge::of_domain("college.edu", "1995-01-01").watching(LIBRARY);
    judge(&years, &old).is_info(&["lookalike", "new_domain", "fresh_certificate"]);
}

#[test]
fn silent_librarian_every_trick_with_the_name() {
    for name in [
        "ezproxy-login.college-edu.ml",
        "library-college-edu.cvrr.me",
        "c0llege.ml",
        "xn--cllege-bxa.ml",
        "colleges.ml",
        "my-college-login.ml",
    ] {
        let name: &'static str = Box::leak(name.to_owned().into_boxed_str());
        let domain = name.rsplitn(3, '.').collect::<Vec<_>>();
        let domain = format!("{}.{}", domain[1], domain[0]);
        let knowledge = Knowledge::of_domain(&domain, "2026-03-07").watching(LIBRARY);
        judge(&[Session::new("2026-03-10", name, LETS_ENCRYPT, 1, 90)], &knowledge).is("high", &["lookalike"]);
    }
}

#[test]
fn a_look_alike_of_a_popular_name_that_nobody_watches_is_medium_and_alone_it_is_low() {
    let popular = "1,bigsearch.com\n2,paperclips.com\n";
    let known = |registered: &str| Knowledge { popular, ..Knowledge::of_domain("paperc1ips.com", registered) };
    let session = |day: &'static str, age: i64| Session::new(day, "www.paperc1ips.com", LETS_ENCRYPT, age, 90);
    let found = judge(&[session("2026-03-10", 1)], &known("2026-03-07"));
    found.is("medium", &["lookalike", "new_domain", "fresh_certificate", "free_ca"]);
    assert!(found.object["findings"][0]["evidence"].as_str().unwrap().contains("rank 2"), "{:#}", found.object);
    judge(&[session("2026-03-10", 40)], &known("2020-01-01")).is("low", &["lookalike"]);
    // A popular name itself.
    let own = Session::new("2026-03-10", "www.paperclips.com", LETS_ENCRYPT, 40, 90);
    let found = judge(&[own], &known("2026-03-07"));
    found.is_info(&["lookalike"]);
    assert_eq!(found.object["name"]["rank"], 2);
}

#[test]
fn a_new_domain_and_a_fresh_certificate_alone_are_low_and_a_year_later_quiet() {
    let session = |day: &'static str, age: i64, days: i64| Session::new(day, "www.kettle.com", LETS_ENCRYPT, age, days);
    let knowledge = Knowledge::of_domain("kettle.com", "2026-03-07");
    judge(&[session("2026-03-10", 1, 90)], &knowledge).is("low", &["new_domain", "fresh_certificate", "free_ca"]);
    let year = [session("2026-03-10", 1, 90), session("2027-03-10", 1, 90)];
    judge(&year, &knowledge).is_info(&["new_domain", "fresh_certificate", "free_ca"]);
    // Renewed every day for six days each, by a name that is known for long.
    let daily = [session("2027-03-08", 0, 6), session("2027-03-09", 0, 6), session("2027-03-10", 0, 6)];
    let daily = [&year[..1], &daily[..]].concat();
    judge(&daily, &Knowledge::of_domain("kettle.com", "2009-01-01")).is_info(&["fresh_certificate"]);
}

#[test]
fn a_watched_name_imitated_is_quiet_a_year_later() {
    let session = |day: &'static str, age| Session::new(day, "www.c0llege.com", DIGICERT, age, 90);
    let knowledge = Knowledge::of_domain("c0llege.com", "2026-03-07").watching("college.com");
    judge(&[session("2026-03-10", 1)], &knowledge).is("high", &["lookalike"]);
    // What it imitates it imitates still: that is said, and without company it is no alert.
    let year = [session("2026-03-10", 1), session("2027-03-10", 40)];
    judge(&year, &knowledge).is("low", &["lookalike"]);
    // The very same certificate, which has expired: not valid is what every certificate becomes.
    let year = [session("2026-03-10", 1), session("2027-03-10", 366)];
    judge(&year, &knowledge).is("low", &["lookalike", "out_of_validity"]);
}

#[test]
fn all_three_are_said_of_a_watched_name_imitated_and_each_is_as_old_as_it_was_then() {
    let session = |day: &'static str, age| Session::new(day, "www.c0llege.com", LETS_ENCRYPT, age, 90);
    let knowledge = Knowledge::of_domain("c0llege.com", "2026-03-07").watching("college.com");
    let found = judge(&[session("2026-03-10", 1)], &knowledge);
    found.is("high", &["lookalike", "new_domain", "fresh_certificate", "free_ca"]);
    let notes: String = found.object["findings"].as_array().unwrap().iter().map(|it| it["note"].to_string()).collect();
    for said in [
        "www.c0llege.com imitates the watched name college.com",
        "c0llege.com was registered 3 days before it was used",
        "the certificate is one day old",
        "Let's Encrypt gives certificates to programs",
    ] {
        assert!(notes.contains(said), "{said}: {notes}");
    }
    let reason = found.object["reason"].as_str().unwrap();
    assert!(reason.contains("imitates the watched name college.com"), "{reason}");
    for said in ["new domain", "fresh certificate"] {
        assert!(reason.contains(said), "{said}: {reason}");
    }
    let ages = |found: &Found| {
        [&found.object["registration"][0]["age_days"], &found.object["certificate"]["age_days"]].map(Value::clone)
    };
    // The sessions are at noon, and the registration is known to the day.
    assert_eq!(ages(&found), [json!(3), json!(1.0)]);
    let later = judge(&[session("2027-03-10", 366)], &knowledge);
    assert_eq!(ages(&later), [json!(368), json!(366.0)]);
    later.is("low", &["lookalike", "out_of_validity"]);
    // The same of a popular name that nobody watches, the same certificate a year later included.
    let knowledge = Knowledge { watch: "", popular: "1,college.com\n", ..knowledge };
    judge(&[session("2026-03-10", 1)], &knowledge).is("medium", &["lookalike", "new_domain", "fresh_certificate"]);
    judge(&[session("2027-03-10", 366)], &knowledge).is("low", &["lookalike", "out_of_validity"]);
}

#[test]
fn lazarus_a_front_company_is_no_more_than_odd() {
    let session = |age| Session::new("2026-03-10", "www.celasllc-trading.com", LETS_ENCRYPT, age, 90);
    // This is the honest limit: without a feed, a plausible name is a new name.
    judge(&[session(3)], &Knowledge::of_domain("celasllc-trading.com", "2026-02-20")).is("low", &["new_domain"]);
    judge(&[session(60)], &Knowledge::of_domain("celasllc-trading.com", "2011-02-20")).is_info(&["new_domain"]);
}

#[test]
fn storm_0501_a_ca_that_had_expired_when_it_issued() {
    let session = |day, age, days| Session::new(day, "login.service.com", MICROSOFT, age, days);
    let found = judge(&[session("2026-03-10", 200, 365)], &Knowledge::default());
    found.is("high", &["forged_ca"]);
    judge(&[session("2019-06-10", 100, 730)], &Knowledge::default()).is_info(&["forged_ca"]);
    // The sensor has followed the chain to a root: it knows better than a table.
    let trusted = Session { status: Some("ok"), ..session("2026-03-10", 200, 365) };
    assert!(!judge(&[trusted], &Knowledge::default()).has("forged_ca"));
}

#[test]
fn dridex_nearly_the_name_of_a_public_ca() {
    let session = |issuer| Session::new("2018-06-10", "host.service.com", issuer, 100, 365);
    let forged = "CN=DigiCert SHA2 Secuer Server CA,O=DigiCert Inc,C=US";
    judge(&[session(forged)], &Knowledge::default()).is("high", &["forged_ca"]);
    let genuine = "CN=DigiCert SHA2 Secure Server CA,O=DigiCert Inc,C=US";
    judge(&[session(genuine)], &Knowledge::default()).is_info(&["forged_ca"]);
}

#[test]
fn red_delta_an_origin_certificate_outside_of_its_delivery_network() {
    let session = Session::new("2026-03-10", "www.delta.com", CLOUDFLARE_ORIGIN, 400, 5475);
    judge(std::slice::from_ref(&session), &Knowledge::default()).is("medium", &["origin_ca"]);
    let prefixes = "203.0.113.0/24,13335,Cloudflare\n";
    let inside = Knowledge { prefixes, ..Knowledge::default() };
    assert!(!judge(std::slice::from_ref(&session), &inside).has("origin_ca"));
    let internal = Session { server: "10.0.0.9", ..session };
    assert_ne!(judge(&[internal], &Knowledge::default()).verdict, "medium");
    let staging = "CN=(STAGING) Artificial Apricot R3,O=(STAGING) Let's Encrypt,C=US";
    let session = Session::new("2026-03-10", "www.delta.com", staging, 10, 90);
    judge(&[session], &Knowledge::default()).is("medium", &["origin_ca"]);
}

#[test]
fn a_public_name_on_a_certificate_that_lasts_too_long_or_has_no_names() {
    let session = |age, days| Session::new("2026-03-10", "www.kettle.com", DIGICERT, age, days);
    judge(&[session(30, 398)], &Knowledge::default()).is_info(&["validity"]);
    judge(&[session(30, 3650)], &Knowledge::default()).is("low", &["validity"]);
    let bare = Session { names: Vec::new(), ..session(30, 398) };
    assert!(judge(&[bare], &Knowledge::default()).has("missing_san"));
}

#[test]
fn gootkit_a_popular_name_that_vouches_for_itself() {
    let own = |name| {
        let subject = format!("CN={name}");
        Session {
            issuer: Box::leak(subject.clone().into_boxed_str()),
            names: Vec::new(),
            subject,
            ..Session::new("2026-03-10", "www.bigsearch.com", "", 30, 365)
        }
    };
    let popular = Knowledge { popular: "1,bigsearch.com\n2,paperclips.com\n", ..Knowledge::default() };
    judge(&[own("My Company Ltd")], &popular).is("low", &["name_mismatch", "self_signed"]);
    judge(&[own("My Company Ltd")], &Knowledge::default()).is_info(&[]);
    judge(&[own("www.bigsearch.com")], &popular).is_info(&["name_mismatch"]);
}

#[test]
fn what_the_sensor_says_of_a_chain_is_taken_in_every_spelling() {
    let private = "CN=Kestrel Issuing CA 1,O=Kestrel,C=GB";
    let session = |issuer, status| Session {
        status: Some(status),
        ..Session::new("2026-03-10", "www.kettle.com", issuer, 30, 90)
    };
    for (issuer, text, status) in [
        (DIGICERT, "ok", "trusted"),
        (private, "self signed certificate in certificate chain", "untrusted"),
        (private, "self-signed certificate in certificate chain", "untrusted"),
        (private, "unable to get local issuer certificate", "untrusted"),
        (DIGICERT, "unable to get local issuer certificate", "unverifiable"),
        (DIGICERT, "certificate has expired", "expired"),
    ] {
        let found = judge(&[session(issuer, text)], &Knowledge::default());
        assert_eq!(found.object["chain"]["status"], status, "{issuer} {text}");
        assert_eq!(found.has("untrusted_chain"), status == "untrusted", "{issuer} {text}");
        assert_eq!(found.verdict, "info", "{:#}", found.object);
    }
}

#[test]
fn zeek_before_8_writes_validity_in_its_own_zone() {
    // The session is at noon, and the certificate ended so many hours before.
    let ended = |hours: i64| {
        let session = Session::new("2026-03-10", "www.kettle.com", DIGICERT, 60, 60);
        judge(&[Session { hours, ..session }], &Knowledge::default())
    };
    for (hours, said) in [(0, false), (13, false), (15, true)] {
        let found = ended(hours);
        assert_eq!(found.has("out_of_validity"), said, "{hours}: {:#}", found.object);
        found.is_info(&[]);
    }
}

/// A session of a sensor at a time, with a certificate of a number and of a public CA.
fn row_of(sensor: &str, number: i64, at: i64, (name, from): (&str, i64)) -> (String, String) {
    let sha256 = Sha256Digest::of(format!("{sensor} {number} {from}").as_bytes()).to_string();
    let x509 = json!({
        "ts": at, "_system_name": sensor, "fingerprint": sha256, "certificate.serial": "0A",
        "certificate.subject": format!("CN={name}"), "certificate.issuer": LETS_ENCRYPT,
        "certificate.not_valid_before": from, "certificate.not_valid_after": from + 90 * DAY, "host_cert": true,
        "client_cert": false, "san.dns": [name],
    });
    let ssl = json!({
        "ts": at, "_system_name": sensor, "uid": format!("C{sensor}{number}"), "id.orig_h": "10.0.0.1",
        "id.orig_p": 40_000, "id.resp_h": format!("198.{}.100.1", 18 + number), "id.resp_p": 443, "version": "TLSv12", "resumed": false,
        "established": true, "cert_chain_fps": [sha256], "server_name": name,
    });
    (x509.to_string() + "\n", ssl.to_string() + "\n")
}

#[test]
fn a_sensor_whose_clock_is_wrong_is_told_of_once_and_nothing_there_depends_on_age() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let noon = |day: &str| i64::from(EventTime::parse_date(day).unwrap()) * DAY + DAY / 2;
    let (at, ahead, expired) = (noon("2026-03-10"), noon("2026-06-01"), noon("2025-10-01"));
    let (mut x509, mut ssl) = (String::new(), String::new());
    let mut add = |sensor: &str, number: i64, from: i64| {
        let row = row_of(sensor, number, at + number, ("www.kettle.com", from));
        x509.push_str(&row.0);
        ssl.push_str(&row.1);
    };
    // One sensor is months behind, the other one shows the same domain by a clock that is right.
    for number in 0..30 {
        add("behind", number, if number % 2 == 0 { ahead } else { expired });
        add("right", number, if number % 2 == 0 { at - DAY } else { expired });
    }
    write("ssl.log", &ssl);
    write("x509.log", &x509);
    let (x509, ssl) = row_of("behind", 100, at + DAY, ("www.kettle.com", at));
    write("later-x509.log", &x509);
    write("later-ssl.log", &ssl);
    write("registered.csv", "domain,registered\nkettle.com,2026-03-08\n");
    write("certsift.toml", "[knowledge]\nregistered = [\"registered.csv\"]\n");
    let replay = |options: &[&str], paths: &[&str]| {
        let arguments = [&["replay", "--config", "certsift.toml", "--detail", "full"], options, paths].concat();
        let output = certsift(folder.path(), &arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        (records(&output.stdout), String::from_utf8_lossy(&output.stderr).into_owned(), output.stdout)
    };
    let (all, said, bytes) = replay(&["--state", "state", "--threads", "1"], &["ssl.log", "x509.log"]);
    assert_valid(&all);
    assert_eq!(said.matches("its clock is behind").count(), 1, "{said}");
    let age_of = |records: &[Value], uid: &str| {
        let object = &records.iter().find(|record| record["uid"] == uid).unwrap()["certsift"];
        let is_age = |id: &&str| {
            ["new_domain", "fresh_certificate", "out_of_validity"].iter().any(|check| id.starts_with(check))
        };
        let texts = |key: &str| -> Vec<String> {
            let texts = object[key].as_array().into_iter().flatten();
            texts.map(|id| id.as_str().unwrap()).filter(is_age).map(str::to_owned).collect()
        };
        (texts("finding_ids"), texts("not_evaluated"))
    };
    let found = |ids: &[&str]| (ids.iter().map(|id| (*id).to_owned()).collect(), Vec::new());
    let silent = ["new_domain", "fresh_certificate", "out_of_validity"].map(|id| format!("{id}:sensor_clock"));
    let silent = (Vec::new(), silent.to_vec());
    // The tenth certificate that is ahead of its time is that of session 18.
    for number in 0..30 {
        let (behind, right) = (age_of(&all, &format!("Cbehind{number}")), age_of(&all, &format!("Cright{number}")));
        let is_ahead = number % 2 == 0;
        match number {
            18.. => assert_eq!(behind, silent, "{number}"),
            _ => assert_eq!(behind, found(&["new_domain", "out_of_validity"]), "{number}"),
        }
        let fresh = if is_ahead { "fresh_certificate" } else { "out_of_validity" };
        assert_eq!(right, found(&["new_domain", fresh]), "{number}");
    }
    let (.., again) = replay(&["--threads", "4"], &["x509.log", "ssl.log"]);
    assert_eq!(bytes, again, "it is decided in the order of the records, whatever the threads");
    let (later, said, _) = replay(&["--state", "state"], &["later-ssl.log", "later-x509.log"]);
    assert_eq!(age_of(&later, "Cbehind100"), silent, "the state knows it");
    assert_eq!(said.matches("its clock is behind").count(), 0, "{said}");
}
