//! Who saw what when.
//!
//! In: what a session shows, in record order. Out: what was known of it, the session included. Promise: counts of distinct
//! observers are exact up to 32 within the window, every table stays within its memory, and nothing here looks at the wall
//! clock.
//!
//! | table | key | observers |
//! |---|---|---|
//! | issuers | normalised name; organisation | clients, clients of servers within, domains, servers, certificates |
//! | certificates | certificate id | clients, servers, networks, names |
//! | keys | SHA-256 of the public key | servers, networks, certificates |
//! | names | registrable domain | clients, issuers, certificates, servers, networks |
//! | servers | address | certificates, names, clients |
//! | fingerprints | JA4 of the client, else JA3 | clients, certificates, servers that hide theirs |
//! | clients | address, IPv6 by /64 | none: the last day |
//!
//! Clients are those within; who comes from outside is none. Of issuers, which are asked for rarity, those that go out are
//! counted apart from those that stay within, and only they are in the last table.

mod alerts;
mod budget;
mod clients;
mod entries;
mod learning;
mod merge;
pub(crate) mod migrate;
mod prune;
mod rarity;
mod recent;
mod rows;
mod seen;
mod slots;
mod table;

pub use alerts::{Alert, Alerts};
pub use budget::Budget;
pub use entries::{
    CertificateEntry, ESTABLISHED_AFTER, ESTABLISHED_CLIENTS, Entry, FingerprintEntry, IssuerEntry, KeyEntry,
    NameEntry, ServerEntry, Times,
};
pub use learning::{Learning, LearningReason, LearningThresholds};
pub use merge::merge;
pub use prune::Forgotten;
pub use rarity::Rarity;
pub use recent::{Observer, Recent};
pub use rows::{BadRow, HistoryTable};
pub use seen::{
    Caller, CertificateSeen, FingerprintSeen, FirstSeen, IssuerChange, IssuerSeen, KeySeen, Labelled, Moved, NameSeen,
    Observation, ObservedCertificate, Seen, ServerSeen,
};
pub use table::{Change, Fate, Outcome, Recency, Table, Weighted};

use std::cell::Cell;
use std::sync::Arc;

use clients::Clients;
use entries::bounded_label;
use recent::Noted;
use rows::{read_row, write_row};

use crate::model::{EventTime, Id128};

/// How long history looks back and when it begins to judge.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct HistorySettings {
    /// Days of event time in which observers are counted.
    pub window_days: i32,
    /// What has to have been seen before rarity means anything.
    pub learning: LearningThresholds,
    /// Bytes of memory that the tables may take.
    pub memory: u64,
}

/// History of issuers, certificates, keys, names, servers and fingerprints of clients.
#[derive(Clone, Debug)]
pub struct History {
    settings: HistorySettings,
    issuers: Table<IssuerEntry>,
    certificates: Table<CertificateEntry>,
    keys: Table<KeyEntry>,
    names: Table<NameEntry>,
    servers: Table<ServerEntry>,
    fingerprints: Table<FingerprintEntry>,
    clients: Clients,
    learning: Learning,
    /// Where it speaks of a whole input: when that begins.
    whole_since: Option<EventTime>,
}

/// What a table holds, and what that takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TableUse {
    /// Which table.
    pub table: HistoryTable,
    /// Entries.
    pub entries: usize,
    /// Bytes of memory that they take; of clients, their number.
    pub weight: u64,
    /// The bound of that.
    pub capacity: u64,
    /// Entries that were forgotten to stay within it.
    pub evicted: u64,
}

impl History {
    /// An empty history. `tracking` says whether its changes are to be stored.
    pub fn new(settings: HistorySettings, tracking: bool) -> Self {
        let budget = Budget::of(settings.memory);
        Self {
            settings,
            issuers: Table::new(budget.issuers, tracking),
            certificates: Table::new(budget.certificates, tracking),
            keys: Table::new(budget.keys, tracking),
            names: Table::new(budget.names, tracking),
            servers: Table::new(budget.servers, tracking),
            fingerprints: Table::new(budget.fingerprints, tracking),
            clients: Clients::new(budget.clients, tracking),
            learning: Learning::default(),
            whole_since: None,
        }
    }

