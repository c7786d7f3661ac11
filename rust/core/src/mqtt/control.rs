//! The packets of which there are few, as a client gets them: CONNACK, SUBACK, UNSUBACK, PINGRESP, DISCONNECT.

use super::properties::{each, set, Value};
use super::{number, variable, Frame, Malformed};

/// What a broker answers, or its good-bye.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control<'a> {
    /// The answer to a CONNECT.
    Connack(Connack),
    /// The answer to a SUBSCRIBE: packet id, and a reason code for each filter.
    Suback(u16, &'a [u8]),
    /// The answer to an UNSUBSCRIBE: packet id, and a reason code for each filter.
    Unsuback(u16, &'a [u8]),
    /// The answer to a ping.
    Pingresp,
    /// The broker closes the connection, with this reason code.
    Disconnect(u8),
}

/// The answer to a CONNECT. What it does not say has the value that MQTT 5 gives it (3.2.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // each is a bit of the packet
pub struct Connack {
    /// Whether the broker has a session of this client.
    pub session_present: bool,
    /// The reason code.
    pub code: u8,
    /// How many publishings may be unacknowledged.
    pub receive_maximum: u16,
    /// The largest packet that the broker takes, in bytes; `None` if any.
    pub maximum_packet_size: Option<u32>,
    /// The keep-alive that the broker wants instead of ours, in seconds.
    pub server_keep_alive: Option<u16>,
    /// The highest quality of service that it takes.
    pub maximum_qos: u8,
    /// Whether it keeps messages.
    pub retain_available: bool,
    /// Whether filters may have wildcards.
    pub wildcard_available: bool,
    /// Whether subscriptions may have identifiers.
    pub identifiers_available: bool,
    /// Whether subscriptions may be shared.
    pub shared_available: bool,
}

const CONNACK: u64 = set(&[
    0x11, 0x12, 0x13, 0x15, 0x16, 0x1A, 0x1C, 0x1F, 0x21, 0x22, 0x24, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2A,
]);
const ANSWER: u64 = set(&[0x1F, 0x26]);
const DISCONNECT: u64 = set(&[0x11, 0x1C, 0x1F, 0x26]);
const USER: u64 = set(&[0x26]);
/// The reason code for a version that the broker does not speak; brokers of MQTT 3 have another one.
const VERSION: u8 = 0x84;

impl<'a> Control<'a> {
    /// Reads a packet.
    ///
    /// ```
    /// use purista_core::mqtt::{first, Control};
    ///
    /// let frame = first(b"\x90\x04\x00\x07\x00\x01", 100)?.ok_or("a packet")?;
    /// assert_eq!(Control::read(frame)?, Control::Suback(7, b"\x01"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If it is none of these, or not as MQTT 5 has it.
    pub fn read(frame: Frame<'a>) -> Result<Self, Malformed> {
        // The lower four bits are reserved (2.1.3).
        Ok(match frame.header {
            0x20 => Self::Connack(Connack::read(frame.body)?),
            0x90 => {
                let (mid, codes) = answer(frame.body)?;
                Self::Suback(mid, codes)
            }
            0xB0 => {
                let (mid, codes) = answer(frame.body)?;
                Self::Unsuback(mid, codes)
            }
            0xD0 if frame.body.is_empty() => Self::Pingresp,
            0xD0 => return Err(Malformed::Trailing),
            0xE0 => Self::Disconnect(disconnect(frame.body)?),
            other => return Err(Malformed::Unexpected(other)),
        })
    }
}

impl Connack {
    /// Reads what follows the fixed header (3.2).
    fn read(body: &[u8]) -> Result<Self, Malformed> {
        let (&[flags, code], rest) = body.split_first_chunk::<2>().ok_or(Malformed::Short)?;
        if flags > 1 {
            return Err(Malformed::Flags(flags)); // 3.2.2.1
        }
        let mut found = Self {
            session_present: flags == 1,
            code,
            receive_maximum: u16::MAX,
            maximum_packet_size: None,
            server_keep_alive: None,
            maximum_qos: 2,
            retain_available: true,
            wildcard_available: true,
            identifiers_available: true,
            shared_available: true,
        };
        if rest.is_empty() && code != 0 {
            // A broker of MQTT 3 has no properties, and 1 is its word for a version that it does not speak.
            found.code = if code == 1 { VERSION } else { code };
            return Ok(found);
        }
        let (properties, rest) = split(rest)?;
        if !rest.is_empty() {
            return Err(Malformed::Trailing);
        }
        each(properties, CONNACK, USER, |kind, value| match value {
            Value::Number(number) => found.set(kind, number),
            Value::Text(_) | Value::Pair => Ok(()),
        })?;
        Ok(found)
    }

    fn set(&mut self, kind: u8, number: u32) -> Result<(), Malformed> {
        let flag = || match number {
            0 | 1 => Ok(number == 1),
            _ => Err(Malformed::Value(kind)),
        };
        let short = || u16::try_from(number).map_err(|_| Malformed::Value(kind));
        match kind {
            0x13 => self.server_keep_alive = Some(short()?),
            0x21 | 0x27 if number == 0 => return Err(Malformed::Value(kind)), // 3.2.2.3.3, 3.2.2.3.6
            0x21 => self.receive_maximum = short()?,
            0x24 => self.maximum_qos = u8::from(flag()?), // 3.2.2.3.4
            0x25 => self.retain_available = flag()?,
            0x27 => self.maximum_packet_size = Some(number),
            0x28 => self.wildcard_available = flag()?,
            0x29 => self.identifiers_available = flag()?,
            0x2A => self.shared_available = flag()?,
            _ => {} // session expiry, topic alias maximum: of no use here
        }
        Ok(())
    }
}

/// Packet id and reason codes of a SUBACK or an UNSUBACK (3.9, 3.11).
fn answer(body: &[u8]) -> Result<(u16, &[u8]), Malformed> {
    let (mid, rest) = number(body)?;
    if mid == 0 {
        return Err(Malformed::PacketId); // 2.2.1
    }
    let (properties, codes) = split(rest)?;
    each(properties, ANSWER, USER, |_, _| Ok::<(), Malformed>(()))?;
    if codes.is_empty() {
        return Err(Malformed::Short);
    }
    Ok((mid, codes))
}

/// The reason code of a DISCONNECT (3.14), which may be left out, and its properties, too.
fn disconnect(body: &[u8]) -> Result<u8, Malformed> {
    let Some((&code, rest)) = body.split_first() else {
        return Ok(0);
    };
    if !rest.is_empty() {
        let (properties, rest) = split(rest)?;
        if !rest.is_empty() {
            return Err(Malformed::Trailing);
        }
        each(properties, DISCONNECT, USER, |_, _| Ok::<(), Malformed>(()))?;
    }
    Ok(code)
}

/// The properties, with their length in front, and what follows.
fn split(data: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let (length, rest) = variable(data)?.ok_or(Malformed::Short)?;
    rest.split_at_checked(length).ok_or(Malformed::Short)
}
