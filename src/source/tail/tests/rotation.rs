//! Every way in which a log is rotated, done for real.

use std::os::unix::fs::symlink;

use super::*;

const GRACE: u64 = 6;

#[test]
fn a_renamed_file_is_followed_until_its_writer_let_go_of_it() {
    let mut rig = Rig::new(&["ssl.log"]);
    rig.append("ssl.log", "1\n");
    rig.start(vec![]);
    assert_eq!(rig.lines(), ["1\n"]);
    rig.append("ssl.log", "2\n");
    rig.rename("ssl.log", "ssl.2026.log");
    rig.append("ssl.log", "4\n");
    let items = rig.items();
    assert_eq!(lines(&items), ["2\n", "4\n"]);
    // The writer has not noticed yet.
    rig.append("ssl.2026.log", "3\n");
    let items = rig.items();
    assert_eq!((lines(&items), ends(&items)), (vec!["3\n".to_owned()], vec![]));
    rig.append("ssl.2026.log", "cut");
    assert!(rig.items().is_empty());
    rig.pass(GRACE);
    let items = rig.items();
    assert_eq!(lines(&items), ["cut"]);
    assert_eq!(ends(&items), [EndOfFile { cause: EndCause::Gone, unterminated: true, lost: 0 }]);
    rig.append("ssl.log", "5\n");
    assert_eq!(rig.lines(), ["5\n"]);
}

#[test]
fn a_file_renamed_among_the_patterns_is_not_read_again() {
    let mut rig = Rig::new(&["*.log"]);
    rig.append("js_ssl.log", "1\n");
    rig.start(vec![]);
    assert_eq!(rig.lines(), ["1\n"]);
    for name in ["2\n", "3\n", "4\n"] {
        rig.rename("js_ssl.log", "js_ssl.0.log");
        for number in (0..4).rev().filter(|number| rig.path(&format!("js_ssl.{number}.log")).exists()) {
            rig.rename(&format!("js_ssl.{number}.log"), &format!("js_ssl.{}.log", number + 1));
        }
        rig.append("js_ssl.log", name);
        assert_eq!(rig.lines(), [name]);
        rig.pass(GRACE);
        assert_eq!(causes(&rig.items()), [EndCause::Rotated]);
    }
    assert_eq!(rig.state("js_ssl.3.log"), Some(FileState::Finished));
    // What is appended later still is this file's.
    rig.append("js_ssl.3.log", "late\n");
    assert_eq!(rig.lines(), ["late\n"]);
}

#[test]
fn close_ends_a_file_at_once() {
    let mut rig = Rig::new(&["ssl*.log"]);
    rig.append("ssl.log", "#fields\tts\n1\n");
    rig.start(vec![]);
    rig.items();
    rig.append("ssl.log", "2\n#close\t2026-01-01-01-00-00\n");
    let items = rig.items();
    assert_eq!(lines(&items), ["2\n", "#close\t2026-01-01-01-00-00\n"]);
    assert_eq!(causes(&items), [EndCause::Closed]);
    assert_eq!(rig.state("ssl.log"), Some(FileState::Finished));
    rig.rename("ssl.log", "ssl.2026.log");
    rig.append("ssl.log", "#fields\tts\n3\n");
    assert_eq!(rig.lines(), ["#fields\tts\n", "3\n"]);
    // Zeek starts again and truncates a log that it closed.
    rig.append("ssl.log", "#close\n");
    rig.items();
    fs::write(rig.path("ssl.log"), "#fields\tts\n4\n").unwrap();
    assert_eq!(rig.lines(), ["#fields\tts\n", "4\n"]);
}

#[test]
fn a_line_that_only_looks_like_an_end_is_none() {
    let mut rig = Rig::new(&["*.log"]);
    rig.append("a.log", "{\"a\":1}\n#close\n");
    rig.append("b.log", "#fields\tts\n1\n#close\n2\n");
    rig.start(vec![]);
    let items = rig.items();
    assert_eq!((lines(&items).len(), ends(&items)), (6, vec![]));
}

#[test]
fn a_deleted_file_is_read_to_its_end_and_its_successor_from_the_start() {
    let mut rig = Rig::new(&["a.log"]);
    rig.append("a.log", "1\n");
    rig.start(vec![]);
    rig.items();
    let mut writer = OpenOptions::new().append(true).open(rig.path("a.log")).unwrap();
    writer.write_all(b"2\n").unwrap();
    fs::remove_file(rig.path("a.log")).unwrap();
    rig.append("a.log", "new\n");
    assert_eq!(rig.lines(), ["2\n", "new\n"]);
    writer.write_all(b"3\n").unwrap();
    assert_eq!(rig.lines(), ["3\n"]);
    rig.pass(GRACE);
    assert_eq!(causes(&rig.items()), [EndCause::Gone]);
}

