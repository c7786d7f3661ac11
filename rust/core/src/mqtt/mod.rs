//! The packets of MQTT 5 that a client sends and gets, and where in a stream they begin and end.
//!
//! Nothing that arrives is trusted: sizes are looked at before anything is made of them, and what a receiver does not
//! need is skipped, not stored.

mod control;
mod pack;
mod properties;
mod publish;
mod request;
mod stream;

pub use control::{Connack, Control};
pub use pack::{pack_properties, publish_head, Unsendable};
pub use publish::{puback, Limits, Publish, Refusal};
pub use request::{disconnect, subscribe, unsubscribe, Connect, Will};
pub use stream::{first, Frame};

use std::fmt;

/// Why something is no MQTT 5, or not what a client may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// A length that is no variable byte integer.
    Length,
    /// A packet has more bytes than its parts.
    Trailing,
    /// A packet of so many bytes, more than was asked for.
    TooLarge(usize),
    /// A packet ends before its parts do.
    Short,
    /// A PUBLISH of a quality of service that nobody has subscribed.
    Quality,
    /// A property that the packet may not have, or not twice.
    Property(u8),
    /// A property with a value that it may not have.
    Value(u8),
    /// Flags that are reserved.
    Flags(u8),
    /// The packet id 0.
    PacketId,
    /// A packet that a client is not sent, by its first byte.
    Unexpected(u8),
}

impl std::error::Error for Malformed {}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => f.write_str("a length is no variable byte integer"),
            Self::Trailing => f.write_str("a packet does not end where its parts do"),
            Self::TooLarge(size) => write!(f, "a packet of {size} bytes, more than was asked for"),
            Self::Short => f.write_str("a packet ends before its parts do"),
            Self::Quality => f.write_str("a PUBLISH of a quality of service that was not subscribed"),
            Self::Property(kind) => write!(f, "property 0x{kind:02X} where it may not be, or twice"),
            Self::Value(kind) => write!(f, "property 0x{kind:02X} with a value that it may not have"),
            Self::Flags(flags) => write!(f, "flags 0x{flags:02X}, which are reserved"),
            Self::PacketId => f.write_str("packet id 0"),
            Self::Unexpected(header) => {
                write!(
                    f,
                    "a packet that begins with 0x{header:02X}, which a client is not sent"
                )
            }
        }
    }
}

/// A variable byte integer (MQTT 5, 1.5.5) and what follows it; `None` if there is no end to it yet.
fn variable(data: &[u8]) -> Result<Option<(usize, &[u8])>, Malformed> {
    let mut number = 0;
    for (n, digit) in data.iter().take(4).enumerate() {
        number |= usize::from(digit & 0x7F) << (7 * n);
        if digit & 0x80 == 0 {
            return Ok(Some((number, data.get(n + 1..).unwrap_or_default())));
        }
    }
    if data.len() < 4 {
        Ok(None)
    } else {
        Err(Malformed::Length)
    }
}

/// Appends a variable byte integer.
#[allow(clippy::cast_possible_truncation)] // seven bits
fn push_variable(out: &mut Vec<u8>, mut number: usize) {
    loop {
        let digit = (number & 0x7F) as u8;
        number >>= 7;
        if number == 0 {
            out.push(digit);
            return;
        }
        out.push(digit | 0x80);
    }
}

fn number(data: &[u8]) -> Result<(u16, &[u8]), Malformed> {
    let (number, rest) = data.split_first_chunk::<2>().ok_or(Malformed::Short)?;
    Ok((u16::from_be_bytes(*number), rest))
}

/// A text or binary data, with its length in front, and what follows.
fn text(data: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let (length, rest) = number(data)?;
    rest.split_at_checked(usize::from(length)).ok_or(Malformed::Short)
}
