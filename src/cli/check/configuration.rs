//! Which file it is, and what it changes.

use super::Checked;
use super::section::Section;
use crate::config::changed_settings;
use crate::enrich::CheckSet;

pub(super) fn section(checked: &Checked) -> Section {
    let mut section = Section::new("configuration");
    let Some((path, text)) = &checked.file else {
        section.fact("file", "none: every setting has its default");
        return section;
    };
    section.fact("file", path.to_string_lossy());
    let settings = changed_settings(text);
    if settings.is_empty() {
        section.fact("settings", "all have their default");
    }
    for setting in settings {
        section.fact("setting", format!("{} = {}", setting.key, setting.value));
    }
    let running = checked.config.encode_settings().enrich.running();
    if running != CheckSet::ALL {
        section.fact("checks", running.to_string());
    }
    section
}
