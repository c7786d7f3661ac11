//! Writing an envelope.

use super::field::{Text, ADDRESS};
use super::{otp, DecodeError, Problem};
use crate::json::{self, push_escaped};
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
    /// assert_eq!(decode(&data)?.draft(), draft);
    /// # Ok::<_, purista_core::message::DecodeError>(())
    /// ```
    pub fn encode(&self) -> Result<Vec<u8>, DecodeError> {
        self.check()?;
        self.check_payload()?;
        let Frame { mut text, payload_at } = self.frame([None, None], false);
        let rest = text.split_off(payload_at);
        text.extend_from_slice(self.payload.unwrap_or_default());
        text.extend_from_slice(&rest);
        Ok(text)
    }

    /// The envelope without its payload, if all fields are there.
    ///
    /// `addresses`: the JSON of sender and receiver where it is at hand; `plain`: whether the texts are known to need
    /// no escapes.
    pub(super) fn frame(&self, addresses: [Option<&str>; 2], plain: bool) -> Frame {
        let texts: usize = self.texts.iter().flatten().map(|text| text.len()).sum();
        let mut out = Vec::with_capacity(768 + texts);
        self.text(&mut out, Text::Id, plain);
        if let Some(handled) = self.is_handled_error {
            out.extend_from_slice(b",\"isHandledError\":");
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
            self.text(&mut out, text, plain);
        }
        if let Some(timestamp) = self.timestamp {
            out.extend_from_slice(b",\"timestamp\":");
            push_number(&mut out, timestamp);
        }
        self.text(&mut out, Text::EventName, plain);
        out.extend_from_slice(b",\"messageType\":\"");
        out.extend_from_slice(self.message_type.as_str().as_bytes());
        out.extend_from_slice(b"\",\"sender\":");
        push_address(&mut out, &self.sender, addresses[0]);
        if let Some(receiver) = &self.receiver {
            out.extend_from_slice(b",\"receiver\":");
            push_address(&mut out, receiver, addresses[1]);
        }
        if self.payload.is_some() {
            out.extend_from_slice(b",\"payload\":");
        }
        let payload_at = out.len();
        let [.., traceparent, tracestate] = self.texts;
        otp::push(&mut out, b",\"otp\":", traceparent, tracestate);
        out.push(b'}');
        // Each field brings the comma before it, the first one too.
        if let Some(first) = out.first_mut() {
            *first = b'{';
        }
        Frame {
            text: out,
            payload_at,
        }
    }

    /// Makes sure that all fields are there without which it could not be decoded.
    pub(super) fn check(&self) -> Result<(), DecodeError> {
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
        Ok(())
    }

    /// Makes sure that the payload is one JSON value.
    pub(super) fn check_payload(&self) -> Result<(), DecodeError> {
        let invalid = |error| DecodeError {
            field: Some("payload"),
            ..DecodeError::from(error)
        };
        // The envelope itself is one level.
        self.payload
            .map_or(Ok(()), |payload| json::check_within(payload, 1).map_err(invalid))
    }

    fn text(&self, out: &mut Vec<u8>, text: Text, plain: bool) {
        if let Some(value) = self.texts[text as usize] {
            out.extend_from_slice(text.member().as_bytes());
            if plain {
                out.extend_from_slice(value.as_bytes());
            } else {
                push_escaped(out, value);
            }
            out.push(b'"');
        }
    }

    /// The trace context as the text of an object.
    pub fn otp(&self) -> Option<String> {
        let [.., traceparent, tracestate] = self.texts;
        otp::object(traceparent, tracestate)
    }

    /// The MQTT user properties, in the order in which PURISTA writes them. An absent text has none, nor has an
    /// empty one but in the addresses.
    pub fn user_properties(&self, mut push: impl FnMut(&'static str, &str)) {
        push("messageType", self.message_type.as_str());
        let [name, version, target, instance] = self.sender.map(Option::unwrap_or_default);
        push("senderServiceName", name);
        push("senderServiceVersion", version);
        push("senderServiceTarget", target);
        push("senderInstanceId", instance);
        if let (true, Some(address)) = (self.message_type.is_call(), self.receiver) {
            let [name, version, target, instance] = address.map(Option::unwrap_or_default);
            push("receiverServiceName", name);
            push("receiverServiceVersion", version);
            push("receiverServiceTarget", target);
            if !instance.is_empty() {
                push("receiverInstanceId", instance);
            }
        }
        for text in [
            Text::Traceparent,
            Text::Tracestate,
            Text::EventName,
            Text::PrincipalId,
            Text::TenantId,
        ] {
            if let Some(value) = self.texts[text as usize].filter(|value| !value.is_empty()) {
                push(text.name(), value);
            }
        }
    }
}

/// An envelope without its payload.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Everything else.
    pub text: Vec<u8>,
    /// Where the payload belongs.
    pub payload_at: usize,
}

/// Appends an address, prepared or not.
fn push_address(out: &mut Vec<u8>, parts: &[Option<&str>; 4], prepared: Option<&str>) {
    match prepared {
        Some(json) => out.extend_from_slice(json.as_bytes()),
        None => push_parts(out, parts),
    }
}

/// Appends an address.
pub(super) fn push_parts(out: &mut Vec<u8>, parts: &[Option<&str>; 4]) {
    let start = out.len();
    for ((name, ..), part) in ADDRESS.iter().zip(parts) {
        if let Some(part) = part {
            out.extend_from_slice(b",\"");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":\"");
            push_escaped(out, part);
            out.push(b'"');
        }
    }
    match out.get_mut(start) {
        Some(first) => *first = b'{',
        None => out.push(b'{'),
    }
    out.push(b'}');
}

fn push_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break out.extend_from_slice(&digits[first..]);
        }
    }
}
