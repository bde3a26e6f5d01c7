//! Zeek: the rows of x509.log and ssl.log, and the two spellings, TSV and JSON.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result};
use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{
    certificates::{Certificate, Key},
    clock::{DAY, Time},
    digest,
    json::Object,
    names,
    session::{Session, Shape},
};

/// One value, typed as Zeek types it.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// `time`.
    Time(Time),
    /// `string`, `addr` or `enum`.
    Text(String),
    /// `count`, `port` or `interval`: written as it stands.
    Number(String),
    /// `bool`.
    Bool(bool),
    /// `vector[…]`.
    Vector(Vec<String>),
    /// No value.
    Unset,
}

/// One line of a log.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Its `ts`.
    pub(crate) at: Time,
    /// When Zeek wrote it.
    pub(crate) written: Time,
    /// A value for each field of the log, in its order.
    pub(crate) values: Vec<Value>,
}

/// A log: its path, and names and types of its fields.
pub(crate) struct Log {
    /// `#path` and `_path`.
    pub(crate) path: &'static str,
    /// Name and type of each field.
    pub(crate) fields: &'static [(&'static str, &'static str)],
}

/// ssl.log of Zeek 6 with validate-certs loaded.
pub(crate) const SSL: Log = Log {
    path: "ssl",
    fields: &[
        ("ts", "time"),
        ("uid", "string"),
        ("id.orig_h", "addr"),
        ("id.orig_p", "port"),
        ("id.resp_h", "addr"),
        ("id.resp_p", "port"),
        ("version", "string"),
        ("cipher", "string"),
        ("curve", "string"),
        ("server_name", "string"),
        ("resumed", "bool"),
        ("last_alert", "string"),
        ("next_protocol", "string"),
        ("established", "bool"),
        ("ssl_history", "string"),
        ("cert_chain_fps", "vector[string]"),
        ("client_cert_chain_fps", "vector[string]"),
        ("sni_matches_cert", "bool"),
        ("validation_status", "string"),
    ],
};

/// x509.log of Zeek 6.
pub(crate) const X509: Log = Log { path: "x509", fields: X509_FIELDS };

/// x509.log with log-certs-base64 loaded.
pub(crate) const X509_BASE64: Log = Log { path: "x509", fields: &with_cert() };

const X509_FIELDS: &[(&str, &str)] = &[
    ("ts", "time"),
    ("fingerprint", "string"),
    ("certificate.version", "count"),
    ("certificate.serial", "string"),
    ("certificate.subject", "string"),
    ("certificate.issuer", "string"),
    ("certificate.not_valid_before", "time"),
    ("certificate.not_valid_after", "time"),
    ("certificate.key_alg", "string"),
    ("certificate.sig_alg", "string"),
    ("certificate.key_type", "string"),
    ("certificate.key_length", "count"),
    ("certificate.exponent", "string"),
    ("certificate.curve", "string"),
    ("san.dns", "vector[string]"),
    ("san.uri", "vector[string]"),
    ("san.email", "vector[string]"),
    ("san.ip", "vector[addr]"),
    ("basic_constraints.ca", "bool"),
    ("basic_constraints.path_len", "count"),
    ("host_cert", "bool"),
    ("client_cert", "bool"),
];

const fn with_cert() -> [(&'static str, &'static str); X509_FIELDS.len() + 1] {
    let mut fields = [("cert", "string"); X509_FIELDS.len() + 1];
    let mut at = 0;
    while at < X509_FIELDS.len() {
        fields[at] = X509_FIELDS[at];
        at += 1;
    }
    fields
}

/// The rows of ssl.log, in the order of the sessions.
pub(crate) fn ssl_rows(sessions: &[&Session], all: &BTreeMap<&'static str, Certificate>) -> Result<Vec<Row>> {
    sessions.iter().map(|session| ssl_row(session, all)).collect()
}

