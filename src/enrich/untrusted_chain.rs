//! Certificates whose chain leads to no root: by certsift where DER is logged, else by the sensor.
//!
//! Private CAs are everyday, and so is a chain that a server left out; a signature that does not fit the CA's key is not.

use super::score::severity_of;
use super::{Effect, Finding, Findings, Group, Subject};
use crate::knowledge::trust::{ChainJudge, ChainReason, ChainStatus};

/// The id of the check and of its findings.
pub(super) const ID: &str = "untrusted_chain";
/// What would be benign, for a person who looks at the finding.
pub(super) const BENIGN: &str = "a private CA of the owner's, whose root belongs into [trust] roots";
/// A rare private issuer leads to no root by its nature: both together stay below low.
const WEIGHT: f64 = 0.05;
const WEIGHT_BROKEN: f64 = 0.3;
/// A private CA that so many clients here have met is one of somebody's own, a partner's or a product's.
const EVERYDAY_CLIENTS: u8 = 2;

pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    if subject.certificate.is_none() {
        return findings.not_evaluated("untrusted_chain:no_certificate");
    }
    let Some(chain) = subject.chain else { return findings.not_evaluated("untrusted_chain:not_logged") };
    let reason = match (chain.status, chain.reason) {
        (ChainStatus::Unverifiable, _) => return findings.not_evaluated("untrusted_chain:unverifiable"),
        // `self_signed` says so.
        (_, Some(ChainReason::SelfSigned)) => return,
        (ChainStatus::Untrusted, Some(reason)) => reason,
        _ => return,
    };
    let is_broken = matches!(reason, ChainReason::BadSignature | ChainReason::Revoked);
    let is_everyday = subject.context.seen.issuer.is_some_and(|issuer| issuer.clients >= EVERYDAY_CLIENTS);
    if !is_broken && (is_everyday || !subject.is_outbound()) {
        return;
    }
    let weight = if is_broken { WEIGHT_BROKEN } else { WEIGHT };
    let issuer = subject.certificate.and_then(|certificate| certificate.issuer.as_ref());
    findings.push(
        Finding {
            id: ID,
            group: Group::Trust,
            severity: severity_of(weight),
            weight,
            technique: &["T1587.003"],
            field: "issuer".into(),
            observed: issuer.map(|issuer| issuer.text().to_owned()).unwrap_or_default().into(),
            expected: "a chain to a root".into(),
            evidence: match chain.by {
                ChainJudge::Der => "chain, checked at the record's time".into(),
                ChainJudge::Sensor => "the sensor's validation_status".into(),
            },
            note: format!("the certificate leads to no root: {}", reason.sentence()).into(),
        },
        Effect::Weighs,
    );
}
