//! What the client shows: its certificate, from both sensors.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails, and says so")]

mod support;

use serde_json::{Value, json};
use support::{assert_valid, certsift, records};

/// Of the client's certificate, by SHA-256 and SHA-1.
const CLIENT: &str = "7812c001f7cda45a7c745a0e692d874c4f0319b2fd1bd49f2d199e0e7b0c1b3c";
const SERVER: &str = "64bb413ceb8f5152fc9c3dd9a6d882cb8e9a097ac46ff61aad4cf66e26f12433";
const CLIENT_SHA1: &str = "1c1a4f0a5b6c7d8e9fa0b1c2d3e4f5061728394a";
const SERVER_SHA1: &str = "0c1a4f0a5b6c7d8e9fa0b1c2d3e4f5061728394a";

/// The validity of the server's certificate, in seconds: 90 days that began in September 2025.
const LATELY: (i64, i64) = (1_756_684_800, 1_764_460_800);

/// A certificate of a client: serial, subject, issuer, end of validity in seconds.
struct Client {
    serial: &'static str,
    subject: &'static str,
    issuer: &'static str,
    not_after: i64,
    server: &'static str,
    /// It is the server's.
    same: bool,
    /// Seconds after the session at which Zeek logs the server's certificate, and the client's.
    late: (f64, f64),
}

impl Default for Client {
    fn default() -> Self {
        let (subject, issuer) = ("CN=user", "CN=Some CA");
        let (server, not_after) = ("198.51.100.7", 1_800_000_000);
        Self { serial: "0A", subject, issuer, not_after, server, same: false, late: (0.0, 0.0) }
    }
}

impl Client {
    /// What certsift says of the session, from Zeek's logs and from Suricata's.
    #[track_caller]
    fn judge(&self, feed: &str) -> [Value; 2] {
        self.judge_with(feed, "")
    }

    /// The same with exceptions.
    #[track_caller]
    fn judge_with(&self, feed: &str, allow: &str) -> [Value; 2] {
        let folder = tempfile::tempdir().unwrap();
        let (server_at, client_at) = self.late;
        std::fs::write(folder.path().join("feed.csv"), format!("# a list\n{feed}\n")).unwrap();
        let mut config = "[knowledge]\n".to_owned();
        if !feed.is_empty() {
            config += "feeds = [\"feed.csv\"]\n";
        }
        if !allow.is_empty() {
            std::fs::write(folder.path().join("allow.csv"), format!("{allow}\n")).unwrap();
            config += "allow = \"allow.csv\"\n";
        }
        std::fs::write(folder.path().join("certsift.toml"), config).unwrap();
        let x509 =
            |fingerprint: &str, serial: &str, subject: &str, issuer: &str, validity: (i64, i64), client: bool| {
                let names = if client { vec![] } else { vec!["www.fine.example"] };
                let at = if client { client_at } else { server_at };
                json!({"ts": 1_760_000_000.5 + at, "fingerprint": fingerprint, "certificate.version": 3,
                "certificate.serial": serial, "certificate.subject": subject, "certificate.issuer": issuer,
                "certificate.not_valid_before": validity.0 as f64, "certificate.not_valid_after": validity.1 as f64,
                "san.dns": names, "host_cert": true, "client_cert": client})
            };
        let (server, server_sha1) = if self.same { (CLIENT, CLIENT_SHA1) } else { (SERVER, SERVER_SHA1) };
        let ssl = json!({"ts": 1_760_000_000.6, "uid": "C1", "id.orig_h": "10.0.0.1", "id.orig_p": 50000,
            "id.resp_h": self.server, "id.resp_p": 443, "version": "TLSv12", "server_name": "www.fine.example",
            "resumed": false, "established": true, "cert_chain_fps": [server], "client_cert_chain_fps": [CLIENT]});
        let mut certificates = [
            x509(CLIENT, self.serial, self.subject, self.issuer, (1_500_000_000, self.not_after), true),
            x509(SERVER, "0B", "CN=www.fine.example", "CN=R10,O=Let's Encrypt,C=US", LATELY, false),
        ];
        certificates.sort_by(|a, b| a["ts"].as_f64().unwrap().total_cmp(&b["ts"].as_f64().unwrap()));
        let lines = certificates.map(|line| format!("{line}\n")).concat();
        std::fs::write(folder.path().join("x509.log"), lines).unwrap();
        std::fs::write(folder.path().join("ssl.log"), format!("{ssl}\n")).unwrap();
        let colons = |hash: &str| {
            let pairs: Vec<_> = hash.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap()).collect();
            pairs.join(":")
        };
        let until = jiff::Timestamp::from_second(self.not_after).unwrap().strftime("%Y-%m-%dT%H:%M:%S").to_string();
        let event = json!({"timestamp": "2025-10-09T08:53:20.600000+0000", "flow_id": 1, "event_type": "tls",
            "src_ip": "10.0.0.1", "src_port": 50000, "dest_ip": self.server, "dest_port": 443,
            "tls": {"subject": "CN=www.fine.example", "issuerdn": "C=US, O=Let's Encrypt, CN=R10", "serial": "0B",
                "fingerprint": colons(server_sha1), "sni": "www.fine.example", "version": "TLS 1.2",
                "client": {"subject": self.subject, "issuerdn": self.issuer, "serial": self.serial,
                    "fingerprint": colons(CLIENT_SHA1), "notbefore": "2017-07-14T02:40:00", "notafter": until}}});
        std::fs::write(folder.path().join("eve.json"), format!("{event}\n")).unwrap();
        [&["x509.log", "ssl.log"][..], &["eve.json"]].map(|files| {
            let output = certsift(folder.path(), &[&["replay", "--config", "certsift.toml"], files].concat());
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let records = records(&output.stdout);
            assert_valid(&records);
            records.into_iter().rfind(|record| record["certsift"]["log"] != "zeek.x509").unwrap()["certsift"].take()
        })
    }
}

