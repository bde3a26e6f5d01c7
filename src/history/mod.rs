//! Who saw what when.
//!
//! In: what a session shows, in record order. Out: what was known of it, the session included. Promise: counts of distinct
//! observers are exact up to 32 within the window, every table is bounded, and nothing here looks at the wall clock.

mod recent;
mod table;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use recent::Recent;
pub use table::{Change, Recency, Table};

use crate::model::{CertificateId, DAY_NANOS, EventTime, Id128};

/// How long history looks back and when it begins to judge.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct HistorySettings {
    /// Days of event time in which observers are counted.
    pub window_days: i32,
    /// What has to have been seen before rarity means anything.
    pub learning: LearningThresholds,
    /// Entries that a table holds at most, each of its two segments.
    pub table_capacity: usize,
}

/// What has to have been seen before rarity means anything.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LearningThresholds {
    /// Days of event time since the first session.
    pub days: i32,
    /// Distinct certificates.
    pub certificates: u64,
    /// Distinct clients.
    pub clients: u64,
}

/// What one session shows.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Observation {
    /// The session's own time, held within what the clock allows.
    pub at: EventTime,
    /// The clock.
    pub clock: EventTime,
    /// The client.
    pub client: Option<Id128>,
    /// The server.
    pub server: Option<Id128>,
    /// The registrable domain of the name, or the name itself where it has none.
    pub domain: Option<Id128>,
    /// The certificate.
    pub certificate: Option<ObservedCertificate>,
}

/// The certificate of an observation.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ObservedCertificate {
    /// Its identity.
    pub id: CertificateId,
    /// Its issuer; `None` when it is unknown or the certificate is its own issuer.
    pub issuer: Option<Id128>,
    /// The issuer's organisation, likewise.
    pub organization: Option<Id128>,
    /// Whether it was recalled from an earlier session: observers and last-seen follow, first-seen does not.
    pub recalled: bool,
}

/// What is known once a session has been counted.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Seen {
    /// The issuer, by its whole name.
    pub issuer: Option<IssuerSeen>,
    /// The issuer's organisation.
    pub organization: Option<IssuerSeen>,
    /// The certificate.
    pub certificate: Option<CertificateSeen>,
    /// When the name was first seen, and whether that was after learning had ended.
    pub name: Option<FirstSeen>,
    /// Whether there is enough history to judge rarity by.
    pub learning: Option<LearningReason>,
    /// Distinct clients in the window.
    pub active_clients: u32,
}

/// What is known of an issuer.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct IssuerSeen {
    /// When it was first seen.
    pub first: FirstSeen,
    /// When it was last seen.
    pub last_seen: EventTime,
    /// Distinct clients in the window; 32 stands for 32 or more, here and below.
    pub clients: u32,
    /// Distinct registrable domains.
    pub domains: u32,
    /// Distinct servers.
    pub servers: u32,
    /// Distinct certificates.
    pub certificates: u32,
}

/// What is known of a certificate.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CertificateSeen {
    /// When it was first seen.
    pub first: FirstSeen,
    /// Distinct clients in the window.
    pub clients: u32,
}

/// When something was first seen.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct FirstSeen {
    /// The time of the first session.
    pub at: EventTime,
    /// Whether learning had ended by then: what was there before says nothing about novelty.
    pub after_learning: bool,
}

/// Why history is not ready to judge.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LearningReason {
    /// Too few days of event time.
    FewDays,
    /// Too few distinct certificates.
    FewCertificates,
    /// Too few distinct clients. A site that never has enough goes without rarity.
    FewClients,
}

/// History of issuers, certificates and names.
#[derive(Debug)]
pub struct History {
    settings: HistorySettings,
    issuers: Table<IssuerEntry>,
    certificates: Table<CertificateEntry>,
    names: Table<NameEntry>,
    clients: Table<i32>,
    clients_per_day: BTreeMap<i32, u32>,
    learning: Learning,
}

