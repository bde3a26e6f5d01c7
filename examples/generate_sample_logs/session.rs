//! One TLS session as it happened, before any sensor has spelt it.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use crate::{
    cast::{HOSTS, Host},
    certificates::Certificate,
    clock::Time,
    digest,
};

/// Who watched it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sensor {
    /// Zeek at the main building, TSV.
    Main,
    /// Zeek at the branch, JSON, with certificates as base64.
    Branch,
    /// Suricata at the uplink, with `certificate` and `chain`.
    Uplink,
    /// Suricata in the reading room, `extended: yes` only: strings, no DER.
    ReadingRoom,
}

impl Sensor {
    /// Whether Zeek runs there.
    pub(crate) fn is_zeek(self) -> bool {
        matches!(self, Self::Main | Self::Branch)
    }
}

/// What kind of handshake it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// TLS 1.2 with the server's certificate in the clear.
    Full,
    /// The same, and the client shows the certificate of this word.
    Mutual(&'static str),
    /// TLS 1.3: no certificate to be seen.
    Tls13,
    /// TLS 1.2, resumed: none sent.
    Resumed,
    /// QUIC: the name and nothing else.
    Quic,
    /// A client hello that nobody answered.
    Incomplete,
    /// The leaf could not be parsed, so the chain begins with the intermediate of this certificate.
    Unparsed(&'static str),
    /// TLS 1.2, complete, and yet no chain in the log.
    NotLogged,
    /// The chain refers to a certificate that x509.log never has.
    NotFound,
}

/// A session.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// Who watched it.
    pub(crate) sensor: Sensor,
    /// When the client spoke first.
    pub(crate) at: Time,
    /// The client.
    pub(crate) client: &'static str,
    /// Its port.
    pub(crate) client_port: u16,
    /// The server.
    pub(crate) server: &'static Host,
    /// The kind of handshake.
    pub(crate) shape: Shape,
    /// What a reader should notice about it.
    pub(crate) note: Option<Note>,
}

/// A line of the README's tables.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Note {
    /// The table it belongs to.
    pub(crate) chapter: &'static str,
    /// What the session shows.
    pub(crate) shows: &'static str,
    /// What certsift should say.
    pub(crate) expect: &'static str,
}

impl Session {
    /// A session at a moment given to the minute or second; port and fraction of a second follow from the rest.
    pub(crate) fn new(
        sensor: Sensor,
        when: &str,
        client: &'static str,
        server: &'static str,
        shape: Shape,
    ) -> Result<Self> {
        let host = HOSTS.iter().find(|host| host.word == server).with_context(|| format!("no host {server}"))?;
        let luck = digest::number(&format!("{when} {client} {server}"));
        Ok(Self {
            sensor,
            at: Time::parse(when)?.plus_micros(i64::try_from(luck % 1_000_000)?),
            client,
            client_port: 49_152 + u16::try_from((luck >> 24) % 16_000)?,
            server: host,
            shape,
            note: None,
        })
    }

    /// Zeek's `uid`.
    pub(crate) fn uid(&self) -> String {
        digest::uid(&format!("{:?} {} {} {}", self.sensor, self.at.eve(), self.client, self.client_port))
    }

    /// Suricata's `flow_id`.
    pub(crate) fn flow_id(&self) -> u64 {
        digest::number(&format!("flow {} {} {}", self.at.eve(), self.client, self.client_port)) >> 13
    }

    /// The word of the certificate that the server presents at that time.
    pub(crate) fn leaf_word(&self) -> Result<&'static str> {
        match self.server.renewed {
            Some((from, word)) if Time::parse(from)? <= self.at => Ok(word),
            _ => Ok(self.server.leaf),
        }
    }

    /// The certificate in sight, if the handshake showed one.
    pub(crate) fn presented<'a>(
        &self,
        all: &'a BTreeMap<&'static str, Certificate>,
    ) -> Result<Option<&'a Certificate>> {
        if !matches!(self.shape, Shape::Full | Shape::Mutual(_) | Shape::NotFound) {
            return Ok(None);
        }
        let word = self.leaf_word()?;
        all.get(word).with_context(|| format!("no certificate {word}")).map(Some)
    }

    /// The client's certificate, if it showed one.
    pub(crate) fn presented_by_client<'a>(
        &self,
        all: &'a BTreeMap<&'static str, Certificate>,
    ) -> Result<Option<&'a Certificate>> {
        match self.shape {
            Shape::Mutual(word) => all.get(word).with_context(|| format!("no certificate {word}")).map(Some),
            _ => Ok(None),
        }
    }
}
