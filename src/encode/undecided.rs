//! Lists of checks that could not decide, as they stand in records. Nearly all full objects have one of a few: each is
//! written once, and copied from then on.

use super::json;

/// The lists that were written last.
#[derive(Default)]
pub(super) struct UndecidedLists(Vec<(Vec<&'static str>, Box<str>)>);

/// Lists that are kept; of more, each takes the place of the last.
const MAX_LISTS: usize = 16;

impl UndecidedLists {
    /// A list as it stands in records; nothing where there is nothing in it.
    pub(super) fn text(&mut self, list: &[&'static str]) -> &str {
        if list.is_empty() {
            return "";
        }
        // A code is the same where it is the same piece of memory. If it is not, a list is kept twice and no harm is done.
        let is_same = |kept: &[&'static str]| {
            kept.len() == list.len() && kept.iter().zip(list).all(|(kept, code)| std::ptr::eq(*kept, *code))
        };
        let at = self.0.iter().position(|(kept, _)| is_same(kept)).unwrap_or_else(|| {
            self.0.truncate(MAX_LISTS - 1);
            self.0.push((list.to_vec(), json::text_of(list)));
            self.0.len() - 1
        });
        &self.0[at].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODES: [&str; 5] = ["feed:no_sha1", "forged_ca:not_logged", "odd_text:no_certificate", "a:b", "c:d"];

    #[test]
    fn every_list_has_its_own_text_and_few_are_kept() {
        let mut lists = UndecidedLists::default();
        // What was written once is given again, and what had to make room is written again.
        for _ in 0..2 {
            for mask in 0..1 << CODES.len() {
                let chosen = CODES.iter().enumerate().filter(|(at, _)| mask >> at & 1 == 1);
                let list: Vec<&'static str> = chosen.map(|(_, code)| *code).collect();
                let expected = if list.is_empty() { String::new() } else { serde_json::to_string(&list).unwrap() };
                assert_eq!(lists.text(&list), expected);
                assert_eq!(lists.text(&list), expected);
            }
        }
        assert_eq!(lists.0.len(), MAX_LISTS);
    }
}
