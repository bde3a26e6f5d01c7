//! STIX 2.1: indicators with a pattern, and `x509-certificate` objects by themselves, which describe what was observed and
//! accuse nobody. They stand in a bundle, in the envelope of a TAXII server, in a list, or one on a line.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Standing;
use super::address::Network;
use super::document::{Loose, Shape, elements};
use super::format::DocumentFormat;
use super::indicator::{self, Reading};
use super::rows::{Indicator, Row, Rows};
use super::stix_pattern::{self, Comparison};
use super::threatfox::MIN_CONFIDENCE;
use super::{when, written_name};
use crate::model::{Serial, Sha1Digest, Sha256Digest};

pub(super) const FORMAT: DocumentFormat = DocumentFormat {
    name: "STIX bundle",
    recognise: |shape: &Shape| {
        let is_envelope = shape.has("objects") && shape.kind.as_deref().is_none_or(|kind| kind == "bundle");
        let is_said = shape.has("spec_version") || shape.has("pattern");
        is_envelope || shape.kind.is_some() && (is_said || shape.has("created") && shape.has("modified"))
    },
    read,
};

/// A bundle, or what a TAXII server answers.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    objects: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
}

#[derive(Deserialize)]
struct IndicatorObject<'a> {
    #[serde(borrow)]
    pattern: Cow<'a, str>,
    #[serde(borrow, default)]
    pattern_type: Option<Loose<'a>>,
    #[serde(borrow, default)]
    name: Option<Loose<'a>>,
    #[serde(borrow, default)]
    created: Option<Loose<'a>>,
    #[serde(borrow, default)]
    valid_from: Option<Loose<'a>>,
    #[serde(borrow, default)]
    valid_until: Option<Loose<'a>>,
    #[serde(borrow, default)]
    revoked: Option<Loose<'a>>,
    #[serde(borrow, default)]
    confidence: Option<Loose<'a>>,
    #[serde(borrow, default)]
    indicator_types: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct CertificateObject<'a> {
    #[serde(borrow, default)]
    hashes: std::collections::BTreeMap<Cow<'a, str>, Loose<'a>>,
    #[serde(borrow, default)]
    serial_number: Option<Loose<'a>>,
    #[serde(borrow, default)]
    issuer: Option<Loose<'a>>,
}

const NOT_ONE: Reading = Reading::Bad("a value of the pattern is not of its type");

fn read(text: &str, rows: &mut Rows) -> Result<(), serde_json::Error> {
    let document: &RawValue = serde_json::from_str(text)?;
    let objects = match elements(document) {
        Some(all) => all.into_iter().flat_map(|one| objects_in(one).unwrap_or_else(|_| vec![one])).collect(),
        None => objects_in(document)?,
    };
    for (number, object) in (1..).zip(objects) {
        let Ok(Kind { kind }) = serde_json::from_str(object.get()) else {
            rows.bad(number, "an object without a type");
            continue;
        };
        match &*kind {
            "indicator" => match serde_json::from_str(object.get()) {
                Ok(indicator) => read_indicator(number, &indicator, rows),
                Err(_) => rows.bad(number, "an indicator that lacks what it needs"),
            },
            "x509-certificate" => match serde_json::from_str(object.get()) {
                Ok(certificate) => read_certificate(number, &certificate, rows),
                Err(_) => rows.bad(number, "a certificate that is not described as it should be"),
            },
            // What surrounds indicators: reports, relationships, malware.
            _ => {}
        }
    }
    Ok(())
}

/// The objects of an envelope; any other object is one itself.
fn objects_in(raw: &RawValue) -> Result<Vec<&RawValue>, serde_json::Error> {
    let Envelope { objects } = serde_json::from_str(raw.get())?;
    Ok(objects.unwrap_or_else(|| vec![raw]))
}

fn read_indicator(number: u32, object: &IndicatorObject<'_>, rows: &mut Rows) {
    if object.revoked.as_ref().is_some_and(Loose::is_true) {
        return rows.expired();
    }
    if object.pattern_type.as_ref().is_some_and(|kind| kind.0 != "stix") {
        return rows.unsupported(number, "a pattern of another language");
    }
    let time = |text: &Option<Loose<'_>>| text.as_ref().and_then(|text| when::parse(&text.0));
    let confidence: Option<u8> = object.confidence.as_ref().and_then(|percent| percent.0.parse().ok());
    let types = object.indicator_types.map(texts).unwrap_or_default();
    let is_said_to_be = |wanted: &str| types.iter().any(|kind| kind.0 == wanted);
    let standing = if is_said_to_be("benign") {
        Standing::Informative
    } else if is_said_to_be("compromised") {
        Standing::Compromised
    } else if confidence.is_some_and(|percent| (1..MIN_CONFIDENCE).contains(&percent)) {
        Standing::Doubtful
    } else {
        Standing::Malicious
    };
    let alternatives = match stix_pattern::parse(&object.pattern) {
        Ok(alternatives) => alternatives,
        Err(why) => return rows.unsupported(number, why),
    };
    let expires = time(&object.valid_until);
    if expires.is_none() && object.valid_until.is_some() {
        return rows.bad(number, "valid_until is not a time");
    }
    for all in alternatives {
        let (reading, written) = together(&all);
        match reading {
            Reading::Row(found) => rows.add(
                number,
                Row {
                    label: object.name.as_ref().map_or("", |name| &name.0),
                    written: &written,
                    listed: time(&object.created).or_else(|| time(&object.valid_from)),
                    expires,
                    confidence,
                    standing,
                    ..Row::of(found)
                },
            ),
            Reading::Unsupported(what) => rows.unsupported(number, what),
            Reading::Bad(problem) => rows.bad(number, problem),
        }
    }
}

