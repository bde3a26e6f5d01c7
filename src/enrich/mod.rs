//! What was found, and what it amounts to.
//!
//! In: a record with what was known when it was judged. Out: findings, verdict, score and the reason in words. Promise: a
//! pure function of the record, its context and one snapshot of knowledge; a field that the sensor did not log is unknown,
//! and no check fires on it.
//!
//! A check is one file with a function `check`, its `ID` and what would be `BENIGN`, named in the list below; what it
//! cannot evaluate is put into words in `not_evaluated`. Nothing else has to be touched to add one. Which of them run is the
//! user's to say; what only others look at is not worked out.

mod address_name;
mod allow;
mod analysis;
mod chain;
mod changing_server;
mod check_set;
mod client_certificate;
mod client_fingerprint;
mod feed;
mod first_seen_certificate;
mod first_seen_name;
mod forged_ca;
mod free_ca;
mod fresh_certificate;
mod interception;
mod issuer_change;
mod lookalike;
mod missing_san;
mod moved_certificate;
mod name_mismatch;
mod new_domain;
pub mod not_evaluated;
mod odd_text;
mod oddities;
mod origin_ca;
mod out_of_validity;
mod own_certificate;
mod random_name;
mod rare_issuer;
mod score;
mod self_signed;
mod shared_certificate;
mod signature;
mod transparency;
mod untrusted_chain;
mod unusual_port;
mod validity;
mod vendor_mimic;
mod weak_crypto;

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Serialize;

pub use allow::{ID as EXCEPTED, instead_of_check};
pub(crate) use analysis::age_days;
pub use analysis::{CertificateAnalysis, CertificateJson, FindingJson, SignatureMatch, Silence, TellingBytes};
pub use chain::{chain_of, covers, name_of};
use check_set::CheckFunction;
pub use check_set::{CheckSet, Part, RunningChecks};
pub use feed::{feeds_of, feeds_of_certificate, feeds_of_client};
pub(crate) use issuer_change::called as issuer_called;
pub use rare_issuer::IssuerClass;
pub(crate) use rare_issuer::{class as issuer_class, is_rare as issuer_is_rare};
pub use score::{Severity, Verdict};
pub use transparency::{TransparencyObject, transparency_of};

use crate::correlate::SessionContext;
use crate::history::FirstSeen;
use crate::knowledge::Knowledge;
use crate::knowledge::feeds::FeedMatch;
use crate::knowledge::names::NameAnalysis;
use crate::knowledge::registrations::Precision;
use crate::knowledge::trust::Chain;
use crate::model::{Certificate, Direction, EventTime, Id128, Session};

/// The entry of a check, which is the module of its name, and what it looks at.
macro_rules! check {
    ($module:ident $(, $part:ident)*) => {
        Check { id: $module::ID, run: $module::check, benign: $module::BENIGN, looks_at: &[$(Part::$part),*] }
    };
}

/// The checks, in the order in which their findings are listed.
const CHECKS: [Check; 31] = [
    check!(signature, Certificate, Oddities, Signatures),
    check!(feed, Feeds),
    check!(client_certificate, Signatures, Feeds),
    check!(own_certificate, Certificate),
    check!(issuer_change, Certificate, History, Name),
    check!(moved_certificate, Certificate, History, Name, Signatures),
    check!(shared_certificate, Certificate, History, Signatures),
    check!(changing_server, Certificate, History),
    check!(forged_ca, Certificate, Chain),
    check!(lookalike, Name),
    check!(new_domain, Registrations),
    check!(fresh_certificate, Certificate, History, Registrations, Transparency),
    check!(free_ca, Certificate),
    check!(rare_issuer, Certificate, History),
    check!(origin_ca, Certificate, Oddities),
    check!(untrusted_chain, Certificate, Chain),
    check!(out_of_validity, Certificate),
    check!(vendor_mimic, Certificate, Oddities, Signatures),
    check!(self_signed, Certificate, Oddities),
    check!(name_mismatch, Certificate, Name),
    check!(address_name, Certificate, Oddities),
    check!(random_name, Certificate, Oddities, Name),
    check!(validity, Certificate, Oddities),
    check!(missing_san, Certificate, Oddities),
    check!(odd_text, Certificate, Oddities),
    check!(weak_crypto, Certificate, Oddities),
    check!(interception, Certificate, History),
    check!(first_seen_certificate, History),
    check!(first_seen_name, History),
    // These speak beside others only, and so come last.
    check!(unusual_port),
    check!(client_fingerprint, History),
];

