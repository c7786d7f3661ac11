//! What is common to the awaitables of this extension: each runs coroutines, one after the other, in the task of
//! whoever awaits it.

use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::{PyBaseException, PyRuntimeError, PyRuntimeWarning, PyStopIteration};
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};
use pyo3::{ffi, intern, PyTraverseError, PyVisit};

/// What comes next.
pub enum Next {
    /// This coroutine is awaited.
    Await(Py<PyAny>),
    /// All is done.
    Return(Py<PyAny>),
}

/// Work that awaits coroutines.
pub trait Job: Send + 'static {
    /// What it is, for the warning that it was never awaited.
    const NAME: &'static str;

    /// Begins: somebody awaits it.
    fn begin(&mut self, py: Python<'_>) -> PyResult<Next>;

    /// The awaited coroutine has returned or raised.
    fn ended(&mut self, py: Python<'_>, outcome: PyResult<Py<PyAny>>) -> PyResult<Next>;

    /// A coroutine waits, for the first time.
    fn waits(&mut self, _py: Python<'_>) -> PyResult<()> {
        Ok(())
    }

    /// It was closed before its end.
    fn closed(&mut self, _py: Python<'_>) -> PyResult<()> {
        Ok(())
    }

    /// Visits everything of Python that it holds.
    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError>;
}

struct State<J> {
    job: J,
    coroutine: Option<Py<PyAny>>,
    begun: bool,
    has_waited: bool,
}

/// Drives a job. Empty while it runs, and once it is done.
pub struct Driver<J: Job>(Mutex<Option<State<J>>>);

enum Step<'py> {
    Waits(Bound<'py, PyAny>),
    Ended(PyResult<Py<PyAny>>),
}

impl<J: Job> Driver<J> {
    pub fn new(job: J) -> Self {
        Self(Mutex::new(Some(State {
            job,
            coroutine: None,
            begun: false,
            has_waited: false,
        })))
    }

    /// `None` if it has ended; `StopIteration` with the result is set then, as a coroutine does it.
    pub fn send<'py>(
        &self,
        py: Python<'py>,
        value: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let mut state = self.take()?;
        if let Some(coroutine) = &state.coroutine {
            let step = step(coroutine.bind(py), value);
            return self.go_on(py, state, step);
        }
        state.begun = true;
        let next = state.job.begin(py);
        self.follow(py, state, next)
    }

    pub fn throw<'py>(
        &self,
        py: Python<'py>,
        error: &Bound<'py, PyTuple>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let mut state = self.take()?;
        let Some(coroutine) = &state.coroutine else {
            state.begun = true;
            return Err(PyErr::from_value(thrown(error)?));
        };
        let step = match coroutine.bind(py).call_method1(intern!(py, "throw"), error) {
            Ok(yielded) => Step::Waits(yielded),
            Err(error) if error.is_instance_of::<PyStopIteration>(py) => {
                let value = error.value(py).getattr(intern!(py, "value"));
                Step::Ended(value.map(Bound::unbind))
            }
            Err(error) => Step::Ended(Err(error)),
        };
        self.go_on(py, state, step)
    }

    pub fn close(&self, py: Python<'_>) -> PyResult<()> {
        let Some(mut state) = self.lock().take() else {
            return Ok(());
        };
        state.begun = true;
        let Some(coroutine) = &state.coroutine else {
            return Ok(());
        };
        let closed = coroutine.bind(py).call_method0(intern!(py, "close"));
        state.job.closed(py)?;
        closed.map(drop)
    }

    /// The coroutine that waits, if one does.
    pub fn waiting(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.lock()
            .as_ref()?
            .coroutine
            .as_ref()
            .map(|found| found.clone_ref(py))
    }

    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        let Ok(state) = self.0.try_lock() else {
            return Ok(());
        };
        let Some(state) = state.as_ref() else {
            return Ok(());
        };
        visit.call(&state.coroutine)?;
        state.job.traverse(visit)
    }

    fn go_on<'py>(
        &self,
        py: Python<'py>,
        mut state: State<J>,
        step: Step<'py>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        match step {
            Step::Waits(yielded) => self.wait(py, state, yielded),
            Step::Ended(outcome) => {
                state.coroutine = None;
                let next = state.job.ended(py, outcome);
                self.follow(py, state, next)
            }
        }
    }

    /// Awaits one coroutine after the other until one of them waits, or all is done.
    fn follow<'py>(
        &self,
        py: Python<'py>,
        mut state: State<J>,
        mut next: PyResult<Next>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        loop {
            let coroutine = match next? {
                Next::Return(value) => {
                    stop(value.bind(py))?;
                    return Ok(None);
                }
                Next::Await(coroutine) => coroutine,
            };
            match step(coroutine.bind(py), py.None().bind(py)) {
                Step::Waits(yielded) => {
                    state.coroutine = Some(coroutine);
                    return self.wait(py, state, yielded);
                }
                Step::Ended(outcome) => {
                    drop(coroutine);
                    next = state.job.ended(py, outcome);
                }
            }
        }
    }

    fn wait<'py>(
        &self,
        py: Python<'py>,
        mut state: State<J>,
        yielded: Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        if !state.has_waited {
            state.has_waited = true;
            state.job.waits(py)?;
        }
        *self.lock() = Some(state);
        Ok(Some(yielded))
    }

    fn take(&self) -> PyResult<State<J>> {
        self.lock()
            .take()
            .ok_or_else(|| PyRuntimeError::new_err(format!("{} is awaited already, or was before", J::NAME)))
    }

    /// Never held while Python runs.
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<State<J>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<J: Job> Drop for Driver<J> {
    /// Closes what waits; says, as Python does of a coroutine, that it was never awaited.
    fn drop(&mut self) {
        let Some(mut state) = self.0.get_mut().unwrap_or_else(PoisonError::into_inner).take() else {
            return;
        };
        Python::try_attach(|py| {
            let pending = PyErr::take(py);
            let outcome = if state.begun {
                // It closes itself.
                drop(state.coroutine.take());
                state.job.closed(py)
            } else {
                let text =
                    std::ffi::CString::new(format!("{} was never awaited", J::NAME)).unwrap_or_default();
                PyErr::warn(py, &py.get_type::<PyRuntimeWarning>(), &text, 1)
            };
            if let Err(error) = outcome {
                error.write_unraisable(py, None);
            }
            if let Some(pending) = pending {
                pending.restore(py);
            }
        });
    }
}

