//! The files of `knowledge.feeds`: threat feeds, lists of registrations and of transparency logs, and those of
//! `knowledge.registered`; read for the first time or once more.
//!
//! Read once more, each file is by itself: one that cannot be used, was emptied, or is gone although it is named by its
//! path keeps the rows that are in force of it, and all others are taken as they are now. A file that is gone from a
//! pattern takes its rows with it, unless the pattern leads to no file any more: then the folder is gone, or somebody is
//! filling it anew. Lists of registrations are one table and are kept or taken together, and so are those of logs.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::KnowledgePaths;
use super::knowledge::{KnowledgeError, KnowledgeReports, distinct, registered};
use crate::knowledge::feeds::{FeedReport, Kept, ReadFeed, Recognised};
use crate::knowledge::registrations::{ListReport, is_registration_list};
use crate::knowledge::require_file;
use crate::knowledge::{
    Feeds, FileChanges, Knowledge, RegistrationList, Registrations, Stamp, Transparency, files_of, matches,
};
use crate::model::EventTime;

/// The key of the configuration.
pub(super) const KEY: &str = "knowledge.feeds";

const GONE: &str = "it is gone";
const CHANGED_MEANWHILE: &str = "it was changed while it was read";

/// What comes from `knowledge.feeds` and `knowledge.registered`.
pub(super) struct FeedParts {
    pub(super) feeds: Arc<Feeds>,
    pub(super) registrations: Arc<Registrations>,
    pub(super) transparency: Arc<Transparency>,
    pub(super) feed_reports: Vec<FeedReport>,
    pub(super) list_reports: Vec<ListReport>,
    pub(super) transparency_reports: Vec<ListReport>,
}

/// What was said while feeds were read again.
#[derive(Default)]
pub(super) struct Said {
    /// What cannot be used, so that something else stays in force.
    pub(super) kept: Vec<String>,
    /// What is no longer in force.
    pub(super) dropped: Vec<String>,
}

/// The files that the patterns lead to now.
struct FeedFiles {
    found: Vec<PathBuf>,
    /// Files that are in force, and that a path or pattern named which leads nowhere now.
    gone: Vec<PathBuf>,
}

/// Files by what they hold.
#[derive(Default)]
struct Sorted {
    lists: Vec<RegistrationList>,
    logs: Vec<PathBuf>,
    feeds: Vec<PathBuf>,
}

/// Reading again: what is in force, and where what comes of it is collected.
struct Again<'a> {
    now: EventTime,
    last: &'a Knowledge,
    before: &'a KnowledgeReports,
    changes: &'a FileChanges,
    said: &'a mut Said,
    /// Feeds, in the order of their files.
    feeds: BTreeMap<PathBuf, ReadFeed>,
    /// Whether a list of registrations that was good is none any more.
    lists_are_worse: bool,
}

impl FeedParts {
    /// Reads files.
    pub(super) fn load(files: Vec<PathBuf>, mut lists: Vec<RegistrationList>, now: EventTime) -> Self {
        let (mut feeds, mut logs) = (Vec::new(), Vec::new());
        for path in files {
            match kind_of(&path) {
                FileKind::Feed => feeds.push(path),
                FileKind::Registrations => lists.push(path.into()),
                FileKind::Transparency => logs.push(path),
            }
        }
        let (registrations, list_reports) = Registrations::load(&lists);
        let (transparency, transparency_reports) = Transparency::load(&logs);
        let (feeds, feed_reports) = Feeds::load(&feeds, now);
        Self {
            feeds: Arc::new(feeds),
            registrations: Arc::new(registrations),
            transparency: Arc::new(transparency),
            feed_reports,
            list_reports,
            transparency_reports,
        }
    }

