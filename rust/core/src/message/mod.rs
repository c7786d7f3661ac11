//! The envelope of a message: reading it, writing it, and its header in memory.

mod call;
mod decode;
mod decoded;
mod draft;
mod error;
mod field;
mod head;
mod otp;
mod usual;

pub use call::{call, Call};
pub use decode::decode;
pub use decoded::Decoded;
pub use draft::{Draft, Frame};
pub use error::{DecodeError, Problem};
pub use field::Text;
pub use head::{Address, Head, MessageId};
