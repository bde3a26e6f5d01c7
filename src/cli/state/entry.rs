//! One entry of the history as an object: the same for `show --json` and for `export`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::history::{Entry, HistoryTable, NameEntry, Recent};
use crate::model::{Address, EventTime, Id128};

/// What is known of one thing.
#[derive(Serialize)]
pub(super) struct EntryObject<'a> {
    /// `issuer`, `certificate`, `key`, `name`, `server`, `fingerprint` or `client`.
    pub(super) kind: &'static str,
    /// Its identity in the state, 32 hexadecimal digits.
    pub(super) id: String,
    /// What it is called: a name, a domain, an address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) label: Option<String>,
    /// Of an issuer: `name` or `organization`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) by: Option<&'static str>,
    /// Of a certificate that the store knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) issuer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) first_seen: Option<String>,
    /// Whether it was new after learning had ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) after_learning: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_seen: Option<String>,
    /// Whether several clients have met it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) established: Option<bool>,
    /// Whether it is rare: few have met it, and it is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rare: Option<bool>,
    /// Distinct observers in the window, by what they are; 32 stands for 32 or more.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) counts: BTreeMap<&'static str, u32>,
    /// The observers themselves, the latest first, each with the last day on which it was there.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) observers: BTreeMap<&'static str, Vec<(String, String)>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) issuer_change: Option<ChangeObject<'a>>,
}

/// A name came with an issuer that it had not come with before.
#[derive(Serialize)]
pub(super) struct ChangeObject<'a> {
    at: String,
    from: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_label: Option<&'a str>,
    to: String,
    new_server: bool,
    new_network: bool,
}

impl<'a> EntryObject<'a> {
    /// An entry of which only the identity is known.
    pub(super) fn new(table: HistoryTable, id: Id128) -> Self {
        let kind = match table {
            HistoryTable::Issuers => "issuer",
            HistoryTable::Certificates => "certificate",
            HistoryTable::Keys => "key",
            HistoryTable::Names => "name",
            HistoryTable::Servers => "server",
            HistoryTable::Fingerprints => "fingerprint",
            HistoryTable::Clients => "client",
        };
        Self {
            kind,
            id: hex(id),
            label: None,
            by: None,
            sha256: None,
            subject: None,
            issuer: None,
            first_seen: None,
            after_learning: None,
            last_seen: None,
            established: None,
            rare: None,
            counts: BTreeMap::new(),
            observers: BTreeMap::new(),
            issuer_change: None,
        }
    }

    /// An entry, by the observers since a day.
    pub(super) fn of<E: Entry>(table: HistoryTable, id: Id128, entry: &E, established: bool, from_day: i32) -> Self {
        let times = entry.times();
        let label = match table {
            HistoryTable::Servers => Some(Address::of_id(id).ip().to_string()),
            _ => entry.label().map(str::to_owned),
        };
        Self {
            label,
            first_seen: Some(times.first.at.to_string()),
            after_learning: Some(times.first.after_learning),
            last_seen: Some(times.last_seen.to_string()),
            established: Some(established),
            counts: entry.sets().map(|(of, set)| (of, set.count_since(from_day).into())).collect(),
            ..Self::new(table, id)
        }
    }

    /// Adds the observers themselves.
    pub(super) fn with_observers<E: Entry>(mut self, entry: &E) -> Self {
        self.observers = entry.sets().map(|(of, set)| (of, observers_of(of, set))).collect();
        self
    }

    /// Adds the change of issuers that a name has seen last.
    pub(super) fn with_change(mut self, entry: &'a NameEntry) -> Self {
        self.issuer_change = entry.issuer_change.as_ref().map(|change| ChangeObject {
            at: change.at.to_string(),
            from: hex(change.from),
            from_label: change.from_label.as_deref(),
            to: hex(change.to),
            new_server: change.new_server,
            new_network: change.new_network,
        });
        self
    }
}

fn observers_of(of: &str, set: &Recent) -> Vec<(String, String)> {
    let name = |id: Id128| match of {
        "clients" | "servers" | "networks" | "hidden_servers" => Address::of_id(id).ip().to_string(),
        _ => hex(id),
    };
    set.observers().map(|known| (name(known.id), EventTime::date_text(known.day))).collect()
}

/// An identity as text.
pub(super) fn hex(id: Id128) -> String {
    format!("{id:?}")
}
