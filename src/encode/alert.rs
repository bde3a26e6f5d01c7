//! What analysts alert on: a session whose verdict is above `info`.
//!
//! Its key is worked out here, by a worker. Whether it repeats an alert is not: that depends on everything before it in the
//! output. So the worker writes `"repeat":false` and notes where that stands, and the sink, where all lines pass one after
//! the other, puts `true` in its place before the line is written down anywhere. An x509 record has no key: the session that
//! shows the certificate is what is alerted on.

use super::Encoded;
use crate::correlate::SessionContext;
use crate::enrich::{Assessment, Group, SignatureMatch, Verdict};
use crate::history::Alert;
use crate::knowledge::feeds::{FeedMatch, Standing};
use crate::knowledge::signatures::Verdict as SignatureVerdict;
use crate::model::{Id128, Session};

/// An alert among encoded lines, which says that it does not repeat one.
#[derive(Clone, Copy, Debug)]
pub struct Raised {
    /// The alert.
    pub alert: Alert,
    /// Where its `false` stands in the lines.
    at: usize,
}

/// What alerts are made of that depends on knowledge, beside the findings.
pub(super) struct Known<'a> {
    pub(super) signatures: [&'a [SignatureMatch]; 2],
    pub(super) feeds: [&'a [FeedMatch]; 2],
}

/// How `repeat` is written before it is settled. Nothing else in an object looks like it, since quotes in values are escaped.
const REPEAT: &[u8] = b"\"repeat\":false";
const FALSE: &[u8] = b"false";
const TRUE: &[u8] = b"true";

/// The key of a session's alert: client, server, certificate or else name, and what was found; `None` where nobody alerts.
///
/// Of findings their ids count that weigh, of signatures which they are, and of feeds what they list and what they call it:
/// another tool is another alert, and a row that moves within its feed is not. A certificate is known by its SHA-1 where that
/// is known, since an alert of Suricata shows no other hash, and its flow may.
pub(super) fn key_of(
    session: &Session,
    context: &SessionContext,
    assessment: &Assessment<'_>,
    known: &Known<'_>,
) -> Option<Id128> {
    if assessment.verdict <= Verdict::Info {
        return None;
    }
    let client = session.client.map(crate::model::Address::server_id);
    let server = session.server.map(crate::model::Address::server_id);
    let port = session.server_port.map(u16::to_be_bytes);
    let shown = context.leaf.known().map(|known| &known.certificate);
    let shown = shown.map(|certificate| match &certificate.sha1 {
        Some(sha1) => Id128::of_parts(&[b"sha1", &sha1.0]),
        None => certificate.id,
    });
    let name = session.name.filter(|_| shown.is_none()).map(|name| name.name);
    let weighs = |group: Group, weight: f64| group != Group::Context && weight > 0.0;
    let findings =
        assessment.findings.iter().map(|found| &found.finding).filter(|finding| weighs(finding.group, finding.weight));
    let mut found: Vec<[&[u8]; 4]> = findings.map(|finding| [finding.id.as_bytes(), b"", b"", b""]).collect();
    for signature in known.signatures.iter().copied().flatten() {
        if signature.verdict != SignatureVerdict::Benign {
            found.push([b"signature", signature.id.as_bytes(), b"", b""]);
        }
    }
    for row in known.feeds.iter().copied().flatten().filter(|row| row.standing == Standing::Malicious) {
        let label = row.label.as_deref().unwrap_or_default();
        found.push([b"feed", row.feed.as_bytes(), row.indicator.as_bytes(), label.as_bytes()]);
    }
    found.sort_unstable();
    found.dedup();
    let mut parts: Vec<&[u8]> = Vec::with_capacity(5 + 4 * found.len());
    for id in [&client, &server, &shown, &name] {
        parts.push(id.as_ref().map_or(&[], |id| &id.0));
    }
    parts.push(port.as_ref().map_or(&[], |port| port));
    parts.extend(found.iter().flatten());
    Some(Id128::of_parts(&parts))
}

impl Encoded {
    /// Notes the alert of the object that was just written from `start` on: the line before it may hold anything.
    pub(super) fn raise(&mut self, alert: Alert, start: usize) {
        let found = self.lines.get(start..).and_then(|object| memchr::memmem::find(object, REPEAT));
        if let Some(found) = found {
            self.raised.push(Raised { alert, at: start + found + REPEAT.len() - FALSE.len() });
        }
    }

    /// Settles `repeat` for all alerts: `repeats` is asked of each in the order of the lines. Gives the alerts.
    pub fn settle(&mut self, mut repeats: impl FnMut(Alert) -> bool) -> Vec<Alert> {
        let raised = std::mem::take(&mut self.raised);
        // Every `true` moves what follows by one byte; `from` is where that begins which was not moved yet.
        let (mut from, mut to) = (0, 0);
        for Raised { alert, at } in &raised {
            if repeats(*alert) {
                self.lines.copy_within(from..*at, to);
                to += at - from;
                self.lines[to..to + TRUE.len()].copy_from_slice(TRUE);
                to += TRUE.len();
                from = at + FALSE.len();
            }
        }
        if from > to {
            let rest = self.lines.len() - from;
            self.lines.copy_within(from.., to);
            self.lines.truncate(to + rest);
        }
        raised.into_iter().map(|raised| raised.alert).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::EventTime;

    #[test]
    fn repeats_are_settled_wherever_they_stand_and_nothing_else_changes() {
        let before = r#"{"repeat":false,"certsift":"#;
        let object = r#"{"reason":"\"repeat\":false","repeat":false,"x":"repeat"}}"#;
        for mask in 0..16_u32 {
            let mut encoded = Encoded::default();
            let mut expected = String::new();
            for number in 0..4 {
                encoded.lines.extend_from_slice(before.as_bytes());
                let start = encoded.lines.len();
                encoded.lines.extend_from_slice(object.as_bytes());
                let key = Id128([number; 16]);
                encoded.raise(Alert { key, clock: EventTime(0) }, start);
                encoded.lines.extend_from_slice(b"\nother\n");
                let repeats = mask >> number & 1 == 1;
                let settled =
                    if repeats { object.replace(",\"repeat\":false", ",\"repeat\":true") } else { object.into() };
                expected += &format!("{before}{settled}\nother\n");
            }
            let settled = encoded.settle(|alert| mask >> alert.key.0[0] & 1 == 1);
            assert_eq!(String::from_utf8(encoded.lines).unwrap(), expected);
            assert_eq!(settled.iter().map(|alert| alert.key.0[0]).collect::<Vec<_>>(), [0, 1, 2, 3]);
        }
    }
}
