//! The name of a public CA on a certificate that this CA did not make.

use super::{Effect, Finding, Findings, Group, Subject};
use crate::knowledge::public_cas::{Forgery, TableTooOld};
use crate::knowledge::signatures::Severity;
use crate::knowledge::trust::{ChainReason, ChainStatus};
use crate::model::EventTime;

/// The id of the check and of its findings.
pub(super) const ID: &str = "forged_ca";
/// What would be benign, for a person who looks at the finding.
pub(super) const BENIGN: &str = "an inspection of TLS that copies the issuer's name, or a CA that CCADB does not list";
const WEIGHT: f64 = 0.75;

pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let Some((certificate, analysis)) = subject.certificate.zip(subject.analysis) else {
        return findings.not_evaluated("forged_ca:no_certificate");
    };
    let Some(issuer) = &certificate.issuer else { return findings.not_evaluated("forged_ca:not_logged") };
    // Whoever has followed the chain to a root knows better than a table of names.
    let chain = subject.chain;
    if chain.is_some_and(|chain| matches!(chain.status, ChainStatus::Trusted | ChainStatus::NameMismatch)) {
        return;
    }
    let broken = analysis.issuer_is_public() == Some(true)
        && chain.is_some_and(|chain| chain.reason == Some(ChainReason::BadSignature));
    let (expected, note) = match &analysis.oddities().forgery {
        Ok(Some(Forgery::OutsideValidity { first, last })) => {
            let (first, last) = (EventTime::date_text(*first), EventTime::date_text(*last));
            (
                format!("issued between {first} and {last}"),
                "the issuer bears a public CA's name, and no certificate of that CA was valid when it was issued",
            )
        }
        Ok(Some(Forgery::ForeignKey)) => (
            "the key of a disclosed certificate of that CA".to_owned(),
            "the issuer bears a public CA's name, and its key is none of that CA's",
        ),
        Ok(Some(Forgery::NearName(of))) => (of.to_string(), "the issuer's name is nearly that of a public CA"),
        _ if broken => (
            "a signature by that CA's key".to_owned(),
            "the issuer bears a public CA's name, and the signature is not by that CA's key",
        ),
        Ok(None) => {
            let shown = subject.session.presented.as_deref();
            match shown.map(|shown| subject.knowledge.public_cas.shows_foreign_key(certificate, shown)) {
                Some(Ok(true)) => (
                    "the key of a disclosed certificate of that CA".to_owned(),
                    "the server shows an issuer with a public CA's name, and its key is none of that CA's",
                ),
                Some(Err(TableTooOld)) => return findings.not_evaluated("forged_ca:table_too_old"),
                Some(Ok(false)) | None => return,
            }
        }
        Err(TableTooOld) => return findings.not_evaluated("forged_ca:table_too_old"),
    };
    findings.push(
        Finding {
            id: ID,
            group: Group::Trust,
            severity: Severity::High,
            weight: WEIGHT,
            technique: &["T1587.003", "T1036"],
            field: "issuer".into(),
            observed: issuer.text().to_owned().into(),
            expected: expected.into(),
            evidence: "table of public CAs (CCADB)".into(),
            note: note.into(),
        },
        if subject.is_outbound() { Effect::Floor(Severity::High) } else { Effect::Weighs },
    );
}
