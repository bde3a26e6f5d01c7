//! From what a user typed to settings that cannot be wrong.
//!
//! In: a TOML file, or nothing: every key has a default. Out: [`Config`]. Promise: what is wrong is said with its line,
//! and nothing downstream checks again.

mod checks;
mod documented;
mod feed_files;
mod knowledge;
mod network;
mod raw;
mod settings;
mod trust_files;
mod value;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::correlate::JoinSettings;
use crate::encode::{Detail, EncodeSettings, Format, OtherEvents};
use crate::enrich::{CheckSet, EnrichSettings};
use crate::history::{HistorySettings, LearningThresholds};
use crate::model::{Networks, TimeZone};
use crate::rdap::RdapSettings;
use crate::sink::Rotation;
use crate::sink::network::NetworkSettings;
use crate::source::streams::Socket;
pub use documented::{schema, shown};
pub use knowledge::{KnowledgeError, KnowledgeReports, Reloaded};
pub(crate) use knowledge::{check_feeds, expand};
pub use settings::{Setting, changed_settings};
pub(crate) use trust_files::public_cas;

/// Everything that can be set.
#[derive(Clone, Debug)]
pub struct Config {
    /// What is followed by `run`, and what `replay` knows of sensors by their paths.
    pub inputs: Vec<InputConfig>,
    /// Where records go.
    pub output: OutputConfig,
    /// How sessions find their certificates.
    pub join: JoinSettings,
    /// Bytes of certificates that are kept in memory.
    pub certificate_memory: u64,
    /// The checks that are wanted.
    pub checks: CheckSet,
    /// How far history looks back, and when it begins to judge.
    pub history: HistorySettings,
    /// Where the state is kept.
    pub state_dir: Option<PathBuf>,
    /// Wall time between two commits of `run`.
    pub commit_interval: Duration,
    /// The user's own knowledge.
    pub knowledge: KnowledgePaths,
    /// Whether and how registries are asked.
    pub rdap: RdapSettings,
    /// Where `run` says how it goes.
    pub observe: ObserveConfig,
}

/// Where `run` says how it goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ObserveConfig {
    /// Where metrics and health are told; nowhere without one.
    pub listen: Option<SocketAddr>,
    /// The form of the log.
    pub log_format: LogFormat,
}

/// The form of the log on standard error.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object on each line.
    Json,
}

/// Logs of one sensor.
#[derive(Clone, Debug)]
pub struct InputConfig {
    /// Files, folders and patterns to follow.
    pub paths: Vec<String>,
    /// Where rotated files go.
    pub archives: Vec<String>,
    /// A socket to listen on.
    pub socket: Option<Socket>,
    /// The sensor's name.
    pub sensor: Option<String>,
    /// The sensor's zone, for Zeek before 8.0.
    pub time_zone: Option<TimeZone>,
}

/// Where records go.
#[derive(Clone, Debug)]
pub struct OutputConfig {
    /// The file; `None` is standard output, unless it is a server.
    pub path: Option<PathBuf>,
    /// The server.
    pub network: Option<NetworkSettings>,
    /// The file for lines that cannot leave as records; `None` is beside the output.
    pub dead_letter: Option<PathBuf>,
    /// The file for lines that a server rejects; `None` is beside the state.
    pub rejected: Option<PathBuf>,
    /// In which schema records leave.
    pub format: Format,
    /// How much an object says.
    pub detail: Detail,
    /// What becomes of events that are not enriched.
    pub other_events: OtherEvents,
    /// When `run` begins another file.
    pub rotation: Rotation,
}

