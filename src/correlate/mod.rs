//! Session and certificate become one: the only stage that changes state, and it runs on one thread.
//!
//! In: records with their keys, in the order that counts. Out: each record once, with what was known when it was judged.
//! Promise: the same records in the same order give the same outcomes; a session waits for its certificate a bounded
//! time; nothing here reads the wall clock.

mod certificates;
mod effects;
mod held;
mod order;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

pub use certificates::{Backing, CertificateStore, KnownCertificate, StoredCertificate};
pub use effects::Effects;
pub use held::{HeldLimits, Place, StoredSession};
pub use order::{Clock, KeyTracker, first_key};

use held::{Held, Waiting};

use crate::decode::registrable;
use crate::history::{History, Labelled, Observation, ObservedCertificate, Seen, Table, Weighted};
use crate::knowledge::Prefixes;
use crate::model::{
    Address, AttributeKind, Batch, Body, Certificate, CertificateId, DAY_NANOS, Direction, EventTime, HOUR_NANOS,
    Id128, Log, Networks, Record, SECOND_NANOS, Session, StreamKey, TlsVersion,
};

/// How sessions find their certificates.
#[derive(Clone, Debug)]
pub struct JoinSettings {
    /// How long a session waits for a missing leaf, in nanoseconds of event time.
    pub wait: i64,
    /// How long a presented certificate is carried forward to resumed sessions, in nanoseconds.
    pub carry: i64,
    /// The user's own networks.
    pub local: Networks,
    /// Proxies and NAT addresses: many clients behind one address, which do not count as one.
    pub shared: Networks,
}

/// A record on its way out, with what was known when it was judged.
#[derive(Debug)]
pub struct Judged {
    /// The batch that holds the record.
    pub batch: Arc<Batch>,
    /// Which of the batch's records it is.
    pub index: u32,
    /// What was known.
    pub context: Context,
}

/// What was known of a record when it was judged.
#[derive(Debug)]
pub enum Context {
    /// A session.
    Session(Box<SessionContext>),
    /// A certificate by itself.
    Certificate(Arc<KnownCertificate>),
    /// Nothing: the record leaves as it came, or not at all.
    None,
}

/// What was known of a session.
#[derive(Debug)]
pub struct SessionContext {
    /// The server's certificate.
    pub leaf: Leaf,
    /// The client's certificate.
    pub client_certificate: Option<Arc<KnownCertificate>>,
    /// Who connected to whom.
    pub direction: Option<Direction>,
    /// What history was told of it.
    pub observation: Observation,
    /// What history says, this session included.
    pub seen: Seen,
    /// Where the name has come with another issuer of late: the certificate that it had before.
    pub former: Option<Arc<KnownCertificate>>,
    /// Whether the server is a proxy or a NAT address: many servers behind one address.
    pub shared_server: bool,
    /// The clock.
    pub clock: EventTime,
    /// The record's own time, which ages are computed at; the clock where it has none.
    pub at: EventTime,
}

/// The certificate that a session's server presented.
#[derive(Clone, Debug)]
pub enum Leaf {
    /// It was seen in this session.
    Presented(Arc<KnownCertificate>),
    /// It was seen in an earlier session with the same server.
    Recalled {
        /// The certificate.
        certificate: Arc<KnownCertificate>,
        /// When it was presented.
        presented_at: EventTime,
    },
    /// It cannot be known.
    Absent(AbsentReason),
}

/// Why a session's certificate cannot be known.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AbsentReason {
    /// TLS 1.3 encrypts it.
    Tls13,
    /// The session was resumed, and nothing could be recalled.
    Resumed,
    /// QUIC encrypts it.
    Quic,
    /// The handshake did not get that far.
    Incomplete,
    /// The sensor could not parse it.
    Unparsed,
    /// The sensor does not log it.
    NotLogged,
    /// The sensor logged it where certsift has not seen it.
    NotFound,
}

/// The state of correlation.
pub struct Correlator {
    settings: JoinSettings,
    prefixes: Arc<Prefixes>,
    certificates: CertificateStore,
    /// The certificate that a server presented last, for sessions that do not show one.
    presented: Table<Presented>,
    history: History,
    clock: Clock,
    held: Held,
    /// The certificate that a flow showed, for alerts on it.
    flows: Table<CertificateId>,
    /// Streams that have shown a `validation_status`, so that its absence means something.
    validating: Table<()>,
    /// Some input is behind, so that the clock says nothing about what is still to come.
    patient: bool,
    /// What happened since it was taken last, where that is wanted.
    effects: Option<Effects>,
}

