//! Random actions of writers, rotators and restarts, against a model: every line once, in order.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::unix::fs::symlink;

use super::*;

#[test]
fn every_line_is_handed_out_once_and_in_order_whatever_happens() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("TAIL_MODEL_SEED").unwrap_or(1);
    let count = number("TAIL_MODEL_COUNT").unwrap_or(DEFAULT_SEQUENCES);
    for seed in first..first + count {
        let outcome = std::panic::catch_unwind(|| World::new(seed).run());
        assert!(outcome.is_ok(), "failed with TAIL_MODEL_SEED={seed} TAIL_MODEL_COUNT=1");
    }
}

/// The writers, the tail, and what the tail should have handed out.
struct World {
    random: Random,
    rig: Rig,
    logs: Vec<Log>,
    /// The pieces of all files that the writers finished, complete lines and cut ones apart.
    written: Vec<Written>,
    /// What was handed out and not committed. A stream may go on in a copy of its file, so it is the order of streams
    /// that matters.
    pending: BTreeMap<StreamKey, Vec<Item>>,
    committed: Vec<Item>,
    /// What a restart reads on from.
    store: HashMap<StreamKey, ResumePoint>,
    /// Something was destroyed that only the uncommitted items still hold.
    fragile: bool,
    trace: Vec<String>,
}

/// One log and the file that is being written.
struct Log {
    name: &'static str,
    tsv: bool,
    /// Files are rotated by pointing a symbolic link elsewhere.
    linked: bool,
    generation: u32,
    writer: Option<File>,
    /// The last line is cut.
    cut: bool,
}

impl Log {
    /// Whether the patterns find the file that the symbolic link leads to.
    fn target_stays(&self) -> bool {
        self.generation.is_multiple_of(2)
    }
}

