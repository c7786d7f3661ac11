//! Where packets begin and end.

use super::{variable, Malformed};

/// A packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// All of it.
    pub whole: &'a [u8],
    /// Its first byte: the type, and flags.
    pub header: u8,
    /// What follows the fixed header.
    pub body: &'a [u8],
}

/// The first packet of a stream; `None` if it has not come in full.
///
/// ```
/// use purista_core::mqtt::first;
///
/// let frame = first(b"\x40\x02\x00\x07\xd0", 100)?.ok_or("a packet")?;
/// assert_eq!((frame.header, frame.body, frame.whole.len()), (0x40, &b"\x00\x07"[..], 4));
/// assert_eq!(first(b"\xd0", 100)?, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// For a length that is none, or more than `largest` bytes.
pub fn first(stream: &[u8], largest: usize) -> Result<Option<Frame<'_>>, Malformed> {
    let Some((header, rest)) = stream.split_first() else {
        return Ok(None);
    };
    let Some((length, rest)) = variable(rest)? else {
        return Ok(None);
    };
    let size = stream.len() - rest.len() + length;
    if size > largest {
        return Err(Malformed::TooLarge(size));
    }
    Ok(rest.get(..length).map(|body| Frame {
        whole: &stream[..size],
        header: *header,
        body,
    }))
}
