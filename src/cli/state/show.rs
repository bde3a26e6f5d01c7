//! `certsift state show`: issuers, certificates, names, servers or fingerprints of clients, those that few have met first.

use super::entry::EntryObject;
use super::table::TextTable;
use super::{ExitCode, Place, with_room_for_all};
use crate::cli::terminal::{json_line, write_stdout};
use crate::config::{Config, public_cas};
use crate::history::{Entry, History, HistoryTable, IssuerEntry, Rarity, Table, Weighted};
use crate::knowledge::PublicCas;
use crate::model::{DistinguishedName, EventTime, Id128, organization_id};
use crate::state::StateView;

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// What to show
    #[arg(value_enum, value_name = "WHAT")]
    what: What,
    /// Only issuers that are rare, by the rule that finds them on records
    #[arg(long)]
    rare: bool,
    /// How many to show
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// One object per line instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    /// Issuers, by name and by organisation
    Issuers,
    /// Certificates
    Certificates,
    /// Registrable domains
    Names,
    /// Servers, by address
    Servers,
    /// What clients offer: JA4, else JA3
    Fingerprints,
}

pub(super) fn show(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if arguments.rare && arguments.what != What::Issuers {
        anyhow::bail!("--rare is a question about issuers: certsift state show issuers --rare");
    }
    let (directory, config) = arguments.place.find()?;
    let view = StateView::open(&directory)?;
    let history = view.history(with_room_for_all(config.history))?;
    let clock = view.clock()?.now().unwrap_or(EventTime(0));
    let from_day = history.from_day(clock);
    let mut shown = match arguments.what {
        What::Issuers => {
            let judge = Judge::new(&history, &config, clock)?;
            let mut issuers = few_first(history.issuers(), "clients", from_day);
            issuers.retain(|(id, entry, _)| !arguments.rare || judge.is_rare(*id, entry) == Some(true));
            issuers.truncate(arguments.limit);
            let object = |(id, entry, established): (Id128, &IssuerEntry, bool)| {
                let by = if is_organization(id, entry) { "organization" } else { "name" };
                let object = EntryObject::of(HistoryTable::Issuers, id, entry, established, from_day);
                EntryObject { by: Some(by), rare: judge.is_rare(id, entry), ..object }
            };
            issuers.into_iter().map(object).collect::<Vec<_>>()
        }
        What::Certificates => {
            objects(history.certificates(), HistoryTable::Certificates, from_day, arguments.limit, |object, _| object)
        }
        What::Names => objects(history.names(), HistoryTable::Names, from_day, arguments.limit, |object, entry| {
            object.with_change(entry)
        }),
        What::Servers => {
            objects(history.servers(), HistoryTable::Servers, from_day, arguments.limit, |object, _| object)
        }
        What::Fingerprints => {
            objects(history.fingerprints(), HistoryTable::Fingerprints, from_day, arguments.limit, |object, _| object)
        }
    };
    if arguments.what == What::Certificates {
        for (object, id) in shown.iter_mut().zip(few_first(history.certificates(), "clients", from_day)) {
            if let Some(stored) = view.certificate(id.0)? {
                describe(object, &stored.certificate);
            }
        }
    }
    let text = if arguments.json { json_lines(&shown)? } else { table(arguments.what, &shown) };
    write_stdout(&text)?;
    if !config.join.history {
        eprintln!("not counting: checks.history = false");
    } else if let Some(reason) = history.learning_reason(clock) {
        let reason = serde_json::to_value(reason)?;
        eprintln!("still learning: {}", reason.as_str().unwrap_or_default());
    }
    Ok(ExitCode::Success)
}

/// Adds what the certificate store knows.
pub(super) fn describe(object: &mut EntryObject<'_>, certificate: &crate::model::Certificate) {
    object.sha256 = certificate.sha256.map(|sha256| sha256.to_string());
    object.subject = certificate.subject.as_ref().map(|subject| subject.text().to_owned());
    object.issuer = certificate.issuer.as_ref().map(|issuer| issuer.text().to_owned());
}

/// Objects as lines, safe for a terminal.
pub(super) fn json_lines(objects: &[EntryObject<'_>]) -> anyhow::Result<String> {
    let mut text = String::new();
    for object in objects {
        text.push_str(&json_line(&serde_json::to_string(object)?));
        text.push('\n');
    }
    Ok(text)
}

/// The entries of a table: those of few observers first, then the newest, then by their identity.
fn few_first<'a, E: Entry + Weighted>(table: &'a Table<E>, of: &str, from_day: i32) -> Vec<(Id128, &'a E, bool)> {
    let count = |entry: &E| entry.sets().find(|(set, _)| *set == of).map_or(0, |(_, set)| set.count_since(from_day));
    let mut entries: Vec<_> = table.iter().map(|(id, recency, entry)| (id, entry, recency.established)).collect();
    entries.sort_by_cached_key(|(id, entry, _)| (count(entry), std::cmp::Reverse(entry.times().first.at), *id));
    entries
}

