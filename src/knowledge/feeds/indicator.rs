//! Indicators in the spellings of feeds.

use std::borrow::Cow;
use std::hash::BuildHasher as _;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::address::Network;
use super::rows::{Indicator, NameKey};
use crate::knowledge::suffix::controlling_domain;
use crate::model::{Sha1Digest, Sha256Digest};

/// What a text turned out to be.
#[derive(Debug, PartialEq)]
pub(super) enum Reading {
    /// Something that can be looked up.
    Row(Indicator),
    /// Something that certsift does not look at.
    Unsupported(&'static str),
    /// Nothing that is known.
    Bad(&'static str),
}

/// Longest host name (RFC 1035 §2.3.4), and longest label of one.
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

const NOT_A_NAME: &str = "it is no name, address or hash";

/// Reads a hash of a certificate, an address with or without a port, a network, a URL or a name.
pub(super) fn read(text: &str) -> Reading {
    let text = sharp(text.trim());
    let text = &*text;
    match hex_digits(text) {
        Some(40) => {
            return Sha1Digest::parse(text).map_or(Reading::Bad(NOT_A_NAME), |d| Reading::Row(Indicator::Sha1(d)));
        }
        Some(64) => {
            return Sha256Digest::parse(text).map_or(Reading::Bad(NOT_A_NAME), |d| Reading::Row(Indicator::Sha256(d)));
        }
        Some(32) if !text.contains(':') => return Reading::Unsupported("MD5"),
        _ => {}
    }
    if text.contains("://") {
        return url(text);
    }
    if let Some(network) = Network::parse(text) {
        return Reading::Row(Indicator::Network(network, None));
    }
    if let Some((network, port)) = address_and_port(text) {
        return Reading::Row(Indicator::Network(network, Some(port)));
    }
    match name(text) {
        Ok(name) => Reading::Row(Indicator::Name(name)),
        Err(problem) if text.starts_with(PIN) => {
            spki(text).map_or(Reading::Bad(problem), |digest| Reading::Row(Indicator::Spki(digest)))
        }
        Err(problem) => Reading::Bad(problem),
    }
}

/// Reads the SHA-256 of a key: hexadecimal, or base64 by itself, as RFC 7469 writes a pin, or as curl does.
pub(super) fn spki(text: &str) -> Option<Sha256Digest> {
    let bare = |text: &str| {
        let bytes = STANDARD.decode(text).ok()?;
        bytes.try_into().ok().map(Sha256Digest)
    };
    let pin = text.strip_prefix(PIN).or_else(|| text.strip_prefix("sha256//")).or_else(|| text.strip_prefix("sha256/"));
    Sha256Digest::parse(text).or_else(|| bare(pin.unwrap_or(text).trim_matches('"')))
}

/// What stands before the hash of a key (RFC 7469 §2.1).
const PIN: &str = "pin-sha256=";

/// Indicators of one cell; one with more is read as a whole.
const MAX_SEVERAL: usize = 256;

/// Reads a cell that is not of [`several`], and says where that is what is wrong with it.
pub(super) fn read_one(text: &str) -> Reading {
    let parts = || text.split([' ', ',', ';', '|']);
    let is_several = || parts().any(|part| matches!(read(part), Reading::Row(_)));
    match read(text) {
        Reading::Bad(_) if parts().count() > MAX_SEVERAL => Reading::Bad("more values in one cell than are read"),
        Reading::Bad(NOT_A_NAME) if is_several() => Reading::Bad("several values that are not of one kind"),
        reading => reading,
    }
}

/// Reads a cell with several indicators of one kind, with blanks, commas, semicolons or `|` between them; `None` for any
/// other. What stands behind a URL's comma or `|` may belong to it.
pub(super) fn several(text: &str) -> Option<Vec<Indicator>> {
    let text = text.trim();
    // This runs for every cell of a list.
    if !has_any(text, |byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b',' | b';' | b'|')) {
        return None;
    }
    let are_urls = text.contains("://");
    let is_between = |c: char| c.is_whitespace() || (!are_urls && matches!(c, ',' | ';' | '|'));
    let parts = text.split(is_between).filter(|part| !part.is_empty());
    let is_url = |part: &str| !are_urls || part.contains("://");
    let read = |part: &str| match read(part) {
        Reading::Row(found) if is_url(part) => Some(found),
        _ => None,
    };
    let all: Vec<Indicator> = parts.take(MAX_SEVERAL + 1).map(read).collect::<Option<_>>()?;
    let first = std::mem::discriminant(all.first()?);
    let are_alike = all.iter().all(|found| std::mem::discriminant(found) == first);
    (are_alike && (2..=MAX_SEVERAL).contains(&all.len())).then_some(all)
}

/// Whether a text has any such byte. Nearly none has: without a way out, many are looked at by a vector instruction.
fn has_any(text: &str, is_such: impl Fn(u8) -> bool) -> bool {
    text.bytes().fold(false, |found, byte| found | is_such(byte))
}

/// An indicator that was made unclickable, `evil[.]example` or `hxxps[:]//…`, as it is.
fn sharp(text: &str) -> Cow<'_, str> {
    const BLUNT: [(&str, &str); 8] = [
        ("[.]", "."),
        ("(.)", "."),
        ("{.}", "."),
        ("[dot]", "."),
        ("(dot)", "."),
        ("[:]", ":"),
        ("[://]", "://"),
        ("[/]", "/"),
    ];
    // This runs for every name of a list.
    if !has_any(text, |byte| matches!(byte, b'[' | b'(' | b'{')) {
        return Cow::Borrowed(text);
    }
    let replace = |text: String, (blunt, sharp): &(&str, &str)| text.replace(blunt, sharp);
    Cow::Owned(BLUNT.iter().fold(text.to_owned(), replace))
}

