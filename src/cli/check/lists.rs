//! What else is known: feeds and lists of registrations, exceptions, own certificates, prefixes, public CAs, watched
//! names.

use super::Checked;
use super::section::Section;
use crate::cli::summary::now;
use crate::config::{Config, check_feeds, expand};
use crate::enrich::{CheckSet, Part, checks, instead_of_check};
use crate::knowledge::feeds::{AllowKind, FeedReport, MatchKind};
use crate::knowledge::names::RankReport;
use crate::knowledge::pem::PemReport;
use crate::knowledge::registrations::{ListReport, index};
use crate::knowledge::{AllowList, Feeds, PublicCas, Signatures, WatchNames, files_of, suffix};
use crate::model::EventTime;
use crate::rdap::{RdapSettings, Servers};

/// Rows and reasons of one feed that are named before the rest is only counted.
const MAX_NAMED: usize = 10;

pub(super) fn section(checked: &Checked) -> Section {
    let mut section = Section::new("lists");
    let (reports, errors) = check_feeds(&checked.config, now());
    let builtin = || {
        let cas = PublicCas::builtin();
        (cas.len(), cas.newest_day())
    };
    let (from, (names, day)) = match reports.public_cas {
        Some(own) => ("from trust.public_cas", own),
        None => ("built in", builtin()),
    };
    let cas = format!("{names} names, of CAs up to {}, {from}", EventTime::date_text(day));
    section.fact("public CAs", cas);
    if checked.config.knowledge.feeds.is_empty() {
        section.fact("feeds", "none; name threat feeds in knowledge.feeds");
    }
    if reports.lists.is_empty() && !checked.config.rdap.enabled {
        section.fact("registrations", "none; name lists of registrations in knowledge.registered");
    }
    let edition = if suffix::replacement().is_some() { "from knowledge.public_suffix_list" } else { "built in" };
    section.fact("public suffixes", format!("edition {}, {edition}", suffix::list_version()));
    errors.iter().for_each(|error| section.problem(error.to_string()));
    reports.feeds.iter().for_each(|report| feed(&mut section, "feed", report));
    sha1_only(&mut section, &reports.feeds);
    reports.lists.iter().for_each(|report| list(&mut section, "registrations", report));
    reports.transparency.iter().for_each(|report| list(&mut section, "transparency", report));
    reports.popular.iter().for_each(|report| ranks(&mut section, report));
    reports.certificates.iter().for_each(|report| certificates(&mut section, report));
    let own = [
        ("exceptions", &reports.allow),
        ("own certificates", &reports.own_certificates),
        ("prefixes", &reports.prefixes),
    ];
    for (what, report) in own {
        report.iter().for_each(|report| feed(&mut section, what, report));
    }
    unknown_exceptions(&mut section, &checked.config);
    without_readers(&mut section, &checked.config);
    watch_names(&mut section, &checked.config.knowledge.watch_names);
    registries(&mut section, &checked.config.rdap);
    section
}

/// Who is told what, where registries are asked.
fn registries(section: &mut Section, settings: &RdapSettings) {
    if !settings.enabled {
        return;
    }
    match Servers::load(settings) {
        Ok(servers) => {
            let (count, zones) = (servers.len(), servers.zones());
            section.fact(
                "RDAP",
                format!(
                    "on: `run` tells domains whose registration is not known to {count} servers, for {zones} suffixes"
                ),
            );
        }
        Err(error) => section.problem(error.to_string()),
    }
    if settings.keep_unknown.is_zero() || settings.keep.is_zero() {
        section.warning("rdap.cache or rdap.cache_unknown is 0: a domain is asked for again whenever it is seen");
    }
}

