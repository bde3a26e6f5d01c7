//! Zeek's tab-separated form, and its translation into the JSON that Zeek writes by default.
//!
//! Everything is read from the header: separators, markers, names and types. Unset and empty markers are compared before
//! escapes are undone, since Zeek escapes a value that happens to look like one of them.

use std::borrow::Cow;
use std::ops::Range;

use super::ending;
use super::json;
use super::output::Output;
use super::scan::{self, Raw};
use super::zeek::{self, Read};
use super::zeek_fields::{ZeekField, ZeekFieldSet, ZeekFields, log_of_path};
use crate::model::{Body, Fault, FaultField, Id128, Log, Problem, Record};

/// The header of a tab-separated log.
#[derive(Clone, PartialEq, Debug)]
pub struct TsvHeader {
    separator: Box<[u8]>,
    set_separator: Box<str>,
    empty_marker: Box<str>,
    unset_marker: Box<str>,
    /// An unset cell and its separator, where both are one byte.
    unset_cell: Option<[u8; 2]>,
    columns: Vec<Column>,
    fields: ZeekFieldSet,
    log: Log,
    /// The header is this one line of names, without a mark.
    bare: Option<Box<str>>,
    /// There is a column named `certsift`.
    enriched: bool,
    /// The first column that a certificate is read from, and that begins what rows end with alike; the number of columns
    /// where no row does so.
    certificate_at: usize,
    /// Tells the header from others.
    id: Id128,
}

/// Longest name of a column. Zeek's own have 40 bytes at the most.
const MAX_NAME: usize = 256;

#[derive(Clone, PartialEq, Debug)]
struct Column {
    /// `","name":"`, of which is written what the values on both sides want: a quote belongs to a text.
    json_key: Box<str>,
    kind: Kind,
    field: Option<ZeekField>,
}

/// What a Zeek type becomes in JSON.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Text,
    Number,
    Boolean,
    Texts,
    Numbers,
    Booleans,
}

impl TsvHeader {
    /// What a cell is read by: the separator of sets, and what stands for an empty one and for nothing.
    pub(super) fn markers(&self) -> [&str; 3] {
        [&self.set_separator, &self.empty_marker, &self.unset_marker]
    }

    /// Reads the header at the head of a file; `None` when its lines are not all there.
    pub(super) fn parse_head(head: &[u8], name: &str) -> Option<Self> {
        let mut end = 0;
        while head.get(end) == Some(&b'#') {
            end += memchr::memchr(b'\n', &head[end..])? + 1;
        }
        Self::parse_block(&head[..end], name)
    }

    /// Whether the header is one line of names without a mark.
    pub fn is_bare(&self) -> bool {
        self.bare.is_some()
    }

    /// Reads the header of a file, whichever of the two forms it has.
    pub fn parse(header: &[u8], name: &str) -> Option<Self> {
        let bare = || Self::parse_bare(std::str::from_utf8(header).ok()?.trim_end_matches(['\n', '\r']), name);
        Self::parse_block(header, name).or_else(bare)
    }

    /// Whether a line is a header without a mark: the one line that the `tsv` option of Zeek's writer begins a file with.
    pub fn is_bare_header(line: &[u8]) -> bool {
        std::str::from_utf8(line).is_ok_and(|line| Self::parse_bare(line.trim_end_matches(['\n', '\r']), "").is_some())
    }

