//! The formats of publishers: which rows list what, and what they only say.

use std::collections::BTreeSet;

use super::*;
use crate::knowledge::test_corpus;

#[test]
fn sslbl_is_read_in_every_order_of_its_columns_and_packed_or_not() {
    let published = format!(
        "#####\r\n# abuse.ch SSLBL #\r\n#\r\n# Listingdate,SHA1,Listingreason\r\n2024-09-02 06:17:52,{SHA1},AKBuilder C&C\r\n\
         2024-09-01 00:00:00,nonsense,X C&C\r\nyesterday,nothing,X C&C\r\n"
    );
    // A date that cannot be read costs the date only.
    let undated = published.replace("2024-09-02 06:17:52", "yesterday");
    let (feeds, report) = one("undated", &undated);
    assert_eq!((counts(&report), feeds.of_certificate(&by_sha1(SHA1))[0].listed), ((1, 0, 0, 0, 2), None));
    let reordered =
        format!("\u{feff}SHA1,ListingReason,ListingDate\r\n{SHA1},AKBuilder C&C,9/2/2024 6:17\r\nbad,x,y\r\n,,\r\n");
    let renamed = format!(
        "ssl_hash,metadata_date,metadata_date_epoch,metadata_description,metadata_reference\n\
         {SHA1},2024-09-02 06:17:52,1725257872,AKBuilder C&C,https://sslbl.abuse.ch\nx,,,,\ny,,,,\n"
    );
    let bare = format!("2024-09-02 06:17:52,{SHA1},AKBuilder C&C\n");
    for (text, bad) in [(&published, 2), (&reordered, 2), (&renamed, 2), (&bare, 0)] {
        for bytes in [text.as_bytes().to_vec(), zipped(text), zstd::encode_all(text.as_bytes(), 1).unwrap()] {
            let (feeds, reports) = load(&[("sslbl.csv.gz", &bytes)]);
            let report = &reports[0];
            assert_eq!(counts(report), (1, 0, 0, 0, bad), "{text}\n{report:?}");
            assert_eq!(report.first_bad.len() as u64, bad);
            let found = feeds.of_certificate(&by_sha1(SHA1));
            assert_eq!((&*found[0].feed, &*found[0].indicator), ("sslbl", SHA1));
            assert_eq!(found[0].label.as_deref(), Some("AKBuilder C&C"));
            assert!(found[0].listed.unwrap().to_string().starts_with("2024-09-02T06:17"));
            assert_eq!(report.newest, found[0].listed);
            assert!(feeds.of_certificate(&by_sha1(&SHA1.replace('6', "7"))).is_empty());
            assert_eq!(feeds.listed_fields(), ListedFields { sha1: true, ..ListedFields::default() });
        }
    }
    assert_eq!(one("a", &published).1.first_bad[0].row, 6);
    assert_eq!(one("a", &published).1.version, one("b", &published).1.version);
    assert_ne!(one("a", &published).1.version, one("b", &bare).1.version);
}

#[test]
fn sslbl_ja3_only_explains_and_addresses_have_a_port() {
    let ja3 = "# ja3_md5,Firstseen,Lastseen,Listingreason\r\nb386946a5a44d1ddcc843bc75336dfce,2017-07-14 18:08:15,2019-07-27 20:42:54,Dridex\r\n\
               b386946a5a44d1ddcc843bc75336dfcf,2017-07-14 18:08:15,2019-07-27 20:42:54,\r\nshort,,,\r\n";
    let (feeds, report) = one("ja3.csv", ja3);
    assert_eq!(counts(&report), (0, 2, 0, 0, 1));
    let listed = feeds.of_fingerprint(crate::model::Ja3::parse("B386946A5A44D1DDCC843BC75336DFCE").unwrap());
    assert_eq!(
        (listed.len(), listed[0].standing, listed[0].label.as_deref()),
        (1, Standing::Informative, Some("Dridex"))
    );
    assert!(feeds.list_fingerprints() && !feeds.ask_for_certificates());
    let addresses =
        "# Firstseen,DstIP,DstPort\r\n2024-01-01 00:00:00,192.0.2.1,4443\r\n2024-01-01 00:00:00,192.0.2.2,x\r\n";
    let (feeds, report) = one("ip.csv", addresses);
    assert_eq!(counts(&report), (1, 0, 0, 0, 1));
    assert_eq!(session(&feeds, "", "192.0.2.1")[0].port, Some(4443));
}

#[test]
fn zeek_intelligence_is_read_by_its_fields() {
    let text = format!(
        "#fields\tindicator_type\tmeta.source\tindicator\tmeta.desc\tmeta.do_notice\n\
         Intel::CERT_HASH\tsslbl\t{}\tCobaltStrike\tT\nIntel::CERT_HASH\tmine\t{SHA256}\t-\tT\n\
         Intel::DOMAIN\tsrc1\tEvil.Example\t-\t-\nIntel::ADDR\tsrc1\t192.0.2.1\t-\t-\nIntel::SUBNET\tsrc1\t198.51.100.0/24\t-\t-\n\
         Intel::URL\tsrc1\turl.example:8080/x.php\t-\t-\nIntel::EMAIL\tsrc1\ta@b.example\t-\t-\nIntel::PUBKEY_HASH\tx\taa:bb\t-\t-\n\
         Intel::CERT_HASH\tx\tabc\t-\t-\nIntel::DOMAIN\tx\t192.0.2.7\t-\t-\nonly\n",
        SHA1.to_uppercase()
    );
    let (feeds, report) = one("intel.dat", &text);
    assert_eq!(counts(&report), (6, 0, 2, 0, 3), "{report:?}");
    assert_eq!(report.unsupported_by_reason["EMAIL"], 1);
    assert_eq!(feeds.of_certificate(&by_sha1(SHA1))[0].label.as_deref(), Some("CobaltStrike"));
    let sha256 = certificate(|certificate| certificate.sha256 = Sha256Digest::parse(SHA256));
    assert_eq!(feeds.of_certificate(&sha256)[0].label.as_deref(), Some("mine"));
    assert_eq!(kinds(&session(&feeds, "evil.example", "203.0.113.1")), [BAD_ONE]);
    assert_eq!(kinds(&session(&feeds, "url.example", "")), [BAD_ONE]);
    assert_eq!(kinds(&session(&feeds, "", "198.51.100.9")), [(MatchKind::Network, Standing::Malicious)]);
}

