//! Whatever happens to a line, it gives one record; wherever a stream is cut, the output is the same.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails where it cannot go on")]

use std::sync::{Arc, LazyLock};

use certsift::config::Config;
use certsift::correlate::{Backing, CertificateStore, Correlator, Judged, KeyTracker};
use certsift::decode::{DecodeContext, Detected, Format, RawBatch, decode, detect};
use certsift::encode::{Encoded, encode};
use certsift::history::History;
use certsift::knowledge::Knowledge;
use certsift::model::{Batch, Body, SourceInfo, StreamKey};
use certsift::source::{LineReader, Lines, Splitter};
use certsift::state::CertificateSpill;
use proptest::prelude::*;
use serde::de::IgnoredAny;

/// A format by its file name, header (or none) and lines as sensors write them.
struct Sample {
    name: &'static str,
    header: &'static str,
    lines: Vec<String>,
}

const TSV_SSL: &str = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tssl\n#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tversion\tserver_name\tresumed\testablished\tcert_chain_fps\tsni_matches_cert\n#types\ttime\tstring\taddr\tport\taddr\tport\tstring\tstring\tbool\tbool\tvector[string]\tbool\n";
const TSV_X509: &str = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tx509\n#fields\tts\tfingerprint\tcertificate.version\tcertificate.serial\tcertificate.subject\tcertificate.issuer\tcertificate.not_valid_before\tcertificate.not_valid_after\tcertificate.key_length\tsan.dns\tsan.ip\tbasic_constraints.ca\thost_cert\n#types\ttime\tstring\tcount\tstring\tstring\tstring\ttime\ttime\tcount\tvector[string]\tvector[addr]\tbool\tbool\n";

