//! Tables: which of their columns list something, and which only say something of what is listed.

use super::*;

#[test]
fn tables_are_read_by_the_names_of_their_columns() {
    let (feeds, report) = one("domainC2s.csv", "#domain,ioc\nevil.example,Possible Cobaltstrike C2 Domain\nbad,x\n");
    assert_eq!(counts(&report), (1, 0, 0, 0, 1));
    assert_eq!(session(&feeds, "evil.example", "")[0].label.as_deref(), Some("Possible Cobaltstrike C2 Domain"));
    let (feeds, _) = one("IPC2s.csv", "#ip,ioc\n192.0.2.1,Possible Cobaltstrike C2 IP\n");
    assert_eq!(session(&feeds, "", "192.0.2.1")[0].label.as_deref(), Some("Possible Cobaltstrike C2 IP"));
    let own = "serial,issuer,subject,label,expires\n08BB00EE,\"CN=Root, O=Evil\",,stolen,\n0A,,,alone,\n,,\"O=Evil, CN=x\",signed,2020-01-01\n,,,none,\nzz,,,bad,\n";
    let (feeds, report) = one("own.csv", own);
    assert_eq!(counts(&report), (2, 1, 0, 1, 2), "{report:?}");
    assert_eq!(feeds.of_certificate(&by_serial("08:BB:00:EE", "O=Evil, CN=Root"))[0].label.as_deref(), Some("stolen"));
    assert_eq!(feeds.of_certificate(&by_serial("0A", "CN=y"))[0].standing, Standing::SerialAlone);
    let key = format!("spki_sha256,label\n{SHA256},reused key\n");
    let with_key = certificate(|certificate| certificate.spki_sha256 = Sha256Digest::parse(SHA256));
    assert_eq!(one("keys.csv", &key).0.of_certificate(&with_key)[0].kind, MatchKind::SpkiSha256);
    // As those write it who pin keys (RFC 7469), and curl.
    let base64 = "h/IIXDK2osybcJ82XFU+Bye8qhC//s8v0WPPnZTTkMw=";
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, base64).unwrap();
    let with_key = certificate(|certificate| certificate.spki_sha256 = Some(Sha256Digest(bytes.try_into().unwrap())));
    let pin = format!("pin-sha256=\"{base64}\"");
    for text in [
        format!("spki,label\n{base64},x\n"),
        format!("pin,label\n\"pin-sha256=\"\"{base64}\"\"\",x\n"),
        format!("indicator,label\n{pin},x\n"),
        format!("spki_sha256,label\nsha256//{base64},x\n"),
        format!("{pin}\n"),
    ] {
        let (feeds, report) = one("keys.csv", &text);
        assert_eq!(report.used.get(&MatchKind::SpkiSha256), Some(&1), "{text}{report:?}");
        assert_eq!(feeds.of_certificate(&with_key)[0].kind, MatchKind::SpkiSha256);
    }
    let (_, report) = one("keys.csv", "spki,label\nAAAA,x\n");
    assert_eq!(report.first_bad[0].problem, "the hash of the key is not one");
}

