//! `Pending`: calls that wait for their answers.

use std::sync::{Mutex, MutexGuard, PoisonError};

use purista_core::Pending as Registry;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// A registry of waiting calls by correlation id, each with a deadline in seconds of a monotonic clock.
#[pyclass(frozen, module = "purista_fast._core")]
#[derive(Default)]
pub struct Pending {
    registry: Mutex<Registry<Py<PyAny>>>,
}

#[pymethods]
impl Pending {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    #[pyo3(signature = (id, waiter, deadline))]
    fn insert(&self, id: &str, waiter: Py<PyAny>, deadline: f64) -> PyResult<bool> {
        let deadline = nanoseconds(deadline)?;
        Ok(self.lock().insert(id, waiter, deadline))
    }

    fn remove(&self, id: &str) -> Option<Py<PyAny>> {
        self.lock().remove(id)
    }

    fn expire(&self, now: f64) -> PyResult<Vec<Py<PyAny>>> {
        let now = nanoseconds(now)?;
        Ok(self.lock().expire(now))
    }

    #[allow(clippy::cast_precision_loss)] // 2^53 ns are 104 days; beyond, microseconds do
    fn next_deadline(&self) -> Option<f64> {
        self.lock().next_deadline().map(|deadline| deadline as f64 / 1e9)
    }

    fn drain(&self) -> Vec<Py<PyAny>> {
        self.lock().drain()
    }

    fn __len__(&self) -> usize {
        self.lock().len()
    }

    #[allow(clippy::needless_pass_by_value)] // the signature is PyO3's
    fn __traverse__(&self, visit: pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        match self.registry.try_lock() {
            Ok(registry) => registry.waiters().try_for_each(|waiter| visit.call(waiter)),
            Err(_) => Ok(()),
        }
    }

    fn __clear__(&self) {
        let waiters = self.drain();
        drop(waiters);
    }
}

impl Pending {
    /// Never held while Python runs. A panic under it leaves the registry whole, so poison is ignored.
    fn lock(&self) -> MutexGuard<'_, Registry<Py<PyAny>>> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked
fn nanoseconds(seconds: f64) -> PyResult<u64> {
    let nanoseconds = (seconds * 1e9).round();
    if (0.0..1.8e19).contains(&nanoseconds) {
        Ok(nanoseconds as u64)
    } else {
        Err(PyValueError::new_err(format!(
            "a deadline of {seconds} seconds is out of range"
        )))
    }
}
