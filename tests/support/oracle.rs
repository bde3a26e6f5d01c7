//! What an output has to hold, whatever happened while it was written.
//!
//! certsift may be killed and its inputs rotated at any time; the records then leave in some order. [`assert_each_once`]
//! says that they are the ones that were written, and [`assert_history`] that what is counted is what one uninterrupted
//! pass over them *in that order* counts: a record that never went into the history, or before its turn, shows on the
//! next objects with its issuer, its certificate or its name. (Twice is once to a set of observers.) The same pass says
//! which alerts repeat one: an alert that was forgotten, or noted before its turn, shows on the next one like it.
//!
//! The pass is told with plain sets, and shares nothing with the program but the list of public suffixes. It holds for
//! `detail = "full"`, records that lie within one window of history and behind the clock when they are judged (times that
//! hardly go back do), and no `network.shared`.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use certsift::knowledge::suffix::registrable_domain;
use serde_json::{Value, json};

use super::name_of;

/// Distinct observers beyond this number are not told apart.
const MOST: usize = 32;

/// Fails unless the records are those that were written, by their uid, fingerprint or flow id, each of them once, and
/// with an id of its own.
pub(crate) fn assert_each_once<S: AsRef<str>>(records: &[Value], written: impl IntoIterator<Item = S>) {
    let mut left: HashMap<String, i64> = HashMap::new();
    for name in written {
        *left.entry(name.as_ref().to_owned()).or_default() += 1;
    }
    let mut ids = HashMap::new();
    let mut same_id = Vec::new();
    for record in records {
        *left.entry(name_of(record)).or_default() -= 1;
        // What passes through has no id.
        let id = record["certsift"]["id"].as_str();
        if let Some(other) = id.and_then(|id| ids.insert(id, name_of(record))) {
            same_id.push(format!("{other} and {}", name_of(record)));
        }
    }
    let names = |wanted: fn(i64) -> bool| {
        let mut names: Vec<_> = left.iter().filter(|(_, left)| wanted(**left)).map(|(name, _)| name.clone()).collect();
        names.sort();
        names
    };
    let (missing, surplus) = (names(|left| left > 0), names(|left| left < 0));
    assert!(
        missing.is_empty() && surplus.is_empty() && same_id.is_empty(),
        "of {} records: missing {}; written twice or from nowhere {}; with the same id {}",
        records.len(),
        some_of(&missing),
        some_of(&surplus),
        some_of(&same_id),
    );
}

/// Fails unless every object states what one pass over the records, in their order, has seen by then.
pub(crate) fn assert_history(records: &[Value]) {
    assert_repeats(records);
    let mut pass = Pass::default();
    for (index, record) in records.iter().enumerate() {
        let object = &record["certsift"];
        // Neither certificates by themselves nor what passes through counts, and an alert repeats its flow.
        let counts = match object["log"].as_str() {
            None | Some("zeek.x509") => continue,
            Some("suricata.alert") => false,
            Some(_) => true,
        };
        let session = Session::of(record);
        if counts {
            pass.count(&session);
        }
        let (found, expected) = (stated(object), pass.expected(&session));
        assert!(
            found == expected,
            "record {index}, {}, does not state what one pass over the output has seen by then\n   states {found}\n     pass {expected}\n{record}",
            name_of(record)
        );
    }
}

/// Fails unless every alert says whether one like it was raised within the day before.
pub(crate) fn assert_repeats(records: &[Value]) {
    let mut alerts = Alerts::default();
    for (index, record) in records.iter().enumerate() {
        alerts.check(index, record);
    }
}

/// What a session shows to the history, read from its line and from what its object says of the certificate.
struct Session {
    /// It stays inside.
    internal: bool,
    micros: i64,
    client: Option<String>,
    server: Option<String>,
    domain: Option<String>,
    certificate: Option<Certificate>,
}

struct Certificate {
    key: String,
    /// `None` where the certificate is its own issuer, or its issuer is unknown.
    issuer: Option<String>,
    recalled: bool,
}

/// What was seen so far.
#[derive(Default)]
struct Pass {
    issuers: HashMap<String, Issuer>,
    certificates: HashMap<String, (i64, HashSet<String>)>,
    names: HashMap<String, i64>,
}

struct Issuer {
    first_seen: i64,
    last_seen: i64,
    clients: HashSet<String>,
    internal_clients: HashSet<String>,
    domains: HashSet<String>,
    servers: HashSet<String>,
    certificates: HashSet<String>,
}

