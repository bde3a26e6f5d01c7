//! MISP: events of a feed's folder, exports of events and of attributes. The folder's manifest lists events and no
//! indicators.
//!
//! Of an `x509` object the fingerprints count each, and the serial number counts together with the issuer. What is not
//! meant for detection (`to_ids`) only explains.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Standing;
use super::address::Network;
use super::document::{Loose, Shape, elements};
use super::format::DocumentFormat;
use super::indicator::{self, Reading};
use super::rows::{Indicator, Row, Rows};
use super::{when, written_name};
use crate::model::{Ja3, Serial, Sha1Digest, Sha256Digest};

pub(super) const FORMAT: DocumentFormat = DocumentFormat {
    name: "MISP",
    recognise: |shape: &Shape| {
        ["Event", "response", "Attribute"].iter().any(|key| shape.has(key)) || shape.has("to_ids") && shape.has("value")
    },
    read,
};

/// `manifest.json` of a feed's folder.
pub(super) const MANIFEST: DocumentFormat = DocumentFormat {
    name: "MISP manifest",
    recognise: |shape: &Shape| {
        let is_uuid = |key: &String| key.len() == 36 && key.bytes().filter(|&byte| byte == b'-').count() == 4;
        !shape.is_list && !shape.keys.is_empty() && shape.keys.iter().all(is_uuid)
    },
    read: |_, _| Ok(()),
};

/// What an export may hold beside an attribute of its own. Everything within is read by itself.
#[derive(Deserialize)]
struct Wrapped<'a> {
    #[serde(rename = "Event", borrow, default)]
    event: Option<&'a RawValue>,
    #[serde(borrow, default)]
    response: Option<&'a RawValue>,
    #[serde(rename = "Attribute", borrow, default)]
    attributes: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, default)]
    info: Option<Loose<'a>>,
    #[serde(rename = "Attribute", borrow, default)]
    attributes: Option<&'a RawValue>,
    #[serde(rename = "Object", borrow, default)]
    objects: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Object<'a> {
    #[serde(borrow, default)]
    name: Option<Loose<'a>>,
    #[serde(rename = "Attribute", borrow, default)]
    attributes: Option<&'a RawValue>,
    #[serde(borrow, default)]
    deleted: Option<Loose<'a>>,
}

/// An attribute, as far as it is looked at.
#[derive(Deserialize)]
pub(super) struct Attribute<'a> {
    #[serde(rename = "type", borrow)]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) value: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) to_ids: Option<Loose<'a>>,
    #[serde(borrow, default)]
    pub(super) comment: Option<Loose<'a>>,
    #[serde(borrow, default)]
    pub(super) timestamp: Option<Loose<'a>>,
    #[serde(borrow, default)]
    pub(super) object_relation: Option<Loose<'a>>,
    #[serde(borrow, default)]
    pub(super) deleted: Option<Loose<'a>>,
}

/// Numbers attributes in the order of the document.
struct Reader<'a> {
    rows: &'a mut Rows,
    number: u32,
}

/// `response` within `response` that are followed.
const MAX_DEPTH: usize = 4;

const NOT_AN_ATTRIBUTE: &str = "an attribute without a type or a value";
const NOT_AN_OBJECT: &str = "it is no object";
const NOT_A_LIST: &str = "a list that is none";

fn read(text: &str, rows: &mut Rows) -> Result<(), serde_json::Error> {
    let export: &RawValue = serde_json::from_str(text)?;
    Reader { rows, number: 0 }.export(export, 0);
    Ok(())
}

impl<'a> Reader<'_> {
    fn export(&mut self, export: &'a RawValue, depth: usize) {
        match elements(export) {
            Some(all) => all.into_iter().for_each(|wrapped| self.wrapped(wrapped, depth)),
            None => self.wrapped(export, depth),
        }
    }

