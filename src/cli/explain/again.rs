//! Enriched records: what was said then, and what the knowledge of today says of the same certificate.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};

use super::explanation::{Explanation, Kind};
use super::judge;
use crate::config::Config;
use crate::decode::{DecodeContext, Detected, Format, RawBatch, decode, detect};
use crate::enrich::{CheckSet, checks};
use crate::knowledge::Knowledge;
use crate::model::{
    Body, Certificate, CertificateSource, DistinguishedName, EventTime, Key, Log, Record, SelfSigned, Serial,
    Sha1Digest, Sha256Digest, SourceInfo, SubjectAltNames, ValidityTime,
};

/// What the knowledge of today makes of an enriched record.
#[derive(Serialize)]
pub(super) struct JudgedAgain {
    /// Findings that the record does not hold.
    pub(super) new: Vec<String>,
    /// Findings of the record that there are no more.
    pub(super) gone: Vec<String>,
    /// The verdict of today, where history has no part in that of the record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) verdict: Option<String>,
    /// The record says so little of the certificate that most signatures cannot be looked up.
    pub(super) short_form: bool,
}

/// Explains an enriched record by what it holds.
pub(super) fn enriched(
    line: &str,
    record: &Record,
    source: &Arc<SourceInfo>,
    config: &Config,
    knowledge: &Knowledge,
) -> Option<Explanation> {
    let mut whole: Value = serde_json::from_str(line).ok()?;
    let stored = whole.as_object_mut()?.remove("certsift").filter(Value::is_object)?;
    let log = text(&stored, &["log"]).unwrap_or(record.log.name()).to_owned();
    let today = judge_again(&whole, &stored, &log, record.time, source, config, knowledge);
    let running = judge::running(config);
    let again = today.map(|today| compare(&stored, &today, running));
    Some(Explanation::new(Kind::Enriched(log), record.time, stored, knowledge, running).with_judged_again(again))
}

/// The object that the record would get today: its own fields with the certificate that it showed then.
fn judge_again(
    record: &Value,
    stored: &Value,
    log: &str,
    time: Option<EventTime>,
    source: &Arc<SourceInfo>,
    config: &Config,
    knowledge: &Knowledge,
) -> Option<Value> {
    let certificate = stored.get("certificate").and_then(Value::as_object);
    let rebuilt = certificate.filter(|fields| fields.contains_key("subject")).map(|fields| rebuild(fields, log));
    let of_client = stored.get("client_certificate").and_then(Value::as_object).map(|fields| rebuild(fields, log));
    let line = record.to_string().into_bytes();
    let format = match detect(&line, "") {
        Detected::Format(format) => format,
        _ => Format::ZeekJson(Log::Unknown),
    };
    let raw = RawBatch { bytes: line, offset: 0, format, oversize: None };
    let mut batch = decode(&DecodeContext::default(), source, raw);
    match batch.records.first_mut().map(|record| &mut record.body) {
        Some(Body::Session(session)) => {
            if session.leaf.is_none() {
                session.leaf = rebuilt.map(Arc::new);
            }
            if session.client_leaf.is_none() {
                session.client_leaf = of_client.map(Arc::new);
            }
            judge::object_of_first(batch, config, knowledge)
        }
        Some(Body::Certificate(_)) => judge::object_of_first(batch, config, knowledge),
        // Of the record nothing is left but the object: then the certificate is all there is.
        _ => {
            let source = SourceInfo { stream: source.stream, path: "".into(), sensor: None, time_zone: None };
            judge::session_with(rebuilt?, time.unwrap_or(EventTime(0)), source, config, knowledge)
        }
    }
}

fn compare(stored: &Value, today: &Value, running: CheckSet) -> JudgedAgain {
    let (then, now) = (findings(stored, running), findings(today, running));
    let added = now.iter().filter(|finding| !then.contains(finding)).cloned().collect();
    let gone = then.iter().filter(|finding| !now.contains(finding)).cloned().collect();
    let is_of_its_time = |finding: &Value| text(finding, &["id"]).is_some_and(asks_history) || is_of_registry(finding);
    let is_off = |finding: &Value| text(finding, &["id"]).is_some_and(|id| is_off(id, running));
    let depends = weighing(stored).any(|finding| is_of_its_time(finding) || is_off(finding));
    let verdict = text(today, &["verdict"]).filter(|_| !depends).map(str::to_owned);
    let short_form = stored.get("reason").is_none();
    JudgedAgain { new: added, gone, verdict, short_form }
}

