//! The `certsift` object, as `schemas/enriched.schema.json` publishes it.
//!
//! Absent means absent: a key without a value is left out. Keys are fixed; what attackers choose is only ever a value.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};

use super::certificate::{CertificateObject, WrittenCertificate};
use super::json;
use crate::correlate::{Judged, LATELY, SessionContext};
use crate::enrich::{
    Assessment, DomainRegistration, Finding, Found, IssuerClass, SignatureMatch, Subject, TransparencyObject, Verdict,
    age_days, issuer_called, issuer_class, issuer_is_rare,
};
use crate::history::LearningReason;
use crate::knowledge::KnowledgeVersion;
use crate::knowledge::feeds::{FeedMatch, MatchKind, Standing};
use crate::knowledge::names::NameAnalysis;
use crate::knowledge::signatures::{Confidence, Verdict as SignatureVerdict};
use crate::knowledge::trust::{Chain, ChainJudge, ChainReason, ChainStatus};
use crate::model::{
    Certificate, Direction, EventTime, Id128, Log, Record, RecordId, Serial, Sha1Digest, Sha256Digest, ValidityTime,
};

/// A line of output: the record as it came, with the `certsift` object added where certsift has something to say.
#[derive(JsonSchema)]
pub struct EnrichedRecord {
    /// What certsift says of the record; left out on records that pass through.
    #[schemars(skip_serializing_if = "Option::is_none")]
    #[allow(dead_code, reason = "the type exists for its schema")]
    certsift: Option<CertsiftObject<'static>>,
}

/// What certsift says of a record.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertsiftObject<'a> {
    /// Version of this object: 1.
    schema: u8,
    /// Identity of the record, from the content of its file and its offset there: 32 hexadecimal digits.
    pub(super) id: Text<RecordId>,
    /// `zeek.ssl`, `zeek.x509`, `suricata.tls`, `suricata.quic` or `suricata.alert`.
    log: &'a str,
    /// The sensor, by the configuration or by the record.
    #[serde(skip_serializing_if = "Option::is_none")]
    sensor: Option<&'a str>,
    /// Who connected to whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    direction: Option<Direction>,
    /// What to make of it.
    verdict: Verdict,
    /// 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    score: Option<u8>,
    /// The verdict in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    /// Of a session above `info`: the same for the same client, server, certificate or else name, and findings. 32
    /// hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    alert_key: Option<Text<Id128>>,
    /// Whether a record with that key came within the 24 hours before.
    #[serde(skip_serializing_if = "Option::is_none")]
    repeat: Option<bool>,
    /// Ids of the findings, for searching.
    #[serde(skip_serializing_if = "<[_]>::is_empty", serialize_with = "ids")]
    #[schemars(with = "Vec<&'a str>")]
    finding_ids: &'a [Found<'a>],
    /// MITRE ATT&CK techniques of the findings, for searching.
    #[serde(skip_serializing_if = "have_no_technique", serialize_with = "techniques")]
    #[schemars(with = "Vec<&'a str>")]
    techniques: &'a [Found<'a>],
    /// Tools and products that signatures name, for searching.
    #[serde(skip_serializing_if = "has_none", serialize_with = "tools")]
    #[schemars(with = "Vec<&'a str>")]
    tools: [&'a [SignatureMatch]; 2],
    /// What was found.
    #[serde(skip_serializing_if = "<[_]>::is_empty", serialize_with = "findings")]
    #[schemars(with = "Vec<Finding<'a>>")]
    findings: &'a [Found<'a>],
    /// The leaf that the server presented; of an x509 record, the certificate itself.
    #[serde(skip_serializing_if = "WrittenCertificate::is_empty")]
    #[schemars(with = "CertificateObject<'a>")]
    certificate: WrittenCertificate<'a>,
    /// The client's certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<CertificateObject<'a>>")]
    client_certificate: Option<WrittenCertificate<'a>>,
    /// How usual the issuer is here.
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer_history: Option<IssuerHistory>,
    /// How usual certificate and name are here.
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<HistoryObject>,
    /// The name that the client asked for, where there is more to say of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<NameAskedObject<'a>>,
    /// Whether the server's certificate leads to a root.
    #[serde(skip_serializing_if = "Option::is_none")]
    chain: Option<ChainObject>,
    /// When the domains of the session were registered.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    registration: Cow<'a, [DomainRegistration]>,
    /// What Certificate Transparency logs knew of the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    transparency: Option<TransparencyObject>,
    /// Signatures that match the certificate, or the client's.
    #[serde(skip_serializing_if = "has_none", serialize_with = "signatures")]
    #[schemars(with = "Vec<SignatureObject<'a>>")]
    signatures: [&'a [SignatureMatch]; 2],
    /// Rows of feeds that list the certificate, the name or the server, the gravest first, then those that list the client's
    /// certificate; 10 at most.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    feeds: Vec<FeedObject<'a>>,
    /// Which knowledge it was judged by: the same files give the same version.
    #[serde(skip_serializing_if = "Option::is_none")]
    knowledge: Option<Text<KnowledgeVersion>>,
    /// Fields that could not be read, as `field:problem`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    faults: Vec<String>,
    /// Checks that could not decide, as `check:why`.
    #[serde(skip_serializing_if = "str::is_empty", serialize_with = "copied")]
    #[schemars(with = "Vec<&'a str>")]
    not_evaluated: &'a str,
}

