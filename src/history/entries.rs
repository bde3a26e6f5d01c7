//! What the tables hold: for each subject when it was seen first and last, and who saw it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::budget::ALLOCATION_BYTES;
use super::recent::Recent;
use super::seen::{
    CertificateSeen, FingerprintSeen, FirstSeen, IssuerChange, IssuerSeen, KeySeen, Moved, NameSeen, ServerSeen,
};
use super::table::{Weighted, entry_bytes};
use crate::model::{DAY_NANOS, EventTime, Id128};

/// Text for people, cut to so many bytes: attackers choose it.
const MAX_LABEL: usize = 256;

/// What has been known for so long, a name or a certificate in its networks, is established.
pub const ESTABLISHED_AFTER: i64 = 14 * DAY_NANOS;
/// And by so many clients.
pub const ESTABLISHED_CLIENTS: u8 = 3;
/// An issuer that stands in for those of so many established names within today and yesterday inspects TLS. Nobody but
/// who is on the way of all traffic can.
const INTERCEPTED_NAMES: u8 = 20;
/// And so many clients have to meet it in that time: a single one may be the accomplice of the server that it asks.
const INTERCEPTED_CLIENTS: u8 = 3;

/// When something was seen.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Times {
    /// The first time.
    pub first: FirstSeen,
    /// The last time.
    pub last_seen: EventTime,
}

/// An issuer, or the organisation of issuers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct IssuerEntry {
    /// When it was seen.
    pub times: Times,
    /// Its name, as a sensor printed it.
    pub label: Option<Box<str>>,
    /// Clients.
    pub clients: Recent,
    /// Registrable domains.
    pub domains: Recent,
    /// Servers.
    pub servers: Recent,
    /// Certificates.
    pub certificates: Recent,
    /// Established names that came with it and had come with another issuer before. No history counts these alone, so
    /// they are none of its sets.
    pub taken_over: Recent,
    /// When those had become many within a day or two: it inspects TLS.
    pub intercepts_since: Option<EventTime>,
    /// Clients of servers within, which are not among the others.
    pub internal_clients: Recent,
}

/// A certificate.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CertificateEntry {
    /// When it was seen.
    pub times: Times,
    /// Clients.
    pub clients: Recent,
    /// Servers.
    pub servers: Recent,
    /// Networks of servers.
    pub networks: Recent,
    /// Registrable domains.
    pub names: Recent,
    /// The last time that it came to a network where it had not been, long after it was first seen.
    pub moved: Option<Arc<Moved>>,
}

/// A public key.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct KeyEntry {
    /// When it was seen.
    pub times: Times,
    /// Servers.
    pub servers: Recent,
    /// Networks of servers.
    pub networks: Recent,
    /// Certificates.
    pub certificates: Recent,
}

/// A registrable domain, or a name that has none.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct NameEntry {
    /// When it was seen.
    pub times: Times,
    /// The domain.
    pub label: Option<Box<str>>,
    /// Clients.
    pub clients: Recent,
    /// Issuers: by organisation, else by name.
    pub issuers: Recent,
    /// Certificates.
    pub certificates: Recent,
    /// Servers.
    pub servers: Recent,
    /// Networks of servers.
    pub networks: Recent,
    /// The last time that it came with an issuer that it had not come with before.
    pub issuer_change: Option<Arc<IssuerChange>>,
}

/// A server's address.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ServerEntry {
    /// When it was seen.
    pub times: Times,
    /// Certificates.
    pub certificates: Recent,
    /// Registrable domains.
    pub names: Recent,
    /// Clients.
    pub clients: Recent,
}

/// What clients offer, as a sensor fingerprints it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct FingerprintEntry {
    /// When it was seen.
    pub times: Times,
    /// Its text.
    pub label: Option<Box<str>>,
    /// Clients.
    pub clients: Recent,
    /// Certificates of servers.
    pub certificates: Recent,
    /// Servers of sessions whose certificate was not visible: what goes with them is not known.
    pub hidden_servers: Recent,
}

/// What is the same for all entries.
pub trait Entry: Sized {
    /// An entry without an observer.
    fn new(times: Times) -> Self;

    /// When it was seen.
    fn times(&self) -> &Times;

    /// The same, to be changed.
    fn times_mut(&mut self) -> &mut Times;

