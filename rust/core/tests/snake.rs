//! `snake_case` against the regular expression that defines it, tried by hand at each place.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use purista_core::snake_case;

fn run(bytes: &[u8], from: usize, belongs: fn(&u8) -> bool) -> usize {
    bytes[from..].iter().take_while(|byte| belongs(byte)).count()
}

/// `[A-Z]{2,}(?=[A-Z][a-z]+[0-9]*|\b)`, the longest first.
fn capitals(bytes: &[u8], at: usize) -> Option<usize> {
    let word = |n: usize| {
        bytes
            .get(n)
            .is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
    };
    (2..=run(bytes, at, u8::is_ascii_uppercase)).rev().find(|length| {
        let end = at + length;
        let next_word = bytes.get(end).is_some_and(u8::is_ascii_uppercase)
            && bytes.get(end + 1).is_some_and(u8::is_ascii_lowercase);
        next_word || word(end - 1) != word(end)
    })
}

/// `[A-Z]?[a-z]+[0-9]*`
fn lower(bytes: &[u8], at: usize) -> Option<usize> {
    let capital = usize::from(bytes[at].is_ascii_uppercase());
    let letters = run(bytes, at + capital, u8::is_ascii_lowercase);
    (letters > 0).then(|| capital + letters + run(bytes, at + capital + letters, u8::is_ascii_digit))
}

fn naive(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut words, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let single = bytes[at].is_ascii_uppercase().then_some(1);
        let digits = Some(run(bytes, at, u8::is_ascii_digit)).filter(|n| *n > 0);
        let found = capitals(bytes, at)
            .or_else(|| lower(bytes, at))
            .or(single)
            .or(digits);
        if let Some(length) = found {
            words.push(
                String::from_utf8(bytes[at..at + length].to_vec())
                    .unwrap()
                    .to_lowercase(),
            );
        }
        at += found.unwrap_or(1);
    }
    if words.is_empty() {
        text.to_owned()
    } else {
        words.join("_")
    }
}

proptest! {
    #[test]
    fn finds_the_words_of_the_regular_expression(text in "[aAbB1_ é-]{0,12}|\\PC{0,12}") {
        prop_assert_eq!(snake_case(&text), naive(&text));
    }
}

#[test]
fn long_runs_take_linear_time() {
    let text = "A".repeat(1_000_000) + "1";
    assert_eq!(snake_case(&text).len(), 2_000_001);
}
