//! What registries answered when they were asked for a domain, each answer once and for as long as it is kept.
//!
//! Promise: a table does not change, so that a record is judged by one; it is bounded, and what is forgotten for that
//! follows from its content alone.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Precision, Registration};
use crate::model::Id128;

/// Answers by the key of their domains.
#[derive(Clone, Default, Debug)]
pub struct Answers {
    entries: HashMap<Id128, Arc<Answer>>,
    /// Of all entries, whatever their order.
    content: u128,
    /// Registries are asked for what is not known here.
    asking: bool,
}

/// What came of asking for one domain.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// When it was asked, in seconds since 1970-01-01 by the wall clock.
    pub asked: i64,
    /// When it may be asked again.
    pub until: i64,
    /// When the domain was registered; nothing where the registry does not say, or says what cannot be.
    pub registered: Option<Registered>,
    /// Who was asked, and on which day.
    pub source: Box<str>,
}

/// A registration as a registry tells it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Registered {
    /// Days since 1970-01-01.
    pub day: i32,
    /// How exactly it is known.
    pub precision: Precision,
    /// The day of the data.
    pub as_of: i32,
}

/// Answers that are kept; the one that was asked for longest ago goes first.
const MAX_ANSWERS: usize = 100_000;
/// What is forgotten at once: looking for the oldest ones is not to be done for each new one.
const FORGOTTEN_AT_ONCE: usize = MAX_ANSWERS / 16;

impl Answers {
    /// A table of answers that are known already.
    pub fn new(entries: impl IntoIterator<Item = (Id128, Answer)>) -> Self {
        let mut answers = Self::default();
        for (domain, answer) in entries {
            answers.insert(domain, Arc::new(answer));
        }
        answers.forget_oldest();
        answers
    }

    /// The same table where registries are asked for what is not in it.
    pub fn that_ask(self) -> Self {
        Self { asking: true, ..self }
    }

    /// The table with further answers, and the domains that were forgotten to make room for them.
    pub fn with(&self, more: &[(Id128, Arc<Answer>)]) -> (Self, Vec<Id128>) {
        let mut next = self.clone();
        for (domain, answer) in more {
            next.insert(*domain, Arc::clone(answer));
        }
        let forgotten = next.forget_oldest();
        (next, forgotten)
    }

    /// What came of asking for a domain.
    pub fn get(&self, domain: Id128) -> Option<&Arc<Answer>> {
        self.entries.get(&domain)
    }

    /// What is known of a domain.
    pub fn find(&self, domain: Id128) -> Option<Registration<'_>> {
        let answer = self.get(domain)?;
        let Registered { day, precision, as_of } = answer.registered?;
        Some(Registration { day, precision, source: &answer.source, as_of: Some(as_of) })
    }

    /// Whether a domain was not asked for yet, or so long ago that it may be again.
    pub fn is_due(&self, domain: Id128, now: i64) -> bool {
        self.entries.get(&domain).is_none_or(|answer| answer.until <= now)
    }

    /// Whether something is known, or registries are asked.
    pub fn is_in_use(&self) -> bool {
        self.asking || !self.entries.is_empty()
    }

    /// How many answers there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A hash of all that is known, whatever the order in which it came.
    pub fn content(&self) -> Id128 {
        Id128(self.content.to_be_bytes())
    }

    fn insert(&mut self, domain: Id128, answer: Arc<Answer>) {
        self.content = self.content.wrapping_add(part_of_content(domain, &answer));
        if let Some(former) = self.entries.insert(domain, answer) {
            self.content = self.content.wrapping_sub(part_of_content(domain, &former));
        }
    }

    fn forget_oldest(&mut self) -> Vec<Id128> {
        if self.entries.len() <= MAX_ANSWERS {
            return Vec::new();
        }
        let mut by_age: Vec<_> = self.entries.iter().map(|(domain, answer)| (answer.asked, *domain)).collect();
        by_age.sort_unstable();
        by_age.truncate(self.entries.len() - MAX_ANSWERS + FORGOTTEN_AT_ONCE);
        for (_, domain) in &by_age {
            if let Some(answer) = self.entries.remove(domain) {
                self.content = self.content.wrapping_sub(part_of_content(*domain, &answer));
            }
        }
        by_age.into_iter().map(|(_, domain)| domain).collect()
    }
}

/// What one answer adds to the hash: all that a judgement can depend on.
fn part_of_content(domain: Id128, answer: &Answer) -> u128 {
    let registered = answer.registered.map(|it| [it.day, it.precision as i32, it.as_of].map(i32::to_be_bytes).concat());
    let parts = [&domain.0[..], answer.source.as_bytes(), &registered.unwrap_or_default()];
    u128::from_be_bytes(Id128::of_parts(&parts).0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(asked: i64, day: Option<i32>) -> Answer {
        let registered = day.map(|day| Registered { day, precision: Precision::Exact, as_of: 20_000 });
        Answer { asked, until: asked + 100, registered, source: "rdap:rdap.example:2026-11-30".into() }
    }

    fn key(number: usize) -> Id128 {
        Id128::of(format!("host{number}.example").as_bytes())
    }

    #[test]
    fn what_is_known_is_found_and_due_once_its_time_is_over() {
        let answers = Answers::new([(key(1), answer(1000, Some(19_000))), (key(2), answer(1000, None))]);
        assert_eq!(answers.find(key(1)).map(|found| (found.day, found.as_of)), Some((19_000, Some(20_000))));
        assert_eq!((answers.find(key(2)), answers.find(key(3))), (None, None));
        for (number, now, due) in [(1, 1099, false), (1, 1100, true), (2, 1099, false), (3, 0, true)] {
            assert_eq!(answers.is_due(key(number), now), due, "{number} at {now}");
        }
    }

    #[test]
    fn the_content_follows_from_what_is_known_and_not_from_how_it_came() {
        let both = [(key(1), answer(1, Some(5))), (key(2), answer(2, None))];
        let forwards = Answers::new(both.clone());
        let backwards = Answers::new([both[1].clone(), (key(1), answer(0, None)), both[0].clone()]);
        assert_eq!(forwards.content(), backwards.content());
        let (other, _) = forwards.with(&[(key(1), Arc::new(answer(1, Some(6))))]);
        assert_ne!(forwards.content(), other.content());
        let (back, _) = other.with(&[(key(1), Arc::new(answer(9, Some(5))))]);
        assert_eq!(forwards.content(), back.content());
        assert_ne!(forwards.content(), Answers::default().content());
    }

    #[test]
    fn the_oldest_answers_make_room() {
        let answers = Answers::new((0..MAX_ANSWERS).map(|number| (key(number), answer(number as i64, None))));
        assert_eq!(answers.len(), MAX_ANSWERS);
        let (next, forgotten) = answers.with(&[(key(MAX_ANSWERS), Arc::new(answer(1 << 40, None)))]);
        assert_eq!((next.len(), forgotten.len()), (MAX_ANSWERS - FORGOTTEN_AT_ONCE, FORGOTTEN_AT_ONCE + 1));
        assert!(forgotten.contains(&key(0)) && !next.is_due(key(MAX_ANSWERS), 0) && next.is_due(key(0), 0));
    }
}
