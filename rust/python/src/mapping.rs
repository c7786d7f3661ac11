//! Messages, addresses and filters as mappings with the names of the wire.

use purista_core::message::{Draft, Head, Text};
use purista_core::{AddressRef, Fields, Filter, MessageType};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyMapping, PyString};

use crate::error::wire_error;

/// The texts of a message or filter, in the order of [`Fields::texts`], and its type, if it names one.
pub struct Mapped {
    pub message_type: Option<String>,
    pub texts: [String; Filter::TEXTS],
    pub receiver: bool,
}

impl Mapped {
    /// Reads a mapping; what is absent or `None` is empty.
    pub fn new(mapping: &Bound<'_, PyAny>) -> PyResult<Self> {
        let dict = dict("the message or subscription", mapping)?;
        let mut texts: [String; Filter::TEXTS] = Default::default();
        for (slot, name) in texts.iter_mut().zip(["eventName", "principalId", "tenantId"]) {
            *slot = text(&dict, name)?.unwrap_or_default();
        }
        let mut receiver = false;
        for (whose, first) in [("sender", 3), ("receiver", Filter::RECEIVER)] {
            let Some(found) = item(&dict, whose)? else {
                continue;
            };
            receiver |= whose == "receiver";
            for (slot, part) in texts.iter_mut().skip(first).zip(address(whose, &found)?) {
                *slot = part;
            }
        }
        Ok(Self {
            message_type: text(&dict, "messageType")?,
            texts,
            receiver,
        })
    }

    /// As the fields of a message of this type.
    pub fn fields(&self, message_type: MessageType) -> Fields<'_> {
        let [event_name, principal_id, tenant_id, s0, s1, s2, s3, r0, r1, r2, r3] =
            self.texts.each_ref().map(String::as_str);
        let address = |[service_name, service_version, service_target, instance_id]: [_; 4]| AddressRef {
            service_name,
            service_version,
            service_target,
            instance_id,
        };
        Fields {
            message_type,
            event_name,
            principal_id,
            tenant_id,
            sender: address([s0, s1, s2, s3]),
            receiver: self.receiver.then(|| address([r0, r1, r2, r3])),
        }
    }

    /// As a filter for messages of this type.
    pub fn filter(self, message_type: Option<MessageType>) -> Filter {
        Filter {
            message_type,
            texts: self.texts.map(String::into_boxed_str),
        }
    }
}

const ADDRESS: [&str; 4] = ["serviceName", "serviceVersion", "serviceTarget", "instanceId"];

/// The four texts of an address.
pub fn address(whose: &str, mapping: &Bound<'_, PyAny>) -> PyResult<[String; 4]> {
    let dict = dict(whose, mapping)?;
    let mut parts: [String; 4] = Default::default();
    for (part, name) in parts.iter_mut().zip(ADDRESS) {
        *part = text(&dict, name)?.unwrap_or_default();
    }
    Ok(parts)
}

/// The mapping as a dictionary.
pub fn dict<'py>(what: &str, mapping: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
    if let Ok(dict) = mapping.cast::<PyDict>() {
        return Ok(dict.clone());
    }
    let Ok(mapping) = mapping.cast::<PyMapping>() else {
        return Err(wire_error(format!(
            "{what}: expected a mapping, found {}",
            mapping.get_type().name()?
        )));
    };
    PyDict::from_sequence(mapping.items()?.as_any())
}

fn item<'py>(dict: &Bound<'py, PyDict>, name: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
    Ok(dict.get_item(name)?.filter(|found| !found.is_none()))
}

fn text(dict: &Bound<'_, PyDict>, name: &str) -> PyResult<Option<String>> {
    let Some(found) = item(dict, name)? else {
        return Ok(None);
    };
    let Ok(text) = found.cast::<PyString>() else {
        return Err(wire_error(format!(
            "{name}: expected a string, found {}",
            found.get_type().name()?
        )));
    };
    Ok(Some(text.to_str()?.to_owned()))
}

/// A message as a dictionary.
pub fn to_dict<'py>(py: Python<'py>, draft: &Draft<'_>) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("messageType", draft.message_type.as_str())?;
    let text = |text: Text| draft.texts[text as usize];
    if let Some(id) = text(Text::Id) {
        dict.set_item("id", id)?;
    }
    if let Some(timestamp) = draft.timestamp {
        dict.set_item("timestamp", timestamp)?;
    }
    let texts = [
        Text::TraceId,
        Text::CorrelationId,
        Text::PrincipalId,
        Text::TenantId,
        Text::EventName,
    ];
    for name in texts {
        if let Some(value) = text(name) {
            dict.set_item(name.name(), value)?;
        }
    }
    for (whose, address) in [("sender", Some(draft.sender)), ("receiver", draft.receiver)] {
        let Some(address) = address else { continue };
        let parts = PyDict::new(py);
        for (name, part) in ADDRESS.into_iter().zip(address) {
            if let Some(part) = part {
                parts.set_item(name, part)?;
            }
        }
        dict.set_item(whose, parts)?;
    }
    let content_type = text(Text::ContentType).unwrap_or(Head::CONTENT_TYPE);
    dict.set_item("contentType", content_type)?;
    let encoding = text(Text::ContentEncoding).unwrap_or(Head::CONTENT_ENCODING);
    dict.set_item("contentEncoding", encoding)?;
    if let Some(handled) = draft.is_handled_error {
        dict.set_item("isHandledError", handled)?;
    }
    if let Some(payload) = draft.payload {
        let loads = py.import("json")?.getattr("loads")?;
        dict.set_item("payload", loads.call1((PyBytes::new(py, payload),))?)?;
    }
    if let Some(otp) = draft.otp() {
        dict.set_item("otp", otp)?;
    }
    Ok(dict)
}
