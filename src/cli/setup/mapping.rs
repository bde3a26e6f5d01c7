//! Mappings of Elasticsearch and OpenSearch, made from the table of fields and from the types of the `certsift` object.

use serde_json::{Map, Value, json};

use super::elastic::Product;

/// Every field of Elastic Common Schema that is written, with its type.
const ECS: &str = include_str!("../../../schemas/siem/ecs.csv");

/// Longer strings stay in the document and are not indexed: a term of more than 32,766 bytes is refused with its document.
const MAX_TERM: u32 = 1024;

/// Deeper than sensors write; a deeper document is refused, and without saying so at 20.
const MAX_DEPTH: u32 = 128;

/// What sensors write under the same name and type in all their formats.
const RAW: [(&str, &str); 22] = [
    ("community_id", "keyword"),
    ("dest_ip", "ip"),
    ("dest_port", "long"),
    ("event_type", "keyword"),
    ("fingerprint", "keyword"),
    ("flow_id", "keyword"),
    ("id.orig_h", "ip"),
    ("id.orig_p", "long"),
    ("id.resp_h", "ip"),
    ("id.resp_p", "long"),
    ("ja3", "keyword"),
    ("ja3s", "keyword"),
    ("ja4", "keyword"),
    ("proto", "keyword"),
    ("server_name", "keyword"),
    ("src_ip", "ip"),
    ("src_port", "long"),
    ("tls.issuerdn", "keyword"),
    ("tls.sni", "keyword"),
    ("tls.subject", "keyword"),
    ("tls.version", "keyword"),
    ("uid", "keyword"),
];

/// The mappings of records in Elastic Common Schema.
pub(super) fn ecs(product: Product) -> Value {
    let mut properties = Map::new();
    for row in ECS.lines().filter(|line| !line.starts_with('#')).skip(1) {
        let mut cells = row.split(',');
        if let (Some(path), Some(kind)) = (cells.next(), cells.next()) {
            put(&mut properties, path, ecs_field(path, kind));
        }
    }
    put(&mut properties, "event.ingested", field("date"));
    let own = match product {
        // What sensors write beside what has a place: every key and value can be searched for, and none is a field.
        Product::Elasticsearch => {
            let flattened = json!({"type": "flattened", "ignore_above": MAX_TERM, "depth_limit": MAX_DEPTH});
            [("zeek", flattened.clone()), ("suricata", flattened)]
        }
        // Its counterpart refuses documents with long values. So it is kept, and searched for by the connection only.
        Product::OpenSearch => {
            let kept = |path: &str| {
                let mut inner = Map::new();
                put(&mut inner, path, field("keyword"));
                json!({"type": "object", "dynamic": false, "properties": inner})
            };
            [("zeek", kept("session_id")), ("suricata", kept("eve.flow_id"))]
        }
    };
    properties.extend(own.map(|(name, field)| (name.to_owned(), field)));
    finish(properties)
}

/// The mappings of records as they came. What is not named here is kept and not indexed: sensors write one name with
/// another type in another log.
pub(super) fn raw() -> Value {
    let mut properties = Map::new();
    put(&mut properties, "@timestamp", field("date"));
    put(&mut properties, "event.ingested", field("date"));
    for (path, kind) in RAW {
        put(&mut properties, path, field(kind));
    }
    finish(properties)
}

fn finish(mut properties: Map<String, Value>) -> Value {
    properties.insert("certsift".to_owned(), certsift());
    json!({"dynamic": false, "properties": properties})
}

/// Puts a field at its path; what it is in becomes objects.
fn put(properties: &mut Map<String, Value>, path: &str, field: Value) {
    let Some((outer, inner)) = path.split_once('.') else {
        properties.insert(path.to_owned(), field);
        return;
    };
    let outer = properties.entry(outer).or_insert_with(|| json!({"properties": {}}));
    if let Some(Value::Object(properties)) = outer.get_mut("properties") {
        put(properties, inner, field);
    }
}

fn ecs_field(path: &str, kind: &str) -> Value {
    match path {
        // A whole line.
        "event.original" => json!({"type": "keyword", "index": false, "doc_values": false}),
        _ => field(kind),
    }
}

fn field(kind: &str) -> Value {
    match kind {
        "keyword" => json!({"type": "keyword", "ignore_above": MAX_TERM}),
        kind => json!({"type": kind}),
    }
}

/// The mapping of the `certsift` object, by its types.
fn certsift() -> Value {
    let schemas = crate::encode::schemas();
    // It was made from types a moment ago.
    let schema: Value = schemas.first().and_then(|(_, text)| serde_json::from_str(text).ok()).unwrap_or_default();
    of_schema(&schema["properties"]["certsift"], &schema["$defs"])
}

fn of_schema(schema: &Value, definitions: &Value) -> Value {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap_or_default();
        return of_schema(&definitions[name], definitions);
    }
    if let Some(members) = schema["properties"].as_object() {
        let members = members.iter().map(|(name, schema)| (name.clone(), of_schema(schema, definitions)));
        return json!({"dynamic": false, "properties": members.collect::<Map<_, _>>()});
    }
    match schema["type"].as_str() {
        // A list is mapped as what it is of.
        Some("array") => of_schema(&schema["items"], definitions),
        Some("integer") => field("long"),
        Some("number") => field("float"),
        Some("boolean") => field("boolean"),
        _ if schema["format"].as_str().is_some_and(|format| format.starts_with("date")) => field("date"),
        _ => field("keyword"),
    }
}
