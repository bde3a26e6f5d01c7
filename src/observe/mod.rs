//! What certsift says of itself: numbers for Prometheus, its health in words, and signs of life for systemd.
//!
//! In: what the stages count, each at its own pace: per chunk, per commit, once a second. Out: `/metrics` and `/healthz`
//! on a port of this machine, and datagrams to systemd. Promise: no stage waits for whoever asks; whoever asks is bounded
//! in number, size and time; and what is said here and in the log comes from one place.

pub mod client;
mod exposition;
mod health;
mod metrics;
mod process;
mod server;
mod systemd;
mod waiting;

pub use health::Health;
pub use metrics::{FeedNumbers, InputNumbers, Metrics, Phase, Reading};
pub use server::Server;
pub(crate) use systemd::Notifier;
pub use waiting::Waiting;
pub(crate) use waiting::Writing;
