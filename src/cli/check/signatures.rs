//! Signatures: the built-in catalogue, and the user's files one by one.

use std::path::PathBuf;

use super::Checked;
use super::section::Section;
use crate::config::expand;
use crate::knowledge::Signatures;

pub(super) fn section(checked: &Checked) -> Section {
    let mut section = Section::new("signatures");
    let builtin = match Signatures::builtin() {
        Ok(builtin) => builtin,
        Err(error) => {
            section.problem(error.to_string());
            return section;
        }
    };
    section.fact("built in", counts(&builtin));
    match Signatures::without_default() {
        Ok(tools) => {
            let named: Vec<_> = tools.iter().map(|tool| tool.tool()).collect();
            section.fact("no default known", format!("{}: {}", named.len(), named.join("; ")));
        }
        Err(error) => section.problem(error.to_string()),
    }
    let mut good: Vec<PathBuf> = Vec::new();
    for pattern in &checked.config.knowledge.signatures {
        match expand("knowledge.signatures", std::slice::from_ref(pattern)) {
            Ok(files) => {
                for path in files {
                    // A file may be meant by two patterns, and be read once.
                    if !good.contains(&path) && user_file(&mut section, &path) {
                        good.push(path);
                    }
                }
            }
            Err(error) => section.problem(error.to_string()),
        }
    }
    if checked.config.knowledge.signatures.is_empty() {
        section.fact("of your own", "none; name files in knowledge.signatures");
        return section;
    }
    match together(&good) {
        Ok(all) => section.fact("together", counts(&all)),
        Err(errors) => errors.iter().for_each(|error| section.problem(error)),
    }
    section
}

/// Says what one file holds; whether it can be used.
fn user_file(section: &mut Section, path: &PathBuf) -> bool {
    let read = Signatures::parse("", "").and_then(|none| none.with_files(std::slice::from_ref(path)));
    let signatures = match read {
        Ok(signatures) => signatures,
        Err(error) => {
            section.problem(error.to_string());
            return false;
        }
    };
    section.fact("file", format!("{}: {}", path.display(), counts(&signatures)));
    for failed in signatures.failed_examples() {
        let (file, line) = failed.signature.place();
        let (id, number) = (failed.signature.id(), failed.number);
        let outcome = if failed.should_fire { "does not fire on it" } else { "fires on it" };
        section.warning(format!("{file}:{line}: example {number} of {id} does not come out: the signature {outcome}"));
    }
    true
}

/// All signatures; or else what is wrong between files, each of which can be used by itself.
fn together(files: &[PathBuf]) -> Result<Signatures, Vec<String>> {
    match Signatures::builtin().and_then(|builtin| builtin.with_files(files)) {
        Ok(all) => Ok(all),
        Err(first) => {
            let (mut accepted, mut errors) = (Vec::new(), Vec::new());
            for file in files {
                accepted.push(file.clone());
                if let Err(error) = Signatures::builtin().and_then(|builtin| builtin.with_files(&accepted)) {
                    errors.push(error.to_string());
                    accepted.pop();
                }
            }
            Err(if errors.is_empty() { vec![first.to_string()] } else { errors })
        }
    }
}

/// How many there are of what.
fn counts(signatures: &Signatures) -> String {
    signatures.summary().to_string()
}
