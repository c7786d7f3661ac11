//! Which of many MQTT topic filters match a topic.
//!
//! Filters without wildcards sit in a hash map. The others are a trie over levels; each level is a number, and a
//! run of levels that does not branch is one node.

mod filter;
mod node;
mod segments;

use std::collections::HashMap;

use foldhash::fast::RandomState;

pub use filter::{check_topic, FilterError};

use filter::Parsed;
use node::Trie;
use segments::Segments;

/// A value and the share group that its filter named.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry<V> {
    group: Option<Box<str>>,
    value: V,
}

/// Values behind MQTT 5 topic filters.
///
/// A shared filter (`$share/group/filter`) matches as its filter does; the group only tells it from others when
/// it is removed. The same value may stand behind a filter more than once.
///
/// ```
/// let mut tree = purista_core::TopicTree::default();
/// tree.insert("plant/+/celsius", 1)?;
/// tree.insert("$share/g/plant/#", 2)?;
/// tree.insert("plant/a/celsius", 3)?;
/// let mut found = Vec::new();
/// tree.matches("plant/a/celsius", |value| found.push(*value))?;
/// found.sort();
/// assert_eq!(found, [1, 2, 3]);
/// assert!(tree.remove("plant/+/celsius", |value| *value == 1)?.is_some());
/// # Ok::<_, purista_core::tree::FilterError>(())
/// ```
#[derive(Debug)]
pub struct TopicTree<V> {
    exact: HashMap<Box<str>, Vec<Entry<V>>, RandomState>,
    trie: Trie<Entry<V>>,
    segments: Segments,
    len: usize,
}

impl<V> Default for TopicTree<V> {
    fn default() -> Self {
        Self {
            exact: HashMap::default(),
            trie: Trie::default(),
            segments: Segments::default(),
            len: 0,
        }
    }
}

impl<V> TopicTree<V> {
    /// Puts a value behind a filter.
    ///
    /// # Errors
    /// If MQTT does not allow the filter.
    pub fn insert(&mut self, filter: &str, value: V) -> Result<(), FilterError> {
        let parsed = Parsed::new(filter)?;
        let entry = Entry {
            group: parsed.group.map(Into::into),
            value,
        };
        self.len += 1;
        if parsed.wildcard {
            let path: Vec<u32> = parsed
                .filter
                .split('/')
                .map(|level| self.segments.acquire(level))
                .collect();
            push(self.trie.values_mut(&path), entry);
        } else if let Some(entries) = self.exact.get_mut(parsed.filter) {
            push(entries, entry);
        } else {
            self.exact.insert(parsed.filter.into(), vec![entry]);
        }
        Ok(())
    }

    /// Takes away the first value behind this filter that `wanted` accepts.
    ///
    /// # Errors
    /// If MQTT does not allow the filter.
    pub fn remove(
        &mut self,
        filter: &str,
        mut wanted: impl FnMut(&V) -> bool,
    ) -> Result<Option<V>, FilterError> {
        let parsed = Parsed::new(filter)?;
        let mut take = |entries: &mut Vec<Entry<V>>| {
            let found = entries
                .iter()
                .position(|e| e.group.as_deref() == parsed.group && wanted(&e.value))?;
            Some(entries.remove(found).value)
        };
        let taken = if parsed.wildcard {
            let Some(path) = self.segments.path(parsed.filter) else {
                return Ok(None);
            };
            let taken = self.trie.remove(&path, take);
            if taken.is_some() {
                parsed
                    .filter
                    .split('/')
                    .for_each(|level| self.segments.release(level));
            }
            taken
        } else {
            let Some(entries) = self.exact.get_mut(parsed.filter) else {
                return Ok(None);
            };
            let taken = take(entries);
            if entries.is_empty() {
                self.exact.remove(parsed.filter);
            }
            taken
        };
        self.len -= usize::from(taken.is_some());
        Ok(taken)
    }

    /// Calls `found` with each value behind this very filter (and group).
    ///
    /// # Errors
    /// If MQTT does not allow the filter.
    pub fn values(&self, filter: &str, mut found: impl FnMut(&V)) -> Result<(), FilterError> {
        let parsed = Parsed::new(filter)?;
        let entries = if parsed.wildcard {
            self.segments
                .path(parsed.filter)
                .and_then(|path| self.trie.values(&path))
        } else {
            self.exact.get(parsed.filter)
        };
        for entry in entries.into_iter().flatten() {
            if entry.group.as_deref() == parsed.group {
                found(&entry.value);
            }
        }
        Ok(())
    }

    /// Calls `found` with the value of each filter that matches this topic, in no particular order.
    ///
    /// # Errors
    /// If MQTT does not allow the topic.
    pub fn matches(&self, topic: &str, mut found: impl FnMut(&V)) -> Result<(), FilterError> {
        check_topic(topic)?;
        for entry in self.exact.get(topic).into_iter().flatten() {
            found(&entry.value);
        }
        if !self.trie.is_empty() {
            let path: Vec<u32> = topic.split('/').map(|level| self.segments.find(level)).collect();
            self.trie
                .matches(&path, topic.starts_with('$'), |entry| found(&entry.value));
        }
        Ok(())
    }

    /// Every value, in no particular order.
    pub fn all(&self) -> impl Iterator<Item = &V> {
        self.exact
            .values()
            .flatten()
            .chain(self.trie.all())
            .map(|entry| &entry.value)
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// Most filters have one value: `Vec::push` would make room for four.
fn push<V>(entries: &mut Vec<Entry<V>>, entry: Entry<V>) {
    if entries.is_empty() {
        entries.reserve_exact(1);
    }
    entries.push(entry);
}
