//! When an issuer is rare.

use super::{IssuerSeen, Recent};
use crate::model::{DAY_NANOS, EventTime};

/// What rarity is measured by.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rarity {
    /// The clock.
    pub clock: EventTime,
    /// Distinct clients in the window.
    pub active_clients: u32,
    /// Days for which something is new.
    pub new_days: i64,
    /// Where history tells of a whole input: when that begins. What few have met in all of it is rare, whenever that was,
    /// unless it was there before.
    pub whole_since: Option<EventTime>,
}

impl Rarity {
    /// An issuer of more registrable domains than this is in business.
    pub const MAX_DOMAINS: u8 = 2;

    /// Whether hardly anybody has met the issuer, which is new and was not there before learning ended. Whether it is a
    /// public CA is not asked here.
    pub fn is_rare(&self, issuer: &IssuerSeen) -> bool {
        issuer.clients <= self.most_clients() && issuer.domains <= Self::MAX_DOMAINS && self.is_new(issuer)
    }

    /// Whether that is so among clients and servers within, one client at the most, and nobody has met it outside.
    pub fn is_rare_inside(&self, issuer: &IssuerSeen) -> bool {
        issuer.clients == 0
            && issuer.internal_clients <= 1
            && issuer.domains <= Self::MAX_DOMAINS
            && self.is_new(issuer)
    }

    fn is_new(&self, issuer: &IssuerSeen) -> bool {
        let age = self.clock.since(issuer.first.at);
        match self.whole_since {
            Some(since) => issuer.first.at >= since,
            None => issuer.first.after_learning && age < self.new_days * DAY_NANOS,
        }
    }

    /// At most one client, or one in two hundred of those that are active.
    pub fn most_clients(&self) -> u8 {
        (self.active_clients / 200).clamp(1, Recent::K as u32 - 1) as u8
    }
}
