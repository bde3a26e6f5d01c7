//! Names that imitate another: one that the user watches, a popular one, or any domain in front of a foreign one.

use super::score::severity_of;
use super::{Effect, Finding, Findings, Group, Subject, out_of_validity};
use crate::knowledge::names::{How, Imitation, Target};
use crate::knowledge::signatures::Severity;

/// The id of the check and of its findings.
pub(super) const ID: &str = "lookalike";
/// What would be benign, for a person who looks at the finding.
pub(super) const BENIGN: &str =
    "the name is yours (then add it to knowledge.watch_names), or a partner's whom you know";
const WEIGHT_WATCHED: f64 = 0.25;
const WEIGHT_POPULAR: f64 = 0.2;
/// Hosters and delivery networks put their customers' domains in front of their own.
const WEIGHT_ANY: f64 = 0.1;

pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    if subject.knowledge.names.watched().is_empty() {
        findings.not_evaluated("lookalike:no_watch_names");
    }
    if subject.server_name.is_none() && subject.certificate.is_none() {
        return findings.not_evaluated("lookalike:no_name");
    }
    let Some((field, name, imitation)) = imitation(subject) else { return };
    let how = match imitation.how {
        How::LeftLabels => "carries it in front of a foreign domain",
        How::NameInFront => "carries the name in front of a foreign domain",
        How::OtherSuffix => "is the same name under another suffix",
        How::Confusable => "looks the same",
        How::Misspelt => "is spelt nearly like it",
        How::Contained => "contains it",
    };
    let of = &imitation.of;
    let (weight, evidence, whom) = match imitation.target {
        Target::Watched => {
            (weight_of_watched(imitation.how), "watch_names".to_owned(), format!("the watched name {of}"))
        }
        Target::Popular(rank) => {
            (WEIGHT_POPULAR, format!("popular names, rank {rank}"), format!("the popular name {of}"))
        }
        Target::Any => (WEIGHT_ANY, "the name itself".to_owned(), of.to_string()),
    };
    findings.push(
        Finding {
            id: ID,
            group: Group::Name,
            severity: severity_of(weight),
            weight,
            technique: &["T1583.001"],
            field: field.into(),
            observed: name.to_owned().into(),
            expected: of.to_string().into(),
            evidence: evidence.into(),
            note: format!("{name} imitates {whom}: it {how}").into(),
        },
        Effect::Weighs,
    );
}

/// An imitation of a watched name with age, trust or rarity beside it is an attack until shown otherwise; of any other name,
/// with age beside it, it is worth a look. That a certificate has expired is no company: that it comes to by itself.
pub(super) fn weigh_company(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    if !subject.is_outbound() {
        return;
    }
    let Some((_, _, imitation)) = imitation(subject) else { return };
    let company = findings.found.iter().any(|found| {
        matches!(found.finding.group, Group::Age | Group::Trust | Group::Rarity)
            && found.effect != Effect::Explains
            && found.finding.id != out_of_validity::ID
    });
    match imitation.target {
        Target::Watched if company && imitation.how != How::NameInFront => {
            findings.set_effect(ID, Effect::Floor(Severity::High))
        }
        _ if findings.has_group(Group::Age) => findings.set_effect(ID, Effect::Floor(Severity::Medium)),
        _ => {}
    }
}

/// Customers of a service have their name in front of its domain, and rarely their whole domain.
fn weight_of_watched(how: How) -> f64 {
    if how == How::NameInFront { WEIGHT_ANY } else { WEIGHT_WATCHED }
}

/// The field, the name as it reads, and whom it imitates: the name that the client asked for, else one that the certificate
/// is for.
fn imitation<'a>(subject: &Subject<'a>) -> Option<(&'static str, &'a str, &'a Imitation)> {
    if let Some(asked) = subject.server_name {
        let name = subject.name?;
        return Some(("server_name", name.unicode.as_deref().unwrap_or(asked), name.imitates.as_ref()?));
    }
    let (name, imitation) = subject.analysis?.imitates()?;
    Some(("san.dns", name, imitation))
}
