use super::*;
use crate::model::EventTime;
use proptest::prelude::*;
use std::io::Write as _;
use std::path::PathBuf;

fn load(files: &[(&str, &[u8])]) -> (Registrations, Vec<ListReport>) {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<_> = files.iter().map(|(name, _)| folder.path().join(name)).collect();
    for (path, (_, bytes)) in paths.iter().zip(files) {
        std::fs::write(path, bytes).unwrap();
    }
    Registrations::load(&paths.into_iter().map(RegistrationList::from).collect::<Vec<_>>())
}

fn day(text: &str) -> i32 {
    EventTime::parse_date(text).unwrap()
}

/// Domain, day, exactness and day of the data of what is found in a list, on a day after all of them.
fn found(registrations: &Registrations, domain: &str) -> Option<(String, Precision, Option<String>)> {
    let found = registrations.find(Registrations::key(domain), day("2026-11-24"))?;
    Some((EventTime::date_text(found.day), found.precision, found.as_of.map(EventTime::date_text)))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// With a byte order mark, CR LF and blank lines, as some editors leave a file.
fn worn(text: &str) -> Vec<u8> {
    format!("\u{feff}{}", text.replace('\n', "\r\n\r\n")).into_bytes()
}

/// A list of one shape: its name, its text, what it holds, and the lines of broken rows in the worn form.
struct Sample {
    name: &'static str,
    shape: &'static str,
    text: &'static str,
    holds: &'static [(&'static str, &'static str, Precision, Option<&'static str>)],
    bad: &'static [u64],
}

