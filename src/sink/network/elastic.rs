//! Elasticsearch and OpenSearch: requests to `_bulk`, which answer for each line.
//!
//! Lines are created under an id that follows from them, so that what is sent twice is there once: the second time the
//! server says that there is a conflict, which is what is wanted.

use std::borrow::Cow;
use std::sync::atomic::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::batch::Batch;
use super::client::{Client, Endpoint, HttpSettings, Reply};
use super::fault::{Fault, FaultKind};
use super::queue::Queue;
use super::secret::{Credentials, SecretSource};
use super::sender::{Courier, Fate, Outcome};
use crate::encode::{Format, id_in};
use crate::model::Id128;

/// Where records go, and who brings them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ElasticsearchSettings {
    /// How it is reached.
    pub http: HttpSettings,
    /// The index, alias or data stream, where it is said.
    pub index: Option<IndexName>,
    /// How certsift shows who it is.
    pub login: Login,
}

/// How certsift shows who it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Login {
    /// It does not.
    None,
    /// By an API key.
    ApiKey(SecretSource),
    /// By a user and its password.
    Password(String, SecretSource),
}

/// The name of an index, alias or data stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IndexName(String);

/// One connection.
pub(super) struct Elastic {
    client: Client,
    endpoints: Vec<Endpoint>,
    /// Which of them is next.
    next: usize,
    index: IndexName,
    login: Login,
    credentials: Credentials,
    body: Vec<u8>,
}

#[derive(Deserialize)]
struct BulkReply<'a> {
    errors: bool,
    #[serde(borrow, default)]
    items: Vec<Item<'a>>,
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow)]
    create: Done<'a>,
}

#[derive(Deserialize)]
struct Done<'a> {
    status: u16,
    #[serde(borrow)]
    error: Option<ItemError<'a>>,
}

#[derive(Deserialize, Default)]
struct ItemError<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    reason: Option<Cow<'a, str>>,
}

/// What is kept of the reply; the rest may be longer than the request was.
const FILTER: &str = "filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason";
/// Longest name of an index.
const MAX_INDEX: usize = 255;
/// What is wrong with the index or the cluster, and not with the line, although the status is 400. A validation is that
/// of an index that is to be made, as where no more shards may be.
const OF_THE_INDEX: [&str; 5] = [
    "index_closed_exception",
    "invalid_index_name_exception",
    "index_not_found_exception",
    "no_such_index_exception",
    "validation_exception",
];
/// How reasons begin that tell of them in an `illegal_argument_exception`, which may be about a line as well.
const REASONS_OF_THE_INDEX: [&str; 2] = ["pipeline with id [", "no write index is defined for alias ["];

impl IndexName {
    /// A name as it is written.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let is_good =
            |byte: u8| byte.is_ascii_graphic() && !byte.is_ascii_uppercase() && !b"\\/*?\"<>|,#:%".contains(&byte);
        let starts = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.');
        match starts && text != "." && text != ".." && text.len() <= MAX_INDEX && text.bytes().all(is_good) {
            true => Ok(Self(text.to_owned())),
            false => Err(format!("`{text}` is no name of an index; write `logs-certsift-default`")),
        }
    }
}

impl ElasticsearchSettings {
    /// Where records of this schema go: unless it is said, a data stream of those that `certsift setup elastic` makes.
    ///
    /// # Errors
    /// There is none for this schema, and another one must not get them.
    pub fn index(&self, format: Format) -> Result<IndexName, String> {
        match (&self.index, format) {
            (Some(index), _) => Ok(index.clone()),
            (None, Format::Ecs) => Ok(IndexName("logs-certsift-default".to_owned())),
            // Its pipeline makes the time that a data stream wants.
            (None, Format::Raw) => Ok(IndexName("logs-certsift.raw-default".to_owned())),
            (None, Format::Ocsf) => Err("index has to be named for `ocsf`, which has no `@timestamp` for a data \
                                         stream"
                .to_owned()),
        }
    }
}

impl std::fmt::Display for IndexName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Login {
    /// Where the secret is.
    pub fn secret(&self) -> Option<&SecretSource> {
        match self {
            Self::None => None,
            Self::ApiKey(source) | Self::Password(_, source) => Some(source),
        }
    }

    fn credentials(&self) -> Result<Credentials, String> {
        match self {
            Self::None => Ok(Credentials::default()),
            // The two parts, as they come from the server, or both in base64, as they come from it as well.
            Self::ApiKey(source) => Credentials::read(source, "ApiKey", |key| match key.contains(':') {
                true => STANDARD.encode(key),
                false => key.to_owned(),
            }),
            Self::Password(user, source) => {
                Credentials::read(source, "Basic", |password| STANDARD.encode(format!("{user}:{password}")))
            }
        }
    }
}

impl Elastic {
    /// Reads secrets and certificates.
    pub(super) fn new(settings: &ElasticsearchSettings, format: Format, number: usize) -> Result<Self, String> {
        Ok(Self {
            client: Client::new(settings.http.tls()?, settings.http.timeout),
            endpoints: settings.http.urls.clone(),
            next: number,
            index: settings.index(format)?,
            credentials: settings.login.credentials()?,
            login: settings.login.clone(),
            body: Vec::new(),
        })
    }

