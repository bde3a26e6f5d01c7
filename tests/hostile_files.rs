//! Files that nobody would leave: odd line ends, joined, cut and damaged archives. What can be read is read, and what
//! cannot is said.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails where it cannot go on")]

mod common;

use std::io::Write as _;
use std::path::PathBuf;

use common::*;

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn ssl_rows(numbers: std::ops::Range<usize>) -> String {
    numbers.map(ssl_row).collect()
}

#[test]
fn blank_lines_and_every_line_end_are_understood() {
    let lines = [ssl_json(1), ssl_json(2), ssl_json(3)];
    for content in [
        lines.join("\n"),
        lines.join("\r\n") + "\r\n",
        format!("\n\n \t \n{}\n\r\n\n{}\n   \n{}\n\n\n", lines[0], lines[1], lines[2]),
        format!("\u{feff}{}", lines.join("\r\n\r\n")),
        lines.iter().map(|line| format!("@cee: {line}\n")).collect(),
        lines.iter().map(|line| format!("@cee:{line}\r\n")).collect(),
        lines.iter().map(|line| format!("  {line}\t\r\n")).collect(),
    ] {
        let outcome = World::replay_file("ssl.log", &content);
        outcome.assert_counts(0, 3, 0);
        for (at, line) in lines.iter().enumerate() {
            outcome.assert_spliced(at, line);
        }
        let events =
            content.replace("\"_path\":\"ssl\"", "\"timestamp\":\"2026-03-09T02:00:00.1+0000\",\"event_type\":\"dns\"");
        let outcome = World::replay_file("eve.json", &events);
        outcome.assert_counts(0, 3, 0);
        assert!(outcome.lines.iter().all(|line| events.contains(line) && line.ends_with('}') && line.starts_with('{')));
    }
}

#[test]
fn rows_with_every_line_end_are_understood() {
    let content = ssl_header() + &ssl_rows(0..3);
    let expected = World::replay_file("ssl.log", &content);
    expected.assert_counts(0, 3, 0);
    let values = |outcome: &Outcome| -> Vec<_> {
        (0..outcome.lines.len())
            .map(|line| {
                let mut value = outcome.value(line);
                // The id follows from the file's content.
                value["certsift"]["id"] = serde_json::Value::Null;
                value
            })
            .collect()
    };
    for changed in [
        content.replace('\n', "\r\n"),
        ssl_header() + &ssl_rows(0..3).replace('\n', "\n\n \t\n"),
        format!("\n\r\n{content}"),
        format!("\u{feff}{content}"),
        content.trim_end().to_owned(),
        content.clone() + "#close\t2026-03-09-01-00-00\n",
        content.clone() + "#close\t2026-03-09-01-00-00",
    ] {
        let outcome = World::replay_file("ssl.log", &changed);
        outcome.assert_counts(0, 3, 0);
        assert_eq!(values(&outcome), values(&expected));
    }
}

#[test]
fn a_dead_letter_holds_the_line_as_it_came() {
    for line in ["@cee: {broken", "\u{feff}{broken", "  {broken \t", "{broken"] {
        let outcome = World::replay_file("eve.json", format!("{EVE_DNS}\n{line}\r\n{EVE_DNS}\n"));
        outcome.assert_counts(0, 2, 1);
        assert_eq!(outcome.dead[0].bytes, line.as_bytes());
        assert_eq!(outcome.dead[0].offset as usize, EVE_DNS.len() + 1);
    }
}

#[test]
fn a_joined_archive_is_read_by_the_header_in_force() {
    let reordered = header("ssl", &["uid", "ts", "id.orig_h", "established"], &["string", "time", "addr", "bool"]);
    let x509 = header("x509", &["ts", "fingerprint", "certificate.subject"], &["time", "string", "string"]);
    let pipes = reordered.replace("\\x09", "\\x7c").replace('\t', "|");
    let conn = header("conn", &["ts", "uid", "id.orig_h"], &["time", "string", "addr"]);
    let content = [
        ssl_header() + &ssl_rows(0..2),
        // Twice the same header, one of them closed without a row.
        ssl_header() + "#close\t2026-03-09-01-00-00\n",
        ssl_header() + &ssl_rows(2..4) + "#close\t2026-03-09-02-00-00\n",
        reordered + "C4\t1773022404.5\t10.0.0.1\tT\n",
        x509 + &format!("1773022405.5\t{}\tCN=x\n", "ab".repeat(32)),
        pipes + "C6|1773022406.5|10.0.0.1|T\n",
        conn + "1773022407.5\tC7\t10.0.0.1\n",
        ssl_header() + "1773022408.5\tcut\n",
    ]
    .concat();
    let outcome = World::replay_file("ssl.log", &content);
    outcome.assert_counts(0, 7, 1);
    assert!(outcome.stderr.contains("1 read and not written"), "{}", outcome.stderr);
    let logs: Vec<_> = (0..7).map(|line| outcome.object(line)["log"].as_str().unwrap().to_owned()).collect();
    assert_eq!(logs.iter().filter(|log| *log == "zeek.x509").count(), 1);
    let uids: Vec<_> = (0..7).filter_map(|line| outcome.value(line)["uid"].as_str().map(str::to_owned)).collect();
    assert_eq!(uids, ["C0", "C1", "C2", "C3", "C4", "C6"]);
}