/// Which alerts were raised so far.
#[derive(Default)]
struct Alerts {
    clock: i64,
    /// By key: when it was raised last, and what by.
    raised: HashMap<String, (i64, String)>,
}

impl Alerts {
    const DAY: i64 = 24 * 3600 * 1_000_000;
    /// How far the clock of the judgement may be from that of the output, since sessions wait.
    const DOUBT: i64 = 10 * 1_000_000;

    fn check(&mut self, index: usize, record: &Value) {
        let object = &record["certsift"];
        if object["log"].is_string() {
            self.clock = self.clock.max(time_of(record));
        }
        let alerts = matches!(object["verdict"].as_str(), Some("low" | "medium" | "high" | "critical"))
            && object["log"] != "zeek.x509";
        let (key, repeat) = (object["alert_key"].as_str(), object["repeat"].as_bool());
        assert_eq!((key.is_some(), repeat.is_some()), (alerts, alerts), "record {index} is an alert or not: {record}");
        let (Some(key), Some(repeat)) = (key, repeat) else { return };
        let by = Self::made_of(record);
        let before = self.raised.insert(key.to_owned(), (self.clock, by.clone()));
        let Some((last, same)) = before else {
            assert!(!repeat, "record {index} repeats an alert that was never raised: {record}");
            return;
        };
        assert_eq!(by, same, "record {index} has the key of another alert: {record}");
        let pause = self.clock - last;
        if (pause - Self::DAY).abs() > Self::DOUBT {
            assert_eq!(repeat, pause < Self::DAY, "record {index}, raised {pause} µs ago: {record}");
        }
    }

    /// What a key stands for, as far as every record shows it in one form.
    fn made_of(record: &Value) -> String {
        let address = |keys: [&str; 2]| {
            let text = keys.iter().find_map(|key| record[*key].as_str());
            text.map(|text| text.parse::<IpAddr>().unwrap().to_canonical())
        };
        let findings = record["certsift"]["findings"].as_array().into_iter().flatten();
        let mut findings: Vec<_> = findings
            .filter(|finding| finding["weight"] != 0.0 && finding["group"] != "context")
            .map(|finding| finding["id"].as_str().unwrap())
            .collect();
        findings.sort_unstable();
        findings.dedup();
        // An alert of Suricata may come from the server.
        let mut ends = [address(["id.orig_h", "src_ip"]), address(["id.resp_h", "dest_ip"])];
        ends.sort();
        format!("{ends:?} {findings:?} {:?}", record["certsift"]["tools"])
    }
}

impl Session {
    fn of(record: &Value) -> Self {
        let one_of = |keys: [&str; 2]| keys.iter().find_map(|key| record[*key].as_str());
        let address = |text: &str| text.parse::<IpAddr>().unwrap().to_canonical();
        let name = record["server_name"].as_str().or_else(|| record["tls"]["sni"].as_str());
        let name = name.or_else(|| record["quic"]["sni"].as_str()).map(str::to_lowercase);
        let direction = &record["certsift"]["direction"];
        // Who is outside is nobody's client, and asks for any name.
        let outside = direction == "inbound" || direction == "transit";
        Self {
            internal: direction == "internal",
            micros: time_of(record),
            client: one_of(["id.orig_h", "src_ip"]).filter(|_| !outside).map(|text| client_of(address(text))),
            server: one_of(["id.resp_h", "dest_ip"]).map(|text| address(text).to_string()),
            domain: name.filter(|_| !outside).map(|name| registrable_domain(&name).unwrap_or(&name).to_owned()),
            certificate: Certificate::of(&record["certsift"]["certificate"]),
        }
    }
}

impl Certificate {
    fn of(object: &Value) -> Option<Self> {
        let recalled = match object["state"].as_str().unwrap() {
            "absent" => return None,
            state => state == "recalled",
        };
        let hash = ["sha256", "sha1"].iter().find_map(|hash| object[*hash].as_str().map(str::to_owned));
        let facts = ["serial", "subject", "issuer", "not_before", "not_after"].map(|key| object[key].to_string());
        let own_issuer = matches!(object["self_signed"].as_str(), Some("verified" | "same_name"));
        // Sensors print one name in different orders, and spell it in different cases.
        let issuer = object["issuer"].as_object().filter(|_| !own_issuer).map(|issuer| {
            let attributes = issuer.iter().filter(|(key, _)| *key != "dn");
            attributes.map(|(key, values)| format!("{key}={values};")).collect::<String>().to_lowercase()
        });
        Some(Self { key: hash.unwrap_or_else(|| facts.concat()), issuer, recalled })
    }
}