/// A name that a client asked for.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NameAskedObject<'a> {
    /// The name with its punycode decoded.
    #[serde(skip_serializing_if = "Option::is_none")]
    unicode: Option<&'a str>,
    /// Its rank on the lists of popular names, or that of its domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    rank: Option<u32>,
}

/// Whether a certificate leads to a root, at the record's time.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChainObject {
    /// Whether it does.
    status: ChainStatus,
    /// Why it does not, or why that cannot be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<ChainReason>,
    /// Who says so.
    by: ChainJudge,
}

/// How usual an issuer is here, as of the record's time.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IssuerHistory {
    /// What kind of issuer it is.
    class: IssuerClass,
    /// Whether it is rare here; left out where that cannot be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    rare: Option<bool>,
    /// Whether history is still too short to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    learning: Option<bool>,
    /// Why it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    learning_reason: Option<LearningReason>,
    /// Distinct clients here that went out to it, within the window; 32 stands for 32 or more, here and below.
    #[serde(skip_serializing_if = "Option::is_none")]
    clients: Option<u32>,
    /// Distinct clients of servers here, where the session stays here.
    #[serde(skip_serializing_if = "Option::is_none")]
    internal_clients: Option<u32>,
    /// Distinct registrable domains.
    #[serde(skip_serializing_if = "Option::is_none")]
    domains: Option<u32>,
    /// Distinct servers.
    #[serde(skip_serializing_if = "Option::is_none")]
    servers: Option<u32>,
    /// Distinct certificates.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificates: Option<u32>,
    /// When it was first seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_seen: Option<Text<EventTime>>,
    /// When it was last seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_seen: Option<Text<EventTime>>,
}

/// How usual certificate and name are here, as of the record's time.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HistoryObject {
    /// When the certificate was first seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_first_seen: Option<Text<EventTime>>,
    /// Days from the start of its validity to then.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_first_age_days: Option<f64>,
    /// Distinct clients of the certificate within the window; 32 stands for 32 or more.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_clients: Option<u32>,
    /// When the registrable domain of the name was first seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    name_first_seen: Option<Text<EventTime>>,
    /// Whether history, that of the issuer too, tells of the whole input (`replay --whole`), and not of what came before
    /// the record.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    whole: bool,
    /// Where the name has come with another issuer within the last 7 days.
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer_change: Option<IssuerChangeObject>,
}

