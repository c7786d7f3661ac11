//! The packets of which there are few, as a client sends them: CONNECT, SUBSCRIBE, UNSUBSCRIBE, DISCONNECT.

use super::pack::{push_binary, push_text};
use super::{push_variable, Unsendable};

/// What a broker publishes when the connection breaks (3.1.2.5).
#[derive(Debug, Clone, Copy)]
pub struct Will<'a> {
    /// Where.
    pub topic: &'a str,
    /// What; at most 65535 bytes.
    pub payload: &'a [u8],
    /// How long the broker waits for a reconnect, in seconds.
    pub delay: u32,
    /// For how long the message counts, in seconds.
    pub expiry: u32,
    /// What kind of content it is.
    pub content_type: &'a str,
    /// Its user properties: names and values.
    pub user: &'a [(&'a str, &'a str)],
}

/// What a CONNECT says (3.1).
#[derive(Debug, Clone, Copy)]
pub struct Connect<'a> {
    /// The client identifier.
    pub client_id: &'a str,
    /// Whether a session that the broker has of it ends.
    pub clean_start: bool,
    /// In seconds; 0 for none.
    pub keep_alive: u16,
    /// How long the broker keeps the session after the connection, in seconds.
    pub session_expiry: u32,
    /// How many publishings we take unacknowledged; not 0.
    pub receive_maximum: u16,
    /// The largest packet that we take, in bytes; not 0.
    pub maximum_packet_size: u32,
    /// What the broker publishes when the connection breaks, with quality of service 1.
    pub will: Option<Will<'a>>,
    /// Who connects.
    pub username: Option<&'a str>,
    /// The secret that shows it.
    pub password: Option<&'a [u8]>,
}

impl Connect<'_> {
    /// The packet.
    ///
    /// # Errors
    /// For a text or a secret that MQTT does not carry.
    pub fn pack(&self) -> Result<Vec<u8>, Unsendable> {
        let mut body = b"\x00\x04MQTT\x05".to_vec();
        let mut flags = u8::from(self.clean_start) << 1;
        if self.will.is_some() {
            flags |= 0x04 | 1 << 3;
        }
        flags |= u8::from(self.password.is_some()) << 6;
        flags |= u8::from(self.username.is_some()) << 7;
        body.push(flags);
        body.extend_from_slice(&self.keep_alive.to_be_bytes());
        let mut properties = vec![0x11];
        properties.extend_from_slice(&self.session_expiry.to_be_bytes());
        properties.push(0x21);
        properties.extend_from_slice(&self.receive_maximum.to_be_bytes());
        properties.push(0x27);
        properties.extend_from_slice(&self.maximum_packet_size.to_be_bytes());
        push_variable(&mut body, properties.len());
        body.append(&mut properties);
        push_text(&mut body, self.client_id)?;
        if let Some(will) = &self.will {
            will.pack(&mut body)?;
        }
        if let Some(username) = self.username {
            push_text(&mut body, username)?;
        }
        if let Some(password) = self.password {
            push_binary(&mut body, password, "the password")?;
        }
        packet(0x10, &mut body)
    }
}

impl Will<'_> {
    fn pack(&self, body: &mut Vec<u8>) -> Result<(), Unsendable> {
        let mut properties = vec![0x02];
        properties.extend_from_slice(&self.expiry.to_be_bytes());
        properties.push(0x03);
        push_text(&mut properties, self.content_type)?;
        properties.push(0x18);
        properties.extend_from_slice(&self.delay.to_be_bytes());
        for (name, value) in self.user {
            properties.push(0x26);
            push_text(&mut properties, name)?;
            push_text(&mut properties, value)?;
        }
        push_variable(body, properties.len());
        body.append(&mut properties);
        push_text(body, self.topic)?;
        push_binary(body, self.payload, "the will")
    }
}

/// A SUBSCRIBE to one filter (3.8).
///
/// `options` are those of 3.8.3.1: quality of service, no local, retain as published, retain handling.
///
/// # Errors
/// For a filter that MQTT does not carry.
pub fn subscribe(
    mid: u16,
    filter: &str,
    identifier: Option<u32>,
    options: u8,
) -> Result<Vec<u8>, Unsendable> {
    let mut body = mid.to_be_bytes().to_vec();
    let mut properties = Vec::new();
    if let Some(identifier) = identifier {
        properties.push(0x0B);
        push_variable(&mut properties, identifier as usize);
    }
    push_variable(&mut body, properties.len());
    body.append(&mut properties);
    push_text(&mut body, filter)?;
    body.push(options);
    packet(0x82, &mut body)
}

/// An UNSUBSCRIBE of one filter (3.10).
///
/// # Errors
/// For a filter that MQTT does not carry.
pub fn unsubscribe(mid: u16, filter: &str) -> Result<Vec<u8>, Unsendable> {
    let mut body = mid.to_be_bytes().to_vec();
    body.push(0);
    push_text(&mut body, filter)?;
    packet(0xA2, &mut body)
}

/// A DISCONNECT (3.14), and for how many seconds the broker is to keep the session.
pub fn disconnect(session_expiry: u32) -> Vec<u8> {
    let mut packet = b"\xe0\x07\x00\x05\x11".to_vec();
    packet.extend_from_slice(&session_expiry.to_be_bytes());
    packet
}

fn packet(header: u8, body: &mut Vec<u8>) -> Result<Vec<u8>, Unsendable> {
    if body.len() > super::pack::LONGEST {
        return Err(Unsendable::Large(body.len()));
    }
    let mut packet = Vec::with_capacity(body.len() + 5);
    packet.push(header);
    push_variable(&mut packet, body.len());
    packet.append(body);
    Ok(packet)
}
