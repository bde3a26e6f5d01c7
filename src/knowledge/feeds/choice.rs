//! Which columns of a CSV are used. A column that holds names, addresses or hashes need not list anything: it may say
//! where the row was reported, which name server answered, or to whom an address belongs, and whoever stands there is
//! innocent. So a column is used where a header names it as what is listed, or where nothing else can be meant; what is
//! left out is said in the report.

use std::collections::BTreeSet;

use super::format::Header;
use super::indicator::{self, Reading};
use super::report::UnusedColumn;
use super::rows::Indicator;
use super::when;

/// What a column that lists something holds, by its name or by what stands in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Class {
    /// Hashes of certificates.
    Hash,
    /// Names, or whatever is listed.
    Listed,
    /// Names that may be those of a listed address, or of whoever met what is listed.
    Host,
    /// Addresses or networks.
    Address,
    /// URLs.
    Url,
}

/// What stands in most cells of a column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Content {
    Md5,
    Sha1,
    Sha256,
    Name,
    Address,
    Url,
    /// Indicators of different kinds.
    Mixed,
}

/// Which columns are used, and which are not although they hold indicators.
#[derive(Default, Debug)]
pub(super) struct Choice {
    pub(super) used: Vec<usize>,
    /// Addresses that count in rows where nothing stands in the columns that are used.
    pub(super) instead: Vec<usize>,
    /// Of the used ones an address that counts only in rows with a port.
    pub(super) with_port: Option<usize>,
    pub(super) unused: Vec<UnusedColumn>,
}

/// The rows by which columns are told, taken apart.
pub(super) type Cells<'a> = [Vec<std::borrow::Cow<'a, str>>];

const HASH: [&str; 13] = [
    "sha256",
    "sha1",
    "sha256hash",
    "sha1hash",
    "hash",
    "sslhash",
    "fingerprint",
    "sha256fingerprint",
    "sha1fingerprint",
    "certsha256",
    "certsha1",
    "certhash",
    "thumbprint",
];
const LISTED: [&str; 7] = ["domain", "domainname", "fqdn", "sni", "indicator", "ioc", "iocvalue"];
const HOST: [&str; 2] = ["hostname", "host"];
const ADDRESS: [&str; 7] = ["ip", "ipaddress", "ipaddr", "dstip", "destip", "cidr", "network"];
const URL: [&str; 1] = ["url"];

/// Names of columns with indicators that certsift does not look at. Beside them a URL or an address only describes.
const OTHER_INDICATOR: [&str; 11] =
    ["md5", "md5hash", "ja3", "ja3s", "ja4", "jarm", "imphash", "ssdeep", "filehash", "filename", "email"];

/// Names of columns that say something about what is listed.
const OTHER: [&str; 40] = [
    "as",
    "asn",
    "asname",
    "asowner",
    "asorg",
    "article",
    "blog",
    "analysis",
    "c",
    "cname",
    "country",
    "evidence",
    "feed",
    "from",
    "href",
    "info",
    "isp",
    "link",
    "links",
    "mx",
    "ns",
    "ns1",
    "ns2",
    "org",
    "organisation",
    "organization",
    "origin",
    "owner",
    "permalink",
    "proof",
    "provider",
    "ptr",
    "publisher",
    "rdns",
    "ref",
    "refs",
    "registry",
    "reversedns",
    "vendor",
    "vt",
];
/// Parts of such names.
const OTHER_PART: [&str; 29] = [
    "abuse",
    "actor",
    "asowner",
    "author",
    "brand",
    "contact",
    "dnsserver",
    "homepage",
    "impersonat",
    "legitimate",
    "link",
    "mailserver",
    "mxrecord",
    "nameserver",
    "recipient",
    "reference",
    "referrer",
    "registrar",
    "report",
    "sandbox",
    "screenshot",
    "sender",
    "source",
    "target",
    "urlscan",
    "victim",
    "virustotal",
    "website",
    "whois",
];

