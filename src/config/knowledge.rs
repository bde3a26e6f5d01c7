//! From the files that a configuration names to one snapshot of knowledge.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::feed_files::{self, FeedParts, Said};
use super::trust_files::{Certificates, Popular, TrustParts};
use super::{Config, RegisteredPaths};
use crate::knowledge::feeds::FeedReport;
use crate::knowledge::names::RankReport;
use crate::knowledge::pem::PemReport;
use crate::knowledge::registrations::{ListReport, RegistrationList};
use crate::knowledge::signatures::SignatureError;
use crate::knowledge::suffix_list::SuffixList;
use crate::knowledge::{
    AllowList, Concern, FileChanges, Knowledge, KnowledgeVersion, Names, OwnCertificates, Prefixes, Signatures,
    WatchNames, files_of, suffix,
};
use crate::model::EventTime;

/// What became of the user's files.
#[derive(Clone, Debug, Default)]
pub struct KnowledgeReports {
    /// Lists of registrations.
    pub lists: Vec<ListReport>,
    /// Files of Certificate Transparency logs.
    pub transparency: Vec<ListReport>,
    /// Threat feeds.
    pub feeds: Vec<FeedReport>,
    /// Lists of popular names.
    pub popular: Vec<RankReport>,
    /// Roots and certificates of CAs.
    pub certificates: Vec<PemReport>,
    /// How many names the user's own table of public CAs has, where there is one, and the last day that it knows of, since
    /// 1970-01-01.
    pub public_cas: Option<(usize, i32)>,
    /// The list of exceptions.
    pub allow: Option<FeedReport>,
    /// The list of own certificates.
    pub own_certificates: Option<FeedReport>,
    /// The table of prefixes.
    pub prefixes: Option<FeedReport>,
}

impl KnowledgeReports {
    /// Feeds and the lists that are the user's own.
    pub fn all_feeds(&self) -> impl Iterator<Item = &FeedReport> {
        let own = self.allow.iter().chain(&self.own_certificates).chain(&self.prefixes);
        self.feeds.iter().chain(own)
    }
}

/// What comes from one list of the user's own, and what became of it.
type OwnList<T> = (Arc<T>, Option<FeedReport>);

