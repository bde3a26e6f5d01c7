//! Whether a record costs the same however many there are, and however many certificates.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::Setting;
use super::corpus::Corpus;
use super::extend;
use super::rounds::{Figures, rounds};

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
/// Of the records in which certificates are met first.
const FIRST: &str = "first";
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
        "cost by the number of distinct certificates, history of 512 MiB: of sessions whose certificates are known,"
    );
    println!("and of the records before, as many x509 and ssl records each time, in which all of them are met first");
    let feed = super::feed::make(&setting.target.join("feeds"), super::FEED_ROWS)?;
    let config = setting.config("certificates.toml", &[&feed], MEMORY)?;
    let most_certificates = 10_u64.pow(most.saturating_sub(RECORDS_PER_CERTIFICATE).max(FEWEST_CERTIFICATES));
    let sizes = (FEWEST_CERTIFICATES..)
        .map(|exponent| 10_u64.pow(exponent))
        .take_while(|number| *number <= most_certificates)
        .map(|number| certificates(&setting.target.join("compare"), number, most_certificates))
        .collect::<anyhow::Result<Vec<_>>>()?;
    print_certificates(setting, &sizes, &config)
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

fn print_certificates(setting: &Setting<'_>, sizes: &[Size], config: &Path) -> anyhow::Result<()> {
    println!(
        "{:>12} {:>9} {:>13} {:>8} {:>9} {:>13} {:>8} {:>9}",
        "certificates", "known", "CPU ns/record", "ratio", "first met", "CPU ns/record", "ratio", "anon MiB"
    );
    // Each without the later sessions, and with them.
    let ways: Vec<_> = sizes.iter().flat_map(|size| [(size, false), (size, true)]).collect();
    let figures = rounds(setting.arguments.runs, &ways, |(size, is_whole), _| {
        let folder = if *is_whole { size.folder.clone() } else { size.folder.join(FIRST) };
        let records = size.records * if *is_whole { 2 } else { 1 };
        setting.replay(&folder, records, Path::new("/dev/null"), config, None)
    })?;
    let costs = |size: &Size, figures: &[Figures]| {
        let cost = |cpu: f64| cpu * 1e9 / size.records as f64;
        (cost(figures[1].cpu - figures[0].cpu), cost(figures[0].cpu))
    };
    let least = sizes.first().map_or((1.0, 1.0), |size| costs(size, &figures));
    for (size, figures) in sizes.iter().zip(figures.chunks(2)) {
        let (known, first) = costs(size, figures);
        println!(
            "{:>12} {:>9} {known:>13.0} {:>8} {:>9} {first:>13.0} {:>8} {:>9.1}",
            size.number,
            size.records,
            format!("{:.2} x", known / least.0),
            size.records,
            format!("{:.2} x", first / least.1),
            figures[1].peak
        );
    }
    Ok(())
}

/// Invented logs with so many distinct certificates: `most` x509 records and as many sessions, and in a folder of their own
/// twice as many sessions that come later. Nothing differs but how many certificates are told apart.
fn certificates(target: &Path, distinct: u64, most: u64) -> anyhow::Result<Size> {
    let folder = target.join(format!("certificates-{distinct}-of-{most}"));
    let size = Size { number: distinct, folder: folder.clone(), records: most * 2 };
    let done = folder.with_extension("done");
    if done.exists() {
        return Ok(size);
    }
    eprintln!("bench: making logs of {distinct} certificates");
    let create = |folder: PathBuf, name: &str| -> anyhow::Result<_> {
        fs::create_dir_all(&folder)?;
        Ok(BufWriter::with_capacity(1 << 20, File::create(folder.join(name))?))
    };
    let mut x509 = create(folder.join(FIRST), "x509.log")?;
    let mut ssl = create(folder.join(FIRST), "ssl.log")?;
    for number in 0..most {
        write_certificate(&mut x509, number, number % distinct, distinct / 10)?;
        write_session(&mut ssl, number, number % distinct)?;
    }
    x509.flush()?;
    ssl.flush()?;
    let mut ssl = create(folder.join("later"), "ssl.log")?;
    for number in most..most * 3 {
        write_session(&mut ssl, number, mixed(number) % distinct)?;
    }
    ssl.flush()?;
    fs::write(done, "")?;
    Ok(size)
}

fn mixed(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20
}

/// Three milliseconds for each number.
fn time(number: u64, later: u64) -> String {
    let millis = number * 3 + later;
    format!("{}.{:03}", 1_760_000_000 + millis / 1000, millis % 1000)
}

fn write_certificate(out: &mut impl Write, number: u64, certificate: u64, issuers: u64) -> std::io::Result<()> {
    let (time, issuer) = (time(number, 0), certificate % issuers);
    write!(out, r#"{{"ts":{time},"fingerprint":"{certificate:064x}","certificate.version":3,"#)?;
    write!(out, r#""certificate.serial":"{certificate:X}","certificate.subject":"CN=host{certificate}.example","#)?;
    write!(out, r#""certificate.issuer":"CN=CA {issuer},O=Organisation {issuer},C=US","#)?;
    write!(out, r#""certificate.not_valid_before":1750000000.0,"certificate.not_valid_after":1780000000.0,"#)?;
    write!(out, r#""certificate.key_alg":"rsaEncryption","certificate.sig_alg":"sha256WithRSAEncryption","#)?;
    write!(out, r#""certificate.key_type":"rsa","certificate.key_length":2048,"#)?;
    writeln!(out, r#""san.dns":["host{certificate}.example"],"host_cert":true,"client_cert":false}}"#)
}

fn write_session(out: &mut impl Write, number: u64, certificate: u64) -> std::io::Result<()> {
    let (time, client, port) = (time(number, 1), number % 200, 1024 + number % 60_000);
    let (third, fourth) = (certificate / 250 % 250, certificate % 250);
    write!(out, r#"{{"ts":{time},"uid":"C{number:015}","id.orig_h":"10.0.0.{client}","id.orig_p":{port},"#)?;
    write!(out, r#""id.resp_h":"198.18.{third}.{fourth}","id.resp_p":443,"version":"TLSv12","#)?;
    write!(out, r#""cipher":"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256","server_name":"host{certificate}.example","#)?;
    write!(out, r#""resumed":false,"established":true,"ssl_history":"CsxknGIi","#)?;
    writeln!(out, r#""cert_chain_fps":["{certificate:064x}"],"sni_matches_cert":true}}"#)
}
