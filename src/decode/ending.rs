//! Certificates that were read before, by what their lines end with.
//!
//! The line of a certificate says when it was seen first, and then what it is, which is the same text the next time. So
//! what a line ends with, from the first field of the certificate on, is compared as a whole with what was read before,
//! and only the few fields in front of it are looked at.

use std::ops::Range;

use super::json;
use super::output::Output;
use super::scan::walk_alike_until;
use super::zeek::{self, ClockForm, Read};
use super::zeek_fields::{ZeekField, ZeekFields, ZeekKey, log_of_path};
use crate::model::{Body, CertificateRecord, Faults, Id128, Log, Record, SourceInfo};

/// What the end of a line says.
#[derive(Debug)]
pub(super) struct Ending {
    /// How its times were read: the zone of the sensor's clock, if one is set, and the form of the line's own time.
    zone: Box<str>,
    clock_form: ClockForm,
    /// The certificate, and whether it holds the fingerprint that sessions call it by.
    certificate: CertificateRecord,
    is_named: bool,
    faults: Faults,
    /// Of a row its header and its JSON, which begins behind what joins it to the text in front.
    row: Option<(Id128, Box<str>)>,
}

impl Ending {
    /// The JSON that is kept of a row.
    pub(super) fn json(&self) -> &str {
        self.row.as_ref().map_or("", |(_, json)| json)
    }
}

/// What stands between a value and the next key, as much of it as may have been written or not be wanted.
const JOINT: &str = "\",";

/// A line as far as the end that is compared.
pub(super) enum Known<'a> {
    /// A record was made of it.
    Read,
    /// What it ends with, which is worth noting.
    New(&'a str),
    /// Its fields do not stand as a sensor writes them.
    No,
}

/// Fields that may change from one sighting of a certificate to the next.
const OF_THE_SIGHTING: [ZeekField; 4] = [ZeekField::Time, ZeekField::Path, ZeekField::System, ZeekField::FileId];

/// Reads a line of JSON whose end was read before.
pub(super) fn read_known<'a>(
    output: &mut Output<'_>,
    fields: &mut ZeekFields<'a>,
    line: &'a str,
    offset: u64,
) -> Known<'a> {
    fields.clear();
    let (mut start, mut is_odd) = (None, false);
    let of_certificate = |key, at| {
        if matches!(key, ZeekKey::Field(field) if field.is_of_certificate()) {
            start = Some(at);
        }
        start.is_some()
    };
    walk_alike_until(line, &mut output.memos.zeek_keys, ZeekKey::named, of_certificate, |key, raw| match key {
        ZeekKey::Certsift | ZeekKey::Field(ZeekField::HostCert) => is_odd = true,
        ZeekKey::Nesting(..) if json::is_object(raw.text) => is_odd = true,
        ZeekKey::Nesting(_, Some(field)) | ZeekKey::Field(field) => fields.set_json(field, raw),
        ZeekKey::Nesting(_, None) | ZeekKey::Other => {}
    });
    let Some(end) = start.and_then(|start| line.get(start..)) else { return Known::No };
    if is_odd || fields.path().is_some_and(|path| log_of_path(&path) != Log::ZeekX509) {
        return Known::No;
    }
    let Some((read, _)) = read_end(output, fields, end, None) else { return Known::New(end) };
    let line = output.span(line);
    output.push(Record {
        log: Log::ZeekX509,
        offset,
        line,
        time: read.time,
        empty_object: false,
        sensor: read.sensor,
        faults: read.faults,
        body: read.body,
    });
    Known::Read
}