#[test]
fn every_column_that_lists_something_is_used() {
    let table = format!(
        "sha1,sha256,domain,url,label,date\n{SHA1},{SHA256},evil.example,https://evil.example/x,RAT,2026-01-02\n\
         ,{SHA256},-,,RAT,\n{SHA1},nonsense,n/a,,RAT,\n,,,,RAT,\n"
    );
    let (feeds, report) = one("iocs.csv", &table);
    assert_eq!(
        (report.format, report.used_total(), report.unsupported, report.bad),
        (Some("CSV with named columns"), 5, 1, 1),
        "{report:?}"
    );
    assert_eq!(
        (report.used[&MatchKind::Sha1], report.used[&MatchKind::Sha256], report.used[&MatchKind::Domain]),
        (2, 2, 1)
    );
    assert_eq!(session(&feeds, "evil.example", "")[0].listed.unwrap().to_string(), "2026-01-02T00:00:00Z");
    for separator in [";", "\t"] {
        let (feeds, report) = one("iocs.csv", &table.replace(',', separator));
        assert_eq!((report.used_total(), report.bad), (5, 1), "{separator:?}: {report:?}");
        assert_eq!(feeds.of_certificate(&by_sha1(SHA1)).len(), 2);
        let by_sha256 = certificate(|certificate| certificate.sha256 = Sha256Digest::parse(SHA256));
        let labels: Vec<_> = feeds.of_certificate(&by_sha256).into_iter().map(|found| found.label).collect();
        assert!(labels.iter().all(|label| label.as_deref() == Some("RAT")), "an empty column is one: {labels:?}");
    }
    // What describes a certificate beside its hash accuses nobody.
    let described = format!("sha1,issuer,subject,reason,date\n{SHA1},\"CN=R3, O=Let's Encrypt\",CN=x,RAT,2026-01-02\n");
    let (_, report) = one("iocs.csv", &described);
    assert_eq!((report.used_total(), report.used.len()), (1, 1), "{report:?}");
    let both = format!("sha256,serial,issuer,date_added,url,ip,port\n{SHA256},0A,CN=x,2026-01-02,,192.0.2.1,8443\n");
    let (feeds, report) = one("iocs.csv", &both);
    assert_eq!(
        report.used.keys().copied().collect::<Vec<_>>(),
        [MatchKind::Sha256, MatchKind::SerialIssuer, MatchKind::Address]
    );
    assert_eq!(session(&feeds, "", "192.0.2.1")[0].port, Some(8443));
}

#[test]
fn a_date_beside_a_name_is_when_it_was_listed() {
    for text in [
        "domain,first_seen\nevil.example,2026-11-20\nworse.example,2026-11-20\n",
        "domain,date\nevil.example,2026-11-20\n",
        "evil.example,2026-11-20,Lumma\nworse.example,2026-11-20,Lumma\n",
        "evil.example;2026-11-20 10:00:00;Lumma\n",
        "2026-11-20,evil.example\n",
        "evil.example\t2026-11-20\n",
    ] {
        let (feeds, report) = one("list.csv", text);
        let found = session(&feeds, "evil.example", "");
        assert_eq!(kinds(&found), [BAD_ONE], "{text}: {report:?}");
        assert_eq!(found[0].listed.map(EventTime::day), EventTime::parse_date("2026-11-20"), "{text}");
        assert_eq!(found[0].label.as_deref(), text.contains("Lumma").then_some("Lumma"));
    }
}

#[test]
fn files_without_their_header_are_read_by_what_stands_in_them() {
    let (feeds, report) =
        one("c2.csv", "evil.example,Possible Cobaltstrike C2 Domain\nworse.example,Possible Cobaltstrike C2 Domain\n");
    assert_eq!((report.format, counts(&report)), (Some("CSV without a header"), (2, 0, 0, 0, 0)));
    assert_eq!(session(&feeds, "evil.example", "")[0].label.as_deref(), Some("Possible Cobaltstrike C2 Domain"));
    let (feeds, _) = one("c2.csv", "192.0.2.1,8443,Possible C2\n192.0.2.2,443,Possible C2\n");
    assert_eq!(session(&feeds, "", "192.0.2.1")[0].port, Some(8443));
    let row = "\"2026-07-04 22:19:04\", \"1\", \"evil.example\", \"domain\", \"x\", \"js.x\", \"None\", \"ClearFake\", \"\", \"40\", \"False\", \"None\", \"\", \"1\", \"a\"\n";
    let (feeds, report) = one("threatfox.csv", row);
    assert_eq!(report.format, Some("ThreatFox without a header"));
    let found = &session(&feeds, "evil.example", "")[0];
    assert_eq!((found.label.as_deref(), found.standing), (Some("ClearFake"), Standing::Doubtful));
}