/// A list of texts, or one text in its place.
fn texts(raw: &RawValue) -> Vec<Loose<'_>> {
    let one = || serde_json::from_str(raw.get()).map(|text| vec![text]);
    serde_json::from_str(raw.get()).or_else(|_| one()).unwrap_or_default()
}

/// What comparisons that hold together list, and how it is written where that has to be kept.
///
/// Beside a hash other facts of the same certificate say nothing more, and beside a serial number and its issuer hardly.
fn together(all: &[Comparison]) -> (Reading, String) {
    let value = |path: &str| all.iter().find(|one| one.path == path).map(|one| &*one.value);
    let is_certificate = all.iter().all(|one| one.path.starts_with("x509-certificate:"));
    let plain = |reading| (reading, String::new());
    if is_certificate {
        for path in ["x509-certificate:hashes.sha-256", "x509-certificate:hashes.sha256"] {
            if let Some(text) = value(path) {
                return plain(
                    Sha256Digest::parse(text).map_or(NOT_ONE, |digest| Reading::Row(Indicator::Sha256(digest))),
                );
            }
        }
        for path in ["x509-certificate:hashes.sha-1", "x509-certificate:hashes.sha1"] {
            if let Some(text) = value(path) {
                return plain(Sha1Digest::parse(text).map_or(NOT_ONE, |digest| Reading::Row(Indicator::Sha1(digest))));
            }
        }
        let name = written_name::parse;
        let parts = ["serial_number", "issuer", "subject"].map(|key| value(&format!("x509-certificate:{key}")));
        let reading = match (parts, all.len()) {
            ([Some(serial), Some(issuer), _], 2 | 3) => match (Serial::parse(serial), name(issuer)) {
                (Some(number), Some(name)) => {
                    let written = format!("{serial} of {issuer}");
                    return (Reading::Row(Indicator::SerialIssuer(number, name)), written);
                }
                _ => NOT_ONE,
            },
            ([Some(serial), None, None], 1) => {
                Serial::parse(serial).map_or(NOT_ONE, |n| Reading::Row(Indicator::Serial(n)))
            }
            ([None, None, Some(subject)], 1) => name(subject).map_or(NOT_ONE, |n| Reading::Row(Indicator::Subject(n))),
            ([None, Some(issuer), None], 1) => name(issuer).map_or(NOT_ONE, |n| Reading::Row(Indicator::Issuer(n))),
            _ => Reading::Unsupported("a pattern on other facts of certificates"),
        };
        return (reading, parts.into_iter().flatten().next().unwrap_or_default().to_owned());
    }
    let [one] = all else { return plain(Reading::Unsupported("a pattern on several things at once")) };
    plain(match &*one.path {
        "domain-name:value" => {
            indicator::name(&one.value).map_or_else(Reading::Bad, |name| Reading::Row(Indicator::Name(name)))
        }
        "ipv4-addr:value" | "ipv6-addr:value" => {
            Network::parse(&one.value).map_or(NOT_ONE, |network| Reading::Row(Indicator::Network(network, None)))
        }
        "url:value" => indicator::url(&one.value),
        _ => Reading::Unsupported("a pattern on something other than certificates, names and addresses"),
    })
}

fn read_certificate(number: u32, object: &CertificateObject<'_>, rows: &mut Rows) {
    let hash = |wanted: &str| {
        let is_it = |key: &str| key.replace('-', "").eq_ignore_ascii_case(wanted);
        object.hashes.iter().find(|(key, _)| is_it(key)).map(|(_, value)| &*value.0)
    };
    let mut add = |indicator: Indicator, written: &str| {
        rows.add(number, Row { written, standing: Standing::Informative, ..Row::of(indicator) });
    };
    let mut found = false;
    if let Some(digest) = hash("sha256").and_then(Sha256Digest::parse) {
        add(Indicator::Sha256(digest), "");
        found = true;
    }
    if let Some(digest) = hash("sha1").and_then(Sha1Digest::parse) {
        add(Indicator::Sha1(digest), "");
        found = true;
    }
    let serial = object.serial_number.as_ref().map(|serial| &*serial.0);
    let issuer = object.issuer.as_ref().map(|issuer| &*issuer.0);
    if let Some((serial, issuer)) = serial.zip(issuer)
        && let Some((number, name)) = Serial::parse(serial).zip(written_name::parse(issuer))
    {
        add(Indicator::SerialIssuer(number, name), &format!("{serial} of {issuer}"));
        found = true;
    }
    if !found {
        rows.unsupported(number, "a certificate without a hash, and without serial number and issuer");
    }
}
