//! The text of a rule: header, options, and which of them may be ignored.

use super::buffer::Buffer;
use super::check::{BufferTest, Check, Content, parse_pcre};
use super::set::{Revision, Rule};
use super::standing_of;
use crate::knowledge::feeds::{MatchKind, Standing, when};
use crate::model::EventTime;

/// Actions that say that something is wrong. `pass` says the opposite and is not taken.
pub(super) const ACTIONS: [&str; 8] =
    ["alert", "drop", "reject", "rejectsrc", "rejectdst", "rejectboth", "sdrop", "pass"];

/// Why a rule is not taken.
pub(super) enum Unusable {
    /// It is no rule.
    Bad(&'static str),
    /// It asks for something that certsift cannot tell.
    Unsupported { revision: Option<Revision>, keyword: String },
}

/// Keywords that say nothing on the session: how the rule is named, how often it may alert, what is kept, in which
/// direction and at which moment of the session it is tried. Without them it matches the same sessions.
pub(super) const IGNORED: [&str; 15] = [
    "fast_pattern",
    "flow",
    "gid",
    "logto",
    "prefilter",
    "priority",
    "reference",
    "requires",
    "rev",
    "ssl_state",
    "tag",
    "target",
    "threshold",
    "tls.store",
    "tls_store",
];

/// Protocols whose rules can look at TLS.
const PROTOCOLS: [&str; 5] = ["tls", "ssl", "tcp", "ip", "quic"];
/// Addresses that stand for everybody outside or inside.
const ANYWHERE: [&str; 3] = ["any", "$EXTERNAL_NET", "$HOME_NET"];
/// Options of a rule that are read.
const MAX_OPTIONS: usize = 256;

/// What is gathered from the options.
#[derive(Default)]
struct Gathered<'a> {
    message: &'a str,
    class: Option<&'a str>,
    is_informative: bool,
    listed: Option<EventTime>,
    tests: Vec<BufferTest>,
    /// Whether the last buffer keyword began a test that conditions belong to.
    in_buffer: bool,
}

/// Reads a rule.
pub(super) fn parse(number: u32, line: &str) -> Result<Rule, Unusable> {
    let bad = Unusable::Bad("it is no rule");
    let Some((header, options)) =
        line.split_once('(').and_then(|(header, rest)| Some((header, rest.strip_suffix(')')?)))
    else {
        return Err(bad);
    };
    let options = split_options(options).ok_or(Unusable::Bad("its options cannot be told apart"))?;
    let number_of = |wanted: &str| {
        options.iter().find(|(keyword, _)| *keyword == wanted).and_then(|(_, value)| value.parse::<u64>().ok())
    };
    let sid = number_of("sid");
    // What Suricata takes where nothing is said.
    let (gid, number_of_revision) = (number_of("gid").unwrap_or(1), number_of("rev").unwrap_or(0));
    let revision = sid.map(|sid| Revision { gid, sid, number: number_of_revision });
    let unsupported = |keyword: &str| Unusable::Unsupported { revision, keyword: keyword.to_owned() };
    let mut gathered = Gathered::default();
    for &(keyword, value) in &options {
        gathered.take(keyword, value).map_err(|()| unsupported(keyword))?;
    }
    if gathered.tests.is_empty() {
        return Err(unsupported("nothing on certificates or server names"));
    }
    if gathered.tests.iter().any(|test| test.checks.is_empty()) {
        return Err(unsupported("a buffer without a condition"));
    }
    let asks_for_name = gathered.tests.iter().any(|test| test.buffer == Buffer::ServerName);
    let port = parse_header(header, asks_for_name).map_err(unsupported)?;
    gathered.tests.iter_mut().for_each(BufferTest::find_serial);
    let is_fingerprint = |test: &BufferTest| test.whole_fingerprint().is_some();
    let is_serial = |test: &BufferTest| test.whole_serial().is_some();
    let kind = if gathered.tests.iter().any(is_fingerprint) {
        MatchKind::Sha1
    } else if gathered.tests.iter().any(is_serial) {
        let with_issuer = gathered.tests.iter().any(|test| test.buffer == Buffer::Issuer);
        if with_issuer { MatchKind::SerialIssuer } else { MatchKind::Serial }
    } else {
        MatchKind::Rule
    };
    Ok(Rule {
        feed: 0,
        row: number,
        revision,
        label: label_of(gathered.message).into(),
        kind,
        standing: gathered.standing(),
        listed: gathered.listed,
        port,
        tests: gathered.tests,
    })
}

