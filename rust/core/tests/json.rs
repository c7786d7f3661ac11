//! The scanner against `serde_json`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fmt::Write;

use proptest::prelude::*;
use purista_core::json::{check, push_string, Reason, Scanner, MAX_DEPTH};
use serde_json::Value;

/// JSON text with white space, escapes and every form of number.
fn documents() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        "-?(0|[1-9][0-9]{0,4})(\\.[0-9]{1,4})?([eE][+-]?[0-9]{1,2})?",
        strings(),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(|items| format!("[{} ]", items.join(" ,\n"))),
            prop::collection::vec((strings(), inner), 0..5).prop_map(|items| {
                let members: Vec<String> = items
                    .into_iter()
                    .map(|(key, value)| format!("{key}:\t{value}"))
                    .collect();
                format!("{{ {}}}", members.join(", "))
            }),
        ]
    })
}

fn strings() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop_oneof![
            "[^\"\\\\\\x00-\\x1f]{1,12}",
            "\\\\[\"\\\\/bfnrt]",
            (0_u32..0x11_0000)
                .prop_filter_map("a scalar", char::from_u32)
                .prop_map(|char| {
                    let mut text = String::new();
                    for unit in char.encode_utf16(&mut [0; 2]) {
                        let _ = write!(text, "\\u{unit:04X}");
                    }
                    text
                }),
        ],
        0..6,
    )
    .prop_map(|parts| format!("\"{}\"", parts.concat()))
}

/// What `serde_json` says, or `None` where it refuses what JSON allows: numbers that no `f64` holds.
fn twin(data: &[u8]) -> Option<bool> {
    match serde_json::from_slice::<Value>(data) {
        Ok(_) => Some(true),
        Err(error) if error.to_string().starts_with("number out of range") => None,
        Err(error) if error.to_string().starts_with("recursion limit") => None,
        Err(_) => Some(false),
    }
}

proptest! {
    #[test]
    fn accepts_json(document in documents()) {
        prop_assert_eq!(check(document.as_bytes()), Ok(()));
        let padded = format!(" \n{document}\t");
        let mut scanner = Scanner::new(padded.as_bytes()).unwrap();
        prop_assert_eq!(scanner.skip(), Ok(2..document.len() + 2));
        prop_assert_eq!(scanner.end(), Ok(()));
    }

    #[test]
    fn accepts_what_serde_accepts(
        document in documents(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..4),
    ) {
        let mut data = document.into_bytes();
        for (index, byte, how) in changes {
            let position = index.index(data.len() + 1);
            match how {
                0 => data.insert(position, byte),
                1 if position < data.len() => data[position] = byte,
                _ => data.truncate(position),
            }
        }
        if let Some(expected) = twin(&data) {
            prop_assert_eq!(check(&data).is_ok(), expected);
        }
    }

    #[test]
    fn accepts_what_serde_accepts_of_noise(data in "[\\[\\]{}\",:0-9.eE+\\-ntfalsru\\\\ ]{0,12}") {
        if let Some(expected) = twin(data.as_bytes()) {
            prop_assert_eq!(check(data.as_bytes()).is_ok(), expected, "{}", data);
        }
    }

    #[test]
    fn no_prefix_is_a_document(document in documents().prop_filter("has an end", |d| d.ends_with([']', '}', '"']))) {
        for end in 0..document.len() {
            prop_assert!(check(&document.as_bytes()[..end]).is_err());
        }
    }

    #[test]
    fn reads_strings_as_serde_does(document in strings()) {
        let mut scanner = Scanner::new(document.as_bytes()).unwrap();
        let expected: String = serde_json::from_str(&document).unwrap();
        prop_assert_eq!(scanner.string().unwrap().decode(), expected);
    }

    #[test]
    fn writes_strings_that_serde_reads(text in any::<String>()) {
        let mut out = Vec::new();
        push_string(&mut out, &text);
        prop_assert_eq!(&out, &serde_json::to_vec(&text).unwrap());
        prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
    }

    #[test]
    fn error_offsets_are_in_the_data(data in any::<Vec<u8>>()) {
        if let Err(error) = check(&data) {
            prop_assert!(error.offset <= data.len());
        }
    }
}

#[test]
fn depth_is_limited() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = |depth| format!("{}1{}", open.repeat(depth), close.repeat(depth));
        assert_eq!(check(nested(MAX_DEPTH).as_bytes()), Ok(()));
        let error = check(nested(MAX_DEPTH + 1).as_bytes()).unwrap_err();
        assert_eq!(
            (error.offset, error.reason),
            (open.len() * MAX_DEPTH, Reason::Depth)
        );
        assert_eq!(
            check(open.repeat(1_000_000).as_bytes()).unwrap_err().reason,
            Reason::Depth
        );
    }
}

#[test]
fn siblings_do_not_count_as_depth() {
    let wide = format!("[{}]", vec!["[[],{}]"; 1000].join(","));
    assert_eq!(check(wide.as_bytes()), Ok(()));
}
