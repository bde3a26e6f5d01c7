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
    /// A vector to read lines into, with whatever was there before.
    pub fn for_lines(&self) -> Vec<u8> {
        self.bytes.take()
    }

    /// Takes back the memory of a batch that nobody needs any more.
    pub fn give_back(&self, batch: Batch) {
        let Batch { text, records, references, .. } = batch;
        self.bytes.keep(text.into_bytes());
        self.records.give_back(records);
        self.references.give_back(references);
    }

    /// An empty text with memory.
    pub(super) fn text(&self) -> String {
        let mut bytes = self.bytes.take();
        bytes.clear();
        // Nothing is valid text.
        String::from_utf8(bytes).unwrap_or_default()
    }
}