#[test]
fn columns_about_what_is_listed_accuse_nobody() {
    for name in [
        "reference",
        "Reference URL",
        "source",
        "link",
        "nameserver",
        "ns1",
        "mx",
        "registrar",
        "report_url",
        "sandbox",
        "vt",
        "cname",
        "whois",
        "abuse contact",
        "as_owner",
        "isp",
        "victim_domain",
        "targeted_domain",
        "target",
        "website",
        "sender",
        "recipient",
        "from",
        "homepage",
        "data_source",
        "threat actor site",
        "author_page",
        "brand_domain",
        "legitimate_site",
        "impersonated",
        "something",
        "label",
        "comment",
    ] {
        for (listed, is_known) in [("domain", true), ("c2", false)] {
            let rows = "evil.example,good.example\nworse.example,fine.example\n";
            for text in [format!("{listed},{name}\n{rows}"), format!("# {listed},{name}\n{rows}")] {
                // Words that nobody knows are a remark in a comment, and otherwise as good as each other.
                if !is_known && name == "something" {
                    continue;
                }
                let (feeds, report) = one("list.csv", &text);
                assert_eq!(accused(&feeds, &ASKED), ["evil.example", "worse.example"], "{text}{report:?}");
                assert_eq!(report.bad, 0, "{text}{report:?}");
            }
            let swapped = format!("{name},{listed}\ngood.example,evil.example\nfine.example,worse.example\n");
            if is_known || name != "something" {
                let (feeds, report) = one("list.csv", &swapped);
                assert_eq!(accused(&feeds, &ASKED), ["evil.example", "worse.example"], "{swapped}{report:?}");
            }
        }
    }
    for text in [
        "name,category,website\nGood Bank,phished,good.example\nFine Bank,phished,fine.example\n",
        "date,victim_domain\n2026-11-20,good.example\n2026-11-20,fine.example\n",
    ] {
        let (feeds, report) = one("list.csv", text);
        assert!(feeds.is_empty(), "alone they are as innocent: {text}{report:?}");
        assert!(report.unused_words().unwrap().contains("is not used: its name says that it is about"), "{report:?}");
    }
    let (feeds, report) = one("list.csv", "c2,parked\nevil.example,good.example\nworse.example,fine.example\n");
    assert!(feeds.is_empty() && report.error.is_some(), "nobody can tell which: {report:?}");
    assert_eq!(unused(&report), [(1, false), (2, false)]);
    assert!(report.unused_words().unwrap().contains("column 1 (`c2`) is not used"), "{report:?}");
    let (feeds, report) = one("list.csv", "reference,nameserver\ngood.example,fine.example\n");
    assert!(feeds.is_empty() && report.error.is_some(), "{report:?}");
    let (_, report) = one("list.csv", "domain,reference,parked\nevil.example,https://good.example/,fine.example\n");
    assert_eq!(unused(&report), [(2, true), (3, false)], "{report:?}");
    assert!(!report.unused_words().unwrap().contains("reference"), "its name says enough");
}

#[test]
fn without_a_header_only_the_first_column_that_lists_something_is_used() {
    let both = format!("{SHA1},{SHA256}");
    for (text, expected, left_out) in [
        (
            "evil.example,good.example,x\nworse.example,fine.example,x\n",
            &["evil.example", "worse.example"][..],
            &[2][..],
        ),
        ("evil.example,https://good.example/r\n", &["evil.example"], &[2]),
        ("https://good.example/r,evil.example\n", &["evil.example"], &[1]),
        ("https://evil.example/r,x\nhttps://worse.example/r,x\n", &["evil.example", "worse.example"], &[]),
        ("192.0.2.1,8443,good.example\n", &["192.0.2.1"], &[3]),
        ("evil.example,192.0.2.1\n", &["evil.example"], &[2]),
        ("2026-01-01,192.0.2.1,198.51.100.7\n", &["192.0.2.1"], &[3]),
        // Whose list it is.
        (
            "good.example,evil.example,a\ngood.example,worse.example,b\ngood.example,other.example,c\n",
            &["evil.example", "worse.example"],
            &[1],
        ),
        (&format!("{both},good.example,https://fine.example/\n"), &[], &[3, 4]),
        (&format!("{},good.example,https://fine.example/\n", &SHA1[..32]), &[], &[2, 3]),
        ("0.0.0.0\tevil.example\n0.0.0.0\tworse.example\n", &["evil.example", "worse.example"], &[]),
    ] {
        let (feeds, report) = one("list.csv", text);
        assert_eq!(accused(&feeds, &ASKED), expected, "{text}{report:?}");
        assert_eq!(unused(&report).iter().map(|(number, _)| *number).collect::<Vec<_>>(), left_out, "{text}{report:?}");
        assert_eq!(report.unused_words().is_some(), !left_out.is_empty());
    }
    let (feeds, report) = one("list.csv", &format!("{both},good.example\n"));
    assert_eq!((report.used_total(), feeds.of_certificate(&by_sha1(SHA1)).len()), (2, 1), "{report:?}");
}

