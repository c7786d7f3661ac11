//! The packets of which there are few: what MQTT 5 says of each is a case here, under the section that says it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation)]

use proptest::prelude::*;
use purista_core::mqtt::{
    disconnect, first, subscribe, unsubscribe, Connack, Connect, Control, Malformed, Unsendable, Will,
};

const PLAIN: Connack = Connack {
    session_present: false,
    code: 0,
    receive_maximum: 65_535,
    maximum_packet_size: None,
    server_keep_alive: None,
    maximum_qos: 2,
    retain_available: true,
    wildcard_available: true,
    identifiers_available: true,
    shared_available: true,
};

fn packet(header: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![header];
    let mut length = body.len();
    while length > 127 {
        packet.push((length & 0x7F) as u8 | 0x80);
        length >>= 7;
    }
    packet.push(length as u8);
    packet.extend_from_slice(body);
    packet
}

fn read(header: u8, body: &[u8]) -> Result<String, Malformed> {
    let packet = packet(header, body);
    Control::read(first(&packet, 1 << 20)?.unwrap()).map(|found| format!("{found:?}"))
}

fn connack(properties: &[u8]) -> Result<Connack, Malformed> {
    let mut body = vec![0, 0, properties.len() as u8];
    body.extend_from_slice(properties);
    let packet = packet(0x20, &body);
    match Control::read(first(&packet, 1 << 20)?.unwrap())? {
        Control::Connack(found) => Ok(found),
        other => panic!("{other:?}"),
    }
}

#[test]
fn reserved_flags_2_1_3() {
    for (header, body) in [
        (0x20_u8, &b"\0\0\0"[..]),
        (0x90, b"\0\x01\0\0"),
        (0xB0, b"\0\x01\0\0"),
        (0xD0, b""),
        (0xE0, b""),
    ] {
        assert!(read(header, body).is_ok());
        for flags in 1..16 {
            assert_eq!(
                read(header | flags, body),
                Err(Malformed::Unexpected(header | flags))
            );
        }
    }
}

#[test]
fn packets_that_a_client_is_not_sent_table_2_1() {
    for header in [0x00, 0x10, 0x50, 0x62, 0x70, 0x82, 0xA2, 0xC0, 0xF0] {
        assert_eq!(read(header, b"\0\x01"), Err(Malformed::Unexpected(header)));
    }
}

#[test]
fn a_packet_id_is_not_0_2_2_1() {
    for header in [0x90, 0xB0] {
        assert_eq!(read(header, b"\0\0\0\0"), Err(Malformed::PacketId));
    }
}

#[test]
fn a_property_twice_is_none_2_2_2_2() {
    for one in [
        &b"\x11\0\0\0\x01"[..],
        b"\x12\0\x01a",
        b"\x13\0\x01",
        b"\x15\0\x01a",
        b"\x16\0\x01a",
        b"\x1a\0\x01a",
        b"\x1c\0\x01a",
        b"\x1f\0\x01a",
        b"\x21\0\x01",
        b"\x22\0\x01",
        b"\x24\x01",
        b"\x25\x01",
        b"\x27\0\0\0\x01",
        b"\x28\x01",
        b"\x29\x01",
        b"\x2a\x01",
    ] {
        assert!(connack(one).is_ok(), "{one:02x?}");
        assert_eq!(
            connack(&one.repeat(2)),
            Err(Malformed::Property(one[0])),
            "{one:02x?}"
        );
    }
    assert!(
        connack(&b"\x26\0\x01a\0\x01b".repeat(3)).is_ok(),
        "but a user property may be"
    );
}

#[test]
fn properties_of_other_packets_table_2_4() {
    for other in [
        &b"\x01\x01"[..],
        b"\x02\0\0\0\x01",
        b"\x03\0\x01a",
        b"\x08\0\x01a",
        b"\x09\0\x01a",
        b"\x0b\x01",
        b"\x17\x01",
        b"\x18\0\0\0\x01",
        b"\x19\x01",
        b"\x23\0\x01",
        b"\x2b\x01",
        b"\x00",
        b"\x40",
        b"\xff",
    ] {
        assert_eq!(connack(other), Err(Malformed::Property(other[0])), "{other:02x?}");
    }
    assert_eq!(
        read(0x90, b"\0\x01\x02\x24\x01\x00"),
        Err(Malformed::Property(0x24))
    );
    assert_eq!(
        read(0xB0, b"\0\x01\x03\x21\0\x01\x00"),
        Err(Malformed::Property(0x21))
    );
    assert_eq!(read(0xE0, b"\0\x03\x21\0\x01"), Err(Malformed::Property(0x21)));
}

