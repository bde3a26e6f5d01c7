//! Real logs with known answers; see the corpus's own README. Skipped, loudly, where the corpus is not there.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails, and says so")]

mod support;

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;
use support::{assert_valid, corpus, gz_lines, name_of, records, replay, without_object};

#[test]
fn zeek_6_2_loses_nothing_and_joins_every_leaf() {
    let Some(corpus) = corpus("zeek 6.2") else { return };
    let output = records(&replay(&[corpus.join("zeek-6.2-tsv")], &["--detail", "full"]));
    assert_valid(&output);
    let logs = output.iter().fold(BTreeMap::new(), |mut logs: BTreeMap<String, u32>, record| {
        *logs.entry(record["certsift"]["log"].as_str().unwrap_or("passed through").to_owned()).or_default() += 1;
        logs
    });
    let expected = [("passed through", 35), ("zeek.ssl", 49_474), ("zeek.x509", 348)];
    assert_eq!(logs, expected.map(|(log, count)| (log.to_owned(), count)).into());
    let subjects: HashMap<&str, &Value> = output
        .iter()
        .filter_map(|record| Some((record["fingerprint"].as_str()?, &record["certificate.subject"])))
        .collect();
    let presented: Vec<&Value> =
        output.iter().filter(|record| record["certsift"]["certificate"]["state"] == "presented").collect();
    assert_eq!(presented.len(), 9_974);
    for record in presented {
        let leaf = record["cert_chain_fps"][0].as_str().unwrap();
        assert_eq!(&record["certsift"]["certificate"]["subject"]["dn"], subjects[leaf]);
    }
    let unparsed: Vec<String> = output
        .iter()
        .filter(|record| record["certsift"]["certificate"]["absent_reason"] == "unparsed")
        .map(name_of)
        .collect();
    assert_eq!(unparsed, ["CYPNI51t4H35LGVOlh"]);
    // Every certificate that a session shows, by the kind of its issuer. Two of the 348 are in no session.
    let classes: HashMap<&str, &str> = output
        .iter()
        .filter_map(|record| {
            let object = record.get("certsift")?;
            Some((object["certificate"]["sha256"].as_str()?, object["issuer_history"]["class"].as_str()?))
        })
        .collect();
    let count = |class: &str| classes.values().filter(|known| **known == class).count();
    assert_eq!((count("public"), count("self"), count("private")), (314, 22, 10));
}

#[test]
fn only_the_metasploit_certificate_is_more_than_info() {
    let Some(corpus) = corpus("metasploit") else { return };
    let output = records(&replay(&[corpus.join("zeek-6.2-json")], &[]));
    let grave: HashSet<(&str, &str)> = output
        .iter()
        .filter(|record| !["info", "unknown"].contains(&record["certsift"]["verdict"].as_str().unwrap_or("info")))
        .map(|record| {
            let object = &record["certsift"];
            (object["verdict"].as_str().unwrap(), object["certificate"]["sha256"].as_str().unwrap())
        })
        .collect();
    assert_eq!(grave, [("high", "75089512ce3d4e7197cce25ecdea2258bb2a2b5563d0a93dd20cf88c06b109cb")].into());
}

#[test]
fn json_lines_leave_byte_for_byte_as_they_came() {
    let Some(corpus) = corpus("bytes") else { return };
    for (set, logs) in [("zeek-6.2-json", &["ssl", "x509", "known_certs"][..]), ("zeek-3.0-json", &["ssl", "x509"])] {
        let mut came: Vec<String> =
            logs.iter().flat_map(|log| gz_lines(&corpus.join(set).join(format!("{log}.log.gz")))).collect();
        let output = String::from_utf8(replay(&[corpus.join(set)], &[])).unwrap();
        let mut left: Vec<String> = output.lines().map(without_object).collect();
        came.sort_unstable();
        left.sort_unstable();
        assert!(came == left, "{set}");
    }
}

