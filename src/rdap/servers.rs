//! Who is to be asked for which domain: IANA's list of servers (RFC 9224), and what the user says beside it.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use ureq::http::Uri;

use super::RdapSettings;
use crate::knowledge::require_file;
use crate::knowledge::suffix::registrable_domain;

/// Servers by the suffixes that they know.
#[derive(Debug, Default)]
pub struct Servers {
    zones: HashMap<Box<str>, Place>,
    /// What is asked at a pace of its own.
    hosts: Vec<Arc<str>>,
    except: Vec<Zone>,
}

/// Where one suffix is asked for.
#[derive(Debug)]
struct Place {
    base: ServerUrl,
    host: usize,
}

/// A domain or a suffix, in lower case and without dots around it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Zone(Box<str>);

/// The address of a server, `https://rdap.example/v1/`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerUrl {
    /// With a slash at its end.
    text: Arc<str>,
    host: Arc<str>,
    is_secure: bool,
}

/// What is to be asked, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Target {
    /// The server's number.
    pub(super) server: usize,
    /// The domain as DNS has it.
    pub(super) domain: Box<str>,
    /// The whole address.
    pub(super) url: Box<str>,
}

/// Why nobody can be asked.
#[derive(Debug, thiserror::Error)]
pub enum ServersError {
    /// The list cannot be read.
    #[error("rdap.bootstrap: {}: {source}", .path.display())]
    Read {
        /// The list.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The list is none.
    #[error("rdap.bootstrap: {}: {why}", .path.display())]
    Invalid {
        /// The list.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// No server is known at all.
    #[error(
        "rdap.enabled needs servers: name IANA's list, https://data.iana.org/rdap/dns.json, as rdap.bootstrap once it is \
         downloaded, or single ones in rdap.servers"
    )]
    None,
}

/// IANA's list; each service is its suffixes and its addresses.
#[derive(Deserialize)]
struct Bootstrap {
    services: Vec<Vec<Vec<String>>>,
}

/// Largest list that is read; IANA's has some hundred kilobytes.
const MAX_BOOTSTRAP: u64 = 8 * 1024 * 1024;
/// Longest address of a server.
const MAX_URL: usize = 512;
/// Longest name (RFC 1035 §2.3.4).
const MAX_NAME: usize = 253;
/// Names that no registry knows: those for special use (RFC 6761, RFC 6762, RFC 7686, RFC 8375, RFC 9476) and those that
/// people use at home and at work as if they were.
const SPECIAL: [&str; 16] = [
    "alt",
    "arpa",
    "corp",
    "domain",
    "example",
    "home",
    "internal",
    "intranet",
    "invalid",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "onion",
    "private",
    "test",
];

impl Servers {
    /// The servers that the settings name.
    ///
    /// # Errors
    /// The list cannot be used, or no server is named.
    pub fn load(settings: &RdapSettings) -> Result<Self, ServersError> {
        let mut servers = Self { except: settings.except.clone(), ..Self::default() };
        for (zone, url) in &settings.servers {
            servers.add(zone.clone(), url.clone());
        }
        if let Some(path) = &settings.bootstrap {
            servers.add_list(path)?;
        }
        if servers.zones.is_empty() { Err(ServersError::None) } else { Ok(servers) }
    }

    /// How many servers there are.
    pub fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// How many suffixes they know.
    pub fn zones(&self) -> usize {
        self.zones.len()
    }

    /// The name of a server.
    pub(super) fn host(&self, server: usize) -> &str {
        self.hosts.get(server).map_or("", |host| host)
    }

    /// Where a registrable domain is asked for; nowhere if no server knows it, or if it is not for others to know.
    pub(super) fn target(&self, domain: &str) -> Option<Target> {
        let domain = ascii(domain)?;
        let is_special = SPECIAL.iter().any(|special| is_below(&domain, special));
        if is_special || self.except.iter().any(|zone| zone.covers(&domain)) {
            return None;
        }
        let mut rest = &*domain;
        while let Some((_, suffix)) = rest.split_once('.') {
            if let Some(place) = self.zones.get(suffix) {
                let url = format!("{}domain/{domain}", place.base.text).into();
                return Some(Target { server: place.host, domain, url });
            }
            rest = suffix;
        }
        None
    }