    fn wrapped(&mut self, raw: &'a RawValue, depth: usize) {
        let Some(wrapped) = self.object::<Wrapped<'_>>(raw, NOT_AN_OBJECT) else { return };
        if let Some(event) = wrapped.event {
            self.event(event);
        }
        match wrapped.response {
            Some(export) if depth < MAX_DEPTH => self.export(export, depth + 1),
            Some(_) => {
                self.number = self.number.saturating_add(1);
                self.rows.bad(self.number, "a response within too many others");
            }
            None => {}
        }
        match wrapped {
            Wrapped { event: None, response: None, attributes: None } => self.attribute(raw, ""),
            _ => self.elements(wrapped.attributes).into_iter().for_each(|attribute| self.attribute(attribute, "")),
        }
    }

    fn event(&mut self, raw: &'a RawValue) {
        let Some(event) = self.object::<Event<'_>>(raw, NOT_AN_OBJECT) else { return };
        let info = event.info.as_ref().map_or("", |info| &info.0);
        self.elements(event.attributes).into_iter().for_each(|attribute| self.attribute(attribute, info));
        for raw in self.elements(event.objects) {
            let Some(object) = self.object::<Object<'_>>(raw, NOT_AN_OBJECT) else { continue };
            if object.deleted.as_ref().is_some_and(Loose::is_true) {
                continue;
            }
            let attributes = self.elements(object.attributes);
            match object.name.as_ref().is_some_and(|name| name.0 == "x509") {
                true => self.certificate(&attributes, info),
                false => attributes.into_iter().for_each(|attribute| self.attribute(attribute, info)),
            }
        }
    }

    fn attribute(&mut self, raw: &'a RawValue, info: &str) {
        self.number = self.number.saturating_add(1);
        match serde_json::from_str(raw.get()) {
            Ok(attribute) => add(self.number, &attribute, info, self.rows),
            Err(_) => self.rows.bad(self.number, NOT_AN_ATTRIBUTE),
        }
    }

    /// What a value is read as; one that is something else counts as a row.
    fn object<T: Deserialize<'a>>(&mut self, raw: &'a RawValue, problem: &'static str) -> Option<T> {
        let read = serde_json::from_str(raw.get()).ok();
        if read.is_none() {
            self.number = self.number.saturating_add(1);
            self.rows.bad(self.number, problem);
        }
        read
    }

    /// The elements of a list; an object in its place is one, and something else counts as a row.
    fn elements(&mut self, raw: Option<&'a RawValue>) -> Vec<&'a RawValue> {
        if let Some(raw) = raw.filter(|raw| raw.get().starts_with('{')) {
            return vec![raw];
        }
        raw.and_then(|raw| self.object(raw, NOT_A_LIST)).unwrap_or_default()
    }

    /// The attributes of an `x509` object: fingerprints by themselves, the serial number with the issuer.
    fn certificate(&mut self, attributes: &[&'a RawValue], info: &str) {
        let first = self.number;
        let mut read: Vec<Attribute<'_>> = Vec::new();
        for raw in attributes {
            self.number = self.number.saturating_add(1);
            match serde_json::from_str::<Attribute<'_>>(raw.get()) {
                Err(_) => self.rows.bad(self.number, NOT_AN_ATTRIBUTE),
                Ok(attribute) => {
                    match attribute.kind.starts_with("x509-fingerprint") {
                        true => add(self.number, &attribute, info, self.rows),
                        // The rest describes the certificate, and names in it are often those of the victim.
                        false => self.rows.context(),
                    }
                    read.push(attribute);
                }
            }
        }
        let related = |relation: &str| {
            let is_it =
                |attribute: &&Attribute<'_>| attribute.object_relation.as_ref().is_some_and(|r| r.0 == relation);
            read.iter().filter(|attribute| !is_deleted(attribute)).find(is_it)
        };
        let serial = related("serial-number").and_then(|serial| Some((Serial::parse(&serial.value.0)?, serial)));
        let issuer = related("issuer").and_then(|issuer| Some((written_name::parse(&issuer.value.0)?, issuer)));
        let subject = related("subject").and_then(|subject| Some((written_name::parse(&subject.value.0)?, subject)));
        let (indicator, written, of) = match (serial, issuer, subject) {
            (Some((serial, of)), Some((issuer, name)), _) => {
                (Indicator::SerialIssuer(serial, issuer), format!("{} of {}", of.value.0, name.value.0), of)
            }
            (Some((serial, of)), None, _) => (Indicator::Serial(serial), of.value.0.to_string(), of),
            (None, _, Some((subject, of))) => (Indicator::Subject(subject), of.value.0.to_string(), of),
            _ => return,
        };
        let is_meant = read.iter().any(|attribute| !attribute.to_ids.as_ref().is_some_and(Loose::is_false));
        let comment = of.comment.as_ref().map_or("", |comment| &comment.0);
        let row = Row {
            label: if comment.is_empty() { info } else { comment },
            written: &written,
            listed: of.timestamp.as_ref().and_then(|time| when::parse(&time.0)),
            standing: if is_meant { Standing::Malicious } else { Standing::Informative },
            ..Row::of(indicator)
        };
        self.rows.add(first.saturating_add(1), row);
    }
}

