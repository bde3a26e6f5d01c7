//! Records: lines of a log, read as far as certsift needs them.

use std::fmt;
use std::sync::Arc;

use super::address::Address;
use super::certificate::{Certificate, PresentedChain};
use super::fault::Fault;
use super::hash::{CertificateId, Id128, Ja3, Sha1Digest, Sha256Digest, StreamKey};
use super::time::{EventTime, TimeZone};

/// What is known of an input before its first record: the same for all records of one file.
#[derive(Debug)]
pub struct SourceInfo {
    /// Identity of the stream, from its content.
    pub stream: StreamKey,
    /// The path as the user named it, for messages and the dead-letter file; `-` for standard input.
    pub path: Box<str>,
    /// Sensor name from the configuration.
    pub sensor: Option<Box<str>>,
    /// Zone of a sensor that logs validity times in local time (Zeek before 8.0).
    pub time_zone: Option<TimeZone>,
}

/// Records of one input, in its order, with the text that they refer to.
#[derive(Debug)]
pub struct Batch {
    /// Where the records come from.
    pub source: Arc<SourceInfo>,
    /// The text of all lines as they leave, and the unescaped values that records refer to.
    pub text: String,
    /// The records.
    pub records: Vec<Record>,
    /// Certificate references of all sessions, back to back.
    pub references: Vec<CertificateId>,
    /// The offset behind the last line of this batch, in decompressed bytes.
    pub end_offset: u64,
}

/// A piece of a batch's text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// Number of bytes.
    pub len: u32,
}

/// One line of a log.
#[derive(Clone, Debug)]
pub struct Record {
    /// Which log it belongs to.
    pub log: Log,
    /// Where the line begins, in decompressed bytes of its stream.
    pub offset: u64,
    /// The line as it leaves: JSON, without line end and `@cee:` prefix.
    pub line: Span,
    /// The record's own time.
    pub time: Option<EventTime>,
    /// Whether the line is `{}`, so that an object appended to it takes no comma.
    pub empty_object: bool,
    /// The sensor that the record names itself.
    pub sensor: Option<Span>,
    /// Fields that could not be read, a few at most.
    pub faults: Faults,
    /// What certsift read of it.
    pub body: Body,
}

/// At most this many fault tags a record carries.
const MAX_FAULTS: usize = 4;

/// The first few faults of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Faults([Option<Fault>; MAX_FAULTS]);

/// The logs that certsift tells apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
pub enum Log {
    /// Zeek `x509.log`.
    ZeekX509,
    /// Zeek `files.log`, read for pairs of hashes and not written.
    ZeekFiles,
    /// Zeek `known_certs.log`, passed through.
    ZeekKnownCerts,
    /// Zeek `ssl.log`.
    ZeekSsl,
    /// EVE `tls`.
    SuricataTls,
    /// EVE `quic`.
    SuricataQuic,
    /// EVE `alert` with a `tls` object.
    SuricataAlert,
    /// Any other EVE event, passed through.
    SuricataOther,
    /// Another Zeek log, named once and skipped.
    ZeekOther,
    /// A line that could not be told to belong to any log.
    Unknown,
}

/// What was read of a record.
#[derive(Clone, Debug)]
pub enum Body {
    /// A TLS session.
    Session(Session),
    /// A certificate by itself (Zeek `x509.log`).
    Certificate(CertificateRecord),
    /// Hashes of one certificate file (Zeek `files.log`).
    HashPair(HashPair),
    /// Nothing: the line leaves as it came.
    PassThrough,
    /// Nothing: the line already holds a `certsift` object and leaves as it came.
    AlreadyEnriched,
    /// Nothing: the line belongs to a log that is not written.
    Skipped,
    /// The line cannot leave as a record.
    DeadLetter(DeadLetter),
}

/// A line that cannot be spliced, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeadLetter {
    /// The line's own bytes.
    pub bytes: Vec<u8>,
    /// What is wrong, for a person.
    pub reason: &'static str,
}

