//! In: signature files in TOML, built in and the user's; then one certificate at a time.
//! Out: the signatures that fire on it, each with the field that shows it.
//! Promise: a field that is not known makes no signature fire, and the hits come in one order, the gravest first.
//!
//! # The files
//!
//! ```toml
//! [[signature]]
//! id = "cobalt-strike-default-serial"   # lower case, digits and hyphens; unique over all files
//! tool = "Cobalt Strike"
//! attack_id = "S0154"                   # MITRE ATT&CK, optional
//! verdict = "malicious"                 # malicious | dual-use | greyware | benign
//! confidence = "exact"                  # exact | strong | medium | weak
//! severity = "critical"                 # critical | high | medium | low | info
//! match = { field = "serial", op = "eq", value = "8BB00EE" }
//! note = "why this tells"
//! expected_fp = "what else looks like this"
//! sources = ["SigmaHQ/sigma rules/network/zeek/zeek_default_cobalt_strike_certificate.yml"]
//!
//! [[signature.examples]]                # tried by the tests, and by `certsift check` for the user's files
//! fires = true
//! serial = "08:BB:00:EE"
//! ```
//!
//! A file may begin with `[defaults]` for the `verdict`, `confidence`, `severity` and `expected_fp` that its signatures
//! leave out. `match` is a leaf or nests `all = […]`, `any = […]` and `not = {…}`. The first leaf of an `all` is shown as the
//! reason, so the most telling one goes first.
//!
//! | field | operators |
//! |---|---|
//! | `sha1`, `sha256`, `spki_sha256`, `serial` | `eq`, `in` |
//! | `subject.X`, `issuer.X` for an attribute such as `CN`, `O`, `emailAddress`, `postalCode` | `eq`, `eq_ci`, `in`, `contains`, `regex`, `exists`, `template` |
//! | `subject.dn_forward`, `issuer.dn_forward`: `C=US, CN=x` in the order of the encoding, no escapes | the same |
//! | `subject.dn_rfc2253`, `issuer.dn_rfc2253`: `CN=x,C=US`, last attribute first, escaped | the same |
//! | `any_dn`: the forward form of subject or issuer | `eq`, `eq_ci`, `in`, `contains`, `regex` |
//! | `san_dns`, `signature_algorithm`, `key_algorithm` | `eq`, `eq_ci`, `in`, `contains`, `regex`, `exists` |
//! | `subject.attributes`, `issuer.attributes` (how many), `validity_days`, `key_bits`, `version` | `eq`, `in`, `lte`, `gte` |
//! | `not_before`, `not_after` (RFC 3339 or a date) | `eq`, `in`, `lte`, `gte` |
//! | `self_signed`, `ca`, `issuer_is_public_ca` | `eq` |
//!
//! A field with several values matches when one of them does. Only the `dn_…` fields see the order of attributes.
//! `template` compares with a text made of the same certificate, `"{subject.OU}@{subject.CN}"`, from the first value of
//! each; an empty or missing value never matches. Regular expressions have no look-around, and match anywhere unless
//! anchored; one that matches every text is refused. An attribute that OpenSSL does not name is written as its number.
//! A file of one's own has to say something that must be there: what only excludes would fire on almost everything.
//! Serial numbers compare without sign, separators and leading zeros.

mod builtin;
#[cfg(test)]
mod catalogue_tests;
mod evaluate;
mod examples;
mod field;
mod format;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::files::require_file;
use crate::knowledge::feeds::{UTF16, is_utf16};
use crate::model::{Certificate, Id128};
use evaluate::{Anchor, Matcher, Truth};
use examples::Example;
pub use examples::FailedExample;
use field::Facts;
use format::Origin;