/// What a server presented, and when.
#[derive(Clone, Copy, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Presented {
    certificate: CertificateId,
    at: EventTime,
}

impl Presented {
    /// The certificate.
    pub fn certificate(&self) -> CertificateId {
        self.certificate
    }

    /// When it was presented.
    pub fn at(&self) -> EventTime {
        self.at
    }

    /// What was presented later.
    pub fn max(self, other: Self) -> Self {
        if (other.at, other.certificate) > (self.at, self.certificate) { other } else { self }
    }
}

impl Weighted for Presented {}

/// What a correlator knew of sessions before its first record, for [beginning again](Correlator::begin_again).
pub struct Beginning {
    presented: Table<Presented>,
    clock: Clock,
    held: Held,
    flows: Table<CertificateId>,
    validating: Table<()>,
}

/// Servers whose last certificate is remembered.
const PRESENTED_CAPACITY: u64 = 131_072;
/// Flows whose certificate is remembered.
const FLOW_CAPACITY: u64 = 65_536;
/// Streams that are remembered to log validation.
const STREAM_CAPACITY: u64 = 4096;
/// A change of issuers is told of for so long.
pub const LATELY: i64 = 7 * DAY_NANOS;
/// Certificates of a name among which its former one is looked for.
const FORMER_LOOKED_AT: usize = 16;
/// A TLS 1.3 session carries a certificate of the same name for this long only: nothing says that it was resumed.
const TLS13_CARRY: i64 = 24 * HOUR_NANOS;

impl Correlator {
    /// A correlator that starts with what a state holds. `tracking` says whether its changes are to be stored.
    pub fn new(settings: JoinSettings, certificates: CertificateStore, history: History, tracking: bool) -> Self {
        let limits = HeldLimits { wait: settings.wait, ..HeldLimits::default() };
        Self {
            settings,
            prefixes: Arc::default(),
            certificates,
            presented: Table::new(PRESENTED_CAPACITY, tracking),
            history,
            clock: Clock::default(),
            held: Held::new(limits, tracking),
            flows: Table::new(FLOW_CAPACITY, tracking),
            validating: Table::new(STREAM_CAPACITY, tracking),
            patient: false,
            effects: None,
        }
    }

    /// Tells networks apart by this table from now on.
    pub fn set_prefixes(&mut self, prefixes: &Arc<Prefixes>) {
        self.prefixes = Arc::clone(prefixes);
    }

    /// Notes from now on what happens to the state, to be [taken](Self::take_effects) with every step.
    pub fn note_effects(&mut self) {
        self.effects = Some(Effects::default());
        self.certificates.note_effects();
    }

