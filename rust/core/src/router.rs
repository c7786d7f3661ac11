//! Which subscriptions want a message.
//!
//! Filters that want the same message type and name the same set of texts form a *shape*. Within a shape the filters
//! sit in a hash map under the texts that they name, so a look-up costs one hash for each shape of the message's type,
//! however many filters there are.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::{Fields, Filter, MessageType};

/// What is known in advance about a message: `None` for what may be anything.
#[derive(Debug, Clone, Default)]
pub struct Outline<'a> {
    /// The type, if known.
    pub message_type: Option<MessageType>,
    /// The texts, in the order of [`Fields::texts`].
    pub texts: [Option<&'a str>; Filter::TEXTS],
}

/// Filters and the consumers behind them.
///
/// ```
/// use purista_core::{Fields, Filter, MessageType, Router};
///
/// let mut router = Router::default();
/// let mut filter = Filter::default();
/// filter.texts[0] = "readingStored".into();
/// router.insert(filter, 7);
/// let fields = Fields {
///     message_type: MessageType::CustomMessage, event_name: "readingStored",
///     principal_id: "", tenant_id: "", sender: Default::default(), receiver: None,
/// };
/// let mut found = Vec::new();
/// router.route(&fields, |consumer| found.push(*consumer));
/// assert_eq!(found, [7]);
/// ```
#[derive(Debug)]
pub struct Router<T> {
    shapes: Vec<Shape<T>>,
    hasher: RandomState,
    len: usize,
}

#[derive(Debug)]
struct Shape<T> {
    message_type: Option<MessageType>,
    /// Bit n for text n.
    mask: u16,
    buckets: HashMap<u64, Vec<(Arc<Filter>, T)>, RandomState>,
}

impl<T> Shape<T> {
    /// Whether it may hold filters for messages of this type.
    fn takes(&self, message_type: MessageType) -> bool {
        self.message_type.is_none_or(|wanted| wanted == message_type)
    }
}

impl<T> Default for Router<T> {
    fn default() -> Self {
        Self {
            shapes: Vec::new(),
            hasher: RandomState::default(),
            len: 0,
        }
    }
}

impl<T: PartialEq> Router<T> {
    /// Adds a consumer. The same consumer may stand behind several filters.
    pub fn insert(&mut self, filter: impl Into<Arc<Filter>>, consumer: T) {
        let filter = filter.into();
        let mask = mask(&filter);
        let key = self.key(mask, |index| &filter.texts[index]);
        let position = self.position(&filter, mask).unwrap_or_else(|| {
            self.shapes.push(Shape {
                message_type: filter.message_type,
                mask,
                buckets: HashMap::default(),
            });
            self.shapes.len() - 1
        });
        let bucket = self.shapes[position].buckets.entry(key).or_default();
        if bucket.is_empty() {
            // Most stay alone: `push` would make room for four.
            bucket.reserve_exact(1);
        }
        bucket.push((filter, consumer));
        self.len += 1;
    }

    /// Takes a consumer away from behind this filter; false if it was not there.
    pub fn remove(&mut self, filter: &Filter, consumer: &T) -> bool {
        let mask = mask(filter);
        let key = self.key(mask, |index| &filter.texts[index]);
        let Some(position) = self.position(filter, mask) else {
            return false;
        };
        let buckets = &mut self.shapes[position].buckets;
        let Some(bucket) = buckets.get_mut(&key) else {
            return false;
        };
        let Some(found) = bucket.iter().position(|(f, c)| **f == *filter && c == consumer) else {
            return false;
        };
        bucket.remove(found);
        if bucket.is_empty() {
            buckets.remove(&key);
        }
        if buckets.is_empty() {
            self.shapes.swap_remove(position);
        }
        self.len -= 1;
        true
    }

    /// Calls `found` with each consumer that wants a message with these fields.
    pub fn route(&self, fields: &Fields<'_>, mut found: impl FnMut(&T)) {
        let texts = fields.texts();
        for shape in self
            .shapes
            .iter()
            .filter(|shape| shape.takes(fields.message_type))
        {
            let key = self.key(shape.mask, |index| texts[index]);
            // The bucket is found by hash alone, so each filter is compared in full.
            for (filter, consumer) in shape.buckets.get(&key).into_iter().flatten() {
                if filter.matches(fields) {
                    found(consumer);
                }
            }
        }
    }

