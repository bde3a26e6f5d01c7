//! stub
/// stub
pub fn registrable_domain(name: &str) -> Option<&str> {
    psl::domain_str(name)
}
