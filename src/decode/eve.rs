//! Suricata's EVE JSON: `tls`, `quic` with a name, `alert` with a `tls` object; every other event passes through.
//!
//! Field names and forms are those of Suricata's `output-json-tls.c`, versions 5 to 8.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};

use super::DecodeContext;
use super::bounds::{MAX_DN, MAX_VALUE, bounded};
use super::der::certificate_from_der;
use super::fingerprint::client_fingerprints;
use super::json;
use super::output::Output;
use super::scan::{Members, walk_array, walk_array_until, walk_into, walk_object};
use crate::model::{
    Address, Body, Certificate, CertificateSource, DistinguishedName, EventTime, Fault, FaultField, Faults, Id128, Log,
    Printed, Problem, Record, ReferenceRange, SelfSigned, Serial, Session, Sha1Digest, SubjectAltNames, TlsVersion,
    UnparsedHint, ValidityTime,
};

/// The key of what an event tells of its TLS session.
const TLS: &str = "tls";

/// What is read of the top level of an event.
#[derive(Default)]
struct Event<'a> {
    timestamp: Option<&'a str>,
    event_type: Option<&'a str>,
    source: Endpoint<'a>,
    destination: Endpoint<'a>,
    direction: Option<&'a str>,
    host: Option<&'a str>,
    tls: Option<&'a str>,
    quic: Option<&'a str>,
    flow: Option<&'a str>,
    flow_id: Option<&'a str>,
    enriched: bool,
}

#[derive(Clone, Copy, Default)]
struct Endpoint<'a> {
    ip: Option<&'a str>,
    port: Option<&'a str>,
}

/// What is read of a `tls` object, or of the `client` object inside it.
#[derive(Default)]
struct Tls<'a> {
    subject: Option<&'a str>,
    issuer: Option<&'a str>,
    alternative_names: Option<&'a str>,
    serial: Option<&'a str>,
    fingerprint: Option<&'a str>,
    not_before: Option<&'a str>,
    not_after: Option<&'a str>,
    certificate: Option<&'a str>,
    chain: Option<&'a str>,
    server_name: Option<&'a str>,
    version: Option<&'a str>,
    resumed: Option<&'a str>,
    client: Option<&'a str>,
    ja3: Option<&'a str>,
    ja4: Option<&'a str>,
    server_answered: bool,
}

/// Reads one line.
pub(super) fn decode_line(output: &mut Output<'_>, line: &str, offset: u64) {
    let original = line;
    let line = json::object_text(line);
    let mut parts = Parts::default();
    let keys = match walk_into(line, &mut parts) {
        Some(keys) => keys,
        None => return output.dead_letter(offset, original.as_bytes(), "not a JSON object"),
    };
    let Parts { event, tls, .. } = parts;
    let mut faults = Faults::default();
    let (log, body) = read(output, &event, &tls, &mut faults);
    let time = event.timestamp.and_then(json::string).and_then(|text| EventTime::parse_iso8601(&text));
    if time.is_none() {
        faults.push(Fault::new(
            FaultField::Time,
            if event.timestamp.is_some() { Problem::NotATime } else { Problem::Missing },
        ));
    }
    let sensor = event.host.and_then(json::string).map(|host| output.span(&host));
    let line = output.span(line);
    let body = if event.enriched { Body::AlreadyEnriched } else { body };
    output.push(Record { log, offset, line, time, empty_object: keys == 0, sensor, faults, body });
}

/// An event and its `tls` object, read in one pass.
#[derive(Default)]
struct Parts<'a> {
    event: Event<'a>,
    tls: Tls<'a>,
    /// That of the object which is being read.
    tls_so_far: Tls<'a>,
}

impl<'a> Members<'a> for Parts<'a> {
    fn enters(&mut self, key: &str) -> bool {
        key == TLS
    }

    fn take(&mut self, key: &str, raw: &'a str) {
        self.event.set(key, raw);
        // Of two the last one counts.
        if key == TLS {
            self.tls = std::mem::take(&mut self.tls_so_far);
        }
    }

    fn take_inner(&mut self, key: &str, raw: &'a str) {
        self.tls_so_far.set(key, raw);
    }
}

