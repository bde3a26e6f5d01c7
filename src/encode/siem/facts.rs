//! What a line says, in one form for both sensors.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::members::Members;
use super::tree::{Node, Tree};
use crate::model::{Address, Body, CertificateRecord, EventTime, Log, Record, Session};

/// What a line says, and what else it holds.
#[derive(Debug, Default)]
pub(super) struct Facts<'a> {
    /// The sensor's id of the connection: Zeek's `uid`, Suricata's `flow_id`.
    pub(super) connection: Option<Cow<'a, str>>,
    pub(super) community_id: Option<Cow<'a, str>>,
    /// When the sensor wrote the record.
    pub(super) written: Option<EventTime>,
    /// What the session speaks: `tls` or `quic`.
    pub(super) protocol: Option<&'static str>,
    pub(super) transport: Option<Transport>,
    pub(super) client: Endpoint,
    pub(super) server: Endpoint,
    pub(super) version: Option<Version>,
    pub(super) cipher: Option<Cow<'a, str>>,
    pub(super) curve: Option<Cow<'a, str>>,
    pub(super) server_name: Option<Cow<'a, str>>,
    pub(super) next_protocol: Option<Cow<'a, str>>,
    pub(super) established: Option<bool>,
    pub(super) resumed: Option<bool>,
    pub(super) last_alert: Option<Cow<'a, str>>,
    pub(super) validation_status: Option<Cow<'a, str>>,
    pub(super) ja3: Option<Cow<'a, str>>,
    pub(super) ja3s: Option<Cow<'a, str>>,
    pub(super) ja4: Option<Cow<'a, str>>,
    pub(super) ja4s: Option<Cow<'a, str>>,
    /// The public exponent of an RSA key.
    pub(super) exponent: Option<i64>,
    pub(super) server_der: Der<'a>,
    pub(super) client_der: Der<'a>,
    /// The rule of an alert.
    pub(super) rule: Rule<'a>,
    /// What has no place elsewhere, under the sensor's name.
    pub(super) rest: Tree<'a>,
    /// The line, where it cannot be taken apart.
    pub(super) original: Option<&'a str>,
    /// What certsift says, as it is written in the line.
    pub(super) certsift: Option<&'a RawValue>,
    pub(super) said: Said<'a>,
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Endpoint {
    pub(super) ip: Option<IpAddr>,
    pub(super) port: Option<u16>,
}

/// What carries a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Transport {
    Tcp,
    Udp,
}

/// A protocol and its version, as `tls` and `1.2`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Version {
    pub(super) protocol: &'static str,
    pub(super) number: String,
}

/// A certificate and its chain, in base64.
#[derive(Debug, Default)]
pub(super) struct Der<'a> {
    pub(super) certificate: Option<Cow<'a, str>>,
    pub(super) chain: Vec<Cow<'a, str>>,
}

/// The rule that raised an alert.
#[derive(Debug, Default)]
pub(super) struct Rule<'a> {
    pub(super) id: Option<i64>,
    pub(super) name: Option<Cow<'a, str>>,
    pub(super) category: Option<Cow<'a, str>>,
}

/// What of the `certsift` object has a place of its own.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Said<'a> {
    #[serde(borrow)]
    pub(super) id: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) sensor: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) direction: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) verdict: Cow<'a, str>,
    pub(super) score: Option<i64>,
    #[serde(borrow)]
    pub(super) reason: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) techniques: Vec<Cow<'a, str>>,
}

impl<'a> Facts<'a> {
    /// Reads an enriched line; `None` where it is no object.
    pub(super) fn of(line: &'a str, record: &Record) -> Option<Self> {
        let mut members = Members::of(line)?;
        let certsift = members.take("certsift");
        let mut facts = Self {
            certsift,
            said: certsift.and_then(|object| serde_json::from_str(object.get()).ok()).unwrap_or_default(),
            ..Self::default()
        };
        let session = match &record.body {
            Body::Session(session) => Some(session),
            _ => None,
        };
        match record.log {
            Log::SuricataTls | Log::SuricataQuic | Log::SuricataAlert | Log::SuricataOther => {
                facts.read_eve(members, record, session);
            }
            _ => facts.read_zeek(members, record, session),
        }
        Some(facts)
    }

    fn read_zeek(&mut self, mut members: Members<'a>, record: &Record, session: Option<&Session>) {
        if record.time.is_some() {
            members.take("ts");
        }
        self.written = members.time("_write_ts");
        self.connection = members.text("uid");
        self.community_id = members.text("community_id");
        if let Some(session) = session {
            self.read_zeek_session(&mut members, session);
        }
        if let Body::Certificate(CertificateRecord { certificate, .. }) = &record.body {
            self.exponent = members.parsed("certificate.exponent");
            members.set_aside("certificate.exponent", "certificate.exponent_other");
            // Sites write times as they like: as numbers here, and there as text.
            for (key, time) in [
                ("certificate.not_valid_before", certificate.not_before),
                ("certificate.not_valid_after", certificate.not_after),
            ] {
                if time.is_some() {
                    members.take(key);
                }
            }
        }
        members.remain(zeek_name(record.log), &mut self.rest);
    }

