//! What is kept of a message that was made here.

use std::time::SystemTime;

use purista_core::message::Head;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// A message that was made here.
#[derive(Debug)]
pub struct Made {
    pub head: Head,
    pub payload: Option<Py<PyBytes>>,
    /// Whether the payload is known to be JSON that can be sent.
    pub is_checked: bool,
}

/// Now, in milliseconds since 1970 UTC.
pub fn now() -> u64 {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or_default()
}
