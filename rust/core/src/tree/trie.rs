//! The filters with wildcards as a trie over levels, which are known by their hash.
//!
//! A branch ends where it holds one filter only: what is behind that is read from the filter's text. Two levels
//! with the same hash share a branch. So what a look-up comes to is a candidate, and the text decides. The walk
//! keeps its own stack: neither a deep trie nor a long topic can exhaust the thread's.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};

use foldhash::fast::RandomState;

use super::few::Few;
use super::slots::{Slots, NONE};

const ROOT: u32 = 0;
/// Marks the number of a chain of slots, as against that of a node.
const CHAIN: u32 = 1 << 31;

/// What a node leads to, each a node, a chain (marked with [`CHAIN`]), or [`NONE`].
#[derive(Debug, Clone, Copy)]
struct Node {
    plus: u32,
    hash: u32,
    /// The filters that end here. For a free node the next that is free.
    end: u32,
    /// How many edges lead on from here.
    edges: u32,
}

const EMPTY: Node = Node {
    plus: NONE,
    hash: NONE,
    end: NONE,
    edges: 0,
};

/// A way on from a node.
#[derive(Debug, Clone, Copy)]
enum Way {
    End,
    Plus,
    Hash,
    Edge(u32),
}

#[derive(Debug)]
pub struct Trie {
    nodes: Vec<Node>,
    /// From a node (upper half) and the hash of a level (lower half) to what comes next.
    edges: HashMap<u64, u32, RandomState>,
    free: u32,
}

impl Default for Trie {
    fn default() -> Self {
        Self {
            nodes: vec![EMPTY],
            edges: HashMap::default(),
            free: NONE,
        }
    }
}

impl Trie {
    /// Puts a slot at the place of its filter.
    pub fn insert<V>(&mut self, slots: &mut Slots<V>, slot: u32) {
        let (filter, _) = slots.filter(slot);
        let mut levels = filter.split('/');
        let mut others = None;
        let (mut at, mut depth) = (ROOT, 0);
        let (way, first) = loop {
            let way = self.way(levels.next());
            let next = self.get(at, way);
            if next == NONE {
                break (way, NONE);
            }
            if next & CHAIN == 0 {
                at = next;
            } else {
                let (other, _) = slots.filter(next & !CHAIN);
                if matches!(way, Way::End | Way::Hash) || other == filter {
                    break (way, next & !CHAIN);
                }
                // The other one moves down until a level tells the two apart.
                let others = others.get_or_insert_with(|| {
                    let mut others = other.split('/');
                    others.nth(depth);
                    others
                });
                let lower = self.add();
                self.set(at, way, lower);
                let way = self.way(others.next());
                self.set(lower, way, next);
                at = lower;
            }
            depth += 1;
        };
        slots.chain(slot, first);
        self.set(at, way, slot | CHAIN);
    }

    /// The first slot of the chain in which this filter would be.
    pub fn find(&self, filter: &str) -> Option<u32> {
        let mut levels = filter.split('/');
        let mut at = ROOT;
        while at & CHAIN == 0 {
            at = self.get(at, self.way(levels.next()));
        }
        (at != NONE).then_some(at & !CHAIN)
    }

    /// Makes `first` the first slot of the chain in which this filter is. [`NONE`] drops the chain, and with it the
    /// nodes that nobody needs any more.
    pub fn replace(&mut self, filter: &str, first: u32) {
        let mut levels = filter.split('/');
        let mut ways = Vec::new();
        let mut at = ROOT;
        while at & CHAIN == 0 {
            let way = self.way(levels.next());
            ways.push((at, way));
            at = self.get(at, way);
        }
        let mut next = if first == NONE { NONE } else { first | CHAIN };
        for (at, way) in ways.into_iter().rev() {
            self.set(at, way, next);
            let node = &mut self.nodes[at as usize];
            let used = node.edges > 0 || [node.plus, node.hash, node.end].iter().any(|to| *to != NONE);
            if used || at == ROOT {
                break;
            }
            node.end = self.free;
            self.free = at;
            next = NONE;
        }
        if self.is_empty() {
            *self = Self::default();
        }
    }

