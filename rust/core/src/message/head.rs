//! The header of a message in memory.

use std::sync::Arc;

use super::decoded::address_ref;
use super::draft::{push_parts, Frame};
use super::{DecodeError, Draft, Text};
use crate::ids::{self, Hex};
use crate::json::is_plain;
use crate::{AddressRef, Fields, MessageType, Texts};

/// An address that is cheap to clone.
///
/// ```
/// let address = purista_core::message::Address::new(["User", "1", "signUp"], None);
/// assert_eq!(address.borrowed().service_target, "signUp");
/// assert_eq!(address.instance_id(), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address(Arc<Prepared>);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Prepared {
    texts: Texts<4>,
    /// As it stands in an envelope.
    json: Box<str>,
}

impl Address {
    /// An address: service, version, target, and the instance, if one is meant.
    pub fn new([name, version, target]: [&str; 3], instance_id: Option<&str>) -> Self {
        Self::from_parts([Some(name), Some(version), Some(target), instance_id])
    }

    /// An address of these parts: service, version, target, instance.
    pub fn from_parts(parts: [Option<&str>; 4]) -> Self {
        let mut json = Vec::with_capacity(160);
        push_parts(&mut json, &parts);
        Self(Arc::new(Prepared {
            texts: Texts::new(parts),
            json: String::from_utf8(json).unwrap_or_default().into_boxed_str(),
        }))
    }

    /// Its texts; that of an absent instance is empty.
    pub fn borrowed(&self) -> AddressRef<'_> {
        address_ref(self.parts())
    }

    /// The instance, if one is meant.
    pub fn instance_id(&self) -> Option<&str> {
        self.0.texts.get(3)
    }

    /// The same as [`Self::from_parts`] takes.
    pub fn parts(&self) -> [Option<&str>; 4] {
        [0, 1, 2, 3].map(|n| self.0.texts.get(n))
    }

    fn json(&self) -> &str {
        &self.0.json
    }
}

/// The id of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageId {
    /// Made here; its hex digits are written when somebody asks.
    Random(ids::Id),
    /// Among the texts, or absent.
    Given,
}

/// Everything of a message but its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// What the message is.
    pub message_type: MessageType,
    /// Its id.
    pub id: MessageId,
    /// Milliseconds since 1970 UTC.
    pub timestamp: Option<u64>,
    /// Whether the error in it is meant for the caller.
    pub is_handled_error: Option<bool>,
    /// The texts, by [`Text`].
    pub texts: Texts<{ Text::COUNT }>,
    /// Who sent it.
    pub sender: Address,
    /// Whom it is for.
    pub receiver: Option<Address>,
}

impl Head {
    /// The content type of a message that has none.
    pub const CONTENT_TYPE: &'static str = "application/json";
    /// The content encoding of a message that has none.
    pub const CONTENT_ENCODING: &'static str = "utf-8";

    /// A text of the header. That of a random id is only to be had by [`Self::id`].
    pub fn text(&self, text: Text) -> Option<&str> {
        self.texts.get(text as usize)
    }

    /// Calls `with` with the id.
    pub fn id<R>(&self, with: impl FnOnce(Option<&str>) -> R) -> R {
        match &self.id {
            MessageId::Random(id) => with(Some(Hex::new(id).as_str())),
            MessageId::Given => with(self.text(Text::Id)),
        }
    }

    /// What it is routed by.
    pub fn fields(&self) -> Fields<'_> {
        Fields {
            message_type: self.message_type,
            event_name: self.texts.or_empty(Text::EventName as usize),
            principal_id: self.texts.or_empty(Text::PrincipalId as usize),
            tenant_id: self.texts.or_empty(Text::TenantId as usize),
            sender: self.sender.borrowed(),
            receiver: self.receiver.as_ref().map(Address::borrowed),
        }
    }

    /// Calls `with` with the same as something to encode.
    pub fn draft<R>(&self, payload: Option<&[u8]>, with: impl FnOnce(&Draft<'_>) -> R) -> R {
        self.id(|id| {
            let mut texts = Text::ALL_OF.map(|text| self.text(text));
            texts[Text::Id as usize] = id;
            texts[Text::ContentType as usize].get_or_insert(Self::CONTENT_TYPE);
            texts[Text::ContentEncoding as usize].get_or_insert(Self::CONTENT_ENCODING);
            with(&Draft {
                message_type: self.message_type,
                texts,
                timestamp: self.timestamp,
                is_handled_error: self.is_handled_error,
                sender: self.sender.parts(),
                receiver: self.receiver.as_ref().map(Address::parts),
                payload,
            })
        })
    }

    /// The envelope around this payload. `is_checked`: whether it is known to be one JSON value that may stand
    /// one level deep in another.
    ///
    /// # Errors
    /// As [`Draft::encode`].
    pub fn frame(&self, payload: Option<&[u8]>, is_checked: bool) -> Result<Frame, DecodeError> {
        self.draft(payload, |draft| {
            draft.check()?;
            if !is_checked {
                draft.check_payload()?;
            }
            let receiver = self.receiver.as_ref().map(Address::json);
            Ok(draft.frame(
                [Some(self.sender.json()), receiver],
                is_plain(self.texts.joined()),
            ))
        })
    }
}
