//! `Address`: where a message comes from or goes to.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use purista_core::message;
use pyo3::prelude::*;

/// A service, its version, its target, and perhaps one instance. Clones share their texts.
#[pyclass(frozen, eq, skip_from_py_object, module = "purista_fast._core")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(pub message::Address);

#[pymethods]
impl Address {
    #[new]
    #[pyo3(signature = (service_name, service_version, service_target, instance_id=None))]
    fn new(
        service_name: &str,
        service_version: &str,
        service_target: &str,
        instance_id: Option<&str>,
    ) -> Self {
        Self(message::Address::new(
            [service_name, service_version, service_target],
            instance_id,
        ))
    }

    #[getter]
    fn service_name(&self) -> &str {
        self.0.borrowed().service_name
    }

    #[getter]
    fn service_version(&self) -> &str {
        self.0.borrowed().service_version
    }

    #[getter]
    fn service_target(&self) -> &str {
        self.0.borrowed().service_target
    }

    #[getter]
    fn instance_id(&self) -> Option<&str> {
        self.0.instance_id()
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        hasher.finish()
    }

    fn __repr__(&self) -> String {
        let address = self.0.borrowed();
        let instance = self
            .0
            .instance_id()
            .map_or_else(String::new, |id| format!(", {id:?}"));
        format!(
            "Address({:?}, {:?}, {:?}{instance})",
            address.service_name, address.service_version, address.service_target
        )
    }
}
