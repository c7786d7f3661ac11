//! `WireError`, and how the errors of the core become it.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

pyo3::create_exception!(
    purista_fast._core,
    WireError,
    PyValueError,
    "Data that is not a message, or a message that cannot be sent."
);

/// A [`WireError`] with this text.
#[allow(clippy::needless_pass_by_value)] // fits `map_err`
pub fn wire_error(error: impl ToString) -> PyErr {
    WireError::new_err(error.to_string())
}
