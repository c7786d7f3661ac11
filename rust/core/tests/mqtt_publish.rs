//! What is packed is read again; whatever arrives is read without harm.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use proptest::prelude::*;
use purista_core::message::{Address, Head, MessageId, Text};
use purista_core::mqtt::{
    first, pack_properties, puback, publish_head, Limits, Malformed, Publish, Refusal, Unsendable,
};
use purista_core::{MessageType, Texts};

const LIMITS: Limits = Limits {
    payload: 100,
    properties: 1000,
    user_properties: 20,
};

fn packed(head: &Head, expiry: u32) -> Result<Vec<u8>, Unsendable> {
    head.draft(None, |draft| pack_properties(draft, expiry))
}

fn head(principal: Option<&str>, correlation: Option<&str>) -> Head {
    let mut texts = [None; Text::COUNT];
    texts[Text::Id as usize] = Some("id");
    texts[Text::PrincipalId as usize] = principal;
    texts[Text::CorrelationId as usize] = correlation;
    Head {
        message_type: MessageType::from_name("customMessage").unwrap(),
        id: MessageId::Given,
        timestamp: None,
        is_handled_error: None,
        texts: Texts::new(texts),
        sender: Address::new(["User", "1", "here"], Some("node")),
        receiver: None,
    }
}

fn packet(properties: &[u8], payload: &[u8], retain: bool) -> Vec<u8> {
    let mut packet = publish_head("a/b", 7, properties.len(), payload.len(), retain).unwrap();
    packet.extend_from_slice(properties);
    packet.extend_from_slice(payload);
    packet
}

/// Expiry, identifiers and refusal of a PUBLISH.
type Found = (Option<u32>, Vec<u32>, Option<Refusal>);

/// A PUBLISH with these properties.
fn read(properties: &[u8], payload: &[u8]) -> Result<Found, Malformed> {
    let mut packed = vec![
        0x80 | (properties.len() & 0x7F) as u8,
        (properties.len() >> 7) as u8,
    ];
    packed.extend_from_slice(properties);
    let stream = packet(&packed, payload, false);
    let frame = first(&stream, 1 << 20).unwrap().unwrap();
    Publish::read(frame.header, frame.body, LIMITS).map(|p| (p.expiry, p.identifiers, p.refusal))
}

#[test]
fn the_bytes_of_the_properties() {
    let packed = packed(&head(Some("me"), Some("c")), 258).unwrap();
    let mut expected = b"\x03\x00\x10application/json\x02\x00\x00\x01\x02\x09\x00\x01c".to_vec();
    for (name, value) in [
        ("messageType", "customMessage"),
        ("senderServiceName", "User"),
        ("senderServiceVersion", "1"),
        ("senderServiceTarget", "here"),
        ("senderInstanceId", "node"),
        ("principalId", "me"),
    ] {
        expected.push(0x26);
        for text in [name, value] {
            expected.extend_from_slice(&[0, text.len() as u8]);
            expected.extend_from_slice(text.as_bytes());
        }
    }
    assert_eq!(
        packed[..2],
        [expected.len() as u8 | 0x80, (expected.len() >> 7) as u8]
    );
    assert_eq!(packed[2..], expected);
}

#[test]
fn what_mqtt_does_not_carry() {
    for text in ["a\nb", "\u{7f}", "\u{9f}x", "\u{fdd0}", "é\u{ffff}", "\0"] {
        assert!(
            matches!(packed(&head(Some(text), None), 1), Err(Unsendable::Control(_))),
            "{text:?}"
        );
    }
    for text in ["", "~", "é", "\u{10FFFF}", "日本"] {
        assert!(packed(&head(Some(text), None), 1).is_ok(), "{text:?}");
    }
    let long = "x".repeat(65_536);
    assert!(matches!(
        packed(&head(None, Some(&long)), 1),
        Err(Unsendable::Long(_, 65_536))
    ));
    assert!(matches!(
        publish_head(&long, 1, 0, 0, false),
        Err(Unsendable::Long(..))
    ));
    assert!(matches!(
        publish_head("t", 1, 1, 268_435_455, false),
        Err(Unsendable::Large(_))
    ));
}

