//! One self-made certificate, or one key, on many servers in unrelated networks.
//!
//! Whoever runs servers for a while and leaves them again copies what works from one to the next (Gamaredon). Public CAs
//! are left out: delivery networks show one certificate everywhere. So are the defaults of products, whose factory gives
//! every device the same.

use super::rare_issuer::{IssuerClass, class};
use super::score::severity_of;
use super::{Effect, Finding, Findings, Group, Subject};
use crate::knowledge::signatures::{Severity, Verdict};

/// The id of the check and of its findings.
pub(super) const ID: &str = "shared_certificate";
/// What would be benign, for a person who looks at the finding.
pub(super) const BENIGN: &str =
    "a maker's cloud with a private CA, the nodes of one service, or devices that left the factory with one key";
const WEIGHT: f64 = 0.2;
/// Fewer servers may be one service with a few addresses.
const MIN_SERVERS: u8 = 5;
/// Networks beside the first one.
const MIN_OTHER_NETWORKS: u8 = 3;
/// What more clients than this have met is a service that people use.
const MAX_CLIENTS: u8 = 8;

pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let seen = &subject.context.seen;
    let Some(certificate) = &seen.certificate else {
        return findings.not_evaluated("shared_certificate:no_certificate");
    };
    match class(subject) {
        IssuerClass::Unknown => return findings.not_evaluated("shared_certificate:not_logged"),
        IssuerClass::Public | IssuerClass::Interception => return,
        IssuerClass::Private | IssuerClass::OwnIssuer => {}
    }
    let is_shared = |servers, networks| servers >= MIN_SERVERS && networks > MIN_OTHER_NETWORKS;
    let key = seen.key.filter(|key| is_shared(key.servers, key.networks));
    let (what, servers, networks) = match key {
        _ if is_shared(certificate.servers, certificate.networks) => {
            ("certificate", certificate.servers, certificate.networks)
        }
        Some(key) => ("key", key.servers, key.networks),
        None => return,
    };
    let signatures = subject.analysis.map(|analysis| analysis.signatures()).unwrap_or_default();
    let product = signatures.iter().find(|signature| signature.verdict == Verdict::Benign);
    let is_used = certificate.clients > MAX_CLIENTS;
    let weight = if product.is_some() { 0.0 } else { WEIGHT };
    let effect = match product {
        Some(_) => Effect::Explains,
        None if is_used || !subject.is_outbound() || subject.context.shared_server => Effect::Weighs,
        None => Effect::Floor(Severity::Medium),
    };
    let why = product.map(|product| format!(", as the factory of {} does it", product.tool)).unwrap_or_default();
    findings.push(
        Finding {
            id: ID,
            group: Group::Share,
            severity: if matches!(effect, Effect::Floor(_)) { Severity::Medium } else { severity_of(weight) },
            weight,
            technique: if product.is_some() { &[] } else { &["T1588.004"] },
            field: what.into(),
            observed: format!("{servers} servers in {networks} networks").into(),
            expected: format!("fewer than {MIN_SERVERS} servers, or fewer than {} networks", MIN_OTHER_NETWORKS + 1)
                .into(),
            evidence: "history".into(),
            note: format!("one {what} on {servers} servers in {networks} networks, and no public CA{why}").into(),
        },
        effect,
    );
}
