//! Splunk's HTTP Event Collector, which says only later, and only if asked, that what it took is safe.
//!
//! It numbers the requests of each channel, and is then asked for these numbers; what is not acknowledged in time is sent
//! again. When it is started anew it has forgotten them, and counts from 0 again. Then a number that stood for lines that are
//! lost must not be taken for acknowledged because it stands for others now. So every connection has a channel of its own,
//! on which one thing happens after the other, and it asks for nothing while it does not know what became of a request. The
//! number of the next one shows whether the server has begun to count anew: then all that is held is sent again.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, RandomState};
use std::io::Write as _;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::batch::Batch;
use super::client::{Client, Endpoint, HttpSettings, Reply};
use super::fault::{Fault, FaultKind};
use super::queue::Queue;
use super::secret::{Credentials, SecretSource};
use super::sender::{Courier, Outcome};
use crate::encode::Format;
use crate::model::EventTime;

/// Where records go, and what is said of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SplunkSettings {
    /// How it is reached.
    pub http: HttpSettings,
    /// The token of the collector.
    pub token: SecretSource,
    /// The index; the token's own where there is none.
    pub index: Option<String>,
    /// The source.
    pub source: Option<String>,
    /// The source type, where it is said.
    pub sourcetype: Option<String>,
    /// The host; where there is none, Splunk takes the address that the request came from.
    pub host: Option<String>,
    /// For how long an acknowledgement is waited for, or `None` where what was taken counts as safe.
    pub acknowledge: Option<Duration>,
}

/// One connection.
pub(super) struct Splunk {
    collector: Collector,
    /// What precedes every record, without its time.
    metadata: Vec<u8>,
    /// For how long acknowledgements are waited for, where they are wanted.
    acknowledge: Option<Duration>,
    /// Whether the server was asked if it gives them.
    asked: bool,
    body: Vec<u8>,
    /// What is not acknowledged, by the number that the server gave.
    held: BTreeMap<u64, Held>,
    held_bytes: usize,
    /// Bytes that may be held.
    most_held: usize,
    /// The last number that the server gave on this channel.
    last: Option<u64>,
    /// Requests since then of which nobody knows whether they have a number.
    unknown: u64,
    /// When it is to be asked again, and how long it is until the time after that.
    next_question: Instant,
    pause: Duration,
}

/// Lines that the server has.
struct Held {
    batch: Batch,
    since: Instant,
}

/// A collector, and who certsift is there.
struct Collector {
    client: Client,
    endpoint: Endpoint,
    token: SecretSource,
    credentials: Credentials,
    channel: String,
}

#[derive(Deserialize)]
struct Taken {
    code: i64,
    #[serde(rename = "ackId")]
    ack_id: Option<u64>,
}

#[derive(Deserialize, Default)]
struct Refusal {
    #[serde(default)]
    code: i64,
    #[serde(rename = "invalid-event-number")]
    number: Option<usize>,
}

#[derive(Deserialize)]
struct Acknowledgements {
    acks: HashMap<String, bool>,
}

/// The times that records may have, in whichever schema.
#[derive(Deserialize)]
struct Times<'a> {
    #[serde(borrow, rename = "@timestamp")]
    ecs: Option<&'a RawValue>,
    #[serde(borrow)]
    ts: Option<&'a RawValue>,
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
    /// Of OCSF, in milliseconds.
    #[serde(borrow)]
    time: Option<&'a RawValue>,
}

/// Codes of Splunk's answers: acknowledgement is switched off.
const ACK_IS_DISABLED: i64 = 14;
/// And what is wrong with a record: no data, invalid format, no event, an empty one, invalid fields.
const OF_THE_RECORD: [i64; 5] = [5, 6, 12, 13, 15];
/// Numbers in one question for acknowledgements.
const MAX_ASKED: usize = 1000;
/// Bytes that the server may have, on all connections, without having acknowledged them.
const MAX_HELD: usize = 64 * 1024 * 1024;
/// Between two questions, longer each time that nothing was acknowledged.
const MIN_ASK_PAUSE: Duration = Duration::from_millis(100);
const MAX_ASK_PAUSE: Duration = Duration::from_secs(2);

impl Collector {
    fn new(settings: &SplunkSettings) -> Result<Self, String> {
        let endpoint = settings.http.urls.first().cloned().ok_or("no address is known")?;
        let client = Client::new(settings.http.tls()?, settings.http.timeout);
        let (token, credentials) = (settings.token.clone(), credentials(&settings.token)?);
        Ok(Self { client, endpoint, token, credentials, channel: new_channel() })
    }

