//! Values with a form of their own.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::enrich::checks;
use crate::model::{EventTime, Networks, TimeZone};
use crate::rdap::{ServerUrl, Zone};
use crate::sink::network::{Endpoint, IndexName, SocketAddress};
use crate::source::streams::SocketKind;

/// A length of time, such as `250ms`, `5s`, `10m`, `12h` or `30d`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Interval(pub(super) Duration);

/// How long a question to a registry, or a request to an output, may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Timeout(pub(super) Duration);

/// A number of bytes, such as `512MiB` or `10GB`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ByteSize(pub(super) u64);

/// Networks in CIDR notation.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct NetworkList(pub(super) Networks);

/// An IANA time zone.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct ZoneName(pub(super) TimeZone);

/// A date such as `2026-11-20`, as days since 1970-01-01.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Day(pub(super) i32);

/// How often something may happen, such as `1/s`, `30/m` or `500/h`, as the time between two of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Rate(pub(super) Duration);

/// A domain or a suffix.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct DnsZone(pub(super) Zone);

/// An address and a port of this machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Listen(pub(super) SocketAddr);

/// The address of a server of RDAP.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct RdapServer(pub(super) ServerUrl);

/// A socket such as `unix-stream:/run/certsift/eve.sock`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct InputSocket {
    pub(super) kind: SocketKind,
    pub(super) path: String,
}

/// The id of a check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct CheckId(pub(super) &'static str);

/// Permissions such as `"0660"`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct FileMode(pub(super) u32);

impl InputSocket {
    fn parse(text: &str) -> Option<Self> {
        let (kind, path) = text.split_once(':')?;
        let kind = match kind {
            "unix-stream" => SocketKind::Stream,
            "unix-dgram" => SocketKind::Datagram,
            _ => return None,
        };
        (!path.is_empty()).then(|| Self { kind, path: path.to_owned() })
    }
}

impl CheckId {
    fn all() -> Vec<&'static str> {
        checks().iter().map(|check| check.id).collect()
    }
}

impl FileMode {
    fn parse(text: &str) -> Option<Self> {
        let is_octal = (3..=4).contains(&text.len()) && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
        let mode = u32::from_str_radix(text, 8).ok().filter(|mode| is_octal && *mode <= 0o777)?;
        Some(Self(mode))
    }
}

/// The address of a server that records go to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Url(pub(super) Endpoint);

/// One such address, or several that are as good as each other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Urls(pub(super) Vec<Endpoint>);

/// An index, alias or data stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Index(pub(super) IndexName);

/// The address of a socket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Socket(pub(super) SocketAddress);

/// Requests at the same time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Connections(pub(super) usize);

/// Bytes of one request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct RequestSize(pub(super) usize);

impl Default for Connections {
    fn default() -> Self {
        Self(2)
    }
}

impl Rate {
    pub(super) const fn per_second(number: u32) -> Self {
        Self(Duration::from_millis(1000 / number as u64))
    }

    fn parse(text: &str) -> Option<Self> {
        let (number, unit) = text.split_once('/')?;
        let number: u32 = number.trim().parse().ok().filter(|number| *number > 0)?;
        let seconds = match unit.trim() {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            _ => return None,
        };
        Some(Self(Duration::from_secs(seconds) / number))
    }
}

impl Day {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let day = EventTime::parse_date(text).filter(|_| text.len() == "2026-11-20".len());
        day.map(Self).ok_or_else(|| format!("`{text}` is no date; write `2026-11-20`"))
    }
}

impl Timeout {
    /// In less time no server answers.
    const MIN: Duration = Duration::from_millis(100);
    /// All other servers wait meanwhile.
    const MAX: Duration = Duration::from_secs(600);
}

impl Interval {
    pub(super) const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    pub(super) const fn days(days: u64) -> Self {
        Self(Duration::from_secs(days * 86_400))
    }

