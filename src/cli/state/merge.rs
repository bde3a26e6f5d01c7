//! `certsift state merge`: a new state of what two states know together.

use std::path::PathBuf;

use anyhow::Context as _;

use super::{ExitCode, config_of, with_room_for_all};
use crate::history::{History, merge as merge_histories};
use crate::state::{StateStore, StateView};

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// A state directory
    #[arg(value_name = "A")]
    one: PathBuf,
    /// Another one
    #[arg(value_name = "B")]
    other: PathBuf,
    /// The directory of the new state; there must be none in it
    #[arg(long, value_name = "C")]
    into: PathBuf,
    /// Configuration file, for what learning takes
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn merge(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let settings = with_room_for_all(config_of(arguments.config.as_deref())?.history);
    let target = &arguments.into;
    if target.exists() && std::fs::read_dir(target).map_or(true, |mut entries| entries.next().is_some()) {
        anyhow::bail!("{}: is there already; name a directory that is not, or an empty one", target.display());
    }
    let views = [StateView::open(&arguments.one)?, StateView::open(&arguments.other)?];
    let [one, other]: [History; 2] = [views[0].history(settings)?, views[1].history(settings)?];
    let merged = merge_histories(&one, &other);
    drop((one, other));
    let [one, other] = [views[0].clock()?, views[1].clock()?];
    let clock = if other.now() > one.now() { other } else { one };
    // Whole or not there: it gets its name at the end.
    let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(std::path::Path::new("."));
    std::fs::create_dir_all(parent).with_context(|| format!("{}: cannot be made", parent.display()))?;
    let unfinished = tempfile::Builder::new()
        .prefix(".certsift-merge-")
        .tempdir_in(parent)
        .with_context(|| format!("{}: cannot be written to", parent.display()))?;
    let store = StateStore::open(unfinished.path())?;
    store.fill(&merged, clock, &views)?;
    drop(store);
    if target.exists() {
        std::fs::remove_dir(target).with_context(|| format!("{}: cannot be replaced", target.display()))?;
    }
    std::fs::rename(unfinished.path(), target)
        .with_context(|| format!("{}: cannot be given its name", target.display()))?;
    // It has another name by now.
    let _ = unfinished.keep();
    let [issuers, certificates, _, names, servers, ..] = merged.usage().map(|table| table.entries);
    eprintln!(
        "merged into {}: {issuers} issuers, {certificates} certificates, {names} names, {servers} servers",
        crate::cli::replay::shown(target),
    );
    Ok(ExitCode::Success)
}
