//! A judged record becomes a line of output: the line that came in with the `certsift` object before its last brace, or
//! what `siem` makes of that.
//!
//! In: judged records in their order. Out: NDJSON, and dead letters apart. Promise: a pure function; unless another schema
//! is asked for, a line that came as JSON keeps its bytes; a record is never lost, and the object always has the shape that
//! `schemas/` publishes.

mod alert;
mod brief;
mod certificate;
mod dead_letter;
mod json;
mod line_id;
mod object;
mod schema;
mod siem;
mod undecided;

pub use schema::schemas;
pub use siem::Format;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use alert::Raised;
pub use certificate::{CertificateObject, KeyObject, NameObject, SanObject, StateName};
pub use line_id::{ID_LEN, id_in};
pub use object::{
    CertsiftObject, ChainObject, EnrichedRecord, FeedObject, HistoryObject, IssuerChangeObject, IssuerHistory,
    NameAskedObject, SideName, SignatureObject,
};

use crate::correlate::{AbsentReason, Context, Judged, KnownCertificate, Leaf, SessionContext};
use crate::enrich::{
    Assessment, CertificateAnalysis, CheckSet, EnrichSettings, Part, RunningChecks, SignatureMatch, Subject,
    TransparencyObject, Verdict, assess_certificate, assess_session, chain_of, covers, feeds_of, feeds_of_certificate,
    feeds_of_client, name_of, registrations_of, transparency_of, unregistered,
};
use crate::history::Alert;
use crate::knowledge::Knowledge;
use crate::knowledge::feeds::FeedMatch;
use crate::knowledge::names::RecentNames;
use crate::model::{Body, Direction, Fault, FaultField, Id128, Log, Problem, Record, Session};
use brief::{BriefKind, Openings};
use certificate::{CertificateState, WrittenCertificate};
use object::{ObjectHead, sensor_of};
use undecided::UndecidedLists;

/// How much an object says.
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
pub enum Detail {
    /// Everything where something was found; else which certificate it is and who issued it.
    #[default]
    Auto,
    /// Everything where something was found; else which record it is, its direction and its verdict.
    Found,
    /// Everything, always.
    Full,
}

impl Detail {
    /// Whether a record without a finding says which certificate it is.
    fn shows_certificates(self) -> bool {
        self != Self::Found
    }
}

/// Events that certsift does not enrich.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OtherEvents {
    /// They leave as they came.
    #[default]
    Pass,
    /// They do not leave.
    Drop,
}

/// What encoding needs beside the records.
#[derive(Clone, Copy, Debug)]
pub struct EncodeSettings {
    /// In which schema records leave.
    pub format: Format,
    /// How much an object says.
    pub detail: Detail,
    /// What becomes of other events.
    pub other_events: OtherEvents,
    /// Which checks run, and their thresholds.
    pub enrich: EnrichSettings,
    /// The wall clock in seconds, where registries are asked for domains that nobody knows.
    pub ask_at: Option<i64>,
}

/// Lines that are ready to be written, and what they were.
#[derive(Debug, Default)]
pub struct Encoded {
    /// Output lines.
    pub lines: Vec<u8>,
    /// Dead letters, as lines.
    pub dead_letters: Vec<u8>,
    /// What was counted.
    pub counts: Counts,
    /// Alerts among the lines, in their order, whose `repeat` is to be [settled](Self::settle).
    pub raised: Vec<Raised>,
    /// Domains for which a registry may be asked, by their keys.
    pub unregistered: BTreeMap<Id128, Box<str>>,
}

/// What records were, counted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Records written, by log.
    pub written: BTreeMap<Log, u64>,
    /// Sessions that presented a certificate.
    pub presented: u64,
    /// Sessions whose certificate was recalled.
    pub recalled: u64,
    /// Sessions without a certificate, by reason.
    pub absent: BTreeMap<AbsentReason, u64>,
    /// Verdicts on sessions.
    pub verdicts: BTreeMap<Verdict, u64>,
    /// Dead letters.
    pub dead_letters: u64,
    /// Records that carry a fault.
    pub faulty: u64,
    /// Lines that already held an object.
    pub already_enriched: u64,
    /// Records of other logs, of `files.log`, and dropped events: read and not written.
    pub not_written: u64,
    /// Sessions that could not be compared with feeds of SHA-1, by sensor; an empty name is that of inputs without one.
    pub without_sha1: BTreeMap<String, u64>,
}