fn found(object: &Value) -> Vec<&Value> {
    let findings = object["findings"].as_array().into_iter().flatten();
    findings.filter(|finding| finding["id"] == "client_certificate").collect()
}

#[test]
fn a_signature_that_fires_on_the_client_says_which_side_it_is() {
    for object in (Client { serial: "08BB00EE", ..Client::default() }).judge("") {
        let findings = found(&object);
        assert_eq!((object["verdict"].as_str(), findings.len()), (Some("critical"), 1), "{object}");
        assert_eq!(findings[0]["field"], "client_certificate.serial");
        assert_eq!(findings[0]["evidence"], "cobalt-strike-default-serial");
        assert_eq!(object["signatures"][0]["side"], "client");
        assert_eq!(object["tools"], json!(["Cobalt Strike"]));
        assert!(object["alert_key"].is_string(), "{object}");
    }
}

#[test]
fn a_feed_that_lists_the_client_says_which_side_it_is() {
    for (index, hash) in [CLIENT, CLIENT_SHA1].iter().enumerate() {
        let object = &Client::default().judge(hash)[index];
        assert_eq!(object["verdict"], "critical", "{object}");
        assert_eq!(object["feeds"][0]["side"], "client", "{object}");
        assert!(found(object)[0]["field"].as_str().unwrap().starts_with("client_certificate.sha"), "{object}");
    }
}

#[test]
fn names_in_it_are_not_looked_up() {
    for object in (Client { subject: "CN=bad.example.org", ..Client::default() }).judge("bad.example.org") {
        assert!(found(&object).is_empty() && object.get("feeds").is_none(), "{object}");
    }
}

#[test]
fn a_self_signed_one_counts_on_the_way_out_only() {
    let client = |server| Client { subject: "CN=user", issuer: "CN=user", server, ..Client::default() };
    for object in client("198.51.100.7").judge("") {
        assert_eq!((found(&object).len(), object["verdict"].as_str()), (1, Some("info")), "{object}");
        assert_eq!(found(&object)[0]["field"], "client_certificate.issuer");
    }
    for object in client("10.0.0.2").judge("") {
        assert!(found(&object).is_empty(), "{object}");
    }
}

