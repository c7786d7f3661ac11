//! `Dispatcher`: from a message to the queues of the subscriptions that want it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use purista_core::{
    Dispatcher as Core, Effects, Filter, MessageType, Offer, Outline, Overflow, SubscriberId,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::address::Address;
use crate::message::Message;
use crate::wire;

/// Routes messages to bounded queues: into all that want one, or into none.
#[pyclass(frozen, module = "purista_fast._core")]
#[derive(Default)]
pub struct Dispatcher {
    state: Mutex<State>,
    closed: AtomicBool,
}

#[derive(Default)]
struct State {
    core: Core<Py<PyAny>>,
    callbacks: HashMap<SubscriberId, Callbacks>,
}

struct Callbacks {
    wake: Py<PyAny>,
    room: Py<PyAny>,
}

#[pymethods]
impl Dispatcher {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    #[pyo3(signature = (capacity, drop_oldest, wake, room))]
    fn subscribe(
        &self,
        capacity: usize,
        drop_oldest: bool,
        wake: Py<PyAny>,
        room: Py<PyAny>,
    ) -> SubscriberId {
        let overflow = if drop_oldest {
            Overflow::DropOldest
        } else {
            Overflow::Wait
        };
        let mut state = self.lock();
        let id = state.core.subscribe(capacity, overflow);
        state.callbacks.insert(id, Callbacks { wake, room });
        id
    }

    fn listen(&self, queue: SubscriberId, subscription: &Bound<'_, PyAny>) -> PyResult<()> {
        let filter = wire::filter(subscription)?;
        self.lock().core.listen(queue, filter);
        Ok(())
    }

    fn unsubscribe(&self, queue: SubscriberId) -> usize {
        let mut state = self.lock();
        let items = state.core.unsubscribe(queue);
        let callbacks = state.callbacks.remove(&queue);
        drop(state);
        drop(callbacks);
        items.len()
    }

    /// Returns -1, or the number of the queue that has no room.
    pub fn offer(&self, message: &Bound<'_, Message>) -> PyResult<i64> {
        let py = message.py();
        let item = message.clone().into_any().unbind();
        let fields = message.get().fields();
        self.change(py, |core, effects| {
            core.offer(&fields, || item.clone_ref(py), effects)
        })
    }

    /// Returns -1, or the number of the queue that has no room.
    #[allow(clippy::needless_pass_by_value)] // owned by the call
    fn deliver(&self, py: Python<'_>, queues: Vec<SubscriberId>, item: Py<PyAny>) -> PyResult<i64> {
        self.change(py, |core, effects| {
            core.deliver(&queues, || item.clone_ref(py), effects)
        })
    }

    fn take<'py>(&self, py: Python<'py>, queue: SubscriberId, max: usize) -> PyResult<Bound<'py, PyList>> {
        let mut items = Vec::new();
        self.take_into(py, queue, max, |item| items.push(item))?;
        PyList::new(py, items)
    }

    /// Closes the way past the bridge: it stops.
    fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    fn hungry(&self, queue: SubscriberId) {
        self.lock().core.hungry(queue);
    }

    fn blocked(&self, queue: SubscriberId) {
        self.lock().core.blocked(queue);
    }

    fn depth(&self, queue: SubscriberId) -> (usize, usize, u64) {
        self.lock().core.depth(queue)
    }

    #[pyo3(signature = (message_type, *, event_name = None, sender = None, receiver = None))]
    fn could_match(
        &self,
        message_type: &str,
        event_name: Option<&str>,
        sender: Option<&Bound<'_, Address>>,
        receiver: Option<&Bound<'_, Address>>,
    ) -> PyResult<bool> {
        let kind = MessageType::from_name(message_type)
            .ok_or_else(|| PyValueError::new_err(format!("unknown message type {message_type:?}")))?;
        let mut outline = Outline {
            message_type: Some(kind),
            ..Outline::default()
        };
        outline.texts[0] = event_name;
        for (first, address) in [(Filter::SENDER, sender), (Filter::RECEIVER, receiver)] {
            let Some(address) = address else { continue };
            let address = address.get().0.borrowed();
            outline.texts[first] = Some(address.service_name);
            outline.texts[first + 1] = Some(address.service_version);
            outline.texts[first + 2] = Some(address.service_target);
            outline.texts[first + 3] = Some(address.instance_id).filter(|id| !id.is_empty());
        }
        Ok(self.lock().core.could_match(&outline))
    }

    #[allow(clippy::needless_pass_by_value)] // the signature is PyO3's
    fn __traverse__(&self, visit: pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        let Ok(state) = self.state.try_lock() else {
            return Ok(());
        };
        for callbacks in state.callbacks.values() {
            visit.call(&callbacks.wake)?;
            visit.call(&callbacks.room)?;
        }
        let visited = state.core.items().try_for_each(|item| visit.call(item));
        drop(state);
        visited
    }

    fn __clear__(&self) {
        let state = std::mem::take(&mut *self.lock());
        drop(state);
    }
}

impl Dispatcher {
    /// Whether messages may be offered without asking the bridge.
    pub fn is_open(&self) -> bool {
        !self.closed.load(Ordering::Relaxed)
    }

    /// Takes the oldest item. Having found none, the queue is to be woken for.
    pub fn take_one(&self, py: Python<'_>, queue: SubscriberId) -> PyResult<Option<Py<PyAny>>> {
        let mut taken = None;
        self.take_into(py, queue, 1, |item| taken = Some(item))?;
        Ok(taken)
    }

    fn take_into(
        &self,
        py: Python<'_>,
        queue: SubscriberId,
        max: usize,
        item: impl FnMut(Py<PyAny>),
    ) -> PyResult<()> {
        let mut state = self.lock();
        let room = if state.core.take(queue, max, item) {
            state
                .callbacks
                .get(&queue)
                .map(|callbacks| callbacks.room.clone_ref(py))
        } else {
            None
        };
        drop(state);
        room.map_or(Ok(()), |room| room.call0(py).map(drop))
    }

    /// Changes the queues, then wakes whom that concerns.
    fn change(
        &self,
        py: Python<'_>,
        change: impl FnOnce(&mut Core<Py<PyAny>>, &mut Effects<Py<PyAny>>) -> Offer,
    ) -> PyResult<i64> {
        let mut effects = Effects::default();
        let mut state = self.lock();
        let offer = change(&mut state.core, &mut effects);
        let woken: Vec<_> = effects
            .woken
            .iter()
            .filter_map(|id| {
                state
                    .callbacks
                    .get(id)
                    .map(|callbacks| callbacks.wake.clone_ref(py))
            })
            .collect();
        drop(state);
        for wake in woken {
            wake.call0(py)?;
        }
        Ok(match offer {
            Offer::Queued(_) => -1,
            Offer::Full(queue) => i64::from(queue),
        })
    }

    /// Never held while Python runs, dropped objects included. A panic under it leaves the queues whole, so
    /// poison is ignored.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