    /// Counts a session and says what is known then. `label` is asked for text of what has none yet.
    pub fn observe(&mut self, observation: &Observation, label: &mut dyn FnMut(Labelled) -> Option<Box<str>>) -> Seen {
        let mut seen = Seen::default();
        self.observe_into(observation, label, &mut seen);
        seen
    }

    /// The same, into a place where nothing is known yet: what is known is large, and copied as often as it is handed on.
    pub fn observe_into(
        &mut self,
        observation: &Observation,
        label: &mut dyn FnMut(Labelled) -> Option<Box<str>>,
        seen: &mut Seen,
    ) {
        self.expect(observation);
        let Observation { clock, client, .. } = *observation;
        let day = clock.day();
        if let Some(client) = client.outgoing()
            && self.clients.note(client, day)
        {
            self.learning.note_client();
        }
        self.learning.note_time(clock);
        let from_day = self.from_day(clock);
        let after_learning = self.learning.has_ended();
        let session = Session { observation, day, from_day, after_learning, resized: Cell::new(false) };
        if let Some(certificate) = &observation.certificate {
            seen.issuer = session.note_issuer(&mut self.issuers, certificate.issuer, Labelled::Issuer, label);
            seen.organization =
                session.note_issuer(&mut self.issuers, certificate.organization, Labelled::Organization, label);
            let noted = session.note_certificate(&mut self.certificates);
            if client.goes_out() && noted.as_ref().is_some_and(|noted| noted.new) {
                self.learning.note_certificate();
            }
            seen.key = session.note_key(&mut self.keys, noted.as_ref().is_some_and(|noted| noted.several));
            seen.certificate = noted.map(|noted| noted.seen);
        }
        let (name, taken_over) = session.note_name(&mut self.names, &self.issuers, label).unzip();
        seen.name = name;
        if let Some((domain, issuer)) = taken_over.flatten() {
            seen.interception_begins = session.note_taken_over(&mut self.issuers, domain, issuer, seen);
        }
        seen.server = session.note_server(&mut self.servers);
        seen.fingerprint = session.note_fingerprint(&mut self.fingerprints, label);
        seen.learning = self.learning.end(self.settings.learning, clock);
        seen.active_clients = self.clients.since(from_day);
    }

    /// Announces to the tables what a session is about to ask of them.
    fn expect(&mut self, observation: &Observation) {
        if let Some(certificate) = &observation.certificate {
            self.issuers.expect(certificate.organization);
            self.issuers.expect(certificate.issuer);
            self.certificates.expect(Some(certificate.id));
            self.keys.expect(certificate.key);
        }
        self.names.expect(observation.domain);
        self.servers.expect(observation.server);
    }

    /// Says what is known without counting anything, for records that repeat a session that was counted.
    pub fn look_up(&self, observation: &Observation) -> Seen {
        let from_day = self.from_day(observation.clock);
        let (certificate, clock) = (observation.certificate, observation.clock);
        let issuer = |key: Option<Id128>| self.issuers.peek(key?).map(|entry| entry.seen(from_day));
        let key = certificate.and_then(|certificate| certificate.key);
        // The last day on which something was seen says nothing of one day of the whole.
        let day = if self.is_whole() { i32::MAX } else { observation.clock.day() };
        Seen {
            issuer: issuer(certificate.and_then(|certificate| certificate.issuer)),
            organization: issuer(certificate.and_then(|certificate| certificate.organization)),
            certificate: certificate
                .and_then(|certificate| self.certificates.peek(certificate.id))
                .map(|entry| entry.seen(from_day)),
            key: key.and_then(|key| self.keys.peek(key)).map(|entry| entry.seen(from_day)),
            name: observation.domain.and_then(|domain| self.names.peek(domain)).map(|entry| entry.seen(from_day)),
            server: observation
                .server
                .and_then(|server| self.servers.peek(server))
                .map(|entry| entry.seen(from_day, day)),
            fingerprint: observation
                .fingerprint
                .and_then(|fingerprint| self.fingerprints.peek(fingerprint))
                .map(|entry| entry.seen(from_day)),
            interception_begins: false,
            learning: self.learning_reason(if self.is_whole() { self.learning.last().unwrap_or(clock) } else { clock }),
            active_clients: self.clients.count_since(from_day),
            whole_since: self.whole_since,
        }
    }