/// One check.
pub struct Check {
    /// The id of the check and of its findings.
    pub id: &'static str,
    run: CheckFunction,
    /// What would be benign, for a person who looks at a finding.
    pub benign: &'static str,
    /// What it looks at beside the record and the certificate.
    looks_at: &'static [Part],
}

impl Check {
    /// Whether it asks the history, so that it finds less without one.
    pub fn asks_history(&self) -> bool {
        self.looks_at.contains(&Part::History)
    }
}

/// What checks look at.
pub struct Subject<'a> {
    /// The knowledge in force.
    pub knowledge: &'a Knowledge,
    /// Thresholds.
    pub settings: &'a EnrichSettings,
    /// The session.
    pub session: &'a Session,
    /// The name that the client asked for.
    pub server_name: Option<&'a str>,
    /// The client's JA4.
    pub ja4: Option<&'a str>,
    /// What can be said of that name.
    pub name: Option<&'a NameAnalysis>,
    /// Says whether the certificate is for that name; `None` where that cannot be said.
    pub covers: &'a dyn Fn() -> Option<bool>,
    /// What was known when the session was judged.
    pub context: &'a SessionContext,
    /// The certificate, presented or recalled.
    pub certificate: Option<&'a Certificate>,
    /// What follows from the certificate and from knowledge alone.
    pub analysis: Option<&'a CertificateAnalysis>,
    /// Whether the certificate leads to a root, where that is known.
    pub chain: Option<Chain>,
    /// When the domains of the session were registered.
    pub registrations: &'a [DomainRegistration],
    /// What transparency logs know of the session.
    pub transparency: &'a TransparencyObject,
    /// Rows of feeds that the session meets.
    pub feeds: &'a [FeedMatch],
    /// The client's certificate, and what follows from it and from knowledge alone.
    pub client: Option<(&'a Certificate, &'a CertificateAnalysis)>,
    /// Rows of feeds that the client's certificate meets.
    pub client_feeds: &'a [FeedMatch],
}

impl Subject<'_> {
    /// Whether the session goes out, as far as that can be said.
    fn is_outbound(&self) -> bool {
        matches!(self.context.direction, None | Some(Direction::Outbound))
    }

    /// The group of evidence. What a leaf that vouches for itself says of itself is one thing: one command makes it all.
    fn group(&self, group: Group) -> Group {
        match self.certificate {
            Some(certificate) if certificate.is_self_issued() => Group::Trust,
            _ => group,
        }
    }
}

/// Which checks run, and their thresholds.
#[derive(Clone, Copy, Debug)]
pub struct EnrichSettings {
    /// The checks that are wanted.
    pub checks: CheckSet,
    /// Whether history is kept: without one, checks that ask it do not run.
    pub history: bool,
    /// Days of event time after which an issuer, a name or a certificate is no longer new.
    pub new_days: i64,
    /// Days after its registration for which a domain counts as recent.
    pub recent_domain_days: i64,
}

impl EnrichSettings {
    /// The checks that run.
    pub fn running(&self) -> CheckSet {
        if self.history { self.checks } else { self.checks.without_history() }
    }
}