    fn post(&self, path: &str, body: &[u8]) -> Result<Reply, Fault> {
        let path = format!("services/collector/{path}");
        let channel = [("x-splunk-request-channel", &*self.channel)];
        self.client.post(&self.endpoint, &path, "application/json", &self.credentials, &channel, body)
    }

    /// Asks which numbers are acknowledged.
    fn ask(&self, numbers: &[u64]) -> Result<Vec<u64>, Fault> {
        let question = serde_json::json!({ "acks": numbers }).to_string();
        let reply = self.post(&format!("ack?channel={}", self.channel), question.as_bytes())?;
        if reply.status != 200 {
            return Err(fault_of(&reply));
        }
        let answer: Acknowledgements = serde_json::from_slice(&reply.body).map_err(|error| {
            let (error, said) = (reply.shown(error.to_string().as_bytes()), reply.shown(&reply.body));
            Fault::new(FaultKind::Broken, format!("the reply is none of acknowledgements: {error}: {said}"))
        })?;
        let acknowledged = answer.acks.into_iter().filter(|(_, is_safe)| *is_safe);
        Ok(acknowledged.filter_map(|(number, _)| number.parse().ok()).collect())
    }

    fn refresh(&mut self) -> bool {
        // What cannot be read now is said when it is refused the next time.
        let Ok(credentials) = credentials(&self.token) else { return false };
        let is_other = credentials != self.credentials;
        self.credentials = credentials;
        is_other
    }
}

fn credentials(token: &SecretSource) -> Result<Credentials, String> {
    Credentials::read(token, "Splunk", str::to_owned)
}

impl SplunkSettings {
    /// The source type of records of this schema: unless it is said, as `certsift setup splunk` names it.
    pub fn sourcetype(&self, format: Format) -> String {
        self.sourcetype.clone().unwrap_or_else(|| format!("certsift:{}", format.name()))
    }
}

impl Splunk {
    /// Reads secrets and certificates.
    pub(super) fn new(settings: &SplunkSettings, format: Format) -> Result<Self, String> {
        let mut metadata = serde_json::Map::new();
        let texts = [("host", &settings.host), ("source", &settings.source), ("index", &settings.index)];
        for (key, text) in texts.into_iter().chain([("sourcetype", &Some(settings.sourcetype(format)))]) {
            if let Some(text) = text {
                metadata.insert(key.to_owned(), text.as_str().into());
            }
        }
        let mut metadata = serde_json::to_vec(&metadata).map_err(|error| error.to_string())?;
        metadata.pop();
        Ok(Self {
            collector: Collector::new(settings)?,
            metadata,
            acknowledge: settings.acknowledge,
            asked: false,
            body: Vec::new(),
            held: BTreeMap::new(),
            held_bytes: 0,
            most_held: MAX_HELD / settings.http.connections.max(1),
            last: None,
            unknown: 0,
            next_question: Instant::now(),
            pause: MIN_ASK_PAUSE,
        })
    }

    fn write_body(&mut self, batch: &Batch) {
        self.body.clear();
        for line in batch.lines() {
            self.body.extend_from_slice(&self.metadata);
            if let Some(time) = time_of(line) {
                // Writing to memory does not fail.
                let _ = write!(self.body, ",\"time\":{}.{:06}", time.seconds(), micros(time));
            }
            self.body.extend_from_slice(b",\"event\":");
            self.body.extend_from_slice(line.trim_ascii_end());
            self.body.extend_from_slice(b"}\n");
        }
    }

    fn first_held(&self) -> Option<&Held> {
        self.held.values().next()
    }

    /// Asks what of the lines that the server has is safe.
    fn ask_for_held(&mut self, queue: &Queue) {
        let numbers: Vec<_> = self.held.keys().copied().take(MAX_ASKED).collect();
        match self.collector.ask(&numbers) {
            Ok(acknowledged) => {
                // Asked at once again where something moves, and less and less often where nothing does.
                self.pause = if acknowledged.is_empty() { self.pause * 2 } else { MIN_ASK_PAUSE };
                for number in acknowledged {
                    if let Some(held) = self.held.remove(&number) {
                        self.held_bytes -= held.batch.text().len();
                        queue.taken(&held.batch);
                    }
                }
                queue.say_well();
            }
            Err(fault) => {
                queue.say_trouble(&fault);
                self.collector.refresh();
                self.pause *= 2;
            }
        }
        self.pause = self.pause.min(MAX_ASK_PAUSE);
    }

