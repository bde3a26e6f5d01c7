//! Sessions that wait for their certificate.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use foldhash::quality::RandomState;
use serde::{Deserialize, Serialize};

use crate::model::{Batch, Body, CertificateId, EventTime, Faults, Log, Record, Session, SourceInfo, Span, StreamKey};

/// Bounds of waiting.
#[derive(Clone, Copy, Debug)]
pub struct HeldLimits {
    /// How long a session waits, in nanoseconds of event time.
    pub wait: i64,
    /// How many sessions wait at the most; the one that has waited longest makes room.
    pub sessions: usize,
    /// How many bytes of lines wait at the most, likewise: a name chosen by a client may be long.
    pub bytes: usize,
}

/// A session that waits, alone in a batch of its own.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) batch: Arc<Batch>,
    reference: CertificateId,
    tick: u64,
}

/// A session that waits, as the state keeps it: with everything that its batch and source say of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoredSession {
    reference: CertificateId,
    stream: StreamKey,
    path: Box<str>,
    sensor: Option<Box<str>>,
    text: String,
    references: Vec<CertificateId>,
    log: Log,
    offset: u64,
    line: Span,
    time: Option<EventTime>,
    empty_object: bool,
    named_sensor: Option<Span>,
    faults: Faults,
    session: Session,
}

/// Where a session stands among those that wait: by the end of its wait in event time, then by arrival.
pub type Place = (EventTime, u64);

/// The sessions that wait, in the order in which their waits end.
#[derive(Clone, Debug)]
pub(super) struct Held {
    limits: HeldLimits,
    waiting: BTreeMap<Place, Waiting>,
    by_reference: HashMap<CertificateId, Places, RandomState>,
    bytes: usize,
    arrivals: u64,
    tick: u64,
    /// Places that changed since the last step and since the last commit, where that is wanted.
    changes: Option<Changes>,
}

/// Places of sessions that wait for one certificate, of which there is mostly one.
#[derive(Clone, Debug)]
struct Places {
    first: Place,
    others: Vec<Place>,
}

#[derive(Clone, Debug, Default)]
struct Changes {
    step: BTreeSet<Place>,
    commit: BTreeSet<Place>,
}

impl Waiting {
    /// The session, and the batch that holds it.
    pub(super) fn session(&self) -> Option<(&Arc<Batch>, &Session)> {
        match &self.batch.records.first()?.body {
            Body::Session(session) => Some((&self.batch, session)),
            _ => None,
        }
    }

    fn store(&self) -> Option<StoredSession> {
        let record = self.batch.records.first()?;
        let Body::Session(session) = &record.body else { return None };
        Some(StoredSession {
            reference: self.reference,
            stream: self.batch.source.stream,
            path: self.batch.source.path.clone(),
            sensor: self.batch.source.sensor.clone(),
            text: self.batch.text.clone(),
            references: self.batch.references.clone(),
            log: record.log,
            offset: record.offset,
            line: record.line,
            time: record.time,
            empty_object: record.empty_object,
            named_sensor: record.sensor,
            faults: record.faults,
            session: session.clone(),
        })
    }

    fn restore(stored: StoredSession, tick: u64) -> Self {
        // The zone matters to decoding only, which is done.
        let source = SourceInfo { stream: stored.stream, path: stored.path, sensor: stored.sensor, time_zone: None };
        let record = Record {
            log: stored.log,
            offset: stored.offset,
            line: stored.line,
            time: stored.time,
            empty_object: stored.empty_object,
            sensor: stored.named_sensor,
            faults: stored.faults,
            body: Body::Session(stored.session.with_service()),
        };
        let batch = Batch {
            source: Arc::new(source),
            text: stored.text,
            records: vec![record],
            references: stored.references,
            end_offset: stored.offset,
        };
        Self { batch: Arc::new(batch), reference: stored.reference, tick }
    }
}

impl Places {
    /// Takes a place out; says whether there are others.
    fn remove(&mut self, place: Place) -> bool {
        if self.first != place {
            self.others.retain(|known| *known != place);
        } else if self.others.is_empty() {
            return false;
        } else {
            self.first = self.others.remove(0);
        }
        true
    }
}

impl Default for HeldLimits {
    fn default() -> Self {
        Self { wait: super::DEFAULT_WAIT, sessions: 65_536, bytes: 64 * 1024 * 1024 }
    }
}

impl Held {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// `tracking` says whether changes are to be stored.
    pub(super) fn new(limits: HeldLimits, tracking: bool) -> Self {
        Self {
            limits,
            waiting: BTreeMap::new(),
            by_reference: HashMap::default(),
            bytes: 0,
            arrivals: 0,
            tick: 0,
            changes: tracking.then(Changes::default),
        }
    }

    /// The same without a session.
    pub(super) fn emptied(&self) -> Self {
        Self::new(self.limits, self.changes.is_some())
    }

