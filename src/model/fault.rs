//! What is wrong with a field of a record that otherwise is fine.

use std::fmt;

/// A field that could not be read; the record leaves with the tag `field:problem`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Which field.
    pub field: FaultField,
    /// What is wrong with it, as one short word.
    pub problem: &'static str,
}

/// Fields that certsift reads, by the names that both sensors have for them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FaultField {
    /// The record's time.
    Time,
    /// The client's address.
    Client,
    /// The server's address.
    Server,
    /// The server's port.
    ServerPort,
    /// The server name that the client asked for.
    ServerName,
    /// The certificate references of the session.
    Chain,
    /// The certificate's fingerprint.
    Fingerprint,
    /// The certificate's serial number.
    Serial,
    /// The certificate's subject.
    Subject,
    /// The certificate's issuer.
    Issuer,
    /// The start of the validity.
    NotBefore,
    /// The end of the validity.
    NotAfter,
    /// The certificate's DER.
    Der,
    /// Another column or key.
    Other,
    /// The record as a whole: handling it failed.
    Record,
}

impl Fault {
    /// A fault of a field.
    pub const fn new(field: FaultField, problem: &'static str) -> Self {
        Self { field, problem }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = match self.field {
            FaultField::Time => "ts",
            FaultField::Client => "client",
            FaultField::Server => "server",
            FaultField::ServerPort => "server_port",
            FaultField::ServerName => "server_name",
            FaultField::Chain => "chain",
            FaultField::Fingerprint => "fingerprint",
            FaultField::Serial => "serial",
            FaultField::Subject => "subject",
            FaultField::Issuer => "issuer",
            FaultField::NotBefore => "not_before",
            FaultField::NotAfter => "not_after",
            FaultField::Der => "der",
            FaultField::Other => "field",
            FaultField::Record => "record",
        };
        write!(f, "{field}:{}", self.problem)
    }
}