#[test]
fn suricata_datasets_are_read_in_base64_and_in_json() {
    use base64::Engine as _;
    let base64 = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let fingerprint = "6e:ce:5e:ce:41:92:68:3d:2d:84:e2:5b:0b:a7:e0:4f:9c:b7:eb:7c";
    let strings = [fingerprint, "08:BB:00:EE", ".evil.example", "not a name at all"].map(base64).join("\n");
    let (feeds, report) = one("set.lst", &strings);
    assert_eq!((report.format, counts(&report)), (Some("Suricata dataset"), (2, 1, 1, 0, 0)), "{report:?}");
    assert_eq!(feeds.of_certificate(&by_sha1(SHA1)).len(), 1);
    let serial = feeds.of_certificate(&by_serial("08:BB:00:EE", "CN=x"));
    assert_eq!(kinds(&serial), [(MatchKind::Serial, Standing::SerialAlone)]);
    assert_eq!(kinds(&session(&feeds, "www.evil.example", "")), [BAD_ONE]);
    let reputation = format!("{},42\n{SHA256},7\n192.0.2.1,9\nevil.example,3\n", base64(fingerprint));
    assert_eq!(counts(&one("rep.lst", &reputation).1), (4, 0, 0, 0, 0));
    let lines =
        "{\"domain\": \".evil.com\", \"malware\": \"X\"}\n{\"domain\": \"b.example\"}\n{\"domain\": 5}\n".repeat(4);
    let (feeds, report) = one("set.ndjson", &lines);
    assert_eq!(report.used_total(), 8, "{report:?}");
    assert_eq!(session(&feeds, "a.evil.com", "")[0].label.as_deref(), Some("X"));
    let list = format!(
        "[{{\"x\": [1], \"sha256\": \"{SHA256}\"}}, {{\"ip\": \"192.0.2.1\"}}, {{\"serial\": \"08:BB:00:EE\"}}, {{}}]"
    );
    assert_eq!(counts(&one("set.json", &list).1), (2, 1, 0, 0, 1));
    let described =
        r#"{"url":"https://good.example/r","host":"fine.example","domain":"evil.example","ip":"192.0.2.1"}"#;
    let by_host = r#"{"url":"https://good.example/r","host":"worse.example"}"#;
    let (feeds, report) = one("set.ndjson", &format!("{described}\n{by_host}\n"));
    assert_eq!(accused(&feeds, &ASKED), ["evil.example", "worse.example"], "{report:?}");
}

