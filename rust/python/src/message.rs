//! `Message`: one message, made here or arrived.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use purista_core::message::{self, Head, MessageId, Text};
use purista_core::{ids, topic, Fields, MessageType, Texts};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

use crate::address::Address;
use crate::error::wire_error;

/// A message. Its fields become Python objects only when asked for.
#[pyclass(frozen, module = "purista_fast._core")]
#[derive(Debug)]
pub struct Message {
    head: Head,
    body: Body,
    /// The payload as it was decoded when the message was made, after its type: for the first who wants it.
    kept: Mutex<Option<(Py<PyAny>, Py<PyAny>)>>,
}

#[derive(Debug)]
enum Body {
    /// Made here: the payload alone.
    Payload(Option<Py<PyBytes>>),
    /// Arrived: the whole envelope, and where in it the payload stands.
    Envelope(Py<PyBytes>, Option<Range<usize>>),
}

impl Message {
    /// What it is routed by.
    pub fn fields(&self) -> Fields<'_> {
        self.head.fields()
    }

    /// Its event name, if it has one.
    pub fn event_name_str(&self) -> Option<&str> {
        self.head.text(Text::EventName)
    }

    /// Everything but the payload.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// A message that was made here.
    pub fn made(head: Head, payload: Option<Py<PyBytes>>) -> Self {
        Self {
            head,
            body: Body::Payload(payload),
            kept: Mutex::default(),
        }
    }

    /// The message in this envelope, which is kept.
    pub fn arrived(data: &Bound<'_, PyBytes>) -> PyResult<Self> {
        let decoded = message::decode(data.as_bytes()).map_err(wire_error)?;
        let head = Head::from(&decoded);
        Ok(Self {
            head,
            body: Body::Envelope(data.clone().unbind(), decoded.payload),
            kept: Mutex::default(),
        })
    }

    /// The id of the `ordinal`th event that the subscription `label` emits because of this message.
    pub fn derived_id(&self, label: &str, ordinal: u64) -> ids::Id {
        let kind = self.head.message_type.as_str();
        let cause = self.head.id(|id| {
            let event_name = self.event_name_str().unwrap_or_default();
            format!("{kind} {} {event_name}", id.unwrap_or_default())
        });
        ids::derived(&cause, label, ordinal)
    }

    /// An event that is made now.
    pub fn event(
        id: ids::Id,
        name: &str,
        sender: &message::Address,
        [trace_id, principal_id, tenant_id]: [&Option<String>; 3],
        traceparent: &str,
        payload: Py<PyBytes>,
    ) -> Self {
        let mut texts = [None; Text::COUNT];
        texts[Text::TraceId as usize] = trace_id.as_deref();
        texts[Text::PrincipalId as usize] = principal_id.as_deref();
        texts[Text::TenantId as usize] = tenant_id.as_deref();
        texts[Text::EventName as usize] = Some(name);
        texts[Text::Traceparent as usize] = Some(traceparent);
        let head = Head {
            message_type: MessageType::CustomMessage,
            id: MessageId::Random(id),
            timestamp: Some(now()),
            is_handled_error: None,
            texts: Texts::new(texts),
            sender: sender.clone(),
            receiver: None,
        };
        Self::made(head, Some(payload))
    }

    /// Keeps the payload as one of this type, for the first who wants it so.
    pub fn keep(&self, kind: Py<PyAny>, value: Py<PyAny>) {
        let before = self.lock().replace((kind, value));
        drop(before);
    }

    /// The payload as one of this very type, once: it belongs to the one who takes it.
    pub fn take_kept(&self, kind: &Py<PyAny>) -> Option<Py<PyAny>> {
        let kept = self.lock().take_if(|(of, _)| of.is(kind));
        kept.map(|(_, value)| value)
    }

    /// Never held while Python runs.
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(Py<PyAny>, Py<PyAny>)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The envelope: that in which it arrived, or a new one.
    pub fn encode<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        match &self.body {
            Body::Envelope(data, _) => Ok(data.bind(py).clone()),
            Body::Payload(payload) => {
                let payload = payload.as_ref().map(|payload| payload.as_bytes(py));
                let envelope = self.head.encode(payload).map_err(wire_error)?;
                Ok(PyBytes::new(py, &envelope))
            }
        }
    }

    fn payload_bytes<'s>(&'s self, py: Python<'s>) -> Option<&'s [u8]> {
        match &self.body {
            Body::Payload(payload) => payload.as_ref().map(|payload| payload.as_bytes(py)),
            Body::Envelope(data, range) => range.clone().and_then(|range| data.as_bytes(py).get(range)),
        }
    }

    fn text(&self, text: Text) -> Option<&str> {
        self.head.text(text)
    }
}

