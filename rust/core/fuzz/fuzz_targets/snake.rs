//! `snake_case`: made of words, and as a topic level never two.
#![no_main]

use libfuzzer_sys::fuzz_target;
use purista_core::topic::{message_topic, response_filter};
use purista_core::{snake_case, AddressRef, Fields, MessageType, TopicTree};

fuzz_target!(|text: &str| {
    let snake = snake_case(text);
    let letters = |text: &str| -> String {
        text.chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|char| char.to_ascii_lowercase())
            .collect()
    };
    if letters(text).is_empty() {
        assert_eq!(snake, text);
    } else {
        assert_eq!(letters(&snake), letters(text));
        assert!(snake
            .bytes()
            .all(|byte| byte == b'_' || byte.is_ascii_lowercase() || byte.is_ascii_digit()));
        assert!(!snake.starts_with('_') && !snake.ends_with('_') && !snake.contains("__"));
    }
    let receiver = AddressRef {
        service_name: "S",
        service_version: "1",
        service_target: "t",
        instance_id: text,
    };
    let fields = Fields {
        message_type: MessageType::Command,
        event_name: text,
        principal_id: "",
        tenant_id: text,
        sender: receiver,
        receiver: Some(receiver),
    };
    if let Ok(topic) = message_topic(&fields, "purista", "__none__") {
        assert_eq!(topic.split('/').count(), 13);
        if let Ok(filter) = response_filter(text, "purista") {
            let mut tree = TopicTree::default();
            tree.insert(&filter, ()).expect("a filter");
            let mut found = 0;
            tree.matches(&topic, |()| found += 1).expect("a topic");
            assert_eq!(found, 1);
        }
    }
});
