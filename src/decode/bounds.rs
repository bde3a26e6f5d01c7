//! How much of one text of a certificate is kept.
//!
//! Certificates live long after their line is gone, many at a time, and their holders choose what stands in them. What
//! is cut here is still whole on the line that leaves.

/// Longest printed name that is kept, in bytes. Zeek cuts names at 2,047; upper bounds of RFC 5280 appendix A are below.
pub(super) const MAX_DN: usize = 16 * 1024;

/// Longest single value that is kept: an attribute, a subject alternative name, the name of an algorithm. DNS allows 253,
/// and URIs of revocation lists have a few hundred.
pub(super) const MAX_VALUE: usize = 2048;

/// The beginning of a text, cut between two characters where it is too long.
pub(super) fn bounded(text: &str, limit: usize) -> &str {
    let mut end = text.len().min(limit);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
