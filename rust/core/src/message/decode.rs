//! Reading an envelope in one pass, without building anything for the payload.

use std::borrow::Cow;
use std::ops::Range;

use super::field::{Text, ADDRESS};
use super::{otp, DecodeError, Draft, Problem};
use crate::json::{Kind, Raw, Scanner};
use crate::{AddressRef, Fields, MessageType};

/// The header of an envelope, borrowed from its bytes (copied only where a string holds escapes), and where
/// its payload stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// What the message is.
    pub message_type: MessageType,
    /// The texts, by [`Text`].
    pub texts: [Option<Cow<'a, str>>; Text::COUNT],
    /// Milliseconds since 1970 UTC.
    pub timestamp: Option<u64>,
    /// Whether the error in it was meant for the caller.
    pub is_handled_error: Option<bool>,
    /// Who sent it: service, version, target, instance.
    pub sender: [Option<Cow<'a, str>>; 4],
    /// Whom it is for.
    pub receiver: Option<[Option<Cow<'a, str>>; 4]>,
    /// The bytes of the payload, which are one valid JSON value.
    pub payload: Option<Range<usize>>,
}

impl Decoded<'_> {
    /// A text of the header.
    pub fn text(&self, text: Text) -> Option<&str> {
        self.texts[text as usize].as_deref()
    }

    /// What it is routed by.
    pub fn fields(&self) -> Fields<'_> {
        Fields {
            message_type: self.message_type,
            event_name: self.text(Text::EventName).unwrap_or_default(),
            principal_id: self.text(Text::PrincipalId).unwrap_or_default(),
            tenant_id: self.text(Text::TenantId).unwrap_or_default(),
            sender: address_ref(&self.sender),
            receiver: self.receiver.as_ref().map(address_ref),
        }
    }

    /// The same as something to encode. `data` is what was decoded.
    pub fn draft<'s>(&'s self, data: &'s [u8]) -> Draft<'s> {
        let parts = |parts: &'s [Option<Cow<'_, str>>; 4]| parts.each_ref().map(Option::as_deref);
        Draft {
            message_type: self.message_type,
            texts: self.texts.each_ref().map(Option::as_deref),
            timestamp: self.timestamp,
            is_handled_error: self.is_handled_error,
            sender: parts(&self.sender),
            receiver: self.receiver.as_ref().map(parts),
            payload: self.payload.clone().and_then(|range| data.get(range)),
        }
    }
}

fn address_ref<'s>(parts: &'s [Option<Cow<'_, str>>; 4]) -> AddressRef<'s> {
    let [service_name, service_version, service_target, instance_id] =
        parts.each_ref().map(|part| part.as_deref().unwrap_or_default());
    AddressRef {
        service_name,
        service_version,
        service_target,
        instance_id,
    }
}

/// Reads an envelope.
///
/// Unknown fields are checked to be JSON and otherwise ignored. `null` counts as absent, but in the payload.
///
/// # Errors
/// If the data is not one JSON object of valid UTF-8, nests deeper than [`crate::json::MAX_DEPTH`], or has a
/// header field that is missing, of the wrong type or there twice.
///
/// ```
/// let data = br#"{"messageType":"customMessage","eventName":"e","payload":[1],
///     "sender":{"serviceName":"S","serviceVersion":"1","serviceTarget":"t","instanceId":"i"}}"#;
/// let decoded = purista_core::message::decode(data)?;
/// assert_eq!(decoded.fields().event_name, "e");
/// assert_eq!(decoded.payload, Some(57..60));
/// # Ok::<_, purista_core::message::DecodeError>(())
/// ```
pub fn decode(data: &[u8]) -> Result<Decoded<'_>, DecodeError> {
    let mut scanner = Scanner::new(data)?;
    expect(&mut scanner, None, Kind::Object, "an object")?;
    let mut found = Found::default();
    scanner.object(|scanner, key| found.member(scanner, key))?;
    scanner.end()?;
    found.finish(data.len())
}

/// Where the inner payload and parameter of a command stand within its payload.
///
/// # Errors
/// If the payload is not an object, or names one of them twice.
pub fn call(payload: &[u8]) -> Result<[Option<Range<usize>>; 2], DecodeError> {
    let mut scanner = Scanner::new(payload)?;
    expect(
        &mut scanner,
        Some("payload"),
        Kind::Object,
        "an object with payload and parameter",
    )?;
    let mut found = [None, None];
    scanner.object(|scanner, key| {
        let (slot, field) = match &*key.decode() {
            "payload" => (0, "payload.payload"),
            "parameter" => (1, "payload.parameter"),
            _ => return scanner.ignore().map_err(Into::into),
        };
        let range = scanner.skip()?;
        if found[slot].is_some() {
            return Err(DecodeError::new(field, range.start, Problem::Duplicate));
        }
        found[slot] = Some(range);
        Ok::<_, DecodeError>(())
    })?;
    scanner.end()?;
    Ok(found)
}