const SAMPLES: [Sample; 12] = [
    Sample {
        name: "created.csv",
        shape: "domain,date",
        text: "evil.example,2026-11-20\n*.shop.co.uk , 2026-11-19T23:30:00-05:00 , whois\nno date here\n\
               \"www.quoted.com\",\"2026-11-18 10:00:00\"\n192.0.2.1,2026-01-01\ngood.org,yesterday\nxn--mnchen-3ya.de,2026-11-17\n\
               a.b.deep.com,2026-11-17\nanother.com,1795160676\nzürich.example,2026-11-16\nold.com,808372801\n\u{fffd}.com,2026-11-16\n",
        holds: &[
            ("evil.example", "2026-11-20", Precision::Day, None),
            ("shop.co.uk", "2026-11-20", Precision::Exact, None),
            ("quoted.com", "2026-11-18", Precision::Exact, None),
            ("xn--mnchen-3ya.de", "2026-11-17", Precision::Day, None),
            ("another.com", "2026-11-20", Precision::Exact, None),
            ("xn--zrich-kva.example", "2026-11-16", Precision::Day, None),
            ("old.com", "1995-08-14", Precision::Exact, None),
        ],
        bad: &[5, 9, 11, 15, 23],
    },
    Sample {
        name: "domains-monitor-2026-11-21.csv",
        shape: "CSV with named columns",
        text: "registrar;created_date;domain\n\"Example Registrar, Inc.\";2026-11-20;evil.example\nX;;silent.example\nX;soon;bad.example\n",
        holds: &[("evil.example", "2026-11-20", Precision::Day, Some("2026-11-21"))],
        bad: &[7],
    },
    Sample {
        name: "domain_stats.csv",
        shape: "CSV with named columns",
        text: "# domain,born-on\nevil.example,2026-11-20 07:44:36\nold.example,1995-08-14 00:00:00\nzero.example,1970-01-01 00:00:00\n",
        holds: &[
            ("evil.example", "2026-11-20", Precision::Exact, None),
            ("old.example", "1995-08-14", Precision::Day, None),
        ],
        bad: &[7],
    },
    Sample {
        name: "nrd-1w-2026-11-20.csv",
        shape: "names",
        text: "evil.example\nother.example\nnot a name\nxn--e1afmkfd.xn--p1ai\ncom\nmail.sub.example.org\n",
        holds: &[
            ("evil.example", "2026-11-14", Precision::Window, Some("2026-11-20")),
            ("xn--e1afmkfd.xn--p1ai", "2026-11-14", Precision::Window, Some("2026-11-20")),
        ],
        bad: &[5, 9, 11],
    },
    Sample {
        name: "domain-names-2026-11-20.txt",
        shape: "names",
        text: "evil.example\nEVIL2.Example.\n-\n",
        holds: &[
            ("evil.example", "2026-11-20", Precision::Window, Some("2026-11-20")),
            ("evil2.example", "2026-11-20", Precision::Window, Some("2026-11-20")),
        ],
        bad: &[5],
    },
    Sample {
        name: "nrd-14day_wildcard.txt",
        shape: "names",
        text: "# Time of Compilation: 2026-11-20 07:44:36 UTC\n# Number of entries: 2\n*.evil.example\n*.0519-apple.com\n*.com\n",
        holds: &[
            ("evil.example", "2026-11-07", Precision::Window, Some("2026-11-20")),
            ("0519-apple.com", "2026-11-07", Precision::Window, Some("2026-11-20")),
        ],
        bad: &[9],
    },
    Sample {
        name: "nrd-30day_adblock.txt",
        shape: "names",
        text: "[Adblock Plus]\n! Title: NRD\n! Last modified: 2026-11-20\n||evil.example^\n||other.example^$third-party\n@@||fine.example^\n||^\n",
        holds: &[
            ("evil.example", "2026-10-22", Precision::Window, Some("2026-11-20")),
            ("other.example", "2026-10-22", Precision::Window, Some("2026-11-20")),
        ],
        bad: &[13],
    },
    Sample {
        name: "nrd-14d-unbound.conf",
        shape: "names",
        text: "# Time of Compilation: 2026-11-20 07:44:36 UTC\nserver:\nlocal-zone: \"evil.example\" always_nxdomain\n\
               local-zone: \"other.example\" redirect\nlocal-data: \"other.example A 0.0.0.0\"\nlocal-zone: \"\" deny\n",
        holds: &[
            ("evil.example", "2026-11-07", Precision::Window, Some("2026-11-20")),
            ("other.example", "2026-11-07", Precision::Window, Some("2026-11-20")),
        ],
        bad: &[11],
    },
    Sample {
        name: "nrd7.hosts",
        shape: "names",
        text: "# Date: 2026-11-20\n127.0.0.1 localhost\n0.0.0.0 0.0.0.0\n0.0.0.0 evil.example\n0.0.0.0 other.example # new\n0.0.0.0 192.0.2.1\n",
        holds: &[
            ("evil.example", "2026-11-14", Precision::Window, Some("2026-11-20")),
            ("other.example", "2026-11-14", Precision::Window, Some("2026-11-20")),
        ],
        bad: &[11],
    },
    Sample {
        name: "rdap.ndjson",
        shape: "RDAP",
        text: "{\"objectClassName\":\"domain\",\"ldhName\":\"EVIL.EXAMPLE\",\"events\":[{\"eventAction\":\"registration\",\"eventDate\":\"2026-11-20T04:00:00\"},{\"eventAction\":\"last update of RDAP database\",\"eventDate\":\"2026-11-21T09:00:00Z\"}]}\n\
               {\"ldhName\":\"silent.example\",\"events\":null}\n{\"ldhName\":\n{\"ldhName\":\"absurd.com\",\"events\":[{\"eventAction\":\"registration\",\"eventDate\":\"9999-01-01T00:00:00Z\"}]}\n",
        holds: &[("evil.example", "2026-11-20", Precision::Exact, Some("2026-11-21"))],
        bad: &[5, 7],
    },
    Sample {
        name: "rdap.json",
        shape: "RDAP",
        text: "{\n  \"objectClassName\": \"domain\",\n  \"ldhName\": \"evil.example\",\n  \"events\": [\n    {\"eventAction\": \"registration\", \"eventDate\": \"1995-08-14T04:00:00.123Z\"},\n    {\"eventAction\": \"reregistration\", \"eventDate\": \"2026-11-20T04:00:00+02:00\"}\n  ]\n}\n",
        holds: &[("evil.example", "2026-11-20", Precision::Exact, None)],
        bad: &[],
    },
    Sample {
        name: "rdap-list.json",
        shape: "RDAP",
        text: "[{\"ldhName\":\"evil.example\",\"events\":[{\"eventAction\":\"registration\",\"eventDate\":\"2026-11-20\"}]},\n{\"objectClassName\":\"nameserver\",\"ldhName\":\"ns1.evil.example\"}]\n",
        holds: &[("evil.example", "2026-11-20", Precision::Day, None)],
        bad: &[2],
    },
];

