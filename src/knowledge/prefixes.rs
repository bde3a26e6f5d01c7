//! Whose network an address is in, by the user's own table, `cidr,asn,owner`.
//!
//! Promise: the longest prefix that holds an address decides; a look-up is one binary search in ranges that do not
//! overlap; without a table, or where it is silent, an IPv4 /16 and an IPv6 /48 stand for a network.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;

use super::feeds::{FeedReport, read_own_list};
use crate::model::{Address, Id128};

/// Prefixes and whose they are.
#[derive(Debug, Default)]
pub struct Prefixes {
    owners: Vec<Owner>,
    v4: Ranges<u32>,
    v6: Ranges<u128>,
}

/// Whose a network is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Owner {
    /// The number of the autonomous system.
    pub asn: u32,
    /// What it is called; empty where the table does not say.
    pub name: Box<str>,
    id: Id128,
}

/// Where each range begins, and the owner of all up to the next; [`NOBODY`] of what no prefix holds.
#[derive(Debug, Default)]
struct Ranges<T> {
    starts: Vec<T>,
    owners: Vec<u32>,
}

/// A prefix as it was read: its first and last address, and whose it is.
type Prefix<T> = (T, T, u32);

const NOBODY: u32 = u32::MAX;
/// Prefixes that are kept, four times what the Internet announces; further rows are bad ones.
const MAX_PREFIXES: usize = 4_000_000;
/// Largest file that is read.
const MAX_BYTES: u64 = 512 * 1024 * 1024;
/// Longest name of an owner that is kept, in characters.
const MAX_NAME: usize = 64;

impl Prefixes {
    /// Reads a table.
    pub fn load(path: &Path) -> (Self, FeedReport) {
        let mut reading = Reading::default();
        let form = "cidr,asn,owner";
        let report =
            read_own_list(path, "prefix table", form, MAX_BYTES, is_header, |_, columns| reading.take(columns));
        (reading.finish(), report)
    }

    /// Whose network an address is in.
    pub fn owner(&self, address: Address) -> Option<&Owner> {
        if self.owners.is_empty() {
            return None;
        }
        let owner = match address.ip() {
            IpAddr::V4(v4) => self.v4.find(v4.to_bits()),
            IpAddr::V6(v6) => self.v6.find(v6.to_bits()),
        };
        self.owners.get(owner as usize)
    }

    /// What history knows the network of an address by.
    pub fn network_id(&self, address: Address) -> Id128 {
        self.owner(address).map_or_else(|| address.network_id(), |owner| owner.id)
    }

    /// Whether there is no table.
    pub fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }
}

impl<T: Copy + Ord> Ranges<T> {
    /// Cuts prefixes, which may lie within each other, into ranges that do not overlap; of two that are the same, the
    /// later row counts. `next` is the address behind one, if there is any.
    fn of(mut prefixes: Vec<Prefix<T>>, next: impl Fn(T) -> Option<T>) -> Self {
        prefixes.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
        let mut ranges = Self { starts: Vec::new(), owners: Vec::new() };
        let mut open: Vec<(T, u32)> = Vec::new();
        for (first, last, owner) in prefixes {
            ranges.close(&mut open, Some(first), &next);
            ranges.begin(first, owner);
            open.push((last, owner));
        }
        ranges.close(&mut open, None, &next);
        ranges.starts.shrink_to_fit();
        ranges.owners.shrink_to_fit();
        ranges
    }

    /// Ends those that are open and end before an address.
    fn close(&mut self, open: &mut Vec<(T, u32)>, before: Option<T>, next: &impl Fn(T) -> Option<T>) {
        while let Some((last, _)) = open.pop_if(|(last, _)| before.is_none_or(|before| *last < before)) {
            if let Some(behind) = next(last) {
                self.begin(behind, open.last().map_or(NOBODY, |(_, owner)| *owner));
            }
        }
    }

    fn begin(&mut self, start: T, owner: u32) {
        if self.starts.last() == Some(&start) {
            self.starts.pop();
            self.owners.pop();
        }
        if self.owners.last() != Some(&owner) {
            self.starts.push(start);
            self.owners.push(owner);
        }
    }

    fn find(&self, address: T) -> u32 {
        let behind = self.starts.partition_point(|start| *start <= address);
        behind.checked_sub(1).and_then(|at| self.owners.get(at)).copied().unwrap_or(NOBODY)
    }
}

/// What is collected while a table is read.
#[derive(Default)]
struct Reading {
    owners: Vec<Owner>,
    by_owner: HashMap<(u32, Box<str>), u32>,
    v4: Vec<Prefix<u32>>,
    v6: Vec<Prefix<u128>>,
}

