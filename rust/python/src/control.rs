//! `Connack`, and the packing and reading of the packets of which there are few.

use purista_core::mqtt::{self, Control};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::error::wire_error;

/// The answer to a CONNECT.
#[pyclass(frozen, get_all, module = "purista_fast._core")]
#[allow(clippy::struct_excessive_bools)] // each is a bit of the packet
pub struct Connack {
    session_present: bool,
    code: u8,
    receive_maximum: u16,
    maximum_packet_size: Option<u32>,
    server_keep_alive: Option<u16>,
    maximum_qos: u8,
    retain_available: bool,
    wildcard_available: bool,
    identifiers_available: bool,
    shared_available: bool,
}

#[pymethods]
impl Connack {
    #[new]
    #[pyo3(signature = (
        *, session_present, code, receive_maximum, maximum_packet_size, server_keep_alive, maximum_qos,
        retain_available, wildcard_available, identifiers_available, shared_available,
    ))]
    #[allow(clippy::too_many_arguments, clippy::fn_params_excessive_bools)] // they are named
    fn new(
        session_present: bool,
        code: u8,
        receive_maximum: u16,
        maximum_packet_size: Option<u32>,
        server_keep_alive: Option<u16>,
        maximum_qos: u8,
        retain_available: bool,
        wildcard_available: bool,
        identifiers_available: bool,
        shared_available: bool,
    ) -> Self {
        Self {
            session_present,
            code,
            receive_maximum,
            maximum_packet_size,
            server_keep_alive,
            maximum_qos,
            retain_available,
            wildcard_available,
            identifiers_available,
            shared_available,
        }
    }
}

impl From<mqtt::Connack> for Connack {
    fn from(found: mqtt::Connack) -> Self {
        Self {
            session_present: found.session_present,
            code: found.code,
            receive_maximum: found.receive_maximum,
            maximum_packet_size: found.maximum_packet_size,
            server_keep_alive: found.server_keep_alive,
            maximum_qos: found.maximum_qos,
            retain_available: found.retain_available,
            wildcard_available: found.wildcard_available,
            identifiers_available: found.identifiers_available,
            shared_available: found.shared_available,
        }
    }
}

/// Topic, payload, delay, expiry, content type and user properties of a will.
type Will<'a> = (&'a str, &'a [u8], u32, u32, &'a str, Vec<(String, String)>);

/// A CONNECT.
#[pyfunction]
#[pyo3(signature = (
    client_id, *, clean_start, keep_alive, session_expiry, receive_maximum, maximum_packet_size,
    will = None, username = None, password = None,
))]
#[allow(clippy::too_many_arguments, clippy::needless_pass_by_value)] // they are named; the will is made for the call
pub fn pack_connect<'py>(
    py: Python<'py>,
    client_id: &str,
    clean_start: bool,
    keep_alive: u16,
    session_expiry: u32,
    receive_maximum: u16,
    maximum_packet_size: u32,
    will: Option<Will<'_>>,
    username: Option<&str>,
    password: Option<&[u8]>,
) -> PyResult<Bound<'py, PyBytes>> {
    let user: Vec<(&str, &str)> = will
        .iter()
        .flat_map(|will| &will.5)
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let will = will
        .as_ref()
        .map(|&(topic, payload, delay, expiry, content_type, _)| mqtt::Will {
            topic,
            payload,
            delay,
            expiry,
            content_type,
            user: &user,
        });
    let connect = mqtt::Connect {
        client_id,
        clean_start,
        keep_alive,
        session_expiry,
        receive_maximum,
        maximum_packet_size,
        will,
        username,
        password,
    };
    Ok(PyBytes::new(py, &connect.pack().map_err(wire_error)?))
}

/// A SUBSCRIBE to one filter.
#[pyfunction]
#[pyo3(signature = (mid, filter, identifier, options))]
pub fn pack_subscribe<'py>(
    py: Python<'py>,
    mid: u16,
    filter: &str,
    identifier: Option<u32>,
    options: u8,
) -> PyResult<Bound<'py, PyBytes>> {
    let packet = mqtt::subscribe(mid, filter, identifier, options).map_err(wire_error)?;
    Ok(PyBytes::new(py, &packet))
}

/// An UNSUBSCRIBE of one filter.
#[pyfunction]
pub fn pack_unsubscribe<'py>(py: Python<'py>, mid: u16, filter: &str) -> PyResult<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(
        py,
        &mqtt::unsubscribe(mid, filter).map_err(wire_error)?,
    ))
}

/// A DISCONNECT.
#[pyfunction]
pub fn pack_disconnect(py: Python<'_>, session_expiry: u32) -> Bound<'_, PyBytes> {
    PyBytes::new(py, &mqtt::disconnect(session_expiry))
}

/// Reads one packet that is neither PUBLISH nor PUBACK.
#[pyfunction]
pub fn read_control<'py>(py: Python<'py>, packet: &[u8]) -> PyResult<Option<Bound<'py, PyAny>>> {
    let frame = mqtt::first(packet, packet.len())
        .map_err(wire_error)?
        .filter(|frame| frame.whole.len() == packet.len())
        .ok_or_else(|| wire_error(mqtt::Malformed::Short))?;
    Ok(match Control::read(frame).map_err(wire_error)? {
        Control::Connack(found) => Some(Bound::new(py, Connack::from(found))?.into_any()),
        Control::Suback(mid, codes) | Control::Unsuback(mid, codes) => {
            let parts = [
                mid.into_pyobject(py)?.into_any(),
                PyBytes::new(py, codes).into_any(),
            ];
            Some(PyTuple::new(py, parts)?.into_any())
        }
        Control::Disconnect(code) => Some(code.into_pyobject(py)?.into_any()),
        Control::Pingresp => None,
    })
}