    /// Takes the next record; `key` is its place in event time. Calls `out` with every record that is ready by then.
    ///
    /// Whatever a record holds, judging it costs that record's context and not the process.
    pub fn process(&mut self, batch: &Arc<Batch>, index: u32, key: Option<EventTime>, out: &mut impl FnMut(Judged)) {
        let mut emitted = false;
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            self.process_record(batch, index, key, &mut |judged: Judged| {
                emitted |= judged.index == index && Arc::ptr_eq(&judged.batch, batch);
                out(judged);
            });
        }));
        if outcome.is_err() && !emitted {
            out(Judged { batch: Arc::clone(batch), index, context: Context::None });
        }
    }

    fn process_record(&mut self, batch: &Arc<Batch>, index: u32, key: Option<EventTime>, out: &mut impl FnMut(Judged)) {
        if let Some(key) = key {
            self.clock.advance(key);
        }
        self.release_overdue(out);
        let Some(record) = batch.records.get(index as usize) else { return };
        match &record.body {
            Body::Session(session) => self.session(batch, index, record, session, out),
            Body::Certificate(found) => {
                let known = self.certificates.learn(&found.certificate, found.reference, found.host);
                out(Judged { batch: Arc::clone(batch), index, context: Context::Certificate(known) });
                if let Some(reference) = found.reference {
                    self.release_waiting_for(reference, out);
                }
            }
            Body::HashPair(pair) => {
                self.certificates.learn_pair(pair.sha1, pair.sha256);
                out(Judged { batch: Arc::clone(batch), index, context: Context::None });
            }
            Body::PassThrough | Body::AlreadyEnriched | Body::Skipped | Body::DeadLetter(_) => {
                out(Judged { batch: Arc::clone(batch), index, context: Context::None });
            }
        }
    }

    /// Learns the certificates of a batch without judging or counting anything: for archives from before the start.
    pub fn learn_certificates(&mut self, batch: &Batch) {
        for record in &batch.records {
            match &record.body {
                Body::Certificate(found) => {
                    self.certificates.learn(&found.certificate, found.reference, found.host);
                }
                Body::HashPair(pair) => self.certificates.learn_pair(pair.sha1, pair.sha256),
                Body::Session(Session { leaf: Some(leaf), .. }) => {
                    self.certificates.learn(leaf, None, None);
                }
                _ => {}
            }
        }
    }

    /// What is known of sessions now.
    pub fn beginning(&self) -> Beginning {
        Beginning {
            presented: self.presented.clone(),
            clock: self.clock,
            held: self.held.clone(),
            flows: self.flows.clone(),
            validating: self.validating.clone(),
        }
    }

    /// Forgets what was learnt of sessions since then, and keeps certificates and history: the same records may come
    /// again, which are not counted again but judged by what all of them are.
    pub fn begin_again(&mut self, beginning: Beginning) {
        let Beginning { presented, clock, held, flows, validating } = beginning;
        (self.presented, self.clock, self.held) = (presented, clock, held);
        (self.flows, self.validating) = (flows, validating);
        self.history.judge_by_the_whole();
    }

    /// Releases every session that still waits, at the end of the input.
    pub fn finish(&mut self, out: &mut impl FnMut(Judged)) {
        while let Some(waiting) = self.held.pop_first() {
            self.judge_waiting(&waiting, out);
        }
    }

    /// Releases sessions that have waited long enough by the wall clock, which counts them by `tick`.
    pub fn release_held_before(&mut self, tick: u64, out: &mut impl FnMut(Judged)) {
        while let Some(waiting) = self.held.pop_before_tick(tick) {
            self.judge_waiting(&waiting, out);
        }
    }

    /// Says whether some input is behind the others: then the clock does not end the wait of sessions, since their
    /// certificates may be waiting there.
    pub fn set_patient(&mut self, patient: bool) {
        self.patient = patient;
    }

    /// Says how far the wall clock has come, for sessions that begin to wait from now on.
    pub fn set_tick(&mut self, tick: u64) {
        self.held.set_tick(tick);
    }

    /// Sessions that began to wait since the last commit, and places of those that wait no more.
    pub fn take_held_changes(&mut self) -> Vec<(Place, Option<StoredSession>)> {
        self.held.take_commit()
    }

    /// Lets a stored session wait on.
    pub fn restore_held(&mut self, place: Place, stored: StoredSession) {
        self.held.restore(place, Some(stored));
    }

    /// Forgets what followed from knowledge, which has changed.
    pub fn knowledge_changed(&mut self) {
        self.certificates.forget_analyses();
    }

    /// Entries forgotten so far to stay within bounds.
    pub fn evicted(&self) -> u64 {
        self.history.evicted() + self.presented.evicted() + self.certificates.forgotten()
    }

    /// The parts of the state, to be stored or restored.
    pub fn parts_mut(&mut self) -> CorrelatorParts<'_> {
        CorrelatorParts {
            certificates: &mut self.certificates,
            presented: &mut self.presented,
            flows: &mut self.flows,
            validating: &mut self.validating,
            history: &mut self.history,
            clock: &mut self.clock,
        }
    }

    fn session(
        &mut self,
        batch: &Arc<Batch>,
        index: u32,
        record: &Record,
        session: &Session,
        out: &mut impl FnMut(Judged),
    ) {
        if session.validation_status.is_some() {
            let stream = stream_id(batch.source.stream);
            if self.validating.peek(stream).is_none() {
                self.validating.insert(stream, ());
                if let Some(effects) = &mut self.effects {
                    effects.validating.push(stream);
                }
            }
        }
        match self.leaf(batch, session) {
            Found::Leaf(leaf) => self.judge(batch, index, record, session, leaf, out),
            Found::Missing(reference) => {
                let Some(since) = self.clock.now() else {
                    let leaf = Leaf::Absent(self.absent_leaf(batch, session));
                    return self.judge(batch, index, record, session, leaf, out);
                };
                self.held.push(batch.extract(index), reference, since);
                while let Some(overflow) = self.held.pop_overflow() {
                    self.judge_waiting(&overflow, out);
                }
            }
        }
    }

    /// Releases sessions whose wait the clock has ended, unless some input is behind.
    pub fn release_overdue(&mut self, out: &mut impl FnMut(Judged)) {
        if self.patient {
            return;
        }
        let Some(now) = self.clock.now() else { return };
        while let Some(waiting) = self.held.pop_overdue(now) {
            self.judge_waiting(&waiting, out);
        }
    }

    fn release_waiting_for(&mut self, reference: CertificateId, out: &mut impl FnMut(Judged)) {
        for waiting in self.held.take_waiting_for(reference) {
            self.judge_waiting(&waiting, out);
        }
    }

    /// Judges a session at the end of its wait, whether its leaf has come or not.
    fn judge_waiting(&mut self, waiting: &Waiting, out: &mut impl FnMut(Judged)) {
        let batch = &waiting.batch;
        let Some(record) = batch.records.first() else { return };
        let Body::Session(session) = &record.body else { return };
        let leaf = match self.leaf(batch, session) {
            Found::Leaf(leaf) => leaf,
            Found::Missing(_) => Leaf::Absent(self.absent_leaf(batch, session)),
        };
        self.judge(batch, 0, record, session, leaf, out);
    }

    fn judge(
        &mut self,
        batch: &Arc<Batch>,
        index: u32,
        record: &Record,
        session: &Session,
        leaf: Leaf,
        out: &mut impl FnMut(Judged),
    ) {
        let at = self.clock.believable(record.time);
        let clock = self.clock.now().unwrap_or(at);
        let leaf = self.of_flow(record.log, session, leaf);
        let leaf = self.carry_forward(record.log, session, leaf, at);
        let observation = self.observation(session, &leaf, at, clock);
        // An alert tells of a flow that has a record of its own.
        let seen = if record.log == Log::SuricataAlert || self.history.is_whole() {
            self.history.look_up(&observation)
        } else {
            self.count(batch, session, &leaf, &observation)
        };
        let client_certificate = match &session.client_leaf {
            Some(leaf) => Some(self.certificates.learn(leaf, None, None)),
            None => {
                let first = session.client_chain.of(&batch.references).first().copied();
                first.and_then(|reference| self.certificates.find(reference))
            }
        };
        let direction = match (session.client, session.server) {
            (Some(client), Some(server)) => Some(self.settings.local.direction(client, server)),
            _ => None,
        };
        let former = self.former_certificate(batch, session, &observation, &seen);
        let shared_server = session.server.is_some_and(|server| self.settings.shared.contains(server));
        let at = record.time.unwrap_or(clock);
        let context =
            SessionContext { leaf, client_certificate, direction, observation, seen, former, shared_server, clock, at };
        out(Judged { batch: Arc::clone(batch), index, context: Context::Session(Box::new(context)) });
    }

    /// The leaf that a session shows, or the reference that has to be waited for.
    fn leaf(&mut self, batch: &Batch, session: &Session) -> Found {
        if let Some(leaf) = &session.leaf {
            return Found::Leaf(Leaf::Presented(self.certificates.learn(leaf, None, Some(true))));
        }
        let Some(&first) = session.chain.of(&batch.references).first() else {
            return Found::Leaf(Leaf::Absent(absent_reason(session)));
        };
        match self.certificates.find(first) {
            // Certificates that Zeek cannot parse are missing from the chain; then an intermediate stands first. But a
            // certificate that came later in one message and first in another has two records, in either order.
            Some(known) if known.host == Some(false) => Found::Missing(first),
            Some(known) => Found::Leaf(Leaf::Presented(known)),
            None => Found::Missing(first),
        }
    }

    /// Why a leaf that a session refers to has not come.
    fn absent_leaf(&mut self, batch: &Batch, session: &Session) -> AbsentReason {
        let first = session.chain.of(&batch.references).first().copied();
        if first.and_then(|first| self.certificates.find(first)).is_some_and(|known| known.host == Some(false)) {
            return AbsentReason::Unparsed;
        }
        let hint = session.leaf_unparsed_hint;
        let validating = hint.validation_column || self.validating.peek(stream_id(batch.source.stream)).is_some();
        if hint.no_name_match || (hint.no_validation && validating) {
            AbsentReason::Unparsed
        } else {
            AbsentReason::NotFound
        }
    }

    /// Remembers what a flow showed, for alerts on it that do not show it themselves.
    fn of_flow(&mut self, log: Log, session: &Session, leaf: Leaf) -> Leaf {
        let Some(flow) = session.flow else { return leaf };
        match (log, leaf) {
            (Log::SuricataTls, Leaf::Presented(known)) => {
                self.flows.insert(flow, known.certificate.id);
                if let Some(effects) = &mut self.effects {
                    effects.flows.push((flow, known.certificate.id));
                }
                Leaf::Presented(known)
            }
            (Log::SuricataAlert, Leaf::Absent(reason)) => {
                let known = self.flows.peek(flow).copied().and_then(|id| self.certificates.find(id));
                match (known, reason) {
                    (Some(known), _) => Leaf::Presented(known),
                    // An alert tells of one moment of its flow: what it does not show may have been there.
                    (None, AbsentReason::Incomplete) => Leaf::Absent(AbsentReason::NotLogged),
                    (None, reason) => Leaf::Absent(reason),
                }
            }
            (_, leaf) => leaf,
        }
    }

    /// Remembers what a server presented, and recalls it for a session that cannot show it.
    fn carry_forward(&mut self, log: Log, session: &Session, leaf: Leaf, at: EventTime) -> Leaf {
        let Some(server) = server_key(session) else { return leaf };
        match leaf {
            Leaf::Presented(known) => {
                if log != Log::SuricataAlert {
                    let presented = Presented { certificate: known.certificate.id, at };
                    self.presented.insert(server, presented);
                    if let Some(effects) = &mut self.effects {
                        effects.presented.push((server, presented));
                    }
                }
                Leaf::Presented(known)
            }
            Leaf::Absent(reason @ (AbsentReason::Resumed | AbsentReason::Tls13))
                if session.established == Some(true) =>
            {
                // A TLS 1.3 session need not be resumed: without a name, any service on the port would do.
                let carry = match reason {
                    AbsentReason::Tls13 if session.name.is_none() => return Leaf::Absent(reason),
                    AbsentReason::Tls13 => TLS13_CARRY.min(self.settings.carry),
                    _ => self.settings.carry,
                };
                let Some(&Presented { certificate, at: presented_at }) = self.presented.peek(server) else {
                    return Leaf::Absent(reason);
                };
                if at.since(presented_at) > carry {
                    return Leaf::Absent(reason);
                }
                match self.certificates.find(certificate) {
                    Some(certificate) => Leaf::Recalled { certificate, presented_at },
                    None => Leaf::Absent(reason),
                }
            }
            leaf => leaf,
        }
    }

    fn count(&mut self, batch: &Batch, session: &Session, leaf: &Leaf, observation: &Observation) -> Seen {
        let mut effects = self.effects.as_mut();
        if let Some(effects) = &mut effects {
            effects.observations.push(*observation);
        }
        let seen = self.history.observe(observation, &mut |of| {
            let label = label_of(of, batch, session, leaf.certificate())?;
            if let Some(effects) = &mut effects {
                effects.note_label(of, &label);
            }
            Some(label)
        });
        if seen.interception_begins {
            let issuer = leaf.certificate().and_then(|certificate| certificate.issuer.as_ref());
            let issuer = issuer.map_or("", |issuer| issuer.text());
            tracing::info!(issuer, "this issuer stands in for those of many names from now on: TLS is inspected");
        }
        seen
    }

    /// The certificate that the name had before its issuer changed of late. A domain may have several in use at a time,
    /// of which those for the very name tell more.
    fn former_certificate(
        &mut self,
        batch: &Batch,
        session: &Session,
        observation: &Observation,
        seen: &Seen,
    ) -> Option<Arc<KnownCertificate>> {
        let change = seen.name.as_ref()?.issuer_change.as_ref()?;
        let issuer = observation.certificate.as_ref()?.issuer_of_name()?;
        if issuer != change.to || observation.clock.since(change.at) > LATELY {
            return None;
        }
        let name = session.server_name.map(|name| name.of(&batch.text));
        let others = self.history.names().peek(observation.domain?)?.certificates.observers();
        let others: Vec<_> = others.iter().map(|other| other.id).take(FORMER_LOOKED_AT).collect();
        let mut former = None;
        for id in change.from_certificate.into_iter().chain(others) {
            let Some(known) = self.certificates.find(id) else { continue };
            if observed(&known.certificate, false).issuer_of_name() != Some(change.from) {
                continue;
            }
            if name.is_none_or(|name| known.certificate.covers(name) == Some(true)) {
                return Some(known);
            }
            former = former.or(Some(known));
        }
        former
    }

    fn observation(&self, session: &Session, leaf: &Leaf, at: EventTime, clock: EventTime) -> Observation {
        let counted = |address: &Address| !self.settings.shared.contains(*address);
        let recalled = matches!(leaf, Leaf::Recalled { .. });
        let certificate = leaf.certificate().map(|certificate| observed(certificate, recalled));
        Observation {
            at,
            clock,
            client: session.client.filter(counted).map(Address::client_id),
            server: session.server.map(Address::server_id),
            network: session.server.map(|server| self.prefixes.network_id(server)),
            domain: session.name.map(|name| name.domain.unwrap_or(name.name)),
            certificate,
        }
    }
}