    fn read_zeek_session(&mut self, members: &mut Members<'a>, session: &Session) {
        self.protocol = Some("tls");
        let mut nested = members.object("id").unwrap_or_default();
        let mut port = |flat: &'static str, inner: &'static str| members.parsed(flat).or_else(|| nested.parsed(inner));
        let (client_port, server_port) = (port("id.orig_p", "orig_p"), port("id.resp_p", "resp_p"));
        self.client = Endpoint { ip: session.client.map(Address::ip), port: client_port };
        self.server = Endpoint { ip: session.server.map(Address::ip), port: server_port };
        for (address, flat, inner) in [(session.client, "id.orig_h", "orig_h"), (session.server, "id.resp_h", "resp_h")]
        {
            if address.is_some() {
                members.take(flat);
                nested.take(inner);
            }
        }
        nested.remain("zeek.ssl.id", &mut self.rest);
        let version = members.text("version");
        self.version = version.as_deref().and_then(Version::of_zeek);
        if self.version.is_none()
            && let Some(version) = version
        {
            self.rest.put_original("zeek.ssl.version".into(), Node::Text(version));
        }
        self.cipher = members.text("cipher");
        self.curve = members.text("curve");
        self.server_name = members.text("server_name");
        self.next_protocol = members.text("next_protocol");
        // Zeek hands what QUIC carries on to its analyser of TLS, and the log does not say so.
        let is_quic = self.next_protocol.as_deref().is_some_and(is_over_quic);
        let is_datagram = is_quic || self.version.as_ref().is_some_and(|version| version.protocol == "dtls");
        self.transport = Some(if is_datagram { Transport::Udp } else { Transport::Tcp });
        self.established = members.flag("established");
        self.resumed = members.flag("resumed");
        self.last_alert = members.text("last_alert");
        self.validation_status = members.text("validation_status");
        self.ja3 = members.text("ja3");
        self.ja3s = members.text("ja3s");
        self.ja4 = members.text("ja4");
        self.ja4s = members.text("ja4s");
        for (key, name) in [
            ("last_alert", "last_alert_other"),
            ("validation_status", "validation_status_other"),
            ("curve", "curve_other"),
            ("resumed", "resumed_other"),
            ("version", "version_other"),
            ("ja4", "ja4_other"),
            ("ja4s", "ja4s_other"),
        ] {
            members.set_aside(key, name);
        }
    }

    fn read_eve(&mut self, mut members: Members<'a>, record: &Record, session: Option<&Session>) {
        if record.time.is_some() {
            members.take("timestamp");
        }
        self.connection = members.parsed::<u64>("flow_id").map(|id| Cow::Owned(id.to_string()));
        members.set_aside("flow_id", "flow_id_other");
        self.community_id = members.text("community_id");
        self.transport = match members.text("proto") {
            Some(name) if name.eq_ignore_ascii_case("tcp") => Some(Transport::Tcp),
            Some(name) if name.eq_ignore_ascii_case("udp") => Some(Transport::Udp),
            Some(name) => {
                self.rest.put_original("suricata.eve.proto".into(), Node::Text(name));
                None
            }
            None => None,
        };
        let source = endpoint(&mut members, "src_ip", "src_port");
        let destination = endpoint(&mut members, "dest_ip", "dest_port");
        // In an alert, the source is whoever sent the packet.
        let client = session.and_then(|session| session.client).map(Address::ip);
        let reversed = client.is_some() && client == destination.ip && client != source.ip;
        (self.client, self.server) = if reversed { (destination, source) } else { (source, destination) };
        if record.log == Log::SuricataAlert
            && let Some(mut alert) = members.object("alert")
        {
            self.rule = Rule {
                id: alert.parsed("signature_id"),
                name: alert.text("signature"),
                category: alert.text("category"),
            };
            for (key, name) in [
                ("signature_id", "signature_id_other"),
                ("signature", "signature_other"),
                ("category", "category_other"),
            ] {
                alert.set_aside(key, name);
            }
            alert.remain("suricata.eve.alert", &mut self.rest);
        }
        for (key, within) in [("tls", "suricata.eve.tls"), ("quic", "suricata.eve.quic")] {
            if session.is_some()
                && let Some(object) = members.object(key)
            {
                self.read_eve_tls(object, within, key == "quic");
            }
        }
        members.remain("suricata.eve", &mut self.rest);
    }

