//! Sensors whose clock is wrong, found by what they show: certificates of public CAs are not dated ahead, so that many of
//! them which are not valid *yet* tell of a clock that is behind, or of times that are relative.
//!
//! Certificates count and not sessions, each once, and of one network of servers one that is not valid yet: whoever shows
//! one thousands of times, or makes thousands himself in the name of a public CA, must not be able to switch off what
//! depends on age. The latest ones count, so that a clock that was mended is believed again.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::KnownCertificate;
use crate::history::{Outcome, Table, Weighted};
use crate::knowledge::PublicCas;
use crate::model::{Address, CertificateId, EventTime, Id128};

/// What sensors show of the certificates of public CAs.
pub struct SensorClocks {
    sensors: Table<SensorClock>,
    public_cas: Option<Arc<PublicCas>>,
    /// The identities of the names that came last.
    ids: Ids,
    /// The sensor that came last: mostly it comes again.
    latest: Option<Latest>,
}

/// The identities of sensors by their names.
#[derive(Default)]
struct Ids(HashMap<Box<str>, Id128>);

/// A sensor, and what is thought of its clock.
struct Latest {
    name: Box<str>,
    id: Id128,
    wrong: bool,
    above_suspicion: bool,
}

/// The latest certificates of public CAs that a sensor showed, oldest first, and what follows from them.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SensorClock {
    marks: VecDeque<Mark>,
    /// How many of them were not valid yet.
    not_yet_valid: u32,
    wrong: bool,
}

/// A certificate in the upper half; where it was not valid yet when it was shown last, the network of the server in the
/// lower half, and one in its last bit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Mark(u64);

/// A certificate that a server showed at a time.
#[derive(Clone, Copy)]
pub(super) struct Shown<'a> {
    pub(super) known: &'a KnownCertificate,
    pub(super) at: EventTime,
    pub(super) server: Option<Address>,
}

/// What a certificate did to what is thought of a sensor's clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Turn {
    None,
    Wrong,
    Right,
}

/// Sensors that are told apart.
const MAX_SENSORS: u64 = 256;
/// Certificates of a sensor that count.
const MAX_MARKS: usize = 256;
/// So many certificates, and one in so many of all, are no accident.
const MIN_WRONG: usize = 10;
const WRONG_ONE_IN: usize = 10;
/// Fewer than one in so many, and the clock is right again.
const RIGHT_ONE_IN: usize = 20;

impl SensorClocks {
    pub(super) fn new(tracking: bool) -> Self {
        Self { sensors: Table::new(MAX_SENSORS, tracking), public_cas: None, ids: Ids::default(), latest: None }
    }

    pub(super) fn set_public_cas(&mut self, public_cas: &Arc<PublicCas>) {
        self.public_cas = Some(Arc::clone(public_cas));
    }

    /// The sensors, to be stored or restored.
    pub fn table_mut(&mut self) -> &mut Table<SensorClock> {
        self.latest = None;
        &mut self.sensors
    }

    /// Whether the clock of a sensor is wrong, by what it has shown so far: perhaps a certificate at a time. With what is
    /// new of that.
    pub(super) fn look(&mut self, name: &str, shown: Option<Shown<'_>>) -> (bool, Option<(Id128, Mark)>) {
        let Latest { id, wrong, above_suspicion, .. } = match &self.latest {
            Some(latest) if latest.is_of(name) => latest,
            _ => self.latest.insert(Latest::of(name, self.ids.id(name), &self.sensors)),
        };
        let (sensor, wrong) = (*id, *wrong);
        let Some(shown) = shown else { return (wrong, None) };
        let is_not_yet_valid = shown.known.valid_from.is_some_and(|earliest| shown.at.seconds() < earliest);
        // One valid certificate more in the place of another changes nothing.
        if *above_suspicion && !is_not_yet_valid || !self.is_public(shown.known) {
            return (wrong, None);
        }
        let new = self.show((sensor, name), shown);
        (if new.is_some() { self.is_wrong(sensor) } else { wrong }, new)
    }

