//! Where decoders put what they read.

use std::ops::Range;
use std::sync::Arc;

use super::detect::Format;
use super::memo::Memos;
use super::{DecodeContext, MAX_OVERSIZE_KEPT};
use crate::model::{Batch, Body, CertificateId, DeadLetter, Faults, Log, Record, ReferenceRange, SourceInfo, Span};

/// A batch while it is being made.
///
/// Spans count from the start of the raw text, which is followed by what decoders add: the JSON of TSV rows and values
/// that had to be unescaped.
pub(super) struct Output<'a> {
    pub(super) context: &'a DecodeContext,
    pub(super) source: &'a Arc<SourceInfo>,
    base_start: usize,
    base_len: usize,
    pub(super) added: String,
    records: Vec<Record>,
    references: Vec<CertificateId>,
    unknown_log: Log,
    pub(super) memos: Memos,
}

impl<'a> Output<'a> {
    pub(super) fn new(context: &'a DecodeContext, source: &'a Arc<SourceInfo>, format: &Format) -> Self {
        Self {
            context,
            source,
            base_start: 0,
            base_len: 0,
            added: String::new(),
            records: context.rooms.records.take(),
            references: context.rooms.references.take(),
            unknown_log: format.log(),
            memos: context.memos.take(),
        }
    }

    /// Names the raw text that most spans point into.
    pub(super) fn set_base(&mut self, text: &str) {
        self.base_start = text.as_ptr() as usize;
        self.base_len = text.len();
    }

    /// Makes room for text that is added.
    pub(super) fn reserve(&mut self, bytes: usize) {
        self.added = self.context.rooms.text();
        self.added.reserve(bytes);
    }

    /// The source that the batch comes from.
    pub(super) fn source(&self) -> &'a SourceInfo {
        self.source
    }

    /// The place of a text in the batch; what is not part of the raw text is added.
    pub(super) fn span(&mut self, text: &str) -> Span {
        let start = (text.as_ptr() as usize).wrapping_sub(self.base_start);
        if self.base_len > 0 && start <= self.base_len && text.len() <= self.base_len - start {
            return Span { start: start as u32, len: text.len() as u32 };
        }
        let start = self.added.len();
        self.added.push_str(text);
        self.added_span(start..self.added.len())
    }

    /// The place of a part of what was added.
    pub(super) fn added_span(&self, part: Range<usize>) -> Span {
        Span { start: (self.base_len + part.start) as u32, len: part.len() as u32 }
    }

    /// Adds what one session calls a certificate.
    pub(super) fn reference(&mut self, text: &str, read: fn(&str) -> CertificateId) -> ReferenceRange {
        let start = self.references.len() as u32;
        self.references.push(self.memos.reference(text, read));
        ReferenceRange { start, len: 1 }
    }

    /// Adds a record.
    pub(super) fn push(&mut self, record: Record) {
        self.records.push(record);
    }

    /// Number of records so far.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// Takes back records that were added since there were `records`.
    pub(super) fn truncate(&mut self, records: usize) {
        self.records.truncate(records);
    }

    /// Adds a line that cannot leave as a record.
    pub(super) fn dead_letter(&mut self, offset: u64, line: &[u8], reason: &'static str) {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let bytes = if reason.starts_with("longer") { &line[..line.len().min(MAX_OVERSIZE_KEPT)] } else { line };
        self.records.push(Record {
            log: self.unknown_log,
            offset,
            line: Span::default(),
            time: None,
            empty_object: false,
            sensor: None,
            faults: Faults::default(),
            body: Body::DeadLetter(DeadLetter { bytes: bytes.to_vec(), reason }),
        });
    }

    /// The finished batch; `text` is the raw text that was named as base.
    pub(super) fn into_batch(self, mut text: String, end_offset: u64) -> Batch {
        if text.is_empty() {
            text = self.added;
        } else {
            text.push_str(&self.added);
        }
        self.context.memos.give_back(self.memos);
        Batch { source: Arc::clone(self.source), text, records: self.records, references: self.references, end_offset }
    }
}
