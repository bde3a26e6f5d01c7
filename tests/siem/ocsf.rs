//! OCSF, by the definitions that its release publishes: classes extend each other, attributes are those of the
//! dictionary.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde_json::Value;

pub(super) struct Schema {
    dictionary: Value,
    base: Definition,
    network_activity: Definition,
    objects: BTreeMap<String, Definition>,
}

#[derive(Default)]
struct Definition {
    attributes: BTreeMap<String, Value>,
    at_least_one: Vec<String>,
}

impl Schema {
    pub(super) fn read(folder: &Path) -> Self {
        let event = |name: &str| Definition::read(folder, &folder.join("events"), name);
        let mut objects = BTreeMap::new();
        for file in std::fs::read_dir(folder.join("objects")).unwrap() {
            let name = file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned();
            let definition = Definition::read(folder, &folder.join("objects"), &name);
            objects.insert(name, definition);
        }
        Self {
            dictionary: json(&folder.join("dictionary.json")),
            base: event("base_event"),
            network_activity: event("network/network_activity"),
            objects,
        }
    }

    /// Type of an attribute, whether it is a list, and whether it is required.
    pub(super) fn attribute(&self, path: &str) -> Option<(String, bool, String)> {
        let mut definition = &self.network_activity;
        let mut found = None;
        for name in path.split('.') {
            let attribute = definition.attributes.get(name)?;
            let general = &self.dictionary["attributes"][name];
            let kind = attribute["type"].as_str().or(general["type"].as_str())?;
            let is_array = general["is_array"] == true || attribute["is_array"] == true;
            let requirement = attribute["requirement"].as_str()?.to_owned();
            definition = self.objects.get(kind).unwrap_or(definition);
            found = Some((kind.to_owned(), is_array, requirement));
        }
        found
    }

    pub(super) fn check(&self, record: &Value) {
        let class = match record["class_uid"].as_u64() {
            Some(4001) => &self.network_activity,
            Some(0) => &self.base,
            other => panic!("class {other:?}: {record}"),
        };
        let [class_uid, activity, kind] =
            ["class_uid", "activity_id", "type_uid"].map(|name| record[name].as_u64().unwrap());
        assert_eq!(kind, class_uid * 100 + activity);
        assert_eq!(record["category_uid"].as_u64().unwrap(), class_uid / 1000);
        self.check_object("event", class, record, record);
    }

    fn check_object(&self, path: &str, definition: &Definition, object: &Value, record: &Value) {
        let members = object.as_object().unwrap_or_else(|| panic!("{path} is no object: {record}"));
        for (name, attribute) in &definition.attributes {
            if attribute["requirement"] == "required" && attribute["profile"].is_null() {
                assert!(members.contains_key(name), "{path}.{name} is required: {record}");
            }
        }
        let one = &definition.at_least_one;
        assert!(one.is_empty() || one.iter().any(|name| members.contains_key(name)), "{path} lacks {one:?}: {record}");
        for (name, value) in members {
            let path = format!("{path}.{name}");
            let Some(attribute) = definition.attributes.get(name) else { panic!("{path} is no attribute: {record}") };
            let general = &self.dictionary["attributes"][name];
            assert!(general.is_object(), "{path} is not in the dictionary");
            let kind = attribute["type"].as_str().or(general["type"].as_str()).unwrap();
            let is_array = general["is_array"] == true || attribute["is_array"] == true;
            match value {
                Value::Array(values) => {
                    assert!(is_array, "{path} is a list: {record}");
                    values.iter().for_each(|value| self.check_value(&path, kind, value, record));
                }
                value => {
                    assert!(!is_array, "{path} is no list: {record}");
                    self.check_value(&path, kind, value, record);
                }
            }
            if path == "event.observables.type_id" {
                let types = self.dictionary["types"]["attributes"].as_object().unwrap();
                assert!(types.values().any(|kind| kind["observable"] == *value), "{path}: {record}");
            } else if name.ends_with("_id") {
                self.check_enumerated(&path, attribute, general, value, record);
            }
        }
    }

    fn check_enumerated(&self, path: &str, attribute: &Value, general: &Value, value: &Value, record: &Value) {
        let known: Vec<&String> =
            [attribute, general].iter().filter_map(|it| it["enum"].as_object()).flat_map(|it| it.keys()).collect();
        let value = value.to_string();
        assert!(known.is_empty() || known.contains(&&value), "{path} is {value}: {record}");
    }

    fn check_value(&self, path: &str, kind: &str, value: &Value, record: &Value) {
        if let Some(definition) = self.objects.get(kind) {
            // An object without attributes of its own may hold anything.
            if kind != "object" {
                self.check_object(path, definition, value, record);
            }
            return;
        }
        let types = &self.dictionary["types"]["attributes"];
        let root = types[kind]["type"].as_str().unwrap_or(kind);
        let text = || value.as_str().unwrap_or_else(|| panic!("{path} is no text: {record}"));
        match (kind, root) {
            ("json_t", _) => {}
            ("ip_t", _) => assert!(text().parse::<IpAddr>().is_ok(), "{path}: {record}"),
            ("port_t", _) => assert!(value.as_u64().is_some_and(|port| port <= 65_535), "{path}: {record}"),
            (_, "string_t") => drop(text()),
            (_, "integer_t" | "long_t") => assert!(value.is_i64() || value.is_u64(), "{path}: {record}"),
            (_, "float_t") => assert!(value.is_number(), "{path}: {record}"),
            (_, "boolean_t") => assert!(value.is_boolean(), "{path}: {record}"),
            (kind, root) => panic!("{path} is {kind}, a {root}"),
        }
    }
}

impl Definition {
    fn read(schema: &Path, folder: &Path, name: &str) -> Self {
        let file = folder.join(format!("{name}.json"));
        let own = json(&file);
        let mut definition = match own["extends"].as_str() {
            Some(parent) => Self::read(schema, &parent_folder(&file, parent), parent),
            None => Self::default(),
        };
        for (name, attribute) in own["attributes"].as_object().unwrap() {
            match (name.as_str(), attribute) {
                ("$include", Value::Array(included)) => {
                    for path in included {
                        let profile = json(&schema.join(path.as_str().unwrap()));
                        for (name, attribute) in profile["attributes"].as_object().unwrap() {
                            let mut attribute = attribute.clone();
                            attribute["profile"] = profile["name"].clone();
                            definition.add(name, &attribute);
                        }
                    }
                }
                _ => definition.add(name, attribute),
            }
        }
        if let Some(one) = own["constraints"]["at_least_one"].as_array() {
            definition.at_least_one = one.iter().map(|name| name.as_str().unwrap().to_owned()).collect();
        }
        definition
    }

    fn add(&mut self, name: &str, attribute: &Value) {
        let known = self.attributes.entry(name.to_owned()).or_insert_with(|| Value::Object(Default::default()));
        for (key, value) in attribute.as_object().unwrap() {
            known[key] = value.clone();
        }
    }
}

/// Classes lie in folders by category, and what they extend may lie above.
fn parent_folder(file: &Path, parent: &str) -> PathBuf {
    let holds = |folder: &&Path| folder.join(format!("{parent}.json")).exists();
    file.ancestors().skip(1).find(holds).unwrap().to_path_buf()
}

fn json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}
