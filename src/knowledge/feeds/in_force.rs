//! Taking the rows of one file out of the index again, so that they stay in force when the file cannot be used any more.
//! Nothing is kept for this beside the index: a file that breaks is rare, and the rows are millions.

use std::path::Path;

use super::Feeds;
use super::address::Network;
use super::index::Entry;
use super::rows::{NO_TEXT, Note, Pattern, Rows};

/// The rows of one file; `None` where it is not among the feeds.
pub(super) fn rows_of(feeds: &Feeds, path: &Path) -> Option<Rows> {
    let feed = feeds.files.iter().position(|file| file.path == path)? as u32;
    let mut rows = Rows::default();
    let mut text = |index: u32| match feeds.texts.get(index as usize) {
        Some(text) if index != NO_TEXT => rows.texts.intern(text),
        _ => NO_TEXT,
    };
    let mut places = vec![None; feeds.notes.len()];
    let mut notes = Vec::new();
    for (place, note) in places.iter_mut().zip(&feeds.notes).filter(|(_, note)| note.feed == feed) {
        *place = Some(notes.len() as u32);
        notes.push(Note { label: text(note.label), written: text(note.written), ..note.clone() });
    }
    rows.notes = notes;
    let place = |note: u32| places.get(note as usize).copied().flatten();
    fn moved<K: Copy>(entry: &Entry<K>, place: impl Fn(u32) -> Option<u32>) -> Option<Entry<K>> {
        place(entry.note).map(|note| Entry { note, ..*entry })
    }
    rows.names = feeds.names.entries().iter().filter_map(|entry| moved(entry, place)).collect();
    for (into, from) in rows.certificates.iter_mut().zip(&feeds.certificates) {
        *into = from.entries().iter().filter_map(|entry| moved(entry, place)).collect();
    }
    let network =
        |(network, port, entry): &(Network, Option<u16>, Entry<()>)| Some((*network, *port, moved(entry, place)?));
    rows.networks = feeds.networks.entries().iter().filter_map(network).collect();
    let pattern = |pattern: &Pattern| Some(Pattern { note: place(pattern.note)?, ..pattern.clone() });
    rows.patterns = feeds.patterns.iter().filter_map(pattern).collect();
    rows.rules = feeds.rules.rules().iter().filter(|rule| rule.feed == feed).cloned().collect();
    Some(rows)
}
