//! What correlating did to the state, so that it can be done again after a kill.
//!
//! A commit writes what the state *is*; between two commits the effects say what *happened* to it. They are small, in the
//! order of the output, and lead from the state of the last commit to exactly the state that there was: history is told
//! what it was told, and everything else is put where it was.

use serde::{Deserialize, Serialize};

use super::certificates::CertificateEffects;
use super::held::{Place, StoredSession};
use super::sensor_clocks::Mark;
use super::{Clock, Correlator, Presented};
use crate::history::{Labelled, Observation};
use crate::model::{CertificateId, Id128};

/// Everything that happened to the state since the effects were taken last.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Effects {
    /// Where the clock stands.
    pub(super) clock: Clock,
    /// Sessions that were counted, in the order of the output.
    pub(super) observations: Vec<Observation>,
    /// What things are called that an observation showed first: its number among them, of what, and the text.
    labels: Vec<(u32, Labelled, Box<str>)>,
    pub(super) presented: Vec<(Id128, Presented)>,
    pub(super) flows: Vec<(Id128, CertificateId)>,
    pub(super) validating: Vec<Id128>,
    /// What sensors showed of their clocks.
    pub(super) shown: Vec<(Id128, Mark)>,
    pub(super) certificates: CertificateEffects,
    /// Sessions that began to wait, and places of those that wait no more.
    pub(super) held: Vec<(Place, Option<StoredSession>)>,
}

impl Effects {
    /// Whether nothing happened, but for the clock.
    pub fn is_empty(&self) -> bool {
        self.observations.is_empty()
            && self.presented.is_empty()
            && self.flows.is_empty()
            && self.validating.is_empty()
            && self.shown.is_empty()
            && self.certificates.is_empty()
            && self.held.is_empty()
    }
}

impl Effects {
    /// Notes how something is called that the last observation showed first.
    pub(super) fn note_label(&mut self, of: Labelled, label: &str) {
        let number = self.observations.len().saturating_sub(1) as u32;
        self.labels.push((number, of, label.into()));
    }
}

impl Correlator {
    /// Takes what happened since the last time.
    pub fn take_effects(&mut self) -> Effects {
        let mut effects = self.effects.as_mut().map(std::mem::take).unwrap_or_default();
        effects.clock = self.clock;
        effects.certificates = self.certificates.take_effects();
        effects.held = self.held.take_step();
        effects
    }

    /// Does again what happened.
    pub fn apply(&mut self, effects: Effects) {
        self.clock = effects.clock;
        self.certificates.apply(effects.certificates);
        let mut labels = effects.labels.into_iter().peekable();
        for (number, observation) in (0..).zip(&effects.observations) {
            let mut own = Vec::new();
            while let Some((_, of, label)) = labels.next_if(|(of_number, ..)| *of_number <= number) {
                own.push((of, label));
            }
            self.history.observe(observation, &mut |wanted| {
                own.iter().find(|(of, _)| *of == wanted).map(|(_, label)| label.clone())
            });
        }
        for (server, presented) in effects.presented {
            self.presented.insert(server, presented);
        }
        for (flow, certificate) in effects.flows {
            self.flows.insert(flow, certificate);
        }
        for stream in effects.validating {
            self.validating.insert(stream, ());
        }
        for shown in effects.shown {
            self.sensor_clocks.apply(shown);
        }
        for (place, session) in effects.held {
            self.held.put(place, session);
        }
    }
}
