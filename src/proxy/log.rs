//! The logs of clients: the request log, with a line for each read of what a client
//! sent, and the connection log, with a line for each connection at its end.

pub mod connections;
mod requests;
mod writer;

use std::sync::Arc;

pub(crate) use requests::socket_to;
pub use requests::{Log, datagram, file_line};
pub(crate) use writer::{Destination, is_penlogd};

/// The logs that connections write to.
#[derive(Clone, Debug)]
pub struct Logs {
    /// What clients ask.
    pub(crate) requests: Arc<Log>,
    /// How connections end.
    pub(crate) ends: Arc<connections::ConnLog>,
}