/// The rows of x509.log: each certificate when first seen, and again once a day has passed.
pub(crate) fn x509_rows(
    sessions: &[&Session],
    all: &BTreeMap<&'static str, Certificate>,
    base64: bool,
) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut logged: HashMap<(String, bool), Time> = HashMap::new();
    for session in sessions.iter().filter(|session| session.shape != Shape::NotFound) {
        let server = session.presented(all)?.map(|certificate| (certificate, false));
        let client = session.presented_by_client(all)?.map(|certificate| (certificate, true));
        for (certificate, from_client) in server.into_iter().chain(client) {
            let delay = if from_client { 61_840 } else { 38_211 };
            let at = session.at.plus_micros(delay + i64::from(session.client_port % 997) * 13);
            let last = logged.get(&(certificate.sha256.clone(), from_client));
            if last.is_none_or(|last| at.seconds() - last.seconds() >= DAY) {
                logged.insert((certificate.sha256.clone(), from_client), at);
                rows.push(x509_row(certificate, at, from_client, base64));
            }
        }
    }
    rows.sort_by_key(|row| row.at);
    Ok(rows)
}

fn ssl_row(session: &Session, all: &BTreeMap<&'static str, Certificate>) -> Result<Row> {
    let leaf = session.presented(all)?;
    let client = session.presented_by_client(all)?;
    let ecdsa = leaf.is_some_and(|leaf| leaf.key == Key::P256);
    let text = |text: &str| if text.is_empty() { Value::Unset } else { Value::Text(text.to_owned()) };
    let (version, cipher, curve) = match session.shape {
        Shape::Tls13 => ("TLSv13", "TLS_AES_256_GCM_SHA384", "x25519"),
        Shape::Incomplete => ("", "", ""),
        Shape::Resumed => ("TLSv12", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", ""),
        _ if ecdsa => ("TLSv12", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "x25519"),
        _ if session.server.web => ("TLSv12", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "x25519"),
        _ => ("TLSv12", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "secp256r1"),
    };
    let history = match session.shape {
        Shape::Tls13 | Shape::Resumed => "CsiI",
        Shape::Incomplete => "C",
        Shape::Mutual(_) => "CsxkrnXGYIi",
        _ if session.server.web => "CsxknGIti",
        _ => "CsxknGIi",
    };
    let next_protocol = if session.server.web && version == "TLSv12" && leaf.is_some() { "h2" } else { "" };
    let chain = match (session.shape, leaf) {
        (Shape::Unparsed(word), _) => {
            let stand_in = all.get(word).with_context(|| format!("no certificate {word}"))?;
            Value::Vector(stand_in.above.iter().map(|above| above.sha256.clone()).collect())
        }
        (_, Some(leaf)) => {
            let above = leaf.above.iter().map(|above| above.sha256.clone());
            Value::Vector(std::iter::once(leaf.sha256.clone()).chain(above).collect())
        }
        (_, None) => Value::Unset,
    };
    let client_chain = match (&chain, client) {
        (Value::Unset, _) => Value::Unset,
        (_, Some(client)) => Value::Vector(vec![client.sha256.clone()]),
        (_, None) => Value::Vector(Vec::new()),
    };
    let matches = match (session.server.name, leaf) {
        (Some(name), Some(leaf)) => Value::Bool(covers(leaf, name)),
        _ => Value::Unset,
    };
    let values = vec![
        Value::Time(session.at),
        Value::Text(session.uid()),
        text(session.client),
        Value::Number(session.client_port.to_string()),
        text(session.server.address),
        Value::Number(session.server.port.to_string()),
        text(version),
        text(cipher),
        text(curve),
        text(session.server.name.unwrap_or_default()),
        Value::Bool(session.shape == Shape::Resumed),
        Value::Unset,
        text(next_protocol),
        Value::Bool(session.shape != Shape::Incomplete),
        text(history),
        chain,
        client_chain,
        matches,
        text(leaf.map_or("", |leaf| leaf.status)),
    ];
    let handshake = 71_390 + i64::from(session.client_port % 991) * 17;
    Ok(Row { at: session.at, written: session.at.plus_micros(handshake), values })
}

fn x509_row(certificate: &Certificate, at: Time, from_client: bool, base64: bool) -> Row {
    let text = |text: &str| Value::Text(text.to_owned());
    let vector = |items: Vec<String>| if items.is_empty() { Value::Unset } else { Value::Vector(items) };
    let (algorithm, kind, bits, exponent, curve) = match certificate.key {
        Key::Rsa2048 => ("rsaEncryption", "rsa", "2048", text("65537"), Value::Unset),
        Key::P256 => ("id-ecPublicKey", "ecdsa", "256", Value::Unset, text("prime256v1")),
    };
    let mut values = vec![
        Value::Time(at),
        text(&certificate.sha256),
        Value::Number("3".to_owned()),
        text(&digest::hex(&certificate.serial).to_uppercase()),
        text(&names::zeek(certificate.subject)),
        text(&names::zeek(certificate.issuer)),
        Value::Time(certificate.not_before),
        Value::Time(certificate.not_after),
        text(algorithm),
        text(certificate.signature),
        text(kind),
        Value::Number(bits.to_owned()),
        exponent,
        curve,
        vector(certificate.dns.iter().map(|name| (*name).to_owned()).collect()),
        Value::Unset,
        Value::Unset,
        vector(certificate.ip.iter().map(ToString::to_string).collect()),
        certificate.ca.map_or(Value::Unset, Value::Bool),
        Value::Unset,
        Value::Bool(true),
        Value::Bool(from_client),
    ];
    if base64 {
        values.push(certificate.der.as_ref().map_or(Value::Unset, |der| Value::Text(STANDARD.encode(der))));
    }
    Row { at, written: at, values }
}

/// Whether a certificate covers a name, by its SAN or else its common name.
fn covers(certificate: &Certificate, name: &str) -> bool {
    let common = certificate.subject.iter().filter(|(attribute, _)| *attribute == "CN").map(|(_, value)| *value);
    let parent = name.split_once('.').map(|(_, parent)| parent);
    certificate.dns.iter().copied().chain(common).any(|pattern| match pattern.strip_prefix("*.") {
        Some(suffix) => parent == Some(suffix),
        None => pattern == name,
    })
}

/// A TSV file: header, rows, and the closing line unless Zeek still writes to it.
pub(crate) fn tsv(log: &Log, rows: &[Row], open: Time, close: Option<Time>) -> String {
    let column = |pick: fn(&(&'static str, &'static str)) -> &'static str| {
        log.fields.iter().map(pick).collect::<Vec<_>>().join("\t")
    };
    let mut out = format!(
        "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\t{}\n#open\t{}\n#fields\t{}\n#types\t{}\n",
        log.path,
        open.zeek_header(),
        column(|field| field.0),
        column(|field| field.1),
    );
    for row in rows {
        let cells = row.values.iter().map(tsv_cell).collect::<Vec<_>>();
        out.push_str(&cells.join("\t"));
        out.push('\n');
    }
    if let Some(close) = close {
        out.push_str(&format!("#close\t{}\n", close.zeek_header()));
    }
    out
}