#[test]
fn suricata_rules_match_whichever_sensor_logged_the_certificate() {
    let fingerprint = "6e:ce:5e:ce:41:92:68:3d:2d:84:e2:5b:0b:a7:e0:4f:9c:b7:eb:7c";
    let rules = [
        format!(r#"alert tls $EXTERNAL_NET any -> $HOME_NET any (msg:"SSLBL: Malicious SSL certificate detected (AsyncRAT C&C)"; tls.fingerprint:"{fingerprint}"; reference:url, sslbl.abuse.ch/ssl-certificates/sha1/1c/; sid:902205477; rev:1;)"#),
        r#"alert tls $EXTERNAL_NET any -> $HOME_NET any (msg:"ET MALWARE JEUSD CnC"; flow:established,to_client; tls.cert_serial; content:"01:90:17:98:AF:94:1C:5E"; classtype:command-and-control; sid:2026944; rev:2; metadata:created_at 2019_02_20, updated_at 2020_01_01;)"#.to_owned(),
        r#"alert tls any any -> any any (msg:"two\; names"; tls_cert_subject; content:"CN=evil.example"; nocase; endswith; tls_cert_issuer; content:"O=Let's Encrypt"; content:!"Staging"; classtype:domain-c2; sid:3;)"#.to_owned(),
        r#"alert tls any any -> any any (msg:"sni"; tls.sni; dotprefix; content:".evil.example"; nocase; endswith; fast_pattern; sid:4;)"#.to_owned(),
        r#"alert tls any any -> any any (msg:"pcre"; tls.cert_subject; content:"CN="; pcre:"/^[a-z]{8}\.top$/R"; sid:5;)"#.to_owned(),
        r#"alert tls any any -> any any (msg:"old"; tls.subject:"CN=x/emailAddress=a@b"; tls.issuerdn:!"O=Real"; sid:6;)"#.to_owned(),
        r#"alert tls any any -> any any (msg:"ET INFO Let's Encrypt"; tls.cert_issuer; content:"O=Let's Encrypt"; classtype:misc-activity; sid:7;)"#.to_owned(),
        "#alert tls any any -> any any (msg:\"off\"; tls.sni; content:\"off.example\"; sid:8;)".to_owned(),
        r#"alert tls any any -> any any (msg:"ja3"; ja3.hash; content:"906004246f3ba5e755b043c057254a29"; sid:9;)"#.to_owned(),
        r#"alert tls any any -> any any (msg:"bits"; flowbits:isset,x; tls.sni; content:"a.example"; sid:10;)"#.to_owned(),
        r#"alert tls [1.2.3.4] any -> any any (msg:"addresses"; tls.sni; content:"a.example"; sid:11;)"#.to_owned(),
        r#"alert tls any any -> any any (msg:"look-ahead"; tls.sni; pcre:"/a(?=b)/"; sid:12;)"#.to_owned(),
        r#"alert tls $EXTERNAL_NET 8443 -> $HOME_NET any (msg:"port"; tls.cert_subject; content:"CN=port.example"; bsize:15; sid:13;)"#.to_owned(),
        "alert this is no rule -> at all (x)".to_owned(),
        r#"alert tls any any -> any any (msg:"hex"; tls.cert_subject; content:"|43 4e 3d|Hex"; startswith; content:"|2c 20|O=b"; distance:1; within:6; isdataat:!1,relative; sid:14;)"#.to_owned(),
    ];
    let (feeds, report) = one("et.rules", &rules.join("\n"));
    assert_eq!((report.used_total(), report.context, report.unsupported, report.bad), (8, 1, 4, 1), "{report:#?}");
    let unsupported: Vec<_> = report.first_unsupported.iter().map(|row| row.what.as_str()).collect();
    assert_eq!(unsupported, ["sid 9: ja3.hash", "sid 10: flowbits", "sid 11: addresses in the header", "sid 12: pcre"]);

    let sids =
        |matches: Vec<FeedMatch>| matches.into_iter().map(|found| found.indicator.to_string()).collect::<Vec<_>>();
    let found = feeds.of_certificate(&by_sha1(SHA1));
    assert_eq!((found[0].label.as_deref(), found[0].kind), (Some("AsyncRAT C&C"), MatchKind::Sha1));
    for serial in ["01:90:17:98:AF:94:1C:5E", "00:01:90:17:98:AF:94:1C:5E"] {
        let found = feeds.of_certificate(&by_serial(serial, "CN=x"));
        assert_eq!(kinds(&found), [(MatchKind::Serial, Standing::Malicious)]);
        assert_eq!(found[0].listed.unwrap().to_string(), "2019-02-20T00:00:00Z");
    }
    let named = |subject: DistinguishedName, issuer: &str| {
        sids(feeds.of_certificate(&certificate(|certificate| {
            certificate.subject = Some(subject);
            certificate.issuer = Some(DistinguishedName::from_suricata(issuer));
        })))
    };
    let suricata = DistinguishedName::from_suricata;
    let zeek = DistinguishedName::from_rfc2253;
    let lets = "C=US, O=Let's Encrypt, CN=R3";
    assert_eq!(named(suricata("C=US, CN=Evil.Example"), lets), ["sid:3", "sid:7"]);
    assert_eq!(named(zeek("CN=Evil.Example,C=US"), lets), ["sid:3", "sid:7"]);
    assert_eq!(named(zeek("C=US,CN=evil.example"), lets), ["sid:7"], "the name has to stand last");
    assert_eq!(named(zeek("CN=evil.example"), "O=Let's Encrypt, CN=Staging"), ["sid:7"]);
    assert_eq!(named(suricata("O=x, CN=abcdefgh.top"), "CN=y"), ["sid:5"]);
    assert!(named(suricata("O=x, CN=abcdefghi.top"), "CN=y").is_empty());
    assert_eq!(named(zeek("emailAddress=a@b,CN=x"), "O=Other"), ["sid:6"]);
    assert!(named(zeek("emailAddress=a@b,CN=x"), "O=Real").is_empty());
    assert_eq!(named(suricata("CN=Hexxy, O=b"), "O=Real"), ["sid:14"]);
    assert!(named(suricata("CN=Hexxy, O=bc"), "O=Real").is_empty());
    assert_eq!(sids(session(&feeds, "evil.example", "")), ["sid:4"]);
    assert_eq!(sids(session(&feeds, "www.evil.example", "")), ["sid:4"]);
    assert!(session(&feeds, "notevil.example", "").is_empty());
    assert!(session(&feeds, "off.example", "").is_empty());
    let port = feeds.of_certificate(&certificate(|certificate| {
        certificate.subject = Some(suricata("CN=port.example"));
    }));
    assert_eq!(port[0].port, Some(8443));
}

#[test]
fn misp_events_exports_and_warning_lists_are_read() {
    let event = format!(
        r#"{{"Event":{{"info":"OSINT: evil","Attribute":[
        {{"type":"x509-fingerprint-sha1","value":"{SHA1}","to_ids":true,"comment":"Cobalt Strike","timestamp":"1700000000","uuid":"u"}},
        {{"type":"domain","value":"evil.example","to_ids":false,"comment":"","timestamp":"1700000000"}},
        {{"type":"ip-dst|port","value":"192.0.2.1|8443","to_ids":true}},
        {{"type":"hostname","value":"gone.example","to_ids":true,"deleted":true}},
        {{"type":"ja3-fingerprint-md5","value":"b386946a5a44d1ddcc843bc75336dfce","to_ids":true}},
        {{"type":"md5","value":"b386946a5a44d1ddcc843bc75336dfce","to_ids":true}},
        {{"type":"x509-fingerprint-sha256","value":"short","to_ids":true}}],
        "Object":[{{"name":"x509","Attribute":[
          {{"type":"text","object_relation":"serial-number","value":"08:BB:00:EE","to_ids":true,"comment":""}},
          {{"type":"text","object_relation":"issuer","value":"/C=US/O=Evil/CN=Root","to_ids":false}},
          {{"type":"x509-fingerprint-sha256","object_relation":"x509-fingerprint-sha256","value":"{SHA256}","to_ids":true}}]}}]}}}}"#
    );
    let wrapped = format!(r#"{{"response":[{event}]}}"#);
    let listed = format!("[{event}]");
    for text in [&event, &wrapped, &listed] {
        let (feeds, report) = one("event.json", text);
        assert_eq!(counts(&report), (4, 4, 1, 1, 1), "{report:?}");
        let client = feeds.of_fingerprint(crate::model::Ja3::parse("b386946a5a44d1ddcc843bc75336dfce").unwrap());
        assert_eq!(kinds(&client), [(MatchKind::Ja3, Standing::Informative)]);
        let found = feeds.of_certificate(&by_sha1(SHA1));
        assert_eq!((found[0].label.as_deref(), found[0].row), (Some("Cobalt Strike"), 1));
        assert_eq!(kinds(&session(&feeds, "evil.example", "")), [(MatchKind::Domain, Standing::Informative)]);
        assert_eq!(session(&feeds, "", "192.0.2.1")[0].port, Some(8443));
        let found = feeds.of_certificate(&by_serial("08:BB:00:EE", "C=US, O=Evil, CN=Root"));
        assert_eq!(kinds(&found), [(MatchKind::SerialIssuer, Standing::Malicious)]);
        assert_eq!(&*found[0].indicator, "08:BB:00:EE of /C=US/O=Evil/CN=Root");
        assert!(feeds.of_certificate(&by_serial("08:BB:00:EE", "CN=Other")).is_empty());
    }
    let attributes =
        format!(r#"{{"response":{{"Attribute":[{{"type":"x509-fingerprint-sha1","value":"{SHA1}","to_ids":"1"}}]}}}}"#);
    assert_eq!(counts(&one("attributes.json", &attributes).1), (1, 0, 0, 0, 0));
    let csv = format!(
        "uuid,event_id,category,type,value,comment,to_ids,date,object_relation\n\
         \"u\",1,\"Network activity\",\"domain\",\"evil.example\",\"a, b\",1,1700000000,\"\"\n\
         \"u\",1,\"Network activity\",\"x509-fingerprint-sha1\",\"{SHA1}\",\"\",0,1700000000,\"\"\nshort\n"
    );
    let (feeds, report) = one("misp.csv", &csv);
    assert_eq!(
        (counts(&report), session(&feeds, "evil.example", "")[0].label.as_deref()),
        ((1, 1, 0, 0, 1), Some("a, b"))
    );
    let manifest = r#"{"5a1b2c3d-0000-4000-8000-000000000001":{"info":"x","Orgc":{"name":"y"},"date":"2026-01-01"}}"#;
    assert_eq!(one("manifest.json", manifest).1.format, Some("MISP manifest"));
}

#[test]
fn what_is_well_known_is_said_beside_other_rows_only() {
    let names = r#"{"name":"Top 1000 sites","version":1,"type":"hostname","list":[".google.example","com",7,null],"matching_attributes":[]}"#;
    let parts = r#"{"name":"CDN","type":"substring","list":["cdn-","x"]}"#;
    let shapes = r#"{"name":"Shapes","type":"regex","list":["/^edge[0-9]+\\./i","(?=x)"]}"#;
    let networks = r#"{"name":"Cloud","type":"cidr","list":["192.0.2.0/24"]}"#;
    let addresses = "192.0.2.1\n192.0.2.2\n";
    let all = [("a.json", names), ("b.json", parts), ("c.json", shapes), ("d.json", networks), ("bad.txt", addresses)];
    let (feeds, reports) = load(&all.map(|(name, text)| (name, text.as_bytes())));
    assert!(reports.iter().all(|report| report.error.is_none()), "{reports:#?}");
    assert_eq!(reports[2].unsupported, 1);
    assert_eq!((reports[0].context, reports[0].bad), (3, 1), "an odd entry costs itself");
    assert!(session(&feeds, "www.google.example", "203.0.113.1").is_empty());
    assert!(session(&feeds, "www.google.example", "192.0.2.9").is_empty());
    let found = session(&feeds, "www.google.example", "192.0.2.1");
    assert_eq!(found.len(), 3);
    let remarks: Vec<_> = found.iter().map(|found| found.standing).filter(|standing| standing.is_remark()).collect();
    assert_eq!(remarks, [Standing::WellKnown, Standing::Category], "a cloud network is no popular name");
    assert_eq!(session(&feeds, "edge7.cdn-a.example", "192.0.2.1").len(), 4);
    let (feeds, report) = one("top-1m.csv", "1,google.com\n2,youtube.com\n3,com\n");
    assert_eq!((report.format, counts(&report)), (Some("popular names"), (0, 3, 0, 0, 0)));
    assert!(session(&feeds, "google.com", "").is_empty());
    for (header, is_popular) in
        [("rank,domain\n", true), ("# GlobalRank,Domain\n", true), ("id,domain\n", false), ("# no,domain\n", false)]
    {
        let (feeds, report) = one("list.csv", &format!("{header}1,evil.example\n2,worse.example\n3,other.example\n"));
        assert_eq!(report.format == Some("popular names"), is_popular, "{header}{report:?}");
        assert_eq!(accused(&feeds, &["evil.example"]).is_empty(), is_popular, "{header}");
    }
}

#[test]
fn stix_bundles_are_read_with_their_times() {
    let bundle = format!(
        r#"{{"type":"bundle","id":"bundle--1","objects":[
        {{"type":"indicator","name":"CS","pattern_type":"stix","pattern":"[x509-certificate:hashes.'SHA-1' = '{SHA1}' OR x509-certificate:hashes.'SHA-256' IN ('{SHA256}')]","valid_from":"2024-01-01T00:00:00Z","valid_until":"2025-01-01T00:00:00Z","created":"2024-01-02T00:00:00.000Z"}},
        {{"type":"indicator","pattern":"[x509-certificate:serial_number = '08:bb:00:ee' AND x509-certificate:issuer = 'CN=Root, O=Evil']","valid_from":"2024-01-01T00:00:00Z"}},
        {{"type":"indicator","pattern":"[x509-certificate:subject = 'C=US, O=Evil Signing Ltd']","valid_from":"2024-01-01T00:00:00Z"}},
        {{"type":"indicator","pattern":"[domain-name:value = 'evil.example'] OR [ipv4-addr:value = '192.0.2.1']","valid_from":"2024-01-01T00:00:00Z"}},
        {{"type":"indicator","pattern":"[domain-name:value = 'gone.example']","valid_from":"2024-01-01T00:00:00Z","revoked":true}},
        {{"type":"indicator","pattern":"[file:name = 'x']","valid_from":"2024-01-01T00:00:00Z"}},
        {{"type":"indicator","pattern":"[domain-name:value LIKE 'x%']","valid_from":"2024-01-01T00:00:00Z"}},
        {{"type":"indicator","pattern":"alert tcp","pattern_type":"snort","valid_from":"2024-01-01T00:00:00Z"}},
        {{"type":"indicator"}},
        {{"type":"malware","name":"x"}},
        {{"type":"x509-certificate","is_self_signed":true,"hashes":{{"SHA-1":"{}"}},"serial_number":"36:f7:d4:32:f4:ab:70:ea","issuer":"C=ZA, O=Thawte","subject":"CN=x"}}]}}"#,
        SHA1.replace('6', "7")
    );
    let (feeds, report) = one("bundle.json", &bundle);
    assert_eq!(counts(&report), (6, 2, 3, 3, 1), "{report:?}");
    let found = feeds.of_certificate(&by_sha1(SHA1));
    let at = |text: &str| found[0].holds_at(EventTime::parse_iso8601(text));
    // What was listed later holds for older records too.
    assert_eq!(
        (at("2023-12-31T23:59:59Z"), at("2024-06-01T00:00:00Z"), at("2025-01-01T00:00:00Z")),
        (true, true, false)
    );
    assert_eq!(found[0].label.as_deref(), Some("CS"));
    let found = feeds.of_certificate(&by_serial("08:BB:00:EE", "O=Evil, CN=Root"));
    assert_eq!(found[0].kind, MatchKind::SerialIssuer);
    let found = feeds.of_certificate(&certificate(|certificate| {
        certificate.subject = Some(DistinguishedName::from_rfc2253("O=Evil Signing Ltd,C=US"));
    }));
    assert_eq!(kinds(&found), [(MatchKind::Subject, Standing::Malicious)]);
    assert_eq!(feeds.of_certificate(&by_sha1(&SHA1.replace('6', "7")))[0].standing, Standing::Informative);
    assert_eq!(session(&feeds, "evil.example", "192.0.2.1").len(), 2);
}

