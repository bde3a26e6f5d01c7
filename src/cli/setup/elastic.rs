//! Elasticsearch and OpenSearch: what a data stream needs so that every document is taken and every field has its type.

use serde_json::{Value, json};

use super::{File, Setup, Together, mapping};

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// For OpenSearch, which has other types
    #[arg(long)]
    opensearch: bool,
    /// The schema that records leave in, as `output.format`
    #[arg(long, value_enum, default_value_t = Format::Ecs)]
    format: Format,
}

/// Schemas that can be indexed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum Format {
    Ecs,
    Raw,
}

/// Which of the two it is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Product {
    Elasticsearch,
    OpenSearch,
}

pub(super) fn setup(arguments: &Arguments) -> Setup {
    let product = if arguments.opensearch { Product::OpenSearch } else { Product::Elasticsearch };
    let (name, pattern, mappings, pipeline) = match arguments.format {
        Format::Ecs => ("certsift", "logs-certsift-*", mapping::ecs(product), vec![ingested()]),
        Format::Raw => ("certsift.raw", "logs-certsift.raw-*", mapping::raw(), raw_pipeline()),
    };
    let mappings_name = format!("{name}-mappings");
    let pipeline = json!({"description": "Records of certsift", "processors": pipeline});
    let component = json!({"template": {"mappings": mappings}, "_meta": {"description": "Fields of certsift"}});
    let index = json!({
        "index_patterns": [pattern],
        "data_stream": {},
        // Above the templates for `logs-*-*` that come with the product.
        "priority": 250,
        "composed_of": [mappings_name],
        "template": {"settings": {"index": {
            "default_pipeline": name,
            // One value that cannot be read costs itself, not its document.
            "mapping": {"ignore_malformed": true},
        }}},
        "_meta": {"description": "Data streams of certsift"},
    });
    let files = [("pipeline.json", pipeline), ("component_template.json", component), ("index_template.json", index)];
    let files = files.map(|(name, value)| File { name, text: text(&value).into() });
    Setup { files: files.into(), together: Together::Json, advice: advice(name, pattern) }
}

/// Alerts are looked for by the time at which documents came: a session's own time is that of its beginning.
fn ingested() -> Value {
    json!({"set": {"field": "event.ingested", "value": "{{{_ingest.timestamp}}}"}})
}

fn raw_pipeline() -> Vec<Value> {
    vec![
        // Zeek before 4.1 calls a certificate `id`, which is an object in the log of sessions.
        json!({"rename": {"field": "id", "target_field": "fuid", "if": "ctx.id instanceof String"}}),
        json!({"date": {"field": "ts", "formats": ["ISO8601", "UNIX"], "if": "ctx.ts != null", "ignore_failure": true}}),
        json!({"date": {
            "field": "timestamp", "formats": ["ISO8601"], "if": "ctx.timestamp != null", "ignore_failure": true
        }}),
        json!({"set": {"field": "@timestamp", "value": "{{{_ingest.timestamp}}}", "override": false}}),
        ingested(),
    ]
}

fn text(value: &Value) -> String {
    // A tree of strings, numbers and flags can always be written.
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}

fn advice(name: &str, pattern: &str) -> String {
    let put = "curl -fsS -X PUT -H 'Content-Type: application/json'";
    let stream = pattern.replace('*', "default");
    format!(
        "with the files in a folder (--output DIR), in this order; beginning again changes nothing:\n\
         {put} \"$SERVER/_ingest/pipeline/{name}\" --data-binary @DIR/pipeline.json\n\
         {put} \"$SERVER/_component_template/{name}-mappings\" --data-binary @DIR/component_template.json\n\
         {put} \"$SERVER/_index_template/{name}\" --data-binary @DIR/index_template.json\n\
         then let the shipper create documents in {stream}, with certsift.id as _id\n"
    )
}
