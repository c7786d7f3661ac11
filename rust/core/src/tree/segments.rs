//! Levels as numbers, so that a trie compares and keeps 4 bytes for each.

use std::collections::HashMap;

use foldhash::fast::RandomState;

/// The number of `+`.
pub const PLUS: u32 = 0;
/// The number of `#`.
pub const HASH: u32 = 1;
/// The number of every level that no filter holds.
pub const UNKNOWN: u32 = u32::MAX;

const FIRST: u32 = 2;

#[derive(Debug)]
struct Segment {
    number: u32,
    uses: u32,
}

/// The levels that filters hold, and how often.
#[derive(Debug, Default)]
pub struct Segments {
    known: HashMap<Box<str>, Segment, RandomState>,
    /// Numbers that were given out once and are free again.
    free: Vec<u32>,
}

impl Segments {
    /// The number of a level, which is kept until it is released as often as acquired.
    pub fn acquire(&mut self, level: &str) -> u32 {
        match level {
            "+" => return PLUS,
            "#" => return HASH,
            _ => {}
        }
        if let Some(segment) = self.known.get_mut(level) {
            segment.uses += 1;
            return segment.number;
        }
        let used = self.known.len() + self.free.len();
        let number = self
            .free
            .pop()
            .unwrap_or_else(|| u32::try_from(used).map_or(UNKNOWN - 1, |n| n + FIRST));
        self.known.insert(level.into(), Segment { number, uses: 1 });
        number
    }

    /// Gives back a level.
    pub fn release(&mut self, level: &str) {
        let Some(segment) = self.known.get_mut(level) else {
            return;
        };
        segment.uses -= 1;
        if segment.uses == 0 {
            self.free.push(segment.number);
            self.known.remove(level);
        }
        if self.known.is_empty() {
            *self = Self::default();
        }
    }

    /// The number of a literal level, [`UNKNOWN`] if no filter holds it.
    pub fn find(&self, level: &str) -> u32 {
        self.known.get(level).map_or(UNKNOWN, |segment| segment.number)
    }

    /// The numbers of a filter's levels; `None` if it holds an unknown one.
    pub fn path(&self, filter: &str) -> Option<Vec<u32>> {
        filter
            .split('/')
            .map(|level| match level {
                "+" => Some(PLUS),
                "#" => Some(HASH),
                _ => self.known.get(level).map(|segment| segment.number),
            })
            .collect()
    }
}
