//! The fields of a certificate that signatures look at, and the conditions on them.

use std::cell::OnceCell;
use std::sync::OnceLock;

use regex::{Regex, RegexBuilder};

use crate::model::{
    Attribute, AttributeKind, Certificate, DistinguishedName, Serial, Sha1Digest, Sha256Digest, ValidityTime,
};

use super::evaluate::{Anchor, Truth, prefix_of};

/// What is known of the certificate at hand, with the texts that several leaves ask for made once.
pub(super) struct Facts<'a> {
    certificate: &'a Certificate,
    issuer_is_public_ca: Option<bool>,
    forward: [OnceCell<String>; 2],
}

/// Which of the two names.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Side {
    /// The subject.
    Subject,
    /// The issuer.
    Issuer,
}

/// One condition on one field.
#[derive(Debug)]
pub(super) struct Leaf {
    /// The field as the file spells it.
    name: Box<str>,
    test: Test,
}

/// A field with the operators that it allows, so that what compiles can be evaluated.
#[derive(Debug)]
pub(super) enum Test {
    Sha1(Vec<Sha1Digest>),
    Sha256(Vec<Sha256Digest>),
    Spki(Vec<Sha256Digest>),
    Serial(Vec<Serial>),
    Text(TextField, TextTest),
    Number(NumberField, NumberTest),
    Flag(FlagField, bool),
}

#[derive(Clone, PartialEq, Debug)]
pub(super) enum TextField {
    Attribute(Side, AttributeKind),
    Forward(Side),
    Rfc2253(Side),
    AnyDn,
    SanDns,
    SignatureAlgorithm,
    KeyAlgorithm,
}

#[derive(Debug)]
pub(super) enum TextTest {
    OneOf(Vec<Box<str>>),
    /// In lower case.
    EqualFolded(Box<str>),
    Contains(Box<str>),
    Matches(Expression),
    Exists(bool),
    Template(Vec<TemplatePart>),
}

/// A regular expression, compiled when it is first asked.
#[derive(Debug)]
pub(super) struct Expression {
    pattern: Box<str>,
    /// `None` inside when it cannot be compiled, which [`check`](Expression::check) tells.
    compiled: OnceLock<Option<Regex>>,
}

#[derive(Debug)]
pub(super) enum TemplatePart {
    Literal(Box<str>),
    Value(Side, AttributeKind),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NumberField {
    Attributes(Side),
    ValidityDays,
    KeyBits,
    Version,
    NotBefore,
    NotAfter,
}

#[derive(Debug)]
pub(super) enum NumberTest {
    OneOf(Vec<i64>),
    AtMost(i64),
    AtLeast(i64),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum FlagField {
    SelfSigned,
    Ca,
    IssuerIsPublicCa,
}

/// Memory that one compiled expression may take.
const MAX_REGEX_BYTES: usize = 256 * 1024;

impl Expression {
    /// An expression that nobody has compiled yet.
    pub(super) fn new(pattern: &str) -> Self {
        Self { pattern: pattern.into(), compiled: OnceLock::new() }
    }

    /// Compiles it and says what is wrong with it.
    pub(super) fn check(&self) -> Result<(), String> {
        let compiled = self.compile().map_err(|error| {
            // A mistake of grammar is drawn over several lines, of which the last says what it is.
            let error = error.to_string();
            let what = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
            format!("the expression cannot be compiled: {what}")
        })?;
        // What holds for nothing and for what nobody writes holds for all: `(evil)?`, but not `^[0-9]*$`.
        if compiled.is_match("") && compiled.is_match("\u{10fffd}\u{1}\u{10fffd}") {
            return Err("the expression matches every text, the empty one too".to_owned());
        }
        self.compiled.get_or_init(|| Some(compiled));
        Ok(())
    }

    fn is_match(&self, text: &str) -> bool {
        self.compiled.get_or_init(|| self.compile().ok()).as_ref().is_some_and(|regex| regex.is_match(text))
    }

    fn compile(&self) -> Result<Regex, regex::Error> {
        RegexBuilder::new(&self.pattern).size_limit(MAX_REGEX_BYTES).build()
    }
}

impl<'a> Facts<'a> {
    /// The facts of a certificate and what is known of its issuer.
    pub(super) fn new(certificate: &'a Certificate, issuer_is_public_ca: Option<bool>) -> Self {
        Self { certificate, issuer_is_public_ca, forward: Default::default() }
    }

