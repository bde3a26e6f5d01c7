//! What is broken, odd or large: it costs itself, and is said.

use proptest::prelude::*;

use super::*;

#[test]
fn a_file_of_no_known_kind_costs_itself_only() {
    let cut = &zipped(&format!("# Listingdate,SHA1,Listingreason\n2024-09-02 06:17:52,{SHA1},X\n").repeat(50))[..60];
    let files: [(&str, &[u8]); 6] = [
        ("prose.txt", b"Dear all,\nplease find attached.\n"),
        ("binary", &[0xff; 300]),
        ("other.json", b"{\"a\": 1}"),
        ("cut.csv.gz", cut),
        ("empty", b""),
        ("good.txt", b"evil.example\n"),
    ];
    let (feeds, reports) = load(&files);
    let errors: Vec<_> = reports.iter().map(|report| report.error.is_some()).collect();
    assert_eq!(errors, [true, true, true, true, false, false], "{reports:#?}");
    assert_eq!(kinds(&session(&feeds, "evil.example", "")), [BAD_ONE]);
    let wide: Vec<u8> = "\u{feff}evil.example\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(load(&[("wide.txt", &wide)]).1[0].error.as_deref(), Some("it is UTF-16; write it as UTF-8"));
    let (_, reports) = Feeds::load(&[PathBuf::from("no-such-feed")], now());
    assert!(reports[0].error.as_ref().unwrap().contains("cannot open"));
}

#[test]
fn what_spoils_a_feed_is_said_and_lists_nothing() {
    let returns = format!("# Listingdate,SHA1,Listingreason\r2024-09-02 06:17:52,{SHA1},X\r");
    let (_, report) = one("mac.csv", &returns);
    assert!(report.error.as_ref().unwrap().contains("carriage returns alone"), "{report:?}");
    let attribute = r#"{"type":"domain","value":"a.example"}"#;
    let json = format!("{{\"Event\":\r{{\"Attribute\":[{attribute}]}}}}\r");
    assert_eq!(one("mac.json", &json).1.used_total(), 1, "JSON may have blanks of any kind");
    let rule = |start: &str| {
        format!("{start} tls any any -> any any (msg:\"a\"; tls.sni; content:\"evil.example\"; endswith; sid:1;)\n")
    };
    let (feeds, report) = one("spoilt.rules", &rule("alrt").repeat(3));
    assert!(report.error.is_some() && feeds.is_empty(), "a keyword is no name: {report:?}");
    let deep = format!("{}[{attribute}]{}", "{\"response\":".repeat(9), "}".repeat(9));
    let (_, report) = one("deep.json", &deep);
    assert_eq!((counts(&report), report.error.is_some()), ((0, 0, 0, 0, 1), true), "{report:?}");
    let latin = [
        b"{\"Event\":{\"info\":\"M\xfcller\",\"Attribute\":[".as_slice(),
        attribute.as_bytes(),
        b",{\"type\":\"domain\",\"value\":\"\xfc.example\"}]}}",
    ]
    .concat();
    let (feeds, reports) = load(&[("latin.json", &latin)]);
    assert_eq!((counts(&reports[0]), reports[0].first_bad[0].row), ((1, 0, 0, 0, 1), 2), "{reports:?}");
    assert_eq!(session(&feeds, "a.example", "")[0].label.as_deref(), Some("M?ller"));
}

#[test]
fn long_lines_and_long_files_are_read_in_pieces() {
    let mut text = String::new();
    let long = "x".repeat(3 << 20);
    for number in 0..300_000 {
        text.push_str(&format!("host{number}.example\n"));
        if number == 1000 {
            text.push_str(&long);
            text.push('\n');
        }
    }
    let (feeds, report) = one("long.txt", &text);
    assert_eq!((report.used_total(), report.bad), (300_000, 1));
    assert_eq!(report.first_bad[0], BadFeedRow { row: 1002, problem: "the line is too long" });
    assert_eq!(session(&feeds, "host299999.example", "")[0].row, 300_001);
    assert_eq!(session(&feeds, "host0.example", "")[0].row, 1);
}