#[test]
fn a_symlink_that_is_swapped_leads_to_another_file() {
    let mut rig = Rig::new(&["current.log"]);
    rig.append("a", "a1\n");
    symlink(rig.path("a"), rig.path("current.log")).unwrap();
    rig.start(vec![]);
    assert_eq!(rig.lines(), ["a1\n"]);
    rig.append("a", "a2\n");
    rig.append("b", "b1\n");
    symlink(rig.path("b"), rig.path("next")).unwrap();
    rig.rename("next", "current.log");
    assert_eq!(rig.lines(), ["a2\n", "b1\n"]);
    rig.append("a", "a3\n");
    rig.append("b", "b2\n");
    assert_eq!(rig.lines().len(), 2);
    rig.pass(GRACE);
    assert_eq!(causes(&rig.items()), [EndCause::Gone]);
}

#[test]
fn one_file_under_several_names_is_followed_once() {
    let mut rig = Rig::new(&["*.log", "dir"]);
    fs::create_dir(rig.path("dir")).unwrap();
    rig.append("a.log", "1\n");
    fs::hard_link(rig.path("a.log"), rig.path("dir/hard")).unwrap();
    symlink(rig.path("a.log"), rig.path("soft.log")).unwrap();
    rig.start(vec![]);
    assert_eq!(rig.lines(), ["1\n"]);
    fs::remove_file(rig.path("a.log")).unwrap();
    append(&rig.path("dir/hard"), "2\n");
    assert_eq!(rig.lines(), ["2\n"]);
}

#[test]
fn a_truncated_file_is_another_file() {
    let mut rig = Rig::new(&["a.log"]);
    rig.append("a.log", "one\ntwo\n");
    rig.start(vec![]);
    let before = rig.items();
    rig.append("a.log", "lost\n");
    rig.pass(2);
    let now = rig.now;
    rig.tail.as_mut().unwrap().poll_at(0, now);
    fs::write(rig.path("a.log"), "new\n").unwrap();
    let items = rig.items();
    assert_eq!(lines(&items), ["new\n"]);
    assert_eq!(ends(&items), [EndOfFile { cause: EndCause::Truncated, unterminated: false, lost: 5 }]);
    assert_ne!(chunks(&before)[0].stream, chunks(&items)[1].stream);
    assert_ne!(before[0].file(), items[1].file());
    let counts = rig.tail.as_ref().unwrap().counts();
    assert_eq!((counts.truncations, counts.lost_bytes), (1, 5));
}

#[test]
fn a_truncation_shows_although_the_file_is_as_long_or_longer_again() {
    for new in ["ONE\n", "ONE\nTWO\n", "ONE\nTWO\nTHREE\n"] {
        let mut rig = Rig::new(&["a.log"]);
        rig.append("a.log", "one\ntwo\n");
        rig.start(vec![]);
        rig.items();
        fs::write(rig.path("a.log"), new).unwrap();
        let items = rig.items();
        assert_eq!(lines(&items).concat(), new);
        assert_eq!(causes(&items), [EndCause::Truncated]);
    }
}

#[test]
fn a_file_replaced_before_anything_was_read_of_it_gets_its_own_key() {
    let mut rig = Rig::new(&["a.log"]);
    rig.append("a.log", "one\ntwo\n");
    rig.start(vec![]);
    fs::write(rig.path("a.log"), "ONE\nTWO\n").unwrap();
    let items = rig.items();
    assert_eq!(lines(&items), ["ONE\n", "TWO\n"]);
    assert_eq!(chunks(&items)[0].stream, stream_key(b"ONE\n", false).unwrap());
}

#[test]
fn a_line_that_its_writer_takes_back_is_no_truncation() {
    let mut rig = Rig::new(&["a.log"]);
    rig.append("a.log", "one\npart of a line");
    rig.start(vec![]);
    rig.items();
    let cut = |rig: &Rig, size| File::options().write(true).open(rig.path("a.log")).unwrap().set_len(size).unwrap();
    cut(&rig, 4);
    assert!(rig.items().is_empty());
    rig.append("a.log", "two\n");
    let items = rig.items();
    assert_eq!((lines(&items), ends(&items)), (vec!["two\n".to_owned()], vec![]));
    // Also when the line is so long that its end is looked for piece by piece.
    rig.append("a.log", &"x".repeat(900 * 1024));
    assert!(rig.items().is_empty());
    cut(&rig, 8 + 400 * 1024);
    rig.append("a.log", "\n");
    let items = rig.items();
    assert_eq!((lines(&items)[0].len(), ends(&items)), (400 * 1024 + 1, vec![]));
}

