//! Where `run` would say how it goes.

use super::Checked;
use super::section::Section;

pub(super) fn section(checked: &Checked) -> Section {
    let mut section = Section::new("observe");
    match checked.config.observe.listen {
        None => section.fact("metrics and health", "nowhere; set observe.listen"),
        Some(address) => {
            section.fact("metrics and health", format!("http://{address}/metrics, http://{address}/healthz"));
            if !address.ip().is_loopback() {
                section.warning(format!("whoever reaches {address} is told of inputs, feeds and verdicts"));
            }
        }
    }
    section
}
