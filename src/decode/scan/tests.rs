use super::*;
use proptest::prelude::*;
use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

type Pairs = Vec<(String, String)>;

fn walked(text: &str) -> Option<Pairs> {
    let mut found = Vec::new();
    let keys = walk_object(text, |key, raw| found.push((key.to_owned(), raw.to_owned())))?;
    assert_eq!(keys, found.len());
    Some(found)
}

/// The JSON library's own walk.
fn by_library(text: &str) -> Option<Pairs> {
    struct Object;
    impl<'de> Visitor<'de> for Object {
        type Value = Pairs;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
            let mut found = Vec::new();
            while let Some(key) = map.next_key::<&'de RawValue>()? {
                let value: &'de RawValue = map.next_value()?;
                let key = serde_json::from_str::<String>(key.get()).unwrap_or_default();
                found.push((key, value.get().to_owned()));
            }
            Ok(found)
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let found = deserializer.deserialize_map(Object).ok()?;
    deserializer.end().ok()?;
    Some(found)
}

/// Objects under the key `a` are walked into.
#[derive(Default)]
struct Both(Pairs, Pairs);

impl<'a> Members<'a> for Both {
    fn enters(&mut self, key: &str) -> bool {
        if key == "a" {
            self.1.clear();
        }
        key == "a"
    }

    fn take(&mut self, key: &str, raw: &'a str) {
        self.0.push((key.to_owned(), raw.to_owned()));
    }

    fn take_inner(&mut self, key: &str, raw: &'a str) {
        self.1.push((key.to_owned(), raw.to_owned()));
    }
}

/// As by one walk after the other.
fn assert_same_in_one_pass(text: &str) {
    let mut both = Both::default();
    let keys = walk_into(text, &mut both);
    let outer = walked(text);
    assert_eq!(keys, outer.as_ref().map(Vec::len), "{text}");
    let Some(outer) = outer else { return };
    let inner = outer.iter().rev().find(|(key, raw)| key == "a" && raw.starts_with('{'));
    let inner = inner.map(|(_, raw)| walked(raw).expect("it is an object"));
    assert_eq!((both.0, both.1), (outer, inner.unwrap_or_default()), "{text}");
}

fn elements(text: &str) -> Option<Vec<&str>> {
    let mut found = Vec::new();
    walk_array(text, |element| found.push(element.text)).map(|()| found)
}

fn elements_by_library(text: &str) -> Option<Vec<&str>> {
    let found = serde_json::from_str::<Vec<&RawValue>>(text).ok()?;
    Some(found.into_iter().map(RawValue::get).collect())
}

const SAMPLES: [&str; 3] = [
    include_str!("../../../sample_logs/zeek-json/json_streaming_ssl.log"),
    include_str!("../../../sample_logs/zeek-json/json_streaming_x509.log"),
    include_str!("../../../sample_logs/suricata/eve.json"),
];

fn sample_lines() -> Vec<&'static str> {
    SAMPLES.iter().flat_map(|text| text.lines()).collect()
}

/// Text that is nearly JSON: what its grammar is made of, in any order.
fn nearly_json() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\"a\"",
        "\"\\u00e9\"",
        "\"\\ud800\"",
        "\"\\u12g4\"",
        "\"\\x\"",
        "\\",
        "\"\u{e9}\u{1f512}\"",
        "\"\u{1}\"",
        "\"\u{7f}\"",
        "\"\t\"",
        " ",
        "\t",
        "\r",
        "\n",
        "\u{b}",
        "\u{a0}",
        "0",
        "-",
        "-0",
        "01",
        "1.5",
        "1.",
        ".5",
        "1e9",
        "1E+",
        "1e-7",
        "true",
        "false",
        "null",
        "nul",
        "truefalse",
        "NaN",
        "{}",
        "[]",
        "{\"b\":",
        "\"c\":1,",
        "[1,",
        "\"long enough for several words at once, and more\"",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

#[test]
fn real_lines_are_taken_as_the_library_takes_them() {
    for line in sample_lines() {
        let found = walked(line);
        assert!(found.is_some(), "{line}");
        assert_eq!(found, by_library(line), "{line}");
    }
}

