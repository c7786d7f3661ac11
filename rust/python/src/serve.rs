//! `Serve`: the dispatch loop of a worker, from a queue through a handler to the next item.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use purista_core::MessageType;
use pyo3::prelude::*;
use pyo3::types::PyBool;
use pyo3::{PyTraverseError, PyVisit};

use crate::call;
use crate::context::Context;
use crate::dispatcher::Dispatcher;
use crate::driver::{awaitable, Driver, Job, Next};
use crate::message::Message;
use crate::shortcuts::Shortcuts;

/// Handlers that never wait keep the event loop to themselves for so long, or for one item if that takes longer.
const SLICE: Duration = Duration::from_millis(1);

/// A subscription whose handler is run without a detour through Python.
#[pyclass(frozen, module = "purista_fast._core")]
pub struct Handler {
    scope: Py<Shortcuts>,
    /// An async function of the context, and of the payload if there is one.
    function: Py<PyAny>,
    /// Type and decoder of the payload; `None` for a handler that takes none.
    payload: Option<[Py<PyAny>; 2]>,
}

#[pymethods]
impl Handler {
    #[new]
    fn new(scope: Py<Shortcuts>, handler: Py<PyAny>, codec: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let payload = match codec {
            Some(codec) => Some([codec.getattr("type")?.unbind(), codec.getattr("decode")?.unbind()]),
            None => None,
        };
        Ok(Self {
            scope,
            function: handler,
            payload,
        })
    }

    #[allow(clippy::needless_pass_by_value)] // the signature is PyO3's
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.scope)?;
        visit.call(&self.function)?;
        self.payload
            .iter()
            .flatten()
            .try_for_each(|part| visit.call(part))
    }
}

impl Handler {
    /// The coroutine that handles a message; `None` if that takes a detour: the message has another form, or its
    /// payload does not fit.
    fn begin<'py>(&self, message: &Bound<'py, Message>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = message.py();
        let found = message.get();
        if found.kind() == MessageType::Command {
            return Ok(None);
        }
        let mut value = None;
        if let Some([kind, decode]) = &self.payload {
            value = match found.take_kept(kind) {
                Some(kept) => Some(kept.into_bound(py)),
                None => match found.payload(py) {
                    Some(data) => call::unless_refused(decode.bind(py), &data)?,
                    None => None,
                },
            };
            if value.is_none() {
                return Ok(None);
            }
        }
        let context = Context::handling(self.scope.clone_ref(py), message.clone().into_any().unbind());
        let context = Bound::new(py, context)?;
        let handler = self.function.bind(py);
        match value {
            Some(value) => call::two(handler, &context, &value),
            None => call::one(handler, &context),
        }
        .map(Some)
    }
}

/// What the workers of a queue have done.
#[pyclass(frozen, module = "purista_fast._core")]
#[derive(Default)]
pub struct Tally {
    taken: AtomicUsize,
    handled: AtomicU64,
    stopped: AtomicBool,
}

#[pymethods]
impl Tally {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    #[getter]
    fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    #[getter]
    fn handled(&self) -> u64 {
        self.handled.load(Ordering::Relaxed)
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

struct Work {
    dispatcher: Py<Dispatcher>,
    queue: u32,
    tally: Py<Tally>,
    run: Py<PyAny>,
    handler: Option<Py<Handler>>,
    fail: Option<Py<PyAny>>,
    /// Called for each item that was taken; the next one is for somebody else then.
    share: Option<Py<PyAny>>,
    since: Option<Instant>,
    /// What is handled without a detour now.
    current: Option<Py<PyAny>>,
}

impl Work {
    fn next(&mut self, py: Python<'_>) -> PyResult<Next> {
        let slice_is_over = |since: Instant| since.elapsed() >= SLICE || self.share.is_some();
        if self.since.is_some_and(slice_is_over) {
            return Ok(returned(py, true));
        }
        self.since.get_or_insert_with(Instant::now);
        if self.tally.get().stopped.load(Ordering::Relaxed) {
            return Ok(returned(py, false));
        }
        let Some(item) = self.dispatcher.get().take_one(py, self.queue)? else {
            return Ok(returned(py, false));
        };
        self.tally.get().taken.fetch_add(1, Ordering::Relaxed);
        if let Some(share) = &self.share {
            share.call0(py)?;
        }
        if let Some(handler) = &self.handler {
            if let Ok(message) = item.bind(py).cast::<Message>() {
                self.current = Some(item.clone_ref(py));
                match handler.get().begin(message) {
                    Ok(Some(coroutine)) => return Ok(Next::Await(coroutine.unbind())),
                    Ok(None) => self.current = None,
                    Err(error) => return self.ended(py, Err(error)),
                }
            }
        }
        Ok(Next::Await(call::one(self.run.bind(py), item.bind(py))?.unbind()))
    }
}

fn returned(py: Python<'_>, more: bool) -> Next {
    Next::Return(PyBool::new(py, more).to_owned().into_any().unbind())
}

impl Job for Work {
    const NAME: &'static str = "the work of a queue";

    fn begin(&mut self, py: Python<'_>) -> PyResult<Next> {
        self.next(py)
    }

    fn ended(&mut self, py: Python<'_>, outcome: PyResult<Py<PyAny>>) -> PyResult<Next> {
        let current = self.current.take();
        if let Err(error) = outcome {
            let (Some(item), Some(fail)) = (current, &self.fail) else {
                return Err(error);
            };
            let error = error.into_value(py);
            call::two(fail.bind(py), item.bind(py), error.bind(py))?;
        }
        let tally = self.tally.get();
        tally.taken.fetch_sub(1, Ordering::Relaxed);
        tally.handled.fetch_add(1, Ordering::Relaxed);
        self.next(py)
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.dispatcher)?;
        visit.call(&self.tally)?;
        visit.call(&self.run)?;
        visit.call(&self.handler)?;
        visit.call(&self.fail)?;
        visit.call(&self.share)?;
        visit.call(&self.current)
    }
}

/// Takes items from a queue and awaits what handles them, one after the other, in the task of whoever awaits this.
#[pyclass(frozen, module = "purista_fast._core")]
pub struct Serve(Driver<Work>);

awaitable!(Serve {
    #[new]
    #[pyo3(signature = (dispatcher, queue, tally, run, *, fail = None, handler = None, share = None))]
    fn new(
        dispatcher: Py<Dispatcher>,
        queue: u32,
        tally: Py<Tally>,
        run: Py<PyAny>,
        fail: Option<Py<PyAny>>,
        handler: Option<Py<Handler>>,
        share: Option<Py<PyAny>>,
    ) -> Self {
        Self(Driver::new(Work {
            dispatcher,
            queue,
            tally,
            run,
            handler,
            fail,
            share,
            since: None,
            current: None,
        }))
    }
});