/// Files that are named for checks none of which runs.
fn without_readers(section: &mut Section, config: &Config) {
    let (paths, running) = (&config.knowledge, config.encode_settings().enrich.running());
    let runs = |id: &str| running.meets(CheckSet::one(id));
    // Among feeds may be lists of registrations.
    let feeds = running.look_at(Part::Feeds) || running.look_at(Part::Registrations) || runs("client_fingerprint");
    for (key, is_named, is_read) in [
        ("knowledge.feeds", !paths.feeds.is_empty(), feeds),
        ("knowledge.registered", !paths.registered.is_empty(), running.look_at(Part::Registrations)),
        ("rdap.enabled", config.rdap.enabled, running.look_at(Part::Registrations)),
        ("knowledge.signatures", !paths.signatures.is_empty(), running.look_at(Part::Signatures)),
        ("knowledge.watch_names", !paths.watch_names.is_empty(), running.look_at(Part::Name)),
        ("knowledge.popular", !paths.popular.is_empty(), running.look_at(Part::Name)),
        ("knowledge.own_certificates", paths.own_certificates.is_some(), runs("own_certificate")),
        ("knowledge.prefixes", paths.prefixes.is_some(), config.join.history),
        ("trust.roots", !paths.roots.is_empty(), running.look_at(Part::Chain)),
        ("trust.intermediates", !paths.intermediates.is_empty(), running.look_at(Part::Chain)),
    ] {
        if is_named && !is_read {
            section.warning(format!("{key}: is of no use, since no check runs that asks for it"));
        }
    }
    if !running.is_empty() && running.without(CheckSet::BESIDE_OTHERS).is_empty() {
        section.warning(format!("checks: nothing will be found: of the checks that run ({running}), none speaks but beside findings of others"));
    }
}

/// Exceptions for signatures and checks that do not exist, or that cannot be excepted: they except nothing.
fn unknown_exceptions(section: &mut Section, config: &Config) {
    let paths = &config.knowledge;
    let Some(path) = paths.allow.as_deref().and_then(|path| files_of(path).into_iter().next()) else { return };
    // What is wrong with signatures is said where they are.
    let signatures = expand("knowledge.signatures", &paths.signatures).ok().and_then(|files| {
        let builtin = Signatures::builtin().ok()?;
        builtin.with_files(&files).ok()
    });
    for entry in AllowList::load(&path, now()).0.iter() {
        let is_known = match entry.kind {
            AllowKind::Signature => signatures.as_ref().is_none_or(|all| all.get(&entry.value).is_some()),
            AllowKind::Finding => checks().iter().any(|check| check.id == &*entry.value),
            _ => true,
        };
        let place = format!("{}:{}", path.display(), entry.row);
        let (kind, value) = (entry.kind.name(), &entry.value);
        if !is_known {
            section.warning(format!("{place}: there is no {kind} `{value}`: nothing is excepted"));
        } else if let Some(instead) = instead_of_check(value).filter(|_| entry.kind == AllowKind::Finding) {
            section.warning(format!("{place}: `{value}` cannot be excepted as a whole, nothing is: {instead}"));
        } else if entry.is_for_everybody() {
            section
                .warning(format!("{place}: everybody can have a name below `{value}`, and all of them are excepted"));
        }
    }
}

fn feed(section: &mut Section, what: &str, report: &FeedReport) {
    let path = report.path.display();
    if let Some(format) = report.format {
        let kinds = report.used.iter().map(|(kind, rows)| format!("{} {rows}", kind.name()));
        let others = [("context", report.context), ("unsupported", report.unsupported), ("expired", report.expired)];
        let others = others.iter().filter(|(_, rows)| *rows > 0).map(|(name, rows)| format!("{name} {rows}"));
        let rows: Vec<_> = kinds.chain(others).collect();
        let rows = if rows.is_empty() { "no row that can be used".to_owned() } else { rows.join(", ") };
        section.fact(what, format!("{path}: {format}: {rows}{}", age(report)));
    }
    match &report.error {
        Some(error) => section.problem(format!("{path}: {error}")),
        None if report.is_empty() => section.warning(format!("{path}: the file is empty")),
        None => {}
    }
    if report.bad > 0 {
        let first = report.first_bad.iter().map(|row| format!("{} {}: {}", report.unit, row.row, row.problem));
        let first = first.collect::<Vec<_>>().join("; ");
        section.warning(format!("{path}: {} rows are left out: {first}", report.bad));
    }
    if report.format == Some(Feeds::CSV_WITHOUT_HEADER) && report.newest.is_some() {
        section.warning(format!(
            "{path}: without a header a name and a date are taken for an indicator and the day it was listed; \
             if these are registrations, a header `domain,registered` says so"
        ));
    }
    for column in report.unused_columns.iter().filter(|column| column.is_meant).take(MAX_NAMED) {
        section.fact(what, format!("{path}: {column}: {}", column.why));
    }
    if let Some(unused) = report.unused_words() {
        section.warning(format!("{path}: {unused}"));
    }
    for (reason, rows) in report.unsupported_by_reason.iter().take(MAX_NAMED) {
        section.fact("unsupported", format!("{path}: {reason}: {rows}"));
    }
    for row in report.first_unsupported.iter().take(MAX_NAMED) {
        section.fact("unsupported", format!("{path}: {} {}: {}", report.unit, row.row, row.what));
    }
}

