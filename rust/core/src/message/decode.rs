//! Reading an envelope in one pass, without building anything for the payload.

use super::call::parts_of_call;
use super::decoded::{Decoded, Span, RECEIVER, SENDER, SPANS, TOO_LONG};
use super::field::{Text, ADDRESS};
use super::{otp, DecodeError, Problem};
use crate::json::{JsonError, Kind, Raw, Scanner};
use crate::MessageType;

/// Reads an envelope.
///
/// Unknown fields are checked to be JSON and otherwise ignored. `null` counts as absent, but in the payload.
///
/// # Errors
/// If the data is not one JSON object of valid UTF-8, nests deeper than [`crate::json::MAX_DEPTH`], or has a
/// header field that is missing, of the wrong type or there twice, or is 2 GiB or more.
///
/// ```
/// let data = br#"{"messageType":"customMessage","eventName":"e","payload":[1],
///     "sender":{"serviceName":"S","serviceVersion":"1","serviceTarget":"t","instanceId":"i"}}"#;
/// let decoded = purista_core::message::decode(data)?;
/// assert_eq!(decoded.fields().event_name, "e");
/// assert_eq!(decoded.payload(), Some("[1]"));
/// # Ok::<_, purista_core::message::DecodeError>(())
/// ```
pub fn decode(data: &[u8]) -> Result<Decoded<'_>, DecodeError> {
    let mut scanner = Scanner::new(data)?;
    if data.len() >= TOO_LONG {
        return Err(DecodeError::new("message", TOO_LONG, Problem::Size));
    }
    expect(&mut scanner, None, Kind::Object, "an object")?;
    let mut found = Found::default();
    scanner.members(|scanner| {
        if found.usual_member(scanner)? {
            return Ok(());
        }
        let key = scanner.key()?;
        found.member(scanner, key)
    })?;
    scanner.end()?;
    found.finish(scanner.slice(0..data.len()))
}

/// The other fields of an envelope, after those of [`Text`].
pub(super) const OTHERS: [&str; 7] = [
    "messageType",
    "sender",
    "receiver",
    "timestamp",
    "isHandledError",
    "otp",
    "payload",
];

/// How the members of an address begin.
const ADDRESS_KEYS: [&[u8]; 4] = [
    b"\"serviceName\":\"",
    b"\"serviceVersion\":\"",
    b"\"serviceTarget\":\"",
    b"\"instanceId\":\"",
];

/// What was read so far. Each field is there once at most, so `null`s are noted too.
#[derive(Default)]
pub(super) struct Found {
    pub(super) seen: u32,
    /// How many of [`USUAL`] are behind.
    pub(super) usual: usize,
    pub(super) message_type: Option<MessageType>,
    pub(super) texts: [Span; SPANS],
    pub(super) timestamp: Option<u64>,
    pub(super) is_handled_error: Option<bool>,
    pub(super) has_sender: bool,
    pub(super) has_receiver: bool,
    pub(super) unescaped: String,
    pub(super) payload: Span,
    pub(super) call: Option<[Span; 2]>,
}

impl Found {
    fn member(&mut self, scanner: &mut Scanner<'_>, key: Raw<'_>) -> Result<(), DecodeError> {
        let name = key.decode();
        let (bit, field) = if let Some(text) = Text::from_name(&name) {
            (text as usize, text.name())
        } else {
            match OTHERS.iter().position(|other| *other == name) {
                Some(n) => (Text::COUNT + n, OTHERS[n]),
                None => return scanner.ignore().map_err(Into::into),
            }
        };
        let kind = scanner.kind()?;
        if self.seen & 1 << bit != 0 {
            return Err(DecodeError::new(field, scanner.offset(), Problem::Duplicate));
        }
        self.seen |= 1 << bit;
        if field == "payload" {
            return self.payload(scanner, kind);
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
            "sender" => {
                self.has_sender = true;
                self.address(scanner, field, SENDER)?;
            }
            "receiver" => {
                self.has_receiver = true;
                self.address(scanner, field, RECEIVER)?;
            }
            "timestamp" => self.timestamp = Some(timestamp(scanner, field)?),
            "isHandledError" => {
                expect(scanner, Some(field), Kind::Bool, "true or false")?;
                self.is_handled_error = Some(scanner.boolean()?);
            }
            "otp" => {
                let what = "a string that holds an object";
                expect(scanner, Some(field), Kind::String, what)?;
                self.otp(scanner.string()?, scanner.offset());
            }
            _ => {
                expect(scanner, Some(field), Kind::String, "a string")?;
                self.texts[bit] = self.text(scanner)?;
            }
        }
        Ok(())
    }

