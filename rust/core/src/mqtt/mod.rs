//! The MQTT 5 packets of which there are many: PUBLISH and PUBACK; and where in a stream packets begin and end.
//!
//! Nothing that arrives is trusted: sizes are looked at before anything is made of them, and what a receiver does not
//! need is skipped, not stored.

mod pack;
mod publish;
mod stream;

pub use pack::{pack_properties, publish_head, Unsendable};
pub use publish::{puback, Limits, Publish, Refusal};
pub use stream::{first, Frame};

use std::fmt;

/// Why something is no MQTT 5, or not what a client may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// A length that is no variable byte integer.
    Length,
    /// A packet of so many bytes, more than was asked for.
    TooLarge(usize),
    /// A packet ends before its parts do.
    Short,
    /// A PUBLISH of a quality of service that nobody has subscribed.
    Quality,
    /// A PUBLISH with a property that it may not have, or not twice.
    Property(u8),
}

impl std::error::Error for Malformed {}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => f.write_str("a length is no variable byte integer"),
            Self::TooLarge(size) => write!(f, "a packet of {size} bytes, more than was asked for"),
            Self::Short => f.write_str("a packet ends before its parts do"),
            Self::Quality => f.write_str("a PUBLISH of a quality of service that was not subscribed"),
            Self::Property(kind) => write!(f, "a PUBLISH with property 0x{kind:02X}, or twice with it"),
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
