//! Outputs that are servers: Elasticsearch and OpenSearch, Splunk, and sockets.
//!
//! In: whole lines in their order. Out: requests, on a few connections at a time, so that the order is lost. Promise: every
//! line is sent until the server has taken it, or has said that it never will, and then it is in the file of rejected lines;
//! a server may get a line twice, never not at all. What waits is bounded, and then whoever hands lines over waits. A
//! [`Barrier`] says when everything before it is done: until then the journal has it.

mod batch;
mod client;
mod elastic;
mod fault;
mod queue;
mod rejected;
mod secret;
mod sender;
mod socket;
mod splunk;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use client::{Endpoint, HttpSettings};
pub use elastic::{ElasticsearchSettings, IndexName, Login};
pub use queue::NetworkCounts;
use queue::Queue;
pub use secret::SecretSource;
use sender::Courier;
pub use socket::SocketAddress;
pub use splunk::SplunkSettings;

use super::{Patience, SinkError};
use crate::encode::Format;

/// Which server records go to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NetworkSettings {
    /// Elasticsearch or OpenSearch.
    Elasticsearch(ElasticsearchSettings),
    /// Splunk's HTTP Event Collector.
    Splunk(SplunkSettings),
    /// A socket.
    Socket(SocketAddress),
}

/// A server that nothing was sent to yet; secrets and certificates were read.
pub struct Prepared {
    name: String,
    couriers: Vec<Box<dyn Courier>>,
    request_size: usize,
    rejected: PathBuf,
    counts: Arc<NetworkCounts>,
}

/// A server that lines are sent to.
pub struct Network {
    queue: Arc<Queue>,
}

/// A moment in what was handed over.
pub struct Barrier {
    queue: Arc<Queue>,
    chunk: u64,
}

/// Why nothing can be sent.
#[derive(Debug, thiserror::Error)]
#[error("output {name}: {why}")]
pub struct NetworkError {
    /// The server.
    pub name: String,
    /// What is wrong, without any secret.
    pub why: String,
}

/// Lines that are written into a socket at a time.
const SOCKET_REQUEST: usize = 1024 * 1024;

impl NetworkSettings {
    /// The server, as it is called in messages.
    pub fn name(&self) -> String {
        let first = |http: &HttpSettings| http.urls.first().map(ToString::to_string).unwrap_or_default();
        match self {
            Self::Elasticsearch(settings) => first(&settings.http),
            Self::Splunk(settings) => first(&settings.http),
            Self::Socket(address) => address.to_string(),
        }
    }

    /// How it is reached, where that is HTTP.
    pub fn http(&self) -> Option<&HttpSettings> {
        match self {
            Self::Elasticsearch(settings) => Some(&settings.http),
            Self::Splunk(settings) => Some(&settings.http),
            Self::Socket(_) => None,
        }
    }

    /// Where the secret is, if there is one.
    pub fn secret(&self) -> Option<&SecretSource> {
        match self {
            Self::Elasticsearch(settings) => settings.login.secret(),
            Self::Splunk(settings) => Some(&settings.token),
            Self::Socket(_) => None,
        }
    }

    /// What can be used, and should not be.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<_> = self.secret().and_then(SecretSource::warning).into_iter().collect();
        let Some(http) = self.http() else { return warnings };
        if !http.verify {
            warnings.push(
                "verify = false: whoever answers is believed to be the server, and gets secret and records".to_owned(),
            );
        }
        if let Some(url) = http.urls.iter().find(|url| url.is_exposed()) {
            warnings.push(format!("{url}: without https everybody on the way reads secret and records"));
        }
        warnings
    }

    /// Reads secrets and certificates; records will be of this schema, and lines that are rejected go to a file of this
    /// name.
    ///
    /// # Errors
    /// Something cannot be read.
    pub fn prepare(&self, format: Format, rejected: PathBuf) -> Result<Prepared, NetworkError> {
        self.try_prepare(format, rejected).map_err(|why| NetworkError { name: self.name(), why })
    }

    fn try_prepare(&self, format: Format, rejected: PathBuf) -> Result<Prepared, String> {
        let mut couriers = Vec::<Box<dyn Courier>>::new();
        match self {
            Self::Elasticsearch(settings) => {
                for number in 0..settings.http.connections {
                    couriers.push(Box::new(elastic::Elastic::new(settings, format, number)?));
                }
            }
            Self::Splunk(settings) => {
                for _ in 0..settings.http.connections {
                    couriers.push(Box::new(splunk::Splunk::new(settings, format)?));
                }
            }
            Self::Socket(address) => couriers.push(Box::new(socket::Socket::new(address.clone()))),
        }
        let request_size = self.http().map_or(SOCKET_REQUEST, |http| http.request_size);
        Ok(Prepared { name: self.name(), couriers, request_size, rejected, counts: Arc::default() })
    }
}

impl Prepared {
    /// What will have been done so far, at any time from now on.
    pub fn counts(&self) -> Arc<NetworkCounts> {
        Arc::clone(&self.counts)
    }

    /// Where lines go that are rejected.
    pub fn rejected(&self) -> &Path {
        &self.rejected
    }

    /// Begins to send. A server that takes nothing is waited for as `patience` says.
    ///
    /// # Errors
    /// The system gives no threads, or lines that are rejected could not be written down.
    pub fn start(self, patience: Patience) -> Result<Network, SinkError> {
        let Self { name, couriers, request_size, rejected, counts } = self;
        let path = PathBuf::from(&name);
        let queue = Arc::new(Queue::new(name, request_size, couriers.len(), rejected, counts, patience));
        queue.rejected().try_out()?;
        // Dropped, it ends the threads that were started.
        let network = Network { queue: Arc::clone(&queue) };
        for courier in couriers {
            let queue = Arc::clone(&queue);
            let started =
                std::thread::Builder::new().name("send".to_owned()).spawn(move || sender::run(&queue, courier));
            started.map_err(|source| SinkError { path: path.clone(), source })?;
        }
        Ok(network)
    }
}

impl Network {
    /// Hands whole lines over; waits while too many wait.
    ///
    /// # Errors
    /// They cannot be sent, or patience has ended.
    pub fn write(&self, lines: &[u8]) -> Result<(), SinkError> {
        self.queue.put(lines)
    }

    /// What the output is called.
    pub fn name(&self) -> &str {
        self.queue.name()
    }

    /// Where lines go that are rejected.
    pub(super) fn rejected(&self) -> &Path {
        self.queue.rejected().path()
    }

    /// This moment: everything before it was handed over.
    pub fn barrier(&self) -> Barrier {
        Barrier { queue: Arc::clone(&self.queue), chunk: self.queue.handed_over() }
    }

    /// Reads secrets again where they were refused, and opens the file of rejected lines by its name again.
    ///
    /// # Errors
    /// The file of rejected lines cannot be synced.
    pub fn reopen(&self) -> Result<(), SinkError> {
        self.queue.wake();
        self.queue.rejected().reopen()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // A thread that waits for a server must not keep the process: what it has is in the journal.
        self.queue.close();
    }
}

impl Barrier {
    /// Waits until everything before is done.
    ///
    /// # Errors
    /// It cannot be sent, or patience has ended.
    pub fn wait(&self) -> Result<(), SinkError> {
        self.queue.wait_for(self.chunk)
    }
}
