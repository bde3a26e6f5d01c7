//! The others, how they are found and how they are asked.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::json;

use super::Task;
use super::samples::Form;
use super::traffic::Traffic;

/// Somebody who does the job.
pub(super) struct Peer {
    pub(super) name: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tenzir,
    /// A script beside this file, with the module that it needs, and what stands before its other arguments.
    Python {
        script: &'static str,
        module: &'static str,
        first: Option<&'static str>,
    },
    Miller,
    Jq,
}

/// Everybody who is there.
pub(super) struct Peers {
    pub(super) all: Vec<Peer>,
    python: PathBuf,
    node: Option<Node>,
    scratch: PathBuf,
}

/// Tenzir's node, which holds the tables; it ends with this.
struct Node {
    child: Child,
    endpoint: String,
}

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/compare/peers");

const PEERS: [Peer; 7] = [
    Peer { name: "Tenzir", kind: Kind::Tenzir },
    Peer { name: "DuckDB", kind: Kind::Python { script: "with_duckdb.py", module: "duckdb", first: None } },
    Peer { name: "Polars", kind: Kind::Python { script: "with_polars.py", module: "polars", first: None } },
    Peer {
        name: "Python, orjson",
        kind: Kind::Python { script: "with_json.py", module: "orjson", first: Some("orjson") },
    },
    Peer { name: "Python, json", kind: Kind::Python { script: "with_json.py", module: "json", first: Some("json") } },
    Peer { name: "Miller", kind: Kind::Miller },
    Peer { name: "jq", kind: Kind::Jq },
];

/// How long the node may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(200);

impl Peers {
    /// Looks who is there, and says loudly who is not. Tenzir and Python are those of `python`'s folder.
    pub(super) fn find(python: &Path, scratch: &Path, chosen: impl Fn(&str) -> bool) -> anyhow::Result<Self> {
        let mut peers = Self { all: Vec::new(), python: python.to_owned(), node: None, scratch: scratch.join("peers") };
        std::fs::create_dir_all(&peers.scratch)?;
        for peer in PEERS.into_iter().filter(|peer| chosen(peer.name)) {
            match peers.version(peer.kind) {
                Some(version) => {
                    eprintln!("bench: {}: {version}", peer.name);
                    peers.all.push(peer);
                }
                None => eprintln!(
                    "bench: WARNING: {} IS NOT INSTALLED and is left out; benches/compare/README.md says how",
                    peer.name
                ),
            }
        }
        if peers.all.iter().any(|peer| peer.kind == Kind::Tenzir) {
            peers.node = Some(peers.start_node()?);
        }
        Ok(peers)
    }

    fn version(&self, kind: Kind) -> Option<String> {
        let mut command = match kind {
            Kind::Tenzir => self.tenzir("tenzir"),
            Kind::Python { .. } => Command::new(&self.python),
            Kind::Miller => Command::new("mlr"),
            Kind::Jq => Command::new("jq"),
        };
        match kind {
            // A module does not say it by itself.
            Kind::Python { module, .. } => {
                let script = "import importlib, platform, sys; m = importlib.import_module(sys.argv[1]); \
                              print(getattr(m, '__version__', ''), 'on Python', platform.python_version())";
                command.args(["-c", script, module]);
            }
            Kind::Tenzir => drop(command.args(["-q", "version\nselect version\nwrite_ndjson"])),
            Kind::Miller | Kind::Jq => drop(command.arg("--version")),
        }
        let output = command.stdin(Stdio::null()).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// A program of the virtual environment, else of the search path.
    fn tenzir(&self, program: &str) -> Command {
        let beside = self.python.parent().map(|folder| folder.join(program)).filter(|path| path.is_file());
        Command::new(beside.unwrap_or_else(|| program.into()))
    }

    fn start_node(&self) -> anyhow::Result<Node> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let endpoint = format!("127.0.0.1:{port}");
        let log = self.scratch.join("tenzir-node.log");
        let mut command = self.tenzir("tenzir-node");
        command.arg("-d").arg(self.scratch.join("tenzir-node")).args(["-e", &endpoint]);
        command.stdin(Stdio::null()).stdout(File::create(&log)?).stderr(File::create(&log)?);
        let mut node = Node { child: command.spawn().context("cannot start tenzir-node")?, endpoint };
        let started = Instant::now();
        loop {
            if self.pipeline(&node, "context_list")?.output()?.status.success() {
                return Ok(node);
            }
            let ended = node.child.try_wait()?;
            ensure!(
                ended.is_none() && started.elapsed() < PATIENCE,
                "tenzir-node does not start: see {}",
                log.display()
            );
            std::thread::sleep(PAUSE);
        }
    }