impl Counts {
    /// Adds another count.
    pub fn add(&mut self, other: &Self) {
        fn merge<K: Copy + Ord>(into: &mut BTreeMap<K, u64>, from: &BTreeMap<K, u64>) {
            from.iter().for_each(|(key, count)| *into.entry(*key).or_default() += count);
        }
        merge(&mut self.written, &other.written);
        merge(&mut self.absent, &other.absent);
        merge(&mut self.verdicts, &other.verdicts);
        self.presented += other.presented;
        self.recalled += other.recalled;
        self.dead_letters += other.dead_letters;
        self.faulty += other.faulty;
        self.already_enriched += other.already_enriched;
        self.not_written += other.not_written;
        for (source, sessions) in &other.without_sha1 {
            self.add_without_sha1(source, *sessions);
        }
    }

    /// Sensors are named by what is read: no more of them are told apart than this.
    pub const MAX_SOURCES: usize = 256;

    fn add_without_sha1(&mut self, source: &str, sessions: u64) {
        if let Some(count) = self.without_sha1.get_mut(source) {
            *count += sessions;
        } else if self.without_sha1.len() < Self::MAX_SOURCES {
            self.without_sha1.insert(source.to_owned(), sessions);
        }
    }

    /// Records written.
    pub fn total_written(&self) -> u64 {
        self.written.values().sum()
    }
}

/// Encodes records. `room` is an empty vector, whose memory the lines take.
pub fn encode<'a>(
    records: &'a [Judged],
    knowledge: &'a Knowledge,
    settings: &'a EncodeSettings,
    room: Vec<u8>,
) -> Encoded {
    let mut encoded = Encoded { lines: room, ..Encoded::default() };
    let mut workplace = Workplace::new(knowledge, settings);
    encoded.lines.reserve(room_for(records, settings.detail));
    for near in records.chunks(FETCHED) {
        near.iter().for_each(fetch);
        for judged in near {
            let Some(record) = judged.batch.records.get(judged.index as usize) else { continue };
            encode_record(judged, record, &mut workplace, &mut encoded);
        }
    }
    for (SensorName(sensor), sessions) in workplace.without_sha1.0 {
        encoded.counts.add_without_sha1(sensor, sessions);
    }
    let Counts { written, absent, verdicts, .. } = &mut encoded.counts;
    (*written, *absent, *verdicts) = (workplace.written.sum(), workplace.absent.sum(), workplace.verdicts.sum());
    encoded
}

/// Bytes for the lines: those that came in, and more than most logs' objects take. Room that is not written to takes no
/// memory, and to have too little copies all lines.
fn room_for(records: &[Judged], detail: Detail) -> usize {
    let object = match detail {
        Detail::Auto => 1000,
        Detail::Found => 700,
        Detail::Full => 2500,
    };
    let line = |judged: &Judged| judged.batch.records.get(judged.index as usize).map_or(0, |record| record.line.len);
    records.iter().map(|judged| line(judged) as usize + object).sum()
}

/// Records whose context is fetched at a time.
const FETCHED: usize = 8;

/// Looks at what lies far apart in a context, which another thread wrote a while ago. Several records that are looked at
/// one after the other wait for memory at the same time; a check that comes upon its part first would wait alone.
fn fetch(judged: &Judged) {
    if let Context::Session(context) = &judged.context {
        let seen = &context.seen;
        let parts = [
            context.leaf.known().is_some(),
            context.former.is_some(),
            context.shared_client,
            seen.issuer.is_some(),
            seen.certificate.is_some(),
            seen.name.is_some(),
            seen.server.is_some(),
        ];
        std::hint::black_box(parts);
    }
}

