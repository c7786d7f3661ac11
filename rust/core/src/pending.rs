//! Calls that wait for their answers, each until its deadline.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use foldhash::fast::RandomState;

/// A registry of waiting calls by correlation id. Time is whatever steadily growing number the caller uses.
///
/// ```
/// let mut pending = purista_core::Pending::default();
/// assert!(pending.insert("c1", "who waits", 5));
/// assert_eq!(pending.next_deadline(), Some(5));
/// assert_eq!(pending.remove("c1"), Some("who waits"));
/// assert_eq!(pending.remove("c1"), None, "a second answer finds nobody");
/// ```
#[derive(Debug)]
pub struct Pending<T> {
    calls: HashMap<Arc<str>, u32, RandomState>,
    slots: Vec<Option<Call<T>>>,
    free: Vec<u32>,
    /// Calls by deadline, also such as have gone: most go long before it, and to take one out of the middle costs the
    /// more the more there are. Where more have gone than wait, all that have gone are dropped at once.
    deadlines: BinaryHeap<Reverse<Deadline>>,
    sequence: u64,
}

#[derive(Debug)]
struct Call<T> {
    id: Arc<str>,
    waiter: T,
    sequence: u64,
}

/// When, which of those at the same time, and the slot that the call with this sequence number had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Deadline {
    at: u64,
    sequence: u64,
    slot: u32,
}

/// Below so many deadlines it is not worth it to drop those of calls that have gone.
const FEW: usize = 64;

impl<T> Default for Pending<T> {
    fn default() -> Self {
        Self {
            calls: HashMap::default(),
            slots: Vec::new(),
            free: Vec::new(),
            deadlines: BinaryHeap::new(),
            sequence: 0,
        }
    }
}

impl<T> Pending<T> {
    /// Adds a call; false (and nothing changes) if its id waits already.
    pub fn insert(&mut self, id: &str, waiter: T, deadline: u64) -> bool {
        if self.calls.contains_key(id) {
            return false;
        }
        let slot = self
            .free
            .pop()
            .unwrap_or_else(|| u32::try_from(self.slots.len()).unwrap_or(u32::MAX));
        let id: Arc<str> = id.into();
        self.sequence += 1;
        let call = Call {
            id: Arc::clone(&id),
            waiter,
            sequence: self.sequence,
        };
        match self.slots.get_mut(slot as usize) {
            Some(place) => *place = Some(call),
            None => self.slots.push(Some(call)),
        }
        self.calls.insert(id, slot);
        self.deadlines.push(Reverse(Deadline {
            at: deadline,
            sequence: self.sequence,
            slot,
        }));
        true
    }

    /// Takes a call out: its answer came, or nobody waits any more.
    pub fn remove(&mut self, id: &str) -> Option<T> {
        let slot = self.calls.remove(id)?;
        let call = self.take(slot)?;
        if self.deadlines.len() > FEW && self.deadlines.len() / 2 > self.calls.len() {
            let slots = &self.slots;
            self.deadlines.retain(|Reverse(deadline)| waits(slots, deadline));
        } else {
            self.drop_gone();
        }
        Some(call.waiter)
    }

    /// Takes out every call whose deadline is `now` or earlier, in the order of the deadlines.
    pub fn expire(&mut self, now: u64) -> Vec<T> {
        let mut expired = Vec::new();
        while let Some(Reverse(deadline)) = self.deadlines.peek().copied().filter(|first| first.0.at <= now) {
            self.deadlines.pop();
            if !waits(&self.slots, &deadline) {
                continue;
            }
            if let Some(call) = self.take(deadline.slot) {
                self.calls.remove(&call.id);
                expired.push(call.waiter);
            }
        }
        self.drop_gone();
        expired
    }

    /// When the first call expires.
    pub fn next_deadline(&self) -> Option<u64> {
        self.deadlines.peek().map(|Reverse(first)| first.at)
    }

    /// Takes out every call.
    pub fn drain(&mut self) -> Vec<T> {
        self.expire(u64::MAX)
    }

    /// Everyone who waits, in no order.
    pub fn waiters(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().flatten().map(|call| &call.waiter)
    }

    /// How many calls wait.
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    fn take(&mut self, slot: u32) -> Option<Call<T>> {
        let call = self.slots.get_mut(slot as usize)?.take()?;
        self.free.push(slot);
        Some(call)
    }

    /// The first deadline is always that of a call that waits.
    fn drop_gone(&mut self) {
        while let Some(Reverse(first)) = self.deadlines.peek() {
            if waits(&self.slots, first) {
                break;
            }
            self.deadlines.pop();
        }
    }
}

fn waits<T>(slots: &[Option<Call<T>>], deadline: &Deadline) -> bool {
    let call = slots.get(deadline.slot as usize).and_then(Option::as_ref);
    call.is_some_and(|call| call.sequence == deadline.sequence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Step {
        Insert(u8, u64),
        Remove(u8),
        Expire(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        prop::collection::vec(
            prop_oneof![
                (0..20_u8, 0..50_u64).prop_map(|(id, at)| Step::Insert(id, at)),
                (0..20_u8).prop_map(Step::Remove),
                (0..50_u64).prop_map(Step::Expire),
            ],
            0..60,
        )
    }

    proptest! {
        #[test]
        fn behaves_as_a_list(steps in steps()) {
            let mut pending = Pending::default();
            let mut naive: Vec<(u8, u64)> = Vec::new();
            for step in steps {
                match step {
                    Step::Insert(id, at) => {
                        let fresh = !naive.iter().any(|(other, _)| *other == id);
                        prop_assert_eq!(pending.insert(&id.to_string(), id, at), fresh);
                        if fresh { naive.push((id, at)); }
                    }
                    Step::Remove(id) => {
                        let found = naive.iter().position(|(other, _)| *other == id);
                        prop_assert_eq!(pending.remove(&id.to_string()), found.map(|n| naive.remove(n).0));
                    }
                    Step::Expire(now) => {
                        let mut due: Vec<_> = naive.iter().copied().filter(|(_, at)| *at <= now).collect();
                        due.sort_by_key(|(_, at)| *at);
                        naive.retain(|(_, at)| *at > now);
                        let due: Vec<u8> = due.into_iter().map(|(id, _)| id).collect();
                        prop_assert_eq!(pending.expire(now), due);
                    }
                }
                prop_assert_eq!(pending.len(), naive.len());
                prop_assert_eq!(pending.next_deadline(), naive.iter().map(|(_, at)| *at).min());
            }
        }
    }
}