/// When a domain was registered, as of the record's time.
#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
pub struct DomainRegistration {
    /// The registrable domain.
    pub domain: String,
    /// The day of registration, `YYYY-MM-DD`; of a window, its first day.
    #[schemars(extend("format" = "date"))]
    pub registered: String,
    /// Days from then to the record's time: of a window, the most that it may be.
    pub age_days: i64,
    /// How exactly it is known.
    pub precision: Precision,
    /// Who says so: a list, or a registry that was asked and on which day, `rdap:HOST:DAY`.
    pub source: String,
    /// The day of the data; of a window, its last day.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date"))]
    pub as_of: Option<String>,
    /// The least age that it may have.
    #[serde(skip)]
    least_age_days: i64,
}

impl DomainRegistration {
    /// Whether the domain was registered less than `days` before. Of a window that is so when it may be, and even its first
    /// day is not twice as long ago: a list of 30 days is of use on the day after it was made as well.
    fn is_recent(&self, days: i64) -> bool {
        self.least_age_days < days && self.age_days < 2 * days
    }

    /// The day, or the days within which it was.
    fn days(&self) -> String {
        match (&self.as_of, self.precision) {
            (Some(last), Precision::Window) if *last != self.registered => {
                format!("between {} and {last}", self.registered)
            }
            _ => self.registered.clone(),
        }
    }
}

/// One thing that was found.
#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
pub struct Finding<'a> {
    /// Which check found it.
    pub id: &'static str,
    /// The kind of evidence; findings of one group do not add up.
    pub group: Group,
    /// How grave it is by itself.
    pub severity: Severity,
    /// Its part in the score, from 0 to 1, after the direction has been taken into account.
    pub weight: f64,
    /// MITRE ATT&CK techniques.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub technique: &'static [&'static str],
    /// The field that shows it.
    pub field: Cow<'a, str>,
    /// What the record has there.
    pub observed: Cow<'a, str>,
    /// What would be usual, or what the signature looks for.
    pub expected: Cow<'a, str>,
    /// Where the knowledge comes from: a signature, a list, the history.
    pub evidence: Cow<'a, str>,
    /// The finding in words.
    pub note: Cow<'a, str>,
}

/// Kinds of evidence.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// A certificate, name or server that is known.
    Signature,
    /// What the name looks like.
    Name,
    /// How old the name and the certificate are.
    Age,
    /// How usual the issuer is here.
    Rarity,
    /// Whether a name comes with its usual issuer.
    Drift,
    /// Whether a certificate is where it is usually, and alone there.
    Share,
    /// Who vouches for the certificate.
    Trust,
    /// How the certificate is made.
    Structure,
    /// Nothing by itself: it explains other findings.
    Context,
}

/// What checks report.
#[derive(Debug, Default)]
pub struct Findings<'a> {
    found: Vec<Found<'a>>,
    not_evaluated: Vec<&'static str>,
}

/// A finding with what becomes of it.
#[derive(Debug)]
pub struct Found<'a> {
    /// The finding.
    pub finding: Finding<'a>,
    /// Where its text is kept, if it is the same whenever the certificate is shown.
    pub kept: Option<&'a FindingJson>,
    effect: Effect,
    /// Whether it is a row of a feed that says so.
    listed: bool,
}

/// What a finding does to the verdict, beside its weight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// It weighs, and nothing more.
    Weighs,
    /// It opens a floor: the verdict is at least this.
    Floor(Severity),
    /// It weighs, but by itself never to more than this.
    CappedAt(Severity),
    /// It explains, and weighs nothing.
    Explains,
}

/// The outcome for one record.
#[derive(Debug)]
pub struct Assessment<'a> {
    /// The verdict.
    pub verdict: Verdict,
    /// 0 to 100; `None` when the verdict is unknown.
    pub score: Option<u8>,
    /// The verdict in a sentence.
    pub reason: Cow<'a, str>,
    /// What was found.
    pub findings: Vec<Found<'a>>,
    /// `check:why` for every check that could not decide.
    pub not_evaluated: Vec<&'static str>,
}

impl<'a> Findings<'a> {
    /// Reports a finding.
    pub fn push(&mut self, finding: Finding<'a>, effect: Effect) {
        let listed = finding.id == feed::ID;
        self.found.push(Found { finding, kept: None, effect, listed });
    }