/// How far learning has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Learning {
    /// The clock at the first session, or at the first after a pause of more than a week: what lies between says nothing.
    started: Option<EventTime>,
    /// The clock at the last session.
    last: Option<EventTime>,
    /// Certificates that were new.
    certificates: u64,
    /// Clients that were new.
    clients: u64,
    /// Whether it has ended; it does not begin again.
    ended: bool,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct IssuerEntry {
    first: FirstSeen,
    last_seen: EventTime,
    clients: Recent,
    domains: Recent,
    servers: Recent,
    certificates: Recent,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct NameEntry {
    first: FirstSeen,
    /// One of its clients: another one establishes the name.
    client: Option<Id128>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct CertificateEntry {
    first: FirstSeen,
    clients: Recent,
}

/// Clients whose last day is remembered; beyond, the number of active clients saturates.
const MAX_CLIENTS: usize = 65_536;

/// A longer pause begins learning's days anew.
const MAX_LEARNING_PAUSE: i64 = 7 * DAY_NANOS;

/// Which of the tables a stored row belongs to. The numbers are part of the state's format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HistoryTable {
    /// Issuers and their organisations.
    Issuers = 1,
    /// Certificates.
    Certificates = 2,
    /// Names.
    Names = 3,
    /// Clients.
    Clients = 4,
}

/// A row that cannot be read back.
#[derive(Debug, thiserror::Error)]
#[error("a row of the history cannot be read")]
pub struct BadRow;

impl History {
    /// An empty history. `tracking` says whether its changes are to be stored.
    pub fn new(settings: HistorySettings, tracking: bool) -> Self {
        let capacity = settings.table_capacity;
        Self {
            settings,
            issuers: Table::new(capacity, tracking),
            certificates: Table::new(capacity, tracking),
            names: Table::new(capacity, tracking),
            clients: Table::new(MAX_CLIENTS, tracking),
            clients_per_day: BTreeMap::new(),
            learning: Learning::default(),
        }
    }

    /// Counts a session and says what is known then.
    pub fn observe(&mut self, observation: &Observation) -> Seen {
        let day = observation.clock.day();
        if let Some(client) = observation.client {
            self.note_client(client, day);
        }
        self.note_learning_time(observation.clock);
        let first = FirstSeen { at: observation.at, after_learning: self.learning.ended };
        if let Some(certificate) = observation.certificate {
            self.note_certificate(observation, certificate, first, day);
        }
        if let Some(domain) = observation.domain {
            self.note_name(domain, observation.client, first);
        }
        self.end_learning(observation.clock);
        self.look_up(observation)
    }

    /// Says what is known without counting anything, for records that repeat a session that was counted.
    pub fn look_up(&self, observation: &Observation) -> Seen {
        let from_day = observation.clock.day() - self.settings.window_days + 1;
        let issuer = |key: Option<Id128>| {
            let entry = self.issuers.peek(key?)?;
            Some(IssuerSeen {
                first: entry.first,
                last_seen: entry.last_seen,
                clients: entry.clients.count_since(from_day),
                domains: entry.domains.count_since(from_day),
                servers: entry.servers.count_since(from_day),
                certificates: entry.certificates.count_since(from_day),
            })
        };
        let certificate = observation.certificate;
        Seen {
            issuer: issuer(certificate.and_then(|certificate| certificate.issuer)),
            organization: issuer(certificate.and_then(|certificate| certificate.organization)),
            certificate: certificate
                .and_then(|certificate| self.certificates.peek(certificate.id))
                .map(|entry| CertificateSeen { first: entry.first, clients: entry.clients.count_since(from_day) }),
            name: observation.domain.and_then(|domain| self.names.peek(domain)).map(|entry| entry.first),
            learning: self.learning_reason(observation.clock),
            active_clients: self.clients_per_day.range(from_day..).map(|(_, clients)| clients).sum(),
        }
    }

    /// Entries forgotten so far to stay within bounds.
    pub fn evicted(&self) -> u64 {
        self.issuers.evicted() + self.certificates.evicted() + self.names.evicted() + self.clients.evicted()
    }

    /// How far learning has come, to be stored.
    pub fn learning(&self) -> Learning {
        self.learning
    }

    /// Continues from stored learning.
    pub fn restore_learning(&mut self, learning: Learning) {
        self.learning = learning;
    }

    /// Puts back a stored row. Rows of one table must come in the order of their sequence.
    ///
    /// # Errors
    /// The row cannot be read.
    pub fn restore(&mut self, table: HistoryTable, key: Id128, recency: Recency, value: &[u8]) -> Result<(), BadRow> {
        match table {
            HistoryTable::Issuers => self.issuers.restore(key, recency, read_row(value)?),
            HistoryTable::Certificates => self.certificates.restore(key, recency, read_row(value)?),
            HistoryTable::Names => self.names.restore(key, recency, read_row(value)?),
            HistoryTable::Clients => {
                let day: i32 = read_row(value)?;
                *self.clients_per_day.entry(day).or_default() += 1;
                self.clients.restore(key, recency, day);
            }
        }
        Ok(())
    }

    /// Calls `each` with every row that changed since the last call; an empty value stands for a row that is gone.
    pub fn take_changes(&mut self, mut each: impl FnMut(HistoryTable, Id128, Recency, Option<Vec<u8>>)) {
        changes_of(&mut self.issuers, HistoryTable::Issuers, &mut each);
        changes_of(&mut self.certificates, HistoryTable::Certificates, &mut each);
        changes_of(&mut self.names, HistoryTable::Names, &mut each);
        changes_of(&mut self.clients, HistoryTable::Clients, &mut each);
    }

    fn note_client(&mut self, client: Id128, day: i32) {
        let (last, new) = self.clients.get_or_insert_with(client, || day);
        if new {
            self.learning.clients += 1;
            *self.clients_per_day.entry(day).or_default() += 1;
        } else if *last < day {
            if let Some(clients) = self.clients_per_day.get_mut(last) {
                *clients = clients.saturating_sub(1);
            }
            *last = day;
            *self.clients_per_day.entry(day).or_default() += 1;
        }
        // Days that left every window are not asked for again.
        let oldest = day - self.settings.window_days.max(1) - 1;
        while self.clients_per_day.first_key_value().is_some_and(|(day, _)| *day < oldest) {
            self.clients_per_day.pop_first();
        }
    }

    fn note_name(&mut self, name: Id128, client: Option<Id128>, first: FirstSeen) {
        let (entry, _) = self.names.get_or_insert_with(name, || NameEntry { first, client });
        match (entry.client, client) {
            (Some(known), Some(client)) if known != client => self.names.establish(name),
            (None, Some(client)) => entry.client = Some(client),
            _ => {}
        }
    }

    fn note_certificate(
        &mut self,
        observation: &Observation,
        certificate: ObservedCertificate,
        first: FirstSeen,
        day: i32,
    ) {
        for key in [certificate.issuer, certificate.organization].into_iter().flatten() {
            // What is only recalled has been seen before, unless it was forgotten; then this is no first sight.
            if certificate.recalled && self.issuers.peek(key).is_none() {
                continue;
            }
            let (entry, _) = self.issuers.get_or_insert_with(key, || IssuerEntry {
                first,
                last_seen: observation.at,
                clients: Recent::default(),
                domains: Recent::default(),
                servers: Recent::default(),
                certificates: Recent::default(),
            });
            entry.last_seen = entry.last_seen.max(observation.at);
            let sets = [
                (&mut entry.clients, observation.client),
                (&mut entry.domains, observation.domain),
                (&mut entry.servers, observation.server),
                (&mut entry.certificates, Some(certificate.id)),
            ];
            for (set, observer) in sets {
                if let Some(observer) = observer {
                    set.observe(observer, day);
                }
            }
            if entry.clients.is_several() {
                self.issuers.establish(key);
            }
        }
        if certificate.recalled && self.certificates.peek(certificate.id).is_none() {
            return;
        }
        let (entry, new) = self
            .certificates
            .get_or_insert_with(certificate.id, || CertificateEntry { first, clients: Recent::default() });
        if let Some(client) = observation.client {
            entry.clients.observe(client, day);
        }
        if entry.clients.is_several() {
            self.certificates.establish(certificate.id);
        }
        if new {
            self.learning.certificates += 1;
        }
    }

    fn note_learning_time(&mut self, clock: EventTime) {
        if self.learning.ended {
            return;
        }
        let gap = self.learning.last.map_or(0, |last| clock.since(last).abs());
        if gap > MAX_LEARNING_PAUSE || self.learning.started.is_none() {
            self.learning.started = Some(clock);
        }
        self.learning.last = Some(clock);
    }

    fn end_learning(&mut self, clock: EventTime) {
        if self.learning.ended {
            return;
        }
        let thresholds = self.settings.learning;
        let days = self.learning_days(clock);
        self.learning.ended = days >= i64::from(thresholds.days)
            && self.learning.certificates >= thresholds.certificates
            && self.learning.clients >= thresholds.clients;
    }

    fn learning_reason(&self, clock: EventTime) -> Option<LearningReason> {
        let thresholds = self.settings.learning;
        if self.learning.ended {
            None
        } else if self.learning_days(clock) < i64::from(thresholds.days) {
            Some(LearningReason::FewDays)
        } else if self.learning.certificates < thresholds.certificates {
            Some(LearningReason::FewCertificates)
        } else {
            Some(LearningReason::FewClients)
        }
    }

    fn learning_days(&self, clock: EventTime) -> i64 {
        self.learning.started.map_or(0, |started| clock.since(started) / DAY_NANOS)
    }
}

fn read_row<'a, V: Deserialize<'a>>(value: &'a [u8]) -> Result<V, BadRow> {
    postcard::from_bytes(value).map_err(|_| BadRow)
}

fn changes_of<V: Serialize>(
    table: &mut Table<V>,
    name: HistoryTable,
    each: &mut impl FnMut(HistoryTable, Id128, Recency, Option<Vec<u8>>),
) {
    table.take_changes(|change| {
        let value = change.value.map(|value| postcard::to_allocvec(value).unwrap_or_default());
        each(name, change.key, change.recency, value);
    });
}
