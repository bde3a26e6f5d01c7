//! The settings of a file one by one, for a person who wants to know what it changes.

use toml::{Table, Value};

use super::raw::RawConfig;

/// One setting of a configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setting {
    /// Its key, such as `history.learning.days`; sensors are counted, `input[1].paths`.
    pub key: String,
    /// Its value, as TOML.
    pub value: String,
}

/// The settings of a configuration that differ from the default; none where the text cannot be read.
pub fn changed_settings(text: &str) -> Vec<Setting> {
    let Ok(table) = text.parse::<Table>() else { return Vec::new() };
    let mut settings = Vec::new();
    for (key, value) in &table {
        collect(&mut vec![key.clone()], value, &mut settings);
    }
    settings
}

fn collect(path: &mut Vec<String>, value: &Value, settings: &mut Vec<Setting>) {
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                path.push(key.clone());
                collect(path, value, settings);
                path.pop();
            }
        }
        // A sensor has no default.
        Value::Array(tables) if tables.iter().all(Value::is_table) && !tables.is_empty() => {
            for (number, table) in (1_u32..).zip(tables) {
                for (key, value) in table.as_table().into_iter().flatten() {
                    let key = format!("{}[{number}].{key}", path.join("."));
                    settings.push(Setting { key, value: value.to_string() });
                }
            }
        }
        value if is_default(path, value) => {}
        value => settings.push(Setting { key: path.join("."), value: value.to_string() }),
    }
}

/// Whether a configuration with nothing but this setting is the default one.
fn is_default(path: &[String], value: &Value) -> bool {
    let mut alone = value.clone();
    for key in path.iter().rev() {
        alone = Value::Table(Table::from_iter([(key.clone(), alone)]));
    }
    alone.try_into::<RawConfig>().is_ok_and(|config| config == RawConfig::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_named_whatever_its_spelling() {
        let text = "[join]\nwait = \"5000ms\"\ncarry = \"3d\"\n[history]\nlearning = { days = 7, clients = 6 }\n\
            [[input]]\npaths = [\"a\"]\n[output]\ndetail = \"auto\"\n";
        let mut found: Vec<_> =
            changed_settings(text).into_iter().map(|it| format!("{}={}", it.key, it.value)).collect();
        found.sort();
        assert_eq!(found, ["history.learning.clients=6", "input[1].paths=[\"a\"]", "join.carry=\"3d\""]);
    }
}
