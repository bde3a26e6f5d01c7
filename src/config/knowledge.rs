//! From the files that a configuration names to one snapshot of knowledge.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Config;
use crate::knowledge::feeds::{FeedReport, Recognised};
use crate::knowledge::registrations::{ListReport, looks_like_registration_list};
use crate::knowledge::signatures::SignatureError;
use crate::knowledge::{
    AllowList, Feeds, Knowledge, KnowledgeVersion, OwnCertificates, Prefixes, PublicCas, Registrations, Signatures,
    WatchNames, files_of,
};
use crate::model::EventTime;

/// What became of the user's files.
#[derive(Clone, Debug, Default)]
pub struct KnowledgeReports {
    /// Lists of registrations.
    pub lists: Vec<ListReport>,
    /// Threat feeds.
    pub feeds: Vec<FeedReport>,
    /// The list of exceptions.
    pub allow: Option<FeedReport>,
    /// The list of own certificates.
    pub own_certificates: Option<FeedReport>,
    /// The table of prefixes.
    pub prefixes: Option<FeedReport>,
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
    /// A name cannot be watched.
    #[error("knowledge.watch_names: {0}")]
    WatchName(String),
}

/// The parts of knowledge that come from the user's files, each as far as it can be used.
struct Parts {
    feeds: Result<FeedParts, KnowledgeError>,
    signatures: Result<Arc<Signatures>, KnowledgeError>,
    allow: Result<OwnList<AllowList>, KnowledgeError>,
    own_certificates: Result<OwnList<OwnCertificates>, KnowledgeError>,
    prefixes: Result<OwnList<Prefixes>, KnowledgeError>,
    watch_names: Result<Arc<WatchNames>, KnowledgeError>,
}

/// The lists that are the user's own.
struct OwnLists {
    allow: OwnList<AllowList>,
    own_certificates: OwnList<OwnCertificates>,
    prefixes: OwnList<Prefixes>,
}

/// What comes from `knowledge.feeds`.
struct FeedParts {
    feeds: Arc<Feeds>,
    registrations: Arc<Registrations>,
    feed_reports: Vec<FeedReport>,
    list_reports: Vec<ListReport>,
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
        let Parts { feeds, signatures, allow, own_certificates, prefixes, watch_names } = self.parts(now);
        let (feeds, signatures) = (feeds?, signatures?);
        let lists = OwnLists { allow: allow?, own_certificates: own_certificates?, prefixes: prefixes? };
        Ok(self.assemble(feeds, signatures, lists, watch_names?))
    }

    /// The same once more, given what is in force. A part that cannot be used stays as it was: feeds and lists together
    /// when one of them is worse than before, signatures, exceptions, watched names. Why is given for each.
    pub fn reload_knowledge(
        &self,
        now: EventTime,
        last: &Knowledge,
        reports: &KnowledgeReports,
    ) -> (Knowledge, KnowledgeReports, Vec<String>) {
        let Parts { feeds, signatures, allow, own_certificates, prefixes, watch_names } = self.parts(now);
        let mut problems = Vec::new();
        let kept = || FeedParts {
            feeds: Arc::clone(&last.feeds),
            registrations: Arc::clone(&last.registrations),
            feed_reports: reports.feeds.clone(),
            list_reports: reports.lists.clone(),
        };
        let feeds = match feeds {
            Ok(feeds) => match feeds.is_worse_than(reports) {
                Some(problem) => {
                    problems.push(problem);
                    kept()
                }
                None => feeds,
            },
            Err(error) => {
                problems.push(error.to_string());
                kept()
            }
        };
        let mut keep = |error: KnowledgeError| problems.push(error.to_string());
        let signatures = signatures.unwrap_or_else(|error| {
            keep(error);
            Arc::clone(&last.signatures)
        });
        let own = &mut problems;
        let lists = OwnLists {
            allow: kept_list(allow, &last.allow, &reports.allow, own),
            own_certificates: kept_list(own_certificates, &last.own_certificates, &reports.own_certificates, own),
            prefixes: kept_list(prefixes, &last.prefixes, &reports.prefixes, own),
        };
        let watch_names = watch_names.unwrap_or_else(|error| {
            problems.push(error.to_string());
            Arc::clone(&last.watch_names)
        });
        let (knowledge, reports) = self.assemble(feeds, signatures, lists, watch_names);
        (knowledge, reports, problems)
    }

    fn parts(&self, now: EventTime) -> Parts {
        let paths = &self.knowledge;
        Parts {
            feeds: expand("knowledge.feeds", &paths.feeds).map(|files| FeedParts::load(files, now)),
            signatures: expand("knowledge.signatures", &paths.signatures)
                .and_then(|files| Ok(Arc::new(Signatures::builtin()?.with_files(&files)?))),
            allow: own_list("knowledge.allow", &paths.allow, |path| AllowList::load(path, now)),
            own_certificates: own_list("knowledge.own_certificates", &paths.own_certificates, OwnCertificates::load),
            prefixes: own_list("knowledge.prefixes", &paths.prefixes, Prefixes::load),
            watch_names: WatchNames::new(&paths.watch_names).map(Arc::new).map_err(KnowledgeError::WatchName),
        }
    }

    fn assemble(
        &self,
        feeds: FeedParts,
        signatures: Arc<Signatures>,
        OwnLists { allow, own_certificates, prefixes }: OwnLists,
        watch_names: Arc<WatchNames>,
    ) -> (Knowledge, KnowledgeReports) {
        let FeedParts { feeds, registrations, feed_reports, list_reports } = feeds;
        let own_reports = allow.1.iter().chain(&own_certificates.1).chain(&prefixes.1);
        let version = KnowledgeVersion::of(
            &signatures,
            feed_reports.iter().chain(own_reports).map(|report| (&*report.feed, report.version)),
            list_reports.iter().map(|report| &*report.path),
            &self.knowledge.watch_names,
        );
        let public_cas = Arc::new(PublicCas::builtin());
        let knowledge = Knowledge {
            signatures,
            public_cas,
            registrations,
            watch_names,
            feeds,
            allow: allow.0,
            own_certificates: own_certificates.0,
            prefixes: prefixes.0,
            version,
        };
        let reports = KnowledgeReports {
            lists: list_reports,
            feeds: feed_reports,
            allow: allow.1,
            own_certificates: own_certificates.1,
            prefixes: prefixes.1,
        };
        (knowledge, reports)
    }
}

