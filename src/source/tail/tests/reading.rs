//! Lines, offsets, fairness, back-pressure, resuming.

use super::*;

#[test]
fn only_whole_lines_are_handed_out_with_their_offsets() {
    let mut rig = Rig::new(&["*.log"]);
    rig.append("a.log", "one\ntw");
    rig.start(vec![]);
    let items = rig.items();
    assert_eq!(lines(&items), ["one\n"]);
    rig.append("a.log", "o\nthree\n");
    let items = rig.items();
    let chunk = chunks(&items)[0];
    assert_eq!((chunk.offset, &chunk.bytes[..]), (4, &b"two\nthree\n"[..]));
    assert!(rig.items().is_empty());
}

#[test]
fn what_began_since_the_last_look_is_found_when_it_is_asked_for() {
    let mut rig = Rig::new(&["*.log"]);
    rig.start(vec![]);
    rig.append("a.log", "one\n");
    let metadata = rig.path("a.log").metadata().unwrap();
    let tail = rig.tail.as_mut().unwrap();
    assert!(!tail.handles(&metadata));
    tail.find();
    assert!(tail.handles(&metadata) && tail.is_following(stream_key(b"one\n", false).unwrap()));
    assert_eq!(lines(&rig.items()), ["one\n"]);
}

#[test]
fn nothing_is_handed_out_before_the_first_data_line_is_complete() {
    let mut rig = Rig::new(&["*.log"]);
    rig.append("a.log", "#fields\tts\n");
    rig.start(vec![]);
    assert!(rig.items().is_empty());
    assert_eq!(rig.state("a.log"), Some(FileState::Waiting));
    rig.append("a.log", "1");
    assert!(rig.items().is_empty());
    rig.append("a.log", "\n2\n");
    let items = rig.items();
    assert_eq!(lines(&items), ["#fields\tts\n", "1\n", "2\n"]);
    assert_eq!(chunks(&items)[0].stream, stream_key(b"#fields\tts\n1\n", false).unwrap());
    assert_eq!(chunks(&items)[0].header.as_deref(), Some(&b"#fields\tts\n"[..]));
}

#[test]
fn a_poll_returns_about_what_was_asked_for_and_files_take_turns() {
    let mut rig = Rig::new(&["*.log"]);
    let text = "0123456789abcde\n".repeat(64 * 1024);
    rig.append("old.log", &format!("old\n{text}"));
    std::thread::sleep(Duration::from_millis(20));
    rig.append("new.log", &format!("new\n{text}"));
    rig.start(vec![]);
    rig.pass(2);
    let now = rig.now;
    let items = rig.tail.as_mut().unwrap().poll_at(512 * 1024, now);
    let sizes: Vec<_> = chunks(&items).iter().map(|chunk| chunk.bytes.len()).collect();
    assert!(sizes.iter().sum::<usize>() <= 512 * 1024, "{sizes:?}");
    assert_eq!(chunks(&items)[0].bytes[..4], *b"old\n", "the oldest comes first");
    assert_eq!(chunks(&items)[1].bytes[..4], *b"new\n", "and then the other");
    let small = rig.tail.as_mut().unwrap().poll_at(100, now);
    assert!(chunks(&small).iter().map(|chunk| chunk.bytes.len()).sum::<usize>() <= 100);
    assert_eq!(rig.lines().len(), 2 * (64 * 1024 + 1) - lines(&items).len() - lines(&small).len());
}

#[test]
fn a_line_longer_than_the_budget_is_whole() {
    let mut rig = Rig::new(&["*.log"]);
    let long = format!("{}\n", "x".repeat(700 * 1024));
    rig.append("a.log", &format!("short\n{}", &long[..600 * 1024]));
    rig.start(vec![]);
    assert_eq!(rig.lines(), ["short\n"]);
    rig.append("a.log", &long[600 * 1024..]);
    rig.append("a.log", "after\n");
    rig.pass(2);
    let mut seen = Vec::new();
    for _ in 0..1000 {
        seen.extend(rig.tail.as_mut().unwrap().poll_at(10, rig.now));
    }
    assert_eq!(lines(&seen), [long, "after\n".to_owned()]);
}

