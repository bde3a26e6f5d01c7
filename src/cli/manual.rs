//! `certsift man` and `certsift completions`: what a package installs beside the program, made from the definition of the
//! command line, so that it cannot say anything else.

use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::ExitCode;
use super::terminal::write_stdout;

#[derive(clap::Args, Debug)]
pub(super) struct ManArguments {
    /// Write the pages of all commands into a folder instead, such as certsift-run.1
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

#[derive(clap::Args, Debug)]
pub(super) struct CompletionsArguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// What the page of the whole adds to its commands.
const EXIT_STATUS: [(&str, &str); 5] = [
    ("0", "Everything was done."),
    (
        "1",
        "It could not be done; the message says why. For check, something is wrong; for status, certsift is not well.",
    ),
    ("2", "The command line cannot be understood."),
    (
        "3",
        "replay or explain is done, but some inputs or lines could not be read, or not to their end; or a server rejected records of replay.",
    ),
    ("130, 143", "A second SIGINT or SIGTERM ended run at once."),
];
const FILES: [(&str, &str); 3] = [
    (
        "/etc/certsift/certsift.toml",
        "The configuration that the service uses. certsift config show explains every key.",
    ),
    ("/var/lib/certsift", "The state of the service: positions, history, certificates and the journal."),
    ("/var/log/certsift", "Enriched records and dead letters of the service."),
];
const ENVIRONMENT: [(&str, &str); 1] =
    [("CERTSIFT_LOG", "What is logged on standard error, for example debug; overrides --verbose.")];

pub(super) fn man(arguments: &ManArguments) -> anyhow::Result<ExitCode> {
    let mut command = super::Arguments::command();
    command.build();
    match &arguments.dir {
        Some(folder) => write_pages(folder, &command)?,
        None => write_stdout(&page(&command)?)?,
    }
    Ok(ExitCode::Success)
}

pub(super) fn completions(arguments: &CompletionsArguments) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut super::Arguments::command(), "certsift", &mut script);
    write_stdout(&String::from_utf8(script)?)?;
    Ok(ExitCode::Success)
}

fn write_pages(folder: &Path, command: &Command) -> anyhow::Result<()> {
    for command in with_commands(command) {
        let path = folder.join(Man::new(command.clone()).get_filename());
        std::fs::write(&path, page(command)?).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// A command, and those below it; but not `help`, which each of them has.
fn with_commands(command: &Command) -> Vec<&Command> {
    let below = command.get_subcommands().filter(|below| below.get_name() != "help").flat_map(with_commands);
    std::iter::once(command).chain(below).collect()
}

fn page(command: &Command) -> anyhow::Result<String> {
    let version = format!("certsift {}", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone().disable_help_subcommand(true)).source(version).manual("certsift");
    let mut page = Vec::new();
    if command.get_name() != "certsift" {
        man.render(&mut page)?;
        return Ok(String::from_utf8(page)?);
    }
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    man.render_subcommands_section(&mut page)?;
    let mut rest = Roff::new();
    section(&mut rest, "EXIT STATUS", &EXIT_STATUS);
    section(&mut rest, "FILES", &FILES);
    section(&mut rest, "ENVIRONMENT", &ENVIRONMENT);
    rest.to_writer(&mut page)?;
    Ok(String::from_utf8(page)?)
}

fn section(roff: &mut Roff, title: &str, entries: &[(&str, &str)]) {
    roff.control("SH", [title]);
    for (term, text) in entries {
        roff.control("TP", []);
        roff.text([bold(*term)]);
        roff.text([roman(*text)]);
    }
}
