//! One question to one server, and what its reply amounts to.

use std::time::Duration;

use ureq::http::{HeaderMap, StatusCode, header};
use ureq::{Agent, Error};

use crate::knowledge::registrations::{Registered, registered};
use crate::retry_after::parse_retry_after;

/// What asks.
pub(super) struct Client(Agent);

/// What came of a question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Reply {
    /// The registry says when the domain was registered.
    Registered(Registered),
    /// The registry does not know the domain, or does not say.
    Unknown,
    /// The reply is no answer to the question.
    Refused(String),
    /// The server wants to be asked later; how much later, if it says so.
    Limited(Option<Duration>),
    /// The server cannot be reached, and was told nothing.
    Unreachable(String),
    /// The server did not come to an answer.
    Failed(String),
}

/// Largest reply that is read; answers have some kilobytes.
const MAX_REPLY: u64 = 256 * 1024;
const SECONDS_PER_DAY: i64 = 86_400;

impl Client {
    pub(super) fn new(timeout: Duration) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            // A redirect would tell the domain to somebody whom nobody has named.
            .max_redirects(0)
            .user_agent(concat!("certsift/", env!("CARGO_PKG_VERSION")));
        Self(config.build().new_agent())
    }

    /// Asks for a domain; `now` is the wall clock in seconds.
    pub(super) fn ask(&self, url: &str, domain: &str, now: i64) -> Reply {
        let mut response = match self.0.get(url).header(header::ACCEPT, "application/rdap+json").call() {
            Ok(response) => response,
            Err(error) => return failed(&error),
        };
        if let Some(reply) = without_answer(response.status(), response.headers(), now) {
            return reply;
        }
        match response.body_mut().with_config().limit(MAX_REPLY).read_to_vec() {
            Ok(text) => read(&text, domain, now),
            Err(Error::BodyExceedsLimit(_)) => Reply::Refused("the reply is too large".to_owned()),
            Err(error) => Reply::Failed(error.to_string()),
        }
    }
}

/// What a status says by itself.
fn without_answer(status: StatusCode, headers: &HeaderMap, now: i64) -> Option<Reply> {
    let retry_after = || headers.get(header::RETRY_AFTER)?.to_str().ok().and_then(|text| parse_retry_after(text, now));
    match status.as_u16() {
        200 => None,
        // The server knows nothing of the domain, or of what it is asked.
        400 | 404 | 410 | 422 => Some(Reply::Unknown),
        429 => Some(Reply::Limited(retry_after())),
        503 if headers.contains_key(header::RETRY_AFTER) => Some(Reply::Limited(retry_after())),
        300..=399 => Some(Reply::Refused(format!("a redirect ({status}), which is not followed"))),
        _ => Some(Reply::Failed(format!("status {status}"))),
    }
}

fn read(text: &[u8], domain: &str, now: i64) -> Reply {
    let today = i32::try_from(now.div_euclid(SECONDS_PER_DAY)).unwrap_or(i32::MAX);
    let answer = std::str::from_utf8(text).map_err(|_| "not UTF-8").and_then(|text| registered(text, domain, today));
    match answer {
        Ok(Some(registered)) => Reply::Registered(registered),
        Ok(None) => Reply::Unknown,
        Err(why) => Reply::Refused(why.to_owned()),
    }
}

fn failed(error: &Error) -> Reply {
    let nobody_there = match error {
        Error::HostNotFound | Error::ConnectionFailed | Error::ConnectProxyFailed(_) | Error::InvalidProxyUrl => true,
        Error::Timeout(timeout) => matches!(timeout, ureq::Timeout::Resolve | ureq::Timeout::Connect),
        // With a connection that is not trusted nothing was said on it either.
        Error::Tls(_) | Error::Rustls(_) | Error::TlsRequired => true,
        Error::Io(error) => {
            use std::io::ErrorKind;
            matches!(
                error.kind(),
                ErrorKind::ConnectionRefused
                    | ErrorKind::HostUnreachable
                    | ErrorKind::NetworkUnreachable
                    | ErrorKind::AddrNotAvailable
                    | ErrorKind::NetworkDown
                    // What TLS says of a certificate that nobody vouches for comes as an error of the connection.
                    | ErrorKind::InvalidData
            )
        }
        _ => false,
    };
    if nobody_there { Reply::Unreachable(error.to_string()) } else { Reply::Failed(error.to_string()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 2026-11-30, 12:00 UTC.
    const NOON: i64 = 1_796_040_000;

    #[test]
    fn a_status_says_who_is_at_fault() {
        let reply = |status: u16, retry_after: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(text) = retry_after {
                headers.insert(header::RETRY_AFTER, header::HeaderValue::from_static(text));
            }
            without_answer(StatusCode::from_u16(status).unwrap(), &headers, NOON)
        };
        let seconds = |seconds| Some(Reply::Limited(Some(Duration::from_secs(seconds))));
        assert_eq!(reply(200, None), None);
        assert_eq!(reply(404, None), Some(Reply::Unknown));
        assert_eq!(reply(429, None), Some(Reply::Limited(None)));
        assert_eq!(reply(429, Some("120")), seconds(120));
        assert_eq!(reply(429, Some("Mon, 30 Nov 2026 12:05:00 GMT")), seconds(300));
        assert_eq!(reply(429, Some("Mon, 30 Nov 2026 11:05:00 GMT")), seconds(0));
        assert_eq!(reply(429, Some("99999999999")), seconds(86_400));
        assert_eq!(reply(429, Some("soon")), Some(Reply::Limited(None)));
        assert_eq!(reply(503, Some("5")), seconds(5));
        for status in [401, 403, 500, 503, 599] {
            assert!(matches!(reply(status, None), Some(Reply::Failed(_))), "{status}");
        }
        for status in [301, 302, 307] {
            assert!(matches!(reply(status, None), Some(Reply::Refused(_))), "{status}");
        }
    }

    proptest! {
        #[test]
        fn no_reply_makes_a_domain_younger_than_tomorrow_or_belongs_to_another(
            name in "evil\\.com|EVIL\\.COM\\.?|[a-z.]{0,12}|\\PC{0,8}",
            date in "[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}Z?)?|\\PC{0,12}",
            action in "registration|reregistration|last update of RDAP database|\\PC{0,8}",
        ) {
            let text = serde_json::json!({ "ldhName": name, "events": [{ "eventAction": action, "eventDate": date }] });
            if let Reply::Registered(found) = read(text.to_string().as_bytes(), "evil.com", NOON) {
                prop_assert!(found.day <= 20_788 && found.as_of >= found.day);
                prop_assert!(name.trim_end_matches('.').eq_ignore_ascii_case("evil.com"));
            }
        }

        #[test]
        fn any_bytes_give_a_reply(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(!matches!(read(&bytes, "evil.com", NOON), Reply::Registered(_)));
        }
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for text in [&b""[..], b"\xff\xfe", b"{", b"[]", br#"{"ldhName":"other.com"}"#] {
            assert!(matches!(read(text, "evil.com", NOON), Reply::Refused(_)), "{text:?}");
        }
        let deep = "[".repeat(200_000);
        assert!(matches!(read(deep.as_bytes(), "evil.com", NOON), Reply::Refused(_)));
        assert_eq!(read(br#"{"ldhName":"evil.com"}"#, "evil.com", NOON), Reply::Unknown);
        let text =
            br#"{"ldhName":"evil.com","events":[{"eventAction":"registration","eventDate":"2026-11-30T11:00:00Z"}]}"#;
        assert!(matches!(read(text, "evil.com", NOON), Reply::Registered(Registered { day: 20_787, .. })));
    }
}
