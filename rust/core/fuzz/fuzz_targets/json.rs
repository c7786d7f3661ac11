//! The scanner takes what `serde_json` takes, and reads strings as it does.
#![no_main]

use libfuzzer_sys::fuzz_target;
use purista_core::json::{check, Reason, Scanner};

fuzz_target!(|data: &[u8]| {
    let found = check(data);
    if let Err(error) = found {
        assert!(error.offset <= data.len());
    }
    match serde_json::from_slice::<serde_json::Value>(data) {
        Ok(value) => {
            assert_eq!(found, Ok(()));
            if let Some(text) = value.as_str() {
                let mut scanner = Scanner::new(data).expect("UTF-8");
                assert_eq!(scanner.string().expect("a string").decode(), text);
            }
        }
        Err(error) => {
            // Limits of `serde_json`, not of JSON.
            let error = error.to_string();
            let limit = error.starts_with("number out of range") || error.starts_with("recursion limit");
            assert!(limit || found.is_err(), "{error}");
            assert!(
                !limit
                    || found
                        != Err(purista_core::json::JsonError {
                            offset: 0,
                            reason: Reason::End
                        })
            );
        }
    }
});
