//! `PacketReader`, `Publish` and the packing of a PUBLISH.

use std::sync::{Mutex, MutexGuard, PoisonError};

use purista_core::mqtt::{self, Frame, Limits, Malformed};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};

use crate::error::wire_error;
use crate::message::Message;

/// A buffer that has grown beyond this is given back once it is empty.
const KEPT: usize = 64 * 1024;

/// A PUBLISH that has arrived.
#[pyclass(frozen, module = "purista_fast._core")]
pub struct Publish {
    #[pyo3(get)]
    topic: Option<Py<PyString>>,
    #[pyo3(get)]
    qos: u8,
    #[pyo3(get)]
    dup: bool,
    #[pyo3(get)]
    retain: bool,
    #[pyo3(get)]
    mid: u16,
    #[pyo3(get)]
    expiry: Option<u32>,
    #[pyo3(get)]
    identifiers: Py<PyTuple>,
    #[pyo3(get)]
    payload: Py<PyBytes>,
    #[pyo3(get)]
    refusal: Option<&'static str>,
}

impl Publish {
    fn new(py: Python<'_>, found: &mqtt::Publish<'_>) -> PyResult<Self> {
        let topic = std::str::from_utf8(found.topic).ok();
        Ok(Self {
            topic: topic.map(|topic| PyString::new(py, topic).unbind()),
            qos: found.qos,
            dup: found.dup,
            retain: found.retain,
            mid: found.mid,
            expiry: found.expiry,
            identifiers: PyTuple::new(py, &found.identifiers)?.unbind(),
            payload: PyBytes::new(py, found.payload).unbind(),
            refusal: found.refusal.map(mqtt::Refusal::as_str),
        })
    }
}

/// Finds the packets in what a connection brings.
#[pyclass(frozen, module = "purista_fast._core")]
pub struct PacketReader {
    largest: usize,
    limits: Limits,
    /// The beginning of a packet that has not come in full.
    rest: Mutex<Vec<u8>>,
}

#[pymethods]
impl PacketReader {
    #[new]
    #[pyo3(signature = (*, max_packet, max_payload, max_properties, max_user_properties))]
    fn new(max_packet: usize, max_payload: usize, max_properties: usize, max_user_properties: usize) -> Self {
        Self {
            largest: max_packet,
            limits: Limits {
                payload: max_payload,
                properties: max_properties,
                user_properties: max_user_properties,
            },
            rest: Mutex::default(),
        }
    }

    fn feed<'py>(&self, data: &Bound<'py, PyBytes>) -> PyResult<Bound<'py, PyList>> {
        let found = PyList::empty(data.py());
        // Taken out, so that nothing is locked while objects are made: that may run Python code.
        let mut rest = std::mem::take(&mut *self.lock());
        if rest.is_empty() {
            let taken = self.read(data.as_bytes(), &found)?;
            rest.extend_from_slice(&data.as_bytes()[taken..]);
        } else {
            rest.extend_from_slice(data.as_bytes());
            let taken = self.read(&rest, &found)?;
            if taken < rest.len() {
                rest.drain(..taken);
            } else if rest.capacity() > KEPT {
                rest = Vec::new();
            } else {
                rest.clear();
            }
        }
        *self.lock() = rest;
        Ok(found)
    }
}

impl PacketReader {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends the packets of a stream, and returns how many bytes they have.
    fn read(&self, stream: &[u8], found: &Bound<'_, PyList>) -> PyResult<usize> {
        let mut at = 0;
        loop {
            let packet = match mqtt::first(&stream[at..], self.largest) {
                Ok(None) => return Ok(at),
                Ok(Some(frame)) => {
                    at += frame.whole.len();
                    self.packet(found.py(), frame)?
                }
                Err(error) => Err(error),
            };
            match packet {
                Ok(packet) => found.append(packet)?,
                Err(error) => {
                    // What came before it counts; what comes after it does not.
                    found.append(wire_error(error).into_value(found.py()))?;
                    return Ok(stream.len());
                }
            }
        }
    }

    fn packet<'py>(
        &self,
        py: Python<'py>,
        frame: Frame<'_>,
    ) -> PyResult<Result<Bound<'py, PyAny>, Malformed>> {
        Ok(match frame.header {
            0x30..=0x3F => match mqtt::Publish::read(frame.header, frame.body, self.limits) {
                Ok(publish) => Ok(Bound::new(py, Publish::new(py, &publish)?)?.into_any()),
                Err(error) => Err(error),
            },
            0x40 => match mqtt::puback(frame.body) {
                Ok(answer) => Ok(answer.into_pyobject(py)?.into_any()),
                Err(error) => Err(error),
            },
            _ => Ok(PyBytes::new(py, frame.whole).into_any()),
        })
    }
}

/// The packed properties of a message.
#[pyfunction]
pub fn pack_properties<'py>(message: &Bound<'py, Message>, expiry: u32) -> PyResult<Bound<'py, PyBytes>> {
    let py = message.py();
    let packed = message
        .get()
        .draft(py, |draft| mqtt::pack_properties(draft, expiry));
    Ok(PyBytes::new(py, &packed.map_err(wire_error)?))
}

/// A PUBLISH of quality of service 1.
#[pyfunction]
#[pyo3(signature = (topic, mid, properties, payload, retain))]
pub fn pack_publish<'py>(
    py: Python<'py>,
    topic: &str,
    mid: u16,
    properties: &[u8],
    payload: &[u8],
    retain: bool,
) -> PyResult<Bound<'py, PyBytes>> {
    let head = mqtt::publish_head(topic, mid, properties.len(), payload.len(), retain).map_err(wire_error)?;
    PyBytes::new_with(py, head.len() + properties.len() + payload.len(), |packet| {
        let (start, rest) = packet.split_at_mut(head.len());
        start.copy_from_slice(&head);
        let (middle, end) = rest.split_at_mut(properties.len());
        middle.copy_from_slice(properties);
        end.copy_from_slice(payload);
        Ok(())
    })
}