impl<'a> Event<'a> {
    fn set(&mut self, key: &str, raw: &'a str) {
        let slot = match key {
            "timestamp" => &mut self.timestamp,
            "event_type" => &mut self.event_type,
            "src_ip" => &mut self.source.ip,
            "src_port" => &mut self.source.port,
            "dest_ip" => &mut self.destination.ip,
            "dest_port" => &mut self.destination.port,
            "direction" => &mut self.direction,
            "host" => &mut self.host,
            TLS => &mut self.tls,
            "quic" => &mut self.quic,
            "flow" => &mut self.flow,
            "flow_id" => &mut self.flow_id,
            "certsift" => {
                self.enriched = true;
                return;
            }
            _ => return,
        };
        *slot = Some(raw);
    }

    /// Client and server. In an alert, source and destination are those of the packet that set it off; there the flow
    /// object, or else the direction, says who is who.
    fn endpoints(&self, log: Log) -> (Endpoint<'a>, Endpoint<'a>) {
        if log != Log::SuricataAlert {
            return (self.source, self.destination);
        }
        let mut flow = Event::default();
        if let Some(raw) = self.flow {
            // The line as a whole has been checked already.
            let _ = walk_object(raw, |key, raw| flow.set(key, raw));
        }
        if flow.source.ip.is_some() && flow.destination.ip.is_some() {
            return (flow.source, flow.destination);
        }
        match self.direction {
            Some("\"to_client\"") => (self.destination, self.source),
            _ => (self.source, self.destination),
        }
    }
}

impl<'a> Tls<'a> {
    fn parse(raw: &'a str) -> Self {
        let mut tls = Self::default();
        // The line as a whole has been checked already; what is no object leaves everything unknown.
        let _ = walk_object(raw, |key, raw| tls.set(key, raw));
        tls
    }

    fn set(&mut self, key: &str, raw: &'a str) {
        let slot = match key {
            "subject" => &mut self.subject,
            "issuerdn" => &mut self.issuer,
            "subjectaltname" => &mut self.alternative_names,
            "serial" => &mut self.serial,
            "fingerprint" => &mut self.fingerprint,
            "notbefore" => &mut self.not_before,
            "notafter" => &mut self.not_after,
            "certificate" => &mut self.certificate,
            "chain" => &mut self.chain,
            "sni" => &mut self.server_name,
            "version" => &mut self.version,
            "session_resumed" => &mut self.resumed,
            "client" => &mut self.client,
            "ja3" => &mut self.ja3,
            "ja4" => &mut self.ja4,
            // Each of these takes a ServerHello; before 7.0 an empty `ja3s` was written where it was off.
            "ja3s" | "server_handshake" | "server_alpns" | "alpn_tc" => {
                self.server_answered |= raw != "{}";
                return;
            }
            _ => return,
        };
        *slot = Some(raw);
    }
}

fn read(output: &mut Output<'_>, event: &Event<'_>, tls: &Tls<'_>, faults: &mut Faults) -> (Log, Body) {
    match (event.event_type, event.tls, event.quic) {
        (Some("\"tls\""), ..) => {
            (Log::SuricataTls, Body::Session(session(output, event, tls, Log::SuricataTls, faults)))
        }
        (Some("\"alert\""), Some(raw), _) if json::is_object(raw) => {
            (Log::SuricataAlert, Body::Session(session(output, event, tls, Log::SuricataAlert, faults)))
        }
        (Some("\"quic\""), _, Some(quic)) => {
            let mut tls = Tls::default();
            let _ = walk_object(quic, |key, raw| match key {
                "sni" => tls.server_name = Some(raw),
                "ja3" => tls.ja3 = Some(raw),
                "ja4" => tls.ja4 = Some(raw),
                _ => {}
            });
            if tls.server_name.is_none() {
                return (Log::SuricataOther, Body::PassThrough);
            }
            let mut session = session(output, event, &tls, Log::SuricataQuic, faults);
            session.version = TlsVersion::Quic;
            (Log::SuricataQuic, Body::Session(session))
        }
        _ => (Log::SuricataOther, Body::PassThrough),
    }
}

