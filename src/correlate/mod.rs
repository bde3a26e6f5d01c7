//! Session and certificate become one: the only stage that changes state, and it runs on one thread.
//!
//! In: records with their keys, in the order that counts. Out: each record once, with what was known when it was judged.
//! Promise: the same records in the same order give the same outcomes; a session waits for its certificate a bounded
//! time; nothing here reads the wall clock.

mod carry;
mod certificates;
mod effects;
mod held;
mod judged;
mod observe;
mod order;
mod sensor_clocks;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

pub use carry::Presented;
pub use certificates::{Backing, CERTIFICATE_MEMORY, CertificateStore, KnownCertificate, StoredCertificate};
pub use effects::Effects;
pub use held::{HeldLimits, Place, StoredSession};
pub use judged::{AbsentReason, Context, Judged, Leaf, SessionContext};
pub use observe::LATELY;
pub use order::{Clock, KeyTracker, first_key};
use sensor_clocks::Shown;
pub use sensor_clocks::{SensorClock, SensorClocks};

use held::{Held, Waiting};

use crate::history::{History, Seen, Table};
use crate::knowledge::Knowledge;
use crate::knowledge::Prefixes;
use crate::model::{
    Address, Batch, Body, CertificateId, EventTime, Id128, Log, Networks, Record, SECOND_NANOS, Session, StreamKey,
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
    /// Whether history is kept: otherwise nothing is counted, and nothing asked of what was.
    pub history: bool,
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
    /// Sensors whose own clock is wrong.
    sensor_clocks: SensorClocks,
    /// Some input is behind, so that the clock says nothing about what is still to come.
    patient: bool,
    /// What happened since it was taken last, where that is wanted.
    effects: Option<Effects>,
}

