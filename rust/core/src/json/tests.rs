//! Many bytes at a time against one at a time: both find the same end, or none.

use std::fmt::Write;

use proptest::prelude::*;

use super::{simd, JsonError, Reason, Scanner, MAX_DEPTH};

/// Makes sure that all ways agree about the value at `start`.
fn compare(text: &str, start: usize, depth: usize) -> Result<(), TestCaseError> {
    let mut scanner =
        Scanner::new(text.as_bytes()).map_err(|error| TestCaseError::fail(error.to_string()))?;
    scanner.position = start;
    scanner.depth = depth;
    let slow = scanner.skip_by_bytes();
    let expected = slow.clone().ok().map(|range| range.end);
    for fast in simd::both(text.as_bytes(), start, depth) {
        // What stands after the value may send it the slow way, even if that is none of its business.
        let excused = fast.is_none() && expected.is_none_or(|end| end < text.len());
        prop_assert!(excused || fast == expected, "{fast:?}, not {expected:?}: {text}");
    }
    scanner.position = start;
    scanner.depth = depth;
    prop_assert_eq!(scanner.skip(), slow);
    Ok(())
}

/// Tokens of JSON, and what is nearly one.
fn tokens() -> impl Strategy<Value = String> {
    prop_oneof![
        5 => prop::sample::select(vec!["{", "}", "[", "]", ",", ":", "{\"a\":", "[]", "{}", "},{", ",\"k\":"]).prop_map(str::to_owned),
        3 => prop::sample::select(vec!["0", "-1", "12.5", "1e5", "-0.25E-10", "1E+2", "01", "1.", "-", ".5", "+1", "1e", "--1"]).prop_map(str::to_owned),
        2 => prop::sample::select(vec!["true", "false", "null", "tru", "nulll", "truefalse", "e", "x"]).prop_map(str::to_owned),
        3 => prop::sample::select(vec!["\"\"", "\"a\"", "\"[{,:}]\"", "\"\\\\\"", "\"\\\"\"", "\"\\ud83d\\ude00\"",
            "\"\\ud83d\"", "\"\\u00e9\"", "\"\\x\"", "\"é😀\"", "\"", "\\", "\"\u{1}\"", "\"\t\""]).prop_map(str::to_owned),
        2 => prop::sample::select(vec![" ", "\n", "\t", "\r", "\u{b}", "\u{c}", "\u{a0}", "          "]).prop_map(str::to_owned),
        1 => (0..140_usize).prop_map(|n| "x".repeat(n)).prop_map(|text| format!("\"{text}\"")),
    ]
}

/// JSON values, with white space here and there.
fn values() -> impl Strategy<Value = String> {
    let space = prop_oneof![8 => Just(""), 1 => Just(" "), 1 => Just("\n  \t\r ")];
    let string = prop_oneof![
        "[a-z]{0,70}",
        "([a-z]|\\\\[\"\\\\/bfnrt]|\\\\u00[0-9a-fA-F]{2}|\\\\ud83d\\\\ude00|é|[\\[\\]{},:]){0,12}",
    ]
    .prop_map(|text| format!("\"{text}\""));
    let leaf = prop_oneof![
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,9})?([eE][+-]?[0-9]{1,3})?",
        prop::sample::select(vec!["true", "false", "null"]).prop_map(str::to_owned),
        string.clone(),
    ];
    leaf.prop_recursive(6, 200, 9, move |inner| {
        let member = (string.clone(), space.clone(), space.clone(), inner.clone())
            .prop_map(|(key, a, b, value)| format!("{key}{a}:{b}{value}"));
        let joined = |items: Vec<String>, space: &str| items.join(&format!("{space},{space}"));
        prop_oneof![
            (prop::collection::vec(inner, 0..9), space.clone())
                .prop_map(move |(items, space)| format!("[{space}{}{space}]", joined(items, space))),
            (prop::collection::vec(member, 0..9), space.clone())
                .prop_map(move |(items, space)| format!("{{{space}{}{space}}}", joined(items, space))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn agree_on_values(value in values(), before in 0..70_usize, after in "[ ,}\\]\"\\\\0-9a-z]{0,70}", depth in 0..4_usize) {
        let value = format!("[{value}]");
        let text = format!("{}{value}{after}", " ".repeat(before));
        let mut scanner = Scanner::new(text.as_bytes()).map_err(|error| TestCaseError::fail(error.to_string()))?;
        scanner.position = before;
        prop_assert_eq!(scanner.skip_by_bytes(), Ok(before..before + value.len()));
        compare(&text, before, depth)?;
        compare(&text[..before + value.len()], before, depth)?;
    }

    #[test]
    fn agree_on_what_is_nearly_a_value(
        value in values(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), tokens(), any::<bool>()), 1..3),
    ) {
        let mut text: Vec<char> = format!("[{value}]").chars().collect();
        for (index, token, insert) in changes {
            let at = 1 + index.index(text.len() - 1);
            text.splice(at..at + usize::from(!insert), token.chars());
        }
        compare(&text.into_iter().collect::<String>(), 0, 0)?;
    }

    #[test]
    fn agree_on_tokens(tokens in prop::collection::vec(tokens(), 0..40), object in any::<bool>()) {
        let text = format!("{}{}", if object { '{' } else { '[' }, tokens.concat());
        compare(&text, 0, 0)?;
    }

    /// Every byte of a block may be the last one of a token.
    #[test]
    fn agree_wherever_a_block_ends(value in values(), wrong in tokens()) {
        let mut text = String::new();
        for shift in 0..64 {
            text.clear();
            let _ = write!(text, "[\"{}\",{value},{wrong}]", "x".repeat(shift));
            compare(&text, 0, 0)?;
        }
    }
}

#[test]
fn agree_on_depth() -> Result<(), TestCaseError> {
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[[],{\"a\":", "}]")] {
        for depth in [1, 2, 100, 127, 128, 129, 255, 256, 257, 1000] {
            for bottom in [0, 1, 200, MAX_DEPTH] {
                compare(
                    &format!("{}1{}", open.repeat(depth), close.repeat(depth)),
                    0,
                    bottom,
                )?;
            }
        }
    }
    Ok(())
}

#[test]
fn errors_are_those_of_one_byte_at_a_time() {
    let text = format!("[{}]", "{\"a\": 1.5},".repeat(20));
    let mut scanner = Scanner::new(text.as_bytes()).unwrap_or_else(|_| unreachable!());
    let error = JsonError {
        offset: text.len() - 1,
        reason: Reason::Expected("a value"),
    };
    assert_eq!(scanner.skip(), Err(error));
}
