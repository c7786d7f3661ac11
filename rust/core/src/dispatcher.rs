//! The in-memory dispatch: from a message to the queues of the subscriptions that want it.

use std::sync::Arc;

use crate::{Fields, Filter, Outline, Overflow, Queue, Router};

/// Identifies a subscriber of one dispatcher.
pub type SubscriberId = u32;

#[derive(Debug)]
struct Subscriber<T> {
    queue: Queue<T>,
    filters: Vec<Arc<Filter>>,
    /// Someone waits to be told that there is something to take.
    hungry: bool,
    /// Someone waits to be told that there is room.
    blocked: bool,
}

/// Routes items to bounded queues: into all that want them, or into none.
#[derive(Debug)]
pub struct Dispatcher<T> {
    router: Router<SubscriberId>,
    /// A place is empty once its subscriber has gone, and given to the next.
    subscribers: Vec<Option<Subscriber<T>>>,
    free: Vec<SubscriberId>,
    /// Reused by each offer, so that routing allocates nothing.
    matched: Vec<SubscriberId>,
}

/// What became of an offered item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// It waits in this many queues.
    Queued(usize),
    /// It waits in none, since the queue of this subscriber has no room.
    Full(SubscriberId),
}

/// What the caller is left to do after an item was queued.
#[derive(Debug)]
pub struct Effects<T> {
    /// Subscribers that waited for something to take.
    pub woken: Vec<SubscriberId>,
    /// Items that made room for this one.
    pub dropped: Vec<T>,
}

impl<T> Default for Effects<T> {
    fn default() -> Self {
        Self {
            woken: Vec::new(),
            dropped: Vec::new(),
        }
    }
}

impl<T> Default for Dispatcher<T> {
    fn default() -> Self {
        Self {
            router: Router::default(),
            subscribers: Vec::new(),
            free: Vec::new(),
            matched: Vec::new(),
        }
    }
}

impl<T> Dispatcher<T> {
    /// Adds a subscriber with a queue of its own. It wants nothing until [`Self::listen`] gives it a filter.
    pub fn subscribe(&mut self, capacity: usize, overflow: Overflow) -> SubscriberId {
        let subscriber = Subscriber {
            queue: Queue::new(capacity, overflow),
            filters: Vec::new(),
            hungry: true,
            blocked: false,
        };
        if let Some(id) = self.free.pop() {
            self.subscribers[id as usize] = Some(subscriber);
            return id;
        }
        self.subscribers.push(Some(subscriber));
        SubscriberId::try_from(self.subscribers.len() - 1).unwrap_or(SubscriberId::MAX)
    }

    /// Lets a subscriber have what passes this filter, in addition to its other filters. Filters of one
    /// subscriber must not overlap, or it gets an item twice.
    pub fn listen(&mut self, id: SubscriberId, filter: Filter) {
        if let Some(subscriber) = self.get_mut(id) {
            let filter = Arc::new(filter);
            subscriber.filters.push(Arc::clone(&filter));
            self.router.insert(filter, id);
        }
    }

    /// Takes a subscriber away and returns what waited in its queue.
    pub fn unsubscribe(&mut self, id: SubscriberId) -> Vec<T> {
        let Some(place) = self.subscribers.get_mut(id as usize) else {
            return Vec::new();
        };
        let Some(mut subscriber) = place.take() else {
            return Vec::new();
        };
        self.free.push(id);
        for filter in &subscriber.filters {
            self.router.remove(filter, &id);
        }
        subscriber.queue.take(usize::MAX).collect()
    }

    /// Everything that waits, in no order.
    pub fn items(&self) -> impl Iterator<Item = &T> {
        self.subscribers
            .iter()
            .flatten()
            .flat_map(|subscriber| subscriber.queue.iter())
    }

    /// Puts an item into the queue of every subscriber that wants it, or into none if one has no room; each gets
    /// an `item()` of its own.
    pub fn offer(&mut self, fields: &Fields<'_>, item: impl FnMut() -> T, effects: &mut Effects<T>) -> Offer {
        let mut matched = std::mem::take(&mut self.matched);
        matched.clear();
        self.router.route(fields, |id| matched.push(*id));
        let offer = self.deliver(&matched, item, effects);
        self.matched = matched;
        offer
    }

    /// Puts an item into the queues of these subscribers, or into none if one has no room; each gets an `item()`
    /// of its own.
    pub fn deliver(
        &mut self,
        ids: &[SubscriberId],
        mut item: impl FnMut() -> T,
        effects: &mut Effects<T>,
    ) -> Offer {
        let full = ids
            .iter()
            .find(|id| self.get(**id).is_some_and(|found| !found.queue.has_room()));
        if let Some(full) = full {
            self.blocked(*full);
            return Offer::Full(*full);
        }
        let mut queued = 0;
        for id in ids {
            let Some(subscriber) = self.get_mut(*id) else {
                continue;
            };
            if let Ok(dropped) = subscriber.queue.push(item()) {
                queued += 1;
                effects.dropped.extend(dropped);
            }
            if std::mem::take(&mut subscriber.hungry) {
                effects.woken.push(*id);
            }
        }
        Offer::Queued(queued)
    }

