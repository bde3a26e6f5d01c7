//! When a server wants to be asked again.

use std::time::Duration;

/// For as long as this a server may want not to be asked.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(86_400);

/// What `Retry-After` says: seconds, or the time of day after which it is all right (RFC 9110 §10.2.3).
pub(crate) fn parse_retry_after(text: &str, now: i64) -> Option<Duration> {
    let text = text.trim();
    let seconds = match text.parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_) => {
            let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_second();
            u64::try_from(at.saturating_sub(now)).unwrap_or_default()
        }
    };
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 2026-11-30, 12:00 UTC.
    const NOON: i64 = 1_796_040_000;

    proptest! {
        #[test]
        fn any_time_to_wait_is_bounded(text in "\\PC{0,30}|[0-9]{0,25}|[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} 00:00:00 GMT") {
            prop_assert!(parse_retry_after(&text, NOON).is_none_or(|wait| wait <= MAX_RETRY_AFTER));
        }
    }
}