/// What is at hand for every record of a batch.
struct Workplace<'a> {
    knowledge: &'a Knowledge,
    settings: &'a EncodeSettings,
    checks: RunningChecks,
    /// Memory for the codes of checks that cannot decide, of which nearly every record has some.
    not_evaluated: Vec<&'static str>,
    undecided: UndecidedLists,
    names: RecentNames<'a>,
    openings: Openings<'a>,
    written: Tally<Log>,
    absent: Tally<AbsentReason>,
    verdicts: Tally<Verdict>,
    without_sha1: Tally<SensorName<'a>>,
}

/// Counts by a few kinds, for which a look at each is less than a search in a map.
struct Tally<K>(Vec<(K, u64)>);

/// A sensor's name, which nearly always is the very text that the record before had: then it is not read.
#[derive(Clone, Copy)]
struct SensorName<'a>(&'a str);

impl PartialEq for SensorName<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0) || self.0 == other.0
    }
}

impl<'a> Workplace<'a> {
    fn new(knowledge: &'a Knowledge, settings: &'a EncodeSettings) -> Self {
        Self {
            knowledge,
            settings,
            checks: RunningChecks::of(&settings.enrich),
            not_evaluated: Vec::new(),
            undecided: UndecidedLists::default(),
            names: RecentNames::default(),
            openings: Openings::of(settings.detail),
            written: Tally(Vec::new()),
            absent: Tally(Vec::new()),
            verdicts: Tally(Vec::new()),
            without_sha1: Tally(Vec::new()),
        }
    }
}

impl<K: Copy + PartialEq> Tally<K> {
    fn count(&mut self, kind: K) {
        match self.0.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => self.0.push((kind, 1)),
        }
    }

    fn sum(self) -> BTreeMap<K, u64>
    where
        K: Ord,
    {
        self.0.into_iter().collect()
    }
}

fn encode_record<'a>(judged: &'a Judged, record: &Record, workplace: &mut Workplace<'a>, encoded: &mut Encoded) {
    let (knowledge, settings) = (workplace.knowledge, workplace.settings);
    let line = record.line.of(&judged.batch.text);
    match (&record.body, &judged.context) {
        (Body::DeadLetter(letter), _) => {
            dead_letter::write(&mut encoded.dead_letters, &judged.batch.source, record.offset, letter);
            encoded.counts.dead_letters += 1;
        }
        (Body::Skipped | Body::HashPair(_), _) => encoded.counts.not_written += 1,
        (Body::PassThrough, _) if settings.other_events == OtherEvents::Drop => encoded.counts.not_written += 1,
        (Body::PassThrough | Body::AlreadyEnriched, _) => {
            encoded.counts.already_enriched += u64::from(matches!(record.body, Body::AlreadyEnriched));
            let start = encoded.lines.len();
            encoded.lines.extend_from_slice(line.as_bytes());
            if settings.format != Format::Raw {
                siem::rewrite(&mut encoded.lines, start, judged, record, settings.format);
            }
            encoded.lines.push(b'\n');
            workplace.written.count(record.log);
        }
        (body, context) => {
            let start = encoded.lines.len();
            splice(&mut encoded.lines, line, record.empty_object);
            let mut object = encoded.lines.len();
            let mut alert = None;
            let counts = &mut encoded.counts;
            let (lines, unknown) = (&mut encoded.lines, &mut encoded.unregistered);
            // Whatever a record holds, handling it costs that record's object and not the process.
            let outcome = catch_unwind(AssertUnwindSafe(|| match (body, context) {
                (Body::Session(session), Context::Session(context)) => {
                    Some(write_session((lines, unknown), judged, record, session, context, workplace))
                }
                (Body::Certificate(_), Context::Certificate(known)) => {
                    write_certificate(lines, judged, record, known, workplace);
                    Some(None)
                }
                _ => None,
            }));
            let faulty = match outcome.ok().flatten() {
                Some(session) => {
                    if let (Some((verdict, key)), Context::Session(context)) = (session, context) {
                        count_session(counts, workplace, context, verdict);
                        if workplace.checks.set.meets(CheckSet::FEED) && lacks_sha1(context, knowledge) {
                            let sensor = judged.batch.source.sensor.as_deref().unwrap_or_default();
                            workplace.without_sha1.count(SensorName(sensor));
                        }
                        alert = key.map(|key| Alert { key, clock: context.clock });
                    }
                    !record.faults.is_empty()
                }
                None => {
                    encoded.lines.truncate(start);
                    splice(&mut encoded.lines, line, record.empty_object);
                    write_failed(&mut encoded.lines, judged, record, knowledge);
                    true
                }
            };
            encoded.counts.faulty += u64::from(faulty);
            encoded.lines.push(b'}');
            if settings.format != Format::Raw {
                object = siem::rewrite(&mut encoded.lines, start, judged, record, settings.format);
            }
            if let Some(alert) = alert {
                encoded.raise(alert, object);
            }
            encoded.lines.push(b'\n');
            workplace.written.count(record.log);
        }
    }
}

