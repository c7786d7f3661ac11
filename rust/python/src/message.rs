//! `Message`: one message, made here or arrived.

use std::sync::Mutex;

use purista_core::message::{self, Draft, Head, MessageId, Text};
use purista_core::{ids, topic, Fields, MessageType, Texts};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple};

use crate::address::Address;
use crate::addresses;
use crate::arrived::Arrived;
use crate::error::wire_error;
use crate::joined::joined;
use crate::made::{now, Made};
use crate::names;

/// A message. Its fields become Python objects only when asked for.
#[pyclass(frozen, module = "purista_fast._core")]
#[derive(Debug)]
pub struct Message {
    content: Content,
    /// The payload as it was decoded when the message was made, after its type: for the first who wants it.
    pub kept: Mutex<Option<(Py<PyAny>, Py<PyAny>)>>,
}

#[derive(Debug)]
enum Content {
    Made(Made),
    Arrived(Arrived),
}

impl From<Made> for Message {
    fn from(made: Made) -> Self {
        Self {
            content: Content::Made(made),
            kept: Mutex::default(),
        }
    }
}

impl Message {
    /// What it is routed by.
    pub fn fields(&self) -> Fields<'_> {
        match &self.content {
            Content::Made(made) => made.head.fields(),
            Content::Arrived(arrived) => arrived.decoded().fields(),
        }
    }

    /// The message in this envelope, which is kept.
    pub fn arrived(data: &Bound<'_, PyBytes>) -> PyResult<Self> {
        Ok(Self {
            content: Content::Arrived(Arrived::new(data).map_err(wire_error)?),
            kept: Mutex::default(),
        })
    }

    /// The envelope: that in which it arrived, or a new one.
    pub fn encode<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let made = match &self.content {
            Content::Arrived(arrived) => return Ok(arrived.data().clone_ref(py).into_bound(py)),
            Content::Made(made) => made,
        };
        let payload = made.payload.as_ref().map(|payload| payload.as_bytes(py));
        let frame = made.head.frame(payload, made.is_checked).map_err(wire_error)?;
        let payload = payload.unwrap_or_default();
        let (before, after) = frame.text.split_at(frame.payload_at);
        joined(py, [before, payload, after])
    }

    /// A text of the header. That of an id made here is only to be had by [`Self::with_id`].
    pub fn text(&self, text: Text) -> Option<&str> {
        match &self.content {
            Content::Made(made) => made.head.text(text),
            Content::Arrived(arrived) => arrived.decoded().text(text),
        }
    }

    /// Calls `with` with the id.
    pub fn with_id<R>(&self, with: impl FnOnce(Option<&str>) -> R) -> R {
        match &self.content {
            Content::Made(made) => made.head.id(with),
            Content::Arrived(arrived) => with(arrived.decoded().text(Text::Id)),
        }
    }

    /// Calls `with` with the same as something to encode.
    pub fn draft<R>(&self, py: Python<'_>, with: impl FnOnce(&Draft<'_>) -> R) -> R {
        match &self.content {
            Content::Made(Made { head, payload, .. }) => {
                head.draft(payload.as_ref().map(|payload| payload.as_bytes(py)), with)
            }
            Content::Arrived(arrived) => with(&arrived.decoded().draft()),
        }
    }

    /// What it is.
    pub fn kind(&self) -> MessageType {
        match &self.content {
            Content::Made(made) => made.head.message_type,
            Content::Arrived(arrived) => arrived.decoded().message_type,
        }
    }

    /// Who sent it.
    pub fn sender_address(&self, py: Python<'_>) -> PyResult<message::Address> {
        match &self.content {
            Content::Made(made) => Ok(made.head.sender.clone()),
            Content::Arrived(arrived) => {
                addresses::address(py, arrived.decoded().sender()).map(|address| address.get().0.clone())
            }
        }
    }
}