    /// Reads consecutive lines that begin with `#`; `None` when they name no fields (`#close` and the like).
    pub fn parse_block(block: &[u8], name: &str) -> Option<Self> {
        let block = std::str::from_utf8(block).ok()?;
        let mut separator = b"\t".to_vec();
        let mut set_separator = ",".to_owned();
        let mut empty_marker = "(empty)".to_owned();
        let mut unset_marker = "-".to_owned();
        let (mut path, mut names, mut types) = (None, None, None);
        for line in block.lines() {
            // The one line whose separator is a blank, whatever the separator is.
            if let Some(value) = line.strip_prefix("#separator ") {
                separator = unescape_bytes(value);
                continue;
            }
            let separator = std::str::from_utf8(&separator).ok().filter(|separator| !separator.is_empty())?;
            let Some((key, value)) = line.split_once(separator) else { continue };
            match key {
                "#set_separator" => set_separator = unescape_text(value),
                "#empty_field" => value.clone_into(&mut empty_marker),
                "#unset_field" => value.clone_into(&mut unset_marker),
                "#path" => path = Some(value),
                "#fields" => names = Some(value.split(separator).collect::<Vec<_>>()),
                "#types" => types = Some(value.split(separator).collect::<Vec<_>>()),
                _ => {}
            }
        }
        let names = names?;
        // What cuts rows has to be text, also where it was named last; and a name is repeated in every record.
        let separator = String::from_utf8(separator).ok().filter(|separator| !separator.is_empty())?;
        if names.iter().any(|name| name.len() > MAX_NAME) {
            return None;
        }
        let types = types.unwrap_or_default();
        let columns = names.iter().enumerate().map(|(at, name)| Column::new(name, types.get(at).copied())).collect();
        let log = match path {
            Some(path) => log_of_path(path),
            None => field_set(&names).log(name)?,
        };
        let unset_cell = match (unset_marker.as_bytes(), separator.as_bytes()) {
            (&[marker], &[separator]) if marker != separator => Some([marker, separator]),
            _ => None,
        };
        let separator = separator.into_bytes().into();
        let set_separator = set_separator.into();
        let header = Self {
            separator,
            set_separator,
            empty_marker: empty_marker.into(),
            unset_marker: unset_marker.into(),
            unset_cell,
            columns,
            fields: field_set(&names),
            log,
            bare: None,
            enriched: names.contains(&"certsift"),
            certificate_at: 0,
            id: Id128([0; 16]),
        };
        Some(header.finished())
    }

    /// Reads the single header line of the `tsv` filter option: field names without a mark, and no types.
    pub(super) fn parse_bare(line: &str, name: &str) -> Option<Self> {
        let names: Vec<_> = line.split('\t').collect();
        if names.iter().any(|name| name.len() > MAX_NAME) {
            return None;
        }
        if names.len() < 3 || names.iter().filter(|name| ZeekField::named(name).is_some()).count() < 3 {
            return None;
        }
        let log = field_set(&names).log(name)?;
        let header = Self {
            separator: b"\t".as_slice().into(),
            set_separator: ",".into(),
            empty_marker: "(empty)".into(),
            unset_marker: "-".into(),
            unset_cell: Some(*b"-\t"),
            columns: names.iter().map(|name| Column::new(name, None)).collect(),
            fields: field_set(&names),
            log,
            bare: Some(line.into()),
            enriched: names.contains(&"certsift"),
            certificate_at: 0,
            id: Id128([0; 16]),
        };
        Some(header.finished())
    }

    /// With what follows from the rest.
    fn finished(mut self) -> Self {
        let has = |columns: &[Column], field| columns.iter().any(|column| column.field == Some(field));
        let first = self.columns.iter().position(|column| column.field.is_some_and(ZeekField::is_of_certificate));
        let first = first.filter(|&first| !has(&self.columns[..first], ZeekField::HostCert));
        let may_say_another = self.log != Log::ZeekX509 || has(&self.columns, ZeekField::Path);
        self.certificate_at = first.filter(|_| !may_say_another).unwrap_or(self.columns.len());
        self.id = Id128::of(format!("{self:?}").as_bytes());
        self
    }

    /// The log that the rows belong to.
    pub fn log(&self) -> Log {
        self.log
    }

    /// Whether there is a column of this field.
    pub(super) fn has(&self, field: ZeekField) -> bool {
        self.fields.has(field)
    }

    /// A string column's value.
    pub(super) fn text<'a>(&self, cell: Raw<'a>) -> Cow<'a, str> {
        if *cell.text == *self.empty_marker { Cow::Borrowed("") } else { unescaped(cell) }
    }

    /// Calls `each` with the elements of a set or vector that are set.
    pub(super) fn each_element(&self, cell: Raw<'_>, mut each: impl FnMut(&str)) {
        if *cell.text != *self.empty_marker {
            split_each(cell, &self.set_separator, |element| {
                if *element.text != *self.unset_marker {
                    each(&unescaped(element));
                }
            });
        }
    }

    /// The first element of a set or vector that is set.
    pub(super) fn first_element<'a>(&self, cell: Raw<'a>) -> Option<Cow<'a, str>> {
        if *cell.text == *self.empty_marker {
            return None;
        }
        find_part(cell, &self.set_separator, |element| {
            (*element.text != *self.unset_marker).then(|| unescaped(element))
        })
    }
}