/// Findings that can be compared: those of checks that run here and that need no history and no answers of registries,
/// which are where the record was judged.
fn findings(object: &Value, running: CheckSet) -> Vec<String> {
    let list = object.get("findings").and_then(Value::as_array).into_iter().flatten();
    list.filter(|finding| !is_of_registry(finding))
        .filter_map(|finding| {
            let id = text(finding, &["id"])?;
            let known = running.iter().any(|check| check.id == id && !check.asks_history());
            let evidence = text(finding, &["evidence"]).filter(|_| id == "signature");
            known.then(|| evidence.map_or_else(|| id.to_owned(), |evidence| format!("{id} {evidence}")))
        })
        .collect()
}

/// Findings that have a part in the verdict.
fn weighing(object: &Value) -> impl Iterator<Item = &Value> {
    let list = object.get("findings").and_then(Value::as_array).into_iter().flatten();
    list.filter(|finding| finding["weight"].as_f64() != Some(0.0))
}

/// Whether a registry that was asked is who says so.
fn is_of_registry(finding: &Value) -> bool {
    text(finding, &["evidence"]).is_some_and(|evidence| evidence.starts_with("rdap:"))
}

/// Whether it is a check that this version has and that does not run here.
fn is_off(id: &str, running: CheckSet) -> bool {
    CheckSet::ALL.without(running).meets(CheckSet::one(id))
}

fn asks_history(id: &str) -> bool {
    checks().iter().any(|check| check.id == id && check.asks_history())
}

/// The certificate that an object tells of, as far as it does.
fn rebuild(fields: &Map<String, Value>, log: &str) -> Certificate {
    let field = |name: &str| fields.get(name).and_then(Value::as_str);
    let name = |side: &str| {
        let printed = fields.get(side)?.get("dn")?.as_str()?;
        Some(match log.starts_with("suricata") {
            true => DistinguishedName::from_suricata(printed),
            false => DistinguishedName::from_rfc2253(printed),
        })
    };
    let key = fields.get("key").and_then(Value::as_object).and_then(|key| {
        Some(Key {
            algorithm: key.get("type")?.as_str()?.into(),
            bits: key.get("bits").and_then(Value::as_u64).and_then(|bits| u32::try_from(bits).ok()),
            curve: key.get("curve").and_then(Value::as_str).map(Into::into),
        })
    });
    Certificate {
        sha256: field("sha256").and_then(Sha256Digest::parse),
        sha1: field("sha1").and_then(Sha1Digest::parse),
        spki_sha256: field("spki_sha256").and_then(Sha256Digest::parse),
        serial: field("serial").and_then(Serial::parse),
        subject: name("subject"),
        issuer: name("issuer"),
        not_before: field("not_before").and_then(ValidityTime::parse_iso8601),
        not_after: field("not_after").and_then(ValidityTime::parse_iso8601),
        key,
        signature_algorithm: field("signature_algorithm").map(Into::into),
        san: fields.get("san").map(alternative_names),
        ca: fields.get("ca").and_then(Value::as_bool),
        self_signed: match field("self_signed") {
            Some("verified") => Some(SelfSigned::Verified),
            Some("same_name") => Some(SelfSigned::SameName),
            Some("no") => Some(SelfSigned::No),
            _ => None,
        },
        ..Certificate::unknown(CertificateSource::LogStrings)
    }
    .with_id()
}

fn alternative_names(san: &Value) -> SubjectAltNames {
    let mut names = SubjectAltNames::default();
    let mut each = |kind: &str, push: fn(&mut SubjectAltNames, &str)| {
        let list = san.get(kind).and_then(Value::as_array).into_iter().flatten();
        list.filter_map(Value::as_str).for_each(|name| push(&mut names, name));
    };
    each("dns", SubjectAltNames::push_dns);
    each("ip", SubjectAltNames::push_ip);
    each("uri", SubjectAltNames::push_uri);
    each("email", SubjectAltNames::push_email);
    names
}

/// A text inside of objects.
pub(super) fn text<'a>(value: &'a Value, path: &[&str]) -> Option<&'a str> {
    path.iter().try_fold(value, |value, key| value.get(key))?.as_str()
}