/// What a line says that ends with `end`, if that was noted; `fields` are those in front. Of a row the header is given
/// and how much of the [`JOINT`] is there already: then its JSON is added, and where that ends is given.
pub(super) fn read_end(
    output: &mut Output<'_>,
    fields: &ZeekFields<'_>,
    end: &str,
    row: Option<(Id128, usize)>,
) -> Option<(Read, usize)> {
    let mut faults = Faults::default();
    let (time, clock_form) = zeek::time_of(output, fields, &mut faults);
    let ending = output.memos.ending(end)?;
    if ending.clock_form != clock_form || *ending.zone != *zone_of(output.source) {
        return None;
    }
    match (row, &ending.row) {
        (Some((header, joined)), Some((known, json))) if header == *known => {
            output.added.push_str(&JOINT[joined..]);
            output.added.push_str(json);
        }
        (None, None) => {}
        _ => return None,
    }
    let json_end = output.added.len();
    ending.faults.iter().for_each(|fault| faults.push(*fault));
    let (mut certificate, is_named) = (ending.certificate.clone(), ending.is_named);
    let sensor = fields.text(ZeekField::System).map(|name| output.span(&name));
    if !is_named {
        certificate.reference = fields.text(ZeekField::FileId).map(|name| zeek::reference(&name));
    }
    Some((Read { time, sensor, faults, body: Body::Certificate(certificate) }, json_end))
}

/// Notes what was read of a line that ends with `end`, unless a line with the same end may say something else: there may
/// be fields in it of which those that stand in front count no more. `row` is what is to be noted of a row: its header,
/// the JSON of its end, and how much of the [`JOINT`] is not in that.
pub(super) fn note(
    output: &mut Output<'_>,
    fields: &ZeekFields<'_>,
    end: &str,
    read: &Read,
    row: Option<(Id128, Range<usize>, usize)>,
) {
    let Body::Certificate(certificate) = &read.body else { return };
    // An unset field leaves no place. Without a time of its own, what is at fault is not the certificate alone.
    if !fields.stand_before(end, &OF_THE_SIGHTING)
        || memchr::memmem::find(end.as_bytes(), b"null").is_some()
        || fields.log_like(Log::ZeekOther) != Log::ZeekX509
        || read.time.is_none()
    {
        return;
    }
    let row = row.and_then(|(header, json, joined)| {
        let json = output.added.get(json)?.get(JOINT.len() - joined..)?;
        Some((header, json.into()))
    });
    let ending = Ending {
        zone: zone_of(output.source()).into(),
        clock_form: zeek::clock_form_of(fields),
        certificate: certificate.clone(),
        is_named: fields.text(ZeekField::Fingerprint).is_some(),
        faults: read.faults,
        row,
    };
    output.memos.note_ending(end, ending);
}

