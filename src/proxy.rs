//! One TCP connection from accept to close.

pub mod accept;
pub mod changes;
pub mod checks;
pub mod connect;
pub mod connection;
pub mod ending;
pub mod find;
pub mod idle;
pub mod idlers;
pub mod limits;
pub mod listener;
pub mod log;
pub mod loops;
pub mod relay;
pub mod search;
pub mod servers;
pub mod shared;
pub mod slots;
pub mod socket;
#[cfg(test)]
mod stress;
pub mod workers;