    fn add(&mut self, zone: Zone, base: ServerUrl) {
        let host = self.hosts.iter().position(|host| *host == base.host).unwrap_or_else(|| {
            self.hosts.push(Arc::clone(&base.host));
            self.hosts.len() - 1
        });
        // What the user says comes first, and stays.
        self.zones.entry(zone.0).or_insert(Place { base, host });
    }

    fn add_list(&mut self, path: &Path) -> Result<(), ServersError> {
        let read = |source| ServersError::Read { path: path.to_owned(), source };
        let invalid = |why: &str| ServersError::Invalid { path: path.to_owned(), why: why.to_owned() };
        let mut text = Vec::new();
        // Opening a pipe would wait for whoever writes into it.
        require_file(path).map_err(read)?;
        File::open(path).map_err(read)?.take(MAX_BOOTSTRAP + 1).read_to_end(&mut text).map_err(read)?;
        if text.len() as u64 > MAX_BOOTSTRAP {
            return Err(invalid("too large to be IANA's list of servers"));
        }
        let list: Bootstrap = serde_json::from_slice(&text)
            .map_err(|error| invalid(&format!("not IANA's list of servers (RFC 9224): {error}")))?;
        let before = self.zones.len();
        for service in &list.services {
            let [zones, urls] = service.as_slice() else { continue };
            // Without TLS anybody on the way could answer, so that only the user's own word makes that happen.
            let mut urls = urls.iter().filter_map(|url| ServerUrl::parse(url).ok());
            let Some(url) = urls.find(|url| url.is_secure) else { continue };
            for zone in zones.iter().filter_map(|zone| Zone::parse(zone).ok()) {
                self.add(zone, url.clone());
            }
        }
        if self.zones.len() == before { Err(invalid("names no server that can be asked over https")) } else { Ok(()) }
    }
}

impl Zone {
    /// A domain or a suffix as it is written.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let name = text.trim().trim_start_matches("*.").trim_matches('.');
        let name = ascii(name).filter(|name| !name.is_empty());
        name.map(Self).ok_or_else(|| format!("`{text}` is no domain; write `com` or `example.org`"))
    }

    /// Whether a registrable domain is the zone's, or lies below it.
    fn covers(&self, domain: &str) -> bool {
        is_below(domain, &self.0) || registrable_domain(&self.0) == Some(domain)
    }
}

impl ServerUrl {
    /// An address as it is written.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no address of a server; write `https://rdap.example/v1/`");
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let scheme = uri.scheme_str().filter(|scheme| ["http", "https"].contains(scheme)).ok_or_else(wrong)?;
        let authority = uri.authority().ok_or_else(wrong)?;
        let host = authority.host().to_ascii_lowercase();
        let has_user = authority.as_str().contains('@');
        if host.is_empty() || has_user || uri.query().is_some() || text.len() > MAX_URL || text.contains('#') {
            return Err(wrong());
        }
        let slash = if text.ends_with('/') { "" } else { "/" };
        Ok(Self { text: format!("{text}{slash}").into(), host: host.into(), is_secure: scheme == "https" })
    }
}

/// Whether a name is a suffix or lies below it.
fn is_below(name: &str, suffix: &str) -> bool {
    name.strip_suffix(suffix).is_some_and(|above| above.is_empty() || above.ends_with('.'))
}