impl Pass {
    fn count(&mut self, session: &Session) {
        let at = session.micros;
        if let Some(domain) = &session.domain {
            // The first session is the earliest, in whichever order they come.
            let first = self.names.entry(domain.clone()).or_insert(at);
            *first = at.min(*first);
        }
        let Some(certificate) = &session.certificate else { return };
        if let Some(name) = &certificate.issuer {
            let known = self.issuers.contains_key(name);
            // What is only recalled is never seen for the first time.
            if known || !certificate.recalled {
                self.issuers.entry(name.clone()).or_insert_with(|| Issuer::first_seen(at)).count(session, certificate);
            }
        }
        if self.certificates.contains_key(&certificate.key) || !certificate.recalled {
            let (first, clients) = self.certificates.entry(certificate.key.clone()).or_insert((at, HashSet::new()));
            if !certificate.recalled {
                *first = at.min(*first);
            }
            clients.extend(session.client.clone());
        }
    }

    /// What the object of a session has to state now, in the form of [`stated`].
    fn expected(&self, session: &Session) -> Value {
        let certificate = session.certificate.as_ref();
        let issuer = certificate.and_then(|certificate| self.issuers.get(certificate.issuer.as_ref()?));
        let seen = certificate.and_then(|certificate| self.certificates.get(&certificate.key));
        let number = |set: &HashSet<String>| set.len().min(MOST);
        json!({
            "clients": issuer.map(|issuer| number(&issuer.clients)),
            "internal_clients": issuer.filter(|_| session.internal).map(|issuer| number(&issuer.internal_clients)),
            "domains": issuer.map(|issuer| number(&issuer.domains)),
            "servers": issuer.map(|issuer| number(&issuer.servers)),
            "certificates": issuer.map(|issuer| number(&issuer.certificates)),
            "first_seen": issuer.map(|issuer| issuer.first_seen),
            "last_seen": issuer.map(|issuer| issuer.last_seen),
            "certificate_first_seen": seen.map(|(first, _)| *first),
            "certificate_clients": seen.map(|(_, clients)| number(clients)),
            "name_first_seen": session.domain.as_ref().and_then(|domain| self.names.get(domain)),
        })
    }
}

impl Issuer {
    fn first_seen(at: i64) -> Self {
        let none = HashSet::new;
        let (clients, internal_clients, domains, servers, certificates) = (none(), none(), none(), none(), none());
        Self { first_seen: at, last_seen: at, clients, internal_clients, domains, servers, certificates }
    }

    fn count(&mut self, session: &Session, certificate: &Certificate) {
        self.last_seen = self.last_seen.max(session.micros);
        if !certificate.recalled {
            self.first_seen = self.first_seen.min(session.micros);
        }
        let clients = if session.internal { &mut self.internal_clients } else { &mut self.clients };
        clients.extend(session.client.clone());
        self.domains.extend(session.domain.clone());
        self.servers.extend(session.server.clone());
        self.certificates.insert(certificate.key.clone());
    }
}

/// What an object states, null where it says nothing.
pub(crate) fn stated(object: &Value) -> Value {
    let (issuer, history) = (&object["issuer_history"], &object["history"]);
    let time = |value: &Value| value.as_str().map(micros);
    json!({
        "clients": issuer["clients"],
        "internal_clients": issuer["internal_clients"],
        "domains": issuer["domains"],
        "servers": issuer["servers"],
        "certificates": issuer["certificates"],
        "first_seen": time(&issuer["first_seen"]),
        "last_seen": time(&issuer["last_seen"]),
        "certificate_first_seen": time(&history["certificate_first_seen"]),
        "certificate_clients": history["certificate_clients"],
        "name_first_seen": time(&history["name_first_seen"]),
    })
}

/// The record's own time in microseconds, which a number of seconds is exact to.
fn time_of(record: &Value) -> i64 {
    match (&record["ts"], &record["timestamp"]) {
        (Value::Number(seconds), _) => (seconds.as_f64().unwrap() * 1e6).round() as i64,
        (Value::String(text), _) | (_, Value::String(text)) => micros(text),
        _ => panic!("a record without a time: {record}"),
    }
}

fn micros(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().unwrap_or_else(|error| panic!("{text}: {error}")).as_microsecond()
}

/// A client as it is counted: hosts choose the second half of an IPv6 address at will.
fn client_of(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("{:?}", &address.segments()[..4]),
    }
}

fn some_of(names: &[String]) -> String {
    format!("{} {:?}", names.len(), &names[..names.len().min(10)])
}
