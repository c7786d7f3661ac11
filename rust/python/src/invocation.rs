//! `Invocation`: a command that runs in the task of its caller, with a deadline.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use pyo3::{PyTraverseError, PyVisit};

use crate::call;
use crate::context::Context;
use crate::driver::{awaitable, Driver, Job, Next};
use crate::shortcuts::Shortcuts;
use crate::timer::Timer;

/// A command that is served in this process, as its callers run it.
#[pyclass(frozen, module = "purista_fast._core")]
pub struct LocalCommand {
    scope: Py<Shortcuts>,
    /// An async function of the context, and of the payload if there is one.
    handler: Py<PyAny>,
    /// Encodes and decodes the payload; `None` for a command that takes none.
    payload: Option<[Py<PyAny>; 2]>,
    /// Encodes and decodes the result.
    result: [Py<PyAny>; 2],
    /// Makes the error that the caller gets of that which was raised.
    fail: Py<PyAny>,
    running: AtomicUsize,
    /// Arms a deadline; there is none while nobody may run it without a detour.
    arm: Mutex<Option<Py<PyAny>>>,
}

#[pymethods]
impl LocalCommand {
    #[new]
    fn new(
        scope: Py<Shortcuts>,
        handler: Py<PyAny>,
        payload: Option<&Bound<'_, PyAny>>,
        result: &Bound<'_, PyAny>,
        fail: Py<PyAny>,
    ) -> PyResult<Self> {
        let parts = |codec: &Bound<'_, PyAny>| -> PyResult<[Py<PyAny>; 2]> {
            Ok([
                codec.getattr("encode")?.unbind(),
                codec.getattr("decode")?.unbind(),
            ])
        };
        Ok(Self {
            scope,
            handler,
            payload: payload.map(parts).transpose()?,
            result: parts(result)?,
            fail,
            running: AtomicUsize::default(),
            arm: Mutex::default(),
        })
    }

    fn open(&self, arm: Py<PyAny>) {
        let before = self.lock().replace(arm);
        drop(before);
    }

    fn close(&self) {
        let before = self.lock().take();
        drop(before);
    }

    #[getter]
    fn is_open(&self) -> bool {
        self.lock().is_some()
    }

    #[getter]
    fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    #[allow(clippy::needless_pass_by_value)] // the signature is PyO3's
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.scope)?;
        visit.call(&self.handler)?;
        visit.call(&self.fail)?;
        for codec in self.payload.iter().chain([&self.result]).flatten() {
            visit.call(codec)?;
        }
        self.arm.try_lock().map_or(Ok(()), |arm| visit.call(&*arm))
    }
}

impl LocalCommand {
    /// Whether it is called with a payload.
    pub fn takes_payload(&self) -> bool {
        self.payload.is_some()
    }

    /// Never held while Python runs.
    fn lock(&self) -> MutexGuard<'_, Option<Py<PyAny>>> {
        self.arm.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The error for the caller. `data` is a payload that did not fit.
    fn failed(
        &self,
        py: Python<'_>,
        error: &PyErr,
        context: &Py<Context>,
        data: Option<&Py<PyBytes>>,
    ) -> PyErr {
        let error = error.clone_ref(py).into_value(py);
        match self.fail.bind(py).call1((error, context, data)) {
            Ok(other) => PyErr::from_value(other),
            Err(broken) => broken,
        }
    }
}

/// A call of a local command.
pub struct Call {
    caller: Py<Context>,
    /// As the caller names it.
    name: Py<PyAny>,
    command: Py<LocalCommand>,
    argument: Option<Py<PyAny>>,
    timeout: f64,
    /// Once it runs; `None` if it takes a detour.
    run: Option<Run>,
}