/// Files with the user's own knowledge.
#[derive(Clone, Debug, Default)]
pub struct KnowledgePaths {
    /// Threat feeds, and lists of domains and when they were registered.
    pub feeds: Vec<String>,
    /// Lists and indexes of registrations.
    pub registered: Vec<RegisteredPaths>,
    /// The list of public suffixes to use in place of the one that is compiled in.
    pub public_suffix_list: Option<String>,
    /// Signature files beside the built-in catalogue.
    pub signatures: Vec<String>,
    /// Names and brands to watch over.
    pub watch_names: Vec<String>,
    /// The user's exceptions.
    pub allow: Option<String>,
    /// The user's own certificates, and where they belong.
    pub own_certificates: Option<String>,
    /// Prefixes and whose they are.
    pub prefixes: Option<String>,
    /// Lists of popular names.
    pub popular: Vec<String>,
    /// Roots of chains, instead of those compiled in.
    pub roots: Vec<String>,
    /// Certificates of CAs for chains that servers leave incomplete.
    pub intermediates: Vec<String>,
    /// CCADB's report of all certificates, instead of the table of public CAs that is compiled in.
    pub public_cas: Vec<String>,
}

/// Lists of registrations, and what is known of all their rows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegisteredPaths {
    /// A path or pattern.
    pub pattern: String,
    /// Days that lists without dates look back.
    pub window_days: Option<u16>,
    /// The day of the data, as days since 1970-01-01.
    pub day: Option<i32>,
}

impl InputConfig {
    /// The files, folders and patterns among its paths; `-` is standard input.
    pub fn files(&self) -> impl Iterator<Item = &String> {
        self.paths.iter().filter(|path| *path != "-")
    }

    /// Whether standard input is among its paths.
    pub fn is_stdin(&self) -> bool {
        self.paths.iter().any(|path| path == "-")
    }
}

impl KnowledgePaths {
    /// Every path and pattern whose files are read again when they change.
    pub fn patterns(&self) -> Vec<String> {
        let lists = self.allow.iter().chain(&self.own_certificates).chain(&self.prefixes);
        let lists = lists.chain(self.registered.iter().map(|list| &list.pattern));
        let trust = self.popular.iter().chain(&self.roots).chain(&self.intermediates).chain(&self.public_cas);
        self.feeds.iter().chain(&self.signatures).chain(lists).chain(trust).cloned().collect()
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot read the configuration: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file says something that cannot be.
    #[error("{}: {message}", .path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong, with its line.
        message: String,
    },
}

/// With less memory than this, history would not even remember what one busy hour shows.
const MIN_HISTORY_MEMORY: u64 = 1 << 20;
/// With less memory than this, certificates of sessions that follow each other would push each other out.
const MIN_CERTIFICATE_MEMORY: u64 = 1 << 20;
/// Commits that follow each other faster cost more than they save.
const MIN_COMMIT_INTERVAL: Duration = Duration::from_millis(10);
/// Days for which an issuer, a name or a certificate is new.
const NEW_DAYS: i64 = 7;
/// Days after its registration for which a domain is recent.
const RECENT_DOMAIN_DAYS: i64 = 30;

impl Config {
    /// Reads a configuration file. Paths in it are relative to its folder.
    ///
    /// # Errors
    /// The file cannot be read or says something that cannot be.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::parse(&text, folder).map_err(|message| ConfigError::Invalid { path: path.to_owned(), message })
    }

    /// Reads the text of a configuration; paths in it are relative to `folder`.
    ///
    /// # Errors
    /// What is wrong, with its line.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, String> {
        let raw: raw::RawConfig = toml::from_str(text).map_err(|error| network::complaint(text, &error))?;
        let is_empty = |input: &raw::RawInput| input.paths.is_empty() && input.socket.is_none();
        if let Some(number) = raw.input.iter().position(is_empty) {
            return Err(format!("[[input]] number {} has neither `paths` nor a `socket`", number + 1));
        }
        if let Some(value::Listen(address)) = raw.observe.listen
            && !address.ip().is_loopback()
            && !raw.observe.allow_remote
        {
            return Err(format!(
                "observe.listen: {address} can be reached from other machines, and whoever asks is told everything; \
                 write `127.0.0.1:{}`, or set allow_remote = true beside it",
                address.port()
            ));
        }
        let network = raw.output.network(&|path| place(folder, path));
        let network = network.map_err(|wrong| network::complaint_at(text, wrong))?;
        let checks = raw.checks.wanted().map_err(|wrong| network::complaint_at(text, wrong))?;
        let is_format_said = raw.output.format.is_some();
        let mut config = Self { checks, ..raw.resolve(folder) };
        if let Some((network, format)) = network {
            config.output.network = Some(network);
            if !is_format_said {
                config.output.format = format;
            }
        }
        Ok(config)
    }

    /// The settings of encoding and of the checks.
    pub fn encode_settings(&self) -> EncodeSettings {
        EncodeSettings {
            format: self.output.format,
            detail: self.output.detail,
            other_events: self.output.other_events,
            enrich: EnrichSettings {
                checks: self.checks,
                history: self.join.history,
                new_days: NEW_DAYS,
                recent_domain_days: RECENT_DOMAIN_DAYS,
            },
            ask_at: None,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        raw::RawConfig::default().resolve(Path::new(""))
    }
}

