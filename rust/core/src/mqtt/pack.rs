//! A PUBLISH that is sent.

use std::fmt;

use super::push_variable;
use crate::message::{Draft, Head, Text};

/// The longest remaining length (MQTT 5, 1.5.5).
pub(super) const LONGEST: usize = 268_435_455;

/// What MQTT does not carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unsendable {
    /// A text with control characters, for which brokers close the connection (MQTT 5, 1.5.4).
    Control(String),
    /// A text of so many bytes.
    Long(String, usize),
    /// A packet of so many bytes.
    Large(usize),
}

impl std::error::Error for Unsendable {}

impl fmt::Display for Unsendable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Control(text) => write!(f, "{text:?} has control characters, which MQTT does not carry"),
            Self::Long(text, size) => write!(
                f,
                "{text:?}… is {size} bytes long, an MQTT property has at most 65535"
            ),
            Self::Large(size) => write!(f, "a packet of {size} bytes, MQTT has at most {LONGEST}"),
        }
    }
}

/// The properties of a message, with their length in front: content type, expiry, correlation data and the user
/// properties, in PURISTA's order.
///
/// # Errors
/// For a text that MQTT does not carry.
pub fn pack_properties(draft: &Draft<'_>, expiry: u32) -> Result<Vec<u8>, Unsendable> {
    let mut out = Vec::with_capacity(512);
    out.push(0x03);
    let content_type = draft.texts[Text::ContentType as usize].unwrap_or(Head::CONTENT_TYPE);
    let mut result = push_text(&mut out, content_type);
    out.push(0x02);
    out.extend_from_slice(&expiry.to_be_bytes());
    if let Some(correlation) = draft.texts[Text::CorrelationId as usize] {
        out.push(0x09);
        result = result.and_then(|()| push_text(&mut out, correlation));
    }
    draft.user_properties(|name, value| {
        if result.is_ok() {
            out.push(0x26);
            result = push_text(&mut out, name).and_then(|()| push_text(&mut out, value));
        }
    });
    result?;
    let mut packed = Vec::with_capacity(out.len() + 4);
    push_variable(&mut packed, out.len());
    packed.append(&mut out);
    Ok(packed)
}

/// A PUBLISH of quality of service 1 up to its properties, which come next, and then the payload.
///
/// # Errors
/// If it would be too long, or the topic is.
pub fn publish_head(
    topic: &str,
    mid: u16,
    properties: usize,
    payload: usize,
    retain: bool,
) -> Result<Vec<u8>, Unsendable> {
    let length = 2 + topic.len() + 2 + properties + payload;
    if length > LONGEST {
        return Err(Unsendable::Large(length));
    }
    let mut out = Vec::with_capacity(topic.len() + 9);
    out.push(0x32 | u8::from(retain));
    push_variable(&mut out, length);
    push_text(&mut out, topic)?;
    out.extend_from_slice(&mid.to_be_bytes());
    Ok(out)
}

pub(super) fn push_text(out: &mut Vec<u8>, text: &str) -> Result<(), Unsendable> {
    let start = || text.chars().take(60).collect();
    // All that is refused begins with a byte below 0x20, or with one that no ASCII text has.
    if text.bytes().any(|byte| !(0x20..0x7F).contains(&byte)) && text.chars().any(is_refused) {
        return Err(Unsendable::Control(start()));
    }
    let Ok(length) = u16::try_from(text.len()) else {
        return Err(Unsendable::Long(start(), text.len()));
    };
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// Appends binary data with its length in front.
pub(super) fn push_binary(out: &mut Vec<u8>, data: &[u8], what: &str) -> Result<(), Unsendable> {
    let Ok(length) = u16::try_from(data.len()) else {
        return Err(Unsendable::Long(what.to_owned(), data.len()));
    };
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(data);
    Ok(())
}

/// Control characters and what Unicode calls no characters.
fn is_refused(character: char) -> bool {
    character.is_control() || matches!(character, '\u{fdd0}'..='\u{fdef}' | '\u{fffe}' | '\u{ffff}')
}