#[test]
fn a_joined_archive_of_many_tiny_parts_takes_no_time() {
    let content = ssl_header() + &ssl_rows(0..100).replace('\n', "\n#close\t2026\n").repeat(60);
    let outcome = World::replay_file("ssl.log", content);
    outcome.assert_counts(0, 6000, 0);
}

#[test]
fn a_header_that_cannot_cut_rows_is_no_header() {
    let rows = ssl_rows(0..3).replace("host", "hôst");
    let separator_last = ssl_header().replace("#separator \\x09\n", "") + "#separator \\xc3\n";
    let endless = ssl_header().replace("server_name", &"n".repeat(1 << 20));
    for (header, lines, dead) in [(separator_last, 0, 3), (endless, 0, 3)] {
        let outcome = World::replay_file("ssl.log", header.clone() + &rows);
        assert_eq!(outcome.lines.len(), lines);
        // What is no header is a line like any other.
        assert!(outcome.dead.len() >= dead, "{}", outcome.stderr);
    }
}

#[test]
fn one_line_without_an_end_behind_blank_lines_is_a_record() {
    World::replay_file("ssl.log", format!("\n\r\n{}", ssl_json(1))).assert_counts(0, 1, 0);
    World::replay_file("ssl.log", format!("\n{}{}", ssl_header(), ssl_row(1).trim_end())).assert_counts(0, 1, 0);
}

#[test]
fn files_without_a_record_are_empty_and_nothing_is_made_of_them() {
    let world = World::new();
    world.file("empty/ssl.log", "");
    world.file("empty/blank.log", "\n\n  \r\n");
    world.file("empty/x509.log", ssl_header().replace("#path\tssl", "#path\tx509"));
    world.file("empty/closed.log", ssl_header() + "#close\t2026-03-09-01-00-00\n");
    world.file("empty/gz.log.gz", gzip(b""));
    let outcome = world.replay(&[world.input()]);
    outcome.assert_counts(0, 0, 0);
    assert!(outcome.stderr.contains("5 empty files"), "{}", outcome.stderr);
}

#[test]
fn archives_of_several_members_and_frames_are_read_to_their_end() {
    let lines: Vec<String> = (0..6).map(|number| ssl_json(number) + "\n").collect();
    let half = lines[2].len() / 2;
    // Members may end in the middle of a line.
    let parts =
        [lines[..2].concat() + &lines[2][..half], lines[2][half..].to_owned(), String::new(), lines[3..].concat()];
    let members: Vec<u8> = parts.iter().flat_map(|part| gzip(part.as_bytes())).collect();
    let frames: Vec<u8> = parts.iter().flat_map(|part| zstd::encode_all(part.as_bytes(), 1).unwrap()).collect();
    let plain = World::replay_file("ssl.log", parts.concat());
    plain.assert_counts(0, 6, 0);
    for archive in [members, frames] {
        let outcome = World::replay_file("ssl.log.archive", archive);
        outcome.assert_counts(0, 6, 0);
        // The same content gives the same ids.
        assert_eq!(outcome.bytes, plain.bytes);
    }
}

#[test]
fn a_damaged_archive_gives_what_was_read_and_says_where_it_ends() {
    let content: String = (0..2000).map(|number| ssl_json(number) + "\n").collect();
    let whole = gzip(content.as_bytes());
    let garbage = [whole.as_slice(), b"garbage"].concat();
    let outcome = World::replay_file("ssl.log.gz", &garbage);
    outcome.assert_counts(3, 2000, 0);
    assert!(outcome.stderr.contains("cannot read on at byte"), "{}", outcome.stderr);

    let frame = zstd::encode_all(content.as_bytes(), 1).unwrap();
    for archive in [&whole[..whole.len() / 2], &frame[..frame.len() / 2]] {
        let world = World::new();
        let path = world.file("ssl.log.gz", archive);
        let other = world.file("other/ssl.log", ssl_json(1));
        let outcome = world.replay(&[path, other]);
        assert_eq!(outcome.code, 3, "{}", outcome.stderr);
        assert!(outcome.stderr.contains("ssl.log.gz: cannot read on at byte"), "{}", outcome.stderr);
        // The line that the damage cut, if any, is the only one that is not whole.
        assert!(outcome.dead.len() <= 1);
        for letter in outcome.dead.iter().filter(|letter| letter.file.ends_with("ssl.log.gz")) {
            assert_eq!(content.as_bytes()[letter.offset as usize..][..letter.bytes.len()], letter.bytes);
        }
        for line in &outcome.lines {
            let open = line.split(",\"certsift\":").next().unwrap();
            assert!(content.contains(&format!("{open}}}\n")), "{line}");
        }
    }
}

