//! Signature files as typed: TOML that becomes conditions which can be evaluated, or an error at its line.

use serde::Deserialize;
use toml::{Spanned, Value};

use crate::model::{EventTime, Serial, Sha1Digest, Sha256Digest, ValidityTime};

use super::evaluate::Matcher;
use super::examples::{Example, RawExample};
use super::field::{
    Expression, FlagField, Leaf, NumberField, NumberTest, Side, TemplatePart, Test, TextField, TextTest, attribute_kind,
};
use super::{Confidence, Place, Severity, Signature, SignatureError, Verdict, WithoutDefault};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(default)]
    defaults: RawDefaults,
    #[serde(default)]
    signature: Vec<Spanned<RawSignature>>,
}

/// What the signatures of one file that leave it out have in common.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDefaults {
    verdict: Option<Verdict>,
    confidence: Option<Confidence>,
    severity: Option<Severity>,
    expected_fp: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWithoutDefaultFile {
    without_default: Vec<RawWithoutDefault>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWithoutDefault {
    tool: String,
    attack_id: Option<Spanned<String>>,
    why: String,
    sources: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSignature {
    id: Spanned<String>,
    tool: String,
    attack_id: Option<Spanned<String>>,
    verdict: Option<Verdict>,
    confidence: Option<Confidence>,
    severity: Option<Severity>,
    #[serde(rename = "match")]
    matcher: Spanned<RawMatch>,
    #[serde(default)]
    note: String,
    expected_fp: Option<String>,
    #[serde(default)]
    sources: Vec<String>,
    #[serde(default)]
    examples: Vec<Spanned<RawExample>>,
}

/// A node: exactly one of `all`, `any`, `not`, or the three keys of a leaf.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with `all`, `any` or `not`, or with `field`, `op` and `value`")]
struct RawMatch {
    all: Option<Vec<Spanned<RawMatch>>>,
    any: Option<Vec<Spanned<RawMatch>>>,
    not: Option<Box<Spanned<RawMatch>>>,
    field: Option<String>,
    op: Option<String>,
    value: Option<Value>,
}

/// A message and the byte offset that it is about.
pub(super) struct Complaint {
    pub(super) at: usize,
    pub(super) message: String,
}

/// Whose file it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// Ours: tests have compiled its expressions, which would take most of the time of a start.
    Builtin,
    /// A user's, who is told at once of an expression that cannot be compiled.
    User,
}

/// How deep conditions may nest.
const MAX_DEPTH: usize = 16;
/// Longest id.
const MAX_ID: usize = 64;

/// The signatures of one file.
pub(super) fn parse(file: &str, text: &str, origin: Origin) -> Result<Vec<Signature>, SignatureError> {
    let place = |at: usize| Place { file: file.into(), line: line_of(text, at) };
    let raw: RawFile = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        place(at).error(error.message().to_owned())
    })?;
    let defaults = raw.defaults;
    raw.signature
        .into_iter()
        .map(|raw| {
            let at = place(raw.span().start);
            compile(raw.into_inner(), &defaults, origin, at)
                .map_err(|complaint| place(complaint.at).error(complaint.message))
        })
        .collect()
}

/// The tools of a file that lists those without a certificate of their own.
pub(super) fn parse_without_default(file: &str, text: &str) -> Result<Vec<WithoutDefault>, SignatureError> {
    let place = |at: usize| Place { file: file.into(), line: line_of(text, at) };
    let raw: RawWithoutDefaultFile = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        place(at).error(error.message().to_owned())
    })?;
    raw.without_default
        .into_iter()
        .map(|raw| {
            let attack_id = read_attack_id(raw.attack_id).map_err(|bad| place(bad.at).error(bad.message))?;
            let sources = raw.sources.into_iter().map(Into::into).collect();
            Ok(WithoutDefault { tool: raw.tool.into(), attack_id, why: raw.why.into(), sources })
        })
        .collect()
}

