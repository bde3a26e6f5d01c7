//! Elastic Common Schema 9.4.0, by the field reference of its release; `certsift`, `zeek` and `suricata` are namespaces of
//! their own.

use super::facts::{Der, Endpoint};
use super::tree::Tree;
use super::{Joined, alternative_names};
use crate::model::{AttributeKind, Certificate, Direction, DistinguishedName, Log};

/// The version of the schema.
const VERSION: &str = "9.4.0";

/// Adds the fields of the schema to what has no place in it.
pub(super) fn document<'a>(joined: &'a Joined<'a>, rest: Tree<'a>) -> Tree<'a> {
    let facts = &joined.facts;
    let mut document = rest;
    document.put("@timestamp", joined.time.map(|time| time.to_string()));
    document.put("ecs.version", Some(VERSION));
    event(&mut document, joined);
    let (product, vendor) = joined.product();
    document.put("observer.type", Some("sensor"));
    document.put("observer.product", Some(product));
    document.put("observer.vendor", Some(vendor));
    document.put("observer.name", joined.sensor);
    if joined.log == Log::ZeekX509 {
        if let Some(certificate) = joined.certificate {
            document.put("file.hash.sha256", certificate.sha256.map(|hash| hash.to_string()));
            document.put("file.hash.sha1", certificate.sha1.map(|hash| hash.to_string()));
            let mut x509 = x509(certificate);
            x509.put("public_key_exponent", facts.exponent);
            document.put("file.x509", Some(x509));
        }
    } else {
        connection(&mut document, joined);
        session(&mut document, joined);
    }
    related(&mut document, joined);
    techniques(&mut document, joined);
    document.put("certsift", facts.certsift);
    document
}

fn event<'a>(document: &mut Tree<'a>, joined: &'a Joined<'a>) {
    let (kind, category, types): (_, &[&str], &[&str]) = match joined.log {
        Log::SuricataAlert => ("alert", &["intrusion_detection", "network"], &["info"]),
        Log::ZeekSsl | Log::SuricataTls | Log::SuricataQuic => ("event", &["network"], &["connection", "protocol"]),
        Log::ZeekX509 | Log::ZeekKnownCerts => ("event", &["file"], &["info"]),
        _ => ("event", &["network"], &["info"]),
    };
    let module = if joined.is_zeek() { "zeek" } else { "suricata" };
    let said = &joined.facts.said;
    document.put("event.kind", Some(kind));
    document.put("event.category", Some(category.to_vec()));
    document.put("event.type", Some(types.to_vec()));
    document.put("event.module", Some(module));
    document.put("event.dataset", Some(joined.log.name()));
    document.put("event.id", Some(joined.id.as_str()));
    document.put("event.outcome", joined.facts.established.map(|done| if done { "success" } else { "failure" }));
    document.put("event.created", joined.facts.written.map(|time| time.to_string()));
    document.put("event.original", joined.facts.original);
    document.put("event.reason", said.reason.as_deref());
    document.put("event.risk_score", said.score);
    document.put("event.severity", severity(&said.verdict));
    document.put("rule.id", joined.facts.rule.id.map(|id| id.to_string()));
    document.put("rule.name", joined.facts.rule.name.as_deref());
    document.put("rule.category", joined.facts.rule.category.as_deref());
}

/// A verdict as a number that can be sorted by.
fn severity(verdict: &str) -> Option<i64> {
    match verdict {
        "info" => Some(1),
        "low" => Some(2),
        "medium" => Some(3),
        "high" => Some(4),
        "critical" => Some(5),
        _ => None,
    }
}

