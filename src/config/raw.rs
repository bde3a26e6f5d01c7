//! The configuration as it is typed.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::LogFormat;
use super::value::{
    ByteSize, Connections, Day, DnsZone, FileMode, Index, InputSocket, Interval, Listen, NetworkList, Rate, RdapServer,
    RequestSize, Socket, Timeout, Url, Urls, ZoneName,
};
use crate::encode::{Detail, Format, OtherEvents};
use crate::history::Budget;
use crate::sink::Compression;

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawConfig {
    pub(super) input: Vec<RawInput>,
    pub(super) output: RawOutput,
    pub(super) join: RawJoin,
    pub(super) state: RawState,
    pub(super) network: RawNetwork,
    pub(super) knowledge: RawKnowledge,
    pub(super) rdap: RawRdap,
    pub(super) trust: RawTrust,
    pub(super) history: RawHistory,
    pub(super) observe: RawObserve,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawInput {
    #[serde(default)]
    pub(super) paths: Vec<String>,
    #[serde(default)]
    pub(super) archives: Vec<String>,
    pub(super) socket: Option<InputSocket>,
    pub(super) socket_mode: Option<FileMode>,
    pub(super) sensor: Option<String>,
    pub(super) time_zone: Option<ZoneName>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawOutput {
    pub(super) path: Option<String>,
    pub(super) elasticsearch: Option<Spanned<RawElasticsearch>>,
    pub(super) splunk: Option<Spanned<RawSplunk>>,
    pub(super) socket: Option<Spanned<RawSocket>>,
    pub(super) dead_letter: Option<String>,
    pub(super) rejected: Option<String>,
    pub(super) format: Option<Format>,
    pub(super) detail: Detail,
    pub(super) other_events: OtherEvents,
    pub(super) rotate_size: Option<ByteSize>,
    pub(super) rotate_interval: Option<Interval>,
    pub(super) rotate_compress: Compression,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawElasticsearch {
    pub(super) url: Urls,
    #[serde(default)]
    pub(super) index: Index,
    pub(super) api_key_file: Option<String>,
    pub(super) api_key_env: Option<String>,
    pub(super) username: Option<String>,
    pub(super) password_file: Option<String>,
    pub(super) password_env: Option<String>,
    pub(super) ca_file: Option<String>,
    pub(super) verify: Option<bool>,
    #[serde(default)]
    pub(super) connections: Connections,
    pub(super) request_size: Option<RequestSize>,
    pub(super) timeout: Option<Timeout>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSplunk {
    pub(super) url: Url,
    pub(super) token_file: Option<String>,
    pub(super) token_env: Option<String>,
    pub(super) index: Option<String>,
    pub(super) source: Option<String>,
    pub(super) sourcetype: Option<String>,
    pub(super) host: Option<String>,
    pub(super) acknowledge: Option<bool>,
    pub(super) acknowledge_timeout: Option<Timeout>,
    pub(super) ca_file: Option<String>,
    pub(super) verify: Option<bool>,
    #[serde(default)]
    pub(super) connections: Connections,
    pub(super) request_size: Option<RequestSize>,
    pub(super) timeout: Option<Timeout>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSocket {
    pub(super) address: Socket,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawJoin {
    pub(super) wait: Interval,
    pub(super) carry: Interval,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawState {
    pub(super) dir: Option<String>,
    pub(super) commit_interval: Interval,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawNetwork {
    pub(super) local: Option<NetworkList>,
    pub(super) shared: Option<NetworkList>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawKnowledge {
    pub(super) feeds: Vec<String>,
    pub(super) registered: Vec<RawRegistered>,
    pub(super) public_suffix_list: Option<String>,
    pub(super) signatures: Vec<String>,
    pub(super) watch_names: Vec<String>,
    pub(super) popular: Vec<String>,
    pub(super) allow: Option<String>,
    pub(super) own_certificates: Option<String>,
    pub(super) prefixes: Option<String>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawTrust {
    pub(super) roots: Vec<String>,
    pub(super) intermediates: Vec<String>,
    pub(super) public_cas: Vec<String>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawRdap {
    pub(super) enabled: bool,
    pub(super) bootstrap: Option<String>,
    pub(super) servers: BTreeMap<DnsZone, RdapServer>,
    pub(super) except: Vec<DnsZone>,
    pub(super) cache: Interval,
    pub(super) cache_unknown: Interval,
    pub(super) rate: Rate,
    pub(super) timeout: Timeout,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged, expecting = "expected a path, or { path = \"…\", window_days = 14, date = \"2026-11-20\" }")]
pub(super) enum RawRegistered {
    Path(String),
    List(RawRegisteredList),
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRegisteredList {
    pub(super) path: String,
    pub(super) window_days: Option<u16>,
    pub(super) date: Option<Day>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawObserve {
    pub(super) listen: Option<Listen>,
    pub(super) allow_remote: bool,
    pub(super) log_format: LogFormat,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawHistory {
    pub(super) window: Interval,
    pub(super) memory: ByteSize,
    pub(super) learning: RawLearning,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawLearning {
    pub(super) days: i32,
    pub(super) certificates: u64,
    pub(super) clients: u64,
}

impl Default for RawJoin {
    fn default() -> Self {
        Self { wait: Interval::seconds(5), carry: Interval::days(7) }
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
