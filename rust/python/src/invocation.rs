//! `Invocation`: a coroutine with a deadline that costs nothing unless it waits.

use std::sync::Mutex;

use pyo3::exceptions::{PyRuntimeError, PyStopIteration};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use pyo3::{ffi, intern};

/// Awaits a coroutine in the task of whoever awaits this. When the coroutine first waits, `arm(request)` is
/// called once; what it returns is told of the end by `settle(error)`, which gives the error to raise or None.
#[pyclass(frozen, module = "purista_fast._core")]
pub struct Invocation {
    coroutine: Py<PyAny>,
    arm: Py<PyAny>,
    request: Py<PyAny>,
    timer: Mutex<Option<Py<PyAny>>>,
}

/// What one step of a coroutine came to.
enum Step<'py> {
    Waits(Bound<'py, PyAny>),
    Returned(Bound<'py, PyAny>),
}

#[pymethods]
impl Invocation {
    #[new]
    fn new(coroutine: Py<PyAny>, arm: Py<PyAny>, request: Py<PyAny>) -> Self {
        Self {
            coroutine,
            arm,
            request,
            timer: Mutex::new(None),
        }
    }

    fn __await__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.advance(py, self.step(py, py.None().bind(py)))
    }

    fn send<'py>(&self, py: Python<'py>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.advance(py, self.step(py, value))
    }

    #[pyo3(signature = (*error))]
    fn throw<'py>(&self, py: Python<'py>, error: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        let thrown = self.coroutine.bind(py).call_method1(intern!(py, "throw"), error);
        let step = match thrown {
            Ok(yielded) => Ok(Step::Waits(yielded)),
            Err(error) if error.is_instance_of::<PyStopIteration>(py) => {
                error.value(py).getattr(intern!(py, "value")).map(Step::Returned)
            }
            Err(error) => Err(error),
        };
        self.advance(py, step)
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let closed = self.coroutine.bind(py).call_method0(intern!(py, "close"));
        self.settle(py, None)?;
        closed.map(drop)
    }

    #[allow(clippy::needless_pass_by_value)] // the signature is PyO3's
    fn __traverse__(&self, visit: pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        visit.call(&self.coroutine)?;
        visit.call(&self.arm)?;
        visit.call(&self.request)?;
        match self.timer.try_lock() {
            Ok(timer) => timer.as_ref().map_or(Ok(()), |timer| visit.call(timer)),
            Err(_) => Ok(()),
        }
    }
}

impl Invocation {
    fn step<'py>(&self, py: Python<'py>, value: &Bound<'py, PyAny>) -> PyResult<Step<'py>> {
        let mut result = std::ptr::null_mut();
        // SAFETY: attached to the interpreter (py), both pointers are valid for the call, and PyIter_Send
        // hands over ownership of `result` for NEXT and RETURN.
        unsafe {
            match ffi::PyIter_Send(self.coroutine.as_ptr(), value.as_ptr(), &raw mut result) {
                ffi::PySendResult::PYGEN_NEXT => Ok(Step::Waits(Bound::from_owned_ptr(py, result))),
                ffi::PySendResult::PYGEN_RETURN => Ok(Step::Returned(Bound::from_owned_ptr(py, result))),
                ffi::PySendResult::PYGEN_ERROR => Err(PyErr::fetch(py)),
            }
        }
    }

    fn advance<'py>(&self, py: Python<'py>, step: PyResult<Step<'py>>) -> PyResult<Bound<'py, PyAny>> {
        match step {
            Ok(Step::Waits(yielded)) => {
                self.arm_once(py)?;
                Ok(yielded)
            }
            Ok(Step::Returned(value)) => {
                self.settle(py, None)?;
                // A tuple as the argument of StopIteration would be taken for its arguments.
                Err(PyStopIteration::new_err((value.unbind(),)))
            }
            Err(error) => {
                self.settle(py, Some(&error))?;
                Err(error)
            }
        }
    }

    fn arm_once(&self, py: Python<'_>) -> PyResult<()> {
        if self.lock()?.is_some() {
            return Ok(());
        }
        let timer = self.arm.bind(py).call1((&self.request,))?;
        *self.lock()? = Some(timer.unbind());
        Ok(())
    }

    /// Tells the timer, if there is one, of the end; fails with the error to raise instead.
    fn settle(&self, py: Python<'_>, error: Option<&PyErr>) -> PyResult<()> {
        let Some(timer) = self.lock()?.take() else {
            return Ok(());
        };
        let original = error.map(|error| error.clone_ref(py).into_value(py));
        let other = timer.bind(py).call_method1(intern!(py, "settle"), (&original,))?;
        if other.is_none() || original.is_some_and(|original| original.bind(py).is(&other)) {
            return Ok(());
        }
        Err(PyErr::from_value(other))
    }

    /// Never held while Python runs.
    fn lock(&self) -> PyResult<std::sync::MutexGuard<'_, Option<Py<PyAny>>>> {
        self.timer
            .lock()
            .map_err(|_| PyRuntimeError::new_err("the timer of an invocation is broken"))
    }
}
