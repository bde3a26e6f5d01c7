//! When a file that has changed may be read: once nobody is writing it any more, as far as that can be seen.
//!
//! Nothing says reliably that a writer is done. What was moved into its place was written before; what was closed by its
//! writer is done as a rule, but a script may open it again for its next line; what was written and not closed is not
//! done. Anything else has to stand still for long, and longer where a text ends within a line, or where a file that was
//! begun anew has not half of its former length. A file that is never done is read as it is, at the end of a line, if it
//! has only grown; one that was begun anew is waited for, since half of it would look like all. Both are said.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use crate::knowledge::{FileChanges, KnowledgeFiles, Stamp, ends_within_a_line};

/// What happened to a file last, as far as notifications tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Arrival {
    /// It was moved into its place.
    Moved,
    /// A writer closed it.
    Closed,
    /// It was written, and not closed since.
    Written,
}

/// By absolute paths.
pub(super) type Arrivals = HashMap<PathBuf, Arrival>;

/// The files as they were read, and those that have changed since.
pub(super) struct Settling {
    taken: KnowledgeFiles,
    pending: BTreeMap<PathBuf, Pending>,
    /// Since when there is something to read.
    ready_since: Option<Instant>,
}

/// A file that has changed.
struct Pending {
    /// As it was seen last; `None` for one that is gone.
    stamp: Option<Stamp>,
    /// Since when it is so.
    since: Instant,
    /// Since when it is another than was read.
    first: Instant,
    /// Whether it was shorter than the one that was read, or took its place.
    begun_anew: bool,
    /// The length of the one that was read, in bytes.
    former_length: u64,
    said: bool,
}

/// How long what was moved into its place stands still before it is read.
const MOVED: Duration = Duration::from_millis(500);
/// The same for what its writer closed.
const CLOSED: Duration = Duration::from_secs(2);
/// The same for everything else.
const UNKNOWN: Duration = Duration::from_secs(10);
/// The same for a text whose last line has no end, and for what was begun anew and has not half of its former length.
const UNFINISHED: Duration = Duration::from_secs(30);
/// How long a file may go on changing before that is said, and how long one stands still that its writer does not close.
const RESTLESS: Duration = Duration::from_secs(120);
/// How long what may be read waits for the others, so that many files that come together are read together.
const TOGETHER: Duration = Duration::from_secs(3);

impl Settling {
    /// Nothing has changed yet; `taken` are the files that knowledge in force was read from.
    pub(super) fn new(taken: KnowledgeFiles) -> Self {
        Self { taken, pending: BTreeMap::new(), ready_since: None }
    }

