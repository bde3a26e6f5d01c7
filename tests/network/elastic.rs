//! A server like Elasticsearch, in every mood.

use std::sync::atomic::AtomicUsize;

use super::*;

/// A server of Elasticsearch.
pub(super) struct Elastic {
    /// Lines by their ids, and how often each was offered.
    pub(super) documents: Mutex<BTreeMap<String, (String, usize)>>,
    pub(super) requests: AtomicUsize,
    pub(super) mood: Box<dyn Fn(&Bulk) -> Mood + Send + Sync>,
    /// One request in so many is broken off.
    pub(super) resets: usize,
    pub(super) random: Mutex<Random>,
}

/// A request to `_bulk`.
pub(super) struct Bulk {
    pub(super) target: String,
    pub(super) login: Option<String>,
    /// Ids and lines.
    pub(super) lines: Vec<(String, String)>,
}

/// Why a line is not taken: status and type.
pub(super) type Refusal = Option<(u16, &'static str)>;

/// Says why by the number of a line and the line.
pub(super) type Refuses = dyn Fn(usize, &str) -> Refusal;

/// What an Elasticsearch does with a request.
pub(super) enum Mood {
    Take,
    /// What stands here is done, and nothing taken.
    Refuse(Action),
    /// It is taken, and then this is done in place of the answer.
    TakeAndThen(Action),
    /// Each line that is not taken has this status and type.
    Each(Box<Refuses>),
}

impl Elastic {
    pub(super) fn new(mood: impl Fn(&Bulk) -> Mood + Send + Sync + 'static) -> Self {
        let random = Mutex::new(Random::from_seed(seed()));
        let (documents, requests) = (Mutex::default(), AtomicUsize::new(0));
        Self { documents, requests, mood: Box::new(mood), resets: 0, random }
    }

    pub(super) fn lines(&self) -> Vec<u8> {
        let documents = self.documents.lock().unwrap();
        documents.values().map(|(line, _)| format!("{line}\n")).collect::<String>().into_bytes()
    }

    pub(super) fn count(&self) -> usize {
        self.documents.lock().unwrap().len()
    }

    /// The reply for each line, of which some are not taken.
    pub(super) fn take(&self, bulk: &Bulk, refuses: impl Fn(usize, &str) -> Refusal) -> String {
        let mut documents = self.documents.lock().unwrap();
        let mut errors = false;
        let items = bulk.lines.iter().enumerate().map(|(number, (id, line))| {
            let (status, kind) = match (refuses(number, line), documents.get_mut(id)) {
                (Some(refused), _) => refused,
                (None, Some((_, offered))) => {
                    *offered += 1;
                    (409, "version_conflict_engine_exception")
                }
                (None, None) => {
                    documents.insert(id.clone(), (line.clone(), 1));
                    (201, "")
                }
            };
            errors |= status != 201;
            match status {
                201 => json!({ "create": { "status": status } }),
                _ => {
                    json!({ "create": { "status": status, "error": { "type": kind, "reason": "as the test wants" } } })
                }
            }
        });
        let items: Vec<_> = items.collect();
        json!({ "errors": errors, "items": items }).to_string()
    }
}

impl Service for Elastic {
    fn answer(&self, request: &Request) -> Action {
        let body = std::str::from_utf8(&request.body).unwrap();
        let lines: Vec<_> = body.lines().collect();
        let (pairs, []) = lines.as_chunks::<2>() else { panic!("half a line: {body}") };
        let lines = pairs.iter().map(|[action, line]| {
            let action: Value = serde_json::from_str(action).unwrap();
            (action["create"]["_id"].as_str().unwrap().to_owned(), (*line).to_owned())
        });
        self.requests.fetch_add(1, Ordering::Relaxed);
        let login = request.headers.get("authorization").cloned();
        let bulk = Bulk { target: request.target.clone(), login, lines: lines.collect() };
        match (self.mood)(&bulk) {
            Mood::Take => Action::Reply(200, self.take(&bulk, |_, _| None)),
            Mood::Refuse(action) => action,
            Mood::TakeAndThen(action) => {
                self.take(&bulk, |_, _| None);
                action
            }
            Mood::Each(refuses) => Action::Reply(200, self.take(&bulk, refuses)),
        }
    }

    fn reset_within(&self) -> Option<usize> {
        let mut random = self.random.lock().unwrap();
        (self.resets > 0 && random.one_in(self.resets)).then(|| random.below(100_000))
    }
}

/// Small requests, so that there are many.
pub(super) fn request_size() -> String {
    format!("request_size = \"{}KiB\"\n", if support::full_tests() { 512 } else { 64 })
}

/// Does one thing or another, about every second time something that is wrong.
pub(super) fn anything(random: &mut Random) -> Mood {
    let garbage = ["", "{", "<html>502</html>", "{\"errors\":false,\"items\":[]}", "[[[[[[", "\u{0}\u{1}"];
    match random.below(24) {
        0 => Mood::Refuse(Action::Reply(429, "{\"error\":\"too much\"}".to_owned())),
        1 => Mood::Refuse(Action::ReplyWith(429, "Retry-After: 0\r\n", String::new())),
        2 => Mood::Refuse(Action::Reply(503, "unavailable".to_owned())),
        3 => Mood::Refuse(Action::Reply(500, String::new())),
        4 => Mood::Refuse(Action::Reply(200, garbage[random.below(garbage.len())].to_owned())),
        5 => Mood::TakeAndThen(Action::Raw(Vec::new())),
        6 => Mood::TakeAndThen(Action::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"errors\":fal".to_vec())),
        7 => Mood::TakeAndThen(Action::Raw(b"HTTP/9 nonsense\r\n\r\n".to_vec())),
        8 => Mood::TakeAndThen(Action::Endless),
        9 => Mood::TakeAndThen(Action::Reply(502, String::new())),
        10 => Mood::Refuse(Action::Hang(Duration::from_millis(1200))),
        11..=13 => {
            let share = random.below(3) + 2;
            Mood::Each(Box::new(move |number, _| {
                (number % share == 0)
                    .then_some([(429, "es_rejected_execution_exception"), (503, "unavailable")][number % 2])
            }))
        }
        _ => Mood::Take,
    }
}
