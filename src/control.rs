//! Control commands: what a line means, its effect, files of lines, the port.

pub mod commands;
pub mod config;
pub mod edit;
pub mod parse;
pub mod port;
pub mod row;
pub mod service;
pub mod table;
pub mod transaction;
