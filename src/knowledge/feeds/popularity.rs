//! Lists of popular names with their rank, `1,google.com` (Tranco, Umbrella): said beside other feeds only.

use super::Standing;
use super::choice;
use super::format::{Head, Header, LineFormat, Lines};
use super::indicator;
use super::rows::{Indicator, NameKey, Row, Rows};

pub(super) const FORMAT: LineFormat = LineFormat {
    name: "popular names",
    says_so: false,
    recognise: |head: &Head<'_>| {
        let is_row = |line: &str| {
            let parts = line.split_once(',');
            parts.is_some_and(|(rank, name)| rank.parse::<u32>().is_ok() && !name.is_empty() && !name.contains(','))
        };
        // Numbers that a header calls something else may be those of the rows of any list.
        let is_of_other = |header: &Header| match &header.names[..] {
            [number, name] => choice::class_of(name).is_some() && !is_rank(number),
            _ => false,
        };
        let is_ranking = head.most_rows(is_row) && !head.headers().any(|header| is_of_other(&header));
        is_ranking.then(|| Box::new(Ranks) as Box<dyn Lines>)
    },
};

struct Ranks;

fn is_rank(name: &str) -> bool {
    ["rank", "position", "popularity"].iter().any(|word| name.contains(word))
}

impl Lines for Ranks {
    fn read(&self, number: u32, line: &str, rows: &mut Rows) {
        let name = line.split_once(',').map_or("", |(_, name)| name.trim());
        match indicator::name(name) {
            Ok(name) => {
                let indicator = Indicator::Name(NameKey { below: true, ..name });
                rows.add(number, Row { label: "popular", standing: Standing::WellKnown, ..Row::of(indicator) });
            }
            // Umbrella ranks top-level domains as well.
            Err(_) if !name.contains('.') && !name.is_empty() => rows.context(),
            Err(problem) => rows.bad(number, problem),
        }
    }
}
