//! Names and brands that the user watches over.

use super::names::{readable, skeleton};
use super::suffix::{controlling_domain, registrable_domain};

/// The user's own names and brands, prepared for comparison.
#[derive(Debug, Default)]
pub struct WatchNames {
    names: Vec<WatchedName>,
}

/// One watched name or brand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WatchedName {
    /// What it is called: the host, or the brand as the user wrote it.
    pub written: Box<str>,
    /// The domain below which one party decides, where it is a host name.
    pub domain: Option<Box<str>>,
    /// What imitations imitate: the first label of the domain, or the brand, letters and digits only, confusable
    /// characters folded.
    pub skeleton: Box<str>,
}

/// Shorter names are part of too many others to be compared; counted in characters, whatever the script.
const MIN_SKELETON: usize = 5;
/// Names that can be watched.
const MAX_NAMES: usize = 10_000;

impl WatchNames {
    /// Prepares names.
    ///
    /// # Errors
    /// A name is too short to be told from others, or no domain where it looks like one, or there are more than 10,000.
    pub fn new<S: AsRef<str>>(written: &[S]) -> Result<Self, String> {
        if written.len() > MAX_NAMES {
            return Err(format!("{} watched names, and at most {MAX_NAMES} can be compared", written.len()));
        }
        let of = |(number, name): (usize, &S)| {
            let name = name.as_ref();
            WatchedName::new(name).map_err(|why| format!("number {number}, `{name}`, {why}"))
        };
        Ok(Self { names: (1..).zip(written).map(of).collect::<Result<_, _>>()? })
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
    fn new(written: &str) -> Result<Self, &'static str> {
        let folded = written.trim().to_lowercase();
        let (host, is_host) = match host_in(&folded) {
            Some(host) => (host, true),
            None => (&*folded, false),
        };
        let named = readable(host);
        let domain = Some(&*named)
            .filter(|_| is_host)
            .and_then(|host| controlling_domain(host).or_else(|| registrable_domain(host)));
        if is_host && domain.is_none() {
            return Err("names no domain that can be registered");
        }
        let imitated = domain.map_or(&*named, |domain| domain.split('.').next().unwrap_or(domain));
        let skeleton = skeleton(imitated);
        // Some letters look like two others, and some pairs like one.
        let letters = imitated.chars().filter(|character| character.is_alphanumeric()).count();
        if letters.min(skeleton.chars().count()) < MIN_SKELETON {
            return Err("is too short to be watched: it needs 5 letters or digits");
        }
        let written = if is_host { named.as_ref() } else { written };
        Ok(Self { written: written.into(), domain: domain.map(Into::into), skeleton: skeleton.into() })
    }
}

/// The host of what is written as a host name, an address of the web or of mail, or with a port; `None` for a brand.
fn host_in(written: &str) -> Option<&str> {
    let (is_url, rest) = match written.split_once("://") {
        Some((_, rest)) => (true, rest),
        None => (false, written),
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = host.rsplit('@').next().unwrap_or(host);
    let port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let host = host.rsplit_once(':').filter(|(_, end)| port(end)).map_or(host, |(host, _)| host);
    let host = host.trim_end_matches('.');
    let host = host.strip_prefix("*.").unwrap_or(host);
    (is_url || host.contains('.') && !host.contains(char::is_whitespace)).then_some(host)
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
    }

    #[test]
    fn a_host_is_watched_however_it_is_written() {
        for written in [
            "riverton-library.example",
            "Riverton-Library.Example.",
            "https://www.riverton-library.example/",
            "https://user@riverton-library.example:8443/catalogue?q=1#top",
            "riverton-library.example:443",
            "riverton-library.example/",
            "*.riverton-library.example",
            "desk@riverton-library.example",
        ] {
            let names = WatchNames::new(&[written]).unwrap();
            let name = names.iter().next().unwrap();
            assert_eq!(name.domain.as_deref(), Some("riverton-library.example"), "{written}");
            assert!(!name.written.contains(['/', ':', '@', '*']), "{}", name.written);
        }
        for (written, domain) in
            [("xn--bcherturm-q9a.example", Some("b\u{fc}cherturm.example")), ("St. Mary: Books/Maps", None)]
        {
            let names = WatchNames::new(&[written]).unwrap();
            assert_eq!(names.iter().next().unwrap().domain.as_deref(), domain, "{written}");
        }
    }

    #[test]
    fn the_length_of_a_name_is_that_of_its_letters_in_any_script() {
        for written in ["джем.рф", "рыба.рф", "xn--d1accl.xn--p1ai", "图书", "图书.example", "书店图书"]
        {
            assert!(WatchNames::new(&[written]).is_err(), "{written}");
        }
        for written in ["книга.рф", "中国图书馆", "bücher.example"] {
            assert!(WatchNames::new(&[written]).is_ok(), "{written}");
        }
    }

    #[test]
    fn what_cannot_be_watched_is_refused_with_its_place() {
        for written in
            ["abc", "", "192.0.2.1", "https://192.0.2.1/", "https://intranet/", "co.uk", "a..example", "x.y:z"]
        {
            let error = WatchNames::new(&["riverton-library.example", written]).unwrap_err();
            assert!(error.starts_with(&format!("number 2, `{written}`, ")), "{error}");
        }
    }
}