/// Signatures of tools and products, compiled and indexed.
#[derive(Debug)]
pub struct Signatures {
    /// The gravest first; see [`Signature::order`].
    signatures: Vec<Signature>,
    /// Signatures that can fire only where one of these values is present.
    by_anchor: HashMap<Anchor, Vec<u32>>,
    /// Signatures that must be tried on every certificate.
    unanchored: Vec<u32>,
    /// A hash of the files.
    version: Id128,
}

/// What certificates of one tool or product look like.
#[derive(Debug)]
pub struct Signature {
    id: Box<str>,
    tool: Box<str>,
    attack_id: Option<Box<str>>,
    verdict: Verdict,
    confidence: Confidence,
    severity: Severity,
    matcher: Matcher,
    note: Box<str>,
    expected_fp: Box<str>,
    sources: Vec<Box<str>>,
    examples: Vec<Example>,
    place: Place,
}

/// A signature that fires on a certificate, and the leaf that shows it.
#[derive(Debug)]
pub struct SignatureHit<'a> {
    /// The signature.
    pub signature: &'a Signature,
    /// The field of the first leaf that decided, as written in the file, such as `subject.CN`.
    pub field: String,
    /// What the certificate has there.
    pub observed: String,
    /// What the signature looks for there.
    pub expected: String,
}

/// A tool that is asked about and has no certificate of its own that is known.
#[derive(Debug)]
pub struct WithoutDefault {
    tool: Box<str>,
    attack_id: Option<Box<str>>,
    why: Box<str>,
    sources: Vec<Box<str>>,
}

/// How much signatures know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Summary {
    /// How many signatures there are.
    pub signatures: usize,
    /// How many tools and products they name.
    pub tools: usize,
    /// How many ids of MITRE ATT&CK they name.
    pub attack_ids: usize,
    /// How many signatures there are of each verdict that has one, the gravest first.
    pub by_verdict: Vec<(Verdict, usize)>,
    /// How many signatures are tried on every certificate, since no value tells where they could fire.
    pub tried_always: usize,
}

/// What kind of thing a signature knows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// A tool whose use is an attack, authorised or not.
    Malicious,
    /// A tool of attackers and of testers, developers or administrators.
    DualUse,
    /// Software that is unwanted more often than not.
    Greyware,
    /// A product's default that looks odd and is not.
    Benign,
}

/// How sure it is that nothing else makes such certificates.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// A hash, serial number or name that nothing else has.
    Exact,
    /// A shape that little else has.
    Strong,
    /// A shape that other software sometimes has.
    Medium,
    /// A hint beside others.
    Weak,
}

/// How bad it is when it is true.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Act now.
    Critical,
    /// Act today.
    High,
    /// Look at it in the daily hunt.
    Medium,
    /// Worth knowing beside other things.
    Low,
    /// Explains what is seen.
    Info,
}

/// Why signatures cannot be used. Trying again helps only after the file was changed.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// A file cannot be read.
    #[error("{}: cannot read the signature file: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file does not say what a signature needs, or says it wrongly.
    #[error("{file}:{line}: {message}")]
    Invalid {
        /// The file.
        file: String,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdicts: Vec<_> =
            self.by_verdict.iter().map(|(verdict, count)| format!("{} {count}", verdict.name())).collect();
        let verdicts = if verdicts.is_empty() { String::new() } else { format!(" ({})", verdicts.join(", ")) };
        write!(f, "signatures {}{verdicts}, tools {}, ATT&CK ids {}", self.signatures, self.tools, self.attack_ids)
    }
}

impl Verdict {
    /// As it is written in signature files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Malicious => "malicious",
            Self::DualUse => "dual-use",
            Self::Greyware => "greyware",
            Self::Benign => "benign",
        }
    }
}

/// Where a signature is written.
#[derive(Clone, Debug)]
struct Place {
    file: Box<str>,
    line: usize,
}

/// Largest signature file that is read; the built-in ones hold a few kilobytes each.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

