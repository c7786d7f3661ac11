//! Where a number ends.

use super::{JsonError, Reason};

/// The byte after the number that begins at `start`.
pub fn find_end(bytes: &[u8], start: usize) -> Result<usize, JsonError> {
    let at = |position: usize| bytes.get(position).copied();
    let digits = |mut position: usize| {
        let first = position;
        while at(position).is_some_and(|byte| byte.is_ascii_digit()) {
            position += 1;
        }
        if position > first {
            return Ok(position);
        }
        let reason = if position >= bytes.len() {
            Reason::End
        } else {
            Reason::Number
        };
        Err(JsonError {
            offset: position,
            reason,
        })
    };
    let first = if at(start) == Some(b'-') { start + 1 } else { start };
    let mut end = digits(first)?;
    if at(first) == Some(b'0') && end > first + 1 {
        return Err(JsonError {
            offset: first + 1,
            reason: Reason::Number,
        });
    }
    if at(end) == Some(b'.') {
        end = digits(end + 1)?;
    }
    if matches!(at(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(at(end + 1), Some(b'+' | b'-')));
        end = digits(end + 1 + sign)?;
    }
    Ok(end)
}
