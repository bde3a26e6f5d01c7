//! What is said of one record or certificate: the object itself, and the words to its codes. Both forms of output, text
//! and JSON, are made of this and say the same.

use serde::Serialize;
use serde_json::Value;

use super::again::{JudgedAgain, text};
use crate::enrich::not_evaluated::{self, Reason};
use crate::enrich::{CheckSet, checks};
use crate::knowledge::Knowledge;
use crate::knowledge::signatures::{Confidence, Signature, Verdict};
use crate::model::{Certificate, DistinguishedName, EventTime};

/// What is explained.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// A file with certificates.
    File {
        /// PEM or DER.
        form: &'static str,
        /// How many certificates it holds.
        certificates: usize,
    },
    /// A record of this log.
    Record(&'static str),
    /// A record of this log that certsift has enriched before.
    Enriched(String),
}

/// One explanation.
#[derive(Serialize)]
pub(super) struct Explanation {
    #[serde(skip)]
    pub(super) kind: Kind,
    /// What is explained, in words.
    pub(super) input: String,
    /// Its line, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) line: Option<u64>,
    /// The line of the x509 record that holds its certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) x509_line: Option<u64>,
    /// The record's time, or now where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) time: Option<String>,
    #[serde(skip)]
    pub(super) at: Option<EventTime>,
    /// The name that the client asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) server_name: Option<String>,
    /// The object that certsift writes.
    pub(super) certsift: Value,
    /// Why there is no certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) absent: Option<Words>,
    /// One for each finding of the object, in its order.
    pub(super) findings: Vec<FindingWords>,
    /// Checks that were made.
    pub(super) evaluated: Vec<&'static str>,
    /// Checks that could not decide.
    pub(super) not_evaluated: Vec<Words>,
    /// Checks that the configuration has switched off, and of which the object says nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) off: Vec<&'static str>,
    /// Certificates that came with the leaf.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) chain: Vec<ChainCertificate>,
    /// What the knowledge of today says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) judged_again: Option<JudgedAgain>,
}

/// A code in words.
#[derive(Serialize)]
pub(super) struct Words {
    /// The code as it stands in the object.
    pub(super) code: String,
    /// What it means.
    pub(super) sentence: String,
    /// What can be done about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remedy: Option<&'static str>,
}

/// What stands behind a finding.
#[derive(Serialize)]
pub(super) struct FindingWords {
    /// The check that found it.
    pub(super) id: String,
    /// What would be benign.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) benign: Option<String>,
    /// What a signature of a benign product leaves open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) caveat: Option<String>,
    /// The signature that it comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) signature: Option<SignatureWords>,
}

/// A signature with its origin.
#[derive(Serialize)]
pub(super) struct SignatureWords {
    /// The tool or product.
    pub(super) tool: String,
    /// Its id in MITRE ATT&CK.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) attack_id: Option<String>,
    /// What kind of thing it is.
    pub(super) verdict: Verdict,
    /// How sure it is.
    pub(super) confidence: Confidence,
    /// Why it tells.
    pub(super) note: String,
    /// Where the facts are published.
    pub(super) sources: Vec<String>,
    /// The file and line where it is written.
    pub(super) place: String,
}

/// A certificate that came with the leaf.
#[derive(Serialize)]
pub(super) struct ChainCertificate {
    /// Its subject.
    pub(super) subject: String,
    /// Its issuer.
    pub(super) issuer: String,
    /// SHA-256 of the DER.
    pub(super) sha256: String,
}

