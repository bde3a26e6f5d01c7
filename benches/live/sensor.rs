//! The sensor: writes `ssl.log` and `x509.log` and rotates them.

use std::collections::{BTreeSet, VecDeque};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use jiff::Timestamp;

use super::archive::Archiver;
use super::ledger::{Ledger, Phase, Stamp};
use super::lines::{Form, Session, mix};

/// How often something new is seen.
#[derive(Clone, Copy)]
pub(super) struct Mix {
    /// Sessions for each that shows a new certificate.
    sessions_per_certificate: u64,
}

/// Writes logs in a folder `logs`.
pub(super) struct Sensor {
    form: Form,
    ledger: Arc<Ledger>,
    ssl: Log,
    x509: Log,
    archiver: Archiver,
    rotate_every: Duration,
    next_rotation: Instant,
    random: u64,
    next_session: u64,
    next_certificate: u64,
    /// Certificates that were written last; sessions show these most of the time.
    recent: VecDeque<u64>,
    /// Certificates whose sessions are written already.
    late: BTreeSet<(Instant, u64)>,
    slowest: Duration,
}

struct Log {
    name: &'static str,
    path: PathBuf,
    form: Form,
    /// With the time it was opened at; made by the first write after a rotation, as Zeek does.
    file: Option<(File, Timestamp)>,
}

/// Certificates that count as recent.
const RECENT: usize = 4096;
/// Of so many sessions one shows a certificate that is not recent.
const SESSIONS_PER_OLD_CERTIFICATE: u64 = 100;
/// Of so many new certificates two are written later than their sessions.
const CERTIFICATES_PER_TWO_LATE: u64 = 5;
/// How much later, in microseconds.
const SHORTEST_DELAY: u64 = 50_000;
const LONGEST_DELAY: u64 = 1_000_000;
const CLIENTS: u64 = 5000;
/// More than certsift tells apart.
const CLIENTS_OF_POPULAR: u64 = 34;

impl Mix {
    /// Enough that some of two hundred lines are held.
    pub(super) const IDLE: Self = Self { sessions_per_certificate: 8 };
    /// As in real logs, where 49,474 sessions came with 348 certificates.
    pub(super) const LOAD: Self = Self { sessions_per_certificate: 142 };
}

impl Sensor {
    pub(super) fn start(
        folder: &Path,
        form: Form,
        ledger: Arc<Ledger>,
        rotate_every: Duration,
    ) -> anyhow::Result<Self> {
        let logs = folder.join("logs");
        fs::create_dir(&logs)?;
        let log = |name| Log { name, path: logs.join(name).with_extension("log"), form, file: None };
        Ok(Self {
            form,
            ledger,
            ssl: log("ssl"),
            x509: log("x509"),
            archiver: Archiver::start(folder.join("archive"))?,
            rotate_every,
            next_rotation: Instant::now() + rotate_every,
            random: 0,
            next_session: 0,
            next_certificate: 0,
            recent: VecDeque::new(),
            late: BTreeSet::new(),
            slowest: Duration::ZERO,
        })
    }

    /// Writes new certificates with sessions of different clients: two for each, and for the last `popular` so many that
    /// no set of clients can grow any more.
    pub(super) fn write_past(&mut self, certificates: u64, popular: u64) -> anyhow::Result<()> {
        const AT_ONCE: u64 = 1000;
        let end = self.next_certificate + certificates;
        while self.next_certificate < end {
            let first = self.next_certificate;
            self.next_certificate = end.min(first + AT_ONCE);
            let certificates: Vec<u64> = (first..self.next_certificate).collect();
            let sessions_of = |certificate| if certificate + popular < end { 2 } else { CLIENTS_OF_POPULAR };
            let shown = certificates.iter().flat_map(|number| (0..sessions_of(*number)).map(|_| *number));
            let sessions: Vec<_> = shown.map(|certificate| self.next_session(certificate, false)).collect();
            self.put(&sessions, &certificates, Phase::Start)?;
        }
        Ok(())
    }

    /// Writes so many lines of both logs, certificates that are due among them or beyond them.
    pub(super) fn write(&mut self, lines: u64, mix: Mix, phase: Phase) -> anyhow::Result<()> {
        let began = Instant::now();
        if began >= self.next_rotation {
            self.rotate()?;
        }
        let (mut sessions, mut certificates) = (Vec::new(), Vec::new());
        while self.next_late().is_some_and(|due| due <= began) {
            certificates.extend(self.late.pop_first().map(|(_, number)| number));
        }
        while ((certificates.len() + sessions.len()) as u64) < lines {
            sessions.push(self.session(mix, &mut certificates));
        }
        self.put(&sessions, &certificates, phase)?;
        self.slowest = self.slowest.max(began.elapsed());
        Ok(())
    }

