//! Text that every record has some of and that is short: times, hashes. It is made in place, without an allocation and
//! without the machinery of `fmt`, which takes several times as long as the digits.

use std::fmt;

/// Text of ASCII characters, 64 at the most.
#[derive(Clone, Copy)]
pub struct ShortText {
    bytes: [u8; Self::MAX],
    length: u8,
}

impl ShortText {
    /// The most characters that it may have.
    pub const MAX: usize = 64;

    /// Lower-case hexadecimal digits of the first 32 of some bytes.
    pub fn hex(bytes: &[u8]) -> Self {
        let mut text = [0; Self::MAX];
        let (digits, _) = text.as_chunks_mut::<2>();
        // Without a table and without a branch, which vector instructions can do for many digits at a time.
        let digit = |value: u8| value + b'0' + u8::from(value > 9) * (b'a' - b'9' - 1);
        for (digits, byte) in digits.iter_mut().zip(bytes) {
            *digits = [digit(byte >> 4), digit(byte & 15)];
        }
        Self { bytes: text, length: (2 * bytes.len()).min(Self::MAX) as u8 }
    }

    /// The first `length` of some ASCII characters.
    pub(super) fn ascii(characters: [u8; Self::MAX], length: usize) -> Self {
        Self { bytes: characters, length: length.min(Self::MAX) as u8 }
    }

    /// The text as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl fmt::Display for ShortText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bytes_have_the_digits_that_the_standard_library_prints(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let expected: String = bytes.iter().take(32).map(|byte| format!("{byte:02x}")).collect();
            let text = ShortText::hex(&bytes);
            prop_assert_eq!(text.as_str(), expected);
        }
    }

    #[test]
    fn what_is_longer_is_cut() {
        let texts = [4, 64, 80].map(|length| ShortText::ascii([b'x'; 64], length));
        assert_eq!(texts.map(|text| text.to_string()), [4, 64, 64].map(|length| "x".repeat(length)));
    }
}
