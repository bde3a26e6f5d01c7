use super::*;
use crate::knowledge::Registrations;
use crate::knowledge::registrations::{Precision, RegistrationList};
use proptest::prelude::*;
use std::path::PathBuf;

fn lists(folder: &Path, texts: &[(&str, &str)]) -> Vec<RegistrationList> {
    let write = |(name, text): &(&str, &str)| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        RegistrationList::from(path)
    };
    texts.iter().map(write).collect()
}

fn open(path: &Path) -> (Registrations, ListReport) {
    let (registrations, mut reports) = Registrations::load(&[RegistrationList::from(path.to_owned())]);
    (registrations, reports.remove(0))
}

#[test]
fn an_index_says_what_its_lists_say() {
    let folder = tempfile::tempdir().unwrap();
    let lists = lists(
        folder.path(),
        &[
            ("a.csv", "domain,created,source\nold.example,1999-01-02,whois\nagain.com,2020-05-05,\n"),
            ("nrd-14d-2026-11-20.txt", "new.example\nagain.com\nold.example\n"),
            (
                "rdap.ndjson",
                "{\"ldhName\":\"EXACT.COM\",\"events\":[{\"eventAction\":\"registration\",\"eventDate\":\"2026-11-19T10:00:00Z\"}]}\n",
            ),
        ],
    );
    let path = folder.path().join("registered.index");
    let built = build(&path, &lists).unwrap();
    assert_eq!((built.entries, built.bytes), (6, path.metadata().unwrap().len()));
    let (index, report) = open(&path);
    assert_eq!((report.rows, report.error, report.shape), (6, None, Some("index")));
    let (memory, _) = Registrations::load(&lists);
    for name in ["old.example", "again.com", "new.example", "exact.com", "none.example"] {
        for day in 10_000..20_800 {
            assert_eq!(index.find(Registrations::key(name), day), memory.find(Registrations::key(name), day), "{name}");
        }
    }
    let found = index.find(Registrations::key("exact.com"), 20_777).unwrap();
    assert_eq!((found.precision, found.source), (Precision::Exact, "rdap.ndjson"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 4, "nothing is left over");
}

#[test]
fn the_same_lists_make_the_same_index_in_any_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut lists = lists(
        folder.path(),
        &[("a.csv", "a.com,2020-01-01,z\nb.com,2020-01-02,y\n"), ("b.csv", "a.com,2020-01-01,x\n")],
    );
    let places = ["one", "two"].map(|name| folder.path().join(name));
    build(&places[0], &lists).unwrap();
    lists.reverse();
    build(&places[1], &lists).unwrap();
    assert_eq!(std::fs::read(&places[0]).unwrap(), std::fs::read(&places[1]).unwrap());
}

#[test]
fn a_list_that_cannot_be_used_leaves_the_index_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let good = lists(folder.path(), &[("a.csv", "a.com,2020-01-01\n")]);
    let path = folder.path().join("index");
    build(&path, &good).unwrap();
    let before = std::fs::read(&path).unwrap();
    for (name, text) in [("names.txt", "a.com\n"), ("prose.txt", "A line of prose.\n"), ("empty.txt", "# nothing\n")] {
        assert!(build(&path, &lists(folder.path(), &[(name, text)])).is_err(), "{name}");
    }
    assert!(build(&path, &[RegistrationList::from(PathBuf::from("no-such-list"))]).is_err());
    assert!(build(&path, &[RegistrationList::from(path.clone())]).is_err(), "an index is no list");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn nothing_but_an_index_is_replaced_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let lists = lists(folder.path(), &[("a.csv", "a.com,2020-01-01\n"), ("b.csv", "b.com,2020-01-01\n")]);
    let (list, other) = (lists[0].path.clone(), folder.path().join("other"));
    std::fs::write(&other, "").unwrap();
    for out in [&list, &other, &folder.path().to_owned()] {
        for lists in [&lists[..1], &lists[1..]] {
            assert!(matches!(build(out, lists), Err(BuildError::NoIndex(_))), "{}", out.display());
        }
    }
    assert_eq!(std::fs::read_to_string(&list).unwrap(), "a.com,2020-01-01\n");
    let index = folder.path().join("index");
    build(&index, &lists[..1]).unwrap();
    assert_eq!(build(&index, &lists).unwrap().entries, 2);
}

#[test]
fn a_damaged_index_is_refused_or_finds_something_else_and_nothing_worse() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    build(&path, &lists(folder.path(), &[("a.csv", "a.com,2020-01-01\nb.com,2020-01-02\n")])).unwrap();
    let good = std::fs::read(&path).unwrap();
    let notes_end = Header::read(good[..HEADER].try_into().unwrap()).unwrap().notes_at().end;
    for at in 0..notes_end {
        let mut bytes = good.clone();
        bytes[at] ^= 0x55;
        std::fs::write(&path, &bytes).unwrap();
        let (registrations, report) = open(&path);
        assert!(report.error.is_some() && registrations.is_empty(), "byte {at}");
    }
    for length in [10, HEADER, good.len() - 1] {
        std::fs::write(&path, &good[..length]).unwrap();
        assert!(open(&path).1.error.is_some(), "{length} bytes");
    }
    for at in (notes_end..notes_end + SLOT * (1 << MIN_BITS)).step_by(4001).chain(good.len() - 40..good.len()) {
        let mut bytes = good.clone();
        bytes[at] = 0xff;
        std::fs::write(&path, &bytes).unwrap();
        let (registrations, _) = open(&path);
        let _ = registrations.find(Registrations::key("a.com"), 20_000);
    }
}

