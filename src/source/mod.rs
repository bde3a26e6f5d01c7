//! Where bytes come from: files, archives, directories, standard input, sockets, and live files that are rotated.
//!
//! In: paths. Out: whole lines with their offsets in decompressed bytes. Promise: a bounded amount is read ahead, a line
//! is handed out once and whole, and what cannot be read is said with its file and offset.

mod discover;
mod lines;
mod open;
mod split;
pub mod streams;
pub mod tail;

pub use discover::{DiscoverError, Discovered, discover};
pub use lines::{LineReader, Lines};
pub use open::{OpenError, Reader, open, open_stdin};
pub use split::Splitter;

/// Whether a file is named like a log that certsift reads: then its lines are records, however odd they look.
pub fn is_named_like_a_log(name: &str) -> bool {
    const PREFIXES: [&str; 5] = ["ssl", "x509", "known_certs", "eve", "tls"];
    let name = name.trim_start_matches('.');
    let name = name.strip_prefix("json_streaming_").unwrap_or(name);
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}