/// Texts that get past the recognition of a format, and then go wrong.
fn broken() -> impl Strategy<Value = String> {
    let heads = prop_oneof![
        Just("# Listingdate,SHA1,Listingreason\n"),
        Just("# ja3_md5,Firstseen,Lastseen,Listingreason\n"),
        Just("# Firstseen,DstIP,DstPort\n"),
        Just("#fields\tindicator\tindicator_type\n"),
        Just("# \"first_seen_utc\",\"ioc_id\",\"ioc_value\",\"ioc_type\"\n"),
        Just("# id,dateadded,url,url_status\n"),
        Just("uuid,type,value,to_ids\n"),
        Just("#domain,ioc\n"),
        Just("serial,issuer,subject,label\n"),
        Just(
            "alert tls any any -> any any (msg:\"x\"; tls.sni; content:\"a\"; sid:1;)\nalert tls any any -> any any ("
        ),
        Just("{\"type\":\"bundle\",\"objects\":["),
        Just("{\"Event\":{\"Attribute\":["),
        Just("{\"type\":\"regex\",\"list\":[\""),
        Just("||a.example^\n"),
        Just("1,a.example\n"),
        Just(""),
    ];
    (heads, "\\PC{0,60}|[\"\\[\\]{}a-f0-9,:;.|=\t\n (!)/]{0,80}|(content|pcre|bsize|depth|within|distance|tls\\.sni|nocase)(:[\"!0-9/a|<>]{0,8})?;").prop_map(|(head, tail)| format!("{head}{tail}"))
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Feeds::recognise(&bytes);
        let (_, reports) = load(&[("feed", &bytes)]);
        prop_assert_eq!(reports.len(), 1);
    }

    #[test]
    fn broken_feeds_are_read_without_a_panic(text in broken()) {
        let (feeds, report) = one("feed", &text);
        let _ = session(&feeds, "a.example", "192.0.2.1");
        let lines = text.lines().count() as u64;
        let rows = report.used_total() + report.context + report.unsupported + report.bad;
        // A row of a table may list several things, as may a document.
        let may_list_more = text.starts_with('{') || report.format.is_some_and(|format| format.starts_with("CSV"));
        prop_assert!(may_list_more || rows <= lines);
    }

    #[test]
    fn a_list_finds_its_names_and_no_others(
        listed in prop::collection::btree_set("[a-d]{1,2}\\.[a-c]\\.example", 1..20),
        asked in "[a-d]{1,2}\\.[a-c]\\.example",
    ) {
        let text = listed.iter().map(|name| format!("{name}\n")).collect::<String>();
        let (feeds, _) = one("list.txt", &text);
        let found = session(&feeds, &asked, "");
        prop_assert_eq!(found.iter().any(|found| found.kind == MatchKind::Domain), listed.contains(&asked));
        let below = format!("www.{asked}");
        let found = session(&feeds, &below, "");
        prop_assert_eq!(found.iter().any(|found| found.kind == MatchKind::ParentDomain), listed.contains(&asked));
    }
}

#[test]
fn rows_that_hold_are_found_among_many_that_do_not() {
    let old = (0..40).map(|_| format!("{SHA1},2020-01-01,2021-01-01\n")).collect::<String>();
    let (feeds, _) = one("many.csv", &format!("sha1,listed,expires\n{old}{SHA1},2020-01-01,2030-01-01\n"));
    let at = EventTime::parse_iso8601("2026-11-20T00:00:00Z");
    let found = feeds.of_certificate(&by_sha1(SHA1));
    assert_eq!(found.iter().filter(|found| found.holds_at(at)).count(), 1, "{} rows", found.len());
    let ports = (0..50).map(|port| format!("2024-01-01 00:00:00,192.0.2.1,{}\n", 8000 + port)).collect::<String>();
    let (feeds, _) = one("ips.csv", &format!("# Firstseen,DstIP,DstPort\n{ports}"));
    assert_eq!(session(&feeds, "x.example", "192.0.2.1").len(), 50);
}

#[test]
fn a_feed_may_begin_with_many_comments() {
    let comments =
        "#alert tls any any -> any any (msg:\"off\"; tls.sni; content:\"off.example\"; sid:1;)\n".repeat(1500);
    assert!(comments.len() > 100 * 1024);
    let rule = "alert tls any any -> any any (msg:\"on\"; tls.sni; content:\"on.example\"; bsize:10; sid:2;)\n";
    let (feeds, report) = one("et.rules", &format!("{comments}{rule}"));
    assert_eq!(report.used_total(), 1, "{report:?}");
    assert_eq!(session(&feeds, "on.example", "192.0.2.1").len(), 1);
    let (feeds, _) = one("list.txt", &format!("{}evil.example\n", "# a licence\n".repeat(20_000)));
    assert_eq!(session(&feeds, "evil.example", "192.0.2.1").len(), 1);
}

