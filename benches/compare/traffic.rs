//! The logs that everybody works on: as many certificates to sessions as wanted, repeated as real traffic repeats itself.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Read, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use flate2::read::MultiGzDecoder;
use serde_json::Value;

use super::corpus::Corpus;
use super::extend::{self, Extended};
use super::samples::{Form, Set};

/// Logs of one form.
pub(super) struct Traffic {
    pub(super) name: &'static str,
    pub(super) form: Form,
    pub(super) extended: Extended,
    pub(super) keys: Keys,
    /// A thousand issuers with a label each, as CSV.
    pub(super) table: PathBuf,
    /// The same as one JSON object.
    pub(super) table_json: PathBuf,
}

/// What Zeek calls the things that a session and its certificate have in common, which depends on its version.
#[derive(Clone, Copy)]
pub(super) struct Keys {
    /// Of a session.
    pub(super) chain: &'static str,
    /// Of a certificate.
    pub(super) own: &'static str,
    /// Sessions name the issuer themselves.
    pub(super) issuer: bool,
}

/// What a record says of certificates.
#[derive(Default)]
pub(super) struct Facts {
    pub(super) chain: Vec<String>,
    pub(super) client_chain: Vec<String>,
    pub(super) own: Option<String>,
    pub(super) issuer: Option<String>,
}

/// What a peer writes where an issuer is in the table; no log holds it.
pub(super) const LABEL: &str = "issuer-table-";
/// Rows of the table.
const ROWS: usize = 1000;
/// Of five sessions, one certificate.
const SESSIONS_PER_CERTIFICATE: f64 = 5.0;
/// One record in so many has an issuer of the table, at the most: lists of what is bad match few records.
const RECORDS_PER_HIT: u64 = 20;

const OLD_KEYS: Keys = Keys { chain: "cert_chain_fuids", own: "id", issuer: true };
const NEW_KEYS: Keys = Keys { chain: "cert_chain_fps", own: "fingerprint", issuer: false };

/// Makes the logs, unless they are there.
pub(super) fn make(target: &Path, sessions: u64, chosen: impl Fn(&str) -> bool) -> anyhow::Result<Vec<Traffic>> {
    let corpus = Corpus::find(sessions);
    let folder = target.join("compare");
    let mut all = Vec::new();
    // Zeek 3.0 logs a certificate for every session that shows one; samples have too few to leave any out.
    let sources = [
        ("zeek-json", ["zeek-3.0-json", "sample-zeek-json"]),
        ("zeek-tsv", ["zeek-3.0-tsv", "sample-zeek-tsv"]),
        ("eve", ["suricata-8.0", "sample-suricata"]),
    ];
    for (name, [real, sample]) in sources {
        if !chosen(name) {
            continue;
        }
        let set = corpus.sets.iter().find(|set| set.name == real || set.name == sample).context("no such logs")?;
        let is_real = set.name == real;
        let set = match set.form {
            // Three events for ten sessions.
            Form::Eve => Set { name: name.to_owned(), wanted: set.wanted * 2, ..set.clone() },
            Form::Tsv | Form::Json if is_real => thin(set, name, &folder.join("sources"))?,
            Form::Tsv | Form::Json => Set { name: name.to_owned(), ..set.clone() },
        };
        let keys = if is_real { OLD_KEYS } else { NEW_KEYS };
        let extended = extend::make(&set, &folder).with_context(|| format!("cannot make {name}"))?;
        let table = table(&set, keys)?;
        let table_csv = folder.join(format!("{name}-issuers.csv"));
        let table_json = folder.join(format!("{name}-issuers.json"));
        let mut csv = "issuer,label\n".to_owned();
        for (issuer, label) in &table {
            writeln!(csv, "\"{issuer}\",{label}")?;
        }
        fs::write(&table_csv, csv)?;
        fs::write(&table_json, serde_json::to_vec(&table)?)?;
        all.push(Traffic { name, form: set.form, extended, keys, table: table_csv, table_json });
    }
    Ok(all)
}

/// Leaves out sessions that show a certificate, evenly, until there are as few certificates as wanted.
fn thin(set: &Set, name: &str, folder: &Path) -> anyhow::Result<Set> {
    let folder = folder.join(name);
    fs::create_dir_all(&folder)?;
    let (mut sessions, mut shown, mut certificates) = (0.0, 0.0, 0.0);
    each(set.form, &set.sessions, OLD_KEYS, |_, facts| {
        let Some(facts) = facts else { return Ok(()) };
        sessions += 1.0;
        shown += if facts.chain.is_empty() { 0.0 } else { 1.0 };
        Ok(())
    })?;
    each(set.form, &set.certificates, OLD_KEYS, |_, facts| {
        certificates += if facts.is_some() { 1.0 } else { 0.0 };
        Ok(())
    })?;
    // With a share s of those that show one kept: s * certificates * 5 = sessions - shown + s * shown.
    let share: f64 = (sessions - shown) / (SESSIONS_PER_CERTIFICATE * certificates - shown);
    ensure!((0.0..=1.0).contains(&share), "{name}: fewer certificates than wanted");
    let mut out = BufWriter::new(File::create(folder.join("ssl.log"))?);
    let mut dropped = HashSet::new();
    let mut number = 0.0_f64;
    each(set.form, &set.sessions, OLD_KEYS, |line, facts| {
        if let Some(facts) = facts.filter(|facts| !facts.chain.is_empty()) {
            number += 1.0;
            if (number * share).floor() <= ((number - 1.0) * share).floor() {
                dropped.extend(facts.chain.into_iter().chain(facts.client_chain));
                return Ok(());
            }
        }
        Ok(writeln!(out, "{line}")?)
    })?;
    out.flush()?;
    let mut out = BufWriter::new(File::create(folder.join("x509.log"))?);
    each(set.form, &set.certificates, OLD_KEYS, |line, facts| {
        if facts.and_then(|facts| facts.own).is_some_and(|own| dropped.contains(&own)) {
            return Ok(());
        }
        Ok(writeln!(out, "{line}")?)
    })?;
    out.flush()?;
    let (sessions, certificates) = (vec![folder.join("ssl.log")], vec![folder.join("x509.log")]);
    Ok(Set { name: name.to_owned(), form: set.form, sessions, certificates, wanted: set.wanted })
}

