//! Control commands: what a line means, its effect, files of lines, the port.

pub mod commands;
pub mod config;
pub(crate) mod edit;
pub mod parse;
pub(crate) mod port;
pub mod row;
pub(crate) mod service;
pub mod table;
pub mod transaction;
