//! A list and what is known of all its rows: from the configuration, else from its name and its comments.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::UNIX_EPOCH;

use regex::Regex;

use super::report::ListDays;
use super::when;
use crate::model::EventTime;

/// A list, and what its configuration says of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegistrationList {
    /// The file.
    pub path: PathBuf,
    /// Days that a list without dates looks back.
    pub window_days: Option<u16>,
    /// The day of its data, or of the registrations where there is no window; days since 1970-01-01.
    pub day: Option<i32>,
}

/// The first lines of a list.
pub(super) struct Head<'a> {
    /// What is configured.
    pub(super) list: &'a RegistrationList,
    /// Comments, without their sign and the blanks around them.
    pub(super) comments: Vec<&'a str>,
    /// Other lines with something on them.
    pub(super) rows: Vec<&'a str>,
}

/// Lines of a head that are looked at, comments and rows each.
const MAX_LINES: usize = 400;
/// A list that looks back further names no news.
const MAX_WINDOW_DAYS: u16 = 400;
const TOO_LONG: &str = "the list looks back more than 400 days, and so names no news";

/// A date in a file's name, whatever stands between its parts.
static DATE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?:^|\D)((?:19|20)\d\d)[-_.]?(\d\d)[-_.]?(\d\d)(?:\D|$)").ok());
/// A length of time in a name or a comment: `1w`, `14d`, `last-30-days`.
static WINDOW: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?:^|[^a-z0-9])(\d{1,5})[-_ ]?(d|w|m|days?|weeks?|months?)(?:[^a-z]|$)").ok());
/// The same where a name says nothing but the number of days, such as `nrd7` and `nrd14-8`.
static NUMBERED: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^nrds?[-_]?(\d{1,5})(?:[^0-9]|$)").ok());

impl From<PathBuf> for RegistrationList {
    fn from(path: PathBuf) -> Self {
        Self { path, window_days: None, day: None }
    }
}

impl RegistrationList {
    /// The file's name. Never the whole path: output must not depend on where a list lies.
    pub(super) fn name(&self) -> String {
        self.path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }
}

impl<'a> Head<'a> {
    /// Takes the head of a list apart; `is_whole` when nothing follows, else its last line may be cut.
    pub(super) fn new(list: &'a RegistrationList, text: &'a str, is_whole: bool) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let text = if is_whole { text } else { text.rfind('\n').map_or(text, |end| &text[..end]) };
        let mut head = Self { list, comments: Vec::new(), rows: Vec::new() };
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            match line.strip_prefix(['#', '!', ';']) {
                Some(comment) if head.comments.len() < MAX_LINES => {
                    head.comments.push(comment.trim_matches(['#', '!', ' ', '\t']));
                }
                None if head.rows.len() < MAX_LINES => head.rows.push(line),
                _ => {}
            }
        }
        head
    }

    /// Whether there are rows and two in three of them satisfy `test`.
    pub(super) fn most_rows(&self, test: impl Fn(&str) -> bool) -> bool {
        let good = self.rows.iter().filter(|line| test(line)).count();
        good > 0 && (self.rows.len() - good) * 2 <= good
    }

    /// What stands behind one of these words and a colon in a comment.
    fn said(&self, words: &[&str]) -> Option<&'a str> {
        self.comments.iter().find_map(|comment| {
            let (key, value) = comment.split_once(':')?;
            words.iter().any(|word| key.trim().eq_ignore_ascii_case(word)).then(|| value.trim())
        })
    }

    /// Whether the list says of itself that it names what was registered lately, and accuses nobody.
    pub(super) fn says_newly_registered(&self) -> bool {
        let name = self.list.name().to_lowercase();
        let named_so = ["nrd", "newly", "domain-names", "registr", "whois"].iter().any(|start| name.starts_with(start));
        let says_so = self.said(&["max domain age", "time of compilation"]).is_some();
        (named_so || says_so) && self.said(&["type", "category", "threat"]).is_none_or(str::is_empty)
    }

    /// The day of the data: configured, else in the name, else in the comments.
    pub(super) fn day(&self) -> Option<i32> {
        const COMPILED: [&str; 5] = ["time of compilation", "generated on", "last updated", "last modified", "date"];
        let compiled = || self.said(&COMPILED).and_then(when::parse_day);
        self.list.day.or_else(|| day_of_name(&self.list.name())).or_else(compiled)
    }

    /// Days that the list looks back: configured, else in the name, else in the comments.
    fn window(&self) -> Option<u16> {
        let name = self.list.name().to_lowercase();
        let said = || window_in(&self.said(&["max domain age"])?.to_lowercase());
        let window = self.list.window_days.or_else(|| window_in(&name)).or_else(|| window_of_number(&name));
        window.or_else(said).filter(|days| *days > 0)
    }

    /// The days that rows without a date lie in. A window without a day ends on the day the file was changed; a day
    /// without a window is the day of registration, but not where only a comment tells it, which is the compiler's.
    ///
    /// # Errors
    /// The window is longer than any that is of use: the day by itself would call all of its names new.
    pub(super) fn days(&self) -> Result<Option<ListDays>, &'static str> {
        let Some(window) = self.window() else {
            let day = self.list.day.or_else(|| day_of_name(&self.list.name()));
            return Ok(day.map(|day| ListDays { first: day, last: day }));
        };
        if window > MAX_WINDOW_DAYS {
            return Err(TOO_LONG);
        }
        let last = self.day().or_else(|| modified_day(&self.list.path));
        Ok(last.map(|last| ListDays { first: last - (i32::from(window) - 1), last }))
    }
}