    fn write_body(&mut self, batch: &Batch) {
        self.body.clear();
        for line in batch.lines() {
            self.body.extend_from_slice(b"{\"create\":{\"_id\":\"");
            match id_in(line).filter(|id| id.iter().all(u8::is_ascii_hexdigit)) {
                Some(id) => self.body.extend_from_slice(&id),
                None => self.body.extend_from_slice(Id128::of(line.trim_ascii_end()).to_string().as_bytes()),
            }
            self.body.extend_from_slice(b"\"}}\n");
            self.body.extend_from_slice(line);
            if !line.ends_with(b"\n") {
                self.body.push(b'\n');
            }
        }
    }
}

impl Courier for Elastic {
    fn send(&mut self, batch: &Batch, queue: &Queue) -> Outcome {
        self.write_body(batch);
        let Some(endpoint) = self.endpoints.get(self.next % self.endpoints.len().max(1)) else {
            return Outcome::Failed(Fault::new(FaultKind::Refused, "no address is known"));
        };
        let path = format!("{}/_bulk?{FILTER}", self.index);
        let counts = queue.counts();
        counts.requests.fetch_add(1, Ordering::Relaxed);
        counts.bytes.fetch_add(self.body.len() as u64, Ordering::Relaxed);
        let outcome =
            match self.client.post(endpoint, &path, "application/x-ndjson", &self.credentials, &[], &self.body) {
                Ok(reply) => outcome_of(&reply, batch.len()),
                Err(fault) => Outcome::Failed(fault),
            };
        if matches!(outcome, Outcome::Failed(_)) {
            // Another one of the cluster may be better off.
            self.next = (self.next + 1) % self.endpoints.len();
        }
        outcome
    }

    fn refresh(&mut self) -> bool {
        // What cannot be read now is said when it is refused the next time.
        let Ok(credentials) = self.login.credentials() else { return false };
        let is_other = credentials != self.credentials;
        self.credentials = credentials;
        is_other
    }
}

fn outcome_of(reply: &Reply, lines: usize) -> Outcome {
    match reply.status {
        200 => answers_of(reply, lines),
        413 => Outcome::TooLarge("the server takes no request of this size (413)".to_owned()),
        // Not of one line, but of all: which one is it? What stands in front of the server knows of no lines.
        400 if is_an_error(&reply.body) => Outcome::Spoilt(None, reply.fault().to_string()),
        _ => Outcome::Failed(reply.fault()),
    }
}

/// Whether it is the server that says what is wrong, and not a proxy, or whoever else has this address.
fn is_an_error(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Said {
        #[serde(rename = "error")]
        _error: serde::de::IgnoredAny,
    }
    serde_json::from_slice::<Said>(body).is_ok()
}