/// Writes the line up to its last brace and the key of the object.
fn splice(lines: &mut Vec<u8>, line: &str, empty_object: bool) {
    let open = line.strip_suffix('}').unwrap_or(line);
    lines.extend_from_slice(open.as_bytes());
    lines.extend_from_slice(if empty_object { b"\"certsift\":" } else { b",\"certsift\":" });
}

fn count_session(counts: &mut Counts, workplace: &mut Workplace<'_>, context: &SessionContext, verdict: Verdict) {
    match &context.leaf {
        Leaf::Presented(_) => counts.presented += 1,
        Leaf::Recalled { .. } => counts.recalled += 1,
        Leaf::Absent(reason) => workplace.absent.count(*reason),
    }
    workplace.verdicts.count(verdict);
}

/// Whether feeds list SHA-1 and that of the session's certificate is not known: Zeek logs SHA-256 unless told otherwise.
fn lacks_sha1(context: &SessionContext, knowledge: &Knowledge) -> bool {
    let known = context.leaf.known();
    knowledge.feeds.listed_fields().sha1 && known.is_some_and(|known| known.certificate.sha1.is_none())
}

fn write_session<'a>(
    (lines, unknown): (&mut Vec<u8>, &mut BTreeMap<Id128, Box<str>>),
    judged: &'a Judged,
    record: &Record,
    session: &Session,
    context: &'a SessionContext,
    workplace: &mut Workplace<'a>,
) -> Option<(Verdict, Option<Id128>)> {
    let Workplace { knowledge, settings, checks: running, not_evaluated, undecided, names, openings, .. } = workplace;
    let (knowledge, settings, checks) = (*knowledge, *settings, running.set);
    let known = context.leaf.known();
    let analysis = known.map(|known| analysis_of(known, knowledge, checks));
    let server_name = session.server_name.map(|span| span.of(&judged.batch.text));
    let recent_name = name_of(checks, knowledge, session, server_name, names);
    let (name, may_be_listed) = recent_name.map_or((None, true), |known| (Some(&*known.analysis), known.is_listed));
    let mut registrations = Vec::new();
    if checks.look_at(Part::Registrations) {
        registrations = registrations_of(knowledge, session, server_name, analysis, context);
        if let Some(now) = settings.ask_at {
            unknown.extend(unregistered(knowledge, server_name, analysis, context, now));
        }
    }
    let transparency = match checks.look_at(Part::Transparency) {
        true => transparency_of(knowledge, session, server_name, known.map(|known| &*known.certificate), context),
        false => TransparencyObject::default(),
    };
    let certificate = known.map(|known| &*known.certificate).zip(analysis);
    let feeds = match checks.meets(CheckSet::FEED) {
        true => feeds_of(knowledge, session, (server_name, may_be_listed), certificate, context.at),
        false => Vec::new(),
    };
    let covers = || covers(known.map(|known| &*known.certificate), server_name, recent_name);
    let validation_status = session.validation_status.map(|span| span.of(&judged.batch.text));
    let chain = match checks.look_at(Part::Chain) {
        true => chain_of(knowledge, session, validation_status, certificate, &covers, context),
        false => None,
    };
    let client = context.client_certificate.as_ref();
    let client = client.map(|known| (&*known.certificate, analysis_of(known, knowledge, checks)));
    let of_client = client.filter(|_| checks.meets(CheckSet::CLIENT_CERTIFICATE)).map(|(_, analysis)| analysis);
    let client_feeds = of_client.map(|analysis| feeds_of_client(analysis, context.at)).unwrap_or_default();
    let subject = Subject {
        knowledge,
        settings: &settings.enrich,
        session,
        server_name,
        ja4: session.client_fingerprints.ja4.map(|(span, _)| span.of(&judged.batch.text)),
        name,
        covers: &covers,
        context,
        chain,
        certificate: known.map(|known| &*known.certificate),
        analysis,
        registrations: &registrations,
        transparency: &transparency,
        feeds: &feeds,
        client,
        client_feeds: &client_feeds,
    };
    let tells_all = settings.detail == Detail::Full;
    let mut assessment = assess_session(&subject, running, std::mem::take(not_evaluated), tells_all);
    let full = tells_all || !assessment.findings.is_empty();
    let state = CertificateState::of(&context.leaf, context.at);
    let written = certificate.map(|(certificate, analysis)| (certificate, analysis.json()));
    let mut alert_key = None;
    if full {
        let mut head = ObjectHead::new(judged, record, context.direction, knowledge.version);
        let signatures =
            [signatures_of(analysis, checks), of_client.map(CertificateAnalysis::signatures).unwrap_or_default()];
        let listed = alert::Known { signatures, feeds: [&feeds, &client_feeds] };
        alert_key = alert::key_of(session, context, &assessment, &listed);
        head.alert_key = alert_key;
        let object = CertsiftObject::full(
            head,
            (&assessment, undecided.text(&assessment.not_evaluated)),
            WrittenCertificate::full(state, written, context.at),
            client.map(|(certificate, analysis)| {
                let written = Some((certificate, analysis.json()));
                WrittenCertificate::full(CertificateState::default(), written, context.at)
            }),
            Some(IssuerHistory::full(&subject)),
            Some(HistoryObject::of(context, known.map(|known| &*known.certificate))),
            name,
            chain,
            (&registrations, &transparency),
            signatures,
            [&feeds, &client_feeds],
        );
        write_object(lines, &object);
    } else {
        // Of what nothing was found in nobody is alerted.
        let issuer = || known.map(|_| IssuerHistory::brief(&subject));
        let certificate = WrittenCertificate::brief(state, written);
        write_brief(lines, openings, (judged, record), context.direction, certificate, issuer);
    }
    let verdict = assessment.verdict;
    assessment.not_evaluated.clear();
    *not_evaluated = assessment.not_evaluated;
    Some((verdict, alert_key))
}

