//! The members of a JSON object, taken one by one by who knows them; what nobody takes remains.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::str::FromStr;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::tree::{Node, Tree};
use crate::model::EventTime;

/// What an object holds; of a repeated key, the last value.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Members<'a>(#[serde(borrow)] BTreeMap<Key<'a>, &'a RawValue>);

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Members<'a> {
    /// The members of the object that a text is; `None` where it is none.
    pub(super) fn of(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// A value as it came.
    pub(super) fn take(&mut self, key: &'static str) -> Option<&'a RawValue> {
        self.0.remove(&Key(Cow::Borrowed(key)))
    }

    /// A string. What is none remains; likewise below.
    pub(super) fn text(&mut self, key: &'static str) -> Option<Cow<'a, str>> {
        self.typed::<Key<'a>>(key).map(|text| text.0)
    }

    /// A number, or a string that can be read.
    pub(super) fn parsed<T: FromStr>(&mut self, key: &'static str) -> Option<T> {
        let raw = self.0.get(&Key(Cow::Borrowed(key)))?;
        let value = raw.get().trim_matches('"').parse().ok()?;
        self.take(key);
        Some(value)
    }

    /// A time, in any of the forms that sensors write.
    pub(super) fn time(&mut self, key: &'static str) -> Option<EventTime> {
        let text = self.0.get(&Key(Cow::Borrowed(key)))?.get().trim_matches('"');
        let time = EventTime::parse_iso8601(text).or_else(|| EventTime::parse_epoch(text))?;
        self.take(key);
        Some(time)
    }

    /// True or false.
    pub(super) fn flag(&mut self, key: &'static str) -> Option<bool> {
        self.typed(key)
    }

    /// A list of strings.
    pub(super) fn texts(&mut self, key: &'static str) -> Vec<Cow<'a, str>> {
        let list: Option<Vec<Key<'a>>> = self.typed(key);
        list.unwrap_or_default().into_iter().map(|text| text.0).collect()
    }

    /// The string of a list that holds one.
    pub(super) fn only_text(&mut self, key: &'static str) -> Option<Cow<'a, str>> {
        let raw = self.0.get(&Key(Cow::Borrowed(key)))?;
        let [Key(text)] = serde_json::from_str(raw.get()).ok()?;
        self.take(key);
        Some(text)
    }

    /// Gives what is left under a key another name: what a sensor writes otherwise than it does must not be of another type
    /// in the place of what it does.
    pub(super) fn set_aside(&mut self, key: &'static str, name: &'static str) {
        if let Some(raw) = self.take(key) {
            self.0.insert(Key(Cow::Borrowed(name)), raw);
        }
    }

    /// An object.
    pub(super) fn object(&mut self, key: &'static str) -> Option<Self> {
        self.typed(key)
    }

    /// Puts what remains into a tree, under a name. Sensors write names with dots or objects in objects: both become
    /// objects.
    pub(super) fn remain(self, within: &'a str, tree: &mut Tree<'a>) {
        let mut original = Tree::default();
        for (Key(key), raw) in self.0 {
            original.put_original(key, Node::Raw(raw));
        }
        if !original.is_empty() {
            tree.merge(within, original);
        }
    }

    fn typed<T: Deserialize<'a>>(&mut self, key: &'static str) -> Option<T> {
        let raw = self.0.get(&Key(Cow::Borrowed(key)))?;
        let value = serde_json::from_str(raw.get()).ok()?;
        self.take(key);
        Some(value)
    }
}
