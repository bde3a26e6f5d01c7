//! Whether a record costs the same however many there are, and however many certificates.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::Setting;
use super::corpus::Corpus;
use super::extend;
use super::rounds::rounds;

/// Logs of one size.
struct Size {
    /// Records, or distinct certificates.
    number: u64,
    folder: PathBuf,
    records: u64,
}

/// The least of both series, as powers of ten.
const FEWEST_RECORDS: u32 = 5;
const FEWEST_CERTIFICATES: u32 = 3;
/// A tenth of the most records are distinct certificates at the most.
const RECORDS_PER_CERTIFICATE: u32 = 1;
/// Holds a million certificates, as the README says.
const MEMORY: &str = "[history]\nmemory = \"512MiB\"\n";

pub(super) fn measure(setting: &Setting<'_>) -> anyhow::Result<()> {
    let most = setting.arguments.most;
    let config = setting.all_checks("flat.toml", &[])?;
    println!("cost by the number of records, all checks, into /dev/null");
    let mut sizes = Vec::new();
    for exponent in FEWEST_RECORDS..=most {
        let number = 10_u64.pow(exponent);
        let corpus = Corpus::find(number);
        let set = corpus.sets.iter().find(|set| set.name.ends_with("zeek-6.2-json") || set.name == "sample-zeek-json");
        let extended = extend::make(set.context("no logs")?, &setting.target.join("replay"))?;
        super::warm(&extended.folder)?;
        sizes.push(Size { number, records: extended.records, folder: extended.folder });
    }
    print(setting, "sessions", &sizes, &config)?;
    println!(
        "cost by the number of distinct certificates: as many sessions and x509 records each time, history of 512 MiB"
    );
    let feed = super::feed::make(&setting.target.join("feeds"), super::FEED_ROWS)?;
    let config = setting.config("certificates.toml", &[&feed], MEMORY)?;
    let most_certificates = 10_u64.pow(most.saturating_sub(RECORDS_PER_CERTIFICATE).max(FEWEST_CERTIFICATES));
    let sizes = (FEWEST_CERTIFICATES..)
        .map(|exponent| 10_u64.pow(exponent))
        .take_while(|number| *number <= most_certificates)
        .map(|number| certificates(&setting.target.join("compare"), number, most_certificates))
        .collect::<anyhow::Result<Vec<_>>>()?;
    print(setting, "certificates", &sizes, &config)
}

fn print(setting: &Setting<'_>, what: &str, sizes: &[Size], config: &Path) -> anyhow::Result<()> {
    println!("{what:>12} {:>9} {:>13} {:>8} {:>10} {:>9}", "records", "CPU ns/record", "ratio", "wall ns", "anon MiB");
    let figures = rounds(setting.arguments.runs, sizes, |size, _| {
        setting.replay(&size.folder, size.records, Path::new("/dev/null"), config, None)
    })?;
    let cost = |of: f64, size: &Size| of * 1e9 / size.records as f64;
    let first = sizes.first().zip(figures.first()).map_or(1.0, |(size, figures)| cost(figures.cpu, size));
    for (size, figures) in sizes.iter().zip(&figures) {
        println!(
            "{:>12} {:>9} {:>13.0} {:>8} {:>10.0} {:>9.1}",
            size.number,
            size.records,
            cost(figures.cpu, size),
            format!("{:.2} x", cost(figures.cpu, size) / first),
            cost(figures.wall, size),
            figures.peak
        );
    }
    Ok(())
}

/// Invented logs with so many distinct certificates. Each form of them has `most` x509 records and twice as many sessions,
/// so that nothing differs but how many certificates are told apart.
fn certificates(target: &Path, distinct: u64, most: u64) -> anyhow::Result<Size> {
    const BASE: u64 = 1_760_000_000;
    let folder = target.join(format!("certificates-{distinct}-of-{most}"));
    let size = Size { number: distinct, folder: folder.clone(), records: most * 3 };
    let done = folder.with_extension("done");
    if done.exists() {
        return Ok(size);
    }
    eprintln!("bench: making logs of {distinct} certificates");
    fs::create_dir_all(&folder)?;
    let mut x509 = BufWriter::with_capacity(1 << 20, File::create(folder.join("x509.log"))?);
    let mut ssl = BufWriter::with_capacity(1 << 20, File::create(folder.join("ssl.log"))?);
    let mut line = String::new();
    for number in 0..most {
        // Two sessions and a certificate every three milliseconds.
        let millis = number * 3;
        let (seconds, thousandths) = (BASE + millis / 1000, millis % 1000);
        let certificate = number % distinct;
        line.clear();
        write!(
            line,
            r#"{{"ts":{seconds}.{thousandths:03},"fingerprint":"{certificate:064x}","certificate.version":3,"#
        )?;
        write!(
            line,
            r#""certificate.serial":"{certificate:X}","certificate.subject":"CN=host{certificate}.example","#
        )?;
        let issuer = certificate % (distinct / 10);
        write!(line, r#""certificate.issuer":"CN=CA {issuer},O=Organisation {issuer},C=US","#)?;
        write!(line, r#""certificate.not_valid_before":1750000000.0,"certificate.not_valid_after":1780000000.0,"#)?;
        write!(line, r#""certificate.key_alg":"rsaEncryption","certificate.sig_alg":"sha256WithRSAEncryption","#)?;
        write!(line, r#""certificate.key_type":"rsa","certificate.key_length":2048,"#)?;
        write!(line, r#""san.dns":["host{certificate}.example"],"host_cert":true,"client_cert":false}}"#)?;
        writeln!(x509, "{line}")?;
        for session in [number * 2, number * 2 + 1] {
            // One of the certificates that have been logged by now.
            let logged = distinct.min(number + 1);
            let certificate = session.wrapping_mul(0x9e37_79b9_7f4a_7c15) % logged;
            let millis = millis + 1 + session % 2;
            let (seconds, thousandths) = (BASE + millis / 1000, millis % 1000);
            line.clear();
            write!(
                line,
                r#"{{"ts":{seconds}.{thousandths:03},"uid":"C{session:015}","id.orig_h":"10.0.0.{}","#,
                session % 200
            )?;
            write!(
                line,
                r#""id.orig_p":{},"id.resp_h":"198.18.{}.{}","#,
                1024 + session % 60_000,
                certificate / 250 % 250,
                certificate % 250
            )?;
            write!(line, r#""id.resp_p":443,"version":"TLSv12","cipher":"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256","#)?;
            write!(line, r#""server_name":"host{certificate}.example","resumed":false,"established":true,"#)?;
            write!(
                line,
                r#""ssl_history":"CsxknGIi","cert_chain_fps":["{certificate:064x}"],"sni_matches_cert":true}}"#
            )?;
            writeln!(ssl, "{line}")?;
        }
    }
    x509.flush()?;
    ssl.flush()?;
    fs::write(done, "")?;
    Ok(size)
}
