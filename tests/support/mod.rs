//! What tests of the whole program share.
#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on fails, and says so")]

pub(crate) mod files;
pub(crate) mod history_logs;
pub(crate) mod oracle;
pub(crate) mod process;
pub(crate) mod random;
pub(crate) mod scene;
pub(crate) mod sensor;
pub(crate) mod server;
pub(crate) mod shipper;
pub(crate) mod sidecar;
pub(crate) mod small_disk;
pub(crate) mod traffic;

use std::collections::HashMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// A path of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The corpus of real logs, or `None`, said loudly, where it is not there.
pub(crate) fn corpus(test: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("CERTSIFT_CORPUS").map_or_else(|| repository("../shared/corpus"), PathBuf::from);
    if folder.join("zeek-6.2-tsv").is_dir() {
        return Some(folder);
    }
    eprintln!("SKIPPED: {test}: there is no corpus in {}; set CERTSIFT_CORPUS", folder.display());
    None
}

/// Runs certsift in a folder of its own, where it may leave files.
pub(crate) fn certsift(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_certsift")).args(arguments).current_dir(folder).output().unwrap()
}

/// Replays paths and gives the output; fails the test when the replay does.
pub(crate) fn replay(paths: &[PathBuf], options: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let mut arguments = vec!["replay"];
    arguments.extend(options);
    arguments.extend(paths.iter().map(|path| path.to_str().unwrap()));
    let output = certsift(folder.path(), &arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(!folder.path().join("certsift.dead.ndjson").exists(), "dead letters: {said}");
    output.stdout
}

/// Whether the long forms of tests are wanted, which take minutes.
pub(crate) fn full_tests() -> bool {
    std::env::var_os("CERTSIFT_FULL_TESTS").is_some_and(|value| value == "1")
}

/// Lines as JSON.
pub(crate) fn records(output: &[u8]) -> Vec<Value> {
    let lines = output.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
}

/// What a record calls itself: uid, fingerprint, file id or flow id; a known certificate by its server.
pub(crate) fn name_of(record: &Value) -> String {
    let name = ["uid", "fingerprint", "id"].iter().find_map(|key| record[*key].as_str().map(str::to_owned));
    name.unwrap_or_else(|| match &record["flow_id"] {
        Value::Null => format!("{} {}", record["host"], record["port_num"]),
        flow => flow.to_string(),
    })
}

/// Enriched records by what they call themselves.
pub(crate) fn by_name(records: &[Value]) -> HashMap<String, Vec<&Value>> {
    let mut found: HashMap<String, Vec<&Value>> = HashMap::new();
    for record in records.iter().filter(|record| record.get("certsift").is_some()) {
        found.entry(name_of(record)).or_default().push(record);
    }
    found
}

/// The lines of a gzipped file.
pub(crate) fn gz_lines(path: &Path) -> Vec<String> {
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// A line without the object that was added to it.
pub(crate) fn without_object(line: &str) -> String {
    match line.find(",\"certsift\":{") {
        Some(at) => format!("{}}}", &line[..at]),
        None => line.to_owned(),
    }
}

/// Fails when a line does not fit the published schema.
pub(crate) fn assert_valid(records: &[Value]) {
    let schema: Value =
        serde_json::from_str(&std::fs::read_to_string(repository("schemas/enriched.schema.json")).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for record in records {
        let errors: Vec<_> = validator.iter_errors(record).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}\n{record}");
    }
}