#[test]
fn a_row_whose_expiry_cannot_be_read_does_not_hold() {
    let text = "domain,expires\na.example,2027/12/31\nb.example,31.12.2027\nc.example,Dec 31 2027\nd.example,31 Dec 2027\n\
                e.example,12/31/2027\nf.example,\ng.example,-\nh.example,never\ni.example,31.12.2020\n\
                j.example,Dec 31 2020\nk.example,6/7/2027\nl.example,31/12/2027\nm.example,soon\nn.example,12/31/27\n";
    let (feeds, report) = one("list.csv", text);
    let asked: Vec<String> = ('a'..='n').map(|letter| format!("{letter}.example")).collect();
    let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
    assert_eq!(accused(&feeds, &asked), asked[..10], "what has ended still holds for older records");
    assert_eq!((report.expired, report.bad), (2, 4), "{report:?}");
    assert!(report.first_bad.iter().all(|bad| bad.problem == "the expiry is not a date"), "{report:?}");
    let ends = |name: &str| session(&feeds, name, "")[0].expires.map(EventTime::day).map(EventTime::date_text);
    for (names, expected) in
        [(&asked[..5], Some("2027-12-31")), (&asked[5..8], None), (&asked[8..10], Some("2020-12-31"))]
    {
        assert!(names.iter().all(|name| ends(name).as_deref() == expected), "{expected:?}");
    }
    let pattern = r#""pattern_type":"stix","pattern":"[domain-name:value = 'NAME']""#;
    let indicator = |name: &str, until: &str| {
        let pattern = pattern.replace("NAME", name);
        format!(r#"{{"type":"indicator","id":"indicator--1",{pattern},"valid_until":{until}}}"#)
    };
    let objects = [
        indicator("a.example", "\"soon\""),
        indicator("b.example", "null"),
        indicator("c.example", "\"2027-12-31T00:00:00Z\""),
    ];
    let (feeds, report) = one("stix.json", &objects.join("\n"));
    assert_eq!((accused(&feeds, &asked), report.bad), (vec!["b.example", "c.example"], 1), "{report:?}");
}

#[test]
fn a_port_that_cannot_be_read_lists_no_address() {
    for header in ["ip,port,label\n", ""] {
        let text = "192.0.2.1,443/tcp,x\n192.0.2.2,TCP/443,x\n192.0.2.3,443/udp,x\n192.0.2.4,443,x\n192.0.2.5,-,x\n\
                    192.0.2.6,http,x\n192.0.2.7,0,x\n192.0.2.8,70000,x\n192.0.2.9,443/tls,x\n192.0.2.10,8443,x\n\
                    192.0.2.11,8443,x\n192.0.2.12,8443,x\n192.0.2.13,8443,x\n";
        let (feeds, report) = one("list.csv", &format!("{header}{text}"));
        assert_eq!(counts(&report), (9, 0, 0, 0, 4), "{report:?}");
        assert!(report.first_bad.iter().all(|bad| bad.problem == "the port is not one"), "{report:?}");
        let port = |server: &str| session(&feeds, "", server).first().map(|found| found.port);
        for server in ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"] {
            assert_eq!(port(server), Some(Some(443)), "{server}");
        }
        assert_eq!(port("192.0.2.5"), Some(None), "a list of addresses, some with a port");
        for server in ["192.0.2.6", "192.0.2.7", "192.0.2.8", "192.0.2.9"] {
            assert_eq!(port(server), None, "{server}");
        }
    }
    // Beside a domain an address without its port is one that others may share, but in a row of its own.
    let text = "domain,ip,port,label\nevil.example,192.0.2.1,8443,x\nworse.example,192.0.2.2,-,x\na.example,192.0.2.3,,x\n\
                b.example,192.0.2.4,http,x\n,192.0.2.5,,x\n,192.0.2.6,http,x\n";
    let (feeds, report) = one("list.csv", text);
    let asked = ["evil.example", "worse.example", "a.example", "b.example"];
    assert_eq!(accused(&feeds, &asked), asked);
    let asked = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5", "192.0.2.6"];
    assert_eq!(accused(&feeds, &asked), ["192.0.2.1", "192.0.2.5"]);
    assert_eq!(counts(&report), (6, 0, 1, 0, 1), "{report:?}");
    let text = format!("sha1,ip,port\n{SHA1},192.0.2.1,443\n-,192.0.2.2,-\n-,192.0.2.3,443\n");
    let (feeds, report) = one("list.csv", &text);
    assert_eq!(accused(&feeds, &asked), ["192.0.2.1", "192.0.2.3"]);
    assert_eq!(counts(&report), (3, 0, 1, 0, 0), "{report:?}");
}

