//! Several optional texts in one allocation: the header of a message is many short texts.

/// Up to `N` (at most 16) optional texts.
///
/// ```
/// let texts = purista_core::Texts::new([Some("a"), None, Some("")]);
/// assert_eq!((texts.get(0), texts.get(1), texts.get(2)), (Some("a"), None, Some("")));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Texts<const N: usize> {
    joined: Box<str>,
    ends: [u32; N],
    present: u16,
}

impl<const N: usize> Texts<N> {
    /// Copies the texts.
    pub fn new(parts: [Option<&str>; N]) -> Self {
        let mut joined = String::with_capacity(parts.iter().flatten().map(|part| part.len()).sum());
        let mut ends = [0; N];
        let mut present = 0;
        for (n, (part, end)) in parts.iter().zip(&mut ends).enumerate() {
            if let Some(part) = part {
                joined.push_str(part);
                present |= 1 << n;
            }
            *end = u32::try_from(joined.len()).unwrap_or(u32::MAX);
        }
        Self {
            joined: joined.into_boxed_str(),
            ends,
            present,
        }
    }

    /// The text at this index, if there is one.
    pub fn get(&self, index: usize) -> Option<&str> {
        if index >= N || self.present & (1 << index) == 0 {
            return None;
        }
        let end = *self.ends.get(index)? as usize;
        let start = index
            .checked_sub(1)
            .and_then(|before| self.ends.get(before))
            .map_or(0, |start| *start as usize);
        self.joined.get(start..end)
    }

    /// All of them, one after the other.
    pub(crate) fn joined(&self) -> &str {
        &self.joined
    }

    /// The text at this index, empty if there is none.
    pub fn or_empty(&self, index: usize) -> &str {
        self.get(index).unwrap_or_default()
    }
}