fn session(output: &mut Output<'_>, event: &Event<'_>, tls: &Tls<'_>, log: Log, faults: &mut Faults) -> Session {
    let (client_end, server_end) = event.endpoints(log);
    let server_name = tls.server_name.and_then(json::string).filter(|name| !name.is_empty());
    if server_name.is_none() && tls.server_name.is_some_and(|raw| raw != "\"\"") {
        faults.push(Fault::new(FaultField::ServerName, Problem::NotText));
    }
    let leaf = certificate(output, tls, faults);
    let client_leaf = tls.client.and_then(|raw| certificate(output, &Tls::parse(raw), faults));
    let client = address(client_end, FaultField::Client, faults);
    let server = address(server_end, FaultField::Server, faults);
    let server_port = server_end.port.and_then(|raw| {
        raw.parse().map_err(|_| faults.push(Fault::new(FaultField::ServerPort, Problem::NotAPort))).ok()
    });
    let context = output.context;
    let presented = leaf
        .as_ref()
        .and(tls.chain)
        .and_then(|raw| output.memos.chain(raw, || context.chains.read(raw, der_of_base64)));
    let name = server_name.as_deref().and_then(|name| output.memos.name_ids(name));
    let service = server.zip(server_port).map(|(server, port)| output.memos.service(server, port, name));
    Session {
        client,
        server,
        server_port,
        name,
        server_name: server_name.map(|name| output.span(&name)),
        version: tls.version.and_then(json::string).map_or(TlsVersion::Unknown, |version| version_of(&version)),
        resumed: tls.resumed.and_then(json::boolean).unwrap_or(false),
        // Suricata writes the event when the handshake is done, but also when the flow ends before that.
        established: (leaf.is_some() || tls.resumed.is_some() || tls.server_answered).then_some(true),
        chain: ReferenceRange::default(),
        client_chain: ReferenceRange::default(),
        chain_logged: true,
        leaf_unparsed_hint: UnparsedHint::default(),
        flow: event.flow_id.map(|id| Id128::of_parts(&[b"flow", &output.source().stream.0, id.as_bytes()])),
        validation_status: None,
        presented,
        leaf,
        client_leaf,
        service,
        client_fingerprints: client_fingerprints(
            output,
            tls.ja3.and_then(hash_of).as_deref(),
            tls.ja4.and_then(json::string).as_deref(),
        ),
    }
}

/// The hash of a `ja3` object, which is empty where it is off (before 7.0).
fn hash_of(ja3: &str) -> Option<Cow<'_, str>> {
    let mut hash = None;
    let _ = walk_object(ja3, |key, raw| {
        if key == "hash" {
            hash = Some(raw);
        }
    });
    json::string(hash?)
}

/// `TLS 1.3` and its drafts; `TLSv1` is 1.0.
fn version_of(version: &str) -> TlsVersion {
    if version.starts_with("TLS 1.3") {
        TlsVersion::Tls13
    } else if version.is_empty() || version == "UNDETERMINED" {
        TlsVersion::Unknown
    } else {
        TlsVersion::Older
    }
}

fn address(endpoint: Endpoint<'_>, fault: FaultField, faults: &mut Faults) -> Option<Address> {
    let Some(raw) = endpoint.ip else {
        faults.push(Fault::new(fault, Problem::Missing));
        return None;
    };
    let address = json::string(raw).and_then(|text| Address::parse(&text));
    if address.is_none() {
        faults.push(Fault::new(fault, Problem::NotAnAddress));
    }
    address
}

/// The certificate that the object tells of: from DER where it is logged, else from the strings; `None` without either.
fn certificate(output: &mut Output<'_>, tls: &Tls<'_>, faults: &mut Faults) -> Option<Arc<Certificate>> {
    let encoded = tls.certificate.filter(|raw| is_string(raw)).or_else(|| first_of_chain(tls.chain?));
    if encoded.is_none() && tls.subject.is_none() && tls.fingerprint.is_none() && tls.serial.is_none() {
        return None;
    }
    let parts = [
        tls.subject,
        tls.issuer,
        tls.alternative_names,
        tls.serial,
        tls.not_before,
        tls.not_after,
        tls.fingerprint,
        encoded,
    ]
    .map(Option::unwrap_or_default);
    let context = output.context;
    let (certificate, _) = output.memos.certificate(&parts, || {
        let encoded = encoded.and_then(json::string);
        let [subject, issuer, alternative_names, serial, not_before, not_after, fingerprint, _] =
            parts.map(str::as_bytes);
        let key = Id128::of_parts(&[
            b"eve",
            subject,
            issuer,
            alternative_names,
            serial,
            fingerprint,
            not_before,
            not_after,
            encoded.as_deref().unwrap_or_default().as_bytes(),
        ]);
        let certificate =
            context.certificates.get_or_read(key, || Some(read_certificate(tls, encoded.as_deref(), context)));
        (certificate, Faults::default())
    });
    let certificate = certificate?;
    if encoded.is_some() && certificate.source != CertificateSource::Der {
        faults.push(Fault::new(FaultField::Der, Problem::Unreadable));
    }
    Some(certificate)
}

