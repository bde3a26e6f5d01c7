//! Hashes as hex, and the numbers that a real sensor draws at random: here they follow from a text, so they never change.

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// SHA-256 in lower-case hex, as Zeek's `fingerprint`.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// SHA-1 in lower-case hex with colons, as Suricata's `fingerprint`.
pub(crate) fn sha1_colons(bytes: &[u8]) -> String {
    Sha1::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

/// SHA-1, raw.
pub(crate) fn sha1(bytes: &[u8]) -> Vec<u8> {
    Sha1::digest(bytes).to_vec()
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A number that follows from a text.
pub(crate) fn number(text: &str) -> u64 {
    Sha256::digest(text.as_bytes()).iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// A Zeek uid that follows from a text: `C` and 17 letters or digits.
pub(crate) fn uid(text: &str) -> String {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let digest = Sha256::digest(text.as_bytes());
    let letters = digest.iter().take(17).map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]));
    std::iter::once('C').chain(letters).collect()
}