    fn read_eve_tls(&mut self, mut tls: Members<'a>, within: &'a str, is_quic: bool) {
        self.protocol = Some(if is_quic { "quic" } else { "tls" });
        self.server_name = tls.text("sni");
        let version = tls.text("version");
        self.version = version.as_deref().filter(|_| !is_quic).and_then(Version::of_suricata);
        if self.version.is_none()
            && let Some(version) = version
        {
            self.rest.put_original(
                if is_quic { "suricata.eve.quic.version" } else { "suricata.eve.tls.version" }.into(),
                Node::Text(version),
            );
        }
        self.resumed = tls.flag("session_resumed");
        tls.set_aside("session_resumed", "session_resumed_other");
        self.server_der = der(&mut tls);
        // What the server chose; the names that the client offered remain.
        self.next_protocol = tls.only_text("server_alpns");
        if let Some(mut client) = tls.object("client") {
            self.client_der = der(&mut client);
            client.remain("suricata.eve.tls.client", &mut self.rest);
        }
        self.ja4 = tls.text("ja4");
        let (ja3, ja3s) = if is_quic {
            ("suricata.eve.quic.ja3", "suricata.eve.quic.ja3s")
        } else {
            ("suricata.eve.tls.ja3", "suricata.eve.tls.ja3s")
        };
        for (key, slot, within) in [("ja3", &mut self.ja3, ja3), ("ja3s", &mut self.ja3s, ja3s)] {
            if let Some(mut fingerprint) = tls.object(key) {
                *slot = fingerprint.text("hash");
                fingerprint.remain(within, &mut self.rest);
            }
        }
        for (key, name) in [
            ("certificate", "certificate_other"),
            ("chain", "chain_other"),
            ("ja4", "ja4_other"),
            ("version", "version_other"),
        ] {
            tls.set_aside(key, name);
        }
        tls.remain(within, &mut self.rest);
    }
}

impl Transport {
    /// The name and the number of IANA.
    pub(super) fn name(self) -> (&'static str, i64) {
        match self {
            Self::Tcp => ("tcp", 6),
            Self::Udp => ("udp", 17),
        }
    }
}

impl Version {
    /// `TLSv12`, `DTLSv10`, `SSLv3`, `TLSv13-draft23`; what Zeek does not know, it writes as `unknown-` and a number.
    fn of_zeek(text: &str) -> Option<Self> {
        let (protocol, number) = text.split_once('v')?;
        let number = match number.split('-').next()? {
            "2" => "2.0",
            "3" => "3.0",
            "10" => "1.0",
            "11" => "1.1",
            "12" => "1.2",
            "13" => "1.3",
            _ => return None,
        };
        Some(Self { protocol: protocol_name(protocol)?, number: number.to_owned() })
    }

    /// `TLS 1.2`, `TLSv1`, `SSLv3`, `TLS 1.3 draft-28`; what Suricata does not know, it writes as `UNDETERMINED` or in
    /// hexadecimal digits.
    fn of_suricata(text: &str) -> Option<Self> {
        let (protocol, number) = match text.split_once(' ') {
            Some((protocol, number)) => (protocol, number),
            None => text.split_once('v')?,
        };
        let number = number.split(' ').next()?;
        let number = if number.contains('.') { number.to_owned() } else { format!("{number}.0") };
        let is_number = number.split('.').all(|part| part.len() == 1 && part.bytes().all(|byte| byte.is_ascii_digit()));
        is_number.then_some(())?;
        Some(Self { protocol: protocol_name(protocol)?, number })
    }
}

/// Whether a protocol, by its name in ALPN, is spoken over QUIC alone.
fn is_over_quic(protocol: &str) -> bool {
    protocol == "doq" || ["h3", "hq"].iter().any(|name| protocol == *name || protocol.starts_with(&format!("{name}-")))
}

fn protocol_name(name: &str) -> Option<&'static str> {
    match name {
        "TLS" => Some("tls"),
        "DTLS" => Some("dtls"),
        "SSL" => Some("ssl"),
        _ => None,
    }
}

/// Both parts of an endpoint, if both can be read.
fn endpoint<'a>(members: &mut Members<'a>, ip: &'static str, port: &'static str) -> Endpoint {
    Endpoint { ip: members.parsed(ip), port: members.parsed(port) }
}

fn der<'a>(tls: &mut Members<'a>) -> Der<'a> {
    Der { certificate: tls.text("certificate"), chain: tls.texts("chain") }
}

fn zeek_name(log: Log) -> &'static str {
    match log {
        Log::ZeekX509 => "zeek.x509",
        Log::ZeekKnownCerts => "zeek.known_certs",
        Log::ZeekFiles => "zeek.files",
        _ => "zeek.ssl",
    }
}
