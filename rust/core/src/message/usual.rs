//! The short way through an envelope whose members look and follow on each other as we write them.

use super::decode::{Found, OTHERS};
use super::decoded::{Span, RECEIVER, SENDER};
use super::field::Text;
use super::DecodeError;
use crate::json::Scanner;
use crate::MessageType;

/// How members begin, in the order in which they are written here: up to where the value differs.
const USUAL: [(&[u8], usize); 14] = [
    (Text::Id.key(), Text::Id as usize),
    (Text::CorrelationId.key(), Text::CorrelationId as usize),
    (Text::TraceId.key(), Text::TraceId as usize),
    (Text::PrincipalId.key(), Text::PrincipalId as usize),
    (Text::TenantId.key(), Text::TenantId as usize),
    (Text::ContentType.key(), Text::ContentType as usize),
    (Text::ContentEncoding.key(), Text::ContentEncoding as usize),
    (b"\"timestamp\":", Text::COUNT + 3),
    (Text::EventName.key(), Text::EventName as usize),
    (b"\"messageType\":\"", Text::COUNT),
    (b"\"sender\":{", Text::COUNT + 1),
    (b"\"receiver\":{", Text::COUNT + 2),
    (b"\"payload\":", Text::COUNT + 6),
    (br#""otp":"{\"traceparent\":\""#, Text::COUNT + 5),
];

impl Found {
    /// Reads a member that looks as usual, and comes after those that did. `false` if this one does not.
    pub(super) fn usual_member(&mut self, scanner: &mut Scanner<'_>) -> Result<bool, DecodeError> {
        let start = scanner.offset();
        for (n, (begin, bit)) in USUAL.iter().enumerate().skip(self.usual) {
            if !scanner.take(begin) {
                continue;
            }
            self.usual = n + 1;
            let is_new = self.seen & 1 << bit == 0;
            if is_new && self.usual_value(scanner, *bit)? {
                self.seen |= 1 << bit;
                return Ok(true);
            }
            scanner.go_to(start);
            break;
        }
        Ok(false)
    }

    fn usual_value(&mut self, scanner: &mut Scanner<'_>, bit: usize) -> Result<bool, DecodeError> {
        match bit.checked_sub(Text::COUNT).map(|n| OTHERS[n]) {
            None => {
                let Some(range) = scanner.plain_rest() else {
                    return Ok(false);
                };
                self.texts[bit] = Span::new(range);
            }
            Some("messageType") => {
                let name = scanner.plain_rest().map(|range| scanner.slice(range));
                self.message_type = name.and_then(MessageType::from_name);
                return Ok(self.message_type.is_some());
            }
            Some(whose @ ("sender" | "receiver")) => {
                scanner.go_to(scanner.offset() - 1); // to the bracket
                if whose == "sender" {
                    self.has_sender = true;
                    self.address(scanner, "sender", SENDER)?;
                } else {
                    self.has_receiver = true;
                    self.address(scanner, "receiver", RECEIVER)?;
                }
            }
            Some("timestamp") => match scanner.digits() {
                Some(number) => self.timestamp = Some(number),
                None => return Ok(false),
            },
            Some("otp") => {
                let start = scanner.offset();
                let end = scanner.plain_end();
                scanner.go_to(end);
                if !scanner.take(br#"\"}""#) {
                    return Ok(false);
                }
                self.texts[Text::Traceparent as usize] = Span::new(start..end);
            }
            _ => {
                let kind = scanner.kind()?;
                self.payload(scanner, kind)?;
            }
        }
        Ok(true)
    }
}