struct Run {
    context: Py<Context>,
    arm: Py<PyAny>,
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.run.is_some() {
            self.command.get().running.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Call {
    /// With an argument if the command takes one, see [`LocalCommand::takes_payload`].
    pub fn new(
        caller: &Bound<'_, Context>,
        name: &Bound<'_, PyAny>,
        command: Py<LocalCommand>,
        argument: Option<Bound<'_, PyAny>>,
        timeout: f64,
    ) -> Self {
        Self {
            caller: caller.clone().unbind(),
            name: name.clone().unbind(),
            command,
            argument: argument.map(Bound::unbind),
            timeout,
            run: None,
        }
    }

    fn begin(&mut self, py: Python<'_>) -> PyResult<Next> {
        let command = self.command.get();
        let Some(arm) = command.lock().as_ref().map(|arm| arm.clone_ref(py)) else {
            // Since it was called, the application has begun to stop, or somebody to look on.
            let arguments = PyTuple::new(py, self.argument.as_ref())?;
            let caller = self.caller.get();
            let detour = caller.invoke_by_detour(py, self.name.bind(py), &arguments, None)?;
            return Ok(Next::Await(detour.unbind()));
        };
        let encoded = match (&command.payload, &self.argument) {
            (Some([encode, _]), Some(argument)) => {
                Some(bytes(call::one(encode.bind(py), argument.bind(py))?)?)
            }
            _ => None,
        };
        let caller = self.caller.get();
        let context = caller.call(
            py,
            caller.scope(),
            command.scope.clone_ref(py),
            encoded.as_ref().map(|data| data.clone().unbind()),
            self.timeout,
        );
        let context = Bound::new(py, context)?;
        self.run = Some(Run {
            context: context.clone().unbind(),
            arm,
        });
        command.running.fetch_add(1, Ordering::Relaxed);
        let coroutine = match (&command.payload, encoded) {
            (Some([_, decode]), Some(data)) => match call::one(decode.bind(py), &data) {
                Ok(value) => call::two(command.handler.bind(py), &context, &value),
                Err(error) => {
                    let data = data.unbind();
                    return Err(command.failed(py, &error, &context.unbind(), Some(&data)));
                }
            },
            _ => call::one(command.handler.bind(py), &context),
        };
        match coroutine {
            Ok(coroutine) => Ok(Next::Await(coroutine.unbind())),
            Err(error) => Err(command.failed(py, &error, &context.unbind(), None)),
        }
    }

    /// The result as the caller gets it, through JSON as over a wire.
    fn ended(&mut self, py: Python<'_>, outcome: PyResult<Py<PyAny>>) -> PyResult<Py<PyAny>> {
        let Some(Run { context, .. }) = self.run.take() else {
            return outcome;
        };
        let command = self.command.get();
        command.running.fetch_sub(1, Ordering::Relaxed);
        let [encode, decode] = &command.result;
        let data = outcome
            .and_then(|value| bytes(call::one(encode.bind(py), value.bind(py))?))
            .map_err(|error| command.failed(py, &error, &context, None))?;
        call::one(decode.bind(py), &data)
            .map(Bound::unbind)
            .map_err(|error| command.failed(py, &error, &context, None))
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.caller)?;
        visit.call(&self.name)?;
        visit.call(&self.command)?;
        visit.call(&self.argument)?;
        let Some(run) = &self.run else { return Ok(()) };
        visit.call(&run.context)?;
        visit.call(&run.arm)
    }
}

fn bytes(data: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyBytes>> {
    Ok(data.cast_into::<PyBytes>()?)
}

enum Source {
    /// A coroutine from elsewhere, what arms its deadline, and its request.
    Given(Py<PyAny>, Py<PyAny>, Py<PyAny>),
    Local(Call),
}

struct Invoke {
    source: Source,
    timer: Timer,
}

impl Job for Invoke {
    const NAME: &'static str = "an invocation";

    fn begin(&mut self, py: Python<'_>) -> PyResult<Next> {
        match &mut self.source {
            Source::Given(coroutine, ..) => Ok(Next::Await(coroutine.clone_ref(py))),
            Source::Local(call) => call.begin(py),
        }
    }

    fn ended(&mut self, py: Python<'_>, outcome: PyResult<Py<PyAny>>) -> PyResult<Next> {
        let outcome = match &mut self.source {
            Source::Given(..) => outcome,
            Source::Local(call) => call.ended(py, outcome),
        };
        self.timer.settle(py, outcome).map(Next::Return)
    }

    fn waits(&mut self, py: Python<'_>) -> PyResult<()> {
        match &self.source {
            Source::Given(_, arm, request) => self.timer.start(arm.bind(py), request.bind(py)),
            Source::Local(call) => {
                let Some(run) = &call.run else {
                    return Ok(());
                };
                self.timer
                    .start(run.arm.bind(py), run.context.get().origin(py)?.bind(py))
            }
        }
    }

    fn closed(&mut self, py: Python<'_>) -> PyResult<()> {
        self.timer.settle(py, Ok(()))
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.timer.traverse(visit)?;
        match &self.source {
            Source::Given(coroutine, arm, request) => {
                visit.call(coroutine)?;
                visit.call(arm)?;
                visit.call(request)
            }
            Source::Local(call) => call.traverse(visit),
        }
    }
}

/// Awaits a command in the task of whoever awaits this. When it first waits, its deadline is armed by
/// `arm(request)`, once; what that returns is told of the end by `settle(error)`, which gives the error to raise.
#[pyclass(frozen, module = "purista_fast._core")]
pub struct Invocation(Driver<Invoke>);

impl Invocation {
    /// A call of a command that runs here.
    pub fn local(call: Call) -> Self {
        Self::of(Source::Local(call))
    }

    fn of(source: Source) -> Self {
        Self(Driver::new(Invoke {
            source,
            timer: Timer::default(),
        }))
    }
}

awaitable!(Invocation {
    #[new]
    fn new(coroutine: Py<PyAny>, arm: Py<PyAny>, request: Py<PyAny>) -> Self {
        Self::of(Source::Given(coroutine, arm, request))
    }
});
