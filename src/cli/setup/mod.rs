//! `certsift setup`: what other products need to know of certsift's output, ready to be put into them.
//!
//! In: the name of a product. Out: its files, on standard output or in a folder, and on standard error what to do with
//! them. Promise: what depends on the output is made from the same tables and types as the output.
//!
//! A product is one file here, and one row in the list of commands below.

mod elastic;
mod mapping;
mod operations;
mod rules;
mod splunk;

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Subcommand;

use super::ExitCode;
use super::terminal::write_stdout;

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Write the files into this folder, replacing those of the same names, instead of to standard output
    #[arg(short, long, value_name = "DIR", global = true)]
    output: Option<PathBuf>,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Ingest pipeline, component template and index template for Elasticsearch or OpenSearch
    Elastic(elastic::Arguments),
    /// Configuration of Splunk, with fields of the Common Information Model
    Splunk,
    /// Sigma rules
    Sigma,
    /// Detection rules of Elastic Security, to be imported
    ElasticRules,
    /// Scheduled searches of Splunk
    SplunkRules,
    /// Dashboard of certsift itself, for Grafana
    Grafana,
    /// Alert rules about certsift itself, for Prometheus
    Prometheus,
}

/// What a product needs.
struct Setup {
    files: Vec<File>,
    /// How they are shown together.
    together: Together,
    /// What is to be done with them.
    advice: String,
}

struct File {
    name: &'static str,
    text: Cow<'static, str>,
}

/// How files stand one after the other.
enum Together {
    /// Each below its name in a comment.
    Commented,
    /// As the members of one object.
    Json,
    /// There is one.
    Alone,
}

pub(super) fn setup(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let setup = match &arguments.command {
        Command::Elastic(arguments) => elastic::setup(arguments),
        Command::Splunk => splunk::setup(),
        Command::Sigma => rules::sigma(),
        Command::ElasticRules => rules::elastic(),
        Command::SplunkRules => rules::splunk(),
        Command::Grafana => operations::grafana(),
        Command::Prometheus => operations::prometheus(),
    };
    match &arguments.output {
        Some(folder) => setup.write(folder)?,
        None => write_stdout(&setup.text())?,
    }
    eprint!("{}", setup.advice);
    Ok(ExitCode::Success)
}

impl Setup {
    fn text(&self) -> String {
        let files = self.files.iter();
        match self.together {
            Together::Alone => files.map(|file| &*file.text).collect(),
            Together::Commented => {
                let texts: Vec<_> = files.map(|file| format!("# {}\n{}", file.name, file.text)).collect();
                texts.join("\n")
            }
            Together::Json => {
                let members: Vec<_> = files
                    .map(|file| {
                        let name = file.name.trim_end_matches(".json");
                        format!("  \"{name}\": {}", file.text.trim_end().replace('\n', "\n  "))
                    })
                    .collect();
                format!("{{\n{}\n}}\n", members.join(",\n"))
            }
        }
    }

    fn write(&self, folder: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
        for file in &self.files {
            let path = folder.join(file.name);
            std::fs::write(&path, &*file.text).with_context(|| format!("{}: cannot be written", path.display()))?;
        }
        Ok(())
    }
}
