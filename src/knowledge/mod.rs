//! In: data that is compiled in, and the user's own signature files, registration lists, threat feeds and exceptions.
//! Out: one immutable snapshot, [`Knowledge`], that checks look things up in.
//! Promise: nothing here changes after it is built, and the same files give the same answers in the same order.

pub mod feeds;
pub mod public_cas;
pub mod registrations;
pub mod signatures;
pub mod suffix;
#[cfg(test)]
mod test_corpus;
pub mod watch;

pub use feeds::{AllowList, Feeds};
pub use public_cas::PublicCas;
pub use registrations::Registrations;
pub use signatures::Signatures;
pub use watch::WatchNames;

use signatures::SignatureError;

/// What is known of certificates and domains, as one snapshot that is swapped whole.
pub struct Knowledge {
    /// Certificates of known tools and products.
    pub signatures: Signatures,
    /// Names of publicly trusted certificate authorities.
    pub public_cas: PublicCas,
    /// When domains were registered.
    pub registrations: Registrations,
    /// Names and brands that the user watches over.
    pub watch_names: WatchNames,
    /// Certificates, names and addresses that others published.
    pub feeds: Feeds,
    /// The user's exceptions.
    pub allow: AllowList,
}

impl Knowledge {
    /// What is compiled in: the catalogue of signatures and the table of public CAs, and nothing of the user's.
    pub fn builtin() -> Result<Self, SignatureError> {
        Ok(Self {
            signatures: Signatures::builtin()?,
            public_cas: PublicCas::builtin(),
            registrations: Registrations::default(),
            watch_names: WatchNames::default(),
            feeds: Feeds::default(),
            allow: AllowList::default(),
        })
    }
}