#[test]
fn threatfox_and_urlhaus_are_read() {
    let new = "################\r\n# \"first_seen_utc\",\"ioc_id\",\"ioc_value\",\"ioc_type\",\"threat_type\",\"fk_malware\",\"malware_alias\",\"malware_printable\",\"last_seen_utc\",\"confidence_level\",\"is_compromised\",\"reference\",\"tags\",\"anonymous\",\"reporter\"\r\n\
        \"2026-07-04 22:19:04\", \"1\", \"evil.example\", \"domain\", \"payload_delivery\", \"js.clearfake\", \"None\", \"ClearFake\", \"\", \"100\", \"False\", \"None\", \"ClearFake,windows\", \"1\", \"anonymous\"\r\n\
        \"2026-07-04 22:19:04\", \"2\", \"shop.example\", \"domain\", \"x\", \"x\", \"None\", \"ClearFake\", \"\", \"100\", \"True\", \"None\", \"\", \"1\", \"a\"\r\n\
        \"2026-07-04 22:19:04\", \"3\", \"192.0.2.1:443\", \"ip:port\", \"x\", \"x\", \"None\", \"CS\", \"\", \"49\", \"False\", \"None\", \"\", \"1\", \"a\"\r\n\
        \"2026-07-04 22:19:04\", \"4\", \"https://url.example/x\", \"url\", \"x\", \"x\", \"None\", \"CS\", \"\", \"75\", \"False\", \"None\", \"\", \"1\", \"a\"\r\n\
        \"2026-07-04 22:19:04\", \"5\", \"aa\", \"sha256_hash\", \"x\", \"x\", \"None\", \"CS\", \"\", \"75\", \"False\", \"None\", \"\", \"1\", \"a\"\r\n\
        \"2026-07-04 22:19:04\", \"6\", \"localhost\", \"domain\", \"x\"\r\n# Number of entries: 6\r\n";
    let (feeds, report) = one("threatfox.csv", new);
    assert_eq!((report.format, counts(&report)), (Some("ThreatFox"), (2, 2, 1, 0, 1)), "{report:?}");
    let found = session(&feeds, "evil.example", "");
    assert_eq!((found[0].label.as_deref(), found[0].confidence), (Some("ClearFake"), Some(100)));
    assert_eq!(session(&feeds, "shop.example", "")[0].standing, Standing::Compromised);
    let found = session(&feeds, "", "192.0.2.1");
    assert_eq!((found[0].standing, found[0].port), (Standing::Doubtful, Some(443)));
    let old = "# \"first_seen_utc\",\"ioc_id\",\"ioc_value\",\"ioc_type\",\"threat_type\",\"fk_malware\",\"malware_alias\",\"malware_printable\",\"last_seen_utc\",\"confidence_level\",\"reference\",\"tags\",\"anonymous\",\"reporter\"\n\
        \"2021-07-04 22:19:04\", \"1\", \"evil.example\", \"domain\", \"x\", \"x\", \"None\", \"Old\", \"\", \"100\", \"None\", \"\", \"1\", \"a\"\n";
    assert_eq!(session(&one("old.csv", old).0, "evil.example", "")[0].label.as_deref(), Some("Old"));
    let urlhaus = "# id,dateadded,url,url_status,last_online,threat,tags,urlhaus_link,reporter\r\n\
        \"3786237\",\"2026-02-26 12:05:20\",\"http://182.126.120.150:58801/i\",\"online\",\"2026-02-26 12:05:20\",\"malware_download\",\"32-bit,elf,mips,Mozi\",\"https://urlhaus.abuse.ch/url/3786237/\",\"geenensp\"\r\n\
        \"1\",\"2026-02-26 12:05:20\",\"https://raw.githubusercontent.com/x/y\",\"online\",\"\",\"malware_download\",\"None\",\"\",\"g\"\r\n\
        \"2\",\"2026-02-26 12:05:20\",\"https://Evil.Example/y\",\"online\",\"\",\"malware_download\",\"None\",\"\",\"g\"\r\n\"3\",\"\",\"\"\r\n";
    let (feeds, report) = one("urlhaus.csv", urlhaus);
    assert_eq!((report.format, counts(&report)), (Some("URLhaus"), (2, 0, 1, 0, 1)), "{report:?}");
    let found = session(&feeds, "", "182.126.120.150");
    assert_eq!(
        (found[0].port, found[0].label.as_deref()),
        (Some(58801), Some("malware_download (32-bit,elf,mips,Mozi)"))
    );
    assert_eq!(kinds(&session(&feeds, "evil.example", "")), [BAD_ONE]);
}