    fn is_wrong(&self, sensor: Id128) -> bool {
        self.sensors.peek(sensor).is_some_and(|clock| clock.wrong)
    }

    /// Whether a public CA issued a certificate.
    fn is_public(&self, known: &KnownCertificate) -> bool {
        *known.is_public.get_or_init(|| {
            let certificate = &known.certificate;
            let issuer = certificate.issuer.as_ref().filter(|_| !certificate.is_self_issued());
            issuer.zip(self.public_cas.as_ref()).is_some_and(|(issuer, public_cas)| public_cas.contains(issuer))
        })
    }

    fn show(&mut self, (sensor, name): (Id128, &str), shown: Shown<'_>) -> Option<(Id128, Mark)> {
        let is_not_yet_valid = shown.at.seconds() < shown.known.valid_from?;
        // Servers whose address nobody logged are as one.
        let network = is_not_yet_valid.then(|| shown.server.map_or(Id128([0; 16]), Address::network_id));
        let mark = Mark::new(shown.known.observed.id, network);
        let clock = self.sensors.peek(sensor);
        if clock.is_some_and(|clock| clock.knows(mark)) {
            return None;
        }
        match self.put(sensor, mark) {
            Turn::None => {}
            Turn::Wrong => tracing::warn!(
                sensor = name,
                "many certificates of public CAs are not valid yet at the times of this sensor's records: its clock is \
                 behind, or its times are relative; from here on nothing is said there that depends on age"
            ),
            Turn::Right => tracing::info!(
                sensor = name,
                "certificates of public CAs are valid again at the times of this sensor's records; what depends on age is \
                 said again"
            ),
        }
        Some((sensor, mark))
    }

    /// Does again what a certificate did.
    pub(super) fn apply(&mut self, (sensor, mark): (Id128, Mark)) {
        self.put(sensor, mark);
    }

    /// Puts a certificate where it belongs.
    fn put(&mut self, sensor: Id128, mark: Mark) -> Turn {
        self.latest = None;
        let put = self.sensors.update(
            sensor,
            || Some(SensorClock::default()),
            |clock, _| (Outcome { established: false, resized: false }, clock.put(mark)),
        );
        put.unwrap_or(Turn::None)
    }
}

impl Ids {
    /// The identity of a sensor; an empty name is that of inputs without one.
    fn id(&mut self, name: &str) -> Id128 {
        if let Some(id) = self.0.get(name) {
            return *id;
        }
        let id = Id128::of(name.as_bytes());
        if self.0.len() >= MAX_SENSORS as usize {
            self.0.clear();
        }
        self.0.insert(name.into(), id);
        id
    }
}

impl Latest {
    /// Whether it is this one. Mostly neither has a name, and to compare nothing with nothing in memory that is not there
    /// takes some processors longer than all the rest.
    fn is_of(&self, name: &str) -> bool {
        self.name.len() == name.len() && (name.is_empty() || *self.name == *name)
    }

    fn of(name: &str, id: Id128, sensors: &Table<SensorClock>) -> Self {
        let clock = sensors.peek(id);
        let wrong = clock.is_some_and(|clock| clock.wrong);
        Self { name: name.into(), id, wrong, above_suspicion: clock.is_some_and(SensorClock::is_above_suspicion) }
    }
}

impl Mark {
    /// The mark of a certificate: of one that was not valid yet, with the network of the server that showed it.
    fn new(certificate: CertificateId, not_yet_valid_in: Option<Id128>) -> Self {
        let half = |id: Id128| u64::from(u32::from_be_bytes([id.0[0], id.0[1], id.0[2], id.0[3]]));
        // Networks begin alike, and their hashes do not.
        let network = not_yet_valid_in.map_or(0, |network| half(Id128::of(&network.0)) | 1);
        Self(half(certificate) << 32 | network)
    }

    fn certificate(self) -> u64 {
        self.0 >> 32
    }

    fn network(self) -> u64 {
        self.0 & u64::from(u32::MAX)
    }

    fn is_not_yet_valid(self) -> bool {
        self.0 & 1 == 1
    }
}

