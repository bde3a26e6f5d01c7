//! Networks and addresses, and a table that finds those that hold an address.

use std::net::IpAddr;

use super::MatchKind;
use super::filter::Filter;
use super::index::Entry;
use crate::model::Address;

/// A network; an address is a network of one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Network {
    /// Length of the prefix, of an address in IPv6 form.
    length: u8,
    /// The prefix; the bits behind it are zero.
    bits: u128,
}

/// Networks by length and prefix.
#[derive(Default)]
pub(super) struct NetworkTable {
    /// Sorted.
    entries: Vec<(Network, Option<u16>, Entry<()>)>,
    /// The lengths that occur.
    lengths: Vec<u8>,
    filter: Filter,
}

/// Networks shorter than these hold so much of the world that a row with one is a mistake.
const MIN_LENGTH_IPV4: u8 = 8;
const MIN_LENGTH_IPV6: u8 = 16;
/// Two numbers without a pattern.
const KEYS: (u64, u64) = (0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344);
/// The length of the prefix of IPv4 addresses in IPv6 form.
const IPV4_PREFIX: u8 = 96;

impl Network {
    /// Reads an address or a network in CIDR notation. `None` for everything else, and for networks that hold a large
    /// part of the Internet.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length.parse::<u8>().ok()?)),
            None => (text, None),
        };
        // Only what begins like an address is one; this runs for every name of a list.
        if !address.bytes().next().is_some_and(|first| first.is_ascii_hexdigit() || matches!(first, b':' | b'[')) {
            return None;
        }
        let address = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
        let ip: IpAddr = address.parse().ok()?;
        let (width, least) = if ip.is_ipv4() { (32, MIN_LENGTH_IPV4) } else { (128, MIN_LENGTH_IPV6) };
        let length = length.unwrap_or(width);
        if !(least..=width).contains(&length) {
            return None;
        }
        let length = length + (128 - width);
        let bits = u128::from_be_bytes(Address::from(ip).server_id().0) & mask(length);
        Some(Self { length, bits })
    }

    /// What a hit on it is called.
    pub(super) fn kind(self) -> MatchKind {
        if self.length == 128 { MatchKind::Address } else { MatchKind::Network }
    }

    /// The network as a number that is evenly spread.
    fn key(self) -> u64 {
        let (high, low) = ((self.bits >> 64) as u64, self.bits as u64);
        let product = u128::from(high ^ u64::from(self.length) ^ KEYS.0) * u128::from(low ^ KEYS.1);
        (product >> 64) as u64 ^ product as u64
    }

    /// The network as text: an address, or CIDR notation.
    pub(super) fn text(self) -> String {
        let ip = std::net::Ipv6Addr::from(self.bits).to_canonical();
        let length = if ip.is_ipv4() { self.length.saturating_sub(IPV4_PREFIX) } else { self.length };
        if self.length == 128 { ip.to_string() } else { format!("{ip}/{length}") }
    }
}

impl NetworkTable {
    /// Sorts networks into a table.
    pub(super) fn new(mut entries: Vec<(Network, Option<u16>, Entry<()>)>) -> Self {
        entries.sort_unstable();
        entries.shrink_to_fit();
        let mut lengths: Vec<u8> = entries.iter().map(|(network, ..)| network.length).collect();
        lengths.dedup();
        let filter = Filter::new(entries.iter().map(|(network, ..)| network.key()));
        Self { entries, lengths, filter }
    }

    /// All networks, with the port and the row of each.
    pub(super) fn entries(&self) -> &[(Network, Option<u16>, Entry<()>)] {
        &self.entries
    }

    /// Whether there is no network.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Calls `visit` with every network that holds an address, and the port and row of it.
    pub(super) fn find(&self, address: Address, mut visit: impl FnMut(Network, Option<u16>, Entry<()>)) {
        let bits = u128::from_be_bytes(address.server_id().0);
        for &length in &self.lengths {
            let wanted = Network { length, bits: bits & mask(length) };
            if !self.filter.may_hold(wanted.key()) {
                continue;
            }
            let from = self.entries.partition_point(|(network, ..)| *network < wanted);
            for &(network, port, entry) in self.entries[from..].iter().take_while(|(network, ..)| *network == wanted) {
                visit(network, port, entry);
            }
        }
    }
}

fn mask(length: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_networks_are_read_and_found() {
        let texts = ["192.0.2.1", "192.0.2.0/24", "198.51.100.7/32", "2001:db8::/32", "::ffff:203.0.113.9"];
        let entries = (1..)
            .zip(texts)
            .map(|(row, text)| (Network::parse(text).expect(text), None, Entry { key: (), note: 0, row }));
        let table = NetworkTable::new(entries.collect());
        let rows = |address: &str| {
            let mut rows = Vec::new();
            table.find(Address::parse(address).unwrap(), |_, _, entry| rows.push(entry.row));
            rows.sort_unstable();
            rows
        };
        assert_eq!(rows("192.0.2.1"), [1, 2]);
        assert_eq!(rows("192.0.2.9"), [2]);
        assert_eq!(rows("198.51.100.7"), [3]);
        assert_eq!(rows("2001:db8:1::1"), [4]);
        assert_eq!(rows("203.0.113.9"), [5]);
        assert!(rows("203.0.113.8").is_empty());
        assert_eq!(Network::parse("192.0.2.0/24").unwrap().text(), "192.0.2.0/24");
        assert_eq!(Network::parse("2001:db8::/32").unwrap().text(), "2001:db8::/32");
    }

    #[test]
    fn addresses_that_are_not_listed_are_mostly_not_searched_for() {
        let address = |high: u32, number: u32| Network::parse(&format!("203.{high}.{}.{}", number >> 8, number & 255));
        let listed = (0..20_000).map(|row| (address(0, row).unwrap(), None, Entry { key: (), note: 0, row }));
        let table = NetworkTable::new(listed.collect());
        assert!(table.entries().iter().all(|(network, ..)| table.filter.may_hold(network.key())));
        let past = (0..20_000).filter(|number| table.filter.may_hold(address(1, *number).unwrap().key())).count();
        assert!(past < 200, "{past} of 20,000");
    }

    #[test]
    fn what_is_no_network_or_too_large_a_one_is_refused() {
        for text in ["", "0.0.0.0/0", "10.0.0.0/7", "10.0.0.1/33", "::/0", "evil.example", "1.2.3", "1.2.3.4:443"] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }
}
