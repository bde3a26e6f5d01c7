//! Rows as older versions wrote them.

use serde::Deserialize;
#[cfg(test)]
use serde::Serialize;

use super::entries::{CertificateEntry, Entry, IssuerEntry, NameEntry, Times};
use super::recent::{Observer, Recent};
use super::rows::{BadRow, HistoryTable, read_row, write_row};
use super::seen::FirstSeen;
use crate::model::{EventTime, Id128};

/// What issuers lack that were stored before format 5: clients of servers within, of which there are none.
const NO_OBSERVERS: u8 = 0;

/// The observers of a set, in no order.
type Observers = Vec<(Id128, i32)>;

/// An issuer in format 2.
#[derive(Deserialize)]
#[cfg_attr(test, derive(Serialize))]
struct Issuer2 {
    first: FirstSeen,
    last_seen: EventTime,
    clients: Observers,
    domains: Observers,
    servers: Observers,
    certificates: Observers,
}

/// A certificate in format 2.
#[derive(Deserialize)]
#[cfg_attr(test, derive(Serialize))]
struct Certificate2 {
    first: FirstSeen,
    clients: Observers,
}

/// A name in format 2.
#[derive(Deserialize)]
#[cfg_attr(test, derive(Serialize))]
struct Name2 {
    first: FirstSeen,
    client: Option<Id128>,
}

/// A row of an older format in the form of today.
///
/// # Errors
/// The row cannot be read.
pub(crate) fn from_format(version: u32, table: HistoryTable, value: &[u8]) -> Result<Vec<u8>, BadRow> {
    match (version, table) {
        (2, _) => from_format_2(table, value),
        (3 | 4, HistoryTable::Issuers) => Ok([value, &[NO_OBSERVERS]].concat()),
        _ => Ok(value.to_vec()),
    }
}

/// A row of format 2 in the form of today. Sets that there were not are empty. Where the last sight was not kept it is the
/// beginning of the last day of an observer, or the first sight where that is later; a client without a day saw it on the
/// day of the first sight.
///
/// # Errors
/// The row cannot be read.
fn from_format_2(table: HistoryTable, value: &[u8]) -> Result<Vec<u8>, BadRow> {
    match table {
        HistoryTable::Issuers => {
            let row: Issuer2 = read_row(value)?;
            let mut entry = IssuerEntry::new(Times { first: row.first, last_seen: row.last_seen });
            entry.clients = set(row.clients);
            entry.domains = set(row.domains);
            entry.servers = set(row.servers);
            entry.certificates = set(row.certificates);
            Ok(write_row(&entry))
        }
        HistoryTable::Certificates => {
            let row: Certificate2 = read_row(value)?;
            let clients = set(row.clients);
            // A day is all that is known of the last sight.
            let last_day = clients.observers().next().map_or(i32::MIN, |observer| observer.day);
            let last_seen = row.first.at.max(EventTime::from_day(last_day));
            Ok(write_row(&CertificateEntry { clients, ..CertificateEntry::new(Times { first: row.first, last_seen }) }))
        }
        HistoryTable::Names => {
            let row: Name2 = read_row(value)?;
            let clients = set(row.client.map(|client| (client, row.first.at.day())).into_iter().collect());
            let times = Times { first: row.first, last_seen: row.first.at };
            Ok(write_row(&NameEntry { clients, ..NameEntry::new(times) }))
        }
        HistoryTable::Clients | HistoryTable::Keys | HistoryTable::Servers | HistoryTable::Fingerprints => {
            Ok(value.to_vec())
        }
    }
}

fn set(observers: Observers) -> Recent {
    Recent::of(observers.into_iter().map(|(id, day)| Observer { id, day }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: FirstSeen = FirstSeen { at: EventTime(90_000_000_000_000), after_learning: true };

    fn id(number: u8) -> Id128 {
        Id128([number; 16])
    }

    #[test]
    fn rows_of_format_2_keep_what_they_say() {
        let issuer = Issuer2 {
            first: FIRST,
            last_seen: EventTime(91_000_000_000_000),
            clients: vec![(id(1), 1), (id(2), 3), (id(3), 2)],
            domains: vec![(id(4), 1)],
            servers: vec![],
            certificates: vec![(id(5), 1)],
        };
        let row = from_format_2(HistoryTable::Issuers, &postcard::to_allocvec(&issuer).unwrap()).unwrap();
        let entry: IssuerEntry = read_row(&row).unwrap();
        let clients: Vec<_> = entry.clients.observers().map(|observer| observer.id).collect();
        assert_eq!(clients, [id(2), id(3), id(1)]);
        assert_eq!((entry.times.first, entry.times.last_seen, entry.label), (FIRST, issuer.last_seen, None));

        let certificate = Certificate2 { first: FIRST, clients: vec![(id(1), 1), (id(2), 4)] };
        let row = from_format_2(HistoryTable::Certificates, &postcard::to_allocvec(&certificate).unwrap()).unwrap();
        let entry: CertificateEntry = read_row(&row).unwrap();
        assert_eq!((entry.times.last_seen.day(), entry.clients.count_since(2)), (4, 1));

        let name = Name2 { first: FIRST, client: Some(id(7)) };
        let row = from_format_2(HistoryTable::Names, &postcard::to_allocvec(&name).unwrap()).unwrap();
        let entry: NameEntry = read_row(&row).unwrap();
        assert_eq!((entry.clients.count_since(1), entry.issuers.count_since(i32::MIN)), (1, 0));
        assert!(from_format_2(HistoryTable::Names, &[0xff]).is_err());
    }

    #[test]
    fn an_issuer_of_format_4_has_no_clients_within() {
        let mut entry = IssuerEntry::new(Times { first: FIRST, last_seen: FIRST.at });
        entry.clients = set(vec![(id(1), 1)]);
        let row = write_row(&entry);
        let before = row.strip_suffix(&[NO_OBSERVERS]).unwrap();
        for version in [3, 4] {
            let row = from_format(version, HistoryTable::Issuers, before).unwrap();
            assert_eq!(read_row::<IssuerEntry>(&row).unwrap(), entry);
        }
        assert_eq!(from_format(4, HistoryTable::Names, b"as it is").unwrap(), b"as it is");
    }
}
