//! TCP connections from accept to close (`accept`, `find`, `connect`, `relay`), what
//! they need (`listener`, `listeners`, `slots`, `workers`, `limits`, `client_limits`), what watches them (`idle`) and
//! the servers (`checks`, `changes`), and the state that all threads share (`shared`).

pub(crate) mod accept;
pub(crate) mod changes;
pub(crate) mod checks;
pub(crate) mod chore;
pub(crate) mod client_limits;
pub(crate) mod connect;
pub(crate) mod connection;
pub(crate) mod drain;
pub(crate) mod ending;
pub mod find;
pub(crate) mod header;
pub(crate) mod idle;
pub(crate) mod idlers;
pub(crate) mod limits;
pub(crate) mod listener;
pub(crate) mod listeners;
pub mod log;
pub(crate) mod loops;
pub(crate) mod names;
pub(crate) mod relay;
pub(crate) mod restart;
pub mod search;
pub mod servers;
pub mod shared;
pub(crate) mod slots;
pub(crate) mod socket;
pub(crate) mod state;
#[cfg(test)]
mod stress;
pub(crate) mod workers;
