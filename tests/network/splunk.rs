//! A server like Splunk's HTTP Event Collector, and what certsift makes of it.

use super::*;

/// A server of Splunk: what it has taken is in its index a while later, and only then acknowledged, once.
struct Splunk {
    taken: Mutex<Taken>,
    mood: Box<dyn Fn(&Events) -> HecMood + Send + Sync>,
    resets: usize,
    random: Mutex<Random>,
}

#[derive(Default)]
struct Taken {
    indexed: Vec<Event>,
    /// The ids of these.
    ids: BTreeSet<String>,
    /// By their channels and numbers, and when they are indexed; `None` is never.
    queued: BTreeMap<(String, u64), (Vec<Event>, Option<Instant>)>,
    /// The next number of each channel.
    next: BTreeMap<String, u64>,
    requests: usize,
}

impl Taken {
    fn index(&mut self, events: Vec<Event>) {
        self.ids.extend(events.iter().map(|event| event.id.clone()));
        self.indexed.extend(events);
    }
}

#[derive(Clone)]
struct Event {
    whole: Value,
    id: String,
}

/// A request with events, or a question for acknowledgements.
struct Events {
    is_question: bool,
    channel: String,
    texts: Vec<String>,
}

/// What a Splunk does with a request.
enum HecMood {
    /// It is indexed after so long.
    Take(Duration),
    /// It is lost after it was taken.
    Lose,
    /// It is indexed at once, and never acknowledged.
    TakeInSilence,
    Refuse(Action),
    /// It is done, and then this in place of the answer.
    TakeAndThen(Action),
    /// It begins to count anew, and whatever was not indexed is lost.
    Forget,
}

impl Splunk {
    fn new(mood: impl Fn(&Events) -> HecMood + Send + Sync + 'static) -> Self {
        Self { taken: Mutex::default(), mood: Box::new(mood), resets: 0, random: Mutex::new(Random::from_seed(seed())) }
    }

    fn distinct(&self) -> usize {
        self.taken.lock().unwrap().ids.len()
    }

    /// Numbers of sessions, each as often as an id of it is there.
    fn numbers(&self) -> Vec<u32> {
        let taken = self.taken.lock().unwrap();
        let by_id: BTreeMap<_, _> = taken.indexed.iter().map(|event| (&*event.id, &event.whole["event"])).collect();
        let number = |event: &&Value| event["uid"].as_str().unwrap()[1..].parse().unwrap();
        by_id.values().map(number).collect()
    }

    fn accept(&self, events: Events, indexed_in: Option<Duration>) -> String {
        let mut taken = self.taken.lock().unwrap();
        let next = taken.next.entry(events.channel.clone()).or_default();
        let number = *next;
        *next += 1;
        let parse = |text: &String| {
            let whole: Value = serde_json::from_str(text).unwrap();
            Event { id: whole["event"]["certsift"]["id"].as_str().unwrap().to_owned(), whole }
        };
        let (channel, events) = (events.channel, events.texts.iter().map(parse).collect());
        taken.queued.insert((channel, number), (events, indexed_in.map(|time| Instant::now() + time)));
        json!({ "text": "Success", "code": 0, "ackId": number }).to_string()
    }

    fn acknowledge(&self, events: &Events) -> String {
        let question: Value = serde_json::from_str(&events.texts[0]).unwrap();
        let mut taken = self.taken.lock().unwrap();
        let mut answer = serde_json::Map::new();
        for number in question["acks"].as_array().unwrap() {
            let number = number.as_u64().unwrap();
            let is_indexed = |(_, at): &(_, Option<Instant>)| at.is_some_and(|at| at <= Instant::now());
            let place = (events.channel.clone(), number);
            let is_indexed = taken.queued.get(&place).is_some_and(is_indexed);
            if is_indexed {
                let (events, _) = taken.queued.remove(&place).unwrap();
                taken.index(events);
            }
            answer.insert(number.to_string(), is_indexed.into());
        }
        json!({ "acks": answer }).to_string()
    }
}

