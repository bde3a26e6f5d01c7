//! MISP: events of a feed's folder, exports of events and of attributes. The folder's manifest lists events and no
//! indicators.
//!
//! Of an `x509` object the fingerprints count each, and the serial number counts together with the issuer. What is not
//! meant for detection (`to_ids`) only explains.

use std::borrow::Cow;

use serde::Deserialize;

use super::Standing;
use super::address::Network;
use super::document::{Loose, Shape};
use super::format::DocumentFormat;
use super::indicator::{self, Reading};
use super::rows::{Indicator, Row, Rows};
use super::when;
use crate::model::{Serial, Sha1Digest, Sha256Digest};

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

/// What an export may be.
#[derive(Deserialize)]
#[serde(untagged)]
enum Export<'a> {
    #[serde(borrow)]
    Events(Vec<Wrapped<'a>>),
    #[serde(borrow)]
    Wrapped(Box<Wrapped<'a>>),
}

#[derive(Deserialize)]
struct Wrapped<'a> {
    #[serde(rename = "Event", borrow, default)]
    event: Option<Event<'a>>,
    #[serde(borrow, default)]
    response: Option<Box<Export<'a>>>,
    #[serde(rename = "Attribute", borrow, default)]
    attributes: Vec<Attribute<'a>>,
    #[serde(flatten, borrow)]
    own: Option<Attribute<'a>>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, default)]
    info: Option<Loose<'a>>,
    #[serde(rename = "Attribute", borrow, default)]
    attributes: Vec<Attribute<'a>>,
    #[serde(rename = "Object", borrow, default)]
    objects: Vec<Object<'a>>,
}

#[derive(Deserialize)]
struct Object<'a> {
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(rename = "Attribute", borrow, default)]
    attributes: Vec<Attribute<'a>>,
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

fn read(text: &str, rows: &mut Rows) -> Result<(), serde_json::Error> {
    let export: Export<'_> = serde_json::from_str(text)?;
    Reader { rows, number: 0 }.export(&export);
    Ok(())
}

impl Reader<'_> {
    fn export(&mut self, export: &Export<'_>) {
        match export {
            Export::Events(all) => all.iter().for_each(|wrapped| self.wrapped(wrapped)),
            Export::Wrapped(wrapped) => self.wrapped(wrapped),
        }
    }

    fn wrapped(&mut self, wrapped: &Wrapped<'_>) {
        if let Some(event) = &wrapped.event {
            self.event(event);
        }
        if let Some(export) = &wrapped.response {
            self.export(export);
        }
        wrapped.attributes.iter().chain(&wrapped.own).for_each(|attribute| self.attribute(attribute, ""));
    }

    fn event(&mut self, event: &Event<'_>) {
        let info = event.info.as_ref().map_or("", |info| &info.0);
        event.attributes.iter().for_each(|attribute| self.attribute(attribute, info));
        for object in event.objects.iter().filter(|object| !object.deleted.as_ref().is_some_and(Loose::is_true)) {
            match object.name.as_deref() {
                Some("x509") => self.certificate(object, info),
                _ => object.attributes.iter().for_each(|attribute| self.attribute(attribute, info)),
            }
        }
    }

    fn attribute(&mut self, attribute: &Attribute<'_>, info: &str) {
        self.number = self.number.saturating_add(1);
        add(self.number, attribute, info, self.rows);
    }

    /// The attributes of an `x509` object: fingerprints by themselves, the serial number with the issuer.
    fn certificate(&mut self, object: &Object<'_>, info: &str) {
        let first = self.number;
        let related = |relation: &str| {
            let is_it =
                |attribute: &&Attribute<'_>| attribute.object_relation.as_ref().is_some_and(|r| r.0 == relation);
            object.attributes.iter().filter(|attribute| !is_deleted(attribute)).find(is_it)
        };
        let serial = related("serial-number").and_then(|serial| Some((Serial::parse(&serial.value.0)?, serial)));
        let issuer =
            related("issuer").and_then(|issuer| Some((indicator::distinguished_name(&issuer.value.0)?, issuer)));
        let subject =
            related("subject").and_then(|subject| Some((indicator::distinguished_name(&subject.value.0)?, subject)));
        for attribute in &object.attributes {
            self.number = self.number.saturating_add(1);
            let relation = attribute.object_relation.as_ref().map_or("", |relation| &relation.0);
            match relation {
                _ if attribute.kind.starts_with("x509-fingerprint") => add(self.number, attribute, info, self.rows),
                // The rest describes the certificate, and names in it are often those of the victim.
                _ => self.rows.context(),
            }
        }
        let (indicator, written, of) = match (serial, issuer, subject) {
            (Some((serial, of)), Some((issuer, name)), _) => {
                (Indicator::SerialIssuer(serial, issuer), format!("{} of {}", of.value.0, name.value.0), of)
            }
            (Some((serial, of)), None, _) => (Indicator::Serial(serial), of.value.0.to_string(), of),
            (None, _, Some((subject, of))) => (Indicator::Subject(subject), of.value.0.to_string(), of),
            _ => return,
        };
        let all = object.attributes.iter();
        let is_meant = all.clone().any(|attribute| !attribute.to_ids.as_ref().is_some_and(Loose::is_false));
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
        "ja3-fingerprint-md5" => return rows.context(),
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
