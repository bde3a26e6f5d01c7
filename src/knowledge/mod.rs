//! In: data that is compiled in, and the user's own signature files and registration lists.
//! Out: one immutable snapshot, `Knowledge`, that checks look things up in.
//! Promise: nothing here changes after it is built, and the same files give the same answers in the same order.

pub mod public_cas;
pub mod registrations;
pub mod suffix;
#[cfg(test)]
mod test_corpus;

pub use public_cas::PublicCas;
pub use registrations::Registrations;
