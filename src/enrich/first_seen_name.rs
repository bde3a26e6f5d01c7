//! Registrable domains that nobody here has asked for before. It explains, and weighs nothing.

use super::{Findings, Subject, first_sight};

/// The id of the check and of its findings.
pub(super) const ID: &str = "first_seen_name";
/// What would be benign, for a person who looks at the finding.
pub(super) const BENIGN: &str = "nearly everything: people go to new places";

pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let Some(seen) = &subject.context.seen.name else { return };
    let Some(name) = subject.server_name else { return };
    let words = || {
        let domain = crate::decode::registrable(name).map_or_else(|| name.to_lowercase(), |(_, domain)| domain);
        let note = format!("{domain} is seen here for the first time");
        (domain, note)
    };
    first_sight(subject, ID, "server_name", (seen.first, seen.last_seen), words, findings);
}
