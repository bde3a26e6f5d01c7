//! The folder: which rows go into which file, when Zeek rotated, and what is packed.

use std::{collections::BTreeMap, io::Write};

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};

use crate::{
    certificates::Certificate,
    clock::{DAY, Time},
    digest, eve, names, readme,
    session::{Sensor, Session, Shape},
    story,
    zeek::{self, Log, Row, SSL, Value, X509, X509_BASE64},
};

/// A file of the folder.
pub(crate) struct Content {
    /// Its bytes, unpacked.
    pub(crate) plain: Vec<u8>,
    /// Whether it lies there as gzip.
    pub(crate) gzip: bool,
}

impl Content {
    /// The bytes as they lie in the folder.
    pub(crate) fn packed(&self) -> Result<Vec<u8>> {
        if !self.gzip {
            return Ok(self.plain.clone());
        }
        let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
        encoder.write_all(&self.plain)?;
        Ok(encoder.finish()?)
    }
}

/// All files by their path within the folder.
pub(crate) type Files = BTreeMap<String, Content>;

/// Renders the whole folder.
pub(crate) fn render(sessions: &[Session], all: &BTreeMap<&'static str, Certificate>) -> Result<Files> {
    let seen_by = |sensor| sessions.iter().filter(|session| session.sensor == sensor).collect::<Vec<_>>();
    let mut files = Files::new();
    put(&mut files, "certsift.toml", include_str!("texts/certsift.toml"));
    put(&mut files, "registrations.csv", include_str!("texts/registrations.csv"));
    put(&mut files, "popular.csv", include_str!("texts/popular.csv"));
    zeek_tsv(&mut files, &seen_by(Sensor::Main), all)?;
    zeek_json(&mut files, &seen_by(Sensor::Branch), all)?;
    let suricata = sessions.iter().filter(|session| !session.sensor.is_zeek()).collect::<Vec<_>>();
    let events = eve_json(&suricata, all)?;
    let other_events = events.len() - suricata.len() - 1;
    put(&mut files, EVE, &lines(events));

    let mut placed = Vec::new();
    for session in sessions {
        placed.push((session, file_of(session)?));
    }
    let figures = figures(sessions, all, other_events)?;
    put(&mut files, "README.md", &readme::render(&placed, &figures));
    Ok(files)
}

const EVE: &str = "suricata/eve.json";

/// The periods of the TSV files: when each begins and ends, and how its files are called; `*` stands for the log.
fn periods() -> Result<Vec<(Time, Time, String)>> {
    let first = Time::parse(story::FIRST_DAY)?;
    let mut periods = Vec::new();
    for day in 0..story::DAYS {
        let start = first.plus_seconds(day * DAY);
        let (noon, end) = (start.plus_seconds(DAY / 2), start.plus_seconds(DAY));
        let date = start.date();
        match day {
            2 => {
                periods.push((start, noon, format!("{date}/*.00-00-00.log.gz")));
                periods.push((noon, end, format!("{date}/*.12-00-00.log.gz")));
            }
            0..=4 => periods.push((start, end, format!("{date}/*.00-00-00.log.gz"))),
            5..=8 => periods.push((start, end, format!("{date}/*.log"))),
            _ => periods.push((start, end, "current/*.log".to_owned())),
        }
    }
    Ok(periods)
}

/// From when on the lines of the branch are in the newer of its two files.
fn branch_rotation() -> Result<Time> {
    Time::parse("2026-03-08")
}

fn file_of(session: &Session) -> Result<String> {
    match session.sensor {
        Sensor::Main => {
            let periods = periods()?;
            let period = periods.iter().find(|(start, end, _)| (*start..*end).contains(&session.at));
            let (_, _, pattern) = period.context("a session outside the ten days")?;
            Ok(format!("zeek-tsv/{}", pattern.replace('*', "ssl")))
        }
        Sensor::Branch if session.at < branch_rotation()? => Ok("zeek-json/json_streaming_ssl.1.log".to_owned()),
        Sensor::Branch => Ok("zeek-json/json_streaming_ssl.log".to_owned()),
        Sensor::Uplink | Sensor::ReadingRoom => Ok(EVE.to_owned()),
    }
}

fn zeek_tsv(files: &mut Files, sessions: &[&Session], all: &BTreeMap<&'static str, Certificate>) -> Result<()> {
    let logs = [(SSL, zeek::ssl_rows(sessions, all)?), (X509, zeek::x509_rows(sessions, all, false)?)];
    for (start, end, pattern) in periods()? {
        let close = (!pattern.starts_with("current/")).then_some(end);
        for (log, rows) in &logs {
            let rows = rows.iter().filter(|row| (start..end).contains(&row.at)).cloned().collect::<Vec<_>>();
            let path = format!("zeek-tsv/{}", pattern.replace('*', log.path));
            put(files, &path, &zeek::tsv(log, &rows, start, close));
        }
        if end > Time::parse("2026-03-09")? && !pattern.ends_with(".gz") {
            let inside = known_certs(sessions, all, start, end)?;
            let path = format!("zeek-tsv/{}", pattern.replace('*', KNOWN_CERTS.path));
            put(files, &path, &zeek::tsv(&KNOWN_CERTS, &inside, start, close));
        }
        if pattern.starts_with("current/") {
            let connections = sessions.iter().filter(|session| session.at >= start).take(4).map(|one| conn_row(one));
            let connections = connections.collect::<Vec<_>>();
            put(files, "zeek-tsv/current/conn.log", &zeek::tsv(&CONN, &connections, start, None));
        }
    }
    Ok(())
}