fn tsv_cell(value: &Value) -> String {
    match value {
        Value::Time(time) => time.zeek(),
        Value::Text(text) => escape(text),
        Value::Number(number) => number.clone(),
        Value::Bool(true) => "T".to_owned(),
        Value::Bool(false) => "F".to_owned(),
        Value::Vector(items) if items.is_empty() => "(empty)".to_owned(),
        Value::Vector(items) => {
            items.iter().map(|item| escape(item).replace(',', "\\x2c")).collect::<Vec<_>>().join(",")
        }
        Value::Unset => "-".to_owned(),
    }
}

fn escape(text: &str) -> String {
    match text {
        "" => "(empty)".to_owned(),
        "-" => "\\x2d".to_owned(),
        text => text.replace('\\', "\\\\").replace('\t', "\\x09"),
    }
}

/// JSON lines as the json-streaming-logs package makes Zeek write them.
pub(crate) fn json(log: &Log, rows: &[Row], system: &str) -> Result<String> {
    let mut out = String::new();
    for row in rows {
        let mut object = Object::default();
        object.text("_path", log.path)?.text("_system_name", system)?.text("_write_ts", &row.written.iso())?;
        for ((name, _), value) in log.fields.iter().zip(&row.values) {
            match value {
                Value::Time(time) => object.text(name, &time.iso())?,
                Value::Text(text) => object.text(name, text)?,
                Value::Number(number) => object.raw(name, number)?,
                Value::Bool(value) => object.raw(name, &value.to_string())?,
                Value::Vector(items) => object.texts(name, items)?,
                Value::Unset => &mut object,
            };
        }
        out.push_str(&object.finish());
        out.push('\n');
    }
    Ok(out)
}