/// Reads a name: `evil.example`, and `.evil.example` or `*.evil.example` with everything below it.
pub(super) fn name(text: &str) -> Result<NameKey, &'static str> {
    let (text, below) = match text.strip_prefix("*.").or_else(|| text.strip_prefix('.')) {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    let text = text.strip_suffix('.').unwrap_or(text);
    let mut label = 0;
    let mut dots = 0;
    let mut upper = false;
    let mut last_has_letter = false;
    for byte in text.bytes() {
        match byte {
            b'.' if label == 0 => return Err(NOT_A_NAME),
            b'.' => {
                (label, last_has_letter) = (0, false);
                dots += 1;
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => {
                upper |= byte.is_ascii_uppercase();
                last_has_letter |= byte.is_ascii_alphabetic();
                label += 1;
                if label > MAX_LABEL {
                    return Err("a label of the name is too long");
                }
            }
            128.. => return international_name(text, below),
            _ => return Err(NOT_A_NAME),
        }
    }
    if dots == 0 || label == 0 || !last_has_letter {
        return Err(NOT_A_NAME);
    }
    if text.len() > MAX_NAME {
        return Err("the name is too long");
    }
    let text = if upper { Cow::Owned(text.to_ascii_lowercase()) } else { Cow::Borrowed(text) };
    Ok(NameKey { key: name_key(&text), below })
}

/// Reads a name with other letters than ASCII's: sensors log such names in their ASCII form (RFC 5891).
fn international_name(text: &str, below: bool) -> Result<NameKey, &'static str> {
    match idna::domain_to_ascii(text) {
        Ok(ascii) if ascii.is_ascii() => name(&ascii).map(|name| NameKey { below, ..name }),
        _ => Err("the name has no ASCII form"),
    }
}

/// Keys of names live as long as the process and are seeded by it: nobody outside can find a name that falls on another.
static NAME_KEYS: LazyLock<foldhash::quality::RandomState> = LazyLock::new(Default::default);

/// The key of a name in lower case. Every session's name is looked up, and those above it: a cryptographic hash of each
/// took a tenth of the time that a record takes.
pub(super) fn name_key(name: &str) -> u64 {
    NAME_KEYS.hash_one(name)
}

/// Reads a URL: its host, and its port where the server there is an address.
///
/// Hosts that serve the files of everybody are left out: what one customer puts there says nothing of the rest.
pub(super) fn url(text: &str) -> Reading {
    let text = sharp(text);
    let Some((host, port)) = host_and_port(&text) else { return Reading::Bad("it is no URL") };
    if let Some(network) = Network::parse(host).filter(|_| !host.contains('/')) {
        return Reading::Row(Indicator::Network(network, port));
    }
    match name(host) {
        Ok(_) if is_shared(host) => Reading::Unsupported("a host that many share"),
        Ok(name) => Reading::Row(Indicator::Name(name)),
        Err(problem) => Reading::Bad(problem),
    }
}

/// Reads `address:port`.
pub(super) fn address_and_port(text: &str) -> Option<(Network, u16)> {
    let (address, port) = text.rsplit_once(':')?;
    let is_one = !address.contains('/') && (address.starts_with('[') || !address.contains(':'));
    Some((Network::parse(address).filter(|_| is_one)?, port.parse().ok()?))
}

/// Whether a name is that of a service where many people publish, or a suffix of one.
pub(super) fn is_shared(name: &str) -> bool {
    /// Services whose own names stand in URLs of what their users publish.
    const SHARED: [&str; 30] = [
        "1drv.ms",
        "api.telegram.org",
        "bitbucket.org",
        "catbox.moe",
        "cdn.discordapp.com",
        "codeload.github.com",
        "discord.com",
        "docs.google.com",
        "drive.google.com",
        "drive.usercontent.google.com",
        "dropbox.com",
        "files.catbox.moe",
        "firebasestorage.googleapis.com",
        "gist.github.com",
        "gist.githubusercontent.com",
        "github.com",
        "gitlab.com",
        "media.discordapp.net",
        "mediafire.com",
        "objects.githubusercontent.com",
        "onedrive.live.com",
        "pastebin.com",
        "paste.ee",
        "raw.githubusercontent.com",
        "sites.google.com",
        "storage.googleapis.com",
        "t.me",
        "transfer.sh",
        "www.dropbox.com",
        "www.mediafire.com",
    ];
    let lower = name.trim_end_matches('.').to_ascii_lowercase();
    // What is a public suffix itself, such as a hosting provider's, belongs to all below it.
    SHARED.contains(&&*lower) || controlling_domain(&lower).is_none()
}

