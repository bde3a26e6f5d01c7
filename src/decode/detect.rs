//! What an input is, by its content.

use std::sync::Arc;

use super::json;
use super::scan::walk_object;
use super::zeek_fields::{ZeekFieldSet, log_of_path};
use super::zeek_tsv::TsvHeader;
use crate::model::Log;

/// How the lines of an input are to be read.
#[derive(Clone, Debug)]
pub enum Format {
    /// Zeek's tab-separated form, with the header in force.
    ZeekTsv(Arc<TsvHeader>),
    /// Zeek's JSON; the log that lines belong to unless they say otherwise.
    ZeekJson(Log),
    /// Suricata's EVE JSON.
    Eve,
    /// None of these.
    Unknown,
}

/// What the head of an input shows.
#[derive(Clone, Debug)]
pub enum Detected {
    /// The format is known.
    Format(Format),
    /// Nothing but blank or header lines so far: there may be more to come.
    Undecided,
    /// No line of the head belongs to a log that certsift knows.
    NotALog,
}

impl Format {
    /// The log that lines belong to unless they say otherwise.
    pub fn log(&self) -> Log {
        match self {
            Self::ZeekTsv(header) => header.log(),
            Self::ZeekJson(log) => *log,
            Self::Eve => Log::SuricataOther,
            Self::Unknown => Log::Unknown,
        }
    }

    /// The header of a tab-separated log.
    pub(super) fn header(&self) -> Option<&TsvHeader> {
        match self {
            Self::ZeekTsv(header) => Some(header),
            _ => None,
        }
    }
}

/// Looks at the first bytes of an input, decompressed. `name` is its file name, which decides only between Zeek logs
/// whose fields fit several.
pub fn detect(head: &[u8], name: &str) -> Detected {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let marked = head.trim_ascii_start();
    let head = if marked.starts_with(b"#") { marked } else { head };
    if head.starts_with(b"#") {
        return match TsvHeader::parse_head(head, name) {
            Some(header) => Detected::Format(Format::ZeekTsv(Arc::new(header))),
            None if whole_lines(head).all(|line| line.starts_with(b"#")) => Detected::Undecided,
            None => Detected::NotALog,
        };
    }
    let mut seen_line = false;
    for line in whole_lines(head) {
        let Ok(text) = std::str::from_utf8(line) else {
            seen_line = true;
            continue;
        };
        let text = text.trim();
        if text.is_empty() {
            continue;
        }
        if !seen_line && let Some(header) = TsvHeader::parse_bare(text, name) {
            return Detected::Format(Format::ZeekTsv(Arc::new(header)));
        }
        seen_line = true;
        if let Some(format) = json_format(text, name) {
            return Detected::Format(format);
        }
    }
    if seen_line {
        return Detected::NotALog;
    }
    // Nothing but blank lines before a line without an end, which may be all there is or may be cut.
    let rest = memchr::memrchr(b'\n', head).map_or(head, |end| &head[end + 1..]);
    let format = std::str::from_utf8(rest).ok().and_then(|text| json_format(text.trim(), name));
    format.map_or(Detected::Undecided, Detected::Format)
}

/// The lines of the head; the last one, which may be cut, only when there is no other.
fn whole_lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let whole = match memchr::memrchr(b'\n', head) {
        Some(end) => &head[..=end],
        None => head,
    };
    whole.split(|&byte| byte == b'\n').filter(|line| !line.is_empty())
}

fn json_format(text: &str, name: &str) -> Option<Format> {
    let text = json::object_text(text);
    let mut fields = ZeekFieldSet::default();
    let (mut timestamp, mut event_type) = (false, false);
    let mut path = None;
    walk_object(text, |key, raw| {
        fields.note(key, raw);
        timestamp |= key == "timestamp";
        event_type |= key == "event_type";
        if matches!(key, "_path" | "@stream") {
            path = json::string(raw).map(|path| log_of_path(&path));
        }
    })?;
    if timestamp && event_type {
        return Some(Format::Eve);
    }
    if let Some(log) = path {
        return Some(Format::ZeekJson(log));
    }
    fields.log(name).map(Format::ZeekJson)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_of(head: &str, name: &str) -> Option<Log> {
        match detect(head.as_bytes(), name) {
            Detected::Format(format) => Some(format.log()),
            _ => None,
        }
    }

    #[test]
    fn each_format_is_found_from_its_content() {
        let ssl =
            r#"{"ts":1.5,"uid":"C1","id.orig_h":"10.0.0.1","id.resp_h":"10.0.0.2","resumed":false,"established":true}"#;
        assert_eq!(log_of(ssl, "anything.txt"), Some(Log::ZeekSsl));
        let joined = r#"{"ts":1.5,"id_orig_h":"10.0.0.1","cipher":"x","established":true}"#;
        assert_eq!(log_of(joined, ""), Some(Log::ZeekSsl));
        let nested = r#"{"ts":1.5,"fingerprint":"ab","certificate":{"serial":"01","subject":"CN=x"}}"#;
        assert_eq!(log_of(nested, ""), Some(Log::ZeekX509));
        let eve = r#"@cee: {"timestamp":"2023-02-19T23:57:56.647372+0000","event_type":"dns"}"#;
        assert_eq!(log_of(eve, ""), Some(Log::SuricataOther));
        assert_eq!(log_of(r#"{"_path":"conn","ts":1}"#, ""), Some(Log::ZeekOther));
        let repeated = r#"{"timestamp":"x","timestamp":"2023-02-19T23:57:56.647372+0000","event_type":"dns"}"#;
        assert_eq!(log_of(repeated, ""), Some(Log::SuricataOther));
        assert_eq!(log_of(r#"{"timestamp":"x","timestamp":"y"}"#, ""), None);
        assert_eq!(log_of("\u{feff}{\"_path\":\"ssl\",\"ts\":1}", ""), Some(Log::ZeekSsl));
        assert_eq!(log_of("\r\n\n#separator \\x09\n#path\tx509\n#fields\tts\tid\n", ""), Some(Log::ZeekX509));
        assert_eq!(log_of("#separator \\x09\n#path\tx509\n#fields\tts\tid\n", ""), Some(Log::ZeekX509));
    }

    #[test]
    fn a_broken_first_line_does_not_hide_the_format() {
        assert_eq!(log_of("{\"ts\":1.5,\"ui\n{\"_path\":\"ssl\",\"ts\":1}\n", ""), Some(Log::ZeekSsl));
    }

    #[test]
    fn what_is_no_log_is_said_to_be_none() {
        assert!(matches!(detect(b"[knowledge]\nfeeds = []\n", "certsift.toml"), Detected::NotALog));
        assert!(matches!(detect(b"domain,registered\na.example,2026-01-01\n", "x.csv"), Detected::NotALog));
        assert!(matches!(detect(b"", "ssl.log"), Detected::Undecided));
        assert!(matches!(detect(b"\n{\"_path\":\"ssl\"", "ssl.log"), Detected::Undecided));
        assert_eq!(log_of("\n\n{\"_path\":\"ssl\"}", ""), Some(Log::ZeekSsl));
        assert!(matches!(detect(b"{\"key\":1}\n", "x.json"), Detected::NotALog));
    }
}
