//! The three programs that put the addresses of clients into web servers' logs, and
//! what they have in common with pen's own logs.

pub mod mergelogs;
pub(crate) mod output;
pub mod penlog;
pub mod penlogd;
pub(crate) mod request_text;
