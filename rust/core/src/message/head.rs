//! The header of a message in memory.

use std::sync::Arc;

use super::{otp, Decoded, Draft, Text};
use crate::ids::{self, Hex};
use crate::{AddressRef, Fields, MessageType, Texts};

/// An address that is cheap to clone.
///
/// ```
/// let address = purista_core::message::Address::new(["User", "1", "signUp"], None);
/// assert_eq!(address.borrowed().service_target, "signUp");
/// assert_eq!(address.instance_id(), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address(Arc<Texts<4>>);

impl Address {
    /// An address: service, version, target, and the instance, if one is meant.
    pub fn new([name, version, target]: [&str; 3], instance_id: Option<&str>) -> Self {
        Self::from_parts([Some(name), Some(version), Some(target), instance_id])
    }

    fn from_parts(parts: [Option<&str>; 4]) -> Self {
        Self(Arc::new(Texts::new(parts)))
    }

    /// Its texts; that of an absent instance is empty.
    pub fn borrowed(&self) -> AddressRef<'_> {
        AddressRef {
            service_name: self.0.or_empty(0),
            service_version: self.0.or_empty(1),
            service_target: self.0.or_empty(2),
            instance_id: self.0.or_empty(3),
        }
    }

    /// The instance, if one is meant.
    pub fn instance_id(&self) -> Option<&str> {
        self.0.get(3)
    }

    fn parts(&self) -> [Option<&str>; 4] {
        [0, 1, 2, 3].map(|n| self.0.get(n))
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

impl From<&Decoded<'_>> for Head {
    fn from(decoded: &Decoded<'_>) -> Self {
        let draft = decoded.draft(&[]);
        Self {
            message_type: decoded.message_type,
            id: MessageId::Given,
            timestamp: decoded.timestamp,
            is_handled_error: decoded.is_handled_error,
            texts: Texts::new(draft.texts),
            sender: Address::from_parts(draft.sender),
            receiver: draft.receiver.map(Address::from_parts),
        }
    }
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

    /// The type of the payload, `application/json` unless the message says otherwise.
    pub fn content_type(&self) -> &str {
        self.text(Text::ContentType).unwrap_or(Self::CONTENT_TYPE)
    }

    /// The encoding of the payload, `utf-8` unless the message says otherwise.
    pub fn content_encoding(&self) -> &str {
        self.text(Text::ContentEncoding).unwrap_or(Self::CONTENT_ENCODING)
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

    /// The envelope with this payload.
    ///
    /// # Errors
    /// As [`Draft::encode`].
    pub fn encode(&self, payload: Option<&[u8]>) -> Result<Vec<u8>, super::DecodeError> {
        self.id(|id| {
            let mut texts = [id; Text::COUNT];
            for text in Text::ALL.iter().skip(1) {
                texts[*text as usize] = self.text(*text);
            }
            texts[Text::ContentType as usize] = Some(self.content_type());
            texts[Text::ContentEncoding as usize] = Some(self.content_encoding());
            Draft {
                message_type: self.message_type,
                texts,
                timestamp: self.timestamp,
                is_handled_error: self.is_handled_error,
                sender: self.sender.parts(),
                receiver: self.receiver.as_ref().map(Address::parts),
                payload,
            }
            .encode()
        })
    }

    /// The text of the `otp` field: the trace context as an object.
    pub fn otp(&self) -> Option<String> {
        let [traceparent, tracestate] = [Text::Traceparent, Text::Tracestate].map(|text| self.text(text));
        otp::object(traceparent, tracestate)
    }

    /// The MQTT user properties, in the order in which PURISTA writes them. An absent text has none, nor has an
    /// empty one but in the addresses.
    pub fn user_properties<'s>(&'s self, mut push: impl FnMut(&'static str, &'s str)) {
        push("messageType", self.message_type.as_str());
        let sender = self.sender.borrowed();
        push("senderServiceName", sender.service_name);
        push("senderServiceVersion", sender.service_version);
        push("senderServiceTarget", sender.service_target);
        push("senderInstanceId", sender.instance_id);
        if let (true, Some(address)) = (self.message_type.is_call(), &self.receiver) {
            let receiver = address.borrowed();
            push("receiverServiceName", receiver.service_name);
            push("receiverServiceVersion", receiver.service_version);
            push("receiverServiceTarget", receiver.service_target);
            if !receiver.instance_id.is_empty() {
                push("receiverInstanceId", receiver.instance_id);
            }
        }
        for text in [
            Text::Traceparent,
            Text::Tracestate,
            Text::EventName,
            Text::PrincipalId,
            Text::TenantId,
        ] {
            if let Some(value) = self.text(text).filter(|value| !value.is_empty()) {
                push(text.name(), value);
            }
        }
    }
}
