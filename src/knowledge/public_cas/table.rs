//! The table of public CAs from their certificates.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use x509_parser::prelude::{FromDer as _, ParsedExtension, X509Certificate};

use crate::decode::attributes_of;
use crate::model::{DistinguishedName, Sha256Digest};

const SECONDS_PER_DAY: i64 = 86_400;
/// Bytes of a key identifier that are kept: 64 bits tell 10,000 keys apart.
const KEY_ID_BYTES: usize = 8;

/// First day, last day and key identifier of one certificate.
type Window = (i64, i64, String);

/// Collects certificates, and gives the lines of the table.
#[derive(Debug, Default)]
pub struct TableBuilder {
    names: BTreeMap<String, BTreeSet<Window>>,
    /// Reports join several lists and repeat some certificates.
    certificates: BTreeSet<Sha256Digest>,
}

impl TableBuilder {
    /// Adds a certificate.
    ///
    /// # Errors
    /// It is none, or cannot be a line of the table.
    pub fn add(&mut self, der: &[u8]) -> Result<(), String> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| "not a certificate".to_owned())?;
        let name = DistinguishedName::from_attributes(None, attributes_of(certificate.subject())).normalised();
        if name.is_empty() || name.contains(['\t', '\n']) || name.starts_with('#') {
            return Err(format!("its name cannot be a line of the table: {name:?}"));
        }
        let validity = certificate.validity();
        let not_before = validity.not_before.timestamp().div_euclid(SECONDS_PER_DAY);
        let not_after = validity.not_after.timestamp().div_euclid(SECONDS_PER_DAY);
        if not_before < 0 || not_after < 0 {
            return Err(format!("valid before 1970: {name}"));
        }
        self.names.entry(name).or_default().insert((not_before, not_after, subject_key_id(&certificate)));
        self.certificates.insert(Sha256Digest::of(der));
        Ok(())
    }

    /// How many names there are.
    pub fn names(&self) -> usize {
        self.names.len()
    }

    /// How many distinct certificates there are.
    pub fn certificates(&self) -> usize {
        self.certificates.len()
    }

    /// The lines.
    pub fn lines(&self) -> String {
        let mut lines = String::new();
        for (name, windows) in &self.names {
            let windows: Vec<_> = windows.iter().map(|(from, to, key_id)| format!("{from}-{to}:{key_id}")).collect();
            // Writing to memory does not fail.
            let _ = writeln!(lines, "{name}\t{}", windows.join(","));
        }
        lines
    }
}

fn subject_key_id(certificate: &X509Certificate<'_>) -> String {
    let key_id = certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0),
        _ => None,
    });
    key_id.unwrap_or_default().iter().take(KEY_ID_BYTES).map(|byte| format!("{byte:02x}")).collect()
}
