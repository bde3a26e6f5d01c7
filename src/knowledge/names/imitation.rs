//! Whom a name imitates: a name or brand that the user watches, else a popular site.
//!
//! Every question is answered by look-ups whose number depends on the name that is asked about, not on how many names
//! are watched or popular.

use std::collections::HashMap;

use aho_corasick::AhoCorasick;

use super::neighbours::Neighbours;
use super::popular::PopularNames;
use super::skeleton::skeleton;
use crate::knowledge::watch::{WatchNames, WatchedName};

/// A name that imitates another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Imitation {
    /// Whom it imitates, as the user or the list writes it; of a foreign domain in front, that domain.
    pub of: Box<str>,
    /// How.
    pub how: How,
    /// Who says that the other is worth imitating.
    pub target: Target,
}

/// Who says that a name is worth imitating.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// The user watches it.
    Watched,
    /// It has this rank on a list of popular names.
    Popular(u32),
    /// Nobody: the name carries some domain in front of another.
    Any,
}

/// How a name imitates another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum How {
    /// It carries the whole domain, or what looks like it, in front of a foreign one.
    LeftLabels,
    /// It carries the name alone, without its suffix, in front of a foreign one, as customers of a service do as well.
    NameInFront,
    /// It is the same label under another suffix.
    OtherSuffix,
    /// It looks the same.
    Confusable,
    /// It is a few edits away.
    Misspelt,
    /// It contains it.
    Contained,
}

/// Names that may be imitated, prepared for look-ups.
#[derive(Debug, Default)]
pub(super) struct Imitated {
    watched: Targets,
    /// Finds the watched skeletons that are long enough to be looked for within others, by number.
    contained: Option<AhoCorasick>,
    contained_numbers: Vec<u32>,
    popular: Targets,
}

/// One set of names.
#[derive(Debug, Default)]
struct Targets {
    /// Numbers by whole domain, and by the domain with hyphens for dots.
    domains: HashMap<Box<str>, u32>,
    hyphenated: HashMap<Box<str>, u32>,
    /// Numbers by first label, and by skeleton.
    labels: HashMap<Box<str>, u32>,
    skeletons: HashMap<Box<str>, u32>,
    /// Numbers by the skeleton of the whole domain.
    domain_skeletons: HashMap<Box<str>, u32>,
    neighbours: Neighbours,
    /// Whether they are so many that some are met by chance.
    are_many: bool,
}

/// A name that is asked about.
pub(super) struct Asked<'a> {
    /// The whole name in lower case, punycode decoded.
    pub(super) name: &'a str,
    /// The domain below which one party decides, of the same.
    pub(super) domain: &'a str,
    /// Whether that domain is on a list of popular names: then it serves others, or is the owner's own.
    pub(super) is_popular: bool,
    /// Whether that domain is a customer's below a suffix of a hoster: those name what they host as they like.
    pub(super) is_hosted: bool,
}

/// A watched brand that is only part of a label has to be this long: short ones are part of honest words.
const MIN_CONTAINED: usize = 6;
/// A popular label has to be this long to be imitated by looks, and this long by an edit: among ten thousand, short ones
/// are near each other by chance.
const MIN_POPULAR_CONFUSABLE: usize = 5;
const MIN_POPULAR_MISSPELT: usize = 8;
/// A popular label that is one of several between hyphens has to be of so high a rank, and so long.
const MAX_RANK_CONTAINED: u32 = 1000;
/// Labels in front of a domain that are looked at.
const MAX_LEFT: usize = 16;
/// Labels of a domain that is carried in front.
const MAX_DOMAIN_LABELS: usize = 4;
/// Hyphens of a label at which it is cut to find a domain, and the shortest domain that is found so.
const MAX_HYPHENS: usize = 8;
const MIN_BETWEEN_HYPHENS: usize = 6;
/// Ends of domains that nobody uses as a label of his own, but whoever wants a domain to be seen in front of his.
const WELL_KNOWN_ENDS: [&str; 6] = ["com", "org", "net", "edu", "gov", "mil"];

/// Whether a word is so long, in characters: in bytes a short one of another script would be long.
fn has_length(word: &str, least: usize) -> bool {
    word.chars().nth(least - 1).is_some()
}

fn watched_edits(length: usize) -> usize {
    match length {
        0..=4 => 0,
        5..=11 => 1,
        _ => 2,
    }
}