    /// Its sets of observers, by what they are of.
    fn sets(&self) -> impl Iterator<Item = (&'static str, &Recent)>;

    /// Its sets in the same order, to be changed.
    fn sets_mut(&mut self) -> impl Iterator<Item = &mut Recent>;

    /// What it is called.
    fn label(&self) -> Option<&str> {
        None
    }

    /// Whether it is established by itself: several clients have seen it.
    fn is_established(&self) -> bool {
        self.sets().any(|(of, set)| of == "clients" && set.is_several())
    }

    /// Bytes of memory of what is its own.
    fn own_bytes(&self) -> usize {
        0
    }

    /// Adds what another history knows, as far as it is its own.
    fn merge_own(&mut self, _other: &Self) {}

    /// Adds what another history knows of the same thing.
    fn merge(&mut self, other: &Self) {
        let (times, others) = (self.times_mut(), other.times());
        times.first = times.first.min(others.first);
        times.last_seen = times.last_seen.max(others.last_seen);
        for (set, (_, others)) in self.sets_mut().zip(other.sets()) {
            *set = set.merge(others);
        }
        self.merge_own(other);
    }

    /// Forgets observers that were last seen before a day; says whether there were any.
    fn forget_before(&mut self, day: i32) -> bool {
        self.sets_mut().fold(false, |any, set| set.forget_before(day) | any)
    }

    /// Bytes of memory that it takes in its table: what follows from its content.
    fn bytes(&self) -> u32 {
        let sets: usize = self.sets().map(|(_, set)| set.heap_bytes()).sum();
        (size_of::<Self>() + entry_bytes::<Self>() + sets + self.own_bytes()) as u32
    }
}

impl Times {
    /// Notes a session, and whether learning had ended by then. What is recalled was seen before.
    pub(super) fn note(&mut self, at: EventTime, after_learning: bool, recalled: bool) {
        self.last_seen = self.last_seen.max(at);
        // Sessions come late that began early: the first one is the earliest, in whichever order they come.
        if at < self.first.at && !recalled {
            self.first = FirstSeen { at, after_learning: self.first.after_learning && after_learning };
        }
    }
}

impl Entry for IssuerEntry {
    fn new(times: Times) -> Self {
        let [clients, domains, servers, certificates, taken_over, internal_clients] = [const { Recent::EMPTY }; 6];
        Self {
            times,
            label: None,
            clients,
            domains,
            servers,
            certificates,
            taken_over,
            intercepts_since: None,
            internal_clients,
        }
    }

    fn times(&self) -> &Times {
        &self.times
    }

    fn times_mut(&mut self) -> &mut Times {
        &mut self.times
    }

    fn sets(&self) -> impl Iterator<Item = (&'static str, &Recent)> {
        let Self { clients, domains, servers, certificates, internal_clients, .. } = self;
        [
            ("clients", clients),
            ("domains", domains),
            ("servers", servers),
            ("certificates", certificates),
            ("internal_clients", internal_clients),
        ]
        .into_iter()
    }

    fn sets_mut(&mut self) -> impl Iterator<Item = &mut Recent> {
        let Self { clients, domains, servers, certificates, internal_clients, .. } = self;
        [clients, domains, servers, certificates, internal_clients].into_iter()
    }

    fn label(&self) -> Option<&str> {
        self.label.as_deref()
    }

    fn is_established(&self) -> bool {
        self.clients.is_several() || self.internal_clients.is_several()
    }

    fn own_bytes(&self) -> usize {
        label_bytes(&self.label) + self.taken_over.heap_bytes()
    }

    fn merge_own(&mut self, other: &Self) {
        merge_labels(&mut self.label, &other.label);
        self.taken_over = self.taken_over.merge(&other.taken_over);
        self.intercepts_since = self.intercepts_since.into_iter().chain(other.intercepts_since).min();
    }
}

impl Entry for CertificateEntry {
    fn new(times: Times) -> Self {
        let [clients, servers, networks, names] = [const { Recent::EMPTY }; 4];
        Self { times, clients, servers, networks, names, moved: None }
    }

    fn times(&self) -> &Times {
        &self.times
    }

    fn times_mut(&mut self) -> &mut Times {
        &mut self.times
    }

    fn sets(&self) -> impl Iterator<Item = (&'static str, &Recent)> {
        let Self { clients, servers, networks, names, .. } = self;
        [("clients", clients), ("servers", servers), ("networks", networks), ("names", names)].into_iter()
    }

    fn sets_mut(&mut self) -> impl Iterator<Item = &mut Recent> {
        [&mut self.clients, &mut self.servers, &mut self.networks, &mut self.names].into_iter()
    }

    fn own_bytes(&self) -> usize {
        self.moved.as_ref().map_or(0, |_| size_of::<Moved>() + ALLOCATION_BYTES)
    }

    fn merge_own(&mut self, other: &Self) {
        // The later one; it may be that only both together would have seen one.
        if self.moved < other.moved {
            self.moved.clone_from(&other.moved);
        }
    }
}

impl Entry for KeyEntry {
    fn new(times: Times) -> Self {
        let [servers, networks, certificates] = [const { Recent::EMPTY }; 3];
        Self { times, servers, networks, certificates }
    }

