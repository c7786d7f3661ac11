//! `Context`: what a handler receives beside its payload.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple, PyType};
use pyo3::{intern, Borrowed, PyTraverseError, PyVisit};

use crate::emission::{Emission, Trace};
use crate::invocation::{Call, Invocation};
use crate::message::Message;
use crate::shortcuts::Shortcuts;

/// The message at hand, and the way to other services. Made by the application, one for each run of a handler.
///
/// ``Context[Config, Resources]`` gives types to ``config`` and ``resources``.
#[pyclass(frozen, module = "purista_fast._core")]
pub struct Context {
    scope: Py<Shortcuts>,
    /// The request or message that the handler runs for; one that was called without a detour makes its request
    /// when it is asked for.
    origin: OnceLock<Py<PyAny>>,
    called: Option<Called>,
    trace: OnceLock<Arc<Trace>>,
    /// Numbers the events that a subscription emits, so that their ids are the same when it is tried again.
    ordinals: Option<AtomicU64>,
}

/// How a command was called without a detour.
struct Called {
    caller: Py<Shortcuts>,
    /// The request or message at the beginning of such calls: trace, principal and tenant are its.
    root: Py<PyAny>,
    payload: Option<Py<PyBytes>>,
    timeout: f64,
}

impl Context {
    /// The context of a command that this one calls.
    pub fn call(
        &self,
        py: Python<'_>,
        own: &Py<Shortcuts>,
        scope: Py<Shortcuts>,
        payload: Option<Py<PyBytes>>,
        timeout: f64,
    ) -> Self {
        let trace = OnceLock::new();
        if let Some(known) = self.trace.get() {
            let _ = trace.set(known.clone());
        }
        Self {
            scope,
            origin: OnceLock::new(),
            called: Some(Called {
                caller: own.clone_ref(py),
                root: self.root().clone_ref(py),
                payload,
                timeout,
            }),
            trace,
            ordinals: None,
        }
    }

    /// The context of a subscription that handles this message.
    pub fn handling(scope: Py<Shortcuts>, message: Py<PyAny>) -> Self {
        Self {
            scope,
            origin: OnceLock::from(message),
            called: None,
            trace: OnceLock::new(),
            ordinals: Some(AtomicU64::new(1)),
        }
    }

    pub fn scope(&self) -> &Py<Shortcuts> {
        &self.scope
    }

    /// The request or message that the handler runs for.
    pub fn origin(&self, py: Python<'_>) -> PyResult<&Py<PyAny>> {
        if let (None, Some(called)) = (self.origin.get(), &self.called) {
            let made = self.scope.bind(py).call_method1(
                intern!(py, "request"),
                (&called.caller, &called.root, &called.payload, called.timeout),
            )?;
            // Whoever came first while Python ran has set it.
            let _ = self.origin.set(made.unbind());
        }
        Ok(self.root())
    }

    /// The message that it runs for, if it runs for one.
    pub fn cause<'s>(&'s self, py: Python<'s>) -> Option<&'s Bound<'s, Message>> {
        self.origin.get()?.bind(py).cast::<Message>().ok()
    }

    /// What its messages have in common with that which it runs for.
    pub fn trace(&self, py: Python<'_>) -> PyResult<&Trace> {
        if self.trace.get().is_none() {
            let _ = self.trace.set(Arc::new(Trace::of(self.root().bind(py))?));
        }
        Ok(self.trace.get_or_init(Arc::default))
    }

    fn root(&self) -> &Py<PyAny> {
        match (self.origin.get(), &self.called) {
            (Some(origin), _) => origin,
            (None, Some(called)) => &called.root,
            (None, None) => unreachable!("a context is made with one of them"),
        }
    }

    fn of_origin<'py>(&self, py: Python<'py>, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        self.origin(py)?.bind(py).getattr(name)
    }

    fn of_scope<'py>(&self, py: Python<'py>, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        self.scope.bind(py).getattr(name)
    }
}