/// Longest name of a column that is shown, in characters.
const MAX_SHOWN: usize = 40;
/// Rows from which on a column that says the same in all of them lists nothing.
const MIN_CONSTANT: usize = 3;

/// Why such a column is not used.
const CONSTANT: &str = "it says the same in every row, as the source of a list does";

/// What a column that lists something is called.
pub(super) fn class_of(name: &str) -> Option<Class> {
    const NAMED: [(&[&str], Class); 5] = [
        (&HASH, Class::Hash),
        (&LISTED, Class::Listed),
        (&HOST, Class::Host),
        (&ADDRESS, Class::Address),
        (&URL, Class::Url),
    ];
    NAMED.iter().find(|(names, _)| names.contains(&name)).map(|(_, class)| *class)
}

/// Whether a name says that a column is about what is listed.
pub(super) fn is_other(name: &str) -> bool {
    OTHER.contains(&name) || OTHER_PART.iter().any(|part| name.contains(part))
}

/// The columns of a header that hold a hash, a name, an address or a URL. `ioc` beside another of them is a label.
pub(super) fn named(header: &Header) -> Vec<(usize, Class)> {
    let all = || (0..).zip(&header.names).filter_map(|(at, name)| Some((at, name, class_of(name)?)));
    let others: Vec<_> = all().filter(|(_, name, _)| *name != "ioc").map(|(at, _, class)| (at, class)).collect();
    if others.is_empty() { all().map(|(at, _, class)| (at, class)).collect() } else { others }
}

/// What stands in most of the cells that are not empty; `None` where that is nothing to be looked up.
pub(super) fn content(rows: &Cells<'_>, at: usize) -> Option<Content> {
    let cells = rows.iter().filter_map(|row| row.get(at)).filter(|cell| !is_unset(cell));
    most(cells.map(|cell| content_of(cell)))
}

/// What two in three are, as for other formats.
fn most(all: impl Iterator<Item = Option<Content>>) -> Option<Content> {
    let all: Vec<_> = all.collect();
    let found = || all.iter().flatten();
    let first = found().next().filter(|_| found().count() * 3 >= all.len() * 2)?;
    Some(if found().all(|content| content == first) { *first } else { Content::Mixed })
}

/// What stands in a cell; `None` for nothing that can be looked up.
pub(super) fn content_of(cell: &str) -> Option<Content> {
    if cell.contains("://") {
        return Some(Content::Url);
    }
    let reading = match indicator::several(cell) {
        Some(several) => several.into_iter().next().map(Reading::Row),
        None => Some(indicator::read(cell)),
    };
    match reading? {
        Reading::Row(Indicator::Sha1(_)) => Some(Content::Sha1),
        Reading::Row(Indicator::Sha256(_)) => Some(Content::Sha256),
        Reading::Row(Indicator::Network(..)) => Some(Content::Address),
        Reading::Row(_) => Some(Content::Name),
        Reading::Unsupported(_) => Some(Content::Md5),
        Reading::Bad(_) => None,
    }
}

/// Whether a text is what stands in a row and not in a header.
pub(super) fn is_value(text: &str) -> bool {
    content_of(text).is_some() || when::parse(text).is_some() || text.parse::<f64>().is_ok()
}

/// What a column without a value may say.
pub(super) fn is_unset(text: &str) -> bool {
    const UNSET: [&str; 6] = ["-", "n/a", "na", "none", "null", "unknown"];
    text.is_empty() || UNSET.iter().any(|unset| text.eq_ignore_ascii_case(unset))
}

