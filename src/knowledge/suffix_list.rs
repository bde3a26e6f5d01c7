//! The Public Suffix List from a file of the user's, `public_suffix_list.dat` as publicsuffix.org publishes it.
//!
//! A rule is `com`, `*.ck` (one label more, whatever it is) or `!www.ck` (not a suffix after all). The longest rule that
//! fits a name counts, an exception before all others; where none fits, the last label is the suffix.

use std::collections::HashMap;
use std::path::Path;

use crate::model::Id128;

/// The rules of one edition of the list.
pub struct SuffixList {
    /// By what stands behind `*.` and `!`, in lower case, once as it is written and once as it is asked for (RFC 5891).
    rules: HashMap<Box<str>, Rules>,
    version: String,
    content: Id128,
}

/// What rules say of one name, by part of the list.
#[derive(Clone, Copy, Default)]
struct Rules {
    icann: u8,
    private: u8,
}

/// Why a list cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SuffixListError {
    /// The file cannot be read.
    #[error("{0}")]
    Read(#[from] std::io::Error),
    /// It holds something else.
    #[error("not a public suffix list: there is no part for ICANN domains")]
    NotAList,
    /// The end of it is missing.
    #[error("a public suffix list that is cut off: its part for {0} domains has no end")]
    CutOff(&'static str),
}

const EXACT: u8 = 1;
const WILDCARD: u8 = 2;
const EXCEPTION: u8 = 4;
/// The list has some 300 kB.
const MAX_LENGTH: u64 = 16 * 1024 * 1024;

impl SuffixList {
    /// Reads a list.
    ///
    /// # Errors
    /// The file cannot be read, is none, or was cut off.
    pub fn load(path: &Path) -> Result<Self, SuffixListError> {
        use std::io::Read as _;
        let mut bytes = Vec::new();
        super::files::require_file(path)?;
        std::fs::File::open(path)?.take(MAX_LENGTH).read_to_end(&mut bytes)?;
        Self::parse(&bytes)
    }

    /// What the list says of its own edition, else a hash of it.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// A hash of the file.
    pub fn content(&self) -> Id128 {
        self.content
    }

    fn parse(bytes: &[u8]) -> Result<Self, SuffixListError> {
        let content = Id128::of(bytes);
        let hash = || content.0[..4].iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let mut list = Self { rules: HashMap::new(), version: String::new(), content };
        let (mut in_private, mut has_icann, mut open) = (false, false, None);
        for line in String::from_utf8_lossy(bytes).trim_start_matches('\u{feff}').lines() {
            let line = line.trim_start();
            if let Some(comment) = line.strip_prefix("//") {
                has_icann |= comment.contains("===BEGIN ICANN DOMAINS===");
                for part in ["ICANN", "PRIVATE"] {
                    if comment.contains(&format!("===BEGIN {part} DOMAINS===")) {
                        open = Some(part);
                    } else if open == Some(part) && comment.contains(&format!("===END {part} DOMAINS===")) {
                        open = None;
                    }
                }
                in_private =
                    comment.contains("===BEGIN PRIVATE DOMAINS===") || in_private && !comment.contains("===END");
                if let Some(version) = comment.trim_start().strip_prefix("VERSION:") {
                    list.version = version.trim().chars().take(64).collect();
                }
                continue;
            }
            if let Some(rule) = line.split_whitespace().next() {
                list.add(&rule.to_lowercase(), in_private);
            }
        }
        if list.version.is_empty() {
            list.version = hash();
        }
        match open {
            _ if !has_icann => Err(SuffixListError::NotAList),
            // Without its other rules, what is missing would look like nobody's suffix.
            Some(part) => Err(SuffixListError::CutOff(part)),
            None if list.rules.is_empty() => Err(SuffixListError::NotAList),
            None => Ok(list),
        }
    }

    fn add(&mut self, rule: &str, in_private: bool) {
        let (name, kind) = match (rule.strip_prefix("*."), rule.strip_prefix('!')) {
            (Some(name), _) => (name, WILDCARD),
            (_, Some(name)) => (name, EXCEPTION),
            _ => (rule, EXACT),
        };
        let asked_for = idna::domain_to_ascii(name).ok().filter(|ascii| ascii != name);
        for name in asked_for.as_deref().into_iter().chain([name]) {
            let rules = self.rules.entry(name.into()).or_default();
            *if in_private { &mut rules.private } else { &mut rules.icann } |= kind;
        }
    }

    /// The length of the suffix of a host name in lower case; `with_private` counts the suffixes of hosting providers.
    pub(super) fn suffix_length(&self, name: &[u8], with_private: bool) -> Option<usize> {
        let name = std::str::from_utf8(name).ok()?;
        let tail_from = |dot: Option<usize>| dot.map_or(name, |dot| &name[dot + 1..]);
        let mut dot = name.rfind('.');
        // The last label, where no rule fits.
        let mut longest = tail_from(dot).len();
        loop {
            let tail = tail_from(dot);
            let next = dot.map(|dot| name[..dot].rfind('.'));
            if let Some(rules) = self.rules.get(tail) {
                let kinds = rules.icann | if with_private { rules.private } else { 0 };
                if kinds & EXCEPTION != 0 {
                    return tail.split_once('.').map(|(_, above)| above.len());
                }
                if kinds & EXACT != 0 {
                    longest = longest.max(tail.len());
                }
                if let Some(next) = next.filter(|_| kinds & WILDCARD != 0) {
                    longest = longest.max(tail_from(next).len());
                }
            }
            match next {
                Some(next) => dot = next,
                None => return Some(longest),
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The rules that the vectors below ask for, in the form of the published list.
    const RULES: &str = "\u{feff}// VERSION: 2026-11-20_09-00-00_UTC\r\n// ===BEGIN ICANN DOMAINS===\r\n\r\ncom\r\nbiz\nac\ncom.ac\n\
        *.mm\njp\nac.jp\nkyoto.jp\nide.kyoto.jp\n*.kobe.jp\n!city.kobe.jp\n*.ck\n!www.ck\nus\nak.us\nk12.ak.us\ncn\ncom.cn\n\
        公司.cn\n中国  // and its own\n// ===END ICANN DOMAINS===\n// ===BEGIN PRIVATE DOMAINS===\nuk.com\ngithub.io\n*.compute.example\n\
        // ===END PRIVATE DOMAINS===\n";

    /// The test vectors that are published with the list (publicsuffix.org/list), by name and registrable domain, suffixes
    /// of its private part included.
    pub(in crate::knowledge) const VECTORS: [(&str, Option<&str>); 66] = [
        ("com", None),
        ("example.com", Some("example.com")),
        ("www.example.com", Some("example.com")),
        ("example", None),
        ("example.example", Some("example.example")),
        ("b.example.example", Some("example.example")),
        ("a.b.example.example", Some("example.example")),
        ("biz", None),
        ("domain.biz", Some("domain.biz")),
        ("b.domain.biz", Some("domain.biz")),
        ("a.b.domain.biz", Some("domain.biz")),
        ("b.example.com", Some("example.com")),
        ("a.b.example.com", Some("example.com")),
        ("uk.com", None),
        ("example.uk.com", Some("example.uk.com")),
        ("b.example.uk.com", Some("example.uk.com")),
        ("a.b.example.uk.com", Some("example.uk.com")),
        ("test.ac", Some("test.ac")),
        ("mm", None),
        ("c.mm", None),
        ("b.c.mm", Some("b.c.mm")),
        ("a.b.c.mm", Some("b.c.mm")),
        ("jp", None),
        ("test.jp", Some("test.jp")),
        ("www.test.jp", Some("test.jp")),
        ("ac.jp", None),
        ("test.ac.jp", Some("test.ac.jp")),
        ("www.test.ac.jp", Some("test.ac.jp")),
        ("kyoto.jp", None),
        ("test.kyoto.jp", Some("test.kyoto.jp")),
        ("ide.kyoto.jp", None),
        ("b.ide.kyoto.jp", Some("b.ide.kyoto.jp")),
        ("a.b.ide.kyoto.jp", Some("b.ide.kyoto.jp")),
        ("c.kobe.jp", None),
        ("b.c.kobe.jp", Some("b.c.kobe.jp")),
        ("a.b.c.kobe.jp", Some("b.c.kobe.jp")),
        ("city.kobe.jp", Some("city.kobe.jp")),
        ("www.city.kobe.jp", Some("city.kobe.jp")),
        ("ck", None),
        ("test.ck", None),
        ("b.test.ck", Some("b.test.ck")),
        ("a.b.test.ck", Some("b.test.ck")),
        ("www.ck", Some("www.ck")),
        ("www.www.ck", Some("www.ck")),
        ("us", None),
        ("test.us", Some("test.us")),
        ("www.test.us", Some("test.us")),
        ("ak.us", None),
        ("test.ak.us", Some("test.ak.us")),
        ("www.test.ak.us", Some("test.ak.us")),
        ("k12.ak.us", None),
        ("test.k12.ak.us", Some("test.k12.ak.us")),
        ("www.test.k12.ak.us", Some("test.k12.ak.us")),
        ("食狮.com.cn", Some("食狮.com.cn")),
        ("食狮.公司.cn", Some("食狮.公司.cn")),
        ("www.食狮.公司.cn", Some("食狮.公司.cn")),
        ("公司.cn", None),
        ("食狮.中国", Some("食狮.中国")),
        ("中国", None),
        ("xn--85x722f.com.cn", Some("xn--85x722f.com.cn")),
        ("xn--85x722f.xn--55qx5d.cn", Some("xn--85x722f.xn--55qx5d.cn")),
        ("www.xn--85x722f.xn--55qx5d.cn", Some("xn--85x722f.xn--55qx5d.cn")),
        ("shishi.xn--55qx5d.cn", Some("shishi.xn--55qx5d.cn")),
        ("xn--55qx5d.cn", None),
        ("xn--85x722f.xn--fiqs8s", Some("xn--85x722f.xn--fiqs8s")),
        ("xn--fiqs8s", None),
    ];

    pub(in crate::knowledge) fn list() -> SuffixList {
        SuffixList::parse(RULES.as_bytes()).unwrap()
    }

    #[test]
    fn private_suffixes_count_only_where_they_are_asked_for() {
        let list = list();
        for (name, icann, private) in [
            ("www.foo.github.io", "io", "github.io"),
            ("a.example.uk.com", "com", "uk.com"),
            ("x.y.compute.example", "example", "y.compute.example"),
            ("compute.example", "example", "example"),
        ] {
            assert_eq!(list.suffix_length(name.as_bytes(), false), Some(icann.len()), "{name}");
            assert_eq!(list.suffix_length(name.as_bytes(), true), Some(private.len()), "{name}");
        }
    }

    #[test]
    fn a_list_says_its_edition_and_anything_else_is_none() {
        assert_eq!(list().version(), "2026-11-20_09-00-00_UTC");
        for text in ["", "com\norg\n", "// ===BEGIN ICANN DOMAINS===\n", "<html>not found</html>"] {
            assert!(SuffixList::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_list_that_was_cut_off_is_refused_wherever_that_was() {
        let whole = RULES.trim_end();
        for cut in (0..=whole.len()).filter(|cut| whole.is_char_boundary(*cut)) {
            let part = &whole[..cut];
            // Between its parts it is a list with the first part only, as some are.
            let has = |sign: &str| part.contains(sign);
            let is_whole = has("===END ICANN DOMAINS===")
                && (has("===END PRIVATE DOMAINS===") || !has("===BEGIN PRIVATE DOMAINS==="));
            assert_eq!(SuffixList::parse(part.as_bytes()).is_ok(), is_whole, "{part}");
        }
        let within = whole.find("*.kobe.jp").unwrap();
        let error = SuffixList::parse(&whole.as_bytes()[..within]).err().unwrap().to_string();
        assert!(error.contains("cut off") && error.contains("ICANN"), "{error}");
    }

    #[test]
    fn what_is_no_file_is_refused_at_once() {
        for (path, why) in [("/dev/zero", "no file"), ("/", "folder")] {
            let error = SuffixList::load(Path::new(path)).err().unwrap().to_string();
            assert!(error.contains(why), "{path}: {error}");
        }
    }
}
