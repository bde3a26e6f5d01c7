//! What Zeek's two forms share: which fields matter, and how they become sessions and certificates.
//!
//! Field names, versions and traps are those of Zeek's `base/protocols/ssl/main.zeek`, `base/files/x509/main.zeek` and
//! the policy scripts that add to them.

use std::borrow::Cow;
use std::ops::ControlFlow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::DecodeContext;
use super::bounds::{MAX_DN, MAX_VALUE, bounded};
use super::der::certificate_from_der;
use super::fingerprint::client_fingerprints;
use super::json;
use super::output::Output;
use super::scan::{Raw, walk_array, walk_array_until, walk_object};
use super::zeek_tsv::TsvHeader;
use crate::model::{
    Address, Body, Certificate, CertificateId, CertificateRecord, CertificateSource, DistinguishedName, EventTime,
    Fault, FaultField, Faults, HashPair, Id128, Key, Log, Printed, Problem, ReferenceRange, SelfSigned, Serial,
    Session, Sha1Digest, Sha256Digest, SourceInfo, SubjectAltNames, TlsVersion, UnparsedHint, ValidityTime,
};

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

    fn get(&self, field: ZeekField) -> Option<Cell<'a>> {
        if !self.is_set(field) {
            return None;
        }
        let raw = Raw { text: self.texts[field as usize], is_plain: self.escaped & 1 << field as usize == 0 };
        Some(self.header.map_or(Cell::Json(raw), |header| Cell::Tsv(raw, header)))
    }

    fn text(&self, field: ZeekField) -> Option<Cow<'a, str>> {
        self.get(field)?.text()
    }

    fn is_set(&self, field: ZeekField) -> bool {
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
    fn number(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Json(raw) if raw.text.starts_with('"') => raw.string(),
            Self::Json(raw) => Some(Cow::Borrowed(raw.text)),
            Self::Tsv(cell, _) => Some(Cow::Borrowed(cell.text)),
        }
    }

    fn boolean(self) -> Option<bool> {
        match self {
            Self::Json(raw) => json::boolean(raw.text),
            Self::Tsv(Raw { text: "T", .. }, _) => Some(true),
            Self::Tsv(Raw { text: "F", .. }, _) => Some(false),
            Self::Tsv(..) => None,
        }
    }

    /// Calls `each` with the elements of a set or vector that are set.
    fn elements(self, mut each: impl FnMut(&str)) {
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
    fn first_element(self) -> Option<Cow<'a, str>> {
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
    fn raw(self) -> &'a str {
        match self {
            Self::Json(raw) | Self::Tsv(raw, _) => raw.text,
        }
    }

    /// What sets are cut by, and what stands for an empty set and for nothing; of JSON nothing.
    fn markers(self) -> [&'a str; 3] {
        match self {
            Self::Json(_) => [""; 3],
            Self::Tsv(_, header) => header.markers(),
        }
    }
}

/// Whether the text of a time is ISO 8601, and no number.
fn is_iso(text: &str) -> bool {
    text.bytes().any(|byte| byte == b'T')
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

/// What the rest of a record is made of, beside its line.
pub(super) struct Read {
    pub(super) time: Option<EventTime>,
    pub(super) sensor: Option<crate::model::Span>,
    pub(super) faults: Faults,
    pub(super) body: Body,
}

/// Reads the fields of a record of `log`.
pub(super) fn read(output: &mut Output<'_>, fields: &ZeekFields<'_>, log: Log, header: Option<&TsvHeader>) -> Read {
    let mut faults = Faults::default();
    let (time, clock_form) = time_of(output, fields, &mut faults);
    let sensor = fields.text(ZeekField::System).map(|name| output.span(&name));
    let body = match log {
        Log::ZeekSsl => Body::Session(session(output, fields, &mut faults, header)),
        Log::ZeekX509 => certificate_record(output, fields, &mut faults, clock_form),
        Log::ZeekFiles => hash_pair(fields).map_or(Body::Skipped, Body::HashPair),
        Log::ZeekKnownCerts => Body::PassThrough,
        _ => Body::Skipped,
    };
    Read { time, sensor, faults, body }
}

/// How a log writes its times.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ClockForm {
    Seconds,
    Millis,
}