impl Column {
    fn new(name: &str, zeek_type: Option<&str>) -> Self {
        let mut json_key = "\",".to_owned();
        json::push_string(&mut json_key, name);
        json_key.push_str(":\"");
        let kind = zeek_type.map_or_else(|| kind_of_name(name), kind_of_type);
        Self { json_key: json_key.into(), kind, field: ZeekField::named(name) }
    }
}

/// Reads one row.
pub(super) fn decode_line<'a>(
    output: &mut Output<'_>,
    fields: &mut ZeekFields<'a>,
    line: &'a str,
    offset: u64,
    header: &TsvHeader,
) {
    if line.starts_with('#') || header.bare.as_deref() == Some(line) {
        return;
    }
    fields.clear();
    let mut row = Row { line, header, at: 0, is_over: false, key_start: 2, path: None, bad_value: None };
    let start = output.added.len();
    // The JSON is about as long as the row and its field names.
    output.added.reserve(line.len() + 24 * header.columns.len());
    output.added.push('{');
    let (in_front, rest) = header.columns.split_at(header.certificate_at);
    let mut is_complete = row.write(&mut output.added, fields, in_front);
    let mut end = None;
    if is_complete && !row.is_over && !rest.is_empty() {
        let text = &line[row.at..];
        if let Some((read, json_end)) = ending::read_end(output, fields, text, Some((header.id, row.key_start))) {
            return push_record(output, Log::ZeekX509, offset, start..json_end, read, row.bad_value);
        }
        end = Some((text, output.added.len(), row.key_start));
    }
    is_complete = is_complete && row.write(&mut output.added, fields, rest) && row.is_over;
    if !is_complete {
        return output.dead_letter(offset, line.as_bytes(), "another number of columns than the header names");
    }
    output.added.push_str(if row.key_start == 0 { "\"}" } else { "}" });
    let json_end = output.added.len();
    let log = row.path.map_or(header.log, |path| log_of_path(&path));
    let mut read = zeek::read(output, fields, log, Some(header));
    // A second key of that name would be worth less than none.
    if header.enriched {
        read.body = Body::AlreadyEnriched;
    }
    if let (Some((end, json_start, joined)), None) = (end, row.bad_value) {
        ending::note(output, fields, end, &read, Some((header.id, json_start..json_end, joined)));
    }
    push_record(output, log, offset, start..json_end, read, row.bad_value);
}

fn push_record(
    output: &mut Output<'_>,
    log: Log,
    offset: u64,
    json: Range<usize>,
    mut read: Read,
    bad_value: Option<Option<ZeekField>>,
) {
    // A time that is no number is tagged where it is read.
    if bad_value.is_some_and(|field| field != Some(ZeekField::Time)) {
        read.faults.push(Fault::new(FaultField::Other, Problem::NotOfItsType));
    }
    let line = output.added_span(json);
    output.push(Record {
        log,
        offset,
        line,
        time: read.time,
        empty_object: line.len == 2,
        sensor: read.sensor,
        faults: read.faults,
        body: read.body,
    });
}

/// A row on its way to JSON.
struct Row<'a, 'h> {
    line: &'a str,
    header: &'h TsvHeader,
    /// Where the next cell begins, unless the row is over.
    at: usize,
    is_over: bool,
    /// How much of the next key is written already or not wanted.
    key_start: usize,
    path: Option<Cow<'a, str>>,
    /// The field, if it has one, of the last column with a value that is not of its type.
    bad_value: Option<Option<ZeekField>>,
}