    /// Reports a finding that is the same whenever the certificate is shown, but for its weight.
    fn push_kept(&mut self, finding: Finding<'a>, effect: Effect, kept: &'a FindingJson) {
        self.found.push(Found { finding, kept: Some(kept), effect, listed: false });
    }

    /// Reports that a check could not decide; `code` is `check:why`.
    pub fn not_evaluated(&mut self, code: &'static str) {
        self.not_evaluated.push(code);
    }

    /// Changes what the findings of one check do to the verdict.
    fn set_effect(&mut self, id: &str, effect: Effect) {
        self.found.iter_mut().filter(|found| found.finding.id == id).for_each(|found| found.effect = effect);
    }

    /// Whether a check found something.
    pub fn has(&self, id: &str) -> bool {
        self.found.iter().any(|found| found.finding.id == id)
    }

    /// Whether something of a group was found.
    pub fn has_group(&self, group: Group) -> bool {
        self.found.iter().any(|found| found.finding.group == group && found.effect != Effect::Explains)
    }
}

/// Reports that something is seen for the first time: only once, and only after learning. `words` gives what was observed
/// and the note.
fn first_sight(
    subject: &Subject<'_>,
    id: &'static str,
    field: &'static str,
    (first, last): (FirstSeen, EventTime),
    words: impl FnOnce() -> (String, String),
    findings: &mut Findings<'_>,
) {
    // The first session that is counted is also the last one.
    if first.at != last || !first.after_learning || subject.context.seen.learning.is_some() {
        return;
    }
    let (observed, note) = words();
    let finding = Finding {
        id,
        group: Group::Context,
        severity: Severity::Info,
        weight: 0.0,
        technique: &[],
        field: field.into(),
        observed: observed.into(),
        expected: "seen before".into(),
        evidence: "history".into(),
        note: note.into(),
    };
    findings.push(finding, Effect::Explains);
}

/// Whether something was found that weighs, beside what only stands by others.
fn has_company(findings: &Findings) -> bool {
    findings.found.iter().any(|found| found.finding.group != Group::Context && found.effect != Effect::Explains)
}

/// All checks, in the order in which their findings are listed.
pub fn checks() -> &'static [Check] {
    &CHECKS
}

/// Assesses a session. `room` is an empty list whose memory is used, so that it can be had back and used again. Unless
/// `tells_all`, it may be left out what could not be decided where nothing is found.
pub fn assess_session<'a>(
    subject: &Subject<'a>,
    checks: &RunningChecks,
    room: Vec<&'static str>,
    tells_all: bool,
) -> Assessment<'a> {
    let mut findings = Findings { found: Vec::new(), not_evaluated: room };
    // Most sessions show no certificate, or one in which nothing stands out, and nothing is found.
    let few = match (subject.certificate, subject.analysis) {
        _ if tells_all => None,
        (None, _) => Some(&checks.without_certificate),
        (Some(_), Some(analysis)) if analysis.is_plain() => Some(&checks.without_oddities),
        _ => None,
    };
    if let Some(few) = few {
        for check in few {
            check(subject, &mut findings);
        }
        if findings.found.is_empty() {
            return score::assess(subject, findings);
        }
        findings.found.clear();
        findings.not_evaluated.clear();
    }
    for check in &checks.functions {
        check(subject, &mut findings);
    }
    if checks.set.meets(CheckSet::LOOKALIKE) {
        lookalike::weigh_company(subject, &mut findings);
    }
    let excepted = allow::Excepted {
        certificate: subject.certificate,
        client: subject.client.map(|(certificate, _)| certificate),
        server_name: subject.server_name,
        server: subject.session.server,
        at: Some(subject.context.at),
    };
    allow::apply(&subject.knowledge.allow, &excepted, &mut findings);
    score::assess(subject, findings)
}

