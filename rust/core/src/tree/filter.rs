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
        })
    }
}

impl std::error::Error for FilterError {}

/// A filter in its parts.
pub struct Parsed<'a> {
    pub group: Option<&'a str>,
    pub filter: &'a str,
    pub wildcard: bool,
}

impl<'a> Parsed<'a> {
    pub fn new(text: &'a str) -> Result<Self, FilterError> {
        check_text(text)?;
        let (group, filter) = match text.strip_prefix("$share/") {
            Some(rest) => {
                let (group, filter) = rest.split_once('/').ok_or(FilterError::Share)?;
                if group.is_empty() || group.contains(['+', '#']) || filter.is_empty() {
                    return Err(FilterError::Share);
                }
                (Some(group), filter)
            }
            None if text == "$share" => return Err(FilterError::Share),
            None => (None, text),
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
        Ok(Self {
            group,
            filter,
            wildcard,
        })
    }
}

/// Whether MQTT allows this as the topic of a message.
///
/// # Errors
/// If not.
pub fn check_topic(topic: &str) -> Result<(), FilterError> {
    check_text(topic)?;
    if topic.contains(['+', '#']) {
        return Err(FilterError::Wildcard);
    }
    Ok(())
}

fn check_text(text: &str) -> Result<(), FilterError> {
    match text {
        "" => Err(FilterError::Empty),
        _ if text.len() > MAX_LENGTH => Err(FilterError::Length),
        _ if text.contains('\0') => Err(FilterError::Nul),
        _ => Ok(()),
    }
}
