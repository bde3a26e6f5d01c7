//! The id of a record, found again in its line.

/// Hexadecimal digits of an id.
pub const ID_LEN: usize = 32;
/// What precedes the id in a line that certsift enriched, whatever the object is called in the schema of the output.
const BEFORE_ID: &[u8] = b"\":{\"schema\":1,\"id\":\"";

/// The id in a line that certsift enriched, in whichever schema. What passed through has none.
pub fn id_in(line: &[u8]) -> Option<[u8; ID_LEN]> {
    let at = memchr::memmem::rfind(line, BEFORE_ID)? + BEFORE_ID.len();
    line.get(at..at + ID_LEN)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_line_is_found_in_every_schema() {
        let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let ids = |name: &str| {
            let lines = std::fs::read(golden.join(name)).unwrap();
            lines.split_inclusive(|byte| *byte == b'\n').map(id_in).collect::<Vec<_>>()
        };
        let raw = ids("sample_logs.ndjson");
        assert!(raw.iter().flatten().count() > 300);
        for name in ["sample_logs.ecs.ndjson", "sample_logs.ocsf.ndjson"] {
            assert_eq!(ids(name), raw, "{name}");
        }
    }
}
