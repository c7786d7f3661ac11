//! Strings: where they end, and what their escapes mean.

use super::{JsonError, Reason};

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGH: u64 = ONES << 7;

/// The first quote, backslash or control character at or after `position`, or the end.
pub fn find_special(bytes: &[u8], mut position: usize) -> usize {
    #[cfg(target_arch = "x86_64")]
    while let Some(chunk) = bytes.get(position..).and_then(|rest| rest.first_chunk::<16>()) {
        let hits = super::simd::special(chunk);
        if hits != 0 {
            return position + hits.trailing_zeros() as usize;
        }
        position += 16;
    }
    #[cfg(target_arch = "x86_64")]
    if let Some(chunk) = bytes.last_chunk::<16>() {
        // Fewer than 16 bytes are left: the last 16, without those that were looked at.
        let seen = position + 16 - bytes.len();
        let hits = super::simd::special(chunk) >> seen;
        return if hits == 0 {
            bytes.len()
        } else {
            position + hits.trailing_zeros() as usize
        };
    }
    // Eight bytes at a time. The subtractions borrow upwards only, so the lowest hit is a real one.
    while let Some(chunk) = bytes.get(position..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*chunk);
        let quote = word ^ (ONES * 0x22);
        let backslash = word ^ (ONES * 0x5c);
        let hits = (quote.wrapping_sub(ONES) & !quote)
            | (backslash.wrapping_sub(ONES) & !backslash)
            | (word.wrapping_sub(ONES * 0x20) & !word);
        if hits & HIGH != 0 {
            return position + (hits & HIGH).trailing_zeros() as usize / 8;
        }
        position += 8;
    }
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
    let rest = bytes.get(position..).unwrap_or_default();
    position + rest.iter().position(special).unwrap_or(rest.len())
}

/// Where the string ends whose text begins at `position`, and whether it holds escapes.
pub fn find_end(bytes: &[u8], mut position: usize) -> Result<(usize, bool), JsonError> {
    let mut escaped = false;
    loop {
        position = find_special(bytes, position);
        match bytes.get(position) {
            Some(b'"') => return Ok((position, escaped)),
            Some(b'\\') => {
                escaped = true;
                position = escape(bytes, position)?.1;
            }
            Some(_) => {
                return Err(JsonError {
                    offset: position,
                    reason: Reason::Control,
                })
            }
            None => {
                return Err(JsonError {
                    offset: position,
                    reason: Reason::End,
                })
            }
        }
    }
}

/// The character that the escape at `position` stands for, and the byte after it.
pub fn escape(bytes: &[u8], position: usize) -> Result<(char, usize), JsonError> {
    let simple = match bytes.get(position + 1) {
        Some(byte @ (b'"' | b'\\' | b'/')) => char::from(*byte),
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode(bytes, position),
        Some(_) => {
            return Err(JsonError {
                offset: position,
                reason: Reason::Escape,
            })
        }
        None => {
            return Err(JsonError {
                offset: position + 1,
                reason: Reason::End,
            })
        }
    };
    Ok((simple, position + 2))
}

fn unicode(bytes: &[u8], position: usize) -> Result<(char, usize), JsonError> {
    let surrogate = JsonError {
        offset: position,
        reason: Reason::Surrogate,
    };
    let first = hex(bytes, position + 2)?;
    if let Some(char) = char::from_u32(first) {
        return Ok((char, position + 6));
    }
    if first >= 0xdc00 || bytes.get(position + 6) != Some(&b'\\') || bytes.get(position + 7) != Some(&b'u') {
        return Err(surrogate);
    }
    let second = hex(bytes, position + 8)?;
    if !(0xdc00..0xe000).contains(&second) {
        return Err(surrogate);
    }
    let char = char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)).ok_or(surrogate)?;
    Ok((char, position + 12))
}

fn hex(bytes: &[u8], position: usize) -> Result<u32, JsonError> {
    let mut value = 0;
    for offset in position..position + 4 {
        let byte = bytes.get(offset).ok_or(JsonError {
            offset,
            reason: Reason::End,
        })?;
        let digit = char::from(*byte).to_digit(16).ok_or(JsonError {
            offset,
            reason: Reason::Escape,
        })?;
        value = value << 4 | digit;
    }
    Ok(value)
}

/// The text that these characters between quotes stand for. An escape that is not valid is left as it is.
pub fn unescape(raw: &str) -> String {
    let bytes = raw.as_bytes();
    let mut out = String::with_capacity(raw.len());
    let (mut copied, mut position) = (0, 0);
    while let Some(found) = bytes
        .get(position..)
        .and_then(|rest| rest.iter().position(|byte| *byte == b'\\'))
    {
        position += found;
        match escape(bytes, position) {
            Ok((char, end)) => {
                out.push_str(raw.get(copied..position).unwrap_or_default());
                out.push(char);
                (copied, position) = (end, end);
            }
            Err(_) => position += 1,
        }
    }
    out.push_str(raw.get(copied..).unwrap_or_default());
    out
}

/// Whether the text can stand in a JSON string as it is.
pub fn is_plain(text: &str) -> bool {
    find_special(text.as_bytes(), 0) == text.len()
}

/// Appends the text as a JSON string, with its quotes.
///
/// ```
/// let mut out = Vec::new();
/// purista_core::json::push_string(&mut out, "a\"\n");
/// assert_eq!(out, br#""a\"\n""#);
/// ```
pub fn push_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    push_escaped(out, text);
    out.push(b'"');
}

/// Appends the text as it stands between the quotes of a JSON string.
pub fn push_escaped(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let mut position = 0;
    loop {
        let special = find_special(bytes, position);
        out.extend_from_slice(bytes.get(position..special).unwrap_or_default());
        let Some(byte) = bytes.get(special) else { return };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            8 => out.extend_from_slice(b"\\b"),
            12 => out.extend_from_slice(b"\\f"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(crate::ids::Hex::new(&[*byte]).as_str().as_bytes());
            }
        }
        position = special + 1;
    }
}