fn zeek_json(files: &mut Files, sessions: &[&Session], all: &BTreeMap<&'static str, Certificate>) -> Result<()> {
    const SYSTEM: &str = "branch-zeek";
    let rotation = branch_rotation()?;
    let logs = [(SSL, zeek::ssl_rows(sessions, all)?), (X509_BASE64, zeek::x509_rows(sessions, all, true)?)];
    for (log, rows) in logs {
        let (old, new) = rows.into_iter().partition::<Vec<_>, _>(|row| row.at < rotation);
        let path = log.path;
        put(files, &format!("zeek-json/json_streaming_{path}.1.log"), &zeek::json(&log, &old, SYSTEM)?);
        put(files, &format!("zeek-json/json_streaming_{path}.log"), &zeek::json(&log, &new, SYSTEM)?);
    }
    Ok(())
}

fn eve_json(sessions: &[&Session], all: &BTreeMap<&'static str, Certificate>) -> Result<Vec<eve::Line>> {
    let mut events = Vec::new();
    let mut with_neighbours = 2;
    for session in sessions {
        events.push(eve::session_line(session, all)?);
        if session.server.word == "cobalt" {
            events.push(eve::alert_line(session, all)?);
        }
        if session.sensor == Sensor::ReadingRoom && session.shape == Shape::Full && with_neighbours > 0 {
            with_neighbours -= 1;
            events.extend(eve::other_lines(session)?);
        }
    }
    events.sort();
    Ok(events)
}

const KNOWN_CERTS: Log = Log {
    path: "known_certs",
    fields: &[
        ("ts", "time"),
        ("host", "addr"),
        ("port_num", "port"),
        ("subject", "string"),
        ("issuer_subject", "string"),
        ("serial", "string"),
    ],
};

/// The certificates of hosts inside, once each a day.
fn known_certs(
    sessions: &[&Session],
    all: &BTreeMap<&'static str, Certificate>,
    start: Time,
    end: Time,
) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    let mut known = Vec::new();
    let inside = |one: &&&Session| (start..end).contains(&one.at) && story::is_inside(one.server.address);
    for session in sessions.iter().filter(inside) {
        let Some(leaf) = session.presented(all)? else { continue };
        if known.contains(&session.server.address) {
            continue;
        }
        known.push(session.server.address);
        let at = session.at.plus_micros(74_118);
        let values = vec![
            Value::Time(at),
            Value::Text(session.server.address.to_owned()),
            Value::Number(session.server.port.to_string()),
            Value::Text(names::zeek(leaf.subject)),
            Value::Text(names::zeek(leaf.issuer)),
            Value::Text(digest::hex(&leaf.serial).to_uppercase()),
        ];
        rows.push(Row { at, written: at, values });
    }
    Ok(rows)
}

const CONN: Log = Log {
    path: "conn",
    fields: &[
        ("ts", "time"),
        ("uid", "string"),
        ("id.orig_h", "addr"),
        ("id.orig_p", "port"),
        ("id.resp_h", "addr"),
        ("id.resp_p", "port"),
        ("proto", "enum"),
        ("service", "string"),
        ("duration", "interval"),
        ("orig_bytes", "count"),
        ("resp_bytes", "count"),
        ("conn_state", "string"),
        ("local_orig", "bool"),
        ("local_resp", "bool"),
        ("missed_bytes", "count"),
        ("history", "string"),
        ("orig_pkts", "count"),
        ("orig_ip_bytes", "count"),
        ("resp_pkts", "count"),
        ("resp_ip_bytes", "count"),
        ("tunnel_parents", "set[string]"),
    ],
};

fn conn_row(session: &Session) -> Row {
    let at = session.at.plus_micros(-31_220);
    let number = |number: u64| Value::Number(number.to_string());
    let text = |text: &str| Value::Text(text.to_owned());
    let sent = 900 + u64::from(session.client_port % 700);
    let values = vec![
        Value::Time(at),
        Value::Text(session.uid()),
        text(session.client),
        number(session.client_port.into()),
        text(session.server.address),
        number(session.server.port.into()),
        text("tcp"),
        text("ssl"),
        Value::Number(format!("3.{:06}", sent * 811 % 1_000_000)),
        number(sent),
        number(sent * 9),
        text("SF"),
        Value::Bool(true),
        Value::Bool(story::is_inside(session.server.address)),
        number(0),
        text("ShADadFf"),
        number(14),
        number(sent + 14 * 52),
        number(16),
        number(sent * 9 + 16 * 52),
        Value::Unset,
    ];
    Row { at, written: at, values }
}

fn figures(
    sessions: &[Session],
    all: &BTreeMap<&'static str, Certificate>,
    other_events: usize,
) -> Result<Vec<(&'static str, usize)>> {
    let count = |sensor| sessions.iter().filter(|session| session.sensor == sensor).count();
    let mut leaves = Vec::new();
    for session in sessions {
        leaves.extend(session.presented(all)?.map(|certificate| &certificate.sha256));
        leaves.extend(session.presented_by_client(all)?.map(|certificate| &certificate.sha256));
    }
    leaves.sort();
    leaves.dedup();
    Ok(vec![
        ("TLS sessions", sessions.len()),
        ("in Zeek TSV", count(Sensor::Main)),
        ("in Zeek JSON", count(Sensor::Branch)),
        ("in EVE, from the sensor that logs DER", count(Sensor::Uplink)),
        ("in EVE, from the sensor that logs only strings", count(Sensor::ReadingRoom)),
        ("EVE events beside them that pass through (one alert comes on top)", other_events),
        ("distinct certificates presented", leaves.len()),
    ])
}

fn put(files: &mut Files, path: &str, text: &str) {
    files.insert(path.to_owned(), Content { plain: text.as_bytes().to_vec(), gzip: path.ends_with(".gz") });
}

fn lines(events: Vec<eve::Line>) -> String {
    events.into_iter().map(|(_, line)| line + "\n").collect()
}