#[test]
fn every_shape_of_list_is_read_worn_and_packed() {
    for sample in &SAMPLES {
        let worn = worn(sample.text);
        for bytes in [worn.clone(), gzip(&worn)] {
            let (registrations, reports) = load(&[(sample.name, &bytes)]);
            let report = &reports[0];
            assert_eq!((report.shape, &report.error), (Some(sample.shape), &None), "{}", sample.name);
            for (domain, day, precision, as_of) in sample.holds {
                let expected = Some(((*day).to_owned(), *precision, as_of.map(str::to_owned)));
                assert_eq!(found(&registrations, domain), expected, "{}: {domain}", sample.name);
            }
            let bad: Vec<_> = report.first_bad_rows.iter().map(|bad| bad.line).collect();
            assert_eq!(bad, sample.bad, "{}: {:?}", sample.name, report.first_bad_rows);
            assert_eq!(registrations.find(Registrations::key("silent.example"), day("2026-11-24")), None);
        }
    }
}

#[test]
fn a_list_within_base64_is_read() {
    use base64::Engine as _;
    let names: String = (0..40).map(|number| format!("evil{number}.example\n")).collect();
    let text = base64::engine::general_purpose::STANDARD.encode(names);
    let (lines, rest) = text.split_at(200);
    let text = format!("# Time of Compilation: 2026-11-20 07:44:36 UTC\n{lines}\n{rest}\n");
    let (registrations, reports) = load(&[("nrd-14d_base64.txt", text.as_bytes())]);
    assert_eq!((reports[0].rows, reports[0].bad_rows), (40, 0), "{:?}", reports[0]);
    assert_eq!(found(&registrations, "evil7.example").unwrap().0, "2026-11-07");
}

#[test]
fn names_without_days_are_not_taken_for_new() {
    let (registrations, reports) = load(&[("names.txt", b"evil.example\nother.example\n")]);
    assert!(registrations.is_empty());
    assert!(reports[0].error.as_ref().unwrap().contains("window_days"), "{:?}", reports[0]);
}

#[test]
fn a_list_that_cannot_be_read_says_why() {
    let (_, reports) = Registrations::load(&[RegistrationList::from(PathBuf::from("no-such-list"))]);
    assert_eq!(reports[0].error.as_deref(), Some("No such file or directory (os error 2)"));
    let (_, reports) = load(&[("prose.txt", b"Dear reader,\nthis is no list.\n"), ("empty.txt", b"# nothing today\n")]);
    assert!(reports[0].error.is_some());
    assert_eq!((&reports[1].error, reports[1].rows), (&None, 0));
    let long = format!("good.com,2026-01-01\n{}\nfine.net,2026-01-02\n", "x".repeat(200_000));
    let (_, reports) = load(&[("list", long.as_bytes())]);
    assert_eq!((reports[0].rows, reports[0].first_bad_rows[0].line), (2, 2));
}

#[test]
fn a_replay_gets_the_registration_that_held_then() {
    let (registrations, _) = load(&[
        ("b", b"again.com,2020-05-05\nagain.com,2026-11-20\n"),
        ("a", b"again.com,2026-11-20\nwww.again.com,2023-03-03\n"),
    ]);
    let find = |text: &str| registrations.find(Registrations::key("again.com"), day(text));
    assert_eq!(find("2020-05-03"), None);
    assert_eq!(find("2020-05-04").unwrap().day, day("2020-05-05"), "one day of slack");
    assert_eq!(find("2022-01-01").unwrap().day, day("2020-05-05"));
    assert_eq!(find("2024-01-01").unwrap().day, day("2023-03-03"));
    let last = find("2030-01-01").unwrap();
    assert_eq!((last.day, last.source), (day("2026-11-20"), "a"));
}

