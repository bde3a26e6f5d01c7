//! Certificates that memory has no room for, in a file that ends with the process.
//!
//! The file is a plain sequence of encoded certificates; where each begins is kept in memory, 40 bytes for each. A store
//! with transactions would be ten times slower here and promise what nobody needs.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::FileExt as _;

use crate::correlate::StoredCertificate;
use crate::enrich::Silence;
use crate::model::CertificateId;

/// Where a certificate is in the file, and what is known of it.
struct Place {
    start: u64,
    length: u32,
    silence: Option<Silence>,
}

/// A file of certificates that do not fit into memory.
#[derive(Default)]
pub struct CertificateSpill {
    file: Option<BufWriter<File>>,
    places: HashMap<CertificateId, Place>,
    length: u64,
    /// So much of it is in the file itself.
    flushed: u64,
    /// Room for one of them.
    room: Vec<u8>,
    failed: bool,
    forgotten: u64,
}

/// Certificates that are kept; beyond, further ones are forgotten.
const MAX_PLACES: usize = 2_000_000;

impl CertificateSpill {
    /// Keeps a certificate, unless it is kept already. What cannot be kept is forgotten; the log says so once.
    pub fn write(&mut self, id: CertificateId, silence: Option<Silence>, stored: impl FnOnce() -> StoredCertificate) {
        if let Some(place) = self.places.get_mut(&id) {
            place.silence = silence;
            return;
        }
        if self.failed || self.places.len() >= MAX_PLACES {
            self.forgotten += 1;
            return;
        }
        if let Err(error) = self.append(id, silence, &stored()) {
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

    /// Forgets which of them had nothing to tell: what is known of the world has changed.
    pub fn forget_silences(&mut self) {
        self.places.values_mut().for_each(|place| place.silence = None);
    }

    /// The certificate of an id, and whether nothing is to be told of it; `None` when it is not kept.
    pub fn read(&mut self, id: CertificateId) -> Option<(StoredCertificate, Option<Silence>)> {
        let &Place { start, length, silence } = self.places.get(&id)?;
        let file = self.file.as_mut()?;
        if start + u64::from(length) > self.flushed {
            file.flush().ok()?;
            self.flushed = self.length;
        }
        self.room.resize(length as usize, 0);
        file.get_ref().read_exact_at(&mut self.room, start).ok()?;
        Some((postcard::from_bytes(&self.room).ok()?, silence))
    }

    fn append(&mut self, id: CertificateId, silence: Option<Silence>, stored: &StoredCertificate) -> io::Result<()> {
        let encoded = postcard::to_allocvec(stored).map_err(io::Error::other)?;
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(BufWriter::new(tempfile::tempfile()?)),
        };
        file.write_all(&encoded)?;
        let place = Place { start: self.length, length: encoded.len() as u32, silence };
        self.places.insert(id, place);
        self.length += encoded.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enrich::{CertificateAnalysis, CheckSet};
    use crate::knowledge::Knowledge;
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
            spill.write(Id128::of(&[number]), None, || stored(&format!("{number:02X}")));
        }
        let length = spill.length;
        spill.write(Id128::of(&[8]), None, || stored("BB"));
        assert_eq!(spill.length, length, "it is kept already");
        spill.forget(Id128::of(&[7]));
        spill.write(Id128::of(&[7]), None, || stored("AA"));
        let serial = |spill: &mut CertificateSpill, number: u8| {
            spill.read(Id128::of(&[number])).map(|(stored, _)| stored.certificate.serial.clone().unwrap().to_string())
        };
        assert_eq!(serial(&mut spill, 42).as_deref(), Some("2A"));
        assert_eq!(serial(&mut spill, 7).as_deref(), Some("AA"));
        assert_eq!(serial(&mut spill, 200), None);
    }

    #[test]
    fn that_nothing_was_to_be_told_is_kept_until_it_may_have_changed() {
        let mut certificate = Certificate::unknown(CertificateSource::LogStrings);
        certificate.serial = Serial::parse("AA");
        let certificate = certificate.with_id();
        let analysis = CertificateAnalysis::of(&certificate, &Knowledge::builtin().unwrap(), CheckSet::ALL);
        let (id, stored) = (certificate.id, StoredCertificate::new(Arc::new(certificate), None));
        let mut spill = CertificateSpill::default();
        let silence = |spill: &mut CertificateSpill| spill.read(id).and_then(|(_, silence)| silence);
        spill.write(id, None, || stored.clone());
        assert_eq!(silence(&mut spill), None);
        spill.write(id, analysis.silence(), || stored.clone());
        assert!(analysis.silence().is_some() && silence(&mut spill) == analysis.silence());
        spill.forget_silences();
        assert_eq!(silence(&mut spill), None);
    }
}