    fn name(&self, side: Side) -> Option<&'a DistinguishedName> {
        match side {
            Side::Subject => self.certificate.subject.as_ref(),
            Side::Issuer => self.certificate.issuer.as_ref(),
        }
    }

    /// The certificate at hand.
    pub(super) fn certificate(&self) -> &'a Certificate {
        self.certificate
    }

    /// `A=v, B=v`: a name in the order of its encoding.
    pub(super) fn forward(&self, side: Side) -> Option<&str> {
        let name = self.name(side)?;
        Some(self.forward[side as usize].get_or_init(|| name.forward()))
    }

    fn flag(&self, field: FlagField) -> Option<bool> {
        match field {
            FlagField::SelfSigned => self.certificate.self_signed.map(|_| self.certificate.is_self_issued()),
            FlagField::Ca => self.certificate.ca,
            FlagField::IssuerIsPublicCa => self.issuer_is_public_ca,
        }
    }

    fn number(&self, field: NumberField) -> Option<i64> {
        match field {
            NumberField::Attributes(side) => self.name(side).map(|name| name.attributes().len() as i64),
            NumberField::ValidityDays => self.certificate.validity_days(),
            NumberField::KeyBits => self.certificate.key.as_ref().and_then(|key| key.bits).map(i64::from),
            NumberField::Version => self.certificate.version.map(i64::from),
            NumberField::NotBefore => self.certificate.not_before.map(|time| time.0),
            NumberField::NotAfter => self.certificate.not_after.map(|time| time.0),
        }
    }

    /// The first value of a text field that satisfies `wanted`; without one, whether all values were known.
    fn find_text(&self, field: &TextField, mut wanted: impl FnMut(&str) -> bool) -> Result<String, Truth> {
        let absent = |known: bool| Err(if known { Truth::False } else { Truth::Unknown });
        let mut one = |text: &str| wanted(text).then(|| text.to_owned());
        match field {
            TextField::Attribute(side, kind) => {
                let Some(name) = self.name(*side) else { return absent(false) };
                let found = name
                    .attributes()
                    .iter()
                    .find_map(|attribute| is_kind(attribute, kind).then(|| one(&attribute.value)).flatten());
                // Suricata before 6.0 printed types that it did not know as `unknown`: the wanted one may be among them.
                let hidden =
                    || matches!(kind, AttributeKind::Other(_)) && name.attributes().iter().any(has_hidden_type);
                found.map_or_else(|| absent(!hidden()), Ok)
            }
            TextField::Forward(side) => match self.forward(*side) {
                Some(text) => one(text).map_or_else(|| absent(true), Ok),
                None => absent(false),
            },
            TextField::Rfc2253(side) => match self.name(*side) {
                Some(name) => one(&rfc2253(name)).map_or_else(|| absent(true), Ok),
                None => absent(false),
            },
            TextField::AnyDn => {
                let sides = [Side::Subject, Side::Issuer].map(|side| self.forward(side));
                let found = sides.into_iter().flatten().find_map(one);
                found.map_or_else(|| absent(sides.iter().all(Option::is_some)), Ok)
            }
            TextField::SanDns => match &self.certificate.san {
                // Of a long list the rest was not kept: it may be there.
                Some(san) => san.dns.iter().find_map(|name| one(name)).map_or_else(
                    || absent(san.count as usize <= san.dns.len() + san.ip.len() + san.uri.len() + san.email.len()),
                    Ok,
                ),
                None => absent(false),
            },
            TextField::SignatureAlgorithm => match &self.certificate.signature_algorithm {
                Some(text) => one(text).map_or_else(|| absent(true), Ok),
                None => absent(false),
            },
            TextField::KeyAlgorithm => match &self.certificate.key {
                Some(key) => one(&key.algorithm).map_or_else(|| absent(true), Ok),
                None => absent(false),
            },
        }
    }
}

impl Leaf {
    /// What it compares.
    pub(super) fn test(&self) -> &Test {
        &self.test
    }

    /// A condition, and the field's name as the file spells it.
    pub(super) fn new(name: &str, test: Test) -> Self {
        Self { name: name.into(), test }
    }

    /// The field's name as the file spells it.
    pub(super) fn field_name(&self) -> &str {
        &self.name
    }