fn time_of(output: &mut Output<'_>, fields: &ZeekFields<'_>, faults: &mut Faults) -> (Option<EventTime>, ClockForm) {
    let Some(cell) = fields.get(ZeekField::Time) else {
        faults.push(Fault::new(FaultField::Time, Problem::Missing));
        return (None, ClockForm::Seconds);
    };
    let text = cell.number();
    if let Some(time) = text.as_deref().and_then(|text| output.memos.times.parse_usual(text)) {
        return (Some(time), ClockForm::Seconds);
    }
    let form = clock_form(cell);
    let time = text.as_deref().and_then(|text| match form {
        _ if is_iso(text) => {
            output.memos.times.remember(text);
            EventTime::parse_iso8601(text)
        }
        ClockForm::Millis => EventTime::parse_millis(text),
        ClockForm::Seconds => EventTime::parse_epoch(text),
    });
    if time.is_none() {
        faults.push(Fault::new(FaultField::Time, Problem::NotATime));
    }
    (time, form)
}

/// Milliseconds are whole numbers beyond what seconds reach before the year 5138.
fn clock_form(cell: Cell<'_>) -> ClockForm {
    let digits = cell.raw().trim_start_matches('-');
    let whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if whole && digits.len() >= 12 { ClockForm::Millis } else { ClockForm::Seconds }
}

fn session(
    output: &mut Output<'_>,
    fields: &ZeekFields<'_>,
    faults: &mut Faults,
    header: Option<&TsvHeader>,
) -> Session {
    let client = address(output, fields, ZeekField::Client, FaultField::Client, faults);
    let server = address(output, fields, ZeekField::Server, FaultField::Server, faults);
    let server_port = fields.get(ZeekField::ServerPort).and_then(Cell::number).and_then(|text| {
        text.parse().map_err(|_| faults.push(Fault::new(FaultField::ServerPort, Problem::NotAPort))).ok()
    });
    let server_name = text_or_fault(fields, ZeekField::ServerName, FaultField::ServerName, faults);
    let server_name = server_name.filter(|name| !name.is_empty());
    let chain_logged = fields.is_set(ZeekField::ChainFps)
        || fields.is_set(ZeekField::ChainFuids)
        || header.is_none_or(|header| header.has(ZeekField::ChainFps) || header.has(ZeekField::ChainFuids));
    let validation = fields.text(ZeekField::ValidationStatus);
    // A header says which columns exist; JSON leaves unset fields out, so there 4.1 and its certificate column stand for
    // the columns that came with it.
    let name_match_exists = match header {
        Some(header) => header.has(ZeekField::SniMatchesCert),
        None => fields.is_set(ZeekField::ChainFps),
    };
    let leaf_unparsed_hint = UnparsedHint {
        no_name_match: name_match_exists && server_name.is_some() && !fields.is_set(ZeekField::SniMatchesCert),
        no_validation: validation.is_none(),
        validation_column: header.is_some_and(|header| header.has(ZeekField::ValidationStatus)),
    };
    let name = server_name.as_deref().and_then(|name| output.memos.name_ids(name));
    let service = server.zip(server_port).map(|(server, port)| output.memos.service(server, port, name));
    Session {
        client,
        server,
        server_port,
        name,
        server_name: server_name.map(|name| output.span(&name)),
        version: fields.text(ZeekField::Version).map_or(TlsVersion::Unknown, |version| version_of(&version)),
        resumed: fields.get(ZeekField::Resumed).and_then(Cell::boolean).unwrap_or(false),
        established: fields.get(ZeekField::Established).and_then(Cell::boolean),
        chain: first_reference(output, fields, [ZeekField::ChainFps, ZeekField::ChainFuids]),
        client_chain: first_reference(output, fields, [ZeekField::ClientChainFps, ZeekField::ClientChainFuids]),
        chain_logged,
        leaf_unparsed_hint,
        flow: None,
        validation_status: validation.map(|status| output.span(&status)),
        leaf: None,
        presented: None,
        client_leaf: None,
        service,
        client_fingerprints: client_fingerprints(
            output,
            fields.text(ZeekField::Ja3).as_deref(),
            fields.text(ZeekField::Ja4).as_deref(),
        ),
    }
}

/// `TLSv13`, its drafts and the DTLS form.
fn version_of(version: &str) -> TlsVersion {
    let version = version.strip_prefix('D').unwrap_or(version);
    if version.is_empty() {
        TlsVersion::Unknown
    } else if version.starts_with("TLSv13") {
        TlsVersion::Tls13
    } else {
        TlsVersion::Older
    }
}

