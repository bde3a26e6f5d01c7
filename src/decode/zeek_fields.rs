//! The fields of Zeek's logs that matter, and their values as they stand in a line, in JSON and in rows alike.
//!
//! Field names, versions and traps are those of Zeek's `base/protocols/ssl/main.zeek`, `base/files/x509/main.zeek` and
//! the policy scripts that add to them.

use std::borrow::Cow;
use std::ops::ControlFlow;

use super::json;
use super::scan::{Raw, walk_array, walk_array_until, walk_object};
use super::zeek_tsv::TsvHeader;
use crate::model::Log;

macro_rules! zeek_fields {
    ($($variant:ident = $($name:literal)|+,)*) => {
        /// Fields of Zeek's logs that certsift reads.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(super) enum ZeekField { $($variant),* }

        impl ZeekField {
            const COUNT: usize = [$(ZeekField::$variant),*].len();

            /// All names of all fields.
            const NAMES: &[(&str, Self)] = &[$($(($name, Self::$variant)),+),*];
        }
    };
}

zeek_fields! {
    Time = "ts",
    Path = "_path" | "@stream",
    System = "_system_name" | "@system",
    Client = "id.orig_h" | "id_orig_h",
    Server = "id.resp_h" | "id_resp_h",
    ServerPort = "id.resp_p" | "id_resp_p",
    Version = "version",
    Cipher = "cipher",
    ServerName = "server_name",
    Resumed = "resumed",
    Established = "established",
    History = "ssl_history",
    ChainFps = "cert_chain_fps",
    ChainFuids = "cert_chain_fuids",
    ClientChainFps = "client_cert_chain_fps",
    ClientChainFuids = "client_cert_chain_fuids",
    SniMatchesCert = "sni_matches_cert",
    ValidationStatus = "validation_status",
    FileId = "id",
    Fingerprint = "fingerprint",
    CertificateVersion = "certificate.version" | "certificate_version",
    Serial = "certificate.serial" | "certificate_serial",
    Subject = "certificate.subject" | "certificate_subject",
    Issuer = "certificate.issuer" | "certificate_issuer",
    NotBefore = "certificate.not_valid_before" | "certificate_not_valid_before",
    NotAfter = "certificate.not_valid_after" | "certificate_not_valid_after",
    KeyAlgorithm = "certificate.key_alg" | "certificate_key_alg",
    SignatureAlgorithm = "certificate.sig_alg" | "certificate_sig_alg",
    KeyType = "certificate.key_type" | "certificate_key_type",
    KeyLength = "certificate.key_length" | "certificate_key_length",
    Curve = "certificate.curve" | "certificate_curve",
    SanDns = "san.dns" | "san_dns",
    SanUri = "san.uri" | "san_uri",
    SanEmail = "san.email" | "san_email",
    SanIp = "san.ip" | "san_ip",
    Ca = "basic_constraints.ca" | "basic_constraints_ca",
    HostCert = "host_cert",
    Der = "cert",
    MimeType = "mime_type",
    Sha1 = "sha1",
    Sha256 = "sha256",
    Host = "host",
    IssuerSubject = "issuer_subject",
    Uid = "uid",
    Ja3 = "ja3",
    Ja4 = "ja4",
}

/// Where names stand in [`ZeekField::NAMES`], counted from one, by [`hash_of_name`]; what finds its place taken has the
/// next one that is free.
const PLACES: [u8; 256] = {
    let mut places = [0; 256];
    let mut index = 0;
    while index < ZeekField::NAMES.len() {
        let mut at = hash_of_name(ZeekField::NAMES[index].0.as_bytes());
        while places[at as usize] != 0 {
            at = at.wrapping_add(1);
        }
        index += 1;
        places[at as usize] = index as u8;
    }
    places
};

/// Tells most names apart by their length and three of their letters. No name is empty.
const fn hash_of_name(name: &[u8]) -> u8 {
    let [first, middle, last] = [name[0], name[name.len() / 2], name[name.len() - 1]];
    (u32::from_le_bytes([first, middle, last, name.len() as u8]).wrapping_mul(0x9e37_79b1) >> 24) as u8
}

impl ZeekField {
    /// The field of a flat name, joined by `.` or, where the site set another separator, by `_`.
    pub(super) fn named(name: &str) -> Option<Self> {
        if name.is_empty() {
            return None;
        }
        let mut at = hash_of_name(name.as_bytes());
        loop {
            let index = usize::from(PLACES[usize::from(at)]).checked_sub(1)?;
            let (known, field) = Self::NAMES[index];
            if known == name {
                return Some(field);
            }
            at = at.wrapping_add(1);
        }
    }

