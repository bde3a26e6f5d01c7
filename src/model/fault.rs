//! What is wrong with a field of a record that otherwise is fine.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A field that could not be read; the record leaves with the tag `field:problem`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fault {
    /// Which field.
    pub field: FaultField,
    /// What is wrong with it.
    pub problem: Problem,
}

/// Fields that certsift reads, by the names that both sensors have for them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
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

/// What can be wrong with a field.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Problem {
    /// It is not there, and every record has it.
    Missing,
    /// It is no time.
    NotATime,
    /// It is no address.
    NotAnAddress,
    /// It is no port.
    NotAPort,
    /// It is no text, or holds half a character.
    NotText,
    /// It is no number.
    NotANumber,
    /// It does not fit the type that the header gives it.
    NotOfItsType,
    /// It cannot be decoded.
    Unreadable,
    /// Handling it failed.
    Failed,
}

impl Fault {
    /// A fault of a field.
    pub const fn new(field: FaultField, problem: Problem) -> Self {
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
        let problem = match self.problem {
            Problem::Missing => "missing",
            Problem::NotATime => "not_a_time",
            Problem::NotAnAddress => "not_an_address",
            Problem::NotAPort => "not_a_port",
            Problem::NotText => "not_text",
            Problem::NotANumber => "not_a_number",
            Problem::NotOfItsType => "not_of_its_type",
            Problem::Unreadable => "unreadable",
            Problem::Failed => "failed",
        };
        write!(f, "{field}:{problem}")
    }
}
