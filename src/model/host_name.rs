//! The one form in which names of hosts are compared.

use std::borrow::Cow;

/// Longest name whose other letters are looked at, in bytes: what is much longer than DNS allows is none of a host.
const MAX_NAME: usize = 1024;

/// A name in lower case, without a final dot, and with other letters than ASCII's as clients ask for them (RFC 5891). What
/// has no such form stays as it is, in lower case. Ordinary names need no allocation.
pub fn host_name(name: &str) -> Cow<'_, str> {
    let name = name.strip_suffix('.').unwrap_or(name);
    // Without a way out inside, a name is looked at by a few vector instructions.
    let is_other = |byte: u8| !byte.is_ascii() | byte.is_ascii_uppercase();
    if !name.bytes().fold(false, |found, byte| found | is_other(byte)) {
        return Cow::Borrowed(name);
    }
    if name.is_ascii() {
        return Cow::Owned(name.to_ascii_lowercase());
    }
    let ascii = Some(name).filter(|name| name.len() <= MAX_NAME).and_then(|name| idna::domain_to_ascii(name).ok());
    Cow::Owned(ascii.unwrap_or_else(|| name.to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_form_in_every_spelling() {
        for name in ["xn--bcher-kva.example", "b\u{fc}cher.example.", "bu\u{308}cher.example", "B\u{dc}CHER.Example"] {
            assert_eq!(host_name(name), "xn--bcher-kva.example", "{name}");
        }
        for (name, expected) in [
            ("www.example.com", "www.example.com"),
            ("WWW.Example.COM.", "www.example.com"),
            ("", ""),
            (".", ""),
            // No name of a host.
            ("\u{fffd}.Example", "\u{fffd}.example"),
        ] {
            assert_eq!(host_name(name), expected, "{name}");
        }
    }
}
