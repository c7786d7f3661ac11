//! Python builtins as JSON.

use purista_core::json::{push_string, MAX_DEPTH};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use crate::error::wire_error;

/// Appends a value as JSON.
pub fn push(out: &mut Vec<u8>, value: &Bound<'_, PyAny>, depth: usize) -> PyResult<()> {
    if value.is_none() {
        out.extend_from_slice(b"null");
    } else if let Ok(value) = value.cast::<PyBool>() {
        out.extend_from_slice(if value.is_true() { b"true" } else { b"false" });
    } else if let Ok(text) = value.cast::<PyString>() {
        push_string(out, text.to_str()?);
    } else if value.is_instance_of::<PyInt>() {
        push_int(out, value)?;
    } else if let Ok(value) = value.cast::<PyFloat>() {
        let value = value.value();
        if !value.is_finite() {
            return Err(wire_error(format!("JSON has no number for {value}")));
        }
        // The shortest digits that read back as the same number.
        out.extend_from_slice(format!("{value:?}").as_bytes());
    } else if depth >= MAX_DEPTH {
        return Err(wire_error(format!("nested deeper than {MAX_DEPTH} levels")));
    } else if let Ok(dict) = value.cast::<PyDict>() {
        push_object(out, dict, depth)?;
    } else if let Ok(list) = value.cast::<PyList>() {
        push_array(out, list.iter(), depth)?;
    } else if let Ok(tuple) = value.cast::<PyTuple>() {
        push_array(out, tuple.iter(), depth)?;
    } else {
        let kind = value.get_type();
        return Err(wire_error(format!(
            "a value of type {} is not JSON",
            kind.name()?
        )));
    }
    Ok(())
}

fn push_int(out: &mut Vec<u8>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    if let Ok(small) = value.extract::<i64>() {
        out.extend_from_slice(small.to_string().as_bytes());
        return Ok(());
    }
    // The digits of the number itself, whatever a subclass thinks of its representation.
    let digits = value
        .py()
        .get_type::<PyInt>()
        .call_method1("__repr__", (value,))?;
    out.extend_from_slice(digits.cast::<PyString>()?.to_str()?.as_bytes());
    Ok(())
}

fn push_object(out: &mut Vec<u8>, dict: &Bound<'_, PyDict>, depth: usize) -> PyResult<()> {
    let mut separator = b'{';
    for (key, value) in dict {
        let Ok(key) = key.cast::<PyString>() else {
            return Err(wire_error(format!(
                "a key of type {} is not JSON",
                key.get_type().name()?
            )));
        };
        out.push(separator);
        separator = b',';
        push_string(out, key.to_str()?);
        out.push(b':');
        push(out, &value, depth + 1)?;
    }
    if separator == b'{' {
        out.push(b'{');
    }
    out.push(b'}');
    Ok(())
}

fn push_array<'py>(
    out: &mut Vec<u8>,
    items: impl Iterator<Item = Bound<'py, PyAny>>,
    depth: usize,
) -> PyResult<()> {
    let mut separator = b'[';
    for item in items {
        out.push(separator);
        separator = b',';
        push(out, &item, depth + 1)?;
    }
    if separator == b'[' {
        out.push(b'[');
    }
    out.push(b']');
    Ok(())
}
