//! The companions that put clients into the web servers' logs.

pub mod mergelogs;
pub mod penlog;
pub mod penlogd;
pub mod request_text;