/// Reads what `knowledge.feeds` and the user's own lists are named as, whatever becomes of the rest; for `certsift check`.
pub(crate) fn check_feeds(config: &Config, now: EventTime) -> (KnowledgeReports, Vec<KnowledgeError>) {
    let (mut files, mut errors) = (Vec::new(), Vec::new());
    for pattern in &config.knowledge.feeds {
        match expand("knowledge.feeds", std::slice::from_ref(pattern)) {
            Ok(found) => files.extend(found),
            Err(error) => errors.push(error),
        }
    }
    let FeedParts { feed_reports, list_reports, .. } = FeedParts::load(files, now);
    let paths = &config.knowledge;
    let allow = own_list("knowledge.allow", &paths.allow, |path| AllowList::load(path, now));
    let own_certificates = own_list("knowledge.own_certificates", &paths.own_certificates, OwnCertificates::load);
    let prefixes = own_list("knowledge.prefixes", &paths.prefixes, Prefixes::load);
    let reports = KnowledgeReports {
        lists: list_reports,
        feeds: feed_reports,
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

/// The list, or where it cannot be used the one before; why is said.
fn kept_list<T>(
    list: Result<OwnList<T>, KnowledgeError>,
    last: &Arc<T>,
    report: &Option<FeedReport>,
    problems: &mut Vec<String>,
) -> OwnList<T> {
    match list {
        Ok((_, Some(FeedReport { path, error: Some(error), .. }))) => {
            problems.push(format!("{}: {error}", path.display()));
        }
        Ok(list) => return list,
        Err(error) => problems.push(error.to_string()),
    }
    (Arc::clone(last), report.clone())
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

impl FeedParts {
    fn load(files: Vec<PathBuf>, now: EventTime) -> Self {
        let (lists, feeds): (Vec<_>, Vec<_>) = files.into_iter().partition(|path| is_registration_list(path));
        let (registrations, list_reports) = Registrations::load(&lists);
        let (feeds, feed_reports) = Feeds::load(&feeds, now);
        Self { feeds: Arc::new(feeds), registrations: Arc::new(registrations), feed_reports, list_reports }
    }

    /// Why these are not to replace those before: a file that could be used no longer can.
    fn is_worse_than(&self, before: &KnowledgeReports) -> Option<String> {
        // A feed on a day without entries has none that are bad, and still says what it is.
        let is_empty = |path: &Path| path.metadata().is_ok_and(|metadata| metadata.len() == 0);
        let good_feed = |report: &FeedReport| {
            let rows = report.used_total() + report.context;
            report.error.is_none() && (rows > 0 || (report.bad == 0 && !is_empty(&report.path)))
        };
        let good_list = |report: &ListReport| report.error.is_none() && report.rows > 0;
        let was_good = |path: &Path| {
            before.feeds.iter().any(|report| report.path == path && good_feed(report))
                || before.lists.iter().any(|report| report.path == path && good_list(report))
        };
        let feeds =
            self.feed_reports.iter().filter(|report| !good_feed(report) && was_good(&report.path)).map(|report| {
                let why = report.error.as_deref().unwrap_or("holds no row that can be used");
                format!("{}: {why}", report.path.display())
            });
        let lists =
            self.list_reports.iter().filter(|report| !good_list(report) && was_good(&report.path)).map(|report| {
                let why = report.error.as_ref().map_or_else(|| "holds no registration".to_owned(), ToString::to_string);
                format!("{}: {why}", report.path.display())
            });
        feeds.chain(lists).next()
    }
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
            return Err(KnowledgeError::Missing { key, path: path.clone() });
        }
        found.extend(files);
    }
    Ok(found)
}

/// Whether a file is a list of registrations, `domain,date` in every row, and not a threat feed. What says of itself
/// which feed it is, is that; what cannot be read is left to the feeds, whose reports say so.
fn is_registration_list(path: &Path) -> bool {
    use std::io::Read as _;
    const HEAD: u64 = 64 * 1024;
    let mut head = Vec::new();
    let read = crate::source::open(path, Arc::default())
        .map_err(|error| error.source)
        .and_then(|reader| reader.take(HEAD).read_to_end(&mut head));
    let says_so = matches!(Feeds::recognise(&head), Recognised::SaysSo(_));
    read.is_ok() && !says_so && looks_like_registration_list(&head, (head.len() as u64) < HEAD)
}
