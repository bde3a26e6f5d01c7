//! Makes `src/knowledge/public_cas/public_cas.tsv` from CCADB's report of all CA certificates.
//!
//! `cargo run --example generate_public_cas -- AllCertificatePEMs.csv[.gz] > src/knowledge/public_cas/public_cas.tsv`, where the
//! report is "All Certificate Information (PEM)" of <https://www.ccadb.org/resources>, plain or compressed. Certificates
//! that cannot be read are named on standard error and left out.

#![allow(clippy::print_stderr)]

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};

use anyhow::{Context, Result, ensure};
use certsift::knowledge::pem;
use certsift::knowledge::public_cas::TableBuilder;

fn main() -> Result<()> {
    let path = std::env::args_os().nth(1).context("usage: generate_public_cas AllCertificatePEMs.csv[.gz]")?;
    let text = read_text(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut table = TableBuilder::default();
    for (number, der) in pem::blocks(&text).enumerate() {
        let added = der.ok_or_else(|| "not base64".to_owned()).and_then(|der| table.add(&der));
        if let Err(error) = added {
            eprintln!("certificate {}: left out: {error}", number + 1);
        }
    }
    ensure!(table.names() > 0, "no certificate found in {}", path.display());
    write_table(&table).context("cannot write the table")
}

fn read_text(path: &std::ffi::OsStr) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.read_to_end(&mut bytes)?;
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut text = String::new();
        flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_string(&mut text)?;
        return Ok(text);
    }
    String::from_utf8(bytes).map_err(io::Error::other)
}

fn write_table(table: &TableBuilder) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    writeln!(out, "# Names of public certificate authorities, made by examples/generate_public_cas.rs; do not edit.")?;
    writeln!(
        out,
        "# Source: CCADB, All Certificate PEMs, https://www.ccadb.org/resources; licence: CDLA-Permissive-2.0."
    )?;
    writeln!(out, "# {} names of {} distinct certificates.", table.names(), table.certificates())?;
    out.write_all(table.lines().as_bytes())?;
    out.flush()
}