#[test]
fn what_is_odd_is_taken_or_refused_as_by_the_library() {
    let deep = |depth: usize, inner: &str| format!("{{\"a\":{}{inner}{}}}", "[".repeat(depth), "]".repeat(depth));
    let objects = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    let mut texts: Vec<String> = [
        "",
        " ",
        "{",
        "{}",
        " {\t}\r\n",
        "{ } x",
        "{}{}",
        "[]",
        "1",
        "\"a\"",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":1,,\"b\":2}",
        "{\"a\":[1,]}",
        "{\"a\":[,1]}",
        "{\"a\":[1 2]}",
        "{\"a\":{\"b\"}}",
        "{\"a\":{\"b\":1,}}",
        "{\"a\":[}",
        "{\"a\":{]}",
        "{\"a\":[1}}",
        "{\"a\":{\"b\":1]}",
        "{a:1}",
        "{'a':1}",
        "{\"a\":1e400}",
        "{\"a\":-}",
        "{\"a\":-01}",
        "{\"a\":00}",
        "{\"a\":0}",
        "{\"a\":-0.0e-0}",
        "{\"a\":1.e1}",
        "{\"a\":+1}",
        "{\"a\":1e}",
        "{\"a\":tru}",
        "{\"a\":true1}",
        "{\"a\":nullnull}",
        "{\"\":0}",
        "{\"a\":1,\"a\":2}",
        "{\"\\u0061\":1}",
        "{\"\\ud800\":1}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":\"\\u00\"}",
        "{\"a\":\"\\u00g0\"}",
        "{\"a\":\"\\",
        "{\"a\":\"\\\"}",
        "{\"a\":\"\\\\\"}",
        "{\"a\":\"\u{0}\"}",
        "{\"a\":\"\u{1f}\"}",
        "{\"a\":\"\u{7f}\"}",
        "{\"a\u{1f}\":1}",
        "{\"a\":\"\n\"}",
        "\u{feff}{}",
        "{\"a\" : [ 1 , { \"b\" : null } ] }",
    ]
    .map(str::to_owned)
    .into();
    for depth in [1, 126, 127, 128, 129, 130, 1000] {
        texts.extend([deep(depth, "1"), deep(depth, ""), deep(depth, "[1,]"), deep(depth, "\"x"), objects(depth)]);
        let unbalanced = deep(depth, "1");
        texts.extend([
            unbalanced.replacen(']', "", 1),
            unbalanced.replacen(']', "]]", 1),
            unbalanced.replacen(']', "}", 1),
        ]);
    }
    for text in texts {
        assert_eq!(walked(&text), by_library(&text), "{text}");
        assert_same_in_one_pass(&text);
    }
}

#[test]
fn deep_nesting_costs_no_stack() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!(r#"{{"a":{}1{}}}"#, open.repeat(100_000), close.repeat(100_000));
        assert_eq!(walked(&deep).unwrap().len(), 1);
    }
}

#[test]
fn a_string_ends_at_its_quote_wherever_that_is() {
    for length in 0..300 {
        for last in ["\"", "\\\"\"", "\u{1f}\"", ""] {
            let text = format!("{{\"a\":\"{}{last}}}", "\u{e9}x ".repeat(length / 4) + &"y".repeat(length % 4));
            assert_eq!(walked(&text), by_library(&text), "{text}");
        }
    }
}

/// The same through a layout, whose meanings are the keys themselves by number.
fn walked_alike(layout: &mut Layout<usize>, names: &std::cell::RefCell<Vec<String>>, text: &str) -> Option<Pairs> {
    let number = |name: &str| {
        let mut names = names.borrow_mut();
        names.push(name.to_owned());
        names.len() - 1
    };
    let mut found = Vec::new();
    let keys = walk_alike(text, layout, number, |number, raw| {
        found.push((names.borrow()[number].clone(), raw.text.to_owned()));
    })?;
    assert_eq!(keys, found.len());
    Some(found)
}