    /// Whether a file is being waited for.
    pub(super) fn is_waiting(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Looks at the files as they are now. What may be read, if anything; `asked` lets all be read but what is being
    /// written.
    pub(super) fn look(
        &mut self,
        now: &KnowledgeFiles,
        asked: bool,
        (at, clock): (Instant, SystemTime),
        arrivals: &Arrivals,
    ) -> Option<FileChanges> {
        self.note(now, at);
        let (mut ready, mut unsettled) = (BTreeSet::new(), BTreeSet::new());
        for (path, pending) in &mut self.pending {
            let is_ready = pending.is_ready(path, (at, clock), arrivals);
            if is_ready { &mut ready } else { &mut unsettled }.insert(path.clone());
        }
        if ready.is_empty() && !asked {
            self.ready_since = None;
            return None;
        }
        let waits = at.duration_since(*self.ready_since.get_or_insert(at)) < TOGETHER;
        if waits && !unsettled.is_empty() && !asked {
            return None;
        }
        self.ready_since = None;
        for path in &ready {
            self.taken.take(path, now);
            self.pending.remove(path);
        }
        Some(FileChanges { changed: (!asked).then_some(ready), unsettled })
    }

    /// Notes what has changed since it was read, and since it was looked at.
    fn note(&mut self, now: &KnowledgeFiles, at: Instant) {
        let changed = now.changed_since(&self.taken);
        self.pending.retain(|path, _| changed.contains(path.as_path()));
        for path in changed {
            let stamp = now.stamp(path);
            let before = self.taken.stamp(path);
            let shorter = match (before, stamp) {
                (Some(before), Some(now)) => now.length() < before.length() || !now.is_same_file(&before),
                _ => false,
            };
            let pending = self.pending.entry(path.to_owned()).or_insert(Pending {
                stamp,
                since: at,
                first: at,
                begun_anew: false,
                former_length: before.map_or(0, |before| before.length()),
                said: false,
            });
            pending.begun_anew |= shorter;
            if pending.stamp != stamp {
                (pending.stamp, pending.since) = (stamp, at);
            }
        }
    }
}

impl Pending {
    fn is_ready(&mut self, path: &Path, (at, clock): (Instant, SystemTime), arrivals: &Arrivals) -> bool {
        let Some(stamp) = self.stamp else { return at.duration_since(self.since) >= UNKNOWN };
        let arrival = std::path::absolute(path).ok().and_then(|path| arrivals.get(&path).copied());
        let is_unfinished = ends_within_a_line(path);
        let is_a_beginning = self.begun_anew && stamp.length().saturating_mul(2) < self.former_length;
        let needed = match arrival {
            Some(Arrival::Moved) => MOVED,
            Some(Arrival::Written) => RESTLESS,
            _ if is_unfinished || is_a_beginning => UNFINISHED,
            Some(Arrival::Closed) => CLOSED,
            None => UNKNOWN,
        };
        // What was changed long ago and is only seen now stood still meanwhile.
        if at.duration_since(self.since).max(stamp.age(clock)) >= needed {
            return true;
        }
        if at.duration_since(self.first) < RESTLESS {
            return false;
        }
        let is_read = !self.begun_anew && !is_unfinished;
        if !std::mem::replace(&mut self.said, true) || is_read {
            let path = path.display();
            match self.begun_anew {
                true => {
                    tracing::warn!(%path, "the file is still being written; what was read of it before stays in force")
                }
                false => {
                    tracing::warn!(%path, "the file is still being written; it is read as it is, up to a whole line")
                }
            }
        }
        is_read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with one file, and a clock that is turned by hand. The clock on the wall stays where files are new.
    struct World {
        folder: tempfile::TempDir,
        settling: Settling,
        start: Instant,
        arrivals: Arrivals,
    }

    impl World {
        fn new(text: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("a.csv"), text).unwrap();
            let settling = Settling::new(KnowledgeFiles::look(&[pattern(&folder)]));
            Self { folder, settling, start: Instant::now(), arrivals: Arrivals::new() }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn look_at(&mut self, seconds: f64, asked: bool) -> Option<FileChanges> {
            let now = KnowledgeFiles::look(&[pattern(&self.folder)]);
            let at = self.start + Duration::from_secs_f64(seconds);
            self.settling.look(&now, asked, (at, SystemTime::UNIX_EPOCH), &self.arrivals)
        }

        /// The files that may be read.
        fn ready(&mut self, seconds: f64) -> Vec<String> {
            let changes = self.look_at(seconds, false);
            let paths = changes.into_iter().flat_map(|changes| changes.changed.unwrap_or_default());
            paths.map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
        }
    }

    fn pattern(folder: &tempfile::TempDir) -> String {
        folder.path().join("*.csv").to_string_lossy().into_owned()
    }

    #[test]
    fn what_stands_still_is_read_sooner_the_surer_it_is_done() {
        for (arrival, needed) in [(None, 10.0), (Some(Arrival::Closed), 2.0), (Some(Arrival::Moved), 0.5)] {
            let mut world = World::new("a\n");
            std::fs::write(world.path("a.csv"), "a\nb\n").unwrap();
            if let Some(arrival) = arrival {
                world.arrivals.insert(world.path("a.csv"), arrival);
            }
            assert!(world.ready(1.0).is_empty());
            assert!(world.ready(0.9 + needed).is_empty(), "{arrival:?}");
            assert_eq!(world.ready(1.0 + needed), ["a.csv"], "{arrival:?}");
            assert!(world.ready(100.0).is_empty(), "it is read once");
        }
    }

    #[test]
    fn what_is_written_and_not_closed_is_waited_for() {
        let mut world = World::new("a\na\n");
        // Begun anew, and a pause after some rows.
        std::fs::write(world.path("a.csv"), "b\n").unwrap();
        world.arrivals.insert(world.path("a.csv"), Arrival::Written);
        assert!(world.ready(0.0).is_empty());
        assert!(world.ready(60.0).is_empty(), "half of it would look like all");
        std::fs::write(world.path("a.csv"), "b\nb\nb\n").unwrap();
        assert!(world.ready(70.0).is_empty());
        world.arrivals.insert(world.path("a.csv"), Arrival::Closed);
        assert_eq!(world.ready(73.0), ["a.csv"]);
        // A writer that never closes it: what has only grown is read, and so is what stands still for long.
        std::fs::write(world.path("a.csv"), "b\nb\nb\nb\n").unwrap();
        world.arrivals.insert(world.path("a.csv"), Arrival::Written);
        assert!(world.ready(100.0).is_empty() && world.ready(219.0).is_empty());
        assert_eq!(world.ready(220.0), ["a.csv"]);
        std::fs::write(world.path("a.csv"), "c\n").unwrap();
        assert!(world.ready(300.0).is_empty() && world.ready(419.0).is_empty());
        assert_eq!(world.ready(420.0), ["a.csv"]);
    }

    #[test]
    fn what_was_begun_anew_and_has_not_half_of_its_length_is_waited_for_unless_it_was_moved() {
        let rows = "a\n".repeat(100);
        for (arrival, length, needed) in [
            (Some(Arrival::Closed), 49, 30.0),
            (Some(Arrival::Closed), 50, 2.0),
            (None, 49, 30.0),
            (None, 50, 10.0),
            (Some(Arrival::Moved), 1, 0.5),
        ] {
            let mut world = World::new(&rows);
            std::fs::write(world.path("a.csv"), "b\n".repeat(length)).unwrap();
            world.arrivals.extend(arrival.map(|arrival| (world.path("a.csv"), arrival)));
            assert!(world.ready(0.0).is_empty());
            assert!(world.ready(needed - 0.1).is_empty(), "{arrival:?} {length}");
            assert_eq!(world.ready(needed), ["a.csv"], "{arrival:?} {length}");
        }
    }

    #[test]
    fn every_pause_of_a_slow_writer_begins_anew() {
        let mut world = World::new("a\n");
        for step in 0..10 {
            std::fs::write(world.path("a.csv"), "b\n".repeat(step + 2)).unwrap();
            assert!(world.ready(9.0 * step as f64).is_empty(), "{step}");
        }
        assert_eq!(world.ready(81.0 + 10.0), ["a.csv"]);
    }

    #[test]
    fn a_line_without_an_end_is_waited_for() {
        let mut world = World::new("a\n");
        std::fs::write(world.path("a.csv"), "a\nb").unwrap();
        world.arrivals.insert(world.path("a.csv"), Arrival::Closed);
        assert!(world.ready(0.0).is_empty() && world.ready(29.0).is_empty());
        assert_eq!(world.ready(30.0), ["a.csv"]);
    }

    #[test]
    fn a_file_that_never_stands_still_holds_back_no_other_and_is_read_if_it_only_grew() {
        let mut world = World::new("a\n");
        std::fs::write(world.path("b.csv"), "b\n").unwrap();
        let mut read = Vec::new();
        for second in 0..130_u32 {
            std::fs::write(world.path("a.csv"), "a\n".repeat(second as usize + 2)).unwrap();
            read.extend(world.ready(f64::from(second)).into_iter().map(|name| (name, second)));
        }
        assert_eq!(read, [("b.csv".to_owned(), 13), ("a.csv".to_owned(), 120)]);
        let mut world = World::new("a\na\na\n");
        for second in 0..130_u32 {
            std::fs::write(world.path("a.csv"), "b\n".repeat(second as usize)).unwrap();
            assert!(world.ready(f64::from(second)).is_empty(), "half of what is written anew looks like all");
        }
        assert_eq!(world.ready(139.0), ["a.csv"]);
    }

    #[test]
    fn who_asks_gets_all_but_what_is_being_written() {
        let mut world = World::new("a\n");
        assert_eq!(world.look_at(0.0, true), Some(FileChanges::default()));
        std::fs::write(world.path("a.csv"), "a\nb\n").unwrap();
        let unsettled = BTreeSet::from([world.path("a.csv")]);
        assert_eq!(world.look_at(1.0, true), Some(FileChanges { changed: None, unsettled }));
        assert_eq!(world.ready(11.0), ["a.csv"], "it comes later");
        std::fs::remove_file(world.path("a.csv")).unwrap();
        assert!(world.ready(20.0).is_empty());
        assert_eq!(world.ready(30.0), ["a.csv"], "it is gone");
    }
}
