//! Random ids: 16 bytes for messages and traces, 8 for spans.
//!
//! They must not collide; they are not secrets. Each thread has a generator of its own (xoshiro256++), seeded
//! from the operating system.

use blake2::digest::consts::U16;
use blake2::{Blake2b, Digest};
use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// Bytes of a message or trace id.
pub type Id = [u8; 16];

/// Grows with each fork, so that a child does not repeat the ids of its parent.
static GENERATION: AtomicU64 = AtomicU64::new(1);

thread_local! {
    static GENERATOR: RefCell<Generator> = const { RefCell::new(Generator { generation: 0, state: [0; 4] }) };
}

struct Generator {
    generation: u64,
    state: [u64; 4],
}

impl Generator {
    fn next(&mut self) -> u64 {
        let generation = GENERATION.load(Ordering::Relaxed);
        if self.generation != generation {
            self.state = seed();
            self.generation = generation;
        }
        let [a, b, c, d] = &mut self.state;
        let result = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }
}

/// Randomness of the system, mixed with what differs between processes and threads, in case there is none.
fn seed() -> [u64; 4] {
    let mut random = [0; 32];
    let read = std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut random));
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos());
    let local = (std::process::id(), now, std::thread::current().id(), read.is_ok());
    let hasher = RandomState::new();
    let mut seed = [0; 4];
    for (n, (word, bytes)) in seed.iter_mut().zip(random.chunks_exact(8)).enumerate() {
        // `| 1` in the first word: a state of zeros only would stay so for ever.
        *word =
            hasher.hash_one((n, bytes, &local)) ^ bytes.iter().fold(0, |word, b| word << 8 | u64::from(*b));
        *word |= u64::from(n == 0);
    }
    seed
}

/// Makes every thread seed its generator anew. To be called in a process that was just forked.
pub fn reseed() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

fn random() -> u64 {
    GENERATOR.with_borrow_mut(Generator::next)
}

/// A random id, never all zero.
///
/// ```
/// assert_ne!(purista_core::ids::new_id(), purista_core::ids::new_id());
/// ```
pub fn new_id() -> Id {
    loop {
        let id = (u128::from(random()) << 64 | u128::from(random())).to_be_bytes();
        if id != [0; 16] {
            return id;
        }
    }
}

/// The id of an event that a subscription emits: the same one whenever it handles the same message again.
///
/// `cause` names that message, `label` the subscription, and `ordinal` says the how-manieth event of its run it is.
///
/// ```
/// use purista_core::ids::derived;
/// assert_eq!(derived("customMessage 0af7 stored", "Thermo/1/watch", 1), derived("customMessage 0af7 stored", "Thermo/1/watch", 1));
/// assert_ne!(derived("customMessage 0af7 stored", "Thermo/1/watch", 1), derived("customMessage 0af7 stored", "Thermo/1/watch", 2));
/// ```
pub fn derived(cause: &str, label: &str, ordinal: u64) -> Id {
    let mut hash = Blake2b::<U16>::new();
    for part in [cause, " ", label, " ", &ordinal.to_string()] {
        hash.update(part);
    }
    hash.finalize().into()
}

/// A random span id, never all zero.
pub fn new_span() -> [u8; 8] {
    loop {
        let span = random();
        if span != 0 {
            return span.to_be_bytes();
        }
    }
}

/// Hex digits on the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hex<const N: usize>([[u8; 2]; N]);

impl<const N: usize> Hex<N> {
    /// The lower-case hex digits of these bytes.
    ///
    /// ```
    /// assert_eq!(purista_core::ids::Hex::new(&[0x0a, 0xf7]).as_str(), "0af7");
    /// ```
    pub fn new(bytes: &[u8; N]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        Self(bytes.map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]))
    }

    /// The digits as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.0.as_flattened()).unwrap_or_default()
    }
}

/// A W3C `traceparent`: the trace of a valid `parent` goes on, else a new one begins; the span is new.
///
/// ```
/// use purista_core::ids::traceparent;
/// let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// assert_eq!(traceparent(Some(parent))[..36], parent[..36]);
/// assert_ne!(traceparent(Some(parent)), parent);
/// assert_eq!(traceparent(None).len(), 55);
/// ```
pub fn traceparent(parent: Option<&str>) -> String {
    let fresh;
    let trace = if let Some(trace) = parent.and_then(trace_of) {
        trace
    } else {
        fresh = Hex::new(&new_id());
        fresh.as_str()
    };
    traceparent_in(trace)
}

/// A W3C `traceparent` with a new span in this trace, which must be valid (see [`trace_of`]).
pub fn traceparent_in(trace: &str) -> String {
    let mut text = String::with_capacity(55);
    text.push_str("00-");
    text.push_str(trace);
    text.push('-');
    text.push_str(Hex::new(&new_span()).as_str());
    text.push_str("-01");
    text
}

/// The trace id of a `traceparent`, if that is valid. Later versions may append fields.
pub fn trace_of(traceparent: &str) -> Option<&str> {
    let form = traceparent.get(..55)?;
    let rest = traceparent.get(55..)?;
    let (version, trace, span) = (form.get(..2)?, form.get(3..35)?, form.get(36..52)?);
    // Counted, not searched for: that goes many bytes at a time.
    let hex = |byte: &&u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(*byte);
    let digits = form.as_bytes().iter().filter(hex).count();
    let dashes = [2, 35, 52]
        .iter()
        .all(|at| form.as_bytes().get(*at) == Some(&b'-'));
    let ends = rest.is_empty() || version != "00" && rest.starts_with('-');
    let named = trace != "00000000000000000000000000000000" && span != "0000000000000000";
    (dashes && digits == 52 && ends && version != "ff" && named).then_some(trace)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_differ_between_calls_threads_and_after_a_fork() {
        let mut seen: HashSet<Id> = (0..10_000).map(|_| new_id()).collect();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(new_id)).collect();
        seen.extend(threads.into_iter().filter_map(|thread| thread.join().ok()));
        let state = GENERATOR.with_borrow(|generator| generator.state);
        let before = new_id();
        GENERATOR.with_borrow_mut(|generator| generator.state = state);
        reseed();
        assert_ne!(before, new_id());
        seen.insert(before);
        assert_eq!(seen.len(), 10_005);
    }

    #[test]
    fn only_a_valid_parent_is_followed() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let valid = format!("00-{trace}-b7ad6b7169203331-00");
        assert_eq!(trace_of(&valid), Some(trace));
        assert_eq!(
            trace_of(&format!("cc-{trace}-b7ad6b7169203331-00-more")),
            Some(trace)
        );
        for bad in [
            String::new(),
            "00".into(),
            format!("00-{trace}-b7ad6b7169203331"),
            format!("00-{trace}-b7ad6b7169203331-00-more"),
            format!("ff-{trace}-b7ad6b7169203331-00"),
            format!("00-{trace}-0000000000000000-00"),
            format!("00-{}-b7ad6b7169203331-00", "0".repeat(32)),
            format!("00-{}-b7ad6b7169203331-00", trace.to_uppercase()),
            format!("00-{}-b7ad6b7169203331-00", "ä".repeat(16)),
        ] {
            assert_eq!(trace_of(&bad), None, "{bad}");
            assert!(!traceparent(Some(&bad)).contains(trace));
        }
    }
}