    /// Reads again what has changed; `last` and `before` are what is in force.
    pub(super) fn reload(
        paths: &KnowledgePaths,
        now: EventTime,
        last: &Knowledge,
        before: &KnowledgeReports,
        changes: &FileChanges,
        said: &mut Said,
    ) -> Self {
        let files = FeedFiles::of(paths, before, said);
        let mut again = Again { now, last, before, changes, said, feeds: BTreeMap::new(), lists_are_worse: false };
        let Sorted { mut lists, logs, feeds } = again.sort(&files);
        match registered(&paths.registered) {
            Ok(named) => lists.splice(0..0, named).for_each(drop),
            Err(error) => {
                again.said.kept.push(format!("{error}; all lists of registrations stay as they were"));
                again.lists_are_worse = true;
            }
        }
        again.read_feeds(&feeds);
        again.drop_what_is_not_named(&files, &lists);
        let (registrations, list_reports) = again.read_lists(lists);
        let (transparency, transparency_reports) = again.read_logs(&logs);
        let (feeds, feed_reports) = Feeds::of(again.feeds.into_values().collect());
        Self { feeds: Arc::new(feeds), registrations, transparency, feed_reports, list_reports, transparency_reports }
    }
}

impl FeedFiles {
    fn of(paths: &KnowledgePaths, before: &KnowledgeReports, said: &mut Said) -> Self {
        let (mut found, mut gone) = (Vec::new(), Vec::new());
        for pattern in &paths.feeds {
            let files = files_of(pattern);
            if files.is_empty() {
                let in_force = before.feeds.iter().map(|report| &report.path);
                let lists = before.lists.iter().chain(&before.transparency);
                let in_force = in_force.chain(lists.map(|report| &report.path));
                let kept = gone.len();
                gone.extend(in_force.filter(|path| matches(pattern, path)).cloned());
                if gone.len() == kept {
                    said.kept.push(KnowledgeError::missing(KEY, pattern).to_string());
                }
            }
            found.extend(files);
        }
        let found = unless_other(distinct(found), paths);
        gone.retain(|path| !found.contains(path));
        Self { found, gone: distinct(gone) }
    }
}