/// A name has come with another issuer.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IssuerChangeObject {
    /// The issuer before: its organisation, else its name.
    from: String,
    /// The issuer that was new.
    to: String,
    /// When it was first seen with the name.
    since: Text<EventTime>,
}

/// A signature that matches.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignatureObject<'a> {
    /// The signature's id.
    id: &'a str,
    /// The tool or product.
    tool: &'a str,
    /// Its id in MITRE ATT&CK.
    #[serde(skip_serializing_if = "Option::is_none")]
    attack_id: Option<&'a str>,
    /// What kind of thing it is.
    verdict: SignatureVerdict,
    /// How sure it is.
    confidence: Confidence,
    /// Whose certificate it is; left out where it is the server's.
    #[serde(skip_serializing_if = "Option::is_none")]
    side: Option<SideName>,
}

/// A side of a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SideName {
    /// The client's certificate.
    Client,
}

/// Whose certificates there are.
const SIDES: [Option<SideName>; 2] = [None, Some(SideName::Client)];

/// A row of a feed that lists the certificate, the name or the server.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FeedObject<'a> {
    /// The feed: its file's name without the extension.
    feed: &'a str,
    /// What the row lists.
    indicator: &'a str,
    /// What the feed calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    /// When it was listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    listed: Option<Text<EventTime>>,
    /// The row: its line, or in a document its number among the entries, counted from 1.
    row: u32,
    /// What was compared.
    kind: MatchKind,
    /// Why the row only explains; left out where it accuses.
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<Standing>,
    /// Whose certificate it lists; left out where it is the server's.
    #[serde(skip_serializing_if = "Option::is_none")]
    side: Option<SideName>,
}

/// Rows of feeds that one record shows.
const MAX_FEEDS: usize = 10;

/// A value that is written as its text.
pub(super) struct Text<T>(pub(super) T);

/// What every object begins with.
pub(super) struct ObjectHead<'a> {
    id: RecordId,
    log: &'static str,
    sensor: Option<&'a str>,
    direction: Option<Direction>,
    knowledge: KnowledgeVersion,
    pub(super) alert_key: Option<Id128>,
    pub(super) faults: Vec<String>,
}

impl<'a> ObjectHead<'a> {
    pub(super) fn new(
        judged: &'a Judged,
        record: &Record,
        direction: Option<Direction>,
        knowledge: KnowledgeVersion,
    ) -> Self {
        Self {
            id: judged.batch.source.stream.record_id(record.offset),
            knowledge,
            faults: record.faults.iter().map(ToString::to_string).collect(),
            ..Self::of_kind(record.log, sensor_of(judged, record), direction)
        }
    }

    /// What the objects of a sensor's log have in common.
    pub(super) fn of_kind(log: Log, sensor: Option<&'a str>, direction: Option<Direction>) -> Self {
        Self {
            id: RecordId([0; 16]),
            log: log.name(),
            sensor,
            direction,
            knowledge: KnowledgeVersion::default(),
            alert_key: None,
            faults: Vec::new(),
        }
    }
}

/// The sensor that a record is of: by the configuration, else by the record.
pub(super) fn sensor_of<'a>(judged: &'a Judged, record: &Record) -> Option<&'a str> {
    let named = || record.sensor.map(|span| span.of(&judged.batch.text));
    judged.batch.source.sensor.as_deref().or_else(named)
}

impl<'a> CertsiftObject<'a> {
    /// Which certificate it is and who issued it, and no more.
    pub(super) fn brief(
        head: ObjectHead<'a>,
        verdict: Verdict,
        certificate: WrittenCertificate<'a>,
        issuer_history: Option<IssuerHistory>,
    ) -> Self {
        Self {
            schema: 1,
            id: Text(head.id),
            log: head.log,
            sensor: head.sensor,
            direction: head.direction,
            verdict,
            score: None,
            reason: None,
            alert_key: head.alert_key.map(Text),
            // The sink says so where it does.
            repeat: head.alert_key.map(|_| false),
            finding_ids: &[],
            techniques: &[],
            tools: [&[], &[]],
            findings: &[],
            certificate,
            client_certificate: None,
            issuer_history,
            history: None,
            name: None,
            chain: None,
            registration: Cow::Borrowed(&[]),
            transparency: None,
            signatures: [&[], &[]],
            feeds: Vec::new(),
            knowledge: None,
            faults: head.faults,
            not_evaluated: "",
        }
    }