impl<'a> Row<'a, '_> {
    /// Writes the cells of the next columns; `false` when the row has fewer.
    fn write(&mut self, json: &mut String, fields: &mut ZeekFields<'a>, columns: &[Column]) -> bool {
        let (line, header) = (self.line, self.header);
        let (mut at, mut key_start) = (self.at, self.key_start);
        for column in columns {
            if self.is_over {
                return false;
            }
            // Several cells of most rows are unset; they need not be looked through.
            if header.unset_cell.is_some_and(|unset| line.as_bytes()[at..].first_chunk() == Some(&unset)) {
                at += 2;
                continue;
            }
            let cell = cell_at(line, at, &header.separator);
            if *cell.text != *header.unset_marker {
                if let Some(field) = column.field {
                    fields.set(field, cell);
                    if field == ZeekField::Path {
                        self.path = Some(header.text(cell));
                    }
                }
                if column.kind == Kind::Text && (cell.is_plain || is_json_alike(cell.text)) {
                    json.push_str(&column.json_key[key_start..]);
                    json.push_str(if *cell.text == *header.empty_marker { "" } else { cell.text });
                    key_start = 0;
                } else {
                    json.push_str(&column.json_key[key_start..column.json_key.len() - 1]);
                    // Digits are looked for most quickly where more text follows.
                    let end = at + cell.text.len();
                    if column.kind == Kind::Number && scan::end_of_number(line.as_bytes(), at) == Some(end) {
                        json.push_str(cell.text);
                    } else if !push_value(json, cell, column.kind, header) {
                        self.bad_value = Some(column.field);
                    }
                    key_start = 1;
                }
            }
            at += cell.text.len();
            if at == line.len() {
                self.is_over = true;
            } else {
                at += header.separator.len();
            }
        }
        (self.at, self.key_start) = (at, key_start);
        true
    }
}

/// The cell that begins at `at`, which is plain where nothing in it is escaped, nor to be.
#[inline]
fn cell_at<'a>(line: &'a str, at: usize, separator: &[u8]) -> Raw<'a> {
    let bytes = line.as_bytes();
    let (end, is_plain) = match separator {
        // Most cells are plain, and looked through only once.
        [single] => match scan::plain_end_or(*single, bytes, at) {
            end if bytes.get(end).is_none_or(|byte| byte == single) => (end, true),
            mark => (memchr::memchr(*single, &bytes[mark..]).map_or(bytes.len(), |found| mark + found), false),
        },
        several => {
            let rest = &bytes[at..];
            let length = memchr::memmem::find(rest, several).unwrap_or(rest.len());
            (at + length, scan::plain_end(&rest[..length], 0) == length)
        }
    };
    Raw { text: &line[at..end], is_plain }
}

/// Calls `each` with the parts of a cell.
fn split_each<'a>(cell: Raw<'a>, separator: &str, mut each: impl FnMut(Raw<'a>)) {
    let _: Option<()> = find_part(cell, separator, |element| {
        each(element);
        None
    });
}

/// What `each` makes of the first part of a cell of which it makes anything.
fn find_part<'a, T>(cell: Raw<'a>, separator: &str, mut each: impl FnMut(Raw<'a>) -> Option<T>) -> Option<T> {
    // A part of what is not plain may be so; it is unescaped in vain then.
    let mut each = |text| each(Raw { text, is_plain: cell.is_plain });
    let &[byte] = separator.as_bytes() else {
        return cell.text.split(separator).find_map(each);
    };
    let mut rest = cell.text;
    while let Some(end) = scan::find_near(byte, rest.as_bytes()) {
        if let Some(found) = each(&rest[..end]) {
            return Some(found);
        }
        rest = &rest[end + 1..];
    }
    each(rest)
}

/// Writes one value; `false` when it does not fit its type and was written as a string instead.
fn push_value(json: &mut String, cell: Raw<'_>, kind: Kind, header: &TsvHeader) -> bool {
    match kind {
        Kind::Text => {
            json::push_string(json, &header.text(cell));
            true
        }
        Kind::Number => push_number(json, cell),
        Kind::Boolean => push_boolean(json, cell),
        Kind::Texts | Kind::Numbers | Kind::Booleans => {
            json.push('[');
            let mut fits = true;
            if *cell.text != *header.empty_marker {
                let start = json.len();
                split_each(cell, &header.set_separator, |element| {
                    if json.len() > start {
                        json.push(',');
                    }
                    fits &= match kind {
                        _ if *element.text == *header.unset_marker => {
                            json.push_str("null");
                            true
                        }
                        Kind::Numbers => push_number(json, element),
                        Kind::Booleans => push_boolean(json, element),
                        _ => {
                            push_text(json, element);
                            true
                        }
                    };
                });
            }
            json.push(']');
            fits
        }
    }
}

/// Writes a text that still has Zeek's escapes; most have none, and nothing that JSON would escape.
fn push_text(json: &mut String, cell: Raw<'_>) {
    if cell.is_plain {
        json.push('"');
        json.push_str(cell.text);
        json.push('"');
    } else {
        json::push_string(json, &unescape(cell.text));
    }
}

