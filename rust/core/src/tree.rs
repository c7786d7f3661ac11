//! Which of many MQTT topic filters match a topic.
//!
//! Filters without wildcards are found by the hash of their text, the others by a trie over levels. Both lead to
//! few candidates, whose text then decides.

mod chunks;
mod few;
mod filter;
mod slots;
mod trie;

use std::collections::HashMap;

use foldhash::fast::RandomState;

pub use filter::{check_topic, FilterError};

use filter::{matches, Parsed};
use slots::{Slots, NONE};
use trie::{hash, Trie};

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
    slots: Slots<V>,
    /// From a filter's hash to the first slot of its chain.
    exact: HashMap<u32, u32, RandomState>,
    trie: Trie,
}

impl<V> Default for TopicTree<V> {
    fn default() -> Self {
        Self {
            slots: Slots::default(),
            exact: HashMap::default(),
            trie: Trie::default(),
        }
    }
}

impl<V> TopicTree<V> {
    /// Puts a value behind a filter.
    ///
    /// # Errors
    /// If MQTT does not allow the filter, or if the filters' text would take more than 512 MiB.
    pub fn insert(&mut self, filter: &str, value: V) -> Result<(), FilterError> {
        let parsed = Parsed::new(filter)?;
        let slot = self
            .slots
            .add(filter, filter.len() - parsed.filter.len(), value)?;
        if parsed.wildcard {
            self.trie.insert(&mut self.slots, slot);
        } else if let Some(first) = self.exact.insert(self.hash(parsed.filter), slot) {
            self.slots.chain(slot, first);
        }
        Ok(())
    }

    /// Takes away, of the values behind this filter (and group) that `wanted` accepts, the one that came last.
    ///
    /// # Errors
    /// If MQTT does not allow the filter.
    pub fn remove(
        &mut self,
        filter: &str,
        mut wanted: impl FnMut(&V) -> bool,
    ) -> Result<Option<V>, FilterError> {
        let parsed = Parsed::new(filter)?;
        let Some(first) = self.find(&parsed) else {
            return Ok(None);
        };
        let slot = self.slots.chained(first).find(|slot| {
            let (text, value) = self.slots.get(*slot);
            text == filter && value.is_some_and(&mut wanted)
        });
        let Some(slot) = slot else {
            return Ok(None);
        };
        let (now_first, value) = self.slots.remove(slot, first);
        if now_first == first {
            return Ok(value);
        }
        if parsed.wildcard {
            self.trie.replace(parsed.filter, now_first);
        } else if now_first == NONE {
            self.exact.remove(&self.hash(parsed.filter));
            if self.exact.is_empty() {
                self.exact = HashMap::default();
            }
        } else {
            self.exact.insert(self.hash(parsed.filter), now_first);
        }
        Ok(value)
    }

