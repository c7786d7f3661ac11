//! What the kernel says of its clock.

use pyo3::prelude::*;

/// What adjtimex(2) returns when it is asked and changes nothing; -1 where there is none.
#[pyfunction]
pub fn clock_state() -> i32 {
    ask()
}

#[cfg(target_os = "linux")]
fn ask() -> i32 {
    use std::ffi::{c_int, c_void};

    extern "C" {
        fn adjtimex(timex: *mut c_void) -> c_int;
    }

    // `struct timex` is made of integers and 208 bytes long at most; all zero, it asks and changes nothing.
    let mut timex = [0_u64; 64];
    // SAFETY: adjtimex(2) reads and writes one `struct timex` at this address, for which there are 512 aligned bytes.
    unsafe { adjtimex(timex.as_mut_ptr().cast()) }
}

#[cfg(not(target_os = "linux"))]
fn ask() -> i32 {
    -1
}
