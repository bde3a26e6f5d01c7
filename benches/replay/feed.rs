//! A feed as long as wanted.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use certsift::model::{Sha1Digest, Sha256Digest};

/// Hashes, names and addresses, none of which the logs have.
pub(super) fn make(folder: &Path, rows: u32) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let path = folder.join(format!("mixed-{rows}.csv"));
    if !path.exists() {
        let mut text = "#indicator,label\n".to_owned();
        for number in 0..rows {
            let bytes = number.to_be_bytes();
            let indicator = match number % 4 {
                0 => Sha1Digest::of(&bytes).to_string(),
                1 => Sha256Digest::of(&bytes).to_string(),
                2 => format!("h{number}.listed{}.example", number % 1000),
                _ => format!("203.{}.{}.{}", bytes[1], bytes[2], bytes[3]),
            };
            writeln!(text, "{indicator},Family{}", number % 50)?;
        }
        std::fs::write(&path, text)?;
    }
    Ok(path)
}