impl Again<'_> {
    /// Which files are lists of registrations, and which are read as feeds. What is not read keeps its rows.
    fn sort(&mut self, files: &FeedFiles) -> Sorted {
        let mut sorted = Sorted::default();
        let was = |reports: &[ListReport], path: &Path| reports.iter().any(|report| report.path == path);
        for path in &files.found {
            let is_read = self.changes.are_of(path);
            let kind = is_read.then(|| kind_of(path));
            if let Some(FileKind::Feed) = kind {
                sorted.feeds.push(path.clone());
            } else if matches!(kind, Some(FileKind::Registrations)) || (!is_read && was(&self.before.lists, path)) {
                sorted.lists.push(path.clone().into());
            } else if is_read || was(&self.before.transparency, path) {
                sorted.logs.push(path.clone());
            } else if let Some(report) = self.feed_before(path) {
                // Not changed, or still being written.
                self.keep(report.clone());
            }
        }
        for path in &files.gone {
            match self.feed_before(path) {
                Some(_) => drop(self.keep_feed(path, GONE)),
                None if was(&self.before.transparency, path) => sorted.logs.push(path.clone()),
                None => sorted.lists.push(path.clone().into()),
            }
        }
        sorted
    }

    fn read_feeds(&mut self, paths: &[PathBuf]) {
        let stamps: Vec<_> = paths.iter().map(|path| Stamp::of(path)).collect();
        let read = Feeds::read(paths, self.now);
        for (read, stamp) in read.into_iter().zip(stamps) {
            let path = read.report.path.clone();
            let problem = match &read.report.error {
                _ if Stamp::of(&path) != stamp => Some(CHANGED_MEANWHILE.to_owned()),
                Some(error) => Some(error.clone()),
                None if read.report.is_good() => None,
                None => Some("it holds no row that can be used".to_owned()),
            };
            match problem {
                Some(why) if self.keep_feed(&path, &why) => {}
                Some(why) if self.was_good_list(&path) => {
                    self.lists_are_worse = true;
                    self.said
                        .kept
                        .push(format!("{}: {why}; all lists of registrations stay as they were", path.display()));
                }
                Some(why) if why == CHANGED_MEANWHILE => {
                    self.said.dropped.push(format!("{}: {why}, and is read once it stands still", path.display()));
                }
                _ => {
                    self.say_if_shrunk(&read.report);
                    self.feeds.insert(path, read);
                }
            }
        }
    }

    /// Says that a feed has lost more than half of its rows: that may be its publisher's wish, or half a file.
    fn say_if_shrunk(&mut self, report: &FeedReport) {
        let rows = |report: &FeedReport| report.used_total() + report.context;
        let Some(before) = self.feed_before(&report.path).map(rows) else { return };
        let now = rows(report);
        if now.saturating_mul(2) < before {
            let path = report.path.display();
            self.said.dropped.push(format!("{path}: more than half of its rows: {before} before, {now} now"));
        }
    }

    /// Reads the lists of registrations, unless nothing has happened to them or somebody is still writing one.
    fn read_lists(&mut self, mut lists: Vec<RegistrationList>) -> (Arc<Registrations>, Vec<ListReport>) {
        let kept = (Arc::clone(&self.last.registrations), self.before.lists.clone());
        let are_the_same = lists.iter().map(|list| &list.path).eq(self.before.lists.iter().map(|report| &report.path));
        let has_changed = lists.iter().any(|list| self.changes.are_of(&list.path));
        let is_written = lists.iter().any(|list| self.changes.unsettled.contains(&list.path));
        if self.lists_are_worse || is_written || (are_the_same && !has_changed) {
            return kept;
        }
        let (mut registrations, mut reports) = Registrations::load(&lists);
        let bad: Vec<_> = reports.iter().filter(|report| !is_good_list(report)).cloned().collect();
        for report in bad {
            let why = report.error.clone().unwrap_or_else(|| "it holds no registration".to_owned());
            if self.keep_feed(&report.path, &why) {
                lists.retain(|list| list.path != report.path);
                (registrations, reports) = Registrations::load(&lists);
            } else if self.was_good_list(&report.path) {
                let path = report.path.display();
                self.said.kept.push(format!("{path}: {why}; all lists of registrations stay as they were"));
                return kept;
            }
        }
        (Arc::new(registrations), reports)
    }

    /// Reads the files of transparency logs, likewise.
    fn read_logs(&mut self, logs: &[PathBuf]) -> (Arc<Transparency>, Vec<ListReport>) {
        let kept = (Arc::clone(&self.last.transparency), self.before.transparency.clone());
        let are_the_same = logs.iter().eq(self.before.transparency.iter().map(|report| &report.path));
        let has_changed = logs.iter().any(|path| self.changes.are_of(path));
        if logs.iter().any(|path| self.changes.unsettled.contains(path)) || (are_the_same && !has_changed) {
            return kept;
        }
        let (transparency, reports) = Transparency::load(logs);
        let was_good = |path: &Path| kept.1.iter().any(|report| report.path == path && is_good_list(report));
        if let Some(report) = reports.iter().find(|report| !is_good_list(report) && was_good(&report.path)) {
            let (path, why) = (report.path.display(), report.error.as_deref().unwrap_or("it holds no entry"));
            self.said.kept.push(format!("{path}: {why}; all lists of transparency logs stay as they were"));
            return kept;
        }
        (Arc::new(transparency), reports)
    }

    fn drop_what_is_not_named(&mut self, files: &FeedFiles, lists: &[RegistrationList]) {
        let before = self.before.feeds.iter().map(|report| &report.path);
        let lists_before = self.before.lists.iter().filter(|_| !self.lists_are_worse).chain(&self.before.transparency);
        for path in before.chain(lists_before.map(|report| &report.path)) {
            let is_listed = lists.iter().any(|list| list.path == *path);
            if !is_listed && !files.found.contains(path) && !files.gone.contains(path) {
                let why = if path.exists() { "it is no longer named" } else { GONE };
                self.said.dropped.push(format!("{}: {why}, and its rows with it", path.display()));
            }
        }
    }

    /// Keeps the rows that are in force of a feed that cannot be used as it is now; `false` where there are none.
    fn keep_feed(&mut self, path: &Path, why: &str) -> bool {
        let Some(report) = self.feed_before(path).filter(|report| report.is_good()) else { return false };
        let mut report = report.clone();
        let rows = report.used_total() + report.context;
        let since = report.kept.as_ref().map_or(self.now, |kept| kept.since);
        let is_new = report.kept.as_ref().is_none_or(|kept| kept.why != GONE || why != GONE);
        if is_new {
            let of = report.modified.map_or_else(String::new, |modified| format!(" of {modified}"));
            let path = path.display();
            self.said.kept.push(format!("{path}: {why}; the {rows} rows{of} stay in force, since {since}"));
        }
        report.kept = Some(Kept { why: why.to_owned(), since });
        self.keep(report)
    }

    fn keep(&mut self, report: FeedReport) -> bool {
        let kept = match self.last.feeds.in_force(&report) {
            Some(read) => read,
            None => return false,
        };
        self.feeds.insert(report.path, kept);
        true
    }

    fn feed_before(&self, path: &Path) -> Option<&FeedReport> {
        self.before.feeds.iter().find(|report| report.path == path)
    }

    fn was_good_list(&self, path: &Path) -> bool {
        self.before.lists.iter().any(|report| report.path == path && is_good_list(report))
    }
}

