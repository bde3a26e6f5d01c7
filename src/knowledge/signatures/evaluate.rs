//! The tree of a signature's conditions, in Kleene's logic: what is not known makes nothing true.

use crate::model::{AttributeKind, DistinguishedName, Sha1Digest, Sha256Digest};

use super::field::{Facts, Leaf, Side};

/// A condition on a certificate.
#[derive(Debug)]
pub(super) enum Matcher {
    /// Every one of them; never empty.
    All(Vec<Matcher>),
    /// One of them; never empty.
    Any(Vec<Matcher>),
    /// The opposite.
    Not(Box<Matcher>),
    /// One field.
    Leaf(Leaf),
}

/// Three-valued truth; the order makes `min` the conjunction and `max` the disjunction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Truth {
    /// It is not so.
    False,
    /// A field that is needed to tell is not known.
    Unknown,
    /// It is so.
    True,
}

/// An exact value of a certificate by which signatures are found.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Anchor {
    /// SHA-1 of the certificate.
    Sha1(Sha1Digest),
    /// SHA-256 of the certificate.
    Sha256(Sha256Digest),
    /// SHA-256 of the key.
    Spki(Sha256Digest),
    /// Digits of the serial number.
    Serial(Box<str>),
    /// A value of a name's attribute, in lower case, so that conditions that fold case are found too.
    Attribute(Side, AttributeKind, Box<str>),
    /// The beginning of such a value: its first [`PREFIX`] characters, for expressions that begin with a fixed text.
    Prefix(Side, AttributeKind, Box<str>),
    /// A whole name in its forward form.
    Forward(Side, Box<str>),
}

/// How many characters of a value tell where to look; longer ones would leave out shorter fixed texts.
const PREFIX: usize = 4;

impl Truth {
    /// Whether a known or unknown statement is so.
    pub(super) fn of(statement: Option<bool>) -> Self {
        match statement {
            Some(true) => Self::True,
            Some(false) => Self::False,
            None => Self::Unknown,
        }
    }

    fn negated(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::Unknown => Self::Unknown,
            Self::False => Self::True,
        }
    }
}

impl Matcher {
    /// Whether the condition holds.
    pub(super) fn evaluate(&self, facts: &Facts<'_>) -> Truth {
        match self {
            Self::All(children) => {
                let mut truth = Truth::True;
                for child in children {
                    truth = truth.min(child.evaluate(facts));
                    if truth == Truth::False {
                        break;
                    }
                }
                truth
            }
            Self::Any(children) => {
                let mut truth = Truth::False;
                for child in children {
                    truth = truth.max(child.evaluate(facts));
                    if truth == Truth::True {
                        break;
                    }
                }
                truth
            }
            Self::Not(child) => child.evaluate(facts).negated(),
            Self::Leaf(leaf) => leaf.evaluate(facts),
        }
    }

    /// Field, observed and expected of the first leaf that made the condition true; `None` when it is not.
    pub(super) fn evidence(&self, facts: &Facts<'_>) -> Option<(String, String, String)> {
        match self {
            Self::All(children) => children.first()?.evidence(facts),
            Self::Any(children) => children.iter().find(|child| child.evaluate(facts) == Truth::True)?.evidence(facts),
            Self::Not(child) => {
                let leaf = child.first_leaf()?;
                Some((leaf.field_name().to_owned(), leaf.observed(facts), format!("not {}", leaf.expected(facts))))
            }
            Self::Leaf(leaf) => Some((leaf.field_name().to_owned(), leaf.observed(facts), leaf.expected(facts))),
        }
    }

    /// Values of which at least one must be present for the condition to be true; `None` when no such set is known.
    pub(super) fn anchors(&self) -> Option<Vec<Anchor>> {
        match self {
            Self::All(children) => children.iter().find_map(Self::anchors),
            Self::Any(children) => {
                let anchors: Option<Vec<_>> = children.iter().map(Self::anchors).collect();
                anchors.map(|anchors| anchors.into_iter().flatten().collect())
            }
            Self::Not(_) => None,
            Self::Leaf(leaf) => leaf.anchors(),
        }
    }

    fn first_leaf(&self) -> Option<&Leaf> {
        match self {
            Self::All(children) | Self::Any(children) => children.first()?.first_leaf(),
            Self::Not(child) => child.first_leaf(),
            Self::Leaf(leaf) => Some(leaf),
        }
    }
}

/// Calls `visit` with every anchor that a certificate has.
pub(super) fn each_anchor(facts: &Facts<'_>, mut visit: impl FnMut(Anchor)) {
    let certificate = facts.certificate();
    certificate.sha1.into_iter().for_each(|digest| visit(Anchor::Sha1(digest)));
    certificate.sha256.into_iter().for_each(|digest| visit(Anchor::Sha256(digest)));
    certificate.spki_sha256.into_iter().for_each(|digest| visit(Anchor::Spki(digest)));
    if let Some(serial) = &certificate.serial {
        visit(Anchor::Serial(serial.digits().into()));
    }
    for (side, name) in [(Side::Subject, &certificate.subject), (Side::Issuer, &certificate.issuer)] {
        if let Some(text) = facts.forward(side) {
            visit(Anchor::Forward(side, text.into()));
        }
        let attributes = name.as_ref().map(DistinguishedName::attributes).unwrap_or_default();
        for attribute in attributes {
            if !matches!(attribute.kind, AttributeKind::Other(_)) {
                visit(Anchor::Attribute(side, attribute.kind.clone(), attribute.value.to_lowercase().into()));
                if let Some(prefix) = prefix_of(&attribute.value) {
                    visit(Anchor::Prefix(side, attribute.kind.clone(), prefix));
                }
            }
        }
    }
}

/// The beginning of a value, as it is looked up; `None` for values that are shorter.
pub(super) fn prefix_of(value: &str) -> Option<Box<str>> {
    let (end, last) = value.char_indices().nth(PREFIX - 1)?;
    Some(value[..end + last.len_utf8()].into())
}
