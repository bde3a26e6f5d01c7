//! Server names as identities.

use super::bounds::bounded;
use crate::knowledge::suffix::registrable_domain;
use crate::model::{Id128, NameIds, host_name};

/// Longest name that is looked at, in bytes. DNS allows 253; what is longer is no host name but is still a name.
const MAX_NAME: usize = 1024;

/// The identities of a server name, or `None` when it is empty.
pub fn name_ids(name: &str) -> Option<NameIds> {
    let name = bounded(name, MAX_NAME);
    let folded = host_name(name);
    (!folded.is_empty()).then(|| NameIds {
        name: Id128::of(folded.as_bytes()),
        domain: registrable_domain(&folded).map(|domain| Id128::of(domain.as_bytes())),
    })
}

/// The identity of a name's registrable domain, and its text.
pub fn registrable(name: &str) -> Option<(Id128, String)> {
    let folded = host_name(name);
    registrable_domain(&folded).map(|domain| (Id128::of(domain.as_bytes()), domain.to_owned()))
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
    fn a_name_in_its_own_letters_is_the_one_that_clients_ask_for() {
        assert_eq!(
            name_ids("www.\u{434}\u{43e}\u{43c}\u{435}\u{43d}.\u{440}\u{444}"),
            name_ids("www.xn--d1acufc.xn--p1ai")
        );
        let (id, domain) = registrable("www.\u{434}\u{43e}\u{43c}\u{435}\u{43d}.\u{440}\u{444}").unwrap();
        assert_eq!((Some(id), &*domain), (name_ids("xn--d1acufc.xn--p1ai").unwrap().domain, "xn--d1acufc.xn--p1ai"));
    }

    #[test]
    fn an_address_has_no_domain() {
        assert_eq!(name_ids("192.0.2.1").unwrap().domain, None);
        assert_eq!(name_ids(""), None);
    }
}
