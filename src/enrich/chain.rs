//! What is known of a session's name, and of where its certificate leads.

use std::cell::Cell;
use std::sync::Arc;

use crate::correlate::{Leaf, SessionContext};
use crate::knowledge::Knowledge;
use crate::knowledge::names::{RecentName, RecentNames};
use crate::knowledge::trust::{Chain, ChainStatus, of_sensor};
use crate::model::{Certificate, Session, host_name};

use super::{CertificateAnalysis, CheckSet, Part};

/// What can be said of the name that the client asked for, as far as these checks look at it; `None` where none does.
pub fn name_of<'a, 'c>(
    checks: CheckSet,
    knowledge: &Knowledge,
    session: &Session,
    server_name: Option<&str>,
    recent: &'a mut RecentNames<'c>,
) -> Option<&'a RecentName<'c>> {
    let (is_looked_at, is_looked_up) = (checks.look_at(Part::Name), checks.meets(CheckSet::FEED));
    let (ids, name) = session.name.zip(server_name).filter(|_| is_looked_at || is_looked_up)?;
    recent.of_id(ids.name, name, || RecentName {
        analysis: if is_looked_at { knowledge.names.of_id(ids.name, name) } else { Arc::default() },
        is_listed: is_looked_up && knowledge.feeds.list_name(&host_name(name)),
        covered: Cell::default(),
    })
}

/// Whether a certificate is for the name that the client asked for, of which `recent` is at hand; `None` where that cannot
/// be said.
pub fn covers<'c>(
    certificate: Option<&'c Certificate>,
    server_name: Option<&str>,
    recent: Option<&RecentName<'c>>,
) -> Option<bool> {
    let (certificate, name) = certificate.zip(server_name)?;
    recent.map_or_else(|| certificate.covers(name), |recent| recent.is_covered(name, certificate))
}

/// Whether the server's certificate leads to a root at the record's time: by certsift where DER is logged and can be judged,
/// else by the sensor. `covers` says whether it is for the name that the client asked for.
pub fn chain_of(
    knowledge: &Knowledge,
    session: &Session,
    validation_status: Option<&str>,
    certificate: Option<(&Certificate, &CertificateAnalysis)>,
    covers: &dyn Fn() -> Option<bool>,
    context: &SessionContext,
) -> Option<Chain> {
    let (certificate, analysis) = certificate?;
    let presented = session.presented.as_deref();
    let is_public = analysis.issuer_is_public() == Some(true);
    let by_der = knowledge.trust.chain(certificate, presented, context.at.seconds(), is_public);
    // What the sensor says is of what this session showed.
    let is_shown = matches!(context.leaf, Leaf::Presented(_));
    let by_sensor = || of_sensor(validation_status.filter(|_| is_shown)?, analysis.issuer_is_public());
    let chain = match by_der {
        Some(chain) if chain.status != ChainStatus::Unverifiable => chain,
        by_der => by_sensor().or(by_der)?,
    };
    Some(match chain.status {
        ChainStatus::Trusted if covers() == Some(false) => Chain { status: ChainStatus::NameMismatch, ..chain },
        _ => chain,
    })
}