impl Signatures {
    /// The catalogue that is compiled in.
    pub fn builtin() -> Result<Self, SignatureError> {
        let (mut all, mut version) = (Vec::new(), Id128([0; 16]));
        for (file, text) in builtin::FILES {
            all.extend(format::parse(file, text, Origin::Builtin)?);
            version = Id128::of_parts(&[&version.0, text.as_bytes()]);
        }
        Self::build(all, version)
    }

    /// The signatures of one file; `file` is its name for messages.
    pub fn parse(file: &str, text: &str) -> Result<Self, SignatureError> {
        Self::build(format::parse(file, text, Origin::User)?, Id128::of(text.as_bytes()))
    }

    /// These signatures and those of further files. An id that is already taken is an error: a file that silently
    /// replaced a built-in signature could switch it off unseen.
    pub fn with_files(self, paths: &[PathBuf]) -> Result<Self, SignatureError> {
        let (mut all, mut contents) = (self.signatures, Vec::new());
        for path in paths {
            let text = read_file(path)?;
            all.extend(format::parse(&path.to_string_lossy(), &text, Origin::User)?);
            contents.push(Id128::of(text.as_bytes()));
        }
        // The order in which files are named does not matter.
        contents.sort_unstable();
        let version = contents.iter().fold(self.version, |version, content| Id128::of_parts(&[&version.0, &content.0]));
        Self::build(all, version)
    }

    /// A hash of the files that these were read from.
    pub fn version(&self) -> Id128 {
        self.version
    }

    /// The signatures that fire on a certificate, malicious before benign, then by confidence, then by id.
    ///
    /// `issuer_is_public_ca` is what the caller knows of the issuer's name; `None` is unknown.
    pub fn evaluate(&self, certificate: &Certificate, issuer_is_public_ca: Option<bool>) -> Vec<SignatureHit<'_>> {
        let facts = Facts::new(certificate, issuer_is_public_ca);
        let mut candidates = self.unanchored.clone();
        evaluate::each_anchor(&facts, |anchor| candidates.extend(self.by_anchor.get(&anchor).into_iter().flatten()));
        candidates.sort_unstable();
        candidates.dedup();
        candidates.iter().filter_map(|&index| self.signatures[index as usize].hit(&facts)).collect()
    }

    /// All signatures, in the order of hits.
    pub fn iter(&self) -> impl Iterator<Item = &Signature> {
        self.signatures.iter()
    }

    /// The signature of that id.
    pub fn get(&self, id: &str) -> Option<&Signature> {
        self.iter().find(|signature| signature.id() == id)
    }

    /// How many signatures there are.
    pub fn len(&self) -> usize {
        self.signatures.len()
    }

    /// Whether there is no signature.
    pub fn is_empty(&self) -> bool {
        self.signatures.is_empty()
    }

    /// How much these signatures know.
    pub fn summary(&self) -> Summary {
        let mut by_verdict = BTreeMap::new();
        for signature in self.iter() {
            *by_verdict.entry(signature.verdict()).or_insert(0) += 1;
        }
        let distinct = |names: BTreeSet<&str>| names.len();
        Summary {
            signatures: self.len(),
            tools: distinct(self.iter().map(Signature::tool).collect()),
            attack_ids: distinct(self.iter().filter_map(Signature::attack_id).collect()),
            by_verdict: by_verdict.into_iter().collect(),
            tried_always: self.unanchored.len(),
        }
    }

    /// Tools that people ask about and that no signature can know: none of their certificates is known to be theirs.
    pub fn without_default() -> Result<Vec<WithoutDefault>, SignatureError> {
        let (file, text) = builtin::WITHOUT_DEFAULT;
        format::parse_without_default(file, text)
    }

    /// Tries every signature on its own examples; what is returned did not come out as the file says.
    pub fn failed_examples(&self) -> Vec<FailedExample<'_>> {
        self.iter().flat_map(|signature| examples::failed(signature, &signature.examples)).collect()
    }

    fn build(mut signatures: Vec<Signature>, version: Id128) -> Result<Self, SignatureError> {
        let mut places: HashMap<&str, &Place> = HashMap::new();
        for signature in &signatures {
            if let Some(first) = places.insert(&signature.id, &signature.place) {
                let message = format!("the id `{}` is already used in {}:{}", signature.id, first.file, first.line);
                return Err(signature.place.error(message));
            }
        }
        signatures.sort_by(|a, b| a.order().cmp(&b.order()));
        let (mut by_anchor, mut unanchored): (HashMap<Anchor, Vec<u32>>, _) = (HashMap::new(), Vec::new());
        for (index, signature) in (0_u32..).zip(&signatures) {
            match signature.matcher.anchors() {
                Some(anchors) => {
                    anchors.into_iter().for_each(|anchor| by_anchor.entry(anchor).or_default().push(index))
                }
                None => unanchored.push(index),
            }
        }
        Ok(Self { signatures, by_anchor, unanchored, version })
    }
}