/// Now, in milliseconds since 1970 UTC.
pub fn now() -> u64 {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or_default()
}

/// The type with this name.
pub fn message_type(name: &str) -> PyResult<MessageType> {
    MessageType::from_name(name).ok_or_else(|| {
        wire_error(format!(
            "messageType: expected a known type such as \"command\", found {name:?}"
        ))
    })
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
        let message_type = self::message_type(message_type)?;
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
        Ok(Self::made(head, payload))
    }

    #[getter]
    fn message_type(&self) -> &'static str {
        self.head.message_type.as_str()
    }

    #[getter]
    fn id<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyString>> {
        self.head.id(|id| id.map(|id| PyString::new(py, id)))
    }

    #[getter]
    fn timestamp(&self) -> Option<u64> {
        self.head.timestamp
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
        self.head.is_handled_error
    }

    #[getter]
    fn content_type(&self) -> &str {
        self.head.content_type()
    }

    #[getter]
    fn content_encoding(&self) -> &str {
        self.head.content_encoding()
    }

    #[getter]
    fn sender(&self) -> Address {
        Address(self.head.sender.clone())
    }

    #[getter]
    fn receiver(&self) -> Option<Address> {
        self.head.receiver.clone().map(Address)
    }

    #[getter]
    pub fn payload<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        match &self.body {
            Body::Payload(payload) => payload.as_ref().map(|payload| payload.bind(py).clone()),
            Body::Envelope(..) => self.payload_bytes(py).map(|bytes| PyBytes::new(py, bytes)),
        }
    }

    #[allow(clippy::type_complexity)]
    fn call<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Option<Bound<'py, PyBytes>>, Option<Bound<'py, PyBytes>>)> {
        let Some(payload) = self.payload_bytes(py) else {
            return Ok((None, None));
        };
        let found = message::call(payload).map_err(wire_error)?;
        let [payload, parameter] = found.map(|range| {
            range
                .and_then(|range| payload.get(range))
                .map(|part| PyBytes::new(py, part))
        });
        Ok((payload, parameter))
    }

    #[pyo3(name = "derived_id")]
    fn py_derived_id(&self, label: &str, ordinal: u64) -> String {
        ids::Hex::new(&self.derived_id(label, ordinal))
            .as_str()
            .to_owned()
    }

    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        crate::mapping::to_dict(py, &self.head, self.payload_bytes(py))
    }

    #[pyo3(signature = (prefix="purista", empty="__none__"))]
    fn topic(&self, prefix: &str, empty: &str) -> PyResult<String> {
        topic::message_topic(&self.fields(), prefix, empty).map_err(wire_error)
    }

    fn user_properties(&self) -> Vec<(&'static str, &str)> {
        let mut properties = Vec::with_capacity(14);
        self.head
            .user_properties(|name, value| properties.push((name, value)));
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
        let mut parts = vec![format!("<Message {}", self.head.message_type.as_str())];
        if !fields.event_name.is_empty() {
            parts.push(format!("event={:?}", fields.event_name));
        }
        parts.push(format!("from={:?}", name(fields.sender)));
        if let Some(receiver) = fields.receiver {
            parts.push(format!("to={:?}", name(receiver)));
        }
        parts.push(self.head.id(|id| format!("id={:?}>", id.unwrap_or_default())));
        parts.join(" ")
    }
}