    /// Whether the condition holds.
    pub(super) fn evaluate(&self, facts: &Facts<'_>) -> Truth {
        let certificate = facts.certificate;
        match &self.test {
            Test::Sha1(wanted) => Truth::of(certificate.sha1.map(|digest| wanted.contains(&digest))),
            Test::Sha256(wanted) => Truth::of(certificate.sha256.map(|digest| wanted.contains(&digest))),
            Test::Spki(wanted) => Truth::of(certificate.spki_sha256.map(|digest| wanted.contains(&digest))),
            Test::Serial(wanted) => Truth::of(
                certificate
                    .serial
                    .as_ref()
                    .map(|serial| wanted.iter().any(|wanted| wanted.digits() == serial.digits())),
            ),
            Test::Number(field, test) => Truth::of(facts.number(*field).map(|number| test.holds(number))),
            Test::Flag(field, wanted) => Truth::of(facts.flag(*field).map(|flag| flag == *wanted)),
            Test::Text(field, test) => self.evaluate_text(facts, field, test),
        }
    }

    /// What the certificate has in the field: the value that satisfies the condition, else the first one.
    pub(super) fn observed(&self, facts: &Facts<'_>) -> String {
        let certificate = facts.certificate;
        let text = match &self.test {
            Test::Sha1(_) => certificate.sha1.map(|digest| digest.to_string()),
            Test::Sha256(_) => certificate.sha256.map(|digest| digest.to_string()),
            Test::Spki(_) => certificate.spki_sha256.map(|digest| digest.to_string()),
            Test::Serial(_) => certificate.serial.as_ref().map(Serial::to_string),
            Test::Number(field, _) => facts.number(*field).map(|number| number_text(*field, number)),
            Test::Flag(field, _) => facts.flag(*field).map(|flag| flag.to_string()),
            Test::Text(field, test) => {
                let satisfying = facts.find_text(field, |text| test.holds(text, facts) == Some(true));
                satisfying.or_else(|_| facts.find_text(field, |_| true)).ok()
            }
        };
        text.unwrap_or_else(|| "absent".to_owned())
    }

    /// What the condition looks for: of a list the value that was found, else all.
    pub(super) fn expected(&self, facts: &Facts<'_>) -> String {
        match &self.test {
            Test::Sha1(wanted) => one_of(wanted, |&&digest| Some(digest) == facts.certificate.sha1),
            Test::Sha256(wanted) => one_of(wanted, |&&digest| Some(digest) == facts.certificate.sha256),
            Test::Spki(wanted) => one_of(wanted, |&&digest| Some(digest) == facts.certificate.spki_sha256),
            Test::Serial(wanted) => one_of(wanted, |wanted| {
                facts.certificate.serial.as_ref().is_some_and(|serial| serial.digits() == wanted.digits())
            }),
            Test::Number(field, NumberTest::OneOf(wanted)) => {
                let found = wanted.iter().find(|&&wanted| facts.number(*field) == Some(wanted));
                let texts: Vec<_> =
                    found.map_or(&wanted[..], std::slice::from_ref).iter().map(|&n| number_text(*field, n)).collect();
                texts.join(" or ")
            }
            Test::Number(field, NumberTest::AtMost(limit)) => format!("at most {}", number_text(*field, *limit)),
            Test::Number(field, NumberTest::AtLeast(limit)) => format!("at least {}", number_text(*field, *limit)),
            Test::Flag(_, wanted) => wanted.to_string(),
            Test::Text(field, test) => match test {
                TextTest::OneOf(wanted) => {
                    one_of(wanted, |wanted| facts.find_text(field, |text| text == &***wanted).is_ok())
                }
                TextTest::EqualFolded(wanted) => wanted.to_string(),
                TextTest::Contains(part) => format!("contains {part}"),
                TextTest::Matches(expression) => format!("matches {}", expression.pattern),
                TextTest::Exists(true) => "present".to_owned(),
                TextTest::Exists(false) => "absent".to_owned(),
                TextTest::Template(parts) => render(parts, facts).flatten().unwrap_or_default(),
            },
        }
    }

