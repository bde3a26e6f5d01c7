//! Which checks run, and what is to be worked out for them.

use std::fmt;

use super::{
    CHECKS, Check, EnrichSettings, Findings, Subject, client_certificate, client_fingerprint, feed, lookalike,
    signature, unusual_port,
};

/// A set of checks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CheckSet(u64);

/// What some checks look at and others do not: it is worked out where one runs that does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// The server's certificate: without one there is nothing that they find.
    Certificate,
    /// What stands out in the server's certificate by itself, and the signatures that fire on it: without either there is
    /// nothing that they find.
    Oddities,
    /// What was seen before.
    History,
    /// The signatures that fire on a certificate.
    Signatures,
    /// The rows of feeds that a certificate meets.
    Feeds,
    /// What the name looks like that was asked for.
    Name,
    /// When domains were registered.
    Registrations,
    /// What transparency logs know.
    Transparency,
    /// Whether the certificate leads to a root.
    Chain,
}

/// What a check does.
pub(super) type CheckFunction = for<'a> fn(&Subject<'a>, &mut Findings<'a>);

/// The checks that run, resolved for many records.
pub struct RunningChecks {
    /// Which they are.
    pub set: CheckSet,
    pub(super) functions: Vec<CheckFunction>,
    /// Those of them that may be the first to find something where there is no certificate.
    pub(super) without_certificate: Vec<CheckFunction>,
    /// Those of them that may be the first to find something where nothing stands out in the certificate.
    pub(super) without_oddities: Vec<CheckFunction>,
}

impl Part {
    const COUNT: usize = Self::Chain as usize + 1;
}

/// Who looks at each part.
const LOOKING: [CheckSet; Part::COUNT] = {
    let mut looking = [CheckSet(0); Part::COUNT];
    let mut number = 0;
    while number < CHECKS.len() {
        let parts = CHECKS[number].looks_at;
        let mut part = 0;
        while part < parts.len() {
            looking[parts[part] as usize].0 |= 1 << number;
            part += 1;
        }
        number += 1;
    }
    looking
};

impl CheckSet {
    /// All checks.
    pub const ALL: Self = Self(u64::MAX >> (u64::BITS as usize - CHECKS.len()));
    /// None.
    pub const NONE: Self = Self(0);
    /// That of signatures.
    pub const SIGNATURE: Self = Self::one(signature::ID);
    /// That of feeds.
    pub const FEED: Self = Self::one(feed::ID);
    /// That of the client's certificate.
    pub const CLIENT_CERTIFICATE: Self = Self::one(client_certificate::ID);
    /// Those that find nothing where no other check does.
    pub const BESIDE_OTHERS: Self = Self::one(unusual_port::ID).with(Self::one(client_fingerprint::ID));
    pub(super) const LOOKALIKE: Self = Self::one(lookalike::ID);

    /// The check with this id; none where there is none.
    pub const fn one(id: &str) -> Self {
        let mut number = 0;
        while number < CHECKS.len() {
            if is_same(CHECKS[number].id, id) {
                return Self(1 << number);
            }
            number += 1;
        }
        Self::NONE
    }

    /// Those that are in either.
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those that are not in the other.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Those that do without history.
    pub const fn without_history(self) -> Self {
        self.without(LOOKING[Part::History as usize])
    }

    /// Whether any of the other is in it.
    #[inline]
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether any of them looks at this.
    #[inline]
    pub const fn look_at(self, part: Part) -> bool {
        self.meets(LOOKING[part as usize])
    }

    /// Whether there is none in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The checks in it, in their order.
    pub fn iter(self) -> impl Iterator<Item = &'static Check> {
        super::checks().iter().enumerate().filter(move |(number, _)| self.0 >> number & 1 == 1).map(|(_, check)| check)
    }
}

/// Which they are in words: what is less to list.
impl fmt::Display for CheckSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let off = Self::ALL.without(*self);
        let ids = |checks: Self| checks.iter().map(|check| check.id).collect::<Vec<_>>();
        match (ids(*self), ids(off)) {
            (_, off) if off.is_empty() => f.write_str("all"),
            (on, off) if on.len() <= off.len() => write!(f, "only {}", on.join(", ")),
            (_, off) => write!(f, "all but {}", off.join(", ")),
        }
    }
}

impl FromIterator<CheckSet> for CheckSet {
    fn from_iter<T: IntoIterator<Item = CheckSet>>(sets: T) -> Self {
        sets.into_iter().fold(Self::NONE, Self::with)
    }
}

impl RunningChecks {
    /// Those that run by these settings.
    pub fn of(settings: &EnrichSettings) -> Self {
        let set = settings.running();
        let functions = |set: CheckSet| set.iter().map(|check| check.run).collect();
        let without = |part: Part| functions(set.without(LOOKING[part as usize]).without(CheckSet::BESIDE_OTHERS));
        Self {
            set,
            functions: functions(set),
            without_certificate: without(Part::Certificate),
            without_oddities: without(Part::Oddities),
        }
    }
}

const fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len() != other.len() {
        return false;
    }
    let mut at = 0;
    while at < one.len() {
        if one[at] != other[at] {
            return false;
        }
        at += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(set: CheckSet) -> Vec<&'static str> {
        set.iter().map(|check| check.id).collect()
    }

    #[test]
    fn every_check_is_one_of_all() {
        assert_eq!(CheckSet::ALL.iter().count(), super::super::checks().len());
        for check in super::super::checks() {
            assert_eq!(ids(CheckSet::one(check.id)), [check.id]);
        }
        assert!(CheckSet::one("feeds").is_empty() && CheckSet::one("").is_empty());
    }

    #[test]
    fn sets_are_made_of_each_other() {
        let both = CheckSet::SIGNATURE.with(CheckSet::FEED);
        assert_eq!(ids(both), ["signature", "feed"]);
        assert_eq!(both.without(CheckSet::FEED), CheckSet::SIGNATURE);
        assert_eq!(["feed", "signature"].into_iter().map(CheckSet::one).collect::<CheckSet>(), both);
        assert!(both.meets(CheckSet::FEED) && !both.meets(CheckSet::LOOKALIKE));
    }

    #[test]
    fn a_set_is_told_by_what_is_less_to_list() {
        let but = CheckSet::ALL.without(CheckSet::FEED);
        let said = [CheckSet::ALL, CheckSet::FEED, but].map(|checks| checks.to_string());
        assert_eq!(said, ["all", "only feed", "all but feed"]);
    }

    #[test]
    fn a_part_is_wanted_where_one_runs_that_looks_at_it() {
        assert!(CheckSet::ALL.look_at(Part::Chain) && !CheckSet::FEED.look_at(Part::Chain));
        assert!(CheckSet::one("untrusted_chain").look_at(Part::Chain));
        let without = CheckSet::ALL.without_history();
        assert!(!without.look_at(Part::History) && without.meets(CheckSet::FEED));
        assert!(without.iter().all(|check| !check.asks_history()));
    }
}