/// Chooses by the names of a header and what stands below it. `is_known` says which names mean something that is no
/// indicator; `lists_more` whether other columns list something: serial numbers or keys.
pub(super) fn by_names(
    header: &Header,
    rows: &Cells<'_>,
    has_port: bool,
    lists_more: bool,
    is_known: impl Fn(&str) -> bool,
) -> Choice {
    let name = |at: usize| header.names.get(at).map_or("", String::as_str);
    let named = named(header);
    let is_named = |at: usize| named.iter().any(|(known, _)| *known == at);
    let width = rows.iter().map(Vec::len).max().unwrap_or_default().max(header.names.len());
    let holding = (0..width).filter(|&at| !is_named(at) && !is_known(name(at)));
    let holding: Vec<(usize, Content)> = holding.filter_map(|at| Some((at, content(rows, at)?))).collect();
    let is_of_other_kind = |at: usize| OTHER_INDICATOR.contains(&name(at));
    let (about, unknown): (Vec<_>, Vec<_>) =
        holding.into_iter().partition(|(at, _)| is_other(name(*at)) || is_of_other_kind(*at));
    let has_other = header.names.iter().any(|name| OTHER_INDICATOR.contains(&name.as_str()));
    let mut choice = Choice::default();
    for (at, _) in about {
        let why = match is_of_other_kind(at) {
            true => "certsift does not look at what its name says",
            false => "its name says that it is about what is listed",
        };
        choice.leave_out(at, name(at), why, true);
    }
    let usable = varying(rows, &unknown);
    if named.is_empty() && !lists_more {
        // Beside a hash that certsift does not look at a name is what that file asked for, as may be whoever is asked.
        let is_alone = |content: Content| matches!(content, Content::Sha1 | Content::Sha256) || !has_other;
        match usable[..] {
            [(at, content)] if content != Content::Md5 && is_alone(content) => choice.used.push(at),
            _ => {}
        }
    }
    for (at, _) in &unknown {
        if choice.used.contains(at) {
            continue;
        }
        let why = match (choice.used.is_empty(), named.is_empty()) {
            (_, true) if !usable.iter().any(|(varying, _)| varying == at) => CONSTANT,
            (true, true) => "the header does not say which of its columns lists something",
            _ => "the header does not say that it lists something",
        };
        choice.leave_out(*at, name(*at), why, false);
    }
    // What decides on the others: the first of what is no URL, and whether something is listed by itself.
    let first = named.iter().filter(|(_, class)| *class != Class::Url).map(|(at, _)| *at).min();
    let firmly = |class: Class| matches!(class, Class::Hash | Class::Listed);
    let is_firm = lists_more || has_other || named.iter().any(|(_, class)| firmly(*class));
    // Where a hash, a serial number or a key is asked for, a row without one lists nothing, and its address still describes.
    let stands_in = !(lists_more || has_other || named.iter().any(|(_, class)| *class == Class::Hash));
    let first_address = named.iter().find(|(_, class)| *class == Class::Address).map(|(at, _)| *at);
    let host_is_first = named.iter().any(|&(at, class)| class == Class::Host && Some(at) == first);
    // Other URLs are about the one that is called so: PhishTank's `phish_detail_url`.
    let lists_otherwise = unknown.iter().any(|(_, content)| *content != Content::Url);
    if has_port && (is_firm || host_is_first) {
        choice.with_port = first_address;
        choice.instead.extend(first_address.filter(|_| stands_in));
    }
    for &(at, class) in &named {
        let problem = match class {
            Class::Hash | Class::Listed => None,
            Class::Host if Some(at) == first && !(has_other || lists_more) => None,
            Class::Host => Some("it may be who met what the row lists; call it `domain` if it is meant"),
            Class::Address if Some(at) != first_address => Some(match stands_in {
                true => "one address is listed in a row; it counts where nothing else stands in one",
                false => "one address is listed in a row",
            }),
            Class::Address if has_port || !(is_firm || host_is_first) => None,
            Class::Address => Some(match stands_in {
                true => {
                    "others may share the address, and it counts only in rows where nothing else stands; a column `port` \
                     says which server is meant"
                }
                false => "others may share the address; a column `port` says which server is meant",
            }),
            Class::Url if named.len() == 1 && !is_firm && !lists_otherwise => None,
            Class::Url => Some("beside something else it may be where that is reported"),
        };
        match problem {
            None => choice.used.push(at),
            Some(_) if class == Class::Url && says_the_same(rows, at, &named) => {}
            Some(why) => {
                // Never a URL: also alone in a row it may be where something is reported.
                if class == Class::Address && stands_in {
                    choice.instead.push(at);
                }
                choice.leave_out(at, name(at), why, false);
            }
        }
    }
    choice.used.sort_unstable();
    choice.unused.sort_unstable_by_key(|column| column.number);
    choice
}