/// The files without those that `knowledge` names as something else, which a pattern may lead to: one's own certificates
/// accuse nobody.
pub(super) fn unless_other(mut files: Vec<PathBuf>, paths: &KnowledgePaths) -> Vec<PathBuf> {
    let own = paths.allow.iter().chain(&paths.own_certificates).chain(&paths.prefixes).chain(&paths.signatures);
    let others: HashSet<PathBuf> =
        own.flat_map(|path| files_of(path)).filter_map(|path| path.canonicalize().ok()).collect();
    files.retain(|path| !path.canonicalize().is_ok_and(|path| others.contains(&path)));
    files
}

fn is_good_list(report: &ListReport) -> bool {
    report.error.is_none() && report.rows > 0
}

/// What a file of `knowledge.feeds` holds.
enum FileKind {
    Feed,
    Registrations,
    Transparency,
}

/// What a file holds, by its head or its name. What says of itself which feed it is, is that; what cannot be read is left
/// to the feeds, whose reports say so.
fn kind_of(path: &Path) -> FileKind {
    use std::io::Read as _;
    const HEAD: u64 = 64 * 1024;
    let mut head = Vec::new();
    let read = require_file(path)
        .and_then(|()| crate::source::open(path, Arc::default()).map_err(|error| error.source))
        .and_then(|reader| reader.take(HEAD).read_to_end(&mut head));
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&head).trim_ascii_start();
    let is_json = text.starts_with(b"{") || text.starts_with(b"[");
    let says_so = || !is_json && matches!(Feeds::recognise(&head), Recognised::SaysSo(_));
    let list = RegistrationList::from(path.to_owned());
    match read {
        Ok(_) if Transparency::recognise(&head) => FileKind::Transparency,
        Ok(_) if !says_so() && is_registration_list(&list, &head, (head.len() as u64) < HEAD) => {
            FileKind::Registrations
        }
        _ => FileKind::Feed,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::{Config, Reloaded};
    use crate::knowledge::KnowledgeVersion;
    use crate::knowledge::feeds::SessionNames;

    /// A folder with feeds, and what is in force of them.
    struct World {
        folder: tempfile::TempDir,
        config: Config,
        now: i64,
        knowledge: Knowledge,
        reports: KnowledgeReports,
    }

    impl World {
        /// Feeds are named by the paths and patterns in `feeds`.
        fn new(feeds: &[&str], files: &[(&str, &str)]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            files.iter().for_each(|(name, text)| std::fs::write(folder.path().join(name), text).unwrap());
            let config = Config::parse(&format!("[knowledge]\nfeeds = {feeds:?}\n"), folder.path()).unwrap();
            let (knowledge, reports) = config.load_knowledge(EventTime::from_seconds(0)).unwrap();
            Self { folder, config, now: 0, knowledge, reports }
        }

        fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
            std::fs::write(self.folder.path().join(name), bytes).unwrap();
        }

        fn remove(&self, name: &str) {
            std::fs::remove_file(self.folder.path().join(name)).unwrap();
        }

        /// Reads again what is given; what was kept, and what was dropped.
        fn reload(&mut self, changes: &FileChanges) -> [String; 2] {
            self.now += 60;
            let now = EventTime::from_seconds(self.now);
            let Reloaded { knowledge, reports, kept, dropped } =
                self.config.reload_knowledge(now, changes, &self.knowledge, &self.reports);
            (self.knowledge, self.reports) = (knowledge, reports);
            [kept.join("\n"), dropped.join("\n")]
        }

        /// The same, whatever has changed.
        fn reload_all(&mut self) -> [String; 2] {
            self.reload(&FileChanges::default())
        }

        /// The feeds that list a name.
        fn listed(&self, name: &str) -> Vec<String> {
            let names = SessionNames { name: Some(name), may_be_listed: true, server: None, certificate: None };
            self.knowledge.feeds.of_session(&names).iter().map(|found| found.feed.to_string()).collect()
        }

        fn version(&self) -> KnowledgeVersion {
            self.knowledge.version
        }
    }

    #[test]
    fn a_file_that_breaks_keeps_its_own_rows_and_holds_back_no_other() {
        let rules = r#"alert tls any any -> any any (msg:"a"; tls.sni; content:"rule.example"; endswith; sid:1;)"#;
        let warnings = r#"{"name":"Shapes","type":"substring","list":["listed"]}"#;
        let good = format!("a{}", &"b.example\n".repeat(3));
        for broken in ["", "Dear all,\nplease find attached.\n", "no name\n", "\u{0}\u{1}", "{\"type\": \"bundle\", "] {
            let mut world = World::new(
                &["*"],
                &[
                    ("a.txt", &good),
                    ("b.txt", "listed.example\n192.0.2.0/24\n"),
                    ("c.rules", rules),
                    ("w.json", warnings),
                ],
            );
            let before = world.version();
            world.write("a.txt", broken);
            world.write("b.txt", "listed.example\nnew.example\n");
            let [kept, dropped] = world.reload_all();
            assert!(kept.contains("a.txt: ") && kept.contains("the 3 rows of 20"), "{broken:?}: {kept}");
            assert!(kept.contains("since 1970-01-01T00:01:00Z") && dropped.is_empty(), "{kept}");
            assert_eq!(
                (world.listed("ab.example"), world.listed("new.example")),
                (vec!["a".to_owned()], vec!["b".to_owned()])
            );
            let report = &world.reports.feeds[0];
            assert_eq!((report.feed.as_str(), report.used_total(), &report.error), ("a", 3, &None));
            assert_eq!(report.kept.as_ref().map(|kept| kept.since.seconds()), Some(60), "{report:?}");
            // What is in force is the old of one and the new of the other.
            let between = world.version();
            assert_ne!(between, before);
            let fresh = World::new(
                &["*"],
                &[
                    ("a.txt", &good),
                    ("b.txt", "listed.example\nnew.example\n"),
                    ("c.rules", rules),
                    ("w.json", warnings),
                ],
            );
            assert_eq!(between, fresh.version());
            // Again broken: since the first time, and of the same rows. Rules and patterns are taken out and put back too.
            world.write("a.txt", "still broken");
            world.write("b.txt", "what is this");
            world.write("c.rules", "");
            world.write("w.json", "[");
            let [kept, _] = world.reload_all();
            assert!(kept.contains("the 3 rows of 20") && kept.contains("since 1970-01-01T00:01:00Z"), "{kept}");
            assert_eq!(world.version(), between);
            for name in ["ab.example", "listed.example", "new.example", "rule.example"] {
                assert_eq!(world.listed(name), fresh.listed(name), "{name}");
            }
            assert_eq!(world.listed("listed.example"), ["b", "w"]);
            world.write("a.txt", "mended.example\n");
            world.reload_all();
            assert_eq!((world.listed("ab.example").len(), world.listed("mended.example").len()), (0, 1));
            assert_eq!(world.reports.feeds[0].kept, None);
        }
    }

    #[test]
    fn a_file_that_is_named_as_another_list_is_no_feed() {
        let hash = "87f2085c32b6a2cc709b365f55873e207a9caa10bffecf2fd16d3cf9d94d390c";
        let mut world = World::new(&["*"], &[("own.csv", &format!("{hash},192.0.2.0/24\n")), ("b.txt", "b.example\n")]);
        assert_eq!(world.reports.feeds.len(), 2);
        let text = "[knowledge]\nfeeds = [\"*\"]\nown_certificates = \"own.csv\"\n";
        world.config = Config::parse(text, world.folder.path()).unwrap();
        assert_eq!(world.config.load_knowledge(EventTime::from_seconds(0)).unwrap().1.feeds.len(), 1);
        world.reload_all();
        assert_eq!(world.reports.feeds.len(), 1);
    }

    #[test]
    fn half_an_archive_is_no_feed() {
        let zipped = |names: u32| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            let rows: String = (0..names).map(|number| format!("host{number}.example\n")).collect();
            std::io::Write::write_all(&mut encoder, rows.as_bytes()).unwrap();
            encoder.finish().unwrap()
        };
        let mut world = World::new(&["*"], &[("b.txt", "b.example\n")]);
        world.write("a.txt.gz", &zipped(50_000)[..60_000]);
        world.reload_all();
        assert!(world.reports.feeds[0].error.is_some(), "{:?}", world.reports.feeds[0]);
        assert_eq!((world.listed("host0.example").len(), world.listed("b.example").len()), (0, 1));
        world.write("a.txt.gz", zipped(2));
        world.reload_all();
        world.write("a.txt.gz", &zipped(50_000)[..60_000]);
        let [kept, _] = world.reload_all();
        assert!(kept.contains("a.txt.gz: cannot be read to its end") && kept.contains("the 2 rows"), "{kept}");
        assert_eq!((world.listed("host0.example").len(), world.listed("host9.example").len()), (1, 0));
    }

    #[test]
    fn a_feed_that_loses_more_than_half_of_its_rows_is_taken_and_that_is_said() {
        let rows = |count: u32| (0..count).map(|row| format!("host{row}.example\n")).collect::<String>();
        let mut world = World::new(&["*"], &[("a.txt", &rows(10))]);
        world.write("a.txt", rows(5));
        assert_eq!(world.reload_all(), ["", ""]);
        world.write("a.txt", rows(2));
        let [kept, dropped] = world.reload_all();
        assert!(kept.is_empty() && dropped.contains("a.txt: more than half of its rows: 5 before, 2 now"), "{dropped}");
        assert!(world.listed("host1.example") == ["a"] && world.listed("host4.example").is_empty());
    }

    #[test]
    fn what_is_gone_is_kept_where_it_is_named_and_dropped_where_a_pattern_led_to_it() {
        let files = [("named.txt", "named.example\n"), ("x-1.txt", "one.example\n"), ("x-2.txt", "two.example\n")];
        let mut world = World::new(&["named.txt", "x-*.txt"], &files);
        let version = world.version();
        world.remove("named.txt");
        let [kept, dropped] = world.reload_all();
        assert!(kept.contains("named.txt: it is gone; the 1 rows") && dropped.is_empty(), "{kept}{dropped}");
        assert_eq!((world.listed("named.example"), world.version()), (vec!["named".to_owned()], version));
        assert_eq!(world.reload_all(), [String::new(), String::new()], "it is said once");
        world.remove("x-1.txt");
        let [_, dropped] = world.reload_all();
        assert!(dropped.contains("x-1.txt: it is gone, and its rows with it"), "{dropped}");
        assert_eq!((world.listed("one.example").len(), world.listed("two.example").len()), (0, 1));
        assert_ne!(world.version(), version);
        // A folder that is empty is being filled anew, or not there.
        world.remove("x-2.txt");
        let [kept, dropped] = world.reload_all();
        assert!(kept.contains("x-2.txt: it is gone; the 1 rows") && dropped.is_empty(), "{kept}{dropped}");
        assert_eq!(world.listed("two.example").len(), 1);
        world.write("x-3.txt", "three.example\n");
        let [_, dropped] = world.reload_all();
        assert!(dropped.contains("x-2.txt"), "{dropped}");
        assert_eq!((world.listed("two.example").len(), world.listed("three.example").len()), (0, 1));
        world.write("named.txt", "back.example\n");
        world.reload_all();
        assert_eq!((world.listed("named.example").len(), world.listed("back.example").len()), (0, 1));
    }

    #[test]
    fn a_file_that_is_being_written_or_has_not_changed_is_not_read() {
        let mut world = World::new(&["*"], &[("a.txt", "a.example\n"), ("b.txt", "b.example\n")]);
        ["a.txt", "b.txt", "c.txt", "d.txt"].iter().for_each(|name| world.write(name, format!("new.{name}.example\n")));
        let paths = |names: &[&str]| names.iter().map(|name| world.folder.path().join(name)).collect::<BTreeSet<_>>();
        let changes = FileChanges { changed: Some(paths(&["b.txt", "c.txt"])), unsettled: paths(&["a.txt", "d.txt"]) };
        assert_eq!(world.reload(&changes), [String::new(), String::new()]);
        assert_eq!((world.listed("a.example").len(), world.listed("new.a.txt.example").len()), (1, 0));
        assert_eq!((world.listed("b.example").len(), world.listed("new.b.txt.example").len()), (0, 1));
        assert_eq!((world.listed("new.c.txt.example").len(), world.listed("new.d.txt.example").len()), (1, 0));
        assert_eq!(world.reports.feeds.len(), 3);
    }

    #[test]
    fn lists_of_registrations_and_feeds_do_not_hold_back_each_other() {
        let list = "domain,registered\nnew.com,2026-11-20\n";
        let mut world = World::new(&["*"], &[("a.csv", list), ("b.txt", "b.example\n")]);
        for broken in ["", "Dear all,\nplease find attached.\n"] {
            world.write("a.csv", broken);
            world.write("b.txt", "c.example\n");
            let [kept, _] = world.reload_all();
            assert!(kept.contains("a.csv") && kept.contains("stay as they were"), "{kept}");
            assert_eq!((world.knowledge.registrations.len(), world.listed("c.example").len()), (1, 1));
            assert_eq!(world.reports.lists.len(), 1);
        }
        world.write("a.csv", "evil.example\n");
        world.write("b.txt", list);
        world.reload_all();
        assert_eq!((world.knowledge.registrations.len(), world.listed("evil.example").len()), (1, 1));
        world.write("b.txt", "domain,registered\n");
        world.reload_all();
        assert_eq!(world.knowledge.registrations.len(), 1, "it holds nothing now: {:?}", world.reports.lists);
    }

    #[test]
    fn the_version_does_not_depend_on_the_order_of_patterns_nor_on_names_twice() {
        let files =
            [("a.txt", "a.example\n"), ("b.txt", "b.example\n"), ("n.csv", "domain,registered\nn.com,2026-01-01\n")];
        let one = World::new(&["a.txt", "b.txt", "n.csv"], &files);
        let other = World::new(&["n.csv", "*.txt", "a.txt", "./b.txt"], &files);
        assert_eq!(one.version(), other.version());
        assert_eq!((other.reports.feeds.len(), other.listed("a.example").len()), (2, 1));
        std::os::unix::fs::symlink("a.txt", other.folder.path().join("same.txt")).unwrap();
        let (_, reports) = other.config.load_knowledge(EventTime::from_seconds(0)).unwrap();
        assert_eq!(reports.feeds.len(), 2, "a file under two names is one feed");
    }
}
