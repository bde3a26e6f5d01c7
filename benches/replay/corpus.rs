//! Where the logs come from that are to be extended.

use std::path::{Path, PathBuf};

use super::samples::{self, Form, Set, events};

/// The sets that are measured.
pub(super) struct Corpus {
    pub(super) sets: Vec<Set>,
}

/// The sample logs span ten days, and a repetition each: more sessions than this would lead far beyond this century.
const MOST: u64 = 200_000;

impl Corpus {
    /// The corpus of `CERTSIFT_CORPUS`, else the one beside the repository, else the sample logs.
    pub(super) fn find(records: u64) -> Self {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let corpus = std::env::var_os("CERTSIFT_CORPUS")
            .map_or_else(|| here.join("../shared/corpus"), |folder| here.join(PathBuf::from(folder)));
        if corpus.join("zeek-6.2-tsv/ssl.log.gz").is_file() {
            return Self::real(&corpus, records);
        }
        let records = records.min(MOST);
        eprintln!("bench: WARNING: there is no corpus at {}; set CERTSIFT_CORPUS", corpus.display());
        eprintln!("bench: WARNING: measuring sample_logs instead, {records} sessions; figures DO NOT COMPARE");
        Self { sets: samples::sets(records) }
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
}
