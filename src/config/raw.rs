//! The configuration as it is typed.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::LogFormat;
use super::value::{
    ByteSize, CheckId, Connections, Day, DnsZone, FileMode, Index, InputSocket, Interval, Listen, NetworkList, Rate,
    RdapServer, RequestSize, Socket, Timeout, Url, Urls, ZoneName,
};
use crate::correlate::CERTIFICATE_MEMORY;
use crate::encode::{Detail, Format, OtherEvents};
use crate::history::Budget;
use crate::sink::Compression;

#[derive(Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawConfig {
    /// Logs of one sensor, one table for each; what `run` follows.
    pub(super) input: Vec<RawInput>,
    /// Where records go, and how.
    pub(super) output: RawOutput,
    /// How sessions find their certificates.
    pub(super) join: RawJoin,
    /// What is remembered over restarts.
    pub(super) state: RawState,
    /// Your own networks.
    pub(super) network: RawNetwork,
    /// What you know yourself: feeds, lists, signatures. Files and patterns, relative to the folder of this file.
    pub(super) knowledge: RawKnowledge,
    /// Asking registries when domains were registered; needs a restart.
    pub(super) rdap: RawRdap,
    /// What chains of certificates are checked against.
    pub(super) trust: RawTrust,
    /// Which checks run.
    pub(super) checks: RawChecks,
    /// Who saw what when.
    pub(super) history: RawHistory,
    /// Where `run` says how it goes; needs a restart.
    pub(super) observe: RawObserve,
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawInput {
    /// Files, folders and patterns to follow; the format is found from the content.
    #[schemars(extend("examples" = [["/opt/zeek/logs/current/*.log"]]))]
    #[serde(default)]
    pub(super) paths: Vec<String>,
    /// Where rotated files go: files, folders with everything below, patterns; keep it narrow.
    #[schemars(extend("examples" = [["/opt/zeek/logs/20*/ssl*", "/opt/zeek/logs/20*/x509*"]]))]
    #[serde(default)]
    pub(super) archives: Vec<String>,
    /// A Unix socket that certsift listens on, as Suricata writes to: unix-stream:PATH or unix-dgram:PATH.
    pub(super) socket: Option<InputSocket>,
    /// Permissions of the socket, in octal.
    pub(super) socket_mode: Option<FileMode>,
    /// Name for `certsift.sensor`; else the record's own.
    #[schemars(extend("examples" = ["dmz-1"]))]
    pub(super) sensor: Option<String>,
    /// IANA zone of a sensor with Zeek before 8.0, which logs validity in local time.
    pub(super) time_zone: Option<ZoneName>,
}

