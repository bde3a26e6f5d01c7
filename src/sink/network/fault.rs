//! Why lines were not taken.

use std::fmt;
use std::time::Duration;

/// What kept a request from being taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Fault {
    pub(super) kind: FaultKind,
    text: String,
    /// When the server wants to be asked again, if it says so.
    pub(super) retry_after: Option<Duration>,
}

/// Who has to do something about it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum FaultKind {
    /// There is nobody: the request was not sent.
    Unreachable,
    /// Nobody vouches for the server, which was told nothing.
    Untrusted,
    /// The server does not want certsift, or not so: a person has to mend that.
    Refused,
    /// The server has too much to do.
    Busy,
    /// The server did not come to an answer, or to one that makes sense.
    Broken,
}

/// What is shown of what a server says.
const MAX_SHOWN: usize = 300;

impl FaultKind {
    /// Whether trying again helps only once somebody has mended something.
    pub(super) fn needs_a_person(self) -> bool {
        matches!(self, Self::Untrusted | Self::Refused)
    }
}

impl Fault {
    pub(super) fn new(kind: FaultKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), retry_after: None }
    }

    pub(super) fn after(self, retry_after: Option<Duration>) -> Self {
        Self { retry_after, ..self }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The beginning of what a server says, on one line and without what a terminal would obey.
pub(super) fn shown(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(&text[..text.len().min(4 * MAX_SHOWN)]);
    let mut shown: String = text.trim().chars().take(MAX_SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.trim().chars().nth(MAX_SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_short_and_harmless() {
        let said = shown(format!(" \u{1b}[2Jred\n{}", "é".repeat(10_000)).as_bytes());
        assert!(said.starts_with("[2Jred é") || said.contains("[2Jred"), "{said}");
        assert!(!said.chars().any(char::is_control) && said.chars().count() <= MAX_SHOWN + 1, "{said}");
        assert_eq!(shown(b"\xff{}"), "\u{fffd}{}");
    }
}