/// One step of a coroutine.
fn step<'py>(coroutine: &Bound<'py, PyAny>, value: &Bound<'py, PyAny>) -> Step<'py> {
    let py = coroutine.py();
    let mut result = std::ptr::null_mut();
    // SAFETY: attached to the interpreter (py), all pointers are valid for the call, and PyIter_Send hands over
    // ownership of `result` for NEXT and RETURN.
    unsafe {
        match ffi::PyIter_Send(coroutine.as_ptr(), value.as_ptr(), &raw mut result) {
            ffi::PySendResult::PYGEN_NEXT => Step::Waits(Bound::from_owned_ptr(py, result)),
            ffi::PySendResult::PYGEN_RETURN => Step::Ended(Ok(Bound::from_owned_ptr(py, result).unbind())),
            ffi::PySendResult::PYGEN_ERROR => Step::Ended(Err(PyErr::fetch(py))),
        }
    }
}

/// Sets `StopIteration` with this value.
fn stop(value: &Bound<'_, PyAny>) -> PyResult<()> {
    if value.is_instance_of::<PyTuple>() || value.is_instance_of::<PyBaseException>() {
        // These would be taken for the arguments of the exception, or for the exception itself.
        return Err(PyStopIteration::new_err((value.clone().unbind(),)));
    }
    // SAFETY: attached to the interpreter (`value` is bound), both pointers are valid. CPython 3.11 makes no object
    // of the exception then, if it is awaited.
    unsafe { ffi::PyErr_SetObject(ffi::PyExc_StopIteration, value.as_ptr()) };
    Ok(())
}

/// The exception among the arguments of `throw`.
fn thrown<'py>(error: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
    let kind = error.get_item(0)?;
    if !kind.is_instance_of::<PyType>() {
        return Ok(kind);
    }
    match error.get_item(1) {
        Ok(value) if value.is_instance_of::<PyBaseException>() => Ok(value),
        Ok(value) if !value.is_none() => kind.call1((value,)),
        _ => kind.call0(),
    }
}

/// The type of the coroutines that `async def` makes.
pub fn coroutine_type(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    py.import(intern!(py, "types"))?
        .getattr(intern!(py, "CoroutineType"))
}

/// The methods of an awaitable, for a class that is a tuple of its driver.
///
/// It passes for a coroutine that has no frame: older versions of `AnyIO` start nothing else in a task, and those who
/// look how far a task is follow `cr_await` to the handler.
macro_rules! awaitable {
    ($class:ident { $($rest:tt)* }) => {
        #[pymethods]
        impl $class {
            $($rest)*

            fn __await__(slf: pyo3::PyRef<'_, Self>) -> pyo3::PyRef<'_, Self> {
                slf
            }

            fn __iter__(slf: pyo3::PyRef<'_, Self>) -> pyo3::PyRef<'_, Self> {
                slf
            }

            fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
                self.0.send(py, py.None().bind(py))
            }

            fn send<'py>(
                &self,
                py: Python<'py>,
                value: &Bound<'py, PyAny>,
            ) -> PyResult<Bound<'py, PyAny>> {
                crate::driver::or_stop(py, self.0.send(py, value)?)
            }

            #[pyo3(signature = (*error))]
            fn throw<'py>(
                &self,
                py: Python<'py>,
                error: &Bound<'py, pyo3::types::PyTuple>,
            ) -> PyResult<Bound<'py, PyAny>> {
                crate::driver::or_stop(py, self.0.throw(py, error)?)
            }

            fn close(&self, py: Python<'_>) -> PyResult<()> {
                self.0.close(py)
            }

            #[getter]
            fn __class__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
                crate::driver::coroutine_type(py)
            }

            #[getter]
            fn __name__(&self) -> &'static str {
                stringify!($class)
            }

            #[getter]
            fn cr_frame(&self) {}

            #[getter]
            fn cr_await(&self, py: Python<'_>) -> Option<Py<PyAny>> {
                self.0.waiting(py)
            }

            /// As far as those can tell who ask from outside while it does not run.
            #[getter]
            fn cr_running(&self) -> bool {
                false
            }

            #[getter]
            fn cr_suspended(&self, py: Python<'_>) -> bool {
                self.0.waiting(py).is_some()
            }

            #[allow(clippy::needless_pass_by_value)] // the signature is PyO3's
            fn __traverse__(&self, visit: pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
                self.0.traverse(&visit)
            }
        }
    };
}
pub(crate) use awaitable;

/// What was yielded, or the `StopIteration` that is set.
pub fn or_stop<'py>(py: Python<'py>, yielded: Option<Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>> {
    yielded.ok_or_else(|| PyErr::fetch(py))
}
