//! Threat feeds and exceptions, as `certsift replay --config` uses them, on the logs of both sensors.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails, and says so")]

mod support;

use std::path::Path;

use serde_json::{Value, json};
use support::{assert_valid, certsift, records};

const SHA1: &str = "1c1a4f0a5b6c7d8e9fa0b1c2d3e4f5061728394a";
/// Of the certificate that Cobalt Strike comes with.
const STRIKE: &str = "6ece5ece4192683d2d84e25b0ba7e04f9cb7eb7c";
const FINGERPRINT: &str = "7812c001f7cda45a7c745a0e692d874c4f0319b2fd1bd49f2d199e0e7b0c1b3c";
const PUBLIC: &str = "C=US, O=Let's Encrypt, CN=R3";

/// A session of one client with one server, and the certificate that the server presents.
struct Scene<'a> {
    name: &'a str,
    server: &'a str,
    port: u16,
    sha1: &'a str,
    serial: &'a str,
    /// In the order of the encoding, as Suricata prints it.
    subject: &'a [(&'a str, &'a str)],
    issuer: &'a str,
}

impl Default for Scene<'_> {
    fn default() -> Self {
        Self {
            name: "www.fine.example",
            server: "192.0.2.1",
            port: 443,
            sha1: SHA1,
            serial: "0A:0B:0C:0D:0E",
            subject: &[("C", "US"), ("CN", "www.fine.example")],
            issuer: PUBLIC,
        }
    }
}

impl Scene<'_> {
    /// The session as Suricata logs it.
    fn eve(&self) -> String {
        let subject: Vec<_> = self.subject.iter().map(|(kind, value)| format!("{kind}={value}")).collect();
        let colons: Vec<_> = self.sha1.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap()).collect();
        json!({
            "timestamp": "2025-10-09T08:53:20.000000+0000", "event_type": "tls", "flow_id": 7,
            "src_ip": "10.0.0.1", "src_port": 50000, "dest_ip": self.server, "dest_port": self.port,
            "tls": {"subject": subject.join(", "), "issuerdn": self.issuer, "serial": self.serial,
                "fingerprint": colons.join(":"), "sni": self.name, "version": "TLS 1.2",
                "notbefore": "2025-01-01T00:00:00", "notafter": "2026-01-01T00:00:00"}
        })
        .to_string()
    }

    /// The same as Zeek logs it, the certificate and the session.
    fn zeek(&self) -> [String; 2] {
        let backward =
            |forward: &str| forward.split(", ").collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join(",");
        let subject: Vec<_> = self.subject.iter().map(|(kind, value)| format!("{kind}={value}")).collect();
        let x509 = json!({
            "ts": 1_760_000_000.5, "fingerprint": FINGERPRINT, "certificate.version": 3,
            "certificate.serial": self.serial.replace(':', ""), "certificate.subject": backward(&subject.join(", ")),
            "certificate.issuer": backward(self.issuer), "certificate.not_valid_before": 1_735_689_600.0,
            "certificate.not_valid_after": 1_767_225_600.0, "san.dns": ["www.fine.example"], "host_cert": true,
            "client_cert": false
        });
        let ssl = json!({
            "ts": 1_760_000_000.0, "uid": "C1", "id.orig_h": "10.0.0.1", "id.orig_p": 50000, "id.resp_h": self.server,
            "id.resp_p": self.port, "version": "TLSv12", "server_name": self.name, "resumed": false,
            "established": true, "cert_chain_fps": [FINGERPRINT], "sni_matches_cert": true
        });
        [x509.to_string(), ssl.to_string()]
    }

    /// What certsift says of the session in EVE, of the session in Zeek's log, and of Zeek's certificate.
    #[track_caller]
    fn judge(&self, files: &[(&str, &str)]) -> [Value; 3] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("feeds")).unwrap();
        let mut config = "[knowledge]\nfeeds = [\"feeds/*\"]\n".to_owned();
        for (name, text) in files {
            if *name == "allow.csv" {
                config += "allow = \"allow.csv\"\n";
                std::fs::write(folder.path().join(name), text).unwrap();
            } else {
                std::fs::write(folder.path().join("feeds").join(name), text).unwrap();
            }
        }
        if std::fs::read_dir(folder.path().join("feeds")).unwrap().next().is_none() {
            config = config.replace("feeds = [\"feeds/*\"]\n", "");
        }
        std::fs::write(folder.path().join("certsift.toml"), config).unwrap();
        let [x509, ssl] = self.zeek();
        std::fs::write(folder.path().join("eve.json"), self.eve() + "\n").unwrap();
        std::fs::write(folder.path().join("x509.log"), x509 + "\n").unwrap();
        std::fs::write(folder.path().join("ssl.log"), ssl + "\n").unwrap();
        let eve = run(folder.path(), &["eve.json"]);
        let zeek = run(folder.path(), &["x509.log", "ssl.log"]);
        let of = |log: &str| {
            let mut found = eve.iter().chain(&zeek).filter(|record| record["certsift"]["log"] == log);
            found.next().unwrap()["certsift"].clone()
        };
        [of("suricata.tls"), of("zeek.ssl"), of("zeek.x509")]
    }
}