/// The parts of a correlator's state.
pub struct CorrelatorParts<'a> {
    /// Certificates.
    pub certificates: &'a mut CertificateStore,
    /// What servers presented last.
    pub presented: &'a mut Table<Presented>,
    /// What flows showed.
    pub flows: &'a mut Table<CertificateId>,
    /// Streams that log validation.
    pub validating: &'a mut Table<()>,
    /// History.
    pub history: &'a mut History,
    /// The clock.
    pub clock: &'a mut Clock,
}

enum Found {
    Leaf(Leaf),
    Missing(CertificateId),
}

impl Leaf {
    /// The certificate, presented or recalled.
    fn certificate(&self) -> Option<&Certificate> {
        match self {
            Self::Presented(known) | Self::Recalled { certificate: known, .. } => Some(&known.certificate),
            Self::Absent(_) => None,
        }
    }
}

/// A certificate as history is told of it.
fn observed(certificate: &Certificate, recalled: bool) -> ObservedCertificate {
    let issuer = certificate.issuer.as_ref().filter(|issuer| !issuer.is_empty());
    let issued = issuer.filter(|_| !certificate.is_self_issued());
    ObservedCertificate {
        id: certificate.id,
        key: certificate.spki_sha256.as_ref().map(|spki| Id128::first_half(&spki.0)),
        issuer: issued.map(crate::model::DistinguishedName::key),
        organization: issued.and_then(|_| certificate.issuer_organization),
        own_issuer: certificate.is_self_issued(),
        recalled,
    }
}

