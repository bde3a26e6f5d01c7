//! The oracle of the crash tests: it agrees with a pass that nothing interrupted, and sees what an interruption could do.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails, and says so")]

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::Value;
use support::oracle::{assert_each_once, assert_history, assert_repeats};
use support::{name_of, records, replay, repository};

/// The sample world: three kinds of sensors, resumed sessions, self-signed certificates, alerts.
fn sample() -> Vec<Value> {
    let config = repository("sample_logs/certsift.toml");
    let options = ["--detail", "full", "--config", config.to_str().unwrap()];
    records(&replay(&[repository("sample_logs")], &options))
}

/// Places of sessions whose issuer was seen for the first time, and which others with that issuer follow.
fn firsts(records: &[Value]) -> impl Iterator<Item = usize> {
    let issuer = |record: &Value| record["certsift"]["certificate"]["issuer"]["dn"].clone();
    let first = |record: &Value| {
        let history = &record["certsift"]["issuer_history"];
        history["clients"] == 1 && history["certificates"] == 1 && history["first_seen"] == history["last_seen"]
    };
    (0..records.len()).filter(move |&index| {
        let is_other =
            |other: &Value| issuer(other) == issuer(&records[index]) && other["certsift"]["log"] != "zeek.x509";
        first(&records[index]) && records[index + 1..].iter().any(is_other)
    })
}

fn objects_to(check: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(check)).is_err()
}

#[test]
fn an_uninterrupted_pass_is_what_the_oracle_expects() {
    let records = sample();
    let state =
        |wanted: &str| records.iter().filter(|record| record["certsift"]["certificate"]["state"] == wanted).count();
    assert!(state("presented") > 100 && state("recalled") > 3 && state("absent") > 10);
    assert_history(&records);
    assert_each_once(&records[..100], records[..100].iter().map(name_of));
}

#[test]
fn a_session_that_did_not_count_or_counted_before_its_turn_shows_on_those_that_follow() {
    let records = sample();
    let places: Vec<usize> = firsts(&records).collect();
    assert!(places.len() > 3);
    for place in places {
        let mut others = records.clone();
        let session = others.remove(place);
        assert!(objects_to(|| assert_history(&others)), "{session} did not count");
        others.push(session);
        assert!(objects_to(|| assert_history(&others)), "{} counted before its turn", records[place]);
    }
}

#[test]
fn an_alert_that_says_wrongly_whether_it_repeats_one_is_objected_to() {
    let records = sample();
    let of = |wanted: bool| -> Vec<usize> {
        (0..records.len()).filter(|&at| records[at]["certsift"]["repeat"] == wanted).collect()
    };
    let (first, repeated) = (of(false), of(true));
    assert!(first.len() > 10 && repeated.len() > 3, "{} alerts, {} repeats", first.len(), repeated.len());
    let places: Vec<usize> = first.iter().chain(&repeated).step_by(3).copied().collect();
    let objected = places.iter().filter(|&&place| {
        let mut others = records.clone();
        let repeat = &mut others[place]["certsift"]["repeat"];
        *repeat = (!repeat.as_bool().unwrap()).into();
        objects_to(|| assert_repeats(&others))
    });
    // Some come just a day after the one before: there the oracle does not know.
    let objected = objected.count();
    assert!(objected * 10 >= places.len() * 8, "{objected} of {}", places.len());
}

#[test]
fn a_record_that_is_missing_or_there_twice_is_named() {
    let records: Vec<Value> = sample().into_iter().filter(|record| record["uid"].is_string()).take(50).collect();
    let written: Vec<String> = records.iter().map(name_of).collect();
    assert_each_once(&records, &written);
    assert!(objects_to(|| assert_each_once(&records[1..], &written)));
    let twice = [&records[..], &records[7..8]].concat();
    assert!(objects_to(|| assert_each_once(&twice, &written)));
    // The same place in the same stream, whatever the records say.
    let mut same_id = records.clone();
    same_id[3]["certsift"]["id"] = same_id[4]["certsift"]["id"].clone();
    assert!(objects_to(|| assert_each_once(&same_id, &written)));
}