fn answers_of(reply: &Reply, lines: usize) -> Outcome {
    let broken = |why: String| Outcome::Failed(Fault::new(FaultKind::Broken, why));
    let answers: BulkReply<'_> = match serde_json::from_slice(&reply.body) {
        Ok(answers) => answers,
        Err(error) => {
            let error = reply.shown(error.to_string().as_bytes());
            return broken(format!("the reply is none of _bulk: {error}: {}", reply.shown(&reply.body)));
        }
    };
    if answers.items.len() != lines {
        return broken(format!("the reply answers for {} lines of {lines}", answers.items.len()));
    }
    let mut fault = None;
    let mut fate_of = |item: &Item<'_>| {
        let Done { status, error } = &item.create;
        let nothing = ItemError::default();
        let error = error.as_ref().unwrap_or(&nothing);
        let reason = error.reason.as_deref().unwrap_or_default();
        let why =
            || format!("status {status}: {}: {}", reply.shown(error.kind.as_bytes()), reply.shown(reason.as_bytes()));
        let kind = match status {
            // A conflict: it is there already.
            200..=299 | 409 => return Fate::Taken,
            429 | 503 => FaultKind::Busy,
            401 | 403 | 404 => FaultKind::Refused,
            400 if OF_THE_INDEX.contains(&&*error.kind) => FaultKind::Refused,
            400 if REASONS_OF_THE_INDEX.iter().any(|beginning| reason.starts_with(beginning)) => FaultKind::Refused,
            400..=499 => return Fate::Rejected(why()),
            _ => FaultKind::Broken,
        };
        // What a person has to mend is said rather than what passes.
        if fault.as_ref().is_none_or(|fault: &Fault| kind.needs_a_person() && !fault.kind.needs_a_person()) {
            fault = Some(Fault::new(kind, format!("of some lines {}", why())).after(reply.retry_after));
        }
        Fate::Again
    };
    let fates: Vec<_> = answers.items.iter().map(&mut fate_of).collect();
    if fates.iter().all(|fate| *fate == Fate::Taken) {
        return Outcome::Taken;
    }
    if !answers.errors {
        return broken("the reply contradicts itself".to_owned());
    }
    Outcome::Each(fates, fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &str, credentials: Credentials) -> Reply {
        Reply { status, retry_after: None, body: body.as_bytes().to_vec(), credentials }
    }

    fn outcome(status: u16, body: &str, lines: usize) -> Outcome {
        outcome_of(&reply(status, body, Credentials::default()), lines)
    }

    #[test]
    fn every_line_has_its_fate() {
        let body = r#"{"errors":true,"items":[{"create":{"status":201}},{"create":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"there"}}},
            {"create":{"status":429,"error":{"type":"es_rejected_execution_exception","reason":"full"}}},{"create":{"status":400,"error":{"type":"document_parsing_exception","reason":"no \"date\""}}},
            {"create":{"status":400,"error":{"type":"index_closed_exception","reason":null}}},{"create":{"status":503}}]}"#;
        let Outcome::Each(fates, fault) = outcome(200, body, 6) else { panic!("not for each") };
        let rejected = Fate::Rejected("status 400: document_parsing_exception: no \"date\"".to_owned());
        assert_eq!(fates, [Fate::Taken, Fate::Taken, Fate::Again, rejected, Fate::Again, Fate::Again]);
        assert_eq!(fault.unwrap().kind, FaultKind::Refused);
    }

    #[test]
    fn a_secret_that_is_a_word_of_the_reply_is_hidden_in_what_is_said_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let body = r#"{"errors":true,"items":[{"create":{"status":201}},{"create":{"status":400,"error":{"type":"create_exception","reason":"no create"}}}]}"#;
        for secret in ["create", "status", "e", "2"] {
            std::fs::write(&path, secret).unwrap();
            let credentials = Credentials::read(&SecretSource::File(path.clone()), "Basic", str::to_owned).unwrap();
            let Outcome::Each(fates, None) = outcome_of(&reply(200, body, credentials.clone()), 2) else {
                panic!("{secret}")
            };
            let [Fate::Taken, Fate::Rejected(why)] = fates.as_slice() else { panic!("{secret}: {fates:?}") };
            let hidden = "create_exception: no create".replace(secret, "…");
            assert_eq!(*why, format!("status 400: {hidden}"));
            let Outcome::Failed(fault) = outcome_of(&reply(200, &format!("[{secret}]"), credentials), 1) else {
                panic!("{secret}")
            };
            assert!(fault.to_string().ends_with("[…]"), "{fault}");
        }
    }

    #[test]
    fn what_is_no_answer_for_every_line_counts_for_none() {
        let one = r#"{"errors":false,"items":[{"create":{"status":201}}]}"#;
        assert!(matches!(outcome(200, one, 1), Outcome::Taken));
        let lies = r#"{"errors":false,"items":[{"create":{"status":500}}]}"#;
        for (body, lines) in [(one, 2), ("", 1), ("<html>", 1), ("{}", 1), (r#"{"errors":false}"#, 1), (lies, 1)] {
            let Outcome::Failed(fault) = outcome(200, body, lines) else { panic!("{body}") };
            assert_eq!(fault.kind, FaultKind::Broken, "{body}");
        }
        assert!(matches!(outcome(413, "", 1), Outcome::TooLarge(_)));
        let said = r#"{"error":{"type":"illegal_argument_exception","reason":"Malformed action/metadata line [3]"},"status":400}"#;
        assert!(matches!(outcome(400, said, 1), Outcome::Spoilt(None, _)));
        assert!(matches!(outcome(401, "{}", 1), Outcome::Failed(fault) if fault.kind == FaultKind::Refused));
    }

    #[test]
    fn what_a_person_has_to_mend_costs_no_line() {
        for (kind, reason) in [
            (
                "validation_exception",
                "Validation Failed: 1: this action would add [2] shards, but this cluster has [1000]/[1000]",
            ),
            ("illegal_argument_exception", "pipeline with id [certsift] does not exist"),
            ("illegal_argument_exception", "no write index is defined for alias [certsift]. The write index may be …"),
        ] {
            let error = serde_json::json!({"type": kind, "reason": reason});
            let body = serde_json::json!({"errors": true, "items": [{"create": {"status": 400, "error": error}}]});
            let Outcome::Each(fates, fault) = outcome(200, &body.to_string(), 1) else { panic!("{reason}") };
            assert_eq!(
                (fates.as_slice(), fault.unwrap().kind),
                ([Fate::Again].as_slice(), FaultKind::Refused),
                "{reason}"
            );
        }
        for body in ["", "{}", "<html><title>400 The plain HTTP request was sent to HTTPS port</title></html>"] {
            let Outcome::Failed(fault) = outcome(400, body, 9) else { panic!("{body}") };
            assert_eq!(fault.kind, FaultKind::Refused, "{body}");
        }
    }

    #[test]
    fn names_of_indexes_are_what_an_address_can_hold() {
        for name in ["logs-certsift-default", "certsift", ".hidden", "a.b_c-1"] {
            assert_eq!(IndexName::parse(name).unwrap().to_string(), name);
        }
        for name in ["", "Upper", "a/b", "a b", "a?b", "-a", "_a", ".", "..", "<a-{now/d}>", "a%2fb", &"a".repeat(256)]
        {
            assert!(IndexName::parse(name).is_err(), "{name}");
        }
    }
}
