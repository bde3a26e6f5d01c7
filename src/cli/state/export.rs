//! `certsift state export`: everything that history knows, in an order that stays the same.

use std::io::Write as _;

use super::entry::EntryObject;
use super::show::describe;
use super::{ExitCode, Place, with_room_for_all};
use crate::cli::terminal::json_line;
use crate::history::{Entry, HistoryTable, Table, Weighted};
use crate::model::{Address, EventTime, Id128};
use crate::state::StateView;

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// One object per line, which is the only form there is
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// The first line: what all others depend on.
#[derive(serde::Serialize)]
struct Head {
    kind: &'static str,
    format: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    clock: Option<String>,
    window_days: i32,
    learning: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    learning_reason: Option<crate::history::LearningReason>,
    active_clients: u32,
}

pub(super) fn export(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (directory, config) = arguments.place.find()?;
    let view = StateView::open(&directory)?;
    let history = view.history(with_room_for_all(config.history))?;
    let now = view.clock()?.now();
    let clock = now.unwrap_or(EventTime(0));
    let from_day = history.from_day(clock);
    let mut out = Lines { out: std::io::BufWriter::new(std::io::stdout().lock()) };
    let head = Head {
        kind: "state",
        format: view.version(),
        clock: now.map(|now| now.to_string()),
        window_days: config.history.window_days,
        learning: history.learning_reason(clock).is_some(),
        learning_reason: history.learning_reason(clock),
        active_clients: history.active_clients(clock),
    };
    let mut write = || -> anyhow::Result<()> {
        out.write(&head)?;
        for (id, entry, established) in in_order(history.issuers()) {
            out.write(&EntryObject::of(HistoryTable::Issuers, id, entry, established, from_day).with_observers(entry))?;
        }
        for (id, entry, established) in in_order(history.certificates()) {
            let object = EntryObject::of(HistoryTable::Certificates, id, entry, established, from_day);
            let mut object = object.with_observers(entry);
            if let Some(stored) = view.certificate(id)? {
                describe(&mut object, &stored.certificate);
            }
            out.write(&object)?;
        }
        for (id, entry, established) in in_order(history.keys()) {
            out.write(&EntryObject::of(HistoryTable::Keys, id, entry, established, from_day).with_observers(entry))?;
        }
        for (id, entry, established) in in_order(history.names()) {
            let object = EntryObject::of(HistoryTable::Names, id, entry, established, from_day);
            out.write(&object.with_observers(entry).with_change(entry))?;
        }
        for (id, entry, established) in in_order(history.servers()) {
            out.write(&EntryObject::of(HistoryTable::Servers, id, entry, established, from_day).with_observers(entry))?;
        }
        for (id, entry, established) in in_order(history.fingerprints()) {
            let object = EntryObject::of(HistoryTable::Fingerprints, id, entry, established, from_day);
            out.write(&object.with_observers(entry))?;
        }
        let mut clients: Vec<_> = history.clients().iter().map(|(id, _, day)| (id, *day)).collect();
        clients.sort_unstable();
        for (id, day) in clients {
            let label = Some(Address::of_id(id).ip().to_string());
            let last_seen = Some(EventTime::date_text(day));
            out.write(&EntryObject { label, last_seen, ..EntryObject::new(HistoryTable::Clients, id) })?;
        }
        Ok(out.out.flush()?)
    };
    match write() {
        Err(error) if is_broken_pipe(&error) => Ok(ExitCode::Success),
        written => written.map(|()| ExitCode::Success),
    }
}

struct Lines<W> {
    out: W,
}

impl<W: std::io::Write> Lines<W> {
    fn write(&mut self, object: &impl serde::Serialize) -> anyhow::Result<()> {
        let json = serde_json::to_string(object)?;
        writeln!(self.out, "{}", json_line(&json))?;
        Ok(())
    }
}

/// Entries in the order of their identities.
fn in_order<E: Entry + Weighted>(table: &Table<E>) -> Vec<(Id128, &E, bool)> {
    let mut entries: Vec<_> = table.iter().map(|(id, recency, entry)| (id, entry, recency.established)).collect();
    entries.sort_unstable_by_key(|(id, ..)| *id);
    entries
}

/// The reader of the pipe has what it wanted.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<std::io::Error>();
    error.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
