//! What history is told, and what it says.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::learning::LearningReason;
use crate::model::{CertificateId, EventTime, Id128};

/// What one session shows.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Observation {
    /// The session's own time, held within what the clock allows.
    pub at: EventTime,
    /// The clock.
    pub clock: EventTime,
    /// Who asked.
    pub client: Caller,
    /// The server.
    pub server: Option<Id128>,
    /// The network that the server is in: what counts as another one is the caller's to say.
    pub network: Option<Id128>,
    /// The registrable domain of the name, or the name itself where it has none.
    pub domain: Option<Id128>,
    /// The certificate.
    pub certificate: Option<ObservedCertificate>,
    /// What the client offers.
    pub fingerprint: Option<Id128>,
}

/// Who asked, as far as that counts. Rarity is asked of those within who go out: who is outside may call himself as he
/// likes, and whoever stays within is counted apart.
///
/// The first two stand in rows and journals as an absent and a present identity always did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Caller {
    /// Somebody within who goes out and cannot be told from others: a proxy, or an address that is not logged.
    Unnamed,
    /// A client within that goes out.
    Outgoing(Id128),
    /// A client within that asks a server within; `None` when it cannot be told from others.
    Internal(Option<Id128>),
    /// Somebody outside.
    Outside,
}

impl Caller {
    /// The client within that goes out.
    pub fn outgoing(self) -> Option<Id128> {
        match self {
            Self::Outgoing(client) => Some(client),
            Self::Unnamed | Self::Internal(_) | Self::Outside => None,
        }
    }

    /// The client within that asks a server within.
    pub fn internal(self) -> Option<Id128> {
        match self {
            Self::Internal(client) => client,
            Self::Unnamed | Self::Outgoing(_) | Self::Outside => None,
        }
    }

    /// The client, if it is one within.
    pub fn within(self) -> Option<Id128> {
        self.outgoing().or(self.internal())
    }

    /// Whether it goes out.
    pub fn goes_out(self) -> bool {
        matches!(self, Self::Unnamed | Self::Outgoing(_))
    }
}

/// The certificate of an observation.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ObservedCertificate {
    /// Its identity.
    pub id: CertificateId,
    /// Its key, where the DER was there to tell.
    pub key: Option<Id128>,
    /// Its issuer; `None` when it is unknown or the certificate is its own issuer.
    pub issuer: Option<Id128>,
    /// The issuer's organisation, likewise.
    pub organization: Option<Id128>,
    /// Whether the certificate is its own issuer.
    pub own_issuer: bool,
    /// Whether it was recalled from an earlier session: observers and last-seen follow, first-seen does not.
    pub recalled: bool,
}

impl ObservedCertificate {
    /// Who stands for all certificates that are their own issuers, where a name's issuers are told apart.
    pub const OWN_ISSUER: Id128 = Id128(*b"its own issuer\0\0");

    /// What a name remembers as its issuer: the organisation, else the name; `None` when it is unknown.
    pub fn issuer_of_name(&self) -> Option<Id128> {
        self.organization.or(self.issuer).or(self.own_issuer.then_some(Self::OWN_ISSUER))
    }
}

/// What a person may want to read of an observation. Only what is new to history is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Labelled {
    /// The issuer's name.
    Issuer,
    /// The issuer's organisation.
    Organization,
    /// The domain.
    Domain,
    /// What the client offers.
    Fingerprint,
}

/// What is known once a session has been counted. Numbers are of distinct observers within the window; 32 stands for 32
/// or more.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Seen {
    /// The issuer, by its whole name.
    pub issuer: Option<IssuerSeen>,
    /// The issuer's organisation.
    pub organization: Option<IssuerSeen>,
    /// The certificate.
    pub certificate: Option<CertificateSeen>,
    /// The key of the certificate.
    pub key: Option<KeySeen>,
    /// The registrable domain.
    pub name: Option<NameSeen>,
    /// The server.
    pub server: Option<ServerSeen>,
    /// What the client offers.
    pub fingerprint: Option<FingerprintSeen>,
    /// Why there is too little history to judge rarity by, if there is.
    pub learning: Option<LearningReason>,
    /// Distinct clients in the window.
    pub active_clients: u32,
    /// Where all of this tells of the whole input, and not of what came before the session: when that begins.
    pub whole_since: Option<EventTime>,
    /// Whether it is by this session that the issuer is known to inspect TLS.
    pub interception_begins: bool,
}