#[test]
fn one_odd_element_of_a_document_costs_itself_only() {
    let good = format!(r#"{{"type":"x509-fingerprint-sha1","value":"{SHA1}","to_ids":true}}"#);
    let event = format!(
        r#"{{"Event":{{"info":7,"Attribute":[5,{good},{{"type":9,"value":"x"}},{{"type":"domain"}},null,"x"],
        "Object":[3,{{"name":"x509","Attribute":[1,{good}]}},{{"name":{{}},"Attribute":7}},{{"name":"x","Attribute":[{good}]}}]}}}}"#
    );
    let list = format!("[null, 7, {event}, {{\"Event\": 4}}, {{\"Event\": {{\"Attribute\": {good}}}}}]");
    for (text, used, bad) in [(&event, 3, 8), (&list, 4, 11)] {
        let (feeds, report) = one("event.json", text);
        assert_eq!((report.used_total(), report.bad, &report.error), (used, bad, &None), "{report:?}");
        assert_eq!(feeds.of_certificate(&by_sha1(SHA1)).len() as u64, used);
        let first = report.first_bad.iter().map(|bad| bad.row).collect::<Vec<_>>();
        assert!(first.is_sorted() && first[0] == 1, "{first:?}");
    }
    let pattern = format!("[x509-certificate:hashes.'SHA-1' = '{SHA1}']");
    let bundle = format!(
        r#"{{"type":"bundle","objects":[4,null,{{"type":7}},{{"type":"indicator","pattern":4}},
        {{"type":"indicator","pattern":"{pattern}","name":5,"revoked":"false","created":7,"indicator_types":null}},
        {{"type":"indicator","pattern":"{pattern}","indicator_types":"x"}},
        {{"type":"x509-certificate","hashes":{{"MD5":7,"SHA-256":"{SHA256}"}},"issuer":4}}]}}"#
    );
    let (feeds, report) = one("bundle.json", &bundle);
    assert_eq!((report.used_total(), report.context, report.bad, &report.error), (2, 1, 4, &None), "{report:?}");
    assert_eq!(feeds.of_certificate(&by_sha1(SHA1)).len(), 2);
    let set =
        format!("[1, null, {{\"sha256\": {{\"a\": 1}}}}, {{\"sha256\": \"{SHA256}\"}}, [], {{\"ip\": \"192.0.2.1\"}}]");
    let (_, report) = one("set.json", &set);
    assert_eq!((report.used_total(), report.bad, &report.error), (2, 4, &None), "{report:?}");
    assert_eq!(report.first_bad.iter().map(|bad| bad.row).collect::<Vec<_>>(), [1, 2, 3, 5]);
    assert_eq!((report.unit, one("list.txt", "a.example\n").1.unit), ("element", "line"));
}

#[test]
fn half_a_character_costs_no_more_than_itself() {
    let event = r#"{"Event":{"info":"cut \ud83d","Attribute":[{"type":"domain","value":"a.example","comment":"\udc00 x"},
        {"type":"domain","value":"b\ud800.example"}],"Object":[{"name":"\ud800","Attribute":[{"type":"domain","value":"c.example"}]}]}}"#;
    let (feeds, report) = one("event.json", event);
    assert_eq!(counts(&report), (2, 0, 0, 0, 1), "{report:?}");
    assert_eq!(session(&feeds, "c.example", "")[0].label.as_deref().map(|label| &label[..4]), Some("cut "));
    assert!(session(&feeds, "a.example", "")[0].label.as_deref().unwrap().ends_with(" x"));
    let bundle = r#"{"type":"bundle","objects":[{"type":"indicator","name":"x\ud800","pattern":"[domain-name:value = 'a.example']"}]}"#;
    let (feeds, report) = one("bundle.json", bundle);
    assert_eq!((counts(&report), session(&feeds, "a.example", "").len()), ((1, 0, 0, 0, 0), 1), "{report:?}");
}
