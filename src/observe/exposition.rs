//! What was counted, in the text that Prometheus reads (format 0.0.4).
//!
//! Every family is there from the first moment on, and every series whose labels are known beforehand starts at 0, so that
//! rates and alerts need not guess.

use std::fmt::{Display, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use super::metrics::{COMMIT_BUCKETS, Metrics, Numbers, seconds_between};
use super::process::{Process, unix_seconds};
use crate::correlate::AbsentReason;
use crate::enrich::Verdict;
use crate::model::{EventTime, Log};
use crate::sink::network::NetworkCounts;
use crate::source::tail::FileState;

/// Logs whose records are written.
const WRITTEN: [Log; 7] = [
    Log::ZeekX509,
    Log::ZeekKnownCerts,
    Log::ZeekSsl,
    Log::SuricataTls,
    Log::SuricataQuic,
    Log::SuricataAlert,
    Log::SuricataOther,
];

/// What a number is to Prometheus.
#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Text that grows by one family after the other.
#[derive(Default)]
struct Exposition {
    text: String,
    family: &'static str,
}

impl Metrics {
    /// All numbers as text.
    pub fn exposition(&self) -> String {
        let numbers = self.numbers();
        let now = SystemTime::now();
        let mut out = Exposition::default();
        out.family("certsift_build_info", Kind::Gauge, "Which certsift this is; always 1.");
        out.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
        out.written(&numbers);
        out.read(&numbers, now);
        out.committed(&numbers, self.commit_busy());
        out.sunk(&numbers, self.waiting().retries(), self.network(), self.waiting().reasons().len());
        out.sent(self.network());
        out.known(&numbers, now);
        out.asked(&numbers);
        out.family("certsift_healthy", Kind::Gauge, "1 while certsift reads and commits, else 0; /healthz says why.");
        out.sample(&[], u8::from(self.health().is_good()));
        out.process();
        out.text
    }
}

impl Exposition {
    fn written(&mut self, Numbers { counts, written_bytes, .. }: &Numbers) {
        self.family("certsift_records_written_total", Kind::Counter, "Records written, by log.");
        for log in WRITTEN {
            self.sample(&[("log", log.name())], counts.written.get(&log).copied().unwrap_or_default());
        }
        self.family("certsift_written_bytes_total", Kind::Counter, "Bytes of records written.");
        self.sample(&[], written_bytes);
        self.family("certsift_verdicts_total", Kind::Counter, "Verdicts on sessions.");
        for verdict in Verdict::ALL {
            let count = counts.verdicts.get(&verdict).copied().unwrap_or_default();
            self.sample(&[("verdict", verdict.name())], count);
        }
        self.family(
            "certsift_sessions_total",
            Kind::Counter,
            "Sessions, by what is known of the server's certificate.",
        );
        let absent: u64 = counts.absent.values().sum();
        for (state, count) in [("presented", counts.presented), ("recalled", counts.recalled), ("absent", absent)] {
            self.sample(&[("certificate", state)], count);
        }
        let missing = |reason| counts.absent.get(&reason).copied().unwrap_or_default();
        self.family("certsift_sessions_absent_total", Kind::Counter, "Sessions without a certificate, by the reason.");
        for reason in AbsentReason::ALL {
            self.sample(&[("reason", reason.name())], missing(reason));
        }
        self.counter(
            "certsift_join_misses_total",
            "Sessions whose certificate was logged where certsift has not seen it.",
            missing(AbsentReason::NotFound),
        );
        self.counter("certsift_dead_letters_total", "Lines that could not leave as records.", counts.dead_letters);
        self.counter("certsift_faulty_records_total", "Records with a field that could not be read.", counts.faulty);
        self.counter(
            "certsift_already_enriched_total",
            "Lines that already held an object and left as they came.",
            counts.already_enriched,
        );
        self.counter(
            "certsift_records_not_written_total",
            "Records of other logs and dropped events: read and not written.",
            counts.not_written,
        );
    }

    fn read(&mut self, Numbers { reading, alerts_evicted, .. }: &Numbers, now: SystemTime) {
        let wall = event_time(now);
        self.family("certsift_input_lag_bytes", Kind::Gauge, "Bytes of an input that are there and not judged yet.");
        for input in &reading.inputs {
            if let Some(bytes) = input.lag_bytes {
                self.sample(&[("input", &input.input)], bytes);
            }
        }
        self.family(
            "certsift_input_lag_seconds",
            Kind::Gauge,
            "Seconds between now and the newest record that was read of an input that has more; 0 without more.",
        );
        for input in &reading.inputs {
            if let Some(seconds) = input.lag_seconds(wall) {
                self.sample(&[("input", &input.input)], seconds);
            }
        }
        self.family(
            "certsift_input_newest_record_timestamp_seconds",
            Kind::Gauge,
            "The largest time of the records of an input.",
        );
        for input in &reading.inputs {
            if let Some(newest) = input.newest {
                self.sample(&[("input", &input.input)], newest.0 as f64 / 1e9);
            }
        }
        self.family("certsift_files", Kind::Gauge, "Files of the inputs, by what they are to certsift.");
        for state in FileState::ALL {
            self.sample(&[("state", state.name())], reading.files.get(&state).copied().unwrap_or_default());
        }
        self.gauge(
            "certsift_connections",
            "Connections to sockets, and standard input, that are open.",
            reading.connections,
        );
        self.counter("certsift_files_ended_total", "Files that were read to their end.", reading.tail.files_ended);
        self.counter("certsift_file_truncations_total", "Files whose content was replaced.", reading.tail.truncations);
        self.counter(
            "certsift_lost_bytes_total",
            "Bytes of inputs that were gone before they could be read.",
            reading.tail.lost_bytes,
        );
        self.counter("certsift_oversize_lines_total", "Lines longer than the bound.", reading.tail.oversize_lines);
        self.gauge("certsift_sessions_waiting", "Sessions that wait for their certificate.", reading.held);
        self.family("certsift_evictions_total", Kind::Counter, "Entries forgotten to stay within bounds.");
        self.sample(&[("table", "history")], reading.evicted);
        self.sample(&[("table", "alerts")], alerts_evicted);
    }

    fn committed(&mut self, Numbers { commits, .. }: &Numbers, busy: Option<Duration>) {
        self.family("certsift_commit_duration_seconds", Kind::Histogram, "How long commits took.");
        let mut up_to = 0;
        for (bound, count) in COMMIT_BUCKETS.iter().zip(commits.buckets) {
            up_to += count;
            self.part("_bucket", &[("le", &bound.to_string())], up_to);
        }
        self.part("_bucket", &[("le", "+Inf")], commits.count);
        self.part("_sum", &[], commits.sum.as_secs_f64());
        self.part("_count", &[], commits.count);
        self.gauge(
            "certsift_last_commit_timestamp_seconds",
            "When the last commit was done; 0 before the first.",
            commits.last.map_or(0.0, unix_seconds),
        );
        self.gauge(
            "certsift_commit_under_way_seconds",
            "How long the commit that is under way has taken so far; 0 without one.",
            busy.unwrap_or_default().as_secs_f64(),
        );
    }

    fn sunk(&mut self, numbers: &Numbers, retries: u64, network: Option<&NetworkCounts>, waiting: usize) {
        self.gauge(
            "certsift_sink_queued",
            "Chunks and commits that the sink has not taken yet.",
            numbers.reading.queued,
        );
        self.gauge("certsift_journal_bytes", "Bytes of journal since the last commit began.", numbers.journal_bytes);
        self.family("certsift_sink_retries_total", Kind::Counter, "Times that something was written once more.");
        self.sample(&[("sink", "file")], retries);
        if let Some(network) = network {
            self.sample(&[("sink", "network")], network.retries.load(Ordering::Relaxed));
        }
        self.gauge("certsift_outputs_waiting", "Outputs that have taken nothing for a while.", waiting);
    }

    fn sent(&mut self, network: Option<&NetworkCounts>) {
        type Count = fn(&NetworkCounts) -> &AtomicU64;
        let families: [(&'static str, Kind, &str, Count); 5] = [
            ("certsift_network_requests_total", Kind::Counter, "Requests to a server, with those sent again.", |it| {
                &it.requests
            }),
            ("certsift_network_sent_bytes_total", Kind::Counter, "Bytes of their bodies.", |it| &it.bytes),
            ("certsift_network_lines_taken_total", Kind::Counter, "Lines that a server has taken.", |it| &it.taken),
            ("certsift_network_lines_rejected_total", Kind::Counter, "Lines that a server will never take.", |it| {
                &it.rejected
            }),
            ("certsift_network_lines_in_flight", Kind::Gauge, "Lines on their way to a server.", |it| &it.in_flight),
        ];
        for (name, kind, help, count) in families {
            self.family(name, kind, help);
            // Without a server there is nothing to alert on.
            if let Some(network) = network {
                self.sample(&[], count(network).load(Ordering::Relaxed));
            }
        }
    }

    fn known(&mut self, Numbers { feeds, .. }: &Numbers, now: SystemTime) {
        let wall = event_time(now);
        self.family("certsift_feed_age_seconds", Kind::Gauge, "Time since the file of a feed or list was changed.");
        for feed in feeds {
            if let Some(modified) = feed.modified {
                self.sample(&[("feed", &feed.feed)], seconds_between(modified, wall));
            }
        }
        self.family("certsift_feed_rows", Kind::Gauge, "Rows of a feed or list that are in force.");
        for feed in feeds {
            self.sample(&[("feed", &feed.feed)], feed.rows);
        }
        self.family(
            "certsift_feed_failed",
            Kind::Gauge,
            "1 where the file of a feed or list cannot be used as it is: nothing of it, or what was before, is in force.",
        );
        for feed in feeds {
            self.sample(&[("feed", &feed.feed)], u8::from(feed.failed));
        }
    }

    fn asked(&mut self, numbers: &Numbers) {
        self.family("certsift_rdap_questions_total", Kind::Counter, "Questions to registries, by what came of them.");
        // Without asking there is nothing to alert on.
        if let Some(asked) = &numbers.asked {
            let outcomes = [
                ("dated", asked.dated),
                ("unknown", asked.unknown),
                ("refused", asked.refused),
                ("limited", asked.limited),
                ("failed", asked.failed),
                ("turned_away", asked.turned_away),
            ];
            for (outcome, count) in outcomes {
                self.sample(&[("outcome", outcome)], count);
            }
        }
    }

    fn process(&mut self) {
        let Some(process) = Process::look() else { return };
        self.gauge("process_resident_memory_bytes", "Memory that is in use.", process.resident_bytes);
        self.gauge("process_open_fds", "Descriptors that are open.", process.open_descriptors);
    }

    fn counter(&mut self, name: &'static str, help: &str, value: impl Display) {
        self.family(name, Kind::Counter, help);
        self.sample(&[], value);
    }

    fn gauge(&mut self, name: &'static str, help: &str, value: impl Display) {
        self.family(name, Kind::Gauge, help);
        self.sample(&[], value);
    }

    fn family(&mut self, name: &'static str, kind: Kind, help: &str) {
        self.family = name;
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing to memory does not fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.part("", labels, value);
    }

    /// A sample of a family that has several kinds of them.
    fn part(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(self.family);
        self.text.push_str(suffix);
        for (number, (name, value)) in labels.iter().enumerate() {
            self.text.push(if number == 0 { '{' } else { ',' });
            self.text.push_str(name);
            self.text.push_str("=\"");
            for character in value.chars() {
                match character {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    // Allowed, but terminals that show it might obey.
                    control if control.is_control() => self.text.push(char::REPLACEMENT_CHARACTER),
                    other => self.text.push(other),
                }
            }
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
}

fn event_time(time: SystemTime) -> EventTime {
    EventTime((unix_seconds(time) * 1e9) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::{InputNumbers, Reading};

    #[test]
    fn labels_are_escaped() {
        let metrics = Metrics::default();
        let mut reading = Reading::default();
        let input = "a\"b\\c\nd\u{1b}e".to_owned();
        reading.set_inputs([InputNumbers { input, lag_bytes: Some(7), newest: None }]);
        metrics.set_reading(reading, None);
        let text = metrics.exposition();
        let expected = "certsift_input_lag_bytes{input=\"a\\\"b\\\\c\\nd\u{fffd}e\"} 7\n";
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn buckets_add_up() {
        let metrics = Metrics::default();
        for millis in [1, 300, 60_000] {
            metrics.committed(Duration::from_millis(millis));
        }
        let text = metrics.exposition();
        for line in ["le=\"0.005\"} 1", "le=\"0.25\"} 1", "le=\"1\"} 2", "le=\"30\"} 2", "le=\"+Inf\"} 3"] {
            assert!(text.contains(&format!("certsift_commit_duration_seconds_bucket{{{line}\n")), "{line}: {text}");
        }
        assert!(text.contains("certsift_commit_duration_seconds_sum 60.301\n"));
    }
}
