//! Addresses of clients and servers, and which networks are the user's own.

use std::net::{IpAddr, Ipv6Addr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::hash::Id128;

/// An IP address; IPv4 in its IPv6-mapped form, so that the two text forms of one address are equal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Address([u8; 16]);

/// Who connected to whom, by the configured local networks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From a local client to a foreign server.
    Outbound,
    /// From a foreign client to a local server.
    Inbound,
    /// Between local addresses.
    Internal,
    /// Between foreign addresses.
    Transit,
}

/// The user's own networks.
#[derive(Clone, PartialEq, Debug)]
pub struct Networks(Vec<Network>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    bits: u128,
    mask: u128,
}

impl Address {
    /// Reads IPv4 or IPv6 text, compressed or fully expanded, in brackets or not, with a zone or not.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(octets) = dotted(text.as_bytes()) {
            return Some(Self::from(IpAddr::from(octets)));
        }
        let text = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        let text = text.split('%').next().unwrap_or(text);
        text.parse::<IpAddr>().ok().map(Self::from)
    }

    /// The address as an observer of history: IPv6 clients count by their /64, since hosts change the rest at will.
    pub fn client_id(self) -> Id128 {
        if self.is_ipv4() {
            return Id128(self.0);
        }
        let mut prefix = [0; 16];
        prefix[..8].copy_from_slice(&self.0[..8]);
        Id128(prefix)
    }

    /// The address as an observer of history, whole.
    pub fn server_id(self) -> Id128 {
        Id128(self.0)
    }

    /// The network around the address, as far as that can be told from it: an IPv4 /16, an IPv6 /48.
    pub fn network_id(self) -> Id128 {
        let length = if self.is_ipv4() { 96 + 16 } else { 48 };
        Id128((u128::from_be_bytes(self.0) & mask(length)).to_be_bytes())
    }

    /// The address that an observer of history is.
    pub fn of_id(id: Id128) -> Self {
        Self(id.0)
    }

    /// The address in the standard library's type.
    pub fn ip(self) -> IpAddr {
        Ipv6Addr::from(self.0).to_canonical()
    }

    fn is_ipv4(self) -> bool {
        self.0[..12] == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]
    }
}

/// IPv4 in its usual form, which is that of most addresses.
fn dotted(text: &[u8]) -> Option<[u8; 4]> {
    let mut octets = [0; 4];
    let mut index = 0;
    let (mut value, mut digits) = (0, 0);
    for &byte in text {
        match byte {
            // No octet begins with a zero but the zero itself.
            b'0'..=b'9' if digits == 0 || value != 0 => {
                value = value * 10 + u32::from(byte - b'0');
                digits += 1;
                if value > 255 {
                    return None;
                }
            }
            b'.' if digits > 0 && index < 3 => {
                octets[index] = value as u8;
                index += 1;
                (value, digits) = (0, 0);
            }
            _ => return None,
        }
    }
    octets[3] = value as u8;
    (index == 3 && digits > 0).then_some(octets)
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Self(v4.to_ipv6_mapped().octets()),
            IpAddr::V6(v6) => Self(v6.octets()),
        }
    }
}

impl Networks {
    /// RFC 1918, unique local (RFC 4193), link-local and loopback addresses.
    pub const DEFAULT: [&'static str; 8] = [
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "fc00::/7",
        "169.254.0.0/16",
        "fe80::/10",
        "127.0.0.0/8",
        "::1/128",
    ];

    /// No network at all.
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// Reads networks in CIDR notation; a bare address is a network of one.
    pub fn parse<S: AsRef<str>>(texts: &[S]) -> Result<Self, String> {
        texts.iter().map(|text| Network::parse(text.as_ref())).collect::<Result<_, _>>().map(Self)
    }

    /// Whether one of the networks holds the address.
    pub fn contains(&self, address: Address) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// The direction of a session between two addresses.
    pub fn direction(&self, client: Address, server: Address) -> Direction {
        match (self.contains(client), self.contains(server)) {
            (true, false) => Direction::Outbound,
            (false, true) => Direction::Inbound,
            (true, true) => Direction::Internal,
            (false, false) => Direction::Transit,
        }
    }
}