/// One line that a writer wrote.
struct Written {
    /// Log and generation; lines of one are in order.
    of: (usize, u32),
    text: String,
    /// It need not come: it is cut, and its file was left or taken away.
    optional: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rig = Rig::new(&["*.log*"]);
        rig.start(vec![]);
        let log = |name, tsv, linked| Log { name, tsv, linked, generation: 0, writer: None, cut: false };
        Self {
            random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            rig,
            logs: vec![log("ssl", true, false), log("eve", false, false), log("cur", false, true)],
            written: Vec::new(),
            pending: BTreeMap::new(),
            committed: Vec::new(),
            store: HashMap::new(),
            fragile: false,
            trace: Vec::new(),
        }
    }

    fn run(mut self) {
        let actions = 20 + self.random.below(60);
        for _ in 0..actions {
            let log = self.random.below(self.logs.len() as u64) as usize;
            match self.random.below(22) {
                0..=6 => self.append(log, false),
                7..=8 => self.append(log, true),
                9..=12 => self.poll(),
                13..=14 => self.commit_some(),
                15 => self.rename(log),
                16 => self.delete(log),
                17 => self.truncate(log),
                18 => self.copy_and_truncate(log),
                19 => self.rig.pass(self.random.below(8)),
                20 => self.restart(),
                _ => self.close(log),
            }
        }
        self.trace("end".into());
        for _ in 0..6 {
            self.rig.pass(4);
            self.drain();
        }
        self.commit_all();
        self.compare();
    }

    /// Writes one to three lines, or part of one.
    fn append(&mut self, log: usize, cut: bool) {
        let lines = 1 + self.random.below(3);
        let length = if self.random.below(8) == 0 { self.random.below(9000) } else { self.random.below(40) };
        self.trace(format!("append {log} cut={cut} lines={lines} pad={length}"));
        self.open(log);
        for line in 0..lines {
            let is_cut = cut && line + 1 == lines;
            let state = &mut self.logs[log];
            let Some(writer) = &mut state.writer else { unreachable!() };
            let of = (log, state.generation);
            let rest = if std::mem::take(&mut state.cut) { self.written.pop_last(of) } else { None };
            let known = rest.as_ref().map_or(0, |line| line.text.len());
            let mut text = rest.map_or_else(
                || format!("{}-{}-{} ", state.name, state.generation, self.written.len()),
                |line| line.text,
            );
            text.push_str(&"x".repeat(length as usize));
            if !is_cut {
                text.push('\n');
            }
            writer.write_all(&text.as_bytes()[known..]).unwrap();
            state.cut = is_cut;
            self.written.push(Written { of, text, optional: is_cut });
        }
    }

    fn rename(&mut self, log: usize) {
        let Some(path) = self.live(log) else { return };
        // Half of the rotated files stay among the patterns. What leaves them before a sweep has seen it, or is not
        // committed when the tail stops, cannot be found.
        let linked = self.logs[log].linked;
        let stays = if linked { self.logs[log].target_stays() } else { self.random.below(2) == 0 };
        if !stays {
            self.drain();
            self.append(log, false);
            self.fragile = true;
        }
        self.trace(format!("rename {log} stays={stays}"));
        if !linked {
            let state = &self.logs[log];
            let name = format!("{}.{}.{}", state.name, state.generation, if stays { "log" } else { "old" });
            fs::rename(&path, self.rig.path(&name)).unwrap();
        }
        self.finish_cut(log);
        self.abandon(log);
        if self.random.below(3) == 0 {
            self.open(log);
        }
    }

    fn delete(&mut self, log: usize) {
        let Some(path) = self.live(log) else { return };
        // What no sweep has seen cannot be found.
        self.drain();
        self.trace(format!("delete {log}"));
        self.append(log, false);
        fs::remove_file(path).unwrap();
        self.fragile = true;
        self.abandon(log);
    }

    fn truncate(&mut self, log: usize) {
        let Some(path) = self.live(log) else { return };
        self.drain();
        self.trace(format!("truncate {log}"));
        self.fragile = true;
        self.abandon(log);
        File::create(path).unwrap();
        self.open(log);
    }

    fn copy_and_truncate(&mut self, log: usize) {
        let Some(path) = self.live(log) else { return };
        // The copy is among the patterns, so that even what was not read before it was made is not lost.
        self.trace(format!("copytruncate {log}"));
        let state = &self.logs[log];
        let copy = self.rig.path(&format!("{}.copy{}.log", state.name, state.generation));
        fs::copy(&path, copy).unwrap();
        if self.rig.tail.is_some() && self.random.below(2) == 0 {
            self.poll();
        }
        self.abandon(log);
        File::create(path).unwrap();
        self.open(log);
    }

    /// Writes `#close`, after which the writer goes on with a new file.
    fn close(&mut self, log: usize) {
        let Some(path) = self.live(log).filter(|_| self.logs[log].tsv) else { return };
        if self.logs[log].cut {
            return;
        }
        self.trace(format!("close {log}"));
        append(&path, "#close\t2026\n");
        let state = &mut self.logs[log];
        fs::rename(&path, self.rig.path(&format!("{}.{}.log", state.name, state.generation))).unwrap();
        state.writer = None;
        state.generation += 1;
    }

    fn poll(&mut self) {
        let bytes = 1 + self.random.below(6000) as usize;
        self.trace(format!("poll {bytes}"));
        self.rig.now += Duration::from_millis(self.random.below(2500));
        let items = self.rig.tail.as_mut().unwrap().poll_at(bytes, self.rig.now);
        self.take(items);
    }

    fn drain(&mut self) {
        let items = self.rig.items();
        self.take(items);
    }

    fn take(&mut self, items: Vec<Item>) {
        for item in items {
            self.pending.entry(item.stream()).or_default().push(item);
        }
    }

    /// Commits some streams up to any item that they ended at.
    fn commit_some(&mut self) {
        self.trace("commit".into());
        let streams: Vec<_> = self.pending.keys().copied().collect();
        for stream in streams {
            let length = self.pending[&stream].len() as u64;
            let count = self.random.below(length + 1) as usize;
            self.commit(stream, count);
        }
    }

    fn commit_all(&mut self) {
        let streams: Vec<_> = self.pending.iter().map(|(stream, items)| (*stream, items.len())).collect();
        for (stream, count) in streams {
            self.commit(stream, count);
        }
        self.fragile = false;
    }

    fn commit(&mut self, stream: StreamKey, count: usize) {
        let Some(items) = self.pending.get_mut(&stream) else { return };
        let done: Vec<_> = items.drain(..count).collect();
        let tail = self.rig.tail.as_mut().unwrap();
        for item in &done {
            match tail.resume_point(item.file(), item.end_offset()) {
                Some(point) => drop(self.store.insert(point.stream, point)),
                // An end without bytes may come after its offset was committed: there is nothing new to store.
                None => assert!(matches!(item, Item::Chunk(chunk) if chunk.bytes.is_empty()), "no point for {item:?}"),
            }
            tail.committed(item.file(), item.end_offset());
        }
        self.committed.extend(done);
    }

    /// Stops without committing the rest, and starts from what was stored.
    fn restart(&mut self) {
        // What is destroyed while it is down has to be committed before.
        let destroys = self.random.below(4) == 0;
        if self.fragile || destroys {
            self.drain();
            self.commit_all();
        }
        self.trace("stop".into());
        self.rig.tail = None;
        self.pending.clear();
        // Something may happen while it is down.
        let log = self.random.below(self.logs.len() as u64) as usize;
        match self.random.below(5) {
            0 => self.append(log, false),
            1 if !self.logs[log].linked => self.rename_while_down(log),
            2 => self.append(log, true),
            3 => self.copy_and_truncate(log),
            _ if destroys => self.destroy_while_down(log),
            _ => {}
        }
        self.trace("start".into());
        let points = self.store.values().cloned().collect();
        self.rig.start(points);
    }

    fn rename_while_down(&mut self, log: usize) {
        let Some(path) = self.live(log) else { return };
        let state = &mut self.logs[log];
        fs::rename(path, self.rig.path(&format!("{}.down{}.log", state.name, state.generation))).unwrap();
        self.abandon(log);
    }

    /// Deletes, replaces or truncates what is committed.
    fn destroy_while_down(&mut self, log: usize) {
        let Some(path) = self.live(log) else { return };
        let truncates = self.random.below(2) == 0;
        self.trace(format!("destroy {log} truncates={truncates}"));
        self.abandon(log);
        if truncates {
            File::create(path).unwrap();
            self.append(log, false);
        } else {
            fs::remove_file(path).unwrap();
        }
    }

    /// The path of the file that is being written.
    fn live(&self, log: usize) -> Option<PathBuf> {
        let path = self.rig.path(&format!("{}.log", self.logs[log].name));
        self.logs[log].writer.as_ref().map(|_| path)
    }

    /// Makes the next file if there is none.
    fn open(&mut self, log: usize) {
        let state = &mut self.logs[log];
        if state.writer.is_some() {
            return;
        }
        let path = self.rig.path(&format!("{}.log", state.name));
        if state.linked {
            let ending = if state.target_stays() { "log" } else { "target" };
            let target = self.rig.path(&format!("{}-{}.{ending}", state.name, state.generation));
            append(&target, "");
            fs::remove_file(&path).ok();
            symlink(target, &path).unwrap();
        }
        let mut writer = OpenOptions::new().create(true).append(true).open(&path).unwrap();
        if state.tsv {
            writer.write_all(format!("#separator \\x09\n#open\t{}\n", state.generation).as_bytes()).unwrap();
        }
        state.writer = Some(writer);
    }

    /// The writer may complete its last line, even after its file was renamed.
    fn finish_cut(&mut self, log: usize) {
        if self.logs[log].cut && self.random.below(2) == 0 {
            self.append(log, false);
        }
    }

    /// The writer leaves its file, whose last line stays cut.
    fn abandon(&mut self, log: usize) {
        let state = &mut self.logs[log];
        state.writer = None;
        state.cut = false;
        state.generation += 1;
    }

    fn compare(&self) {
        let mut seen = BTreeSet::new();
        let mut order: HashMap<(String, String), usize> = HashMap::new();
        let mut ends: HashMap<StreamKey, u64> = HashMap::new();
        for chunk in chunks(&self.committed) {
            let end = ends.entry(chunk.stream).or_insert(0);
            if !chunk.bytes.is_empty() {
                assert_eq!(chunk.offset, *end, "a gap or an overlap in {}", self.trace.join("\n"));
                *end += chunk.bytes.len() as u64;
            }
        }
        for line in lines(&self.committed).iter().filter(|line| !line.starts_with('#')) {
            assert!(seen.insert(line.clone()), "twice: {:?} in {}", head(line), self.trace.join("\n"));
            let mut parts = head(line).splitn(3, '-').map(str::to_owned);
            let (name, generation, number) =
                (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap().parse().unwrap());
            let last = order.insert((name, generation), number);
            assert!(
                last.is_none_or(|last| last < number),
                "out of order: {:?} in {}",
                head(line),
                self.trace.join("\n")
            );
        }
        for line in &self.written {
            let found = seen.remove(&line.text);
            assert!(found || line.optional, "missing: {:?} in {}", head(&line.text), self.trace.join("\n"));
        }
        assert!(seen.is_empty(), "never written: {seen:?} in {}", self.trace.join("\n"));
    }

    fn trace(&mut self, action: String) {
        self.trace.push(action);
    }
}

trait PopLast {
    /// Takes back the last line of one file.
    fn pop_last(&mut self, of: (usize, u32)) -> Option<Written>;
}

impl PopLast for Vec<Written> {
    fn pop_last(&mut self, of: (usize, u32)) -> Option<Written> {
        let index = self.iter().rposition(|line| line.of == of)?;
        Some(self.remove(index))
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (value ^ (value >> 31)) % bound
    }
}

fn head(line: &str) -> &str {
    line.split(' ').next().unwrap_or_default()
}

/// As many as a test run has time for; `TAIL_MODEL_COUNT` asks for more.
const DEFAULT_SEQUENCES: u64 = 300;