#[test]
fn it_is_waited_for_as_the_servers_is() {
    for late in [(0.0, 0.2), (0.2, 0.0), (0.2, 0.3), (0.3, 0.2), (0.3, 4.0)] {
        let [zeek, _] = Client { serial: "08BB00EE", late, ..Client::default() }.judge("");
        assert_eq!(
            (&zeek["verdict"], &zeek["certificate"]["state"]),
            (&json!("critical"), &json!("presented")),
            "{late:?}"
        );
    }
    // Five seconds after the session nobody waits any more.
    let [zeek, _] = Client { serial: "08BB00EE", late: (0.3, 6.0), ..Client::default() }.judge("");
    assert_eq!((&zeek["verdict"], &zeek["certificate"]["state"]), (&json!("info"), &json!("presented")));
    assert_eq!(zeek.get("client_certificate"), None, "{zeek}");
}

#[test]
fn the_servers_own_certificate_shown_by_the_client_is_low() {
    let outside = Client { subject: "CN=www.fine.example", same: true, ..Client::default() };
    for object in outside.judge("") {
        assert_eq!((found(&object).len(), object["verdict"].as_str()), (1, Some("low")), "{object}");
        assert_eq!(found(&object)[0]["note"], "client and server show the same certificate");
    }
}

#[test]
fn the_name_of_a_role_is_low_and_an_old_certificate_explains() {
    for object in (Client { issuer: "CN=operators", ..Client::default() }).judge("") {
        assert_eq!((found(&object).len(), object["verdict"].as_str()), (1, Some("low")), "{object}");
        assert_eq!(found(&object)[0]["observed"], "operators");
    }
    for object in (Client { not_after: 1_600_000_000, ..Client::default() }).judge("") {
        assert_eq!((found(&object).len(), object["verdict"].as_str()), (1, Some("info")), "{object}");
        assert_eq!(found(&object)[0]["weight"], 0.0);
    }
}

#[test]
fn an_ordinary_one_is_nothing_to_speak_of() {
    for object in Client::default().judge("") {
        assert_eq!(object.get("findings"), None, "{object}");
    }
}

#[test]
fn an_exception_for_a_listed_one_makes_the_listing_explain() {
    for (index, (kind, hash)) in [("sha256", CLIENT), ("sha1", CLIENT_SHA1)].into_iter().enumerate() {
        let object = &Client::default().judge_with(hash, &format!("{kind},{hash},our scanner"))[index];
        assert_eq!(
            (object["verdict"].as_str(), found(object)[0]["weight"].as_f64()),
            (Some("info"), Some(0.0)),
            "{object}"
        );
        let reasons: Vec<_> = object["findings"].as_array().unwrap().iter().map(|finding| &finding["note"]).collect();
        assert!(reasons.iter().any(|note| note.as_str().unwrap().ends_with("our scanner")), "{reasons:?}");
        // That its issuer or the server are known says nothing of a certificate that is listed.
        let server = if index == 0 { SERVER } else { SERVER_SHA1 };
        for other in [
            "issuer,CN=Some CA,ours".to_owned(),
            format!("{kind},{server},ours"),
            "domain,fine.example,ours".to_owned(),
        ] {
            let object = &Client::default().judge_with(hash, &other)[index];
            assert_eq!(object["verdict"], "critical", "{other}: {object}");
        }
    }
}

#[test]
fn an_exception_for_the_client_holds_for_what_is_found_on_it_only() {
    let client = Client { issuer: "CN=operators", ..Client::default() };
    for object in client.judge_with("", "issuer,CN=operators,our own tool") {
        assert_eq!(
            (object["verdict"].as_str(), found(&object)[0]["weight"].as_f64()),
            (Some("info"), Some(0.025)),
            "{object}"
        );
    }
    // The signature on the client is excepted by its id, and the server's certificate is listed all the same.
    let client = Client { serial: "08BB00EE", ..Client::default() };
    for object in client.judge_with("", "signature,cobalt-strike-default-serial,a test of ours") {
        assert_eq!(object["verdict"], "info", "{object}");
    }
    let allow = format!("sha256,{CLIENT},ours\nsha1,{CLIENT_SHA1},ours");
    for (index, server) in [SERVER, SERVER_SHA1].into_iter().enumerate() {
        let object = &Client::default().judge_with(server, &allow)[index];
        assert_eq!(object["verdict"], "critical", "{object}");
    }
}