/// Writes a number with the text as it stood.
fn push_number(json: &mut String, cell: Raw<'_>) -> bool {
    if json::is_number(cell.text) {
        json.push_str(cell.text);
        return true;
    }
    push_text(json, cell);
    false
}

fn push_boolean(json: &mut String, cell: Raw<'_>) -> bool {
    match cell.text {
        "T" => json.push_str("true"),
        "F" => json.push_str("false"),
        _ => {
            push_text(json, cell);
            return false;
        }
    }
    true
}

fn field_set(names: &[&str]) -> ZeekFieldSet {
    let mut fields = ZeekFieldSet::default();
    names.iter().for_each(|name| fields.note_flat(name));
    fields
}

fn kind_of_type(zeek_type: &str) -> Kind {
    let inner = zeek_type.strip_suffix(']').and_then(|open| open.split_once('[')).map(|(_, inner)| inner);
    match (inner, inner.unwrap_or(zeek_type)) {
        (None, "bool") => Kind::Boolean,
        (Some(_), "bool") => Kind::Booleans,
        (None, "count" | "int" | "port" | "double" | "time" | "interval" | "counter") => Kind::Number,
        (Some(_), "count" | "int" | "port" | "double" | "time" | "interval") => Kind::Numbers,
        (Some(_), _) => Kind::Texts,
        (None, _) => Kind::Text,
    }
}

/// The kind of a column whose type is not given: by its name where it is one of Zeek's own, else text.
fn kind_of_name(name: &str) -> Kind {
    match name {
        "ts"
        | "_write_ts"
        | "id.orig_p"
        | "id.resp_p"
        | "certificate.version"
        | "certificate.not_valid_before"
        | "certificate.not_valid_after"
        | "certificate.key_length"
        | "basic_constraints.path_len"
        | "port_num" => Kind::Number,
        "resumed" | "established" | "sni_matches_cert" | "basic_constraints.ca" | "host_cert" | "client_cert" => {
            Kind::Boolean
        }
        "cert_chain_fps"
        | "client_cert_chain_fps"
        | "cert_chain_fuids"
        | "client_cert_chain_fuids"
        | "san.dns"
        | "san.uri"
        | "san.email"
        | "san.ip" => Kind::Texts,
        _ => Kind::Text,
    }
}

/// Whether a text is written in JSON as it stands, which is so where all that is escaped in it is a backslash, as in most
/// names of certificates.
fn is_json_alike(cell: &str) -> bool {
    let bytes = cell.as_bytes();
    let mut at = scan::plain_end(bytes, 0);
    while let Some([b'\\', b'\\', ..]) = bytes.get(at..) {
        at = scan::plain_end(bytes, at + 2);
    }
    at == bytes.len()
}

fn unescaped(cell: Raw<'_>) -> Cow<'_, str> {
    if cell.is_plain { Cow::Borrowed(cell.text) } else { unescape(cell.text) }
}

/// Undoes Zeek's escapes as far as its own JSON writer does: a printable character stands for itself again, bytes that
/// form UTF-8 are characters, and what is left, control and stray bytes, stays as the text `\xHH`.
fn unescape(cell: &str) -> Cow<'_, str> {
    if memchr::memchr(b'\\', cell.as_bytes()).is_none() {
        return Cow::Borrowed(cell);
    }
    let bytes = cell.as_bytes();
    let mut out = String::with_capacity(cell.len());
    let mut plain = 0;
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', &bytes[at..]) {
        at += found;
        match escaped_byte(&bytes[at..]) {
            Some(byte @ 0x20..=0x7e) => {
                out.push_str(&cell[plain..at]);
                out.push(char::from(byte));
                at += 4;
                plain = at;
            }
            Some(0x80..) => {
                let (decoded, length) = escaped_character(&bytes[at..]);
                if let Some(character) = decoded {
                    out.push_str(&cell[plain..at]);
                    out.push(character);
                    plain = at + length;
                }
                at += length;
            }
            Some(_) => at += 4,
            None if bytes.get(at + 1) == Some(&b'\\') => {
                out.push_str(&cell[plain..=at]);
                at += 2;
                plain = at;
            }
            // Bro up to 2.3 wrote a single backslash as it was.
            None => at += 1,
        }
    }
    out.push_str(&cell[plain..]);
    Cow::Owned(out)
}