/// Why knowledge cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KnowledgeError {
    /// A signature file is wrong.
    #[error(transparent)]
    Signatures(#[from] SignatureError),
    /// A path or pattern leads to no file.
    #[error("{key}: {path}: no such file, and no file matches it as a pattern")]
    Missing {
        /// The key of the configuration.
        key: &'static str,
        /// The path.
        path: String,
    },
    /// There is something, and no file.
    #[error("{key}: {path}: {what}")]
    NoFile {
        /// The key of the configuration.
        key: &'static str,
        /// The path.
        path: String,
        /// What it is.
        what: &'static str,
    },
    /// The list of public suffixes cannot be used.
    #[error("knowledge.public_suffix_list: {0}")]
    SuffixList(String),
    /// A name cannot be watched.
    #[error("knowledge.watch_names: {0}")]
    WatchName(String),
    /// A file of popular names, roots or CAs cannot be used.
    #[error("{key}: {}: {why}", .path.display())]
    Unusable {
        /// The key of the configuration.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
}

impl KnowledgeError {
    /// Says why a path or pattern leads to no file.
    pub(super) fn missing(key: &'static str, path: &str) -> Self {
        match std::fs::metadata(path) {
            Ok(found) if found.is_dir() => Self::NoFile {
                key,
                path: path.to_owned(),
                what: "a folder, not a file; its files are meant by a pattern, folder/*",
            },
            Ok(_) => Self::NoFile {
                key,
                path: path.to_owned(),
                what: "no regular file; a pipe or a device cannot be read as one",
            },
            Err(_) => Self::Missing { key, path: path.to_owned() },
        }
    }
}

/// The lists that are the user's own.
struct OwnLists {
    allow: OwnList<AllowList>,
    own_certificates: OwnList<OwnCertificates>,
    prefixes: OwnList<Prefixes>,
}

/// What became of reading knowledge once more.
pub struct Reloaded {
    /// What is to be in force.
    pub knowledge: Knowledge,
    /// What became of the user's files.
    pub reports: KnowledgeReports,
    /// Why something cannot be used as it is now, so that what was in force of it stays.
    pub kept: Vec<String>,
    /// What was in force and is no longer.
    pub dropped: Vec<String>,
}

impl Config {
    /// What is compiled in and what the user's files add to it, with a report on each list and feed.
    ///
    /// A feed that cannot be read is in its report, and the others are loaded. `now` only decides which rows the reports
    /// count as expired.
    ///
    /// # Errors
    /// A file that was named is missing, or a signature is wrong.
    pub fn load_knowledge(&self, now: EventTime) -> Result<(Knowledge, KnowledgeReports), KnowledgeError> {
        // Before any name is looked at: what a list names depends on it.
        use_suffix_list(self)?;
        let paths = &self.knowledge;
        let feeds = feed_files::unless_other(expand(feed_files::KEY, &paths.feeds)?, paths);
        let feeds = FeedParts::load(feeds, registered(&paths.registered)?, now);
        let trust = TrustParts::load(paths)?;
        let lists = OwnLists {
            allow: self.allow(now)?,
            own_certificates: self.own_certificates()?,
            prefixes: self.prefixes()?,
        };
        Ok(self.assemble(feeds, self.signatures()?, lists, self.watch_names()?, trust))
    }

    /// The same once more, of the files that have changed. What cannot be used stays as it was: each feed by itself, the
    /// lists of registrations together, the signatures together, every other list.
    pub fn reload_knowledge(
        &self,
        now: EventTime,
        changes: &FileChanges,
        last: &Knowledge,
        before: &KnowledgeReports,
    ) -> Reloaded {
        let mut said = Said::default();
        let paths = &self.knowledge;
        said.kept.extend(use_suffix_list(self).err().map(|error| error.to_string()));
        let feeds = FeedParts::reload(paths, now, last, before, changes, &mut said);
        let mut keep = |error: KnowledgeError| said.kept.push(error.to_string());
        let signatures = match changes.concern(&paths.signatures) {
            Concern::Changed => self.signatures().unwrap_or_else(|error| {
                keep(error);
                Arc::clone(&last.signatures)
            }),
            Concern::Nothing | Concern::Unsettled => Arc::clone(&last.signatures),
        };
        let watch_names = self.watch_names().unwrap_or_else(|error| {
            keep(error);
            Arc::clone(last.names.watched())
        });
        let mut own = Own { changes, said: &mut said };
        let lists = OwnLists {
            allow: own.list(&paths.allow, (&last.allow, &before.allow), || self.allow(now)),
            own_certificates: own.list(
                &paths.own_certificates,
                (&last.own_certificates, &before.own_certificates),
                || self.own_certificates(),
            ),
            prefixes: own.list(&paths.prefixes, (&last.prefixes, &before.prefixes), || self.prefixes()),
        };
        let trust = TrustParts::reload(paths, last, before, changes, &mut said);
        let (knowledge, reports) = self.assemble(feeds, signatures, lists, watch_names, trust);
        Reloaded { knowledge, reports, kept: said.kept, dropped: said.dropped }
    }

    fn signatures(&self) -> Result<Arc<Signatures>, KnowledgeError> {
        let files = expand("knowledge.signatures", &self.knowledge.signatures)?;
        Ok(Arc::new(Signatures::builtin()?.with_files(&files)?))
    }

    fn allow(&self, now: EventTime) -> Result<OwnList<AllowList>, KnowledgeError> {
        own_list("knowledge.allow", &self.knowledge.allow, |path| AllowList::load(path, now))
    }

    fn own_certificates(&self) -> Result<OwnList<OwnCertificates>, KnowledgeError> {
        own_list("knowledge.own_certificates", &self.knowledge.own_certificates, OwnCertificates::load)
    }

    fn prefixes(&self) -> Result<OwnList<Prefixes>, KnowledgeError> {
        own_list("knowledge.prefixes", &self.knowledge.prefixes, Prefixes::load)
    }

    fn watch_names(&self) -> Result<Arc<WatchNames>, KnowledgeError> {
        WatchNames::new(&self.knowledge.watch_names).map(Arc::new).map_err(KnowledgeError::WatchName)
    }

    fn assemble(
        &self,
        feeds: FeedParts,
        signatures: Arc<Signatures>,
        OwnLists { allow, own_certificates, prefixes }: OwnLists,
        watch_names: Arc<WatchNames>,
        trust: TrustParts,
    ) -> (Knowledge, KnowledgeReports) {
        let FeedParts { feeds, registrations, transparency, feed_reports, list_reports, transparency_reports } = feeds;
        let own_reports = allow.1.iter().chain(&own_certificates.1).chain(&prefixes.1);
        let lists = || list_reports.iter().chain(&transparency_reports);
        let list_names: Vec<_> = lists().map(ListReport::name).collect();
        let trust_versions = trust.versions();
        let TrustParts { popular, certificates } = trust;
        let version = KnowledgeVersion::of(
            &signatures,
            feed_reports.iter().chain(own_reports).map(|report| (&*report.feed, report.version)),
            list_names
                .iter()
                .zip(lists())
                .map(|(name, report)| (&**name, report.version))
                .chain(trust_versions.iter().map(|(name, version)| (&**name, *version))),
            &self.knowledge.watch_names,
        );
        let own_cas = certificates.own_cas(&self.knowledge);
        let knowledge = Knowledge {
            signatures,
            public_cas: certificates.public_cas,
            trust: certificates.trust,
            registrations,
            answers: Arc::default(),
            transparency,
            names: Arc::new(Names::new(watch_names, popular.names)),
            feeds,
            allow: allow.0,
            own_certificates: own_certificates.0,
            prefixes: prefixes.0,
            version,
        };
        let reports = KnowledgeReports {
            lists: list_reports,
            transparency: transparency_reports,
            feeds: feed_reports,
            popular: popular.reports,
            certificates: certificates.reports,
            public_cas: own_cas,
            allow: allow.1,
            own_certificates: own_certificates.1,
            prefixes: prefixes.1,
        };
        (knowledge, reports)
    }
}

/// Reads what `knowledge.feeds` and the user's own lists are named as, whatever becomes of the rest; for `certsift check`.
pub(crate) fn check_feeds(config: &Config, now: EventTime) -> (KnowledgeReports, Vec<KnowledgeError>) {
    let (mut files, mut lists, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    errors.extend(use_suffix_list(config).err());
    for list in &config.knowledge.registered {
        match registered(std::slice::from_ref(list)) {
            Ok(found) => lists.extend(found),
            Err(error) => errors.push(error),
        }
    }
    for pattern in &config.knowledge.feeds {
        match expand(feed_files::KEY, std::slice::from_ref(pattern)) {
            Ok(found) => files.extend(found),
            Err(error) => errors.push(error),
        }
    }
    let files = feed_files::unless_other(distinct(files), &config.knowledge);
    let FeedParts { feed_reports, list_reports, transparency_reports, .. } = FeedParts::load(files, lists, now);
    let (allow, own_certificates, prefixes) = (config.allow(now), config.own_certificates(), config.prefixes());
    let popular = Popular::load(&config.knowledge).map(|popular| popular.reports);
    let popular = popular.map_err(|error| errors.push(error)).unwrap_or_default();
    let certificates = Certificates::load(&config.knowledge)
        .map(|certificates| (certificates.own_cas(&config.knowledge), certificates.reports));
    let (public_cas, certificates) = certificates.map_err(|error| errors.push(error)).unwrap_or_default();
    let reports = KnowledgeReports {
        lists: list_reports,
        transparency: transparency_reports,
        feeds: feed_reports,
        popular,
        certificates,
        public_cas,
        allow: report_of(allow, &mut errors),
        own_certificates: report_of(own_certificates, &mut errors),
        prefixes: report_of(prefixes, &mut errors),
    };
    (reports, errors)
}

/// Reads a list of the user's own, if one is named.
fn own_list<T: Default>(
    key: &'static str,
    path: &Option<String>,
    load: impl FnOnce(&Path) -> (T, FeedReport),
) -> Result<OwnList<T>, KnowledgeError> {
    expand(key, path.as_slice()).map(|files| {
        let (list, report) = files.first().map(|path| load(path)).unzip();
        (Arc::new(list.unwrap_or_default()), report)
    })
}

/// Reading the user's own lists again.
struct Own<'a> {
    changes: &'a FileChanges,
    said: &'a mut Said,
}

impl Own<'_> {
    /// The list, or the one before where it has not changed or cannot be used.
    fn list<T>(
        &mut self,
        path: &Option<String>,
        (last, report): (&Arc<T>, &Option<FeedReport>),
        load: impl FnOnce() -> Result<OwnList<T>, KnowledgeError>,
    ) -> OwnList<T> {
        if path.is_none() || self.changes.concern(path.as_slice()) == Concern::Changed {
            match load() {
                Ok((_, Some(FeedReport { path, error: Some(error), .. }))) => {
                    self.said.kept.push(format!("{}: {error}", path.display()));
                }
                Ok(list) => return list,
                Err(error) => self.said.kept.push(error.to_string()),
            }
        }
        (Arc::clone(last), report.clone())
    }
}