    /// Calls `found` with each value behind this very filter (and group), the one that came last first.
    ///
    /// # Errors
    /// If MQTT does not allow the filter.
    pub fn values(&self, filter: &str, mut found: impl FnMut(&V)) -> Result<(), FilterError> {
        let first = self.find(&Parsed::new(filter)?);
        for slot in first.into_iter().flat_map(|first| self.slots.chained(first)) {
            match self.slots.get(slot) {
                (text, Some(value)) if text == filter => found(value),
                _ => {}
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
        if !self.exact.is_empty() {
            if let Some(first) = self.exact.get(&self.hash(topic)) {
                for slot in self.slots.chained(*first) {
                    match self.slots.filter(slot) {
                        (filter, Some(value)) if filter == topic => found(value),
                        _ => {}
                    }
                }
            }
        }
        self.trie.candidates(topic, |first| {
            for slot in self.slots.chained(first) {
                match self.slots.filter(slot) {
                    (filter, Some(value)) if matches(filter, topic) => found(value),
                    _ => {}
                }
            }
        });
        Ok(())
    }

    /// Every value, in no particular order.
    pub fn all(&self) -> impl Iterator<Item = &V> {
        self.slots.all()
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first slot of the chain in which this filter would be.
    fn find(&self, parsed: &Parsed<'_>) -> Option<u32> {
        if parsed.wildcard {
            self.trie.find(parsed.filter)
        } else {
            self.exact.get(&self.hash(parsed.filter)).copied()
        }
    }

    fn hash(&self, filter: &str) -> u32 {
        hash(self.exact.hasher(), filter.as_bytes())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{matches, TopicTree};

    /// All filters and topics of up to four levels.
    fn all_of(levels: &[&str]) -> Vec<String> {
        let mut texts: Vec<String> = levels.iter().map(|&level| level.into()).collect();
        for _ in 1..4 {
            let longer = texts
                .iter()
                .flat_map(|text| levels.iter().map(move |level| format!("{text}/{level}")));
            texts = longer.chain(levels.iter().map(|&level| level.into())).collect();
        }
        texts
    }

    /// The hashes have two bits here, so that most of these collide.
    #[test]
    fn equal_hashes_do_not_mix_filters_up() {
        let mut tree = TopicTree::default();
        let mut filters = all_of(&["a", "bb", "+", "ccc", "", "é"]);
        filters.retain(|filter| !filter.is_empty());
        for filter in &filters {
            tree.insert(filter, filter.clone()).unwrap();
        }
        let topics = all_of(&["a", "bb", "ccc", "d"]);
        while !filters.is_empty() {
            assert_eq!(tree.len(), filters.len());
            for topic in topics.iter().step_by(filters.len().min(37)) {
                let mut found: Vec<String> = Vec::new();
                tree.matches(topic, |filter| found.push(filter.clone())).unwrap();
                found.sort_unstable();
                let mut expected: Vec<&String> =
                    filters.iter().filter(|filter| matches(filter, topic)).collect();
                expected.sort_unstable();
                assert_eq!(found.iter().collect::<Vec<_>>(), expected);
            }
            let mut n = 0;
            filters.retain(|filter| {
                n += 1;
                n % 3 != 0 && n != 1 || {
                    assert_eq!(tree.remove(filter, |_| true), Ok(Some(filter.clone())));
                    false
                }
            });
        }
        assert!(tree.trie.nodes() == 1 && tree.exact.is_empty());
    }

    /// What a tree keeps must depend on the filters that it has, not on those that came and went.
    #[test]
    fn filters_that_come_and_go_leave_nothing_behind() {
        let mut tree = TopicTree::default();
        let stays = |n: usize| format!("plant/{n}/+/celsius");
        for n in 0..100 {
            tree.insert(&stays(n), n).unwrap();
        }
        let before = tree.trie.nodes();
        let mut most = 0;
        for n in 0..50_000_usize {
            for filter in [
                format!("site/{n}/+/x"),
                format!("site/{n}/+/y"),
                format!("site/{n}/z"),
            ] {
                tree.insert(&filter, n).unwrap();
            }
            if let Some(old) = n.checked_sub(10) {
                for end in ["+/x", "+/y", "z"] {
                    assert_eq!(tree.remove(&format!("site/{old}/{end}"), |_| true), Ok(Some(old)));
                }
            }
            most = most.max(tree.slots.text_len());
        }
        assert!(most < 20_000, "{most}");
        assert!(tree.trie.nodes() < before + 100);
        assert!(tree.exact.len() <= 10 && tree.slots.places() < 200);
        for n in 0..100 {
            assert_eq!(tree.remove(&stays(n), |_| true), Ok(Some(n)));
        }
        for n in 49_990..50_000 {
            for end in ["+/x", "+/y", "z"] {
                tree.remove(&format!("site/{n}/{end}"), |_| true).unwrap();
            }
        }
        assert!(tree.is_empty());
        assert_eq!(
            (tree.slots.text_len(), tree.slots.places(), tree.trie.nodes()),
            (0, 0, 1)
        );
    }
}