fn run(folder: &Path, logs: &[&str]) -> Vec<Value> {
    let output = certsift(folder, &[&["replay", "--config", "certsift.toml", "--detail", "full"], logs].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let output = records(&output.stdout);
    assert_valid(&output);
    output
}

fn verdicts(judged: &[Value; 3]) -> [&str; 3] {
    judged.each_ref().map(|object| object["verdict"].as_str().unwrap())
}

fn feeds(object: &Value) -> Vec<&Value> {
    object["feeds"].as_array().map(|feeds| feeds.iter().collect()).unwrap_or_default()
}

fn finding<'a>(object: &'a Value, id: &str) -> &'a Value {
    let mut findings = object["findings"].as_array().unwrap().iter();
    findings.find(|finding| finding["id"] == id).unwrap_or(&Value::Null)
}

#[test]
fn a_listed_certificate_is_critical_and_its_twin_is_not() {
    let sslbl = format!("# Listingdate,SHA1,Listingreason\r\n2024-09-02 06:17:52,{SHA1},Rhadamanthys C&C\r\n");
    let intel = format!("#fields\tindicator\tindicator_type\tmeta.source\n{FINGERPRINT}\tIntel::CERT_HASH\tours\n");
    let judged = Scene::default().judge(&[("sslblacklist.csv", &sslbl), ("intel.dat", &intel)]);
    assert_eq!(verdicts(&judged), ["critical"; 3], "{judged:#?}");
    let [eve, zeek, x509] = &judged;
    assert_eq!(
        feeds(eve)[0],
        &json!({"feed": "sslblacklist", "indicator": SHA1, "label": "Rhadamanthys C&C", "listed": "2024-09-02T06:17:52Z", "row": 2, "kind": "sha1"})
    );
    assert_eq!((eve["score"].as_u64(), eve["techniques"][0].as_str()), (Some(95), Some("T1588.004")));
    assert_eq!(finding(eve, "feed")["evidence"], "sslblacklist row 2");
    assert_eq!(feeds(zeek)[0]["feed"], "intel");
    assert_eq!(feeds(x509)[0]["kind"], "sha256");
    assert!(zeek["not_evaluated"].as_array().unwrap().contains(&json!("feed:no_sha1")), "{zeek:#}");
    assert!(x509["not_evaluated"].as_array().unwrap().contains(&json!("feed:no_sha1")), "{x509:#}");
    let keys = format!("spki_sha256,label\n{FINGERPRINT},key\n");
    let [eve, _, x509] = Scene::default().judge(&[("keys.csv", &keys)]);
    for object in [eve, x509] {
        assert_eq!(
            object["not_evaluated"].as_array().unwrap().iter().filter(|code| **code == "feed:no_spki").count(),
            1
        );
    }
    let other = sslbl.replace("1c1a", "2c1a");
    assert_eq!(verdicts(&Scene::default().judge(&[("sslblacklist.csv", &other)])), ["info"; 3]);
}

