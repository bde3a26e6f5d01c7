//! Where the logs come from that are to be extended.

use std::path::{Path, PathBuf};

/// The sets that are measured.
pub(super) struct Corpus {
    pub(super) sets: Vec<Set>,
}

/// Logs of one sensor that are extended together.
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

/// The sample logs span ten days, and a repetition each: more sessions than this would lead far beyond this century.
const MOST_OF_SAMPLE: u64 = 200_000;

impl Corpus {
    /// The corpus of `CERTSIFT_CORPUS`, else the one beside the repository, else the sample logs.
    pub(super) fn find(records: u64) -> Self {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let corpus = std::env::var_os("CERTSIFT_CORPUS")
            .map_or_else(|| here.join("../shared/corpus"), |folder| here.join(PathBuf::from(folder)));
        if corpus.join("zeek-6.2-tsv/ssl.log.gz").is_file() {
            return Self::real(&corpus, records);
        }
        let records = records.min(MOST_OF_SAMPLE);
        eprintln!("bench: WARNING: there is no corpus at {}; set CERTSIFT_CORPUS", corpus.display());
        eprintln!("bench: WARNING: measuring sample_logs instead, {records} sessions; figures DO NOT COMPARE");
        Self::sample(&here.join("sample_logs"), records)
    }

    fn real(corpus: &Path, records: u64) -> Self {
        let zeek = |name: &str, form| {
            let file = |file: &str| vec![corpus.join(name).join(file)];
            let (sessions, certificates) = (file("ssl.log.gz"), file("x509.log.gz"));
            Set { name: name.to_owned(), form, sessions, certificates, wanted: records }
        };
        let sets = vec![
            zeek("zeek-6.2-tsv", Form::Tsv),
            zeek("zeek-6.2-json", Form::Json),
            zeek("zeek-3.0-tsv", Form::Tsv),
            zeek("zeek-3.0-json", Form::Json),
            Set {
                name: "suricata-8.0".to_owned(),
                form: Form::Eve,
                sessions: vec![corpus.join("suricata-8.0/eve-all-fields.json.gz")],
                certificates: Vec::new(),
                wanted: events(records),
            },
        ];
        Self { sets }
    }

    fn sample(folder: &Path, records: u64) -> Self {
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
        Self { sets: vec![zeek("zeek-tsv", Form::Tsv), zeek("zeek-json", Form::Json), eve] }
    }
}

/// How many EVE events stand for that many sessions of Zeek: 300,000 for two million.
fn events(records: u64) -> u64 {
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
