//! Lines that nobody would write: each leaves once, as a record or as a dead letter, and costs no other.

mod common;

use common::*;

#[test]
fn random_bytes_under_the_name_of_a_log_leave_as_dead_letters() {
    // A multiplicative generator: the same bytes on every run.
    let mut state = 0x9E37_79B9_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    })
    .take(300_000)
    .collect();
    // A gzip or zstd file would be taken for one.
    let noise = [b"noise", &noise[..]].concat();
    let outcome = World::replay_file("ssl.log", &noise);
    outcome.assert_counts(0, 0, records_in(&noise, false));
    for letter in &outcome.dead {
        let line = &noise[letter.offset as usize..][..letter.bytes.len()];
        assert_eq!(line, letter.bytes, "at {}", letter.offset);
    }
}

#[test]
fn random_bytes_between_good_lines_cost_only_themselves() {
    let lines = [
        ssl_json(1).into_bytes(),
        (0x80..=0xff).collect(),
        ssl_json(2).into_bytes(),
        b"\x00\x01\x02\x03".to_vec(),
        ssl_json(3).into_bytes(),
    ];
    let outcome = World::replay_file("ssl.log", lines.join(&b'\n'));
    outcome.assert_counts(0, 3, 2);
    assert_eq!(outcome.dead[0].bytes, lines[1]);
    assert_eq!(outcome.dead[0].reason, "not valid UTF-8");
    assert_eq!(outcome.dead[1].bytes, lines[3]);
    assert_eq!(outcome.dead[1].reason, "not a JSON object");
    for (at, number) in [1, 2, 3].into_iter().enumerate() {
        outcome.assert_spliced(at, &ssl_json(number));
    }
}

#[test]
fn lines_cut_at_any_place_leave_once_each() {
    let whole = ssl_json(1);
    let mut content = whole.clone() + "\n";
    for cut in 1..whole.len() {
        content.push_str(&whole[..cut]);
        content.push('\n');
    }
    let outcome = World::replay_file("ssl.log", &content);
    outcome.assert_counts(0, 1, whole.len() - 1);
    assert!(outcome.dead.iter().all(|letter| whole.as_bytes().starts_with(&letter.bytes)));
}

#[test]
fn rows_cut_at_any_place_leave_once_each() {
    let row = ssl_row(1);
    let row = row.trim_end();
    let mut content = ssl_header();
    for cut in 1..=row.len() {
        content.push_str(&row[..cut]);
        content.push('\n');
    }
    let outcome = World::replay_file("ssl.log", &content);
    // A row whose last cell is cut, or empty, still has all its columns.
    let whole = (1..=row.len()).filter(|&cut| row[..cut].matches('\t').count() == 8).count();
    outcome.assert_counts(0, whole, row.len() - whole);
    let text: Vec<_> = outcome.dead.iter().map(|letter| letter.reason.as_str()).collect();
    assert!(text.iter().all(|reason| *reason == "another number of columns than the header names"), "{text:?}");
}

#[test]
fn rows_with_too_many_columns_are_dead_letters_with_their_place() {
    let bad = "1\t2\t3\t4\t5\t6\t7\t8\t9\t10";
    let content = format!("{}{}{bad}\n{}", ssl_header(), ssl_row(1), ssl_row(2));
    let outcome = World::replay_file("ssl.log", &content);
    outcome.assert_counts(0, 2, 1);
    assert_eq!(outcome.dead[0].bytes, bad.as_bytes());
    assert_eq!(outcome.dead[0].offset as usize, content.find(bad).unwrap());
}

