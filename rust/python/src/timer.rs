//! The deadline of an invocation: costs nothing unless it waits.

use pyo3::prelude::*;
use pyo3::{intern, PyTraverseError, PyVisit};

/// A timer that runs from when an invocation first waits.
#[derive(Default)]
pub struct Timer(Option<Py<PyAny>>);

impl Timer {
    /// Calls `arm(request)`, which gives the timer.
    pub fn start(&mut self, arm: &Bound<'_, PyAny>, request: &Bound<'_, PyAny>) -> PyResult<()> {
        self.0 = Some(arm.call1((request,))?.unbind());
        Ok(())
    }

    /// Tells the timer, if there is one, of the end. What the invocation ends with.
    pub fn settle<T>(&mut self, py: Python<'_>, outcome: PyResult<T>) -> PyResult<T> {
        let Some(timer) = self.0.take() else {
            return outcome;
        };
        let error = outcome
            .as_ref()
            .err()
            .map(|error| error.clone_ref(py).into_value(py));
        let other = timer.bind(py).call_method1(intern!(py, "settle"), (&error,))?;
        if other.is_none() || error.is_some_and(|error| error.bind(py).is(&other)) {
            return outcome;
        }
        Err(PyErr::from_value(other))
    }

    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.0)
    }
}
