//! Asking registries when a domain was registered, while lines flow, for those who have switched it on.
//!
//! In: domains that records name and nobody knows. Out: answers, which the pipeline takes over at its next commit, so that
//! they judge later records and are part of the state. Promise: no record ever waits for an answer; every table and every
//! reply is bounded; a server is asked no faster than it was said, and not at all while it does not want to be or is down;
//! and whatever a server says, a domain becomes known or stays unknown, which is neutral.
//!
//! One thread asks. Workers put domains into a bounded [queue](queue), which knows what was asked, what waits, and whose turn
//! it is. [`Servers`] knows who is to be asked for what, and what is never told to anybody.

mod question;
mod queue;
mod servers;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::knowledge::Answers;
pub use queue::AskedCounts;
pub(crate) use queue::{Queue, say};
pub use servers::{ServerUrl, Servers, ServersError, Zone};

/// Whether and how registries are asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RdapSettings {
    /// Whether they are asked at all.
    pub enabled: bool,
    /// IANA's list of servers (RFC 9224).
    pub bootstrap: Option<PathBuf>,
    /// Servers for what lies below these suffixes, before those of the list.
    pub servers: BTreeMap<Zone, ServerUrl>,
    /// Domains that are never told, with all below them.
    pub except: Vec<Zone>,
    /// How long an answer is kept.
    pub keep: Duration,
    /// How long it is kept that there was none.
    pub keep_unknown: Duration,
    /// Time between two questions to one server.
    pub pause: Duration,
    /// How long one question may take.
    pub timeout: Duration,
}

/// The thread that asks.
pub(crate) struct Asking {
    queue: Arc<Queue>,
}

impl Asking {
    /// Starts the thread; `answers` are known already.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn start(settings: RdapSettings, servers: Servers, answers: Arc<Answers>) -> std::io::Result<Self> {
        tracing::warn!(
            servers = servers.len(),
            "RDAP is on: domains whose registration is not known are told to the servers of their registries"
        );
        let timeout = settings.timeout;
        let queue = Arc::new(Queue::new(settings, servers, answers));
        let shared = Arc::clone(&queue);
        let run = move || {
            let client = question::Client::new(timeout);
            while let Some(question) = shared.next() {
                let reply = client.ask(&question.url, &question.domain, now());
                shared.settle(question, reply, now());
            }
        };
        std::thread::Builder::new().name("rdap".to_owned()).spawn(run)?;
        Ok(Self { queue })
    }

    /// Where domains are put that may be asked for.
    pub(crate) fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        // A server that is just being waited for must not keep the process: nothing is lost with it.
        self.queue.end();
    }
}

/// The wall clock, in seconds since 1970-01-01.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
