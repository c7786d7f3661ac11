//! Calls that wait for their answers, each until its deadline.

use std::collections::{BTreeMap, HashMap};

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
    calls: HashMap<Box<str>, Call<T>, RandomState>,
    deadlines: BTreeMap<(u64, u64), Box<str>>,
    sequence: u64,
}

#[derive(Debug)]
struct Call<T> {
    waiter: T,
    deadline: (u64, u64),
}

impl<T> Default for Pending<T> {
    fn default() -> Self {
        Self {
            calls: HashMap::default(),
            deadlines: BTreeMap::new(),
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
        self.sequence += 1;
        let deadline = (deadline, self.sequence);
        self.deadlines.insert(deadline, id.into());
        self.calls.insert(id.into(), Call { waiter, deadline });
        true
    }

    /// Takes a call out: its answer came, or nobody waits any more.
    pub fn remove(&mut self, id: &str) -> Option<T> {
        let call = self.calls.remove(id)?;
        self.deadlines.remove(&call.deadline);
        Some(call.waiter)
    }

    /// Takes out every call whose deadline is `now` or earlier, in the order of the deadlines.
    pub fn expire(&mut self, now: u64) -> Vec<T> {
        let mut expired = Vec::new();
        while let Some(entry) = self.deadlines.first_entry() {
            if entry.key().0 > now {
                break;
            }
            if let Some(call) = self.calls.remove(&entry.remove()) {
                expired.push(call.waiter);
            }
        }
        expired
    }

    /// When the first call expires.
    pub fn next_deadline(&self) -> Option<u64> {
        self.deadlines.first_key_value().map(|(key, _)| key.0)
    }

    /// Takes out every call.
    pub fn drain(&mut self) -> Vec<T> {
        self.expire(u64::MAX)
    }

    /// Everyone who waits, in no order.
    pub fn waiters(&self) -> impl Iterator<Item = &T> {
        self.calls.values().map(|call| &call.waiter)
    }

    /// How many calls wait.
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }
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
