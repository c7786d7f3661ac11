//! Bytes objects made of parts, each copied once.

use pyo3::exceptions::PyOverflowError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// The parts, one after the other. Its memory is not cleared first, which counts for large payloads.
pub fn joined<'py>(py: Python<'py>, parts: [&[u8]; 3]) -> PyResult<Bound<'py, PyBytes>> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let size = ffi::Py_ssize_t::try_from(length).map_err(|_| PyOverflowError::new_err("too many bytes"))?;
    // SAFETY: attached to the interpreter (py). A new object of `size` bytes that nobody else knows yet, or NULL with
    // an error set, which `from_owned_ptr_or_err` takes; every byte is written before it is handed out, and the parts
    // are no part of it.
    unsafe {
        let object = ffi::PyBytes_FromStringAndSize(std::ptr::null(), size);
        let object = Bound::from_owned_ptr_or_err(py, object)?.cast_into_unchecked::<PyBytes>();
        let mut to = ffi::PyBytes_AsString(object.as_ptr()).cast::<u8>();
        for part in parts {
            std::ptr::copy_nonoverlapping(part.as_ptr(), to, part.len());
            to = to.add(part.len());
        }
        Ok(object)
    }
}
