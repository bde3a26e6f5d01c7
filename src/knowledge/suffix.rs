//! In: a host name. Out: the domain that somebody registered or controls, by the Public Suffix List.
//! Promise: the answer is a slice of what came in, and no bytes make it panic.
//!
//! Names are expected as the pipeline keeps them, in lower case and without a final dot; others are understood too, at
//! the price of a copy. The list is compiled in, so a build always gives the same answers; one from a file may take its
//! place when the process starts, before the first name is looked at.

use std::borrow::Cow;
use std::sync::OnceLock;

use psl::{Psl as _, Type};
use serde::{Deserialize, Serialize};

use super::suffix_list::SuffixList;
use crate::model::Id128;

/// The version of the crate that the list is compiled into; it is published whenever the list changes.
const PSL_VERSION: &str = "2.1.247";

/// Longest host name (RFC 1035 §2.3.4, as text without the final dot).
const MAX_NAME: usize = 253;
/// Longest label (RFC 1035 §2.3.4).
const MAX_LABEL: usize = 63;

/// The list that was put in the place of the one that is compiled in.
static REPLACEMENT: OnceLock<SuffixList> = OnceLock::new();

/// Which list of public suffixes names were read by.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Edition {
    /// What it is called.
    pub name: Box<str>,
    /// A hash: of a file its content, of what is compiled in its version.
    pub content: Id128,
}

/// The domain that was registered with a registry: one label below a suffix of the list's ICANN part.
///
/// `foo.github.io` gives `github.io`, since nobody registered `foo.github.io` with a registry. Under a top-level domain
/// that is not listed the last two labels are taken, as the list prescribes. `None` for IP addresses, single labels,
/// suffixes themselves and what is no host name.
pub fn registrable_domain(name: &str) -> Option<&str> {
    domain_below(name, icann_suffix_length)
}

/// The domain below which one party decides: one label below any suffix, that of hosting providers included.
///
/// `www.foo.github.io` gives `foo.github.io`. `None` as for [`registrable_domain`], and for the providers' suffixes.
pub fn controlling_domain(name: &str) -> Option<&str> {
    domain_below(name, suffix_length)
}

/// Which edition of the Public Suffix List is in use.
pub fn list_version() -> &'static str {
    replacement().map_or(PSL_VERSION, SuffixList::version)
}

/// The list in use, for what is kept longer than a process.
pub fn edition() -> Edition {
    let content = replacement().map_or_else(|| Id128::of(PSL_VERSION.as_bytes()), SuffixList::content);
    Edition { name: list_version().into(), content }
}

/// Uses another list than the one that is compiled in, for the rest of the process: identities of names depend on it.
/// Says whether that list is in use now; a second, different one is not taken.
pub fn replace_list(list: SuffixList) -> bool {
    let content = list.content();
    REPLACEMENT.get_or_init(|| list).content() == content
}

/// The list that was put in the place of the one that is compiled in.
pub fn replacement() -> Option<&'static SuffixList> {
    REPLACEMENT.get()
}

fn domain_below(name: &str, suffix_length: impl Fn(&[u8]) -> Option<usize>) -> Option<&str> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if !is_host_name(name) {
        return None;
    }
    // The list is in lower case. Lowering ASCII keeps every length, so that the answer can be cut from the original.
    let lower = match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(name.to_ascii_lowercase()),
        false => Cow::Borrowed(name),
    };
    let suffix_at = name.len().checked_sub(suffix_length(lower.as_bytes())?)?;
    let above = name.get(..suffix_at.checked_sub(1)?)?;
    let label_at = above.rfind('.').map_or(0, |dot| dot + 1);
    (!above[label_at..].contains('*')).then(|| &name[label_at..])
}

fn suffix_length(name: &[u8]) -> Option<usize> {
    if let Some(list) = replacement() {
        return list.suffix_length(name, true);
    }
    psl::List.suffix(name).map(|suffix| suffix.as_bytes().len())
}

/// The longest suffix that is not of the private part: what the private one lies under, found from its shorter tails.
fn icann_suffix_length(name: &[u8]) -> Option<usize> {
    if let Some(list) = replacement() {
        return list.suffix_length(name, false);
    }
    let mut name = name;
    loop {
        let suffix = psl::List.suffix(name)?;
        if suffix.typ() != Some(Type::Private) {
            return Some(suffix.as_bytes().len());
        }
        let dot = suffix.as_bytes().iter().position(|&byte| byte == b'.')?;
        name = &suffix.as_bytes()[dot + 1..];
    }
}

