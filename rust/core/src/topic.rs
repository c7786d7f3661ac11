//! The names of topics: thirteen levels, each through [`snake_case`](crate::snake_case).

use std::fmt;

use crate::snake::push_snake_case;
use crate::{AddressRef, Fields, Filter, MessageType};

/// How long a topic or filter may be, in bytes.
pub const MAX_LENGTH: usize = 65_535;

/// The levels after prefix and message type: the name of the field, and where [`Fields::texts`] has it.
const LEVELS: [(&str, usize); Filter::TEXTS] = [
    ("principalId", 1),
    ("tenantId", 2),
    ("sender.instanceId", 6),
    ("sender.serviceName", 3),
    ("sender.serviceVersion", 4),
    ("sender.serviceTarget", 5),
    ("eventName", 0),
    ("receiver.instanceId", 10),
    ("receiver.serviceName", 7),
    ("receiver.serviceVersion", 8),
    ("receiver.serviceTarget", 9),
];
/// Index of `sender.serviceTarget` in [`Fields::texts`].
const SENDER_TARGET: usize = 5;
const STAND_IN: &str = "the stand-in for empty texts";

/// Why there is no topic for a message, or no filter for a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopicError {
    /// The text of a field would be more, or something else, than one level.
    Level {
        /// The field.
        field: &'static str,
        /// Its text.
        value: Box<str>,
    },
    /// A filter on this field must name something.
    Empty(&'static str),
    /// Longer than [`MAX_LENGTH`].
    Length(usize),
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Level { field, value } => {
                let short: String = value.chars().take(60).collect();
                let more = if short.len() < value.len() { "…" } else { "" };
                write!(
                    f,
                    "{field} '{}{more}' cannot be a topic level: after the snake_case conversion a level must \
                     not be '..' and must hold none of '+', '#', '/' and NUL",
                    short.escape_debug()
                )
            }
            Self::Empty(field) => write!(f, "{field} must not be empty in this topic filter"),
            Self::Length(length) => {
                write!(f, "the topic is {length} bytes long, MQTT allows {MAX_LENGTH}")
            }
        }
    }
}

impl std::error::Error for TopicError {}

/// The group of a shared subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share<'a> {
    /// The first level, `$share`.
    pub prefix: &'a str,
    /// The group: one level, used as it is.
    pub name: &'a str,
}

/// The topic of a message. `empty` is what stands for an absent text, before its own conversion.
///
/// # Errors
/// If a text cannot be a level, or the topic would be too long.
///
/// ```
/// use purista_core::{topic::message_topic, AddressRef, Fields, MessageType};
/// let sender = AddressRef { service_name: "UserService", service_version: "1", ..Default::default() };
/// let fields = Fields {
///     message_type: MessageType::CustomMessage, event_name: "newUser", principal_id: "", tenant_id: "",
///     sender, receiver: None,
/// };
/// let topic = message_topic(&fields, "purista", "__none__")?;
/// assert_eq!(topic, "purista/custom_message/none/none/none/user_service/1/none/new_user/none/none/none/none");
/// # Ok::<_, purista_core::topic::TopicError>(())
/// ```
pub fn message_topic(fields: &Fields<'_>, prefix: &str, empty: &str) -> Result<String, TopicError> {
    let texts = fields.texts();
    let mut topic = begin(prefix, fields.message_type.level())?;
    for (field, index) in LEVELS {
        topic.push('/');
        match texts[index] {
            "" => push_level(&mut topic, STAND_IN, named(STAND_IN, empty)?)?,
            text => push_level(&mut topic, field, text)?,
        }
    }
    limit(topic)
}

/// The filter of a subscription, in the group `share` if it is shared.
///
/// # Errors
/// If a text cannot be a level (`+` alone is the wildcard), or the filter would be too long.
pub fn subscription_filter(
    filter: &Filter,
    prefix: &str,
    share: Option<Share<'_>>,
) -> Result<String, TopicError> {
    filter_without(filter, prefix, share, usize::MAX)
}

/// The filter for the form in which PURISTA itself publishes info messages of services: an empty
/// `sender.serviceTarget` has no level. `None` if the subscription is not on info messages, or wants a target.
///
/// # Errors
/// As [`subscription_filter`].
pub fn short_info_filter(
    filter: &Filter,
    prefix: &str,
    share: Option<Share<'_>>,
) -> Result<Option<String>, TopicError> {
    if !filter.message_type.is_some_and(MessageType::is_info) || !filter.texts[SENDER_TARGET].is_empty() {
        return Ok(None);
    }
    filter_without(filter, prefix, share, SENDER_TARGET).map(Some)
}

