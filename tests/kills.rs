//! Real logs, fed slowly to a sidecar that is killed again and again: every record once, and counted once.
//!
//! The short form kills 25 times over the first sessions. `CERTSIFT_FULL_TESTS=1` kills 1,000 times over all of them.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on fails, and says so")]

mod support;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use support::oracle;
use support::random::{Random, seed};
use support::sidecar::World;

/// A log of the corpus, and how far it has been written.
struct Feed {
    name: &'static str,
    header: Vec<String>,
    rows: Vec<String>,
    written: usize,
}

const LOGS: [&str; 3] = ["ssl", "x509", "known_certs"];

impl Feed {
    fn open(corpus: &Path, name: &'static str) -> Self {
        let lines = support::gz_lines(&corpus.join(format!("zeek-6.2-tsv/{name}.log.gz")));
        let (header, rows): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| line.starts_with('#'));
        let header = header.into_iter().filter(|line| !line.starts_with("#close")).collect();
        Self { name, header, rows, written: 0 }
    }

    /// Writes rows up to a number of them, in two pieces that are cut anywhere.
    fn write_to(&mut self, world: &World, until: usize, random: &mut Random) {
        let until = until.min(self.rows.len());
        if until <= self.written {
            return;
        }
        let path = world.path(&format!("logs/{}.log", self.name));
        let mut lines = if path.exists() { Vec::new() } else { self.header.clone() };
        lines.extend_from_slice(&self.rows[self.written..until]);
        let text = lines.join("\n") + "\n";
        let (first, second) = text.as_bytes().split_at(random.below(text.len()));
        let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all(first).unwrap();
        file.write_all(second).unwrap();
        self.written = until;
    }
}

#[test]
fn real_logs_come_through_a_thousand_kills() {
    let Some(corpus) = support::corpus("real_logs_come_through_a_thousand_kills") else { return };
    let full = std::env::var_os("CERTSIFT_FULL_TESTS").is_some();
    let (kills, sessions) = if full { (1000, usize::MAX) } else { (25, 4000) };
    let seed = seed();
    eprintln!("seed {seed}; CERTSIFT_SEED asks for the same");
    let mut random = Random::from_seed(seed);
    let mut world = World::new();
    let config = "[[input]]\npaths = [\"logs/*.log\"]\n[output]\npath = \"out.ndjson\"\ndetail = \"full\"\n\
                  [state]\ndir = \"state\"\ncommit_interval = \"150ms\"\n";
    std::fs::write(world.path("certsift.toml"), config).unwrap();
    let [mut ssl, mut x509, mut known] = LOGS.map(|name| Feed::open(&corpus, name));
    ssl.rows.truncate(sessions);
    let batch = (2 * ssl.rows.len() / kills).max(1);
    let mut rotations = 0;
    world.start();
    for _ in 0..kills {
        for _ in 0..1 + random.below(3) {
            let until = ssl.written + 1 + random.below(batch);
            // Certificates come with the sessions that show them; some come after their first session.
            let share = |rows: usize| rows * until / ssl.rows.len() + lead(rows, until);
            x509.write_to(&world, share(x509.rows.len()), &mut random);
            known.write_to(&world, share(known.rows.len()), &mut random);
            ssl.write_to(&world, until, &mut random);
            random.pause(Duration::from_millis(8));
        }
        if random.one_in(20) && world.path("logs/ssl.log").exists() {
            rotations += 1;
            std::fs::rename(world.path("logs/ssl.log"), world.path(&format!("logs/ssl.{rotations}.log"))).unwrap();
        }
        let longest = if random.one_in(3) { 250 } else { 60 };
        random.pause(Duration::from_millis(longest));
        world.kill();
        world.start();
    }
    for feed in [&mut x509, &mut known, &mut ssl] {
        feed.write_to(&world, usize::MAX, &mut random);
    }
    let total = ssl.rows.len() + x509.rows.len() + known.rows.len();
    let started = Instant::now();
    while lines(&world) < total && started.elapsed() < Duration::from_secs(120) {
        std::thread::sleep(Duration::from_millis(100));
    }
    world.stop();
    let records = world.output();
    eprintln!("{kills} kills, {rotations} rotations, {} of {total} records", records.len());
    check(&records, &ssl, total);
    probe(&mut world, &records);
}

/// Certificates are some rows ahead of their share: a session does not wait for ever.
fn lead(rows: usize, until: usize) -> usize {
    (rows / 50).max(1) * (until % 3)
}

fn lines(world: &World) -> usize {
    let text = std::fs::read(world.path("out.ndjson")).unwrap_or_default();
    memchr::memchr_iter(b'\n', &text).count()
}

fn check(records: &[Value], ssl: &Feed, total: usize) {
    assert_eq!(records.len(), total);
    let mut ids: Vec<_> = records.iter().filter_map(|record| record["certsift"]["id"].as_str()).collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "records were written twice");
    let mut uids: Vec<_> = records.iter().filter_map(|record| record["uid"].as_str()).collect();
    let mut expected: Vec<_> = ssl.rows.iter().map(|row| row.split('\t').nth(1).unwrap()).collect();
    uids.sort_unstable();
    expected.sort_unstable();
    assert!(uids == expected, "other sessions than were written");
    oracle::assert_history(records);
}

/// What the state holds in the end shows on sessions that come after it.
fn probe(world: &mut World, records: &[Value]) {
    let shown = records.iter().filter(|record| record["certsift"]["certificate"]["state"] == "presented");
    let mut certificates: Vec<_> =
        shown.filter_map(|record| record["certsift"]["certificate"]["sha256"].as_str().map(str::to_owned)).collect();
    certificates.sort();
    certificates.dedup();
    let time = records.iter().filter_map(|record| record["ts"].as_f64()).fold(0.0, f64::max);
    let probes: Vec<String> = certificates
        .iter()
        .enumerate()
        .map(|(number, sha256)| {
            format!(
                r#"{{"ts":{time:.6},"uid":"P{number}","id.orig_h":"10.99.0.1","id.orig_p":5000,"id.resp_h":"192.0.2.1","id.resp_p":443,"version":"TLSv12","server_name":"probe.example","resumed":false,"established":true,"cert_chain_fps":["{sha256}"],"sni_matches_cert":true}}"#
            )
        })
        .collect();
    world.append("logs/ssl-probes.log", &probes);
    world.start();
    let records = world.wait_for(records.len() + probes.len());
    world.stop();
    oracle::assert_history(&records);
}