#[test]
fn plain_lists_are_read_in_the_spellings_of_blocklists() {
    let text = format!(
        "# Type: Phishing\n# Generated on: 2025-09-06 07:15:34\n\nevil.example\n*.wild.example\n||blocked.example^\n||third.example^$third-party\n\
         local-zone: \"zone.example\" always_nxdomain\n0.0.0.0 hosts.example # remark\n127.0.0.1\tlocalhost\n{SHA1}\n{}\n192.0.2.1\n198.51.100.0/24\n\
         192.0.2.9:8443\n! comment\nEVIL.org.\ntwo words.example\nlocalhost\n{}\n",
        SHA256.to_uppercase(),
        &SHA1[..32]
    );
    let (feeds, report) = one("list.txt", &text);
    assert_eq!(counts(&report), (12, 0, 1, 0, 2), "{report:?}");
    assert_eq!(report.used[&MatchKind::Domain], 7);
    for name in [
        "evil.example",
        "wild.example",
        "a.wild.example",
        "x.blocked.example",
        "third.example",
        "zone.example",
        "evil.org",
    ] {
        assert_eq!(kinds(&session(&feeds, name, "")), [BAD_ONE], "{name}");
    }
    assert_eq!(kinds(&session(&feeds, "www.evil.example", "")), [(MatchKind::ParentDomain, Standing::Malicious)]);
    assert!(session(&feeds, "notevil.example", "").is_empty());
    let hosts = session(&feeds, "hosts.example", "");
    assert_eq!((hosts[0].label.as_deref(), hosts[0].row), (Some("remark"), 9));
    let evil = &session(&feeds, "evil.example", "")[0];
    assert_eq!(
        (evil.label.as_deref(), evil.listed.unwrap().to_string().as_str()),
        (Some("Phishing"), "2025-09-06T07:15:34Z")
    );
    let (feeds, _) = one("shared.txt", "github.io\nexample.com\n");
    assert!(session(&feeds, "somebody.github.io", "").is_empty(), "a provider's suffix is above everybody");
    let (bare, _) = one("nrd-1w.csv", "new.example\n");
    assert_eq!(session(&bare, "new.example", "")[0].standing, Standing::Informative);
    let all =
        one("list.txt", "# Time of Compilation: 2024-09-10 07:44:36 UTC\n# Number of entries: 1\nnew.example\n").0;
    assert_eq!(session(&all, "new.example", "")[0].standing, Standing::Informative);
}

