//! Rows of CSV, and headers wherever they stand.

use std::borrow::Cow;

/// Columns of a row that are looked at; what follows is ignored.
const MAX_COLUMNS: usize = 64;

/// What may stand between columns.
pub(super) const SEPARATORS: [char; 3] = [',', ';', '\t'];

/// The columns of a row: quoted or not, blanks around them taken off, also where one stands between a comma and a quote.
pub(super) fn split(line: &str) -> Vec<Cow<'_, str>> {
    split_at(line, ',')
}

/// The same with another separator.
pub(super) fn split_at(line: &str, separator: char) -> Vec<Cow<'_, str>> {
    let mut columns = Vec::new();
    let mut rest = Some(line);
    while let Some(text) = rest.filter(|_| columns.len() < MAX_COLUMNS) {
        let text = text.trim_start_matches(|c: char| c.is_whitespace() && c != separator);
        let (column, next) = match text.strip_prefix('"') {
            Some(quoted) => quoted_column(quoted, separator),
            None => match text.split_once(separator) {
                Some((column, next)) => (Cow::Borrowed(column.trim_end()), Some(next)),
                None => (Cow::Borrowed(text.trim_end()), None),
            },
        };
        columns.push(column);
        rest = next;
    }
    columns
}

/// A column's name in lower case and without anything but letters and digits, so that `First Seen` is `first_seen`.
pub(super) fn folded(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// What stands behind an opening quote, up to the closing one; two of them are one. What follows up to the next comma
/// belongs to nothing.
fn quoted_column(text: &str, separator: char) -> (Cow<'_, str>, Option<&str>) {
    let mut doubled = false;
    let mut from = 0;
    let end = loop {
        match text[from..].find('"') {
            None => break text.len(),
            Some(at) if text[from + at + 1..].starts_with('"') => {
                doubled = true;
                from += at + 2;
            }
            Some(at) => break from + at,
        }
    };
    let value = &text[..end];
    let value = if doubled { Cow::Owned(value.replace("\"\"", "\"")) } else { Cow::Borrowed(value) };
    (value, text[end..].split_once(separator).map(|(_, next)| next))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rows_are_split_with_and_without_quotes() {
        assert_eq!(split("a, b ,c"), ["a", "b", "c"]);
        assert_eq!(
            split(r#""2026-07-04 22:19:04", "18", "a,b", "say ""no""", """#),
            ["2026-07-04 22:19:04", "18", "a,b", "say \"no\"", ""]
        );
        assert_eq!(split("a,,"), ["a", "", ""]);
        assert_eq!(split(r#""a"x,b"#), ["a", "b"]);
        assert_eq!(split_at("a; \"b;c\" ;;d, e", ';'), ["a", "b;c", "", "d, e"]);
        assert_eq!(split_at("a\t\tb", '\t'), ["a", "", "b"]);
        assert_eq!(split(""), [""]);
        assert_eq!(folded(" \"First_Seen UTC\""), "firstseenutc");
    }

    proptest! {
        #[test]
        fn any_line_is_split_without_a_panic(line in "\\PC{0,80}|[\", a]{0,40}") {
            prop_assert!(split(&line).len() <= MAX_COLUMNS);
        }
    }
}
