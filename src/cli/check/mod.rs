//! `certsift check`: what a configuration would read, match and write, and what is wrong with it.
//!
//! In: a configuration. Out: one section for each part of it, on standard output. Promise: nothing is created, changed or
//! fetched, and one thing that is wrong does not hide the next.
//!
//! A section is one file with one function, named in the list below.

mod configuration;
mod inputs;
mod lists;
mod look;
mod network;
mod observe;
mod output;
mod section;
mod signatures;
mod state;

use std::path::PathBuf;

use super::terminal::write_stdout;
use super::{ExitCode, start_logging};
use crate::config::{Config, changed_settings};
use look::InputFiles;
use section::Section;

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// Configuration file; without one every setting has its default
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// What sections look at.
struct Checked {
    /// The file, and its text.
    file: Option<(PathBuf, String)>,
    /// What it says.
    config: Config,
    /// The files that it means now, by input.
    inputs: Vec<InputFiles>,
}

/// The sections, in the order in which they are printed.
const SECTIONS: [fn(&Checked) -> Section; 8] = [
    configuration::section,
    inputs::section,
    network::section,
    signatures::section,
    lists::section,
    output::section,
    state::section,
    observe::section,
];

pub(super) fn check(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    start_logging(0);
    let sections = match load(arguments) {
        Ok(checked) => SECTIONS.iter().map(|section| section(&checked)).collect(),
        // Nothing can be said of what follows from a configuration that cannot be understood.
        Err(problem) => {
            let mut section = Section::new("configuration");
            section.problem(&problem);
            vec![section]
        }
    };
    let mut out = String::new();
    sections.iter().for_each(|section| section.write(&mut out));
    let count = |of: fn(&Section) -> usize| sections.iter().map(of).sum::<usize>();
    let (problems, warnings) = (count(Section::problems), count(Section::warnings));
    let usable = if problems == 0 { "usable" } else { "not usable" };
    out.push_str(&format!("{usable}: errors {problems}, warnings {warnings}\n"));
    write_stdout(&out)?;
    Ok(if problems == 0 { ExitCode::Success } else { ExitCode::Failure })
}

impl Checked {
    /// Whether the file sets a key to something else than the default.
    fn is_set(&self, key: &str) -> bool {
        self.file.as_ref().is_some_and(|(_, text)| changed_settings(text).iter().any(|setting| setting.key == key))
    }
}

fn load(arguments: &Arguments) -> Result<Checked, String> {
    let Some(path) = &arguments.config else {
        return Ok(Checked { file: None, config: Config::default(), inputs: Vec::new() });
    };
    let config = Config::load(path).map_err(|error| error.to_string())?;
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let inputs = config.inputs.iter().map(InputFiles::of).collect();
    Ok(Checked { file: Some((path.clone(), text)), config, inputs })
}