#[test]
fn keys_that_are_expected_are_not_looked_up() {
    let (mut layout, names) = (Layout::default(), std::cell::RefCell::default());
    for text in [r#"{"a":1,"c":2}"#, r#"{"a":1,"b":3,"c":2}"#, r#"{"c":2}"#, r#"{"a": 1,"b":3}"#, r#"{"b":1,"c":2}"#] {
        assert_eq!(walked_alike(&mut layout, &names, text), by_library(text), "{text}");
    }
    assert_eq!(*names.borrow(), ["a", "c", "b"]);
    // Keys that were learnt the wrong way round change places.
    let (mut layout, names) = (Layout::default(), std::cell::RefCell::default());
    for text in [r#"{"a":1,"d":2}"#, r#"{"a":1,"c":2,"d":2}"#, r#"{"a":1,"b":2,"d":2}"#, r#"{"a":1,"c":0,"b":2,"d":2}"#]
    {
        assert_eq!(walked_alike(&mut layout, &names, text), by_library(text), "{text}");
    }
    let order: Vec<_> = layout.keys.iter().map(|known| &*known.text).collect();
    assert_eq!(order, [&b"\"a\":"[..], b"\"c\":", b"\"b\":", b"\"d\":"]);
    // However many keys are left out, the next is remembered.
    let (mut layout, names) = (Layout::default(), std::cell::RefCell::default());
    let many: Vec<_> = (0..20).map(|number| format!(r#""k{number}":1"#)).collect();
    let (all, few) = (format!("{{{}}}", many.join(",")), r#"{"k0":1,"k19":1}"#);
    for text in [&all, few, few] {
        assert_eq!(walked_alike(&mut layout, &names, text), by_library(text), "{text}");
    }
    assert_eq!(layout.keys[1].instead, 19);
    let (mut layout, names) = (Layout::default(), std::cell::RefCell::default());
    let usual = r#"{"a":1,"b":2,"c":3}"#;
    assert_eq!(walked_alike(&mut layout, &names, usual), by_library(usual));
    // Keys that are written in another way are the same keys.
    let odd = r#"{"\u0061":1,"b" :2,"c":3}"#;
    assert_eq!(walked_alike(&mut layout, &names, odd), by_library(odd));
}

#[test]
fn a_layout_is_bounded_and_learns_anew() {
    let (mut layout, names) = (Layout::default(), std::cell::RefCell::default());
    for number in 0..1000 {
        let text = format!("{{\"k{number}\":1,\"{}\":2}}", "x".repeat(number));
        assert_eq!(walked_alike(&mut layout, &names, &text), by_library(&text));
        assert!(layout.keys.len() <= MAX_KEYS && layout.keys.iter().all(|known| known.text.len() <= MAX_KEY));
    }
    let usual = r#"{"a":1,"b":2}"#;
    for _ in 0..2 {
        names.borrow_mut().clear();
        layout.keys.clear();
        walked_alike(&mut layout, &names, usual);
    }
    assert_eq!(*names.borrow(), ["a", "b"]);
}

proptest! {
    #[test]
    fn what_a_layout_remembers_changes_nothing(
        texts in prop::collection::vec((prop::sample::select(sample_lines()), any::<prop::sample::Index>(), "[\"a:, {}]?"), 0..12),
    ) {
        let (mut layout, names) = (Layout::default(), std::cell::RefCell::default());
        for (line, at, put_in) in texts {
            let mut text = line.to_owned();
            let at = at.index(text.len());
            if text.is_char_boundary(at) {
                text.insert_str(at, &put_in);
            }
            prop_assert_eq!(walked_alike(&mut layout, &names, &text), by_library(&text));
        }
    }

    #[test]
    fn text_that_is_nearly_json_is_judged_as_by_the_library(text in nearly_json(), inner in any::<bool>()) {
        let text = if inner { format!("{{\"k\":{text}}}") } else { text };
        prop_assert_eq!(walked(&text), by_library(&text));
        prop_assert_eq!(elements(&text), elements_by_library(&text));
        let array = format!("[{text}]");
        prop_assert_eq!(elements(&array), elements_by_library(&array));
    }

    #[test]
    fn an_object_and_those_in_it_are_read_in_one_pass_as_in_two(text in nearly_json(), other in nearly_json()) {
        for text in [
            format!("{{\"a\":{{\"k\":{text}}}}}"),
            format!("{{\"a\": {{ \"k\" : 1, {text} }} , \"b\":{other}}}"),
            format!("{{\"a\":{{\"k\":[{text}]}},\"a\":{other},\"b\":2}}"),
        ] {
            assert_same_in_one_pass(&text);
        }
    }

    #[test]
    fn a_changed_line_is_judged_as_by_the_library(
        line in prop::sample::select(sample_lines()),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0usize..3, any::<u8>()), 1..4),
    ) {
        let mut bytes = line.as_bytes().to_vec();
        for (at, kind, byte) in changes {
            let at = at.index(bytes.len());
            // Half of what is put in means something to the grammar.
            let byte = if byte < 128 { b"\"\\{}[],:0-.eE tfn\x1f\t"[usize::from(byte) % 19] } else { byte };
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        prop_assert_eq!(walked(&text), by_library(&text));
    }

    #[test]
    fn what_is_near_is_found(bytes in prop::collection::vec(prop::sample::select(vec![0u8, 9, 8, 10, 0x7f, 0x89, 0xff]), 0..60), near in 0usize..60) {
        let bytes = [vec![b'x'; near], bytes].concat();
        for byte in [0, 9, 0x89, 0xff] {
            prop_assert_eq!(find_near(byte, &bytes), bytes.iter().position(|&other| other == byte));
        }
    }

    #[test]
    fn plain_text_is_what_needs_no_escape(text in "[a-z\u{e9}\u{1f512}\\\\\"\u{0}-\u{20}\u{7f}]{0,90}") {
        let escaped = serde_json::to_string(&text).unwrap();
        prop_assert_eq!(is_plain(&text), escaped.len() == text.len() + 2);
        let array = format!("[{escaped}, 1]");
        walk_array(&array, |raw| if raw.text != "1" {
            assert_eq!(raw.is_plain, is_plain(&text));
            assert_eq!(raw.string().as_deref(), Some(text.as_str()));
        }).unwrap();
    }
}