/// A date as it is written in a configuration, `2026-11-20`, as days since 1970-01-01.
///
/// # Errors
/// What is wrong with it.
pub fn parse_day(text: &str) -> Result<i32, String> {
    value::Day::parse(text).map(|day| day.0)
}

/// A length of time as it is written in a configuration, such as `90d`.
///
/// # Errors
/// What is wrong with it.
pub fn parse_interval(text: &str) -> Result<Duration, String> {
    value::Interval::parse(text).map(|interval| interval.0).ok_or_else(|| value::Interval::complaint(text))
}

fn days(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs() / 86_400).unwrap_or(i32::MAX)
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

fn networks(parsed: Option<value::NetworkList>, default: &[&str]) -> Networks {
    // The default is part of the program and has a test of its own.
    parsed.map(|list| list.0).unwrap_or_else(|| Networks::parse(default).unwrap_or(Networks::none()))
}

/// A path as it is written, which is relative to the folder of the file.
fn place(folder: &Path, path: String) -> String {
    if path == "-" || Path::new(&path).is_absolute() { path } else { folder.join(path).to_string_lossy().into_owned() }
}

impl raw::RawRegistered {
    fn resolve(self, place: impl Fn(String) -> String) -> RegisteredPaths {
        match self {
            Self::Path(path) => RegisteredPaths { pattern: place(path), window_days: None, day: None },
            Self::List(list) => RegisteredPaths {
                pattern: place(list.path),
                window_days: list.window_days,
                day: list.date.map(|day| day.0),
            },
        }
    }
}

