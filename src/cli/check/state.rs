//! The state directory, looked at from outside.

use super::Checked;
use super::section::Section;
use crate::state::{StoreFound, inspect};

pub(super) fn section(checked: &Checked) -> Section {
    let mut section = Section::new("state");
    let Some(directory) = &checked.config.state_dir else {
        section.fact("directory", "none; `run` needs [state] with dir, or --state");
        return section;
    };
    let shown = directory.display();
    if !directory.exists() {
        section.fact("directory", format!("{shown}: not there yet; the first start makes it"));
        return section;
    }
    let inspection = match inspect(directory) {
        Ok(Some(inspection)) => inspection,
        Ok(None) => {
            section.fact("directory", format!("{shown}: empty; the first start begins a state"));
            return section;
        }
        Err(error) => {
            section.problem(format!("{shown}: cannot use the state directory: {error}"));
            return section;
        }
    };
    section.fact("directory", shown.to_string());
    let store = inspection.path.display();
    match &inspection.store {
        StoreFound::Free(version) => {
            section.fact("store", format!("free, format {version}, {} bytes", inspection.bytes))
        }
        StoreFound::InUse => section.fact("store", format!("in use by another certsift, {} bytes", inspection.bytes)),
        StoreFound::NeedsRepair => section
            .fact("store", format!("was not closed in order, {} bytes; the next start repairs it", inspection.bytes)),
        StoreFound::OtherVersion { found, known } => section.problem(format!(
            "{store}: written by another certsift (format {found}, this one knows {known}); use that version, or \
             another state directory"
        )),
        StoreFound::Unreadable(error) => {
            section.problem(format!("{store}: cannot be read: {error}; give it back from a backup, or move it away"));
        }
    }
    let (journals, bytes) = inspection.journals;
    if journals > 0 {
        section.fact("journal", format!("{bytes} bytes"));
    }
    section
}