    /// Whether some filter may want a message of which only this much is known. Looks at each filter only where a
    /// shape names both texts that are known and texts that are not.
    pub fn could_match(&self, outline: &Outline<'_>) -> bool {
        let known = bits(|n| outline.texts[n].is_some());
        let empty = bits(|n| outline.texts[n] == Some(""));
        self.shapes.iter().any(|shape| {
            // A filter that names a text does not match where there is none.
            if shape.mask & empty != 0 || outline.message_type.is_some_and(|known| !shape.takes(known)) {
                return false;
            }
            if shape.mask & known == 0 {
                return true;
            }
            let fits = |(filter, _): &(Arc<Filter>, T)| {
                let mut texts = filter.texts.iter().zip(outline.texts);
                texts.all(|(wanted, known)| wanted.is_empty() || known.is_none_or(|known| **wanted == *known))
            };
            if shape.mask & !known == 0 {
                let key = self.key(shape.mask, |index| outline.texts[index].unwrap_or_default());
                shape.buckets.get(&key).into_iter().flatten().any(fits)
            } else {
                shape.buckets.values().flatten().any(fits)
            }
        })
    }

    /// How many filters there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn position(&self, filter: &Filter, mask: u16) -> Option<usize> {
        self.shapes
            .iter()
            .position(|shape| shape.mask == mask && shape.message_type == filter.message_type)
    }

    fn key<'t>(&self, mask: u16, text: impl Fn(usize) -> &'t str) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        let mut rest = mask;
        while rest != 0 {
            text(rest.trailing_zeros() as usize).hash(&mut hasher);
            rest &= rest - 1;
        }
        hasher.finish()
    }
}

/// The texts that a filter names.
fn mask(filter: &Filter) -> u16 {
    bits(|n| !filter.texts[n].is_empty())
}

fn bits(set: impl Fn(usize) -> bool) -> u16 {
    (0..Filter::TEXTS).fold(0, |bits, n| bits | u16::from(set(n)) << n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AddressRef;
    use proptest::prelude::*;

    const WORDS: [&str; 3] = ["", "a", "b"];

    fn filters() -> impl Strategy<Value = Filter> {
        (prop::option::of(0..3_usize), prop::array::uniform11(0..3_usize)).prop_map(|(kind, words)| Filter {
            message_type: kind.map(|n| MessageType::ALL[n * 3]),
            texts: words.map(|n| WORDS[n].into()),
        })
    }

    fn fields(kind: usize, words: [usize; 11], receiver: bool) -> Fields<'static> {
        let word = |n: usize| WORDS[words[n]];
        let address = |n| AddressRef {
            service_name: word(n),
            service_version: word(n + 1),
            service_target: word(n + 2),
            instance_id: word(n + 3),
        };
        Fields {
            message_type: MessageType::ALL[kind * 3],
            event_name: word(0),
            principal_id: word(1),
            tenant_id: word(2),
            sender: address(3),
            receiver: receiver.then(|| address(7)),
        }
    }

    proptest! {
        #[test]
        fn routes_as_a_linear_search(
            list in prop::collection::vec(filters(), 0..40),
            kind in 0..4_usize,
            words in prop::array::uniform11(1..3_usize),
            receiver in any::<bool>(),
            removed in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
            known in prop::array::uniform11(any::<bool>()),
            typed in any::<bool>(),
        ) {
            let mut router = Router::default();
            let mut naive: Vec<(usize, Filter)> = list.into_iter().enumerate().collect();
            for (id, filter) in &naive {
                router.insert(filter.clone(), *id);
            }
            for index in removed {
                if naive.is_empty() { break; }
                let (id, filter) = naive.swap_remove(index.index(naive.len()));
                prop_assert!(router.remove(&filter, &id));
                prop_assert!(!router.remove(&filter, &id));
            }
            let fields = fields(kind, words, receiver);
            let mut found = Vec::new();
            router.route(&fields, |id| found.push(*id));
            found.sort_unstable();
            let mut expected: Vec<usize> =
                naive.iter().filter(|(_, filter)| filter.matches(&fields)).map(|(id, _)| *id).collect();
            expected.sort_unstable();
            prop_assert_eq!(&found, &expected);
            prop_assert_eq!(router.len(), naive.len());
            let mut outline = Outline {
                message_type: typed.then_some(fields.message_type),
                texts: fields.texts().map(Some),
            };
            for (text, known) in outline.texts.iter_mut().zip(known) {
                *text = text.filter(|_| known);
            }
            let could = naive.iter().any(|(_, filter)| {
                let mut texts = filter.texts.iter().zip(outline.texts);
                (!typed || filter.message_type.is_none_or(|wanted| wanted == fields.message_type))
                    && texts.all(|(wanted, known)| wanted.is_empty() || known.is_none_or(|known| **wanted == *known))
            });
            prop_assert_eq!(router.could_match(&outline), could);
        }
    }

    #[test]
    fn a_known_text_rules_filters_out() {
        let mut router = Router::default();
        let mut filter = Filter {
            message_type: Some(MessageType::Command),
            ..Filter::default()
        };
        filter.texts[7] = "User".into();
        router.insert(filter, ());
        let mut outline = Outline {
            message_type: Some(MessageType::Command),
            ..Outline::default()
        };
        assert!(router.could_match(&outline));
        outline.texts[7] = Some("Email");
        assert!(!router.could_match(&outline));
        outline.texts[7] = Some("User");
        assert!(router.could_match(&outline));
    }
}