fn popular_edits(length: usize) -> usize {
    usize::from(length >= MIN_POPULAR_MISSPELT)
}

impl Imitated {
    pub(super) fn new(watched: &WatchNames, popular: &PopularNames) -> Self {
        let long = (0..).zip(watched.iter()).filter(|(_, name)| has_length(&name.skeleton, MIN_CONTAINED));
        let (contained_numbers, long): (Vec<u32>, Vec<&str>) =
            long.map(|(number, name)| (number, &*name.skeleton)).unzip();
        // An automaton that cannot be built for its size finds nothing; all else is still found.
        let contained = (!long.is_empty()).then(|| AhoCorasick::new(&long).ok()).flatten();
        let watched_targets =
            Targets::new(watched.iter().map(|name| (name.domain.as_deref(), &*name.skeleton)), watched_edits);
        let popular = popular.imitated().map(|name| (Some(&*name.domain), &*name.skeleton));
        let popular = Targets { are_many: true, ..Targets::new(popular, popular_edits) };
        Self { watched: watched_targets, contained, contained_numbers, popular }
    }

    /// Whether a domain is a watched one.
    pub(super) fn is_watched(&self, domain: &str) -> bool {
        self.watched.domains.contains_key(domain)
    }

    pub(super) fn imitation(
        &self,
        asked: &Asked<'_>,
        watched: &WatchNames,
        popular: &PopularNames,
    ) -> Option<Imitation> {
        let label = asked.domain.split('.').next().unwrap_or(asked.domain);
        let left = asked.name.strip_suffix(asked.domain).filter(|_| !asked.is_hosted).unwrap_or_default();
        let looks = skeleton(label);
        if let Some((number, how)) = self.watched_by(asked, left, label, &looks, watched) {
            let of = watched.get(number)?.written.clone();
            return Some(Imitation { of, how, target: Target::Watched });
        }
        if asked.is_popular {
            return None;
        }
        if let Some((number, how)) = self.popular_by(left, label, &looks, popular) {
            let name = popular.get(number)?;
            return Some(Imitation { of: name.domain.clone(), how, target: Target::Popular(name.rank) });
        }
        domain_in_front(left).map(|of| Imitation { of, how: How::LeftLabels, target: Target::Any })
    }

    fn watched_by(
        &self,
        asked: &Asked<'_>,
        left: &str,
        label: &str,
        looks: &str,
        watched: &WatchNames,
    ) -> Option<(u32, How)> {
        let targets = &self.watched;
        if targets.domains.contains_key(asked.domain) {
            return None;
        }
        // Services that many use have their customers' names in front.
        let left = if asked.is_popular { "" } else { left };
        if let Some(number) = targets.in_front(left, label).or_else(|| targets.looks_in_front(left)) {
            return Some((number, How::LeftLabels));
        }
        if let Some(&number) = targets.labels.get(label) {
            return Some((number, How::OtherSuffix));
        }
        if let Some(&number) = targets.skeletons.get(looks) {
            return Some((number, How::Confusable));
        }
        let word = |number| watched.get(number).map(|name: &WatchedName| &*name.skeleton);
        if let Some(number) = targets.neighbours.nearest(looks, word, watched_edits) {
            return Some((number, How::Misspelt));
        }
        if let Some(number) = targets.hyphenated_in(label) {
            return Some((number, How::Contained));
        }
        let found =
            self.contained.as_ref().and_then(|words| words.find_iter(looks).map(|it| it.pattern().as_usize()).min());
        if let Some(number) = found.and_then(|found| self.contained_numbers.get(found)) {
            return Some((*number, How::Contained));
        }
        let labels = left.split('.').take(MAX_LEFT).map(skeleton);
        let named = labels.filter(|label| has_length(label, MIN_CONTAINED));
        let number = named.filter_map(|label| targets.skeletons.get(&*label).copied()).min()?;
        Some((number, How::NameInFront))
    }

