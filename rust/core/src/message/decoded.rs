//! A decoded envelope: where its fields stand in it.

use std::ops::Range;

use super::call::call;
use super::field::Text;
use super::{DecodeError, Draft};
use crate::{AddressRef, Fields, MessageType};

/// The header of an envelope, and where its payload stands. Texts stay where they are in the envelope; only those
/// that hold escapes are copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded<'a> {
    pub(super) data: &'a str,
    /// What the message is.
    pub message_type: MessageType,
    /// Milliseconds since 1970 UTC.
    pub timestamp: Option<u64>,
    /// Whether the error in it was meant for the caller.
    pub is_handled_error: Option<bool>,
    pub(super) texts: [Span; SPANS],
    pub(super) has_receiver: bool,
    pub(super) unescaped: Box<str>,
    pub(super) payload: Span,
    /// The parts of a command's payload, if they were found with it.
    pub(super) call: Option<[Span; 2]>,
}

/// The texts by [`Text`], then sender and receiver.
pub(super) const SPANS: usize = Text::COUNT + 8;
pub(super) const SENDER: usize = Text::COUNT;
pub(super) const RECEIVER: usize = SENDER + 4;

/// Where a text stands: in the data or, if it was unescaped, among the copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

/// Longer data is refused, so that there is room for the marks of [`Span`].
pub(super) const TOO_LONG: usize = 1 << 31;

impl Default for Span {
    fn default() -> Self {
        Self::ABSENT
    }
}

impl Span {
    pub(super) const ABSENT: Self = Self {
        start: u32::MAX,
        end: 0,
    };
    pub(super) const UNESCAPED: u32 = 1 << 31;

    pub(super) fn new(range: Range<usize>) -> Self {
        let narrow = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        Self {
            start: narrow(range.start),
            end: narrow(range.end),
        }
    }

    fn of<'s>(self, data: &'s str, unescaped: &'s str) -> Option<&'s str> {
        if self.start & Self::UNESCAPED == 0 {
            data.get(self.start as usize..self.end as usize)
        } else {
            unescaped.get((self.start ^ Self::UNESCAPED) as usize..self.end as usize)
        }
    }
}

impl Decoded<'_> {
    /// A text of the header.
    pub fn text(&self, text: Text) -> Option<&str> {
        self.span(text as usize)
    }

    fn span(&self, index: usize) -> Option<&str> {
        self.texts[index].of(self.data, &self.unescaped)
    }

    fn address(&self, first: usize) -> [Option<&str>; 4] {
        [first, first + 1, first + 2, first + 3].map(|index| self.span(index))
    }

    /// Who sent it: service, version, target, instance.
    pub fn sender(&self) -> [Option<&str>; 4] {
        self.address(SENDER)
    }

    /// Whom it is for.
    pub fn receiver(&self) -> Option<[Option<&str>; 4]> {
        self.has_receiver.then(|| self.address(RECEIVER))
    }

    /// What it is routed by.
    pub fn fields(&self) -> Fields<'_> {
        Fields {
            message_type: self.message_type,
            event_name: self.text(Text::EventName).unwrap_or_default(),
            principal_id: self.text(Text::PrincipalId).unwrap_or_default(),
            tenant_id: self.text(Text::TenantId).unwrap_or_default(),
            sender: address_ref(self.sender()),
            receiver: self.receiver().map(address_ref),
        }
    }

    /// The payload, which is one valid JSON value.
    pub fn payload(&self) -> Option<&str> {
        self.payload.of(self.data, "")
    }

    /// The inner payload and the parameter of a command.
    ///
    /// # Errors
    /// As [`call`], with places in the payload.
    pub fn call(&self) -> Result<[Option<&str>; 2], DecodeError> {
        if let Some(found) = &self.call {
            return Ok(found.map(|part| part.of(self.data, "")));
        }
        let Some(payload) = self.payload() else {
            return Ok([None, None]);
        };
        Ok(call(payload.as_bytes())?.map(|range| range.and_then(|range| payload.get(range))))
    }

    /// The same as something to encode.
    pub fn draft(&self) -> Draft<'_> {
        Draft {
            message_type: self.message_type,
            texts: Text::ALL_OF.map(|text| self.text(text)),
            timestamp: self.timestamp,
            is_handled_error: self.is_handled_error,
            sender: self.sender(),
            receiver: self.receiver(),
            payload: self.payload().map(str::as_bytes),
        }
    }
}

/// An address of these parts; what is absent is empty.
pub(super) fn address_ref(parts: [Option<&str>; 4]) -> AddressRef<'_> {
    let [service_name, service_version, service_target, instance_id] = parts.map(Option::unwrap_or_default);
    AddressRef {
        service_name,
        service_version,
        service_target,
        instance_id,
    }
}
