//! Splunk: how events are read, and what their fields are called in the Common Information Model.

use super::{File, Setup, Together};

/// Lines of a file: fields are extracted where it is read, since the object stands at the end of long lines.
const FILE: &str = include_str!("files/props_file.conf");
/// Events of the HTTP Event Collector, which extracts nothing.
const COLLECTOR: &str = include_str!("files/props_collector.conf");
/// Fields of records as they came.
const RAW: &str = include_str!("files/props_raw.conf");
/// Fields of records in Elastic Common Schema.
const ECS: &str = include_str!("files/props_ecs.conf");
/// What sees fields of the event that were extracted before.
const NAMES: &str = "REPORT-certsift_names = certsift_subject_common_name, certsift_subject_organization, \
                     certsift_issuer_common_name, certsift_issuer_organization\n";

/// Source types, and what belongs to each.
const SOURCE_TYPES: [(&str, [&str; 4]); 6] = [
    ("certsift", [FILE, "TIMESTAMP_FIELDS = ts, timestamp\n", RAW, NAMES]),
    ("certsift:file:ecs", [FILE, "TIMESTAMP_FIELDS = @timestamp\n", ECS, ""]),
    ("certsift:file:ocsf", [FILE, "TIMESTAMP_FIELDS = time\nTIME_FORMAT = %s%3N\n", "", ""]),
    ("certsift:raw", [COLLECTOR, RAW, "", ""]),
    ("certsift:ecs", [COLLECTOR, ECS, "", ""]),
    ("certsift:ocsf", [COLLECTOR, "", "", ""]),
];

pub(super) fn setup() -> Setup {
    let stanzas: Vec<_> =
        SOURCE_TYPES.iter().map(|(name, settings)| format!("[{name}]\n{}", settings.concat())).collect();
    let mut files = vec![File { name: "props.conf", text: stanzas.join("\n").into() }];
    files.extend(
        [
            ("transforms.conf", include_str!("files/transforms.conf")),
            ("limits.conf", include_str!("files/limits.conf")),
            ("eventtypes.conf", include_str!("files/eventtypes.conf")),
            ("tags.conf", include_str!("files/tags.conf")),
        ]
        .map(|(name, text)| File { name, text: text.into() }),
    );
    let advice = "put the files into etc/apps/certsift/default of the search heads, and props.conf also where the output is read\n\
                  source types of a file: certsift (raw), certsift:file:ecs, certsift:file:ocsf\n\
                  of the HTTP Event Collector: certsift:raw, certsift:ecs, certsift:ocsf\n";
    Setup { files, together: Together::Commented, advice: advice.to_owned() }
}
