//! An explanation as text for a person at a terminal. What comes from logs is made safe to show, and cut where it is long.

use std::fmt::Write as _;

use serde_json::Value;

use super::again::{JudgedAgain, text};
use super::explanation::{Explanation, FindingWords, Kind, Words, elements};
use crate::cli::terminal::one_line;
use crate::knowledge::signatures::{Confidence, Verdict};
use crate::model::ValidityTime;

/// Characters of one value that are shown.
const MAX_SHOWN: usize = 500;
/// Certificates of a chain that are shown.
const MAX_CHAIN: usize = 10;
/// Width of labels.
const LABEL: usize = 14;

/// Writes an explanation.
pub(super) fn write(out: &mut String, explanation: &Explanation) {
    let object = &explanation.certsift;
    line(out, &heading(explanation));
    let score = object.get("score").map(|score| format!(", score {score}")).unwrap_or_default();
    let verdict = text(object, &["verdict"]).unwrap_or("none");
    fact(out, "verdict", &format!("{}{score}", cut(verdict)));
    let unsaid = "the record is in its short form: nothing was found when it was judged";
    fact(out, "reason", &cut(text(object, &["reason"]).unwrap_or(unsaid)));
    optional(out, "server name", explanation.server_name.as_deref());
    for (label, key) in [("direction", "direction"), ("sensor", "sensor")] {
        optional(out, label, text(object, &[key]));
    }
    if let Some(faults) = list(object, &["faults"]) {
        fact(out, "unreadable", &faults);
    }
    certificate(out, "certificate", object.get("certificate"), explanation);
    if object.get("client_certificate").is_some() {
        certificate(out, "client certificate", object.get("client_certificate"), explanation);
    }
    chain(out, explanation);
    findings(out, explanation);
    not_evaluated(out, explanation);
    if let Some(again) = &explanation.judged_again {
        judged_again(out, again);
    }
}

fn heading(explanation: &Explanation) -> String {
    let mut heading = cut(&explanation.input);
    if let Some(line) = explanation.line {
        let _ = write!(heading, ", line {line}");
    }
    if let Some(line) = explanation.x509_line {
        let _ = write!(heading, ", with the x509 record of line {line}");
    }
    if let (Some(time), false) = (&explanation.time, matches!(explanation.kind, Kind::File { .. })) {
        let _ = write!(heading, ", {time}");
    }
    heading
}

fn certificate(out: &mut String, title: &str, certificate: Option<&Value>, explanation: &Explanation) {
    section(out, title);
    let Some(certificate) = certificate else { return line(out, "  none") };
    match text(certificate, &["state"]) {
        Some("absent") => {
            if let Some(absent) = &explanation.absent {
                words(out, &absent.code, absent);
            }
            return;
        }
        Some("recalled") => {
            let presented = text(certificate, &["presented_at"]).unwrap_or("earlier");
            let age = certificate.get("recalled_age_s").map(|age| format!(", {age} s before")).unwrap_or_default();
            fact(out, "state", &format!("recalled: this server presented it {}{age}", cut(presented)));
        }
        _ => {}
    }
    optional(out, "subject", text(certificate, &["subject", "dn"]));
    optional(out, "issuer", text(certificate, &["issuer", "dn"]));
    if title == "certificate" {
        let class = match text(&explanation.certsift, &["issuer_history", "class"]) {
            Some("public") => Some("named like a public CA (the CA's signature is not checked)"),
            Some("private") => Some("not a public CA"),
            Some("self") => Some("the certificate itself"),
            Some("unknown") => Some("not logged"),
            _ => None,
        };
        optional(out, "issuer kind", class);
    }
    optional(out, "serial", text(certificate, &["serial"]));
    validity(out, certificate, explanation);
    if let Some(key) = certificate.get("key") {
        let bits = key.get("bits").map(|bits| format!(", {bits} bits")).unwrap_or_default();
        let curve = text(key, &["curve"]).map(|curve| format!(", {}", cut(curve))).unwrap_or_default();
        fact(out, "key", &format!("{}{bits}{curve}", cut(text(key, &["type"]).unwrap_or("unknown"))));
    }
    optional(out, "signed with", text(certificate, &["signature_algorithm"]));
    optional(
        out,
        "self-signed",
        match text(certificate, &["self_signed"]) {
            Some("verified") => Some("yes: the signature was checked with the certificate's own key"),
            Some("same_name") => Some("by its names: subject and issuer are equal, the signature could not be checked"),
            Some("no") => Some("no"),
            other => other,
        },
    );
    if let Some(ca) = certificate.get("ca").and_then(Value::as_bool) {
        fact(out, "is a CA", if ca { "yes" } else { "no" });
    }
    if let Some(san) = certificate.get("san") {
        let mut names = Vec::new();
        for (kind, key) in [("DNS", "dns"), ("IP", "ip"), ("URI", "uri"), ("e-mail", "email")] {
            names.extend(list(san, &[key]).map(|list| format!("{kind} {list}")));
        }
        let count = san.get("count").and_then(Value::as_u64).unwrap_or_default();
        let names = if names.is_empty() { String::new() } else { format!(": {}", names.join("; ")) };
        fact(out, "names", &if count == 0 { "none".to_owned() } else { format!("{count}{names}") });
    }
    for (label, key) in [("SHA-1", "sha1"), ("SHA-256", "sha256"), ("key SHA-256", "spki_sha256")] {
        optional(out, label, text(certificate, &[key]));
    }
}