#[test]
fn a_column_that_says_the_same_in_every_row_lists_nothing() {
    let thrice = |row: &str| (1..4).map(|number| row.replace('#', &number.to_string())).collect::<String>();
    for (text, expected) in [
        (thrice("good.example,2026-11-2#,x\n"), &[][..]),
        (thrice("https://good.example/,x,#\n"), &[]),
        ("c2,seen by\n".to_owned() + &thrice("good.example,#\n"), &[]),
        (thrice("good.example,fine.example,#\n"), &[]),
        (thrice("192.0.2.1,844#,x\n"), &["192.0.2.1"]),
        (thrice("192.0.2.1,844#,good.example\n"), &["192.0.2.1"]),
        // Whose name a header says is not whose list it is, and two rows say little.
        ("domain,added\n".to_owned() + &thrice("evil.example,2026-11-2#\n"), &["evil.example"]),
        ("evil.example,2026-11-20,x\nevil.example,2026-11-21,x\n".to_owned(), &["evil.example"]),
    ] {
        let (feeds, report) = one("list.csv", &text);
        assert_eq!(accused(&feeds, &ASKED), expected, "{text}{report:?}");
        assert_eq!(report.error.is_some(), expected.is_empty(), "{text}{report:?}");
        let says_why = report.unused_words().is_some_and(|words| words.contains("it says the same in every row"));
        assert_eq!(says_why, text.contains("good.example"), "{text}{report:?}");
    }
    let (feeds, _) = one("list.csv", &thrice(&format!("{SHA1},x,2026-11-2#\n")));
    assert_eq!(feeds.of_certificate(&by_sha1(SHA1)).len(), 3);
}

