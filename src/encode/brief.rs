//! What brief objects begin with. Nearly all objects are brief, and of a few kinds: what stands in them before the
//! certificate, or all where there is none, is the same for a sensor's records of one log, one direction and one reason. It
//! is written once for each, and copied with another id from then on.

use super::Detail;
use super::certificate::{CertificateState, WrittenCertificate};
use super::json;
use super::object::{CertsiftObject, ObjectHead};
use crate::correlate::AbsentReason;
use crate::enrich::Verdict;
use crate::model::{Direction, Log, RecordId};

/// What brief objects begin with, by their kinds.
pub(super) struct Openings<'a> {
    /// How much objects say.
    pub(super) detail: Detail,
    sensors: Vec<OfSensor<'a>>,
}

/// What the brief objects of one sensor begin with.
struct OfSensor<'a> {
    sensor: Option<&'a str>,
    /// By log, direction and reason.
    texts: Vec<Option<Opening>>,
}

/// The beginning of an object, without its last brace.
struct Opening {
    text: Vec<u8>,
    /// Where the id stands.
    id_at: usize,
}

/// A kind of brief objects.
#[derive(Clone, Copy)]
pub(super) struct BriefKind {
    pub(super) log: Log,
    pub(super) direction: Option<Direction>,
    /// Why there is no certificate, where there is none.
    pub(super) absent: Option<AbsentReason>,
}

/// Sensors that are told apart; of more, each takes the place of the last.
const MAX_SENSORS: usize = 16;

impl<'a> Openings<'a> {
    /// None yet, for objects that say so much.
    pub(super) fn of(detail: Detail) -> Self {
        Self { detail, sensors: Vec::new() }
    }

    /// Writes the beginning of an object: all up to the certificate, or all where there is none, but for the last brace.
    pub(super) fn write(&mut self, out: &mut Vec<u8>, id: RecordId, sensor: Option<&'a str>, kind: BriefKind) {
        let detail = self.detail;
        let slot = self.of_sensor(sensor).texts.get_mut(kind.index());
        let Some(opening) = slot.map(|slot| slot.get_or_insert_with(|| Opening::of(sensor, kind, detail))) else {
            return;
        };
        let start = out.len() + opening.id_at;
        out.extend_from_slice(&opening.text);
        let id = id.text();
        if let Some(place) = out.get_mut(start..start + id.as_bytes().len()) {
            place.copy_from_slice(id.as_bytes());
        }
    }

    fn of_sensor(&mut self, sensor: Option<&'a str>) -> &mut OfSensor<'a> {
        let is_same = |known: &OfSensor<'_>| match (known.sensor, sensor) {
            (Some(known), Some(sensor)) => std::ptr::eq(known, sensor) || known == sensor,
            (known, sensor) => known == sensor,
        };
        let at = self.sensors.iter().position(is_same).unwrap_or_else(|| {
            self.sensors.truncate(MAX_SENSORS - 1);
            self.sensors
                .push(OfSensor { sensor, texts: std::iter::repeat_with(|| None).take(BriefKind::ALL).collect() });
            self.sensors.len() - 1
        });
        &mut self.sensors[at]
    }
}

impl Opening {
    fn of(sensor: Option<&str>, kind: BriefKind, detail: Detail) -> Self {
        let mut text = Vec::new();
        // Writing to memory does not fail, and no value of the object can be refused.
        let _ = json::write(&mut text, &kind.object(sensor, detail));
        text.pop();
        let key = b"\"id\":\"";
        let id_at = memchr::memmem::find(&text, key).map_or(0, |at| at + key.len());
        Self { text, id_at }
    }
}

impl BriefKind {
    const DIRECTIONS: usize = 5;
    const REASONS: usize = AbsentReason::ALL.len() + 1;
    /// How many kinds there are.
    const ALL: usize = (Log::Unknown as usize + 1) * Self::DIRECTIONS * Self::REASONS;

    fn index(self) -> usize {
        let direction = self.direction.map_or(0, |direction| direction as usize + 1);
        let reason = self.absent.map_or(0, |reason| reason as usize + 1);
        (self.log as usize * Self::DIRECTIONS + direction) * Self::REASONS + reason
    }

    /// The object, without an id and without what is known of its certificate.
    fn object(self, sensor: Option<&str>, detail: Detail) -> CertsiftObject<'_> {
        let head = ObjectHead::of_kind(self.log, sensor, self.direction);
        let (verdict, state) = match self.absent {
            Some(reason) if detail.shows_certificates() => (Verdict::Unknown, CertificateState::absent(reason)),
            Some(_) => (Verdict::Unknown, CertificateState::default()),
            None => (Verdict::Info, CertificateState::default()),
        };
        CertsiftObject::brief(head, verdict, WrittenCertificate::brief(state, None), None)
    }
}

#[cfg(test)]
mod tests {
    use super::super::object::Text;
    use super::*;
    use crate::model::Direction::{Inbound, Internal, Outbound, Transit};

    const LOGS: [Log; 10] = [
        Log::ZeekX509,
        Log::ZeekFiles,
        Log::ZeekKnownCerts,
        Log::ZeekSsl,
        Log::SuricataTls,
        Log::SuricataQuic,
        Log::SuricataAlert,
        Log::SuricataOther,
        Log::ZeekOther,
        Log::Unknown,
    ];

    /// Every kind.
    fn kinds() -> Vec<BriefKind> {
        let directions = [None, Some(Outbound), Some(Inbound), Some(Internal), Some(Transit)];
        let reasons: Vec<_> = std::iter::once(None).chain(AbsentReason::ALL.map(Some)).collect();
        let of_log = |log| directions.into_iter().map(move |direction| (log, direction));
        let all = LOGS.into_iter().flat_map(of_log);
        all.flat_map(|(log, direction)| reasons.iter().map(move |&absent| BriefKind { log, direction, absent }))
            .collect()
    }

    #[test]
    fn every_kind_has_a_place_of_its_own() {
        let places: std::collections::BTreeSet<usize> = kinds().into_iter().map(BriefKind::index).collect();
        assert_eq!(places, (0..BriefKind::ALL).collect());
    }

    #[test]
    fn a_copy_is_what_would_be_written_for_the_record() {
        let names: Vec<String> = (0..2 * MAX_SENSORS).map(|number| format!("sensor \"{number}\" \"id\":\"")).collect();
        let sensors = || std::iter::once(None).chain(names.iter().map(|name| Some(&**name)));
        for detail in [Detail::Auto, Detail::Found] {
            let mut openings = Openings::of(detail);
            // What was made once is given again, and what had to make room is made again.
            for sensor in sensors().chain(sensors()) {
                for (number, kind) in kinds().into_iter().enumerate() {
                    let id = RecordId([number as u8; 16]);
                    let mut out = b"before ".to_vec();
                    openings.write(&mut out, id, sensor, kind);
                    out.push(b'}');
                    let mut object = kind.object(sensor, detail);
                    object.id = Text(id);
                    let mut expected = b"before ".to_vec();
                    json::write(&mut expected, &object).unwrap();
                    assert_eq!(String::from_utf8(out), String::from_utf8(expected));
                }
            }
            assert!(openings.sensors.len() <= MAX_SENSORS);
        }
    }
}
