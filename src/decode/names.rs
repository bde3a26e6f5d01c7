//! Server names as identities.

use super::bounds::bounded;
use crate::knowledge::suffix::registrable_domain;
use crate::model::{Id128, NameIds};

/// Longest name that is looked at, in bytes. DNS allows 253; what is longer is no host name but is still a name.
const MAX_NAME: usize = 1024;

/// The identities of a server name, or `None` when it is empty.
pub fn name_ids(name: &str) -> Option<NameIds> {
    let name = bounded(name, MAX_NAME);
    with_folded(name, |folded| {
        (!folded.is_empty()).then(|| NameIds {
            name: Id128::of(folded.as_bytes()),
            domain: registrable_domain(folded).map(|domain| Id128::of(domain.as_bytes())),
        })
    })
}

/// The identity of a name's registrable domain, and its text.
pub fn registrable(name: &str) -> Option<(Id128, String)> {
    with_folded(name, |folded| {
        registrable_domain(folded).map(|domain| (Id128::of(domain.as_bytes()), domain.to_owned()))
    })
}

/// Runs `use_name` with the name in lower case and without a final dot, without an allocation for ordinary names.
fn with_folded<T>(name: &str, use_name: impl FnOnce(&str) -> T) -> T {
    let trimmed = name.strip_suffix('.').unwrap_or(name);
    if trimmed.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        return use_name(trimmed);
    }
    use_name(&trimmed.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_a_final_dot_do_not_matter() {
        assert_eq!(name_ids("WWW.Example.COM."), name_ids("www.example.com"));
        assert_ne!(name_ids("www.example.com").unwrap().name, name_ids("example.com").unwrap().name);
        assert_eq!(name_ids("www.example.com").unwrap().domain, name_ids("example.com").unwrap().domain);
    }

    #[test]
    fn an_address_has_no_domain() {
        assert_eq!(name_ids("192.0.2.1").unwrap().domain, None);
        assert_eq!(name_ids(""), None);
    }
}