/// How many hexadecimal digits a text has, if it has nothing else but colons between them.
fn hex_digits(text: &str) -> Option<usize> {
    let is_other = |byte: u8| !(byte.is_ascii_hexdigit() | (byte == b':'));
    // Nearly all names have such a byte among the first.
    if text.bytes().take(8).any(is_other) || has_any(text, is_other) {
        return None;
    }
    Some(text.bytes().filter(|byte| *byte != b':').count())
}

/// The host of a URL and its port: the one that is given, else that of the scheme.
fn host_and_port(text: &str) -> Option<(&str, Option<u16>)> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let default = match scheme {
        _ if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("hxxp") => Some(80),
        _ if scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("hxxps") => Some(443),
        _ => None,
    };
    let bracket = authority.rfind(']').map_or(0, |at| at + 1);
    let (host, port) = match authority[bracket..].rfind(':') {
        Some(colon) => {
            let at = bracket + colon;
            (&authority[..at], Some(authority[at + 1..].parse::<u16>().ok()?))
        }
        None => (authority, default),
    };
    (!host.is_empty()).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn network(text: &str, port: Option<u16>) -> Reading {
        Reading::Row(Indicator::Network(Network::parse(text).unwrap(), port))
    }

    #[test]
    fn indicators_are_told_apart() {
        let sha1 = "6ece5ece4192683d2d84e25b0ba7e04f9cb7eb7c";
        let colons = "6E:CE:5E:CE:41:92:68:3D:2D:84:E2:5B:0B:A7:E0:4F:9C:B7:EB:7C";
        assert_eq!(read(sha1), read(colons));
        assert!(matches!(read(sha1), Reading::Row(Indicator::Sha1(_))));
        assert!(matches!(read(&format!("{sha1}{}", &sha1[..24])), Reading::Row(Indicator::Sha256(_))));
        assert_eq!(read(&sha1[..32]), Reading::Unsupported("MD5"));
        assert_eq!(read("192.0.2.1"), network("192.0.2.1", None));
        assert_eq!(read("192.0.2.1:8443"), network("192.0.2.1", Some(8443)));
        assert_eq!(read("[2001:db8::1]:443"), network("2001:db8::1", Some(443)));
        assert_eq!(read("2001:db8::1"), network("2001:db8::1", None));
        assert_eq!(read("192.0.2.0/24"), network("192.0.2.0/24", None));
        assert_eq!(read("https://192.0.2.1/x"), network("192.0.2.1", Some(443)));
        assert_eq!(read("http://user@Evil.Example:8080/i?x"), read("evil.example"));
        assert_eq!(read("https://github.com/x/y"), Reading::Unsupported("a host that many share"));
        assert_eq!(read("https://github.io/x"), Reading::Unsupported("a host that many share"));
        for bad in ["", "localhost", "a..b", "exa mple.com", "1.2.3", "1.2.3.4.5", "mün chen.example", "-", "http://"]
        {
            assert!(matches!(read(bad), Reading::Bad(_)), "{bad}");
        }
    }

    #[test]
    fn what_was_made_unclickable_or_has_other_letters_is_read_all_the_same() {
        for text in [
            "evil[.]example",
            "evil(.)example",
            "evil[dot]example",
            "hxxps://evil[.]example/x",
            "hxxp[:]//evil.example",
        ] {
            assert_eq!(read(text), read("evil.example"), "{text}");
        }
        assert_eq!(read("192[.]0[.]2[.]1:443"), network("192.0.2.1", Some(443)));
        assert_eq!(read("[2001:db8::1]:443"), network("2001:db8::1", Some(443)));
        assert_eq!(name("München.example"), name("xn--mnchen-3ya.example"));
        assert_eq!(name("*.MÜNCHEN.example"), name("*.xn--mnchen-3ya.example"));
    }

    #[test]
    fn a_name_has_one_key_in_every_spelling() {
        let plain = name("evil.example").unwrap();
        assert_eq!(name("EVIL.example.").unwrap(), plain);
        for below in [".evil.example", "*.Evil.Example"] {
            assert_eq!(name(below).unwrap(), NameKey { below: true, ..plain });
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in "\\PC{0,60}|[a-f0-9:./\\[\\]@]{0,50}") {
            let _ = read(&text);
            let _ = url(&text);
        }
    }
}