/// Writes the object of a record in which nothing was found.
fn write_brief<'a>(
    lines: &mut Vec<u8>,
    openings: &mut Openings<'a>,
    (judged, record): (&'a Judged, &Record),
    direction: Option<Direction>,
    certificate: WrittenCertificate<'_>,
    issuer: impl FnOnce() -> Option<IssuerHistory>,
) {
    let kind = BriefKind { log: record.log, direction, absent: certificate.absent_reason() };
    let id = judged.batch.source.stream.record_id(record.offset);
    openings.write(lines, id, sensor_of(judged, record), kind);
    if openings.detail.shows_certificates() {
        if kind.absent.is_none() && !certificate.is_empty() {
            write_member(lines, b",\"certificate\":", &certificate);
        }
        if let Some(issuer) = issuer() {
            write_member(lines, b",\"issuer_history\":", &issuer);
        }
    }
    if !record.faults.is_empty() {
        let faults: Vec<String> = record.faults.iter().map(ToString::to_string).collect();
        write_member(lines, b",\"faults\":", &faults);
    }
    lines.push(b'}');
}

fn write_member(lines: &mut Vec<u8>, key: &[u8], value: &impl serde::Serialize) {
    lines.extend_from_slice(key);
    // Writing to memory does not fail, and no value of an object can be refused.
    let _ = json::write(lines, value);
}

