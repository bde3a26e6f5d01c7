//! What would be read.

use super::Checked;
use super::look::{Archives, Followed};
use super::section::Section;

pub(super) fn section(checked: &Checked) -> Section {
    let mut section = Section::new("inputs");
    if checked.inputs.is_empty() {
        section.fact("none", "`run` needs [[input]] with paths; `replay` takes its files from the command line");
    }
    for (number, (files, input)) in checked.inputs.iter().zip(&checked.config.inputs).enumerate() {
        let sensor = input.sensor.as_deref().map(|sensor| format!(", sensor {sensor}")).unwrap_or_default();
        section.fact("input", format!("{}{sensor}", number + 1));
        files.paths.iter().for_each(|followed| follow(&mut section, followed));
        files.archives.iter().for_each(|archives| list(&mut section, archives));
    }
    section
}

fn follow(section: &mut Section, followed: &Followed) {
    let count = followed.files.len() + followed.more;
    section.fact("follows", format!("{}: {}", followed.pattern, files(count)));
    for (path, look) in &followed.files {
        let shown = path.to_string_lossy();
        match look {
            Ok(look) if look.is_read => {
                let first = look.first.map(|first| format!(", from {first}")).unwrap_or_default();
                section.fact("  file", format!("{shown}: {}{first}", look.kind));
            }
            Ok(look) => section.warning(format!("{shown}: {}; it is left alone", look.kind)),
            Err(error) => section.warning(format!("{shown}: cannot be read: {error}")),
        }
    }
    if followed.more > 0 {
        section.fact("  file", format!("and {} more", followed.more));
    }
    followed.warnings.iter().for_each(|warning| section.warning(warning));
    followed.problem.iter().for_each(|problem| section.problem(problem));
}

fn list(section: &mut Section, archives: &Archives) {
    let found = match archives.found {
        Some((count, oldest, newest)) => format!("{}, changed between {oldest} and {newest}", files(count)),
        None => files(0),
    };
    section.fact("archives", format!("{}: {found}", archives.pattern));
    archives.warnings.iter().for_each(|warning| section.warning(warning));
    archives.problem.iter().for_each(|problem| section.problem(problem));
}

fn files(count: usize) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}