    /// From now on [`look_up`](Self::look_up) speaks of everything that was counted, whenever that was, and of learning as
    /// it stands at the end. `since` is the clock before the input that is the whole.
    pub fn judge_by_the_whole(&mut self, since: Option<EventTime>) {
        self.whole_since = Some(since.unwrap_or(EventTime(i64::MIN)));
    }

    /// Whether it does.
    pub fn is_whole(&self) -> bool {
        self.whole_since.is_some()
    }

    /// Entries forgotten so far to stay within bounds.
    pub fn evicted(&self) -> u64 {
        self.usage().iter().map(|table| table.evicted).sum()
    }

    /// What each table holds, and what that takes.
    pub fn usage(&self) -> [TableUse; 7] {
        [
            usage_of(HistoryTable::Issuers, &self.issuers),
            usage_of(HistoryTable::Certificates, &self.certificates),
            usage_of(HistoryTable::Keys, &self.keys),
            usage_of(HistoryTable::Names, &self.names),
            usage_of(HistoryTable::Servers, &self.servers),
            usage_of(HistoryTable::Fingerprints, &self.fingerprints),
            usage_of(HistoryTable::Clients, self.clients.table()),
        ]
    }

    /// What it works by.
    pub fn settings(&self) -> &HistorySettings {
        &self.settings
    }

    /// Issuers and organisations, in no order; likewise below.
    pub fn issuers(&self) -> &Table<IssuerEntry> {
        &self.issuers
    }

    /// Certificates.
    pub fn certificates(&self) -> &Table<CertificateEntry> {
        &self.certificates
    }

    /// Keys.
    pub fn keys(&self) -> &Table<KeyEntry> {
        &self.keys
    }

    /// Names.
    pub fn names(&self) -> &Table<NameEntry> {
        &self.names
    }

    /// Servers.
    pub fn servers(&self) -> &Table<ServerEntry> {
        &self.servers
    }

    /// Fingerprints of clients.
    pub fn fingerprints(&self) -> &Table<FingerprintEntry> {
        &self.fingerprints
    }

    /// Clients, and the last day on which each was seen.
    pub fn clients(&self) -> &Table<i32> {
        self.clients.table()
    }

    /// Distinct clients in the window that ends at a time of the clock.
    pub fn active_clients(&self, clock: EventTime) -> u32 {
        self.clients.count_since(self.from_day(clock))
    }

    /// The first day of the window that ends at a time of the clock.
    pub fn from_day(&self, clock: EventTime) -> i32 {
        if self.is_whole() { i32::MIN } else { clock.day().saturating_sub(self.settings.window_days - 1) }
    }

    /// How far learning has come.
    pub fn learning(&self) -> Learning {
        self.learning
    }

    /// Why history is not ready to judge at a time of the clock; `None` when it is. The whole of one capture may be a
    /// day, and is judged by what is usual in it.
    pub fn learning_reason(&self, clock: EventTime) -> Option<LearningReason> {
        let thresholds = self.settings.learning;
        let days = if self.is_whole() { 0 } else { thresholds.days };
        self.learning.reason(LearningThresholds { days, ..thresholds }, clock)
    }

    /// Continues from stored learning.
    pub fn restore_learning(&mut self, learning: Learning) {
        self.learning = learning;
    }

    /// Puts back the stored rows of a table, in any order; `bad` says what a row is that cannot be read.
    ///
    /// # Errors
    /// A row cannot be had or read.
    pub fn restore<E, B: AsRef<[u8]>>(
        &mut self,
        table: HistoryTable,
        rows: impl Iterator<Item = Result<(Id128, Recency, B), E>>,
        bad: impl Fn(BadRow) -> E,
    ) -> Result<(), E> {
        match table {
            HistoryTable::Issuers => self.issuers.restore(read_rows(rows, bad)),
            HistoryTable::Certificates => self.certificates.restore(read_rows(rows, bad)),
            HistoryTable::Names => self.names.restore(read_rows(rows, bad)),
            HistoryTable::Keys => self.keys.restore(read_rows(rows, bad)),
            HistoryTable::Servers => self.servers.restore(read_rows(rows, bad)),
            HistoryTable::Fingerprints => self.fingerprints.restore(read_rows(rows, bad)),
            HistoryTable::Clients => self.clients.restore(read_rows(rows, bad)),
        }
    }