    /// Sends again what was not acknowledged in time.
    fn expire(&mut self, patience: Duration, queue: &Queue) {
        let is_late = |(number, held): (&u64, &Held)| (held.since.elapsed() >= patience).then_some(*number);
        let late: Vec<_> = self.held.iter().filter_map(is_late).collect();
        if !late.is_empty() {
            tracing::warn!(requests = late.len(), "not acknowledged in time; sent again");
            queue.note_unacknowledged();
        }
        for held in late.iter().filter_map(|number| self.held.remove(number)).collect::<Vec<_>>() {
            self.held_bytes -= held.batch.text().len();
            queue.again(held.batch);
        }
    }

    /// Asks whether the token has acknowledgements, before anything is sent that would never be acknowledged.
    fn ask_first(&mut self) -> Result<(), Fault> {
        if self.acknowledge.is_some() && !self.asked {
            self.collector.ask(&[])?;
            self.asked = true;
        }
        Ok(())
    }
}

impl Courier for Splunk {
    fn send(&mut self, batch: &Batch, queue: &Queue) -> Outcome {
        if let Err(fault) = self.ask_first() {
            return Outcome::Failed(fault);
        }
        self.write_body(batch);
        let counts = queue.counts();
        counts.requests.fetch_add(1, Ordering::Relaxed);
        counts.bytes.fetch_add(self.body.len() as u64, Ordering::Relaxed);
        let outcome = match self.collector.post("event", &self.body) {
            Ok(reply) => outcome_of(&reply, self.acknowledge.is_some()),
            Err(fault) => Outcome::Failed(fault),
        };
        if let Outcome::Failed(fault) = &outcome
            && fault.kind == FaultKind::Broken
        {
            self.unknown += 1;
        }
        // Acknowledgements may have been switched off meanwhile.
        self.asked &= !matches!((&outcome, self.acknowledge), (Outcome::Taken, Some(_)));
        outcome
    }

    fn hold(&mut self, number: u64, batch: Batch, queue: &Queue) {
        // A server that counts anew has given the requests of which nobody knows numbers from 0 on.
        let goes_on = self.last.is_none_or(|last| number > last && last >= self.unknown);
        if !goes_on && !self.held.is_empty() {
            tracing::warn!(
                requests = self.held.len(),
                "the server seems to count anew; what it has not acknowledged is sent again"
            );
            std::mem::take(&mut self.held).into_values().for_each(|held| queue.again(held.batch));
            self.held_bytes = 0;
        }
        (self.last, self.unknown) = (Some(number), 0);
        self.held_bytes += batch.text().len();
        self.held.insert(number, Held { batch, since: Instant::now() });
    }

    fn tend(&mut self, queue: &Queue) -> Option<Duration> {
        let patience = self.acknowledge?;
        self.first_held()?;
        if Instant::now() >= self.next_question {
            if self.unknown == 0 {
                self.ask_for_held(queue);
            }
            self.expire(patience, queue);
            self.next_question = Instant::now() + self.pause;
        }
        self.first_held()?;
        Some(self.next_question.saturating_duration_since(Instant::now()))
    }

    fn is_full(&self) -> bool {
        self.held_bytes >= self.most_held
    }

    fn refresh(&mut self) -> bool {
        self.collector.refresh()
    }
}

/// A channel that nobody else has.
fn new_channel() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    // The keys of the hasher are random.
    let [high, low] = [1_u8, 2].map(|part| RandomState::new().hash_one((part, now, std::process::id())));
    let bits = (u128::from(high) << 64 | u128::from(low)) & !(0xF000_u128 << 64) & !(0xC000_u128 << 48)
        | 0x4000_u128 << 64
        | 0x8000_u128 << 48;
    let digits = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..])
}

fn outcome_of(reply: &Reply, acknowledge: bool) -> Outcome {
    match reply.status {
        200 => {}
        413 => return Outcome::TooLarge("the server takes no request of this size (413)".to_owned()),
        400 => {
            let refusal: Refusal = serde_json::from_slice(&reply.body).unwrap_or_default();
            if OF_THE_RECORD.contains(&refusal.code) {
                return Outcome::Spoilt(refusal.number, fault_of(reply).to_string());
            }
            return Outcome::Failed(fault_of(reply));
        }
        _ => return Outcome::Failed(fault_of(reply)),
    }
    match serde_json::from_slice(&reply.body) {
        Ok(Taken { code: 0, ack_id: Some(number) }) if acknowledge => Outcome::Held(number),
        Ok(Taken { code: 0, .. }) => Outcome::Taken,
        _ => Outcome::Failed(Fault::new(
            FaultKind::Broken,
            format!("the reply is none of the event collector: {}", reply.shown(&reply.body)),
        )),
    }
}