#[test]
fn an_archive_that_is_damaged_from_its_start_is_not_an_empty_file() {
    let whole = gzip(ssl_json(1).as_bytes());
    for archive in [&whole[..2], &whole[..10], &whole[..20]] {
        let outcome = World::replay_file("ssl.log.gz", archive);
        assert_eq!(outcome.code, 3, "{}", outcome.stderr);
    }
}

#[test]
fn a_file_that_begins_late_is_read() {
    let blank = "\n".repeat(1 << 20) + &ssl_json(1);
    let quiet = (ssl_header() + "#close\t2026-03-09-01-00-00\n").repeat(2000) + &ssl_header() + &ssl_row(1);
    for content in [blank, quiet] {
        World::replay_file("ssl.log", content).assert_counts(0, 1, 0);
    }
}

#[test]
fn a_pipe_that_is_named_like_a_file_loses_nothing() {
    let content: String = (0..5000).map(|number| ssl_json(number) + "\n").collect();
    World::new().replay_pipe("/dev/stdin", content.as_bytes()).assert_counts(0, 5000, 0);
}

#[test]
fn a_first_line_beyond_the_bound_does_not_hide_the_format() {
    let long = "x".repeat(certsift::decode::MAX_LINE + 1);
    World::replay_file("ssl.log", format!("{long}\n{}\n", ssl_json(1))).assert_counts(0, 1, 1);
}

#[test]
fn standard_input_is_read_like_a_file() {
    let content: String = (0..5000).map(|number| ssl_json(number) + "\n").collect();
    let file = World::replay_file("ssl.log", &content);
    for input in [content.clone().into_bytes(), gzip(content.as_bytes())] {
        let outcome = World::new().replay_pipe("-", &input);
        outcome.assert_counts(0, 5000, 0);
        assert_eq!(outcome.bytes, file.bytes);
    }
}

#[test]
fn what_cannot_be_opened_is_said_and_the_rest_is_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new();
    let good = world.file("ssl.log", ssl_json(1));
    let closed = world.file("closed/ssl.log", ssl_json(2));
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::File::open(&closed).is_ok() {
        let _ = writeln!(std::io::stderr(), "SKIPPED: this user may read everything");
        return;
    }
    let outcome = world.replay(&[good, closed]);
    outcome.assert_counts(3, 1, 0);
    assert!(outcome.stderr.contains("closed/ssl.log: cannot open"), "{}", outcome.stderr);
}

#[test]
fn a_path_that_leads_nowhere_is_an_error_and_nothing_is_written() {
    let world = World::new();
    let outcome = world.replay(&[world.input().join("missing.log")]);
    assert_eq!((outcome.code, outcome.lines.len()), (1, 0));
    assert!(outcome.stderr.contains("missing.log: no such file"), "{}", outcome.stderr);
    let none: [PathBuf; 0] = [];
    assert_eq!(world.replay(&none).code, 2);
}

#[test]
fn a_folder_of_everything_gives_each_record_once() {
    let world = World::new();
    world.file("ssl.log", ssl_header() + &ssl_rows(0..10));
    world.file("json/ssl.log", ssl_json(1));
    world.file("eve.json", eve("{}") + "\n" + EVE_DNS);
    world.file("eve.1.json.gz", gzip(format!("{EVE_DNS}\n{{cut").as_bytes()));
    world.file(
        "conn.log",
        header("conn", &["ts", "uid", "id.orig_h"], &["time", "string", "addr"]) + "1\tC\t10.0.0.1\n",
    );
    world.file("notes.txt", "not a log\n");
    world.file("picture.png", [0x89, b'P', b'N', b'G', 0, 0xff, b'\n']);
    let outcome = world.replay(&[world.input()]);
    outcome.assert_counts(0, 14, 1);
    for named in ["conn.log", "notes.txt", "picture.png"] {
        assert!(outcome.stderr.contains(named), "{}", outcome.stderr);
    }
}

#[test]
fn file_names_of_attackers_do_not_reach_the_terminal() {
    let world = World::new();
    let path = world.file("\u{1b}[2Jssl\n.log", "no log\n");
    let outcome = world.replay(&[path]);
    outcome.assert_counts(0, 0, 1);
    assert!(!outcome.stderr.contains('\u{1b}'), "{:?}", outcome.stderr);
}