#[test]
fn names_in_certificates_are_looked_up() {
    let (feeds, _) = one("list.txt", "evil.example\nother.example\n");
    let found = feeds.of_certificate(&certificate(|certificate| {
        let mut san = crate::model::SubjectAltNames::default();
        ["*.Evil.example", "www.other.example", "fine.example"].iter().for_each(|name| san.push_dns(name));
        certificate.san = Some(san);
        certificate.subject = Some(DistinguishedName::from_rfc2253("CN=evil.example"));
    }));
    assert_eq!(kinds(&found), [BAD_ONE, (MatchKind::ParentDomain, Standing::Malicious)]);
    assert_eq!((found[0].field, &*found[0].observed), ("san.dns", "evil.example"));
}

#[test]
#[allow(clippy::print_stdout, reason = "the counts are worth seeing")]
fn both_copies_of_sslbl_give_the_same_fingerprints() {
    let names = ["feeds/sslblacklist.csv", "feeds/sslblacklist-reordered-columns.csv"];
    let [Some(published), Some(copy)] = names.map(test_corpus::path) else { return };
    let sets: Vec<BTreeSet<String>> = [&published, &copy]
        .map(|path| {
            let (feeds, reports) = Feeds::load(std::slice::from_ref(path), now());
            let report = &reports[0];
            assert_eq!((report.bad, report.unsupported, &report.error), (0, 0, &None), "{report:?}");
            let text = std::fs::read_to_string(path).unwrap();
            let digests = text.split([',', '\n', '\r']).filter(|part| Sha1Digest::parse(part).is_some());
            let digests: Vec<&str> = digests.collect();
            assert_eq!(report.used[&MatchKind::Sha1], digests.len() as u64);
            let is_found = |digest: &&&str| !feeds.of_certificate(&by_sha1(digest)).is_empty();
            let found: BTreeSet<String> = digests.iter().filter(is_found).map(|digest| (*digest).to_owned()).collect();
            assert_eq!(found.len(), digests.iter().collect::<BTreeSet<_>>().len());
            found
        })
        .into();
    let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| a.difference(b).count();
    // The copy was made five weeks later.
    println!(
        "published {}, copy {}, only published {}, only copy {}",
        sets[0].len(),
        sets[1].len(),
        only(&sets[0], &sets[1]),
        only(&sets[1], &sets[0])
    );
    assert_eq!(only(&sets[0], &sets[1]), 0);
}

