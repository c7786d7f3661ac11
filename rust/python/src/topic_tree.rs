//! `TopicTree`: Python objects behind MQTT topic filters.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use purista_core::TopicTree as Tree;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::error::wire_error;

/// Values behind topic filters. No Python code runs while the lock is held: it might come back here.
#[pyclass(frozen, module = "purista_fast._core")]
#[derive(Debug)]
pub struct TopicTree(Mutex<Tree<Py<PyAny>>>);

impl TopicTree {
    fn lock(&self) -> MutexGuard<'_, Tree<Py<PyAny>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl TopicTree {
    /// `TopicTree[int]`, for annotations.
    #[classmethod]
    fn __class_getitem__<'py>(
        cls: &Bound<'py, pyo3::types::PyType>,
        item: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        cls.py()
            .import("types")?
            .getattr("GenericAlias")?
            .call1((cls, item))
    }

    #[new]
    fn new() -> Self {
        Self(Mutex::new(Tree::default()))
    }

    fn insert(&self, filter: &str, value: Py<PyAny>) -> PyResult<()> {
        self.lock().insert(filter, value).map_err(wire_error)
    }

    fn remove(&self, py: Python<'_>, filter: &str, value: &Bound<'_, PyAny>) -> PyResult<bool> {
        let mut candidates = Vec::new();
        self.lock()
            .values(filter, |candidate| candidates.push(candidate.clone_ref(py)))
            .map_err(wire_error)?;
        for candidate in candidates {
            if candidate.is(value) || candidate.bind(py).eq(value)? {
                let taken = self
                    .lock()
                    .remove(filter, |found| found.is(&candidate))
                    .map_err(wire_error)?;
                if taken.is_some() {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    #[pyo3(name = "match")]
    fn matches<'py>(&self, py: Python<'py>, topic: &str) -> PyResult<Bound<'py, PyList>> {
        // A new list may start the garbage collector, and that finalizers; an append may not.
        let found = PyList::empty(py);
        let mut appended = Ok(());
        self.lock()
            .matches(topic, |value| {
                if appended.is_ok() {
                    appended = found.append(value);
                }
            })
            .map_err(wire_error)?;
        appended.map(|()| found)
    }

    fn __len__(&self) -> usize {
        self.lock().len()
    }

    #[allow(clippy::needless_pass_by_value)] // PyO3 hands it over
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let tree = match self.0.try_lock() {
            Ok(tree) => tree,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // In use, so alive.
            Err(TryLockError::WouldBlock) => return Ok(()),
        };
        for value in tree.all() {
            visit.call(value)?;
        }
        Ok(())
    }

    fn __clear__(&self) {
        let values = std::mem::take(&mut *self.lock());
        drop(values);
    }
}