fn connection<'a>(document: &mut Tree<'a>, joined: &'a Joined<'a>) {
    let facts = &joined.facts;
    for (names, end) in [(["source", "client"], facts.client), (["destination", "server"], facts.server)] {
        for name in names {
            let Endpoint { ip, port } = end;
            let mut tree = Tree::default();
            tree.put("address", ip.map(|ip| ip.to_string()));
            tree.put("ip", ip.map(|ip| ip.to_string()));
            tree.put("port", port);
            if name == "destination" || name == "server" {
                tree.put("domain", facts.server_name.as_deref());
            }
            if !tree.is_empty() {
                document.put(name, Some(tree));
            }
        }
    }
    let kind = facts.client.ip.or(facts.server.ip).map(|ip| if ip.is_ipv4() { "ipv4" } else { "ipv6" });
    document.put("network.type", kind);
    document.put("network.transport", facts.transport.map(|transport| transport.name().0));
    document.put("network.community_id", facts.community_id.as_deref());
    let direction = joined.direction.map(|direction| match direction {
        Direction::Outbound => "outbound",
        Direction::Inbound => "inbound",
        Direction::Internal => "internal",
        Direction::Transit => "external",
    });
    document.put("network.direction", direction);
    document.put("network.protocol", facts.protocol);
    let id = if joined.is_zeek() { "zeek.session_id" } else { "suricata.eve.flow_id" };
    document.put(id, facts.connection.as_deref());
}

fn session<'a>(document: &mut Tree<'a>, joined: &'a Joined<'a>) {
    let facts = &joined.facts;
    document.put("tls.version", facts.version.as_ref().map(|version| version.number.as_str()));
    document.put("tls.version_protocol", facts.version.as_ref().map(|version| version.protocol));
    document.put("tls.cipher", facts.cipher.as_deref());
    document.put("tls.curve", facts.curve.as_deref());
    document.put("tls.established", facts.established);
    document.put("tls.resumed", facts.resumed);
    document.put("tls.next_protocol", facts.next_protocol.as_deref().map(str::to_lowercase));
    document.put("tls.client.server_name", facts.server_name.as_deref());
    document.put("tls.client.ja3", facts.ja3.as_deref());
    document.put("tls.server.ja3s", facts.ja3s.as_deref());
    for (name, certificate, der) in [
        ("tls.server", joined.certificate, &facts.server_der),
        ("tls.client", joined.client_certificate, &facts.client_der),
    ] {
        side(document, name, certificate, der);
    }
    let own = if joined.is_zeek() {
        ["zeek.ssl.validation_status", "zeek.ssl.last_alert", "zeek.ssl.ja4", "zeek.ssl.ja4s"]
    } else {
        [
            "suricata.eve.tls.validation_status",
            "suricata.eve.tls.last_alert",
            "suricata.eve.tls.ja4",
            "suricata.eve.tls.ja4s",
        ]
    };
    let values = [&facts.validation_status, &facts.last_alert, &facts.ja4, &facts.ja4s];
    for (field, value) in own.into_iter().zip(values) {
        document.put(field, value.as_deref());
    }
}

fn side<'a>(document: &mut Tree<'a>, name: &'static str, certificate: Option<&'a Certificate>, der: &'a Der<'a>) {
    let mut side = Tree::default();
    side.put("certificate", der.certificate.as_deref());
    side.put("certificate_chain", Some(der.chain.iter().map(|der| &**der).collect::<Vec<_>>()));
    if let Some(certificate) = certificate {
        side.put("hash.sha256", certificate.sha256.map(|hash| hash.to_string().to_uppercase()));
        side.put("hash.sha1", certificate.sha1.map(|hash| hash.to_string().to_uppercase()));
        side.put("subject", certificate.subject.as_ref().map(DistinguishedName::text));
        side.put("issuer", certificate.issuer.as_ref().map(DistinguishedName::text));
        side.put("not_before", certificate.not_before.map(|time| time.to_string()));
        side.put("not_after", certificate.not_after.map(|time| time.to_string()));
        side.put("x509", Some(x509(certificate)));
    }
    if !side.is_empty() {
        document.merge(name, side);
    }
}

fn x509(certificate: &Certificate) -> Tree<'_> {
    let mut x509 = Tree::default();
    x509.put("version_number", certificate.version.map(|version| version.to_string()));
    x509.put("serial_number", certificate.serial.as_ref().map(|serial| serial.to_string()));
    x509.put("subject", certificate.subject.as_ref().map(name));
    x509.put("issuer", certificate.issuer.as_ref().map(name));
    x509.put("not_before", certificate.not_before.map(|time| time.to_string()));
    x509.put("not_after", certificate.not_after.map(|time| time.to_string()));
    if let Some(key) = &certificate.key {
        x509.put("public_key_algorithm", Some(key_algorithm(&key.algorithm)));
        x509.put("public_key_size", key.bits);
        x509.put("public_key_curve", key.curve.as_deref());
    }
    x509.put("signature_algorithm", certificate.signature_algorithm.as_deref().map(signature_algorithm));
    x509.put("alternative_names", Some(alternative_names(certificate).map(|(_, name)| name).collect::<Vec<_>>()));
    x509
}