    /// Takes up to `max` items of a subscriber; having found none it is hungry. True if someone waits for the
    /// room that this made.
    pub fn take(&mut self, id: SubscriberId, max: usize, item: impl FnMut(T)) -> bool {
        let Some(subscriber) = self.get_mut(id) else {
            return false;
        };
        if subscriber.queue.is_empty() {
            subscriber.hungry = true;
            return false;
        }
        subscriber.queue.take(max).for_each(item);
        std::mem::take(&mut subscriber.blocked)
    }

    /// Asks to be woken for the next item although the last [`Self::take`] found some.
    pub fn hungry(&mut self, id: SubscriberId) {
        if let Some(subscriber) = self.get_mut(id) {
            subscriber.hungry = true;
        }
    }

    /// Says that someone (still) waits for room.
    pub fn blocked(&mut self, id: SubscriberId) {
        if let Some(subscriber) = self.get_mut(id) {
            subscriber.blocked = true;
        }
    }

    /// Items waiting, free places and items dropped of a subscriber.
    pub fn depth(&self, id: SubscriberId) -> (usize, usize, u64) {
        self.get(id)
            .map_or((0, 0, 0), |s| (s.queue.len(), s.queue.room(), s.queue.dropped()))
    }

    /// Whether some subscriber may want a message of which only this much is known.
    pub fn could_match(&self, outline: &Outline<'_>) -> bool {
        self.router.could_match(outline)
    }

    fn get(&self, id: SubscriberId) -> Option<&Subscriber<T>> {
        self.subscribers.get(id as usize)?.as_ref()
    }

    fn get_mut(&mut self, id: SubscriberId) -> Option<&mut Subscriber<T>> {
        self.subscribers.get_mut(id as usize)?.as_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MessageType;

    fn event(name: &str) -> Fields<'_> {
        Fields {
            message_type: MessageType::CustomMessage,
            event_name: name,
            principal_id: "",
            tenant_id: "",
            sender: crate::AddressRef::default(),
            receiver: None,
        }
    }

    fn on(name: &str) -> Filter {
        let mut filter = Filter::default();
        filter.texts[0] = name.into();
        filter
    }

    #[test]
    fn enqueues_to_all_or_to_none() {
        let mut dispatcher = Dispatcher::default();
        let small = dispatcher.subscribe(1, Overflow::Wait);
        let large = dispatcher.subscribe(9, Overflow::Wait);
        dispatcher.listen(small, on("e"));
        dispatcher.listen(large, on("e"));
        let mut effects = Effects::default();
        assert_eq!(
            dispatcher.offer(&event("e"), || 1, &mut effects),
            Offer::Queued(2)
        );
        assert_eq!(effects.woken, [small, large]);
        assert_eq!(
            dispatcher.offer(&event("e"), || 2, &mut effects),
            Offer::Full(small)
        );
        assert_eq!(
            dispatcher.depth(large).0,
            1,
            "nothing was queued for the one with room either"
        );
        let mut taken = Vec::new();
        assert!(
            dispatcher.take(small, 8, |item| taken.push(item)),
            "someone waits for room"
        );
        assert_eq!(taken, [1]);
        assert_eq!(
            dispatcher.offer(&event("e"), || 2, &mut effects),
            Offer::Queued(2)
        );
        assert_eq!(effects.woken.len(), 2, "none was hungry");
        assert_eq!(
            dispatcher.offer(&event("other"), || 3, &mut effects),
            Offer::Queued(0)
        );
    }

    #[test]
    fn wakes_only_the_hungry_and_gives_back_the_dropped() {
        let mut dispatcher = Dispatcher::default();
        let id = dispatcher.subscribe(2, Overflow::DropOldest);
        dispatcher.listen(id, on("e"));
        let mut effects = Effects::default();
        for n in 0..3 {
            dispatcher.offer(&event("e"), || n, &mut effects);
        }
        assert_eq!(effects.woken.len(), 1);
        assert_eq!(effects.dropped, [0]);
        let mut taken = Vec::new();
        for _ in 0..3 {
            assert!(!dispatcher.take(id, 1, |item| taken.push(item)));
        }
        assert_eq!(taken, [1, 2]);
        dispatcher.offer(&event("e"), || 3, &mut effects);
        assert_eq!(effects.woken.len(), 2);
    }

    #[test]
    fn gives_a_place_to_the_next() {
        let mut dispatcher = Dispatcher::default();
        let first = dispatcher.subscribe(9, Overflow::Wait);
        dispatcher.listen(first, on("e"));
        dispatcher.offer(&event("e"), || 1, &mut Effects::default());
        assert_eq!(dispatcher.items().count(), 1);
        assert_eq!(dispatcher.unsubscribe(first), [1]);
        assert_eq!(dispatcher.unsubscribe(first), []);
        let second = dispatcher.subscribe(9, Overflow::Wait);
        assert_eq!(second, first);
        assert_eq!(
            dispatcher.offer(&event("e"), || 2, &mut Effects::default()),
            Offer::Queued(0)
        );
        dispatcher.listen(99, on("e"));
        assert_eq!(
            dispatcher.offer(&event("e"), || 2, &mut Effects::default()),
            Offer::Queued(0),
            "nobody is behind that number"
        );
    }
}