/// Issuers that few records have, and such as none has.
fn table(set: &Set, keys: Keys) -> anyhow::Result<BTreeMap<String, String>> {
    let mut counts: HashMap<String, u64> = HashMap::new();
    let mut issuers: HashMap<String, String> = HashMap::new();
    let mut records = 0;
    each(set.form, &set.certificates, keys, |_, facts| {
        let Some(facts) = facts else { return Ok(()) };
        records += 1;
        let Some(issuer) = facts.issuer else { return Ok(()) };
        *counts.entry(issuer.clone()).or_default() += 1;
        issuers.extend(facts.own.map(|own| (own, issuer)));
        Ok(())
    })?;
    each(set.form, &set.sessions, keys, |_, facts| {
        let Some(facts) = facts else { return Ok(()) };
        records += 1;
        let shown = || issuers.get(facts.chain.first()?);
        let issuer = if set.form == Form::Eve { facts.issuer.as_ref() } else { shown() };
        if let Some(issuer) = issuer {
            *counts.entry(issuer.clone()).or_default() += 1;
        }
        Ok(())
    })?;
    let mut by_count: Vec<(u64, String)> = counts.into_iter().map(|(issuer, count)| (count, issuer)).collect();
    by_count.sort();
    let mut table = BTreeMap::new();
    let mut left = records / RECORDS_PER_HIT;
    // What is written with escapes is spelt in one way in TSV and in another in JSON.
    let is_plain = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| matches!(byte, b' '..=b'~') && !b"\\\"".contains(&byte))
    };
    for (count, issuer) in by_count.into_iter().filter(|(_, issuer)| is_plain(issuer)) {
        if count > left || table.len() == ROWS {
            break;
        }
        left -= count;
        table.insert(issuer, format!("{LABEL}{}", table.len()));
    }
    for number in table.len()..ROWS {
        table.insert(format!("CN=Nobody CA {number},O=Nobody,C=AQ"), format!("{LABEL}{number}"));
    }
    Ok(table)
}

/// Calls `take` with every line; facts are there unless it is a comment.
pub(super) fn each(
    form: Form,
    paths: &[PathBuf],
    keys: Keys,
    mut take: impl FnMut(&str, Option<Facts>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    for path in paths {
        let file = File::open(path).with_context(|| path.display().to_string())?;
        let reader: Box<dyn Read> = match path.extension().is_some_and(|extension| extension == "gz") {
            true => Box::new(MultiGzDecoder::new(file)),
            false => Box::new(file),
        };
        let mut columns: Vec<String> = Vec::new();
        for line in BufReader::with_capacity(1 << 20, reader).lines() {
            let line = line?;
            let facts = match form {
                Form::Tsv if line.starts_with('#') => {
                    if let Some(fields) = line.strip_prefix("#fields\t") {
                        columns = fields.split('\t').map(str::to_owned).collect();
                    }
                    None
                }
                Form::Tsv => Some(of_row(&columns, &line, keys)),
                Form::Json | Form::Eve => Some(of_object(&line, keys)?),
            };
            take(&line, facts)?;
        }
    }
    Ok(())
}

fn of_row(columns: &[String], line: &str, keys: Keys) -> Facts {
    let mut facts = Facts::default();
    let list = |cell: &str| if cell == "(empty)" { Vec::new() } else { cell.split(',').map(str::to_owned).collect() };
    for (column, cell) in columns.iter().zip(line.split('\t')).filter(|(_, cell)| *cell != "-") {
        match column.as_str() {
            column if column == keys.chain => facts.chain = list(cell),
            column if column.strip_prefix("client_") == Some(keys.chain) => facts.client_chain = list(cell),
            column if column == keys.own => facts.own = Some(cell.to_owned()),
            "issuer" | "certificate.issuer" => facts.issuer = Some(cell.to_owned()),
            _ => {}
        }
    }
    facts
}

fn of_object(line: &str, keys: Keys) -> anyhow::Result<Facts> {
    let object: Value = serde_json::from_str(line)?;
    let text = |key: &str| object.get(key).and_then(Value::as_str).map(str::to_owned);
    let list = |key: &str| {
        let elements = object.get(key).and_then(Value::as_array).into_iter().flatten();
        elements.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let eve = || object.get("tls")?.get("issuerdn")?.as_str().map(str::to_owned);
    Ok(Facts {
        chain: list(keys.chain),
        client_chain: list(&format!("client_{}", keys.chain)),
        own: text(keys.own),
        issuer: text("issuer").or_else(|| text("certificate.issuer")).or_else(eve),
    })
}