fn objects<'a, E: Entry + Weighted>(
    table: &'a Table<E>,
    which: HistoryTable,
    from_day: i32,
    limit: usize,
    dress: impl Fn(EntryObject<'a>, &'a E) -> EntryObject<'a>,
) -> Vec<EntryObject<'a>> {
    let entries = few_first(table, "clients", from_day).into_iter().take(limit);
    entries
        .map(|(id, entry, established)| dress(EntryObject::of(which, id, entry, established, from_day), entry))
        .collect()
}

fn table(what: What, objects: &[EntryObject<'_>]) -> String {
    let counts: &[&str] = match what {
        What::Issuers => &["clients", "domains", "servers", "certificates"],
        What::Certificates => &["clients", "servers", "networks", "names"],
        What::Names => &["clients", "issuers", "certificates", "servers"],
        What::Servers => &["clients", "certificates", "names"],
        What::Fingerprints => &["clients", "certificates", "hidden_servers"],
    };
    let names: &[&str] = match what {
        What::Issuers => &["rare", "by", "issuer"],
        What::Certificates => &["sha256", "subject"],
        What::Names => &["name"],
        What::Servers => &["server"],
        What::Fingerprints => &["fingerprint"],
    };
    let mut table = TextTable::new(&[counts, &["first seen", "last seen"], names].concat());
    for object in objects {
        let mut cells: Vec<_> = counts.iter().map(|of| number(object.counts.get(of).copied())).collect();
        cells.extend([object.first_seen.clone(), object.last_seen.clone()].map(Option::unwrap_or_default));
        let label = || object.label.clone().unwrap_or_else(|| object.id.clone());
        match what {
            What::Issuers => {
                let rare = object.rare.map_or("", |rare| if rare { "rare" } else { "no" });
                cells.extend([rare.to_owned(), object.by.unwrap_or_default().to_owned(), label()]);
            }
            What::Certificates => {
                let sha256 = object.sha256.clone().unwrap_or_else(|| object.id.clone());
                cells.extend([sha256, object.subject.clone().unwrap_or_default()]);
            }
            What::Names | What::Servers | What::Fingerprints => cells.push(label()),
        }
        table.push(cells);
    }
    table.text()
}

fn number(count: Option<u32>) -> String {
    match count {
        Some(32) => "32+".to_owned(),
        count => count.unwrap_or_default().to_string(),
    }
}

/// Decides whether an issuer is rare, as on records.
struct Judge<'a> {
    history: &'a History,
    rarity: Rarity,
    from_day: i32,
    learning: bool,
    public_cas: PublicCas,
}

impl<'a> Judge<'a> {
    fn new(history: &'a History, config: &Config, clock: EventTime) -> anyhow::Result<Self> {
        let active_clients = history.active_clients(clock);
        let new_days = config.encode_settings().enrich.new_days;
        let rarity = Rarity { clock, active_clients, new_days, whole_since: None };
        let learning = history.learning_reason(clock).is_some();
        Ok(Self { history, rarity, from_day: history.from_day(clock), learning, public_cas: public_cas(config)? })
    }

    /// `None` where that cannot be said: of organisations, of public CAs, of names that were cut, of what was only met
    /// within, and while learning.
    fn is_rare(&self, id: Id128, entry: &IssuerEntry) -> Option<bool> {
        let name = entry.label.as_deref().and_then(|label| name_of(id, label))?;
        let only_within = entry.clients.is_empty() && !entry.internal_clients.is_empty();
        if self.learning || only_within || self.public_cas.find(&name).is_some() {
            return None;
        }
        let organization = organization_id(&name).and_then(|id| self.history.issuers().peek(id));
        let is_rare = |entry: &IssuerEntry| self.rarity.is_rare(&entry.seen(self.from_day));
        Some(is_rare(entry) && organization.is_none_or(is_rare))
    }
}

/// The name that a label spells: the one of the forms that sensors print which has the entry's identity.
fn name_of(id: Id128, label: &str) -> Option<DistinguishedName> {
    [DistinguishedName::from_rfc2253, DistinguishedName::from_suricata]
        .iter()
        .map(|read| read(label))
        .find(|name| name.key() == id)
}

fn is_organization(id: Id128, entry: &IssuerEntry) -> bool {
    let attribute = |label: &str| crate::model::Attribute::new(crate::model::AttributeKind::Organization, label);
    let name = entry.label.as_deref().map(|label| DistinguishedName::from_attributes(None, vec![attribute(label)]));
    name.is_some_and(|name| organization_id(&name) == Some(id))
}
