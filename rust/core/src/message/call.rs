//! The payload of a command: an inner payload and a parameter.

use std::ops::Range;

use super::decode::expect;
use super::{DecodeError, Problem};
use crate::json::{JsonError, Kind, Scanner};

/// Where the inner payload and parameter of a command stand.
pub type Call = [Option<Range<usize>>; 2];

/// Where the inner payload and parameter of a command stand within its payload.
///
/// # Errors
/// If the payload is not an object, or names one of them twice.
pub fn call(payload: &[u8]) -> Result<Call, DecodeError> {
    let mut scanner = Scanner::new(payload)?;
    let what = "an object with payload and parameter";
    expect(&mut scanner, Some("payload"), Kind::Object, what)?;
    let found = parts_of_call(&mut scanner)?;
    scanner.end()?;
    found
}

/// Reads the payload of a command to its end, even if it names a part twice.
pub(super) fn parts_of_call(scanner: &mut Scanner<'_>) -> Result<Result<Call, DecodeError>, JsonError> {
    let mut found = Ok([None, None]);
    scanner.members(|scanner| {
        let (slot, field) = if scanner.take(b"\"payload\":") {
            (0, "payload.payload")
        } else if scanner.take(b"\"parameter\":") {
            (1, "payload.parameter")
        } else {
            match &*scanner.key()?.decode() {
                "payload" => (0, "payload.payload"),
                "parameter" => (1, "payload.parameter"),
                _ => return scanner.ignore(),
            }
        };
        let range = scanner.skip()?;
        match &mut found {
            Ok(parts) if parts[slot].is_none() => parts[slot] = Some(range),
            Ok(_) => found = Err(DecodeError::new(field, range.start, Problem::Duplicate)),
            Err(_) => {}
        }
        Ok::<_, JsonError>(())
    })?;
    Ok(found)
}
