//! `certsift explain`: what certsift makes of one certificate or of a few log lines, in words.
//!
//! In: a certificate, log lines or enriched records. Out: the verdict with all that it rests on. Promise: what is said of a
//! record is what `replay` would write of it by itself, since it comes from the same code; nothing is read but the input
//! and the configuration, and nothing is written but the answer.

mod again;
mod certificates;
mod explanation;
mod judge;
mod lines;
mod text;

use std::path::PathBuf;

use super::replay::shown;
use super::terminal::{json_line, write_stdout};
use super::{ExitCode, start_logging, summary};
use crate::config::Config;
use crate::source::{LineReader, Reader, open, open_stdin};
use explanation::Explanation;
use lines::Looked;

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// A certificate (PEM or DER), or log lines: Zeek x509 and ssl (JSON, or TSV with its header), Suricata EVE, or what
    /// certsift has enriched; `-` is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    input: PathBuf,
    /// Configuration file, for its knowledge and networks; without one every setting has its default
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One JSON object for each explanation instead of text
    #[arg(long)]
    json: bool,
}

/// Bytes of the input that are looked at to find out what it is; certificates have to fit into them.
const HEAD: usize = 1024 * 1024;

pub(super) fn explain(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    start_logging(0);
    let config = match &arguments.config {
        Some(path) => Config::load(path)?,
        None => Config::default(),
    };
    let (knowledge, reports) = config.load_knowledge(summary::now())?;
    summary::report_knowledge(&reports);
    let name = match arguments.input.as_os_str().to_str() {
        Some("-") => "standard input".to_owned(),
        _ => shown(&arguments.input),
    };
    let (explanations, complete) = read(arguments, &name, &config, &knowledge)?;
    let mut out = String::new();
    for explanation in &explanations {
        if arguments.json {
            out.push_str(&json_line(&serde_json::to_string(explanation)?));
            out.push('\n');
        } else {
            if !out.is_empty() {
                out.push('\n');
            }
            text::write(&mut out, explanation);
        }
    }
    write_stdout(&out)?;
    Ok(if complete { ExitCode::Success } else { ExitCode::Incomplete })
}

/// Reads the input and explains what is in it; the second value says whether that was all of it.
fn read(
    arguments: &Arguments,
    name: &str,
    config: &Config,
    knowledge: &crate::knowledge::Knowledge,
) -> anyhow::Result<(Vec<Explanation>, bool)> {
    let mut reader = open_input(&arguments.input)?;
    let head = reader.head(HEAD).to_vec();
    if let Some(error) = reader.head_error() {
        anyhow::bail!("{name}: cannot be read: {error}");
    }
    if head.trim_ascii().is_empty() {
        anyhow::bail!("{name}: is empty; give a certificate or a log line");
    }
    if certificates::is_certificate(&head) {
        let whole = reader.head_is_all();
        let found = certificates::read(&head, whole).map_err(|problem| anyhow::anyhow!("{name}: {problem}"))?;
        return Ok((vec![judge::certificates(found, config, knowledge)?], true));
    }
    let Looked { records, unreadable, others, bounded, source } = lines::read(reader, &head, &arguments.input)?;
    for line in &unreadable {
        eprintln!("certsift: {name}:{}: {}", line.number, line.problem);
    }
    if records.is_empty() {
        anyhow::bail!("{name}: {}", lines::nothing_found(&head, &unreadable, &others));
    }
    for (kind, count) in &others {
        eprintln!("certsift: {name}: left out, since there is nothing to explain: {count} {kind}");
    }
    if let Some(bound) = bounded {
        eprintln!("certsift: {name}: {bound}");
    }
    let explanations = judge::lines(&records, &source, config, knowledge);
    if explanations.is_empty() {
        anyhow::bail!("{name}: holds the key `certsift`, but not the object that certsift writes there");
    }
    Ok((explanations, unreadable.is_empty()))
}

fn open_input(path: &std::path::Path) -> anyhow::Result<LineReader<Reader>> {
    let opened = if path.as_os_str() == "-" {
        if std::io::IsTerminal::is_terminal(&std::io::stdin()) {
            eprintln!("certsift: reading standard input; end it with Ctrl-D");
        }
        open_stdin(std::sync::Arc::default())
    } else {
        open(path, std::sync::Arc::default())
    };
    Ok(LineReader::new(opened?))
}
