//! Readers of a socket, who come and go.

use super::*;

/// Reads from connections, one after the other: of the first ones a part only.
fn read_some(mut accept: impl FnMut() -> Box<dyn Read>, read: &Mutex<Vec<u8>>, parts: &[usize]) {
    let mut parts = parts.iter();
    loop {
        let (mut stream, mut left) = (accept(), parts.next().copied().unwrap_or(usize::MAX));
        let mut part = [0; 4096];
        while left > 0 {
            let Ok(bytes @ 1..) = stream.read(&mut part[..left.min(4096)]) else { break };
            left -= bytes;
            read.lock().unwrap().extend_from_slice(&part[..bytes]);
        }
        // What was begun is torn.
        read.lock().unwrap().push(b'\n');
    }
}

fn sessions_of(read: &Mutex<Vec<u8>>) -> usize {
    numbers(&read.lock().unwrap()).into_iter().collect::<BTreeSet<_>>().len()
}

#[test]
fn a_socket_whose_reader_goes_away_gets_everything_at_least_once() {
    // What the system had taken before a kill nobody has any more: then the reader must not go away as well.
    const GOES_AWAY: &[usize] = &[1, 70_000, 0, 300_000, 12_345];
    for (kind, parts, is_killed) in
        [("unix", GOES_AWAY, false), ("tcp", GOES_AWAY, false), ("unix", &[], true), ("tcp", &[], true)]
    {
        let port = free_port();
        let address = if kind == "unix" { "unix:lines.sock".to_owned() } else { format!("tcp://127.0.0.1:{port}") };
        let mut sending = Sending::new(&format!("[output.socket]\naddress = \"{address}\"\n"));
        let path = sending.world.path("lines.sock");
        sending.append(500);
        sending.start();
        sending.wait_until_said("cannot deliver; trying again");
        let read = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&read);
        std::thread::spawn(move || match kind {
            "unix" => {
                let listener = UnixListener::bind(path).unwrap();
                read_some(|| Box::new(listener.accept().unwrap().0), &shared, parts);
            }
            _ => {
                let listener = listen(port);
                read_some(|| Box::new(listener.accept().unwrap().0), &shared, parts);
            }
        });
        for step in 0..10 {
            sending.append(200);
            std::thread::sleep(Duration::from_millis(30));
            if step == 5 && is_killed {
                sending.world.kill();
                sending.start();
            }
        }
        sending.wait_until("all arrives", || sessions_of(&read) == 2500);
        sending.world.stop();
        sending.traffic.assert_at_least_once(numbers(&read.lock().unwrap()), &sending.world.said());
    }
}

#[test]
fn a_socket_gets_each_line_once_and_whole_where_nothing_fails() {
    let mut sending = Sending::new("[output]\nformat = \"ecs\"\n[output.socket]\naddress = \"unix:lines.sock\"\n");
    let listener = UnixListener::bind(sending.world.path("lines.sock")).unwrap();
    let read = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&read);
    std::thread::spawn(move || read_some(|| Box::new(listener.accept().unwrap().0), &shared, &[]));
    sending.append(3000);
    sending.start();
    let lines = || read.lock().unwrap().iter().filter(|byte| **byte == b'\n').count();
    sending.wait_until("all arrives", || lines() >= 3000);
    sending.world.stop();
    sending.wait_until("the end is seen", || lines() > 3000);
    let records = support::records(&read.lock().unwrap());
    let ids: BTreeSet<_> = records.iter().map(|record| record["event"]["id"].as_str().unwrap()).collect();
    assert_eq!((records.len(), ids.len()), (3000, 3000));
}