    fn times(&self) -> &Times {
        &self.times
    }

    fn times_mut(&mut self) -> &mut Times {
        &mut self.times
    }

    fn sets(&self) -> impl Iterator<Item = (&'static str, &Recent)> {
        let Self { servers, networks, certificates, .. } = self;
        [("servers", servers), ("networks", networks), ("certificates", certificates)].into_iter()
    }

    fn sets_mut(&mut self) -> impl Iterator<Item = &mut Recent> {
        [&mut self.servers, &mut self.networks, &mut self.certificates].into_iter()
    }
}

impl Entry for NameEntry {
    fn new(times: Times) -> Self {
        let [clients, issuers, certificates, servers, networks] = [const { Recent::EMPTY }; 5];
        Self { times, label: None, clients, issuers, certificates, servers, networks, issuer_change: None }
    }

    fn times(&self) -> &Times {
        &self.times
    }

    fn times_mut(&mut self) -> &mut Times {
        &mut self.times
    }

    fn sets(&self) -> impl Iterator<Item = (&'static str, &Recent)> {
        let Self { clients, issuers, certificates, servers, networks, .. } = self;
        [
            ("clients", clients),
            ("issuers", issuers),
            ("certificates", certificates),
            ("servers", servers),
            ("networks", networks),
        ]
        .into_iter()
    }

    fn sets_mut(&mut self) -> impl Iterator<Item = &mut Recent> {
        let Self { clients, issuers, certificates, servers, networks, .. } = self;
        [clients, issuers, certificates, servers, networks].into_iter()
    }

    fn label(&self) -> Option<&str> {
        self.label.as_deref()
    }

    fn own_bytes(&self) -> usize {
        let change = self.issuer_change.as_ref();
        let change = change.map_or(0, |change| {
            let labels = label_bytes(&change.from_label) + label_bytes(&change.to_label);
            size_of::<IssuerChange>() + ALLOCATION_BYTES + labels
        });
        label_bytes(&self.label) + change
    }

    fn merge_own(&mut self, other: &Self) {
        merge_labels(&mut self.label, &other.label);
        // The later one; it may be that only both together would have seen one.
        if self.issuer_change < other.issuer_change {
            self.issuer_change.clone_from(&other.issuer_change);
        }
    }
}

impl Entry for ServerEntry {
    fn new(times: Times) -> Self {
        let [certificates, names, clients] = [const { Recent::EMPTY }; 3];
        Self { times, certificates, names, clients }
    }

    fn times(&self) -> &Times {
        &self.times
    }

    fn times_mut(&mut self) -> &mut Times {
        &mut self.times
    }

    fn sets(&self) -> impl Iterator<Item = (&'static str, &Recent)> {
        let Self { certificates, names, clients, .. } = self;
        [("certificates", certificates), ("names", names), ("clients", clients)].into_iter()
    }

    fn sets_mut(&mut self) -> impl Iterator<Item = &mut Recent> {
        [&mut self.certificates, &mut self.names, &mut self.clients].into_iter()
    }
}

impl Entry for FingerprintEntry {
    fn new(times: Times) -> Self {
        let [clients, certificates, hidden_servers] = [const { Recent::EMPTY }; 3];
        Self { times, label: None, clients, certificates, hidden_servers }
    }

    fn times(&self) -> &Times {
        &self.times
    }

    fn times_mut(&mut self) -> &mut Times {
        &mut self.times
    }

    fn sets(&self) -> impl Iterator<Item = (&'static str, &Recent)> {
        let Self { clients, certificates, hidden_servers, .. } = self;
        [("clients", clients), ("certificates", certificates), ("hidden_servers", hidden_servers)].into_iter()
    }

    fn sets_mut(&mut self) -> impl Iterator<Item = &mut Recent> {
        [&mut self.clients, &mut self.certificates, &mut self.hidden_servers].into_iter()
    }

    fn label(&self) -> Option<&str> {
        self.label.as_deref()
    }

    fn own_bytes(&self) -> usize {
        label_bytes(&self.label)
    }

    fn merge_own(&mut self, other: &Self) {
        merge_labels(&mut self.label, &other.label);
    }
}

impl IssuerEntry {
    /// What is known of it, by the observers since a day.
    pub fn seen(&self, from_day: i32) -> IssuerSeen {
        IssuerSeen {
            first: self.times.first,
            last_seen: self.times.last_seen,
            clients: self.clients.count_since(from_day),
            internal_clients: self.internal_clients.count_since(from_day),
            domains: self.domains.count_since(from_day),
            servers: self.servers.count_since(from_day),
            certificates: self.certificates.count_since(from_day),
            intercepts_since: self.intercepts_since,
        }
    }