#[test]
fn connect_acknowledge_flags_3_2_2_1() {
    assert_eq!(read(0x20, b"\x02\0\0"), Err(Malformed::Flags(2)));
    assert!(read(0x20, b"\x01\0\0").unwrap().contains("session_present: true"));
}

#[test]
fn connack_properties_3_2_2_3() {
    assert_eq!(
        connack(b""),
        Ok(PLAIN),
        "what is not said has the value that MQTT gives it"
    );
    for (properties, said) in [
        (
            &b"\x13\0\x14"[..],
            Connack {
                server_keep_alive: Some(20),
                ..PLAIN
            },
        ),
        (
            b"\x21\0\x0a",
            Connack {
                receive_maximum: 10,
                ..PLAIN
            },
        ),
        (
            b"\x24\x01",
            Connack {
                maximum_qos: 1,
                ..PLAIN
            },
        ),
        (
            b"\x24\x00",
            Connack {
                maximum_qos: 0,
                ..PLAIN
            },
        ),
        (
            b"\x25\x00",
            Connack {
                retain_available: false,
                ..PLAIN
            },
        ),
        (
            b"\x27\xff\xff\xff\xff",
            Connack {
                maximum_packet_size: Some(u32::MAX),
                ..PLAIN
            },
        ),
        (
            b"\x28\x00",
            Connack {
                wildcard_available: false,
                ..PLAIN
            },
        ),
        (
            b"\x29\x00",
            Connack {
                identifiers_available: false,
                ..PLAIN
            },
        ),
        (
            b"\x2a\x00",
            Connack {
                shared_available: false,
                ..PLAIN
            },
        ),
        (b"\x11\0\0\0\x05\x22\0\x03\x1f\0\x02no", PLAIN),
    ] {
        assert_eq!(connack(properties), Ok(said), "{properties:02x?}");
    }
    for (properties, kind) in [
        (&b"\x21\0\0"[..], 0x21), // 3.2.2.3.3
        (b"\x24\x02", 0x24),      // 3.2.2.3.4
        (b"\x25\x02", 0x25),      // 3.2.2.3.5
        (b"\x27\0\0\0\0", 0x27),  // 3.2.2.3.6
        (b"\x28\x02", 0x28),      // 3.2.2.3.11
        (b"\x29\x02", 0x29),      // 3.2.2.3.12
        (b"\x2a\x02", 0x2A),      // 3.2.2.3.13
    ] {
        assert_eq!(
            connack(properties),
            Err(Malformed::Value(kind)),
            "{properties:02x?}"
        );
    }
}

#[test]
fn a_broker_of_mqtt_3_refuses_without_properties() {
    assert!(read(0x20, b"\0\x01").unwrap().contains("code: 132"));
    assert!(read(0x20, b"\0\x05").unwrap().contains("code: 5"));
    assert_eq!(read(0x20, b"\0\0"), Err(Malformed::Short));
}

#[test]
fn suback_and_unsuback_3_9_3_11() {
    assert_eq!(
        read(0x90, b"\x01\x02\0\x01\x87").unwrap(),
        "Suback(258, [1, 135])"
    );
    assert_eq!(
        read(0xB0, b"\x01\x02\x06\x1f\0\x03bad\x11").unwrap(),
        "Unsuback(258, [17])"
    );
    assert_eq!(
        read(0x90, b"\x01\x02\0"),
        Err(Malformed::Short),
        "a reason code for each filter"
    );
}

#[test]
fn disconnect_3_14() {
    assert_eq!(read(0xE0, b"").unwrap(), "Disconnect(0)");
    assert_eq!(read(0xE0, b"\x8e").unwrap(), "Disconnect(142)");
    assert_eq!(read(0xE0, b"\x8b\x05\x1f\0\x02by").unwrap(), "Disconnect(139)");
    assert_eq!(read(0xE0, b"\x8b\0\0"), Err(Malformed::Trailing));
}