static SAMPLES: LazyLock<Vec<Sample>> = LazyLock::new(|| {
    let fingerprint = "7812c001f7cda45a7c745a0e692d874c4f0319b2fd1bd49f2d199e0e7b0c1b3c";
    let file = |name: &str| {
        let path = format!("{}/sample_logs/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    vec![
        Sample {
            name: "ssl.log",
            header: TSV_SSL,
            lines: vec![
                format!(
                    "1773022447.177746\tCx\t10.20.1.24\t51411\t198.51.100.202\t443\tTLSv12\tworld.example\tF\tT\t{fingerprint},ab\tT"
                ),
                "1773022448.5\tCy\t2001:db8::1\t1\tfe80::2\t65535\t-\t-\tT\tF\t(empty)\t-".to_owned(),
                r"1.7730224e+09	C\x09z	10.0.0.1	1	10.0.0.2	443	TLSv13	h\xc3\xb8st	F	T	-	F".to_owned(),
            ],
        },
        Sample {
            name: "x509.log",
            header: TSV_X509,
            lines: vec![
                format!(
                    "1773022447.0\t{fingerprint}\t3\t08BB00EE\tCN=Major Cobalt Strike,O=cobaltstrike,C=Earth\tCN=Major Cobalt Strike,O=cobaltstrike,C=Earth\t1432146384.000000\t2.385642e+09\t2048\ta.example,b\\x2c\t192.0.2.1,2001:db8::1\tT\tT"
                ),
                format!(
                    "1773022447.0\t{fingerprint}\t3\t-5B629BB1\tCN=a\\\\,b+O=\\\\C3\\\\B8\t(empty)\t0.000000\t-1\t-\t-\t(empty)\t-\tF"
                ),
            ],
        },
        Sample { name: "json_streaming_ssl.log", header: "", lines: file("zeek-json/json_streaming_ssl.log") },
        Sample { name: "json_streaming_x509.log", header: "", lines: file("zeek-json/json_streaming_x509.log") },
        Sample { name: "eve.json", header: "", lines: file("suricata/eve.json") },
    ]
});

static KNOWLEDGE: LazyLock<Knowledge> = LazyLock::new(|| Knowledge::builtin().unwrap());

/// A change to a line's bytes.
#[derive(Clone, Debug)]
enum Mutation {
    Flip(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Behead(prop::sample::Index),
    Insert(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index, u8),
}

impl Mutation {
    fn apply(&self, line: &mut Vec<u8>) {
        let place = |index: &prop::sample::Index, line: &[u8]| index.index(line.len() + 1);
        match self {
            Self::Flip(index, bits) => {
                let at = place(index, line);
                line.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= bits);
            }
            Self::Cut(index) => line.truncate(place(index, line)),
            Self::Behead(index) => drop(line.drain(..place(index, line))),
            Self::Insert(index, bytes) => {
                let at = place(index, line);
                line.splice(at..at, bytes.iter().copied());
            }
            Self::Remove(index, count) => {
                let at = place(index, line);
                let end = line.len().min(at + usize::from(*count));
                line.drain(at..end);
            }
        }
    }
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let index = any::<prop::sample::Index>;
    // What a format gives a meaning to, and noise.
    let pieces = prop_oneof![
        prop::sample::select(vec![
            "\"",
            "\\",
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\t",
            "#",
            "-",
            "(empty)",
            "\\x",
            "\\xff",
            "\\ud800",
            "@cee:",
            "\r",
            "\0",
            "\u{feff}",
            "1e400",
            "-1e30",
            "null",
            "\"certsift\":1,",
            "\"ts\":",
            "=",
            "/",
            "+",
            " ",
            "é",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 1..6),
    ];
    prop_oneof![
        (index(), 1u8..).prop_map(|(at, bits)| Mutation::Flip(at, bits)),
        index().prop_map(Mutation::Cut),
        index().prop_map(Mutation::Behead),
        (index(), pieces).prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        (index(), 1u8..20).prop_map(|(at, count)| Mutation::Remove(at, count)),
    ]
}

/// Some lines of one sample, each with its changes; now and then a line end is among them.
fn stream() -> impl Strategy<Value = (usize, Vec<u8>)> {
    let line = (any::<prop::sample::Index>(), prop::collection::vec(mutation(), 0..4));
    let ends = prop::sample::select(vec!["\n", "\n", "\n", "\r\n", "\n\n", "\n \n"]);
    (0..SAMPLES.len(), prop::collection::vec((line, ends), 1..12)).prop_map(|(number, lines)| {
        let sample = &SAMPLES[number];
        let mut bytes = sample.header.as_bytes().to_vec();
        for ((index, mutations), end) in lines {
            let mut line = index.get(&sample.lines).clone().into_bytes();
            mutations.iter().for_each(|mutation| mutation.apply(&mut line));
            bytes.extend(line);
            bytes.extend(end.as_bytes());
        }
        (number, bytes)
    })
}

fn format_of(sample: &Sample) -> Format {
    let head = format!("{}{}\n", sample.header, sample.lines[0]);
    match detect(head.as_bytes(), sample.name) {
        Detected::Format(format) => format,
        other => panic!("{}: {other:?}", sample.name),
    }
}

fn source() -> Arc<SourceInfo> {
    Arc::new(SourceInfo { stream: StreamKey([7; 32]), path: "-".into(), sensor: None, time_zone: None })
}

fn is_blank(line: &[u8]) -> bool {
    std::str::from_utf8(line).is_ok_and(|line| line.trim().is_empty())
}

/// The offsets of the lines that are records.
fn expected_offsets(bytes: &[u8], headers: bool) -> Vec<u64> {
    let mut offset = 0;
    let mut found = Vec::new();
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        if !(is_blank(line) || headers && line.starts_with(b"#")) {
            found.push(offset);
        }
        offset += line.len() as u64;
    }
    found
}

/// The whole way of one input from bytes to bytes, as `replay` goes it.
struct Pipeline {
    context: DecodeContext,
    correlator: Correlator,
    keys: KeyTracker,
    splitter: Splitter,
    judged: Vec<Judged>,
}

impl Pipeline {
    fn new(sample: &Sample) -> Self {
        let config = Config::default();
        let history = History::new(config.history, false);
        Self {
            context: DecodeContext::default(),
            correlator: Correlator::new(
                config.join.clone(),
                CertificateStore::new(Backing::Spill(CertificateSpill::default())),
                history,
                false,
            ),
            keys: KeyTracker::default(),
            splitter: Splitter::new(sample.name, Some(format_of(sample))),
            judged: Vec::new(),
        }
    }

    fn push(&mut self, lines: Lines) {
        let mut batches: Vec<Arc<Batch>> = Vec::new();
        let (context, source) = (&self.context, source());
        self.splitter.split(lines, &mut |raw| batches.push(Arc::new(decode(context, &source, raw))));
        for batch in batches {
            for index in 0..batch.records.len() {
                let key = self.keys.next(batch.records[index].time);
                self.correlator.process(&batch, index as u32, key, &mut |judged| self.judged.push(judged));
            }
        }
    }

    fn finish(mut self) -> Encoded {
        self.correlator.finish(&mut |judged| self.judged.push(judged));
        encode(&self.judged, &KNOWLEDGE, &Config::default().encode_settings(), Vec::new())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_line_gives_one_record_and_every_record_one_line_of_json((number, bytes) in stream()) {
        let sample = &SAMPLES[number];
        let context = DecodeContext::default();
        let format = format_of(sample);
        let headers = matches!(format, Format::ZeekTsv(_));
        let raw = RawBatch { bytes: bytes.clone(), offset: 0, format, oversize: None };
        let batch = decode(&context, &source(), raw);
        prop_assert_eq!(batch.end_offset, bytes.len() as u64);
        let offsets: Vec<u64> = batch.records.iter().map(|record| record.offset).collect();
        prop_assert_eq!(offsets, expected_offsets(&bytes, headers));
        for record in &batch.records {
            let at = record.offset as usize;
            match &record.body {
                Body::DeadLetter(letter) => prop_assert!(bytes[at..].starts_with(&letter.bytes)),
                _ => {
                    let line = record.line.of(&batch.text);
                    prop_assert!(serde_json::from_str::<IgnoredAny>(line).is_ok(), "{}", line);
                    let is_object = line.starts_with('{') && line.ends_with('}');
                    prop_assert!(is_object);
                    if !headers {
                        let whole = bytes[at..].split(|&byte| byte == b'\n').next().unwrap_or_default();
                        prop_assert!(memchr::memmem::find(whole, line.as_bytes()).is_some(), "{}", line);
                    }
                }
            }
        }
    }

    #[test]
    fn whatever_is_judged_leaves_once_as_json((number, bytes) in stream()) {
        let sample = &SAMPLES[number];
        let mut pipeline = Pipeline::new(sample);
        pipeline.push(Lines { bytes: bytes.clone(), offset: 0, oversize: None });
        let encoded = pipeline.finish();
        let written = encoded.lines.split_inclusive(|&byte| byte == b'\n').collect::<Vec<_>>();
        for line in &written {
            let text = std::str::from_utf8(line).unwrap();
            prop_assert!(serde_json::from_str::<IgnoredAny>(text).is_ok(), "{}", text);
        }
        let dead = encoded.dead_letters.split_inclusive(|&byte| byte == b'\n').collect::<Vec<_>>();
        for line in &dead {
            prop_assert!(serde_json::from_slice::<IgnoredAny>(line).is_ok());
        }
        let records = expected_offsets(&bytes, !sample.header.is_empty()).len();
        let counts = &encoded.counts;
        prop_assert_eq!(written.len() as u64, counts.total_written());
        prop_assert_eq!(dead.len() as u64, counts.dead_letters);
        prop_assert_eq!(records as u64, counts.total_written() + counts.dead_letters + counts.not_written);
        // A record that could not be handled would say so; that would be a fault of certsift.
        prop_assert!(memchr::memmem::find(&encoded.lines, b"record:failed").is_none());
        prop_assert!(memchr::memmem::find(&encoded.dead_letters, b"certsift failed").is_none());
    }

    #[test]
    fn where_a_stream_is_cut_between_lines_does_not_matter(
        (number, bytes) in stream(),
        cuts in prop::collection::vec(any::<bool>(), 1..40),
    ) {
        let sample = &SAMPLES[number];
        let mut whole = Pipeline::new(sample);
        whole.push(Lines { bytes: bytes.clone(), offset: 0, oversize: None });
        let mut cut = Pipeline::new(sample);
        let (mut start, mut end) = (0, 0);
        for (line, is_cut) in bytes.split_inclusive(|&byte| byte == b'\n').zip(cuts.iter().cycle()) {
            end += line.len();
            if *is_cut || end == bytes.len() {
                cut.push(Lines { bytes: bytes[start..end].to_vec(), offset: start as u64, oversize: None });
                start = end;
            }
        }
        let (whole, cut) = (whole.finish(), cut.finish());
        prop_assert_eq!(String::from_utf8(whole.lines), String::from_utf8(cut.lines));
        prop_assert_eq!(whole.dead_letters, cut.dead_letters);
        prop_assert_eq!(whole.counts, cut.counts);
    }

    #[test]
    fn how_much_is_read_at_a_time_does_not_matter((number, bytes) in stream(), target in 1usize..2000) {
        let sample = &SAMPLES[number];
        let through = |target: usize| {
            let mut reader = LineReader::new(&bytes[..]);
            let mut pipeline = Pipeline::new(sample);
            while let Some(lines) = reader.next(target).unwrap() {
                pipeline.push(lines);
            }
            pipeline.finish()
        };
        let (small, large) = (through(target), through(1 << 20));
        prop_assert_eq!(String::from_utf8(small.lines), String::from_utf8(large.lines));
        prop_assert_eq!(small.dead_letters, large.dead_letters);
    }

    #[test]
    fn a_header_of_any_bytes_is_taken_or_refused_and_rows_are_counted(
        mutations in prop::collection::vec(mutation(), 1..6),
        (number, bytes) in (0usize..2, Just(())).prop_map(|(number, ())| {
            let sample = &SAMPLES[number];
            (number, sample.header.as_bytes().to_vec())
        }),
    ) {
        let sample = &SAMPLES[number];
        let mut header = bytes;
        mutations.iter().for_each(|mutation| mutation.apply(&mut header));
        header.push(b'\n');
        let rows = sample.lines.join("\n") + "\n";
        let content = [&header[..], rows.as_bytes()].concat();
        let format = match detect(&content, sample.name) {
            Detected::Format(format) => format,
            Detected::NotALog | Detected::Undecided => Format::Unknown,
        };
        let headers = matches!(format, Format::ZeekTsv(_));
        let bare = matches!(&format, Format::ZeekTsv(header) if header.is_bare());
        let mut splitter = Splitter::new(sample.name, Some(format));
        let context = DecodeContext::default();
        let mut found = Vec::new();
        splitter.split(Lines { bytes: content.clone(), offset: 0, oversize: None }, &mut |raw| {
            found.extend(decode(&context, &source(), raw).records.iter().map(|record| record.offset));
        });
        if !bare {
            let begins_with_mark = content.strip_prefix(b"\xef\xbb\xbf".as_slice()).is_some_and(|rest| rest[0] == b'#');
            let skipped = u64::from(headers && begins_with_mark) * 3;
            let expected: Vec<u64> = expected_offsets(&content[skipped as usize..], headers)
                .into_iter().map(|offset| offset + skipped).collect();
            prop_assert_eq!(found, expected);
        }
    }
}

#[test]
fn cells_are_read_by_the_header_of_their_own_log() {
    let context = DecodeContext::default();
    let read = |separator: &str| {
        let header = TSV_X509.replace("#set_separator\t,", &format!("#set_separator\t{separator}"));
        let row = "1773022447.1\tF1\t3\t01\tCN=a\tCN=b\t-\t-\t2048\ta.example;b.example\t-\tF\tT\n";
        let bytes = (header + row).into_bytes();
        let Detected::Format(format) = detect(&bytes, "x509.log") else { panic!("no x509.log") };
        let (stream, path) = (StreamKey([1; 32]), "x509.log".into());
        let source = Arc::new(SourceInfo { stream, path, sensor: None, time_zone: None });
        let batch = decode(&context, &source, RawBatch { bytes, offset: 0, format, oversize: None });
        batch.records.iter().find_map(|record| match &record.body {
            Body::Certificate(found) => found.certificate.san.as_ref().map(|san| san.dns.len()),
            _ => None,
        })
    };
    assert_eq!([read(","), read(";"), read(",")], [Some(1), Some(2), Some(1)]);
}