/// A TLS session as one record tells it.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Session {
    /// The client's address.
    pub client: Option<Address>,
    /// The server's address.
    pub server: Option<Address>,
    /// The server's port.
    pub server_port: Option<u16>,
    /// The name that the client asked for (SNI), as logged.
    pub server_name: Option<Span>,
    /// Identity of that name in lower case, and of its registrable domain.
    pub name: Option<NameIds>,
    /// Protocol version.
    pub version: TlsVersion,
    /// Whether the session was resumed.
    pub resumed: bool,
    /// Whether the handshake completed; `None` when the sensor does not say.
    pub established: Option<bool>,
    /// The server's certificates: where in the batch's references, and how many.
    pub chain: ReferenceRange,
    /// The client's certificates, likewise.
    pub client_chain: ReferenceRange,
    /// Whether the sensor logs certificate references at all in this log.
    pub chain_logged: bool,
    /// Signs that the leaf did not parse: a field that a parsed leaf always sets is missing.
    pub leaf_unparsed_hint: UnparsedHint,
    /// The flow, where the sensor names it (EVE `flow_id`).
    pub flow: Option<Id128>,
    /// The sensor's own verdict on the chain.
    pub validation_status: Option<Span>,
    /// The leaf, where the record itself holds its facts (EVE).
    pub leaf: Option<Arc<Certificate>>,
    /// What the server sent with it, where the record holds that (EVE `chain`). Such a session never waits, so that it is
    /// not stored.
    #[serde(skip)]
    pub presented: Option<Arc<PresentedChain>>,
    /// The client's certificate, where the record itself holds its facts (EVE).
    pub client_leaf: Option<Arc<Certificate>>,
    /// The service, as clients see it: address, port, and the name that they ask for, or none. It follows from these, and
    /// is worked out where the record is read, since the thread that asks for it has no time to hash.
    #[serde(skip)]
    pub service: Option<Id128>,
    /// What the client offers. Last, so that sessions that were stored without it are read by adding to their end.
    pub client_fingerprints: ClientFingerprints,
}

/// What a client offers, as sensors fingerprint it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct ClientFingerprints {
    /// JA3.
    pub ja3: Option<Ja3>,
    /// JA4: where its text is, and its identity.
    pub ja4: Option<(Span, Id128)>,
}

/// Identities of a server name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct NameIds {
    /// The whole name, lower case, without a final dot.
    pub name: Id128,
    /// Its registrable domain by the ICANN part of the Public Suffix List; `None` for addresses and single labels.
    pub domain: Option<Id128>,
}

/// A range of a batch's references.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct ReferenceRange {
    /// First reference.
    pub start: u32,
    /// Number of references.
    pub len: u16,
}

/// What Zeek leaves unset when a leaf does not parse.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct UnparsedHint {
    /// `sni_matches_cert` is unset though there is a name (4.1 and later).
    pub no_name_match: bool,
    /// `validation_status` is unset.
    pub no_validation: bool,
    /// The header says that there is a `validation_status`; JSON shows it only where it is set.
    pub validation_column: bool,
}

/// A certificate record of Zeek.
#[derive(Clone, Debug)]
pub struct CertificateRecord {
    /// The certificate.
    pub certificate: Arc<Certificate>,
    /// What sessions refer to it by: its fingerprint (4.1 and later) or its file id.
    pub reference: Option<CertificateId>,
    /// Whether it came first in a certificate message (`host_cert`, 4.1 and later); `None` when not logged.
    pub host: Option<bool>,
}

/// SHA-1 and SHA-256 of one certificate, from Zeek `files.log`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HashPair {
    /// SHA-1 of the DER.
    pub sha1: Sha1Digest,
    /// SHA-256 of the DER.
    pub sha256: Sha256Digest,
}

/// Protocol versions as far as they matter here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub enum TlsVersion {
    /// TLS 1.3 and its drafts: certificates are encrypted.
    Tls13,
    /// QUIC, likewise.
    Quic,
    /// Anything older.
    Older,
    /// Not logged, or no ServerHello was seen.
    Unknown,
}

/// About as many bytes as a session's texts have that are no part of its line.
const BESIDE_LINE: usize = 64;