/// Assesses a certificate by itself: it has no client and no server and may be of any part of a chain, so that only what
/// is known of the certificate counts. `room` is an empty list whose memory is used.
pub fn assess_certificate<'a>(
    knowledge: &Knowledge,
    certificate: &Certificate,
    (analysis, feeds): (&'a CertificateAnalysis, &[FeedMatch]),
    at: Option<EventTime>,
    checks: CheckSet,
    room: Vec<&'static str>,
) -> Assessment<'a> {
    let mut findings = Findings { found: Vec::new(), not_evaluated: room };
    if checks.meets(CheckSet::SIGNATURE) {
        signature::report(analysis, &mut findings);
    }
    if checks.meets(CheckSet::FEED) {
        feed::name_unknown_fields(&knowledge.feeds, certificate, &mut findings);
        feed::report(feeds, Some(analysis), &mut findings);
    }
    let excepted =
        allow::Excepted { certificate: Some(certificate), client: None, server_name: None, server: None, at };
    allow::apply(&knowledge.allow, &excepted, &mut findings);
    score::assess_certificate(findings, checks)
}

/// Domains of one session that are looked at.
const MAX_DOMAINS: usize = 4;

/// When the domains of a session were registered: of the name that the client asked for, else of the names that the
/// certificate is for.
pub fn registrations_of(
    knowledge: &Knowledge,
    session: &Session,
    server_name: Option<&str>,
    analysis: Option<&CertificateAnalysis>,
    context: &SessionContext,
) -> Vec<DomainRegistration> {
    if !knowledge.knows_registrations() {
        return Vec::new();
    }
    let day = context.at.day();
    // Of most names nothing is known, and their domain has an identity already.
    if session.name.and_then(|name| name.domain).is_some_and(|domain| knowledge.registration(domain, day).is_none()) {
        return Vec::new();
    }
    let asked = server_name.and_then(crate::decode::registrable);
    domains_of(asked.as_ref(), analysis)
        .filter_map(|(id, domain)| {
            let registration = knowledge.registration(id, day)?;
            Some(DomainRegistration {
                domain: domain.to_owned(),
                registered: EventTime::date_text(registration.day),
                age_days: i64::from(day - registration.day).max(0),
                precision: registration.precision,
                source: registration.source.to_owned(),
                as_of: registration.as_of.map(EventTime::date_text),
                least_age_days: i64::from(day - registration.last_day()).max(0),
            })
        })
        .take(MAX_DOMAINS)
        .collect()
}

/// The domains of a session of which nobody knows when they were registered, and for which no registry was asked lately,
/// as of `now` by the wall clock in seconds.
///
/// What goes to servers of one's own is not for others to know, and strangers choose what they ask those for.
pub fn unregistered(
    knowledge: &Knowledge,
    server_name: Option<&str>,
    analysis: Option<&CertificateAnalysis>,
    context: &SessionContext,
    now: i64,
) -> Vec<(Id128, Box<str>)> {
    if matches!(context.direction, Some(Direction::Internal | Direction::Inbound)) {
        return Vec::new();
    }
    let day = context.at.day();
    let asked = server_name.and_then(crate::decode::registrable);
    domains_of(asked.as_ref(), analysis)
        .take(MAX_DOMAINS)
        .filter(|(id, _)| knowledge.answers.is_due(*id, now) && knowledge.registrations.find(*id, day).is_none())
        .map(|(id, domain)| (id, domain.into()))
        .collect()
}

/// The registrable domain that the client asked for, else those that the certificate is for.
fn domains_of<'a>(
    asked: Option<&'a (Id128, String)>,
    analysis: Option<&'a CertificateAnalysis>,
) -> impl Iterator<Item = (Id128, &'a str)> {
    let certified = analysis.filter(|_| asked.is_none()).map(CertificateAnalysis::domains).unwrap_or_default();
    let asked = asked.into_iter().map(|(id, domain)| (*id, domain.as_str()));
    asked.chain(certified.iter().map(|(id, domain)| (*id, &**domain)))
}