#[test]
fn a_listed_name_is_high_and_a_name_below_a_listed_one_is_a_hint() {
    let scene = Scene { name: "login.evil.example", ..Scene::default() };
    let [eve, zeek, x509] = scene.judge(&[("names.txt", "login.evil.example\n")]);
    assert_eq!((&eve["verdict"], &zeek["verdict"], &x509["verdict"]), (&json!("high"), &json!("high"), &json!("info")));
    assert_eq!(feeds(&zeek)[0]["kind"], "domain");
    let certified = Scene { name: "evil.example", subject: &[("CN", "evil.example")], ..Scene::default() };
    let [eve, ..] = certified.judge(&[("names.txt", "evil.example\n")]);
    assert_eq!(finding(&eve, "feed")["evidence"], "names row 1", "asked for and certified, and listed once: {eve:#}");
    let below = scene.judge(&[("names.txt", "evil.example\n")]);
    // Zeek logs the names of the certificate, which is not for that one: together they are just medium.
    assert_eq!(verdicts(&below), ["low", "medium", "info"]);
    assert_eq!(verdicts(&scene.judge(&[("names.txt", ".evil.example\n")])), ["high", "high", "info"]);
    assert_eq!(verdicts(&scene.judge(&[("names.txt", "evil.example.org\nvil.example\n")])), ["info"; 3]);
}

#[test]
fn a_listed_address_counts_with_its_port_and_not_where_the_name_is_popular() {
    let scene = Scene { port: 8443, ..Scene::default() };
    let addresses = "# Firstseen,DstIP,DstPort\n2024-01-01 00:00:00,192.0.2.1,8443\n";
    assert_eq!(verdicts(&scene.judge(&[("ips.csv", addresses)])), ["low", "low", "info"]);
    assert_eq!(verdicts(&Scene::default().judge(&[("ips.csv", addresses)])), ["info"; 3]);
    // Around the address are networks, of which the smallest says the most; together they are one.
    let networks = "192.0.2.0/24\n192.0.2.0/28\n192.0.2.1\n";
    let [around, ..] = scene.judge(&[("networks.txt", networks)]);
    let [alone, ..] = scene.judge(&[("networks.txt", "192.0.2.1\n")]);
    assert_eq!((&around["score"], feeds(&around).len()), (&alone["score"], 3), "{around:#}");
    assert_eq!(finding(&around, "feed")["expected"], "192.0.2.1");
    let popular =
        r#"{"name":"Top 1000 sites","type":"hostname","version":1,"list":["fine.example"],"matching_attributes":[]}"#;
    let [eve, ..] = scene.judge(&[("ips.csv", addresses), ("popular.json", popular)]);
    assert_eq!((&eve["verdict"], feeds(&eve).len()), (&json!("info"), 2), "{eve:#}");
    // Everybody gets a name below a provider of dynamic DNS or a hosting provider, however popular that is itself.
    for (provider, verdict) in [("duckdns.org", "low"), ("github.io", "low"), ("example.org", "info")] {
        let below = format!("evil.{provider}");
        let scene = Scene { port: 8443, name: &below, subject: &[("CN", &below)], ..Scene::default() };
        let [eve, ..] =
            scene.judge(&[("ips.csv", addresses), ("top-1m.csv", &format!("1,google.com\n2,{provider}\n"))]);
        let address = feeds(&eve).into_iter().find(|row| row["feed"] == "ips").unwrap();
        assert_eq!((&eve["verdict"], &address["kind"]), (&json!(verdict), &json!("address")), "{provider}: {eve:#}");
    }
    // A list of dynamic DNS says what kind of name it is, and excuses nobody.
    let dynamic = popular.replace("Top 1000 sites", "List of known dynamic DNS domains");
    let [eve, ..] = scene.judge(&[("ips.csv", addresses), ("dynamic.json", &dynamic)]);
    assert_eq!((&eve["verdict"], &feeds(&eve)[1]["context"]), (&json!("low"), &json!("category")), "{eve:#}");
}

