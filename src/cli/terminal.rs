//! Text that is safe to show: names in certificates and logs are chosen by attackers, and a terminal obeys some characters.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write as _};

/// Messages of our own, which may have several lines: paths and log content in them may hold control characters.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c != '\n' && obeyed(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Text of others on one line: what a terminal obeys, or what hides or reorders its neighbours, is written out.
pub(super) fn one_line(text: &str) -> Cow<'_, str> {
    if !text.chars().any(obeyed) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if obeyed(character) {
            // Writing to memory does not fail.
            let _ = write!(out, "\\u{{{:x}}}", u32::from(character));
        } else {
            out.push(character);
        }
    }
    Cow::Owned(out)
}

/// JSON with the same characters escaped: they can stand in its strings only.
pub(super) fn json_line(json: &str) -> Cow<'_, str> {
    if !json.chars().any(obeyed) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 16);
    for character in json.chars() {
        if obeyed(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(character);
        }
    }
    Cow::Owned(out)
}

/// Writes to standard output. A reader that has gone has what it wanted.
pub(super) fn write_stdout(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Whether a character does something instead of being seen: controls, and format characters such as those that turn the
/// direction of writing.
fn obeyed(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_written_out_and_the_rest_left_alone() {
        assert_eq!(one_line("a\u{1b}[31m\nb\u{202e}c\u{9b}"), "a\\u{1b}[31m\\u{a}b\\u{202e}c\\u{9b}");
        assert_eq!(one_line("København <script>\\n"), "København <script>\\n");
        assert_eq!(printable("one\ntwo\u{1b}\u{202e}"), "one\ntwo\u{fffd}\u{fffd}");
    }

    #[test]
    fn escaped_json_says_the_same() {
        let text = "x\u{7f}\u{202e}\u{e0041}é";
        let json = serde_json::to_string(text).unwrap();
        let escaped = json_line(&json);
        assert!(!escaped.chars().any(obeyed), "{escaped}");
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), text);
    }
}
