//! From findings to a verdict.
//!
//! Weights of groups are combined as independent evidence (noisy-or); inside a group the weightiest counts in full and the
//! others for a quarter, so that ten symptoms of one cause do not add up. A floor lifts the score to the edge of its band;
//! without one nothing exceeds medium.

use std::borrow::Cow;
use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;

use super::{Assessment, CheckSet, Effect, Finding, Findings, Found, Group, Subject};
use crate::correlate::{AbsentReason, Leaf};
pub use crate::knowledge::signatures::Severity;
use crate::model::Direction;

/// What an analyst should make of a record.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// No certificate was visible and nothing was found: neither clean nor bad.
    Unknown,
    /// Score below 20.
    Info,
    /// Score from 20.
    Low,
    /// Score from 45.
    Medium,
    /// Score from 70.
    High,
    /// Score from 90.
    Critical,
}

/// Heuristic weights count for this much unless the session goes out: inside, odd certificates are the rule.
const NOT_OUTBOUND: f64 = 0.2;
/// What findings of a group count for beside the weightiest.
const BESIDE: f64 = 0.25;
/// The highest score that is reached without a floor.
const MAX_WITHOUT_FLOOR: u8 = 69;

impl Verdict {
    /// The verdict's name as it stands in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// All verdicts, the gravest first.
    pub const ALL: [Self; 6] = [Self::Critical, Self::High, Self::Medium, Self::Low, Self::Info, Self::Unknown];
}

pub(super) fn assess<'a>(subject: &Subject<'a>, mut findings: Findings<'a>) -> Assessment<'a> {
    let outbound = matches!(subject.context.direction, None | Some(Direction::Outbound));
    for found in &mut findings.found {
        if found.finding.group != Group::Signature && !outbound {
            found.finding.weight *= NOT_OUTBOUND;
            found.finding.severity = severity_of(found.finding.weight);
        }
        found.finding.weight = rounded(found.finding.weight);
    }
    if findings.found.is_empty() && matches!(subject.context.leaf, Leaf::Absent(_)) {
        return unassessed(Verdict::Unknown, None, without_certificate(&subject.context.leaf).1, findings);
    }
    if let (Leaf::Absent(_), true) = (&subject.context.leaf, only_first_sights(&findings.found)) {
        // What is new by its name says nothing of a certificate that cannot be seen.
        let reason = format!("{}; {}", without_certificate(&subject.context.leaf).0, reason_of(&findings.found));
        let found = std::mem::take(&mut findings.found);
        return Assessment { findings: found, ..unassessed(Verdict::Unknown, None, reason, findings) };
    }
    if findings.found.is_empty() {
        let reason = match subject.analysis.and_then(|analysis| analysis.issuer_is_public()) {
            Some(true) => "issued by a public CA, and nothing was found",
            _ => "nothing was found",
        };
        return unassessed(Verdict::Info, Some(0), reason, findings);
    }
    combine(findings)
}

pub(super) fn assess_certificate(findings: Findings<'_>, checks: CheckSet) -> Assessment<'_> {
    if findings.found.is_empty() {
        let reason = match (checks.meets(CheckSet::SIGNATURE), checks.meets(CheckSet::FEED)) {
            (true, true) => "no signature matches, and no feed lists it",
            (true, false) => "no signature matches",
            (false, true) => "no feed lists it",
            (false, false) => "no check runs that looks at a certificate by itself",
        };
        return unassessed(Verdict::Info, Some(0), reason, findings);
    }
    combine(findings)
}

/// The severity that a weight amounts to by itself.
pub(super) fn severity_of(weight: f64) -> Severity {
    band(percent(weight))
}

fn combine(findings: Findings<'_>) -> Assessment<'_> {
    let weighs = |found: &&Found<'_>| matches!(found.effect, Effect::Weighs | Effect::Floor(_));
    let mut score = percent(noisy_or(findings.found.iter().filter(weighs))).min(MAX_WITHOUT_FLOOR);
    for found in &findings.found {
        match found.effect {
            Effect::Floor(floor) => score = score.max(lower_edge(floor)).max(percent(found.finding.weight)),
            Effect::CappedAt(cap) => {
                let with = percent(noisy_or(findings.found.iter().filter(weighs).chain([found])));
                score = score.max(with.min(upper_edge(cap)).min(MAX_WITHOUT_FLOOR));
            }
            Effect::Weighs | Effect::Explains => {}
        }
    }
    let verdict = verdict_of(band(score));
    let reason = reason_of(&findings.found);
    let Findings { found, not_evaluated } = findings;
    Assessment { verdict, score: Some(score), reason, findings: found, not_evaluated }
}

fn unassessed<'a>(
    verdict: Verdict,
    score: Option<u8>,
    reason: impl Into<Cow<'a, str>>,
    findings: Findings<'a>,
) -> Assessment<'a> {
    Assessment { verdict, score, reason: reason.into(), findings: Vec::new(), not_evaluated: findings.not_evaluated }
}

