//! Writes the schemas of what certsift writes, from its types: `cargo run --example generate_schemas`.

use std::path::Path;

fn main() -> anyhow::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    for (name, schema) in certsift::encode::schemas() {
        std::fs::write(folder.join(name), schema)?;
    }
    Ok(())
}