fn zone_of(source: &SourceInfo) -> &str {
    source.time_zone.as_ref().map_or("", |zone| zone.name())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{DecodeContext, Format, RawBatch, TsvHeader, decode};
    use super::*;
    use crate::model::{StreamKey, TimeZone};

    const FORMAT: Format = Format::ZeekJson(Log::ZeekX509);

    fn source(zone: Option<&str>) -> Arc<SourceInfo> {
        let time_zone = zone.map(|zone| TimeZone::named(zone).unwrap());
        Arc::new(SourceInfo { stream: StreamKey([0; 32]), path: "".into(), sensor: None, time_zone })
    }

    /// All that is read of a line.
    fn read(context: &DecodeContext, zone: Option<&str>, format: &Format, line: &str) -> String {
        let bytes = format!("{line}\n").into_bytes();
        let batch =
            decode(context, &source(zone), RawBatch { bytes, offset: 0, format: format.clone(), oversize: None });
        format!("{batch:?}")
    }

    #[test]
    fn a_line_is_read_alike_whatever_came_before() {
        let heads = [
            r#""ts":1.5,"id":"F1","#,
            r#""ts":"2018-03-24T17:15:20.629574Z","id":"F2","#,
            r#""_path":"x509","_system_name":"a\u0062","ts":1521911720615,"id":"F3","#,
            r#""_path":"ssl","ts":1.5,"#,
            r#""_path":"files","ts":1.5,"id":"F4","#,
            r#""ts":"never","id":"F5","#,
            r#""id":null,"#,
            r#""ts":1.5,"certsift":{},"#,
            r#""ts":1.5,"host_cert":true,"#,
            r#""ts":1.5,"id.orig_h":"10.0.0.1","established":true,"#,
            r#""ts":1.5,"certificate":{"subject":"CN=b"},"#,
            r#""ts":1.5,,"#,
            r#""ts":1.5,"fingerprint":null,"#,
            "",
        ];
        let ends = [
            r#""certificate.serial":"0A","certificate.subject":"CN=a","certificate.not_valid_after":1893456000}"#,
            r#""certificate.serial":"0A","certificate.subject":"CN=a","certificate.not_valid_after":1893456000000}"#,
            r#""certificate.serial":"x","certificate.subject":1,"certificate.issuer":2,"certificate.not_valid_before":true,"certificate.not_valid_after":"","cert":"x"}"#,
            r#""fingerprint":"0f","certificate.subject":"","host_cert":true}"#,
            r#""fingerprint":"0f","certificate.subject":"CN=a","host_cert":false}"#,
            r#""fingerprint":"0f","certificate.key_alg":"rsaEncryption"}"#,
            r#""certificate.subject":"CN=a","id":"F9"}"#,
            r#""certificate.subject":"CN=a","i\u0064":null}"#,
            r#""certificate.subject":"CN=a","t\u0073":7.5}"#,
            r#""certificate.subject":"CN=a","_path":"ssl"}"#,
            r#""certificate.subject":"CN=a","certsift":1}"#,
            r#""certificate.subject":"CN=a","san":{"dns":["a.example"]}}"#,
            r#""certificate.subject":"CN=a","certificate.subject":null}"#,
            r#""certificate.subject":"CN=a""#,
        ];
        let lines: Vec<_> = heads.iter().flat_map(|head| ends.map(|end| format!("{{{head}{end}"))).collect();
        let zones = [None, Some("Asia/Tokyo")];
        let alone = |line: &String| zones.map(|zone| read(&DecodeContext::default(), zone, &FORMAT, line));
        let expected: Vec<_> = lines.iter().map(alone).collect();
        // Of every end each line comes after each other line, in either zone.
        for end in 0..ends.len() {
            let alike = || (end..lines.len()).step_by(ends.len());
            for first in alike() {
                for first_zone in zones {
                    let context = DecodeContext::default();
                    read(&context, first_zone, &FORMAT, &lines[first]);
                    for second in alike() {
                        for (zone, expected) in zones.into_iter().zip(&expected[second]) {
                            let line = &lines[second];
                            assert_eq!(&read(&context, zone, &FORMAT, line), expected, "{line} after {}", lines[first]);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_row_is_read_alike_whatever_came_before() {
        let header = |fields: &str, types: &str, more: &str| {
            let text = format!("#separator \\x09\n{more}#path\tx509\n#fields\t{fields}\n#types\t{types}\n");
            Format::ZeekTsv(Arc::new(TsvHeader::parse(text.as_bytes(), "x509.log").unwrap()))
        };
        let usual = "certificate.serial\tcertificate.subject\tcertificate.not_valid_after\tsan.dns";
        let types = "string\tstring\ttime\tvector[string]";
        let in_front = "time\tcount\tstring\t";
        let formats = [
            header(&format!("ts\tcount\tid\t{usual}"), &format!("{in_front}{types}"), "#set_separator\t,\n"),
            header(&format!("ts\tcount\tid\t{usual}"), &format!("{in_front}{types}"), "#set_separator\t;\n"),
            header(&format!("ts\tcount\tid\t{usual}"), &format!("{in_front}{types}"), "#unset_field\t0A\n"),
            header(&format!("ts\tcount\tid\t{usual}"), &format!("{in_front}string\tstring\tstring\tstring"), ""),
            header(&format!("ts\thost_cert\tid\t{usual}"), &format!("{in_front}{types}"), ""),
            header(&format!("ts\t_path\tid\t{usual}"), &format!("{in_front}{types}"), ""),
            header("ts\tcount\tx\tcertificate.serial\tcertificate.subject\tts\tid", &format!("{in_front}{types}"), ""),
            header(&format!("ts\tcertsift\tid\t{usual}"), &format!("{in_front}{types}"), ""),
        ];
        let heads = [
            "1.5\t3\tF1\t",
            "-\t3\tF2\t",
            "2018-03-24T17:15:20.629574Z\tT\t-\t",
            "1521911720615\t-\t-\t",
            "-\t-\t-\t",
            "1.5\tssl\tF\\x31\t",
            "1.5\tF1\t",
        ];
        let ends = [
            "0A\tCN=a\t1893456000\ta.example,b.example;c.example",
            "0A\tCN=a\t1893456000\t(empty)",
            "0A\t-\t1893456000000\t-",
            "-\t(empty)\t-\t-",
            "-\t-\t-\t-",
            "x\tCN=\\x2c\\\\,\"\t7.5\ta.example",
            "0A\tCN=a\t1893456000",
            "0A\tCN=a\t1893456000\ta.example\tmore",
            "",
        ];
        let zones = [None, Some("Asia/Tokyo")];
        for end in ends {
            let rows = heads.map(|head| format!("{head}{end}"));
            let all = || {
                let each = |format| rows.iter().flat_map(move |row| zones.map(|zone| (format, row, zone)));
                formats.iter().flat_map(each)
            };
            let expected: Vec<_> =
                all().map(|(format, row, zone)| read(&DecodeContext::default(), zone, format, row)).collect();
            for (format, first, zone) in all() {
                let context = DecodeContext::default();
                read(&context, zone, format, first);
                for ((format, row, zone), expected) in all().zip(&expected) {
                    assert_eq!(&read(&context, zone, format, row), expected, "{row} after {first}");
                }
            }
        }
    }

    #[test]
    fn what_a_line_ends_with_is_read_once() {
        let (context, source) = (DecodeContext::default(), source(None));
        let mut output = Output::new(&context, &source, &FORMAT);
        let mut fields = ZeekFields::new(None);
        let line =
            |id: &str| format!(r#"{{"ts":1.5,"id":"{id}","certificate.serial":"0A","certificate.subject":"CN=a"}}"#);
        let (first, second) = (line("F1"), line("F2"));
        assert!(matches!(read_known(&mut output, &mut fields, &first, 0), Known::New(_)));
        super::super::zeek_json::decode_line(&mut output, &mut fields, &first, 0, Log::ZeekX509);
        assert!(matches!(read_known(&mut output, &mut fields, &first, 0), Known::Read));
        assert!(matches!(read_known(&mut output, &mut fields, &second, 0), Known::Read));
        let batch = output.into_batch(String::new(), 0);
        let references: Vec<_> = batch
            .records
            .iter()
            .map(|record| match &record.body {
                Body::Certificate(found) => found.reference,
                _ => None,
            })
            .collect();
        assert_eq!(references, ["F1", "F1", "F2"].map(|id| Some(zeek::reference(id))));
    }

    #[test]
    fn what_a_row_ends_with_is_kept_as_json() {
        let header = b"#path\tx509\n#fields\tts\tid\tcertificate.serial\tcertificate.subject\n#types\ttime\tstring\tstring\tstring\n";
        let format = Format::ZeekTsv(Arc::new(TsvHeader::parse(header, "").unwrap()));
        let (context, source) = (DecodeContext::default(), source(None));
        for joint in ["1.5\tF1\t", "1.5\t-\t"] {
            let bytes = format!("{joint}0A\tCN=a\n").into_bytes();
            decode(&context, &source, RawBatch { bytes, offset: 0, format: format.clone(), oversize: None });
            let output = Output::new(&context, &source, &format);
            let json = output.memos.ending("0A\tCN=a").unwrap().json();
            assert_eq!(json, r#""certificate.serial":"0A","certificate.subject":"CN=a"}"#);
            output.into_batch(String::new(), 0);
        }
        // Escapes may make it several times as long.
        let end = format!("0A\t{}", "\u{1}".repeat(2000));
        let bytes = format!("1.5\tF1\t{end}\n").into_bytes();
        decode(&context, &source, RawBatch { bytes, offset: 0, format: format.clone(), oversize: None });
        assert!(Output::new(&context, &source, &format).memos.ending(&end).is_none());
    }
}
