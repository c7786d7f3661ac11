//! The names of the message types as Python strings, made once.

use purista_core::MessageType;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyString;

use crate::error::wire_error;

static NAMES: PyOnceLock<Vec<Py<PyString>>> = PyOnceLock::new();

/// The name of this type.
pub fn message_type(py: Python<'_>, kind: MessageType) -> Bound<'_, PyString> {
    let names = NAMES.get_or_init(py, || {
        let name = |kind: &MessageType| PyString::intern(py, kind.as_str()).unbind();
        MessageType::ALL.iter().map(name).collect()
    });
    match names.get(kind as usize) {
        Some(name) => name.bind(py).clone(),
        None => PyString::new(py, kind.as_str()),
    }
}

/// The type with this name.
pub fn parse(name: &str) -> PyResult<MessageType> {
    MessageType::from_name(name).ok_or_else(|| {
        wire_error(format!(
            "messageType: expected a known type such as \"command\", found {name:?}"
        ))
    })
}