fn write_certificate<'a>(
    lines: &mut Vec<u8>,
    judged: &'a Judged,
    record: &Record,
    known: &KnownCertificate,
    workplace: &mut Workplace<'a>,
) {
    let (knowledge, settings, checks) = (workplace.knowledge, workplace.settings, workplace.checks.set);
    let analysis = analysis_of(known, knowledge, checks);
    let feeds = match checks.meets(CheckSet::FEED) {
        true => feeds_of_certificate(analysis, record.time),
        false => Vec::new(),
    };
    let room = std::mem::take(&mut workplace.not_evaluated);
    let mut assessment =
        assess_certificate(knowledge, &known.certificate, (analysis, &feeds), record.time, checks, room);
    let certificate = Some((&*known.certificate, analysis.json()));
    let state = CertificateState::default();
    if settings.detail == Detail::Full || !assessment.findings.is_empty() {
        let head = ObjectHead::new(judged, record, None, knowledge.version);
        let certificate = match record.time {
            Some(at) => WrittenCertificate::full(state, certificate, at),
            None => WrittenCertificate::brief(state, certificate),
        };
        let signatures = signatures_of(Some(analysis), checks);
        let assessment = (&assessment, workplace.undecided.text(&assessment.not_evaluated));
        write_object(lines, &full_certificate(head, assessment, certificate, signatures, &feeds));
    } else {
        let certificate = WrittenCertificate::brief(state, certificate);
        write_brief(lines, &mut workplace.openings, (judged, record), None, certificate, || None);
    }
    assessment.not_evaluated.clear();
    workplace.not_evaluated = assessment.not_evaluated;
}

fn full_certificate<'a>(
    head: ObjectHead<'a>,
    assessment: (&'a Assessment<'a>, &'a str),
    certificate: WrittenCertificate<'a>,
    signatures: &'a [SignatureMatch],
    feeds: &'a [FeedMatch],
) -> CertsiftObject<'a> {
    CertsiftObject::full(
        head,
        assessment,
        certificate,
        None,
        None,
        None,
        None,
        None,
        (&[], &TransparencyObject::default()),
        [signatures, &[]],
        [feeds, &[]],
    )
}

fn write_failed(lines: &mut Vec<u8>, judged: &Judged, record: &Record, knowledge: &Knowledge) {
    let mut head = ObjectHead::new(judged, record, None, knowledge.version);
    head.faults.push(Fault::new(FaultField::Record, Problem::Failed).to_string());
    let certificate = WrittenCertificate::brief(CertificateState::default(), None);
    write_object(lines, &CertsiftObject::brief(head, Verdict::Unknown, certificate, None));
}

fn write_object(lines: &mut Vec<u8>, object: &CertsiftObject<'_>) {
    // Writing to memory does not fail, and no value of the object can be refused.
    let _ = json::write(lines, object);
}

fn analysis_of<'a>(known: &'a KnownCertificate, knowledge: &Knowledge, checks: CheckSet) -> &'a CertificateAnalysis {
    known.analysis.get_or_init(|| {
        CertificateAnalysis::of(&known.certificate, knowledge, checks).counted(&known.certificate, &known.telling)
    })
}

/// The signatures that are told of on the server's side; others may look at them where the check is off.
fn signatures_of(analysis: Option<&CertificateAnalysis>, checks: CheckSet) -> &[SignatureMatch] {
    let analysis = analysis.filter(|_| checks.meets(CheckSet::SIGNATURE));
    analysis.map(CertificateAnalysis::signatures).unwrap_or_default()
}