/// How something is called that a session shows.
fn label_of(of: Labelled, batch: &Batch, session: &Session, certificate: Option<&Certificate>) -> Option<Box<str>> {
    let issuer = certificate.and_then(|certificate| certificate.issuer.as_ref());
    match of {
        Labelled::Issuer => Some(issuer?.text().into()),
        Labelled::Organization => Some(issuer?.first(&AttributeKind::Organization)?.into()),
        Labelled::Domain => {
            let name = session.server_name?.of(&batch.text);
            Some(registrable(name).map_or_else(|| name.to_lowercase(), |(_, domain)| domain).into())
        }
    }
}

/// Why a session shows no certificate at all.
fn absent_reason(session: &Session) -> AbsentReason {
    match session.version {
        TlsVersion::Quic => AbsentReason::Quic,
        TlsVersion::Tls13 => AbsentReason::Tls13,
        _ if session.resumed => AbsentReason::Resumed,
        _ if session.established != Some(true) => AbsentReason::Incomplete,
        _ => AbsentReason::NotLogged,
    }
}

/// A server as clients see it: address, port, and the name they ask for, or none.
fn server_key(session: &Session) -> Option<Id128> {
    let server = session.server?.server_id();
    let port = session.server_port?.to_be_bytes();
    let name = session.name.map_or([0; 16], |name| name.name.0);
    Some(Id128::of_parts(&[&server.0, &port, &name]))
}

fn stream_id(stream: StreamKey) -> Id128 {
    Id128::first_half(&stream.0)
}

/// Seconds of event time that a session waits for its leaf unless configured otherwise.
pub const DEFAULT_WAIT: i64 = 5 * SECOND_NANOS;
