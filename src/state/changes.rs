//! What changed: since the last step, for the journal, and since the last commit, for the store.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    TABLE_ALERTS, TABLE_ANSWERS, TABLE_FLOWS, TABLE_LINKS, TABLE_PAIRS, TABLE_PRESENTED, TABLE_SENSOR_CLOCKS,
    TABLE_VALIDATING,
};
use crate::correlate::{Clock, Correlator, Effects, KeyTracker, Place, StoredCertificate, StoredSession};
use crate::history::{Alert, Alerts, Learning, Recency, Table, Weighted};
use crate::knowledge::registrations::Answer;
use crate::model::{CertificateId, EventTime, Id128, StreamKey};
use crate::source::tail::ResumePoint;

/// What the lines of one chunk of output did to the state, and how far inputs were read for them.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Step {
    /// What happened to the state.
    pub effects: Effects,
    /// How far inputs have been read.
    pub inputs: Vec<InputPosition>,
    /// Inputs that are done with.
    pub forgotten: Vec<StreamKey>,
    /// The newest events, where that changed.
    pub newest: Option<Newest>,
    /// Alerts among the lines, in their order.
    pub alerts: Vec<Alert>,
}

/// Everything that one commit writes.
#[derive(Debug, Default)]
pub struct StateChanges {
    /// The number of the commit, from 1.
    pub number: u64,
    pub(super) certificates: Arc<HashMap<CertificateId, StoredCertificate>>,
    pub(super) rows: Vec<Row>,
    pub(super) clock: Option<Clock>,
    pub(super) learning: Option<Learning>,
    /// Sessions that began to wait, and places of those that wait no more.
    pub(super) held: Vec<(Place, Option<StoredSession>)>,
    /// How far inputs have been read.
    pub inputs: Vec<InputPosition>,
    /// Inputs that are done with.
    pub forgotten: Vec<StreamKey>,
    /// The newest event of each kind of log.
    pub newest: Option<Newest>,
}

/// The newest event that was read of each kind of log, by sensor and rank of the log.
pub type Newest = BTreeMap<(String, u8), EventTime>;

/// A row of one of the tables; without a value it is gone.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) table: u8,
    pub(super) key: Id128,
    pub(super) recency: Recency,
    pub(super) value: Option<Vec<u8>>,
}

/// How far an input has been read, and how to find it again.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct InputPosition {
    /// Identity of the stream.
    pub stream: StreamKey,
    /// How the tailer finds the file again, in its own form; an archive is found by its content.
    pub resume: Option<ResumePoint>,
    /// The keys of its records, so that they go on as they were.
    pub keys: KeyTracker,
    /// Records that begin before this byte have been read, although reading may have to begin before it.
    pub applied: u64,
    /// The input was read to its definite end: only its own file, found again, makes this of use.
    pub ended: bool,
}

impl StateChanges {
    /// Takes what changed in a correlator since the last time.
    pub fn take(number: u64, correlator: &mut Correlator) -> Self {
        let held = correlator.take_held_changes();
        let parts = correlator.parts_mut();
        let mut rows = Vec::new();
        parts.history.take_changes(|table, key, recency, value| {
            rows.push(Row { table: table as u8, key, recency, value });
        });
        rows_of(parts.certificates.links_mut(), TABLE_LINKS, &mut rows);
        rows_of(parts.certificates.pairs_mut(), TABLE_PAIRS, &mut rows);
        rows_of(parts.presented, TABLE_PRESENTED, &mut rows);
        rows_of(parts.flows, TABLE_FLOWS, &mut rows);
        rows_of(parts.validating, TABLE_VALIDATING, &mut rows);
        rows_of(parts.sensor_clocks, TABLE_SENSOR_CLOCKS, &mut rows);
        Self {
            rows,
            clock: Some(*parts.clock),
            learning: Some(parts.history.learning()),
            held,
            ..Self::take_certificates(number, correlator)
        }
    }

    /// Adds what changed in the alerts since the last time: where they are known is where lines are written, and no sooner
    /// than the commit comes there.
    pub fn add_alerts(&mut self, alerts: &mut Alerts) {
        rows_of(alerts.table_mut(), TABLE_ALERTS, &mut self.rows);
    }

    /// Adds what registries answered since the last time, and domains whose answers are forgotten.
    pub fn add_answers(&mut self, answered: &[(Id128, Arc<Answer>)], forgotten: &[Id128]) {
        let mut add = |key: Id128, sequence: i64, value: Option<Vec<u8>>| {
            let recency = Recency { sequence: u64::try_from(sequence).unwrap_or_default(), established: false };
            self.rows.push(Row { table: TABLE_ANSWERS, key, recency, value });
        };
        for (domain, answer) in answered {
            add(*domain, answer.asked, Some(postcard::to_allocvec(&**answer).unwrap_or_default()));
        }
        forgotten.iter().for_each(|domain| add(*domain, 0, None));
    }

    /// Whether these are all changes, and not certificates alone.
    pub fn is_whole(&self) -> bool {
        self.clock.is_some()
    }

    /// Takes new certificates and nothing else: they are facts, which may be known before what refers to them was counted.
    pub fn take_certificates(number: u64, correlator: &mut Correlator) -> Self {
        Self { number, certificates: correlator.parts_mut().certificates.take_pending(number), ..Self::default() }
    }
}

fn rows_of<V: Serialize + Weighted>(table: &mut Table<V>, number: u8, rows: &mut Vec<Row>) {
    table.take_changes(|change| {
        let value = change.value.map(|value| postcard::to_allocvec(value).unwrap_or_default());
        rows.push(Row { table: number, key: change.key, recency: change.recency, value });
    });
}