impl Network {
    fn parse(text: &str) -> Result<Self, String> {
        let (ip, length) = match text.split_once('/') {
            Some((ip, length)) => (ip, Some(length)),
            None => (text, None),
        };
        let ip: IpAddr = ip.trim().parse().map_err(|_| format!("`{text}` is not an address or a network"))?;
        let (width, offset) = if ip.is_ipv4() { (32, 96) } else { (128, 0) };
        let length = match length {
            None => width,
            Some(length) => match length.trim().parse::<u32>() {
                Ok(length) if length <= width => length,
                _ => return Err(format!("`{text}` has a prefix length outside 0 to {width}")),
            },
        };
        let mask = mask(length + offset);
        let bits = u128::from_be_bytes(Address::from(ip).0);
        Ok(Self { bits: bits & mask, mask })
    }

    fn contains(self, address: Address) -> bool {
        u128::from_be_bytes(address.0) & self.mask == self.bits
    }
}

fn mask(prefix_length: u32) -> u128 {
    u128::MAX.checked_shl(128 - prefix_length).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn dotted_addresses_are_read_as_by_the_standard_library(text in "([0-9]{0,4}[.]){0,5}[0-9x ]{0,4}") {
            let theirs = text.parse::<std::net::Ipv4Addr>().ok();
            prop_assert_eq!(dotted(text.as_bytes()), theirs.map(|address| address.octets()));
        }

        #[test]
        fn every_dotted_address_is_read(octets in any::<[u8; 4]>()) {
            let text = std::net::Ipv4Addr::from(octets).to_string();
            prop_assert_eq!(dotted(text.as_bytes()), Some(octets));
            prop_assert_eq!(Address::parse(&text), Some(Address::from(IpAddr::from(octets))));
        }
    }

    #[test]
    fn zeek_and_suricata_spell_one_address_differently() {
        let expanded = "2001:4998:ef83:0014:8000:0000:0000:100d";
        assert_eq!(Address::parse(expanded), Address::parse("2001:4998:ef83:14:8000::100d"));
        assert_eq!(Address::parse("::ffff:10.0.0.1"), Address::parse("10.0.0.1"));
        assert_eq!(Address::parse("not an address"), None);
    }

    #[test]
    fn direction_follows_the_local_networks() {
        let networks = Networks::parse(&Networks::DEFAULT).unwrap();
        let direction = |client: &str, server: &str| {
            networks.direction(Address::parse(client).unwrap(), Address::parse(server).unwrap())
        };
        assert_eq!(direction("10.1.2.3", "8.8.8.8"), Direction::Outbound);
        assert_eq!(direction("8.8.8.8", "192.168.1.1"), Direction::Inbound);
        assert_eq!(direction("fd00::1", "172.31.0.1"), Direction::Internal);
        assert_eq!(direction("8.8.8.8", "2001:db8::1"), Direction::Transit);
    }

    #[test]
    fn a_wrong_network_is_named() {
        assert!(Networks::parse(&["10.0.0.0/33"]).unwrap_err().contains("10.0.0.0/33"));
        assert!(Networks::parse(&["ten"]).unwrap_err().contains("ten"));
    }

    #[test]
    fn ipv6_clients_count_by_their_64_bit_prefix() {
        let one = Address::parse("2001:db8::1").unwrap();
        let two = Address::parse("2001:db8::2").unwrap();
        assert_eq!(one.client_id(), two.client_id());
        assert_ne!(one.server_id(), two.server_id());
    }

    #[test]
    fn a_network_is_what_addresses_begin_with() {
        let network = |text: &str| Address::parse(text).unwrap().network_id();
        assert_eq!(network("192.0.2.1"), network("192.0.77.8"));
        assert_ne!(network("192.0.2.1"), network("192.1.2.1"));
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:ffff::9"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:2:2::1"));
        assert_eq!(Address::of_id(network("192.0.2.1")).ip().to_string(), "192.0.0.0");
    }
}