#[test]
fn the_most_exact_source_counts_as_far_as_it_knows() {
    let rdap = br#"{"ldhName":"moved.com","events":[{"eventAction":"registration","eventDate":"2010-03-04T05:06:07Z"},{"eventAction":"last update of RDAP database","eventDate":"2026-11-22T00:00:00Z"}]}"#;
    let stale = String::from_utf8_lossy(rdap).replace("2026-11-22", "2020-01-01");
    let nrd = ("nrd-14d-2026-11-20.txt", &b"moved.com\nother.com\n"[..]);
    let csv = ("created.csv", &b"moved.com,2010-03-05\n"[..]);
    let source = |files: &[(&str, &[u8])]| {
        let mut sources = Vec::new();
        for files in [files.to_vec(), files.iter().rev().copied().collect()] {
            let (registrations, _) = load(&files);
            let found = registrations.find(Registrations::key("moved.com"), day("2026-11-24")).unwrap();
            sources.push((found.source.to_owned(), EventTime::date_text(found.day)));
        }
        assert_eq!(sources[0], sources[1], "the order of the files does not matter");
        sources.remove(0)
    };
    let said = |source: &str, day: &str| (source.to_owned(), day.to_owned());
    assert_eq!(source(&[nrd, csv, ("rdap.json", rdap)]), said("rdap.json", "2010-03-04"));
    assert_eq!(source(&[nrd, csv]), said("created.csv", "2010-03-05"));
    // A list of one day says no more of a name than that it was noticed; a later date of its own does.
    let one_day = ("nrd-2026-11-20.txt", &b"moved.com\nother.com\n"[..]);
    assert_eq!(source(&[one_day, csv]), said("created.csv", "2010-03-05"));
    assert_eq!(source(&[one_day, nrd]), said("nrd-2026-11-20.txt", "2026-11-20"));
    let anew = ("anew.csv", &b"moved.com,2026-11-21\n"[..]);
    assert_eq!(source(&[one_day, csv, anew]), said("anew.csv", "2026-11-21"));
    assert_eq!(source(&[nrd, ("rdap.json", stale.as_bytes())]), said("nrd-14d-2026-11-20.txt", "2026-11-07"));
}

#[test]
fn a_list_is_known_by_its_content() {
    let is = |name: &str, head: &str| {
        is_registration_list(&RegistrationList::from(PathBuf::from(name)), head.as_bytes(), true)
    };
    for (name, head) in [
        ("whois.csv", "evil.example,2026-11-20\n"),
        ("x", "domain,created\nevil.example,2026-11-20T00:00:00Z"),
        ("nrd-1w-2026-11-20.csv", "evil.example\n"),
        ("x", r#"{"ldhName":"evil.example","events":[]}"#),
    ] {
        assert!(is(name, head), "{head}");
    }
    for (name, head) in [
        ("x", ""),
        ("x", "evil.example,2026-11-20\n"),
        ("x", "# only a comment\n"),
        ("x", "evil.example\n"),
        ("2026-11-20.txt", "evil.example\n"),
        ("nrd.txt", "evil.example\n"),
        ("x", "1,google.com\n2,youtube.com\n"),
        ("x", "2023-11-14 06:52:51,4da14224452c1fe61f46b1112c43ecfd9f322c82,Rhadamanthys C&C\n"),
        ("x", "domain,ioc\nevil.example,Possible Cobaltstrike C2 Domain\n"),
        ("x", r#"{"type":"bundle","objects":[]}"#),
    ] {
        assert!(!is(name, head), "{head}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let list = RegistrationList::from(PathBuf::from("nrd-1w-2026-11-20"));
        let _ = is_registration_list(&list, &bytes, true);
        let (registrations, reports) = load(&[("nrd-1w-2026-11-20", &bytes)]);
        prop_assert!(registrations.len() <= reports[0].rows || reports[0].error.is_some());
    }

    #[test]
    fn the_answer_is_that_of_a_plain_search(
        rows in prop::collection::vec((0..4_usize, 6000..6060_i32, 0..3_usize), 0..40),
        asked in (0..4_usize, 5997..6063_i32),
    ) {
        let name = |index: usize| format!("domain{index}.com");
        let mut texts = [String::new(), String::new(), String::new()];
        for &(domain, day, file) in &rows {
            texts[file] += &format!("{},{}\n", name(domain), EventTime::date_text(day));
        }
        let named = [("a", texts[0].as_bytes()), ("b", texts[1].as_bytes()), ("c", texts[2].as_bytes())];
        let expected = rows.iter().filter(|row| row.0 == asked.0 && row.1 <= asked.1 + 1)
            .max_by_key(|row| (row.1, std::cmp::Reverse(row.2)));
        let expected = expected.map(|&(_, day, file)| (day, ["a", "b", "c"][file].to_owned()));
        let mut reversed = named;
        reversed.reverse();
        for files in [named, reversed] {
            let (registrations, _) = load(&files);
            let found = registrations.find(Registrations::key(&name(asked.0)), asked.1);
            prop_assert_eq!(found.map(|found| (found.day, found.source.to_owned())), expected.clone());
        }
    }
}
