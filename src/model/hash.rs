//! Digests and the 128-bit identifiers made from them.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha1::Digest as _;

use super::ShortText;

/// SHA-256 of a certificate's DER, of a key's SubjectPublicKeyInfo, or of anything else that says so.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Sha256Digest(pub [u8; 32]);

/// SHA-1 of a certificate's DER: what Suricata logs and most certificate feeds hold.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Sha1Digest(pub [u8; 20]);

/// An unkeyed 128-bit identifier: a truncated SHA-256, or an address.
///
/// Unkeyed on purpose, so that the histories of different sensors can be merged; a cryptographic hash, so that nobody
/// can make two names fall on one counter.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Id128(pub [u8; 16]);

/// What a certificate is known by inside certsift: a hash of its SHA-256, else of its SHA-1, else of what was logged of it.
pub type CertificateId = Id128;

/// SHA-256 of a file's decompressed bytes from 0 to the end of its first data line, at most 64 KiB.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StreamKey(pub [u8; 32]);

/// JA3: an MD5 of what a TLS client offers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ja3(pub [u8; 16]);

/// The identity of one record: the first 128 bits of SHA-256(stream key ‖ big-endian 64-bit offset).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RecordId(pub [u8; 16]);

impl Sha256Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// Reads 64 hexadecimal digits, colons allowed, of either case.
    pub fn parse(text: &str) -> Option<Self> {
        parse_hex(text.as_bytes()).map(Self)
    }
}

impl Sha1Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha1::Sha1::digest(bytes).into())
    }

    /// Reads 40 hexadecimal digits, colons allowed, of either case.
    pub fn parse(text: &str) -> Option<Self> {
        parse_hex(text.as_bytes()).map(Self)
    }
}

impl Ja3 {
    /// Reads 32 hexadecimal digits of either case.
    pub fn parse(text: &str) -> Option<Self> {
        parse_hex(text.as_bytes()).map(Self)
    }
}

impl Id128 {
    /// The first 128 bits of SHA-256 over the parts, each preceded by its length so that parts cannot run together.
    pub fn of_parts(parts: &[&[u8]]) -> Self {
        let mut message = Message::default();
        for part in parts {
            message.add(&(part.len() as u64).to_be_bytes());
            message.add(part);
        }
        Self::first_half(&message.sha256())
    }

    /// The first 128 bits of SHA-256 over `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut message = Message::default();
        message.add(bytes);
        Self::first_half(&message.sha256())
    }

    /// The first half of a digest that already is uniform.
    pub fn first_half(digest: &[u8; 32]) -> Self {
        let mut half = [0; 16];
        half.copy_from_slice(&digest[..16]);
        Self(half)
    }
}

impl StreamKey {
    /// At most this many bytes of a file's head go into its key.
    pub const MAX_HEAD: usize = 64 * 1024;

    /// The identity of the record that starts at decompressed byte `offset` of this stream.
    pub fn record_id(&self, offset: u64) -> RecordId {
        let mut message = Message::default();
        message.add(&self.0);
        message.add(&offset.to_be_bytes());
        RecordId(Id128::first_half(&message.sha256()).0)
    }
}

/// What is to be hashed. Every record has several identities, of a name, a fingerprint, an offset: messages of one block,
/// which is put together here, since the general way costs as much as the hash itself.
#[derive(Default)]
struct Message {
    block: Block,
    length: usize,
    /// Filled once there is more than one block holds.
    long: Option<sha2::Sha256>,
}

struct Block([u8; 64]);

impl Message {
    /// Behind the message one byte marks its end, and eight tell its length.
    const MAX_SHORT: usize = 64 - 9;
    /// FIPS 180-4, §5.3.3.
    const INITIAL: [u32; 8] =
        [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

    fn add(&mut self, bytes: &[u8]) {
        let end = self.length.saturating_add(bytes.len());
        if let Some(long) = &mut self.long {
            long.update(bytes);
        } else if end <= Self::MAX_SHORT {
            self.block.0[self.length..end].copy_from_slice(bytes);
            self.length = end;
        } else {
            self.long = Some(sha2::Sha256::new_with_prefix(&self.block.0[..self.length]).chain_update(bytes));
        }
    }

    fn sha256(self) -> [u8; 32] {
        if let Some(long) = self.long {
            return long.finalize().into();
        }
        let Block(mut block) = self.block;
        block[self.length] = 0x80;
        block[56..].copy_from_slice(&(8 * self.length as u64).to_be_bytes());
        let mut state = Self::INITIAL;
        sha2::block_api::compress256(&mut state, &[block]);
        let mut digest = [0; 32];
        for (bytes, word) in digest.chunks_exact_mut(4).zip(state) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        digest
    }
}

impl Default for Block {
    fn default() -> Self {
        Self([0; 64])
    }
}

/// Reads exactly `2 * N` hexadecimal digits; colons between them are skipped.
fn parse_hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut out = [0; N];
    let mut digits = 0;
    for &byte in text {
        if byte == b':' {
            continue;
        }
        let value = hex_value(byte)?;
        if digits == 2 * N {
            return None;
        }
        out[digits / 2] = out[digits / 2] << 4 | value;
        digits += 1;
    }
    (digits == 2 * N).then_some(out)
}

/// The value of one hexadecimal digit of either case.
pub(crate) fn hex_value(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

macro_rules! hex_text {
    ($($name:ident),*) => {$(
        impl $name {
            /// Its bytes as lower-case hexadecimal digits.
            pub fn text(&self) -> ShortText {
                ShortText::hex(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.text().as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.text().as_str())
            }
        }
    )*};
}

hex_text!(Sha256Digest, Sha1Digest, Id128, Ja3, StreamKey, RecordId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_read_in_every_spelling_the_sensors_and_feeds_use() {
        let lower = "6ece5ece4192683d2d84e25b0ba7e04f9cb7eb7c";
        let colons = "6E:CE:5E:CE:41:92:68:3D:2D:84:E2:5B:0B:A7:E0:4F:9C:B7:EB:7C";
        assert_eq!(Sha1Digest::parse(lower), Sha1Digest::parse(colons));
        assert_eq!(Sha1Digest::parse(lower).unwrap().to_string(), lower);
        assert_eq!(Sha1Digest::parse(&lower[1..]), None);
        assert_eq!(Sha256Digest::parse(lower), None);
    }

    #[test]
    fn messages_of_every_length_have_their_sha256() {
        let text: Vec<u8> = (0..200).collect();
        for length in 0..text.len() {
            let (first, second) = text[..length].split_at(length / 3);
            let mut message = Message::default();
            for part in [first, second, b""] {
                message.add(part);
            }
            let expected: [u8; 32] = sha2::Sha256::digest(&text[..length]).into();
            assert_eq!(message.sha256(), expected, "{length}");
        }
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(Id128::of_parts(&[b"ab", b"c"]), Id128::of_parts(&[b"a", b"bc"]));
    }
}
