//! An envelope that arrived, and what stands where in it.

use purista_core::message::{decode, DecodeError, Decoded};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// A decoded envelope together with its bytes, so that nothing is copied out of them.
#[derive(Debug)]
pub struct Arrived {
    /// Borrows from `data`; handed out for no longer than this lives.
    decoded: Decoded<'static>,
    data: Py<PyBytes>,
}

impl Arrived {
    /// Reads the envelope.
    pub fn new(data: &Bound<'_, PyBytes>) -> Result<Self, DecodeError> {
        let bytes: *const [u8] = data.as_bytes();
        // SAFETY: the memory of a bytes object does not move or change, and lives as long as the object, which
        // `data` below keeps alive for as long as `decoded`. An error owns all that it says.
        let decoded = decode(unsafe { &*bytes })?;
        Ok(Self {
            decoded,
            data: data.clone().unbind(),
        })
    }

    /// What stands in it.
    pub fn decoded(&self) -> &Decoded<'_> {
        &self.decoded
    }

    /// The envelope.
    pub fn data(&self) -> &Py<PyBytes> {
        &self.data
    }
}
