//! The `otp` field: W3C trace context as a JSON object inside a JSON string.

use std::borrow::Cow;
use std::ops::Range;

use crate::json::{is_plain, push_string, JsonError, Kind, Raw, Scanner};

/// `traceparent` and `tracestate`.
type Trace<'a> = [Option<Cow<'a, str>>; 2];

/// Reads the trace context. What is not one counts as absent: tracing must not cost a message.
pub fn read(otp: Raw<'_>) -> [Option<String>; 2] {
    let text = otp.decode();
    parse(&text)
        .unwrap_or_default()
        .map(|found| found.map(Cow::into_owned))
}

const BEFORE: &str = r#"{\"traceparent\":\""#;
const AFTER: &str = r#"\"}"#;

/// Where the `traceparent` stands in the usual case: `{\"traceparent\":\"…\"}`.
pub fn plain(raw: &str) -> Option<Range<usize>> {
    let inner = raw.strip_prefix(BEFORE)?.strip_suffix(AFTER)?;
    (!inner.contains('\\')).then_some(BEFORE.len()..BEFORE.len() + inner.len())
}

/// Appends the trace context as a string, if there is one. `before` comes first.
pub fn push(out: &mut Vec<u8>, before: &[u8], traceparent: Option<&str>, tracestate: Option<&str>) {
    match (traceparent, tracestate) {
        (Some(traceparent), None) if is_plain(traceparent) => {
            for part in [
                before,
                b"\"",
                BEFORE.as_bytes(),
                traceparent.as_bytes(),
                AFTER.as_bytes(),
                b"\"",
            ] {
                out.extend_from_slice(part);
            }
        }
        _ => {
            if let Some(object) = object(traceparent, tracestate) {
                out.extend_from_slice(before);
                push_string(out, &object);
            }
        }
    }
}

fn parse(text: &str) -> Result<Trace<'_>, JsonError> {
    let mut found: Trace<'_> = [None, None];
    let mut scanner = Scanner::new(text.as_bytes())?;
    scanner.object(|scanner, key| {
        let slot = match &*key.decode() {
            "traceparent" => 0,
            "tracestate" => 1,
            _ => return scanner.ignore(),
        };
        if scanner.kind()? == Kind::String {
            found[slot] = Some(scanner.string()?.decode());
            return Ok(());
        }
        scanner.ignore()
    })?;
    scanner.end()?;
    Ok(found)
}

/// The trace context as the text of an object; `None` if there is none.
pub fn object(traceparent: Option<&str>, tracestate: Option<&str>) -> Option<String> {
    let mut object = Vec::with_capacity(96);
    for (name, value) in [("traceparent", traceparent), ("tracestate", tracestate)] {
        if let Some(value) = value {
            object.push(if object.is_empty() { b'{' } else { b',' });
            push_string(&mut object, name);
            object.push(b':');
            push_string(&mut object, value);
        }
    }
    if object.is_empty() {
        return None;
    }
    object.push(b'}');
    String::from_utf8(object).ok()
}
