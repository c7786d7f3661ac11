//! `Shortcuts`: what the runs of one handler reach without a detour through Python.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::types::PyString;
use pyo3::{intern, PyTraverseError, PyVisit};

use crate::emission::Outlet;
use crate::invocation::LocalCommand;

/// Commands made anew for each call would fill the memory otherwise.
const MOST: usize = 128;

/// What the runs of one handler invoke and emit, by identity. A scope derives from it.
#[pyclass(frozen, subclass, module = "purista_fast._core")]
#[derive(Default)]
pub struct Shortcuts {
    commands: Mutex<Known<(Py<LocalCommand>, f64)>>,
    events: Mutex<Known<Py<Outlet>>>,
}

/// By address; the object is kept, so that its address stays its own.
type Known<V> = HashMap<usize, (Py<PyAny>, V), foldhash::fast::RandomState>;

#[pymethods]
impl Shortcuts {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(
        _args: &Bound<'_, pyo3::types::PyTuple>,
        _kwargs: Option<&Bound<'_, pyo3::types::PyDict>>,
    ) -> Self {
        Self::default()
    }

    /// Nothing more is known here; a scope knows more.
    #[allow(clippy::unused_self)] // a method that is overridden
    fn learn_command(&self, command: &Bound<'_, PyAny>) {
        let _ = command;
    }

    /// As for a command.
    #[allow(clippy::unused_self)]
    fn learn_event(&self, event: &Bound<'_, PyAny>) {
        let _ = event;
    }

    fn invokes_locally(&self, command: Py<PyAny>, local: Py<LocalCommand>, timeout: f64) {
        learn(&self.commands, command, (local, timeout));
    }

    fn emits_locally(&self, event: Py<PyAny>, outlet: Py<Outlet>) {
        learn(&self.events, event, outlet);
    }

    #[allow(clippy::needless_pass_by_value)] // the signature is PyO3's
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Ok(commands) = self.commands.try_lock() {
            for (command, (local, _)) in commands.values() {
                visit.call(command)?;
                visit.call(local)?;
            }
        }
        if let Ok(events) = self.events.try_lock() {
            for (event, outlet) in events.values() {
                visit.call(event)?;
                visit.call(outlet)?;
            }
        }
        Ok(())
    }

    fn __clear__(&self) {
        let commands = std::mem::take(&mut *lock(&self.commands));
        let events = std::mem::take(&mut *lock(&self.events));
        drop((commands, events));
    }
}

impl Shortcuts {
    /// A command that runs in this process, and its time-out in seconds.
    pub fn command(
        scope: &Py<Self>,
        command: &Bound<'_, PyAny>,
    ) -> PyResult<Option<(Py<LocalCommand>, f64)>> {
        let py = command.py();
        let find = || {
            let known = lock(&scope.get().commands);
            known
                .get(&(command.as_ptr() as usize))
                .map(|(_, (local, timeout))| (local.clone_ref(py), *timeout))
        };
        found_or_learned(scope, command, find, intern!(py, "learn_command"))
    }

    /// Where an event goes.
    pub fn outlet(scope: &Py<Self>, event: &Bound<'_, PyAny>) -> PyResult<Option<Py<Outlet>>> {
        let py = event.py();
        let find = || {
            let known = lock(&scope.get().events);
            known
                .get(&(event.as_ptr() as usize))
                .map(|(_, outlet)| outlet.clone_ref(py))
        };
        found_or_learned(scope, event, find, intern!(py, "learn_event"))
    }
}

/// What is known, if need be after the scope was asked to add it.
fn found_or_learned<V>(
    scope: &Py<Shortcuts>,
    object: &Bound<'_, PyAny>,
    find: impl Fn() -> Option<V>,
    learn: &Bound<'_, PyString>,
) -> PyResult<Option<V>> {
    let found = find();
    if found.is_some() {
        return Ok(found);
    }
    scope.bind(object.py()).call_method1(learn, (object,))?;
    Ok(find())
}

fn learn<V>(known: &Mutex<Known<V>>, object: Py<PyAny>, value: V) {
    let mut known = lock(known);
    if known.len() >= MOST {
        return;
    }
    let replaced = known.insert(object.as_ptr() as usize, (object, value));
    drop(known);
    drop(replaced);
}

/// Never held while Python runs.
fn lock<V>(known: &Mutex<Known<V>>) -> MutexGuard<'_, Known<V>> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}