#[test]
fn properties_that_count_and_those_that_do_not() {
    let known = b"\x01\x01\x02\x00\x00\x00\x05\x03\x00\x01x\x08\x00\x01y\x09\x00\x01z\x0b\x07\x0b\x80\x01\x26\x00\x01k\x00\x01v";
    assert_eq!(read(known, b"p"), Ok((Some(5), vec![7, 128], None)));
    assert_eq!(read(b"", b"p"), Ok((None, vec![], None)));
}

#[test]
fn properties_that_end_the_connection() {
    for (properties, error) in [
        (&b"\x02\0\0\0\x01\x02\0\0\0\x01"[..], Malformed::Property(2)),
        (b"\x11\0\0\0\x01", Malformed::Property(0x11)),
        (b"\xff", Malformed::Property(0xFF)),
        (b"\x02\0\0", Malformed::Short),
        (b"\x03\0\x09x", Malformed::Short),
        (b"\x26\0\x01a\0\x02b", Malformed::Short),
        (b"\x0b\xff\xff\xff\xff", Malformed::Length),
        (b"\x0b\xff", Malformed::Short),
    ] {
        assert_eq!(read(properties, b"p"), Err(error), "{properties:02x?}");
    }
}

#[test]
fn too_much_is_refused() {
    let user = b"\x26\x00\x01k\x00\x01v".as_slice();
    assert_eq!(read(&user.repeat(20), b"p").unwrap().2, None);
    let nothing = |refusal| Ok((None, vec![], Some(refusal)));
    assert_eq!(
        read(&[b"\x0b\x07", &*user.repeat(21)].concat(), b"p"),
        nothing(Refusal::UserProperties)
    );
    assert_eq!(read(&user.repeat(143), b"p"), nothing(Refusal::Properties));
    assert_eq!(read(b"\x0b\x07", &[b'p'; 101]), nothing(Refusal::Payload));
}

#[test]
fn packets_that_are_none() {
    assert_eq!(first(b"\x30\xff\xff\xff\xff\x01", 1000), Err(Malformed::Length));
    assert_eq!(
        first(b"\x30\xff\xff\x01", 1000),
        Err(Malformed::TooLarge(0x7FFF + 4))
    );
    assert_eq!(first(b"\x30\x05\x00", 1000), Ok(None));
    for quality in [2, 3] {
        let frame = first(b"\x30\x06\0\x01t\0\x07\0", 100).unwrap().unwrap();
        assert_eq!(
            Publish::read(0x30 | quality << 1, frame.body, LIMITS),
            Err(Malformed::Quality)
        );
    }
    assert_eq!(puback(b"\x01\x02"), Ok((258, 0)));
    assert_eq!(puback(b"\x01\x02\x97\x00"), Ok((258, 0x97)));
    assert_eq!(puback(b"\x01"), Err(Malformed::Short));
}

proptest! {
    #[test]
    fn what_is_packed_is_read_again(
        principal in ".{0,20}", expiry: u32, payload in prop::collection::vec(any::<u8>(), 0..100), retain: bool,
    ) {
        let Ok(properties) = packed(&head(Some(&principal), Some("c")), expiry) else { return Ok(()) };
        let packet = packet(&properties, &payload, retain);
        for end in 0..packet.len() {
            prop_assert_eq!(first(&packet[..end], 10_000), Ok(None));
        }
        let mut stream = packet.clone();
        stream.push(0x40);
        let frame = first(&stream, 10_000).unwrap().unwrap();
        prop_assert_eq!(frame.whole, &packet[..]);
        let found = Publish::read(frame.header, frame.body, LIMITS).unwrap();
        prop_assert_eq!((found.topic, found.qos, found.mid), (&b"a/b"[..], 1, 7));
        prop_assert_eq!((found.dup, found.retain), (false, retain));
        prop_assert_eq!((found.payload, found.expiry, found.refusal), (&payload[..], Some(expiry), None));
    }

    #[test]
    fn anything_is_read_without_harm(stream in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(Some(frame)) = first(&stream, 150) {
            let _ = puback(frame.body);
            if let Ok(found) = Publish::read(frame.header, frame.body, LIMITS) {
                prop_assert!(found.payload.len() <= LIMITS.payload);
                prop_assert!(found.identifiers.iter().all(|number| *number < 1 << 28));
            }
        }
    }
}
