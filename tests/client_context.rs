//! What speaks beside other findings only: the port of the server, and what the client offers.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails, and says so")]

mod support;

use std::path::Path;

use serde_json::{Value, json};
use support::{assert_valid, certsift, records};

const BEGINNING: i64 = 1_760_000_000;
const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
const JA3: &str = "b386946a5a44d1ddcc843bc75336dfce";
const JA4: &str = "t12d190800_d83cc789557e_7af1ed941c26";
const PUBLIC: &str = "CN=R10,O=Let's Encrypt,C=US";
/// Nobody has met it before the sessions that show it.
const RARE: &str = "CN=Some CA,O=Nobody Ltd";

/// A session, and how it differs from an ordinary one.
#[derive(Clone, Copy)]
struct Session {
    at: i64,
    /// Number of the certificate and of the server.
    shows: u32,
    issuer: &'static str,
    port: u16,
    ja3: &'static str,
    ja4: &'static str,
    /// TLS 1.3: the certificate is not visible.
    hidden: bool,
}

/// The last of the sessions, which is judged.
const ODD: Session = Session { at: 2 * DAY, shows: 1, issuer: RARE, port: 443, ja3: "", ja4: "", hidden: false };
/// What was there before, so that what comes is new.
const BEFORE: Session = Session { at: -DAY, shows: 9, issuer: PUBLIC, port: 443, ja3: "", ja4: "", hidden: false };

impl Session {
    fn fingerprint(self) -> String {
        format!("{:064x}", self.shows + 100 * u32::from(self.issuer == RARE))
    }

    fn x509(self) -> Value {
        let subject = if self.issuer == "self" { "CN=printer" } else { "CN=www.fine.example" };
        let issuer = if self.issuer == "self" { subject } else { self.issuer };
        json!({"ts": BEGINNING + self.at, "fingerprint": self.fingerprint(), "certificate.serial": "0A",
            "certificate.subject": subject, "certificate.issuer": issuer, "host_cert": true, "client_cert": false,
            "certificate.not_valid_before": 1_756_684_800, "certificate.not_valid_after": 1_764_460_800,
            "san.dns": ["www.fine.example"]})
    }

    fn ssl(self, uid: &str) -> Value {
        let chain = if self.hidden { vec![] } else { vec![self.fingerprint()] };
        let version = if self.hidden { "TLSv13" } else { "TLSv12" };
        let mut row = json!({"ts": BEGINNING + self.at, "uid": uid, "id.orig_h": "10.0.0.1", "id.orig_p": 50000,
            "id.resp_h": format!("198.51.100.{}", self.shows), "id.resp_p": self.port, "version": version,
            "resumed": false, "established": true, "cert_chain_fps": chain});
        for (key, value) in [("ja3", self.ja3), ("ja4", self.ja4)] {
            if !value.is_empty() {
                row[key] = json!(value);
            }
        }
        row
    }
}

/// Writes the logs of sessions, and a list of fingerprints.
fn write(folder: &Path, sessions: &[Session], listed: &str) {
    let write = |name: &str, text: String| std::fs::write(folder.join(name), text).unwrap();
    let all: Vec<_> = std::iter::once(&BEFORE).chain(sessions).collect();
    let lines = |row: &dyn Fn(usize) -> Value| (0..all.len()).map(|at| format!("{}\n", row(at))).collect::<String>();
    write("x509.log", lines(&|at| all[at].x509()));
    write("ssl.log", lines(&|at| all[at].ssl(&at.to_string())));
    write(
        "ja3.csv",
        format!(
            "# ja3_md5,Firstseen,Lastseen,Listingreason\n{listed},2017-07-14 18:08:15,2019-07-27 20:42:54,Dridex\n"
        ),
    );
    let feeds = if listed.is_empty() { "" } else { "[knowledge]\nfeeds = [\"ja3.csv\"]\n" };
    write("certsift.toml", format!("[history]\nlearning = {{ days = 0, certificates = 0, clients = 0 }}\n{feeds}"));
}

