//! The companions that put clients into the web servers' logs, and what pen's own
//! logs have in common with them.

pub mod mergelogs;
pub(crate) mod output;
pub mod penlog;
pub mod penlogd;
pub(crate) mod request_text;
