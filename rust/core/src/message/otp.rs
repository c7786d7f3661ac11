//! The `otp` field: W3C trace context as a JSON object inside a JSON string.

use std::borrow::Cow;

use crate::json::{push_string, JsonError, Kind, Raw, Scanner};

/// `traceparent` and `tracestate`.
pub type Trace<'a> = [Option<Cow<'a, str>>; 2];

/// Reads the trace context. What is not one counts as absent: tracing must not cost a message.
pub fn read(otp: Raw<'_>) -> Trace<'_> {
    if let Some(traceparent) = plain(otp.text) {
        return [Some(Cow::Borrowed(traceparent)), None];
    }
    let text = otp.decode();
    parse(&text)
        .unwrap_or_default()
        .map(|found| found.map(|text| Cow::Owned(text.into_owned())))
}

/// The usual case, without a copy: `{\"traceparent\":\"…\"}`.
fn plain(raw: &str) -> Option<&str> {
    let inner = raw
        .strip_prefix(r#"{\"traceparent\":\""#)?
        .strip_suffix(r#"\"}"#)?;
    (!inner.contains('\\')).then_some(inner)
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