impl<'a> Gathered<'a> {
    fn take(&mut self, keyword: &str, value: &'a str) -> Result<(), ()> {
        match keyword {
            "msg" => self.message = quoted(value).map_or("", |(text, _)| text),
            "sid" => {}
            "classtype" => self.class = Some(value),
            "metadata" => self.take_metadata(value),
            // Setting a mark for other rules does not make this one match less or more.
            "flowbits" | "xbits" | "hostbits" | "flowint" if value.starts_with("set") => {}
            "app-layer-protocol" if matches!(value, "tls" | "ssl") => {}
            _ if IGNORED.contains(&keyword) => {}
            _ => match Buffer::of_keyword(keyword) {
                Some(buffer) => self.take_buffer(keyword, buffer, value)?,
                None => self.take_condition(keyword, value)?,
            },
        }
        Ok(())
    }

    fn take_buffer(&mut self, keyword: &str, buffer: Buffer, value: &str) -> Result<(), ()> {
        self.tests.push(BufferTest::new(buffer));
        self.in_buffer = value.is_empty();
        if !self.in_buffer {
            // The older keywords take the text at once.
            let takes_value = matches!(keyword, "tls.fingerprint" | "tls.subject" | "tls.issuerdn");
            return if takes_value { self.take_content(value) } else { Err(()) };
        }
        Ok(())
    }

    fn take_condition(&mut self, keyword: &str, value: &str) -> Result<(), ()> {
        if !self.in_buffer {
            return Err(());
        }
        match keyword {
            "content" => return self.take_content(value),
            "pcre" => {
                let (text, negated) = quoted(value).ok_or(())?;
                let check = parse_pcre(text, negated).ok_or(())?;
                self.test()?.checks.push(check);
            }
            "bsize" => {
                let (least, most) = parse_size(value).ok_or(())?;
                self.test()?.checks.push(Check::Size { least, most });
            }
            "isdataat" => {
                let check = parse_data_at(value).ok_or(())?;
                self.test()?.checks.push(check);
            }
            "dotprefix" => self.test()?.dot_prefix = true,
            "to_lowercase" => self.test()?.lower = true,
            "nocase" => {
                let content = self.content()?;
                content.bytes.make_ascii_lowercase();
                content.nocase = true;
            }
            "startswith" => {
                let content = self.content()?;
                content.depth = Some(content.bytes.len());
            }
            "endswith" => self.content()?.ends = true,
            "offset" => self.content()?.offset = value.parse().map_err(|_| ())?,
            "depth" => self.content()?.depth = Some(value.parse().map_err(|_| ())?),
            "within" => self.content()?.within = Some(value.parse().map_err(|_| ())?),
            "distance" => self.content()?.distance = Some(value.parse::<i32>().map_err(|_| ())?.into()),
            _ => return Err(()),
        }
        Ok(())
    }

    fn take_content(&mut self, value: &str) -> Result<(), ()> {
        let (text, negated) = quoted(value).ok_or(())?;
        let test = self.test()?;
        let mut bytes = Content::parse(text).ok_or(())?;
        if matches!(test.buffer, Buffer::Subject | Buffer::Issuer) {
            bytes = with_commas(bytes);
        }
        if test.buffer == Buffer::Fingerprint {
            bytes.make_ascii_lowercase();
        }
        test.checks.push(Check::Content(Content { bytes, negated, ..Content::default() }));
        Ok(())
    }

    fn take_metadata(&mut self, value: &str) {
        for pair in value.split(',') {
            match pair.trim().split_once([' ', ':']) {
                Some(("signature_severity", severity)) if severity.trim().eq_ignore_ascii_case("informational") => {
                    self.is_informative = true;
                }
                Some(("created_at", day)) => self.listed = when::parse(&day.trim().replace('_', "-")),
                _ => {}
            }
        }
    }

    fn standing(&self) -> Standing {
        standing_of(self.class, self.is_informative)
    }

    fn test(&mut self) -> Result<&mut BufferTest, ()> {
        self.tests.last_mut().ok_or(())
    }

    fn content(&mut self) -> Result<&mut Content, ()> {
        match self.test()?.checks.last_mut() {
            Some(Check::Content(content)) => Ok(content),
            _ => Err(()),
        }
    }
}

