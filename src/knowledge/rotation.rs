//! Who uses several CAs by turns: compiled in, from `rotation.tsv`, which says at its top what its rows mean.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

/// What is known of owners who use several CAs.
pub struct Rotation {
    /// The groups of each organisation.
    issuers: BTreeMap<String, Vec<&'static str>>,
    domains: BTreeMap<&'static str, &'static str>,
    systems: BTreeMap<u32, &'static str>,
}

/// How the issuers before and after a change belong together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kinship {
    /// They are one CA, or its own subordinates.
    Same,
    /// Both give certificates to programs.
    Automated,
}

/// The group of CAs that give certificates to programs.
const AUTOMATED: &str = "automated";

static ROTATION: LazyLock<Rotation> = LazyLock::new(|| Rotation::parse(include_str!("rotation.tsv")));

impl Rotation {
    /// The table that is compiled in.
    pub fn builtin() -> &'static Self {
        &ROTATION
    }

    /// How two organisations of issuers belong together, if they do.
    pub fn kinship(&self, one: &str, other: &str) -> Option<Kinship> {
        let (one, other) = (folded(one), folded(other));
        if one == other {
            return Some(Kinship::Same);
        }
        let groups: BTreeSet<_> = self.issuers.get(&one)?.iter().collect();
        let common: Vec<_> = self.issuers.get(&other)?.iter().filter(|group| groups.contains(group)).collect();
        match common[..] {
            [] => None,
            [only] if *only == AUTOMATED => Some(Kinship::Automated),
            _ => Some(Kinship::Same),
        }
    }

    /// Whether an organisation of an issuer gives certificates to programs, for nothing or by contract of the hoster.
    pub fn is_automated(&self, organization: &str) -> bool {
        self.issuers.get(&folded(organization)).is_some_and(|groups| groups.contains(&AUTOMATED))
    }

    /// The owner of a registrable domain, where he uses several CAs.
    pub fn owner_of_domain(&self, domain: &str) -> Option<&'static str> {
        self.domains.get(domain).copied()
    }

    /// Who delivers for others from an autonomous system.
    pub fn owner_of_system(&self, asn: u32) -> Option<&'static str> {
        self.systems.get(&asn).copied()
    }

    fn parse(text: &'static str) -> Self {
        let mut rotation = Self { issuers: BTreeMap::new(), domains: BTreeMap::new(), systems: BTreeMap::new() };
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let mut columns = line.split('\t');
            match (columns.next(), columns.next(), columns.next()) {
                (Some("issuer"), Some(who), Some(name)) => {
                    rotation.issuers.entry(folded(name)).or_default().push(who);
                }
                (Some("domain"), Some(who), Some(domain)) => drop(rotation.domains.insert(domain, who)),
                (Some("as"), Some(who), Some(number)) => {
                    if let Ok(number) = number.parse() {
                        rotation.systems.insert(number, who);
                    }
                }
                _ => {}
            }
        }
        rotation
    }
}

fn folded(name: &str) -> String {
    name.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_understood() {
        let table = include_str!("rotation.tsv");
        let rows: BTreeSet<_> = table.lines().filter(|line| !line.starts_with('#')).collect();
        let rotation = Rotation::builtin();
        let issuers: usize = rotation.issuers.values().map(Vec::len).sum();
        assert_eq!(issuers + rotation.domains.len() + rotation.systems.len(), rows.len());
        for domain in rotation.domains.keys() {
            let registrable = crate::decode::registrable(domain).map(|(_, domain)| domain);
            // What lies below a public suffix of its owner's is no registrable domain by itself.
            assert!(registrable.as_deref() == Some(domain) || registrable.is_none(), "{domain}");
        }
    }

    #[test]
    fn kin_are_told_from_strangers() {
        let rotation = Rotation::builtin();
        assert_eq!(rotation.kinship("Let's Encrypt", "ZeroSSL"), Some(Kinship::Automated));
        assert_eq!(rotation.kinship("Google Trust Services LLC", "google trust  services"), Some(Kinship::Same));
        assert_eq!(rotation.kinship("DigiCert Inc", "Let's Encrypt"), None);
        assert_eq!(rotation.kinship("Example Org", "Example org"), Some(Kinship::Same));
        assert_eq!(rotation.kinship("A", "B"), None);
        assert_eq!(
            (rotation.owner_of_domain("google.com"), rotation.owner_of_system(13335)),
            (Some("google"), Some("cloudflare"))
        );
    }

    #[test]
    fn every_issuer_is_disclosed() {
        let disclosed: BTreeSet<_> = include_str!("public_cas/public_cas.tsv")
            .lines()
            .filter_map(|line| {
                let name = line.split('\t').next()?;
                let (_, organization) =
                    name.split_once(",O=").or_else(|| name.strip_prefix("O=").map(|rest| ("", rest)))?;
                // Values may hold commas; what follows is the next attribute.
                let end = organization.match_indices(',').find(|(at, _)| {
                    let next = &organization[at + 1..];
                    next.split_once('=').is_some_and(|(key, _)| key.bytes().all(|byte| byte.is_ascii_alphanumeric()))
                });
                Some(organization[..end.map_or(organization.len(), |(at, _)| at)].replace('\\', ""))
            })
            .collect();
        for issuer in Rotation::builtin().issuers.keys() {
            assert!(disclosed.contains(issuer), "{issuer}");
        }
    }
}