    /// Values of which one must be present for the condition to be true.
    pub(super) fn anchors(&self) -> Option<Vec<Anchor>> {
        match &self.test {
            Test::Sha1(wanted) => Some(wanted.iter().copied().map(Anchor::Sha1).collect()),
            Test::Sha256(wanted) => Some(wanted.iter().copied().map(Anchor::Sha256).collect()),
            Test::Spki(wanted) => Some(wanted.iter().copied().map(Anchor::Spki).collect()),
            Test::Serial(wanted) => Some(wanted.iter().map(|serial| Anchor::Serial(serial.digits().into())).collect()),
            Test::Text(TextField::Attribute(_, AttributeKind::Other(_)), _) => None,
            Test::Text(TextField::Attribute(side, kind), test) => {
                let anchor = |value: &str| Anchor::Attribute(*side, kind.clone(), value.to_lowercase().into());
                match test {
                    TextTest::OneOf(wanted) => Some(wanted.iter().map(|value| anchor(value)).collect()),
                    TextTest::EqualFolded(wanted) => Some(vec![anchor(wanted)]),
                    TextTest::Matches(expression) => {
                        let prefix = prefix_of(&fixed_beginning(&expression.pattern))?;
                        Some(vec![Anchor::Prefix(*side, kind.clone(), prefix)])
                    }
                    _ => None,
                }
            }
            Test::Text(TextField::Forward(side), TextTest::OneOf(wanted)) => {
                Some(wanted.iter().map(|value| Anchor::Forward(*side, value.clone())).collect())
            }
            _ => None,
        }
    }

    fn evaluate_text(&self, facts: &Facts<'_>, field: &TextField, test: &TextTest) -> Truth {
        if let TextTest::Exists(wanted) = test {
            return match facts.find_text(field, |_| true) {
                Ok(_) => Truth::of(Some(*wanted)),
                Err(Truth::False) => Truth::of(Some(!*wanted)),
                Err(unknown) => unknown,
            };
        }
        let mut is_known = true;
        let found = facts.find_text(field, |text| {
            let holds = test.holds(text, facts);
            is_known &= holds.is_some();
            holds == Some(true)
        });
        match found {
            Ok(_) => Truth::True,
            Err(_) if !is_known => Truth::Unknown,
            Err(truth) => truth,
        }
    }
}

impl TextTest {
    /// Whether one value satisfies the condition; `None` when another field that it needs is not known.
    fn holds(&self, text: &str, facts: &Facts<'_>) -> Option<bool> {
        Some(match self {
            Self::OneOf(wanted) => wanted.iter().any(|wanted| **wanted == *text),
            Self::EqualFolded(wanted) => text.to_lowercase() == **wanted,
            Self::Contains(part) => text.contains(&**part),
            Self::Matches(expression) => expression.is_match(text),
            Self::Exists(wanted) => *wanted,
            Self::Template(parts) => render(parts, facts)?.is_some_and(|made| made == text),
        })
    }
}

impl NumberTest {
    fn holds(&self, number: i64) -> bool {
        match self {
            Self::OneOf(wanted) => wanted.contains(&number),
            Self::AtMost(limit) => number <= *limit,
            Self::AtLeast(limit) => number >= *limit,
        }
    }
}

impl NumberField {
    /// Whether the numbers are times.
    pub(super) fn is_time(self) -> bool {
        matches!(self, Self::NotBefore | Self::NotAfter)
    }
}

/// The text that everything which an expression matches begins with; empty when there is none that is plain to see.
fn fixed_beginning(pattern: &str) -> String {
    let mut fixed = String::new();
    let Some(rest) = pattern.strip_prefix('^').filter(|rest| !rest.contains('|')) else { return fixed };
    let mut characters = rest.chars().peekable();
    while let Some(character) = characters.next() {
        let literal = match character {
            '\\' => characters.next_if(char::is_ascii_punctuation),
            _ => Some(character).filter(|plain| plain.is_alphanumeric() || " _-/:,@=".contains(*plain)),
        };
        // What a repetition follows need not be there.
        match literal {
            Some(literal) if !matches!(characters.peek(), Some('?' | '*' | '+' | '{')) => fixed.push(literal),
            _ => break,
        }
    }
    fixed
}

/// The text of a template: `None` when a name is not known, `Some(None)` when a value is missing or empty.
fn render(parts: &[TemplatePart], facts: &Facts<'_>) -> Option<Option<String>> {
    let mut text = String::new();
    for part in parts {
        match part {
            TemplatePart::Literal(literal) => text.push_str(literal),
            TemplatePart::Value(side, kind) => match facts.name(*side)?.first(kind) {
                Some(value) if !value.is_empty() => text.push_str(value),
                _ => return Some(None),
            },
        }
    }
    Some(Some(text))
}

