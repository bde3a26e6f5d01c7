//! Attacks that history decides, told in logs, and their honest twins: the real program reads them and says what it
//! finds.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails, and says so")]

mod support;

use std::collections::BTreeSet;

use certsift::model::Sha256Digest;
use serde_json::{Value, json};

use support::{assert_valid, certsift, records};

/// The first day, at midnight.
const BEGINNING: i64 = 20_370 * DAY;
const DAY: i64 = 86_400;
const HOUR: i64 = 3600;

const DIGICERT: &str = "CN=DigiCert TLS RSA SHA256 2020 CA1,O=DigiCert Inc,C=US";
const LETS_ENCRYPT: &str = "CN=R10,O=Let's Encrypt,C=US";
const ZEROSSL: &str = "CN=ZeroSSL RSA Domain Secure Site CA,O=ZeroSSL,C=AT";

/// A certificate as a sensor logs it.
#[derive(Clone)]
struct Certificate {
    subject: String,
    issuer: String,
    names: Vec<String>,
    /// Days since the beginning.
    ends: i64,
}

/// Logs of some weeks, and what certsift is told beside.
#[derive(Default)]
struct World {
    ssl: Vec<(i64, Value)>,
    x509: Vec<(i64, Value)>,
    logged: BTreeSet<String>,
    knowledge: String,
    network: String,
    files: Vec<(&'static str, String)>,
}

/// What was found on a session.
#[derive(Debug)]
struct Found {
    verdict: String,
    ids: Vec<String>,
    object: Value,
}

impl Certificate {
    fn new(name: &str, issuer: &str, ends: i64) -> Self {
        Self { subject: format!("CN={name}"), issuer: issuer.to_owned(), names: vec![name.to_owned()], ends }
    }

    fn self_signed(subject: &str) -> Self {
        Self { subject: subject.to_owned(), issuer: subject.to_owned(), names: Vec::new(), ends: 3000 }
    }

    fn sha256(&self) -> String {
        let text = format!("{} {} {:?} {}", self.subject, self.issuer, self.names, self.ends);
        Sha256Digest::of(text.as_bytes()).to_string()
    }
}

impl World {
    fn watching(name: &str) -> Self {
        Self { knowledge: format!("watch_names = [\"{name}\"]\n"), ..Self::default() }
    }

    /// One session; `day` and `seconds` say when.
    fn session(
        &mut self,
        uid: &str,
        (day, seconds): (i64, i64),
        client: u8,
        server: &str,
        name: &str,
        certificate: &Certificate,
    ) {
        let at = BEGINNING + day * DAY + seconds;
        let sha256 = certificate.sha256();
        if self.logged.insert(sha256.clone()) {
            let mut row = json!({
                "ts": at, "fingerprint": sha256, "certificate.serial": "0A", "certificate.subject": certificate.subject,
                "certificate.issuer": certificate.issuer,
                "certificate.not_valid_before": BEGINNING - 60 * DAY,
                "certificate.not_valid_after": BEGINNING + certificate.ends * DAY,
                "host_cert": true, "client_cert": false,
            });
            if !certificate.names.is_empty() {
                row["san.dns"] = json!(certificate.names);
            }
            self.x509.push((at, row));
        }
        let mut row = json!({
            "ts": at, "uid": uid, "id.orig_h": format!("10.0.0.{client}"), "id.orig_p": 40_000, "id.resp_h": server,
            "id.resp_p": 443, "version": "TLSv12", "resumed": false, "established": true, "cert_chain_fps": [sha256],
        });
        if !name.is_empty() {
            row["server_name"] = json!(name);
        }
        self.ssl.push((at, row));
    }

    /// Five clients use a name every day, from the first day to the day before `until`.
    fn daily(&mut self, until: i64, server: &str, name: &str, certificate: &Certificate) {
        for day in 0..until {
            for client in 1..=5 {
                let uid = format!("daily {name} {day} {client}");
                self.session(&uid, (day, i64::from(client) * HOUR), client, server, name, certificate);
            }
        }
    }