#[derive(Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawOutput {
    /// The file that `run` appends to; `-` is standard output.
    #[schemars(extend("default" = "-"))]
    pub(super) path: Option<String>,
    /// Elasticsearch or OpenSearch, in place of a file.
    #[schemars(with = "Option<RawElasticsearch>")]
    pub(super) elasticsearch: Option<Spanned<RawElasticsearch>>,
    /// Splunk's HTTP Event Collector, in place of a file.
    #[schemars(with = "Option<RawSplunk>")]
    pub(super) splunk: Option<Spanned<RawSplunk>>,
    /// A socket, in place of a file.
    #[schemars(with = "Option<RawSocket>")]
    pub(super) socket: Option<Spanned<RawSocket>>,
    /// The file for lines that cannot leave as records; else beside the output.
    #[schemars(extend("examples" = ["/var/log/certsift/dead.ndjson"]))]
    pub(super) dead_letter: Option<String>,
    /// The file for records that a server will never take; else beside the state.
    #[schemars(extend("examples" = ["/var/log/certsift/rejected.ndjson"]))]
    pub(super) rejected: Option<String>,
    /// In which schema records leave: raw, but ecs for Elasticsearch; another one needs a restart and should come with
    /// another path.
    pub(super) format: Option<Format>,
    /// How much an object says.
    pub(super) detail: Detail,
    /// What becomes of EVE events that are not enriched, and of `known_certs`.
    pub(super) other_events: OtherEvents,
    /// Begin another output once this one holds so many bytes.
    pub(super) rotate_size: Option<ByteSize>,
    /// Begin another output once this one is so old by the wall clock.
    pub(super) rotate_interval: Option<Interval>,
    /// What becomes of outputs that were rotated away.
    pub(super) rotate_compress: Compression,
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawElasticsearch {
    /// Its address, or several.
    pub(super) url: Urls,
    /// Data stream, index or alias: logs-certsift-default unless said, for raw logs-certsift.raw-default; required for ocsf.
    #[schemars(extend("examples" = ["logs-certsift-default"]))]
    pub(super) index: Option<Index>,
    /// File with the API key.
    #[schemars(extend("examples" = ["/etc/certsift/api_key"]))]
    pub(super) api_key_file: Option<String>,
    /// Variable of the environment with the API key.
    #[schemars(extend("examples" = ["CERTSIFT_API_KEY"]))]
    pub(super) api_key_env: Option<String>,
    /// User, in place of an API key.
    #[schemars(extend("examples" = ["certsift"]))]
    pub(super) username: Option<String>,
    /// File with the user's password.
    #[schemars(extend("examples" = ["/etc/certsift/password"]))]
    pub(super) password_file: Option<String>,
    /// Variable of the environment with the user's password.
    #[schemars(extend("examples" = ["CERTSIFT_PASSWORD"]))]
    pub(super) password_env: Option<String>,
    /// CAs in PEM that its certificate is checked with, in place of the roots compiled in.
    #[schemars(extend("examples" = ["/etc/certsift/ca.pem"]))]
    pub(super) ca_file: Option<String>,
    /// Whether its certificate is checked; true unless said.
    #[schemars(extend("examples" = [true]))]
    pub(super) verify: Option<bool>,
    /// Requests at the same time.
    #[serde(default)]
    pub(super) connections: Connections,
    /// Bytes of one request, at the most; 5 MiB unless said.
    pub(super) request_size: Option<RequestSize>,
    /// How long one request may take; 60 s unless said.
    pub(super) timeout: Option<Timeout>,
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSplunk {
    /// Its address.
    pub(super) url: Url,
    /// File with the token.
    #[schemars(extend("examples" = ["/etc/certsift/token"]))]
    pub(super) token_file: Option<String>,
    /// Variable of the environment with the token.
    #[schemars(extend("examples" = ["CERTSIFT_TOKEN"]))]
    pub(super) token_env: Option<String>,
    /// Index; that of the token unless said.
    #[schemars(extend("examples" = ["main"]))]
    pub(super) index: Option<String>,
    /// Source of the events.
    #[schemars(extend("examples" = ["certsift"]))]
    pub(super) source: Option<String>,
    /// Source type; that of the format unless said.
    #[schemars(extend("examples" = ["certsift"]))]
    pub(super) sourcetype: Option<String>,
    /// Host of the events; what Splunk takes for it unless said.
    #[schemars(extend("examples" = ["sensor-1"]))]
    pub(super) host: Option<String>,
    /// Whether it says by acknowledgements that events are safe; true unless said.
    #[schemars(extend("examples" = [true]))]
    pub(super) acknowledge: Option<bool>,
    /// How long an acknowledgement is waited for until events are sent again; 5 minutes unless said.
    pub(super) acknowledge_timeout: Option<Timeout>,
    /// CAs in PEM that its certificate is checked with, in place of the roots compiled in.
    #[schemars(extend("examples" = ["/etc/certsift/ca.pem"]))]
    pub(super) ca_file: Option<String>,
    /// Whether its certificate is checked; true unless said.
    #[schemars(extend("examples" = [true]))]
    pub(super) verify: Option<bool>,
    /// Requests at the same time.
    #[serde(default)]
    pub(super) connections: Connections,
    /// Bytes of one request, at the most; 1 MiB unless said.
    pub(super) request_size: Option<RequestSize>,
    /// How long one request may take; 60 s unless said.
    pub(super) timeout: Option<Timeout>,
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSocket {
    /// unix:PATH or tcp://HOST:PORT.
    pub(super) address: Socket,
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawJoin {
    /// How long a session waits for a certificate that was not read yet.
    pub(super) wait: Interval,
    /// How long a certificate is carried forward to resumed sessions; TLS 1.3 at most 24 hours.
    pub(super) carry: Interval,
    /// Memory of certificates; 1 MiB at least.
    pub(super) memory: ByteSize,
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawState {
    /// The state directory; `run` needs it, or --state.
    #[schemars(extend("examples" = ["/var/lib/certsift"]))]
    pub(super) dir: Option<String>,
    /// Time between two commits of `run`; 10 ms at least.
    pub(super) commit_interval: Interval,
}

#[derive(Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawNetwork {
    /// Your own networks, for `direction`; a list takes the place of the default, the private ones.
    #[schemars(extend("default" = crate::model::Networks::DEFAULT))]
    pub(super) local: Option<NetworkList>,
    /// Proxies and NAT addresses, which are not one client, and as servers may change certificates.
    #[schemars(extend("default" = Vec::<String>::new()))]
    pub(super) shared: Option<NetworkList>,
}

#[derive(Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawKnowledge {
    /// Threat feeds, plain, gzip or zstd; kind and columns are found from the content.
    pub(super) feeds: Vec<String>,
    /// Lists and indexes of registrations; paths, or tables of path, window_days and date.
    #[schemars(extend("default" = Vec::<String>::new()))]
    pub(super) registered: Vec<RawRegistered>,
    /// A public_suffix_list.dat in place of the list that is compiled in; needs a restart.
    #[schemars(extend("examples" = ["public_suffix_list.dat"]))]
    pub(super) public_suffix_list: Option<String>,
    /// Signature files beside the built-in catalogue.
    pub(super) signatures: Vec<String>,
    /// Your own domains and brands, for look-alikes; 5 letters or digits at least.
    pub(super) watch_names: Vec<String>,
    /// Lists of popular names with their rank, for look-alikes.
    pub(super) popular: Vec<String>,
    /// A file with exceptions.
    #[schemars(extend("examples" = ["allow.csv"]))]
    pub(super) allow: Option<String>,
    /// A table of your own certificates, `sha256,ranges`: where they belong.
    #[schemars(extend("examples" = ["own.csv"]))]
    pub(super) own_certificates: Option<String>,
    /// A table of prefixes, `cidr,asn,owner`: what another network is; else /16 and /48.
    #[schemars(extend("examples" = ["prefixes.csv"]))]
    pub(super) prefixes: Option<String>,
}

#[derive(Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawTrust {
    /// PEM bundles of roots, instead of Mozilla's, which are compiled in.
    pub(super) roots: Vec<String>,
    /// PEM bundles of CAs, for chains that servers leave incomplete.
    pub(super) intermediates: Vec<String>,
    /// CCADB's report of all certificates with PEM, instead of the table that is compiled in.
    pub(super) public_cas: Vec<String>,
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawRdap {
    /// Whether `run` asks registries for domains that no list knows, which tells them what is seen.
    pub(super) enabled: bool,
    /// IANA's list of servers, dns.json (RFC 9224), a file.
    #[schemars(extend("examples" = ["dns.json"]))]
    pub(super) bootstrap: Option<String>,
    /// Servers by suffix, before those of the list.
    #[schemars(extend("default" = serde_json::Map::new()))]
    pub(super) servers: BTreeMap<DnsZone, RdapServer>,
    /// Domains and suffixes that are never told.
    #[schemars(extend("default" = Vec::<String>::new()))]
    pub(super) except: Vec<DnsZone>,
    /// How long an answer with a day is kept.
    pub(super) cache: Interval,
    /// How long it is kept that a registry knows no day.
    pub(super) cache_unknown: Interval,
    /// Questions to one server.
    pub(super) rate: Rate,
    /// How long one question may take, from 100 ms to 10 minutes.
    pub(super) timeout: Timeout,
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a path, or { path = \"…\", window_days = 14, date = \"2026-11-20\" }")]
pub(super) enum RawRegistered {
    Path(String),
    List(RawRegisteredList),
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRegisteredList {
    /// Files of lists.
    pub(super) path: String,
    /// Days that lists without dates look back.
    pub(super) window_days: Option<u16>,
    /// Day of the data.
    pub(super) date: Option<Day>,
}

#[derive(Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawObserve {
    /// Address and port at which /metrics and /healthz are answered.
    pub(super) listen: Option<Listen>,
    /// Whether `listen` may be an address that other machines reach.
    pub(super) allow_remote: bool,
    /// The form of the log on standard error.
    pub(super) log_format: LogFormat,
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawChecks {
    /// Ids of the checks that run; all unless said.
    #[schemars(with = "Option<Vec<CheckId>>", extend("examples" = [["feed"]]))]
    pub(super) only: Option<Spanned<Vec<CheckId>>>,
    /// Ids of checks that do not run.
    #[schemars(with = "Option<Vec<CheckId>>", extend("examples" = [["unusual_port"]]))]
    pub(super) off: Option<Spanned<Vec<CheckId>>>,
    /// Whether it is counted who saw what; without that, checks that ask the history do not run. Needs a restart.
    pub(super) history: bool,
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawHistory {
    /// Days in which distinct observers are counted.
    pub(super) window: Interval,
    /// Memory of the history; 1 MiB at least.
    pub(super) memory: ByteSize,
    /// What has to be seen before anything is rare or new.
    pub(super) learning: RawLearning,
}

#[derive(Debug, PartialEq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawLearning {
    /// Days since the first record.
    pub(super) days: i32,
    /// Different certificates.
    pub(super) certificates: u64,
    /// Different clients.
    pub(super) clients: u64,
}

impl Default for RawJoin {
    fn default() -> Self {
        Self { wait: Interval::seconds(5), carry: Interval::days(7), memory: ByteSize(CERTIFICATE_MEMORY) }
    }
}

impl Default for RawState {
    fn default() -> Self {
        Self { dir: None, commit_interval: Interval::seconds(2) }
    }
}

impl Default for RawRdap {
    fn default() -> Self {
        Self {
            enabled: false,
            bootstrap: None,
            servers: BTreeMap::new(),
            except: Vec::new(),
            cache: Interval::days(30),
            cache_unknown: Interval::days(1),
            rate: Rate::per_second(1),
            timeout: Timeout(Duration::from_secs(10)),
        }
    }
}

impl Default for RawChecks {
    fn default() -> Self {
        Self { only: None, off: None, history: true }
    }
}

impl Default for RawHistory {
    fn default() -> Self {
        Self { window: Interval::days(30), memory: ByteSize(Budget::DEFAULT), learning: RawLearning::default() }
    }
}

impl Default for RawLearning {
    fn default() -> Self {
        Self { days: 7, certificates: 1000, clients: 50 }
    }
}
