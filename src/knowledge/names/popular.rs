//! Lists of popular names with their rank: Tranco and Umbrella (`rank,name`), and the Majestic Million.
//!
//! That a name is popular says that it is no look-alike itself, and the most popular are what attackers imitate.

use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use super::owner_domain;
use super::skeleton::{readable, skeleton};
use crate::knowledge::feeds::FeedFile;
use crate::knowledge::suffix::registrable_domain;
use crate::model::Id128;

/// Names and their ranks.
#[derive(Debug, Default)]
pub struct PopularNames {
    /// Hashes of names, sorted, and the best rank of each.
    hashes: Vec<u64>,
    ranks: Vec<u32>,
    /// Those that are worth imitating, by rank.
    imitated: Vec<PopularName>,
}

/// A name that is worth imitating.
#[derive(Debug)]
pub(super) struct PopularName {
    pub(super) rank: u32,
    pub(super) domain: Box<str>,
    pub(super) skeleton: Box<str>,
}

/// What became of one list.
#[derive(Clone, Debug)]
pub struct RankReport {
    /// The list.
    pub path: PathBuf,
    /// Rows that were taken.
    pub rows: u64,
    /// Rows that could not be read.
    pub bad_rows: u64,
    /// The first of them, at most five: line, and what is wrong with it.
    pub first_bad_rows: Vec<(u64, &'static str)>,
    /// A hash of the rows.
    pub version: Option<Id128>,
    /// Why the list could not be read to its end; what was read before holds.
    pub error: Option<String>,
}

/// Names that are kept: two lists of a million.
const MAX_NAMES: usize = 2_000_000;
/// Ranks up to which a name is worth imitating. The lower the rank, the more honest names are near one by chance.
const MAX_RANK_IMITATED: u32 = 10_000;
/// Names worth imitating that are kept, whatever ranks lists give.
const MAX_IMITATED: usize = 30_000;
/// Longest line that is read; the pieces of a longer one are bad rows.
const MAX_LINE: u64 = 4096;
/// Bad rows that are kept for messages.
const MAX_BAD_KEPT: usize = 5;
/// The first columns of the Majestic Million.
const MAJESTIC: &str = "GlobalRank,TldRank,Domain,";

impl PopularNames {
    /// Reads lists; what is wrong with them is in the reports, one per path and in their order.
    pub fn load(paths: &[PathBuf]) -> (Self, Vec<RankReport>) {
        let (mut names, mut imitated, mut reports) = (Vec::new(), Vec::new(), Vec::new());
        for path in paths {
            let mut report = RankReport {
                path: path.clone(),
                rows: 0,
                bad_rows: 0,
                first_bad_rows: Vec::new(),
                version: None,
                error: None,
            };
            let read = read_file(path, &mut report, &mut names, &mut imitated);
            report.error = read.err().map(|error| error.to_string());
            reports.push(report);
        }
        (Self::new(names, imitated), reports)
    }

    /// The best rank of a name in its [readable] form, of the domain that was registered, or of the one below which one party decides.
    pub fn rank(&self, name: &str) -> Option<u32> {
        if self.hashes.is_empty() {
            return None;
        }
        let domains = [Some(name), owner_domain(name), registrable_domain(name)];
        domains.into_iter().flatten().filter_map(|name| self.rank_of(name)).min()
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// The names that are worth imitating, the most popular first.
    pub(super) fn imitated(&self) -> impl Iterator<Item = &PopularName> + Clone {
        self.imitated.iter()
    }

    pub(super) fn get(&self, number: u32) -> Option<&PopularName> {
        self.imitated.get(number as usize)
    }

    /// How much memory hashes and ranks take, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.hashes.capacity() * size_of::<u64>() + self.ranks.capacity() * size_of::<u32>()
    }

    fn rank_of(&self, name: &str) -> Option<u32> {
        let at = self.hashes.binary_search(&hash(name)).ok()?;
        self.ranks.get(at).copied()
    }

    fn new(mut names: Vec<(u64, u32)>, mut imitated: Vec<PopularName>) -> Self {
        names.sort_unstable();
        names.dedup_by_key(|(hash, _)| *hash);
        imitated.sort_unstable_by(|a, b| (a.rank, &a.domain).cmp(&(b.rank, &b.domain)));
        imitated.truncate(MAX_IMITATED);
        let (hashes, ranks) = names.into_iter().unzip();
        Self { hashes, ranks, imitated }
    }

