//! A queue with a bound.

use std::collections::VecDeque;

/// What happens to an item for which there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// It is refused, and whoever offers it waits.
    Wait,
    /// The oldest item makes room for it and is counted as dropped.
    DropOldest,
}

/// First in, first out, never more than its capacity.
#[derive(Debug)]
pub struct Queue<T> {
    items: VecDeque<T>,
    capacity: usize,
    overflow: Overflow,
    dropped: u64,
}

impl<T> Queue<T> {
    /// A queue for `capacity` items, at least one. Memory is taken as items arrive.
    pub fn new(capacity: usize, overflow: Overflow) -> Self {
        Self {
            items: VecDeque::new(),
            capacity: capacity.max(1),
            overflow,
            dropped: 0,
        }
    }

    /// Whether an item would be taken now.
    pub fn has_room(&self) -> bool {
        self.overflow == Overflow::DropOldest || self.items.len() < self.capacity
    }

    /// Adds an item, and returns the one that made room for it, if one had to.
    ///
    /// # Errors
    /// Gives the item back if there is no room for it.
    pub fn push(&mut self, item: T) -> Result<Option<T>, T> {
        let mut oldest = None;
        if self.items.len() >= self.capacity {
            if self.overflow == Overflow::Wait {
                return Err(item);
            }
            oldest = self.items.pop_front();
            self.dropped += 1;
        }
        self.items.push_back(item);
        Ok(oldest)
    }

    /// Takes up to `max` items, oldest first.
    pub fn take(&mut self, max: usize) -> std::collections::vec_deque::Drain<'_, T> {
        let count = max.min(self.items.len());
        self.items.drain(..count)
    }

    /// What waits, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.items.iter()
    }

    /// How many items wait.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// How many more items it takes now.
    pub fn room(&self) -> usize {
        self.capacity.saturating_sub(self.items.len())
    }

    /// How many items made room for newer ones.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_it_has_no_room_for() {
        let mut queue = Queue::new(2, Overflow::Wait);
        assert_eq!(queue.push(1), Ok(None));
        assert_eq!(queue.push(2), Ok(None));
        assert!(!queue.has_room());
        assert_eq!(queue.push(3), Err(3));
        assert_eq!(queue.take(1).collect::<Vec<_>>(), [1]);
        assert_eq!((queue.len(), queue.room(), queue.dropped()), (1, 1, 0));
    }

    #[test]
    fn drops_the_oldest() {
        let mut queue = Queue::new(2, Overflow::DropOldest);
        for n in 0..5_i32 {
            assert!(queue.has_room());
            assert_eq!(queue.push(n), Ok((n >= 2).then_some(n - 2)));
        }
        assert_eq!((queue.len(), queue.dropped()), (2, 3));
        assert_eq!(queue.take(9).collect::<Vec<_>>(), [3, 4]);
        assert!(queue.is_empty());
    }

    #[test]
    fn holds_at_least_one() {
        let mut queue = Queue::new(0, Overflow::Wait);
        assert_eq!(queue.push(1), Ok(None));
    }
}