fn name(name: &DistinguishedName) -> Tree<'_> {
    let mut tree = Tree::default();
    tree.put("distinguished_name", Some(name.text()));
    for (field, kind) in [
        ("common_name", &AttributeKind::CommonName),
        ("organization", &AttributeKind::Organization),
        ("organizational_unit", &AttributeKind::OrganizationalUnit),
        ("country", &AttributeKind::Country),
        ("state_or_province", &AttributeKind::StateOrProvince),
        ("locality", &AttributeKind::Locality),
    ] {
        let values = name.attributes().iter().filter(|attribute| attribute.kind == *kind);
        tree.put(field, Some(values.map(|attribute| &*attribute.value).collect::<Vec<_>>()));
    }
    tree
}

/// The names of Go's library, which the schema recommends.
fn key_algorithm(algorithm: &str) -> &str {
    match algorithm {
        "rsa" => "RSA",
        "ecdsa" => "ECDSA",
        "dsa" => "DSA",
        "ed25519" => "Ed25519",
        other => other,
    }
}

/// Likewise; what Go has no name for keeps that of OpenSSL.
fn signature_algorithm(algorithm: &str) -> &str {
    match algorithm {
        "md2WithRSAEncryption" => "MD2-RSA",
        "md5WithRSAEncryption" => "MD5-RSA",
        "sha1WithRSAEncryption" => "SHA1-RSA",
        "sha256WithRSAEncryption" => "SHA256-RSA",
        "sha384WithRSAEncryption" => "SHA384-RSA",
        "sha512WithRSAEncryption" => "SHA512-RSA",
        "dsaWithSHA1" => "DSA-SHA1",
        "dsa_with_SHA256" => "DSA-SHA256",
        "ecdsa-with-SHA1" => "ECDSA-SHA1",
        "ecdsa-with-SHA256" => "ECDSA-SHA256",
        "ecdsa-with-SHA384" => "ECDSA-SHA384",
        "ecdsa-with-SHA512" => "ECDSA-SHA512",
        "ED25519" => "Ed25519",
        other => other,
    }
}

fn related<'a>(document: &mut Tree<'a>, joined: &'a Joined<'a>) {
    let facts = &joined.facts;
    let mut hashes: Vec<String> = Vec::new();
    for certificate in joined.certificate.iter().chain(&joined.client_certificate) {
        hashes.extend(certificate.sha256.map(|hash| hash.to_string().to_uppercase()));
        hashes.extend(certificate.sha1.map(|hash| hash.to_string().to_uppercase()));
    }
    for fingerprint in [&facts.ja3, &facts.ja3s, &facts.ja4, &facts.ja4s] {
        hashes.extend(fingerprint.as_deref().map(ToOwned::to_owned));
    }
    let ips = [facts.client.ip, facts.server.ip].into_iter().flatten().map(|ip| ip.to_string());
    document.put("related.hash", Some(distinct(hashes.into_iter())));
    document.put("related.ip", Some(distinct(ips)));
    document.put("related.hosts", facts.server_name.as_deref().map(|name| vec![name]));
}

/// Techniques, and sub-techniques with those that they belong to.
fn techniques<'a>(document: &mut Tree<'a>, joined: &'a Joined<'a>) {
    let said = &joined.facts.said.techniques;
    if said.is_empty() {
        return;
    }
    let main = said.iter().map(|id| id.split('.').next().unwrap_or(id));
    let sub: Vec<&str> = said.iter().filter(|id| id.contains('.')).map(|id| &**id).collect();
    document.put("threat.framework", Some("MITRE ATT&CK"));
    document.put("threat.technique.id", Some(distinct(main)));
    document.put("threat.technique.subtechnique.id", Some(sub));
}

/// The distinct values in their order of appearance.
fn distinct<T: PartialEq>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut found = Vec::new();
    for value in values {
        if !found.contains(&value) {
            found.push(value);
        }
    }
    found
}
