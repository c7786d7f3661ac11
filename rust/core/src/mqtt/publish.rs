//! A PUBLISH that arrives, and a PUBACK.

use super::{variable, Malformed};

const EXPIRY: u8 = 0x02;
const IDENTIFIER: u8 = 0x0B;
const USER: u8 = 0x26;

/// How large the parts of a message may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Its payload, in bytes.
    pub payload: usize,
    /// All of its properties, in bytes.
    pub properties: usize,
    /// How many user properties it may have.
    pub user_properties: usize,
}

/// Why nobody is to look at a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Its properties are too large.
    Properties,
    /// It has too many user properties.
    UserProperties,
    /// Its payload is too large.
    Payload,
}

impl Refusal {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Properties => "properties too large",
            Self::UserProperties => "too many user properties",
            Self::Payload => "payload too large",
        }
    }
}

/// A PUBLISH of quality of service 0 or 1. Of one that is refused only topic and packet id are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Its topic, which may not be UTF-8.
    pub topic: &'a [u8],
    /// 0 or 1.
    pub qos: u8,
    /// Whether the broker may have sent it before.
    pub dup: bool,
    /// Whether the broker had kept it.
    pub retain: bool,
    /// The packet id; 0 for one that is not acknowledged.
    pub mid: u16,
    /// For how many more seconds it counts.
    pub expiry: Option<u32>,
    /// The identifiers of the subscriptions that it arrived for.
    pub identifiers: Vec<u32>,
    /// What it carries.
    pub payload: &'a [u8],
    /// Why nobody is to look at it.
    pub refusal: Option<Refusal>,
}

impl<'a> Publish<'a> {
    /// Reads a packet.
    ///
    /// # Errors
    /// If it is no PUBLISH of MQTT 5 that a client may be sent.
    pub fn read(header: u8, body: &'a [u8], limits: Limits) -> Result<Self, Malformed> {
        let qos = header >> 1 & 3;
        if qos > 1 {
            return Err(Malformed::Quality);
        }
        let (topic, mut rest) = text(body)?;
        let mut mid = 0;
        if qos == 1 {
            (mid, rest) = number(rest)?;
        }
        let (length, rest) = variable(rest)?.ok_or(Malformed::Short)?;
        let properties = rest.get(..length).ok_or(Malformed::Short)?;
        let mut found = Self {
            topic,
            qos,
            dup: header & 0x08 != 0,
            retain: header & 0x01 != 0,
            mid,
            expiry: None,
            identifiers: Vec::new(),
            payload: &rest[length..],
            refusal: None,
        };
        found.refusal = if length > limits.properties {
            Some(Refusal::Properties)
        } else if found.payload.len() > limits.payload {
            Some(Refusal::Payload)
        } else {
            found.read_properties(properties, limits.user_properties)?
        };
        if found.refusal.is_some() {
            found.payload = &[];
            found.expiry = None;
            found.identifiers.clear();
        }
        Ok(found)
    }

    /// Takes what we need of the properties (MQTT 5, 3.3.2.3), and skips the rest.
    fn read_properties(
        &mut self,
        mut rest: &[u8],
        user_properties: usize,
    ) -> Result<Option<Refusal>, Malformed> {
        let mut users = 0;
        let mut seen = 0_u64;
        while let Some((&kind, after)) = rest.split_first() {
            if !matches!(kind, IDENTIFIER | USER) {
                let bit = 1_u64
                    .checked_shl(u32::from(kind))
                    .ok_or(Malformed::Property(kind))?;
                if seen & bit != 0 {
                    return Err(Malformed::Property(kind));
                }
                seen |= bit;
            }
            rest = match kind {
                // Payload format.
                0x01 => after.get(1..).ok_or(Malformed::Short)?,
                EXPIRY => {
                    let (seconds, rest) = after.split_first_chunk::<4>().ok_or(Malformed::Short)?;
                    self.expiry = Some(u32::from_be_bytes(*seconds));
                    rest
                }
                // Content type, response topic, correlation data: the envelope has what we need of them.
                0x03 | 0x08 | 0x09 => text(after)?.1,
                IDENTIFIER => {
                    let (identifier, rest) = variable(after)?.ok_or(Malformed::Short)?;
                    self.identifiers
                        .push(u32::try_from(identifier).unwrap_or_default()); // 28 bits at most
                    rest
                }
                // Topic alias.
                0x23 => number(after)?.1,
                USER => {
                    users += 1;
                    if users > user_properties {
                        return Ok(Some(Refusal::UserProperties));
                    }
                    text(text(after)?.1)?.1
                }
                _ => return Err(Malformed::Property(kind)),
            };
        }
        Ok(None)
    }
}

/// Packet id and reason code of a PUBACK.
///
/// # Errors
/// If it has no packet id.
pub fn puback(body: &[u8]) -> Result<(u16, u8), Malformed> {
    let (mid, rest) = number(body)?;
    Ok((mid, rest.first().copied().unwrap_or_default()))
}

fn number(data: &[u8]) -> Result<(u16, &[u8]), Malformed> {
    let (number, rest) = data.split_first_chunk::<2>().ok_or(Malformed::Short)?;
    Ok((u16::from_be_bytes(*number), rest))
}

/// A text or binary data, with its length in front, and what follows.
fn text(data: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let (length, rest) = number(data)?;
    rest.split_at_checked(usize::from(length)).ok_or(Malformed::Short)
}
