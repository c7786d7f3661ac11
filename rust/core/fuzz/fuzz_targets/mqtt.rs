//! A stream of packets is read without harm, however it is cut, and within its limits.
#![no_main]

use libfuzzer_sys::fuzz_target;
use purista_core::mqtt::{first, puback, Control, Limits, Publish};

const LIMITS: Limits = Limits {
    payload: 64,
    properties: 64,
    user_properties: 4,
};

fuzz_target!(|data: &[u8]| {
    let mut at = 0;
    while let Ok(Some(frame)) = first(&data[at..], 512) {
        assert!(frame.whole.len() <= 512);
        assert_eq!(first(frame.whole, 512), Ok(Some(frame)));
        assert_eq!(first(&frame.whole[..frame.whole.len() - 1], 512), Ok(None));
        at += frame.whole.len();
        let _ = puback(frame.body);
        if let Ok(Control::Suback(mid, codes) | Control::Unsuback(mid, codes)) = Control::read(frame) {
            assert!(mid > 0 && !codes.is_empty());
        }
        if let Ok(publish) = Publish::read(frame.header, frame.body, LIMITS) {
            assert!(publish.payload.len() <= LIMITS.payload);
            assert!(publish.identifiers.len() <= LIMITS.properties);
            assert!(publish.refusal.is_none() || publish.payload.is_empty());
        }
    }
});
