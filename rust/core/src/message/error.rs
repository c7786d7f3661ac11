//! Why data is not a message.

use std::fmt;

use crate::json::{JsonError, Kind, Reason};

/// What is wrong with an envelope, and where. Made to be read by people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    /// The field, where one is to blame: `sender.serviceName`.
    pub field: Option<&'static str>,
    /// The byte at which it shows.
    pub offset: usize,
    /// What it is.
    pub problem: Problem,
}

/// The ways in which data is not a message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// It is not JSON.
    Json(Reason),
    /// A field that must be there is not.
    Missing,
    /// A field is there twice.
    Duplicate,
    /// A field (or the whole) is of another kind than this.
    Type(&'static str, Kind),
    /// It is 2 GiB or more.
    Size,
    /// No message is of this type.
    MessageType(Box<str>),
}

impl DecodeError {
    pub(super) fn new(field: &'static str, offset: usize, problem: Problem) -> Self {
        Self {
            field: Some(field),
            offset,
            problem,
        }
    }
}

impl From<JsonError> for DecodeError {
    fn from(error: JsonError) -> Self {
        Self {
            field: None,
            offset: error.offset,
            problem: Problem::Json(error.reason),
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.field.unwrap_or("message"))?;
        match &self.problem {
            Problem::Json(reason) => write!(f, ": not valid JSON: {reason}")?,
            Problem::Missing => f.write_str(" is missing")?,
            Problem::Duplicate => f.write_str(" is there twice")?,
            Problem::Size => f.write_str(" is too large")?,
            Problem::Type(expected, found) => write!(f, ": expected {expected}, found {found}")?,
            Problem::MessageType(found) => {
                let short: String = found.chars().take(60).collect();
                write!(f, ": expected a known type such as \"command\", found {short:?}")?;
            }
        }
        write!(f, " (at byte {})", self.offset)
    }
}

impl std::error::Error for DecodeError {}