fn noisy_or<'a, 'b: 'a>(found: impl Iterator<Item = &'a Found<'b>> + Clone) -> f64 {
    let found = found.map(|found| &found.finding);
    // Most that is found is one thing alone.
    let mut first_two = found.clone();
    if let (Some(only), None) = (first_two.next(), first_two.next()) {
        return 1.0 - (1.0 - only.weight);
    }
    let mut groups: Vec<(Group, Vec<f64>)> = Vec::new();
    for Finding { group, weight, .. } in found {
        match groups.iter_mut().find(|(known, _)| known == group) {
            Some((_, weights)) => weights.push(*weight),
            None => groups.push((*group, vec![*weight])),
        }
    }
    let none_true = groups.iter_mut().map(|(_, weights)| {
        weights.sort_by(|a, b| b.total_cmp(a));
        let beside: f64 = weights.iter().skip(1).map(|weight| 1.0 - BESIDE * weight).product();
        (1.0 - weights.first().copied().unwrap_or_default()) * beside
    });
    1.0 - none_true.product::<f64>()
}

/// Whether nothing was found but what is seen for the first time, which moves no verdict.
fn only_first_sights(found: &[Found<'_>]) -> bool {
    found.iter().all(|found| found.finding.id.starts_with("first_seen_"))
}

/// The gravest finding in words, and what else there is.
fn reason_of<'a>(found: &[Found<'a>]) -> Cow<'a, str> {
    let gravest = found.iter().max_by(|a, b| {
        let rank = |found: &Found<'_>| (std::cmp::Reverse(found.finding.severity), found.effect != Effect::Explains);
        // Of equals, the first in the list.
        rank(a).cmp(&rank(b)).then(a.finding.weight.total_cmp(&b.finding.weight)).then(std::cmp::Ordering::Greater)
    });
    let Some(gravest) = gravest else { return "".into() };
    let mut reason = gravest.finding.note.clone();
    let mut others: Vec<&str> = Vec::new();
    // What only explains is no reason beside what weighs.
    let counts = |other: &&Found<'_>| gravest.effect == Effect::Explains || other.effect != Effect::Explains;
    for finding in
        found.iter().filter(|other| !std::ptr::eq(*other, gravest)).filter(counts).map(|other| &other.finding)
    {
        if finding.id != gravest.finding.id && !others.contains(&finding.id) {
            others.push(finding.id);
        }
    }
    if !others.is_empty() {
        let _ = write!(reason.to_mut(), "; also {}", others.join(", ").replace('_', " "));
    }
    reason
}

