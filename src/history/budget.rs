//! How the memory of history is divided among its tables.
//!
//! The parts are fixed, so that a flood of one kind of things takes nothing from the others. They are such that 512 MiB
//! hold a million certificates and a hundred thousand issuers, whose sets are small but for a few.

/// Bytes that each table may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budget {
    /// All of it.
    pub total: u64,
    /// Issuers and their organisations.
    pub issuers: u64,
    /// Certificates.
    pub certificates: u64,
    /// Keys.
    pub keys: u64,
    /// Names.
    pub names: u64,
    /// Servers.
    pub servers: u64,
    /// Clients.
    pub clients: u64,
    /// What clients offer.
    pub fingerprints: u64,
}

impl Budget {
    /// What is used unless configured otherwise.
    pub const DEFAULT: u64 = 128 << 20;

    /// Divides so many bytes.
    pub fn of(total: u64) -> Self {
        let percent = |part: u64| total / 100 * part;
        Self {
            total,
            issuers: percent(11),
            certificates: percent(67),
            keys: percent(5),
            names: percent(8),
            servers: percent(4),
            clients: percent(3),
            fingerprints: percent(2),
        }
    }
}

/// What the allocator takes for itself with each piece of memory.
pub(super) const ALLOCATION_BYTES: usize = 16;