    fn popular_by(&self, left: &str, label: &str, looks: &str, popular: &PopularNames) -> Option<(u32, How)> {
        let targets = &self.popular;
        if let Some(number) = targets.in_front(left, label) {
            return Some((number, How::LeftLabels));
        }
        // The same label under another suffix is as often the owner's own as not.
        if targets.labels.contains_key(label) {
            return None;
        }
        if let Some(&number) = targets.skeletons.get(looks).filter(|_| has_length(looks, MIN_POPULAR_CONFUSABLE)) {
            return Some((number, How::Confusable));
        }
        let word = |number| popular.get(number).map(|name| &*name.skeleton);
        if let Some(number) = targets.neighbours.nearest(looks, word, popular_edits) {
            return Some((number, How::Misspelt));
        }
        if !label.contains('-') {
            return None;
        }
        let tokens = label.split('-').filter(|token| has_length(token, MIN_CONTAINED));
        let found = tokens.filter_map(|token| targets.skeletons.get(&*skeleton(token)).copied());
        let is_high = |number: &u32| popular.get(*number).is_some_and(|name| name.rank <= MAX_RANK_CONTAINED);
        found.filter(is_high).min().map(|number| (number, How::Contained))
    }

    /// How much memory the search for edits takes, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.watched.neighbours.bytes() + self.popular.neighbours.bytes()
    }
}

impl Targets {
    /// Names by domain and skeleton; of two that are alike in one way, the first counts.
    fn new<'a>(names: impl Iterator<Item = (Option<&'a str>, &'a str)> + Clone, edits: fn(usize) -> usize) -> Self {
        let mut targets =
            Self { neighbours: Neighbours::new(names.clone().map(|(_, skeleton)| skeleton), edits), ..Self::default() };
        for (number, (domain, skeleton)) in (0..).zip(names) {
            targets.skeletons.entry(skeleton.into()).or_insert(number);
            let Some(domain) = domain else { continue };
            targets.domains.entry(domain.into()).or_insert(number);
            let whole: String = domain.split('.').map(self::skeleton).collect();
            targets.domain_skeletons.entry(whole.into()).or_insert(number);
            targets.hyphenated.entry(domain.replace('.', "-").into()).or_insert(number);
            let label = domain.split('.').next().unwrap_or(domain);
            targets.labels.entry(label.into()).or_insert(number);
        }
        targets
    }

    /// The domain that stands in labels in front of another: whole, cut off by hyphens, or with hyphens for dots. Its end may
    /// be the beginning of `label`, the other's own: `watched.example-login.com`.
    fn in_front(&self, left: &str, label: &str) -> Option<u32> {
        if self.domains.is_empty() || left.is_empty() {
            return None;
        }
        let left: Vec<&str> = left.trim_end_matches('.').split('.').take(MAX_LEFT).collect();
        let labels: Vec<&str> = left.iter().copied().chain([label]).collect();
        for from in 0..labels.len() {
            for to in from + 2..=labels.len().min(from + MAX_DOMAIN_LABELS) {
                let found = labels.get(from..to).and_then(|part| self.between_hyphens(part));
                if found.is_some() {
                    return found;
                }
            }
        }
        left.iter().find_map(|label| self.hyphenated_in(label))
    }

    /// The domain that labels in front of another look like, with or without dots and hyphens.
    fn looks_in_front(&self, left: &str) -> Option<u32> {
        if self.domains.is_empty() || left.is_empty() {
            return None;
        }
        let labels: Vec<String> = left.trim_end_matches('.').split('.').take(MAX_LEFT).map(skeleton).collect();
        let mut parts = (0..labels.len()).flat_map(|from| {
            let ends = from + 1..=labels.len().min(from + MAX_DOMAIN_LABELS);
            let labels = &labels;
            ends.filter_map(move |to| labels.get(from..to))
        });
        parts.find_map(|part| self.domain_skeletons.get(&*part.concat()).copied())
    }

    /// The domain that labels spell, whole or from a hyphen in the first to one in the last.
    fn between_hyphens(&self, labels: &[&str]) -> Option<u32> {
        let [first, middle @ .., last] = labels else { return None };
        let spelt = |first: &str, last: &str| {
            let parts = [first].into_iter().chain(middle.iter().copied()).chain([last]);
            parts.collect::<Vec<_>>().join(".")
        };
        if let Some(number) = self.domains.get(&*spelt(first, last)) {
            return Some(*number);
        }
        for first in tails(first) {
            for last in heads(last) {
                let domain = spelt(first, last);
                if has_length(&domain, MIN_BETWEEN_HYPHENS)
                    && self.may_end_at_hyphen(last)
                    && let Some(number) = self.domains.get(&*domain)
                {
                    return Some(*number);
                }
            }
        }
        None
    }

    /// The domain that stands in a label with hyphens for dots, between hyphens or ends.
    fn hyphenated_in(&self, label: &str) -> Option<u32> {
        if !label.contains('-') {
            return None;
        }
        tails(label)
            .find_map(|tail| {
                let may_be = |part: &&str| part.len() == tail.len() || self.may_end_at_hyphen(part);
                heads(tail).filter(may_be).find_map(|part| self.hyphenated.get(part))
            })
            .copied()
    }

    /// Whether what ends like this may be followed by a hyphen: many words are the end of some popular domain, and few
    /// that of most.
    fn may_end_at_hyphen(&self, text: &str) -> bool {
        let end = text.rsplit('-').next().unwrap_or(text);
        !self.are_many || WELL_KNOWN_ENDS.contains(&end)
    }
}

