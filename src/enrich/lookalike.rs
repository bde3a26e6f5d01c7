//! Names that imitate a watched one.

use rapidfuzz::distance::osa;

use super::score::severity_of;
use super::{Effect, Finding, Findings, Group, Subject};
use crate::knowledge::signatures::Severity;
use crate::knowledge::watch::{WatchedName, skeleton};
use crate::model::Direction;

/// The id of the check and of its findings.
pub(super) const ID: &str = "lookalike";
/// What would be benign, for a person who looks at the finding.
pub(super) const BENIGN: &str =
    "the name is yours (then add it to knowledge.watch_names), or a partner's whom you know";
const WEIGHT: f64 = 0.25;
/// A brand that is only part of a label has to be this long: short ones are part of honest words.
const MIN_CONTAINED: usize = 6;
/// Edits that a name may be away; a swap of neighbours is one.
const MAX_EDITS: usize = 1;

/// How a name imitates another.
enum Imitation {
    LeftLabels,
    OtherSuffix,
    Confusable,
    Misspelt,
    Contained,
}

pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings) {
    let watched = &subject.knowledge.watch_names;
    if watched.is_empty() {
        return findings.not_evaluated("lookalike:no_watch_names");
    }
    let Some(name) = subject.server_name else {
        return findings.not_evaluated("lookalike:no_name");
    };
    let name = name.trim_end_matches('.').to_lowercase();
    let Some((_, domain)) = crate::decode::registrable(&name) else { return };
    if watched.iter().any(|own| own.domain.as_deref() == Some(&domain)) {
        return;
    }
    let imitated = watched.iter().find_map(|own| imitation(&name, &domain, own).map(|how| (own, how)));
    let Some((own, how)) = imitated else { return };
    let how = match how {
        Imitation::LeftLabels => "carries it in front of a foreign domain",
        Imitation::OtherSuffix => "is the same name under another suffix",
        Imitation::Confusable => "looks the same",
        Imitation::Misspelt => "is one edit away from it",
        Imitation::Contained => "contains it",
    };
    findings.push(
        Finding {
            id: ID,
            group: Group::Name,
            severity: severity_of(WEIGHT),
            weight: WEIGHT,
            technique: vec!["T1583.001"],
            field: "server_name".into(),
            observed: name.clone(),
            expected: own.written.to_string(),
            evidence: "watch_names".to_owned(),
            note: format!("{name} imitates the watched name {}: it {how}", own.written),
        },
        Effect::Weighs,
    );
}

/// A watched name that is imitated, with age, trust or rarity beside it, is an attack until shown otherwise.
pub(super) fn weigh_company(subject: &Subject<'_>, findings: &mut Findings) {
    let outbound = matches!(subject.context.direction, None | Some(Direction::Outbound));
    let company = [Group::Age, Group::Trust, Group::Rarity].into_iter().any(|group| findings.has_group(group));
    if outbound && company {
        findings.set_effect(ID, Effect::Floor(Severity::High));
    }
}

fn imitation(name: &str, domain: &str, own: &WatchedName) -> Option<Imitation> {
    if let Some(own_domain) = own.domain.as_deref() {
        let left = name.strip_suffix(domain).unwrap_or_default();
        let dashed = own_domain.replace('.', "-");
        if has_labels(left, own_domain) || left.contains(&format!("{dashed}.")) {
            return Some(Imitation::LeftLabels);
        }
    }
    let label = domain.split('.').next().unwrap_or(domain);
    let own_label = own.domain.as_deref().and_then(|domain| domain.split('.').next());
    if own_label == Some(label) {
        return Some(Imitation::OtherSuffix);
    }
    let label = skeleton(label);
    if *label == *own.skeleton {
        return Some(Imitation::Confusable);
    }
    let limit = osa::Args::default().score_cutoff(MAX_EDITS);
    if osa::distance_with_args(label.chars(), own.skeleton.chars(), &limit).is_some() {
        return Some(Imitation::Misspelt);
    }
    (own.skeleton.len() >= MIN_CONTAINED && label.contains(&*own.skeleton)).then_some(Imitation::Contained)
}

/// Whether `left`, labels that each end in a dot, contains all labels of `own` in a row.
fn has_labels(left: &str, own: &str) -> bool {
    format!(".{left}").contains(&format!(".{own}."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knowledge::watch::WatchNames;

    fn imitates(name: &str) -> bool {
        let watched = WatchNames::new(&["riverton-library.example", "Oakwood Trust"]).unwrap();
        let (_, domain) = crate::decode::registrable(name).unwrap();
        watched.iter().any(|own| imitation(name, &domain, own).is_some())
    }

    #[test]
    fn imitations_of_every_kind_are_found() {
        for name in [
            "riverton-library.example.login-portal.example",
            "riverton-library-example.login-portal.example",
            "www.rivert0n-library.example",
            "riverton-libary.example",
            "riverton-library.com",
            "my-oakwoodtrust-login.example",
        ] {
            assert!(imitates(name), "{name}");
        }
    }

    #[test]
    fn other_names_are_left_alone() {
        for name in ["www.example.com", "library.example.org", "riverside-books.example", "oak.example.net"] {
            assert!(!imitates(name), "{name}");
        }
    }
}
