//! What changed since the last commit.

use std::collections::HashMap;
use std::sync::Arc;

use super::{TABLE_LINKS, TABLE_PAIRS, TABLE_PRESENTED};
use crate::correlate::{Correlator, StoredCertificate, StoredSession};
use crate::history::{Learning, Recency, Table};
use crate::model::{CertificateId, EventTime, Id128, StreamKey};

/// Everything that one commit writes.
#[derive(Debug, Default)]
pub struct StateChanges {
    /// The number of the commit, from 1.
    pub number: u64,
    pub(super) certificates: Arc<HashMap<CertificateId, StoredCertificate>>,
    pub(super) rows: Vec<Row>,
    pub(super) clock: Option<EventTime>,
    pub(super) learning: Learning,
    /// Every session that waits, not only new ones.
    pub(super) held: Vec<StoredSession>,
    /// How far inputs have been read.
    pub inputs: Vec<InputPosition>,
    /// Inputs that are done with.
    pub finished_inputs: Vec<StreamKey>,
}

/// A row of one of the tables; without a value it is gone.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) table: u8,
    pub(super) key: Id128,
    pub(super) recency: Recency,
    pub(super) value: Option<Vec<u8>>,
}

/// How far an input has been read, and how to find it again.
#[derive(Clone, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
pub struct InputPosition {
    /// Identity of the stream.
    pub stream: StreamKey,
    /// How the tailer finds the file again, in its own form.
    pub resume: crate::source::tail::ResumePoint,
    /// The key of the last record, so that keys go on as they were.
    pub key: Option<EventTime>,
    /// The input was read to its definite end: only its own file, found again, makes this of use.
    pub ended: bool,
}

impl StateChanges {
    /// Takes what changed in a correlator since the last time.
    pub fn take(number: u64, correlator: &mut Correlator) -> Self {
        let held = correlator.store_held().collect();
        let parts = correlator.parts_mut();
        let mut rows = Vec::new();
        parts.history.take_changes(|table, key, recency, value| {
            rows.push(Row { table: table as u8, key, recency, value });
        });
        rows_of(parts.certificates.links_mut(), TABLE_LINKS, &mut rows);
        rows_of(parts.certificates.pairs_mut(), TABLE_PAIRS, &mut rows);
        rows_of(parts.presented, TABLE_PRESENTED, &mut rows);
        Self {
            number,
            certificates: parts.certificates.take_pending(number),
            rows,
            clock: parts.clock.now(),
            learning: parts.history.learning(),
            held,
            inputs: Vec::new(),
            finished_inputs: Vec::new(),
        }
    }
}

fn rows_of<V: serde::Serialize>(table: &mut Table<V>, number: u8, rows: &mut Vec<Row>) {
    table.take_changes(|change| {
        let value = change.value.map(|value| postcard::to_allocvec(value).unwrap_or_default());
        rows.push(Row { table: number, key: change.key, recency: change.recency, value });
    });
}