/// An argument that may be left out, which is not the same as `None`. One more in the signature costs less than to take
/// it out of the others.
struct Given<'py>(Option<Bound<'py, PyAny>>);

impl<'py> FromPyObject<'_, 'py> for Given<'py> {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        Ok(Self(Some(given.to_owned())))
    }
}

#[allow(clippy::doc_markdown)] // the docstrings that Python shows, as in the stub
#[pymethods]
impl Context {
    #[new]
    #[pyo3(signature = (scope, origin, *, numbers_events = false))]
    fn new(scope: Py<Shortcuts>, origin: Py<PyAny>, numbers_events: bool) -> Self {
        Self {
            scope,
            origin: OnceLock::from(origin),
            called: None,
            trace: OnceLock::new(),
            ordinals: numbers_events.then(|| AtomicU64::new(1)),
        }
    }

    #[classmethod]
    fn __class_getitem__<'py>(
        class: &Bound<'py, PyType>,
        types: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = class.py();
        let alias = py.import("types")?.getattr("GenericAlias")?;
        alias.call1((class, types))
    }

    #[getter(_scope)]
    fn get_scope(&self, py: Python<'_>) -> Py<Shortcuts> {
        self.scope.clone_ref(py)
    }

    /// Whether this is the context of a running application, and not of a test.
    #[getter]
    fn is_live<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.of_scope(py, intern!(py, "is_live"))
    }

    /// The message that the handler runs for; of a batch the first one.
    #[getter]
    fn message<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let scope = self.scope.bind(py);
        scope.call_method1(intern!(py, "message_of"), (self.origin(py)?,))
    }

    /// The messages that the handler runs for: those of its batch, in order; one for a handler without a batch.
    #[getter]
    fn messages<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let scope = self.scope.bind(py);
        scope.call_method1(intern!(py, "messages_of"), (self.origin(py)?,))
    }

    /// A logger of the standard library, bound to service, target and trace.
    #[getter]
    fn logger<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        slf.get()
            .scope
            .bind(py)
            .call_method1(intern!(py, "logger_of"), (slf,))
    }

    /// 32 hex digits that all messages of one cause have in common.
    #[getter]
    fn trace_id<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let scope = self.scope.bind(py);
        scope.call_method1(intern!(py, "trace_id_of"), (self.origin(py)?,))
    }

    /// On whose behalf this runs.
    #[getter]
    fn principal_id<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.of_origin(py, intern!(py, "principal_id"))
    }

    /// In whose realm this runs.
    #[getter]
    fn tenant_id<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.of_origin(py, intern!(py, "tenant_id"))
    }

    /// The running application's name on the bridge.
    #[getter]
    fn instance_id<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.of_scope(py, intern!(py, "instance_id"))
    }

    /// The service's configuration, from ``[config.<service>]``.
    #[getter]
    fn config<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.of_scope(py, intern!(py, "config"))
    }

    /// What the application was given: a database pool, a sensor bus.
    #[getter]
    fn resources<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.of_scope(py, intern!(py, "resources"))
    }

    /// The service's states: what it keeps over restarts.
    #[getter]
    fn states<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.of_scope(py, intern!(py, "states"))
    }

    /// The application's configs: values by name, from file and environment.
    #[getter]
    fn configs<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.of_scope(py, intern!(py, "configs"))
    }

    /// The application's secrets, from files and environment.
    #[getter]
    fn secrets<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.of_scope(py, intern!(py, "secrets"))
    }

    /// Has a command run, wherever it is served, and gives its result.
    ///
    /// Trace, principal and tenant go with it. Options of the call are given by ``command.using(timeout=2.0)``.
    ///
    /// :raises HandledError: as the command raised it; 400 if payload or parameter do not fit its schema.
    /// :raises UnhandledError: 500 if it crashed, 502 if nobody serves it, 504 if no answer came in time.
    /// :raises DefinitionError: if the handler has an ``invokes`` list without this command.
    /// :raises TypeError: if the arguments are not those of the command, or no JSON can be made of them.
    #[pyo3(
        signature = (command, payload = Given(None), /, *args, **kwargs),
        text_signature = "($self, command, /, *args, **kwargs)",
    )]
    fn invoke<'py>(
        slf: &Bound<'py, Self>,
        command: &Bound<'py, PyAny>,
        payload: Given<'py>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (py, context) = (slf.py(), slf.get());
        let Given(payload) = payload;
        if kwargs.is_none() && args.is_empty() {
            if let Some((local, timeout)) = Shortcuts::command(&context.scope, command)? {
                if local.get().takes_payload() == payload.is_some() {
                    let call = Call::new(slf, command, local, payload, timeout);
                    return Ok(Bound::new(py, Invocation::local(call))?.into_any());
                }
            }
        }
        let args = PyTuple::new(py, payload.into_iter().chain(args.iter()).collect::<Vec<_>>())?;
        context.invoke_by_detour(py, command, &args, kwargs)
    }

    /// Emits an event; trace, principal and tenant go with it. What a return promises is the bridge's to say.
    ///
    /// In a subscription the event's id follows from that of the message at hand and from how many were emitted before
    /// it: when the handler is tried again, its events are recognised as the same.
    ///
    /// :raises PayloadError: if the payload does not fit the event's type.
    /// :raises UnhandledError: 503 if a queue stayed full for ``queue_timeout``; 507 if there is no room to keep it.
    /// :raises BridgeError: if it has to be on disk (``durability="disk"``), and the bridge has none.
    /// :raises DefinitionError: if the handler has an ``emits`` list without this event.
    #[pyo3(signature = (event, payload = None, /))]
    fn emit<'py>(
        slf: &Bound<'py, Self>,
        event: &Bound<'py, PyAny>,
        payload: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (py, context) = (slf.py(), slf.get());
        let payload = payload.unwrap_or_else(|| py.None().into_bound(py));
        // When it is called, not when it is awaited: so the order in the handler decides.
        let ordinal = context
            .ordinals
            .as_ref()
            .map(|ordinals| ordinals.fetch_add(1, Ordering::Relaxed));
        if let Some(outlet) = Shortcuts::outlet(&context.scope, event)? {
            let emission = Emission::new(slf, outlet, event, payload, ordinal);
            return Ok(Bound::new(py, emission)?.into_any());
        }
        context.emit_by_detour(py, event, &payload, ordinal)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let py = slf.py();
        let label = slf.get().of_scope(py, intern!(py, "label"))?;
        let trace_id = slf.get().trace_id(py)?;
        Ok(format!("<Context of {label}, trace {trace_id}>"))
    }

    #[allow(clippy::needless_pass_by_value)] // the signature is PyO3's
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.scope)?;
        if let Some(origin) = self.origin.get() {
            visit.call(origin)?;
        }
        if let Some(called) = &self.called {
            visit.call(&called.caller)?;
            visit.call(&called.root)?;
            visit.call(&called.payload)?;
        }
        Ok(())
    }
}

impl Context {
    /// Has the runtime invoke the command: it knows all cases.
    pub fn invoke_by_detour<'py>(
        &self,
        py: Python<'py>,
        command: &Bound<'py, PyAny>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let kwargs = kwargs.map_or_else(|| PyDict::new(py), Clone::clone);
        self.scope
            .bind(py)
            .call_method1(intern!(py, "invoke"), (self.origin(py)?, command, args, kwargs))
    }

    /// As for a command.
    pub fn emit_by_detour<'py>(
        &self,
        py: Python<'py>,
        event: &Bound<'py, PyAny>,
        payload: &Bound<'py, PyAny>,
        ordinal: Option<u64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.scope
            .bind(py)
            .call_method1(intern!(py, "emit"), (self.origin(py)?, event, payload, ordinal))
    }
}