#[pymethods]
impl Message {
    #[new]
    #[pyo3(signature = (
        message_type, *, sender, receiver=None, payload=None, id=None, timestamp=None, trace_id=None,
        correlation_id=None, principal_id=None, tenant_id=None, event_name=None, traceparent=None,
        tracestate=None, is_handled_error=None, content_type="application/json",
        content_encoding="utf-8",
    ))]
    #[allow(clippy::too_many_arguments)] // keywords in Python
    fn new(
        message_type: &str,
        sender: &Bound<'_, Address>,
        receiver: Option<&Bound<'_, Address>>,
        payload: Option<Py<PyBytes>>,
        id: Option<&str>,
        timestamp: Option<u64>,
        trace_id: Option<&str>,
        correlation_id: Option<&str>,
        principal_id: Option<&str>,
        tenant_id: Option<&str>,
        event_name: Option<&str>,
        traceparent: Option<&str>,
        tracestate: Option<&str>,
        is_handled_error: Option<bool>,
        content_type: &str,
        content_encoding: &str,
    ) -> PyResult<Self> {
        let message_type = names::parse(message_type)?;
        if timestamp.is_some_and(|timestamp| i64::try_from(timestamp).is_err()) {
            return Err(wire_error("timestamp: expected milliseconds below 2^63"));
        }
        let unless_default = |text, default| if text == default { None } else { Some(text) };
        // In the order of `Text`.
        let texts = Texts::new([
            id,
            trace_id,
            correlation_id,
            principal_id,
            tenant_id,
            event_name,
            unless_default(content_type, Head::CONTENT_TYPE),
            unless_default(content_encoding, Head::CONTENT_ENCODING),
            traceparent,
            tracestate,
        ]);
        let id = if id.is_some() {
            MessageId::Given
        } else {
            MessageId::Random(ids::new_id())
        };
        let head = Head {
            message_type,
            id,
            timestamp: Some(timestamp.unwrap_or_else(now)),
            is_handled_error,
            texts,
            sender: sender.get().0.clone(),
            receiver: receiver.map(|receiver| receiver.get().0.clone()),
        };
        Ok(Made {
            head,
            payload,
            is_checked: false,
        }
        .into())
    }

    #[getter]
    fn message_type<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        names::message_type(py, self.kind())
    }

    #[getter]
    fn id<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyString>> {
        self.with_id(|id| id.map(|id| PyString::new(py, id)))
    }

    #[getter]
    fn timestamp(&self) -> Option<u64> {
        match &self.content {
            Content::Made(made) => made.head.timestamp,
            Content::Arrived(arrived) => arrived.decoded().timestamp,
        }
    }

    #[getter]
    fn trace_id(&self) -> Option<&str> {
        self.text(Text::TraceId)
    }

    #[getter]
    fn correlation_id(&self) -> Option<&str> {
        self.text(Text::CorrelationId)
    }

    #[getter]
    fn principal_id(&self) -> Option<&str> {
        self.text(Text::PrincipalId)
    }

    #[getter]
    fn tenant_id(&self) -> Option<&str> {
        self.text(Text::TenantId)
    }

    #[getter]
    fn event_name(&self) -> Option<&str> {
        self.text(Text::EventName)
    }

    #[getter]
    fn traceparent(&self) -> Option<&str> {
        self.text(Text::Traceparent)
    }

    #[getter]
    fn tracestate(&self) -> Option<&str> {
        self.text(Text::Tracestate)
    }

    #[getter]
    fn is_handled_error(&self) -> Option<bool> {
        match &self.content {
            Content::Made(made) => made.head.is_handled_error,
            Content::Arrived(arrived) => arrived.decoded().is_handled_error,
        }
    }

    #[getter]
    fn content_type(&self) -> &str {
        self.text(Text::ContentType).unwrap_or(Head::CONTENT_TYPE)
    }

    #[getter]
    fn content_encoding(&self) -> &str {
        self.text(Text::ContentEncoding).unwrap_or(Head::CONTENT_ENCODING)
    }

    #[getter]
    fn sender(&self, py: Python<'_>) -> PyResult<Py<Address>> {
        match &self.content {
            Content::Made(made) => Py::new(py, Address(made.head.sender.clone())),
            Content::Arrived(arrived) => addresses::address(py, arrived.decoded().sender()),
        }
    }

    #[getter]
    fn receiver(&self, py: Python<'_>) -> PyResult<Option<Py<Address>>> {
        match &self.content {
            Content::Made(made) => made
                .head
                .receiver
                .clone()
                .map(|address| Py::new(py, Address(address)))
                .transpose(),
            Content::Arrived(arrived) => arrived
                .decoded()
                .receiver()
                .map(|parts| addresses::address(py, parts))
                .transpose(),
        }
    }

    #[getter]
    pub fn payload<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        match &self.content {
            Content::Made(made) => made.payload.as_ref().map(|payload| payload.bind(py).clone()),
            Content::Arrived(arrived) => bytes(py, arrived.decoded().payload()),
        }
    }

    #[allow(clippy::type_complexity)]
    fn call<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Option<Bound<'py, PyBytes>>, Option<Bound<'py, PyBytes>>)> {
        match &self.content {
            Content::Arrived(arrived) => {
                let [payload, parameter] = arrived.decoded().call().map_err(wire_error)?;
                Ok((bytes(py, payload), bytes(py, parameter)))
            }
            Content::Made(Made { payload: None, .. }) => Ok((None, None)),
            Content::Made(Made {
                payload: Some(payload),
                ..
            }) => {
                let data = payload.as_bytes(py);
                let found = message::call(data).map_err(wire_error)?;
                let [payload, parameter] = found.map(|range| {
                    range
                        .and_then(|range| data.get(range))
                        .map(|part| PyBytes::new(py, part))
                });
                Ok((payload, parameter))
            }
        }
    }

    fn unpack<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let (payload, parameter) = if self.kind() == MessageType::Command {
            self.call(py)?
        } else {
            (self.payload(py), None)
        };
        let text = |text: Text| self.text(text);
        (
            self.message_type(py),
            text(Text::CorrelationId),
            text(Text::TraceId),
            text(Text::PrincipalId),
            text(Text::TenantId),
            text(Text::EventName),
            text(Text::Traceparent),
            self.sender(py)?,
            self.receiver(py)?,
            payload,
            parameter,
        )
            .into_pyobject(py)
    }

    #[pyo3(name = "derived_id")]
    fn py_derived_id(&self, label: &str, ordinal: u64) -> String {
        ids::Hex::new(&self.derived_id(label, ordinal))
            .as_str()
            .to_owned()
    }

    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.draft(py, |draft| crate::mapping::to_dict(py, draft))
    }

    #[pyo3(signature = (prefix="purista", empty="__none__"))]
    fn topic(&self, prefix: &str, empty: &str) -> PyResult<String> {
        topic::message_topic(&self.fields(), prefix, empty).map_err(wire_error)
    }

    fn user_properties<'py>(&self, py: Python<'py>) -> Vec<(&'static str, Bound<'py, PyString>)> {
        let mut properties = Vec::with_capacity(14);
        self.draft(py, |draft| {
            draft.user_properties(|name, value| properties.push((name, PyString::new(py, value))));
        });
        properties
    }

    #[pyo3(signature = (topic, prefix="purista", empty="__none__"))]
    fn agrees_with(&self, topic: &str, prefix: &str, empty: &str) -> bool {
        topic::topic_agrees(&self.fields(), topic, prefix, empty)
    }

    fn __repr__(&self) -> String {
        let fields = self.fields();
        let name = |address: purista_core::AddressRef<'_>| {
            format!(
                "{}[{}].{}",
                address.service_name, address.service_version, address.service_target
            )
        };
        let mut parts = vec![format!("<Message {}", self.kind().as_str())];
        if !fields.event_name.is_empty() {
            parts.push(format!("event={:?}", fields.event_name));
        }
        parts.push(format!("from={:?}", name(fields.sender)));
        if let Some(receiver) = fields.receiver {
            parts.push(format!("to={:?}", name(receiver)));
        }
        parts.push(self.with_id(|id| format!("id={:?}>", id.unwrap_or_default())));
        parts.join(" ")
    }
}

fn bytes<'py>(py: Python<'py>, text: Option<&str>) -> Option<Bound<'py, PyBytes>> {
    text.map(|text| PyBytes::new(py, text.as_bytes()))
}
