//! In: data that is compiled in, and the user's own signature files, registration lists, threat feeds and exceptions.
//! Out: one immutable snapshot, [`Knowledge`], that checks look things up in.
//! Promise: nothing here changes after it is built, and the same files give the same answers in the same order.

pub mod feeds;
mod files;
pub mod names;
pub mod own_certificates;
pub mod pem;
mod prefixes;
pub mod public_cas;
pub mod registrations;
pub mod rotation;
pub mod signatures;
pub mod suffix;
pub mod suffix_list;
#[cfg(test)]
pub(crate) mod test_corpus;
pub mod transparency;
pub mod trust;
mod version;
pub mod watch;

pub use feeds::{AllowList, Feeds};
pub(crate) use files::require_file;
pub(crate) use files::{Concern, Stamp, ends_within_a_line, matches};
pub use files::{FileChanges, KnowledgeFiles, files_of};
pub use names::{Names, PopularNames};
pub use own_certificates::OwnCertificates;
pub use prefixes::{Owner, Prefixes};
pub use public_cas::PublicCas;
pub use registrations::{Answers, RegistrationList, Registrations};
pub use signatures::Signatures;
pub use transparency::Transparency;
pub use trust::TrustStore;
pub use version::KnowledgeVersion;
pub use watch::WatchNames;

use std::sync::Arc;

use crate::model::Id128;
use registrations::Registration;
use signatures::SignatureError;

/// What is known of certificates and domains, as one snapshot that is swapped whole.
#[derive(Clone)]
pub struct Knowledge {
    /// Certificates of known tools and products.
    pub signatures: Arc<Signatures>,
    /// Names of publicly trusted certificate authorities.
    pub public_cas: Arc<PublicCas>,
    /// When domains were registered.
    pub registrations: Arc<Registrations>,
    /// What registries answered of it.
    pub answers: Arc<Answers>,
    /// Roots and certificates of CAs.
    pub trust: Arc<TrustStore>,
    /// Names and brands that the user watches over, and popular ones.
    pub names: Arc<Names>,
    /// What Certificate Transparency logs hold.
    pub transparency: Arc<Transparency>,
    /// Certificates, names and addresses that others published.
    pub feeds: Arc<Feeds>,
    /// The user's exceptions.
    pub allow: Arc<AllowList>,
    /// The user's own certificates.
    pub own_certificates: Arc<OwnCertificates>,
    /// Whose network an address is in.
    pub prefixes: Arc<Prefixes>,
    /// Which knowledge it is.
    pub version: KnowledgeVersion,
}

impl Knowledge {
    /// What is compiled in: the catalogue of signatures and the table of public CAs, and nothing of the user's.
    pub fn builtin() -> Result<Self, SignatureError> {
        let signatures = Arc::new(Signatures::builtin()?);
        Ok(Self {
            version: KnowledgeVersion::of(&signatures, [], [], &[]),
            signatures,
            public_cas: Arc::new(PublicCas::builtin()),
            registrations: Arc::default(),
            answers: Arc::default(),
            trust: Arc::new(TrustStore::builtin()),
            names: Arc::default(),
            transparency: Arc::default(),
            feeds: Arc::default(),
            allow: Arc::default(),
            own_certificates: Arc::default(),
            prefixes: Arc::default(),
        })
    }

    /// The same knowledge, which has no answers of registries yet, with some.
    #[must_use]
    pub fn with_answers(&self, answers: Arc<Answers>) -> Self {
        Self { version: self.version.with_answers(&answers), answers, ..self.clone() }
    }

    /// Whether anything is there to know of registrations.
    pub fn knows_registrations(&self) -> bool {
        self.answers.is_in_use() || !self.registrations.is_empty()
    }

    /// The registration of a domain that holds at a day; see [`Registrations::find`].
    pub fn registration(&self, domain: Id128, day: i32) -> Option<Registration<'_>> {
        self.registrations.find_among(domain, day, self.answers.find(domain))
    }
}