#[test]
fn pingresp_3_13() {
    assert_eq!(read(0xD0, b"").unwrap(), "Pingresp");
    assert_eq!(read(0xD0, b"\0"), Err(Malformed::Trailing));
}

#[test]
fn the_bytes_of_a_connect_3_1() {
    let will = Will {
        topic: "w",
        payload: b"x",
        delay: 10,
        expiry: 60,
        content_type: "t",
        user: &[("a", "b")],
    };
    let plain = Connect {
        client_id: "node",
        clean_start: false,
        keep_alive: 30,
        session_expiry: 60,
        receive_maximum: 10,
        maximum_packet_size: 10_000,
        will: None,
        username: None,
        password: None,
    };
    let properties = b"\x0d\x11\0\0\0\x3c\x21\0\x0a\x27\0\0\x27\x10";
    let packed = plain.pack().unwrap();
    assert_eq!(packed[..2], [0x10, packed.len() as u8 - 2]);
    assert_eq!(
        packed[2..],
        [&b"\0\x04MQTT\x05\0\0\x1e"[..], &properties[..], b"\0\x04node"].concat()
    );
    let all = Connect {
        clean_start: true,
        will: Some(will),
        username: Some("me"),
        password: Some(b"pw"),
        ..plain
    };
    let will = b"\x15\x02\0\0\0\x3c\x03\0\x01t\x18\0\0\0\x0a\x26\0\x01a\0\x01b\0\x01w\0\x01x";
    let mut expected = [
        &b"\0\x04MQTT\x05\xce\0\x1e"[..],
        &properties[..],
        b"\0\x04node",
        &will[..],
    ]
    .concat();
    expected.extend_from_slice(b"\0\x02me\0\x02pw");
    assert_eq!(all.pack().unwrap()[2..], expected);
    let long = vec![b'x'; 65_536];
    assert!(matches!(
        Connect { password: Some(&long), ..plain }.pack(),
        Err(Unsendable::Long(what, 65_536)) if what == "the password"
    ));
}

#[test]
fn the_bytes_of_requests_3_8_3_10_3_14() {
    assert_eq!(
        subscribe(1000, "a/b", Some(7), 1).unwrap(),
        b"\x82\x0b\x03\xe8\x02\x0b\x07\0\x03a/b\x01"
    );
    assert_eq!(
        subscribe(1000, "a/b", None, 0x21).unwrap(),
        b"\x82\x09\x03\xe8\x00\0\x03a/b\x21"
    );
    assert_eq!(unsubscribe(1, "a/b").unwrap(), b"\xa2\x08\0\x01\0\0\x03a/b");
    assert_eq!(disconnect(258), b"\xe0\x07\0\x05\x11\0\0\x01\x02");
    assert!(subscribe(1, "a\0b", None, 1).is_err());
    assert!(unsubscribe(1, &"x".repeat(65_536)).is_err());
}

proptest! {
    #[test]
    fn every_prefix_is_incomplete(reason in ".{0,20}", codes in prop::collection::vec(any::<u8>(), 1..200), mid in 1_u16..) {
        let mut body = mid.to_be_bytes().to_vec();
        body.push(reason.len() as u8 + 3);
        body.extend_from_slice(&[0x1F, 0, reason.len() as u8]);
        body.extend_from_slice(reason.as_bytes());
        let short = body.clone();
        body.extend_from_slice(&codes);
        let whole = packet(0x90, &body);
        for end in 0..whole.len() {
            prop_assert_eq!(first(&whole[..end], 10_000), Ok(None));
        }
        let frame = first(&whole, 10_000).unwrap().unwrap();
        prop_assert_eq!(Control::read(frame), Ok(Control::Suback(mid, &codes)));
        // A body that ends early is told from a packet that has not come in full.
        for end in 0..=short.len() {
            prop_assert_eq!(read(0x90, &short[..end]), Err(Malformed::Short));
        }
    }

    #[test]
    fn anything_is_read_without_harm(header: u8, body in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = read(header, &body);
    }
}
