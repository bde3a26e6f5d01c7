//! A folder of hostile files, the real binary run over it, and what must hold of every run.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part of this")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails where it cannot go on")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde::de::IgnoredAny;
use serde_json::Value;

/// A folder of input files, and another one for what is written.
pub struct World {
    input: tempfile::TempDir,
    output: tempfile::TempDir,
}

/// What a replay left behind.
pub struct Outcome {
    pub code: i32,
    pub stderr: String,
    /// The output as bytes.
    pub bytes: Vec<u8>,
    /// The lines of the output, each checked to be JSON.
    pub lines: Vec<String>,
    /// The dead letters, decoded.
    pub dead: Vec<DeadLetter>,
}

/// One dead letter.
#[derive(Clone, PartialEq, Debug)]
pub struct DeadLetter {
    pub file: String,
    pub offset: u64,
    pub reason: String,
    /// The line that it stands for.
    pub bytes: Vec<u8>,
}

impl World {
    pub fn new() -> Self {
        Self { input: tempfile::tempdir().unwrap(), output: tempfile::tempdir().unwrap() }
    }

    /// Writes a file.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.input.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    pub fn input(&self) -> &Path {
        self.input.path()
    }

    /// Replays paths into a file and checks what holds of every run.
    pub fn replay<P: AsRef<Path>>(&self, paths: &[P]) -> Outcome {
        self.replay_with(paths, &[])
    }

    pub fn replay_with<P: AsRef<Path>>(&self, paths: &[P], options: &[&str]) -> Outcome {
        let written = self.output.path().join("out.ndjson");
        let mut command = certsift();
        command.arg("replay").args(options).arg("-o").arg(&written);
        command.args(paths.iter().map(AsRef::as_ref));
        Outcome::of(command.output().unwrap(), &written)
    }

    /// Replays what comes through a pipe.
    pub fn replay_pipe(&self, path: &str, content: &[u8]) -> Outcome {
        let written = self.output.path().join("out.ndjson");
        let mut command = certsift();
        command.args(["replay", "-o"]).arg(&written).arg(path);
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        let content = content.to_vec();
        let writer = std::thread::spawn(move || pipe.write_all(&content));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        Outcome::of(output, &written)
    }

    /// Replays one file of that name and content.
    pub fn replay_file(name: &str, content: impl AsRef<[u8]>) -> Outcome {
        Self::replay_file_with(name, content, &[])
    }

    pub fn replay_file_with(name: &str, content: impl AsRef<[u8]>, options: &[&str]) -> Outcome {
        let world = Self::new();
        let path = world.file(name, content);
        world.replay_with(&[path], options)
    }
}

impl Outcome {
    fn of(output: Output, written: &Path) -> Self {
        let bytes = std::fs::read(written).unwrap_or_default();
        let dead = std::fs::read(written.with_file_name("out.ndjson.dead.ndjson")).unwrap_or_default();
        let code = output.status.code().expect("certsift was killed by a signal");
        Self::checked(code, &output.stderr, bytes, &dead)
    }

    fn checked(code: i32, stderr: &[u8], bytes: Vec<u8>, dead: &[u8]) -> Self {
        let stderr = String::from_utf8_lossy(stderr).into_owned();
        assert!(!stderr.contains("panicked"), "{stderr}");
        assert!(bytes.is_empty() || bytes.ends_with(b"\n"), "the last line has no end");
        let text = std::str::from_utf8(&bytes).expect("output is UTF-8");
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        for line in &lines {
            // Values stay as they came, so that numbers and surrogates may be beyond what a program can hold.
            let parsed = serde_json::from_str::<IgnoredAny>(line);
            assert!(parsed.is_ok() && line.starts_with('{'), "{line:.300}");
        }
        let dead = std::str::from_utf8(dead).unwrap().lines().map(DeadLetter::parse).collect();
        let outcome = Self { code, stderr, bytes, lines, dead };
        outcome.assert_summary();
        outcome
    }

    /// What the summary says is what was written.
    fn assert_summary(&self) {
        if self.code != 0 && self.code != 3 {
            return;
        }
        let number = |label: &str| -> usize {
            let line = self.stderr.lines().find_map(|line| line.strip_prefix(label)).expect(label);
            line.split_whitespace().next().unwrap().trim_end_matches(',').parse().unwrap()
        };
        assert_eq!(number("records "), self.lines.len(), "{}", self.stderr);
        assert_eq!(number("dead "), self.dead.len(), "{}", self.stderr);
    }

    /// Asserts that every record in left once: as a line, or as a dead letter.
    #[track_caller]
    pub fn assert_counts(&self, code: i32, lines: usize, dead: usize) -> &Self {
        let found = (self.code, self.lines.len(), self.dead.len());
        assert_eq!(found, (code, lines, dead), "code, lines, dead letters\n{}", self.stderr);
        self
    }

    /// A line of the output as a value.
    pub fn value(&self, line: usize) -> Value {
        serde_json::from_str(&self.lines[line]).unwrap()
    }