impl Service for Splunk {
    fn answer(&self, request: &Request) -> Action {
        assert_eq!(request.headers["authorization"], format!("Splunk {SECRET}"));
        let channel = &request.headers["x-splunk-request-channel"];
        assert_eq!(channel.len(), 36);
        let is_question = request.target == format!("/services/collector/ack?channel={channel}");
        assert!(is_question || request.target == "/services/collector/event", "{}", request.target);
        let text = std::str::from_utf8(&request.body).unwrap();
        let channel = channel.clone();
        let events = Events { is_question, channel, texts: text.lines().map(str::to_owned).collect() };
        self.taken.lock().unwrap().requests += usize::from(!is_question);
        let mood = (self.mood)(&events);
        if is_question {
            return match mood {
                HecMood::Refuse(action) => action,
                HecMood::TakeAndThen(action) => {
                    self.acknowledge(&events);
                    action
                }
                _ => Action::Reply(200, self.acknowledge(&events)),
            };
        }
        match mood {
            HecMood::Take(time) => Action::Reply(200, self.accept(events, Some(time))),
            HecMood::Lose => Action::Reply(200, self.accept(events, None)),
            HecMood::TakeInSilence => {
                let channel = events.channel.clone();
                let reply = self.accept(events, None);
                let mut taken = self.taken.lock().unwrap();
                let number = taken.next[&channel] - 1;
                let (events, _) = taken.queued.remove(&(channel, number)).unwrap();
                taken.index(events);
                Action::Reply(200, reply)
            }
            HecMood::Refuse(action) => action,
            HecMood::TakeAndThen(action) => {
                self.accept(events, Some(Duration::ZERO));
                action
            }
            HecMood::Forget => {
                let mut taken = self.taken.lock().unwrap();
                (taken.next, taken.queued) = (BTreeMap::new(), BTreeMap::new());
                Action::Reply(503, "{\"text\":\"Server is shutting down\",\"code\":23}".to_owned())
            }
        }
    }

    fn reset_within(&self) -> Option<usize> {
        let mut random = self.random.lock().unwrap();
        (self.resets > 0 && random.one_in(self.resets)).then(|| random.below(100_000))
    }
}

/// Does one thing or another, about every second time something that is wrong.
fn anything_of_splunk(random: &mut Random) -> HecMood {
    let busy = || Action::Reply(503, "{\"text\":\"Server is busy\",\"code\":9}".to_owned());
    match random.below(28) {
        0 => HecMood::Refuse(busy()),
        1 => HecMood::Refuse(Action::ReplyWith(429, "Retry-After: 0\r\n", String::new())),
        2 => HecMood::Refuse(Action::Reply(500, "{\"text\":\"Internal server error\",\"code\":8}".to_owned())),
        3 => HecMood::Refuse(Action::Reply(200, "{\"text\":\"Success\"".to_owned())),
        4 => HecMood::Refuse(Action::Raw(Vec::new())),
        5 => HecMood::TakeAndThen(Action::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"tex".to_vec())),
        6 => HecMood::TakeAndThen(Action::Raw(Vec::new())),
        7 => HecMood::TakeAndThen(Action::Endless),
        8 => HecMood::TakeInSilence,
        9 | 10 => HecMood::Lose,
        11 => HecMood::Forget,
        12 => HecMood::Refuse(Action::Hang(Duration::from_millis(1200))),
        _ => HecMood::Take(Duration::from_millis(random.below(300) as u64)),
    }
}

impl Sending {
    fn splunk(port: u16, more: &str) -> Self {
        let sending = Self::new(&format!(
            "[output.splunk]\nurl = \"http://127.0.0.1:{port}\"\ntoken_file = \"token\"\ntimeout = \"1s\"\n{more}"
        ));
        std::fs::write(sending.world.path("token"), format!(" {SECRET}\n")).unwrap();
        sending
    }
}

