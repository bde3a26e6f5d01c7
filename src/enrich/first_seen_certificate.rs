//! Certificates that nobody here has met before. It explains, and weighs nothing: most of what is new is harmless.

use super::{Findings, Subject, first_sight};
use crate::model::Certificate;

/// The id of the check and of its findings.
pub(super) const ID: &str = "first_seen_certificate";
/// What would be benign, for a person who looks at the finding.
pub(super) const BENIGN: &str = "nearly everything: certificates are renewed all the time";

pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let Some(seen) = &subject.context.seen.certificate else { return };
    let words = || {
        let hash = subject.certificate.and_then(Certificate::hash_text).unwrap_or_default();
        (hash, "the certificate is seen here for the first time".to_owned())
    };
    first_sight(subject, ID, "certificate", (seen.first, seen.last_seen), words, findings);
}