    /// A client of the node that runs a pipeline.
    fn pipeline(&self, node: &Node, text: &str) -> anyhow::Result<Command> {
        let mut command = self.tenzir("tenzir");
        command.args(["-q", "-e", &node.endpoint, text]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Ok(command)
    }

    /// Whether somebody does a task.
    pub(super) fn does(peer: &Peer, task: Task) -> bool {
        peer.kind != Kind::Jq || task == Task::Lookup
    }

    /// The process whose time and memory count with those of the peer's own.
    pub(super) fn beside(&self, peer: &Peer) -> Option<u32> {
        let node = self.node.as_ref().filter(|_| peer.kind == Kind::Tenzir)?;
        Some(node.child.id())
    }

    /// What has to be there before a peer can begin: Tenzir's table of issuers. That is not measured.
    pub(super) fn prepare(&self, peer: &Peer, traffic: &Traffic) -> anyhow::Result<()> {
        let Some(node) = self.node.as_ref().filter(|_| peer.kind == Kind::Tenzir) else { return Ok(()) };
        for name in ["issuers", "certificates"] {
            // They are not there the first time.
            let _ = self.pipeline(node, &format!("context_remove \"{name}\""))?.output()?;
        }
        let fill = format!(
            "from_file {} {{ read_csv }}\ncontext_update \"issuers\", key=issuer, value=label",
            quoted(&traffic.table)
        );
        for text in ["context_create_lookup_table \"issuers\"", &fill] {
            let output = self.pipeline(node, text)?.output()?;
            ensure!(output.status.success(), "tenzir: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    /// The programs to run one after another, which leave their answer in the folder `out`.
    pub(super) fn commands(
        &self,
        peer: &Peer,
        traffic: &Traffic,
        task: Task,
        out: &Path,
    ) -> anyhow::Result<Vec<Command>> {
        match peer.kind {
            Kind::Tenzir => {
                let Some(node) = &self.node else { bail!("there is no node") };
                let texts = tenzir_pipelines(traffic, task, out);
                texts.iter().map(|text| self.pipeline(node, text)).collect()
            }
            Kind::Python { script, first, .. } => {
                let mut command = Command::new(&self.python);
                command.arg(Path::new(SCRIPTS).join(script)).args(first);
                command.args([form_name(traffic.form), if task == Task::Join { "join" } else { "lookup" }]);
                command.arg(&traffic.extended.folder).arg(&traffic.table);
                command.args([traffic.keys.chain, traffic.keys.own]).arg(out).stdout(Stdio::null());
                Ok(vec![command])
            }
            Kind::Miller => self.miller(traffic, task, out),
            Kind::Jq => jq(traffic, out),
        }
    }

    fn miller(&self, traffic: &Traffic, task: Task, out: &Path) -> anyhow::Result<Vec<Command>> {
        let folder = &traffic.extended.folder;
        let (chain, own) = (traffic.keys.chain, traffic.keys.own);
        // In a table of CSV, Miller would expect what it is told of the log's TSV.
        let table = self.scratch.join("issuers.ndjson");
        let issuers: BTreeMap<String, String> = serde_json::from_slice(&std::fs::read(&traffic.table_json)?)?;
        let rows = issuers.iter().map(|(issuer, label)| json!({"issuer": issuer, "label": label}).to_string() + "\n");
        std::fs::write(&table, rows.collect::<String>())?;
        let table = table.to_string_lossy();
        let look_up = |key: &str| {
            // Records that pair leave with the table's columns, the others as they came.
            let join = [
                "then",
                "join",
                "-i",
                "json",
                "--ur",
                "-l",
                "issuer",
                "-r",
                "looked_up",
                "-j",
                "looked_up",
                "-f",
                &table,
            ];
            let steps = join.into_iter().chain(["then", "cut", "-x", "-f", "looked_up"]).map(str::to_owned);
            (format!("$looked_up = {key}"), steps.collect::<Vec<_>>())
        };
        let reading = |name: &str| -> anyhow::Result<(Command, Vec<String>)> {
            let mut command = Command::new("mlr");
            let mut label = Vec::new();
            if traffic.form == Form::Tsv {
                command.args(["--itsv", "--implicit-tsv-header", "--skip-comments", "--ojsonl", "--no-auto-unflatten"]);
                label = vec!["label".to_owned(), columns(&folder.join(name))?, "then".to_owned()];
            } else {
                command.args(["--ijsonl", "--ojsonl"]);
            }
            Ok((command, label))
        };
        let mut commands = Vec::new();
        let mut job = |name: &str, key: &str, before: &[String]| -> anyhow::Result<()> {
            let (mut command, label) = reading(name)?;
            let (put, steps) = look_up(key);
            command.args(label).args(before).args(["put", &put]).args(steps).arg(folder.join(name));
            command.stdout(File::create(out.join(format!("{name}.ndjson")))?);
            commands.push(command);
            Ok(())
        };
        if traffic.form == Form::Eve {
            job("eve.json", "is_map($tls) ? $tls[\"issuerdn\"] : \"\"", &[])?;
            return Ok(commands);
        }
        job("x509.log", "${certificate.issuer}", &[])?;
        if task == Task::Lookup {
            job("ssl.log", "$issuer", &[])?;
            return Ok(commands);
        }
        // The certificates become a table of their own first, each once.
        let pairs = self.scratch.join("certificates.ndjson");
        let leaf = match traffic.form {
            Form::Tsv => format!("splitax(${{{chain}}}, \",\")[1]"),
            Form::Json | Form::Eve => format!("is_array(${{{chain}}}) ? ${{{chain}}}[1] : \"\""),
        };
        let (mut command, label) = reading("x509.log")?;
        let rename = format!("{own},leaf,certificate.issuer,shown");
        command.args(label).args(["cut", "-o", "-f", &format!("{own},certificate.issuer"), "then"]);
        command.args(["head", "-n", "1", "-g", own, "then", "rename", &rename]).arg(folder.join("x509.log"));
        command.stdout(File::create(&pairs)?);
        let put_leaf = format!("${{leaf}} = {leaf}");
        let pairs = pairs.to_string_lossy();
        let join = ["put", &put_leaf, "then", "join", "-i", "json", "--ur", "-j", "leaf", "-f", &pairs, "then"];
        job("ssl.log", "$shown", &join.map(str::to_owned))?;
        commands.insert(0, command);
        Ok(commands)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It is ours alone, and its folder is thrown away.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn jq(traffic: &Traffic, out: &Path) -> anyhow::Result<Vec<Command>> {
    let folder = &traffic.extended.folder;
    let files = match traffic.form {
        Form::Eve => vec!["eve.json"],
        Form::Json | Form::Tsv => vec!["ssl.log", "x509.log"],
    };
    let command = |name: &str| {
        let mut command = Command::new("jq");
        command.arg("-c").arg("--slurpfile").arg("table").arg(&traffic.table_json);
        match traffic.form {
            Form::Tsv => drop(command.args(["-n", "-R", "-f"]).arg(format!("{SCRIPTS}/lookup-tsv.jq"))),
            Form::Json | Form::Eve => drop(command.arg("-f").arg(format!("{SCRIPTS}/lookup.jq"))),
        }
        command.arg(folder.join(name)).stdout(File::create(out.join(format!("{name}.ndjson")))?);
        Ok(command)
    };
    files.into_iter().map(command).collect()
}

fn tenzir_pipelines(traffic: &Traffic, task: Task, out: &Path) -> Vec<String> {
    let file = |name: &str| quoted(&traffic.extended.folder.join(name));
    let reader = if traffic.form == Form::Tsv { "read_zeek_tsv" } else { "read_ndjson" };
    let job = |name: &str, steps: &str| {
        let (from, to) = (file(name), quoted(&out.join(format!("{name}.ndjson"))));
        format!("from_file {from} {{ {reader} }}\n{steps}\nto_file {to} {{ write_ndjson }}")
    };
    let look_up =
        |key: &str| format!("looked_up = {key}\ncontext_enrich \"issuers\", key=looked_up, into=intel\ndrop looked_up");
    if traffic.form == Form::Eve {
        return vec![job("eve.json", &look_up("tls.issuerdn?"))];
    }
    // Read from TSV, dots make records of records.
    let issuer = if traffic.form == Form::Tsv { "certificate.issuer?" } else { "this[\"certificate.issuer\"]?" };
    let x509 = job("x509.log", &look_up(issuer));
    if task == Task::Lookup {
        return vec![x509, job("ssl.log", &look_up("issuer?"))];
    }
    let (chain, own) = (traffic.keys.chain, traffic.keys.own);
    let join = format!(
        "leaf = {chain}?[0]?\ncontext_enrich \"certificates\", key=leaf, into=shown\n{}\ndrop leaf",
        look_up("shown")
    );
    vec![
        x509,
        "context_create_lookup_table \"certificates\"".to_owned(),
        format!(
            "from_file {} {{ {reader} }}\ncontext_update \"certificates\", key={own}, value={issuer}",
            file("x509.log")
        ),
        job("ssl.log", &join),
        "context_remove \"certificates\"".to_owned(),
    ]
}

fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display())
}

fn form_name(form: Form) -> &'static str {
    match form {
        Form::Json => "json",
        Form::Tsv => "tsv",
        Form::Eve => "eve",
    }
}

/// The columns of a TSV log, with commas between them.
fn columns(path: &Path) -> anyhow::Result<String> {
    for line in BufReader::new(File::open(path)?).lines() {
        if let Some(fields) = line?.strip_prefix("#fields\t") {
            return Ok(fields.replace('\t', ","));
        }
    }
    bail!("{} has no columns", path.display());
}