    pub fn object(&self, line: usize) -> Value {
        self.value(line)["certsift"].clone()
    }

    /// Asserts that a line is what came in, with the object spliced in before its last brace.
    #[track_caller]
    pub fn assert_spliced(&self, line: usize, came: &str) {
        let line = &self.lines[line];
        let open = came.strip_suffix('}').unwrap();
        let comma = if open.trim() == "{" { "" } else { "," };
        let expected = format!("{open}{comma}\"certsift\":{{");
        assert!(line.starts_with(&expected), "{line:.500}\nbegins otherwise than\n{expected:.500}");
        assert_eq!(line.matches("\"certsift\":{\"schema\"").count(), 1, "{line:.500}");
    }

    /// The fault tags of a line.
    pub fn faults(&self, line: usize) -> Vec<String> {
        let object = self.object(line);
        let faults = object["faults"].as_array().cloned().unwrap_or_default();
        faults.iter().map(|fault| fault.as_str().unwrap().to_owned()).collect()
    }
}

impl DeadLetter {
    fn parse(line: &str) -> Self {
        use base64::Engine as _;
        let value: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| value[key].as_str().map(str::to_owned);
        let bytes = match text("text") {
            Some(text) => text.into_bytes(),
            None => base64::engine::general_purpose::STANDARD.decode(text("base64").unwrap()).unwrap(),
        };
        Self {
            file: text("file").unwrap(),
            offset: value["offset"].as_u64().unwrap(),
            reason: text("reason").unwrap(),
            bytes,
        }
    }
}

/// The binary that these tests were built with.
pub fn certsift() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_certsift"));
    command.stdin(Stdio::null()).env_remove("CERTSIFT_LOG").env_remove("RUST_BACKTRACE");
    command
}

/// Lines that count as records: neither blank nor, where `#` begins a header, a header line.
pub fn records_in(content: &[u8], headers: bool) -> usize {
    let blank = |line: &[u8]| std::str::from_utf8(line).is_ok_and(|line| line.trim().is_empty());
    content.split(|&byte| byte == b'\n').filter(|line| !(blank(line) || headers && line.starts_with(b"#"))).count()
}

/// The header of Zeek's `ssl.log`, with these columns behind the ones that matter here.
pub fn ssl_header() -> String {
    header(
        "ssl",
        &[
            "ts",
            "uid",
            "id.orig_h",
            "id.orig_p",
            "id.resp_h",
            "id.resp_p",
            "server_name",
            "established",
            "cert_chain_fps",
        ],
        &["time", "string", "addr", "port", "addr", "port", "string", "bool", "vector[string]"],
    )
}

pub fn header(path: &str, names: &[&str], types: &[&str]) -> String {
    format!(
        "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\t{path}\n\
         #open\t2026-03-09-00-00-00\n#fields\t{}\n#types\t{}\n",
        names.join("\t"),
        types.join("\t")
    )
}

/// A row for [`ssl_header`].
pub fn ssl_row(number: usize) -> String {
    format!(
        "17730224{:02}.5\tC{number}\t10.0.0.1\t50000\t198.51.100.2\t443\thost{number}.example\tT\t-\n",
        number % 100
    )
}

/// A Zeek session as JSON.
pub fn ssl_json(number: usize) -> String {
    format!(
        r#"{{"_path":"ssl","ts":17730224{:02}.5,"uid":"C{number}","id.orig_h":"10.0.0.1","id.orig_p":50000,"id.resp_h":"198.51.100.2","id.resp_p":443,"server_name":"host{number}.example","established":true}}"#,
        number % 100
    )
}

/// A Suricata `tls` event whose `tls` object is this.
pub fn eve(tls: &str) -> String {
    format!(
        r#"{{"timestamp":"2026-03-09T02:00:00.000001+0000","flow_id":1,"event_type":"tls","src_ip":"10.0.0.1","src_port":50000,"dest_ip":"198.51.100.2","dest_port":443,"proto":"TCP","tls":{tls}}}"#
    )
}

/// A Suricata event that is not enriched.
pub const EVE_DNS: &str =
    r#"{"timestamp":"2026-03-09T02:00:00.000001+0000","event_type":"dns","src_ip":"10.0.0.1","dns":{"id": 1.10}}"#;

/// A folder of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The corpus of real logs, where it is there; its absence is said loudly.
pub fn corpus(set: &str) -> Option<PathBuf> {
    let root = std::env::var_os("CERTSIFT_CORPUS").map_or_else(|| repository("../shared/corpus"), PathBuf::from);
    let set = root.join(set);
    if !set.exists() {
        // Not `eprintln`, which the test harness keeps to itself.
        let mut stderr = std::io::stderr();
        let _ = writeln!(stderr, "SKIPPED: {} is not there; set CERTSIFT_CORPUS to the corpus of logs", set.display());
        return None;
    }
    Some(set)
}
