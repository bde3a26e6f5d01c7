//! Whether the local networks fit what the sensors see.

use super::Checked;
use super::section::Section;
use crate::model::Direction;

/// Fewer sessions say nothing.
const MIN_SESSIONS: usize = 10;

pub(super) fn section(checked: &Checked) -> Section {
    let mut section = Section::new("network");
    let local = &checked.config.join.local;
    section
        .fact("local", if checked.is_set("network.local") { "as configured" } else { "the default, private networks" });
    let files = checked.inputs.iter().flat_map(|input| &input.paths).flat_map(|followed| &followed.files);
    let sessions = files.filter_map(|(_, look)| look.as_ref().ok()).flat_map(|look| &look.sessions);
    let directions: Vec<_> = sessions.map(|&(client, server)| local.direction(client, server)).collect();
    if directions.is_empty() {
        return section;
    }
    let count = |wanted: Direction| directions.iter().filter(|direction| **direction == wanted).count();
    let (transit, internal) = (count(Direction::Transit), count(Direction::Internal));
    section.fact(
        "sessions looked at",
        format!(
            "{}: outbound {}, inbound {}, internal {internal}, transit {transit}",
            directions.len(),
            count(Direction::Outbound),
            count(Direction::Inbound)
        ),
    );
    if directions.len() < MIN_SESSIONS {
        return section;
    }
    if transit * 2 > directions.len() {
        section.warning(
            "most sessions have no local side, so that little weighs; see whether network.local names your networks",
        );
    }
    if internal == directions.len() {
        section.warning("all sessions are internal, so that little weighs; see whether network.local is too wide");
    }
    section
}
