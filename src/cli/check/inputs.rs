//! What would be read.

use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use super::Checked;
use super::look::{Archives, Followed};
use super::section::Section;
use crate::source::streams::{Socket, SocketKind};

pub(super) fn section(checked: &Checked) -> Section {
    let mut section = Section::new("inputs");
    if checked.inputs.is_empty() {
        section.fact("none", "`run` needs [[input]] with paths; `replay` takes its files from the command line");
    }
    for (number, (files, input)) in checked.inputs.iter().zip(&checked.config.inputs).enumerate() {
        let sensor = input.sensor.as_deref().map(|sensor| format!(", sensor {sensor}")).unwrap_or_default();
        section.fact("input", format!("{}{sensor}", number + 1));
        if input.is_stdin() {
            section.fact("reads", "standard input");
        }
        if let Some(socket) = &input.socket {
            listen(&mut section, socket);
        }
        files.paths.iter().for_each(|followed| follow(&mut section, followed));
        files.archives.iter().for_each(|archives| list(&mut section, archives));
    }
    section
}

/// Says where a sender has to send, and whether `run` could listen there.
fn listen(section: &mut Section, socket: &Socket) {
    let kind = match socket.kind {
        SocketKind::Stream => "unix-stream",
        SocketKind::Datagram => "unix-dgram",
    };
    section.fact("listens", format!("{kind}:{}", socket.path.display()));
    let folder = socket.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        section.problem(format!("{}: there is no such folder", folder.display()));
    }
    match std::fs::symlink_metadata(&socket.path) {
        Ok(metadata) if !metadata.file_type().is_socket() => {
            section.problem(format!("{}: there is a file of this name, which is no socket", socket.path.display()));
        }
        Ok(_) => section.fact("  socket", "is there: `run` listens, or was killed"),
        Err(_) => section.fact("  socket", "is not there: `run` makes it"),
    }
}

fn follow(section: &mut Section, followed: &Followed) {
    let count = followed.files.len() + followed.more;
    section.fact("follows", format!("{}: {}", followed.pattern, files(count)));
    for (path, look) in &followed.files {
        let shown = path.to_string_lossy();
        match look {
            Ok(look) if look.is_read => {
                let first = look.first.map(|first| format!(", from {first}")).unwrap_or_default();
                section.fact("  file", format!("{shown}: {}{first}", look.kind));
            }
            Ok(look) => section.warning(format!("{shown}: {}; it is left alone", look.kind)),
            Err(error) => section.warning(format!("{shown}: cannot be read: {error}")),
        }
    }
    if followed.more > 0 {
        section.fact("  file", format!("and {} more", followed.more));
    }
    followed.warnings.iter().for_each(|warning| section.warning(warning));
    followed.problem.iter().for_each(|problem| section.problem(problem));
}

fn list(section: &mut Section, archives: &Archives) {
    let found = match archives.found {
        Some((count, oldest, newest)) => format!("{}, changed between {oldest} and {newest}", files(count)),
        None => files(0),
    };
    section.fact("archives", format!("{}: {found}", archives.pattern));
    archives.warnings.iter().for_each(|warning| section.warning(warning));
    archives.problem.iter().for_each(|problem| section.problem(problem));
}

fn files(count: usize) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}
