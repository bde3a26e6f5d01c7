//! Knowledge that changes while lines flow: every record is judged by the old or the new, and what is broken changes
//! nothing.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails, and says so")]

mod support;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::time::{Duration, Instant};

use serde_json::Value;

use support::sidecar::{PATIENCE, World, fingerprint, ssl, x509};

const FIRST: u32 = 1_760_000_000;

struct Feeds {
    world: World,
    sessions: u32,
}

impl Feeds {
    /// A sidecar with one feed, in which the certificate and the name of every session are listed.
    fn start() -> Self {
        let world = World::new();
        let config = std::fs::read_to_string(world.path("certsift.toml")).unwrap();
        let knowledge = "[knowledge]\nfeeds = [\"feeds/*\"]\nsignatures = [\"signatures/*.toml\"]\n";
        std::fs::write(world.path("certsift.toml"), format!("{config}{knowledge}")).unwrap();
        std::fs::create_dir(world.path("feeds")).unwrap();
        std::fs::create_dir(world.path("signatures")).unwrap();
        let signature = "[[signature]]\nid = \"mine\"\ntool = \"Mine\"\nverdict = \"malicious\"\nconfidence = \"weak\"\n\
                         severity = \"low\"\nmatch = { field = \"subject.CN\", op = \"eq\", value = \"host1.example\" }\n\
                         note = \"n\"\nexpected_fp = \"none\"\nsources = [\"here\"]\n";
        std::fs::write(world.path("signatures/mine.toml"), signature).unwrap();
        world.append("logs/x509.log", &[x509(FIRST, 1)]);
        let mut feeds = Self { world, sessions: 0 };
        feeds.list("first");
        feeds.world.start();
        feeds.write(5);
        feeds
    }

    /// Replaces a file, as careful programs do.
    fn replace(&self, name: &str, text: &[u8]) {
        std::fs::write(self.world.path("new.csv"), text).unwrap();
        std::fs::rename(self.world.path("new.csv"), self.world.path(name)).unwrap();
    }

    /// Replaces the feed.
    fn list(&self, label: &str) {
        let text = format!("#indicator,label\n{},{label}\nhost1.example,{label}\n", fingerprint(1));
        self.replace("feeds/listed.csv", text.as_bytes());
    }

    /// Makes or replaces another feed, which lists the name of every session.
    fn list_other(&self, label: &str) {
        self.replace("feeds/other.csv", format!("#domain,label\nhost1.example,{label}\n").as_bytes());
    }

    /// Writes sessions and waits for them.
    fn write(&mut self, sessions: u32) -> Vec<Value> {
        let lines: Vec<_> = (0..sessions)
            .map(|_| {
                self.sessions += 1;
                ssl(FIRST + self.sessions, 1)
            })
            .collect();
        self.world.append("logs/ssl.log", &lines);
        self.world.wait_for(self.sessions as usize + 1)
    }