/// A label, and what follows each of its hyphens.
fn tails(label: &str) -> impl Iterator<Item = &str> {
    let starts = label.match_indices('-').map(|(at, _)| at + 1).take(MAX_HYPHENS);
    std::iter::once(0).chain(starts).filter_map(|at| label.get(at..))
}

/// A label, and what precedes each of its hyphens.
fn heads(label: &str) -> impl Iterator<Item = &str> {
    let ends = label.match_indices('-').map(|(at, _)| at).take(MAX_HYPHENS);
    std::iter::once(label.len()).chain(ends).filter_map(|at| label.get(..at))
}

/// A domain that stands in labels in front of another, whoever's it is: `library.college.edu` in `library.college.edu.`.
fn domain_in_front(left: &str) -> Option<Box<str>> {
    let labels: Vec<&str> = left.trim_end_matches('.').split('.').take(MAX_LEFT).collect();
    let end =
        (1..labels.len()).rev().find(|at| labels.get(*at).is_some_and(|label| WELL_KNOWN_ENDS.contains(label)))?;
    Some(labels.get(..=end)?.join(".").into())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::Names;
    use super::*;

    const LIST: &str = "1,bigsearch.example\n2,paperclips.example\n3,webmailer.example\n900,pay.example\n\
        5000,gardenshed.example\n6000,parcelpost.com\n6001,web.de\n";

    fn names() -> Names {
        let watched = WatchNames::new(&["riverton-library.example", "Oakwood Trust"]).unwrap();
        Names::new(watched.into(), PopularNames::read(LIST).into())
    }

    fn how(name: &str) -> Option<(How, Target)> {
        names().of(name).imitates.as_ref().map(|imitation| (imitation.how, imitation.target))
    }

    #[test]
    fn imitations_of_a_watched_name_are_found_in_every_way() {
        for (name, expected) in [
            ("riverton-library.example.login-portal.example", How::LeftLabels),
            ("riverton-library-example.login-portal.example", How::LeftLabels),
            ("www.sso-riverton-library-example.login-portal.example", How::LeftLabels),
            ("riverton-library.com", How::OtherSuffix),
            ("www.rivert0n-library.example", How::Confusable),
            ("xn--rverton-library-4ob.example", How::Confusable),
            ("riverton-libary.example", How::Misspelt),
            ("rivertonn-libary.example", How::Misspelt),
            ("rivert0n-library.github.io", How::Confusable),
            ("my-oakwoodtrust-login.example", How::Contained),
            ("riverton-library.example-account.com", How::LeftLabels),
            ("sso-riverton-library.example-account.login-portal.example", How::LeftLabels),
            ("riverton-library.example.com", How::LeftLabels),
            ("riverton-library-example-login.portal.example", How::LeftLabels),
        ] {
            assert_eq!(how(name), Some((expected, Target::Watched)), "{name}");
        }
    }

    #[test]
    fn imitations_of_a_popular_name_are_found() {
        for (name, expected) in [
            ("www.bigsearch.example.evil.example", (How::LeftLabels, 1)),
            ("b1gsearch.example", (How::Confusable, 1)),
            ("paperc1lps.example", (How::Confusable, 2)),
            ("paperclisp.example", (How::Misspelt, 2)),
            ("webmailer-login.example", (How::Contained, 3)),
            ("parcelpost.com-account.example", (How::LeftLabels, 6000)),
            ("www.my-parcelpost.com-x.evil.example", (How::LeftLabels, 6000)),
            ("parcelpost-com-x.evil.example", (How::LeftLabels, 6000)),
            ("login-web-de.evil.example", (How::LeftLabels, 6001)),
        ] {
            assert_eq!(how(name), Some((expected.0, Target::Popular(expected.1))), "{name}");
        }
        assert_eq!(how("library.college.edu.cvrr.example"), Some((How::LeftLabels, Target::Any)));
    }

    #[test]
    fn other_names_are_left_alone() {
        for name in [
            "www.riverton-library.example",
            "www.example.com",
            "library.example.org",
            "riverside-books.example",
            "oak.example.net",
            // The owner's own under another suffix, as far as anybody knows.
            "bigsearch.com",
            "paperclips.example",
            "accounts.bigsearch.example",
            // A label of so low a rank between hyphens.
            "my-gardenshed-blog.example",
            "pays.example",
            "com.example",
            // Hosts of somebody's own.
            "web.de-cix.example",
            "web-de-prod.evil.example",
            "mail.com.example.paperclips.example",
            "localhost",
            "192.0.2.1",
            "",
        ] {
            assert_eq!(how(name), None, "{name}");
        }
    }

    #[test]
    fn a_name_with_other_letters_is_itself_in_either_spelling() {
        for written in ["xn--bcherturm-q9a.example", "B\u{fc}cherturm.example"] {
            let watched = Names::new(WatchNames::new(&[written]).unwrap().into(), Arc::default());
            let popular = Names::new(Arc::default(), PopularNames::read(&format!("7,{written}\n")).into());
            for own in ["www.xn--bcherturm-q9a.example", "b\u{fc}cherturm.example"] {
                let found = watched.of(own);
                assert!(found.is_watched && found.imitates.is_none(), "{written} {own}");
                let found = popular.of(own);
                assert_eq!((found.rank, found.imitates), (Some(7), None), "{written} {own}");
            }
            // Without the dots, with one letter of another script, and in front of another domain.
            for (name, how) in [
                ("bucherturm.example", How::Confusable),
                ("xn--bcherturm-q9a.example.evil.com", How::LeftLabels),
                ("b\u{fc}chertum.example", How::Misspelt),
            ] {
                for names in [&watched, &popular] {
                    assert_eq!(names.of(name).imitates.map(|imitation| imitation.how), Some(how), "{written} {name}");
                }
            }
        }
    }

    #[test]
    fn labels_in_front_are_compared_by_looks_and_by_the_name_alone() {
        for (name, expected) in [
            ("rivert0n-library.example.evil.tk", How::LeftLabels),
            ("login.r1verton-l1brary-example.evil.tk", How::LeftLabels),
            ("rivertonlibraryexample.evil.tk", How::LeftLabels),
            ("riverton-library.evil.tk", How::NameInFront),
            ("login.rivertonlibrary.evil.tk", How::NameInFront),
            ("www.0akwoodtrust.evil.tk", How::NameInFront),
        ] {
            assert_eq!(how(name), Some((expected, Target::Watched)), "{name}");
        }
        for name in [
            // Below suffixes of hosters, and in front of popular domains.
            "x.riverton-library.example.s3.amazonaws.com",
            "riverton-library.example.evil.github.io",
            "riverton-library.evil.github.io",
            "riverton-library.paperclips.example",
            "riverton-library-example.mail.paperclips.example",
            "rivert0n-library.example.paperclips.example",
            "riverton.evil.tk",
            "library.evil.tk",
        ] {
            assert_eq!(how(name), None, "{name}");
        }
    }

    #[test]
    fn words_of_other_scripts_are_as_long_as_they_have_letters() {
        let watched = WatchNames::new(&["книга.рф", "библиотека.рф"]).unwrap();
        let names = Names::new(watched.into(), PopularNames::read("7,почта.рф\n8,газета.рф\n").into());
        for (name, how) in [
            // Five letters are too few to be found within others, and eight are needed for an edit of a popular one.
            ("книгарня.рф", None),
            ("моя-почта-тут.рф", None),
            ("газеты.рф", None),
            ("книги.рф", Some(How::Misspelt)),
            ("моябиблиотека.рф", Some(How::Contained)),
        ] {
            assert_eq!(names.of(name).imitates.map(|imitation| imitation.how), how, "{name}");
        }
    }

    #[test]
    fn a_name_is_shown_decoded() {
        let names = names();
        let name = names.of("xn--rverton-library-4ob.example");
        assert_eq!(name.unicode.as_deref(), Some("r\u{ed}verton-library.example"));
    }
}