    /// Everything. Beside the assessment stands what could not be decided, as text.
    #[allow(clippy::too_many_arguments, reason = "one argument for each part of the object")]
    pub(super) fn full(
        head: ObjectHead<'a>,
        (assessment, not_evaluated): (&'a Assessment<'a>, &'a str),
        certificate: WrittenCertificate<'a>,
        client_certificate: Option<WrittenCertificate<'a>>,
        issuer_history: Option<IssuerHistory>,
        history: Option<HistoryObject>,
        name: Option<&'a NameAnalysis>,
        chain: Option<Chain>,
        (registration, transparency): (&'a [DomainRegistration], &TransparencyObject),
        signatures: [&'a [SignatureMatch]; 2],
        feeds: [&'a [FeedMatch]; 2],
    ) -> Self {
        let knowledge = head.knowledge;
        let brief = Self::brief(head, assessment.verdict, certificate, None);
        Self {
            score: assessment.score,
            reason: Some(&assessment.reason),
            finding_ids: &assessment.findings,
            techniques: &assessment.findings,
            tools: signatures,
            findings: &assessment.findings,
            client_certificate,
            issuer_history: issuer_history.filter(|_| brief.certificate.absent_reason().is_none()),
            history: history.filter(|history| !history.is_empty()),
            name: name.and_then(NameAskedObject::of),
            chain: chain.map(|chain| ChainObject { status: chain.status, reason: chain.reason, by: chain.by }),
            registration: Cow::Borrowed(registration),
            transparency: Some(transparency).filter(|known| !known.is_empty()).cloned(),
            signatures,
            feeds: FeedObject::list(feeds),
            not_evaluated,
            knowledge: Some(Text(knowledge)),
            ..brief
        }
    }
}

/// Each row once: one may list the name that the client asked for and the names of the certificate.
fn distinct_rows(feeds: &[FeedMatch]) -> impl Iterator<Item = &FeedMatch> {
    let is_same = |one: &FeedMatch, other: &FeedMatch| {
        (&one.feed, one.row, one.kind) == (&other.feed, other.row, other.kind) && one.indicator == other.indicator
    };
    feeds
        .iter()
        .enumerate()
        .filter(move |(at, found)| !feeds[..*at].iter().any(|before| is_same(before, found)))
        .map(|(_, found)| found)
}

impl IssuerHistory {
    pub(super) fn brief(subject: &Subject<'_>) -> Self {
        Self {
            class: issuer_class(subject),
            rare: None,
            learning: None,
            learning_reason: None,
            clients: None,
            internal_clients: None,
            domains: None,
            servers: None,
            certificates: None,
            first_seen: subject.context.seen.issuer.map(|issuer| Text(issuer.first.at)),
            last_seen: None,
        }
    }

    pub(super) fn full(subject: &Subject<'_>) -> Self {
        if !subject.settings.history {
            return Self::brief(subject);
        }
        let seen = &subject.context.seen;
        let is_internal = subject.context.direction == Some(Direction::Internal);
        Self {
            rare: issuer_is_rare(subject),
            learning: Some(seen.learning.is_some()),
            learning_reason: seen.learning,
            clients: seen.issuer.map(|issuer| u32::from(issuer.clients)),
            internal_clients: seen.issuer.filter(|_| is_internal).map(|issuer| u32::from(issuer.internal_clients)),
            domains: seen.issuer.map(|issuer| u32::from(issuer.domains)),
            servers: seen.issuer.map(|issuer| u32::from(issuer.servers)),
            certificates: seen.issuer.map(|issuer| u32::from(issuer.certificates)),
            last_seen: seen.issuer.map(|issuer| Text(issuer.last_seen)),
            ..Self::brief(subject)
        }
    }
}

impl<'a> NameAskedObject<'a> {
    fn of(name: &'a NameAnalysis) -> Option<Self> {
        let object = Self { unicode: name.unicode.as_deref(), rank: name.rank };
        (object.unicode.is_some() || object.rank.is_some()).then_some(object)
    }
}

impl HistoryObject {
    pub(super) fn of(context: &SessionContext, certificate: Option<&Certificate>) -> Self {
        let seen = &context.seen;
        let change = seen.name.as_ref().and_then(|name| name.issuer_change.as_deref());
        let change = change.filter(|change| context.clock.since(change.at) <= LATELY);
        Self {
            certificate_first_seen: seen.certificate.as_ref().map(|certificate| Text(certificate.first.at)),
            certificate_first_age_days: certificate
                .zip(seen.certificate.as_ref())
                .and_then(|(certificate, seen)| age_days(certificate, seen.first.at)),
            certificate_clients: seen.certificate.as_ref().map(|certificate| u32::from(certificate.clients)),
            name_first_seen: seen.name.as_ref().map(|name| Text(name.first.at)),
            whole: seen.whole_since.is_some(),
            issuer_change: change.map(|change| IssuerChangeObject {
                from: issuer_called(change.from, &change.from_label).to_owned(),
                to: issuer_called(change.to, &change.to_label).to_owned(),
                since: Text(change.at),
            }),
        }
    }

    fn is_empty(&self) -> bool {
        self.certificate_first_seen.is_none() && self.name_first_seen.is_none() && !self.whole
    }
}

impl<'a> SignatureObject<'a> {
    fn of(side: Option<SideName>, signature: &'a SignatureMatch) -> Self {
        Self {
            id: &signature.id,
            tool: &signature.tool,
            attack_id: signature.attack_id.as_deref(),
            verdict: signature.verdict,
            confidence: signature.confidence,
            side,
        }
    }
}

impl<'a> FeedObject<'a> {
    fn list(feeds: [&'a [FeedMatch]; 2]) -> Vec<Self> {
        // Nearly no record meets a row.
        if feeds.iter().all(|list| list.is_empty()) {
            return Vec::new();
        }
        let rows = SIDES.into_iter().zip(feeds).flat_map(|(side, list)| distinct_rows(list).map(move |it| (side, it)));
        rows.take(MAX_FEEDS).map(|(side, found)| Self::of(side, found)).collect()
    }

    fn of(side: Option<SideName>, found: &'a FeedMatch) -> Self {
        Self {
            feed: &found.feed,
            indicator: &found.indicator,
            label: found.label.as_deref(),
            listed: found.listed.map(Text),
            row: found.row,
            kind: found.kind,
            context: Some(found.standing).filter(|standing| *standing != Standing::Malicious),
            side,
        }
    }
}

impl<T: Textual> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.with_text(|text| match serializer.is_human_readable() {
            true => serializer.serialize_str(std::str::from_utf8(text).unwrap_or_default()),
            false => serializer.serialize_bytes(text),
        })
    }
}

/// Writes what has been written before.
fn copied<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_newtype_struct(json::COPIED, text)
}

/// Writes the ids of findings, in which nothing has to be escaped, as a test says of all.
fn ids<S: Serializer>(findings: &[Found<'_>], serializer: S) -> Result<S::Ok, S::Error> {
    struct Id(&'static str);
    impl Serialize for Id {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_newtype_struct(json::PLAIN, self.0)
        }
    }
    serializer.collect_seq(each_once(findings.iter().map(|found| found.finding.id)).map(Id))
}

/// Whether no finding names a technique.
fn have_no_technique(findings: &[Found<'_>]) -> bool {
    findings.iter().all(|found| found.finding.technique.is_empty())
}

/// Writes the techniques of findings.
fn techniques<S: Serializer>(findings: &[Found<'_>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(each_once(findings.iter().flat_map(|found| found.finding.technique).copied()))
}

/// Writes the tools that signatures on either side name.
fn tools<S: Serializer>(signatures: &[&[SignatureMatch]; 2], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(each_once(signatures.iter().copied().flatten().map(|signature| &*signature.tool)))
}

/// Each value once, where it comes first. There are so few of them that to look at those before is less than to keep them.
fn each_once<'v>(values: impl Iterator<Item = &'v str> + Clone) -> impl Iterator<Item = &'v str> {
    let all = values.clone();
    let is_first = move |(at, value): &(usize, &str)| !all.clone().take(*at).any(|before| before == *value);
    values.enumerate().filter(is_first).map(|(_, value)| value)
}

/// Writes findings: those whose text is kept are copied.
fn findings<S: Serializer>(findings: &[Found<'_>], serializer: S) -> Result<S::Ok, S::Error> {
    struct Listed<'a>(&'a Found<'a>);
    impl Serialize for Listed<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let Found { finding, kept, .. } = self.0;
            match kept.and_then(|kept| kept.of(finding, || json::text_of(finding))) {
                Some(text) => serializer.serialize_newtype_struct(json::COPIED, text),
                None => finding.serialize(serializer),
            }
        }
    }
    serializer.collect_seq(findings.iter().map(Listed))
}

/// Whether no signature matches on either side.
fn has_none(signatures: &[&[SignatureMatch]; 2]) -> bool {
    signatures.iter().all(|list| list.is_empty())
}

/// Writes signatures that match a server's certificate and a client's: the text of the former is kept.
fn signatures<S: Serializer>(signatures: &[&[SignatureMatch]; 2], serializer: S) -> Result<S::Ok, S::Error> {
    struct Matching<'a>(Option<SideName>, &'a SignatureMatch);
    impl Serialize for Matching<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let Self(side, signature) = self;
            let object = SignatureObject::of(*side, signature);
            match side {
                None => serializer.serialize_newtype_struct(json::COPIED, signature.json(|| json::text_of(&object))),
                Some(_) => object.serialize(serializer),
            }
        }
    }
    let sides = SIDES.into_iter().zip(signatures);
    serializer.collect_seq(sides.flat_map(|(side, list)| list.iter().map(move |signature| Matching(side, signature))))
}

