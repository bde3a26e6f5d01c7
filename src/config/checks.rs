//! Which checks run: what goes together, and what would leave none.

use super::network::Wrong;
use super::raw::RawChecks;
use super::value::CheckId;
use crate::enrich::CheckSet;

impl RawChecks {
    /// The checks that are wanted, whether or not they ask the history.
    pub(super) fn wanted(&self) -> Result<CheckSet, Wrong> {
        let set = |list: &[CheckId]| list.iter().map(|check| CheckSet::one(check.0)).collect();
        let only = self.only.as_ref().map(|only| set(only.get_ref()));
        let off = self.off.as_ref().map_or(CheckSet::NONE, |off| set(off.get_ref()));
        let [only_at, off_at] = [&self.only, &self.off].map(|list| list.as_ref().map(toml::Spanned::span));
        let wrong = |why: String| (off_at.clone().or(only_at.clone()).unwrap_or_default(), why);
        if let Some(at) = only_at.clone().filter(|_| only.is_some_and(CheckSet::is_empty)) {
            return Err((at, "checks.only names no check, and none would run".to_owned()));
        }
        if let Some(both) = off.iter().find(|check| only.is_some_and(|only| only.meets(CheckSet::one(check.id)))) {
            return Err(wrong(format!("checks.off: `{}` is in checks.only as well", both.id)));
        }
        let wanted = only.unwrap_or(CheckSet::ALL).without(off);
        if wanted.is_empty() {
            return Err(wrong("checks.off names all checks, and none would run".to_owned()));
        }
        if !self.history && wanted.without_history().is_empty() {
            let ids: Vec<_> = wanted.iter().map(|check| check.id).collect();
            return Err(wrong(format!("checks: none would run without history, which is asked by {}", ids.join(", "))));
        }
        Ok(wanted)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::{Config, changed_settings, schema, shown};

    fn running(text: &str) -> Result<Vec<&'static str>, String> {
        let config = Config::parse(&format!("[checks]\n{text}\n"), Path::new(""))?;
        Ok(config.encode_settings().enrich.running().iter().map(|check| check.id).collect())
    }

    #[test]
    fn all_run_unless_it_is_said_which() {
        let all = running("").unwrap();
        assert_eq!(all.len(), crate::enrich::checks().len());
        assert_eq!(running("only = [\"feed\", \"signature\", \"feed\"]").unwrap(), ["signature", "feed"]);
        let without = running("off = [\"unusual_port\"]").unwrap();
        assert_eq!(without.len(), all.len() - 1);
        assert!(!without.contains(&"unusual_port"));
        assert_eq!(running("only = [\"feed\"]\noff = [\"signature\"]\nhistory = true").unwrap(), ["feed"]);
        assert_eq!(running("off = []").unwrap(), all);
    }

    #[test]
    fn without_history_those_that_ask_it_do_not_run() {
        let without = running("history = false").unwrap();
        assert!(without.contains(&"self_signed") && !without.contains(&"rare_issuer"), "{without:?}");
        assert_eq!(running("only = [\"feed\", \"rare_issuer\"]\nhistory = false").unwrap(), ["feed"]);
        let config = Config::parse("[checks]\nhistory = false\n", Path::new("")).unwrap();
        assert!(!config.join.history && Config::default().join.history);
    }

    #[test]
    fn what_leaves_no_check_is_a_mistake_and_so_is_what_contradicts_itself() {
        let all: Vec<_> = crate::enrich::checks().iter().map(|check| format!("\"{}\"", check.id)).collect();
        for (text, expected) in [
            ("only = []".to_owned(), "line 2: checks.only names no check"),
            (format!("off = [{}]", all.join(", ")), "line 2: checks.off names all checks"),
            (
                "history = false\nonly = [\"rare_issuer\"]".to_owned(),
                "line 3: checks: none would run without history, which is asked by rare_issuer",
            ),
            ("only = [\"feed\"]\noff = [\"feed\"]".to_owned(), "line 3: checks.off: `feed` is in checks.only as well"),
        ] {
            let error = running(&text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn an_id_that_is_none_is_said_with_its_place_and_those_that_there_are() {
        for list in ["only", "off"] {
            let error = running(&format!("{list} = [\n  \"feed\",\n  \"selfsigned\",\n]")).unwrap_err();
            assert!(error.contains("line 2") && error.contains("`selfsigned` is no check"), "{error}");
            assert!(crate::enrich::checks().iter().all(|check| error.contains(check.id)), "{error}");
        }
        assert!(running("feed = false").unwrap_err().contains("unknown field"));
    }

    #[test]
    fn what_is_said_of_checks_is_shown() {
        let text = "[checks]\noff = [\"feed\"]\nhistory = false\n";
        let keys: Vec<_> = changed_settings(text).into_iter().map(|setting| setting.key).collect();
        assert_eq!(keys, ["checks.history", "checks.off"]);
        assert!(shown(text).unwrap().contains("\noff = [\"feed\"]\n"));
        let validator = jsonschema::validator_for(&schema()).unwrap();
        let fits =
            |text: &str| validator.is_valid(&serde_json::to_value(text.parse::<toml::Table>().unwrap()).unwrap());
        assert!(fits(text) && !fits("[checks]\noff = [\"feeds\"]\n"));
    }
}