impl raw::RawConfig {
    fn resolve(self, folder: &Path) -> Config {
        let place = |path: String| place(folder, path);
        let places = |paths: Vec<String>| paths.into_iter().map(place).collect::<Vec<_>>();
        let inputs = self.input.into_iter().map(|input| InputConfig {
            paths: places(input.paths),
            archives: places(input.archives),
            socket: input.socket.map(|socket| Socket {
                kind: socket.kind,
                path: PathBuf::from(place(socket.path)),
                mode: input.socket_mode.map(|mode| mode.0),
            }),
            sensor: input.sensor,
            time_zone: input.time_zone.map(|zone| zone.0),
        });
        let output = self.output;
        Config {
            inputs: inputs.collect(),
            output: OutputConfig {
                path: output.path.filter(|path| path != "-").map(|path| PathBuf::from(place(path))),
                network: None,
                dead_letter: output.dead_letter.map(|path| PathBuf::from(place(path))),
                rejected: output.rejected.map(|path| PathBuf::from(place(path))),
                format: output.format.unwrap_or_default(),
                detail: output.detail,
                other_events: output.other_events,
                rotation: Rotation {
                    size: output.rotate_size.map(|size| size.0),
                    interval: output.rotate_interval.map(|interval| interval.0),
                    compression: output.rotate_compress,
                },
            },
            join: JoinSettings {
                wait: nanos(self.join.wait.0),
                carry: nanos(self.join.carry.0),
                local: networks(self.network.local, &Networks::DEFAULT),
                shared: networks(self.network.shared, &[]),
                history: self.checks.history,
            },
            certificate_memory: self.join.memory.0.max(MIN_CERTIFICATE_MEMORY),
            checks: CheckSet::ALL,
            history: HistorySettings {
                window_days: days(self.history.window.0).max(1),
                learning: LearningThresholds {
                    days: self.history.learning.days,
                    certificates: self.history.learning.certificates,
                    clients: self.history.learning.clients,
                },
                memory: self.history.memory.0.max(MIN_HISTORY_MEMORY),
            },
            state_dir: self.state.dir.map(|path| PathBuf::from(place(path))),
            commit_interval: self.state.commit_interval.0.max(MIN_COMMIT_INTERVAL),
            knowledge: KnowledgePaths {
                feeds: places(self.knowledge.feeds),
                registered: self.knowledge.registered.into_iter().map(|list| list.resolve(place)).collect(),
                public_suffix_list: self.knowledge.public_suffix_list.map(place),
                signatures: places(self.knowledge.signatures),
                watch_names: self.knowledge.watch_names,
                allow: self.knowledge.allow.map(place),
                own_certificates: self.knowledge.own_certificates.map(place),
                prefixes: self.knowledge.prefixes.map(place),
                popular: places(self.knowledge.popular),
                roots: places(self.trust.roots),
                intermediates: places(self.trust.intermediates),
                public_cas: places(self.trust.public_cas),
            },
            rdap: RdapSettings {
                enabled: self.rdap.enabled,
                bootstrap: self.rdap.bootstrap.map(|path| PathBuf::from(place(path))),
                servers: self.rdap.servers.into_iter().map(|(zone, server)| (zone.0, server.0)).collect(),
                except: self.rdap.except.into_iter().map(|zone| zone.0).collect(),
                keep: self.rdap.cache.0,
                keep_unknown: self.rdap.cache_unknown.0,
                pause: self.rdap.rate.0,
                timeout: self.rdap.timeout.0,
            },
            observe: ObserveConfig {
                listen: self.observe.listen.map(|listen| listen.0),
                log_format: self.observe.log_format,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::streams::SocketKind;

    #[test]
    fn an_empty_configuration_works() {
        let config = Config::parse("", Path::new("")).unwrap();
        assert_eq!(config.join.wait, 5_000_000_000);
        assert_eq!((config.history.window_days, config.history.memory), (30, 128 << 20));
        let server = crate::model::Address::parse("10.1.2.3").unwrap();
        assert!(config.join.local.contains(server));
    }

    #[test]
    fn a_mistake_is_said_with_its_line() {
        for (text, expected) in [
            ("[output]\npth = \"x\"\n", "pth"),
            ("[join]\nwait = \"5 parsecs\"\n", "parsecs"),
            ("[output]\nrotate_size = \"512 pages\"\n", "pages"),
            ("[network]\nlocal = [\"10.0.0.0/99\"]\n", "10.0.0.0/99"),
            ("[[input]]\nsocket = \"tcp:7\"\n", "tcp:7"),
            ("[[input]]\nsocket_mode = \"rw\"\n", "rw"),
            ("[[input]]\nsocket_mode = \"8888\"\n", "8888"),
            ("[[input]]\npaths = []\ntime_zone = \"Middle/Earth\"\n", "Middle/Earth"),
            ("[rdap]\nrate = \"0/s\"\n", "0/s"),
            ("[observe]\nlisten = \"9469\"\n", "127.0.0.1:9469"),
            ("[observe]\nlog_format = \"xml\"\n", "xml"),
            ("[rdap]\nservers = { com = \"rdap.example\" }\n", "rdap.example"),
            ("[rdap]\nexcept = [\"a b\"]\n", "a b"),
            ("[knowledge]\nregistered = [{ path = \"x\", date = \"soon\" }]\n", "window_days"),
        ] {
            let message = Config::parse(text, Path::new("")).unwrap_err();
            assert!(message.contains(expected) && message.contains("line 2") | message.contains("line 3"), "{message}");
        }
    }

    #[test]
    fn an_input_is_of_files_or_of_a_socket() {
        let text = "[[input]]\npaths = [\"-\", \"a.log\"]\n[[input]]\nsocket = \"unix-dgram:eve.sock\"\nsocket_mode = \"0660\"\n";
        let inputs = Config::parse(text, Path::new("/etc/x")).unwrap().inputs;
        assert_eq!(inputs[0].files().collect::<Vec<_>>(), ["/etc/x/a.log"]);
        assert!(inputs[0].is_stdin() && !inputs[1].is_stdin());
        let path = PathBuf::from("/etc/x/eve.sock");
        assert_eq!(inputs[1].socket, Some(Socket { kind: SocketKind::Datagram, path, mode: Some(0o660) }));
        for text in ["[[input]]\nsensor = \"a\"\n", "[[input]]\npaths = []\n"] {
            let message = Config::parse(text, Path::new("")).unwrap_err();
            assert!(message.contains("number 1 has neither"), "{message}");
        }
    }

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [("512MiB", 512 << 20), ("10GB", 10_000_000_000), ("8 kB", 8000), ("77", 77)] {
            let config = Config::parse(&format!("[output]\nrotate_size = \"{text}\"\n"), Path::new("")).unwrap();
            assert_eq!(config.output.rotation.size, Some(bytes), "{text}");
        }
    }

    #[test]
    fn nobody_is_asked_unless_that_is_said() {
        assert!(!Config::default().rdap.enabled);
        let text = "[rdap]\nenabled = true\nbootstrap = \"dns.json\"\nservers = { \".COM\" = \"https://rdap.example/v1\" }\n\
            except = [\"mine.org\"]\ncache = \"7d\"\nrate = \"30/m\"\ntimeout = \"100ms\"\n";
        let rdap = Config::parse(text, Path::new("/etc/x")).unwrap().rdap;
        assert!(rdap.enabled && rdap.servers.contains_key(&crate::rdap::Zone::parse("com").unwrap()));
        assert_eq!(rdap.bootstrap.as_deref(), Some(Path::new("/etc/x/dns.json")));
        assert_eq!((rdap.pause, rdap.timeout), (Duration::from_secs(2), Duration::from_millis(100)));
        assert_eq!((days(rdap.keep), days(rdap.keep_unknown)), (7, 1));
        for time in ["99ms", "0s", "601s", "1d"] {
            let message = Config::parse(&format!("[rdap]\ntimeout = \"{time}\"\n"), Path::new("")).unwrap_err();
            assert!(message.contains("from 100 ms to 10 minutes"), "{message}");
        }
    }

    #[test]
    fn other_machines_are_answered_only_where_that_is_said() {
        let of = |text: &str| {
            Config::parse(&format!("[observe]\n{text}\n"), Path::new("")).map(|config| config.observe.listen)
        };
        assert_eq!(Config::default().observe.listen, None);
        for local in ["127.0.0.1:9469", "127.9.9.9:1", "[::1]:9469"] {
            assert_eq!(of(&format!("listen = \"{local}\"")), Ok(Some(local.parse().unwrap())));
        }
        for remote in ["0.0.0.0:9469", "[::]:9469", "192.0.2.1:9469"] {
            let error = of(&format!("listen = \"{remote}\"")).unwrap_err();
            assert!(error.contains("allow_remote = true"), "{error}");
            let allowed = of(&format!("listen = \"{remote}\"\nallow_remote = true"));
            assert_eq!(allowed, Ok(Some(remote.parse().unwrap())));
        }
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        let config = Config::parse("[knowledge]\nfeeds = [\"a.csv\", \"/b.csv\"]\n", Path::new("/etc/x")).unwrap();
        assert_eq!(config.knowledge.feeds, ["/etc/x/a.csv", "/b.csv"]);
    }

    #[test]
    fn a_list_of_registrations_may_say_its_days() {
        let text = "[knowledge]\nregistered = [\"a\", { path = \"b\", window_days = 14, date = \"2026-11-20\" }]\n";
        let config = Config::parse(text, Path::new("/etc/x")).unwrap();
        let list = |pattern: &str, window_days, day| RegisteredPaths { pattern: pattern.to_owned(), window_days, day };
        let expected = [list("/etc/x/a", None, None), list("/etc/x/b", Some(14), Some(20_777))];
        assert_eq!(config.knowledge.registered, expected);
    }
}
