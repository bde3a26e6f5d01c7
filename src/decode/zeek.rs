//! What Zeek's two forms share: how fields become sessions and certificates.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::DecodeContext;
use super::bounds::{MAX_DN, MAX_VALUE, bounded};
use super::der::certificate_from_der;
use super::fingerprint::client_fingerprints;
use super::output::Output;
use super::zeek_fields::{CERTIFICATE_FIELDS, Cell, ZeekField, ZeekFields};
use super::zeek_tsv::TsvHeader;
use crate::model::{
    Address, Body, Certificate, CertificateId, CertificateRecord, CertificateSource, DistinguishedName, EventTime,
    Fault, FaultField, Faults, HashPair, Id128, Key, Log, Printed, Problem, ReferenceRange, SelfSigned, Serial,
    Session, Sha1Digest, Sha256Digest, SourceInfo, SubjectAltNames, TlsVersion, UnparsedHint, ValidityTime,
};

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
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ClockForm {
    Seconds,
    Millis,
}

/// When a record was written, and in which form it says so.
pub(super) fn time_of(
    output: &mut Output<'_>,
    fields: &ZeekFields<'_>,
    faults: &mut Faults,
) -> (Option<EventTime>, ClockForm) {
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

/// The form of the time that a record was written at.
pub(super) fn clock_form_of(fields: &ZeekFields<'_>) -> ClockForm {
    fields.get(ZeekField::Time).map_or(ClockForm::Seconds, clock_form)
}

/// Whether the text of a time is ISO 8601, and no number.
fn is_iso(text: &str) -> bool {
    text.bytes().any(|byte| byte == b'T')
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
pub(super) fn reference(text: &str) -> CertificateId {
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
    // The same text means another moment to a sensor in another zone, and another list where sets are cut elsewhere.
    let (context, source) = (output.context, output.source());
    let markers = CERTIFICATE_FIELDS.iter().find_map(|&field| fields.get(field)).map_or([""; 3], Cell::markers);
    let mut parts = [""; CERTIFICATE_FIELDS.len() + 6];
    parts[0] = "zeek";
    parts[1] = source.time_zone.as_ref().map_or("", |zone| zone.name());
    parts[2] = if clock_form == ClockForm::Millis { "ms" } else { "s" };
    parts[3..6].copy_from_slice(&markers);
    for (part, field) in parts[6..].iter_mut().zip(CERTIFICATE_FIELDS) {
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

    use super::super::{DecodeContext, Format, RawBatch, decode};
    use super::*;
    use crate::model::{Batch, Record, StreamKey};

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
}
