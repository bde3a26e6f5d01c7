//! `certsift run`: live logs, as a sidecar.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::{Common, ExitCode, start_logging_as, summary};
use crate::config::{Config, KnowledgeReports, Reloaded};
use crate::knowledge::KnowledgeFiles;
use crate::model::EventTime;
use crate::observe::{FeedNumbers, Metrics, Server};
use crate::pipeline::{ReadAgain, Run, Why};
use crate::rdap::{Servers, say};
use crate::sink::network::Prepared;
use crate::sink::{default_dead_letter_path, default_rejected_path};
use crate::state::StateStore;

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// State directory, instead of the configured one
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let Some(path) = &arguments.common.config else {
        anyhow::bail!("run needs a configuration that names its inputs: certsift run --config certsift.toml");
    };
    let config = Config::load(path)?;
    start_logging_as(arguments.common.verbose.max(1), config.observe.log_format);
    if config.inputs.iter().all(|input| input.paths.is_empty() && input.socket.is_none()) {
        anyhow::bail!(
            "{}: no input is configured; add [[input]] with paths = [\"…/*.log\"] or a socket",
            path.display()
        );
    }
    let Some(state_dir) = arguments.state.clone().or_else(|| config.state_dir.clone()) else {
        anyhow::bail!("{}: no state directory; add [state] with dir = \"…\", or give --state DIR", path.display());
    };
    let state_dir = state_dir.as_path();
    let (stop, early) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    for signal in [SIGTERM, SIGINT] {
        // One that comes between the next two finds neither of them ready.
        signal_hook::flag::register(signal, Arc::clone(&early))?;
        // The second signal finds the first one noted, and ends the process at once.
        signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stop))?;
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    stop.fetch_or(early.load(Ordering::SeqCst), Ordering::SeqCst);
    let reload = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGHUP, Arc::clone(&reload))?;
    let metrics = Arc::new(Metrics::default());
    let _server = answer(&config, &metrics)?;
    let rdap = config.rdap.enabled.then(|| Servers::load(&config.rdap)).transpose()?;
    // What changes while it is being read is read again.
    let files = KnowledgeFiles::look(&config.knowledge.patterns());
    let (knowledge, reports) = config.load_knowledge(summary::now())?;
    summary::report_knowledge(&reports);
    metrics.set_feeds(feeds_of(&reports));
    let state = Arc::new(StateStore::open(state_dir)?);
    let output_path = config.output.path.as_deref();
    let dead_letters =
        config.output.dead_letter.clone().unwrap_or_else(|| default_dead_letter_path(output_path, Some(state_dir)));
    let server = config.output.network.as_ref().map(|settings| {
        let rejected = config.output.rejected.clone().unwrap_or_else(|| default_rejected_path(Some(state_dir)));
        summary::prepare_network(settings, config.output.format, rejected)
    });
    let server = server.transpose()?;
    let counts = server.as_ref().map(Prepared::counts);
    counts.iter().for_each(|counts| metrics.set_network(Arc::clone(counts)));
    tracing::info!(state = %state_dir.display(), checks = %config.encode_settings().enrich.running(), "following");
    let run = Run {
        knowledge: Arc::new(knowledge),
        knowledge_files: files,
        threads: arguments.common.threads,
        state,
        server,
        dead_letters,
        stop: Arc::clone(&stop),
        reload,
        read_again: again(path.clone(), reports, Arc::clone(&metrics)),
        rdap,
        metrics,
        config,
    };
    let outcome = run.run()?;
    outcome.asked.iter().for_each(say);
    counts.iter().for_each(|counts| counts.say());
    tracing::info!(
        written = outcome.counts.total_written(),
        dead_letters = outcome.counts.dead_letters,
        evicted = outcome.evicted,
        stopped = stop.load(Ordering::Relaxed),
        "drained and committed"
    );
    Ok(ExitCode::Success)
}

/// Answers who asks how it goes, where that is wanted.
fn answer(config: &Config, metrics: &Arc<Metrics>) -> anyhow::Result<Option<Server>> {
    let Some(address) = config.observe.listen else { return Ok(None) };
    let server = Server::start(address, Arc::clone(metrics));
    let server = server.map_err(|error| anyhow::anyhow!("observe.listen: cannot listen at {address}: {error}"))?;
    tracing::info!(address = %server.address(), "answering /metrics and /healthz");
    Ok(Some(server))
}

/// What metrics tell of files of knowledge.
fn feeds_of(reports: &KnowledgeReports) -> impl Iterator<Item = FeedNumbers> {
    let feeds = reports.all_feeds().map(|report| FeedNumbers {
        feed: report.feed.clone(),
        rows: report.used_total() + report.context,
        modified: report.modified,
        failed: report.error.is_some() || report.kept.is_some(),
    });
    let lists = reports.lists.iter().chain(&reports.transparency).map(|report| FeedNumbers {
        feed: report.name(),
        rows: report.rows,
        modified: modified(&report.path),
        failed: report.error.is_some(),
    });
    feeds.chain(lists)
}

fn modified(path: &Path) -> Option<EventTime> {
    let since = path.metadata().ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(EventTime::from_seconds(i64::try_from(since.as_secs()).ok()?))
}

/// Reads the configuration, where it was asked for, and knowledge as they are now. What cannot be used is said, and
/// changes nothing.
fn again(path: PathBuf, reports: KnowledgeReports, metrics: Arc<Metrics>) -> ReadAgain {
    let reports = Mutex::new(reports);
    Box::new(move |why, changes, config, knowledge| {
        let config = match why {
            Why::FilesChanged => config.clone(),
            Why::Asked => match Config::load(&path) {
                Ok(config) => config,
                Err(error) => {
                    let error = error.to_string();
                    tracing::error!(error, "cannot use the configuration; going on with the one before");
                    return None;
                }
            },
        };
        let mut reports = reports.lock().unwrap_or_else(PoisonError::into_inner);
        let Reloaded { knowledge: next, reports: now, kept, dropped } =
            config.reload_knowledge(summary::now(), changes, knowledge, &reports);
        for problem in kept {
            tracing::error!(problem, "cannot use what is new; the last good stays in force");
        }
        for problem in dropped {
            tracing::warn!(problem, "no longer in force");
        }
        summary::report_changes(&reports, &now);
        metrics.set_feeds(feeds_of(&now));
        *reports = now;
        // Without anything new there is nothing to swap.
        let is_same = next.version == knowledge.version && next.feeds.are_of_the_same_files(&knowledge.feeds);
        (why == Why::Asked || !is_same).then_some((config, next))
    })
}