#[test]
fn all_of_an_index_is_compared_with_what_was_built() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    build(&path, &lists(folder.path(), &[("a.csv", "a.com,2020-01-01\nb.com,2020-01-02\n")])).unwrap();
    assert_eq!(verify(&path), Ok(()));
    let good = std::fs::read(&path).unwrap();
    for at in [HEADER + 1, good.len() / 2, good.len() - 1] {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(verify(&path), Err(DAMAGED.to_owned()), "{at}");
    }
}

/// Writes an index with other shared parts or another version, whole in itself.
fn rewrite(path: &Path, version: u32, change: impl FnOnce(&mut Shared)) {
    let bytes = std::fs::read(path).unwrap();
    let mut header = Header::read(bytes[..HEADER].try_into().unwrap()).unwrap();
    let rest = bytes[header.notes_at().end..].to_vec();
    let mut shared: Shared = postcard::from_bytes(&bytes[header.notes_at()]).unwrap();
    change(&mut shared);
    let notes = postcard::to_stdvec(&shared).unwrap();
    (header.notes, header.notes_crc) = (notes.len() as u64, crc32fast::hash(&notes));
    let mut head = header.write();
    head[16..20].copy_from_slice(&version.to_le_bytes());
    let crc = crc32fast::hash(&head[..HEADER - 4]);
    head[HEADER - 4..].copy_from_slice(&crc.to_le_bytes());
    std::fs::write(path, [&head[..], &notes, &rest].concat()).unwrap();
}

#[test]
fn an_index_that_was_built_by_another_list_of_public_suffixes_says_so_and_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    build(&path, &lists(folder.path(), &[("a.csv", "a.com,2020-01-01\n")])).unwrap();
    assert_eq!(open(&path).1.suffixes_differ(), None);
    // The same content by another name is the same list.
    rewrite(&path, VERSION, |shared| shared.suffixes.name = "yesterday".into());
    assert_eq!(open(&path).1.suffixes_differ(), None);
    rewrite(&path, VERSION, |shared| shared.suffixes.content = Id128::of(b"another"));
    let (registrations, report) = open(&path);
    let said = report.suffixes_differ().unwrap();
    assert!(said.contains("edition yesterday") && said.contains(suffix::list_version()), "{said}");
    assert_eq!(report.error, None);
    assert!(registrations.find(Registrations::key("a.com"), 20_000).is_some());
}

#[test]
fn an_index_of_another_version_is_to_be_built_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let lists = lists(folder.path(), &[("a.csv", "a.com,2020-01-01\n")]);
    for version in [1, VERSION + 1] {
        build(&path, &lists).unwrap();
        rewrite(&path, version, |_| ());
        let (registrations, report) = open(&path);
        let error = report.error.unwrap();
        assert!(error.contains(&format!("version {version}")) && error.contains("build it again"), "{error}");
        assert!(registrations.is_empty() && verify(&path).is_err());
    }
    assert_eq!(build(&path, &lists).unwrap().entries, 1, "and takes the place of the old one");
    assert_eq!(verify(&path), Ok(()));
}

#[test]
fn what_a_kill_has_left_is_removed_and_what_is_being_built_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let lists = lists(folder.path(), &[("a.csv", "a.com,2020-01-01\n")]);
    for name in [".index.unfinished-killed", ".index.unfinished-another", ".other.unfinished-x"] {
        std::fs::write(place(name), "half").unwrap();
    }
    let another = File::open(place(".index.unfinished-another")).unwrap();
    another.lock().unwrap();
    build(&place("index"), &lists).unwrap();
    let mut left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, [".index.unfinished-another", ".other.unfinished-x", "a.csv", "index"]);
}

#[test]
fn sources_beyond_what_an_index_can_number_are_left_out_and_not_mistaken() {
    let folder = tempfile::tempdir().unwrap();
    let rows: String = (0..66_000).map(|number| format!("d{number}.com,2020-01-01,source {number}\n")).collect();
    let lists = lists(folder.path(), &[("a.csv", &rows)]);
    let path = folder.path().join("index");
    let built = build(&path, &lists).unwrap();
    assert_eq!((built.entries, built.reports[0].bad_rows), (65_535, 465));
    let ((index, _), (memory, reports)) = (open(&path), Registrations::load(&lists));
    assert_eq!(reports[0].bad_rows, 465);
    for number in [0, 7, 65_534, 65_535, 65_999] {
        let key = Registrations::key(&format!("d{number}.com"));
        let found = [&index, &memory].map(|all| all.find(key, 20_000).map(|found| found.source.to_owned()));
        let expected = (number < 65_535).then(|| format!("source {number}"));
        assert_eq!(found, [expected.clone(), expected], "{number}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn an_index_answers_like_memory(rows in prop::collection::vec((0..40_u32, 6000..6100_i32), 1..200), asked in (0..40_u32, 6000..6100_i32)) {
        let folder = tempfile::tempdir().unwrap();
        let text: String =
            rows.iter().map(|(name, day)| format!("d{name}.com,{}\n", crate::model::EventTime::date_text(*day))).collect();
        let lists = lists(folder.path(), &[("a.csv", &text)]);
        let path = folder.path().join("index");
        build(&path, &lists).unwrap();
        let key = Registrations::key(&format!("d{}.com", asked.0));
        let ((index, _), (memory, _)) = (open(&path), Registrations::load(&lists));
        prop_assert_eq!(index.find(key, asked.1), memory.find(key, asked.1));
    }
}