    /// When the next late certificate is due.
    pub(super) fn next_late(&self) -> Option<Instant> {
        self.late.first().map(|(due, _)| *due)
    }

    /// The longest that a write took, with the rotation before it.
    pub(super) fn late(&self) -> Duration {
        self.slowest
    }

    /// Writes the certificates that are still due.
    pub(super) fn finish(&mut self) -> anyhow::Result<()> {
        while let Some(due) = self.next_late() {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            self.write(0, Mix::LOAD, Phase::Load)?;
        }
        Ok(())
    }

    /// A number that is below another one.
    pub(super) fn random_below(&mut self, limit: u64) -> u64 {
        self.random += 1;
        mix(self.random) % limit.max(1)
    }

    /// The next session; a certificate that it shows first goes to `certificates`, or is written later.
    fn session(&mut self, mix: Mix, certificates: &mut Vec<u64>) -> Session {
        if self.random_below(mix.sessions_per_certificate) == 0 {
            let certificate = self.next_certificate;
            self.next_certificate += 1;
            let held = self.random_below(CERTIFICATES_PER_TWO_LATE) < 2;
            if held {
                let delay = SHORTEST_DELAY + self.random_below(LONGEST_DELAY - SHORTEST_DELAY);
                self.late.insert((Instant::now() + Duration::from_micros(delay), certificate));
            } else {
                certificates.push(certificate);
            }
            return self.next_session(certificate, held);
        }
        let oldest = self.recent.front().copied().unwrap_or_default();
        let old = oldest > 0 && self.random_below(SESSIONS_PER_OLD_CERTIFICATE) == 0;
        let place = self.random_below(self.recent.len() as u64) as usize;
        let certificate = if old { self.random_below(oldest) } else { self.recent.get(place).copied().unwrap_or(0) };
        self.next_session(certificate, false)
    }

    fn next_session(&mut self, certificate: u64, held: bool) -> Session {
        let (number, client) = (self.next_session, self.random_below(CLIENTS));
        self.next_session += 1;
        Session { number, certificate, held, client }
    }

    /// Writes both logs, certificates first.
    fn put(&mut self, sessions: &[Session], certificates: &[u64], phase: Phase) -> anyhow::Result<()> {
        let micros = Timestamp::now().as_microsecond();
        let (mut ssl, mut x509) = (String::new(), String::new());
        sessions.iter().for_each(|session| self.form.session(&mut ssl, micros, session));
        for &number in certificates {
            self.form.certificate(&mut x509, micros, number);
            self.remember(number);
        }
        let stamp = Stamp { at: Instant::now(), phase };
        self.ledger.note(stamp, sessions.len() as u64, certificates);
        self.x509.append(&x509)?;
        self.ssl.append(&ssl)
    }

    fn remember(&mut self, certificate: u64) {
        self.recent.push_back(certificate);
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
    }

    fn rotate(&mut self) -> anyhow::Result<()> {
        self.next_rotation += self.rotate_every;
        for log in [&mut self.ssl, &mut self.x509] {
            log.rotate(&self.archiver)?;
        }
        Ok(())
    }
}

impl Log {
    fn append(&mut self, text: &str) -> anyhow::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        let (file, _) = match &mut self.file {
            Some(file) => file,
            none => {
                let now = Timestamp::now();
                let mut file = File::create(&self.path).with_context(|| self.path.display().to_string())?;
                file.write_all(self.form.header(self.name, &now.strftime("%Y-%m-%d-%H-%M-%S").to_string()).as_bytes())?;
                none.insert((file, now))
            }
        };
        file.write_all(text.as_bytes()).with_context(|| self.path.display().to_string())
    }

    fn rotate(&mut self, archiver: &Archiver) -> anyhow::Result<()> {
        let Some((mut file, opened)) = self.file.take() else { return Ok(()) };
        let now = Timestamp::now();
        file.write_all(self.form.footer(&now.strftime("%Y-%m-%d-%H-%M-%S").to_string()).as_bytes())?;
        let name = format!("{}.{}-{}.log", self.name, opened.strftime("%H:%M:%S"), now.strftime("%H:%M:%S"));
        archiver.take(&self.path, &opened.strftime("%Y-%m-%d").to_string(), &name)
    }
}