#[test]
fn each_id_is_there_through_kills_and_whatever_splunk_does() {
    let random = Mutex::new(Random::from_seed(seed()));
    let is_calm = Arc::new(AtomicBool::new(false));
    let shared = Arc::clone(&is_calm);
    let splunk = Arc::new(Splunk {
        resets: 15,
        ..Splunk::new(move |_| match shared.load(Ordering::Relaxed) {
            true => HecMood::Take(Duration::ZERO),
            false => anything_of_splunk(&mut random.lock().unwrap()),
        })
    });
    let more = format!("{}acknowledge_timeout = \"2s\"\n", request_size());
    let mut sending = Sending::splunk(serve(Arc::clone(&splunk)), &more);
    sending.live_through_kills(|| splunk.distinct(), &is_calm);
    // As many ids as sessions, and each session by one id.
    sending.traffic.assert_once(splunk.numbers(), &sending.world.said());
    assert!(sending.rejected().is_empty(), "{:?}", sending.rejected());
    let said = sending.world.said();
    assert!(said.contains("went through the journal"), "no kill came while something was on its way");
    assert!(said.contains("not acknowledged in time; sent again") && !said.contains("panicked"));
    sending.assert_secret_is_kept();
}

#[test]
fn splunk_gets_nothing_twice_where_nothing_fails() {
    let random = Mutex::new(Random::from_seed(seed()));
    let take = move |_: &Events| HecMood::Take(Duration::from_millis(random.lock().unwrap().below(400) as u64));
    let splunk = Arc::new(Splunk::new(take));
    let more = "index = \"tls\"\nsource = \"certsift\"\nhost = \"sensor-1\"\n";
    let mut sending = Sending::splunk(serve(Arc::clone(&splunk)), more);
    for _ in 0..4 {
        sending.start();
        for _ in 0..5 {
            sending.append(100);
            std::thread::sleep(Duration::from_millis(50));
        }
        sending.wait_until("all is read", || sending.world.said().contains("following"));
        sending.world.stop();
        // What was not acknowledged by then would have kept it from ending in order.
        assert_eq!(splunk.taken.lock().unwrap().indexed.len(), sending.traffic.sessions as usize);
    }
    let taken = splunk.taken.lock().unwrap();
    assert!(taken.queued.is_empty());
    for event in &taken.indexed {
        let Value::Object(whole) = &event.whole else { panic!("no object") };
        let keys: Vec<_> = whole.keys().map(String::as_str).collect();
        assert_eq!(keys, ["event", "host", "index", "source", "sourcetype", "time"]);
        assert_eq!((&whole["sourcetype"], &whole["host"]), (&json!("certsift:raw"), &json!("sensor-1")));
        assert_eq!(whole["time"], whole["event"]["ts"]);
    }
    drop(taken);
    sending.traffic.assert_once(splunk.numbers(), &sending.world.said());
}

#[test]
fn what_splunk_took_and_lost_is_sent_again_after_a_kill_too() {
    let is_lossy = Arc::new(AtomicBool::new(true));
    let shared = Arc::clone(&is_lossy);
    let splunk = Arc::new(Splunk::new(move |_| match shared.load(Ordering::Relaxed) {
        true => HecMood::Lose,
        false => HecMood::Take(Duration::ZERO),
    }));
    let mut sending = Sending::splunk(serve(Arc::clone(&splunk)), "");
    sending.start();
    let taken = |splunk: &Splunk| splunk.taken.lock().unwrap().queued.values().map(|it| it.0.len()).sum::<usize>();
    for _ in 0..2 {
        sending.append(300);
        let all = sending.traffic.sessions as usize;
        // All that was lost before is taken again, and lost again.
        sending.wait_until("all is taken", || taken(&splunk) >= all);
        sending.world.kill();
        splunk.taken.lock().unwrap().queued.clear();
        sending.start();
    }
    is_lossy.store(false, Ordering::Relaxed);
    sending.world.kill();
    sending.start();
    sending.wait_until("all arrives", || splunk.distinct() == 600);
    sending.world.stop();
    sending.traffic.assert_once(splunk.numbers(), &sending.world.said());
}

