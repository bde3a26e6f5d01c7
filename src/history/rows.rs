//! Rows of the state: an entry as bytes, and which table it belongs to.

use serde::{Deserialize, Serialize};

/// Which of the tables a stored row belongs to. The numbers are part of the state's format.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum HistoryTable {
    /// Issuers and their organisations.
    Issuers = 1,
    /// Certificates.
    Certificates = 2,
    /// Names.
    Names = 3,
    /// Clients.
    Clients = 4,
    /// Keys.
    Keys = 5,
    /// Servers.
    Servers = 6,
    /// What clients offer.
    Fingerprints = 7,
}

/// A row that cannot be read back.
#[derive(Debug, thiserror::Error)]
#[error("a row of the history cannot be read")]
pub struct BadRow;

impl HistoryTable {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Issuers, Self::Certificates, Self::Names, Self::Clients, Self::Keys, Self::Servers, Self::Fingerprints];

    /// What it is called where it is shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Issuers => "issuers",
            Self::Certificates => "certificates",
            Self::Names => "names",
            Self::Clients => "clients",
            Self::Keys => "keys",
            Self::Servers => "servers",
            Self::Fingerprints => "fingerprints",
        }
    }
}

pub(super) fn read_row<'a, V: Deserialize<'a>>(value: &'a [u8]) -> Result<V, BadRow> {
    postcard::from_bytes(value).map_err(|_| BadRow)
}

pub(super) fn write_row<V: Serialize>(value: &V) -> Vec<u8> {
    // Serialising into memory does not fail.
    postcard::to_allocvec(value).unwrap_or_default()
}
