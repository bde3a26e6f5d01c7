//! A large history: the memory that it takes, and how long its state takes to open.

use std::time::Instant;

use certsift::config::Config;
use certsift::correlate::{Backing, CertificateStore, Clock, Correlator};
use certsift::history::{
    BadRow, Caller, CertificateEntry, Entry, FirstSeen, History, HistorySettings, HistoryTable, IssuerEntry,
    Observation, ObservedCertificate, Recency, Times,
};
use certsift::model::{DAY_NANOS, EventTime, Id128};
use certsift::state::StateStore;

use super::thread::on_cpu;

const MIB: u64 = 1 << 20;
const NOW: EventTime = EventTime(20_000 * DAY_NANOS);

fn settings(memory: u64) -> HistorySettings {
    HistorySettings { memory, ..Config::default().history }
}

/// Numbers that come again.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn id(&mut self) -> Id128 {
        Id128(
            [self.below(u64::MAX), self.below(u64::MAX)]
                .map(|half| half.wrapping_mul(0x9e37_79b9_7f4a_7c15))
                .map(u64::to_be_bytes)
                .concat()
                .try_into()
                .unwrap(),
        )
    }

    /// Fills sets: 95 in a hundred hold one or two observers, one is full.
    fn fill<E: Entry + serde::Serialize>(&mut self, mut entry: E) -> Vec<u8> {
        for set in entry.sets_mut() {
            let observers = match self.below(100) {
                0 => 32,
                1..=4 => 3 + self.below(20),
                _ => 1 + self.below(2),
            };
            for _ in 0..observers {
                set.observe(self.id(), 19_900 + self.below(100) as i32);
            }
        }
        postcard::to_allocvec(&entry).unwrap()
    }
}

/// Rows of certificates, or of issuers.
fn rows<E: Entry + serde::Serialize>(
    count: u64,
    dressed: impl Fn(E) -> E,
) -> impl Iterator<Item = Result<(Id128, Recency, Vec<u8>), BadRow>> {
    let mut numbers = Numbers(count);
    (1..=count).map(move |sequence| {
        let times = Times { first: FirstSeen { at: NOW, after_learning: true }, last_seen: NOW };
        let id = numbers.id();
        let row = numbers.fill(dressed(E::new(times)));
        Ok((id, Recency { sequence, established: sequence % 4 == 0 }, row))
    })
}

/// Prints the memory of a history of so many certificates and a tenth as many issuers, and the time to open its state.
pub(super) fn measure(certificates: u64) {
    let before = resident();
    let started = Instant::now();
    let mut history = History::new(settings(512 * MIB), true);
    history.restore(HistoryTable::Certificates, rows::<CertificateEntry>(certificates, |it| it), |bad| bad).unwrap();
    let issuer = |mut issuer: IssuerEntry| {
        issuer.label = Some("CN=Some Certificate Authority G3,O=Some Organisation,C=US".into());
        issuer
    };
    history.restore(HistoryTable::Issuers, rows(certificates / 10, issuer), |bad| bad).unwrap();
    let accounted: u64 =
        history.usage().iter().filter(|it| it.table != HistoryTable::Clients).map(|it| it.weight).sum();
    println!(
        "memory, {} certificates and {} issuers: {} MiB resident, {} MiB accounted, {} evicted of a budget of 512 MiB ({:.1} s to make)",
        history.certificates().len(),
        history.issuers().len(),
        (resident() - before) / MIB,
        accounted / MIB,
        history.evicted(),
        started.elapsed().as_secs_f64()
    );
    let folder = tempfile::tempdir().unwrap();
    let state = StateStore::open(folder.path()).unwrap();
    let mut clock = Clock::default();
    clock.advance(NOW);
    state.fill(&history, clock, &[]).unwrap();
    drop((state, history));
    let (mut best, mut best_on_cpu, mut size) = (f64::MAX, f64::MAX, 0);
    for _ in 0..3 {
        let (started, on_cpu_before) = (Instant::now(), on_cpu());
        let state = StateStore::open(folder.path()).unwrap();
        let store = CertificateStore::new(Backing::State(state.certificates()));
        let history = History::new(settings(512 * MIB), true);
        let mut correlator = Correlator::new(Config::default().join, store, history, true);
        state.restore(&mut correlator).unwrap();
        best = best.min(started.elapsed().as_secs_f64());
        best_on_cpu = best_on_cpu.min((on_cpu() - on_cpu_before) / 1e9);
        assert!(correlator.parts_mut().history.certificates().len() as u64 > certificates / 2);
        size = folder.path().join("certsift.redb").metadata().unwrap().len() / MIB;
    }
    println!("open: {best:.2} s for that state, {best_on_cpu:.2} s of a processor, a file of {size} MiB");
}

/// Prints what a flood of one-off certificates and issuers by one client does to a history of the default size.
pub(super) fn flood(number: u64) {
    let before = resident();
    let mut history = History::new(settings(128 * MIB), false);
    let mut numbers = Numbers(7);
    let client = numbers.id();
    let started = Instant::now();
    for second in 0..number {
        let at = NOW.plus(second as i64 * 1_000_000);
        let certificate = ObservedCertificate {
            id: numbers.id(),
            key: Some(numbers.id()),
            issuer: Some(numbers.id()),
            organization: Some(numbers.id()),
            own_issuer: false,
            recalled: false,
        };
        let observation = Observation {
            at,
            clock: at,
            client: Caller::Outgoing(client),
            server: Some(numbers.id()),
            network: Some(numbers.id()),
            domain: Some(numbers.id()),
            certificate: Some(certificate),
            fingerprint: None,
        };
        history.observe(&observation, &mut |_| Some("some name of thirty letters or so".into()));
    }
    let rate = number as f64 / started.elapsed().as_secs_f64();
    println!(
        "flood: {number} one-off certificates and issuers in 128 MiB: {} MiB resident, {} entries evicted, {rate:.0} sessions/s",
        resident().saturating_sub(before) / MIB,
        history.evicted(),
    );
}

/// Bytes of memory that this process has.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap_or_default() * 1024
}
