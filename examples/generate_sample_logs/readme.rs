//! The README of the folder: the story as written, and tables of the sessions that carry a note.

use crate::session::Session;

/// The README: a table for each chapter, what stands out before its twins, otherwise in order of time.
pub(crate) fn render(sessions: &[(&Session, String)], figures: &[(&str, usize)]) -> String {
    let mut out = String::from(include_str!("texts/README.md"));
    for chapter in CHAPTERS {
        out.push_str(&format!("## {chapter}\n\n| when | line | shows | certsift says |\n|---|---|---|---|\n"));
        let noted = sessions.iter().filter_map(|(session, file)| session.note.map(|note| (note, session, file)));
        let mut noted = noted.filter(|(note, ..)| note.chapter == *chapter).collect::<Vec<_>>();
        noted.sort_by_key(|(note, ..)| note.shows.starts_with("*twin"));
        for (note, session, file) in noted {
            let line = match session.sensor.is_zeek() {
                true => format!("`{}`", session.uid()),
                false => format!("flow `{}`", session.flow_id()),
            };
            let when = session.at.validity().get(5..16).unwrap_or_default().replace('T', " ");
            out.push_str(&format!("| {when} | {line}<br>{file} | {} | {} |\n", note.shows, note.expect));
        }
        out.push('\n');
    }
    out.push_str("## In figures\n\n");
    for (what, count) in figures {
        out.push_str(&format!("- {what}: {count}\n"));
    }
    out.push_str(
        "\nThe folder is written by `cargo run --example generate_sample_logs`; `-- --check` says whether it still is what the\n\
         generator writes.\n",
    );
    out
}

const CHAPTERS: &[&str] = &[
    "A tool's own certificate",
    "A remote-access tool, and what resumption hides",
    "Signed by itself",
    "An issuer that nobody else meets",
    "A name registered last week",
    "Somebody else's name",
    "No certificate, for seven reasons",
    "No certificate, but one remembered",
    "Worth knowing",
];
