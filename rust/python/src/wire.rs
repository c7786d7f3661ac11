//! The functions behind `purista_fast.wire`.

use purista_core::topic::{self, Share};
use purista_core::{ids, AddressRef};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView};

use crate::error::wire_error;
use crate::mapping::{self, Mapped};
use crate::message::Message;
use crate::names;
use crate::to_json;

/// What a text becomes as a topic level.
#[pyfunction]
pub fn snake_case(text: &str) -> String {
    purista_core::snake_case(text)
}

#[pyfunction]
pub fn new_id() -> String {
    ids::Hex::new(&ids::new_id()).as_str().to_owned()
}

#[pyfunction]
#[pyo3(signature = (parent=None))]
pub fn new_traceparent(parent: Option<&str>) -> String {
    ids::traceparent(parent)
}

/// Called in a process that was just forked.
#[pyfunction]
pub fn reseed() {
    ids::reseed();
}

#[pyfunction]
#[pyo3(signature = (message, *, prefix="purista", empty="__none__"))]
pub fn message_topic(message: &Bound<'_, PyAny>, prefix: &str, empty: &str) -> PyResult<String> {
    if let Ok(message) = message.cast::<Message>() {
        return topic::message_topic(&message.get().fields(), prefix, empty).map_err(wire_error);
    }
    let mapped = Mapped::new(message)?;
    let Some(name) = &mapped.message_type else {
        return Err(wire_error("messageType is missing"));
    };
    topic::message_topic(&mapped.fields(names::parse(name)?), prefix, empty).map_err(wire_error)
}

#[pyfunction]
#[pyo3(signature = (
    subscription, *, shared, prefix="purista", share_prefix="$share", share_name="sharedpurista",
    empty="__none__",
))]
pub fn subscription_filter(
    subscription: &Bound<'_, PyAny>,
    shared: bool,
    prefix: &str,
    share_prefix: &str,
    share_name: &str,
    empty: &str,
) -> PyResult<String> {
    let _ = empty; // a filter has wildcards where a message has the stand-in
    let share = shared.then_some(Share {
        prefix: share_prefix,
        name: share_name,
    });
    topic::subscription_filter(&filter(subscription)?, prefix, share).map_err(wire_error)
}

#[pyfunction]
#[pyo3(signature = (
    subscription, *, shared, prefix="purista", share_prefix="$share", share_name="sharedpurista",
    empty="__none__",
))]
pub fn short_info_filter(
    subscription: &Bound<'_, PyAny>,
    shared: bool,
    prefix: &str,
    share_prefix: &str,
    share_name: &str,
    empty: &str,
) -> PyResult<Option<String>> {
    let _ = empty;
    let share = shared.then_some(Share {
        prefix: share_prefix,
        name: share_name,
    });
    topic::short_info_filter(&filter(subscription)?, prefix, share).map_err(wire_error)
}

#[pyfunction]
#[pyo3(signature = (
    address, *, shared=true, prefix="purista", share_prefix="$share", share_name="sharedpurista",
    empty="__none__",
))]
pub fn command_filter(
    address: &Bound<'_, PyAny>,
    shared: bool,
    prefix: &str,
    share_prefix: &str,
    share_name: &str,
    empty: &str,
) -> PyResult<String> {
    let _ = empty;
    let share = shared.then_some(Share {
        prefix: share_prefix,
        name: share_name,
    });
    let parts = mapping::address("the address", address)?;
    let [service_name, service_version, service_target, instance_id] = parts.each_ref().map(String::as_str);
    let address = AddressRef {
        service_name,
        service_version,
        service_target,
        instance_id,
    };
    topic::command_filter(address, prefix, share).map_err(wire_error)
}

#[pyfunction]
#[pyo3(signature = (instance_id, *, prefix="purista", empty="__none__"))]
pub fn response_filter(instance_id: &str, prefix: &str, empty: &str) -> PyResult<String> {
    let _ = empty;
    topic::response_filter(instance_id, prefix).map_err(wire_error)
}

#[pyfunction]
pub fn matches(subscription: &Bound<'_, PyAny>, message: &Bound<'_, PyAny>) -> PyResult<bool> {
    let subscription = Mapped::new(subscription)?;
    let wanted = match subscription.message_type.as_deref() {
        None | Some("") => None,
        Some(name) => match purista_core::MessageType::from_name(name) {
            None => return Ok(false),
            known => known,
        },
    };
    let filter = subscription.filter(wanted);
    if let Ok(message) = message.cast::<Message>() {
        return Ok(filter.matches(&message.get().fields()));
    }
    let message = Mapped::new(message)?;
    let found = message
        .message_type
        .as_deref()
        .and_then(purista_core::MessageType::from_name);
    Ok(found.is_some_and(|found| filter.matches(&message.fields(found))))
}

#[pyfunction]
pub fn decode(data: &Bound<'_, PyAny>) -> PyResult<Message> {
    if let Ok(data) = data.cast::<PyBytes>() {
        return Message::arrived(data);
    }
    if !data.is_instance_of::<PyByteArray>() && !data.is_instance_of::<PyMemoryView>() {
        let found = data.get_type();
        return Err(PyTypeError::new_err(format!(
            "expected bytes-like data, found {}",
            found.name()?
        )));
    }
    // Copied: the message must not change when the memory does.
    let copy = data.py().get_type::<PyBytes>().call1((data,))?;
    Message::arrived(copy.cast::<PyBytes>()?)
}

#[pyfunction]
pub fn encode<'py>(message: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    if let Ok(message) = message.cast::<Message>() {
        return message.get().encode(message.py());
    }
    let mut out = Vec::with_capacity(1024);
    to_json::push(&mut out, mapping::dict("the message", message)?.as_any(), 0)?;
    purista_core::message::decode(&out).map_err(wire_error)?;
    Ok(PyBytes::new(message.py(), &out))
}

/// The filter that a mapping describes.
pub fn filter(subscription: &Bound<'_, PyAny>) -> PyResult<purista_core::Filter> {
    let mapped = Mapped::new(subscription)?;
    let wanted = mapped.message_type.as_deref().filter(|name| !name.is_empty());
    let wanted = wanted.map(names::parse).transpose()?;
    Ok(mapped.filter(wanted))
}