/// Names that OpenSSL prints for kinds without a name of their own here, and numbers that older versions and other tools
/// print.
const SPELLINGS: [[&str; 2]; 29] = [
    ["SN", "2.5.4.4"],
    ["surname", "2.5.4.4"],
    ["street", "2.5.4.9"],
    ["streetAddress", "2.5.4.9"],
    ["title", "2.5.4.12"],
    ["description", "2.5.4.13"],
    ["businessCategory", "2.5.4.15"],
    ["postalCode", "2.5.4.17"],
    ["postOfficeBox", "2.5.4.18"],
    ["telephoneNumber", "2.5.4.20"],
    ["name", "2.5.4.41"],
    ["GN", "2.5.4.42"],
    ["givenName", "2.5.4.42"],
    ["initials", "2.5.4.43"],
    ["generationQualifier", "2.5.4.44"],
    ["x500UniqueIdentifier", "2.5.4.45"],
    ["dnQualifier", "2.5.4.46"],
    ["houseIdentifier", "2.5.4.51"],
    ["pseudonym", "2.5.4.65"],
    ["role", "2.5.4.72"],
    ["organizationIdentifier", "2.5.4.97"],
    ["UID", "0.9.2342.19200300.100.1.1"],
    ["userId", "0.9.2342.19200300.100.1.1"],
    ["unstructuredName", "1.2.840.113549.1.9.2"],
    ["challengePassword", "1.2.840.113549.1.9.7"],
    ["unstructuredAddress", "1.2.840.113549.1.9.8"],
    ["jurisdictionL", "1.3.6.1.4.1.311.60.2.1.1"],
    ["jurisdictionST", "1.3.6.1.4.1.311.60.2.1.2"],
    ["jurisdictionC", "1.3.6.1.4.1.311.60.2.1.3"],
];

/// The kind of attribute that a signature asks for; `None` for a name that no sensor prints. Any number is one.
pub(super) fn attribute_kind(name: &str) -> Option<AttributeKind> {
    let kind = AttributeKind::from_printed(name);
    let is_number = |text: &str| {
        let mut parts = text.split('.');
        parts.clone().count() > 1 && parts.all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
    };
    let is_known = match &kind {
        AttributeKind::Other(name) => {
            is_number(name) || SPELLINGS.iter().any(|[known, _]| known.eq_ignore_ascii_case(name))
        }
        _ => true,
    };
    is_known.then_some(kind)
}

/// Whether an attribute is of a kind; of kinds without a name of their own, by any of the spellings in use.
fn is_kind(attribute: &Attribute, wanted: &AttributeKind) -> bool {
    let (AttributeKind::Other(printed), AttributeKind::Other(wanted)) = (&attribute.kind, wanted) else {
        return attribute.kind == *wanted;
    };
    let number = |text: &str| {
        let text = text.strip_prefix("OID(").and_then(|rest| rest.strip_suffix(')')).unwrap_or(text);
        SPELLINGS
            .iter()
            .find(|[name, _]| name.eq_ignore_ascii_case(text))
            .map_or_else(|| text.to_lowercase(), |[_, number]| (*number).to_owned())
    };
    number(printed) == number(wanted)
}

fn has_hidden_type(attribute: &Attribute) -> bool {
    matches!(&attribute.kind, AttributeKind::Other(printed) if printed.eq_ignore_ascii_case("unknown"))
}

/// A name as Zeek prints it: last attribute first, `,` between, special characters escaped (RFC 2253 §2.4).
fn rfc2253(name: &DistinguishedName) -> String {
    let mut text = String::new();
    for attribute in name.attributes().iter().rev() {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(attribute.kind.short_name());
        text.push('=');
        let last = attribute.value.chars().count().saturating_sub(1);
        for (index, character) in attribute.value.chars().enumerate() {
            let is_special = matches!(character, ',' | '+' | '"' | '\\' | '<' | '>' | ';')
                || (character == '#' && index == 0)
                || (character == ' ' && (index == 0 || index == last));
            if is_special {
                text.push('\\');
            }
            text.push(character);
        }
    }
    text
}

fn number_text(field: NumberField, number: i64) -> String {
    if field.is_time() { ValidityTime(number).to_string() } else { number.to_string() }
}

fn one_of<T: ToString>(wanted: &[T], is_found: impl Fn(&&T) -> bool) -> String {
    match wanted.iter().find(is_found) {
        Some(found) => found.to_string(),
        None => wanted.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or "),
    }
}
