//! Memory of batches that are done, for those that come next.

use crate::model::{Batch, CertificateId, Record, Spare};

/// Memory that batches had, by its kind.
#[derive(Debug, Default)]
pub struct BatchRooms {
    pub(super) bytes: Spare<u8>,
    pub(super) records: Spare<Record>,
    pub(super) references: Spare<CertificateId>,
}

impl BatchRooms {
    /// An empty vector to read lines into.
    pub fn for_lines(&self) -> Vec<u8> {
        self.bytes.take()
    }

    /// Takes back the memory of a batch that nobody needs any more.
    pub fn give_back(&self, batch: Batch) {
        let Batch { text, records, references, .. } = batch;
        self.bytes.give_back(text.into_bytes());
        self.records.give_back(records);
        self.references.give_back(references);
    }

    /// An empty text with memory.
    pub(super) fn text(&self) -> String {
        // Nothing is valid text.
        String::from_utf8(self.bytes.take()).unwrap_or_default()
    }
}