    #[cfg(test)]
    pub(super) fn read(text: &str) -> Self {
        let (mut names, mut imitated) = (Vec::new(), Vec::new());
        let mut columns = None;
        for line in text.lines() {
            if let Ok(Some(row)) = parse(line, &mut columns) {
                keep(row, &mut names, &mut imitated);
            }
        }
        Self::new(names, imitated)
    }
}

impl RankReport {
    fn bad(&mut self, line: u64, problem: &'static str) {
        self.bad_rows += 1;
        if self.first_bad_rows.len() < MAX_BAD_KEPT {
            self.first_bad_rows.push((line, problem));
        }
    }
}

fn read_file(
    path: &Path,
    report: &mut RankReport,
    names: &mut Vec<(u64, u32)>,
    imitated: &mut Vec<PopularName>,
) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(64 * 1024, FeedFile::open(path)?);
    let (mut line, mut number, mut columns) = (Vec::new(), 0, None);
    loop {
        line.clear();
        if (&mut reader).take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
            report.version = Some(reader.into_inner().version());
            return Ok(());
        }
        number += 1;
        let text = if number == 1 { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line) } else { &line[..] };
        let row = std::str::from_utf8(text).map_err(|_| "the line is not UTF-8");
        match row.and_then(|text| parse(text, &mut columns)) {
            Ok(None) => {}
            Ok(Some(_)) if names.len() >= MAX_NAMES => report.bad(number, "more rows than are kept"),
            Ok(Some(row)) => {
                keep(row, names, imitated);
                report.rows += 1;
            }
            Err(problem) => report.bad(number, problem),
        }
    }
}

/// Rank and name of a row; `columns` says where the name stands once a header did.
fn parse<'a>(line: &'a str, columns: &mut Option<usize>) -> Result<Option<(u32, &'a str)>, &'static str> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    if line.starts_with(MAJESTIC) {
        *columns = Some(2);
        return Ok(None);
    }
    let mut fields = line.split(',').map(|field| field.trim().trim_matches('"'));
    let rank = fields.next().unwrap_or_default().parse().map_err(|_| "it does not begin with a rank")?;
    let name = fields.nth(columns.map_or(0, |column| column - 1)).filter(|name| !name.is_empty());
    let name = name.ok_or("it names nothing")?;
    if columns.is_none() && fields.next().is_some() {
        return Err("it is more than a rank and a name");
    }
    Ok(Some((rank, name)))
}

fn keep((rank, name): (u32, &str), names: &mut Vec<(u64, u32)>, imitated: &mut Vec<PopularName>) {
    let lower = name.trim_end_matches('.').to_lowercase();
    let name = &*readable(&lower);
    names.push((hash(name), rank));
    // Umbrella ranks hosts: only what somebody registered is imitated, at the rank of its own.
    if rank > MAX_RANK_IMITATED || owner_domain(name) != Some(name) {
        return;
    }
    let skeleton = skeleton(name.split('.').next().unwrap_or(name));
    imitated.push(PopularName { rank, domain: name.into(), skeleton: skeleton.into() });
}

fn hash(name: &str) -> u64 {
    let Id128(bytes) = Id128::of(name.as_bytes());
    bytes.first_chunk().copied().map_or(0, u64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> (PopularNames, RankReport) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.csv");
        std::fs::write(&path, text).unwrap();
        let (names, mut reports) = PopularNames::load(&[path]);
        (names, reports.remove(0))
    }

    #[test]
    fn tranco_with_a_mark_crlf_blank_lines_and_broken_rows() {
        let (names, report) = load("\u{feff}1,bigsearch.example\r\n\r\n2,Paper.Example\r\nx,y.example\r\n7\r\n");
        assert_eq!((report.rows, report.bad_rows, names.len()), (2, 2, 2));
        assert_eq!(report.first_bad_rows.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [4, 5]);
        assert_eq!((names.rank("www.bigsearch.example"), names.rank("paper.example")), (Some(1), Some(2)));
        assert_eq!(names.rank("other.example"), None);
    }

    #[test]
    fn umbrella_ranks_hosts_and_top_level_domains() {
        let (names, report) = load("1,com\n2,api.paper.example\n3,paper.example\n");
        assert_eq!((report.rows, report.bad_rows), (3, 0));
        assert_eq!((names.rank("api.paper.example"), names.rank("paper.example")), (Some(2), Some(3)));
        assert_eq!(names.imitated().map(|name| &*name.domain).collect::<Vec<_>>(), ["paper.example"]);
    }

    #[test]
    fn majestic_has_columns() {
        let header = "GlobalRank,TldRank,Domain,TLD,RefSubNets,RefIPs,IDN_Domain,IDN_TLD,PrevGlobalRank\r\n";
        let row = "1,1,paper.example,example,497128,2605190,paper.example,example,1\r\n";
        let (names, report) = load(&format!("{header}{row}"));
        assert_eq!((report.rows, report.bad_rows, names.rank("paper.example")), (1, 0, Some(1)));
    }
}
