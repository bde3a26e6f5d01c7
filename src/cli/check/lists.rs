//! What else is known: registrations, public CAs, watched names.

use super::Checked;
use super::section::Section;
use crate::config::{check_feed, expand};
use crate::knowledge::registrations::ListReport;
use crate::knowledge::{PublicCas, Registrations, WatchNames};

pub(super) fn section(checked: &Checked) -> Section {
    let mut section = Section::new("lists");
    section.fact("public CAs", format!("{} names, built in", PublicCas::builtin().len()));
    registrations(&mut section, &checked.config.knowledge.feeds);
    watch_names(&mut section, &checked.config.knowledge.watch_names);
    section
}

fn registrations(section: &mut Section, patterns: &[String]) {
    if patterns.is_empty() {
        section.fact("registrations", "none; name lists in knowledge.feeds");
    }
    for pattern in patterns {
        match expand("knowledge.feeds", std::slice::from_ref(pattern)) {
            Ok(files) => {
                for path in files {
                    match check_feed(&path) {
                        Ok(()) => {
                            let (_, reports) = Registrations::load(std::slice::from_ref(&path));
                            reports.iter().for_each(|report| list(section, report));
                        }
                        Err(error) => section.problem(error.to_string()),
                    }
                }
            }
            Err(error) => section.problem(error.to_string()),
        }
    }
}

fn list(section: &mut Section, report: &ListReport) {
    let path = report.path.display();
    section.fact("registrations", format!("{path}: {} rows", report.rows));
    if let Some(error) = &report.error {
        section.warning(format!("{path}: cannot be read to its end: {error}"));
    }
    if report.rows == 0 && report.error.is_none() {
        section.warning(format!("{path}: holds no registration"));
    }
    if report.bad_rows > 0 {
        let first = report.first_bad_rows.iter().map(|row| format!("line {}: {}", row.line, row.problem));
        let first = first.collect::<Vec<_>>().join("; ");
        section.warning(format!("{path}: {} rows are left out: {first}", report.bad_rows));
    }
}

fn watch_names(section: &mut Section, names: &[String]) {
    if names.is_empty() {
        section.fact("watched names", "none; name your own in knowledge.watch_names");
        return;
    }
    match WatchNames::new(names) {
        Ok(watched) => {
            let domains = watched.iter().filter(|name| name.domain.is_some()).count();
            section
                .fact("watched names", format!("{}: domains {domains}, brands {}", names.len(), names.len() - domains));
        }
        Err(error) => section.problem(format!("knowledge.watch_names: {error}")),
    }
}