impl Explanation {
    pub(super) fn new(
        kind: Kind,
        at: Option<EventTime>,
        certsift: Value,
        knowledge: &Knowledge,
        running: CheckSet,
    ) -> Self {
        let input = match &kind {
            Kind::File { form, certificates: 1 } => format!("certificate ({form})"),
            Kind::File { form, certificates } => {
                format!("certificate ({form}), the first of {certificates}, taken for the leaf")
            }
            Kind::Record(log) => format!("{log} record"),
            Kind::Enriched(log) => format!("{log} record that certsift has enriched"),
        };
        let absent =
            text(&certsift, &["certificate", "absent_reason"]).map(|code| Words::of(code, not_evaluated::absent(code)));
        let findings: Vec<_> =
            elements(&certsift, "findings").map(|finding| FindingWords::of(finding, knowledge)).collect();
        let by_itself = text(&certsift, &["log"]) == Some("zeek.x509");
        // Of a record in its short form nobody knows which checks could not decide.
        let is_short = certsift.get("reason").is_none();
        let codes: Vec<&str> = elements(&certsift, "not_evaluated").filter_map(Value::as_str).collect();
        let check_of = |code: &'_ str| code.split(':').next().unwrap_or_default().to_owned();
        let mut words: Vec<_> = codes.iter().map(|code| Words::of(code, not_evaluated::not_evaluated(code))).collect();
        let (mut evaluated, mut off) = (Vec::new(), Vec::new());
        for check in checks().iter().filter(|_| !is_short) {
            // A record may have been judged where the check was on.
            let is_told_of = || {
                findings.iter().any(|finding| finding.id == check.id)
                    || codes.iter().any(|code| check_of(code) == check.id)
            };
            if !running.meets(CheckSet::one(check.id)) && !is_told_of() {
                off.push(check.id);
            } else if by_itself && !matches!(check.id, "signature" | "feed") {
                let code = format!("{}:{}", check.id, not_evaluated::X509_RECORD.code);
                words.push(Words::of(&code, Some(&not_evaluated::X509_RECORD)));
            } else if !codes.iter().any(|code| check_of(code) == check.id) {
                evaluated.push(check.id);
            }
        }
        Self {
            kind,
            input,
            line: None,
            x509_line: None,
            time: at.map(|at| at.to_string()),
            at,
            server_name: None,
            certsift,
            absent,
            findings,
            evaluated,
            not_evaluated: words,
            off,
            chain: Vec::new(),
            judged_again: None,
        }
    }

    pub(super) fn at_line(self, line: Option<u64>) -> Self {
        Self { line, ..self }
    }

    pub(super) fn for_name(self, server_name: Option<&str>) -> Self {
        Self { server_name: server_name.map(str::to_owned), ..self }
    }

    pub(super) fn joined_with(self, x509_line: Option<u64>) -> Self {
        Self { x509_line, ..self }
    }

    pub(super) fn with_chain(self, chain: Vec<ChainCertificate>) -> Self {
        Self { chain, ..self }
    }

    pub(super) fn with_judged_again(self, judged_again: Option<JudgedAgain>) -> Self {
        Self { judged_again, ..self }
    }
}

impl Words {
    fn of(code: &str, reason: Option<&Reason>) -> Self {
        match reason {
            Some(reason) => {
                Self { code: code.to_owned(), sentence: reason.sentence.to_owned(), remedy: Some(reason.remedy) }
            }
            None => {
                Self { code: code.to_owned(), sentence: "this version does not know the code".to_owned(), remedy: None }
            }
        }
    }
}

impl FindingWords {
    fn of(finding: &Value, knowledge: &Knowledge) -> Self {
        let id = text(finding, &["id"]).unwrap_or_default();
        let signature = text(finding, &["evidence"])
            .filter(|_| id == "signature")
            .and_then(|evidence| knowledge.signatures.get(evidence));
        let expected_fp = signature.map(Signature::expected_fp).filter(|text| !text.is_empty()).map(str::to_owned);
        let of_check = checks().iter().find(|check| check.id == id).map(|check| check.benign.to_owned());
        let (benign, caveat) = match signature.map(Signature::verdict) {
            Some(Verdict::Benign) => (None, expected_fp),
            _ => (expected_fp.or(of_check), None),
        };
        Self { id: id.to_owned(), benign, caveat, signature: signature.map(SignatureWords::of) }
    }
}

impl SignatureWords {
    fn of(signature: &Signature) -> Self {
        let (file, line) = signature.place();
        Self {
            tool: signature.tool().to_owned(),
            attack_id: signature.attack_id().map(str::to_owned),
            verdict: signature.verdict(),
            confidence: signature.confidence(),
            note: signature.note().to_owned(),
            sources: signature.sources().map(str::to_owned).collect(),
            place: format!("{file}:{line}"),
        }
    }
}

impl ChainCertificate {
    pub(super) fn of(certificate: &Certificate) -> Self {
        let name =
            |name: &Option<DistinguishedName>| name.as_ref().map_or_else(String::new, |name| name.text().to_owned());
        Self {
            subject: name(&certificate.subject),
            issuer: name(&certificate.issuer),
            sha256: certificate.sha256.map(|sha256| sha256.to_string()).unwrap_or_default(),
        }
    }
}

/// The elements of a list of an object.
pub(super) fn elements<'a>(object: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    object.get(key).and_then(Value::as_array).into_iter().flatten()
}