    /// Calls `each` with every row.
    pub fn rows(&self, mut each: impl FnMut(HistoryTable, Id128, Recency, Vec<u8>)) {
        rows_of(HistoryTable::Issuers, &self.issuers, &mut each);
        rows_of(HistoryTable::Certificates, &self.certificates, &mut each);
        rows_of(HistoryTable::Names, &self.names, &mut each);
        rows_of(HistoryTable::Keys, &self.keys, &mut each);
        rows_of(HistoryTable::Servers, &self.servers, &mut each);
        rows_of(HistoryTable::Fingerprints, &self.fingerprints, &mut each);
        rows_of(HistoryTable::Clients, self.clients.table(), &mut each);
    }

    /// Calls `each` with every row that changed since the last call; an empty value stands for a row that is gone.
    pub fn take_changes(&mut self, mut each: impl FnMut(HistoryTable, Id128, Recency, Option<Vec<u8>>)) {
        self.issuers.take_changes(|change| row_of(HistoryTable::Issuers, &change, &mut each));
        self.certificates.take_changes(|change| row_of(HistoryTable::Certificates, &change, &mut each));
        self.names.take_changes(|change| row_of(HistoryTable::Names, &change, &mut each));
        self.keys.take_changes(|change| row_of(HistoryTable::Keys, &change, &mut each));
        self.servers.take_changes(|change| row_of(HistoryTable::Servers, &change, &mut each));
        self.fingerprints.take_changes(|change| row_of(HistoryTable::Fingerprints, &change, &mut each));
        self.clients.take_changes(|change| row_of(HistoryTable::Clients, &change, &mut each));
    }
}

/// A session on its way through the tables.
struct Session<'a> {
    observation: &'a Observation,
    day: i32,
    from_day: i32,
    after_learning: bool,
    /// Whether the entry that is being changed has come to take more memory, or less.
    resized: Cell<bool>,
}

/// What noting a certificate gave.
struct NotedCertificate {
    seen: CertificateSeen,
    new: bool,
    /// Several clients have seen it.
    several: bool,
}

