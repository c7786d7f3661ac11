//! `purista_fast._core`: the Python face of [`purista_core`]. One file per exported class.
use pyo3::prelude::*;

mod address;
mod addresses;
mod answer;
mod arrived;
mod call;
mod clock;
mod context;
mod control;
mod dispatcher;
mod driver;
mod emission;
mod error;
mod event;
mod invocation;
mod joined;
mod made;
mod mapping;
mod message;
mod mqtt;
mod names;
mod pending;
mod serve;
mod shortcuts;
mod timer;
mod to_json;
mod topic_tree;
mod wire;

/// The Rust core of purista-fast.
#[pymodule]
mod _core {
    use pyo3::prelude::*;
    use pyo3::types::PyDict;

    #[pymodule_export]
    use crate::address::Address;
    #[pymodule_export]
    use crate::answer::answer;
    #[pymodule_export]
    use crate::clock::clock_state;
    #[pymodule_export]
    use crate::context::Context;
    #[pymodule_export]
    use crate::control::{
        pack_connect, pack_disconnect, pack_subscribe, pack_unsubscribe, read_control, Connack,
    };
    #[pymodule_export]
    use crate::dispatcher::Dispatcher;
    #[pymodule_export]
    use crate::emission::{Emission, Outlet};
    #[pymodule_export]
    use crate::error::WireError;
    #[pymodule_export]
    use crate::invocation::{Invocation, LocalCommand};
    #[pymodule_export]
    use crate::message::Message;
    #[pymodule_export]
    use crate::mqtt::{pack_properties, pack_publish, PacketReader, Publish};
    #[pymodule_export]
    use crate::pending::Pending;
    #[pymodule_export]
    use crate::serve::{Handler, Serve, Tally};
    #[pymodule_export]
    use crate::shortcuts::Shortcuts;
    #[pymodule_export]
    use crate::topic_tree::TopicTree;
    #[pymodule_export]
    use crate::wire::{
        command_filter, decode, encode, matches, message_topic, new_id, new_traceparent, reseed,
        response_filter, short_info_filter, snake_case, subscription_filter,
    };

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        module.add(
            "build_profile",
            if cfg!(debug_assertions) {
                "debug"
            } else {
                "release"
            },
        )?;
        // A child repeats the ids of its parent otherwise.
        let hooks = PyDict::new(module.py());
        hooks.set_item("after_in_child", module.getattr("reseed")?)?;
        let os = module.py().import("os")?;
        if os.hasattr("register_at_fork")? {
            os.call_method("register_at_fork", (), Some(&hooks))?;
        }
        Ok(())
    }
}