#[test]
fn luminousmoth_and_blacktech_are_found_with_an_indicator_and_not_without() {
    let stolen = Scene {
        serial: "33:00:00:01:51:9E:8D:8F:40:71",
        subject: &[("C", "TW"), ("O", "Stolen Vendor Inc."), ("CN", "Stolen Vendor Inc.")],
        ..Scene::default()
    };
    let own = format!("serial,issuer,label\n33000001519E8D8F4071,\"{PUBLIC}\",stolen by BlackTech\n");
    assert_eq!(verdicts(&stolen.judge(&[("iocs.csv", &own)])), ["critical"; 3]);
    let other_issuer = own.replace("CN=R3", "CN=R4");
    assert_eq!(verdicts(&stolen.judge(&[("iocs.csv", &other_issuer)])), ["info"; 3], "the serial of another issuer");
    let serial_alone = "serial,label\n33000001519E8D8F4071,LuminousMoth\n";
    let judged = stolen.judge(&[("iocs.csv", serial_alone)]);
    assert_eq!((verdicts(&judged), &feeds(&judged[2])[0]["context"]), (["info"; 3], &json!("serial_alone")));
    let subject = r#"{"type":"bundle","id":"bundle--1","objects":[{"type":"indicator","name":"LuminousMoth","pattern_type":"stix","pattern":"[x509-certificate:subject = 'C=TW, O=Stolen Vendor Inc., CN=Stolen Vendor Inc.']","valid_from":"2021-07-14T00:00:00Z"}]}"#;
    assert_eq!(verdicts(&stolen.judge(&[("bundle.json", subject)])), ["medium"; 3]);
    let organisation = r#"alert tls any any -> any any (msg:"LuminousMoth"; tls.cert_subject; content:"O=Stolen Vendor Inc."; sid:1000001;)"#;
    assert_eq!(verdicts(&stolen.judge(&[("own.rules", organisation)])), ["high"; 3]);
    assert_eq!(verdicts(&stolen.judge(&[])), ["info"; 3]);
}

#[test]
fn lazarus_is_critical_by_a_rule_on_the_serial_and_nothing_without_it() {
    let rule = r#"alert tls $EXTERNAL_NET any -> $HOME_NET any (msg:"ET MALWARE JEUSD CnC Domain"; flow:established,to_client; tls.cert_serial; content:"01:90:17:98:AF:94:1C:5E"; classtype:command-and-control; sid:2026944; rev:2;)"#;
    let lazarus = Scene { serial: "01:90:17:98:AF:94:1C:5E", name: "celasllc.example", ..Scene::default() };
    let judged = lazarus.judge(&[("et.rules", rule)]);
    assert_eq!(verdicts(&judged), ["critical"; 3]);
    assert_eq!(feeds(&judged[1])[0]["indicator"], "sid:2026944");
    let twin = Scene { serial: "01:90:17:98:AF:94:1C:5F", ..lazarus };
    assert_eq!(verdicts(&twin.judge(&[("et.rules", rule)])), ["info"; 3]);
}

#[test]
fn a_feed_that_disagrees_is_said_beside_the_signature_and_adds_nothing() {
    let sslbl = format!("# Listingdate,SHA1,Listingreason\n2016-01-01 00:00:00,{STRIKE},AKBuilder C&C\n");
    let scene = Scene { serial: "08:BB:00:EE", sha1: STRIKE, ..Scene::default() };
    let [eve, ..] = scene.judge(&[("sslbl.csv", &sslbl)]);
    let [without, ..] = scene.judge(&[]);
    assert_eq!((&eve["score"], &eve["verdict"]), (&without["score"], &json!("critical")));
    assert_eq!(eve["tools"], json!(["Cobalt Strike"]));
    assert_eq!(feeds(&eve)[0]["label"], "AKBuilder C&C");
    assert!(eve["reason"].as_str().unwrap().contains("Cobalt Strike"), "{eve:#}");
    assert_eq!(finding(&eve, "feed")["group"], "signature");
    assert_eq!(eve["finding_ids"], json!(["signature", "feed"]));
}

#[test]
fn rows_hold_at_the_record_s_own_time_and_context_weighs_nothing() {
    let bundle = |from: &str, until: &str| {
        format!(
            r#"{{"type":"bundle","id":"bundle--1","objects":[{{"type":"indicator","pattern_type":"stix","pattern":"[x509-certificate:hashes.'SHA-256' = '{FINGERPRINT}' OR x509-certificate:hashes.'SHA-1' = '{SHA1}']","valid_from":"{from}","valid_until":"{until}"}}]}}"#
        )
    };
    let judge = |from: &str, until: &str| {
        let bundle = bundle(from, until);
        Scene::default().judge(&[("b.json", &bundle)])
    };
    assert_eq!(verdicts(&judge("2025-01-01T00:00:00Z", "2025-12-01T00:00:00Z")), ["critical"; 3]);
    assert_eq!(verdicts(&judge("2025-01-01T00:00:00Z", "2025-06-01T00:00:00Z")), ["info"; 3]);
    // What was listed later tells who looks at old records.
    assert_eq!(verdicts(&judge("2025-11-01T00:00:00Z", "2025-12-01T00:00:00Z")), ["critical"; 3]);
    let event = format!(
        r#"{{"Event":{{"info":"x","Attribute":[{{"type":"x509-fingerprint-sha1","value":"{SHA1}","to_ids":false}},{{"type":"x509-fingerprint-sha256","value":"{FINGERPRINT}","to_ids":false}}]}}}}"#
    );
    let judged = Scene::default().judge(&[("event.json", &event)]);
    assert_eq!((verdicts(&judged), &feeds(&judged[0])[0]["context"]), (["info"; 3], &json!("informative")));
}