fn validity(out: &mut String, certificate: &Value, explanation: &Explanation) {
    let (from, to) = (text(certificate, &["not_before"]), text(certificate, &["not_after"]));
    if from.is_none() && to.is_none() {
        return;
    }
    let mut validity = format!("{} to {}", cut(from.unwrap_or("unknown")), cut(to.unwrap_or("unknown")));
    if let Some(days) = certificate.get("validity_days") {
        let _ = write!(validity, ", {days} days");
    }
    fact(out, "validity", &validity);
    let at = match explanation.kind {
        Kind::File { .. } => "now",
        Kind::Record(_) | Kind::Enriched(_) => "at the time of the record",
    };
    let time = |text: Option<&str>| text.and_then(ValidityTime::parse_iso8601);
    let expired = matches!((time(to), explanation.at), (Some(end), Some(at)) if at.seconds() > end.0);
    if let Some(age) = certificate.get("age_days").and_then(Value::as_f64) {
        let state = if age < 0.0 {
            ", not yet valid"
        } else if expired {
            ", expired"
        } else {
            ""
        };
        fact(out, "age", &format!("{age} days {at}{state}"));
    }
}

fn chain(out: &mut String, explanation: &Explanation) {
    if explanation.chain.is_empty() {
        return;
    }
    section(out, "other certificates of the file (not judged)");
    for certificate in explanation.chain.iter().take(MAX_CHAIN) {
        fact(out, "subject", &cut(&certificate.subject));
        fact(out, "issuer", &cut(&certificate.issuer));
        fact(out, "SHA-256", &certificate.sha256);
    }
    if explanation.chain.len() > MAX_CHAIN {
        line(out, &format!("  and {} more", explanation.chain.len() - MAX_CHAIN));
    }
}

fn findings(out: &mut String, explanation: &Explanation) {
    section(out, "findings");
    let mut any = false;
    for (finding, words) in elements(&explanation.certsift, "findings").zip(&explanation.findings) {
        any = true;
        let weight = finding.get("weight").map(|weight| format!(", weight {weight}")).unwrap_or_default();
        let severity = text(finding, &["severity"]).unwrap_or("unknown");
        let technique = list(finding, &["technique"]).map(|technique| format!(", {technique}")).unwrap_or_default();
        line(out, &format!("  {} ({}{weight}{technique})", cut(&words.id), cut(severity)));
        for (label, key) in [
            ("says", "note"),
            ("field", "field"),
            ("observed", "observed"),
            ("expected", "expected"),
            ("evidence", "evidence"),
        ] {
            inner(out, label, text(finding, &[key]));
        }
        source(out, words);
    }
    if !any {
        line(out, "  none");
    }
}

