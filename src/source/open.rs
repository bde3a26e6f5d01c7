//! Plain files and archives alike as decompressed bytes.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

/// Why an input cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot open: {source}", .path.display())]
pub struct OpenError {
    /// The file.
    pub path: PathBuf,
    /// What the system says.
    pub source: io::Error,
}

/// The decompressed bytes of an input.
pub type Reader = Box<dyn Read + Send>;

/// Largest window that a zstd frame may ask for, as a power of two: 128 MiB, which is what `zstd --long` uses.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
const BUFFER: usize = 256 * 1024;

/// Opens a file; gzip (of any number of members) and zstd (of any number of frames) are found from the content.
///
/// `progress` is raised by the bytes of the file itself that are read, compressed as they are.
///
/// # Errors
/// The file cannot be opened or its first bytes cannot be read.
pub fn open(path: &Path, progress: Arc<AtomicU64>) -> Result<Reader, OpenError> {
    let error = |source| OpenError { path: path.to_owned(), source };
    decompressed(Box::new(File::open(path).map_err(error)?), progress).map_err(error)
}

/// Opens standard input, likewise.
///
/// # Errors
/// Its first bytes cannot be read.
pub fn open_stdin(progress: Arc<AtomicU64>) -> Result<Reader, OpenError> {
    decompressed(Box::new(io::stdin()), progress).map_err(|source| OpenError { path: PathBuf::from("-"), source })
}

fn decompressed(raw: Reader, progress: Arc<AtomicU64>) -> io::Result<Reader> {
    let mut counting = Counting { raw, progress };
    let mut magic = Vec::with_capacity(4);
    (&mut counting).take(4).read_to_end(&mut magic)?;
    let whole = io::Cursor::new(magic.clone()).chain(counting);
    Ok(match magic[..] {
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(BufReader::with_capacity(BUFFER, whole))),
        [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => {
            let mut decoder = zstd::stream::read::Decoder::new(whole)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            Box::new(decoder)
        }
        _ => Box::new(whole),
    })
}

struct Counting {
    raw: Reader,
    progress: Arc<AtomicU64>,
}

impl Read for Counting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.raw.read(buffer)?;
        self.progress.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