#[test]
fn exceptions_lighten_what_is_found_and_hide_nothing() {
    let scene = Scene { name: "login.evil.example", issuer: "C=US, CN=www.fine.example", ..Scene::default() };
    let names = ("names.txt", "evil.example\n");
    let [eve, ..] =
        scene.judge(&[names, ("allow.csv", "kind,value,reason,expires\ndomain,evil.example,our red team,\n")]);
    assert_eq!((&eve["verdict"], &finding(&eve, "feed")["weight"]), (&json!("info"), &json!(0.0)), "{eve:#}");
    assert_eq!(finding(&eve, "self_signed")["weight"], 0.015);
    assert_eq!(finding(&eve, "allow")["note"], "domain evil.example is excepted: our red team");
    let [eve, ..] = scene.judge(&[names, ("allow.csv", "domain,evil.example,our red team,2025-01-01\n")]);
    assert_eq!((&eve["verdict"], finding(&eve, "allow")), (&json!("medium"), &Value::Null));
    let [eve, ..] = scene.judge(&[names, ("allow.csv", "finding,self_signed,noise,\n")]);
    assert_eq!(
        (&finding(&eve, "feed")["weight"], &finding(&eve, "self_signed")["weight"]),
        (&json!(0.4), &json!(0.015))
    );
    // Trust in an issuer says nothing of a certificate that is known to be bad.
    let strike = Scene { serial: "08:BB:00:EE", ..Scene::default() };
    let [eve, ..] = strike.judge(&[("allow.csv", &format!("issuer,\"{PUBLIC}\",a public CA,\n"))]);
    assert_eq!(eve["verdict"], "critical");
    let [eve, ..] = strike.judge(&[("allow.csv", "signature,cobalt-strike-default-serial,exercise,\n")]);
    assert_eq!((&eve["verdict"], &eve["finding_ids"]), (&json!("info"), &json!(["signature", "allow"])), "{eve:#}");
}

#[test]
fn a_feed_that_cannot_be_used_is_said_and_the_others_are_used() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("prose.txt"), "Dear all,\nplease find attached.\n").unwrap();
    std::fs::write(folder.path().join("names.txt"), "www.fine.example\nbad name\nevil.example\n").unwrap();
    std::fs::write(folder.path().join("nrd.csv"), "domain,created\nfine.example,2025-10-08\n").unwrap();
    std::fs::write(folder.path().join("eve.json"), Scene::default().eve() + "\n").unwrap();
    let config = "[knowledge]\nfeeds = [\"prose.txt\", \"names.txt\", \"nrd.csv\"]\n";
    std::fs::write(folder.path().join("certsift.toml"), config).unwrap();
    let output = certsift(folder.path(), &["replay", "--config", "certsift.toml", "eve.json"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("prose.txt: not a feed of a format that certsift knows"), "{said}");
    assert!(said.contains("names.txt: 1 rows are left out: line 2: "), "{said}");
    let object = &records(&output.stdout)[0]["certsift"];
    assert_eq!((&object["verdict"], &object["registration"][0]["domain"]), (&json!("high"), &json!("fine.example")));
}

