//! Sessions that wait for their certificate.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

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
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) batch: Arc<Batch>,
    reference: CertificateId,
    tick: u64,
}

/// A session that waits, as the state keeps it: with everything that its batch and source say of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoredSession {
    reference: CertificateId,
    /// The end of its wait in event time.
    end: EventTime,
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

/// The sessions that wait, in the order in which their waits end.
#[derive(Debug)]
pub(super) struct Held {
    limits: HeldLimits,
    /// By the end of the wait in event time, then by arrival.
    waiting: BTreeMap<(EventTime, u64), Waiting>,
    by_reference: HashMap<CertificateId, Vec<(EventTime, u64)>>,
    bytes: usize,
    arrivals: u64,
    tick: u64,
}

impl Waiting {
    fn store(&self, end: EventTime) -> Option<StoredSession> {
        let record = self.batch.records.first()?;
        let Body::Session(session) = &record.body else { return None };
        Some(StoredSession {
            reference: self.reference,
            end,
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
            body: Body::Session(stored.session),
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

impl Default for HeldLimits {
    fn default() -> Self {
        Self { wait: super::DEFAULT_WAIT, sessions: 65_536, bytes: 64 * 1024 * 1024 }
    }
}

impl Held {
    pub(super) fn new(limits: HeldLimits) -> Self {
        Self { limits, waiting: BTreeMap::new(), by_reference: HashMap::new(), bytes: 0, arrivals: 0, tick: 0 }
    }

    /// Lets a session wait from `since` on.
    pub(super) fn push(&mut self, batch: Batch, reference: CertificateId, since: EventTime) {
        self.arrivals += 1;
        let place = (since.plus(self.limits.wait), self.arrivals);
        self.by_reference.entry(reference).or_default().push(place);
        self.bytes += batch.text.len();
        self.waiting.insert(place, Waiting { batch: Arc::new(batch), reference, tick: self.tick });
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
        let (place, waiting) = self.waiting.pop_first()?;
        self.bytes -= waiting.batch.text.len();
        if let Some(places) = self.by_reference.get_mut(&waiting.reference) {
            places.retain(|known| *known != place);
            if places.is_empty() {
                self.by_reference.remove(&waiting.reference);
            }
        }
        Some(waiting)
    }

    /// All sessions that wait for a certificate, in the order of their waits.
    pub(super) fn take_waiting_for(&mut self, reference: CertificateId) -> Vec<Waiting> {
        let places = self.by_reference.remove(&reference).unwrap_or_default();
        let found: Vec<_> = places.into_iter().filter_map(|place| self.waiting.remove(&place)).collect();
        self.bytes -= found.iter().map(|waiting| waiting.batch.text.len()).sum::<usize>();
        found
    }

    /// The sessions that wait, in the order in which their waits end, to be stored.
    pub(super) fn store(&self) -> impl Iterator<Item = StoredSession> {
        self.waiting.iter().filter_map(|((end, _), waiting)| waiting.store(*end))
    }

    /// Lets a stored session wait on.
    pub(super) fn restore(&mut self, stored: StoredSession) {
        self.arrivals += 1;
        let place = (stored.end, self.arrivals);
        self.by_reference.entry(stored.reference).or_default().push(place);
        self.bytes += stored.text.len();
        self.waiting.insert(place, Waiting::restore(stored, self.tick));
    }

    pub(super) fn set_tick(&mut self, tick: u64) {
        self.tick = tick;
    }
}