    /// Notes that it stood in for the issuer of an established name; says whether it is by this that it is known to
    /// inspect TLS.
    pub(super) fn take_over(&mut self, domain: Id128, at: EventTime, day: i32) -> bool {
        self.taken_over.observe(domain, day);
        let many = self.taken_over.count_since(day - 1) >= INTERCEPTED_NAMES
            && self.clients.count_since(day - 1) >= INTERCEPTED_CLIENTS;
        let begins = many && self.intercepts_since.is_none();
        if begins {
            self.intercepts_since = Some(at);
        }
        begins
    }
}

impl CertificateEntry {
    /// What is known of it, by the observers since a day.
    pub(super) fn seen(&self, from_day: i32) -> CertificateSeen {
        CertificateSeen {
            first: self.times.first,
            last_seen: self.times.last_seen,
            clients: self.clients.count_since(from_day),
            servers: self.servers.count_since(from_day),
            networks: self.networks.count_since(from_day),
            names: self.names.count_since(from_day),
            moved: self.moved.clone(),
        }
    }
}

impl KeyEntry {
    /// What is known of it, by the observers since a day.
    pub(super) fn seen(&self, from_day: i32) -> KeySeen {
        KeySeen {
            first: self.times.first,
            last_seen: self.times.last_seen,
            servers: self.servers.count_since(from_day),
            networks: self.networks.count_since(from_day),
            certificates: self.certificates.count_since(from_day),
        }
    }
}

impl NameEntry {
    /// What is known of it, by the observers since a day.
    pub(super) fn seen(&self, from_day: i32) -> NameSeen {
        NameSeen {
            first: self.times.first,
            last_seen: self.times.last_seen,
            clients: self.clients.count_since(from_day),
            issuers: self.issuers.count_since(from_day),
            certificates: self.certificates.count_since(from_day),
            servers: self.servers.count_since(from_day),
            networks: self.networks.count_since(from_day),
            former_issuer_day: self.issuer_change.as_ref().and_then(|change| self.issuers.last_day(change.from)),
            issuer_change: self.issuer_change.clone(),
        }
    }

    /// Whether it has been known for long and to several clients.
    pub(super) fn is_established_at(&self, clock: EventTime, from_day: i32) -> bool {
        clock.since(self.times.first.at) >= ESTABLISHED_AFTER
            && self.clients.count_since(from_day) >= ESTABLISHED_CLIENTS
    }
}

impl ServerEntry {
    /// What is known of it, by the observers since a day.
    pub(super) fn seen(&self, from_day: i32, day: i32) -> ServerSeen {
        ServerSeen {
            first: self.times.first,
            last_seen: self.times.last_seen,
            certificates: self.certificates.count_since(from_day),
            recent_certificates: self.certificates.count_since(day - 1),
            names: self.names.count_since(from_day),
            clients: self.clients.count_since(from_day),
        }
    }
}

impl FingerprintEntry {
    /// What is known of it, by the observers since a day.
    pub(super) fn seen(&self, from_day: i32) -> FingerprintSeen {
        let certificates = self.certificates.count_since(from_day);
        let latest = self.certificates.observers().next().filter(|_| certificates == 1);
        FingerprintSeen {
            first: self.times.first,
            last_seen: self.times.last_seen,
            clients: self.clients.count_since(from_day),
            certificates,
            only_certificate: latest.map(|observer| observer.id),
            hidden_servers: self.hidden_servers.count_since(from_day),
        }
    }
}

impl Weighted for IssuerEntry {
    fn weight(&self) -> u32 {
        self.bytes()
    }
}

impl Weighted for CertificateEntry {
    fn weight(&self) -> u32 {
        self.bytes()
    }
}

impl Weighted for KeyEntry {
    fn weight(&self) -> u32 {
        self.bytes()
    }
}

impl Weighted for NameEntry {
    fn weight(&self) -> u32 {
        self.bytes()
    }
}

impl Weighted for ServerEntry {
    fn weight(&self) -> u32 {
        self.bytes()
    }
}

impl Weighted for FingerprintEntry {
    fn weight(&self) -> u32 {
        self.bytes()
    }
}

/// Text for people, cut to its bound.
pub(super) fn bounded_label(label: &str) -> Box<str> {
    let end = (0..=MAX_LABEL.min(label.len())).rev().find(|end| label.is_char_boundary(*end));
    label[..end.unwrap_or_default()].into()
}

fn label_bytes(label: &Option<Box<str>>) -> usize {
    label.as_ref().map_or(0, |label| label.len() + ALLOCATION_BYTES)
}

/// One thing may be spelt in several ways: the smallest spelling stands for all.
fn merge_labels(label: &mut Option<Box<str>>, other: &Option<Box<str>>) {
    if label.is_none() || other.as_ref().is_some_and(|other| Some(other) < label.as_ref()) {
        label.clone_from(other);
    }
}
