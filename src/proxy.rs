//! One TCP connection from accept to close.

pub(crate) mod accept;
pub(crate) mod changes;
pub(crate) mod checks;
pub(crate) mod connect;
pub(crate) mod connection;
pub(crate) mod ending;
pub mod find;
pub(crate) mod idle;
pub(crate) mod idlers;
pub(crate) mod limits;
pub(crate) mod listener;
pub mod log;
pub(crate) mod loops;
pub(crate) mod relay;
pub mod search;
pub mod servers;
pub mod shared;
pub(crate) mod slots;
pub(crate) mod socket;
#[cfg(test)]
mod stress;
pub(crate) mod workers;