/// A name as DNS has it; `None` where nobody can have registered it.
fn ascii(name: &str) -> Option<Box<str>> {
    let name = if name.is_ascii() { name.to_ascii_lowercase() } else { idna::domain_to_ascii(name).ok()? };
    let is_label = |label: &str| {
        let ends = label.starts_with('-') || label.ends_with('-');
        !label.is_empty() && !ends && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let is_number = name.rsplit('.').next().is_some_and(|top| top.bytes().all(|byte| byte.is_ascii_digit()));
    (name.len() <= MAX_NAME && !is_number && name.split('.').all(is_label)).then(|| name.into_boxed_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(list: &str, own: &[(&str, &str)], except: &[&str]) -> Result<Servers, ServersError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dns.json");
        std::fs::write(&path, list).unwrap();
        let own = own.iter().map(|(zone, url)| (Zone::parse(zone).unwrap(), ServerUrl::parse(url).unwrap()));
        let settings = RdapSettings {
            bootstrap: (!list.is_empty()).then_some(path),
            servers: own.collect(),
            except: except.iter().map(|zone| Zone::parse(zone).unwrap()).collect(),
            ..crate::config::Config::default().rdap
        };
        Servers::load(&settings)
    }

    const LIST: &str = r#"{"description":"RDAP bootstrap file","publication":"2026-11-24T20:00:01Z","services":[
        [["com","net"],["http://rdap.verisign.example/com/v1","https://rdap.verisign.example/com/v1/"]],
        [["xn--p1ai"],["https://rdap.p1ai.example"]],[["old"],["http://rdap.old.example/"]],
        [["co.uk","uk"],["https://rdap.uk.example/uk/"]],[["broken"]],[["bad"],["ftp://x/","not one"]]],"version":"1.0"}"#;

    #[test]
    fn the_longest_suffix_says_who_is_asked_and_the_users_word_comes_first() {
        let own = [("net", "http://127.0.0.1:8080"), ("gov.uk", "https://rdap.gov.example/")];
        let servers = servers(LIST, &own, &[]).unwrap();
        let url = |domain: &str| servers.target(domain).map(|target| target.url.into_string());
        for (domain, expected) in [
            ("evil.com", Some("https://rdap.verisign.example/com/v1/domain/evil.com")),
            ("evil.net", Some("http://127.0.0.1:8080/domain/evil.net")),
            ("evil.gov.uk", Some("https://rdap.gov.example/domain/evil.gov.uk")),
            ("evil.co.uk", Some("https://rdap.uk.example/uk/domain/evil.co.uk")),
            ("пример.рф", Some("https://rdap.p1ai.example/domain/xn--e1afmkfd.xn--p1ai")),
            ("evil.old", None),
            ("evil.bad", None),
            ("evil.de", None),
            ("com", None),
        ] {
            assert_eq!(url(domain).as_deref(), expected, "{domain}");
        }
        let server = |domain: &str| servers.target(domain).unwrap().server;
        assert_eq!(server("a.com"), server("b.com"));
        assert_ne!(server("a.com"), server("a.net"));
        assert_eq!(servers.host(server("a.com")), "rdap.verisign.example");
    }

    #[test]
    fn what_is_not_for_others_is_never_told() {
        let every = ["local", "test", "example", "internal", "arpa", "lan", "onion", "invalid", "corp", "com"];
        let own: Vec<_> = every.iter().map(|zone| (*zone, "https://rdap.example/")).collect();
        let servers = servers("", &own, &["Intranet.Mine.com", "partner.com"]).unwrap();
        for domain in [
            "printer.local",
            "a.test",
            "b.example",
            "x.internal",
            "home.arpa",
            "router.lan",
            "abc.onion",
            "a.invalid",
            "dc.corp",
            "mine.com",
            "partner.com",
            "192.0.2.1",
            "_x.com",
            "a b.com",
            "a/../b.com",
            "a?x=.com",
            "-.com",
            "",
        ] {
            assert_eq!(servers.target(domain), None, "{domain}");
        }
        assert!(servers.target("notpartner.com").is_some());
        let long = format!("{}.com", "a".repeat(MAX_NAME));
        assert_eq!(servers.target(&long), None);
    }

    #[test]
    fn a_list_that_is_none_is_said() {
        for (list, expected) in
            [("{}", "services"), ("<html>", "RFC 9224"), (r#"{"services":[[["old"],["http://x/"]]]}"#, "https")]
        {
            let error = servers(list, &[("com", "https://rdap.example/")], &[]).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert!(servers("", &[], &[]).unwrap_err().to_string().contains("rdap.bootstrap"));
        for (path, expected) in [("/dev/null", "no file"), ("/", "folder")] {
            let bootstrap = Some(PathBuf::from(path));
            let settings = RdapSettings { bootstrap, ..crate::config::Config::default().rdap };
            assert!(Servers::load(&settings).unwrap_err().to_string().contains(expected), "{path}");
        }
        for url in
            ["rdap.example", "ftp://rdap.example/", "https://", "https://u:p@x/", "https://x/?a=", "https://x/#a"]
        {
            assert!(ServerUrl::parse(url).is_err(), "{url}");
        }
    }
}
