//! Streams of observations that look random and come again with their seed.

use certsift::history::{Caller, Observation, ObservedCertificate};
use certsift::model::{DAY_NANOS, EventTime, Id128, SECOND_NANOS};

use crate::support::random::Random;

/// A world of so many clients, servers, names and certificates, each of which has its key and its issuer.
pub(crate) struct Stream {
    random: Random,
    clock: EventTime,
    /// How long it takes from one session to the next, at the most.
    pause: usize,
}

/// The first time.
const BEGINNING: EventTime = EventTime(20_000 * DAY_NANOS);

impl Stream {
    pub(crate) fn new(seed: u64, sessions: usize, days: usize) -> Self {
        let pause = 2 * days * 86_400 / sessions.max(1);
        Self { random: Random::from_seed(seed), clock: BEGINNING, pause: pause.max(1) }
    }

    /// A small number mostly, a large one now and then: a few things are seen by many, and many by few.
    fn pick(&mut self, few: usize, many: usize) -> usize {
        if self.random.one_in(3) { self.random.below(many) } else { self.random.below(few) }
    }

    fn id(&self, kind: &str, number: usize) -> Id128 {
        Id128::of_parts(&[kind.as_bytes(), &number.to_be_bytes()])
    }
}

impl Iterator for Stream {
    type Item = Observation;

    fn next(&mut self) -> Option<Observation> {
        let pause = self.random.below(self.pause) as i64 * SECOND_NANOS + self.random.below(1000) as i64;
        self.clock = self.clock.plus(pause);
        let clock = self.clock;
        // Sessions are logged late.
        let at =
            if self.random.one_in(4) { clock.plus(-(self.random.below(900) as i64) * SECOND_NANOS) } else { clock };
        let server = self.pick(20, 3000);
        let name = if self.random.one_in(3) { self.pick(50, 2000) } else { server };
        let number = if self.random.one_in(8) { self.pick(10, 4000) } else { server };
        let issuer = number % 37;
        let certificate = ObservedCertificate {
            id: self.id("certificate", number),
            key: (number % 3 != 0).then(|| self.id("key", number / 2)),
            issuer: (number % 5 != 0).then(|| self.id("issuer", issuer)),
            organization: (number % 5 != 0 && issuer % 2 == 0).then(|| self.id("organization", issuer / 4)),
            own_issuer: number % 5 == 0,
            recalled: self.random.one_in(6),
        };
        let client = self.pick(60, 400);
        // A few clients of their own kind, and what all others offer.
        let offers = if number % 50 == 7 { number } else { self.pick(4, 20) + 10_000 };
        Some(Observation {
            at,
            clock,
            client: match self.random.below(20) {
                0 => Caller::Unnamed,
                1 => Caller::Internal(None),
                2 | 3 => Caller::Internal(Some(self.id("client", client))),
                4 => Caller::Outside,
                _ => Caller::Outgoing(self.id("client", client)),
            },
            server: (!self.random.one_in(30)).then(|| self.id("server", server)),
            network: (!self.random.one_in(30)).then(|| self.id("network", server / 16)),
            domain: (!self.random.one_in(5)).then(|| self.id("name", name)),
            certificate: (!self.random.one_in(4)).then_some(certificate),
            fingerprint: self.random.one_in(2).then(|| self.id("fingerprint", offers)),
        })
    }
}