#[test]
fn what_describes_a_row_beside_what_it_lists_is_not_used() {
    for (text, expected, left_out) in [
        ("domain,url\nevil.example,https://good.example/r\n", &["evil.example"][..], &[2][..]),
        ("domain,url\nevil.example,https://evil.example/r\n", &["evil.example"], &[]),
        ("url,tags\nhttps://evil.example/r,x\n", &["evil.example"], &[]),
        ("md5,url\nx,https://good.example/r\n", &[], &[2]),
        ("id,url,detail_url,online\n1,https://evil.example/,https://good.example/r,yes\n", &["evil.example"], &[3]),
        ("url,c2\nhttps://good.example/r,evil.example\n", &[], &[1, 2]),
        ("domain,ip\nevil.example,192.0.2.1\n", &["evil.example"], &[2]),
        ("domain,ip,port\nevil.example,192.0.2.1,443\n", &["evil.example", "192.0.2.1"], &[]),
        ("ip,country\n192.0.2.1,DE\n", &["192.0.2.1"], &[]),
        ("ip,hostname\n192.0.2.1,good.example\n", &["192.0.2.1"], &[2]),
        ("hostname,ip\nevil.example,192.0.2.1\n", &["evil.example"], &[2]),
        ("url,ip,host\nhttps://evil.example/x,192.0.2.1,good.example\n", &["192.0.2.1"], &[1, 3]),
        ("serial,hostname,label\n0A,good.example,x\n", &[], &[2]),
        (&format!("sha1,ip,hostname\n{SHA1},192.0.2.1,good.example\n"), &[], &[2, 3]),
        (&format!("sha1,domain,label\n{SHA1},evil.example,x\n"), &["evil.example"], &[]),
    ] {
        let (feeds, report) = one("list.csv", text);
        assert_eq!(accused(&feeds, &ASKED), expected, "{text}{report:?}");
        assert_eq!(unused(&report).iter().map(|(number, _)| *number).collect::<Vec<_>>(), left_out, "{text}{report:?}");
    }
    // In a row of its own an address lists itself. A URL does not: it may be where something else was reported.
    let text = "domain,ip,url,label\nevil.example,192.0.2.9,,x\n,192.0.2.1,https://good.example/r,x\n,,https://worse.example/x,x\n";
    let (feeds, report) = one("list.csv", text);
    assert_eq!(
        accused(&feeds, &["evil.example", "192.0.2.9", "192.0.2.1", "good.example", "worse.example"]),
        ["evil.example", "192.0.2.1"]
    );
    assert_eq!((counts(&report), report.error.is_none()), ((2, 0, 1, 0, 0), true), "{report:?}");
    let words = report.unused_words().unwrap();
    assert!(words.contains("column 2 (`ip`)") && words.contains("only in rows where nothing else stands"), "{words}");
    let (feeds, _) = one("list.csv", "indicator,url,label\nevil.example,,x\n,https://good.example/blog,x\n");
    assert_eq!(accused(&feeds, &ASKED), ["evil.example"]);
    let (feeds, _) = one("list.csv", "ip,dst_ip,label\n192.0.2.1,198.51.100.9,x\n,198.51.100.7,x\n");
    assert_eq!(accused(&feeds, &["192.0.2.1", "198.51.100.9", "198.51.100.7"]), ["192.0.2.1", "198.51.100.7"]);
    // Beside a hash, a serial number or a key that is not there an address lists nothing.
    for name in ["sha1", "md5", "serial", "spki_sha256"] {
        let text = format!("{name},domain,ip,label\n,evil.example,,x\n-,,192.0.2.1,x\n");
        let (feeds, report) = one("list.csv", &text);
        assert_eq!(accused(&feeds, &ASKED), ["evil.example"], "{text}{report:?}");
        assert!(!report.unused_words().unwrap().contains("nothing else stands"), "{report:?}");
    }
    // The names of a certificate do not take the place of what is left out.
    let text = format!("sha1,hostname,issuer,label\n{SHA1},good.example,CN=R3,x\n,good.example,CN=R3,x\n");
    let (_, report) = one("list.csv", &text);
    assert_eq!((counts(&report), report.error.is_none()), ((1, 0, 1, 0, 0), true), "{report:?}");
    let (_, report) = one("list.csv", "domain,reference,label\nevil.example,,x\n,https://good.example/,x\n");
    assert_eq!(counts(&report), (1, 0, 0, 0, 1), "a row without what the list is of is a bad one: {report:?}");
    // Where all columns are left out there is nothing to be used, and that is an error.
    let (_, report) = one("list.csv", "md5,url,md5_hash\nx,https://good.example/r,y\n");
    assert_eq!((report.bad, report.error.is_some()), (1, true), "{report:?}");
}

#[test]
fn a_cell_may_hold_several_indicators_of_one_kind() {
    let (feeds, report) = one(
        "list.csv",
        "domain,label\nevil.example|worse.example,x\n\"a.example b.example, c.example\",x\nevil.example|192.0.2.1,x\n\
         good.example or fine.example,x\nhttps://d.example/?a|b.example,x\nhttps://e.example/x https://f.example/,x\n",
    );
    assert_eq!((report.used_total(), report.bad), (8, 2), "{report:?}");
    assert_eq!(report.first_bad.iter().map(|bad| bad.row).collect::<Vec<_>>(), [4, 5]);
    assert_eq!(report.first_bad[0].problem, "several values that are not of one kind");
    let asked = ["evil.example", "worse.example", "a.example", "b.example", "c.example", "d.example", "e.example"];
    assert_eq!(accused(&feeds, &asked), asked);
    assert_eq!(accused(&feeds, &["f.example", "good.example", "fine.example", "192.0.2.1"]), ["f.example"]);
    let many = format!("domain,label\n\"{}\",x\n", "evil.example ".repeat(300));
    assert_eq!(counts(&one("list.csv", &many).1), (0, 0, 0, 0, 1), "a cell is bounded");
}
