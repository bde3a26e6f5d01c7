//! The schemas of what leaves, from the types that write it.

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema};
use serde_json::Value;

use super::dead_letter::DeadLetterLine;
use super::object::EnrichedRecord;

/// The schemas, each with the name of its file in `schemas/`.
pub fn schemas() -> [(&'static str, String); 2] {
    [
        ("enriched.schema.json", text_of::<EnrichedRecord>()),
        ("dead_letter.schema.json", text_of::<DeadLetterLine<'static>>()),
    ]
}

fn text_of<T: JsonSchema>() -> String {
    let settings = SchemaSettings::draft2020_12().for_serialize().with_transform(NeverNull);
    let schema = settings.into_generator().into_root_schema_for::<T>();
    // A schema is a tree of strings and numbers, which always can be written.
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

/// A key without a value is left out: nothing is ever null.
#[derive(Clone)]
struct NeverNull;

impl Transform for NeverNull {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        if let Some(Value::Array(types)) = schema.get_mut("type") {
            types.retain(|name| name != "null");
            if let [single] = &types[..] {
                let single = single.clone();
                schema.insert("type".to_owned(), single);
            }
        }
        if let Some(Value::Array(choices)) = schema.get_mut("anyOf") {
            choices.retain(|choice| choice.get("type").is_none_or(|name| name != "null"));
            if let [Value::Object(single)] = &choices[..] {
                let single = single.clone();
                schema.remove("anyOf");
                for (key, value) in single {
                    schema.insert(key, value);
                }
            }
        }
    }
}
