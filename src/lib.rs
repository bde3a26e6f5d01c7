//! certsift, a stage of a log pipeline: which certificate did every TLS session present, and what is known of it?
//!
//! ```text
//!  files ─► source ─► decode ──────► correlate ─► enrich ─► encode ─► sink ─► commit
//!           reader     rayon pool     one thread   rayon pool           one thread
//!           threads    pure           owns state   pure                 owns output and the store
//! ```
//!
//! Each module is a stage, and says what comes in, what goes out and what it promises. [`model`] is what they talk about,
//! [`knowledge`] and [`history`] what they ask, [`state`] what outlives the process, [`pipeline`] how they are wired.

pub mod cli;
pub mod config;
pub mod correlate;
mod crash;
pub mod decode;
pub mod encode;
pub mod enrich;
pub mod history;
pub mod knowledge;
pub mod model;
pub mod observe;
pub mod pipeline;
pub mod rdap;
mod retry_after;
pub mod sink;
pub mod source;
pub mod state;
