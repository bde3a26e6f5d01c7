//! In: a host name. Out: what can be said of it without the session: how it reads, how popular it is, whom it imitates.
//! Promise: worked out once per distinct name and remembered within bounds; the same lists give the same answers.

mod imitation;
mod neighbours;
mod popular;
mod random;
mod skeleton;

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

pub use imitation::{How, Imitation, Target};
pub use popular::{PopularNames, RankReport};
pub use random::looks_random;
pub use skeleton::decoded;
pub(crate) use skeleton::{readable, skeleton};

use super::WatchNames;
use super::suffix::{controlling_domain, registrable_domain};
use crate::model::{Certificate, Id128};

/// Names that are watched or popular, and what was asked about others.
pub struct Names {
    watched: Arc<WatchNames>,
    popular: Arc<PopularNames>,
    imitated: imitation::Imitated,
    known: [Mutex<HashMap<Id128, Arc<NameAnalysis>>>; SHARDS],
}

/// Names that one worker has asked about lately: found without a lock, and without a counter that others count at as well.
/// They must not outlive the knowledge that they were asked of.
pub struct RecentNames<'a> {
    slots: [Option<(Id128, RecentName<'a>)>; RECENT],
    /// The last one that is too long to be told from others by its identity.
    long: Option<RecentName<'a>>,
}

/// What a worker has at hand of a name.
pub struct RecentName<'a> {
    /// What can be said of it.
    pub analysis: Arc<NameAnalysis>,
    /// Whether a row of a feed lists it, or a name above it.
    pub is_listed: bool,
    /// Whether the certificate that it came with last is for it: most names come with one and the same.
    pub covered: Cell<Option<(&'a Certificate, Option<bool>)>>,
}

/// What can be said of a name.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct NameAnalysis {
    /// The name with its punycode decoded; `None` where it has none.
    pub unicode: Option<Box<str>>,
    /// Whether it is a watched name, or below one.
    pub is_watched: bool,
    /// Its best rank on the lists of popular names.
    pub rank: Option<u32>,
    /// Whom it imitates.
    pub imitates: Option<Imitation>,
    /// Whether the label that somebody chose looks as if drawn by lot.
    pub is_random: bool,
}

const SHARDS: usize = 64;
/// Names that a shard remembers; 65,536 in all, about 10 MB. One that is full starts again.
const MAX_PER_SHARD: usize = 1024;
/// Names that a worker has at hand.
const RECENT: usize = 256;
/// Longest name that is looked at, in bytes (RFC 1035); what is longer is no host name.
const MAX_NAME: usize = 253;

impl Names {
    /// Prepares what is watched and what is popular for look-ups.
    pub fn new(watched: Arc<WatchNames>, popular: Arc<PopularNames>) -> Self {
        let imitated = imitation::Imitated::new(&watched, &popular);
        Self { watched, popular, imitated, known: std::array::from_fn(|_| Mutex::default()) }
    }

    /// What can be said of a name whose identity in lower case is known.
    pub fn of_id(&self, id: Id128, name: &str) -> Arc<NameAnalysis> {
        let Some(shard) = self.known.get(usize::from(id.0[0]) % SHARDS) else { return Arc::new(self.of(name)) };
        if let Some(known) = shard.lock().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return Arc::clone(known);
        }
        // Outside the lock: two workers may do it twice, with one result.
        let analysis = Arc::new(self.of(name));
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if shard.len() >= MAX_PER_SHARD {
            shard.clear();
        }
        shard.insert(id, Arc::clone(&analysis));
        analysis
    }

    /// What can be said of a name.
    pub fn of(&self, name: &str) -> NameAnalysis {
        let name = name.trim_end_matches('.').to_lowercase();
        let Some(domain) = (name.len() <= MAX_NAME).then(|| owner_domain(&name)).flatten() else {
            return NameAnalysis::default();
        };
        let unicode = decoded(&name);
        let shown = &*readable(&name);
        let rank = self.popular.rank(shown);
        // Decoding keeps the number of labels.
        let shown_domain = last_labels(shown, domain.split('.').count());
        let is_hosted = registrable_domain(&name).is_some_and(|registered| registered.len() < domain.len());
        let asked = imitation::Asked { name: shown, domain: shown_domain, is_popular: rank.is_some(), is_hosted };
        let imitates = self.imitated.imitation(&asked, &self.watched, &self.popular);
        let is_random = rank.is_none() && domain.split('.').next().is_some_and(looks_random);
        let is_watched = self.imitated.is_watched(shown_domain);
        NameAnalysis { is_watched, imitates, rank, is_random, unicode: unicode.map(Into::into) }
    }

    /// Names that are watched.
    pub fn watched(&self) -> &Arc<WatchNames> {
        &self.watched
    }

    /// Names that are popular.
    pub fn popular(&self) -> &Arc<PopularNames> {
        &self.popular
    }

    /// How much memory popular names and the search for edits take, in bytes.
    pub fn bytes(&self) -> usize {
        self.popular.bytes() + self.imitated.bytes()
    }
}

