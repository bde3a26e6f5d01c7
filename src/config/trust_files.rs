//! The files of `knowledge.popular` and `[trust]`: popular names, roots, certificates of CAs. Read once more, what cannot be
//! used stays as it was: names by themselves, and roots and CAs together.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::feed_files::Said;
use super::knowledge::{KnowledgeError, KnowledgeReports, expand};
use super::{Config, KnowledgePaths};
use crate::knowledge::names::RankReport;
use crate::knowledge::pem::PemReport;
use crate::knowledge::{Concern, FileChanges, Knowledge, PopularNames, PublicCas, TrustStore};
use crate::model::Id128;

/// What comes from these files.
pub(super) struct TrustParts {
    pub(super) popular: Popular,
    pub(super) certificates: Certificates,
}

/// Popular names.
pub(super) struct Popular {
    pub(super) names: Arc<PopularNames>,
    pub(super) reports: Vec<RankReport>,
}

/// Roots and CAs.
pub(super) struct Certificates {
    pub(super) trust: Arc<TrustStore>,
    pub(super) public_cas: Arc<PublicCas>,
    pub(super) reports: Vec<PemReport>,
}

impl TrustParts {
    /// Reads the files.
    pub(super) fn load(paths: &KnowledgePaths) -> Result<Self, KnowledgeError> {
        Ok(Self { popular: Popular::load(paths)?, certificates: Certificates::load(paths)? })
    }

    /// Reads again what has changed; `last` and `before` are what is in force.
    pub(super) fn reload(
        paths: &KnowledgePaths,
        last: &Knowledge,
        before: &KnowledgeReports,
        changes: &FileChanges,
        said: &mut Said,
    ) -> Self {
        let again = |patterns: &[String]| changes.concern(patterns) == Concern::Changed && !patterns.is_empty();
        let mut keep = |error: KnowledgeError| said.kept.push(error.to_string());
        let popular = again(&paths.popular).then(|| Popular::load(paths).map_err(&mut keep).ok()).flatten();
        let popular = popular
            .unwrap_or_else(|| Popular { names: Arc::clone(last.names.popular()), reports: before.popular.clone() });
        let files = [&paths.roots[..], &paths.intermediates, &paths.public_cas].concat();
        let certificates = again(&files).then(|| Certificates::load(paths).map_err(&mut keep).ok()).flatten();
        let certificates = certificates.unwrap_or_else(|| Certificates {
            trust: Arc::clone(&last.trust),
            public_cas: Arc::clone(&last.public_cas),
            reports: before.certificates.clone(),
        });
        Self { popular, certificates }
    }

    /// Names and contents of the files, for the version of the knowledge.
    pub(super) fn versions(&self) -> Vec<(String, Option<Id128>)> {
        let ranks = self.popular.reports.iter().map(|report| (&report.path, report.version));
        let all = ranks.chain(self.certificates.reports.iter().map(|report| (&report.path, report.version)));
        all.map(|(path, version)| (name_of(path), version)).collect()
    }
}

impl Popular {
    pub(super) fn load(paths: &KnowledgePaths) -> Result<Self, KnowledgeError> {
        let (names, reports) = PopularNames::load(&expand("knowledge.popular", &paths.popular)?);
        let bad = reports.iter().find_map(|report| match &report.error {
            None if report.rows == 0 => Some((report.path.clone(), "it holds no rank and name".to_owned())),
            error => Some((report.path.clone(), error.clone()?)),
        });
        match bad {
            Some((path, why)) => Err(KnowledgeError::Unusable { key: "knowledge.popular", path, why }),
            None => Ok(Self { names: Arc::new(names), reports }),
        }
    }
}

impl Certificates {
    /// How many names the user's own table of public CAs has, where there is one, and up to which day.
    pub(super) fn own_cas(&self, paths: &KnowledgePaths) -> Option<(usize, i32)> {
        (!paths.public_cas.is_empty()).then(|| (self.public_cas.len(), self.public_cas.newest_day()))
    }

    pub(super) fn load(paths: &KnowledgePaths) -> Result<Self, KnowledgeError> {
        let roots = expand("trust.roots", &paths.roots)?;
        let intermediates = expand("trust.intermediates", &paths.intermediates)?;
        let public_cas = expand("trust.public_cas", &paths.public_cas)?;
        let (trust, mut reports) = TrustStore::load(&roots, &intermediates);
        let (public_cas, more) = cas_of(&public_cas);
        reports.extend(more);
        match reports.iter().find_map(|report| Some((report.path.clone(), report.error.clone()?))) {
            Some((path, why)) => Err(KnowledgeError::Unusable { key: "trust", path, why }),
            None => Ok(Self { trust: Arc::new(trust), public_cas: Arc::new(public_cas), reports }),
        }
    }
}

/// The public CAs that are in force.
///
/// # Errors
/// A file of the user's cannot be used.
pub(crate) fn public_cas(config: &Config) -> Result<PublicCas, KnowledgeError> {
    let (public_cas, reports) = cas_of(&expand("trust.public_cas", &config.knowledge.public_cas)?);
    match reports.into_iter().find_map(|report| Some((report.path, report.error?))) {
        Some((path, why)) => Err(KnowledgeError::Unusable { key: "trust", path, why }),
        None => Ok(public_cas),
    }
}

fn cas_of(files: &[PathBuf]) -> (PublicCas, Vec<PemReport>) {
    match files.is_empty() {
        true => (PublicCas::builtin(), Vec::new()),
        false => PublicCas::load(files),
    }
}

/// Never the whole path: the version must not depend on where a file lies.
fn name_of(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}
