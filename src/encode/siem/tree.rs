//! A document whose fields are put by their path, as the schemas of SIEMs list them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// An object under construction.
#[derive(Debug, Default)]
pub(super) struct Tree<'a>(BTreeMap<Cow<'a, str>, Node<'a>>);

/// A value.
#[derive(Debug)]
pub(super) enum Node<'a> {
    Text(Cow<'a, str>),
    Number(i64),
    Flag(bool),
    List(Vec<Self>),
    /// JSON as it came.
    Raw(&'a RawValue),
    Object(Tree<'a>),
}

impl<'a> Tree<'a> {
    /// Puts a value where there is one; an empty list is none.
    pub(super) fn put<N: Into<Node<'a>>>(&mut self, path: &'a str, value: Option<N>) {
        match value.map(Into::into) {
            None => {}
            Some(Node::List(list)) if list.is_empty() => {}
            Some(node) => {
                self.insert(path, node);
            }
        }
    }

    /// Puts a value at a path of a sensor's own. Where the path leads through a value, or a value is there already, the
    /// whole path is the name: nothing is lost, and nothing is an object here and a value there.
    pub(super) fn put_original(&mut self, path: Cow<'a, str>, node: Node<'a>) {
        let left = match path {
            Cow::Borrowed(path) => self.insert(path, node),
            Cow::Owned(_) => Some(node),
        };
        if let Some(node) = left {
            self.0.insert(Cow::Owned(path.replace('.', "_")), node);
        }
    }

    /// Puts the values of another tree at a path, beside those that are there.
    pub(super) fn merge(&mut self, path: &'a str, other: Self) {
        let mut at = self;
        for name in path.split('.') {
            let node = at.0.entry(Cow::Borrowed(name)).or_insert_with(|| Node::Object(Self::default()));
            let Node::Object(tree) = node else { return };
            at = tree;
        }
        at.0.extend(other.0);
    }

    /// Whether nothing was put.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Gives the value back where it finds no place.
    fn insert(&mut self, path: &'a str, node: Node<'a>) -> Option<Node<'a>> {
        let Some((outer, inner)) = path.split_once('.') else {
            return match self.0.entry(Cow::Borrowed(path)) {
                std::collections::btree_map::Entry::Occupied(_) => Some(node),
                std::collections::btree_map::Entry::Vacant(free) => {
                    free.insert(node);
                    None
                }
            };
        };
        let outer = self.0.entry(Cow::Borrowed(outer)).or_insert_with(|| Node::Object(Self::default()));
        match outer {
            Node::Object(tree) => tree.insert(inner, node),
            _ => Some(node),
        }
    }
}

impl Serialize for Tree<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(&self.0)
    }
}

impl Serialize for Node<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Number(number) => serializer.serialize_i64(*number),
            Self::Flag(flag) => serializer.serialize_bool(*flag),
            Self::List(list) => serializer.collect_seq(list),
            Self::Raw(raw) => raw.serialize(serializer),
            Self::Object(tree) => tree.serialize(serializer),
        }
    }
}

impl<'a> From<&'a str> for Node<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Node<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl<'a> From<Cow<'a, str>> for Node<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Node<'_> {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<u32> for Node<'_> {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<u16> for Node<'_> {
    fn from(number: u16) -> Self {
        Self::Number(number.into())
    }
}

impl From<bool> for Node<'_> {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl<'a> From<&'a RawValue> for Node<'a> {
    fn from(raw: &'a RawValue) -> Self {
        Self::Raw(raw)
    }
}

impl<'a> From<Tree<'a>> for Node<'a> {
    fn from(tree: Tree<'a>) -> Self {
        Self::Object(tree)
    }
}

impl<'a, T: Into<Self>> From<Vec<T>> for Node<'a> {
    fn from(list: Vec<T>) -> Self {
        Self::List(list.into_iter().map(Into::into).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_objects_and_nothing_gets_lost() {
        let mut tree = Tree::default();
        tree.put("a.b.c", Some("x"));
        tree.put("a.d", Some(1_i64));
        tree.put("a.none", None::<&str>);
        tree.put("a.empty", Some(Vec::<&str>::new()));
        tree.put_original("a.d.e".into(), Node::from(true));
        tree.put_original("a.b".into(), Node::from("y"));
        let text = serde_json::to_string(&tree).unwrap();
        assert_eq!(text, r#"{"a":{"b":{"c":"x"},"d":1},"a_b":"y","a_d_e":true}"#);
    }
}