    /// Writes sessions until the last one has these labels.
    fn write_until_all(&mut self, wanted: &[&str]) {
        let started = Instant::now();
        let wanted: BTreeSet<String> = wanted.iter().map(|label| (*label).to_owned()).collect();
        while labels(self.write(20).last().unwrap()) != wanted {
            assert!(started.elapsed() < PATIENCE, "{}", self.world.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn write_until(&mut self, label: &str) {
        self.write_until_all(&[label]);
    }

    fn wait_until_said(&self, what: &str) {
        let started = Instant::now();
        while !self.world.said().contains(what) {
            assert!(started.elapsed() < PATIENCE, "{}", self.world.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// What feeds call a session.
fn labels(record: &Value) -> BTreeSet<String> {
    let feeds = record["certsift"]["feeds"].as_array().cloned().unwrap_or_default();
    feeds.iter().map(|feed| feed["label"].as_str().unwrap().to_owned()).collect()
}

fn sessions(world: &World) -> Vec<Value> {
    world.output().into_iter().filter(|record| record["certsift"]["log"] == "zeek.ssl").collect()
}

#[test]
fn a_feed_that_is_replaced_judges_every_record_by_the_old_or_the_new() {
    let mut feeds = Feeds::start();
    for label in ["second", "third", "fourth"] {
        feeds.list(label);
        feeds.write_until(label);
    }
    feeds.world.stop();
    let order = ["first", "second", "third", "fourth"];
    let mut last = 0;
    for record in sessions(&feeds.world) {
        let found = labels(&record);
        assert_eq!(found.len(), 1, "judged by half: {record}");
        // The certificate and the name.
        assert_eq!(record["certsift"]["feeds"].as_array().unwrap().len(), 2, "{record}");
        let place = order.iter().position(|label| found.contains(*label)).unwrap();
        assert!(place >= last, "went back: {record}");
        last = place;
    }
    let versions: BTreeSet<_> =
        sessions(&feeds.world).iter().map(|record| record["certsift"]["knowledge"].to_string()).collect();
    assert_eq!(versions.len(), 4, "{versions:?}");
}

#[test]
fn a_broken_replacement_leaves_the_last_good_in_force_and_says_so() {
    let mut feeds = Feeds::start();
    for (number, broken) in
        [&b""[..], b"\x00\x01\x02 no feed at all\n", b"nothing here is\nan indicator of\nanything\n"].iter().enumerate()
    {
        feeds.replace("feeds/listed.csv", broken);
        let started = Instant::now();
        while feeds.world.said().matches("last good").count() <= number {
            assert!(started.elapsed() < PATIENCE, "{number}: {}", feeds.world.said());
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(labels(feeds.write(3).last().unwrap()), BTreeSet::from(["first".to_owned()]));
    }
    assert!(feeds.world.said().contains("listed.csv"), "{}", feeds.world.said());
    feeds.list("mended");
    feeds.write_until("mended");
    std::fs::remove_file(feeds.world.path("feeds/listed.csv")).unwrap();
    feeds.wait_until_said("listed.csv: it is gone");
    assert_eq!(labels(feeds.write(3).last().unwrap()), BTreeSet::from(["mended".to_owned()]));
    feeds.world.stop();
}

#[test]
fn a_feed_that_breaks_holds_back_no_other_and_one_that_goes_is_said() {
    let mut feeds = Feeds::start();
    feeds.list_other("other");
    feeds.write_until_all(&["first", "other"]);
    feeds.replace("feeds/listed.csv", b"nothing here is\nan indicator\n");
    feeds.list_other("newer");
    feeds.write_until_all(&["first", "newer"]);
    feeds.wait_until_said("listed.csv: ");
    std::fs::remove_file(feeds.world.path("feeds/other.csv")).unwrap();
    feeds.write_until("first");
    feeds.wait_until_said("other.csv: it is gone, and its rows with it");
    feeds.world.stop();
}

#[test]
fn a_feed_that_is_rewritten_slowly_in_its_place_is_read_whole() {
    let mut feeds = Feeds::start();
    let path = feeds.world.path("feeds/listed.csv");
    let rows =
        ["#indicator,label\n".to_owned(), format!("{},slow\n", fingerprint(1)), "host1.example,slow\n".to_owned()];
    let mut file = std::fs::File::create(&path).unwrap();
    for row in &rows {
        file.write_all(row.as_bytes()).unwrap();
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(500));
            assert_eq!(labels(feeds.write(1).last().unwrap()), BTreeSet::from(["first".to_owned()]));
        }
    }
    drop(file);
    feeds.write_until("slow");
    feeds.world.stop();
    let slow = |record: &&Value| labels(record) == BTreeSet::from(["slow".to_owned()]);
    let sessions = sessions(&feeds.world);
    assert!(sessions.iter().filter(slow).all(|record| record["certsift"]["feeds"].as_array().unwrap().len() == 2));
}

#[test]
fn a_feed_that_is_still_being_written_is_not_read() {
    let mut feeds = Feeds::start();
    let text = format!("#indicator,label\n{},whole\nhost1.example,whole\n", fingerprint(1));
    // As a slow download does, with a pause within a row.
    let (first, second) = text.split_at(text.len() - 10);
    std::fs::write(feeds.world.path("feeds/listed.csv"), first).unwrap();
    for _ in 0..10 {
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(labels(feeds.write(1).last().unwrap()), BTreeSet::from(["first".to_owned()]));
    }
    std::fs::write(feeds.world.path("feeds/listed.csv"), format!("{first}{second}")).unwrap();
    feeds.write_until("whole");
    feeds.world.stop();
    assert!(sessions(&feeds.world).iter().all(|record| labels(record).len() == 1));
}

#[test]
fn a_broken_signature_file_leaves_the_signatures_as_they_were_and_takes_the_feeds() {
    let mut feeds = Feeds::start();
    feeds.replace("signatures/mine.toml", b"[[signature]]\nid = 7\n");
    feeds.wait_until_said("mine.toml:2");
    feeds.list("second");
    feeds.write_until("second");
    feeds.world.stop();
    let last = sessions(&feeds.world).pop().unwrap();
    assert_eq!(last["certsift"]["signatures"][0]["id"], "mine", "{last}");
}