impl SensorClock {
    /// Where the certificate of a mark is.
    fn place_of(&self, mark: Mark) -> Option<usize> {
        self.marks.iter().position(|known| known.certificate() == mark.certificate())
    }

    /// Whether a mark says nothing new: of certificates that are not valid yet, one of a network is enough, wherever it is
    /// shown next.
    fn knows(&self, mark: Mark) -> bool {
        match mark.is_not_yet_valid() {
            false => self.marks.contains(&mark),
            true => self
                .marks
                .iter()
                .filter(|known| known.is_not_yet_valid())
                .any(|known| known.network() == mark.network() || known.certificate() == mark.certificate()),
        }
    }

    /// As many certificates as count, and all of them valid.
    fn is_above_suspicion(&self) -> bool {
        self.not_yet_valid == 0 && self.marks.len() >= MAX_MARKS
    }

    fn put(&mut self, mark: Mark) -> Turn {
        let former = match self.place_of(mark) {
            Some(place) => Some(std::mem::replace(&mut self.marks[place], mark)),
            None => {
                let oldest = if self.marks.len() >= MAX_MARKS { self.marks.pop_front() } else { None };
                self.marks.push_back(mark);
                oldest
            }
        };
        let leaving = u32::from(former.is_some_and(Mark::is_not_yet_valid));
        self.not_yet_valid = self.not_yet_valid.saturating_sub(leaving);
        self.not_yet_valid += u32::from(mark.is_not_yet_valid());
        let not_yet_valid = self.not_yet_valid as usize;
        let was = self.wrong;
        self.wrong = match was {
            false => not_yet_valid >= MIN_WRONG && not_yet_valid * WRONG_ONE_IN >= self.marks.len(),
            true => not_yet_valid * RIGHT_ONE_IN >= self.marks.len(),
        };
        match (was, self.wrong) {
            (false, true) => Turn::Wrong,
            (true, false) => Turn::Right,
            _ => Turn::None,
        }
    }
}

impl Weighted for SensorClock {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enrich::TellingBytes;
    use crate::model::{Certificate, CertificateSource, DistinguishedName, ValidityTime};

    const R11: &str = "CN=R11,O=Let's Encrypt,C=US";

    /// Lets a clock see certificates by their numbers.
    fn put(clock: &mut SensorClock, numbers: impl Iterator<Item = u64>, not_yet_valid: bool) -> Vec<Turn> {
        let id = |number: u64| Id128::of(&number.to_be_bytes());
        let mark = |number: u64| Mark::new(id(number), not_yet_valid.then(|| id(number)));
        let new = numbers.map(mark).filter(|mark| !clock.knows(*mark)).collect::<Vec<_>>();
        new.into_iter().map(|mark| clock.put(mark)).filter(|turn| *turn != Turn::None).collect()
    }

    fn public(issuer: &str, number: i64) -> KnownCertificate {
        let mut certificate = Certificate::unknown(CertificateSource::LogStrings);
        certificate.issuer = Some(DistinguishedName::from_rfc2253(issuer));
        certificate.subject = Some(DistinguishedName::from_rfc2253(&format!("CN=host{number}.example")));
        certificate.not_before = Some(ValidityTime(1_780_000_000 + number));
        KnownCertificate::new(Arc::new(certificate.with_id()), None, TellingBytes::default())
    }

    #[test]
    fn a_few_certificates_ahead_of_time_are_no_clock() {
        for (valid, not_yet_valid, wrong) in [(100, 60, true), (30, 9, false), (236, 20, false), (0, 10, true)] {
            let mut clock = SensorClock::default();
            put(&mut clock, 0..valid, false);
            let turns = put(&mut clock, 1000..1000 + not_yet_valid, true);
            assert_eq!(clock.wrong, wrong, "{valid} {not_yet_valid}");
            assert_eq!(turns, if wrong { vec![Turn::Wrong] } else { vec![] });
        }
    }