impl<'a> RecentName<'a> {
    /// Whether a certificate [covers](Certificate::covers) the name, which is given as it was asked for.
    ///
    /// Names are one that differ in their case or in a final dot, which makes no difference there. What else may be folded
    /// into one does: of odd names nothing is remembered.
    pub fn is_covered(&self, name: &str, certificate: &'a Certificate) -> Option<bool> {
        let is_usual = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if !name.bytes().all(is_usual) || name.ends_with("..") {
            return certificate.covers(name);
        }
        match self.covered.get() {
            Some((last, covers)) if std::ptr::eq(last, certificate) => covers,
            _ => {
                let covers = certificate.covers(name);
                self.covered.set(Some((certificate, covers)));
                covers
            }
        }
    }
}

impl<'a> RecentNames<'a> {
    /// What is at hand of a name whose identity in lower case is known; `ask` is called where that is nothing.
    pub fn of_id(&mut self, id: Id128, name: &str, ask: impl FnOnce() -> RecentName<'a>) -> Option<&RecentName<'a>> {
        if name.len() > MAX_NAME {
            self.long = Some(ask());
            return self.long.as_ref();
        }
        // The first byte chooses the shard of what all share.
        let slot = self.slots.get_mut(usize::from(id.0[1]) % RECENT)?;
        if slot.as_ref().is_none_or(|(known, _)| *known != id) {
            *slot = Some((id, ask()));
        }
        slot.as_ref().map(|(_, known)| known)
    }
}

impl Default for RecentNames<'_> {
    fn default() -> Self {
        Self { slots: [const { None }; RECENT], long: None }
    }
}

impl Default for Names {
    fn default() -> Self {
        Self::new(Arc::default(), Arc::default())
    }
}

/// The domain below which one party decides; of a hoster's own suffix, the domain that was registered.
fn owner_domain(name: &str) -> Option<&str> {
    controlling_domain(name).or_else(|| registrable_domain(name))
}

/// The last `count` labels of a name.
fn last_labels(name: &str, count: usize) -> &str {
    let dots = name.rmatch_indices('.').nth(count.saturating_sub(1));
    dots.and_then(|(at, _)| name.get(at + 1..)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CertificateSource, SubjectAltNames};

    #[test]
    fn every_certificate_has_its_own_answer_whether_it_is_for_a_name() {
        let of_name = |name: &str| {
            let san = SubjectAltNames { dns: vec![name.into()], count: 1, ..SubjectAltNames::default() };
            Certificate { san: Some(san), ..Certificate::unknown(CertificateSource::LogStrings) }
        };
        let certificates =
            [of_name("a.example"), of_name("b.example"), Certificate::unknown(CertificateSource::LogStrings)];
        let name = RecentName { analysis: Arc::default(), is_listed: false, covered: Cell::default() };
        for at in [0, 0, 1, 1, 2, 2, 0, 2, 1, 0] {
            let certificate = &certificates[at];
            assert_eq!(name.is_covered("A.example.", certificate), certificate.covers("a.example"), "{at}");
        }
    }

    #[test]
    fn an_odd_spelling_of_a_name_answers_for_itself_alone() {
        let certificate = Certificate {
            san: Some(SubjectAltNames {
                dns: vec!["a.example".into()],
                ip: vec!["10.9.8.7".into()],
                count: 2,
                ..SubjectAltNames::default()
            }),
            ..Certificate::unknown(CertificateSource::LogStrings)
        };
        let spellings = [
            ["10.9.8.7", "\u{ff11}0.9.8.7", "10.9.8.7.", "10.9.8.7.."].as_slice(),
            &["a.example", "a.example\u{3002}", "A.Example.", "a.example..", "\u{ff41}.example"],
        ];
        for spellings in spellings {
            for first in spellings {
                for second in spellings {
                    let name = RecentName { analysis: Arc::default(), is_listed: false, covered: Cell::default() };
                    for asked in [first, second] {
                        assert_eq!(name.is_covered(asked, &certificate), certificate.covers(asked), "{first} {second}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_name_at_hand_is_the_one_that_is_asked_for() {
        let mut recent = RecentNames::default();
        let id = |first: u8, slot: u8| Id128(std::array::from_fn(|at| [first, slot].get(at).copied().unwrap_or(0)));
        let mut is_listed = |id: Id128, name: &str, answer: bool| {
            let ask = || RecentName { analysis: Arc::default(), is_listed: answer, covered: Cell::default() };
            recent.of_id(id, name, ask).unwrap().is_listed
        };
        assert!(is_listed(id(1, 7), "a.example", true));
        assert!(is_listed(id(1, 7), "a.example", false), "it is at hand");
        assert!(!is_listed(id(2, 7), "b.example", false), "the place is another's");
        assert!(is_listed(id(1, 7), "a.example", true), "and its own again");
        // Of names this long only the beginning makes the identity.
        let long = "a".repeat(MAX_NAME + 1);
        assert!(!is_listed(id(3, 7), &long, false));
        assert!(is_listed(id(3, 7), &long, true));
    }
}