impl Reading {
    fn take(&mut self, columns: &[&str]) -> Result<(), &'static str> {
        let column = |at: usize| columns.get(at).copied().unwrap_or_default();
        let (ip, length) = column(0).split_once('/').ok_or("the first column is no network")?;
        let ip: IpAddr = ip.parse().map_err(|_| "the first column is no network")?;
        let length: u32 = length.parse().map_err(|_| "the first column is no network")?;
        let asn = column(1);
        let asn = asn.strip_prefix("AS").or(asn.strip_prefix("as")).unwrap_or(asn);
        let asn: u32 = asn.parse().map_err(|_| "the second column is no number of an autonomous system")?;
        if self.v4.len() + self.v6.len() >= MAX_PREFIXES {
            return Err("more rows than are kept");
        }
        match ip {
            IpAddr::V4(ip) if length <= 32 => {
                let rest = u32::MAX.checked_shr(length).unwrap_or(0);
                let owner = self.owner(asn, column(2));
                self.v4.push((ip.to_bits() & !rest, ip.to_bits() | rest, owner));
            }
            IpAddr::V6(ip) if length <= 128 => {
                let rest = u128::MAX.checked_shr(length).unwrap_or(0);
                let owner = self.owner(asn, column(2));
                self.v6.push((ip.to_bits() & !rest, ip.to_bits() | rest, owner));
            }
            _ => return Err("the length of the prefix is none"),
        }
        Ok(())
    }

    fn owner(&mut self, asn: u32, name: &str) -> u32 {
        let name: Box<str> = name.chars().take(MAX_NAME).collect::<String>().into();
        let owners = &mut self.owners;
        *self.by_owner.entry((asn, name)).or_insert_with_key(|(asn, name)| {
            let id = Id128::of_parts(&[b"autonomous system", &asn.to_be_bytes()]);
            owners.push(Owner { asn: *asn, name: name.clone(), id });
            owners.len() as u32 - 1
        })
    }

    fn finish(self) -> Prefixes {
        Prefixes {
            owners: self.owners,
            v4: Ranges::of(self.v4, |address| address.checked_add(1)),
            v6: Ranges::of(self.v6, |address| address.checked_add(1)),
        }
    }
}

fn is_header(first: &str) -> bool {
    first.starts_with(|character: char| character.is_ascii_alphabetic()) && !first.contains([':', '/'])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(rows: &[&str]) -> (Prefixes, Vec<&'static str>) {
        let (mut reading, mut bad) = (Reading::default(), Vec::new());
        for row in rows {
            let columns: Vec<&str> = row.split(',').collect();
            bad.extend(reading.take(&columns).err());
        }
        (reading.finish(), bad)
    }

    fn asn(prefixes: &Prefixes, address: &str) -> Option<u32> {
        prefixes.owner(Address::parse(address).unwrap()).map(|owner| owner.asn)
    }

    #[test]
    fn the_longest_prefix_decides() {
        let (prefixes, bad) = table(&[
            "198.51.100.0/24,64500,Outer",
            "198.51.100.64/26,AS64501,Inner",
            "198.51.100.64/32,64502",
            "198.51.100.127/32,64503",
            "198.51.101.0/24,64500,Outer",
            "255.255.255.0/24,64504",
            "2001:db8::/32,64510,Six",
            "2001:db8:1::/48,64511,Six within",
        ]);
        assert!(bad.is_empty());
        for (address, expected) in [
            ("198.51.99.255", None),
            ("198.51.100.1", Some(64500)),
            ("198.51.100.64", Some(64502)),
            ("198.51.100.65", Some(64501)),
            ("198.51.100.127", Some(64503)),
            ("198.51.100.128", Some(64500)),
            ("198.51.101.255", Some(64500)),
            ("198.51.102.0", None),
            ("255.255.255.255", Some(64504)),
            ("2001:db8::1", Some(64510)),
            ("2001:db8:1::1", Some(64511)),
            ("2001:db8:2::1", Some(64510)),
            ("2001:db9::1", None),
        ] {
            assert_eq!(asn(&prefixes, address), expected, "{address}");
        }
        // Neighbours of one owner are one range, and one network.
        let id = |address: &str| prefixes.network_id(Address::parse(address).unwrap());
        assert_eq!(id("198.51.100.1"), id("198.51.101.1"));
        let silent = Address::parse("203.0.113.1").unwrap();
        assert_eq!(prefixes.network_id(silent), silent.network_id());
    }

    #[test]
    fn bad_rows_are_counted_with_their_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("prefixes.csv");
        std::fs::write(
            &path,
            "cidr,asn,owner\n# mine\n192.0.2.0/24,64500,\"A, B\"\n192.0.2.0/40,1\nx,1\n10.0.0.0/8,no\n",
        )
        .unwrap();
        let (prefixes, report) = Prefixes::load(&path);
        assert_eq!(prefixes.owner(Address::parse("192.0.2.7").unwrap()).unwrap().name.as_ref(), "A, B");
        let bad: Vec<_> = report.first_bad.iter().map(|bad| bad.row).collect();
        assert_eq!((report.context, report.bad, bad), (1, 3, vec![4, 5, 6]));
        assert!(report.error.is_none() && report.version.is_some());
    }

    proptest! {
        #[test]
        fn ranges_say_what_the_prefixes_say(rows in prop::collection::vec((any::<u8>(), 24_u32..=32, 0_u32..5), 0..40)) {
            let mut reading = Reading::default();
            for (last, length, asn) in &rows {
                reading.take(&[&format!("192.0.2.{last}/{length}"), &asn.to_string()]).unwrap();
            }
            let prefixes = reading.finish();
            for last in 0..=255_u32 {
                let holds = |(other, length, _): &&(u8, u32, u32)| {
                    let rest = u32::MAX.checked_shr(*length).unwrap_or(0);
                    u32::from(*other) & !rest == last & !rest
                };
                let expected = rows.iter().filter(holds).max_by_key(|(_, length, _)| *length).map(|(_, _, asn)| *asn);
                prop_assert_eq!(asn(&prefixes, &format!("192.0.2.{last}")), expected, "{}", last);
            }
        }
    }
}