#[test]
fn a_splunk_that_acknowledges_nothing_is_said_by_health_until_it_does() {
    let is_silent = Arc::new(AtomicBool::new(true));
    let shared = Arc::clone(&is_silent);
    let splunk = Arc::new(Splunk::new(move |_| match shared.load(Ordering::Relaxed) {
        true => HecMood::Lose,
        false => HecMood::Take(Duration::ZERO),
    }));
    let port = support::server::free_port();
    let more = format!("acknowledge_timeout = \"1s\"\n[observe]\nlisten = \"127.0.0.1:{port}\"\n");
    let mut sending = Sending::splunk(serve(Arc::clone(&splunk)), &more);
    sending.append(10);
    sending.start();
    let health = || {
        let mut answer = String::new();
        if let Ok(mut connection) = std::net::TcpStream::connect(("127.0.0.1", port)) {
            connection.write_all(b"GET /healthz HTTP/1.1\r\nHost: certsift\r\n\r\n").unwrap();
            connection.read_to_string(&mut answer).unwrap();
        }
        answer
    };
    // It answers every question, and says each time that nothing is safe.
    sending.wait_until("health is bad", || health().contains("it does not acknowledge what it was sent"));
    is_silent.store(false, Ordering::Relaxed);
    sending.wait_until("health is good again", || health().starts_with("HTTP/1.1 200"));
    assert_eq!(splunk.distinct(), 10);
    sending.world.stop();
}

#[test]
fn without_acknowledgements_nothing_is_sent_unless_that_is_wanted() {
    let splunk = Arc::new(Splunk::new(|events| match events.is_question {
        true => HecMood::Refuse(Action::Reply(400, "{\"text\":\"ACK is disabled\",\"code\":14}".to_owned())),
        false => HecMood::TakeInSilence,
    }));
    let mut sending = Sending::splunk(serve(Arc::clone(&splunk)), "");
    sending.append(50);
    sending.start();
    sending.wait_until_said("acknowledgement is switched off for this token");
    sending.world.kill();
    assert_eq!(splunk.taken.lock().unwrap().requests, 0);
    let config = std::fs::read_to_string(sending.world.path("certsift.toml")).unwrap();
    let config = config.replace("timeout = \"1s\"", "acknowledge = false");
    std::fs::write(sending.world.path("certsift.toml"), config).unwrap();
    sending.start();
    sending.wait_until("all arrives", || splunk.distinct() == 50);
    sending.world.stop();
    assert_eq!(splunk.taken.lock().unwrap().indexed.len(), 50);
}

#[test]
fn an_event_that_spoils_a_request_is_found_and_a_wrong_index_waits_for_a_person() {
    let is_mended = Arc::new(AtomicBool::new(false));
    let shared = Arc::clone(&is_mended);
    let splunk = Arc::new(Splunk::new(move |events| {
        let spoilt = events.texts.iter().position(|text| text.contains("\"uid\":\"C33\""));
        let reply = |text: &str, code: u32, number: usize| {
            let reply = json!({ "text": text, "code": code, "invalid-event-number": number });
            HecMood::Refuse(Action::Reply(400, reply.to_string()))
        };
        match spoilt {
            _ if events.is_question => HecMood::Take(Duration::ZERO),
            _ if !shared.load(Ordering::Relaxed) => reply("Incorrect index", 7, 0),
            Some(number) => reply("Invalid data format", 6, number),
            None => HecMood::Take(Duration::ZERO),
        }
    }));
    let mut sending = Sending::splunk(serve(Arc::clone(&splunk)), "");
    sending.append(100);
    sending.start();
    sending.wait_until_said("Incorrect index");
    is_mended.store(true, Ordering::Relaxed);
    // So that it need not wait.
    sending.world.signal("-HUP");
    sending.wait_until("all but one arrive", || splunk.distinct() == 99);
    sending.world.stop();
    let rejected = sending.rejected();
    assert_eq!(rejected.len(), 1);
    assert!(rejected[0]["reason"].as_str().unwrap().contains("Invalid data format"), "{}", rejected[0]);
    assert!(rejected[0]["text"].as_str().unwrap().contains("\"uid\":\"C33\""), "{}", rejected[0]);
}