impl Session<'_> {
    /// The entry of what is seen for the first time. What is only recalled has been seen before, unless it was forgotten;
    /// then this is no first sight.
    fn first_sight<E: Entry>(&self, recalled: bool) -> Option<E> {
        let at = self.observation.at;
        let first = FirstSeen { at, after_learning: self.after_learning };
        (!recalled).then(|| E::new(Times { first, last_seen: at }))
    }

    fn note_times(&self, times: &mut Times, recalled: bool) {
        times.note(self.observation.at, self.after_learning, recalled);
    }

    /// Says whether the observer is new to the set.
    fn note(&self, set: &mut Recent, observer: Option<Id128>) -> bool {
        let Some(observer) = observer else { return false };
        let noted = set.note(observer, self.day);
        if noted == Noted::Grown {
            self.resized.set(true);
        }
        noted != Noted::Known
    }

    /// Asks what something is called that has no label yet.
    fn note_label(
        &self,
        known: &mut Option<Box<str>>,
        of: Labelled,
        label: &mut dyn FnMut(Labelled) -> Option<Box<str>>,
    ) {
        if known.is_none() {
            *known = label(of).map(|label| bounded_label(&label));
            self.resized.set(true);
        }
    }

    /// What the table has to know of the entry that was just changed.
    fn outcome(&self, established: bool) -> Outcome {
        Outcome { established, resized: self.resized.replace(false) }
    }

    fn note_issuer(
        &self,
        issuers: &mut Table<IssuerEntry>,
        key: Option<Id128>,
        labelled: Labelled,
        label: &mut dyn FnMut(Labelled) -> Option<Box<str>>,
    ) -> Option<IssuerSeen> {
        let certificate = self.observation.certificate.as_ref()?;
        let recalled = certificate.recalled;
        issuers.update(
            key?,
            || self.first_sight(recalled),
            |entry, _| {
                self.note_times(&mut entry.times, recalled);
                self.note_label(&mut entry.label, labelled, label);
                self.note(&mut entry.clients, self.observation.client.outgoing());
                self.note(&mut entry.internal_clients, self.observation.client.internal());
                self.note(&mut entry.domains, self.observation.domain);
                self.note(&mut entry.servers, self.observation.server);
                self.note(&mut entry.certificates, Some(certificate.id));
                (self.outcome(entry.is_established()), entry.seen(self.from_day))
            },
        )
    }

    fn note_certificate(&self, certificates: &mut Table<CertificateEntry>) -> Option<NotedCertificate> {
        let certificate = self.observation.certificate.as_ref()?;
        let recalled = certificate.recalled;
        certificates.update(
            certificate.id,
            || self.first_sight(recalled),
            |entry, new| {
                self.note_times(&mut entry.times, recalled);
                self.note(&mut entry.clients, self.observation.client.within());
                let networks = entry.networks.count_since(self.from_day);
                let new_server = self.note(&mut entry.servers, self.observation.server);
                let new_network = self.note(&mut entry.networks, self.observation.network);
                // A server that was known is in no new network, whatever its network is called now.
                let is_old = self.observation.clock.since(entry.times.first.at) >= ESTABLISHED_AFTER;
                if let Some(to) = self.observation.network.filter(|_| new_server && new_network && is_old && !recalled)
                {
                    self.resized.set(true);
                    entry.moved = Some(Arc::new(Moved { at: self.observation.at, to, networks: networks.into() }));
                }
                self.note(&mut entry.names, self.observation.domain);
                let several = entry.clients.is_several();
                (self.outcome(several), NotedCertificate { seen: entry.seen(self.from_day), new, several })
            },
        )
    }

    /// A key is as established as its certificates are.
    fn note_key(&self, keys: &mut Table<KeyEntry>, several_clients: bool) -> Option<KeySeen> {
        let certificate = self.observation.certificate.as_ref()?;
        let recalled = certificate.recalled;
        keys.update(
            certificate.key?,
            || self.first_sight(recalled),
            |entry, _| {
                self.note_times(&mut entry.times, recalled);
                self.note(&mut entry.servers, self.observation.server);
                self.note(&mut entry.networks, self.observation.network);
                self.note(&mut entry.certificates, Some(certificate.id));
                (self.outcome(several_clients), entry.seen(self.from_day))
            },
        )
    }

    /// Gives what is known of the name; and where it is established and has just been taken over by another issuer, what
    /// it is and by whom.
    #[allow(clippy::type_complexity, reason = "two things that one look gives")]
    fn note_name(
        &self,
        names: &mut Table<NameEntry>,
        issuers: &Table<IssuerEntry>,
        label: &mut dyn FnMut(Labelled) -> Option<Box<str>>,
    ) -> Option<(NameSeen, Option<(Id128, Id128)>)> {
        let certificate = self.observation.certificate.as_ref();
        // A name may be another server inside, with another issuer, than outside: that is no change.
        let shown = certificate.filter(|_| self.observation.client.goes_out());
        names.update(
            self.observation.domain?,
            || self.first_sight(false),
            |entry, _| {
                self.note_times(&mut entry.times, false);
                self.note_label(&mut entry.label, Labelled::Domain, label);
                self.note(&mut entry.clients, self.observation.client.within());
                let new_server = self.note(&mut entry.servers, self.observation.server);
                let new_network = self.note(&mut entry.networks, self.observation.network);
                let from_certificate = entry.certificates.observers().next().map(|observer| observer.id);
                self.note(&mut entry.certificates, shown.map(|certificate| certificate.id));
                let issuer = shown.and_then(ObservedCertificate::issuer_of_name);
                let from = entry.issuers.observers().next().map(|observer| observer.id);
                let new_issuer = self.note(&mut entry.issuers, issuer);
                // What is recalled tells nothing of what the server would present today.
                let presented = certificate.is_some_and(|certificate| !certificate.recalled);
                let mut taken_over = None;
                let label_of = |id| issuers.peek(id).and_then(|issuer| issuer.label.clone());
                if let (true, true, Some(to), Some(from)) = (new_issuer, presented, issuer, from) {
                    self.resized.set(true);
                    entry.issuer_change = Some(Arc::new(IssuerChange {
                        at: self.observation.at,
                        to,
                        from,
                        from_label: label_of(from),
                        to_label: label_of(to),
                        from_certificate,
                        new_server,
                        // A server that was known is in no new network, whatever its network is called now.
                        new_network: new_server && new_network,
                    }));
                    let is_established = entry.is_established_at(self.observation.clock, self.from_day);
                    // By its whole name: an organisation is what anybody may write.
                    let issuer = certificate.and_then(|certificate| certificate.issuer);
                    taken_over = self.observation.domain.filter(|_| is_established).zip(issuer);
                }
                (self.outcome(entry.clients.is_several()), (entry.seen(self.from_day), taken_over))
            },
        )
    }

    /// Says whether it is by this name that the issuer is known to inspect TLS, and lets `seen` know.
    fn note_taken_over(&self, issuers: &mut Table<IssuerEntry>, domain: Id128, issuer: Id128, seen: &mut Seen) -> bool {
        let noted = issuers.update(
            issuer,
            || None,
            |entry, _| {
                let begins = entry.take_over(domain, self.observation.at, self.day);
                (Outcome { established: entry.is_established(), resized: true }, (begins, entry.intercepts_since))
            },
        );
        let Some((begins, since)) = noted else { return false };
        if let Some(known) = &mut seen.issuer {
            known.intercepts_since = since;
        }
        begins
    }

    fn note_fingerprint(
        &self,
        fingerprints: &mut Table<FingerprintEntry>,
        label: &mut dyn FnMut(Labelled) -> Option<Box<str>>,
    ) -> Option<FingerprintSeen> {
        let certificate = self.observation.certificate.map(|certificate| certificate.id);
        fingerprints.update(
            self.observation.fingerprint?,
            || self.first_sight(false),
            |entry, _| {
                self.note_times(&mut entry.times, false);
                self.note_label(&mut entry.label, Labelled::Fingerprint, label);
                self.note(&mut entry.clients, self.observation.client.within());
                self.note(&mut entry.certificates, certificate);
                self.note(&mut entry.hidden_servers, self.observation.server.filter(|_| certificate.is_none()));
                (self.outcome(entry.clients.is_several()), entry.seen(self.from_day))
            },
        )
    }

    /// A session without a certificate and without a name says nothing of its server.
    fn note_server(&self, servers: &mut Table<ServerEntry>) -> Option<ServerSeen> {
        let certificate = self.observation.certificate.map(|certificate| certificate.id);
        let server = self.observation.server?;
        if certificate.or(self.observation.domain).is_none() {
            return servers.peek(server).map(|entry| entry.seen(self.from_day, self.day));
        }
        servers.update(
            server,
            || self.first_sight(false),
            |entry, _| {
                self.note_times(&mut entry.times, false);
                self.note(&mut entry.certificates, certificate);
                self.note(&mut entry.names, self.observation.domain);
                self.note(&mut entry.clients, self.observation.client.within());
                (self.outcome(entry.clients.is_several()), entry.seen(self.from_day, self.day))
            },
        )
    }
}

