//! Certificates for sessions that show none: of the same server, and for alerts of the same flow.

use super::{AbsentReason, Correlator, Leaf};
use crate::history::Weighted;
use crate::model::{CertificateId, EventTime, HOUR_NANOS, Log, Session};

/// What a server presented, and when.
#[derive(Clone, Copy, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Presented {
    certificate: CertificateId,
    at: EventTime,
}

impl Presented {
    /// The certificate.
    pub fn certificate(&self) -> CertificateId {
        self.certificate
    }

    /// When it was presented.
    pub fn at(&self) -> EventTime {
        self.at
    }

    /// What was presented later.
    pub fn max(self, other: Self) -> Self {
        if (other.at, other.certificate) > (self.at, self.certificate) { other } else { self }
    }
}

impl Weighted for Presented {}

/// A TLS 1.3 session carries a certificate of the same name for this long only: nothing says that it was resumed.
const TLS13_CARRY: i64 = 24 * HOUR_NANOS;

impl Correlator {
    /// Remembers what a flow showed, for alerts on it that do not show it themselves.
    pub(super) fn of_flow(&mut self, log: Log, session: &Session, leaf: Leaf) -> Leaf {
        let Some(flow) = session.flow else { return leaf };
        match (log, leaf) {
            (Log::SuricataTls, Leaf::Presented(known)) => {
                self.flows.insert(flow, known.observed.id);
                if let Some(effects) = &mut self.effects {
                    effects.flows.push((flow, known.observed.id));
                }
                Leaf::Presented(known)
            }
            (Log::SuricataAlert, Leaf::Absent(reason)) => {
                let known = self.flows.peek(flow).copied().and_then(|id| self.certificates.find(id));
                match (known, reason) {
                    (Some(known), _) => Leaf::Presented(known),
                    // An alert tells of one moment of its flow: what it does not show may have been there.
                    (None, AbsentReason::Incomplete) => Leaf::Absent(AbsentReason::NotLogged),
                    (None, reason) => Leaf::Absent(reason),
                }
            }
            (_, leaf) => leaf,
        }
    }

    /// Remembers what a server presented, and recalls it for a session that cannot show it.
    pub(super) fn carry_forward(&mut self, log: Log, session: &Session, leaf: Leaf, at: EventTime) -> Leaf {
        let Some(service) = session.service else { return leaf };
        match leaf {
            Leaf::Presented(known) => {
                if log != Log::SuricataAlert {
                    let presented = Presented { certificate: known.observed.id, at };
                    self.presented.insert(service, presented);
                    if let Some(effects) = &mut self.effects {
                        effects.presented.push((service, presented));
                    }
                }
                Leaf::Presented(known)
            }
            Leaf::Absent(reason @ (AbsentReason::Resumed | AbsentReason::Tls13))
                if session.established == Some(true) =>
            {
                // A TLS 1.3 session need not be resumed: without a name, any service on the port would do.
                let carry = match reason {
                    AbsentReason::Tls13 if session.name.is_none() => return Leaf::Absent(reason),
                    AbsentReason::Tls13 => TLS13_CARRY.min(self.settings.carry),
                    _ => self.settings.carry,
                };
                let Some(&Presented { certificate, at: presented_at }) = self.presented.peek(service) else {
                    return Leaf::Absent(reason);
                };
                // Sessions come out of order by minutes; what lies days ahead was presented by a clock that has come back.
                if !(-TLS13_CARRY..=carry).contains(&at.since(presented_at)) {
                    return Leaf::Absent(reason);
                }
                match self.certificates.find(certificate) {
                    Some(certificate) => Leaf::Recalled { certificate, presented_at },
                    None => Leaf::Absent(reason),
                }
            }
            leaf => leaf,
        }
    }
}
