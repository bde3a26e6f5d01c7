//! Certificates from PEM, wherever the blocks stand: in bundles, and in the columns of CCADB's reports.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::model::Id128;

/// What became of one file of certificates.
#[derive(Clone, Debug)]
pub struct PemReport {
    /// The file.
    pub path: PathBuf,
    /// Certificates that were taken.
    pub certificates: u64,
    /// Blocks that are no certificate.
    pub bad: u64,
    /// A hash of the content.
    pub version: Option<Id128>,
    /// Why the file could not be read.
    pub error: Option<String>,
}

/// Largest file that is read, decompressed: CCADB's report of all certificates has 25 MB.
const MAX_BYTES: u64 = 256 * 1024 * 1024;
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// The DER of every block of a text; `None` for one that is not base64.
pub fn blocks(text: &str) -> impl Iterator<Item = Option<Vec<u8>>> {
    text.split(BEGIN).skip(1).map(|block| {
        let body = block.split(END).next().unwrap_or_default();
        let digits: String = body.split_ascii_whitespace().collect();
        STANDARD.decode(digits).ok()
    })
}

/// Reads a file, plain, gzip or zstd, and gives every certificate to `take`, which says whether it is one.
pub(super) fn read(path: &Path, mut take: impl FnMut(Vec<u8>) -> bool) -> PemReport {
    let mut report = PemReport { path: path.to_owned(), certificates: 0, bad: 0, version: None, error: None };
    match text_of(path) {
        Ok(text) => {
            report.version = Some(Id128::of(text.as_bytes()));
            for block in blocks(&text) {
                match block.is_some_and(&mut take) {
                    true => report.certificates += 1,
                    false => report.bad += 1,
                }
            }
            if report.certificates == 0 {
                report.error = Some("it holds no certificate in PEM".to_owned());
            }
            // Of half a list, the CAs in the other half would look private.
            if text.rfind(BEGIN) > text.rfind(END) {
                report.error = Some("it is cut off: its last certificate has no end".to_owned());
            }
        }
        Err(error) => report.error = Some(error.to_string()),
    }
    report
}

fn text_of(path: &Path) -> io::Result<String> {
    super::files::require_file(path)?;
    let reader = crate::source::open(path, Arc::default()).map_err(|error| error.source)?;
    let mut bytes = Vec::new();
    if reader.take(MAX_BYTES + 1).read_to_end(&mut bytes)? as u64 > MAX_BYTES {
        return Err(io::Error::other(format!("it is larger than {} MiB", MAX_BYTES >> 20)));
    }
    Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_among_anything() {
        let text = format!("\"ABC\",\"{BEGIN}\r\nAQID\r\n{END}\"\n# comment\n{BEGIN}\n!!\n{END}\n{BEGIN}\nBAU=");
        assert_eq!(blocks(&text).collect::<Vec<_>>(), [Some(vec![1, 2, 3]), None, Some(vec![4, 5])]);
    }

    #[test]
    fn a_file_that_ends_within_a_certificate_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.csv");
        let whole = format!("\"A\",\"'{BEGIN}\nAQID\n{END}'\"\n\"B\",\"'{BEGIN}\nBAUG\n{END}'\"\n");
        for cut in 0..=whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let report = read(&path, |der| der.len() == 3);
            let (begun, ended) = (whole[..cut].matches(BEGIN).count(), whole[..cut].matches(END).count());
            assert_eq!(report.error.is_none(), begun > 0 && begun == ended, "{cut}: {report:?}");
        }
    }
}