impl Batch {
    /// One record by itself, with the text it refers to and no more: for records that outlive their batch.
    pub fn extract(&self, index: u32) -> Self {
        let mut text = String::new();
        let mut references = Vec::new();
        let records = self.records.get(index as usize).map(|record| {
            let mut record = record.clone();
            let line = record.line;
            text.reserve(line.len as usize + BESIDE_LINE);
            text.push_str(line.of(&self.text));
            record.line.start = 0;
            let mut copy = |span: Span| {
                // Most is part of the line.
                if let Some(start) = span.start.checked_sub(line.start)
                    && u64::from(start) + u64::from(span.len) <= u64::from(line.len)
                {
                    return Span { start, len: span.len };
                }
                let start = text.len() as u32;
                text.push_str(span.of(&self.text));
                Span { start, len: span.len }
            };
            record.sensor = record.sensor.map(&mut copy);
            if let Body::Session(session) = &mut record.body {
                session.server_name = session.server_name.map(&mut copy);
                session.validation_status = session.validation_status.map(&mut copy);
                session.client_fingerprints.ja4 = session.client_fingerprints.ja4.map(|(text, id)| (copy(text), id));
                for range in [&mut session.chain, &mut session.client_chain] {
                    let start = references.len() as u32;
                    references.extend_from_slice(range.of(&self.references));
                    range.start = start;
                }
            }
            record
        });
        Self {
            source: Arc::clone(&self.source),
            text,
            records: records.into_iter().collect(),
            references,
            end_offset: self.end_offset,
        }
    }
}

impl Span {
    /// The text of this piece.
    pub fn of(self, text: &str) -> &str {
        text.get(self.start as usize..self.start as usize + self.len as usize).unwrap_or_default()
    }
}

impl Session {
    /// The same with its service.
    pub fn with_service(mut self) -> Self {
        self.service =
            self.server.zip(self.server_port).map(|(server, port)| Self::service_id(server, port, self.name));
        self
    }

    /// The identity of a service.
    pub fn service_id(server: Address, port: u16, name: Option<NameIds>) -> Id128 {
        let name = name.map_or([0; 16], |name| name.name.0);
        Id128::of_parts(&[&server.server_id().0, &port.to_be_bytes(), &name])
    }
}

impl ClientFingerprints {
    /// The identity of the one that tells more: JA4, which does not change with the order of what is offered, else JA3.
    pub fn id(&self) -> Option<Id128> {
        self.ja4.map(|(_, id)| id).or(self.ja3.map(|ja3| Id128(ja3.0)))
    }

    /// The same as text, out of the text of the batch.
    pub fn text(&self, text: &str) -> Option<String> {
        self.ja4.map(|(span, _)| span.of(text).to_owned()).or(self.ja3.map(|ja3| ja3.to_string()))
    }
}

impl Faults {
    /// Adds a fault; beyond the first four they are not kept.
    pub fn push(&mut self, fault: Fault) {
        if self.iter().any(|known| *known == fault) {
            return;
        }
        if let Some(free) = self.0.iter_mut().find(|slot| slot.is_none()) {
            *free = Some(fault);
        }
    }

    /// The faults in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter().flatten()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0[0].is_none()
    }
}

impl ReferenceRange {
    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.len == 0
    }

    /// The references of this range.
    pub fn of(self, references: &[CertificateId]) -> &[CertificateId] {
        let start = self.start as usize;
        references.get(start..start + usize::from(self.len)).unwrap_or_default()
    }
}

impl Log {
    /// The name that records carry, `zeek.ssl` and so on.
    pub fn name(self) -> &'static str {
        match self {
            Self::ZeekX509 => "zeek.x509",
            Self::ZeekFiles => "zeek.files",
            Self::ZeekKnownCerts => "zeek.known_certs",
            Self::ZeekSsl => "zeek.ssl",
            Self::SuricataTls => "suricata.tls",
            Self::SuricataQuic => "suricata.quic",
            Self::SuricataAlert => "suricata.alert",
            Self::SuricataOther => "suricata",
            Self::ZeekOther => "zeek",
            Self::Unknown => "unknown",
        }
    }

    /// The rank among records of one time: what others refer to comes first.
    ///
    /// The design names certificates before files. Zeek, however, sets the time of a certificate's row in `x509.log` to that
    /// of its row in `files.log`, and a session that waits for its certificate goes on as soon as that is known: were the
    /// pair of hashes behind it, lists of SHA-1 would be compared with nothing.
    pub fn rank(self) -> u8 {
        match self {
            Self::ZeekFiles => 0,
            Self::ZeekX509 => 1,
            Self::ZeekKnownCerts => 2,
            Self::ZeekSsl => 3,
            Self::SuricataTls | Self::SuricataQuic | Self::SuricataAlert | Self::SuricataOther => 4,
            Self::ZeekOther | Self::Unknown => 5,
        }
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