    /// Whether it is what a certificate is read from.
    pub(super) fn is_of_certificate(self) -> bool {
        const OF_CERTIFICATE: u64 = {
            let (mut fields, mut at) = (0, 0);
            while at < CERTIFICATE_FIELDS.len() {
                fields |= 1 << CERTIFICATE_FIELDS[at] as usize;
                at += 1;
            }
            fields
        };
        OF_CERTIFICATE & 1 << self as usize != 0
    }

    /// The field of a name inside an object that a shipper made of the names with one beginning.
    pub(super) fn nested(outer: &str, inner: &str) -> Option<Self> {
        let mut name = [0; 64];
        let length = outer.len() + 1 + inner.len();
        let room = name.get_mut(..length)?;
        room[..outer.len()].copy_from_slice(outer.as_bytes());
        room[outer.len()] = b'.';
        room[outer.len() + 1..].copy_from_slice(inner.as_bytes());
        Self::named(std::str::from_utf8(room).ok()?)
    }
}

/// What a certificate is read from.
pub(super) const CERTIFICATE_FIELDS: [ZeekField; 18] = [
    ZeekField::Fingerprint,
    ZeekField::CertificateVersion,
    ZeekField::Serial,
    ZeekField::Subject,
    ZeekField::Issuer,
    ZeekField::NotBefore,
    ZeekField::NotAfter,
    ZeekField::KeyAlgorithm,
    ZeekField::SignatureAlgorithm,
    ZeekField::KeyType,
    ZeekField::KeyLength,
    ZeekField::Curve,
    ZeekField::SanDns,
    ZeekField::SanUri,
    ZeekField::SanEmail,
    ZeekField::SanIp,
    ZeekField::Ca,
    ZeekField::Der,
];

/// What a key of Zeek's JSON is.
#[derive(Clone, Copy, Debug)]
pub(super) enum ZeekKey {
    /// The name of an object that shippers nest fields into, or, where its value is none, perhaps of a field.
    Nesting(Nesting, Option<ZeekField>),
    /// The name of a field.
    Field(ZeekField),
    /// The name of what certsift adds.
    Certsift,
    /// The name of something else.
    Other,
}

/// One of [`NESTED`], by its place: a key that takes three bytes is handed about without memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nesting(u8);

impl Nesting {
    /// The name of the object.
    pub(super) fn name(self) -> &'static str {
        NESTED[usize::from(self.0)]
    }
}

impl ZeekKey {
    pub(super) fn named(name: &str) -> Self {
        let field = ZeekField::named(name);
        match (0..).zip(NESTED).find(|(_, outer)| *outer == name) {
            Some((place, _)) => Self::Nesting(Nesting(place), field),
            None if name == "certsift" => Self::Certsift,
            None => field.map_or(Self::Other, Self::Field),
        }
    }
}

/// Objects that shippers nest fields into, and the prefix that the flat names have.
const NESTED: [&str; 4] = ["id", "certificate", "san", "basic_constraints"];

/// One field's value as it stands in the log.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cell<'a> {
    /// Raw JSON.
    Json(Raw<'a>),
    /// A column of a tab-separated row, neither unset nor decoded.
    Tsv(Raw<'a>, &'a TsvHeader),
}

/// The fields of one record that are set. One set of them serves all records of a batch.
pub(super) struct ZeekFields<'a> {
    /// One bit for each field that is set; of the others the text is that of an earlier record.
    set: u64,
    /// One bit for each field in whose text something may be escaped.
    escaped: u64,
    texts: [&'a str; ZeekField::COUNT],
    header: Option<&'a TsvHeader>,
}

const _: () = assert!(ZeekField::COUNT <= u64::BITS as usize);

/// The names of the fields of a record or header, to tell which log they belong to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct ZeekFieldSet(u64);

impl<'a> ZeekFields<'a> {
    /// No fields, of rows with that header or of JSON.
    pub(super) fn new(header: Option<&'a TsvHeader>) -> Self {
        Self { set: 0, escaped: 0, texts: [""; ZeekField::COUNT], header }
    }

    /// Begins another record.
    pub(super) fn clear(&mut self) {
        (self.set, self.escaped) = (0, 0);
    }

    /// Sets a field to raw JSON. Of a repeated key the last one counts, as for most readers of JSON.
    pub(super) fn set_json(&mut self, field: ZeekField, raw: Raw<'a>) {
        if raw.text == "null" {
            self.set &= !(1 << field as usize);
        } else {
            self.set(field, raw);
        }
    }

