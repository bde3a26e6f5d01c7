//! What a thread has used of a processor.

/// Nanoseconds that this thread has had a processor: what others do on the machine does not count.
pub(super) fn on_cpu() -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    told.split_whitespace().next().and_then(|nanos| nanos.parse().ok()).unwrap_or_default()
}
