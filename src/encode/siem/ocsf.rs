//! Open Cybersecurity Schema Framework 1.8.0: sessions are Network Activity with the profile Security Control; a
//! certificate by itself, and what certsift does not enrich, has no class and is a Base Event.

use super::facts::{Endpoint, Facts};
use super::tree::Tree;
use super::{Joined, alternative_names};
use crate::model::{Certificate, Direction, DistinguishedName, Log, SelfSigned};

/// The version of the schema.
const VERSION: &str = "1.8.0";

/// Makes the event of a record; what has no place in it is `unmapped`.
pub(super) fn document<'a>(joined: &'a Joined<'a>, rest: Tree<'a>) -> Tree<'a> {
    let facts = &joined.facts;
    let mut event = Tree::default();
    let is_session = facts.client.ip.is_some() || facts.server.ip.is_some();
    class(&mut event, is_session);
    metadata(&mut event, joined, is_session);
    event.put("time", joined.time.map(|time| time.0.div_euclid(1_000_000)));
    event.put("raw_data", facts.original);
    event.put("message", facts.said.reason.as_deref());
    let (severity, level) = severity(&facts.said.verdict);
    event.put("severity_id", Some(severity));
    let certificate = joined.certificate.and_then(certificate);
    if is_session {
        event.put("risk_level_id", level);
        event.put("risk_score", facts.said.score);
        event.put("is_alert", Some(severity >= 4 || joined.log == Log::SuricataAlert));
        attacks(&mut event, facts);
        event.put("status_id", facts.established.map(|done| if done { 1_i64 } else { 2 }));
        event.put("status_detail", facts.validation_status.as_deref());
        endpoints(&mut event, joined);
        tls(&mut event, facts, certificate);
    } else if let Some(certificate) = certificate {
        event.put("unmapped.certificate", Some(certificate));
    }
    observables(&mut event, joined);
    if let Some(object) = facts.certsift {
        let mut enrichment = Tree::default();
        enrichment.put("name", Some("tls.certificate"));
        enrichment.put("value", Some(facts.said.verdict.as_ref()));
        enrichment.put("type", Some("certificate"));
        enrichment.put("provider", Some("certsift"));
        enrichment.put("data", Some(object));
        event.put("enrichments", Some(vec![enrichment]));
    }
    if !rest.is_empty() {
        event.merge("unmapped", rest);
    }
    without_a_place(&mut event, joined, is_session);
    event
}

/// What was read and has no attribute.
fn without_a_place<'a>(event: &mut Tree<'a>, joined: &'a Joined<'a>, is_session: bool) {
    let facts = &joined.facts;
    let (connection, resumed) = if joined.is_zeek() {
        ("unmapped.zeek.session_id", "unmapped.zeek.ssl.resumed")
    } else {
        ("unmapped.suricata.eve.flow_id", "unmapped.suricata.eve.tls.session_resumed")
    };
    event.put(resumed, facts.resumed);
    if !is_session {
        event.put(connection, facts.connection.as_deref());
    }
    for (field, value) in [
        ("unmapped.zeek.ssl.curve", &facts.curve),
        ("unmapped.zeek.ssl.last_alert", &facts.last_alert),
        ("unmapped.suricata.eve.alert.signature", &facts.rule.name),
        ("unmapped.suricata.eve.alert.category", &facts.rule.category),
    ] {
        event.put(field, value.as_deref());
    }
    event.put("unmapped.suricata.eve.alert.signature_id", facts.rule.id);
    event.put("unmapped.zeek.x509.certificate.exponent", facts.exponent);
    // What the schema calls the chain are serial numbers.
    for (certificate, chain, der) in [
        ("unmapped.suricata.eve.tls.certificate", "unmapped.suricata.eve.tls.chain", &facts.server_der),
        ("unmapped.suricata.eve.tls.client.certificate", "unmapped.suricata.eve.tls.client.chain", &facts.client_der),
    ] {
        event.put(certificate, der.certificate.as_deref());
        event.put(chain, Some(der.chain.iter().map(|der| &**der).collect::<Vec<_>>()));
    }
}

fn class(event: &mut Tree<'_>, is_session: bool) {
    let (category, class, activity) = if is_session { (4_i64, 4001_i64, 6_i64) } else { (0, 0, 0) };
    event.put("category_uid", Some(category));
    event.put("category_name", Some(if is_session { "Network Activity" } else { "Uncategorized" }));
    event.put("class_uid", Some(class));
    event.put("class_name", Some(if is_session { "Network Activity" } else { "Base Event" }));
    event.put("activity_id", Some(activity));
    event.put("activity_name", Some(if is_session { "Traffic" } else { "Unknown" }));
    event.put("type_uid", Some(class * 100 + activity));
}