fn is_host_name(name: &str) -> bool {
    let label_is_sound = |label: &str| {
        (1..=MAX_LABEL).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'*') || byte >= 128)
    };
    // A top-level domain has a letter: what ends in digits is an address or a version number.
    let top_is_number = name.rsplit('.').next().is_some_and(|top| top.bytes().all(|byte| byte.is_ascii_digit()));
    name.len() <= MAX_NAME && name.split('.').all(label_is_sound) && !top_is_number
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_registered_domain_is_one_label_below_an_icann_suffix() {
        for (name, expected) in [
            ("www.example.com", Some("example.com")),
            ("example.com", Some("example.com")),
            ("a.b.example.co.uk", Some("example.co.uk")),
            ("foo.github.io", Some("github.io")),
            ("github.io", Some("github.io")),
            ("x.s3.us-east-1.amazonaws.com", Some("amazonaws.com")),
            ("a.b.www.ck", Some("www.ck")),
            ("a.b.other.ck", Some("b.other.ck")),
            ("mail.example.xn--p1ai", Some("example.xn--p1ai")),
            ("*.example.org", Some("example.org")),
            ("host.corp.internal", Some("corp.internal")),
            ("Www.Example.COM.", Some("Example.COM")),
            ("co.uk", None),
            ("com", None),
            ("*.com", None),
            ("localhost", None),
            ("", None),
            (".", None),
            ("a..com", None),
            ("192.0.2.1", None),
            ("1.2.3.4.5", None),
            ("2001:db8::1", None),
            ("[::1]", None),
            ("user@example.com", None),
            ("exa mple.com", None),
        ] {
            assert_eq!(registrable_domain(name), expected, "{name}");
        }
    }

    #[test]
    fn the_controlling_domain_knows_hosting_providers() {
        assert_eq!(controlling_domain("www.foo.github.io"), Some("foo.github.io"));
        assert_eq!(controlling_domain("github.io"), None);
        assert_eq!(controlling_domain("www.example.com"), Some("example.com"));
    }

    #[test]
    fn both_lists_agree_with_the_published_vectors() {
        let list = crate::knowledge::suffix_list::tests::list();
        for (name, expected) in crate::knowledge::suffix_list::tests::VECTORS {
            assert_eq!(controlling_domain(name), expected, "{name}, compiled in");
            let from_file = domain_below(name, |name| list.suffix_length(name, true));
            assert_eq!(from_file, expected, "{name}, from a file");
        }
        for name in ["", ".com", ".example.com", "com.", "a..com", "192.0.2.1"] {
            assert_eq!(domain_below(name, |name| list.suffix_length(name, true)), None, "{name}");
        }
    }

    #[test]
    fn the_version_is_that_of_the_crate_in_use() {
        let lock = include_str!("../../Cargo.lock").replace('\r', "");
        assert!(lock.contains(&format!("name = \"psl\"\nversion = \"{}\"", list_version())));
    }

    proptest! {
        #[test]
        fn any_text_gives_a_tail_of_itself_or_nothing(name in "\\PC{0,40}|([a-zA-Zé*_-]{0,5}\\.){0,5}(com|co\\.uk|github\\.io|ck|)?\\.?") {
            for domain in [registrable_domain(&name), controlling_domain(&name)].into_iter().flatten() {
                prop_assert!(name.strip_suffix('.').unwrap_or(&name).ends_with(domain));
                prop_assert!(domain.contains('.'));
            }
        }

        #[test]
        fn case_and_a_final_dot_do_not_matter(name in "([a-zA-Z]{1,5}\\.){1,4}(com|co\\.uk|GitHub\\.io|Kobe\\.jp)") {
            let lower = name.to_ascii_lowercase();
            let dotted = format!("{name}.");
            let found = registrable_domain(&dotted).map(str::to_ascii_lowercase);
            prop_assert_eq!(found.as_deref(), registrable_domain(&lower));
        }

        #[test]
        fn a_registered_domain_is_its_own(name in "([a-z]{1,5}\\.){1,4}(com|co\\.uk|github\\.io|kobe\\.jp)") {
            if let Some(domain) = registrable_domain(&name) {
                prop_assert_eq!(registrable_domain(domain), Some(domain));
            }
        }
    }
}