fn day_of_name(name: &str) -> Option<i32> {
    let found = DATE.as_ref()?.captures(name)?;
    when::parse_day(&format!("{}-{}-{}", &found[1], &found[2], &found[3]))
}

fn window_in(text: &str) -> Option<u16> {
    let found = WINDOW.as_ref()?.captures(text)?;
    let unit = match found[2].as_bytes().first() {
        Some(b'w') => 7,
        Some(b'm') => 30,
        _ => 1,
    };
    Some(found[1].parse::<u16>().unwrap_or(u16::MAX).saturating_mul(unit))
}

fn window_of_number(name: &str) -> Option<u16> {
    let number = NUMBERED.as_ref()?.captures(name)?[1].parse().unwrap_or(u16::MAX);
    // A date may stand there as well.
    (!(1900..2100).contains(&number)).then_some(number)
}

fn modified_day(path: &Path) -> Option<i32> {
    let since = path.metadata().ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(EventTime::from_seconds(i64::try_from(since.as_secs()).ok()?).day())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(name: &str, text: &str) -> Option<(String, String)> {
        let list = RegistrationList::from(PathBuf::from(name));
        let days = Head::new(&list, text, true).days().unwrap()?;
        Some((EventTime::date_text(days.first), EventTime::date_text(days.last)))
    }

    #[test]
    fn days_are_found_in_names_and_comments() {
        let said = |first: &str, last: &str| Some((first.to_owned(), last.to_owned()));
        let compiled = "# Time of Compilation: 2024-09-10 07:44:36 UTC\n";
        for (name, text, expected) in [
            ("2026-11-20.txt", "", said("2026-11-20", "2026-11-20")),
            ("whoisds-20261120.txt.gz", "", said("2026-11-20", "2026-11-20")),
            ("nrd-14day.txt", compiled, said("2024-08-28", "2024-09-10")),
            ("nrd-1w-2026_11_20.csv", "", said("2026-11-14", "2026-11-20")),
            ("nrd-last-10-days.2026.11.20.txt", "", said("2026-11-11", "2026-11-20")),
            ("nrd14-8.txt", compiled, said("2024-08-28", "2024-09-10")),
            ("list.txt", "! Max domain age: 7 days\n! Last modified: 2026-11-20\n", said("2026-11-14", "2026-11-20")),
            ("list.txt", compiled, None),
            ("nrd.txt", "", None),
            ("nrd-1m.csv", "", None),
            ("nrd-2026-11-20.txt", "", said("2026-11-20", "2026-11-20")),
            ("2026-13-45.txt", "", None),
        ] {
            assert_eq!(days(name, text), expected, "{name}");
        }
    }

    #[test]
    fn a_window_without_a_day_ends_when_the_file_was_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nrd-1m.csv");
        std::fs::write(&path, "").unwrap();
        let changed = UNIX_EPOCH + std::time::Duration::from_secs(20_000 * 86_400 + 5);
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(changed).unwrap();
        let list = RegistrationList::from(path);
        assert_eq!(Head::new(&list, "", true).days(), Ok(Some(ListDays { first: 19_971, last: 20_000 })));
    }

    #[test]
    fn what_is_configured_comes_first() {
        let list = RegistrationList { path: "nrd-1w-2026-11-20.csv".into(), window_days: Some(3), day: Some(20_000) };
        assert_eq!(Head::new(&list, "", true).days(), Ok(Some(ListDays { first: 19_998, last: 20_000 })));
    }

    #[test]
    fn a_list_that_looks_back_for_years_is_not_one_of_the_day_in_its_name() {
        let days = |name: &str, window_days, text: &str| {
            let list = RegistrationList { path: name.into(), window_days, day: None };
            Head::new(&list, text, true).days()
        };
        assert!(days("nrd-400d-2026-11-20.txt", None, "").unwrap().is_some());
        for (name, window_days, text) in [
            ("nrd-401d-2026-11-20.txt", None, ""),
            ("nrd-24months-2026-11-20.txt", None, ""),
            ("nrd-1000-days_2026-11-20.txt", None, ""),
            ("nrd99999.txt", None, ""),
            ("domains-2026-11-20.txt", Some(500), ""),
            ("domains-2026-11-20.txt", None, "# Max domain age: 2000 days\n"),
        ] {
            assert_eq!(days(name, window_days, text), Err(TOO_LONG), "{name}");
        }
    }

    #[test]
    fn a_list_of_threats_is_not_one_of_news() {
        let says = |name: &str, text: &str| {
            Head::new(&RegistrationList::from(PathBuf::from(name)), text, true).says_newly_registered()
        };
        assert!(says("nrd-1w.csv", "evil.example\n"));
        assert!(says("x.txt", "# Time of Compilation: 2024-09-10\nevil.example\n"));
        assert!(!says("nrd-phishing.txt", "# Type: phishing\nevil.example\n"));
        assert!(!says("domains.txt", "evil.example\n"));
    }
}
