//! Records go the way that they go in `replay`: correlated, judged and encoded; what comes out is explained.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::again;
use super::certificates;
use super::explanation::{ChainCertificate, Explanation, Kind};
use super::lines::Found;
use crate::cli::summary::now;
use crate::config::Config;
use crate::correlate::{Backing, CertificateStore, Context, Correlator, Judged, KeyTracker, first_key};
use crate::encode::{Detail, EncodeSettings, Format, encode};
use crate::enrich::CheckSet;
use crate::history::History;
use crate::knowledge::Knowledge;
use crate::model::{
    Batch, Body, Certificate, CertificateId, ClientFingerprints, EventTime, Faults, Log, Record, ReferenceRange,
    Session, SourceInfo, Span, StreamKey, TlsVersion, UnparsedHint,
};
use crate::state::CertificateSpill;

/// Judges certificates by themselves, as the leaf of a session of which nothing else is known.
pub(super) fn certificates(
    found: certificates::Found,
    config: &Config,
    knowledge: &Knowledge,
) -> anyhow::Result<Explanation> {
    // A certificate by itself has no time of its own.
    let now = now();
    let chain = found.others.iter().map(ChainCertificate::of).collect();
    let source = SourceInfo { stream: StreamKey([0; 32]), path: "".into(), sensor: None, time_zone: None };
    let mut object = session_with(found.leaf, now, source, config, knowledge)
        .ok_or_else(|| anyhow::anyhow!("judging the certificate failed, which is a fault of certsift"))?;
    if let Some(object) = object.as_object_mut() {
        object.remove("log");
    }
    let kind = Kind::File { form: found.form, certificates: 1 + found.others.len() };
    Ok(Explanation::new(kind, Some(now), object, knowledge, running(config)).with_chain(chain))
}

/// Judges the records of an input, each with what the others tell.
pub(super) fn lines(
    found: &[Found],
    source: &Arc<SourceInfo>,
    config: &Config,
    knowledge: &Knowledge,
) -> Vec<Explanation> {
    let judged = correlate(found, config);
    let records: HashMap<u64, &Found> =
        found.iter().filter_map(|found| Some((found.record()?.offset, found))).collect();
    // A certificate that a session shows is explained with the session.
    let mut x509_lines: HashMap<CertificateId, u64> = HashMap::new();
    let mut shown: Vec<CertificateId> = Vec::new();
    for judged in &judged {
        match &judged.context {
            Context::Certificate(known) => {
                let line = record_of(judged).and_then(|record| records.get(&record.offset)).map(|found| found.line);
                x509_lines.entry(known.certificate.id).or_insert(line.unwrap_or_default());
            }
            Context::Session(context) => {
                shown.extend(context.leaf.known().map(|known| known.certificate.id));
            }
            Context::None => {}
        }
    }
    let mut explanations = Vec::new();
    for judged in &judged {
        let Some(record) = record_of(judged) else { continue };
        let line = records.get(&record.offset).map(|found| found.line);
        let joined = match &judged.context {
            Context::Certificate(known) if shown.contains(&known.certificate.id) => continue,
            Context::Session(context) => context
                .leaf
                .known()
                .and_then(|known| x509_lines.get(&known.certificate.id))
                .copied()
                .filter(|_| record.log == Log::ZeekSsl),
            _ => None,
        };
        let explanation = match &record.body {
            Body::AlreadyEnriched => {
                again::enriched(record.line.of(&judged.batch.text), record, source, config, knowledge)
            }
            _ => object_of(judged, config, knowledge).map(|object| {
                Explanation::new(Kind::Record(record.log.name()), record.time, object, knowledge, running(config))
            }),
        };
        let name = match &record.body {
            Body::Session(session) => session.server_name.map(|name| name.of(&judged.batch.text)),
            _ => None,
        };
        explanations.extend(explanation.map(|it| it.at_line(line).joined_with(joined).for_name(name)));
    }
    explanations
}