/// What the session calls the first certificate of a chain: it is judged, and nobody asks for the others.
fn first_reference(output: &mut Output<'_>, fields: &ZeekFields<'_>, either: [ZeekField; 2]) -> ReferenceRange {
    let cell = either.into_iter().find_map(|field| fields.get(field));
    cell.and_then(Cell::first_element).map_or(ReferenceRange::default(), |text| output.reference(&text, reference))
}

/// What a session calls a certificate: by the certificate's identity where it is a SHA-256 or SHA-1, else by a hash of the text.
fn reference(text: &str) -> CertificateId {
    match text.len() {
        64 => Sha256Digest::parse(text).map(|digest| Id128::of(&digest.0)),
        40 => Sha1Digest::parse(text).map(|digest| Id128::of_parts(&[b"sha1", &digest.0])),
        _ => None,
    }
    .unwrap_or_else(|| Id128::of_parts(&[b"reference", text.as_bytes()]))
}

fn address(
    output: &mut Output<'_>,
    fields: &ZeekFields<'_>,
    field: ZeekField,
    fault: FaultField,
    faults: &mut Faults,
) -> Option<Address> {
    let Some(cell) = fields.get(field) else {
        faults.push(Fault::new(fault, Problem::Missing));
        return None;
    };
    let address = cell.text().and_then(|text| output.memos.address(&text));
    if address.is_none() {
        faults.push(Fault::new(fault, Problem::NotAnAddress));
    }
    address
}

fn text_or_fault<'a>(
    fields: &ZeekFields<'a>,
    field: ZeekField,
    fault: FaultField,
    faults: &mut Faults,
) -> Option<Cow<'a, str>> {
    let cell = fields.get(field)?;
    let text = cell.text();
    if text.is_none() {
        faults.push(Fault::new(fault, Problem::NotText));
    }
    text
}