#[test]
#[allow(clippy::print_stdout, reason = "the counts are worth seeing")]
fn real_lists_of_names_and_warning_lists_load() {
    let names = [
        ("feeds/nrd-phishing-14day", 3159, 0),
        ("feeds/nrd-phishing-14day-adblock", 3159, 0),
        ("feeds/misp-warninglist-dynamic-dns.json.gz", 0, 35_467),
        ("feeds/misp-warninglist-tranco10k.json.gz", 0, 10_000),
        ("feeds/misp-warninglist-mozilla-CA.json.gz", 0, 516),
    ];
    for (name, used, context) in names {
        let Some(path) = test_corpus::path(name) else { return };
        let (_, reports) = Feeds::load(&[path], now());
        let report = &reports[0];
        println!("{name}: {:?} {:?}", report.format, counts(report));
        assert_eq!((report.used_total(), report.context, report.bad), (used, context, 0), "{report:?}");
    }
}

#[test]
fn a_listed_suffix_does_not_accuse_everybody_below_it() {
    let (feeds, _) = one("names.txt", "github.io\n||co.uk^\n");
    let hosted = certificate(|certificate| {
        let mut names = crate::model::SubjectAltNames::default();
        names.push_dns("*.github.io");
        certificate.san = Some(names);
    });
    assert!(feeds.of_certificate(&hosted).is_empty());
    assert!(session(&feeds, "me.github.io", "192.0.2.1").is_empty());
    assert_eq!(kinds(&session(&feeds, "bbc.co.uk", "192.0.2.1")), [(MatchKind::ParentDomain, Standing::Malicious)]);
}

