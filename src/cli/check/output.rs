//! Where records would go.

use std::fs::OpenOptions;
use std::path::Path;

use super::Checked;
use super::section::Section;
use crate::encode::Format;
use crate::sink::network::{Login, NetworkSettings, SecretSource};
use crate::sink::{default_dead_letter_path, default_rejected_path, would_clash};

pub(super) fn section(checked: &Checked) -> Section {
    let mut section = Section::new("output");
    let output = &checked.config.output;
    let state = checked.config.state_dir.as_deref();
    let dead = output.dead_letter.clone().unwrap_or_else(|| default_dead_letter_path(output.path.as_deref(), state));
    match (&output.network, &output.path) {
        (Some(network), _) => {
            server(&mut section, network, output.format);
            let rejected = output.rejected.clone().unwrap_or_else(|| default_rejected_path(state));
            place(&mut section, "rejected lines", &rejected, state);
            if would_clash(&rejected, &dead) {
                let shown = dead.display();
                section
                    .problem(format!("{shown}: is the file of rejected lines and of dead letters; name another one"));
            }
        }
        (None, Some(path)) => place(&mut section, "records", path, None),
        (None, None) => section.fact("records", "standard output"),
    }
    place(&mut section, "dead letters", &dead, state);
    if output.path.as_ref().is_some_and(|path| would_clash(path, &dead)) {
        section.problem(format!("{}: is the output and the dead-letter file; name another one", dead.display()));
    }
    section
}

/// Says where records would be sent, and whether what that takes can be read. The server itself is told nothing.
fn server(section: &mut Section, network: &NetworkSettings, schema: Format) {
    let (name, format) = (network.name(), schema.name());
    let secret = |source: &SecretSource| format!("secret from {source}");
    match network {
        NetworkSettings::Elasticsearch(settings) => {
            match settings.index(schema) {
                Ok(index) => {
                    section.fact("records", format!("{name}, index {index}, as {format}; each once by its id"))
                }
                Err(why) => section.problem(why),
            }
            let urls = settings.http.urls.iter().skip(1).map(ToString::to_string).collect::<Vec<_>>().join(", ");
            if !urls.is_empty() {
                section.fact("other addresses", urls);
            }
            let login = match &settings.login {
                Login::None => "none".to_owned(),
                Login::ApiKey(source) => format!("API key, {}", secret(source)),
                Login::Password(user, source) => format!("user {user}, {}", secret(source)),
            };
            section.fact("login", login);
        }
        NetworkSettings::Splunk(settings) => {
            let safe = match settings.acknowledge {
                Some(_) => "at least once, acknowledged by the indexer",
                None => "not acknowledged: what the server has accepted and then loses is lost",
            };
            section.fact("records", format!("{name}, sourcetype {}, as {format}; {safe}", settings.sourcetype(schema)));
            section.fact("login", format!("token, {}", secret(&settings.token)));
        }
        NetworkSettings::Socket(_) => {
            section.fact("records", format!("{name}, as {format}; not acknowledged: what the system took is taken"));
        }
    }
    network.warnings().iter().for_each(|warning| section.warning(warning));
    // Nothing is written where lines would be rejected to.
    if let Err(error) = network.prepare(schema, std::path::PathBuf::new()) {
        section.problem(error.to_string());
    }
}

/// Says whether a file can be written. `made` is a folder that certsift makes at its start.
fn place(section: &mut Section, label: &str, path: &Path, made: Option<&Path>) {
    let shown = path.display();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match path.metadata() {
        Ok(metadata) if metadata.is_dir() => section.problem(format!("{shown}: is a folder; name a file")),
        // Opening a pipe would wait for its reader.
        Ok(metadata) if !metadata.is_file() => section.fact(label, format!("{shown}: a pipe or device, not tried")),
        Ok(metadata) => match OpenOptions::new().append(true).open(path) {
            Ok(_) => section.fact(label, format!("{shown}: writable, holds {} bytes", metadata.len())),
            Err(error) => section.problem(format!("{shown}: cannot be written: {error}")),
        },
        Err(_) if made.is_some_and(|made| made == folder) && !folder.exists() => {
            section.fact(label, format!("{shown}: made when it is needed"));
        }
        Err(_) if !folder.is_dir() => section.problem(format!("{shown}: there is no folder {}", folder.display())),
        // A file without a name shows that one can be made, and leaves nothing behind.
        Err(_) => match tempfile::tempfile_in(folder) {
            Ok(_) => section.fact(label, format!("{shown}: can be made")),
            Err(error) => section.problem(format!("{shown}: cannot be made: {error}")),
        },
    }
}