fn compile(raw: RawSignature, defaults: &RawDefaults, origin: Origin, place: Place) -> Result<Signature, Complaint> {
    let id_at = raw.id.span().start;
    let id = raw.id.into_inner();
    let about =
        |complaint: Complaint| Complaint { message: format!("signature `{id}`: {}", complaint.message), ..complaint };
    if !is_id(&id) {
        return Err(complaint(id_at, format!("`{id}` is no id: use lower-case letters, digits and hyphens")));
    }
    let attack_id = read_attack_id(raw.attack_id).map_err(about)?;
    let missing = |key: &str| about(complaint(id_at, format!("neither it nor the file's defaults say its `{key}`")));
    let verdict = raw.verdict.or(defaults.verdict).ok_or_else(|| missing("verdict"))?;
    let confidence = raw.confidence.or(defaults.confidence).ok_or_else(|| missing("confidence"))?;
    let severity = raw.severity.or(defaults.severity).ok_or_else(|| missing("severity"))?;
    let expected_fp = raw.expected_fp.or_else(|| defaults.expected_fp.clone()).unwrap_or_default();
    let match_at = raw.matcher.span().start;
    let matcher = compile_match(raw.matcher, origin, 0).map_err(about)?;
    if origin == Origin::User && !asks_for_something(&matcher) {
        let problem =
            "it fires on almost everything, since it only says what must not be there; say in `all` what must";
        return Err(about(complaint(match_at, problem.to_owned())));
    }
    let examples = raw.examples.into_iter().map(Example::read).collect::<Result<_, _>>().map_err(about)?;
    Ok(Signature {
        id: id.into(),
        tool: raw.tool.into(),
        attack_id,
        verdict,
        confidence,
        severity,
        matcher,
        note: raw.note.into(),
        expected_fp: expected_fp.into(),
        sources: raw.sources.into_iter().map(Into::into).collect(),
        examples,
        place,
    })
}

/// Whether something has to be there for a condition to hold.
fn asks_for_something(matcher: &Matcher) -> bool {
    match matcher {
        Matcher::All(all) => all.iter().any(asks_for_something),
        Matcher::Any(any) => any.iter().all(asks_for_something),
        Matcher::Not(_) => false,
        Matcher::Leaf(leaf) => !matches!(leaf.test(), Test::Text(_, TextTest::Exists(false))),
    }
}

fn compile_match(raw: Spanned<RawMatch>, origin: Origin, depth: usize) -> Result<Matcher, Complaint> {
    let at = raw.span().start;
    if depth > MAX_DEPTH {
        return Err(complaint(at, format!("conditions nest deeper than {MAX_DEPTH}")));
    }
    let children = |name: &str, children: Vec<Spanned<RawMatch>>| {
        if children.is_empty() {
            return Err(complaint(at, format!("`{name}` is empty")));
        }
        children.into_iter().map(|child| compile_match(child, origin, depth + 1)).collect::<Result<Vec<_>, _>>()
    };
    match raw.into_inner() {
        RawMatch { all: Some(all), any: None, not: None, field: None, op: None, value: None } => {
            Ok(Matcher::All(children("all", all)?))
        }
        RawMatch { all: None, any: Some(any), not: None, field: None, op: None, value: None } => {
            Ok(Matcher::Any(children("any", any)?))
        }
        RawMatch { all: None, any: None, not: Some(not), field: None, op: None, value: None } => {
            Ok(Matcher::Not(Box::new(compile_match(*not, origin, depth + 1)?)))
        }
        RawMatch { all: None, any: None, not: None, field: Some(field), op: Some(op), value: Some(value) } => {
            let test = compile_test(&field, &op, &value).map_err(|message| complaint(at, message))?;
            if let (Origin::User, Test::Text(_, TextTest::Matches(expression))) = (origin, &test) {
                expression.check().map_err(|message| complaint(at, message))?;
            }
            Ok(Matcher::Leaf(Leaf::new(&field, test)))
        }
        _ => Err(complaint(at, "a condition is `all`, `any` or `not`, or `field`, `op` and `value`".to_owned())),
    }
}

fn compile_test(field: &str, op: &str, value: &Value) -> Result<Test, String> {
    let one_of = || match (op, value) {
        ("eq", value) => Ok(std::slice::from_ref(value)),
        ("in", Value::Array(values)) if !values.is_empty() => Ok(&values[..]),
        ("in", _) => Err("`in` needs a list that is not empty".to_owned()),
        _ => Err(no_operator(field, op, &["eq", "in"])),
    };
    let digests = |kind: &str| format!("`{field}` needs a {kind} in hexadecimal digits");
    match field {
        "sha1" => each(one_of()?, Sha1Digest::parse, || digests("SHA-1")).map(Test::Sha1),
        "sha256" => each(one_of()?, Sha256Digest::parse, || digests("SHA-256")).map(Test::Sha256),
        "spki_sha256" => each(one_of()?, Sha256Digest::parse, || digests("SHA-256")).map(Test::Spki),
        "serial" => each(one_of()?, Serial::parse, || digests("number")).map(Test::Serial),
        _ => {
            if let Some(flag) = flag_field(field) {
                let wanted = value.as_bool().filter(|_| op == "eq");
                return wanted
                    .map(|wanted| Test::Flag(flag, wanted))
                    .ok_or_else(|| format!("`{field}` needs `eq` and true or false"));
            }
            if let Some(number) = number_field(field) {
                return Ok(Test::Number(number, compile_number(number, field, op, value)?));
            }
            match text_field(field) {
                Some(text) => Ok(Test::Text(text.clone(), compile_text(&text, field, op, value)?)),
                None => Err(no_field(field)),
            }
        }
    }
}

