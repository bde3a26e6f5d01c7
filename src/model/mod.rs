//! What the rest of the pipeline talks about: times, names, serial numbers, certificates and records.
//!
//! In: text and DER as the sensors log them. Out: values that cannot be wrong. Promise: nothing here does I/O, keeps
//! state or panics on hostile input; what cannot be read becomes a [`Fault`] on the record, never a lost record.

mod address;
mod certificate;
mod fault;
mod hash;
mod host_name;
mod name;
mod record;
mod serial;
mod shared_names;
mod short_text;
mod spare;
mod time;

pub use address::{Address, Direction, Networks};
pub(crate) use certificate::organization_id;
pub use certificate::{Certificate, CertificateSource, Key, PresentedChain, SelfSigned, SubjectAltNames};
pub use fault::{Fault, FaultField, Problem};
pub(crate) use hash::hex_value;
pub use hash::{CertificateId, Id128, Ja3, RecordId, Sha1Digest, Sha256Digest, StreamKey};
pub use host_name::host_name;
pub(crate) use name::unescape_rfc2253;
pub use name::{Attribute, AttributeKind, DistinguishedName};
pub use record::{
    Batch, Body, CertificateRecord, ClientFingerprints, DeadLetter, Faults, HashPair, Log, NameIds, Record,
    ReferenceRange, Session, SourceInfo, Span, TlsVersion, UnparsedHint,
};
pub use serial::Serial;
pub use shared_names::{Printed, SharedNames};
pub use short_text::ShortText;
pub use spare::Spare;
pub use time::{DAY_NANOS, EventTime, EventTimes, HOUR_NANOS, SECOND_NANOS, TimeZone, ValidityTime};