/// The object that a session gets of which nothing but the certificate is known.
pub(super) fn session_with(
    leaf: Certificate,
    at: EventTime,
    source: SourceInfo,
    config: &Config,
    knowledge: &Knowledge,
) -> Option<Value> {
    let session = Session {
        client: None,
        server: None,
        server_port: None,
        server_name: None,
        name: None,
        version: TlsVersion::Unknown,
        resumed: false,
        established: Some(true),
        chain: ReferenceRange::default(),
        client_chain: ReferenceRange::default(),
        chain_logged: false,
        leaf_unparsed_hint: UnparsedHint::default(),
        flow: None,
        validation_status: None,
        leaf: Some(Arc::new(leaf)),
        presented: None,
        client_leaf: None,
        service: None,
        client_fingerprints: ClientFingerprints::default(),
    };
    let record = Record {
        log: Log::Unknown,
        offset: 0,
        line: Span { start: 0, len: 2 },
        time: Some(at),
        empty_object: true,
        sensor: None,
        faults: Faults::default(),
        body: Body::Session(session),
    };
    let batch = Batch {
        source: Arc::new(source),
        text: "{}".to_owned(),
        records: vec![record],
        references: Vec::new(),
        end_offset: 2,
    };
    object_of_first(batch, config, knowledge)
}

/// The object of a batch's first record.
pub(super) fn object_of_first(batch: Batch, config: &Config, knowledge: &Knowledge) -> Option<Value> {
    let found = Found { line: 1, batch: Arc::new(batch), index: 0 };
    let judged = correlate(&[found], config);
    object_of(judged.first()?, config, knowledge)
}

/// Records with what was known of them, in their order. Certificates of x509 records are known from the beginning,
/// whichever line comes first.
fn correlate(found: &[Found], config: &Config) -> Vec<Judged> {
    let certificates = CertificateStore::new(Backing::Spill(CertificateSpill::default()));
    let history = History::new(config.history, false);
    let mut correlator = Correlator::new(config.join.clone(), certificates, history, false);
    let mut judged = Vec::new();
    // Of x509 records only: what a session itself holds is learnt when its turn comes, as in `replay`.
    let mut learnt: Option<&Arc<Batch>> = None;
    for found in found.iter().filter(|found| matches!(found.record().map(|it| &it.body), Some(Body::Certificate(_)))) {
        if !learnt.is_some_and(|learnt| Arc::ptr_eq(learnt, &found.batch)) {
            correlator.learn_certificates(&found.batch);
            learnt = Some(&found.batch);
        }
    }
    let times = found.iter().filter_map(|found| found.record()?.time);
    let mut keys = KeyTracker::starting_at(first_key(times));
    for found in found {
        let key = keys.next(found.record().and_then(|record| record.time));
        correlator.process(&found.batch, found.index, key, &mut |ready| judged.push(ready));
    }
    correlator.finish(&mut |ready| judged.push(ready));
    judged.sort_by_key(|judged| record_of(judged).map(|record| record.offset));
    judged
}

/// The object as `replay` writes it, without what only a whole file and a history can say.
fn object_of(judged: &Judged, config: &Config, knowledge: &Knowledge) -> Option<Value> {
    let settings = EncodeSettings { format: Format::Raw, detail: Detail::Full, ..config.encode_settings() };
    let encoded = encode(std::slice::from_ref(judged), knowledge, &settings);
    let mut line: Value = serde_json::from_slice(&encoded.lines).ok()?;
    let mut object = line.get_mut("certsift")?.take();
    let fields = object.as_object_mut()?;
    fields.remove("id");
    fields.remove("history");
    fields.remove("alert_key");
    fields.remove("repeat");
    if let Some(issuer) = fields.get_mut("issuer_history").and_then(Value::as_object_mut) {
        issuer.retain(|key, _| key == "class");
    }
    Some(object)
}

/// The checks that run here.
pub(super) fn running(config: &Config) -> CheckSet {
    config.encode_settings().enrich.running()
}

fn record_of(judged: &Judged) -> Option<&Record> {
    judged.batch.records.get(judged.index as usize)
}
