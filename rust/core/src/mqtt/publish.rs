//! A PUBLISH that arrives, and a PUBACK.

use super::properties::{each, set, Value};
use super::{number, text, variable, Malformed};

const EXPIRY: u8 = 0x02;
const IDENTIFIER: u8 = 0x0B;
const USER: u8 = 0x26;
/// What a PUBLISH may have, and what of it more than once.
const ALLOWED: u64 = set(&[0x01, EXPIRY, 0x03, 0x08, 0x09, IDENTIFIER, 0x23, USER]);
const REPEATED: u64 = set(&[IDENTIFIER, USER]);

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
            if mid == 0 {
                return Err(Malformed::PacketId); // 2.2.1
            }
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

    /// Takes what we need of the properties (MQTT 5, 3.3.2.3), and skips the rest: the envelope has it.
    fn read_properties(&mut self, properties: &[u8], most: usize) -> Result<Option<Refusal>, Malformed> {
        let mut users = 0;
        let read = each(properties, ALLOWED, REPEATED, |kind, value| {
            match (kind, value) {
                (EXPIRY, Value::Number(seconds)) => self.expiry = Some(seconds),
                (IDENTIFIER, Value::Number(identifier)) => self.identifiers.push(identifier),
                (_, Value::Pair) => {
                    users += 1;
                    if users > most {
                        return Err(End::Refused(Refusal::UserProperties));
                    }
                }
                _ => {}
            }
            Ok(())
        });
        match read {
            Ok(()) => Ok(None),
            Err(End::Refused(refusal)) => Ok(Some(refusal)),
            Err(End::Malformed(error)) => Err(error),
        }
    }
}

/// What ends the reading of properties.
enum End {
    Refused(Refusal),
    Malformed(Malformed),
}

impl From<Malformed> for End {
    fn from(error: Malformed) -> Self {
        Self::Malformed(error)
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
