//! Names and brands that the user watches over.

use super::suffix::registrable_domain;

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
    /// Its registrable domain, where it is a host name.
    pub domain: Option<Box<str>>,
    /// What imitations imitate: the first label of the domain, or the brand, letters and digits only, confusable
    /// characters folded.
    pub skeleton: Box<str>,
}

/// Shorter names are part of too many others to be compared.
const MIN_SKELETON: usize = 5;
/// Names that can be watched; each is compared with every distinct name.
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
    pub fn iter(&self) -> impl Iterator<Item = &WatchedName> {
        self.names.iter()
    }
}

impl WatchedName {
    fn new(written: &str) -> Result<Self, String> {
        let folded = written.trim().trim_end_matches('.').to_lowercase();
        let domain = registrable_domain(&folded).filter(|_| !folded.contains(char::is_whitespace));
        let imitated = domain.map_or(folded.as_str(), |domain| domain.split('.').next().unwrap_or(domain));
        let skeleton = skeleton(imitated);
        if skeleton.len() < MIN_SKELETON {
            return Err(format!("`{written}` is too short to be watched: it needs {MIN_SKELETON} letters or digits"));
        }
        Ok(Self { written: written.into(), domain: domain.map(Into::into), skeleton: skeleton.into() })
    }
}

/// Letters and digits of a label in lower case, with those that are mistaken for each other made one.
pub(crate) fn skeleton(label: &str) -> String {
    let mut out = String::with_capacity(label.len());
    for character in label.chars() {
        let folded = match character {
            '0' => 'o',
            '1' | 'i' | '|' => 'l',
            '3' => 'e',
            '5' => 's',
            other if other.is_alphanumeric() => other,
            _ => continue,
        };
        out.extend(folded.to_lowercase());
    }
    out.replace("rn", "m").replace("vv", "w")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_is_watched_by_its_registrable_domain_and_a_brand_by_its_letters() {
        let names = WatchNames::new(&["www.riverton-library.example", "Riverton Library"]).unwrap();
        let names: Vec<_> = names.iter().collect();
        assert_eq!(names[0].domain.as_deref(), Some("riverton-library.example"));
        assert_eq!(names[0].skeleton, names[1].skeleton);
        assert_eq!(names[1].domain, None);
    }

    #[test]
    fn what_is_mistaken_for_each_other_has_one_skeleton() {
        assert_eq!(skeleton("rivert0n-library"), skeleton("Riverton Library"));
        assert_eq!(skeleton("rnicrosoft"), skeleton("microsoft"));
        assert!(WatchNames::new(&["abc"]).unwrap_err().contains("abc"));
    }
}
