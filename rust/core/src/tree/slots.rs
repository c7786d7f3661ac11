//! The values with their filters' text.

use super::chunks::{Chunks, Pages};
use super::filter::FilterError;

/// No slot.
pub const NONE: u32 = u32::MAX;

/// How much text of filters there may be at most, in bytes; gaps at most double it. It keeps every number of the
/// tree below 2³¹: a slot takes a byte at least, and so does a level.
const MAX_TEXT: usize = 1 << 29;
/// Below so many bytes it is not worth it to take the gaps out of the text.
const FEW: usize = 4096;

#[derive(Debug)]
struct Slot<V> {
    value: Option<V>,
    start: u32,
    /// The next slot of the same chain; for a free one the next that is free.
    next: u32,
    len: u16,
    /// How many bytes of the text are `$share/<group>/`.
    share: u16,
}

/// Slots in chains: those of one chain have the same filter, or another that hashes alike.
#[derive(Debug)]
pub struct Slots<V> {
    all: Chunks<Slot<V>>,
    text: Pages,
    /// How many bytes of the text belong to slots.
    used: usize,
    /// How many bytes of the text belong to no slot any more.
    dead: usize,
    free: u32,
    len: usize,
}

impl<V> Default for Slots<V> {
    fn default() -> Self {
        Self {
            all: Chunks::default(),
            text: Pages::default(),
            used: 0,
            dead: 0,
            free: NONE,
            len: 0,
        }
    }
}

impl<V> Slots<V> {
    /// How many values there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// All values.
    pub fn all(&self) -> impl Iterator<Item = &V> {
        self.all.iter().filter_map(|slot| slot.value.as_ref())
    }

    /// Takes a slot for a filter, `share` bytes of which are `$share/<group>/`. It is in no chain yet.
    pub fn add(&mut self, text: &str, share: usize, value: V) -> Result<u32, FilterError> {
        let len = u16::try_from(text.len()).map_err(|_| FilterError::Length)?;
        if self.used + text.len() > MAX_TEXT {
            return Err(FilterError::Full);
        }
        let share = u16::try_from(share).map_err(|_| FilterError::Length)?;
        let slot = Slot {
            value: Some(value),
            start: self.text.push(text),
            next: NONE,
            len,
            share,
        };
        self.used += text.len();
        self.len += 1;
        if let Some(free) = self.all.get_mut(self.free) {
            let index = self.free;
            self.free = free.next;
            *free = slot;
            return Ok(index);
        }
        self.all.push(slot);
        u32::try_from(self.all.len() - 1).map_err(|_| FilterError::Full)
    }

    /// Puts a slot in front of a chain.
    pub fn chain(&mut self, slot: u32, first: u32) {
        self.all[slot].next = first;
    }

    /// The slots of a chain.
    pub fn chained(&self, first: u32) -> impl Iterator<Item = u32> + '_ {
        let all = &self.all;
        std::iter::successors(Some(first), |slot| {
            Some(all[*slot].next).filter(|next| *next != NONE)
        })
    }

    /// A slot's text and value.
    pub fn get(&self, slot: u32) -> (&str, Option<&V>) {
        let slot = &self.all[slot];
        (self.text.get(slot.start, slot.len), slot.value.as_ref())
    }

    /// A slot's filter, without share group, and its value.
    pub fn filter(&self, slot: u32) -> (&str, Option<&V>) {
        let (text, value) = self.get(slot);
        let share = usize::from(self.all[slot].share);
        (&text[share..], value)
    }

    /// Takes a slot out of its chain and frees it. Returns the chain's first slot, and the value.
    pub fn remove(&mut self, slot: u32, first: u32) -> (u32, Option<V>) {
        let next = self.all[slot].next;
        let before = self.chained(first).find(|other| self.all[*other].next == slot);
        if let Some(before) = before {
            self.all[before].next = next;
        }
        let gone = &mut self.all[slot];
        let value = gone.value.take();
        gone.next = self.free;
        self.free = slot;
        self.used -= usize::from(gone.len);
        self.dead += usize::from(gone.len);
        self.len -= 1;
        if self.len == 0 {
            *self = Self::default();
        } else if self.dead > FEW && self.dead > self.used {
            self.close_gaps();
        }
        (if slot == first { next } else { first }, value)
    }

    /// How long the text is, gaps included.
    #[cfg(test)]
    pub fn text_len(&self) -> usize {
        self.used + self.dead
    }

    /// How many slots there are, free ones included.
    #[cfg(test)]
    pub fn places(&self) -> usize {
        self.all.len()
    }

    fn close_gaps(&mut self) {
        let mut text = Pages::default();
        for slot in self.all.iter_mut().filter(|slot| slot.value.is_some()) {
            slot.start = text.push(self.text.get(slot.start, slot.len));
        }
        self.text = text;
        self.dead = 0;
    }
}