/// Whether a raw value is a string that can be read.
fn is_string(raw: &str) -> bool {
    let unescaped = memchr::memchr(b'\\', raw.as_bytes()).is_none();
    raw.starts_with('"') && (unescaped || json::string(raw).is_some())
}

/// The first string of a chain, raw.
fn first_of_chain(raw: &str) -> Option<&str> {
    let mut first = None;
    walk_array_until(raw, |element| {
        if element.string().is_none() {
            return ControlFlow::Continue(());
        }
        first = Some(element.text);
        ControlFlow::Break(())
    });
    first
}

fn der_of_base64(text: &str) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const ENGINE: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::STANDARD, LENIENT);
    ENGINE.decode(text.as_bytes()).ok()
}

fn read_certificate(tls: &Tls<'_>, encoded: Option<&str>, context: &DecodeContext) -> Certificate {
    let subject = tls.subject.and_then(json::string);
    let issuer = tls.issuer.and_then(json::string);
    if let Some(der) = encoded.and_then(der_of_base64)
        && let Some(certificate) = certificate_from_der(&der, subject.as_deref(), issuer.as_deref())
    {
        return certificate;
    }
    let mut certificate = Certificate::unknown(CertificateSource::LogStrings);
    certificate.sha1 = tls.fingerprint.and_then(json::string).and_then(|text| Sha1Digest::parse(&text));
    certificate.serial = tls.serial.and_then(json::string).and_then(|text| Serial::parse_octets(&text));
    certificate.self_signed = match (&subject, &issuer) {
        (Some(subject), Some(issuer)) if subject == issuer => Some(SelfSigned::SameName),
        (Some(_), Some(_)) => Some(SelfSigned::No),
        _ => None,
    };
    certificate.subject = subject.map(|text| DistinguishedName::from_suricata(bounded(&text, MAX_DN)));
    certificate.issuer =
        issuer.map(|text| context.certificates.issuers.read(Printed::Suricata, bounded(&text, MAX_DN)));
    let time = |raw: Option<&str>| json::string(raw?).and_then(|text| ValidityTime::parse_iso8601(&text));
    certificate.not_before = time(tls.not_before);
    certificate.not_after = time(tls.not_after);
    certificate.san = tls.alternative_names.map(alternative_names);
    certificate.with_id()
}

/// Suricata does not mark the type of a name and prints an address as the list of its bytes.
fn alternative_names(raw: &str) -> SubjectAltNames {
    const OTHER_KINDS: [&str; 4] = ["DirectoryName(", "OtherName(", "RegisteredID(", "Invalid("];
    let mut san = SubjectAltNames::default();
    walk_array(raw, |element| {
        let Some(name) = element.string() else { return san.push_other() };
        if let Some(address) = debug_bytes(&name) {
            san.push_ip(&address);
        } else if let Some(email) = name.strip_prefix("RFC822Name(").and_then(|rest| rest.strip_suffix(')')) {
            san.push_email(bounded(email, MAX_VALUE));
        } else if OTHER_KINDS.iter().any(|kind| name.starts_with(kind)) {
            san.push_other();
        } else if name.contains("://") {
            san.push_uri(bounded(&name, MAX_VALUE));
        } else {
            san.push_dns(bounded(&name, MAX_VALUE));
        }
    });
    san
}

/// An address from text such as `[8, 8, 8, 8]`.
fn debug_bytes(text: &str) -> Option<String> {
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    let bytes: Vec<u8> = inner.split(", ").map(|byte| byte.parse().ok()).collect::<Option<_>>()?;
    let ip: std::net::IpAddr = match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok()?.into(),
        16 => <[u8; 16]>::try_from(bytes).ok()?.into(),
        _ => return None,
    };
    Some(Address::from(ip).ip().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_printed_kind_are_told_apart() {
        let raw = r#"["a.example","*.b.example","[8, 8, 8, 8]","RFC822Name(x@y)","https://c.example/","DirectoryName(C=US)"]"#;
        let san = alternative_names(raw);
        assert_eq!((san.count, san.dns.len(), san.uri.len(), san.email.len()), (6, 2, 1, 1));
        assert_eq!(&*san.ip[0], "8.8.8.8");
    }
}