/// All fields, for who misspelled one.
const FIELDS: &str = "sha1, sha256, spki_sha256, serial, subject.CN and other attributes, the same of issuer, \
                      subject.dn_forward, subject.dn_rfc2253, subject.attributes, any_dn, san_dns, signature_algorithm, \
                      key_algorithm, key_bits, version, validity_days, not_before, not_after, self_signed, ca, \
                      issuer_is_public_ca";

fn no_operator(field: &str, op: &str, known: &[&str]) -> String {
    format!("`{field}` does not know the operator `{op}`, but {}", known.join(", "))
}

fn no_field(field: &str) -> String {
    if let "subject" | "issuer" = field {
        return format!(
            "there is no field `{field}`: compare an attribute such as `{field}.CN`, or `{field}.dn_forward`"
        );
    }
    match field.split_once('.') {
        Some(("subject" | "issuer", attribute)) => format!(
            "there is no field `{field}`: `{attribute}` is no attribute that OpenSSL names; others are written as a \
             number such as 2.5.4.3"
        ),
        _ => format!("there is no field `{field}`, but {FIELDS}"),
    }
}

fn compile_number(number: NumberField, field: &str, op: &str, value: &Value) -> Result<NumberTest, String> {
    let read = |value: &Value| match value {
        Value::Integer(integer) if !number.is_time() => Ok(*integer),
        Value::String(text) if number.is_time() => read_time(text).ok_or_else(|| format!("`{text}` is not a time")),
        Value::Datetime(time) if number.is_time() => {
            read_time(&time.to_string()).ok_or_else(|| format!("`{time}` is not a time"))
        }
        _ if number.is_time() => Err(format!("`{field}` needs a date or a time")),
        _ => Err(format!("`{field}` needs a whole number")),
    };
    match (op, value) {
        ("eq", value) => Ok(NumberTest::OneOf(vec![read(value)?])),
        ("in", Value::Array(values)) if !values.is_empty() => {
            Ok(NumberTest::OneOf(values.iter().map(read).collect::<Result<_, _>>()?))
        }
        ("in", _) => Err("`in` needs a list that is not empty".to_owned()),
        ("lte", value) => Ok(NumberTest::AtMost(read(value)?)),
        ("gte", value) => Ok(NumberTest::AtLeast(read(value)?)),
        _ => Err(no_operator(field, op, &["eq", "in", "lte", "gte"])),
    }
}

fn compile_text(text: &TextField, field: &str, op: &str, value: &Value) -> Result<TextTest, String> {
    let needs_text = || format!("`{op}` needs a text");
    let is_of_one_name = !matches!(text, TextField::AnyDn);
    match (op, value) {
        ("eq", Value::String(wanted)) => Ok(TextTest::OneOf(vec![wanted.as_str().into()])),
        ("eq_ci", Value::String(wanted)) => Ok(TextTest::EqualFolded(wanted.to_lowercase().into())),
        ("in", Value::Array(values)) if !values.is_empty() => {
            let texts: Option<_> = values.iter().map(|value| value.as_str().map(Into::into)).collect();
            texts.map(TextTest::OneOf).ok_or_else(needs_text)
        }
        ("in", _) => Err("`in` needs a list that is not empty".to_owned()),
        ("contains", Value::String(part)) if part.is_empty() => {
            Err("`contains` needs a text that is not empty".to_owned())
        }
        ("contains", Value::String(part)) => Ok(TextTest::Contains(part.as_str().into())),
        ("regex", Value::String(pattern)) => Ok(TextTest::Matches(Expression::new(pattern))),
        ("exists", Value::Boolean(wanted)) if is_of_one_name => Ok(TextTest::Exists(*wanted)),
        ("exists", _) if is_of_one_name => Err("`exists` needs true or false".to_owned()),
        ("template", Value::String(template)) if is_of_one_name => compile_template(template).map(TextTest::Template),
        ("eq" | "eq_ci" | "contains" | "regex", _) => Err(needs_text()),
        ("template", _) if is_of_one_name => Err(needs_text()),
        _ if is_of_one_name => {
            Err(no_operator(field, op, &["eq", "eq_ci", "in", "contains", "regex", "exists", "template"]))
        }
        _ => Err(no_operator(field, op, &["eq", "eq_ci", "in", "contains", "regex"])),
    }
}