    /// Calls `found` with the first slot of each chain that may match a topic. Wildcards at the first level do not
    /// match a topic that begins with `$`.
    pub fn candidates(&self, topic: &str, mut found: impl FnMut(u32)) {
        if self.is_empty() {
            return;
        }
        let dollar = topic.starts_with('$');
        let mut levels = Levels {
            rest: Some(topic.as_bytes()),
            hashes: Few::default(),
            state: self.edges.hasher(),
        };
        // What is yet to be looked at: a node or chain, and the number of levels that lead to it.
        let mut open = Few::default();
        open.push((ROOT, 0_u32));
        while let Some((at, depth)) = open.pop() {
            if at & CHAIN != 0 {
                found(at & !CHAIN);
                continue;
            }
            let node = self.nodes[at as usize];
            let wild = !dollar || depth > 0;
            if node.hash != NONE && wild {
                found(node.hash & !CHAIN);
            }
            let Some(level) = levels.hash(depth as usize) else {
                if node.end != NONE {
                    found(node.end & !CHAIN);
                }
                continue;
            };
            if node.plus != NONE && wild {
                open.push((node.plus, depth + 1));
            }
            if node.edges > 0 {
                if let Some(next) = self.edges.get(&edge(at, level)) {
                    open.push((*next, depth + 1));
                }
            }
        }
    }

    /// How many nodes there are, free ones included.
    #[cfg(test)]
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    fn is_empty(&self) -> bool {
        let root = &self.nodes[ROOT as usize];
        root.edges == 0 && root.plus == NONE && root.hash == NONE
    }

    fn way(&self, level: Option<&str>) -> Way {
        match level {
            None => Way::End,
            Some("+") => Way::Plus,
            Some("#") => Way::Hash,
            Some(level) => Way::Edge(hash(self.edges.hasher(), level.as_bytes())),
        }
    }

    fn get(&self, at: u32, way: Way) -> u32 {
        let node = &self.nodes[at as usize];
        match way {
            Way::End => node.end,
            Way::Plus => node.plus,
            Way::Hash => node.hash,
            Way::Edge(level) => self.edges.get(&edge(at, level)).copied().unwrap_or(NONE),
        }
    }

    fn set(&mut self, at: u32, way: Way, to: u32) {
        let node = &mut self.nodes[at as usize];
        match way {
            Way::End => node.end = to,
            Way::Plus => node.plus = to,
            Way::Hash => node.hash = to,
            Way::Edge(level) if to == NONE => {
                node.edges -= u32::from(self.edges.remove(&edge(at, level)).is_some());
            }
            Way::Edge(level) => node.edges += u32::from(self.edges.insert(edge(at, level), to).is_none()),
        }
    }

    fn add(&mut self) -> u32 {
        if let Some(node) = self.nodes.get_mut(self.free as usize) {
            let index = self.free;
            self.free = node.end;
            *node = EMPTY;
            return index;
        }
        self.nodes.push(EMPTY);
        // There are fewer nodes than levels, whose number the slots keep below 2³¹.
        u32::try_from(self.nodes.len() - 1).unwrap_or(NONE)
    }
}

fn edge(at: u32, level: u32) -> u64 {
    u64::from(at) << 32 | u64::from(level)
}

/// The hash of some bytes in 32 bits; in the tests of this crate 2, so that they see collisions.
pub fn hash(state: &RandomState, bytes: &[u8]) -> u32 {
    let bits = if cfg!(test) { 2 } else { 32 };
    let mut hasher = state.build_hasher();
    hasher.write(bytes);
    u32::try_from(hasher.finish() >> (64 - bits)).unwrap_or_default()
}

/// The levels of a topic, each hashed when it is asked for first.
struct Levels<'a> {
    rest: Option<&'a [u8]>,
    hashes: Few<u32>,
    state: &'a RandomState,
}

impl Levels<'_> {
    fn hash(&mut self, n: usize) -> Option<u32> {
        while n >= self.hashes.len() {
            let rest = self.rest?;
            let slash = rest.iter().position(|byte| *byte == b'/');
            let (level, rest) = match slash {
                Some(at) => (&rest[..at], Some(&rest[at + 1..])),
                None => (rest, None),
            };
            self.rest = rest;
            self.hashes.push(hash(self.state, level));
        }
        self.hashes.get(n)
    }
}
