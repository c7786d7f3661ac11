//! The properties of packets (MQTT 5, 2.2.2): read one after the other, each of the type that its identifier has.

use super::{number, text, variable, Malformed};

/// The value of a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// A byte, an integer of two or four bytes, or a variable byte integer.
    Number(u32),
    /// A text or binary data.
    Text(&'a [u8]),
    /// A user property: a name and a value.
    Pair,
}

/// A set of properties, as bits.
pub(super) const fn set(kinds: &[u8]) -> u64 {
    let (mut found, mut n) = (0, 0);
    while n < kinds.len() {
        found |= 1 << kinds[n];
        n += 1;
    }
    found
}

/// Calls `take` with each of the properties.
///
/// # Errors
/// For one that is not among the allowed, is there twice and not among the repeated (MQTT 5, 2.2.2.2), or ends early;
/// and what `take` raises.
pub(super) fn each<'a, E: From<Malformed>>(
    mut rest: &'a [u8],
    allowed: u64,
    repeated: u64,
    mut take: impl FnMut(u8, Value<'a>) -> Result<(), E>,
) -> Result<(), E> {
    let mut seen = 0_u64;
    while let Some((&kind, after)) = rest.split_first() {
        let bit = 1_u64.checked_shl(u32::from(kind)).unwrap_or_default();
        if bit & allowed == 0 || bit & seen & !repeated != 0 {
            return Err(Malformed::Property(kind).into());
        }
        seen |= bit;
        let (value, next) = value(kind, after)?;
        rest = next;
        take(kind, value)?;
    }
    Ok(())
}

/// The value of a property and what follows it (MQTT 5, table 2-4).
fn value(kind: u8, data: &[u8]) -> Result<(Value<'_>, &[u8]), Malformed> {
    Ok(match kind {
        0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28..=0x2A => {
            let (byte, rest) = data.split_first().ok_or(Malformed::Short)?;
            (Value::Number(u32::from(*byte)), rest)
        }
        0x13 | 0x21..=0x23 => {
            let (two, rest) = number(data)?;
            (Value::Number(u32::from(two)), rest)
        }
        0x02 | 0x11 | 0x18 | 0x27 => {
            let (four, rest) = data.split_first_chunk::<4>().ok_or(Malformed::Short)?;
            (Value::Number(u32::from_be_bytes(*four)), rest)
        }
        0x0B => {
            let (long, rest) = variable(data)?.ok_or(Malformed::Short)?;
            (Value::Number(u32::try_from(long).unwrap_or_default()), rest) // 28 bits at most
        }
        0x03 | 0x08 | 0x09 | 0x12 | 0x15 | 0x16 | 0x1A | 0x1C | 0x1F => {
            let (text, rest) = text(data)?;
            (Value::Text(text), rest)
        }
        0x26 => (Value::Pair, text(text(data)?.1)?.1),
        _ => return Err(Malformed::Property(kind)),
    })
}