/// What is known of an issuer.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct IssuerSeen {
    /// When it was first seen.
    pub first: FirstSeen,
    /// When it was last seen.
    pub last_seen: EventTime,
    /// Distinct clients.
    pub clients: u8,
    /// Distinct clients of servers within.
    pub internal_clients: u8,
    /// Distinct registrable domains.
    pub domains: u8,
    /// Distinct servers.
    pub servers: u8,
    /// Distinct certificates.
    pub certificates: u8,
    /// Since when it is known to stand in for the issuers of many names: it inspects TLS.
    pub intercepts_since: Option<EventTime>,
}

/// What is known of a certificate.
#[derive(Clone, PartialEq, Debug)]
pub struct CertificateSeen {
    /// When it was first seen.
    pub first: FirstSeen,
    /// When it was last seen.
    pub last_seen: EventTime,
    /// Distinct clients.
    pub clients: u8,
    /// Distinct servers.
    pub servers: u8,
    /// Distinct networks of servers.
    pub networks: u8,
    /// Distinct registrable domains.
    pub names: u8,
    /// The last time that it came to a network where it had not been, long after it was first seen.
    pub moved: Option<Arc<Moved>>,
}

/// What is known of a key.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct KeySeen {
    /// When it was first seen.
    pub first: FirstSeen,
    /// When it was last seen.
    pub last_seen: EventTime,
    /// Distinct servers.
    pub servers: u8,
    /// Distinct networks of servers.
    pub networks: u8,
    /// Distinct certificates.
    pub certificates: u8,
}

/// What is known of a registrable domain.
#[derive(Clone, PartialEq, Debug)]
pub struct NameSeen {
    /// When it was first seen.
    pub first: FirstSeen,
    /// When it was last seen.
    pub last_seen: EventTime,
    /// Distinct clients.
    pub clients: u8,
    /// Distinct issuers: by organisation, else by name.
    pub issuers: u8,
    /// Distinct certificates.
    pub certificates: u8,
    /// Distinct servers.
    pub servers: u8,
    /// Distinct networks of servers.
    pub networks: u8,
    /// The last time that it came with an issuer that it had not come with before.
    pub issuer_change: Option<Arc<IssuerChange>>,
    /// The last day on which it came with the issuer from before that.
    pub former_issuer_day: Option<i32>,
}

/// What is known of a server.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ServerSeen {
    /// When it was first seen.
    pub first: FirstSeen,
    /// When it was last seen.
    pub last_seen: EventTime,
    /// Distinct certificates.
    pub certificates: u8,
    /// Distinct certificates of today and yesterday.
    pub recent_certificates: u8,
    /// Distinct registrable domains.
    pub names: u8,
    /// Distinct clients.
    pub clients: u8,
}

/// What is known of a client's fingerprint.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct FingerprintSeen {
    /// When it was first seen.
    pub first: FirstSeen,
    /// When it was last seen.
    pub last_seen: EventTime,
    /// Distinct clients.
    pub clients: u8,
    /// Distinct certificates.
    pub certificates: u8,
    /// The certificate, where it is one only.
    pub only_certificate: Option<CertificateId>,
    /// Distinct servers of sessions whose certificate was not visible.
    pub hidden_servers: u8,
}

/// When something was first seen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct FirstSeen {
    /// The time of the earliest session.
    pub at: EventTime,
    /// Whether learning had ended by then: what was there before says nothing about novelty.
    pub after_learning: bool,
}

/// A name came with an issuer that it had not come with before.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct IssuerChange {
    /// The session's time.
    pub at: EventTime,
    /// The issuer that was new: its organisation, else its name.
    pub to: Id128,
    /// The issuer that the name came with last before that.
    pub from: Id128,
    /// How that one is called, where that is known.
    pub from_label: Option<Box<str>>,
    /// How the new one is called, likewise.
    pub to_label: Option<Box<str>>,
    /// The certificate that the name came with last before that.
    pub from_certificate: Option<CertificateId>,
    /// Whether the name had not been at this server before either.
    pub new_server: bool,
    /// Whether the name had not been in this network before either.
    pub new_network: bool,
}

/// A certificate came to a network where it had not been.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Moved {
    /// The session's time.
    pub at: EventTime,
    /// The network.
    pub to: Id128,
    /// In how many networks it had been in the window.
    pub networks: u32,
}