/// The filter for the calls of a command, whichever instance they name.
///
/// # Errors
/// If a text is empty, a wildcard, or cannot be a level.
pub fn command_filter(
    address: AddressRef<'_>,
    prefix: &str,
    share: Option<Share<'_>>,
) -> Result<String, TopicError> {
    let mut filter = Filter {
        message_type: Some(MessageType::Command),
        ..Filter::default()
    };
    let parts = [
        ("serviceName", address.service_name),
        ("serviceVersion", address.service_version),
        ("serviceTarget", address.service_target),
    ];
    for (slot, (field, text)) in filter.texts[Filter::RECEIVER..].iter_mut().zip(parts) {
        *slot = named(field, text)?.into();
    }
    subscription_filter(&filter, prefix, share)
}

/// The filter for all that is sent to one instance: the answers to its calls.
///
/// # Errors
/// If the id is empty, a wildcard, or cannot be a level.
pub fn response_filter(instance_id: &str, prefix: &str) -> Result<String, TopicError> {
    let mut filter = Filter::default();
    filter.texts[Filter::RECEIVER + 3] = named("instanceId", instance_id)?.into();
    subscription_filter(&filter, prefix, None)
}

/// Whether a message that arrived on this topic belongs there; if not, it is forged. It belongs on its
/// [`message_topic`], or on that without the levels of empty texts, which PURISTA leaves out.
pub fn topic_agrees(fields: &Fields<'_>, topic: &str, prefix: &str, empty: &str) -> bool {
    let Ok(expected) = message_topic(fields, prefix, empty) else {
        return false;
    };
    if expected == topic {
        return true;
    }
    let optional = |level: usize| {
        let text = level
            .checked_sub(2)
            .and_then(|n| LEVELS.get(n))
            .map(|(_, index)| fields.texts()[*index]);
        text == Some("")
    };
    let expected: Vec<&str> = expected.split('/').collect();
    let mut found = topic.split('/');
    // After each level: which of the expected ones may come next. Bit n stands for the expected level n.
    let skip = |mut states: u32| {
        for level in 0..expected.len() {
            if states & 1 << level != 0 && optional(level) {
                states |= 1 << (level + 1);
            }
        }
        states
    };
    let states = found.try_fold(skip(1), |states, level| {
        let next = (0..expected.len())
            .filter(|n| states & 1 << n != 0 && expected[*n] == level)
            .fold(0_u32, |next, n| next | 1 << (n + 1));
        (next != 0).then(|| skip(next))
    });
    states.is_some_and(|states| states & 1 << expected.len() != 0)
}

fn begin(prefix: &str, message_type: &str) -> Result<String, TopicError> {
    let mut topic = String::with_capacity(224);
    push_level(&mut topic, "the topic prefix", named("the topic prefix", prefix)?)?;
    topic.push('/');
    topic.push_str(message_type);
    Ok(topic)
}

fn filter_without(
    filter: &Filter,
    prefix: &str,
    share: Option<Share<'_>>,
    left_out: usize,
) -> Result<String, TopicError> {
    let mut topic = begin(prefix, filter.message_type.map_or("+", MessageType::level))?;
    for (field, index) in LEVELS.into_iter().filter(|(_, index)| *index != left_out) {
        topic.push('/');
        match &*filter.texts[index] {
            "" | "+" => topic.push('+'),
            text => push_level(&mut topic, field, text)?,
        }
    }
    if let Some(share) = share {
        for (field, text) in [("the share prefix", share.prefix), ("the share name", share.name)] {
            check_level(field, text, named(field, text)?)?;
        }
        topic = format!("{}/{}/{topic}", share.prefix, share.name);
    }
    limit(topic)
}

fn push_level(topic: &mut String, field: &'static str, text: &str) -> Result<(), TopicError> {
    let start = topic.len();
    push_snake_case(topic, text);
    check_level(field, text, topic.get(start..).unwrap_or_default())
}

fn check_level(field: &'static str, value: &str, level: &str) -> Result<(), TopicError> {
    let forged = level.bytes().any(|byte| matches!(byte, b'+' | b'#' | b'/' | 0));
    if forged || level == ".." {
        return Err(TopicError::Level {
            field,
            value: value.into(),
        });
    }
    Ok(())
}

fn named<'t>(field: &'static str, text: &'t str) -> Result<&'t str, TopicError> {
    match text {
        "" => Err(TopicError::Empty(field)),
        "+" => Err(TopicError::Level {
            field,
            value: text.into(),
        }),
        _ => Ok(text),
    }
}

fn limit(topic: String) -> Result<String, TopicError> {
    if topic.len() > MAX_LENGTH {
        return Err(TopicError::Length(topic.len()));
    }
    Ok(topic)
}