fn metadata<'a>(event: &mut Tree<'a>, joined: &'a Joined<'a>, is_session: bool) {
    let (product, vendor) = joined.product();
    event.put("metadata.version", Some(VERSION));
    event.put("metadata.product.name", Some(product));
    event.put("metadata.product.vendor_name", Some(vendor));
    event.put("metadata.uid", Some(joined.id.as_str()));
    event.put("metadata.log_name", Some(joined.log.name()));
    event.put("metadata.log_provider", joined.sensor);
    event.put("metadata.logged_time", joined.facts.written.map(|time| time.0.div_euclid(1_000_000)));
    if is_session {
        event.put("metadata.profiles", Some(vec!["security_control"]));
    }
}

/// The severity of a verdict, and its level of risk.
fn severity(verdict: &str) -> (i64, Option<i64>) {
    match verdict {
        "info" => (1, Some(0)),
        "low" => (2, Some(1)),
        "medium" => (3, Some(2)),
        "high" => (4, Some(3)),
        "critical" => (5, Some(4)),
        _ => (0, None),
    }
}

fn attacks<'a>(event: &mut Tree<'a>, facts: &'a Facts<'a>) {
    let attacks = facts.said.techniques.iter().map(|id| {
        let mut attack = Tree::default();
        attack.put("technique.uid", id.split('.').next());
        attack.put("sub_technique.uid", id.contains('.').then_some(&**id));
        attack
    });
    event.put("attacks", Some(attacks.collect::<Vec<_>>()));
}

fn endpoints<'a>(event: &mut Tree<'a>, joined: &'a Joined<'a>) {
    let facts = &joined.facts;
    for (name, Endpoint { ip, port }) in [("src_endpoint", facts.client), ("dst_endpoint", facts.server)] {
        let Some(ip) = ip else { continue };
        let mut endpoint = Tree::default();
        endpoint.put("ip", Some(ip.to_string()));
        endpoint.put("port", port);
        if name == "dst_endpoint" {
            endpoint.put("hostname", facts.server_name.as_deref());
        }
        event.put(name, Some(endpoint));
    }
    let direction = match joined.direction {
        Some(Direction::Inbound) => 1_i64,
        Some(Direction::Outbound) => 2,
        Some(Direction::Internal) => 3,
        Some(Direction::Transit) => 99,
        None => 0,
    };
    event.put("connection_info.direction_id", Some(direction));
    event.put("connection_info.direction", (direction == 99).then_some("transit"));
    event.put("connection_info.uid", facts.connection.as_deref());
    event.put("connection_info.community_uid", facts.community_id.as_deref());
    if let Some(transport) = facts.transport {
        let (name, number) = transport.name();
        event.put("connection_info.protocol_name", Some(name));
        event.put("connection_info.protocol_num", Some(number));
    }
    let version = facts.client.ip.or(facts.server.ip).map(|ip| if ip.is_ipv4() { 4_i64 } else { 6 });
    event.put("connection_info.protocol_ver_id", version);
    event.put("app_protocol_name", facts.next_protocol.as_deref());
}

fn tls<'a>(event: &mut Tree<'a>, facts: &'a Facts<'a>, certificate: Option<Tree<'a>>) {
    let version =
        facts.version.as_ref().map(|version| format!("{} {}", version.protocol.to_uppercase(), version.number));
    // The schema asks for a version wherever there is anything else.
    event.put("tls.version", Some(version.unwrap_or_else(|| "unknown".to_owned())));
    event.put("tls.cipher", facts.cipher.as_deref());
    event.put("tls.sni", facts.server_name.as_deref());
    event.put("tls.ja3_hash", facts.ja3.as_deref().map(|hash| fingerprint(1, hash.to_owned())));
    event.put("tls.ja3s_hash", facts.ja3s.as_deref().map(|hash| fingerprint(1, hash.to_owned())));
    event.put("tls.certificate", certificate);
    event.put("tls.alert", facts.last_alert.as_deref().and_then(alert));
    let ja4 = [(1_i64, &facts.ja4), (2, &facts.ja4s)].into_iter().filter_map(|(kind, value)| {
        let mut fingerprint = Tree::default();
        fingerprint.put("type_id", Some(kind));
        fingerprint.put("value", Some(value.as_deref()?));
        Some(fingerprint)
    });
    event.put("ja4_fingerprint_list", Some(ja4.collect::<Vec<_>>()));
}

