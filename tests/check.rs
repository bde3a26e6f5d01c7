//! `certsift check` as its users call it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails, and says so")]

mod support;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use certsift::state::StateStore;
use support::{certsift, repository};

const SIGNATURE: &str = "[[signature]]\nid = \"own\"\ntool = \"Own\"\nattack_id = \"S0001\"\nverdict = \"malicious\"\n\
    confidence = \"exact\"\nseverity = \"high\"\nmatch = { field = \"serial\", op = \"eq\", value = \"01\" }\n";

/// A folder with a configuration and what it names.
struct World(tempfile::TempDir);

#[test]
fn without_a_configuration_everything_has_its_default() {
    let world = World::new("");
    let (code, out) = world.check(&[]);
    assert_eq!(code, Some(0), "{out}");
    assert_said(&out, &["every setting has its default", "signatures 324", "8088 names", "errors 0, warnings 0"]);
    let (code, out) = world.check(&["--config", "c.toml"]);
    assert_eq!(code, Some(0), "{out}");
    assert_said(&out, &["all have their default", "usable: errors 0"]);
}

#[test]
fn the_sample_configuration_is_usable() {
    let config = repository("sample_logs/certsift.toml");
    let world = World::new("");
    let (code, out) = world.check(&["-c", config.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{out}");
    for said in ["history.learning.days = 3", ": 18 rows", "domains 1, brands 1", "errors 0, warnings 0"] {
        assert_said(&out, &[said]);
    }
    assert!(!out.contains("history.window"), "it is the default: {out}");
}

#[test]
fn inputs_are_listed_with_what_they_are() {
    let world = World::new(
        "[[input]]\npaths = [\"logs/*.log\", \"nothing/*.log\", \"gone.log\"]\narchives = [\"old/*\", \"none/*\"]\nsensor = \"dmz\"\n",
    );
    for name in ["ssl.log", "x509.log", "conn.log"] {
        let sample = repository("sample_logs/zeek-tsv/current").join(name);
        world.file(&format!("logs/{name}"), &std::fs::read(sample).unwrap());
    }
    world.file("logs/notes.log", b"buy milk\n");
    world.file("logs/new.log", b"");
    world.file("old/ssl.1.log", b"x\n");
    let (code, out) = world.check(&["-c", "c.toml"]);
    assert_eq!(code, Some(0), "warnings alone are no errors: {out}");
    assert_said(
        &out,
        &[
            "sensor dmz",
            "logs/*.log: 5 files",
            "logs/ssl.log: zeek.ssl, TSV, from 2026-03-11T02:14:03.618544Z",
            "logs/x509.log: zeek.x509, TSV, from",
            "warning: logs/conn.log: another log of Zeek, TSV; it is left alone",
            "warning: logs/notes.log: no log that certsift reads; it is left alone",
            "logs/new.log: no record yet",
            "warning: nothing is found at nothing/*.log",
            "warning: nothing is found at gone.log",
            "old/*: 1 file, changed between",
            "warning: none/*: no file matches this pattern",
            "sessions looked at",
        ],
    );
}

#[test]
fn an_input_that_cannot_be_read_is_a_warning() {
    let world = World::new("[[input]]\npaths = [\"logs/*.log\"]\n");
    world.file("logs/ssl.log", b"{\"_path\":\"ssl\",\"ts\":1}\n");
    std::fs::set_permissions(world.path("logs/ssl.log"), std::fs::Permissions::from_mode(0o000)).unwrap();
    // A link to itself cannot be read by anybody, whoever runs the tests.
    std::os::unix::fs::symlink("loop.log", world.path("logs/loop.log")).unwrap();
    let (code, out) = world.check(&["-c", "c.toml"]);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("warning: cannot open logs/loop.log"), "{out}");
    if std::fs::File::open(world.path("logs/ssl.log")).is_err() {
        assert!(out.contains("warning: logs/ssl.log: cannot be read: Permission denied"), "{out}");
    }
}

#[test]
fn a_wrong_signature_file_is_named_with_its_line_and_hides_no_other() {
    let world = World::new("[knowledge]\nsignatures = [\"bad.toml\", \"gone.toml\", \"good.toml\", \"twice.toml\"]\n");
    world.file("bad.toml", SIGNATURE.replace("\"serial\"", "\"seriall\"").as_bytes());
    let example = "[[signature.examples]]\nfires = true\nserial = \"02\"\n";
    world.file("good.toml", format!("{SIGNATURE}{example}").as_bytes());
    world.file("twice.toml", SIGNATURE.replace("\"own\"", "\"cobalt-strike-default-serial\"").as_bytes());
    let (code, out) = world.check(&["-c", "c.toml"]);
    assert_eq!(code, Some(1), "{out}");
    assert_said(
        &out,
        &[
            "error: bad.toml:8: signature `own`: there is no field `seriall`",
            "error: knowledge.signatures: gone.toml: no such file",
            "good.toml: signatures 1 (malicious 1), tools 1, ATT&CK ids 1",
            "warning: good.toml:1: example 1 of own does not come out",
            "error: twice.toml:1: the id `cobalt-strike-default-serial` is already used",
            "not usable: errors 3",
        ],
    );
}

#[test]
fn feeds_are_listed_with_their_rows_and_their_age() {
    let world = World::new("[knowledge]\nfeeds = [\"feeds/*\"]\nallow = \"allow.csv\"\n");
    let sha1 = "6ece5ece4192683d2d84e25b0ba7e04f9cb7eb7c";
    world.file(
        "feeds/sslbl.csv",
        format!("# Listingdate,SHA1,Listingreason\r\n2017-04-04 10:00:00,{sha1},AKBuilder C&C\r\nno row\r\n")
            .as_bytes(),
    );
    world.file(
        "feeds/own.rules",
        b"alert tls any any -> any any (msg:\"a\"; tls.sni; content:\"evil.example\"; endswith; sid:1;)\n\
          alert tls any any -> any any (msg:\"b\"; tls.certs; content:\"|30|\"; sid:2;)\n",
    );
    world.file("allow.csv", b"kind,value,reason,expires\ndomain,evil.example,our own test,2030-01-01\n");
    let (code, out) = world.check(&["-c", "c.toml"]);
    assert_eq!(code, Some(0), "{out}");
    assert_said(
        &out,
        &[
            "feeds/sslbl.csv: SSLBL certificates: SHA-1 1; listed 2017-04-04 to 2017-04-04; changed ",
            "warning: feeds/sslbl.csv: 1 rows are left out: line 3",
            "rules 1, unsupported 1",
            "tls.certs",
            "X509::hash_function = sha1_hash",
            "allow.csv",
        ],
    );
}

#[test]
fn what_the_lists_say_and_cannot_mean_is_a_warning() {
    let world = World::new("[knowledge]\nfeeds = [\"dates.csv\", \"dates.csv\", \"d*.csv\"]\nallow = \"allow.csv\"\n");
    world.file("dates.csv", b"evil.example,2026-11-20\nworse.example,2026-11-20\n");
    world.file(
        "allow.csv",
        b"signature,cobalt-strike-default-serial,x,\nsignature,no-such,x,\nfinding,self_signed,x,\nfinding,selfsigned,x,\n\
          domain,co.uk,x,\nfinding,feed,x,\nfinding,signature,x,\ndomain,github.io,x,\n",
    );
    let (code, out) = world.check(&["-c", "c.toml"]);
    assert_eq!(code, Some(0), "{out}");
    assert_said(
        &out,
        &[
            "dates.csv: CSV without a header: domains 2",
            "warning: dates.csv: without a header a name and a date are taken for an indicator",
            "warning: allow.csv: 1 rows are left out: line 5: the value is a public suffix",
            "warning: allow.csv:2: there is no signature `no-such`",
            "warning: allow.csv:4: there is no finding `selfsigned`",
            "warning: allow.csv:6: `feed` cannot be excepted as a whole, nothing is: except what is listed",
            "warning: allow.csv:7: `signature` cannot be excepted as a whole, nothing is: except signatures by their own ids",
            "warning: allow.csv:8: everybody can have a name below `github.io`",
            "errors 0, warnings 7",
        ],
    );
    assert_eq!(out.matches("domains 2").count(), 1, "a file is one feed, however often it is named: {out}");
}

#[test]
fn columns_that_are_not_used_and_elements_are_named() {
    let world = World::new("[knowledge]\nfeeds = [\"*.feed\"]\n");
    world.file("a.feed", b"domain,reference,parked\nevil.example,https://good.example/,fine.example\n");
    world.file("b.feed", b"evil.example,https://good.example/\n");
    world.file("c.feed", br#"[{"sha1": 1}, {"domain": "evil.example"}, 7]"#);
    world.file("d.feed", b"");
    let (code, out) = world.check(&["-c", "c.toml"]);
    assert_eq!(code, Some(0), "{out}");
    assert_said(
        &out,
        &[
            "a.feed: column 2 (`reference`) is not used: its name says",
            "warning: a.feed: column 3 (`parked`) is not used: the header does not say",
            "warning: b.feed: column 2 is not used: without a header only",
            "where a header calls it `domain`",
            "warning: c.feed: 2 rows are left out: element 1: ",
            "; element 3: ",
            "warning: d.feed: the file is empty",
        ],
    );
}

#[test]
fn a_folder_or_a_pipe_is_no_feed_and_that_is_said() {
    let world = World::new("[knowledge]\nfeeds = [\"folder\", \"null\"]\n");
    std::fs::create_dir(world.path("folder")).unwrap();
    std::os::unix::fs::symlink("/dev/null", world.path("null")).unwrap();
    let (code, out) = world.check(&["-c", "c.toml"]);
    assert_eq!(code, Some(1), "{out}");
    assert_said(&out, &["folder: a folder, not a file", "null: no regular file"]);
}

#[test]
fn no_key_of_the_configuration_waits_at_a_pipe_or_reads_a_folder() {
    const LISTS: [&str; 7] =
        ["feeds", "signatures", "registered", "popular", "trust.roots", "trust.intermediates", "trust.public_cas"];
    const FILES: [&str; 4] = ["allow", "own_certificates", "prefixes", "public_suffix_list"];
    for (place, why) in [("folder", "folder"), ("pipe", "pipe or a device"), ("gone", "no such file")] {
        let lists = LISTS.map(|key| (key, format!("[\"{place}\"]")));
        for (key, value) in lists.into_iter().chain(FILES.map(|key| (key, format!("\"{place}\"")))) {
            let (table, key) = key.split_once('.').unwrap_or(("knowledge", key));
            let world = World::new(&format!("[{table}]\n{key} = {value}\n"));
            std::fs::create_dir(world.path("folder")).unwrap();
            assert!(Command::new("mkfifo").arg(world.path("pipe")).status().unwrap().success());
            let (code, out) = world.check(&["-c", "c.toml"]);
            assert_eq!(code, Some(1), "{key} {place}: {out}");
            assert!(out.contains(&format!("error: {table}.{key}: ")) && out.contains(why), "{key} {place}: {out}");
        }
    }
}

#[test]
fn a_public_suffix_list_that_was_cut_off_is_refused() {
    let world = World::new("[knowledge]\npublic_suffix_list = \"list.dat\"\n");
    world.file("list.dat", b"// ===BEGIN ICANN DOMAINS===\ncom\nco.u");
    let (code, out) = world.check(&["-c", "c.toml"]);
    assert_eq!(code, Some(1), "{out}");
    assert_said(
        &out,
        &["error: knowledge.public_suffix_list: list.dat: a public suffix list that is cut off", ", built in"],
    );
}

#[test]
fn the_table_of_public_cas_that_is_in_force_is_counted() {
    let ca = |name: &str| {
        let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem()
    };
    let world = World::new("[trust]\npublic_cas = [\"ccadb.csv\"]\n");
    world.file("ccadb.csv", [ca("One CA"), ca("Another CA"), ca("One CA")].concat().as_bytes());
    let (code, out) = world.check(&["-c", "c.toml"]);
    assert_eq!(code, Some(0), "{out}");
    assert_said(&out, &["2 names, of CAs up to 1975-01-01, from trust.public_cas"]);
    assert!(!out.lines().any(|line| line.contains("public CAs") && line.contains("built in")), "{out}");
    // What is no certificate costs itself; a download that broke off is no list of all.
    const BAD: &str = "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n";
    world.file("eve.json", b"{\"timestamp\":\"2026-11-21T12:00:00.000000+0000\",\"event_type\":\"tls\",\"tls\":{}}\n");
    let whole = [BAD, &ca("One CA")].concat();
    for (content, code, said) in [
        (&*whole, 0, "ccadb.csv: 1 blocks are no certificate that can be used"),
        (&whole[..whole.len() - 40], 1, "ccadb.csv: it is cut off: its last certificate has no end"),
    ] {
        world.file("ccadb.csv", content.as_bytes());
        assert_said(&world.check(&["-c", "c.toml"]).1, &[said]);
        let output = certsift(&world.path(""), &["replay", "-c", "c.toml", "eve.json"]);
        assert_eq!(output.status.code(), Some(code));
        assert_said(&String::from_utf8_lossy(&output.stderr), &[said]);
    }
}

#[test]
fn an_index_is_compared_with_what_was_built() {
    let world = World::new("[knowledge]\nregistered = [\"all.index\"]\n");
    world.file("list.csv", b"good.com,2026-01-01\nfine.org,2026-01-02\n");
    let built = certsift(&world.path(""), &["feeds", "build", "all.index", "list.csv"]);
    let built = String::from_utf8(built.stdout).unwrap();
    let bytes = std::fs::read(world.path("all.index")).unwrap();
    assert_said(&built, &[&format!("2 registrations, {} bytes", bytes.len()), "\nlook-up  "]);
    let (code, out) = world.check(&["-c", "c.toml"]);
    assert_eq!(code, Some(0), "{out}");
    assert_said(&out, &["all.index: index: 2 rows; ", "all of it is as it was built, by SHA-256"]);
    let (last, rest) = bytes.split_last().unwrap();
    world.file("all.index", &[rest, &[last ^ 1]].concat());
    let (code, out) = world.check(&["-c", "c.toml"]);
    assert_eq!(code, Some(1), "{out}");
    assert_said(&out, &["error: all.index: the index is damaged; build it again"]);
}

#[test]
fn good_signature_files_are_counted_together() {
    let world = World::new("[knowledge]\nsignatures = [\"*.sig\"]\n");
    world.file("a.sig", SIGNATURE.as_bytes());
    let (code, out) = world.check(&["-c", "c.toml"]);
    assert_eq!(code, Some(0), "{out}");
    assert_said(&out, &["together             signatures 325 (malicious 105, dual-use 10, greyware 3, benign 207)"]);
}

#[test]
fn wrong_lists_and_names_are_errors_and_bad_rows_warnings() {
    let world = World::new("[knowledge]\nfeeds = [\"list.csv\", \"c.toml\", \"gone.csv\"]\nwatch_names = [\"abc\"]\n");
    world.file("list.csv", format!("domain,registered\n{}bad\n", "good.com,2026-01-01\n".repeat(20)).as_bytes());
    let (code, out) = world.check(&["-c", "c.toml"]);
    assert_eq!(code, Some(1), "{out}");
    assert_said(
        &out,
        &[
            "list.csv: CSV with named columns: 20 rows",
            "warning: list.csv: 1 rows are left out: line 22",
            "error: c.toml: not JSON of that format",
            "error: knowledge.feeds: gone.csv",
            "error: knowledge.watch_names: number 1, `abc`, is too short",
        ],
    );
}

#[test]
fn a_wrong_configuration_is_said_with_its_line() {
    for (text, expected) in [("[join]\nwait = \"x\"\n", "line 2"), ("[output]\npth = \"x\"\n", "pth")] {
        let (code, out) = World::new(text).check(&["-c", "c.toml"]);
        assert_eq!(code, Some(1), "{out}");
        assert_said(&out, &["error: c.toml", expected, "not usable: errors 1"]);
    }
    let (code, out) = World::new("").check(&["-c", "gone.toml"]);
    assert_eq!(code, Some(1), "{out}");
    assert_said(&out, &["error: gone.toml: cannot read the configuration"]);
    assert_eq!(World::new("").check(&["--unknown"]).0, Some(2));
}

#[test]
fn which_checks_run_is_said_where_not_all_do() {
    let of = |checks: &str| World::new(&format!("[checks]\n{checks}\n")).check(&["-c", "c.toml"]).1;
    assert_said(&of("off = [\"feed\"]"), &["checks               all but feed\n", "usable: errors 0"]);
    assert_said(&of("only = [\"feed\", \"rare_issuer\"]\nhistory = false"), &["checks               only feed\n"]);
    let named = "only = [\"feed\"]\n[knowledge]\nwatch_names = [\"example.org\"]\nregistered = [\"r.csv\"]\nfeeds = [\"f.csv\"]";
    let world = World::new(&format!("[checks]\n{named}\n"));
    world.file("r.csv", b"domain,registered\na.example,2026-01-01\n");
    world.file("f.csv", b"#domain,label\na.example,x\n");
    let (_, out) = world.check(&["-c", "c.toml"]);
    let of_no_use = ["knowledge.registered: is of no use", "knowledge.watch_names: is of no use", "warnings 2"];
    assert_said(&out, &of_no_use);
    let lists = "[knowledge]\nprefixes = \"p.csv\"\n[trust]\nintermediates = [\"i.pem\"]";
    let world = World::new(&format!("[checks]\nonly = [\"unusual_port\"]\nhistory = false\n{lists}\n"));
    world.file("p.csv", b"cidr,asn,owner\n192.0.2.0/24,64500,Example\n");
    let (_, out) = world.check(&["-c", "c.toml"]);
    assert_said(
        &out,
        &[
            "knowledge.prefixes: is of no use",
            "trust.intermediates: is of no use",
            "nothing will be found: of the checks that run (only unusual_port), none speaks but beside",
        ],
    );
    let all = of("history = true");
    assert!(!all.contains("  checks "), "{all}");
    assert_said(&of("only = [\"rare_issuer\"]\nhistory = false"), &["line 2: checks: none would run without history"]);
}

#[test]
fn looking_at_output_and_state_changes_nothing() {
    let world = World::new("[output]\npath = \"out/enriched.ndjson\"\n[state]\ndir = \"state\"\n");
    let (code, out) = world.check(&["-c", "c.toml"]);
    assert_eq!(code, Some(1), "{out}");
    assert_said(&out, &["there is no folder out", "state: not there yet"]);
    std::fs::create_dir(world.path("out")).unwrap();
    let before = world.files();
    let (code, out) = world.check(&["-c", "c.toml"]);
    assert_eq!(code, Some(0), "{out}");
    assert_said(&out, &["out/enriched.ndjson: can be made", "out/enriched.ndjson.dead.ndjson: can be made"]);
    assert_eq!(world.files(), before);
    let state = StateStore::open(&world.path("state")).unwrap();
    let (code, out) = world.check(&["-c", "c.toml"]);
    assert_eq!(code, Some(0), "{out}");
    assert_said(&out, &["in use by another certsift"]);
    drop(state);
    let (before, store) = (world.files(), std::fs::read(world.path("state/certsift.redb")).unwrap());
    let (code, out) = world.check(&["-c", "c.toml"]);
    assert_eq!(code, Some(0), "{out}");
    assert_said(&out, &["store                free, format 5"]);
    assert_eq!(world.files(), before);
    assert_eq!(std::fs::read(world.path("state/certsift.redb")).unwrap(), store);
    std::fs::write(world.path("state/certsift.redb"), "no store").unwrap();
    let (code, out) = world.check(&["-c", "c.toml"]);
    assert_eq!(code, Some(1), "{out}");
    assert_said(&out, &["certsift.redb: cannot be read"]);
}

#[test]
fn an_output_that_cannot_be_written_is_an_error() {
    let world = World::new("[output]\npath = \"folder\"\ndead_letter = \"dead.ndjson\"\n");
    std::fs::create_dir(world.path("folder")).unwrap();
    let (code, out) = world.check(&["-c", "c.toml"]);
    assert_eq!(code, Some(1), "{out}");
    assert_said(&out, &["error: folder: is a folder"]);
    let world = World::new("[output]\npath = \"same\"\ndead_letter = \"same\"\n");
    let (code, out) = world.check(&["-c", "c.toml"]);
    assert_eq!(code, Some(1), "{out}");
    assert_said(&out, &["is the output and the dead-letter file"]);
}

#[test]
fn networks_that_do_not_fit_the_sessions_are_a_warning() {
    let session = r#"{"_path":"ssl","ts":1.5,"id.orig_h":"192.0.2.7","id.resp_h":"198.51.100.1","id.resp_p":443,"established":true}"#;
    for (network, warned) in [("", true), ("[network]\nlocal = [\"192.0.2.0/24\"]\n", false)] {
        let world = World::new(&format!("[[input]]\npaths = [\"ssl.log\"]\n{network}"));
        world.file("ssl.log", format!("{session}\n").repeat(20).as_bytes());
        let (code, out) = world.check(&["-c", "c.toml"]);
        assert_eq!((code, out.contains("warning: most sessions have no local side")), (Some(0), warned), "{out}");
    }
}

impl World {
    fn new(config: &str) -> Self {
        let world = Self(tempfile::tempdir().unwrap());
        world.file("c.toml", config.as_bytes());
        world
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, content: &[u8]) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// The exit code, and what was said; nothing of it on standard error but for mistakes of the command line.
    fn check(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = certsift(self.0.path(), &[&["check"], arguments].concat());
        if output.status.code() != Some(2) {
            assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        }
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    }

    fn files(&self) -> BTreeSet<std::path::PathBuf> {
        fn walk(folder: &Path, found: &mut BTreeSet<std::path::PathBuf>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, found);
                }
                found.insert(path);
            }
        }
        let mut found = BTreeSet::new();
        walk(self.0.path(), &mut found);
        found
    }
}

fn assert_said(out: &str, texts: &[&str]) {
    for text in texts {
        assert!(out.contains(text), "{text}:\n{out}");
    }
}

#[test]
fn an_address_that_others_reach_is_warned_of() {
    let world = World::new("[observe]\nlisten = \"127.0.0.1:9469\"\n");
    let (_, out) = world.check(&["-c", "c.toml"]);
    assert_said(&out, &["http://127.0.0.1:9469/metrics", "warnings 0"]);
    let world = World::new("[observe]\nlisten = \"0.0.0.0:9469\"\nallow_remote = true\n");
    let (_, out) = world.check(&["-c", "c.toml"]);
    assert_said(&out, &["whoever reaches 0.0.0.0:9469 is told", "warnings 1"]);
}