#[test]
fn a_line_that_is_too_long_is_passed_over() {
    let mut rig = Rig::new(&["*.log"]);
    rig.append("a.log", "first\n");
    rig.start(vec![]);
    let mut items = rig.items();
    let long = MAX_LINE + 7;
    append(&rig.path("a.log"), &"x".repeat(long as usize - 1));
    items.extend(rig.items());
    assert_eq!(lines(&items), ["first\n"]);
    rig.append("a.log", "\nlast\n");
    let items = rig.items();
    let Item::Oversize(line) = &items[0] else { panic!("{items:?}") };
    assert_eq!((line.offset, line.length), (6, long));
    assert_eq!(lines(&items), ["last\n"]);
    let points = rig.points(&items);
    rig.append("a.log", "more\n");
    rig.start(points);
    assert_eq!(rig.lines(), ["more\n"]);
    assert_eq!(rig.tail.as_ref().unwrap().unresolved(), []);
}

#[test]
fn reading_goes_on_at_the_committed_offset_with_the_header() {
    let mut rig = Rig::new(&["*.log"]);
    rig.append("a.log", "#fields\tts\n1\n2\n");
    rig.start(vec![]);
    let items = rig.items();
    let points = rig.points(&items);
    rig.append("a.log", "3\n");
    rig.start(points.clone());
    let items = rig.items();
    assert_eq!(lines(&items), ["3\n"]);
    assert_eq!(chunks(&items)[0].offset, 15);
    assert_eq!(chunks(&items)[0].stream, points[0].stream);
    assert_eq!(chunks(&items)[0].header.as_deref(), Some(&b"#fields\tts\n"[..]));
    assert_eq!(rig.tail.as_ref().unwrap().unresolved(), []);
}

#[test]
fn what_was_not_committed_is_read_again() {
    let mut rig = Rig::new(&["*.log"]);
    rig.append("a.log", "1\n");
    rig.start(vec![]);
    let first = rig.items();
    rig.append("a.log", "2\n");
    rig.items();
    let points = rig.points(&first);
    rig.start(points);
    assert_eq!(rig.lines(), ["2\n"]);
}

#[test]
fn points_go_when_something_later_is_committed() {
    let mut rig = Rig::new(&["*.log"]);
    rig.append("a.log", "1\n");
    rig.start(vec![]);
    let first = rig.items();
    rig.append("a.log", "2\n");
    let second = rig.items();
    let tail = rig.tail.as_mut().unwrap();
    let (file, offset) = (second[0].file(), second[0].end_offset());
    tail.committed(file, offset);
    assert_eq!(tail.resume_point(file, first[0].end_offset()), None);
    assert!(tail.resume_point(file, offset).is_some());
}

#[test]
fn an_ignored_file_is_left_alone() {
    let mut rig = Rig::new(&["*.log"]);
    rig.append("conn.log", "1\n");
    rig.start(vec![]);
    let items = rig.items();
    rig.tail.as_mut().unwrap().ignore(items[0].file());
    rig.append("conn.log", "2\n");
    assert!(rig.items().is_empty());
    assert_eq!(rig.state("conn.log"), Some(FileState::Ignored));
    fs::remove_file(rig.path("conn.log")).unwrap();
    rig.items();
    rig.append("conn.log", "3\n");
    assert_eq!(rig.lines(), ["3\n"]);
}

#[test]
fn an_archive_is_left_to_others() {
    let mut rig = Rig::new(&["*"]);
    fs::write(rig.path("a.log.gz"), b"\x1f\x8b\x08\0\n\n\n").unwrap();
    rig.start(vec![]);
    assert!(rig.items().is_empty());
    assert_eq!(rig.state("a.log.gz"), Some(FileState::Compressed));
}