    fn text(&mut self, scanner: &mut Scanner<'_>) -> Result<Span, JsonError> {
        let raw = scanner.string()?;
        if raw.escaped {
            return Ok(self.copy(&raw.decode()));
        }
        let end = scanner.offset() - 1; // of the quote
        Ok(Span::new(end - raw.text.len()..end))
    }

    fn copy(&mut self, text: &str) -> Span {
        let start = self.unescaped.len();
        self.unescaped.push_str(text);
        let span = Span::new(start..self.unescaped.len());
        Span {
            start: span.start | Span::UNESCAPED,
            ..span
        }
    }

    pub(super) fn payload(&mut self, scanner: &mut Scanner<'_>, kind: Kind) -> Result<(), DecodeError> {
        let start = scanner.offset();
        // Saves a second look; whoever asks for the parts has to be told of an error.
        if kind == Kind::Object && self.message_type == Some(MessageType::Command) {
            let parts = parts_of_call(scanner)?.ok();
            self.call = parts.map(|parts| parts.map(|part| part.map_or(Span::ABSENT, Span::new)));
            self.payload = Span::new(start..scanner.offset());
        } else {
            self.payload = Span::new(scanner.skip()?);
        }
        Ok(())
    }

    fn otp(&mut self, raw: Raw<'_>, offset: usize) {
        if let Some(range) = otp::plain(raw.text) {
            let start = offset - 1 - raw.text.len();
            self.texts[Text::Traceparent as usize] = Span::new(start + range.start..start + range.end);
            return;
        }
        let found = otp::read(raw);
        for (text, value) in [Text::Traceparent, Text::Tracestate].into_iter().zip(found) {
            if let Some(value) = value {
                self.texts[text as usize] = self.copy(&value);
            }
        }
    }

    pub(super) fn address(
        &mut self,
        scanner: &mut Scanner<'_>,
        whose: &'static str,
        first: usize,
    ) -> Result<(), DecodeError> {
        expect(scanner, Some(whose), Kind::Object, "an object")?;
        let mut seen = 0_u8;
        let mut usual = 0;
        scanner.members(|scanner| {
            let start = scanner.offset();
            if let Some(begin) = ADDRESS_KEYS.get(usual) {
                if seen & 1 << usual == 0 && scanner.take(begin) {
                    if let Some(range) = scanner.plain_rest() {
                        self.texts[first + usual] = Span::new(range);
                        seen |= 1 << usual;
                        usual += 1;
                        return Ok(());
                    }
                    scanner.go_to(start);
                }
            }
            let key = scanner.key()?;
            let name = key.decode();
            let Some(n) = ADDRESS.iter().position(|(field, ..)| *field == name) else {
                return scanner.ignore().map_err(Into::into);
            };
            let field = if first == SENDER {
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
            self.texts[first + n] = self.text(scanner)?;
            Ok::<_, DecodeError>(())
        })
    }

    fn finish(self, data: &str) -> Result<Decoded<'_>, DecodeError> {
        let missing = |field| DecodeError::new(field, data.len(), Problem::Missing);
        let need = |span, field| {
            if self.texts[span] == Span::ABSENT {
                return Err(missing(field));
            }
            Ok(())
        };
        let message_type = self.message_type.ok_or_else(|| missing("messageType"))?;
        if !self.has_sender {
            return Err(missing("sender"));
        }
        for (n, (_, field, _)) in ADDRESS.iter().enumerate() {
            need(SENDER + n, field)?;
        }
        if message_type.is_call() {
            if !self.has_receiver {
                return Err(missing("receiver"));
            }
            need(Text::CorrelationId as usize, "correlationId")?;
        }
        if self.has_receiver {
            for (n, (_, _, field)) in ADDRESS.iter().enumerate().take(3) {
                need(RECEIVER + n, field)?;
            }
        }
        Ok(Decoded {
            data,
            message_type,
            timestamp: self.timestamp,
            is_handled_error: self.is_handled_error,
            texts: self.texts,
            has_receiver: self.has_receiver,
            unescaped: self.unescaped.into_boxed_str(),
            payload: self.payload,
            call: self.call,
        })
    }
}

pub(super) fn expect(
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
