//! Words that look as if drawn by lot.
//!
//! The measure is the mean, over the pairs of neighbours, of how unusual the second character is after the first in names
//! of web sites (in bits). Measured with a table made of one half of the Tranco top 10,000 on the labels of 10 characters and
//! more of the other half: 13 of 1,323 (1.0 %) count as random; of 80 such labels that the Zeek logs of the corpus ask for,
//! none; of words drawn by lot from a to z, 92 %, with digits 89 %. So one such word is no finding, and two are.

use std::sync::LazyLock;

/// Shorter words say too little.
const MIN_LENGTH: usize = 10;
/// Longest piece that is looked at.
const MAX_LENGTH: usize = 64;
/// Bits for each pair from which on a word looks random.
const MIN_BITS: u32 = 5;
/// The table counts in sixteenths of a bit.
const UNIT: u32 = 16;
const SYMBOLS: usize = 28;

static TABLE: LazyLock<[[u8; SYMBOLS]; SYMBOLS]> = LazyLock::new(|| parse(include_str!("bigrams.tsv")));

/// Whether a word looks as if drawn by lot: letters, digits and hyphens only, with a letter among them.
pub fn looks_random(word: &str) -> bool {
    if !(MIN_LENGTH..=MAX_LENGTH).contains(&word.len()) || !word.bytes().any(|byte| byte.is_ascii_alphabetic()) {
        return false;
    }
    let mut sum = 0_u32;
    let mut before = None;
    for byte in word.bytes() {
        let Some(symbol) = symbol(byte) else { return false };
        if let Some(before) = before {
            let row: Option<&[u8; SYMBOLS]> = TABLE.get::<usize>(before);
            sum += row.and_then(|row| row.get(symbol)).map_or(0, |bits| u32::from(*bits));
        }
        before = Some(symbol);
    }
    sum > MIN_BITS * UNIT * (word.len() as u32 - 1)
}

fn symbol(byte: u8) -> Option<usize> {
    match byte.to_ascii_lowercase() {
        letter @ b'a'..=b'z' => Some(usize::from(letter - b'a')),
        b'0'..=b'9' => Some(26),
        b'-' => Some(27),
        _ => None,
    }
}

fn parse(text: &str) -> [[u8; SYMBOLS]; SYMBOLS] {
    let mut table = [[0; SYMBOLS]; SYMBOLS];
    let rows = text.lines().filter(|line| !line.starts_with("# ")).filter_map(|line| line.split_once('\t'));
    for (into, (_, row)) in table.iter_mut().zip(rows) {
        for (into, bits) in into.iter_mut().zip(row.split(' ')) {
            *into = bits.parse().unwrap_or_default();
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knowledge::test_corpus;

    #[test]
    fn the_table_is_whole() {
        let rows: Vec<_> = include_str!("bigrams.tsv").lines().filter(|line| !line.starts_with("# ")).collect();
        assert_eq!(rows.len(), SYMBOLS);
        assert!(TABLE.iter().flatten().all(|bits| *bits > 0));
    }

    #[test]
    fn words_and_what_is_drawn_by_lot_are_told_apart() {
        for word in ["xkqzvwpjtd", "qwx7zk2vjq9h", "gzqvkxwpfjh"] {
            assert!(looks_random(word), "{word}");
        }
        for word in
            ["riverton-library", "northwindtraders", "whatismyipaddress", "xkqzvw", "2026110512", "a b c d e f g h"]
        {
            assert!(!looks_random(word), "{word}");
        }
    }

    #[test]
    fn of_the_names_that_the_corpus_asks_for_none_looks_random() {
        let Some(labels) = test_corpus::asked_labels() else { return };
        let long: Vec<_> = labels.iter().filter(|label| label.len() >= MIN_LENGTH).collect();
        let random: Vec<_> = long.iter().filter(|label| looks_random(label)).collect();
        assert!(long.len() >= 50, "{}", long.len());
        assert!(random.is_empty(), "{random:?}");
    }
}
