//! Sixteen bytes at a time.
//!
//! Text is looked through for a few bytes that mean something; a processor compares sixteen with one of them at once. The
//! crate for it gives every processor its own instructions, and the compiler the rest, so that nothing here is unsafe.
//! Of what is found there is one bit for each byte, that of the first the lowest.

use wide::u8x16;

/// As many bytes as are looked at at once.
pub(super) const LENGTH: usize = 16;

/// Those bytes that do not stand for themselves in a JSON string: quotes, backslashes, control characters.
#[inline]
pub(super) fn marks(block: &[u8; LENGTH]) -> u32 {
    marked(u8x16::new(*block)).to_bitmask()
}

/// The same and those that are `byte`.
#[inline]
pub(super) fn marks_and(byte: u8, block: &[u8; LENGTH]) -> u32 {
    let block = u8x16::new(*block);
    (marked(block) | block.simd_eq(u8x16::splat(byte))).to_bitmask()
}

/// Those bytes that are `byte`.
#[inline]
pub(super) fn places_of(byte: u8, block: &[u8; LENGTH]) -> u32 {
    u8x16::new(*block).simd_eq(u8x16::splat(byte)).to_bitmask()
}

/// Those bytes that are no decimal digits.
#[inline]
pub(super) fn others_than_digits(block: &[u8; LENGTH]) -> u32 {
    // Digits are the lowest once their upper half is turned.
    let turned = u8x16::new(*block) ^ u8x16::splat(b'0');
    !turned.min(u8x16::splat(9)).simd_eq(turned).to_bitmask() & 0xffff
}

#[inline]
fn marked(block: u8x16) -> u8x16 {
    // With this bit turned, quotes follow control characters: one comparison is for both.
    let turned = block ^ u8x16::splat(0x02);
    turned.min(u8x16::splat(0x20)).simd_eq(turned) | block.simd_eq(u8x16::splat(b'\\'))
}

/// A short text that is compared with the beginning of others.
#[derive(Debug)]
pub(super) struct Prefix {
    bytes: [u8x16; 2],
    /// Which bytes matter.
    mask: [u8x16; 2],
}

impl Prefix {
    /// Longest text, in bytes, and as many the other has to have.
    pub(super) const LENGTH: usize = 2 * LENGTH;

    /// The beginning of `text`, as much of it as fits.
    pub(super) fn new(text: &[u8]) -> Self {
        let (mut bytes, mut mask) = ([0; Self::LENGTH], [0; Self::LENGTH]);
        for (at, &byte) in text.iter().take(Self::LENGTH).enumerate() {
            (bytes[at], mask[at]) = (byte, u8::MAX);
        }
        Self { bytes: halves(&bytes), mask: halves(&mask) }
    }

    /// Whether `text` begins so.
    #[inline]
    pub(super) fn begins(&self, text: &[u8; Self::LENGTH]) -> bool {
        let text = halves(text);
        let differing = ((text[0] ^ self.bytes[0]) & self.mask[0]) | ((text[1] ^ self.bytes[1]) & self.mask[1]);
        differing.simd_eq(u8x16::ZERO).to_bitmask() == 0xffff
    }
}

#[inline]
fn halves(bytes: &[u8; Prefix::LENGTH]) -> [u8x16; 2] {
    let (blocks, _) = bytes.as_chunks::<LENGTH>();
    [u8x16::new(blocks[0]), u8x16::new(blocks[1])]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bits(block: &[u8; LENGTH], is_one: impl Fn(u8) -> bool) -> u32 {
        block.iter().rev().fold(0, |bits, &byte| bits << 1 | u32::from(is_one(byte)))
    }

    #[test]
    fn every_byte_is_judged_alike_in_every_place() {
        let is_mark = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
        for byte in 0..=u8::MAX {
            for at in 0..LENGTH {
                let mut block = [b'x'; LENGTH];
                block[at] = byte;
                assert_eq!(marks(&block), bits(&block, is_mark), "{block:?}");
                assert_eq!(marks_and(b'|', &block), bits(&block, |byte| is_mark(byte) || byte == b'|'), "{block:?}");
                assert_eq!(places_of(byte, &block), bits(&block, |other| other == byte), "{block:?}");
                assert_eq!(others_than_digits(&block), bits(&block, |byte| !byte.is_ascii_digit()), "{block:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged_alike(block in any::<[u8; LENGTH]>(), byte in any::<u8>()) {
            let is_mark = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
            prop_assert_eq!(marks(&block), bits(&block, is_mark));
            prop_assert_eq!(marks_and(byte, &block), bits(&block, |other| is_mark(other) || other == byte));
            prop_assert_eq!(places_of(byte, &block), bits(&block, |other| other == byte));
            prop_assert_eq!(others_than_digits(&block), bits(&block, |byte| !byte.is_ascii_digit()));
        }

        #[test]
        fn a_prefix_is_found_and_nothing_else(
            text in any::<[u8; Prefix::LENGTH]>(),
            length in 0..=Prefix::LENGTH,
            at in 0..Prefix::LENGTH,
            change in 1..=u8::MAX,
        ) {
            let prefix = Prefix::new(&text[..length]);
            prop_assert!(prefix.begins(&text));
            let mut other = text;
            other[at] ^= change;
            prop_assert_eq!(prefix.begins(&other), at >= length);
        }
    }
}
