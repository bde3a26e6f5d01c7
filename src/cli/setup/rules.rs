//! Rules that alert: what is high or above and no repetition at once, what is medium once a day.

use super::{File, Setup, Together};

pub(super) fn sigma() -> Setup {
    let files = [
        ("certsift_page.yml", include_str!("files/certsift_page.yml")),
        ("certsift_hunt.yml", include_str!("files/certsift_hunt.yml")),
    ];
    Setup {
        files: files.map(|(name, text)| File { name, text: text.into() }).into(),
        together: Together::Commented,
        advice: "fields are those of raw records and of ecs, which are the same here; convert them with sigma-cli\n"
            .to_owned(),
    }
}

pub(super) fn elastic() -> Setup {
    let text = include_str!("files/elastic_rules.ndjson").into();
    Setup {
        files: vec![File { name: "elastic_rules.ndjson", text }],
        together: Together::Alone,
        advice: "curl -fsS -X POST -H 'kbn-xsrf: true' -F file=@DIR/elastic_rules.ndjson \
                 \"$KIBANA/api/detection_engine/rules/_import?overwrite=true\"\n"
            .to_owned(),
    }
}

pub(super) fn splunk() -> Setup {
    Setup {
        files: vec![File { name: "savedsearches.conf", text: include_str!("files/savedsearches.conf").into() }],
        together: Together::Alone,
        advice:
            "put the file beside those of `certsift setup splunk`, whose event types it uses; name an action for each\n"
                .to_owned(),
    }
}