    /// What certsift says of everything, and what it says beside.
    fn judge_aloud(mut self) -> (impl Fn(&str) -> Found, String) {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        for (name, rows) in [("ssl.log", &mut self.ssl), ("x509.log", &mut self.x509)] {
            rows.sort_by_key(|(at, _)| *at);
            let lines: Vec<_> = rows.iter().map(|(_, row)| row.to_string() + "\n").collect();
            write(name, &lines.concat());
        }
        self.files.iter().for_each(|(name, text)| write(name, text));
        let history = "[history]\nlearning = { days = 0, certificates = 0, clients = 0 }\n";
        let config = format!("{history}[network]\n{}[knowledge]\n{}", self.network, self.knowledge);
        write("certsift.toml", &config);
        let output = certsift(
            folder.path(),
            &["replay", "-v", "--config", "certsift.toml", "--detail", "full", "ssl.log", "x509.log"],
        );
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        let records = records(&output.stdout);
        assert_valid(&records);
        let found = move |uid: &str| {
            let record = records.iter().find(|record| record["uid"] == uid).unwrap();
            let object = record["certsift"].clone();
            let ids = object["finding_ids"].as_array().into_iter().flatten();
            Found {
                verdict: object["verdict"].as_str().unwrap().to_owned(),
                ids: ids.map(|id| id.as_str().unwrap().to_owned()).collect(),
                object,
            }
        };
        (found, said)
    }

    fn judge(self) -> impl Fn(&str) -> Found {
        self.judge_aloud().0
    }
}

impl Found {
    fn has(&self, id: &str) -> bool {
        self.ids.iter().any(|known| known == id)
    }

    fn finding(&self, id: &str) -> &Value {
        let findings = self.object["findings"].as_array().unwrap();
        findings.iter().find(|finding| finding["id"] == id).unwrap()
    }

    #[track_caller]
    fn is(&self, verdict: &str, id: &str) {
        assert!(self.verdict == verdict && self.has(id), "{verdict} by {id}, but {:#}", self.object);
    }

