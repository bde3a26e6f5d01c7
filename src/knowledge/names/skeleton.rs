//! What a name looks like: punycode decoded, and characters that are mistaken for each other made one.

use std::borrow::Cow;

use unicode_security::confusable_detection::skeleton as unicode_skeleton;

/// A name whose labels in punycode are decoded (RFC 5891); `None` where it has none, or where they do not decode.
pub fn decoded(name: &str) -> Option<String> {
    let has_punycode =
        name.split('.').any(|label| label.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("xn--")));
    if !has_punycode {
        return None;
    }
    let (decoded, _) = idna::domain_to_unicode(name);
    (decoded != name && !decoded.contains(char::REPLACEMENT_CHARACTER)).then_some(decoded)
}

/// The one form in which names are compared, however they are written: punycode decoded, and letters that are no ASCII as
/// UTS 46 maps them. A name that is none stays as it is.
pub(crate) fn readable(name: &str) -> Cow<'_, str> {
    if name.is_ascii() {
        return decoded(name).map_or(Cow::Borrowed(name), Cow::Owned);
    }
    let (mapped, outcome) = idna::domain_to_unicode(name);
    if outcome.is_ok() { Cow::Owned(mapped) } else { Cow::Borrowed(name) }
}

/// What a label looks like: its letters and digits in lower case, with characters that Unicode calls confusable (UTS 39),
/// and those that are mistaken for each other in names, made one.
pub(crate) fn skeleton(label: &str) -> String {
    let mut out = String::with_capacity(label.len());
    // ASCII is its own prototype but for the few that are folded below in any case.
    match label.is_ascii() {
        true => label.chars().for_each(|character| push_folded(character, &mut out)),
        false => unicode_skeleton(label).for_each(|character| push_folded(character, &mut out)),
    }
    out
}

fn push_folded(character: char, out: &mut String) {
    let folded = match character {
        '0' => 'o',
        '1' | 'i' | 'I' | '|' => 'l',
        '3' => 'e',
        '5' => 's',
        other if other.is_alphanumeric() => other,
        _ => return,
    };
    match folded.is_ascii() {
        true => push_joined(folded.to_ascii_lowercase(), out),
        false => folded.to_lowercase().for_each(|character| push_joined(character, out)),
    }
}

/// Adds a character, which makes one with the last where both together are mistaken for it.
fn push_joined(character: char, out: &mut String) {
    let joined = match (out.as_bytes().last(), character) {
        (Some(b'r'), 'n') => 'm',
        (Some(b'v'), 'v') => 'w',
        _ => return out.push(character),
    };
    out.pop();
    out.push(joined);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mistaken_for_each_other_has_one_skeleton() {
        assert_eq!(skeleton("rivert0n-library"), skeleton("Riverton Library"));
        assert_eq!(skeleton("rnicrosoft"), skeleton("microsoft"));
        // Cyrillic а and р, a dotless i, letters with marks, full width.
        for imitation in ["p\u{430}ypal", "\u{440}aypal", "paypa1", "p\u{e1}ypal", "\u{ff50}aypal"] {
            assert_eq!(skeleton(imitation), skeleton("paypal"), "{imitation}");
        }
        assert_ne!(skeleton("paypals"), skeleton("paypal"));
    }

    #[test]
    fn two_letters_that_look_like_one_are_one_from_left_to_right() {
        for (label, expected) in
            [("rrnn", "rmn"), ("vvvv-v", "wwv"), ("r-nv0v", "mvov"), ("RNVV", "mw"), ("rvvn", "rwn")]
        {
            assert_eq!(skeleton(label), expected);
        }
    }

    #[test]
    fn a_name_has_one_form_however_it_is_written() {
        for name in ["xn--bcher-kva.example", "b\u{fc}cher.example", "bu\u{308}cher.example", "B\u{dc}CHER.example"] {
            assert_eq!(readable(name), "b\u{fc}cher.example", "{name}");
        }
        for name in ["bucher.example", "", "xn--", "\u{fffd}.example"] {
            assert_eq!(readable(name), name);
        }
    }

    #[test]
    fn punycode_is_decoded_and_anything_else_left_alone() {
        assert_eq!(decoded("xn--pypal-4ve.example").as_deref(), Some("p\u{430}ypal.example"));
        assert_eq!(decoded("XN--PYPAL-4VE.example").as_deref(), Some("p\u{430}ypal.example"));
        for name in ["paypal.example", "xn--", "xn--\u{7f}.example", "", "axn--pypal-4ve.example"] {
            assert_eq!(decoded(name), None, "{name}");
        }
    }
}
