//! The sample logs, as what is to be extended.

use std::path::{Path, PathBuf};

/// Logs of one sensor that are extended together.
#[derive(Clone)]
pub(super) struct Set {
    pub(super) name: String,
    pub(super) form: Form,
    /// `ssl.log` or EVE, in their order.
    pub(super) sessions: Vec<PathBuf>,
    /// `x509.log`, likewise.
    pub(super) certificates: Vec<PathBuf>,
    /// Sessions that the extended logs shall hold.
    pub(super) wanted: u64,
}

/// How the logs are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Tsv,
    Json,
    Eve,
}

/// The sets of the sample logs.
pub(super) fn sets(records: u64) -> Vec<Set> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sample_logs");
    let zeek = |name: &str, form| {
        let mut files = Vec::new();
        collect(&folder.join(name), &mut files);
        // Of a stream, the numbered file is the older one; folders of days sort by themselves.
        files.sort_by_key(|path| (path.parent().map(Path::to_owned), !has_number(path), path.clone()));
        let of = |log: &str| files.iter().filter(|path| file_name(path).contains(log)).cloned().collect();
        Set { name: format!("sample-{name}"), form, sessions: of("ssl"), certificates: of("x509"), wanted: records }
    };
    let eve = Set {
        name: "sample-suricata".to_owned(),
        form: Form::Eve,
        sessions: vec![folder.join("suricata/eve.json")],
        certificates: Vec::new(),
        wanted: events(records),
    };
    vec![zeek("zeek-tsv", Form::Tsv), zeek("zeek-json", Form::Json), eve]
}

/// How many EVE events stand for that many sessions of Zeek: 300,000 for two million.
pub(super) fn events(records: u64) -> u64 {
    (records * 3 / 20).max(1)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(path);
        }
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn has_number(path: &Path) -> bool {
    file_name(path).ends_with(".1.log")
}
