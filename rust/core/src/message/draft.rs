//! Writing an envelope.

use super::field::{Text, ADDRESS};
use super::{otp, DecodeError, Problem};
use crate::json::{self, push_string};
use crate::MessageType;

/// A message to write. What is `None` is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draft<'a> {
    /// What the message is.
    pub message_type: MessageType,
    /// The texts, by [`Text`].
    pub texts: [Option<&'a str>; Text::COUNT],
    /// Milliseconds since 1970 UTC.
    pub timestamp: Option<u64>,
    /// Whether the error in it is meant for the caller.
    pub is_handled_error: Option<bool>,
    /// Who sends it: service, version, target, instance.
    pub sender: [Option<&'a str>; 4],
    /// Whom it is for.
    pub receiver: Option<[Option<&'a str>; 4]>,
    /// The payload: one JSON value.
    pub payload: Option<&'a [u8]>,
}

impl Draft<'_> {
    /// The envelope.
    ///
    /// # Errors
    /// If a field is missing without which it could not be decoded, or the payload is not one JSON value.
    ///
    /// ```
    /// use purista_core::{message::{decode, Draft, Text}, MessageType};
    /// let draft = Draft {
    ///     message_type: MessageType::CustomMessage, texts: [None; Text::COUNT], timestamp: Some(1),
    ///     is_handled_error: None, sender: [Some("S"), Some("1"), Some("t"), Some("i")], receiver: None,
    ///     payload: Some(b"[1]"),
    /// };
    /// let data = draft.encode()?;
    /// assert_eq!(decode(&data)?.draft(&data), draft);
    /// # Ok::<_, purista_core::message::DecodeError>(())
    /// ```
    pub fn encode(&self) -> Result<Vec<u8>, DecodeError> {
        self.check()?;
        let texts: usize = self.texts.iter().flatten().map(|text| text.len()).sum();
        let payload = self.payload.map_or(0, <[u8]>::len);
        let mut out = Vec::with_capacity(640 + texts + payload);
        out.push(b'{');
        self.text(&mut out, Text::Id);
        if let Some(handled) = self.is_handled_error {
            key(&mut out, "isHandledError");
            out.extend_from_slice(if handled { b"true" } else { b"false" });
        }
        for text in [
            Text::CorrelationId,
            Text::TraceId,
            Text::PrincipalId,
            Text::TenantId,
            Text::ContentType,
            Text::ContentEncoding,
        ] {
            self.text(&mut out, text);
        }
        if let Some(timestamp) = self.timestamp {
            key(&mut out, "timestamp");
            out.extend_from_slice(timestamp.to_string().as_bytes());
        }
        self.text(&mut out, Text::EventName);
        key(&mut out, "messageType");
        push_string(&mut out, self.message_type.as_str());
        address(&mut out, "sender", &self.sender);
        if let Some(receiver) = &self.receiver {
            address(&mut out, "receiver", receiver);
        }
        if let Some(payload) = self.payload {
            key(&mut out, "payload");
            out.extend_from_slice(payload);
        }
        let [.., traceparent, tracestate] = self.texts;
        if let Some(otp) = otp::object(traceparent, tracestate) {
            key(&mut out, "otp");
            push_string(&mut out, &otp);
        }
        out.push(b'}');
        Ok(out)
    }

    fn check(&self) -> Result<(), DecodeError> {
        let missing = |field| DecodeError::new(field, 0, Problem::Missing);
        if self.message_type.is_call() {
            self.receiver.ok_or_else(|| missing("receiver"))?;
            self.texts[Text::CorrelationId as usize].ok_or_else(|| missing("correlationId"))?;
        }
        for ((_, field, _), part) in ADDRESS.iter().zip(self.sender) {
            part.ok_or_else(|| missing(field))?;
        }
        for ((_, _, field), part) in ADDRESS.iter().zip(self.receiver.iter().flatten()).take(3) {
            part.ok_or_else(|| missing(field))?;
        }
        let invalid = |error| DecodeError {
            field: Some("payload"),
            ..DecodeError::from(error)
        };
        // The envelope itself is one level.
        self.payload
            .map_or(Ok(()), |payload| json::check_within(payload, 1).map_err(invalid))
    }

    fn text(&self, out: &mut Vec<u8>, text: Text) {
        if let Some(value) = self.texts[text as usize] {
            key(out, text.name());
            push_string(out, value);
        }
    }
}

fn key(out: &mut Vec<u8>, name: &str) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
    push_string(out, name);
    out.push(b':');
}

fn address(out: &mut Vec<u8>, whose: &str, parts: &[Option<&str>; 4]) {
    key(out, whose);
    out.push(b'{');
    for ((name, ..), part) in ADDRESS.iter().zip(parts) {
        if let Some(part) = part {
            key(out, name);
            push_string(out, part);
        }
    }
    out.push(b'}');
}
