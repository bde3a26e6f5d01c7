//! The real binary beside a sensor: real files, real signals.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use signal_hook::consts::SIGTERM;

use super::process::end_within;

/// A sensor's folder and certsift beside it.
pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) child: Option<Child>,
}

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

impl World {
    pub(crate) fn new() -> Self {
        Self::with_wait("2s")
    }

    pub(crate) fn with_wait(wait: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["logs", "archive"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let config = format!(
            "[[input]]\npaths = [\"logs/*.log\"]\narchives = [\"archive\"]\nsensor = \"dmz-1\"\n\
                      [output]\npath = \"out.ndjson\"\n[state]\ndir = \"state\"\n[join]\nwait = \"{wait}\"\n"
        );
        std::fs::write(folder.path().join("certsift.toml"), config).unwrap();
        Self { folder, child: None }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_certsift"));
        command.args(["run", "--config", "certsift.toml"]).current_dir(self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    pub(crate) fn start(&mut self) {
        let log = OpenOptions::new().create(true).append(true).open(self.path("stderr.txt")).unwrap();
        self.child = Some(self.command().stderr(log).spawn().unwrap());
    }

    pub(crate) fn append(&self, name: &str, lines: &[String]) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.path(name)).unwrap();
        lines.iter().for_each(|line| writeln!(file, "{line}").unwrap());
    }

    pub(crate) fn signal(&self, signal: &str) {
        let process = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &process]).status().unwrap().success());
    }

    /// SIGTERM, and the end that follows.
    pub(crate) fn stop(&mut self) {
        self.signal("-TERM");
        let mut ended = end_within(self.child.as_mut().unwrap(), PATIENCE / 2);
        if ended.is_none() {
            // A signal is lost that comes at the very moment when its handler is set. One that ends at the second signal
            // although it knew of the first says so by its code.
            self.signal("-TERM");
            ended = end_within(self.child.as_mut().unwrap(), PATIENCE);
        }
        let status = ended.unwrap_or_else(|| panic!("SIGTERM does not end it: {}", self.said()));
        self.child = None;
        // Only one that has hardly begun, and has no handler yet, dies of the signal.
        assert!(status.success() || status.signal() == Some(SIGTERM), "{status}: {}", self.said());
    }

    /// SIGKILL: nothing is written or committed any more.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(self.path("stderr.txt")).unwrap_or_default()
    }

    pub(crate) fn output(&self) -> Vec<Value> {
        super::records(&std::fs::read(self.path("out.ndjson")).unwrap_or_default())
    }

    pub(crate) fn wait_for(&self, records: usize) -> Vec<Value> {
        let started = Instant::now();
        loop {
            let text = std::fs::read(self.path("out.ndjson")).unwrap_or_default();
            if text.iter().filter(|byte| **byte == b'\n').count() >= records {
                // While more comes, the last line may be half there.
                let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
                return super::records(&text[..whole]);
            }
            assert!(started.elapsed() < PATIENCE, "{} of {records} records; {}", self.output().len(), self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub(crate) fn fingerprint(number: u32) -> String {
    format!("{number:064x}")
}

pub(crate) fn x509(time: u32, number: u32) -> String {
    let fingerprint = fingerprint(number);
    format!(
        r#"{{"ts":{time}.5,"fingerprint":"{fingerprint}","certificate.version":3,"certificate.serial":"0{number}","certificate.subject":"CN=host{number}.example","certificate.issuer":"CN=Some CA","certificate.not_valid_before":1700000000.0,"certificate.not_valid_after":1800000000.0,"host_cert":true,"client_cert":false}}"#
    )
}

pub(crate) fn ssl(time: u32, number: u32) -> String {
    let fingerprint = fingerprint(number);
    format!(
        r#"{{"ts":{time}.0,"uid":"C{time}","id.orig_h":"10.0.0.1","id.orig_p":5000,"id.resp_h":"192.0.2.1","id.resp_p":443,"version":"TLSv12","server_name":"host{number}.example","resumed":false,"established":true,"cert_chain_fps":["{fingerprint}"],"sni_matches_cert":true}}"#
    )
}

pub(crate) fn uids(records: &[Value]) -> Vec<String> {
    records.iter().filter_map(|record| record["uid"].as_str().map(str::to_owned)).collect()
}

pub(crate) fn states(records: &[Value]) -> Vec<&str> {
    let sessions = records.iter().filter(|record| record["certsift"]["log"] == "zeek.ssl");
    sessions.map(|record| record["certsift"]["certificate"]["state"].as_str().unwrap()).collect()
}

/// Moves a log into an archive, as a sensor's rotation does.
pub(crate) fn compress(from: &Path, to: &Path) {
    let mut encoder = flate2::write::GzEncoder::new(File::create(to).unwrap(), flate2::Compression::default());
    encoder.write_all(&std::fs::read(from).unwrap()).unwrap();
    encoder.finish().unwrap();
    std::fs::remove_file(from).unwrap();
}
