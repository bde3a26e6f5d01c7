//! What history is told of a session, and what it answers.

use std::sync::Arc;

use super::{Correlator, KnownCertificate, Leaf, SessionContext};
use crate::decode::registrable;
use crate::history::{Caller, Labelled, Observation, ObservedCertificate, Seen};
use crate::model::{Address, AttributeKind, Batch, Certificate, DAY_NANOS, Direction, EventTime, Session};

/// A change of issuers is told of for so long.
pub const LATELY: i64 = 7 * DAY_NANOS;
/// Certificates of a name among which its former one is looked for.
const FORMER_LOOKED_AT: usize = 16;

impl Correlator {
    /// Counts a session, and puts what history says of it into its context.
    pub(super) fn count(
        &mut self,
        batch: &Batch,
        session: &Session,
        observation: &Observation,
        context: &mut SessionContext,
    ) {
        let SessionContext { leaf, seen, .. } = context;
        let mut effects = self.effects.as_mut();
        if let Some(effects) = &mut effects {
            effects.observations.push(*observation);
        }
        let mut label = |of| {
            let label = label_of(of, batch, session, certificate_of(leaf))?;
            if let Some(effects) = &mut effects {
                effects.note_label(of, &label);
            }
            Some(label)
        };
        self.history.observe_into(observation, &mut label, seen);
        if seen.interception_begins {
            let issuer = certificate_of(leaf).and_then(|certificate| certificate.issuer.as_ref());
            let issuer = issuer.map_or("", |issuer| issuer.text());
            tracing::info!(issuer, "this issuer stands in for those of many names from now on: TLS is inspected");
        }
    }

    /// The certificate that the name had before its issuer changed of late. A domain may have several in use at a time,
    /// of which those for the very name tell more.
    pub(super) fn former_certificate(
        &mut self,
        batch: &Batch,
        session: &Session,
        observation: &Observation,
        seen: &Seen,
    ) -> Option<Arc<KnownCertificate>> {
        let change = seen.name.as_ref()?.issuer_change.as_ref()?;
        let issuer = observation.certificate.as_ref()?.issuer_of_name()?;
        if issuer != change.to || observation.clock.since(change.at) > LATELY {
            return None;
        }
        let name = session.server_name.map(|name| name.of(&batch.text));
        let others = self.history.names().peek(observation.domain?)?.certificates.observers();
        let others: Vec<_> = others.map(|other| other.id).take(FORMER_LOOKED_AT).collect();
        let mut former = None;
        for id in change.from_certificate.into_iter().chain(others) {
            let Some(known) = self.certificates.find(id) else { continue };
            if known.observed.issuer_of_name() != Some(change.from) {
                continue;
            }
            if name.is_none_or(|name| known.certificate.covers(name) == Some(true)) {
                return Some(known);
            }
            former = former.or(Some(known));
        }
        former
    }

    /// What a session shows. Who is outside asks for any name and offers what he likes: that tells nothing of what is
    /// usual here.
    pub(super) fn observation(
        &self,
        session: &Session,
        leaf: &Leaf,
        direction: Option<Direction>,
        at: EventTime,
        clock: EventTime,
    ) -> Observation {
        let counted = |address: &Address| !self.settings.shared.contains(*address);
        let client = session.client.filter(counted).map(Address::client_id);
        let client = match direction {
            None | Some(Direction::Outbound) => client.map_or(Caller::Unnamed, Caller::Outgoing),
            Some(Direction::Internal) => Caller::Internal(client),
            Some(Direction::Inbound | Direction::Transit) => Caller::Outside,
        };
        let is_within = client != Caller::Outside;
        let outside = session.server.filter(|server| !self.settings.local.contains(*server));
        let recalled = matches!(leaf, Leaf::Recalled { .. });
        let certificate = leaf.known().map(|known| ObservedCertificate { recalled, ..known.observed });
        Observation {
            at,
            clock,
            client,
            server: session.server.map(Address::server_id),
            // What is inside is one place, however many networks it has.
            network: outside.map(|server| self.prefixes.network_id(server)),
            domain: session.name.filter(|_| is_within).map(|name| name.domain.unwrap_or(name.name)),
            certificate,
            fingerprint: session.client_fingerprints.id().filter(|_| is_within),
        }
    }
}

fn certificate_of(leaf: &Leaf) -> Option<&Certificate> {
    leaf.known().map(|known| &*known.certificate)
}

/// How something is called that a session shows.
fn label_of(of: Labelled, batch: &Batch, session: &Session, certificate: Option<&Certificate>) -> Option<Box<str>> {
    let issuer = certificate.and_then(|certificate| certificate.issuer.as_ref());
    match of {
        Labelled::Issuer => Some(issuer?.text().into()),
        Labelled::Organization => Some(issuer?.first(&AttributeKind::Organization)?.into()),
        Labelled::Domain => {
            let name = session.server_name?.of(&batch.text);
            Some(registrable(name).map_or_else(|| name.to_lowercase(), |(_, domain)| domain).into())
        }
        Labelled::Fingerprint => Some(session.client_fingerprints.text(&batch.text)?.into()),
    }
}