    #[test]
    fn one_certificate_counts_once_however_often_it_is_shown() {
        let mut clock = SensorClock::default();
        for _ in 0..1000 {
            put(&mut clock, 0..9, true);
        }
        assert!(!clock.wrong);
        assert_eq!(put(&mut clock, 9..10, true), [Turn::Wrong]);
    }

    #[test]
    fn public_certificates_count_and_what_they_did_can_be_done_again() {
        let (mut clocks, mut again) = (SensorClocks::new(true), SensorClocks::new(true));
        clocks.set_public_cas(&Arc::new(PublicCas::builtin()));
        let at = |seconds: i64| EventTime::from_seconds(1_780_000_000 + seconds);
        let mut show = |sensor: &str, issuer: &str, number: i64, at: EventTime| {
            let server = Address::parse(&format!("2001:db8:{number:x}::1"));
            let known = public(issuer, number);
            let (is_wrong, shown) = clocks.look(sensor, Some(Shown { known: &known, at, server }));
            shown.into_iter().for_each(|shown| again.apply(shown));
            assert_eq!(again.look(sensor, None), (is_wrong, None));
            (shown.is_some(), is_wrong)
        };
        // Private CAs date as they like; and a zone may lie 14 hours from UTC.
        (0..50)
            .for_each(|number| assert_eq!(show("a", "CN=Kestrel CA,O=Kestrel", number, at(-100_000)), (false, false)));
        (0..50).for_each(|number| assert_eq!(show("a", R11, number, at(-50_000)), (true, false)));
        for number in 0..50 {
            assert_eq!(show("a", R11, number, at(-50_000)), (false, false), "it has been shown");
            assert_eq!(show("b", R11, number, at(-100_000)), (true, number >= 9), "{number}");
        }
        assert_eq!(show("a", R11, 0, at(-100_000)), (true, false), "another sensor's clock is none of its");
        // One that has shown many good ones and nothing else is believed unseen, until it shows another.
        (100..356).for_each(|number| assert_eq!(show("c", R11, number, at(1000)), (true, false)));
        assert_eq!(show("c", R11, 400, at(1000)), (false, false));
        (500..550)
            .for_each(|number| assert_eq!(show("c", R11, number, at(-100_000)), (true, number >= 525), "{number}"));
    }

    #[test]
    fn no_single_server_makes_a_clock_wrong() {
        let mut clocks = SensorClocks::new(false);
        clocks.set_public_cas(&Arc::new(PublicCas::builtin()));
        let mut show = |number: i64, server: Option<&str>| {
            let known = public(R11, number);
            let server = server.map(|server| Address::parse(server).unwrap());
            clocks.look("a", Some(Shown { known: &known, at: EventTime::from_seconds(1_779_900_000), server }))
        };
        for number in 0..1000 {
            let (is_wrong, shown) = show(number, Some(&format!("192.0.{}.{}", number / 250, number % 250)));
            assert_eq!((is_wrong, shown.is_some()), (false, number == 0), "{number}");
            assert!(!show(number, None).0);
        }
        // Nor does one certificate that is shown everywhere.
        assert!((0..200).all(|network| !show(0, Some(&format!("198.{network}.0.1"))).0));
        // Two networks have counted already: that of the servers above, and that of those without an address.
        for network in 0..10 {
            assert_eq!(show(2000 + network, Some(&format!("203.{network}.0.1"))).0, network >= 7, "{network}");
        }
    }

    #[test]
    fn a_clock_that_was_mended_is_believed_again() {
        let mut clock = SensorClock::default();
        put(&mut clock, 0..1000, true);
        assert!(clock.wrong && clock.marks.len() == MAX_MARKS);
        // Others come in their place, or the same ones are valid by now.
        assert_eq!(put(&mut clock.clone(), 2000..2256, false), [Turn::Right]);
        assert_eq!(put(&mut clock.clone(), 0..1000, false), [Turn::Right]);
        assert_eq!(put(&mut clock, 744..980, false), []);
        assert_eq!(put(&mut clock, 980..990, false), [Turn::Right]);
        assert_eq!(put(&mut clock, 744..780, true), [Turn::Wrong]);
    }
}
