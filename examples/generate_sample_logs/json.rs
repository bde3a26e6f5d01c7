//! A JSON object whose keys stay in the order in which they are put, since that is what makes a log line look right.

use anyhow::Result;

/// An object that grows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Object(String);

impl Object {
    /// A string.
    pub(crate) fn text(&mut self, key: &str, value: &str) -> Result<&mut Self> {
        let value = serde_json::to_string(value)?;
        self.raw(key, &value)
    }

    /// A list of strings.
    pub(crate) fn texts<T: serde::Serialize>(&mut self, key: &str, values: &[T]) -> Result<&mut Self> {
        let values = serde_json::to_string(values)?;
        self.raw(key, &values)
    }

    /// A number, a boolean, or another object: JSON already.
    pub(crate) fn raw(&mut self, key: &str, json: &str) -> Result<&mut Self> {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(&serde_json::to_string(key)?);
        self.0.push(':');
        self.0.push_str(json);
        Ok(self)
    }

    /// The finished text.
    pub(crate) fn finish(&self) -> String {
        format!("{{{}}}", self.0)
    }
}