/// The port of the server, where the rule names one. What cannot be honoured is an error.
fn parse_header(header: &str, asks_for_name: bool) -> Result<Option<u16>, &'static str> {
    let parts: Vec<&str> = header.split_whitespace().collect();
    let [action, protocol, from, from_port, _, to, to_port] = parts[..] else { return Err("a header with lists") };
    if action == "pass" {
        return Err("pass");
    }
    if !PROTOCOLS.contains(&protocol) {
        return Err("a protocol other than TLS");
    }
    if !ANYWHERE.contains(&from) || !ANYWHERE.contains(&to) {
        return Err("addresses in the header");
    }
    // Names go to the server, certificates come from it.
    let (server, client) = if asks_for_name { (to_port, from_port) } else { (from_port, to_port) };
    match (server, client) {
        ("any", "any") => Ok(None),
        (port, "any") => port.parse().map(Some).map_err(|_| "ports in the header"),
        // Many rules on certificates are written from the client's side.
        ("any", port) => port.parse().map(Some).map_err(|_| "ports in the header"),
        _ => Err("ports in the header"),
    }
}

/// Keywords and values. A semicolon inside quotes, or escaped, ends nothing.
fn split_options(text: &str) -> Option<Vec<(&str, &str)>> {
    let mut options = Vec::new();
    let (mut start, mut in_quotes, mut escaped) = (0, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_quotes = !in_quotes,
            b';' if !in_quotes => {
                let option = text.get(start..at)?.trim();
                let (keyword, value) = option.split_once(':').unwrap_or((option, ""));
                options.push((keyword.trim(), value.trim()));
                start = at + 1;
            }
            _ => {}
        }
        if options.len() > MAX_OPTIONS {
            return None;
        }
    }
    (!in_quotes && text.get(start..)?.trim().is_empty()).then_some(options)
}

/// What stands between quotes, and whether a `!` stands before them.
fn quoted(value: &str) -> Option<(&str, bool)> {
    let (value, negated) = match value.strip_prefix('!') {
        Some(rest) => (rest.trim_start(), true),
        None => (value, false),
    };
    Some((value.strip_prefix('"')?.strip_suffix('"')?, negated))
}

/// `12`, `<12`, `>12`, `<=12`, `>=12` or `8<>12`, which leaves both out.
fn parse_size(value: &str) -> Option<(usize, usize)> {
    let number = |text: &str| text.trim().parse::<usize>().ok();
    if let Some((least, most)) = value.split_once("<>") {
        return Some((number(least)?.checked_add(1)?, number(most)?.checked_sub(1)?));
    }
    if let Some(most) = value.strip_prefix("<=") {
        return Some((0, number(most)?));
    }
    if let Some(least) = value.strip_prefix(">=") {
        return Some((number(least)?, usize::MAX));
    }
    if let Some(most) = value.strip_prefix('<') {
        return Some((0, number(most)?.checked_sub(1)?));
    }
    if let Some(least) = value.strip_prefix('>') {
        return Some((number(least)?.checked_add(1)?, usize::MAX));
    }
    number(value.trim_start_matches('=')).map(|size| (size, size))
}

/// `!1,relative`.
fn parse_data_at(value: &str) -> Option<Check> {
    let (value, negated) = match value.strip_prefix('!') {
        Some(rest) => (rest, true),
        None => (value, false),
    };
    let mut parts = value.split(',').map(str::trim);
    let bytes = parts.next()?.parse().ok()?;
    let relative = match parts.next() {
        None => false,
        Some("relative") => true,
        Some(_) => return None,
    };
    parts.next().is_none().then_some(Check::DataAt { bytes, relative, negated })
}

/// Suricata before 6.0 put `/` between attributes behind the common name; later versions and certsift put `, `.
fn with_commas(bytes: Vec<u8>) -> Vec<u8> {
    const TYPES: [&str; 8] = ["C", "ST", "L", "O", "OU", "CN", "emailAddress", "DC"];
    let Ok(text) = std::str::from_utf8(&bytes) else { return bytes };
    let mut text = text.to_owned();
    for kind in TYPES {
        text = text.replace(&format!("/{kind}="), &format!(", {kind}="));
    }
    text.into_bytes()
}

/// What a rule calls what it finds: of SSLBL the family, which its message has in the last parentheses.
fn label_of(message: &str) -> String {
    let message = message.replace('\\', "");
    let family = message.strip_suffix(')').and_then(|rest| rest.rsplit_once('(')).map(|(_, family)| family);
    match family {
        Some(family) if message.starts_with("SSLBL") => family.to_owned(),
        _ => message,
    }
}