    /// Sets a field to a value that is not unset.
    pub(super) fn set(&mut self, field: ZeekField, raw: Raw<'a>) {
        let bit = 1 << field as usize;
        self.set |= bit;
        if !raw.is_plain {
            self.escaped |= bit;
        }
        self.texts[field as usize] = raw.text;
    }

    /// The log that the record says it belongs to.
    pub(super) fn path(&self) -> Option<Cow<'a, str>> {
        self.text(ZeekField::Path)
    }

    /// The log that the fields belong to, where they do not fit `default`.
    pub(super) fn log_like(&self, default: Log) -> Log {
        let x509 =
            self.is_set(ZeekField::Serial) || self.is_set(ZeekField::Subject) || self.is_set(ZeekField::NotAfter);
        let ssl = self.is_set(ZeekField::Client)
            && (self.is_set(ZeekField::Established)
                || self.is_set(ZeekField::ChainFps)
                || self.is_set(ZeekField::ChainFuids));
        match default {
            Log::ZeekX509 if !x509 && ssl => Log::ZeekSsl,
            Log::ZeekX509 => default,
            _ if x509 => Log::ZeekX509,
            Log::ZeekSsl => default,
            _ if ssl => Log::ZeekSsl,
            _ => default,
        }
    }

    pub(super) fn get(&self, field: ZeekField) -> Option<Cell<'a>> {
        if !self.is_set(field) {
            return None;
        }
        let raw = Raw { text: self.texts[field as usize], is_plain: self.escaped & 1 << field as usize == 0 };
        Some(self.header.map_or(Cell::Json(raw), |header| Cell::Tsv(raw, header)))
    }

    pub(super) fn text(&self, field: ZeekField) -> Option<Cow<'a, str>> {
        self.get(field)?.text()
    }

    /// Whether what is set of some fields stands in front of `end`, both in one line.
    pub(super) fn stand_before(&self, end: &str, fields: &[ZeekField]) -> bool {
        fields.iter().all(|&field| !self.is_set(field) || self.texts[field as usize].as_ptr() < end.as_ptr())
    }

    pub(super) fn is_set(&self, field: ZeekField) -> bool {
        self.set & 1 << field as usize != 0
    }
}

impl<'a> Cell<'a> {
    /// The value of a string.
    pub(super) fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Json(raw) => raw.string(),
            Self::Tsv(cell, header) => Some(header.text(cell)),
        }
    }

    /// The text of a number, or of a string that holds one.
    pub(super) fn number(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Json(raw) if raw.text.starts_with('"') => raw.string(),
            Self::Json(raw) => Some(Cow::Borrowed(raw.text)),
            Self::Tsv(cell, _) => Some(Cow::Borrowed(cell.text)),
        }
    }

    pub(super) fn boolean(self) -> Option<bool> {
        match self {
            Self::Json(raw) => json::boolean(raw.text),
            Self::Tsv(Raw { text: "T", .. }, _) => Some(true),
            Self::Tsv(Raw { text: "F", .. }, _) => Some(false),
            Self::Tsv(..) => None,
        }
    }

    /// Calls `each` with the elements of a set or vector that are set.
    pub(super) fn elements(self, mut each: impl FnMut(&str)) {
        match self {
            Self::Json(raw) => {
                walk_array(raw.text, |element| {
                    if let Some(text) = element.string() {
                        each(&text);
                    }
                });
            }
            Self::Tsv(cell, header) => header.each_element(cell, each),
        }
    }

    /// The first of the elements that are set.
    pub(super) fn first_element(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Json(raw) => {
                let mut first = None;
                walk_array_until(raw.text, |element| {
                    first = element.string();
                    if first.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                });
                first
            }
            Self::Tsv(cell, header) => header.first_element(cell),
        }
    }

    /// The text as it stands in the log, for keys of caches.
    pub(super) fn raw(self) -> &'a str {
        match self {
            Self::Json(raw) | Self::Tsv(raw, _) => raw.text,
        }
    }

    /// What sets are cut by, and what stands for an empty set and for nothing; of JSON nothing.
    pub(super) fn markers(self) -> [&'a str; 3] {
        match self {
            Self::Json(_) => [""; 3],
            Self::Tsv(_, header) => header.markers(),
        }
    }
}

impl ZeekFieldSet {
    /// Notes a key; of a nested object its keys.
    pub(super) fn note(&mut self, key: &str, raw: &str) {
        if NESTED.contains(&key) && json::is_object(raw) {
            // What does not parse has been refused as a whole already.
            let _ = walk_object(raw, |inner, _| self.note_field(ZeekField::nested(key, inner)));
            return;
        }
        self.note_flat(key);
    }

