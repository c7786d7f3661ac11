//! What can be wrong with JSON data, and the kinds of values.

use std::fmt;

use super::MAX_DEPTH;

/// What is wrong with the data, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonError {
    /// The byte at which it shows.
    pub offset: usize,
    /// What it is.
    pub reason: Reason,
}

/// The ways in which data is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// Not UTF-8.
    Encoding,
    /// The data ends in the middle.
    End,
    /// Something else is there than this.
    Expected(&'static str),
    /// A control character in a string.
    Control,
    /// A backslash followed by something that JSON does not know.
    Escape,
    /// Half of a surrogate pair in a string.
    Surrogate,
    /// A number such as `01`, `1.` or `+1`.
    Number,
    /// More than [`MAX_DEPTH`] levels.
    Depth,
    /// Something after the value.
    Trailing,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encoding => f.write_str("not UTF-8"),
            Self::End => f.write_str("the data ends too early"),
            Self::Expected(what) => write!(f, "expected {what}"),
            Self::Control => f.write_str("a control character in a string must be escaped"),
            Self::Escape => f.write_str("not an escape sequence of JSON"),
            Self::Surrogate => f.write_str("half of a surrogate pair"),
            Self::Number => f.write_str("not a number as JSON writes it"),
            Self::Depth => write!(f, "nested deeper than {MAX_DEPTH} levels"),
            Self::Trailing => f.write_str("more data after the end of the value"),
        }
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at byte {})", self.reason, self.offset)
    }
}

impl std::error::Error for JsonError {}

/// What a value is, by its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true`, `false`
    Bool,
    /// A number.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Number => "a number",
            Self::String => "a string",
            Self::Array => "an array",
            Self::Object => "an object",
        })
    }
}