#[test]
fn the_copy_that_copytruncate_makes_is_not_read_again_but_for_what_was_missing() {
    let mut rig = Rig::new(&["a.log*"]);
    rig.append("a.log", "1\n2\n");
    rig.start(vec![]);
    let items = rig.items();
    let stream = chunks(&items)[0].stream;
    fs::copy(rig.path("a.log"), rig.path("a.log.1")).unwrap();
    assert!(rig.items().is_empty());
    assert_eq!(rig.state("a.log.1"), Some(FileState::Copy));
    fs::write(rig.path("a.log"), "new\n").unwrap();
    assert_eq!(rig.lines(), ["new\n"]);
    assert!(rig.items().is_empty());
    // The next time a line is written just before the copy.
    rig.rename("a.log.1", "a.log.2");
    rig.append("a.log", "late\n");
    fs::copy(rig.path("a.log"), rig.path("a.log.1")).unwrap();
    fs::write(rig.path("a.log"), "newer\n").unwrap();
    let mut all = rig.items();
    all.extend(rig.items());
    let mut texts = lines(&all);
    texts.sort();
    assert_eq!(texts, ["late\n", "newer\n"]);
    assert!(chunks(&all).iter().all(|chunk| chunk.stream != stream));
}

#[test]
fn a_copy_that_is_still_being_written_waits_until_it_is_whole() {
    let mut rig = Rig::new(&["a.log*"]);
    rig.append("a.log", "1\n2\n3\n");
    rig.start(vec![]);
    rig.items();
    rig.append("a.log.1", "1\n2");
    assert!(rig.items().is_empty());
    rig.append("a.log.1", "\n3\n");
    assert!(rig.items().is_empty());
    // A file that only begins the same is another file.
    rig.append("a.log.2", "1\nx\n");
    assert!(rig.items().is_empty());
    rig.pass(GRACE);
    assert_eq!(rig.lines(), ["1\n", "x\n"]);
}

#[test]
fn a_file_with_the_inode_of_one_that_was_finished_is_another_file() {
    let mut rig = Rig::new(&["a.log"]);
    let text = "#f\n1\n#close\n";
    rig.append("a.log", text);
    rig.start(vec![]);
    assert_eq!(rig.lines().len(), 3);
    assert_eq!(rig.state("a.log"), Some(FileState::Finished));
    // The same inode and the same length, whether or not this file system would give it away again so soon.
    let before = inode(&rig.path("a.log"));
    fs::write(rig.path("a.log"), text.replace('1', "2")).unwrap();
    assert_eq!(inode(&rig.path("a.log")), before);
    assert_eq!(rig.lines(), ["#f\n", "2\n", "#close\n"]);
    fs::remove_file(rig.path("a.log")).unwrap();
    rig.append("a.log", &text.replace('1', "3"));
    assert_eq!(rig.lines(), ["#f\n", "3\n", "#close\n"]);
}

#[test]
fn a_file_rotated_while_down_is_found_by_its_content() {
    let mut rig = Rig::new(&["ssl*"]);
    rig.append("ssl.log", "1\n2\n");
    rig.start(vec![]);
    let items = rig.items();
    let points = rig.points(&items);
    rig.tail = None;
    rig.append("ssl.log", "3\ncut");
    rig.rename("ssl.log", "ssl.2026-01-01-00-00-00.log");
    rig.append("ssl.log", "4\n");
    rig.start(points);
    let mut texts = rig.lines();
    texts.sort();
    assert_eq!(texts, ["3\n", "4\n"]);
    rig.pass(GRACE);
    let items = rig.items();
    assert_eq!((lines(&items), causes(&items)), (vec!["cut".to_owned()], vec![EndCause::Rotated]));
}

#[test]
fn a_copy_made_while_down_is_found_by_its_content() {
    let mut rig = Rig::new(&["a.log*"]);
    rig.append("a.log", "1\n2\n");
    rig.start(vec![]);
    let items = rig.items();
    let points = rig.points(&items);
    rig.append("a.log", "3\n");
    fs::copy(rig.path("a.log"), rig.path("a.log.1")).unwrap();
    fs::write(rig.path("a.log"), "other\nlines\nlonger\n").unwrap();
    rig.start(points);
    let mut texts = rig.lines();
    texts.sort();
    assert_eq!(texts, ["3\n", "lines\n", "longer\n", "other\n"]);
    assert_eq!(rig.tail.as_ref().unwrap().unresolved(), []);
}

#[test]
fn a_point_whose_file_is_nowhere_is_reported() {
    let mut rig = Rig::new(&["a.log"]);
    rig.append("a.log", "1\n2\n");
    rig.start(vec![]);
    let items = rig.items();
    let points = rig.points(&items);
    fs::remove_file(rig.path("a.log")).unwrap();
    rig.append("a.log", "3\n4\n5\n");
    let tail = rig.start(points.clone());
    assert_eq!(tail.unresolved(), points);
    tail.resolve(points[0].stream);
    assert_eq!(tail.unresolved(), []);
    assert_eq!(rig.lines(), ["3\n", "4\n", "5\n"]);
}
