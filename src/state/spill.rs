//! Certificates that memory has no room for, in a file that ends with the process.
//!
//! The file is a plain sequence of encoded certificates; where each begins is kept in memory, 40 bytes for each. A store
//! with transactions would be ten times slower here and promise what nobody needs.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::FileExt as _;

use crate::correlate::StoredCertificate;
use crate::model::CertificateId;

/// A file of certificates that do not fit into memory.
#[derive(Default)]
pub struct CertificateSpill {
    file: Option<BufWriter<File>>,
    places: HashMap<CertificateId, (u64, u32)>,
    length: u64,
    failed: bool,
    forgotten: u64,
}

/// Certificates that are kept; beyond, further ones are forgotten.
const MAX_PLACES: usize = 2_000_000;

impl CertificateSpill {
    /// Keeps a certificate, unless it is kept already. What cannot be kept is forgotten; the log says so once.
    pub fn write(&mut self, id: CertificateId, stored: impl FnOnce() -> StoredCertificate) {
        if self.places.contains_key(&id) {
            return;
        }
        if self.failed || self.places.len() >= MAX_PLACES {
            self.forgotten += 1;
            return;
        }
        if let Err(error) = self.append(id, &stored()) {
            tracing::warn!(%error, "no room in a temporary file: certificates beyond those in memory are forgotten");
            self.failed = true;
            self.forgotten += 1;
        }
    }

    /// Forgets what is kept of a certificate: more is known of it.
    pub fn forget(&mut self, id: CertificateId) {
        self.places.remove(&id);
    }

    /// How many certificates could not be kept.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// The certificate of an id; `None` when it is not kept.
    pub fn read(&mut self, id: CertificateId) -> Option<StoredCertificate> {
        let &(start, length) = self.places.get(&id)?;
        let file = self.file.as_mut()?;
        file.flush().ok()?;
        let mut encoded = vec![0; length as usize];
        file.get_ref().read_exact_at(&mut encoded, start).ok()?;
        postcard::from_bytes(&encoded).ok()
    }

    fn append(&mut self, id: CertificateId, stored: &StoredCertificate) -> io::Result<()> {
        let encoded = postcard::to_allocvec(stored).map_err(io::Error::other)?;
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(BufWriter::new(tempfile::tempfile()?)),
        };
        file.write_all(&encoded)?;
        self.places.insert(id, (self.length, encoded.len() as u32));
        self.length += encoded.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Certificate, CertificateSource, Id128, Serial};
    use std::sync::Arc;

    #[test]
    fn what_is_written_is_read_back_and_written_once_until_more_is_known() {
        let stored = |serial: &str| {
            let mut certificate = Certificate::unknown(CertificateSource::LogStrings);
            certificate.serial = Serial::parse(serial);
            StoredCertificate { certificate: Arc::new(certificate), host: Some(true) }
        };
        let mut spill = CertificateSpill::default();
        for number in 0..100u8 {
            spill.write(Id128::of(&[number]), || stored(&format!("{number:02X}")));
        }
        let length = spill.length;
        spill.write(Id128::of(&[8]), || stored("BB"));
        assert_eq!(spill.length, length, "it is kept already");
        spill.forget(Id128::of(&[7]));
        spill.write(Id128::of(&[7]), || stored("AA"));
        let serial = |spill: &mut CertificateSpill, number: u8| {
            spill.read(Id128::of(&[number])).map(|stored| stored.certificate.serial.clone().unwrap().to_string())
        };
        assert_eq!(serial(&mut spill, 42).as_deref(), Some("2A"));
        assert_eq!(serial(&mut spill, 7).as_deref(), Some("AA"));
        assert_eq!(serial(&mut spill, 200), None);
    }
}
