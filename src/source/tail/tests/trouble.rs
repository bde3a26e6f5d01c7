//! What cannot be read, what is too much, and the notifications.

use super::*;

#[test]
fn an_input_that_is_missing_is_visible_and_picked_up_when_it_comes() {
    let mut rig = Rig::new(&["a.log", "logs/*.log"]);
    rig.start(vec![]);
    assert!(rig.items().is_empty());
    assert_eq!(rig.state("a.log"), Some(FileState::Missing));
    assert_eq!(rig.state("logs/*.log"), Some(FileState::Missing));
    fs::create_dir(rig.path("logs")).unwrap();
    rig.append("logs/b.log", "b\n");
    rig.append("a.log", "a\n");
    assert_eq!(rig.lines().len(), 2);
    assert_eq!(rig.state("a.log"), Some(FileState::Live));
    assert_eq!(rig.state("logs/*.log"), None);
}

#[test]
fn what_is_no_file_is_reported() {
    let mut rig = Rig::new(&["a.log"]);
    let _socket = std::os::unix::net::UnixListener::bind(rig.path("a.log")).unwrap();
    rig.start(vec![]);
    rig.items();
    let status = rig.tail.as_ref().unwrap().status();
    assert!(status[0].error.as_deref().unwrap().ends_with("is not a regular file"), "{status:?}");
}

#[test]
fn a_file_out_of_sight_for_a_while_goes_on_where_it_was() {
    let mut rig = Rig::new(&["logs/*.log"]);
    fs::create_dir(rig.path("logs")).unwrap();
    rig.append("logs/a.log", "1\n");
    rig.start(vec![]);
    assert_eq!(rig.lines(), ["1\n"]);
    rig.rename("logs", "away");
    rig.items();
    rig.pass(6);
    assert_eq!(causes(&rig.items()), [EndCause::Gone]);
    rig.append("away/a.log", "2\n");
    rig.rename("away", "logs");
    assert_eq!(rig.lines(), ["2\n"]);
}

#[test]
fn beyond_the_bound_idle_files_are_closed_and_opened_again_when_they_grow() {
    let mut rig = Rig::new(&["*.log"]);
    rig.max_files = 2;
    for number in 0..5 {
        rig.append(&format!("{number}.log"), &format!("{number}a\n"));
    }
    let mut seen = Vec::new();
    rig.start(vec![]);
    for _ in 0..3 {
        seen.extend(rig.lines());
    }
    assert_eq!(seen.len(), 2, "no file is idle for certain yet");
    // A time stamp shows what comes later only when it is older than the coarsest tick.
    std::thread::sleep(Duration::from_millis(3100));
    for _ in 0..6 {
        seen.extend(rig.lines());
    }
    seen.sort();
    assert_eq!(seen, ["0a\n", "1a\n", "2a\n", "3a\n", "4a\n"]);
    let status = rig.tail.as_ref().unwrap().status();
    assert_eq!(status.iter().filter(|file| file.state == FileState::Parked).count(), 3);
}

#[test]
fn a_hint_ends_the_wait() {
    let rig = Rig::new(&["logs/*.log"]);
    fs::create_dir(rig.path("logs")).unwrap();
    let config = TailConfig { patterns: rig.patterns.clone(), ..TailConfig::default() };
    let mut tail = Tail::new(config, vec![]).unwrap();
    // With the next sweep an hour away, only notifications are left.
    let later = rig.now + Duration::from_secs(3600);
    tail.poll_at(1 << 20, later);
    let follow = |tail: &mut Tail, name: &str| {
        let path = rig.path(name);
        // The same content would be taken for a copy.
        let first = format!("{name}\n");
        let text = first.clone();
        let writer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(30));
            append(&path, &text);
            std::thread::sleep(Duration::from_millis(30));
            append(&path, "2\n");
        });
        let begun = Instant::now();
        let mut seen = Vec::new();
        while lines(&seen).len() < 2 && begun.elapsed() < Duration::from_secs(10) {
            tail.wait(Duration::from_secs(5));
            seen.extend(tail.poll(1 << 20));
        }
        writer.join().unwrap();
        assert_eq!(lines(&seen), [first.as_str(), "2\n"]);
    };
    follow(&mut tail, "logs/a.log");
    // The folder is replaced, which removes its watch; the next sweep sets another.
    rig.rename("logs", "away");
    fs::create_dir(rig.path("logs")).unwrap();
    tail.poll_at(1 << 20, later + Duration::from_secs(60));
    follow(&mut tail, "logs/b.log");
}

#[test]
fn another_thread_ends_the_wait() {
    let mut rig = Rig::new(&["*.log"]);
    rig.start(vec![]);
    let tail = rig.tail.as_mut().unwrap();
    tail.poll_at(1, rig.now + Duration::from_secs(3600));
    let waker = tail.waker();
    let begun = Instant::now();
    std::thread::spawn(move || waker.wake());
    tail.wait(Duration::from_secs(60));
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_writer_that_rotates_while_it_is_read_loses_nothing() {
    const LINES: usize = 40_000;
    let rig = Rig::new(&["ssl*.log"]);
    let config = TailConfig { patterns: rig.patterns.clone(), ..TailConfig::default() };
    let mut tail = Tail::new(config, vec![]).unwrap();
    let (live, folder) = (rig.path("ssl.log"), rig.path(""));
    let writer = std::thread::spawn(move || {
        let open = || OpenOptions::new().create(true).append(true).open(&live).unwrap();
        let mut file = open();
        for number in 0..LINES {
            let line = format!("{number} {}\n", "x".repeat(number % 100));
            // Some lines are written in two parts, with a rotation between them.
            let (first, rest) = line.split_at(if number % 7 == 0 { line.len() / 2 } else { 0 });
            file.write_all(first.as_bytes()).unwrap();
            if number % 1000 == 0 {
                fs::rename(&live, folder.join(format!("ssl.{number}.log"))).unwrap();
            }
            file.write_all(rest.as_bytes()).unwrap();
            if number % 1000 == 0 {
                file = open();
            }
        }
    });
    let mut seen = Vec::new();
    let begun = Instant::now();
    while seen.len() < LINES && begun.elapsed() < Duration::from_secs(20) {
        for item in tail.poll(64 * 1024) {
            tail.committed(item.file(), item.end_offset());
            seen.extend(lines(&[item]).iter().map(|line| line.split(' ').next().unwrap().parse::<usize>().unwrap()));
        }
        tail.wait(Duration::from_millis(100));
    }
    writer.join().unwrap();
    seen.extend(lines(&tail.poll(1 << 20)).iter().map(|_| 0));
    seen.sort_unstable();
    assert!(seen.iter().copied().eq(0..LINES), "{} lines", seen.len());
}
