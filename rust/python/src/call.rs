//! Calls of Python functions with few arguments, without a tuple for them.

use pyo3::exceptions::PyException;
use pyo3::ffi::PyObject;
use pyo3::prelude::*;

extern "C" {
    /// In the limited API since 3.12 only, but exported with this very signature since 3.9; what `PyO3` uses
    /// instead costs a fifth of a call.
    fn PyObject_Vectorcall(
        callable: *mut PyObject,
        args: *const *mut PyObject,
        count: usize,
        names: *mut PyObject,
    ) -> *mut PyObject;
}

/// The place before the arguments may be used by the one who is called (`PY_VECTORCALL_ARGUMENTS_OFFSET`).
const OFFSET: usize = 1 << (usize::BITS - 1);

/// `callable(first)`
pub fn one<'py>(callable: &Bound<'py, PyAny>, first: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    call(callable, [std::ptr::null_mut(), first.as_ptr()])
}

/// `callable(first)`, or `None` if that raises an `Exception`.
pub fn unless_refused<'py>(
    callable: &Bound<'py, PyAny>,
    first: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    match one(callable, first) {
        Ok(result) => Ok(Some(result)),
        Err(error) if error.is_instance_of::<PyException>(callable.py()) => Ok(None),
        Err(error) => Err(error),
    }
}

/// `callable(first, second)`
pub fn two<'py>(
    callable: &Bound<'py, PyAny>,
    first: &Bound<'py, PyAny>,
    second: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    call(callable, [std::ptr::null_mut(), first.as_ptr(), second.as_ptr()])
}

fn call<'py, const N: usize>(
    callable: &Bound<'py, PyAny>,
    mut places: [*mut PyObject; N],
) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: attached to the interpreter (`callable` is bound); all arguments are borrowed for the call; the place
    // before the first of them is free and may be written to, as `OFFSET` says; the result is an owned reference or
    // null with an error set.
    unsafe {
        let result = PyObject_Vectorcall(
            callable.as_ptr(),
            places.as_mut_ptr().add(1),
            (N - 1) | OFFSET,
            std::ptr::null_mut(),
        );
        Bound::from_owned_ptr_or_err(callable.py(), result)
    }
}