    pub(super) fn complaint(text: &str) -> String {
        format!("`{text}` is no length of time; write `5s` or `7d`")
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().ok()?;
        let millis = match unit.trim() {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        number.checked_mul(millis).map(|millis| Self(Duration::from_millis(millis)))
    }
}

impl ByteSize {
    fn parse(text: &str) -> Option<Self> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().ok()?;
        let bytes = match unit.trim() {
            "B" | "" => 1,
            "kB" => 1000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return None,
        };
        number.checked_mul(bytes).filter(|bytes| *bytes > 0).map(Self)
    }
}

/// A number of something in the largest unit that divides it.
fn in_units(number: u64, units: &[(u64, &str)]) -> String {
    let unit = units.iter().find(|(size, _)| number > 0 && number.is_multiple_of(*size));
    let (size, name) = unit.or(units.last()).copied().unwrap_or((1, ""));
    format!("{}{name}", number / size)
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")];
        f.write_str(&in_units(u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX), &units))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&in_units(self.0, &[(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B")]))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // So many in the shortest time that holds a whole number of them.
        let units = [(1000, "s"), (60_000, "m"), (3_600_000, "h"), (86_400_000, "d")];
        let pause = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX).max(1);
        let unit = units.iter().find(|(time, _)| time % pause == 0).unwrap_or(&units[3]);
        write!(f, "{}/{}", unit.0 / pause, unit.1)
    }
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Interval(self.0).fmt(f)
    }
}

/// Values that are written as they are read, since a default is shown.
macro_rules! written_as_text {
    ($($value:ty),*) => {$(
        impl Serialize for $value {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}

written_as_text!(Interval, ByteSize, Rate, Timeout);

/// What values look like, for editors.
macro_rules! schema_of {
    ($($value:ty, $name:literal, $schema:tt;)*) => {$(
        impl JsonSchema for $value {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )*};
}

schema_of! {
    Interval, "Interval", {"type": "string", "pattern": "^[0-9]+ *(ms|s|m|h|d)$", "examples": ["5s"]};
    Timeout, "Timeout", {"type": "string", "pattern": "^[0-9]+ *(ms|s|m|h|d)$", "examples": ["10s"]};
    ByteSize, "ByteSize", {"type": "string", "pattern": "^[0-9]+ *(B|kB|MB|GB|KiB|MiB|GiB|)$", "examples": ["512MiB"]};
    Rate, "Rate", {"type": "string", "pattern": "^ *[0-9]+ */ *[smhd] *$", "examples": ["30/m"]};
    Day, "Day", {"type": "string", "format": "date", "examples": ["2026-11-20"]};
    NetworkList, "NetworkList", {"type": "array", "items": {"type": "string"}, "examples": [["10.0.0.0/8", "fd00::/8"]]};
    ZoneName, "ZoneName", {"type": "string", "examples": ["America/New_York"]};
    DnsZone, "DnsZone", {"type": "string", "examples": ["example.org"]};
    RdapServer, "RdapServer", {"type": "string", "pattern": "^https://", "examples": ["https://rdap.example"]};
    Listen, "Listen", {"type": "string", "examples": ["127.0.0.1:9469"]};
    Url, "Url", {"type": "string", "pattern": "^https?://", "examples": ["https://splunk.example:8088"]};
    Urls, "Urls", {
        "type": ["string", "array"], "pattern": "^https?://", "items": {"type": "string", "pattern": "^https?://"},
        "examples": ["https://elastic.example:9200"]
    };
    Index, "Index", {"type": "string"};
    InputSocket, "InputSocket", {
        "type": "string", "pattern": "^unix-(stream|dgram):", "examples": ["unix-stream:/run/certsift/eve.sock"]
    };
    CheckId, "CheckId", {"type": "string", "enum": (CheckId::all()), "examples": ["feed"]};
    FileMode, "FileMode", {"type": "string", "pattern": "^0?[0-7]{3}$", "examples": ["0660"]};
    Socket, "Socket", {"type": "string", "examples": ["unix:/run/siem.sock"]};
    Connections, "Connections", {"type": "integer", "minimum": 1, "maximum": 16};
    RequestSize, "RequestSize", {"type": "string", "examples": ["5MiB"]};
}

impl<'a> Deserialize<'a> for InputSocket {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let complaint =
            || format!("`{text}` is no socket; write `unix-stream:/run/certsift/eve.sock` or `unix-dgram:…`");
        Self::parse(&text).ok_or_else(|| D::Error::custom(complaint()))
    }
}

impl<'a> Deserialize<'a> for CheckId {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let known = Self::all().into_iter().find(|id| *id == text).map(Self);
        known.ok_or_else(|| D::Error::custom(format!("`{text}` is no check; there are {}", Self::all().join(", "))))
    }
}

impl<'a> Deserialize<'a> for FileMode {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom(format!("`{text}` are no permissions; write `\"0660\"`")))
    }
}

