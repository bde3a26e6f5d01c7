//! Certificates that memory has no room for, in a file that ends with the process.

use std::collections::HashMap;

use redb::{Database, Durability, ReadableDatabase as _};

use super::{CACHE_BYTES, CERTIFICATES, FILE_NAME};
use crate::correlate::StoredCertificate;
use crate::model::CertificateId;

/// Keeps certificates out of memory.
pub trait CertificateSpill: Send {
    /// Keeps certificates. What cannot be kept is forgotten, and the log says so.
    fn write(&self, certificates: &HashMap<CertificateId, StoredCertificate>);

    /// The certificate of an id; `None` when it is not kept.
    fn read(&self, id: CertificateId) -> Option<StoredCertificate>;
}

struct TemporaryFile {
    database: Database,
    /// Removed with everything in it when this is dropped.
    _folder: tempfile::TempDir,
}

/// A spill file in the system's folder for temporary files; `None`, said in the log, when there is no room for one.
pub fn temporary_spill() -> Option<Box<dyn CertificateSpill>> {
    let make = || -> Result<TemporaryFile, Box<dyn std::error::Error>> {
        let folder = tempfile::Builder::new().prefix("certsift").tempdir()?;
        let database = Database::builder().set_cache_size(CACHE_BYTES).create(folder.path().join(FILE_NAME))?;
        Ok(TemporaryFile { database, _folder: folder })
    };
    match make() {
        Ok(file) => Some(Box::new(file)),
        Err(error) => {
            tracing::warn!(%error, "no temporary file: certificates beyond those in memory are forgotten");
            None
        }
    }
}

impl CertificateSpill for TemporaryFile {
    fn write(&self, certificates: &HashMap<CertificateId, StoredCertificate>) {
        let write = || -> Result<(), redb::Error> {
            let mut transaction = self.database.begin_write()?;
            transaction.set_durability(Durability::None)?;
            {
                let mut table = transaction.open_table(CERTIFICATES)?;
                for (id, stored) in certificates {
                    table.insert(id.0, postcard::to_allocvec(stored).unwrap_or_default().as_slice())?;
                }
            }
            Ok(transaction.commit()?)
        };
        if let Err(error) = write() {
            tracing::warn!(%error, certificates = certificates.len(), "the temporary file takes no more certificates");
        }
    }

    fn read(&self, id: CertificateId) -> Option<StoredCertificate> {
        let read = || -> Result<Option<StoredCertificate>, redb::Error> {
            let table = self.database.begin_read()?.open_table(CERTIFICATES)?;
            Ok(table.get(id.0)?.and_then(|value| postcard::from_bytes(value.value()).ok()))
        };
        read().ok().flatten()
    }
}
