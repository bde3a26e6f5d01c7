//! Names as if drawn by lot, in a certificate that no public CA made: some bots make theirs so.
//!
//! One such word is no finding, since a hundredth of ordinary long names looks like one; two different ones are.

use super::rare_issuer::{IssuerClass, class};
use super::score::severity_of;
use super::{Effect, Finding, Findings, Group, Subject};

/// The id of the check and of its findings.
pub(super) const ID: &str = "random_name";
/// What would be benign, for a person who looks at the finding.
pub(super) const BENIGN: &str =
    "a relay of Tor, which makes its names so; names that a cloud or a device makes from numbers of its own";
const WEIGHT: f64 = 0.15;
const MIN_WORDS: usize = 2;

pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let Some(analysis) = subject.analysis else {
        return findings.not_evaluated("random_name:no_certificate");
    };
    if !matches!(class(subject), IssuerClass::OwnIssuer | IssuerClass::Private) {
        return;
    }
    let words = &analysis.oddities().random_words;
    let asked = subject.name.filter(|name| name.is_random && !words.is_empty()).and(subject.server_name);
    if words.len() + usize::from(asked.is_some()) < MIN_WORDS {
        return;
    }
    let observed: Vec<&str> = words.iter().map(|word| &**word).chain(asked).collect();
    let observed = observed.join(", ");
    findings.push(
        Finding {
            id: ID,
            group: subject.group(Group::Name),
            severity: severity_of(WEIGHT),
            weight: WEIGHT,
            technique: &["T1568.002", "T1587.003"],
            field: "subject".into(),
            observed: observed.clone().into(),
            expected: "words".into(),
            evidence: "frequency of pairs of characters in names of web sites".into(),
            note: format!("several names in the certificate look as if drawn by lot: {observed}").into(),
        },
        Effect::Weighs,
    );
}