/// Chooses by what stands in the columns alone.
pub(super) fn by_content(rows: &Cells<'_>, width: usize) -> Choice {
    let in_rows = |at: usize| most(rows.iter().map(|row| row.get(at).and_then(|cell| content_of(cell))));
    let holding: Vec<_> = (0..width).filter_map(|at| Some((at, in_rows(at)?))).collect();
    let usable = varying(rows, &holding);
    let mut choice = Choice::default();
    let first = usable.iter().find(|(_, content)| *content != Content::Url).or_else(|| usable.first()).copied();
    let is_hash = |content: Content| matches!(content, Content::Md5 | Content::Sha1 | Content::Sha256);
    let mut seen = Vec::new();
    for &(at, content) in &holding {
        let is_first = first.is_some_and(|(first, _)| first == at);
        // Hashes beside a hash are of the same thing.
        let is_beside = first.is_some_and(|(_, first)| is_hash(first)) && is_hash(content) && !seen.contains(&content);
        if is_first || is_beside {
            seen.push(content);
            choice.used.push(at);
        } else {
            let is_constant = usable.iter().all(|(varying, _)| *varying != at);
            let first_only = "without a header only the first column that lists something is";
            choice.leave_out(at, "", if is_constant { CONSTANT } else { first_only }, false);
        }
    }
    choice
}

/// Whether each URL in the rows is one of what another column of the row lists.
fn says_the_same(rows: &Cells<'_>, url: usize, named: &[(usize, Class)]) -> bool {
    rows.iter().all(|row| {
        let cell = |at: usize| row.get(at).map_or("", |cell| &**cell);
        let Reading::Row(host) = indicator::read(cell(url)) else { return is_unset(cell(url)) };
        let others = named.iter().filter(|(at, _)| *at != url);
        others.map(|(at, _)| indicator::read(cell(*at))).any(|other| match (&other, &host) {
            (Reading::Row(Indicator::Network(a, _)), Indicator::Network(b, _)) => a == b,
            (Reading::Row(other), host) => other == host,
            _ => false,
        })
    })
}

/// Columns without those that say the same in every row: as a rule that is whose list it is. Where none varies, no name or
/// URL is left; an address or a hash is no source, and one address on several ports is a list.
fn varying(rows: &Cells<'_>, columns: &[(usize, Content)]) -> Vec<(usize, Content)> {
    let is_constant = |at: usize| {
        let values: BTreeSet<&str> = rows.iter().filter_map(|row| row.get(at)).map(|cell| &**cell).collect();
        rows.len() >= MIN_CONSTANT && values.len() == 1
    };
    let varying: Vec<_> = columns.iter().filter(|(at, _)| !is_constant(*at)).copied().collect();
    if !varying.is_empty() {
        return varying;
    }
    columns.iter().filter(|(_, content)| !matches!(content, Content::Name | Content::Url)).copied().collect()
}

impl Choice {
    fn leave_out(&mut self, at: usize, name: &str, why: &'static str, is_meant: bool) {
        let name = Some(name.chars().take(MAX_SHOWN).collect::<String>()).filter(|name| !name.is_empty());
        self.unused.push(UnusedColumn { number: at + 1, name, why, is_meant });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_that_lists_something_says_that_it_is_about_it() {
        let names = [&HASH[..], &LISTED, &HOST, &ADDRESS, &URL].concat();
        let about: Vec<_> = names.into_iter().filter(|name| is_other(name)).collect();
        assert!(about.is_empty(), "{about:?}");
    }
}