/// Sessions that wait, set aside.
pub struct WaitingAside(Held);

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
            sensor_clocks: SensorClocks::new(tracking),
            patient: false,
            effects: None,
        }
    }

    /// Tells networks apart, and knows public CAs, by these tables from now on.
    pub fn set_knowledge(&mut self, knowledge: &Knowledge) {
        self.prefixes = Arc::clone(&knowledge.prefixes);
        self.sensor_clocks.set_public_cas(&knowledge.public_cas);
    }

    /// Lets go of a history that was restored and is not asked, where none is kept. It stays in the state as it is there.
    pub fn release_history(&mut self) {
        if !self.settings.history {
            let learning = self.history.learning();
            self.history = History::new(*self.history.settings(), true);
            self.history.restore_learning(learning);
        }
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

    /// Sets aside the sessions that wait: what comes next is not for them.
    pub fn set_aside_waiting(&mut self) -> WaitingAside {
        let none = self.held.emptied();
        WaitingAside(std::mem::replace(&mut self.held, none))
    }

    /// Lets them wait on.
    pub fn take_back_waiting(&mut self, aside: WaitingAside) {
        self.held = aside.0;
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
        self.history.judge_by_the_whole(clock.now());
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

    /// Sessions that wait for their certificate.
    pub fn held(&self) -> usize {
        self.held.len()
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
            sensor_clocks: self.sensor_clocks.table_mut(),
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
        self.presented.expect(session.service);
        let (leaf, missing) = match self.leaf(batch, session) {
            Found::Leaf(leaf) => (Some(leaf), self.missing_client(batch, session)),
            Found::Missing(reference) => (None, Some(reference)),
        };
        match (missing, self.clock.now()) {
            (None, _) | (_, None) => {
                let leaf = leaf.unwrap_or_else(|| Leaf::Absent(self.absent_leaf(batch, session)));
                self.judge(batch, index, record, session, leaf, out);
            }
            (Some(reference), Some(since)) => {
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
        for (place, waiting) in self.held.take_waiting_for(reference) {
            // The leaf has come: perhaps the client's certificate is still on its way.
            let missing = match waiting.session() {
                Some((batch, session)) => self.missing_client(batch, session),
                None => None,
            };
            match missing.filter(|missing| *missing != reference) {
                Some(missing) => self.held.wait_on(place, waiting, missing),
                None => self.judge_waiting(&waiting, out),
            }
        }
    }

    /// Judges a session at the end of its wait, whether its leaf has come or not.
    fn judge_waiting(&mut self, waiting: &Waiting, out: &mut impl FnMut(Judged)) {
        let (Some((batch, session)), Some(record)) = (waiting.session(), waiting.batch.records.first()) else { return };
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
        let direction = match (session.client, session.server) {
            (Some(client), Some(server)) => Some(self.settings.local.direction(client, server)),
            _ => None,
        };
        let observation = self.settings.history.then(|| self.observation(session, &leaf, direction, at, clock));
        let client_certificate = match &session.client_leaf {
            Some(leaf) => Some(self.certificates.learn(leaf, None, None)),
            None => {
                let first = session.client_chain.of(&batch.references).first().copied();
                first.and_then(|reference| self.certificates.find(reference))
            }
        };
        let is_shared =
            |address: Option<Address>| address.is_some_and(|address| self.settings.shared.contains(address));
        let (shared_client, shared_server) = (is_shared(session.client), is_shared(session.server));
        let sensor_clock_is_wrong = self.sensor_clock_is_wrong(batch, record, session, &leaf);
        let at = record.time.unwrap_or(clock);
        let mut context = SessionContext {
            leaf,
            client_certificate,
            direction,
            network: observation.as_ref().and_then(|observation| observation.network),
            seen: Seen::default(),
            former: None,
            shared_client,
            shared_server,
            clock,
            at,
            sensor_clock_is_wrong,
        };
        if let Some(observation) = &observation {
            // An alert tells of a flow that has a record of its own.
            if record.log == Log::SuricataAlert || self.history.is_whole() {
                context.seen = self.history.look_up(observation);
            } else {
                self.count(batch, session, observation, &mut context);
            }
            context.former = self.former_certificate(batch, session, observation, &context.seen);
        }
        out(Judged { batch: Arc::clone(batch), index, context: Context::Session(context) });
    }

    /// Whether the clock of a session's sensor is wrong, by what it has shown so far, this session included. An alert tells
    /// of a flow that has a record of its own.
    fn sensor_clock_is_wrong(&mut self, batch: &Batch, record: &Record, session: &Session, leaf: &Leaf) -> bool {
        let named = record.sensor.map(|span| span.of(&batch.text));
        let name = batch.source.sensor.as_deref().or(named).unwrap_or_default();
        let shown = match (leaf, record.time) {
            (Leaf::Presented(known), Some(at)) if record.log != Log::SuricataAlert => {
                Some(Shown { known, at, server: session.server })
            }
            _ => None,
        };
        let (is_wrong, new) = self.sensor_clocks.look(name, shown);
        if let (Some(effects), Some(new)) = (&mut self.effects, new) {
            effects.shown.push(new);
        }
        is_wrong
    }

    /// The leaf that a session shows, or the reference that has to be waited for.
    fn leaf(&mut self, batch: &Batch, session: &Session) -> Found {
        if let Some(leaf) = &session.leaf {
            return Found::Leaf(Leaf::Presented(self.certificates.learn(leaf, None, Some(true))));
        }
        let Some(&first) = session.chain.of(&batch.references).first() else {
            return Found::Leaf(Leaf::Absent(AbsentReason::of(session)));
        };
        match self.certificates.find(first) {
            // Certificates that Zeek cannot parse are missing from the chain; then an intermediate stands first. But a
            // certificate that came later in one message and first in another has two records, in either order.
            Some(known) if known.host == Some(false) => Found::Missing(first),
            Some(known) => Found::Leaf(Leaf::Presented(known)),
            None => Found::Missing(first),
        }
    }

    /// The client's certificate, where a session refers to one that has not come.
    fn missing_client(&mut self, batch: &Batch, session: &Session) -> Option<CertificateId> {
        let first = *session.client_chain.of(&batch.references).first()?;
        (session.client_leaf.is_none() && self.certificates.find(first).is_none()).then_some(first)
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
    /// What sensors show of their clocks.
    pub sensor_clocks: &'a mut Table<SensorClock>,
    /// History.
    pub history: &'a mut History,
    /// The clock.
    pub clock: &'a mut Clock,
}

enum Found {
    Leaf(Leaf),
    Missing(CertificateId),
}

fn stream_id(stream: StreamKey) -> Id128 {
    Id128::first_half(&stream.0)
}

/// Seconds of event time that a session waits for its leaf unless configured otherwise.
pub const DEFAULT_WAIT: i64 = 5 * SECOND_NANOS;