/// The days of its rows, when the file was changed last, and which version of its content it is.
fn age(report: &FeedReport) -> String {
    let listed = report.oldest.zip(report.newest).map(|(oldest, newest)| {
        let day = |time: EventTime| EventTime::date_text(time.day());
        format!("listed {} to {}", day(oldest), day(newest))
    });
    let changed = report.modified.map(|modified| format!("changed {modified}"));
    let version = report.version.map(|version| {
        let digits = version.0[..8].iter().map(|byte| format!("{byte:02x}"));
        format!("version {}", digits.collect::<String>())
    });
    [listed, changed, version].into_iter().flatten().map(|part| format!("; {part}")).collect()
}

/// The trap of certificate feeds: most list SHA-1, and Zeek logs SHA-256.
fn sha1_only(section: &mut Section, reports: &[FeedReport]) {
    let listed = |kind| reports.iter().any(|report| report.used.contains_key(&kind));
    if listed(MatchKind::Sha1) && !listed(MatchKind::Sha256) {
        section.warning(
            "the feeds list certificates by SHA-1 only, and Zeek logs SHA-256 unless told otherwise: \
             set X509::hash_function = sha1_hash, or let it write files.log with X509::log_x509_in_files_log = T",
        );
    }
}

fn list(section: &mut Section, what: &str, report: &ListReport) {
    let path = report.path.display();
    if let Some(shape) = report.shape {
        let without_date =
            Some(report.without_date).filter(|rows| *rows > 0).map(|rows| format!("without a date {rows}"));
        let days = report.days.map(|days| {
            let [first, last] = [days.first, days.last].map(EventTime::date_text);
            format!("registered {first} to {last}")
        });
        let bytes = report.index_bytes.map(|bytes| format!("{bytes} bytes"));
        let more: String = [without_date, days, bytes].into_iter().flatten().map(|part| format!("; {part}")).collect();
        // Opening it looks at its beginning alone.
        let whole = report.index_bytes.filter(|_| report.error.is_none()).map(|_| index::verify(&report.path));
        let compared = if matches!(whole, Some(Ok(()))) { "; all of it is as it was built, by SHA-256" } else { "" };
        section.fact(what, format!("{path}: {shape}: {} rows{more}{compared}", report.rows));
        if let Some(Err(error)) = whole {
            section.problem(format!("{path}: {error}"));
        }
    }
    if let Some(error) = &report.error {
        section.warning(format!("{path}: cannot be used: {error}"));
    }
    if let Some(differ) = report.suffixes_differ() {
        section.warning(format!("{path}: {differ}"));
    }
    if report.rows + report.without_date == 0 && report.error.is_none() {
        section.warning(format!("{path}: holds no entry that can be used"));
    }
    if report.bad_rows > 0 {
        let first = report.first_bad_rows.iter().map(|row| format!("{} {}: {}", report.unit, row.line, row.problem));
        let first = first.collect::<Vec<_>>().join("; ");
        section.warning(format!("{path}: {} rows are left out: {first}", report.bad_rows));
    }
}

fn ranks(section: &mut Section, report: &RankReport) {
    let path = report.path.display();
    section.fact("popular names", format!("{path}: {} rows", report.rows));
    if let Some(error) = &report.error {
        section.warning(format!("{path}: cannot be read to its end: {error}"));
    }
    if report.bad_rows > 0 {
        let first = report.first_bad_rows.iter().map(|(line, problem)| format!("line {line}: {problem}"));
        let first = first.collect::<Vec<_>>().join("; ");
        section.warning(format!("{path}: {} rows are left out: {first}", report.bad_rows));
    }
}

fn certificates(section: &mut Section, report: &PemReport) {
    let path = report.path.display();
    section.fact("certificates of CAs", format!("{path}: {}", report.certificates));
    if report.bad > 0 {
        section.warning(format!("{path}: {} blocks are no certificate that can be used", report.bad));
    }
}

fn watch_names(section: &mut Section, names: &[String]) {
    if names.is_empty() {
        section.fact("watched names", "none; name your own in knowledge.watch_names");
        return;
    }
    match WatchNames::new(names) {
        Ok(watched) => {
            let domains = watched.iter().filter(|name| name.domain.is_some()).count();
            section
                .fact("watched names", format!("{}: domains {domains}, brands {}", names.len(), names.len() - domains));
        }
        Err(error) => section.problem(format!("knowledge.watch_names: {error}")),
    }
}