    /// Notes a flat field name.
    pub(super) fn note_flat(&mut self, name: &str) {
        self.note_field(ZeekField::named(name));
    }

    fn note_field(&mut self, field: Option<ZeekField>) {
        if let Some(field) = field {
            self.0 |= 1 << field as usize;
        }
    }

    /// Whether a field is among them.
    pub(super) fn has(self, field: ZeekField) -> bool {
        self.0 & 1 << field as usize != 0
    }

    /// The log that these fields belong to; `None` when they are not Zeek's. Between logs whose fields fit several, the
    /// file's name decides.
    pub(super) fn log(self, name: &str) -> Option<Log> {
        let has = |field| self.has(field);
        if !has(ZeekField::Time) {
            return None;
        }
        let x509 = has(ZeekField::Serial) || has(ZeekField::NotAfter) || has(ZeekField::Subject);
        let ssl = has(ZeekField::Client)
            && (has(ZeekField::Established)
                || has(ZeekField::Resumed)
                || has(ZeekField::History)
                || has(ZeekField::ChainFps)
                || has(ZeekField::ChainFuids)
                || (has(ZeekField::Cipher) && has(ZeekField::Version)));
        if x509 {
            Some(Log::ZeekX509)
        } else if ssl {
            Some(Log::ZeekSsl)
        } else if has(ZeekField::Host) && has(ZeekField::IssuerSubject) {
            Some(Log::ZeekKnownCerts)
        } else if has(ZeekField::MimeType) && (has(ZeekField::Sha1) || name.starts_with("files")) {
            Some(Log::ZeekFiles)
        } else if has(ZeekField::Uid) || has(ZeekField::Client) || has(ZeekField::Path) {
            Some(Log::ZeekOther)
        } else {
            None
        }
    }
}

/// The log of a `_path` or `#path`.
pub(super) fn log_of_path(path: &str) -> Log {
    match path {
        "ssl" => Log::ZeekSsl,
        "x509" => Log::ZeekX509,
        "known_certs" => Log::ZeekKnownCerts,
        "files" => Log::ZeekFiles,
        _ => Log::ZeekOther,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_name_is_its_field_and_nothing_else_is() {
        for &(name, field) in ZeekField::NAMES {
            assert_eq!(ZeekField::named(name), Some(field), "{name}");
            for other in [format!("{name}x"), format!("x{name}"), name.to_uppercase(), name[1..].to_owned()] {
                let known = ZeekField::NAMES.iter().find(|(name, _)| *name == other);
                assert_eq!(ZeekField::named(&other), known.map(|&(_, field)| field), "{other}");
            }
            if let Some((outer, inner)) = name.split_once('.') {
                assert_eq!(ZeekField::nested(outer, inner), Some(field), "{name}");
            }
        }
        assert_eq!(ZeekField::named(""), None);
        assert_eq!(ZeekField::nested("certificate", &"x".repeat(64)), None);
    }

    proptest! {
        #[test]
        fn any_name_is_looked_up_without_a_panic(name in any::<String>(), inner in any::<String>()) {
            let known = ZeekField::NAMES.iter().find(|(known, _)| *known == name);
            prop_assert_eq!(ZeekField::named(&name), known.map(|&(_, field)| field));
            prop_assert_eq!(ZeekField::nested(&name, &inner), ZeekField::named(&format!("{name}.{inner}")));
        }
    }

    #[test]
    fn objects_that_fields_are_nested_into_keep_their_names() {
        for name in NESTED {
            let key = ZeekKey::named(name);
            assert!(matches!(key, ZeekKey::Nesting(nesting, _) if nesting.name() == name), "{key:?}");
        }
        assert!(matches!(ZeekKey::named("ts"), ZeekKey::Field(ZeekField::Time)));
    }

    #[test]
    fn fields_of_an_earlier_record_are_gone() {
        let mut fields = ZeekFields::new(None);
        let raw = |text| Raw { text, is_plain: true };
        fields.set_json(ZeekField::Uid, raw("\"C1\""));
        fields.set_json(ZeekField::Host, raw("\"a\""));
        fields.set_json(ZeekField::Host, raw("null"));
        assert_eq!(fields.text(ZeekField::Uid).as_deref(), Some("C1"));
        assert!(!fields.is_set(ZeekField::Host));
        fields.clear();
        assert!(fields.get(ZeekField::Uid).is_none());
    }
}