#[test]
fn a_megabyte_in_one_string_leaves_with_its_bytes() {
    let name = "a".repeat(1 << 20);
    let zeek = ssl_json(1).replace("host1.example", &name);
    let outcome = World::replay_file("ssl.log", format!("{}\n{zeek}\n", ssl_json(0)));
    outcome.assert_counts(0, 2, 0).assert_spliced(1, &zeek);

    let event = eve(&format!(r#"{{"sni":"{name}","subject":"CN={name}","issuerdn":"CN={name}"}}"#));
    let outcome = World::replay_file("eve.json", format!("{event}\n"));
    outcome.assert_counts(0, 1, 0).assert_spliced(0, &event);
}

#[test]
fn a_huge_list_of_names_is_counted_and_cut_short_in_the_object() {
    let names: Vec<String> = (0..50_000).map(|number| format!("\"n{number}.example\"")).collect();
    let list = names.join(",");
    let zeek = format!(
        r#"{{"_path":"x509","ts":1773022447.1,"fingerprint":"{}","certificate.serial":"01","certificate.subject":"CN=a","certificate.issuer":"CN=b","san.dns":[{list}]}}"#,
        "ab".repeat(32)
    );
    let outcome = World::replay_file_with("x509.log", format!("{zeek}\n"), &["--detail", "full"]);
    outcome.assert_counts(0, 1, 0).assert_spliced(0, &zeek);
    let san = &outcome.object(0)["certificate"]["san"];
    assert_eq!((san["count"].as_u64(), san["dns"].as_array().map(Vec::len)), (Some(50_000), Some(20)));

    let event = eve(&format!(r#"{{"subject":"CN=a","issuerdn":"CN=b","subjectaltname":[{list}]}}"#));
    let outcome = World::replay_file_with("eve.json", format!("{event}\n"), &["--detail", "full"]);
    outcome.assert_counts(0, 1, 0).assert_spliced(0, &event);
    assert_eq!(outcome.object(0)["certificate"]["san"]["count"].as_u64(), Some(50_000));
}

#[test]
fn a_line_beyond_the_bound_leaves_with_its_beginning_and_the_next_line_is_read() {
    let long = "x".repeat(certsift::decode::MAX_LINE + 1);
    let content = format!("{}\n{long}\n{}\n", ssl_json(1), ssl_json(2));
    let outcome = World::replay_file("ssl.log", &content);
    outcome.assert_counts(0, 2, 1);
    assert_eq!(outcome.dead[0].offset as usize, content.find("\nxxx").unwrap() + 1);
    assert_eq!(outcome.dead[0].bytes.len(), certsift::decode::MAX_OVERSIZE_KEPT);
    assert!(outcome.dead[0].reason.starts_with("longer than 32 MiB"), "{}", outcome.dead[0].reason);
    outcome.assert_spliced(1, &ssl_json(2));
}

#[test]
fn invalid_utf8_costs_its_line_and_no_other() {
    let bad_json = [b"{\"_path\":\"ssl\",\"server_name\":\"".as_slice(), b"\xff\xc3(", b"\"}"].concat();
    let content = [ssl_json(1).as_bytes(), b"\n", &bad_json, b"\n", ssl_json(2).as_bytes()].concat();
    let outcome = World::replay_file("ssl.log", content);
    outcome.assert_counts(0, 2, 1);
    assert_eq!(outcome.dead[0].bytes, bad_json);
    outcome.assert_spliced(0, &ssl_json(1));
    outcome.assert_spliced(1, &ssl_json(2));

    let bad_row = [b"1\tC\t10.0.0.1\t1\t10.0.0.2\t443\t".as_slice(), b"\xe9t\xe9", b"\tT\t-\n"].concat();
    let content = [ssl_header().as_bytes(), ssl_row(1).as_bytes(), &bad_row, ssl_row(2).as_bytes()].concat();
    let outcome = World::replay_file("ssl.log", content);
    outcome.assert_counts(0, 2, 1);
    assert_eq!(outcome.dead[0].bytes, bad_row.trim_ascii_end());
    assert_eq!(outcome.value(1)["server_name"], "host2.example");
}

#[test]
fn deep_nesting_costs_no_stack_and_leaves_as_it_came() {
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let objects = format!("{}1{}", "{\"id\":".repeat(100_000), "}".repeat(100_000));
    for value in [&deep, &objects] {
        for (name, line) in [
            ("ssl.log", format!(r#"{{"_path":"ssl","ts":1773022447.1,"x":{value}}}"#)),
            ("ssl.log", format!(r#"{{"_path":"ssl","ts":1773022447.1,"id":{value},"cert_chain_fps":{value}}}"#)),
            ("eve.json", eve(value)),
            ("eve.json", eve(&format!(r#"{{"subject":{value},"client":{value},"chain":{value}}}"#))),
        ] {
            let outcome = World::replay_file(name, format!("{line}\n"));
            outcome.assert_counts(0, 1, 0).assert_spliced(0, &line);
        }
    }
    let open = "[".repeat(100_000);
    let outcome = World::replay_file("eve.json", format!("{EVE_DNS}\n{{\"a\":{open}\n"));
    outcome.assert_counts(0, 1, 1);
}

#[test]
fn repeated_keys_leave_as_they_came_and_the_last_one_counts() {
    let zeek =
        ssl_json(1).replace(r#""established":true"#, r#""established":true,"server_name":"second.example","ts":1"#);
    let outcome = World::replay_file("ssl.log", &zeek);
    outcome.assert_counts(0, 1, 0).assert_spliced(0, &zeek);

    let event = eve(r#"{"subject":"CN=a","issuerdn":"CN=b","issuerdn":"CN=c"}"#);
    let event = event.replacen('{', r#"{"timestamp":"x","event_type":"dns","#, 1);
    let outcome = World::replay_file("eve.json", format!("{event}\n"));
    outcome.assert_counts(0, 1, 0).assert_spliced(0, &event);
    assert_eq!(outcome.object(0)["certificate"]["issuer"]["dn"], "CN=c");
}

#[test]
fn half_a_surrogate_pair_costs_the_field_and_not_the_record() {
    for half in [r"\ud800", r"\udc00x", r"\ud800\ud800"] {
        let zeek = ssl_json(1).replace("host1.example", half);
        let outcome = World::replay_file("ssl.log", &zeek);
        outcome.assert_counts(0, 1, 0).assert_spliced(0, &zeek);
        assert!(outcome.lines[0].contains("\"server_name:not_text\""), "{}", outcome.lines[0]);

        let in_key = ssl_json(1).replacen('{', &format!("{{\"{half}\":1,"), 1);
        let outcome = World::replay_file("ssl.log", &in_key);
        outcome.assert_counts(0, 1, 0).assert_spliced(0, &in_key);

        let event = eve(&format!(r#"{{"sni":"{half}","subject":"{half}","issuerdn":"CN=b"}}"#));
        let outcome = World::replay_file("eve.json", &event);
        outcome.assert_counts(0, 1, 0).assert_spliced(0, &event);
    }
}

#[test]
fn empty_objects_take_the_object_without_a_comma() {
    let content = format!("{}\n{{}}\n{{ }}\n", ssl_json(1));
    let outcome = World::replay_file("ssl.log", content);
    outcome.assert_counts(0, 3, 0);
    outcome.assert_spliced(1, "{}");
    outcome.assert_spliced(2, "{ }");
    let content = format!("{EVE_DNS}\n{{}}\n");
    let outcome = World::replay_file("eve.json", content);
    outcome.assert_counts(0, 2, 0);
    assert_eq!(outcome.lines, [EVE_DNS, "{}"]);
}

#[test]
fn lines_that_already_hold_an_object_leave_unchanged_and_are_counted() {
    let zeek = ssl_json(1).replace("}", r#","certsift":{"schema":1,"x":[ 1 ]}}"#);
    let content = format!("{zeek}\n{}\n", ssl_json(2));
    let outcome = World::replay_file("ssl.log", content);
    outcome.assert_counts(0, 2, 0);
    assert!(outcome.lines.contains(&zeek));
    assert!(outcome.stderr.contains("1 already enriched"), "{}", outcome.stderr);

    let event = eve("{}").replacen('{', "{\"certsift\":null,", 1);
    let outcome = World::replay_file("eve.json", format!("{event}\n"));
    outcome.assert_counts(0, 1, 0);
    assert_eq!(outcome.lines, [event]);
}

#[test]
fn replaying_the_output_again_changes_nothing() {
    let content = format!("{}\n{}\n{}\n", ssl_json(1), ssl_json(2), ssl_json(3));
    let first = World::replay_file("ssl.log", content);
    let second = World::replay_file("ssl.log", &first.bytes);
    second.assert_counts(0, 3, 0);
    assert_eq!(first.lines, second.lines);
}

#[test]
fn a_column_named_like_the_object_is_not_given_a_second_one() {
    let names = ["ts", "uid", "id.orig_h", "certsift", "established"];
    let content =
        header("ssl", &names, &["time", "string", "addr", "string", "bool"]) + "1773022447.5\tC\t10.0.0.1\tx\tT\n";
    let outcome = World::replay_file("ssl.log", content);
    outcome.assert_counts(0, 1, 0);
    assert_eq!(outcome.lines[0].matches("\"certsift\":").count(), 1, "{}", outcome.lines[0]);
}

#[test]
fn nul_bytes_cost_the_line_that_they_break() {
    let good = ssl_json(1);
    let inside = ssl_json(2).replace("host2", "ho\0st2");
    let content = format!("{good}\n\0\0\0\0{good}\n{inside}\n\0\n{}\n", ssl_json(3));
    let outcome = World::replay_file("ssl.log", &content);
    // NUL before an object, a bare control character in a string, and NUL alone.
    outcome.assert_counts(0, 2, 3);
    assert_eq!(outcome.dead[1].bytes, inside.as_bytes());

    let row = ssl_row(1).replace("host1", "ho\0st1");
    let outcome = World::replay_file("ssl.log", ssl_header() + &row);
    outcome.assert_counts(0, 1, 0);
    assert_eq!(outcome.value(0)["server_name"], "ho\0st1.example");
}

#[test]
fn times_beyond_belief_cost_neither_the_record_nor_its_neighbours() {
    let times = [
        "1e400",
        "-1e400",
        "1e30",
        "-1e30",
        "-1",
        "0",
        "99999999999999999999",
        "1e-60",
        "1E+5",
        "253402300800",
        "18446744073709551615",
        "-9223372036854775808",
        "0.0000000000000000000000000000000000000000000000001",
    ];
    let json: Vec<String> = times.iter().map(|time| ssl_json(1).replace("1773022401.5", time)).collect();
    let outcome = World::replay_file("ssl.log", format!("{}\n{}\n", ssl_json(1), json.join("\n")));
    outcome.assert_counts(0, times.len() + 1, 0);
    for line in &json {
        let open = line.strip_suffix('}').unwrap();
        assert!(outcome.lines.iter().any(|written| written.starts_with(open)), "{line}");
    }
    let rows: String = times.iter().map(|time| ssl_row(1).replace("1773022401.5", time)).collect();
    let outcome = World::replay_file("ssl.log", ssl_header() + &ssl_row(1) + &rows);
    outcome.assert_counts(0, times.len() + 1, 0);
}

/// `model::time` computes the absolute value of an exponent that has none.
#[test]
fn the_smallest_exponent_is_no_time_and_no_panic() {
    let row = ssl_row(1).replace("1773022401.5", "1e-2147483648");
    let outcome = World::replay_file("ssl.log", ssl_header() + &row + &ssl_row(2));
    outcome.assert_counts(0, 2, 0);
}

#[test]
fn validity_times_beyond_belief_are_clamped() {
    let rows: Vec<String> = ["1e30", "-1e30", "253402300800", "-62167219201", "0", "XXXXXXXXXX.XXXXXX"]
        .iter()
        .enumerate()
        .map(|(number, time)| {
            format!(
                r#"{{"_path":"x509","ts":1773022447.1,"fingerprint":"{number:064x}","certificate.serial":"01","certificate.subject":"CN=a","certificate.issuer":"CN=b","certificate.not_valid_before":"-1e30","certificate.not_valid_after":"{time}"}}"#
            )
        })
        .collect();
    let outcome = World::replay_file_with("x509.log", rows.join("\n"), &["--detail", "full"]);
    outcome.assert_counts(0, rows.len(), 0);
    for (line, row) in rows.iter().enumerate() {
        outcome.assert_spliced(line, row);
        for end in ["not_before", "not_after"] {
            let date = &outcome.object(line)["certificate"][end];
            assert!(date.is_null() || date.as_str().is_some_and(|date| date.len() == 20), "{date}");
        }
    }
    assert_eq!(outcome.object(0)["certificate"]["not_after"], "9999-12-31T23:59:59Z");
}

#[test]
fn ports_out_of_range_are_tagged() {
    for port in ["65536", "-1", "1e3", "\"https\"", "443.0", "99999999999999999999999"] {
        let zeek = ssl_json(1).replace("\"id.resp_p\":443", &format!("\"id.resp_p\":{port}"));
        let event = eve("{}").replace("\"dest_port\":443", &format!("\"dest_port\":{port}"));
        for (name, line) in [("ssl.log", zeek), ("eve.json", event)] {
            let outcome = World::replay_file(name, &line);
            outcome.assert_counts(0, 1, 0).assert_spliced(0, &line);
            assert!(outcome.faults(0).contains(&"server_port:not_a_port".to_owned()), "{}", outcome.lines[0]);
        }
    }
}

#[test]
fn addresses_in_every_form_are_read_or_tagged() {
    let cases = [
        ("::1", true),
        ("::ffff:10.0.0.1", true),
        ("2001:db8::1", true),
        ("fe80::1%eth0", true),
        ("[2001:db8::1]", true),
        ("", false),
        ("10.0.0", false),
        ("10.0.0.256", false),
        ("::g", false),
        ("2001:db8::1::2", false),
        ("host", false),
    ];
    for (address, is_read) in cases {
        let zeek = ssl_json(1).replace("\"id.orig_h\":\"10.0.0.1\"", &format!("\"id.orig_h\":\"{address}\""));
        let event = eve("{}").replace("\"src_ip\":\"10.0.0.1\"", &format!("\"src_ip\":\"{address}\""));
        for (name, line) in [("ssl.log", zeek), ("eve.json", event)] {
            let outcome = World::replay_file(name, &line);
            outcome.assert_counts(0, 1, 0).assert_spliced(0, &line);
            let tagged = outcome.faults(0).contains(&"client:not_an_address".to_owned());
            assert_eq!(!tagged, is_read, "{address}");
        }
    }
}

#[test]
fn fields_of_the_wrong_type_cost_themselves_only() {
    for wrong in ["null", "[]", "{}", "true", "0", "\"\"", "[[1]]", "-0.0e-0"] {
        let fields = [
            "ts",
            "uid",
            "id.orig_h",
            "id.resp_h",
            "id.resp_p",
            "version",
            "server_name",
            "resumed",
            "established",
            "cert_chain_fps",
            "client_cert_chain_fps",
            "validation_status",
            "sni_matches_cert",
            "_system_name",
        ];
        let zeek: Vec<_> = fields.iter().map(|field| format!("{{\"_path\":\"ssl\",\"{field}\":{wrong}}}")).collect();
        let outcome = World::replay_file("ssl.log", zeek.join("\n"));
        outcome.assert_counts(0, fields.len(), 0);

        let fields = [
            "fingerprint",
            "id",
            "certificate",
            "certificate.serial",
            "certificate.subject",
            "san.dns",
            "cert",
            "host_cert",
        ];
        let zeek: Vec<_> = fields.iter().map(|field| format!("{{\"_path\":\"x509\",\"{field}\":{wrong}}}")).collect();
        let outcome = World::replay_file("x509.log", zeek.join("\n"));
        outcome.assert_counts(0, fields.len(), 0);

        let fields = [
            "subject",
            "issuerdn",
            "serial",
            "fingerprint",
            "sni",
            "version",
            "notbefore",
            "certificate",
            "chain",
            "client",
            "subjectaltname",
            "session_resumed",
            "ja3s",
        ];
        let events: Vec<_> = fields.iter().map(|field| eve(&format!("{{\"{field}\":{wrong}}}"))).collect();
        let outcome = World::replay_file("eve.json", events.join("\n") + "\n" + &eve(wrong));
        outcome.assert_counts(0, fields.len() + 1, 0);
    }
}
