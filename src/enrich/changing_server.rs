//! Servers that show one certificate after the other. Public CAs are left out: delivery networks and hosters show what is
//! asked for. So are addresses that the user says are shared.

use super::rare_issuer::{IssuerClass, class};
use super::score::severity_of;
use super::{Effect, Finding, Findings, Group, Subject};

/// The id of the check and of its findings.
pub(super) const ID: &str = "changing_server";
/// What would be benign, for a person who looks at the finding.
pub(super) const BENIGN: &str = "a proxy (then add it to network.shared), a relay of an anonymity network, a test system that is set up again and again";
const WEIGHT: f64 = 0.2;
/// Distinct certificates today and yesterday.
const MIN_CERTIFICATES: u8 = 8;

pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let Some(server) = subject.context.seen.server else { return };
    let own_made = matches!(class(subject), IssuerClass::Private | IssuerClass::OwnIssuer);
    if !own_made || subject.context.shared_server || server.recent_certificates < MIN_CERTIFICATES {
        return;
    }
    if subject.context.seen.learning.is_some() {
        return findings.not_evaluated("changing_server:learning");
    }
    findings.push(
        Finding {
            id: ID,
            group: Group::Share,
            severity: severity_of(WEIGHT),
            weight: WEIGHT,
            technique: &["T1557"],
            field: "server".into(),
            observed: format!("{} certificates", server.recent_certificates).into(),
            expected: format!("fewer than {MIN_CERTIFICATES} certificates in two days").into(),
            evidence: "history".into(),
            note: format!("the server has shown {} certificates since yesterday", server.recent_certificates).into(),
        },
        Effect::Weighs,
    );
}
