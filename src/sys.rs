//! The machine: what std does not offer of the system, and what more than one of the
//! programs needs of it. `calls` has the system calls, and all unsafe code.

pub mod addr;
pub(crate) mod cgroup;
pub(crate) mod date;
pub(crate) mod files;
pub(crate) mod inherited;
pub(crate) mod line;
pub mod message;
pub(crate) mod notify;
pub(crate) mod process;
pub(crate) mod program;
pub(crate) mod successor;
pub mod text;
pub(crate) mod users;

mod calls;
mod datagram;
mod layout;
mod number;
mod result;
mod sockaddr;
mod socket;
mod this_process;
mod wait;
pub use calls::*;
pub(crate) use datagram::{Here, Received};
pub use layout::{Kind, Resource};
pub(crate) use layout::{Side, Signal};
pub(crate) use number::{EMFILE, ENXIO, O_NOFOLLOW, O_NONBLOCK};
use result::{again, check};
pub use sockaddr::Address;
pub use socket::receive_room;
pub(crate) use socket::*;
pub(crate) use this_process::*;
pub use wait::wait_readable;
pub(crate) use wait::{Watch, has_hung_up, wait_either, wait_writable};