fn replay(folder: &Path, extra: &[&str], files: &[&str]) -> Vec<Value> {
    let options = ["replay", "--config", "certsift.toml", "--detail", "full"];
    let output = certsift(folder, &[&options, extra, files].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let records = records(&output.stdout);
    assert_valid(&records);
    records
}

/// What is said of the last session.
fn judged(sessions: &[Session], listed: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), sessions, listed);
    let records = replay(folder.path(), &[], &["x509.log", "ssl.log"]);
    let last = sessions.len().to_string();
    records.into_iter().find(|record| record["uid"] == last.as_str()).unwrap()["certsift"].take()
}

fn finding<'a>(object: &'a Value, id: &str) -> Option<&'a Value> {
    object["findings"].as_array().into_iter().flatten().find(|finding| finding["id"] == id)
}

#[test]
fn an_unusual_port_speaks_beside_a_rare_issuer() {
    let object = judged(&[Session { port: 50_050, ..ODD }], "");
    assert!(finding(&object, "rare_issuer").is_some(), "{object:#}");
    let found = finding(&object, "unusual_port").unwrap();
    assert_eq!(
        (&found["observed"], &found["weight"], &found["group"]),
        (&json!("50050"), &json!(0.08), &json!("context"))
    );
    assert!(found["note"].as_str().unwrap().contains("Cobalt Strike listens there"), "{found}");
    // The rest of the object is that of the twin on a usual port.
    let twin = judged(&[ODD], "");
    assert_eq!(finding(&twin, "unusual_port"), None);
    assert_eq!((&object["verdict"], &twin["verdict"]), (&json!("low"), &json!("info")));
}

#[test]
fn an_unusual_port_is_nothing_by_itself() {
    for issuer in [PUBLIC, "self"] {
        let object = judged(&[Session { port: 50_050, issuer, ..ODD }], "");
        assert_eq!(finding(&object, "unusual_port"), None, "{object:#}");
    }
}

#[test]
fn a_listed_ja3_explains_beside_other_findings() {
    let object = judged(&[Session { ja3: JA3, ja4: JA4, ..ODD }], JA3);
    let found = finding(&object, "client_fingerprint").unwrap();
    assert_eq!((&found["field"], &found["observed"], &found["weight"]), (&json!("ja3"), &json!(JA3), &json!(0.0)));
    assert_eq!(found["evidence"], "ja3 row 2");
    assert!(found["note"].as_str().unwrap().contains("as Dridex"), "{found}");
    assert_eq!(object["verdict"], judged(&[ODD], "")["verdict"]);
}

#[test]
fn a_listed_ja3_is_nothing_by_itself_and_another_one_is_nothing_at_all() {
    let alone = judged(&[Session { ja3: JA3, issuer: PUBLIC, ..ODD }], JA3);
    assert_eq!(finding(&alone, "client_fingerprint"), None, "{alone:#}");
    let other = judged(&[Session { ja3: "b386946a5a44d1ddcc843bc75336dfcf", ..ODD }], JA3);
    assert_eq!(finding(&other, "client_fingerprint"), None, "{other:#}");
    let unlogged = judged(&[ODD], JA3);
    let codes = unlogged["not_evaluated"].as_array().unwrap();
    assert!(codes.contains(&json!("client_fingerprint:not_logged")), "{unlogged:#}");
}

#[test]
fn a_client_that_goes_with_one_certificate_only_is_said_beside_other_findings() {
    let first = Session { at: 0, ja3: JA3, ja4: JA4, ..ODD };
    let object = judged(&[first, Session { at: DAY, ..first }], "");
    let found = finding(&object, "client_fingerprint").unwrap();
    assert_eq!((&found["field"], &found["observed"], &found["weight"]), (&json!("ja4"), &json!(JA4), &json!(0.0)));
    assert!(found["note"].as_str().unwrap().contains("since 2025-10-09T08:53:20Z, of one client"), "{found}");
    // Where there is no JA4, by its JA3.
    let first = Session { ja4: "", ..first };
    let object = judged(&[first, Session { at: DAY, ..first }], "");
    assert_eq!(finding(&object, "client_fingerprint").unwrap()["observed"], JA3);
}

