//! Signs of life for systemd, which starts certsift with `Type=notify`: one datagram for each, to the socket that
//! `NOTIFY_SOCKET` names. Without one nothing is sent.

use std::ffi::{OsStr, OsString};
#[cfg(target_os = "linux")]
use std::os::linux::net::SocketAddrExt as _;
#[cfg(target_os = "linux")]
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use super::metrics::Metrics;

/// Tells systemd how it goes.
pub(crate) struct Notifier {
    to: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Watchdog>,
    status: String,
}

/// systemd ends what it has not heard of for so long.
struct Watchdog {
    limit: Duration,
    next: Instant,
}

impl Notifier {
    /// Finds out whether systemd wants to hear of this process.
    pub(crate) fn from_environment() -> Self {
        Self::new(|name| std::env::var_os(name), std::process::id())
    }

    fn new(variable: impl Fn(&str) -> Option<OsString>, process: u32) -> Self {
        let to = variable("NOTIFY_SOCKET").and_then(|name| {
            let to = address(&name).and_then(|address| {
                let socket = UnixDatagram::unbound()?;
                socket.set_nonblocking(true)?;
                Ok((socket, address))
            });
            to.inspect_err(|error| tracing::warn!(%error, "cannot tell systemd anything")).ok()
        });
        let number = |name| variable(name)?.to_str()?.parse::<u64>().ok();
        let meant = number("WATCHDOG_PID").is_none_or(|meant| meant == u64::from(process));
        let limit = number("WATCHDOG_USEC").filter(|micros| *micros > 0 && meant && to.is_some());
        let limit = limit.map(Duration::from_micros);
        Self { to, watchdog: limit.map(|limit| Watchdog { limit, next: Instant::now() }), status: String::new() }
    }

    /// Whether anybody listens.
    pub(crate) fn is_heard(&self) -> bool {
        self.to.is_some()
    }

    /// Everything is open, and lines flow.
    pub(crate) fn ready(&mut self) {
        self.send("READY=1");
    }

    /// The end has begun.
    pub(crate) fn stopping(&mut self) {
        self.send("STOPPING=1");
    }

    /// What is going on, in words; sent when it has changed.
    pub(crate) fn status(&mut self, status: String) {
        if status != self.status {
            self.send(&format!("STATUS={}", status.replace('\n', " ")));
            self.status = status;
        }
    }

    /// Says twice in the time that systemd allows that everything moves, as long as it does.
    pub(crate) fn alive(&mut self, metrics: &Metrics) {
        let Some(watchdog) = &mut self.watchdog else { return };
        let now = Instant::now();
        if now < watchdog.next || !metrics.is_moving(watchdog.limit) {
            return;
        }
        watchdog.next = now + watchdog.limit / 2;
        self.send("WATCHDOG=1");
    }

    fn send(&self, text: &str) {
        if let Some((socket, address)) = &self.to
            && let Err(error) = socket.send_to_addr(text.as_bytes(), address)
        {
            tracing::debug!(%error, "cannot tell systemd anything");
        }
    }
}

/// A path, or the name of an abstract socket behind an `@`.
fn address(name: &OsStr) -> std::io::Result<SocketAddr> {
    #[cfg(target_os = "linux")]
    if let Some(name) = name.as_bytes().strip_prefix(b"@") {
        return SocketAddr::from_abstract_name(name);
    }
    SocketAddr::from_pathname(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Phase;

    fn heard(socket: &UnixDatagram) -> Vec<String> {
        socket.set_nonblocking(true).unwrap();
        let mut buffer = [0; 512];
        std::iter::from_fn(|| {
            socket.recv(&mut buffer).ok().map(|length| String::from_utf8_lossy(&buffer[..length]).into_owned())
        })
        .collect()
    }

    fn variables(socket: &str, usec: &str, process: &str) -> impl Fn(&str) -> Option<OsString> + use<> {
        let all = [("NOTIFY_SOCKET", socket), ("WATCHDOG_USEC", usec), ("WATCHDOG_PID", process)];
        let all = all.map(|(name, value)| (name, OsString::from(value)));
        move |name| all.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
    }

    #[test]
    fn systemd_hears_of_it_by_a_path_and_by_an_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("certsift-test-{}", std::process::id());
        let sockets = [
            (UnixDatagram::bind(&path).unwrap(), path.to_str().unwrap().to_owned()),
            (UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap(), format!("@{name}")),
        ];
        for (socket, name) in sockets {
            let mut notifier = Notifier::new(variables(&name, "1000", "7"), 7);
            let metrics = Metrics::default();
            metrics.set_phase(Phase::Running);
            notifier.ready();
            notifier.status("a\nb".to_owned());
            notifier.status("a\nb".to_owned());
            notifier.alive(&metrics);
            assert_eq!(heard(&socket), ["READY=1", "STATUS=a b", "WATCHDOG=1"]);
            metrics.sink_begins();
            std::thread::sleep(Duration::from_millis(5));
            notifier.alive(&metrics);
            assert_eq!(heard(&socket), [""; 0], "the sink is stuck");
            metrics.sink_handed_over();
            notifier.alive(&metrics);
            notifier.stopping();
            assert_eq!(heard(&socket), ["WATCHDOG=1", "STOPPING=1"]);
        }
    }

    #[test]
    fn the_watchdog_of_another_process_is_not_this_ones() {
        assert!(Notifier::new(variables("/nowhere", "1000", "8"), 7).watchdog.is_none());
        assert!(Notifier::new(variables("/nowhere", "1000", "7"), 7).watchdog.is_some());
        let mut alone = Notifier::new(|_| None, 7);
        assert!(!alone.is_heard() && alone.watchdog.is_none());
        alone.ready();
    }
}
