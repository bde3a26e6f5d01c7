//! What leaves the stage: a record with what was known when it was judged.

use std::sync::Arc;

use super::KnownCertificate;
use crate::history::{ObservedCertificate, Seen};
use crate::model::{Batch, Direction, EventTime, Id128, Session, TlsVersion};

/// A record on its way out, with what was known when it was judged.
#[derive(Debug)]
pub struct Judged {
    /// The batch that holds the record.
    pub batch: Arc<Batch>,
    /// Which of the batch's records it is.
    pub index: u32,
    /// What was known.
    pub context: Context,
}

/// What was known of a record when it was judged.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "nearly all records are sessions, and one allocation less for each counts"
)]
pub enum Context {
    /// A session.
    Session(SessionContext),
    /// A certificate by itself.
    Certificate(Arc<KnownCertificate>),
    /// Nothing: the record leaves as it came, or not at all.
    None,
}

/// What was known of a session.
#[derive(Debug)]
pub struct SessionContext {
    /// The server's certificate.
    pub leaf: Leaf,
    /// The client's certificate.
    pub client_certificate: Option<Arc<KnownCertificate>>,
    /// Who connected to whom.
    pub direction: Option<Direction>,
    /// The network that the server is in, unless it is within.
    pub network: Option<Id128>,
    /// What history says, this session included.
    pub seen: Seen,
    /// Where the name has come with another issuer of late: the certificate that it had before.
    pub former: Option<Arc<KnownCertificate>>,
    /// Whether the client is a proxy or a NAT address: many clients behind one address.
    pub shared_client: bool,
    /// Whether the server is a proxy or a NAT address: many servers behind one address.
    pub shared_server: bool,
    /// The clock.
    pub clock: EventTime,
    /// The record's own time, which ages are computed at; the clock where it has none.
    pub at: EventTime,
    /// Whether the sensor's own clock is wrong, so that no age can be told.
    pub sensor_clock_is_wrong: bool,
}

/// The certificate that a session's server presented.
#[derive(Clone, Debug)]
pub enum Leaf {
    /// It was seen in this session.
    Presented(Arc<KnownCertificate>),
    /// It was seen in an earlier session with the same server.
    Recalled {
        /// The certificate.
        certificate: Arc<KnownCertificate>,
        /// When it was presented.
        presented_at: EventTime,
    },
    /// It cannot be known.
    Absent(AbsentReason),
}

/// Why a session's certificate cannot be known.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AbsentReason {
    /// TLS 1.3 encrypts it.
    Tls13,
    /// The session was resumed, and nothing could be recalled.
    Resumed,
    /// QUIC encrypts it.
    Quic,
    /// The handshake did not get that far.
    Incomplete,
    /// The sensor could not parse it.
    Unparsed,
    /// The sensor does not log it.
    NotLogged,
    /// The sensor logged it where certsift has not seen it.
    NotFound,
}

impl SessionContext {
    /// The server's certificate as history knows it.
    pub fn observed(&self) -> Option<&ObservedCertificate> {
        self.leaf.known().map(|known| &known.observed)
    }
}

impl Leaf {
    /// The certificate, presented or recalled.
    pub fn known(&self) -> Option<&Arc<KnownCertificate>> {
        match self {
            Self::Presented(known) | Self::Recalled { certificate: known, .. } => Some(known),
            Self::Absent(_) => None,
        }
    }
}

impl AbsentReason {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Tls13, Self::Resumed, Self::Quic, Self::Incomplete, Self::Unparsed, Self::NotLogged, Self::NotFound];

    /// Its name as it stands in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tls13 => "tls13",
            Self::Resumed => "resumed",
            Self::Quic => "quic",
            Self::Incomplete => "incomplete",
            Self::Unparsed => "unparsed",
            Self::NotLogged => "not_logged",
            Self::NotFound => "not_found",
        }
    }

    /// Why a session shows no certificate at all.
    pub(super) fn of(session: &Session) -> Self {
        match session.version {
            TlsVersion::Quic => Self::Quic,
            TlsVersion::Tls13 => Self::Tls13,
            _ if session.resumed => Self::Resumed,
            _ if session.established != Some(true) => Self::Incomplete,
            _ => Self::NotLogged,
        }
    }
}
