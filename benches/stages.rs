//! What a record costs in each stage of the pipeline, on one thread, over the same batches.
//!
//! `cargo bench --bench stages` prints nanoseconds per record; `-- --records 50000 --rounds 1` is the short form. Logs are
//! those of the replay benchmark. `match` is the catalogue for every certificate that is met, once, and feeds for every
//! certificate and session; `encode` is all checks and the text, these look-ups among them.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark's output is its table")]

#[path = "replay/corpus.rs"]
mod corpus;
#[path = "replay/extend.rs"]
mod extend;
#[path = "replay/feed.rs"]
mod feed;
#[path = "replay/samples.rs"]
mod samples;
#[path = "process/thread.rs"]
mod thread;

use std::collections::HashSet;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use certsift::config::Config;
use certsift::correlate::{Backing, CertificateStore, Context, Correlator, Judged, KeyTracker, KnownCertificate};
use certsift::decode::{DecodeContext, RawBatch, decode};
use certsift::encode::{Encoded, encode};
use certsift::history::{Caller, History, Observation};
use certsift::knowledge::feeds::SessionNames;
use certsift::knowledge::{Feeds, Knowledge};
use certsift::model::{Address, Batch, Body, Direction, EventTime, SourceInfo, StreamKey};
use certsift::sink::{OpenMode, Output, Patience};
use certsift::source::{LineReader, Lines, Splitter, open};
use certsift::state::CertificateSpill;
use clap::Parser as _;

use corpus::Corpus;
use thread::on_cpu;

/// Measures each stage by itself.
#[derive(clap::Parser, Debug)]
struct Arguments {
    /// Sessions in a set of Zeek logs; all of them are in memory, in every stage's form
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    records: u64,
    /// Rounds, of which the table shows means
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Only sets whose name holds this; may be given several times
    #[arg(long = "set", value_name = "NAME")]
    sets: Vec<String>,
    /// Rows of the feed
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    rows: u32,
    /// Where the output goes; in memory, so that no disk is measured
    #[arg(long, value_name = "DIR", default_value = "/dev/shm")]
    scratch: PathBuf,
    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// Stages in the order of the pipeline; `join` is what correlating takes beside history.
const STAGES: [&str; 8] = ["read", "split", "decode", "join", "history", "match", "encode", "write"];
/// As in a replay.
const BATCH_BYTES: usize = 512 * 1024;
const CHUNK_RECORDS: usize = 4096;

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let feed = feed::make(&target.join("feeds"), arguments.rows)?;
    let (feeds, _) = Feeds::load(&[feed], EventTime(0));
    let knowledge = Knowledge { feeds: Arc::new(feeds), ..Knowledge::builtin()? };
    let corpus = Corpus::find(arguments.records);
    print!("{:<16} {:>8} {:>8}", "ns per record", "records", "bytes");
    STAGES.iter().for_each(|stage| print!(" {stage:>8}"));
    println!(" {:>8}", "all");
    let chosen = |name: &str| arguments.sets.is_empty() || arguments.sets.iter().any(|set| name.contains(set.as_str()));
    for set in corpus.sets.iter().filter(|set| chosen(&set.name)) {
        let extended =
            extend::make(set, &target.join("replay")).with_context(|| format!("cannot make {}", set.name))?;
        let mut paths =
            std::fs::read_dir(&extended.folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
        // Certificates come before sessions of the same time.
        paths.sort_by(|a, b| b.cmp(a));
        let output = arguments.scratch.join(format!("certsift-stages-{}.ndjson", std::process::id()));
        let mut rounds = Vec::new();
        for _ in 0..arguments.rounds {
            let (records, nanos) = round(&paths, &knowledge, &output)?;
            ensure!(records == extended.records, "{records} of {} records", extended.records);
            rounds.push(nanos.map(|nanos| nanos / records as f64));
        }
        std::fs::remove_file(&output)?;
        // The system counts a thread's time in steps of milliseconds: a median would keep them.
        let means: [f64; STAGES.len()] =
            std::array::from_fn(|stage| rounds.iter().map(|round| round[stage]).sum::<f64>() / rounds.len() as f64);
        print!("{:<16} {:>8} {:>8}", set.name, extended.records, extended.bytes() / extended.records.max(1));
        means.iter().for_each(|nanos| print!(" {nanos:>8.0}"));
        // What is looked up is part of encoding.
        let all: f64 = STAGES.iter().zip(means).filter(|(stage, _)| **stage != "match").map(|(_, nanos)| nanos).sum();
        println!(" {all:>8.0}");
    }
    Ok(())
}

/// Every stage once over everything; nanoseconds of each.
fn round(paths: &[PathBuf], knowledge: &Knowledge, output: &Path) -> anyhow::Result<(u64, [f64; STAGES.len()])> {
    let config = Config::default();
    let (lines, read) = timed(|| paths.iter().map(|path| read(path)).collect::<anyhow::Result<Vec<_>>>());
    let lines = lines?;
    let (raw, split) = timed(|| paths.iter().zip(lines).map(|(path, lines)| split(path, lines)).collect::<Vec<_>>());
    let context = DecodeContext::default();
    let sources = paths.iter().enumerate().map(|(number, path)| {
        let (stream, path) = (StreamKey([number as u8; 32]), path.to_string_lossy().into());
        Arc::new(SourceInfo { stream, path, sensor: None, time_zone: None })
    });
    let sources: Vec<_> = sources.collect();
    let decode_file = |(source, raw): (&Arc<SourceInfo>, Vec<RawBatch>)| {
        raw.into_iter().map(|raw| Arc::new(decode(&context, source, raw))).collect::<Vec<_>>()
    };
    let (batches, decoded) = timed(|| sources.iter().zip(raw).map(decode_file).collect::<Vec<_>>());
    let order = merged(&batches);
    let history = || History::new(config.history, false);
    let store = CertificateStore::new(Backing::Spill(CertificateSpill::default()));
    let mut correlator = Correlator::new(config.join.clone(), store, history(), false);
    correlator.set_knowledge(knowledge);
    let (judged, correlated) = timed(|| {
        let mut judged: Vec<Judged> = Vec::with_capacity(order.len());
        for (key, batch, index) in &order {
            correlator.process(batch, *index, *key, &mut |record| judged.push(record));
        }
        correlator.finish(&mut |record| judged.push(record));
        judged
    });
    let mut history = history();
    let ((), observed) = timed(|| {
        for observation in judged.iter().filter_map(observation) {
            black_box(history.observe(&observation, &mut |of| Some(format!("{of:?}").into())));
        }
    });
    let ((), matched) = timed(|| look_up(&judged, knowledge));
    let settings = config.encode_settings();
    let encode = || {
        judged.chunks(CHUNK_RECORDS).map(|chunk| encode(chunk, knowledge, &settings, Vec::new())).collect::<Vec<_>>()
    };
    let (encoded, encoding) = timed(encode);
    let dead_letters = output.with_extension("dead.ndjson");
    let mut sink = Output::open(Some(output), dead_letters, OpenMode::Replace, Patience::none())?;
    let write = |encoded: &Encoded| sink.write(&encoded.lines, &encoded.dead_letters);
    let (written, writing) = timed(|| encoded.iter().try_for_each(write));
    written?;
    let join = correlated - observed;
    let records = encoded.iter().map(|encoded| encoded.counts.total_written()).sum();
    Ok((records, [read, split, decoded, join, observed, matched, encoding, writing]))
}

/// What history is told of a session, made from what the session was judged with.
fn observation(judged: &Judged) -> Option<Observation> {
    let record = judged.batch.records.get(judged.index as usize)?;
    let (Context::Session(context), Body::Session(session)) = (&judged.context, &record.body) else { return None };
    let client = session.client.map(Address::client_id);
    let client = match context.direction {
        None | Some(Direction::Outbound) => client.map_or(Caller::Unnamed, Caller::Outgoing),
        Some(Direction::Internal) => Caller::Internal(client),
        Some(Direction::Inbound | Direction::Transit) => Caller::Outside,
    };
    Some(Observation {
        at: context.at,
        clock: context.clock,
        client,
        server: session.server.map(Address::server_id),
        network: context.network,
        domain: session.name.map(|name| name.domain.unwrap_or(name.name)),
        certificate: context.observed().copied(),
        fingerprint: session.client_fingerprints.id(),
    })
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let started = on_cpu();
    let done = work();
    (done, on_cpu() - started)
}

fn read(path: &Path) -> anyhow::Result<Vec<Lines>> {
    let mut reader = LineReader::new(open(path, Arc::default())?);
    let mut all = Vec::new();
    while let Some(lines) = reader.next(BATCH_BYTES)? {
        all.push(lines);
    }
    Ok(all)
}

fn split(path: &Path, lines: Vec<Lines>) -> Vec<RawBatch> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut splitter = Splitter::new(&name, None);
    let mut batches = Vec::new();
    for lines in lines {
        splitter.split(lines, &mut |raw| batches.push(raw));
    }
    batches
}

