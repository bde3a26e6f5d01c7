//! Names and brands that the user watches over.

use super::names::skeleton;
use super::suffix::{controlling_domain, registrable_domain};

/// The user's own names and brands, prepared for comparison.
#[derive(Debug, Default)]
pub struct WatchNames {
    names: Vec<WatchedName>,
}

/// One watched name or brand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WatchedName {
    /// As the user wrote it.
    pub written: Box<str>,
    /// The domain below which one party decides, where it is a host name.
    pub domain: Option<Box<str>>,
    /// What imitations imitate: the first label of the domain, or the brand, letters and digits only, confusable
    /// characters folded.
    pub skeleton: Box<str>,
}

/// Shorter names are part of too many others to be compared.
const MIN_SKELETON: usize = 5;
/// Names that can be watched.
const MAX_NAMES: usize = 10_000;

impl WatchNames {
    /// Prepares names.
    ///
    /// # Errors
    /// A name is too short to be told from others, or there are more than 10,000.
    pub fn new<S: AsRef<str>>(written: &[S]) -> Result<Self, String> {
        if written.len() > MAX_NAMES {
            return Err(format!("{} watched names, and at most {MAX_NAMES} can be compared", written.len()));
        }
        let names = written.iter().map(|name| WatchedName::new(name.as_ref())).collect::<Result<_, _>>()?;
        Ok(Self { names })
    }

    /// Whether nothing is watched.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The names in the order in which the user wrote them.
    pub fn iter(&self) -> impl Iterator<Item = &WatchedName> + Clone {
        self.names.iter()
    }

    /// The name of that number in the order in which the user wrote them.
    pub(super) fn get(&self, number: u32) -> Option<&WatchedName> {
        self.names.get(number as usize)
    }
}

impl WatchedName {
    fn new(written: &str) -> Result<Self, String> {
        let folded = written.trim().trim_end_matches('.').to_lowercase();
        let host = Some(&*folded).filter(|folded| !folded.contains(char::is_whitespace));
        let domain = host.and_then(|host| controlling_domain(host).or_else(|| registrable_domain(host)));
        let imitated = domain.map_or(folded.as_str(), |domain| domain.split('.').next().unwrap_or(domain));
        let skeleton = skeleton(imitated);
        if skeleton.len() < MIN_SKELETON {
            return Err(format!("`{written}` is too short to be watched: it needs {MIN_SKELETON} letters or digits"));
        }
        Ok(Self { written: written.into(), domain: domain.map(Into::into), skeleton: skeleton.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_is_watched_by_its_domain_and_a_brand_by_its_letters() {
        let names =
            WatchNames::new(&["www.riverton-library.example", "Riverton Library", "riverton.github.io"]).unwrap();
        let names: Vec<_> = names.iter().collect();
        assert_eq!(names[0].domain.as_deref(), Some("riverton-library.example"));
        assert_eq!(names[0].skeleton, names[1].skeleton);
        assert_eq!(names[1].domain, None);
        // Who has a page at a hoster watches that page, and not the hoster.
        assert_eq!((names[2].domain.as_deref(), &*names[2].skeleton), (Some("riverton.github.io"), "rlverton"));
        assert!(WatchNames::new(&["abc"]).unwrap_err().contains("abc"));
    }
}
