//! Records in the schemas of SIEMs: Elastic Common Schema, and the Open Cybersecurity Schema Framework.
//!
//! In: a line with its `certsift` object, and the certificates that the session was joined with. Out: the same record in
//! another schema. Promise: what has a field of the schema is there, of the same type always; everything else is kept
//! under the sensor's name, and the `certsift` object as it is.
//!
//! A schema is one file with a function that makes a document, named in the list below.

mod ecs;
mod facts;
mod members;
mod ocsf;
mod tree;

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Serialize as _;

use crate::correlate::{Context, Judged};
use crate::model::{Certificate, Direction, EventTime, Log, Record};
use facts::Facts;

/// How records leave.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    Default,
    clap::ValueEnum,
    serde::Deserialize,
    serde::Serialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// As they came, with the `certsift` object added.
    #[default]
    Raw,
    /// In the fields of Elastic Common Schema 9.4.
    Ecs,
    /// As events of the Open Cybersecurity Schema Framework 1.8.
    Ocsf,
}

impl Format {
    /// Its name, as it is written in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Ecs => "ecs",
            Self::Ocsf => "ocsf",
        }
    }
}

/// A record, and what it is joined with.
struct Joined<'a> {
    log: Log,
    time: Option<EventTime>,
    /// Of the record: the digest that stands in the `certsift` object too.
    id: String,
    sensor: Option<&'a str>,
    direction: Option<Direction>,
    facts: Facts<'a>,
    /// The certificate of the server; of an x509 record, the certificate itself.
    certificate: Option<&'a Certificate>,
    client_certificate: Option<&'a Certificate>,
}

/// Rewrites the line that begins at `start`, without its line end; gives where its `certsift` object begins.
pub(super) fn rewrite(lines: &mut Vec<u8>, start: usize, judged: &Judged, record: &Record, format: Format) -> usize {
    let line = lines.split_off(start);
    let line = String::from_utf8_lossy(&line);
    // Whatever a record holds, it costs that record's schema and not the process.
    let rewritten = catch_unwind(AssertUnwindSafe(|| document(&line, judged, record, format)));
    let Ok((document, object)) = rewritten else {
        lines.extend_from_slice(line.as_bytes());
        return start;
    };
    lines.extend_from_slice(&document);
    start + object
}

/// The document of a line, and where its `certsift` object begins in it.
fn document(line: &str, judged: &Judged, record: &Record, format: Format) -> (Vec<u8>, usize) {
    // What is no object is a dead letter; but names may hold half a surrogate pair, which is JSON and no text.
    let mut facts = Facts::of(line, record).unwrap_or_else(|| Facts { original: Some(line), ..Facts::default() });
    let rest = std::mem::take(&mut facts.rest);
    let joined = Joined::of(judged, record, facts);
    let tree = match format {
        Format::Raw => rest,
        Format::Ecs => ecs::document(&joined, rest),
        Format::Ocsf => ocsf::document(&joined, rest),
    };
    let mut document = Vec::with_capacity(2 * line.len());
    // Writing to memory does not fail, and no value can be refused.
    let _ = tree.serialize(&mut serde_json::Serializer::new(&mut document));
    let object = joined.facts.certsift.and_then(|object| memchr::memmem::find(&document, object.get().as_bytes()));
    (document, object.unwrap_or_default())
}

impl<'a> Joined<'a> {
    fn of(judged: &'a Judged, record: &'a Record, facts: Facts<'a>) -> Self {
        let source = &judged.batch.source;
        let named = record.sensor.map(|span| span.of(&judged.batch.text));
        let (certificate, client_certificate, direction, clock) = match &judged.context {
            Context::Session(context) => (
                context.leaf.known().map(|known| &*known.certificate),
                context.client_certificate.as_ref().map(|known| &*known.certificate),
                context.direction,
                Some(context.at),
            ),
            Context::Certificate(known) => (Some(&*known.certificate), None, None, None),
            Context::None => (None, None, None, None),
        };
        Self {
            log: record.log,
            time: record.time.or(clock),
            id: source.stream.record_id(record.offset).to_string(),
            sensor: source.sensor.as_deref().or(named),
            direction,
            facts,
            certificate,
            client_certificate,
        }
    }

    /// Zeek or Suricata, and who makes it.
    fn product(&self) -> (&'static str, &'static str) {
        if self.is_zeek() { ("Zeek", "Zeek") } else { ("Suricata", "OISF") }
    }

    fn is_zeek(&self) -> bool {
        let suricata = [Log::SuricataTls, Log::SuricataQuic, Log::SuricataAlert, Log::SuricataOther];
        !suricata.contains(&self.log)
    }
}

/// The alternative names of a certificate, each with its kind.
fn alternative_names(certificate: &Certificate) -> impl Iterator<Item = (&'static str, &str)> {
    let san = certificate.san.iter();
    san.flat_map(|san| {
        let kinds = [("dns", &san.dns), ("uri", &san.uri), ("email", &san.email), ("ip", &san.ip)];
        kinds.into_iter().flat_map(|(kind, names)| names.iter().map(move |name| (kind, &**name)))
    })
    .take(MAX_NAMES)
}

/// Alternative names of a certificate that are written.
const MAX_NAMES: usize = 20;