fn certificate_record(
    output: &mut Output<'_>,
    fields: &ZeekFields<'_>,
    faults: &mut Faults,
    clock_form: ClockForm,
) -> Body {
    const KEY_FIELDS: [ZeekField; 18] = [
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
    // The same text means another moment to a sensor in another zone, and another list where sets are cut elsewhere.
    let (context, source) = (output.context, output.source());
    let markers = KEY_FIELDS.iter().find_map(|&field| fields.get(field)).map_or([""; 3], Cell::markers);
    let mut parts = [""; KEY_FIELDS.len() + 6];
    parts[0] = "zeek";
    parts[1] = source.time_zone.as_ref().map_or("", |zone| zone.name());
    parts[2] = if clock_form == ClockForm::Millis { "ms" } else { "s" };
    parts[3..6].copy_from_slice(&markers);
    for (part, field) in parts[6..].iter_mut().zip(KEY_FIELDS) {
        // No cell is a line end; one may be empty.
        *part = fields.get(field).map_or("\n", Cell::raw);
    }
    let (certificate, found) = output.memos.certificate(&parts, || {
        let key = Id128::of_parts(&parts.map(str::as_bytes));
        let certificate =
            context.certificates.get_or_read(key, || Some(certificate(fields, context, source, clock_form)));
        (certificate, certificate_faults(fields, clock_form))
    });
    found.iter().for_each(|fault| faults.push(*fault));
    let Some(certificate) = certificate else { return Body::PassThrough };
    if fields.is_set(ZeekField::Der) && certificate.source != CertificateSource::Der {
        faults.push(Fault::new(FaultField::Der, Problem::Unreadable));
    }
    let name = fields.text(ZeekField::Fingerprint).or_else(|| fields.text(ZeekField::FileId));
    Body::Certificate(CertificateRecord {
        certificate,
        reference: name.map(|name| reference(&name)),
        host: fields.get(ZeekField::HostCert).and_then(Cell::boolean),
    })
}

/// Fields of a certificate that are there and cannot be read.
fn certificate_faults(fields: &ZeekFields<'_>, clock_form: ClockForm) -> Faults {
    let mut faults = Faults::default();
    let times = [(ZeekField::NotBefore, FaultField::NotBefore), (ZeekField::NotAfter, FaultField::NotAfter)];
    for (field, fault) in times {
        if fields.get(field).is_some_and(|cell| validity_time(cell, clock_form).is_none()) {
            faults.push(Fault::new(fault, Problem::NotATime));
        }
    }
    if fields.get(ZeekField::Serial).is_some_and(|cell| cell.text().and_then(|text| Serial::parse(&text)).is_none()) {
        faults.push(Fault::new(FaultField::Serial, Problem::NotANumber));
    }
    for (field, fault) in [(ZeekField::Subject, FaultField::Subject), (ZeekField::Issuer, FaultField::Issuer)] {
        if fields.get(field).is_some_and(|cell| cell.text().is_none()) {
            faults.push(Fault::new(fault, Problem::NotText));
        }
    }
    faults
}

fn certificate(
    fields: &ZeekFields<'_>,
    context: &DecodeContext,
    source: &SourceInfo,
    clock_form: ClockForm,
) -> Certificate {
    let subject = fields.text(ZeekField::Subject);
    let issuer = fields.text(ZeekField::Issuer);
    if let Some(der) = fields.text(ZeekField::Der).and_then(|text| STANDARD.decode(text.as_bytes()).ok())
        && let Some(certificate) = certificate_from_der(&der, subject.as_deref(), issuer.as_deref())
    {
        return certificate;
    }
    let mut certificate = Certificate::unknown(CertificateSource::LogStrings);
    if let Some(fingerprint) = fields.text(ZeekField::Fingerprint) {
        certificate.sha256 = Sha256Digest::parse(&fingerprint);
        certificate.sha1 = Sha1Digest::parse(&fingerprint);
    }
    certificate.version = number(fields, ZeekField::CertificateVersion);
    certificate.serial = fields.text(ZeekField::Serial).and_then(|text| Serial::parse(&text));
    certificate.self_signed = match (&subject, &issuer) {
        (Some(subject), Some(issuer)) if subject == issuer => Some(SelfSigned::SameName),
        (Some(_), Some(_)) => Some(SelfSigned::No),
        _ => None,
    };
    certificate.subject = subject.map(|text| DistinguishedName::from_rfc2253(bounded(&text, MAX_DN)));
    certificate.issuer = issuer.map(|text| context.certificates.issuers.read(Printed::Rfc2253, bounded(&text, MAX_DN)));
    certificate.not_before = validity(fields, ZeekField::NotBefore, source, clock_form);
    certificate.not_after = validity(fields, ZeekField::NotAfter, source, clock_form);
    certificate.signature_algorithm = fields
        .text(ZeekField::SignatureAlgorithm)
        .filter(|name| !name.is_empty())
        .map(|name| bounded(&name, MAX_VALUE).into());
    certificate.key = key(fields);
    certificate.ca = fields.get(ZeekField::Ca).and_then(Cell::boolean);
    let mut san = SubjectAltNames::default();
    let mut each = |field, push: fn(&mut SubjectAltNames, &str)| {
        if let Some(cell) = fields.get(field) {
            cell.elements(|element| push(&mut san, bounded(element, MAX_VALUE)));
        }
    };
    each(ZeekField::SanDns, SubjectAltNames::push_dns);
    each(ZeekField::SanUri, SubjectAltNames::push_uri);
    each(ZeekField::SanEmail, SubjectAltNames::push_email);
    each(ZeekField::SanIp, SubjectAltNames::push_ip);
    certificate.san = Some(san);
    certificate.with_id()
}

/// One end of the validity, in UTC.
fn validity(
    fields: &ZeekFields<'_>,
    field: ZeekField,
    source: &SourceInfo,
    clock_form: ClockForm,
) -> Option<ValidityTime> {
    let time = validity_time(fields.get(field)?, clock_form)?;
    Some(source.time_zone.as_ref().map_or(time, |zone| time.undo_local(zone)))
}

/// Zeek writes `0` for a time that it could not read, with a weird beside it.
fn validity_time(cell: Cell<'_>, clock_form: ClockForm) -> Option<ValidityTime> {
    let text = cell.number()?;
    match clock_form {
        _ if is_iso(&text) => ValidityTime::parse_iso8601(&text),
        ClockForm::Millis => ValidityTime::parse_millis(&text),
        ClockForm::Seconds => ValidityTime::parse_epoch(&text),
    }
    .filter(|time| time.0 != 0)
}

fn key(fields: &ZeekFields<'_>) -> Option<Key> {
    let algorithm = match fields.text(ZeekField::KeyType) {
        Some(kind) => bounded(&kind, MAX_VALUE).to_lowercase(),
        None => match &*fields.text(ZeekField::KeyAlgorithm)? {
            "rsaEncryption" | "rsassaPss" => "rsa".to_owned(),
            "id-ecPublicKey" => "ecdsa".to_owned(),
            "dsaEncryption" => "dsa".to_owned(),
            other => bounded(other, MAX_VALUE).to_lowercase(),
        },
    };
    Some(Key {
        algorithm: algorithm.into(),
        bits: number(fields, ZeekField::KeyLength),
        curve: fields.text(ZeekField::Curve).map(|curve| bounded(&curve, MAX_VALUE).into()),
    })
}

fn number<T: std::str::FromStr>(fields: &ZeekFields<'_>, field: ZeekField) -> Option<T> {
    fields.get(field)?.number()?.parse().ok()
}

fn hash_pair(fields: &ZeekFields<'_>) -> Option<HashPair> {
    let mime_type = fields.text(ZeekField::MimeType)?;
    if !mime_type.contains("x509") && !mime_type.contains("pkix-cert") {
        return None;
    }
    Some(HashPair {
        sha1: Sha1Digest::parse(&fields.text(ZeekField::Sha1)?)?,
        sha256: Sha256Digest::parse(&fields.text(ZeekField::Sha256)?)?,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::super::{DecodeContext, Format, RawBatch, decode};
    use super::*;
    use crate::model::{Batch, Record, StreamKey};

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

    fn read_lines(format: &Format, lines: &[String]) -> Batch {
        let source = SourceInfo { stream: StreamKey([0; 32]), path: "".into(), sensor: None, time_zone: None };
        let raw = RawBatch { bytes: lines.concat().into_bytes(), offset: 0, format: format.clone(), oversize: None };
        decode(&DecodeContext::default(), &Arc::new(source), raw)
    }

    #[test]
    fn a_time_is_read_alike_whatever_came_before() {
        let times = [
            r#""2018-03-24T17:15:20.629574Z""#,
            r#""2018-03-24T17:15:59.999999Z""#,
            r#""2018-03-24T17:15:60.000000Z""#,
            r#""2018-03-24T17:15:20.6Z""#,
            r#""2018-03-24T17:15:20.629574+0000""#,
            r#""2018-03-24T17:15:20.629574+0100""#,
            r#""2018-03-24T17:15:20.629574""#,
            r#""2018-03-24\u005417:15:20.629574Z""#,
            r#""2018-03-24 17:15:20.629574Z""#,
            r#""2018-03-24 17:15:20 UTC""#,
            r#""2018-03-24t17:15:20.629574Z""#,
            r#""2018-03-24T17:15""#,
            "1521911720.615923",
            r#""1521911720.615923""#,
            "1521911720615",
            "true",
        ];
        let format = Format::ZeekJson(Log::ZeekSsl);
        let read = |times: &[&str]| {
            let lines: Vec<_> = times.iter().map(|time| format!("{{\"ts\":{time},\"uid\":\"C1\"}}\n")).collect();
            read_lines(&format, &lines).records.iter().map(|record| (record.time, record.faults)).collect::<Vec<_>>()
        };
        for first in times {
            for second in times {
                assert_eq!(read(&[first, second]), [read(&[first]), read(&[second])].concat(), "{first} {second}");
            }
        }
        assert_eq!(read(&times[..1]), read(&times[7..8]));
    }

    #[test]
    fn a_subject_that_is_empty_is_not_one_that_is_unset() {
        let header = b"#path\tx509\n#fields\tts\tid\tcertificate.serial\tcertificate.subject\n\
            #types\ttime\tstring\tstring\tstring\n";
        let format = Format::ZeekTsv(Arc::new(TsvHeader::parse_block(header, "").unwrap()));
        let rows = ["-", "(empty)", "-", "(empty)"].map(|subject| format!("1.0\tF1\t0A\t{subject}\n"));
        let batch = read_lines(&format, &rows);
        let subject = |record: &Record| match &record.body {
            Body::Certificate(found) => found.certificate.subject.as_ref().map(|name| name.text().to_owned()),
            _ => panic!("it is a certificate"),
        };
        let subjects: Vec<_> = batch.records.iter().map(subject).collect();
        assert_eq!(subjects, [None, Some(String::new()), None, Some(String::new())]);
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