#[test]
fn stix_and_misp_are_read_in_every_packing() {
    let indicator = |name: &str, types: &str| {
        format!(
            r#"{{"type":"indicator","id":"indicator--{name}","spec_version":"2.1","created":"2024-01-01T00:00:00Z","modified":"2024-01-01T00:00:00Z","pattern":"[domain-name:value = '{name}.example']","pattern_type":"stix","indicator_types":{types}}}"#
        )
    };
    let (a, b) = (indicator("a", r#""malicious-activity""#), indicator("b", r#""compromised""#));
    let observed = r#"{"type":"domain-name","id":"domain-name--1","spec_version":"2.1","value":"observed.example"}"#;
    for text in [
        format!(r#"{{"more":true,"objects":[{observed},{a},{b}]}}"#),
        format!("[{observed},{a},{b}]"),
        format!("{observed}\n{a}\r\n\n{b}\n"),
        format!("{{\"type\":\"bundle\",\"objects\":[{observed},{a}]}}\n{{\"type\":\"bundle\",\"objects\":[{b}]}}\n"),
    ] {
        let (feeds, report) = one("stix.json", &text);
        assert_eq!((report.format, counts(&report)), (Some("STIX bundle"), (1, 1, 0, 0, 0)), "{text}\n{report:?}");
        assert_eq!(kinds(&session(&feeds, "a.example", "")), [BAD_ONE]);
        assert_eq!(session(&feeds, "b.example", "")[0].standing, Standing::Compromised);
        assert!(session(&feeds, "observed.example", "").is_empty());
    }
    assert_eq!(counts(&one("one.json", &a).1), (1, 0, 0, 0, 0));
    let (_, report) = one("stix.json", &format!("{a}\n{{\"type\":\n{b}\n"));
    assert_eq!((counts(&report), report.first_bad[0].row), ((1, 1, 0, 0, 1), 2), "a broken line costs itself");

    let event = |name: &str| {
        format!(
            r#"{{"Event":{{"info":"{name}","Attribute":[{{"type":"domain","value":"{name}.example","to_ids":true}}]}}}}"#
        )
    };
    let attribute = r#"{"type":"domain","value":"c.example","to_ids":true}"#;
    // Longer than a line of a text may be.
    let long = event("b").replace("\"info\"", &format!("\"note\":\"{}\",\"info\"", "x".repeat(100_000)));
    let (feeds, report) = one("events.json", &format!("{}\n{long}\n{attribute}\n", event("a")));
    assert_eq!((report.format, counts(&report)), (Some("MISP"), (3, 0, 0, 0, 0)), "{report:?}");
    assert!(["a", "b", "c"].iter().all(|name| session(&feeds, &format!("{name}.example"), "").len() == 1));
    let (_, report) = one("attributes.json", &format!("{attribute}\n{attribute}\n"));
    assert_eq!((report.format, counts(&report)), (Some("MISP"), (2, 0, 0, 0, 0)), "{report:?}");
}

#[test]
fn a_rule_may_be_of_several_lines_and_its_latest_revision_counts() {
    let rule = |name: &str, rest: &str| {
        format!("alert tls any any -> any any \\\r\n  (msg:\"{name}\"; tls.sni; \\\n  content:\"{name}\"; {rest})\n")
    };
    let rules = [
        "# switched off, with a path C:\\\n".to_owned(),
        rule("a.example", "sid:1; rev:2;"),
        rule("b.example", "sid:2;"),
        "alert tls any any -> any any (msg:\"older\"; tls.sni; content:\"older.example\"; sid:1; rev:1;)\n".to_owned(),
        "alert tls any any -> any any (msg:\"other\"; tls.sni; content:\"other.example\"; gid:7; sid:1; rev:1;)\n"
            .to_owned(),
        format!("alert tls any any -> any any (msg:\"x\"; tls.fingerprint:\"{}\"; sid:3; rev:1;)\n", colons(SHA1)),
        rule("c.example", "sid:3; rev:10;"),
        // The file ends within a rule.
        "alert tls any any -> any any \\\n(msg:\"end\"; tls.sni; content:\"end.example\"; sid:4;) \\".to_owned(),
    ];
    let (feeds, report) = one("own.rules", &rules.concat());
    assert_eq!((report.format, counts(&report)), (Some("Suricata rules"), (5, 0, 0, 2, 0)), "{report:?}");
    let row = |name: &str| session(&feeds, name, "").first().map(|found| found.row);
    assert_eq!((row("a.example"), row("b.example"), row("c.example")), (Some(2), Some(5), Some(11)));
    assert_eq!((row("older.example"), row("other.example"), row("end.example")), (None, Some(9), Some(14)));
    assert!(feeds.of_certificate(&by_sha1(SHA1)).is_empty(), "the later revision asks for something else");
    // A later revision that cannot be told takes the earlier one out of force all the same, in any order.
    let old = rule("old.example", "sid:5; rev:1;");
    let new = rule("new.example", "flowbits:isset,x; sid:5; rev:2;");
    for rules in [format!("{old}{new}"), format!("{new}{old}")] {
        let (feeds, report) = one("own.rules", &rules);
        assert_eq!((counts(&report), session(&feeds, "old.example", "").len()), ((0, 0, 2, 0, 0), 0), "{report:?}");
        let said: Vec<_> = report.unsupported_by_reason.keys().map(String::as_str).collect();
        assert_eq!(said, ["a later revision that is not supported", "flowbits"]);
    }
    let (feeds, _) = one("own.rules", &format!("{}{old}", new.replace("rev:2", "rev:0")));
    assert_eq!(session(&feeds, "old.example", "").len(), 1, "an earlier one says nothing of it");
    // Rules that lie across the pieces in which a file is read, and one that never ends.
    let many: String = (0..40_000).map(|number| rule(&format!("h{number}.example"), "")).collect();
    let (feeds, report) = one("own.rules", &(many + &"alert tls \\\n".repeat(100_000)));
    assert_eq!((report.used_total(), report.bad), (40_000, 1), "{report:?}");
    assert_eq!(session(&feeds, "h39999.example", "")[0].row, 39_999 * 3 + 1);
}

#[test]
fn a_row_of_misp_csv_may_be_of_several_lines() {
    let header = "uuid,event_id,category,type,value,comment,to_ids,date\n";
    let csv = format!(
        "{header}\"u\",1,\"x\",\"domain\",\"a.example\",\"seen at\n# this, and\nsay \"\"that\"\"\",1,1700000000\n\
         \"u\",1,\"x\",\"domain\",\"b.example\",\"\",1,1700000000\nu,1,x,domain,c.example,5\" wide,1,1700000000\n\
         \"u\",1,\"x\",\"domain\",\"d.example\",\"never closed,1,1700000000\n\"u\",1,\"x\",\"domain\",\"e.example\",\"\",1,1700000000\n"
    );
    let (feeds, report) = one("misp.csv", &csv);
    let row = |name: &str| session(&feeds, name, "").first().map(|found| found.row);
    assert_eq!((row("a.example"), row("b.example"), row("c.example")), (Some(2), Some(5), Some(6)), "{report:?}");
    assert_eq!(session(&feeds, "a.example", "")[0].label.as_deref(), Some("seen at\n# this, and\nsay \"that\""));
    assert_eq!((row("e.example"), report.bad), (Some(8), 1), "{report:?}");
    // Rows that lie across the pieces in which a file is read.
    let row = |number: usize| {
        format!("\"u\",1,\"x\",\"domain\",\"h{number}.example\",\"one\ntwo {}\",1,1700000000\n", "x".repeat(100))
    };
    let (feeds, report) = one("misp.csv", &(header.to_owned() + &(0..40_000).map(row).collect::<String>()));
    assert_eq!((report.used_total(), report.bad), (40_000, 0), "{report:?}");
    assert_eq!(session(&feeds, "h39999.example", "")[0].row, 80_000);
}