    /// Nothing above low, and nothing of that kind if it is to be missing.
    #[track_caller]
    fn is_harmless(&self, without: Option<&str>) {
        let harmless = matches!(&*self.verdict, "info" | "low");
        assert!(harmless && !without.is_some_and(|id| self.has(id)), "{:#}", self.object);
    }
}

const MAIL: &str = "mail.ministry.example";
const MAIL_SERVER: &str = "198.51.100.10";
const FOREIGN_SERVER: &str = "203.0.113.66";

/// Three weeks of mail, and then another certificate on some server.
fn change(world: World, name: &str, before: &Certificate, after: &Certificate, server: &str) -> Found {
    let mut world = world;
    world.daily(20, MAIL_SERVER, name, before);
    world.session("changed", (20, 0), 3, server, name, after);
    world.judge()("changed")
}

#[test]
fn sea_turtle_a_another_ca_certifies_an_established_name_elsewhere() {
    let owners = Certificate::new(MAIL, DIGICERT, 300);
    let thiefs = Certificate::new(MAIL, LETS_ENCRYPT, 80);
    let found = change(World::default(), MAIL, &owners, &thiefs, FOREIGN_SERVER);
    found.is("medium", "issuer_change");
    let expected = json!({"from": "DigiCert Inc", "to": "Let's Encrypt", "since": "2025-10-29T00:00:00Z"});
    assert_eq!(found.object["history"]["issuer_change"], expected);
    change(World::watching("ministry.example"), MAIL, &owners, &thiefs, FOREIGN_SERVER).is("high", "issuer_change");
}

#[test]
fn sea_turtle_a_a_name_that_goes_back_says_so_and_names_the_change() {
    let owners = Certificate::new(MAIL, DIGICERT, 300);
    let thiefs = Certificate::new(MAIL, LETS_ENCRYPT, 80);
    let mut world = World::default();
    world.daily(20, MAIL_SERVER, MAIL, &owners);
    for client in 1..=4 {
        world.session(&format!("stolen {client}"), (20, i64::from(client) * 60), client, FOREIGN_SERVER, MAIL, &thiefs);
    }
    world.session("back", (20, 3 * HOUR), 2, MAIL_SERVER, MAIL, &owners);
    // A record that is more than a week ahead of all others would not move the clock.
    world.session("meanwhile", (25, 0), 3, MAIL_SERVER, MAIL, &owners);
    world.session("later", (29, 0), 2, MAIL_SERVER, MAIL, &owners);
    let found = world.judge();
    (1..=4).for_each(|client| found(&format!("stolen {client}")).is("medium", "issuer_change"));
    let back = found("back");
    back.is("info", "issuer_change");
    let evidence = back.finding("issuer_change")["evidence"].as_str().unwrap().to_owned();
    assert_eq!(evidence, "history: change at 2025-10-29T00:01:00Z");
    found("later").is_harmless(Some("issuer_change"));
}

#[test]
fn the_twins_of_a_stolen_name_are_left_alone() {
    let owners = Certificate::new(MAIL, DIGICERT, 300);
    let other = Certificate::new(MAIL, LETS_ENCRYPT, 120);
    let changed =
        |before: &Certificate, after: &Certificate, server: &str| change(World::default(), MAIL, before, after, server);
    // A renewal with another CA, at another hoster.
    let due = Certificate::new(MAIL, DIGICERT, 40);
    changed(&due, &other, FOREIGN_SERVER).is_harmless(None);
    // So it is on its first day, and where the name is watched.
    let planned = change(World::watching("ministry.example"), MAIL, &due, &other, FOREIGN_SERVER);
    planned.is_harmless(None);
    let note = planned.finding("issuer_change")["note"].as_str().unwrap().to_owned();
    assert!(note.ends_with("the former certificate was due for renewal"), "{note}");
    // Another CA on the same server, and in the same network.
    changed(&owners, &other, MAIL_SERVER).is_harmless(None);
    changed(&owners, &other, "198.51.77.1").is_harmless(None);
    // CAs that programs change among.
    let automated = Certificate::new(MAIL, LETS_ENCRYPT, 70);
    changed(&automated, &Certificate::new(MAIL, ZEROSSL, 110), FOREIGN_SERVER).is_harmless(None);
    // The same CA once more.
    changed(&owners, &Certificate::new(MAIL, DIGICERT, 400), FOREIGN_SERVER).is_harmless(Some("issuer_change"));
    // An owner who uses several, and a delivery network.
    let (google, others) = (Certificate::new("www.google.com", DIGICERT, 300), "CN=WR2,O=Google Trust Services,C=US");
    let other_google = Certificate::new("www.google.com", others, 70);
    change(World::default(), "www.google.com", &google, &other_google, FOREIGN_SERVER)
        .is_harmless(Some("issuer_change"));
    let mut world = World { knowledge: "prefixes = \"prefixes.csv\"\n".to_owned(), ..World::default() };
    world.files.push(("prefixes.csv", "cidr,asn,owner\n203.0.113.0/24,13335,Cloudflare\n".to_owned()));
    change(world, MAIL, &owners, &other, FOREIGN_SERVER).is_harmless(Some("issuer_change"));
    // Another service of the same domain.
    let mut world = World::default();
    world.daily(20, MAIL_SERVER, MAIL, &owners);
    let shop = Certificate::new("shop.ministry.example", LETS_ENCRYPT, 80);
    world.session("shop", (20, 0), 1, FOREIGN_SERVER, "shop.ministry.example", &shop);
    world.judge()("shop").is_harmless(Some("issuer_change"));
    // A name that is not known for long.
    let mut world = World::default();
    world.daily(10, MAIL_SERVER, MAIL, &owners);
    world.session("young", (10, 0), 1, FOREIGN_SERVER, MAIL, &other);
    world.judge()("young").is_harmless(Some("issuer_change"));
}

#[test]
fn a_move_that_stays_is_a_move() {
    let (before, after) = (Certificate::new(MAIL, DIGICERT, 300), Certificate::new(MAIL, LETS_ENCRYPT, 110));
    let mut world = World::watching("ministry.example");
    world.daily(20, MAIL_SERVER, MAIL, &before);
    for day in 20..24 {
        for client in 1..=5 {
            let uid = format!("{day} {client}");
            world.session(&uid, (day, i64::from(client) * HOUR), client, FOREIGN_SERVER, MAIL, &after);
        }
    }
    let found = world.judge();
    // On its first day nothing tells it from a theft.
    found("20 1").is("high", "issuer_change");
    for day in 22..24 {
        (1..=5).for_each(|client| assert_eq!(found(&format!("{day} {client}")).verdict, "info"));
    }
}

#[test]
fn a_new_name_beside_a_wildcard_is_not_called_stolen() {
    let any = Certificate { names: vec!["*.ministry.example".to_owned()], ..Certificate::new(MAIL, DIGICERT, 300) };
    let status = Certificate::new("status.ministry.example", LETS_ENCRYPT, 80);
    let judge = |mut world: World| {
        world.daily(20, MAIL_SERVER, "www.ministry.example", &any);
        world.session("new", (20, 0), 1, FOREIGN_SERVER, "status.ministry.example", &status);
        world.judge()("new")
    };
    judge(World::default()).is("low", "issuer_change");
    // The owner may want to know.
    judge(World::watching("ministry.example")).is("medium", "issuer_change");
}

#[test]
fn a_name_that_is_another_server_inside_has_not_changed_its_issuer() {
    let corporate = Certificate::new(MAIL, "CN=Ministry Issuing CA,O=Ministry,C=XX", 300);
    let public = Certificate::new(MAIL, DIGICERT, 300);
    for world in [World::default(), World::watching("ministry.example")] {
        change(world, MAIL, &corporate, &public, FOREIGN_SERVER).finding("issuer_change");
    }
    for mut world in [World::default(), World::watching("ministry.example")] {
        world.daily(20, "10.9.0.9", MAIL, &corporate);
        world.session("guest", (20, 0), 1, FOREIGN_SERVER, MAIL, &public);
        world.judge()("guest").is_harmless(None);
    }
}

#[test]
fn the_networks_of_the_organisation_itself_are_not_unrelated() {
    let wildcard = Certificate::new("*.ministry.example", "CN=Ministry Issuing CA,O=Ministry,C=XX", 300);
    let mut world = World::default();
    for (number, server) in ["10.2.0.9", "10.3.0.9", "10.4.0.9", "172.16.0.9", "192.168.1.9"].iter().enumerate() {
        world.session(server, (1, number as i64), 1, server, "", &wildcard);
    }
    world.session("cloud", (2, 0), 2, FOREIGN_SERVER, "", &wildcard);
    world.judge()("cloud").is_harmless(None);
}

#[test]
fn sea_turtle_b_a_stolen_certificate_turns_up_in_another_network() {
    let owners = Certificate::new(MAIL, DIGICERT, 300);
    let moved = |world: World| change(world, MAIL, &owners, &owners, FOREIGN_SERVER);
    moved(World::watching("ministry.example")).is("medium", "moved_certificate");
    // Services move as well; how much that says depends on how well networks are known.
    let mut world = World { knowledge: "prefixes = \"prefixes.csv\"\n".to_owned(), ..World::default() };
    world.files.push(("prefixes.csv", "198.51.100.0/24,64500,Ministry\n203.0.113.0/24,64501,Hoster\n".to_owned()));
    let found = moved(world);
    found.is("low", "moved_certificate");
    assert!(found.finding("moved_certificate")["note"].as_str().unwrap().contains("AS64501 Hoster"));
    moved(World::default()).is("info", "moved_certificate");
    // The owner's network is more than a /16.
    let mut world = World::watching("ministry.example");
    world.knowledge.push_str("prefixes = \"prefixes.csv\"\n");
    world.files.push(("prefixes.csv", "198.51.100.0/24,64500,Ministry\n203.0.113.0/24,64500,Ministry\n".to_owned()));
    moved(world).is_harmless(Some("moved_certificate"));
}

#[test]
fn blacktech_a_stolen_certificate_serves_a_name_that_is_not_its_own() {
    let vendors = Certificate::new("www.vendor.example", DIGICERT, 300);
    let stolen = |server: &str, name: &str, days: i64| {
        let mut world = World::default();
        world.daily(days, MAIL_SERVER, "www.vendor.example", &vendors);
        world.session("stolen", (days, 0), 1, server, name, &vendors);
        world.judge()("stolen")
    };
    stolen(FOREIGN_SERVER, "update.elsewhere.example", 20).is("medium", "moved_certificate");
    // In the vendor's own network, under his name, or not known for long.
    stolen("198.51.100.77", "update.elsewhere.example", 20).is_harmless(Some("moved_certificate"));
    stolen(FOREIGN_SERVER, "www.vendor.example", 20).is_harmless(None);
    stolen(FOREIGN_SERVER, "update.elsewhere.example", 5).is_harmless(Some("moved_certificate"));
}

#[test]
fn sea_turtle_c_a_name_that_used_to_have_a_ca_vouches_for_itself() {
    let vpn = "vpn.ministry.example";
    let owners = Certificate::new(vpn, DIGICERT, 300);
    let own = Certificate { names: vec![vpn.to_owned()], ..Certificate::self_signed("CN=vpn.ministry.example") };
    let found = change(World::default(), vpn, &owners, &own, FOREIGN_SERVER);
    found.is("medium", "issuer_change");
    assert!(found.has("self_signed"));
    change(World::watching("ministry.example"), vpn, &owners, &own, FOREIGN_SERVER).is("high", "issuer_change");
    // A device that gets a proper certificate at last.
    change(World::default(), vpn, &own, &owners, FOREIGN_SERVER).is_harmless(Some("issuer_change"));
}

#[test]
fn an_inspection_of_tls_is_one_event() {
    let mut world = World::default();
    let issuers = [DIGICERT, LETS_ENCRYPT, ZEROSSL];
    let name = |number: usize| format!("www.site{number}.example");
    let server = |number: usize| format!("198.51.{number}.10");
    let session = |round: usize, number: usize| format!("{round} {number}");
    for number in 0..30 {
        let own = Certificate::new(&name(number), issuers[number % 3], 300);
        world.daily(20, &server(number), &name(number), &own);
    }
    for (round, number) in (0..3).flat_map(|round| (0..30).map(move |number| (round, number))) {
        let inspected = Certificate::new(&name(number), "CN=Gateway CA,O=Example Org", 300);
        let when = (20 + round as i64, number as i64 * 60);
        let client = 2 + (number % 3) as u8;
        world.session(&session(round, number), when, client, &server(number), &name(number), &inspected);
    }
    let (found, said) = world.judge_aloud();
    for (round, number) in (0..3).flat_map(|round| (0..30).map(move |number| (round, number))) {
        let is_known = (round, number) >= (0, 19);
        let found = found(&session(round, number));
        found.is_harmless(is_known.then_some("issuer_change"));
        assert_eq!(found.object["issuer_history"]["class"] == "interception", is_known, "{round} {number}");
        // It is said for a day.
        let is_said = is_known && (round == 0 || (round == 1 && number < 19));
        assert_eq!(found.has("interception"), is_said, "{round} {number}: {:#}", found.object);
    }
    assert_eq!(said.matches("TLS is inspected").count(), 1, "{said}");
}

#[test]
fn gamaredon_one_certificate_on_many_servers_in_unrelated_networks() {
    let spread = |certificate: &Certificate, networks: usize| {
        let mut world = World::default();
        for number in 0..6 {
            let server = format!("203.{}.113.{}", number % networks, number + 1);
            world.session(&number.to_string(), (1, number as i64 * HOUR), 1, &server, "", certificate);
        }
        world.judge()("5")
    };
    let own = Certificate::self_signed("CN=win-7f3k2");
    spread(&own, 5).is("medium", "shared_certificate");
    // A few networks, a public CA, and what a factory gives to every device.
    spread(&own, 2).is_harmless(Some("shared_certificate"));
    spread(&Certificate::new("www.delivery.example", DIGICERT, 300), 5).is_harmless(Some("shared_certificate"));
    let factory = Certificate::self_signed("CN=FG100ETK1800118,OU=FortiGate,O=Fortinet,L=Sunnyvale,ST=California,C=US");
    let found = spread(&factory, 5);
    found.is_harmless(None);
    assert!(found.finding("shared_certificate")["note"].as_str().unwrap().contains("factory"), "{:#}", found.object);
}

#[test]
fn unc3886_an_own_certificate_outside_its_ranges() {
    let own = Certificate::new("gw.ministry.example", "CN=Ministry CA,O=Ministry", 300);
    let on = |server: &str| {
        let mut world = World { knowledge: "own_certificates = \"own.csv\"\n".to_owned(), ..World::default() };
        world.files.push(("own.csv", format!("sha256,ranges\n{},10.9.0.0/16;198.51.100.10\n", own.sha256())));
        world.session("own", (0, 0), 1, server, "gw.ministry.example", &own);
        world.judge()("own")
    };
    on(FOREIGN_SERVER).is("high", "own_certificate");
    on("10.8.0.1").is("high", "own_certificate");
    for server in ["10.9.1.1", "198.51.100.10"] {
        on(server).is_harmless(Some("own_certificate"));
    }
}

#[test]
fn arcanedoor_a_device_of_the_inside_stands_outside() {
    let asa = Certificate::self_signed("CN=ASA Temporary Self Signed Certificate");
    let on = |server: &str| {
        let mut world = World::default();
        world.session("asa", (0, 0), 1, server, "", &asa);
        world.judge()("asa")
    };
    let found = on(FOREIGN_SERVER);
    found.is("low", "vendor_mimic");
    assert!(found.has("signature"), "what is benign is shown, and suppresses nothing");
    let inside = on("10.0.0.99");
    assert_eq!(inside.verdict, "info");
    inside.is_harmless(Some("vendor_mimic"));
}

#[test]
fn a_server_that_changes_certificates_for_a_living() {
    let last = |network: &str, issuer: Option<&str>| {
        let mut world = World { network: network.to_owned(), ..World::default() };
        for number in 0..9 {
            let certificate = match issuer {
                Some(issuer) => Certificate::new(&format!("www.site{number}.example"), issuer, 300),
                None => Certificate::self_signed(&format!("CN=relay{number}")),
            };
            world.session(&number.to_string(), (1, number * HOUR), 1, FOREIGN_SERVER, "", &certificate);
        }
        world.judge()("8")
    };
    last("", None).is("low", "changing_server");
    last("shared = [\"203.0.113.66\"]\n", None).is_harmless(Some("changing_server"));
    last("", Some(DIGICERT)).is_harmless(Some("changing_server"));
}

#[test]
fn what_is_seen_for_the_first_time_is_said_once_and_moves_no_verdict() {
    let owners = Certificate::new(MAIL, DIGICERT, 300);
    let mut world = World::default();
    world.session(
        "learning",
        (0, 0),
        1,
        "198.51.1.1",
        "a.other.example",
        &Certificate::new("a.other.example", DIGICERT, 90),
    );
    world.session("first", (0, HOUR), 1, MAIL_SERVER, MAIL, &owners);
    world.session("second", (0, 2 * HOUR), 1, MAIL_SERVER, MAIL, &owners);
    let found = world.judge();
    let first = found("first");
    first.is("info", "first_seen_name");
    first.is("info", "first_seen_certificate");
    assert_eq!(first.object["score"], 0);
    for quiet in ["learning", "second"] {
        assert!(found(quiet).ids.is_empty(), "{:#}", found(quiet).object);
    }
}

#[test]
fn suricata_tells_the_same_story() {
    let folder = tempfile::tempdir().unwrap();
    let event = |day: i64, hour: i64, client: i64, server: &str, issuer: &str, serial: &str| {
        let at = certsift::model::EventTime::from_seconds(BEGINNING + day * DAY + hour * HOUR);
        let digest = Sha256Digest::of(serial.as_bytes()).to_string();
        let sha1: Vec<_> =
            digest.as_bytes()[..40].chunks(2).map(|pair| String::from_utf8_lossy(pair).into_owned()).collect();
        let event = json!({
            "timestamp": at.to_string().replace('Z', ".000000+0000"), "event_type": "tls", "flow_id": day * 100 + client,
            "src_ip": format!("10.0.0.{client}"), "src_port": 40_000, "dest_ip": server, "dest_port": 443, "proto": "TCP",
            "tls": {"subject": format!("CN={MAIL}"), "issuerdn": issuer, "serial": serial, "fingerprint": sha1.join(":"),
                "sni": MAIL, "version": "TLS 1.2", "notbefore": "2025-08-01T00:00:00", "notafter": "2026-08-01T00:00:00",
                "ja3s": {"hash": "0123456789abcdef0123456789abcdef", "string": "771,1,0"}},
        });
        event.to_string() + "\n"
    };
    let digicert = "C=US, O=DigiCert Inc, CN=DigiCert TLS RSA SHA256 2020 CA1";
    let lets_encrypt = "C=US, O=Let's Encrypt, CN=R10";
    let mut lines = String::new();
    for (day, client) in (0..20).flat_map(|day| (1..=5).map(move |client| (day, client))) {
        lines.push_str(&event(day, client, client, MAIL_SERVER, digicert, "0A"));
    }
    lines.push_str(&event(20, 0, 7, FOREIGN_SERVER, lets_encrypt, "0B"));
    std::fs::write(folder.path().join("eve.json"), lines).unwrap();
    let output = certsift(folder.path(), &["replay", "eve.json"]);
    let found = records(&output.stdout);
    let object = &found.last().unwrap()["certsift"];
    assert_eq!(
        (&object["verdict"], &object["finding_ids"][0]),
        (&json!("medium"), &json!("issuer_change")),
        "{object:#}"
    );
}
