//! Everybody in turn, several times.

use super::measure::Took;

/// Medians of somebody's runs, in seconds; of memory the most, in MiB.
#[derive(Clone, Copy, Debug)]
pub(super) struct Figures {
    pub(super) wall: f64,
    pub(super) cpu: f64,
    pub(super) peak: f64,
}

/// Runs everybody in every round, so that what else the machine does meets all alike.
pub(super) fn rounds<C>(
    rounds: u32,
    contestants: &[C],
    mut run: impl FnMut(&C, bool) -> anyhow::Result<Took>,
) -> anyhow::Result<Vec<Figures>> {
    let mut runs: Vec<Vec<Took>> = contestants.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        for (contestant, runs) in contestants.iter().zip(&mut runs) {
            runs.push(run(contestant, round == 0)?);
        }
    }
    Ok(runs.iter().map(|runs| of(runs)).collect())
}

fn of(runs: &[Took]) -> Figures {
    let median = |value: fn(&Took) -> f64| {
        let mut values: Vec<f64> = runs.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        // A program that is over in no time has no rate.
        values.get(values.len() / 2).copied().unwrap_or_default().max(1e-3)
    };
    let peak = runs.iter().map(|took| took.peak_anon).max().unwrap_or_default();
    Figures {
        wall: median(|took| took.wall.as_secs_f64()),
        cpu: median(|took| took.cpu.as_secs_f64()),
        peak: peak as f64 / (1024.0 * 1024.0),
    }
}