/// Reads `{subject.OU}@{subject.CN}`.
fn compile_template(template: &str) -> Result<Vec<TemplatePart>, String> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some((literal, after)) = rest.split_once('{') {
        let (field, after) = after.split_once('}').ok_or("a `{` of the template has no `}`")?;
        let Some(TextField::Attribute(side, kind)) = text_field(field) else {
            return Err(format!("a template takes attributes such as `subject.CN`, not `{field}`"));
        };
        if !literal.is_empty() {
            parts.push(TemplatePart::Literal(literal.into()));
        }
        parts.push(TemplatePart::Value(side, kind));
        rest = after;
    }
    if parts.is_empty() {
        return Err("a template needs a field in braces".to_owned());
    }
    if !rest.is_empty() {
        parts.push(TemplatePart::Literal(rest.into()));
    }
    Ok(parts)
}

fn flag_field(field: &str) -> Option<FlagField> {
    Some(match field {
        "self_signed" => FlagField::SelfSigned,
        "ca" => FlagField::Ca,
        "issuer_is_public_ca" => FlagField::IssuerIsPublicCa,
        _ => return None,
    })
}

fn number_field(field: &str) -> Option<NumberField> {
    Some(match field {
        "subject.attributes" => NumberField::Attributes(Side::Subject),
        "issuer.attributes" => NumberField::Attributes(Side::Issuer),
        "validity_days" => NumberField::ValidityDays,
        "key_bits" => NumberField::KeyBits,
        "version" => NumberField::Version,
        "not_before" => NumberField::NotBefore,
        "not_after" => NumberField::NotAfter,
        _ => return None,
    })
}

fn text_field(field: &str) -> Option<TextField> {
    let of_name = |side: Side, part: &str| match part {
        "dn_forward" => Some(TextField::Forward(side)),
        "dn_rfc2253" => Some(TextField::Rfc2253(side)),
        "" => None,
        attribute => attribute_kind(attribute).map(|kind| TextField::Attribute(side, kind)),
    };
    match field {
        "any_dn" => Some(TextField::AnyDn),
        "san_dns" => Some(TextField::SanDns),
        "signature_algorithm" => Some(TextField::SignatureAlgorithm),
        "key_algorithm" => Some(TextField::KeyAlgorithm),
        _ => match field.split_once('.')? {
            ("subject", part) => of_name(Side::Subject, part),
            ("issuer", part) => of_name(Side::Issuer, part),
            _ => None,
        },
    }
}

/// A date, which is its first second, or RFC 3339.
pub(super) fn read_time(text: &str) -> Option<i64> {
    const DATE: usize = "2026-11-20".len();
    match text.len() {
        DATE => EventTime::parse_date(text).map(|day| i64::from(day) * 86_400),
        _ => ValidityTime::parse_iso8601(text).map(|time| time.0),
    }
}

fn each<T>(values: &[Value], read: impl Fn(&str) -> Option<T>, message: impl Fn() -> String) -> Result<Vec<T>, String> {
    values.iter().map(|value| value.as_str().and_then(&read).ok_or_else(&message)).collect()
}

fn is_id(id: &str) -> bool {
    let is_sound = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=MAX_ID).contains(&id.len()) && id.bytes().all(is_sound)
}

fn read_attack_id(raw: Option<Spanned<String>>) -> Result<Option<Box<str>>, Complaint> {
    let Some(attack_id) = raw else { return Ok(None) };
    if !is_attack_id(attack_id.get_ref()) {
        let message = format!("`{}` is no ATT&CK id such as S0154", attack_id.get_ref());
        return Err(complaint(attack_id.span().start, message));
    }
    Ok(Some(attack_id.into_inner().into()))
}

/// Software, groups and campaigns have a letter and four digits.
fn is_attack_id(id: &str) -> bool {
    matches!(id.as_bytes(), [b'S' | b'G' | b'C', digits @ ..] if digits.len() == 4 && digits.iter().all(u8::is_ascii_digit))
}

pub(super) fn complaint(at: usize, message: String) -> Complaint {
    Complaint { at, message }
}

fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes().iter().take(at).filter(|&&byte| byte == b'\n').count() + 1
}