/// The byte of `\xHH` at the start of `bytes`.
fn escaped_byte(bytes: &[u8]) -> Option<u8> {
    let [b'\\', b'x', high, low, ..] = bytes else { return None };
    Some(crate::model::hex_value(*high)? << 4 | crate::model::hex_value(*low)?)
}

/// The character that escaped bytes at the start of `bytes` form, if they do, and how much text they take.
fn escaped_character(bytes: &[u8]) -> (Option<char>, usize) {
    let mut sequence = [0; 4];
    for length in 0..4 {
        let Some(byte) = bytes.get(4 * length..).and_then(escaped_byte) else { break };
        sequence[length] = byte;
        if let Ok(text) = std::str::from_utf8(&sequence[..=length]) {
            return (text.chars().next(), 4 * (length + 1));
        }
    }
    (None, 4)
}

fn unescape_bytes(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match escaped_byte(&bytes[at..]) {
            Some(byte) => {
                out.push(byte);
                at += 4;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    out
}

fn unescape_text(text: &str) -> String {
    String::from_utf8_lossy(&unescape_bytes(text)).into_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::decode::{DecodeContext, Format, RawBatch, decode};
    use crate::model::{SourceInfo, StreamKey};
    use proptest::prelude::*;

    fn raw(text: &str) -> Raw<'_> {
        Raw { text, is_plain: scan::is_plain(text) }
    }

    #[test]
    fn names_with_escaped_commas_are_alike_in_json() {
        for (cell, alike) in [
            (r"O=VMware\\, Inc", true),
            (r"\\", true),
            (r"\\\\x41", true),
            ("a", true),
            ("", true),
            (r"\x41", false),
            (r"\\\x41", false),
            (r"a\", false),
            (r"\\\", false),
            ("a\"", false),
            ("\\\\\u{1}", false),
        ] {
            assert_eq!(is_json_alike(cell), alike, "{cell}");
        }
    }

    #[test]
    fn escapes_are_undone_as_zeek_json_has_them() {
        let cases = [
            (r"O=VMware\\, Inc", r"O=VMware\, Inc"),
            (r"a\x2cb", "a,b"),
            (r"\x2d", "-"),
            (r"\x28empty)", "(empty)"),
            (r"K\xc3\xb8benhavn", "København"),
            (r"tab\x09end", r"tab\x09end"),
            (r"bad\xff\xc3end", r"bad\xff\xc3end"),
            (r"O=Akamai Technologies\, Inc", r"O=Akamai Technologies\, Inc"),
            (r"end\", r"end\"),
            (r"\\x41", r"\x41"),
        ];
        for (cell, text) in cases {
            assert_eq!(unescape(cell), text, "{cell}");
        }
    }

    #[test]
    fn a_header_names_separators_markers_and_types() {
        let block = b"#separator \\x7c\n#set_separator|;\n#empty_field|EMPTY\n#unset_field|NONE\n#path|ssl\n#fields|ts|established|list\n#types|time|bool|vector[string]\n";
        let header = TsvHeader::parse_block(block, "").unwrap();
        assert_eq!(&*header.separator, b"|");
        assert_eq!(header.columns[1].kind, Kind::Boolean);
        let elements = |header: &TsvHeader, cell: &str| {
            let mut found = Vec::new();
            header.each_element(raw(cell), |element| found.push(element.to_owned()));
            found
        };
        assert_eq!(elements(&header, "a;NONE;b;"), ["a", "b", ""]);
        assert_eq!(elements(&header, "EMPTY"), [""; 0]);
        for cell in ["a;NONE;b;", "NONE;b", "NONE", "EMPTY", "", ";a", r"\x3b;a"] {
            let first = header.first_element(raw(cell));
            assert_eq!(first.as_deref(), elements(&header, cell).first().map(String::as_str), "{cell}");
        }
        let block = b"#set_separator\t, \n#path\tssl\n#fields\tts\tuid\tlist\n";
        assert_eq!(elements(&TsvHeader::parse_block(block, "").unwrap(), "a, b,c"), ["a", "b,c"]);
        assert_eq!(header.log(), Log::ZeekSsl);
        // A cell that is unset holds no separator.
        let block = b"#separator -\n#path-ssl\n#fields-ts-uid-cipher\n";
        assert_eq!(TsvHeader::parse_block(block, "").unwrap().unset_cell, None);
        // Rows could not be cut by these.
        assert_eq!(TsvHeader::parse_block(b"#fields\tts\tuid\tcipher\n#separator \\xc3\n", ""), None);
        assert_eq!(TsvHeader::parse_block(b"#fields\tts\tuid\tcipher\n#separator \n", ""), None);
        let long = format!("#path\tssl\n#fields\tts\t{}\n", "n".repeat(MAX_NAME + 1));
        assert_eq!(TsvHeader::parse_block(long.as_bytes(), ""), None);
        assert_eq!(TsvHeader::parse_block(b"#close\t2026-01-01-01-00-00\n", ""), None);
    }

    proptest! {
        #[test]
        fn what_is_alike_in_json_is_written_as_it_stands(cell in "[a,\\\\\\\\x4\"\u{e9}\u{1}]{0,9}|(a|[\\\\]{2}){0,30}") {
            let mut json = String::new();
            json::push_string(&mut json, &unescape(&cell));
            if is_json_alike(&cell) {
                prop_assert_eq!(json, format!("\"{cell}\""));
            }
        }

        #[test]
        fn a_row_is_cut_at_every_separator(
            cells in prop::collection::vec("[a-z\u{e9}\"\\\\\u{1}|;]{0,40}|[a-z]{0,90}", 1..9),
            separator in prop::sample::select(vec!["\t", "|", "\"", "\\", "; ", ";;", "\u{e9}"]),
        ) {
            let line = cells.join(separator);
            let mut at = 0;
            for part in line.split(separator) {
                let cell = cell_at(&line, at, separator.as_bytes());
                prop_assert_eq!(cell, raw(part));
                at += part.len() + separator.len();
            }
            let (cell, mut parts) = (raw(&line), Vec::new());
            split_each(cell, separator, |part| parts.push(part.text));
            prop_assert_eq!(parts, line.split(separator).collect::<Vec<_>>());
        }

        #[test]
        fn a_row_becomes_the_json_of_its_cells(
            cells in prop::collection::vec(("[a-z\"\u{1}]{0,20}|-|\\(empty\\)", any::<bool>()), 3..9),
        ) {
            // Every column but the first may be a set; the names are those of no field.
            let names = (0..cells.len()).map(|at| format!("n{at}")).collect::<Vec<_>>().join("\t");
            let types = cells.iter().map(|(_, is_set)| if *is_set { "set[string]" } else { "string" });
            let types = types.collect::<Vec<_>>().join("\t");
            let block = format!("#path\tssl\n#fields\t{names}\n#types\t{types}\n");
            let header = Arc::new(TsvHeader::parse_block(block.as_bytes(), "").unwrap());
            let line = cells.iter().map(|(cell, _)| &**cell).collect::<Vec<_>>().join("\t");
            let expected: serde_json::Map<_, _> = cells.iter().enumerate().filter(|(_, (cell, _))| cell != "-").map(|(at, (cell, is_set))| {
                let value = match (&**cell, is_set) {
                    ("(empty)", false) => "".into(),
                    ("(empty)", true) => serde_json::json!([]),
                    (text, false) => text.into(),
                    (text, true) => serde_json::json!([text]),
                };
                (format!("n{at}"), value)
            }).collect();
            let source = Arc::new(SourceInfo { stream: StreamKey([0; 32]), path: "".into(), sensor: None, time_zone: None });
            let format = Format::ZeekTsv(Arc::clone(&header));
            let raw = RawBatch { bytes: line.into_bytes(), offset: 0, format, oversize: None };
            let batch = decode(&DecodeContext::default(), &source, raw);
            prop_assert_eq!(batch.records.len(), usize::from(!batch.text.is_empty()));
            if let Some(record) = batch.records.first() {
                let found: serde_json::Value = serde_json::from_str(record.line.of(&batch.text)).unwrap();
                prop_assert_eq!(found, serde_json::Value::Object(expected));
            }
        }

        #[test]
        fn any_cell_is_unescaped_without_a_panic(cell in "(\\\\x[0-9a-fé]{0,2}|[a-zé\\\\,-]){0,30}") {
            let _ = unescape(&cell);
        }
    }
}