fn read_rows<V: serde::de::DeserializeOwned, E, B: AsRef<[u8]>>(
    rows: impl Iterator<Item = Result<(Id128, Recency, B), E>>,
    bad: impl Fn(BadRow) -> E,
) -> impl Iterator<Item = Result<(Id128, Recency, V), E>> {
    rows.map(move |row| {
        let (key, recency, value) = row?;
        Ok((key, recency, read_row(value.as_ref()).map_err(&bad)?))
    })
}

fn rows_of<V: serde::Serialize + Weighted>(
    which: HistoryTable,
    table: &Table<V>,
    each: &mut impl FnMut(HistoryTable, Id128, Recency, Vec<u8>),
) {
    for (key, recency, value) in table.iter() {
        each(which, key, recency, write_row(value));
    }
}

fn row_of<V: serde::Serialize>(
    table: HistoryTable,
    change: &Change<'_, V>,
    each: &mut impl FnMut(HistoryTable, Id128, Recency, Option<Vec<u8>>),
) {
    each(table, change.key, change.recency, change.value.map(write_row));
}

fn usage_of<V: Weighted>(which: HistoryTable, table: &Table<V>) -> TableUse {
    TableUse {
        table: which,
        entries: table.len(),
        weight: table.weight(),
        capacity: table.capacity(),
        evicted: table.evicted(),
    }
}