/// Adds an attribute by itself.
pub(super) fn add(number: u32, attribute: &Attribute<'_>, info: &str, rows: &mut Rows) {
    if is_deleted(attribute) {
        return rows.expired();
    }
    let value = attribute.value.0.trim();
    let (reading, only_explains) = match &*attribute.kind {
        "x509-fingerprint-sha1" => (Sha1Digest::parse(value).map(Indicator::Sha1).map_or(NOT_ONE, Reading::Row), false),
        "x509-fingerprint-sha256" => {
            (Sha256Digest::parse(value).map(Indicator::Sha256).map_or(NOT_ONE, Reading::Row), false)
        }
        "domain" | "hostname" => (name(value), false),
        "domain|ip" => (name(value.split('|').next().unwrap_or_default()), false),
        "hostname|port" => (name(value.split(['|', ':']).next().unwrap_or_default()), false),
        "url" | "uri" => (indicator::url(value), false),
        "ip-dst" => (network(value, None), false),
        "ip-dst|port" => (network_and_port(value), false),
        // Where attacks come from; here servers are looked up.
        "ip-src" => (network(value, None), true),
        "ip-src|port" => (network_and_port(value), true),
        // What a client offers; many clients offer the same.
        "ja3-fingerprint-md5" => (Ja3::parse(value).map(Indicator::Ja3).map_or(NOT_ONE, Reading::Row), true),
        other => return rows.unsupported(number, other),
    };
    let found = match reading {
        Reading::Row(found) => found,
        Reading::Unsupported(what) => return rows.unsupported(number, what),
        Reading::Bad(problem) => return rows.bad(number, problem),
    };
    let only_explains = only_explains || attribute.to_ids.as_ref().is_some_and(Loose::is_false);
    let comment = attribute.comment.as_ref().map_or("", |comment| comment.0.trim());
    let row = Row {
        label: if comment.is_empty() { info } else { comment },
        listed: attribute.timestamp.as_ref().and_then(|time| when::parse(&time.0)),
        standing: if only_explains { Standing::Informative } else { Standing::Malicious },
        ..Row::of(found)
    };
    rows.add(number, row);
}

const NOT_ONE: Reading = Reading::Bad("the value is not of its type");

fn is_deleted(attribute: &Attribute<'_>) -> bool {
    attribute.deleted.as_ref().is_some_and(Loose::is_true)
}

fn name(text: &str) -> Reading {
    indicator::name(text).map_or_else(Reading::Bad, |name| Reading::Row(Indicator::Name(name)))
}

fn network(text: &str, port: Option<u16>) -> Reading {
    Network::parse(text).map_or(NOT_ONE, |network| Reading::Row(Indicator::Network(network, port)))
}

fn network_and_port(text: &str) -> Reading {
    let port = text.split_once('|').and_then(|(address, port)| Some((address, port.parse().ok()?)));
    match port.or_else(|| text.rsplit_once(':').and_then(|(address, port)| Some((address, port.parse().ok()?)))) {
        Some((address, port)) => network(address, Some(port)),
        None => NOT_ONE,
    }
}