impl Signature {
    /// Its name, unique over all files.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The tool or product.
    pub fn tool(&self) -> &str {
        &self.tool
    }

    /// The software's or group's id in MITRE ATT&CK.
    pub fn attack_id(&self) -> Option<&str> {
        self.attack_id.as_deref()
    }

    /// What kind of thing it is.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// How sure it is that nothing else makes such certificates.
    pub fn confidence(&self) -> Confidence {
        self.confidence
    }

    /// How bad it is when it is true.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// Why this tells, in one or two sentences; may be empty.
    pub fn note(&self) -> &str {
        &self.note
    }

    /// What else looks like this; may be empty.
    pub fn expected_fp(&self) -> &str {
        &self.expected_fp
    }

    /// Where the facts are published.
    pub fn sources(&self) -> impl Iterator<Item = &str> {
        self.sources.iter().map(|source| &**source)
    }

    /// The file and the line, counted from 1, where it is written.
    pub fn place(&self) -> (&str, usize) {
        (&self.place.file, self.place.line)
    }

    fn order(&self) -> (Verdict, Confidence, &str) {
        (self.verdict, self.confidence, &self.id)
    }

    fn hit(&self, facts: &Facts<'_>) -> Option<SignatureHit<'_>> {
        if self.matcher.evaluate(facts) != Truth::True {
            return None;
        }
        let (field, observed, expected) = self.matcher.evidence(facts)?;
        Some(SignatureHit { signature: self, field, observed, expected })
    }
}

impl WithoutDefault {
    /// The tool, or several of one kind, separated by commas.
    pub fn tool(&self) -> &str {
        &self.tool
    }

    /// The software's id in MITRE ATT&CK.
    pub fn attack_id(&self) -> Option<&str> {
        self.attack_id.as_deref()
    }

    /// What is published instead.
    pub fn why(&self) -> &str {
        &self.why
    }

    /// Where that can be read.
    pub fn sources(&self) -> impl Iterator<Item = &str> {
        self.sources.iter().map(|source| &**source)
    }
}

impl Place {
    fn error(&self, message: String) -> SignatureError {
        SignatureError::Invalid { file: self.file.to_string(), line: self.line, message }
    }
}

fn read_file(path: &Path) -> Result<String, SignatureError> {
    let mut bytes = Vec::new();
    let opened = require_file(path).and_then(|()| File::open(path));
    let read = opened.and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes));
    let read = match read {
        Ok(length) if length as u64 > MAX_FILE_BYTES => Err(io::Error::other("it is larger than 16 MiB")),
        Ok(_) if is_utf16(&bytes) => Err(io::Error::other(UTF16)),
        Ok(_) => String::from_utf8(bytes).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            let line = 1 + error.as_bytes().iter().take(valid).filter(|byte| **byte == b'\n').count();
            io::Error::other(format!("line {line} is not UTF-8"))
        }),
        Err(error) => Err(error),
    };
    read.map_err(|source| SignatureError::Read { path: path.to_owned(), source })
}