/// The number of an alert, by the name that Zeek gives it: the registry of IANA, TLS Alerts.
fn alert(name: &str) -> Option<i64> {
    Some(match name {
        "close_notify" => 0,
        "unexpected_message" => 10,
        "bad_record_mac" => 20,
        "decryption_failed" => 21,
        "record_overflow" => 22,
        "decompression_failure" => 30,
        "handshake_failure" => 40,
        "no_certificate" => 41,
        "bad_certificate" => 42,
        "unsupported_certificate" => 43,
        "certificate_revoked" => 44,
        "certificate_expired" => 45,
        "certificate_unknown" => 46,
        "illegal_parameter" => 47,
        "unknown_ca" => 48,
        "access_denied" => 49,
        "decode_error" => 50,
        "decrypt_error" => 51,
        "export_restriction" => 60,
        "protocol_version" => 70,
        "insufficient_security" => 71,
        "internal_error" => 80,
        "inappropriate_fallback" => 86,
        "user_canceled" => 90,
        "no_renegotiation" => 100,
        "unsupported_extension" => 110,
        "certificate_unobtainable" => 111,
        "unrecognized_name" => 112,
        "bad_certificate_status_response" => 113,
        "bad_certificate_hash_value" => 114,
        "unknown_psk_identity" => 115,
        "certificate_required" => 116,
        "no_application_protocol" => 120,
        _ => return None,
    })
}

/// A certificate; the schema asks for its issuer and its serial number.
fn certificate(certificate: &Certificate) -> Option<Tree<'_>> {
    let issuer = certificate.issuer.as_ref().map(DistinguishedName::text)?;
    let serial = certificate.serial.as_ref()?.to_string();
    let mut object = Tree::default();
    object.put("issuer", Some(issuer));
    object.put("serial_number", Some(serial));
    object.put("subject", certificate.subject.as_ref().map(DistinguishedName::text));
    object.put("version", certificate.version.map(|version| version.to_string()));
    object.put("created_time", certificate.not_before.map(|time| time.printed_seconds() * 1000));
    object.put("expiration_time", certificate.not_after.map(|time| time.printed_seconds() * 1000));
    object.put("is_self_signed", certificate.self_signed.map(|signed| signed != SelfSigned::No));
    let sha1 = certificate.sha1.map(|hash| fingerprint(2, hash.to_string()));
    let sha256 = certificate.sha256.map(|hash| fingerprint(3, hash.to_string()));
    object.put("fingerprints", Some(sha1.into_iter().chain(sha256).collect::<Vec<_>>()));
    let sans = alternative_names(certificate).map(|(kind, name)| {
        let mut san = Tree::default();
        san.put("name", Some(name));
        san.put("type", Some(kind));
        san
    });
    object.put("sans", Some(sans.collect::<Vec<_>>()));
    Some(object)
}

/// MD5 is 1, SHA-1 2, SHA-256 3.
fn fingerprint<'a>(algorithm: i64, value: String) -> Tree<'a> {
    let mut fingerprint = Tree::default();
    fingerprint.put("algorithm_id", Some(algorithm));
    fingerprint.put("value", Some(value));
    fingerprint
}

/// What may be searched for in events of any class: host names are of type 1, addresses 2, hashes 8.
fn observables<'a>(event: &mut Tree<'a>, joined: &'a Joined<'a>) {
    let facts = &joined.facts;
    let mut observables = Vec::new();
    let mut add = |name: &'static str, kind: i64, value: String| {
        let mut observable = Tree::default();
        observable.put("name", Some(name));
        observable.put("type_id", Some(kind));
        observable.put("value", Some(value));
        observables.push(observable);
    };
    for (name, end) in [("src_endpoint.ip", facts.client), ("dst_endpoint.ip", facts.server)] {
        if let Some(ip) = end.ip {
            add(name, 2, ip.to_string());
        }
    }
    if let Some(server_name) = &facts.server_name {
        add("tls.sni", 1, server_name.clone().into_owned());
    }
    if let Some(certificate) = joined.certificate {
        let hashes = [certificate.sha1.map(|hash| hash.to_string()), certificate.sha256.map(|hash| hash.to_string())];
        let name = if joined.log == Log::ZeekX509 {
            "unmapped.certificate.fingerprints.value"
        } else {
            "tls.certificate.fingerprints.value"
        };
        for hash in hashes.into_iter().flatten() {
            add(name, 8, hash);
        }
    }
    event.put("observables", Some(observables));
}