#[test]
fn tsv_and_json_of_one_capture_say_the_same() {
    let Some(corpus) = corpus("tsv and json") else { return };
    let objects = |set: &str| -> Vec<(String, Value)> {
        let output = records(&replay(&[corpus.join(set)], &["--detail", "full"]));
        let named = output.into_iter().map(|mut record| {
            let name = name_of(&record);
            let mut object = record["certsift"].take();
            if let Some(object) = object.as_object_mut() {
                object.remove("id");
            }
            (name, object)
        });
        named.collect()
    };
    assert!(objects("zeek-6.2-tsv") == objects("zeek-6.2-json"), "6.2");
    // The TSV writer of 3.0 rounded the end of validity of 207 x509 rows, and so of the sessions that refer to them.
    let mut rounded = 0;
    for ((name, tsv), (same_name, json)) in objects("zeek-3.0-tsv").into_iter().zip(objects("zeek-3.0-json")) {
        assert_eq!(name, same_name);
        if tsv != json {
            let unrounded = |mut object: Value| {
                if let Some(certificate) = object["certificate"].as_object_mut() {
                    certificate.remove("not_after");
                    certificate.remove("validity_days");
                }
                object
            };
            assert_eq!(unrounded(tsv), unrounded(json), "{name}");
            rounded += 1;
        }
    }
    assert_eq!(rounded, 2 * 207);
}

#[test]
fn two_generations_of_zeek_agree_on_every_certificate() {
    let Some(corpus) = corpus("generations") else { return };
    let certificates = |set: &str, options: &[&str]| -> BTreeMap<String, Value> {
        let output = records(&replay(&[corpus.join(set)], &[&["--detail", "full"], options].concat()));
        let x509 = output.iter().filter(|record| record["certsift"]["log"] == "zeek.x509");
        let named = x509.map(|record| {
            let mut certificate = record["certsift"]["certificate"].clone();
            let fields = certificate.as_object_mut().unwrap();
            // 3.0 logs no hash; the ages are of different sightings.
            fields.remove("sha256");
            fields.remove("age_days");
            (certificate.to_string(), certificate)
        });
        named.collect()
    };
    let new = certificates("zeek-6.2-json", &[]);
    // 3.0 ran on a sensor in Pacific time and wrote validity in it.
    let old = certificates("zeek-3.0-json", &["--time-zone", "America/Los_Angeles"]);
    assert_eq!((new.len(), old.len()), (348, 348));
    let differing: Vec<&Value> =
        new.iter().filter(|(text, _)| !old.contains_key(*text)).map(|(_, known)| known).collect();
    // Of a time that local clocks skip in spring, the sensor's own reading cannot be undone.
    let ends: Vec<&Value> = differing.iter().map(|certificate| &certificate["not_after"]).collect();
    assert_eq!(ends, ["2028-03-12T02:36:22Z"]);
}

#[test]
fn eve_events_keep_their_bytes_and_der_agrees_with_suricata() {
    let Some(corpus) = corpus("eve") else { return };
    let file = corpus.join("suricata-8.0/eve-mixed.json.gz");
    let output = String::from_utf8(replay(std::slice::from_ref(&file), &["--detail", "full"])).unwrap();
    let came = gz_lines(&file);
    assert_eq!(output.lines().count(), came.len());
    let (mut passed, mut compared) = (0, 0);
    for (line, came) in output.lines().zip(&came) {
        assert_eq!(&without_object(line), came);
        passed += u32::from(line == came);
        let record: Value = serde_json::from_str(line).unwrap();
        let (tls, certificate) = (&record["tls"], &record["certsift"]["certificate"]);
        if !tls["certificate"].is_string() {
            continue;
        }
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        assert_eq!(text(&certificate["sha1"]), text(&tls["fingerprint"]).replace(':', ""));
        let serial = text(&tls["serial"]).replace(':', "");
        assert_eq!(text(&certificate["serial"]).trim_start_matches('0'), serial.trim_start_matches('0'));
        assert_eq!(text(&certificate["not_before"]), text(&tls["notbefore"]) + "Z");
        assert_eq!(text(&certificate["not_after"]), text(&tls["notafter"]) + "Z");
        assert_eq!(certificate["subject"]["dn"], tls["subject"]);
        compared += 1;
    }
    assert!(compared > 500 && passed > 7_000, "{compared} compared, {passed} passed through");
}

#[test]
fn every_eve_flavour_is_valid_output() {
    let Some(corpus) = corpus("eve flavours") else { return };
    for name in ["eve-all-fields", "eve-extended", "eve-default", "threaded.eve.1", "threaded.eve.2"] {
        let file = corpus.join(format!("suricata-8.0/{name}.json.gz"));
        let output = records(&replay(std::slice::from_ref(&file), &["--detail", "full"]));
        assert_eq!(output.len(), gz_lines(&file).len(), "{name}");
        assert_valid(&output);
    }
}
