//! The borrowed header fields of a message: what topics, filters and the router look at.

use crate::MessageType;

/// Where a message comes from or goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AddressRef<'a> {
    /// The service, `User`.
    pub service_name: &'a str,
    /// Its version, `1`.
    pub service_version: &'a str,
    /// The command, subscription or other function; empty for the service itself.
    pub service_target: &'a str,
    /// The running process; empty where any will do.
    pub instance_id: &'a str,
}

/// The fields that a message is routed by. An absent or empty text is `""`: PURISTA treats both alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fields<'a> {
    /// What the message is.
    pub message_type: MessageType,
    /// The event that it stands for.
    pub event_name: &'a str,
    /// On whose behalf it was sent.
    pub principal_id: &'a str,
    /// In whose realm it was sent.
    pub tenant_id: &'a str,
    /// Who sent it.
    pub sender: AddressRef<'a>,
    /// Whom it is for.
    pub receiver: Option<AddressRef<'a>>,
}

/// What a subscription wants. An empty text (or `None`) wants anything.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Filter {
    /// Only messages of this type.
    pub message_type: Option<MessageType>,
    /// The other fields, in the order of [`Filter::texts`].
    pub texts: [Box<str>; Filter::TEXTS],
}

impl Filter {
    /// How many fields beside the message type a filter can name.
    pub const TEXTS: usize = 11;
    /// Index of the first sender field in [`Filter::texts`].
    pub const SENDER: usize = 3;
    /// Index of the first receiver field in [`Filter::texts`].
    pub const RECEIVER: usize = 7;

    /// Whether the message passes, compared exactly and with regard to case, as PURISTA does in memory.
    /// A message without receiver (info messages never have one) passes no filter on the receiver.
    pub fn matches(&self, fields: &Fields<'_>) -> bool {
        self.message_type
            .is_none_or(|wanted| wanted == fields.message_type)
            && self
                .texts
                .iter()
                .zip(fields.texts())
                .all(|(wanted, found)| wanted.is_empty() || **wanted == *found)
    }
}

impl<'a> Fields<'a> {
    /// The texts that a filter is compared with: event, principal, tenant, sender (service, version, target,
    /// instance), receiver (the same four).
    pub fn texts(&self) -> [&'a str; Filter::TEXTS] {
        let receiver = if self.message_type.is_info() {
            None
        } else {
            self.receiver
        };
        let receiver = receiver.unwrap_or_default();
        [
            self.event_name,
            self.principal_id,
            self.tenant_id,
            self.sender.service_name,
            self.sender.service_version,
            self.sender.service_target,
            self.sender.instance_id,
            receiver.service_name,
            receiver.service_version,
            receiver.service_target,
            receiver.instance_id,
        ]
    }
}