    /// Lets a session wait from `since` on.
    pub(super) fn push(&mut self, batch: Batch, reference: CertificateId, since: EventTime) {
        self.arrivals += 1;
        let place = (since.plus(self.limits.wait), self.arrivals);
        self.insert(place, Waiting { batch: Arc::new(batch), reference, tick: self.tick });
        self.note(place);
    }

    /// The next session that has to make room, if any.
    pub(super) fn pop_overflow(&mut self) -> Option<Waiting> {
        let full = self.waiting.len() > self.limits.sessions || self.bytes > self.limits.bytes;
        if full { self.pop_first() } else { None }
    }

    /// The next session whose wait ended before `now`.
    pub(super) fn pop_overdue(&mut self, now: EventTime) -> Option<Waiting> {
        let (&(end, _), _) = self.waiting.first_key_value()?;
        if end < now { self.pop_first() } else { None }
    }

    /// The next session that began to wait before `tick`.
    pub(super) fn pop_before_tick(&mut self, tick: u64) -> Option<Waiting> {
        let (_, first) = self.waiting.first_key_value()?;
        if first.tick < tick { self.pop_first() } else { None }
    }

    /// The next session, whether its wait has ended or not.
    pub(super) fn pop_first(&mut self) -> Option<Waiting> {
        let (&place, _) = self.waiting.first_key_value()?;
        self.remove(place)
    }

    /// All sessions that wait for a certificate, in the order of their waits.
    pub(super) fn take_waiting_for(&mut self, reference: CertificateId) -> Vec<(Place, Waiting)> {
        let Some(Places { first, others }) = self.by_reference.remove(&reference) else { return Vec::new() };
        let places = std::iter::once(first).chain(others);
        places
            .filter_map(|place| {
                self.note(place);
                Some((place, self.take_out(place)?))
            })
            .collect()
    }

    /// Lets a session that was taken wait on for another certificate, and no longer than it would have.
    pub(super) fn wait_on(&mut self, place: Place, waiting: Waiting, reference: CertificateId) {
        self.insert(place, Waiting { reference, ..waiting });
        self.note(place);
    }

    /// What changed since the last step: a session that began to wait, or nothing where one waits no more.
    pub(super) fn take_step(&mut self) -> Vec<(Place, Option<StoredSession>)> {
        let Some(changes) = &mut self.changes else { return Vec::new() };
        let changed = std::mem::take(&mut changes.step);
        self.states(changed)
    }

    /// The same since the last commit.
    pub(super) fn take_commit(&mut self) -> Vec<(Place, Option<StoredSession>)> {
        let Some(changes) = &mut self.changes else { return Vec::new() };
        let changed = std::mem::take(&mut changes.commit);
        self.states(changed)
    }

    /// Lets a stored session wait on, or no more.
    pub(super) fn put(&mut self, place: Place, session: Option<StoredSession>) {
        self.note(place);
        self.restore(place, session);
    }

    /// Lets a session wait on as the state has it, or no more.
    pub(super) fn restore(&mut self, place: Place, session: Option<StoredSession>) {
        self.remove_unnoted(place);
        if let Some(session) = session {
            self.arrivals = self.arrivals.max(place.1);
            self.insert(place, Waiting::restore(session, self.tick));
        }
    }

    pub(super) fn set_tick(&mut self, tick: u64) {
        self.tick = tick;
    }

    fn insert(&mut self, place: Place, waiting: Waiting) {
        match self.by_reference.entry(waiting.reference) {
            Entry::Occupied(mut places) => places.get_mut().others.push(place),
            Entry::Vacant(none) => {
                none.insert(Places { first: place, others: Vec::new() });
            }
        }
        self.bytes += waiting.batch.text.len();
        self.waiting.insert(place, waiting);
    }

    fn remove(&mut self, place: Place) -> Option<Waiting> {
        self.note(place);
        self.remove_unnoted(place)
    }

    fn remove_unnoted(&mut self, place: Place) -> Option<Waiting> {
        let waiting = self.take_out(place)?;
        if let Entry::Occupied(mut places) = self.by_reference.entry(waiting.reference)
            && !places.get_mut().remove(place)
        {
            places.remove();
        }
        Some(waiting)
    }

    /// Takes out a session whose place is not among those of its certificate any more, or is removed there next.
    fn take_out(&mut self, place: Place) -> Option<Waiting> {
        let waiting = self.waiting.remove(&place)?;
        self.bytes -= waiting.batch.text.len();
        Some(waiting)
    }

    fn note(&mut self, place: Place) {
        if let Some(changes) = &mut self.changes {
            changes.step.insert(place);
            changes.commit.insert(place);
        }
    }

    fn states(&self, places: BTreeSet<Place>) -> Vec<(Place, Option<StoredSession>)> {
        let state = |place: Place| (place, self.waiting.get(&place).and_then(Waiting::store));
        places.into_iter().map(state).collect()
    }
}