/// All records in the order of their time, with their keys.
fn merged(files: &[Vec<Arc<Batch>>]) -> Vec<(Option<EventTime>, Arc<Batch>, u32)> {
    let mut all = Vec::new();
    for batches in files {
        let mut keys = KeyTracker::default();
        for batch in batches {
            let record = |(index, record): (usize, &certsift::model::Record)| {
                (keys.next(record.time), Arc::clone(batch), index as u32)
            };
            all.extend(batch.records.iter().enumerate().map(record));
        }
    }
    all.sort_by_key(|(key, _, _)| *key);
    all
}

fn look_up(judged: &[Judged], knowledge: &Knowledge) {
    let mut evaluated: HashSet<*const KnownCertificate> = HashSet::new();
    let mut evaluate = |known: &Arc<KnownCertificate>| {
        if evaluated.insert(Arc::as_ptr(known)) {
            black_box(knowledge.signatures.evaluate(&known.certificate, None));
            black_box(knowledge.feeds.of_certificate(&known.certificate));
        }
    };
    for judged in judged {
        match (&judged.context, judged.batch.records.get(judged.index as usize).map(|record| &record.body)) {
            (Context::Certificate(known), _) => evaluate(known),
            (Context::Session(context), Some(Body::Session(session))) => {
                let known = context.leaf.known();
                known.into_iter().for_each(&mut evaluate);
                let name = session.server_name.map(|span| span.of(&judged.batch.text));
                let certificate = known.map(|known| &*known.certificate);
                let names = SessionNames { name, may_be_listed: true, server: session.server, certificate };
                black_box(knowledge.feeds.of_session(&names));
            }
            _ => {}
        }
    }
}