/// Why no certificate is visible; and the same where nothing else was found either, which most records say that have none.
fn without_certificate(leaf: &Leaf) -> (&'static str, &'static str) {
    macro_rules! because {
        ($why:literal) => {
            (
                concat!("no certificate visible: ", $why),
                concat!("no certificate visible: ", $why, "; nothing else was found"),
            )
        };
    }
    match leaf {
        Leaf::Absent(AbsentReason::Tls13) => because!("TLS 1.3 encrypts it"),
        Leaf::Absent(AbsentReason::Resumed) => {
            because!("the session was resumed and nothing is known to carry forward")
        }
        Leaf::Absent(AbsentReason::Quic) => because!("QUIC encrypts it"),
        Leaf::Absent(AbsentReason::Incomplete) => because!("the handshake did not get that far"),
        Leaf::Absent(AbsentReason::Unparsed) => because!("the sensor could not parse it"),
        Leaf::Absent(AbsentReason::NotLogged) => because!("the sensor did not log it"),
        Leaf::Absent(AbsentReason::NotFound) => because!("its x509 record was not seen"),
        Leaf::Presented(_) | Leaf::Recalled { .. } => because!("it was not looked at"),
    }
}

fn percent(weight: f64) -> u8 {
    (weight * 100.0).round().clamp(0.0, 100.0) as u8
}

fn rounded(weight: f64) -> f64 {
    (weight * 1000.0).round() / 1000.0
}

fn band(score: u8) -> Severity {
    match score {
        90.. => Severity::Critical,
        70.. => Severity::High,
        45.. => Severity::Medium,
        20.. => Severity::Low,
        _ => Severity::Info,
    }
}

fn lower_edge(severity: Severity) -> u8 {
    match severity {
        Severity::Critical => 90,
        Severity::High => 70,
        Severity::Medium => 45,
        Severity::Low => 20,
        Severity::Info => 0,
    }
}

fn upper_edge(severity: Severity) -> u8 {
    match severity {
        Severity::Critical => 100,
        Severity::High => 89,
        Severity::Medium => 69,
        Severity::Low => 44,
        Severity::Info => 19,
    }
}

fn verdict_of(severity: Severity) -> Verdict {
    match severity {
        Severity::Critical => Verdict::Critical,
        Severity::High => Verdict::High,
        Severity::Medium => Verdict::Medium,
        Severity::Low => Verdict::Low,
        Severity::Info => Verdict::Info,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(group: Group, weight: f64, effect: Effect) -> Found<'static> {
        let finding = Finding {
            id: "test",
            group,
            severity: severity_of(weight),
            weight,
            technique: &[],
            field: "f".into(),
            observed: String::new().into(),
            expected: "".into(),
            evidence: "".into(),
            note: "note".into(),
        };
        Found { finding, kept: None, effect, listed: false }
    }

    fn verdict(found: Vec<Found<'_>>) -> (Verdict, u8) {
        let assessment = combine(Findings { found, not_evaluated: Vec::new() });
        (assessment.verdict, assessment.score.unwrap())
    }

    #[test]
    fn a_floor_lifts_to_the_edge_of_its_band() {
        assert_eq!(verdict(vec![found(Group::Name, 0.25, Effect::Floor(Severity::High))]), (Verdict::High, 70));
        let exact = found(Group::Signature, 0.95, Effect::Floor(Severity::Critical));
        assert_eq!(verdict(vec![exact]), (Verdict::Critical, 95));
    }

    #[test]
    fn without_a_floor_nothing_exceeds_medium() {
        let groups = [Group::Name, Group::Age, Group::Rarity, Group::Trust];
        let many = groups.map(|group| found(group, 0.6, Effect::Weighs)).into();
        assert_eq!(verdict(many), (Verdict::Medium, 69));
    }

    #[test]
    fn symptoms_of_one_cause_do_not_add_up() {
        let many = (0..5).map(|_| found(Group::Trust, 0.15, Effect::Weighs)).collect();
        let (verdict, score) = verdict(many);
        assert_eq!(verdict, Verdict::Low, "{score}");
        assert!(score < 30, "{score}");
    }

    #[test]
    fn what_explains_weighs_nothing_and_a_cap_holds() {
        assert_eq!(verdict(vec![found(Group::Signature, 0.0, Effect::Explains)]), (Verdict::Info, 0));
        let capped = found(Group::Signature, 0.95, Effect::CappedAt(Severity::Low));
        assert_eq!(verdict(vec![capped]), (Verdict::Low, 44));
    }
}
