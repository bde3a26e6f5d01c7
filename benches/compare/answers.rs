//! What the right answer is, and what somebody answered.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use super::Task;
use super::samples::Form;
use super::traffic::{Facts, LABEL, Traffic, each};

/// Records, and how many of them have an issuer of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Answer {
    pub(super) records: u64,
    pub(super) hits: u64,
}

/// What certsift writes of a session that showed no certificate, and got that of an earlier one: a peer has no such.
const RECALLED: &[u8] = b"\"state\":\"recalled\"";

/// Finds the right answer, by reading everything once more. certsift looks up what clients show as well.
pub(super) fn right(traffic: &Traffic, task: Task, is_certsift: bool) -> anyhow::Result<Answer> {
    let table: HashMap<String, String> = serde_json::from_slice(&fs::read(&traffic.table_json)?)?;
    let folder = &traffic.extended.folder;
    let mut answer = Answer::default();
    let mut count = |issuer: Option<&String>| {
        answer.records += 1;
        answer.hits += u64::from(issuer.is_some_and(|issuer| table.contains_key(issuer)));
    };
    if traffic.form == Form::Eve {
        each(traffic.form, &[folder.join("eve.json")], traffic.keys, |_, facts| {
            count(facts.unwrap_or_default().issuer.as_ref());
            Ok(())
        })?;
        return Ok(answer);
    }
    let mut issuers = HashMap::new();
    each(traffic.form, &[folder.join("x509.log")], traffic.keys, |_, facts| {
        let Some(Facts { own, issuer, .. }) = facts else { return Ok(()) };
        count(issuer.as_ref());
        if let (Task::Join, Some(own), Some(issuer)) = (task, own, issuer) {
            issuers.insert(own, issuer);
        }
        Ok(())
    })?;
    each(traffic.form, &[folder.join("ssl.log")], traffic.keys, |_, facts| {
        let Some(facts) = facts else { return Ok(()) };
        let issuer = match task {
            Task::Lookup => facts.issuer.as_ref(),
            Task::Join => [Some(&facts.chain), Some(&facts.client_chain).filter(|_| is_certsift)]
                .into_iter()
                .filter_map(|chain| issuers.get(chain?.first()?))
                .find(|issuer| table.contains_key(*issuer)),
        };
        count(issuer);
        Ok(())
    })?;
    Ok(answer)
}

/// Counts what is in a folder.
pub(super) fn given(folder: &Path) -> anyhow::Result<Answer> {
    let (label, recalled) = (memchr::memmem::Finder::new(LABEL), memchr::memmem::Finder::new(RECALLED));
    let mut answer = Answer::default();
    for entry in fs::read_dir(folder)? {
        let mut file = File::open(entry?.path())?;
        let mut bytes = Vec::new();
        loop {
            let read = file.by_ref().take(1 << 22).read_to_end(&mut bytes)?;
            let end = memchr::memrchr(b'\n', &bytes).map_or(0, |at| at + 1);
            for line in bytes[..end].split_inclusive(|&byte| byte == b'\n') {
                answer.records += 1;
                answer.hits += u64::from(label.find(line).is_some() && recalled.find(line).is_none());
            }
            bytes.drain(..end);
            if read == 0 {
                answer.records += u64::from(!bytes.is_empty());
                break;
            }
        }
    }
    Ok(answer)
}
