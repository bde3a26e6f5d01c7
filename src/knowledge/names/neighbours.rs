//! Words that are a few edits away from one that is asked for, without comparing with all of them.
//!
//! Two words that are at most `n` edits apart have a common rest after at most `n` deletions in each. So every word is
//! kept under the hashes of all that is left of it after so many deletions, and a question looks up the rests of what it
//! asks for. Hashes only propose: the distance itself decides.

use rapidfuzz::distance::osa;

/// Words by the hashes of what is left of them.
#[derive(Debug, Default)]
pub(super) struct Neighbours {
    /// Hash of a rest, and the number of the word; sorted.
    rests: Vec<(u32, u32)>,
}

/// Words that are compared for one rest: more of them share one only where a list was made for that.
const MAX_COMPARED: usize = 64;
/// Longest word that edits are looked for in, in characters.
const MAX_WORD: usize = 63;

impl Neighbours {
    /// The words by their numbers in `words`; `edits` says how many each may be away.
    pub(super) fn new<'a>(words: impl Iterator<Item = &'a str>, edits: impl Fn(usize) -> usize) -> Self {
        let mut rests = Vec::new();
        for (number, word) in (0_u32..).zip(words) {
            let word: Vec<char> = word.chars().take(MAX_WORD).collect();
            for_each_rest(&word, edits(word.len()), &mut |hash| rests.push((hash, number)));
        }
        rests.sort_unstable();
        rests.dedup();
        rests.shrink_to_fit();
        Self { rests }
    }

    /// The number of the nearest word, and of equals the first one. `word` gives a word by its number, `edits` says how many
    /// edits it may be away by its length.
    pub(super) fn nearest<'a>(
        &self,
        asked: &str,
        word: impl Fn(u32) -> Option<&'a str>,
        edits: impl Fn(usize) -> usize,
    ) -> Option<u32> {
        let characters: Vec<char> = asked.chars().take(MAX_WORD + 1).collect();
        // The word that is found may be longer than what is asked for, and then allow more.
        let most = edits(characters.len().saturating_add(2));
        if self.rests.is_empty() || characters.len() > MAX_WORD {
            return None;
        }
        let mut nearest: Option<(usize, u32)> = None;
        for_each_rest(&characters, most, &mut |hash| {
            let from = self.rests.partition_point(|(known, _)| *known < hash);
            let same = self.rests[from..].iter().take_while(|(known, _)| *known == hash);
            for &(_, number) in same.take(MAX_COMPARED) {
                let Some(found) = word(number) else { continue };
                let limit = osa::Args::default().score_cutoff(edits(found.chars().count()));
                if let Some(distance) = osa::distance_with_args(asked.chars(), found.chars(), &limit) {
                    nearest = nearest.into_iter().chain([(distance, number)]).min();
                }
            }
        });
        nearest.map(|(_, number)| number)
    }

    /// How much memory it takes, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.rests.capacity() * size_of::<(u32, u32)>()
    }
}

/// The hashes of a word and of all that is left of it after at most `deletions`, of which two are the most.
fn for_each_rest(word: &[char], deletions: usize, with: &mut impl FnMut(u32)) {
    let mut text = String::with_capacity(word.len() * 4);
    let mut rest = |without: [usize; 2], with: &mut dyn FnMut(u32)| {
        text.clear();
        text.extend(word.iter().enumerate().filter(|(at, _)| !without.contains(at)).map(|(_, character)| *character));
        with(crc32fast::hash(text.as_bytes()));
    };
    rest([usize::MAX; 2], with);
    if deletions >= 1 {
        (0..word.len()).for_each(|one| rest([one, usize::MAX], with));
    }
    if deletions >= 2 {
        (0..word.len()).for_each(|one| (one + 1..word.len()).for_each(|other| rest([one, other], with)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn edits(length: usize) -> usize {
        match length {
            0..=4 => 0,
            5..=11 => 1,
            _ => 2,
        }
    }

    proptest! {
        #[test]
        fn nothing_is_missed_and_nothing_invented(words in prop::collection::vec("[ab]{3,14}", 1..20), asked in "[ab]{1,15}") {
            let index = Neighbours::new(words.iter().map(String::as_str), edits);
            let found = index.nearest(&asked, |number| words.get(number as usize).map(String::as_str), edits);
            let distance = |word: &String| {
                let limit = osa::Args::default().score_cutoff(edits(word.chars().count()));
                osa::distance_with_args(asked.chars(), word.chars(), &limit)
            };
            let expected = (0..).zip(&words).filter_map(|(number, word)| Some((distance(word)?, number))).min();
            prop_assert_eq!(found, expected.map(|(_, number)| number));
        }
    }

    #[test]
    fn a_swap_of_neighbours_is_one_edit() {
        let words = ["riverton"];
        let index = Neighbours::new(words.into_iter(), edits);
        for (asked, near) in [("rivetron", true), ("rvierton", true), ("rivertn", true), ("rivvertno", false)] {
            assert_eq!(index.nearest(asked, |_| Some("riverton"), edits).is_some(), near, "{asked}");
        }
    }
}
