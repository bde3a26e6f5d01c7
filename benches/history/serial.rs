//! The serial step: joining a session with its certificate, and counting it.

use std::sync::Arc;

use certsift::config::Config;
use certsift::correlate::{Backing, CertificateStore, Correlator, Judged, KeyTracker};
use certsift::decode::{DecodeContext, Detected, RawBatch, decode, detect};
use certsift::history::{Caller, History, Labelled, Observation, ObservedCertificate};
use certsift::model::{Batch, DAY_NANOS, EventTime, Id128, SourceInfo, StreamKey};
use certsift::state::CertificateSpill;

use super::thread::on_cpu;

const SESSIONS_PER_BATCH: usize = 1000;

/// Prints what a session costs in a world of so many certificates: of history alone, and of the whole step.
pub(super) fn measure(sessions: usize, certificates: usize) {
    let alone = history_alone(sessions, certificates);
    let [passed, kept] = [1, SESSIONS_PER_BATCH].map(|kept| whole_step(sessions, certificates, kept));
    println!(
        "serial step, {certificates} certificates: {passed:.0} ns per ssl record with the join, of which history {alone:.0} ns; \
         {kept:.0} ns where {SESSIONS_PER_BATCH} records wait for a worker, in memory that is far by then"
    );
}

fn history_alone(sessions: usize, certificates: usize) -> f64 {
    let mut history = History::new(Config::default().history, false);
    let id = |kind: u8, number: usize| Id128::of_parts(&[&[kind], &number.to_be_bytes()]);
    let all = (0..sessions.min(1 << 18)).map(|number| {
        let certificate = place(number, certificates);
        let at = EventTime(20_000 * DAY_NANOS + number as i64 * 1_000_000);
        Observation {
            at,
            clock: at,
            client: Caller::Outgoing(id(0, number * 31 % 500)),
            server: Some(id(1, certificate)),
            network: Some(id(2, certificate / 16)),
            domain: Some(id(3, certificate)),
            certificate: Some(ObservedCertificate {
                id: id(4, certificate),
                key: Some(id(5, certificate)),
                issuer: Some(id(6, certificate % 50)),
                organization: Some(id(7, certificate % 40)),
                own_issuer: false,
                recalled: false,
            }),
            fingerprint: None,
        }
    });
    let all: Vec<_> = all.collect();
    let mut label = |of: Labelled| Some(format!("{of:?}").into());
    for observation in &all {
        history.observe(observation, &mut label);
    }
    let started = on_cpu();
    for observation in all.iter().cycle().take(sessions) {
        std::hint::black_box(history.observe(observation, &mut label));
    }
    (on_cpu() - started) / sessions as f64
}

/// `kept` is the number of records that are judged before those before them are gone, as workers let them go.
fn whole_step(sessions: usize, certificates: usize, kept: usize) -> f64 {
    let config = Config::default();
    let history = History::new(config.history, false);
    let store = CertificateStore::new(Backing::Spill(CertificateSpill::default()));
    let mut correlator = Correlator::new(config.join.clone(), store, history, false);
    let mut keys = KeyTracker::default();
    for batch in batches("x509.log", (0..certificates).map(x509)) {
        step(&mut correlator, &batch, &mut keys, &mut Vec::new(), kept);
    }
    let mut taken = 0.0;
    let mut left = sessions;
    let mut first = 0;
    while left > 0 {
        // Some at a time: decoded lines take more memory than history.
        let number = left.min(100 * SESSIONS_PER_BATCH);
        let decoded =
            batches("ssl.log", (first..first + number).map(|number| ssl(number, place(number, certificates))));
        // The first ones fill the tables.
        let warm = first > 0 || sessions == number;
        let mut judged = Vec::with_capacity(2 * kept);
        let started = on_cpu();
        for batch in &decoded {
            step(&mut correlator, batch, &mut keys, &mut judged, kept);
        }
        if warm {
            taken += on_cpu() - started;
        }
        (first, left) = (first + number, left - number);
    }
    let measured = if sessions > 100 * SESSIONS_PER_BATCH { sessions - 100 * SESSIONS_PER_BATCH } else { sessions };
    taken / measured as f64
}

fn step(correlator: &mut Correlator, batch: &Arc<Batch>, keys: &mut KeyTracker, judged: &mut Vec<Judged>, kept: usize) {
    for index in 0..batch.records.len() {
        let key = keys.next(batch.records[index].time);
        correlator.process(batch, index as u32, key, &mut |next| judged.push(next));
        if judged.len() >= kept {
            std::hint::black_box(&*judged);
            judged.clear();
        }
    }
}

/// Which certificate a session shows: a few are seen often.
fn place(number: usize, certificates: usize) -> usize {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    if number.is_multiple_of(2) { mixed % certificates } else { mixed % (certificates / 20) }
}

fn batches(name: &str, lines: impl Iterator<Item = String>) -> Vec<Arc<Batch>> {
    let context = DecodeContext::default();
    let source = Arc::new(SourceInfo { stream: StreamKey([7; 32]), path: name.into(), sensor: None, time_zone: None });
    let lines: Vec<_> = lines.collect();
    let decode_piece = |lines: &[String]| {
        let bytes = lines.join("\n").into_bytes();
        let Detected::Format(format) = detect(&bytes, name) else { panic!("{name} is no log") };
        Arc::new(decode(&context, &source, RawBatch { bytes, offset: 0, format, oversize: None }))
    };
    lines.chunks(SESSIONS_PER_BATCH).map(decode_piece).collect()
}

fn x509(number: usize) -> String {
    format!(
        r#"{{"ts":1760000000.0,"fingerprint":"{number:064x}","certificate.version":3,"certificate.serial":"{number:X}","certificate.subject":"CN=host{number}.example","certificate.issuer":"CN=CA {},O=Organisation {},C=US","certificate.not_valid_before":1750000000.0,"certificate.not_valid_after":1850000000.0,"certificate.key_alg":"rsaEncryption","certificate.sig_alg":"sha256WithRSAEncryption","certificate.key_type":"rsa","certificate.key_length":2048,"san.dns":["host{number}.example"],"host_cert":true,"client_cert":false}}"#,
        number % 50,
        number % 40
    )
}

fn ssl(number: usize, certificate: usize) -> String {
    let (seconds, thousandths) = (1_760_000_000 + number / 1000, number % 1000);
    format!(
        r#"{{"ts":{seconds}.{thousandths:03},"uid":"C{number}","id.orig_h":"10.0.{}.{}","id.orig_p":5000,"id.resp_h":"198.18.{}.{}","id.resp_p":443,"version":"TLSv12","server_name":"www.host{certificate}.example","resumed":false,"established":true,"cert_chain_fps":["{certificate:064x}"],"sni_matches_cert":true}}"#,
        number % 2,
        number * 31 % 250,
        certificate / 250 % 250,
        certificate % 250
    )
}
