//! The core of purista-fast: messages, topics, routing and queues, without Python.
// Vector registers need it: `json::simd`, nothing else.
#![deny(unsafe_code)]

mod dispatcher;
mod fields;
pub mod ids;
pub mod json;
pub mod message;
mod message_type;
pub mod mqtt;
mod pending;
mod queue;
mod router;
mod snake;
mod texts;
pub mod topic;
pub mod tree;

pub use dispatcher::{Dispatcher, Effects, Offer, SubscriberId};
pub use fields::{AddressRef, Fields, Filter};
pub use message_type::MessageType;
pub use pending::Pending;
pub use queue::{Overflow, Queue};
pub use router::{Outline, Router};
pub use snake::snake_case;
pub use texts::Texts;
pub use tree::TopicTree;