impl<'a> Deserialize<'a> for ByteSize {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom(format!("`{text}` is no number of bytes; write `512MiB`")))
    }
}

impl<'a> Deserialize<'a> for Rate {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom(format!("`{text}` is no rate; write `1/s` or `30/m`")))
    }
}

impl<'a> Deserialize<'a> for DnsZone {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        Zone::parse(&String::deserialize(deserializer)?).map(Self).map_err(D::Error::custom)
    }
}

impl<'a> Deserialize<'a> for RdapServer {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        ServerUrl::parse(&String::deserialize(deserializer)?).map(Self).map_err(D::Error::custom)
    }
}

impl<'a> Deserialize<'a> for Listen {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = |_| D::Error::custom(format!("`{text}` is no address with a port; write `127.0.0.1:9469`"));
        text.parse().map(Self).map_err(wrong)
    }
}

impl<'a> Deserialize<'a> for Day {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl<'a> Deserialize<'a> for Interval {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom(Self::complaint(&text)))
    }
}

impl<'a> Deserialize<'a> for Timeout {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        let Interval(time) = Interval::deserialize(deserializer)?;
        match (Self::MIN..=Self::MAX).contains(&time) {
            true => Ok(Self(time)),
            false => Err(D::Error::custom("it may take from 100 ms to 10 minutes; write `10s`")),
        }
    }
}

impl<'a> Deserialize<'a> for Url {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        Endpoint::parse(&String::deserialize(deserializer)?).map(Self).map_err(D::Error::custom)
    }
}

impl<'a> Deserialize<'a> for Urls {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected an address, or a list of addresses")]
        enum Texts {
            One(String),
            Many(Vec<String>),
        }
        let texts = match Texts::deserialize(deserializer)? {
            Texts::One(text) => vec![text],
            Texts::Many(texts) => texts,
        };
        if texts.is_empty() {
            return Err(D::Error::custom("names no address"));
        }
        let urls: Result<Vec<_>, _> = texts.iter().map(|text| Endpoint::parse(text)).collect();
        urls.map(Self).map_err(D::Error::custom)
    }
}

impl<'a> Deserialize<'a> for Index {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        IndexName::parse(&String::deserialize(deserializer)?).map(Self).map_err(D::Error::custom)
    }
}

impl<'a> Deserialize<'a> for Socket {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        SocketAddress::parse(&String::deserialize(deserializer)?).map(Self).map_err(D::Error::custom)
    }
}

impl<'a> Deserialize<'a> for Connections {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        let number = usize::deserialize(deserializer)?;
        match (1..=16).contains(&number) {
            true => Ok(Self(number)),
            false => Err(D::Error::custom("from 1 to 16 connections can be had")),
        }
    }
}

impl<'a> Deserialize<'a> for RequestSize {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        let ByteSize(bytes) = ByteSize::deserialize(deserializer)?;
        match (64 << 10..=64 << 20).contains(&bytes) {
            true => Ok(Self(bytes as usize)),
            false => Err(D::Error::custom("a request has from 64 KiB to 64 MiB; write `5MiB`")),
        }
    }
}

impl<'a> Deserialize<'a> for NetworkList {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        Networks::parse(&texts).map(Self).map_err(D::Error::custom)
    }
}

impl<'a> Deserialize<'a> for ZoneName {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let unknown =
            |_| D::Error::custom(format!("`{name}` is no time zone; write a name such as `America/New_York`"));
        TimeZone::named(&name).map(Self).map_err(unknown)
    }
}