/// What a status means that is not a success.
fn fault_of(reply: &Reply) -> Fault {
    let code = serde_json::from_slice::<Refusal>(&reply.body).unwrap_or_default().code;
    if code == ACK_IS_DISABLED {
        let what = "acknowledgement is switched off for this token; switch it on, or set acknowledge = false";
        return Fault::new(FaultKind::Refused, what);
    }
    reply.fault()
}

/// The time of a record in whichever schema, as far as Splunk can have it.
fn time_of(line: &[u8]) -> Option<EventTime> {
    let times: Times<'_> = serde_json::from_slice(line).ok()?;
    let parse = |value: &RawValue| match value.get().strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(text) => EventTime::parse_iso8601(text),
        None => EventTime::parse_epoch(value.get()),
    };
    let time = match (times.ecs.or(times.ts).or(times.timestamp), times.time) {
        (Some(value), _) => parse(value),
        (None, Some(millis)) => EventTime::parse_millis(millis.get()),
        (None, None) => None,
    };
    time.filter(|time| (0..=i64::from(u32::MAX)).contains(&time.seconds()))
}

fn micros(time: EventTime) -> i64 {
    time.since(EventTime::from_seconds(time.seconds())) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_found_in_every_schema() {
        for (line, expected) in [
            (r#"{"ts":1760000000.123456,"uid":"C"}"#, Some((1_760_000_000, 123_456))),
            (r#"{"ts":"2025-10-09T08:53:20.500000Z"}"#, Some((1_760_000_000, 500_000))),
            (r#"{"timestamp":"2025-10-09T08:53:20.000001+0000"}"#, Some((1_760_000_000, 1))),
            (r#"{"@timestamp":"2025-10-09T08:53:20Z","time":5}"#, Some((1_760_000_000, 0))),
            (r#"{"time":1760000000007}"#, Some((1_760_000_000, 7000))),
            (r#"{"ts":-5}"#, None),
            (r#"{"ts":1e300}"#, None),
            (r#"{"ts":{}}"#, None),
            (r#"{"ts":1,"ts":2}"#, None),
            ("{}", None),
            ("", None),
        ] {
            let found = time_of(line.as_bytes()).map(|time| (time.seconds(), micros(time)));
            assert_eq!(found, expected, "{line}");
        }
    }

    #[test]
    fn a_channel_is_a_uuid_of_its_own() {
        let (one, other) = (new_channel(), new_channel());
        assert_ne!(one, other);
        let lengths: Vec<_> = one.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert!(one.split('-').nth(2).unwrap().starts_with('4'), "{one}");
        assert!(one.split('-').nth(3).unwrap().starts_with(['8', '9', 'a', 'b']), "{one}");
    }

    #[test]
    fn answers_say_what_is_taken_and_what_is_wrong_with_which_record() {
        let outcome = |status, body: &str, acknowledge| {
            let (body, credentials) = (body.as_bytes().to_vec(), Credentials::default());
            outcome_of(&Reply { status, retry_after: None, body, credentials }, acknowledge)
        };
        let taken = r#"{"text":"Success","code":0,"ackId":7}"#;
        assert!(matches!(outcome(200, taken, true), Outcome::Held(7)));
        assert!(matches!(outcome(200, taken, false), Outcome::Taken));
        assert!(matches!(outcome(200, r#"{"text":"Success","code":0}"#, true), Outcome::Taken));
        for body in ["", "<html>", "{}", r#"{"code":9}"#, r#"{"code":0,"ackId":-1}"#] {
            assert!(
                matches!(outcome(200, body, true), Outcome::Failed(fault) if fault.kind == FaultKind::Broken),
                "{body}"
            );
        }
        let spoilt = r#"{"text":"Invalid data format","code":6,"invalid-event-number":3}"#;
        assert!(matches!(outcome(400, spoilt, true), Outcome::Spoilt(Some(3), _)));
        for (status, body) in [
            (400, r#"{"text":"Incorrect index","code":7,"invalid-event-number":1}"#),
            (400, r#"{"text":"ACK is disabled","code":14}"#),
            (403, r#"{"text":"Invalid token","code":4}"#),
            (400, "nonsense"),
        ] {
            assert!(
                matches!(outcome(status, body, true), Outcome::Failed(fault) if fault.kind == FaultKind::Refused),
                "{body}"
            );
        }
        let busy = outcome(503, r#"{"text":"Server is busy","code":9}"#, true);
        assert!(matches!(busy, Outcome::Failed(fault) if fault.kind == FaultKind::Busy));
    }
}
