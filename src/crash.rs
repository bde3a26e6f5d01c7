//! Crash points: places at which a test lets the process end as a kill would, to look at what it leaves behind.
//!
//! `CERTSIFT_CRASH_AT=name` ends it at the first passage of that point, `name@3` at the third. Release builds have none.

/// Ends the process here if the environment names this point.
#[cfg(debug_assertions)]
pub(crate) fn point(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    static WANTED: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static PASSAGES: AtomicU64 = AtomicU64::new(0);
    let wanted = WANTED.get_or_init(|| {
        let text = std::env::var("CERTSIFT_CRASH_AT").ok()?;
        let (name, passage) = text.split_once('@').unwrap_or((&text, "1"));
        Some((name.to_owned(), passage.parse().ok()?))
    });
    let Some((wanted, passage)) = wanted else { return };
    if wanted == name && PASSAGES.fetch_add(1, Ordering::Relaxed) + 1 == *passage {
        tracing::error!(name, "crash point");
        std::process::abort();
    }
}

/// Ends the process here if the environment names this point; not in release builds.
#[cfg(not(debug_assertions))]
pub(crate) fn point(_name: &str) {}