fn source(out: &mut String, words: &FindingWords) {
    if let Some(signature) = &words.signature {
        let attack = signature.attack_id.as_ref().map(|id| format!(" ({id})")).unwrap_or_default();
        let (verdict, confidence) = (verdict_name(signature.verdict), confidence_name(signature.confidence));
        inner(out, "tool", Some(&format!("{}{attack}, {verdict}, confidence {confidence}", signature.tool)));
        inner(out, "why", Some(&signature.note).filter(|note| !note.is_empty()).map(String::as_str));
        for source in &signature.sources {
            inner(out, "source", Some(source));
        }
        inner(out, "written in", Some(&signature.place));
    }
    inner(out, "benign if", words.benign.as_deref());
    inner(out, "but", words.caveat.as_deref());
}

fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Malicious => "malicious",
        Verdict::DualUse => "dual-use",
        Verdict::Greyware => "greyware",
        Verdict::Benign => "benign",
    }
}

fn confidence_name(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Exact => "exact",
        Confidence::Strong => "strong",
        Confidence::Medium => "medium",
        Confidence::Weak => "weak",
    }
}

fn not_evaluated(out: &mut String, explanation: &Explanation) {
    section(out, "checks");
    let is_short = explanation.certsift.get("reason").is_none();
    let none = if is_short { "not said in the record" } else { "none" };
    let made = if explanation.evaluated.is_empty() { none.to_owned() } else { explanation.evaluated.join(", ") };
    fact(out, "made", &made);
    if !explanation.off.is_empty() {
        fact(out, "off", &format!("{}, by the configuration", explanation.off.join(", ")));
    }
    if !matches!(explanation.kind, Kind::Enriched(_)) {
        fact(out, "history", "explain has none: nothing is called rare or new here");
    }
    // Several checks may stay out for one reason.
    let mut groups: Vec<(Vec<&str>, &Words)> = Vec::new();
    for code in &explanation.not_evaluated {
        match groups.iter_mut().find(|(_, first)| (&first.sentence, first.remedy) == (&code.sentence, code.remedy)) {
            Some((codes, _)) => codes.push(&code.code),
            None => groups.push((vec![&code.code], code)),
        }
    }
    for (codes, first) in groups {
        words(out, &codes.join(", "), first);
    }
}

fn words(out: &mut String, codes: &str, words: &Words) {
    line(out, &format!("  {}", cut(codes)));
    inner(out, "why", Some(&words.sentence));
    inner(out, "what to do", words.remedy);
}

fn judged_again(out: &mut String, again: &JudgedAgain) {
    section(out, "with the knowledge of today");
    for (label, findings) in [("also", &again.new), ("no longer", &again.gone)] {
        findings.iter().for_each(|finding| fact(out, label, &cut(finding)));
    }
    if again.new.is_empty() && again.gone.is_empty() {
        line(out, "  the same findings");
    }
    optional(out, "verdict", again.verdict.as_deref());
    if again.short_form {
        line(out, "  the short form says little of the certificate, so that some signatures cannot be looked up");
    }
}

fn section(out: &mut String, title: &str) {
    let _ = write!(out, "\n{title}\n");
}

fn line(out: &mut String, text: &str) {
    let _ = writeln!(out, "{text}");
}

fn fact(out: &mut String, label: &str, value: &str) {
    let _ = writeln!(out, "  {label:LABEL$}{value}");
}

fn optional(out: &mut String, label: &str, value: Option<&str>) {
    if let Some(value) = value {
        fact(out, label, &cut(value));
    }
}

/// A fact of a finding or code, one step further in.
fn inner(out: &mut String, label: &str, value: Option<&str>) {
    if let Some(value) = value {
        let _ = writeln!(out, "    {label:12}{}", cut(value));
    }
}

/// The texts of a list, separated by commas; `None` where there are none.
fn list(value: &Value, path: &[&str]) -> Option<String> {
    let list = path.iter().try_fold(value, |value, key| value.get(key))?.as_array()?;
    let texts: Vec<_> = list.iter().filter_map(Value::as_str).map(cut).collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}

/// Text of others, safe to show and not too long.
fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        None => one_line(text).into_owned(),
        Some((end, _)) => {
            format!("{}… ({} characters more)", one_line(&text[..end]), text[end..].chars().count())
        }
    }
}
