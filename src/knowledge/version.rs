//! Which knowledge a record was judged by, so that the judgement can be repeated.

use std::fmt;

use sha2::{Digest as _, Sha256};

use super::{Answers, Signatures, suffix};
use crate::model::{Id128, ShortText};

/// A hash over everything that knowledge was made of: certsift's version, the signatures, and the content of every file
/// of the user's. The same files give the same version, wherever they lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct KnowledgeVersion([u8; 8]);

impl KnowledgeVersion {
    /// The version of these signatures, of feeds and lists by their names and contents, of names to watch over, and of the
    /// list of public suffixes, where it is not the one that is compiled in. The order of feeds and of lists does not
    /// matter.
    pub fn of<'a>(
        signatures: &Signatures,
        feeds: impl IntoIterator<Item = (&'a str, Option<Id128>)>,
        lists: impl IntoIterator<Item = (&'a str, Option<Id128>)>,
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
        let (mut feeds, mut lists): (Vec<_>, Vec<_>) = (feeds.into_iter().collect(), lists.into_iter().collect());
        feeds.sort_unstable();
        lists.sort_unstable();
        for (kind, files) in [(2, feeds), (3, lists)] {
            for (name, version) in files {
                part(kind, name.as_bytes());
                part(kind, &version.unwrap_or(Id128([0; 16])).0);
            }
        }
        watch_names.iter().for_each(|name| part(4, name.as_bytes()));
        if let Some(list) = suffix::replacement() {
            part(5, &list.content().0);
        }
        Self::from_hash(hash)
    }

    /// The version with what registries answered beside the files.
    pub(super) fn with_answers(self, answers: &Answers) -> Self {
        if answers.is_empty() {
            return self;
        }
        Self::from_hash(Sha256::new().chain_update(self.0).chain_update(answers.content().0))
    }

    /// 16 hexadecimal digits.
    pub fn text(self) -> ShortText {
        ShortText::hex(&self.0)
    }

    fn from_hash(hash: Sha256) -> Self {
        let mut version = [0; 8];
        version.copy_from_slice(&hash.finalize()[..8]);
        Self(version)
    }
}

impl fmt::Display for KnowledgeVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text().as_str())
    }
}
