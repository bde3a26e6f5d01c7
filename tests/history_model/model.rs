//! History told the naive way: every observation is kept, and every question goes through all of them.

use std::collections::{BTreeMap, BTreeSet};

use certsift::history::{Observation, ObservedCertificate};
use certsift::model::{EventTime, Id128};

/// Distinct observers beyond this number are not told apart.
const MOST: usize = 32;

/// Everything that was observed.
#[derive(Clone, Default)]
pub(crate) struct Model {
    subjects: BTreeMap<(Kind, Id128), Subject>,
    clients: BTreeMap<Id128, i32>,
}

/// What history keeps account of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Kind {
    Issuer,
    Certificate,
    Key,
    Name,
    Server,
    Fingerprint,
}

/// Everything that was observed of one subject.
#[derive(Clone, Default)]
struct Subject {
    first: Option<EventTime>,
    last: Option<EventTime>,
    /// Who saw it on which day, by what kind of observer it is.
    seen: Vec<(&'static str, Id128, i32)>,
}

/// What is known of a subject: first and last seen, and the numbers of observers by what they are.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Known {
    pub(crate) first: EventTime,
    pub(crate) last: EventTime,
    pub(crate) counts: BTreeMap<&'static str, usize>,
}

impl Model {
    pub(crate) fn observe(&mut self, it: &Observation) {
        let day = it.clock.day();
        if let Some(client) = it.client.outgoing() {
            let last = self.clients.entry(client).or_insert(day);
            *last = day.max(*last);
        }
        let (client, outgoing) = (it.client.within(), it.client.outgoing());
        let certificate = it.certificate.as_ref();
        let recalled = certificate.is_some_and(|certificate| certificate.recalled);
        let id = certificate.map(|certificate| certificate.id);
        if let Some(certificate) = certificate {
            let observers = [
                ("clients", outgoing),
                ("internal_clients", it.client.internal()),
                ("domains", it.domain),
                ("servers", it.server),
                ("certificates", id),
            ];
            for issuer in [certificate.issuer, certificate.organization].into_iter().flatten() {
                self.note(Kind::Issuer, issuer, it.at, day, recalled, &observers);
            }
            let observers =
                [("clients", client), ("servers", it.server), ("networks", it.network), ("names", it.domain)];
            self.note(Kind::Certificate, certificate.id, it.at, day, recalled, &observers);
            if let Some(key) = certificate.key {
                let observers = [("servers", it.server), ("networks", it.network), ("certificates", id)];
                self.note(Kind::Key, key, it.at, day, recalled, &observers);
            }
        }
        if let Some(domain) = it.domain {
            let issuer = certificate.and_then(|certificate| {
                let own = certificate.own_issuer.then_some(ObservedCertificate::OWN_ISSUER);
                certificate.organization.or(certificate.issuer).or(own)
            });
            let observers = [
                ("clients", client),
                ("issuers", issuer.filter(|_| it.client.goes_out())),
                ("certificates", id.filter(|_| it.client.goes_out())),
                ("servers", it.server),
                ("networks", it.network),
            ];
            self.note(Kind::Name, domain, it.at, day, false, &observers);
        }
        if let Some(fingerprint) = it.fingerprint {
            let hidden = it.server.filter(|_| id.is_none());
            let observers = [("clients", client), ("certificates", id), ("hidden_servers", hidden)];
            self.note(Kind::Fingerprint, fingerprint, it.at, day, false, &observers);
        }
        if let Some(server) = it.server {
            let observers = [("certificates", id), ("names", it.domain), ("clients", client)];
            if id.is_some() || it.domain.is_some() {
                self.note(Kind::Server, server, it.at, day, false, &observers);
            }
        }
    }

    /// What is known of a subject by the observers since a day.
    pub(crate) fn known(&self, kind: Kind, id: Option<Id128>, from_day: i32) -> Option<Known> {
        let subject = self.subjects.get(&(kind, id?))?;
        let mut observers: BTreeMap<&'static str, BTreeSet<Id128>> = BTreeMap::new();
        for (of, observer, day) in &subject.seen {
            let set = observers.entry(of).or_default();
            if *day >= from_day {
                set.insert(*observer);
            }
        }
        let counts = observers.into_iter().map(|(of, set)| (of, set.len().min(MOST)));
        Some(Known { first: subject.first?, last: subject.last?, counts: counts.collect() })
    }

    pub(crate) fn active_clients(&self, from_day: i32) -> usize {
        self.clients.values().filter(|day| **day >= from_day).count()
    }

    fn note(
        &mut self,
        kind: Kind,
        id: Id128,
        at: EventTime,
        day: i32,
        recalled: bool,
        observers: &[(&'static str, Option<Id128>)],
    ) {
        if recalled && !self.subjects.contains_key(&(kind, id)) {
            return;
        }
        let subject = self.subjects.entry((kind, id)).or_default();
        if !recalled {
            subject.first = Some(subject.first.map_or(at, |first| first.min(at)));
        }
        subject.last = subject.last.max(Some(at));
        for (of, observer) in observers {
            subject.seen.extend(observer.map(|observer| (*of, observer, day)));
        }
    }
}

/// The certificate of an observation, if it has one.
pub(crate) fn certificate(observation: &Observation) -> Option<&ObservedCertificate> {
    observation.certificate.as_ref()
}