fn report_of<T: Default>(
    list: Result<OwnList<T>, KnowledgeError>,
    errors: &mut Vec<KnowledgeError>,
) -> Option<FeedReport> {
    list.unwrap_or_else(|error| {
        errors.push(error);
        (Arc::default(), None)
    })
    .1
}

/// The files that paths and patterns of a key mean.
///
/// # Errors
/// One of them leads to no file.
pub(crate) fn expand(key: &'static str, paths: &[String]) -> Result<Vec<PathBuf>, KnowledgeError> {
    let mut found = Vec::new();
    for path in paths {
        let files = files_of(path);
        if files.is_empty() {
            return Err(KnowledgeError::missing(key, path));
        }
        found.extend(files);
    }
    Ok(distinct(found))
}

/// Files in the order of their paths, each once, by whatever names they are found.
pub(super) fn distinct(mut files: Vec<PathBuf>) -> Vec<PathBuf> {
    files.sort();
    let mut seen = HashSet::new();
    files.retain(|path| seen.insert(path.canonicalize().unwrap_or_else(|_| path.clone())));
    files
}

/// The lists that `knowledge.registered` means.
pub(super) fn registered(lists: &[RegisteredPaths]) -> Result<Vec<RegistrationList>, KnowledgeError> {
    let mut found = Vec::new();
    for RegisteredPaths { pattern, window_days, day } in lists {
        let files = expand("knowledge.registered", std::slice::from_ref(pattern))?;
        found.extend(files.into_iter().map(|path| RegistrationList { path, window_days: *window_days, day: *day }));
    }
    Ok(found)
}

/// Puts the configured list of public suffixes in the place of the one that is compiled in, for the whole process.
fn use_suffix_list(config: &Config) -> Result<(), KnowledgeError> {
    let Some(path) = &config.knowledge.public_suffix_list else {
        return match suffix::replacement() {
            Some(_) => Err(KnowledgeError::SuffixList("another list is used after a restart".to_owned())),
            None => Ok(()),
        };
    };
    if !Path::new(path).is_file() {
        return Err(KnowledgeError::missing("knowledge.public_suffix_list", path));
    }
    let list = SuffixList::load(Path::new(path));
    let list = list.map_err(|error| KnowledgeError::SuffixList(format!("{path}: {error}")))?;
    match suffix::replace_list(list) {
        true => Ok(()),
        false => Err(KnowledgeError::SuffixList(format!("{path}: another list is used after a restart"))),
    }
}
