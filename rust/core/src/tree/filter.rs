//! What MQTT 5 allows as a filter and as a topic (section 4.7 and 4.8.2).

use std::fmt;

use crate::topic::MAX_LENGTH;

/// Why MQTT does not allow a filter or topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FilterError {
    /// It has no characters.
    Empty,
    /// It is longer than 65535 bytes.
    Length,
    /// It holds the character NUL.
    Nul,
    /// A `+` beside other characters of its level.
    Plus,
    /// A `#` that is not the whole last level.
    Hash,
    /// `$share/…` without a group, or with a wildcard in it, or without a filter.
    Share,
    /// A topic, as against a filter, holds `+` or `#`.
    Wildcard,
    /// The tree holds as much text as it can.
    Full,
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "a topic or filter must not be empty",
            Self::Length => "a topic or filter must not be longer than 65535 bytes",
            Self::Nul => "a topic or filter must not hold the character NUL",
            Self::Plus => "'+' must be a level of its own",
            Self::Hash => "'#' must be the last level, and alone in it",
            Self::Share => "a shared filter must be $share/<group>/<filter>, the group without '+' and '#'",
            Self::Wildcard => "a topic must not hold '+' or '#'",
            Self::Full => "the filters of one tree must not be longer than 512 MiB together",
        })
    }
}

impl std::error::Error for FilterError {}

/// A filter without its share group.
pub struct Parsed<'a> {
    pub filter: &'a str,
    pub wildcard: bool,
}

impl<'a> Parsed<'a> {
    pub fn new(text: &'a str) -> Result<Self, FilterError> {
        check_text(text)?;
        let filter = match text.strip_prefix("$share/") {
            Some(rest) => {
                let (group, filter) = rest.split_once('/').ok_or(FilterError::Share)?;
                if group.is_empty() || group.contains(['+', '#']) || filter.is_empty() {
                    return Err(FilterError::Share);
                }
                filter
            }
            None if text == "$share" => return Err(FilterError::Share),
            None => text,
        };
        let mut levels = filter.split('/').peekable();
        let mut wildcard = false;
        while let Some(level) = levels.next() {
            match level {
                "+" => wildcard = true,
                "#" if levels.peek().is_none() => wildcard = true,
                _ if level.contains('#') => return Err(FilterError::Hash),
                _ if level.contains('+') => return Err(FilterError::Plus),
                _ => {}
            }
        }
        Ok(Self { filter, wildcard })
    }
}

/// Whether MQTT allows this as the topic of a message.
///
/// # Errors
/// If not.
pub fn check_topic(topic: &str) -> Result<(), FilterError> {
    // One pass without a branch, which the compiler makes many bytes at a time of.
    let odd = topic
        .bytes()
        .fold(false, |odd, byte| odd | matches!(byte, b'+' | b'#' | 0));
    if !odd && !topic.is_empty() && topic.len() <= MAX_LENGTH {
        return Ok(());
    }
    check_text(topic)?;
    Err(FilterError::Wildcard)
}

/// Whether a valid filter without share group matches a valid topic. What depends on the topic's `$` is not
/// looked at.
pub fn matches(filter: &str, topic: &str) -> bool {
    let (mut filter, mut topic) = (filter.as_bytes(), topic.as_bytes());
    loop {
        let same = common(filter, topic);
        (filter, topic) = (&filter[same..], &topic[same..]);
        // A topic holds no wildcard, so the two differ at each of the filter's.
        match filter {
            [] => return topic.is_empty(),
            [b'+', rest @ ..] => {
                filter = rest;
                let level = topic.iter().take_while(|byte| **byte != b'/').count();
                topic = &topic[level..];
            }
            [b'#', ..] => return true,
            _ => return topic.is_empty() && filter == b"/#",
        }
    }
}

/// How many bytes two texts have in common at their beginning.
fn common(one: &[u8], other: &[u8]) -> usize {
    const STEP: usize = 8;
    let steps = one.chunks_exact(STEP).zip(other.chunks_exact(STEP));
    let same = STEP * steps.take_while(|(one, other)| one == other).count();
    let rest = one[same..].iter().zip(&other[same..]);
    same + rest.take_while(|(one, other)| one == other).count()
}

fn check_text(text: &str) -> Result<(), FilterError> {
    match text {
        "" => Err(FilterError::Empty),
        _ if text.len() > MAX_LENGTH => Err(FilterError::Length),
        _ if text.contains('\0') => Err(FilterError::Nul),
        _ => Ok(()),
    }
}
