//! The trie over levels. Nodes live in one vector and know each other by index, so that neither a deep trie nor
//! a long topic can exhaust the stack.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::segments::{HASH, PLUS};

const ROOT: u32 = 0;

#[derive(Debug)]
struct Node<E> {
    /// The levels that lead from the parent to here; none for the root only.
    label: Box<[u32]>,
    values: Vec<E>,
    parent: u32,
    children: u32,
}

#[derive(Debug)]
pub struct Trie<E> {
    nodes: Vec<Node<E>>,
    /// From a node and the first level of a label to the child with this label.
    edges: HashMap<(u32, u32), u32, RandomState>,
    free: Vec<u32>,
}

impl<E> Default for Trie<E> {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            edges: HashMap::default(),
            free: Vec::new(),
        }
    }
}

impl<E> Trie<E> {
    pub fn is_empty(&self) -> bool {
        self.edges.is_empty()
    }

    /// The values at the end of this path, which is made if there is none.
    pub fn values_mut(&mut self, path: &[u32]) -> &mut Vec<E> {
        if self.nodes.is_empty() {
            self.nodes.push(Node {
                label: [].into(),
                values: Vec::new(),
                parent: ROOT,
                children: 0,
            });
        }
        let (mut at, mut rest) = (ROOT, path);
        while let Some(first) = rest.first() {
            if let Some(&child) = self.edges.get(&(at, *first)) {
                let label = &self.nodes[child as usize].label;
                let common = label.iter().zip(rest).take_while(|(a, b)| a == b).count();
                at = if common < label.len() {
                    self.split(child, common)
                } else {
                    child
                };
                rest = rest.get(common..).unwrap_or_default();
            } else {
                at = self.add(at, rest.into());
                rest = &[];
            }
        }
        &mut self.nodes[at as usize].values
    }

    /// The values at the end of this path.
    pub fn values(&self, path: &[u32]) -> Option<&Vec<E>> {
        self.find(path).map(|node| &self.nodes[node as usize].values)
    }

    /// All values.
    pub fn all(&self) -> impl Iterator<Item = &E> {
        self.nodes.iter().flat_map(|node| &node.values)
    }

    /// Lets `take` take from the values at the end of this path, and drops the nodes that nobody needs any more.
    pub fn remove<R>(&mut self, path: &[u32], take: impl FnOnce(&mut Vec<E>) -> Option<R>) -> Option<R> {
        let mut at = self.find(path)?;
        let taken = take(&mut self.nodes[at as usize].values)?;
        while at != ROOT {
            let node = &mut self.nodes[at as usize];
            if !node.values.is_empty() || node.children > 0 {
                break;
            }
            let label = std::mem::take(&mut node.label);
            node.values = Vec::new();
            let parent = node.parent;
            if let Some(first) = label.first() {
                self.edges.remove(&(parent, *first));
            }
            self.free.push(at);
            self.nodes[parent as usize].children -= 1;
            at = parent;
        }
        if self.edges.is_empty() {
            *self = Self::default();
        }
        Some(taken)
    }

    /// Calls `found` with the values of all filters that match the topic with these levels. Wildcards at the
    /// first level do not match a topic that begins with `$`.
    pub fn matches(&self, topic: &[u32], dollar: bool, mut found: impl FnMut(&E)) {
        let mut open = vec![(ROOT, 0_usize)];
        while let Some((at, position)) = open.pop() {
            let rest = topic.get(position..).unwrap_or_default();
            if rest.is_empty() {
                self.emit(at, &mut found);
            }
            let literal = rest.first().copied();
            let wildcards = if dollar && at == ROOT {
                [None, None]
            } else {
                [Some(PLUS), Some(HASH)]
            };
            for first in [literal, wildcards[0], wildcards[1]].into_iter().flatten() {
                let Some(&child) = self.edges.get(&(at, first)) else {
                    continue;
                };
                match follow(&self.nodes[child as usize].label, rest) {
                    Followed::To(length) => open.push((child, position + length)),
                    Followed::Any => self.emit(child, &mut found),
                    Followed::Not => {}
                }
            }
        }
    }

    fn emit(&self, at: u32, found: &mut impl FnMut(&E)) {
        if let Some(node) = self.nodes.get(at as usize) {
            node.values.iter().for_each(found);
        }
    }

    fn find(&self, path: &[u32]) -> Option<u32> {
        let (mut at, mut rest) = (ROOT, path);
        while let Some(first) = rest.first() {
            at = *self.edges.get(&(at, *first))?;
            rest = rest.strip_prefix(&*self.nodes[at as usize].label)?;
        }
        Some(at)
    }

    fn add(&mut self, parent: u32, label: Box<[u32]>) -> u32 {
        let first = label.first().copied().unwrap_or_default();
        let node = Node {
            label,
            values: Vec::new(),
            parent,
            children: 0,
        };
        let index = if let Some(index) = self.free.pop() {
            self.nodes[index as usize] = node;
            index
        } else {
            self.nodes.push(node);
            u32::try_from(self.nodes.len() - 1).unwrap_or(u32::MAX)
        };
        self.edges.insert((parent, first), index);
        self.nodes[parent as usize].children += 1;
        index
    }

    /// Puts a node between this one and its parent, that takes over the first levels of the label.
    fn split(&mut self, lower: u32, length: usize) -> u32 {
        let node = &mut self.nodes[lower as usize];
        let (upper_label, lower_label) = node.label.split_at(length);
        let (upper_label, lower_label): (Box<[u32]>, Box<[u32]>) = (upper_label.into(), lower_label.into());
        let parent = node.parent;
        let first = lower_label.first().copied().unwrap_or_default();
        node.label = lower_label;
        // The new edge takes the place of that to the lower node: the parent has as many children as before.
        self.nodes[parent as usize].children -= 1;
        let upper = self.add(parent, upper_label);
        self.nodes[lower as usize].parent = upper;
        self.edges.insert((upper, first), lower);
        self.nodes[upper as usize].children = 1;
        upper
    }
}

enum Followed {
    /// The label matches this many levels.
    To(usize),
    /// It ends in `#`, which matches whatever is left.
    Any,
    Not,
}

fn follow(label: &[u32], rest: &[u32]) -> Followed {
    for (n, level) in label.iter().enumerate() {
        if *level == HASH {
            return Followed::Any;
        }
        match rest.get(n) {
            Some(found) if *level == PLUS || level == found => {}
            _ => return Followed::Not,
        }
    }
    Followed::To(label.len())
}
