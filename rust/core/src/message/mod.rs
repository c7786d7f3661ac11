//! The envelope of a message: reading it, writing it, and its header in memory.

mod decode;
mod draft;
mod error;
mod field;
mod head;
mod otp;

pub use decode::{call, decode, Decoded};
pub use draft::Draft;
pub use error::{DecodeError, Problem};
pub use field::Text;
pub use head::{Address, Head, MessageId};
