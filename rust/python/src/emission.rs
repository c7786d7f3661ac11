//! `Emission`: an event on its way into the queues of this process.

use purista_core::ids;
use purista_core::message::Address as CoreAddress;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3::{intern, PyTraverseError, PyVisit};

use crate::address::Address;
use crate::call;
use crate::context::Context;
use crate::dispatcher::Dispatcher;
use crate::driver::{awaitable, Driver, Job, Next};
use crate::message::Message;

/// A payload of more bytes than this is decoded once more when it is handled: what waits shall stay small.
const KEPT: usize = 512;

/// What a message has in common with that which caused it.
#[derive(Clone, Default)]
pub struct Trace {
    id: Option<String>,
    principal_id: Option<String>,
    tenant_id: Option<String>,
    /// The trace of its `traceparent`, if that is valid.
    digits: Option<String>,
}

impl Trace {
    /// That of a request or message.
    pub fn of(origin: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = origin.py();
        let parent: Option<String> = origin.getattr(intern!(py, "traceparent"))?.extract()?;
        Ok(Self {
            id: origin.getattr(intern!(py, "trace_id"))?.extract()?,
            principal_id: origin.getattr(intern!(py, "principal_id"))?.extract()?,
            tenant_id: origin.getattr(intern!(py, "tenant_id"))?.extract()?,
            digits: parent.as_deref().and_then(ids::trace_of).map(Into::into),
        })
    }
}

/// Where the events of one name go from one handler, if all who want them are in this process.
#[pyclass(frozen, module = "purista_fast._core")]
pub struct Outlet {
    name: String,
    /// The handler that emits, for people and for the ids of its events.
    label: String,
    sender: CoreAddress,
    encode: Py<PyAny>,
    decode: Py<PyAny>,
    /// The type of the payload.
    kind: Py<PyAny>,
    dispatcher: Py<Dispatcher>,
    /// Hands over a message for which there was no room at once.
    wait: Py<PyAny>,
}

#[pymethods]
impl Outlet {
    #[new]
    fn new(
        name: String,
        label: String,
        sender: &Bound<'_, Address>,
        codec: &Bound<'_, PyAny>,
        dispatcher: Py<Dispatcher>,
        wait: Py<PyAny>,
    ) -> PyResult<Self> {
        Ok(Self {
            name,
            label,
            sender: sender.get().0.clone(),
            encode: codec.getattr("encode")?.unbind(),
            decode: codec.getattr("decode")?.unbind(),
            kind: codec.getattr("type")?.unbind(),
            dispatcher,
            wait,
        })
    }

    #[allow(clippy::needless_pass_by_value)] // the signature is PyO3's
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.encode)?;
        visit.call(&self.decode)?;
        visit.call(&self.kind)?;
        visit.call(&self.dispatcher)?;
        visit.call(&self.wait)
    }
}

impl Outlet {
    /// The message, or `None` if it takes a detour: the payload does not fit, or the bridge has stopped.
    fn message<'py>(
        &self,
        py: Python<'py>,
        context: &Context,
        payload: &Bound<'py, PyAny>,
        ordinal: Option<u64>,
    ) -> PyResult<Option<Bound<'py, Message>>> {
        if !self.dispatcher.get().is_open() {
            return Ok(None);
        }
        let Some(data) = call::unless_refused(self.encode.bind(py), payload)? else {
            return Ok(None);
        };
        let data = data.cast_into::<PyBytes>()?;
        let Some(value) = call::unless_refused(self.decode.bind(py), &data)? else {
            return Ok(None);
        };
        let trace = context.trace(py)?;
        let traceparent = trace
            .digits
            .as_deref()
            .map_or_else(|| ids::traceparent(None), ids::traceparent_in);
        let id = match (ordinal, context.cause(py)) {
            (Some(ordinal), Some(cause)) => cause.get().derived_id(&self.label, ordinal),
            _ => ids::new_id(),
        };
        let message = Message::event(
            id,
            &self.name,
            &self.sender,
            [&trace.id, &trace.principal_id, &trace.tenant_id],
            &traceparent,
            data.clone().unbind(),
        );
        if data.as_bytes().len() <= KEPT {
            message.keep(self.kind.clone_ref(py), value.unbind());
        }
        Ok(Some(Bound::new(py, message)?))
    }
}

struct Emit {
    context: Py<Context>,
    outlet: Py<Outlet>,
    event: Py<PyAny>,
    payload: Py<PyAny>,
    /// The how-manieth event of a subscription's run it is.
    ordinal: Option<u64>,
}

impl Job for Emit {
    const NAME: &'static str = "the emission of an event";

    fn begin(&mut self, py: Python<'_>) -> PyResult<Next> {
        let (outlet, context) = (self.outlet.get(), self.context.get());
        let payload = self.payload.bind(py);
        let Some(message) = outlet.message(py, context, payload, self.ordinal)? else {
            // The detour says what is wrong.
            let detour = context.emit_by_detour(py, self.event.bind(py), payload, self.ordinal)?;
            return Ok(Next::Await(detour.unbind()));
        };
        if outlet.dispatcher.get().offer(&message)? < 0 {
            return Ok(Next::Return(py.None()));
        }
        let wait = call::one(outlet.wait.bind(py), &message)?;
        Ok(Next::Await(wait.unbind()))
    }

    fn ended(&mut self, _py: Python<'_>, outcome: PyResult<Py<PyAny>>) -> PyResult<Next> {
        outcome.map(Next::Return)
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.context)?;
        visit.call(&self.outlet)?;
        visit.call(&self.event)?;
        visit.call(&self.payload)
    }
}

/// Emits an event when it is awaited.
#[pyclass(frozen, module = "purista_fast._core")]
pub struct Emission(Driver<Emit>);

impl Emission {
    pub fn new(
        context: &Bound<'_, Context>,
        outlet: Py<Outlet>,
        event: &Bound<'_, PyAny>,
        payload: Bound<'_, PyAny>,
        ordinal: Option<u64>,
    ) -> Self {
        Self(Driver::new(Emit {
            context: context.clone().unbind(),
            outlet,
            event: event.clone().unbind(),
            payload: payload.unbind(),
            ordinal,
        }))
    }
}

awaitable!(Emission {});
