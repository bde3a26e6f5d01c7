//! Which knowledge a record was judged by, so that the judgement can be repeated.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::Signatures;
use crate::model::Id128;

/// A hash over everything that knowledge was made of: certsift's version, the signatures, and the content of every file
/// of the user's. The same files give the same version, wherever they lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct KnowledgeVersion([u8; 8]);

impl KnowledgeVersion {
    /// The version of these signatures, of feeds by their names and contents, of lists, and of names to watch over.
    pub fn of<'a>(
        signatures: &Signatures,
        feeds: impl IntoIterator<Item = (&'a str, Option<Id128>)>,
        lists: impl IntoIterator<Item = &'a Path>,
        watch_names: &[String],
    ) -> Self {
        let mut hash = Sha256::new();
        let mut part = |kind: u8, bytes: &[u8]| {
            hash.update([kind]);
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        part(0, env!("CARGO_PKG_VERSION").as_bytes());
        part(1, &signatures.version().0);
        for (name, version) in feeds {
            part(2, name.as_bytes());
            part(2, &version.unwrap_or(Id128([0; 16])).0);
        }
        for path in lists {
            part(3, path.file_name().unwrap_or_default().as_encoded_bytes());
            part(3, &content_of(path));
        }
        watch_names.iter().for_each(|name| part(4, name.as_bytes()));
        let mut version = [0; 8];
        version.copy_from_slice(&hash.finalize()[..8]);
        Self(version)
    }
}

/// A hash of a file; of nothing where it cannot be read any more.
fn content_of(path: &Path) -> [u8; 32] {
    const PIECE: usize = 256 * 1024;
    let mut hash = Sha256::new();
    let mut piece = vec![0; PIECE];
    let mut read = |file: &mut File| loop {
        match file.read(&mut piece)? {
            0 => return Ok(()),
            length => hash.update(&piece[..length]),
        }
    };
    if let Err(error) = File::open(path).and_then(|mut file| read(&mut file)) {
        tracing::warn!(path = %path.display(), %error, "cannot read the file again to say which version it is");
    }
    hash.finalize().into()
}

impl fmt::Display for KnowledgeVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
