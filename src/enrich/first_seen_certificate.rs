//! Certificates that nobody here has met before. It explains, and weighs nothing: most of what is new is harmless.

use super::{Findings, Subject, first_sight};

/// The id of the check and of its findings.
pub(super) const ID: &str = "first_seen_certificate";
/// What would be benign, for a person who looks at the finding.
pub(super) const BENIGN: &str = "nearly everything: certificates are renewed all the time";

pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings) {
    let Some(seen) = &subject.context.seen.certificate else { return };
    let text = subject.analysis.map(|analysis| analysis.text());
    let observed = text.and_then(|text| text.sha256.as_deref().or(text.sha1.as_deref())).unwrap_or_default();
    let note = "the certificate is seen here for the first time";
    first_sight(subject, ID, "certificate", observed, (seen.first, seen.last_seen), note, findings);
}
