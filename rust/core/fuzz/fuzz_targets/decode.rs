//! Whatever decodes is JSON, and survives being written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use purista_core::message::{call, decode};
use purista_core::topic::{message_topic, topic_agrees};

fuzz_target!(|data: &[u8]| {
    let _ = call(data);
    let Ok(decoded) = decode(data) else { return };
    let draft = decoded.draft();
    let encoded = draft.encode().expect("what was decoded can be encoded");
    let again = decode(&encoded).expect("and decoded again");
    assert_eq!(again.draft(), draft);
    if let Some(payload) = draft.payload {
        if let Ok([a, b]) = call(payload) {
            for range in [a, b].into_iter().flatten() {
                purista_core::json::check(&payload[range]).expect("a part of a call is JSON");
            }
        }
    }
    if let Ok(parts) = decoded.call() {
        assert_eq!(Ok(parts.map(|part| part.is_some())), call(draft.payload.unwrap_or(b"{}")).map(|found| found.map(|range| range.is_some())));
    }
    draft.user_properties(|_, _| ());
    if let Ok(topic) = message_topic(&decoded.fields(), "purista", "__none__") {
        assert_eq!(topic.split('/').count(), 13);
        assert!(topic_agrees(&decoded.fields(), &topic, "purista", "__none__"));
        assert!(purista_core::tree::check_topic(&topic).is_ok());
    }
});