#[test]
fn a_client_that_goes_elsewhere_too_or_is_new_is_not() {
    let first = Session { at: 0, ja4: JA4, ..ODD };
    let last = Session { at: DAY, ..first };
    let quiet = [
        // Another certificate, one that nobody could see, a client that is hours old, and a certificate that is not odd.
        vec![first, Session { at: HOUR, shows: 2, ..first }, last],
        vec![first, Session { at: HOUR, shows: 2, hidden: true, ..first }, last],
        vec![first, Session { at: 23 * HOUR, ..first }],
        vec![Session { issuer: PUBLIC, ..first }, Session { issuer: PUBLIC, ..last }],
        // What Suricata writes of a client that it has not seen.
        vec![
            Session { ja4: "t00i000000_000000000000_000000000000", ..first },
            Session { ja4: "t00i000000_000000000000_000000000000", ..last },
        ],
    ];
    for sessions in quiet {
        let object = judged(&sessions, "");
        assert_eq!(finding(&object, "client_fingerprint"), None, "{object:#}");
    }
}

#[test]
fn suricata_tells_the_same() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[], JA3);
    let event = |day: u32, ja3: Value| {
        json!({"timestamp": format!("2025-10-{day:02}T08:53:20.000000+0000"), "flow_id": day, "event_type": "tls",
            "src_ip": "10.0.0.1", "src_port": 50000, "dest_ip": "198.51.100.7", "dest_port": 4444, "proto": "TCP",
            "tls": {"subject": "CN=a", "issuerdn": "O=Nobody Ltd, CN=Some CA", "serial": "0A", "version": "TLS 1.2",
                "fingerprint": "0c:1a:4f:0a:5b:6c:7d:8e:9f:a0:b1:c2:d3:e4:f5:06:17:28:39:4a", "ja3": ja3}})
    };
    let public = event(9, json!({}))
        .to_string()
        .replace("O=Nobody Ltd, CN=Some CA", "O=Let's Encrypt, CN=R10")
        .replace("0c:1a", "1c:1a");
    let ja3 = json!({"hash": JA3, "string": "771,49200"});
    let lines = [public, event(10, ja3.clone()).to_string(), event(11, ja3).to_string()];
    std::fs::write(folder.path().join("eve.json"), lines.map(|line| line + "\n").concat()).unwrap();
    let records = replay(folder.path(), &[], &["eve.json"]);
    let ids = |at: usize| records[at]["certsift"]["finding_ids"].clone();
    assert_eq!(ids(1), json!(["rare_issuer", "first_seen_certificate", "unusual_port", "client_fingerprint"]));
    let findings = records[2]["certsift"]["findings"].as_array().unwrap();
    let notes: Vec<_> = findings.iter().filter(|it| it["id"] == "client_fingerprint").map(|it| &it["note"]).collect();
    assert_eq!(notes.len(), 2, "{notes:?}");
}

#[test]
fn what_clients_offer_outlives_a_restart_and_can_be_seen_and_merged() {
    let folder = tempfile::tempdir().unwrap();
    let first = Session { at: 0, ja4: JA4, ..ODD };
    write(folder.path(), &[first, Session { at: DAY, ..first }], "");
    let lines = |from: usize, to: usize| {
        let text = std::fs::read_to_string(folder.path().join("ssl.log")).unwrap();
        let lines: Vec<_> = text.lines().skip(from).take(to - from).map(|line| format!("{line}\n")).collect();
        std::fs::write(folder.path().join(format!("ssl-{from}.log")), lines.concat()).unwrap();
    };
    lines(0, 2);
    lines(2, 3);
    replay(folder.path(), &["--state", "state"], &["x509.log", "ssl-0.log"]);
    let records = replay(folder.path(), &["--state", "state"], &["ssl-2.log"]);
    assert!(finding(&records[0]["certsift"], "client_fingerprint").is_some(), "{:#}", records[0]);
    let shown = |state: &str| {
        let output = certsift(folder.path(), &["state", "show", "fingerprints", "--json", "--state", state]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        support::records(&output.stdout)
    };
    let known = shown("state");
    assert_eq!((known.len(), &known[0]["label"]), (1, &json!(JA4)));
    assert_eq!(known[0]["counts"], json!({"certificates": 1, "clients": 1, "hidden_servers": 0}));
    let output = certsift(folder.path(), &["state", "merge", "state", "state", "--into", "both"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(shown("both"), known);
    let output = certsift(folder.path(), &["state", "export", "--state", "both"]);
    let exported = support::records(&output.stdout);
    assert_eq!(exported.iter().filter(|it| it["kind"] == "fingerprint" && it["label"] == JA4).count(), 1);
}
