//! What Certificate Transparency logs knew of a session at the record's time. It explains, and dates certificates.

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::correlate::SessionContext;
use crate::knowledge::Knowledge;
use crate::model::{Certificate, EventTime, Session};

/// What transparency logs knew of a session at the record's time.
#[derive(Clone, PartialEq, Debug, Default, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TransparencyObject {
    /// When the certificate was first logged: by what it says itself of that (RFC 6962 §3.3), or by a file of a log.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub certificate_logged: Option<EventTime>,
    /// When a certificate for the name was first logged, by files of logs.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub name_logged: Option<EventTime>,
    /// Certificates for the registrable domain that were logged in the 30 days before, by files of logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain_certificates: Option<u64>,
}

impl TransparencyObject {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What transparency logs knew of a session.
pub fn transparency_of(
    knowledge: &Knowledge,
    session: &Session,
    server_name: Option<&str>,
    certificate: Option<&Certificate>,
    context: &SessionContext,
) -> TransparencyObject {
    let (logs, at) = (&knowledge.transparency, context.at);
    let promised = certificate.and_then(|it| it.logged_at).filter(|logged| *logged <= at);
    let logged = certificate.and_then(|certificate| logs.certificate_logged(certificate, at));
    let certificate_logged = promised.into_iter().chain(logged).min();
    if logs.is_empty() {
        return TransparencyObject { certificate_logged, ..TransparencyObject::default() };
    }
    let domain = session.name.and_then(|name| name.domain);
    TransparencyObject {
        certificate_logged,
        name_logged: server_name.and_then(|name| logs.name_logged(name, at)),
        domain_certificates: domain.map(|domain| logs.certificates_lately(domain, at)).filter(|count| *count > 0),
    }
}

fn as_text<S: Serializer>(time: &Option<EventTime>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.collect_str(time),
        None => serializer.serialize_none(),
    }
}
