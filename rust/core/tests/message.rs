//! Envelopes: encoding and decoding against each other and against `serde_json`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use purista_core::message::{call, decode, Address, Draft, Head, MessageId, Problem, Text};
use purista_core::topic::{message_topic, topic_agrees};
use purista_core::{Fields, MessageType};

type Texts = Vec<Option<String>>;

type Parts = (
    usize,
    Texts,
    Option<u64>,
    Option<bool>,
    Vec<String>,
    Texts,
    Option<String>,
);

fn drafts() -> impl Strategy<Value = Parts> {
    (
        0..MessageType::ALL.len(),
        prop::collection::vec(prop::option::of(any::<String>()), Text::COUNT),
        prop::option::of(0..=u64::MAX >> 1),
        any::<Option<bool>>(),
        prop::collection::vec(any::<String>(), 4),
        prop::collection::vec(prop::option::of(any::<String>()), 4),
        prop::option::of(prop_oneof![
            Just("null".to_owned()),
            Just(r#"{"a":[1,"\u00e9"]}"#.to_owned())
        ]),
    )
}

/// The same as the head of a message made here.
fn head(draft: &Draft<'_>) -> Head {
    let address = |[name, version, target, instance]: [Option<&str>; 4]| {
        Address::new([name, version, target].map(Option::unwrap_or_default), instance)
    };
    Head {
        message_type: draft.message_type,
        id: MessageId::Given,
        timestamp: draft.timestamp,
        is_handled_error: draft.is_handled_error,
        texts: purista_core::Texts::new(draft.texts),
        sender: address(draft.sender),
        receiver: draft.receiver.map(address),
    }
}

proptest! {
    #[test]
    fn what_is_encoded_decodes_as_it_was((kind, texts, timestamp, handled, sender, receiver, payload) in drafts()) {
        let message_type = MessageType::ALL[kind];
        let text = |n: usize| texts[n].as_deref();
        let part = |n: usize| receiver[n].as_deref();
        let named = receiver[0].is_some() || message_type.is_call();
        let draft = Draft {
            message_type,
            texts: std::array::from_fn(|n| {
                let required = n == Text::CorrelationId as usize && message_type.is_call();
                text(n).or(required.then_some("c"))
            }),
            timestamp,
            is_handled_error: handled,
            sender: std::array::from_fn(|n| Some(sender[n].as_str())),
            receiver: named.then(|| [0, 1, 2].map(|n| part(n).or(Some(""))))
                .map(|[a, b, c]| [a, b, c, part(3)]),
            payload: payload.as_ref().map(String::as_bytes),
        };
        let data = draft.encode().unwrap();
        let value: serde_json::Value = serde_json::from_slice(&data).unwrap();
        prop_assert_eq!(value["messageType"].as_str(), Some(message_type.as_str()));
        let decoded = decode(&data).unwrap();
        prop_assert_eq!(decoded.draft(), draft);
        for text in Text::ALL {
            prop_assert_eq!(draft.texts[*text as usize], decoded.text(*text));
            if !matches!(text, Text::Traceparent | Text::Tracestate) {
                prop_assert_eq!(value.get(text.name()).and_then(|v| v.as_str()), decoded.text(*text));
            }
        }
        agreement(&decoded.fields())?;
        let again = head(&draft).frame(draft.payload, false).unwrap();
        let mut expected = draft;
        for (text, default) in
            [(Text::ContentType, Head::CONTENT_TYPE), (Text::ContentEncoding, Head::CONTENT_ENCODING)]
        {
            expected.texts[text as usize].get_or_insert(default);
        }
        let data = [&again.text[..again.payload_at], draft.payload.unwrap_or_default(), &again.text[again.payload_at..]].concat();
        let decoded = decode(&data).unwrap();
        prop_assert_eq!(decoded.draft(), expected);
    }

    #[test]
    fn noise_is_refused(data in any::<Vec<u8>>()) {
        prop_assert!(decode(&data).is_err());
    }

    #[test]
    fn the_parts_of_a_call_are_its_members(payload in any::<i32>(), parameter in ".{0,9}", first in any::<bool>()) {
        let parameter = serde_json::to_string(&parameter).unwrap();
        let members = [format!("\"payload\" : {payload}"), format!("\"p\\u0061rameter\":{parameter}")];
        let [a, b] = if first { [&members[0], &members[1]] } else { [&members[1], &members[0]] };
        let data = format!("{{ {a} , {b}, \"other\": [] }}");
        let [found, found_parameter] = call(data.as_bytes()).unwrap();
        let inner = payload.to_string();
        prop_assert_eq!(&data[found.unwrap()], &inner);
        prop_assert_eq!(&data[found_parameter.unwrap()], &parameter);
        // Noted while a command is decoded, looked for later in other messages.
        for first in [true, false] {
            let payload = format!("\"payload\":{data}");
            let head = r#""messageType":"command","correlationId":"c","sender":{"serviceName":"a","serviceVersion":"b",
                "serviceTarget":"c","instanceId":"d"},"receiver":{"serviceName":"a","serviceVersion":"b","serviceTarget":"c"}"#;
            let [a, b] = if first { [&payload, head] } else { [head, &payload] };
            let envelope = format!("{{{a},{b}}}");
            let decoded = decode(envelope.as_bytes()).unwrap();
            prop_assert_eq!(decoded.call().unwrap(), [Some(&*inner), Some(&*parameter)]);
            prop_assert_eq!(decoded.payload(), Some(&*data));
        }
    }
}

/// The naive twin: leave out each subset of the levels of empty texts.
fn agreement(fields: &Fields<'_>) -> Result<(), TestCaseError> {
    let Ok(topic) = message_topic(fields, "p", "__none__") else {
        return Ok(());
    };
    let texts = fields.texts();
    let empty: Vec<usize> = [1, 2, 6, 3, 4, 5, 0, 10, 7, 8, 9]
        .iter()
        .enumerate()
        .filter(|(_, n)| texts[**n].is_empty())
        .map(|(at, _)| at + 2)
        .collect();
    let levels: Vec<&str> = topic.split('/').collect();
    for subset in 0..1_u32 << empty.len() {
        let left_out = |level: usize| {
            empty
                .iter()
                .position(|e| *e == level)
                .is_some_and(|n| subset >> n & 1 == 1)
        };
        let form: Vec<&str> = levels
            .iter()
            .enumerate()
            .filter(|(n, _)| !left_out(*n))
            .map(|(_, level)| *level)
            .collect();
        prop_assert!(topic_agrees(fields, &form.join("/"), "p", "__none__"));
    }
    for level in (0..levels.len()).filter(|n| !empty.contains(n)) {
        let mut forged = levels.clone();
        forged[level] = "forged";
        prop_assert!(!topic_agrees(fields, &forged.join("/"), "p", "__none__"));
        forged.remove(level);
        let form = forged.join("/");
        // Without a level that is not empty it can only agree if another reads the same.
        if !levels
            .iter()
            .enumerate()
            .any(|(n, text)| n != level && *text == levels[level])
        {
            prop_assert!(!topic_agrees(fields, &form, "p", "__none__"));
        }
    }
    Ok(())
}

#[test]
fn errors_name_field_and_byte() {
    let error = decode(br#"{"messageType":"command","sender":{"serviceName":1}}"#).unwrap_err();
    assert_eq!((error.field, error.offset), (Some("sender.serviceName"), 49));
    assert!(matches!(error.problem, Problem::Type("a string", _)));
    assert_eq!(
        error.to_string(),
        "sender.serviceName: expected a string, found a number (at byte 49)"
    );
}