/// A value that is written as text in which nothing has to be escaped.
pub(super) trait Textual {
    /// Its format, where JSON Schema has a name for it.
    const FORMAT: Option<&'static str> = None;

    /// Gives the text, ASCII characters, to a function.
    fn with_text<R>(&self, give: impl FnOnce(&[u8]) -> R) -> R;
}

macro_rules! textual {
    ($format:expr => $($name:ty),*) => {$(
        impl Textual for $name {
            const FORMAT: Option<&'static str> = $format;

            fn with_text<R>(&self, give: impl FnOnce(&[u8]) -> R) -> R {
                give(self.text().as_bytes())
            }
        }
    )*};
}

textual!(Some("date-time") => EventTime, ValidityTime);
textual!(None => Sha256Digest, Sha1Digest, Id128, RecordId, KnowledgeVersion);

impl Textual for &Serial {
    fn with_text<R>(&self, give: impl FnOnce(&[u8]) -> R) -> R {
        give(self.to_string().as_bytes())
    }
}

impl<T: Textual> JsonSchema for Text<T> {
    fn schema_name() -> Cow<'static, str> {
        String::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = String::json_schema(generator);
        if let Some(format) = T::FORMAT {
            schema.insert("format".to_owned(), format.into());
        }
        schema
    }

    fn inline_schema() -> bool {
        true
    }
}

impl<T: Textual> fmt::Debug for Text<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.with_text(|text| f.write_str(&String::from_utf8_lossy(text)))
    }
}