/// What was read so far. Each field is there once at most, so `null`s are noted too.
#[derive(Default)]
struct Found<'a> {
    seen: u32,
    message_type: Option<MessageType>,
    texts: [Option<Cow<'a, str>>; Text::COUNT],
    timestamp: Option<u64>,
    is_handled_error: Option<bool>,
    sender: Option<[Option<Cow<'a, str>>; 4]>,
    receiver: Option<[Option<Cow<'a, str>>; 4]>,
    payload: Option<Range<usize>>,
}

impl<'a> Found<'a> {
    fn member(&mut self, scanner: &mut Scanner<'a>, key: Raw<'a>) -> Result<(), DecodeError> {
        let name = key.decode();
        let (bit, field) = if let Some(text) = Text::from_name(&name) {
            (text as usize, text.name())
        } else {
            let others = [
                "messageType",
                "sender",
                "receiver",
                "timestamp",
                "isHandledError",
                "otp",
                "payload",
            ];
            match others.iter().position(|other| *other == name) {
                Some(n) => (Text::COUNT + n, others[n]),
                None => return scanner.ignore().map_err(Into::into),
            }
        };
        let kind = scanner.kind()?;
        if self.seen & 1 << bit != 0 {
            return Err(DecodeError::new(field, scanner.offset(), Problem::Duplicate));
        }
        self.seen |= 1 << bit;
        if field == "payload" {
            self.payload = Some(scanner.skip()?);
            return Ok(());
        }
        if kind == Kind::Null {
            return scanner.ignore().map_err(Into::into);
        }
        let at = scanner.offset();
        match field {
            "messageType" => {
                expect(scanner, Some(field), Kind::String, "a string")?;
                let name = scanner.string()?.decode();
                let unknown = || DecodeError::new(field, at, Problem::MessageType((*name).into()));
                self.message_type = Some(MessageType::from_name(&name).ok_or_else(unknown)?);
            }
            "sender" => self.sender = Some(address(scanner, field)?),
            "receiver" => self.receiver = Some(address(scanner, field)?),
            "timestamp" => self.timestamp = Some(timestamp(scanner, field)?),
            "isHandledError" => {
                expect(scanner, Some(field), Kind::Bool, "true or false")?;
                self.is_handled_error = Some(scanner.boolean()?);
            }
            "otp" => {
                expect(
                    scanner,
                    Some(field),
                    Kind::String,
                    "a string that holds an object",
                )?;
                let [traceparent, tracestate] = otp::read(scanner.string()?);
                self.texts[Text::Traceparent as usize] = traceparent;
                self.texts[Text::Tracestate as usize] = tracestate;
            }
            _ => {
                expect(scanner, Some(field), Kind::String, "a string")?;
                self.texts[bit] = Some(scanner.string()?.decode());
            }
        }
        Ok(())
    }

    fn finish(self, end: usize) -> Result<Decoded<'a>, DecodeError> {
        let missing = |field| DecodeError::new(field, end, Problem::Missing);
        let message_type = self.message_type.ok_or_else(|| missing("messageType"))?;
        let sender = self.sender.ok_or_else(|| missing("sender"))?;
        for ((_, field, _), part) in ADDRESS.iter().zip(&sender) {
            part.as_ref().ok_or_else(|| missing(field))?;
        }
        if message_type.is_call() {
            self.receiver.as_ref().ok_or_else(|| missing("receiver"))?;
            self.texts[Text::CorrelationId as usize]
                .as_ref()
                .ok_or_else(|| missing("correlationId"))?;
        }
        for ((_, _, field), part) in ADDRESS.iter().zip(self.receiver.iter().flatten()).take(3) {
            part.as_ref().ok_or_else(|| missing(field))?;
        }
        Ok(Decoded {
            message_type,
            texts: self.texts,
            timestamp: self.timestamp,
            is_handled_error: self.is_handled_error,
            sender,
            receiver: self.receiver,
            payload: self.payload,
        })
    }
}

fn expect(
    scanner: &mut Scanner<'_>,
    field: Option<&'static str>,
    wanted: Kind,
    name: &'static str,
) -> Result<(), DecodeError> {
    let found = scanner.kind()?;
    if found == wanted {
        return Ok(());
    }
    Err(DecodeError {
        field,
        offset: scanner.offset(),
        problem: Problem::Type(name, found),
    })
}

fn address<'a>(
    scanner: &mut Scanner<'a>,
    whose: &'static str,
) -> Result<[Option<Cow<'a, str>>; 4], DecodeError> {
    expect(scanner, Some(whose), Kind::Object, "an object")?;
    let mut parts = [None, None, None, None];
    let mut seen = 0_u8;
    scanner.object(|scanner, key| {
        let name = key.decode();
        let Some(n) = ADDRESS.iter().position(|(field, ..)| *field == name) else {
            return scanner.ignore().map_err(Into::into);
        };
        let field = if whose == "sender" {
            ADDRESS[n].1
        } else {
            ADDRESS[n].2
        };
        let kind = scanner.kind()?;
        if seen & 1 << n != 0 {
            return Err(DecodeError::new(field, scanner.offset(), Problem::Duplicate));
        }
        seen |= 1 << n;
        if kind == Kind::Null {
            return scanner.ignore().map_err(Into::into);
        }
        expect(scanner, Some(field), Kind::String, "a string")?;
        parts[n] = Some(scanner.string()?.decode());
        Ok::<_, DecodeError>(())
    })?;
    Ok(parts)
}

fn timestamp(scanner: &mut Scanner<'_>, field: &'static str) -> Result<u64, DecodeError> {
    const WANTED: &str = "a whole number of milliseconds, not negative and below 2^63";
    expect(scanner, Some(field), Kind::Number, WANTED)?;
    let range = scanner.skip()?;
    let value = scanner
        .slice(range.clone())
        .parse()
        .ok()
        .filter(|value: &u64| i64::try_from(*value).is_ok());
    value.ok_or_else(|| DecodeError::new(field, range.start, Problem::Type(WANTED, Kind::Number)))
}