#[test]
fn lists_of_sha1_are_of_no_use_where_only_sha256_is_logged_and_that_is_said_once() {
    let folder = tempfile::tempdir().unwrap();
    let strike = Scene { sha1: STRIKE, ..Scene::default() };
    let [x509, ssl] = strike.zeek();
    let list = format!("# Listingdate,SHA1,Listingreason\n2017-04-04 10:00:00,{STRIKE},AKBuilder C&C\n");
    std::fs::write(folder.path().join("sslbl.csv"), list).unwrap();
    std::fs::write(folder.path().join("certsift.toml"), "[knowledge]\nfeeds = [\"sslbl.csv\"]\n").unwrap();
    std::fs::write(folder.path().join("x509.log"), x509 + "\n").unwrap();
    // An hour of logs, and the next one.
    std::fs::write(folder.path().join("ssl.1.log"), format!("{ssl}\n{}\n", ssl.replace("\"C1\"", "\"C2\""))).unwrap();
    std::fs::write(folder.path().join("ssl.2.log"), ssl.replace("\"C1\"", "\"C3\"") + "\n").unwrap();
    let arguments = ["replay", "--config", "certsift.toml", "--detail", "full", "x509.log", "ssl.1.log", "ssl.2.log"];
    let output = certsift(folder.path(), &arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.matches("X509::hash_function = sha1_hash").count(), 1, "{said}");
    assert!(said.contains("3 sessions could not be compared with lists of SHA-1"), "{said}");
    let session = &records(&output.stdout)[1]["certsift"];
    assert!(session["not_evaluated"].as_array().unwrap().contains(&json!("feed:no_sha1")), "{session:#}");
    assert_eq!((&session["verdict"], feeds(session).len()), (&json!("info"), 0));
    // With a row of files.log that knows both hashes the same session is critical.
    let pair = json!({"ts": 1_759_999_999.9, "fuid": "F1", "uid": "C1", "id.orig_h": "10.0.0.1", "id.orig_p": 50000,
        "id.resp_h": "192.0.2.1", "id.resp_p": 443, "source": "SSL", "analyzers": ["SHA1", "SHA256", "X509"],
        "mime_type": "application/x-x509-user-cert", "sha1": STRIKE, "sha256": FINGERPRINT});
    std::fs::write(folder.path().join("files.log"), format!("{pair}\n")).unwrap();
    let output = certsift(folder.path(), &[&arguments[..], &["files.log"]].concat());
    let session = &records(&output.stdout)[1]["certsift"];
    assert_eq!((&session["verdict"], &feeds(session)[0]["label"]), (&json!("critical"), &json!("AKBuilder C&C")));
    assert!(!String::from_utf8(output.stderr).unwrap().contains("X509::hash_function"));
}

#[test]
fn a_session_is_compared_with_lists_of_sha1_where_all_rows_on_its_certificate_bear_one_time() {
    let folder = tempfile::tempdir().unwrap();
    let [x509, ssl] = Scene { sha1: STRIKE, ..Scene::default() }.zeek();
    // Zeek gives the certificate's row the time of the file's.
    let ssl = ssl.replace("\"ts\":1760000000.0", "\"ts\":1760000000.5");
    assert!(ssl.contains("1760000000.5") && x509.contains("1760000000.5"), "{ssl}");
    let pair = json!({"ts": 1_760_000_000.5, "fuid": "F1", "uid": "C1", "id.orig_h": "10.0.0.1", "id.orig_p": 50000,
        "id.resp_h": "192.0.2.1", "id.resp_p": 443, "source": "SSL", "analyzers": ["SHA1", "SHA256", "X509"],
        "mime_type": "application/x-x509-user-cert", "sha1": STRIKE, "sha256": FINGERPRINT});
    let list = format!("# Listingdate,SHA1,Listingreason\n2017-04-04 10:00:00,{STRIKE},AKBuilder C&C\n");
    let files = [("sslbl.csv", list), ("x509.log", x509 + "\n"), ("files.log", format!("{pair}\n"))];
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    std::fs::write(folder.path().join("certsift.toml"), "[knowledge]\nfeeds = [\"sslbl.csv\"]\n").unwrap();
    // One session before its certificate, as the handshake is, and one with it.
    let before = ssl.replace("1760000000.5", "1760000000.4").replace("\"C1\"", "\"C2\"");
    std::fs::write(folder.path().join("ssl.log"), format!("{before}\n{ssl}\n")).unwrap();
    let judged = run(folder.path(), &["x509.log", "ssl.log", "files.log"]);
    let verdicts: Vec<_> = judged.iter().map(|record| record["certsift"]["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["critical"; 3], "{judged:#?}");
}
